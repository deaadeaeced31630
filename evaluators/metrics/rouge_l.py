"""ROUGE-L: the longest common subsequence of words, as the caption evaluation of COCO scores it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..text.ngrams import Ints, WordIds, word_ids
from ..text.tokens import TOKENIZER
from ..workspace import Workspace

BETA = 1.2  # weight of recall: COCO caption evaluation, arXiv:1504.00325
WORD_BITS = 64
BLOCK = 8192  # pairs per step: the arrays of one step stay within the processor's cache


class RougeL(Metric):
    r"""ROUGE-L_i = (1 + β²) · P · R / (R + β² · P), β = 1.2.

    P = max_k LCS(c, r_k) / |c| and R = max_k LCS(c, r_k) / |r_k|: the two maxima are taken separately and may come from
    different references. An empty candidate or a common subsequence of length 0 gives 0; an empty reference adds nothing.
    The corpus value is the mean.

    Source: Lin 2004, section 3; β and the separate maxima as in the COCO caption evaluation (arXiv:1504.00325).
    """

    name = "rouge_l"
    title = "ROUGE-L"
    cases = Cases(identical=(1.0, 1.0), disjoint=(0.0, 0.0), single=(1.0, 1.0))
    source = "Lin 2004 (ACL workshop), section 3; COCO caption evaluation, arXiv:1504.00325"
    definition = "F-measure (recall weighs more) of the longest word sequence that candidate and reference share, gaps allowed."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns tokenizer and beta."""
        return {"tok": TOKENIZER, "beta": f"{BETA:g}"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values."""
        return rouge_l_per_item(work.shared(word_ids))[:, None]


def rouge_l_per_item(words: WordIds) -> Floats:
    """Returns float64[items] for sentences that are already word ids."""
    common = lcs_lengths(words)
    precision = common / np.maximum(words.lengths[words.candidate], 1)[words.item]
    recall = common / np.maximum(words.lengths, 1)
    best_precision = np.maximum.reduceat(precision, words.candidate)
    best_recall = np.maximum.reduceat(recall, words.candidate)
    below = best_recall + BETA**2 * best_precision
    return np.divide((1 + BETA**2) * best_precision * best_recall, below, out=np.zeros_like(below), where=below != 0)


def lcs_lengths(words: WordIds) -> Ints:
    """Returns int64[sentences]: words in the longest common subsequence of each reference and its candidate; 0 for candidates.

    Hyyrö's bit-vector recurrence (2004): bit p of V is 0 where the common subsequence grows at position p of the reference.
    For each word of the candidate, with M the positions of that word in the reference and U = V & M: V ← (V + U) | (V - U).
    The length is the number of zeros in V. One machine word holds a reference of up to 64 words, and numpy carries
    thousands of pairs at a time; longer references take the same recurrence with Python's integers, which have no width.
    """
    common = np.zeros(len(words.lengths), np.int64)
    references = np.flatnonzero(~words.is_candidate)
    # neighbours of equal length waste no padding
    references = references[np.lexsort((words.lengths[words.candidate][words.item[references]], words.lengths[references]))]
    n_short = int(np.searchsorted(words.lengths[references], WORD_BITS, side="right"))
    for start in range(0, n_short, BLOCK):
        block = references[start : min(start + BLOCK, n_short)]
        common[block] = _lcs_of_short(words, block)
    for reference in references[n_short:]:
        common[reference] = _lcs_of_long(words, int(reference))
    return common


def _lcs_of_short(words: WordIds, references: Ints) -> Ints:
    theirs = _padded(words, references, fill=-1)
    ours = _padded(words, words.candidate[words.item[references]], fill=-2)
    bit = np.uint64(1) << np.arange(theirs.shape[1], dtype=np.uint64)
    state = np.full(len(references), np.iinfo(np.uint64).max)
    for column in ours.T:
        match = np.where(theirs == column[:, None], bit, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        grown = state & match
        state = (state + grown) | (state - grown)
    # padding matches nothing, so its bits stay 1
    zeros: Ints = np.bitwise_count(~state).astype(np.int64)
    return zeros


def _padded(words: WordIds, sentences: Ints, fill: int) -> npt.NDArray[np.int64]:
    """Returns int64[sentences, longest]: word ids, `fill` behind the end."""
    lengths = words.lengths[sentences]
    column = np.arange(lengths.max(initial=0))
    inside = column < lengths[:, None]
    table = np.full(inside.shape, fill, np.int64)
    table[inside] = words.ids[(words.starts[sentences][:, None] + column)[inside]]
    return table


def _lcs_of_long(words: WordIds, reference: int) -> int:
    theirs = _sentence(words, reference)
    ours = _sentence(words, int(words.candidate[words.item[reference]]))
    positions: dict[int, int] = {}
    for position, word in enumerate(theirs):
        positions[word] = positions.get(word, 0) | 1 << position
    everywhere = (1 << len(theirs)) - 1
    state = everywhere
    for word in ours:
        grown = state & positions.get(word, 0)
        state = ((state + grown) | (state - grown)) & everywhere
    return len(theirs) - state.bit_count()


def _sentence(words: WordIds, sentence: int) -> list[int]:
    start = int(words.starts[sentence])
    return [int(word) for word in words.ids[start : start + int(words.lengths[sentence])]]
