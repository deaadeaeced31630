"""Corpora that are csv files of an id and a caption, where ids name YouTube videos and may repeat with other captions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import english_captions, json_objects_or_null, lists, struct, text
from ..audioset_segments import Segments, segment_columns
from ..join import grouped
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part


class IdCaptions(Source):
    """Base of these corpora; an id that is there several times is one row with all its captions.

    Attributes:
        id_column: the column that holds the id; the other one is `caption`.
    """

    id_column: ClassVar[str]
    has_unique_ids = True

    @abstractmethod
    def spans(self, ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
        """Returns videos, starts and ends (seconds), null where the id fits no grammar or does not say."""

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields clips in the order in which they first appear; see `join` for the memory that it takes."""
        segments = Segments(part)
        file = part.files["captions"]
        lines = csvfile.read(file, (self.id_column, "caption"))
        for ((records, per_clip),) in grouped([lines], self.id_column, self.row_group_rows):
            n = len(per_clip)
            clips = records[self.id_column].combine_chunks().take(pa.array(np.cumsum(per_clip) - per_clip))
            video, start_s, end_s = self.spans(clips)
            # Times of AudioSet's own segment are right only for ids that do not name another one.
            found_start_s, found_end_s, tags = segments.of(pc.if_else(pc.is_null(start_s), video, pa.scalar(None, pa.string())))
            origins = struct(
                schema.PROVENANCE,
                records.num_rows,
                repo=self.repo,
                revision=self.release,
                file=file.name,
                row=records[csvfile.ROW],
                extra_json=json_objects_or_null(records[csvfile.EXTRA].combine_chunks()),
            )
            yield self.batch(
                part,
                n,
                id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset or part.split}/", n), clips, ""),
                source_key=clips,
                captions=english_captions(records["caption"], per_clip),
                tags=tags,
                **segment_columns(video, pc.coalesce(start_s, found_start_s), pc.coalesce(end_s, found_end_s)),
                provenance=lists(origins, per_clip),
            )

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields one csv line per caption."""
        for caption, origin in zip(row["captions"], row["provenance"], strict=True):
            values = {self.id_column: row["source_key"], "caption": caption["text"]}
            yield origin["file"], origin["row"], merged(values, origin["extra_json"])


def audioset_spans(ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Returns the videos of AudioSet-style ids, with unknown times."""
    unknown = pa.nulls(len(ids), pa.float64())
    return keys.audioset_videos(ids), unknown, unknown
