"""The whole way of signing in, against an OpenID provider on this machine; and everything that must not let anybody in."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.space.app import create_app
from unified_audiocaps.space.sign_in import is_set_up, local, session_cookie

from .pages_served import SECRET, SITE, settings_of_site, text_of
from .served import make_hub, predictions

CLIENT = "the-client"


class Provider:
    """Signs `name` in, whoever asks; checks that the questions are as the standard wants them."""

    def __init__(self) -> None:
        self.name: object = "anna"
        self.url = ""
        self.asked: dict[str, str] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.broken: dict[str, tuple[int, object]] = {}
        self.tokens = 0

    def visit(self, address: str) -> str:
        """Returns where a browser is sent after its owner agreed."""
        parts = urlsplit(address)
        assert address.startswith(f"{self.url}/authorize?")
        self.asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        assert self.asked["response_type"] == "code" and self.asked["client_id"] == CLIENT
        assert self.asked["code_challenge_method"] == "S256" and len(self.asked["state"]) >= 32
        code = f"code{len(self.codes)}"
        self.codes[code] = self.asked
        return f"{self.asked['redirect_uri']}?code={code}&state={self.asked['state']}"

    def answer(self, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, object]:
        """Returns status and body."""
        if path in self.broken:
            return self.broken[path]
        if path == "/.well-known/openid-configuration":
            names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
            return 200, dict(zip(names, (f"{self.url}/{one}" for one in ("authorize", "token", "userinfo")), strict=True))
        if path == "/token":
            begun = self.codes.pop(form.get("code", ""), None)
            given = base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode()
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if begun is None or given != f"{CLIENT}:{SECRET}" or challenge != begun["code_challenge"]:
                return 400, {"error": "invalid_grant"}
            assert form["redirect_uri"] == begun["redirect_uri"] and form["grant_type"] == "authorization_code"
            self.tokens += 1
            return 200, {"access_token": "hf_oauth_secret", "token_type": "bearer", "expires_in": 3600}
        if path == "/userinfo" and headers.get("Authorization") == "Bearer hf_oauth_secret":
            return 200, {"sub": "1", "preferred_username": self.name}
        return 404, {}


@contextmanager
def running_provider():
    double = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.reply({key: values[0] for key, values in parse_qs(body).items()})

        def reply(self, form: dict[str, str]) -> None:
            status, body = double.answer(self.path, dict(self.headers), form)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield double
        server.shutdown()


@pytest.fixture
def provider():
    with running_provider() as double:
        yield double


@pytest.fixture
def hub(tmp_path, provider):
    return make_hub(tmp_path, **settings_of_site(), oauth_client=CLIENT, oauth_provider=provider.url)


def browser(hub, site: str = SITE) -> TestClient:
    return TestClient(create_app(hub), base_url=site, raise_server_exceptions=False, follow_redirects=False)


def signed_in(hub, provider, target: str = "/submit?benchmark=open", site: str = SITE) -> tuple[TestClient, str]:
    """Goes the whole way and returns the browser, and where it was sent at last."""
    client = browser(hub, site)
    begun = client.get("/login/huggingface", params={"_target_url": target})
    assert begun.status_code == 302, begun.text
    done = client.get(provider.visit(begun.headers["location"]))
    assert done.status_code == 303, text_of(done.text)
    return client, done.headers["location"]


def test_signing_in_submitting_and_signing_out(hub, provider):
    client, target = signed_in(hub, provider)
    assert target == "/submit?benchmark=open"
    assert provider.asked["redirect_uri"] == f"{SITE}/login/callback" and provider.asked["scope"] == "openid profile"
    page = client.get(target).text
    assert '<span class="who">anna</span>' in page and "/logout?_target_url=" in page

    own = {"Origin": SITE}
    form = {"benchmark": "open", "action": "send", "name": "A"}
    sent = client.post("/submit", data=form, files={"file": ("x.jsonl", predictions())}, headers=own)
    assert sent.status_code == 303
    (found,) = hub.store.submissions()
    assert (found.account, sent.headers["location"]) == ("anna", f"/submissions/{found.id}")
    assert client.post(f"{sent.headers['location']}/hide", data={"reason": "x"}, headers=own).status_code == 403

    out = client.post("/logout?_target_url=/queue", headers=own)
    assert (out.status_code, out.headers["location"]) == (303, "/queue")
    assert "session" not in client.cookies and "Sign in" in client.get("/queue").text
    assert client.post(f"{sent.headers['location']}/withdraw", headers=own).status_code == 401
    assert hub.store.get(found.id).state == "queued"


def test_an_admin_signs_in_as_one(hub, provider):
    provider.name = "chief"
    client, _ = signed_in(hub, provider, "/admin")
    assert client.get("/admin").status_code == 200


def test_what_the_hub_said_is_not_in_the_cookie(hub, provider):
    client, _ = signed_in(hub, provider)
    held = client.cookies["session"]
    assert "hf_oauth_secret" not in base64.b64decode(held.split(".")[0] + "==").decode()
    assert "sign_in" not in client.cookies


def test_cookies_are_kept_from_scripts_and_from_unprotected_connections(hub, provider):
    client = browser(hub)
    begun = client.get("/login/huggingface")
    done = client.get(provider.visit(begun.headers["location"]))
    for header in [*begun.headers.get_list("set-cookie"), *done.headers.get_list("set-cookie")]:
        assert "HttpOnly" in header and "Secure" in header and "SameSite=lax" in header, header


def test_on_a_space_the_cookie_works_inside_the_hub_s_page(tmp_path, provider):
    more = {"oauth_client": CLIENT, "oauth_provider": provider.url, "address": "lab-board.hf.space,board.example.org"}
    hub = make_hub(tmp_path, **settings_of_site(), **more)
    client = browser(hub, "http://10.0.0.1")  # what the proxy in front of a Space asks for
    begun = client.get("/login/huggingface")
    assert "SameSite=none" in begun.headers["set-cookie"] and "Secure" in begun.headers["set-cookie"]
    provider.visit(begun.headers["location"])
    assert provider.asked["redirect_uri"] == "https://lab-board.hf.space/login/callback"


def test_inside_a_page_of_the_hub_a_tab_of_its_own_is_offered(hub, provider):
    target = '/submit?benchmark="><script>'
    answer = browser(hub).get("/login/huggingface", params={"_target_url": target}, headers={"Sec-Fetch-Dest": "iframe"})
    assert answer.status_code == 200 and 'target="_blank"' in answer.text and "set-cookie" not in answer.headers
    assert "<script" not in answer.text


@pytest.mark.parametrize("missing", [{"oauth_client": ""}, {"oauth_secret": ""}, {"oauth_provider": ""}], ids=str)
def test_nobody_is_let_in_where_it_is_not_set_up(tmp_path, provider, missing):
    given = {**settings_of_site(), "oauth_client": CLIENT, "oauth_provider": provider.url, **missing}
    hub = make_hub(tmp_path, **given)
    assert not is_set_up(hub.settings)
    client = browser(hub)
    for path in ("/login/huggingface", "/login/callback", "/login/callback?code=x&state=y"):
        answer = client.get(path)
        assert answer.status_code == 503 and "UAC_OAUTH_CLIENT" in answer.text, path
        assert "set-cookie" not in answer.headers
    assert client.get("/admin").status_code == 401 and provider.tokens == 0


def test_a_hub_without_accounts_has_no_way_to_sign_in(tmp_path):
    client = browser(make_hub(tmp_path), "http://localhost")
    for path in ("/login/huggingface", "/login/callback", "/logout"):
        answer = client.get(path)
        assert answer.status_code == 404 and "set-cookie" not in answer.headers
    assert "Sign in" not in client.get("/").text


def test_a_callback_that_this_browser_did_not_begin_is_refused(hub, provider):
    begun = browser(hub).get("/login/huggingface")
    back = provider.visit(begun.headers["location"])
    victim = browser(hub)
    assert victim.get(back).status_code == 403  # somebody else's code
    victim.get("/login/huggingface")
    assert victim.get(back).status_code == 403  # somebody else's state
    assert "session" not in victim.cookies and provider.tokens == 0


@pytest.mark.parametrize("query", ["", "?state=x", "?code=x", "?error=access_denied&state={state}", "?state=%C3%A9&code=x"])
def test_a_callback_without_what_is_needed_is_refused_in_words(hub, provider, query):
    client = browser(hub)
    provider.visit(client.get("/login/huggingface").headers["location"])
    answer = client.get("/login/callback" + query.format(state=provider.asked["state"]))
    assert answer.status_code == 403 and "session" not in client.cookies
    assert re.search("begin it again|did not let you in", text_of(answer.text))


def test_a_code_counts_once_and_a_wrong_one_never(hub, provider):
    client = browser(hub)
    back = provider.visit(client.get("/login/huggingface").headers["location"])
    assert client.get(back.replace("code=code0", "code=other")).status_code == 401
    client = browser(hub)
    back = provider.visit(client.get("/login/huggingface").headers["location"])
    cookie = client.cookies["sign_in"]
    assert client.get(back).status_code == 303
    client.cookies.set("sign_in", cookie)
    assert client.get(back).status_code == 401


@pytest.mark.parametrize("name", ["", None, 7, "a b", "../x", "x" * 200, "<b>"])
def test_a_name_that_no_account_has_lets_nobody_in(hub, provider, name):
    provider.name = name
    client = browser(hub)
    answer = client.get(provider.visit(client.get("/login/huggingface").headers["location"]))
    assert answer.status_code == 401 and "session" not in client.cookies


@pytest.mark.parametrize("name", ["local", "hub"])
def test_the_hub_s_own_names_let_nobody_in(hub, provider, name):
    provider.name = name
    client, _ = signed_in(hub, provider)
    assert client.post("/submit", data={"benchmark": "open", "action": "send"}, headers={"Origin": SITE}).status_code == 401


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", (500, {})),
        ("/.well-known/openid-configuration", (200, {"token_endpoint": "x"})),
        ("/.well-known/openid-configuration", (200, [])),
        ("/token", (502, {})),
        ("/token", (200, {"no": "token"})),
        ("/userinfo", (200, "text")),
    ],
)
def test_a_provider_that_is_ill_is_told_and_lets_nobody_in(hub, provider, path, answer):
    provider.broken[path] = answer
    client = browser(hub)
    begun = client.get("/login/huggingface")
    last = client.get(provider.visit(begun.headers["location"])) if begun.status_code == 302 else begun
    assert last.status_code == 503 and "try again soon" in last.text and "session" not in client.cookies
    provider.broken.clear()
    assert signed_in(hub, provider)  # what went wrong is not remembered


def test_no_secret_is_in_an_answer_or_the_log(hub, provider, caplog):
    caplog.set_level(0)
    provider.broken["/userinfo"] = (500, {"hf_oauth_secret": 1})
    client = browser(hub)
    answer = client.get(provider.visit(client.get("/login/huggingface").headers["location"]))
    ours = "".join(one.getMessage() for one in caplog.records if one.name.startswith("unified_audiocaps"))
    assert SECRET not in answer.text + ours and "hf_oauth_secret" not in answer.text + ours


def test_a_session_ends_when_the_hub_says_so(hub):
    client = browser(hub)
    client.cookies.set("session", session_cookie(hub.settings, "anna", 1.0))
    assert "Sign in" in client.get("/queue").text
    client.cookies.set("session", session_cookie(Settings(oauth_secret="another"), "anna", 9e9))
    assert "Sign in" in client.get("/queue").text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "",
        "evil",
        "/logout",
    ],
)
def test_nobody_is_sent_elsewhere_afterwards(hub, provider, target):
    assert local(target) == "/"
    client, where = signed_in(hub, provider, target)
    assert where == "/"
    assert client.post("/logout", params={"_target_url": target}, headers={"Origin": SITE}).headers["location"] == "/"


def test_the_gate_stands_in_front_of_everything_still(hub, provider):
    client, _ = signed_in(hub, provider)
    for path in ("/submit", "/admin/verify", "/login/huggingface", "/logout"):
        answer = client.post(path, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403, path
