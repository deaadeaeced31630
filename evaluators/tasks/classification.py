"""Accuracy and average precision of labels: from scores, from predicted labels, from embeddings of class names, from text.

What cannot be told apart is not right: where scores decide, an item is right only if its own class scores above every other one.
Means over classes are over classes that have items (accuracy) or positive items (average precision); the others are NaN, are
counted, and are `null` in JSON. Values run from 0 to 1.
Source: the downstream tables of WavCaps (zero-shot classification, Table VII), FusionAudio (Table 5) and ACAVCaps (Table 3).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..metric import Floats, Signature
from .matrices import as_matrix, check_finite

VERSION = 1
Integers = npt.NDArray[np.int64]
_Array = npt.NDArray[Any]
_KEPT_PROBLEMS = 1000


@dataclass(frozen=True)
class ClassificationResult:
    """How often the one label of every item was found.

    Attributes:
        accuracy: share of items that are right.
        balanced_accuracy: mean of the classes' accuracies, over classes that have items.
        per_class: float64[n_classes], share of the class's items that are right; NaN for a class without items.
        support: int64[n_classes], items per class.
        per_item: float64[n], 1 where the item is right.
        signature: the recipe of these numbers.
        notes: what was counted on the way; a count of 0 is left out.
    """

    accuracy: float
    balanced_accuracy: float
    per_class: Floats = field(repr=False)
    support: Integers = field(repr=False)
    per_item: Floats = field(repr=False)
    signature: Signature
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        values = {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy}
        return {**values, "per_class": _plain(self.per_class), **_entry(len(self.per_item), self.signature, self.notes)}


@dataclass(frozen=True)
class TaggingResult:
    """How well scores rank the items of every class.

    Attributes:
        map: mean of the classes' average precisions, over classes that have positive items.
        per_class: float64[n_classes], average precision; NaN for a class without positive items.
        support: int64[n_classes], positive items per class.
        n: number of items.
        signature: the recipe of these numbers.
        notes: what was counted on the way; a count of 0 is left out.
    """

    map: float
    per_class: Floats = field(repr=False)
    support: Integers = field(repr=False)
    n: int
    signature: Signature
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        return {"map": self.map, "per_class": _plain(self.per_class), **_entry(self.n, self.signature, self.notes)}


@dataclass(frozen=True)
class ChoiceResult:
    """How often the right option was chosen.

    Attributes:
        accuracy: share of items that are right; what could not be read is wrong.
        chosen: int64[n], the index of the option that was read, -1 where none could be.
        per_item: float64[n], 1 where the item is right.
        signature: the recipe of these numbers.
        notes: `unparsed`, how many texts could not be read; a count of 0 is left out.
    """

    accuracy: float
    chosen: Integers = field(repr=False)
    per_item: Floats = field(repr=False)
    signature: Signature
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Returns the report entry: plain values only, full precision."""
        return {"accuracy": self.accuracy, **_entry(len(self.per_item), self.signature, self.notes)}


