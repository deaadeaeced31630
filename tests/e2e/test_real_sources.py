"""Examples that the publishers print, and real files where there are some, through the sources that read their format."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.source import source


def rows(out: Path, name: str, split: str) -> list[dict[str, Any]]:
    return built_set(f"{name}/{split}", out).table().to_pylist()


@pytest.mark.real
def test_the_acavcaps_example(real_dir: Path, tmp_path: Path) -> None:
    example = real_dir / "acavcaps/00A.QUOTED_readme_example.jsonl"
    (tmp_path / "src").mkdir()
    shutil.copyfile(example, tmp_path / "src/00A.jsonl")
    build("acavcaps", raw=tmp_path, out=tmp_path / "out")
    (row,) = rows(tmp_path / "out", "acavcaps", "train")
    assert row["id"] == "acavcaps/00A/wo8sFEF7sWM_166_48_176_48"
    assert (row["audio_ref"]["start_s"], row["audio_ref"]["end_s"]) == (166.48, 176.48)
    absent = [caption["style"] for caption in row["captions"] if caption["is_absent"]]
    assert absent == ["speech"] * 3 + ["music"] * 3
    record = json.loads(example.read_text(encoding="utf-8"))
    assert source("acavcaps").rebuild(built_set("acavcaps/train", tmp_path / "out").table()) == {"src/00A.jsonl": [record]}
    assert row["caption"] == record["wo8sFEF7sWM_166_48_176_48"]["long"][0]


@pytest.mark.real
def test_the_audiosetcaps_examples(real_dir: Path, tmp_path: Path) -> None:
    examples = json.loads((real_dir / "audiosetcaps/QUOTED_readme_examples.json").read_text(encoding="utf-8"))
    with (tmp_path / "YouTube-8M_AudioSetCaps_caption.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "caption"], *([one["id"], one["caption"]] for one in examples)])
    with (tmp_path / "YouTube-8M_Qwen-Audio_Q&A.csv").open("w", newline="", encoding="utf-8") as file:
        header = ["id", "answer_1", "answer_2", "answer_3"]
        csv.writer(file).writerows([header, *([one["id"], *(answer for _, answer in one["qa"])] for one in reversed(examples))])
    build("audiosetcaps", raw=tmp_path, out=tmp_path / "out")
    found = rows(tmp_path / "out", "audiosetcaps", "train")
    assert [(row["source_key"], row["caption"]) for row in found] == [(one["id"], one["caption"]) for one in examples]
    # The questions that the source states are those that the publisher prints.
    assert [[[qa["question"], qa["answer"]] for qa in row["qa"]] for row in found] == [one["qa"] for one in examples]
    assert [[qa["is_absent"] for qa in row["qa"]] for row in found] == [[False, True, False], [False, False, True]]
    assert [(row["audio_ref"]["start_s"], row["audio_ref"]["end_s"]) for row in found] == [(4, 14), (0, 10)]


@pytest.mark.real
def test_the_fusionaudio_test_sets(real_dir: Path, tmp_path: Path) -> None:
    raw = real_dir / "fusionaudio"
    report = build("fusionaudio", raw=raw, out=tmp_path / "out")
    assert set(report.skipped) == {"train"}
    assert {"data/example/train_data_example.json", "data/eval/vocabulary/ESC50.csv"} <= set(report.unknown_files)
    table = built_set("fusionaudio/test", tmp_path / "out").table()
    upstream = {
        f"data/eval/{path.name}": json.loads(path.read_text(encoding="utf-8")) for path in (raw / "data/eval").glob("*.json")
    }
    assert source("fusionaudio").rebuild(table) == upstream
    found = table.to_pylist()
    per_set = Counter(row["subset"] for row in found)
    assert (per_set["ESC50"], per_set["FSDnoisy18K"], per_set["AudioCaps-QA"], per_set["WavCaps-QA"]) == (2000, 947, 313, 304)
    assert per_set["Clotho-AQA"] == 12  # of 200 records
    assert all(row["clip_keys"] for row in found if row["subset"] in {"ESC50", "FSD50K", "FSDnoisy18K", "UrbanSound8K"})
    assert not any(row["clip_keys"] for row in found if row["subset"] in {"TAU-Urban-Mobile", "AudioCaps-QA"})
    assert not any(row["captions"] for row in found)


@pytest.mark.real
def test_the_fusionaudio_training_example(real_dir: Path, tmp_path: Path) -> None:
    shutil.copyfile(real_dir / "fusionaudio/data/example/train_data_example.json", tmp_path / "any name.json")
    report = build("fusionaudio", raw=tmp_path, out=tmp_path / "out")
    assert (report.rows, report.statistics["total"]["qa"], report.dropped) == ({"train": 1}, 2, {})  # one row, given twice


@pytest.mark.real
def test_the_wavcaps_blacklists(real_dir: Path, tmp_path: Path) -> None:
    folder = real_dir / "wavcaps/json_files/blacklist"
    lists = {path.stem.removeprefix("blacklist_"): json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    assert set(lists) == {"exclude_all_ac", "exclude_test_ac", "exclude_ub8k_esc50_vggsound"}
    for path in folder.glob("*.json"):
        shutil.copyfile(path, tmp_path / path.name)
    # No copy of the caption files is at hand: clips are made of every id that a list names, and of the publisher's examples.
    examples = {
        one["source"]: one["data"] for one in json.loads((real_dir / "wavcaps/QUOTED_records_as_fsd_bbc.json").read_text())
    }
    for name, subset, which in (("as_final", "AudioSet_SL", "AudioSet"), ("fsd_final", "FreeSound", "FreeSound")):
        ids = sorted({one for found in lists.values() for one in found[which]} - {"Not found"})
        made = [{**examples[subset][0], "id": one} for one in ids if one != examples[subset][0]["id"]]
        whole = {"num_captions_per_audio": 1, "data": [*examples[subset], *made]}
        (tmp_path / f"{name}.json").write_text(json.dumps(whole), encoding="utf-8")
    report = build("wavcaps", raw=tmp_path, out=tmp_path / "out")
    assert report.warnings == [  # "Not found"
        "blacklist_exclude_all_ac.json: 1 of 5905 entries name no clip of FreeSound",
        "blacklist_exclude_test_ac.json: 1 of 2078 entries name no clip of FreeSound",
    ]
    found: dict[str, Counter[str]] = {}
    for row in built_set("wavcaps/train", tmp_path / "out").table(["subset", "tags"]).to_pylist():
        found.setdefault(row["subset"], Counter()).update(tag["label"] for tag in row["tags"] if tag["scheme"] == "blacklist")
    assert found["AudioSet_SL"] == {"exclude_all_ac": 50_725, "exclude_test_ac": 1_451, "exclude_ub8k_esc50_vggsound": 15_510}
    assert found["FreeSound"] == {"exclude_all_ac": 5_904, "exclude_test_ac": 2_077, "exclude_ub8k_esc50_vggsound": 2_219}
