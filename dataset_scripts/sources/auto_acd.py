"""Auto-ACD: captions that a language model made from what models see in the frames and hear in the sound of a video.

Source: Sun et al. 2024, "Auto-ACD: A Large-scale Dataset for Audio-Language Representation Learning"; two csv files with
`youtube_id,caption`. An id is an AudioSet video, or a VGGSound clip (`<video>_<start in six digits>`). Row id
`auto_acd/<split>/<id>`; an id that is there several times is one row with all its captions.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from .. import keys
from ..audioset_segments import lookup_files
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import HubRepository
from ._id_captions import IdCaptions, audioset_spans


class AutoAcd(IdCaptions):
    """Both published splits."""

    name = "auto_acd"
    dataset = "auto_acd"
    title = "Auto-ACD"
    release = "1.0"
    splits = ("train", "test")
    has_own_segments = True
    files = tuple(file for split in splits for file in (UpstreamFile(f"{split}.csv", split), *lookup_files(split)))
    repo = "huggingface.co/datasets/Loie/Auto-ACD"
    remote = (HubRepository("Loie/Auto-ACD"),)
    where_to_get = "They are on https://huggingface.co/datasets/Loie/Auto-ACD."
    id_column = "youtube_id"

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields clips in the order in which they first appear.

        Raises:
            RecordError: the file is AudioCaps', which has the same name and both columns.
        """
        first = next(csvfile.read(part.files["captions"], (self.id_column, "caption")), None)
        if first is not None and pc.any(pc.match_substring(first[csvfile.EXTRA], '"audiocap_id": ')).as_py():
            raise part.files["captions"].error(
                "the column `audiocap_id` says that this is a file of AudioCaps; expected `youtube_id,caption`", line=1
            )
        yield from super().read_part(part)

    def spans(self, ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
        """Returns videos and times: VGGSound's ids say when the clip begins, AudioSet's do not."""
        video, start_s, end_s = keys.second_spans(ids)
        return pc.coalesce(video, audioset_spans(ids)[0]), start_s, end_s
