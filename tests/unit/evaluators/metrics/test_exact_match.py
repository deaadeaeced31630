import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.evaluators.metrics.exact_match import Answer, read_answer
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

FORMS = ("({L}) {t}", "({l}){t}", "{L}. {t}", "{l}: {t}", "{L}) {t}.", " {L}.  {t} ")


def accuracy(candidates, references):
    return score(CaptionPairs.in_order(candidates, references), ["exact_match"])[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("said", ["B", "(b)", "b.", "A dog", "a  DOG.", "(B) a dog"])
def test_forms_of_one_answer(form, said):
    key = form.format(L="B", l="b", t="a dog")
    assert accuracy([said, key], [[key], [said]]).per_item.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("(A) a dog", "(B) a dog"),
        ("(B) a cat", "(B) a dog"),
        ("a cat", "a dog"),
        ("B", "a dog"),
        ("I think it is a dog", "a dog"),
        ("", "…"),
        ("C minor", "C# minor"),
        ("5", "-5"),
        ("m", "a.m."),
        ("[3.42, 4.11]", "[3.42, 4.1]"),
    ],
)
def test_what_is_another_answer(said, key):
    assert accuracy([said], [[key]]).score == 0.0


def test_any_reference_may_be_the_right_one():
    result = accuracy(["Yes.", "maybe"], [["no", "yes", "yes"], ["no", "yes"]])
    assert (result.score, result.per_item.tolist()) == (0.5, [1.0, 0.0])


def test_letters_that_nobody_explains_are_told():
    assert accuracy(["(B)", "C", "a dog"], [["a dog"], ["C. rain"], ["a dog"]]).notes == {"letters_without_key": 1}


@given(st.text())
def test_an_answer_is_the_same_as_itself_unless_it_is_empty(text):
    answer = read_answer(text)
    assert answer.is_same(answer) == (answer != Answer("", ""))
    assert read_answer(f"  {text.upper().lower()}") is not None
