"""Files are found by their header; what else lies there is listed."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, RecordError
from unified_audiocaps.dataset_scripts.source import source


def archive(path: Path, **records: Any) -> Path:
    """Writes an archive with a sound and a JSON member per name; bytes are taken as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as stream:
        for name, record in records.items():
            content = record if isinstance(record, bytes) else json.dumps(record).encode()
            for member, data in ((f"{name}.flac", bytes(1000)), (f"{name}.json", content)):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                stream.addfile(info, io.BytesIO(data))
    return path


def record(text: str, number: int = 1) -> dict[str, Any]:
    return {"text": [text], "tag": [], "original_data": {"id": number}}


def test_other_layouts_are_listed(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("freesound_id,license\n1,CC0\n")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"Found there: meta\.csv \(freesound_id, license\); notes\.txt\."):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bbc.csv").write_text("url,caption1\nu,A bell.\n")
    with pytest.raises(InputError, match=r"a/bbc\.csv and b/bbc\.csv have the same name"):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


def test_without_a_folder_it_says_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"uac build laion_audio_630k --raw DIR"):
        build("laion_audio_630k")


@pytest.mark.parametrize("raw", [".", "freesound", "freesound/train"])
def test_archives_are_numbered_and_known_by_their_folders(tmp_path: Path, raw: str) -> None:
    for number in (0, 2, 10):
        archive(tmp_path / f"freesound/train/{number}.tar", a=record(f"A bell {number}.", number))
    (tmp_path / "freesound/train/sizes.json").write_text("{}")
    archive(tmp_path / "freesound/elsewhere/0.tar", a=record("Not a split."))
    report = build("laion_audio_630k", raw=tmp_path / raw, out=tmp_path / "out")
    assert report.rows == {"train": 3}
    assert [name.rpartition("/")[2] for name in report.unknown_files] == ["0.tar", "sizes.json"][raw == "freesound/train" :]
    rows = built_set("laion_audio_630k/train", tmp_path / "out").table(["id", "clip_keys"]).to_pylist()
    assert rows == [
        {"id": f"laion_audio_630k/freesound/train/{number}/a", "clip_keys": [f"fs:{number}"]} for number in (0, 2, 10)
    ]


def test_numbers_of_other_corpora_are_no_freesound_ids(tmp_path: Path) -> None:
    archive(tmp_path / "epidemic/test/0.tar", a=record("A bell.", 12))
    build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")
    (row,) = built_set("laion_audio_630k/test", tmp_path / "out").table().to_pylist()
    assert (row["clip_keys"], row["audio_ref"]["key"], row["audio_ref"]["member"]) == ([], None, "a.flac")
    assert source("laion_audio_630k").rebuild(built_set("laion_audio_630k", tmp_path / "out").table()) == {
        "epidemic/test/0.tar": [record("A bell.", 12)]
    }


@pytest.mark.parametrize("size", [5 * 512, 8 * 512, 8 * 512 + 100, 9 * 512 + 100])
def test_an_archive_that_was_cut_is_told(tmp_path: Path, size: int) -> None:
    path = archive(tmp_path / "freesound/train/0.tar", a=record("A bell."), b=record("Another."))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RecordError, match=r"train/0\.tar: .*damaged or cut short"):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "expected JSON"),
        (b"[1]", "expected a JSON object"),
        (b"{}", "expected a list of texts"),
        (b"\xff", "expected JSON"),
    ],
)
def test_members_that_are_no_records(tmp_path: Path, content: bytes, told: str) -> None:
    archive(tmp_path / "freesound/train/0.tar", a=record("A bell."), b=content)
    with pytest.raises(RecordError, match=told):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


def test_an_archive_and_a_csv_of_one_name(tmp_path: Path) -> None:
    archive(tmp_path / "freesound/train/0.tar", a=record("A bell."))
    (tmp_path / "freesound.csv").write_text("url,caption1\nu,A bell.\n")
    with pytest.raises(InputError, match=r"freesound\.csv and the folder freesound have the same name"):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")
