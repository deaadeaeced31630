"""Retrieval, classification and distances in the form of `evaluate.load`: two lists in, one flat dictionary of values out.

The numbers are those of `retrieval`, `classification` and `distribution`; a `Task` says what a folder of `evaluate.load` and its
page need to know. Values of several measures stand side by side, each measure with its own signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, UnknownNameError, shorten
from . import classification as labels_module
from . import distribution, retrieval
from .matrices import as_matrix

T = TypeVar("T", int, float)
Values = dict[str, Any]
# what `evaluate` says nothing about: that is in every report, and how many there were
_LEFT_OUT = ("task", "metric", "n", "pool", "digest", "per_class", "notes")

# by the name that papers use: the measure, and what may be chosen for it beside the model
_FRECHET = (lambda made, real, **chosen: distribution.frechet_distance(real, made, **chosen), ())
_DISTANCES: Mapping[str, tuple[Callable[..., distribution.DistributionResult], tuple[str, ...]]] = {
    "fad": _FRECHET,
    "fd": _FRECHET,
    "kl": (lambda made, real, **chosen: distribution.kl_divergence(real, made, **chosen), ("epsilon",)),
    "is": (lambda made, _, **chosen: distribution.inception_score(made, **chosen), ("splits", "seed")),
}


def retrieve(predictions: npt.ArrayLike, references: Sequence[int], *, model: str = "unknown") -> Values:
    """Returns recall, ranks and average precision of both directions.

    Args:
        predictions: float[n_captions, n_clips], scores, higher is more alike.
        references: per caption the index of its clip.
        model: what made the scores, with its version; kept in the signatures.

    Raises:
        InputError: as `retrieval.retrieve_from_scores`.

    >>> retrieve([[0.9, 0.1], [0.5, 0.4]], [0, 1])["text_to_audio_median_rank"]
    1.0
    """
    found = retrieval.retrieve_from_scores(predictions, references, model=model)
    return {f"{one.task}_{name}": value for one in found for name, value in _values(one.to_json()).items()}


def classify(predictions: npt.ArrayLike, references: Sequence[int | Sequence[int]], *, model: str = "unknown") -> Values:
    """Returns mean average precision and, where every clip has one label, accuracy and balanced accuracy.

    Args:
        predictions: float[n, n_classes], scores, higher is more likely.
        references: per clip the index of its class, or the indices of its classes.
        model: what made the scores, with its version; kept in the signatures.

    Raises:
        InputError: lengths differ, an index is no class, or as `classification.average_precision`.

    >>> classify([[0.9, 0.1], [0.2, 0.8]], [0, 1])["accuracy"], "accuracy" in classify([[0.9, 0.1]], [[0, 1]])
    (1.0, False)
    """
    scores = as_matrix(predictions, "predictions")
    given = [list(one) if isinstance(one, Iterable) else [one] for one in references]
    if len(given) != len(scores):
        raise InputError(f"{len(scores):,} predictions and {len(given):,} references were given; expected one of each per clip.")
    n_classes = scores.shape[1]
    problems = [
        Problem("E_VALUE", f"references[{place}] holds {shorten(one)}; expected a class from 0 to {n_classes - 1}")
        for place, labels in enumerate(given)
        for one in labels
        if not isinstance(one, int | np.integer) or isinstance(one, bool) or not 0 <= one < n_classes
    ]
    if problems:
        raise InputError("references hold what is no class.", problems)
    targets = np.zeros(scores.shape, bool)
    for row, labels in enumerate(given):
        targets[row, labels] = True
    tagging = _values(labels_module.average_precision(targets, scores, model=model).to_json())
    values = {"map": tagging["map"], "map_signature": tagging["signature"]}
    if (targets.sum(axis=1) == 1).all():
        found = _values(labels_module.accuracy_from_scores(targets.argmax(axis=1), scores, model=model).to_json())
        values |= {"accuracy_signature": found.pop("signature"), **found}
    return values


def distance(
    predictions: Sequence[Any], references: Sequence[Any] | None = None, *, kind: str, model: str = "unknown", **parameters: Any
) -> Values:
    """Returns a distance between two sets of sounds, or a measure of one.

    Args:
        predictions: float[n, d], of the generated sounds: embeddings for `fad` and `fd`, posteriors for `kl` and `is`; entries
            that are None are left out (see `evened`).
        references: float[m, d], of the real sounds; `is` does not read them.
        kind: `fad`, `fd`, `kl` or `is`.
        model: what made the embeddings or posteriors, with its version; kept in the signature.
        parameters: `epsilon` of `kl`, `splits` and `seed` of `is`.

    Raises:
        UnknownNameError: no kind is called so, or it has no such parameter.
        InputError: as the functions of `distribution`.

    >>> distance([[3.0], [4.0], [5.0]], [[0.0], [1.0], [2.0]], kind="fad")["fad"]
    9.0
    """
    if kind not in _DISTANCES:
        raise UnknownNameError("kind of distance", kind, _DISTANCES)
    measure, known = _DISTANCES[kind]
    for name in parameters:
        if name not in known:
            raise UnknownNameError(f"parameter of {kind}", name, known)
    made, real = ([row for row in rows if row is not None] for rows in (predictions, references or ()))
    found = _values(measure(made, real, model=model, **parameters).to_json())
    return {kind: found.pop("score"), **found}


def evened(predictions: Iterable[Any], references: Iterable[Any] | None = None) -> tuple[list[Any], list[Any]]:
    """Returns both sets with None at the end of the smaller one: a table's columns have one length.

    Args:
        predictions: rows of numbers.
        references: rows of numbers; None for an empty set.

    Raises:
        InputError: a row is None.

    >>> evened([[1.0], [2.0]], [[3.0]])
    ([[1.0], [2.0]], [[3.0], None])
    """
    sets = [list(predictions), [] if references is None else list(references)]
    if any(row is None for rows in sets for row in rows):
        raise InputError("a row is None; expected rows of numbers.")
    longest = max(len(rows) for rows in sets)
    made, real = (rows + [None] * (longest - len(rows)) for rows in sets)
    return made, real


def _values(entry: Mapping[str, object]) -> Values:
    return {name: value for name, value in entry.items() if name not in _LEFT_OUT}


# -- what people type on a page --------------------------------------------------------------------------------------------------


def read_rows(text: str) -> list[list[float]]:
    r"""Returns the numbers of every line, which spaces or commas part.

    Raises:
        InputError: something is no number; the message says in which line.

    >>> read_rows("0.9 0.1\n0.2, 0.8")
    [[0.9, 0.1], [0.2, 0.8]]
    """
    return _read(text, float, "a number")


def read_labels(text: str) -> list[list[int]]:
    """Returns the whole numbers of every line, which spaces or commas part; raises as `read_rows` does."""
    return _read(text, int, "a whole number")


def read_indices(text: str) -> list[int]:
    """Returns the whole number of every line.

    Raises:
        InputError: a line holds something else, or several.
    """
    lines = read_labels(text)
    for place, line in enumerate(lines, 1):
        if len(line) != 1:
            raise InputError(f"line {place} holds {len(line)} numbers; expected one.")
    return [line[0] for line in lines]


def _read(text: str, number: Callable[[str], T], expected: str) -> list[list[T]]:
    rows = []
    for place, line in enumerate(text.splitlines(), 1):
        row = []
        for word in line.replace(",", " ").split():
            try:
                row.append(number(word))
            except ValueError as problem:
                raise InputError(f"line {place} holds {shorten(word)}; expected {expected}.") from problem
        rows.append(row)
    return rows


# -- what folders are written from -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of the input.

    Attributes:
        meaning: one entry per item: of what.
        features: what an entry may be, in the words of the package `datasets`; the first that fits is taken.
        read: makes the column of what people type.
        example: entries.
    """

    meaning: str
    features: tuple[str, ...]
    read: Callable[[str], Sequence[Any]]
    example: Sequence[Any]


