"""Small Arrow helpers with which source modules put columns together without Python work per row.

Every function takes arrays of `n` rows and returns an array of `n` rows; nothing is modified in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import schema

Integers: TypeAlias = NDArray[np.int64]
_NEEDS_ESCAPE = '["\\\\\\x00-\\x1f]'


def text(value: str | None, n: int) -> pa.StringArray:
    """Returns `value` repeated `n` times."""
    return pa.nulls(n, pa.string()) if value is None else pa.repeat(pa.scalar(value, pa.string()), n)


def struct(kind: pa.StructType, n: int, /, **fields: Any) -> pa.StructArray:
    """Returns a struct array of `kind`; fields not given are null, strings and numbers are repeated.

    Args:
        kind: the struct type, for instance `schema.CAPTION`.
        n: number of rows.
        **fields: arrays of `n` rows, or single values.

    Raises:
        TypeError: a field that `kind` does not have.
    """
    unknown = set(fields) - {field.name for field in kind}
    if unknown:
        raise TypeError(f"no field {sorted(unknown)} in {kind}")
    return pa.StructArray.from_arrays([_column(fields.get(field.name), field.type, n) for field in kind], fields=list(kind))


def _column(value: Any, kind: pa.DataType, n: int) -> pa.Array:
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, pa.Array):
        return value if value.type == kind else value.cast(kind)
    if value is None:
        # A list of scores that nobody gave is empty, not unknown.
        return empty_lists(kind, n) if pa.types.is_list(kind) and kind.value_type == schema.SCORE else pa.nulls(n, kind)
    return pa.repeat(pa.scalar(value, kind), n)


def contiguous(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Returns a column in one piece, without a copy where it is one."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def empty_lists(kind: pa.ListType, n: int) -> pa.ListArray:
    """Returns `n` empty lists of type `kind`."""
    return pa.ListArray.from_arrays(pa.array(np.zeros(n + 1, np.int32)), pa.nulls(0, kind.value_type), type=kind)


def lists(values: pa.Array, lengths: Integers) -> pa.ListArray:
    """Returns lists of the given lengths cut from `values`, in order.

    Args:
        values: all elements, row after row.
        lengths: int[n], elements per row.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def singletons(values: pa.Array) -> pa.ListArray:
    """Returns one list per value; a null value gives an empty list."""
    return interleaved([values])


def interleaved(columns: Sequence[pa.Array]) -> pa.ListArray:
    """Returns per row the list of the columns' values in that row, nulls left out."""
    n, k = len(columns[0]), len(columns)
    values = row_after_row(columns)
    if not values.null_count:
        return lists(values, np.full(n, k))
    present = values.is_valid()
    lengths = present.to_numpy(zero_copy_only=False).reshape(n, k).sum(axis=1)
    return lists(values.filter(present), lengths)


def row_after_row(columns: Sequence[pa.Array]) -> pa.Array:
    """Returns the columns' values of the first row, then those of the second one, and so on, nulls included."""
    n, k = len(columns[0]), len(columns)
    if k == 1:
        return columns[0]
    return pa.concat_arrays(list(columns)).take(pa.array(np.arange(n * k).reshape(k, n).T.ravel()))


def english_captions(texts: pa.StringArray | pa.ChunkedArray, per_row: Integers, **fields: Any) -> pa.ListArray:
    """Returns the column `captions` of captions in style `default` that a language model wrote, row after row.

    Args:
        texts: all captions.
        per_row: int64[n], captions per row.
        **fields: more fields of `schema.CAPTION`.
    """
    made = struct(
        schema.CAPTION,
        len(texts),
        text=texts,
        style="default",
        index=pa.array(ranges(per_row)),
        origin="llm",
        language="en",
        is_absent=False,
        **fields,
    )
    return lists(made, per_row)


def joined_lists(columns: Sequence[pa.ListArray]) -> pa.ListArray:
    """Returns per row the concatenation of the columns' lists in that row; a null list counts as empty."""
    order, lengths = row_order([lengths_of(column) for column in columns])
    return lists(pa.concat_arrays([column.flatten() for column in columns]).take(pa.array(order)), lengths.sum(axis=0))


def row_order(lengths: Sequence[Integers]) -> tuple[Integers, Integers]:
    """Returns how to bring the elements of several list columns, column after column, into the order row after row.

    Args:
        lengths: per column int64[n], elements per row.

    Returns:
        For every place in the result the place in the concatenated columns, and the lengths as int64[k, n].
    """
    counts = np.stack(list(lengths))
    k, n = counts.shape
    if counts.size and (counts == counts[0, 0]).all():  # the same number everywhere: plain arithmetic
        return np.arange(counts.sum()).reshape(k, n, -1).transpose(1, 0, 2).ravel(), counts
    begins = (np.cumsum(counts.T.ravel()) - counts.T.ravel()).reshape(n, k).T
    order = np.empty(counts.sum(), np.int64)
    order[stretches(begins.ravel(), counts.ravel())] = np.arange(len(order))
    return order, counts


