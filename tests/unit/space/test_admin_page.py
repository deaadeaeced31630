import re

import pytest
from unified_audiocaps.leaderboard.storage.records import ResultRow
from unified_audiocaps.space.pages import admin

from .pages_served import EVIL, Visitor, settings_of_site, text_of
from .served import SENTINEL, make_hub, predictions, publish, score
from .test_submission_page import sent

STEPS = ("hide", "requeue", "preview", "rescore", "verify", "mirror")


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, **settings_of_site())


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("berta", 403), ("anna", 403)])
def test_nobody_but_admins_sees_or_does_anything(hub, who, status):
    id_ = publish(hub, "A", 0.5, account="anna")
    visitor, before = Visitor(hub, who), hub.store.n_events()
    page = visitor.get("/admin", status)
    assert id_[-12:] not in page
    for step in STEPS:
        visitor.post(f"/admin/{step}", status, submission=id_, reason="x", benchmark="open")
    assert (hub.store.get(id_).state, hub.store.n_events()) == ("published", before)
    assert 'href="/admin"' not in visitor.get("/")


@pytest.mark.parametrize("step", STEPS)
def test_another_site_does_nothing_through_an_admin_s_browser(hub, step):
    id_ = publish(hub, "A", 0.5)
    before = hub.store.n_events()
    headers = {"Origin": "https://evil.example"}
    Visitor(hub, "chief").post(f"/admin/{step}", 403, headers, submission=id_, reason="x", benchmark="open")
    assert hub.store.n_events() == before


def test_an_admin_sees_how_the_hub_is(hub):
    publish(hub, "A", 0.5)
    sent(hub, system="B")
    page = Visitor(hub, "chief").get("/admin")
    shown = text_of(page)
    assert "on the board : 1" in shown and "waits for a worker : 1" in shown and "GiB" in shown
    assert "UAC_MIRROR=OWNER/NAME sets one" in shown
    assert 'href="/admin" aria-current="page"' in page


def test_hiding_and_queueing_again_by_number(hub):
    id_, chief = publish(hub, "A", 0.5), Visitor(hub, "chief")
    chief.post("/admin/hide", 422, submission=id_, reason="")
    assert chief.post("/admin/hide", submission=f" {id_} ", reason=EVIL).headers["location"] == f"/submissions/{id_}"
    assert hub.store.get(id_).state == "hidden"
    page = chief.get("/admin")
    assert EVIL not in page and "Taken off the board by an admin" in text_of(page)
    chief.post("/admin/requeue", submission=id_)
    assert hub.store.get(id_).state == "queued"
    chief.post("/admin/requeue", 404, submission="nope")
    chief.post("/admin/nope", 404)


def test_a_preview_shows_what_would_change_and_changes_nothing(hub):
    good, bad = sent(hub, system="Good"), sent(hub, predictions(text="{0}less and quite another thing"), system="Bad")
    for id_, value in ((good, 0.1), (bad, 0.9)):  # scored by an older recipe, which had it the other way round
        job = hub.store.claim("worker", 60)
        assert job is not None and job.submission_id == id_
        rows = [ResultRow(name, name, value, 4, f"metric:{name}", "00000000", 0.1, "0" * 64) for name in ("rouge_l", "bleu")]
        assert hub.store.finish(job, rows, "an older recipe")
    chief, before = Visitor(hub, "chief"), hub.store.n_events()
    page = chief.post("/admin/preview", 200, benchmark="open").text
    shown = text_of(page)
    assert "2 submissions are out of date; 2 systems move" in shown and "Nothing was changed yet" in shown
    rows = re.findall(r'<a href="/submissions/[^"]+">(\w+)</a></th><td class="n">(\d)</td><td class="n best">(\d)</td>', page)
    assert rows == [("Good", "2", "1"), ("Bad", "1", "2")]
    assert hub.store.n_events() == before and hub.store.n_unfinished() == 0
    assert "2 submissions wait now" in text_of(chief.post("/admin/rescore", 200, benchmark="open").text)
    assert score(hub) == 2
    assert "Nothing: all of it was scored by the present recipe" in text_of(
        chief.post("/admin/preview", 200, benchmark="open").text
    )
    assert "Nothing was out of date" in text_of(chief.post("/admin/rescore", 200, benchmark="open").text)


def test_the_log_is_verified_and_a_change_of_it_is_found(hub):
    publish(hub, "A", 0.5)
    chief = Visitor(hub, "chief")
    assert "All 6 events are as they were written" in text_of(chief.post("/admin/verify", 200).text)
    import sqlite3

    with sqlite3.connect(hub.store.database_path) as connection:
        connection.execute("UPDATE event SET actor = 'somebody' WHERE number = 3")
    shown = text_of(chief.post("/admin/verify", 200).text)
    assert "The log was altered" in shown and "event 3" in shown


def test_the_log_is_read_page_by_page(hub, monkeypatch):
    monkeypatch.setattr(admin, "EVENTS", 4)
    for n in range(3):
        publish(hub, f"S{n}", 0.5)
    chief, address, seen = Visitor(hub, "chief"), "/admin", []
    while address:
        page = chief.get(address)
        seen += [int(n) for n in re.findall(r'<tr><td class="n">(\d+)</td><td>20', page)]
        older = re.search(r'href="([^"]+)#log">Older', page)
        address = older.group(1) if older else ""
    assert seen == list(range(hub.store.n_events(), 0, -1))


def test_the_mirror_is_asked_how_far_it_is(tmp_path, double):
    hub = make_hub(tmp_path, **settings_of_site(), mirror="lab/board")
    chief = Visitor(hub, "chief")
    assert "lab/board" in chief.get("/admin")
    shown = text_of(chief.post("/admin/mirror", 200).text)
    assert f"lab/board holds 0 events, {hub.store.n_events()} are to be sent" in shown


def test_a_hub_without_a_mirror_says_how_to_have_one(hub):
    assert "There is no mirror" in text_of(Visitor(hub, "chief").post("/admin/mirror", 200).text)


def test_private_references_are_not_in_the_log(hub):
    sent(hub, benchmark="closed")
    hub.store.fail(hub.store.claim("worker", 60), f"cannot read {SENTINEL}", 1)
    assert SENTINEL not in Visitor(hub, "chief").get("/admin")
