"""`uac` as a user meets it: answers, files, exit codes, messages."""

import csv
import json
import math

import pyarrow.parquet as pq
import pytest
from unified_audiocaps.leaderboard.storage.store import ResultStore

from ..event_clips import write_event_clips
from .conftest import EXAMPLES

REFERENCES = [
    {"id": "a", "references": ["a dog is barking", "a dog barks twice"]},
    {"id": "b", "references": ["heavy rain hits a roof", "it is raining"]},
    {"id": "c", "references": ["a bell rings", "church bells toll"]},
]
CAPTIONS = {"a": "a dog barks", "b": "rain falls on a roof", "c": "a bell is ringing"}


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    predictions = jsonl(tmp_path / "p.jsonl", [{"id": i, "caption": c} for i, c in CAPTIONS.items()])
    return predictions, jsonl(tmp_path / "r.jsonl", REFERENCES)


def test_overlaps_are_told_and_excluded(uac, tmp_path):
    header = "audiocap_id,youtube_id,start_time,caption\n"
    for folder, split, lines in [
        ("v1", "test", ["1,aaaaaaaaaa1,30,x"]),
        ("v2", "train", ["2,aaaaaaaaaa1,33,y", "3,bbbbbbbbbbb,0,z"]),
    ]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{split}.csv").write_text(header + "\n".join(lines) + "\n")
    out = tmp_path / "unified-audiocaps"
    uac("build", "audiocaps", "--raw", tmp_path / "v1", "--out", out)
    build = ("build", "audiocaps_v2", "--raw", tmp_path / "v2", "--out", out)
    assert "also in audiocaps/test: 1 by segment" in uac(*build).stdout
    (tmp_path / "list.csv").write_text("file_name\nbbbbbbbbbbb.wav\n")
    pair = ("overlaps", "audiocaps_v2/train", "audiocaps/test", "--data", out)
    told = uac(*pair, "--list", tmp_path / "list.csv").stdout
    for words in ("segment", "audiocaps_v2/train/aaaaaaaaaa1_33", "7.00", "only by the list (similar): 1"):
        assert words in told
    report = json.loads(uac(*pair, "--json").stdout)
    assert report["a"]["clips"] == {"clip": 0, "segment": 1, "recording": 0}
    assert report["pairs"][0]["shared_s"] == 7.0
    excluded = uac(*build, "--exclude", "audiocaps/test").stdout
    assert "dropped by rule overlap:audiocaps/test: 1" in excluded
    assert "train: 1 rows" in excluded
    assert "asks for level 'near'" in uac(*build, "--exclude", "audiocaps/test:near", code=2).stderr
    assert "clotho is not in" in uac("overlaps", "clotho", "audiocaps", "--data", out, code=2).stderr


def test_statistics_in_every_form(uac, sample_data, tmp_path):
    told = uac("stats", "sample", "--data", sample_data, "--html", tmp_path / "s.html").stdout
    assert told.startswith("written: ")
    assert "<svg" in (tmp_path / "s.html").read_text(encoding="utf-8")
    assert "mean length, words" in uac("stats", "sample/test", "--data", sample_data).stdout
    assert "| clips |" in uac("stats", "sample", "--data", sample_data, "--markdown").stdout
    (found,) = json.loads(uac("stats", "sample", "--data", sample_data, "--json", "--tokenizer", "minilm").stdout)
    assert found["groups"][0]["clips"] == 24
    assert "expected one of them" in uac("stats", "sample", "--json", "--markdown", "--data", sample_data, code=2).stderr
    assert "Did you mean sample" in uac("stats", "sampel", "--data", sample_data, code=2).stderr


def test_references_of_a_view_score_predictions(uac, sample_data, tmp_path):
    references = tmp_path / "r.jsonl"
    uac("view", "sample", "--split", "test", "--as", "references", "--out", references, "--data", sample_data)
    scores = []
    predictions = tmp_path / "p.jsonl"
    lines = (EXAMPLES / "tag-template.jsonl").read_text(encoding="utf-8").splitlines()
    ids = [json.loads(line)["id"] for line in references.read_text(encoding="utf-8").splitlines()]
    names = {one.rpartition("/")[2]: one for one in ids}
    found = [json.loads(line) for line in lines]
    jsonl(predictions, [{**row, "id": names[row["id"].rpartition("/")[2]]} for row in found])
    for source in (("--references", references), ("--benchmark", "sample", "--data", sample_data)):
        uac("score", predictions, *source, "--metrics", "cider_d", "--json", tmp_path / "s.json")
        scores.append(json.loads((tmp_path / "s.json").read_text())["results"][0]["score"])
    assert scores[0] == scores[1]


