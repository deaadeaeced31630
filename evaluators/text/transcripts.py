"""Transcripts of speech against what was said: units (words or letters) that were replaced, left out or put in.

An item's references are transcripts of the same speech. Both sides are normalised as Whisper's authors do it (Radford et al.
2022, arXiv:2212.04356, appendix C): by the rules for English, which make words, or by those for any language, which make letters.
Errors are those of an alignment with as few as possible, found by the package `jiwer`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...dataset_scripts.errors import MissingRequirementError
from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..workspace import Workspace

ALIGNED_AT_ONCE = 8192  # pairs of texts: bounds the memory of their alignments
KINDS = ("substitute", "delete", "insert")
SPELLINGS = "whisper-normalizer"

Normalizer = Callable[[str], str]


class ErrorRate(Metric):
    """What the rates of wrong words and of wrong letters share; `normalizer` says which units there are."""

    texts = "transcripts"
    direction = "lower"
    value_range = (0.0, float("inf"))
    requires = ("packages `jiwer` and `whisper-normalizer`",)
    components = ("substitutions", "deletions", "insertions")
    cases = Cases(identical=(0.0, 0.0), disjoint=(0.5, float("inf")), single=(0.0, 0.0))
    rules: ClassVar[str]

    def normalizer(self) -> Normalizer:
        """Returns what makes a text into units with blanks between them."""
        raise NotImplementedError

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns the rules of normalisation with a hash of them, and which of several references counts."""
        return {"norm": f"{self.rules}@sha256:{rules_hash()}", "of_refs": "fewest_errors"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 4]: substitutions, deletions, insertions, units of the reference that counts."""
        return error_counts(pairs.candidates, pairs.references, self.normalizer())

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 4]: the error rate, and the rate of each kind of error; the three add up to it."""
        # where nothing was said there is nothing to divide by: what was put in counts by itself
        rates = totals[..., :3] / np.maximum(totals[..., 3:], 1.0)
        return np.concatenate((rates.sum(axis=-1, keepdims=True), rates), axis=-1)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns in how many items no reference has a word after normalisation."""
        return {"references_without_words": int((stats[:, 3] == 0).sum())}


def error_counts(candidates: Sequence[str], references: Sequence[Sequence[str]], normalizer: Normalizer) -> Floats:
    """Returns float64[items, 4]: substitutions, deletions, insertions, units of the reference that counts.

    That is the one with the fewest errors, of several such the longest. A reference without any unit counts only where all of
    the item's references are so. Of several alignments with equally few errors jiwer chooses: only the sum of the three kinds
    is certain, and deletions less insertions.

    Args:
        candidates: one transcript per item.
        references: at least one transcript per item.
        normalizer: makes a text into units with blanks between them.
    """
    counts = np.fromiter(map(len, references), np.int64, len(references))
    item = np.repeat(np.arange(len(counts)), counts)
    said = cache(normalizer)  # equal texts are normalised once, and forgotten with this call
    flat = list(chain.from_iterable(references))
    found = np.empty((len(flat), 4))
    for start in range(0, len(flat), ALIGNED_AT_ONCE):
        here = slice(start, start + ALIGNED_AT_ONCE)
        found[here] = _aligned([said(text) for text in flat[here]], [said(candidates[place]) for place in item[here]])
    errors, units = found[:, :3].sum(axis=1), found[:, 3]
    order = np.lexsort((found[:, 0], -units, errors, units == 0, item))
    chosen: Floats = found[order[np.cumsum(counts) - counts]]
    return chosen


def _aligned(references: list[str], candidates: list[str]) -> Floats:
    import jiwer

    aligned = jiwer.process_words(references, candidates)
    rows = []
    for words, chunks in zip(aligned.references, aligned.alignments, strict=True):
        errors = dict.fromkeys(("equal", *KINDS), 0)
        for chunk in chunks:
            # only one side of an insertion or deletion is longer than 0
            errors[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        rows.append([*(errors[kind] for kind in KINDS), len(words)])
    return np.array(rows, np.float64)


def english_words() -> Normalizer:
    """Returns Whisper's normaliser for English: contractions, numbers and spellings are made alike, fillers and signs go.

    Raises:
        MissingRequirementError: the table of spellings is not installed.
    """
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normalizer: Normalizer = EnglishTextNormalizer(json.loads(_spellings().read_text(encoding="utf-8")))
    return normalizer


def letters() -> Normalizer:
    """Returns Whisper's normaliser for any language, with a blank behind every letter: case and signs go, accents stay."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    normalizer: Normalizer = BasicTextNormalizer(split_letters=True)
    return normalizer


@cache
def rules_hash() -> str:
    """Returns 12 hex characters over the program of both normalisers and the table of spellings."""
    from transformers.models.whisper import english_normalizer

    return hashlib.sha256(inspect.getsource(english_normalizer).encode() + _spellings().read_bytes()).hexdigest()[:12]


def _spellings() -> Path:
    """Returns the file of British words with their American spelling: data of a package whose program is not used."""
    package = importlib.util.find_spec("whisper_normalizer")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "normalizers" / "english.json"
        if path.is_file():
            return path
    raise MissingRequirementError(
        "The table of English spellings", f"It comes with the package {SPELLINGS}.", f"pip install --force-reinstall {SPELLINGS}"
    )
