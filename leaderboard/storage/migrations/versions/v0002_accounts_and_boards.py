"""Accounts, system descriptions, benchmarks of a hub's own, board revisions, intervals, and a chain that knows its end.

The tables are made anew and filled from the old ones: SQLite cannot alter what changes here. The event chain is hashed again,
because events say more than they did; that it was whole is checked first.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

OLD = ("system", "submission", "job", "result", "event")


def upgrade() -> None:
    """Creates the new tables and fills them with what there was."""
    connection = op.get_bind()
    old = {name: [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()] for name in OLD}  # noqa: S608
    old["event"].sort(key=lambda row: row["number"])
    _check_chain(old["event"])
    for name in reversed(OLD):
        op.drop_table(name)
    metadata = _tables()
    metadata.create_all(connection)
    _fill(connection, metadata.tables, old)


def _check_chain(events: list[dict[str, Any]]) -> None:
    previous = ""
    for row in events:
        payload = [previous, row["number"], row["submission_id"], row["kind"], row["detail_json"], repr(row["at"])]
        previous = hashlib.sha256(json.dumps(payload).encode()).hexdigest()
        if row["sha256"] != previous:
            raise RuntimeError(f"event {row['number']} of the hub's log was altered; the database stays as it is")


def _fill(connection: sa.Connection, tables: dict[str, sa.Table], old: dict[str, list[dict[str, Any]]]) -> None:
    def insert(name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            connection.execute(tables[name].insert(), rows)

    account_id = "00000000-0000-7000-8000-000000000000"
    if old["system"]:
        insert("account", [{"id": account_id, "name": "local", "created_at": min(row["created_at"] for row in old["system"])}])
    empty = dict.fromkeys(("organisation", "hub_repo", "license_text", "paper_url", "code_url", "description"), "")
    about = {**empty, "account_id": account_id, "parameters": None, "open_weights": None, "training_data_json": "[]"}
    insert("system", [{**row, **about, "updated_at": row["created_at"]} for row in old["system"]])
    attempts: dict[tuple[Any, ...], int] = {}
    submissions = []
    for row in sorted(old["submission"], key=lambda one: str(one["id"])):
        key = (row["benchmark"], row["benchmark_version"], row["system_id"])
        attempts[key] = attempts.get(key, 0) + 1
        more = {"account_id": account_id, "idempotency_key": None, "provenance": "verified", "attempt_no": attempts[key]}
        none = dict.fromkeys(("error_code", "report_sha256", "superseded_by"))
        submissions.append({**row, **more, **none, "note_json": "{}"})
    newest = {
        (row["benchmark"], row["benchmark_version"], row["system_id"]): row for row in submissions if row["state"] == "published"
    }
    for row in submissions:
        winner = newest.get((row["benchmark"], row["benchmark_version"], row["system_id"]))
        if winner is not None and row["state"] == "published" and winner is not row:
            row.update(state="superseded", superseded_by=winner["id"])
    insert("submission", submissions)
    boards = sorted({(row["benchmark"], row["benchmark_version"]) for row in submissions})
    insert("board", [{"benchmark": name, "benchmark_version": version, "revision": 1} for name, version in boards])
    created = {row["id"]: row["created_at"] for row in submissions}
    # which recipe an old job followed was not written down; a hub that wants the present one scores again
    insert("job", [{**row, "recipe": "0" * 16, "created_at": created[row["submission_id"]]} for row in old["job"]])
    insert("result", [{**row, "scope": "", "low": None, "high": None, "draws_sha256": ""} for row in old["result"]])
    previous, events = "", []
    for row in old["event"]:
        values = (row["number"], "submission", row["submission_id"], row["kind"], "hub", row["detail_json"], row["at"])
        payload = [previous, *values[:-1], repr(row["at"])]
        previous = hashlib.sha256(json.dumps(payload).encode()).hexdigest()
        columns = ("number", "subject", "subject_id", "kind", "actor", "detail_json", "at")
        events.append({**dict(zip(columns, values, strict=True)), "sha256": previous})
    insert("event", events)
    insert("chain", [{"id": 1, "number": len(events), "sha256": previous}])


def _tables() -> sa.MetaData:
    """Returns the tables as they are after this step."""
    metadata = sa.MetaData()
    sa.Table(
        "account",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("name", name="uq_account_name"),
    )
    sa.Table(
        "benchmark",
        metadata,
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition_json", sa.Text(), nullable=False),
        sa.Column("items_file_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", "version", name="pk_benchmark"),
    )
    sa.Table(
        "board",
        metadata,
        sa.Column("benchmark", sa.String(100), nullable=False),
        sa.Column("benchmark_version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("benchmark", "benchmark_version", name="pk_board"),
    )
    sa.Table(
        "chain",
        metadata,
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chain"),
    )
    sa.Table(
        "event",
        metadata,
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("subject", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("detail_json", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_event"),
        sa.Index("ix_event_subject", "subject_id", "number"),
    )
    sa.Table(
        "system",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("organisation", sa.String(200), nullable=False),
        sa.Column("hub_repo", sa.String(200), nullable=False),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("open_weights", sa.Boolean()),
        sa.Column("license_text", sa.String(200), nullable=False),
        sa.Column("paper_url", sa.String(500), nullable=False),
        sa.Column("code_url", sa.String(500), nullable=False),
        sa.Column("training_data_json", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_system"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_system_account_id"),
        sa.UniqueConstraint("name", name="uq_system_name"),
        sa.Index("ix_system_account_id", "account_id"),
    )
    sa.Table(
        "submission",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("benchmark", sa.String(100), nullable=False),
        sa.Column("benchmark_version", sa.Integer(), nullable=False),
        sa.Column("system_id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("file_suffix", sa.String(20), nullable=False),
        sa.Column("n_items", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("provenance", sa.String(20), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(40)),
        sa.Column("error", sa.Text()),
        sa.Column("report_sha256", sa.String(64)),
        sa.Column("superseded_by", sa.String(36)),
        sa.Column("note_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_submission"),
        sa.CheckConstraint("provenance IN ('verified', 'self_reported', 'paper_reported')", name="ck_submission_provenance"),
        sa.CheckConstraint(
            "state IN ('received', 'rejected', 'queued', 'scoring', 'failed', 'published', 'superseded', 'withdrawn', 'hidden')",
            name="ck_submission_state",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_submission_account_id"),
        sa.ForeignKeyConstraint(["system_id"], ["system.id"], name="fk_submission_system_id"),
        sa.UniqueConstraint("benchmark", "benchmark_version", "system_id", "content_sha256", name="uq_submission_content"),
        sa.UniqueConstraint("account_id", "idempotency_key", name="uq_submission_idempotency"),
        sa.Index("ix_submission_board", "benchmark", "benchmark_version", "state"),
        sa.Index("ix_submission_quota", "account_id", "benchmark", "created_at"),
        sa.Index("ix_submission_state", "state"),
        sa.Index("ix_submission_system_id", "system_id"),
    )
    sa.Table(
        "job",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("submission_id", sa.String(36), nullable=False),
        sa.Column("recipe", sa.String(16), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("expirations", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("lease_until", sa.Double()),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("progress_done", sa.Integer(), nullable=False),
        sa.Column("progress_total", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="ck_job_state"),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name="fk_job_submission_id"),
        sa.UniqueConstraint("submission_id", "recipe", name="uq_job_recipe"),
        sa.Index("ix_job_queue", "state", "id"),
    )
    sa.Table(
        "result",
        metadata,
        sa.Column("submission_id", sa.String(36), nullable=False),
        sa.Column("metric", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scope", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(8), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("low", sa.Double()),
        sa.Column("high", sa.Double()),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("items_sha256", sa.String(64), nullable=False),
        sa.Column("draws_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("submission_id", "metric", "name", "scope", "digest", name="pk_result"),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name="fk_result_submission_id"),
    )
    return metadata
