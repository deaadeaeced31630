"""What strangers try, each a test."""

import base64
import hashlib
import io
import json
import re
import socket

import httpx2
import itsdangerous
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from unified_audiocaps.leaderboard.storage.records import ResultRow
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.api import gate
from unified_audiocaps.space.app import create_app

from .served import IDS, METRICS, SENTINEL, bearer, client_of, make_hub, predictions, publish, running, score, send

SITE = "https://hub.example.org"


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, sign_in="hub", admins="chief", oauth_secret="a secret", quota_per_day=1000)


@pytest.fixture
def client(hub, tokens) -> TestClient:
    return client_of(hub, SITE)


def get_routes(client: TestClient) -> list[str]:
    paths = client.get("/api/openapi.json").json()["paths"]
    return [path for path, methods in paths.items() if "get" in methods]


# -- private references --------------------------------------------------------------------------------------------------------


def test_private_references_are_in_no_answer_export_error_or_log(hub, client, caplog, tmp_path):
    caplog.set_level(0)
    names = [send(client, benchmark="closed", system=f"S{n}", **bearer("hf_anna")).json()["submission"]["id"] for n in range(3)]
    assert score(hub) == 3
    hub.store.requeue(names[0], "chief", hub.benchmark("closed").recipe, 2)
    hub.store.withdraw(names[1], "anna")
    hub.store.requeue(names[1], "chief", hub.benchmark("closed").recipe, 2)
    while job := hub.store.claim("worker", 20):
        hub.store.fail(job, f"ValueError: cannot tokenise 'rain and a {SENTINEL}' in /home/somebody/x.py", 1, code="E_SCORING")
    bad = send(client, predictions(IDS[:2]) + b"{", benchmark="closed", system="S9", **bearer("hf_anna")).json()
    rejected = bad["submission"]["id"]
    values = {"benchmark_id": ["closed", "nope"], "name": ["S0", "nope"], "submission_id": [*names, rejected, "nope"]}
    queries = ["", f"?a={names[0]}&b={names[2]}", "?format=csv", "?format=latex", "?ranked_by=nope", "?limit=1", "?stream=nope"]
    texts, asked = [json.dumps(bad)], 0
    for route in get_routes(client):
        name = (re.findall(r"{(\w+)(?::path)?}", route) or [""])[0]
        for value in values.get(name, [""]):
            for query in queries:
                for headers in ({}, bearer("hf_anna"), bearer("hf_chief")):
                    answer = client.get(re.sub(r"{.*?}", value, route) + query, headers=headers)
                    assert answer.status_code < 500, (route, query, answer.text)
                    texts.append(answer.text)
                    asked += 1
    assert asked > 300
    files = {"file": ("x.jsonl", predictions(IDS[:2]))}
    texts.append(client.post("/api/v1/validate", files=files, data={"benchmark": "closed"}).text)
    texts.append(client.post("/api/v1/validate?format=csv", files=files, data={"benchmark": "closed"}).text)
    everything = "\n".join([*texts, caplog.text])
    assert SENTINEL in (tmp_path / "closed.jsonl").read_text()
    assert SENTINEL not in everything
    assert "/home/somebody" not in everything and str(tmp_path) not in everything
    assert "scoring failed; the references are private" in everything


def test_items_of_a_private_benchmark_are_nobody_s(hub, client):
    for benchmark, status in (("closed", 403), ("open", 200)):
        id_ = send(client, benchmark=benchmark, **bearer("hf_anna")).json()["submission"]["id"]
        score(hub)
        for headers in ({}, bearer("hf_anna"), bearer("hf_chief")):
            assert client.get(f"/api/v1/submissions/{id_}/samples.parquet", headers=headers).status_code == status
    answer = client.get(f"/api/v1/submissions/{id_}/samples.parquet")
    assert pq.read_table(io.BytesIO(answer.content)).num_rows == len(IDS)


def test_items_of_what_was_taken_off_are_its_owner_s(hub, client):
    id_ = send(client, **bearer("hf_anna")).json()["submission"]["id"]
    score(hub)
    client.post(f"/api/v1/submissions/{id_}/withdraw", headers=bearer("hf_anna"))
    path = f"/api/v1/submissions/{id_}/samples.parquet"
    assert [client.get(path, headers=one).status_code for one in ({}, bearer("hf_berta"), bearer("hf_anna"))] == [404, 404, 200]


def test_scores_of_a_private_benchmark_are_rounded(hub, client):
    values = (0.123456789, 0.987654321)
    a, b = (publish(hub, f"S{number}", value, "closed") for number, value in enumerate(values))
    board = client.get("/api/v1/leaderboard/closed")
    assert [row["values"]["rouge_l"] for row in board.json()["rows"]] == [0.988, 0.123]
    compared = client.get("/api/v1/compare/closed", params={"a": a, "b": b})
    assert compared.json()["difference"] == -0.865
    numbers = [{**row["values"], "ends": row["intervals"]} for row in board.json()["rows"]] + [compared.json()]
    assert not re.search(r"0\.\d{4,}", json.dumps(numbers))