def _plain(values: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def _entry(n: int, signature: Signature, notes: Mapping[str, int]) -> dict[str, object]:
    entry: dict[str, object] = {"n": n, "signature": signature.text, "digest": signature.digest}
    return {**entry, "notes": dict(notes)} if notes else entry


def accuracy_from_labels(
    targets: npt.ArrayLike, predicted: npt.ArrayLike, n_classes: int, *, model: str = "unknown"
) -> ClassificationResult:
    """Returns accuracy, balanced accuracy and accuracy per class of predicted labels.

    With n_c items of class c, h_c of them predicted as c, over C' classes that have items:

        accuracy = sum h_c / sum n_c        accuracy_c = h_c / n_c        balanced = sum accuracy_c / C'

    Args:
        targets: int[n], the right class of every item, from 0.
        predicted: int[n], the class that was chosen, or -1 where none was: the item is wrong, and counted.
        n_classes: how many classes there are.
        model: what predicted, with its version; kept in the signature.

    Raises:
        InputError: there are no items, lengths differ, or a label is no whole number within the classes.

    Source: as scikit-learn's `accuracy_score`, `recall_score` and `balanced_accuracy_score`.

    >>> found = accuracy_from_labels([0, 0, 0, 1], [0, 0, 1, 1], 2)
    >>> found.accuracy, round(found.balanced_accuracy, 4)
    (0.75, 0.8333)
    """
    right = _labels(targets, "targets", n_classes)
    chosen = _labels(predicted, "predicted", n_classes, lowest=-1)
    if len(right) != len(chosen):
        raise InputError(f"{len(right):,} targets and {len(chosen):,} predictions were given; expected one of each per item.")
    return _accuracies(
        right, chosen == right, n_classes, {"from": "labels", "model": model}, {"unparsed": int((chosen < 0).sum())}
    )


def accuracy_from_scores(targets: npt.ArrayLike, scores: npt.ArrayLike, *, model: str = "unknown") -> ClassificationResult:
    """Returns accuracy, balanced accuracy and accuracy per class of the class with the highest score.

    The formulas are those of `accuracy_from_labels`. An item is right if its own class scores above every other class; one whose
    class shares the highest score is wrong, and counted as `tied`: scores that tell nothing are worth nothing.

    Args:
        targets: int[n], the right class of every item, from 0.
        scores: float[n, n_classes], higher is more likely; logits, probabilities or similarities.
        model: what made the scores, with its version; kept in the signature.

    Raises:
        InputError: there are no items, shapes do not fit, a score is NaN or infinite, or a label is beyond the classes.

    Source: as `accuracy_from_labels`; without ties, what argmax gives.

    >>> accuracy_from_scores([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]).per_item.tolist()
    [1.0, 1.0, 0.0]
    """
    matrix = _scores(scores, "scores")
    n, n_classes = matrix.shape
    right = _labels(targets, "targets", n_classes)
    if len(right) != n:
        raise InputError(f"{len(right):,} targets and {n:,} rows of scores were given; expected one of each per item.")
    own = matrix[np.arange(n), right]
    is_top = own == matrix.max(axis=1)
    is_tied = is_top & ((matrix == own[:, None]).sum(axis=1) > 1)
    recipe = {"from": "scores", "ties": "wrong", "model": model}
    return _accuracies(right, is_top & ~is_tied, n_classes, recipe, {"tied": int(is_tied.sum())})


def zero_shot_scores(audio: npt.ArrayLike, text: npt.ArrayLike, class_of: npt.ArrayLike | None = None) -> Floats:
    """Returns the cosine of every sound and every class, float64[n, n_classes]: the zero-shot rule is its argmax.

    A class is the direction of the mean of its prompts' unit embeddings; with one prompt, of that prompt:

        score(i, c) = cos(audio_i, sum over prompts p of c of text_p / |text_p|)

    `accuracy_from_scores` of the result is zero-shot accuracy, `average_precision` of it zero-shot mAP.

    Args:
        audio: float[n, d], one embedding per sound.
        text: float[n_prompts, d], one embedding per prompt ("the sound of a dog").
        class_of: int[n_prompts], the class of every prompt, each class at least once; None for one prompt per class, in order.

    Raises:
        InputError: a shape does not fit, a number is NaN or infinite, an embedding is zero, a class has no prompt, or prompts of
            a class cancel.

    Source: WavCaps, Table VII; the mean over prompts: CLIP, section 3.1.4.

    >>> zero_shot_scores([[2, 0], [3, 4]], [[1, 0], [0, 1]]).tolist()
    [[1.0, 0.0], [0.6, 0.8]]
    """
    sounds, prompts = _scores(audio, "audio"), _scores(text, "text")
    if sounds.shape[1] != prompts.shape[1]:
        raise InputError(
            f"audio has {sounds.shape[1]:,} dimensions and text {prompts.shape[1]:,}; expected embeddings of one space."
        )
    sounds, prompts = _unit(sounds, "audio"), _unit(prompts, "text")
    if class_of is not None:
        owner = _labels(class_of, "class_of", len(prompts))
        if len(owner) != len(prompts):
            raise InputError(f"{len(prompts):,} prompts and {len(owner):,} classes were given; expected one class per prompt.")
        counts = np.bincount(owner)
        if not counts.all():
            raise InputError(f"class {int(np.flatnonzero(counts == 0)[0])} has no prompt; expected one or more for each class.")
        classes = np.zeros((len(counts), prompts.shape[1]))
        np.add.at(classes, owner, prompts)
        # unit vectors that cancel leave a rounding error, which is no direction
        prompts = _unit(classes, "the sum of a class's prompts", least=1e-12)
    return np.asarray(sounds @ prompts.T, np.float64)


def average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike, *, model: str = "unknown") -> TaggingResult:
    """Returns mAP and the average precision of every class of items with any number of labels.

    Over the class's distinct scores from the highest down, with precision P and recall R of all items at or above the t-th one:

        AP = sum over t of (R_t - R_(t-1)) P_t        mAP = mean of AP over classes with positive items

    Items of equal score are taken together, so their order does not matter.

    Args:
        targets: bool or 0/1 [n, n_classes], which labels every item has.
        scores: float[n, n_classes], higher is more likely; predicted labels as 0 and 1 will do.
        model: what made the scores, with its version; kept in the signature.

    Raises:
        InputError: shapes differ, there are no items, a score is NaN or infinite, a target is neither 0 nor 1, or no class has a
            positive item.

    Source: as scikit-learn's `average_precision_score`, which AudioSet's evaluations use.

    >>> average_precision([[1], [0], [1]], [[0.9], [0.8], [0.1]]).per_class.round(4).tolist()
    [0.8333]
    """
    matrix, wanted = _scores(scores, "scores"), as_matrix(targets, "targets", "fiub")
    if wanted.shape != matrix.shape:
        raise InputError(
            f"targets have the shape {wanted.shape} and scores {matrix.shape}; expected equal ones, [items, classes]."
        )
    if not ((wanted == 0) | (wanted == 1)).all():
        raise InputError("a target is neither 0 nor 1; expected which labels every item has.")
    is_positive = wanted.astype(bool)
    support = is_positive.sum(axis=0, dtype=np.int64)
    if not support.any():
        raise InputError(f"none of the {len(support):,} classes has a positive item; expected targets of at least one class.")
    found = np.array([_average_precision(column, values) for column, values in zip(is_positive.T, matrix.T, strict=True)])
    recipe = {
        "metric": "average_precision",
        "version": str(VERSION),
        "classes": str(len(support)),
        "ties": "together",
        "mean": "classes_with_positives",
        "model": model,
    }
    notes = _counted({"classes_without_positives": int((support == 0).sum())})
    return TaggingResult(float(np.nanmean(found)), found, support, len(matrix), Signature(recipe), notes)


