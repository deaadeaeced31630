"""The dataset explorer: all datasets, captions searched and filtered, rows, cards, figures, and what is not for everybody."""

import json
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import LOCAL, Actor, Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.space.pages import datasets as module
from unified_audiocaps.space.pages.card_text import as_html
from unified_audiocaps.space.pages.set_rights import is_private_set, rights_in
from unified_audiocaps.space.search import Filters, make_index, store

from ...conftest import ROOT
from .conftest import cell, row, tone
from .served import bearer
from .shown import Shown, pages_of, shown

RAW = ROOT / "tests" / "fixtures" / "sources"
HOSTILE = """<script>alert("1")</script> & <img src=x onerror=alert(2)> '"><b>rain</b>"""


def hub_over(data: Path, folder: Path, **settings) -> Hub:
    return Hub(
        ResultStore(f"sqlite:///{folder}/hub.db"), data, Settings(home=folder / "home", requests_per_minute=10**6, **settings)
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Small sets: one with sound, one of pairs, one with styles, two with closed licences."""
    folder = tmp_path_factory.mktemp("datasets") / "unified-audiocaps"
    build("sample", out=folder)
    for name in ("audiodiffcaps", "mecat", "audiocaps", "audiocaps_v2"):
        build(name, raw=RAW / name / "raw", out=folder)
    return folder


@pytest.fixture(scope="module")
def hub(data, tmp_path_factory):
    hub = hub_over(data, tmp_path_factory.mktemp("hub"))
    yield hub
    hub.store.close()


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


@pytest.fixture
def odd(built, tmp_path):
    """A hub over rows of one's own, as the config `odd`; returns it and what asks for its pages."""
    opened = []

    def make(rows, **settings):
        hub = hub_over(built(rows).data, tmp_path, **settings)
        opened.append(hub)
        return hub, pages_of(hub)

    yield make
    for hub in opened:
        hub.store.close()


def hits(page: Shown) -> list[str]:
    return [one.text for one in page.all("span", class_="said")]


def options(page: Shown, name: str) -> list[str]:
    """Returns what a field offers."""
    (begin,) = (at for at, one in enumerate(page.elements) if one.tag == "select" and one.attributes.get("id") == name)
    found = []
    for one in page.elements[begin + 1 :]:
        if one.tag != "option":
            break
        found.append(one["value"])
    return found


# -- all datasets ----------------------------------------------------------------------------------------------------------------


def test_every_dataset_is_listed_with_what_is_here_or_how_to_build_it(client):
    page = shown(client, "/datasets")
    names = [one["id"].removeprefix("set-") for one in page.all("li", class_="card")]
    assert len(names) == 27 and set(names[:5]) == {"sample", "audiodiffcaps", "mecat", "audiocaps", "audiocaps_v2"}
    sample = page.one("li", id="set-sample").text
    assert "built here" in sample and "train 12, test 12" in sample and "CC0-1.0" in sample and "Explore" in sample
    wavcaps = page.one("li", id="set-wavcaps").text
    assert "uac build wavcaps" in wavcaps and "train 403,050" in wavcaps and "Explore" not in wavcaps


def test_overlaps_with_test_sets_stand_in_the_list():
    tally = {"overlaps": {"audiocaps/test": {"clip": 3, "recording": 2}, "clotho/evaluation": {"clip": 9}}}
    shards = [{"bytes": 5}, {"bytes": 6}]
    manifest = {
        "splits": {"train": {"rows": 7, "shards": shards}},
        "parts": [{"tally": tally, "overlaps": {"marked": {"audiocaps/test": "", "clotho/evaluation": "", "mecat/test": ""}}}],
    }
    found = module.Built.of(manifest)
    assert list(found.overlaps.items()) == [("clotho/evaluation", 9), ("audiocaps/test", 5)]
    assert (found.compared, found.size_bytes, found.rows) == (3, 11, 7)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=cvssp", set()),  # no homepages are looked through
        ("q=ChatGPT+BBC", {"wavcaps"}),
        ("q=AUDIOCAPS+v2", {"audiocaps_v2"}),
        ("only=here&q=pairs", {"audiodiffcaps"}),
        ("only=nonsense&q=esc50+zenodo+nothing", set()),
    ],
)
def test_words_and_whereabouts_choose_datasets(client, query, expected):
    page = shown(client, f"/datasets?{query}")
    found = {one["id"].removeprefix("set-") for one in page.all("li", class_="card")}
    assert found >= expected if expected else not found
    assert ("No dataset has all of these words" in page.text) == (not expected)
    if expected == {"audiocaps_v2"}:
        assert "mecat" not in found


