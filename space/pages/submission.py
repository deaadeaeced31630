"""One submission: what happened to it, what waits, what was measured; and what its owner and admins may do about it."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from ...dataset_scripts.errors import InputError, UnifiedAudioCapsError, UnknownNameError
from ...evaluators.metric import METRICS
from ...leaderboard.benchmark import RETRIEVAL_METRICS, Benchmark
from ...leaderboard.boards.overlap_report import Overlap, overlap_of
from ...leaderboard.boards.ranking import RETRIEVAL_TITLES
from ...leaderboard.hub import Actor, Hub
from ...leaderboard.storage.records import ResultRow
from ...leaderboard.submission import UNFINISHED, Submission, System
from ..identity import who
from .board import OVERLAPS
from .site import Site

MAX_FORM_BYTES = 16 * 2**10
# what went well so far, in order; a submission stands on one of them
STEPS = (("received", "Received"), ("queued", "Checked"), ("scoring", "Being scored"), ("published", "On the board"))
WORDS = {
    "received": ("being checked", ""),
    "rejected": ("rejected", "bad"),
    "queued": ("waits for a worker", ""),
    "scoring": ("being scored", ""),
    "failed": ("scoring failed", "bad"),
    "published": ("on the board", "good"),
    "superseded": ("replaced by a newer one", ""),
    "withdrawn": ("taken back", "warn"),
    "hidden": ("taken off the board", "warn"),
}
PROVENANCES = {
    "verified": "scored on this hub",
    "self_reported": "reported by its authors; not scored here",
    "paper_reported": "from a paper; not scored here",
}
TAKEN_OFF_FROM = frozenset({"received", "queued", "scoring", "published", "superseded"})
QUEUED_AGAIN_FROM = frozenset({"failed", "hidden", "withdrawn", "superseded", "published"})
OFF_BOARD = frozenset({"hidden", "withdrawn"})


@dataclass(frozen=True)
class Score:
    """One number of a submission, as everybody may know it.

    Attributes:
        title: what it is called.
        name: of the metric or its component.
        value: native range.
        interval: ends of the 95 % interval; None where there is none.
        digest: of the signature.
        signature: the whole recipe.
        is_metric: whether it is a metric's own score, not a part of one.
    """

    title: str
    name: str
    value: float
    interval: tuple[float, float] | None
    digest: str
    signature: str
    is_metric: bool


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page, and what its buttons do."""
    hub = site.hub

    @app.get("/submissions/{submission_id}", include_in_schema=False, response_model=None)
    def page(request: Request, submission_id: str) -> Response:
        return site.page(request, "submission.html", **view(site, submission_id, request.state.actor))

    @app.post("/submissions/{submission_id}/withdraw", include_in_schema=False, response_model=None)
    async def withdraw(request: Request, submission_id: str) -> Response:
        actor = who(request)
        await to_thread.run_sync(hub.withdraw, submission_id, actor)
        return RedirectResponse(f"/submissions/{submission_id}", 303)

    @app.post("/submissions/{submission_id}/hide", include_in_schema=False, response_model=None)
    async def hide(request: Request, submission_id: str) -> Response:
        actor, form = who(request), await small_form(request)
        await to_thread.run_sync(hub.hide, submission_id, form.get("reason", ""), actor)
        return RedirectResponse(f"/submissions/{submission_id}", 303)

    @app.post("/submissions/{submission_id}/requeue", include_in_schema=False, response_model=None)
    async def requeue(request: Request, submission_id: str) -> Response:
        actor = who(request)
        await to_thread.run_sync(hub.requeue, submission_id, actor)
        return RedirectResponse(f"/submissions/{submission_id}", 303)


