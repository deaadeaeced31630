"""CIDEr-D: consensus of tf-idf weighted n-grams, with clipping and a length penalty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...dataset_scripts.errors import InputError
from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..text.ngrams import MAX_ORDER, NgramCounts, WordIds, counted_ngrams, word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace

SIGMA = 6.0  # width of the length penalty: Vedantam et al. 2015, section 5.2
SCALE = 10.0  # ibid.: makes the numbers similar to those of other metrics


class CiderD(Metric):
    r"""CIDEr-D_i = 10/K · Σ_k 1/4 · Σ_n exp(-(l(c) - l(r_k))² / 2σ²) · (min(g(c), g(r_k)) · g(r_k)) / (|g(c)| · |g(r_k)|).

    g(s) weighs each n-gram of s by count · (ln N - ln max(1, df)), where df is the number of items with the n-gram in a
    reference and N the number of items; the minimum is taken per n-gram. Where a norm is 0 the term is 0. σ = 6.
    Three habits of the published code are part of the definition: counts are not divided by the sentence's length, l(s) is
    the number of bigrams, and the corpus value is the mean over items.

    N and df come from the set that is scored: an item alone has idf 0 everywhere, so one item is an error, and a part of a
    set scores differently from the set. Equal references on every item give 0. A perfect caption of one word gives 2.5.

    Source: Vedantam, Zitnick, Parikh 2015 (CVPR), section 5.2; the COCO caption evaluation names it CIDEr.
    """

    name = "cider_d"
    title = "CIDEr-D"
    value_range = (0.0, 10.0)
    needs_whole_corpus = True
    cases = Cases(identical=(10 - 1e-12, 10 + 1e-12), disjoint=(0.0, 0.0), single=None)
    source = "Vedantam et al. 2015 (CVPR), section 5.2; COCO caption evaluation, arXiv:1504.00325"
    definition = (
        "Cosine of tf-idf weighted 1- to 4-word sequences against each reference, averaged; rare sequences count more. "
        "Depends on the whole set."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns tokenizer, orders, width of the length penalty and the size of the set that gave the idf."""
        return {"tok": TOKENIZER, "max_n": str(MAX_ORDER), "sigma": f"{SIGMA:g}", "idf": "refs", "n": str(len(pairs))}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values.

        Raises:
            InputError: there is only one item.
        """
        return work.shared(cider_d_values)[:, None]


def cider_d_values(work: Workspace) -> Floats:
    """Returns float64[items] of the candidates (shared work).

    Raises:
        InputError: there is only one item.
    """
    if len(work.pairs) < 2:
        raise InputError(
            "CIDEr-D cannot score one item: its n-gram weights come from how many items share an n-gram; with one item all "
            "are 0. Score it within its whole set, or use bleu or rouge_l."
        )
    return cider_d_per_item(work.shared(word_ids), work.shared(counted_ngrams))


def cider_d_per_item(words: WordIds, counts: list[NgramCounts]) -> Floats:
    """Returns float64[items] for sentences that are already word ids."""
    n_bigrams = np.maximum(words.lengths - 1, 0).astype(np.float64)
    gap = n_bigrams - n_bigrams[words.candidate][words.item]
    cosines = sum((_clipped_cosines(words, ngrams) for ngrams in counts), np.zeros(len(gap)))
    similarity = cosines / len(counts) * np.exp(-(gap**2) / (2 * SIGMA**2))
    scores: Floats = SCALE * np.add.reduceat(similarity, words.candidate) / words.references_per_item
    return scores


def _clipped_cosines(words: WordIds, ngrams: NgramCounts) -> Floats:
    """Returns float64[sentences]: the clipped cosine of each reference with the candidate of its item; 0 for candidates."""
    # the logarithm of the quotient is exactly 0 where every item has the n-gram; a difference of logarithms might not be
    weight = ngrams.count * np.log(words.n_items / np.maximum(1, ngrams.document_frequency))
    norm = np.sqrt(np.bincount(ngrams.sentence, weight * weight, minlength=len(words.lengths)))
    theirs, ours = weight[ngrams.matched], weight[ngrams.match]
    dot = np.bincount(ngrams.sentence[ngrams.matched], np.minimum(ours, theirs) * theirs, minlength=len(words.lengths))
    norms = norm * norm[words.candidate][words.item]
    cosines: Floats = np.divide(dot, norms, out=np.zeros_like(norms), where=norms != 0)
    return cosines
