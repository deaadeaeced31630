"""How often a metric prefers the caption that people prefer: the pairs of FENSE, AudioCaps-Eval and Clotho-Eval.

People saw two captions of one clip and voted for the better one. Four kinds of pairs: HC, two human captions that are both right;
HI, a human caption and one of another clip; HM, a human and a machine caption; MM, two machine captions. The texts of the
human candidates are among the clip's references and are taken out of them, so that no caption is compared with itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..metric import METRICS, Floats, MetricResult, Signature
from ..pairs import CaptionPairs
from ..score import score
from ..workspace import Options

VERSION = 1
FACETS = ("HC", "HI", "HM", "MM")
REFERENCES = 4
TIE = 1e-6  # relative: encoders differ in the last digits where batches differ
RESULTS_FILE = Path(__file__).with_name("meta_results.json")
_MACHINE = tuple(f"MM_{i}" for i in range(1, 6))

References = tuple[str, ...]


@dataclass(frozen=True)
class Preference:
    """Two captions of one clip, and which of them people prefer.

    Attributes:
        facet: HC, HI, HM or MM.
        candidates: the two captions.
        references: for each of them the sets of references that it is scored against; its score is the mean over them.
        votes: sum of the votes, each 1 for the first caption, -1 for the second or 0; at 0 there is no majority.
    """

    facet: str
    candidates: tuple[str, str]
    references: tuple[tuple[References, ...], tuple[References, ...]]
    votes: int


@dataclass(frozen=True)
class MetaResult:
    """How often one metric agrees with people.

    Attributes:
        metric: the metric's name.
        accuracy: share of pairs on which the metric prefers what most votes prefer, by facet and as `total`.
        pairs: how many pairs have a majority, by facet and as `total`.
        ties: how many of these the metric scores alike; they count as wrong.
        signature: the metric's recipe, the data and the protocol.
        seconds: wall-clock time of the scoring.
    """

    metric: str
    accuracy: Mapping[str, float]
    pairs: Mapping[str, int]
    ties: int
    signature: Signature
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the report entry: plain values only, full precision."""
        return {
            "metric": self.metric,
            "accuracy": dict(self.accuracy),
            "pairs": dict(self.pairs),
            "ties": self.ties,
            "signature": self.signature.text,
            "digest": self.signature.digest,
        }


