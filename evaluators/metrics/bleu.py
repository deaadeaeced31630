"""BLEU with one to four words, as the caption evaluation of COCO computes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..text.ngrams import MAX_ORDER, NgramCounts, WordIds, counted_ngrams, word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace

# Smoothing of the caption evaluation: added to every numerator and denominator. Papineni et al. have none.
TINY, SMALL = 1e-15, 1e-9


class Bleu(Metric):
    r"""BLEU-n = BP · (p_1 · … · p_n)^(1/n).

    p_k = (matches_k + 1e-15) / (k-grams of the candidates + 1e-9), where an n-gram matches at most as often as it stands in
    the one reference of the item that holds it most often. BP = exp(1 - r/c) when the candidates' length c is shorter than
    r, the length of the closest reference (the shorter one of two that are equally close). A corpus value pools matches,
    counts and lengths over all items: it is not the mean of the items' values. The score is BLEU-4.

    Source: Papineni et al. 2002 (ACL), section 2; smoothing and closest length as in the COCO caption evaluation
    (Chen et al. 2015, arXiv:1504.00325). An empty candidate is worth 0.
    """

    name = "bleu"
    title = "BLEU-4"
    components = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
    cases = Cases(identical=(1 - 1e-8, 1.0), disjoint=(0.0, 1e-12), single=(1 - 1e-8, 1.0))
    source = "Papineni et al. 2002 (ACL); COCO caption evaluation, arXiv:1504.00325"
    definition = (
        "Share of the candidate's 1- to 4-word sequences that stand in a reference, with a penalty for short candidates; "
        "pooled over the corpus."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns tokenizer, orders, length rule and smoothing."""
        return {"tok": TOKENIZER, "max_n": str(MAX_ORDER), "length": "closest", "smooth": f"{TINY:g}/{SMALL:g}"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 10]: matches of order 1-4, n-grams of order 1-4, candidate length, closest reference length."""
        words = work.shared(word_ids)
        return bleu_stats(words, work.shared(counted_ngrams))

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 5]: BLEU-4 as the score, then BLEU-1 to BLEU-4."""
        bleus = bleu_of_stats(totals)
        return np.concatenate((bleus[..., -1:], bleus), axis=-1)


def bleu_of_stats(totals: Floats) -> Floats:
    """Returns float64[..., 4]: BLEU-1 to BLEU-4 of totals of the statistics of `Bleu.item_stats`."""
    matches, ngrams, length, reference_length = totals[..., :4], totals[..., 4:8], totals[..., 8], totals[..., 9]
    precisions = (matches + TINY) / (ngrams + SMALL)
    means = np.cumprod(precisions, axis=-1) ** (1.0 / np.arange(1, MAX_ORDER + 1))
    ratio = (length + TINY) / (reference_length + SMALL)
    bleus: Floats = means * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))[..., None]
    return bleus


def bleu_stats(words: WordIds, counts: list[NgramCounts]) -> Floats:
    """Returns the statistics of `Bleu.item_stats` for sentences that are already word ids."""
    lengths = words.lengths[words.candidate]
    stats = np.empty((words.n_items, 2 * MAX_ORDER + 2))
    for column, ngrams in enumerate(counts):
        stats[:, column] = _matches(words, ngrams)
        stats[:, MAX_ORDER + column] = np.maximum(0, lengths - column)
    stats[:, -2] = lengths
    stats[:, -1] = _closest_reference_length(words)
    return stats


def _matches(words: WordIds, ngrams: NgramCounts) -> Floats:
    """Returns float64[items]: n-grams of the candidate that a reference holds, clipped at the most that one reference holds."""
    most = np.zeros(len(ngrams.count), np.int64)
    np.maximum.at(most, ngrams.match, ngrams.count[ngrams.matched])
    found = np.flatnonzero(most)  # entries of candidates: only they are matched
    clipped = np.minimum(most[found], ngrams.count[found])
    matches: Floats = np.bincount(words.item[ngrams.sentence[found]], clipped, minlength=words.n_items).astype(np.float64)
    return matches


def _closest_reference_length(words: WordIds) -> Floats:
    distance = np.abs(words.lengths - np.repeat(words.lengths[words.candidate], words.references_per_item + 1))
    # one number that sorts by distance first, by length second; a candidate is no reference of itself
    stride = int(words.lengths.max()) + 1
    rank = np.where(words.is_candidate, np.iinfo(np.int64).max, distance * stride + words.lengths)
    return (np.minimum.reduceat(rank, words.candidate) % stride).astype(np.float64)
