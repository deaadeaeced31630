"""Files named by their sha256: whole, in place for good, and never found under any other name."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from unified_audiocaps.dataset_scripts import atomic
from unified_audiocaps.dataset_scripts.errors import InputError, StorageError
from unified_audiocaps.leaderboard.storage.files import FileStore


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "files")


def test_bytes_come_back_by_their_digest(files):
    sha256 = files.put(b"rain", ".jsonl.gz")
    assert sha256 == hashlib.sha256(b"rain").hexdigest()
    assert files.path(sha256, ".jsonl.gz") == files.folder / sha256[:2] / f"{sha256}.jsonl.gz"
    assert files.read(sha256, ".jsonl.gz") == b"rain"


def test_the_same_bytes_are_written_once(files):
    path = files.path(files.put(b"rain", ".csv"), ".csv")
    written = path.stat()
    files.put(b"rain", ".csv")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_file_and_both_folders_are_flushed_before_it_returns(files, monkeypatch):
    flushed = []
    monkeypatch.setattr(atomic, "sync_folder", flushed.append)
    sha256 = files.put(b"rain", ".csv")
    assert flushed == [files.folder, files.folder / sha256[:2]]
    files.put(b"rain", ".csv")  # written by somebody else, perhaps just now
    assert flushed[2:] == [files.folder / sha256[:2]]


def test_many_writers_of_the_same_bytes_leave_one_whole_file(files):
    content = b"x" * 100_000
    with ThreadPoolExecutor(8) as pool:
        (sha256,) = set(pool.map(lambda _: files.put(content, ".csv"), range(32)))
    assert files.read(sha256, ".csv") == content
    assert [path.name for path in files.folder.rglob("*") if path.is_file()] == [f"{sha256}.csv"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "0" * 63, "0" * 64 + "/x", "A" * 64, ""])
@pytest.mark.parametrize("suffix", ["", ".csv"])
def test_names_that_are_no_digest_lead_nowhere(files, name, suffix):
    with pytest.raises(InputError, match="names no file of the hub"):
        files.path(name, suffix)


def test_a_damaged_or_lost_file_is_said(files):
    sha256 = files.put(b"rain", ".csv")
    files.path(sha256, ".csv").write_bytes(b"sun")
    with pytest.raises(InputError, match=f"{sha256}.csv is damaged; restore it from a backup"):
        files.read(sha256, ".csv")
    files.path(sha256, ".csv").unlink()
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        files.read(sha256, ".csv")


def test_a_write_that_is_refused_keeps_nothing(files):
    sha256 = hashlib.sha256(b"rain").hexdigest()
    (files.folder / sha256[:2]).write_bytes(b"in the way")
    with pytest.raises(StorageError, match=r"Nothing was kept\."):
        files.put(b"rain", ".csv")
    assert [path.name for path in files.folder.iterdir()] == [sha256[:2]]


def test_a_flat_folder_of_an_older_version_is_moved(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    contents = [b"one", b"two", b"three"]
    for content in contents:
        (folder / f"{hashlib.sha256(content).hexdigest()}.jsonl").write_bytes(content)
    (folder / "notes.txt").write_text("not ours")
    with ThreadPoolExecutor(4) as pool:  # a web process and its workers start together
        found = list(pool.map(lambda _: FileStore(folder), range(4)))
    assert [found[0].read(hashlib.sha256(content).hexdigest(), ".jsonl") for content in contents] == contents
    assert [path.name for path in folder.glob("*.*")] == ["notes.txt"]