async def small_form(request: Request) -> dict[str, str]:
    """Returns the fields of a form without files.

    Raises:
        InputError: there is more in it than any of our forms holds.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise InputError(f"the form holds more than {MAX_FORM_BYTES:,} bytes; write less.")
    return dict(urllib.parse.parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=20))


def view(site: Site, submission_id: str, actor: Actor | None) -> dict[str, Any]:
    """Returns what the template shows; what is its owner's business is left out for others.

    Raises:
        UnknownNameError: there is no such submission.
    """
    hub = site.hub
    found = hub.store.get(submission_id)
    benchmark = benchmark_of(hub, found)
    is_admin = actor is not None and actor.is_admin
    is_own = is_admin or (actor is not None and actor.name == found.account)
    is_shown = found.state not in OFF_BOARD or is_own
    events = site.telling.events(hub.store.events(submission_id))
    report = json.loads(hub.store.report(submission_id) or b"{}") if is_own and found.state == "rejected" else {}
    scores = scores_of(hub, benchmark, submission_id) if is_shown and benchmark is not None else {}
    about = next((one for one, _ in hub.store.systems() if one.name == found.system), None)
    place = hub.store.n_ahead(submission_id)
    is_scored = found.provenance == "verified" and bool(scores)
    return {
        "title": f"{found.system} on {benchmark.title if benchmark else found.benchmark}",
        "one": site.telling.submission(found),
        "benchmark": benchmark,
        "is_own": is_own,
        "words": WORDS[found.state],
        "provenance": PROVENANCES[found.provenance],
        "steps": steps_of(found, events),
        "is_under_way": found.state in UNFINISHED or place is not None,
        "place": place,
        "percent": 100 * found.progress_done // found.progress_total if found.progress_total else None,
        "events": [(one, told(one)) for one in events],
        "report": report,
        "scores": scores,
        "rank": _rank(hub, benchmark, found),
        "note": {str(name): _plain(value) for name, value in found.note.items()},
        "overlap": None if benchmark is None or about is None else overlap_now(hub, benchmark, about),
        "overlap_words": OVERLAPS,
        "can_listen": is_scored and benchmark is not None and not benchmark.is_private and found.state == "published",
        "has_samples": is_scored and benchmark is not None and not benchmark.is_private,
        "can_withdraw": is_own and found.state in TAKEN_OFF_FROM,
        "can_hide": is_admin and found.state in TAKEN_OFF_FROM,
        "can_requeue": is_admin and found.state in QUEUED_AGAIN_FROM,
        "is_admin": is_admin,
    }


def benchmark_of(hub: Hub, found: Submission) -> Benchmark | None:
    """Returns a submission's own benchmark version; None where this version of the package does not know it."""
    try:
        return hub.benchmark(found.benchmark, found.benchmark_version)
    except UnknownNameError:
        return None


