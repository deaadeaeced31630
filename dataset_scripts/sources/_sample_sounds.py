"""The sounds of the sample: 16 kHz mono, made with numpy from a fixed seed per clip.

Every maker takes a generator and returns float64 samples; `sound` scales them to a peak of 0.7. Nobody's recording is in here.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
Samples: TypeAlias = NDArray[np.float64]
Maker = Callable[[np.random.Generator], Samples]


def sound(name: str) -> Samples:
    """Returns the samples of a clip, peak 0.7; the same on every call."""
    samples = MAKERS[name](np.random.default_rng(zlib.crc32(name.encode())))
    return np.asarray(0.7 * samples / np.abs(samples).max(), dtype=np.float64)


def flac(samples: Samples) -> bytes:
    """Returns mono samples in [-1, 1] as the bytes of a 16-bit FLAC file."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.round(samples * 32767).astype(np.int16), RATE_HZ, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def _noise(rng: np.random.Generator, seconds: float, low_hz: float, high_hz: float) -> Samples:
    """Noise between two frequencies, shaped in the frequency domain."""
    n = len(_time(seconds))
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum[(frequency < low_hz) | (frequency > high_hz)] = 0
    shaped = np.fft.irfft(spectrum, n)
    return np.asarray(shaped / np.abs(shaped).max(), dtype=np.float64)


def _tone(seconds: float, hertz: float, harmonics: tuple[float, ...] = (1.0,)) -> Samples:
    t = _time(seconds)
    partials = [level * np.sin(2 * np.pi * hertz * (k + 1) * t) for k, level in enumerate(harmonics)]
    return np.asarray(np.sum(partials, axis=0))


def _glide(hertz: Samples) -> Samples:
    """A sine whose frequency follows `hertz`, sample by sample."""
    return np.sin(2 * np.pi * np.cumsum(hertz) / RATE_HZ)


def _strike(seconds: float, hertz: tuple[float, ...], decay_s: float) -> Samples:
    """Partials that ring out together, as struck metal or wood does."""
    t = _time(seconds)
    ringing = [np.sin(2 * np.pi * f * t) * np.exp(-t / (decay_s / (k + 1))) for k, f in enumerate(hertz)]
    return np.asarray(np.sum(ringing, axis=0))


def _place(seconds: float, at_s: list[float], event: Callable[[int], Samples]) -> Samples:
    """Silence with an event at each of the given times; what does not fit is cut."""
    out = np.zeros(len(_time(seconds)))
    for number, start in enumerate(at_s):
        piece, begin = event(number), int(start * RATE_HZ)
        piece = piece[: max(0, len(out) - begin)]
        out[begin : begin + len(piece)] += piece
    return out


