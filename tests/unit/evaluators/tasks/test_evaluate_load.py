import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.tasks import classification
from unified_audiocaps.evaluators.tasks.evaluate_load import (
    classify,
    distance,
    evened,
    read_indices,
    read_labels,
    read_rows,
    retrieve,
)

SCORES = [[0.9, 0.1, 0.3], [0.2, 0.8, 0.1]]


def test_retrieval_of_perfect_scores():
    found = retrieve(np.eye(3)[[0, 0, 1, 2]], [0, 0, 1, 2])
    for task in ("text_to_audio", "audio_to_text"):
        assert found[f"{task}_r_1"] == found[f"{task}_map_10"] == found[f"{task}_median_rank"] == 1


def test_retrieval_where_a_clip_has_no_caption():
    with pytest.raises(InputError, match="1 of 3 clips have no caption"):
        retrieve(SCORES, [0, 1])


def test_one_label_each_in_any_form_gives_accuracy():
    found = classify(SCORES, [0, 1])
    assert found["accuracy"] == 1
    for references in ([[0], [1]], [(0,), 1], np.array([0, 1]), np.array([[0], [1]]), [[0, 0], [1]]):
        assert classify(SCORES, references) == found


def test_several_labels_give_no_accuracy():
    found = classify(SCORES, [[0, 2], []])
    assert found == {
        "map": classification.average_precision([[1, 0, 1], [0, 0, 0]], SCORES).map,
        "map_signature": classification.average_precision([[1, 0, 1], [0, 0, 0]], SCORES).signature.text,
    }


@pytest.mark.parametrize("wrong", [3, -1, 0.5, True, "dog"])
def test_what_is_no_class(wrong):
    with pytest.raises(InputError, match="references hold what is no class") as raised:
        classify(SCORES, [0, [wrong]])
    assert f"references[1] holds {wrong!r}; expected a class from 0 to 2" in str(raised.value)


def test_classification_of_another_length():
    with pytest.raises(InputError, match="2 predictions and 3 references"):
        classify(SCORES, [0, 1, 2])


def test_distance_takes_no_option_of_another_kind():
    rows = [[0.5, 0.5], [0.1, 0.9]]
    with pytest.raises(UnknownNameError, match=r"no kind of distance is called 'fat'\. Did you mean fad"):
        distance(rows, rows, kind="fat")
    with pytest.raises(UnknownNameError, match=r"no parameter of kl is called 'splits'\. Known: epsilon"):
        distance(rows, rows, kind="kl", splits=2)


def test_the_direction_of_kl_is_real_to_generated():
    found = distance([[0.5, 0.5]], [[1, 0]], kind="kl", epsilon=0)
    assert found["kl"] == pytest.approx(np.log(2))
    assert distance([[1, 0]], [[0.5, 0.5]], kind="kl", epsilon=0)["kl"] == np.inf


def test_kl_of_sets_of_different_sizes_is_refused():
    made, real = evened([[0.5, 0.5], [1, 0]], [[1, 0]])
    with pytest.raises(InputError, match=r"shape \(1, 2\) and generated \(2, 2\)"):
        distance(made, real, kind="kl")


def test_a_distance_without_references_says_what_is_missing():
    with pytest.raises(InputError, match="reference has the shape"):
        distance([[1.0], [2.0]], kind="fad")


def test_rows_that_are_none_are_not_dropped_silently():
    with pytest.raises(InputError, match="a row is None"):
        evened([[1.0], None], [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (read_rows, "1 2.5\n-3e2,4\n", [[1, 2.5], [-300, 4]]),
        (read_rows, "", []),
        (read_labels, "0, 2\n\n1", [[0, 2], [], [1]]),
        (read_indices, "0\n2", [0, 2]),
    ],
)
def test_numbers_of_a_page(read, text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_rows, "1\n2 b", "line 2 holds 'b'; expected a number"),
        (read_labels, "0.5", "line 1 holds '0.5'; expected a whole number"),
        (read_indices, "0\n\n1", "line 2 holds 0 numbers; expected one"),
        (read_indices, "0 1", "line 1 holds 2 numbers; expected one"),
    ],
)
def test_what_is_no_number_on_a_page(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)
