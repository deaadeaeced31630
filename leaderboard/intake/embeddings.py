"""Reads what a retrieval system hands in: embeddings of clips and captions, or a score for each pair.

`.safetensors` holds `audio` float[n_clips, d] and `text` float[n_captions, d], or `scores` float[n_captions, n_clips], and in
its metadata `ids`: the JSON list of the clips' ids in the order of `audio` (of the columns of `scores`). `.parquet` has a row per
clip: `id`, `audio` list<float>, `text` list<list<float>>. Captions come clip by clip, in the order of the benchmark's references.
Source: the safetensors format: eight bytes with the length of a JSON header, the header, the numbers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...dataset_scripts.errors import Problem, shorten
from ...evaluators.files import LineError, check_text, json_object, kind_of
from ..benchmark import BenchmarkItems
from .bounded import Limits, Refused
from .bounded_parquet import BoundedParquet, is_text, text_values

_Array = npt.NDArray[Any]
_DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}
_CHECKED_NUMBERS = 2**20
_UNKNOWN_HINT = "ids are the dataset's `id`, its upstream key or its file name"


@dataclass(frozen=True)
class Embeddings:
    """What a retrieval system says; captions clip by clip, in the order of `ids` and of the benchmark's references.

    Attributes:
        ids: of the clips, as the benchmark calls them.
        audio: float[n_clips, d]; None where there are scores.
        text: float[n_captions, d]; None where there are scores.
        scores: float[n_captions, n_clips]; None where there are embeddings.
    """

    ids: tuple[str, ...] = field(repr=False)
    audio: _Array | None = field(default=None, repr=False)
    text: _Array | None = field(default=None, repr=False)
    scores: _Array | None = field(default=None, repr=False)


def read_embeddings(
    path: Path, stream: IO[bytes], ending: str, items: BenchmarkItems, limits: Limits, add: Callable[[Problem], None]
) -> tuple[Embeddings | None, int, Mapping[str, object]]:
    """Reads a file of embeddings or scores.

    Args:
        path: the file; numbers of `.safetensors` stay in it, memory-mapped.
        stream: the same, open.
        ending: `.safetensors` or `.parquet`.
        items: the clips of the benchmark.
        limits: what is taken.
        add: called with every problem.

    Returns:
        The embeddings, None where there was a problem; the number of clips in the file; its header values as they came.

    Raises:
        Refused: no more of the file can be read.
    """
    n_problems = 0

    def count(problem: Problem) -> None:
        nonlocal n_problems
        n_problems += 1
        add(problem)

    read = _safetensors if ending == ".safetensors" else _parquet
    found, n_rows, note = read(path, stream, items, limits, count)
    return found if not n_problems else None, n_rows, note


# -- safetensors -----------------------------------------------------------------------------------------------------------------


def _safetensors(
    path: Path, stream: IO[bytes], items: BenchmarkItems, limits: Limits, add: Callable[[Problem], None]
) -> tuple[Embeddings | None, int, Mapping[str, object]]:
    header, data_begin, size_bytes = _header(stream, limits)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise Refused("E_CUT", f"the metadata of the safetensors file is {kind_of(metadata)}; expected an object")
    names = [name for name in ("audio", "text", "scores") if name in header]
    if names not in (["audio", "text"], ["scores"]):
        others = ", ".join(shorten(name, 40) for name in list(header)[:10] if name != "__metadata__")
        raise Refused("E_COLUMN", f"found the tensors {others or 'none'}; expected audio and text, or scores")
    ids = _listed_ids(metadata.get("ids"))
    if len(ids) > (most := limits.rows_per_item * len(items.references)):
        raise Refused("E_ROWS", f"{len(ids):,} ids; at most {most:,} are taken")
    resolved = _resolved(((place, id_) for place, id_ in enumerate(ids, start=1)), items, add)
    tensors = {name: _tensor(path, name, header[name], data_begin, size_bytes, add) for name in names}
    note = read_note(metadata.get("uac"), limits)
    if resolved is None or any(one is None for one in tensors.values()):
        return None, len(ids), note
    n_captions = sum(len(items.references[id_]) for id_ in resolved)
    expected = {"audio": len(ids), "text": n_captions, "scores": n_captions}
    for name, tensor in tensors.items():
        assert tensor is not None  # noqa: S101 # seen above
        columns = len(ids) if name == "scores" else tensors["audio"].shape[1]  # type: ignore[union-attr]
        if tensor.shape != (expected[name], columns) or not 0 < columns <= max(limits.dimensions, len(ids)):
            rows = "captions" if name != "audio" else "clips"
            add(
                Problem(
                    "E_COUNT",
                    f"{name} has the shape {list(tensor.shape)}; expected {expected[name]:,} rows, one for each of the {rows}, "
                    f"and {'a column per clip' if name == 'scores' else f'the same 1 to {limits.dimensions:,} columns as audio'}",
                    column=name,
                )
            )
            return None, len(ids), note
    done = {name: _checked(tensor, name, add) for name, tensor in tensors.items() if tensor is not None}
    return Embeddings(tuple(resolved), done.get("audio"), done.get("text"), done.get("scores")), len(ids), note


def _header(stream: IO[bytes], limits: Limits) -> tuple[Mapping[str, object], int, int]:
    """Returns the header, where the numbers begin, and the size of the file."""
    size_bytes = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    begin = stream.read(8)
    n_bytes = int.from_bytes(begin, "little")
    if len(begin) < 8 or n_bytes > size_bytes - 8:
        raise Refused("E_CUT", "the safetensors file ends inside its header", "copy it again")
    if n_bytes > limits.header_bytes:
        message = f"the safetensors file's header has {n_bytes:,} bytes; at most {limits.header_bytes:,} are taken"
        raise Refused("E_TOO_BIG", message)
    try:
        return json_object(stream.read(n_bytes)), 8 + n_bytes, size_bytes
    except LineError as error:
        raise Refused("E_CUT", f"the header of the safetensors file cannot be read: {error.message}", "write it again") from None


def _listed_ids(value: object) -> list[object]:
    hint = 'save_file(tensors, path, metadata={"ids": json.dumps(ids)})'
    if not isinstance(value, str):
        raise Refused("E_COLUMN", f"the metadata's ids are {kind_of(value)}; expected a JSON list of clip ids, as text", hint)
    try:
        ids = json_object(b'{"ids":' + value.encode("utf-8", "surrogatepass") + b"}").get("ids")
    except LineError as error:
        raise Refused("E_JSON", f"the metadata's ids are {error.message}", hint) from None
    if not isinstance(ids, list):
        raise Refused("E_TYPE", f"the metadata's ids are {kind_of(ids)}; expected a JSON list of clip ids", hint)
    return ids


def read_note(value: object, limits: Limits) -> Mapping[str, object]:
    """Returns the header values, still unchecked, that a file's metadata holds under `uac`.

    Args:
        value: JSON; anything but text and bytes stands for none.
        limits: what is taken.

    Raises:
        Refused: it is too long, or no object.
    """
    if not isinstance(value, str | bytes):
        return {}
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if len(raw) > limits.note_bytes:
        raise Refused("E_TOO_BIG", f"the header values uac have {len(raw):,} bytes; at most {limits.note_bytes:,} are taken")
    try:
        return json_object(raw)
    except LineError as error:
        raise Refused(error.code, f"the header values uac: {error.message}") from None


def _tensor(
    path: Path, name: str, entry: object, data_begin: int, size_bytes: int, add: Callable[[Problem], None]
) -> _Array | None:
    """Returns a tensor as it lies in the file."""
    found: dict[str, object] = entry if isinstance(entry, dict) else {}
    kind, shape, offsets = (found.get(key) for key in ("dtype", "shape", "data_offsets"))
    dtype: np.dtype[Any] | None = _DTYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        came = shorten(kind, 20) if isinstance(kind, str) else kind_of(kind)
        add(Problem("E_TYPE", f"{name} holds {came}; expected {', '.join(_DTYPES)}", column=name))
        return None
    place, rows_columns = _two(offsets), _two(shape)
    if place is None or rows_columns is None:
        add(Problem("E_TYPE", f"{name} has no sound shape or place; expected two dimensions", column=name))
        return None
    begin, end = place
    if not begin <= end <= size_bytes - data_begin or end - begin != math.prod(rows_columns) * dtype.itemsize:
        n_bytes = size_bytes - data_begin
        message = f"{name} of shape {list(rows_columns)} does not fill bytes {begin:,} to {end:,} of the {n_bytes:,} there are"
        add(Problem("E_CUT", message, hint="copy the file again", column=name))
        return None
    if begin == end:
        return np.empty(rows_columns, dtype)
    return np.asarray(np.memmap(path, dtype, "r", data_begin + begin, rows_columns))


def _two(value: object) -> tuple[int, int] | None:
    """Returns a list of two sizes, None for anything else."""
    if isinstance(value, list) and len(value) == 2 and all(type(one) is int and 0 <= one < 2**40 for one in value):
        return value[0], value[1]
    return None


def _checked(tensor: _Array, name: str, add: Callable[[Problem], None]) -> _Array:
    """Returns numbers that can be computed with; adds a problem for each row that holds none, or of an embedding only zeros."""
    if tensor.dtype == _DTYPES["BF16"]:
        tensor = (tensor.astype("<u4") << 16).view("<f4")
    step = max(1, _CHECKED_NUMBERS // tensor.shape[1])
    for begin in range(0, len(tensor), step):
        rows = np.asarray(tensor[begin : begin + step])
        finite = np.isfinite(rows).all(axis=1)
        for row in np.flatnonzero(~finite):
            add(_not_finite(name, begin + int(row) + 1))
        if name != "scores":
            for row in np.flatnonzero(finite & ~(rows != 0).any(axis=1)):
                add(_zero(name, begin + int(row) + 1))
    return tensor


def _not_finite(name: str, line: int, id_: str | None = None) -> Problem:
    return Problem("E_VALUE", f"{name} holds NaN or an infinite number in this row; expected numbers", line, id_, column=name)


def _zero(name: str, line: int, id_: str | None = None) -> Problem:
    return Problem("E_VALUE", f"the embedding in {name} is zero; expected one that has a direction", line, id_, column=name)


def _resolved(names: Iterator[tuple[int, object]], items: BenchmarkItems, add: Callable[[Problem], None]) -> list[str] | None:
    """Returns the benchmark's ids; None where one is unknown, there twice, or missing."""
    lines: dict[str, int] = {}
    is_sound = True
    for line, name in names:
        try:
            id_ = items.resolve(check_text(name, "id"))
            if id_ is None:
                message = f"{shorten(name)} is no clip of {items.benchmark.id}"
                raise LineError("E_UNKNOWN_ID", message, id_=str(name), column="id", hint=_UNKNOWN_HINT)
            if id_ in lines:
                message = f"{shorten(name)} stands at {lines[id_]} already"
                raise LineError("E_DUP_ID", message, id_=str(name), column="id", hint="every clip comes once")
            lines[id_] = line
        except LineError as error:
            add(error.at(line))
            is_sound = False
    missing = [id_ for id_ in items.references if id_ not in lines]
    if missing:
        listed = ", ".join(missing[:20]) + (" …" if len(missing) > 20 else "")
        message = f"{len(missing):,} of {len(items.references):,} clips are not there: {listed}"
        add(Problem("E_MISSING_ID", message, hint="every clip of the benchmark needs its embeddings"))
    return list(lines) if is_sound and not missing else None


