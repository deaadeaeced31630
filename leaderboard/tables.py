"""The hub's tables. All times are seconds since 1970-01-01 UTC; all ids are UUIDv7 text, so that they sort by age.

Raw predictions and per-clip scores are files named by their sha256 beside the database, never rows.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Integer, MetaData, String, Table, Text, UniqueConstraint

from .submission import STATES

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

system = Table(
    "system",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)

submission = Table(
    "submission",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("benchmark", String(100), nullable=False),
    Column("benchmark_version", Integer, nullable=False),
    Column("system_id", String(36), ForeignKey("system.id"), nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("file_suffix", String(20), nullable=False),
    Column("n_items", Integer, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # the same bytes for the same system and benchmark are one submission, however often they are sent
    UniqueConstraint("benchmark", "benchmark_version", "system_id", "content_sha256", name="uq_submission_content"),
    CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
)

job = Table(
    "job",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("submission_id", String(36), ForeignKey("submission.id"), nullable=False, unique=True),
    Column("state", String(20), nullable=False, index=True),
    # counts claims: with `owner` it fences off a worker that lost its lease
    Column("attempt", Integer, nullable=False),
    # scoring errors; a worker that died is counted in `expirations`, not here
    Column("errors", Integer, nullable=False),
    Column("expirations", Integer, nullable=False),
    Column("owner", String(200)),
    Column("lease_until", Double),
    Column("not_before", Double, nullable=False),
    Column("progress_done", Integer, nullable=False),
    Column("progress_total", Integer, nullable=False),
    Column("last_error", Text),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
)

result = Table(
    "result",
    metadata,
    Column("submission_id", String(36), ForeignKey("submission.id"), primary_key=True),
    Column("metric", String(100), primary_key=True),
    # the metric's own name for its score, else the component's name
    Column("name", String(100), primary_key=True),
    Column("digest", String(8), primary_key=True),
    Column("value", Double, nullable=False),
    Column("n", Integer, nullable=False),
    Column("signature", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("items_sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("submission_id", String(36), ForeignKey("submission.id"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("detail_json", Text, nullable=False),
    Column("at", Double, nullable=False),
    # sha256 over the previous hash and this row: a changed or removed event breaks the chain
    Column("sha256", String(64), nullable=False),
)