def _average_precision(is_positive: _Array, scores: _Array) -> float:
    if not is_positive.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # where a score stands for the last time
    hits = np.cumsum(is_positive[order])[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * (hits / (last + 1))).sum() / hits[-1])


def multiple_choice(
    generated: Sequence[str], options: Sequence[Sequence[str]], targets: npt.ArrayLike, *, model: str = "unknown"
) -> ChoiceResult:
    """Returns the accuracy of generated answers to questions with options; `read_choice` states how a text is read.

    Args:
        generated: one text per item.
        options: per item the texts of its options, in the order of their letters; the counts may differ.
        targets: int[n], the index of the right option, from 0.
        model: what generated, with its version; kept in the signature.

    Raises:
        InputError: there are no items, lengths differ, an item has fewer than 2 or more than 26 options or two that read the
            same, a text is none, or a target is beyond the item's options.

    Source: the rule is ours (papers rarely state theirs), which is why it stands in the signature.

    >>> found = multiple_choice(["B", "It's a dog.", "hard to say"], [["cat", "dog"]] * 3, [1, 1, 0])
    >>> found.chosen.tolist(), found.notes
    ([1, 1, -1], {'unparsed': 1})
    """
    right = _labels(targets, "targets", 26)
    if not len(generated) == len(options) == len(right):
        raise InputError(
            f"{len(generated):,} texts, {len(options):,} lists of options and {len(right):,} targets were given; "
            "expected one of each per item."
        )
    problems = []
    for place, (text, choices, target) in enumerate(zip(generated, options, right.tolist(), strict=True)):
        problem = _problem(text, choices)
        if not problem and target >= len(choices):
            problem = f"target is {target}; expected one of its {len(choices)} options, from 0"
        if problem:
            problems.append(Problem("E_TYPE", f"item {place}: {problem}"))
    if problems:
        raise InputError("these questions cannot be scored.", problems[:_KEPT_PROBLEMS], len(problems))
    read = [read_choice(text, choices) for text, choices in zip(generated, options, strict=True)]
    chosen = np.array([-1 if one is None else one for one in read], np.int64)
    per_item = (chosen == right).astype(np.float64)
    recipe = {
        "metric": "multiple_choice",
        "version": str(VERSION),
        "rule": "text,letter,answer_is,mention",
        "unparsed": "wrong",
        "model": model,
    }
    notes = _counted({"unparsed": int((chosen < 0).sum())})
    return ChoiceResult(float(per_item.mean()), chosen, per_item, Signature(recipe), notes)