# -- parquet ---------------------------------------------------------------------------------------------------------------------


def _parquet(
    _path: Path, stream: IO[bytes], items: BenchmarkItems, limits: Limits, add: Callable[[Problem], None]
) -> tuple[Embeddings | None, int, Mapping[str, object]]:
    n_clips, n_captions = len(items.references), sum(map(len, items.references.values()))
    file = BoundedParquet(stream, limits, limits.embedding_bytes, limits.rows_per_item * n_clips, ("id",))
    note = read_note(file.key_values.get(b"uac"), limits)
    if not _has_columns(file.schema, add):
        return None, file.n_rows, note
    names: list[tuple[int, object]] = []
    audio: list[_Array] = []
    text: list[_Array] = []
    most = min(n_captions * limits.dimensions, limits.embedding_bytes // 4)
    for table in file.row_groups(["id", "audio", "text"], max_values=most):
        first_line = len(names) + 1
        for line, (name, clip, captions) in enumerate(_rows(table), start=first_line):
            names.append((line, name))
            shown = name if isinstance(name, str) else None
            resolved = items.resolve(name) if isinstance(name, str) else None
            wanted = len(items.references[resolved]) if resolved is not None else None
            problem = _row_problem(clip, captions, wanted, audio[0].shape[1] if audio else None, limits)
            if problem is not None:
                code, message, column = problem
                add(Problem(code, message, line, shown, column=column))
                continue
            assert clip is not None and captions is not None  # noqa: S101 # `_row_problem` has seen both
            audio.append(clip[None])
            text.append(captions)
    ids = _resolved(iter(names), items, add)
    if ids is None or len(audio) != len(ids):
        return None, len(names), note
    return Embeddings(tuple(ids), np.concatenate(audio), np.concatenate(text)), len(names), note


def _has_columns(schema: pa.Schema, add: Callable[[Problem], None]) -> bool:
    is_sound = True
    for name, depth in (("id", 0), ("audio", 1), ("text", 2)):
        count = schema.names.count(name)
        if count != 1:
            came = "missing" if not count else f"there {count} times"
            names = ", ".join(shorten(one, 40) for one in schema.names[:10])
            add(Problem("E_COLUMN", f"the column {name!r} is {came}; found {names or 'none'}", column=name))
            is_sound = False
            continue
        kind = schema.field(name).type
        expected = ("text", "list<float>", "list<list<float>>")[depth]
        for _ in range(depth):
            is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
            kind = kind.value_type if is_list else pa.null()
        if not (pa.types.is_floating(kind) if depth else is_text(kind)):
            message = f"{name} is {str(schema.field(name).type)[:60]}; expected {expected}"
            add(Problem("E_TYPE", message, column=name))
            is_sound = False
    return is_sound


def _rows(table: pa.Table) -> Iterator[tuple[object, _Array | None, _Array | None]]:
    """Yields id, float[d] and float[n, d] of each row; None for null, and for rows of different lengths."""
    try:
        ids = text_values(table.column("id"))
        for place in range(table.num_rows):
            clip = table.column("audio")[place]
            captions = table.column("text")[place]
            yield ids[place], _numbers(clip), _matrix(captions)
    except Refused:
        raise
    except Exception as error:  # whatever a damaged column makes of itself
        raise Refused("E_CUT", f"the parquet file cannot be read ({str(error)[:200]})", "write it anew") from error


def _numbers(cell: pa.Scalar) -> _Array | None:
    values = cell.values if cell.is_valid else None
    return None if values is None or values.null_count else np.asarray(values.to_numpy(zero_copy_only=False))


def _matrix(cell: pa.Scalar) -> _Array | None:
    if not cell.is_valid or cell.values.null_count:
        return None
    lengths = pc.list_value_length(cell.values).to_pylist()
    flat = pc.list_flatten(cell.values)
    if not lengths or len(set(lengths)) > 1 or flat.null_count:
        return None
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(lengths), lengths[0])


