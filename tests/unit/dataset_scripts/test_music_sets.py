"""Music, urban scenes and questions: what is refused, and what is warned of."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, RecordError
from unified_audiocaps.dataset_scripts.source import source

MUSICCAPS = (
    "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id,is_balanced_subset,is_audioset_eval\n"
    "aaaaaaaaaaa,{start},10,,[],a,1,True,{flag}\n"
)
LP = {f"caption_{name}": "a" for name in ("writing", "summary", "paraphrase", "attribute_prediction", "ground_truth")}
SONGS = "caption_id,track_id,caption,is_valid_subset,familiarity,artist_id,album_id,path,duration\n"


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        (
            "musiccaps",
            "musiccaps-public.csv",
            MUSICCAPS.format(start="0:30", flag="True"),
            "field 'start_s' is '0:30'; expected a n",
        ),
        (
            "musiccaps",
            "musiccaps-public.csv",
            MUSICCAPS.format(start="0", flag="1"),
            "'is_audioset_eval' is '1'; expected True or F",
        ),
        (
            "musiccaps",
            "musiccaps-public.csv",
            "ytid,caption\n",
            "line 1: field 'start_s': the column is missing; the header has y",
        ),
        (
            "song_describer",
            "song_describer.csv",
            SONGS + "1,2,a,True,often,,,,\n",
            "record 1: field 'familiarity' is 'often'; exp",
        ),
        ("macs", "MACS.yaml", "files:\n- a: [}\n", r"MACS\.yaml, line 2: invalid YAML \(.*\); restore the file"),
        ("macs", "MACS.yaml", "- a\n", r"found \['a'\]; expected a list `files`"),
        (
            "macs",
            "MACS.yaml",
            "files:\n- name: a\n",
            "record 1: field 'filename' is {'name': 'a'}; expected a file with its name",
        ),
        ("macs", "MACS.yaml", "files:\n- filename: a\n", "field 'annotations': expected annotations with annotator_id, sentence"),
        (
            "macs",
            "MACS.yaml",
            "files:\n- filename: a\n  annotations: [{annotator_id: 1, sentence: yes}]\n",
            r"field 'annotations' is \{'annotator_id': 1, 'sentence': True\}",
        ),
        ("compa_r", "CompA-R.json", '{"a": 1}', r"CompA-R\.json: found \{'a': 1\}; expected one list of records"),
        ("compa_r", "CompA-R.json", '[{"audio_id": "a.wav"}]', "record 1: field 'instruction': the field is missing"),
        ("compa_r", "CompA-R-test.json", '[{"audio_id": "a.wav"}]', "field 'instruction_output': expected a list of objects"),
        ("lp_musiccaps", "test.parquet", "no parquet", r"test\.parquet: not a readable parquet file \(.*\); download it again"),
        ("lp_musiccaps", "test.csv", "ytid\n", "field 'caption_writing': the column is missing"),
    ],
)
def test_files_of_another_form_stop_the_build(tmp_path: Path, name: str, file: str, content: str, message: str) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        build(name, raw=tmp_path, out=tmp_path / "out")


def test_a_parquet_file_without_a_column_says_what_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ytid": ["a"], "caption": ["b"]}), tmp_path / "test.parquet")
    with pytest.raises(RecordError, match="field 'caption_writing': the column is missing; the file has ytid, caption"):
        build("lp_musiccaps", raw=tmp_path, out=tmp_path / "out")


def test_times_of_parquet_files_stay_what_they_are(tmp_path: Path) -> None:
    records = [{"ytid": f"aaaaaaaaaa{i}", "start_s": start, "end_s": 20.0, **LP} for i, start in enumerate((1.5, 10.0, None))]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "test.parquet")
    build("lp_musiccaps", raw=tmp_path, out=tmp_path / "out")
    table = built_set("lp_musiccaps/test", tmp_path / "out").table()
    assert table["source_key"].to_pylist() == ["aaaaaaaaaa0_1.5", "aaaaaaaaaa1_10", "aaaaaaaaaa2"]
    (rebuilt,) = source("lp_musiccaps").rebuild(table).values()
    assert json.dumps(rebuilt, sort_keys=True) == json.dumps(records, sort_keys=True)


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("test.csv", "test.parquet"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=r"E_AMBIGUOUS_FILE.*is there 2 times: test\.csv, test\.parquet"):
        build("lp_musiccaps", raw=tmp_path, out=tmp_path / "out")


def test_annotators_without_a_clip_are_counted(tmp_path: Path) -> None:
    (tmp_path / "MACS.yaml").write_text(
        "files:\n- {filename: a.wav, annotations: [{annotator_id: 1, sentence: b, tags: null}]}\n"
    )
    competence = tmp_path / "MACS_competence.yaml"
    competence.write_text("annotator_id\tcompetence\n1\t0.5\n2\t0.25\n")
    report = build("macs", raw=tmp_path, out=tmp_path / "out")
    assert report.warnings == ["MACS_competence.yaml: 1 annotators described no clip"]
    table = built_set("macs/train", tmp_path / "out").table()
    assert source("macs").rebuild(table)["MACS.yaml"] == [
        {"filename": "a.wav", "annotations": [{"annotator_id": 1, "sentence": "b", "tags": None}]}
    ]
    competence.write_text("annotator_id\tcompetence\n1\t0.5\n1\t0.25\n")
    with pytest.raises(RecordError, match="field 'annotator_id': expected one line per annotator"):
        build("macs", raw=tmp_path, out=tmp_path / "out")
