"""Hubs on databases that wait for the disk, and what sends and scores beside a test."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.submission import Submission
from unified_audiocaps.leaderboard.worker import Place, Worker

from ..conftest import stop_without
from ..postgres import Cluster, binaries, cluster

UAC = [sys.executable, "-m", "unified_audiocaps.space.cli"]
REFERENCES = {"rain": ["rain falls on a tin roof", "heavy rain"], "dog": ["a dog barks twice"], "bell": ["bells are tolling"]}
N_RESULTS = 6  # rouge_l, bleu and its four components
QUICK = Settings(lease_s=4.0, heartbeat_s=0.3)


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that waits for the disk."""
    if binaries() is None:
        stop_without("no PostgreSQL under /usr/lib/postgresql")
    with cluster(is_durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An open hub with a benchmark of three clips, on each database in turn."""
    if request.param == "sqlite":
        yield opened(f"sqlite:///{tmp_path}/hub/hub.db", tmp_path)
        return
    server = request.getfixturevalue("durable_postgres")
    url = server.create()
    yield opened(url, tmp_path)
    server.drop(url)


def opened(url: str, folder: Path, files: Path | None = None) -> Place:
    """Opens the benchmark of three clips on a hub and returns where it is."""
    place = Place(url, folder / "nothing-built", files or folder / "hub" / "files")
    references = folder / "references.jsonl"
    references.write_text("".join(json.dumps({"id": id_, "references": texts}) + "\n" for id_, texts in REFERENCES.items()))
    hub = place.open()
    hub.create_benchmark("tiny", references_file=references, metrics=("rouge_l", "bleu"), primary_metric="rouge_l")
    hub.store.close()
    return place


@pytest.fixture
def hub(place: Place) -> Iterator[Hub]:
    found = place.open()
    yield found
    found.store.close()


def write(path: Path, dog: str = "a dog barks") -> Path:
    """Writes predictions."""
    rows = {"rain": "rain falls", "dog": dog, "bell": "a bell"}
    path.write_text("".join(json.dumps({"id": id_, "caption": text}) + "\n" for id_, text in rows.items()))
    return path


@pytest.fixture
def send(hub: Hub, tmp_path: Path) -> Callable[..., Submission]:
    """Submits predictions of a system."""
    return lambda system="A", dog="a dog barks": hub.submit(write(tmp_path / "p.jsonl", dog), "tiny", system)[0]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def working(place: Place, settings: Settings = QUICK) -> Iterator[Worker]:
    """Runs a worker in this process beside the block."""
    worker = Worker(place, settings)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(90)
        worker.hub.store.close()
        assert not thread.is_alive()


def work_command(place: Place, *more: str) -> list[str]:
    return [*UAC, "work", *more, "--db", place.db, "--data", str(place.data), "--files", str(place.files)]


def work_once(place: Place, *before: str, **variables: str) -> None:
    """Runs `uac work --once` in a process of its own."""
    environment = {**os.environ, "UAC_LEASE_S": "4", "UAC_HEARTBEAT_S": "0.5", **variables}
    command = [*before, *work_command(place, "--once")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def assert_whole(hub: Hub, published: int | None = None) -> None:
    """Asserts that the log holds, all files are there, and numbers stand exactly where they were published."""
    store = hub.store
    store.verify_events()
    found = store.submissions(limit=10_000)
    n_published = Counter(event["subject_id"] for event in store.newest_events(10**6) if event["kind"] == "published")
    results = store.results(one.id for one in found)
    for one in found:
        store.files.read(one.content_sha256, one.file_suffix)
        assert (len(results[one.id]) == N_RESULTS) == (one.state == "published"), one
        assert len(results[one.id]) in {0, N_RESULTS}
        for row in results[one.id][:1]:
            store.files.read(row.items_sha256, ".items.parquet")
            store.files.read(row.draws_sha256, ".draws.parquet")
        assert n_published[one.id] == (one.state == "published")
    if published is not None:
        assert store.counts() == {"published": published}
        assert store.n_unfinished() == 0