@dataclass(frozen=True)
class Task:
    """What `evaluate.load` reads beside the metrics of captions.

    Attributes:
        name: of the folder.
        title: for people.
        version: raised whenever a value moves.
        definition: one or two sentences for people who choose.
        source: paper, section or table.
        compute: predictions and references in, values out.
        predictions: the first column.
        references: the second column.
        values: what comes back.
        options: what may be chosen beside the columns, and its meaning.
        choices: of options that must be chosen, the values that they may have.
        is_uneven: whether one column may be shorter than the other.
    """

    name: str
    title: str
    version: int
    definition: str
    source: str
    compute: Callable[..., Values]
    predictions: Column
    references: Column
    values: str
    options: Mapping[str, str]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_uneven: bool = False


_NUMBERS, _INDEX = 'datasets.Sequence(datasets.Value("float64"))', 'datasets.Value("int64")'
_MODEL = "name and version of what made the numbers; kept in the signature."

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="classification",
            title="Classification and tagging",
            version=labels_module.VERSION,
            definition="Accuracy of the class with the highest score, and mean average precision of the scores of all classes. "
            "Clips may have several labels; accuracy is there where each has one.",
            source="WavCaps, Table VII; FusionAudio, Table 5; as scikit-learn",
            compute=classify,
            predictions=Column(
                "scores of the classes", (_NUMBERS,), read_rows, [[0.9, 0.1, 0.2], [0.1, 0.8, 0.3], [0.3, 0.2, 0.4]]
            ),
            references=Column(
                "the index of the right class, or the list of several",
                (_INDEX, f"datasets.Sequence({_INDEX})"),
                read_labels,
                [0, 1, 2],
            ),
            values="`map` and, where every clip has one label, `accuracy` and `balanced_accuracy`, from 0 to 1, higher is better",
            options={"model": _MODEL},
        ),
        Task(
            name="distance",
            title="Distances of generated sound",
            version=distribution.VERSION,
            definition="How far generated sounds are from real ones: Fréchet distances of embeddings (FAD, FD) and the "
            "Kullback-Leibler divergence of posteriors; or how good they look by themselves: the Inception score.",
            source="WavCaps, Table VIII; Kilgour et al. 2019; Salimans et al. 2016",
            compute=distance,
            predictions=Column(
                "embeddings (fad, fd) or posteriors (kl, is) of the generated sounds", (_NUMBERS,), read_rows,
                [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]],
            ),
            references=Column(
                "those of the real sounds, for kl in the same order, for is none", (_NUMBERS,),
                read_rows, [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]],
            ),
            values="a value by the name of its kind and what it is made of; lower is better, but for `is`",
            options={
                "kind": "fad, fd, kl or is; must be given.",
                "model": _MODEL,
                "epsilon": "kl only: what is added to the generated sounds' posteriors; default 1e-6.",
                "splits": "is only: number of parts; default 10.",
                "seed": "is only: of the shuffle before the cut; default 2020, None for no shuffle.",
            },
            choices={"kind": tuple(_DISTANCES)},
            is_uneven=True,
        ),
        Task(
            name="retrieval",
            title="Retrieval of sounds and captions",
            version=retrieval.VERSION,
            definition="Recall at 1, 5 and 10, median and mean rank and mAP at 10, from captions to clips and from clips to "
            "captions. Of equal scores the wrong answers come first.",
            source="WavCaps, Table V",
            compute=retrieve,
            predictions=Column(
                "scores of one caption for all clips", (_NUMBERS,), read_rows, [[0.9, 0.1], [0.4, 0.6], [0.2, 0.7]]
            ),
            references=Column("the index of the caption's clip", (_INDEX,), read_indices, [0, 0, 1]),
            values="`text_to_audio_` and `audio_to_text_` followed by `r_1`, `r_5`, `r_10`, `map_10` (0 to 1, higher is better), "
            "`median_rank` and `mean_rank` (1 or more, lower is better)",
            options={"model": _MODEL},
        ),
    )
}  # fmt: skip
