"""What papers print, table by table, with a mark on every number that disagrees with those around it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response

from ...leaderboard.boards.published import (
    CONSISTENCIES,
    DOUBTS,
    REPORTED_BENCHMARKS,
    PublishedTable,
    ReportedResult,
    chosen_tables,
    published_tables,
)
from .site import Site, link, one_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""

    @app.get("/published", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        return site.page(request, "published.html", **view(request.query_params))


def view(params: QueryParams) -> dict[str, Any]:
    """Returns what the template shows."""
    everything = published_tables()
    papers = list(dict.fromkeys(one.source_paper for one in everything))
    paper = one_of(params, "paper", papers, "")
    benchmark = one_of(params, "benchmark", sorted(REPORTED_BENCHMARKS), "")
    flag = one_of(params, "flag", DOUBTS, "")
    tables = chosen_tables(everything, paper or None, benchmark or None, flag or None)
    counts = Counter(cell.consistency for one in tables for row in one.rows for cell in row.printed)
    state = {"paper": paper, "benchmark": benchmark}
    return {
        "title": "What papers report",
        "papers": [(one, one.split(" (")[0]) for one in papers],
        "benchmarks": sorted(REPORTED_BENCHMARKS),
        "paper": paper,
        "benchmark": benchmark,
        "flag": flag,
        "counts": {level: counts[level] for level in reversed(CONSISTENCIES)},
        "tables": [_shown(one) for one in tables],
        "csv": link("/api/v1/reported-results", {"paper": paper, "benchmark": benchmark}, format="csv"),
        "state": state,
    }


def _shown(one: PublishedTable) -> dict[str, Any]:
    doubts = one.doubts()
    numbers = {text: number for number, text in enumerate(doubts, 1)}

    def marks(cell: ReportedResult) -> list[tuple[int, str, str]]:
        """Returns number, level and text of what is wrong with a cell."""
        return sorted((numbers[flag.text], flag.level, flag.text) for flag in cell.flags if flag.text in numbers)

    return {
        "name": one.name,
        "arxiv": one.arxiv,
        "columns": [column.title for column in one.columns],
        "rows": [(row, [None if cell is None else (cell, marks(cell)) for cell in row.cells]) for row in one.rows],
        "has_benchmark": any(row.benchmark for row in one.rows),
        "has_group": any(row.row_group for row in one.rows),
        "doubts": [(numbers[text], level, text) for text, level in doubts.items()],
        "notes": [(note, list(systems)) for note, systems in one.notes().items()],
    }
