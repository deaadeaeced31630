"""Boards in every form, and comparisons of two systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from ...dataset_scripts.errors import StateError, UnknownNameError
from ...leaderboard.benchmark import Benchmark
from ...leaderboard.boards import exports
from ...leaderboard.boards.ranking import Board
from ...leaderboard.hub import Hub
from .answers import JSON, Bodies, as_json, cursor, dumps, is_known, parts_of, tag_of, tagged, unchanged
from .benchmarks import Version
from .errors import MalformedError, refusals, tagged_refusals
from .models import BoardAnswer, ComparisonAnswer

MAX_PAGE = 1_000
Limit = Annotated[int | None, Query(ge=1, le=MAX_PAGE, description="Rows of a page; all of them by default.")]


# media type, and what makes it
FORMATS: dict[str, tuple[str, Callable[[Board], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", exports.board_csv),
    "parquet": ("application/vnd.apache.parquet", exports.board_parquet),
    "latex": ("text/x-tex; charset=utf-8", lambda board: exports.board_latex(board).encode()),
    "bibtex": ("application/x-bibtex; charset=utf-8", lambda board: exports.board_bibtex(board, on=_today()).encode()),
}
_MEDIA = {name.split(";")[0]: {"schema": {"type": "string"}} for name, _ in FORMATS.values()}


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    bodies = Bodies()

    @app.get(
        "/api/v1/leaderboard/{benchmark_id}",
        response_model=BoardAnswer,
        responses={**tagged_refusals(409), 200: {"content": _MEDIA}},
        tags=["boards"],
    )
    def leaderboard(
        request: Request,
        benchmark_id: str,
        version: Version = None,
        scope: Annotated[str, Query(max_length=100, description="A group of items; all of them by default.")] = "",
        ranked_by: Annotated[str | None, Query(max_length=100, description="A metric; the benchmark's by default.")] = None,
        format: Annotated[str, Query(description="json, csv, parquet, latex or bibtex.")] = "json",
        limit: Limit = None,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    ) -> Response:
        """Returns the ranked table of a benchmark; values are in their native range."""
        if format != "json" and format not in FORMATS:
            raise UnknownNameError("format of a board", format, ["json", *FORMATS])
        benchmark = hub.benchmark(benchmark_id, version)
        revision = hub.store.revision(benchmark)
        day = _today() if format == "bibtex" else None  # which names it
        tag = tag_of(_meaning(benchmark), revision, scope, ranked_by, format, limit, cursor, day)
        if is_known(request, tag):
            return unchanged(tag)
        if format == "json" and (limit is not None or cursor is not None):
            board = hub.board(benchmark_id, version=version, scope=scope, ranked_by=ranked_by)
            return tagged(request, _page(board, limit or MAX_PAGE, cursor), tag)
        media_type, make = FORMATS.get(format, (JSON, _whole))
        return bodies.answer(
            request, tag, media_type, lambda: make(hub.board(benchmark_id, version=version, scope=scope, ranked_by=ranked_by))
        )

    @app.get("/api/v1/compare/{benchmark_id}", response_model=ComparisonAnswer, responses=refusals(), tags=["boards"])
    def compare(
        benchmark_id: str,
        a: Annotated[str, Query(max_length=100, description="Id of a submission on the board.")],
        b: Annotated[str, Query(max_length=100, description="Id of another one.")],
        metric: Annotated[str | None, Query(max_length=100, description="The one that ranks by default.")] = None,
    ) -> Response:
        """Compares two systems on the same resamples of the clips."""
        return as_json({"benchmark": benchmark_id, "a": a, "b": b, **asdict(hub.compare(benchmark_id, a, b, metric))})


@lru_cache(maxsize=256)
def _meaning(benchmark: Benchmark) -> str:
    """Returns all that a board tells of its benchmark."""
    return f"{benchmark.digest} {benchmark!r}"


def _today() -> date:
    return datetime.now(UTC).date()


def _whole(board: Board) -> bytes:
    return _json(board, 0, len(board.rows), None)


def _page(board: Board, limit: int, begin: str | None) -> bytes:
    revision, start = (board.revision, 0) if begin is None else parts_of(begin, int, int)
    if revision != board.revision:
        raise StateError(f"board {board.benchmark.id}", "another one than the page before", "reading on: begin anew; it")
    if not 0 <= start <= len(board.rows):
        raise MalformedError("the cursor is none that this hub gave; take `next` of the page before, or leave it out.")
    end = start + limit
    return _json(board, start, end, cursor(revision, end) if end < len(board.rows) else None)


def _json(board: Board, start: int, end: int, following: str | None) -> bytes:
    return dumps({**exports.board_json(board, start, end), "next": following})
