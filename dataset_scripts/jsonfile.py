r"""JSON files of many records: one per line under a key of its own, or a list inside one object.

- Arrow parses blocks of records under an explicit schema. Other layouts are made into lines first, by changes of bytes outside
  of JSON strings (a quote inside a string is always written `\"`, a line break `\n`).
- A block that Arrow rejects, or in which a documented field is missing, null or of another type, goes through a slow reader:
  it keeps what can be kept and names the line and field that cannot. Other blocks stay fast.
- Numbers come as the text they are written as, so that 10 and 10.0 stay apart.
- Fields that the format does not have are not lost: they come as JSON members in the column `EXTRA`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.json

from .arrays import ranges
from .csvfile import EXTRA, ROW
from .files import BLOCK_BYTES, RawFile

KEY = "__key__"  # the key that a record stands under
_NUMBER = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BORDER = re.compile(r"\s*(?:,\s*|$)")
_OPENING = re.compile(rb'\{"([^"\\]*)("\s*:\s*\{)')
_TEXTS = pa.list_(pa.string())


@dataclass(frozen=True)
class Shape:
    """The documented fields of a record.

    Attributes:
        texts: fields that hold a text.
        lists: fields that hold a list of texts.
        numbers: fields that hold a number.
        needed: fields without which a record is refused.
    """

    texts: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Columns of the tables that are read: numbers are text here."""
        return pa.schema([(name, pa.string()) for name in (*self.texts, *self.numbers)] + [(name, _TEXTS) for name in self.lists])


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
                (at, _with_key(file, at, _loads(file, content, line=at)))
                for at, content in enumerate(file.decode(data, line).split("\n"), start=line)
                if content.strip()
            )
            table = _from_records(file, [record for _, record in records], keyed, _Lines(data, line))
        yield _numbered(table, position)
        position += table.num_rows
        line += data.count(b"\n")


def listed(file: RawFile, shape: Shape, member: str) -> Iterator[pa.Table]:
    """Yields the records of a file that is one object with a list of records as its last member.

    Args:
        file: the file.
        shape: the documented fields.
        member: name of the list.

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
        table = _parsed(lines, count, shape)
        if table is None:
            records = _decoded_list(file, data, position, is_last)
            if records is None:  # the block was cut inside a text that looks like the border of two records
                waiting = data + separator[1:cut]
                continue
            table = _from_records(file, records, shape, _Numbers(position))
        waiting = b""
        yield _numbered(table, position)
        position += table.num_rows


def _keyed(data: bytes, shape: Shape) -> pa.Table | None:
    """Returns the records of keyed lines, None where any line is not exactly as documented."""
    found = _unkeyed(data) if _is_utf8(data) else None
    if found is None:
        return None
    keys, lines = found
    table = _parsed(lines, len(keys), shape)
    return None if table is None else table.add_column(0, KEY, keys)


def _parsed(lines: bytes, count: int, shape: Shape) -> pa.Table | None:
    """Returns the records of JSON lines, None where any of the `count` lines is not exactly as documented."""
    if not _is_utf8(lines):
        return None
    for name in shape.numbers:
        pattern = rb'("%s"\s*:\s*)(%s)(?=\s*[,}])' % (re.escape(name.encode()), _NUMBER)
        lines, replaced = re.subn(pattern, rb'\1"\2"', lines)
        if replaced != count:
            return None
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(lines),
            read_options=pyarrow.json.ReadOptions(block_size=1 << 20),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=shape.schema, unexpected_field_behavior="error"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    table = table.combine_chunks()
    nulls = sum(table[name].null_count for name in shape.schema.names)
    nulls += sum(chunk.flatten().null_count for name in shape.lists for chunk in table[name].chunks)
    return table.select(shape.schema.names) if table.num_rows == count and nulls == 0 else None


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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
    keys = characters[np.repeat(starts + 2, length) + ranges(length)]
    if (keys < ord(" ")).any() or (keys == ord("\\")).any():
        return None
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int32)
    lines = characters.copy()
    before = length + 2 + len(first[2]) - 1
    lines[np.repeat(starts, before) + ranges(before)] = ord(" ")
    lines[ends - 1] = ord(" ")
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(keys)), lines.tobytes()


def _with_key(file: RawFile, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) != 1 or not isinstance(next(iter(value.values())), dict):
        raise file.error('expected one object of the form {"<key>": {...}} per line', line=line, value=value)
    ((key, fields),) = value.items()
    return {KEY: key, **fields}


class _Place(TypedDict, total=False):
    """Where a record is, for messages."""

    line: int
    record: int


class _Lines:
    """Where the records of a block of lines are: blank lines hold none."""

    def __init__(self, data: bytes, first_line: int) -> None:
        self.lines = [first_line + i for i, content in enumerate(data.split(b"\n")) if content.strip()]

    def __call__(self, i: int) -> _Place:
        return {"line": self.lines[i]}


class _Numbers:
    """Where the records of a list are: they have numbers, no lines."""

    def __init__(self, position: int) -> None:
        self.position = position

    def __call__(self, i: int) -> _Place:
        return {"record": self.position + i + 1}


def _list_blocks(file: RawFile, member: str) -> tuple[bytes, Iterable[tuple[bytes, bool]]]:
    """Returns what stands between two records, and blocks of whole records with whether it is the last one."""
    head = next(file.blocks(), b"")[: 1 << 20]
    start = re.match(rb'\s*\{(?:\s*"[^"\\{}\[\]]*"\s*:\s*[^"{}\[\],]+,)*\s*"%s"\s*:\s*\[\s*' % re.escape(member.encode()), head)
    if start is None or head[start.end() : start.end() + 1] != b"{":
        return b"", [(_whole_list(file, member), True)]
    separator = _separator(head[start.end() :])
    return separator, _cut_blocks(file, start.end(), separator)


def _separator(records: bytes) -> bytes:
    """Returns the bytes from the end of the first record to the first key of the second, b"" if there is no second."""
    text = records.decode("utf-8", errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        return b""
    match = re.match(r'\s*,\s*\{\s*"', text[end:])
    return b"}" + match[0].encode() if match else b""


def _cut_blocks(file: RawFile, start: int, separator: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yields blocks that begin and end with whole records; the object's own end is taken off the last one."""
    if not separator:
        yield _without_end(b"".join(file.blocks())[start:]), True
        return
    opening = separator[separator.index(b"{") :]
    waiting = b""
    for number, block in enumerate(file.blocks(BLOCK_BYTES, end=separator)):
        if waiting:
            yield waiting[: len(waiting) - len(separator) + 1], False
        waiting = block[start:] if number == 0 else opening + block
    yield _without_end(waiting), True


