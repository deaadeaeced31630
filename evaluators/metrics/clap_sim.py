"""CLAP-sim: how close candidate and references are in the text space of a CLAP model."""

from __future__ import annotations

from collections.abc import Mapping

from ..metric import Cases, Floats, Metric
from ..models.clap_similarity import candidate_tokens, reference_tokens, text_recipe, text_similarities
from ..pairs import CaptionPairs
from ..workspace import Workspace


class ClapSim(Metric):
    r"""CLAP-sim_i = 1/K · Σ_k cos(T(c), T(r_k)); the corpus value is the mean.

    T is the text side of a CLAP model, which learned from sounds; it reads the text as it is. An empty candidate is embedded
    like any other text.

    Source: Dixit et al. 2024 (arXiv:2411.00321) for the metric, as in aac-metrics; Wu et al. 2023 (ICASSP, arXiv:2211.06687) for
    the models. Deliberate difference: they are those of transformers, the family of LAION's CLAP. Published values use MS-CLAP
    and are never comparable with these.
    """

    name = "clap_sim"
    title = "CLAP-sim (text)"
    value_range = (-1.0, 1.0)
    uses = ("clap", "device", "batch_tokens")
    needs = ("clap",)
    requires = ("CLAP model of transformers",)
    needs_extra = True
    cases = Cases(identical=(1 - 1e-6, 1.0), disjoint=(-1.0, 0.99), single=(1 - 1e-6, 1.0))
    source = "Dixit et al. 2024, arXiv:2411.00321, with models of LAION's CLAP (arXiv:2211.06687), not MS-CLAP"
    definition = (
        "Cosine of the CLAP embeddings of candidate and reference, averaged over the references; models of LAION's family, never "
        "comparable with published values of MS-CLAP."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns family, model and what it reads."""
        return text_recipe(work)

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values."""
        return work.shared(text_similarities)[:, None]

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many texts were longer than the model reads."""
        return {"truncated_texts": work.shared(candidate_tokens).n_truncated + work.shared(reference_tokens).n_truncated}
