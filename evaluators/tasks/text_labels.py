"""Labels from generated text: the class whose name lies closest to what a model said.

Models that answer in sentences name no class exactly. A sentence encoder embeds the text and a prompt for every class; the cosine
is the class's score, and what holds for scores holds here (`classification.accuracy_from_scores`, `average_precision`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..metric import Floats, Signature
from .classification import ClassificationResult, TaggingResult, accuracy_from_scores, average_precision

if TYPE_CHECKING:
    from ..models.encoders import Encoder

VERSION = 1
TEMPLATE = "the sound of {}"
SLOT = "{}"


@dataclass(frozen=True)
class TextLabels:
    """Scores of classes for generated texts, and the recipe that they came by.

    Attributes:
        scores: float64[n, n_classes], cosine of text and prompt.
        recipe: what signatures of numbers made of them hold.
        notes: `empty_texts`; a count of 0 is left out.
    """

    scores: Floats
    recipe: Mapping[str, str]
    notes: Mapping[str, int]

    def accuracy(self, targets: npt.ArrayLike) -> ClassificationResult:
        """Returns the accuracy of the closest class; raises as `accuracy_from_scores` does.

        Args:
            targets: int[n], the right class of every text, from 0.
        """
        found = accuracy_from_scores(targets, self.scores)
        return replace(found, signature=self._signature(found.signature), notes={**found.notes, **self.notes})

    def average_precision(self, targets: npt.ArrayLike) -> TaggingResult:
        """Returns mAP of the classes' scores; raises as `average_precision` does.

        Args:
            targets: bool or 0/1 [n, n_classes], which labels every text should tell of.
        """
        found = average_precision(targets, self.scores)
        return replace(found, signature=self._signature(found.signature), notes={**found.notes, **self.notes})

    def _signature(self, made: Signature) -> Signature:
        return Signature({**made.values, **self.recipe})

    @cached_property
    def closest(self) -> npt.NDArray[np.int64]:
        """int64[n]: the first class with the highest score."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)


def text_labels(
    texts: Sequence[str],
    classes: Sequence[str],
    encoder: Encoder,
    *,
    template: str = TEMPLATE,
    batch_tokens: int | None = None,
    model: str = "unknown",
) -> TextLabels:
    """Returns how close every text is to every class.

    With E the unit embedding of a text and t the template in which the class's name stands:

        score(i, c) = E(text_i) . E(t(c))

    A text without words is as far from all classes as from nothing: its scores are equal, so it is wrong, and counted.

    Args:
        texts: one per item; may be empty.
        classes: the names, two or more, all different.
        encoder: a loaded sentence encoder.
        template: the prompt, with `{}` where the class's name goes; `{}` alone is the bare name.
        batch_tokens: bound of tokens per forward; None for what suits the device.
        model: what generated the texts, with its version; kept in the signature.

    Raises:
        InputError: there are no texts, fewer than two classes, names that are no text or stand twice, or a template without `{}`.

    Source: the rule of LTU (Gong et al. 2024, arXiv:2305.10790), which takes an encoder of OpenAI; which encoder and which prompt
    a number comes from decides it, so both stand in the signature. The prompt is ours.
    """
    if not texts:
        raise InputError("there is no text; expected one per item.")
    wrong = [one for one in [*texts, *classes] if not isinstance(one, str)]
    if wrong:
        raise InputError(f"a text or a class is {shorten(wrong[0])}; expected text.")
    problems = [
        Problem("E_DUP_ID", f"class {shorten(name)} came before") for place, name in enumerate(classes) if name in classes[:place]
    ]
    if problems or len(classes) < 2 or not all(name.strip() for name in classes):
        raise InputError(f"{len(classes):,} classes were given; expected two or more names, all different, none empty.", problems)
    if template.count(SLOT) != 1:
        raise InputError(f"the template is {shorten(template)}; expected one {SLOT} where the class's name goes.")
    said = encoder.tokenize(texts)
    prompts = encoder.tokenize([template.replace(SLOT, name) for name in classes])
    left = encoder.embed(said, batch_tokens)[said.sequence].astype(np.float64)
    right = encoder.embed(prompts, batch_tokens)[prompts.sequence].astype(np.float64)
    scores = left @ right.T
    is_empty = np.array([not text.strip() for text in texts])
    scores[is_empty] = 0.0
    recipe = {
        "from": "text",
        "text_version": str(VERSION),
        "rule": "cosine",
        "template": template,
        "encoder": encoder.identity,
        "class_names": hashlib.sha256("\n".join(classes).encode()).hexdigest()[:12],
        "model": model,
    }
    n_empty = int(is_empty.sum())
    return TextLabels(np.asarray(scores, np.float64), recipe, {"empty_texts": n_empty} if n_empty else {})
