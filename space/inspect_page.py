"""Rows of a built set as one HTML file that needs nothing else: players, pictures and texts.

`row_section` returns one row and `STYLE` what it is styled by; every rule is below `.uac-rows`, so that other pages can hold
rows too. Sound is embedded: as it is stored where browsers play that, as FLAC otherwise, and at most 30 s of it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ..dataset_scripts.errors import MissingRequirementError, SoundError
from ..dataset_scripts.sound.samples import Sound, flac, resampled
from . import pictures
from .inspect_rows import content_of, has_sound, is_pair, sound_of

SHOWN_S = 30.0  # twenty stereo clips of this length are some 50 MB, which browsers still take
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

STYLE = """
.uac-rows { color-scheme: light dark; --ink: #1c2430; --soft: #566171; --line: #d9dee6; --wave: #2f6f9f; --page: #fff;
  --chip: #eef2f7; --warn: #8a4b00; color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { .uac-rows { --ink: #e6eaf0; --soft: #a3adbb; --line: #333c49; --wave: #6fb0de;
  --page: #14181e; --chip: #222a34; --warn: #f0b26b; } }
.uac-rows .row { border-top: 1px solid var(--line); padding: 1.4rem 0 1rem; }
.uac-rows h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
.uac-rows h2 { font-size: 1.15rem; line-height: 1.3; margin: 0; }
.uac-rows h3 { font-size: .95rem; margin: 1.1rem 0 .3rem; }
.uac-rows a { color: var(--wave); }
.uac-rows .meta, .uac-rows .soft { color: var(--soft); font-size: .875rem; }
.uac-rows p { margin: .25rem 0; }
.uac-rows .lead { font-size: 1.1rem; max-width: 60rem; margin: .5rem 0 .9rem; }
.uac-rows .sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 2rem;
  margin-top: .9rem; }
.uac-rows .side { min-width: 0; max-width: 46rem; display: grid; grid-template-rows: subgrid; grid-row: span 4;
  align-content: start; margin-bottom: 1rem; }
.uac-rows .side h3 { margin-top: 0; }
@media (min-width: 62rem) { .uac-rows .alone { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
  gap: 0 2.5rem; align-items: start; } }
.uac-rows .texts > h3:first-child { margin-top: .9rem; }
.uac-rows audio { display: block; width: 100%; height: 2.6rem; margin: .3rem 0 .6rem; }
.uac-rows audio:focus-visible, .uac-rows a:focus-visible, .uac-rows summary:focus-visible { outline: 3px solid var(--wave);
  outline-offset: 2px; }
