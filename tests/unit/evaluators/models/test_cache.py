import multiprocessing
import os
import subprocess
import threading

import numpy as np
import pytest
from unified_audiocaps.evaluators.models import cache as module
from unified_audiocaps.evaluators.models.cache import ABANDONED_S, ArrayCache, digest_of_texts
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

VALUES = np.arange(1000, dtype=np.float32)
RECIPE = {"kind": "test", "references": "abc"}


@pytest.fixture(autouse=True)
def told_anew():
    module._tell_once.cache_clear()


class Maker:
    def __init__(self, values=VALUES):
        self.values, self.calls = values, 0

    def __call__(self):
        self.calls += 1
        return {"values": self.values, "n": np.array(3)}


def test_what_was_made_once_is_read(tmp_path):
    make, cache = Maker(), ArrayCache(tmp_path / "new" / "folder", 10**6)
    first, second = cache.get(RECIPE, make), ArrayCache(tmp_path / "new" / "folder", 10**6).get(RECIPE, make)
    assert make.calls == 1
    assert second["values"].tobytes() == first["values"].tobytes() == VALUES.tobytes()
    assert int(second["n"]) == 3
    cache.get({**RECIPE, "kind": "other"}, make)
    assert make.calls == 2


def test_a_bound_of_nothing_keeps_nothing(tmp_path):
    make, cache = Maker(), ArrayCache(tmp_path, 0)
    cache.get(RECIPE, make)
    cache.get(RECIPE, make)
    assert make.calls == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text"])
def test_a_damaged_file_is_made_anew(tmp_path, damage, caplog):
    make, cache = Maker(), ArrayCache(tmp_path, 10**6)
    cache.get(RECIPE, make)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[2000] ^= 1
    path.write_bytes({"cut": content[:-300], "flipped": content, "emptied": b"", "text": b"not an archive"}[damage])
    assert cache.get(RECIPE, make)["values"].tobytes() == VALUES.tobytes()
    assert make.calls == 2
    assert "damaged" in caplog.text
    cache.get(RECIPE, make)
    assert make.calls == 2


def test_what_was_not_used_for_the_longest_time_goes(tmp_path):
    make, cache = Maker(), ArrayCache(tmp_path, 10_000)  # holds two entries of 4 kB
    for number, name in enumerate(("a", "b")):
        cache.get({"name": name}, make)
        for path in tmp_path.iterdir():
            os.utime(path, (number + 1.0, number + 1.0)) if path.stat().st_mtime > 100 else None
    cache.get({"name": "a"}, make)  # younger than b again
    cache.get({"name": "c"}, make)
    assert make.calls == 3
    cache.get({"name": "a"}, make)
    assert make.calls == 3
    cache.get({"name": "b"}, make)
    assert make.calls == 4
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


def test_an_entry_larger_than_the_bound_is_not_kept(tmp_path):
    make = Maker()
    assert ArrayCache(tmp_path, 100).get(RECIPE, make)["values"].tobytes() == VALUES.tobytes()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_goes(tmp_path):
    left, fresh = tmp_path / ".entry.npz.1.aa", tmp_path / ".entry.npz.2.bb"
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (1.0, left.stat().st_mtime - 2 * ABANDONED_S))
    ArrayCache(tmp_path, 10**6).get(RECIPE, Maker())
    assert not left.exists()
    assert fresh.exists()


def test_threads_and_processes_share_a_folder(tmp_path):
    def work(number):
        for turn in range(20):
            found = ArrayCache(tmp_path, 20_000).get({"name": (number + turn) % 5}, Maker())
            assert found["values"].tobytes() == VALUES.tobytes()

    failed = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(4)]
    processes = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(3)]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join()
    assert not failed
    assert [process.exitcode for process in processes] == [0, 0, 0]


def as_nobody(folder, connection):
    os.setgid(65534)
    os.setuid(65534)
    make = Maker()
    found = ArrayCache(folder, 10**6).get(RECIPE, make)
    connection.send((make.calls, found["values"].tobytes() == VALUES.tobytes()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("is_filled", [False, True])
def test_a_folder_that_others_may_only_read(tmp_path, is_filled):
    folder = tmp_path / "cache"
    if is_filled:
        ArrayCache(folder, 10**6).get(RECIPE, Maker())
    folder.mkdir(exist_ok=True)
    for one in (tmp_path, *tmp_path.parents):
        if one != one.parent and str(one).startswith("/tmp/"):
            one.chmod(one.stat().st_mode | 0o755)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=as_nobody, args=(folder, theirs))
    process.start()
    assert ours.recv() == (0 if is_filled else 1, True)
    process.join()
    assert process.exitcode == 0


def test_a_file_in_the_place_of_the_folder(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file")
    for _ in range(2):
        assert ArrayCache(tmp_path / "cache", 10**6).get(RECIPE, Maker())["values"].tobytes() == VALUES.tobytes()
    assert caplog.text.count("scores are computed without it") >= 1


def test_a_full_disk_costs_no_score(tmp_path, caplog, unavailable):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        make = Maker(np.random.default_rng(0).random(200_000))
        found = ArrayCache(disk / "cache", 10**8).get(RECIPE, make)
        assert found["values"].tobytes() == make.values.tobytes()
        assert [path for path in (disk / "cache").iterdir()] == []
        assert "cannot be written" in caplog.text
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_texts_order_and_borders_are_told_apart():
    digests = {digest_of_texts(texts) for texts in ([["a", "b"]], [["b", "a"]], [["a"], ["b"]], [["ab"]], [["a", "b", ""]], [])}
    assert len(digests) == 6


def test_a_second_system_reads_the_references_of_the_first(monkeypatch):
    from unified_audiocaps.evaluators.models.encoders import Encoder

    references = [[f"sound number {i} rings {j} times" for j in range(5)] for i in range(120)]
    pairs = [CaptionPairs.in_order([f"{word} {i}" for i in range(120)], references) for word in ("ring", "bell")]
    options, metrics = Options(device="cpu"), ["sbert_sim", "date"]
    first = score(pairs[0], metrics, options)
    encoded = []
    embed = Encoder.embed
    monkeypatch.setattr(
        Encoder, "embed", lambda self, texts, *more: encoded.append(len(texts.lengths)) or embed(self, texts, *more)
    )
    again = score(pairs[0], metrics, options)
    assert [one.per_item.tobytes() for one in again] == [one.per_item.tobytes() for one in first]
    assert [one.notes for one in again] == [one.notes for one in first]
    other = score(pairs[1], metrics, options)
    assert encoded == [120] * 4  # candidates only
    monkeypatch.setenv("UAC_CACHE_BYTES", "0")
    uncached = score(pairs[1], metrics, options)
    assert [one.per_item.tobytes() for one in uncached] == [one.per_item.tobytes() for one in other]
