"""Sound files by item id, for metrics that listen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten

ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".opus")


def sounds_by_id(folder: Path, ids: Iterable[str]) -> dict[str, Path]:
    """Returns the file of each id: `ID.wav` and the like in `folder`, a `/` of an id being a folder or written as `_`.

    Raises:
        InputError: the folder does not exist, or has no file for an id; all such ids are listed.
    """
    if not folder.is_dir():
        raise InputError(f"--sounds {folder} is no folder; expected one with a file per id, such as ID.wav.")
    ids = list(ids)
    found: dict[str, Path] = {}
    for id_ in ids:
        names = dict.fromkeys((id_, id_.replace("/", "_"), id_.rsplit("/", 1)[-1]))
        candidates = (folder / f"{name}{ending}" for name in names for ending in ("", *ENDINGS) if ".." not in name.split("/"))
        path = next((one for one in candidates if one.suffix.lower() in ENDINGS and one.is_file()), None)
        if path is not None:
            found[id_] = path
    missing = [id_ for id_ in ids if id_ not in found]
    if missing:
        raise InputError(
            f"{folder} has no sound for {len(missing):,} of {len(ids):,} ids; expected ID{', ID'.join(ENDINGS)}.",
            [Problem("E_SOUND", f"there is no sound for id {shorten(id_)}", id=id_) for id_ in missing],
        )
    return found


def mono_samples(path: Path, rate_hz: int) -> npt.NDArray[np.float32]:
    """Returns float32[n]: the mean of a file's channels, resampled (soxr, high quality).

    Raises:
        SoundError: the file is missing or cannot be read.
        MissingRequirementError: it must be resampled and soxr is not installed.
    """
    from ...dataset_scripts.sound.samples import read, resampled, to_mono

    samples: npt.NDArray[np.float32] = resampled(to_mono(read(path)), rate_hz).samples[0]
    return samples
