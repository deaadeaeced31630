import pytest
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score


def wer(candidates, references):
    return score(CaptionPairs.in_order(candidates, references), ["wer"])[0]


def test_the_corpus_value_pools_words():
    result = wer(["a dog", "rain falls on roofs"], [["a cat"], [" Rain falls  on roofs"]])
    assert result.score == pytest.approx(1 / 6)
    assert result.per_item.tolist() == [0.5, 0.0]
    assert result.components == {"substitutions": pytest.approx(1 / 6), "deletions": 0.0, "insertions": 0.0}


def test_the_transcript_with_the_fewest_errors_counts():
    result = wer(["the red fox runs"], [["the fox ran home", "The red fox runs.", "red fox"]])
    assert (result.score, result.signature.values["of_refs"]) == (0.0, "fewest_errors")


def test_where_nothing_was_said_what_is_put_in_counts():
    result = wer(["hello there", "", "yes"], [["(silence)"], ["[music]"], ["[music]", "yes yes"]])
    assert result.per_item.tolist() == [2.0, 0.0, 0.5]
    assert result.score == 3 / 2
    assert result.notes["references_without_words"] == 2


def test_the_signature_names_the_rules():
    (norm,) = [part for part in wer(["a"], [["a"]]).signature.text.split("|") if part.startswith("norm:")]
    assert norm.startswith("norm:whisper_english@sha256:")


def test_letters_do_not_care_for_blanks():
    pairs = CaptionPairs.in_order(["some one", "wörld"], [["someone"], ["world"]])
    (result,) = score(pairs, ["cer"])
    assert result.per_item.tolist() == [0.0, 0.2]
    assert result.score == pytest.approx(1 / 12)
