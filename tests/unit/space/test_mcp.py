"""The hub's tools for programs, asked by the protocol's own client."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mcp import Client
from starlette.responses import PlainTextResponse
from unified_audiocaps.space.api import add_routes
from unified_audiocaps.space.mcp_server import CHEAP, MAX_BODY_BYTES, MAX_CAPTION_CHARACTERS, add_mcp

from .served import IDS, SENTINEL, bearer, make_hub, predictions, publish, running, score

TOOLS = {
    "list_benchmarks",
    "leaderboard",
    "system",
    "compare",
    "published_results",
    "submission",
    "sample_scores",
    "list_metrics",
    "score_caption",
}


def app_of(hub) -> FastAPI:
    """Returns the routes, the endpoint, and pages mounted behind them, as the application has them."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    add_routes(app, hub)
    add_mcp(app, hub)
    app.mount("/", PlainTextResponse("a page"))
    return app


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path)


@pytest.fixture
def url(hub) -> Iterator[str]:
    with running(hub, app_of(hub)) as address:
        yield f"{address}/mcp"


def call(url: str, tool: str, mode: str = "auto", **arguments):
    """Returns what a tool answers, as plain values."""

    async def ask():
        async with Client(url, mode=mode) as client:
            return await client.call_tool(tool, arguments)

    answer = asyncio.run(ask())
    assert not answer.is_error, answer.content[0].text
    assert json.loads(answer.content[0].text) == answer.structured_content
    return answer.structured_content


def refusal(url: str, tool: str, **arguments) -> str:
    """Returns why a tool refuses."""

    async def ask():
        async with Client(url) as client:
            return await client.call_tool(tool, arguments)

    answer = asyncio.run(ask())
    assert answer.is_error
    return answer.content[0].text


def submitted(hub, tmp_path, system: str, benchmark: str = "open", text: str = "{} and a something") -> str:
    file = tmp_path / f"{system}.jsonl"
    file.write_bytes(predictions(text=text))
    found, _, _ = hub.submit(file, benchmark, system)
    assert score(hub) == 1
    return found.id


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_learns_which_tools_there_are_and_that_they_only_read(url, mode):
    async def ask():
        async with Client(url, mode=mode) as client:
            return (await client.list_tools()).tools, client.instructions

    tools, instructions = asyncio.run(ask())
    assert {one.name for one in tools} == TOOLS
    assert all(one.annotations.read_only_hint and one.description for one in tools)
    assert "list_benchmarks" in instructions


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_boards_are_those_of_the_api(hub, url, mode):
    publish(hub, "A", 0.5)
    publish(hub, "B", 0.7)
    found = call(url, "leaderboard", mode, benchmark="open")
    told = TestClient(app_of(hub), base_url="http://localhost").get("/api/v1/leaderboard/open").json()
    told.pop("next")
    assert found == told
    assert [row["system"]["name"] for row in found["rows"]] == ["B", "A"]
    assert [row["system"]["name"] for row in call(url, "leaderboard", mode, benchmark="open", start=1, limit=1)["rows"]] == ["A"]


def test_what_is_told_of_systems_submissions_and_clips(hub, url, tmp_path):
    good, bad = submitted(hub, tmp_path, "good"), submitted(hub, tmp_path, "bad", text="{}")
    assert {"open", "closed", "sample"} <= {one["id"] for one in call(url, "list_benchmarks")["benchmarks"]}
    assert [one["id"] for one in call(url, "system", name="good")["submissions"]] == [good]
    about = call(url, "submission", submission_id=bad)
    assert (about["state"], about["events"][-1]["kind"]) == ("published", "published")
    compared = call(url, "compare", benchmark="open", first="good", second=bad)
    assert compared["difference"] > 0 and compared["p_value"] is not None
    worst = call(url, "sample_scores", benchmark="open", entry="bad", limit=2)
    assert (worst["metric"], worst["n_rows"], len(worst["rows"])) == ("rouge_l", 4, 2)
    assert worst["rows"][0]["references"] == [f"{worst['rows'][0]['id']} and a something"]
    best = call(url, "sample_scores", benchmark="open", entry="good", metric="bleu", is_ascending=False)
    assert [row["id"] for row in best["rows"]] == sorted(IDS)
    assert best["rows"][0]["bleu"] == pytest.approx(1.0)


def test_papers_numbers_are_found_by_system_and_benchmark(url):
    some = call(url, "published_results", system="enclap", limit=3)
    assert some["n_results"] >= len(some["results"]) > 0
    assert all("enclap" in one["system"].lower() for one in some["results"])
    assert call(url, "published_results", benchmark="nowhere") == {"n_results": 0, "results": []}


