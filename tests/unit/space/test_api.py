import errno
import gzip
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from unified_audiocaps.dataset_scripts.errors import (
    InputError,
    LimitError,
    Problem,
    RightsError,
    StateError,
    StorageError,
    UnavailableError,
    UnknownNameError,
)
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.api import answers, boards, operations
from unified_audiocaps.space.api.errors import error_answer
from unified_audiocaps.space.api.telling import HIDDEN_CAUSE

from .served import IDS, bearer, client_of, make_hub, predictions, publish, score, send


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path)


@pytest.fixture
def client(hub) -> TestClient:
    return client_of(hub)


# -- benchmarks and systems ------------------------------------------------------------------------------------------------------


def test_benchmarks_are_listed_with_their_digests(client):
    found = {benchmark["id"]: benchmark for benchmark in client.get("/api/v1/benchmarks").json()}
    assert (found["audiocaps-test"]["n_items"], found["open"]["n_items"]) == (975, len(IDS))
    assert all(len(benchmark["digest"]) == 8 and benchmark["max_bytes"] > 2**20 for benchmark in found.values())


def test_a_benchmark_has_a_page_per_version(client):
    assert client.get("/api/v1/benchmarks/open?version=1").json()["metrics"] == ["rouge_l", "bleu"]
    assert client.get("/api/v1/benchmarks/open?version=2").status_code == 404


def test_a_system_is_found_whatever_its_name_holds(hub, client):
    about = System("a/b & <c>?", organisation="somebody", parameters=7)
    id_ = publish(hub, about, 0.5)
    assert [one["system"]["name"] for one in client.get("/api/v1/systems").json()] == [about.name]
    found = client.get("/api/v1/systems/a%2Fb%20%26%20%3Cc%3E%3F").json()
    assert (found["system"]["organisation"], found["account"], found["submissions"][0]["id"]) == ("somebody", "local", id_)
    assert client.get("/api/v1/systems/nope").status_code == 404


# -- boards ----------------------------------------------------------------------------------------------------------------------


def test_a_board_holds_ranked_rows_with_signatures(hub, client):
    for name, value in (("A", 0.25), ("B", 0.5)):
        publish(hub, name, value)
    answer = client.get("/api/v1/leaderboard/open").json()
    found = [(row["rank"], row["system"]["name"], row["values"]) for row in answer["rows"]]
    assert found == [(1, "B", {"rouge_l": 0.5, "bleu": 0.5}), (2, "A", {"rouge_l": 0.25, "bleu": 0.25})]
    assert [(one["name"], one["digest"], one["signature"]) for one in answer["columns"]] == [
        ("rouge_l", "0123abcd", "metric:rouge_l"),
        ("bleu", "0123abcd", "metric:bleu"),
    ]
    assert (answer["ranked_by"], answer["n_rows"], answer["next"]) == ("rouge_l", 2, None)


def test_pages_of_a_board_are_the_board(hub, client):
    for number in range(5):
        publish(hub, f"S{number}", number / 10)
    whole = client.get("/api/v1/leaderboard/open").json()["rows"]
    read, following = [], ""
    while following is not None:
        page = client.get("/api/v1/leaderboard/open", params={"limit": 2, **({"cursor": following} if following else {})}).json()
        read += page["rows"]
        following = page["next"]
    assert read == whole


def test_a_page_of_a_board_that_changed_is_refused_rather_than_wrong(hub, client):
    for number in range(3):
        publish(hub, f"S{number}", number / 10)
    following = client.get("/api/v1/leaderboard/open?limit=1").json()["next"]
    publish(hub, "S9", 0.9)
    answer = client.get("/api/v1/leaderboard/open", params={"limit": 1, "cursor": following})
    assert (answer.status_code, answer.json()["error"]) == (409, "state")


