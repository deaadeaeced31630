"""`uac score --interval` and `uac compare`, run in this process on the sample's example predictions."""

import json
from pathlib import Path

import pandas as pd
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.bootstrap import Resampling
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

from ...event_clips import write_event_clips
from .command_line import uac

EXAMPLES = Path(__file__).resolve().parents[3] / "space" / "examples"
GOOD, POOR = EXAMPLES / "attentive-listener.jsonl", EXAMPLES / "tag-template.jsonl"
FEW = ("--resamples", 200)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    build("sample", out=folder)
    return folder


@pytest.fixture
def sample(data) -> tuple[object, ...]:
    return ("--benchmark", "sample", "--data", data)


def table(told: str) -> dict[str, list[str]]:
    """Returns the cells of a table's rows by their first one; an interval is two cells."""
    return {cells[0]: cells[1:] for cells in map(str.split, told.splitlines()) if cells}


def test_two_systems_are_compared(sample, tmp_path):
    report_file = tmp_path / "compared.json"
    done = uac("compare", GOOD, POOR, *sample, "--metrics", "rouge_l,bleu,cider_d", *FEW, "--json", report_file)
    report = json.loads(report_file.read_text(encoding="utf-8"))
    assert (report["a"], report["b"], report["n"]) == (str(GOOD), str(POOR), 12)
    assert [one["metric"] for one in report["results"]] == ["rouge_l", "bleu", "cider_d"]
    rows = table(done.stdout)
    for one in report["results"]:
        low, high = one["interval"]["low"], one["interval"]["high"]
        assert rows[one["metric"]] == [
            *(f"{one['a']['score']:.6f}", f"{one['b']['score']:.6f}", f"{one['difference']:+.6f}"),
            *(f"[{low:+.6f},", f"{high:+.6f}]", f"{one['p_value']:.4f}", str(one["wins"]), str(one["losses"])),
            one["a"]["digest"],
        ]
        assert 0 < low < one["difference"] < high
    assert rows["cider_d"][6] == "12"
    assert rows["METRIC"][-4:] == ["P", "WON", "LOST", "SIGNATURE"]
    assert "12 clips, 200 resamples of the items, seed 0" in done.stdout
    assert "cider_d: interval: BCa bootstrap, 200 resamples" in done.stderr
    assert "weights, ranks) is held fixed" in done.stderr


def test_all_metrics_of_captions_that_need_no_extra_are_the_default(sample, tmp_path):
    uac("compare", GOOD, POOR, *sample, *FEW, "--device", "cpu", "--json", tmp_path / "c.json")
    results = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["results"]
    facts = [METRICS.get(name) for name in METRICS.names()]
    expected = [metric.name for metric in facts if metric.texts == "captions" and not metric.needs_extra]
    assert [one["metric"] for one in results] == expected
    assert not {"wer", "exact_match", "meteor", "spice", "spider", "spider_max"} & set(expected)


def test_a_system_does_not_differ_from_itself(sample):
    told = uac("compare", GOOD, GOOD, *sample, "--metrics", "cider_d", *FEW).stdout
    assert table(told)["cider_d"][2:8] == ["+0.000000", "[+0.000000,", "+0.000000]", "1.0000", "0", "0"]


def test_references_may_be_a_file_and_lines_in_any_order(sample, data, tmp_path):
    references, shuffled = tmp_path / "r.jsonl", tmp_path / "p.jsonl"
    uac("view", "sample/test", "--as", "references", "--out", references, "--data", data)
    shuffled.write_text("\n".join(reversed(GOOD.read_text(encoding="utf-8").splitlines())), encoding="utf-8")
    rows = [
        table(uac("compare", *files, "--metrics", "rouge_l", *FEW).stdout)["rouge_l"]
        for files in [(GOOD, POOR, *sample), (shuffled, POOR, "--references", references)]
    ]
    assert rows[0] == rows[1]