def test_a_damaged_set_does_not_take_the_list_away(odd):
    hub, client = odd([row("a")])
    (hub.data / "data" / "odd" / "manifest.json").write_text("{")
    about = shown(client, "/datasets").one("li", id="set-odd").text
    assert "damaged" in about and "build it again" in about
    assert str(hub.data) not in client.get("/datasets/odd").text


# -- search ----------------------------------------------------------------------------------------------------------------------


def test_words_are_found_and_marked(client):
    page = shown(client, "/datasets/sample?q=waves")
    assert "captions in" in page.one("p", id="status").text
    assert {one.text.casefold() for one in page.all("mark")} == {"waves"}
    assert all("waves" in one.casefold() for one in hits(page))


def test_without_words_all_captions_come_in_pages(client):
    total, page, seen = 24 * 5, 1, []
    while True:
        found = shown(client, "/datasets/sample", page=page)
        assert found.one("p", id="status").text.startswith(f"{total} captions")
        seen += hits(found)
        later = [one["href"] for one in found.all("a", id="later")]
        if not later:
            break
        page += 1
        assert f"page={page}" in later[0]
    assert len(seen) == total and page == 5
    assert hits(shown(client, "/datasets/sample?page=999")) == hits(shown(client, "/datasets/sample?page=5"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("sample?split=train", 60),
        ("sample?split=train&q=dog+rain+sea+waves&tag=nothing+like+it", None),
        ("sample?tag=waves", 5),
        ("sample?tag=WAVES", 5),
        ("sample?tag=waves&split=train", 0),
        ("sample?style=default", 120),
        ("sample?overlap=nonsense", 120),
    ],
)
def test_filters_choose(client, address, expected):
    page = shown(client, f"/datasets/{address}")
    if expected is None:
        assert "Nothing here has: tag nothing like it" in page.text
    else:
        assert page.one("p", id="status").text.startswith(f"{expected} caption")
        assert ("No caption fits" in page.text) == (expected == 0)


def test_fields_offer_what_the_set_has(client):
    sample, mecat = shown(client, "/datasets/sample"), shown(client, "/datasets/mecat")
    assert options(sample, "split") == ["", "test", "train"] and "waves" in options(sample, "tag")
    assert not sample.all("select", id="style"), "there is one style only"
    assert {"long", "short", "environment"} <= set(options(mecat, "style")) and not mecat.all("select", id="tag")


OVERLAP = {"set": "audiocaps/test", "side": None, "level": "clip", "key": "yt:x@30", "shared_s": None}


def test_clips_that_are_in_test_sets_are_told_and_left_out(odd):
    _, client = odd([row("a", overlaps=[OVERLAP]), row("b", overlaps=[]), row("c", overlaps=None)])
    assert options(shown(client, "/datasets/odd"), "overlap") == ["", "none", "any"]
    assert hits(shown(client, "/datasets/odd?overlap=any")) == ["about a"]
    assert hits(shown(client, "/datasets/odd?overlap=none")) == ["about b"]
    assert "audiocaps/test by clip (yt:x@30)" in shown(client, "/datasets/odd?row=odd/train/a").text


def test_rare_tags_are_reached_from_their_rows(odd, monkeypatch):
    monkeypatch.setattr(module, "MOST_CHOICES", 1)
    tags = [{"label": name} for name in ("common", "rare")]
    _, client = odd([row("a", tags=tags), row("b", tags=tags[:1])])
    assert options(shown(client, "/datasets/odd"), "tag") == ["", "common"]
    (rare,) = (one for one in shown(client, "/datasets/odd?row=odd/train/a").all("a") if one.text == "rare")
    page = shown(client, rare["href"])
    assert options(page, "tag") == ["", "common", "rare"] and hits(page) == ["about a"]


