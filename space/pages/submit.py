"""Submit: choose a benchmark, see every problem of a file at once, say what the system is, send it.

The form works without scripts: every step is the same page, sent back with what was found. `static/submit.js` sends the same form
without leaving the page, so that the file need not be chosen again.
"""

from __future__ import annotations

import base64
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from ...dataset_scripts import atomic
from ...dataset_scripts.errors import InputError, Problem, UnifiedAudioCapsError
from ...dataset_scripts.source import SOURCES
from ...evaluators.metric import METRICS
from ...leaderboard.benchmark import Benchmark, BenchmarkItems
from ...leaderboard.boards.csv_text import csv_table, problems_csv
from ...leaderboard.hub import Actor, Hub
from ...leaderboard.intake.bounded import EMBEDDING_FORMATS, TEXT_FORMATS, ending_of
from ...leaderboard.intake.validation import ValidationReport, max_bytes
from ...leaderboard.scoring import score_submission
from ...leaderboard.storage.records import ResultRow
from ...leaderboard.submission import Submission, System
from ..api.errors import MalformedError, error_answer, machine_folders, require_open
from ..api.uploads import AT_ONCE, report_json, with_files
from ..sign_in import address_of_hub
from .board import choices, default_benchmark
from .site import Site, link

MAX_FILES, MAX_FIELDS, MAX_FIELD_BYTES = 12, 40, 64 * 2**10
TRY_BENCHMARK = "sample"
SHOWN_IDS = 2
ACTIONS = ("check", "try", "send")
_WEIGHTS = {"": None, "yes": True, "no": False}


@dataclass(frozen=True)
class About:
    """The fields of the form that describe a system, as they were typed."""

    name: str = ""
    organisation: str = ""
    hub_repo: str = ""
    parameters: str = ""
    open_weights: str = ""
    license_text: str = ""
    paper_url: str = ""
    code_url: str = ""
    training_data: str = ""
    description: str = ""

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> About:
        """Returns what a form says; what is no text counts as empty."""
        given = {one.name: form.get(one.name, "") for one in fields(cls)}
        return cls(**{name: text if isinstance(text, str) else "" for name, text in given.items()})

    def system(self) -> System:
        """Returns the system that is described.

        Raises:
            InputError: a field is none that a board can show; all of them are named.

        >>> About(name=" A ", parameters="1,200,000", training_data="clotho, wavcaps").system().parameters
        1200000
        """
        number, problems = self.parameters.replace(",", "").replace("_", "").replace(" ", ""), []
        if number and not (number.isascii() and number.isdecimal() and len(number) < 16):
            expected = "a whole number, such as 240000000"
            problems.append(Problem("E_SYSTEM", f"parameters is not a number; expected {expected}", column="parameters"))
            number = ""
        trained = tuple(one.strip() for one in self.training_data.replace("\n", ",").split(",") if one.strip())
        try:
            made = System(
                self.name.strip(),
                self.organisation.strip(),
                self.hub_repo.strip(),
                int(number) if number else None,
                _WEIGHTS.get(self.open_weights),
                self.license_text.strip(),
                self.paper_url.strip(),
                self.code_url.strip(),
                trained,
                self.description.strip().replace("\r\n", "\n"),
            )
        except InputError as error:
            raise InputError(error.headline, [*problems, *error.problems]) from None
        if problems:
            raise InputError("the system is not described as a board can show it.", problems)
        return made


