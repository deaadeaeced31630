"""Rows made one by one as Python dictionaries: clear code for corpora of up to some hundred thousand clips.

- A source yields `Row`s: values of columns, and the upstream records that the row is made of.
- It also says how to derive these records from the finished row. What the columns do not hold exactly is found by comparing
  and kept: in the row's `extra_json` where the row has one upstream record, in its `provenance` where it has several.
- Dictionaries of lists of structs need only the fields that have a value; a field that the schema lacks is a mistake.
"""

from __future__ import annotations

import ast
import functools
import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa

from . import schema
from .source import Record, Source, merged
from .upstream import csvfile
from .upstream.files import Part, RawFile

_ROWS_PER_BATCH = 10_000


@dataclass(frozen=True)
class Origin:
    """One upstream record.

    Attributes:
        file: where it stands.
        position: its number in the file, from 0.
        record: the record as a parser of the file gives it.
    """

    file: RawFile
    position: int
    record: Record


@dataclass(frozen=True)
class Row:
    """One row of the schema.

    Attributes:
        columns: values by column name; those left out are null, the same in all rows of the source, or empty where the column
            is a list that must not be null.
        origins: the upstream records it is made of; one at least.
        extra: what goes into `extra_json` under names of the source's own choice.
    """

    columns: Record
    origins: Sequence[Origin]
    extra: Record = field(default_factory=dict)


