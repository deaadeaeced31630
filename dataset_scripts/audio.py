"""Sound of a row to samples, with or without torchcodec."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


def decode(audio: Any) -> tuple[NDArray[np.float32], int]:
    """Returns the samples and the sampling rate of an `audio` cell.

    Args:
        audio: what `datasets` gives for the column, decoded or not: a torchcodec `AudioDecoder`, or a dictionary with `bytes`
            and `path` (a column cast to `Audio(decode=False)`, or a row of the parquet file).

    Returns:
        float32[n_channels, n] in [-1, 1], and the sampling rate in hertz.

    Raises:
        InputError: there is no sound in the cell, or it is in no format that can be read.
    """
    if hasattr(audio, "get_all_samples"):
        samples = audio.get_all_samples()
        return np.asarray(samples.data, dtype=np.float32), int(samples.sample_rate)
    if isinstance(audio, dict) and audio.get("array") is not None:
        return np.atleast_2d(np.asarray(audio["array"], dtype=np.float32)), int(audio["sampling_rate"])
    if not isinstance(audio, dict) or (audio.get("bytes") is None and audio.get("path") is None):
        raise InputError(
            f"the row holds no sound ({type(audio).__name__}); expected bytes or a path. Its dataset may be text only."
        )
    import soundfile

    source = io.BytesIO(audio["bytes"]) if audio.get("bytes") is not None else str(audio["path"])
    try:
        data, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as problem:
        raise InputError(f"the sound {audio.get('path')!r} cannot be decoded: {problem}") from problem
    return np.ascontiguousarray(data.T), int(rate_hz)
