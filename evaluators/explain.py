"""What moved a caption's scores: matched word sequences and their weights, similarities, and the clips that it fits as well.

Every number comes from the code that scores; an explanation of one item within a set tells exactly what that item got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..dataset_scripts.errors import InputError, UnknownNameError
from .metrics.bleu import bleu_stats
from .metrics.date import delta_of, token_weights, weighted_candidates, weighted_references
from .models.encoders import candidate_tokens, loaded_encoder
from .pairs import CaptionPairs
from .score import chosen_metrics, result_and_stats
from .text.ngrams import MAX_ORDER, counted_ngrams, ptb_sentences, word_ids
from .workspace import Options, Workspace

METRICS_EXPLAINED = ("bleu", "rouge_l", "cider_d", "sbert_sim", "date")
N_NEIGHBOURS = 5


@dataclass(frozen=True)
class Match:
    """A word sequence that candidate and references share.

    Attributes:
        text: its words.
        order: how many words it has.
        count: how often it counts for BLEU: at most as often as in the reference that holds it most often.
        n_clips: how many clips of the set have it in a reference.
        weight: ln(N / n_clips), what one occurrence weighs in CIDEr-D; 0 for what every clip has.
    """

    text: str
    order: int
    count: int
    n_clips: int
    weight: float


@dataclass(frozen=True)
class Neighbour:
    """Another clip of the set, and how well the candidate fits it."""

    id: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """What moved the scores of one caption.

    Attributes:
        scores: metric -> what the item got, native range.
        components: name -> part of a score, such as `date_similarity`.
        candidate: tokenised words of the candidate, each with whether a reference has it.
        references: the same for every reference, each word with whether the candidate has it.
        matches: shared word sequences, the longest and heaviest first.
        orders: for one to four words: matched sequences and sequences of the candidate.
        length: words of the candidate.
        closest_length: words of the reference that is closest in length.
        weights: words of the candidate as DATE's encoder reads them, each with its weight; 1 is average.
        delta: width of the band in which another clip counts as fitting equally well.
        n_fitting: how many clips of the set, its own among them, the candidate fits as well as its own.
        n_clips: how many there are.
        neighbours: the other clips that it fits best.
    """

    scores: dict[str, float]
    components: dict[str, float]
    candidate: tuple[tuple[str, bool], ...]
    references: tuple[tuple[tuple[str, bool], ...], ...]
    matches: tuple[Match, ...]
    orders: tuple[tuple[int, int], ...]
    length: int
    closest_length: int
    weights: tuple[tuple[str, float], ...] = ()
    delta: float = 0.0
    n_fitting: int = 0
    n_clips: int = 0
    neighbours: tuple[Neighbour, ...] = field(default=())

    @property
    def brevity_penalty(self) -> float:
        """What BLEU is multiplied by because the candidate is short; 1 where it is not."""
        if not self.length:
            return 0.0
        return float(np.exp(min(0.0, 1.0 - self.closest_length / self.length)))


def explain(
    pairs: CaptionPairs, item_id: str, options: Options | None = None, metrics: Sequence[str] = METRICS_EXPLAINED
) -> Explanation:
    """Returns what moved the scores of one item within its set.

    Args:
        pairs: the set; idf, DATE's weights and its discrimination come from all of it.
        item_id: the item to explain.
        options: models and what else may be chosen.
        metrics: some of `METRICS_EXPLAINED`.

    Raises:
        UnknownNameError: the set has no such item, or no explanation knows such a metric.
        InputError: the set has one item only: CIDEr-D and DATE need others to compare with.
    """
    if item_id not in pairs.ids:
        raise UnknownNameError("item of this set", item_id, pairs.ids[:100])
    for name in metrics:
        if name not in METRICS_EXPLAINED:
            raise UnknownNameError("metric with an explanation", name, METRICS_EXPLAINED)
    if len(pairs) < 2:
        raise InputError("an explanation compares a clip with others; expected a set of at least two clips.")
    at, work = pairs.ids.index(item_id), Workspace(pairs, options or Options())
    scores, components = {}, {}
    for metric in chosen_metrics(list(metrics)):
        result, _ = result_and_stats(metric, pairs, work)
        scores[metric.name] = float(result.per_item[at])
        components.update({name: float(values[at]) for name, values in result.item_components.items()})
    words = _words(work, at)
    about_date = _date(work, at) if "date" in metrics else {}
    return Explanation(scores, components, **words, **about_date)  # type: ignore[arg-type]


def _words(work: Workspace, at: int) -> dict[str, object]:
    candidates, references = work.shared(ptb_sentences)
    ours, theirs = candidates[at].split(), [text.split() for text in references[at]]
    stats = bleu_stats(work.shared(word_ids), work.shared(counted_ngrams))[at]
    n_items = len(work.pairs)
    known = {word for words in theirs for word in words}
    in_clips = _clips_with(references, {gram for order in range(1, MAX_ORDER + 1) for gram in _ngrams(ours, order)})
    matches = []
    for order in range(1, MAX_ORDER + 1):
        counts, found = Counter(_ngrams(ours, order)), [Counter(_ngrams(words, order)) for words in theirs]
        for gram, n in counts.items():
            shared = min(n, max(one[gram] for one in found))
            if shared:
                clips = in_clips[gram]
                matches.append(Match(" ".join(gram), order, shared, clips, float(np.log(n_items / max(1, clips)))))
    matches.sort(key=lambda one: (-one.order, -one.weight, one.text))
    return {
        "candidate": tuple((word, word in known) for word in ours),
        "references": tuple(tuple((word, word in set(ours)) for word in words) for words in theirs),
        "matches": tuple(matches),
        "orders": tuple((int(stats[order]), int(stats[MAX_ORDER + order])) for order in range(MAX_ORDER)),
        "length": int(stats[-2]),
        "closest_length": int(stats[-1]),
        "n_clips": n_items,
    }


def _ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + order]) for start in range(len(words) - order + 1)]


def _clips_with(references: Sequence[Sequence[str]], wanted: set[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Returns per word sequence how many clips have it in a reference."""
    found: Counter[tuple[str, ...]] = Counter()
    for texts in references:
        of_clip = {gram for text in texts for order in range(1, MAX_ORDER + 1) for gram in _ngrams(text.split(), order)}
        found.update(of_clip & wanted)
    return found


def _date(work: Workspace, at: int) -> dict[str, object]:
    encoder, tokens = work.shared(loaded_encoder), work.shared(candidate_tokens)
    weights = token_weights(encoder, tokens)
    sequence = int(tokens.sequence[at])
    begin = int(tokens.starts[sequence])
    inside = slice(begin, begin + int(tokens.lengths[sequence]))
    ids = [int(id_) for id_ in tokens.ids[inside]]
    names = encoder.tokenizer.convert_ids_to_tokens(ids)
    special, read = set(encoder.special_ids), zip(names, ids, weights[inside], strict=True)
    fits = work.shared(weighted_candidates)[at] @ work.shared(weighted_references).means.T
    delta = delta_of(work.options.subtask)
    threshold = fits[at] - np.float32(delta / 2)
    others = [int(place) for place in np.argsort(-fits, kind="stable") if place != at][:N_NEIGHBOURS]
    return {
        "weights": tuple((str(one), float(weight)) for one, id_, weight in read if id_ not in special),
        "delta": delta,
        "n_fitting": int(np.count_nonzero(fits >= threshold)),
        "neighbours": tuple(Neighbour(work.pairs.ids[place], float(fits[place])) for place in others),
    }
