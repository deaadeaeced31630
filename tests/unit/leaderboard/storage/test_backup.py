"""Backups: one moment, whole or not at all, the same bytes for the same hub, and back on either database."""

import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, StateError, StorageError
from unified_audiocaps.leaderboard.storage import backup as backups
from unified_audiocaps.leaderboard.storage.backup import backup, check_files, restore

from ....small_hub import empty_hub, everything, score_all, send, small_hub


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, unavailable) -> str | None:
    """None for a SQLite file beside the hub's files, or an empty PostgreSQL database."""
    if request.param == "sqlite":
        return None
    try:
        return request.getfixturevalue("postgres_url")
    except pytest.FixtureLookupError:
        unavailable("no PostgreSQL for tests")


@pytest.fixture
def hub(tmp_path, database_url):
    """Two systems on the board, one of them twice, one rejected and one that waits."""
    hub = small_hub(tmp_path / "hub", database_url)
    for system, dog in (("A", "a dog barks"), ("B", "a dog barks twice"), ("A", "a small dog barks")):
        send(hub, system, dog)
        score_all(hub)
    send(hub, "C", "")
    send(hub, "D", "a hound")
    yield hub
    hub.store.close()


def test_a_backup_restores_an_equal_hub(hub, tmp_path):
    written = backup(hub.store, tmp_path / "hub.tar")
    new = empty_hub(tmp_path / "restored")
    assert restore(tmp_path / "hub.tar", new.store) == written
    assert everything(new) == everything(hub)
    assert new.board("tiny") == hub.board("tiny")
    assert (written.n_events, written.end) == hub.store.log_end() == new.store.log_end()
    assert check_files(new.store).missing == []
    assert score_all(new) == 1
    assert sorted(path.name for path in tmp_path.glob("*.tar*")) == ["hub.tar"]


def test_a_backup_of_sqlite_restores_into_either_database(tmp_path, database_url):
    hub = small_hub(tmp_path / "hub")
    send(hub, "A")
    score_all(hub)
    backup(hub.store, tmp_path / "hub.tar")
    new = empty_hub(tmp_path / "restored", database_url)
    restore(tmp_path / "hub.tar", new.store)
    assert everything(new) == everything(hub)
    assert new.store.verify_events() == hub.store.n_events()
    send(new, "B")
    assert score_all(new) == 1
    assert len(new.board("tiny").rows) == 2
    new.store.close()


def test_equal_hubs_give_equal_bytes(hub, tmp_path):
    backup(hub.store, tmp_path / "one.tar")
    backup(hub.store, tmp_path / "two.tar")
    new = empty_hub(tmp_path / "restored")
    restore(tmp_path / "one.tar", new.store)
    backup(new.store, tmp_path / "three.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(member(tmp_path / "three.tar", "rows.jsonl")) == sorted(member(tmp_path / "one.tar", "rows.jsonl"))


def member(path: Path, name: str) -> list[bytes]:
    with tarfile.open(path) as tar:
        return tar.extractfile(name).read().splitlines()


def test_backups_while_others_write_are_of_one_moment_each(hub, tmp_path):
    stop, failures = threading.Event(), []

    def keep_writing() -> None:
        number = 0
        try:
            while not stop.is_set():
                send(hub, f"S{number % 3}", f"a dog barks {number} times")
                score_all(hub)
                number += 1
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    counts = [backup(hub.store, tmp_path / f"{number}.tar").n_events for number in range(5)]
    stop.set()
    writer.join()
    assert failures == []
    assert counts == sorted(counts) and counts[0] < counts[-1]
    for number, n_events in enumerate(counts):
        new = empty_hub(tmp_path / f"restored {number}")
        restore(tmp_path / f"{number}.tar", new.store)
        assert new.store.verify_events() == n_events
        assert check_files(new.store).missing == []
        for one in new.store.submissions():
            assert new.store.events(one.id)[-1]["kind"] == one.state
        systems = [row.system.name for row in new.board("tiny").rows]
        assert len(systems) == len(set(systems))


def test_an_empty_hub_has_a_backup(tmp_path):
    hub = empty_hub(tmp_path / "hub")
    assert backup(hub.store, tmp_path / "hub.tar").n_events == 0
    new = empty_hub(tmp_path / "restored")
    restore(tmp_path / "hub.tar", new.store)
    send_to = small_hub(tmp_path / "restored")
    send(send_to, "A")
    assert score_all(send_to) == 1


# -- refusals --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sound(tmp_path) -> Path:
    """A backup."""
    hub = small_hub(tmp_path / "hub")
    send(hub, "A")
    score_all(hub)
    backup(hub.store, tmp_path / "hub.tar")
    return tmp_path / "hub.tar"


Members = list[tuple[tarfile.TarInfo, bytes]]


def rewritten(path: Path, change: Callable[[Members], None]) -> None:
    """Writes a tar anew with other members."""
    with tarfile.open(path) as tar:
        members = [(one, tar.extractfile(one).read()) for one in tar]
    change(members)
    with tarfile.open(path, "w") as tar:
        for one, content in members:
            one.size = len(content) if one.isreg() else 0
            tar.addfile(one, io.BytesIO(content))


def change_manifest(**values: object) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        one, content = members[0]
        members[0] = (one, json.dumps({**json.loads(content), **values}).encode())

    return change


def change_content(place: int) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        one, content = members[place]
        members[place] = (one, content[:-3] + b"xxx")

    return change


def rename(place: int, name: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        one, content = members[place]
        manifest = json.loads(members[0][1])
        manifest["files"] = dict(sorted({**manifest["files"], name.removeprefix("files/"): len(content)}.items()))
        members[0] = (members[0][0], json.dumps(manifest).encode())
        one.name = name
        members.sort(key=lambda found: (found[0].name != "manifest.json", found[0].name != "rows.jsonl", found[0].name))

    return change


def add_link(members: Members) -> None:
    link = tarfile.TarInfo(members[2][0].name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[2] = (link, b"")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(change_content(1), "rows.jsonl is not what was written", id="rows"),
        pytest.param(change_content(2), r"files/[0-9a-f]{64}.* is not what was written", id="file"),
        pytest.param(lambda members: members.pop(), "it ends before files/", id="missing file"),
        pytest.param(lambda members: members.pop(2), "where files/.* was expected", id="missing first file"),
        pytest.param(
            lambda members: members.pop(0), "it holds 'rows.jsonl'.* where manifest.json was expected", id="no manifest"
        ),
        pytest.param(lambda members: members.append(members[2]), "it holds more than its manifest lists", id="too much"),
        pytest.param(rename(2, "files/../../escaped"), r"where files/|is not what was written", id="a path that escapes"),
        pytest.param(rename(2, "/etc/escaped"), "is no backup, or damaged", id="a path from the root"),
        pytest.param(add_link, "where files/.* was expected", id="a link"),
        pytest.param(change_manifest(rows_sha256=None), "rows.jsonl is not what was written", id="manifest"),
        pytest.param(change_manifest(files=None), "is no backup, or damaged", id="manifest without files"),
        pytest.param(change_manifest(format=7, version="9.0"), "of format 7; expected 1. Restore it with .* 9.0", id="format"),
    ],
)
def test_a_damaged_backup_is_refused_and_nothing_is_kept(sound, tmp_path, change, match):
    rewritten(sound, change)
    new = empty_hub(tmp_path / "restored")
    with pytest.raises(InputError, match=match):
        restore(sound, new.store)
    assert new.store.n_events() == 0
    assert [path for path in new.store.files.folder.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.7, 0.9])