# -- who may what --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "submissions"),
        ("POST", "submissions/{id}/withdraw"),
        ("POST", "submissions/{id}/hide"),
        ("POST", "submissions/{id}/requeue"),
        ("POST", "benchmarks/open/rescore"),
        ("GET", "admin/verify-log"),
        ("GET", "submissions/{id}/errors.csv"),
    ],
)
def test_nobody_may_neither_change_nor_look_behind(hub, client, method, path):
    id_ = publish(hub, "A", 0.5, account="anna")
    for headers in ({}, bearer("hf_expired"), {"Cookie": "session=forged"}):
        answer = client.request(method, f"/api/v1/{path.format(id=id_)}", headers=headers)
        assert answer.status_code == 401, answer.text
    assert hub.store.get(id_).state == "published"


@pytest.mark.parametrize("step", ["withdraw", "hide", "requeue"])
def test_someone_else_s_submission_is_out_of_reach(hub, client, step):
    id_ = publish(hub, "A", 0.5, account="anna")
    answer = client.post(f"/api/v1/submissions/{id_}/{step}", json={"reason": "mine now"}, headers=bearer("hf_berta"))
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert hub.store.get(id_).state == "published"


def test_an_owner_is_no_admin(hub, client):
    id_ = publish(hub, "A", 0.5, account="anna")
    own = bearer("hf_anna")
    assert client.post(f"/api/v1/submissions/{id_}/hide", json={"reason": "x"}, headers=own).status_code == 403
    assert client.post("/api/v1/benchmarks/open/rescore", headers=own).status_code == 403
    assert client.get("/api/v1/admin/verify-log", headers=own).status_code == 403
    assert client.post(f"/api/v1/submissions/{id_}/hide", json={"reason": "x"}, headers=bearer("hf_chief")).status_code == 200


def test_what_was_wrong_with_a_file_is_its_sender_s(client):
    id_ = send(client, b"{", **bearer("hf_anna")).json()["submission"]["id"]
    path = f"/api/v1/submissions/{id_}/errors.csv"
    found = [client.get(path, headers=bearer(token)).status_code for token in ("hf_anna", "hf_berta", "hf_chief")]
    assert found == [200, 403, 200]


def test_someone_else_s_system_cannot_be_taken(client):
    assert send(client, **bearer("hf_anna")).status_code == 202
    answer = send(client, predictions(text="other {}"), **bearer("hf_berta"))
    assert answer.status_code == 403 and "belongs to somebody else" in answer.json()["message"]


def test_a_token_that_is_good_elsewhere_is_none_here(client, tokens):
    tokens.answers["hf_site"] = (200, {"type": "user", "name": "anna", "auth": {"type": "oauth"}})
    tokens.answers["hf_company"] = (200, {"type": "org", "name": "company"})
    assert [send(client, **bearer(one)).status_code for one in ("hf_site", "hf_company", "hf_expired")] == [401] * 3


def test_a_session_is_believed_only_with_our_signature(hub, client):
    def cookie(secret: str) -> dict[str, str]:
        info = json.dumps({"oauth_info": {"userinfo": {"preferred_username": "chief"}, "expires_at": 9e9}}).encode()
        signer = itsdangerous.TimestampSigner(hashlib.sha256(f"{secret}-v4".encode()).hexdigest())
        return {"Cookie": f"session={signer.sign(base64.b64encode(info)).decode()}"}

    assert client.get("/api/v1/admin/verify-log", headers=cookie("")).status_code == 401
    assert client.get("/api/v1/admin/verify-log", headers=cookie("a secret")).status_code == 200


