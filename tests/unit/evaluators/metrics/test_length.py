import numpy as np
import pytest
from unified_audiocaps.evaluators.metrics.length import Length
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score


def length(candidates, references):
    return score(CaptionPairs.in_order(candidates, references), ["length"])[0]


def test_by_hand():
    """4 and 2 words against means of 3 and 6: 6 words against 9."""
    result = length(["a dog barks, loudly!", "it rains"], [["a dog", "a dog barks loudly"], ["it rains on a tin roof"]])
    assert result.score == pytest.approx(6 / 9)
    assert result.components == pytest.approx({"length_candidates": 3, "length_references": 4.5, "length_ratio": 6 / 9})
    np.testing.assert_allclose(result.per_item, [3 / 4, 2 / 6])
    np.testing.assert_allclose(result.item_components["length_ratio"], [4 / 3, 1 / 3])


def test_references_without_words_do_not_count():
    assert length(["a dog"], [["...", "a dog", ""]]).score == 1.0


@pytest.mark.parametrize(("candidate", "reference"), [("", "it rains"), ("it rains", "..."), ("!", "...")])
def test_no_words_are_worth_0(candidate, reference):
    result = length([candidate], [[reference]])
    assert result.score == 0.0
    assert result.per_item.tolist() == [0.0]


def test_too_long_is_as_bad_as_too_short():
    short, long = length(["rain"], [["rain falls"]]), length(["rain falls"], [["rain"]])
    assert short.score == long.score == 0.5
    assert (short.components["length_ratio"], long.components["length_ratio"]) == (0.5, 2.0)


def test_many_totals_at_once():
    values = Length().from_totals(np.array([[2.0, 4.0], [0.0, 0.0]]), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(values, [[0.5, 2.0, 4.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
