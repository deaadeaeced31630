"""Members of archives, read in any order, equal to what was packed."""

import gzip
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.sound import archives
from unified_audiocaps.dataset_scripts.sound.archives import GzipStream, containers, content, members


@pytest.fixture
def data() -> bytes:
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 256, 3_000_000, np.uint8).tobytes() + bytes(2_000_000) + rng.integers(0, 9, 2_000_000, np.uint8).tobytes()
    )


@pytest.mark.parametrize("streams", [1, 3])
def test_a_gzip_file_is_read_anywhere(data: bytes, streams: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_STEP", 50_000)
    monkeypatch.setattr(archives, "_MIN_SPACING", 100_000)
    monkeypatch.setattr(archives, "_MAX_PLACES", 10)
    size = -(-len(data) // streams)
    path = tmp_path / "x.gz"
    path.write_bytes(b"".join(gzip.compress(data[begin : begin + size]) for begin in range(0, len(data), size)) + bytes(600))
    stream = GzipStream(str(path))
    rng = np.random.default_rng(1)
    places = [(int(begin), int(n)) for begin, n in zip(rng.integers(0, len(data), 60), rng.integers(1, 300_000, 60), strict=True)]
    with ThreadPoolExecutor(4) as pool:
        for (begin, n), found in zip(places, pool.map(lambda place: stream.read(*place), places), strict=True):
            assert found == data[begin : begin + n]
    assert len(stream._places) <= 11
    assert stream.read(len(data) - 10, 100) == data[-10:]
    assert stream.read(0, 5) == data[:5]


def test_a_gzip_file_that_was_cut_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(data)[:1_000_000])
    stream = GzipStream(str(path))
    assert stream.read(1000, 10) == data[1000:1010]
    with pytest.raises(EOFError):
        stream.read(2_900_000, 200_000)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archives_in_memory_at_a_url(mode: str) -> None:
    files = {f"a/{number}.wav": bytes([number]) * (1000 + number) for number in range(5)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, value in {**files, "a/0.json": b"{}"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(value)
            archive.addfile(info, io.BytesIO(value))
    system = fsspec.filesystem("memory")
    suffix = "tar" if mode == "w" else "tar.gz"
    system.pipe({f"/sounds/x.{suffix}": packed.getvalue(), "/sounds/b/9.flac": b"nine", "/sounds/notes.txt": b""})
    try:
        found = {}
        for container, inside in containers("memory://sounds", 0):
            for member in inside if inside is not None else members(container, []):
                read = content(container, member)
                assert isinstance(read, bytes)
                found[f"{container.shown}/{member.name}"] = read
        expected = {f"sounds/x.{suffix}/{name}": value for name, value in files.items()}
        assert found == {"sounds/b/9.flac": b"nine", **expected}
        with pytest.raises(InputError, match="is not there"):
            list(containers("memory://elsewhere", 0))
    finally:
        system.rm("/sounds", recursive=True)
