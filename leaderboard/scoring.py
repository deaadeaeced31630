"""Scores one valid submission: its numbers for the board, and the file of what every item got."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset_scripts.errors import InputError
from ..evaluators.bootstrap import LEVEL, Resampling
from ..evaluators.metric import METRICS, Floats, MetricResult
from ..evaluators.tasks.groups import GroupReport, Report, evaluate
from ..evaluators.workspace import Options
from .benchmark import RETRIEVAL_METRICS, Benchmark, BenchmarkItems
from .boards.rank_statistics import ClipCounts, WeightedGroup, contributions, corpus_draws, mean_draws, ratio_draws, strata_of
from .storage.records import ResultRow

if TYPE_CHECKING:
    import pyarrow as pa

    from ..evaluators.tasks.retrieval import RetrievalResult
    from .intake.embeddings import Embeddings
    from .intake.validation import ValidationReport

ITEMS_SUFFIX, DRAWS_SUFFIX = ".items.parquet", ".draws.parquet"
STATS = "_statistics"  # ends the column of a metric's rows of statistics, where its score is no mean of its items
AUDIO_TO_TEXT = "audio_to_text"
_RETRIEVAL_COLUMNS = {"map_10": "ap_10"}


@dataclass(frozen=True)
class Scored:
    """What a submission got.

    Attributes:
        rows: the numbers; the names of their files are still empty.
        items: parquet bytes: a row per item and group, `group`, `id` and per metric what the item got.
        draws: parquet bytes: a column per metric, a row per resample of the clips: the overall score.
    """

    rows: tuple[ResultRow, ...]
    items: bytes
    draws: bytes

    def named(self, items_sha256: str, draws_sha256: str) -> list[ResultRow]:
        """Returns the numbers with the names of their files."""
        return [replace(row, items_sha256=items_sha256, draws_sha256=draws_sha256) for row in self.rows]


@dataclass(frozen=True)
class Part:
    """A group's share in a score: its weight, and what every item got (`stats`: rows of statistics, for what is no mean)."""

    weight: float
    ids: Sequence[str]
    values: Floats
    stats: Floats


def score_submission(
    items: BenchmarkItems, report: ValidationReport, done: Callable[[], None] = lambda: None, device: str | None = None
) -> Scored:
    """Returns the scores of a valid submission.

    Args:
        items: the benchmark's items.
        report: what validation made of the file, without problems.
        done: called after each step.
        device: where encoders run; None for the settings' choice. All else that could move a score comes from the benchmark.

    Raises:
        UnifiedAudioCapsError: as `evaluators.score.score`.
    """
    if items.benchmark.task == "retrieval":
        assert report.embeddings is not None  # noqa: S101 # a valid report of this task has them
        scored = _retrieval(items, report.embeddings)
        done()
        return scored
    benchmark = items.benchmark
    models = {"encoder": benchmark.encoder, "checker": benchmark.checker, "clap": ""}
    options = Options.of(device=device, subtask=benchmark.subtask, **models)
    several = min(len(group.references) for group in items.groups) > 1
    found = evaluate(
        items.grouped,
        report.predictions,
        benchmark.metrics,
        options,
        interval=Resampling() if several else None,
        step=lambda _: done(),
    )
    parts = {metric: [_part(one, metric) for one in found.groups] for metric in found.metrics}
    draws = draws_of(items, parts)
    return Scored(tuple(_rows(found, draws)), _parquet(_columns(found)), _parquet(draws))


def _part(one: GroupReport, metric: str) -> Part:
    result = _of(one, metric)
    return Part(one.group.weight, one.ids, result.per_item, result.stats)


def _rows(report: Report, draws: Mapping[str, Floats]) -> Iterator[ResultRow]:
    is_single = len(report.groups) == 1
    for one in report.groups:
        for result in one.results:
            yield from _group_rows(result, "" if is_single else one.group.name)
    if is_single:
        return
    for metric in report.metrics:
        signature, results = report.signature(metric), [_of(one, metric) for one in report.groups]
        n, seconds = sum(result.n for result in results), sum(result.seconds for result in results)
        recipe = (signature.text, signature.digest)
        yield _row(metric, metric, report.overall(metric), n, *recipe, seconds, bounds=_bounds(draws.get(metric)))


def _bounds(draws: Floats | None) -> tuple[float, float] | tuple[None, None]:
    return (None, None) if draws is None else percentiles(draws)


def percentiles(draws: Floats) -> tuple[float, float]:
    """Returns the ends of the 95 % percentile interval of float64[resamples]."""
    low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _row(
    metric: str,
    name: str,
    value: float,
    n: int,
    signature: str,
    digest: str,
    seconds: float,
    scope: str = "",
    bounds: tuple[float | None, float | None] = (None, None),
) -> ResultRow:
    return ResultRow(metric, name, float(value), n, signature, digest, seconds, "", "", scope, *bounds)


def _group_rows(result: MetricResult, scope: str) -> Iterator[ResultRow]:
    recipe = (result.signature.text, result.signature.digest)
    for name, value in {result.metric: result.score, **result.components}.items():
        enclosed = result.interval if name == result.metric else None
        bounds = (enclosed.low, enclosed.high) if enclosed else (None, None)
        yield _row(result.metric, name, value, result.n, *recipe, result.seconds, scope, bounds)


