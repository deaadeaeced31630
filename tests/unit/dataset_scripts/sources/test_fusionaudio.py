"""Files are found by what they hold, captions are told from questions, and every record is kept or counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, RecordError
from unified_audiocaps.dataset_scripts.source import source

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
RECORD = st.fixed_dictionaries(
    {"audio_id": st.sampled_from(["/a/x.wav", "x", "y.flac", "/b/aaaaaaaaaaa_0_10.wav", ""])},
    optional={
        "instruction": st.one_of(TEXT, st.just("Describe the sound.")),
        "input": TEXT,
        "dataset": TEXT,
        "task": st.sampled_from(["captioning", "closed-ended", ""]),
        "output": st.one_of(TEXT, st.integers(), st.none(), st.just("UNCERTAIN_AUDIO_INFORMATION_DETECTED")),
        "meta_info": st.one_of(TEXT, st.lists(st.integers(), max_size=2)),
    },
)


def record(**fields: Any) -> dict[str, Any]:
    whole = {"audio_id": "a.wav", "instruction": "What?", "input": "", "dataset": "d", "task": "t", "output": "That."}
    return {**whole, **fields}


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


@settings(max_examples=60, deadline=None)
@given(first=st.lists(RECORD, max_size=6), second=st.lists(RECORD, max_size=6))
def test_every_record_is_in_a_row_or_left_out(
    tmp_path_factory: pytest.TempPathFactory, first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    raw = tmp_path_factory.mktemp("raw")
    files = {"b.json": [record(), *first], "a.json": [record(), *second]}
    for name, records in files.items():
        write(raw, name, records)
    one = source("fusionaudio")
    (part,) = one.locate(raw).parts
    found: dict[str, dict[int, Any]] = {name: {} for name in files}
    for batch in one.read_part(part):
        for row in batch.to_pylist():
            for file, position, rebuilt in one.records(row):
                found[file][position] = rebuilt
    for lost in one.left_out(part):
        assert lost.row not in found[lost.file]
        found[lost.file][lost.row] = lost.record
    assert {name: [json.dumps(by[i], sort_keys=True) for i in range(len(by))] for name, by in found.items()} == {
        name: [json.dumps(one, sort_keys=True) for one in records] for name, records in files.items()
    }


@pytest.mark.parametrize(
    ("instruction", "task", "is_caption"),
    [
        ("Describe the audio in detail.", "Open-ended question", True),
        ("Describe the audio in detail.", "classification", False),
        ("Come up with a caption for this.", "", True),
        ("Whatever", "audio_caption", True),
        ("Can you describe the man's voice in the audio?", "Open-ended question", False),
        ("Describe the man's mood. Which sound tells it?", "Open-ended question", False),
    ],
)
def test_captions_and_questions(tmp_path: Path, instruction: str, task: str, is_caption: bool) -> None:
    write(tmp_path, "release.json", [record(instruction=instruction, task=task)])
    (batch,) = source("fusionaudio").read(tmp_path, "train")
    row = batch.to_pylist()[0]
    assert (len(row["captions"]), len(row["qa"])) == ((1, 0) if is_caption else (0, 1))


def test_failed_generations_are_counted_and_kept_aside(tmp_path: Path) -> None:
    bad = record(output='{"Audio caption": "UNCERTAIN_AUDIO_INFORMATION_DETECTED"}')
    write(tmp_path, "release.json", [record(), bad])
    report = build("fusionaudio", raw=tmp_path, out=tmp_path / "out")
    assert report.dropped == {"uncertain_audio_information": 1}
    (lost,) = pq.read_table(report.path / "dropped.parquet").to_pylist()
    assert (lost["id"], lost["row"], json.loads(lost["record_json"])) == ("fusionaudio/train/a", 1, bad)


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "ESC50_test.json.gz").write_bytes(gzip.compress(json.dumps([record()]).encode()))
    assert build("fusionaudio", raw=tmp_path, out=tmp_path / "out").rows == {"test": 1}


def test_other_layouts_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "list.json", [{"audio": "a.wav", "text": "b"}])
    write(tmp_path, "object.json", {"data": [record()]})
    write(tmp_path, "train_example.json", [record()])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"Found there: list\.json \(audio, text\); object\.json \(no list of objects\); .*notes\.txt"
    ):
        build("fusionaudio", raw=tmp_path, out=tmp_path / "out")


def test_a_test_set_that_is_there_twice(tmp_path: Path) -> None:
    write(tmp_path, "ESC50_test.json", [record()])
    write(tmp_path, "ESC50_test.head.json", [record()])
    with pytest.raises(InputError, match=r"ESC50_test\.head\.json and ESC50_test\.json are the same test set"):
        build("fusionaudio", raw=tmp_path, out=tmp_path / "out")


def test_a_record_without_a_clip_stops_the_build(tmp_path: Path) -> None:
    write(tmp_path, "release.json", [record(), {"instruction": "a", "output": "b"}])
    with pytest.raises(RecordError, match=r"release\.json, record 2: field 'audio_id': the field is missing"):
        build("fusionaudio", raw=tmp_path, out=tmp_path / "out")
