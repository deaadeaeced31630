import re

import pytest
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages.submission import WORDS, told

from .pages_served import EVIL, Visitor, settings_of_site, text_of
from .served import IDS, SENTINEL, make_hub, predictions, publish, score


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, **settings_of_site())


def sent(hub, content: bytes = b"", benchmark: str = "open", system: str | System = "A", account: str = "anna") -> str:
    """Sends a file as somebody does and returns the submission's id."""
    from unified_audiocaps.leaderboard.hub import Actor

    path = hub.store.files.folder.parent / "sent.jsonl"
    path.write_bytes(content or predictions())
    return hub.submit(path, benchmark, system, actor=Actor(account))[0].id


def steps(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<li class="(done|now|bad|)"[^>]*>([^<]+)</li>', page)


def test_every_state_has_words():
    from unified_audiocaps.leaderboard.submission import STATES

    assert set(WORDS) == set(STATES)


def test_the_way_of_a_submission_is_told_step_by_step(hub):
    anna, first = Visitor(hub, "anna"), sent(hub)
    second = sent(hub, predictions(text="another {}"), system="B")
    page = anna.get(f"/submissions/{second}")
    assert steps(page) == [("done", "Received"), ("now", "Waits for a worker"), ("", "Being scored"), ("", "On the board")]
    assert "1 other waits before it" in text_of(page) and "data-again" in page
    assert "It is the next one" in text_of(anna.get(f"/submissions/{first}"))

    job = hub.store.claim("worker of machine-7", 60)
    assert job is not None and hub.store.renew(job, 60, 1)
    page = anna.get(f"/submissions/{first}")
    assert steps(page)[2] == ("now", "Being scored")
    assert "1 of 2 steps of scoring are done" in text_of(page) and 'value="50"' in page
    assert "machine-7" not in page

    assert hub.store.finish(job, hub.score(job))
    page = anna.get(f"/submissions/{first}")
    assert steps(page) == [("done", one) for one in ("Received", "Checked", "Being scored", "On the board")]
    shown = text_of(page)
    for words in ("The file was received", "it waits for a worker", "A worker began to score it", "Published"):
        assert words in shown
    assert shown.index("The file was received") < shown.index("Published")


def test_what_was_measured_is_shown_with_intervals_and_signatures(hub):
    id_ = sent(hub)
    score(hub)
    page = Visitor(hub).get(f"/submissions/{id_}")
    shown, rows = text_of(page), hub.store.results([id_])[id_]
    for row in rows:
        if row.name == row.metric:
            assert f"{100 * row.value:.2f}" in shown and row.digest in shown
            assert row.low is not None and f"{100 * row.low:.2f}–{100 * row.high:.2f}" in shown
    assert shown.index("ROUGE-L") < shown.index("BLEU-4")  # what ranks stands first
    for path in (f"/samples?benchmark=open&amp;systems={id_}", f"/api/v1/submissions/{id_}/samples.parquet", "/systems/A"):
        assert path in page


def test_header_values_of_a_file_are_shown_as_text(hub):
    id_ = sent(hub, b'{"uac": {"commit": "abc123", "prompt": "<b>say</b>", "beams": 4}}\n' + predictions())
    page = Visitor(hub).get(f"/submissions/{id_}")
    assert "abc123" in page and "&lt;b&gt;say&lt;/b&gt;" in page and "<b>say</b>" not in page
    assert "beams" in text_of(page)


@pytest.mark.parametrize(("who", "sees"), [("nobody", False), ("berta", False), ("anna", True), ("chief", True)])
def test_what_is_wrong_with_a_rejected_file_is_told_to_its_owner(hub, who, sees):
    id_ = sent(hub, b'{"id": "rain", "caption": "secret words"}\n{"id": "secret id", "caption": "x"}')
    page = Visitor(hub, who).get(f"/submissions/{id_}")
    assert ("rejected", True) == (hub.store.get(id_).state, "The file has problems" in text_of(page))
    assert ("E_UNKNOWN_ID" in page and "secret id" in page and "errors.csv" in page) is sees
    assert sees or "secret" not in page
    assert ("bad", "Rejected") in steps(page)


def test_a_failure_says_whose_fault_it_is(hub):
    id_ = sent(hub)
    job = hub.store.claim("worker", 60)
    hub.store.fail(job, "ValueError: in /home/somebody/x.py", 1)
    page = Visitor(hub).get(f"/submissions/{id_}")
    assert "that is our fault" in text_of(page) and "/home/somebody" not in page and "x.py" in page


def test_scores_of_private_references_are_rounded_and_nothing_is_linked_that_would_show_them(hub):
    id_ = sent(hub, benchmark="closed")
    score(hub)
    for who in ("nobody", "anna", "chief"):
        page = Visitor(hub, who).get(f"/submissions/{id_}")
        assert SENTINEL not in page and "samples.parquet" not in page and "/samples?" not in page
        assert all(value.endswith("0") for value in re.findall(r'<td class="n">(\d+\.\d\d)</td>', page))
    assert re.findall(r'<td class="n">(\d+\.\d\d)</td>', page)


def test_failures_of_private_benchmarks_tell_nothing(hub):
    id_ = sent(hub, benchmark="closed")
    hub.store.fail(hub.store.claim("worker", 60), f"cannot read {SENTINEL}", 1)
    assert SENTINEL not in Visitor(hub, "anna").get(f"/submissions/{id_}")


@pytest.mark.parametrize("step", ["withdraw", "hide", "requeue"])
@pytest.mark.parametrize("who", ["nobody", "berta", "anna", "chief"])
def test_who_may_do_what(hub, step, who):
    id_ = publish(hub, "A", 0.5, account="anna")
    allowed = who == "chief" or (who == "anna" and step == "withdraw")
    visitor = Visitor(hub, who)
    assert (f'action="/submissions/{id_}/{step}"' in visitor.get(f"/submissions/{id_}")) is allowed
    status = 303 if allowed else 401 if who == "nobody" else 403
    answer = visitor.post(f"/submissions/{id_}/{step}", status, reason="because")
    expected = {"withdraw": "withdrawn", "hide": "hidden", "requeue": "published"}[step] if allowed else "published"
    assert hub.store.get(id_).state == expected
    assert not allowed or answer.headers["location"] == f"/submissions/{id_}"
    if step == "requeue":
        assert (hub.store.n_ahead(id_) is not None) is allowed


@pytest.mark.parametrize("step", ["withdraw", "hide", "requeue"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}], ids=str
)
def test_another_site_changes_nothing_for_somebody_who_is_signed_in(hub, step, headers):
    id_ = publish(hub, "A", 0.5, account="anna")
    Visitor(hub, "chief").post(f"/submissions/{id_}/{step}", 403, headers, reason="x")
    assert (hub.store.get(id_).state, hub.store.n_ahead(id_)) == ("published", None)


