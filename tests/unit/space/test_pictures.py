import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.sound.samples import Sound
from unified_audiocaps.space import pictures

from .conftest import tone


def decoded(png: bytes) -> np.ndarray:
    """uint8[height, width, 3], read by another program's decoder."""
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png))
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("hz", [200.0, 1000.0, 3500.0])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(hz, rate_hz):
    found = pictures.log_mel(tone(hz, 1.0, rate_hz))
    assert found.power_db.shape == (64, 101)
    band = int(found.power_db[:, 50].argmax())
    edges = pictures.mel_to_hz(np.linspace(0, pictures.hz_to_mel(rate_hz / 2), 66))
    assert edges[band] < hz < edges[band + 2]


def test_a_spectrogram_agrees_with_an_independent_one():
    scipy = pytest.importorskip("scipy.signal")
    sound = tone(440.0, 0.5)
    window = scipy.get_window("hann", 400)
    framed = np.pad(sound.samples[0].astype(float), (200, 400))[160 * 20 : 160 * 20 + 400]
    power = np.abs(np.fft.rfft(framed * window, 1024)) ** 2 / window.sum() ** 2
    expected = 10 * np.log10(pictures.mel_bands(1024, 16000) @ power)
    np.testing.assert_allclose(pictures.log_mel(sound).power_db[:, 20], expected, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000, 192000])
def test_no_band_is_empty(rate_hz):
    window = round(0.025 * rate_hz)
    assert (pictures.mel_bands(2 << (window - 1).bit_length(), rate_hz).sum(axis=1) > 0).all()


def test_colours_get_lighter_step_by_step():
    colours = pictures.palette().astype(float) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -0.002).all()
    assert luminance[0] < 0.01
    assert luminance[-1] > 0.85


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_png_reads_back_as_it_was_drawn(height, width, seed):
    indices = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(pictures.png(indices, pictures.palette())), pictures.palette()[indices])


def test_long_sounds_make_no_wider_pictures():
    assert decoded(pictures.spectrogram_png(pictures.log_mel(tone(440, 30.0)))).shape == (64, 1000, 3)
    assert pictures.waveform_columns(tone(440, 30.0)) == 1000


def test_silence_is_dark():
    silence = Sound(np.zeros((1, 16000), np.float32), 16000)
    image = decoded(pictures.spectrogram_png(pictures.log_mel(silence)))
    assert (image == pictures.palette()[0]).all()
    assert pictures.waveform_path(silence).startswith("M0 -0.01L")


@pytest.mark.parametrize("n", [1, 2, 3, 999, 1000, 1001])
def test_sounds_of_any_length_are_drawn(n):
    sound = Sound(np.full((2, n), 0.5, np.float32), 8000)
    assert pictures.waveform_path(sound).count("L") == 2 * min(n, 1000) - 1
    assert zlib.crc32(pictures.spectrogram_png(pictures.log_mel(sound)))


def test_two_pictures_can_share_a_scale():
    loud, soft = pictures.log_mel(tone(440, 1.0)), pictures.log_mel(tone(440, 1.0, amplitude=0.004))
    own = decoded(pictures.spectrogram_png(soft))
    shared = decoded(pictures.spectrogram_png(soft, loud.loudest_db))
    assert own.astype(int).sum() > shared.astype(int).sum()
    assert " -0.01L" in pictures.waveform_path(tone(440, 1.0, amplitude=0.004), 0.4)
