import base64
import hashlib
import json

import httpx2
import itsdangerous
import pytest
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from unified_audiocaps.dataset_scripts.errors import InputError, LimitError, RightsError, UnavailableError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import LOCAL, Actor
from unified_audiocaps.space.identity import Identity, SignInError, check_sender
from unified_audiocaps.space.limits import KEPT, RateLimits, address_of

from .served import bearer

SECRET = "the secret of a Space"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def asking(headers: dict[str, str] | None = None, client: tuple[str, int] | None = ("192.0.2.7", 1)) -> HTTPConnection:
    raw = [(key.lower().encode(), value.encode("latin-1")) for key, value in (headers or {}).items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": client})


def session(name: object = "anna", secret: str = SECRET, expires_at: float | None = None, **more) -> dict[str, str]:
    """Returns the cookie that gradio sets when a visitor signed in."""
    info = {"oauth_info": {"userinfo": {"preferred_username": name}, "expires_at": expires_at}, **more}
    signer = itsdangerous.TimestampSigner(hashlib.sha256(f"{secret}-v4".encode()).hexdigest())
    return {"Cookie": "session=" + signer.sign(base64.b64encode(json.dumps(info).encode())).decode()}


def identity(now=None, **settings) -> Identity:
    made = Settings(**{"sign_in": "hub", "admins": "chief, other", "oauth_secret": SECRET, **settings})
    return Identity(made, **({"now": now} if now else {}))


def test_without_sign_in_everybody_is_the_owner():
    assert Identity(Settings()).actor_of(asking()) == LOCAL


def test_another_way_to_sign_in_is_refused_and_never_open():
    with pytest.raises(InputError, match="UAC_SIGN_IN is 'Hub'; expected none or hub"):
        Identity(Settings(sign_in="Hub"))


def test_a_token_tells_who_asks(tokens):
    who = identity()
    assert who.actor_of(asking(bearer("hf_anna"))) == Actor("anna")
    assert who.actor_of(asking(bearer("hf_chief"))) == Actor("chief", is_admin=True)
    assert who.actor_of(asking()) is None


def test_the_hub_is_asked_once_in_five_minutes(tokens):
    clock = Clock()
    who = identity(clock)
    assert who.must_ask(asking(bearer("hf_anna")))
    for _ in range(3):
        who.actor_of(asking(bearer("hf_anna")))
    assert not who.must_ask(asking(bearer("hf_anna")))
    del tokens.users["hf_anna"]  # expired over there
    clock.now += 301
    with pytest.raises(SignInError, match="does not know this token"):
        who.actor_of(asking(bearer("hf_anna")))
    assert tokens.asked == ["hf_anna"] * 2


def test_an_unknown_token_is_remembered_for_half_a_minute(tokens):
    clock = Clock()
    who = identity(clock)
    for _ in range(3):
        with pytest.raises(SignInError):
            who.actor_of(asking(bearer("hf_new")))
    assert len(tokens.asked) == 1
    tokens.users["hf_new"] = "newcomer"
    clock.now += 31
    assert who.actor_of(asking(bearer("hf_new"))) == Actor("newcomer")


@pytest.mark.parametrize(
    "header",
    [
        "hf_anna",
        "Basic aGY6YW5uYQ==",
        "Bearer ",
        "Bearer api_x",
        "Bearer hf_a b",
        "Bearer hf_ä",
        "Bearer hf_oauth_eyJx",
        "Bearer hf_" + "x" * 300,
    ],
)
def test_what_is_no_personal_token_is_refused_and_sent_nowhere(tokens, header):
    with pytest.raises(SignInError, match="expected: Bearer hf_") as refused:
        identity().actor_of(asking({"Authorization": header}))
    assert tokens.asked == []
    assert header.removeprefix("Bearer ") not in str(refused.value) or header == "Bearer "


@pytest.mark.parametrize(
    "about",
    [
        {"type": "org", "name": "a-company"},
        {"type": "user", "name": "anna", "auth": {"type": "oauth"}},
        {"type": "user", "name": "a name with blanks"},
        {"type": "user"},
        {"type": "user", "name": "local"},
        {"type": "user", "name": "hub"},
    ],
    ids=["organisation", "another site's", "no name", "nothing", "local", "hub"],
)
def test_tokens_that_are_not_of_a_user_are_refused(tokens, about):
    tokens.answers["hf_x"] = (200, about)
    with pytest.raises(SignInError):
        identity().actor_of(asking(bearer("hf_x")))


@pytest.mark.parametrize("answer", [(500, {}), (429, {}), (200, []), (302, {})], ids=["500", "429", "list", "302"])
def test_a_hub_that_does_not_answer_is_no_refusal(tokens, answer):
    tokens.answers["hf_x"] = answer
    who = identity()
    with pytest.raises(UnavailableError, match="could not be asked"):
        who.actor_of(asking(bearer("hf_x")))
    tokens.answers.clear()
    tokens.users["hf_x"] = "x"
    assert who.actor_of(asking(bearer("hf_x"))) == Actor("x")


def test_a_hub_that_is_slow_is_given_up(tokens, monkeypatch):
    def slow(*_: object, **__: object) -> None:
        raise httpx2.ReadTimeout("no answer from hf_x")

    monkeypatch.setattr(httpx2, "get", slow)
    with pytest.raises(UnavailableError) as refused:
        identity().actor_of(asking(bearer("hf_x")))
    assert "hf_x" not in str(refused.value)


def test_tokens_are_kept_nowhere(tokens, caplog):
    caplog.set_level(0)
    who = identity()
    who.actor_of(asking(bearer("hf_anna")))
    with pytest.raises(SignInError) as refused:
        who.actor_of(asking(bearer("hf_stranger")))
    seen = repr(vars(who)) + caplog.text + str(refused.value)
    assert "hf_anna" not in seen and "hf_stranger" not in seen
    assert SECRET not in repr(Settings(oauth_secret=SECRET, token="hf_anna")) + seen


def test_a_session_tells_who_asks():
    assert identity().actor_of(asking(session())) == Actor("anna")
    assert identity(admins="anna").actor_of(asking(session(expires_at=9e9))) == Actor("anna", is_admin=True)


@pytest.mark.parametrize(
    "cookie",
    [
        session(secret="another one"),
        session(secret=""),
        session(expires_at=1.0),
        session(name=""),
        session(name=["anna"]),
        session(oauth_info=None),
        {"Cookie": "session=" + base64.b64encode(b'{"oauth_info":{"userinfo":{"preferred_username":"chief"}}}').decode()},
        {"Cookie": "session=null"},
        {"Cookie": "session=a.b.c"},
    ],
    ids=["forged", "signed with nothing", "expired", "no name", "list", "signed out", "not signed", "null", "dots"],
)
def test_a_session_that_is_not_valid_is_nobody(cookie):
    assert identity().actor_of(asking(cookie)) is None


def test_without_a_secret_no_session_counts():
    forged = session("chief", secret="")  # anybody can compute this one
    assert identity(oauth_secret="").actor_of(asking(forged)) is None


def test_an_old_session_is_over(monkeypatch):
    cookie = session()
    monkeypatch.setattr("unified_audiocaps.space.identity.SESSION_S", -1)
    assert identity().actor_of(asking(cookie)) is None


# -- which site sent a browser ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:7860"},
        {"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"},
        {"host": "[::1]:7860"},
        {"host": "192.168.1.5:7860", "origin": "http://192.168.1.5:7860"},
        {"host": "lab.example.org", "sec-fetch-site": "none"},
        {"host": "LOCALHOST", "origin": "http://localhost"},
    ],
    ids=["curl", "page", "IPv6", "network", "named", "case"],
)
def test_own_pages_and_programs_may_change_something(headers):
    check_sender(Headers(headers), Settings(hosts="lab.example.org"))


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost:7860", "origin": "http://localhost:8000"},
        {"host": "localhost", "sec-fetch-site": "cross-site"},
        {"host": "localhost", "sec-fetch-site": "same-site"},
        {"host": "evil.example", "origin": "http://evil.example", "sec-fetch-site": "same-origin"},
        {"host": "localhost.evil.example"},
        {"host": "[::1"},
        {},
    ],
    ids=["origin", "null", "port", "cross", "sibling", "rebinding", "suffix", "broken", "none"],
)
def test_other_sites_may_not(headers):
    with pytest.raises(RightsError):
        check_sender(Headers(headers), Settings())


