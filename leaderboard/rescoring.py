"""What scoring a board again would change, before it changes."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset_scripts.progress import progress
from .boards.ranking import make_board
from .hub import Hub
from .storage.records import Job, ResultRow


@dataclass(frozen=True)
class RankChange:
    """One system of a board, before and after.

    Attributes:
        system: its name.
        submission_id: what is on the board.
        rank: now; None where it is not ranked.
        new_rank: after scoring again.
        value: of the metric that ranks, native range, now; None where there is none.
        new_value: after scoring again.
    """

    system: str
    submission_id: str
    rank: int | None
    new_rank: int | None
    value: float | None
    new_value: float | None


def preview(hub: Hub, benchmark_id: str) -> list[RankChange]:
    """Scores what is out of date, publishes nothing, and returns every system of the board in its new order.

    Raises:
        UnknownNameError: there is no such benchmark.
        InputError: its references were not built.
    """
    benchmark = hub.benchmark(benchmark_id)
    entries = hub.store.roster(benchmark)
    results = hub.store.results(entry.submission.id for entry in entries)
    outdated = [one for one in hub.store.outdated(benchmark) if one in results]  # the hub goes on meanwhile
    now = make_board(benchmark, entries, results)
    with progress(len(outdated), "scoring", "submission") as bar:
        for submission_id in outdated:
            job = Job("", submission_id, "preview", 0, benchmark.recipe)
            there = {_key(row) for row in results[submission_id]}
            results[submission_id] += [row for row in hub.score(job) if _key(row) not in there]
            bar.update()
    before = {row.submission_id: row for row in now.rows}
    metric = benchmark.primary_metric
    return [
        RankChange(
            row.system.name,
            row.submission_id,
            before[row.submission_id].rank,
            row.rank,
            before[row.submission_id].values.get(metric),
            row.values.get(metric),
        )
        for row in make_board(benchmark, entries, results).rows
    ]


def _key(row: ResultRow) -> tuple[str, ...]:
    return row.metric, row.name, row.scope, row.digest
