"""The one way to score: `score(pairs, ["cider_d", "date"])` returns a result per metric, in the order asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..dataset_scripts.errors import InputError, MissingRequirementError, Problem, shorten
from .bootstrap import Resampling, order_of_ids, score_interval
from .metric import METRICS, Floats, Metric, MetricResult, PartScore, Signature
from .pairs import CaptionPairs
from .workspace import Options, Workspace


def score(
    pairs: CaptionPairs,
    metrics: Sequence[str],
    options: Options | None = None,
    *,
    interval: Resampling | None = None,
    by: Mapping[str, str] | None = None,
    done: Callable[[MetricResult], None] = lambda result: None,
) -> list[MetricResult]:
    """Returns one result per metric; work that metrics share is done once.

    Args:
        pairs: candidates beside their references.
        metrics: names, each at most once.
        options: models and what else may be chosen; None for the defaults.
        interval: how to resample for the results' confidence intervals; None for no intervals.
        by: label by id, such as the operation of a pair of sounds; each result then holds the score of every label's items.
        done: called with each result as it is finished.

    Raises:
        UnknownNameError: no metric, encoder or subtask is called so.
        InputError: a metric is named twice or none is named, an item has no label, a metric cannot score this input (one item
            for CIDEr-D), or an interval of one item is asked for.
        MissingRequirementError: a metric needs something that is not installed.

    >>> pairs = CaptionPairs.in_order(["rain is falling"], [["rain is falling", "it rains"]])
    >>> [result.score for result in score(pairs, ["rouge_l"])]
    [1.0]
    """
    chosen = chosen_metrics(metrics)
    work = Workspace(pairs, options or Options())
    places = _places(pairs, by)
    results = []
    for metric in chosen:
        result, stats = result_and_stats(metric, pairs, work, interval)
        parts = {label: _part(metric, stats[rows], interval) for label, rows in places.items()}
        results.append(replace(result, parts=parts))
        done(results[-1])
    return results


def _places(pairs: CaptionPairs, by: Mapping[str, str] | None) -> dict[str, list[int]]:
    """Returns the places of each label's items in ascending order of their ids, which is that of resampling."""
    if by is None:
        return {}
    missing = [id_ for id_ in pairs.ids if id_ not in by]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(pairs):,} items have no label to score them by; expected one for each.",
            [Problem("E_MISSING_ID", f"id {shorten(id_)} has no label", id=id_) for id_ in missing],
        )
    places: dict[str, list[int]] = {label: [] for label in sorted({by[id_] for id_ in pairs.ids})}
    for place in order_of_ids(pairs.ids):
        places[by[pairs.ids[place]]].append(place)
    return places


def _part(metric: Metric, stats: Floats, interval: Resampling | None) -> PartScore:
    enclosed = score_interval(metric, stats, interval) if interval is not None and len(stats) > 1 else None
    return PartScore(len(stats), float(metric.combine(stats)[0]), enclosed)


def chosen_metrics(metrics: Sequence[str]) -> list[Metric]:
    """Returns the metrics that are called so, in the order asked for; raises as `score` does."""
    if isinstance(metrics, str) or not metrics:
        raise InputError(f"metrics is {shorten(metrics)}; expected a list of at least one name.")
    repeated = sorted({name for name in metrics if list(metrics).count(name) > 1})
    if repeated:
        raise InputError(f"metrics named twice: {', '.join(repeated)}; name each one once.")
    return [METRICS.get(name)() for name in metrics]


def result_and_stats(
    metric: Metric, pairs: CaptionPairs, work: Workspace, interval: Resampling | None = None
) -> tuple[MetricResult, Floats]:
    """Returns what a metric says about the pairs, and float64[n, k]: the rows of statistics that it says it from."""
    _check_needs(metric, work.options)
    started = time.perf_counter()
    stats = metric.item_stats(pairs, work)
    corpus, items = metric.combine(stats), metric.values_per_item(stats)
    notes = {"empty_candidates": pairs.n_empty_candidates, **metric.notes(stats, pairs, work)}
    if interval is not None:
        notes["interval"] = interval.note(metric, len(pairs))
    columns = [np.ascontiguousarray(column) for column in items.T]
    recipe = {
        "metric": metric.name,
        "version": str(metric.version),
        "refs": pairs.reference_counts,
        **metric.parameters(pairs, work),
    }
    result = MetricResult(
        metric=metric.name,
        score=float(corpus[0]),
        n=len(pairs),
        signature=Signature(recipe),
        per_item=columns[0],
        stats=stats,
        components={name: float(value) for name, value in zip(metric.components, corpus[1:], strict=True)},
        item_components={metric.column(name): column for name, column in zip(metric.components, columns[1:], strict=True)},
        notes={name: note for name, note in notes.items() if note != 0},
        interval=score_interval(metric, stats[order_of_ids(pairs.ids)], interval) if interval is not None else None,
        seconds=time.perf_counter() - started,
    )
    return result, stats


def _check_needs(metric: Metric, options: Options) -> None:
    for name in metric.needs:
        if not getattr(options, name):
            raise MissingRequirementError(
                f"The {name} of {metric.title}",
                f"None was given; expected: {Options.meaning(name).rstrip('.')}.",
                f"name one with --{name}, or Options({name}=...)",
            )


def describe_metrics() -> list[dict[str, Any]]:
    """Returns the facts of every metric, sorted by name, ready for JSON."""
    return [_description(METRICS.get(name)) for name in METRICS.names()]


def _description(metric: type[Metric]) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "version": metric.version,
        "definition": metric.definition,
        "texts": metric.texts,
        "direction": metric.direction,
        "range": [bound if math.isfinite(bound) else None for bound in metric.value_range],  # JSON has no infinity
        "needs_whole_corpus": metric.needs_whole_corpus,
        "components": list(metric.components),
        "requires": list(metric.requires),
        "uses": list(metric.uses),
        "source": metric.source,
    }
