"""Explanations tell exactly what an item got, and why."""

import math

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.explain import explain
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

WORDS = ("bleu", "rouge_l", "cider_d")
PAIRS = CaptionPairs(
    ("dog", "rain", "bell"),
    ("A dog barks, a dog barks.", "rain falls on a roof", "a bell"),
    (("a dog barks at night", "one dog barks"), ("heavy rain falls on a tin roof",), ("a church bell rings slowly", "bells")),
)


@pytest.fixture(scope="module")
def explained():
    """Explanations of all three items, with every metric."""
    return {id_: explain(PAIRS, id_) for id_ in PAIRS.ids}


def test_scores_are_those_of_scoring(explained):
    for result in score(PAIRS, ["bleu", "rouge_l", "cider_d", "sbert_sim", "date"]):
        for place, id_ in enumerate(PAIRS.ids):
            assert explained[id_].scores[result.metric] == float(result.per_item[place])
            for name, values in result.item_components.items():
                assert explained[id_].components[name] == float(values[place])


def test_matches_are_clipped_and_weighed():
    found = {one.text: one for one in explain(PAIRS, "dog", metrics=WORDS).matches}
    assert found["a dog barks"].order == 3 and found["a dog barks"].count == 1  # twice said, once in a reference
    assert found["a dog barks"].n_clips == 1 and found["a dog barks"].weight == pytest.approx(math.log(3))
    assert found["a"].n_clips == 3 and found["a"].weight == 0.0
    assert "at" not in found


def test_orders_and_lengths_are_those_of_bleu():
    found = explain(PAIRS, "rain", metrics=WORDS)
    assert found.orders == ((5, 5), (3, 4), (2, 3), (1, 2))
    assert (found.length, found.closest_length) == (5, 7)
    assert found.brevity_penalty == pytest.approx(math.exp(1 - 7 / 5))
    assert explain(PAIRS, "dog", metrics=WORDS).brevity_penalty == 1.0


def test_words_are_marked_on_both_sides():
    found = explain(PAIRS, "bell", metrics=WORDS)
    assert found.candidate == (("a", True), ("bell", True))
    assert found.references[0] == (("a", True), ("church", False), ("bell", True), ("rings", False), ("slowly", False))


def test_date_tells_weights_and_what_fits_as_well(explained):
    found = explained["dog"]
    assert [word for word, _ in found.weights] == ["a", "dog", "bark", "##s", ",", "a", "dog", "bark", "##s", "."]
    assert sum(weight for _, weight in found.weights) / len(found.weights) == pytest.approx(1.0, abs=1e-5)
    assert found.components["date_discrimination"] == pytest.approx(1 - found.n_fitting / found.n_clips)
    assert {one.id for one in found.neighbours} == {"rain", "bell"}
    similarities = [one.similarity for one in found.neighbours]
    assert similarities == sorted(similarities, reverse=True)
    assert all(one < found.components["date_similarity"] for one in similarities)


def test_what_cannot_be_explained_is_said():
    with pytest.raises(UnknownNameError, match="no item of this set is called 'cat'"):
        explain(PAIRS, "cat")
    with pytest.raises(UnknownNameError, match="no metric with an explanation is called 'wer'"):
        explain(PAIRS, "dog", metrics=["wer"])
    with pytest.raises(InputError, match="at least two clips"):
        explain(CaptionPairs(("a",), ("b",), (("c",),)), "a")
