"""Who asks: the owner of the machine, a Hub token, a browser session, or nobody; and which site sent a browser here.

A token is never stored, logged or repeated: answers about it are remembered under its sha256, in memory, for minutes.
A session cookie counts only where it is signed with the secret of this hub (`sign_in`): without one it would be signed with a key
that everybody can compute.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..dataset_scripts.errors import InputError, RightsError, UnavailableError
from ..dataset_scripts.settings import Settings
from ..leaderboard.hub import LOCAL, Actor
from ..leaderboard.storage.store import SYSTEM
from ..leaderboard.submission import LOCAL_ACCOUNT

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import HTTPConnection

SIGN_INS = ("none", "hub")
NOBODY = "nobody is signed in; send a Hugging Face token: Authorization: Bearer hf_..."
KNOWN_FOR_S, UNKNOWN_FOR_S = 300.0, 30.0
WHOAMI_TIMEOUT_S = 5.0
SESSION_S = 14 * 86_400
KEPT = 10_000
# personal tokens only: those that sites get by OAuth begin with hf_oauth_, and would let any such site act for its visitors here
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{1,200}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_RESERVED = frozenset({LOCAL_ACCOUNT, SYSTEM})


class SignInError(RightsError):
    """Nobody is signed in, or the token or session is none that is accepted."""


class SignInUnavailableError(UnavailableError):
    """The Hub could not be asked who a token belongs to."""


class Identity:
    """Tells who asks.

    Args:
        settings: how people sign in, who the admins are.
        now: the clock, in seconds since 1970 UTC.

    Raises:
        InputError: `sign_in` is none that we know.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        if settings.sign_in not in SIGN_INS:
            raise InputError(f"UAC_SIGN_IN is {settings.sign_in!r}; expected {' or '.join(SIGN_INS)}.")
        self._settings, self._now = settings, now
        self._lock = threading.Lock()
        self._names: OrderedDict[str, tuple[str | None, float]] = OrderedDict()

    def actor_of(self, request: HTTPConnection) -> Actor | None:
        """Returns who asks, None for nobody; may ask the Hub, which takes up to `WHOAMI_TIMEOUT_S`.

        Raises:
            SignInError: there is a token, and it is of no use.
            UnavailableError: the Hub does not answer.
        """
        if self._settings.sign_in == "none":
            return LOCAL
        header = request.headers.get("authorization")
        if header is not None:
            return self._actor(self._name_of(_token(header)))
        name = self._name_in(request.cookies.get("session", ""))
        return None if name is None else self._actor(name)

    def must_ask(self, request: HTTPConnection) -> bool:
        """Tells whether `actor_of` has to ask the Hub."""
        header = request.headers.get("authorization")
        if self._settings.sign_in == "none" or header is None:
            return False
        return self._known(_digest(_token(header))) is None

    def _actor(self, name: str) -> Actor:
        if name in _RESERVED:
            raise SignInError(f"the account {name!r} cannot be used here: the hub itself goes by that name.")
        return Actor(name, is_admin=name in self._settings.admin_names)

    def _known(self, digest: str) -> tuple[str | None, float] | None:
        with self._lock:
            found = self._names.get(digest)
        return found if found is not None and found[1] > self._now() else None

    def _name_of(self, token: str) -> str:
        digest = _digest(token)
        found = self._known(digest)
        if found is None:
            name = _whoami(token)
            found = (name, self._now() + (UNKNOWN_FOR_S if name is None else KNOWN_FOR_S))
            with self._lock:
                self._names[digest] = found
                self._names.move_to_end(digest)
                while len(self._names) > KEPT:
                    self._names.popitem(last=False)
        if found[0] is None:
            raise SignInError(
                "Hugging Face does not know this token as one of a user; it may have expired. Make a new one there."
            )
        return found[0]

    def _name_in(self, cookie: str) -> str | None:
        """Returns whom a session belongs to, None where it is not valid any more, or never was."""
        import itsdangerous

        secret = self._settings.oauth_secret
        if not cookie or not secret:
            return None
        signer = itsdangerous.TimestampSigner(hashlib.sha256(f"{secret}-v4".encode()).hexdigest())
        try:
            signed = signer.unsign(cookie.encode(), max_age=SESSION_S)
            info = json.loads(base64.b64decode(signed))["oauth_info"]
            name, expires_at = info["userinfo"]["preferred_username"], info.get("expires_at")
            is_over = expires_at is not None and float(expires_at) <= self._now()
        except (itsdangerous.BadData, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None if is_over or not isinstance(name, str) or not _NAME.fullmatch(name) else name


def who(request: HTTPConnection) -> Actor:
    """Returns who asks, as the gate has noted.

    Raises:
        SignInError: nobody is signed in.
    """
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        raise SignInError(NOBODY)
    return actor


def check_sender(headers: Headers, settings: Settings) -> None:
    """Lets a request change something only where a browser was not sent by another site.

    Without sign-in everybody is the owner, so that the name in the address counts too: a site that points its own name at this
    machine is refused. Addresses in numbers cannot be pointed anywhere.

    Raises:
        RightsError: another site sent the browser, or the hub is asked under a name that is not its own.
    """
    host = headers.get("host", "")
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise RightsError("another site sent this request; only the hub's own pages may change something.")
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        raise RightsError("another site sent this request; only the hub's own pages may change something.")
    if settings.sign_in == "none" and not _is_own(host, settings):
        raise RightsError(
            "this hub has no sign-in and may be changed under a name of its own machine only, such as localhost; "
            "UAC_HOSTS adds others, UAC_SIGN_IN=hub asks people who they are."
        )


def _is_own(host: str, settings: Settings) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost") or name in settings.host_names
    return True


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip()):
        raise SignInError(
            "the Authorization header is of no use; expected: Bearer hf_..., a personal access token of Hugging Face."
        )
    return token.strip()


def _whoami(token: str) -> str | None:
    """Returns the name of the user that a token belongs to; None where it is no user's."""
    import httpx2
    from huggingface_hub import constants

    away = "Hugging Face could not be asked whose token this is; try again soon."
    try:
        answer = httpx2.get(
            f"{constants.ENDPOINT}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}, timeout=WHOAMI_TIMEOUT_S
        )
        if answer.status_code in {401, 403}:
            return None
        if answer.status_code != 200:
            raise SignInUnavailableError(away)
        about: Any = answer.json()
        kind = (about.get("auth") or {}).get("type", "access_token")
        name = about.get("name")
    except (httpx2.HTTPError, ValueError, AttributeError):
        raise SignInUnavailableError(away) from None
    is_user = about.get("type") == "user" and kind == "access_token" and isinstance(name, str) and _NAME.fullmatch(name)
    return name if is_user else None