def test_equal_seeds_give_equal_tables(sample):
    command = ("compare", GOOD, POOR, *sample, "--metrics", "rouge_l", *FEW, "--level", 0.8)
    rows = [table(uac(*command, "--seed", seed).stdout)["rouge_l"] for seed in (3, 3, 4)]
    assert rows[0] == rows[1] != rows[2]
    assert "80 % INTERVAL" in uac(*command).stdout


def test_scores_have_intervals(sample, tmp_path):
    command = ("score", POOR, *sample, "--metrics", "cider_d,bleu", "--json", tmp_path / "s.json")
    assert "INTERVAL" not in uac(*command).stdout
    assert "interval" not in json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["results"][0]
    done = uac(*command, "--interval", "--level", 0.9, *FEW)
    (cider, _) = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["results"]
    interval = cider["interval"]
    assert interval["low"] < cider["score"] < interval["high"]
    assert interval["level"] == 0.9
    assert "90 % INTERVAL" in done.stdout
    assert table(done.stdout)["cider_d"] == [
        *(f"{cider['score']:.6f}", f"[{interval['low']:.6f},", f"{interval['high']:.6f}]", cider["digest"])
    ]
    assert "200 resamples of the items, seed 0" in cider["notes"]["interval"]


def test_score_and_compare_give_one_interval(sample, tmp_path):
    uac("score", GOOD, *sample, "--metrics", "rouge_l", "--interval", *FEW, "--json", tmp_path / "s.json")
    uac("compare", GOOD, POOR, *sample, "--metrics", "rouge_l", *FEW, "--json", tmp_path / "c.json")
    scored, compared = (json.loads((tmp_path / name).read_text(encoding="utf-8"))["results"][0] for name in ("s.json", "c.json"))
    assert scored["interval"] == compared["a"]["interval"]


def test_what_is_missing_is_told_with_its_file(sample, tmp_path):
    lines = POOR.read_text(encoding="utf-8").splitlines()
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join([*lines[1:], '{"id": "nowhere", "caption": "x"}']), encoding="utf-8")
    with pytest.raises(
        InputError, match=r"(?s)part\.jsonl: predictions and references.*E_MISSING_ID: .*E_UNKNOWN_ID: id 'nowhere'"
    ):
        uac("compare", GOOD, part, *sample, "--metrics", "rouge_l")


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        (("--metrics", "rouge"), UnknownNameError, "Did you mean rouge_l"),
        (("--metrics", ","), InputError, "--metrics is empty; expected a name such as cider_d"),
        (("--metrics", "bleu,bleu"), InputError, "metrics named twice: bleu"),
        (("--metrics", "bleu", "--resamples", 10), InputError, "resamples is 10; expected at least 100"),
        (("--metrics", "bleu", "--level", 95), InputError, r"level is 95.0; expected a number between 0 and 1"),
        (("--metrics", "bleu", "--seed", -1), InputError, "seed is -1"),
        (("--metrics", "bleu", "--json", "no/where.json"), InputError, "Create it first"),
        (("--metrics", "bleu", "--references", "r.jsonl"), InputError, "either --references FILE or --benchmark ID"),
    ],
)
def test_wrong_use_is_told(sample, options, error, told):
    with pytest.raises(error, match=told):
        uac("compare", GOOD, POOR, *sample, *options)


@pytest.mark.parametrize("option", ["--level", "--resamples", "--seed"])
def test_options_of_intervals_want_the_interval(sample, option):
    with pytest.raises(InputError, match="are for intervals; add --interval"):
        uac("score", GOOD, *sample, "--metrics", "bleu", option, 1)


