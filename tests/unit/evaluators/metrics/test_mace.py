import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

from ....tiny_clap import write_sounds

CANDIDATES = ["rain rain rain and thunder", "a dog barks", "dog", "", "a clock ticks and a bell rings and a"]
PAIRS = CaptionPairs.in_order(CANDIDATES, [["rain falls", "thunder"], ["a dog barks"], ["dog"], ["silence"], ["a clock ticks"]])


@pytest.fixture(scope="module")
def options(tmp_path_factory, tiny_clap, tiny_checker):
    folder = tmp_path_factory.mktemp("mace")
    return {
        "clap": str(tiny_clap(folder / "clap")),
        "checker": str(tiny_checker(folder)),
        "device": "cpu",
    }


@pytest.fixture
def sounds(tmp_path):
    return write_sounds(tmp_path, PAIRS)


def scored(metrics, options, **more):
    results = score(PAIRS, metrics, Options(**options, **more))
    return results[0] if len(results) == 1 else results


def test_without_sounds_it_is_the_text_similarity_lowered(options):
    mace, text, fer = scored(["mace", "clap_sim", "fer"], options)
    errors = fer.item_components["fer_probability"] > 0.97
    assert 0 < errors.sum() < len(errors)
    np.testing.assert_allclose(mace.per_item, text.per_item * np.where(errors, 0.7, 1.0), atol=1e-12)
    assert mace.score == pytest.approx(mace.per_item.mean())
    assert mace.components == {"similarity": pytest.approx(text.score), "fer": errors.mean()}
    assert mace.notes["penalised_candidates"] == errors.sum()


def test_with_sounds_it_is_the_mean_of_both_similarities(options, sounds):
    mace, text, sound = scored(["mace", "clap_sim", "clap_sim_audio"], options, sounds=sounds)
    np.testing.assert_allclose(mace.item_components["mace_similarity"], (text.per_item + sound.per_item) / 2, atol=1e-12)


def test_the_signature_says_which_of_the_two(options, sounds):
    text, both = scored(["mace"], options).signature.values, scored(["mace"], options, sounds=sounds).signature.values
    expected = {"method": "text", "threshold": "0.97", "penalty": "0.3", "family": "laion"}
    assert expected.items() <= text.items()
    assert {**expected, "method": "combined", "resampler": "soxr_hq"}.items() <= both.items()


def test_it_needs_a_checker(options):
    with pytest.raises(MissingRequirementError, match="--checker"):
        scored(["mace"], {**options, "checker": ""})
