"""Two systems on the same items: difference, interval, p-value, and who wins how many items.

`compare(a, b, ["cider_d", "date"])` returns a comparison per metric. Differences are a minus b, in the metric's native range.
The p-values are per metric: nothing is corrected for asking several metrics, or about several pairs of systems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..dataset_scripts.errors import InputError, Problem, shorten
from .bootstrap import Resampling, order_of_ids, paired_test
from .metric import Floats, Interval, Metric, MetricResult
from .pairs import CaptionPairs
from .score import chosen_metrics, result_and_stats
from .workspace import Options, Workspace

# Two captions that are equal as texts may differ by this much: an encoder's float32 depends on what else is in its batch.
ITEM_TIE = 1e-6


@dataclass(frozen=True)
class Comparison:
    """What one metric says about two systems.

    Attributes:
        a: the first system's result, with the interval of its score.
        b: the second one's; its items are in the order of the first one's.
        interval: confidence interval of the difference, from resamples that draw the same items for both.
        p_value: of approximate randomisation, two-sided; see `bootstrap.paired_test`.
        direction: whether higher or lower is better.
        resampling: level, number of resamples and seed.
    """

    a: MetricResult
    b: MetricResult
    interval: Interval
    p_value: float
    direction: Literal["higher", "lower"]
    resampling: Resampling

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.a.metric

    @property
    def n(self) -> int:
        """Number of items."""
        return self.a.n

    @property
    def difference(self) -> float:
        """Score of a minus score of b."""
        return self.a.score - self.b.score

    @property
    def wins(self) -> int:
        """Items on which a is better than b."""
        return int((self._gains > ITEM_TIE).sum())

    @property
    def losses(self) -> int:
        """Items on which b is better than a."""
        return int((self._gains < -ITEM_TIE).sum())

    @property
    def ties(self) -> int:
        """Items on which neither is better: they differ by 1e-6 at most."""
        return self.n - self.wins - self.losses

    @property
    def notes(self) -> Mapping[str, str]:
        """What people should know about the numbers."""
        return {"interval": str(self.a.notes["interval"])}

    @property
    def _gains(self) -> Floats:
        gap: Floats = self.a.per_item - self.b.per_item
        return gap if self.direction == "higher" else -gap

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        return {
            "metric": self.metric,
            "n": self.n,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "difference": self.difference,
            "interval": {"low": self.interval.low, "high": self.interval.high, "level": self.interval.level},
            "p_value": self.p_value,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "direction": self.direction,
            "resamples": self.resampling.resamples,
            "seed": self.resampling.seed,
            "notes": dict(self.notes),
        }


def compare(
    a: CaptionPairs,
    b: CaptionPairs,
    metrics: Sequence[str],
    options: Options | None = None,
    *,
    options_b: Options | None = None,
    resampling: Resampling | None = None,
) -> list[Comparison]:
    """Returns one comparison per metric.

    Args:
        a: the first system's candidates beside the references.
        b: the second system's, with the same ids and references in any order.
        metrics: names, each at most once.
        options: as for `score`.
        options_b: those of the second system, where they are not those of the first (its own file of SPICE values).
        resampling: level, number of resamples and seed; None for 0.95, 2,000 and 0.

    Raises:
        InputError: the ids or references of the systems differ, there is only one item, or as for `score`.
        UnknownNameError: as for `score`.
        MissingRequirementError: as for `score`.

    >>> references = {"x": ["a dog barks"], "y": ["it rains"]}
    >>> pairs = CaptionPairs.join({"x": "a dog", "y": "rain"}, references)
    >>> compare(pairs, pairs, ["rouge_l"])[0].p_value
    1.0
    """
    chosen, plan = chosen_metrics(metrics), resampling or Resampling()
    b = _in_order_of(a, b)
    options = options or Options()
    options_b = options_b or options
    is_same = (a.candidates, a.alternatives, options) == (b.candidates, b.alternatives, options_b)
    work_a = Workspace(a, options)
    work_b = work_a if is_same else Workspace(b, options_b)
    order = order_of_ids(a.ids)

    def comparison(metric: Metric) -> Comparison:
        result_a, stats_a = result_and_stats(metric, a, work_a, plan)
        # equal captions are scored once, so that their difference is 0 and not a matter of rounding
        result_b, stats_b = (result_a, stats_a) if is_same else result_and_stats(metric, b, work_b, plan)
        test = paired_test(metric, stats_a[order], stats_b[order], plan)
        return Comparison(result_a, result_b, test.interval, test.p_value, metric.direction, plan)

    return [comparison(metric) for metric in chosen]


def _in_order_of(a: CaptionPairs, b: CaptionPairs) -> CaptionPairs:
    """Returns the pairs of `b` in the order of `a`.

    Raises:
        InputError: an id stands on one side only, or has other references on the other side.
    """
    place = {id_: index for index, id_ in enumerate(b.ids)}
    missing = [id_ for id_ in a.ids if id_ not in place]
    extra = sorted(place.keys() - set(a.ids), key=place.__getitem__)
    if missing or extra:
        raise InputError(
            f"the two systems do not cover the same items: {len(missing):,} of {len(a):,} items of the first are missing from "
            f"the second, {len(extra):,} of {len(b):,} items of the second are not in the first. Compare them on equal items.",
            [
                *(Problem("E_MISSING_ID", f"id {shorten(id_)} is missing from the second system", id=id_) for id_ in missing),
                *(Problem("E_UNKNOWN_ID", f"id {shorten(id_)} is not in the first system", id=id_) for id_ in extra),
            ],
        )
    ordered = b.take([place[id_] for id_ in a.ids])
    differing = [id_ for id_, ours, theirs in zip(a.ids, a.references, ordered.references, strict=True) if ours != theirs]
    if differing:
        raise InputError(
            f"{len(differing):,} of {len(a):,} items have other references for the second system; score both against the same.",
            [Problem("E_REFERENCES", f"the references of id {shorten(id_)} differ", id=id_) for id_ in differing],
        )
    return ordered