def test_with_sign_in_the_name_of_the_hub_does_not_matter():
    check_sender(Headers({"host": "x.hf.space", "origin": "https://x.hf.space"}), Settings(sign_in="hub"))
    with pytest.raises(RightsError, match="another site"):
        check_sender(Headers({"host": "x.hf.space", "origin": "https://y.hf.space"}), Settings(sign_in="hub"))


# -- how often -------------------------------------------------------------------------------------------------------------------


def test_a_bucket_is_empty_after_its_requests_and_fills_again():
    clock = Clock()
    limits = RateLimits(60, clock)
    for _ in range(60):
        limits.take("anna")
    with pytest.raises(LimitError, match="more than 60 requests within a minute; come back in") as refused:
        limits.take("anna")
    assert refused.value.retry_after_s == pytest.approx(1.0)
    limits.take("berta")
    clock.now += 1.0
    limits.take("anna")
    with pytest.raises(LimitError):
        limits.take("anna")


def test_a_clock_that_is_put_back_locks_nobody_out_for_long():
    clock = Clock()
    limits = RateLimits(60, clock)
    for _ in range(60):
        limits.take("anna")
    clock.now -= 10_000
    with pytest.raises(LimitError):
        limits.take("anna")
    clock.now += 2
    limits.take("anna")


def test_memory_is_bounded():
    limits = RateLimits(10)
    for number in range(KEPT + 500):
        limits.take(f"address {number}")
    assert len(limits._buckets) == KEPT


@pytest.mark.parametrize(
    ("told", "is_trusted", "address"),
    [
        (None, False, "192.0.2.7"),
        ("198.51.100.1", False, "192.0.2.7"),
        ("10.9.9.9, 198.51.100.1", True, "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", True, "2001:db8:1:2::/64"),
        ("rubbish", True, "rubbish"),
    ],
    ids=["direct", "told by anybody", "told by the proxy", "network", "rubbish"],
)
def test_an_address_is_taken_from_those_who_can_be_trusted(told, is_trusted, address):
    request = asking({"X-Forwarded-For": told} if told else {})
    assert address_of(request, is_trusted) == address


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"SPACE_ID": "a/b"}, True),
        ({"UAC_TRUSTED_PROXY": "yes"}, True),
        ({"SPACE_ID": "a/b", "UAC_TRUSTED_PROXY": "0"}, False),
    ],
)
def test_a_proxy_is_trusted_on_spaces_or_when_told(variables, expected):
    assert Settings.from_environment(variables).trusted_proxy is expected


def test_a_truth_that_is_none_is_refused():
    with pytest.raises(InputError, match="UAC_TRUSTED_PROXY is 'maybe'; expected true or false"):
        Settings.from_environment({"UAC_TRUSTED_PROXY": "maybe"})
