"""Scores queued submissions: claim, score, publish; restartable at any moment, any number of them on one database.

A worker claims a job and renews its lease while a child process scores it. The child lives on, so that models and references are
loaded once; it is replaced after a number of jobs, and killed when a job takes too much time or memory. A worker that dies stops
renewing, and the next one that looks takes the job over when the lease has run out. What a stalled worker writes too late is
refused by the store. Between jobs a worker looks after submissions that nobody else would: those whose validation was cut off.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import multiprocessing
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset_scripts.errors import InputError, StorageError, UnavailableError, UnifiedAudioCapsError, UnknownNameError
from ..dataset_scripts.settings import Settings
from .hub import Hub
from .storage.records import Job, ResultRow

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

logger = logging.getLogger(__name__)

POLL_S = 0.2
IDLE_S = 0.5
CARE_S = 5.0  # between two looks at submissions that nobody works on
RESTART_S = 1.0
# the disk is full, broken or read-only, or there are too many open files: no fault of a submission
MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE}
GRACE_S = 25.0  # a machine that shuts down waits 30 s before it kills


@dataclass(frozen=True)
class Place:
    """Where a hub is: what a process needs to open it."""

    db: str
    data: Path
    files: Path | None = None

    def open(self) -> Hub:
        """Returns the hub."""
        return Hub.open(self.db, self.data, self.files)


class _Trouble(Exception):  # a message between two functions of this module
    """Scoring went wrong; `counts` is False where the machine is to blame, not the submission."""

    def __init__(self, code: str, text: str, counts: bool = True) -> None:
        self.code, self.text, self.counts = code, text, counts
        super().__init__(text)


class Worker:
    """One scoring loop.

    Args:
        place: the hub.
        settings: lease, heartbeat, limits; read from the environment by default.
    """

    def __init__(self, place: Place, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self.hub = place.open()
        self._child = _Child(place, self.settings.jobs_per_child)
        # names the process, for whoever wonders which one holds a job; the random end keeps a reused pid apart
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._cared_at = -CARE_S

    def stop(self) -> None:
        """Asks the loop to end: the job in hand is finished if that is soon, else given back."""
        self._stop.set()

    def run(self, once: bool = False) -> int:
        """Scores until stopped.

        Args:
            once: end as soon as no submission is being validated, queued or scored anywhere.

        Returns:
            How many submissions this worker published.
        """
        n_published = 0
        try:
            self._insist(self._queue_outdated)
            while not self._stop.is_set():
                job = self._insist(lambda: self.hub.store.claim(self.owner, self.settings.lease_s))
                if job is not None:
                    n_published += self._score(job)
                    self._care()
                    continue
                self._care(0.0 if once else None)
                if once and self._insist(self.hub.store.n_unfinished) == 0:
                    break
                self._stop.wait(IDLE_S)
        finally:
            self._child.end()
        return n_published

    def _insist(self, step: Callable[[], Any]) -> Any:
        """Does a step again and again while the database does not answer; None when asked to end meanwhile."""
        pause_s = IDLE_S
        while True:
            try:
                return step()
            except UnavailableError as error:
                logger.warning("%s", error)
            if self._stop.wait(pause_s):
                return None
            pause_s = min(2 * pause_s, 10.0)

    def _queue_outdated(self) -> None:
        """Queues what was scored with an older version of a metric; the old results stay on the board meanwhile."""
        for name, version in self.hub.store.boards():
            try:
                benchmark = self.hub.benchmark(name, version)
            except UnknownNameError as error:
                logger.warning("%s Its board stays as it is.", error)
                continue
            if n := self.hub.store.rescore(benchmark, benchmark.n_steps):
                logger.info("%d submissions of %s are scored again, with present metrics", n, benchmark.id)

    def _care(self, older_than_s: float | None = None) -> None:
        """Looks after submissions whose web process died while it validated them."""
        if older_than_s is None and time.monotonic() - self._cared_at < CARE_S:
            return
        self._cared_at = time.monotonic()
        try:
            if n := self.hub.validate_left_over(*(() if older_than_s is None else (older_than_s,))):
                logger.info("validated %d submissions that were left over", n)
        except UnifiedAudioCapsError as error:
            logger.error("a submission that was left over cannot be validated: %s", error)

    def _score(self, job: Job) -> bool:
        try:
            results = self._supervised(job)
        except _Trouble as trouble:
            logger.error("submission %s could not be scored: %s", job.submission_id, trouble.text)
            limit, found = self.settings.max_attempts, trouble
            self._insist(lambda: self.hub.store.fail(job, found.text, limit, code=found.code, counts=found.counts))
            return False
        if results is None:
            return False
        try:
            is_ours = self._insist(lambda: self.hub.store.finish(job, results, self.hub.recipe_of(job)))
        except Exception as error:  # numbers that no database keeps are written to the submission, and the loop goes on
            logger.exception("the results of submission %s could not be kept", job.submission_id)
            text = f"the results could not be kept ({type(error).__name__})"
            self._insist(lambda: self.hub.store.fail(job, text, self.settings.max_attempts))
            return False
        if not is_ours:
            logger.warning("submission %s was given to another worker or taken back; this result is dropped", job.submission_id)
            return False
        logger.info("published submission %s", job.submission_id)
        return True

    def _supervised(self, job: Job) -> list[ResultRow] | None:
        """Returns what the child made of a job, None when the job is no longer ours; renews the lease meanwhile."""
        self._child.send(job)
        started = renewed = time.monotonic()
        stop_by = None
        done = 0
        while True:
            for kind, value in self._child.messages(POLL_S):
                if kind == "results":
                    return list(value)
                if kind == "trouble":
                    raise _Trouble(*value)
                done += 1
            now = time.monotonic()
            self._check_limits(now - started)
            if now - renewed >= self.settings.heartbeat_s:
                renewed = now
                with contextlib.suppress(UnavailableError):  # whoever takes the job over is fenced off from us, and we from them
                    if not self.hub.store.renew(job, self.settings.lease_s, done):
                        self._child.kill()
                        logger.warning("submission %s is no longer this worker's", job.submission_id)
                        return None
            if self._stop.is_set():
                stop_by = stop_by or now + GRACE_S
                if now >= stop_by:
                    self._child.kill()
                    with contextlib.suppress(UnavailableError):
                        self.hub.store.release(job)
                    return None

    def _check_limits(self, seconds: float) -> None:
        if seconds > self.settings.job_time_limit_s:
            self._child.kill()
            raise _Trouble("E_TIME_LIMIT", f"scoring took more than {self.settings.job_time_limit_s:,.0f} s")
        used = self._child.rss_bytes()
        if used > self.settings.job_memory_limit_bytes:
            self._child.kill()
            limit = self.settings.job_memory_limit_bytes / 2**30
            raise _Trouble("E_MEMORY_LIMIT", f"scoring took {used / 2**30:,.1f} GiB of memory; {limit:,.1f} are allowed")


class _Child:
    """The process that scores; started when it is needed."""

    def __init__(self, place: Place, jobs: int) -> None:
        self._place, self._jobs, self._left = place, jobs, 0
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def send(self, job: Job) -> None:
        if self._process is None or not self._process.is_alive() or self._left <= 0:
            self.end()
            spawn = multiprocessing.get_context("spawn")
            self._pipe, theirs = spawn.Pipe()
            self._process = spawn.Process(target=_score_jobs, args=(self._place, theirs), name="uac-scorer")
            self._process.start()
            theirs.close()
            self._left = self._jobs
        self._left -= 1
        assert self._pipe is not None  # noqa: S101 # it was made with the process
        with contextlib.suppress(OSError):  # a child that is gone is noticed when it should answer
            self._pipe.send(job)

    def messages(self, wait_s: float) -> Iterator[tuple[str, Any]]:
        """Yields what the child says within `wait_s` seconds; raises `_Trouble` when it is gone."""
        assert self._pipe is not None and self._process is not None  # noqa: S101 # a job was sent
        try:
            if self._pipe.poll(wait_s):
                yield self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.end()
            raise _Trouble("E_SCORER_DIED", f"the scoring process ended with exit code {code}") from None

    def rss_bytes(self) -> int:
        import psutil

        try:
            return int(psutil.Process(self._process.pid).memory_info().rss) if self._process is not None else 0
        except psutil.Error:
            return 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    def end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # an idle child ends by itself
            self._pipe = None
        if self._process is not None:
            self._process.join(1.0)
        self.kill()


def _score_jobs(place: Place, pipe: Connection) -> None:
    """Scores jobs that come through the pipe until it is closed; runs in the child."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker decides when to end
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    hub: Hub | None = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = pipe.recv()
            try:
                hub = hub or place.open()
                pipe.send(("results", hub.score(job, lambda: pipe.send(("step", None)))))
            except (StorageError, UnavailableError) as error:
                pipe.send(("trouble", ("E_MACHINE", str(error), False)))
            except UnifiedAudioCapsError as error:
                pipe.send(("trouble", ("E_SCORING", str(error))))
            except OSError as error:
                is_machine = error.errno in MACHINE_ERRORS
                code = "E_MACHINE" if is_machine else "E_SCORING"
                pipe.send(("trouble", (code, f"{type(error).__name__}: {error}", not is_machine)))
            except MemoryError:
                pipe.send(("trouble", ("E_MEMORY_LIMIT", "there was not enough memory")))
            except Exception as error:  # whatever went wrong is written to the submission, never swallowed
                logger.exception("submission %s could not be scored", job.submission_id)
                pipe.send(("trouble", ("E_SCORING", f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    """Ends this process with its parent, whatever it is doing."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def work(place: Place, once: bool = False) -> int:
    """Runs a worker in this process until it is done or the process is asked to end (SIGTERM, SIGINT).

    Returns:
        How many submissions it published.
    """
    worker = Worker(place)
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
def worker_processes(place: Place, n: int = 1) -> Iterator[None]:
    """Keeps workers running beside the caller: restarts those that die, ends them when the block or the caller ends."""
    spawn = multiprocessing.get_context("spawn")
    stop = threading.Event()

    def supervise(name: str) -> None:
        while not stop.is_set():
            process = spawn.Process(target=work, args=(place,), name=name)
            process.start()
            while process.is_alive() and not stop.wait(POLL_S):
                pass
            if stop.is_set():
                process.terminate()
                process.join()
            else:
                logger.warning("%s ended with exit code %s; starting another one", name, process.exitcode)
                stop.wait(RESTART_S)

    if n < 0:
        raise InputError(f"{n} workers were asked for; expected 0 or more.")
    threads = [threading.Thread(target=supervise, args=(f"uac-worker-{number}",)) for number in range(n)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def supervise(place: Place, n: int) -> None:
    """Keeps `n` workers running until this process is asked to end (SIGTERM, SIGINT)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with worker_processes(place, n):
        stop.wait()