@dataclass(frozen=True)
class Outcome:
    """What one press of a button led to.

    Attributes:
        kind: `good`, `warn` or `bad`.
        heading: in a few words.
        message: what to do now.
        problems: what is wrong, the first ones.
        n_problems: how many there are in all.
        warnings: oddities that stop nothing.
        csv: address of a table of all that is listed, made of nothing but itself; empty where nothing is.
        scores: of a dry run.
        status: of the answer.
        wants_sign_in: whether nothing but that is missing.
        retry_after_s: when to come back; empty for at any time.
    """

    kind: str
    heading: str
    message: str = ""
    problems: Sequence[Mapping[str, Any]] = ()
    n_problems: int = 0
    warnings: Sequence[Mapping[str, Any]] = ()
    csv: str = ""
    scores: Sequence[ResultRow] = ()
    status: int = 200
    wants_sign_in: bool = False
    retry_after_s: str = ""


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""
    limiter = CapacityLimiter(AT_ONCE)

    @app.get("/submit", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        wanted = request.query_params.get("benchmark") or default_benchmark(site.hub)
        return site.page(request, "submit.html", **view(site, request, site.hub.benchmark(wanted), About()))

    @app.post("/submit", include_in_schema=False, response_model=None)
    async def send(request: Request) -> Response:
        form = await _form(request)
        action = form.get("action")
        name = form.get("benchmark")
        if not isinstance(name, str) or not name:
            raise MalformedError("the form names no benchmark; open the submit page again.")
        benchmark = await to_thread.run_sync(site.hub.benchmark, name)
        about = About.of(form)
        files = [one for one in form.getlist("file") if isinstance(one, UploadFile) and one.filename]
        actor: Actor | None = request.state.actor
        asked = action if isinstance(action, str) and action in ACTIONS else "check"
        try:
            found = await _answer(site.hub, asked, benchmark, about, files, actor, limiter)
        finally:
            await form.close()
        if isinstance(found, Submission):
            return RedirectResponse(f"/submissions/{found.id}", 303)
        context = await to_thread.run_sync(view, site, request, benchmark, about, found)
        answer = await to_thread.run_sync(lambda: site.page(request, "submit.html", status=found.status, **context))
        if found.retry_after_s:
            answer.headers["Retry-After"] = found.retry_after_s
        return answer


async def _form(request: Request) -> FormData:
    """Returns what was sent; big files lie on the disk.

    Raises:
        MalformedError: it came to an end too early.
        StorageError: the disk is full.
    """
    try:
        with atomic.storage_errors(Path(tempfile.gettempdir()), "Nothing was kept."):
            return await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except ClientDisconnect:
        raise MalformedError("the upload came to an end too early.") from None


async def _answer(
    hub: Hub,
    action: str,
    benchmark: Benchmark,
    about: About,
    files: Sequence[UploadFile],
    actor: Actor | None,
    limiter: CapacityLimiter,
) -> Outcome | Submission:
    """Does what a button asks for; what goes wrong is told on the page, beside what was typed."""
    if not files:
        return Outcome("bad", "Choose a file first", "Nothing was sent with the form.", status=422)
    try:
        if action == "send" and actor is not None:
            described = about.system()

            def submit(path: Path) -> Outcome | Submission:
                return sent(hub, path, benchmark, described, actor)

            return await with_files(files, submit, limiter)
        if action == "try":
            return await with_files(files, lambda path: tried(hub, path, benchmark), limiter)
        return await with_files(files, lambda path: checked(hub, path, benchmark, action == "send"), limiter)
    except UnifiedAudioCapsError as error:
        return refused(hub, error)


def checked(hub: Hub, path: Path, benchmark: Benchmark, wants_to_send: bool = False) -> Outcome:
    """Returns everything that is wrong with a file, or with a folder of them.

    Raises:
        UnifiedAudioCapsError: it cannot be looked at.
    """
    require_open(hub, benchmark.id)
    report = hub.validate(path, benchmark.id)
    if not report.is_valid:
        return _with_problems(report)
    what = "clips" if benchmark.task == "retrieval" else "predictions"
    told = f"{report.n_predictions:,} {what}, none is missing."
    if wants_to_send:
        heading, kind = "The file is in order: now sign in", "warn"
        told += " Nothing was sent: only people who are signed in may submit here."
    else:
        heading, kind = "The file is in order", "good"
        told += " Say below what made it, then press Submit." if not report.warnings else " Look at the remarks, then submit it."
    warnings = report_json(report)["warnings"]
    return Outcome(
        kind,
        heading,
        told,
        warnings=warnings,
        csv=_csv(warnings),
        status=401 if wants_to_send else 200,
        wants_sign_in=wants_to_send,
    )


def sent(hub: Hub, path: Path, benchmark: Benchmark, system: System, actor: Actor) -> Outcome | Submission:
    """Takes a file in and returns its submission, or what is wrong with it.

    Raises:
        UnifiedAudioCapsError: as `Hub.submit`.
    """
    require_open(hub, benchmark.id)
    suffix = None if path.is_dir() else ending_of(path.name)
    found, _, report = hub.submit(path, benchmark.id, system, actor=actor, suffix=suffix)
    return _with_problems(report) if report is not None and not report.is_valid else found


def tried(hub: Hub, path: Path, benchmark: Benchmark) -> Outcome:
    """Scores a file by what needs no model, and keeps nothing; a dozen texts of bounded length take no time.

    Raises:
        InputError: the benchmark is another one than `TRY_BENCHMARK`, or the file cannot be scored.
    """
    if benchmark.id != TRY_BENCHMARK:
        raise InputError(f"a dry run is for the benchmark {TRY_BENCHMARK} only, whose references everybody may see.")
    require_open(hub, benchmark.id)
    report = hub.validate(path, benchmark.id)
    if not report.is_valid:
        return _with_problems(report)
    scores = [row for row in score_submission(quick(hub.items(benchmark)), report).rows if not row.scope]
    left_out = [METRICS.get(name).title for name in benchmark.metrics if name not in quick_metrics(benchmark)]
    told = "Nothing was kept. "
    told += f"{', '.join(left_out)} need a language model and are computed when you submit." if left_out else ""
    return Outcome("good", "What this file would score", told, scores=scores, warnings=report_json(report)["warnings"])


def quick_metrics(benchmark: Benchmark) -> tuple[str, ...]:
    """Returns the metrics of a benchmark that need no model: those that compare words."""
    return tuple(name for name in benchmark.metrics if not METRICS.get(name).uses)


def quick(items: BenchmarkItems) -> BenchmarkItems:
    """Returns items under a definition that asks for `quick_metrics` alone."""
    metrics = quick_metrics(items.benchmark)
    return replace(items, benchmark=replace(items.benchmark, metrics=metrics, primary_metric=metrics[0]))


def refused(hub: Hub, error: UnifiedAudioCapsError) -> Outcome:
    """Returns what is told of an error: the same as the API tells, in the form."""
    answer = error_answer(error, machine_folders(hub))
    body = json.loads(bytes(answer.body))
    listed = body["problems"]
    retry_after_s = answer.headers.get("retry-after", "")
    message = body["message"][:1].upper() + body["message"][1:]
    return Outcome(
        "bad",
        "Not submitted" if not listed else "This has to be put right first",
        message,
        listed,
        body["n_problems"],
        csv=_csv(listed),
        status=answer.status_code,
        retry_after_s=retry_after_s,
    )


def _with_problems(report: ValidationReport) -> Outcome:
    plain = report_json(report)
    n, listed = report.n_problems, [*plain["problems"], *plain["warnings"]]
    heading = f"{n:,} {'problem' if n == 1 else 'problems'} in {report.n_rows:,} {'row' if report.n_rows == 1 else 'rows'}"
    return Outcome(
        "bad",
        heading,
        f"{report.file}: nothing is scored before all of it is put right.",
        plain["problems"],
        n,
        plain["warnings"],
        _csv(listed),
        status=422,
    )


def _csv(listed: Sequence[Mapping[str, Any]]) -> str:
    """Returns the address of a table that holds nothing but itself: nothing of a checked file is kept."""
    if not listed:
        return ""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(problems_csv(listed).encode()).decode()


def view(site: Site, request: Request, benchmark: Benchmark, about: About, outcome: Outcome | None = None) -> dict[str, Any]:
    """Returns what the template shows."""
    wrong = {one["column"]: one["message"] for one in (outcome.problems if outcome else ()) if one["code"] == "E_SYSTEM"}
    return {
        "title": f"Submit to {benchmark.title}",
        "benchmark": benchmark,
        "choices": choices(site.hub),
        "about": about,
        "wrong": wrong,
        "outcome": outcome,
        "can_try": benchmark.id == TRY_BENCHMARK,
        "training_names": [*sorted(SOURCES.names()), "none"],
        "max_mib": max_bytes(benchmark) // 2**20,
        "sign_in": link("/login/huggingface", {"_target_url": link("/submit", {"benchmark": benchmark.id})}),
        "title_of": _title_of,
        "address": address_of_hub(request, site.hub.settings),
        **form_of(site.hub, benchmark),
    }


def form_of(hub: Hub, benchmark: Benchmark) -> dict[str, Any]:
    """Returns how a file for a benchmark has to look: `formats`, `examples` (title and text), `subtasks`, and why not."""
    formats = EMBEDDING_FORMATS if benchmark.task == "retrieval" else TEXT_FORMATS
    told: dict[str, Any] = {"formats": formats, "examples": [], "subtasks": (), "is_open": True, "build_commands": []}
    try:
        items = hub.items(benchmark)
    except InputError:  # what it says names folders of this machine
        create = f"uac benchmark create {benchmark.id} --from {benchmark.config}/{benchmark.split}"
        return {
            **told,
            "is_open": False,
            "build_commands": [benchmark.build_command(), *([] if benchmark.is_frozen else [create])],
        }
    if benchmark.task == "retrieval":
        return told
    several = len(items.subtasks) > 1
    some = [(subtask, id_) for subtask, ids in items.wanted.items() for id_ in itertools.islice(ids, 1 if several else SHOWN_IDS)]
    rows = [{"id": id_, **({"subtask": subtask} if several else {}), benchmark.column: "…"} for subtask, id_ in some]
    shown = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    table = csv_table([list(rows[0]), *(list(row.values()) for row in rows)])
    examples = [("predictions.jsonl", shown), ("predictions.csv", table.strip())]
    return {**told, "examples": examples, "subtasks": items.subtasks if several else ()}


def _title_of(row: ResultRow) -> str:
    metric = METRICS.get(row.metric)
    return metric.title if row.name == row.metric else row.name.upper().replace("_", "-")
