"""Pictures of boards as SVG: pure functions from numbers to Markup; colours come from the page's style.

Every point is a link with a title, so that it can be reached by keyboard and is read out; texts are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 56, 18, 16, 44
N_COLOURS = 6
_ROW_PX = 26
_NAME_PX = 210


@dataclass(frozen=True)
class Point:
    """A system in a plane.

    Attributes:
        x: place on the horizontal axis.
        y: its score.
        name: what it is called.
        href: where it leads to.
        told: what is read out and shown when one points at it.
    """

    x: float
    y: float
    name: str
    href: str
    told: str


@dataclass(frozen=True)
class Interval:
    """A score with its interval; the ends are None where there is none."""

    name: str
    href: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Series:
    """A system's values on the axes of a radar, each in [0, 1]; None where it has none."""

    name: str
    values: tuple[float | None, ...]


def pareto(points: Sequence[Point], x_title: str, y_title: str, higher_is_better: bool = True) -> Markup:
    """Returns scores over a size on a logarithmic axis, with the line of those that nothing smaller beats.

    Args:
        points: at least one; x > 0.
        x_title: what the size is.
        y_title: what the score is.
        higher_is_better: of the score.
    """
    log_x = [math.log10(point.x) for point in points]
    x_of = _axis(*_padded(log_x, 0.15), LEFT, WIDTH - RIGHT)
    y_low, y_high = _padded([point.y for point in points], 0.08)
    y_of = _axis(y_low, y_high, HEIGHT - BOTTOM, TOP)
    parts = [*_y_grid(y_low, y_high, y_of), *_log_ticks(min(log_x), max(log_x), x_of)]
    front = front_of(points, higher_is_better)
    line = " ".join(f"{x_of(math.log10(one.x)):.1f},{y_of(one.y):.1f}" for one in front)
    parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [_dot(x_of(math.log10(one.x)), y_of(one.y), one) for one in points]
    parts += [_label(x_of(math.log10(one.x)), y_of(one.y), one.name) for one in front[:12]]
    return _svg(parts, HEIGHT, f"{y_title} over {x_title}", _titles(x_title, y_title))


def front_of(points: Iterable[Point], higher_is_better: bool = True) -> list[Point]:
    """Returns the points that no point with a smaller or equal x beats, by x.

    >>> [p.name for p in front_of([Point(1, 5, "a", "", ""), Point(2, 4, "b", "", ""), Point(3, 6, "c", "", "")])]
    ['a', 'c']
    """
    sign = 1.0 if higher_is_better else -1.0
    found: list[Point] = []
    for one in sorted(points, key=lambda point: (point.x, -sign * point.y)):
        if not found or sign * one.y > sign * found[-1].y:
            found.append(one)
    return found


def history(points: Sequence[Point], y_title: str, higher_is_better: bool = True) -> Markup:
    """Returns scores over the day of submission, with the best so far as steps.

    Args:
        points: at least one; x in seconds since 1970 UTC.
        y_title: what the score is.
        higher_is_better: of the score.
    """
    from .site import day

    x_low, x_high = _padded([point.x for point in points], 0.03)
    y_low, y_high = _padded([point.y for point in points], 0.08)
    x_of, y_of = _axis(x_low, x_high, LEFT, WIDTH - RIGHT), _axis(y_low, y_high, HEIGHT - BOTTOM, TOP)
    parts = _y_grid(y_low, y_high, y_of)
    first, last = min(point.x for point in points), max(point.x for point in points)
    for at, anchor in {first: "start", last: "end"}.items():
        parts.append(_text(x_of(at), HEIGHT - BOTTOM + 18, day(at), anchor))
    steps: list[str] = []
    for one in front_of(points, higher_is_better):
        if steps:
            steps.append(f"H{x_of(one.x):.1f}")
        steps.append(f"{'V' if steps else f'M{x_of(one.x):.1f} '}{y_of(one.y):.1f}")
    parts.append(f'<path class="front" d="{"".join(steps)}H{x_of(x_high):.1f}"/>')
    parts += [_dot(x_of(one.x), y_of(one.y), one) for one in points]
    return _svg(parts, HEIGHT, f"{y_title} over time", _titles("day of submission", y_title))


