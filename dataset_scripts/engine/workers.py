"""Worker processes: fresh interpreters that build one part each and leave the result in the staging folder.

They do not import the caller's script again, as `multiprocessing` would, so a script without a `__main__` guard may use them.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import UnifiedAudioCapsError

_CODE = "from unified_audiocaps.dataset_scripts.engine.workers import main; main()"


def run(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[None]:
    """Runs jobs in processes of their own, `workers` at a time, and yields once per finished job, in order.

    Args:
        jobs: the number of threads, then the arguments of `parts.build_part`.
        workers: how many processes run at the same time.

    Raises:
        UnifiedAudioCapsError: what the job raised, or that its process ended without a word.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(_run_one, jobs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_one(job: tuple[Any, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], input=pickle.dumps(job), capture_output=True, check=False)  # noqa: S603 # our own interpreter and code
    if done.returncode == 0:
        return
    try:
        problem = pickle.loads(done.stdout)  # noqa: S301 # written by our own child process
    except (pickle.UnpicklingError, EOFError, ImportError, AttributeError):
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        problem = UnifiedAudioCapsError(
            f"a worker process ended with code {done.returncode} (a negative code is the signal that killed it; 9 usually means "
            f"that memory ran out); run it again with fewer --workers. What was finished is kept.{said and chr(10)}{said}"
        )
    raise problem


def main() -> None:
    """Does one job, read from stdin; an error goes back through stdout."""
    import pyarrow as pa

    from .parts import build_part

    jobs: Iterable[Any] = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 # written by our own parent process
    threads, *job = jobs
    pa.set_cpu_count(threads)
    try:
        build_part(*job)
    except (UnifiedAudioCapsError, OSError) as problem:
        sys.stdout.buffer.write(pickle.dumps(problem))
        sys.stdout.buffer.flush()
        sys.exit(1)
