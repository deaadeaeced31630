"""Files that come in: checked, or submitted. They are written to a folder of their own, which is gone when the answer is."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, File, Form, Header, Query, Request, Response, UploadFile
from starlette.datastructures import UploadFile as Upload

from ...dataset_scripts import atomic
from ...dataset_scripts.errors import InputError
from ...leaderboard.hub import Hub
from ...leaderboard.intake.bounded import ending_of
from ...leaderboard.intake.validation import ValidationReport
from ...leaderboard.submission import Submission, System
from ..identity import who
from .answers import as_json
from .errors import MalformedError, error_answer, refusals, require_open
from .models import AcceptedAnswer, RejectedAnswer, ReportAnswer
from .submissions import SIGNED_IN
from .telling import Telling

AT_ONCE = 4  # each may hold a file's worth of memory
MAX_NAME_BYTES = 150
_KEY = re.compile(r"[!-~]{1,200}")
_CSV = {"content": {"text/csv": {"schema": {"type": "string"}}}}
BenchmarkId = Annotated[str, Form(max_length=100, description="Id of the benchmark.")]
Predictions = Annotated[UploadFile, File(description="The predictions, under a name with the right ending.")]

T = TypeVar("T")


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    limiter = CapacityLimiter(AT_ONCE)
    telling = Telling(hub)

    @app.post(
        "/api/v1/validate",
        response_model=ReportAnswer,
        responses={**refusals(409, 413, 507), 200: _CSV},
        tags=["submissions"],
    )
    async def validate(
        file: Predictions,
        benchmark: BenchmarkId,
        format: Annotated[str, Query(pattern="^(json|csv)$", description="json or csv.")] = "json",
    ) -> Response:
        """Tells everything that is wrong with a predictions file; nothing is kept."""

        def check(path: Path) -> Response:
            require_open(hub, benchmark)
            report = hub.validate(path, benchmark)
            if format == "csv":
                return Response(report.to_csv(), media_type="text/csv")
            return as_json(report_json(report))

        return await with_files([file], check, limiter)

    @app.post(
        "/api/v1/submissions",
        status_code=202,
        response_model=AcceptedAnswer,
        responses={
            **refusals(401, 409, 413, 507),
            200: {"model": AcceptedAnswer, "description": "It was there already."},
            422: {"model": RejectedAnswer, "description": "The file or the description has problems; all are listed."},
        },
        dependencies=[SIGNED_IN],
        tags=["submissions"],
    )
    async def submit(
        request: Request,
        file: Predictions,
        benchmark: BenchmarkId,
        system: Annotated[str, Form(description="The system's name, or a JSON object that describes it.")],
        idempotency_key: Annotated[
            str | None, Header(description="A name for this attempt; the same again returns the same submission.")
        ] = None,
    ) -> Response:
        """Takes a predictions file in. 202 says that it is on disk and queued, and where to look for what becomes of it."""
        actor, about = who(request), _system(system)
        if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
            raise MalformedError("the Idempotency-Key is none; expected 1 to 200 visible ASCII characters.")

        def send(path: Path) -> Response:
            require_open(hub, benchmark)
            found, is_new, report = hub.submit(
                path, benchmark, about, actor=actor, idempotency_key=idempotency_key, suffix=ending_of(path.name)
            )
            where = {"Location": f"/api/v1/submissions/{found.id}"}
            if found.state == "rejected":
                return _rejected(hub, telling, found, report)
            body = {
                "submission": telling.submission(found),
                "is_new": is_new,
                "report": None if report is None else report_json(report),
            }
            return as_json(body, 202 if is_new else 200, where)

        return await with_files([file], send, limiter)


async def with_files(uploads: Sequence[Upload], work: Callable[[Path], T], limiter: CapacityLimiter) -> T:
    """Does work on uploads that lie in a folder of their own, in a thread.

    Args:
        uploads: what came; at least one.
        work: gets the file, or of several uploads the folder that holds them.
        limiter: how many at once, so that others are answered meanwhile.

    Raises:
        InputError: what `work` found, or two uploads of one name.
        StorageError: the disk is full.
    """

    def step() -> T:
        with atomic.storage_errors(Path(tempfile.gettempdir()), "Nothing was kept."):
            folder = Path(tempfile.mkdtemp(prefix="uac-upload-"))
        try:
            for one in uploads:
                path = folder / safe_name(one.filename)
                if path.exists():
                    raise InputError(f"two files are called {path.name}; expected one for each subtask.")
                with atomic.storage_errors(folder, "Nothing was kept."), path.open("wb") as stream:
                    shutil.copyfileobj(one.file, stream, 2**20)
            try:
                return work(folder if len(uploads) > 1 else path)
            except InputError as error:
                raise _without(error, folder) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return await to_thread.run_sync(step, limiter=limiter)


def safe_name(name: str | None) -> str:
    """Returns the last part of a file name, without what no name needs; it becomes a name in an empty folder.

    >>> safe_name("../../etc/passwd"), safe_name("mine.jsonl"), safe_name("..")
    ('passwd', 'mine.jsonl', 'predictions')
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in last if letter.isprintable()).lstrip(". ")
    while len(kept.encode(errors="ignore")) > MAX_NAME_BYTES:
        kept = kept[1:]  # the ending tells the format
    return kept.encode(errors="ignore").decode() or "predictions"


def report_json(report: ValidationReport) -> dict[str, Any]:
    """Returns a report as plain values, with the sentence that sums it up as `message`."""
    return {**report.to_json(), "message": headline(report)}


def headline(report: ValidationReport) -> str:
    """Returns what people are told first about a report; empty when there is no problem."""
    try:
        report.raise_if_invalid()
    except InputError as error:
        return error.headline
    return ""


def _rejected(hub: Hub, telling: Telling, found: Submission, report: ValidationReport | None) -> Response:
    about: Mapping[str, Any]
    if report is not None:
        about = report_json(report)
        error = InputError(about["message"], report.problems, report.n_problems)
    else:  # the same attempt once more: what was found then
        about = json.loads(hub.store.report(found.id) or b"{}")
        error = InputError(f"this file was rejected before: {found.error}")
    return error_answer(error, code="rejected", submission=telling.submission(found), report=about)


def _system(text: str) -> System:
    """Returns what a form says of a system: an object in JSON, or just its name."""
    if not text.lstrip().startswith("{"):
        return System(text.strip())
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(
            'the system looks like JSON and is none; send an object such as {"name": ...}, or just a name.'
        ) from None
    return System.from_json(values)


def _without(error: InputError, folder: Path) -> InputError:
    """Returns an error that names the file as its sender does."""
    return type(error)(error.headline.replace(f"{folder}/", ""), error.problems, error.total)