def test_several_captions_and_values_from_a_file(tmp_path):
    files = {
        "p.jsonl": [{"id": "a", "captions": ["a dog", "a dog barks"]}, {"id": "b", "captions": ["rain", "rain falls"]}],
        "r.jsonl": [{"id": "a", "references": ["a dog barks loudly"]}, {"id": "b", "references": ["rain falls", "it rains"]}],
        "s.jsonl": [{"id": i, "candidate": k, "spice": (k + 1) / 4} for i in "ab" for k in (0, 1)],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    given = (tmp_path / "p.jsonl", "--references", tmp_path / "r.jsonl", "--spice", tmp_path / "s.jsonl")
    uac("score", *given, "--metrics", "spice,spider,spider_max", "--json", tmp_path / "out.json")
    spice, spider, best = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["results"]
    assert (spice["score"], spider["spice"], best["spice"]) == (0.25, 0.25, 0.5)
    assert best["score"] > spider["score"]
    assert "|candidates:2|" in f"|{best['signature']}"


def test_a_range_without_end_is_said_in_words():
    assert "Vocabulary, version 1; 0 or more, higher is better" in uac("score", "--metrics", "vocab", "--explain").stdout


def test_help_teaches():
    told = " ".join(uac("compare", "--help").stdout.split())
    for words in ("A - B is the difference", "resamples that draw the same clips", "1 for equal files", "Example: uac compare"):
        assert words in told


def test_differences_of_pairs_are_scored_by_operation(tmp_path):
    build("sample", out=tmp_path / "data")
    events = write_event_clips(tmp_path / "events")
    build("adc_acc", out=tmp_path / "data", options={"base": "sample", "events": events, "pairs": 24, "seed": 1})
    for style in ("difference", "commonality"):
        references = tmp_path / f"{style}.jsonl"
        uac("view", "adc_acc", "--as", "references", "--style", style, "--out", references, "--data", tmp_path / "data")
        rows = [json.loads(line) for line in references.read_text(encoding="utf-8").splitlines()]
        predictions = tmp_path / "predictions.jsonl"
        lines = [{"id": row["id"], "caption": f"perhaps {row['references'][0]}"} for row in rows]
        predictions.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        command = ("score", predictions, "--references", references, "--metrics", "rouge_l,cider_d", "--by", "operation")
        told = uac(*command, "--interval", *FEW, "--json", tmp_path / "report.json").stdout
        report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        for result in report["results"]:
            assert set(result["parts"]) == {row["operation"] for row in rows} and len(result["parts"]) > 1
            assert sum(part["n"] for part in result["parts"].values()) == result["n"] == len(rows)
            mean = sum(part["n"] * part["score"] for part in result["parts"].values()) / result["n"]
            assert mean == pytest.approx(result["score"], abs=1e-12)
        assert all(f"operation = {name}" in told for name in report["results"][0]["parts"])


@pytest.mark.parametrize(
    ("key", "lines", "match"),
    [
        ("kind", [{"id": "a", "references": ["x"]}], "'kind' is missing; found 'id', 'references'"),
        ("references", [{"id": "a", "references": ["x"]}], "references is a list; expected text or a number"),
    ],
)
def test_labels_to_score_by_must_be_there(tmp_path, key, lines, match):
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "p.jsonl").write_text('{"id": "a", "caption": "x"}\n')
    with pytest.raises(InputError, match=match):
        uac("score", tmp_path / "p.jsonl", "--references", tmp_path / "r.jsonl", "--metrics", "bleu", "--by", key)


def test_labels_are_read_from_a_references_file(sample):
    with pytest.raises(InputError, match="--by operation reads the references file"):
        uac("score", GOOD, *sample, "--metrics", "bleu", "--by", "operation")


def same_as_python(told, rows, results):
    """Checks the report and the table of a run against results of Python."""
    assert [one["metric"] for one in told["results"]] == [result.metric for result in results]
    columns = {"id": []}
    for entry, result in zip(told["results"], results, strict=True):
        assert entry == {**json.loads(json.dumps(result.to_json())), "seconds": entry["seconds"]}
        columns |= result.columns()
    assert list(rows.columns) == list(columns)
    for name, values in columns.items():
        if name != "id":
            assert [float(value) for value in rows[name]] == values.tolist(), name


def written(folder, texts, references):
    """Writes the two files, and returns them with the pairs that they hold."""
    items = {f"clip {number}": text for number, text in enumerate(texts)}
    files = folder / "predictions.jsonl", folder / "references.jsonl"
    files[0].write_text("\n".join(json.dumps({"id": id_, "caption": text}) for id_, text in items.items()), encoding="utf-8")
    of_id = dict(zip(items, references, strict=True))
    files[1].write_text("\n".join(json.dumps({"id": id_, "references": one}) for id_, one in of_id.items()), encoding="utf-8")
    return *files, CaptionPairs.join(items, of_id)


