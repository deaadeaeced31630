"""Signing in with a Hugging Face account, in a browser: the authorization code flow of OAuth 2, with PKCE.

The Hub is asked for a name and nothing else; its token is forgotten as soon as the name is known. What remains is a cookie that
`identity.Identity` reads: base64 of JSON, signed with the secret of this hub. Nobody gets one where client, secret and provider
are not all set: there is no stand-in that would let people in under a made-up name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from ..dataset_scripts.errors import RightsError
from ..dataset_scripts.settings import Settings
from .identity import SESSION_S, SignInError, SignInUnavailableError

logger = logging.getLogger(__name__)

SESSION, UNDER_WAY = "session", "sign_in"
UNDER_WAY_S = 600
SCOPES = "openid profile"
TIMEOUT_S = 10.0
NOT_SET_UP = (
    "nobody can sign in here yet: who runs this hub has to set UAC_OAUTH_CLIENT, UAC_OAUTH_SECRET and UAC_OAUTH_PROVIDER, "
    "or on a Space `hf_oauth: true`. Files can be checked without an account; the API takes a personal access token."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_AWAY = "Hugging Face could not be asked who you are; try again soon."
_LOST = "this sign-in was begun somewhere else or too long ago; begin it again from the page that you came from."


@dataclass(frozen=True)
class _Provider:
    """Where the three steps lead."""

    authorize: str
    token: str
    userinfo: str


def attach(app: FastAPI, settings: Settings) -> None:
    """Adds `/login/huggingface`, `/login/callback` and `/logout` where the hub knows accounts.

    Args:
        app: gets the routes.
        settings: the client, its secret, and who is asked.
    """
    if settings.sign_in != "hub":
        return
    known: list[_Provider] = []

    def provider() -> _Provider:
        if not is_set_up(settings):
            raise SignInUnavailableError(NOT_SET_UP)
        if not known:
            known.append(_discovered(settings.oauth_provider))
        return known[0]

    @app.get("/login/huggingface", include_in_schema=False, response_model=None)
    def begin(request: Request) -> Response:
        there = provider()
        target = local(request.query_params.get("_target_url", ""))
        if request.headers.get("sec-fetch-dest") == "iframe":  # the Hub's own pages are not shown inside others
            return _in_a_tab(target)
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": settings.oauth_client,
            "redirect_uri": _callback(request, settings),
            "scope": SCOPES,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        answer = RedirectResponse(f"{there.authorize}?{urlencode(asked)}", 302)
        begun = [state, verifier, target]
        _set(answer, request, settings, UNDER_WAY, _signed(settings, UNDER_WAY, begun), UNDER_WAY_S)
        return answer

    @app.get("/login/callback", include_in_schema=False, response_model=None)
    def end(request: Request) -> Response:
        there, asked = provider(), request.query_params
        state, verifier, target = _begun(settings, request.cookies.get(UNDER_WAY, ""))
        if not hmac.compare_digest(state.encode(), asked.get("state", "").encode()):
            raise RightsError(_LOST)
        if "code" not in asked:
            raise RightsError("Hugging Face did not let you in, or you said no there. Nothing was changed.")
        name, lasts_s = _who(there, settings, asked["code"], verifier, _callback(request, settings))
        answer = RedirectResponse(target, 303)
        _set(answer, request, settings, SESSION, session_cookie(settings, name, time.time() + lasts_s), int(lasts_s))
        _set(answer, request, settings, UNDER_WAY, "", 0)
        return answer

    @app.post("/logout", include_in_schema=False, response_model=None)
    def leave(request: Request) -> Response:
        answer = RedirectResponse(local(request.query_params.get("_target_url", "")), 303)
        _set(answer, request, settings, SESSION, "", 0)
        return answer


def is_set_up(settings: Settings) -> bool:
    """Tells whether people can sign in with a browser: only where client, secret and provider are all known."""
    return bool(settings.oauth_client and settings.oauth_secret and settings.oauth_provider)


def address_of_hub(request: Request, settings: Settings) -> str:
    """Returns where people find the hub, without a slash at its end."""
    told = settings.address.partition(",")[0].strip().rstrip("/")
    if not told:
        return str(request.base_url).rstrip("/")
    return told if "://" in told else f"https://{told}"


def local(target: str) -> str:
    """Returns where to go on: an address of this hub, or its first page.

    >>> local("/submit?benchmark=sample"), local("//evil.example"), local("https://evil.example")
    ('/submit?benchmark=sample', '/', '/')
    """
    is_ours = target.startswith("/") and target[1:2] not in {"/", "\\"} and "\\" not in target and target.isprintable()
    return target if is_ours and not target.startswith(("/login/", "/logout")) else "/"


def session_cookie(settings: Settings, name: str, expires_at: float) -> str:
    """Returns the cookie by which `Identity` knows somebody again.

    Args:
        settings: whose secret signs it.
        name: of the account.
        expires_at: seconds since 1970 UTC.
    """
    info = {"oauth_info": {"userinfo": {"preferred_username": name}, "expires_at": expires_at}}
    signed: bytes = _signer(settings, "v4").sign(base64.b64encode(json.dumps(info).encode()))
    return signed.decode()


def _signer(settings: Settings, purpose: str) -> Any:
    import itsdangerous

    return itsdangerous.TimestampSigner(hashlib.sha256(f"{settings.oauth_secret}-{purpose}".encode()).hexdigest())


def _signed(settings: Settings, purpose: str, values: list[str]) -> str:
    signed: bytes = _signer(settings, purpose).sign(base64.urlsafe_b64encode(json.dumps(values).encode()))
    return signed.decode()


def _begun(settings: Settings, cookie: str) -> tuple[str, str, str]:
    """Returns state, verifier and target of a sign-in that this browser began.

    Raises:
        RightsError: it began none, or too long ago.
    """
    import itsdangerous

    try:
        raw = _signer(settings, UNDER_WAY).unsign(cookie.encode(), max_age=UNDER_WAY_S)
        state, verifier, target = json.loads(base64.urlsafe_b64decode(raw))
    except (itsdangerous.BadData, ValueError):
        raise RightsError(_LOST) from None
    return state, verifier, local(target)


def _callback(request: Request, settings: Settings) -> str:
    return f"{address_of_hub(request, settings)}/login/callback"


def _set(answer: Response, request: Request, settings: Settings, name: str, value: str, lasts_s: int) -> None:
    where = urlsplit(address_of_hub(request, settings))
    # the pages of a Space are shown inside a page of the Hub, which is another site
    is_framed = (where.hostname or "").endswith(".hf.space")
    answer.set_cookie(
        name, value, lasts_s, secure=where.scheme == "https", httponly=True, samesite="none" if is_framed else "lax"
    )


def _in_a_tab(target: str) -> Response:
    """Returns a page, shown inside another one, that leads to signing in outside of it."""
    query = urlencode({"_target_url": target})
    link = f'<a href="/login/huggingface?{query}" target="_blank" rel="noopener">Sign in in a new tab</a>'
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>'
    return HTMLResponse(f"{head}<p>{link}, then go on there.</p>", headers={"Content-Security-Policy": "default-src 'none'"})


def _discovered(provider: str) -> _Provider:
    found = _asked("GET", f"{provider.rstrip('/')}/.well-known/openid-configuration")
    names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
    try:
        urls = [str(found[name]) for name in names]
    except KeyError:
        logger.warning("%s does not say where to sign in", provider)
        raise SignInUnavailableError(_AWAY) from None
    return _Provider(*urls)


def _who(there: _Provider, settings: Settings, code: str, verifier: str, callback: str) -> tuple[str, float]:
    """Returns whose a code is, and for how many seconds that holds.

    Raises:
        SignInError: it is no user's.
        SignInUnavailableError: the provider does not answer.
    """
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    tokens = _asked("POST", there.token, data=given, auth=(settings.oauth_client, settings.oauth_secret))
    token, lasts_s = tokens.get("access_token"), tokens.get("expires_in", SESSION_S)
    if not isinstance(token, str) or not isinstance(lasts_s, int | float):
        raise SignInUnavailableError(_AWAY)
    about = _asked("GET", there.userinfo, headers={"Authorization": f"Bearer {token}"})
    name = about.get("preferred_username")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SignInError("Hugging Face names no user for this sign-in; try it again.")
    return name, min(max(float(lasts_s), 60.0), SESSION_S)


def _asked(method: str, url: str, **more: Any) -> dict[str, Any]:
    """Returns what the provider says; nothing of it is logged.

    Raises:
        SignInError: it refuses.
        SignInUnavailableError: it does not answer, or not in JSON.
    """
    import httpx2

    try:
        answer = httpx2.request(method, url, timeout=TIMEOUT_S, **more)
        if answer.status_code in {400, 401, 403}:
            raise SignInError("Hugging Face refused this sign-in; begin it again.")
        found = answer.json() if answer.status_code == 200 else None
    except (httpx2.HTTPError, ValueError):
        found = None
    if not isinstance(found, dict):
        logger.warning("%s does not answer as expected", urlsplit(url).hostname)
        raise SignInUnavailableError(_AWAY)
    return found