def read_choice(text: str, options: Sequence[str]) -> int | None:
    """Returns the index of the option that a generated text names, None where it names none or several.

    Both sides are NFKC-normalised and casefolded, Markdown's * and ` are dropped, white space becomes one space. The first rule
    that applies decides:

    1. text: the whole text, without punctuation around it, is an option's text.
    2. letter: the text begins with a letter of the options in brackets or followed by one of `) . : ,` or by nothing ("(b)",
       "b. a dog", "b"). If the rest is the text of another option, it names several. A letter and a space begin a sentence
       ("a dog barks"), and name nothing.
    3. answer_is: "answer is", "answer:", "option" or "choice" and a letter, in brackets or not ("the answer is (b).", "option b
       fits"); a small "a" or "i" between "answer is" and a space is a word. Different letters name several.
    4. mention: exactly one option's text stands in the text as whole words; an option within a longer one that stands there
       ("dog" in "dog and cat") does not count by itself.

    Args:
        text: what a model said; may be empty.
        options: two or more texts, in the order of their letters.

    Raises:
        InputError: fewer than 2 or more than 26 options, two that read the same, or something that is not text.

    >>> read_choice("The answer is (B).", ["a cat", "a dog"]), read_choice("a cat or a dog", ["a cat", "a dog"])
    (1, None)
    """
    problem = _problem(text, options)
    if problem:
        raise InputError(f"the question cannot be read: {problem}.")
    said, texts = _normal(text), [_bare(_normal(option)) for option in options]
    if _bare(said) in texts:
        return texts.index(_bare(said))
    letter = rf"[a-{chr(ord('a') + len(texts) - 1)}]"
    bracketed = rf"[(\[]({letter})[)\]]"
    marked = rf"(?:{bracketed}|({letter})(?=[).:,]|$))"
    begin = re.match(marked, said)
    if begin:
        place = ord(begin[1] or begin[2]) - ord("a")
        rest = _bare(said[begin.end() :])
        return None if rest in texts and texts.index(rest) != place else place
    # "the answer is a dog" names no letter, "the answer is b because" and "option a is" do
    free = rf"(?:{bracketed}|({letter})(?![\w#+'-]))"
    phrase = rf"\banswer(?: is:?|:)\s*(?-i:(?![ai]\s)){free}|\b(?:option|choice)\s*:?\s*{free}"
    places = {ord("".join(groups).lower()) - ord("a") for groups in re.findall(phrase, _plain_text(text), re.IGNORECASE)}
    if places:
        return places.pop() if len(places) == 1 else None
    # longest first, and each mention blotted out, so that an option within another is not found there
    found = []
    for place in sorted(range(len(texts)), key=lambda place: -len(texts[place])):
        said, n = re.subn(rf"(?<![\w-])(?<!\d[.,]){re.escape(texts[place])}(?![\w#+-]|[.,]\d)", "\0", said)
        if n:
            found.append(place)
    return found[0] if len(found) == 1 else None


