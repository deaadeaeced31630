"""Sets with labels or questions and no captions: the published files, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.source import source


def built(name: str, raw: Path, split: str) -> list[dict[str, Any]]:
    build(name, raw=raw, out=raw / "out")
    return built_set(f"{name}/{split}", raw / "out").table().to_pylist()


@pytest.mark.real
def test_vggsound_of_the_published_lists(real_dir: Path, tmp_path: Path) -> None:
    raw = real_dir / "vggsound"
    report = build("vggsound", raw=raw, out=tmp_path)
    assert report.rows == {"test": 15_446}
    assert report.unknown_files == ["stat.csv"]
    assert report.statistics["splits"]["test"]["rows_without_clip_key"] == 0
    table = built_set("vggsound/test", tmp_path).table()
    rows = table.to_pylist()
    assert len({row["clip_keys"][0] for row in rows}) == 14_851
    assert sum(row["extra_json"] == '{"lists": ["AStest"]}' for row in rows) == 6927
    assert all(len(row["tags"]) == 1 and row["caption"] is None for row in rows)
    with (raw / "stat.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["tags"][0]["label"] for row in rows} == {label for label, *_ in csv.reader(stream)}
    for name, records in source("vggsound").rebuild(table).items():
        with (raw / name).open(newline="", encoding="utf-8") as stream:
            assert records == list(csv.DictReader(stream, fieldnames=["file", "label"]))


def test_a_clip_with_two_labels_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("aaaaaaaaaaa_000001.mp4,hail\naaaaaaaaaaa_000001.mp4,rain\n")
    (row,) = built("vggsound", tmp_path, "test")
    assert [tag["label"] for tag in row["tags"]] == ["hail", "rain"]
    (records,) = source("vggsound").rebuild(built_set("vggsound/test", tmp_path / "out").table()).values()
    assert [one["label"] for one in records] == ["hail", "rain"]


def test_esc50_without_columns_is_read_from_the_file_names(tmp_path: Path) -> None:
    (tmp_path / "esc50.csv").write_text("filename,take\n5-9032-A-0.wav,A\nother.wav,B\n")
    first, second = built("esc50", tmp_path, "train")
    assert first["subset"] == "fold5"
    assert first["clip_keys"] == ["fs:9032"]
    assert first["tags"] == [{"label": "0", "scheme": "esc50", "code": "0", "score": None}]
    assert second["subset"] is None
    assert second["clip_keys"] == second["tags"] == []
    assert source("esc50").rebuild(built_set("esc50/train", tmp_path / "out").table()) == {
        "esc50.csv": [{"filename": "5-9032-A-0.wav", "take": "A"}, {"filename": "other.wav", "take": "B"}]
    }


@pytest.mark.real
def test_freesound_ids_of_the_published_names(real_dir: Path, tmp_path: Path) -> None:
    records = json.loads((real_dir / "fusionaudio/data/eval/ESC50_test.json").read_text(encoding="utf-8"))
    names = sorted({Path(record["audio_id"]).name for record in records})
    (tmp_path / "esc50.csv").write_text("filename\n" + "".join(f"{name}\n" for name in names))
    rows = built("esc50", tmp_path, "train")
    assert len(rows) == 2000
    assert len({row["clip_keys"][0] for row in rows}) == 1524
    assert {row["subset"] for row in rows} == {f"fold{i}" for i in range(1, 6)}


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        (
            "vggsound",
            "vggsound.csv",
            "aaaaaaaaaaa,1,hail\n",
            "line 1: .*the line has 3 cells where the format has video, start, la",
        ),
        ("vggsound", "vggsound.csv", "aaaaaaaaaaa,1,hail,valid\n", "record 1: field 'split' is 'valid'; expected train or test"),
        ("esc50", "esc50.csv", "file,fold\n", "field 'filename': the column is missing; the header has file, fold"),
        ("urbansound8k", "UrbanSound8K.csv", "slice_file_name\n", "field 'fsID': the column is missing"),
        ("fsd50k", "dev.csv", "fname,labels,mids\n1,a,b\n", "field 'split': the column is missing; the header has fname, lab"),
        ("fsd50k", "dev.csv", "fname,labels,mids,split\n1,a,b,test\n", "field 'split' is 'test'; expected train or val"),
        ("clotho_aqa", "clotho_aqa_test.csv", "file_name,answer\n", "field 'QuestionText': the column is missing"),
    ],
)
def test_files_of_another_form_stop_the_build(tmp_path: Path, name: str, file: str, content: str, message: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(RecordError, match=message):
        build(name, raw=tmp_path, out=tmp_path / "out")


def test_metadata_that_describes_a_file_twice_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "clotho_aqa_test.csv").write_text("file_name,QuestionText,answer,confidence\na.wav,b?,yes,yes\n")
    (tmp_path / "clotho_aqa_metadata.csv").write_text("file_name,sound_id\na.wav,1\na.wav,2\n")
    with pytest.raises(RecordError, match="field 'file_name': expected one line of metadata per file name"):
        build("clotho_aqa", raw=tmp_path, out=tmp_path / "out")
