"""Predictions joined to references: the only input that caption metrics accept.

Every check of the input as a whole lives here, so that what cannot be scored cannot reach a metric: all columns have one
length, every item has a candidate and at least one reference that is not empty. A candidate may be empty: each metric defines
what it is worth. An item may have further candidates; metrics that choose among several read them, all others do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from ..dataset_scripts.errors import InputError, Problem, shorten

Prediction: TypeAlias = str | Sequence[str]
"""A caption, or several for one item of which the first is the candidate."""


@dataclass(frozen=True)
class CaptionPairs:
    """Candidates beside their references, one entry per item.

    Attributes:
        ids: the items' ids, unique.
        candidates: one text per item.
        references: at least one text per item; the counts may differ.
        alternatives: further candidates per item, the same number for every item; empty where there are none.

    Raises:
        InputError: the columns differ in length, are empty, or hold something that is not text, or items have different
            numbers of candidates.
    """

    ids: tuple[str, ...]
    candidates: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    alternatives: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        lengths = (len(self.ids), len(self.candidates), len(self.references))
        if len(set(lengths)) != 1:
            raise InputError(
                f"{lengths[0]:,} ids, {lengths[1]:,} candidates and {lengths[2]:,} lists of references; "
                "expected one of each per item."
            )
        if not self.ids:
            raise InputError("there is nothing to score: no item was given.")
        if self.alternatives and len(self.alternatives) != len(self.ids):
            raise InputError(
                f"{len(self.ids):,} ids and {len(self.alternatives):,} lists of further candidates; expected one each, or none."
            )
        problems: list[Problem] = []
        seen: set[str] = set()
        for id_, candidate, references in zip(self.ids, self.candidates, self.references, strict=True):
            if id_ in seen:
                problems.append(Problem("E_DUP_ID", f"id {shorten(id_)} was given twice", id=id_))
            seen.add(id_)
            problems.extend(_problems(id_, candidate, references))
        for id_, texts in zip(self.ids, self.alternatives, strict=bool(self.alternatives)):
            problems.extend(_alternative_problems(id_, texts, len(self.alternatives[0])))
        if problems:
            raise InputError("these items cannot be scored.", problems)

    @classmethod
    def join(cls, predictions: Mapping[str, Prediction], references: Mapping[str, Sequence[str]]) -> CaptionPairs:
        """Returns the pairs in the order of `references`.

        Args:
            predictions: caption by id; or several captions by id, the same number for every id.
            references: texts by id.

        Raises:
            InputError: an id stands on one side only (coverage must be complete), or an entry is not text.

        >>> CaptionPairs.join({"b": "rain"}, {"b": ["it rains", "rain falls"]}).references
        (('it rains', 'rain falls'),)
        """
        missing = [id_ for id_ in references if id_ not in predictions]
        unknown = [id_ for id_ in predictions if id_ not in references]
        problems = [
            *(Problem("E_MISSING_ID", f"id {shorten(id_)} has references but no prediction", id=id_) for id_ in missing),
            *(Problem("E_UNKNOWN_ID", f"id {shorten(id_)} has a prediction but no references", id=id_) for id_ in unknown),
        ]
        if problems:
            raise InputError(
                f"predictions and references do not cover the same ids: {len(missing):,} of {len(references):,} references have "
                f"no prediction, {len(unknown):,} of {len(predictions):,} predictions have no references.",
                problems,
            )
        # what is no list of texts is kept whole here, so that __post_init__ sees and rejects it
        columns = tuple(
            tuple(texts) if isinstance(texts, Sequence) and not isinstance(texts, str) else texts for texts in references.values()
        )
        parted = [_parted(predictions[id_]) for id_ in references]
        candidates, alternatives = tuple(first for first, _ in parted), tuple(others for _, others in parted)
        return cls(tuple(references), candidates, columns, alternatives if any(alternatives) else ())  # type: ignore[arg-type] # checked there

    @classmethod
    def in_order(cls, candidates: Sequence[Prediction], references: Sequence[Sequence[str]]) -> CaptionPairs:
        """Returns the pairs of two lists that are already aligned; the ids are "0", "1", ….

        Args:
            candidates: a caption, or several, per item, as in `join`.
            references: texts per item.

        Raises:
            InputError: the lists differ in length, or an entry is not text.
        """
        if len(candidates) != len(references):
            raise InputError(
                f"{len(candidates):,} predictions and {len(references):,} lists of references; expected equally many."
            )
        ids = [str(index) for index in range(len(candidates))]
        return cls.join(dict(zip(ids, candidates, strict=True)), dict(zip(ids, references, strict=True)))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Sequence[int]) -> CaptionPairs:
        """Returns the items at these places, in this order."""
        return CaptionPairs(
            tuple(self.ids[i] for i in places),
            tuple(self.candidates[i] for i in places),
            tuple(self.references[i] for i in places),
            tuple(self.alternatives[i] for i in places) if self.alternatives else (),
        )

    @property
    def n_candidates(self) -> int:
        """How many candidates every item has."""
        return 1 + len(self.alternatives[0]) if self.alternatives else 1

    @cached_property
    def n_empty_candidates(self) -> int:
        """How many candidates hold nothing but white space."""
        return sum(not candidate.strip() for candidate in self.candidates)

    @cached_property
    def reference_counts(self) -> str:
        """References per item as signatures print it: `5`, or `1-5` where the items differ."""
        counts = {len(texts) for texts in self.references}
        return f"{min(counts)}-{max(counts)}" if len(counts) > 1 else str(min(counts))


def _parted(prediction: object) -> tuple[object, tuple[object, ...]]:
    """Returns candidate and alternatives; what is neither text nor a list is kept whole, to be rejected as a candidate."""
    if isinstance(prediction, Sequence) and not isinstance(prediction, str) and prediction:
        return prediction[0], tuple(prediction[1:])
    return prediction, ()


def _alternative_problems(id_: object, texts: object, expected: int) -> Iterator[Problem]:
    shown = shorten(id_)
    if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
        message = f"the further predictions of {shown} are {shorten(texts)}; expected texts"
        yield Problem("E_TYPE", message, id=str(id_), column="captions")
    elif len(texts) != expected:
        message = f"id {shown} has {len(texts) + 1} predictions, the first item has {expected + 1}; expected equally many"
        yield Problem("E_COUNT", message, id=str(id_), column="captions")


def _problems(id_: object, candidate: object, references: object) -> Iterator[Problem]:
    shown = shorten(id_)

    def problem(code: str, message: str, column: str, hint: str = "") -> Problem:
        return Problem(code, message, id=str(id_), column=column, hint=hint)

    if not isinstance(id_, str):
        yield problem("E_TYPE", f"id is {shown}; expected text", "id")
    if not isinstance(candidate, str):
        yield problem("E_TYPE", f"the prediction of {shown} is {shorten(candidate)}; expected text", "caption")
    if not isinstance(references, tuple):
        message = f"the references of {shown} are {shorten(references)}; expected a list of texts"
        yield problem("E_TYPE", message, "references", hint="even for one reference")
        return
    wrong = next((text for text in references if not isinstance(text, str)), "")
    if wrong != "":
        yield problem("E_TYPE", f"a reference of {shown} is {shorten(wrong)}; expected text", "references")
    elif not any(text.strip() for text in references):
        yield problem("E_EMPTY", f"id {shown} has no reference that holds any text", "references")
