"""Retrieval between sounds and captions, both ways: recall, ranks and average precision, without the full matrix of similarities.

Text to audio: every caption is a query, its own clip is the one right answer. Audio to text: every clip is a query, any of its
captions is right. Ranks count from 1. Of equal scores the wrong answers come first, so that scores that tell nothing rank last.
Similarity is the cosine. Tiles of it are computed in float32; every pair that float32 cannot tell from a right answer (its worst
rounding error is known) is computed again in float64, so ranks are those of float64 and do not depend on how the tiles are cut.
Source: the protocol of WavCaps, Table V, as its evaluation code has it: R@k, median rank, mean rank, mAP@10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..metric import Floats, Signature
from .matrices import as_matrix

VERSION = 1
CUTOFFS = (1, 5, 10)
AP_CUTOFF = 10
# a matrix product needs large tiles to keep several threads busy (31 MB in float32); counting wants parts that stay in the
# processor's cache (4 MB), and fewer than 256 rows, because it adds up in uint8
_TILE_TEXTS, _TILE_CLIPS, _PART_TEXTS = 1920, 4096, 240
_EXACT_PAIRS = 4096  # pairs that are computed again at once: 2 x 4096 x 512 float64 are 32 MB
_DENSE = 16  # from this share of close pairs on, whole tiles are computed again
_CHECK_ROWS = 4096
_KEPT_PROBLEMS = 1000

Integers = npt.NDArray[np.int64]
_Array = npt.NDArray[Any]
_Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class RetrievalResult:
    """What one direction of retrieval says.

    Attributes:
        task: `text_to_audio` or `audio_to_text`.
        ranks: int64[n], per query the rank of its best right answer, from 1.
        average_precisions: float64[n], per query the average precision of the first ten answers.
        pool: how many answers there are to rank.
        signature: the recipe of these numbers.
    """

    task: str
    ranks: Integers = field(repr=False)
    average_precisions: Floats = field(repr=False)
    pool: int
    signature: Signature

    def __len__(self) -> int:
        return len(self.ranks)

    def recall(self, k: int) -> float:
        """Returns R@k: the share of queries with a right answer among the first k."""
        return float((self.ranks <= k).mean())

    @property
    def median_rank(self) -> float:
        """The median of the ranks, rounded down where it lies between two, as the field's code does."""
        return float(np.floor(np.median(self.ranks)))

    @property
    def mean_rank(self) -> float:
        """The mean of the ranks."""
        return float(self.ranks.mean())

    @property
    def map_10(self) -> float:
        """mAP@10: the mean of the average precisions."""
        return float(self.average_precisions.mean())

    def columns(self) -> dict[str, Floats]:
        """Returns float64[n] by name of the per-query column; all values but the median rank are means of one."""
        hits = {f"r_{k}": (self.ranks <= k).astype(np.float64) for k in CUTOFFS}
        return {**hits, "rank": self.ranks.astype(np.float64), "ap_10": self.average_precisions}

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision, shares from 0 to 1."""
        return {
            "task": self.task,
            "n": len(self),
            "pool": self.pool,
            **{f"r_{k}": self.recall(k) for k in CUTOFFS},
            "median_rank": self.median_rank,
            "mean_rank": self.mean_rank,
            "map_10": self.map_10,
            "signature": self.signature.text,
            "digest": self.signature.digest,
        }


def retrieve(
    text: npt.ArrayLike,
    audio: npt.ArrayLike,
    clip_of: Sequence[object] | npt.NDArray[Any],
    clip_ids: Sequence[object] | None = None,
    *,
    model: str = "unknown",
) -> tuple[RetrievalResult, RetrievalResult]:
    """Returns text-to-audio and audio-to-text retrieval by the cosine of embeddings.

    With s(c, k) the cosine of caption c and clip k, and R(q) the right answers of query q, the j-th best of them has the rank

        rank_j(q) = j + |{wrong x: s(q, x) >= s(q, right_j)}|

    R@k is the share of queries with rank_1 <= k, AP@10(q) is the sum of j / rank_j over rank_j <= 10, divided by
    min(|R(q)|, 10). With five captions per clip this is what WavCaps computes, up to ties, which it leaves to the sort.
    Memory beyond the embeddings does not grow with captions times clips.

    Args:
        text: float[n_captions, d], one embedding per caption, of any length but zero.
        audio: float[n_clips, d], one embedding per clip, of any length but zero.
        clip_of: per caption the index of its clip, or the clip's id where `clip_ids` is given.
        clip_ids: ids of the clips in the order of `audio`, unique.
        model: what made the embeddings, with its version; kept in the signature.

    Raises:
        InputError: a shape does not fit, a number is NaN or infinite, an embedding is zero, a caption has no clip, a clip has no
            caption.

    Source: WavCaps, Table V; `retrieval/tools/utils.py` of its repository.

    >>> t2a, a2t = retrieve([[1, 0], [1, 1], [0, 1]], [[1, 0], [0, 1]], [0, 0, 1])
    >>> t2a.ranks.tolist(), a2t.ranks.tolist()
    ([1, 2, 1], [1, 1])
    """
    # rows in one piece: the order in which a row is summed must not depend on the layout that came
    texts, clips = (np.ascontiguousarray(_matrix(one, name)) for one, name in ((text, "text"), (audio, "audio")))
    if texts.shape[1] != clips.shape[1]:
        raise InputError(
            f"text has {texts.shape[1]:,} dimensions and audio {clips.shape[1]:,}; expected embeddings of one space."
        )
    owner = _owners(clip_of, len(texts), len(clips), clip_ids)
    text_norms, clip_norms = _norms(texts, "text"), _norms(clips, "audio")
    unit_clips = np.concatenate([_unit(clips, clip_norms, rows) for rows in _slices(len(clips), _CHECK_ROWS)])

    text_twins, clip_twins = _twins(texts), _twins(clips)

    def cosines(i: _Places, k: _Places) -> Floats:
        # each pair of equal embeddings once: a model that collapsed would otherwise take hours
        pairs, back = np.unique(text_twins[i] * len(clips) + clip_twins[k], return_inverse=True)
        i, k = np.divmod(pairs, len(clips))
        found = np.empty(len(i))
        for rows in _slices(len(i), _EXACT_PAIRS):
            # products and sums row by row: equal embeddings give equal bits wherever they stand, which a matrix product does not
            dots = (texts[i[rows]].astype(np.float64) * clips[k[rows]].astype(np.float64)).sum(axis=1)
            found[rows] = dots / (text_norms[i[rows]] * clip_norms[k[rows]])
        return np.asarray(found[back], np.float64)

    # unit roundoff of float32 times dimensions bounds the error of a dot product of unit vectors in any order of summation
    # (Higham 2002, equation 3.5); the rest covers the rounding of the vectors themselves and of the bounds
    slack = (texts.shape[1] + 16) * 2.0**-24 * 1.01

    def tile(rows: slice, columns: slice) -> _Array:
        return np.asarray(_unit(texts, text_norms, rows) @ unit_clips[columns].T)

    @lru_cache(maxsize=1)
    def fine_tile(row: int, end_row: int, column: int, end_column: int) -> Floats:
        left, right = texts[row:end_row].astype(np.float64), clips[column:end_column].astype(np.float64)
        return np.asarray(left / text_norms[row:end_row, None] @ (right / clip_norms[column:end_column, None]).T, np.float64)

    def are_above(rows: slice, columns: slice, i: _Places, k: _Places, values: Floats) -> npt.NDArray[np.bool_]:
        if len(i) * _DENSE < (rows.stop - rows.start) * (columns.stop - columns.start):
            return np.asarray(cosines(i, k) >= values, np.bool_)
        # where most of a tile is close, a matrix product in float64 decides all but the ties
        fine = fine_tile(rows.start, rows.stop, columns.start, columns.stop)[i - rows.start, k - columns.start]
        found = fine > values
        ties = np.flatnonzero(np.abs(fine - values) <= slack * 2.0**-29)  # the same bound for float64
        found[ties] = cosines(i[ties], k[ties]) >= values[ties]
        return np.asarray(found, np.bool_)

    right = cosines(np.arange(len(texts)), owner)
    recipe = {"similarity": "cosine", "compare": "float64", "model": model}
    return _results(_Scores(tile, right, owner, len(clips), slack, are_above), recipe)


def retrieve_from_scores(
    scores: npt.ArrayLike,
    clip_of: Sequence[object] | npt.NDArray[Any],
    clip_ids: Sequence[object] | None = None,
    *,
    model: str = "unknown",
) -> tuple[RetrievalResult, RetrievalResult]:
    """Returns text-to-audio and audio-to-text retrieval by scores that are at hand, such as those of a cross-encoder.

    The formulas are those of `retrieve`; scores are compared in the number type they have. A memory-mapped matrix is read tile by
    tile.

    Args:
        scores: float[n_captions, n_clips], higher is more alike.
        clip_of: per caption the index of its clip, or the clip's id where `clip_ids` is given.
        clip_ids: ids of the clips in the order of the columns, unique.
        model: what made the scores, with its version; kept in the signature.

    Raises:
        InputError: a shape does not fit, a score is NaN or infinite, a caption has no clip, a clip has no caption.

    Source: as `retrieve`.

    >>> retrieve_from_scores([[0.9, 0.1], [0.5, 0.5]], ["a", "b"], ["a", "b"])[0].ranks.tolist()
    [1, 2]
    """
    matrix = _matrix(scores, "scores")
    n_texts, n_clips = matrix.shape
    owner = _owners(clip_of, n_texts, n_clips, clip_ids)

    def tile(rows: slice, columns: slice) -> _Array:
        found = np.array(matrix[rows, columns])
        if not np.isfinite(found).all():
            i, k = (int(one[0]) for one in np.nonzero(~np.isfinite(found)))
            raise InputError(
                f"the score of caption {rows.start + i:,} and clip {columns.start + k:,} is {found[i, k]}; expected a number."
            )
        return found

    right = matrix[np.arange(n_texts), owner]
    recipe = {"similarity": "scores", "compare": str(matrix.dtype), "model": model}
    return _results(_Scores(tile, right, owner, n_clips, 0.0, None), recipe)


@dataclass(frozen=True)
class _Scores:
    """Scores of all pairs, in tiles; `slack` is how far a tile's numbers may be off, `are_above` judges pairs that lie closer."""

    tile: Callable[[slice, slice], _Array]
    right: _Array
    owner: _Places
    n_clips: int
    slack: float
    are_above: Callable[[slice, slice, _Places, _Places, Floats], npt.NDArray[np.bool_]] | None

    def bounds(self, values: _Array) -> tuple[_Array, _Array]:
        """Returns what a tile's number must reach to be perhaps, and to be surely, at or above `values`."""
        if not self.slack:
            return values, values
        return (values - self.slack).astype(np.float32), (values + self.slack).astype(np.float32)


