"""Clotho: five captions for each Freesound recording of 15 to 30 seconds. Release 2.1.

Source: Drossos et al. 2020, "Clotho: An Audio Captioning Dataset"; Zenodo record 4783391. Per split a caption csv and,
optionally, a metadata csv (ISO-8859-1) with keywords, Freesound id, link, samples, author and licence. Row id
`clotho/<split>/<file name>`: four file names occur in two splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import (
    interleaved,
    json_members,
    json_objects,
    json_objects_or_null,
    json_texts,
    lists,
    singletons,
    struct,
    text,
)
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import zenodo

_CAPTIONS = tuple(f"caption_{i}" for i in range(1, 6))
_METADATA = ("keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
_VERBATIM = tuple(column for column in _METADATA if column != "manufacturer")  # these go to extra_json as they are
_SPLITS = ("development", "validation", "evaluation")


class Clotho(Source):
    """The three splits with captions; the challenge's test and analysis sets have none."""

    name = "clotho"
    dataset = "clotho"
    title = "Clotho"
    release = "2.1"
    splits = _SPLITS
    split_aliases: ClassVar[dict[str, str]] = {"dev": "development", "val": "validation", "eval": "evaluation"}
    files = tuple(
        file
        for split in _SPLITS
        for file in (
            UpstreamFile(f"clotho_captions_{split}.csv", split),
            UpstreamFile(f"clotho_metadata_{split}.csv", split, role="metadata", is_needed=False),
        )
    )
    repo = "zenodo.org/records/4783391"
    where_to_get = "They are on https://zenodo.org/records/4783391; the metadata files are optional."
    remote = zenodo(4783391, *(file.name for file in files))

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the clips of a split in the order of its caption file."""
        metadata = self._metadata(part)
        for table in csvfile.read(part.files["captions"], ("file_name", *_CAPTIONS)):
            yield self._rows(part, table, metadata)

    def _metadata(self, part: Part) -> pa.Table:
        """Returns the metadata by unique file name; no rows if the file is not there."""
        columns = ("file_name", *_METADATA)
        if "metadata" not in part.files:
            return pa.table(
                {name: pa.array([], pa.string()) for name in (*columns, csvfile.EXTRA)} | {csvfile.ROW: pa.array([], pa.int64())}
            )
        file = part.files["metadata"]
        tables = list(csvfile.read(file, columns, encodings=("utf-8", "iso8859-1")))
        table = pa.concat_tables(tables).combine_chunks() if tables else self._metadata(Part(part.split, None, {}))
        if pc.count_distinct(table["file_name"]).as_py() != table.num_rows:
            counts = table["file_name"].value_counts()
            name = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))[0]["values"].as_py()
            raise file.error("expected one line of metadata per file name", field="file_name", value=name)
        return table

    def _rows(self, part: Part, table: pa.Table, metadata: pa.Table) -> pa.RecordBatch:
        n = table.num_rows
        name = table["file_name"].chunk(0)
        found = pc.index_in(name, value_set=metadata["file_name"])
        described = metadata.take(found).combine_chunks()

        def known(column: str) -> pa.Array:
            return described[column].chunk(0) if n else pa.array([], pa.string())

        captions = [
            struct(
                schema.CAPTION, n, text=table[column].chunk(0), style="default", index=index, origin="human", language="en",
                is_absent=False,
            )
            for index, column in enumerate(_CAPTIONS)
        ]  # fmt: skip
        grouped = interleaved(captions)
        keywords = pc.split_pattern(pc.fill_null(known("keywords"), ""), ";")
        words = pc.utf8_trim_whitespace(keywords.flatten())
        has_word = pc.not_equal(words, "")
        row_of_word = pc.list_parent_indices(keywords).filter(has_word)
        tags = struct(schema.TAG, pc.sum(has_word).as_py() or 0, label=words.filter(has_word), scheme="clotho")
        fs_key = keys.freesound_keys(known("sound_id"))
        extra = {column: json_texts(known(column)) for column in _VERBATIM}
        missing = pa.scalar(None, pa.string())
        return self.batch(
            part,
            n,
            id=pc.binary_join_element_wise(text(f"{self.name}/{part.split}/", n), name, ""),
            source_key=name,
            captions=grouped,
            audio_ref=struct(
                schema.AUDIO_REF,
                n,
                kind="freesound",
                key=pc.if_else(pc.is_valid(fs_key), known("sound_id"), missing),
                url=pc.if_else(pc.is_valid(fs_key), known("sound_link"), missing),
                file_name=name,
                archive=f"clotho_audio_{part.split}.7z",
            ),
            sampling_rate_hz=44_100,
            n_channels=1,
            tags=lists(tags, np.bincount(row_of_word.to_numpy(), minlength=n)),
            license_audio=pc.coalesce(known("license"), text(self.card.license_audio, n)),
            attribution=known("manufacturer"),
            clip_keys=singletons(fs_key),
            provenance=self._provenance(part, table, known),
            extra_json=json_objects(json_members(extra)),
        )

    def _provenance(self, part: Part, table: pa.Table, known: Callable[[str], pa.Array]) -> pa.ListArray:
        n = table.num_rows
        caption = struct(
            schema.PROVENANCE,
            n,
            repo=self.repo,
            revision=self.release,
            file=part.files["captions"].name,
            row=table[csvfile.ROW].chunk(0),
            extra_json=json_objects_or_null(table[csvfile.EXTRA].chunk(0)),
        )
        if "metadata" not in part.files:
            return interleaved([caption])
        rows = known(csvfile.ROW)
        metadata = struct(
            schema.PROVENANCE,
            n,
            repo=self.repo,
            revision=self.release,
            file=part.files["metadata"].name,
            row=rows,
            extra_json=json_objects_or_null(known(csvfile.EXTRA)),
        )
        nothing = pa.scalar(None, schema.PROVENANCE)
        return interleaved([caption, pc.if_else(pc.is_valid(rows), metadata, nothing)])

    def warnings(self, part: Part) -> list[str]:
        """Says how many lines of metadata belong to no clip: they are in no row."""
        captioned = [table["file_name"] for table in csvfile.read(part.files["captions"], ("file_name",))]
        described = self._metadata(part)["file_name"]
        names = pa.chunked_array([chunk for column in captioned for chunk in column.chunks], pa.string())
        lost = len(described) - (pc.sum(pc.is_in(described, value_set=names)).as_py() or 0)
        return [f"{part.files['metadata'].name}: {lost} lines describe files that have no captions"] if lost else []

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the line of the caption file, and the line of the metadata file if there is one."""
        caption, *metadata = row["provenance"]
        texts = dict(zip(_CAPTIONS, (caption["text"] for caption in row["captions"]), strict=True))
        yield caption["file"], caption["row"], merged({"file_name": row["source_key"], **texts}, caption["extra_json"])
        for origin in metadata:
            values = {"file_name": row["source_key"], "manufacturer": row["attribution"], **merged({}, row["extra_json"])}
            yield origin["file"], origin["row"], merged(values, origin["extra_json"])
