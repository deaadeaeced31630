"""Sound cells to samples without torchcodec."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.errors import InputError, SoundError
from unified_audiocaps.dataset_scripts.sound.samples import Sound, decode, read, resampled, to_mono
from unified_audiocaps.dataset_scripts.sound.samples import flac as encoded
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
    with pytest.raises((InputError, SoundError), match=message):
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


def tone(rate_hz: int, seconds: float, channels: int = 1) -> np.ndarray:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.stack([0.5 * np.sin(2 * np.pi * (440 + 110 * c) * t) for c in range(channels)], axis=1)


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "options", "tolerance"),
    [
        ("a.wav", 16000, 1, {"subtype": "PCM_U8"}, 0.01),
        ("a.wav", 44100, 2, {"subtype": "PCM_24"}, 1e-6),
        ("a.wav", 48000, 1, {"subtype": "FLOAT"}, 1e-7),
        ("a.wav", 192000, 1, {"subtype": "PCM_16"}, 1e-4),
        ("a.wav", 48000, 6, {"subtype": "PCM_16", "format": "WAVEX"}, 1e-4),
        ("a.flac", 32000, 1, {}, 1e-4),
        ("a.ogg", 32000, 1, {}, 0.03),
        ("a.mp3", 32000, 1, {}, 0.03),
        ("an_mp3.wav", 32000, 1, {"format": "MP3"}, 0.03),
    ],
)
def test_every_kind_of_file_is_read_by_its_content(
    name: str, rate_hz: int, channels: int, options: dict[str, str], tolerance: float, tmp_path: Path
) -> None:
    samples = tone(rate_hz, 1.0, channels)
    soundfile.write(tmp_path / name, samples, rate_hz, **options)
    for found in (read(tmp_path / name), read((tmp_path / name).read_bytes())):
        assert (found.rate_hz, found.samples.shape[0]) == (rate_hz, channels)
        inside = slice(2000, rate_hz - 2000)  # lossy formats are off at the edges
        assert np.abs(found.samples[:, : len(samples)].T[inside] - samples[inside]).max() < tolerance


def test_a_stretch_of_a_longer_file(tmp_path: Path) -> None:
    samples = tone(8000, 3.0)
    soundfile.write(tmp_path / "long.flac", samples, 8000)
    found = read(tmp_path / "long.flac", start_s=1.0, end_s=1.5)
    assert found.duration_s == 0.5
    np.testing.assert_allclose(found.samples[0], samples[8000:12000, 0], atol=1e-4)
    assert read(tmp_path / "long.flac", start_s=2.5, end_s=9.0).duration_s == 0.5


def test_what_cannot_be_used_is_told_in_one_word(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", tone(8000, 2.0), 8000, subtype="PCM_16")
    whole = (tmp_path / "good.wav").read_bytes()
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "good.flac", tone(8000, 2.0), 8000)
    flac_file = (tmp_path / "good.flac").read_bytes()
    cases = {
        "missing": tmp_path / "nowhere.wav",
        "empty": b"",
        "unreadable": b"<html>not found</html>",
        "not_finite": tmp_path / "nan.wav",
        "damaged": flac_file[: len(flac_file) // 2],
    }
    for reason, source in cases.items():
        with pytest.raises(SoundError) as caught:
            read(source)
        assert caught.value.reason in {reason, "unreadable"}, source
    with pytest.raises(SoundError, match="holds no samples"):
        read(tmp_path / "none.wav")
    with pytest.raises(SoundError, match="no samples behind 5 s"):
        read(tmp_path / "good.wav", start_s=5)
    assert read(whole).duration_s == 2.0


def test_resampling_and_encoding_keep_the_sound() -> None:
    sound_ = Sound(tone(32000, 1.0, 2).T.astype(np.float32), 32000)
    assert to_mono(sound_).samples.shape == (1, 32000)
    lower = resampled(sound_, 16000)
    assert lower.samples.shape == (2, 16000)
    inside = slice(500, -500)
    np.testing.assert_allclose(lower.samples[0, inside], tone(16000, 1.0)[inside, 0], atol=1e-3)
    again = read(encoded(lower))
    np.testing.assert_allclose(again.samples, lower.samples, atol=1 / 32768)
    assert encoded(lower) == encoded(lower)
    with pytest.raises(SoundError, match="9 channels at 8000 Hz"):
        encoded(Sound(np.zeros((9, 100), np.float32), 8000))
