"""Records of any content are rebuilt from rows that are made one by one, or the build stops and names them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.source import source

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=6)
ANYTHING = st.one_of(st.none(), TEXT, st.integers(-5, 5), st.floats(-2, 2), st.booleans(), st.lists(TEXT, max_size=2))
NUMBER = st.sampled_from(["", "0", "00", "1.5", "10", "10.0", "1e1", "-3"])
LIST = st.sampled_from(["[]", "['a', 'b']", '["a"]', "['']", "nothing", ""])


def rebuilt(name: str, raw: Path) -> dict[str, list[Any]]:
    """Returns what is rebuilt from all splits, in the order of the files."""
    one = source(name)
    found: dict[str, list[tuple[int, Any]]] = {}
    for split in one.splits:
        for batch in one.read(raw, split):
            batch.validate(full=True)
            for row in batch.to_pylist():
                for file, position, record in one.records(row):
                    found.setdefault(file, []).append((position, record))
    return {file: [record for _, record in sorted(records, key=lambda x: x[0])] for file, records in found.items()}


def written(records: list[Any]) -> list[str]:
    return [json.dumps(one, sort_keys=True) for one in records]


CSV: dict[str, tuple[str, dict[str, st.SearchStrategy[str]]]] = {
    "audiodiffcaps": (
        "adc_rain_dev.csv",
        {name: TEXT for name in ("s1_fn", "s2_fn", "caption_1", "caption_2", "caption_3", "new")},
    ),
    "adiff": (
        "acd_test_adiff_detail_answer.csv",
        {
            "taskname": st.sampled_from(["a", "b"]),
            "filepath1": st.sampled_from(["AudioCaps/Yaaaaaaaaaaa.wav", "x.wav", ""]),
            "filepath2": st.sampled_from(["AudioCaps/Yaaaaaaaaaaa.wav", "y"]),
            "caption1": st.sampled_from(["a", ""]),
            **{name: TEXT for name in ("caption2", "input", "answer", "new")},
        },
    ),
    "musiccaps": (
        "musiccaps-public.csv",
        {
            "ytid": st.one_of(TEXT, st.just("aaaaaaaaaaa")),
            "start_s": NUMBER,
            "end_s": NUMBER,
            "audioset_positive_labels": st.sampled_from(["", "/m/1", "/m/1,/m/2", ",", "a,,b"]),
            "aspect_list": LIST,
            "caption": TEXT,
            "author_id": TEXT,
            "is_audioset_eval": st.sampled_from(["True", "False", "TRUE", "false "]),
            "new": TEXT,
        },
    ),
    "lp_musiccaps": (
        "test.csv",
        {
            "ytid": TEXT,
            "start_s": NUMBER,
            "aspect_list": LIST,
            "pseudo_attribute": LIST,
            **{f"caption_{name}": TEXT for name in ("writing", "summary", "paraphrase", "attribute_prediction", "ground_truth")},
        },
    ),
    "song_describer": (
        "song_describer.csv",
        {
            "track_id": st.sampled_from(["1", "01", "x"]),
            "is_valid_subset": st.sampled_from(["True", "False", "", "None", "true"]),
            "familiarity": NUMBER,
            "artist_id": st.sampled_from(["1", ""]),
            **{name: TEXT for name in ("caption_id", "caption", "album_id", "path", "duration", "new")},
        },
    ),
    "esc50": (
        "esc50.csv",
        {
            "filename": st.sampled_from(["1-2-A-3.wav", "1-2-A-4.wav", "x"]),
            "fold": st.sampled_from(["", "1", "one"]),
            "target": st.sampled_from(["", "3"]),
            "src_file": st.sampled_from(["", "2", "02", "x"]),
            "category": TEXT,
        },
    ),
    "urbansound8k": (
        "UrbanSound8K.csv",
        {"start": NUMBER, "end": NUMBER, **{name: TEXT for name in ("fsID", "salience", "fold", "classID", "class", "new")}},
    ),
    "fsd50k": (
        "dev.csv",
        {
            "fname": st.sampled_from(["1", "01", "x"]),
            "labels": st.sampled_from(["", "a", "a,b", "a,", ",,"]),
            "mids": st.sampled_from(["", "/m/1", "/m/1,/m/2", ","]),
            "split": st.sampled_from(["train", "val"]),
        },
    ),
    "clotho_aqa": (
        "clotho_aqa_val.csv",
        {
            "file_name": st.sampled_from(["a.wav", "b.wav"]),
            "QuestionText": TEXT,
            "answer": TEXT,
            "confidence": st.sampled_from(["yes", "no", "maybe", "", "Yes"]),
        },
    ),
}
KEYS = {"audiodiffcaps": "key", "urbansound8k": "slice_file_name"}  # where an id has to be there once only
MISSING = {"audiodiffcaps": ("caption_4", "caption_5")}


@pytest.mark.parametrize("name", sorted(CSV))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_csv_files(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    raw = tmp_path_factory.mktemp("raw")
    file, columns = CSV[name]
    records = data.draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=5))
    records = [
        {**({KEYS[name]: str(i)} if name in KEYS else {}), **one, **dict.fromkeys(MISSING.get(name, ()), "")}
        for i, one in enumerate(records)
    ]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(records[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    (raw / file).write_bytes(stream.getvalue().encode())
    assert written(rebuilt(name, raw)[file]) == written(records)


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {"audio_id": st.sampled_from(["./x/Yaaaaaaaaaaa.wav", "b"]), "instruction": TEXT, "output": TEXT},
            optional={"input": ANYTHING, "dataset": ANYTHING, "task": ANYTHING, "new": ANYTHING},
        ),
        min_size=1,
        max_size=5,
    )
)
def test_compa_r_train(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    (raw / "CompA-R.json").write_text(json.dumps(records))
    assert written(rebuilt("compa_r", raw)["CompA-R.json"]) == written(records)


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                "audio_id": TEXT,
                "instruction_output": st.lists(
                    st.fixed_dictionaries({"instruction": TEXT, "output": TEXT}, optional={"new": ANYTHING}), max_size=3
                ),
            },
            optional={"input": ANYTHING, "dataset": ANYTHING, "task": ANYTHING, "new": ANYTHING},
        ),
        min_size=1,
        max_size=3,
    )
)
def test_compa_r_test(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    (raw / "CompA-R-test.json").write_text(json.dumps(records))
    assert written(rebuilt("compa_r", raw)["CompA-R-test.json"]) == written(records)


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                "texts": st.tuples(TEXT, TEXT),
                "audios": st.lists(st.sampled_from(["a/1_add_a_2_ab_ori.wav", "x"]), min_size=2, max_size=2),
                "label": st.one_of(st.none(), st.lists(st.one_of(st.integers(0, 5), st.floats(0, 5)), min_size=3, max_size=3)),
            },
            optional={"new": ANYTHING},
        ),
        min_size=1,
        max_size=3,
    )
)
def test_auditeval(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    for record in records:
        original, target = record.pop("texts")
        record["messages"] = [{"role": "user", "content": f"x\nOriginal Caption:\n{original}\n\nTarget Caption:\n{target}\n"}]
    (raw / "infer_batch.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    assert written(rebuilt("auditeval", raw)["infer_batch.jsonl"]) == written(records)


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(
        st.fixed_dictionaries(
            {
                "filename": TEXT,
                "annotations": st.lists(
                    st.fixed_dictionaries(
                        {"annotator_id": st.sampled_from([1, 2, "3", "x"]), "sentence": TEXT},
                        optional={"tags": st.one_of(st.none(), st.lists(TEXT, max_size=2)), "new": ANYTHING},
                    ),
                    max_size=3,
                ),
            },
            optional={"new": ANYTHING},
        ),
        min_size=1,
        max_size=3,
    )
)
def test_macs(tmp_path_factory: pytest.TempPathFactory, files: list[Any]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    (raw / "MACS.yaml").write_text(yaml.safe_dump({"files": files}, sort_keys=False), encoding="utf-8")
    described = {str(one["annotator_id"]) for file in files for one in file["annotations"]}
    competence = [{"annotator_id": name, "competence": f"0.{i}0"} for i, name in enumerate(sorted(described))]
    lines = "".join(f"{one['annotator_id']}\t{one['competence']}\n" for one in competence)
    (raw / "MACS_competence.yaml").write_text("annotator_id\tcompetence\n" + lines)
    found = rebuilt("macs", raw)
    assert written(found["MACS.yaml"]) == written(files)
    assert found.get("MACS_competence.yaml", []) == competence


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["aaaaaaaaaaa", "x"]),
            st.sampled_from(["0", "7", "007", "", "-1", "1234567"]),
            TEXT.filter(bool),
            st.sampled_from(["train", "test"]),
        ),
        min_size=1,
        max_size=5,
    ),
    listed=st.lists(st.tuples(st.sampled_from(["aaaaaaaaaaa_000007.mp4", "x", "x.mp4"]), TEXT), max_size=3),
)
def test_vggsound(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, ...]], listed: list[tuple[str, ...]]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    for name, found in (("vggsound.csv", lines), ("test.csv", listed)):
        stream = io.StringIO()
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(found)
        (raw / name).write_bytes(stream.getvalue().encode())
    found = rebuilt("vggsound", raw)
    columns = ("video", "start", "label", "split")
    assert [tuple(one[name] for name in columns) for one in found["vggsound.csv"]] == lines
    assert [(one["file"], one["label"]) for one in found.get("test.csv", [])] == listed


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                "ytid": TEXT,
                "start_s": st.one_of(st.none(), st.floats(0, 99)),
                "end_s": st.one_of(st.none(), st.integers(0, 99)),
                "aspect_list": st.one_of(st.none(), st.lists(TEXT, max_size=2)),
                "pseudo_attribute": st.one_of(st.none(), st.lists(TEXT, max_size=2)),
                "audioset_positive_labels": st.one_of(st.none(), st.sampled_from(["", "/m/1,/m/2", ","])),
                "is_crawled": st.one_of(st.none(), st.booleans()),
                **{
                    f"caption_{name}": st.one_of(st.none(), TEXT)
                    for name in ("writing", "summary", "paraphrase", "attribute_prediction", "ground_truth")
                },
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_parquet_files(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    pq.write_table(pa.Table.from_pylist(records), raw / "test.parquet")
    assert written(rebuilt("lp_musiccaps", raw)["test.parquet"]) == written(records)
