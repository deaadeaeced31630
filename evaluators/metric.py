"""What a metric is, what it returns, and the recipe that every number carries.

A metric turns items into rows of statistics (`item_stats`) and totals of such rows into values (`from_totals`). Corpus value,
per-item values and resampled values are the same function of different totals: all rows, one row, weighted rows.
Scores are float64 in the metric's native range; only views multiply by 100.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..dataset_scripts.registry import Registry

if TYPE_CHECKING:
    from .pairs import CaptionPairs
    from .workspace import Workspace

Floats = npt.NDArray[np.float64]


@cache
def package_version() -> str:
    """Returns this package's version, `unknown` where it runs without having been installed."""
    try:
        return importlib.metadata.version("unified-audiocaps")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def ratio(above: Floats, below: Floats) -> Floats:
    """Returns `above / below`, 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(below), where=below != 0)


def range_in_words(low: float, high: float | None) -> str:
    """Returns `0 to 1`, or `0 or more` where there is no upper end (None or infinity)."""
    return f"{low:g} or more" if high is None or np.isinf(high) else f"{low:g} to {high:g}"


@dataclass(frozen=True)
class Signature:
    """The recipe of a number: two scores are comparable exactly when their digests are equal.

    It holds what changes the number (metric version, tokenizer, model and its content hash, number type, reference counts,
    pool size, parameters) and not what does not (device, batch size, date).

    Attributes:
        values: key to value; neither may hold `|` or a line break.

    >>> Signature({"metric": "rouge_l", "beta": "1.2"}).text.rpartition("|")[0]
    'beta:1.2|metric:rouge_l'
    """

    values: Mapping[str, str]

    @property
    def recipe(self) -> str:
        """`key:value` joined by `|`, sorted by key."""
        return "|".join(f"{key}:{_one_line(value)}" for key, value in sorted(self.values.items()))

    @property
    def text(self) -> str:
        """The recipe and, last, the version of this package."""
        return f"{self.recipe}|unified-audiocaps:{package_version()}"

    @property
    def digest(self) -> str:
        """Eight hex characters of the recipe's SHA-256.

        The package version is left out: what moves a score raises the metric's own version.
        """
        return hashlib.sha256(self.recipe.encode()).hexdigest()[:8]

    def __str__(self) -> str:
        return self.text


def _one_line(value: str) -> str:
    return "".join("_" if character in "|\r\n" else character for character in value)


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a score: `low` and `high` enclose it with probability `level`."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class PartScore:
    """What a metric says about some of the items; what it takes from the whole set (n-gram weights, ranks) is that of the set.

    Attributes:
        n: number of items.
        score: their value in native range.
        interval: its confidence interval where one was asked for and there are two items or more.
    """

    n: int
    score: float
    interval: Interval | None = None

    def to_json(self) -> dict[str, object]:
        """Returns the report entry."""
        return {"n": self.n, "score": self.score, **({"interval": vars(self.interval)} if self.interval else {})}


@dataclass(frozen=True)
class MetricResult:
    """What one metric says about one set of pairs.

    Attributes:
        metric: the metric's name.
        score: corpus value in native range.
        n: number of items.
        signature: the recipe of this number.
        seconds: wall-clock time that this metric took; shared work counts for the metric that needed it first.
        per_item: float64[n] in the order of the pairs.
        components: further corpus values that belong to the score.
        item_components: float64[n] by name of the per-item column.
        notes: what was counted on the way, such as empty candidates; a count of 0 is left out.
        interval: confidence interval of the score where one was asked for.
        parts: the scores of the items by label, sorted, where labels were given.
        stats: float64[n, k], the rows of statistics that it was made from.
    """

    metric: str
    score: float
    n: int
    signature: Signature
    seconds: float
    per_item: Floats = field(repr=False)
    components: Mapping[str, float] = field(default_factory=dict)
    item_components: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    notes: Mapping[str, int | str] = field(default_factory=dict)
    interval: Interval | None = None
    parts: Mapping[str, PartScore] = field(default_factory=dict)
    stats: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        entry: dict[str, object] = {
            "metric": self.metric,
            "score": self.score,
            "n": self.n,
            "signature": self.signature.text,
            "digest": self.signature.digest,
            "seconds": self.seconds,
            **self.components,
        }
        if self.interval is not None:
            entry["interval"] = vars(self.interval)
        if self.parts:
            entry["parts"] = {label: part.to_json() for label, part in self.parts.items()}
        if self.notes:
            entry["notes"] = dict(self.notes)
        return entry

    def columns(self) -> dict[str, Floats]:
        """Returns float64[n] by name of the per-item column, the score first."""
        return {self.metric: self.per_item, **self.item_components}


@dataclass(frozen=True)
class Cases:
    """Closed ranges that a metric declares for its score.

    Attributes:
        identical: every candidate equals its only reference, of five words or more, and no two items are alike.
        disjoint: candidates and references share neither word nor topic.
        single: one item, its candidate equal to its only reference; None where one item is an `InputError`.
    """

    identical: tuple[float, float]
    disjoint: tuple[float, float]
    single: tuple[float, float] | None


class Metric(ABC):
    """One metric. A subclass states the facts below and implements the two abstract methods.

    Attributes:
        name: snake case; the name of its module.
        title: the name in the literature.
        version: raised whenever a score moves.
        texts: what candidates and references are; metrics of other texts than captions are used by those who ask for them.
        direction: whether higher or lower is better.
        value_range: closed range of score and per-item values; infinity where a count has no upper end.
        uses: the fields of `Options` that it reads.
        needs: those of them that are empty unless a caller fills them, and must not be.
        requires: what must be installed or loaded beside this package.
        needs_extra: whether some of that comes with no plain installation: nobody gets such a metric without asking for it.
        needs_whole_corpus: an item's value depends on the other items, so the set must not be scored in shards and an
            interval is conditional on the set.
        several_candidates: it chooses among several candidates per item; all other metrics read the first one only.
        components: names of further values, in the order in which `from_totals` returns them after the score.
        cases: where the score falls on inputs that everybody can picture.
        source: paper, section or equation.
        definition: one or two sentences for people who choose a metric.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    texts: ClassVar[Literal["captions", "transcripts", "answers"]] = "captions"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    uses: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[tuple[str, ...]] = ()
    needs_extra: ClassVar[bool] = False
    needs_whole_corpus: ClassVar[bool] = False
    several_candidates: ClassVar[bool] = False
    components: ClassVar[tuple[str, ...]] = ()
    cases: ClassVar[Cases]
    source: ClassVar[str]
    definition: ClassVar[str]

    @abstractmethod
    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, k]: per item the numbers whose totals determine every value.

        Args:
            pairs: the items.
            work: work that several metrics share, done once.
        """

    @abstractmethod
    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns what the signature holds beyond metric, version and reference counts."""

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns the score and the components that belong to totals of rows of statistics.

        Unless a metric overrides it, statistics are score and components per item, and a value is their mean.

        Args:
            totals: float64[..., k], sums over rows of `item_stats`.
            n: how many rows each total is made of; broadcasts against `totals[..., 0]`.

        Returns:
            float64[..., 1 + len(components)].
        """
        return totals / np.asarray(n, np.float64)[..., None]

    @classmethod
    def is_mean(cls) -> bool:
        """Tells whether the score of a set is the mean of its items' scores."""
        return cls.from_totals is Metric.from_totals

    def combine(self, stats: Floats) -> Floats:
        """Returns float64[1 + len(components)]: the values of the corpus that the rows of `stats` make up."""
        return self.from_totals(stats.sum(axis=0), len(stats))

    def values_per_item(self, stats: Floats) -> Floats:
        """Returns float64[n, 1 + len(components)]: the values of every row taken as a corpus of its own."""
        return self.from_totals(stats, np.ones(len(stats)))

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns what the user should know about this input; zeros are dropped."""
        return {}

    @classmethod
    def column(cls, component: str) -> str:
        """Returns the per-item column of a component: `bleu_1` for BLEU's bleu_1, `date_similarity` for DATE's similarity."""
        return component if component.startswith(cls.name) else f"{cls.name}_{component}"


# `Metric` is abstract, which is what the registry's `base` is for: it hands out its subclasses
METRICS: Registry[Metric] = Registry("metric", "unified_audiocaps.evaluators.metrics", Metric, "uac metrics")  # type: ignore[type-abstract]