def characters_of(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the bytes of all texts, one after the other and without a copy, and int64[n + 1]: where each begins and ends."""
    _, offsets, data = texts.buffers()
    begins = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    characters = np.frombuffer(data or b"", np.uint8)[begins[0] : begins[-1]]
    return characters, begins - begins[0]


def stretches(begins: Integers, lengths: Integers) -> Integers:
    """Returns the places begin, begin + 1, ... of every stretch, one stretch after the other.

    >>> stretches(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    total = int(lengths.sum())
    kind = np.int32 if total + int(begins.max(initial=0)) < 1 << 31 else np.int64  # half the memory to go through
    places = np.repeat((begins - (np.cumsum(lengths) - lengths)).astype(kind), lengths)
    places += np.arange(total, dtype=kind)
    return places


def ranges(lengths: Integers) -> Integers:
    """Returns 0..l-1 for every l, one after the other: the index of every element in its own list.

    >>> ranges(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return stretches(np.zeros(len(lengths), np.int64), lengths)


def lengths_of(column: pa.ListArray) -> Integers:
    """Returns int64[n], the number of elements per row; null counts as 0."""
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def json_texts(values: pa.StringArray) -> pa.StringArray:
    """Returns every text as a JSON string; null stays null. Only texts that need escapes cost Python time."""
    if values.null_count == len(values):
        return values
    quoted = pc.binary_join_element_wise('"', values, '"', "")
    odd = pc.fill_null(pc.match_substring_regex(values, _NEEDS_ESCAPE), False)
    if pc.any(odd).as_py():
        escaped = [json.dumps(value, ensure_ascii=False) for value in values.filter(odd).to_pylist()]
        quoted = pc.replace_with_mask(quoted, odd, pa.array(escaped, pa.string()))
    return quoted


def json_members(members: Mapping[str, pa.StringArray], more: pa.StringArray | None = None) -> pa.StringArray:
    """Returns the inside of one JSON object per row, "" for an empty one.

    Args:
        members: key to JSON values; a null leaves the key out of that row's object. There must be one at least.
        more: the inside of another object, put behind the members.
    """
    pieces = [
        pc.fill_null(pc.binary_join_element_wise(f", {json.dumps(key)}: ", values, ""), "")
        for key, values in members.items()
        if values.null_count < len(values)
    ]
    if not pieces:
        return text("", len(next(iter(members.values())))) if more is None else more
    if more is not None:
        pieces.append(pc.if_else(pc.equal(more, ""), "", pc.binary_join_element_wise(", ", more, "")))
    return pc.utf8_slice_codeunits(pc.binary_join_element_wise(*pieces, "") if len(pieces) > 1 else pieces[0], 2)


def json_objects(inside: pa.StringArray) -> pa.StringArray:
    """Returns JSON objects from their insides; see `json_members`."""
    return pc.binary_join_element_wise("{", inside, "}", "")


def json_objects_or_null(inside: pa.StringArray) -> pa.StringArray:
    """Returns JSON objects from their insides, null for empty ones."""
    return pc.if_else(pc.equal(inside, ""), pa.scalar(None, pa.string()), json_objects(inside))


def numbers(texts: pa.StringArray) -> tuple[pa.DoubleArray, pa.StringArray]:
    """Returns numbers written as text: the float64 values, and the text again where it was written as an integer.

    The second array goes into `extra_json`, so that 10 and 10.0 stay different upstream values.
    """
    is_integer = pc.match_substring_regex(texts, "^-?[0-9]+$")
    return pc.cast(texts, pa.float64()), pc.if_else(is_integer, texts, pa.scalar(None, pa.string()))


def record_batch(n: int, /, **columns: Any) -> pa.RecordBatch:
    """Returns a batch of the one schema; columns not given are null; required ones are empty lists or objects.

    Args:
        n: number of rows.
        **columns: arrays of `n` rows, or single values that are repeated.

    Raises:
        TypeError: a column that the schema does not have.
    """
    unknown = set(columns) - set(schema.SCHEMA.names)
    if unknown:
        raise TypeError(f"no column {sorted(unknown)} in the schema")
    made = []
    for field in schema.SCHEMA:
        value = columns.get(field.name)
        if value is None and pa.types.is_list(field.type) and not field.nullable:
            made.append(empty_lists(field.type, n))
        elif value is None and field.name == "extra_json":
            made.append(text("{}", n))
        else:
            made.append(_column(value, field.type, n))
    return pa.RecordBatch.from_arrays(made, schema=schema.SCHEMA)
