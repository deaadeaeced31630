"""DATE: similarity of weighted sentence embeddings, and how well it tells an item from the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import UnknownNameError
from ..metric import Cases, Floats, Metric
from ..models.batches import TokenizedTexts
from ..models.checker import checked_tokens, error_probabilities, fluency_errors, fluency_factors, loaded_checker
from ..models.encoders import Embeddings, Encoder, ReferenceVectors, candidate_tokens, loaded_encoder, reference_vectors
from ..pairs import CaptionPairs
from ..text.ngrams import Ints
from ..workspace import Workspace

# MECAT's code, table of deltas. Its further values for "mixed" music and sound are never used there, nor here.
DELTAS = {
    "long": 0.1703,
    "short": 0.1772,
    "speech": 0.2078,
    "music": 0.1566,
    "sound": 0.1988,
    "environment": 0.2150,
    "qa": 0.1703,
}
RANK_BLOCK = 1024  # candidates compared with all references at a time
WORD_BLOCK = 256  # vocabulary columns of the squared similarities at a time


class Date(Metric):
    r"""DATE_i = 2 · sim_i · dis_i / (sim_i + dis_i); the corpus value is the mean.

    sim_i = s_ii and s_ij = pen_i · 1/K_j · Σ_k E(c_i) · E(r_jk), where E is a sentence encoder whose words are weighted: the
    vector of each word is multiplied by tf · idf, divided by its mean in the sentence, before it enters the transformer.
    With G(w, u) the squared cosine of the word vectors, S sentences and t over the places of a sentence:

        tf(w, s) = Σ_t G(w, s_t)        idf(w) = ln((S + 1) / (Σ_s min(1, tf(w, s)) + 1)) + 1

    Candidates and references are two corpora, each with its own idf. The begin token gets max(1, largest weight), the end token
    min(1, smallest weight), other special tokens 1. dis_i = 1 - #{j : s_ij >= s_ii - δ/2} / N: the share of items that the
    candidate does not fit as well as its own (j = i counts, so N = 1 gives 0). δ depends on the subtask.

    What we state and the reference leaves open: sim_i <= 0 makes DATE_i 0 (the harmonic mean has no bound there); such items
    are counted in the notes. An empty candidate is the begin and the end token. Every item needs a
    candidate; references may differ in number.
    pen_i is 0.1 where an error checker finds a fluency error in the candidate (probability above 0.9), else 1; it multiplies the
    candidate's whole row s_ij. Without a checker it is 1 and the signature says `checker:none`. References are not checked. The
    checker reads 64 tokens; the package of MECAT reads 256 when it has several texts, which differs for longer ones only.

    Source: MECAT (arXiv:2507.23511), section 4, and its published code of August 2025, which computes in float32.
    """

    name = "date"
    title = "DATE"
    uses = ("encoder", "subtask", "checker", "precision", "device", "batch_tokens")
    requires = ("sentence encoder",)
    needs_whole_corpus = True
    components = ("similarity", "discrimination")
    cases = Cases(identical=(0.5, 1.0), disjoint=(0.0, 0.5), single=(0.0, 0.0))
    source = "MECAT, arXiv:2507.23511, section 4"
    definition = (
        "Harmonic mean of similarity (weighted sentence embeddings) and discrimination (the share of other items that the "
        "candidate fits less well than its own). Depends on the whole set."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns encoder, number type, subtask with its delta, size of the pool, and the checker or its absence."""
        subtask = work.options.subtask
        return {
            "encoder": work.shared(loaded_encoder).identity,
            "dtype": work.options.precision,
            "text": "raw",
            "subtask": subtask,
            "delta": f"{delta_of(subtask):g}",
            "n": str(len(pairs)),
            "checker": work.shared(loaded_checker).identity if work.options.checker else "none",
        }

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: date, similarity and discrimination of each item.

        Raises:
            UnknownNameError: no subtask is called so.
            InputError: the encoder is not built like BERT, or the checker is none.
        """
        delta = delta_of(work.options.subtask)
        candidates, references = work.shared(weighted_candidates), work.shared(weighted_references).means
        similarity, discrimination = similarity_and_discrimination(candidates, references, delta, work.shared(_penalty))
        return np.stack((harmonic_mean(similarity, discrimination), similarity, discrimination), axis=1)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns counts of similarities that are not positive, cut texts, references that say None, penalised candidates."""
        return {
            "similarities_not_positive": int((stats[:, 1] <= 0).sum()),
            "truncated_texts": work.shared(candidate_tokens).n_truncated + work.shared(weighted_references).n_truncated,
            # in MECAT's mixed sounds the word stands for "nothing to hear", and a constant "None" is rewarded for it
            "items_with_a_reference_none": sum(any(text.strip() == "None" for text in texts) for texts in pairs.references),
            **_notes_of_the_checker(work),
        }


