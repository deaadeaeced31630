"""What leaves a board for elsewhere: a system's badge and `.eval_results`, and what it was trained on."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from ...dataset_scripts.errors import UnknownNameError
from ...leaderboard.boards.eval_results import eval_results_yaml
from ...leaderboard.boards.exports import badge_svg
from ...leaderboard.boards.overlap_report import clean_scores, levels
from ...leaderboard.boards.ranking import Board, BoardRow
from ...leaderboard.hub import Hub
from .answers import as_json, tagged
from .errors import refusals, require_open, tagged_refusals
from .models import OverlapsAnswer


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""

    @app.get(
        "/api/v1/badge/{benchmark_id}/{system}.svg",
        response_class=Response,
        responses={**tagged_refusals(409), 200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
        tags=["boards"],
    )
    def badge(request: Request, benchmark_id: str, system: str) -> Response:
        """Returns a badge with a system's score and rank, for its own page."""
        board = hub.board(benchmark_id)
        return tagged(request, badge_svg(board, _row(board, system)).encode(), media_type="image/svg+xml")

    @app.get(
        "/api/v1/eval-results/{benchmark_id}/{system}.yaml",
        response_class=Response,
        responses={**tagged_refusals(409, 422), 200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}},
        tags=["boards"],
    )
    def eval_results(request: Request, benchmark_id: str, system: str) -> Response:
        """Returns what a model's repository may hold as `.eval_results/<benchmark>.yaml`."""
        board = hub.board(benchmark_id)
        text = eval_results_yaml(board, _row(board, system), source_url=str(request.base_url))
        return tagged(request, text.encode(), media_type="application/yaml")

    @app.get("/api/v1/overlaps/{benchmark_id}", response_model=OverlapsAnswer, responses=refusals(409), tags=["boards"])
    def overlaps(
        benchmark_id: str,
        metric: Annotated[
            str | None, Query(max_length=100, description="Add scores over the clips that no system was trained on.")
        ] = None,
    ) -> Response:
        """Returns, per system of a board, whether the training data that it declares hold the benchmark's clips.

        A level that is still being looked up is null: ask again. With a metric everything is waited for.
        """
        require_open(hub, benchmark_id)
        board = hub.board(benchmark_id)
        clean = None if metric is None else clean_scores(hub, board, metric)
        found = levels(hub, board, wait=clean is not None)
        rows = [
            {
                "submission_id": row.submission_id,
                "system": row.system.name,
                "overlap": None if (one := found[row.submission_id]) is None else one.to_json(),
                "clean": None if clean is None else clean.values.get(row.submission_id),
            }
            for row in board.rows
        ]
        sizes = {"n_clips": clean.n_clips, "n_clean": clean.n_clean} if clean else {"n_clips": None, "n_clean": None}
        return as_json({"benchmark": benchmark_id, "revision": board.revision, "metric": metric, **sizes, "rows": rows})


def _row(board: Board, system: str) -> BoardRow:
    for row in board.rows:
        if system in {row.system.name, row.submission_id}:
            return row
    raise UnknownNameError("system on this board", system, [row.system.name for row in board.rows][:100])
