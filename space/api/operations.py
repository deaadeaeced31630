"""For those who run a hub: is it alive, is it ready, how much is going on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from fastapi import FastAPI, Response

from ...evaluators.metric import package_version
from ...leaderboard.hub import Hub
from ...leaderboard.submission import STATES
from .answers import as_json
from .errors import refusals
from .models import HealthAnswer, ReadyAnswer
from .traffic import Traffic

LATE_S = 120.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def add_routes(app: FastAPI, hub: Hub, traffic: Traffic) -> None:
    """Adds the routes of this area."""

    @app.get("/api/v1/healthz", response_model=HealthAnswer, responses=refusals(), tags=["operations"])
    def healthz() -> Response:
        """Tells that the process answers and can read its database."""
        free = shutil.disk_usage(hub.store.files.folder).free
        return as_json({"status": "ok", "unfinished_submissions": hub.store.n_unfinished(), "free_disk_bytes": free})

    @app.get("/api/v1/readyz", response_model=ReadyAnswer, responses=refusals(), tags=["operations"])
    def readyz() -> Response:
        """Tells that the database takes changes; submissions are taken in even while no worker runs."""
        hub.store.check_writable()
        waiting, running, oldest_s = hub.store.queue()
        more = {"waiting": waiting, "running": running, "oldest_waiting_s": oldest_s}
        return as_json({"status": "ok", "is_queue_served": running > 0 or oldest_s < LATE_S, **more})

    @app.get(
        "/api/v1/metrics",
        response_class=Response,
        responses={**refusals(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["operations"],
    )
    def metrics() -> Response:
        """Returns counts and times in Prometheus' text format."""
        lines = [*_store_lines(hub), *traffic.lines(), ""]
        return Response("\n".join(lines), media_type=TEXT)


def _store_lines(hub: Hub) -> Iterator[str]:
    counts = hub.store.counts()
    yield "# TYPE uac_submissions gauge"
    for state in STATES:
        yield f'uac_submissions{{state="{state}"}} {counts.get(state, 0)}'
    waiting, running, oldest_s = hub.store.queue()
    values = {
        "queue_jobs": waiting,
        "running_jobs": running,
        "oldest_waiting_seconds": round(oldest_s, 3),
        "events": hub.store.n_events(),
        "free_disk_bytes": shutil.disk_usage(hub.store.files.folder).free,
    }
    for name, value in values.items():
        yield f"# TYPE uac_{name} gauge"
        yield f"uac_{name} {value}"
    yield "# TYPE uac_build_info gauge"
    yield f'uac_build_info{{version="{package_version()}"}} 1'
