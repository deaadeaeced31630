"""When and with which labels AudioSet cut each of its videos, for the sources that only name the video.

- AudioSet has one segment per video, so that a video id finds its times and labels.
- The segment files are optional: a source lists `lookup_files` among its files, and where they lie beside its own files the
  times and tags are filled in; elsewhere they stay null.
- Videos are kept as sorted fixed-width bytes: 2.1 million segments take about 150 MB, and 10,000 lookups milliseconds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import keys, schema
from .arrays import interleaved, lengths_of, lists, struct
from .upstream import csvfile
from .upstream.files import Part, RawFile, UpstreamFile
from .upstream.segments import segments

SEGMENT_FILES = {
    "balanced_train": "balanced_train_segments.csv",
    "unbalanced_train": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
LABELS = "labels"
LABELS_FILE = "class_labels_indices.csv"


def labels_file(split: str, subset: str | None = None) -> UpstreamFile:
    """Returns the file that names AudioSet's labels, as an optional file of a part."""
    return UpstreamFile(LABELS_FILE, split, role=LABELS, subset=subset, is_needed=False, is_lookup=True)


def lookup_files(split: str, subset: str | None = None) -> tuple[UpstreamFile, ...]:
    """Returns the files that give times and tags to a part whose AudioSet ids have none; all are optional."""
    segment_files = (
        UpstreamFile(name, split, role=f"segments_{role}", subset=subset, is_needed=False, is_lookup=True)
        for role, name in SEGMENT_FILES.items()
    )
    return (*segment_files, labels_file(split, subset))


class LabelNames:
    """The display names of AudioSet's labels.

    Args:
        file: `class_labels_indices.csv` with `index,mid,display_name`, None if there is none.
    """

    def __init__(self, file: RawFile | None) -> None:
        tables = list(csvfile.read(file, ("index", "mid", "display_name"))) if file is not None else []
        empty = pa.table({name: pa.array([], pa.string()) for name in ("mid", "display_name")})
        table = pa.concat_tables([empty, *(one.select(empty.column_names) for one in tables)]).combine_chunks()
        self._codes, self._names = table["mid"].combine_chunks(), table["display_name"].combine_chunks()

    def tags(self, labels: pa.StringArray) -> pa.ListArray:
        """Returns the tags of every row, in order of the file: codes such as `/m/09x0r`, with a name where it is known.

        Args:
            labels: codes with commas between them; null or "" for a row that has none.
        """
        cells = pc.split_pattern(pc.if_else(pc.equal(labels, ""), pa.scalar(None, pa.string()), labels), ",")
        codes = pa.array([], pa.string()) if not len(cells) else cells.flatten()
        named = self._names.take(pc.index_in(codes, value_set=self._codes))
        return lists(struct(schema.TAG, len(codes), label=named, scheme="audioset", code=codes), lengths_of(cells))


class Segments:
    """Times and tags by video id, from the segment files of a part; knows nothing if it has none.

    Args:
        part: a part whose files were listed with `lookup_files`.
    """

    def __init__(self, part: Part) -> None:
        self._labels = LabelNames(part.files.get(LABELS))
        files = [part.files[f"segments_{role}"] for role in SEGMENT_FILES if f"segments_{role}" in part.files]
        columns = ("YTID", "start_seconds", "end_seconds", "positive_labels")
        tables = [table.select(columns) for file in files for table in segments(file)]
        table = pa.concat_tables([pa.table({name: pa.array([], pa.string()) for name in columns}), *tables])
        table = table.filter(pc.match_substring_regex(table["YTID"], f"^{keys.VIDEO_ID}$")).combine_chunks()
        videos = _fixed_width(table["YTID"].combine_chunks())
        order = np.argsort(videos, kind="stable")
        self._videos = videos[order]
        self._start_s = _seconds(table["start_seconds"].combine_chunks()).take(pa.array(order))
        self._end_s = _seconds(table["end_seconds"].combine_chunks()).take(pa.array(order))
        self._codes = table["positive_labels"].combine_chunks().take(pa.array(order))

    def of(self, videos: pa.StringArray) -> tuple[pa.DoubleArray, pa.DoubleArray, pa.ListArray]:
        """Returns starts, ends (seconds) and tags of videos; null and no tags where the video is null or not in AudioSet."""
        known = videos.is_valid().to_numpy(zero_copy_only=False)
        places = np.zeros(len(videos), np.int64)
        if len(self._videos) and known.any():
            asked = _fixed_width(videos.drop_null())
            at = np.minimum(np.searchsorted(self._videos, asked), len(self._videos) - 1)
            places[known] = at
            known[known] = self._videos[at] == asked
        else:
            known[:] = False
        where = pa.array(places, mask=~known)
        return self._start_s.take(where), self._end_s.take(where), self._labels.tags(self._codes.take(where))


def _fixed_width(videos: pa.StringArray) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """Returns 11-character ids as `S11[n]`."""
    _, _, data = videos.buffers()
    return np.frombuffer(data or b"", "S11", len(videos), 11 * videos.offset)


def _seconds(texts: pa.StringArray) -> pa.DoubleArray:
    return pc.cast(texts, pa.float64())


def segment_columns(videos: pa.StringArray, start_s: pa.DoubleArray, end_s: pa.DoubleArray) -> dict[str, pa.Array]:
    """Returns the columns `audio_ref` and `clip_keys` of segments of videos; null where the video or its time is unknown."""
    return {
        "audio_ref": struct(schema.AUDIO_REF, len(videos), kind="youtube", key=videos, start_s=start_s, end_s=end_s),
        "clip_keys": interleaved([pc.binary_join_element_wise("yt:", videos, ""), keys.segment_keys(videos, start_s)]),
    }
