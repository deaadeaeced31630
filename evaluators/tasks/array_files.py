"""Matrices and columns that other programs wrote: .npy and .npz, .csv, .parquet, and .txt with a value per line.

Matrices stay on disk (`numpy.memmap`) where the format allows. Nothing is unpickled.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, Problem, shorten

_Array = npt.NDArray[Any]
MATRIX_FORMATS = (".npy", ".npz")
_KEPT_PROBLEMS = 1000


@dataclass(frozen=True)
class Columns:
    """Columns of a table as text.

    Attributes:
        values: cells by column, all of one length.
        lines: 1-based line of each row where the file has lines, else the row's number from 1.
    """

    values: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)


def read_array(path: Path) -> _Array:
    """Returns the array of a .npy file, memory-mapped, or of a .npz file that holds one.

    Raises:
        InputError: there is no such file, another ending, several arrays, or Python objects instead of numbers or texts.
    """
    if path.suffix not in MATRIX_FORMATS:
        raise InputError(f"{path} ends in {path.suffix or 'nothing'!r}; expected .npy or .npz.")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        with np.load(path, allow_pickle=False) as arrays:
            if len(arrays.files) != 1:
                raise InputError(f"{path} holds {len(arrays.files)} arrays ({shorten(arrays.files)}); expected one.")
            return np.asarray(arrays[arrays.files[0]])
    except InputError:
        raise
    except Exception as error:  # a damaged file can fail in any way; the cause stays attached
        raise InputError(f"{path} cannot be read ({error}); expected an array as numpy.save writes it, no objects.") from error


def read_column(path: Path, name: str) -> list[Any]:
    """Returns a column of values, one per item.

    Args:
        path: .npy or .npz with one dimension, .txt with a value per line, .csv or .parquet.
        name: the column of .csv and .parquet; a file of one column may call it as it likes.

    Raises:
        InputError: the file cannot be read, has no such column, or an empty cell.
    """
    if path.suffix in MATRIX_FORMATS:
        found = read_array(path)
        if found.ndim != 1:
            raise InputError(f"{path} has the shape {found.shape}; expected one dimension, a value per item.")
        return list(found.tolist())
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}); expected a value per line.") from error
        lines = [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]
        return _without_gaps(path, Columns({name: lines}, list(range(1, len(lines) + 1)))).values[name]
    return read_columns(path, [name]).values[name]


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """Returns columns of a .csv or .parquet file as text; other columns are ignored.

    Args:
        path: the file; a csv file names its columns in its first line.
        names: the columns. Where one is asked for and the file has but one, it may be called as it likes.

    Raises:
        InputError: the file cannot be read, is empty, lacks a column, or has an empty cell in one.
    """
    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path} ends in {path.suffix or 'nothing'!r}; expected .csv or .parquet.")
    try:
        header, lines, rows = _parquet(path, names) if path.suffix == ".parquet" else _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read ({error}); expected a table with {', '.join(names)}.") from error
    wanted = header if len(names) == len(header) == 1 else names
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}; found {', '.join(header) or 'nothing'}, expected {', '.join(names)}."
        )
    places = [header.index(name) for name in wanted]
    values = {name: [row[place] for row in rows] for name, place in zip(names, places, strict=True)}
    return _without_gaps(path, Columns(values, lines))


def _csv(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, strict=True)
        header = next(reader, [])
        lines, rows = [], []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} cells; expected {len(header)}, as in the first line."
                )
            lines.append(reader.line_num)
            rows.append(row)
    return header, lines, rows


def _parquet(path: Path, names: Sequence[str]) -> tuple[list[str], list[int], list[list[str]]]:
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    header = list(file.schema_arrow.names)
    chosen = [name for name in names if name in header] or header[:1]
    columns = [file.read([name])[name].to_pylist() for name in chosen]
    rows = [["" if cell is None else str(cell) for cell in row] for row in zip(*columns, strict=True)]
    return (chosen if len(header) > 1 else header), list(range(1, len(rows) + 1)), rows


def _without_gaps(path: Path, found: Columns) -> Columns:
    if not len(found):
        raise InputError(f"{path} has no row; expected at least one.")
    problems = [
        Problem("E_EMPTY", f"{name} is empty", line, column=name)
        for name, cells in found.values.items()
        for line, cell in zip(found.lines, cells, strict=True)
        if not cell.strip()
    ]
    if problems:
        raise InputError(
            f"{path}: {len(problems):,} empty cells; expected a value in each.", problems[:_KEPT_PROBLEMS], len(problems)
        )
    return found
