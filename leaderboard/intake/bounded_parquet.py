"""Reads parquet files of strangers within bounds.

What a footer says about sizes need not be true: before a column is read, the headers of all its pages are walked, and it is they
that say how much memory the reader will ask for. Encodings that make much of little (DELTA_BYTE_ARRAY repeats prefixes) are
refused; texts are read as dictionaries, so that one long text that stands in many rows is there once.

The footer is read here first and must be whole, and pyarrow is not asked what it says of a row group's columns: on some damage
(such as size statistics that do not fit the schema) those accessors end the process instead of raising.
Source: the parquet format, `parquet.thrift`, and the compact protocol of Thrift.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...dataset_scripts.errors import shorten
from .bounded import Limits, Refused, check_inflated

_MAGIC = b"PAR1"
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
# PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY, BYTE_STREAM_SPLIT: no value is longer than its bytes. DELTA_LENGTH_BYTE_ARRAY
# would do no harm either, but pyarrow does not read it as a dictionary
_ENCODINGS = frozenset({0, 2, 3, 8, 9})
_REFUSED_ENCODINGS = {4: "BIT_PACKED", 5: "DELTA_BINARY_PACKED", 6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY"}
_BYTE_ARRAY, _CODECS, _MAX_REPETITION = 6, 8, 2
# FLOAT, DOUBLE, and FIXED_LEN_BYTE_ARRAY, which half floats are
_NUMBER_BYTES = {4: 4, 5: 8, 7: 2}
_HEADER_BYTES = 2**20
_MAX_PAGES, _MAX_ROW_GROUPS, _MAX_CONTAINER, _MAX_DEPTH = 50_000, 10_000, 100_000, 10
# how Thrift writes the kind of a value
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12

# a struct of Thrift by number and kind of its fields: a field of another kind is another field, as it is for other readers
_Struct = dict[tuple[int, int], Any]


class BoundedParquet:
    """An open parquet file whose footer was found to be within bounds.

    Args:
        stream: the file; stays the caller's to close.
        limits: what is taken.
        max_bytes: what the columns that are read may unpack to.
        max_rows: how many rows there may be.
        texts: columns of texts, which are read as dictionaries.

    Attributes:
        schema: names and types of the columns.
        n_rows: how many rows there are.
        key_values: the file's metadata.

    Raises:
        Refused: it is damaged, too large, or has too many rows, columns or row groups.
    """

    schema: pa.Schema

    def __init__(self, stream: IO[bytes], limits: Limits, max_bytes: int, max_rows: int, texts: Sequence[str]) -> None:
        self._stream, self._limits, self._max_bytes = stream, limits, max_bytes
        self._size_bytes = stream.seek(0, os.SEEK_END)
        self._inflated_bytes = self._n_pages = 0
        footer = _read_footer(_footer_bytes(stream, self._size_bytes, limits), limits)
        self._groups, self.n_rows, self.key_values = footer.groups, footer.n_rows, footer.key_values
        if self.n_rows > max_rows:
            raise Refused("E_ROWS", f"{self.n_rows:,} rows; at most {max_rows:,} are taken")
        bounds = {
            "pre_buffer": False,
            "thrift_string_size_limit": limits.footer_bytes,
            "thrift_container_size_limit": _MAX_CONTAINER,
            "page_checksum_verification": True,
            "arrow_extensions_enabled": False,
        }
        try:
            plain = pq.ParquetFile(stream, **bounds)
            meta, self.schema = plain.metadata, plain.schema_arrow
            is_same = (meta.num_rows, meta.num_row_groups, meta.num_columns) == (self.n_rows, len(self._groups), footer.n_leaves)
            dictionaries = [name for name in texts if name in footer.texts]
            self._file = pq.ParquetFile(stream, metadata=meta, read_dictionary=dictionaries, **bounds)
        except Exception as error:
            raise _damaged(error) from error
        if not is_same:
            raise _unsound("the footer can be read in two ways")

    def row_groups(self, columns: Sequence[str], max_values: int | None = None) -> Iterator[pa.Table]:
        """Yields the row groups with these columns, one at a time.

        Args:
            columns: names of top-level columns, each there once.
            max_values: how many numbers or texts all of a column's pages may hold; None for as many as rows.

        Raises:
            Refused: a row group is damaged or larger than the limits.
        """
        n_values: dict[str, int] = {}
        number_bytes = 0
        for index, chunks in enumerate(self._groups):
            for chunk, values in self._walk([chunk for chunk in chunks if chunk.path.split(".")[0] in columns]):
                n_values[chunk.path] = n_values.get(chunk.path, 0) + values
                if n_values[chunk.path] > (self.n_rows if max_values is None else max_values):
                    raise Refused("E_ROWS", f"the pages of column {shorten(chunk.path)} hold more values than there can be")
                number_bytes += values * chunk.value_bytes
                self._check(number_bytes)  # one number of a dictionary can stand in many places
            try:
                table = self._file.read_row_group(index, columns=list(columns), use_threads=False).select(list(columns))
            except Exception as error:
                raise _damaged(error) from error
            yield table

    def _walk(self, chunks: list[_Chunk]) -> Iterator[tuple[_Chunk, int]]:
        """Yields column and number of values of every page of a row group's columns, and adds up what they unpack to."""
        # what the footer says comes first: an honest one is refused before anything is read
        self._check(self._inflated_bytes + sum(chunk.inflated_bytes for chunk in chunks))
        for chunk in chunks:
            end = chunk.begin + chunk.packed_bytes
            if chunk.begin < len(_MAGIC) or end > self._size_bytes:
                raise _unsound(f"column {shorten(chunk.path)} does not lie inside it")
            yield from ((chunk, values) for values in self._pages(chunk.begin, end))

    def _pages(self, place: int, end: int) -> Iterator[int]:
        while place < end:
            header, header_bytes = self._page_header(place, end)
            kind, inflated_bytes, packed_bytes = (_count(header, number) for number in (1, 2, 3))
            self._n_pages += 1
            if self._n_pages > _MAX_PAGES:
                raise Refused("E_TOO_BIG", f"the parquet file has more than {_MAX_PAGES:,} pages", "write larger ones")
            self._inflated_bytes += inflated_bytes
            self._check(self._inflated_bytes)
            place += header_bytes + packed_bytes
            if place > end:
                raise _unsound("a page reaches beyond its column")
            member = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7, _DATA_PAGE_V2: 8}.get(kind)
            if member is None:
                continue  # an index page: readers pass it over
            page = _field(header, member, _STRUCT)
            n_values, encoding = _count(page, 1), _count(page, 4 if kind == _DATA_PAGE_V2 else 2)
            if encoding not in _ENCODINGS:
                came = _REFUSED_ENCODINGS.get(encoding, str(encoding))
                message = f"the parquet file has a page in the encoding {came}; expected PLAIN or a dictionary"
                raise Refused("E_FORMAT", message, "write it with the defaults of pyarrow, pandas or duckdb")
            yield 0 if kind == _DICTIONARY_PAGE else n_values  # a dictionary's values are no rows

    def _page_header(self, place: int, end: int) -> tuple[_Struct, int]:
        for n_bytes in (1024, _HEADER_BYTES):  # statistics of long texts make long headers
            self._stream.seek(place)
            reader = _Thrift(self._stream.read(min(end - place, n_bytes)))
            try:
                return reader.struct(), reader.place
            except IndexError:
                continue
            except ValueError:
                break
        raise _unsound("a page has no sound header")

    def _check(self, inflated_bytes: int) -> None:
        check_inflated(inflated_bytes, self._size_bytes, self._max_bytes, self._limits.ratio)