def test_texts_of_others_are_never_markup(odd):
    hostile = row(
        "bad",
        caption=HOSTILE,
        captions=[{"text": HOSTILE, "style": "default", "origin": "human", "language": "en", "scores": []}],
        tags=[{"label": HOSTILE}],
        qa=[{"question": HOSTILE, "answer": HOSTILE, "choices": [HOSTILE]}],
        domain=HOSTILE,
        attribution=HOSTILE,
        overlaps=[{"set": HOSTILE, "side": None, "level": "clip", "key": HOSTILE, "shared_s": None}],
        extra_json=json.dumps({"x": HOSTILE}),
        license_text=HOSTILE,
    )
    _, client = odd([hostile])
    for query in ("", "q=rain", "q=script", "row=odd/train/bad", f"tag={HOSTILE}", f"q={HOSTILE}&domain=<b>&style={HOSTILE}"):
        page = shown(client, "/datasets/odd?" + query.replace("&l", "%26l").replace(" & ", "%20%26%20"))
        assert not [one for one in page.all("script") if "src" not in one.attributes] and not page.all("img", src="x")
        assert not page.all("b") and not [one for one in page.elements if any(name.startswith("on") for name in one.attributes)]
    page = shown(client, "/datasets/odd?q=rain")
    assert [one.text for one in page.all("mark")] == ["rain"] and hits(page) == [" ".join(HOSTILE.split())]


def test_a_large_set_without_index_says_how_to_make_one(client, hub, monkeypatch):
    monkeypatch.setattr(store, "SMALL_ROWS", 5)
    page = shown(client, "/datasets/sample?q=waves")
    assert "uac index sample" in page.text and not page.all("form", id="filters")
    assert "Waves roll onto a beach" in shown(client, "/datasets/sample?row=sample/test/waves").text, "a row needs no index"
    make_index(module.built_set("sample", hub.data))
    assert hits(shown(client, "/datasets/sample?q=waves"))


def test_what_means_the_same_comes_first(client):
    page = shown(client, "/datasets/sample?q=the+ocean+at+a+coast&by=meaning&split=test")
    assert "/waves" in page.all("span", class_="under")[0].text and "The nearest in meaning come first" in page.text
    assert "loads a model" in shown(client, "/datasets/sample?by=meaning").text


def test_meaning_without_vectors_falls_back_to_words(client, monkeypatch):
    monkeypatch.setattr(store, "SMALL_CAPTIONS", 5)
    page = shown(client, "/datasets/sample?q=waves&by=meaning")
    assert "uac index sample --meaning" in page.text and {one.text.casefold() for one in page.all("mark")} == {"waves"}


def test_a_model_that_is_not_there_is_told_without_folders(client, monkeypatch, hub):
    from unified_audiocaps.dataset_scripts.errors import MissingRequirementError

    def lacks(*_):
        raise MissingRequirementError(f"The model in {hub.data.absolute()}/x", "Captions are embedded with it.", "uac fetch it")

    monkeypatch.setattr("unified_audiocaps.space.search.find.query_encoder", lacks)
    monkeypatch.setattr("unified_audiocaps.space.search.store.query_encoder", lacks)
    page = shown(client, "/datasets/sample?q=the+sea&by=meaning")
    assert "Captions are embedded with it" in page.text and str(hub.data.absolute()) not in page.html


# -- rows ------------------------------------------------------------------------------------------------------------------------


def test_an_address_leads_to_a_row_with_its_sound_and_all_that_is_known(client):
    page = shown(client, "/datasets/sample?row=sample/test/waves")
    assert page.one("h2", id="chosen").text == "sample/test/waves"
    assert client.get(page.one("audio", id="player")["src"]).headers["content-type"] == "audio/flac"
    (picture,) = page.all("img", class_="mel")
    assert client.get(picture["src"]).headers["content-type"] == "image/png"
    for text in (
        "Waves roll onto a beach",
        "At the seaside, two gentle breakers",
        "Where was this recorded?",
        "CC0-1.0",
        "sha256:",
    ):
        assert text in page.text


def test_rows_of_pairs_and_of_styles_are_shown(client):
    ids = [one["href"].split("row=")[1] for one in shown(client, "/datasets/audiodiffcaps").all("a") if "row=" in one["href"]]
    pair = shown(client, f"/datasets/audiodiffcaps?row={ids[0]}")
    assert "difference, human" in {one.text for one in pair.all("dt")}
    assert "A: The sound is not on this hub" in pair.text and "B: The sound is not on this hub" in pair.text
    mecat = shown(client, shown(client, "/datasets/mecat?split=test&style=short").one("a", id="hit-1")["href"])
    assert {"environment, llm", "short, llm"} <= {one.text for one in mecat.all("dt")} and "Questions" in mecat.text


