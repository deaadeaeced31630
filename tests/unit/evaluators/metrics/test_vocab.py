import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.evaluators.metrics.vocab import Vocab
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

TEXT = st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join)
ITEMS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3).map(lambda texts: [*texts, "g"])), min_size=1, max_size=6)


def vocab(items):
    return score(CaptionPairs.in_order([candidate for candidate, _ in items], [texts for _, texts in items]), ["vocab"])[0]


def test_by_hand():
    """Words a b c and a b d: 2 on both sides. A draw has a for sure (first item), b with 1 - 1/2 · 1/1, d with 1/2 + 0."""
    result = vocab([("a b", ["a b", "a"]), ("a c c", ["d"])])
    assert result.score == 3
    expected = {
        "vocab_references": 3,
        "vocab_ratio": 1,
        "vocab_references_drawn": 1 + 0.5 + 1,
        "vocab_ratio_drawn": 3 / 2.5,
        "vocab_precision": 2 / 3,
        "vocab_recall": 2 / 3,
        "vocab_f1": 2 / 3,
        "vocab_jaccard": 2 / 4,
    }
    assert result.components == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(result.per_item, [1 / 2 + 1, 1 / 2 + 1], atol=1e-12)
    np.testing.assert_allclose(result.item_components["vocab_precision"], [1, 1 / 3], atol=1e-12)


@given(ITEMS)
def test_equals_plain_sets(items):
    result = vocab(items)
    ours = {word for candidate, _ in items for word in candidate.split()}
    theirs = {word for _, texts in items for text in texts for word in text.split()}
    assert result.score == len(ours)
    assert result.per_item.sum() == pytest.approx(len(ours), abs=1e-9)
    assert result.components["vocab_references"] == len(theirs)
    assert result.components["vocab_jaccard"] == pytest.approx(len(ours & theirs) / len(ours | theirs), abs=1e-9)


@given(ITEMS)
def test_a_set_and_its_double_have_one_vocabulary(items):
    once, twice = vocab(items), vocab(items * 2)
    for name in ("vocab_references", "vocab_ratio", "vocab_precision", "vocab_recall", "vocab_f1", "vocab_jaccard"):
        assert twice.components[name] == pytest.approx(once.components[name], abs=1e-9)
    assert twice.score == pytest.approx(once.score, abs=1e-9)
    # two draws find at least what one finds
    assert twice.components["vocab_references_drawn"] >= once.components["vocab_references_drawn"] - 1e-9


@given(ITEMS, TEXT)
def test_more_captions_are_no_fewer_words(items, text):
    fewer, more = vocab(items), vocab([*items, (text, ["g"])])
    assert fewer.score - 1e-9 <= more.score <= fewer.score + len(set(text.split())) + 1e-9


def test_one_reference_per_item_is_drawn_for_sure():
    result = vocab([("a", ["a b"]), ("b", ["b c d"])])
    assert result.components["vocab_references_drawn"] == pytest.approx(result.components["vocab_references"], abs=1e-12)


def test_the_expectation_is_the_mean_of_all_draws():
    items = [("x", ["a b", "c"]), ("x", ["a", "b", "d d"]), ("x", ["c a", ""])]
    draws = [
        len({word for text in (first, second, third) for word in text.split()})
        for first in items[0][1]
        for second in items[1][1]
        for third in items[2][1]
    ]
    assert vocab(items).components["vocab_references_drawn"] == pytest.approx(sum(draws) / len(draws), abs=1e-12)


def test_no_words_at_all():
    result = vocab([("", ["!"]), ("?", ["..."])])
    assert result.score == 0
    assert all(value == 0 for value in result.components.values())
    assert result.per_item.tolist() == [0, 0]


def test_many_totals_at_once():
    values = Vocab().from_totals(np.array([[3.0, 3, 2, 2, 2.5], [0, 0, 0, 0, 0]]), np.array([1.0, 2.0]))
    assert values.shape == (2, 9)
    assert not values[1].any()


@pytest.mark.real
def test_audiocaps(real_dir):
    """Figures of aac-metrics 0.6.0, whose average of a few draws (973.5) lies near the expectation."""
    with (real_dir / "wavcaps_copies" / "AudioCaps" / "csv_files" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    result = vocab([(row["caption_1"], [row[f"caption_{i}"] for i in range(2, 6)]) for row in rows])
    assert result.score == 967
    assert result.components["vocab_references"] == 1574
    assert result.components["vocab_ratio"] == pytest.approx(0.6143583227, abs=1e-10)
    names = ("vocab_precision", "vocab_recall", "vocab_f1", "vocab_jaccard")
    np.testing.assert_allclose(
        [result.components[name] for name in names], [0.8893485, 0.5463787, 0.6768989, 0.5116002], atol=1e-7
    )
    assert math.isclose(result.components["vocab_references_drawn"], 973.5, rel_tol=0.02)