TEXTS = ["a dog barks, twice", "", "Пение птиц — 3 birds", "rain falls rain falls"]
MORE = [["a dog is barking", "a dog barks"], ["wind blows"], ["birds sing", "пение птиц", "it sings"], ["it rains"]]


@pytest.mark.parametrize("table_name", ["items.csv", "items.parquet"])
def test_plain_metrics_give_the_numbers_of_python(tmp_path, table_name):
    """A table in csv holds all digits too."""
    names = [name for name in METRICS.names() if not METRICS.get(name).needs_extra]
    predictions, references, pairs = written(tmp_path, TEXTS, MORE)
    out, items = tmp_path / "out.json", tmp_path / table_name
    chosen = ("--metrics", ",".join(names), "--device", "cpu", "--json", out, "--per-item", items)
    uac("score", predictions, "--references", references, *chosen)
    rows = pd.read_csv(items, dtype=str) if items.suffix == ".csv" else pd.read_parquet(items)
    assert rows["id"].tolist() == list(pairs.ids)
    same_as_python(json.loads(out.read_text(encoding="utf-8")), rows, score(pairs, names, Options(device="cpu")))


def test_metrics_with_models_of_ones_own_give_the_numbers_of_python(tmp_path, options_for):
    names = [name for name in METRICS.names() if METRICS.get(name).needs_extra and "sounds" not in METRICS.get(name).needs]
    names = [name for name in names if METRICS.get(name).uses]  # METEOR has no option, and wants Java
    predictions, references, pairs = written(tmp_path, TEXTS, MORE)
    made = {}
    for name in names:
        found = options_for(name, pairs)
        made |= {one: getattr(found, one) for one in ("checker", "bert", "clap", "spice") if one in METRICS.get(name).uses}
    assert set(made) == {"checker", "bert", "clap", "spice"}
    out, items = tmp_path / "out.json", tmp_path / "items.parquet"
    models = [part for one, value in made.items() for part in (f"--{one}", value)]
    chosen = ("--metrics", ",".join(names), "--device", "cpu", "--json", out, "--per-item", items, "--interval", *FEW)
    uac("score", predictions, "--references", references, *chosen, *models)
    results = score(pairs, names, Options(device="cpu", **made), interval=Resampling(resamples=200))
    same_as_python(json.loads(out.read_text(encoding="utf-8")), pd.read_parquet(items), results)


@pytest.mark.parametrize("name", METRICS.names())
def test_explanations_need_no_files(name):
    """No model either: what it tells are the facts."""
    metric = METRICS.get(name)
    told = uac("score", "--metrics", name, "--explain").stdout
    assert told.startswith(f"{name}: {metric.title}, version {metric.version}; ")
    assert f"{metric.direction} is better" in told
    assert "Source: " in told
    for one in metric.requires:
        assert one in told
    for one in metric.uses:
        assert f"  reads: {one}: {Options.meaning(one)}" in told


def test_explanations_beside_scores_hold_the_whole_signatures(tmp_path):
    predictions, references, pairs = written(tmp_path, TEXTS, MORE)
    done = uac("score", predictions, "--references", references, "--metrics", "bleu,cider_d", "--explain")
    plain = uac("score", predictions, "--references", references, "--metrics", "bleu,cider_d")
    for result in score(pairs, ["bleu", "cider_d"]):
        assert f"{result.metric}: {result.signature.text}\n" in done.stdout
        assert result.signature.text not in plain.stdout
        assert f"{result.metric}: {METRICS.get(result.metric).title}, version" in done.stdout
        assert table(done.stdout)[result.metric + ":"]
        assert f"{result.score:.6f}" in done.stdout


def test_explanations_of_nothing_are_refused():
    with pytest.raises(InputError, match="--metrics is empty"):
        uac("score", "--explain")
    with pytest.raises(UnknownNameError, match="Did you mean rouge_l"):
        uac("score", "--metrics", "rouge", "--explain")
