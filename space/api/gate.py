"""What every request passes before a route sees it: where it comes from, who asks, how often, how much is sent.

All of it is decided from the headers, so that nobody uploads a file to be told that he is not signed in.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.requests import HTTPConnection, Request

from ...leaderboard.benchmark import shipped_benchmarks
from ...leaderboard.hub import Hub
from ...leaderboard.intake.validation import max_bytes
from ..identity import NOBODY, Identity, SignInError, check_sender
from ..limits import RateLimits, address_of
from .errors import BodyTooBigError, ErrorPage, MalformedError, as_page, error_answer, machine_folders
from .traffic import Traffic

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENVELOPE_BYTES = 2**20  # the other parts of a form
READING = frozenset({"GET", "HEAD", "OPTIONS"})
# what changes nothing; the page asks for the rest itself
OPEN_TO_ALL = frozenset({"/api/v1/validate", "/mcp", "/submit", "/logout"})
FREE = frozenset({"/api/v1/healthz", "/api/v1/readyz"})
NOT_OURS = ("/static/",)  # files that anybody may have as often as he likes
SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


class Gate:
    """The outermost layer of the application.

    Args:
        app: what stands behind it.
        hub: whose limits count.
        identity: tells who asks.
        limits: how often one may.
        traffic: counts requests.
        error_page: makes the answer to an error outside the API.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hub: Hub,
        identity: Identity,
        limits: RateLimits,
        traffic: Traffic,
        error_page: ErrorPage | None = None,
    ) -> None:
        self._app, self._hub, self._identity, self._limits, self._traffic = app, hub, identity, limits, traffic
        self._error_page = error_page
        self._folders = machine_folders(hub)
        known = (*shipped_benchmarks(), *hub.benchmarks())
        self._max_bytes = max(max_bytes(one) for one in known) + ENVELOPE_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, is_api = time.perf_counter(), 0, scope["path"].startswith("/api/")
        is_ours = not scope["path"].startswith(NOT_OURS)
        body = _Body(receive, self._max_bytes if is_ours and scope["method"] not in READING else None)

        async def tell(message: Message) -> None:
            nonlocal status
            if body.is_too_big and not status:
                return  # whatever the route says about half a body: it is answered below
            if message["type"] == "http.response.start":
                status = message["status"]
                if is_api:
                    message = {**message, "headers": [*message["headers"], *SAFETY]}
                    self._traffic.count(scope["method"], _template(scope), status, time.perf_counter() - started)
            await send(message)

        try:
            await self._admit(scope)
            await self._app(scope, body.receive, tell)
            if body.is_too_big and not status:
                raise BodyTooBigError("the body is bigger than any file that this hub takes.")
        except Exception as error:
            body.is_too_big = False
            if status:
                raise
            scope.setdefault("state", {}).setdefault("actor", None)
            answer = as_page(Request(scope), error_answer(error, self._folders), self._error_page)
            await answer(scope, receive, tell)

    async def _admit(self, scope: Scope) -> None:
        """Lets a request in and notes who asks."""
        request = HTTPConnection(scope)
        is_reading = scope["method"] in READING
        if not is_reading:
            check_sender(request.headers, self._hub.settings)
        if scope["path"].startswith(NOT_OURS):
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise MalformedError("the address holds a NUL character; no name does.")
        length = request.headers.get("content-length", "0")
        if not is_reading and (not length.isdecimal() or int(length[:20]) > self._max_bytes):
            raise BodyTooBigError(f"the body has {length[:20]} bytes; this hub takes at most {self._max_bytes:,}.")
        address = f"address {address_of(request, self._hub.settings.trusted_proxy)}"
        if self._identity.must_ask(request):
            self._limits.take(address)
            actor = await to_thread.run_sync(self._identity.actor_of, request)
        else:
            actor = self._identity.actor_of(request)
        if scope["path"] not in FREE and not (actor and actor.is_admin):
            self._limits.take(f"account {actor.name}" if actor else address)
        if actor is None and not is_reading and scope["path"] not in OPEN_TO_ALL:
            raise SignInError(NOBODY)
        scope.setdefault("state", {})["actor"] = actor


class _Body:
    """Counts what comes in and cuts it off at a limit."""

    def __init__(self, receive: Receive, limit: int | None) -> None:
        self._receive, self._left = receive, limit
        self.is_too_big = False

    async def receive(self) -> Message:
        message = await self._receive()
        if self._left is not None and message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_too_big = True
                return {"type": "http.disconnect"}
        return message


def _template(scope: Scope) -> str:
    found = getattr(scope.get("route"), "path", "")
    return found if found.startswith("/api/") else "other"
