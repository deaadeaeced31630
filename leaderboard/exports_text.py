"""Text in files that people open with other programs."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_cell(text: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe in front.

    >>> csv_cell("=1+1"), csv_cell("a dog barks")
    ("'=1+1", 'a dog barks')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text
