"""The sample explorer: what it lists in which order, what it shows of a clip, and what it never shows."""

import json

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import LOCAL, Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages import samples as module
from unified_audiocaps.space.pages.samples import Explorer, chosen, explorer_of, word_diff

from ...small_hub import score_all, scored_examples
from .served import IDS, SENTINEL, make_hub, score
from .shown import Shown, pages_of, shown

EXAMPLES = ("attentive-listener", "one-caption-for-all", "tag-template")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A hub with three systems on the sample, scored for real."""
    with scored_examples(tmp_path_factory.mktemp("listen"), {name: () for name in EXAMPLES}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(sample):
    return pages_of(sample)


@pytest.fixture
def small(tmp_path):
    """A hub with the benchmarks `open` and `closed`."""
    hub = make_hub(tmp_path)
    yield hub
    hub.store.close()


def write(hub: Hub, system: str, benchmark: str = "open", text: str = "a sound of {}", **others: str) -> str:
    """Sends captions, some of them others, and returns the id of the submission."""
    file = hub.data.parent / "sent.jsonl"
    file.write_text("".join(json.dumps({"id": id_, "caption": others.get(id_, text.format(id_))}) + "\n" for id_ in IDS))
    return hub.submit(file, benchmark, System(system))[0].id


def listed(page: Shown) -> list[str]:
    return [
        one["href"].partition("item=")[2].partition("&")[0].replace("%2F", "/")
        for one in page.all("a")
        if "clip-" in one.attributes.get("id", "")
    ]


def per_item(hub: Hub, metric: str) -> tuple[list[str], np.ndarray]:
    """Returns ids, and float64[systems, items] in the board's order of systems."""
    tables = [hub.item_scores(row.submission_id) for row in hub.board("sample").rows]
    return tables[0]["id"].to_pylist(), np.stack([table[metric].to_numpy() for table in tables])


# -- the list --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["date", "rouge_l"])
def test_clips_are_sorted_as_asked(sample, client, metric):
    ids, values = per_item(sample, metric)
    keys = {
        "disagreement": -(values.max(axis=0) - values.min(axis=0)),
        "best": -values.mean(axis=0),
        "worst": values.mean(axis=0),
        "id": np.arange(len(ids)),
    }
    for sort, key in keys.items():
        page = shown(client, "/samples", benchmark="sample", sort=sort, metric=metric)
        assert listed(page) == [ids[place] for place in np.argsort(key, kind="stable")], sort
        assert page.one("option", value=sort).attributes.keys() >= {"selected"}


def test_next_and_previous_go_along_the_list_and_the_address_says_where(client):
    page = shown(client, "/samples?benchmark=sample")
    order, seen = listed(page), []
    assert not page.all("a", id="previous")
    while following := page.all("a", id="next"):
        seen.append(page.one("h2").text)
        page = shown(client, following[0]["href"])
    seen.append(page.one("h2").text)
    assert seen == order
    back = shown(client, page.one("a", id="previous")["href"])
    assert back.one("h2").text == order[-2]


def test_long_lists_have_pages_and_open_at_the_chosen_clip(client, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 5)
    first = shown(client, "/samples?benchmark=sample&sort=id")
    whole = listed(first)
    assert len(whole) == 5 and "page 1 of 3" in first.text
    last = shown(client, "/samples", benchmark="sample", sort="id", item="sample/test/waves")
    assert last.one("a", aria_current="true").attributes["id"] == "clip-12"
    other = shown(client, "/samples", benchmark="sample", sort="id", item="sample/test/waves", page=1)
    assert (listed(other), other.one("h2").text) == (whole, "sample/test/waves")
    assert listed(shown(client, "/samples?benchmark=sample&sort=id&page=99")) == listed(last)


@pytest.mark.parametrize(
    ("words", "found"),
    [("thunder", {"rain_thunder"}), ("THUNDER rain", {"rain_thunder"}), ("two waves wash", {"waves"}), ("waves quokka", set())],
    ids=["reference", "case and order", "caption of a system", "nothing"],
)
def test_clips_are_found_by_words_of_references_and_captions(client, words, found):
    page = shown(client, "/samples", benchmark="sample", search=words)
    assert {one.rpartition("/")[2] for one in listed(page)} == found
    assert ("No clip has these words" in page.text) == (not found)


@pytest.mark.parametrize(
    "query", ["sort=upwards", "metric=loudness", "part=nowhere", "page=-1", "page=x", "search=", "version=1"]
)
def test_what_no_page_knows_is_as_usual(client, query):
    assert listed(shown(client, f"/samples?benchmark=sample&{query}")) == listed(shown(client, "/samples?benchmark=sample"))


def test_items_and_benchmarks_that_are_not_there(client):
    assert "No item of sample is called" in shown(client, "/samples?benchmark=sample&item=quokka", 404).text
    assert "No benchmark is called" in shown(client, "/samples?benchmark=quokka", 404).text
    by_file = shown(client, "/samples?benchmark=sample&item=waves.flac")  # as people know it
    assert by_file.one("h2").text == "sample/test/waves"


