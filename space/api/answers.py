"""Bodies and their headers: JSON, tags by which an unchanged answer is known, pages of a list."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from ...evaluators.metric import package_version

JSON = "application/json"
# whoever asks again sends the tag; nobody shows an answer without asking
REVALIDATE = "no-cache"
KEPT_BYTES = 64 * 2**20
GZIP_LEVEL = 5


def dumps(value: Any) -> bytes:
    """Returns JSON of plain values and dataclasses."""
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits and halves of surrogate pairs, from the header of somebody's file
        return json.dumps(value, default=vars).encode()


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns an answer in JSON."""
    return Response(dumps(value), status, dict(headers or {}), JSON)


def tag_of(*parts: object) -> str:
    """Returns a weak entity tag over parts and our version, which may tell the same otherwise.

    It is weak, because an answer may be compressed on its way.
    """
    return f'W/"{hashlib.sha256(repr((package_version(), *parts)).encode()).hexdigest()[:24]}"'


def is_known(request: Request, tag: str) -> bool:
    """Tells whether the asker has the answer of that tag already."""
    asked = request.headers.get("if-none-match", "")
    bare = tag.removeprefix("W/")
    return asked.strip() == "*" or bare in {one.strip().removeprefix("W/") for one in asked.split(",")}


def tagged(request: Request, body: bytes, tag: str | None = None, media_type: str = JSON) -> Response:
    """Returns a body with its tag, or 304 where the asker has it; the tag is made from the body where none is given."""
    found = tag or tag_of(body)
    if is_known(request, found):
        return unchanged(found)
    return Response(body, 200, {"ETag": found, "Cache-Control": REVALIDATE}, media_type)


def unchanged(tag: str) -> Response:
    """Returns 304."""
    return Response(None, 304, {"ETag": tag, "Cache-Control": REVALIDATE})


@dataclass
class _Body:
    raw: bytes
    zipped: bytes | None = None

    @property
    def n_bytes(self) -> int:
        return len(self.raw) + len(self.zipped or b"")


class Bodies:
    """Big bodies that are made once; the newest ones, up to `KEPT_BYTES`."""

    def __init__(self) -> None:
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._kept = OrderedDict[str, _Body]()

    def answer(self, request: Request, tag: str, media_type: str, make: Callable[[], bytes]) -> Response:
        """Returns the body of a tag, compressed where the asker takes that."""
        is_zipped = "gzip" in request.headers.get("accept-encoding", "")
        body = self._find(tag)
        if body is None or (is_zipped and body.zipped is None):
            with self._making:  # of many who ask at once, one does the work
                body = self._find(tag) or _Body(make())
                if is_zipped and body.zipped is None:
                    body.zipped = gzip.compress(body.raw, GZIP_LEVEL, mtime=0)
                self._keep(tag, body)
        headers = {"ETag": tag, "Cache-Control": REVALIDATE, "Vary": "Accept-Encoding"}
        if is_zipped and body.zipped is not None:
            return Response(body.zipped, 200, {**headers, "Content-Encoding": "gzip"}, media_type)
        return Response(body.raw, 200, headers, media_type)

    def _find(self, tag: str) -> _Body | None:
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
            return self._kept.get(tag)

    def _keep(self, tag: str, body: _Body) -> None:
        with self._lock:
            self._kept[tag] = body
            while len(self._kept) > 1 and sum(one.n_bytes for one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)


def cursor(*parts: object) -> str:
    """Returns what a page's end is called; opaque to those who ask."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def parts_of(text: str, *kinds: type) -> tuple[Any, ...]:
    """Returns what `cursor` was made from.

    Raises:
        MalformedError: no cursor of ours is like that.
    """
    from .errors import MalformedError

    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        is_ours = isinstance(parts, list) and [type(one) for one in parts] == list(kinds)
    except (binascii.Error, ValueError, RecursionError):
        is_ours = False
    if not is_ours:
        raise MalformedError("the cursor is none that this hub gave; take `next` of the page before, or leave it out.")
    return tuple(parts)
