"""The hub's tables. All times are seconds since 1970-01-01 UTC; all ids are UUIDv7 text, so that they sort by age.

Raw predictions, validation reports, per-item scores and the items of a hub's own benchmarks are files named by their sha256
beside the database, never rows. The event log is what the mirror sends: it is append-only and knows every change.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ..submission import PROVENANCES, STATES

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


account = Table(
    "account",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)

# benchmarks of this hub's own, and those that it opened; those that come with the package are files
benchmark = Table(
    "benchmark",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition_json", Text, nullable=False),
    Column("items_file_sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

# raised by whatever changes what a board shows: the tag by which an answer is known to be unchanged
board = Table(
    "board",
    metadata,
    Column("benchmark", String(100), primary_key=True),
    Column("benchmark_version", Integer, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

system = Table(
    "system",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("organisation", String(200), nullable=False),
    Column("hub_repo", String(200), nullable=False),
    Column("parameters", BigInteger),
    Column("open_weights", Boolean),
    Column("license_text", String(200), nullable=False),
    Column("paper_url", String(500), nullable=False),
    Column("code_url", String(500), nullable=False),
    Column("training_data_json", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

submission = Table(
    "submission",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("benchmark", String(100), nullable=False),
    Column("benchmark_version", Integer, nullable=False),
    Column("system_id", String(36), ForeignKey("system.id"), nullable=False, index=True),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=False),
    Column("idempotency_key", String(200)),
    Column("content_sha256", String(64), nullable=False),
    Column("file_suffix", String(20), nullable=False),
    Column("n_items", Integer, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("provenance", String(20), nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("error_code", String(40)),
    Column("error", Text),
    # names the file that holds all problems of a rejected submission
    Column("report_sha256", String(64)),
    Column("superseded_by", String(36)),
    Column("note_json", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # the same bytes for the same system and benchmark are one submission, however often they are sent
    UniqueConstraint("benchmark", "benchmark_version", "system_id", "content_sha256", name="uq_submission_content"),
    UniqueConstraint("account_id", "idempotency_key", name="uq_submission_idempotency"),
    Index("ix_submission_board", "benchmark", "benchmark_version", "state"),
    Index("ix_submission_quota", "account_id", "benchmark", "created_at"),
    _one_of("state", STATES),
    _one_of("provenance", PROVENANCES),
)

job = Table(
    "job",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("submission_id", String(36), ForeignKey("submission.id"), nullable=False),
    # what it is scored with: a new recipe is a new job of the same submission
    Column("recipe", String(16), nullable=False),
    Column("state", String(20), nullable=False),
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
    Column("created_at", Double, nullable=False),
    UniqueConstraint("submission_id", "recipe", name="uq_job_recipe"),
    Index("ix_job_queue", "state", "id"),
    _one_of("state", ("queued", "running", "done", "failed", "cancelled")),
)

result = Table(
    "result",
    metadata,
    Column("submission_id", String(36), ForeignKey("submission.id"), primary_key=True),
    Column("metric", String(100), primary_key=True),
    # the metric's own name for its score, else the component's name
    Column("name", String(100), primary_key=True),
    # empty for the overall score, else the name of a group of items
    Column("scope", String(100), primary_key=True),
    Column("digest", String(8), primary_key=True),
    Column("value", Double, nullable=False),
    Column("n", Integer, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("signature", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("items_sha256", String(64), nullable=False),
    Column("draws_sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # what it is about: `submission`, `benchmark` or `system`, and its id
    Column("subject", String(20), nullable=False),
    Column("subject_id", String(120), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("detail_json", Text, nullable=False),
    Column("at", Double, nullable=False),
    # sha256 over the previous hash and this row: a changed or removed event breaks the chain
    Column("sha256", String(64), nullable=False),
    Index("ix_event_subject", "subject_id", "number"),
)

# one row: the end of the chain. Whoever appends locks it, so that events are numbered one after the other on every database.
chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)
