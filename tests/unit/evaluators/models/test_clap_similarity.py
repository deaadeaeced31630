import numpy as np
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError
from unified_audiocaps.evaluators.models.clap import load_clap
from unified_audiocaps.evaluators.models.sounds import mono_samples
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

CANDIDATES = ["a dog barks", "rain", "two people talk", "a bell", ""]
REFERENCES = [["a dog barks loudly", "dog"], ["rain falls"], ["people talk", "speech", "a crowd"], ["a bell rings"], ["silence"]]


@pytest.fixture(scope="module", params=[False, True], ids=["unfused", "fused"])
def model(request, tmp_path_factory, tiny_clap):
    return str(tiny_clap(tmp_path_factory.mktemp("clap"), is_fused=request.param))


@pytest.fixture
def sounds(tmp_path):
    from ....tiny_clap import write_sounds

    return write_sounds(tmp_path, CaptionPairs.in_order(CANDIDATES, REFERENCES))


def scored(metric, model, sounds=None, candidates=CANDIDATES, references=REFERENCES):
    options = Options(clap=model, sounds=sounds, device="cpu")
    return score(CaptionPairs.in_order(candidates, references), [metric], options)[0]


def test_sounds_and_captions_meet_as_in_the_file_of_similarities(model, sounds):
    clap = load_clap(model, "cpu")
    heard = [clap.ear.features(mono_samples(path, clap.ear.rate_hz)) for path in sounds.values()]
    expected = clap.similarities(heard, CANDIDATES)
    np.testing.assert_allclose(scored("clap_sim_audio", model, sounds).per_item, expected, atol=1e-5)


def test_references_play_no_part_beside_a_sound(model, sounds):
    one = scored("clap_sim_audio", model, sounds)
    other = scored("clap_sim_audio", model, sounds, references=[["wind"]] * 5)
    np.testing.assert_allclose(other.per_item, one.per_item, atol=1e-6)
    assert other.signature.digest == one.signature.digest


def test_all_bad_sounds_are_told_at_once(model, sounds):
    sounds["1"].write_bytes(b"no sound at all")
    sounds["3"].unlink()
    with pytest.raises(InputError, match="2 of 5 sounds cannot be used") as caught:
        scored("clap_sim_audio", model, sounds)
    assert [problem.id for problem in caught.value.problems] == ["1", "3"]
    assert str(sounds["1"]) in str(caught.value)


def test_items_without_a_sound(model, sounds):
    del sounds["2"]
    with pytest.raises(InputError, match="1 of 5 items have no sound") as caught:
        scored("clap_sim_audio", model, sounds)
    assert [problem.id for problem in caught.value.problems] == ["2"]


def test_what_must_be_given(model):
    with pytest.raises(MissingRequirementError, match="--sounds"):
        scored("clap_sim_audio", model)
    with pytest.raises(MissingRequirementError, match="--clap"):
        scored("clap_sim", "")


def test_signatures_warn_of_the_other_family(model, sounds):
    text, sound = scored("clap_sim", model).signature.values, scored("clap_sim_audio", model, sounds).signature.values
    assert text["family"] == sound["family"] == "laion"
    assert text["model"] == sound["model"]
    assert {"refs": "unused", "channels": "mean", "resampler": "soxr_hq", "window_s": "2"}.items() <= sound.items()
    assert "window_s" not in text


def test_long_texts_are_cut_and_counted(model):
    result = scored("clap_sim", model, candidates=["x" * 200, "rain"], references=[["x" * 100], ["rain", "y" * 90]])
    assert result.notes["truncated_texts"] == 3
    assert result.per_item[0] == pytest.approx(1.0, abs=1e-6)


def test_samples_are_the_mean_of_the_channels_at_the_models_rate(tmp_path):
    t = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "a.wav", np.stack((tone, 0 * tone), axis=1), 16000)
    found = mono_samples(tmp_path / "a.wav", 8000)
    assert found.shape == (8000,)
    np.testing.assert_allclose(found[1000:7000], (0.5 * tone)[::2][1000:7000], atol=1e-3)
