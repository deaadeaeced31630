"""The sample explorer: the clips of a benchmark one by one, with what every system says about them and what it got for it."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, Request, Response

from ...dataset_scripts.built import built_set
from ...dataset_scripts.errors import InputError, UnknownNameError
from ...evaluators.metric import METRICS, Floats
from ...evaluators.tasks.groups import Group
from ...leaderboard.benchmark import Benchmark, BenchmarkItems
from ...leaderboard.boards.ranking import Board, BoardRow
from ...leaderboard.hub import Actor, Hub
from ...leaderboard.kept import Kept
from .board import choices, default_benchmark
from .site import Site, link, one_of, whole
from .sounds import Sounds, address_of, sounds_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

ROWS = 50  # clips of a page of the list
MAX_SYSTEMS, MAX_CHOICES = 8, 40
MAX_TEXT = 200
SORTS = {
    "disagreement": "most disputed first",
    "best": "best first",
    "worst": "worst first",
    "id": "by id",
}
# bounds of what stays in memory: a submission to the largest benchmark has 5 MB of scores and 20 MB of texts
SCORES_KEPT, TEXTS_KEPT, POOLS_KEPT, ORDERS_KEPT = 32, 12, 8, 64
_WORD = re.compile(r"\w+(?:['’]\w+)*")

Ints = npt.NDArray[np.int64]
Piece = tuple[str, bool]  # a text, and whether it is marked


@dataclass(frozen=True)
class Wanted:
    """What an address asks for.

    Attributes:
        benchmark: its id.
        version: None for the newest.
        part: a group of items; empty for the first one.
        item: the chosen one; empty for the first of the list.
        sort: one of `SORTS`.
        systems: names on the board, or ids of submissions; empty for the best ones.
        metric: what clips are sorted by; empty for the metric that ranks.
        search: words that occur in id, references or captions.
        page: of the list, from 1; 0 for the one with the chosen clip.
    """

    benchmark: str
    version: int | None = None
    part: str = ""
    item: str = ""
    sort: str = "disagreement"
    systems: tuple[str, ...] = ()
    metric: str = ""
    search: str = ""
    page: int = 0

    @classmethod
    def of(cls, params: QueryParams, default: str) -> Wanted:
        """Returns what the parameters of an address ask for; what they do not name, or name wrongly, is as usual."""
        return cls(
            params.get("benchmark") or default,
            whole(params, "version", 0, 0, 10**6) or None,
            params.get("part", "")[:MAX_TEXT],
            params.get("item", "")[: 2 * MAX_TEXT],
            one_of(params, "sort", tuple(SORTS), "disagreement"),
            tuple(one[: MAX_SYSTEMS * MAX_TEXT] for one in params.getlist("systems") if one)[:MAX_CHOICES],
            params.get("metric", "")[:MAX_TEXT],
            params.get("search", "")[:MAX_TEXT].strip(),
            whole(params, "page", 0, 0, 10**6),
        )

    def state(self) -> dict[str, Any]:
        """Returns the parameters of the address that asks for this; the usual is left out."""
        values = {**vars(self), "sort": "" if self.sort == "disagreement" else self.sort, "page": self.page or None}
        return {name: value for name, value in values.items() if value not in (None, "", ())}


@dataclass(frozen=True)
class Pool:
    """The items of one group, in the benchmark's order.

    Attributes:
        group: with their references.
        ids: of the items.
        questions: what is asked, by item id; empty where items are no questions.
    """

    group: Group
    ids: tuple[str, ...] = field(repr=False)
    questions: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in `ids` an item is."""
        return {id_: place for place, id_ in enumerate(self.ids)}

    @cached_property
    def searched(self) -> list[str]:
        """What is looked through for the words of a search, per item."""
        references = self.group.references
        return ["\n".join((id_, self.questions.get(id_, ""), *references[id_])).casefold() for id_ in self.ids]


