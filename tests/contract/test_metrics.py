"""What every metric must hold, found by discovery: a new module is tested by being there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators import hub_files
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import describe_metrics, score
from unified_audiocaps.evaluators.workspace import Workspace

from ..metric_options import options_for

NAMES = METRICS.names()
GOLDEN = Path(__file__).parent.parent / "golden"
SENTENCES = [
    "a dog barks at a passing car",
    "heavy rain falls on a tin roof",
    "two women laugh and clap their hands",
    "an old engine starts with a loud bang",
    "soft piano music plays in a hall",
]
OTHERS = [
    "the committee approved next year's budget",
    "photosynthesis turns sunlight into sugar",
    "he folded seven shirts before breakfast",
    "prime numbers never end, Euclid proved",
    "this recipe needs flour, butter, eggs",
]


def runs_a_model(name):
    return "device" in METRICS.get(name).uses


def needs_java(name):
    return any(needed.startswith("Java") for needed in METRICS.get(name).requires)


@pytest.fixture(autouse=True)
def java_where_it_is_needed(request, unavailable):
    callspec = getattr(request.node, "callspec", None)
    if callspec and needs_java(callspec.params["name"]) and shutil.which("java") is None:
        unavailable(f"{callspec.params['name']} needs Java")


def golden_pairs(items=None):
    items = items or [json.loads(line) for line in (GOLDEN / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    return CaptionPairs.join({i["id"]: i["candidate"] for i in items}, {i["id"]: i["references"] for i in items})


def one(name, pairs, **options):
    return score(pairs, [name], options_for(name, pairs, **options))[0]


def within(value, bounds):
    return bounds[0] <= value <= bounds[1]


def test_the_five_metrics_of_the_spine_are_found():
    assert set(NAMES) >= {"bleu", "rouge_l", "cider_d", "sbert_sim", "date"}


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_stated(name):
    metric = METRICS.get(name)
    assert metric.name == name
    assert metric.title and metric.source and metric.definition
    assert metric.value_range[0] < metric.value_range[1]
    assert metric.direction in ("higher", "lower")
    assert "Source:" in metric.__doc__
    description = next(entry for entry in describe_metrics() if entry["name"] == name)
    assert json.loads(json.dumps(description)) == description


@pytest.mark.parametrize("name", NAMES)
def test_equals_an_independent_implementation(name):
    expected = json.loads((GOLDEN / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
    result = one(name, golden_pairs(expected.get("items")))  # captions say little about a metric of answers
    assert result.n == len(result.per_item)
    columns = result.columns()
    for column, values in expected["per_item"].items():
        np.testing.assert_allclose(columns[column], values, rtol=0, atol=expected["tolerance"], err_msg=column)
    report = {**result.to_json(), result.metric: result.score}
    for key, value in expected["corpus"].items():
        assert report[key] == pytest.approx(value, abs=expected["tolerance"]), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["identical", "disjoint"])
def test_known_cases_fall_where_the_metric_declares(name, case):
    pairs = CaptionPairs.in_order(SENTENCES if case == "identical" else OTHERS, [[text] for text in SENTENCES])
    assert within(one(name, pairs).score, getattr(METRICS.get(name).cases, case))


@pytest.mark.parametrize("name", NAMES)
def test_one_item(name):
    pairs = CaptionPairs.in_order(SENTENCES[:1], [SENTENCES[:1]])
    expected = METRICS.get(name).cases.single
    if expected is None:
        with pytest.raises(InputError, match="cannot score one item"):
            one(name, pairs)
    else:
        result = one(name, pairs)
        assert within(result.score, expected)
        assert result.per_item.shape == (1,)


@pytest.mark.parametrize("name", NAMES)
def test_values_lie_within_the_declared_range(name):
    pairs = CaptionPairs.in_order(
        ["", "rain", "a dog barks at a passing car", "\uff1f\uff01", "x " * 300],
        [["it rains", ""], ["rain", "rain"], [SENTENCES[0]], ["…", "two women laugh"], [SENTENCES[4], SENTENCES[3], "y " * 300]],
    )
    result = one(name, pairs)
    low, high = METRICS.get(name).value_range
    for values in (result.score, result.per_item):
        assert np.all(np.isfinite(values))
        assert np.all(low - 1e-9 <= np.asarray(values))
        assert np.all(np.asarray(values) <= high + 1e-9)
    assert result.notes["empty_candidates"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_order_of_items_does_not_matter(name):
    pairs = golden_pairs()
    order = np.random.default_rng(7).permutation(len(pairs))
    shuffled = pairs.take(order)
    tolerance = 1e-5 if runs_a_model(name) else 1e-12
    first, second = one(name, pairs), one(name, shuffled)
    assert second.score == pytest.approx(first.score, abs=tolerance)
    assert second.signature.digest == first.signature.digest
    for column, values in first.columns().items():
        np.testing.assert_allclose(second.columns()[column], values[order], rtol=0, atol=tolerance, err_msg=column)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_references_does_not_matter(name):
    pairs = golden_pairs()
    turned = CaptionPairs(pairs.ids, pairs.candidates, tuple(texts[::-1] for texts in pairs.references))
    np.testing.assert_allclose(one(name, turned).per_item, one(name, pairs).per_item, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if not METRICS.get(name).several_candidates])
def test_the_first_of_several_candidates_is_the_one(name):
    pairs = golden_pairs()
    several = CaptionPairs(pairs.ids, pairs.candidates, pairs.references, (("rain", ""),) * len(pairs))
    assert one(name, several).per_item.tobytes() == one(name, pairs).per_item.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_run_gives_the_same_bits(name):
    first, second = one(name, golden_pairs()), one(name, golden_pairs())
    assert first.score == second.score
    assert first.per_item.tobytes() == second.per_item.tobytes()
    assert first.signature == second.signature


@pytest.mark.parametrize("name", NAMES)
def test_batch_size_changes_nothing(name):
    small, large = (one(name, golden_pairs(), batch_tokens=tokens) for tokens in (24, 100_000))
    np.testing.assert_allclose(small.per_item, large.per_item, rtol=0, atol=1e-5 if runs_a_model(name) else 0)
    assert small.signature == large.signature


@pytest.mark.parametrize("name", NAMES)
def test_corpus_value_is_the_combination_of_all_rows(name):
    """Weighted rows must work too: that is what resampling needs."""
    pairs, metric = golden_pairs(), METRICS.get(name)()
    stats = metric.item_stats(pairs, Workspace(pairs, options_for(name, pairs)))
    weights = np.array([[1.0] * len(pairs), [2.0] * len(pairs)])
    values = metric.from_totals(weights @ stats, weights.sum(axis=1))
    np.testing.assert_allclose(values[0], metric.combine(stats), rtol=0, atol=1e-12)
    assert values.shape == (2, 1 + len(metric.components))
    assert metric.values_per_item(stats).shape == (len(pairs), 1 + len(metric.components))


def test_evaluate_load_gives_the_same_numbers(in_evaluate):
    items = golden_pairs()
    pairs = CaptionPairs.in_order(items.candidates, items.references)
    names = [name for name in NAMES if shutil.which("java") or not needs_java(name)]
    plain = [name for name in NAMES if not METRICS.get(name).uses and not METRICS.get(name).needs_extra]
    options = {name: options_for(name, pairs) for name in names}
    chosen = {name: {one: getattr(made, one) for one in METRICS.get(name).uses} for name, made in options.items()}
    several = [name for name in names if METRICS.get(name).several_candidates]
    script = """
