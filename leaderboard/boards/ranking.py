"""From published numbers to a ranked table; pure functions.

Only numbers of one signature share a column: scores of different encoders, tokenisers or metric versions are never comparable.
Only systems that were scored here are ranked; what was reported elsewhere stands beside them without a rank.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ...evaluators.bootstrap import FEW_ITEMS
from ...evaluators.metric import METRICS, Floats
from ..benchmark import PRIVATE_DECIMALS, RETRIEVAL_METRICS, Benchmark
from ..storage.records import Entry, ResultRow
from ..submission import System
from .rank_statistics import RankTable, rank_table

RETRIEVAL_TITLES = {"map_10": "mAP@10", "r_1": "R@1", "r_5": "R@5", "r_10": "R@10"}
Rows = Mapping[str, Sequence[ResultRow]]
Draws = Callable[[Sequence[str]], Floats | None]


@dataclass(frozen=True)
class BoardColumn:
    """One metric (or component) under one signature."""

    name: str
    metric: str
    digest: str
    signature: str
    title: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class BoardRow:
    """One system.

    Attributes:
        rank: 1 is best, equal scores share a rank, None when the system is not ranked: reported elsewhere, or not yet scored
            under the shown signature.
        low: best rank that the data allow; None where systems were not compared.
        high: worst rank that the data allow.
        tie_group: 1 for the systems that nothing separates from the first, and so on.
        system: what its owner says about it.
        account: who sent it.
        submission_id: the submission that is shown.
        submitted_at: seconds since 1970 UTC.
        attempts: how many submissions the system made to this benchmark.
        provenance: `verified` or `self_reported`.
        values: column name -> value in native range.
        intervals: column name -> ends of the 95 % interval.
    """

    rank: int | None
    low: int | None
    high: int | None
    tie_group: int | None
    system: System
    account: str
    submission_id: str
    submitted_at: float
    attempts: int
    provenance: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Board:
    """The ranked table of one benchmark version.

    Attributes:
        benchmark: what was measured.
        columns: the benchmark's metrics, each followed by its components.
        rows: ranked systems first, best first.
        ranked_by: the metric that ranks.
        scope: empty for the overall score, else the group of items.
        compared: how many systems the rank ranges compare; a range that ends there means "or worse" where there are more.
        minimal_detectable_difference: what a typical pair must differ by to be told apart; None where nothing was compared.
        revision: the state of the store that this was made from.
    """

    benchmark: Benchmark
    columns: tuple[BoardColumn, ...]
    rows: tuple[BoardRow, ...]
    ranked_by: str
    scope: str = ""
    compared: int = 0
    minimal_detectable_difference: float | None = None
    revision: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know about the ranks, in words."""
        told = []
        if self.compared and self.benchmark.n_items < FEW_ITEMS:
            told.append(f"fewer than {FEW_ITEMS} items: intervals and rank ranges are too narrow")
        if 0 < self.compared < sum(row.rank is not None for row in self.rows):
            told.append(
                f"rank ranges compare the best {self.compared}; one that ends at {self.compared} means that rank or worse"
            )
        if self.benchmark.is_private:
            told.append(f"references are private: scores are rounded to {PRIVATE_DECIMALS} decimals")
        return tuple(told)


