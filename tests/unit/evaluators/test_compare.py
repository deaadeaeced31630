"""Two systems side by side, with every metric that there is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators import score as scoring
from unified_audiocaps.evaluators.bootstrap import Resampling
from unified_audiocaps.evaluators.compare import compare
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

REFERENCES = {
    "dog": ["a dog barks at a passing car", "a dog is barking"],
    "rain": ["heavy rain falls on a tin roof", "it is raining"],
    "laugh": ["two women laugh and clap their hands", "people are laughing"],
    "engine": ["an old engine starts with a loud bang", "an engine starts"],
    "piano": ["soft piano music plays in a hall", "somebody plays the piano"],
}
GOOD = {"dog": "a dog barks", "rain": "rain falls on a roof", "laugh": "two women laugh", "engine": "x", "piano": "a piano plays"}
POOR = dict.fromkeys(GOOD, "a sound is heard") | {"engine": "an old engine starts", "piano": "a piano plays"}
FEW = Resampling(resamples=200)


def pairs(captions, order=tuple(REFERENCES)):
    return CaptionPairs.join(captions, {id_: REFERENCES[id_] for id_ in order})


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_compares(name, options_for):
    (one,) = compare(pairs(GOOD), pairs(POOR), [name], options_for(name, pairs(GOOD)), resampling=FEW)
    a, b = (score(pairs(captions), [name], options_for(name, pairs(GOOD)), interval=FEW)[0] for captions in (GOOD, POOR))
    assert (one.metric, one.n) == (name, 5)
    assert (one.a.score, one.b.score) == (a.score, b.score)
    assert (one.a.interval, one.b.interval) == (a.interval, b.interval)
    assert one.a.signature == a.signature
    assert one.difference == a.score - b.score
    assert one.interval.low <= one.difference <= one.interval.high
    assert a.interval.low <= a.score <= a.interval.high
    assert 0 < one.p_value <= 1
    assert one.wins + one.losses + one.ties == 5
    assert ("held fixed" in one.notes["interval"]) == METRICS.get(name).needs_whole_corpus
    assert "200 resamples of the items, seed 0" in one.notes["interval"]


@pytest.mark.parametrize("name", METRICS.names())
def test_equal_systems_differ_by_nothing(name, options_for):
    (one,) = compare(
        pairs(GOOD), pairs(GOOD, tuple(reversed(REFERENCES))), [name], options_for(name, pairs(GOOD)), resampling=FEW
    )
    assert (one.difference, one.interval.low, one.interval.high, one.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert (one.wins, one.losses, one.ties) == (0, 0, 5)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_order_of_items_does_not_matter(name, options_for):
    tolerance = 1e-5 if "device" in METRICS.get(name).uses else 1e-12
    shuffled = ("piano", "rain", "dog", "laugh", "engine")
    options = options_for(name, pairs(GOOD))
    (one,) = compare(pairs(GOOD), pairs(POOR), [name], options, resampling=FEW)
    (two,) = compare(pairs(GOOD, shuffled), pairs(POOR), [name], options, resampling=FEW)
    for ours, theirs in ((one.interval, two.interval), (one.a.interval, two.a.interval), (one.b.interval, two.b.interval)):
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=tolerance)
    assert (one.p_value, one.wins, one.losses) == (two.p_value, two.wins, two.losses)
    assert one.difference == pytest.approx(two.difference, abs=tolerance)


def test_items_are_counted_for_the_first_system():
    (one,) = compare(pairs(GOOD), pairs(POOR), ["rouge_l"], resampling=FEW)
    assert (one.wins, one.losses, one.ties) == (3, 1, 1)
    assert one.b.per_item.tolist() == score(pairs(POOR), ["rouge_l"])[0].per_item.tolist()
    worse = replace(one, direction="lower")
    assert (worse.wins, worse.losses, worse.ties) == (1, 3, 1)


def test_rounding_is_a_tie():
    (one,) = compare(pairs(GOOD), pairs(POOR), ["rouge_l"], resampling=FEW)
    near = replace(one, b=replace(one.a, per_item=one.a.per_item + np.array([1e-7, -1e-7, 0, 1e-5, -1e-5])))
    assert (near.wins, near.losses, near.ties) == (1, 1, 3)


def test_equal_captions_are_scored_once(monkeypatch):
    calls = []
    counted = scoring.result_and_stats
    monkeypatch.setattr("unified_audiocaps.evaluators.compare.result_and_stats", lambda *a: calls.append(1) or counted(*a))
    compare(pairs(GOOD), pairs(GOOD), ["rouge_l", "bleu"], resampling=FEW)
    assert len(calls) == 2


def test_the_report_is_json():
    (one,) = compare(pairs(GOOD), pairs(POOR), ["cider_d"], resampling=Resampling(0.9, 300, 7))
    entry = json.loads(json.dumps(one.to_json()))
    assert entry["difference"] == one.difference
    assert entry["interval"] == {"low": one.interval.low, "high": one.interval.high, "level": 0.9}
    assert (entry["resamples"], entry["seed"], entry["n"]) == (300, 7, 5)
    assert entry["a"]["digest"] == entry["b"]["digest"]
    assert entry["a"]["interval"]["level"] == 0.9
    assert (entry["wins"], entry["losses"], entry["ties"]) == (one.wins, one.losses, one.ties)
    assert "weights, ranks) is held fixed" in entry["notes"]["interval"]


def test_both_systems_cover_the_same_items():
    part = ("dog", "rain", "laugh")
    a, b = pairs({id_: GOOD[id_] for id_ in part}, part), pairs({id_: POOR[id_] for id_ in part[1:]}, part[1:])
    with pytest.raises(InputError, match=r"(?s)1 of 3 items of the first are missing from the second, 0 of 2.*'dog' is missing"):
        compare(a, b, ["rouge_l"])
    with pytest.raises(InputError, match=r"(?s)0 of 2.*1 of 3 items of the second are not in the first.*'dog' is not in"):
        compare(b, a, ["rouge_l"])


def test_references_are_the_same():
    other = CaptionPairs.join(POOR, REFERENCES | {"rain": ["it rains"]})
    with pytest.raises(InputError, match=r"(?s)1 of 5 items have other references.*'rain' differ"):
        compare(pairs(GOOD), other, ["rouge_l"])


def test_wrong_names_and_too_few_items():
    with pytest.raises(UnknownNameError, match="Did you mean cider_d"):
        compare(pairs(GOOD), pairs(POOR), ["cider"])
    one = CaptionPairs.in_order(["a dog"], [["a dog barks"]])
    with pytest.raises(InputError, match="one item has no interval"):
        compare(one, one, ["rouge_l"])


def test_scores_have_intervals_where_they_are_asked_for():
    (without,) = score(pairs(GOOD), ["rouge_l"])
    (with_,) = score(pairs(GOOD), ["rouge_l"], interval=FEW)
    assert without.interval is None
    assert "interval" not in without.notes
    assert with_.score == without.score
    assert with_.signature == without.signature
    assert with_.interval.level == 0.95
    assert "fewer than 100 items: intervals are too narrow" in with_.notes["interval"]
