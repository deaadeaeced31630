"""Submissions: lists, single ones, what was wrong with their files, and what their items got."""

from __future__ import annotations

import io
import json
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response, Security
from fastapi.security import HTTPBearer

from ...dataset_scripts.errors import InputError, RightsError, UnknownNameError
from ...leaderboard.boards.csv_text import problems_csv
from ...leaderboard.hub import Hub
from ...leaderboard.submission import STATES
from ..identity import who
from .answers import cursor, dumps, parts_of, tagged
from .errors import refusals, tagged_refusals
from .models import SubmissionAnswer, SubmissionsAnswer
from .telling import Telling

MAX_PAGE = 200
PARQUET = "application/vnd.apache.parquet"
_CSV = {"content": {"text/csv": {"schema": {"type": "string"}}}}
_PARQUET = {"content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}}}
# for the schema: the gate has looked at the token already
SIGNED_IN = Security(HTTPBearer(auto_error=False, description="A personal access token of Hugging Face."))
Name = Annotated[str | None, Query(max_length=200)]


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    telling = Telling(hub)

    @app.get("/api/v1/submissions", response_model=SubmissionsAnswer, responses=tagged_refusals(), tags=["submissions"])
    def submissions(
        request: Request,
        benchmark: Name = None,
        state: Annotated[list[str] | None, Query(max_length=len(STATES), json_schema_extra={"items": {"enum": STATES}})] = None,
        account: Name = None,
        system: Name = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=200, description="`next` of the page before.")] = None,
    ) -> Response:
        """Lists submissions, newest first."""
        unknown = set(state or ()) - set(STATES)
        if unknown:
            raise InputError(f"no submission is ever {sorted(unknown)[0][:40]!r}; expected {', '.join(STATES)}.")
        before = None if cursor_ is None else parts_of(cursor_, str)[0]
        found = hub.store.submissions(
            limit + 1, before=before, states=state or (), benchmark=benchmark, account=account, system=system
        )
        following = cursor(found[limit - 1].id) if len(found) > limit else None
        return tagged(request, dumps({"submissions": telling.submissions(found[:limit]), "next": following}))

    @app.get(
        "/api/v1/submissions/{submission_id}", response_model=SubmissionAnswer, responses=tagged_refusals(), tags=["submissions"]
    )
    def submission(request: Request, submission_id: str) -> Response:
        """Returns the state of a submission, its progress and place in the queue, and everything that happened to it."""
        about = telling.submission(hub.store.get(submission_id))
        events = telling.events(hub.store.events(submission_id))
        place = hub.store.n_ahead(submission_id)
        return tagged(request, dumps({**about, "queue_place": place, "events": events}))

    @app.get(
        "/api/v1/submissions/{submission_id}/errors.csv",
        response_class=Response,
        responses={**refusals(401), 200: _CSV},
        dependencies=[SIGNED_IN],
        tags=["submissions"],
    )
    def errors(request: Request, submission_id: str) -> Response:
        """Returns all that was wrong with the file of a rejected submission, to its owner."""
        found = hub.store.get(submission_id)
        actor = who(request)
        if not actor.is_admin and found.account != actor.name:
            raise RightsError(f"submission {submission_id} is somebody else's; only its owner sees what was wrong with its file.")
        report = hub.store.report(submission_id) if found.state == "rejected" else None
        problems = json.loads(report)["problems"] if report else []
        return Response(problems_csv(problems), media_type="text/csv", headers={"Cache-Control": "private, no-store"})

    @app.get(
        "/api/v1/submissions/{submission_id}/samples.parquet",
        response_class=Response,
        responses={**tagged_refusals(), 200: _PARQUET},
        tags=["submissions"],
    )
    def samples(request: Request, submission_id: str) -> Response:
        """Returns what every item got; not for benchmarks with private references, nor of what was taken off the board."""
        import pyarrow.parquet as pq

        found, actor = hub.store.get(submission_id), request.state.actor
        is_own = actor is not None and (actor.is_admin or actor.name == found.account)
        if found.state in {"hidden", "withdrawn"} and not is_own:
            raise UnknownNameError("submission on a board", submission_id, ())
        stream = io.BytesIO()
        pq.write_table(hub.item_scores(submission_id), stream)
        return tagged(request, stream.getvalue(), media_type=PARQUET)