def _results(scores: _Scores, recipe: Mapping[str, str]) -> tuple[RetrievalResult, RetrievalResult]:
    owner, n_texts = scores.owner, len(scores.right)
    # captions sorted by clip and, within a clip, from the best down: place j holds the j-th best right answer
    order = np.lexsort((-scores.right, owner))
    counts = np.bincount(owner, minlength=scores.n_clips)
    places = np.arange(n_texts) - np.repeat(np.cumsum(counts) - counts, counts)
    # the j-th right answer ranks j or worse: beyond ten of them none can count in AP@10
    kept = places < AP_CUTOFF
    rights = np.full((min(int(counts.max()), AP_CUTOFF), scores.n_clips), np.inf, scores.right.dtype)
    rights[places[kept], owner[order][kept]] = scores.right[order][kept]
    above_texts, above_clips = _count(scores, rights)

    text_ranks = above_texts + 1
    text_ap = np.where(text_ranks <= AP_CUTOFF, 1 / text_ranks, 0.0)
    steps = np.arange(1, len(rights) + 1)[:, None]
    clip_ranks = above_clips + steps
    gains = np.where((clip_ranks <= AP_CUTOFF) & np.isfinite(rights), steps / clip_ranks, 0.0)
    clip_ap = gains.sum(axis=0) / np.minimum(counts, AP_CUTOFF)

    fewest, most = int(counts.min()), int(counts.max())
    common = {
        "version": str(VERSION),
        "captions_per_clip": str(most) if fewest == most else f"{fewest}-{most}",
        "ties": "wrong_first",
        "median": "floor",
        "ap": f"{AP_CUTOFF}/min(right,{AP_CUTOFF})",
        **recipe,
    }

    def result(task: str, ranks: Integers, ap: Floats, pool: int) -> RetrievalResult:
        signature = Signature({"metric": f"retrieval_{task}", "queries": str(len(ranks)), "pool": str(pool), **common})
        return RetrievalResult(task, ranks, ap, pool, signature)

    return (
        result("text_to_audio", text_ranks, text_ap, scores.n_clips),
        result("audio_to_text", clip_ranks[0].copy(), clip_ap, n_texts),
    )


