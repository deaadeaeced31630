"""The REST routes: what the pages show, as JSON under `/api/v1`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..dataset_scripts.errors import UnknownNameError
from ..leaderboard.hub import Hub

if TYPE_CHECKING:
    from fastapi import FastAPI, Request


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes to the application.

    Args:
        app: gets the routes and the handler for unknown names (404 with `error`).
        hub: answers them.
    """
    from fastapi.responses import JSONResponse

    @app.exception_handler(UnknownNameError)
    def _unknown(_request: Request, error: UnknownNameError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=404)

    @app.get("/api/v1/healthz")
    def healthz() -> dict[str, Any]:
        """Tells that the process answers and can read its database."""
        return {"status": "ok", "unfinished_submissions": hub.store.n_unfinished()}

    @app.get("/api/v1/benchmarks")
    def benchmarks() -> list[dict[str, Any]]:
        """Lists the benchmark definitions."""
        return [benchmark.describe() for benchmark in hub.benchmarks()]

    @app.get("/api/v1/leaderboard/{benchmark_id}")
    def leaderboard(benchmark_id: str) -> dict[str, Any]:
        """Returns the ranked table of a benchmark; values are in their native range."""
        board = hub.board(benchmark_id)
        return {
            "benchmark": board.benchmark.describe(),
            "columns": [asdict(column) for column in board.columns],
            "rows": [asdict(row) for row in board.rows],
        }

    @app.get("/api/v1/submissions/{submission_id}")
    def submission(submission_id: str) -> dict[str, Any]:
        """Returns the state of a submission and everything that happened to it."""
        return {**asdict(hub.store.get(submission_id)), "events": hub.store.events(submission_id)}
