"""CSV files: every cell stays the text that it is, quoted line breaks and odd characters included.

- Arrow reads the file in blocks. Where Arrow would guess (a quote that never closes, a bare carriage return) or gives up, a
  slow reader goes through the file, keeps what can be kept, and names the line that cannot.
- Lines end at LF or CRLF and nowhere else: a bare CR, U+2028 and a vertical tab are characters of a caption.
- "None", "NA" and the empty cell are text; there are no nulls and no numbers in a CSV file.
- Columns that the format does not have are not lost: they come as JSON members in the column `EXTRA`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv

from ..arrays import contiguous, json_members, json_texts, text
from .files import RawFile

ROW = "__row__"  # int64, position of the record in the file, from 0
EXTRA = "__extra__"  # the inside of a JSON object with the cells of unknown columns, "" for none
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_RECORDS_PER_TABLE = 10_000
_MAX_RECORD_LINES = 10_000


def read(
    file: RawFile,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    encodings: Sequence[str] = ("utf-8",),
    has_header: bool = True,
    separator: str = ",",
) -> Iterator[pa.Table]:
    """Yields the records of a CSV file.

    Args:
        file: the file; `.gz` is unpacked.
        columns: columns that must be there.
        optional: columns that may be there; null where they are not.
        encodings: tried in this order; the first one that fits the whole file is taken.
        has_header: whether the first line names the columns; without, every line has exactly `columns`, in this order.
        separator: what stands between two cells; a tab for TSV files.

    Yields:
        Tables of text columns, named as in the file, with `ROW` and `EXTRA`.

    Raises:
        RecordError: no such column, a wrong number of cells, an open quote, invalid text; with the line.
    """
    encoding, is_plain = _survey(file, encodings)
    header = _header(file, encoding, columns, separator) if has_header else list(columns)
    position = 0
    if is_plain:
        try:
            for batch in _arrow_batches(file, encoding, header, has_header, separator):
                yield _table(pa.Table.from_batches([batch]), header, columns, optional, position)
                position += batch.num_rows
            return
        except pa.ArrowInvalid:
            pass  # the slow reader goes on behind the last good batch and says what is wrong
    cells: list[list[str]] = []
    for number, (line, record) in enumerate(_records(file, encoding, separator), start=-1 if has_header else 0):
        if number < position:
            continue
        if len(record) != len(header):
            known = f"the header has {len(header)} columns" if has_header else f"the format has {', '.join(header)}"
            raise file.error(
                f"the line has {len(record)} cells where {known}; a line break or comma without quotes is the usual cause: "
                "take a corrected copy, or quote the cell",
                line=line,
                value=separator.join(record),
            )
        cells.append(record)
        if len(cells) == _RECORDS_PER_TABLE:
            yield _table(_from_cells(cells, header), header, columns, optional, position)
            position, cells = position + len(cells), []
    if cells:
        yield _table(_from_cells(cells, header), header, columns, optional, position)


def _survey(file: RawFile, encodings: Sequence[str]) -> tuple[str, bool]:
    """Returns the encoding that fits, and whether Arrow reads this file as its author meant it."""
    fits = list(encodings)
    quotes = returns = line_ends = 0
    line = 1
    for block in file.blocks():
        quotes += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord('"')))
        if b"\r" in block:
            returns += block.count(b"\r")
            line_ends += block.count(b"\r\n")
        if not block.isascii():
            fits = [name for name in fits if _decodes(block, name)]
            if not fits:
                file.decode(block, line, encodings[-1])
        line += block.count(b"\n")
    return fits[0], quotes % 2 == 0 and returns == line_ends


def _decodes(block: bytes, encoding: str) -> bool:
    try:
        block.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _header(file: RawFile, encoding: str, columns: Sequence[str], separator: str) -> list[str]:
    for _, header in _records(file, encoding, separator):
        lacking = [name for name in columns if name not in header]
        if lacking:
            raise file.error(f"the column is missing; the header has {', '.join(header)}", line=1, field=lacking[0])
        if len(set(header)) != len(header):
            raise file.error(f"a column name is there twice in {', '.join(header)}", line=1)
        return header
    raise file.error(f"the file is empty; expected a header line with {', '.join(columns)}")


def _arrow_batches(file: RawFile, encoding: str, header: list[str], has_header: bool, separator: str) -> Iterator[pa.RecordBatch]:
    # Arrow's own reader of plain files needs no Python objects for its blocks.
    with file.open() if file.path.suffix == ".gz" else pa.OSFile(str(file.path), "rb") as stream:
        yield from pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                encoding=encoding, block_size=4 << 20, column_names=None if has_header else header
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in header}, strings_can_be_null=False, check_utf8=True
            ),
        )


def _records(file: RawFile, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields every record with the number of its first line, the header included; reads line by line."""
    waiting: list[str] = []
    line = first = 1
    for block in file.blocks():
        lines = file.decode(block, line, encoding).split("\n")
        if block.endswith(b"\n"):
            lines.pop()
        for content in lines:
            if not waiting:
                first = line
            waiting.append(content)
            line += 1
            if len(waiting) > 1 and '"' not in content and len(waiting) < _MAX_RECORD_LINES:
                continue  # the quote that is open cannot close here
            cells = _cells(file, "\n".join(waiting), first, separator)
            if cells is None and len(waiting) >= _MAX_RECORD_LINES:
                break
            if cells is not None:
                waiting = []
                if cells != [""]:
                    yield first, cells
        if len(waiting) >= _MAX_RECORD_LINES:
            break
    if waiting:
        raise file.error(
            "a quote is opened here and never closed; restore the file as it was published", line=first, value=waiting[0]
        )


def _cells(file: RawFile, record: str, line: int, separator: str) -> list[str] | None:
    """Returns the cells of a record, None if its last quote is still open."""
    cells, position = [], 0
    record = record.removesuffix("\r")
    while True:
        if record.startswith('"', position):
            match = _QUOTED.match(record, position)
            if match is None:
                return None
            cells.append(match[1].replace('""', '"'))
            position = match.end()
            if position < len(record) and record[position] != separator:
                what = "a comma" if separator == "," else "a separator"
                raise file.error(f"text follows a closing quote; expected {what} or the end of the line", line=line, value=record)
        else:
            end = record.find(separator, position)
            cells.append(record[position : end if end >= 0 else len(record)])
            position = end if end >= 0 else len(record)
        if position >= len(record):
            return cells
        position += 1


def _from_cells(cells: list[list[str]], header: list[str]) -> pa.Table:
    return pa.table({name: pa.array([record[i] for record in cells], pa.string()) for i, name in enumerate(header)})


def _table(table: pa.Table, header: Sequence[str], columns: Sequence[str], optional: Sequence[str], position: int) -> pa.Table:
    """Returns the known columns in the asked order, positions, and what remains as JSON members."""
    table = table.combine_chunks()
    found = {name: contiguous(table[name]) for name in header}
    known = {name: found.get(name, pa.nulls(table.num_rows, pa.string())) for name in (*columns, *optional)}
    unknown = {name: json_texts(values) for name, values in found.items() if name not in known}
    extra = json_members(unknown) if unknown else text("", table.num_rows)
    rows = pa.array(np.arange(position, position + table.num_rows))
    return pa.table({**known, ROW: rows, EXTRA: extra})
