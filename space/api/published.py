"""Numbers that papers print."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from ...dataset_scripts.errors import UnknownNameError
from ...leaderboard.boards.exports import reported_csv
from ...leaderboard.hub import Hub
from .answers import dumps, tagged
from .errors import tagged_refusals
from .models import ReportedAnswer

Filter = Annotated[str | None, Query(max_length=200)]


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    del hub  # what papers print is the same on every hub

    @app.get(
        "/api/v1/reported-results",
        response_model=list[ReportedAnswer],
        responses={**tagged_refusals(), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        tags=["published"],
    )
    def reported(
        request: Request,
        paper: Filter = None,
        benchmark: Filter = None,
        consistency: Filter = None,
        format: Annotated[str, Query(description="json or csv.")] = "json",
    ) -> Response:
        """Lists the numbers of papers, with what is inconsistent about them; `benchmark` is an id of ours."""
        from ...leaderboard.boards.published import reported_results

        wanted = {"source_paper": paper, "benchmark_id": benchmark, "consistency": consistency}
        told = ((one, one.describe()) for one in reported_results())
        found = [(one, row) for one, row in told if all(value is None or row[key] == value for key, value in wanted.items())]
        if format == "csv":
            return tagged(request, reported_csv(one for one, _ in found), media_type="text/csv; charset=utf-8")
        if format != "json":
            raise UnknownNameError("format of reported results", format, ("json", "csv"))
        return tagged(request, dumps([row for _, row in found]))
