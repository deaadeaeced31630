"""Rows of a built set as one HTML file that needs nothing else: players, pictures and texts.

`row_section` returns one row and `STYLE` what it is styled by; every rule is below `.uac-rows`, so that other pages can hold
rows too. Sound is embedded, in the form in which `player` plays it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from . import pictures, player
from .inspect_rows import has_sound, is_pair
from .player import figures, reasons, sides_of, spectrograms

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
@media (min-width: 62rem) { .uac-rows .alone { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
  gap: 0 2.5rem; align-items: start; } }
.uac-rows .texts > h3:first-child { margin-top: .9rem; }
.uac-rows audio:focus-visible, .uac-rows a:focus-visible, .uac-rows summary:focus-visible { outline: 3px solid var(--wave);
  outline-offset: 2px; }
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
  .uac-rows dd { margin-bottom: .5rem; } }
.uac-rows {
"""
STYLE += player.STYLE + "}"  # nested: they hold inside the rows only
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
        f'<p class="meta">{escape(facts(row))}</p>',
        *([f'<p class="lead">{escape(row["caption"])}</p>'] if row.get("caption") and not is_pair(row) else []),
        f'<div class="{"alone" if has_sound(row, "a") and not is_pair(row) else "below"}">',
        *_sounds(row),
        texts(row),
        "</div></article>",
    ]
    return "\n".join(parts)


def texts(row: Row, tag_at: Callable[[str], str] | None = None) -> str:
    """Returns what is said about a row as an HTML `div`: captions by style, questions, events, tags, scores, overlaps.

    Args:
        row: a row of the schema as Python values.
        tag_at: the address of all clips with a tag; None where there are no such pages.
    """
    tags = row.get("tags") or ()
    parts = [
        '<div class="texts">',
        *_captions(row),
        *_questions(row),
        *_events(row),
        *_chips("Tags", [(_tag(tag), tag_at(tag["label"]) if tag_at and tag.get("label") else "") for tag in tags]),
        *_chips("Scores", [(_score(score), "") for score in row.get("scores") or ()]),
        *_overlaps(row),
        "</div>",
    ]
    return "\n".join(parts)


def facts(row: Row) -> str:
    """Returns what a row is in one line: its set, split, lengths, rate, domain and the licence of its sound."""
    return " · ".join(filter(None, _facts(row)))


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


def _sounds(row: Row) -> Iterator[str]:
    sides = sides_of(row)
    if not sides:
        yield f'<div><p class="note">{"<br>".join(map(escape, reasons(row)))}</p></div>'
        return
    drawn = figures(sides, row["id"], {name: _data_uri(png, "image/png") for name, png in spectrograms(sides).items()})
    captions = {"a": row.get("caption"), "b": row.get("caption_b")} if is_pair(row) else {}
    yield '<div class="sides">'
    for one in sides:
        caption = captions.get(one.name)
        yield f'<section class="side"><h3>{escape(one.title)}</h3>'
        yield f"<div>{f'<p>{escape(caption)}</p>' if caption else ''}"
        yield f'<p class="note">{escape(one.note)}</p></div>' if one.note else "</div>"
        if one.name in drawn:
            about, address = f"{one.title} of {row['id']}", _data_uri(one.content, one.media_type)
            yield f'<audio controls preload="metadata" aria-label="{escape(about)}" src="{address}"></audio>'
            yield drawn[one.name]
        yield "</section>"
    yield "</div>"


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


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


def _chips(title: str, chips: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yields texts and where they lead to, if anywhere."""
    if chips:
        linked = (f'<a href="{escape(at)}">{escape(text)}</a>' if at else escape(text) for text, at in chips)
        yield f'<h3>{title}</h3><ul class="chips">{"".join(f"<li>{one}</li>" for one in linked)}</ul>'


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
