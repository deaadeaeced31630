"""Two to four systems side by side: who is better and how surely, on which clips, and where to hear the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request, Response

from ...evaluators.metric import METRICS, Floats
from ...leaderboard.benchmark import RETRIEVAL_METRICS, Benchmark, BenchmarkItems
from ...leaderboard.boards.ranking import RETRIEVAL_TITLES, Board, BoardRow
from ...leaderboard.hub import Actor, Comparison, Hub
from ...leaderboard.scoring import is_mean
from .board import choices, default_benchmark
from .samples import MAX_CHOICES, MAX_TEXT, Explorer, Pool, Said, candidates, chosen, closed, explorer_of, mean_of, said, short
from .site import Site, link, whole
from .sounds import Sounds, address_of, sounds_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MAX_SYSTEMS = 4
EXAMPLES = 5  # of wins, and of losses
MAX_PARTS = 30
SHOWN = 0.00005  # a smaller difference is told as 0.00
SURE = 0.05  # a smaller p-value tells two systems apart


@dataclass(frozen=True)
class Wanted:
    """What an address asks for.

    Attributes:
        benchmark: its id.
        systems: names on the board, or ids of submissions; empty for the best two.
        metric: what parts and clips are compared by; empty for the metric that ranks.
        against: the place among the systems, from 1, that the first one's wins and losses are against.
    """

    benchmark: str
    systems: tuple[str, ...] = ()
    metric: str = ""
    against: int = 1

    @classmethod
    def of(cls, params: QueryParams, default: str) -> Wanted:
        """Returns what the parameters of an address ask for; what they do not name, or name wrongly, is as usual."""
        return cls(
            params.get("benchmark") or default,
            tuple(one[: MAX_SYSTEMS * MAX_TEXT] for one in params.getlist("systems") if one)[:MAX_CHOICES],
            params.get("metric", "")[:MAX_TEXT],
            whole(params, "against", 1, 1, MAX_SYSTEMS - 1),
        )


@dataclass(frozen=True)
class Verdict:
    """What can be said about two systems by one metric.

    Attributes:
        metric: its name.
        title: as people call it.
        found: the paired test; None where one of them lacks the metric.
        better: the name of the better system; empty where they cannot be told apart.
        words: the same as a sentence without numbers.
    """

    metric: str
    title: str
    found: Comparison | None
    better: str
    words: str

    @property
    def p(self) -> str:
        """The p-value as people write it."""
        return p_in_words(self.found.p_value) if self.found is not None and self.found.p_value is not None else ""


@dataclass(frozen=True)
class PartRow:
    """How systems do on a part of the items.

    Attributes:
        name: of the group or the domain.
        n: how many items.
        means: per system, NaN where there is none.
        shares: per system how far its bar reaches, 0 to 1.
        leads: per further system by how much the first one is better (worse: below 0).
        lead_shares: the same as shares of the largest lead, -1 to 1.
    """

    name: str
    n: int
    means: tuple[float, ...]
    shares: tuple[float, ...]
    leads: tuple[float, ...]
    lead_shares: tuple[float, ...]


@dataclass(frozen=True)
class Example:
    """An item on which two systems differ.

    Attributes:
        id: of the item.
        name: the same, short.
        lead: by how much the first one is better.
        sound: where it is heard; empty where it is not on this machine.
        references: of the item.
        said: by the two.
        address: of the item in the sample explorer.
    """

    id: str
    name: str
    lead: float
    sound: str
    references: tuple[str, ...]
    said: tuple[Said, ...]
    address: str


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""
    explorer, sounds = explorer_of(app, site.hub), sounds_of(app, site.hub)

    @app.get("/compare", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        wanted = Wanted.of(request.query_params, default_benchmark(site.hub))
        return site.page(request, "compare.html", **view(explorer, sounds, wanted, request.state.actor))


def view(explorer: Explorer, sounds: Sounds, wanted: Wanted, actor: Actor | None) -> dict[str, Any]:
    """Returns what the template shows.

    Raises:
        UnknownNameError: there is no such benchmark.
    """
    hub = explorer.hub
    benchmark = hub.benchmark(wanted.benchmark)
    board = hub.board(benchmark.id)
    rows, unknown = chosen(board, wanted.systems, MAX_SYSTEMS)
    if not wanted.systems:
        rows = rows[:2]
    metric = wanted.metric if wanted.metric in benchmark.metrics else benchmark.primary_metric
    against = min(wanted.against, max(1, len(rows) - 1))
    names = [row.system.name for row in rows]
    state = {"benchmark": benchmark.id, "systems": names, "metric": wanted.metric, "against": against if against > 1 else None}
    is_enough = len(rows) > 1
    why_not = closed(hub, benchmark)
    shown: dict[str, Any] = {
        "title": f"Compare: {' and '.join(names[:2])}" if is_enough else f"Compare: {benchmark.title}",
        "state": state,
        "benchmark": benchmark,
        "board": board,
        "choices": choices(hub),
        "candidates": candidates(board, rows),
        "systems": rows,
        "unknown": unknown,
        "metric": metric,
        "metrics": [(name, title_of(name)) for name in benchmark.metrics],
        "against": against,
        "closed": why_not,
        "pairs": pairs_of(hub, board, rows) if is_enough else [],
        "parts": [],
        "parts_of": "",
        "wins": [],
        "losses": [],
        "is_mean": is_mean(metric),
    }
    if why_not or not is_enough:
        return shown
    items = hub.items(benchmark)
    parts_of, parts = parts_table(explorer, board, items, rows, metric)
    is_heard = sounds.are_here(board.benchmark, actor)
    wins, losses = examples(explorer, board, items, (rows[0], rows[against]), metric, is_heard)
    return {**shown, "parts_of": parts_of, "parts": parts, "wins": wins, "losses": losses}


def title_of(metric: str) -> str:
    """Returns what people call a metric, those of retrieval too."""
    return RETRIEVAL_TITLES[metric] if metric in RETRIEVAL_METRICS else METRICS.get(metric).title


def is_higher_better(metric: str) -> bool:
    """Tells whether more of a metric is better."""
    return metric in RETRIEVAL_METRICS or METRICS.get(metric).direction == "higher"


# -- the paired test -------------------------------------------------------------------------------------------------------------


def pairs_of(hub: Hub, board: Board, rows: Sequence[BoardRow]) -> list[tuple[BoardRow, BoardRow, list[Verdict]]]:
    """Returns what can be said about every two of the systems, by every metric of the benchmark."""
    return [
        (first, second, [verdict(hub, board.benchmark, first, second, metric) for metric in board.benchmark.metrics])
        for first, second in combinations(rows, 2)
    ]


def verdict(hub: Hub, benchmark: Benchmark, first: BoardRow, second: BoardRow, metric: str) -> Verdict:
    """Returns what can be said about two systems by one metric."""
    title = title_of(metric)
    if metric not in first.values or metric not in second.values:
        return Verdict(metric, title, None, "", "one of them has no such score")
    found = hub.compare(benchmark.id, first.submission_id, second.submission_id, metric)
    if found.p_value is None:
        return Verdict(metric, title, found, "", "no test: there are no resamples of this score")
    if found.p_value >= SURE:
        return Verdict(metric, title, found, "", "cannot be told apart")
    if abs(found.difference) < SHOWN:
        return Verdict(metric, title, found, "", "differ by less than is shown")
    better = first if (found.difference > 0) == is_higher_better(metric) else second
    return Verdict(metric, title, found, better.system.name, f"{better.system.name} is better")


def p_in_words(p: float) -> str:
    """Returns a p-value as people write it.

    >>> p_in_words(0.0325), p_in_words(0.0004), p_in_words(1.0)
    ('p = .033', 'p < .001', 'p = 1')
    """
    if p >= 0.9995:
        return "p = 1"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


# -- parts -----------------------------------------------------------------------------------------------------------------------


def parts_table(
    explorer: Explorer, board: Board, items: BenchmarkItems, rows: Sequence[BoardRow], metric: str
) -> tuple[str, list[PartRow]]:
    """Returns what the parts are, `group` or `domain`, and how the systems do on each; nothing where there are no parts.

    A part's value is the mean of its items' values, so there is none of metrics that are no means.
    """
    if not is_mean(metric):
        return "", []
    if len(items.groups) > 1:
        kind = "group"
        pools = [explorer.pool(items, group.name) for group in items.groups]
        found = {pool.group.name: explorer.matrix(board, pool, rows, metric) for pool in pools}
    else:
        kind = "domain"
        pool = explorer.pool(items, "")
        places: dict[str, list[int]] = {}
        for place, id_ in enumerate(pool.ids):
            places.setdefault(items.domains.get(items.clip_of(id_), ""), []).append(place)
        values = explorer.matrix(board, pool, rows, metric)
        found = {name or "no domain": values[:, here] for name, here in places.items()}
    if len(found) < 2:
        return "", []
    return kind, _part_rows(dict(list(found.items())[:MAX_PARTS]), 1.0 if is_higher_better(metric) else -1.0)


def _part_rows(values: Mapping[str, Floats], sign: float) -> list[PartRow]:
    means = {name: mean_of(one.T) for name, one in values.items()}
    leads = {name: sign * (one[0] - one[1:]) for name, one in means.items()}
    most, far = (float(np.nanmax(np.abs(np.stack(list(one.values()))))) or 1.0 for one in (means, leads))
    return [
        PartRow(
            name,
            values[name].shape[1],
            tuple(map(float, one)),
            tuple(float(abs(value) / most) for value in one),
            tuple(map(float, leads[name])),
            tuple(float(value / far) for value in leads[name]),
        )
        for name, one in means.items()
    ]


# -- wins and losses -------------------------------------------------------------------------------------------------------------


def examples(
    explorer: Explorer,
    board: Board,
    items: BenchmarkItems,
    pair: tuple[BoardRow, BoardRow],
    metric: str,
    is_heard: bool,
) -> tuple[list[Example], list[Example]]:
    """Returns the items on which the first system is better by most, and those on which the second one is."""
    sign = 1.0 if is_higher_better(metric) else -1.0
    leads: list[tuple[float, Pool, int]] = []
    for group in items.groups:
        pool = explorer.pool(items, group.name)
        first, second = explorer.matrix(board, pool, pair, metric)
        lead = np.nan_to_num(sign * (first - second))
        order = np.argsort(lead, kind="stable")
        ends = {*order[:EXAMPLES].tolist(), *order[-EXAMPLES:].tolist()}
        leads += [(float(lead[place]), pool, place) for place in ends]

    def example(lead: float, pool: Pool, place: int) -> Example:
        id_ = pool.ids[place]
        names = [row.system.name for row in pair]
        where = {"benchmark": board.benchmark.id, "part": pool.group.name if len(items.groups) > 1 else "", "item": id_}
        return Example(
            id_,
            short(board.benchmark, id_),
            lead,
            address_of(board.benchmark, items.clip_of(id_)) if is_heard else "",
            pool.group.references[id_],
            tuple(said(explorer, board, pool, row, id_) for row in pair),
            link("/samples", where, systems=names, metric="" if metric == board.ranked_by else metric),
        )

    leads.sort(key=lambda one: (-one[0], one[1].ids[one[2]]))
    wins = [example(*one) for one in leads[:EXAMPLES] if one[0] > 0]
    losses = [example(*one) for one in leads[::-1][:EXAMPLES] if one[0] < 0]
    return wins, losses