def test_both_sounds_of_a_pair_and_what_was_changed_are_heard(odd):
    _, client = odd([row("a", audio=cell(tone(300, 0.5)), audio_b=cell(tone(600, 0.5)), operation="add")])
    page = shown(client, "/datasets/odd?row=odd/train/a")
    assert "operation: add" in page.text and len(page.all("audio")) == 3
    assert {client.get(one["src"]).status_code for one in page.all("audio")} == {200}


def test_other_fields_of_the_publisher_are_folded(odd):
    _, client = odd([row("a", extra_json='{"mood": "schön"}'), row("b", extra_json="{}")])
    assert "schön" in shown(client, "/datasets/odd?row=odd/train/a").one("details", id="extra").text
    assert not shown(client, "/datasets/odd?row=odd/train/b").all("details", id="extra")


def test_one_walks_through_all_rows_in_the_order_of_the_hits(client, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 4)
    monkeypatch.setattr(module, "MARGIN", 6)
    address, seen = "/datasets/sample?split=test&row=sample/test/", []
    page = shown(client, "/datasets/sample?split=test")
    address = next(one["href"] for one in page.all("a", id="hit-1"))
    while address:
        page = shown(client, address)
        seen.append(page.one("h2", id="chosen").text)
        assert len(page.all("a", aria_current="true")) == 1 and len(seen) <= 12
        address = next((one["href"] for one in page.all("a", id="next")), "")
    assert len(seen) == len(set(seen)) == 12
    back = page.one("a", id="previous")["href"]
    assert shown(client, back).one("h2", id="chosen").text == seen[-2]


@pytest.mark.parametrize(
    "address",
    ["nothing", "sample?row=nothing", "sample?row=mecat/test/x", "mecat?row=sample/test/waves", "..%2Fsample", "%00"],
)
def test_what_is_not_there_is_not_found(client, address):
    assert client.get(f"/datasets/{address}", headers={"Accept": "text/html"}).status_code in {400, 404}


@pytest.mark.parametrize(
    "query", ["view=x", "page=-1", "page=99999999999999999999", "by=magic", "q=%22%22%22", "q=!!!", "q=" + "a+" * 999]
)
def test_odd_addresses_open(client, query):
    assert shown(client, f"/datasets/sample?{query}").one("h1").text == "Sample 1"


def test_a_row_is_found_without_reading_the_others(data):
    from unified_audiocaps.space.inspect_rows import places_of

    places = places_of(module.built_set("sample", data))
    assert len(places) == 24 and list(places)[places["sample/test/waves"]] == "sample/test/waves"
    assert "nothing" not in places and places.get("nothing") is None


@pytest.mark.parametrize("view", list(module.VIEWS))
def test_a_set_without_rows_opens(odd, view):
    hub, client = odd([])
    manifest = hub.data / "data" / "odd" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "title": "Odd", "release": "1"}))
    page = shown(client, f"/datasets/odd?view={view}")
    assert view != "search" or "No caption fits" in page.text


# -- card and statistics ---------------------------------------------------------------------------------------------------------


def test_the_card_has_prose_licences_and_what_to_cite(client):
    page = shown(client, "/datasets/mecat?view=card")
    assert "Known defects" in page.text and "is_absent" in {one.text for one in page.all("code")}
    assert "texts and sound" in page.text and page.one("button", class_="small")["data-copy"].startswith("@misc{niu2025mecat")


def test_a_set_that_is_not_here_has_its_card_and_how_to_build_it(client):
    page = shown(client, "/datasets/wavcaps?q=rain&view=search")
    assert "It is not built on this hub" in page.text and "uac build wavcaps" in page.text and "Known defects" in page.text
    assert not page.all("form", id="filters")


def test_statistics_are_counted_once_and_drawn(client, monkeypatch):
    page = shown(client, "/datasets/sample?view=statistics")
    assert "word vocabulary" in page.text and "Duration, clips by seconds" in page.text and page.all("span", class_="meter")
    monkeypatch.setattr(module.report, "describe", lambda *_: pytest.fail("counted again"))
    assert "word vocabulary" in shown(client, "/datasets/sample?view=statistics").text


def test_large_sets_show_what_was_counted_when_they_were_built(client, monkeypatch):
    monkeypatch.setattr(module, "DESCRIBED_ROWS", 10)
    page = shown(client, "/datasets/sample?view=statistics")
    assert "uac stats sample" in page.text and [one.text for one in page.all("td")][:2] == ["12", "60"]


