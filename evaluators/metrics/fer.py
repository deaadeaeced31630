"""FER, the fluency error rate: the share of candidates that an error checker calls broken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..models.checker import MAX_TOKENS, THRESHOLD, checked_tokens, error_probabilities, fluency_errors, loaded_checker
from ..pairs import CaptionPairs
from ..workspace import Workspace


class Fer(Metric):
    r"""FER_i = 1 if p_i > 0.9, else 0; the corpus value is the mean.

    p_i is the probability that an error checker gives to "this caption has a fluency error"; its mean is the component.
    References are not looked at. Text is taken as it is, not in the words of the n-gram metrics, and cleaned by the checker's
    own rule (`evaluators.models.checker`). An empty candidate is checked like any other text.

    Source: Zhou et al. 2022 (ICASSP), section 3.2. Its threshold is that of the published code. The peer aac-metrics gives words
    of the n-gram metrics to the checker when it computes several metrics at once, and text as it is when FER is asked alone.
    """

    name = "fer"
    title = "FER"
    direction = "lower"
    uses = ("checker", "device", "batch_tokens")
    needs = ("checker",)
    requires = ("fluency error checker",)
    needs_extra = True
    components = ("probability",)
    cases = Cases(identical=(0.0, 1.0), disjoint=(0.0, 1.0), single=(0.0, 1.0))  # only the checker knows
    source = "Zhou et al. 2022 (ICASSP), section 3.2"
    definition = "Share of the candidates in which an error checker finds a fluency error, whatever the references say."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns checker, threshold, and what text the checker reads."""
        return checker_parameters(work)

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 2]: error or not, and its probability."""
        probabilities = work.shared(error_probabilities)
        return np.stack((fluency_errors(probabilities), probabilities), axis=1)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many candidates were longer than the checker reads."""
        return {"truncated_texts": work.shared(checked_tokens).n_truncated}


def checker_parameters(work: Workspace) -> Mapping[str, str]:
    """Returns what a signature says of the checker, its threshold and its text."""
    return {
        "checker": work.shared(loaded_checker).identity,
        "threshold": f"{THRESHOLD:g}",
        "checker_tokens": str(MAX_TOKENS),
        "text": "raw",
    }
