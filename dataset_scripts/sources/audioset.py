"""AudioSet: labels from an ontology of 527 for ten-second segments of YouTube videos. A label set: it has no captions.

Source: Gemmeke et al. 2017, "Audio Set: An ontology and human-labeled dataset for audio events"; three segment files, and
optionally `class_labels_indices.csv` with the labels' names. Row id `audioset/<split>/<video>_<start as written>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import json_members, json_objects, json_texts, singletons, struct, text
from ..audioset_segments import LABELS, LABELS_FILE, SEGMENT_FILES, LabelNames, labels_file, segment_columns
from ..pipeline import recut
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import RemoteFile
from ..upstream.segments import segments

_TIMES = {"start_seconds": "start_s", "end_seconds": "end_s"}


class AudioSet(Source):
    """The three published segment lists."""

    name = "audioset"
    dataset = "audioset"
    title = "AudioSet"
    release = "1"
    splits = tuple(SEGMENT_FILES)
    split_aliases: ClassVar[dict[str, str]] = {"balanced": "balanced_train", "unbalanced": "unbalanced_train"}
    files = tuple(
        file for split, name in SEGMENT_FILES.items() for file in (UpstreamFile(name, split, role="segments"), labels_file(split))
    )
    repo = "research.google.com/audioset"
    remote = tuple(
        RemoteFile(f"https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/{one}", one)
        for one in (*SEGMENT_FILES.values(), LABELS_FILE)
    )
    where_to_get = "They are on https://research.google.com/audioset/download.html; class_labels_indices.csv is optional."

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the segments of a split in the order of its file."""
        labels = LabelNames(part.files.get(LABELS))
        for table in recut(segments(part.files["segments"]), self.row_group_rows):
            (rows,) = table.to_batches()
            n = rows.num_rows
            identifier, written = rows["YTID"], {name: rows[name] for name in _TIMES}
            seconds = {name: pc.cast(values, pa.float64()) for name, values in written.items()}
            video = keys.videos(identifier)
            nothing = pa.scalar(None, pa.string())
            # The files write three decimals; anything else is kept as it is written.
            odd = {
                name: pc.if_else(pc.equal(values, keys.milliseconds(seconds[name])), nothing, json_texts(values))
                for name, values in written.items()
            }
            yield self.batch(
                part,
                n,
                id=pc.binary_join_element_wise(
                    text(f"{self.name}/{part.split}/", n), identifier, "_", written["start_seconds"], ""
                ),
                source_key=identifier,
                tags=labels.tags(rows["positive_labels"]),
                **segment_columns(video, seconds["start_seconds"], seconds["end_seconds"]),
                provenance=singletons(
                    struct(
                        schema.PROVENANCE,
                        n,
                        repo=self.repo,
                        revision=self.release,
                        file=part.files["segments"].name,
                        row=rows[csvfile.ROW],
                    )
                ),
                extra_json=json_objects(json_members(odd)),
            )

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one line of a segment."""
        (origin,) = row["provenance"]
        times = {name: f"{row['audio_ref'][column]:.3f}" for name, column in _TIMES.items()}
        labels = ",".join(tag["code"] for tag in row["tags"])
        yield (
            origin["file"],
            origin["row"],
            merged({"YTID": row["source_key"], **times, "positive_labels": labels}, row["extra_json"]),
        )
