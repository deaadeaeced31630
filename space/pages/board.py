"""The leaderboard: one benchmark's ranked table, filtered and sorted, with what its numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response

from ...dataset_scripts.errors import InputError, UnifiedAudioCapsError
from ...leaderboard.benchmark import RETRIEVAL_METRICS, Benchmark
from ...leaderboard.boards.contamination import CONTAMINATION_LEVELS
from ...leaderboard.boards.overlap_report import Overlap, levels
from ...leaderboard.boards.ranking import Board, BoardColumn, BoardRow
from ...leaderboard.hub import Hub
from .site import Site, link, one_of, whole

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

ROWS = 100  # of a page
MAX_SEARCH = 200
PROVENANCES = ("all", "verified", "self_reported")
WEIGHTS = ("all", "open", "closed", "unknown")
# the weakest overlap that is still shown; what is not known yet always is
CLEAN = ("any", "test_items", "train_split", "same_source")
OVERLAPS = {
    "none": ("no overlap", "good", "None of the declared training data holds a clip of this test set."),
    "same_source": ("same source", "", "Training data come from the same collection, from other clips."),
    "train_split": ("train split", "", "Trained on this benchmark's own training split."),
    "test_items": ("test clips", "bad", "Declared training data hold clips of this test set."),
    "unknown": ("overlap unknown", "warn", "Nothing was declared, or what was cannot be looked at on this hub."),
    "": ("looking …", "", "The declared training data are being compared with the test clips."),
}
_ABOUT = {"parameters": "Parameters", "submitted": "Submitted", "attempts": "Attempts", "training": "Trained on"}
_USUAL_ABOUT = ("parameters",)


@dataclass(frozen=True)
class Wanted:
    """What an address asks of a board.

    Attributes:
        benchmark: its id.
        version: None for the newest.
        scope: a group of items; empty for the overall score.
        by: the metric to rank by; None for the benchmark's.
        columns: names of columns to show; empty for the usual ones.
        search: part of a system's name, organisation or training data.
        provenance: one of `PROVENANCES`.
        weights: one of `WEIGHTS`.
        low: fewest parameters, in millions; None for no limit.
        high: most.
        trained: a dataset that systems declare to have trained on.
        clean: one of `CLEAN`: systems of that overlap and worse are left out.
        sort: a column; `-` in front of it for descending; empty for the ranks.
        page: from 1.
    """

    benchmark: str
    version: int | None = None
    scope: str = ""
    by: str | None = None
    columns: tuple[str, ...] = ()
    search: str = ""
    provenance: str = "all"
    weights: str = "all"
    low: float | None = None
    high: float | None = None
    trained: str = ""
    clean: str = "any"
    sort: str = ""
    page: int = 1

    @classmethod
    def of(cls, params: QueryParams, default: str) -> Wanted:
        """Returns what the parameters of an address ask for; what they do not name, or name wrongly, is as usual."""
        version = whole(params, "version", 0, 0, 10**6)
        return cls(
            params.get("benchmark") or default,
            version or None,
            params.get("scope", "")[:MAX_SEARCH],
            params.get("by") or None,
            tuple(params.getlist("columns"))[:100],
            params.get("search", "")[:MAX_SEARCH].strip(),
            one_of(params, "provenance", PROVENANCES, "all"),
            one_of(params, "weights", WEIGHTS, "all"),
            _number(params.get("low")),
            _number(params.get("high")),
            params.get("trained", "")[:MAX_SEARCH].strip(),
            one_of(params, "clean", CLEAN, "any"),
            params.get("sort", "")[:MAX_SEARCH],
            whole(params, "page", 1, 1, 10**6),
        )

    def state(self) -> dict[str, Any]:
        """Returns the parameters of the address that asks for this; the usual is left out."""
        values: dict[str, Any] = {"benchmark": self.benchmark, "version": self.version, "scope": self.scope, "by": self.by}
        values.update(columns=self.columns, search=self.search, trained=self.trained, sort=self.sort)
        values.update(low=_plain(self.low), high=_plain(self.high), page=self.page if self.page > 1 else None)
        for name, usual in (("provenance", "all"), ("weights", "all"), ("clean", "any")):
            found = getattr(self, name)
            values[name] = None if found == usual else found
        return {name: value for name, value in values.items() if value not in (None, "", ())}

    @property
    def n_filters(self) -> int:
        """How many filters are set besides the search."""
        usual, names = Wanted(self.benchmark), ("provenance", "weights", "low", "high", "trained", "clean")
        return sum(getattr(self, name) != getattr(usual, name) for name in names)


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "nan")
    except ValueError:
        return None
    return found if 0 <= found < 1e12 else None


def _plain(number: float | None) -> str | None:
    return None if number is None else f"{number:g}"


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""

    @app.get("/", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        return site.page(request, "board.html", **view(site, Wanted.of(request.query_params, default_benchmark(site.hub))))


def default_benchmark(hub: Hub) -> str:
    """Returns the benchmark that is shown first: of those with systems the one of most clips, else the first."""
    known = hub.benchmarks()
    boards = set(hub.store.boards())
    used = [one for one in known if (one.id, one.version) in boards]
    return max(used, key=lambda one: one.n_items, default=known[0]).id


def choices(hub: Hub) -> list[tuple[str, list[Benchmark]]]:
    """Returns the benchmarks to choose from, in two groups: with systems, and without."""
    boards = {id_ for id_, _ in hub.store.boards()}
    used: list[Benchmark] = []
    unused: list[Benchmark] = []
    for one in hub.benchmarks():
        (used if one.id in boards else unused).append(one)
    return [(title, found) for title, found in (("With systems", used), ("Nobody yet", unused)) if found]


def view(site: Site, wanted: Wanted) -> dict[str, Any]:
    """Returns what the template shows.

    Raises:
        UnknownNameError: there is no such benchmark, group or metric.
    """
    hub = site.hub
    benchmark = hub.benchmark(wanted.benchmark, wanted.version)
    board = hub.board(wanted.benchmark, version=wanted.version, scope=wanted.scope, ranked_by=wanted.by)
    found = overlaps_of(hub, board)
    kept = [row for row in board.rows if is_wanted(row, wanted, found)]
    columns = shown_columns(board, wanted.columns)
    about = [name for name in _ABOUT if name in (wanted.columns or _USUAL_ABOUT)]
    ordered = sorted_rows(kept, wanted.sort)
    n_pages = max(1, -(-len(ordered) // ROWS))
    page = min(wanted.page, n_pages)
    state = wanted.state()
    return {
        "title": benchmark.title,
        "wanted": wanted,
        "state": state,
        "benchmark": benchmark,
        "board": board,
        "choices": choices(hub),
        "scopes": scopes_of(hub, benchmark),
        "columns": columns,
        "about": about,
        "about_titles": _ABOUT,
        "all_columns": board.columns,
        "usual_columns": ",".join([*(one.name for one in board.columns if one.name == one.metric), *_USUAL_ABOUT]),
        "rows": ordered[(page - 1) * ROWS : page * ROWS],
        "best": {column.name: _best(board, column) for column in columns},
        "n_found": len(ordered),
        "page": page,
        "n_pages": n_pages,
        "first_row": (page - 1) * ROWS,
        "overlaps": found,
        "overlap_words": OVERLAPS,
        "sort_link": lambda name, higher=True: _sort_link(state, wanted.sort, name, higher),
        "exports": _exports(wanted),
        "trained_names": _trained_names(board),
        "metric_choices": metric_choices(benchmark),
        "is_looking": None in found.values(),
    }


def overlaps_of(hub: Hub, board: Board) -> dict[str, Overlap | None]:
    """Returns the overlap of every system by submission id, as far as it is known; None while it is being looked up."""
    try:
        return levels(hub, board, wait=False)
    except UnifiedAudioCapsError:  # the references were taken away: the board stays
        return {}


def scopes_of(hub: Hub, benchmark: Benchmark) -> list[str]:
    """Returns the groups of items that have scores of their own."""
    if benchmark.task == "retrieval":
        return ["audio_to_text"]
    try:
        names = [group.name for group in hub.items(benchmark).groups]
    except InputError:  # not built here
        return []
    return names if len(names) > 1 else []


def is_wanted(row: BoardRow, wanted: Wanted, found: Mapping[str, Overlap | None]) -> bool:
    """Tells whether a row passes all filters."""
    system = row.system
    if wanted.provenance not in {"all", row.provenance}:
        return False
    if wanted.weights != "all" and {True: "open", False: "closed", None: "unknown"}[system.open_weights] != wanted.weights:
        return False
    millions = None if system.parameters is None else system.parameters / 1e6
    if wanted.low is not None and (millions is None or millions < wanted.low):
        return False
    if wanted.high is not None and (millions is None or millions > wanted.high):
        return False
    if wanted.trained and not any(wanted.trained.casefold() in name.casefold() for name in system.training_data):
        return False
    if wanted.clean != "any":
        overlap = found.get(row.submission_id)
        order = CONTAMINATION_LEVELS.index
        if overlap is not None and overlap.level != "unknown" and order(overlap.level) >= order(wanted.clean):
            return False
    return not wanted.search or all(word in _searched(row) for word in wanted.search.casefold().split())


def _searched(row: BoardRow) -> str:
    one = row.system
    return "\n".join((one.name, one.organisation, one.hub_repo, row.account, *one.training_data)).casefold()


def shown_columns(board: Board, names: Sequence[str]) -> list[BoardColumn]:
    """Returns the columns to show, the one that ranks first: those that were asked for, or every metric without its parts."""
    asked = [column for column in board.columns if column.name in names]
    usual = [column for column in board.columns if column.metric == column.name]
    return sorted(asked or usual, key=lambda column: column.metric != board.ranked_by)


def sorted_rows(rows: Sequence[BoardRow], sort: str) -> list[BoardRow]:
    """Returns rows in the order that an address asks for; those without a value stand last."""
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if not name or name == "rank":
        return list(reversed(rows)) if descending else list(rows)
    special: dict[str, Callable[[BoardRow], Any]] = {
        "system": lambda row: row.system.name.casefold(),
        "parameters": lambda row: row.system.parameters,
        "submitted": lambda row: row.submitted_at,
        "attempts": lambda row: row.attempts,
        "training": lambda row: "; ".join(row.system.training_data).casefold() or None,
    }
    value: Callable[[BoardRow], Any] = special.get(name) or (lambda row: row.values.get(name))
    with_value = [row for row in rows if value(row) is not None]
    without = [row for row in rows if value(row) is None]
    return [*sorted(with_value, key=value, reverse=descending), *without]


def _sort_link(state: Mapping[str, Any], sort: str, name: str, higher_first: bool) -> str:
    first, second = (f"-{name}", name) if higher_first else (name, f"-{name}")
    return link("/", state, sort=second if sort == first else first, page=None)


def _best(board: Board, column: BoardColumn) -> float | None:
    values = [row.values[column.name] for row in board.rows if row.provenance == "verified" and column.name in row.values]
    return (max if column.higher_is_better else min)(values, default=None)


def _exports(wanted: Wanted) -> list[tuple[str, str]]:
    path = f"/api/v1/leaderboard/{wanted.benchmark}"
    state = {"version": wanted.version, "scope": wanted.scope, "ranked_by": wanted.by}
    names = (("csv", "CSV"), ("parquet", "Parquet"), ("latex", "LaTeX"), ("bibtex", "BibTeX"), ("json", "JSON"))
    return [(title, link(path, state, format=name)) for name, title in names]


def _trained_names(board: Board) -> tuple[str, ...]:
    found: Iterable[str] = {name for row in board.rows for name in row.system.training_data}
    return tuple(sorted(found, key=str.casefold)[:200])


def metric_choices(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Returns name and title of every metric of a benchmark."""
    from ...evaluators.metric import METRICS
    from ...leaderboard.boards.ranking import RETRIEVAL_TITLES

    return [
        (name, RETRIEVAL_TITLES[name] if name in RETRIEVAL_METRICS else METRICS.get(name).title) for name in benchmark.metrics
    ]
