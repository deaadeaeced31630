"""The hub's memory: every question to the database, and every change of it.

Guarantees:
- a submission is answered only after its file is on disk (fsync) and its rows are committed;
- the same bytes for the same system and benchmark are one submission;
- a job belongs to one worker until its lease ends; what a worker writes afterwards is fenced off by (owner, attempt);
- results and the state `published` commit together;
- every change of state is recorded in a hash-chained event, in the same transaction.

Source: the lease and fencing pattern of job queues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...dataset_scripts.errors import InputError, LimitError, RightsError, StateError, UnknownNameError, shorten
from ..benchmark import Benchmark
from ..submission import COUNTED, LOCAL_ACCOUNT, Submission, System
from . import copies, tables
from .copies import Changes, Row
from .database import Collision, Database, Transaction, event_sha256
from .files import FileStore
from .records import Entry, Job, Quota, ResultRow, new_id
from .rows import event_of, select_submissions, submission_of, system_of

MAX_EXPIRATIONS = 10
BACKOFF_S = 2.0
MAX_PAUSE_S = 600.0
# a lease that ends later than any worker asks for was given before the clock was put back
MAX_LEASE_S = 3_600.0
DAY_S = 86_400.0
SYSTEM = "hub"  # who acts where no person does
MAX_KEY, MAX_SUFFIX = 200, 20
_SQL_LIST = 500


class ResultStore:
    """Submissions, jobs, results and events in a database, with their files in a folder.

    Args:
        url: `sqlite:///path/to/hub.db`, or `postgresql://user@host/name`.
        files: folder of the files; beside the database by default, which only SQLite has.
        now: the clock; None for the server's, of SQLite this machine's.

    Raises:
        InputError: the URL is of no database that a hub can use, or its files have no place.
        UnavailableError: the database does not answer.
    """

    def __init__(self, url: str, files: Path | None = None, now: Callable[[], float] | None = None) -> None:
        self._db = Database(url, now)
        self.url = url
        if files is None:
            if self._db.path is None:
                raise InputError("files of a PostgreSQL hub have no place; name a folder: --files DIR, or UAC_FILES.")
            files = self._db.path.with_name(f"{self._db.path.stem}-files")
        self.files = FileStore(files)

    @property
    def database_path(self) -> Path | None:
        """The SQLite file; None on PostgreSQL."""
        return self._db.path

    def close(self) -> None:
        """Closes all connections."""
        self._db.dispose()

    # -- benchmarks of this hub ----------------------------------------------------------------------------------------------

    def add_benchmark(self, definition: Benchmark, items: bytes, actor: str = LOCAL_ACCOUNT) -> bool:
        """Opens a benchmark of this hub; it never changes afterwards.

        Args:
            definition: its frozen definition.
            items: the parquet file of its items.
            actor: who opens it.

        Returns:
            False when the same version was opened before, with the same items.

        Raises:
            StateError: that version is open with other items or another definition.
        """
        sha256 = self.files.put(items, ".items.parquet")
        table, text = tables.benchmark, json.dumps(asdict(definition), sort_keys=True)
        same = sa.and_(table.c.id == definition.id, table.c.version == definition.version)

        def step(tx: Transaction) -> bool:
            found = tx.connection.execute(sa.select(table.c.definition_json).where(same)).scalar_one_or_none()
            if found is not None:
                if found != text:
                    name = f"{definition.id} version {definition.version}"
                    raise StateError(f"of benchmark {name}", "frozen", "another definition or other items")
                return False
            values = {"definition_json": text, "items_file_sha256": sha256, "created_at": tx.now}
            tx.connection.execute(table.insert().values(id=definition.id, version=definition.version, **values))
            detail = {"version": definition.version, "digest": definition.digest, "items_sha256": definition.items_sha256}
            tx.record("benchmark", definition.id, "opened", actor, detail)
            return True

        return self._db.transact(step)

    def benchmarks(self) -> dict[Benchmark, str]:
        """Returns the benchmarks of this hub, oldest first, each with the sha256 of its file of items."""
        query = sa.select(tables.benchmark).order_by(tables.benchmark.c.created_at, tables.benchmark.c.id)
        with self._db.reading() as connection:
            return {
                Benchmark.from_json(json.loads(row.definition_json)): row.items_file_sha256 for row in connection.execute(query)
            }

    # -- submissions ---------------------------------------------------------------------------------------------------------

    def receive(
        self,
        benchmark: Benchmark,
        system: System,
        content: bytes | Path,
        suffix: str,
        *,
        account: str = LOCAL_ACCOUNT,
        idempotency_key: str | None = None,
        quota: Quota | None = None,
    ) -> tuple[Submission, bool]:
        """Takes a predictions file in: file on disk, rows committed, state `received`.

        Args:
            benchmark: what it is for.
            system: what its owner says about the system; created when new, updated else.
            content: the raw bytes or their file, kept unchanged so that a corrected metric can score them again.
            suffix: the file's ending, which tells its format.
            account: who sends it.
            idempotency_key: a name that the sender gave to this attempt; the same one again returns the same submission.
            quota: how many are allowed; None for any number.

        Returns:
            The submission, and whether it has to be validated now. The same bytes again return the first submission; one that
            was rejected, failed, withdrawn or superseded is received once more.

        Raises:
            LimitError: the account's quota is used up.
            RightsError: the system belongs to another account.
            InputError: the idempotency key was used for something else, or it or the ending cannot be kept.
            StorageError: the disk is full.
        """
        _check_words(suffix, idempotency_key)
        sha256 = self.files.put_path(content, suffix) if isinstance(content, Path) else self.files.put(content, suffix)
        row = {"content_sha256": sha256, "file_suffix": suffix, "note_json": "{}"}

        def step(tx: Transaction) -> tuple[Submission, bool]:
            account_id = _account(tx, account)
            keyed = _by_key(tx.connection, account_id, idempotency_key)
            if keyed is not None:
                sent = self._get(tx.connection, keyed)
                if (sent.benchmark, sent.system, sent.content_sha256) != (benchmark.id, system.name, sha256):
                    raise InputError(
                        f"the idempotency key {idempotency_key!r} belongs to submission {sent.id}, which is another one; "
                        "take a new key for each submission."
                    )
                return sent, sent.state == "received"
            system_id = _system(tx, system, account, account_id)
            table = tables.submission
            same = _entries_of(system_id, benchmark.id, benchmark.version)
            existing = tx.connection.scalar(sa.select(table.c.id).where(*same, table.c.content_sha256 == sha256))
            if existing is not None:
                return self._again(tx, existing, account, account_id, quota)
            if quota is not None:
                _check_quota(tx, account_id, benchmark.id, quota)
            submission_id = new_id()
            tx.connection.execute(
                table.insert().values(
                    id=submission_id,
                    benchmark=benchmark.id,
                    benchmark_version=benchmark.version,
                    system_id=system_id,
                    account_id=account_id,
                    idempotency_key=idempotency_key,
                    n_items=0,
                    state="received",
                    provenance="verified",
                    attempt_no=_next_attempt(tx, same),
                    created_at=tx.now,
                    updated_at=tx.now,
                    **row,
                )
            )
            detail = {"content_sha256": sha256, "system": system.name, "benchmark": benchmark.id, "version": benchmark.version}
            tx.record("submission", submission_id, "received", account, detail)
            return self._get(tx.connection, submission_id), True

        return self._db.transact(step)

    def _again(
        self, tx: Transaction, submission_id: str, account: str, account_id: str, quota: Quota | None
    ) -> tuple[Submission, bool]:
        """Receives a submission once more, where that can lead anywhere."""
        found = self._get(tx.connection, submission_id)
        if found.provenance != "verified" or found.state not in {"rejected", "failed", "withdrawn", "superseded"}:
            return found, found.state == "received"
        if quota is not None:  # it will be scored anew, whatever it cost before
            _check_quota(tx, account_id, found.benchmark, quota)
        attempt = _next_attempt(tx, _entries_of(found.system_id, found.benchmark, found.benchmark_version))
        self._set_state(tx, found, "received", account, {"reason": "sent again"}, attempt_no=attempt, created_at=tx.now)
        return self._get(tx.connection, submission_id), True

    def accept(
        self,
        submission_id: str,
        n_items: int,
        recipe: str,
        n_steps: int,
        warnings: Sequence[str] = (),
        note: Mapping[str, Any] | None = None,
    ) -> Submission:
        """Queues a received submission whose file is valid; one that is no longer `received` is returned as it is.

        Args:
            submission_id: which one.
            n_items: predictions that it holds.
            recipe: what it is to be scored with.
            n_steps: steps that scoring it takes.
            warnings: codes of oddities that do not stop it.
            note: header values of the file.
        """

        def step(tx: Transaction) -> Submission:
            found = self._get(tx.connection, submission_id)
            if found.state == "received":
                more: dict[str, Any] = {"n_items": n_items, "note_json": json.dumps(note or {}, sort_keys=True)}
                self._set_state(tx, found, "queued", SYSTEM, {"warnings": sorted(warnings)}, **more)
                _queue(tx, submission_id, recipe, n_steps)
            return self._get(tx.connection, submission_id)

        return self._db.transact(step)

    def reject(self, submission_id: str, report: bytes, code: str, text: str) -> Submission:
        """Rejects a received submission and keeps what was found; one that is no longer `received` is returned as it is.

        Args:
            submission_id: which one.
            report: all problems, as json.
            code: the first problem's code.
            text: one line for people.
        """
        sha256 = self.files.put(report, ".report.json")

        def step(tx: Transaction) -> Submission:
            found = self._get(tx.connection, submission_id)
            if found.state == "received":
                more = {"report_sha256": sha256, "error_code": code, "error": _storable(text)}
                self._set_state(tx, found, "rejected", SYSTEM, {"code": code, "report_sha256": sha256}, **more)
            return self._get(tx.connection, submission_id)

        return self._db.transact(step)

    def report(self, submission_id: str) -> bytes | None:
        """Returns the validation report of a rejected submission, None where there is none."""
        query = sa.select(tables.submission.c.report_sha256).where(tables.submission.c.id == submission_id)
        with self._db.reading() as connection:
            sha256 = connection.scalar(query)
        return self.files.read(sha256, ".report.json") if sha256 else None

    def waiting_for_validation(self, older_than_s: float, limit: int = 10) -> list[Submission]:
        """Returns submissions whose validation was cut off: received, and nothing happened since."""
        table = tables.submission
        now = self._db.now()
        late = sa.or_(table.c.updated_at <= now - older_than_s, table.c.updated_at > now + MAX_PAUSE_S)
        query = select_submissions().where(table.c.state == "received", late).order_by(table.c.updated_at, table.c.id)
        with self._db.reading() as connection:
            return [submission_of(row) for row in connection.execute(query.limit(limit))]

    def take_left_over(self, left: Submission, tries: int) -> bool:
        """Notes that a submission of `waiting_for_validation` is validated again, before that begins.

        What kills whoever validates it must not do so for ever: after `tries` times it is failed.

        Returns:
            False when it was failed, or somebody else works on it.
        """
        event = tables.event
        of_it = event.c.subject_id == left.id
        received = sa.select(sa.func.max(event.c.number)).where(of_it, event.c.kind == "received").scalar_subquery()
        earlier = sa.select(sa.func.count()).where(of_it, event.c.kind == "validating", event.c.number > received)

        def step(tx: Transaction) -> bool:
            one = tables.submission
            tx.connection.execute(sa.select(one.c.id).where(one.c.id == left.id).with_for_update())  # others wait, and look again
            found = self._get(tx.connection, left.id)
            if (found.state, found.updated_at) != ("received", left.updated_at):
                return False
            number = 1 + int(tx.connection.scalar(earlier) or 0)
            if number > tries:
                text = f"validation was cut off {tries} times, which is the hub's fault; send the file again"
                detail = {"code": "E_VALIDATION", "error": text}
                self._set_state(tx, found, "failed", SYSTEM, detail, error_code="E_VALIDATION", error=text)
                return False
            self._set_state(tx, found, "received", SYSTEM, {"try": number}, kind="validating")
            return True

        return self._db.transact(step)

    def get(self, submission_id: str) -> Submission:
        """Returns one submission.

        Raises:
            UnknownNameError: there is none of that id.
        """
        with self._db.reading() as connection:
            return self._get(connection, submission_id)

    def submissions(
        self,
        limit: int = 100,
        *,
        before: str | None = None,
        states: Sequence[str] = (),
        benchmark: str | None = None,
        account: str | None = None,
        system: str | None = None,
    ) -> list[Submission]:
        """Returns submissions, newest first.

        Args:
            limit: at most so many.
            before: only those older than this id: the cursor of the next page.
            states: only these states; empty for all.
            benchmark: only of this benchmark.
            account: only from this account.
            system: only of the system of this name.
        """
        table, query = tables.submission, select_submissions()
        if before is not None:
            query = query.where(table.c.id < before)
        if states:
            query = query.where(table.c.state.in_(states))
        if benchmark is not None:
            query = query.where(table.c.benchmark == benchmark)
        if account is not None:
            query = query.where(tables.account.c.name == account)
        if system is not None:
            query = query.where(tables.system.c.name == system)
        with self._db.reading() as connection:
            return [submission_of(row) for row in connection.execute(query.order_by(table.c.id.desc()).limit(limit))]

    def n_ahead(self, submission_id: str) -> int | None:
        """Returns how many jobs wait before a submission's; None when it does not wait."""
        job = tables.job
        with self._db.reading() as connection:
            own = connection.scalar(
                sa.select(sa.func.min(job.c.id)).where(job.c.submission_id == submission_id, job.c.state == "queued")
            )
            if own is None:
                return None
            return connection.scalar(sa.select(sa.func.count()).where(job.c.state == "queued", job.c.id < own))

    def counts(self) -> dict[str, int]:
        """Returns how many submissions there are in each state."""
        query = sa.select(tables.submission.c.state, sa.func.count()).group_by(tables.submission.c.state)
        with self._db.reading() as connection:
            return {str(state): int(count) for state, count in connection.execute(query)}

    def systems(self) -> list[tuple[System, str]]:
        """Returns every system and the account that it belongs to, by name."""
        query = (
            sa.select(tables.system, tables.account.c.name.label("account"))
            .join(tables.account, tables.account.c.id == tables.system.c.account_id)
            .order_by(tables.system.c.name)
        )
        with self._db.reading() as connection:
            return [(system_of(row), row.account) for row in connection.execute(query)]

    def withdraw(self, submission_id: str, actor: str) -> Submission:
        """Takes a submission back; its files and events stay.

        Raises:
            StateError: it was rejected, failed, or taken back before.
        """
        return self._take_off(submission_id, "withdrawn", actor, {"reason": "withdrawn by its owner"})

    def hide(self, submission_id: str, actor: str, reason: str) -> Submission:
        """Takes a submission off the board for an admin's reason, which is recorded.

        Raises:
            StateError: it was rejected, failed, or taken off before.
        """
        return self._take_off(submission_id, "hidden", actor, {"reason": reason})

    def _take_off(self, submission_id: str, state: str, actor: str, detail: Mapping[str, Any]) -> Submission:
        def step(tx: Transaction) -> Submission:
            found = self._get(tx.connection, submission_id)
            if found.state not in {"queued", "scoring", "published", "superseded", "received"}:
                raise StateError(submission_id, found.state, f"to be {state}")
            job = tables.job
            tx.connection.execute(
                job.update()
                .where(job.c.submission_id == submission_id, job.c.state.in_(("queued", "running")))
                .values(state="cancelled", owner=None, lease_until=None)
            )
            self._set_state(tx, found, state, actor, detail)
            return self._get(tx.connection, submission_id)

        return self._db.transact(step)

    def requeue(self, submission_id: str, actor: str, recipe: str, n_steps: int) -> Submission:
        """Scores a submission anew: after a failure, or to bring back a hidden, withdrawn or superseded one.

        Raises:
            StateError: it is rejected, or being received or scored.
        """

        def step(tx: Transaction) -> Submission:
            found = self._get(tx.connection, submission_id)
            if found.state not in {"failed", "hidden", "withdrawn", "superseded", "published"}:
                raise StateError(submission_id, found.state, "to be queued again")
            if found.provenance != "verified":  # there is nothing to score: its numbers came with it
                if found.state != "published":
                    self._publish(tx, found, {"reason": "brought back"}, actor)
                return self._get(tx.connection, submission_id)
            if found.state == "published":
                tx.record("submission", submission_id, "requeued", actor, {"recipe": recipe})
            else:
                self._set_state(tx, found, "queued", actor, {"reason": "queued again"})
            _queue(tx, submission_id, recipe, n_steps)
            return self._get(tx.connection, submission_id)

        return self._db.transact(step)

    def boards(self) -> list[tuple[str, int]]:
        """Returns id and version of every benchmark that something is published for."""
        table = tables.submission
        query = sa.select(table.c.benchmark, table.c.benchmark_version).where(table.c.state == "published").distinct()
        with self._db.reading() as connection:
            return sorted((row.benchmark, row.benchmark_version) for row in connection.execute(query))

    def rescore(self, benchmark: Benchmark, n_steps: int, actor: str = SYSTEM) -> int:
        """Queues every published submission of a benchmark that was not scored by its present recipe.

        Their results stay on the board until the new ones commit.

        Returns:
            How many were queued.
        """

        def step(tx: Transaction) -> int:
            ids = list(tx.connection.scalars(_outdated(benchmark)))
            for submission_id in ids:
                _queue(tx, submission_id, benchmark.recipe, n_steps)
                tx.record("submission", submission_id, "requeued", actor, {"recipe": benchmark.recipe})
            return len(ids)

        return self._db.transact(step)

    def outdated(self, benchmark: Benchmark) -> list[str]:
        """Returns the ids of the submissions that `rescore` would queue, oldest first."""
        with self._db.reading() as connection:
            return list(connection.scalars(_outdated(benchmark)))

    # -- boards --------------------------------------------------------------------------------------------------------------

    def revision(self, benchmark: Benchmark) -> int:
        """Returns a number that grows whenever the board of a benchmark changes; 0 before the first change."""
        board = tables.board
        query = sa.select(board.c.revision).where(
            board.c.benchmark == benchmark.id, board.c.benchmark_version == benchmark.version
        )
        with self._db.reading() as connection:
            return int(connection.scalar(query) or 0)

    def roster(self, benchmark: Benchmark) -> list[Entry]:
        """Returns the published submissions of a benchmark version, oldest first, with their systems."""
        query = select_submissions(*(column.label(f"about_{column.name}") for column in tables.system.c)).where(
            *_on_board(benchmark)
        )
        with self._db.reading() as connection:
            rows = connection.execute(query.order_by(tables.submission.c.id)).all()
        return [Entry(submission_of(row), system_of(row, "about_"), row.attempt_no) for row in rows]

    def results(self, submission_ids: Iterable[str]) -> dict[str, list[ResultRow]]:
        """Returns all numbers of submissions, those of older signatures too, oldest first."""
        table, ids = tables.result, sorted(submission_ids)
        found: dict[str, list[ResultRow]] = {id_: [] for id_ in ids}
        columns = [table.c[one.name] for one in fields(ResultRow)]
        with self._db.reading() as connection:
            for start in range(0, len(ids), _SQL_LIST):
                query = (
                    sa.select(table.c.submission_id, *columns)
                    .where(table.c.submission_id.in_(ids[start : start + _SQL_LIST]))
                    .order_by(table.c.created_at, table.c.submission_id, table.c.metric, table.c.scope, table.c.name)
                )
                for row in connection.execute(query):
                    found[row[0]].append(ResultRow(*row[1:]))
        return found

    # -- events --------------------------------------------------------------------------------------------------------------

    def events(self, subject_id: str, after: int = 0) -> list[dict[str, Any]]:
        """Returns what happened to a submission, benchmark or system, in order.

        Each event has `number`, `kind`, `actor`, `at` (seconds since 1970 UTC) and `detail`.
        """
        table = tables.event
        query = sa.select(table).where(table.c.subject_id == subject_id, table.c.number > after)
        return self._events(query.order_by(table.c.number))

    def newest_events(self, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
        """Returns the newest events of the whole hub, oldest first; each has `subject` and `subject_id` too."""
        table = tables.event
        query = sa.select(table).where(table.c.number > after)
        return self._events(query.order_by(table.c.number.desc()).limit(limit))[::-1]

    def events_after(self, after: int, limit: int = 100) -> list[dict[str, Any]]:
        """Returns the oldest events of the whole hub behind number `after`, as `newest_events` does."""
        table = tables.event
        return self._events(sa.select(table).where(table.c.number > after).order_by(table.c.number).limit(limit))

    def _events(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._db.reading() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def n_events(self) -> int:
        """Returns how many events there are."""
        with self._db.reading() as connection:
            return int(connection.scalar(sa.select(tables.chain.c.number)) or 0)

    def verify_events(self) -> int:
        """Checks the hash chain over all events and returns how many there are.

        Raises:
            StateError: an event was changed, removed or inserted.
        """
        previous, number = "", 0
        with self._db.reading() as connection:
            for number, row in enumerate(connection.execute(sa.select(tables.event).order_by(tables.event.c.number)), start=1):
                *values, sha256 = row
                previous = event_sha256(previous, *values)
                if row.number != number or sha256 != previous:
                    raise StateError(row.subject_id, f"recorded by event {row.number}, which was altered", "trusting its log")
            end = connection.execute(sa.select(tables.chain.c.number, tables.chain.c.sha256)).one_or_none()
            if end is None or tuple(end) != (number, previous):
                said = "unknown" if end is None else f"{end.number:,}"
                raise StateError("log", f"recorded by {number:,} events, not {said} as its end says", "trusting its log")
        return number

    # -- the queue -----------------------------------------------------------------------------------------------------------

    def n_unfinished(self) -> int:
        """Returns how many submissions are being validated or wait, and how many jobs are queued or running."""
        received = sa.select(sa.func.count()).where(tables.submission.c.state == "received").scalar_subquery()
        jobs = sa.select(sa.func.count()).where(tables.job.c.state.in_(("queued", "running"))).scalar_subquery()
        with self._db.reading() as connection:
            return int(connection.scalar(sa.select(received + jobs)) or 0)

    def queue(self) -> tuple[int, int, float]:
        """Returns how many jobs wait, how many are being scored, and the seconds that the oldest waiting one has waited.

        A job whose worker fell silent waits from the end of its lease.
        """
        job, now = tables.job, self._db.now()
        is_held = sa.and_(job.c.state == "running", job.c.lease_until >= now)
        since = sa.case((job.c.state == "queued", job.c.created_at), else_=job.c.lease_until)
        query = (
            sa.select(is_held.label("is_held"), sa.func.count(), sa.func.min(since))
            .where(job.c.state.in_(("queued", "running")))
            .group_by(sa.text("is_held"))
        )
        with self._db.reading() as connection:
            found = {bool(held): (int(n), float(first)) for held, n, first in connection.execute(query)}
        waiting, first = found.get(False, (0, now))
        return waiting, found.get(True, (0, now))[0], max(0.0, now - first)

    def check_writable(self) -> None:
        """Begins and ends a writing transaction.

        Raises:
            UnavailableError: the database is locked, full or away.
        """
        self._db.transact(lambda _tx: None)

    def claim(self, owner: str, lease_s: float) -> Job | None:
        """Gives the oldest waiting job, or one whose worker fell silent, to `owner`.

        Args:
            owner: the worker.
            lease_s: how long the job is its own without a sign of life, `MAX_LEASE_S` at most.

        Returns:
            The job, None when none is waiting.
        """
        job = tables.job

        def step(tx: Transaction) -> Job | None:
            now = tx.now
            silent = sa.or_(job.c.lease_until < now, job.c.lease_until > now + MAX_LEASE_S)
            due = sa.or_(job.c.not_before <= now, job.c.not_before > now + MAX_PAUSE_S)
            ready = sa.or_(sa.and_(job.c.state == "queued", due), sa.and_(job.c.state == "running", silent))
            oldest = sa.select(job.c.id).where(ready).order_by(job.c.id).limit(1).with_for_update(skip_locked=True)
            row = tx.connection.execute(
                job.update()
                .where(job.c.id == oldest.scalar_subquery())
                .values(
                    state="running",
                    owner=owner,
                    lease_until=now + min(lease_s, MAX_LEASE_S),
                    attempt=job.c.attempt + 1,
                    expirations=job.c.expirations + sa.case((job.c.state == "running", 1), else_=0),
                    progress_done=0,
                )
                .returning(job.c.id, job.c.submission_id, job.c.attempt, job.c.recipe, job.c.expirations)
            ).one_or_none()
            if row is None:
                return None
            claimed = Job(row.id, row.submission_id, owner, row.attempt, row.recipe)
            if row.expirations >= MAX_EXPIRATIONS:
                self._fail(tx, claimed, "E_WORKERS_DIED", f"{row.expirations} workers died while they scored it")
                return None
            found = self._get(tx.connection, row.submission_id)
            detail = {"attempt": row.attempt, "expirations": row.expirations, "owner": owner}
            if found.state in {"queued", "scoring"}:
                self._set_state(tx, found, "scoring", SYSTEM, detail)
            else:
                tx.record("submission", row.submission_id, "rescoring", SYSTEM, detail)
            return claimed

        return self._db.transact(step)

    def renew(self, job: Job, lease_s: float, progress_done: int) -> bool:
        """Extends a lease and notes the progress; False when the job is no longer this worker's."""

        def step(tx: Transaction) -> bool:
            values = {"lease_until": tx.now + min(lease_s, MAX_LEASE_S), "progress_done": progress_done}
            return tx.connection.execute(tables.job.update().where(_held(job)).values(**values)).rowcount == 1

        return self._db.transact(step)

    def release(self, job: Job) -> bool:
        """Puts a job back at once, because its worker was asked to end."""

        def step(tx: Transaction) -> bool:
            values = {"state": "queued", "owner": None, "lease_until": None, "not_before": 0.0}
            if tx.connection.execute(tables.job.update().where(_held(job)).values(**values)).rowcount != 1:
                return False
            self._back_to_queue(tx, job, {"reason": "the worker was asked to end"})
            return True

        return self._db.transact(step)

    def finish(self, job: Job, results: Sequence[ResultRow], recipe: str | None = None) -> bool:
        """Publishes: results, job and submission in one transaction.

        Of a system's submissions to a benchmark the newest attempt stays on the board; older ones are superseded. Results that
        are there already are left as they are.

        Args:
            job: the claim.
            results: its numbers.
            recipe: what they were made with, where that is not what the job asks for: a worker of another version of this package
                scores with its own metrics. The job keeps that recipe, so that the submission is scored again by the present one.

        Returns:
            False when the job was given to another worker or cancelled meanwhile; then nothing is written.
        """

        def step(tx: Transaction) -> bool:
            values: dict[str, Any] = {"state": "done", "lease_until": None, "last_error": None}
            values["progress_done"] = tables.job.c.progress_total
            if recipe not in {None, job.recipe} and not _has_job(tx, job.submission_id, str(recipe)):
                values["recipe"] = recipe
            if tx.connection.execute(tables.job.update().where(_held(job)).values(**values)).rowcount != 1:
                return False
            found = self._get(tx.connection, job.submission_id)
            self._write_results(tx, job.submission_id, results)
            digests = sorted({f"{row.metric}:{row.digest}" for row in results})
            detail = {"attempt": job.attempt, "recipe": recipe or job.recipe, "signatures": digests}
            if found.state == "scoring":
                self._publish(tx, found, detail)
            else:
                tx.connection.execute(
                    tables.submission.update().where(tables.submission.c.id == found.id).values(updated_at=tx.now)
                )
                tx.record("submission", found.id, "rescored", SYSTEM, detail)
                _touch_board(tx, found.benchmark, found.benchmark_version)
            return True

        return self._db.transact(step)

    def publish_reported(
        self,
        benchmark: Benchmark,
        system: System,
        content: bytes,
        suffix: str,
        results: Sequence[ResultRow],
        *,
        account: str = LOCAL_ACCOUNT,
        note: Mapping[str, Any] | None = None,
        quota: Quota | None = None,
    ) -> tuple[Submission, bool]:
        """Publishes numbers that a system's authors report: file, results and state in one transaction; nothing is scored.

        They are no attempt, and stand on the board without a rank as long as nothing of the system that was scored here does.
        Newer reports supersede older ones.

        Args:
            benchmark: what they are about.
            system: what its owner says about the system; created when new, updated else.
            content: the raw bytes of the report.
            suffix: the file's ending.
            results: the numbers.
            account: who reports.
            note: where the numbers come from.
            quota: how many submissions are allowed; None for any number.

        Returns:
            The submission, and whether it is new. The same bytes again return the first one, which comes back to the board
            where it was withdrawn, or superseded by what is gone now.

        Raises:
            LimitError: the account's quota is used up.
            RightsError: the system belongs to another account.
            StateError: the same bytes were sent as predictions before.
            StorageError: the disk is full.
        """
        sha256 = self.files.put(content, suffix)
        table = tables.submission

        def step(tx: Transaction) -> tuple[Submission, bool]:
            account_id = _account(tx, account)
            system_id = _system(tx, system, account, account_id)
            same = _entries_of(system_id, benchmark.id, benchmark.version)
            existing = tx.connection.scalar(sa.select(table.c.id).where(*same, table.c.content_sha256 == sha256))
            if existing is not None:
                found = self._get(tx.connection, existing)
                if found.provenance == "verified":
                    raise StateError(found.id, f"{found.state}: the same bytes were sent as predictions", "to be a report")
                if found.state != "withdrawn" and not (found.state == "superseded" and not _published(tx, found)):
                    return found, False
            if quota is not None:
                _check_quota(tx, account_id, benchmark.id, quota)
            if existing is None:
                submission_id = new_id()
                values = {
                    "benchmark": benchmark.id,
                    "benchmark_version": benchmark.version,
                    "system_id": system_id,
                    "content_sha256": sha256,
                    "account_id": account_id,
                    "file_suffix": suffix,
                    "n_items": 0,
                    "state": "received",
                    "provenance": "self_reported",
                    "attempt_no": 0,
                    "note_json": json.dumps(note or {}, sort_keys=True),
                }
                tx.connection.execute(table.insert().values(id=submission_id, created_at=tx.now, updated_at=tx.now, **values))
                found = self._get(tx.connection, submission_id)
            self._write_results(tx, found.id, results)
            detail = {"content_sha256": sha256, "system": system.name, "benchmark": benchmark.id, "version": benchmark.version}
            self._publish(tx, found, {**detail, "provenance": "self_reported"}, account)
            return self._get(tx.connection, found.id), existing is None

        return self._db.transact(step)

    def _write_results(self, tx: Transaction, submission_id: str, results: Sequence[ResultRow]) -> None:
        table = tables.result
        key = (table.c.metric, table.c.name, table.c.scope, table.c.digest)
        there = set(map(tuple, tx.connection.execute(sa.select(*key).where(table.c.submission_id == submission_id))))
        fresh = [row for row in results if (row.metric, row.name, row.scope, row.digest) not in there]
        if fresh:
            common = {"submission_id": submission_id, "created_at": tx.now}
            tx.connection.execute(table.insert(), [{**vars(row), **common} for row in fresh])

    def _publish(self, tx: Transaction, found: Submission, detail: Mapping[str, Any], actor: str = SYSTEM) -> None:
        """Puts a submission on the board; of a system's submissions one stays there: what was scored here, then the newest."""
        # two workers that publish one system's submissions take turns: each has to see what the other one published
        tx.connection.execute(
            sa.select(tables.system.c.id).where(tables.system.c.id == found.system_id).with_for_update(key_share=True)
        )
        siblings = _published(tx, found)
        self._set_state(tx, found, "published", actor, detail)
        published = self._get(tx.connection, found.id)
        for other in siblings:
            old, new = sorted((other, published), key=lambda one: (one.provenance == "verified", one.attempt_no))
            self._set_state(tx, old, "superseded", SYSTEM, {"by": new.id}, superseded_by=new.id)

    def fail(self, job: Job, error: str, max_attempts: int, *, code: str = "E_SCORING", counts: bool = True) -> bool:
        """Notes a scoring error: back to the queue with a growing pause, or failed after `max_attempts` of them.

        Args:
            job: the claim.
            error: what went wrong, for people.
            max_attempts: after how many errors it is failed.
            code: what went wrong, for machines.
            counts: False for troubles of the machine, such as a full disk, which never fail a submission.

        Returns:
            False when the job was given to another worker meanwhile; then nothing is written.
        """
        error = _storable(error)

        def step(tx: Transaction) -> bool:
            errors = tx.connection.scalar(sa.select(tables.job.c.errors).where(_held(job)).with_for_update())
            if errors is None:
                return False
            errors += counts
            if errors >= max_attempts:
                self._fail(tx, job, code, error, errors=errors)
                return True
            # troubles of the machine have no count of their own: claims tell how long they have been going on
            doublings = errors - 1 if counts else min(job.attempt, 10)
            pause_s = min(BACKOFF_S * 2 ** max(0, doublings), MAX_PAUSE_S / 2)
            values = {"state": "queued", "owner": None, "lease_until": None, "errors": errors, "last_error": error}
            tx.connection.execute(tables.job.update().where(_held(job)).values(**values, not_before=tx.now + pause_s))
            self._back_to_queue(tx, job, {"code": code, "error": error, "errors": errors, "pause_s": pause_s})
            return True

        return self._db.transact(step)

    # -- inside a transaction ------------------------------------------------------------------------------------------------

    def _fail(self, tx: Transaction, job: Job, code: str, error: str, **more: Any) -> None:
        values = {"state": "failed", "lease_until": None, "last_error": error, **more}
        tx.connection.execute(tables.job.update().where(_held(job)).values(**values))
        found = self._get(tx.connection, job.submission_id)
        detail = {"attempt": job.attempt, "code": code, "error": error}
        if found.state == "scoring":
            self._set_state(tx, found, "failed", SYSTEM, detail, error_code=code, error=error)
        else:  # what was on the board stays there
            tx.record("submission", found.id, "rescoring failed", SYSTEM, detail)

    def _back_to_queue(self, tx: Transaction, job: Job, detail: Mapping[str, Any]) -> None:
        found = self._get(tx.connection, job.submission_id)
        if found.state == "scoring":
            self._set_state(tx, found, "queued", SYSTEM, detail)
        else:
            tx.record("submission", found.id, "requeued", SYSTEM, detail)

    def _set_state(
        self,
        tx: Transaction,
        found: Submission,
        state: str,
        actor: str,
        detail: Mapping[str, Any],
        *,
        kind: str | None = None,
        **more: Any,
    ) -> None:
        """Moves a submission on; where it moved meanwhile, the whole step is tried again with what it is now."""
        table = tables.submission
        none = dict.fromkeys(("error", "error_code", "report_sha256", "superseded_by"))
        values = {"state": state, "updated_at": tx.now, **none, **more}
        moved = tx.connection.execute(table.update().where(table.c.id == found.id, table.c.state == found.state).values(**values))
        if moved.rowcount != 1:
            raise Collision(f"submission {found.id} moved on again and again; try again.")
        if "published" in {state, found.state}:
            _touch_board(tx, found.benchmark, found.benchmark_version)
        tx.record("submission", found.id, kind or state, actor, detail)

    @staticmethod
    def _get(connection: Connection, submission_id: str) -> Submission:
        row = connection.execute(select_submissions().where(tables.submission.c.id == submission_id)).one_or_none()
        if row is None:
            raise UnknownNameError("submission", submission_id, ())
        return submission_of(row)

    # -- copies --------------------------------------------------------------------------------------------------------------

    def dump(self) -> Iterator[Row]:
        """Yields table name and row of everything, as it was at one moment, parents before children."""
        return copies.dump(self._db)

    def changes(self, after: int, limit: int) -> Changes | None:
        """Returns up to `limit` events behind number `after` and the rows that they are about, None when there are none."""
        return copies.changes(self._db, after, limit)

    def load(self, rows: Iterable[Row]) -> int:
        """Fills an empty database with rows of `dump` or `changes` and returns how many there are.

        Raises:
            StateError: the events do not form a chain.
            InputError: the database is not empty, or a row is of no table of ours.
        """
        return copies.load(self._db, rows)

    def log_end(self) -> tuple[int, str]:
        """Returns the number and the sha256 of the last event; 0 and an empty text before the first."""
        return copies.log_end(self._db)

    def log_sha256(self, number: int) -> str | None:
        """Returns the sha256 of an event; None when there is none of that number."""
        return copies.log_sha256(self._db, number)


def _account(tx: Transaction, name: str) -> str:
    """Returns the id of an account, which is locked until the commit; creates it when it is new."""
    table = tables.account
    found = tx.connection.scalar(sa.select(table.c.id).where(table.c.name == name).with_for_update())
    if found is None:
        found = new_id()
        tx.connection.execute(table.insert().values(id=found, name=name, created_at=tx.now))
    return str(found)


def _by_key(connection: Connection, account_id: str, key: str | None) -> str | None:
    if key is None:
        return None
    table = tables.submission
    found = sa.select(table.c.id).where(table.c.account_id == account_id, table.c.idempotency_key == key)
    return connection.scalar(found)


def _system(tx: Transaction, system: System, account: str, account_id: str) -> str:
    """Returns the id of a system; creates it when it is new, takes over what its owner says anew."""
    table = tables.system
    values = {key: value for key, value in vars(system).items() if key != "training_data"}
    values["training_data_json"] = json.dumps(list(system.training_data))
    row = tx.connection.execute(sa.select(table).where(table.c.name == system.name)).one_or_none()
    if row is None:
        system_id = new_id()
        times = {"created_at": tx.now, "updated_at": tx.now}
        tx.connection.execute(table.insert().values(id=system_id, account_id=account_id, **values, **times))
        return system_id
    if row.account_id != account_id:
        raise RightsError(f"a system called {system.name!r} belongs to somebody else; choose another name.")
    # a sender who says nothing takes nothing back
    said = {key: value for key, value in values.items() if value not in (None, "", "[]") and getattr(row, key) != value}
    if said:
        tx.connection.execute(table.update().where(table.c.id == row.id).values(**said, updated_at=tx.now))
        tx.record("system", row.id, "described", account, said)
        _touch_boards_of(tx, row.id)
    return str(row.id)


def _check_words(suffix: str, idempotency_key: str | None) -> None:
    """Refuses what one database keeps and another one does not."""
    if len(suffix) > MAX_SUFFIX:
        raise InputError(f"the file ends in {shorten(suffix)}; expected at most {MAX_SUFFIX} characters, such as .jsonl.gz.")
    key = idempotency_key
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise InputError(f"the idempotency key is {shorten(key)}; expected 1 to {MAX_KEY} printable characters.")


def _storable(text: str) -> str:
    """Returns text as every database takes it: without NUL and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _entries_of(system_id: str, benchmark: str, version: int) -> tuple[sa.ColumnElement[bool], ...]:
    """True for the submissions of a system to a benchmark version."""
    table = tables.submission
    return table.c.system_id == system_id, table.c.benchmark == benchmark, table.c.benchmark_version == version


def _next_attempt(tx: Transaction, same: Iterable[sa.ColumnElement[bool]]) -> int:
    """Returns the number of a system's next attempt; rejected files are none."""
    table = tables.submission
    newest = sa.select(sa.func.max(table.c.attempt_no)).where(*same, table.c.state != "rejected")
    return (tx.connection.scalar(newest) or 0) + 1


def _check_quota(tx: Transaction, account_id: str, benchmark: str, quota: Quota) -> None:
    table = tables.submission
    recent = sa.select(table.c.created_at).where(
        table.c.account_id == account_id,
        table.c.benchmark == benchmark,
        table.c.state.in_((*COUNTED, "received")),
        table.c.created_at > tx.now - DAY_S,
    )
    times = sorted(tx.connection.scalars(recent))
    if len(times) >= quota.per_day:
        ends = times[-quota.per_day] if quota.per_day > 0 else tx.now  # none at all are allowed where a hub is closed
        retry_after_s = max(1.0, ends + DAY_S - tx.now)
        raise LimitError(
            f"{len(times):,} submissions to {benchmark} within 24 hours; {quota.per_day:,} are allowed. The next one is possible "
            f"in {retry_after_s / 3600:.1f} hours. Rejected files and failures of the hub do not count.",
            retry_after_s,
        )


def _queue(tx: Transaction, submission_id: str, recipe: str, n_steps: int) -> None:
    """Puts the job of a submission and recipe into the queue, whatever became of it before."""
    table = tables.job
    fresh = {
        "state": "queued",
        "owner": None,
        "lease_until": None,
        "errors": 0,
        "expirations": 0,
        "not_before": 0.0,
        "progress_done": 0,
        "progress_total": n_steps,
        "last_error": None,
        "created_at": tx.now,  # whoever waits, waits from here
    }
    same = (table.c.submission_id == submission_id, table.c.recipe == recipe)
    if tx.connection.execute(table.update().where(*same).values(**fresh)).rowcount == 0:
        tx.connection.execute(table.insert().values(id=new_id(), submission_id=submission_id, recipe=recipe, attempt=0, **fresh))


def _has_job(tx: Transaction, submission_id: str, recipe: str) -> bool:
    table = tables.job
    same = sa.select(table.c.id).where(table.c.submission_id == submission_id, table.c.recipe == recipe)
    return tx.connection.scalar(same) is not None


def _touch_board(tx: Transaction, benchmark: str, version: int) -> None:
    table = tables.board
    same = (table.c.benchmark == benchmark, table.c.benchmark_version == version)
    raised = tx.connection.execute(table.update().where(*same).values(revision=table.c.revision + 1))
    if raised.rowcount == 0:
        tx.connection.execute(table.insert().values(benchmark=benchmark, benchmark_version=version, revision=1))


def _touch_boards_of(tx: Transaction, system_id: str) -> None:
    table = tables.submission
    shown = (table.c.system_id == system_id, table.c.state == "published")
    boards = sa.select(table.c.benchmark, table.c.benchmark_version).where(*shown).distinct()
    for benchmark, version in tx.connection.execute(boards).all():
        _touch_board(tx, benchmark, version)


def _on_board(benchmark: Benchmark) -> tuple[sa.ColumnElement[bool], ...]:
    table = tables.submission
    return (
        table.c.benchmark == benchmark.id,
        table.c.benchmark_version == benchmark.version,
        table.c.state == "published",
    )


def _published(tx: Transaction, of: Submission) -> list[Submission]:
    """Returns the published submissions of the same system to the same benchmark version."""
    same = _entries_of(of.system_id, of.benchmark, of.benchmark_version)
    query = select_submissions().where(*same, tables.submission.c.state == "published")
    return [submission_of(row) for row in tx.connection.execute(query).all()]


def _outdated(benchmark: Benchmark) -> sa.Select[Any]:
    table, job = tables.submission, tables.job
    known = sa.select(job.c.submission_id).where(job.c.recipe == benchmark.recipe, job.c.state != "failed")
    return (
        sa.select(table.c.id)
        .where(*_on_board(benchmark), table.c.provenance == "verified", table.c.id.not_in(known))
        .order_by(table.c.id)
    )


def _held(job: Job) -> sa.ColumnElement[bool]:
    """The fence: true for the job's row only while this claim is the current one."""
    return sa.and_(
        tables.job.c.id == job.id,
        tables.job.c.state == "running",
        tables.job.c.owner == job.owner,
        tables.job.c.attempt == job.attempt,
    )