def _penalty(work: Workspace) -> npt.NDArray[np.float32] | None:
    """Returns float32[n]: the factor of each candidate; None without a checker (shared work)."""
    if not work.options.checker:
        return None
    return fluency_factors(fluency_errors(work.shared(error_probabilities))).astype(np.float32)


def _notes_of_the_checker(work: Workspace) -> Mapping[str, int]:
    penalty = work.shared(_penalty)
    if penalty is None:
        return {}
    return {
        "penalised_candidates": int((penalty < 1).sum()),
        "truncated_for_the_checker": work.shared(checked_tokens).n_truncated,
    }


def delta_of(subtask: str) -> float:
    """Returns the width of the band in which an item counts as fitting equally well.

    Raises:
        UnknownNameError: no subtask is called so.
    """
    if subtask not in DELTAS:
        raise UnknownNameError("DATE subtask", subtask, DELTAS)
    return DELTAS[subtask]


def weighted_candidates(work: Workspace) -> Embeddings:
    """Returns float32[n, d]: the weighted embedding of each candidate (shared work)."""
    tokens = work.shared(candidate_tokens)
    return _weighted_embeddings(work, tokens)[tokens.sequence]


def weighted_references(work: Workspace) -> ReferenceVectors:
    """Returns the mean weighted embedding of each item's references (shared work)."""
    return reference_vectors(work, "date 1", lambda tokens: _weighted_embeddings(work, tokens))


def _weighted_embeddings(work: Workspace, texts: TokenizedTexts) -> Embeddings:
    """Returns float32[sequences, d]: the embeddings of one corpus, with the weights of that corpus."""
    encoder = work.shared(loaded_encoder)
    return encoder.embed(texts, work.options.batch_tokens, token_weights(encoder, texts))


def token_weights(encoder: Encoder, texts: TokenizedTexts) -> npt.NDArray[np.float32]:
    """Returns float32[total]: the factor of every token of one corpus, in the order of `texts.ids`."""
    weights = np.ones(len(texts.ids))
    is_word = ~np.isin(texts.ids, encoder.special_ids)
    if not is_word.any():
        return weights.astype(np.float32)
    sentence = np.repeat(np.arange(len(texts.lengths)), texts.lengths)[is_word]
    vocabulary, word = np.unique(texts.ids[is_word], return_inverse=True)
    vectors = encoder.word_vectors(vocabulary)
    term_frequency, document_frequency = frequencies(_unit_rows(vectors.cpu().numpy()), sentence, word, texts.n_texts_of)
    idf = np.log((len(texts.sequence) + 1) / (document_frequency + 1)) + 1
    raw = term_frequency * idf[word]
    counts = np.bincount(sentence, minlength=len(texts.lengths))
    mean = np.bincount(sentence, raw, minlength=len(texts.lengths)) / np.maximum(counts, 1)
    inner = np.divide(raw, mean[sentence], out=np.ones_like(raw), where=mean[sentence] > 0)
    weights[is_word] = inner
    first_word = np.cumsum(counts)[counts > 0] - counts[counts > 0]
    has_words = np.flatnonzero(counts)
    ends = texts.starts + texts.lengths - 1
    weights[texts.starts[has_words]] = np.maximum(1.0, np.maximum.reduceat(inner, first_word))
    weights[ends[has_words]] = np.minimum(1.0, np.minimum.reduceat(inner, first_word))
    return weights.astype(np.float32)


