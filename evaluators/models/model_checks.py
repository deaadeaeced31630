"""What is asked of every model that was loaded: a damaged one must not look like a bad caption.

Libraries fill holes silently: where a folder has no tokenizer, transformers makes one that knows no word, weights that a file
lacks are drawn at random, and weights that are no numbers become embeddings that are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError


def check_tokenizer(tokenizer: Any, folder: Path, n_words: int) -> None:
    """Checks that a tokenizer came from its folder and fits its model.

    Args:
        tokenizer: a tokenizer of transformers.
        folder: where it was loaded from.
        n_words: rows of the model's word table.

    Raises:
        InputError: the folder holds none of the tokenizer's files, or it has more words than the model.
    """
    files = sorted(set(tokenizer.vocab_files_names.values()))
    if not any((folder / name).is_file() for name in files):
        raise InputError(f"there is no tokenizer, none of {', '.join(files)}")
    if len(tokenizer) > n_words:
        raise InputError(f"the tokenizer has {len(tokenizer):,} words, the model {n_words:,}")


def check_weights(model: Any, report: Mapping[str, Any], what: str) -> None:
    """Checks that no weight was drawn at random because the file lacks it.

    Args:
        model: a model of transformers.
        report: what `from_pretrained` with `output_loading_info` said.
        what: the message's beginning: `x/y is no text encoder`.

    Raises:
        InputError: weights are missing; the message names some.
    """
    held = model.state_dict()
    missing = sorted(
        key
        for key in report["missing_keys"]
        # published encoders often have no pooler, and nobody asks it anything; whole numbers are places, not weights
        if not key.startswith("pooler.") and (key not in held or held[key].is_floating_point())
    )
    if missing:
        raise InputError(f"{what}: it has no weights {', '.join(missing[:3])}.")


def check_numbers(values: npt.NDArray[np.floating], model: str) -> None:
    """Checks that a model gave numbers.

    Args:
        values: any shape.
        model: kind and identity, for the message: `the encoder local@sha256:...`.

    Raises:
        InputError: one of the values is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"{model} gives values that are no numbers; its weights may be damaged, or too large for the number type asked for."
        )