def steps_of(found: Submission, events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Returns (words, kind) per step of a submission's way: `done`, `now`, `bad` or empty for what is still to come."""
    names = [name for name, _ in STEPS]
    if found.provenance != "verified":
        return [("Reported", "done"), ("On the board", "done")] if found.state == "published" else []
    seen = [names.index(one["kind"]) for one in events if one["kind"] in names]
    reached = names.index(found.state) if found.state in names else max(seen, default=0)
    steps = []
    for place, (name, words) in enumerate(STEPS):
        kind = "done" if place < reached or found.state == "published" else "now" if place == reached else ""
        shown = "Waits for a worker" if name == found.state == "queued" else words
        steps.append((shown, "done" if kind == "now" and found.state not in UNFINISHED else kind))
    if found.state in {"rejected", "failed"}:
        steps = [*steps[: reached + 1], (WORDS[found.state][0].capitalize(), "bad")]
    elif found.state not in names:
        steps = [*steps[: reached + 1], (WORDS[found.state][0].capitalize(), "now")]
    return steps


def told(event: Mapping[str, Any]) -> str:
    """Returns an event in words."""
    kind, detail = event["kind"], event["detail"]
    reason = detail.get("reason")
    simple = {
        "received": "The file was received" + (" once more" if reason == "sent again" else "") + "; it lies safely on the disk.",
        "validating": "Checking it was cut off, and was begun again.",
        "rejected": f"Rejected: the file has problems, the first of them {detail.get('code', 'unknown')}.",
        "scoring": f"A worker began to score it{_attempt(detail)}.",
        "rescoring": f"A worker began to score it again{_attempt(detail)}.",
        "published": "Published: its scores are on the board.",
        "rescored": "Scored again: the new scores are on the board.",
        "superseded": "Replaced by a newer submission of the same system.",
        "withdrawn": f"Taken back by {event['actor']}.",
        "hidden": f"Taken off the board by an admin: {reason}",
        "requeued": "Put back into the queue, to be scored again.",
        "failed": f"Scoring failed: {detail.get('error', 'for an unknown reason')}",
        "rescoring failed": f"Scoring it again failed; the older scores stay: {detail.get('error', '')}",
        "opened": "The benchmark was opened.",
        "described": "What its owner says about the system was written down.",
    }
    if kind == "queued":
        if "error" in detail:
            return f"Scoring met a problem and will be tried again: {detail['error']}"
        if reason:
            return f"Back in the queue: {reason}."
        n = len(detail.get("warnings", ()))
        remarks = "" if not n else f", with remarks of {n} {'kind' if n == 1 else 'kinds'}"
        return f"The file is in order{remarks}; it waits for a worker."
    return simple.get(kind, str(kind).capitalize())


def _attempt(detail: Mapping[str, Any]) -> str:
    attempt = detail.get("attempt", 1)
    return f", for the {attempt}. time" if isinstance(attempt, int) and attempt > 1 else ""


def scores_of(hub: Hub, benchmark: Benchmark, submission_id: str) -> dict[str, list[Score]]:
    """Returns the newest numbers of a submission by group of items, the overall ones under the empty name.

    They are rounded where the references are private.
    """
    newest: dict[tuple[str, str, str], ResultRow] = {}
    for row in hub.store.results([submission_id])[submission_id]:
        newest[row.scope, row.metric, row.name] = row
    names = sorted(benchmark.metrics, key=lambda name: name != benchmark.primary_metric)  # what ranks stands first
    order = {name: place for place, name in enumerate(names)}
    rows = sorted(newest.values(), key=lambda row: (order.get(row.metric, len(order)), row.name != row.metric))
    found: dict[str, list[Score]] = {}
    for row in rows:
        ends = None if row.low is None or row.high is None else (benchmark.told(row.low), benchmark.told(row.high))
        value, is_metric = benchmark.told(row.value), row.name == row.metric
        score = Score(title_of(row), row.name, value, ends, row.digest, row.signature, is_metric)
        listed = found.setdefault(row.scope, [])
        if (score.title, score.value) not in {(one.title, one.value) for one in listed}:  # BLEU-4 is a part of BLEU, too
            listed.append(score)
    return dict(sorted(found.items()))


def title_of(row: ResultRow) -> str:
    """Returns what a number is called."""
    if row.metric in RETRIEVAL_METRICS:
        return RETRIEVAL_TITLES[row.metric]
    if row.metric not in METRICS.names():  # of another version of this package
        return row.name
    title = METRICS.get(row.metric).title
    if row.name == row.metric:
        return title
    return row.name.upper().replace("_", "-") if row.name.startswith(row.metric) else f"{title} {row.name}"


def overlap_now(hub: Hub, benchmark: Benchmark, system: System) -> Overlap | None:
    """Returns whether a system was trained on a benchmark's clips; None while that is being looked up."""
    try:
        key = hub.overlaps.key(benchmark, system.training_data, hub.overlaps.state())
        if hub.overlaps.known(key) is not None:
            return overlap_of(hub, benchmark, system)
        hub.overlaps.find_later({key: benchmark})
    except UnifiedAudioCapsError:  # what it is compared with was taken away
        return Overlap("unknown")
    return None


def _rank(hub: Hub, benchmark: Benchmark | None, found: Submission) -> Any:
    """Returns the row of a submission on its board; None where it is not there."""
    if benchmark is None or found.state != "published":
        return None
    try:
        board = hub.board(benchmark.id, version=benchmark.version)
    except UnifiedAudioCapsError:
        return None
    return next((row for row in board.rows if row.submission_id == found.id), None)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
