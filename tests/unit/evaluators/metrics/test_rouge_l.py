import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.evaluators.metrics import rouge_l
from unified_audiocaps.evaluators.metrics.rouge_l import lcs_lengths, rouge_l_per_item
from unified_audiocaps.evaluators.text.ngrams import WordIds

SHORT = st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join)
LONG = st.lists(st.sampled_from("abcde"), min_size=55, max_size=140).map(" ".join)


def lcs(a, b):
    """The table of every textbook."""
    row = [0] * (len(b) + 1)
    for x in a:
        above = row
        row = [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
    return row[-1]


def check_lcs(candidate, references):
    words = WordIds.of([candidate], [references])
    assert lcs_lengths(words).tolist() == [0, *(lcs(candidate.split(), text.split()) for text in references)]


@given(SHORT, st.lists(SHORT, min_size=1, max_size=5))
def test_common_subsequence_of_short_sentences(candidate, references):
    check_lcs(candidate, references)


@given(LONG | SHORT, st.lists(LONG | SHORT, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_common_subsequence_of_sentences_longer_than_a_machine_word(candidate, references):
    check_lcs(candidate, references)


@pytest.mark.parametrize("n", [63, 64, 65, 128, 129])
def test_lengths_around_the_machine_word(n):
    text = " ".join(str(i % 7) for i in range(n))
    check_lcs(text, [text, text + " x", "x " + text])


def test_blocks_do_not_matter(monkeypatch):
    random = np.random.default_rng(3)
    sentences = [" ".join(random.choice(list("abcd"), random.integers(0, 12))) for _ in range(60)]
    words = WordIds.of(sentences[:20], [[sentences[20 + i], sentences[40 + i]] for i in range(20)])
    expected = lcs_lengths(words)
    monkeypatch.setattr(rouge_l, "BLOCK", 3)
    assert lcs_lengths(words).tolist() == expected.tolist()


def test_the_two_maxima_may_come_from_different_references():
    words = WordIds.of(["a b c d"], [["a", "a b c d e f g h"]])
    recall, precision, squared = 1.0, 1.0, 1.44
    assert rouge_l_per_item(words)[0] == pytest.approx((1 + squared) * precision * recall / (recall + squared * precision))


@pytest.mark.parametrize(("candidate", "references"), [("", ["a"]), ("a", ["b"]), ("", ["", "a"]), ("a", ["", "b"])])
def test_nothing_in_common_is_zero(candidate, references):
    assert rouge_l_per_item(WordIds.of([candidate], [references])).tolist() == [0.0]
