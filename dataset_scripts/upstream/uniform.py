"""JSON lines that differ only in their texts, taken apart at their quotes.

Programs write such files: every line has the same fields in the same order, spaced alike, with lists of equal length. Then all
bytes between the texts are those of the first line, which was parsed; comparing them is all the parsing that the others need,
and a column is copied once, from the block into Arrow. Anything else is left to the readers that can do more.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..arrays import stretches

Slots = dict[str, list[int]]  # field -> numbers of the quoted strings that are its texts


def keyed_columns(data: bytes, key: str, texts: tuple[str, ...], lists: tuple[str, ...]) -> dict[str, pa.Array] | None:
    """Returns the columns of `{"<key>": {<fields>}}` lines, None where they are not uniform or have other fields.

    Args:
        data: UTF-8, whole lines.
        key: name of the column of keys.
        texts: fields that hold a text.
        lists: fields that hold a list of texts.

    Returns:
        Per field a StringArray, or a ListArray of strings.
    """
    layout = _layout(data[: data.index(b"\n")], key, texts, lists)
    if layout is None:
        return None
    slots, n_quoted = layout
    characters = np.frombuffer(data, np.uint8)
    n = data.count(b"\n")
    has_escapes = b"\\" in data
    quotes = _quotes(characters) if has_escapes else np.flatnonzero(characters == ord('"'))
    if len(quotes) != 2 * n_quoted * n or np.count_nonzero(characters < ord(" ")) != n:
        return None
    used = sorted(slot for numbers in slots.values() for slot in numbers)
    opening = quotes[0::2].reshape(n, n_quoted)[:, used] + 1
    closing = quotes[1::2].reshape(n, n_quoted)[:, used]
    elements = _elements(data, opening, closing)
    if elements is None:
        return None
    place = {slot: number for number, slot in enumerate(used)}
    first_of_row = 2 * len(used) * np.arange(n)[:, None]
    columns: dict[str, pa.Array] = {}
    for name in (key, *texts, *lists):
        wanted = first_of_row + 2 * np.array([place[slot] for slot in slots[name]], np.int64)
        column = _unescaped(elements.take(pa.array(wanted.ravel())).view(pa.string()), has_escapes)
        if column is None:
            return None
        offsets = np.arange(n + 1, dtype=np.int32) * len(slots[name])
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets), column) if name in lists else column
    return columns


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order, told apart from a JSON list."""


def _layout(line: bytes, key: str, texts: tuple[str, ...], lists: tuple[str, ...]) -> tuple[Slots, int] | None:
    """Returns which of the quoted strings of the first line belong to which field, and how many there are."""
    try:
        ((_, fields),) = json.loads(line, object_pairs_hook=_Members)
    except (ValueError, TypeError):  # no JSON, or not an object with one member
        return None
    if not isinstance(fields, _Members) or sorted(name for name, _ in fields) != sorted((*texts, *lists)):
        return None
    slots: Slots = {key: [0]}
    number = 1
    for name, value in fields:
        values = [value] if name in texts else value
        if type(values) is not list or not all(isinstance(one, str) for one in values):
            return None
        slots[name] = list(range(number + 1, number + 1 + len(values)))
        number += 1 + len(values)
    return slots, number


def _quotes(characters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns where the quotes are that begin or end a string: those behind an even number of backslashes."""
    quotes = np.flatnonzero(characters == ord('"'))
    behind = quotes[characters[quotes - 1] == ord("\\")]
    escaped = []
    for quote in behind.tolist():
        at = quote - 1
        while characters[at] == ord("\\"):
            at -= 1
        if (quote - 1 - at) % 2:
            escaped.append(quote)
    return np.setdiff1d(quotes, np.array(escaped, np.int64), assume_unique=True)


def _elements(data: bytes, opening: NDArray[np.int64], closing: NDArray[np.int64]) -> pa.BinaryArray | None:
    """Returns texts and what stands between them in turn, without a copy; None where the latter differs between lines.

    Args:
        data: the block.
        opening: int64[lines, texts], where the texts begin.
        closing: int64[lines, texts], where they end.
    """
    before = data[: opening[0, 0]]
    whole = data + before  # the last line is followed by what each line begins with, as all others are
    begins = np.append(opening.ravel(), len(whole))
    between = begins[1:] - closing.ravel()
    lengths = between.reshape(opening.shape)
    if (between < 1).any() or (lengths != lengths[0]).any():
        return None
    characters = np.frombuffer(whole, np.uint8)
    constants = characters[stretches(closing.ravel(), between)].reshape(len(opening), -1)
    if (constants != constants[0]).any():
        return None
    offsets = np.empty(2 * opening.size + 1, np.int32)
    offsets[0::2] = begins
    offsets[1::2] = closing.ravel()
    return pa.BinaryArray.from_buffers(pa.binary(), 2 * opening.size, [None, pa.py_buffer(offsets), pa.py_buffer(whole)])


def _unescaped(column: pa.StringArray, has_escapes: bool) -> pa.StringArray | None:
    """Returns the texts that JSON strings stand for, None where one is no JSON string."""
    if not has_escapes:
        return column
    is_escaped = pc.match_substring(column, "\\")
    try:
        replaced: list[Any] = [json.loads(f'"{text}"') for text in column.filter(is_escaped).to_pylist()]
        return pc.replace_with_mask(column, is_escaped, pa.array(replaced, pa.string())) if replaced else column
    except (ValueError, UnicodeEncodeError):  # a wrong escape, or half a surrogate pair
        return None
