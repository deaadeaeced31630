r"""Files of JSON lines, one record per line: plain objects, or `{"<key>": {<fields>}}` as MECAT and ACAVCaps publish them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ..arrays import stretches
from .files import RawFile
from .jsonrecords import Lines, Shape, from_records, is_utf8, loads, numbered, parsed

KEY = "__key__"  # the key that a record stands under
_OPENING = re.compile(rb'\{"([^"\\]*)("\s*:\s*\{)')


def plain_lines(file: RawFile, shape: Shape) -> Iterator[pa.Table]:
    """Yields the records of a file with one object per line.

    Yields:
        Tables with the shape's fields, `ROW` and `EXTRA`.

    Raises:
        RecordError: a line that is no object, a needed field that is missing, null or of another type; with the line.
    """
    position, line = 0, 1
    for block in file.blocks():
        data = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        contents = [(at, one) for at, one in enumerate(file.decode(data, line).removesuffix("\n").split("\n"), start=line)]
        filled = [(at, one) for at, one in contents if one.strip()]
        table = parsed(data, len(filled), shape)
        if table is None:
            table = from_records(file, [loads(file, one, line=at) for at, one in filled], shape, Lines(data, line))
        yield numbered(table, position)
        position += table.num_rows
        line += data.count(b"\n")


def keyed_lines(file: RawFile, shape: Shape) -> Iterator[pa.Table]:
    """Yields the records of a file with one `{"<key>": {<fields>}}` per line.

    Yields:
        Tables with `KEY`, the shape's fields, `ROW` and `EXTRA`.

    Raises:
        RecordError: a line that is no such object, a needed field that is missing, null or no text; with the line.
    """
    keyed = Shape((KEY, *shape.texts), shape.lists, shape.numbers, (KEY, *shape.needed))
    position, line = 0, 1
    for block in file.blocks():
        data = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        data = data if data.endswith(b"\n") else data + b"\n"
        table = _keyed(data, shape)
        if table is None:
            records = (
                (at, _with_key(file, at, loads(file, content, line=at)))
                for at, content in enumerate(file.decode(data, line).split("\n"), start=line)
                if content.strip()
            )
            table = from_records(file, [record for _, record in records], keyed, Lines(data, line))
        yield numbered(table, position)
        position += table.num_rows
        line += data.count(b"\n")


def _keyed(data: bytes, shape: Shape) -> pa.Table | None:
    """Returns the records of keyed lines, None where any line is not exactly as documented."""
    found = _unkeyed(data) if is_utf8(data) else None
    if found is None:
        return None
    keys, lines = found
    table = parsed(lines, len(keys), shape)
    return None if table is None else table.add_column(0, KEY, keys)


def _unkeyed(data: bytes) -> tuple[pa.StringArray, bytes] | None:
    """Returns the keys of `{"<key>": {...}}` lines, and the lines with all but the inner object turned into blanks.

    Returns None where a line is not plainly of that form (a key with an escape, other spacing than in the first line, an empty
    line). What is left over in a line that only begins and ends like one makes Arrow refuse it.
    """
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    first = _OPENING.match(data)
    if first is None or (ends - starts).min() < len(first[2]) + 6:
        return None
    quotes = np.flatnonzero(characters == ord('"'))
    after = np.searchsorted(quotes, starts + 2)
    if after[-1] == len(quotes):
        return None
    border = quotes[after]  # where the key ends
    length = border - starts - 2
    as_first = [characters[np.minimum(border + i, len(characters) - 1)] == byte for i, byte in enumerate(first[2])]
    if not np.all(
        [characters[starts] == ord("{"), characters[starts + 1] == ord('"'), characters[ends - 1] == ord("}"), *as_first]
    ):
        return None
    keys = characters[stretches(starts + 2, length)]
    if (keys < ord(" ")).any() or (keys == ord("\\")).any():
        return None
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int32)
    lines = characters.copy()
    before = length + 2 + len(first[2]) - 1
    lines[stretches(starts, before)] = ord(" ")
    lines[ends - 1] = ord(" ")
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(keys)), lines.tobytes()


def _with_key(file: RawFile, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) != 1 or not isinstance(next(iter(value.values())), dict):
        raise file.error('expected one object of the form {"<key>": {...}} per line', line=line, value=value)
    ((key, fields),) = value.items()
    return {KEY: key, **fields}
