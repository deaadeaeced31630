"""Answers that give none are told from answers; records of any shape are rebuilt."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.source import source

IDS = st.sampled_from(["Yaaaaaaaaaa1", "Ybbbbbbbbbb2", "Yc", "", "Ydddddddddd4_1"])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)


@pytest.mark.parametrize(
    ("answer", "is_absent"),
    [
        ("I'm sorry, but there is no speech in this clip.", True),
        ("Sorry, I did not hear any music.", True),
        ("As an AI model, I cannot listen.", True),
        ("I can’t tell which language that is.", True),
        ("There is no music in this audio.", True),
        ("There are no discernible voices present in the recording", True),
        ("   ", True),
        ("There is no music in this audio, but birds sing.", False),
        ("A man says that he is sorry.", False),
        ("Sorrygum trees rustle.", False),
        ("There is no doubt: a waltz.", False),
    ],
)
def test_refusals(tmp_path: Path, answer: str, is_absent: bool) -> None:
    write(tmp_path, [("Yaaaaaaaaaa1", "a")], [("Yaaaaaaaaaa1", "x", answer, "y")])
    (batch,) = source("audiosetcaps").read(tmp_path, "train")
    assert [qa["is_absent"] for qa in batch["qa"][0].as_py()] == [False, is_absent, False]


@settings(max_examples=60, deadline=None)
@given(captions=st.lists(st.tuples(IDS, TEXT), max_size=6), answers=st.lists(st.tuples(IDS, TEXT, TEXT, TEXT), max_size=6))
def test_every_line_is_rebuilt(
    tmp_path_factory: pytest.TempPathFactory, captions: list[tuple[str, str]], answers: list[tuple[str, str, str, str]]
) -> None:
    raw = tmp_path_factory.mktemp("raw")
    expected = write(raw, captions, answers)
    one = source("audiosetcaps")
    batches = list(one.read(raw, "train"))
    found = one.rebuild(pa.Table.from_batches(batches)) if batches else {}
    assert found == {file: records for file, records in expected.items() if records}


def write(folder: Path, captions: list[Any], answers: list[Any]) -> dict[str, list[dict[str, str]]]:
    files = {
        "AudioSetCaps_caption.csv": (["id", "caption"], captions),
        "AudioSetCaps_Qwen-Audio_Q&A.csv": (["id", "answer_1", "answer_2", "answer_3"], answers),
    }
    for name, (header, records) in files.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *records])
    return {name: [dict(zip(header, one, strict=True)) for one in records] for name, (header, records) in files.items()}


def test_clips_that_only_have_answers_are_counted(tmp_path: Path) -> None:
    write(tmp_path, [("Yaaaaaaaaaa1", "a"), ("odd", "b")], [("Ybbbbbbbbbb2", "x", "y", "z"), ("Yaaaaaaaaaa1", "x", "y", "z")])
    report = build("audiosetcaps", raw=tmp_path, out=tmp_path / "out")
    total = report.statistics["total"]
    assert (total["rows"], total["rows_without_caption"], total["rows_without_clip_key"], total["qa"]) == (3, 1, 1, 6)
    assert total["ids_without_clip_key"] == ["audiosetcaps/audioset/odd"]
