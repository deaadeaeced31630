"""Parquet files as the Hub holds them: records with their own types, whole numbers stay whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .files import RawFile

_RECORDS_AT_ONCE = 10_000


def records(file: RawFile, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields the records of a file as Python values; nulls are None.

    Args:
        file: the file.
        columns: columns that must be there.

    Raises:
        RecordError: no parquet file, or a column is missing.
    """
    with file.open() as stream:
        try:
            table = pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as problem:
            raise file.error(f"not a readable parquet file ({problem}); download it again") from problem
        names = table.schema_arrow.names
        lacking = [name for name in columns if name not in names]
        if lacking:
            raise file.error(f"the column is missing; the file has {', '.join(names)}", field=lacking[0])
        for batch in table.iter_batches(_RECORDS_AT_ONCE):
            yield from batch.to_pylist()
