"""A disk that is full refuses clearly, keeps no half of anything, and all goes on when there is room again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import StorageError, UnavailableError
from unified_audiocaps.leaderboard.storage import store as store_module

from ..postgres import cluster
from .conftest import assert_whole, opened, until, working, write


class Disk:
    """A small disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leaves no room at all."""
        with (self.folder / "filler").open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"\0" * 4096)
            except OSError:
                pass

    def free(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path, unavailable, request) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "3m")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        unavailable("a small disk can be mounted by root only")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_during_an_upload_nothing_is_kept(disk, tmp_path):
    hub = opened(f"sqlite:///{tmp_path}/hub.db", tmp_path, disk.folder / "files").open()
    before = sorted(disk.folder.rglob("*"))
    disk.fill()
    with pytest.raises(StorageError, match=r"no room to write to .*free some space.*Nothing was kept\."):
        hub.submit(write(tmp_path / "p.jsonl"), "tiny", "A")
    disk.free()
    assert [path for path in sorted(disk.folder.rglob("*")) if path.is_file()] == [path for path in before if path.is_file()]
    assert hub.store.submissions() == [] and hub.store.verify_events() == 1
    assert hub.submit(write(tmp_path / "p.jsonl"), "tiny", "A")[0].state == "queued"
    hub.store.close()


def test_a_rejection_that_cannot_be_written_down_is_made_up_for(disk, tmp_path):
    hub = opened(f"sqlite:///{tmp_path}/hub.db", tmp_path, disk.folder / "files").open()
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'{"id": "cat"' + b" " * 5_000)
    hub.store.files.put(bad.read_bytes(), ".jsonl")  # the upload itself finds its place
    disk.fill()
    with pytest.raises(StorageError):
        hub.submit(bad, "tiny", "A")
    assert [one.state for one in hub.store.submissions()] == ["received"]
    disk.free()
    assert hub.validate_left_over(0.0) == 1
    assert [one.state for one in hub.store.submissions()] == ["rejected"]
    hub.store.close()


def test_during_a_commit_sqlite_changes_nothing_and_goes_on_later(disk, tmp_path):
    hub = opened(f"sqlite:///{disk.folder}/hub.db", tmp_path, tmp_path / "files").open()
    first = hub.submit(write(tmp_path / "p.jsonl"), "tiny", "A")[0]
    disk.fill()
    with pytest.raises(UnavailableError, match=r"does not answer \(.*full.*nothing was changed, try again soon"):
        for number in range(100):  # what room the log still has is used up first
            hub.submit(write(tmp_path / "p.jsonl", f"dog {number}"), "tiny", f"S{number}")
    known = {one.id for one in hub.store.submissions(limit=1_000)}
    assert first.id in known and hub.store.get(first.id).state == "queued"
    hub.store.verify_events()
    disk.free()
    last = hub.submit(write(tmp_path / "p.jsonl", "at last"), "tiny", "last")[0]
    assert last.state == "queued"
    hub.validate_left_over(0.0)
    with working(opened(hub.store.url, tmp_path, tmp_path / "files")):
        until(lambda: hub.store.n_unfinished() == 0, "everything to be scored")
    assert_whole(hub, published=len(hub.store.submissions(limit=1_000)))
    hub.store.close()


def test_during_scoring_the_machine_is_to_blame_and_the_job_waits(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "BACKOFF_S", 0.05)
    place = opened(f"sqlite:///{tmp_path}/hub.db", tmp_path, disk.folder / "files")
    hub = place.open()
    sent = hub.submit(write(tmp_path / "p.jsonl"), "tiny", "A")[0]
    disk.fill()

    def troubles() -> list[dict]:
        return [event["detail"] for event in hub.store.events(sent.id) if event["detail"].get("code") == "E_MACHINE"]

    with working(place):
        until(lambda: len(troubles()) > 3, "scoring to fail and be tried again")
        assert {trouble["errors"] for trouble in troubles()} == {0}
        assert "no room to write to" in troubles()[0]["error"]
        disk.free()
        until(lambda: hub.store.get(sent.id).state == "published", "scoring when there is room")
    assert_whole(hub, published=1)
    hub.store.close()


@pytest.mark.parametrize("disk", ["160m"], indirect=True)
def test_during_a_commit_postgres_changes_nothing_and_goes_on_later(disk, tmp_path, unavailable):
    from ..postgres import binaries

    if binaries() is None:
        unavailable("no PostgreSQL under /usr/lib/postgresql")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    with cluster(is_durable=True, inside=disk.folder) as server:
        place = opened(server.create(), tmp_path, tmp_path / "files")
        hub = place.open()
        disk.fill()
        accepted = []
        with pytest.raises(UnavailableError, match="nothing was changed, try again soon"):
            for number in range(5_000):
                padding = "very " * 700
                accepted.append(hub.submit(write(tmp_path / "p.jsonl", f"dog {number}"), "tiny", f"S{number}")[0].id)
                about = hub.store.get(accepted[-1])
                hub.store.hide(about.id, "root", f"{padding}{number}")
        disk.free()
        server.stop("immediate")  # a server that found no room for its log may have ended by itself
        server.start()
        known = {one.id for one in hub.store.submissions(limit=10_000)}
        assert set(accepted) <= known
        hub.store.verify_events()
        last = hub.submit(write(tmp_path / "p.jsonl", "at last"), "tiny", "last")[0]
        with working(place):
            until(lambda: hub.store.get(last.id).state == "published", "scoring when there is room")
        hub.store.close()
