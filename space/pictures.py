"""Pictures of sound: waveforms as SVG paths, log-mel spectrograms as PNG, both by numpy alone.

- Log-mel: 64 triangular bands, equally wide on the mel scale (2595 log10(1 + f / 700)) from 0 Hz to half the sampling rate;
  Hann windows of 25 ms every 10 ms; power in dB below the loudest value, cut at -80 dB.
- Colours run from dark to light in equal steps of lightness (OKLab), so that lighter always means louder, in grey too.
- Nothing here knows a web framework: a picture is a string or bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..dataset_scripts.sound.samples import Sound, to_mono

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

N_MELS = 64
WINDOW_S, HOP_S = 0.025, 0.010
RANGE_DB = 80.0
_COLUMNS = 1000  # of a picture: ten seconds at one column per hop, and more than a screen needs
_FRAMES_AT_ONCE = 2000
_SILENT_DB = -200.0  # what stands for the logarithm of nothing


@dataclass(frozen=True)
class LogMel:
    """A log-mel spectrogram.

    Attributes:
        power_db: float64[64, n_frames], low bands first, not yet relative to anything.
        top_hz: where the highest band ends.
        duration_s: how long the sound lasts.
    """

    power_db: Floats
    top_hz: float
    duration_s: float

    @property
    def loudest_db(self) -> float:
        """The largest value."""
        return float(self.power_db.max())


def log_mel(sound: Sound) -> LogMel:
    """Returns the log-mel spectrogram of the mean of all channels; the module's docstring has the numbers."""
    samples = to_mono(sound).samples[0].astype(np.float64)
    window = max(2, round(WINDOW_S * sound.rate_hz))
    hop = max(1, round(HOP_S * sound.rate_hz))
    # twice as fine as the window needs, so that the lowest bands, which are narrow, hold several bins each
    n_fft = 2 << (window - 1).bit_length()
    n_frames = 1 + len(samples) // hop
    padded = np.pad(samples, (window // 2, window + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:n_frames]
    shape = np.hanning(window + 1)[:-1]
    bands = mel_bands(n_fft, sound.rate_hz)
    power = np.empty((N_MELS, n_frames))
    for begin in range(0, n_frames, _FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[begin : begin + _FRAMES_AT_ONCE] * shape, n_fft)
        power[:, begin : begin + len(spectrum)] = bands @ (spectrum.real**2 + spectrum.imag**2).T
    power /= shape.sum() ** 2
    return LogMel(10 * np.log10(np.maximum(power, 10 ** (_SILENT_DB / 10))), sound.rate_hz / 2, sound.duration_s)


@lru_cache(maxsize=8)
def mel_bands(n_fft: int, rate_hz: int) -> Floats:
    """Returns float64[64, n_fft // 2 + 1]: how much each frequency counts in each band; a band's peak is 1."""
    edges = mel_to_hz(np.linspace(0.0, hz_to_mel(rate_hz / 2), N_MELS + 2))
    bins = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    found: Floats = np.maximum(0.0, np.minimum(up, down))
    return found


def hz_to_mel(hz: float) -> float:
    """Returns the place of a frequency on the mel scale.

    >>> round(hz_to_mel(1000.0))
    1000
    """
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def mel_to_hz(mel: Floats) -> Floats:
    """Returns the frequencies at places on the mel scale."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def spectrogram_png(found: LogMel, loudest_db: float | None = None) -> bytes:
    """Returns a PNG, low bands at the bottom and at most 1000 pixels wide.

    Args:
        found: what to draw.
        loudest_db: what the lightest colour stands for, to draw several pictures on one scale; None for the loudest value.
    """
    power = found.power_db
    if power.shape[1] > _COLUMNS:
        begins = np.linspace(0, power.shape[1], _COLUMNS, endpoint=False).astype(np.int64)
        power = np.maximum.reduceat(power, begins, axis=1)  # the loudest of the frames that share a column: clicks stay
    top = found.loudest_db if loudest_db is None else loudest_db
    shade = np.clip((power - top + RANGE_DB) / RANGE_DB, 0.0, 1.0)
    if found.loudest_db <= _SILENT_DB:
        shade[:] = 0.0  # digital silence is dark, not loudest
    return png(np.rint(shade[::-1] * 255).astype(np.uint8), palette())


def waveform_path(sound: Sound, peak: float | None = None) -> str:
    """Returns the `d` of an SVG path in the box `0 -1 N 2`, N the number of columns: the extremes of all channels per column.

    Args:
        sound: what to draw.
        peak: the amplitude that reaches the border, to draw several pictures on one scale; None for the sound's own.
    """
    low, high = sound.samples.min(axis=0), sound.samples.max(axis=0)
    n = waveform_columns(sound)
    begins = np.linspace(0, len(low), n, endpoint=False).astype(np.int64)
    scale = peak_of(sound) if peak is None else peak
    # a line of a hundredth of the height where there is silence, so that silence can be seen
    lower = np.minimum(np.minimum.reduceat(low, begins) / (scale or 1.0), -0.01)
    upper = np.maximum(np.maximum.reduceat(high, begins) / (scale or 1.0), 0.01)
    there = [f"{x} {-y:.2f}" for x, y in enumerate(upper)]
    back = [f"{x} {-y:.2f}" for x, y in reversed(list(enumerate(lower)))]
    return f"M{'L'.join([*there, *back])}Z"


def waveform_columns(sound: Sound) -> int:
    """Returns how many columns `waveform_path` has."""
    return min(_COLUMNS, int(sound.samples.shape[1]))


def peak_of(sound: Sound) -> float:
    """Returns the largest absolute sample."""
    return float(np.abs(sound.samples).max())


@lru_cache(maxsize=1)
def palette() -> Bytes:
    """Returns uint8[256, 3], sRGB from near black through violet, red and orange to light yellow."""
    place = np.linspace(0.0, 1.0, 256)
    lightness = 0.10 + 0.87 * place
    hue = np.radians(np.interp(place, [0.0, 0.3, 0.55, 0.8, 1.0], [275.0, 310.0, 375.0, 425.0, 465.0]))
    chroma = np.interp(place, [0.0, 0.25, 0.6, 0.85, 1.0], [0.03, 0.16, 0.19, 0.16, 0.09])
    found = _srgb(lightness, chroma, hue)
    for _ in range(60):  # what no screen can show loses colour, not lightness
        outside = ((found < 0.0) | (found > 1.0)).any(axis=1)
        if not outside.any():
            break
        chroma = np.where(outside, chroma * 0.95, chroma)
        found = _srgb(lightness, chroma, hue)
    return np.rint(np.clip(found, 0.0, 1.0) * 255).astype(np.uint8)


def _srgb(lightness: Floats, chroma: Floats, hue: Floats) -> Floats:
    """Returns float64[n, 3], gamma-encoded sRGB of OKLCh colours; values outside [0, 1] are colours that it lacks."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    # Source: B. Ottosson, "A perceptual color space for image processing" (2020), the two matrices of OKLab to linear sRGB
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = (to_rgb @ cones**3).T
    curved = 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curved)


def png(indices: Bytes, colours: Bytes) -> bytes:
    """Returns a PNG of indexed colours.

    Args:
        indices: uint8[height, width], top row first.
        colours: uint8[n, 3], at most 256.
    """
    height, width = indices.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), indices], axis=1)  # each row begins with its filter: none
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
