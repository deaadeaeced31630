"""The queue: what came in last, how much waits, and whether anybody works on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request, Response

from ...leaderboard.hub import Hub
from ...leaderboard.submission import STATES, UNFINISHED
from ..api.answers import cursor, parts_of
from ..api.errors import MalformedError
from ..api.operations import LATE_S
from .site import Site, one_of
from .submission import WORDS

ROWS = 50


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""

    @app.get("/queue", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        asked = request.query_params
        benchmark = one_of(asked, "benchmark", [one.id for one in site.hub.benchmarks()], "")
        state = one_of(asked, "state", (*STATES, "unfinished"), "")
        return site.page(request, "queue.html", **view(site.hub, benchmark, state, asked.get("page", "")))


def view(hub: Hub, benchmark: str = "", state: str = "", page: str = "") -> dict[str, Any]:
    """Returns what the template shows.

    Args:
        hub: whose queue it is.
        benchmark: only of this benchmark; empty for all.
        state: only in this state, or `unfinished`; empty for all.
        page: where the page before ended; what is none of ours means the first page.
    """
    try:
        before = parts_of(page, str)[0] if page else None
    except MalformedError:
        before = None
    states = UNFINISHED if state == "unfinished" else (state,) if state else ()
    found = hub.store.submissions(ROWS + 1, before=before, states=states, benchmark=benchmark or None)
    rows = [replace(one, error=None) for one in found[:ROWS]]
    waiting, running, oldest_s = hub.store.queue()
    return {
        "title": "Queue",
        "rows": rows,
        "places": {one.id: hub.store.n_ahead(one.id) for one in rows if one.state == "queued"},
        "words": WORDS,
        "titles": {one.id: one.title for one in hub.benchmarks()},
        "benchmark": benchmark,
        "state_": state,
        "state": {"benchmark": benchmark, "state": state},
        "following": cursor(rows[-1].id) if len(found) > ROWS else "",
        "is_first": before is None,
        "waiting": waiting,
        "running": running,
        "oldest": lasting(oldest_s),
        "is_served": running > 0 or oldest_s < LATE_S,
    }


def lasting(seconds: float) -> str:
    """Returns a time span as people say it.

    >>> lasting(42), lasting(190), lasting(7500), lasting(200_000)
    ('42 s', '3 min', '2 h 5 min', '2 days')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
