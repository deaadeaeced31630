"""How systems do on parts of a benchmark: a heat map of scores per group of items, or per domain of the clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response

from ...dataset_scripts.errors import InputError, RightsError
from ...leaderboard.benchmark import BenchmarkItems
from ...leaderboard.boards.ranking import Board, BoardRow
from ...leaderboard.hub import Hub
from ...leaderboard.kept import Kept
from ...leaderboard.scoring import is_mean
from .board import choices, default_benchmark, metric_choices, scopes_of
from .site import Site

N_SYSTEMS = 50
MIN_CLIPS = 2
_KEPT = 5_000


@dataclass(frozen=True)
class Part:
    """A column of the heat map.

    Attributes:
        name: of the group or domain.
        n: how many items it has; None where that is nobody's to know.
    """

    name: str
    n: int | None


@dataclass(frozen=True)
class Line:
    """A system's scores; None where it has none of a part."""

    row: BoardRow
    overall: float
    values: tuple[float | None, ...]


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""
    means: Kept[tuple[str, str], dict[str, float]] = Kept(_KEPT)

    @app.get("/domains", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        params = request.query_params
        name = params.get("benchmark") or default_benchmark(site.hub)
        return site.page(request, "domains.html", **view(site.hub, name, params.get("by") or None, means))


def view(hub: Hub, benchmark_id: str, by: str | None, means: Kept[tuple[str, str], dict[str, float]]) -> dict[str, Any]:
    """Returns what the template shows.

    Args:
        hub: where the board is.
        benchmark_id: which one.
        by: the metric that is shown; None for the one that ranks.
        means: scores per domain that were computed before.

    Raises:
        UnknownNameError: there is no such benchmark or metric.
    """
    board = hub.board(benchmark_id, ranked_by=by)
    parts, lines, note = heat_map(hub, board, means)
    state = {"benchmark": benchmark_id, "by": by}
    shown = [value for line in lines for value in (line.overall, *line.values) if value is not None]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    return {
        "title": f"Domains: {board.benchmark.title}",
        "benchmark": board.benchmark,
        "board": board,
        "choices": choices(hub),
        "metric_choices": metric_choices(board.benchmark),
        "state": {name: value for name, value in state.items() if value},
        "parts": parts,
        "lines": lines,
        "note": note,
        "shade": lambda value: (value - low) / (high - low) if high > low else 0.5,
    }


def heat_map(hub: Hub, board: Board, means: Kept[tuple[str, str], dict[str, float]]) -> tuple[list[Part], list[Line], str]:
    """Returns parts, the best systems with their scores on each, and a note on what the numbers are.

    A benchmark in groups is scored group by group. Elsewhere the items' own values are averaged per domain, where the metric is
    a mean of them, and for everybody to know.
    """
    benchmark, metric = board.benchmark, board.ranked_by
    ranked = [row for row in board.rows if row.rank is not None][:N_SYSTEMS]
    scopes = [] if benchmark.task == "retrieval" else scopes_of(hub, benchmark)
    if scopes:
        boards = {scope: hub.board(benchmark.id, version=benchmark.version, scope=scope, ranked_by=metric) for scope in scopes}
        values = {scope: {row.submission_id: row.values.get(metric) for row in one.rows} for scope, one in boards.items()}
        sizes = {group.name: len(group.references) for group in hub.items(benchmark).groups}
        parts = [Part(scope, sizes.get(scope)) for scope in scopes]
        lines = [Line(row, row.values[metric], tuple(values[scope].get(row.submission_id) for scope in scopes)) for row in ranked]
        return parts, lines, "Each part is scored on its own items, as the benchmark defines it."
    return _by_domain(hub, board, ranked, means)


def _by_domain(
    hub: Hub, board: Board, ranked: Sequence[BoardRow], means: Kept[tuple[str, str], dict[str, float]]
) -> tuple[list[Part], list[Line], str]:
    benchmark, metric = board.benchmark, board.ranked_by
    if benchmark.is_private:
        return [], [], "The references of this benchmark are private; so is what parts of it got."
    if not is_mean(metric):
        return [], [], "This metric is no mean over the items; choose another one to see domains."
    try:
        items = hub.items(benchmark)
    except InputError:
        return [], [], "The items of this benchmark are not built on this hub."
    domains = _domains(items)
    if len(domains) < 2:
        return [], [], "The clips of this benchmark have no domains."
    digest = next((column.digest for column in board.columns if column.name == metric), "")
    lines = []
    for row in ranked:
        key = (row.submission_id, digest)
        found = means.get(key)
        if found is None:
            try:
                found = means.put(key, _means(hub, row.submission_id, metric, items))
            except (InputError, RightsError):
                found = {}
        lines.append(Line(row, row.values[metric], tuple(found.get(name) for name in domains)))
    parts = [Part(name, n) for name, n in domains.items()]
    return parts, lines, "Means of what the clips of each domain got within the whole benchmark."


def _domains(items: BenchmarkItems) -> Mapping[str, int]:
    """Returns the domains that have several clips, largest first, with their numbers of clips."""
    counts: defaultdict[str, int] = defaultdict(int)
    for clip in {items.clip_of(id_) for id_ in items.references}:
        if clip in items.domains:
            counts[items.domains[clip]] += 1
    kept = [(name, n) for name, n in counts.items() if n >= MIN_CLIPS]
    return dict(sorted(kept, key=lambda pair: (-pair[1], pair[0])))


def _means(hub: Hub, submission_id: str, metric: str, items: BenchmarkItems) -> dict[str, float]:
    table = hub.item_scores(submission_id)
    if metric not in table.column_names:
        return {}
    of_domain: defaultdict[str, list[float]] = defaultdict(list)
    for id_, value in zip(table["id"].to_pylist(), table[metric].to_pylist(), strict=True):
        domain = items.domains.get(items.clip_of(id_))
        if domain is not None and value is not None:
            of_domain[domain].append(value)
    return {name: float(np.mean(values)) for name, values in of_domain.items()}
