import pytest
from unified_audiocaps.leaderboard.boards.contamination import Evidence
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages.system import evidence_in_words

from ...small_hub import scored_examples
from .pages_served import EVIL, SITE, Visitor, settings_of_site, text_of
from .served import SENTINEL, make_hub, publish


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, **settings_of_site())


def test_a_system_s_page_tells_what_its_owner_says_and_how_it_does(hub):
    about = System(
        "My system",
        "A lab",
        "lab/model",
        240_000_000,
        True,
        "MIT",
        "https://example.org/paper",
        "https://example.org/code",
        ("none",),
        "What it is.",
    )
    publish(hub, "Better", 0.7)
    id_ = publish(hub, about, 0.5, account="anna")
    page = Visitor(hub).get("/systems/My%20system")
    shown = text_of(page)
    for words in ("A lab", "anna", "240,000,000", "open, licence: MIT", "What it is.", "ROUGE-L 50.00"):
        assert words in shown
    for address in ("https://huggingface.co/lab/model", "https://example.org/paper", "https://example.org/code"):
        assert f'href="{address}" rel="nofollow noopener"' in page
    assert f"/submissions/{id_}" in page and 'href="/?benchmark=open"' in page
    badge = f"[![Open]({SITE}/api/v1/badge/open/My%20system.svg)]({SITE}/?benchmark=open)"
    assert f'data-copy="{badge}"' in page
    for link in ("/api/v1/badge/open/My%20system.svg", "/api/v1/eval-results/open/My%20system.yaml"):
        assert link in page
        assert Visitor(hub).client.get(link).status_code == 200
    assert "/api/v1/leaderboard/open?format=bibtex" in page


def test_the_address_of_the_hub_stands_in_the_badge_where_it_is_set(tmp_path):
    hub = make_hub(tmp_path, **settings_of_site(), address="lab-board.hf.space")
    publish(hub, "A", 0.5)
    assert "(https://lab-board.hf.space/api/v1/badge/open/A.svg)" in Visitor(hub).get("/systems/A")


def test_what_was_not_said_is_called_so(hub):
    publish(hub, "A", 0.5)
    shown = text_of(Visitor(hub).get("/systems/A"))
    assert shown.count("not said") >= 5


def test_a_system_that_is_on_no_board_says_so(hub):
    id_ = publish(hub, "A", 0.5)
    hub.store.withdraw(id_, "local")
    shown = text_of(Visitor(hub).get("/systems/A"))
    assert "None of its submissions is on a board" in shown and "taken back" in shown


def test_an_unknown_system_is_not_found_and_like_names_are_told(hub):
    publish(hub, "My system", 0.5)
    assert "My system" in Visitor(hub).get("/systems/my", 404)


@pytest.mark.parametrize("name", ["a/b", "a?b=c", "100 %", "ä ö", 'x"y', EVIL, "{{7*7}}", "[a](b)"])
def test_any_name_has_a_page_and_stays_text(hub, name):
    publish(hub, System(name, organisation=EVIL, description=EVIL, license_text=EVIL, training_data=("other: " + EVIL,)), 0.5)
    visitor = Visitor(hub)
    listed = visitor.get("/systems")
    address = listed.partition('<th scope="row"><a href="')[2].partition('"')[0]
    page = visitor.get(address)
    assert EVIL not in page + listed and ">49<" not in page


def test_overlap_is_looked_up_behind_the_page_and_told_with_evidence(tmp_path):
    with scored_examples(tmp_path, {"attentive-listener": ("sample/train",), "tag-template": ()}) as hub:
        client = Visitor(hub).client

        def page(name: str) -> str:
            answer = client.get(f"/systems/{name}", headers={"Host": "localhost"})
            assert answer.status_code == 200
            return answer.text

        first = page("attentive-listener")
        assert "being compared with the test clips" in text_of(first) and "data-again" in first
        hub.overlaps.wait(30)
        shown = text_of(page("attentive-listener"))
        assert "train split" in shown and "sample/train" in shown and "12 rows were looked at" in shown
        assert "data-again" not in page("attentive-listener")
        page("tag-template")
        hub.overlaps.wait(30)
        assert "overlap unknown" in text_of(page("tag-template"))


def test_which_clips_of_a_private_benchmark_were_trained_on_is_not_told(hub):
    publish(hub, System("A", training_data=("other: x",)), 0.5, benchmark="closed")
    Visitor(hub).get("/systems/A")
    hub.overlaps.wait(30)
    page = Visitor(hub).get("/systems/A")
    assert SENTINEL not in page and "The references are private; so is which clips these are" in text_of(page)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Evidence("clotho", unknown="it is not built here"), "Could not be looked at: it is not built here."),
        (Evidence("a", "a/train", 10, 2, {"segment": 1, "clip": 0, "recording": 3}), "1 test clip: the very seconds of sound"),
        (Evidence("a", "a/train", 10, 2), "10 rows were looked at, 2 of which name no clip. No test clip is in it."),
        (Evidence("a", "a/train", 10, 0, {"recording": 2}, untimed=1), "Of 1 of them no time is known"),
        (Evidence("a", "a/train", 10, is_same_dataset=True), "a training split of the benchmark's own dataset"),
        (Evidence("a", "a/train", 10, unknown="one file is missing"), "Not all could be looked at: one file is missing."),
    ],
)
def test_evidence_is_told_in_words(evidence, words):
    assert words in evidence_in_words(evidence)


def test_systems_are_found_by_words(hub):
    publish(hub, System("Alpha", "First lab"), 0.5, account="anna")
    publish(hub, System("Beta", "Second lab", training_data=("clotho",)), 0.6, account="berta")
    visitor = Visitor(hub)
    for search, found in (("", {"Alpha", "Beta"}), ("first LAB", {"Alpha"}), ("clotho", {"Beta"}), ("berta", {"Beta"})):
        page = visitor.get(f"/systems?search={search}")
        assert {name for name in ("Alpha", "Beta") if f'href="/systems/{name}"' in page} == found
    assert "No system is called so" in text_of(visitor.get("/systems?search=nothing"))


def test_a_hub_without_systems_says_how_to_begin(hub):
    assert "Nobody has sent anything yet" in text_of(Visitor(hub).get("/systems"))