def shown_digests(entries: Iterable[Entry], results: Rows, scope: str = "") -> dict[str, str]:
    """Returns per metric the signature that is shown: the one that most systems have, of equals the newest.

    While a board is scored again, systems gain the new signature one by one and keep the old one, which is shown until all of
    them have the new one.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seen_at: dict[str, int] = {}
    for entry in entries:
        if entry.submission.provenance == "verified":
            for row in results.get(entry.submission.id, ()):
                if row.name == row.metric and row.scope == scope:
                    counts[row.metric][row.digest] += 1
                    seen_at[row.digest] = len(seen_at)
    order = {digest: place for place, digest in enumerate(seen_at)}
    return {metric: max(found, key=lambda digest: (found[digest], order[digest])) for metric, found in counts.items()}


def make_board(
    benchmark: Benchmark,
    entries: Sequence[Entry],
    results: Rows,
    *,
    ranked_by: str | None = None,
    scope: str = "",
    draws: Draws | None = None,
    revision: int = 0,
) -> Board:
    """Returns the board of a benchmark.

    Args:
        benchmark: gives the order of the metrics and the one that ranks.
        entries: the published submissions, one per system.
        results: their numbers by submission id, oldest first.
        ranked_by: the metric to rank by; None for the benchmark's.
        scope: empty for the overall score, else the group of items.
        draws: what returns float64[resamples, submissions] of the ranking metric for submission ids, None where some are
            missing; ranges need them.
        revision: the state of the store.
    """
    ranked_by = ranked_by or benchmark.primary_metric
    shown = shown_digests(entries, results, scope)
    places: dict[str, BoardColumn] = {}
    rows = []
    for entry in entries:
        is_ours = entry.submission.provenance == "verified"
        kept = [
            row
            for row in results.get(entry.submission.id, ())
            if row.scope == scope and (not is_ours or row.digest == shown.get(row.metric))
        ]
        for row in kept:
            if is_ours and column_of(row) not in places:
                places[column_of(row)] = _column(row)
        rows.append(_row(benchmark, entry, kept))
    columns = _ordered(benchmark, places.values())
    is_better_higher = _is_higher_better(ranked_by)
    ranked = [row for row in rows if row.provenance == "verified" and ranked_by in row.values]
    table = _compared(ranked, ranked_by, draws, is_better_higher)
    if table is not None:
        done = [
            replace(row, rank=at.rank, low=at.low, high=at.high, tie_group=at.tie_group)
            for row, at in zip(ranked, table.systems, strict=True)
        ]
    else:
        done = _ranked(ranked, ranked_by, is_better_higher)
    others = [row for row in rows if not (row.provenance == "verified" and ranked_by in row.values)]
    done.sort(key=lambda row: (row.rank or 0, row.system.name))
    others.sort(key=lambda row: row.system.name)
    return Board(
        benchmark,
        columns,
        (*done, *others),
        ranked_by,
        scope,
        table.compared if table else 0,
        table.minimal_detectable_difference if table else None,
        revision,
    )


def _is_higher_better(metric: str) -> bool:
    return metric in RETRIEVAL_METRICS or METRICS.get(metric).direction == "higher"


def column_of(row: ResultRow) -> str:
    """Returns what a board calls a number: the metric's name, `date_similarity` for a component."""
    return row.name if row.name == row.metric else _component(row.metric, row.name)


@cache
def _component(metric: str, name: str) -> str:
    # finding a metric looks into its folder: a board of thousands asks a few questions thousands of times
    return METRICS.get(metric).column(name)


def _column(row: ResultRow) -> BoardColumn:
    if row.metric in RETRIEVAL_METRICS:
        return BoardColumn(row.name, row.metric, row.digest, row.signature, RETRIEVAL_TITLES[row.metric])
    metric = METRICS.get(row.metric)
    if row.name == row.metric:
        title = metric.title
    elif row.name.startswith(row.metric):
        title = row.name.upper().replace("_", "-")  # BLEU-1
    else:
        title = f"{metric.title} {row.name}"
    return BoardColumn(column_of(row), row.metric, row.digest, row.signature, title, metric.direction == "higher")


def _row(benchmark: Benchmark, entry: Entry, kept: Sequence[ResultRow]) -> BoardRow:
    told = benchmark.told
    values = {column_of(row): told(row.value) for row in kept}
    intervals = {column_of(row): (told(row.low), told(row.high)) for row in kept if row.low is not None and row.high is not None}
    one = entry.submission
    about = (one.account, one.id, one.created_at, entry.attempts, one.provenance)
    return BoardRow(None, None, None, None, entry.system, *about, values, intervals)


def _ordered(benchmark: Benchmark, columns: Iterable[BoardColumn]) -> tuple[BoardColumn, ...]:
    order = {metric: position for position, metric in enumerate(benchmark.metrics)}

    def place(column: BoardColumn) -> tuple[int, int]:
        # a metric's own score stands before its components
        if column.metric in RETRIEVAL_METRICS:
            return order[column.metric], 0
        metric = METRICS.get(column.metric)
        names = [column.metric, *map(metric.column, metric.components)]
        return order.get(column.metric, len(order)), names.index(column.name)

    return tuple(sorted(columns, key=place))


class _NoDraws(Exception):  # never leaves this module
    """Some system has no draws."""


def _compared(rows: Sequence[BoardRow], metric: str, draws: Draws | None, is_better_higher: bool) -> RankTable | None:
    """Returns ranks with their ranges, None where draws are missing."""
    if not rows or draws is None:
        return None

    def of(places: list[int]) -> Floats:
        found = draws([rows[place].submission_id for place in places])
        if found is None:
            raise _NoDraws
        return found

    try:
        return rank_table([row.values[metric] for row in rows], of, is_better_higher)
    except _NoDraws:
        return None


def _ranked(rows: Sequence[BoardRow], metric: str, is_better_higher: bool) -> list[BoardRow]:
    sign = -1.0 if is_better_higher else 1.0
    scores = sorted(sign * row.values[metric] for row in rows)
    first = {score: place for place, score in reversed(list(enumerate(scores, start=1)))}
    return [replace(row, rank=first[sign * row.values[metric]]) for row in rows]
