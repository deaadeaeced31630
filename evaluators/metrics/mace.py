"""MACE: closeness by a CLAP model, lowered where the candidate has a fluency error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..models.checker import checked_tokens, error_probabilities, fluency_errors, fluency_factors
from ..models.clap_similarity import (
    candidate_tokens,
    reference_tokens,
    sound_recipe,
    sound_similarities,
    text_recipe,
    text_similarities,
)
from ..pairs import CaptionPairs
from ..workspace import Workspace
from .fer import checker_parameters

PENALTY, THRESHOLD = 0.3, 0.97  # the authors' code


class Mace(Metric):
    r"""MACE_i = s_i · (1 - 0.3 · e_i), e_i = 1 where the probability of a fluency error is above 0.97, else 0.

    Without sounds s is CLAP-sim against the references; with sounds it is the mean of that and of CLAP-sim against the sound
    (text and combined in the authors' words; the signature's `method`). For sounds alone see CLAP-sim (audio). The corpus value
    is the mean of MACE_i; components are the means of s and e. The checker is that of FER, with another threshold.

    Source: Dixit et al. 2024 (arXiv:2411.00321); threshold and penalty of its code; the mean of both similarities as in
    aac-metrics, since the authors' own code fails there. Deliberate differences: the per-item column holds the items' values,
    where aac-metrics repeats the corpus value. Models are those of transformers, the family of LAION's CLAP: published values use
    MS-CLAP and are never comparable with these.
    """

    name = "mace"
    title = "MACE"
    value_range = (-1.0, 1.0)
    uses = ("clap", "checker", "sounds", "device", "batch_tokens")
    needs = ("clap", "checker")
    requires = ("CLAP model of transformers", "fluency error checker")
    needs_extra = True
    components = ("similarity", "fer")
    cases = Cases(identical=(-1e-6, 1.0), disjoint=(-1.0, 1.0), single=(-1e-6, 1.0))
    source = "Dixit et al. 2024, arXiv:2411.00321, with models of LAION's CLAP (arXiv:2211.06687), not MS-CLAP"
    definition = (
        "Cosine of the CLAP embeddings of candidate and references, and of the sound where sounds are given; a candidate in "
        "which an error checker finds a fluency error loses three tenths of it. Never comparable with values of MS-CLAP."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns method, penalty, threshold, checker, CLAP model and how both read and hear."""
        hears = sound_recipe(work) if work.options.sounds else {}
        method = "combined" if hears else "text"
        recipe = {**checker_parameters(work), **text_recipe(work), **hears}
        return {**recipe, "threshold": f"{THRESHOLD:g}", "penalty": f"{PENALTY:g}", "method": method}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: MACE, similarity, and error or not."""
        similarity = work.shared(text_similarities)
        if work.options.sounds:
            similarity = (similarity + work.shared(sound_similarities)) / 2
        errors = fluency_errors(work.shared(error_probabilities), THRESHOLD)
        return np.stack((similarity * fluency_factors(errors, PENALTY), similarity, errors), axis=1)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many candidates were penalised, and how many texts were longer than model and checker read."""
        return {
            "penalised_candidates": int(stats[:, 2].sum()),
            "truncated_texts": work.shared(candidate_tokens).n_truncated + work.shared(reference_tokens).n_truncated,
            "truncated_for_the_checker": work.shared(checked_tokens).n_truncated,
        }
