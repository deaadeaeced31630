"""A database of the first version is brought to the present one with everything that it held."""

import hashlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from unified_audiocaps.leaderboard.storage import migrations, tables
from unified_audiocaps.leaderboard.storage.database import Database

from ..conftest import claim, kinds, result_row

SHA = "ab" * 32
OLD_ROWS = {
    "system": [
        {"id": "sys-a", "name": "Ünïcode's best", "created_at": 1_700_000_000.25},
        {"id": "sys-b", "name": "B", "created_at": 1_700_000_001.5},
    ],
    "submission": [
        {"id": "sub-1", "system_id": "sys-a", "state": "published", "error": None, "content_sha256": "1" * 64},
        {"id": "sub-2", "system_id": "sys-a", "state": "published", "error": None, "content_sha256": "2" * 64},
        {"id": "sub-3", "system_id": "sys-b", "state": "failed", "error": "encoder 'x' is missing", "content_sha256": "1" * 64},
        {"id": "sub-4", "system_id": "sys-b", "state": "scoring", "error": None, "content_sha256": "4" * 64},
        {"id": "sub-5", "system_id": "sys-b", "state": "queued", "error": None, "content_sha256": "5" * 64},
    ],
    "job": [
        {"id": "job-1", "submission_id": "sub-1", "state": "done", "attempt": 1},
        {"id": "job-2", "submission_id": "sub-2", "state": "done", "attempt": 2},
        {"id": "job-3", "submission_id": "sub-3", "state": "failed", "attempt": 3, "errors": 3, "last_error": "gone"},
        {"id": "job-4", "submission_id": "sub-4", "state": "running", "attempt": 1, "owner": "host:7:a", "lease_until": 999.0},
        {"id": "job-5", "submission_id": "sub-5", "state": "queued", "attempt": 0},
    ],
    "result": [
        {"submission_id": "sub-1", "metric": "bleu", "name": "bleu_1", "digest": "0123abcd", "value": 0.1 + 0.2},
        {"submission_id": "sub-1", "metric": "rouge_l", "name": "rouge_l", "digest": "feedbeef", "value": 1e-17},
        {"submission_id": "sub-2", "metric": "rouge_l", "name": "rouge_l", "digest": "feedbeef", "value": 0.5},
    ],
}
OLD_EVENTS = [
    ("sub-1", "queued", '{"system": "\\u00dcn\\u00efcode\'s best"}'),
    ("sub-1", "scoring", '{"attempt": 1, "owner": "host:7:a"}'),
    ("sub-1", "published", '{"attempt": 1}'),
    ("sub-2", "queued", "{}"),
    ("sub-3", "failed", '{"error": "gone"}'),
]
COMMON = {
    "submission": {"benchmark": "tiny", "benchmark_version": 1, "file_suffix": ".jsonl", "n_items": 3, "created_at": 1e9},
    "job": {"errors": 0, "expirations": 0, "owner": None, "lease_until": None, "not_before": 0.0, "last_error": None},
    "result": {"n": 3, "signature": "metric:x|v:1", "seconds": 0.25, "items_sha256": SHA, "created_at": 1e9 + 0.125},
}
COMMON["submission"]["updated_at"] = 1e9 + 1
COMMON["job"].update(progress_done=0, progress_total=2)


def driver(url: str) -> sa.URL:
    made = sa.make_url(url)
    return made if made.get_backend_name() == "sqlite" else made.set(drivername="postgresql+psycopg")


@pytest.fixture
def old(where, tmp_path):
    """A database at the first step, filled in plain SQL."""
    engine = sa.create_engine(driver(where.url))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in OLD_ROWS.items():
            for row in rows:
                insert(connection, table, {**COMMON.get(table, {}), **row})
        previous = ""
        for number, (submission_id, kind, detail_json) in enumerate(OLD_EVENTS, start=1):
            at = 1_700_000_000.1 + number
            payload = json.dumps([previous, number, submission_id, kind, detail_json, repr(at)])
            previous = hashlib.sha256(payload.encode()).hexdigest()
            values = {"submission_id": submission_id, "kind": kind, "detail_json": detail_json, "at": at, "sha256": previous}
            insert(connection, "event", {"number": number, **values})
    yield engine
    engine.dispose()


