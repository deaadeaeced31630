"""For admins: taking off, queueing again, scoring again with a look at what would change, and the log of all that happened."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from ...dataset_scripts.errors import FetchError, InputError, LimitError, StateError, UnknownNameError
from ...leaderboard.benchmark import Benchmark
from ...leaderboard.hub import Hub
from ...leaderboard.rescoring import RankChange, preview
from .queue_page import lasting
from .site import Site, require_admin_page, whole
from .submission import WORDS, small_form, told

EVENTS = 50
PREVIEW_BUSY_S = 30.0


@dataclass(frozen=True)
class Said:
    """What a button of the page led to: `good` or `bad`, a heading, and words."""

    kind: str
    heading: str
    text: str = ""


@dataclass(frozen=True)
class Preview:
    """What scoring a board again would change."""

    benchmark: Benchmark
    n_outdated: int
    changes: list[RankChange]

    @property
    def n_moved(self) -> int:
        """How many systems would have another rank."""
        return sum(one.rank != one.new_rank for one in self.changes)


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page, and what its buttons do."""
    hub = site.hub
    previewing = threading.Lock()

    def page(request: Request, said: Said | None = None, found: Preview | None = None, status: int = 200) -> Response:
        before = whole(request.query_params, "before", 0, 0, 10**15)
        return site.page(request, "admin.html", status=status, **view(site, before, said, found))

    @app.get("/admin", include_in_schema=False, response_model=None)
    def show(request: Request) -> Response:
        require_admin_page(request)
        return page(request)

    @app.post("/admin/{step}", include_in_schema=False, response_model=None)
    async def act(request: Request, step: str) -> Response:
        actor = require_admin_page(request)
        form = await small_form(request)
        id_, benchmark = form.get("submission", "").strip(), form.get("benchmark", "")

        def hide() -> Response:
            hub.hide(id_, form.get("reason", ""), actor)
            return RedirectResponse(f"/submissions/{id_}", 303)

        def requeue() -> Response:
            hub.requeue(id_, actor)
            return RedirectResponse(f"/submissions/{id_}", 303)

        def look() -> Response:
            if not previewing.acquire(blocking=False):
                raise LimitError("another preview is being made; come back when it is done.", PREVIEW_BUSY_S)
            try:
                return page(request, found=previewed(hub, benchmark))
            finally:
                previewing.release()

        def rescore() -> Response:
            n = hub.rescore(benchmark, actor)
            words = "Nothing was out of date." if not n else f"{n:,} {'submission waits' if n == 1 else 'submissions wait'} now."
            return page(request, Said("good", "Scoring again", f"{words} Old scores stay until the new ones come."))

        def verify() -> Response:
            try:
                n = hub.store.verify_events()
            except StateError as error:
                return page(request, Said("bad", "The log was altered", f"{error} Restore the hub from a backup or its mirror."))
            return page(request, Said("good", "The log is whole", f"All {n:,} events are as they were written."))

        def mirror() -> Response:
            return page(request, mirror_status(hub))

        steps: dict[str, Callable[[], Response]] = {
            "hide": hide,
            "requeue": requeue,
            "preview": look,
            "rescore": rescore,
            "verify": verify,
            "mirror": mirror,
        }
        if step not in steps:
            raise UnknownNameError("step", step, steps)
        return await to_thread.run_sync(steps[step])


def previewed(hub: Hub, benchmark_id: str) -> Preview:
    """Scores what is out of date, publishes nothing, and returns what would change.

    Raises:
        UnknownNameError: there is no such benchmark.
        InputError: its references were not built.
    """
    benchmark = hub.benchmark(benchmark_id)
    n_outdated = len(hub.store.outdated(benchmark))
    return Preview(benchmark, n_outdated, preview(hub, benchmark_id))


def mirror_status(hub: Hub) -> Said:
    """Asks the Hub how far the mirror is."""
    from ...leaderboard.storage.mirror import Mirror, check_same_hub

    repo = hub.settings.mirror
    if not repo:
        return Said("bad", "There is no mirror", "UAC_MIRROR=OWNER/NAME sets one.")
    try:
        at = Mirror(hub.store, repo).position()
        if at is not None and at.batch is not None:
            check_same_hub(hub.store, repo, at.batch)
    except (FetchError, LimitError, InputError) as error:
        return Said("bad", "The mirror does not answer as it should", str(error))
    there, all_ = 0 if at is None else at.n_events, hub.store.n_events()
    return Said("good", "The mirror", f"{repo} holds {there:,} events, {all_ - there:,} are to be sent.")


def view(site: Site, before: int = 0, said: Said | None = None, found: Preview | None = None) -> dict[str, Any]:
    """Returns what the template shows.

    Args:
        site: the pages of a hub.
        before: number of the event before which the log is shown; 0 for its end.
        said: what a button led to.
        found: what scoring again would change.
    """
    hub = site.hub
    n_events = hub.store.n_events()
    end = min(before - 1 if before else n_events, n_events)  # events are numbered without gaps
    start = max(0, end - EVENTS)
    events = site.telling.events(hub.store.events_after(start, end - start) if end > start else [])[::-1]
    counts, (waiting, running, oldest_s) = hub.store.counts(), hub.store.queue()
    boards = {id_ for id_, _ in hub.store.boards()}
    return {
        "title": "Admin",
        "said": said,
        "found": found,
        "counts": [(words[0], state, counts.get(state, 0)) for state, words in WORDS.items()],
        "waiting": waiting,
        "running": running,
        "oldest": lasting(oldest_s),
        "free_bytes": shutil.disk_usage(hub.store.files.folder).free,
        "mirror": hub.settings.mirror,
        "benchmarks": [one for one in hub.benchmarks() if one.id in boards],
        "n_log": n_events,
        "events": [(one, told(one)) for one in events],
        "older": start + 1 if start else 0,
        "newer": end < n_events,
    }
