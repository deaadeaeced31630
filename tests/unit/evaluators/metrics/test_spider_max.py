import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.compare import compare
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

WORDS = st.lists(st.sampled_from(["dog", "barks", "rain", "falls", "a"]), min_size=1, max_size=6).map(" ".join)
REFERENCES = [["a dog barks", "a dog"], ["rain falls"], ["a a dog falls", "rain"]]


def several(*columns):
    return CaptionPairs.in_order(list(zip(*columns, strict=True)), REFERENCES)


def one(name, pairs, options_for):
    return score(pairs, [name], options_for(name, pairs))[0]


def test_equals_an_independent_implementation(options_for, project_root):
    """Several candidates per item; the contract test has one."""
    golden = project_root / "tests" / "golden"
    items = [json.loads(line) for line in (golden / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = json.loads((golden / "metrics" / "spider_max.json").read_text(encoding="utf-8"))["three"]
    pairs = CaptionPairs.in_order(expected["captions"], [item["references"] for item in items])
    result = one("spider_max", pairs, options_for)
    assert result.score == pytest.approx(expected["corpus"]["spider"], abs=1e-12)
    for column, values in expected["per_item"].items():
        np.testing.assert_allclose(result.columns()[column], values, rtol=0, atol=1e-12)
    assert result.signature.values["candidates"] == "3"
    assert not result.notes


def test_one_candidate_is_spider(options_for):
    pairs = CaptionPairs.in_order(["a dog", "rain", "dog"], REFERENCES)
    best, only = one("spider_max", pairs, options_for), one("spider", pairs, options_for)
    assert (best.score, dict(best.components)) == (only.score, dict(only.components))
    assert best.notes == {"candidates": "one per item, so this is SPIDEr"}


@settings(max_examples=25)
@given(*[st.lists(WORDS, min_size=3, max_size=3)] * 2)
def test_the_best_candidate_counts(options_for, first, second):
    both, *singles = (one("spider_max", several(*columns), options_for) for columns in ([first, second], [first], [second]))
    values = np.array([single.per_item for single in singles])
    np.testing.assert_array_equal(both.per_item, values.max(axis=0))
    chosen = values.argmax(axis=0), np.arange(3)
    for half in ("spider_max_cider_d", "spider_max_spice"):
        np.testing.assert_array_equal(both.item_components[half], np.array([s.item_components[half] for s in singles])[chosen])
    assert one("spider_max", several(first, first), options_for).score == singles[0].score
    assert one("spider_max", several(second, first), options_for).score == both.score


def test_every_candidate_needs_a_value(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("id,spice,candidate\n0,0.1,0\n1,0.1,0\n2,0.1,0\n0,0.1,1\n2,0.1,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1 of 3 SPICE values are missing.*\n.*id '1' has no value for candidate 1"):
        score(several(["a", "b", "c"], ["d", "e", "f"]), ["spider_max"], Options(spice=path))


def test_systems_are_compared_with_all_their_candidates(options_for):
    first, second = ["a dog", "rain", "dog"], ["a dog barks", "rain falls", "a"]
    poor, rich = several(first, first), several(first, second)
    (found,) = compare(
        poor, rich.take([2, 0, 1]), ["spider_max"], options_for("spider_max", poor), options_b=options_for("spider_max", rich)
    )
    assert found.b.score == one("spider_max", rich, options_for).score
    assert found.a.score == one("spider_max", poor, options_for).score
    assert found.difference < 0


def test_equal_first_candidates_do_not_make_equal_systems(options_for):
    """Even where one file of values serves both systems."""
    first = ["a dog", "rain", "dog"]
    poor, rich = several(first, first), several(first, ["a dog barks", "rain falls", "a"])
    (found,) = compare(poor, rich, ["spider_max"], options_for("spider_max", poor))
    assert found.difference < 0
