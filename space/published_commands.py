"""`uac published`: what papers report, with a flag on every number that disagrees with those printed around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ..dataset_scripts.errors import UnknownNameError
from .console import AsJson, print_json, say, table

if TYPE_CHECKING:
    from ..leaderboard.boards.published import PublishedTable, ReportedResult

FLAGS = ("mismatch", "suspect")


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
    from ..leaderboard.boards.published import published_tables

    tables = _with_rows(_of_paper(published_tables(), paper), benchmark, flag)
    if as_json:
        print_json([_as_json(one) for one in tables])
        return
    for one in tables:
        _print(one)
    say(_summary(cell for one in tables for row in one.rows for cell in row.printed))


def _of_paper(tables: tuple[PublishedTable, ...], paper: str | None) -> list[PublishedTable]:
    found = [one for one in tables if paper is None or paper.lower() in one.source_paper.lower()]
    if paper is not None and not found:
        raise UnknownNameError("paper", paper, {one.source_paper for one in tables})
    return found


def _with_rows(tables: Iterable[PublishedTable], benchmark: str | None, flag: str | None) -> list[PublishedTable]:
    """Returns the tables with the rows that were asked for, without those that have none."""
    from ..leaderboard.boards.published import REPORTED_BENCHMARKS, benchmark_id_of

    if benchmark is not None and benchmark not in REPORTED_BENCHMARKS:
        raise UnknownNameError("benchmark with published numbers", benchmark, REPORTED_BENCHMARKS)
    if flag is not None and flag not in FLAGS:
        raise UnknownNameError("flag", flag, FLAGS)

    def is_wanted(cells: Iterable[ReportedResult]) -> bool:
        found = [cell for cell in cells if benchmark in {None, benchmark_id_of(cell)}]
        return any(flag is None or flag in {one.level for one in cell.flags} for cell in found)

    kept = [replace(one, rows=tuple(row for row in one.rows if is_wanted(row.printed))) for one in tables]
    return [one for one in kept if one.rows]


def _print(one: PublishedTable) -> None:
    """Prints a table, what its flags say, and what its notes say."""
    # the derived number and what it is derived from share a text: it is told once, at its gravest
    gravest: dict[str, str] = {}
    for row in one.rows:
        for cell in row.printed:
            for flag in cell.flags:
                if flag.level in FLAGS and gravest.get(flag.text) != "mismatch":
                    gravest[flag.text] = flag.level
    numbers = {text: n for n, text in enumerate(gravest, 1)}

    def shown(cell: ReportedResult | None) -> str:
        if cell is None:
            return "-"
        marks = sorted(numbers[flag.text] for flag in cell.flags if flag.level in FLAGS)
        return f"{cell.printed} [{','.join(map(str, marks))}]" if marks else cell.printed

    say(f"{one.name}{f'  (arXiv:{one.arxiv})' if one.arxiv else ''}")
    # where columns differ in their benchmark, their titles name it
    rows = [
        (row.system, row.training_data or "-", *([row.benchmark] if row.benchmark else []), *map(shown, row.cells))
        for row in one.rows
    ]
    on = ["BENCHMARK"] if one.rows[0].benchmark else []
    table(rows, ("SYSTEM", "TRAINED ON", *on, *(column.title for column in one.columns)))
    for text, level in gravest.items():
        say(f"[{numbers[text]}] {level}: {text}.")
    for note, systems in _notes(one).items():
        say(f"note on {' and '.join(systems) if len(systems) < 3 else f'{len(systems)} rows'}: {note}")
    say()


def _notes(one: PublishedTable) -> dict[str, dict[str, None]]:
    """Returns the systems that each note is about."""
    notes: dict[str, dict[str, None]] = {}
    for row in one.rows:
        for cell in row.printed:
            if cell.note:
                notes.setdefault(cell.note, {})[row.system] = None
    return notes


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