def _unit_rows(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(norms, 1e-12)
    return unit


def frequencies(vectors: npt.NDArray[np.float32], sentence: Ints, word: Ints, n_texts: Ints) -> tuple[Floats, Floats]:
    """Returns the soft term frequency of every word in its sentence and the soft document frequency of every vocabulary entry.

    Similarities depend on word ids only. With C the counts of words in sentences (sparse) and G the squared cosines of the
    vocabulary, one product P = C · G holds tf(w, s) at (s, w), for words that s does not hold as well; min(1, P), summed over
    sentences, is df. P is made for a block of vocabulary columns at a time, so that neither P nor G is ever whole.

    Args:
        vectors: float32[vocabulary, d], unit length.
        sentence: int64[places], ascending.
        word: int64[places], row of `vectors`.
        n_texts: int64[sentences], how many texts of the corpus are this sentence.

    Returns:
        float64[places] and float64[vocabulary].
    """
    from scipy.sparse import csr_array

    size = len(vectors)
    entries, place_entry, repeats = np.unique(sentence * size + word, return_inverse=True, return_counts=True)
    row, column = np.divmod(entries, size)
    counts = csr_array((repeats.astype(np.float32), (row, column)), shape=(len(n_texts), size))
    by_column = np.argsort(column, kind="stable")
    first_of_column = np.searchsorted(column[by_column], np.arange(size + 1))
    term_frequency = np.empty(len(entries), np.float32)
    document_frequency = np.empty(size)
    texts = n_texts.astype(np.float32)
    for start in range(0, size, WORD_BLOCK):
        stop = min(start + WORD_BLOCK, size)
        squared = vectors @ vectors[start:stop].T
        np.square(squared, out=squared)
        products = counts @ squared
        here = by_column[first_of_column[start] : first_of_column[stop]]
        term_frequency[here] = products[row[here], column[here] - start]
        document_frequency[start:stop] = texts @ np.minimum(products, 1.0, out=products)
    return term_frequency[place_entry].astype(np.float64), document_frequency


def similarity_and_discrimination(
    candidates: Embeddings, references: Embeddings, delta: float, penalty: npt.NDArray[np.float32] | None = None
) -> tuple[Floats, Floats]:
    """Returns float64[n] each: s_ii, and the share of items j with s_ij < s_ii - delta / 2.

    Args:
        candidates: float32[n, d], unit length.
        references: float32[n, d], mean of each item's unit vectors.
        delta: width of the band in which an item counts as fitting equally well.
        penalty: float32[n], factor of each candidate from an error checker; None for 1.
    """
    n = len(candidates)
    factor = np.ones(n, np.float32) if penalty is None else penalty
    own = np.einsum("nd,nd->n", candidates, references) * factor
    threshold = own - np.float32(delta / 2)
    as_good = np.empty(n)
    for start in range(0, n, RANK_BLOCK):
        block = slice(start, start + RANK_BLOCK)
        scores = candidates[block] @ references.T
        scores *= factor[block, None]
        as_good[block] = np.count_nonzero(scores >= threshold[block, None], axis=1)
    return own.astype(np.float64), 1.0 - as_good / n


def harmonic_mean(similarity: Floats, discrimination: Floats) -> Floats:
    """Returns float64[n]: 2ab / (a + b), and 0 where the similarity is not positive or both are 0."""
    total = similarity + discrimination
    is_defined = (similarity > 0) & (total > 0)
    return np.divide(2 * similarity * discrimination, total, out=np.zeros_like(total), where=is_defined)
