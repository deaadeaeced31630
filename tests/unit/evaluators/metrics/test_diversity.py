import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.evaluators.metrics.diversity import Diversity
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

CAPTIONS = st.lists(st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join), min_size=1, max_size=6)


def diversity(captions):
    return score(CaptionPairs.in_order(captions, [["x y z"]] * len(captions)), ["diversity"])[0]


def grams(caption, order):
    words = caption.split()
    return [tuple(words[i : i + order]) for i in range(len(words) - order + 1)]


def test_by_hand():
    result = diversity(["A dog barks.", "a dog barks", "it rains"])
    assert result.components == pytest.approx(
        {"distinct_1": 5 / 8, "distinct_2": 3 / 5, "distinct_3": 1 / 2, "unique_captions": 2 / 3}
    )
    assert result.score == result.components["distinct_2"]
    np.testing.assert_allclose(result.per_item, [1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(result.item_components["diversity_unique_captions"], [1 / 2, 1 / 2, 1])


@given(CAPTIONS)
def test_equals_plain_sets(captions):
    result = diversity(captions)
    for order in (1, 2, 3):
        found = [gram for caption in captions for gram in grams(caption, order)]
        expected = len(set(found)) / len(found) if found else 0.0
        assert result.components[f"distinct_{order}"] == pytest.approx(expected, abs=1e-12)
    assert result.components["unique_captions"] == pytest.approx(len(set(captions)) / len(captions), abs=1e-12)


@given(CAPTIONS)
def test_saying_all_twice_halves_everything(captions):
    once, twice = diversity(captions), diversity(captions * 2)
    for name in Diversity.components:
        assert twice.components[name] == pytest.approx(once.components[name] / 2, abs=1e-12)


def test_references_are_not_read():
    captions = ["a dog barks", "a dog"]
    other = score(CaptionPairs.in_order(captions, [["a dog barks"], ["a dog"]]), ["diversity"])[0]
    assert other.components == diversity(captions).components


def test_nothing_said():
    result = diversity(["", "..."])
    assert dict(result.components) == {"distinct_1": 0, "distinct_2": 0, "distinct_3": 0, "unique_captions": 0.5}