.uac-rows .plot { display: grid; grid-template-columns: 3.4rem minmax(0, 1fr); margin: 0; align-content: start; }
.uac-rows .scale { position: relative; font-size: .75rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.uac-rows .scale span { position: absolute; white-space: nowrap; line-height: 1; }
.uac-rows .scale.y span { right: .45rem; transform: translateY(50%); }
.uac-rows .scale.y .low { transform: none; } .uac-rows .scale.y .high { transform: translateY(100%); }
.uac-rows .scale.x { grid-column: 2; height: 1.3rem; }
.uac-rows .scale.x span { top: .3rem; transform: translateX(-50%); }
.uac-rows .scale.x .low { transform: none; } .uac-rows .scale.x .high { transform: translateX(-100%); }
.uac-rows .wave { display: block; width: 100%; height: 3.6rem; margin-bottom: .35rem; fill: var(--wave); }
.uac-rows .mel { display: block; width: 100%; height: 8rem; }
.uac-rows .note { border-left: 4px solid var(--warn); padding: .1rem .7rem; margin: .4rem 0; max-width: 46rem; }
.uac-rows dl { margin: 0; display: grid; grid-template-columns: minmax(6rem, 9rem) minmax(0, 1fr); gap: .4rem 1rem;
  max-width: 60rem; }
.uac-rows dt { color: var(--soft); font-size: .875rem; padding-top: .1rem; } .uac-rows dd { margin: 0; }
.uac-rows ul { margin: 0; padding-left: 1.1rem; } .uac-rows dd ul { padding-left: 0; list-style: none; }
.uac-rows dd li { margin-bottom: .3rem; }
.uac-rows .questions { padding: 0; list-style: none; max-width: 60rem; } .uac-rows .questions li { margin-bottom: .5rem; }
.uac-rows .chips { display: flex; flex-wrap: wrap; gap: .35rem; padding: 0; list-style: none; }
.uac-rows .chips li { background: var(--chip); border-radius: .4rem; padding: .05rem .55rem; font-size: .9rem; }
.uac-rows .absent { color: var(--soft); text-decoration: line-through; }
@media (max-width: 34rem) { .uac-rows dl { grid-template-columns: minmax(0, 1fr); gap: .1rem; }
  .uac-rows dd { margin-bottom: .5rem; } .uac-rows .plot { grid-template-columns: 2.9rem minmax(0, 1fr); } }
"""
_PAGE_STYLE = """body { margin: 0; background: #fff; } @media (prefers-color-scheme: dark) { body { background: #14181e; } }
.uac-rows { margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(.9rem, 3vw, 2rem); }"""

Row = Mapping[str, Any]


def page(name: str, rows: Sequence[Row], total: int, seed: int) -> str:
    """Returns the HTML page about some rows of a set.

    Args:
        name: what the set is called.
        rows: the rows as Python values.
        total: how many rows the set has.
        seed: what the rows were drawn by.
    """
    silent = sum(not has_sound(row, "a") for row in rows)
    lines = [f"{len(rows):,} of {total:,} rows, drawn by seed {seed}."]
    if rows and silent:
        lines.append("None of them holds sound." if silent == len(rows) else f"{silent:,} without sound.")
    if silent < len(rows):
        lines.append(
            f"Spectrograms: {pictures.N_MELS} mel bands, windows of {pictures.WINDOW_S * 1000:.0f} ms every "
            f"{pictures.HOP_S * 1000:.0f} ms, {pictures.RANGE_DB:.0f} dB from black to the "
            "loudest; the sides of a pair share scales."
        )
    body = "\n".join(row_section(row, number) for number, row in enumerate(rows, 1))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(name)}: rows to look at</title>'
        f"<style>{_PAGE_STYLE}{STYLE}</style></head>\n"
        f'<body><main class="uac-rows"><h1>{escape(name)}</h1>\n<p class="meta">{escape(" ".join(lines))}</p>\n'
        f"{body}\n</main></body></html>\n"
    )


def row_section(row: Row, number: int = 1) -> str:
    """Returns one row as an HTML `article`: its sounds with pictures, captions, questions, tags, overlaps, scores.

    Args:
        row: a row of the schema as Python values.
        number: its place on the page; makes the identifier of its heading.
    """
    heading = f"row-{number}"
    # long ids may break behind their separators, not inside words
    name = re.sub(r"([/_])", r"\1<wbr>", escape(row["id"]))
    parts = [
        f'<article class="row" aria-labelledby="{heading}"><h2 id="{heading}">{name}</h2>',
        f'<p class="meta">{escape(" · ".join(filter(None, _facts(row))))}</p>',
        *([f'<p class="lead">{escape(row["caption"])}</p>'] if row.get("caption") and not is_pair(row) else []),
        f'<div class="{"alone" if has_sound(row, "a") and not is_pair(row) else "below"}">',
        *_sounds(row),
        '<div class="texts">',
        *_captions(row),
        *_questions(row),
        *_events(row),
        *_chips("Tags", [_tag(tag) for tag in row.get("tags") or ()]),
        *_chips("Scores", [_score(score) for score in row.get("scores") or ()]),
        *_overlaps(row),
        "</div></div></article>",
    ]
    return "\n".join(parts)


def _facts(row: Row) -> Iterator[str]:
    yield "/".join(str(row[name]) for name in ("dataset", "release") if row.get(name))
    yield ", ".join(str(row[name]) for name in ("split", "subset") if row.get(name))
    lengths = [f"{row[name]:.2f} s" for name in ("duration_s", "duration_b_s") if row.get(name) is not None]
    yield " and ".join(lengths) if lengths else "duration unknown"
    if row.get("sampling_rate_hz"):
        yield f"{row['sampling_rate_hz'] / 1000:g} kHz"
    if row.get("n_channels"):
        yield "mono" if row["n_channels"] == 1 else f"{row['n_channels']} channels"
    if row.get("operation"):
        yield f"operation: {row['operation']}"
    if row.get("domain"):
        yield str(row["domain"])
    if row.get("license_audio"):
        yield f"sound: {row['license_audio']}"


# -- sound -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Heard:
    """One sound of a row, ready to be drawn, or the reason why there is none."""

    title: str
    sound: Sound | None
    content: bytes
    note: str = ""


def _sounds(row: Row) -> Iterator[str]:
    if not has_sound(row, "a") and not has_sound(row, "b"):
        reasons = [f"{side.upper()}: {_reason(row, side)}" for side in "ab"] if is_pair(row) else [_reason(row, "a")]
        yield f'<div><p class="note">{"<br>".join(map(escape, reasons))}</p></div>'
        return
    sides = [_heard(row, "a", "Sound")]
    if is_pair(row):
        sides = [_heard(row, "a", "A, before"), _heard(row, "b", "B, after")]
        if all(one.sound is not None for one in sides):
            sides.append(_heard(row, "difference", "Difference, B – A"))
    drawn = [one.sound for one in sides if one.sound is not None]
    # one scale for both sides of a pair and their difference, or the eye cannot compare them
    peak = max((pictures.peak_of(sound) for sound in drawn), default=0.0)
    spectra = {one.title: pictures.log_mel(one.sound) for one in sides if one.sound is not None}
    loudest = max((found.loudest_db for found in spectra.values()), default=0.0)
    longest_s = max((sound.duration_s for sound in drawn), default=0.0)
    yield '<div class="sides">'
    for one in sides:
        about = f"{one.title} of {row['id']}"
        yield f'<section class="side"><h3>{escape(one.title)}</h3>'
        caption = {"A, before": row.get("caption"), "B, after": row.get("caption_b")}.get(one.title)
        yield f"<div>{f'<p>{escape(caption)}</p>' if caption else ''}"
        yield f'<p class="note">{escape(one.note)}</p></div>' if one.note else "</div>"
        if one.sound is not None:
            yield f'<audio controls preload="metadata" aria-label="{escape(about)}" src="{_data_uri(one.content)}"></audio>'
            yield _plots(one.sound, about, spectra[one.title], peak, loudest, longest_s)
        yield "</section>"
    yield "</div>"


def _reason(row: Row, side: str) -> str:
    try:
        content_of(row, side)
    except SoundError as problem:
        what = str(problem)
        return f"{what[0].upper()}{what[1:]}."
    return "The row holds no sound."


def _heard(row: Row, side: str, title: str) -> _Heard:
    try:
        sound = sound_of(row, side, SHOWN_S)
        whole_s = row.get("duration_b_s" if side == "b" else "duration_s")
        is_cut = sound.duration_s >= SHOWN_S and whole_s != sound.duration_s
        note = f"The first {SHOWN_S:.0f} s." if is_cut else ""
        if side == "difference":
            peak = pictures.peak_of(sound)
            if peak > 1.0:
                note = f"{note} Played {20 * np.log10(peak):.1f} dB softer than it is, to fit.".strip()
            return _Heard(title, sound, _encoded(sound), note)
        stored = content_of(row, side)
        as_stored = _type_of(stored) and not note and sound.rate_hz <= _HIGHEST_PLAYED_HZ
        return _Heard(title, sound, stored if as_stored else _encoded(sound), note)
    except (SoundError, MissingRequirementError) as problem:
        what = str(problem)
        return _Heard(title, None, b"", f"{what[0].upper()}{what[1:].rstrip('.')}.")


def _encoded(sound: Sound) -> bytes:
    """Returns FLAC that a browser plays: at most two channels, an ordinary rate, nothing beyond full scale."""
    samples = sound.samples[:2] / max(1.0, pictures.peak_of(sound))
    found = Sound(samples, sound.rate_hz)
    return flac(found if sound.rate_hz <= _HIGHEST_PLAYED_HZ else resampled(found, 48_000))


def _type_of(content: bytes) -> str:
    """Returns the media type of a file that every browser plays, empty for anything else."""
    if content[:4] == b"RIFF" and content[20:22] == b"\x01\x00" and content[34:36] in {b"\x08\x00", b"\x10\x00"}:
        return "audio/wav"  # 8 or 16 bits of plain samples
    return next((kind for magic, kind in _PLAYED.items() if content.startswith(magic)), "")


def _data_uri(content: bytes, kind: str = "") -> str:
    return f"data:{kind or _type_of(content)};base64,{base64.b64encode(content).decode()}"


def _plots(sound: Sound, about: str, spectrum: pictures.LogMel, peak: float, loudest_db: float, longest_s: float) -> str:
    own_peak = pictures.peak_of(sound)
    level = f"{20 * np.log10(own_peak):.1f} dBFS" if own_peak else "silent"
    picture = pictures.spectrogram_png(spectrum, loudest_db)
    mel = pictures.hz_to_mel(spectrum.top_hz)
    highs = [(f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz", pictures.hz_to_mel(hz) / mel) for hz in _TICKS_HZ]
    # a label too near to the next one would be unreadable
    ticks = [("0 Hz", 0.0)]
    for label, place in highs:
        if place <= 1 and place - ticks[-1][1] > 0.13:
            ticks.append((label, place))
    amplitude = [("0", 0.5), (f"{peak:.2g}", 1.0)]
    width = f'style="width:{sound.duration_s / longest_s:.2%}"'
    return (
        '<figure class="plot">'
        f'<div class="scale y" aria-hidden="true">{_scale(amplitude, "bottom")}</div>'
        f'<svg class="wave" {width} viewBox="0 -1 {pictures.waveform_columns(sound)} 2" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform of {escape(about)}, {sound.duration_s:.2f} s, peak {level}">'
        f'<path d="{pictures.waveform_path(sound, peak)}"/></svg>'
        f'<div class="scale y" aria-hidden="true">{_scale(ticks, "bottom")}</div>'
        f'<img class="mel" {width} alt="Log-mel spectrogram of {escape(about)}, 0 to {spectrum.top_hz:.0f} Hz, '
        f'{sound.duration_s:.2f} s" src="{_data_uri(picture, "image/png")}">'
        f'<div class="scale x" aria-hidden="true">{_scale(_seconds(longest_s), "left")}</div>'
        f"</figure>"
    )


def _seconds(duration_s: float) -> list[tuple[str, float]]:
    """Returns labels and places of an axis of time: round numbers, four to eight of them."""
    step = next((step for step in _STEPS_S if duration_s / step <= 6), _STEPS_S[-1])
    marks = [number * step for number in range(int(duration_s / step + 1e-9) + 1)]
    return [(f"{mark:g} s", mark / duration_s) for mark in marks]


def _scale(marks: Iterable[tuple[str, float]], edge: str) -> str:
    def side(place: float) -> str:
        return ' class="low"' if place < 0.02 else ' class="high"' if place > 0.96 else ""

    return "".join(f'<span{side(at)} style="{edge}:{at:.2%}">{escape(label)}</span>' for label, at in marks)


# -- texts -----------------------------------------------------------------------------------------------------------------------


def _captions(row: Row) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for caption in row.get("captions") or ():
        kind = tuple(str(caption[name]) for name in ("style", "variant") if caption.get(name))
        side = {"a": "of A", "b": "of B"}.get(caption.get("side") or "")
        groups.setdefault((*kind, *([side] if side else [])), []).append(caption)
    if not groups:
        yield '<p class="soft">No captions.</p>'
        return
    yield "<h3>Captions</h3><dl>"
    for kind, captions in groups.items():
        origins = {_origin(one) for one in captions}
        about = ", ".join([*kind, *(origins if len(origins) == 1 else ())])
        lines = "".join(f"<li>{_caption(one, len(origins) > 1)}</li>" for one in captions)
        yield f"<dt>{escape(about or 'no style')}</dt><dd><ul>{lines}</ul></dd>"
    yield "</dl>"


def _origin(one: Row) -> str:
    """Returns who wrote a caption, and in which language unless that is English."""
    return ", ".join(str(one[name]).replace("_", " ") for name in ("origin", "language") if one.get(name) and one[name] != "en")


def _caption(one: Row, with_origin: bool) -> str:
    text = escape(one["text"]) or '<span class="soft">(empty)</span>'
    about = [_origin(one)] if with_origin else []
    about += [_score(score) for score in one.get("scores") or ()]
    if one.get("is_absent"):
        text, about = f'<span class="absent">{text}</span>', ["says that there is nothing", *about]
    return f'{text} <span class="soft">{escape(", ".join(filter(None, about)))}</span>' if any(about) else text


def _questions(row: Row) -> Iterator[str]:
    if not row.get("qa"):
        return
    yield '<h3>Questions</h3><ul class="questions">'
    for one in row["qa"]:
        about = ", ".join(str(one[name]).replace("_", " ") for name in ("category", "difficulty", "task") if one.get(name))
        choices = f'<br><span class="soft">Choices: {escape("; ".join(one["choices"]))}</span>' if one.get("choices") else ""
        asked = f'<br><span class="soft">{escape(about)}</span>' if about else ""
        yield f"<li><strong>{escape(one['question'] or '')}</strong>{choices}<br>{escape(one['answer'] or '–')}{asked}</li>"
    yield "</ul>"


def _events(row: Row) -> Iterator[str]:
    lines = []
    for one in row.get("events") or ():
        facts = [str(one[name]) for name in ("role", "label", "category") if one.get(name)]
        facts += [f"at {one['onset_s']:.2f} s"] if one.get("onset_s") is not None else []
        facts += [f"for {one['duration_s']:.2f} s"] if one.get("duration_s") is not None else []
        facts += [f"{one['snr_db']:+.1f} dB"] if one.get("snr_db") is not None else []
        lines.append(f"<li>{escape(', '.join(facts))}</li>")
    if lines:
        yield f"<h3>Events</h3><ul>{''.join(lines)}</ul>"


def _tag(tag: Row) -> str:
    score = f" {tag['score']:.3g}" if tag.get("score") is not None else ""
    return f"{tag.get('label') or tag.get('code') or '–'}{score}"


def _score(score: Row) -> str:
    value = score.get("value")
    return f"{score.get('name') or 'score'} {'–' if value is None else format(value, '.4g')}"


def _chips(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f'<h3>{title}</h3><ul class="chips">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>'


def _overlaps(row: Row) -> Iterator[str]:
    found = row.get("overlaps") or ()
    if not found:
        return
    lines = []
    for one in found:
        shared = f", {one['shared_s']:.2f} s shared" if one.get("shared_s") is not None else ""
        side = f", side {one['side'].upper()}" if one.get("side") else ""
        about = f"{one['set']} by {one['level']}{side}{shared} ({one['key']})"
        lines.append(f"<li>{escape(about)}</li>")
    yield f"<h3>Also in</h3><ul>{''.join(lines)}</ul>"
