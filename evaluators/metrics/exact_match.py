"""Exact match: the share of answers that are the right one, word for word or by the letter of the option."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..workspace import Workspace

ENDS = " .,;:!?\"'`"  # what answers are dressed in; "C#", "-5" and "[3.42, 4.11]" stay what they are
# "a.m." is no option: behind a point or colon a blank must stand
_OPTION = re.compile(
    r"\((?P<inside>[a-z])\)(?P<behind>.*)|(?P<mere>[a-z])(?:\)(?P<behind_bracket>.*)|[.:] (?P<behind_point>.*))?"
)


@dataclass(frozen=True)
class Answer:
    """An answer as it is compared: the letter of its option and its text, either may be empty."""

    letter: str
    text: str

    def is_same(self, other: Answer) -> bool:
        """Returns whether both say the same: what both have must be equal, and there must be something that both have."""
        letters, texts = (self.letter, other.letter), (self.text, other.text)
        both_letters, both_texts = all(letters), all(texts)
        return (
            (both_letters or both_texts)
            and (not both_letters or letters[0] == letters[1])
            and (not both_texts or texts[0] == texts[1])
        )


class ExactMatch(Metric):
    r"""Exact match = right answers / answers.

    For questions with a closed set of answers: options to choose from, yes or no, a number, a word. An answer is right when it
    is the same as one of the item's references:

    1. NFKC, case folded, runs of blanks made one, blanks and `. , ; : ! ?` and quotes taken off both ends.
    2. `(b)`, `b.`, `b)`, `b:` or a mere `b` at the beginning is the letter of an option; what follows is the text.
    3. Where both sides have a letter the letters must be equal, where both have a text the texts must be, and both must have one
       of the two. So `(B) a dog` is `b` and is `A dog.`, and is neither `(A) a dog` nor `(B) a cat`.

    Nothing is searched for within an answer: "I think it is a dog" is not "a dog", and a mere letter is wrong where the
    references hold only a text. An empty answer is wrong. Where all options are known, `classification.multiple_choice` reads an
    answer among them.

    Source: none that all share; papers report the share of right answers and differ in how they read them, so compare values
    of this rule with each other only.
    """

    name = "exact_match"
    title = "Exact match"
    texts = "answers"
    cases = Cases(identical=(1.0, 1.0), disjoint=(0.0, 0.0), single=(1.0, 1.0))
    source = "the share of right answers; the rule that reads an answer is this package's own"
    definition = (
        "Share of answers that are the right one after case, blanks, outer punctuation and the forms of an option's letter are "
        "made alike."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns how an answer is read."""
        return {"norm": "nfkc_casefold_blanks_outer_punctuation", "option": "(b)_b._b)_b:_b", "of_refs": "any"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: is the answer right."""
        answers = [read_answer(candidate) for candidate in pairs.candidates]
        right = [
            any(answer.is_same(read_answer(text)) for text in texts)
            for answer, texts in zip(answers, pairs.references, strict=True)
        ]
        return np.array(right, np.float64)[:, None]

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many answers are a mere letter of which no reference says what it stands for."""
        mere = [read_answer(candidate) for candidate in pairs.candidates]
        unknown = sum(
            bool(answer.letter and not answer.text) and not any(read_answer(text).letter for text in texts)
            for answer, texts in zip(mere, pairs.references, strict=True)
        )
        return {"letters_without_key": unknown}


def read_answer(text: str) -> Answer:
    """Returns an answer as it is compared.

    >>> read_answer("(B)  A Dog."), read_answer("b"), read_answer("A dog")
    (Answer(letter='b', text='a dog'), Answer(letter='b', text=''), Answer(letter='', text='a dog'))
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(ENDS)
    found = _OPTION.fullmatch(plain)
    if found is None:
        return Answer("", plain)
    text = found["behind"] or found["behind_bracket"] or found["behind_point"] or ""
    return Answer(found["inside"] or found["mere"], text.strip(ENDS))