def test_a_reason_is_needed_and_shown_as_text(hub):
    id_, chief = publish(hub, "A", 0.5, account="anna"), Visitor(hub, "chief")
    chief.post(f"/submissions/{id_}/hide", 422, reason="  ")
    assert hub.store.get(id_).state == "published"
    chief.post(f"/submissions/{id_}/hide", 303, reason=EVIL)
    page = Visitor(hub).get(f"/submissions/{id_}")
    assert EVIL not in page and "&lt;img" in page and "Taken off the board by an admin" in text_of(page)


def test_scores_of_what_was_taken_back_are_its_owner_s(hub):
    id_ = sent(hub)
    score(hub)
    Visitor(hub, "anna").post(f"/submissions/{id_}/withdraw", 303)
    assert "What was measured" in Visitor(hub, "anna").get(f"/submissions/{id_}")
    assert "What was measured" not in Visitor(hub, "berta").get(f"/submissions/{id_}")
    Visitor(hub, "anna").post(f"/submissions/{id_}/withdraw", 409)


def test_a_newer_submission_is_linked_from_the_one_that_it_replaced(hub):
    old = sent(hub)
    new = sent(hub, predictions(text="a better {}"))
    score(hub)
    page = Visitor(hub).get(f"/submissions/{old}")
    assert f'href="/submissions/{new}"' in page and "replaced by a newer one" in text_of(page)


def test_an_unknown_submission_is_not_found(hub):
    Visitor(hub).get("/submissions/nope", 404)
    Visitor(hub, "chief").post("/submissions/nope/withdraw", 404)


def test_a_form_that_holds_too_much_is_refused(hub):
    id_ = publish(hub, "A", 0.5)
    Visitor(hub, "chief").post(f"/submissions/{id_}/hide", 422, reason="x" * 20_000)
    assert hub.store.get(id_).state == "published"


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("queued", {"warnings": []}, "The file is in order; it waits"),
        ("queued", {"warnings": ["W_A", "W_B"]}, "with remarks of 2 kinds"),
        ("queued", {"reason": "queued again"}, "Back in the queue: queued again"),
        ("queued", {"error": "no room", "code": "E"}, "will be tried again: no room"),
        ("received", {"reason": "sent again"}, "received once more"),
        ("scoring", {"attempt": 3}, "for the 3. time"),
        ("rescoring failed", {"error": "x"}, "the older scores stay"),
        ("something new", {}, "Something new"),
    ],
)
def test_events_are_told_in_words(kind, detail, words):
    assert words in told({"kind": kind, "detail": detail, "actor": "anna"})


def test_every_kind_of_event_is_known(hub):
    from .pages_served import PEOPLE

    id_ = sent(hub)
    score(hub)
    chief = Visitor(hub, PEOPLE[-1])
    for step in ("requeue", "hide", "requeue", "withdraw"):
        chief.post(f"/submissions/{id_}/{step}", 303, reason="x")
    for event in hub.store.events(id_):
        assert told(event) != event["kind"].capitalize()


def test_ids_of_the_benchmark_are_never_listed_in_a_stranger_s_page(hub):
    id_ = sent(hub, predictions(IDS[:1]), benchmark="closed")
    assert "wind" not in text_of(Visitor(hub).get(f"/submissions/{id_}"))