def _count(scores: _Scores, rights: _Array) -> tuple[Integers, Integers]:
    """Returns how many wrong answers score at least as much as each right one.

    Args:
        scores: the scores.
        rights: float[r, n_clips], the clips' right answers from the best down, infinite where a clip has fewer.

    Returns:
        int64[n_captions] for the captions' clips, int64[r, n_clips] for the clips' captions.
    """
    n_texts = len(scores.right)
    above_texts, above_clips = np.zeros(n_texts, np.int64), np.zeros(rights.shape, np.int64)
    text_low, text_high = scores.bounds(scores.right)
    clip_low, clip_high = scores.bounds(rights)
    for block in _slices(n_texts, _TILE_TEXTS):
        for columns in _slices(scores.n_clips, _TILE_CLIPS):
            whole = scores.tile(block, columns)
            for part in _slices(len(whole), _PART_TEXTS):
                tile, rows = whole[part], slice(block.start + part.start, block.start + part.stop)
                own = scores.owner[rows]
                here = np.flatnonzero((own >= columns.start) & (own < columns.stop))
                tile[here, own[here] - columns.start] = -np.inf  # right answers are no competitors, in neither direction
                _count_tile(scores, tile, rows, columns, (text_low, text_high, scores.right), above_texts, is_text=True)
                for j in range(len(rights)):
                    bounds = (clip_low[j], clip_high[j], rights[j])
                    _count_tile(scores, tile, rows, columns, bounds, above_clips[j], is_text=False)
    return above_texts, above_clips


