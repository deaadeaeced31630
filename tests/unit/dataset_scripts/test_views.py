"""Flat views: the right texts in the right order, the same from a table, a dataset and a stream, and files that others read."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts import schema, views
from unified_audiocaps.dataset_scripts.arrays import record_batch
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.files import read_references

from ...event_clips import write_event_clips

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "sources"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("views") / "unified-audiocaps"
    for name in ("sample", "wavcaps", "mecat"):
        build(name, raw=None if name == "sample" else FIXTURES / name / "raw", out=out)
    events = write_event_clips(tmp_path_factory.mktemp("events"))
    build("adc_acc", out=out, options={"base": "sample", "events": events, "pairs": 24})
    return out


def caption(text: str, style: str = "default", **more: Any) -> dict[str, Any]:
    return {"text": text, "style": style, "is_absent": False, "scores": [], **more}


def question(text: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"question": text, "answer": answer, "is_absent": False, "scores": [], **more}


def rows(*clips: dict[str, Any]) -> pa.RecordBatch:
    names = {"id", "captions", "qa", "audio_ref", "audio_ref_b", "source_key"}
    columns = {
        name: pa.array(
            [clip.get(name, [] if name in {"captions", "qa"} else None) for clip in clips], schema.SCHEMA.field(name).type
        )
        for name in names - {"id"}
    }
    return record_batch(len(clips), id=pa.array([f"r{i}" for i in range(len(clips))]), **columns)


CLIPS = rows(
    {
        "captions": [caption("raw", "description"), caption("a dog"), caption(" "), caption("None", is_absent=True)],
        "qa": [question("what?", "a dog"), question("music?", "none", is_absent=True)],
        "audio_ref": {"file_name": "dog.wav"},
    },
    {"source_key": "k"},
    {
        "captions": [caption("it moved", "difference", prompt="What changed?"), caption("both bark", "commonality")],
        "audio_ref": {"key": "a"},
        "audio_ref_b": {"file_name": "b.wav"},
    },
)


def test_captions_leave_out_absent_blank_and_raw_texts() -> None:
    found = views.captions(CLIPS).to_pylist()
    assert [(row["id"], row["caption"], row["style"]) for row in found] == [
        ("r0", "a dog", "default"),
        ("r2", "it moved", "difference"),
        ("r2", "both bark", "commonality"),
    ]
    assert views.captions(CLIPS, style="description")["caption"].to_pylist() == ["raw"]


def test_questions_leave_out_absent_ones() -> None:
    assert [(row["id"], row["answer"]) for row in views.qa(CLIPS).to_pylist()] == [("r0", "a dog")]
    with pytest.raises(InputError, match="questions, which have none"):
        views.qa(CLIPS, style="long")


def test_references_keep_absent_texts_and_one_style() -> None:
    unlabelled = {"operation": None, "domain": None}
    assert views.references(CLIPS).to_pylist() == [
        {"id": "r0", "references": ["a dog", " ", "None"], **unlabelled},
        {"id": "r2", "references": ["it moved"], **unlabelled},
    ]
    found = views.references(CLIPS, style="commonality").to_pylist()
    assert found == [{"id": "r2", "references": ["both bark"], **unlabelled}]


def test_messages_are_chats_with_their_sounds() -> None:
    assert views.messages(CLIPS, prompt="Say it.", audio_root="wav").to_pylist() == [
        {"messages": [{"role": "user", "content": f"{marks}{asked}"}, {"role": "assistant", "content": said}], "audios": audios}
        for marks, asked, said, audios in [
            ("<audio>", "Say it.", "a dog", ["wav/dog.wav"]),
            ("<audio>", "what?", "a dog", ["wav/dog.wav"]),
            ("<audio><audio>", "What changed?", "it moved", ["wav/a", "wav/b.wav"]),
            ("<audio><audio>", "Say it.", "both bark", ["wav/a", "wav/b.wav"]),
        ]
    ]


def test_chats_hear_the_sounds_that_their_texts_tell_of() -> None:
    pair = rows(
        {
            "captions": [
                caption("rain", side="a"),
                caption("rain and a dog", side="b"),
                caption("add a dog", "difference", side="pair"),
                caption("rain", "commonality", side="pair"),
            ],
            "qa": [question("Which one has a dog?", "the second")],
            "audio_ref": {"file_name": "a.wav"},
            "audio_ref_b": {"file_name": "b.wav"},
        },
        {"captions": [caption("one sound", side="b")], "audio_ref": {"file_name": "c.wav"}},
    )
    found = [
        (row["messages"][0]["content"], row["messages"][1]["content"], row["audios"]) for row in views.messages(pair).to_pylist()
    ]
    assert found == [
        ("<audio>Describe the audio.", "rain", ["a.wav"]),
        ("<audio>Describe the audio.", "rain and a dog", ["b.wav"]),
        ("<audio><audio>What changes from the first audio to the second?", "add a dog", ["a.wav", "b.wav"]),
        ("<audio><audio>What do the two audios have in common?", "rain", ["a.wav", "b.wav"]),
        ("<audio><audio>Which one has a dog?", "the second", ["a.wav", "b.wav"]),
        ("<audio>Describe the audio.", "one sound", ["c.wav"]),
    ]


def test_pairs_with_what_changes_and_with_what_stays(data: Path) -> None:
    assert views.difference(CLIPS, audio_root="wav").to_pylist() == [
        {"id": "r2", "audio": "wav/a", "audio_b": "wav/b.wav", "target": "it moved"}
    ]
    assert views.commonality(CLIPS)["target"].to_pylist() == ["both bark"]
    with pytest.raises(InputError, match="for the view difference, which has one of its own"):
        views.difference(CLIPS, style="long")
    pairs = built_set("adc_acc", data)
    found = views.difference(pairs.table()).to_pylist()
    assert len(found) == views.commonality(pairs.table()).num_rows == 24
    swapped = {(row["audio_b"], row["audio"]) for row in found}
    assert {(row["audio"], row["audio_b"]) for row in found} == swapped
    assert all(row["target"].split()[0] in {"add", "remove", "replace"} for row in found)


@pytest.mark.parametrize("name", list(views.VIEWS))
def test_no_rows_give_no_rows(name: str) -> None:
    assert views.apply(CLIPS.slice(0, 0), name).num_rows == 0
    assert views.apply(CLIPS.slice(1, 1), name).num_rows == 0


def test_a_slice_is_seen_as_the_rows_that_it_holds() -> None:
    for name in ("captions", "references", "messages"):
        whole = views.apply(CLIPS, name).to_pylist()
        pieces = [row for at in range(3) for row in views.apply(CLIPS.slice(at, 1), name).to_pylist()]
        assert pieces == whole


@pytest.mark.parametrize("name", list(views.VIEWS))
@pytest.mark.parametrize("config", ["sample", "wavcaps", "mecat", "adc_acc"])
def test_tables_datasets_and_streams_give_the_same(data: Path, config: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    monkeypatch.chdir(data.parent)
    split = "train" if config == "wavcaps" else "test"
    expected = views.apply(built_set(f"{config}/{split}", data).table(), name).to_pylist()
    loaded = views.apply(load_dataset("unified-audiocaps", config, split=split), name)
    assert list(loaded) == expected
    streamed = views.apply(load_dataset("unified-audiocaps", config, split=split, streaming=True), name)
    assert list(streamed) == expected


@pytest.mark.parametrize("name", list(views.VIEWS))
def test_files_hold_the_view(data: Path, name: str, tmp_path: Path) -> None:
    one = built_set("adc_acc/test" if name in views.PAIR_PROMPTS else "mecat/test", data)
    expected = views.apply(one.table(), name).to_pylist()
    assert views.write(one, name, tmp_path / "v.jsonl") == len(expected)
    assert [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()] == expected
    views.write(one, name, tmp_path / "v.parquet")
    assert pq.read_table(tmp_path / "v.parquet").to_pylist() == expected
    if name not in {"references", "messages"}:
        views.write(one, name, tmp_path / "v.csv")
        with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as stream:
            read = list(csv.DictReader(stream))
        key = {"captions": "caption", "qa": "answer"}.get(name, "target")
        assert [row[key] for row in read] == [row[key] for row in expected]
    else:
        with pytest.raises(InputError, match="hold lists, which csv cannot"):
            views.write(one, name, tmp_path / "v.csv")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_references_are_what_scoring_reads(data: Path, tmp_path: Path) -> None:
    views.write(built_set("mecat/test", data), "references", tmp_path / "r.jsonl", style="speech")
    read = read_references(tmp_path / "r.jsonl")
    expected = {
        row["id"]: tuple(c["text"] for c in row["captions"] if c["style"] == "speech")
        for row in built_set("mecat/test", data).table().to_pylist()
    }
    assert read == {id_: texts for id_, texts in expected.items() if texts}


def test_bad_wishes_are_explained(data: Path, tmp_path: Path) -> None:
    one = built_set("sample/test", data)
    with pytest.raises(InputError, match=r"called 'v\.txt'; expected a name that ends in"):
        views.write(one, "captions", tmp_path / "v.txt")
    with pytest.raises(UnknownNameError, match=r"no view is called 'caption'\. Did you mean captions"):
        views.write(one, "caption", tmp_path / "v.jsonl")
    with pytest.raises(UnknownNameError, match=r"no style is called 'lnog'\. Did you mean long"):
        views.write(one, "captions", tmp_path / "v.jsonl", style="lnog")
    with pytest.raises(InputError, match=r"has no captions in style long; nothing was written\. `uac stats sample/test`"):
        views.write(one, "captions", tmp_path / "v.jsonl", style="long")
    with pytest.raises(InputError, match=r"does not exist\. Create it first"):
        views.write(one, "captions", tmp_path / "no" / "v.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_messages_of_captions_or_of_questions_only(tmp_path: Path) -> None:
    build("sample", out=tmp_path)
    rows = next(built_set("sample/test", tmp_path).batches())
    both, captions, questions = (views.messages(rows, only=only) for only in (None, "captions", "qa"))
    assert captions.num_rows == views.captions(rows).num_rows == 60
    assert questions.num_rows == views.qa(rows).num_rows == 27
    assert both.num_rows == 87
    assert questions["messages"][0].as_py()[1]["content"] == views.qa(rows)["answer"][0].as_py()
    with pytest.raises(InputError, match=r"of 'questions' only; expected captions or qa"):
        views.messages(rows, only="questions")
    with pytest.raises(InputError, match="which have none"):
        views.messages(rows, only="qa", style="default")
