"""How close captions are to their references and to the sounds themselves, by the embeddings of a CLAP model.

Any CLAP model of transformers, which is the family of LAION's. Published values of CLAP-sim and MACE come from MS-CLAP, another
model with another preprocessing: values of the two are never comparable, and signatures say `family:laion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from ...dataset_scripts.errors import InputError, Problem, SoundError, shorten
from ..metric import Floats
from ..text.ngrams import Ints
from ..workspace import Workspace
from .batches import TokenizedTexts, in_batches
from .clap import BATCH, Clap, load_clap
from .encoders import Embeddings, mean_per_item, paired_cosines, resolve_device
from .sounds import mono_samples


def loaded_clap(work: Workspace) -> Clap:
    """Returns the CLAP model that the options name (shared work)."""
    return load_clap(work.options.clap, resolve_device(work.options.device))


def candidate_tokens(work: Workspace) -> TokenizedTexts:
    """Returns the token ids of the candidates (shared work)."""
    return work.shared(loaded_clap).tokenize(work.pairs.candidates)


def reference_tokens(work: Workspace) -> TokenizedTexts:
    """Returns the token ids of the references, item by item (shared work)."""
    return work.shared(loaded_clap).tokenize([*chain.from_iterable(work.pairs.references)])


def candidate_vectors(work: Workspace) -> Embeddings:
    """Returns float32[items, d]: the embeddings of the candidates (shared work)."""
    tokens = work.shared(candidate_tokens)
    return work.shared(loaded_clap).text_vectors(tokens, work.options.batch_tokens)[tokens.sequence]


def text_similarities(work: Workspace) -> Floats:
    """Returns float64[items] in [-1, 1]: cosine of candidate and reference, averaged over the references (shared work)."""
    tokens = work.shared(reference_tokens)
    references = work.shared(loaded_clap).text_vectors(tokens, work.options.batch_tokens)[tokens.sequence]
    return paired_cosines(work.shared(candidate_vectors), mean_per_item(references, work.pairs.references))


def sound_similarities(work: Workspace) -> Floats:
    """Returns float64[items] in [-1, 1]: cosine of candidate and sound (shared work).

    Raises:
        InputError: items have no sound, or one that cannot be used; all of them are listed.
    """
    return paired_cosines(work.shared(candidate_vectors), _sound_vectors(work))


def text_recipe(work: Workspace) -> Mapping[str, str]:
    """Returns what signatures hold about model and texts."""
    return {"family": "laion", "text": "raw", **work.shared(loaded_clap).reads}


def sound_recipe(work: Workspace) -> Mapping[str, str]:
    """Returns what signatures hold about sounds."""
    return {"channels": "mean", "resampler": "soxr_hq", **work.shared(loaded_clap).hears}


def _sound_vectors(work: Workspace) -> Embeddings:
    clap, ids = work.shared(loaded_clap), work.pairs.ids
    paths = work.options.sounds or {}
    missing = [id_ for id_ in ids if id_ not in paths]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(ids):,} items have no sound; expected a file for every id.",
            [Problem("E_SOUND", f"there is no sound for id {shorten(id_)}", id=id_) for id_ in missing],
        )
    problems: dict[int, Problem] = {}

    def forward(batch: Ints) -> Embeddings:
        heard = []
        for place in batch.tolist():
            id_, path = ids[place], Path(paths[ids[place]])
            try:
                heard.append(clap.ear.features(mono_samples(path, clap.ear.rate_hz)))
            except (SoundError, OSError) as error:
                message = f"the sound {path} of id {shorten(id_)} cannot be used: {error}"
                problems[place] = Problem("E_SOUND", message, id=id_)
        if problems:  # the others are looked at, so that all that are bad are told at once
            return np.zeros((len(batch), clap.model.config.projection_dim), np.float32)
        return clap.sound_vectors(heard)

    # a sound costs the same however long it is: the model hears a window
    vectors: Embeddings = in_batches(np.ones(len(ids), np.int64), forward, clap.device, BATCH[clap.device], "listening", "clips")
    if problems:
        raise InputError(
            f"{len(problems):,} of {len(ids):,} sounds cannot be used.", [problem for _, problem in sorted(problems.items())]
        )
    return vectors
