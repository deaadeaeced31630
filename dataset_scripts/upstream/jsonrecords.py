"""JSON records of a documented shape to Arrow tables: the part that all layouts of JSON files share.

- Arrow parses blocks of records, one per line, under an explicit schema.
- A block that Arrow rejects, or in which a documented field is missing, null or of another type, goes through a slow reader:
  it keeps what can be kept and names the line and field that cannot. Other blocks stay fast.
- Numbers come as the text they are written as, so that 10 and 10.0 stay apart.
- Fields that the format does not have are not lost: they come as JSON members in the column `EXTRA`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.json

from .csvfile import EXTRA, ROW
from .files import RawFile

_NUMBER = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
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


def parsed(lines: bytes, count: int, shape: Shape) -> pa.Table | None:
    """Returns the records of JSON lines, None where any of the `count` lines is not exactly as documented."""
    if not is_utf8(lines):
        return None
    for name in shape.numbers:  # 10 becomes "10"; inside a JSON string the name's quotes would be escaped
        pattern = rb'("%s"\s*:\s*)(%s)(?=\s*[,}])' % (re.escape(name.encode()), _NUMBER)
        lines, replaced = re.subn(pattern, rb'\1"\2"', lines)
        if replaced != count:
            return None
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(lines),
            read_options=pyarrow.json.ReadOptions(block_size=1 << 20),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=shape.schema,
                unexpected_field_behavior="error",
                # Printed with indents, a record takes several lines: Arrow must not cut its blocks at just any of them.
                newlines_in_values=lines.count(b"\n") > count,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    table = table.combine_chunks()
    nulls = sum(table[name].null_count for name in shape.schema.names)
    nulls += sum(chunk.flatten().null_count for name in shape.lists for chunk in table[name].chunks)
    return table.select(shape.schema.names) if table.num_rows == count and nulls == 0 else None


def is_utf8(data: bytes) -> bool:
    """Returns whether the bytes are UTF-8 text; Arrow's JSON reader does not look."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Place(TypedDict, total=False):
    """Where a record is, for messages."""

    line: int
    record: int


class Lines:
    """Where the records of a block of lines are: blank lines hold none."""

    def __init__(self, data: bytes, first_line: int) -> None:
        self.lines = [first_line + i for i, content in enumerate(data.split(b"\n")) if content.strip()]

    def __call__(self, i: int) -> _Place:
        """Returns the place of the i-th record of the block."""
        return {"line": self.lines[i]}


class Numbers:
    """Where the records of a list are: they have numbers, no lines."""

    def __init__(self, position: int) -> None:
        self.position = position

    def __call__(self, i: int) -> _Place:
        """Returns the place of the i-th record of the block."""
        return {"record": self.position + i + 1}


def from_records(file: RawFile, records: list[Any], shape: Shape, where: Lines | Numbers) -> pa.Table:
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


def _find_surrogate(file: RawFile, records: list[Any], where: Lines | Numbers) -> NoReturn:
    for i, record in enumerate(records):
        for name, value in record.items():
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise file.error("holds half a surrogate pair, which is no text", field=name, **where(i)) from None
    raise file.error("holds half a surrogate pair, which is no text")


def loads(file: RawFile, content: str, line: int | None = None) -> Any:
    """Returns parsed JSON; stricter than Python: no NaN, no repeated names in an object."""
    try:
        return json.loads(content, object_pairs_hook=no_repeats, parse_constant=no_constant)
    except json.JSONDecodeError as problem:
        at = line if line is not None else problem.lineno
        raise file.error(
            f"invalid JSON at column {problem.colno}: {problem.msg}; expected one whole object", line=at, value=content[:200]
        ) from None
    except ValueError as problem:
        raise file.error(f"invalid JSON: {problem}", line=line, value=content[:200]) from None


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object's members; a hook for `json` that refuses a name that is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} is there twice in one object")
    return found


def no_constant(name: str) -> NoReturn:
    """Refuses NaN and Infinity; a hook for `json`."""
    raise ValueError(f"{name} is no JSON number")


def numbered(table: pa.Table, position: int) -> pa.Table:
    """Returns the table with `ROW`, and with an empty `EXTRA` if it has none."""
    n = table.num_rows
    if EXTRA not in table.column_names:
        table = table.append_column(EXTRA, pa.repeat(pa.scalar("", pa.string()), n))
    return table.append_column(ROW, pa.array(np.arange(position, position + n)))
