import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError
from unified_audiocaps.evaluators.text import transcripts
from unified_audiocaps.evaluators.text.transcripts import english_words, error_counts, letters

WORDS = st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join)


def fewest_errors(one: list[str], other: list[str]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_errors_are_as_few_as_possible_and_kinds_fit_the_lengths(items):
    candidates, references = [item[0] for item in items], [item[1] for item in items]
    found = error_counts(candidates, references, str)
    for row, candidate, texts in zip(found, candidates, references, strict=True):
        said = [text.split() for text in texts if text] or [[]]
        errors = {(fewest_errors(words, candidate.split()), -len(words)) for words in said}
        assert (row[:3].sum(), -row[3]) == min(errors)
        assert row[1] - row[2] == row[3] - len(candidate.split())
    turned = error_counts(candidates, [texts[::-1] for texts in references], str)
    np.testing.assert_array_equal(turned, found)


def test_more_pairs_than_are_aligned_at_once(monkeypatch):
    candidates, references = ["a b", "c", "d e f"], [["a", "a c"], ["c"], ["d f", "e", "x d e f"]]
    at_once = error_counts(candidates, references, str)
    monkeypatch.setattr(transcripts, "ALIGNED_AT_ONCE", 2)
    np.testing.assert_array_equal(error_counts(candidates, references, str), at_once)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("We're here, Mr. Fox!", "we are here mister fox"),
        ("twenty-one colours (door slams)", "21 colors"),
        ("um, [music] yes", "yes"),
    ],
)
def test_english_is_made_alike(text, words):
    assert english_words()(text).split() == words.split()


def test_letters_of_any_script():
    assert letters()("你好。世界! Café").split() == list("你好世界café")


def test_the_package_with_the_spellings_is_missing(monkeypatch):
    monkeypatch.setattr(transcripts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingRequirementError, match="whisper-normalizer"):
        english_words()
