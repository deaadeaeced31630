"""SPIDEr-FL: SPIDEr, with a penalty for captions that are broken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..models.checker import PENALTY, checked_tokens, error_probabilities, fluency_errors, fluency_factors
from ..pairs import CaptionPairs
from ..workspace import Workspace
from .fer import checker_parameters
from .spice import NEEDS
from .spider import spider_parameters, spider_values


class SpiderFl(Metric):
    r"""SPIDEr-FL_i = SPIDEr_i · (1 - 0.9 · FER_i); the corpus value is the mean over items.

    SPIDEr is that of the metric `spider`, FER_i is 1 where an error checker finds a fluency error with a probability above 0.9.
    The corpus value is not the corpus value of SPIDEr times something. SPIDEr reads the words of the n-gram metrics, the checker
    the text as it is; the peer aac-metrics gives words to both when it computes several metrics at once.

    Source: DCASE Challenge 2023, task 6a; checker of Zhou et al. 2022 (ICASSP), section 3.2.
    """

    name = "spider_fl"
    title = "SPIDEr-FL"
    value_range = (0.0, 5.5)
    uses = ("spice", "checker", "device", "batch_tokens")
    needs = ("checker",)
    requires = (*NEEDS, "fluency error checker")
    needs_extra = True
    needs_whole_corpus = True
    components = ("spider", "fer")
    cases = Cases(identical=(0.549, 5.5), disjoint=(0.0, 0.05), single=None)  # whether words are an error only the checker knows
    source = "DCASE Challenge 2023, task 6a; aac-metrics"
    definition = "SPIDEr; a candidate in which an error checker finds a fluency error keeps a tenth of it."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns those of SPIDEr, and checker with threshold and penalty."""
        return {**spider_parameters(work), **checker_parameters(work), "penalty": f"{PENALTY:g}"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: SPIDEr-FL, SPIDEr, and error or not."""
        values, errors = work.shared(spider_values), fluency_errors(work.shared(error_probabilities))
        return np.column_stack((values * fluency_factors(errors), values, errors))

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many candidates were penalised, and how many were longer than the checker reads."""
        return {
            "penalised_candidates": int(stats[:, 2].sum()),
            "truncated_for_the_checker": work.shared(checked_tokens).n_truncated,
        }
