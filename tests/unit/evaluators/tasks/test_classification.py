import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, recall_score
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks.classification import (
    accuracy_from_labels,
    accuracy_from_scores,
    average_precision,
    multiple_choice,
    read_choice,
    zero_shot_scores,
)

NAN = math.nan


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_labels_are_counted_as_scikit_learn_does(rows):
    targets, predicted = (np.array(column) for column in zip(*rows, strict=True))
    found = accuracy_from_labels(targets, predicted, 5)
    assert found.accuracy == accuracy_score(targets, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of predicted classes without items
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, predicted), abs=1e-15)
    present = np.unique(targets)
    wanted = recall_score(targets, predicted, labels=present, average=None, zero_division=0)
    assert found.per_class[present].tolist() == wanted.tolist()
    assert np.isnan(np.delete(found.per_class, present)).all()
    assert found.notes.get("classes_without_items", 0) == 5 - len(present)
    assert found.per_item.mean() == found.accuracy


def test_scores_choose_the_highest_and_ties_are_wrong():
    rng = np.random.default_rng(2)
    scores, targets = rng.standard_normal((60, 4)), rng.integers(0, 4, 60)
    found = accuracy_from_scores(targets, scores)
    assert found.accuracy == accuracy_score(targets, scores.argmax(axis=1))
    assert not found.notes
    tied = accuracy_from_scores([0, 0, 1], [[1, 1], [2, 1], [3, 1]])
    assert tied.per_item.tolist() == [0, 1, 0]
    assert tied.notes == {"tied": 1}
    assert accuracy_from_scores(targets, np.zeros((60, 4))).accuracy == 0
    assert tied.signature.recipe == "classes:2|from:scores|metric:accuracy|model:unknown|ties:wrong|version:1"


def test_items_that_were_not_predicted_are_wrong_and_counted():
    found = accuracy_from_labels([0, 1, 1], [0, -1, 1], 3, model="m@1")
    assert found.accuracy == 2 / 3
    assert found.balanced_accuracy == 0.75
    assert found.to_json() == {
        "accuracy": 2 / 3,
        "balanced_accuracy": 0.75,
        "per_class": [1.0, 0.5, None],
        "n": 3,
        "signature": found.signature.text,
        "digest": found.signature.digest,
        "notes": {"unparsed": 1, "classes_without_items": 1},
    }


@given(st.data())
def test_average_precision_is_scikit_learns(data):
    n = data.draw(st.integers(1, 25))
    column = st.lists(st.booleans(), min_size=n, max_size=n)
    targets = np.array([data.draw(column.filter(any)), data.draw(column)]).T
    values = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e3, 1e3))
    scores = np.array(data.draw(st.lists(st.tuples(values, values), min_size=n, max_size=n)))
    found = average_precision(targets, scores)
    wanted = [average_precision_score(one, line) if one.any() else NAN for one, line in zip(targets.T, scores.T, strict=True)]
    assert found.per_class == pytest.approx(wanted, abs=1e-14, nan_ok=True)
    assert found.map == pytest.approx(np.nanmean(wanted), abs=1e-14)
    assert found.support.tolist() == targets.sum(axis=0).tolist()


def test_what_a_tagging_result_says():
    found = average_precision([[1, 0], [0, 0]], [[0.1, 0.2], [0.3, 0.4]])
    assert found.to_json() == {
        "map": 0.5,
        "per_class": [0.5, None],
        "n": 2,
        "signature": found.signature.text,
        "digest": found.signature.digest,
        "notes": {"classes_without_positives": 1},
    }


def test_zero_shot_is_the_cosine_to_the_mean_prompt():
    rng = np.random.default_rng(4)
    audio, text = rng.standard_normal((7, 5)), rng.standard_normal((6, 5))
    owner = np.array([0, 1, 2, 0, 1, 0])
    unit = text / np.linalg.norm(text, axis=1, keepdims=True)
    means = np.array([unit[owner == label].mean(axis=0) for label in range(3)])
    wanted = audio @ means.T / np.linalg.norm(audio, axis=1)[:, None] / np.linalg.norm(means, axis=1)
    assert zero_shot_scores(audio, text, owner) == pytest.approx(wanted, abs=1e-14)
    assert zero_shot_scores(audio.astype(np.float32), text[:3]).dtype == np.float64