def read_preferences(path: Path) -> tuple[list[Preference], str]:
    """Returns the pairs of a file in FENSE's layout, and 12 hex characters of the hash of what it says.

    The layout is a list of clips, each with `references` and any of HC, HI, HM and MM_1 to MM_5: null, or a list of two
    captions, their two origins and, last, the votes.

    References of HC are the clip's without the candidate's own text, of HI and HM without that of the human caption, which comes
    first, on both sides; fewer than four are filled up by repeating them. A candidate of MM is scored against every choice of
    all but one reference, so that all kinds of pairs have as many.

    Raises:
        InputError: the file cannot be read or has another layout; all problems are listed.

    Source: Zhou et al. 2022 (FENSE), arXiv:2110.04684, section 4; the data loader in the repository's branch `experiment-code`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected a JSON file such as FENSE's audiocaps_eval.json.") from error
    if not isinstance(content, list) or not content:
        raise InputError(f"{path} holds {shorten(content)}; expected a list of clips, as in FENSE's audiocaps_eval.json.")
    problems: list[Problem] = []
    found: list[Preference] = []
    for number, clip in enumerate(content):
        try:
            found.extend(_preferences(clip))
        except ValueError as error:
            problems.append(Problem("E_TYPE", f"clip {number}: {error}"))
    if problems:
        raise InputError(f"{path} has clips in another layout than FENSE's audiocaps_eval.json.", problems)
    if not any(one.votes for one in found):
        raise InputError(f"{path} holds no pair on which people agree; expected pairs with votes under {', '.join(FACETS)}.")
    return found, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _preferences(clip: object) -> Iterator[Preference]:
    if not isinstance(clip, dict):
        raise ValueError(f"found {shorten(clip)}; expected an object")
    references: Any = clip.get("references")
    if not _are_texts(references) or len(set(references)) < 2:
        raise ValueError(f"references are {shorten(references)}; expected a list of two or more different texts")
    for facet in (*FACETS[:3], *_MACHINE):
        entry = clip.get(facet)
        if entry is None:
            continue
        if not isinstance(entry, list) or len(entry) < 3 or not _are_texts(entry[:2]) or not _are_votes(entry[-1]):
            raise ValueError(f"{facet} is {shorten(entry)}; expected two captions, their origins and a list of votes, 1, 0 or -1")
        first, second = entry[:2]
        if facet in _MACHINE:
            sides = tuple(tuple(one for j, one in enumerate(references) if j != i) for i in range(len(references)))
            yield Preference("MM", (first, second), (sides, sides), sum(entry[-1]))
            continue
        own = (first, second if facet == "HC" else first)
        kept = tuple((_filled([one for one in references if one != text]),) for text in own)
        yield Preference(facet, (first, second), (kept[0], kept[1]), sum(entry[-1]))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one.strip() for one in value)


def _are_votes(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, int) and one in {-1, 0, 1} for one in value)


def _filled(references: list[str]) -> References:
    return tuple(references[i % len(references)] for i in range(max(REFERENCES, len(references))))


def agreement_with_people(
    preferences: Sequence[Preference], data: str, metrics: Sequence[str], options: Options | None = None
) -> list[MetaResult]:
    """Returns per metric how often it prefers the caption that people prefer.

    With s(c) the mean of a candidate's scores over its sets of references, and votes v of a pair, over pairs with sum v other
    than 0:

        accuracy = |{pairs: (s(c_0) - s(c_1)) sum v > 0}| / |pairs|

    with the sign turned round for metrics of which lower is better. Captions that a metric scores alike, up to 1e-6 of the score,
    are wrong.

    What a metric takes from the whole set (document frequencies of CIDEr-D, weights and ranks of DATE) comes from the items of
    one side, first or second captions, of the pairs with human captions (HC, HI, HM) or of MM; pairs without a majority are
    among them. That is how FENSE's figures were made; `corpus:side_and_kind` in the signature says so.

    Args:
        preferences: what `read_preferences` returned.
        data: the hash that came with them, for the signature.
        metrics: names of metrics that have a value per item.
        options: models and what else may be chosen.

    Raises:
        What `score` raises.

    Source: Zhou et al. 2022 (FENSE), arXiv:2110.04684, section 4; `experiment/main.py` in the branch `experiment-code`.
    """
    votes = np.array([one.votes for one in preferences])
    facets = np.array([one.facet for one in preferences])
    is_machine = facets == "MM"
    found: dict[str, list[MetricResult]] = {name: [] for name in metrics}
    gaps = {name: np.zeros(len(preferences)) for name in metrics}
    sizes = {name: np.zeros(len(preferences)) for name in metrics}
    for places in (np.flatnonzero(~is_machine), np.flatnonzero(is_machine)):
        for side, sign in ((0, 1.0), (1, -1.0)) if len(places) else ():
            for result, means in _scored([preferences[place] for place in places.tolist()], side, metrics, options):
                found[result.metric].append(result)
                gaps[result.metric][places] += sign * means
                sizes[result.metric][places] = np.maximum(sizes[result.metric][places], np.abs(means))
    return [_result(found[name], gaps[name], sizes[name], votes, facets, data) for name in found]


def _scored(
    preferences: Sequence[Preference], side: int, metrics: Sequence[str], options: Options | None
) -> Iterator[tuple[MetricResult, Floats]]:
    """Yields every metric's result over the captions of one side, and float64[pairs]: the mean over each one's references."""
    sets = [one.references[side] for one in preferences]
    counts = np.array([len(one) for one in sets])
    candidates = chain.from_iterable([one.candidates[side]] * len(one.references[side]) for one in preferences)
    for result in score(CaptionPairs.in_order([*candidates], [*chain.from_iterable(sets)]), metrics, options):
        yield result, np.add.reduceat(result.per_item, np.cumsum(counts) - counts) / counts


def _result(parts: Sequence[MetricResult], gap: Floats, size: Floats, votes: Any, facets: Any, data: str) -> MetaResult:
    metric = METRICS.get(parts[0].metric)
    gap = np.where(np.abs(gap) <= TIE * size, 0.0, gap)
    is_right = (-gap if metric.direction == "lower" else gap) * votes > 0
    counted = votes != 0
    chosen = {facet: (facets == facet) & counted for facet in FACETS if ((facets == facet) & counted).any()}
    chosen["total"] = counted
    # what differs from set to set, such as their sizes, is listed
    recipe = {key: ",".join(dict.fromkeys(part.signature.values[key] for part in parts)) for key in parts[0].signature.values}
    own = {"task": "meta", "protocol": f"fense.{VERSION}", "data": data, "corpus": "side_and_kind", "ties": f"wrong.{TIE:g}"}
    return MetaResult(
        metric=metric.name,
        accuracy={facet: float(is_right[places].mean()) for facet, places in chosen.items()},
        pairs={facet: int(places.sum()) for facet, places in chosen.items()},
        ties=int(((gap == 0) & counted).sum()),
        signature=Signature({**recipe, **own}),
        seconds=sum(part.seconds for part in parts),
    )


def with_results(known: Mapping[str, Any], name: str, results: Sequence[MetaResult]) -> dict[str, Any]:
    """Returns the figures of a results file with those of one data set put in; those of other metrics stay, names are sorted.

    Args:
        known: what the file holds: results by metric by name of the data set.
        name: the data set, such as `audiocaps_eval`.
        results: what to put in.
    """
    entries = {**known.get(name, {}), **{one.metric: one.to_json() for one in results}}
    return {key: dict(sorted(value.items())) for key, value in sorted({**known, name: entries}.items())}


def saved_results(path: Path = RESULTS_FILE) -> dict[str, Any]:
    """Returns results by metric by data set, as `uac meta --save` wrote them; nothing where there is no such file.

    Raises:
        InputError: the file is no such file.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        accuracies = [entry["accuracy"]["total"] for entry in chain.from_iterable(by.values() for by in found.values())]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no file of results ({error}); expected what `uac meta --save` writes.") from error
    return found if all(isinstance(one, float) for one in accuracies) else {}
