"""Plots and heat maps: right places, right numbers, escaped names, and nothing of private references."""

import re

import numpy as np
import pytest
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.space.pages import charts
from unified_audiocaps.space.pages.charts import Interval, Point, Series, front_of

from ...small_hub import scored_examples
from .served import make_hub, predictions, publish, score
from .shown import Shown, pages_of, shown

EVIL = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Three systems on the sample, scored for real."""
    names = ("attentive-listener", "one-caption-for-all", "tag-template")
    with scored_examples(tmp_path_factory.mktemp("plots"), {name: () for name in names}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


def points(*values: tuple[float, float]) -> list[Point]:
    return [Point(x, y, f"P{place}", f"/systems/P{place}", f"P{place}: {y}") for place, (x, y) in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        ([(1, 5), (2, 4), (3, 6)], True, ["P0", "P2"]),
        ([(1, 5), (2, 4), (3, 6)], False, ["P0", "P1"]),
        ([(2, 1), (1, 1)], True, ["P1"]),
        ([(1, 1), (1, 2)], True, ["P1"]),
    ],
)
def test_the_front_is_what_nothing_smaller_beats(values, higher, expected):
    assert [one.name for one in front_of(points(*values), higher)] == expected


def places(svg: str) -> np.ndarray:
    """Returns float[n, 2], where the dots are."""
    return np.array([[float(x), float(y)] for x, y in re.findall(r'class="dot" cx="([\d.]+)" cy="([\d.]+)"', svg)])


def test_larger_is_right_and_better_is_up():
    found = places(charts.pareto(points((1e6, 10), (1e7, 20), (1e8, 15)), "size", "score"))
    assert found[0, 0] < found[1, 0] < found[2, 0]
    assert found[1, 0] - found[0, 0] == pytest.approx(found[2, 0] - found[1, 0], abs=0.2)  # logarithmic
    assert found[1, 1] < found[2, 1] < found[0, 1]


def test_intervals_enclose_their_dot():
    svg = charts.forest([Interval("A", "/a", 50.0, 40.0, 60.0), Interval("B", "/b", 55.0, None, None)], "score")
    low, high = map(float, re.search(r'class="bar" d="M([\d.]+) \d+H([\d.]+)', svg).groups())
    assert low < places(svg)[0, 0] < high
    assert svg.count('class="bar"') == 1
    assert "A: 50, 95 % interval 40 to 60" in svg


@pytest.mark.parametrize(
    "svg",
    [
        charts.pareto([Point(1e6, 1.0, EVIL, f"/{EVIL}", EVIL)], EVIL, EVIL),
        charts.history([Point(1.7e9, 1.0, EVIL, f"/{EVIL}", EVIL)], EVIL),
        charts.forest([Interval(EVIL, f"/{EVIL}", 1.0, 0.5, 1.5)], EVIL),
        charts.radar([Series(EVIL, (0.1, None, 1.0))], [EVIL, "b", "c"]),
    ],
    ids=["pareto", "history", "forest", "radar"],
)
def test_names_in_pictures_are_text(svg):
    assert "<script" not in svg
    page = Shown(str(svg))
    assert page.elements[0].tag == "svg" and not page.all("script")


def test_plots_show_every_system_as_a_link(client, hub):
    page = shown(client, "/plots?benchmark=sample")
    linked = {one["href"] for one in page.all("a") if one.attributes.get("href", "").startswith("/systems/")}
    assert linked == {f"/systems/{row.system.name}" for row in hub.board("sample").rows}
    assert "No system of this board says how many parameters it has" in page.text
    assert {one.text for one in page.all("h2")} >= {"Intervals", "Score over size", "Several scores at once", "History"}


def test_another_metric_is_drawn(client):
    page = shown(client, "/plots?benchmark=sample&by=cider_d&systems=tag-template")
    assert page.one("svg", aria_label="CIDEr-D with 95 % intervals")
    assert [one["value"] for one in page.all("input", name="systems") if "checked" in one.attributes] == ["tag-template"]


def test_domains_are_means_of_what_their_clips_got(client, hub):
    page = shown(client, "/domains?benchmark=sample&by=rouge_l")
    items, best = hub.items(hub.benchmark("sample")), hub.board("sample", ranked_by="rouge_l").rows[0]
    table = hub.item_scores(best.submission_id)
    signals = [row["rouge_l"] for row in table.to_pylist() if items.domains.get(row["id"]) == "signal"]
    assert len(signals) == 3
    (row,) = [one for one in page.all("tr") if best.system.name in one.text]
    assert f"{100 * np.mean(signals):.2f}" in row.text
    assert "signal3" in page.text.replace(" ", "")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/domains?benchmark=sample&by=bleu", "This metric is no mean over the items"),
        ("/domains?benchmark=clotho-evaluation", "No system has been scored yet"),
        ("/plots?benchmark=clotho-evaluation", "No system has been scored yet"),
    ],
)
def test_where_there_is_nothing_to_draw_it_is_said(client, address, told):
    assert told in shown(client, address).text


def test_domains_of_private_references_stay_private(tmp_path):
    hub = make_hub(tmp_path)
    file = tmp_path / "p.jsonl"
    file.write_bytes(predictions())
    hub.submit(file, "closed", System("A"))
    assert score(hub) == 1
    page = shown(pages_of(hub), "/domains?benchmark=closed")
    assert "The references of this benchmark are private" in page.text and not page.all("table")
    hub.store.close()


def test_unknown_metrics_are_said(client):
    for path in ("/plots", "/domains"):
        assert (
            "No metric of this benchmark is called 'nope'" in shown(client, f"{path}?benchmark=sample&by=nope", status=404).text
        )


def test_a_size_puts_a_system_into_the_picture(tmp_path):
    hub = make_hub(tmp_path)
    publish(hub, System("Sized", parameters=3_000_000), 0.4)
    publish(hub, System("Large", parameters=900_000_000), 0.3)
    page = shown(pages_of(hub), "/plots?benchmark=open")
    assert "2 of 2 systems say how large they are" in page.text
    assert "A radar needs three scores" in page.text
    hub.store.close()
