"""Record batches to parquet shards whose bytes depend on the rows alone.

Row groups have a fixed size and are contiguous: batch sizes and worker counts
leave no trace. zstd, page index, no time stamps. A shard is flushed to the disk before anybody hears of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..atomic import sha256_of
from ..schema import schema_with_features

ROW_GROUPS_PER_SHARD = 10
SHARD_BYTES = 400 << 20  # of sound; a shard that holds so much gets no further row group
# Leaves whose values are nearly all different: a dictionary of them only costs time and bytes.
_DIFFERENT = (
    "id",
    "source_key",
    "caption",
    "caption_b",
    "captions.list.element.text",
    "qa.list.element.answer",
    "audio.bytes",
    "audio_b.bytes",
    "audio_ref.key",
    "audio_ref.file_name",
    "clip_keys.list.element",
    "provenance.list.element.row",
)
# Texts by whose smallest and largest value nobody looks for a row.
_PROSE = (
    "caption",
    "caption_b",
    "captions.list.element.text",
    "qa.list.element.question",
    "qa.list.element.answer",
    "extra_json",
    "provenance.list.element.extra_json",
    "audio.bytes",
    "audio_b.bytes",
)
_COMPRESSED = ("audio.bytes", "audio_b.bytes")  # FLAC: zstd would work for nothing


def write(tables: Iterable[pa.Table], path: Path) -> dict[str, Any]:
    """Writes one shard, one row group per table, and returns its `file`, `rows`, `bytes` and `sha256`."""
    return {"file": path.name, "rows": write_file(tables, path), **identity(path)}


def write_all(tables: Iterable[pa.Table], folder: Path, stem: str) -> list[dict[str, Any]]:
    """Writes shards, one row group per table, and returns what `write` says about each; none for no table.

    Args:
        tables: the row groups.
        folder: where to write.
        stem: begin of the file names. There is one file, `<stem>.parquet`, unless its sounds would grow beyond `SHARD_BYTES`.
    """
    stream = iter(tables)

    def shard(first: pa.Table) -> Iterator[pa.Table]:
        held = 0
        for table in chain([first], stream):
            yield table
            held += sum(table[name].nbytes for name in ("audio", "audio_b"))
            if held >= SHARD_BYTES:
                return

    return [
        write(shard(first), folder / (f"{stem}.{number}.parquet" if number else f"{stem}.parquet"))
        for number, first in enumerate(stream)
    ]


def write_file(groups: Iterable[pa.Table], path: Path) -> int:
    """Writes one parquet file, one row group per table, flushes it to the disk and returns the number of rows."""
    rows = 0
    path.unlink(missing_ok=True)  # never write through a hard link into what was built before
    with path.open("wb") as stream:
        writer = None
        try:
            for group in groups:
                writer = writer or _writer(stream, group.schema)
                writer.write_table(group.cast(writer.schema), row_group_size=group.num_rows)
                rows += group.num_rows
        finally:
            if writer is not None:
                writer.close()
        stream.flush()
        os.fsync(stream.fileno())
    return rows


def _writer(stream: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    schema = schema_with_features() if "captions" in schema.names else schema
    leaves = _leaves(schema)
    return pq.ParquetWriter(
        stream,
        schema,
        compression={leaf: "none" if leaf in _COMPRESSED else "zstd" for leaf in leaves},
        write_page_index=True,
        use_dictionary=[leaf for leaf in leaves if leaf not in _DIFFERENT],
        write_statistics=[leaf for leaf in leaves if leaf not in _PROSE],
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Returns the parquet paths of all columns that hold values."""

    def below(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return below(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in below(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in schema for leaf in below(field.name, field.type)]


def identity(path: Path) -> dict[str, Any]:
    """Returns a file's `bytes` and `sha256`."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def chunks(tables: Iterable[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Yields iterators over the row groups of one shard each, none for no rows: a parquet file without rows breaks loading.

    Args:
        tables: row groups, contiguous: what `recut` yields. An iterator must be used up before the next one is asked for.
    """
    stream = iter(tables)
    for first in stream:

        def group(head: pa.Table = first) -> Iterator[pa.Table]:
            yield head
            for _ in range(ROW_GROUPS_PER_SHARD - 1):
                following = next(stream, None)
                if following is None:
                    return
                yield following

        yield group()
