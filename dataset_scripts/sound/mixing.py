"""Sounds put into sounds: active power, true peak, fades, and the three files a, ab, ac of a triple.

- Signals are mono, float64[n], full scale 1.0; times are samples unless a name says otherwise; powers are mean squares, so that
  a power of 1.0 is 0 dBFS.
- A frame is 20 ms; it is active where its power is -60 dBFS or more. A power is a mean over active frames only: pauses and
  digital silence make nothing quieter. Frames of the base count from the clip's beginning, those of an event from its own.
- The signal-to-noise ratio of an event is 10 log10(P_event / P_base) in dB: P_event over the event's own span, P_base over the
  whole clip, both measured in the finished 16-bit files.
- Source: events are added, taken away and replaced as in AuditEval (arXiv:2508.11966); levels, gates and gains are ours.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SoundError
from .samples import FULL_SCALE, Sound, resampled, to_mono

Signal: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.int16]

FRAME_S = 0.02
FLOOR_DBFS = -60.0
PEAK_DBTP = -1.0
FADE_S = 0.01
SNR_TOLERANCE_DB = 0.5

_FLOOR = 10 ** (FLOOR_DBFS / 10)
_MARGIN_DB = 0.1  # meters that oversample four times with other filters differ by less, but for noise up to half the rate
# Rounding a and b to 16 bits moves a sample by one unit at most, and a sample between samples by the filter's gain times that.
_LIMIT = 10 ** ((PEAK_DBTP - _MARGIN_DB) / 20) - 4 / FULL_SCALE
_ROUNDS = 20  # nearly always two are enough
_TAPS = 24
_BLOCK = 4096  # samples whose windows fit into a processor's cache


def signal(sound: Sound, rate_hz: int) -> Signal:
    """Returns a sound as one channel at another rate: float64[n]."""
    found: Signal = resampled(to_mono(sound), rate_hz).samples[0].astype(np.float64)
    return found


@dataclass(frozen=True)
class Levels:
    """How loud the frames of a signal are.

    Attributes:
        powers: float64[n_frames], mean square per frame.
        lengths: int64[n_frames], samples per frame; only the last may be shorter.
    """

    powers: Signal
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, samples: Signal | Words, rate_hz: int) -> Levels:
        """Returns the levels of a signal; 16-bit samples count in units of full scale."""
        values = samples / FULL_SCALE if samples.dtype == np.int16 else samples
        size = max(1, round(FRAME_S * rate_hz))
        whole = len(values) // size * size
        framed = values[:whole].reshape(-1, size)
        powers, lengths = np.einsum("ij,ij->i", framed, framed) / size, np.full(whole // size, size)
        if rest := len(values) - whole:
            tail = values[whole:]
            powers, lengths = np.append(powers, tail @ tail / rest), np.append(lengths, rest)
        return cls(powers, lengths)

    def active(self, gain: float = 1.0) -> NDArray[np.bool_]:
        """Returns which frames reach -60 dBFS when the signal is multiplied by `gain`: bool[n_frames]."""
        return self.powers * gain**2 >= _FLOOR

    def power(self, gain: float = 1.0) -> float:
        """Returns the mean power of the active frames of `gain` times the signal; 0.0 where no frame is active."""
        active = self.active(gain)
        n = int(self.lengths[active].sum())
        return float((self.powers[active] * self.lengths[active]).sum()) * gain**2 / n if n else 0.0

    def span(self, gain: float = 1.0) -> tuple[int, int]:
        """Returns where the first active frame begins and the last one ends, in samples; (0, 0) where none is active."""
        found = np.flatnonzero(self.active(gain))
        if not len(found):
            return 0, 0
        ends = np.cumsum(self.lengths)
        return int(ends[found[0]] - self.lengths[found[0]]), int(ends[found[-1]])


def snr_db(event: Signal | Words, base: Signal | Words, rate_hz: int) -> float:
    """Returns the level of an event against its base in dB, 10 log10(P_event / P_base) over active frames; NaN for silence.

    Args:
        event: the event alone, over its own span: no sample more at either end.
        base: the whole base clip.
        rate_hz: of both.
    """
    above, below = Levels.of(event, rate_hz).power(), Levels.of(base, rate_hz).power()
    return 10 * math.log10(above / below) if above and below else math.nan


def true_peak(samples: Signal, above: float = 0.0) -> float:
    """Returns the largest absolute value of a signal that is oversampled four times, full scale 1.0; 0.0 for no samples.

    Source: ITU-R BS.1770-5, Annex 2; the interpolator is a windowed sinc of ours with 24 taps per phase.

    Args:
        samples: the signal.
        above: a peak that is not above this need not be found: any value up to `above` may come back in its place. Most of a
            signal is too quiet to reach a high one, and is passed over.
    """
    if not len(samples):
        return 0.0
    size = np.abs(samples)
    best = float(size.max())
    reach, kernel = _interpolator()
    if best * reach <= above:
        return best
    padded = np.concatenate([np.zeros(_TAPS // 2 - 1), samples, np.zeros(_TAPS // 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _TAPS)
    for begin in range(0, len(samples), _BLOCK):
        near = size[max(0, begin - _TAPS) : begin + _BLOCK + _TAPS]
        if near.max() * reach > max(best, above):
            best = max(best, float(np.abs(windows[begin : begin + _BLOCK] @ kernel).max()))
    return best


@functools.cache
def _interpolator() -> tuple[float, Signal]:
    """Returns the largest gain of the interpolator and float64[taps, 3]: values at 1/4, 1/2 and 3/4 behind a sample."""
    at = np.arange(_TAPS) - (_TAPS // 2 - 1)
    window = np.kaiser(_TAPS + 2, 6.0)[1:-1]
    kernel = np.stack([np.sinc(at - phase) * window for phase in (0.25, 0.5, 0.75)], axis=1)
    kernel /= kernel.sum(axis=0)
    return float(np.abs(kernel).sum(axis=0).max()), kernel


def trimmed(event: Signal, rate_hz: int) -> Signal:
    """Returns an event from its first active frame to its last one.

    Raises:
        SoundError: no frame is active (`silent`), or less is left than two fades take (`too_short`).
    """
    begin, end = Levels.of(event, rate_hz).span()
    if end == begin:
        raise SoundError("silent", f"no 20 ms of it reach {FLOOR_DBFS:g} dBFS")
    if end - begin < 2 * _fade(rate_hz):
        raise SoundError("too_short", f"{(end - begin) / rate_hz:.3f} s of it are audible, and fades take {2 * FADE_S:g} s")
    return event[begin:end]


def faded(event: Signal, rate_hz: int) -> Signal:
    """Returns a signal with raised-cosine fades of 10 ms, sin²(π/2 · (k + ½)/n), at both ends."""
    n = min(_fade(rate_hz), len(event) // 2)
    ramp = np.sin(np.pi / 2 * (np.arange(n) + 0.5) / max(n, 1)) ** 2
    found = event.copy()
    found[:n] *= ramp
    found[len(found) - n :] *= ramp[::-1]
    return found


def _fade(rate_hz: int) -> int:
    return max(1, round(FADE_S * rate_hz))


def quantised(samples: Signal, gain: float) -> NDArray[np.int32]:
    """Returns `gain` times a signal in 16-bit units, rounded and not cut: int32[n]."""
    return np.rint(samples * (gain * FULL_SCALE)).astype(np.int32)


@dataclass(frozen=True)
class Base:
    """A base clip with what every mixture asks of it.

    Attributes:
        samples: float64[n].
        rate_hz: samples per second.
        levels: of its frames.
        peak: its true peak; exact where it is above the limit.
    """

    samples: Signal
    rate_hz: int
    levels: Levels
    peak: float

    @classmethod
    def of(cls, samples: Signal, rate_hz: int) -> Base:
        """Returns a base clip.

        Raises:
            SoundError: no frame is active (`silent`), or an event could not have its fades in it (`too_short`).
        """
        levels = Levels.of(samples, rate_hz)
        if not levels.power():
            raise SoundError("silent", f"no 20 ms of it reach {FLOOR_DBFS:g} dBFS")
        if len(samples) < 2 * _fade(rate_hz):
            raise SoundError("too_short", f"it lasts {len(samples) / rate_hz:.3f} s, and fades take {2 * FADE_S:g} s")
        return cls(samples, rate_hz, levels, true_peak(samples, _LIMIT))


@dataclass(frozen=True)
class Placed:
    """An event in a base clip.

    Attributes:
        samples: float64[m], faded, at the level of its file.
        onset: where it begins in the base; it ends inside.
        snr_db: its level against the base.
    """

    samples: Signal
    onset: int
    snr_db: float

    @property
    def end(self) -> int:
        """Where it ends in the base."""
        return self.onset + len(self.samples)


@dataclass(frozen=True)
class Triple:
    """The three files a, ab and ac of one base and two events.

    Attributes:
        gain: by which all three were multiplied, 1.0 at most: the loudest stays under -1 dBTP.
        event_gains: by which each event was multiplied besides.
        a: int16[n], the base.
        mixed: int16[n] twice, the base with the one and with the other event.
        snrs_db: the level of each event, measured in these files.
        first_active: the sample where the first active frame of `a` begins.
    """

    gain: float
    event_gains: tuple[float, float]
    a: Words
    mixed: tuple[Words, Words]
    snrs_db: tuple[float, float]
    first_active: int


def triple(base: Base, events: tuple[Placed, Placed]) -> Triple:
    """Returns the files of a base and two events.

    The events' gains g solve P(G g e) = P(G a) 10^(SNR/10) with the common gain G; which frames are active depends on the gains,
    and of several solutions the one with most active frames is taken. G is lowered from 1 until G times the largest true peak of
    a, a + g_b b and a + g_c c meets the limit, -1 dBTP less 0.1 dB and four 16-bit units for rounding. G a and G g e are rounded
    to 16 bits apart and added as whole numbers: the difference of two files is the event itself.

    Raises:
        SoundError: in these files an event lies more than 0.5 dB beside its level (`snr`), samples are cut or no gain is found
            that keeps the peaks under the limit (`clipping`), or a sound is below -60 dBFS throughout (`inaudible`,
            `base_inaudible`).
    """
    levels = [Levels.of(event.samples, base.rate_hz) for event in events]
    gain = 1.0
    for _ in range(_ROUNDS):
        gains = [_event_gain(base.levels, one, gain, event.snr_db) for one, event in zip(levels, events, strict=True)]
        room = _LIMIT / max(base.peak, *map(functools.partial(_peak, base), events, gains))
        if gain <= room * (1 + 1e-9):
            break
        gain = room
    else:
        raise SoundError("clipping", f"no common gain keeps the files under {PEAK_DBTP:g} dBTP")
    a = quantised(base.samples, gain)
    mixed, snrs = [], []
    for event, event_gain in zip(events, gains, strict=True):
        layer = quantised(event.samples, gain * event_gain)
        whole = a.copy()
        whole[event.onset : event.end] += layer
        if whole.max() >= FULL_SCALE or whole.min() < -FULL_SCALE:
            raise SoundError("clipping", "samples of the mixture are beyond full scale")
        mixed.append(whole.astype(np.int16))
        snrs.append(snr_db(layer / FULL_SCALE, a / FULL_SCALE, base.rate_hz))
        if not abs(snrs[-1] - event.snr_db) <= SNR_TOLERANCE_DB:
            raise SoundError("snr", f"the event lies at {snrs[-1]:.2f} dB in place of {event.snr_db:.2f} dB")
    finished = a.astype(np.int16)
    return Triple(
        gain,
        (gains[0], gains[1]),
        finished,
        (mixed[0], mixed[1]),
        (snrs[0], snrs[1]),
        base.levels.span(gain)[0],
    )


def _event_gain(base: Levels, event: Levels, gain: float, target_db: float) -> float:
    """Returns the gain of an event at which it has its level in files that are multiplied by `gain`.

    Raises:
        SoundError: nothing is left to be heard of the event (`inaudible`) or of the base (`base_inaudible`).
    """
    wanted = base.power(gain) * 10 ** (target_db / 10)
    if not wanted:
        raise SoundError("base_inaudible", f"at a common gain of {gain:.4f} no 20 ms of the base reach {FLOOR_DBFS:g} dBFS")
    # With the k loudest frames active the gain is sqrt(wanted / their mean): right where just these reach the floor then.
    order = np.argsort(-event.powers, kind="stable")
    powers, lengths = event.powers[order], event.lengths[order]
    means = np.cumsum(powers * lengths) / np.cumsum(lengths)
    with np.errstate(divide="ignore", over="ignore"):
        squares = wanted / means
    is_right = (powers * squares >= _FLOOR) & (np.append(powers[1:], 0.0) * squares < _FLOOR)
    found = np.flatnonzero(is_right & np.isfinite(squares))
    if not len(found):
        raise SoundError("inaudible", f"at {target_db:.2f} dB no 20 ms of the event reach {FLOOR_DBFS:g} dBFS")
    return float(math.sqrt(squares[found[-1]])) / gain


def _peak(base: Base, event: Placed, event_gain: float) -> float:
    """Returns the true peak of the mixture where the event is heard, if it is above the limit; elsewhere it is the base's."""
    begin, end = max(0, event.onset - _TAPS), min(len(base.samples), event.end + _TAPS)
    around = base.samples[begin:end].copy()
    around[event.onset - begin : event.end - begin] += event_gain * event.samples
    return true_peak(around, _LIMIT)


def layered(a: Words, pieces: Sequence[tuple[Signal, int, float]]) -> Words:
    """Returns a file with events in it.

    Args:
        a: int16[n], the base as it stands in its file.
        pieces: per event its samples (faded), onset, and gain (the common one times its own).

    Raises:
        SoundError: samples are cut (`clipping`).
    """
    whole = a.astype(np.int32)
    for samples, onset, gain in pieces:
        whole[onset : onset + len(samples)] += quantised(samples, gain)
    if len(whole) and (whole.max() >= FULL_SCALE or whole.min() < -FULL_SCALE):
        raise SoundError("clipping", "samples of the mixture are beyond full scale")
    return whole.astype(np.int16)
