"""Connections: SQLite by default, PostgreSQL by URL; one transaction per step, tried again where two of them collided.

Conventions: times are seconds since 1970-01-01 UTC, by the clock of the PostgreSQL server where there is one, so that machines
need not agree on theirs. A writing transaction on SQLite takes the write lock at once, so that none fails half-way
for it. Events are appended last, so that all transactions lock rows in the same order.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from ...dataset_scripts.errors import InputError, UnavailableError
from . import tables

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 30
TRIES = 8
_PAUSE_S = 0.02
_MIGRATION_LOCK = 0x75616300  # any number that nobody else takes
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "9p"}

_DUPLICATES = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}

_EXPECTED = "expected sqlite:///path/to/hub.db or postgresql://user@host/name"

T = TypeVar("T")


@dataclass
class Transaction:
    """A writing transaction and the events that it will append.

    Attributes:
        connection: runs statements.
        now: the time of the transaction.
        events: subject, its id, kind, actor and detail of what is appended at the end.
    """

    connection: Connection
    now: float
    events: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def record(self, subject: str, subject_id: str, kind: str, actor: str, detail: Mapping[str, Any]) -> None:
        """Notes an event of this transaction."""
        self.events.append((subject, subject_id, kind, actor, json.dumps(detail, sort_keys=True)))

    def append_events(self) -> None:
        """Writes the events behind the chain's end, which is locked from here to the commit."""
        if not self.events:
            return
        chain = tables.chain
        end = self.connection.execute(sa.select(chain.c.number, chain.c.sha256).with_for_update()).one()
        number, previous = end.number, end.sha256
        for subject, subject_id, kind, actor, detail_json in self.events:
            number += 1
            row = (number, subject, subject_id, kind, actor, detail_json, self.now)
            previous = event_sha256(previous, *row)
            columns = ("number", "subject", "subject_id", "kind", "actor", "detail_json", "at")
            self.connection.execute(tables.event.insert().values(**dict(zip(columns, row, strict=True)), sha256=previous))
        self.connection.execute(chain.update().values(number=number, sha256=previous))


def event_sha256(
    previous: str, number: int, subject: str, subject_id: str, kind: str, actor: str, detail_json: str, at: float
) -> str:
    """Returns the hash of an event, which covers the hash of the one before."""
    payload = json.dumps([previous, number, subject, subject_id, kind, actor, detail_json, repr(at)])
    return hashlib.sha256(payload.encode()).hexdigest()


class Database:
    """One database, with its tables at the newest migration.

    Args:
        url: `sqlite:///path/to/hub.db` or `postgresql://user@host/name`.
        now: the clock; None for the server's, of SQLite this machine's.

    Raises:
        InputError: the URL is of no database that a hub can use.
        UnavailableError: the database does not answer.
    """

    def __init__(self, url: str, now: Callable[[], float] | None = None) -> None:
        parsed = _parsed(url)
        self.path = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.engine = _sqlite_engine(url, self.path)
        else:
            self.engine = _postgres_engine(parsed)
        self._clock = time.time if now is None and self.is_sqlite else now
        with _telling():
            self._migrate()

    @property
    def is_sqlite(self) -> bool:
        """Tells whether it is a file on this machine."""
        return self.path is not None

    def transact(self, step: Callable[[Transaction], T]) -> T:
        """Runs a step in one writing transaction, again where another one came first.

        Raises:
            UnavailableError: the database is locked, full or away; nothing was changed.
        """
        for tries in range(1, TRIES + 1):
            try:
                with _telling(), self.engine.connect() as opened:
                    connection = opened.execution_options(is_writing=True)
                    with connection.begin():
                        transaction = Transaction(connection, self._now(connection))
                        done = step(transaction)
                        transaction.append_events()
                    return done
            except Collision:
                if tries == TRIES:
                    raise
            time.sleep(random.uniform(0, _PAUSE_S * 2**tries))  # noqa: S311 # a pause is no secret
        raise AssertionError("a step ends or raises")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Gives a connection on which all statements see the same state.

        Raises:
            UnavailableError: the database is locked or away.
        """
        with _telling(), self.engine.connect() as opened:
            options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            connection = opened.execution_options(**options)
            with connection.begin():
                yield connection

    def now(self) -> float:
        """Returns the time.

        Raises:
            UnavailableError: the server that knows it is away.
        """
        if self._clock is not None:
            return self._clock()
        with self.reading() as connection:
            return self._now(connection)

    def _now(self, connection: Connection) -> float:
        if self._clock is not None:
            return self._clock()
        return float(connection.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))

    def dispose(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    def _migrate(self) -> None:
        """Brings the tables to the newest migration; processes that start together take turns.

        Where they are at it already nothing is locked: a process that scores may start while another one writes.
        """
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self.engine.connect() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                return
        with self._turn(), self.engine.connect() as opened:
            connection = opened.execution_options(is_writing=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        from filelock import FileLock

        with FileLock(self.path.with_name(f"{self.path.name}.lock")):
            yield


class Collision(UnavailableError):
    """Two transactions wanted the same; the one that lost may try again."""


@contextmanager
def _telling() -> Iterator[None]:
    """Turns what a driver raises into words."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        if not _is_duplicate(error.orig):
            raise  # a rule of the tables was broken: that is no collision, and trying again helps nobody
        raise Collision(f"two changes of the hub's database collided again and again ({error.orig}); try again.") from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in {"40001", "40P01"}:
            raise Collision("two changes of the hub's database collided again and again; try again.") from error
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        raise UnavailableError(f"the hub's database does not answer ({reason}); nothing was changed, try again soon.") from error


def _is_duplicate(error: object) -> bool:
    """Tells whether two transactions wrote the same key."""
    return getattr(error, "sqlstate", None) == "23505" or getattr(error, "sqlite_errorname", "") in _DUPLICATES


def _parsed(url: str) -> sa.URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        # whatever stands before an @ may be a password
        shown = url.rpartition("@")[2]
        raise InputError(f"the database URL is {shown!r}; {_EXPECTED}.") from None
    shown = parsed.render_as_string(hide_password=True)
    kind = parsed.get_backend_name()
    is_file = kind == "sqlite" and parsed.database and parsed.database != ":memory:"
    if not is_file and not (kind == "postgresql" and parsed.database):
        raise InputError(f"the database is {shown!r}; {_EXPECTED}.")
    return parsed


def _postgres_engine(url: sa.URL) -> Engine:
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args={"connect_timeout": 10, "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s -c timezone=UTC"},
    )


def _sqlite_engine(url: str, path: Path) -> Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    # a write-ahead log needs memory that all processes share, which network mounts do not give
    journal = "DELETE" if _is_on_network(path) else "WAL"

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver starts no transaction of its own; `_begin` does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode={journal}")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _is_on_network(path: Path) -> bool:
    """Tells whether a path lies on a mount that other machines share (Linux; elsewhere nobody knows)."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return False
    place, best, kind = str(path.resolve()), "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, target, found, *_ = line.split(" ")
        if len(target) > len(best) and (place == target or place.startswith(target.rstrip("/") + "/")):
            best, kind = target, found
    return kind in _NETWORK_FILE_SYSTEMS