OPTIONS = ["a cat", "a dog", "a dog and a cat", "rain"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a dog", 1),
        ("  A  DOG. ", 1),
        ("“A dog”", 1),
        ("B", 1),
        ("b.", 1),
        ("(B)", 1),
        ("[b] a dog", 1),
        ("B) a dog", 1),
        ("B: the dog", 1),
        ("B. a cat", None),
        ("**D**", 3),
        ("A", 0),
        ("The answer is (D).", 3),
        ("The answer is D because of the drops.", 3),
        ("Answer: d", 3),
        ("I would choose option A here", 0),
        ("The answer is A or the answer is B.", None),
        ("The answer is a dog.", 1),
        ("It must be a dog, I think.", 1),
        ("It is a dog and a cat.", 2),
        ("It is a cat. It is a dog and a cat.", None),
        ("a dog barks", 1),
        ("a car passes", None),
        ("It is raining", None),
        ("e", None),
        ("(e)", None),
        ("", None),
        ("I cannot tell.", None),
    ],
)
def test_choices_are_read_by_the_rule(text, wanted):
    assert read_choice(text, OPTIONS) == wanted


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        ("The chord is C#.", ["C", "C#"], 1),
        ("The chord is C#.", ["C", "D"], None),
        ("it is -1", ["1", "-1"], 1),
        ("about 1.5 s", ["1", "5"], None),
        ("about 5, I guess", ["1", "5"], 1),
        ("B", ["B", "A"], 0),
        ("hot-dog", ["dog", "cat"], None),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER B}", ["dog", "cat"], 1),
        ("Was it (x+y)? yes", ["x+y", "yes"], None),
    ],
)
def test_choices_with_signs(text, options, wanted):
    assert read_choice(text, options) == wanted


def test_choices_are_counted():
    found = multiple_choice(["B", "rain", "who knows", "a"], [OPTIONS] * 4, [1, 0, 2, 0])
    assert found.chosen.tolist() == [1, 3, -1, 0]
    assert found.per_item.tolist() == [1, 0, 0, 1]
    assert found.to_json() == {
        "accuracy": 0.5,
        "n": 4,
        "signature": found.signature.text,
        "digest": found.signature.digest,
        "notes": {"unparsed": 1},
    }
    assert "rule:text,letter,answer_is,mention|unparsed:wrong" in found.signature.recipe


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy_from_labels([0], [0, 1], 2), "1 targets and 2 predictions"),
        (lambda: accuracy_from_labels([], [], 2), r"targets has the shape \(0,\)"),
        (lambda: accuracy_from_labels([2], [0], 2), r"targets\[0\] is 2; expected a class from 0 to 1"),
        (lambda: accuracy_from_labels([-1], [0], 2), r"targets\[0\] is -1"),
        (lambda: accuracy_from_labels([0], [-2], 2), r"predicted\[0\] is -2; expected a class from -1 to 1"),
        (lambda: accuracy_from_labels([0.5], [0], 2), "targets holds float64"),
        (lambda: accuracy_from_scores([0, 1], [[1, 2]]), "2 targets and 1 rows of scores"),
        (lambda: accuracy_from_scores([0], [[1, NAN]]), r"scores\[0, 1\] is nan; expected a number"),
        (lambda: accuracy_from_scores([0], [[1, 2], [3]]), "rows of different lengths"),
        (lambda: accuracy_from_scores([0], [["a"]]), "scores holds <U1"),
        (lambda: average_precision([[0]], [[1]]), "none of the 1 classes has a positive item"),
        (lambda: average_precision([[2]], [[1]]), "a target is neither 0 nor 1"),
        (lambda: average_precision([[1]], [[1, 2]]), r"targets have the shape \(1, 1\) and scores \(1, 2\)"),
        (lambda: average_precision([1], [1]), r"scores has the shape \(1,\)"),
        (lambda: zero_shot_scores([[1, 2]], [[1]]), "audio has 2 dimensions and text 1"),
        (lambda: zero_shot_scores([[0, 0]], [[1, 1]]), "audio: row 0 is zero"),
        (lambda: zero_shot_scores([[1, 0]], [[1, 1], [-1, -1]], [0, 0]), "sum of a class's prompts: row 0 is zero"),
        (lambda: zero_shot_scores([[1, 0]], [[1, 1], [1, 1]], [1, 1]), "class 0 has no prompt"),
        (lambda: zero_shot_scores([[1, 0]], [[1, 1]], [0, 0]), "1 prompts and 2 classes"),
        (lambda: multiple_choice(["a"], [], [0]), "1 texts, 0 lists of options and 1 targets"),
        (lambda: multiple_choice(["a"], [["x", "y"]], [2]), "item 0: target is 2; expected one of its 2 options"),
        (lambda: multiple_choice([None], [["x", "y"]], [0]), "item 0: the generated text is None"),
        (lambda: multiple_choice(["a"], [["x", "X."]], [0]), "expected texts that differ in their words"),
        (lambda: multiple_choice(["a"], ["xy"], [0]), "options are 'xy'; expected a list of texts"),
        (lambda: read_choice("a", ["x"]), "there are 1 options; expected 2 to 26"),
    ],
)
def test_input_that_cannot_be_scored(call, message):
    with pytest.raises(InputError, match=message):
        call()
