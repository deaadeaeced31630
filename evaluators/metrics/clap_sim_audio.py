"""CLAP-sim (audio): how well a candidate fits the sound itself."""

from __future__ import annotations

from collections.abc import Mapping

from ..metric import Cases, Floats, Metric
from ..models.clap_similarity import candidate_tokens, sound_recipe, sound_similarities, text_recipe
from ..pairs import CaptionPairs
from ..workspace import Workspace


class ClapSimAudio(Metric):
    r"""CLAP-sim_i = cos(T(c), S(a)); the corpus value is the mean. References are not looked at.

    T and S are the text and the sound side of a CLAP model. The candidate is read as it is; the sound a is the mean of its
    channels at the model's rate, and of one longer than the model's window the middle is heard (models with feature fusion hear
    the whole, shrunk, and three crops drawn by seed 0). A value depends on its clip alone.

    Source: Dixit et al. 2024 (arXiv:2411.00321) for the metric, as in aac-metrics; Wu et al. 2023 (ICASSP, arXiv:2211.06687) for
    the models. Deliberate differences: they are those of transformers, the family of LAION's CLAP. Published values use MS-CLAP
    with channels joined one behind the other and a random window, and are never comparable with these.
    """

    name = "clap_sim_audio"
    title = "CLAP-sim (audio)"
    value_range = (-1.0, 1.0)
    uses = ("clap", "sounds", "device", "batch_tokens")
    needs = ("clap", "sounds")
    requires = ("CLAP model of transformers", "sound files", "extra `audio`")
    needs_extra = True
    # what a sound has to do with a text no text can tell
    cases = Cases(identical=(-1.0, 1.0), disjoint=(-1.0, 1.0), single=(-1.0, 1.0))
    source = "Dixit et al. 2024, arXiv:2411.00321, with models of LAION's CLAP (arXiv:2211.06687), not MS-CLAP"
    definition = (
        "Cosine of the CLAP embeddings of candidate and sound, without references; models of LAION's family, never comparable "
        "with published values of MS-CLAP."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns family, model, and what it reads and hears; references play no part."""
        return {**text_recipe(work), **sound_recipe(work), "refs": "unused"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values."""
        return work.shared(sound_similarities)[:, None]

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many candidates were longer than the model reads."""
        return {"truncated_texts": work.shared(candidate_tokens).n_truncated}
