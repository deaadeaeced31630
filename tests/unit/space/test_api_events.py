import json
import threading
import time

import httpx2
import pytest
from unified_audiocaps.space.api import events

from .served import client_of, make_hub, predictions, publish, running, score, send


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path)


@pytest.fixture
def client(hub):
    return client_of(hub)


def told(text: str) -> list[tuple[int, str]]:
    """Returns number and kind of streamed events."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            assert json.loads(lines["data"])["number"] == int(lines["id"])
            found.append((int(lines["id"]), lines["event"]))
    return found


@pytest.mark.parametrize("by", ["query", "accept"])
def test_events_of_a_submission_are_streamed_until_it_is_done(hub, client, by):
    where = send(client).headers["location"]
    thread = threading.Thread(target=lambda: (time.sleep(0.8), score(hub)))
    thread.start()
    ask = {"params": {"stream": "true"}} if by == "query" else {"headers": {"Accept": "text/event-stream"}}
    answer = client.get(f"{where}/events", **ask)
    thread.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [kind for _, kind in told(answer.text)] == ["received", "queued", "scoring", "published"]
    listed = client.get(f"{where}/events").json()["events"]
    assert [(one["number"], one["kind"]) for one in listed] == told(answer.text)


def test_a_stream_goes_on_where_it_was_cut(client):
    where = send(client, b"{").json()["submission"]["id"]
    whole = told(client.get(f"/api/v1/submissions/{where}/events?stream=true").text)
    assert [kind for _, kind in whole] == ["received", "rejected"]
    headers = {"Last-Event-ID": str(whole[0][0])}
    rest = client.get(f"/api/v1/submissions/{where}/events?stream=true&after=0", headers=headers)
    assert told(rest.text) == whole[1:]


def test_a_stream_of_an_unknown_submission_is_404(client):
    assert client.get("/api/v1/submissions/nope/events?stream=true").status_code == 404


def test_events_of_the_hub_come_in_pages(hub, client):
    for number in range(4):
        send(client, predictions(text=f"{number} {{}}"), system=f"S{number}")
    newest = client.get("/api/v1/events?limit=3").json()["events"]
    assert [one["number"] for one in newest] == [8, 9, 10]
    read, after = [], 0
    while page := client.get("/api/v1/events", params={"after": after, "limit": 4}).json()["events"]:
        read += page
        after = page[-1]["number"]
    assert [one["number"] for one in read] == list(range(1, 11))


def test_a_stream_with_nothing_to_tell_stays_alive(hub, client, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr(events, "POLL_S", 0.1)
    where = send(client).headers["location"]
    threading.Timer(1.0, score, [hub]).start()
    text = client.get(f"{where}/events?stream=true").text
    assert text.count(": still here\n\n") >= 2
    assert told(text)[-1][1] == "published"


def test_the_whole_hub_is_streamed_until_the_reader_goes(hub, monkeypatch):
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    with running(hub) as url:
        for _ in range(3):  # with one place only, each finds that the one before was given back
            before = hub.store.n_events()
            with httpx2.stream("GET", f"{url}/api/v1/events?stream=true", timeout=20) as answer:
                assert answer.status_code == 200, answer.read()
                publish(hub, f"S{before}", 0.5)
                text = ""
                for chunk in answer.iter_text():
                    text += chunk
                    if "event: published" in text:
                        break
            assert [number for number, _ in told(text)] == list(range(before + 1, before + 5))
            time.sleep(0.5)


@pytest.mark.parametrize("limit", ["MAX_STREAMS", "MAX_STREAMS_EACH"])
def test_the_number_of_streams_is_bounded(client, monkeypatch, limit):
    monkeypatch.setattr(events, limit, 0)
    where = send(client).headers["location"]
    answer = client.get(f"{where}/events?stream=true")
    assert (answer.status_code, answer.json()["error"]) == (429, "limit")


def test_an_open_stream_does_not_keep_a_server_from_ending(hub):
    with running(hub) as url:
        stream = httpx2.stream("GET", f"{url}/api/v1/events?stream=true", timeout=30)
        assert stream.__enter__().status_code == 200
        begun = time.monotonic()
    assert time.monotonic() - begun < 8
    stream.__exit__(None, None, None)
