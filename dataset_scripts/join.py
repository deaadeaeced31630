"""Bringing together the records of one clip that stand anywhere in one file or several, in bounded memory.

- Clips come in the order in which they first appear: the first file's order, then what only later files have. Records of a
  clip keep the order of their file, so that equal input gives equal rows.
- Files are read once, onto the disk in Arrow's format, while their ids are collected. A file whose records already stand in the
  order of the clips is streamed from there; of another one the records are sorted into partitions, of which one at a time is in
  memory. The files lie in the system's folder for temporary files (TMPDIR) and take about as much as the upstream files.
- In memory at any time: one number per record, the ids while they are numbered, and one partition per file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from .arrays import Integers
from .pipeline import recut

Groups: TypeAlias = tuple[pa.Table, Integers]

_CLIPS_PER_PARTITION = 50_000
_RECORDS_PER_SORT = 50_000


def grouped(
    files: Sequence[Iterable[pa.Table]], key: str, clips: int, *, partition: int = _CLIPS_PER_PARTITION
) -> Iterator[list[Groups]]:
    """Yields the records of `clips` clips at a time (the last time may be fewer).

    Args:
        files: per file the tables of its records; one at least, which may be empty.
        key: the text column that names the clip.
        clips: how many clips per step.
        partition: how many clips per file on disk; more take more memory.

    Yields:
        Per file the records, clip after clip, and int64[clips]: how many records each clip has in this file. There is at least
        one record per clip in all files together.
    """
    with tempfile.TemporaryDirectory(prefix="uac-join-") as folder:
        places = [Path(folder) / f"{i}.arrow" for i in range(len(files))]
        with ThreadPoolExecutor(len(files)) as readers:
            stored = list(readers.map(_Stored, files, [key] * len(files), places))
        numbers, count = _clip_numbers(stored)
        sorted_ = [
            _in_order(one, codes) if _is_sorted(codes) else _Partitions(one, codes, Path(folder) / str(i), partition).tables()
            for i, (one, codes) in enumerate(zip(stored, numbers, strict=True))
        ]
        cuts = [_Cut(tables) for tables in sorted_]
        for begin in range(0, count, clips):
            end = min(begin + clips, count)
            yield [cut.until(begin, end) for cut in cuts]


class _Stored:
    """The tables of a file, written to the disk while they were read; their ids stay in memory until they are taken."""

    def __init__(self, tables: Iterable[pa.Table], key: str, path: Path) -> None:
        self._path, self._ids = path, list[pa.Array]()
        writer: pa.ipc.RecordBatchStreamWriter | None = None
        try:
            for table in tables:
                writer = writer or pa.ipc.new_stream(str(path), table.schema)
                writer.write_table(table)
                self._ids += table[key].chunks
        finally:
            if writer is not None:
                writer.close()

    def take_ids(self) -> list[pa.StringArray]:
        """Returns the ids of all records, once."""
        ids, self._ids = self._ids, []
        return ids

    def tables(self) -> Iterator[pa.Table]:
        """Yields the tables again; nothing where there were none."""
        if not self._path.exists():
            return
        with pa.OSFile(str(self._path), "rb") as stream, pa.ipc.open_stream(stream) as reader:
            yield reader.schema.empty_table()  # the columns of a file without records
            for batch in reader:
                yield pa.Table.from_batches([batch])


def _clip_numbers(files: Sequence[_Stored]) -> tuple[list[Integers], int]:
    """Returns per file the number of every record's clip, clips counted as they appear, and how many clips there are."""
    # Arrow numbers the values of a column as they appear, over all its chunks.
    columns = [file.take_ids() for file in files]
    ids = pa.chunked_array([chunk for chunks in columns for chunk in chunks], pa.string())
    lengths = [sum(map(len, chunks)) for chunks in columns]
    del columns
    coded = ids.dictionary_encode()
    codes = np.concatenate([np.zeros(0, np.int32), *(chunk.indices.to_numpy() for chunk in coded.chunks)])
    return np.split(codes, np.cumsum(lengths)[:-1]), int(codes.max(initial=-1)) + 1


def _is_sorted(codes: Integers) -> bool:
    return bool((codes[1:] >= codes[:-1]).all())


def _in_order(file: _Stored, codes: Integers) -> Iterator[tuple[pa.Table, Integers]]:
    """Yields the tables of a file as they are, with the clip numbers of their records."""
    begin = 0
    for table in file.tables():
        yield table, codes[begin : begin + table.num_rows]
        begin += table.num_rows


class _Partitions:
    """The records of a file in files on disk, each with the records of some consecutive clips."""

    def __init__(self, file: _Stored, codes: Integers, folder: Path, clips: int) -> None:
        folder.mkdir()
        self._folder, self._codes, self._clips = folder, codes, clips
        self._numbers = np.unique(codes // clips).tolist()
        # Which records went where is known from the codes alone: no column has to be added to the records.
        self._order = np.argsort(codes // clips, kind="stable")
        self._write(file)

    def _write(self, file: _Stored) -> None:
        writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        begin = 0
        try:
            for table in recut(file.tables(), _RECORDS_PER_SORT):
                number = self._codes[begin : begin + table.num_rows] // self._clips
                begin += table.num_rows
                order = np.argsort(number, kind="stable")
                ordered = table.take(pa.array(order)).combine_chunks()
                found, at = np.unique(number[order], return_index=True)
                for one, low, high in zip(found.tolist(), at, [*at[1:], table.num_rows], strict=True):
                    if one not in writers:
                        writers[one] = pa.ipc.new_stream(self._path(one), table.schema)
                    writers[one].write_table(ordered.slice(low, high - low))
        finally:
            for writer in writers.values():
                writer.close()

    def _path(self, number: int) -> str:
        return str(self._folder / str(number))

    def tables(self) -> Iterator[tuple[pa.Table, Integers]]:
        """Yields the records of one partition after the other, in order of their clips, with the clip numbers."""
        begin = 0
        for number in self._numbers:
            with pa.OSFile(self._path(number), "rb") as stream, pa.ipc.open_stream(stream) as reader:
                table = reader.read_all()
            Path(self._path(number)).unlink()
            codes = self._codes[self._order[begin : begin + table.num_rows]]
            begin += table.num_rows
            order = np.argsort(codes, kind="stable")
            yield table.take(pa.array(order)), codes[order]


class _Cut:
    """A stream of records in the order of their clips, cut where the caller wants."""

    def __init__(self, tables: Iterator[tuple[pa.Table, Integers]]) -> None:
        self._tables = tables
        self._waiting: list[tuple[pa.Table, Integers]] = []

    def until(self, begin: int, end: int) -> Groups:
        """Returns the records of the clips from `begin` to before `end`, and how many each of them has."""
        while not self._waiting or not len(self._waiting[-1][1]) or self._waiting[-1][1][-1] < end:
            following = next(self._tables, None)
            if following is None:
                break
            self._waiting.append(following)
        taken, left = [], []
        for table, codes in self._waiting:
            at = int(np.searchsorted(codes, end))
            taken.append((table.slice(0, at), codes[:at]))
            if at < len(codes):
                left.append((table.slice(at), codes[at:]))
        if not taken:
            return pa.table({}), np.zeros(end - begin, np.int64)
        # One empty table stays, so that the columns are known to the end.
        self._waiting = left or [(self._waiting[-1][0].slice(0, 0), self._waiting[-1][1][:0])]
        codes = np.concatenate([one for _, one in taken])
        return pa.concat_tables([table for table, _ in taken]).combine_chunks(), np.bincount(codes - begin, minlength=end - begin)
