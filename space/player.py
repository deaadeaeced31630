"""The sounds of a row as people hear and see them: a file that browsers play, a waveform, a log-mel spectrogram.

One piece of code for the file that `uac inspect` writes and for the pages of a hub: they differ only in where the sound and its
picture are, inside the page or at an address. `STYLE` is what figures look like. Sound is played as it is stored where browsers
play that, as FLAC otherwise, and at most `SHOWN_S` of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_scripts.errors import MissingRequirementError, SoundError
from ..dataset_scripts.sound.samples import Sound, flac, resampled
from . import pictures
from .inspect_rows import content_of, has_sound, is_pair, sound_of

SHOWN_S = 30.0  # twenty stereo clips of this length are some 50 MB, which browsers still take
STYLE = (Path(__file__).parent / "static" / "sound.css").read_text(encoding="utf-8")
_PLAYED = {
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
}
_HIGHEST_PLAYED_HZ = 96_000  # browsers resample above; some refuse
_TICKS_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
_TITLES = {"a": "A, before", "b": "B, after", "difference": "Difference, B – A"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One sound of a row, ready to be played and drawn, or the reason why there is none.

    Attributes:
        name: `a`, `b` or `difference`.
        title: what people call it.
        sound: its samples; None where they cannot be read.
        content: a file that browsers play; empty likewise.
        note: what people should know about it.
    """

    name: str
    title: str
    sound: Sound | None
    content: bytes
    note: str = ""

    @property
    def media_type(self) -> str:
        """Of the file, such as `audio/flac`."""
        return media_type(self.content)


def sides_of(row: Row) -> list[Side]:
    """Returns the sound of a row; of a pair both, and where both can be read what was changed. Empty where there is none."""
    if not has_sound(row, "a") and not has_sound(row, "b"):
        return []
    if not is_pair(row):
        return [_side(row, "a", "Sound")]
    found = [_side(row, "a", _TITLES["a"]), _side(row, "b", _TITLES["b"])]
    if all(one.sound is not None for one in found):
        found.append(_side(row, "difference", _TITLES["difference"]))
    return found


def reasons(row: Row) -> list[str]:
    """Returns why a row has no sound, a sentence for each of its sides."""
    return [f"{side.upper()}: {_reason(row, side)}" for side in "ab"] if is_pair(row) else [_reason(row, "a")]


def figures(sides: Sequence[Side], id_: str, pictures_at: Mapping[str, str]) -> dict[str, str]:
    """Returns an HTML `figure` by name of the side: waveform above spectrogram, with their scales.

    All sides share scales of time and amplitude, or the eye could not compare them.

    Args:
        sides: of one row.
        id_: the row's.
        pictures_at: the address of the spectrogram by name of the side.
    """
    drawn = [(one, one.sound) for one in sides if one.sound is not None]
    peak = max((pictures.peak_of(sound) for _, sound in drawn), default=0.0)
    longest_s = max((sound.duration_s for _, sound in drawn), default=0.0)
    return {one.name: _figure(sound, f"{one.title} of {id_}", pictures_at[one.name], peak, longest_s) for one, sound in drawn}


def spectrograms(sides: Sequence[Side]) -> dict[str, bytes]:
    """Returns a PNG by name of the side; all share the scale of loudness."""
    found = {one.name: pictures.log_mel(one.sound) for one in sides if one.sound is not None}
    loudest_db = max((one.loudest_db for one in found.values()), default=0.0)
    return {name: pictures.spectrogram_png(one, loudest_db) for name, one in found.items()}


def media_type(content: bytes) -> str:
    """Returns the media type of a file that every browser plays, empty for anything else."""
    if content[:4] == b"RIFF" and content[20:22] == b"\x01\x00" and content[34:36] in {b"\x08\x00", b"\x10\x00"}:
        return "audio/wav"  # 8 or 16 bits of plain samples
    return next((kind for magic, kind in _PLAYED.items() if content.startswith(magic)), "")


def _reason(row: Row, side: str) -> str:
    try:
        content_of(row, side)
    except SoundError as problem:
        what = str(problem)
        return f"{what[0].upper()}{what[1:]}."
    return "The row holds no sound."


