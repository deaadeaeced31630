import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.metrics.bleu import bleu_of_stats, bleu_stats
from unified_audiocaps.evaluators.metrics.self_bleu import self_bleu_stats
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.text.ngrams import WordIds, count_ngrams

CAPTIONS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), min_size=2, max_size=7)


def ours(captions):
    words = WordIds.of(captions, [["a b c a b c a"]] * len(captions))
    return self_bleu_stats(words, count_ngrams(words))


def pair_by_pair(captions):
    """The same statistics from BLEU, which sees all other captions as references."""
    words = WordIds.of(captions, [[text for j, text in enumerate(captions) if j != i] for i in range(len(captions))])
    return bleu_stats(words, count_ngrams(words))


@given(CAPTIONS)
def test_counts_equal_those_of_all_pairs(captions):
    np.testing.assert_array_equal(ours(captions), pair_by_pair(captions))


@settings(max_examples=30)
@given(CAPTIONS.filter(all))
def test_equals_pycocoevalcap(captions):
    from pycocoevalcap.bleu.bleu import Bleu

    others = {i: [text for j, text in enumerate(captions) if j != i] for i in range(len(captions))}
    with contextlib.redirect_stdout(io.StringIO()):
        _, expected = Bleu(4).compute_score(others, {i: [text] for i, text in enumerate(captions)})
    np.testing.assert_allclose(bleu_of_stats(ours(captions)).T, expected, rtol=0, atol=1e-12)


@given(CAPTIONS)
def test_whatever_is_said_twice_is_no_news(captions):
    values = bleu_of_stats(ours(captions * 2))
    for caption, row in zip(captions * 2, values, strict=True):
        n_words = len(caption.split())
        np.testing.assert_allclose(row[: min(4, n_words)], 1.0, atol=1e-8)


@given(CAPTIONS, st.data())
def test_another_caption_takes_no_match_away(captions, data):
    more = [*captions, data.draw(st.sampled_from(captions))]
    assert np.all(ours(more)[: len(captions), :4] >= ours(captions)[:, :4])


@pytest.mark.parametrize(
    ("lengths", "closest"),
    [
        ([3, 5], [5, 3]),
        ([2, 4, 6], [4, 2, 4]),
        ([1, 1, 9], [1, 1, 1]),
        ([0, 7], [7, 0]),
        ([4, 4], [4, 4]),
        ([1, 4, 6], [4, 6, 4]),
    ],
)
def test_closest_length_of_another_caption(lengths, closest):
    assert ours([" ".join("a" * n) for n in lengths])[:, -1].tolist() == closest


def test_the_value_is_the_mean_and_lower_is_better():
    same, different = (
        score(CaptionPairs.in_order(captions, [["x"]] * 3), ["self_bleu"])[0]
        for captions in (
            ["a dog barks at night"] * 3,
            ["a dog barks at night", "heavy rain falls on tin", "two men talk very fast"],
        )
    )
    assert same.score == pytest.approx(1, abs=1e-8)
    assert different.score < 1e-3
    assert same.score == same.components["self_bleu_4"] == pytest.approx(same.per_item.mean())


def test_one_item_is_an_error():
    with pytest.raises(InputError, match="Self-BLEU cannot score one item"):
        score(CaptionPairs.in_order(["rain"], [["rain"]]), ["self_bleu"])
