"""Length: whether candidates are as long as the references, and how long both are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric, ratio
from ..pairs import CaptionPairs
from ..text.ngrams import word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace


class Length(Metric):
    r"""length = min(c, r) / max(c, r), 0 where the longer one is 0.

    c is the number of words of the candidate and r the mean number of words of the item's references; those without a word
    do not count. A corpus value takes the sums of c and r over all items, so it says whether captions are too long or too
    short on the whole. Components: words per candidate (c / n), words per reference (r / n) and their ratio c / r, which
    says on which side the candidates err (0 where r is 0).

    Source: none, a description and not a measure of quality: no paper ranks by it. Words are those of the n-gram metrics.
    """

    name = "length"
    title = "Length agreement"
    components = ("length_candidates", "length_references", "length_ratio")
    cases = Cases(identical=(1.0, 1.0), disjoint=(0.5, 1.0), single=(1.0, 1.0))
    source = "a description of the input, not from a paper"
    definition = (
        "Words of the candidates against words of the references, the shorter by the longer side; with words per candidate, "
        "words per reference and the ratio of both."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns the tokenizer."""
        return {"tok": TOKENIZER}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 2]: words of the candidate, mean words of its references."""
        words = work.shared(word_ids)
        candidates = words.lengths[words.candidate]
        texts = np.where(words.is_candidate, 0, words.lengths)
        total, counted = np.add.reduceat(texts, words.candidate), np.add.reduceat(texts > 0, words.candidate, dtype=np.int64)
        return np.stack((candidates, total / np.maximum(counted, 1)), axis=1).astype(np.float64)

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 4]: the agreement, words per candidate, words per reference, their ratio."""
        candidates, references = totals[..., 0], totals[..., 1]
        agreement = ratio(np.minimum(candidates, references), np.maximum(candidates, references))
        return np.stack((agreement, candidates / n, references / n, ratio(candidates, references)), axis=-1)
