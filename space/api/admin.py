"""Taking back, hiding, queueing again, scoring again, and the log's proof."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI, Request, Response

from ...leaderboard.hub import Hub, require_admin
from ...leaderboard.submission import Submission
from ..identity import who
from .answers import as_json
from .errors import refusals
from .models import CountAnswer
from .submissions import SIGNED_IN
from .telling import Telling

Reason = Annotated[str, Body(embed=True, max_length=500, description="Why, for the log.")]


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    telling = Telling(hub)
    one, changes = "/api/v1/submissions/{submission_id}", refusals(401, 409, 413)

    @app.post(f"{one}/withdraw", response_model=Submission, responses=changes, dependencies=[SIGNED_IN], tags=["submissions"])
    def withdraw(request: Request, submission_id: str) -> Response:
        """Takes a submission back; its owner may, and admins."""
        return as_json(telling.submission(hub.withdraw(submission_id, who(request))))

    @app.post(f"{one}/hide", response_model=Submission, responses=changes, dependencies=[SIGNED_IN], tags=["admin"])
    def hide(request: Request, submission_id: str, reason: Reason) -> Response:
        """Takes a submission off the board for a reason that is recorded."""
        return as_json(telling.submission(hub.hide(submission_id, reason, who(request))))

    @app.post(f"{one}/requeue", response_model=Submission, responses=changes, dependencies=[SIGNED_IN], tags=["admin"])
    def requeue(request: Request, submission_id: str) -> Response:
        """Scores a submission anew."""
        return as_json(telling.submission(hub.requeue(submission_id, who(request))))

    @app.post(
        "/api/v1/benchmarks/{benchmark_id}/rescore",
        response_model=CountAnswer,
        responses=changes,
        dependencies=[SIGNED_IN],
        tags=["admin"],
    )
    def rescore(request: Request, benchmark_id: str) -> Response:
        """Queues every submission of a benchmark that was not scored by its present recipe."""
        return as_json({"count": hub.rescore(benchmark_id, who(request))})

    @app.get(
        "/api/v1/admin/verify-log",
        response_model=CountAnswer,
        responses=refusals(401, 409),
        dependencies=[SIGNED_IN],
        tags=["admin"],
    )
    def verify_log(request: Request) -> Response:
        """Checks the hash chain over all events and returns how many there are."""
        require_admin(who(request))
        return as_json({"count": hub.store.verify_events()})