def test_a_caption_is_scored_with_signatures(url):
    found = call(url, "score_caption", caption="a dog barks", references=["a dog barks", "rain"], metrics=["rouge_l"])
    assert found["scores"]["rouge_l"]["score"] == 1.0
    assert "metric:rouge_l" in found["scores"]["rouge_l"]["signature"]
    assert call(url, "score_caption", caption="a dog", references=["a cat"])["scores"].keys() == set(CHEAP)
    assert set(CHEAP) <= {one["name"] for one in call(url, "list_metrics")["metrics"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("leaderboard", {"benchmark": "opne"}, "Did you mean open"),
        ("leaderboard", {"benchmark": "open", "limit": 101}, "less than or equal to 100"),
        ("leaderboard", {"benchmark": "open", "start": -1}, "greater than or equal to 0"),
        ("compare", {"benchmark": "open", "first": "A", "second": "B"}, "no system on this board"),
        ("submission", {"submission_id": "nope"}, "nope"),
        ("system", {"name": "nope"}, "nope"),
        ("score_caption", {"caption": "a", "references": ["b"], "metrics": ["date"]}, "date needs a model or a whole set"),
        ("score_caption", {"caption": "a", "references": ["b"], "metrics": ["rouge"]}, "Did you mean rouge_l"),
        ("score_caption", {"caption": "a", "references": []}, "at least 1"),
        ("score_caption", {"caption": "a" * (MAX_CAPTION_CHARACTERS + 1), "references": ["b"]}, "at most 1000"),
        ("score_caption", {"caption": "a", "references": ["b"] * 21}, "at most 20"),
        ("withdraw", {"submission_id": "x"}, "nknown tool"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(url, tool, arguments, told):
    assert told in refusal(url, tool, **arguments)


def test_private_references_are_in_no_answer_and_no_log(hub, url, tmp_path, caplog):
    caplog.set_level(0)
    id_ = submitted(hub, tmp_path, "S", "closed")
    texts = [refusal(url, "sample_scores", benchmark="closed", entry="S")]
    assert "the references of closed are private" in texts[0]
    for tool, arguments in {
        "leaderboard": {"benchmark": "closed"},
        "submission": {"submission_id": id_},
        "system": {"name": "S"},
        "compare": {"benchmark": "closed", "first": "S", "second": "S"},
        "list_benchmarks": {},
    }.items():
        texts.append(json.dumps(call(url, tool, **arguments)))
    assert SENTINEL not in "".join(texts)
    logged = "".join(one.getMessage() for one in caplog.records if not one.name.startswith(("httpcore", "httpx")))
    assert SENTINEL not in logged


def test_clips_of_what_was_taken_off_a_board_are_not_told(hub, url, tmp_path):
    id_ = submitted(hub, tmp_path, "S")
    hub.store.withdraw(id_, "local")
    assert "no system on this board" in refusal(url, "sample_scores", benchmark="open", entry=id_)


def test_a_mistake_of_ours_is_told_by_its_number_alone(hub, url, monkeypatch, caplog):
    def broken(*_, **__):
        raise ValueError(f"cannot tokenise 'a {SENTINEL}'")

    monkeypatch.setattr(hub, "board", broken)
    told = refusal(url, "leaderboard", benchmark="open")
    assert "the hub made a mistake" in told
    assert SENTINEL not in told + caplog.text
    assert "ended with ValueError" in caplog.text


# -- the way in ------------------------------------------------------------------------------------------------------------------

LISTING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def ask(client: TestClient, **headers) -> int:
    return client.post("/mcp", json=LISTING, headers={**HEADERS, **headers}).status_code


@pytest.mark.parametrize("is_entered", [False, True], ids=["without lifespan", "with lifespan"])
def test_it_answers_a_test_client_with_and_without_lifespan_and_before_the_mount(hub, is_entered):
    client = TestClient(app_of(hub), base_url="http://localhost")
    for _ in range(2 if is_entered else 1):
        if is_entered:
            client.__enter__()
        answer = client.post("/mcp", json=LISTING, headers=HEADERS)
        assert {one["name"] for one in answer.json()["result"]["tools"]} == TOOLS
        if is_entered:
            client.__exit__(None, None, None)
    assert client.get("/").text == "a page"


def test_nothing_but_questions_is_answered(hub):
    client = TestClient(app_of(hub), base_url="http://localhost")
    answers = [client.request(method, "/mcp", headers=HEADERS) for method in ("GET", "DELETE", "PUT")]
    assert [one.status_code for one in answers] == [405] * 3
    assert answers[0].headers["allow"] == "POST"


def test_a_body_is_bounded(hub):
    client = TestClient(app_of(hub), base_url="http://localhost")
    assert (
        client.post(
            "/mcp", content=b" " * (MAX_BODY_BYTES + 1), headers={**HEADERS, "Content-Type": "application/json"}
        ).status_code
        == 413
    )


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("http://localhost", {}, 200),
        ("http://hub.lan", {}, 200),
        ("http://evil.example", {}, 403),
        ("http://localhost", {"Origin": "http://evil.example"}, 403),
        ("http://localhost", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("http://localhost", {"Origin": "http://localhost"}, 200),
    ],
)
def test_other_sites_and_names_pointed_at_this_machine_are_refused(tmp_path, host, headers, status):
    hub = make_hub(tmp_path, hosts="hub.lan")
    assert ask(TestClient(app_of(hub), base_url=host), **headers) == status


def test_nobody_has_to_sign_in_to_read(tmp_path, tokens):
    hub = make_hub(tmp_path, sign_in="hub")
    client = TestClient(app_of(hub), base_url="https://hub.example.org")
    assert [ask(client), ask(client, **bearer("hf_anna"))] == [200, 200]
    assert tokens.asked == ["hf_anna"]  # whose budget it is


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path):
    hub = make_hub(tmp_path, requests_per_minute=3, sign_in="hub")
    client = TestClient(app_of(hub), base_url="https://hub.example.org")
    assert [ask(client) for _ in range(4)] == [200, 200, 200, 429]
    assert int(client.post("/mcp", json=LISTING, headers=HEADERS).headers["retry-after"]) > 0
    assert client.get("/api/v1/benchmarks").status_code == 429  # one budget for routes and tools


def test_requests_at_once_do_not_disturb_each_other(url):
    async def all_at_once():
        async with Client(url) as client:
            asked = [client.call_tool("score_caption", {"caption": f"a dog {n}", "references": ["a dog"]}) for n in range(20)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(all_at_once())
    assert [one.structured_content["caption"] for one in answers] == [f"a dog {n}" for n in range(20)]


def test_making_it_leaves_the_logging_of_the_process_alone(hub, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.root.level
    app_of(hub)
    assert (logging.root.handlers, logging.root.level) == ([], level)