@pytest.mark.parametrize("cursor", ["x", "!!!!", "WzFd", "bnVsbA", "W1tbW1tb"])
@pytest.mark.parametrize("path", ["leaderboard/open", "submissions"])
def test_a_cursor_of_nobody_is_refused(client, path, cursor):
    answer = client.get(f"/api/v1/{path}", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed")


@pytest.mark.parametrize(
    "path",
    ["leaderboard/open", "leaderboard/open?limit=1", "systems", "submissions", "benchmarks", "events", "reported-results"],
)
def test_an_unchanged_answer_is_not_sent_again(hub, client, path):
    publish(hub, "A", 0.5)
    first = client.get(f"/api/v1/{path}")
    again = client.get(f"/api/v1/{path}", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    listed = client.get(f"/api/v1/{path}", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    other = client.get(f"/api/v1/{path}", headers={"If-None-Match": '"other"'})
    assert (listed.status_code, other.status_code) == (304, 200)


def test_a_board_has_a_new_tag_after_any_change_of_it(hub, client):
    tags = [client.get("/api/v1/leaderboard/open").headers["etag"]]
    id_ = publish(hub, "A", 0.5)
    tags.append(client.get("/api/v1/leaderboard/open").headers["etag"])
    publish(hub, System("A", organisation="somebody"), 0.6)
    tags.append(client.get("/api/v1/leaderboard/open").headers["etag"])
    hub.store.hide(hub.store.submissions()[0].id, "local", "a test")
    tags.append(client.get("/api/v1/leaderboard/open").headers["etag"])
    tags += [client.get(f"/api/v1/leaderboard/open?{query}").headers["etag"] for query in ("ranked_by=bleu", "limit=1")]
    publish(hub, "B", 0.5, benchmark="closed")
    assert client.get("/api/v1/leaderboard/open").headers["etag"] == tags[3]
    assert len(set(tags)) == len(tags)
    assert id_ not in client.get("/api/v1/leaderboard/open").text


def test_a_board_is_compressed_for_those_who_take_that(hub, client):
    for number in range(40):
        publish(hub, f"System {number}", number / 100)
    zipped = client.get("/api/v1/leaderboard/open", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/api/v1/leaderboard/open", headers={"Accept-Encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert zipped.json() == plain.json()
    assert int(zipped.headers["content-length"]) < len(plain.content) / 3
    assert "Accept-Encoding" in zipped.headers["vary"]


def test_of_many_who_ask_for_a_board_one_makes_it(hub, client, monkeypatch):
    publish(hub, "A", 0.5)
    made = []
    real = boards.dumps
    monkeypatch.setattr(boards, "dumps", lambda value: made.append(1) or time.sleep(0.1) or real(value))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/api/v1/leaderboard/open").content, range(8)))
    assert len(made) == 1 and len(set(answers)) == 1


def test_formats_that_are_none_are_told(client):
    answer = client.get("/api/v1/leaderboard/open?format=docx")
    assert answer.status_code == 404 and "'docx'" in answer.json()["message"] and "json" in answer.json()["message"]


def test_two_systems_are_compared(hub, client):
    a, b = publish(hub, "A", 0.25), publish(hub, "B", 0.5)
    answer = client.get("/api/v1/compare/open", params={"a": a, "b": b, "metric": "bleu"})
    assert answer.json() == {
        "benchmark": "open", "a": a, "b": b, "metric": "bleu", "difference": -0.25, "low": None, "high": None, "p_value": None,
    }  # fmt: skip
    assert client.get("/api/v1/compare/open", params={"a": a, "b": "nope"}).status_code == 404


# -- submissions -----------------------------------------------------------------------------------------------------------------


def test_a_file_becomes_a_scored_submission(hub, client):
    answer = send(client)
    assert answer.status_code == 202
    where = answer.headers["location"]
    body = client.get(where).json()
    assert (body["state"], body["queue_place"], [one["kind"] for one in body["events"]]) == ("queued", 0, ["received", "queued"])
    assert score(hub) == 1
    done = client.get(where).json()
    assert (done["state"], done["queue_place"], done["progress_done"], done["progress_total"]) == ("published", None, 2, 2)
    assert all("owner" not in one["detail"] for one in done["events"])
    samples = client.get(f"{where}/samples.parquet")
    assert samples.status_code == 200 and samples.content[:4] == b"PAR1"


def test_the_same_file_is_the_same_submission(client):
    first, again = send(client), send(client)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["location"] == first.headers["location"]
    assert (again.json()["is_new"], again.json()["report"]) == (False, None)


def test_a_key_gives_the_same_submission_and_fits_no_other(client):
    first = send(client, idempotency_key="k1")
    assert send(client, idempotency_key="k1").headers["location"] == first.headers["location"]
    other = send(client, predictions(text="another {}"), idempotency_key="k1")
    assert other.status_code == 422 and "take a new key" in other.json()["message"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "tab\there"])
def test_a_key_that_is_none_is_refused(client, key):
    assert send(client, idempotency_key=key).status_code == 400


def test_a_bad_file_is_rejected_with_its_report(hub, client):
    content = predictions(IDS[:3]) + b"{\n"
    answer = send(client, content, idempotency_key="k")
    body = answer.json()
    assert (answer.status_code, body["error"], body["n_problems"]) == (422, "rejected", 2)
    assert [one["code"] for one in body["problems"]] == ["E_JSON", "E_MISSING_ID"]
    assert body["report"]["n_rows"] == 4 and body["submission"]["state"] == "rejected"
    again = send(client, content, idempotency_key="k")
    assert (again.status_code, again.json()["submission"]["id"]) == (422, body["submission"]["id"])
    told = client.get(f"/api/v1/submissions/{body['submission']['id']}/errors.csv")
    assert told.headers["content-type"].startswith("text/csv")
    assert [line.split(",")[1] for line in told.text.splitlines()] == ["code", "E_JSON", "E_MISSING_ID"]


def test_a_file_is_checked_without_being_kept(hub, client):
    files = {"file": ("mine.jsonl", predictions(IDS[:3]))}
    report = client.post("/api/v1/validate", files=files, data={"benchmark": "open"}).json()
    assert (report["file"], report["is_valid"], report["n_problems"]) == ("mine.jsonl", False, 1)
    assert report["message"] == "mine.jsonl cannot be submitted to open: 1 problem in 3 rows."
    table = client.post("/api/v1/validate?format=csv", files=files, data={"benchmark": "open"})
    assert "E_MISSING_ID" in table.text and table.headers["content-type"].startswith("text/csv")
    assert hub.store.submissions() == []


def test_a_system_may_be_described_in_json(hub, client):
    system = {"name": "B", "parameters": 5, "training_data": ["none"]}
    assert send(client, system=json.dumps(system)).status_code == 202
    assert [one.parameters for one, _ in hub.store.systems()] == [5]


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ('{"name": ', "looks like JSON and is none"),
        ("{" * 20_000, "looks like JSON and is none"),
        ('{"nom": "x"}', "a system has no 'nom'"),
        ('{"name": "x", "training_data": "wavcaps"}', "expected a list of dataset names"),
        ('{"name": "\\ud800"}', "not described as a board can show it"),
        ("   ", "not described as a board can show it"),
        ("two\nlines", "not described as a board can show it"),
    ],
    ids=["cut", "deep", "key", "type", "surrogate", "blank", "lines"],
)
def test_a_system_that_no_board_can_show_is_refused(client, system, message):
    answer = send(client, system=system)
    assert answer.status_code == 422 and message in answer.json()["message"]


def test_a_benchmark_whose_references_are_not_here_takes_no_files(client):
    answer = send(client, benchmark="clotho-evaluation")
    assert (answer.status_code, answer.json()["error"]) == (409, "not_open")


def test_submissions_are_listed_in_pages_and_by_filters(hub, client):
    ids = [send(client, system=f"S{number}").json()["submission"]["id"] for number in range(5)]
    send(client, b"{", system="broken")
    first = client.get("/api/v1/submissions?limit=4").json()
    rest = client.get("/api/v1/submissions", params={"limit": 4, "cursor": first["next"]}).json()
    assert [one["id"] for one in (first["submissions"] + rest["submissions"])][1:] == ids[::-1]
    assert rest["next"] is None
    assert [one["system"] for one in client.get("/api/v1/submissions?state=rejected").json()["submissions"]] == ["broken"]
    assert len(client.get("/api/v1/submissions?state=rejected&state=queued").json()["submissions"]) == 6
    assert len(client.get("/api/v1/submissions?system=S1&benchmark=open&account=local").json()["submissions"]) == 1
    assert client.get("/api/v1/submissions?account=nobody").json()["submissions"] == []
    assert client.get("/api/v1/submissions?state=lost").status_code == 422


def test_an_owner_takes_back_and_an_admin_hides_and_requeues(hub, client):
    one = send(client).json()["submission"]["id"]
    assert client.post(f"/api/v1/submissions/{one}/withdraw").json()["state"] == "withdrawn"
    again = client.post(f"/api/v1/submissions/{one}/withdraw")
    assert (again.status_code, again.json()["error"]) == (409, "state")
    assert client.post(f"/api/v1/submissions/{one}/requeue").json()["state"] == "queued"
    hidden = client.post(f"/api/v1/submissions/{one}/hide", json={"reason": "copied"})
    assert hidden.json()["state"] == "hidden"
    assert hub.store.events(one)[-1]["detail"] == {"reason": "copied"}
    assert client.post(f"/api/v1/submissions/{one}/hide", json={"reason": " "}).status_code == 422
    assert client.post(f"/api/v1/submissions/{one}/hide", json={}).status_code == 400
    assert client.post("/api/v1/benchmarks/open/rescore").json() == {"count": 0}
    assert client.get("/api/v1/admin/verify-log").json() == {"count": hub.store.n_events()}


def test_another_version_of_the_package_makes_other_tags(hub, client, monkeypatch):
    for path in ("leaderboard/open", "systems"):
        tag = client.get(f"/api/v1/{path}").headers["etag"]
        assert client.get(f"/api/v1/{path}", headers={"If-None-Match": tag}).status_code == 304
        with monkeypatch.context() as patch:
            patch.setattr(answers, "package_version", lambda: "99")
            assert client.get(f"/api/v1/{path}", headers={"If-None-Match": tag}).status_code == 200


def test_bibtex_names_the_day_it_is_asked_for(hub, client, monkeypatch):
    publish(hub, "A", 0.5)
    for day in ("2031-01-31", "2031-02-01"):
        monkeypatch.setattr(boards, "_today", lambda day=day: date.fromisoformat(day))
        assert day in client.get("/api/v1/leaderboard/open?format=bibtex").text


def test_a_failed_submission_to_what_is_gone_hides_no_other(hub, client):
    gone = replace(hub.benchmark("open"), id="gone")
    sent, _ = hub.store.receive(gone, System("A"), b"1", ".jsonl")
    hub.store.accept(sent.id, 4, gone.recipe, 2)
    hub.store.fail(hub.store.claim("w", 20.0), "no benchmark is called 'gone'", 1)
    publish(hub, "B", 0.5)
    found = client.get("/api/v1/submissions").json()["submissions"]
    assert [(one["system"], one["state"], one["error"]) for one in found] == [
        ("B", "published", None),
        ("A", "failed", HIDDEN_CAUSE),
    ]


def test_a_queue_whose_worker_died_is_not_served(hub, client):
    send(client)
    hub.store.claim("w", operations.LATE_S / 1e6)
    hub.store._db._clock = lambda: time.time() + 2 * operations.LATE_S
    ready = client.get("/api/v1/readyz").json()
    assert (ready["waiting"], ready["running"], ready["is_queue_served"]) == (1, 0, False)


# -- operations ------------------------------------------------------------------------------------------------------------------


def test_health_tells_what_waits(hub, client):
    send(client)
    health, ready = client.get("/api/v1/healthz").json(), client.get("/api/v1/readyz").json()
    assert (health["status"], health["unfinished_submissions"]) == ("ok", 1)
    assert (ready["waiting"], ready["running"], ready["is_queue_served"]) == (1, 0, True)


def test_metrics_count_requests_by_route(hub, client):
    send(client)
    client.get("/api/v1/leaderboard/open")
    client.get("/api/v1/leaderboard/nope")
    client.get("/nowhere")
    text = client.get("/api/v1/metrics").text
    for line in (
        'uac_submissions{state="queued"} 1',
        "uac_queue_jobs 1",
        'uac_http_requests_total{method="GET",route="/api/v1/leaderboard/{benchmark_id}",status="200"} 1',
        'uac_http_requests_total{method="GET",route="/api/v1/leaderboard/{benchmark_id}",status="404"} 1',
        'uac_http_requests_total{method="POST",route="/api/v1/submissions",status="202"} 1',
        'uac_http_request_seconds_count{route="/api/v1/leaderboard/{benchmark_id}"} 2',
    ):
        assert line in text.splitlines()
    assert "nowhere" not in text


def test_numbers_of_papers_are_listed_with_their_flags(client):
    rows = client.get("/api/v1/reported-results?consistency=mismatch").json()
    assert rows and all(row["consistency"] == "mismatch" and row["flags"] for row in rows)


# -- errors ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["leaderboard/nope", "submissions/nope", "benchmarks/nope", "submissions/nope/events"])
def test_unknown_names_are_404_with_the_reason(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown")
    assert "'nope'" in answer.json()["message"]


def test_unknown_routes_and_methods_are_answered_in_the_same_shape(client):
    assert client.get("/api/v1/nope").json()["error"] == "unknown"
    answer = client.delete("/api/v1/benchmarks")
    assert (answer.status_code, answer.headers["allow"], answer.json()["error"]) == (405, "GET", "method")


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (UnknownNameError("benchmark", "x", ()), 404, {}),
        (InputError("wrong.", [Problem("E_X", "bad", line=3)], 900), 422, {}),
        (RightsError("somebody else's"), 403, {}),
        (LimitError("too many", 12.2), 429, {"retry-after": "13"}),
        (UnavailableError("unable to open /secret/hub.db"), 503, {"retry-after": "5"}),
        (StorageError("/secret/files", OSError(28, "No space left"), "x"), 507, {}),
        (StateError("1", "queued", "x"), 409, {}),
        (RuntimeError("/secret/reference text"), 500, {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_has_its_status_and_names_no_folder(error, status, headers):
    answer = error_answer(error)
    body = json.loads(bytes(answer.body))
    assert answer.status_code == status and set(body) == {"error", "message", "problems", "n_problems"}
    assert headers.items() <= dict(answer.headers).items()
    assert "secret" not in bytes(answer.body).decode()


def test_problems_are_listed_with_their_total():
    body = json.loads(bytes(error_answer(InputError("wrong.", [Problem("E_X", "bad", line=3)], 900)).body))
    assert (body["message"], body["n_problems"], body["problems"][0]["line"]) == ("wrong.", 900, 3)


def test_a_mistake_of_ours_is_a_number_and_nothing_else(hub, client, monkeypatch, caplog):
    def break_down(*_: object) -> None:
        raise RuntimeError(" ".join(("words", "of", "a", "reference")))

    monkeypatch.setattr(hub.store, "n_unfinished", break_down)
    answer = client.get("/api/v1/healthz")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    number = answer.json()["message"].rpartition("number ")[2].rstrip(".")
    assert number in caplog.text and "break_down" in caplog.text
    assert "words of a reference" not in answer.text + caplog.text


def test_a_full_disk_and_a_silent_database_are_told_with_their_status(hub, client, monkeypatch):
    def is_full(*_: object, **__: object) -> None:
        raise StorageError(hub.store.files.folder, OSError(28, "No space left on device"), "Nothing was kept.")

    def is_locked(*_: object, **__: object) -> None:
        raise UnavailableError("the hub's database does not answer (database is locked)")

    monkeypatch.setattr(hub.store, "receive", is_full)
    assert send(client).status_code == 507
    monkeypatch.setattr(hub.store, "receive", is_locked)
    answer = send(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_disk_that_is_full_while_a_file_comes_in_is_told(client, monkeypatch):
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", write)
    answer = send(client)
    assert (answer.status_code, answer.json()["error"]) == (507, "storage")


def test_who_is_not_signed_in_may_read_and_check(tmp_path, tokens):
    client = client_of(make_hub(tmp_path, sign_in="hub"), "https://hub.example.org")
    files = {"file": ("mine.jsonl", predictions())}
    assert client.get("/api/v1/leaderboard/open").status_code == 200
    assert client.post("/api/v1/validate", files=files, data={"benchmark": "open"}).json()["is_valid"]
    answer = send(client)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert send(client, **bearer("hf_anna")).status_code == 202


def test_the_body_is_gzip_once_only(hub, client):
    publish(hub, "A" * 200, 0.5)
    with client.stream("GET", "/api/v1/leaderboard/open", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert json.loads(gzip.decompress(raw))["n_rows"] == 1


def test_the_schema_names_every_error_and_who_has_to_sign_in(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    routes = {(method, path): about for path, methods in paths.items() for method, about in methods.items()}
    assert len(routes) == 26
    for (method, path), about in routes.items():
        statuses = set(about["responses"])
        assert {"400", "403", "404", "429", "500", "503"} <= statuses, path
        is_open = (method == "get" and "admin" not in path and "errors.csv" not in path) or path == "/api/v1/validate"
        assert ("security" in about) is ("401" in statuses) is not is_open, path
        shapes = {
            one["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
            for status, one in about["responses"].items()
            if int(status) >= 400
        }
        assert shapes <= {"ErrorAnswer", "RejectedAnswer"}, path


def test_problems_name_no_folder_of_the_machine():
    problem = Problem("E_X", "/srv/hub/data/x.parquet is cut", hint="rm /srv/hub/data/x.parquet")
    body = json.loads(bytes(error_answer(InputError("/srv/hub is bad.", [problem]), (Path("/srv/hub"),)).body))
    told = (body["message"], body["problems"][0]["message"], body["problems"][0]["hint"])
    assert told == ("the hub is bad.", "data/x.parquet is cut", "rm data/x.parquet")
