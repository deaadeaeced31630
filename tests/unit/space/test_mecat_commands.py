import csv
import gzip
import json

import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks import mecat

from .command_line import uac

GROUPS = (
    "content_long", "content_short", "pure_speech", "mixed_speech", "pure_music", "mixed_music", "pure_sound", "mixed_sound",
    "environment",
)  # fmt: skip


def captions(data):
    return mecat.captions(built_set(mecat.SET, data).table(mecat.CAPTION_COLUMNS))


@pytest.fixture(scope="module")
def data(tmp_path_factory, mecat_clips):
    folder = tmp_path_factory.mktemp("mecat")
    build("mecat", raw=mecat_clips(folder / "raw"), out=folder / "data")
    return folder / "data"


@pytest.fixture
def six(data, tmp_path):
    """Six files in the publisher's form: the second reference, under the upstream key."""
    benchmark = captions(data)
    keys = {id_: key for key, id_ in benchmark.aliases.items() if key != id_}
    folder = tmp_path / "six"
    folder.mkdir()
    for subtask in benchmark.subtasks:
        said = {
            id_: texts[1] for group in benchmark.groups if group.subtask == subtask for id_, texts in group.references.items()
        }
        with (folder / f"{subtask}_caption.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows((keys[id_], text) for id_, text in said.items())
    return folder


def test_six_files_give_nine_groups_both_metrics_and_the_overall_score(data, six, tmp_path):
    report, items = tmp_path / "report.json", tmp_path / "items.parquet"
    told = uac("mecat", "caption", six, "--data", data, "--device", "cpu", "--json", report, "--per-item", items).stdout
    lines = [line.split() for line in told.splitlines()]
    assert lines[0] == ["GROUP", "ITEMS", "DATE", "SBERT_SIM"]
    assert tuple(line[0] for line in lines[1:10]) == GROUPS
    found = json.loads(report.read_text())
    rows = {line[0]: [float(cell) for cell in line[-2:]] for line in lines[1:11]}
    for place, metric in enumerate(("date", "sbert_sim")):
        s = {name: row[place] for name, row in rows.items()}
        speech, music, sound = ((s[f"pure_{name}"] + s[f"mixed_{name}"]) / 2 for name in ("speech", "music", "sound"))
        content = 0.8 * s["content_long"] + 0.2 * s["content_short"]
        expected = 0.4 * content + 0.4 * (0.6 * speech + 0.3 * music + 0.1 * sound) + 0.2 * s["environment"]
        assert s["score_caption"] == pytest.approx(expected, abs=2e-6)
        assert found["overall"][metric]["score"] == pytest.approx(s["score_caption"], abs=1e-6)
    assert pq.read_table(items).num_rows == sum(len(group.references) for group in captions(data).groups)


def test_one_file_for_all_subtasks_and_every_form(data, six, tmp_path):
    with (six / "long_caption.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    forms = {
        "keyed.jsonl": "".join(json.dumps({key: text}) + "\n" for key, text in rows),
        "ordinary.jsonl": "".join(json.dumps({"id": key, "caption": text}) + "\n" for key, text in rows),
        "ordinary.csv": "id,caption\n" + "".join(f'{key},"{text}"\n' for key, text in rows),
        "keyed.csv": "".join(f'"{key}","{text}"\n' for key, text in rows),
    }
    scores = set()
    for name, content in forms.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        uac("mecat", "caption", tmp_path / name, "--data", data, "--device", "cpu", "--json", tmp_path / "report.json")
        scores.add(json.loads((tmp_path / "report.json").read_text())["overall"]["date"]["score"])
    assert len(scores) == 1


def test_a_folder_must_hold_one_file_per_subtask(data, six):
    (six / "music.jsonl").write_text("{}")
    with pytest.raises(InputError, match=r"holds music.jsonl, music_caption.csv for the subtask 'music'; expected one file"):
        uac("mecat", "caption", six, "--data", data)
    for name in ("music.jsonl", "music_caption.csv"):
        (six / name).unlink()
    with pytest.raises(InputError, match=r"holds none for the subtask 'music'"):
        uac("mecat", "caption", six, "--data", data)


def test_a_path_that_is_not_there(data, tmp_path):
    with pytest.raises(InputError, match="does not exist; expected a folder with a file per subtask"):
        uac("mecat", "caption", tmp_path / "nothing", "--data", data)


def test_answers_are_scored_per_category_and_difficulty(data, tmp_path):
    benchmark = mecat.answers(built_set(mecat.SET, data).table(mecat.QUESTION_COLUMNS))
    answers = tmp_path / "answers.jsonl.gz"
    with gzip.open(answers, "wt", encoding="utf-8") as file:
        for group in benchmark.groups:
            for id_, (text,) in group.references.items():
                file.write(json.dumps({"id": id_, "answer": f"perhaps {text}"}) + "\n")
    told = uac("mecat", "qa", answers, "--data", data, "--device", "cpu", "--interval", "--resamples", 100).stdout
    lines = [line.split() for line in told.splitlines()]
    assert [line[0] for line in lines[1:31:5]] == list(mecat.CATEGORIES)
    assert [line[0] for line in lines[2:6]] == ["advanced", "basic", "complex", "intermediate"]
    assert lines[31][0] == "score_qa"
    assert "95 % INTERVAL" in told


def test_bad_input_is_told_before_the_work(data, six, tmp_path):
    for more, match in (
        (("--per-item", "x.txt"), "expected a name that ends in .csv or .parquet"),
        (("--json", tmp_path / "no" / "x.json"), "Create it first"),
        (("--seed", 3), "add --interval"),
    ):
        with pytest.raises(InputError, match=match):
            uac("mecat", "caption", six, "--data", data, *more)
    (six / "long_caption.csv").write_text("AbCdEfGhI00_0_10_10_10,one\nshort\n")
    with pytest.raises(InputError, match="the record has 1 fields, the header has 2"):
        uac("mecat", "caption", six, "--data", data)
