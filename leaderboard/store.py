"""The hub's memory: the only module that talks to the database.

Guarantees:
- a submission is answered only after its file is on disk (fsync) and its rows are committed;
- the same bytes for the same system and benchmark are one submission;
- a job belongs to one worker until its lease ends; what a worker writes afterwards is fenced off by (owner, attempt);
- results and the state `published` commit together;
- every change of state is recorded in a hash-chained event, in the same transaction.

Source: the lease and fencing pattern of job queues; limits and states of the leaderboard's design.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from ..dataset_scripts import atomic
from ..dataset_scripts.errors import InputError, StateError, UnknownNameError
from . import tables
from .benchmark import Benchmark
from .submission import Submission

BUSY_TIMEOUT_S = 30
MAX_EXPIRATIONS = 10
BACKOFF_S = 2.0


@dataclass(frozen=True)
class Job:
    """One claim of one submission by one worker; `attempt` and `owner` fence its writes."""

    id: str
    submission_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class ResultRow:
    """One number: a metric's score or one of its components.

    Attributes:
        metric: the metric's name.
        name: the metric's name again for its score, the component's name else (`similarity`, `bleu_1`).
        value: native range.
        n: clips scored.
        signature: the whole recipe.
        digest: eight hex digits of the signature; equal digests are comparable.
        seconds: time the metric took.
        items_sha256: names the parquet file of per-clip scores.
    """

    metric: str
    name: str
    value: float
    n: int
    signature: str
    digest: str
    seconds: float
    items_sha256: str


@dataclass(frozen=True)
class PublishedResult:
    """A result row together with whose it is."""

    submission_id: str
    system: str
    submitted_at: float
    created_at: float
    row: ResultRow


def new_id() -> str:
    """Returns a UUIDv7: 48 bits of milliseconds, then randomness, so that ids sort by age (RFC 9562, section 5.7)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


