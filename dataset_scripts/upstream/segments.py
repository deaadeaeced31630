"""AudioSet's segment files: three comment lines, then `<video>, <start>, <end>, "<label>,<label>"` per line.

A space follows every comma, which CSV readers take for a part of the next cell: the lines are cut by one regular expression.
The last comment names the columns; the others (date and totals) hold no record.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .csvfile import ROW
from .files import RawFile

COLUMNS = ("YTID", "start_seconds", "end_seconds", "positive_labels")
_LINE = r'^(?P<YTID>[^," ]+), *(?P<start_seconds>[0-9.]+), *(?P<end_seconds>[0-9.]+), *"(?P<positive_labels>[^"]*)"$'


def segments(file: RawFile) -> Iterator[pa.Table]:
    """Yields the records of a segment file: text columns named as in the file, and `ROW`.

    Raises:
        RecordError: a line of another form, with its number.
    """
    position, line = 0, 1
    for block in file.blocks():
        data = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        lines = pa.array(file.decode(data.removesuffix(b"\n"), line).split("\n"), pa.string())
        is_record = pc.invert(pc.or_(pc.starts_with(lines, "#"), pc.equal(lines, "")))
        records = lines.filter(is_record)
        cells = pc.extract_regex(records, _LINE)
        if cells.null_count:
            at = int(np.flatnonzero(is_record.to_numpy(zero_copy_only=False))[pc.index(cells.is_valid(), False).as_py()])
            raise file.error(
                'expected `<video id>, <start>, <end>, "<labels>"`, as AudioSet publishes it',
                line=line + at,
                value=lines[at].as_py(),
            )
        n = len(records)
        columns = {name: pc.struct_field(cells, name) for name in COLUMNS}
        yield pa.table({**columns, ROW: pa.array(np.arange(position, position + n))})
        position += n
        line += data.count(b"\n")
