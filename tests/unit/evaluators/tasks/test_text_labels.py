"""Labels from text, by the encoder that comes with the package."""

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.models.encoders import load_encoder
from unified_audiocaps.evaluators.tasks.text_labels import text_labels

CLASSES = ["dog bark", "rain", "church bell"]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("minilm", "cpu")


def test_the_closest_class_is_the_answer(encoder):
    texts = [
        "A dog is barking at somebody.",
        "Water drops fall on a roof, it rains.",
        "Bells ring in a tower.",
        "A dog is barking.",
    ]
    found = text_labels(texts, CLASSES, encoder, model="tiny 1")
    assert found.closest.tolist() == [0, 1, 2, 0]
    result = found.accuracy([0, 1, 2, 1])
    assert (result.accuracy, result.per_item.tolist()) == (0.75, [1, 1, 1, 0])
    values = result.signature.values
    assert (values["from"], values["rule"], values["template"], values["model"]) == (
        "text",
        "cosine",
        "the sound of {}",
        "tiny 1",
    )
    assert values["encoder"] == encoder.identity
    assert found.average_precision(np.eye(3, dtype=bool)[[0, 1, 2, 0]]).map == 1.0


def test_scores_are_cosines_of_text_and_prompt(encoder):
    found = text_labels(["rain"], CLASSES, encoder, template="{}").scores
    by_hand = encoder.model.encode(["rain", *CLASSES], normalize_embeddings=True).astype(np.float64)
    np.testing.assert_allclose(found[0], by_hand[1:] @ by_hand[0], atol=1e-5)
    assert found[0, 1] == pytest.approx(1.0, abs=1e-5)


def test_prompt_names_and_order_are_in_the_signature(encoder):
    def digest(classes, **choices):
        return text_labels(["rain", "dog"], classes, encoder, **choices).accuracy([0, 0]).signature.digest

    assert len({digest(CLASSES), digest(CLASSES[::-1]), digest(CLASSES, template="{}"), digest(CLASSES, model="m")}) == 4


def test_a_text_without_words_is_wrong_and_counted(encoder):
    result = text_labels([" ", "rain"], CLASSES, encoder).accuracy([1, 1])
    assert (result.per_item.tolist(), result.notes["empty_texts"]) == ([0, 1], 1)


@pytest.mark.parametrize(
    ("texts", "classes", "template", "message"),
    [
        ([], CLASSES, "{}", "no text"),
        (["a"], ["rain"], "{}", "two or more names"),
        (["a"], ["rain", "rain"], "{}", "'rain' came before"),
        (["a"], ["rain", " "], "{}", "none empty"),
        (["a"], CLASSES, "sound", "expected one {}"),
        ([None], CLASSES, "{}", "expected text"),
    ],
)
def test_what_cannot_be_labelled_is_refused(texts, classes, template, message, encoder):
    with pytest.raises(InputError, match=message):
        text_labels(texts, classes, encoder, template=template)
