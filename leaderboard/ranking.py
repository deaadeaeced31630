"""From published numbers to a ranked table; pure functions.

Only numbers of one signature share a column: scores of different encoders, tokenisers or metric versions are never comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..evaluators.metric import METRICS
from .benchmark import Benchmark
from .store import PublishedResult


@dataclass(frozen=True)
class BoardColumn:
    """One metric (or component) under one signature."""

    name: str
    metric: str
    digest: str
    signature: str


@dataclass(frozen=True)
class BoardRow:
    """One system.

    Attributes:
        rank: 1 is best, equal scores share a rank, None when the primary metric has no value under the shown signature.
        system: its name.
        submission_id: the submission that is shown, the system's newest.
        submitted_at: seconds since 1970 UTC.
        values: column name -> value in native range.
    """

    rank: int | None
    system: str
    submission_id: str
    submitted_at: float
    values: dict[str, float]


@dataclass(frozen=True)
class Board:
    """The ranked table of one benchmark version."""

    benchmark: Benchmark
    columns: tuple[BoardColumn, ...]
    rows: tuple[BoardRow, ...]


def rank(benchmark: Benchmark, results: Sequence[PublishedResult]) -> Board:
    """Returns the board of a benchmark: newest submission of each system, newest signature of each metric.

    Args:
        benchmark: gives the order of the metrics and the one that ranks. Higher is better for all of its metrics.
        results: all published numbers, oldest first.
    """
    newest: dict[str, str] = {}
    for result in results:
        newest[result.system] = max(newest.get(result.system, ""), result.submission_id)
    shown = {result.row.metric: result.row.digest for result in results}
    columns = _columns(benchmark, (r for r in results if r.row.digest == shown[r.row.metric]))
    values: dict[str, dict[str, float]] = {}
    submitted: dict[str, tuple[str, float]] = {}
    for result in results:
        if result.submission_id == newest[result.system]:
            submitted[result.system] = (result.submission_id, result.submitted_at)
            cells = values.setdefault(result.system, {})
            if result.row.digest == shown[result.row.metric]:
                cells[result.row.name] = result.row.value
    primary = benchmark.primary_metric
    ranked = sorted((cells[primary] for cells in values.values() if primary in cells), reverse=True)
    rows = [
        BoardRow(ranked.index(cells[primary]) + 1 if primary in cells else None, system, *submitted[system], cells)
        for system, cells in values.items()
    ]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, row.system))
    return Board(benchmark, columns, tuple(rows))


def _columns(benchmark: Benchmark, results: Iterable[PublishedResult]) -> tuple[BoardColumn, ...]:
    found = {(r.row.metric, r.row.name): BoardColumn(r.row.name, r.row.metric, r.row.digest, r.row.signature) for r in results}
    order = {metric: position for position, metric in enumerate(benchmark.metrics)}

    def place(key: tuple[str, str]) -> tuple[int, int]:
        metric, name = key
        # a metric's own score stands before its components
        return order.get(metric, len(order)), [metric, *METRICS.get(metric).components].index(name)

    keys = sorted(found, key=place)
    return tuple(found[key] for key in keys)