class RowSource(Source):
    """A source that makes its rows one by one.

    Attributes:
        own_extra: names in `Row.extra` that are no upstream fields.
    """

    own_extra: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the rows of one part in file order."""

    @abstractmethod
    def derived(self, row: Record) -> list[Record]:
        """Returns what the columns of a row say about its upstream records, one per entry of `provenance`.

        A field that is None counts as not said. A field that the upstream record may lack must be None then.
        """

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the rows of one part in batches."""
        waiting = self.rows(part)
        while rows := list(islice(waiting, _ROWS_PER_BATCH)):
            yield self._completed(self._columns(part, rows), rows)

    def _columns(self, part: Part, rows: list[Row]) -> pa.RecordBatch:
        names = dict.fromkeys(name for row in rows for name in row.columns)
        columns: dict[str, Any] = {}
        for name in names:
            field_ = schema.SCHEMA.field(name)
            # Of a list that may be null, none given is unknown, not empty.
            values = [
                None if field_.nullable and row.columns.get(name) is None else _filled(row.columns.get(name), field_.type)
                for row in rows
            ]
            columns[name] = pa.array(values, field_.type)
        columns["provenance"] = pa.array([[self._provenance(one, None) for one in row.origins] for row in rows], _PROVENANCE)
        columns["extra_json"] = pa.array([json.dumps(row.extra, ensure_ascii=False) for row in rows], pa.string())
        return self.batch(part, len(rows), **columns)

    def _provenance(self, origin: Origin, extra_json: str | None) -> Record:
        place = {"file": origin.file.name, "row": origin.position, "extra_json": extra_json}
        return {"repo": self.repo, "revision": self.release, **place}

    def _completed(self, batch: pa.RecordBatch, rows: list[Row]) -> pa.RecordBatch:
        """Returns the batch with everything that its columns do not say about the upstream records."""
        extras, provenances = [], []
        for row, values in zip(rows, batch.to_pylist(), strict=True):
            lost = [_lost(origin.record, said) for origin, said in zip(row.origins, self.derived(values), strict=True)]
            is_single = len(lost) == 1
            if is_single and not lost[0].keys().isdisjoint(self.own_extra):
                (origin,) = row.origins
                name = sorted(lost[0].keys() & set(self.own_extra))[0]
                raise origin.file.error(
                    "the name is taken by a field of ours, so the column cannot be kept; rename it",
                    record=origin.position + 1,
                    field=name,
                )
            extras.append(json.dumps({**row.extra, **(lost[0] if is_single else {})}, ensure_ascii=False))
            texts = [None if is_single or not one else json.dumps(one, ensure_ascii=False) for one in lost]
            provenances.append([self._provenance(one, text) for one, text in zip(row.origins, texts, strict=True)])
        new = {"extra_json": pa.array(extras, pa.string()), "provenance": pa.array(provenances, _PROVENANCE)}
        columns = [new.get(name, batch[name]) for name in batch.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the upstream records of a row."""
        origins = row["provenance"]
        is_single = len(origins) == 1
        for origin, said in zip(origins, self.derived(row), strict=True):
            record = merged(said, row["extra_json"] if is_single else origin["extra_json"])
            # Names of ours stand beside upstream names only where a row has one record.
            yield (
                origin["file"],
                origin["row"],
                {key: record[key] for key in record if not is_single or key not in self.own_extra},
            )


_PROVENANCE = schema.SCHEMA.field("provenance").type


def _lost(record: Record, said: Record) -> Record:
    """Returns the fields of an upstream record that are not said exactly."""
    given = {key: value for key, value in said.items() if value is not None}
    if not given.keys() <= record.keys():
        raise ValueError(f"fields {sorted(given.keys() - record.keys())} are derived and were not in the upstream record")
    return {key: value for key, value in record.items() if key not in given or not _is_same(given[key], value)}


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are written the same in JSON, which tells 10 from 10.0 and from True."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _filled(value: Any, kind: pa.DataType) -> Any:
    """Returns a value of a column with the parts that must not be null."""
    if pa.types.is_list(kind):
        return [_filled(one, kind.value_type) for one in value or []]
    if pa.types.is_struct(kind) and isinstance(value, Mapping):
        names = _field_names(kind)
        if not value.keys() <= names:
            raise TypeError(f"no field {sorted(value.keys() - names)} in {kind}")
        return {"scores": [], **value} if "scores" in names else value
    return value


@functools.cache
def _field_names(kind: pa.StructType) -> frozenset[str]:
    return frozenset(field.name for field in kind)


def caption(text: str, **fields: Any) -> Record:
    """Returns an English caption that somebody gave, in style `default` unless `fields` say otherwise."""
    return {"text": text, "style": "default", "language": "en", "is_absent": False, **fields}


def question(text: str, answer: str, **fields: Any) -> Record:
    """Returns a question with its answer."""
    return {"question": text, "answer": answer, "is_absent": False, **fields}


def origins(file: RawFile, tables: Iterable[pa.Table], numbers: Sequence[str] = ()) -> Iterator[Origin]:
    """Yields the records of tables that a reader of upstream files made.

    Args:
        file: the file that was read.
        tables: with the columns `ROW` and `EXTRA`.
        numbers: columns that hold numbers as they are written.
    """
    for table in tables:
        for row in table.to_pylist():
            position, extra = row.pop(csvfile.ROW), row.pop(csvfile.EXTRA)
            record = {key: json.loads(value) if key in numbers else value for key, value in row.items() if value is not None}
            yield Origin(file, position, {**record, **json.loads(f"{{{extra}}}")})


def grouped(found: Iterable[Origin], *names: str) -> dict[tuple[Any, ...], list[Origin]]:
    """Returns the records that agree in the fields `names`, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Origin]] = {}
    for one in found:
        groups.setdefault(tuple(one.record.get(name) for name in names), []).append(one)
    return groups


def shared(found: Sequence[Origin], *names: str) -> Record:
    """Returns those of the fields `names` that have the same text in all records."""
    first = found[0].record
    return {name: first[name] for name in names if name in first and all(one.record.get(name) == first[name] for one in found)}


def labels(value: Any) -> list[str]:
    """Returns the texts of a list, or of a list that is written as Python writes it; no texts for anything else.

    >>> labels("['soft piano', 'a man hums']"), labels("soft piano")
    (['soft piano', 'a man hums'], [])
    """
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return []
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def number(origin: Origin, name: str) -> float | None:
    """Returns a field as a number, None for an empty one.

    Raises:
        RecordError: other text.
    """
    value = origin.record.get(name)
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise origin.file.error("expected a number", record=origin.position + 1, field=name, value=value)
    return found
