r"""Confidence intervals and paired tests from rows of statistics; no caption is read and no item is scored again.

Conventions: the unit that is resampled is the item, in the order that is handed in. A resample is a row of counts w, how often
each item was drawn; its corpus value is `from_totals(w @ stats, n)`, so a corpus metric that is no mean (BLEU) is resampled
exactly. Equal seeds draw equal items, whatever the metric and the system: differences are paired by construction. All resamples
of a block are one matrix product, and a block holds at most `BLOCK_CELLS` counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..dataset_scripts.errors import InputError
from .metric import Floats, Interval, Metric

LEVEL, RESAMPLES, SEED = 0.95, 2000, 0
FEWEST_RESAMPLES = 100
FEW_ITEMS = 100  # below, a nominal 95 % covers clearly less (see `_bca`)
BLOCK_CELLS = 1 << 21  # 16 MiB of float64 counts
TIE = 1e-12  # relative to the size of the scores: a swapped sum that differs by rounding is the same sum


@dataclass(frozen=True)
class Resampling:
    """How to resample.

    Attributes:
        level: probability with which an interval covers the true value, between 0 and 1.
        resamples: how many resamples, at least 100.
        seed: equal seeds give equal numbers; not negative.

    Raises:
        InputError: one of them is out of range.
    """

    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = SEED

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise InputError(f"level is {self.level}; expected a number between 0 and 1, such as 0.95.")
        if self.resamples < FEWEST_RESAMPLES:
            raise InputError(f"resamples is {self.resamples}; expected at least {FEWEST_RESAMPLES}, such as {RESAMPLES:,}.")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or a larger number.")

    def __str__(self) -> str:
        return f"{self.resamples:,} resamples of the items, seed {self.seed}"

    def note(self, metric: Metric, n: int) -> str:
        """Returns what people should know about intervals of this metric over `n` items."""
        told = [f"BCa bootstrap, {self}"]
        if metric.needs_whole_corpus:
            told.append("what the metric takes from the whole set (n-gram weights, ranks) is held fixed")
        if n < FEW_ITEMS:
            told.append(f"fewer than {FEW_ITEMS} items: intervals are too narrow")
        return "; ".join(told)

    def counts(self, n: int) -> Iterator[Floats]:
        """Yields float64[block, n]: per resample how often each of `n` items was drawn; rows sum to `n`."""
        random = np.random.default_rng([self.seed, 0])
        for rows in self._blocks(n):
            drawn = random.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)

    def swaps(self, n: int) -> Iterator[Floats]:
        """Yields float64[block, n]: per randomisation which of `n` items change sides, 1 or 0 with equal probability."""
        random = np.random.default_rng([self.seed, 1])
        for rows in self._blocks(n):
            # one float per draw: small integers share random words within a call, so that blocks would change the numbers
            yield (random.random((rows, n)) < 0.5).astype(np.float64)

    def _blocks(self, n: int) -> Iterator[int]:
        most = max(1, BLOCK_CELLS // n)
        for start in range(0, self.resamples, most):
            yield min(most, self.resamples - start)


@dataclass(frozen=True)
class PairedTest:
    """How two systems differ on the same items.

    Attributes:
        difference: score of the first minus score of the second.
        interval: confidence interval of the difference.
        p_value: probability of a difference at least as large, in either direction, were the two systems interchangeable.
    """

    difference: float
    interval: Interval
    p_value: float


def resampled(metric: Metric, stats: Floats, plan: Resampling) -> Floats:
    """Returns float64[resamples]: the score of every resample of the rows of `stats`."""
    n = len(stats)
    return np.concatenate([metric.from_totals(counts @ stats, n)[..., 0] for counts in plan.counts(n)])


def score_interval(metric: Metric, stats: Floats, plan: Resampling) -> Interval:
    """Returns the confidence interval of a system's score.

    Args:
        metric: what the rows belong to.
        stats: float64[n, k], `item_stats` of the system.
        plan: level, number of resamples and seed.

    Raises:
        InputError: there is only one item.
    """
    _check(stats)
    return _bca(_score(metric, stats), resampled(metric, stats, plan), _without_one(metric, stats), plan.level)


def mean_intervals(columns: Floats, plan: Resampling) -> list[Interval]:
    """Returns the confidence interval of the mean of every column; a share is the mean of zeros and ones.

    Args:
        columns: float64[n, k], a row per item.
        plan: level, number of resamples and seed.

    Raises:
        InputError: there is only one item.
    """
    _check(columns)
    n = len(columns)
    means = columns.mean(axis=0)
    draws = np.concatenate([counts @ columns / n for counts in plan.counts(n)])
    jackknife = (columns.sum(axis=0) - columns) / (n - 1)
    return [_bca(float(means[i]), draws[:, i], jackknife[:, i], plan.level) for i in range(columns.shape[1])]


def paired_test(metric: Metric, ours: Floats, theirs: Floats, plan: Resampling) -> PairedTest:
    r"""Returns the difference of two systems, its interval and the p-value of no difference.

    The interval comes from resamples that draw the same items for both. The p-value is that of approximate randomisation: in
    each of R randomisations every item's two rows change sides with probability 1/2, and with k randomisations whose absolute
    difference is at least the observed one

        p = (k + 1) / (R + 1)

    It is never 0, and exactly 1 where the systems' rows are equal. The two can disagree near the border: the interval asks how
    the difference varies over items, the p-value whether the labels "ours" and "theirs" matter.

    Args:
        metric: what the rows belong to.
        ours: float64[n, k], `item_stats` of the first system.
        theirs: float64[n, k] of the second one, of the same items in the same order.
        plan: level, number of resamples and seed.

    Raises:
        InputError: there is only one item, or the numbers of items differ.

    Source: Noreen 1989, Computer Intensive Methods for Testing Hypotheses (approximate randomisation); Koehn 2004 (EMNLP)
    for resampling both systems alike.
    """
    _check(ours)
    if ours.shape != theirs.shape:
        raise InputError(f"the systems have {len(ours):,} and {len(theirs):,} items; expected the same items for both.")
    difference = _score(metric, ours) - _score(metric, theirs)
    draws = resampled(metric, ours, plan) - resampled(metric, theirs, plan)
    jackknife = _without_one(metric, ours) - _without_one(metric, theirs)
    return PairedTest(difference, _bca(difference, draws, jackknife, plan.level), _p_value(metric, ours, theirs, plan))


def _p_value(metric: Metric, ours: Floats, theirs: Floats, plan: Resampling) -> float:
    n, gap = len(ours), theirs - ours
    our_total, their_total = ours.sum(axis=0), theirs.sum(axis=0)
    observed = abs(_score(metric, ours) - _score(metric, theirs))
    at_least = observed - TIE * max(abs(_score(metric, ours)), abs(_score(metric, theirs)))
    k = 0
    for swaps in plan.swaps(n):
        moved = swaps @ gap
        swapped = metric.from_totals(our_total + moved, n)[..., 0] - metric.from_totals(their_total - moved, n)[..., 0]
        k += int((np.abs(swapped) >= at_least).sum())
    return (k + 1) / (plan.resamples + 1)


def order_of_ids(ids: Sequence[str]) -> list[int]:
    """Returns the places of the items by ascending id: resampled in this order, a file and its shuffled copy agree."""
    return sorted(range(len(ids)), key=ids.__getitem__)


def _check(stats: Floats) -> None:
    if len(stats) < 2:
        raise InputError("one item has no interval: resampling it gives it again; expected at least two items.")


def _score(metric: Metric, stats: Floats) -> float:
    return float(metric.combine(stats)[0])


def _without_one(metric: Metric, stats: Floats) -> Floats:
    """Returns float64[n]: the score without each item in turn."""
    values: Floats = metric.from_totals(stats.sum(axis=0) - stats, len(stats) - 1)[..., 0]
    return values


def _bca(value: float, draws: Floats, jackknife: Floats, level: float) -> Interval:
    r"""Returns the bias-corrected and accelerated interval of a value.

    Percentiles of the resampled values, at levels that correct the percentile interval for bias (z0, from the share of draws
    below the value; half of the draws that equal it count as below) and for a spread that changes with the value (a, from the
    jackknife):

        level' = Φ(z0 + (z0 + z) / (1 - a (z0 + z)))        a = Σ d_i³ / (6 (Σ d_i²)^(3/2)),  d_i = mean(jackknife) - jackknife_i

    Both corrections are 0 where the draws are symmetric. Where they cannot be estimated (all draws on one side of the value)
    the interval is that of the percentiles.

    Measured at a nominal 95 %, drawing sets of items from the 957 of AudioCaps test (first human caption against the last three,
    1,000 sets, 500 resamples): of 30, 100 and 400 items BLEU is covered in 91.9, 93.2 and 93.9 %, ROUGE-L in 92.9, 94.0 and
    94.7 %, CIDEr-D in 90.0, 92.8 and 95.4 %. The percentile interval reaches 89.1, 92.6 and 88.7 % of 30 items and is its equal
    from 100 on; on skewed means of 12 to 30 items (beta(0.5, 2), lognormal) it covers 1 to 2 points less.

    Source: Efron 1987 (JASA 82); Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 14.3.
    """
    normal = NormalDist()
    gap = draws - value
    tie = TIE * max(abs(value), float(np.abs(draws).max()))
    below = float(((gap < -tie).sum() + 0.5 * (np.abs(gap) <= tie).sum()) / len(draws))
    deviation = jackknife.mean() - jackknife
    spread = float((deviation**2).sum())
    levels = ((1.0 - level) / 2, (1.0 + level) / 2)
    if 0.0 < below < 1.0 and spread > 0.0:
        bias = normal.inv_cdf(below)
        acceleration = float((deviation**3).sum()) / (6.0 * spread**1.5)
        shifted = [bias + normal.inv_cdf(one) for one in levels]
        if all(acceleration * z < 1.0 for z in shifted):
            levels = (
                normal.cdf(bias + shifted[0] / (1.0 - acceleration * shifted[0])),
                normal.cdf(bias + shifted[1] / (1.0 - acceleration * shifted[1])),
            )
    low, high = np.quantile(draws, levels)
    return Interval(float(low), float(high), level)