class ResultStore:
    """Submissions, jobs, results and events in a SQLite database, with their files beside it.

    Args:
        url: `sqlite:///path/to/hub.db`.
        now: the clock; tests inject their own.
    """

    def __init__(self, url: str, now: Callable[[], float] = time.time) -> None:
        self.url, self._now = url, now
        path = _sqlite_path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files = path.with_name(f"{path.stem}-files")
        self.files.mkdir(exist_ok=True)
        self._engine = _engine(url)
        _migrate(self._engine, path.with_name(f"{path.name}.lock"))

    # -- files ---------------------------------------------------------------------------------------------------------------

    def put_file(self, content: bytes, suffix: str) -> str:
        """Stores bytes under their sha256 and returns it; on disk for good when this returns."""
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.file_path(sha256, suffix)
        if not target.exists():
            atomic.write_bytes(target, content)
        return sha256

    def file_path(self, sha256: str, suffix: str) -> Path:
        """Returns where the file of that digest lies."""
        return self.files / f"{sha256}{suffix}"

    # -- submissions ---------------------------------------------------------------------------------------------------------

    def add(self, benchmark: Benchmark, system: str, content: bytes, suffix: str, n_items: int) -> tuple[Submission, bool]:
        """Accepts a validated predictions file and queues it.

        Args:
            benchmark: what it is for.
            system: name of the system; created when new.
            content: the raw bytes, kept unchanged so that a corrected metric can score them again.
            suffix: the file's ending, which tells its format.
            n_items: clips that it covers.

        Returns:
            The submission, and whether it is new; the same bytes again return the first one, queued again if it had failed.

        Raises:
            InputError: the system's name is empty or too long.
        """
        system = system.strip()
        if not system or len(system) > 200 or not system.isprintable():
            raise InputError(f"the system is called {system[:80]!r}; expected 1 to 200 printable characters.")
        sha256 = self.put_file(content, suffix)
        now = self._now()
        with self._write() as connection:
            system_id = connection.scalar(sa.select(tables.system.c.id).where(tables.system.c.name == system))
            if system_id is None:
                system_id = new_id()
                connection.execute(tables.system.insert().values(id=system_id, name=system, created_at=now))
            same = sa.and_(
                tables.submission.c.benchmark == benchmark.id,
                tables.submission.c.benchmark_version == benchmark.version,
                tables.submission.c.system_id == system_id,
                tables.submission.c.content_sha256 == sha256,
            )
            existing = connection.scalar(sa.select(tables.submission.c.id).where(same))
            if existing is not None:
                self._try_again(connection, existing)
                return self._get(connection, existing), False
            submission_id = new_id()
            connection.execute(
                tables.submission.insert().values(
                    id=submission_id,
                    benchmark=benchmark.id,
                    benchmark_version=benchmark.version,
                    system_id=system_id,
                    content_sha256=sha256,
                    file_suffix=suffix,
                    n_items=n_items,
                    state="queued",
                    created_at=now,
                    updated_at=now,
                )
            )
            connection.execute(
                tables.job.insert().values(
                    id=new_id(),
                    submission_id=submission_id,
                    state="queued",
                    attempt=0,
                    errors=0,
                    expirations=0,
                    not_before=0.0,
                    progress_done=0,
                    progress_total=len(benchmark.metrics),
                )
            )
            self._record(connection, submission_id, "queued", {"content_sha256": sha256, "system": system})
            return self._get(connection, submission_id), True

    def get(self, submission_id: str) -> Submission:
        """Returns one submission.

        Raises:
            UnknownNameError: there is none of that id.
        """
        with self._read() as connection:
            return self._get(connection, submission_id)

    def submissions(self, limit: int = 100) -> list[Submission]:
        """Returns the newest submissions of all benchmarks, newest first."""
        with self._read() as connection:
            rows = connection.execute(_SUBMISSION.order_by(tables.submission.c.id.desc()).limit(limit))
            return [Submission(**row._mapping) for row in rows]

    def changed_at(self) -> float:
        """Returns when a submission changed last, in seconds since 1970 UTC; 0 before the first one."""
        with self._read() as connection:
            return float(connection.scalar(sa.select(sa.func.max(tables.submission.c.updated_at))) or 0.0)

    def results(self, benchmark: Benchmark) -> list[PublishedResult]:
        """Returns every published number of one benchmark version, oldest first."""
        columns = [tables.result.c[name] for name in ResultRow.__dataclass_fields__]
        query = (
            sa.select(
                tables.result.c.submission_id,
                tables.system.c.name.label("system"),
                tables.submission.c.created_at.label("submitted_at"),
                tables.result.c.created_at,
                *columns,
            )
            .join(tables.submission, tables.submission.c.id == tables.result.c.submission_id)
            .join(tables.system, tables.system.c.id == tables.submission.c.system_id)
            .where(
                tables.submission.c.benchmark == benchmark.id,
                tables.submission.c.benchmark_version == benchmark.version,
                tables.submission.c.state == "published",
            )
            .order_by(tables.result.c.created_at, tables.result.c.submission_id, tables.result.c.metric)
        )
        with self._read() as connection:
            return [
                PublishedResult(
                    row["submission_id"],
                    row["system"],
                    row["submitted_at"],
                    row["created_at"],
                    ResultRow(**{name: row[name] for name in ResultRow.__dataclass_fields__}),
                )
                for row in connection.execute(query).mappings()
            ]

    def events(self, submission_id: str) -> list[dict[str, Any]]:
        """Returns what happened to a submission, in order: `kind`, `at` (seconds since 1970 UTC) and `detail`."""
        query = sa.select(tables.event).where(tables.event.c.submission_id == submission_id).order_by(tables.event.c.number)
        with self._read() as connection:
            return [
                {"kind": row.kind, "at": row.at, "detail": json.loads(row.detail_json)} for row in connection.execute(query).all()
            ]

    def verify_events(self) -> int:
        """Checks the hash chain over all events and returns how many there are.

        Raises:
            StateError: an event was changed, removed or inserted.
        """
        previous, number = "", 0
        with self._read() as connection:
            for number, row in enumerate(connection.execute(sa.select(tables.event).order_by(tables.event.c.number)), start=1):
                expected = _event_sha256(previous, row.number, row.submission_id, row.kind, row.detail_json, row.at)
                if row.number != number or row.sha256 != expected:
                    raise StateError(row.submission_id, f"recorded by event {row.number}, which was altered", "trusting its log")
                previous = row.sha256
        return number

    # -- the queue -----------------------------------------------------------------------------------------------------------

    def n_unfinished(self) -> int:
        """Returns how many jobs are queued or running."""
        with self._read() as connection:
            count = sa.select(sa.func.count()).select_from(tables.job).where(tables.job.c.state.in_(("queued", "running")))
            return int(connection.scalar(count) or 0)

    def claim(self, owner: str, lease_s: float) -> Job | None:
        """Gives the oldest waiting job, or one whose worker fell silent, to `owner`.

        Args:
            owner: the worker.
            lease_s: how long the job is its own without a sign of life.

        Returns:
            The job, None when none is waiting.
        """
        now = self._now()
        job = tables.job
        expired = sa.and_(job.c.state == "running", job.c.lease_until < now)
        waiting = sa.and_(job.c.state == "queued", job.c.not_before <= now)
        oldest = sa.select(job.c.id).where(sa.or_(waiting, expired)).order_by(job.c.id).limit(1).scalar_subquery()
        with self._write() as connection:
            row = connection.execute(
                job.update()
                .where(job.c.id == oldest)
                .values(
                    state="running",
                    owner=owner,
                    lease_until=now + lease_s,
                    attempt=job.c.attempt + 1,
                    expirations=job.c.expirations + sa.case((job.c.state == "running", 1), else_=0),
                    progress_done=0,
                )
                .returning(job.c.id, job.c.submission_id, job.c.attempt, job.c.expirations)
            ).one_or_none()
            if row is None:
                return None
            claimed = Job(row.id, row.submission_id, owner, row.attempt)
            if row.expirations >= MAX_EXPIRATIONS:
                self._end(connection, claimed, "failed", f"{row.expirations} workers died while they scored it")
                return None
            detail = {"attempt": row.attempt, "expirations": row.expirations, "owner": owner}
            self._set_state(connection, row.submission_id, "scoring", detail)
            return claimed

    def renew(self, job: Job, lease_s: float, progress_done: int) -> bool:
        """Extends a lease and notes the progress; False when the job is no longer this worker's."""
        with self._write() as connection:
            held = connection.execute(
                tables.job.update().where(_held(job)).values(lease_until=self._now() + lease_s, progress_done=progress_done)
            )
            return held.rowcount == 1

    def finish(self, job: Job, results: Sequence[ResultRow]) -> bool:
        """Publishes: results, job and submission in one transaction.

        Returns:
            False when the job was given to another worker meanwhile; then nothing is written.
        """
        now = self._now()
        with self._write() as connection:
            if not self._end(connection, job, "published", None):
                return False
            for row in results:
                values = {name: getattr(row, name) for name in ResultRow.__dataclass_fields__}
                connection.execute(tables.result.insert().values(submission_id=job.submission_id, created_at=now, **values))
            return True

    def fail(self, job: Job, error: str, max_attempts: int) -> bool:
        """Notes a scoring error: back to the queue with a growing pause, or failed after `max_attempts` of them.

        Returns:
            False when the job was given to another worker meanwhile; then nothing is written.
        """
        with self._write() as connection:
            errors = connection.scalar(sa.select(tables.job.c.errors).where(_held(job)))
            if errors is None:
                return False
            errors += 1
            connection.execute(tables.job.update().where(_held(job)).values(errors=errors, last_error=error))
            if errors >= max_attempts:
                return self._end(connection, job, "failed", error)
            pause_s = BACKOFF_S * 2 ** (errors - 1)
            connection.execute(
                tables.job.update()
                .where(_held(job))
                .values(state="queued", owner=None, lease_until=None, not_before=self._now() + pause_s)
            )
            self._set_state(connection, job.submission_id, "queued", {"error": error, "errors": errors, "pause_s": pause_s})
            return True

    # -- inside a transaction ------------------------------------------------------------------------------------------------

    def _end(self, connection: Connection, job: Job, state: str, error: str | None) -> bool:
        """Ends a job in `published` or `failed`, unless it is no longer this worker's."""
        done = tables.job.c.progress_total if state == "published" else tables.job.c.progress_done
        ended = connection.execute(
            tables.job.update()
            .where(_held(job))
            .values(state="done" if state == "published" else "failed", lease_until=None, progress_done=done, last_error=error)
        )
        if ended.rowcount != 1:
            return False
        detail = {"attempt": job.attempt, **({"error": error} if error else {})}
        self._set_state(connection, job.submission_id, state, detail, error)
        return True

    def _try_again(self, connection: Connection, submission_id: str) -> None:
        """Queues a failed submission once more: what made it fail was no fault of its file, which is valid."""
        job = tables.job
        again = connection.execute(
            job.update()
            .where(job.c.submission_id == submission_id, job.c.state == "failed")
            .values(state="queued", owner=None, errors=0, expirations=0, not_before=0.0, progress_done=0)
        )
        if again.rowcount == 1:
            self._set_state(connection, submission_id, "queued", {"reason": "sent again"})

    def _set_state(
        self, connection: Connection, submission_id: str, state: str, detail: Mapping[str, Any], error: str | None = None
    ) -> None:
        connection.execute(
            tables.submission.update()
            .where(tables.submission.c.id == submission_id)
            .values(state=state, error=error, updated_at=self._now())
        )
        self._record(connection, submission_id, state, detail)

    def _record(self, connection: Connection, submission_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        last = connection.execute(
            sa.select(tables.event.c.number, tables.event.c.sha256).order_by(tables.event.c.number.desc()).limit(1)
        ).one_or_none()
        number, previous = (last.number + 1, last.sha256) if last else (1, "")
        at, detail_json = self._now(), json.dumps(detail, sort_keys=True)
        sha256 = _event_sha256(previous, number, submission_id, kind, detail_json, at)
        connection.execute(
            tables.event.insert().values(
                number=number, submission_id=submission_id, kind=kind, detail_json=detail_json, at=at, sha256=sha256
            )
        )

    @staticmethod
    def _get(connection: Connection, submission_id: str) -> Submission:
        row = connection.execute(_SUBMISSION.where(tables.submission.c.id == submission_id)).one_or_none()
        if row is None:
            raise UnknownNameError("submission", submission_id, ())
        return Submission(**row._mapping)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(is_writing=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection


_SUBMISSION = (
    sa.select(
        *(column for column in tables.submission.c if column.name != "system_id"),
        tables.system.c.name.label("system"),
        tables.job.c.progress_done,
        tables.job.c.progress_total,
    )
    .join(tables.system, tables.system.c.id == tables.submission.c.system_id)
    .join(tables.job, tables.job.c.submission_id == tables.submission.c.id)
)


def _held(job: Job) -> sa.ColumnElement[bool]:
    """The fence: true for the job's row only while this claim is the current one."""
    return sa.and_(
        tables.job.c.id == job.id,
        tables.job.c.state == "running",
        tables.job.c.owner == job.owner,
        tables.job.c.attempt == job.attempt,
    )


def _event_sha256(previous: str, number: int, submission_id: str, kind: str, detail_json: str, at: float) -> str:
    payload = json.dumps([previous, number, submission_id, kind, detail_json, repr(at)])
    return hashlib.sha256(payload.encode()).hexdigest()


def _sqlite_path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise InputError(f"the database URL is {url!r}; expected sqlite:///path/to/hub.db.") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InputError(f"the database is {parsed.render_as_string()!r}; expected a SQLite file: sqlite:///path/to/hub.db.")
    return Path(parsed.database)


def _engine(url: str) -> Engine:
    """Returns an engine whose writers take the write lock at once, so that no transaction fails half-way for it."""
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver starts no transaction of its own; `_begin` does
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _migrate(engine: Engine, lock: Path) -> None:
    """Brings the tables to the newest migration; processes that start together take turns."""
    from alembic import command
    from alembic.config import Config
    from filelock import FileLock

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with FileLock(lock), engine.connect().execution_options(is_writing=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
