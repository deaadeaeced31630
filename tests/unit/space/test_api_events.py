import json
import threading
import time

import pytest

from .served import client_of, make_hub, predictions, score, send


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


def test_the_number_of_streams_is_bounded(hub, client, monkeypatch):
    monkeypatch.setattr("unified_audiocaps.space.api.events.MAX_STREAMS", 0)
    where = send(client).headers["location"]
    answer = client.get(f"{where}/events?stream=true")
    assert (answer.status_code, answer.json()["error"]) == (429, "limit")