def _without_end(data: bytes) -> bytes:
    """Returns the records without what closes the list and the object; simple members may stand between the two."""
    tail = data[-1000:]
    end = re.search(rb'\s*\](?:\s*,\s*"[^"\\]*"\s*:\s*[^{}\[\]]*)?\s*\}\s*$', tail)
    return data[: len(data) - len(tail) + end.start()] if end else data


def _whole_list(file: RawFile, member: str) -> bytes:
    """Returns the records of an object in an unusual layout, written anew: slow, and in memory as a whole."""
    value = _loads(file, file.decode(b"".join(file.blocks()), 1))
    records = value.get(member) if isinstance(value, dict) else None
    if not isinstance(records, list):
        raise file.error(f"expected one object with a list {member!r}", value=value)
    return ",".join(json.dumps(record) for record in records).encode()


def _decoded_list(file: RawFile, data: bytes, position: int, is_last: bool) -> list[Any] | None:
    """Returns the records of a block one by one, None if the block seems to end inside a text."""
    text = file.decode(data, 1)
    decoder = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)
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


def _from_records(file: RawFile, records: list[Any], shape: Shape, where: _Lines | _Numbers) -> pa.Table:
    """Returns records as a table; what does not fit its field's type goes to `EXTRA` as it is.

    Raises:
        RecordError: a record that is no object, or a needed field that is missing, null or no text.
    """
    columns: dict[str, list[Any]] = {name: [] for name in shape.schema.names}
    extras: list[str] = []
    for i, record in enumerate(records):
        if not isinstance(record, dict):
            raise file.error("expected an object", value=record, **where(i))
        for name in shape.needed:
            if name not in record:
                raise file.error(f"the field is missing; the record has {', '.join(record)}", field=name, **where(i))
            if not _fits(shape, name, record[name]):
                raise file.error(
                    f"is {json.dumps(record[name], ensure_ascii=False)[:80]}; expected {_kind(shape, name)}",
                    field=name,
                    **where(i),
                )
        fitting = {name: record[name] for name in columns if name in record and _fits(shape, name, record[name])}
        for name, values in columns.items():
            value = fitting.get(name)
            values.append(json.dumps(value) if name in shape.numbers and value is not None else value)
        rest = {name: value for name, value in record.items() if name not in fitting}
        extras.append(json.dumps(rest, ensure_ascii=False)[1:-1])
    try:
        arrays = {name: pa.array(values, shape.schema.field(name).type) for name, values in columns.items()}
        return pa.table({**arrays, EXTRA: pa.array(extras, pa.string())})
    except UnicodeEncodeError:
        _find_surrogate(file, records, where)


def _fits(shape: Shape, name: str, value: Any) -> bool:
    if name in shape.numbers:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name in shape.lists:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def _kind(shape: Shape, name: str) -> str:
    return "a number" if name in shape.numbers else "a list of texts" if name in shape.lists else "a text"


def _find_surrogate(file: RawFile, records: list[Any], where: _Lines | _Numbers) -> NoReturn:
    for i, record in enumerate(records):
        for name, value in record.items():
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise file.error("holds half a surrogate pair, which is no text", field=name, **where(i)) from None
    raise file.error("holds half a surrogate pair, which is no text")


def _loads(file: RawFile, content: str, line: int | None = None) -> Any:
    """Returns parsed JSON; stricter than Python: no NaN, no repeated names in an object."""
    try:
        return json.loads(content, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        at = line if line is not None else problem.lineno
        raise file.error(
            f"invalid JSON at column {problem.colno}: {problem.msg}; expected one whole object", line=at, value=content[:200]
        ) from None
    except ValueError as problem:
        raise file.error(f"invalid JSON: {problem}", line=line, value=content[:200]) from None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} is there twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _numbered(table: pa.Table, position: int) -> pa.Table:
    """Returns the table with `ROW`, and with an empty `EXTRA` if it has none."""
    n = table.num_rows
    if EXTRA not in table.column_names:
        table = table.append_column(EXTRA, pa.repeat(pa.scalar("", pa.string()), n))
    return table.append_column(ROW, pa.array(np.arange(position, position + n)))