def _fade(samples: Samples, seconds: float = 0.01) -> Samples:
    n = min(int(seconds * RATE_HZ), len(samples) // 2)
    ramp = np.linspace(0, 1, n)
    return np.concatenate([samples[:n] * ramp, samples[n : len(samples) - n], samples[len(samples) - n :] * ramp[::-1]])


def _rain_steady(rng: np.random.Generator) -> Samples:
    drops = _place(4, sorted(rng.uniform(0, 4, 160)), lambda _: rng.uniform(0.2, 1) * _strike(0.02, (2600, 4100), 0.004))
    return 0.6 * _noise(rng, 4, 900, 7500) + 0.5 * drops


def _beeps_slow(rng: np.random.Generator) -> Samples:
    return _place(4, [0.2, 1.2, 2.2, 3.2], lambda _: _fade(_tone(0.3, 1000))) + 0.002 * _noise(rng, 4, 50, 7000)


def _sweep_rising(rng: np.random.Generator) -> Samples:
    return _fade(_glide(np.geomspace(150, 5000, 3 * RATE_HZ)), 0.05) + 0.001 * _noise(rng, 3, 50, 7000)


def _drone_low(rng: np.random.Generator) -> Samples:
    return _fade(_tone(5, 70, (1, 0.6, 0.4, 0.25, 0.15)), 0.3) + 0.05 * _noise(rng, 5, 40, 400)


def _knocks_door(rng: np.random.Generator) -> Samples:
    def knock(_: int) -> Samples:
        return _strike(0.25, (140, 230, 410), 0.06) + 0.3 * _noise(rng, 0.25, 100, 2000) * np.exp(-_time(0.25) / 0.01)

    return _place(2.5, [0.4, 0.85, 1.3], knock)


def _siren_two_tone(rng: np.random.Generator) -> Samples:
    pitch = np.where((_time(4) // 0.5) % 2 == 0, 620.0, 830.0)
    return _glide(pitch) + 0.4 * _glide(2 * pitch) + 0.02 * _noise(rng, 4, 100, 3000)


def _engine_idle(rng: np.random.Generator) -> Samples:
    t = _time(4)
    firing = (0.5 + 0.5 * np.sin(2 * np.pi * 24 * t)) ** 4
    return firing * (_tone(4, 48, (1, 0.8, 0.6, 0.4)) + 0.5 * _noise(rng, 4, 60, 900))


def _chirps_bird(rng: np.random.Generator) -> Samples:
    def chirp(_: int) -> Samples:
        length = int(rng.uniform(0.07, 0.13) * RATE_HZ)
        top = rng.uniform(3600, 4600)
        return _fade(_glide(top - 1200 * np.abs(np.linspace(-1, 1, length))))

    return _place(3.5, [0.2, 0.4, 0.6, 1.4, 1.6, 2.5, 2.7, 2.9, 3.1], chirp) + 0.01 * _noise(rng, 3.5, 200, 6000)


def _clock_ticks(rng: np.random.Generator) -> Samples:
    return _place(
        5,
        [0.25 + 0.5 * k for k in range(10)],
        lambda k: _strike(0.06, (2900, 4300) if k % 2 else (2400, 3700), 0.008) * (1 + 0.05 * rng.standard_normal()),
    )


def _heartbeat(rng: np.random.Generator) -> Samples:
    def thump(k: int) -> Samples:
        return (1.0 if k % 2 == 0 else 0.7) * _strike(0.2, (52, 78), 0.06)

    at_s = [start for k in range(5) for start in (0.2 + 0.85 * k, 0.5 + 0.85 * k)]
    return _place(4.5, at_s, thump) + 0.01 * _noise(rng, 4.5, 20, 200)


def _bell_church(rng: np.random.Generator) -> Samples:
    bell = _strike(4, (220, 440, 528, 660, 880, 1320), 2.5)
    return _place(5, [0.1, 2.3], lambda _: bell) + 0.005 * _noise(rng, 5, 100, 4000)


def _wind_gusts(rng: np.random.Generator) -> Samples:
    t = _time(5)
    gust = 0.25 + 0.75 * np.sin(np.pi * t / 2.5) ** 2
    return gust * (_noise(rng, 5, 80, 700) + 0.25 * gust * _noise(rng, 5, 700, 1500))


def _rain_thunder(rng: np.random.Generator) -> Samples:
    t = _time(5)
    rumble = np.where(t > 1.5, np.exp(-(t - 1.5) / 1.2), 0) * _noise(rng, 5, 25, 160)
    return 0.25 * _noise(rng, 5, 1200, 7500) + 1.2 * rumble


def _alarm_fast(rng: np.random.Generator) -> Samples:
    return _place(3, [0.25 * k for k in range(12)], lambda _: _fade(_tone(0.12, 2800, (1, 0.3)))) + 0.002 * _noise(
        rng, 3, 50, 7000
    )


def _sweep_falling(rng: np.random.Generator) -> Samples:
    return _fade(_glide(np.geomspace(3500, 120, int(2.5 * RATE_HZ))), 0.05) + 0.001 * _noise(rng, 2.5, 50, 7000)


def _hum_beating(rng: np.random.Generator) -> Samples:
    return _tone(4, 100, (1, 0.5, 0.3)) + _tone(4, 103, (1, 0.5, 0.3)) + 0.01 * _noise(rng, 4, 50, 3000)


def _knocks_hurried(rng: np.random.Generator) -> Samples:
    at_s = [0.2, 0.36, 0.52, 0.68, 0.84, 1.4, 1.55, 1.7, 1.85, 2.0, 2.15]
    return _place(2.6, at_s, lambda _: rng.uniform(0.7, 1) * _strike(0.15, (260, 540, 910), 0.03))


def _siren_wail(rng: np.random.Generator) -> Samples:
    pitch = 900 + 500 * np.sin(2 * np.pi * _time(5) / 2.5 - np.pi / 2)
    return _glide(pitch) + 0.3 * _glide(2 * pitch) + 0.02 * _noise(rng, 5, 100, 3000)


def _engine_revving(rng: np.random.Generator) -> Samples:
    speed = np.interp(_time(4), [0, 1, 2.6, 4], [35, 40, 130, 150])
    tone = np.sum([_glide(speed * k) / k for k in (1, 2, 3, 4, 6)], axis=0)
    return np.asarray(tone + 0.3 * _noise(rng, 4, 80, 1800) * speed / 150)


def _crickets(rng: np.random.Generator) -> Samples:
    t = _time(4.5)
    pulses = (np.sin(2 * np.pi * 28 * t) > 0) * ((t % 0.75) < 0.45)
    return pulses * _tone(4.5, 4500) * (1 + 0.1 * rng.standard_normal(len(t))) + 0.02 * _noise(rng, 4.5, 100, 1000)


def _typing(rng: np.random.Generator) -> Samples:
    at_s = np.cumsum(rng.choice([0.09, 0.12, 0.16, 0.35], 26)) + 0.1

    def key(_: int) -> Samples:
        return rng.uniform(0.5, 1) * _noise(rng, 0.05, 1500, 6500) * np.exp(-_time(0.05) / 0.007)

    return _place(4, [float(s) for s in at_s if s < 3.9], key)


def _footsteps(rng: np.random.Generator) -> Samples:
    def step(k: int) -> Samples:
        return (0.4 + 0.1 * k) * _noise(rng, 0.12, 100 if k % 2 else 140, 1200) * np.exp(-_time(0.12) / 0.025)

    return _place(4.5, [0.3 + 0.6 * k for k in range(7)], step) + 0.003 * _noise(rng, 4.5, 100, 3000)


def _doorbell(rng: np.random.Generator) -> Samples:
    notes = (659.3, 523.3)
    return _place(3, [0.2, 0.9], lambda k: _strike(2, (notes[k], 2 * notes[k], 3 * notes[k]), 0.8)) + 0.002 * _noise(
        rng, 3, 50, 5000
    )


def _waves(rng: np.random.Generator) -> Samples:
    t = _time(5)
    swell = 0.1 + np.sin(np.pi * ((t % 2.5) / 2.5)) ** 3
    return swell * _noise(rng, 5, 200, 4500) + 0.3 * swell * _noise(rng, 5, 60, 300)


MAKERS: dict[str, Maker] = {
    "rain_steady": _rain_steady,
    "beeps_slow": _beeps_slow,
    "sweep_rising": _sweep_rising,
    "drone_low": _drone_low,
    "knocks_door": _knocks_door,
    "siren_two_tone": _siren_two_tone,
    "engine_idle": _engine_idle,
    "chirps_bird": _chirps_bird,
    "clock_ticks": _clock_ticks,
    "heartbeat": _heartbeat,
    "bell_church": _bell_church,
    "wind_gusts": _wind_gusts,
    "rain_thunder": _rain_thunder,
    "alarm_fast": _alarm_fast,
    "sweep_falling": _sweep_falling,
    "hum_beating": _hum_beating,
    "knocks_hurried": _knocks_hurried,
    "siren_wail": _siren_wail,
    "engine_revving": _engine_revving,
    "crickets": _crickets,
    "typing": _typing,
    "footsteps": _footsteps,
    "doorbell": _doorbell,
    "waves": _waves,
}
