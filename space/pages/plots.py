"""Pictures of a board: score over size, intervals, several metrics at once, and how the best score grew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response

from ...leaderboard.boards.ranking import Board, BoardColumn, BoardRow
from ...leaderboard.hub import Hub
from . import charts
from .board import choices, default_benchmark, metric_choices
from .charts import Interval, Point, Series
from .site import Site, quoted

N_FOREST = 40
N_DOTS = 500  # more are a cloud, and slow to draw
N_RADAR = 6


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""

    @app.get("/plots", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        params = request.query_params
        name = params.get("benchmark") or default_benchmark(site.hub)
        found = view(site.hub, name, params.get("by") or None, params.getlist("systems"))
        return site.page(request, "plots.html", **found)


def view(hub: Hub, benchmark_id: str, by: str | None, systems: Sequence[str] = ()) -> dict[str, Any]:
    """Returns what the template shows.

    Args:
        hub: where the board is.
        benchmark_id: which one.
        by: the metric that is drawn; None for the one that ranks.
        systems: names of those in the radar; the first of the board where none is named.

    Raises:
        UnknownNameError: there is no such benchmark or metric.
    """
    board = hub.board(benchmark_id, ranked_by=by)
    ranked = [row for row in board.rows if row.rank is not None]
    column = next((one for one in board.columns if one.name == board.ranked_by), None)
    chosen = [row for row in ranked if row.system.name in set(systems)][:N_RADAR] or ranked[:3]
    state = {"benchmark": benchmark_id, "by": by}
    return {
        "title": f"Plots: {board.benchmark.title}",
        "benchmark": board.benchmark,
        "board": board,
        "choices": choices(hub),
        "metric_choices": metric_choices(board.benchmark),
        "state": {name: value for name, value in state.items() if value},
        "ranked": ranked[:200],
        "chosen": [row.system.name for row in chosen],
        "n_sized": sum(row.system.parameters is not None for row in ranked),
        **(_drawn(board, column, ranked, chosen) if column is not None and ranked else {"forest": None}),
    }


def _drawn(board: Board, column: BoardColumn, ranked: Sequence[BoardRow], chosen: Sequence[BoardRow]) -> dict[str, Any]:
    higher = column.higher_is_better
    sized = [_point(row, float(row.system.parameters), column) for row in ranked if row.system.parameters]
    dated = [_point(row, row.submitted_at, column) for row in ranked]
    axes = [one for one in board.columns if one.name == one.metric]
    radar = charts.radar([_series(row, axes, ranked) for row in chosen], [one.title for one in axes]) if len(axes) > 2 else None
    return {
        "pareto": charts.pareto(_fewer(sized, higher), "parameters", column.title, higher) if sized else None,
        "forest": charts.forest([_interval(row, column) for row in ranked[:N_FOREST]], column.title),
        "history": charts.history(_fewer(dated, higher), column.title, higher),
        "radar": radar,
        "n_forest": min(N_FOREST, len(ranked)),
        "n_dots": min(N_DOTS, len(ranked)),
    }


def _fewer(points: Sequence[Point], higher_is_better: bool) -> list[Point]:
    """Returns the best points, which come first, and those of the front."""
    return list(dict.fromkeys([*points[:N_DOTS], *charts.front_of(points, higher_is_better)]))


def _href(row: BoardRow) -> str:
    return f"/systems/{quoted(row.system.name)}"


def _point(row: BoardRow, x: float, column: BoardColumn) -> Point:
    value = 100 * row.values[column.name]
    return Point(x, value, row.system.name, _href(row), f"{row.system.name}: {column.title} {value:.2f}")


def _interval(row: BoardRow, column: BoardColumn) -> Interval:
    low, high = row.intervals.get(column.name, (None, None))
    scaled = (None if low is None else 100 * low, None if high is None else 100 * high)
    return Interval(row.system.name, _href(row), 100 * row.values[column.name], *scaled)


def _series(row: BoardRow, axes: Sequence[BoardColumn], ranked: Sequence[BoardRow]) -> Series:
    """Returns a system's place between the worst and the best of the board on every axis."""
    places: list[float | None] = []
    for axis in axes:
        values = [one.values[axis.name] for one in ranked if axis.name in one.values]
        if axis.name not in row.values:
            places.append(None)
            continue
        low, high = min(values), max(values)
        share = (row.values[axis.name] - low) / (high - low) if high > low else 1.0
        places.append(share if axis.higher_is_better else 1.0 - share)
    return Series(row.system.name, tuple(places))
