"""Transactions, what is tried again, and what a database that does not answer looks like."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from unified_audiocaps.dataset_scripts.errors import InputError, UnavailableError
from unified_audiocaps.leaderboard.storage import database, tables
from unified_audiocaps.leaderboard.storage.database import TRIES, Database, event_sha256


@pytest.fixture
def db(where, clock):
    opened = Database(where.url, clock)
    yield opened
    opened.dispose()


def add_account(name: str) -> Callable:
    return lambda tx: tx.connection.execute(tables.account.insert().values(id=name, name=name, created_at=tx.now))


def names(db: Database) -> list[str]:
    with db.reading() as connection:
        return sorted(connection.scalars(sa.select(tables.account.c.name)))


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql://host"])
def test_other_urls_are_refused_with_the_form_that_works(url, clock):
    with pytest.raises(InputError, match=r"expected sqlite:///path/to/hub\.db or postgresql://user@host/name"):
        Database(url, clock)


@pytest.mark.parametrize("url", ["mysql://me:s3cret@host/db", "me:s3cret@host", "postgresql://me:s3cret@127.0.0.1:1/db"])
def test_no_message_shows_a_password(url, clock):
    with pytest.raises((InputError, UnavailableError)) as raised:
        Database(url, clock)
    assert "s3cret" not in str(raised.value)


def test_a_server_that_is_away_is_said(tmp_path, clock):
    with pytest.raises(UnavailableError, match=r"does not answer \(.*nothing was changed, try again soon"):
        Database(f"postgresql://uac@/hub?host={tmp_path}", clock)


@pytest.mark.parametrize(("is_on_network", "journal"), [(False, "wal"), (True, "delete")], ids=["local disk", "network mount"])
def test_sqlite_waits_for_the_disk_and_chooses_the_journal_by_the_mount(tmp_path, clock, monkeypatch, is_on_network, journal):
    kinds = {line.split(" ")[2] for line in Path("/proc/self/mounts").read_text().splitlines()} if is_on_network else set()
    monkeypatch.setattr(database, "_NETWORK_FILE_SYSTEMS", kinds)
    db = Database(f"sqlite:///{tmp_path}/hub.db", clock)
    with db.reading() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == [journal, 2, 1]
    db.dispose()


def test_a_step_that_fails_leaves_nothing(db):
    def step(tx):
        add_account("ada")(tx)
        tx.record("system", "x", "described", "ada", {})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.transact(step)
    assert names(db) == []
    with db.reading() as connection:
        assert connection.scalar(sa.select(tables.chain.c.number)) == 0
    db.transact(add_account("ada"))
    assert names(db) == ["ada"]


def test_events_of_a_transaction_are_chained_in_order(db, clock):
    db.transact(lambda tx: [tx.record("system", "x", kind, "ada", {"ä": 1}) for kind in ("one", "two")])
    with db.reading() as connection:
        rows = connection.execute(sa.select(tables.event).order_by(tables.event.c.number)).all()
        end = connection.execute(sa.select(tables.chain.c.number, tables.chain.c.sha256)).one()
    first = event_sha256("", 1, "system", "x", "one", "ada", '{"\\u00e4": 1}', clock.now)
    assert [(row.number, row.kind) for row in rows] == [(1, "one"), (2, "two")]
    assert (rows[0].sha256, tuple(end)) == (first, (2, rows[1].sha256))


def test_a_collision_is_tried_again_until_it_is_none(db):
    db.transact(add_account("ada"))
    tried = []

    def step(tx):
        tried.append(1)
        add_account("ada" if len(tried) < 3 else "bob")(tx)

    db.transact(step)
    assert (len(tried), names(db)) == (3, ["ada", "bob"])


def test_a_collision_without_end_is_given_up(db, monkeypatch):
    monkeypatch.setattr(database, "_PAUSE_S", 0.0)
    db.transact(add_account("ada"))
    tried = []

    def step(tx):
        tried.append(1)
        add_account("ada")(tx)

    with pytest.raises(UnavailableError, match="collided again and again"):
        db.transact(step)
    assert len(tried) == TRIES


def test_a_broken_rule_is_no_collision(db):
    tried = []

    def step(tx):
        tried.append(1)
        tx.connection.execute(tables.account.insert().values(id="x", name=None, created_at=0.0))

    with pytest.raises(sa.exc.IntegrityError, match=r"(?i)null"):
        db.transact(step)
    assert len(tried) == 1


def test_two_that_lock_in_opposite_order_both_get_done(db):
    for name in ("ada", "bob"):
        db.transact(add_account(name))
    gate = threading.Barrier(2)
    tried = []

    def rename(first: str, second: str) -> None:
        def step(tx):
            tried.append(first)
            for name in (first, second):
                tx.connection.execute(tables.account.update().where(tables.account.c.id == name).values(created_at=7.0))
                if not db.is_sqlite and tried.count(first) == 1 and name == first:
                    gate.wait(10)

        db.transact(step)

    threads = [threading.Thread(target=rename, args=pair) for pair in (("ada", "bob"), ("bob", "ada"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with db.reading() as connection:
        assert list(connection.scalars(sa.select(tables.account.c.created_at))) == [7.0, 7.0]
    assert len(tried) == (2 if db.is_sqlite else 3)


def test_the_time_is_the_servers_unless_a_clock_was_given(where, monkeypatch):
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: 7.0)
    db = Database(where.url)
    told = [db.now(), db.transact(lambda tx: tx.now)]
    if db.is_sqlite:
        assert told == [7.0, 7.0]
    else:
        assert began - 1 < told[0] <= told[1] < began + 60
    db.dispose()


def test_a_reader_sees_one_state_while_another_one_writes(db):
    count = sa.select(sa.func.count()).select_from(tables.account)
    with db.reading() as connection:
        before = connection.scalar(count)
        db.transact(add_account("ada"))
        assert connection.scalar(count) == before == 0
    assert names(db) == ["ada"]


def test_opening_a_database_that_is_up_to_date_waits_for_no_writer(db, where, clock, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1)

    def step(tx):
        add_account("ada")(tx)
        Database(where.url, clock).dispose()

    db.transact(step)
    assert names(db) == ["ada"]


def test_states_outside_the_list_are_refused_by_the_database_itself(db):
    def step(tx):
        add_account("ada")(tx)
        values = dict.fromkeys(("organisation", "hub_repo", "license_text", "paper_url", "code_url", "description"), "")
        times = {"created_at": 0.0, "updated_at": 0.0}
        tx.connection.execute(
            tables.system.insert().values(id="s", account_id="ada", name="S", training_data_json="[]", **values, **times)
        )
        texts = {"benchmark": "b", "content_sha256": "0", "file_suffix": "", "provenance": "verified", "note_json": "{}"}
        numbers = {"benchmark_version": 1, "n_items": 0, "attempt_no": 1}
        tx.connection.execute(
            tables.submission.insert().values(id="x", system_id="s", account_id="ada", state="lost", **texts, **numbers, **times)
        )

    with pytest.raises(sa.exc.IntegrityError, match="ck_submission_state"):
        db.transact(step)
    assert names(db) == []
