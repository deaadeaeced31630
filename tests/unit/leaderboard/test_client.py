"""The client against the real application on loopback; and the same bad file on every way in."""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner
from unified_audiocaps.dataset_scripts.errors import (
    EndpointError,
    InputError,
    LimitError,
    RightsError,
    StateError,
    StorageError,
    UnavailableError,
    UnifiedAudioCapsError,
    UnknownNameError,
)
from unified_audiocaps.leaderboard.client import Client
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.cli import app as program

from ..space.served import IDS, make_hub, predictions, publish, running, score, token_hub


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path)


@pytest.fixture
def url(hub) -> Iterator[str]:
    with running(hub) as address:
        yield address


@pytest.fixture
def client(url) -> Client:
    return Client(url, tries=2, sleep=lambda _s: None)


@pytest.fixture
def tokens(monkeypatch):
    """The Hub that knows tokens."""
    from huggingface_hub import constants

    with token_hub() as double:
        monkeypatch.setattr(constants, "ENDPOINT", double.url)
        yield double


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(predictions())
    return path


def test_a_file_is_checked_sent_scored_and_shown(hub, client, file):
    assert {"open", "sample"} <= {one["id"] for one in client.benchmarks()}
    assert client.validate(file, "open").is_valid
    sent = client.submit(file, "open", System("A", parameters=3))
    threading.Timer(0.3, score, [hub]).start()
    seen = []
    done = Client(client.url).wait(sent.id, 30, lambda found: seen.append(found.state))
    assert (done.state, done.progress_done) == ("published", 2)
    assert seen[0] == "queued" and seen[-1] == "published"
    assert client.board("open", ranked_by="bleu")["rows"][0]["system"]["parameters"] == 3
    assert client.withdraw(sent.id).state == "withdrawn"
    assert [one["id"] for one in client.submissions(state="withdrawn")["submissions"]] == [sent.id]


def test_the_same_file_again_is_the_same_submission(client, file):
    first, is_new, report = client.send(file, "open", "A")
    again, is_new_again, report_again = client.send(file, "open", "A")
    assert (first.id, is_new, is_new_again) == (again.id, True, False)
    assert report is not None and report_again is None


def test_a_file_whose_scoring_failed_may_be_sent_again(hub, client, file):
    first = client.submit(file, "open", "A")
    job = hub.store.claim("worker", 20)
    assert job is not None and hub.store.fail(job, "a mistake of ours", 1)
    assert client.submission(first.id).state == "failed"
    assert client.submit(file, "open", "A").state == "queued"


def test_all_problems_are_raised(client, file):
    file.write_bytes(predictions(IDS[:2]) + b"{\n")
    with pytest.raises(InputError, match="2 problems in 3 rows") as refused:
        client.submit(file, "open", "A")
    assert [one.code for one in refused.value.problems] == ["E_JSON", "E_MISSING_ID"]
    assert [one.line for one in refused.value.problems] == [3, None]


def test_a_rejected_attempt_stays_rejected_under_its_key(client, file):
    file.write_bytes(b"{")
    assert client.send(file, "open", "A", idempotency_key="k")[0].state == "rejected"
    with pytest.raises(InputError, match="was rejected before"):
        client.submit(file, "open", "A", idempotency_key="k")


def test_refusals_are_the_errors_of_a_hub_of_one_s_own(hub, client, file):
    with pytest.raises(UnknownNameError, match="no benchmark is called 'opem'"):
        client.board("opem")
    with pytest.raises(UnknownNameError, match="no submission is called 'x y'"):
        client.submission("x y")
    id_ = publish(hub, "B", 0.5)
    client.withdraw(id_)
    with pytest.raises(StateError, match="is withdrawn"):
        client.withdraw(id_)
    with pytest.raises(InputError, match="not described as a board"):
        client.submit(file, "open", "  ")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        client.submit(file.with_name("nope.jsonl"), "open", "A")


def test_a_wait_that_takes_too_long_is_told(client, file):
    sent = client.submit(file, "open", "A")
    with pytest.raises(UnavailableError, match="is queued after 0 s"):
        client.wait(sent.id, 0.05)


def test_accounts_have_their_rights(tmp_path, tokens, file):
    with running(make_hub(tmp_path, sign_in="hub")) as url:
        with pytest.raises(RightsError, match="nobody is signed in"):
            Client(url).submit(file, "open", "A")
        id_ = Client(url, "hf_anna").submit(file, "open", "A").id
        with pytest.raises(RightsError, match="somebody else's"):
            Client(url, "hf_berta").withdraw(id_)


# -- addresses and tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "hub.example.org", "ftp://x", "https://", "https://user:word@x.org"])
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(InputError, match="expected a URL such as") as refused:
        Client(url)
    assert "word" not in str(refused.value)


def test_a_token_does_not_travel_in_the_open():
    with pytest.raises(InputError, match="would travel in the open") as refused:
        Client("http://hub.example.org", "hf_secret")
    assert "hf_secret" not in str(refused.value)
    assert "hf_secret" not in repr(Client("http://localhost", "hf_secret")) + repr(Client("https://x.org", "hf_secret"))


@pytest.mark.parametrize("token", ["hf_a\r\nX: y", "hf_ä", "hf a"])
def test_a_token_that_fits_no_header_is_refused(token):
    with pytest.raises(InputError, match="the token is none") as refused:
        Client("https://x.org", token)
    assert token not in str(refused.value)