def test_a_backup_that_was_cut_is_refused(sound, tmp_path, part):
    content = sound.read_bytes()
    sound.write_bytes(content[: int(part * len(content.rstrip(b"\0")))])
    new = empty_hub(tmp_path / "restored")
    with pytest.raises(InputError, match=r"hub\.tar is no backup, or damaged: .*Nothing was restored; take another backup"):
        restore(sound, new.store)
    assert new.store.n_events() == 0


@pytest.mark.parametrize(("content", "match"), [(None, "cannot be read: No such file"), (b"something else" * 99, "is no backup")])
def test_what_is_no_backup_is_refused(tmp_path, content, match):
    path = tmp_path / "hub.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        restore(path, empty_hub(tmp_path / "restored").store)


def test_an_altered_log_is_refused(sound, tmp_path):
    def change(members: Members) -> None:
        import hashlib

        rows = members[1][1].replace(b'"actor":"local"', b'"actor":"other"', 1)
        manifest = {**json.loads(members[0][1]), "rows_sha256": hashlib.sha256(rows).hexdigest()}
        members[:2] = [(members[0][0], json.dumps(manifest).encode()), (members[1][0], rows)]

    rewritten(sound, change)
    new = empty_hub(tmp_path / "restored")
    with pytest.raises(StateError, match="recorded by event 1, which was altered"):
        restore(sound, new.store)
    assert new.store.submissions() == []


def test_a_hub_that_holds_something_is_not_restored_into(hub, tmp_path, sound):
    before = everything(hub)
    with pytest.raises(InputError, match=r"holds \d+ events; expected an empty one\. Name another one with --db"):
        restore(sound, hub.store)
    assert everything(hub) == before


def test_a_hub_whose_files_are_not_sound_is_not_backed_up(tmp_path):
    hub = small_hub(tmp_path / "hub")
    content = hub.store.files.path(send(hub, "A").content_sha256, ".jsonl")
    score_all(hub)
    content.write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"{content.name} is damaged"):
        backup(hub.store, tmp_path / "hub.tar")
    assert check_files(hub.store).damaged == [content.name]
    content.unlink()
    with pytest.raises(InputError, match=rf"not complete, .*\n.*E_FILE: {content.name} is missing \(uac admin check lists all\)"):
        backup(hub.store, tmp_path / "hub.tar")
    found = check_files(hub.store)
    assert (found.n_files, found.missing, found.damaged) == (4, [content.name], [])
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist"):
        backup(hub.store, tmp_path / "nowhere" / "hub.tar")
    assert list(tmp_path.glob("*.tar*")) == list(tmp_path.glob(".*")) == []


def test_a_disk_that_is_full_leaves_the_older_backup(sound, tmp_path, monkeypatch):
    hub = empty_hub(tmp_path / "hub")
    before = sound.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups.os, "fsync", full)
    with pytest.raises(StorageError, match=r"no room to write to .*No backup was written"):
        backup(hub.store, sound)
    assert sound.read_bytes() == before
    assert list(tmp_path.glob(".*")) == []
