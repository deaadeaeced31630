"""Comparisons: verdicts in words, parts, and the clips on which systems differ most."""

import json

import numpy as np
import pytest
from unified_audiocaps.leaderboard.hub import Comparison
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages import compare as module
from unified_audiocaps.space.pages.compare import p_in_words, parts_table, verdict
from unified_audiocaps.space.pages.samples import Explorer

from ...small_hub import scored_examples
from .served import IDS, SENTINEL, make_hub, score
from .shown import pages_of, shown

FIRST, SECOND, THIRD = "attentive-listener", "tag-template", "one-caption-for-all"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A hub with three systems on the sample, scored for real."""
    with scored_examples(tmp_path_factory.mktemp("compare"), {name: () for name in (FIRST, SECOND, THIRD)}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(sample):
    return pages_of(sample)


@pytest.fixture
def small(tmp_path):
    hub = make_hub(tmp_path)
    yield hub
    hub.store.close()


def write(hub, system, texts, benchmark="open"):
    file = hub.data.parent / "sent.jsonl"
    file.write_text("".join(json.dumps({"id": id_, "caption": texts[id_]}) + "\n" for id_ in IDS))
    hub.submit(file, benchmark, System(system))


def table(page, number=0):
    """Returns the rows of a table that has a verdict per score."""
    name = page.all("caption")[number].text
    return name, page.all("div", class_="scroll")[number].text


# -- verdicts --------------------------------------------------------------------------------------------------------------------


def test_the_two_best_are_compared_by_every_score(sample, client):
    page = shown(client, "/compare?benchmark=sample")
    name, text = table(page)
    assert name == f"{FIRST} against {SECOND}" and len(page.all("div", aria_label=f"{FIRST} against {SECOND}")) == 1
    ids = [row.submission_id for row in sample.board("sample").rows[:2]]
    for metric in sample.benchmark("sample").metrics:
        found = sample.compare("sample", *ids, metric)
        assert f"{100 * found.difference:+.2f}" in text
        assert f"[{100 * found.low:.2f}, {100 * found.high:.2f}]" in text
        assert p_in_words(found.p_value) in text
    assert text.count(f"{FIRST} is better") == 5


def test_three_systems_make_three_pairs_and_a_choice_whom_to_hear_against(client):
    page = shown(client, "/compare", benchmark="sample", systems=[THIRD, FIRST, SECOND], against=2)
    names = [one.text for one in page.all("caption")][:3]
    assert names == [f"{THIRD} against {FIRST}", f"{THIRD} against {SECOND}", f"{FIRST} against {SECOND}"]
    assert f"{SECOND} is better" in [one.text for one in page.all("h3")]
    assert page.one("select", id="against").text == f"{FIRST}{SECOND}"


def test_no_more_than_four_are_compared(small):
    for number in range(6):
        write(small, f"S{number}", {id_: f"{id_} and {'a ' * number}" for id_ in IDS})
    score(small)
    page = shown(pages_of(small), "/compare", benchmark="open", systems=[f"S{number}" for number in range(6)])
    assert len(page.all("table")) == 6  # pairs


def test_equal_systems_cannot_be_told_apart(small):
    texts = {id_: f"{id_} and something" for id_ in IDS}
    write(small, "same", texts)
    write(small, "Same", {id_: text.title() for id_, text in texts.items()})
    score(small)
    page = shown(pages_of(small), "/compare?benchmark=open")
    _, text = table(page)
    assert text.count("cannot be told apart") == 2 and "p = 1" in text and "is better" not in text
    assert page.text.count("On no clip.") == 2


@pytest.mark.parametrize(
    ("metric", "found", "words"),
    [
        ("rouge_l", Comparison("rouge_l", 0.01, 0.004, 0.02, 0.003), "A is better"),
        ("rouge_l", Comparison("rouge_l", -0.01, -0.02, -0.004, 0.003), "B is better"),
        ("wer", Comparison("wer", 0.01, 0.004, 0.02, 0.003), "B is better"),
        ("rouge_l", Comparison("rouge_l", 0.01, -0.004, 0.02, 0.05), "cannot be told apart"),
        ("rouge_l", Comparison("rouge_l", 0.00004, 0.00001, 0.00005, 0.01), "differ by less than is shown"),
        ("rouge_l", Comparison("rouge_l", 0.01, None, None, None), "no test: there are no resamples of this score"),
    ],
    ids=["more", "less", "less is better", "not sure", "rounds to nothing", "no draws"],
)
def test_verdicts_in_words(sample, monkeypatch, metric, found, words):
    from dataclasses import replace

    a, b = sample.board("sample").rows[:2]
    rows = [replace(row, system=System(name), values={metric: 0.5}) for row, name in ((a, "A"), (b, "B"))]
    monkeypatch.setattr(sample, "compare", lambda *_: found)
    assert verdict(sample, sample.benchmark("sample"), *rows, metric).words == words
    assert verdict(sample, sample.benchmark("sample"), replace(a, values={}), b, metric).words == "one of them has no such score"


@pytest.mark.parametrize(
    ("p", "words"), [(0.0004, "p < .001"), (0.003, "p = .003"), (0.05, "p = .050"), (1.0, "p = 1"), (0.9996, "p = 1")]
)
def test_p_values(p, words):
    assert p_in_words(p) == words


# -- parts -----------------------------------------------------------------------------------------------------------------------


def test_parts_are_means_over_the_items_of_each_domain(sample, client):
    board = sample.board("sample")
    items, rows = sample.items(board.benchmark), board.rows
    kind, parts = parts_table(Explorer(sample), board, items, rows, "rouge_l")
    assert kind == "domain" and sum(part.n for part in parts) == 12
    scores = [sample.item_scores(row.submission_id) for row in rows]
    for part in parts:
        here = [place for place, id_ in enumerate(scores[0]["id"].to_pylist()) if items.domains[id_] == part.name]
        means = [np.mean(table["rouge_l"].to_numpy()[here]) for table in scores]
        np.testing.assert_allclose(part.means, means)
        np.testing.assert_allclose(part.leads, means[0] - np.array(means[1:]))
        assert all(-1 <= share <= 1 for share in (*part.shares, *part.lead_shares))
    page = shown(client, "/compare", benchmark="sample", metric="rouge_l")
    assert {part.name for part in parts} <= {one.text for one in page.all("th", scope="row")}


def test_what_is_no_mean_has_no_parts(client):
    page = shown(client, "/compare?benchmark=sample&metric=bleu")
    assert "BLEU-4 of a set is no mean of its clips" in page.text and not page.all("div", id="parts")


# -- wins and losses -------------------------------------------------------------------------------------------------------------


def test_clips_that_differ_most_are_heard_and_lead_to_the_explorer(sample, client):
    page = shown(client, "/compare?benchmark=sample")
    board = sample.board("sample")
    first, second = (sample.item_scores(row.submission_id) for row in board.rows[:2])
    lead = first["date"].to_numpy() - second["date"].to_numpy()
    ids = np.array(first["id"].to_pylist())
    order = np.argsort(-lead)
    wins = [id_ for id_ in ids[order][: module.EXAMPLES] if lead[ids == id_] > 0]
    losses = [id_ for id_ in ids[order[::-1]][: module.EXAMPLES] if lead[ids == id_] < 0]
    cards = page.all("h4")
    assert [one.text.partition(" ")[0] for one in cards] == [id_.rpartition("/")[2] for id_ in (*wins, *losses)]
    assert cards[0].text.endswith(f"{100 * lead.max():+.2f}")
    players = [one["src"] for one in page.all("audio")]
    assert len(players) == len(cards) and all(client.get(address).content[:4] == b"fLaC" for address in players)
    assert {one["preload"] for one in page.all("audio")} == {"none"}
    links = [one["href"] for one in page.all("a") if one.attributes["href"].startswith("/samples?")]
    there = shown(client, links[0])
    assert there.one("h2").text == wins[0]
    assert {one.text for one in there.all("th", scope="row")} == {FIRST, SECOND}


# -- little or nothing to compare ------------------------------------------------------------------------------------------------


def test_one_system_or_none_is_told_what_to_do(small):
    client = pages_of(small)
    assert "There are not two scored systems on this board yet" in shown(client, "/compare?benchmark=open").text
    for name in "AB":
        write(small, name, {id_: f"{id_} {name}" for id_ in IDS})
    score(small)
    page = shown(client, "/compare?benchmark=open&systems=A&systems=C")
    assert "Choose a second system" in page.text and "Not on this board: C" in page.text


def test_private_references_leave_whole_scores(small):
    for number, name in enumerate("AB"):
        write(small, name, {id_: f"{id_} and a {'numbat ' * number}" for id_ in IDS}, "closed")
    score(small)
    page = shown(pages_of(small), "/compare?benchmark=closed")
    name, text = table(page)
    assert name == "A against B" and "95 % interval" in text and "only whole scores are compared" in page.text
    assert not page.all("audio") and not page.all("h4")
    for word in (SENTINEL, "numbat"):
        assert word not in page.html
    assert [one["href"] for one in page.all("a") if "/samples?" in one.attributes.get("href", "")] == []


def test_boards_that_are_not_there(client):
    assert "No benchmark is called" in shown(client, "/compare?benchmark=quokka", 404).text
    assert "There are not two" in shown(client, "/compare?benchmark=clotho-retrieval").text