def _plain_text(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).replace("*", "").replace("`", "").split())


def _normal(text: str) -> str:
    return _plain_text(text).casefold()


def _bare(text: str) -> str:
    # signs that carry meaning stay: "C#" is another chord than "C", "-1" another number than "1"
    return text.strip(" .,;:!?_\"'()[]{}“”\N{LEFT SINGLE QUOTATION MARK}’«»")


def _problem(text: object, options: object) -> str:
    if not isinstance(text, str):
        return f"the generated text is {shorten(text)}; expected text"
    if isinstance(options, str) or not isinstance(options, Sequence) or not all(isinstance(one, str) for one in options):
        return f"options are {shorten(options)}; expected a list of texts"
    if not 2 <= len(options) <= 26:
        return f"there are {len(options)} options; expected 2 to 26"
    bare = [_bare(_normal(one)) for one in options]
    if not all(bare) or len(set(bare)) != len(bare):
        return f"options are {shorten(list(options))}; expected texts that differ in their words"
    return ""


def _accuracies(
    right: Integers, is_right: npt.NDArray[np.bool_], n_classes: int, recipe: Mapping[str, str], notes: Mapping[str, int]
) -> ClassificationResult:
    support = np.bincount(right, minlength=n_classes)
    hits = np.bincount(right[is_right], minlength=n_classes)
    per_class = np.where(support > 0, hits / np.maximum(support, 1), np.nan)
    signature = Signature({"metric": "accuracy", "version": str(VERSION), "classes": str(n_classes), **recipe})
    return ClassificationResult(
        accuracy=float(is_right.mean()),
        balanced_accuracy=float(np.nanmean(per_class)),
        per_class=per_class,
        support=support.astype(np.int64),
        per_item=is_right.astype(np.float64),
        signature=signature,
        notes=_counted({**notes, "classes_without_items": int((support == 0).sum())}),
    )


def _counted(notes: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in notes.items() if count}


def _labels(values: npt.ArrayLike, name: str, n_classes: int, lowest: int = 0) -> Integers:
    found = np.asarray(values)
    if found.ndim != 1 or not len(found):
        raise InputError(f"{name} has the shape {found.shape}; expected one class per item, of at least one item.")
    if found.dtype.kind not in "iu":
        raise InputError(f"{name} holds {found.dtype}; expected the classes' indices, whole numbers.")
    wrong = np.flatnonzero((found < lowest) | (found >= n_classes))
    if len(wrong):
        place = int(wrong[0])
        raise InputError(f"{name}[{place}] is {found[place]}; expected a class from {lowest} to {n_classes - 1}.")
    return found.astype(np.int64)


def _scores(values: npt.ArrayLike, name: str) -> Floats:
    """Returns float64[n, k]; float32 keeps its order and its ties."""
    found = as_matrix(values, name, "fiub").astype(np.float64)
    check_finite(found, name)
    return found


def _unit(matrix: Floats, name: str, least: float = 0.0) -> Floats:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    empty = np.flatnonzero(norms[:, 0] <= least)
    if len(empty):
        raise InputError(f"{name}: row {int(empty[0])} is zero; expected embeddings with a direction.")
    return np.asarray(matrix / norms, np.float64)
