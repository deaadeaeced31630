"""Sound-VECaps: captions of AudioSet's clips that take in what is seen, and a second set reduced to what can be heard.

Source: Yuan et al. 2024, "Sound-VECaps: Improving Audio Generation with Visual Enhanced Captions"; csv files with `id,caption`,
where the id is an AudioSet video behind a `Y`. Row id `sound_vecaps/<subset>/<id>`: `full` and `audio` describe the same clips.
"""

from __future__ import annotations

import pyarrow as pa

from ..audioset_segments import lookup_files
from ..upstream.files import UpstreamFile
from ..upstream.remote import zenodo
from ._id_captions import IdCaptions, audioset_spans

_SUBSETS = {"audio": "Sound-VECaps_audio.csv", "full": "Sound-VECaps_full.csv"}


class SoundVeCaps(IdCaptions):
    """Both sets of captions; everything is training data."""

    name = "sound_vecaps"
    dataset = "sound_vecaps"
    title = "Sound-VECaps"
    release = "1.0"
    splits = ("train",)
    files = tuple(
        file
        for subset, name in _SUBSETS.items()
        for file in (UpstreamFile(name, "train", subset=subset), *lookup_files("train", subset))
    )
    repo = "yyua8222.github.io/Sound-VECaps-demo"
    remote = zenodo(12606207, *_SUBSETS.values())
    where_to_get = "They are on https://zenodo.org/records/12606207."
    id_column = "id"

    def spans(self, ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
        """Returns the videos; the ids do not say when the clip begins."""
        return audioset_spans(ids)
