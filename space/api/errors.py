"""One shape for every error of the API, and which status each of our errors has."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from ...dataset_scripts.errors import (
    InputError,
    LimitError,
    Problem,
    RightsError,
    StateError,
    StorageError,
    UnavailableError,
    UnifiedAudioCapsError,
    UnknownNameError,
)
from ...leaderboard.hub import Hub
from ..identity import SignInError, SignInUnavailableError
from .answers import as_json

logger = logging.getLogger(__name__)

RETRY_S = 5


class ProblemAnswer(BaseModel):
    """One thing that is wrong with what was sent."""

    code: str
    message: str
    line: int | None = None
    id: str | None = None
    hint: str = ""
    column: str | None = None


class ErrorAnswer(BaseModel):
    """What went wrong.

    `error` is a word for programs, `message` a sentence for people; of more than 200 problems the first ones are listed.
    """

    error: str
    message: str
    problems: list[ProblemAnswer] = []
    n_problems: int = 0


ErrorPage = Callable[[Request, int, str], Response]  # request, status, message


class BodyTooBigError(InputError):
    """More was sent than any benchmark takes."""


class MalformedError(InputError):
    """A parameter is none that the route takes."""


class NotOpenError(InputError):
    """The benchmark's references are not on this hub."""


# the first that fits
_STATUS: tuple[tuple[type[UnifiedAudioCapsError], int, str], ...] = (
    (SignInError, 401, "not_signed_in"),
    (RightsError, 403, "forbidden"),
    (UnknownNameError, 404, "unknown"),
    (StateError, 409, "state"),
    (NotOpenError, 409, "not_open"),
    (BodyTooBigError, 413, "too_big"),
    (MalformedError, 400, "malformed"),
    (InputError, 422, "invalid"),
    (LimitError, 429, "limit"),
    (UnavailableError, 503, "unavailable"),
    (StorageError, 507, "storage"),
)
# messages of these name folders of the machine
_FIXED = {
    "unavailable": "the hub's database does not answer; nothing was changed, try again soon.",
    "storage": "the hub's disk is full or refuses to write; nothing was kept. Try again later.",
}
_HTTP = {400: "malformed", 404: "unknown", 405: "method"}
_ALWAYS = (400, 403, 404, 429, 500, 503)


def require_open(hub: Hub, benchmark_id: str) -> None:
    """Refuses what needs the items of a benchmark that are not built here.

    Raises:
        NotOpenError: so it is.
        UnknownNameError: there is no such benchmark.
    """
    benchmark = hub.benchmark(benchmark_id)
    try:
        hub.items(benchmark)
    except InputError as error:
        raise NotOpenError(f"the items of {benchmark.id} are not on this hub: {error.headline}") from None


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what a route documents about its errors: those given, and those of every route."""
    return {status: {"model": ErrorAnswer} for status in sorted({*_ALWAYS, 422, *statuses})}


def tagged_refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the same for a route whose answers have a tag."""
    return {**refusals(*statuses), 304: {"description": "The asker has it already (If-None-Match)."}}


def error_answer(error: Exception, folders: tuple[Path, ...] = (), code: str | None = None, **more: Any) -> Response:
    """Returns the answer for an error; one that nobody foresaw is logged under an id, and tells nothing but that.

    Args:
        error: what was raised.
        folders: of this machine; they are cut out of messages.
        code: the word for programs, where it is not the usual one.
        more: further keys of the body.
    """
    fitting = [(status, word) for kind, status, word in _STATUS if isinstance(error, kind)]
    if not fitting:
        return _unforeseen(error)
    status, word = fitting[0]
    problems: tuple[Problem, ...] = ()
    total, message, headers = 0, str(error), {}
    if isinstance(error, InputError):
        problems, total, message = error.problems, error.total, error.headline
    elif word in _FIXED and not isinstance(error, SignInUnavailableError):
        logger.warning("%s", error)
        message = _FIXED[word]
    if isinstance(error, LimitError):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s + 0.5)))
    elif status == 503:
        headers["Retry-After"] = str(RETRY_S)
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    listed = [
        {**asdict(one), "message": without_folders(one.message, folders), "hint": without_folders(one.hint, folders)}
        for one in problems
    ]
    message = without_folders(message, folders)
    return as_json({"error": code or word, "message": message, "problems": listed, "n_problems": total, **more}, status, headers)


