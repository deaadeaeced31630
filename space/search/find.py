"""Captions of a built set, found by words or by meaning, with filters, in pages."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ...dataset_scripts.built import BuiltSet
from ...dataset_scripts.errors import InputError, UnknownNameError
from . import meaning
from .catalogue import Catalogue, Entry, Filters
from .store import WAYS, By, open_meaning, open_words, query_encoder
from .words import Mark, Query

MOST_HITS = 1_000
DEEPEST = 100_000


@dataclass(frozen=True)
class Hit:
    """A caption that was found.

    Attributes:
        entry: the caption, its id and style, and where its row lies.
        score: BM25 by words, the cosine by meaning, 0 without a query.
        marks: which characters of the caption are words of the query, begins and ends in order; none by meaning.
    """

    entry: Entry
    score: float
    marks: tuple[Mark, ...] = ()

    @property
    def segments(self) -> list[tuple[str, bool]]:
        """The caption in pieces, and whether they are words of the query: plain text, which who shows it has to escape."""
        pieces, at = list[tuple[str, bool]](), 0
        for begin, end in self.marks:
            pieces += [(self.entry.caption[at:begin], False), (self.entry.caption[begin:end], True)]
            at = end
        return [piece for piece in (*pieces, (self.entry.caption[at:], False)) if piece[0]]


@dataclass(frozen=True)
class Found:
    """The answer to a query.

    Attributes:
        hits: captions, best first.
        total: how many captions there are; by meaning all that the filters let through.
        has_all_words: false where no caption has all words of the query, and these have some.
        took_s: seconds.
    """

    hits: tuple[Hit, ...]
    total: int
    has_all_words: bool
    took_s: float


@dataclass(frozen=True)
class _Page:
    total: int
    ranked: list[tuple[int, float]]  # number and score
    query: Query | None = None
    has_all: bool = True


def search(
    one: BuiltSet, query: str, *, by: By = "words", filters: Filters | None = None, limit: int = 20, offset: int = 0
) -> Found:
    """Returns the captions of a set that a query finds.

    Args:
        one: the set, a config or one of its splits.
        query: words and "phrases", or, by meaning, any text; blank for everything in the set's order, rows without captions too.
        by: `words` or `meaning`.
        filters: what captions and clips must be besides.
        limit: how many hits, from 1 to 1,000.
        offset: how many of the best to pass over, at most 100,000.

    Raises:
        UnknownNameError: nothing in the set has this split, style or domain.
        InputError: nothing has this tag; the set has no index, or was built again since (the message has the command); or a
            number is out of range.
        MissingRequirementError: a package is not installed.
    """
    started = time.perf_counter()
    if by not in WAYS:
        raise UnknownNameError("way to search", by, WAYS)
    if not 1 <= limit <= MOST_HITS or not 0 <= offset <= DEEPEST:
        raise InputError(
            f"limit is {limit} and offset is {offset}; expected 1 to {MOST_HITS:,} hits behind at most {DEEPEST:,}. Add words or "
            "filters to come closer to what you look for."
        )
    query = query.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be looked for
    if query.strip() and by == "meaning":
        opened, vectors = open_meaning(one)
        captions = opened.captions
        mask = captions.mask(_codes(captions, one, filters))
        is_wanted = captions.is_caption if mask is None else captions.is_caption & mask
        closest = vectors.find(meaning.embedded([query], query_encoder())[0], is_wanted, limit, offset)
        page = _Page(closest.total, list(zip(closest.numbers, closest.scores, strict=True)))
    else:
        opened = open_words(one)
        captions = opened.captions
        codes = _codes(captions, one, filters)
        asked = Query.parse(query)
        if asked:
            found = opened.words.find(asked, codes, limit, offset)
            page = _Page(found.total, list(zip(found.numbers, found.scores, strict=True)), asked, found.has_all)
        elif query.strip():
            page = _Page(0, [])  # signs alone are no words
        else:
            mask = captions.mask(codes)
            numbers = range(len(captions)) if mask is None else np.flatnonzero(mask)
            page = _Page(len(numbers), [(int(number), 0.0) for number in numbers[offset : offset + limit]])
    hits = []
    for number, score in page.ranked:
        entry = captions.entry(number)
        hits.append(Hit(entry, score, page.query.marks(entry.caption) if page.query is not None else ()))
    return Found(tuple(hits), page.total, page.has_all, time.perf_counter() - started)


def counts(one: BuiltSet) -> dict[str, dict[str, int]]:
    """Returns what filters can name: field to name to how many rows (of styles: captions), most first.

    The fields are `split`, `style`, `domain`, `tag` and `overlap`; of that there are `any`, `none`, and `unknown` for rows that
    nobody compared with evaluation sets.

    Raises:
        InputError: the set has no index, or was built again since; the message has the command.
        MissingRequirementError: tantivy is not installed.
    """
    return open_words(one).captions.counts(one.splits)


def _codes(captions: Catalogue, one: BuiltSet, filters: Filters | None) -> dict[str, list[int]]:
    """Returns what filters ask for, within the splits of the set."""
    filters = filters or Filters()
    if filters.split is None and set(one.splits) != set(captions.names["split"]):
        codes = captions.codes_of(filters, one.name)
        return {**codes, "split": [captions.names["split"].index(split) for split in one.splits]}
    if filters.split is not None and filters.split.casefold() not in one.splits:
        raise UnknownNameError(f"split of {one.name}", filters.split, one.splits)
    return captions.codes_of(filters, one.name)
