"""SBERT-sim: how close the sentence embeddings of candidate and references are."""

from __future__ import annotations

from collections.abc import Mapping

from ..metric import Cases, Floats, Metric
from ..models.encoders import ReferenceVectors, candidate_tokens, loaded_encoder, paired_cosines, reference_vectors
from ..pairs import CaptionPairs
from ..workspace import Workspace


class SbertSim(Metric):
    r"""SBERT-sim_i = 1/K · Σ_k cos(E(c), E(r_k)); the corpus value is the mean.

    E is a sentence encoder; it reads the text as it is, not tokenised for n-grams. An empty candidate is embedded like any
    other text. This is FENSE without its error checker.

    Source: Zhou et al. 2022 (ICASSP), section 3.1. Published values use paraphrase-TinyBERT-L6-v2: values of different
    encoders are never comparable, and the signature says which one was used.
    """

    name = "sbert_sim"
    title = "SBERT-sim"
    value_range = (-1.0, 1.0)
    uses = ("encoder", "precision", "device", "batch_tokens")
    requires = ("sentence encoder",)
    cases = Cases(identical=(1 - 1e-6, 1.0), disjoint=(-1.0, 0.5), single=(1 - 1e-6, 1.0))
    source = "Zhou et al. 2022 (ICASSP), section 3.1"
    definition = "Cosine of the sentence embeddings of candidate and reference, averaged over the references."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns encoder, number type and what text the encoder reads."""
        return {"encoder": work.shared(loaded_encoder).identity, "dtype": work.options.precision, "text": "raw"}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values."""
        return work.shared(similarities)[:, None]

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many texts were longer than the encoder reads."""
        return {"truncated_texts": n_truncated(work)}


def similarities(work: Workspace) -> Floats:
    """Returns float64[n]: the mean cosine of each candidate with its references (shared work)."""
    encoder, tokens = work.shared(loaded_encoder), work.shared(candidate_tokens)
    candidates = encoder.embed(tokens, work.options.batch_tokens)[tokens.sequence]
    return paired_cosines(candidates, work.shared(plain_references).means)


def plain_references(work: Workspace) -> ReferenceVectors:
    """Returns the mean embedding of each item's references (shared work)."""
    encoder = work.shared(loaded_encoder)
    return reference_vectors(work, "plain 1", lambda tokens: encoder.embed(tokens, work.options.batch_tokens))


def n_truncated(work: Workspace) -> int:
    """Returns how many texts of both sides were longer than the encoder reads."""
    return work.shared(candidate_tokens).n_truncated + work.shared(plain_references).n_truncated
