"""The leaderboard page: what an address asks for, what it shows, and that names are nothing but names."""

import pytest
from starlette.datastructures import QueryParams
from unified_audiocaps.leaderboard.boards.overlap_report import Overlap
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages import board as module
from unified_audiocaps.space.pages.board import ROWS, Wanted, is_wanted, sorted_rows
from unified_audiocaps.space.pages.site import link

from .served import make_hub, publish
from .shown import pages_of, shown

EVIL = "<script>alert(1)</script>"
SYSTEMS = {
    "Ant": System("Ant", organisation="Ant Lab", parameters=10_000_000, open_weights=True, training_data=("wavcaps",)),
    "Bee": System("Bee", parameters=200_000_000, open_weights=False, training_data=("clotho/development", "none of ours")),
    "Cow": System("Cow"),
}
SCORES = {"Ant": 0.5, "Bee": 0.7, "Cow": 0.6}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = make_hub(tmp_path_factory.mktemp("board"))
    for name, system in SYSTEMS.items():
        publish(hub, system, SCORES[name])
    yield hub
    hub.store.close()


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


def names(page) -> list[str]:
    return [one.text for one in page.all("a") if one.attributes.get("href", "").startswith("/systems/")]


def test_the_best_stands_first_with_its_scores_and_facts(client):
    page = shown(client, "/?benchmark=open")
    assert names(page) == ["Bee", "Cow", "Ant"]
    assert "3 of 3 systems" in page.one("p", id="status").text
    (first,) = [one for one in page.all("tr") if "Bee" in one.text]
    assert first.text.startswith("1 Bee") and "70.00" in first.text and "200M" in first.text
    assert "overlap unknown" in first.text or "looking" in first.text
    assert page.one("option", value="open", selected="").text == "Open"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=ant", ["Ant"]),
        ("search=LAB+ant", ["Ant"]),
        ("search=clotho", ["Bee"]),
        ("search=nobody", []),
        ("weights=open", ["Ant"]),
        ("weights=closed", ["Bee"]),
        ("weights=unknown", ["Cow"]),
        ("low=50", ["Bee"]),
        ("high=50", ["Ant"]),
        ("low=1&high=500", ["Bee", "Ant"]),
        ("trained=wavcaps", ["Ant"]),
        ("provenance=self_reported", []),
        ("provenance=verified", ["Bee", "Cow", "Ant"]),
        ("sort=system", ["Ant", "Bee", "Cow"]),
        ("sort=-system", ["Cow", "Bee", "Ant"]),
        ("sort=rouge_l", ["Ant", "Cow", "Bee"]),
        ("sort=parameters", ["Ant", "Bee", "Cow"]),
        ("sort=-parameters", ["Bee", "Ant", "Cow"]),
        ("sort=-rank", ["Ant", "Cow", "Bee"]),
        ("page=99", ["Bee", "Cow", "Ant"]),
        ("low=nonsense&weights=purple&page=-1&clean=very", ["Bee", "Cow", "Ant"]),
    ],
)
def test_an_address_filters_and_sorts(client, query, expected):
    page = shown(client, f"/?benchmark=open&{query}")
    assert names(page) == expected
    if not expected:
        assert "No system passes these filters" in page.text


def test_columns_are_chosen(client):
    usual = [one.text for one in shown(client, "/?benchmark=open").all("th", scope="col")]
    assert usual[:3] == ["Rank", "System", "ROUGE-L ▼, ranks"] and "Parameters" in usual
    chosen = [one.text for one in shown(client, "/?benchmark=open&columns=bleu&columns=training").all("th", scope="col")]
    assert chosen[:4] == ["Rank", "System", "BLEU-4", "Trained on"]


def test_another_metric_ranks(client):
    page = shown(client, "/?benchmark=open&by=bleu")
    assert page.one("option", value="bleu", selected="").text == "BLEU-4"


def test_every_export_answers(client):
    page = shown(client, "/?benchmark=open")
    exports = [one["href"] for one in page.all("a", download="")]
    assert len(exports) == 5
    assert all(client.get(address).status_code == 200 for address in exports)


def test_a_state_goes_into_an_address_and_back():
    query = "benchmark=open&scope=a&by=bleu&search=x+y&provenance=verified&weights=open&low=1&high=2.5&trained=t&clean=test_items"
    asked = Wanted.of(QueryParams(f"{query}&sort=-bleu&page=3&columns=bleu&columns=training&version=2"), "other")
    assert Wanted.of(QueryParams(link("", asked.state())[1:]), "other") == asked
    assert asked.n_filters == 6
    usual = Wanted.of(QueryParams(""), "open")
    assert (usual.state(), usual.n_filters) == ({"benchmark": "open"}, 0)


@pytest.mark.parametrize(
    ("clean", "level", "passes"),
    [
        ("any", "test_items", True),
        ("test_items", "test_items", False),
        ("test_items", "train_split", True),
        ("train_split", "test_items", False),
        ("same_source", "same_source", False),
        ("same_source", "none", True),
        ("same_source", "unknown", True),
        ("same_source", None, True),
    ],
)
def test_systems_trained_on_the_test_are_left_out(hub, clean, level, passes):
    row = hub.board("open").rows[0]
    found = {row.submission_id: None if level is None else Overlap(level)}
    assert is_wanted(row, Wanted("open", clean=clean), found) is passes


def test_rows_without_a_value_stand_last_either_way(hub):
    rows = hub.board("open").rows
    for sort in ("parameters", "-parameters"):
        assert sorted_rows(rows, sort)[-1].system.name == "Cow"


def test_long_boards_have_pages(hub, monkeypatch):
    assert ROWS == 100
    monkeypatch.setattr(module, "ROWS", 2)
    client = pages_of(hub)
    first = shown(client, "/?benchmark=open")
    assert names(first) == ["Bee", "Cow"]
    (following,) = [one for one in first.all("a") if one.text == "Next"]
    second = shown(client, following["href"])
    assert names(second) == ["Ant"] and "3–3 of 3" in second.text
    assert [one.text for one in second.all("a") if one.text in {"Next", "Previous"}] == ["Previous"]


@pytest.mark.parametrize("about", ["name", "organisation", "training_data"])
def test_what_owners_say_is_text(tmp_path, about):
    hub = make_hub(tmp_path)
    given = {"name": "A", about: (EVIL,) if about == "training_data" else EVIL}
    publish(hub, System(**given), 0.5)
    page = shown(pages_of(hub), "/?benchmark=open&columns=training&columns=rouge_l")
    assert EVIL not in page.html and EVIL in page.text
    assert [one["src"] for one in page.all("script")] and all(one["src"].startswith("/static/") for one in page.all("script"))
    hub.store.close()


def test_no_page_lets_foreign_scripts_run(client):
    policy = client.get("/?benchmark=open").headers["content-security-policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy


def test_unknown_benchmarks_are_said_on_a_page(client):
    page = shown(client, "/?benchmark=opne", status=404)
    assert "Did you mean open" in page.text
    assert "Go to the leaderboard" in page.text


def test_unknown_addresses_are_pages_for_people_and_json_for_programs(client):
    assert "Not found" in shown(client, "/nowhere", status=404).text
    assert client.get("/api/nowhere").json()["error"] == "unknown"


def test_empty_boards_say_how_to_begin(client):
    page = shown(client, "/?benchmark=closed")
    assert "uac submit FILE --benchmark closed --system NAME" in page.text and "private references" in page.text
