"""FENSE: closeness of sentence embeddings, cut down where the candidate has a fluency error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..models.checker import PENALTY, checked_tokens, error_probabilities, fluency_errors, fluency_factors
from ..models.encoders import loaded_encoder
from ..pairs import CaptionPairs
from ..workspace import Workspace
from .fer import checker_parameters
from .sbert_sim import n_truncated, similarities


class Fense(Metric):
    r"""FENSE_i = SBERT-sim_i · (1 - 0.9 · FER_i); the corpus value is the mean.

    SBERT-sim and FER are the metrics of these names; their means are the components. The corpus value is not SBERT-sim times
    (1 - 0.9 · FER): a mean of products. Both read the text as it is. Where a similarity is negative, an error makes the value
    larger; that is the definition.

    Source: Zhou et al. 2022 (ICASSP), section 3. Published values use paraphrase-TinyBERT-L6-v2 and the checker
    echecker_clotho_audiocaps_base; the signature says what was used here. The authors' own code takes all classes of the checker
    for sets of up to 32 candidates, and the last one, error, for larger ones; here it is always the last one.
    """

    name = "fense"
    title = "FENSE"
    value_range = (-1.0, 1.0)
    uses = ("encoder", "checker", "precision", "device", "batch_tokens")
    needs = ("checker",)
    requires = ("sentence encoder", "fluency error checker")
    needs_extra = True
    components = ("similarity", "fer")
    cases = Cases(identical=(0.1 - 1e-6, 1.0), disjoint=(-1.0, 0.5), single=(0.1 - 1e-6, 1.0))
    source = "Zhou et al. 2022 (ICASSP), section 3"
    definition = (
        "Cosine of the sentence embeddings of candidate and reference, averaged over the references; a candidate in which an "
        "error checker finds a fluency error keeps a tenth of it."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns encoder, number type, checker with threshold and penalty, and what text both read."""
        return {
            "encoder": work.shared(loaded_encoder).identity,
            "dtype": work.options.precision,
            "penalty": f"{PENALTY:g}",
            **checker_parameters(work),
        }

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: FENSE, similarity, and error or not."""
        similarity, errors = work.shared(similarities), fluency_errors(work.shared(error_probabilities))
        return np.stack((similarity * fluency_factors(errors), similarity, errors), axis=1)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many candidates were penalised, and how many texts were longer than encoder and checker read."""
        return {
            "penalised_candidates": int(stats[:, 2].sum()),
            "truncated_texts": n_truncated(work),
            "truncated_for_the_checker": work.shared(checked_tokens).n_truncated,
        }
