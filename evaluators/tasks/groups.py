"""Benchmarks whose items fall into groups: each group is scored on its own, the overall score weighs the groups.

A benchmark with one group of weight 1 is scored as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..bootstrap import Resampling
from ..metric import Floats, MetricResult, Signature
from ..pairs import CaptionPairs
from ..score import score
from ..workspace import Options


@dataclass(frozen=True)
class Group:
    """Items that are scored together.

    Attributes:
        name: as it is printed.
        subtask: which predictions it takes, and which delta of DATE.
        weight: its share of the overall score.
        references: texts by item id.
        levels: difficulty by item id; empty where items have none.
    """

    name: str
    subtask: str
    weight: float
    references: Mapping[str, tuple[str, ...]] = field(repr=False)
    levels: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class GroupedBenchmark:
    """Groups with their references.

    Attributes:
        name: what its overall score is called, such as `score_caption`.
        groups: in the order in which they are printed.
        aliases: every name of an item (its id, its upstream key) -> its id.
        is_whole: whether all items of the release are there.
    """

    name: str
    groups: tuple[Group, ...]
    aliases: Mapping[str, str] = field(repr=False)
    is_whole: bool = True

    @property
    def subtasks(self) -> tuple[str, ...]:
        """Which sets of predictions it takes."""
        return tuple(dict.fromkeys(group.subtask for group in self.groups))

    def ids(self, subtask: str) -> dict[str, None]:
        """Returns the ids that a subtask's predictions must cover."""
        return {id_: None for group in self.groups if group.subtask == subtask for id_ in group.references}

    def every(self, step: int) -> GroupedBenchmark:
        """Returns the same groups with every `step`-th of their items: to try things, not to report them."""

        def thinned(group: Group) -> Group:
            return replace(group, references=dict(list(group.references.items())[::step]))

        return replace(self, groups=tuple(map(thinned, self.groups)), is_whole=self.is_whole and step == 1)


@dataclass(frozen=True)
class GroupReport:
    """What the metrics say about one group.

    Attributes:
        group: the items.
        ids: in the order of the results' per-item values.
        results: one per metric; where items have a difficulty, `parts` holds the score of each: items are ranked within their
            group, not within a difficulty.
    """

    group: Group
    ids: tuple[str, ...] = field(repr=False)
    results: tuple[MetricResult, ...]


@dataclass(frozen=True)
class Report:
    """The result of a benchmark."""

    benchmark: GroupedBenchmark
    groups: tuple[GroupReport, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order asked for."""
        return tuple(result.metric for result in self.groups[0].results)

    def overall(self, metric: str) -> float:
        """Returns the weighted sum of the groups' values."""
        return sum(one.group.weight * _of(one.results, metric).score for one in self.groups)

    def signature(self, metric: str) -> Signature:
        """Returns the recipe of an overall score: the recipes of its groups and their weights."""
        parts = {one.group.name: f"{one.group.weight:g}*{_of(one.results, metric).signature.digest}" for one in self.groups}
        return Signature({"metric": f"{self.benchmark.name}_{metric}", "version": "1", **parts})

    def to_json(self) -> dict[str, object]:
        """Returns the report: plain values only, full precision."""
        return {
            "benchmark": self.benchmark.name,
            "is_whole": self.benchmark.is_whole,
            "overall": {
                metric: {
                    "score": self.overall(metric),
                    "signature": str(self.signature(metric)),
                    "digest": self.signature(metric).digest,
                }
                for metric in self.metrics
            },
            "groups": [
                {
                    "group": one.group.name,
                    "subtask": one.group.subtask,
                    "weight": one.group.weight,
                    "results": [result.to_json() for result in one.results],
                }
                for one in self.groups
            ],
        }

    def columns(self) -> dict[str, list[str] | Floats]:
        """Returns one row per item of every group: group, id, and every metric's per-item values."""
        columns: dict[str, list[str] | Floats] = {
            "group": [one.group.name for one in self.groups for _ in one.ids],
            "id": [id_ for one in self.groups for id_ in one.ids],
        }
        for index in range(len(self.metrics)):
            for name in self.groups[0].results[index].columns():
                columns[name] = np.concatenate([one.results[index].columns()[name] for one in self.groups])
        return columns


def _of(results: Iterable[MetricResult], metric: str) -> MetricResult:
    return next(result for result in results if result.metric == metric)


def evaluate(
    benchmark: GroupedBenchmark,
    predictions: Mapping[str, Mapping[str, str]],
    metrics: Sequence[str],
    options: Options | None = None,
    *,
    interval: Resampling | None = None,
    done: Callable[[GroupReport], None] = lambda report: None,
    step: Callable[[MetricResult], None] = lambda result: None,
) -> Report:
    """Returns every group's scores and the overall ones.

    Args:
        benchmark: groups with their references.
        predictions: by subtask, the texts by item id or upstream key; every item of the subtask's groups needs one.
        metrics: names.
        options: as for `score`; each group has its own subtask.
        interval: how to resample for the groups' intervals; None for no intervals.
        done: called with each group as it is finished.
        step: called with each result as it is finished.

    Raises:
        InputError: a subtask has no predictions, or they do not cover its items.
        UnknownNameError: as for `score`.
        MissingRequirementError: as for `score`.
    """
    options = options or Options()
    named = {subtask: _by_id(benchmark, subtask, predictions.get(subtask)) for subtask in benchmark.subtasks}
    reports = []
    for group in benchmark.groups:
        texts = named[group.subtask]
        pairs = CaptionPairs.join({id_: texts[id_] for id_ in group.references}, group.references)
        results = score(
            pairs, metrics, replace(options, subtask=group.subtask), interval=interval, by=group.levels or None, done=step
        )
        reports.append(GroupReport(group, pairs.ids, tuple(results)))
        done(reports[-1])
    return Report(benchmark, tuple(reports))


def _by_id(benchmark: GroupedBenchmark, subtask: str, predictions: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the texts of a subtask under the items' ids; raises `InputError` when they are not exactly what is needed."""
    if predictions is None:
        raise InputError(f"there are no predictions for {subtask!r}; expected texts for each of {', '.join(benchmark.subtasks)}.")
    wanted = benchmark.ids(subtask)
    named: dict[str, str] = {}
    problems: list[Problem] = []
    for name, text in predictions.items():
        id_ = benchmark.aliases.get(name)
        if id_ is None:
            problems.append(Problem("E_UNKNOWN_ID", f"no item is called {shorten(name)}", id=name))
        elif id_ in named:
            problems.append(Problem("E_DUP_ID", f"{shorten(name)} stands for {shorten(id_)}, which came already", id=name))
        else:
            named[id_] = text
    missing = [id_ for id_ in wanted if id_ not in named]
    problems += [Problem("E_MISSING_ID", f"there is no prediction for {shorten(id_)}", id=id_) for id_ in missing]
    if problems:
        raise InputError(
            f"the predictions for {subtask!r} do not cover the benchmark: {len(missing):,} of {len(wanted):,} items have none.",
            problems,
        )
    return named
