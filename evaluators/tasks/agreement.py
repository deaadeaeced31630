"""How far people who rated the same items agree: exactly, pair by pair, and beyond chance.

Ratings are compared as numbers where all of them are numbers (4 is 4.0), else as text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_scripts.errors import InputError, MissingRequirementError, Problem, UnknownNameError, shorten
from .array_files import read_columns

COLUMNS = ("id", "rater", "rating")
SCALES = ("nominal", "ordinal", "interval", "ratio")
_KEPT_PROBLEMS = 1000


@dataclass(frozen=True)
class Rating:
    """What one rater said about one item."""

    id: str
    rater: str
    rating: str


@dataclass(frozen=True)
class PairAgreement:
    """How two raters agree.

    Attributes:
        raters: the two, sorted.
        n: items that both rated.
        n_equal: those on which they agree exactly.
    """

    raters: tuple[str, str]
    n: int
    n_equal: int

    @property
    def share(self) -> float:
        """The share of common items on which they agree."""
        return self.n_equal / self.n


@dataclass(frozen=True)
class Agreement:
    """How raters agree.

    Attributes:
        exact: share of items on which all of their raters agree exactly.
        pairwise: share of equal ratings among all pairs of ratings of one item.
        n: items with two ratings or more, which are those that count.
        n_single: items with one rating.
        by_count: per number of ratings of an item: how many such items there are, and on how many of them all agree.
        pairs: raters two by two, those with common items.
        alpha: Krippendorff's alpha where it was asked for.
        scale: the scale that alpha takes the ratings for.
    """

    exact: float
    pairwise: float
    n: int
    n_single: int
    by_count: Mapping[int, tuple[int, int]]
    pairs: tuple[PairAgreement, ...] = field(repr=False)
    alpha: float | None = None
    scale: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        found: dict[str, Any] = {
            "exact": self.exact,
            "pairwise": self.pairwise,
            "n": self.n,
            "n_single": self.n_single,
            "by_count": [{"ratings": k, "n": n, "n_equal": equal} for k, (n, equal) in self.by_count.items()],
            "pairs": [{"raters": list(one.raters), "n": one.n, "n_equal": one.n_equal, "share": one.share} for one in self.pairs],
        }
        return found if self.alpha is None else {**found, "alpha": self.alpha, "scale": self.scale}


def agreement(ratings: Sequence[Rating], scale: str | None = None) -> Agreement:
    """Returns how far raters agree.

    With R(i) the ratings of item i, over items with two or more of them:

        exact = |{i: all of R(i) are equal}| / |{i}|
        pairwise = sum over i of |{pairs in R(i) that are equal}| / sum over i of |R(i)| (|R(i)| - 1) / 2

    An item with more raters has more pairs, and more chances to differ: compare `exact` of equal counts only (`by_count`).

    Args:
        ratings: at most one per item and rater.
        scale: nominal, ordinal, interval or ratio, to compute Krippendorff's alpha; None for none.

    Raises:
        InputError: no item has two ratings, a rater rated an item twice, or the scale asks for numbers and a rating is none.
        UnknownNameError: there is no such scale.
        MissingRequirementError: alpha was asked for and its package is not installed.

    Source: exact agreement of people, as dataset papers report it; alpha: Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability, by the package krippendorff.

    >>> agreement([Rating("a", "x", "4"), Rating("a", "y", "4.0"), Rating("b", "x", "1"), Rating("b", "y", "2")]).exact
    0.5
    """
    if scale is not None and scale not in SCALES:
        raise UnknownNameError("scale", scale, SCALES)
    numbers = [_number(one.rating) for one in ratings]
    are_numbers = all(number is not None for number in numbers)
    if scale not in {None, "nominal"} and not are_numbers:
        first = next(one for one, number in zip(ratings, numbers, strict=True) if number is None)
        raise InputError(f"the rating of {first.id!r} is {shorten(first.rating)}; expected numbers for the scale {scale}.")
    by_item: dict[str, dict[str, Any]] = {}
    for one, number in zip(ratings, numbers, strict=True):
        given = by_item.setdefault(one.id, {})
        if one.rater in given:
            raise InputError(f"{one.rater!r} rated {one.id!r} twice; expected one rating per rater and item.")
        given[one.rater] = number if are_numbers else one.rating
    shared = [given for given in by_item.values() if len(given) > 1]
    if not shared:
        raise InputError(f"none of the {len(by_item):,} items has two ratings; expected items that several people rated.")
    n_equal_pairs = n_pairs = 0
    counts: Counter[int] = Counter()
    equal: Counter[int] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    same: Counter[tuple[str, str]] = Counter()
    for given in shared:
        values = Counter(given.values())
        n_pairs += math.comb(len(given), 2)
        n_equal_pairs += sum(math.comb(n, 2) for n in values.values())
        counts[len(given)] += 1
        equal[len(given)] += len(values) == 1
        for pair in combinations(sorted(given), 2):
            both[pair] += 1
            same[pair] += given[pair[0]] == given[pair[1]]
    return Agreement(
        exact=equal.total() / len(shared),
        pairwise=n_equal_pairs / n_pairs,
        n=len(shared),
        n_single=len(by_item) - len(shared),
        by_count={k: (counts[k], equal[k]) for k in sorted(counts)},
        pairs=tuple(PairAgreement(pair, both[pair], same[pair]) for pair in sorted(both)),
        alpha=None if scale is None else _alpha(shared, scale),
        scale=scale,
    )


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _alpha(shared: Sequence[Mapping[str, Any]], scale: str) -> float:
    try:
        import krippendorff
    except ImportError:
        raise MissingRequirementError(
            "The package krippendorff", "Krippendorff's alpha is computed by it.", 'pip install "unified-audiocaps[statistics]"'
        ) from None
    domain = sorted({value for given in shared for value in given.values()})
    if len(domain) < 2:
        raise InputError(f"all ratings are {domain[0]!r}; expected two or more different ones, or alpha is not defined.")
    index = {value: place for place, value in enumerate(domain)}
    table = np.zeros((len(shared), len(domain)), np.int64)
    for row, given in enumerate(shared):
        for value in given.values():
            table[row, index[value]] += 1
    values = np.arange(len(domain)) if scale == "nominal" else np.array(domain)
    return float(krippendorff.alpha(value_counts=table, value_domain=values, level_of_measurement=scale))


def read_ratings(path: Path) -> list[Rating]:
    """Returns the ratings of a csv or parquet file with the columns id, rater and rating; other columns are ignored.

    Raises:
        InputError: the file cannot be read, lacks a column, has an empty cell, or a rater who rated an item twice.
    """
    found = read_columns(path, COLUMNS)
    cells = zip(found.lines, *(found.values[name] for name in COLUMNS), strict=True)
    ratings: list[Rating] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], int] = {}
    for line, id_, rater, rating in cells:
        before = first.setdefault((id_, rater), line)
        if before != line:
            problems.append(Problem("E_DUP_ID", f"{rater!r} rated {shorten(id_)} already on line {before}", line, id_))
        ratings.append(Rating(id_, rater, rating.strip()))
    if problems:
        raise InputError(f"{path}: {len(problems):,} ratings came twice.", problems[:_KEPT_PROBLEMS], len(problems))
    return ratings