# -- a hub that has a bad day ----------------------------------------------------------------------------------------------------


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], object]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Gives the address of a server with these answers, the last one again and again, and the headers that it was sent."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/benchmarks/open"):
                status, headers, body = 200, {}, {"max_bytes": 1000}
            else:
                seen.append({"path": self.path, **{key.lower(): value for key, value in self.headers.items()}})
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            if status == 0:
                self.close_connection = True
                return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()


def test_lost_answers_are_asked_for_again_under_the_same_key(hub, file):
    with running(hub) as real:
        submission = Client(real).submit(file, "open", "A")
    body = {"submission": vars(submission), "is_new": True, "report": None}
    waits: list[float] = []
    busy = {"error": "unavailable", "message": "later"}
    with scripted((0, {}, b""), (503, {"Retry-After": "7"}, busy), (429, {}, busy), (202, {}, body)) as (url, seen):
        assert Client(url, sleep=waits.append).submit(file, "open", "A") == submission
    assert len(seen) == 4 and len({one["idempotency-key"] for one in seen}) == 1
    assert waits == [0.5, 7.0, 2.0]


def test_a_hub_that_stays_away_is_given_up(file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits: list[float] = []
    with pytest.raises(UnavailableError, match=f"the hub at {url} does not answer"):
        Client(url, tries=3, sleep=waits.append).submit(file, "open", "A")
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "message"),
    [
        (429, {"Retry-After": "7200"}, {"error": "limit", "message": "20 a day"}, LimitError, "20 a day"),
        (507, {}, {"error": "storage", "message": "full"}, StorageError, "full"),
        (413, {}, {"error": "too_big", "message": "big"}, InputError, "big"),
        (409, {}, {"error": "not_open", "message": "closed"}, InputError, "closed"),
        (500, {}, {"error": "internal", "message": "number 1"}, EndpointError, "number 1"),
        (404, {}, b"<html>not a hub</html>", EndpointError, "is it a hub"),
        (302, {"Location": "https://evil.example"}, b"", EndpointError, "is it a hub"),
        (400, {}, [1], EndpointError, "is it a hub"),
    ],
    ids=["quota", "full", "big", "not open", "mistake", "page", "redirect", "list"],
)
def test_what_cannot_be_mended_is_told_at_once(status, headers, body, kind, message):
    def never(_seconds: float) -> None:
        raise AssertionError("it waits")

    with scripted((status, headers, body)) as (url, seen), pytest.raises(kind, match=message) as refused:
        Client(url, sleep=never).board("open")
    assert len(seen) == 1
    assert isinstance(refused.value, UnifiedAudioCapsError)
    assert kind is not LimitError or refused.value.retry_after_s == 7200.0


# -- the same bad file on every way in -------------------------------------------------------------------------------------------


def uac(*arguments: object) -> tuple[int, str]:
    """Returns exit code and all output of a command; errors are told as `main` tells them."""
    done = CliRunner().invoke(program, [str(one) for one in arguments])
    error = done.exception
    told = f"error: {error}" if isinstance(error, UnifiedAudioCapsError) else ""
    assert error is None or isinstance(error, UnifiedAudioCapsError | SystemExit), error
    return done.exit_code, done.output + told


BAD = {
    "missing and cut": predictions(IDS[:2]) + b"{\n",
    "same caption": b"".join(json.dumps({"id": id_, "caption": "noise"}).encode() + b"\n" for id_ in IDS[:3]),
    "twice": predictions() + predictions(IDS[:1]),
    "unknown": predictions(("fog", *IDS)),
    "empty": b"",
    "not utf-8": b'{"id": "rain", "caption": "\xff"}\n',
    "no text": predictions(text=""),
}


@pytest.mark.parametrize("what", BAD)
def test_the_same_bad_file_is_told_the_same_way_everywhere(hub, url, what, tmp_path, unavailable):
    file = tmp_path / "bad.jsonl"
    file.write_bytes(BAD[what])
    here = ("--db", hub.store.url, "--data", tmp_path / "unified-audiocaps")
    curl = shutil.which("curl") or unavailable("no curl on this machine")
    for command, more, route, fields in (
        ("submit", ("--system", "A"), "submissions", ("-F", "system=A")),
        ("validate", (), "validate", ()),
    ):
        local = uac(command, file, "--benchmark", "open", *more, *here)
        assert uac(command, file, "--benchmark", "open", *more, "--hub", url) == local
        assert local[0] != 0
        with pytest.raises(InputError) as refused:
            if command == "submit":
                Client(url).submit(file, "open", "A")
            else:
                Client(url).validate(file, "open").raise_if_invalid()
        assert f"error: {refused.value}" == local[1][local[1].index("error: ") :].rstrip("\n")
        asked = [curl, "-s", "-F", f"file=@{file}", "-F", "benchmark=open", *fields, f"{url}/api/v1/{route}"]
        answer = json.loads(subprocess.run(asked, capture_output=True, check=True, timeout=30).stdout)
        raised = InputError(answer["message"], refused.value.problems, answer["n_problems"])
        assert str(raised) == str(refused.value)
        assert [one["message"] for one in answer["problems"]] == [one.message for one in refused.value.problems]


def test_a_good_file_is_told_the_same_way_here_and_there(hub, url, file, tmp_path):
    here = ("--db", hub.store.url, "--data", tmp_path / "unified-audiocaps")
    assert uac("validate", file, "--benchmark", "open", *here) == uac("validate", file, "--benchmark", "open", "--hub", url)
    code, told = uac("submit", file, "--benchmark", "open", "--system", "A", "--hub", url)
    assert code == 0 and told.startswith("queued: ")
    assert "already there, queued" in uac("submit", file, "--benchmark", "open", "--system", "A", *here)[1]
