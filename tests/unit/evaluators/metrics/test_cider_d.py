import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.metrics.cider_d import cider_d_per_item
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.text.ngrams import WordIds, count_ngrams

SENTENCE = st.lists(st.sampled_from("abcdef"), max_size=8).map(" ".join)
ITEMS = st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), min_size=2, max_size=6)


def ours(items):
    words = WordIds.of([candidate for candidate, _ in items], [texts for _, texts in items])
    return cider_d_per_item(words, count_ngrams(words))


def grams(sentence, order):
    words = sentence.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def by_hand(items):
    """CIDEr-D from the definition, n-gram by n-gram."""
    values = [0.0] * len(items)
    for order in range(1, 5):
        frequency = Counter(gram for _, texts in items for gram in set().union(*(grams(text, order) for text in texts)))

        def vector(text, order=order, frequency=frequency):
            return {
                gram: n * (math.log(len(items)) - math.log(max(1, frequency[gram]))) for gram, n in grams(text, order).items()
            }

        for index, (candidate, texts) in enumerate(items):
            mine = vector(candidate)
            for text in texts:
                theirs = vector(text)
                dot = sum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in mine.items() if gram in theirs)
                norms = math.sqrt(sum(w * w for w in mine.values())) * math.sqrt(sum(w * w for w in theirs.values()))
                gap = max(len(candidate.split()) - 1, 0) - max(len(text.split()) - 1, 0)
                if norms:
                    values[index] += dot / norms * math.exp(-(gap**2) / 72) / len(texts) / 4 * 10
    return values


@given(ITEMS)
def test_equals_the_definition(items):
    np.testing.assert_allclose(ours(items), by_hand(items), rtol=0, atol=1e-12)


def test_documented_example_of_aac_metrics():
    """Values from the README of aac-metrics, two clips."""
    items = [
        ("a man is speaking", ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"]),
        ("rain falls", ["rain is falling hard on a surface"]),
    ]
    np.testing.assert_allclose(ours(items), [1.3641, 0.5587], atol=1e-4)
    assert ours(items).mean() == pytest.approx(0.9614, abs=1e-4)


def test_one_item_is_an_error_that_says_why():
    with pytest.raises(InputError, match="how many items share an n-gram"):
        score(CaptionPairs.in_order(["a dog"], [["a dog"]]), ["cider_d"])


def test_a_perfect_caption_of_one_word_scores_a_quarter():
    np.testing.assert_allclose(ours([("rain", ["rain"]), ("wind", ["wind"])]), [2.5, 2.5])


def test_references_that_are_equal_everywhere_give_zero():
    assert ours([("a b", ["a b"]), ("a b", ["a b"])]).tolist() == [0.0, 0.0]


def test_the_set_decides():
    items = [("a b c d", ["a b c e"]), ("x y", ["x z"]), ("a b", ["a q"]), ("m n", ["m n o"])]
    assert ours(items)[0] != pytest.approx(ours(items[:2])[0], abs=1e-3)
