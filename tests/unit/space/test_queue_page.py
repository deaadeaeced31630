import re

import pytest
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages import queue_page

from .pages_served import EVIL, Visitor, settings_of_site, text_of
from .served import make_hub, publish
from .test_submission_page import sent


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, **settings_of_site())


def systems(page: str) -> list[str]:
    table = page.partition('<table id="queue">')[2].partition("</table>")[0]
    return re.findall(r'href="/systems/([^"]+)"', table)


def test_the_newest_come_first_with_their_states_and_places(hub):
    publish(hub, "First", 0.5)
    sent(hub, system="Second")
    sent(hub, system="Third")
    page = Visitor(hub).get("/queue")
    assert systems(page) == ["Third", "Second", "First"]
    shown = text_of(page)
    assert "waits for a worker 1 before it" in shown and "waits for a worker 0 before it" in shown and "on the board" in shown
    assert "0 are being scored, 2 wait; the oldest for" in shown
    hub.store.claim("worker", 60)
    assert "1 is being scored, 1 waits" in text_of(Visitor(hub).get("/queue"))


def test_filters_are_part_of_the_address(hub):
    publish(hub, "Done", 0.5)
    publish(hub, "Closed", 0.5, benchmark="closed")
    sent(hub, system="Waiting")
    visitor = Visitor(hub)
    for query, found in (
        ("state=published", ["Closed", "Done"]),
        ("state=unfinished", ["Waiting"]),
        ("benchmark=closed", ["Closed"]),
        ("benchmark=open&state=queued", ["Waiting"]),
        ("benchmark=nope&state=nope&page=nope", ["Waiting", "Closed", "Done"]),
    ):
        assert systems(visitor.get(f"/queue?{query}")) == found, query
    assert "There is none like that" in text_of(visitor.get("/queue?state=failed"))


def test_pages_follow_each_other_without_gaps(hub, monkeypatch):
    monkeypatch.setattr(queue_page, "ROWS", 2)
    for n in range(5):
        publish(hub, f"S{n}", 0.5)
    visitor, seen, address = Visitor(hub), [], "/queue?state=published"
    while address:
        page = visitor.get(address)
        seen += systems(page)
        older = re.search(r'href="([^"]+)">Older', page)
        address = older.group(1).replace("&amp;", "&") if older else ""
        assert not address or "state=published" in address
    assert seen == ["S4", "S3", "S2", "S1", "S0"]


def test_a_queue_that_nobody_serves_is_told_as_readyz_tells_it(hub, monkeypatch):
    sent(hub)
    visitor = Visitor(hub)
    assert "No worker takes anything" not in text_of(visitor.get("/queue"))
    monkeypatch.setattr(hub.store, "queue", lambda: (1, 0, 7_500.0))
    shown = text_of(visitor.get("/queue"))
    assert "No worker takes anything" in shown and "the oldest for 2 h 5 min" in shown
    assert visitor.client.get("/api/v1/readyz").json()["is_queue_served"] is False


def test_names_stay_text_and_reasons_of_rejections_are_not_told(hub):
    publish(hub, System(EVIL), 0.5)
    sent(hub, b'{"id": "secret id", "caption": "x"}')
    page = Visitor(hub).get("/queue")
    assert EVIL not in page and "secret id" not in page


def test_an_empty_hub_says_how_to_begin(hub):
    assert "Nobody has sent anything yet" in text_of(Visitor(hub).get("/queue"))
    assert "Nothing waits" in text_of(Visitor(hub).get("/queue"))
