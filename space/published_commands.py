"""`uac published`: what papers report, with a flag on every number that disagrees with those printed around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from .console import AsJson, print_json, say, table

if TYPE_CHECKING:
    from ..leaderboard.boards.published import PublishedTable, ReportedResult


def register(app: typer.Typer) -> None:
    """Adds the command to `uac`."""
    app.command()(published)


def published(
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", metavar="ID", help="Only rows on this benchmark, such as audiocaps-test.")
    ] = None,
    paper: Annotated[
        str | None, typer.Option("--paper", metavar="P", help="Only tables of papers whose name holds P, such as wavcaps.")
    ] = None,
    flag: Annotated[
        str | None, typer.Option("--flag", metavar="mismatch|suspect", help="Only rows that hold a number so flagged.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the tables of papers, with a flag on every number that disagrees with those printed around it.

    A number in [brackets] has a flag, told below its table: mismatch, a formula says that it cannot be (SPIDEr is not the mean of
    CIDEr-D and SPICE, BLEU-4 exceeds BLEU-3), or suspect, it is part of such a formula, or equal to what it should not equal.
    Rounding never raises a flag. Nothing is corrected or ranked: papers differ in tools, splits and clips.

    Example: uac published --benchmark clotho-evaluation --flag mismatch
    """
    from ..leaderboard.boards.published import chosen_tables, published_tables

    tables = chosen_tables(published_tables(), paper, benchmark, flag)
    if as_json:
        print_json([_as_json(one) for one in tables])
        return
    for one in tables:
        _print(one)
    say(_summary(cell for one in tables for row in one.rows for cell in row.printed))


def _print(one: PublishedTable) -> None:
    """Prints a table, what its flags say, and what its notes say."""
    doubts = one.doubts()
    numbers = {text: n for n, text in enumerate(doubts, 1)}

    def shown(cell: ReportedResult | None) -> str:
        if cell is None:
            return "-"
        marks = sorted(numbers[flag.text] for flag in cell.flags if flag.text in numbers)
        return f"{cell.printed} [{','.join(map(str, marks))}]" if marks else cell.printed

    say(f"{one.name}{f'  (arXiv:{one.arxiv})' if one.arxiv else ''}")
    # where columns differ in their benchmark, their titles name it
    rows = [
        (row.system, row.training_data or "-", *([row.benchmark] if row.benchmark else []), *map(shown, row.cells))
        for row in one.rows
    ]
    on = ["BENCHMARK"] if one.rows[0].benchmark else []
    table(rows, ("SYSTEM", "TRAINED ON", *on, *(column.title for column in one.columns)))
    for text, level in doubts.items():
        say(f"[{numbers[text]}] {level}: {text}.")
    for note, systems in one.notes().items():
        say(f"note on {' and '.join(systems) if len(systems) < 3 else f'{len(systems)} rows'}: {note}")
    say()


def _summary(cells: Iterable[ReportedResult]) -> str:
    from ..leaderboard.boards.published import CONSISTENCIES

    counts = Counter(cell.consistency for cell in cells)
    listed = ", ".join(f"{counts[level]:,} {level}" for level in reversed(CONSISTENCIES))
    return f"{counts.total():,} numbers: {listed}."


def _as_json(one: PublishedTable) -> dict[str, object]:
    """Returns a table as plain JSON values: its columns, and its rows with their cells in that order."""
    return {
        "source_paper": one.source_paper,
        "table": one.table,
        "arxiv": one.arxiv,
        "columns": [column.title for column in one.columns],
        "rows": [
            {
                "system": row.system,
                "training_data": row.training_data,
                "model": row.model,
                "row_group": row.row_group,
                "benchmark": row.benchmark,
                "split": row.split,
                "cells": [None if cell is None else cell.describe() for cell in row.cells],
            }
            for row in one.rows
        ],
    }
