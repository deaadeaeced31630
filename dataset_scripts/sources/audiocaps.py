"""AudioCaps: captions that people wrote for ten-second segments of YouTube videos. Release 1.

Source: Kim et al. 2019, "AudioCaps: Generating Captions for Audios in The Wild"; csv files with `audiocap_id, youtube_id,
start_time, caption`, one line per caption. One row here is a clip with all its captions in the order of the file; row id
`audiocaps/<split>/<youtube id>_<start>`. A segment is taken to last ten seconds; some are shorter in truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import interleaved, json_objects_or_null, lists, ranges, struct, text
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import Remote, github


def _files(*folders: str) -> tuple[UpstreamFile, ...]:
    return (
        UpstreamFile("train.csv", "train", prefer=folders),
        UpstreamFile("val.csv", "validation", prefer=folders, aliases=("validation.csv",)),
        UpstreamFile("test.csv", "test", prefer=folders),
    )


_COMMIT = "d004db3ea1b01cf4fd0347dd8d27db90cadc8809"


def _remote(folder: str, train_at: str, val: str, test: str) -> Remote:
    """Returns the three files of a release: where the training split is, and the sha256 of the other two."""
    rest = {f"{folder}/val.csv": val, f"{folder}/test.csv": test}
    return (
        *github("cdjkim/audiocaps", train_at, {f"{folder}/train.csv": None}),
        *github("cdjkim/audiocaps", _COMMIT, rest),
    )


class AudioCaps(Source):
    """The first release: captions as they were written."""

    name = "audiocaps"
    dataset = "audiocaps"
    title = "AudioCaps"
    release = "v1"
    splits = ("train", "validation", "test")
    split_aliases: ClassVar[dict[str, str]] = {"val": "validation"}
    files = _files("dataset", "v1")
    repo = "github.com/cdjkim/audiocaps"
    where_to_get = "They are in the folder `dataset` of https://github.com/cdjkim/audiocaps."
    remote = _remote(
        "dataset",
        _COMMIT,
        val="dab1c96641d5f3053ddb99dca3949450da9a75737bda53e11cc0aa8b102be0c3",
        test="b91c4b7ded2f4f6e7db5b9c4983dc1e1dca3d556f505b61e3fd65cac7e1c638a",
    )
    is_lower_case: ClassVar[bool] = False

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields all clips of a split in one batch: the captions of a clip may stand anywhere in the file."""
        file = part.files["captions"]
        tables = list(csvfile.read(file, ("audiocap_id", "youtube_id", "start_time", "caption")))
        if not tables:
            return
        table = pa.concat_tables(tables).combine_chunks()
        column = {name: table[name].chunk(0) for name in table.column_names}
        upstream = pc.binary_join_element_wise(column["youtube_id"], column["start_time"], "_")
        # Codes number the clips in order of appearance; a stable sort by code keeps the captions in order of the file.
        coded = upstream.dictionary_encode()
        codes = coded.indices.to_numpy()
        order = pa.array(np.argsort(codes, kind="stable"))
        lengths = np.bincount(codes, minlength=len(coded.dictionary))
        first = pa.array(np.unique(codes, return_index=True)[1])
        n, n_captions = len(lengths), len(codes)
        video, start = column["youtube_id"].take(first), column["start_time"].take(first)
        start_s = self._seconds(part, start, first)
        captions = struct(
            schema.CAPTION,
            n_captions,
            text=column["caption"].take(order),
            style="default",
            index=pa.array(ranges(lengths)),
            upstream_id=column["audiocap_id"].take(order),
            origin="human",
            language="en",
            is_absent=False,
        )
        provenance = struct(
            schema.PROVENANCE,
            n_captions,
            repo=self.repo,
            revision=self.release,
            file=file.name,
            row=column[csvfile.ROW].take(order),
            extra_json=json_objects_or_null(column[csvfile.EXTRA].take(order)),
        )
        grouped = lists(captions, lengths)
        known = pc.match_substring_regex(video, f"^{keys.VIDEO_ID}$")
        known_video = pc.if_else(known, video, pa.scalar(None, pa.string()))
        yield self.batch(
            part,
            n,
            id=pc.binary_join_element_wise(text(f"{self.name}/{part.split}/", n), coded.dictionary, ""),
            source_key=coded.dictionary,
            captions=grouped,
            audio_ref=struct(
                schema.AUDIO_REF, n, kind="youtube", key=video, start_s=start_s, end_s=pc.add(start_s, keys.SEGMENT_S)
            ),
            clip_keys=interleaved([pc.binary_join_element_wise("yt:", known_video, ""), keys.segment_keys(known_video, start_s)]),
            provenance=lists(provenance, lengths),
        )

    def _seconds(self, part: Part, start: pa.StringArray, rows: pa.Array) -> pa.DoubleArray:
        """Returns start times; an empty cell is an unknown time, other text is an error."""
        filled = pc.if_else(pc.equal(start, ""), pa.scalar(None, pa.string()), start)
        wrong = pc.fill_null(pc.invert(pc.match_substring_regex(filled, r"^[0-9]+(\.[0-9]+)?$")), False)
        if pc.any(wrong).as_py():
            at = pc.index(wrong, True).as_py()
            raise part.files["captions"].error(
                "expected the start in seconds", record=rows[at].as_py() + 1, field="start_time", value=start[at].as_py()
            )
        return pc.cast(filled, pa.float64())

    def warnings(self, part: Part) -> list[str]:
        """Says so when the captions look like those of the other release, which has the same file names."""
        file = part.files["captions"]
        captions = next(csvfile.read(file, ("caption",)), pa.table({"caption": pa.array([], pa.string())}))["caption"]
        lower = pc.sum(pc.match_substring_regex(captions, "^[a-z]")).as_py() or 0
        is_lower_case = lower > 0.5 * len(captions)
        if len(captions) < 20 or is_lower_case == self.is_lower_case:
            return []
        looks, other = ("in lower case, as", "v2") if is_lower_case else ("in mixed case, as", "v1")
        return [
            f"{file.name}: captions are {looks} in release {other}; this config is release {self.release}. Is it the right file?"
        ]

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields one csv line per caption."""
        video, start = row["source_key"].rsplit("_", 1)
        for caption, origin in zip(row["captions"], row["provenance"], strict=True):
            values = {
                "audiocap_id": caption["upstream_id"],
                "youtube_id": video,
                "start_time": start,
                "caption": caption["text"],
            }
            yield origin["file"], origin["row"], merged(values, origin["extra_json"])
