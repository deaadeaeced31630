"""Trying a metric: the real encoder among the sample's clips."""

import pytest
from unified_audiocaps.leaderboard.hub import Hub

from ...small_hub import scored_examples
from .served import SENTINEL, make_hub
from .shown import pages_of, shown

CAPTION, REFERENCES = "a dog barks twice", "a small dog is barking\nA dog barks, twice."


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Hub:
    with scored_examples(tmp_path_factory.mktemp("try"), {}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


def test_scores_come_with_what_moved_them(client):
    page = shown(client, "/playground", caption=CAPTION, references=REFERENCES)
    told = {
        title: next(one.text for one in page.all("tr") if one.text.startswith(title)) for title in ("BLEU-4", "ROUGE-L", "DATE")
    }
    assert told["BLEU-4"].startswith("BLEU-4100.00 4 of 4 words") and "no penalty for its length" in told["BLEU-4"]
    assert told["ROUGE-L"].startswith("ROUGE-L100.00")
    assert "of 13 clips it fits 1 as well as its own (its own alone)" in told["DATE"]
    assert [one.text for one in page.all("mark")][:4] == ["a", "dog", "barks", "twice"]
    assert page.one("textarea", id="caption").text == CAPTION


def test_a_clip_lends_its_references(client, hub):
    items = hub.items(hub.benchmark("sample"))
    clip = next(iter(items.references))
    page = shown(client, "/playground", caption="rain", clip=clip)
    assert page.one("textarea", id="references").text.startswith(items.references[clip][0])
    assert "among 11 clips" in page.text


def test_nothing_is_scored_before_there_is_something(client):
    for params in ({}, {"caption": "x"}, {"references": "x"}, {"caption": "  ", "references": " \n "}):
        page = shown(client, "/playground", **params)
        assert not page.all("table")


def test_what_is_typed_is_text(client):
    evil = "<script>alert(1)</script> dog"
    page = shown(client, "/playground", caption=evil, references=evil)
    assert "<script>alert" not in page.html
    assert page.one("textarea", id="caption").text == evil


def test_private_references_are_not_lent(tmp_path):
    hub = make_hub(tmp_path)
    page = shown(pages_of(hub), "/playground", among="closed", clip="rain", caption="rain")
    assert SENTINEL not in page.html
    assert "closed" not in [one["value"] for one in page.all("option")]
    hub.store.close()
