"""Sentences as integers: word ids and n-gram counts, computed once for BLEU, ROUGE-L and CIDEr-D.

Sentences are numbered: candidate of item 0, 1, …, then all references in the order of the items. A word is what `str.split`
leaves of a tokenised sentence. Equal n-grams have equal ids, whatever the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from .pairs import CaptionPairs
from .tokens import tokenize
from .workspace import Workspace

Ints = npt.NDArray[np.int64]
MAX_ORDER = 4


class _Vocabulary(dict[str, int]):
    """Gives every new word the next free id."""

    def __missing__(self, word: str) -> int:
        self[word] = id_ = len(self)
        return id_


@dataclass(frozen=True)
class WordIds:
    """All sentences of a set of pairs as word ids.

    Attributes:
        ids: int64[total], the words of all sentences one after the other.
        lengths: int64[sentences], words per sentence.
        references_per_item: int64[items].
        n_words: size of the vocabulary.
    """

    ids: Ints
    lengths: Ints
    references_per_item: Ints
    n_words: int

    @classmethod
    def of(cls, candidates: Iterable[str], references: Iterable[Iterable[str]]) -> WordIds:
        """Returns the word ids of sentences that are already tokenised (words apart by white space)."""
        listed = [tuple(texts) for texts in references]
        words = [sentence.split() for sentence in chain(candidates, *listed)]
        vocabulary = _Vocabulary()
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        ids = np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(words)), np.int64, int(lengths.sum()))
        return cls(ids, lengths, np.fromiter(map(len, listed), np.int64, len(listed)), len(vocabulary))

    @property
    def n_items(self) -> int:
        """How many items there are; their candidates are the first sentences."""
        return len(self.references_per_item)

    @cached_property
    def starts(self) -> Ints:
        """int64[sentences]: where each sentence begins in `ids`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def item_of_reference(self) -> Ints:
        """int64[references]: the item that each reference belongs to."""
        return np.repeat(np.arange(self.n_items), self.references_per_item)

    @cached_property
    def first_reference(self) -> Ints:
        """int64[items]: each item's first reference, counted among the references; for `ufunc.reduceat`."""
        return np.cumsum(self.references_per_item) - self.references_per_item

    @property
    def candidate_lengths(self) -> Ints:
        """int64[items]."""
        return self.lengths[: self.n_items]

    @property
    def reference_lengths(self) -> Ints:
        """int64[references]."""
        return self.lengths[self.n_items :]


@dataclass(frozen=True)
class NgramCounts:
    """How often each n-gram of one order stands in each sentence, without zeros.

    Entries are sorted by sentence, then n-gram; the entries of the candidates come first.

    Attributes:
        sentence: int64[entries].
        ngram: int64[entries], ids below `n_distinct`.
        count: int64[entries], at least 1.
        n_distinct: number of different n-grams.
        n_candidate_entries: how many entries belong to candidates.
        match: int64[reference entries], the entry of the same n-gram in the candidate of the same item, -1 if it is not there.
    """

    sentence: Ints
    ngram: Ints
    count: Ints
    n_distinct: int
    n_candidate_entries: int
    match: Ints


def word_ids(work: Workspace) -> WordIds:
    """Returns the word ids of the PTB-tokenised pairs (shared work)."""
    pairs: CaptionPairs = work.pairs
    sentences = tokenize([*pairs.candidates, *chain.from_iterable(pairs.references)])
    n_items = len(pairs)
    remaining = iter(sentences[n_items:])
    return WordIds.of(sentences[:n_items], [[next(remaining) for _ in texts] for texts in pairs.references])


def counted_ngrams(work: Workspace) -> list[NgramCounts]:
    """Returns the counts of the orders 1 to 4 (shared work)."""
    return count_ngrams(work.shared(word_ids))


def count_ngrams(words: WordIds) -> list[NgramCounts]:
    """Returns the counts of the orders 1 to 4.

    An n-gram is its first n-1 words, which have an id already, and its last word: the pair of both numbers is renumbered
    from 0 per order, so that ids stay small for any order.
    """
    sentence = np.repeat(np.arange(len(words.lengths)), words.lengths)
    words_left = np.repeat(words.starts + words.lengths, words.lengths) - np.arange(len(words.ids))
    position = np.arange(len(words.ids))  # where the n-grams of the order at hand begin
    ngram, n_distinct = words.ids, words.n_words
    counts = []
    for order in range(1, MAX_ORDER + 1):
        if order > 1:
            fits = words_left[position] >= order
            position, ngram, sentence = position[fits], ngram[fits], sentence[fits]
            ngram, n_distinct = _renumbered(ngram * words.n_words + words.ids[position + order - 1])
        counts.append(_counts(words, sentence, ngram, n_distinct))
    return counts


def run_starts(keys: Ints) -> Ints:
    """Returns where each run of equal numbers begins in sorted `keys`.

    Sorting and this are several times faster than `np.unique`, which hashes.
    """
    return np.flatnonzero(np.diff(keys, prepend=-1))


def _renumbered(keys: Ints) -> tuple[Ints, int]:
    distinct, ids = np.unique(keys, return_inverse=True)
    return ids.astype(np.int64, copy=False), len(distinct)


def _counts(words: WordIds, sentence: Ints, ngram: Ints, n_distinct: int) -> NgramCounts:
    stride = max(n_distinct, 1)
    keys = np.sort(sentence * stride + ngram)
    first = run_starts(keys)
    count = np.diff(first, append=len(keys))
    keys = keys[first]
    sentence, ngram = np.divmod(keys, stride)
    n_candidate_entries = int(np.searchsorted(sentence, words.n_items))
    candidate_keys = keys[:n_candidate_entries]
    item = words.item_of_reference[sentence[n_candidate_entries:] - words.n_items]
    wanted = item * stride + ngram[n_candidate_entries:]
    match = np.searchsorted(candidate_keys, wanted)
    found = match < n_candidate_entries
    found[found] = candidate_keys[match[found]] == wanted[found]
    return NgramCounts(sentence, ngram, count, n_distinct, n_candidate_entries, np.where(found, match, -1))