def insert(connection, table, row):
    names = ", ".join(row)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def test_everything_is_there_afterwards(old, where, clock):
    store = where.open(clock)
    assert store.verify_events() == 5
    assert [(system.name, account) for system, account in store.systems()] == [("B", "local"), ("Ünïcode's best", "local")]
    found = {one.id: one for one in store.submissions()}
    assert {id_: (one.state, one.attempt_no) for id_, one in found.items()} == {
        "sub-1": ("superseded", 1),
        "sub-2": ("published", 2),
        "sub-3": ("failed", 1),
        "sub-4": ("scoring", 2),
        "sub-5": ("queued", 3),
    }
    assert found["sub-1"].superseded_by == "sub-2"
    assert (found["sub-3"].error, found["sub-3"].content_sha256) == ("encoder 'x' is missing", "1" * 64)
    for row in OLD_ROWS["submission"]:
        expected = {**COMMON["submission"], **row}
        for name in ("benchmark", "benchmark_version", "file_suffix", "n_items", "created_at", "updated_at", "content_sha256"):
            assert getattr(found[row["id"]], name) == expected[name]
    results = store.results(["sub-1", "sub-2"])
    assert [(row.name, row.value) for row in results["sub-1"]] == [("bleu_1", 0.1 + 0.2), ("rouge_l", 1e-17)]
    assert [(row.value, row.scope, row.low, row.items_sha256, row.seconds) for row in results["sub-2"]] == [
        (0.5, "", None, SHA, 0.25)
    ]
    assert [(event["kind"], event["actor"], event["detail"]) for event in store.events("sub-1")] == [
        ("queued", "hub", {"system": "Ünïcode's best"}),
        ("scoring", "hub", {"attempt": 1, "owner": "host:7:a"}),
        ("published", "hub", {"attempt": 1}),
    ]
    store.close()


def test_the_hub_goes_on_where_it_was(old, where, clock, benchmark_def):
    store = where.open(clock)
    assert store.revision(benchmark_def) == 1
    assert [(entry.submission.id, entry.attempts) for entry in store.roster(benchmark_def)] == [("sub-2", 2)]
    silent, queued = claim(store), claim(store)
    assert [(job.submission_id, job.attempt) for job in (silent, queued)] == [("sub-4", 2), ("sub-5", 1)]
    assert store.finish(silent, [result_row()]) and store.finish(queued, [result_row()])
    assert store.get("sub-5").state == "published" and store.get("sub-4").state == "superseded"
    assert store.rescore(benchmark_def, 2) == 2  # which recipe was followed before is not known
    assert store.verify_events() == 5 + 2 + 2 + 1 + 2
    assert kinds(store, "sub-2")[-1] == "requeued"
    store.close()


def test_an_altered_log_stops_it_and_the_database_stays_as_it_is(old, where, clock):
    with old.begin() as connection:
        connection.execute(sa.text("UPDATE event SET detail_json = '{}' WHERE number = 2"))
    with pytest.raises(RuntimeError, match="event 2 of the hub's log was altered; the database stays as it is"):
        where.open(clock)
    with old.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM submission")) == 5
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0001"


def test_an_empty_old_database_is_fine(where, clock):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = sa.create_engine(driver(where.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    store = where.open(clock)
    assert (store.verify_events(), store.submissions(), store.systems()) == (0, [], [])
    store.close()


@pytest.mark.parametrize("start", ["nothing", "the first step"])
def test_steps_end_at_the_tables_that_the_code_uses(where, clock, start, request):
    if start != "nothing":
        request.getfixturevalue("old")
    db = Database(where.url, clock)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []
    db.dispose()


def test_rules_and_indexes_are_called_what_the_code_calls_them(where, clock):
    Database(where.url, clock).dispose()
    engine = sa.create_engine(driver(where.url))
    migrated = described(engine)
    with engine.begin() as connection:
        tables.metadata.drop_all(connection)
        tables.metadata.create_all(connection)
    assert migrated == described(engine)
    engine.dispose()


def described(engine):
    look = sa.inspect(engine)
    return {
        name: {
            "checks": sorted((one["name"], str(one["sqltext"])) for one in look.get_check_constraints(name)),
            "unique": sorted((one["name"], tuple(one["column_names"])) for one in look.get_unique_constraints(name)),
            "indexes": sorted((one["name"], tuple(one["column_names"])) for one in look.get_indexes(name)),
            "keys": sorted((one["name"], one["referred_table"]) for one in look.get_foreign_keys(name)),
            "primary": tuple(look.get_pk_constraint(name)["constrained_columns"]),
            "columns": {column["name"]: (str(column["type"]), column["nullable"]) for column in look.get_columns(name)},
        }
        for name in tables.metadata.tables
    }
