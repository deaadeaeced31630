"""What all pages share: templates, who asks, addresses that hold a page's whole state, and errors that people can read.

A page is made on the server, as HTML: whoever opens its address sees the same state, with or without scripts. Forms and links
that are marked `data-live` are answered in place by `static/live.js`, which asks for the very same pages.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from ...dataset_scripts.errors import RightsError
from ...evaluators.metric import package_version
from ...leaderboard.boards.exports import ranks_shown, shown
from ...leaderboard.hub import Actor, Hub
from ..api.telling import Telling
from ..identity import Identity, who

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).resolve().parents[1]
TEMPLATES, STATIC = FOLDER / "templates", FOLDER / "static"
# no script but ours runs in a page, whatever a submitter calls a system
SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' https: data:; connect-src 'self'; form-action 'self' https://huggingface.co; base-uri 'none'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space; frame-src 'self'"
)
_IN_WORDS = {
    400: "That cannot be asked",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    413: "Too big",
    422: "That cannot be asked",
    429: "Too many requests",
    500: "The hub made a mistake",
    503: "The hub is busy",
    507: "The hub's disk is full",
}


@dataclass(frozen=True)
class Tab:
    """An entry of the menu."""

    path: str
    title: str


# in the order in which people need them
TABS = (
    Tab("/", "Leaderboard"),
    Tab("/samples", "Listen"),
    Tab("/compare", "Compare"),
    Tab("/datasets", "Datasets"),
    Tab("/playground", "Try a metric"),
    Tab("/published", "Papers"),
    Tab("/methods", "Methods"),
    Tab("/queue", "Queue"),
    Tab("/submit", "Submit"),
)


class Site:
    """The pages' side of a hub.

    Args:
        hub: answers.
        identity: tells who asks.
    """

    def __init__(self, hub: Hub, identity: Identity) -> None:
        self.hub, self.identity = hub, identity
        self.telling = Telling(hub)

    def page(self, request: Request, template: str, *, title: str, status: int = 200, **context: Any) -> Response:
        """Returns a page.

        Args:
            request: who asks, and for what.
            template: name of a file in `templates/`.
            title: what the browser's tab is called.
            status: of the answer.
            context: what the template shows; texts are escaped there.
        """
        actor: Actor | None = getattr(request.state, "actor", None)
        body = self._templates.get_template(template).render(
            {
                "title": title,
                "path": request.url.path,
                "here": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
                "actor": actor,
                "asks_who": self.hub.settings.sign_in != "none",
                "n_events": self.hub.store.n_events() if status < 500 else 0,
                **context,
            }
        )
        return HTMLResponse(body, status, {"Content-Security-Policy": SECURITY, "Cache-Control": "no-store", **_SAFETY})

    def error_page(self, request: Request, status: int, message: str) -> Response:
        """Returns the page that says what went wrong and where to go on."""
        heading = _IN_WORDS.get(status, "That did not work")
        told: dict[str, Any] = {"title": heading, "heading": heading, "message": message, "status_code": status}
        return self.page(request, "error.html", status=status, **told)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        import jinja2

        found = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        found.globals.update(tabs=TABS, version=package_version(), static=static, link=link, now=time.time)
        found.filters.update(score=shown, when=when, day=day, size=size, ranks=ranks_shown, path=quoted, json=json.dumps)
        return found


_SAFETY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def static(name: str) -> str:
    """Returns the address of a file of `static/`; another content has another one, so that browsers may keep it for ever."""
    found = _STATIC.get(name)
    if found is None:
        found = _STATIC[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={found}"


_STATIC: dict[str, str] = {}


def link(path: str, state: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """Returns an address with a state in it; what is empty is left out.

    >>> link("/", {"benchmark": "sample", "page": 2}, page=None, search="a b")
    '/?benchmark=sample&search=a+b'
    """
    values = {**(state or {}), **changes}
    given = [(key, value) for key, value in values.items() if value not in (None, "", (), [], False)]
    query = urlencode(given, doseq=True)
    return f"{path}?{query}" if query else path


def quoted(name: str) -> str:
    """Returns a name as a part of an address."""
    return quote(name, safe="")


def when(moment_s: float) -> str:
    """Returns seconds since 1970 as UTC, to the minute."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M")


def day(moment_s: float) -> str:
    """Returns seconds since 1970 as a day, UTC."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d")


def size(number: float | None) -> str:
    """Returns a number of parameters or bytes as people say it.

    >>> size(240_000_000), size(7_200_000_000), size(None)
    ('240M', '7.2B', '')
    """
    if number is None:
        return ""
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:g}"


def require_admin_page(request: Request) -> Actor:
    """Returns the admin who asks.

    Raises:
        SignInError: nobody is signed in.
        RightsError: somebody else is.
    """
    actor = who(request)
    if not actor.is_admin:
        raise RightsError("only an admin of this hub may look at this page.")
    return actor


def one_of(params: Mapping[str, str], name: str, known: Sequence[str], default: str) -> str:
    """Returns a choice out of an address; what is none of the known ones is the default, so that old links still open."""
    value = params.get(name, default)
    return value if value in known else default


def whole(params: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Returns a whole number out of an address, within bounds; what is none is the default."""
    text = params.get(name, "")
    return min(high, max(low, int(text))) if text.isascii() and text.isdecimal() and len(text) < 16 else default
