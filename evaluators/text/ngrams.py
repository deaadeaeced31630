"""Sentences as integers: word ids and n-gram counts, computed once for all metrics that compare words.

Sentences are numbered item by item: the candidate of an item, then its references, then the next item. A word is what
`str.split` leaves of a tokenised sentence. Equal n-grams have equal ids, whatever the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ..workspace import Workspace
from .tokens import tokenize

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
MAX_ORDER = 4


def sum_by(index: Ints, values: npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    """Returns float64[n]: at each place the sum of the values whose index it is."""
    return np.bincount(index, values, minlength=n).astype(np.float64, copy=False)


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
        candidate: int64[items], the sentence that is each item's candidate; the item's references follow it.
        n_words: size of the vocabulary.
    """

    ids: Ints
    lengths: Ints
    candidate: Ints
    n_words: int

    @classmethod
    def of(cls, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> WordIds:
        """Returns the word ids of sentences that are already tokenised (words apart by white space)."""
        sentences = chain.from_iterable((candidate, *texts) for candidate, texts in zip(candidates, references, strict=True))
        per_item = np.fromiter(map(len, references), np.int64, len(references)) + 1
        vocabulary, lengths, ids = _Vocabulary(), np.empty(int(per_item.sum()), np.int64), list[int]()
        for index, sentence in enumerate(sentences):
            words = sentence.split()
            lengths[index] = len(words)
            ids.extend(map(vocabulary.__getitem__, words))
        return cls(np.array(ids, np.int64), lengths, np.cumsum(per_item) - per_item, len(vocabulary))

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return len(self.candidate)

    @cached_property
    def starts(self) -> Ints:
        """int64[sentences]: where each sentence begins in `ids`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def references_per_item(self) -> Ints:
        """int64[items], at least 1."""
        return np.diff(self.candidate, append=len(self.lengths)) - 1

    @cached_property
    def item(self) -> Ints:
        """int64[sentences]: the item that each sentence belongs to."""
        return np.repeat(np.arange(self.n_items), self.references_per_item + 1)

    @cached_property
    def is_candidate(self) -> Flags:
        """bool[sentences]."""
        flags = np.zeros(len(self.lengths), bool)
        flags[self.candidate] = True
        return flags


@dataclass(frozen=True)
class NgramCounts:
    """How often each n-gram of one order stands in each sentence, without zeros.

    Entries are sorted by n-gram, then sentence: the entry of a candidate comes right before those of its references.

    Attributes:
        sentence: int64[entries].
        count: int64[entries], at least 1.
        ngram: int64[entries], ids from 0 on, ascending.
        frequency: int64[n-grams], number of items with the n-gram in a reference.
        matched: int64[matches], entries of references whose n-gram also stands in the candidate of the same item.
        match: int64[matches], the entry of that candidate.
    """

    sentence: Ints
    count: Ints
    ngram: Ints
    frequency: Ints
    matched: Ints
    match: Ints

    @property
    def document_frequency(self) -> Ints:
        """int64[entries]: number of items with the entry's n-gram in a reference."""
        return self.frequency[self.ngram]


def word_ids(work: Workspace) -> WordIds:
    """Returns the word ids of the PTB-tokenised pairs (shared work)."""
    candidates, references = work.shared(ptb_sentences)
    return WordIds.of(candidates, references)


def ptb_sentences(work: Workspace) -> tuple[list[str], list[list[str]]]:
    """Returns candidates and references after PTB tokenisation (shared work)."""
    candidates, references = work.pairs.candidates, work.pairs.references
    flat = tokenize([*candidates, *chain.from_iterable(references)])
    remaining = iter(flat[len(candidates) :])
    return flat[: len(candidates)], [[next(remaining) for _ in texts] for texts in references]


def counted_ngrams(work: Workspace) -> list[NgramCounts]:
    """Returns the counts of the orders 1 to 4 (shared work)."""
    return count_ngrams(work.shared(word_ids))


def count_ngrams(words: WordIds) -> list[NgramCounts]:
    """Returns the counts of the orders 1 to 4.

    An n-gram is its first n-1 words, which have an id already, and its last word. One sort per order brings equal n-grams
    together; their rank is the id from which the next order is built.
    """
    sentence = np.repeat(np.arange(len(words.lengths)), words.lengths)
    end = np.repeat(words.starts + words.lengths, words.lengths)
    position = np.arange(len(words.ids))  # where the n-grams of the order at hand begin
    keys, ngram_at = words.ids, np.empty_like(words.ids)
    counts = []
    for order in range(1, MAX_ORDER + 1):
        if order > 1:
            position = position[position + order <= end[position]]
            keys = ngram_at[position] * words.n_words + words.ids[position + order - 1]
        keys, sorted_position = _sort_with(keys, position)
        ngram = np.cumsum(run_begins(keys)) - 1
        ngram_at[sorted_position] = ngram
        counts.append(_counts(words, ngram, sentence[sorted_position]))
    return counts


def _sort_with(keys: Ints, position: Ints) -> tuple[Ints, Ints]:
    """Returns both arrays sorted by key, then position; `position` comes sorted.

    Packed into one integer where 63 bits hold both: sorting numbers takes a third of the time of sorting indices.
    """
    bits = int(position.max(initial=0)).bit_length()
    if int(keys.max(initial=0)).bit_length() + bits < 63:
        packed = np.sort(keys << bits | position)
        return packed >> bits, packed & ((1 << bits) - 1)
    order = np.argsort(keys, kind="stable")
    return keys[order], position[order]


def run_begins(keys: Ints) -> Flags:
    """Returns bool: True where a run of equal numbers begins in sorted `keys` (none is negative)."""
    begins: Flags = np.diff(keys, prepend=-1) != 0
    return begins


def _counts(words: WordIds, ngram: Ints, sentence: Ints) -> NgramCounts:
    """Returns the entries of the occurrences (`ngram[i]` in `sentence[i]`), which come sorted by n-gram, then sentence."""
    first = np.flatnonzero(run_begins(ngram) | run_begins(sentence))
    count = np.diff(first, append=len(ngram))
    ngram, sentence = ngram[first], sentence[first]
    item, is_candidate = words.item[sentence], words.is_candidate[sentence]
    # runs of entries that share n-gram and item; a candidate's entry is the first of its run
    begins = run_begins(ngram) | run_begins(item)
    run_start = np.flatnonzero(begins)
    match = run_start[np.cumsum(begins) - 1]
    matched = np.flatnonzero(is_candidate[match] & ~is_candidate)
    in_references = ~is_candidate[np.append(run_start[1:], len(ngram)) - 1] if len(ngram) else begins
    frequency = np.bincount(ngram[run_start], in_references, minlength=int(ngram[-1]) + 1 if len(ngram) else 0).astype(np.int64)
    return NgramCounts(sentence, count, ngram, frequency, matched, match[matched])