def test_tokens_are_in_no_answer_and_no_log(hub, client, caplog):
    caplog.set_level(0)
    answers = [send(client, **bearer(token)).text for token in ("hf_anna", "hf_expired", "hf_bad!chars")]
    answers += [client.get("/api/v1/events").text, client.get("/api/v1/metrics").text]
    assert "hf_anna" not in caplog.text + "".join(answers)
    assert "hf_expired" not in caplog.text + "".join(answers) and "chars" not in caplog.text + "".join(answers)
    for path in hub.store.files.folder.parent.rglob("*"):
        assert not path.is_file() or b"hf_anna" not in path.read_bytes()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}],
    ids=lambda headers: "-".join(headers.values()),
)
def test_another_site_cannot_make_a_browser_change_anything(tmp_path, headers):
    hub = make_hub(tmp_path)
    client = client_of(hub)
    id_ = publish(hub, "A", 0.5)
    for path in (f"submissions/{id_}/withdraw", f"submissions/{id_}/hide", "submissions", "validate", "benchmarks/open/rescore"):
        answer = client.post(f"/api/v1/{path}", json={"reason": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert hub.store.get(id_).state == "published"
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post(f"/api/v1/submissions/{id_}/withdraw", headers=own).status_code == 200


def test_a_name_that_somebody_points_at_this_machine_changes_nothing(tmp_path):
    hub = make_hub(tmp_path)
    assert send(client_of(hub, "http://rebound.example")).status_code == 403
    assert send(client_of(hub, "http://127.0.0.1:7860")).status_code == 202


def test_the_pages_stand_behind_the_same_gate(tmp_path):
    client = TestClient(create_app(make_hub(tmp_path)), base_url="http://localhost", raise_server_exceptions=False)
    assert client.get("/").status_code == 200
    answer = client.post("/gradio_api/upload", headers={"Origin": "https://evil.example"}, files={"files": ("x", b"x")})
    assert answer.status_code == 403
    assert client.get("/api/v1/nowhere").json()["error"] == "unknown"


# -- how much and how often ----------------------------------------------------------------------------------------------------


def test_too_many_requests_are_told_when_to_come_back(tmp_path, tokens):
    client = client_of(make_hub(tmp_path, sign_in="hub", admins="chief", requests_per_minute=5), SITE)
    found = [client.get("/api/v1/benchmarks").status_code for _ in range(6)]
    assert found == [200] * 5 + [429]
    answer = client.get("/api/v1/benchmarks")
    assert 1 <= int(answer.headers["retry-after"]) <= 13 and answer.json()["error"] == "limit"
    assert client.get("/api/v1/healthz").status_code == 200
    assert client.get("/api/v1/benchmarks", headers=bearer("hf_bad1")).status_code == 429  # nor are tokens guessed
    assert "hf_bad1" not in tokens.asked
    admin = [client.get("/api/v1/benchmarks", headers=bearer("hf_chief")).status_code for _ in range(2)]
    assert admin == [429, 429]  # a token that is not known yet costs its address


def test_an_account_has_a_bucket_of_its_own(tmp_path, tokens):
    client = client_of(make_hub(tmp_path, sign_in="hub", requests_per_minute=5), SITE)
    found = {
        name: [client.get("/api/v1/systems", headers=bearer(name)).status_code for _ in range(6)]
        for name in ("hf_anna", "hf_berta")
    }
    assert found == {"hf_anna": [200] * 5 + [429], "hf_berta": [200] * 5 + [429]}


def test_addresses_that_anybody_can_write_do_not_count(tmp_path, tokens):
    client = client_of(make_hub(tmp_path, sign_in="hub", requests_per_minute=3), SITE)
    found = [client.get("/api/v1/systems", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(4)]
    assert found == [200, 200, 200, 429]


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(gate, "max_bytes", lambda _benchmark: 1000)


def test_a_body_that_says_it_is_too_big_is_not_read(tmp_path, small_files):
    client = client_of(make_hub(tmp_path))

    def never():
        yield b"x"
        raise AssertionError("the body was read")

    for length in ("2000000", "9" * 400, "-1", "1e3", "٣"):
        headers = {"Content-Length": length.encode()}
        answer = client.post("/api/v1/submissions", content=never() if length == "2000000" else b"", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (413, "too_big")


def test_a_body_that_grows_is_cut_off(tmp_path, small_files):
    client = client_of(make_hub(tmp_path))
    sent = 0

    def endless():
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n'
        while sent < 2**26:
            sent += 2**16
            yield b"x" * 2**16

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/api/v1/submissions", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_big")


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /api/v1/benchmarks HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/benchmarks HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(30_000)) + b"\r\n",
    ],
    ids=["a header", "the address", "many headers"],
)
def test_a_head_that_is_too_big_is_refused(tmp_path, request_head):
    with running(make_hub(tmp_path)) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as stream:
            try:
                stream.sendall(request_head)
                answer = stream.recv(100)
            except ConnectionError:  # closed while more was being sent
                answer = b""
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer
        assert httpx2.get(f"{url}/api/v1/healthz").status_code == 200


def test_a_server_refuses_a_big_body_before_it_comes(tmp_path):
    with running(make_hub(tmp_path)) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as stream:
            stream.sendall(b"POST /api/v1/submissions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
            assert stream.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data; boundary=b", b"--b\r\nbroken"),
        ("multipart/form-data", b"x"),
        ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"%ff=%00&file=x&benchmark=open&system=A"),
        ("text/plain", b"x"),
        ("multipart/form-data; boundary=" + "b" * 5000, b"x"),
    ],
    ids=["cut", "no boundary", "deep json", "form", "text", "long boundary"],
)
@pytest.mark.parametrize("path", ["submissions", "validate", "submissions/nope/hide"])
def test_bodies_that_are_none_are_refused(tmp_path, path, content_type, content):
    client = client_of(make_hub(tmp_path))
    answer = client.post(f"/api/v1/{path}", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) >= {"error", "message", "problems"}