def is_text(kind: pa.DataType) -> bool:
    """Tells whether a column's type is text, as it comes or as a dictionary."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def text_values(column: pa.ChunkedArray) -> list[object]:
    """Returns the texts of a column of a row group, each distinct one once in memory; None for null.

    Bytes that are not UTF-8 come as lone surrogates.

    Raises:
        Refused: an index of its dictionary points outside.
    """
    found: list[object] = []
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            found.extend(_decoded(chunk))
            continue
        values = _decoded(chunk.dictionary)
        for place in chunk.indices.to_pylist():
            if place is not None and not 0 <= place < len(values):
                raise _unsound("an index of a dictionary points outside")
            found.append(None if place is None else values[place])
    return found


def _decoded(texts: pa.Array) -> list[object]:
    # as bytes first: nobody has looked yet whether they are UTF-8
    raw = texts.cast(pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary())
    return [None if one is None else one.decode("utf-8", "surrogateescape") for one in raw.to_pylist()]


def _damaged(error: Exception) -> Refused:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Refused("E_CUT", f"the parquet file cannot be read ({lines[0][:200]})", "copy it again, or write it anew")


def _unsound(why: str) -> Refused:
    return Refused("E_CUT", f"the parquet file is not sound: {why}", "copy it again, or write it anew")


# -- the footer ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chunk:
    """The column of a row group: where its pages lie, what they are said to unpack to, how long a number is (0 for texts)."""

    path: str
    begin: int
    packed_bytes: int
    inflated_bytes: int
    value_bytes: int


@dataclass(frozen=True)
class _Footer:
    """What a footer says; `texts` are the paths of columns of byte arrays."""

    n_rows: int
    n_leaves: int
    texts: frozenset[str]
    groups: list[list[_Chunk]]
    key_values: dict[bytes, bytes]


def _footer_bytes(stream: IO[bytes], size_bytes: int, limits: Limits) -> bytes:
    stream.seek(max(0, size_bytes - 8))
    end = stream.read(8)
    n_bytes = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or n_bytes + 12 > size_bytes:
        raise _unsound("it has no footer")
    if n_bytes > limits.footer_bytes:
        message = f"the parquet file's footer has {n_bytes:,} bytes; at most {limits.footer_bytes:,} are taken"
        raise Refused("E_TOO_BIG", message, "write it with fewer row groups and columns")
    stream.seek(size_bytes - 8 - n_bytes)
    return stream.read(n_bytes)


def _read_footer(raw: bytes, limits: Limits) -> _Footer:
    try:
        meta = _Thrift(raw).struct()
    except (IndexError, ValueError):
        raise _unsound("its footer cannot be read") from None
    leaves = _leaves(_structs(meta, 2))
    groups = _structs(meta, 4)
    for count, most, what in ((len(groups), _MAX_ROW_GROUPS, "row groups"), (len(leaves), limits.columns, "columns")):
        if count > most:
            raise Refused("E_TOO_BIG", f"the parquet file has {count:,} {what}; at most {most:,} are taken")
    n_rows = _count(meta, 3, _I64)
    if sum(_count(group, 3, _I64) for group in groups) != n_rows:
        raise _unsound("its row groups do not add up to its rows")
    chunks = [[_chunk(column, *leaf) for column, leaf in _paired(_structs(group, 1), leaves)] for group in groups]
    pairs = _structs(meta, 5) if (5, _LIST) in meta else []
    key_values = {pair.get((1, _BINARY), b""): pair.get((2, _BINARY), b"") for pair in pairs}
    texts = frozenset(path for path, kind in leaves if kind == _BYTE_ARRAY)
    return _Footer(n_rows, len(leaves), texts, chunks, key_values)


def _paired(columns: list[_Struct], leaves: list[tuple[str, int]]) -> list[tuple[_Struct, tuple[str, int]]]:
    if len(columns) != len(leaves):
        raise _unsound("a row group has not the columns that the schema has")
    return list(zip(columns, leaves, strict=True))


def _leaves(elements: list[_Struct]) -> list[tuple[str, int]]:
    """Returns path and physical type of the columns that hold values, from the flattened tree of a schema."""
    found: list[tuple[str, int]] = []
    open_: list[tuple[str, int]] = []  # path and how many children are still to come
    for place, element in enumerate(elements):
        n_children = _count(element, 5) if (5, _I32) in element else 0
        try:
            name = _field(element, 4, _BINARY).decode()
        except UnicodeDecodeError:
            raise _unsound("the name of a column is not UTF-8") from None
        if place == 0:
            open_.append(("", n_children))
            continue
        while open_ and not open_[-1][1]:
            open_.pop()
        if not open_ or len(open_) > _MAX_DEPTH or _count(element, 3) > _MAX_REPETITION:
            raise _unsound("its schema is no tree, or too deep a one")
        parent, left = open_[-1]
        open_[-1] = (parent, left - 1)
        path = f"{parent}.{name}" if parent else name
        if n_children:
            open_.append((path, n_children))
        else:
            found.append((path, _count(element, 1)))
    if any(left for _, left in open_):
        raise _unsound("its schema ends too early")
    return found


def _chunk(column: _Struct, path: str, kind: int) -> _Chunk:
    meta = _field(column, 3, _STRUCT)
    begin, dictionary = _count(meta, 9, _I64), meta.get((11, _I64))
    if (1, _BINARY) in column or _count(meta, 1) != kind or _count(meta, 4) >= _CODECS:
        raise _unsound(f"column {shorten(path)} is not what the schema says, or lies in another file")
    names = _field(meta, 3, _LIST)
    if not all(isinstance(name, bytes) for name in names) or b".".join(names) != path.encode():
        raise _unsound(f"column {shorten(path)} has another name in a row group")
    _field(meta, 2, _LIST), _count(meta, 5, _I64)  # encodings and number of values: not used, but they must be there
    if dictionary:  # 0 stands for none
        begin = min(begin, _count(meta, 11, _I64))
    return _Chunk(path, begin, _count(meta, 7, _I64), _count(meta, 6, _I64), _NUMBER_BYTES.get(kind, 0))


def _field(struct: _Struct, number: int, kind: int) -> Any:
    if (number, kind) not in struct:
        raise _unsound(f"field {number} is missing")
    return struct[number, kind]


def _count(struct: _Struct, number: int, kind: int = _I32) -> int:
    """Returns a field that is a number from 0 on."""
    value: int = _field(struct, number, kind)
    if value < 0:
        raise _unsound(f"field {number} is {value}")
    return value


def _structs(struct: _Struct, number: int) -> list[_Struct]:
    found = _field(struct, number, _LIST)
    if not all(isinstance(one, dict) for one in found):
        raise _unsound(f"field {number} lists something else than it should")
    return list(found)


class _Thrift:
    """A reader of Thrift's compact protocol.

    Raises IndexError where the bytes end too early, ValueError where they make no sense.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw, self.place = raw, 0

    def struct(self, depth: int = 0) -> _Struct:
        """Returns the next struct."""
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        found: _Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            key = (number, head & 0x0F)
            if key in found:
                raise ValueError("a field stands twice")
            found[key] = self._value(head & 0x0F, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in {1, 2}:  # a truth value lies in the head of its field
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in {4, _I32, _I64}:
            return self._integer()
        if kind == 7:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind in {_LIST, 10}:
            return self._list(depth)
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError("there are no maps")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > _MAX_CONTAINER:
            raise ValueError("a list is too long")
        kind = head & 0x0F
        # a truth value in a list takes a byte of its own
        return [self._byte() if kind in {1, 2} else self._value(kind, depth) for _ in range(size)]

    def _byte(self) -> int:
        self.place += 1
        return self._raw[self.place - 1]

    def _bytes(self, n_bytes: int) -> bytes:
        begin, self.place = self.place, self.place + n_bytes
        if self.place > len(self._raw):
            raise IndexError
        return self._raw[begin : self.place]

    def _integer(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found
            if shift > 63:
                raise ValueError("a number has too many bytes")
