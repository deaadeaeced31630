"""CIDEr-D: consensus of tf-idf weighted n-grams, with clipping and a length penalty."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ...dataset_scripts.errors import InputError
from ..metric import Floats, Metric
from ..ngrams import MAX_ORDER, Ints, NgramCounts, WordIds, counted_ngrams, run_starts, word_ids
from ..pairs import CaptionPairs
from ..tokens import TOKENIZER
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
    source = "Vedantam et al. 2015 (CVPR), section 5.2; COCO caption evaluation, arXiv:1504.00325"
    definition = "Cosine of tf-idf weighted 1- to 4-word sequences against each reference, averaged; rare sequences count more. Depends on the whole set."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns tokenizer, orders, width of the length penalty and the size of the set that gave the idf."""
        return {"tok": TOKENIZER, "max_n": str(MAX_ORDER), "sigma": f"{SIGMA:g}", "idf": "refs", "n": str(len(pairs))}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values.

        Raises:
            InputError: there is only one item.
        """
        if len(pairs) < 2:
            raise InputError(
                "CIDEr-D cannot score one item: its n-gram weights come from how many items share an n-gram, so with one item all are 0. "
                "Score it within its whole set, or use bleu or rouge_l."
            )
        return cider_d_per_item(work.shared(word_ids), work.shared(counted_ngrams))[:, None]


def cider_d_per_item(words: WordIds, counts: list[NgramCounts]) -> Floats:
    """Returns float64[items] for sentences that are already word ids."""
    n_bigrams = np.maximum(words.lengths - 1, 0)
    gap = (n_bigrams[: words.n_items][words.item_of_reference] - n_bigrams[words.n_items :]).astype(np.float64)
    cosines = sum((_clipped_cosines(words, ngrams) for ngrams in counts), np.zeros(len(gap)))
    per_reference = cosines / len(counts) * np.exp(-(gap**2) / (2 * SIGMA**2))
    return SCALE * np.bincount(words.item_of_reference, per_reference, minlength=words.n_items) / words.references_per_item


def _clipped_cosines(words: WordIds, ngrams: NgramCounts) -> Floats:
    """Returns float64[references]: the clipped cosine of each reference with the candidate of its item."""
    split = ngrams.n_candidate_entries
    reference = ngrams.sentence[split:] - words.n_items
    idf = math.log(words.n_items) - np.log(np.maximum(1.0, _document_frequency(words, ngrams, reference)))
    weight = ngrams.count * idf[ngrams.ngram]
    norm = np.sqrt(np.bincount(ngrams.sentence, weight * weight, minlength=len(words.lengths)))
    found = ngrams.match >= 0
    theirs = weight[split:][found]
    ours = weight[:split][ngrams.match[found]]
    dot = np.bincount(reference[found], np.minimum(ours, theirs) * theirs, minlength=len(words.reference_lengths))
    norms = norm[: words.n_items][words.item_of_reference] * norm[words.n_items :]
    return np.divide(dot, norms, out=np.zeros_like(norms), where=norms != 0)


def _document_frequency(words: WordIds, ngrams: NgramCounts, reference: Ints) -> Floats:
    """Returns float64[n-grams]: how many items hold the n-gram in at least one reference."""
    stride = max(ngrams.n_distinct, 1)
    keys = np.sort(words.item_of_reference[reference] * stride + ngrams.ngram[ngrams.n_candidate_entries :])
    return np.bincount(keys[run_starts(keys)] % stride, minlength=ngrams.n_distinct).astype(np.float64)