names, several, plain, predictions, references, chosen = given
for name in names:
    metric = evaluate.load(f"evaluators/hub/{name}")
    results[name] = metric.compute(predictions=predictions, references=references, **chosen[name])
    if name in several:
        lists = [[prediction] for prediction in predictions]
        assert metric.compute(predictions=lists, references=references, **chosen[name]) == results[name], name
results["combined"] = evaluate.combine([f"evaluators/hub/{name}" for name in plain[:2]]).compute(
    predictions=predictions, references=references
)
"""
    loaded = in_evaluate(script, [names, several, plain, pairs.candidates, pairs.references, chosen])
    for result in (score(pairs, [name], options[name])[0] for name in names):
        expected = {result.metric: result.score, **result.components, "signature": result.signature.text}
        assert loaded[result.metric] == expected
    assert loaded["combined"][plain[0]] == loaded[plain[0]][plain[0]]


def test_hub_apps_are_gradio_pages(project_root):
    import runpy

    import gradio

    for name in NAMES:
        page = runpy.run_path(str(hub_files.HUB_FOLDER / name / "app.py"), run_name="page")
        assert isinstance(page["demo"], gradio.Blocks)
    report = page["compute"]("a dog barks\nrain", "a dog barks | a dog\nit rains")
    assert report["metric"] == NAMES[-1]
    with pytest.raises(gradio.Error, match="equally many"):
        page["compute"]("a dog barks", "")
