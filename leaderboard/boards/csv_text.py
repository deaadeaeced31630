"""Tables of text that people open with spreadsheets: no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PROBLEM_COLUMNS = ("line", "code", "column", "id", "message", "hint")
# full-width forms of = + - @ are formulas to some spreadsheets, too
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def csv_cell(text: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula: an apostrophe in front, unless it is a number.

    >>> csv_cell("=HYPERLINK(1)"), csv_cell("-0.5"), csv_cell("rain")
    ("'=HYPERLINK(1)", '-0.5', 'rain')
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def csv_table(lines: Iterable[Sequence[str]]) -> str:
    """Returns lines of cells as csv, the header being the first of them."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([csv_cell(cell) for cell in line] for line in lines)
    return stream.getvalue()


def problems_csv(problems: Iterable[Mapping[str, Any]]) -> str:
    """Returns problems, as `Problem` has them, a line for each."""
    lines = [["" if one.get(name) is None else str(one[name]) for name in PROBLEM_COLUMNS] for one in problems]
    return csv_table([PROBLEM_COLUMNS, *lines])