# -- a clip ----------------------------------------------------------------------------------------------------------------------


def test_a_clip_shows_sound_references_captions_and_what_they_got(sample, client):
    page = shown(client, "/samples", benchmark="sample", item="sample/test/waves")
    sound = page.one("audio")["src"]
    assert client.get(sound).content[:4] == b"fLaC"
    assert client.get(page.one("img", class_="mel")["src"]).content[:4] == b"\x89PNG"
    assert "Waveform of Sound of sample/test/waves" in page.one("svg", class_="wave")["aria-label"]
    benchmark = sample.benchmark("sample")
    for text in sample.items(benchmark).references["sample/test/waves"]:
        assert text in page.one("ol", id="references").text
    cells = [one.text for one in page.all("td", class_="n")]
    for row in sample.board("sample").rows:
        assert sample.predictions(row.submission_id)["long"]["sample/test/waves"] in page.text
        table = sample.item_scores(row.submission_id)
        place = table["id"].to_pylist().index("sample/test/waves")
        assert {f"{100 * table[metric][place].as_py():.2f}" for metric in benchmark.metrics} <= set(cells)
    assert [one.text for one in page.all("mark", class_="new")][:3] == ["Marked words", "wash", "up"]


@pytest.mark.parametrize(
    ("asked", "names", "unknown"),
    [
        ((), ["attentive-listener", "tag-template", "one-caption-for-all"], []),
        (("tag-template",), ["tag-template"], []),
        (("tag-template,attentive-listener",), ["tag-template", "attentive-listener"], []),
        (("tag-template", "tag-template"), ["tag-template"], []),
        (("tag-template", "quokka"), ["tag-template"], ["quokka"]),
        (("quokka",), ["attentive-listener", "tag-template", "one-caption-for-all"], []),
    ],
)
def test_systems_are_chosen_by_name(sample, client, asked, names, unknown):
    board = sample.board("sample")
    rows, not_there = chosen(board, asked)
    assert ([row.system.name for row in rows], not_there) == (names, unknown)
    page = shown(client, "/samples", benchmark="sample", systems=list(asked))
    assert {one.text for one in page.all("th", scope="row")} == set(names)
    assert ("Not on this board: quokka" in page.text) == bool(unknown)
    by_id = chosen(board, [row.submission_id for row in rows])[0]
    assert by_id == rows


def test_a_name_with_commas_is_one_system(small):
    write(small, "one, two")
    score(small)
    assert [row.system.name for row in chosen(small.board("open"), ["one, two"])[0]] == ["one, two"]


def test_what_submitters_write_is_text(small):
    bad = "<script>alert(1)</script>"
    write(small, f"<img src=x onerror=alert(2)>{bad}", text=bad + " {} \" ' &")
    score(small)
    client = pages_of(small)
    for address in ("/samples?benchmark=open", "/compare?benchmark=open"):
        page = shown(client, address)
        assert all("src" in one.attributes for one in page.all("script"))
        assert not [one for one in page.all("img") if one["src"] == "x"]
    page = shown(client, "/samples", benchmark="open", search='"><script>x</script>', systems=["<b>"], item="rain")
    assert page.one("input", id="search")["value"] == '"><script>x</script>' and not page.all("b", id="x")
    assert "<script>alert(1)</script> rain" in shown(client, "/samples?benchmark=open&item=rain").text


def test_a_benchmark_without_systems_and_sounds_is_still_read(small):
    page = shown(pages_of(small), "/samples?benchmark=open&sort=id")
    assert listed(page) == list(IDS)
    assert "No system has been scored here yet" in page.text and "rain and a something" in page.text
    assert "This hub has no sound of this clip" in page.text and not page.all("audio")


def test_what_was_taken_off_the_board_is_gone_though_it_was_kept(small):
    submission = write(small, "A", text="quokkas near {}")
    score(small)
    client = pages_of(small)
    assert "quokkas near" in shown(client, "/samples?benchmark=open").text
    small.withdraw(submission, LOCAL)
    for query in ("", "&systems=A", f"&systems={submission}", "&search=quokkas"):
        assert "quokkas near" not in shown(client, f"/samples?benchmark=open{query}").text, query


# -- what is not shown -----------------------------------------------------------------------------------------------------------


def test_nothing_of_private_items_is_shown(small):
    for number in (1, 2):
        write(small, f"S{number}", "closed", text="numbat " * number + "{}")
    score(small)
    client = pages_of(small)
    for address in ("/samples?benchmark=closed", "/samples?benchmark=closed&item=rain&search=a", "/compare?benchmark=closed"):
        page = shown(client, address)
        assert "private" in page.text
        for word in (SENTINEL, "numbat", *IDS):
            assert word not in page.html, (address, word)
    same = [client.get("/samples", params={"benchmark": "closed", "item": item}).text for item in ("rain", "nobody")]
    assert same[0].replace("rain", "") == same[1].replace("nobody", "")


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [("clotho-retrieval", "write no captions"), ("clotho-evaluation", "uac build clotho"), ("adc", "are not on this hub")],
)
def test_boards_without_captions_to_read_say_why(client, benchmark, words):
    page = shown(client, f"/samples?benchmark={benchmark}")
    assert words in page.text and not page.all("a", id="next")
    assert page.one("select", id="benchmark")


