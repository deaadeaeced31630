"""Sound cells to samples without torchcodec."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.audio import decode
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.sources._sample_sounds import MAKERS, RATE_HZ, flac, sound
from unified_audiocaps.dataset_scripts.sources._sample_texts import TEST, TRAIN


def test_bytes_and_paths(tmp_path: Path) -> None:
    samples = np.stack([np.linspace(-0.5, 0.5, 800), np.zeros(800)], axis=1)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    for cell in ({"bytes": (tmp_path / "a.wav").read_bytes(), "path": None}, {"bytes": None, "path": str(tmp_path / "a.wav")}):
        found, rate_hz = decode(cell)
        assert rate_hz == 8000
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, samples.T, atol=1e-7)


def test_decoded_cells() -> None:
    found, rate_hz = decode({"array": [0.0, 0.5], "sampling_rate": 16000})
    assert found.tolist() == [[0.0, 0.5]]
    assert rate_hz == 16000


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "holds no sound"),
        ({"bytes": None, "path": None}, "holds no sound"),
        ({"bytes": b"not sound", "path": "x.flac"}, "'x.flac' cannot be decoded"),
        ({"bytes": None, "path": "/nowhere/x.flac"}, "cannot be decoded"),
    ],
)
def test_no_sound(cell: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(cell)


def test_every_sample_sound_is_its_own() -> None:
    assert sorted(MAKERS) == sorted([*TRAIN, *TEST])
    assert len({flac(sound(name)) for name in MAKERS}) == 24
    for name in MAKERS:
        samples = sound(name)
        assert 2 <= len(samples) / RATE_HZ <= 5
        assert np.isclose(np.abs(samples).max(), 0.7)
        assert np.sqrt(np.mean(samples**2)) > 0.003
        assert flac(samples) == flac(sound(name))


def test_sample_texts_are_rich_enough_to_tell_systems_apart() -> None:
    for texts in (*TRAIN.values(), *TEST.values()):
        assert len(set(texts.captions)) == 5
        assert all(6 <= len(caption.split()) <= 16 for caption in texts.captions)
        assert 2 <= len(texts.questions) <= 3
        assert texts.tags
    captions = [caption for texts in (*TRAIN.values(), *TEST.values()) for caption in texts.captions]
    assert len(set(captions)) == len(captions)
