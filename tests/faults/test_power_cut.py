"""Copies of database and files at random moments of a busy hub, as a power cut leaves them: nothing that was answered is missing.

All processes are stopped while a copy is made, so that it is what the disk would hold at that moment. Of what SQLite had not yet
flushed a power cut may leave any part: the end of the copied log is cut off anywhere behind what was there at the last answer.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore

from ..postgres import Cluster, cluster
from .conftest import assert_whole, opened, work_command, work_once

SENDER = """
import json, os, sys
from pathlib import Path
from unified_audiocaps.leaderboard.worker import Place
db, data, files, answered, name = sys.argv[1:]
hub = Place(db, Path(data), Path(files)).open()
log = os.open(answered, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
path = Path(answered + "." + name + ".jsonl")
for number in range(10_000):
    rows = {"rain": "rain falls", "dog": f"a dog barks {name} {number}", "bell": "a bell"}
    path.write_text("".join(json.dumps({"id": id_, "caption": text}) + "\\n" for id_, text in rows.items()))
    submission, *_ = hub.submit(path, "tiny", f"{name} {number}")
    os.write(log, f"{submission.id}\\n".encode())
"""
N_COPIES = 4
LEASE = {"UAC_LEASE_S": "3", "UAC_HEARTBEAT_S": "0.5"}


class Busy:
    """Two that send and two that score, each a process with children, stopped and continued together."""

    def __init__(self, place, answered: Path, also: list[int]) -> None:
        send = [sys.executable, "-c", SENDER, place.db, str(place.data), str(place.files), str(answered)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, **LEASE}}
        commands = [[*send, "a"], [*send, "b"], work_command(place), work_command(place)]
        self._started = [subprocess.Popen(command, **quiet) for command in commands]
        self._also = also

    def _all(self) -> list[psutil.Process]:
        roots = [psutil.Process(pid) for pid in (*(one.pid for one in self._started), *self._also)]
        return [process for root in roots for process in (root, *root.children(recursive=True))]

    def stop(self) -> None:
        """Stops all; those that are started meanwhile too."""
        stopped: set[int] = set()
        while fresh := [process for process in self._all() if process.pid not in stopped]:
            for process in fresh:
                os.kill(process.pid, signal.SIGSTOP)
                stopped.add(process.pid)
        for process in self._all():
            while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                time.sleep(0.001)

    def go_on(self) -> None:
        for process in self._all():
            os.kill(process.pid, signal.SIGCONT)

    def end(self) -> None:
        self.go_on()
        for process in self._started:
            process.kill()
            process.wait(20)


def read(answered: Path) -> set[str]:
    return set(answered.read_text().split()) if answered.exists() else set()


def check(copied: ResultStore, answered: set[str], folder: Path) -> None:
    known = {one.id for one in copied.submissions(limit=100_000)}
    assert answered <= known
    assert_whole(Hub(copied, folder))


def drained(place, answered: set[str]) -> None:
    """Starts a worker on the copy: it finishes what was being done."""
    work_once(place, **LEASE)
    hub = place.open()
    assert_whole(hub)
    assert hub.store.n_unfinished() == 0
    assert {hub.store.get(id_).state for id_ in answered} == {"published"}
    hub.store.close()


def salts(wal: Path) -> bytes:
    """Returns what changes when SQLite begins its log anew."""
    return wal.read_bytes()[16:24] if wal.exists() else b""


def test_sqlite(tmp_path):
    chance = random.Random(3)
    place, answered = opened(f"sqlite:///{tmp_path}/hub/hub.db", tmp_path), tmp_path / "answered"
    database, copies = tmp_path / "hub" / "hub.db", []
    wal = database.with_name("hub.db-wal")
    busy = Busy(place, answered, [])
    try:
        deadline = time.monotonic() + 60
        while len(read(answered)) < 5 and time.monotonic() < deadline:
            time.sleep(0.1)
        for number in range(N_COPIES):
            time.sleep(chance.uniform(0.1, 0.6))
            busy.stop()
            known, flushed, salt = read(answered), wal.stat().st_size if wal.exists() else 0, salts(wal)
            written = database.stat().st_mtime_ns
            busy.go_on()
            time.sleep(chance.uniform(0, 0.05))
            busy.stop()
            copy = tmp_path / f"copy-{number}"
            shutil.copytree(tmp_path / "hub", copy, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
            now = read(answered)
            busy.go_on()
            copies.append((copy, now))
            # the same log with more behind what had been flushed, of which nothing went into the database: SQLite flushes first
            is_same = salts(copy / "hub.db-wal") == salt != b"" and database.stat().st_mtime_ns == written
            if is_same:
                torn = tmp_path / f"torn-{number}"
                shutil.copytree(copy, torn)
                log = (torn / "hub.db-wal").read_bytes()
                (torn / "hub.db-wal").write_bytes(log[: chance.randint(flushed, len(log))])
                copies.append((torn, known))
    finally:
        busy.end()
    assert len(copies[-1][1]) > len(copies[0][1]) >= 5
    assert any(folder.name.startswith("torn") for folder, _ in copies)
    for folder, known in copies:
        store = ResultStore(f"sqlite:///{folder}/hub.db", folder / "files")
        check(store, known, folder)
        store.close()
    for folder, known in copies[-1:]:
        drained(type(place)(f"sqlite:///{folder}/hub.db", place.data, folder / "files"), known)


def test_postgres(tmp_path, unavailable):
    from ..postgres import binaries

    if binaries() is None:
        unavailable("no PostgreSQL under /usr/lib/postgresql")
    chance = random.Random(4)
    answered, copies = tmp_path / "answered", []
    with cluster(is_durable=True) as server:
        url = server.create()
        place = opened(url, tmp_path)
        postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
        busy = Busy(place, answered, [postmaster])
        try:
            deadline = time.monotonic() + 60
            while len(read(answered)) < 5 and time.monotonic() < deadline:
                time.sleep(0.1)
            for number in range(2):
                time.sleep(chance.uniform(0.3, 1.0))
                busy.stop()
                folder = server.folder.with_name(f"{server.folder.name}-{number}")
                copies.append((folder, tmp_path / f"files-{number}", read(answered)))
                subprocess.run(["cp", "-a", server.folder, folder], check=True)
                shutil.copytree(place.files, copies[-1][1])
                busy.go_on()
        finally:
            busy.end()
    try:
        assert len(copies[-1][2]) > len(copies[0][2]) >= 5
        for number, (folder, files, known) in enumerate(copies):
            for path in (folder / "data" / "postmaster.pid", *folder.glob(".s.PGSQL*")):
                path.unlink()  # of a server that is no more
            again = Cluster(folder, server.bin, True)
            again.start()
            try:
                there = url.replace(str(server.folder), str(folder))
                store = ResultStore(there, files)
                check(store, known, folder)
                store.close()
                if number == len(copies) - 1:
                    drained(type(place)(there, place.data, files), known)
            finally:
                again.stop("immediate")
    finally:
        for folder, *_ in copies:
            shutil.rmtree(folder, ignore_errors=True)
