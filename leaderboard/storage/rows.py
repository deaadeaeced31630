"""From rows of the database to what they stand for."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from ..submission import Submission, System
from . import tables

_OWN = tuple(one.name for one in fields(Submission) if one.name in tables.submission.c)


def select_submissions(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Selects submissions with the names of their system and account, and the progress of the newest job."""
    job = tables.job
    progress = [
        sa.select(job.c[name])
        .where(job.c.submission_id == tables.submission.c.id)
        .order_by(job.c.id.desc())
        .limit(1)
        .scalar_subquery()
        .label(name)
        for name in ("progress_done", "progress_total")
    ]
    return (
        sa.select(
            *(tables.submission.c[name] for name in _OWN),
            tables.submission.c.note_json,
            tables.system.c.name.label("system"),
            tables.account.c.name.label("account"),
            *progress,
            *more,
        )
        .join(tables.system, tables.system.c.id == tables.submission.c.system_id)
        .join(tables.account, tables.account.c.id == tables.submission.c.account_id)
    )


def submission_of(row: sa.Row[Any]) -> Submission:
    """Returns the submission of a row of `select_submissions`."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _OWN}
    values.update({name: getattr(row, name) or 0 for name in ("progress_done", "progress_total")})
    return Submission(**values, system=row.system, account=row.account, note=json.loads(row.note_json))


_ABOUT = tuple(one.name for one in fields(System) if one.name != "training_data")


def system_of(row: sa.Row[Any], prefix: str = "") -> System:
    """Returns the system of a row that has its columns, each behind a prefix."""
    return _system_from(*(getattr(row, prefix + name) for name in (*_ABOUT, "training_data_json")))


@lru_cache(maxsize=2**14)  # a board reads thousands that it has read before
def _system_from(*values: Any) -> System:
    *about, training_data_json = values
    return System(**dict(zip(_ABOUT, about, strict=True)), training_data=tuple(json.loads(training_data_json)))


def event_of(row: sa.Row[Any]) -> dict[str, Any]:
    """Returns an event as plain values."""
    values = dict(row._mapping)
    return {
        **{key: values[key] for key in ("number", "subject", "subject_id", "kind", "actor", "at")},
        "detail": json.loads(row.detail_json),
    }
