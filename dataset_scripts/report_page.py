"""The statistics of built sets as one HTML file that needs nothing else: tables and bar charts drawn as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from .report import comparison, tables

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee6; --bar: #2f6f9f; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa5b4; --line: #333c49; --bar: #6fb0de;
  --page: #14181e; } }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--page); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; } th { color: var(--soft); font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem 2rem; margin-top: 1.2rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; } .note { color: var(--soft); }
svg text { fill: var(--ink); font-size: 11px; } svg .soft { fill: var(--soft); } svg rect { fill: var(--bar); }
"""


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Returns the HTML page about some sets.

    Args:
        found: what `report.describe` returns for each.
    """
    names = ", ".join(one["set"] for one in found)
    parts = [part for one in found for part in _section(one)]
    parts += [f"<h2>{escape(title)}</h2>{_table('', header, rows)}" for title, header, rows in comparison([*map(dict, found)])]
    notes = dict.fromkeys(note for one in found for note in one["notes"])
    body = "\n".join([*parts, *(f'<p class="note">{escape(note)}</p>' for note in notes)])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Statistics of {escape(names)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Statistics of {escape(names)}</h1>\n{body}\n</body></html>\n"
    )


def _section(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>{escape(one['set'])}</h2>"
    drawn = [_chart(title, bars) for title, bars in charts(one["groups"][0])]
    first, *others = tables(dict(one))
    yield _table(*first)
    yield f'<div class="charts">{"".join(drawn)}</div>'
    for other in others:
        yield _table(*other)


def charts(group: Mapping[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """Returns title and bars (name to count) of every chart about a group of `report.describe`; empty ones are left out."""
    found = [
        ("Duration, clips by seconds", _ranges(group["duration_histogram"], " s")),
        ("Length, captions by words", _ranges(group["length_histogram"], "")),
        ("Captions by the number of times they are said", _ranges(group["times_histogram"], "×", whole=True)),
        ("Similarity of raw text and caption (Jaccard), clips", _ranges(group["jaccard_histogram"], "", last="1")),
        ("Texts by style", {name: style["captions"] for name, style in group["styles"].items()}),
        ("Clips by domain", dict(group["domains"])),
    ]
    return [(title, bars) for title, bars in found if sum(bars.values())]


def _ranges(histogram: Mapping[str, int], unit: str, *, whole: bool = False, last: str = "") -> dict[str, int]:
    """Returns the counts under names such as `5–10 s`; empty classes at the end are left out."""
    if not histogram:
        return {}
    edges, counts = list(histogram), list(histogram.values())
    shown = len(edges) if last else 1 + max((i for i, count in enumerate(counts) if count), default=-1)
    names = {}
    for edge, following, count in list(zip(edges, [*edges[1:], last], counts, strict=True))[:shown]:
        end = str(int(following) - 1) if whole and following else following
        names[f"{edge}{unit}" if whole and end == edge else f"{edge}–{end}{unit}" if end else f"{edge}+{unit}"] = count
    return names


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = rows[0] if rows else header
    head = "".join(f"<th{_kind(cell)}>{escape(name)}</th>" for name, cell in zip(header, first, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'{heading}<div class="scroll">{table}</div>'


def _cell(text: str) -> str:
    return f"<td{_kind(text)}>{escape(text)}</td>"


def _kind(text: str) -> str:
    """Returns the class of a cell and of the head of its column: text stands on the left, numbers on the right."""
    is_number = text.lstrip("+-")[:1].isdigit() or text == "–"
    return "" if is_number else ' class="text"'


def _percent(share: float) -> str:
    return "&lt;1%" if 0 < share < 0.01 else f"{share:.0%}"


def _chart(title: str, bars: Mapping[str, int]) -> str:
    """Returns horizontal bars, one per class, each with its name, its count and its share."""
    total, most = sum(bars.values()), max(bars.values())
    lines = []
    for place, (name, count) in enumerate(bars.items()):
        y = 20 * place
        width = 190 * count / most
        shown = name if len(name) <= 16 else name[:15] + "…"
        lines.append(
            f'<text x="104" y="{y + 14}" text-anchor="end"><title>{escape(name)}</title>{escape(shown)}</text>'
            f'<rect x="110" y="{y + 3}" width="{width:.1f}" height="14"/>'
            f'<text class="soft" x="{114 + width:.1f}" y="{y + 14}">{count:,} ({_percent(count / total)})</text>'
        )
    picture = f'<svg viewBox="0 0 400 {20 * len(bars) + 4}" role="img" aria-label="{escape(title)}">{"".join(lines)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{picture}</figure>"
