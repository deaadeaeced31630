"""Scores queued submissions: claim, score, publish; restartable at any moment, any number of them on one database.

While a worker scores, a thread renews its lease. A worker that dies stops renewing, and the next one that looks takes the job
over when the lease has run out. What a stalled worker writes too late is refused by the store.
"""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset_scripts.errors import InputError, UnifiedAudioCapsError
from ..dataset_scripts.settings import Settings
from ..evaluators.pairs import CaptionPairs
from ..evaluators.score import score
from ..evaluators.workspace import Options
from .benchmark import benchmark_by_id
from .hub import Hub
from .store import Job, ResultRow
from .submission import validate

if TYPE_CHECKING:
    from ..evaluators.metric import MetricResult

logger = logging.getLogger(__name__)

POLL_S = 0.5
RESTART_S = 2.0
ITEMS_SUFFIX = ".items.parquet"


class Worker:
    """One scoring loop.

    Args:
        hub: the store and the built references.
        settings: lease, heartbeat and attempts; read from the environment by default.
    """

    def __init__(self, hub: Hub, settings: Settings | None = None) -> None:
        self.hub, self.settings = hub, settings or Settings.from_environment()
        # names the process, for whoever wonders which one holds a job; the random end keeps a reused pid apart
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._stop = threading.Event()

    def stop(self) -> None:
        """Asks the loop to end after the job in hand."""
        self._stop.set()

    def run(self, once: bool = False) -> int:
        """Scores until stopped.

        Args:
            once: end as soon as no submission is queued or being scored anywhere.

        Returns:
            How many submissions this worker published.
        """
        n_published = 0
        while not self._stop.is_set():
            job = self.hub.store.claim(self.owner, self.settings.lease_s)
            if job is not None:
                n_published += self._score(job)
            elif once and self.hub.store.n_unfinished() == 0:
                break
            else:
                self._stop.wait(POLL_S)
        return n_published

    def _score(self, job: Job) -> bool:
        with self._heartbeat(job):
            try:
                results = self._results(job)
            except UnifiedAudioCapsError as error:
                text = str(error)
                logger.error("submission %s could not be scored: %s", job.submission_id, text)
            except Exception as error:  # whatever went wrong is written to the submission, never swallowed
                text = f"{type(error).__name__}: {error}"
                logger.exception("submission %s could not be scored", job.submission_id)
            else:
                return self._publish(job, results)
            self.hub.store.fail(job, text, self.settings.max_attempts)
            return False

    def _publish(self, job: Job, results: list[ResultRow]) -> bool:
        if not self.hub.store.finish(job, results):
            logger.warning("submission %s was given to another worker; this result is dropped", job.submission_id)
            return False
        logger.info("published submission %s", job.submission_id)
        return True

    def _results(self, job: Job) -> list[ResultRow]:
        store = self.hub.store
        submission = store.get(job.submission_id)
        benchmark = benchmark_by_id(submission.benchmark)
        if benchmark.version != submission.benchmark_version:
            raise InputError(f"{submission.benchmark} version {submission.benchmark_version} is no longer defined here.")
        items = self.hub.items(benchmark)
        report = validate(store.file_path(submission.content_sha256, submission.file_suffix), items)
        report.raise_if_invalid()
        pairs = CaptionPairs.join(report.predictions, items.references)
        scored = score(pairs, benchmark.metrics, Options(encoder=benchmark.encoder, subtask=benchmark.subtask))
        sha256 = store.put_file(_items_parquet(pairs, scored), ITEMS_SUFFIX)
        return [row for result in scored for row in _rows(result, sha256)]

    @contextmanager
    def _heartbeat(self, job: Job) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self.settings.heartbeat_s):
                if not self.hub.store.renew(job, self.settings.lease_s, 0):
                    return

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _rows(result: MetricResult, items_sha256: str) -> Iterator[ResultRow]:
    for column, value in {result.metric: result.score, **result.components}.items():
        yield ResultRow(
            result.metric,
            column,
            float(value),
            result.n,
            result.signature.text,
            result.signature.digest,
            result.seconds,
            items_sha256,
        )


def _items_parquet(pairs: CaptionPairs, results: list[MetricResult]) -> bytes:
    """Returns the per-clip scores of all metrics as parquet bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"id": pa.array(pairs.ids)}
    for result in results:
        columns.update(result.columns())
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def work(db: str, data: Path, once: bool = False) -> int:
    """Runs a worker in this process until it is done or the process is asked to end (SIGTERM, SIGINT).

    Returns:
        How many submissions it published.
    """
    worker = Worker(Hub.open(db, data))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    threading.Thread(target=_stop_with_parent, args=(worker,), name="parent-watch", daemon=True).start()
    return worker.run(once)


def _stop_with_parent(worker: Worker) -> None:
    """Ends a worker whose web process was killed; a worker started by hand has no such parent."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        worker.stop()


@contextmanager
def worker_process(db: str, data: Path) -> Iterator[None]:
    """Keeps one worker running beside the caller: restarts it when it dies, ends it when the block or the caller ends."""
    spawn = multiprocessing.get_context("spawn")
    stop = threading.Event()

    def supervise() -> None:
        while not stop.is_set():
            process = spawn.Process(target=work, args=(db, data), name="uac-worker")
            process.start()
            while process.is_alive() and not stop.wait(POLL_S):
                pass
            if stop.is_set():
                process.terminate()
                process.join()
            else:
                logger.warning("the worker ended with exit code %s; starting another one", process.exitcode)
                stop.wait(RESTART_S)

    thread = threading.Thread(target=supervise, name="worker-supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