@pytest.mark.parametrize(
    ("prose", "html"),
    [
        ("One\nline.", "<p>One line.</p>"),
        ("# Head\n\ntext", "<h3>Head</h3>\n<p>text</p>"),
        ("Why:\n- a\n  b\n- c", "<p>Why:</p>\n<ul><li>a b</li><li>c</li></ul>"),
        ("    uac build <x>\n      y", '<pre tabindex="0"><code>uac build &lt;x&gt;\n  y</code></pre>'),
        ("[a](https://x.org/?a=1&b=2)", '<p><a href="https://x.org/?a=1&amp;b=2" rel="noopener">a</a></p>'),
        ("see https://x.org/y.", '<p>see <a href="https://x.org/y" rel="noopener">https://x.org/y</a>.</p>'),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ('[a](https://x" onclick="y)', "<p>[a](<a href=\"https://x\" rel=\"noopener\">https://x</a>&quot; onclick=&quot;y)</p>"),
        ("<script>x</script> **b** `<i>`", "<p>&lt;script&gt;x&lt;/script&gt; <strong>b</strong> <code>&lt;i&gt;</code></p>"),
    ],
)  # fmt: skip
def test_prose_becomes_safe_html(prose, html):
    assert as_html(prose) == html


# -- what is not for everybody ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(data, tmp_path, tokens):
    """Pages of a hub with sign-in."""
    hub = hub_over(data, tmp_path, sign_in="hub", admins="chief")
    yield hub, pages_of(hub)
    hub.store.close()


ANNA, CHIEF = bearer("hf_anna"), bearer("hf_chief")


@pytest.mark.parametrize("who", [{}, ANNA], ids=["nobody", "somebody"])
def test_texts_that_may_not_be_published_are_for_admins(asked, who):
    _, client = asked
    headers = {"Accept": "text/html", **who}
    ids = [hit.entry.id for hit in module.find(module.built_set("audiocaps", asked[0].data), "").hits]
    page = Shown(client.get("/datasets/audiocaps?q=a", headers=headers).text)
    assert "The texts of audiocaps may not be published by everybody (MIT for the repository" in page.text
    assert not hits(page) and not page.all("form", id="filters")
    assert not Shown(client.get(f"/datasets/audiocaps?row={ids[0]}", headers=headers).text).all("h2", id="chosen")
    for address in (f"/row-sounds/audiocaps/{ids[0]}", f"/row-pictures/audiocaps/{ids[0]}.png"):
        assert client.get(address, headers=headers).status_code == 403
    assert "Known defects" in Shown(client.get("/datasets/audiocaps?view=card", headers=headers).text).text
    assert "word vocabulary" in Shown(client.get("/datasets/audiocaps?view=statistics", headers=headers).text).text


def test_admins_see_everything(asked):
    _, client = asked
    page = Shown(client.get("/datasets/audiocaps?q=a", headers={"Accept": "text/html", **CHIEF}).text)
    assert hits(page) and page.all("form", id="filters")


def test_free_sets_are_for_everybody(asked):
    _, client = asked
    page = Shown(client.get("/datasets/sample?row=sample/test/waves", headers={"Accept": "text/html"}).text)
    assert hits(page) and client.get(page.one("audio", id="player")["src"]).status_code == 200


def test_sound_that_may_not_be_published_is_for_admins(odd, monkeypatch, tokens):
    from unified_audiocaps.dataset_scripts.card import Card

    card = Card("odd", "CC0", "by their owners", "", "", redistribution=("text",))
    monkeypatch.setattr("unified_audiocaps.space.pages.set_rights.cards_of", lambda *_: [card])
    _, client = odd([row("a", audio=cell(tone(300, 0.5)))], sign_in="hub", admins="chief")
    sound, address = "/row-sounds/odd/odd%2Ftrain%2Fa", "/datasets/odd?row=odd/train/a"
    page = Shown(client.get(address, headers={"Accept": "text/html"}).text)
    assert "The sound of odd may not be published by everybody (by their owners)" in page.text and "about a" in page.text
    assert not page.all("audio") and client.get(sound).status_code == 404
    assert client.get(sound.replace("sounds", "pictures") + ".png").status_code == 404
    assert client.get(sound, headers=CHIEF).status_code == 200
    assert Shown(client.get(address, headers={"Accept": "text/html", **CHIEF}).text).all("audio")