def _count_tile(
    scores: _Scores,
    tile: _Array,
    rows: slice,
    columns: slice,
    bounds: tuple[_Array, _Array, _Array],
    above: Integers,
    *,
    is_text: bool,
) -> None:
    """Adds to `above` what one part of a tile holds, per row (`is_text`) or per column."""
    span = rows if is_text else columns
    low, high, value = (bound[span] for bound in bounds)
    maybe = tile >= (low[:, None] if is_text else low)
    n_maybe = _sums(maybe, is_text)
    if scores.are_above is None:
        above[span] += n_maybe
        return
    some = np.flatnonzero(n_maybe)
    if not len(some):
        return
    # most lines of a good model have nothing near their right answer: only the others are looked at again
    part, maybe = (tile[some], maybe[some]) if is_text else (tile[:, some], maybe[:, some])
    sure = part > (high[some][:, None] if is_text else high[some])
    n_sure = _sums(sure, is_text)
    above[span.start + some] += n_sure
    if (n_sure == n_maybe[some]).all():
        return
    i, k = np.nonzero(maybe & ~sure)
    if is_text:
        line, i = some[i], some[i]
    else:
        line, k = some[k], some[k]
    is_above = scores.are_above(rows, columns, i + rows.start, k + columns.start, value[line])
    np.add.at(above, line[is_above] + span.start, 1)


def _sums(mask: npt.NDArray[np.bool_], is_text: bool) -> Integers:
    if is_text:
        return np.array([np.count_nonzero(row) for row in mask], np.int64)
    # sums of single bytes are several times faster; a part has fewer than 256 rows
    return np.asarray(np.add.reduce(mask.view(np.uint8), axis=0, dtype=np.uint8), np.int64)


