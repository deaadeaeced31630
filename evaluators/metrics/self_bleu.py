"""Self-BLEU: how much a system's captions are alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...dataset_scripts.errors import InputError
from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..text.ngrams import Ints, NgramCounts, WordIds, counted_ngrams, run_begins, sum_by, word_ids
from ..workspace import Workspace
from .bleu import Bleu, bleu_of_stats


class SelfBleu(Metric):
    r"""Self-BLEU-n_i = BLEU-n of candidate i with all other candidates as its references; the value is the mean over items.

    BLEU is that of the metric `bleu` (clipped counts, closest length, the same smoothing). The score is self-BLEU-4; lower is
    more diverse, 1 where every caption was written twice. References are not read. It rises as a set grows, so
    that only equal sets can be compared. No two candidates are put side by side: an n-gram matches at most as often as the
    other candidate holds it that holds it most often, which the largest and second largest count of the n-gram tell.

    Source: Zhu et al. 2018 (SIGIR), arXiv:1802.01886. Deliberate differences: all candidates are compared with
    all others, not a sample, and smoothing and closest length are those of the COCO caption evaluation.
    """

    name = "self_bleu"
    title = "Self-BLEU-4"
    direction = "lower"
    needs_whole_corpus = True
    components = ("self_bleu_1", "self_bleu_2", "self_bleu_3", "self_bleu_4")
    cases = Cases(identical=(0.0, 0.2), disjoint=(0.0, 0.2), single=None)
    source = "Zhu et al. 2018 (SIGIR), arXiv:1802.01886"
    definition = (
        "BLEU-4 of each candidate against all other candidates, averaged: how much a system repeats itself. Depends on the whole "
        "set and not on the references."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns those of BLEU and the size of the set."""
        return {**Bleu().parameters(pairs, work), "n": str(len(pairs))}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 5]: self-BLEU-4 as the score, then self-BLEU-1 to 4.

        Raises:
            InputError: there is only one item.
        """
        if len(pairs) < 2:
            raise InputError("Self-BLEU cannot score one item: it compares a candidate with the others; expected two or more.")
        bleus = bleu_of_stats(self_bleu_stats(work.shared(word_ids), work.shared(counted_ngrams)))
        return np.column_stack((bleus[:, -1], bleus))


def self_bleu_stats(words: WordIds, counts: list[NgramCounts]) -> Floats:
    """Returns the statistics of `Bleu.item_stats` with all other candidates as references, for sentences that are word ids."""
    lengths = words.lengths[words.candidate]
    matches = [_matches(words, ngrams) for ngrams in counts]
    numbers = [np.maximum(0, lengths - order) for order in range(len(counts))]
    return np.column_stack((*matches, *numbers, lengths, _closest_other_length(lengths))).astype(np.float64)


def _matches(words: WordIds, ngrams: NgramCounts) -> Floats:
    """Returns float64[items]: n-grams of the candidate, clipped at the most that one other candidate holds."""
    own = words.is_candidate[ngrams.sentence]
    ngram, count, item = ngrams.ngram[own], ngrams.count[own], words.item[ngrams.sentence[own]]
    begins = run_begins(ngram)  # one run per n-gram: every candidate that holds it, once
    start, run = np.flatnonzero(begins), np.cumsum(begins) - 1
    if not len(start):
        return np.zeros(words.n_items)
    most = np.maximum.reduceat(count, start)[run]
    is_most = count == most
    is_only = np.add.reduceat(is_most, start, dtype=np.int64)[run] == 1
    second = np.maximum.reduceat(np.where(is_most, 0, count), start)[run]
    others = np.where(is_most & is_only, second, most)
    return sum_by(item, np.minimum(count, others), words.n_items)


def _closest_other_length(lengths: Ints) -> Ints:
    """Returns int64[items]: of the other candidates' lengths the closest one, the shorter of two that are equally close."""
    found, place, times = np.unique(lengths, return_inverse=True, return_counts=True)
    far = 2 * int(found[-1]) + 2
    below, above = np.concatenate(([-far], found[:-1])), np.concatenate((found[1:], [far]))
    neighbour = np.where(found - below <= above - found, below, above)
    return np.where(times > 1, found, neighbour)[place]
