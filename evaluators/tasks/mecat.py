"""The two benchmarks of MECAT: captions in nine groups, answers in six categories, and one score for each.

A group is scored on its own, with its own idf and its own pool of items to be told apart. The overall score weighs the groups.

    score_caption = 0.4 (0.8 long + 0.2 short) + 0.4 (0.6 speech + 0.3 music + 0.1 sound) + 0.2 environment

where speech, music and sound are the mean of their pure and their mixed group; score_qa is the plain mean of the six categories.
Source: MECAT (arXiv:2507.23511), section 4, and the README of its repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..bootstrap import Resampling
from ..metric import Floats, MetricResult, Signature
from ..pairs import CaptionPairs
from ..score import score
from ..workspace import Options

SET = "mecat/test"
CAPTION_COLUMNS, QUESTION_COLUMNS = ("id", "source_key", "domain", "captions"), ("qa",)
SUBTASKS = ("long", "short", "speech", "music", "sound", "environment")
CATEGORIES = (
    "direct_perception",
    "sound_characteristics",
    "quality_assessment",
    "environment_reasoning",
    "inference_judgement",
    "application_context",
)
_ALL = ("000", "00A", "0M0", "0MA", "S00", "S0A", "SM0", "SMA")
_MIXED = ("SMA", "SM0", "S0A", "0MA")
# name, subtask, domains, weight in the overall score
_CAPTION_GROUPS = (
    ("content_long", "long", _ALL, 0.4 * 0.8),
    ("content_short", "short", _ALL, 0.4 * 0.2),
    ("pure_speech", "speech", ("S00",), 0.4 * 0.6 / 2),
    ("mixed_speech", "speech", _MIXED, 0.4 * 0.6 / 2),
    ("pure_music", "music", ("0M0",), 0.4 * 0.3 / 2),
    ("mixed_music", "music", _MIXED, 0.4 * 0.3 / 2),
    ("pure_sound", "sound", ("00A",), 0.4 * 0.1 / 2),
    ("mixed_sound", "sound", _MIXED, 0.4 * 0.1 / 2),
    ("environment", "environment", _ALL, 0.2),
)
# of the release that the papers report
TEST_CLIPS, TEST_QUESTIONS = 20_052, 100_260


@dataclass(frozen=True)
class Group:
    """Items that are scored together.

    Attributes:
        name: as MECAT prints it.
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
    """One of the two benchmarks, with its references.

    Attributes:
        name: what its overall score is called: `score_caption` or `score_qa`.
        groups: in the order in which MECAT prints them.
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


def metrics_of(options: Options) -> tuple[str, ...]:
    """Returns the metrics that MECAT reports; without an error checker FENSE is what SBERT-sim says, and is called so."""
    return ("date", "fense" if options.checker else "sbert_sim")


def evaluate(
    benchmark: GroupedBenchmark,
    predictions: Mapping[str, Mapping[str, str]],
    metrics: Sequence[str] | None = None,
    options: Options | None = None,
    *,
    interval: Resampling | None = None,
    done: Callable[[GroupReport], None] = lambda report: None,
) -> Report:
    """Returns every group's scores and the overall ones.

    Args:
        benchmark: groups with their references.
        predictions: by subtask, the texts by item id or upstream key; every item of the subtask's groups needs one.
        metrics: names; None for `metrics_of(options)`.
        options: as for `score`; each group has its own subtask.
        interval: how to resample for the groups' intervals; None for no intervals.
        done: called with each group as it is finished.

    Raises:
        InputError: a subtask has no predictions, or they do not cover its items.
        UnknownNameError: as for `score`.
        MissingRequirementError: as for `score`.
    """
    options = options or Options()
    names = list(metrics_of(options) if metrics is None else metrics)
    named = {subtask: _by_id(benchmark, subtask, predictions.get(subtask)) for subtask in benchmark.subtasks}
    reports = []
    for group in benchmark.groups:
        texts = named[group.subtask]
        pairs = CaptionPairs.join({id_: texts[id_] for id_ in group.references}, group.references)
        results = score(pairs, names, replace(options, subtask=group.subtask), interval=interval, by=group.levels or None)
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


def captions(table: pa.Table) -> GroupedBenchmark:
    """Returns the caption benchmark from rows of the built test split.

    Args:
        table: its columns `CAPTION_COLUMNS`.

    Raises:
        InputError: a domain is missing, or a clip has no caption in one of the styles.
    """
    listed = table["captions"].combine_chunks()
    ids, domains = table["id"].to_pylist(), table["domain"].to_pylist()
    by_subtask = {subtask: _texts(listed, ids, subtask) for subtask in SUBTASKS}
    groups = []
    for name, subtask, taken, weight in _CAPTION_GROUPS:
        texts = by_subtask[subtask]
        references = {id_: texts[id_] for id_, domain in zip(ids, domains, strict=True) if domain in taken}
        if not references:
            raise InputError(f"{SET} has no clip of {', '.join(taken)}; build the whole split: uac build mecat --force")
        groups.append(Group(name, subtask, weight, references))
    aliases = {**dict(zip(table["source_key"].to_pylist(), ids, strict=True)), **{id_: id_ for id_ in ids}}
    return GroupedBenchmark("score_caption", tuple(groups), aliases, len(ids) == TEST_CLIPS)


def _texts(listed: pa.ListArray, ids: list[str], style: str) -> dict[str, tuple[str, ...]]:
    flat = pc.list_flatten(listed)
    keep = pc.equal(flat.field("style"), style)
    owners = pc.list_parent_indices(listed).filter(keep).to_pylist()
    found: dict[str, list[str]] = {id_: [] for id_ in ids}
    for owner, text in zip(owners, flat.field("text").filter(keep).to_pylist(), strict=True):
        found[ids[owner]].append(text)
    empty = [id_ for id_, texts in found.items() if not texts]
    if empty:
        raise InputError(
            f"{len(empty):,} of {len(ids):,} clips of {SET} have no {style} caption; build it anew: uac build mecat --force",
            [Problem("E_REFERENCES", f"{shorten(id_)} has no {style} caption", id=id_) for id_ in empty],
        )
    return {id_: tuple(texts) for id_, texts in found.items()}


def answers(table: pa.Table) -> GroupedBenchmark:
    """Returns the question benchmark from rows of the built test split; an item is a question, under its upstream id.

    Args:
        table: its columns `QUESTION_COLUMNS`.

    Raises:
        InputError: there is no question of a category.
    """
    flat = pc.list_flatten(table["qa"].combine_chunks())
    columns = [flat.field(name).to_pylist() for name in ("qa_id", "category", "difficulty", "answer")]
    references: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in CATEGORIES}
    levels: dict[str, dict[str, str]] = {name: {} for name in CATEGORIES}
    for id_, category, difficulty, answer in zip(*columns, strict=True):
        if category in references:
            references[category][id_] = (answer,)
            levels[category][id_] = difficulty
    missing = [name for name in CATEGORIES if not references[name]]
    if missing:
        raise InputError(f"{SET} has no question of {', '.join(missing)}; build it anew: uac build mecat --force")
    groups = tuple(Group(name, "qa", 1 / len(CATEGORIES), references[name], levels[name]) for name in CATEGORIES)
    aliases = {id_: id_ for group in groups for id_ in group.references}
    return GroupedBenchmark("score_qa", groups, aliases, len(aliases) == TEST_QUESTIONS)
