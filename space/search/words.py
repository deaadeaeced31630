"""Captions found by words: an index of `tantivy` over a catalogue, ranked by BM25.

A query is words and "quoted phrases". All of its words must occur; words such as `the` or `of` need not, unless there is nothing
else. Where no caption has all words, those come that have some of them. Other forms of a word count (`dogs` finds `dog`), and so
do letters without their accents. Anything else in a query is passed over: there are no operators, and no query is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...dataset_scripts.errors import MissingRequirementError
from .catalogue import Catalogue

if TYPE_CHECKING:
    import tantivy

Mark = tuple[int, int]  # begin and end of a word in a text, in characters

_WRITER_BYTES = 256_000_000
_AT_ONCE = 10_000
_LONGEST_WORD_BYTES = 100
_LONGEST_QUERY = 1_000  # characters
_MOST_TERMS = 64
_LETTER = {"split": "s", "style": "y", "domain": "d", "tag": "t", "overlap": "o"}
# no word of sound among them: `up` and `down`, `before` and `after` tell clips apart
_SMALL = frozenset("a an and are as at be by for from in into is it its of on or that the their this to was were with".split())
_PHRASE = re.compile(r'["“”]([^"“”]*)["“”]')


@dataclass(frozen=True)
class WordsFound:
    """Which captions a query finds.

    Attributes:
        total: how many there are.
        numbers: places in the catalogue of those on this page, best first.
        scores: their BM25 scores.
        has_all: whether they have all of the words, not only some.
    """

    total: int
    numbers: list[int]
    scores: list[float]
    has_all: bool


@dataclass(frozen=True)
class Query:
    """What a query asks for, as the stems that the index holds.

    Attributes:
        words: stems outside of quotes that must occur.
        small: stems that need not occur.
        phrases: stems that must stand side by side.
    """

    words: tuple[str, ...]
    small: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, written: str) -> Query:
        """Returns what a query asks for; nothing at all where it holds no word."""
        written = written[:_LONGEST_QUERY]
        phrases = [tuple(_analyzer().analyze(inside)) for inside in _PHRASE.findall(written)]
        loose = dict.fromkeys(_analyzer().analyze(_PHRASE.sub(" ", written)))
        loose = dict.fromkeys([*loose, *(phrase[0] for phrase in phrases if len(phrase) == 1)])
        longer = tuple(dict.fromkeys(phrase for phrase in phrases if len(phrase) > 1))
        words = [word for word in loose if word not in _small_stems()][:_MOST_TERMS]
        small = [word for word in loose if word in _small_stems()]
        return cls(tuple(words), tuple(small), longer) if words or longer else cls(tuple(small), (), ())

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)

    def marks(self, text: str) -> tuple[Mark, ...]:
        """Returns which characters of a text are words of the query: begins and ends, in order."""
        tokens = _analyzer().pre_tokenize(text).tokens
        stems = [token.text for token in tokens]
        marked = {at for at, stem in enumerate(stems) if stem in self.words}
        for phrase in self.phrases:
            for at in range(len(stems) - len(phrase) + 1):
                if tuple(stems[at : at + len(phrase)]) == phrase:
                    marked.update(range(at, at + len(phrase)))
        return tuple((tokens[at].char_offset_from, tokens[at].char_offset_to) for at in sorted(marked))


class WordIndex:
    """An index over a catalogue, open for search.

    Args:
        index: of tantivy, with our words registered.
    """

    def __init__(self, index: tantivy.Index) -> None:
        self._index, self._schema, self._searcher = index, index.schema, index.searcher()

    @classmethod
    def open(cls, folder: Path) -> WordIndex:
        """Returns the index that `write` wrote into a folder.

        Raises:
            MissingRequirementError: tantivy is not installed.
            ValueError: the folder holds no index that this version can read.
        """
        index = require_tantivy().Index.open(str(folder))
        index.register_tokenizer("words", _analyzer())
        return cls(index)

    def find(self, query: Query, codes: Mapping[str, Sequence[int]], limit: int, offset: int) -> WordsFound:
        """Returns the captions that have the words of a query, best first.

        Args:
            query: asks for one word at least.
            codes: field to the numbers of which one is wanted; see `Catalogue.codes_of`.
            limit: how many, from 1 up.
            offset: how many of the best to pass over.
        """
        found = self._search(self._all_of(query), codes, limit, offset)
        has_all = True
        if not found.count and len(query.words) + len(query.phrases) > 1:
            found, has_all = self._search(self._some_of(query), codes, limit, offset), False
        numbers = self._searcher.fast_field_values("number", [address for _, address in found.hits])
        return WordsFound(found.count, [int(n or 0) for n in numbers], [float(score) for score, _ in found.hits], has_all)

    def _search(self, query: tantivy.Query, codes: Mapping[str, Sequence[int]], limit: int, offset: int) -> Any:
        must = _tantivy().Occur.Must
        parts = [(must, query), *((must, self._one_of(kind, wanted)) for kind, wanted in codes.items())]
        return self._searcher.search(_tantivy().Query.boolean_query(parts), limit=limit, offset=offset, count=True)

    def _all_of(self, query: Query) -> Any:
        occur = _tantivy().Occur
        parts = [(occur.Must, part) for part in self._parts(query)]
        parts += [(occur.Should, self._word(word)) for word in query.small]
        return _tantivy().Query.boolean_query(parts)

    def _some_of(self, query: Query) -> Any:
        return _tantivy().Query.boolean_query([(_tantivy().Occur.Should, part) for part in self._parts(query)])

    def _parts(self, query: Query) -> Iterable[tantivy.Query]:
        yield from map(self._word, query.words)
        for phrase in query.phrases:
            yield _tantivy().Query.phrase_query(self._schema, "text", list(phrase))

    def _word(self, word: str) -> Any:
        return _tantivy().Query.term_query(self._schema, "text", word, index_option="freq")

    def _one_of(self, kind: str, codes: Sequence[int]) -> Any:
        terms = [f"{_LETTER[kind]}{code}" for code in codes]
        # a filter is no reason to rank a caption higher
        return _tantivy().Query.const_score_query(_tantivy().Query.term_set_query(self._schema, "filter", terms), 0.0)


def write(catalogue: Catalogue, folder: Path | None, on_captions: Callable[[int], object] | None = None) -> WordIndex:
    """Indexes a catalogue and returns the index.

    Args:
        catalogue: the captions.
        folder: an empty folder to write; None to keep it in memory.
        on_captions: called with the number of captions that were indexed, again and again.

    Raises:
        MissingRequirementError: tantivy is not installed.
        OSError: the disk is full or refuses.
    """
    module = require_tantivy()
    builder = module.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="words", index_option="position")
    builder.add_text_field("filter", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("number", fast=True)
    index = module.Index(builder.build(), None if folder is None else str(folder))
    index.register_tokenizer("words", _analyzer())
    writer = index.writer(_WRITER_BYTES, 1)  # one thread: equal captions give an equal order
    number = 0
    for piece in catalogue.captions.to_batches(_AT_ONCE):
        rows, inside = _row_terms(catalogue, piece["row"].to_numpy())
        styles = piece["style"].to_pylist()
        for text, style, row in zip(piece["text"].to_pylist(), styles, inside.tolist(), strict=True):
            writer.add_document(module.Document(text=text, filter=[*rows[row], f"y{style}"], number=number))
            number += 1
        if on_captions is not None:
            on_captions(piece.num_rows)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return WordIndex(index)


def _row_terms(catalogue: Catalogue, rows: Any) -> tuple[list[list[str]], Any]:
    """Returns the filter terms of the rows that captions belong to, and the place of each caption's row in that list."""
    first = int(rows[0]) if len(rows) else 0
    some = catalogue.rows.slice(first, int(rows[-1]) - first + 1 if len(rows) else 0)
    columns = [some[name].to_pylist() for name in ("split", "domain", "overlap", "tags")]
    terms = [
        [f"s{split}", f"d{domain}", f"o{overlap}", *(f"t{tag}" for tag in dict.fromkeys(tags))]
        for split, domain, overlap, tags in zip(*columns, strict=True)
    ]
    return terms, rows - first


def require_tantivy() -> Any:
    """Returns the package that makes and reads the index.

    Raises:
        MissingRequirementError: it is not installed.
    """
    try:
        return _tantivy()
    except ImportError:
        raise MissingRequirementError(
            "The package tantivy", "Captions are searched with it.", 'pip install "unified-audiocaps[space]"'
        ) from None


def _tantivy() -> Any:
    import tantivy

    return tantivy


@cache
def _analyzer() -> Any:
    """Returns what makes stems of a text."""
    module = require_tantivy()
    chain = module.TextAnalyzerBuilder(module.Tokenizer.simple())
    kept = module.Filter
    for one in (kept.remove_long(_LONGEST_WORD_BYTES), kept.lowercase(), kept.ascii_fold(), kept.stemmer("english")):
        chain = chain.filter(one)
    return chain.build()


@cache
def _small_stems() -> frozenset[str]:
    return frozenset(stem for word in _SMALL for stem in _analyzer().analyze(word))
