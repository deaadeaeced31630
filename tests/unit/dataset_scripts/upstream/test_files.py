"""Upstream files are found by their published names, at any depth, and nothing else is read."""

from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.upstream.files import RawFile, UpstreamFile, locate

KNOWN = (
    UpstreamFile("test.csv", "test", prefer=("v1",)),
    UpstreamFile("val.csv", "validation", aliases=("validation.csv",)),
    UpstreamFile("notes.csv", "validation", role="notes", is_needed=False),
)


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")
    return folder


def test_names_decide(tmp_path: Path) -> None:
    put(tmp_path, "a/b/test.csv", "validation.csv.gz", "test.head200.csv", "sound.WAV", ".git/val.csv", "c/README.md")
    found = locate("set", KNOWN, tmp_path)
    assert [(part.split, sorted(part.files)) for part in found.parts] == [("test", ["captions"]), ("validation", ["captions"])]
    assert found.parts[0].files["captions"].name == "a/b/test.csv"
    assert found.unknown == ("c/README.md", "test.head200.csv")
    assert not found.missing


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    found = locate("set", KNOWN, put(tmp_path, "notes.csv", "test.csv"))
    assert [part.split for part in found.parts] == ["test"]
    assert found.missing == {"validation": "not built: no val.csv below --raw"}


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "x/val.csv", "y/val.csv")
    with pytest.raises(InputError, match=r"E_AMBIGUOUS_FILE: val\.csv is there 2 times: x/val\.csv, y/val\.csv"):
        locate("set", KNOWN, tmp_path)


def test_the_publishers_folder_decides_between_two(tmp_path: Path) -> None:
    found = locate("set", KNOWN, put(tmp_path, "v1/test.csv", "v2/test.csv"))
    assert found.parts[0].files["captions"].name == "v1/test.csv"
    assert found.unknown == ("v2/test.csv",)


def test_folders_on_the_path_tell_files_apart(tmp_path: Path) -> None:
    known = tuple(
        UpstreamFile("0MA.jsonl", split, role=role, folders=(role, split))
        for split in ("train", "test")
        for role in ("caption", "qa")
    )
    raw = put(tmp_path / "test", "x/caption/train/0MA.jsonl", "x/qa/train/0MA.jsonl")
    found = locate("set", known, raw)
    assert [(part.split, sorted(part.files)) for part in found.parts] == [("train", ["caption", "qa"])]
    inside = locate("set", known[:1], raw / "x/caption/train")
    assert inside.parts[0].files["caption"].name == "0MA.jsonl"


def test_the_output_folder_and_loops_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "test.csv", "unified-audiocaps/data/set/val.csv")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    found = locate("set", KNOWN, tmp_path, without=tmp_path / "unified-audiocaps")
    assert [part.split for part in found.parts] == ["test"]
    assert found.unknown == ()


def test_raw_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder; expected the folder that holds the upstream files of set"):
        locate("set", KNOWN, tmp_path / "nowhere")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_blocks_end_with_lines_and_lose_nothing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfone\ntwo, longer\n\nlast")
    blocks = list(RawFile("set", path, "f").blocks(size))
    assert b"".join(blocks) == b"one\ntwo, longer\n\nlast" or size < 3  # a mark cut in two is not taken off
    assert all(block.endswith(b"\n") for block in blocks[:-1])