# -- groups and questions --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mecat(tmp_path_factory, mecat_clips):
    """A hub with a small MECAT: captions in nine groups, and questions; a system on each."""
    folder = tmp_path_factory.mktemp("mecat")
    build("mecat", raw=mecat_clips(folder / "raw"), out=folder / "data")
    hub = Hub(ResultStore(f"sqlite:///{folder}/hub.db"), folder / "data", Settings(home=folder / "home"))
    for name, task in (("nine", "mecat_caption"), ("asked", "mecat_qa")):
        hub.create_benchmark(name, source="mecat/test", task=task, metrics=("rouge_l",), primary_metric="rouge_l")
        items = hub.items(hub.benchmark(name))
        column = items.benchmark.column
        for system in ("A", "B"):
            rows = [
                {"id": id_, column: f"{system} says {subtask}", **({"subtask": subtask} if len(items.subtasks) > 1 else {})}
                for subtask, ids in items.wanted.items()
                for id_ in ids
            ]
            (folder / "p.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
            hub.submit(folder / "p.jsonl", name, system)
    score_all(hub)
    yield hub
    hub.store.close()


def test_a_part_has_the_items_and_captions_of_its_group(mecat):
    client = pages_of(mecat)
    groups = {group.name: group for group in mecat.items(mecat.benchmark("nine")).groups}
    for name in ("content_long", "pure_music", "environment"):
        page = shown(client, "/samples", benchmark="nine", part=name)
        assert set(listed(page)) == set(groups[name].references)
        assert f"A says {groups[name].subtask}" in page.text and f"({groups[name].subtask})" in page.text
    music = next(iter(groups["pure_music"].references))
    linked = shown(client, "/samples", benchmark="nine", item=music, part="pure_music")
    assert linked.one("h2").text == music
    assert "part=pure_music" in linked.one("a", id="next")["href"]


def test_questions_are_shown_with_their_answers_and_the_sound_of_their_clip(mecat):
    client, items = pages_of(mecat), mecat.items(mecat.benchmark("asked"))
    page = shown(client, "/samples", benchmark="asked", part="quality_assessment")
    id_ = page.one("h2").text
    assert "What about quality_assessment?" in page.text and items.references[id_][0] in page.text
    assert "A says qa" in page.text and f"youtube.com/watch?v={items.clip_of(id_).rpartition('/')[2][:11]}" in page.html
    other = next(iter(items.groups[2].references))
    assert "part" not in other and shown(client, "/samples", benchmark="asked", item=other).one("h2").text == other


# -- what is kept ----------------------------------------------------------------------------------------------------------------


def test_submissions_are_read_once_and_no_more_than_so_many_stay(small, monkeypatch):
    monkeypatch.setattr(module, "TEXTS_KEPT", 2)
    for name in "ABC":
        write(small, name, text=name + " {}")
    score(small)
    asked = []
    real = small.predictions
    monkeypatch.setattr(small, "predictions", lambda id_: asked.append(id_) or real(id_))
    explorer, board = Explorer(small), small.board("open")
    pool = explorer.pool(small.items(board.benchmark), "")
    first, second, third = (row.submission_id for row in board.rows)
    for id_ in (first, second, second, first, third):
        explorer.texts(id_, pool)
    assert asked == [first, second, third]
    explorer.texts(second, pool)  # it made room
    assert asked == [first, second, third, second]


def test_an_application_has_one_explorer(client, sample):
    assert explorer_of(client.app, sample) is explorer_of(client.app, sample)


# -- words -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "references", "marked", "nearest"),
    [
        ("a dog barks", ["a dog barks"], [], 0),
        ("A Dog, barks!", ["barks dog a"], [], 0),
        ("a cat meows loudly", ["a dog barks", "a cat sleeps"], ["meows", "loudly"], 1),
        ("the dog's bark", ["a dog’s bark"], ["the", "dog's"], 0),
        ("dog dog dog", ["a dog", "dog dog"], [], 1),
        ("größer ДА", ["GRÖSSER да"], [], 0),
        ("", ["a dog"], [], 0),
        ("…", ["a dog"], [], 0),
        ("a dog", [], ["a", "dog"], None),
    ],
    ids=["same", "case, order, signs", "nearest", "apostrophes", "repeated", "other letters", "empty", "no word", "no reference"],
)
def test_words_that_stand_in_no_reference_are_marked(text, references, marked, nearest):
    found = word_diff(text, references)
    assert "".join(piece for piece, _ in found.pieces) == text
    assert [piece for piece, is_marked in found.pieces if is_marked] == marked
    assert (list(found.new), found.nearest) == ([word.casefold() for word in marked], nearest)
