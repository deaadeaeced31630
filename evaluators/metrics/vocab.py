"""Vocabulary: how many different words the candidates use, beside those of the references."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric, ratio
from ..pairs import CaptionPairs
from ..text.ngrams import Flags, Ints, WordIds, sum_by, word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace


class Vocab(Metric):
    r"""vocab = |V|, the number of different words of all candidates.

    With W the words of all references, the components are |W|; |V| / |W|; the size that W is expected to have when one
    reference per item is drawn at random,

        E = Σ_w 1 - Π_i (1 - p_i(w)),  p_i(w) the share of the references of item i that hold w,

    and |V| / E, which compares like with like: one text per item; then precision |V ∩ W| / |V|, recall |V ∩ W| / |W|, their
    harmonic mean and the Jaccard index |V ∩ W| / (|V| + |W| - |V ∩ W|). A quotient of nothing by nothing is 0.

    A set has a vocabulary, an item has a part in it: of a word that stands m times in the candidates, an item that holds it
    c times has the share c / m (the same for references; for E the item's part of Σ_i p_i(w)). An item's value is the sum of
    its shares, the words that it brings to the set; items add up to the value of the set. Intervals resample these shares,
    with the set's counts held fixed. The value grows with the set, so that only equal sets can be compared.

    Source: a description that papers on captioning print; keys `vocab.cands`, `vocab.mrefs_full`, `vocab.ratio_full`,
    `vocab.mrefs_avg` (estimated there from a few draws), precision, recall, f1, jaccard of aac-metrics 0.6.0. Deliberate
    differences: E is exact, so it depends neither on a seed nor on the order of the items; an item's value is its part of
    the set's vocabulary and not the number of its own different words, which does not add up to anything.
    """

    name = "vocab"
    title = "Vocabulary"
    value_range = (0.0, np.inf)
    needs_whole_corpus = True
    components = (
        "vocab_references",
        "vocab_ratio",
        "vocab_references_drawn",
        "vocab_ratio_drawn",
        "vocab_precision",
        "vocab_recall",
        "vocab_f1",
        "vocab_jaccard",
    )
    cases = Cases(identical=(1.0, np.inf), disjoint=(1.0, np.inf), single=(1.0, np.inf))
    source = "a description of the set, as in aac-metrics"
    definition = (
        "Number of different words of all candidates; with that of the references, ratios of both, and the overlap of the two "
        "vocabularies."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns the tokenizer and the size of the set."""
        return {"tok": TOKENIZER, "n": str(len(pairs))}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 5]: shares of candidate and of reference words, the same of words on both sides, share of E."""
        words = work.shared(word_ids)
        sentence = np.repeat(np.arange(len(words.lengths)), words.lengths)
        item, in_candidate = words.item[sentence], words.is_candidate[sentence]
        counts = [np.bincount(words.ids[side], minlength=words.n_words) for side in (in_candidate, ~in_candidate)]
        on_both = (counts[0] > 0) & (counts[1] > 0)
        columns = []
        for side, count in zip((in_candidate, ~in_candidate), counts, strict=True):
            columns.append(_shares(words, item, side, count))
            columns.append(_shares(words, item, side & on_both[words.ids], count))
        drawn = _shares_of_draw(words, sentence[~in_candidate], words.ids[~in_candidate])
        return np.column_stack((columns[0], columns[2], columns[1], columns[3], drawn))

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 9]: the number of words, then the components."""
        candidates, references, ours, theirs, drawn = np.moveaxis(_whole(totals), -1, 0)
        precision, recall = ratio(ours, candidates), ratio(theirs, references)
        f1 = ratio(2 * precision * recall, precision + recall)
        quotients = (ratio(candidates, references), drawn, ratio(candidates, drawn), precision, recall, f1, f1 / (2 - f1))
        return np.stack((candidates, references, *quotients), axis=-1)


def _whole(totals: Floats) -> Floats:
    """Returns the totals, whole numbers where rounding alone keeps them from it: shares such as thirds add up to nearly 1."""
    whole = np.round(totals)
    return np.where(np.abs(totals - whole) < 1e-9, whole, totals)


def _shares(words: WordIds, item: Ints, chosen: Flags, count: Ints) -> Floats:
    """Returns float64[items]: of the chosen occurrences, the sum of 1 / `count` of their words."""
    return sum_by(item[chosen], 1.0 / count[words.ids[chosen]], words.n_items)


def _shares_of_draw(words: WordIds, sentence: Ints, ids: Ints) -> Floats:
    """Returns float64[items]: each item's part of the expected number of words when one reference per item is drawn."""
    base = max(1, words.n_words)
    holds = np.unique(sentence * base + ids)  # a word counts once per reference
    pairs, references = np.unique(words.item[holds // base] * base + holds % base, return_counts=True)
    item, word = pairs // base, pairs % base
    probability = references / words.references_per_item[item]
    with np.errstate(divide="ignore"):  # log 0: a word of all references of an item is always drawn
        expected = -np.expm1(sum_by(word, np.log1p(-probability), words.n_words))
    part = ratio(expected, sum_by(word, probability, words.n_words))
    return sum_by(item, part[word] * probability, words.n_items)
