"""The same jobs as `workers` runs, as tasks of Ray: on this machine, or on the cluster that RAY_ADDRESS names.

A task writes the shards of one part into the staging folder, so all machines must see the same file system, and for sound also
the same UAC_HOME, where the index of the files lies. A task whose process
dies is run again; what is finished is kept, and a later call goes on behind it, with either engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import MissingRequirementError, UnifiedAudioCapsError

RETRIES = 3


def run(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[None]:
    """Runs jobs as Ray tasks, `workers` at a time, and yields once per finished job, in order.

    Args:
        jobs: the number of threads, then the arguments of `parts.build_part`.
        workers: how many tasks run at the same time.

    Raises:
        MissingRequirementError: Ray is not installed.
        UnifiedAudioCapsError: what the job raised, or that its process died again and again.
    """
    try:
        import ray
    except ImportError:
        raise MissingRequirementError(
            "Ray", "--engine ray runs the parts of a build as tasks of Ray.", 'pip install "unified-audiocaps[ray]"'
        ) from None
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_build)
    running: deque[Any] = deque()
    waiting = deque(jobs)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(task.remote(waiting.popleft()))
            try:
                ray.get(running[0])
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise UnifiedAudioCapsError(
                    f"a Ray task died {RETRIES + 1} times ({type(error).__name__}); often memory ran out: run it again with "
                    "fewer --workers. What was finished is kept."
                ) from error
            running.popleft()
            yield
    finally:
        # No task is cancelled: a cancellation that meets the end of its task aborts the whole process (a known defect of Ray).
        if is_ours:
            ray.shutdown()
        elif running:
            ray.wait(list(running), num_returns=len(running))


def _build(job: tuple[Any, ...]) -> None:
    import pyarrow as pa

    from .parts import build_part

    threads, *arguments = job
    pa.set_cpu_count(threads)
    build_part(*arguments)
