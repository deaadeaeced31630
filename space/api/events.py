"""What happened: of one submission or of the whole hub, at once or as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, Header, Query, Request, Response
from starlette.responses import StreamingResponse

from ...dataset_scripts.errors import LimitError
from ...leaderboard.hub import Hub
from ...leaderboard.submission import UNFINISHED
from ..limits import address_of
from .answers import dumps, tagged
from .errors import tagged_refusals
from .models import EventsAnswer
from .telling import Telling

STREAM = "text/event-stream"
POLL_S = 0.5
KEEP_ALIVE_S = 15.0
MAX_STREAMS, MAX_STREAMS_EACH = 200, 20
MAX_PAGE = 1_000
LAST = 10**15
_TEXT = {"type": "string"}
_EVENT = {"type": "object", "properties": {"id": _TEXT, "event": _TEXT, "data": _TEXT}}
_STREAM = {"content": {STREAM: {"schema": _EVENT}}}
Events = list[dict[str, Any]]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
After = Annotated[int | None, Query(ge=0, le=LAST, description="Number of the last event that is known.")]
LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, description="The same, as browsers send it.")]
Stream = Annotated[bool, Query(description="Events as they happen; `Accept: text/event-stream` asks for the same.")]


class _Watch:
    """Tells when something happened: one question to the database for all who wait."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._lock, self._asked_at, self._number = hub, threading.Lock(), 0.0, 0

    def number(self) -> int:
        with self._lock:
            if time.monotonic() - self._asked_at >= POLL_S / 2:
                self._number, self._asked_at = self._hub.store.n_events(), time.monotonic()
            return self._number


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    watch, open_streams, telling = _Watch(hub), Counter[str](), Telling(hub)

    def address(request: Request) -> str:
        return address_of(request, hub.settings.trusted_proxy)

    @app.get("/api/v1/events", response_model=EventsAnswer, responses={**tagged_refusals(), 200: _STREAM}, tags=["events"])
    def events(
        request: Request, after: After = None, limit: Limit = 100, stream: Stream = False, last_event_id: LastId = None
    ) -> Response:
        """Returns events of the whole hub: the newest, or those behind `after`, oldest first; or streams them."""
        since = _since(after, last_event_id)
        if _is_stream(request, stream):
            start = hub.store.n_events() if since is None else since
            return _streamed(
                watch,
                open_streams,
                address(request),
                start,
                lambda number: telling.events(hub.store.events_after(number, MAX_PAGE)),
                lambda: False,
            )
        found = hub.store.newest_events(limit) if since is None else hub.store.events_after(since, limit)
        return tagged(request, dumps({"events": telling.events(found)}))

    @app.get(
        "/api/v1/submissions/{submission_id}/events",
        response_model=EventsAnswer,
        responses={**tagged_refusals(), 200: _STREAM},
        tags=["submissions"],
    )
    def submission_events(
        request: Request, submission_id: str, after: After = None, stream: Stream = False, last_event_id: LastId = None
    ) -> Response:
        """Returns what happened to a submission, or streams it until nothing more is to come."""
        hub.store.get(submission_id)
        since = _since(after, last_event_id) or 0
        if _is_stream(request, stream):
            return _streamed(
                watch,
                open_streams,
                address(request),
                since,
                lambda number: telling.events(hub.store.events(submission_id, number)),
                lambda: hub.store.get(submission_id).state not in UNFINISHED,
            )
        return tagged(request, dumps({"events": telling.events(hub.store.events(submission_id, since))}))


def _since(after: int | None, last_event_id: str | None) -> int | None:
    """Returns the number that was told last; a browser's own header wins over the address that it began with."""
    if last_event_id is not None and last_event_id.isdecimal() and last_event_id.isascii():
        return min(int(last_event_id), LAST)
    return after


def _is_stream(request: Request, stream: bool) -> bool:
    return stream or STREAM in request.headers.get("accept", "")


def _streamed(
    watch: _Watch,
    open_streams: Counter[str],
    address: str,
    after: int,
    fetch: Callable[[int], Events],
    is_over: Callable[[], bool],
) -> Response:
    if open_streams.total() >= MAX_STREAMS or open_streams[address] >= MAX_STREAMS_EACH:
        raise LimitError("too many streams of events are open; come back soon, or ask for the list.", KEEP_ALIVE_S)

    async def lines() -> AsyncIterator[bytes]:
        open_streams[address] += 1
        try:
            number, seen, told_at = after, -1, time.monotonic()
            yield b"retry: 2000\n\n"
            while True:
                newest = await to_thread.run_sync(watch.number)
                if newest != seen:
                    # whether it is over is asked first: what happens between the two questions is told, not lost
                    is_done = await to_thread.run_sync(is_over)
                    found = await to_thread.run_sync(fetch, number)
                    for event in found:
                        number, told_at = event["number"], time.monotonic()
                        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (number, event["kind"].encode(), dumps(event))
                    if is_done and not found:
                        return
                    if found:
                        continue  # there may be more
                    seen = newest
                if time.monotonic() - told_at >= KEEP_ALIVE_S:
                    yield b": still here\n\n"
                    told_at = time.monotonic()
                await asyncio.sleep(POLL_S)
        finally:
            open_streams.subtract([address])
            if not open_streams[address]:
                del open_streams[address]

    return StreamingResponse(lines(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type=STREAM)
