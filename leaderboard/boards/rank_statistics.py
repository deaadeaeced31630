r"""How far ranks can be trusted: resampled scores of all systems, and the range of ranks that they leave to each.

Conventions: what is resampled is the audio clip with everything that was scored on it, within its stratum (domain), so that every
resample holds as many clips of each domain as the benchmark. Equal seeds draw equal clips for every system, asked for together
or alone: differences are paired by construction, and the draws of a system can be kept. Draws are float64[resamples, systems],
in float64 throughout: two systems that differ in one caption of 20,000 differ by less than the rounding of float32 sums.
What a metric takes from the whole set (n-gram weights, ranks) is held fixed. Pure functions; nothing here reads a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError
from ...evaluators.bootstrap import BLOCK_CELLS, FEWEST_RESAMPLES, LEVEL, TIE, Resampling
from ...evaluators.metric import Floats, Metric

Ints = npt.NDArray[np.int64]

MAX_RANKED = 200  # pairs grow with the square: 19,900 of them
FEWEST_IN_DOMAIN = 10  # a stratum of n clips shows (n - 1) / n of its variance


def strata_of(domains: Sequence[str]) -> Ints:
    """Returns int64[clips]: one code per domain, the domains of fewer than 10 clips pooled.

    Few clips hardly vary when they are drawn among themselves, and a clip alone not at all: what systems score there would look
    certain. Where all small domains together still hold fewer than 10 clips, they join the largest domain.
    """
    names, codes, sizes = np.unique(np.asarray(domains, np.str_), return_inverse=True, return_counts=True)
    is_small = sizes[codes] < FEWEST_IN_DOMAIN
    if is_small.any():
        codes[is_small] = len(names) if is_small.sum() >= FEWEST_IN_DOMAIN else np.argmax(sizes)
    return _compact(codes)


@dataclass(frozen=True)
class ClipCounts:
    """How often each clip is drawn, resample by resample.

    A single stratum draws what `Resampling.counts` draws, so that a board and an interval beside it speak of the same resamples.

    Attributes:
        n_clips: number of clips, at least 2.
        plan: number of resamples and seed.
        strata: int64[n_clips], a code per clip; None is one stratum.
        block_cells: how many counts a block holds at most (a row at least); it does not change them.

    Raises:
        InputError: there are fewer than two clips, in all or in a stratum, or not one code per clip.
    """

    n_clips: int
    plan: Resampling = field(default_factory=Resampling)
    strata: Ints | None = field(default=None, repr=False, compare=False)
    block_cells: int = BLOCK_CELLS

    def __post_init__(self) -> None:
        if self.n_clips < 2:
            raise InputError(f"{self.n_clips} clips; expected at least two: one clip does not vary when it is resampled.")
        alone = np.flatnonzero(np.bincount(_codes(self.strata, self.n_clips)) < 2)
        if len(alone):
            raise InputError(
                f"{len(alone):,} strata hold a single clip, which every resample would draw: a difference there would look "
                "certain. Pool them, as strata_of does."
            )

    def blocks(self) -> Iterator[Floats]:
        """Yields float64[block, n_clips] of counts; within each stratum rows sum to its number of clips."""
        codes = _codes(self.strata, self.n_clips)
        members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
        # a stream per stratum: neither the blocks nor the other strata change what it draws
        streams = [
            np.random.default_rng([self.plan.seed, 0, code] if code else [self.plan.seed, 0]) for code in range(len(members))
        ]
        most = max(1, self.block_cells // self.n_clips)
        for start in range(0, self.plan.resamples, most):
            rows = min(most, self.plan.resamples - start)
            counts = np.empty((rows, self.n_clips))
            for clips, random in zip(members, streams, strict=True):
                n = len(clips)
                drawn = random.integers(n, size=(rows, n))
                drawn += n * np.arange(rows)[:, None]
                counts[:, clips] = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
            yield counts


def mean_draws(values: npt.ArrayLike, counts: ClipCounts) -> Floats:
    """Returns float64[resamples, systems]: the mean over clips of every system in every resample.

    Args:
        values: float[n_clips, systems], or float[n_clips] for one system, which gives float64[resamples].
        counts: which clips are drawn.

    Raises:
        InputError: a value is no number, or there is not one row per clip.
    """
    rows = _rows(values, counts.n_clips, "values")
    return np.concatenate([block @ rows for block in counts.blocks()]) / counts.n_clips


def ratio_draws(numerators: npt.ArrayLike, denominators: npt.ArrayLike, counts: ClipCounts) -> Floats:
    """Returns float64[resamples, systems] of scores that are a sum over clips by another sum over clips.

    For items of which a clip has several, or none: per clip the sum of its items' values and their number. A weighted sum of
    groups is the same weighted sum of the groups' draws.

    Args:
        numerators: float[n_clips, systems], or float[n_clips] for one system.
        denominators: float[n_clips] for all systems, or of the shape of `numerators`.
        counts: which clips are drawn.

    Raises:
        InputError: a value is no number, there is not one row per clip, or a resample has nothing to divide by.
    """
    above, below = _rows(numerators, counts.n_clips, "numerators"), _rows(denominators, counts.n_clips, "denominators")
    if below.shape not in {above.shape, above.shape[:1]}:
        raise InputError(f"denominators are {below.shape}; expected {above.shape}, or {above.shape[:1]} for all systems.")
    if below.ndim < above.ndim:
        below = below[:, None]
    draws = []
    for block in counts.blocks():
        total = block @ below
        if not total.all():
            raise InputError("a resample drew no item: too few clips have one; expected items on most clips of a stratum.")
        draws.append(block @ above / total)
    return np.concatenate(draws)


class WeightedGroup(NamedTuple):
    """Items whose mean is a part of a score: its weight, and per item the place of its clip (0, 1, …) and its value."""

    weight: float
    clips: Ints
    values: Floats


def contributions(groups: Sequence[WeightedGroup], n_clips: int, strata: Ints | None = None) -> Floats:
    r"""Returns float64[n_clips] whose mean over clips is the weighted sum of the groups' means.

    For a score  S = Σ_g w_g (1/N_g) Σ_{i in g} v_i  with N_g items in group g, clip c contributes

        x_c = n_clips Σ_g (w_g / N_g) Σ_{i in g on c} v_i        so that  S = (1/n_clips) Σ_c x_c

    This is exact for resamples, too, where a group's number of items per clip is the same for all clips of a stratum, as with
    one item per clip and groups that are unions of domains: a resample keeps each stratum's number of clips, hence N_g, and all
    that varies are the sums. Anything else has a denominator that varies and is refused: `ratio_draws` is for that.

    Args:
        groups: their weights and items; a plain tuple will do.
        n_clips: number of clips, also those without an item.
        strata: int64[n_clips], those of the resamples; None is one stratum.

    Raises:
        InputError: a group has no item, a value that is no number, or varies in items per clip within a stratum.
    """
    codes = _codes(strata, n_clips)
    total = np.zeros(n_clips)
    for place, (weight, clips, values) in enumerate(groups):
        known = _checked(values, f"values of group {place}")
        if not len(known) or known.shape != np.shape(clips) or np.min(clips) < 0 or np.max(clips) >= n_clips:
            raise InputError(
                f"group {place} has {np.size(clips):,} clips and {known.size:,} values; expected at least one item, and for each "
                f"the place of its clip, 0 to {n_clips - 1:,}."
            )
        items = np.bincount(clips, minlength=n_clips)
        if (items * np.bincount(codes)[codes] != np.bincount(codes, items)[codes]).any():
            raise InputError(
                f"group {place} has {items.min()} to {items.max()} items per clip; expected equally many on all clips of a "
                "stratum, so that resamples keep its size. Resample numerators and denominators with ratio_draws instead."
            )
        total += n_clips * weight / len(known) * np.bincount(clips, known, minlength=n_clips)
    return total


def corpus_draws(metric: Metric, stats: Floats, counts: ClipCounts) -> Floats:
    """Returns float64[resamples] or float64[resamples, systems] of a metric that is no mean, such as BLEU.

    Args:
        metric: what the rows belong to.
        stats: float64[n_clips, k], `item_stats` of a system with one item per clip, or float64[n_clips, systems, k] of several.
        counts: which clips are drawn.

    Raises:
        InputError: a statistic is no number, or there is not one row per clip.
    """
    rows = _rows(stats, counts.n_clips, "stats")
    flat, shape = rows.reshape(len(rows), -1), rows.shape[1:]
    totals = ((block @ flat).reshape(-1, *shape) for block in counts.blocks())
    return np.concatenate([metric.from_totals(total, counts.n_clips)[..., 0] for total in totals])


@dataclass(frozen=True)
class SystemRank:
    """Where a system stands.

    Attributes:
        rank: 1 is best; equal scores share a rank and the next ones are skipped.
        low: best rank that the data allow: 1 + the number of significantly better systems. None beyond `RankTable.compared`.
        high: worst rank that the data allow: the number of compared systems that are not significantly worse. None likewise.
        tie_group: 1 for the systems that nothing separates from the first, and so on. None likewise.
    """

    rank: int
    low: int | None
    high: int | None
    tie_group: int | None


@dataclass(frozen=True)
class RankTable:
    """The ranks of a board with what the data allow.

    Attributes:
        systems: in the order in which they were handed in.
        compared: how many systems, from the best on, were compared with each other. Where that is not all of them, a range that
            ends at `compared` means "this rank or worse".
        level: probability with which all ranges at once hold the true ranks.
        critical: how many standard errors a difference must exceed; None where no difference varies.
        minimal_detectable_difference: `critical` times the median of the pairs' standard errors: what a typical pair must differ
            by, as measured, to be told apart. A true difference of this size is found about every other time; similar systems,
            whose scores go up and down together, are told apart at less. None where no difference varies.
    """

    systems: tuple[SystemRank, ...]
    compared: int
    level: float
    critical: float | None
    minimal_detectable_difference: float | None


def rank_table(
    observed: npt.ArrayLike,
    draws: npt.ArrayLike | Callable[[list[int]], npt.ArrayLike],
    higher_is_better: bool = True,
    level: float = LEVEL,
) -> RankTable:
    r"""Returns ranks, rank ranges and tie groups from simultaneous intervals of all pairwise differences.

    With d_ij the observed difference of two systems, d*_ij that of a resample and s_ij the standard deviation of d*_ij, the
    critical value c is the `level` quantile over resamples of  max_ij |d*_ij - d_ij| / s_ij.  All intervals  d_ij ± c s_ij  at
    once hold the true differences with probability `level`; two systems differ significantly where theirs leaves out 0. So all
    rank ranges at once hold the true ranks. (Corrected p-values cannot do this here: a bootstrap p is 1/(resamples + 1) at
    least, which Holm's correction for 20 systems or more never lets pass.)

    A pair that does not vary (s_ij within rounding of 0: the same captions, or a constant lead) takes no part in the maximum:
    equal scores never differ, unequal ones always do. Scores are equal when they agree within rounding.

    Measured on eight systems with equal true means (1,000 to 1,500 boards a case, nominal 5 %): any pair was called different on
    5.2 to 5.6 % of boards of 300 or 957 clips with 2,000 resamples, 5.6 to 6.8 % with 500, and 7 % of boards of 100 clips, 10 %
    of 50: there, ranges are too narrow.

    A tie group is led by its best system (or several with one rank). Going down the ranks, it ends before the first rank whose
    systems are all significantly worse than all its leaders; they lead the next. So a group says "not told apart from its
    leaders". Its members may differ from each other, and a later group may hold a system that its wide interval does not
    separate from earlier leaders: the range says so.

    On boards of more than `MAX_RANKED` systems the best 200 by score are compared, fewer where a run of equal scores crosses that
    border; the others have a rank only.

    Args:
        observed: float[systems], their scores.
        draws: float[resamples, systems], their scores in the same resamples, at least 100; or a function that returns those of
            the systems at the places that it is given, so that a large board's need not all be read.
        higher_is_better: whether rank 1 goes to the highest score.
        level: probability with which all ranges at once hold the true ranks.

    Raises:
        InputError: a score or draw is no number, the shapes do not belong together, or `level` is not between 0 and 1.

    Source: Mogstad, Romano, Shaikh and Wilhelm 2024 (Review of Economic Studies 91), ranges from simultaneous intervals; Romano
    and Wolf 2005 (Econometrica 73), the maximum of studentised differences.
    """
    sign = 1.0 if higher_is_better else -1.0
    scores = sign * _checked(observed, "observed")
    if scores.ndim != 1:
        raise InputError(f"observed is {scores.shape}; expected [systems].")
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level}; expected a number between 0 and 1, such as {LEVEL}.")
    order = np.argsort(-scores, kind="stable")
    ranks = _ranks(scores[order])
    compared = len(ranks) if len(ranks) <= MAX_RANKED else ranks[MAX_RANKED] - 1
    best = order[:compared]
    resampled = sign * _checked(draws(best.tolist()) if callable(draws) else draws, "draws")
    expected = compared if callable(draws) else len(scores)
    if resampled.ndim != 2 or resampled.shape[1] != expected:
        raise InputError(f"observed is {scores.shape} and draws {resampled.shape}; expected [systems] and [resamples, systems].")
    if len(resampled) < FEWEST_RESAMPLES:
        raise InputError(f"draws hold {len(resampled)} resamples; expected at least {FEWEST_RESAMPLES}.")
    resampled = resampled if callable(draws) else resampled[:, best]
    pairs = _compare(scores[best], resampled, level)
    low, high = 1 + pairs.is_worse.sum(axis=0), compared - pairs.is_worse.sum(axis=1)
    groups = _tie_groups(ranks[:compared], pairs.is_worse)
    systems = [SystemRank(rank, None, None, None) for rank in ranks]
    systems[:compared] = map(SystemRank, ranks[:compared], low.tolist(), high.tolist(), groups)
    as_handed_in = tuple(systems[place] for place in np.argsort(order).tolist())
    return RankTable(as_handed_in, compared, level, pairs.critical, pairs.detectable)


def paired_p(draws_a: npt.ArrayLike, draws_b: npt.ArrayLike) -> float:
    r"""Returns the two-sided bootstrap p-value of no difference between two systems.

        p = min(1, 2 (k + 1) / (R + 1))

    with k the smaller of the numbers of the R resamples in which the first is not better, and not worse. It is never 0, and 1
    where the systems are equal in every resample. One pair alone: among the pairs of a board some are small by chance, which
    `rank_table` allows for.

    Args:
        draws_a: float[resamples], the first system's scores.
        draws_b: float[resamples], the other's, in the same resamples.

    Raises:
        InputError: a draw is no number, or the numbers of resamples differ.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, chapter 4.
    """
    ours, theirs = _checked(draws_a, "draws_a"), _checked(draws_b, "draws_b")
    if ours.shape != theirs.shape or ours.ndim != 1 or not len(ours):
        raise InputError(f"draws_a is {ours.shape} and draws_b {theirs.shape}; expected as many resamples of both.")
    gap = ours - theirs
    rounding = TIE * max(np.abs(ours).max(), np.abs(theirs).max())
    k = min((gap <= rounding).sum(), (gap >= -rounding).sum())
    return min(1.0, 2.0 * (int(k) + 1) / (len(gap) + 1))


class _Pairs(NamedTuple):
    is_worse: npt.NDArray[np.bool_]  # [i, j]: system j, which stands below i, is significantly worse
    critical: float | None
    detectable: float | None


def _compare(scores: Floats, draws: Floats, level: float) -> _Pairs:
    """Compares all pairs of systems that are sorted from the best on; one line of pairs is in memory at a time."""
    m = len(scores)
    deviation = np.ascontiguousarray(draws.T) - scores[:, None]
    size = np.maximum(np.abs(draws).max(axis=0, initial=0.0), np.abs(scores))
    rounding = TIE * np.maximum(size[:, None], size)
    errors, largest = np.zeros((m, m)), np.zeros(len(draws))
    for i in range(m - 1):
        gap = deviation[i + 1 :] - deviation[i]
        error = gap.std(axis=1)
        error[error <= rounding[i, i + 1 :]] = 0.0
        errors[i, i + 1 :] = error
        np.abs(gap, out=gap)
        gap /= np.where(error > 0.0, error, np.inf)[:, None]
        np.maximum(largest, gap.max(axis=0), out=largest)
    varying = errors[errors > 0.0]
    # an order statistic, not a point between two: at least `level` of the resamples do not exceed it
    critical = float(np.quantile(largest, level, method="higher")) if len(varying) else None
    lead = scores[:, None] - scores
    is_worse = np.triu((lead > rounding) & (lead > (critical or 0.0) * errors), 1)
    return _Pairs(is_worse, critical, None if critical is None else critical * float(np.median(varying)))


def _ranks(scores: Floats) -> list[int]:
    """Returns the ranks of scores that are sorted from the best on."""
    ranks: list[int] = []
    leader = np.inf
    for place, score in enumerate(scores.tolist(), start=1):
        if ranks and leader - score <= TIE * max(abs(leader), abs(score)):
            ranks.append(ranks[-1])
        else:
            ranks.append(place)
            leader = score
    return ranks


def _tie_groups(ranks: list[int], is_worse: npt.NDArray[np.bool_]) -> list[int]:
    places = np.asarray(ranks)
    groups, group, leaders = np.zeros(len(ranks), np.int64), 0, np.zeros(0, np.int64)
    for rank in dict.fromkeys(ranks):
        here = np.flatnonzero(places == rank)
        if is_worse[np.ix_(leaders, here)].all():  # of no leaders at all, too
            group, leaders = group + 1, here
        groups[here] = group
    return groups.tolist()


def _codes(strata: Ints | None, n_clips: int) -> Ints:
    """Returns int64[n_clips] of codes 0, 1, … without gaps."""
    if strata is None:
        return np.zeros(n_clips, np.int64)
    if np.shape(strata) != (n_clips,):
        raise InputError(f"strata are {np.shape(strata)}; expected one code for each of {n_clips:,} clips.")
    return _compact(strata)


def _compact(codes: Ints) -> Ints:
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _rows(values: npt.ArrayLike, n_clips: int, name: str) -> Floats:
    rows = _checked(values, name)
    if rows.ndim < 1 or len(rows) != n_clips:
        raise InputError(f"{name} are {rows.shape}; expected a row for each of {n_clips:,} clips.")
    return rows


def _checked(values: npt.ArrayLike, name: str) -> Floats:
    numbers: npt.NDArray[Any] = np.asarray(values, np.float64)
    is_bad = ~np.isfinite(numbers)
    if is_bad.any():
        first = np.argwhere(is_bad)[0].tolist()
        raise InputError(
            f"{is_bad.sum():,} of {numbers.size:,} {name} are no finite numbers, first {numbers[tuple(first)]} at {first}; "
            "expected a number everywhere. Leave out systems without a score."
        )
    return numbers