def as_page(request: Request, answer: Response, error_page: ErrorPage | None) -> Response:
    """Returns an error as a page where it is not the API that was asked; headers such as `Retry-After` stay."""
    if error_page is None or request.url.path.startswith("/api/"):
        return answer
    page = error_page(request, answer.status_code, json.loads(bytes(answer.body))["message"])
    for name in ("retry-after", "allow"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def without_folders(text: str, folders: tuple[Path, ...]) -> str:
    """Returns a message without the names of folders of this machine."""
    for folder in folders:
        text = text.replace(f"{folder}/", "").replace(str(folder), "the hub")
    return text


def _unforeseen(error: Exception) -> Response:
    number = secrets.token_hex(8)
    # what an error says may hold references or predictions: the log shows where it was raised
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("request %s ended with %s\n%s", number, type(error).__name__, where)
    message = f"the hub made a mistake; nothing is known to be lost. Tell its owner the number {number}."
    return as_json({"error": "internal", "message": message, "problems": [], "n_problems": 0}, 500)


def machine_folders(hub: Hub) -> tuple[Path, ...]:
    """Returns folders whose names are nobody's business, the longest first."""
    database = hub.store.database_path
    found = {hub.data.absolute(), hub.store.files.folder.absolute(), hub.settings.home.absolute(), Path.cwd()}
    if database is not None:
        found.add(database.parent.absolute())
    return tuple(sorted((one for one in found if len(one.parts) > 1), key=lambda one: -len(str(one))))


def add_handlers(app: FastAPI, hub: Hub, error_page: ErrorPage | None = None) -> None:
    """Makes every error of the API an answer of the one shape, unknown routes too, and every other one a page."""
    folders = machine_folders(hub)

    @app.exception_handler(UnifiedAudioCapsError)
    def _ours(request: Request, error: UnifiedAudioCapsError) -> Response:
        return as_page(request, error_answer(error, folders), error_page)

    @app.exception_handler(RequestValidationError)
    def _malformed(request: Request, error: RequestValidationError) -> Response:
        found = [(".".join(map(str, one["loc"][1:])), str(one["msg"])) for one in error.errors()]
        problems = [Problem("E_PARAMETER", f"{name}: {text}", column=name) for name, text in found]
        answer = error_answer(MalformedError("the request does not have the form that the route takes.", problems))
        return as_page(request, answer, error_page)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, OSError):  # a form whose file could not be put aside
            answer = error_answer(StorageError("the hub", error.__cause__, "Nothing was kept."))
        else:
            code = _HTTP.get(error.status_code, "refused")
            body = {"error": code, "message": str(error.detail), "problems": [], "n_problems": 0}
            answer = as_json(body, error.status_code, dict(error.headers or {}))
        return as_page(request, answer, error_page)

    def nowhere(request: Request) -> Response:
        routes = [one for one in app.router.routes if isinstance(one, Route) and one is not last]
        fitting = [one for one in routes if one.matches(request.scope)[0] is Match.PARTIAL]
        if fitting:
            allowed = ", ".join(sorted({method for one in fitting for method in one.methods or ()}))
            raise HTTPException(405, f"this route takes {allowed}.", {"Allow": allowed})
        raise HTTPException(404, "there is no such route; /api/docs lists them.")

    # a mount at "/" would answer with a page
    last = Route("/api/{rest:path}", nowhere, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"], include_in_schema=False)
    app.router.routes.append(last)
