"""Numbers that papers print."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from ...leaderboard.hub import Hub
from .answers import dumps, tagged
from .errors import tagged_refusals
from .models import ReportedAnswer

Filter = Annotated[str | None, Query(max_length=200)]


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    del hub  # what papers print is the same on every hub

    @app.get("/api/v1/reported-results", response_model=list[ReportedAnswer], responses=tagged_refusals(), tags=["published"])
    def reported(request: Request, paper: Filter = None, benchmark: Filter = None, consistency: Filter = None) -> Response:
        """Lists the numbers of papers, with what is inconsistent about them; `benchmark` is an id of ours."""
        from ...leaderboard.published import reported_results

        wanted = {"source_paper": paper, "benchmark_id": benchmark, "consistency": consistency}
        rows = (one.describe() for one in reported_results())
        found = [row for row in rows if all(value is None or row[key] == value for key, value in wanted.items())]
        return tagged(request, dumps(found))
