r"""Files that are one JSON list of records, or one object with such a list, as WavCaps publishes them.

The list is cut into blocks at the bytes that stand between its first two records, and these bytes become line breaks. A text
may hold what looks like the border of two records (a quote inside a text is always written `\"`, so only its end can): then
Arrow refuses the block, and the slow reader finds the true border.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from .files import BLOCK_BYTES, RawFile
from .jsonrecords import Numbers, Shape, from_records, loads, no_constant, no_repeats, numbered, parsed

_END_OF_LIST = re.compile(rb"\s*\]\s*$")
_END_OF_OBJECT = re.compile(rb'\s*\](?:\s*,\s*"[^"\\]*"\s*:\s*[^{}\[\]]*)?\s*\}\s*$')
_BORDER = re.compile(r"\s*(?:,\s*|$)")


def listed(file: RawFile, shape: Shape, member: str | None = None) -> Iterator[pa.Table]:
    """Yields the records of a file that is one list of records, or one object with such a list as its last member.

    Args:
        file: the file.
        shape: the documented fields.
        member: name of the list in the object, None where the file is the list itself.

    Yields:
        Tables with the shape's fields, `ROW` and `EXTRA`.

    Raises:
        RecordError: another layout, invalid JSON, a needed field that is missing, null or no text; with the record's number.
    """
    position = 0
    waiting = b""
    separator, blocks = _list_blocks(file, member)
    for block, is_last in blocks:
        data = waiting + block
        count = data.count(separator) + 1 if separator else 1
        cut = separator.index(b"{") if separator else 0
        lines = data.replace(separator, b"}\n" + separator[cut:]) if separator else data
        table = parsed(lines, count, shape)
        if table is None:
            records = _decoded_list(file, data, position, is_last)
            if records is None:  # the block was cut inside a text that looks like the border of two records
                waiting = data + separator[1:cut]
                continue
            table = from_records(file, records, shape, Numbers(position))
        waiting = b""
        yield numbered(table, position)
        position += table.num_rows


def _list_blocks(file: RawFile, member: str | None) -> tuple[bytes, Iterable[tuple[bytes, bool]]]:
    """Returns what stands between two records, and blocks of whole records with whether it is the last one."""
    head = next(file.blocks(), b"")[: 1 << 20]
    opening = rb"\s*\[\s*"
    if member is not None:
        others = rb'(?:\s*"[^"\\{}\[\]]*"\s*:\s*[^"{}\[\],]+,)*'
        opening = rb'\s*\{%s\s*"%s"\s*:%s' % (others, re.escape(member.encode()), opening)
    start = re.match(opening, head)
    if start is None or head[start.end() : start.end() + 1] != b"{":
        return b"", [(_whole_list(file, member), True)]
    separator = _separator(head[start.end() :])
    return separator, _cut_blocks(file, start.end(), separator, _END_OF_LIST if member is None else _END_OF_OBJECT)


def _separator(records: bytes) -> bytes:
    """Returns the bytes from the end of the first record to the first key of the second, b"" if there is no second."""
    text = records.decode("utf-8", errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        return b""
    match = re.match(r'\s*,\s*\{\s*"', text[end:])
    return b"}" + match[0].encode() if match else b""


def _cut_blocks(file: RawFile, start: int, separator: bytes, end: re.Pattern[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yields blocks that begin and end with whole records; the file's own end is taken off the last one."""
    if not separator:
        yield _without_end(b"".join(file.blocks())[start:], end), True
        return
    opening = separator[separator.index(b"{") :]
    waiting = b""
    for number, block in enumerate(file.blocks(BLOCK_BYTES, end=separator)):
        if waiting:
            yield waiting[: len(waiting) - len(separator) + 1], False
        waiting = block[start:] if number == 0 else opening + block
    yield _without_end(waiting, end), True


def _without_end(data: bytes, end: re.Pattern[bytes]) -> bytes:
    """Returns the records without what closes the list and the object; simple members may stand between the two."""
    tail = data[-1000:]
    found = end.search(tail)
    return data[: len(data) - len(tail) + found.start()] if found else data


def _whole_list(file: RawFile, member: str | None) -> bytes:
    """Returns the records of a file in an unusual layout, written anew: slow, and in memory as a whole."""
    value = loads(file, file.decode(b"".join(file.blocks()), 1))
    records = value if member is None else value.get(member) if isinstance(value, dict) else None
    if not isinstance(records, list):
        raise file.error(f"expected one object with a list {member!r}" if member else "expected one list of records", value=value)
    return ",".join(json.dumps(record) for record in records).encode()


def _decoded_list(file: RawFile, data: bytes, position: int, is_last: bool) -> list[Any] | None:
    """Returns the records of a block one by one, None if the block seems to end inside a text."""
    text = file.decode(data, 1)
    decoder = json.JSONDecoder(object_pairs_hook=no_repeats, parse_constant=no_constant)
    records: list[Any] = []
    at = len(text) - len(text.lstrip())
    while at < len(text):
        number = position + len(records) + 1
        try:
            record, end = decoder.raw_decode(text, at)
        except ValueError as problem:
            if not is_last:
                return None
            is_cut = isinstance(problem, json.JSONDecodeError) and (
                problem.pos >= len(text.rstrip()) - 1 or problem.msg.startswith("Unterminated string")
            )
            what = "the file ends inside a record: download it again" if is_cut else f"invalid JSON ({problem})"
            raise file.error(f"{what}; expected one object per record", record=number, value=text[at : at + 200]) from None
        records.append(record)
        border = _BORDER.match(text, end)
        at = border.end() if border else end
        if border is None and text[end:].strip():
            raise file.error(
                "expected a comma between two records, or the end of the list", record=number, value=text[end : end + 80]
            )
    return records
