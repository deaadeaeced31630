"""The similarity below which clips are discarded, chosen by people's ratings (the F-beta threshold of FusionAudio).

People rate how well sound and caption fit, from 1 to 5. To be discarded (positive) is a clip that is rated 2 or lower; discarded
(predicted positive) is one whose similarity is below the threshold. The threshold maximises F-beta, beta 1.05:

    F = (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP)

Thresholds that make a difference are the similarities themselves (each the lowest that is kept) and infinity (nothing is kept).
F is compared exactly, as a ratio of whole numbers; of equal ones the lowest threshold wins: it discards the fewest.
Source: FusionAudio, section 3.3.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten

BETA = 1.05  # FusionAudio, section 3.3
DISCARD_UP_TO = 2.0  # FusionAudio, section 3.3
LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0
COLUMNS = ("id", "score", "rating")
_KEPT_PROBLEMS = 1000


@dataclass(frozen=True)
class Point:
    """What one threshold does.

    Attributes:
        threshold: clips with a lower similarity are discarded; infinity discards all.
        n_discarded: how many that are.
        precision: share of the discarded that are to be discarded; 0 where nothing is discarded.
        recall: share of those to be discarded that are.
        f_beta: their weighted harmonic mean.
    """

    threshold: float
    n_discarded: int
    precision: float
    recall: float
    f_beta: float

    def to_json(self) -> dict[str, float | None]:
        """Returns the numbers; JSON has no infinity, which becomes null."""
        return {**vars(self), "threshold": self.threshold if math.isfinite(self.threshold) else None}


@dataclass(frozen=True)
class Threshold:
    """The best threshold and all others.

    Attributes:
        best: the one that maximises F-beta.
        curve: every threshold that makes a difference, from low to high.
        beta: how much more recall counts than precision.
        n_positive: how many clips are to be discarded.
    """

    best: Point
    curve: tuple[Point, ...]
    beta: float
    n_positive: int

    def around(self, n: int) -> list[Point]:
        """Returns the best point, `n` points spread over the rest of the curve, and its ends, from low to high."""
        places = {round(place) for place in np.linspace(0, len(self.curve) - 1, n).tolist()} | {self.curve.index(self.best)}
        return [self.curve[place] for place in sorted(places)]

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return {
            "beta": self.beta,
            "n_positive": self.n_positive,
            "best": self.best.to_json(),
            "curve": [point.to_json() for point in self.curve],
        }


def best_threshold(similarities: npt.ArrayLike, ratings: npt.ArrayLike, beta: float = BETA) -> Threshold:
    """Returns the threshold that maximises F-beta.

    Args:
        similarities: one number per clip.
        ratings: one rating from 1 to 5 per clip.
        beta: above 0.

    Raises:
        InputError: no clips, lengths that differ, a rating out of range, a number that is none, all clips in one class, or beta
            is not above 0.

    >>> best_threshold([0.1, 0.2, 0.3, 0.4], [1, 2, 4, 5]).best
    Point(threshold=0.3, n_discarded=2, precision=1.0, recall=1.0, f_beta=1.0)
    """
    score, rating = np.asarray(similarities, np.float64), np.asarray(ratings, np.float64)
    if score.shape != rating.shape or score.ndim != 1:
        raise InputError(f"{score.size:,} similarities and {rating.size:,} ratings were given; expected one of each per clip.")
    if not len(score):
        raise InputError("no rated clip was given; expected clips that people rated low and others that they rated high.")
    if not (math.isfinite(beta) and beta > 0):
        raise InputError(f"beta is {beta}; expected a number above 0.")
    if not np.isfinite(score).all():
        raise InputError("a similarity is no number (NaN or infinite); leave such clips out.")
    if not ((rating >= LOWEST_RATING) & (rating <= HIGHEST_RATING)).all():
        raise InputError(f"a rating is not between {LOWEST_RATING:g} and {HIGHEST_RATING:g}; expected people's ratings.")
    is_positive = rating <= DISCARD_UP_TO
    n_positive = int(is_positive.sum())
    if n_positive in {0, len(score)}:
        which = "all" if n_positive else "none"
        raise InputError(
            f"{which} of the {len(score):,} clips are rated {DISCARD_UP_TO:g} or lower; a threshold needs clips of both kinds."
        )
    order = np.argsort(score, kind="stable")
    values, first = np.unique(score[order], return_index=True)
    thresholds = [*values.tolist(), math.inf]
    n_discarded = [*map(int, first), len(score)]
    positives = np.concatenate([[0], np.cumsum(is_positive[order])])[n_discarded]
    square = Fraction(str(float(beta))) ** 2
    curve = [
        _point(threshold, n, int(hit), n_positive, square)
        for threshold, n, hit in zip(thresholds, n_discarded, positives, strict=True)
    ]
    exact = [_f_beta(n, int(hit), n_positive, square) for n, hit in zip(n_discarded, positives, strict=True)]
    return Threshold(curve[exact.index(max(exact))], tuple(curve), float(beta), n_positive)


def _f_beta(n_discarded: int, hit: int, n_positive: int, square: Fraction) -> Fraction:
    # (1 + b) TP + b FN + FP = b (TP + FN) + (TP + FP): positives and discarded
    p, q = square.numerator, square.denominator
    return Fraction((p + q) * hit, p * n_positive + q * n_discarded)


def _point(threshold: float, n_discarded: int, hit: int, n_positive: int, square: Fraction) -> Point:
    precision = hit / n_discarded if n_discarded else 0.0
    return Point(threshold, n_discarded, precision, hit / n_positive, float(_f_beta(n_discarded, hit, n_positive, square)))


def read_rated(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the scores and the ratings of a csv file with the columns id, score and rating; other columns are ignored.

    Raises:
        InputError: it cannot be read, lacks a column, or has repeated ids, cells that are no numbers, or ratings beyond 1 to 5;
            all problems are listed with their lines.
    """
    problems: list[Problem] = []
    n_problems = 0
    lines: dict[str, int] = {}
    scores, ratings = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                came = ", ".join(reader.fieldnames or ()) or "nothing"
                raise InputError(f"{path} has no column {missing[0]!r}; found {came}, expected {', '.join(COLUMNS)}.")
            for row in reader:
                found = list(_problems(row, reader.line_num, lines))
                n_problems += len(found)
                problems += found[: _KEPT_PROBLEMS - len(problems)]
                if not found:
                    scores.append(float(row["score"]))
                    ratings.append(float(row["rating"]))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"{path} cannot be read ({problem}); expected a csv file with {', '.join(COLUMNS)}.") from problem
    if n_problems:
        raise InputError(f"{path}: {n_problems:,} {'problem' if n_problems == 1 else 'problems'}.", problems, n_problems)
    return np.array(scores, np.float64), np.array(ratings, np.float64)


def _problems(row: dict[str, str], line: int, lines: dict[str, int]) -> list[Problem]:
    id_ = row["id"] or ""
    if not id_:
        return [Problem("E_TYPE", "id is empty; expected the clip's id", line, column="id")]
    first = lines.setdefault(id_, line)
    if first != line:
        return [Problem("E_DUP_ID", f"id {shorten(id_)} came already on line {first}", line, id_, column="id")]
    found = []
    for name, low, high in (("score", -math.inf, math.inf), ("rating", LOWEST_RATING, HIGHEST_RATING)):
        try:
            is_good = math.isfinite(float(row[name])) and low <= float(row[name]) <= high
        except (TypeError, ValueError):
            is_good = False
        if not is_good:
            wanted = "a number" if name == "score" else f"a number from {low:g} to {high:g}"
            found.append(Problem("E_TYPE", f"{name} is {shorten(row[name])}; expected {wanted}", line, id_, column=name))
    return found
