"""Pairs of clips: what the published files give, and what is refused."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, RecordError
from unified_audiocaps.dataset_scripts.source import source


def own_names(folder: Path, raw: Path) -> Path:
    """Copies files, heads of published ones included, under their published names."""
    for path in folder.rglob("*.csv"):
        target = raw / path.relative_to(folder).parent / f"{path.name.split('.')[0]}.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return raw


@pytest.mark.real
def test_audiodiffcaps_of_the_published_files(real_dir: Path, tmp_path: Path) -> None:
    raw = own_names(real_dir / "audiodiffcaps", tmp_path / "raw")
    report = build("audiodiffcaps", raw=raw, out=tmp_path / "out")
    assert report.rows == {"dev": 500, "eval": 1720}
    assert report.unknown_files == ["audio_csv/bg/fsd50k.csv", "audio_csv/ev/esc50.csv"]
    dev, evaluation = (report.statistics["splits"][split] for split in ("dev", "eval"))
    assert dev["captions"] == 393 * 5 + 79 * 4 + 26 * 3 + 2 * 2
    assert evaluation["captions"] == 1720 * 5
    one = source("audiodiffcaps")
    rebuilt = one.rebuild(built_set("audiodiffcaps/eval", tmp_path / "out").table())
    for name, records in rebuilt.items():
        with (raw / name).open(newline="", encoding="utf-8") as stream:
            assert records == list(csv.DictReader(stream))


@pytest.mark.real
def test_scenes_of_audiodiffcaps_tell_their_events(real_dir: Path, tmp_path: Path) -> None:
    raw = own_names(real_dir / "audiodiffcaps", tmp_path / "raw")
    shutil.copytree(real_dir / "audiodiffcaps/jams", raw / "jams")
    report = build("audiodiffcaps", raw=raw, out=tmp_path / "out")
    assert report.unknown_files == ["audio_csv/bg/fsd50k.csv", "audio_csv/ev/esc50.csv"]
    table = built_set("audiodiffcaps/dev", tmp_path / "out").table()
    events = {row["source_key"]: row["events"] for row in table.to_pylist() if row["events"] is not None}
    assert {key: [one["label"] for one in found] for key, found in events.items()} == {
        "adc_rain_dev_0000": ["rain", "rain", "thunder"],
        "adc_rain_dev_0039": ["rain"],
    }
    assert events["adc_rain_dev_0000"][2] == {
        "role": "foreground", "label": "thunder", "category": None, "file": "source/dev/foreground/thunder/1-24524-A-19.wav",
        "onset_s": 5.755751758284505, "duration_s": 4.1026295381657825, "snr_db": 9.651636720610684,
    }  # fmt: skip
    rebuilt = source("audiodiffcaps").rebuild(table)
    for path in (raw / "jams").iterdir():
        assert json.dumps(rebuilt[f"jams/{path.name}"]) == json.dumps([json.loads(path.read_text())])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", r"adc_rain_dev_0000_s1\.jams: .*expected JSON"),
        ("[]", "expected a JSON object"),
        ('{"annotations": {}}', "expected a list of objects.*annotations|annotations.*expected a list of objects"),
        ('{"annotations": [{"namespace": "scaper", "data": [{"time": "0", "duration": 1, "value": {}}]}]}', "expected a text"),
    ],
)
def test_scenes_that_scaper_did_not_write(tmp_path: Path, content: str, told: str) -> None:
    header = "key,s1_fn,s2_fn,caption_1,caption_2,caption_3,caption_4,caption_5\n"
    (tmp_path / "adc_rain_dev.csv").write_text(f"{header}k,adc_rain_dev_0000_s1.wav,b.wav,no dog,,,,\n")
    (tmp_path / "adc_rain_dev_0000_s1.jams").write_text(content)
    with pytest.raises(RecordError, match=told):
        build("audiodiffcaps", raw=tmp_path, out=tmp_path / "out")


def test_the_file_of_a_scene_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "adc_rain_dev.csv").write_text("key,s1_fn,s2_fn,caption_1,caption_2,caption_3,caption_4,caption_5\n")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adc_rain_dev_0000_s1.jams").write_text("{}")
    with pytest.raises(InputError, match=r"a/adc_rain_dev_0000_s1\.jams and b/.* have the same name"):
        build("audiodiffcaps", raw=tmp_path, out=tmp_path / "out")


@pytest.mark.real
def test_adiff_of_the_published_heads(real_dir: Path, tmp_path: Path) -> None:
    raw = own_names(real_dir / "adiff", tmp_path / "raw")
    report = build("adiff", raw=raw, out=tmp_path / "out")
    assert report.rows == {"validation": 300, "test": 600}
    test = built_set("adiff/test", tmp_path / "out").table().to_pylist()
    by_subset = {name: [row for row in test if row["subset"] == name] for name in ("ACD", "CLD")}
    assert {name: len(rows) for name, rows in by_subset.items()} == {"ACD": 300, "CLD": 300}
    # The tiers list the same pairs: each row of ACD has both answers, and every clip is one of AudioCaps.
    assert all([one["variant"] for one in row["captions"]] == [None, None, "fewwords", "sentence"] for row in by_subset["ACD"])
    assert [row["source_key"] for row in by_subset["ACD"] if len(row["clip_keys"]) != 2] == [
        "AudioCapsLarger/test/YYqYCDis3EUA.wav|AudioCapsLarger/test/YYqYCDis3EUA.wav"  # a clip with itself
    ]
    assert report.statistics["splits"]["test"]["rows_without_clip_key"] == 300
    rebuilt = {}
    for split in report.rows:
        rebuilt |= source("adiff").rebuild(built_set(f"adiff/{split}", tmp_path / "out").table())
    assert len(rebuilt) == 4
    for name, records in rebuilt.items():
        with (raw / name).open(newline="", encoding="utf-8") as stream:
            assert records == list(csv.DictReader(stream))


@pytest.mark.real
def test_auditeval_of_the_published_file(real_dir: Path, tmp_path: Path) -> None:
    report = build("auditeval", raw=real_dir / "auditeval", out=tmp_path / "out")
    rows = built_set("auditeval/test", tmp_path / "out").table().to_pylist()
    assert report.rows == {"test": 16}
    assert {row["operation"] for row in rows} == {"add"}
    assert len({row["caption"] for row in rows}) == len({row["base_clip"] for row in rows}) == 8
    assert all(row["caption"].rstrip(".") in row["caption_b"] for row in rows)
    lines = (real_dir / "auditeval/infer_batch.jsonl").read_text(encoding="utf-8").splitlines()
    assert source("auditeval").rebuild(built_set("auditeval/test", tmp_path / "out").table()) == {
        "infer_batch.jsonl": [json.loads(line) for line in lines]
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"messages": [], "audios": ["a.wav"]},
            r"infer_batch\.jsonl, record 1: field 'audios' is \['a\.wav'\]; expected two files",
        ),
        ({"messages": [{"content": "no"}], "audios": ["a", "b"]}, "field 'messages' .*expected a message that ends with"),
        (
            {
                "messages": [{"content": "Original Caption:\na\n\nTarget Caption:\nb\n"}],
                "audios": ["a", "b"],
                "label": [1],
            },
            r"field 'label' is \[1\]; expected three numbers: quality, relevance, faithfulness",
        ),
        ({"audios": "a"}, "field 'audios': is \"a\"; expected a list of texts"),
    ],
    ids=["one file", "no captions", "one score", "no list"],
)
def test_a_request_of_another_form_stops_the_build(tmp_path: Path, record: dict[str, object], message: str) -> None:
    (tmp_path / "infer_batch.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(RecordError, match=message):
        build("auditeval", raw=tmp_path, out=tmp_path / "out")


def test_another_layout_lists_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "acd_test_answers.csv").write_text("a,b\n")
    with pytest.raises(
        InputError, match=r"(?s)Expected at any depth: acd_train_adiff_fewwords.*Found there: acd_test_answers\.csv"
    ):
        build("adiff", raw=tmp_path, out=tmp_path / "out")
    (tmp_path / "acd_test_adiff_detail_answer.csv").write_text("taskname,file\nx,y\n")
    with pytest.raises(RecordError, match=r"line 1: field 'filepath1': the column is missing; the header has taskname, file"):
        build("adiff", raw=tmp_path, out=tmp_path / "out")
