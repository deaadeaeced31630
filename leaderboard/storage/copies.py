"""Copies of a hub's database: all of it at one moment, what changed since an event, and an empty database filled from either.

A row travels as its table's name and plain values, so that SQLite and PostgreSQL read each other's copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...dataset_scripts.errors import InputError, StateError
from . import tables
from .database import Database, Transaction, event_sha256

Row = tuple[str, Mapping[str, Any]]
# a system has one submission on a board; more than one is superseded at once only where two were published at the same moment
_MOST_SUPERSEDED = 10


@dataclass(frozen=True)
class Changes:
    """What happened between two events.

    Attributes:
        rows: table name and row, parents before children, events last.
        first: number of the first event.
        last: number of the last one.
        end: its sha256: where the chain stands.
    """

    rows: list[Row]
    first: int
    last: int
    end: str


def dump(db: Database) -> Iterator[Row]:
    """Yields table name and row of everything, as it was at one moment, parents before children."""
    with db.reading() as connection:
        for table in tables.metadata.sorted_tables:
            yield from _rows(connection, table)


def log_end(db: Database) -> tuple[int, str]:
    """Returns the number and the sha256 of the last event; 0 and an empty text before the first."""
    with db.reading() as connection:
        row = connection.execute(sa.select(tables.chain.c.number, tables.chain.c.sha256)).one_or_none()
    return (0, "") if row is None else (int(row.number), str(row.sha256))


def log_sha256(db: Database, number: int) -> str | None:
    """Returns the sha256 of an event; None when there is none of that number."""
    with db.reading() as connection:
        return connection.scalar(sa.select(tables.event.c.sha256).where(tables.event.c.number == number))


def changes(db: Database, after: int, limit: int) -> Changes | None:
    """Returns the events behind number `after`, and the rows that they are about.

    A submission whose story goes on behind the last of these events is left to the batch that holds its newest one, so that
    batches up to any event show every submission as it was then.

    Args:
        db: the database.
        after: number of the last event that is known.
        limit: at most so many events; only those that belong together with the last one may come on top.

    Returns:
        The changes, None when there are none.
    """
    event = tables.event
    behind = sa.select(event).where(event.c.number > after).order_by(event.c.number)
    with db.reading() as connection:
        events = list(connection.execute(behind.limit(limit)).mappings())
        if not events:
            return None
        for row in connection.execute(behind.offset(limit).limit(_MOST_SUPERSEDED)).mappings():
            if row["kind"] != "superseded":  # that is one step with the publication before it
                break
            events.append(row)
        rows = list(_rows_about(connection, events))
    last = events[-1]
    return Changes([*rows, *(("event", dict(row)) for row in events)], events[0]["number"], last["number"], last["sha256"])


def _rows_about(connection: Connection, events: list[sa.RowMapping]) -> Iterator[Row]:
    ids: dict[str, set[str]] = {"submission": set(), "benchmark": set(), "system": set()}
    for row in events:
        ids[row["subject"]].add(row["subject_id"])
    event, submission, system = tables.event, tables.submission, tables.system
    later = sa.select(event.c.subject_id).where(event.c.number > events[-1]["number"], event.c.subject_id.in_(ids["submission"]))
    submissions = sorted(ids["submission"] - set(connection.scalars(later)))
    systems = sorted(ids["system"] | _all(connection, submission.c.system_id, submission.c.id.in_(submissions)))
    senders = _all(connection, submission.c.account_id, submission.c.id.in_(submissions))
    owners = _all(connection, system.c.account_id, system.c.id.in_(systems))
    # what is said about a system is shown on every board that it is on
    boards = _all(connection, submission.c.benchmark, submission.c.system_id.in_(systems))
    chosen = {
        tables.account: tables.account.c.id.in_(sorted(senders | owners)),
        tables.benchmark: tables.benchmark.c.id.in_(sorted(ids["benchmark"])),
        tables.board: tables.board.c.benchmark.in_(sorted(boards)),
        system: system.c.id.in_(systems),
        submission: submission.c.id.in_(submissions),
        tables.job: tables.job.c.submission_id.in_(submissions),
        tables.result: tables.result.c.submission_id.in_(submissions),
    }
    for table, where in chosen.items():
        yield from _rows(connection, table, where)


def _rows(connection: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> Iterator[Row]:
    for row in connection.execute(sa.select(table).where(*where).order_by(*table.primary_key.columns)).mappings():
        yield table.name, dict(row)


def _all(connection: Connection, column: sa.ColumnElement[str], where: sa.ColumnElement[bool]) -> set[str]:
    return set(connection.scalars(sa.select(column).where(where)))


def load(db: Database, rows: Iterable[Row]) -> int:
    """Fills an empty database with rows of `dump` or `changes`; of rows with one key the last one counts.

    Jobs that were being scored wait again. The event chain is checked before anything is kept.

    Returns:
        How many rows there are.

    Raises:
        StateError: the events do not form a chain.
        InputError: the database is not empty, or a row is of no table of ours.
    """
    kept = _newest(rows)
    end = _checked_end([kept["event"][key] for key in sorted(kept["event"])], kept["chain"].get((1,)))
    kept["chain"] = {(1,): end}
    for row in kept["job"].values():
        if row["state"] == "running":
            row.update(state="queued", owner=None, lease_until=None)

    def step(tx: Transaction) -> int:
        check_empty(int(tx.connection.scalar(sa.select(tables.chain.c.number)) or 0))
        tx.connection.execute(tables.chain.delete())
        for table in tables.metadata.sorted_tables:
            if found := list(kept[table.name].values()):
                tx.connection.execute(table.insert(), found)
        return sum(map(len, kept.values()))

    return db.transact(step)


def check_empty(n_events: int) -> None:
    """Raises where a hub holds something already.

    Raises:
        InputError: it does.
    """
    if n_events:
        raise InputError(f"the hub's database holds {n_events:,} events; expected an empty one. Name another one with --db.")


def _newest(rows: Iterable[Row]) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """Returns the last row of every key, by table."""
    known = {table.name: table for table in tables.metadata.sorted_tables}
    kept: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in known}
    for name, row in rows:
        if name not in known or not _fits(known[name], row):
            raise InputError(f"a row of {name!r} does not fit the tables of this version; use the version that wrote it.")
        filled = {column.name: row.get(column.name) for column in known[name].columns}
        kept[name][tuple(row[column.name] for column in known[name].primary_key.columns)] = filled
    return kept


def _fits(table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Tells whether a row has our columns; those that came later, and may be empty, may be missing."""
    needed = {column.name for column in table.columns if not column.nullable}
    return needed <= set(row) <= set(table.columns.keys())


def _checked_end(events: list[dict[str, Any]], expected: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the end of a chain that is sound, and ends where `expected` says."""
    previous = ""
    for number, row in enumerate(events, start=1):
        previous = event_sha256(previous, **{key: value for key, value in row.items() if key != "sha256"})
        if row["number"] != number or row["sha256"] != previous:
            raise StateError(row["subject_id"], f"recorded by event {row['number']}, which was altered", "restoring it")
    end = {"id": 1, "number": len(events), "sha256": previous}
    if expected is not None and expected != end:
        raise StateError("log", f"recorded by {len(events):,} events, not {expected['number']:,} as its end says", "restoring it")
    return end
