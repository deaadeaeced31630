"""A database that is locked, or a server that is started anew: clear answers, nothing lost, and it goes on by itself."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from unified_audiocaps.dataset_scripts.errors import UnavailableError
from unified_audiocaps.leaderboard.storage import database
from unified_audiocaps.leaderboard.storage import store as store_module

from ..postgres import cluster
from .conftest import assert_whole, opened, until, working, write

HOLDER = """
import sys
import sqlalchemy as sa
url = sa.make_url(sys.argv[1])
is_file = url.get_backend_name() == "sqlite"
engine = sa.create_engine(url if is_file else url.set(drivername="postgresql+psycopg"))
with engine.connect() as connection:
    if is_file:
        connection.connection.driver_connection.isolation_level = None
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE submission, job, chain IN EXCLUSIVE MODE")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process holds the database's lock during the block."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.communicate(timeout=30)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1)
    monkeypatch.setattr(store_module, "BACKOFF_S", 0.1)


def test_locked_longer_than_anybody_waits(place, hub, send):
    first = send("A")
    with locked(place.db):
        asked = time.monotonic()
        with pytest.raises(UnavailableError, match=r"does not answer \(.*lock.*nothing was changed, try again soon"):
            send("B")
        assert 0.5 < time.monotonic() - asked < 5
        assert hub.store.get(first.id).state == "queued"  # reading goes on
        assert [row for row in hub.board("tiny").rows] == []
    assert [one.id for one in hub.store.submissions()] == [first.id]
    assert send("B").state == "queued"
    hub.store.verify_events()


def test_a_worker_waits_and_goes_on(place, hub, send, caplog):
    sent = send("A")
    with working(place) as worker:
        with locked(place.db):
            until(lambda: "does not answer" in caplog.text, "the worker to notice")
        until(lambda: hub.store.get(sent.id).state == "published", "the worker to go on")
        later = send("B")
        with locked(place.db):
            time.sleep(1.5)
        until(lambda: hub.store.get(later.id).state == "published", "the worker to go on")
        assert worker.hub.store.n_unfinished() == 0
    assert_whole(hub, published=2)


def test_locked_while_a_job_is_scored(place, hub, send):
    sent = send("A")
    with working(place):
        until(lambda: hub.store.get(sent.id).state == "scoring", "the worker to begin")
        with locked(place.db):
            time.sleep(5)  # longer than the lease
        until(lambda: hub.store.get(sent.id).state == "published", "the worker to publish it")
    assert_whole(hub, published=1)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_started_anew_in_the_middle(tmp_path, mode, unavailable):
    from ..postgres import binaries

    if binaries() is None:
        unavailable("no PostgreSQL under /usr/lib/postgresql")
    with cluster(is_durable=True) as server:
        place = opened(server.create(), tmp_path)
        hub = place.open()
        accepted: list[str] = []
        n_refused = 0
        is_over = threading.Event()

        def send_all() -> None:
            nonlocal n_refused
            number = 0
            while not is_over.is_set() or number < 30:
                path = write(tmp_path / "p.jsonl", f"a dog barks {number}")
                while len(accepted) == number:  # who got no answer asks again: it may have been taken all the same
                    try:
                        accepted.append(hub.submit(path, "tiny", f"S{number}", idempotency_key=f"k{number}")[0].id)
                    except UnavailableError:
                        n_refused += 1
                        time.sleep(0.05)
                number += 1

        sender = threading.Thread(target=send_all)
        with working(place), working(place):
            sender.start()
            for _ in range(2):
                time.sleep(1.0)
                server.stop(mode)
                time.sleep(0.5)
                server.start()
            is_over.set()
            sender.join(60)
            until(lambda: hub.store.n_unfinished() == 0, "everything to be scored", 120)
        assert n_refused > 0 and len(set(accepted)) == len(accepted) >= 30
        assert {one.id for one in hub.store.submissions(limit=10_000)} == set(accepted)
        assert_whole(hub, published=len(accepted))
        hub.store.close()
