"""Distances between sets of sounds or texts, from embeddings and from a classifier's posteriors.

Fréchet distance (FAD with VGGish, FD with PANNs), Inception score and KL divergence as WavCaps, Table VIII has them, which are
those of AudioLDM's evaluation code; distances within and between categories as FusionAudio, Table 11 reports them. All arithmetic
is float64. These are numbers of whole sets: only the KL divergence has a value per item. The embedding or classifier decides what
a number means, so its name belongs into the signature (`model`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, shorten
from ..metric import Floats, Signature
from .matrices import as_matrix, check_finite

VERSION = 1
KL_EPSILON = 1e-6  # AudioLDM's evaluation code, calculate_kl
SPLITS, SEED = 10, 2020  # AudioLDM's evaluation code, calculate_isc
_SUM_TOLERANCE = 1e-3  # posteriors in half precision add up to 1 no better
_ROWS = 4096
_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DistributionResult:
    """One number of whole sets.

    Attributes:
        metric: `frechet`, `inception_score`, `kl_divergence` or `category_distances`.
        score: the number.
        signature: the recipe of it.
        components: further numbers that belong to it.
        per_item: float64[n] where every item has a value of its own, the score being their mean; else empty.
        notes: what the reader should know, such as too few samples; a count of 0 is left out.
    """

    metric: str
    score: float
    signature: Signature
    components: Mapping[str, float] = field(default_factory=dict)
    per_item: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        entry: dict[str, object] = {
            "metric": self.metric,
            "score": self.score,
            "signature": self.signature.text,
            "digest": self.signature.digest,
            **self.components,
        }
        return {**entry, "notes": dict(self.notes)} if self.notes else entry


def frechet_distance(reference: npt.ArrayLike, generated: npt.ArrayLike, *, model: str = "unknown") -> DistributionResult:
    """Returns the squared Fréchet distance of the Gaussians of two sets of embeddings: FAD, FD.

    With means m and covariances S (divided by n - 1):

        FD = |m_r - m_g|^2 + tr S_r + tr S_g - 2 tr (S_r S_g)^(1/2)

    The last term is the sum of the singular values of R_r R_g^T, where S = R^T R and R comes from QR decompositions of the
    centred embeddings. No covariance is formed and no root of a product taken, so singular covariances need no epsilon and lose
    no digits; rounding below zero is cut off. Memory grows with dimensions squared, not with samples.
    The distance is biased upwards for few samples, by an amount that depends on their number: compare only sets of equal sizes.
    With no more samples than dimensions a covariance is singular, which is warned about and noted.

    Args:
        reference: float[n_r, d], embeddings of the real set, n_r of 2 or more.
        generated: float[n_g, d], embeddings of the set to judge, n_g of 2 or more; the sizes may differ.
        model: what made the embeddings, with its version; kept in the signature.

    Returns:
        The distance as score; `mean_term` and `covariance_term`, which add up to it, as components.

    Raises:
        InputError: a shape does not fit, a set has fewer than two embeddings, a number is NaN or infinite.

    Source: Kilgour et al. 2019 (FAD); Dowson and Landau 1982; WavCaps, Table VIII (FAD with VGGish, FD with PANNs).

    >>> frechet_distance([[0.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]]).score
    9.0
    """
    real, fake = as_matrix(reference, "reference"), as_matrix(generated, "generated")
    if real.shape[1] != fake.shape[1]:
        raise InputError(
            f"reference has {real.shape[1]:,} dimensions and generated {fake.shape[1]:,}; expected embeddings of one model."
        )
    notes = {}
    for name, one in (("reference", real), ("generated", fake)):
        if len(one) < 2:
            raise InputError(f"{name} has one embedding; expected two or more, or there is no covariance.")
        if len(one) <= one.shape[1]:
            notes[f"singular_{name}"] = len(one)
            warnings.warn(
                f"{name} has {len(one):,} embeddings of {one.shape[1]:,} dimensions: its covariance is singular and the distance "
                f"far too large; use more than {one.shape[1]:,}.",
                stacklevel=2,
            )
    (real_mean, real_root), (fake_mean, fake_root) = (
        _gaussian(one, name) for one, name in ((real, "reference"), (fake, "generated"))
    )
    mean_term = float(((real_mean - fake_mean) ** 2).sum())
    overlap = float(np.linalg.svd(real_root @ fake_root.T, compute_uv=False).sum())
    covariance_term = max(0.0, float((real_root**2).sum() + (fake_root**2).sum()) - 2 * overlap)
    recipe = {
        "metric": "frechet",
        "version": str(VERSION),
        "n_reference": str(len(real)),
        "n_generated": str(len(fake)),
        "dimensions": str(real.shape[1]),
        "covariance": "n-1",
        "model": model,
    }
    components = {"mean_term": mean_term, "covariance_term": covariance_term}
    return DistributionResult("frechet", mean_term + covariance_term, Signature(recipe), components, notes=notes)


def inception_score(
    posteriors: npt.ArrayLike, *, splits: int = SPLITS, seed: int | None = SEED, model: str = "unknown"
) -> DistributionResult:
    """Returns the Inception score: sure of each sound, varied over all; higher is better.

    With posteriors p_i of the items of a part and their mean p:

        IS = exp(mean over i of sum over c of p_ic log(p_ic / p_c)),        0 log 0 = 0

    The items are shuffled and cut into parts of equal size, up to one; the score is the mean over parts, `std` its population
    standard deviation. WavCaps' numbers come from 10 parts; AudioLDM's code shuffles with numpy's legacy generator, so a part
    holds other items there. The score depends on the size of the parts, which is in the signature.

    Args:
        posteriors: float[n, n_classes], each row a distribution (softmax of the logits); within 0.001, and then made to add to 1.
        splits: number of parts, up to n.
        seed: of the shuffle; None leaves the order as it is.
        model: the classifier, with its version; kept in the signature.

    Raises:
        InputError: a shape does not fit, a row is no distribution, or there are more parts than items.

    Source: Salimans et al. 2016, section 4; WavCaps, Table VIII (PANNs).

    >>> round(inception_score([[1, 0], [0, 1]], splits=1).score, 6)
    2.0
    """
    found = _posteriors(posteriors, "posteriors")
    n = len(found)
    if not 1 <= splits <= n:
        raise InputError(f"splits is {splits}; expected 1 to {n:,}, the number of items.")
    order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
    scores = []
    for part in range(splits):
        rows = found[order[part * n // splits : (part + 1) * n // splits]]
        scores.append(float(np.exp(_divergences(rows, np.broadcast_to(rows.mean(axis=0), rows.shape)).mean())))
    recipe = {
        "metric": "inception_score",
        "version": str(VERSION),
        "n": str(n),
        "classes": str(found.shape[1]),
        "splits": str(splits),
        "seed": str(seed),
        "model": model,
    }
    return DistributionResult("inception_score", float(np.mean(scores)), Signature(recipe), {"std": float(np.std(scores))})


def kl_divergence(
    reference: npt.ArrayLike, generated: npt.ArrayLike, *, epsilon: float = KL_EPSILON, model: str = "unknown"
) -> DistributionResult:
    """Returns the mean Kullback-Leibler divergence of generated sounds from the sounds they should be like; lower is better.

    With posteriors p of the real sound and q of the sound generated for the same caption, in nats:

        KL = mean over i of sum over c of p_ic (log p_ic - log(q_ic + epsilon)),        0 log 0 = 0

    The epsilon is that of the evaluation code behind WavCaps' table; it makes the divergence finite, and of equal posteriors a
    little less than 0. With epsilon 0 the divergence is infinite where the generated sound excludes what the real one has.

    Args:
        reference: float[n, n_classes], rows are distributions (softmax of the logits), within 0.001, and then made to add to 1.
        generated: float[n, n_classes], the same items in the same order.
        epsilon: 0 or more.
        model: the classifier, with its version; kept in the signature.

    Returns:
        The mean as score, the items' divergences in `per_item`.

    Raises:
        InputError: shapes differ, a row is no distribution, or epsilon is no number from 0 up.

    Source: WavCaps, Table VIII (PANNs), by AudioLDM's evaluation code: real to generated, softmax.

    >>> round(kl_divergence([[1, 0]], [[0.5, 0.5]], epsilon=0).score, 6)
    0.693147
    """
    real, fake = _posteriors(reference, "reference"), _posteriors(generated, "generated")
    if real.shape != fake.shape:
        raise InputError(f"reference has the shape {real.shape} and generated {fake.shape}; expected one row of each per item.")
    if not (np.isfinite(epsilon) and epsilon >= 0):
        raise InputError(f"epsilon is {epsilon}; expected a number from 0 up.")
    per_item = _divergences(real, fake + epsilon)
    recipe = {
        "metric": "kl_divergence",
        "version": str(VERSION),
        "direction": "reference_to_generated",
        "classes": str(real.shape[1]),
        "epsilon": repr(float(epsilon)),
        "model": model,
    }
    return DistributionResult("kl_divergence", float(per_item.mean()), Signature(recipe), per_item=per_item)


@dataclass(frozen=True)
class CategoryDistances:
    """Mean cosine distances within and between categories.

    Attributes:
        intra: mean over categories of two items or more of their mean distance within.
        inter: mean over pairs of categories of their mean distance between.
        categories: the categories, sorted by their text.
        within: float64[n_categories], NaN for a category of one item.
        between: float64[n_categories, n_categories], symmetric; its diagonal is NaN.
        signature: the recipe of these numbers.
        notes: `single_item_categories`, left out where there are none.
    """

    intra: float
    inter: float
    categories: tuple[object, ...]
    within: Floats = field(repr=False)
    between: Floats = field(repr=False)
    signature: Signature
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        entry: dict[str, object] = {
            "metric": "category_distances",
            "intra": self.intra,
            "inter": self.inter,
            "n_categories": len(self.categories),
            "signature": self.signature.text,
            "digest": self.signature.digest,
        }
        return {**entry, "notes": dict(self.notes)} if self.notes else entry


def category_distances(
    embeddings: npt.ArrayLike, categories: Sequence[object] | npt.NDArray[Any], *, model: str = "unknown"
) -> CategoryDistances:
    """Returns how far apart items of one category and of different categories are, by the cosine.

    With d(x, y) = 1 - cos(x, y) and categories A, B of a, b items:

        within(A) = mean of d over the a (a - 1) / 2 pairs of different items of A        intra = mean of within
        between(A, B) = mean of d over the a b pairs of an item of A and one of B         inter = mean over pairs A, B

    Every category counts alike, whatever its size. No item is compared with itself. The means come from sums of unit vectors, so
    time grows with items, not with their pairs.

    Args:
        embeddings: float[n, d], none of them zero.
        categories: per item its category, hashable; two or more in all, at least one of them with two items.
        model: what made the embeddings, with its version; kept in the signature.

    Raises:
        InputError: a shape does not fit, a number is NaN or infinite, an embedding is zero, there are fewer than two categories,
            or none has two items.

    Source: FusionAudio, Table 11, reports mean cosine distances of its captions within and between AudioSet categories; weights
    and pairs are our reading of it and stand in the signature.

    >>> found = category_distances([[1, 0], [0, 1], [0, -1]], ["a", "a", "b"])
    >>> found.intra, found.inter
    (1.0, 1.5)
    """
    matrix = as_matrix(embeddings, "embeddings")
    given = categories.tolist() if isinstance(categories, np.ndarray) else list(categories)
    if len(given) != len(matrix):
        raise InputError(f"{len(matrix):,} embeddings and {len(given):,} categories were given; expected one of each per item.")
    names = sorted(set(given), key=str)
    if len(names) < 2:
        raise InputError(f"all items are of the category {shorten(names[0])}; expected two categories or more.")
    index = {name: place for place, name in enumerate(names)}
    owner = np.array([index[name] for name in given])
    counts = np.bincount(owner).astype(np.float64)
    if counts.max() < 2:
        raise InputError(f"each of the {len(names):,} categories has one item; expected a category with two or more.")
    sums = np.zeros((len(names), matrix.shape[1]))
    squares = np.zeros(len(names))
    for begin, part in _parts(matrix, "embeddings"):
        norms = np.linalg.norm(part, axis=1, keepdims=True)
        if not norms.all():
            raise InputError(
                f"embeddings[{begin + int(np.flatnonzero(norms == 0)[0])}] is zero; expected embeddings with a direction."
            )
        unit = part / norms
        np.add.at(sums, owner[begin : begin + len(part)], unit)
        np.add.at(squares, owner[begin : begin + len(part)], (unit * unit).sum(axis=1))
    has_pairs = counts > 1
    totals = sums @ sums.T
    pairs = np.where(has_pairs, counts * (counts - 1), 1)
    within = np.where(has_pairs, 1 - (np.diagonal(totals) - squares) / pairs, np.nan)
    between = 1 - totals / np.outer(counts, counts)
    np.fill_diagonal(between, np.nan)
    recipe = {
        "metric": "category_distances",
        "version": str(VERSION),
        "distance": "1-cosine",
        "weights": "equal_per_category",
        "self_pairs": "no",
        "n": str(len(matrix)),
        "categories": str(len(names)),
        "model": model,
    }
    n_single = int((~has_pairs).sum())
    return CategoryDistances(
        intra=float(np.nanmean(within)),
        inter=float(np.nanmean(between)),
        categories=tuple(names),
        within=within,
        between=between,
        signature=Signature(recipe),
        notes={"single_item_categories": n_single} if n_single else {},
    )


def _gaussian(matrix: _Array, name: str) -> tuple[Floats, Floats]:
    """Returns the mean, float64[d], and a root R of the covariance: float64[r, d] with R^T R = S and r up to d."""
    mean = np.zeros(matrix.shape[1])
    for _, part in _parts(matrix, name):
        mean += part.sum(axis=0)
    mean /= len(matrix)
    root = np.empty((0, matrix.shape[1]))
    for _, part in _parts(matrix, name):
        root = np.asarray(np.linalg.qr(np.concatenate([root, part - mean]), mode="r"), np.float64)
    return mean, np.asarray(root / np.sqrt(len(matrix) - 1), np.float64)


def _divergences(p: Floats, q: Floats) -> Floats:
    # where p is 0, so is the term, whatever q is
    with np.errstate(divide="ignore"):
        return np.asarray((p * (np.log(np.where(p > 0, p, 1)) - np.log(np.where(p > 0, q, 1)))).sum(axis=1), np.float64)


def _parts(matrix: _Array, name: str) -> Iterator[tuple[int, Floats]]:
    """Yields the first row and float64[rows, d] of blocks of rows."""
    for begin in range(0, len(matrix), _ROWS):
        part = matrix[begin : begin + _ROWS].astype(np.float64)
        check_finite(part, name, begin)
        yield begin, part


def _posteriors(values: npt.ArrayLike, name: str) -> Floats:
    found = np.concatenate([part for _, part in _parts(as_matrix(values, name), name)])
    sums = found.sum(axis=1)
    wrong = np.flatnonzero((found < 0).any(axis=1) | (np.abs(sums - 1) > _SUM_TOLERANCE))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{name}[{row}] is no distribution: it adds up to {sums[row]:.6g} and its least number is {found[row].min():.6g}; "
            "expected posteriors, such as the softmax of the logits."
        )
    return np.asarray(found / sums[:, None], np.float64)
