"""Diversity: how many of the word sequences, and of the captions, of a system are different ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric, ratio
from ..pairs import CaptionPairs
from ..text.ngrams import NgramCounts, WordIds, counted_ngrams, ptb_sentences, sum_by, word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace

ORDERS = (1, 2, 3)


class Diversity(Metric):
    r"""distinct-n = different n-grams of all candidates / n-grams of all candidates; 0 where there are none.

    The score is distinct-2. unique_captions is the number of different candidates by the number of items; candidates are equal
    when their words are. References are not read.

    An item's value is the mean, over its n-grams, of 1 / (how often the n-gram stands in the set): 1 where all of them are its
    own. Items weighted by their numbers of n-grams make up the value of the set exactly; intervals resample them, with the
    set's counts held fixed. The value falls as a set grows, so that only equal sets can be compared.

    Source: Li, Galley, Brockett, Gao, Dolan 2016 (NAACL), arXiv:1510.03055. Deliberate difference: each order is
    divided by its own number of n-grams, as is the habit since, and not by the number of words.
    """

    name = "diversity"
    title = "Distinct-2"
    needs_whole_corpus = True
    components = ("distinct_1", "distinct_2", "distinct_3", "unique_captions")
    cases = Cases(identical=(0.5, 1.0), disjoint=(0.5, 1.0), single=(0.5, 1.0))
    source = "Li et al. 2016 (NAACL), arXiv:1510.03055"
    definition = (
        "Share of different ones among the word pairs of all candidates; with the same of single words, of triples and of whole "
        "captions. Depends on the whole set and not on the references."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns the tokenizer and the size of the set."""
        return {"tok": TOKENIZER, "n": str(len(pairs))}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 7]: shares of n-grams of order 1 to 3, numbers of n-grams of order 1 to 3, share of the caption."""
        words, counts = work.shared(word_ids), work.shared(counted_ngrams)
        lengths = words.lengths[words.candidate]
        shares = [_shares(words, counts[order - 1]) for order in ORDERS]
        numbers = [np.maximum(0, lengths - order + 1) for order in ORDERS]
        captions = work.shared(ptb_sentences)[0]
        same = Counter(captions)
        return np.column_stack((*shares, *numbers, [1.0 / same[caption] for caption in captions]))

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 5]: distinct-2, then the components."""
        distinct = ratio(totals[..., :3], totals[..., 3:6])
        return np.concatenate((distinct[..., 1:2], distinct, (totals[..., 6] / n)[..., None]), axis=-1)


def _shares(words: WordIds, ngrams: NgramCounts) -> Floats:
    """Returns float64[items]: over the candidate's n-grams, the sum of 1 / (how often all candidates hold it)."""
    own = words.is_candidate[ngrams.sentence]
    ngram, count, item = ngrams.ngram[own], ngrams.count[own], words.item[ngrams.sentence[own]]
    return sum_by(item, count / np.bincount(ngram, count)[ngram], words.n_items)