def _slices(n: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, n)) for begin in range(0, n, size)]


def _matrix(values: npt.ArrayLike, name: str) -> _Array:
    """Returns float32 or float64[n, d]; other number types become float64, float16 becomes float32."""
    found = as_matrix(values, name)
    if found.dtype == np.float16:
        return found.astype(np.float32)
    return found if found.dtype in {np.dtype(np.float32), np.dtype(np.float64)} else found.astype(np.float64)


def _norms(matrix: _Array, name: str) -> Floats:
    norms = np.empty(len(matrix))
    for rows in _slices(len(matrix), _CHECK_ROWS):
        part = matrix[rows].astype(np.float64)
        with np.errstate(over="ignore"):
            norms[rows] = np.sqrt((part * part).sum(axis=1))
    # a NaN or infinite number makes its row's norm one too; so do finite numbers beyond 1e154, which no model returns
    wrong = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(wrong):
        problems = [
            Problem("E_VALUE", f"{name}[{row}] " + ("is all zeros" if norms[row] == 0 else "holds NaN or infinite numbers"))
            for row in wrong[:_KEPT_PROBLEMS].tolist()
        ]
        raise InputError(
            f"{len(wrong):,} of {len(norms):,} embeddings in {name} have no direction; expected finite numbers, not all zero.",
            problems,
            len(wrong),
        )
    return norms


def _twins(matrix: _Array) -> _Places:
    """Returns for every row the index of the first one that is equal, bit by bit."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), i) for i, row in enumerate(matrix)], np.intp)


def _unit(matrix: _Array, norms: Floats, rows: slice) -> npt.NDArray[np.float32]:
    return np.asarray(matrix[rows].astype(np.float64) / norms[rows, None], np.float32)


def _owners(
    clip_of: Sequence[object] | npt.NDArray[Any], n_texts: int, n_clips: int, clip_ids: Sequence[object] | None
) -> _Places:
    """Returns the index of every caption's clip; every clip has a caption."""
    if len(clip_of) != n_texts:
        raise InputError(
            f"{n_texts:,} captions and {len(clip_of):,} clips of captions were given; expected one clip per caption."
        )
    names: Sequence[object] = range(n_clips) if clip_ids is None else clip_ids
    if len(names) != n_clips:
        raise InputError(f"{n_clips:,} clips and {len(names):,} clip ids were given; expected one id per clip.")
    index = {name: place for place, name in enumerate(names)}
    if len(index) != n_clips:
        raise InputError(f"{n_clips - len(index):,} clip ids were given twice; expected one id per clip, each unique.")
    given = clip_of.tolist() if isinstance(clip_of, np.ndarray) else list(clip_of)
    try:
        found = [index.get(name, -1) for name in given]
    except TypeError as problem:
        raise InputError(
            f"clip_of starts with {shorten(given[0])}; expected one clip per caption, an index or an id."
        ) from problem
    # True is 1 and 1.0 is 1 to a dictionary; as the place of a clip they are a mistake
    if clip_ids is None:
        found = [-1 if isinstance(name, bool | float) else place for name, place in zip(given, found, strict=True)]
    owner = np.array(found, np.intp)
    lost = np.flatnonzero(owner < 0)
    silent = np.flatnonzero(np.bincount(owner[owner >= 0], minlength=n_clips) == 0)
    if len(lost) or len(silent):
        expected = f"one of the indices 0 to {n_clips - 1}" if clip_ids is None else "one of the clip ids"
        problems = [
            *(
                Problem("E_UNKNOWN_ID", f"caption {place} belongs to clip {shorten(given[place])}; expected {expected}")
                for place in lost[:_KEPT_PROBLEMS].tolist()
            ),
            *(
                Problem("E_MISSING_ID", f"clip {shorten(names[place])} has no caption")
                for place in silent[:_KEPT_PROBLEMS].tolist()
            ),
        ]
        raise InputError(
            f"captions and clips do not belong together: {len(lost):,} of {n_texts:,} captions have no clip, "
            f"{len(silent):,} of {n_clips:,} clips have no caption.",
            problems,
            len(lost) + len(silent),
        )
    return owner