class Explorer:
    """What pages ask about single items; tables and texts of submissions are read once and the newest ones kept.

    Args:
        hub: has them.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._pools: Kept[tuple[str, int, str], Pool] = Kept(POOLS_KEPT)
        self._scores: Kept[tuple[str, int, str], dict[str, Floats]] = Kept(SCORES_KEPT)
        self._texts: Kept[str, dict[str, dict[str, str]]] = Kept(TEXTS_KEPT)
        self._orders: Kept[tuple[object, ...], Ints] = Kept(ORDERS_KEPT)
        # of many who ask for the same at once, one reads; who asks for something else hardly ever waits
        self._reading = [threading.Lock() for _ in range(64)]

    def pool(self, items: BenchmarkItems, part: str) -> Pool:
        """Returns the items of a group; of the first one where there is none of that name."""
        benchmark = items.benchmark
        group = next((one for one in items.groups if one.name == part), items.groups[0])
        key = (benchmark.id, benchmark.version, group.name)
        found = self._pools.get(key)
        if found is None:
            questions = self._questions(benchmark, group) if benchmark.task == "mecat_qa" else {}
            found = self._pools.put(key, Pool(group, tuple(group.references), questions))
        return found

    def _questions(self, benchmark: Benchmark, group: Group) -> dict[str, str]:
        """Returns what is asked, as far as the set that the questions are from is built here."""
        found: dict[str, str] = {}
        try:
            one = built_set(f"{benchmark.config}/{benchmark.split}", self.hub.data)
        except (InputError, UnknownNameError):
            return found
        for batch in one.batches(["qa"]):
            flat = batch["qa"].flatten()
            for id_, question in zip(flat.field("qa_id").to_pylist(), flat.field("question").to_pylist(), strict=True):
                if id_ in group.references:
                    found[id_] = question or ""
        return found

    def scores(self, board: Board, submission_id: str, pool: Pool) -> dict[str, Floats]:
        """Returns float64[items] per metric: what every item of a submission got, NaN where it got nothing.

        Raises:
            RightsError: the benchmark's references are private.
            InputError: the file of the scores is gone.
        """
        key = (submission_id, board.revision, pool.group.name)
        found = self._scores.get(key)
        if found is None:
            with self._lock_of(key):
                found = self._scores.get(key) or self._scores.put(key, self._read(board, submission_id, pool))
        return found

    def _read(self, board: Board, submission_id: str, pool: Pool) -> dict[str, Floats]:
        table = self.hub.item_scores(submission_id)
        groups, ids = table["group"].to_pylist(), table["id"].to_pylist()
        rows = [row for row, group in enumerate(groups) if group == pool.group.name and ids[row] in pool.places]
        places = [pool.places[ids[row]] for row in rows]
        found = {}
        for metric in board.benchmark.metrics:
            values = np.full(len(pool.ids), np.nan)
            if metric in table.column_names:
                values[places] = table[metric].to_numpy()[rows]
            found[metric] = values
        return found

    def texts(self, submission_id: str, pool: Pool) -> Mapping[str, str]:
        """Returns what a submission says, by item id.

        Raises:
            RightsError: the benchmark's references are private.
            UnknownNameError: it was taken off the board.
        """
        found = self._texts.get(submission_id)
        if found is None:
            with self._lock_of(submission_id):
                found = self._texts.get(submission_id) or self._texts.put(submission_id, self.hub.predictions(submission_id))
        return found.get(pool.group.subtask, {})

    def _lock_of(self, key: object) -> threading.Lock:
        return self._reading[hash(key) % len(self._reading)]

    def order(self, board: Board, pool: Pool, rows: Sequence[BoardRow], wanted: Wanted, metric: str) -> Ints:
        """Returns the places of the items that the search finds, in the order that is asked for."""
        ids = tuple(row.submission_id for row in rows)
        key = (
            board.benchmark.id,
            board.benchmark.version,
            board.revision,
            pool.group.name,
            ids,
            metric,
            wanted.sort,
            wanted.search,
        )
        found = self._orders.get(key)
        if found is None:
            found = self._orders.put(key, self._ordered(board, pool, rows, wanted, metric))
        return found

    def _ordered(self, board: Board, pool: Pool, rows: Sequence[BoardRow], wanted: Wanted, metric: str) -> Ints:
        order = np.arange(len(pool.ids))
        if wanted.sort != "id" and rows:
            values = self.matrix(board, pool, rows, metric)
            badness = {"disagreement": -spread_of(values), "best": -mean_of(values), "worst": mean_of(values)}[wanted.sort]
            if wanted.sort != "disagreement" and not is_higher_better(metric):
                badness = -badness
            order = np.argsort(np.where(np.isnan(badness), np.inf, badness), kind="stable")
        if not wanted.search:
            return order
        words = wanted.search.casefold().split()
        said = [self.texts(row.submission_id, pool) for row in rows]

        def is_found(place: int) -> bool:
            text = pool.searched[place]
            missing = [word for word in words if word not in text]
            if not missing:
                return True
            more = "\n".join(one.get(pool.ids[place], "") for one in said).casefold()
            return all(word in more for word in missing)

        return np.array([place for place in order.tolist() if is_found(place)], np.int64)

    def matrix(self, board: Board, pool: Pool, rows: Sequence[BoardRow], metric: str) -> Floats:
        """Returns float64[systems, items] of one metric."""
        return np.stack([self.scores(board, row.submission_id, pool)[metric] for row in rows])


def explorer_of(app: FastAPI, hub: Hub) -> Explorer:
    """Returns what all pages of an application ask about single items."""
    if not hasattr(app.state, "explorer"):
        app.state.explorer = Explorer(hub)
    found: Explorer = app.state.explorer
    return found


def spread_of(values: Floats) -> Floats:
    """Returns float64[items]: how far float64[systems, items] are apart."""
    found: Floats = np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0)
    return found


def mean_of(values: Floats) -> Floats:
    """Returns float64[items]: the mean of float64[systems, items], of those that have a value."""
    there = ~np.isnan(values)
    total, n = np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0)
    found: Floats = np.divide(total, n, out=np.full(values.shape[1], np.nan), where=n > 0)
    return found


def is_higher_better(metric: str) -> bool:
    """Tells whether more of a metric is better."""
    return METRICS.get(metric).direction == "higher"


# -- words -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """A text beside its references, word by word.

    Attributes:
        pieces: the text; marked are words that stand in no reference.
        new: those words.
        nearest: the place of the reference with most words in common; None where there is no reference.
    """

    pieces: tuple[Piece, ...]
    new: tuple[str, ...]
    nearest: int | None


def word_diff(text: str, references: Sequence[str]) -> Words:
    """Compares the words of a text with those of its references, whatever their case and order.

    >>> word_diff("A dog growls", ["a dog barks"]).pieces
    (('A dog ', False), ('growls', True))
    """
    own = Counter(_words(text))
    theirs = [Counter(_words(one)) for one in references]

    def likeness(place: int) -> float:
        return 2 * (own & theirs[place]).total() / max(1, own.total() + theirs[place].total())

    nearest = max(range(len(references)), key=likeness, default=None)
    known = frozenset[str]().union(*theirs)
    new = tuple(dict.fromkeys(word for word in _words(text) if word not in known))
    return Words(_pieces(text, known), new, nearest)


def _words(text: str) -> list[str]:
    return [one.casefold() for one in _WORD.findall(text)]


def _pieces(text: str, known: frozenset[str]) -> tuple[Piece, ...]:
    found: list[Piece] = []

    def add(piece: str, marked: bool) -> None:
        if piece and found and found[-1][1] == marked:
            found[-1] = (found[-1][0] + piece, marked)
        elif piece:
            found.append((piece, marked))

    end = 0
    for match in _WORD.finditer(text):
        add(text[end : match.start()], False)
        add(match.group(), match.group().casefold() not in known)
        end = match.end()
    add(text[end:], False)
    return tuple(found)


# -- the page --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What one system says about an item.

    Attributes:
        row: of the board.
        text: as it was sent.
        words: beside the references.
        values: what it got, by metric; None where nothing.
    """

    row: BoardRow
    text: str
    words: Words
    values: Mapping[str, float | None]


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""
    explorer, sounds = explorer_of(app, site.hub), sounds_of(app, site.hub)

    @app.get("/samples", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        wanted = Wanted.of(request.query_params, default_benchmark(site.hub))
        return site.page(request, "samples.html", **view(explorer, sounds, wanted, request.state.actor))


def view(explorer: Explorer, sounds: Sounds, wanted: Wanted, actor: Actor | None) -> dict[str, Any]:
    """Returns what the template shows.

    Raises:
        UnknownNameError: there is no such benchmark or item.
    """
    hub = explorer.hub
    benchmark = hub.benchmark(wanted.benchmark, wanted.version)
    shown: dict[str, Any] = {
        "title": f"Listen: {benchmark.title}",
        "wanted": wanted,
        "state": wanted.state(),
        "benchmark": benchmark,
        "choices": choices(hub),
        "sorts": SORTS,
        "closed": closed(hub, benchmark),
    }
    if shown["closed"]:
        return shown
    items = hub.items(benchmark)
    item = items.resolve(wanted.item) if wanted.item else None
    if wanted.item and item is None:
        raise UnknownNameError(f"item of {benchmark.id}", wanted.item, ())
    part = wanted.part or next((one.name for one in items.groups if item in one.references), "")
    pool = explorer.pool(items, part)
    board = hub.board(benchmark.id, version=benchmark.version)
    rows, unknown = chosen(board, wanted.systems)
    metric = wanted.metric if wanted.metric in benchmark.metrics else benchmark.primary_metric
    order = explorer.order(board, pool, rows, wanted, metric)
    at = _position(order, pool, item)
    n_pages = max(1, -(-len(order) // ROWS))
    page = min(wanted.page, n_pages) or (1 if at is None else at // ROWS + 1)
    state = {**shown["state"], "page": None}
    values = explorer.matrix(board, pool, rows, metric) if rows else np.empty((0, len(pool.ids)))
    return {
        **shown,
        "board": board,
        "parts": [one.name for one in items.groups] if len(items.groups) > 1 else [],
        "part": pool.group.name,
        "metric": metric,
        "metrics": [(name, METRICS.get(name).title) for name in benchmark.metrics],
        "systems": rows,
        "unknown": unknown,
        "candidates": candidates(board, rows),
        "n_found": len(order),
        "n_items": len(pool.ids),
        "listed": _listed(benchmark, pool, order[(page - 1) * ROWS : page * ROWS], values),
        "page": page,
        "n_pages": n_pages,
        "first_row": (page - 1) * ROWS,
        "at": at,
        "item_link": lambda id_: link("/samples", state, item=id_),
        "page_link": lambda number: link(
            "/samples", shown["state"], page=number, item=None if at is None else pool.ids[order[at]]
        ),
        **(_chosen(explorer, sounds, actor, board, items, pool, rows, order, at) if at is not None else {"item": None}),
    }


def closed(hub: Hub, benchmark: Benchmark) -> str:
    """Returns why the items of a benchmark cannot be looked at one by one; empty where they can."""
    if benchmark.is_private:
        return "private"
    if benchmark.task == "retrieval":
        return "retrieval"
    try:
        hub.items(benchmark)
    except InputError:
        return "not built"
    return ""


def chosen(board: Board, names: Sequence[str], most: int = MAX_SYSTEMS) -> tuple[list[BoardRow], list[str]]:
    """Returns the systems of a board that are named, and the names of which there is none.

    Args:
        board: the board.
        names: of systems, or ids of submissions; several may stand in one, separated by commas. The best systems where there
            are none, or none of them is on the board.
        most: at most so many.
    """
    scored = [row for row in board.rows if row.provenance == "verified"]
    known = {row.submission_id: row for row in scored} | {row.system.name: row for row in scored}
    asked = [one for name in names for one in ([name] if name in known else name.split(","))]
    found = list({row.submission_id: row for name in asked if (row := known.get(name.strip()))}.values())
    unknown = [name.strip() for name in asked if name.strip() and name.strip() not in known]
    return (found[:most], unknown) if found else (scored[: min(most, 5)], [])


def candidates(board: Board, rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Returns the systems to choose from: the best ones, and those that are chosen."""
    best = [row for row in board.rows if row.provenance == "verified"][:MAX_CHOICES]
    return [*best, *(row for row in rows if row not in best)]


def _position(order: Ints, pool: Pool, item: str | None) -> int | None:
    """Returns where in the list the chosen item is, or the first one; None where the list is empty."""
    if not len(order):
        return None
    place = pool.places.get(item or "")
    found = np.flatnonzero(order == place) if place is not None else np.empty(0, np.int64)
    return int(found[0]) if len(found) else 0


def _listed(benchmark: Benchmark, pool: Pool, places: Ints, values: Floats) -> list[dict[str, Any]]:
    spread = spread_of(values[:, places]) if len(values) > 1 else np.full(len(places), np.nan)
    mean = mean_of(values[:, places]) if len(values) else np.full(len(places), np.nan)
    return [
        {
            "id": pool.ids[place],
            "name": short(benchmark, pool.ids[place]),
            "text": pool.questions.get(pool.ids[place]) or pool.group.references[pool.ids[place]][0],
            "spread": _number(spread[row]),
            "mean": _number(mean[row]),
        }
        for row, place in enumerate(places.tolist())
    ]


def short(benchmark: Benchmark, id_: str) -> str:
    """Returns an id without what all ids of the benchmark begin with."""
    return id_.removeprefix(f"{benchmark.config}/{benchmark.split}/")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def said(explorer: Explorer, board: Board, pool: Pool, row: BoardRow, id_: str) -> Said:
    """Returns what a system says about an item and got for it."""
    scores, place = explorer.scores(board, row.submission_id, pool), pool.places[id_]
    text = explorer.texts(row.submission_id, pool).get(id_, "")
    values = {metric: _number(found[place]) for metric, found in scores.items()}
    return Said(row, text, word_diff(text, pool.group.references[id_]), values)


def _chosen(
    explorer: Explorer,
    sounds: Sounds,
    actor: Actor | None,
    board: Board,
    items: BenchmarkItems,
    pool: Pool,
    rows: Sequence[BoardRow],
    order: Ints,
    at: int,
) -> dict[str, Any]:
    id_ = pool.ids[order[at]]
    clip_id, ranked = items.clip_of(id_), board.ranked_by
    lines = [said(explorer, board, pool, row, id_) for row in rows]
    sign = 1.0 if is_higher_better(ranked) else -1.0
    lines.sort(key=lambda one: -sign * (one.values[ranked] if one.values[ranked] is not None else -sign * np.inf))  # type: ignore[operator]
    best = {}
    for metric in board.benchmark.metrics:
        found = [value for one in lines if (value := one.values[metric]) is not None]
        best[metric] = (max if is_higher_better(metric) else min)(found, default=None)
    return {
        "item": id_,
        "clip": sounds.of_benchmark(board.benchmark, clip_id, actor),
        "domain": items.domains.get(clip_id, ""),
        "question": pool.questions.get(id_, ""),
        "references": pool.group.references[id_],
        "lines": lines,
        "best": best,
        "previous": pool.ids[order[at - 1]] if at else None,
        "following": pool.ids[order[at + 1]] if at + 1 < len(order) else None,
        "following_sounds": _ahead(items, pool, order, at) if sounds.are_here(board.benchmark, actor) else (),
    }


def _ahead(items: BenchmarkItems, pool: Pool, order: Ints, at: int) -> tuple[str, ...]:
    """Returns the address of what is heard next, for browsers to get ready."""
    return tuple(address_of(items.benchmark, items.clip_of(pool.ids[place])) for place in order[at + 1 : at + 2])
