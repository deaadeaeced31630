"""Record batches to parquet shards whose bytes depend on the rows alone.

Row groups have a fixed size and are contiguous: batch sizes and worker counts
leave no trace. zstd, page index, no time stamps. A shard is flushed to the disk before anybody hears of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .atomic import sha256_of
from .schema import schema_with_features

ROW_GROUPS_PER_SHARD = 50


def write(tables: Iterable[pa.Table], folder: Path, stem: str) -> list[dict[str, Any]]:
    """Writes tables, one row group each, and returns per shard its `file`, `rows`, `bytes` and `sha256`.

    Args:
        tables: row groups, contiguous: what `recut` yields.
        folder: where the shards go, as `<stem>.<number>.parquet`.
        stem: beginning of the file names.

    Returns:
        The shards in order; none for no rows, since a parquet file without rows breaks loading its whole config.
    """
    shards: list[dict[str, Any]] = []
    for number, groups in enumerate(_chunks(tables, ROW_GROUPS_PER_SHARD)):
        path = folder / f"{stem}.{number}.parquet"
        shards.append({"file": path.name, "rows": write_file(groups, path), **identity(path)})
    return shards


def write_file(groups: Iterable[pa.Table], path: Path) -> int:
    """Writes one parquet file, one row group per table, flushes it to the disk and returns the number of rows."""
    rows = 0
    path.unlink(missing_ok=True)  # never write through a hard link into what was built before
    with path.open("wb") as stream:
        writer = None
        # One thread compresses a row group while this one prepares the next.
        with ThreadPoolExecutor(1) as background:
            busy: Future[None] | None = None
            try:
                for group in groups:
                    if writer is None:
                        schema = schema_with_features() if "captions" in group.schema.names else group.schema
                        writer = pq.ParquetWriter(stream, schema, compression="zstd", write_page_index=True)
                    if busy is not None:
                        busy.result()
                    busy = background.submit(writer.write_table, group.cast(writer.schema), row_group_size=group.num_rows)
                    rows += group.num_rows
                if busy is not None:
                    busy.result()
            finally:
                if busy is not None:
                    wait([busy])
                if writer is not None:
                    writer.close()
        stream.flush()
        os.fsync(stream.fileno())
    return rows


def identity(path: Path) -> dict[str, Any]:
    """Returns a file's `bytes` and `sha256`."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _chunks(tables: Iterable[pa.Table], size: int) -> Iterator[Iterator[pa.Table]]:
    """Yields iterators over `size` tables each; an iterator must be used up before the next one is asked for."""
    stream = iter(tables)
    for first in stream:

        def group(head: pa.Table = first) -> Iterator[pa.Table]:
            yield head
            for _ in range(size - 1):
                following = next(stream, None)
                if following is None:
                    return
                yield following

        yield group()
