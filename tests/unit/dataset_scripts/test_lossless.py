"""Records of any shape that the formats may have one day are rebuilt from the rows, or the build stops and names them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.source import source

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANYTHING = st.one_of(st.none(), TEXT, st.integers(-5, 5), st.lists(TEXT, max_size=2), st.just({"deep": [1.0, None]}))
FREESOUND = st.fixed_dictionaries(
    {"caption": TEXT},
    optional={
        **{
            name: st.one_of(TEXT, ANYTHING)
            for name in ("file_name", "href", "description", "author", "download_link", "audio", "new")
        },
        "tags": st.one_of(st.lists(TEXT, max_size=3), ANYTHING),
        "duration": st.one_of(st.integers(0, 99), st.floats(0, 99), ANYTHING),
    },
)
STYLE = st.one_of(st.lists(st.one_of(TEXT, st.just("None")), max_size=4), ANYTHING)
CLIP = st.fixed_dictionaries(
    {"domain": TEXT}, optional={name: STYLE for name in ("short", "long", "speech", "music", "sound", "environment", "new")}
)
QUESTION = st.fixed_dictionaries(
    {"question": TEXT, "answer": TEXT, "domain": TEXT},
    optional={"category": st.one_of(TEXT, ANYTHING), "difficulty": TEXT, "new": ANYTHING},
)


def written(records: dict[str, list[Any]]) -> dict[str, list[str]]:
    return {file: [json.dumps(one, sort_keys=True) for one in found] for file, found in records.items() if found}


def rebuilt(name: str, raw: Path, split: str) -> dict[str, list[Any]]:
    one = source(name)
    records: dict[str, list[Any]] = {}
    for batch in one.read(raw, split):
        batch.validate(full=True)
        for file, found in one.rebuild(batch).items():
            records.setdefault(file, []).extend(found)
    return records


@settings(max_examples=60, deadline=None)
@given(records=st.lists(FREESOUND, min_size=1, max_size=5))
def test_wavcaps(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    data = [{"id": str(i), **record} for i, record in enumerate(records)]
    (raw / "fsd_final.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": data}), encoding="utf-8")
    assert written(rebuilt("wavcaps", raw, "train")) == written({"fsd_final.json": data})


@settings(max_examples=60, deadline=None)
@given(
    clips=st.lists(CLIP, max_size=4),
    questions=st.lists(st.tuples(st.integers(0, 5), QUESTION), max_size=6),
)
def test_mecat(
    tmp_path_factory: pytest.TempPathFactory, clips: list[dict[str, Any]], questions: list[tuple[int, dict[str, Any]]]
) -> None:
    raw = tmp_path_factory.mktemp("raw")
    keys = [f"aaaaaaaaaa{i}_{i}_{10 + i}" for i in range(6)]
    files = {
        "caption/test/000.jsonl": [{keys[i]: clip} for i, clip in enumerate(clips)],
        "qa/test/000.jsonl": [{f"{keys[i]}_{n:08x}": question} for n, (i, question) in enumerate(questions)],
    }
    for file, records in files.items():
        (raw / file).parent.mkdir(parents=True)
        (raw / file).write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    found = rebuilt("mecat", raw, "test")
    # Clips that only have questions come last: sort by position in the file, as `rebuild` of a whole table does.
    assert written(found).get("caption/test/000.jsonl", []) == written(files).get("caption/test/000.jsonl", [])
    assert sorted(written(found).get("qa/test/000.jsonl", [])) == sorted(written(files).get("qa/test/000.jsonl", []))


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("null", r"wavcaps: sb_final\.json, record 2: field 'caption': is null; expected a text"),
        ("7", r"record 2: field 'caption': is 7; expected a text"),
        ('["a"]', r"record 2: field 'caption': is \[\"a\"\]; expected a text"),
    ],
)
def test_a_caption_that_is_no_text_stops_the_build(tmp_path: Path, caption: str, message: str) -> None:
    good = '{"id": "1", "caption": "a", "duration": 1.5, "audio": "wav_path"}'
    bad = good.replace('"a"', caption, 1).replace('"1"', '"2"')
    (tmp_path / "sb_final.json").write_text(f'{{"num_captions_per_audio": 1, "data": [{good}, {bad}]}}')
    with pytest.raises(RecordError, match=message):
        build("wavcaps", raw=tmp_path, out=tmp_path / "out")


def test_a_cut_gzip_file_stops_the_build(tmp_path: Path) -> None:
    file = tmp_path / "caption/test/000.jsonl.gz"
    file.parent.mkdir(parents=True)
    lines = "".join(
        json.dumps({f"aaaaaaaaaaa_{i}_{i + 10}": {"long": [f"text {i}"], "domain": "000"}}) + "\n" for i in range(999)
    )
    file.write_bytes(gzip.compress(lines.encode())[:-500])
    with pytest.raises(RecordError, match=r"mecat: caption/test/000\.jsonl\.gz: the gzip stream is damaged or cut short"):
        build("mecat", raw=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out/data").exists()


def test_a_question_key_of_no_clip_stops_the_build(tmp_path: Path) -> None:
    file = tmp_path / "qa/test/000.jsonl"
    file.parent.mkdir(parents=True)
    question = {"question": "a", "answer": "b", "domain": "000"}
    file.write_text(json.dumps({"aaaaaaaaaaa_0_10_0000000g": question}) + "\n")
    with pytest.raises(
        RecordError, match=r"qa/test/000\.jsonl, record 1: field 'key' is 'aaaaaaaaaaa_0_10_0000000g'; expected the key"
    ):
        build("mecat", raw=tmp_path, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("start", "message"), [("1:30", r"record 2: field 'start_time' is '1:30'; expected the start in seconds"), ("-1", "'-1'")]
)
def test_a_start_that_is_no_number_stops_the_build(tmp_path: Path, start: str, message: str) -> None:
    (tmp_path / "test.csv").write_text(f"audiocap_id,youtube_id,start_time,caption\n1,aaaaaaaaaaa,0,a\n2,aaaaaaaaaaa,{start},b\n")
    with pytest.raises(RecordError, match=message):
        build("audiocaps", raw=tmp_path, out=tmp_path / "out")


def test_metadata_that_describes_a_file_twice_stops_the_build(tmp_path: Path) -> None:
    captions = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\na.wav,a,b,c,d,e\n"
    (tmp_path / "clotho_captions_validation.csv").write_text(captions)
    line = "a.wav,k,1,link,[],me,CC\n"
    header = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    (tmp_path / "clotho_metadata_validation.csv").write_text(header + line + "b.wav,k,1,link,[],me,CC\n" + line)
    with pytest.raises(RecordError, match=r"field 'file_name' is 'a\.wav'; expected one line of metadata per file name"):
        build("clotho", raw=tmp_path, out=tmp_path / "out")
    (tmp_path / "clotho_metadata_validation.csv").write_text(header + line + "b.wav,k,1,link,[],me,CC\n")
    report = build("clotho", raw=tmp_path, out=tmp_path / "out")
    assert report.warnings == ["clotho_metadata_validation.csv: 1 lines describe files that have no captions"]
