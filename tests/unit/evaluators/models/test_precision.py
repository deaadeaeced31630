"""Number types and devices of sentence encoders: what is one recipe, and what is another."""

import numpy as np
import pytest
import torch
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError, UnknownNameError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

CAPTIONS = [
    "a dog barks twice",
    "rain falls on a roof",
    "a bell rings",
    "two people talk",
    "an engine idles",
    "",
    "music plays softly",
]
TEXTS = [[f"{text} in the distance", f"someone hears how {text}"] for text in CAPTIONS]
PAIRS = CaptionPairs.in_order(CAPTIONS, TEXTS)
METRICS = ["sbert_sim", "date"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_shorter_number_type_is_another_recipe_and_close(precision):
    full = score(PAIRS, METRICS, Options(device="cpu"))
    short = score(PAIRS, METRICS, Options(device="cpu", precision=precision))
    for one, other in zip(full, short, strict=True):
        assert "dtype:fp32|" in one.signature.text
        assert f"dtype:{precision}|" in other.signature.text
        assert one.signature.digest != other.signature.digest
        assert not np.array_equal(one.per_item, other.per_item)
        assert other.score == pytest.approx(one.score, abs=0.01)
    np.testing.assert_allclose(short[0].per_item, full[0].per_item, atol=0.02)


def test_an_unknown_number_type_is_told():
    with pytest.raises(UnknownNameError, match="no precision is called 'int8'"):
        score(PAIRS, ["sbert_sim"], Options(device="cpu", precision="int8"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there():
    with pytest.raises(MissingRequirementError, match="The device cuda was asked for"):
        score(PAIRS, ["sbert_sim"], Options(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_numbers_of_the_processor():
    there, here = (score(PAIRS, METRICS, Options(device=device)) for device in ("cuda", "cpu"))
    for ours, theirs in zip(there, here, strict=True):
        assert ours.signature == theirs.signature
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
    np.testing.assert_allclose(there[0].per_item, here[0].per_item, atol=1e-5)
    similarities = [one[1].item_components["date_similarity"] for one in (there, here)]
    np.testing.assert_allclose(*similarities, atol=1e-5)