# -- names and texts -----------------------------------------------------------------------------------------------------------


NAMES = [
    "../../../../etc/passwd.jsonl",
    "..\\..\\windows\\x.jsonl",
    "/etc/cron.d/x.jsonl",
    "a\0b.jsonl",
    "....jsonl",
    ".",
    "x" * 4000 + ".jsonl",
    "<script>alert(1)</script>.jsonl",
    "\u202elnosj.jsonl",
    "é" * 300 + ".jsonl",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_file_name_is_never_a_path(tmp_path, name):
    hub = make_hub(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.suffix == ".jsonl" and "files" not in str(path)}
    answer = send(client_of(hub), name=name)
    assert answer.status_code in {202, 400, 422}
    assert {path for path in tmp_path.rglob("*") if path.suffix == ".jsonl" and "files" not in str(path)} == before
    assert all(re.fullmatch(r"[0-9a-f]{64}(\.[a-z0-9]+)*", path.name) for path in hub.store.files.folder.rglob("*.*"))


NAMED_ROUTES = (
    "submissions/{}",
    "submissions/{}/errors.csv",
    "submissions/{}/samples.parquet",
    "benchmarks/{}",
    "leaderboard/{}",
    "systems/{}",
    "compare/{}?a=1&b=2",
    "submissions?account={}",
    "leaderboard/open?scope={}",
)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "' OR 1=1 --",
        "1;DROP TABLE submission",
        "%00",
        "a%00b",
        "x" * 5000,
        "\\..\\",
        "%F0%9F",
    ],
)
def test_names_in_an_address_are_data(hub, client, name):
    id_ = publish(hub, "A", 0.5)
    for route in NAMED_ROUTES:
        answer = client.get(f"/api/v1/{route.format(name)}")
        assert answer.status_code in {200, 304, 400, 401, 404, 422}, (route, answer.text)
        assert "root:" not in answer.text and "sqlite" not in answer.text.lower()
    assert hub.store.get(id_).state == "published"


def test_html_comes_back_as_data(hub, client):
    evil = "<img src=x onerror=alert(1)>"
    about = System(evil, organisation="<script>1</script>", description="[x](javascript:alert(1))", license_text="{{7*7}}")
    publish(hub, about, 0.5)
    for path in ("leaderboard/open", "systems", "submissions", "events", f"submissions?system={evil}", f"leaderboard/{evil}"):
        answer = client.get(f"/api/v1/{path}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/v1/systems").json()[0]["system"]["organisation"] == "<script>1</script>"


@pytest.mark.parametrize("path", ["systems?x=1", "leaderboard/open", "nowhere", "submissions/nope", "metrics"])
def test_every_answer_forbids_to_guess_its_type(client, path):
    assert client.get(f"/api/v1/{path}").headers["x-content-type-options"] == "nosniff"


def test_cells_that_a_spreadsheet_would_compute_are_made_text(client):
    ids = ['=cmd|"/C calc"!A0', "+1+1", "-2+3", "@SUM(A1)"]
    content = predictions(ids) + predictions()
    answer = send(client, content, **bearer("hf_anna"))
    assert answer.status_code == 422
    id_ = answer.json()["submission"]["id"]
    told = [client.get(f"/api/v1/submissions/{id_}/errors.csv", headers=bearer("hf_anna")).text]
    files = {"file": ("x.jsonl", content)}
    told.append(client.post("/api/v1/validate?format=csv", files=files, data={"benchmark": "open"}).text)
    import csv

    for text in told:
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert sum(cell.startswith("'") for cell in cells) >= len(ids)
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_metrics_keep_their_form(hub, client):
    publish(hub, 'x"} 1', 0.5)
    text = client.get("/api/v1/metrics").text
    assert all(
        re.fullmatch(r"# TYPE \w+ \w+|\w+(\{[^{}\n]*(\{\w+(:path)?\}[^{}\n]*)*\})? [\d.e+-]+", line) for line in text.splitlines()
    )


def test_rows_of_older_signatures_are_not_mixed_in(hub, client):
    id_ = publish(hub, "A", 0.5)
    hub.store.requeue(id_, "chief", hub.benchmark("open").recipe, 2)
    job = hub.store.claim("worker", 20)
    rows = [ResultRow(name, name, 0.7, 4, f"metric:{name}", "ffffffff", 0.1, "0" * 64) for name in METRICS]
    assert job is not None and hub.store.finish(job, rows)
    assert client.get("/api/v1/leaderboard/open").json()["rows"][0]["values"] == {"rouge_l": 0.7, "bleu": 0.7}