def forest(rows: Sequence[Interval], title: str) -> Markup:
    """Returns scores with their intervals, one line each, in the order given.

    Args:
        rows: at least one.
        title: what the score is.
    """
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    low, high = _padded(ends, 0.04)
    x_of = _axis(low, high, _NAME_PX, WIDTH - RIGHT)
    height = len(rows) * _ROW_PX + 44
    parts = []
    for tick in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{x_of(tick):.1f} 6V{height - 34}"/>')
        parts.append(_text(x_of(tick), height - 16, _number(tick), "middle"))
    for place, row in enumerate(rows):
        y = 20 + place * _ROW_PX
        told = f"{row.name}: {_number(row.value)}"
        bar = ""
        if row.low is not None and row.high is not None:
            told += f", 95 % interval {_number(row.low)} to {_number(row.high)}"
            x_low, x_high = x_of(row.low), x_of(row.high)
            bar = f'<path class="bar" d="M{x_low:.1f} {y}H{x_high:.1f}M{x_low:.1f} {y - 4}v8M{x_high:.1f} {y - 4}v8"/>'
        name = row.name if len(row.name) <= 28 else f"{row.name[:27]}…"
        parts.append(
            f'<a href="{_escaped(row.href)}"><title>{_escaped(told)}</title>{bar}'
            f'<circle class="dot" cx="{x_of(row.value):.1f}" cy="{y}" r="5"/>{_text(_NAME_PX - 12, y + 4, name, "end")}</a>'
        )
    return _svg(parts, height, f"{title} with 95 % intervals", [])


def radar(series: Sequence[Series], axes: Sequence[str]) -> Markup:
    """Returns up to six systems on several scores.

    Args:
        series: what to draw; values in [0, 1], one per axis.
        axes: titles of the axes, at least three.
    """
    middle_x, middle_y, radius = WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 42
    turns = [2 * math.pi * place / len(axes) - math.pi / 2 for place in range(len(axes))]

    def at(turn: float, share: float) -> tuple[float, float]:
        return middle_x + radius * share * math.cos(turn), middle_y + radius * share * math.sin(turn)

    parts = []
    for share in (0.25, 0.5, 0.75, 1.0):
        ring = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(turn, share) for turn in turns))
        parts.append(f'<polygon class="grid" points="{ring}"/>')
    for turn, axis in zip(turns, axes, strict=True):
        x, y = at(turn, 1.0)
        parts.append(f'<path class="grid" d="M{middle_x} {middle_y}L{x:.1f} {y:.1f}"/>')
        x, y = at(turn, 1.11)
        anchor = "middle" if abs(math.cos(turn)) < 0.2 else "start" if math.cos(turn) > 0 else "end"
        parts.append(_text(x, y + 4, axis, anchor))
    for place, one in enumerate(series[:N_COLOURS]):
        corners = [at(turn, value or 0.0) for turn, value in zip(turns, one.values, strict=True)]
        shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        told = ", ".join(
            f"{axis} {'none' if value is None else f'{value:.2f}'}" for axis, value in zip(axes, one.values, strict=True)
        )
        parts.append(
            f'<g class="c{place}"><title>{_escaped(f"{one.name}: {told}")}</title>'
            f'<polygon class="area" style="fill:var(--c);stroke:var(--c)" points="{shape}"/></g>'
        )
    return _svg(parts, HEIGHT, "Scores of several systems", [])


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = (high - low) * share or max(abs(high) * 0.05, 0.01)
    return low - pad, high + pad


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Returns four to eight round numbers in a range.

    >>> _ticks(0.1, 3.9)
    [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    """
    rough = (high - low) / 8
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]


def _y_grid(low: float, high: float, y_of: Callable[[float], float]) -> list[str]:
    parts = []
    for tick in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{LEFT} {y_of(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 8, y_of(tick) + 4, _number(tick), "end"))
    return parts


def _log_ticks(low: float, high: float, x_of: Callable[[float], float]) -> list[str]:
    from .site import size

    tens = [float(power) for power in range(math.ceil(low - 0.1), math.floor(high + 0.1) + 1)]
    return [_text(x_of(at), HEIGHT - BOTTOM + 18, size(10**at), "middle") for at in tens or sorted({low, high})]


def _titles(x_title: str, y_title: str) -> list[str]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    across = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_title, "middle", "soft")
    up = f'<text class="soft" text-anchor="middle" transform="translate(14 {middle:.0f}) rotate(-90)">{_escaped(y_title)}</text>'
    return [across, up]


def _dot(x: float, y: float, one: Point) -> str:
    return (
        f'<a href="{_escaped(one.href)}"><title>{_escaped(one.told)}</title>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="6"/></a>'
    )


def _label(x: float, y: float, name: str) -> str:
    anchor = "end" if x > WIDTH * 0.7 else "start"
    shown = name if len(name) <= 24 else f"{name[:23]}…"
    return _text(x + (-9 if anchor == "end" else 9), y - 7, shown, anchor)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{_escaped(text)}</text>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))


def _svg(parts: Sequence[str], height: int, title: str, more: Sequence[str]) -> Markup:
    from markupsafe import Markup

    body = "".join([*parts, *more])
    # made of numbers and escaped texts only
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{_escaped(title)}">{body}</svg>'
    )