def _row_problem(
    clip: _Array | None, captions: _Array | None, wanted: int | None, dimensions: int | None, limits: Limits
) -> tuple[str, str, str] | None:
    """Returns code, message and column of the first thing that is wrong with a row."""
    if clip is None or captions is None:
        column = "audio" if clip is None else "text"
        return "E_TYPE", f"{column} is null, empty, holds null or rows of different lengths; expected numbers", column
    expected = len(clip) if dimensions is None else dimensions
    if not 0 < len(clip) <= limits.dimensions or len(clip) != expected:
        most = f"1 to {limits.dimensions:,}" if dimensions is None else f"{dimensions:,} as in the first row"
        return "E_COUNT", f"audio has {len(clip):,} dimensions; expected {most}", "audio"
    if captions.shape[1] != expected:
        return "E_COUNT", f"text has {captions.shape[1]:,} dimensions; expected the {expected:,} of audio", "text"
    if wanted is not None and len(captions) != wanted:
        return "E_COUNT", f"text has {len(captions):,} embeddings; the clip has {wanted:,} captions", "text"
    for name, rows in (("audio", clip[None]), ("text", captions)):
        if not np.isfinite(rows).all():
            return "E_VALUE", f"{name} holds NaN or an infinite number; expected numbers", name
        if not (rows != 0).any(axis=1).all():
            return "E_VALUE", f"an embedding in {name} is zero; expected one that has a direction", name
    return None