def _side(row: Row, side: str, title: str) -> Side:
    try:
        sound = sound_of(row, side, SHOWN_S)
        whole_s = row.get("duration_b_s" if side == "b" else "duration_s")
        is_cut = sound.duration_s >= SHOWN_S and whole_s != sound.duration_s
        note = f"The first {SHOWN_S:.0f} s." if is_cut else ""
        if side == "difference":
            peak = pictures.peak_of(sound)
            if peak > 1.0:
                note = f"{note} Played {20 * np.log10(peak):.1f} dB softer than it is, to fit.".strip()
            return Side(side, title, sound, _encoded(sound), note)
        stored = content_of(row, side)
        as_stored = media_type(stored) and not note and sound.rate_hz <= _HIGHEST_PLAYED_HZ
        return Side(side, title, sound, stored if as_stored else _encoded(sound), note)
    except (SoundError, MissingRequirementError) as problem:
        what = str(problem)
        return Side(side, title, None, b"", f"{what[0].upper()}{what[1:].rstrip('.')}.")


def _encoded(sound: Sound) -> bytes:
    """Returns FLAC that a browser plays: at most two channels, an ordinary rate, nothing beyond full scale."""
    samples = sound.samples[:2] / max(1.0, pictures.peak_of(sound))
    found = Sound(samples, sound.rate_hz)
    return flac(found if sound.rate_hz <= _HIGHEST_PLAYED_HZ else resampled(found, 48_000))


def _figure(sound: Sound, about: str, picture: str, peak: float, longest_s: float) -> str:
    own_peak, top_hz = pictures.peak_of(sound), sound.rate_hz / 2
    level = f"{20 * np.log10(own_peak):.1f} dBFS" if own_peak else "silent"
    amplitude = [("0", 0.5), (f"{peak:.2g}", 1.0)]
    width = f'style="width:{sound.duration_s / longest_s:.2%}"'
    return (
        '<figure class="plot">'
        f'<div class="scale y" aria-hidden="true">{_scale(amplitude, "bottom")}</div>'
        f'<svg class="wave" {width} viewBox="0 -1 {pictures.waveform_columns(sound)} 2" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform of {escape(about)}, {sound.duration_s:.2f} s, peak {level}">'
        f'<path d="{pictures.waveform_path(sound, peak)}"/></svg>'
        f'<div class="scale y" aria-hidden="true">{_scale(_hertz(top_hz), "bottom")}</div>'
        f'<img class="mel" {width} alt="Log-mel spectrogram of {escape(about)}, 0 to {top_hz:.0f} Hz, '
        f'{sound.duration_s:.2f} s" src="{escape(picture)}">'
        f'<div class="scale x" aria-hidden="true">{_scale(_seconds(longest_s), "left")}</div>'
        f"</figure>"
    )


def _hertz(top_hz: float) -> list[tuple[str, float]]:
    """Returns labels and places of an axis of frequency; one too near to the one below would be unreadable."""
    mel = pictures.hz_to_mel(top_hz)
    ticks = [("0 Hz", 0.0)]
    for hz in _TICKS_HZ:
        place = pictures.hz_to_mel(hz) / mel
        if place <= 1 and place - ticks[-1][1] > 0.13:
            ticks.append((f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz", place))
    return ticks


def _seconds(duration_s: float) -> list[tuple[str, float]]:
    """Returns labels and places of an axis of time: round numbers, four to eight of them."""
    step = next((step for step in _STEPS_S if duration_s / step <= 6), _STEPS_S[-1])
    marks = [number * step for number in range(int(duration_s / step + 1e-9) + 1)]
    return [(f"{mark:g} s", mark / duration_s) for mark in marks]


def _scale(marks: Iterable[tuple[str, float]], edge: str) -> str:
    def spans() -> Iterator[str]:
        for label, at in marks:
            side = ' class="low"' if at < 0.02 else ' class="high"' if at > 0.96 else ""
            yield f'<span{side} style="{edge}:{at:.2%}">{escape(label)}</span>'

    return "".join(spans())
