from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.evaluators.text import ngrams
from unified_audiocaps.evaluators.text.ngrams import WordIds, count_ngrams

SENTENCE = st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join)
ITEMS = st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), min_size=1, max_size=5)


def grams(sentence, order):
    words = sentence.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def check(items):
    words = WordIds.of([candidate for candidate, _ in items], [texts for _, texts in items])
    sentences = [text for candidate, texts in items for text in (candidate, *texts)]
    assert words.lengths.tolist() == [len(text.split()) for text in sentences]
    for order, counts in enumerate(count_ngrams(words), start=1):
        expected = [grams(text, order) for text in sentences]
        for index, counter in enumerate(expected):
            here = counts.sentence == index
            assert sorted(counts.count[here].tolist()) == sorted(counter.values())
        in_items = Counter(gram for _, texts in items for gram in set().union(*(grams(text, order) for text in texts)))
        assert sorted(counts.document_frequency.tolist()) == sorted(in_items[gram] for counter in expected for gram in counter)
        shared = sum(len(grams(c, order).keys() & grams(r, order).keys()) for c, texts in items for r in texts)
        assert len(counts.matched) == shared
        assert np.all(words.is_candidate[counts.sentence[counts.match]])
        assert np.all(words.item[counts.sentence[counts.match]] == words.item[counts.sentence[counts.matched]])


@given(ITEMS)
def test_counts_equal_counting_by_hand(items):
    check(items)


def test_numbers_that_do_not_fit_one_integer_are_sorted_another_way(monkeypatch):
    packed = []
    monkeypatch.setattr(ngrams, "_sort_with", lambda keys, position: packed.append(1) or slow(keys, position))

    def slow(keys, position):
        order = np.argsort(keys, kind="stable")
        return keys[order], position[order]

    check([("a b a b", ["a b", "b a b"]), ("c", ["a b c d"])])
    assert packed


def test_both_ways_to_sort_agree():
    keys = np.array([5, 2, 5, 2, 9])
    position = np.array([1, 3, 4, 6, 8])
    small = ngrams._sort_with(keys, position)
    large = ngrams._sort_with(keys * 2**58, position)
    assert small[0].tolist() == (large[0] // 2**58).tolist() == [2, 2, 5, 5, 9]
    assert small[1].tolist() == large[1].tolist() == [3, 6, 1, 4, 8]


@pytest.mark.parametrize("items", [[("", [""])], [("", ["a"])], [("a", ["", "b"])]])
def test_empty_sentences(items):
    check(items)
