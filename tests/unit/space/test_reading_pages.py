"""Papers' numbers and methods as pages."""

import pytest
from unified_audiocaps.evaluators.score import describe_metrics
from unified_audiocaps.leaderboard.boards.published import published_tables

from .served import make_hub, publish
from .shown import pages_of, shown


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = make_hub(tmp_path_factory.mktemp("reading"))
    publish(hub, "A", 0.5)
    yield hub
    hub.store.close()


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


def test_every_printed_number_of_every_table_stands_there(client):
    page = shown(client, "/published")
    assert len(page.all("table")) == len(published_tables())
    cells = [cell for one in published_tables() for row in one.rows for cell in row.printed]
    assert len(cells) == 1_099
    told = [one.text for one in page.all("td", class_="n") if one.text != "–"]
    assert sorted(text.split()[0] for text in told)[:50] and len(told) == len(cells)


def test_a_wrong_number_is_marked_and_told_below_its_table(client):
    page = shown(client, "/published?paper=ACAVCaps&flag=mismatch")
    assert [one.text.split(",")[0] for one in page.all("h2")] == ["ACAVCaps"]
    assert "36.6" in page.text and "36.32" in page.text
    assert page.all("span", class_="chip bad")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("benchmark=clotho-evaluation&flag=mismatch", "bleu_1 >= bleu_2"),
        ("paper=nobody", "WavCaps, Table V"),
        ("paper=ACAVCaps&benchmark=clotho-evaluation", "No table has such a number"),
    ],
)
def test_addresses_choose(client, query, told):
    assert told in shown(client, f"/published?{query}").text


def test_methods_tell_every_metric_benchmark_and_signature(client, hub):
    page = shown(client, "/methods")
    told = {one["id"].removeprefix("metric-") for one in page.all("tr") if one.attributes.get("id", "").startswith("metric-")}
    assert told == {one["name"] for one in describe_metrics()}
    for one in hub.benchmarks():
        assert page.one("details", id=f"benchmark-{one.id}")
        assert one.digest in page.one("details", id=f"benchmark-{one.id}").text
    assert "0123abcd" in page.one("details", id="benchmark-open").text