def test_views_are_written_or_refused(uac, sample_data, tmp_path):
    common = ("view", "sample", "--data", sample_data)
    told = uac(*common, "--as", "messages", "--out", tmp_path / "m.jsonl", "--audio-root", "sounds").stdout
    assert told.endswith(" rows\n")
    first = json.loads((tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["messages"][0]["content"].startswith("<audio>")
    assert first["audios"][0].startswith("sounds/")
    for arguments, message in [
        (("--as", "caption", "--out", tmp_path / "x.jsonl"), "Did you mean captions"),
        (("--as", "references", "--out", tmp_path / "x.csv"), "expected a name that ends in .jsonl or .parquet"),
        (("--as", "qa", "--out", tmp_path / "x.csv", "--prompt", "x"), "expected --as messages"),
        (("--as", "qa", "--out", tmp_path / "x.csv", "--split", "dev"), "no split of sample is called 'dev'"),
    ]:
        assert message in uac(*common, *arguments, code=2).stderr


def test_pairs_are_built_and_viewed(uac, tmp_path):
    events, out = write_event_clips(tmp_path / "events"), tmp_path / "unified-audiocaps"
    uac("build", "sample", "--out", out)
    command = ("build", "adc_acc", "--base", "sample", "--events", events, "--out", out)
    told = uac(*command, "--pairs", "36", "--seed", "4", "--snr", "-2", "8", "--embed-audio", "--sampling-rate", "8000").stdout
    assert "train: 18 rows" in told and "test: 18 rows" in told and "also in sample/test: 18 by clip" in told
    uac("view", "adc_acc", "--as", "difference", "--data", out, "--out", tmp_path / "d.jsonl", "--audio-root", "wav")
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 36 and all(line["audio"].startswith("wav/") and line["audio_b"].endswith(".flac") for line in lines)
    uac("view", "adc_acc/test", "--as", "messages", "--style", "commonality", "--data", out, "--out", tmp_path / "m.jsonl")
    chats = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(chats) == 18 and all(len(chat["audios"]) == 2 for chat in chats)
    assert "--pairs is 35; expected a multiple of 6" in uac(*command, "--pairs", "35", code=2).stderr
    assert "adc_acc needs --base, --events, --pairs" in uac("build", "adc_acc", "--out", out, code=2).stderr
    assert "sample takes no base" in uac("build", "sample", "--base", "sample", "--out", out, code=2).stderr
    assert "--as messages, difference or commonality" in uac(
        "view", "sample", "--as", "qa", "--out", tmp_path / "x.csv", "--audio-root", "wav", "--data", out, code=2
    ).stderr  # fmt: skip


def test_a_recipe_becomes_a_config(uac, tmp_path):
    out = tmp_path / "unified-audiocaps"
    uac("build", "sample", "--out", out)
    recipe = tmp_path / "small.yaml"
    recipe.write_text("name: small\nseed: 3\nsets:\n  - {set: sample/train, rows: 5}\n  - sample/test\n")
    told = uac("mix", recipe, "--data", out).stdout
    assert "sample/train: 5 of 12 rows" in told
    digest = told.split()[-1]
    assert f"17 rows, digest {digest}" in told
    assert "is up to date" in uac("mix", recipe, "--data", out).stdout
    assert digest in (out / "README.md").read_text(encoding="utf-8")
    uac("view", "small", "--as", "captions", "--out", tmp_path / "c.csv", "--data", out)
    assert "wavcaps_supervised" in uac("mix", "nothing", "--data", out, code=2).stderr
    listed = uac("mix").stdout
    assert "wavcaps_supervised" in listed and "WavCaps, AudioCaps and Clotho" in listed
    assert uac("mix", recipe, "--show").stdout == recipe.read_text()
    missing = uac("mix", "wavcaps_supervised", "--data", out, code=2).stderr
    assert all(f"`uac build {name} [--raw DIR] --out {out}`" in missing for name in ("wavcaps", "audiocaps", "clotho"))
    messages = tmp_path / "m.jsonl"
    uac("view", "small", "--as", "messages", "--only", "qa", "--out", messages, "--data", out)
    assert messages.read_text().splitlines()
    recipe.write_text("name: small\nsets: [sample]\nsets_: 1\n")
    assert "unknown key 'sets_'" in uac("mix", recipe, "--data", out, code=2).stderr


def test_all_about_one_dataset(uac):
    told = uac("sources", "wavcaps").stdout
    for part in (
        "documented clips: train 403,050",
        "licence of the texts: CC BY 4.0",
        "fsd_final.json",
        "Known defects",
        "@article{",
    ):
        assert part in told
    assert json.loads(uac("sources", "wavcaps", "--json").stdout)["homepage"].startswith("https://")
    assert "Did you mean wavcaps" in uac("sources", "wavcap", code=2).stderr


@pytest.mark.parametrize("command", ["sources", "metrics", "benchmarks"])
def test_lists_print_a_table_and_json(uac, command):
    assert len(uac(command).stdout.splitlines()) > 1
    assert len(json.loads(uac(command, "--json").stdout)) >= 4


def test_every_command_explains_itself(uac):
    overview = uac("--help").stdout
    for name in ("sources", "build", "score", "validate", "submit", "work", "serve", "benchmarks", "metrics"):
        assert name in overview
        assert uac(name, "--help").stdout.startswith("Usage: uac")


def test_score_writes_json_and_per_item_files_that_agree(uac, files, tmp_path):
    predictions, references = files
    common = ("score", predictions, "--references", references, "--metrics", "bleu,rouge_l,cider_d,sbert_sim,date")
    uac(*common, "--json", tmp_path / "s.json", "--per-item", tmp_path / "i.parquet")
    report = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert report["n"] == 3
    entries = {entry["metric"]: entry for entry in report["results"]}
    assert set(entries["date"]) >= {"score", "n", "signature", "seconds", "similarity", "discrimination"}
    items = pq.read_table(tmp_path / "i.parquet")
    assert items["id"].to_pylist() == ["a", "b", "c"]
    assert {"date", "date_similarity", "date_discrimination", "cider_d", "rouge_l", "sbert_sim"} <= set(items.column_names)
    for metric in ("date", "cider_d", "rouge_l", "sbert_sim"):
        mean = math.fsum(items[metric].to_pylist()) / 3
        assert mean == pytest.approx(entries[metric]["score"], abs=1e-12)
    uac(*common, "--per-item", tmp_path / "i.csv")
    with (tmp_path / "i.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["cider_d"]) for row in rows] == items["cider_d"].to_pylist()


def test_csv_predictions_score_like_jsonl(uac, files, tmp_path):
    predictions, references = files
    table = tmp_path / "p.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["id", "caption"], *reversed(CAPTIONS.items())])
    reports = []
    for file in (predictions, table):
        uac("score", file, "--references", references, "--metrics", "cider_d", "--json", tmp_path / "s.json")
        reports.append(json.loads((tmp_path / "s.json").read_text())["results"][0])
    assert reports[0]["score"] == reports[1]["score"]
    assert reports[0]["signature"] == reports[1]["signature"]


def test_score_against_a_benchmark_uses_its_references(uac, sample_data, tmp_path):
    uac("score", EXAMPLES / "tag-template.jsonl", "--benchmark", "sample", "--metrics", "cider_d", "--data", sample_data,
        "--json", tmp_path / "s.json")  # fmt: skip
    assert json.loads((tmp_path / "s.json").read_text())["n"] == 12


def bad_inputs():
    yield "missing reference", CAPTIONS, REFERENCES[:2], "cider_d", ["c"]
    yield "missing prediction", {"a": "x", "b": "y"}, REFERENCES, "cider_d", ["c"]
    yield "one clip for cider_d", {"a": "x"}, REFERENCES[:1], "cider_d", ["CIDEr-D cannot score one item"]
    yield "unknown metric", CAPTIONS, REFERENCES, "cider", ["cider_d", "uac metrics"]
    yield "null caption", {**CAPTIONS, "a": None}, REFERENCES, "rouge_l", ["line 1", "E_TYPE"]
    yield "references as text", CAPTIONS, [{"id": "a", "references": "a dog"}, *REFERENCES[1:]], "rouge_l", ["line 1"]
    yield "no references", CAPTIONS, [{"id": "a", "references": []}, *REFERENCES[1:]], "rouge_l", ["a"]


@pytest.mark.parametrize(
    ("captions", "references", "metric", "told"), [case[1:] for case in bad_inputs()], ids=[case[0] for case in bad_inputs()]
)
def test_bad_input_ends_with_two_and_says_why(uac, tmp_path, captions, references, metric, told):
    predictions = jsonl(tmp_path / "p.jsonl", [{"id": i, "caption": c} for i, c in captions.items()])
    done = uac("score", predictions, "--references", jsonl(tmp_path / "r.jsonl", references), "--metrics", metric, code=2)
    assert done.stderr.startswith("error: ")
    for word in told:
        assert word in done.stderr


def test_broken_files_name_the_line(uac, files, tmp_path):
    _, references = files
    for content, told in [
        (b'{"id": "a", "caption": "x"}\n{"id": \n', "line 2: E_JSON"),
        (b'{"id": "a", "caption": "x"}\n{"id": "b", "caption": "\xff"}\n', "line 2: E_UTF8"),
        (b'{"id": "a", "caption": "x"}\n{"id": "a", "caption": "y"}\n', "line 2: E_DUP_ID"),
    ]:
        (tmp_path / "bad.jsonl").write_bytes(content)
        assert told in uac("score", tmp_path / "bad.jsonl", "--references", references, "--metrics", "rouge_l", code=2).stderr


def test_empty_captions_score_zero_with_a_counted_warning(uac, files, tmp_path):
    _, references = files
    predictions = jsonl(tmp_path / "p.jsonl", [{"id": i, "caption": ""} for i in CAPTIONS])
    done = uac(
        "score", predictions, "--references", references, "--metrics", "bleu,rouge_l,cider_d", "--json", tmp_path / "s.json"
    )
    results = json.loads((tmp_path / "s.json").read_text())["results"]
    assert [entry["score"] for entry in results] == [0.0, 0.0, 0.0]
    assert ": 3" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("score", "nowhere.jsonl", "--references", "r.jsonl", "--metrics", "rouge_l"), "nowhere.jsonl"),
        (("score", "p.jsonl", "--metrics", "rouge_l"), "either --references FILE or --benchmark ID"),
        (("score", "p.jsonl", "--references", "r.jsonl"), "--metrics"),
        (
            ("score", "p.jsonl", "--references", "r.jsonl", "--metrics", "rouge_l", "--json", "no/s.json"),
            "the folder no does not exist",
        ),
        (("build", "audiocap"), "Did you mean audiocaps"),
        (("build", "clotho", "--raw", EXAMPLES), "clotho_captions_evaluation.csv"),
        (("submit", "p.jsonl", "--benchmark", "sampel", "--system", "A"), "Did you mean sample"),
        (
            ("validate", "p.jsonl", "--benchmark", "audiocaps-test", "--data", "empty"),
            "uac build audiocaps [--raw DIR] --out empty",
        ),
        (("serve", "--db", "mysql://x/y"), "sqlite:///path/to/hub.db"),
        (("frobnicate",), "No such command"),
    ],
)
def test_wrong_usage_is_explained(uac, arguments, told):
    assert told in uac(*arguments, code=2).stderr


def test_invalid_submission_lists_every_problem_and_is_kept_as_rejected(uac, sample_data, tmp_path):
    lines = (EXAMPLES / "tag-template.jsonl").read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text(
        "\n".join([*lines[:5], '{"id": "nobody", "caption": "x"}', json.dumps({**json.loads(lines[6]), "caption": " "})])
    )
    db = f"sqlite:///{tmp_path}/hub.db"
    rejected = uac("submit", bad, "--benchmark", "sample", "--system", "A", "--db", db, "--data", sample_data, code=2)
    checked = uac("validate", bad, "--benchmark", "sample", "--data", sample_data, code=2)
    assert rejected.stderr == checked.stderr
    for told in ("3 problems in 7 rows", "line 6: E_UNKNOWN_ID", "line 7: E_EMPTY", "E_MISSING_ID: 6 of 12"):
        assert told in rejected.stderr
    (kept,) = ResultStore(db).submissions()
    assert (kept.state, kept.error_code) == ("rejected", "E_UNKNOWN_ID")
    uac("work", "--once", "--db", db, "--data", sample_data)
    assert ResultStore(db).get(kept.id).state == "rejected"