def _of(report: GroupReport, metric: str) -> MetricResult:
    return next(result for result in report.results if result.metric == metric)


def is_mean(metric: str) -> bool:
    """Tells whether a metric's score is the mean of its items' values; retrieval's are."""
    return metric in RETRIEVAL_METRICS or METRICS.get(metric).is_mean()


def draws_of(items: BenchmarkItems, parts: Mapping[str, Sequence[Part]]) -> dict[str, Floats]:
    """Returns float64[resamples] per metric: the overall score of every resample of the clips, the same for all systems.

    Clips are drawn within their domains. A metric that is no mean has draws where all items are one group with an item per clip.

    Args:
        items: the benchmark's items.
        parts: per metric the groups that make up its overall score.
    """
    clips = sorted({items.clip_of(id_) for id_ in items.references})
    if len(clips) < 2:
        return {}
    place_of = {clip: place for place, clip in enumerate(clips)}
    strata = strata_of([items.domains.get(clip, "") for clip in clips])
    counts = ClipCounts(len(clips), strata=strata)
    found: dict[str, Floats] = {}
    means = {metric: groups for metric, groups in parts.items() if is_mean(metric)}
    if means:
        placed = {
            metric: [
                WeightedGroup(one.weight, np.array([place_of[items.clip_of(id_)] for id_ in one.ids]), one.values)
                for one in groups
            ]
            for metric, groups in means.items()
        }
        drawn = _mean_draws(list(placed.values()), counts, strata)
        if drawn is not None:
            found.update(zip(placed, drawn.T, strict=True))
    for metric, groups in parts.items():
        if metric not in means and len(groups) == 1 and len(groups[0].ids) == len(clips):
            order = np.argsort([place_of[items.clip_of(id_)] for id_ in groups[0].ids])
            found[metric] = corpus_draws(METRICS.get(metric)(), groups[0].stats[order], counts)
    return found


def _mean_draws(metrics: list[list[WeightedGroup]], counts: ClipCounts, strata: Any) -> Floats | None:
    """Returns float64[resamples, metrics]; None where a resample may draw no item of a group."""
    n = counts.n_clips
    with contextlib.suppress(InputError):
        return mean_draws(np.stack([contributions(groups, n, strata) for groups in metrics], axis=1), counts)
    # clips of a domain differ in how many items they have: then the sizes of groups vary with the clips that are drawn
    total: Floats = np.zeros((counts.plan.resamples, len(metrics)))
    with contextlib.suppress(InputError):
        for groups in zip(*metrics, strict=True):
            weight, clips, _ = groups[0]
            sums = np.stack([np.bincount(clips, values, minlength=n) for _, _, values in groups], axis=1)
            total += weight * ratio_draws(sums, np.bincount(clips, minlength=n), counts)
        return total
    return None


def _columns(report: Report) -> dict[str, Any]:
    columns: dict[str, Any] = dict(report.columns())
    for place, metric in enumerate(report.metrics):
        if not is_mean(metric):
            columns[metric + STATS] = list(np.concatenate([one.results[place].stats for one in report.groups]))
    return columns


def _parquet(columns: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def _retrieval(items: BenchmarkItems, embeddings: Embeddings) -> Scored:
    from ..evaluators.tasks.retrieval import retrieve, retrieve_from_scores

    ids = embeddings.ids
    clip_of = [place for place, id_ in enumerate(ids) for _ in items.references[id_]]
    if embeddings.scores is not None:
        found = retrieve_from_scores(embeddings.scores, clip_of)
    else:
        assert embeddings.text is not None and embeddings.audio is not None  # noqa: S101 # a file without scores has both
        found = retrieve(embeddings.text, embeddings.audio, clip_of)
    rows, tables = [], []
    draws: dict[str, Floats] = {}
    for result, queries in zip(found, ([ids[place] for place in clip_of], list(ids)), strict=True):
        columns = _query_columns(result, items.benchmark)
        drawn = draws_of(items, {name: [Part(1.0, queries, values, values)] for name, values in columns.items()})
        scope = AUDIO_TO_TEXT if result.task == AUDIO_TO_TEXT else ""
        recipe = (result.signature.text, result.signature.digest)
        for name, values in columns.items():
            bounds = _bounds(drawn.get(name))
            rows.append(_row(name, name, values.mean(), len(values), *recipe, 0.0, scope, bounds))
        tables.append({"group": [result.task] * len(queries), "id": queries, **columns})
        draws = draws or drawn  # text to audio comes first and is what ranks
    joined = {name: np.concatenate([np.asarray(table[name]) for table in tables]) for name in tables[0]}
    return Scored(tuple(rows), _parquet(joined), _parquet(draws))


def _query_columns(result: RetrievalResult, benchmark: Benchmark) -> dict[str, Floats]:
    columns = result.columns()
    return {name: columns[_RETRIEVAL_COLUMNS.get(name, name)] for name in benchmark.metrics}


def read_table(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns the rows of a file of per-item scores or of draws, with all columns or some of them."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content), columns=columns)