def test_sets_that_nobody_describes_are_for_admins(odd, tokens):
    _, client = odd([row("a")], sign_in="hub", admins="chief")
    assert "Nobody says what of this set may be published" in client.get("/datasets/odd").text
    assert "about a" not in client.get("/datasets/odd").text
    assert "about a" in client.get("/datasets/odd", headers=CHIEF).text


def test_private_references_are_no_rows_to_look_at(asked):
    hub, client = asked
    one = {"metrics": ("rouge_l",), "primary_metric": "rouge_l", "references": "private"}
    hub.create_benchmark("secret", source="sample/test", **one)
    headers = {"Accept": "text/html"}
    page = Shown(client.get("/datasets/sample", headers=headers).text)
    assert page.one("p", id="status").text.startswith("60 captions") and "Held back: test" in page.text
    waves = "Waves roll onto a beach and run back into the sea."
    assert waves not in hits(Shown(client.get("/datasets/sample?q=waves+roll", headers=headers).text))
    assert not page.all("select", id="split"), "one split is left"
    for address in (
        "datasets/sample?row=sample/test/waves",
        "row-sounds/sample/sample%2Ftest%2Fwaves",
        "row-pictures/sample/sample%2Ftest%2Fwaves.png",
    ):
        assert client.get(f"/{address}").status_code == 404
    assert client.get("/row-sounds/sample/sample%2Ftest%2Fwaves", headers=CHIEF).status_code == 200
    assert waves in hits(Shown(client.get("/datasets/sample?q=waves+roll", headers=CHIEF).text))
    statistics = Shown(client.get("/datasets/sample?view=statistics", headers=headers).text)
    assert statistics.all("td")[0].text == "12"
    hub.create_benchmark("more", source="sample/train", **one)
    page = Shown(client.get("/datasets/sample", headers=headers).text)
    assert "private references of a benchmark" in page.text and not hits(page)
    assert client.get("/datasets/sample?row=sample/train/waves").status_code == 404
    assert "nothing to count" in client.get("/datasets/sample?view=statistics", headers=headers).text


def test_an_index_of_the_whole_set_does_not_let_private_splits_through(data, tmp_path, tokens):
    hub = hub_over(data, tmp_path, sign_in="hub")
    make_index(module.built_set("sample", data))
    hub.create_benchmark("secret", source="sample/test", metrics=("rouge_l",), primary_metric="rouge_l", references="private")
    page = Shown(pages_of(hub).get("/datasets/sample?q=waves", headers={"Accept": "text/html"}).text)
    assert not [one for one in page.all("span", class_="under") if "sample/test" in one.text]
    hub.store.close()


def test_a_split_is_private_under_all_of_its_names(tmp_path):
    data = tmp_path / "unified-audiocaps"
    build("clotho", raw=RAW / "clotho" / "raw", out=data)
    hub = hub_over(data, tmp_path)
    hub.create_benchmark("secret", source="clotho/eval", metrics=("rouge_l",), primary_metric="rouge_l", references="private")
    assert is_private_set(hub, "clotho", "evaluation") and is_private_set(hub, "clotho", "eval")
    may = rights_in(hub, Actor("anna"), module.built_set("clotho", data))
    assert may.closed == ("evaluation",) and "evaluation" not in may.splits
    assert not rights_in(hub, LOCAL, module.built_set("clotho", data)).closed
    hub.store.close()


def test_a_mixture_of_private_rows_is_closed(odd):
    hub, _ = odd([row("a")])
    hub.create_benchmark("secret", source="odd/train", metrics=("rouge_l",), primary_metric="rouge_l", references="private")
    one = module.built_set("odd", hub.data)
    drawn = {"set": "odd/train", "release": "1", "rows": 1, "candidates": 1}
    mixed = module.replace(one, config="mixed", manifest={**one.manifest, "mixture": {"sets": [drawn]}})
    assert rights_in(hub, Actor("anna"), mixed).closed == ("train",)
    other = {**drawn, "set": "odd/other"}
    mixed = module.replace(mixed, manifest={**one.manifest, "mixture": {"sets": [other]}})
    assert not rights_in(hub, Actor("anna"), mixed).closed


def test_names_of_filters_are_looked_up_whole(data):
    one = module.built_set("sample", data)
    choices, unknown = module.choices_of(module.counts(one), module.Wanted(split="TRAIN", style="gone"))
    assert unknown == ("style gone",) and next(c.chosen for c in choices if c.name == "split") == "train"
    assert module.shown_of(one, module.Wanted(page=99), Filters()).page == 5
