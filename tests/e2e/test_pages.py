"""The board and the submit page in a real browser."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as Waited

from .conftest import EXAMPLES, wait_for

pytestmark = pytest.mark.browser
PATIENCE_MS = 30_000


@pytest.fixture
def page(chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    page.close()
    assert not failures


def picture(page, name: str) -> None:
    """Saves a screenshot where UAC_SCREENSHOTS says, for people who want to look."""
    if folder := os.environ.get("UAC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_board_shows_the_three_systems_in_order(hub, page):
    page.goto(hub.url)
    page.locator("#board").get_by_text("attentive-listener").first.wait_for()
    shown = page.locator("#board").inner_text()
    picture(page, "board")
    answered = hub.get("leaderboard/sample")
    assert [row["rank"] for row in answered["rows"]] == [1, 2, 3]
    positions = [shown.index(row["system"]["name"]) for row in answered["rows"]]
    assert positions == sorted(positions)
    for row in answered["rows"]:
        assert f"{100 * row['values']['date']:.2f}" in shown
    assert "attentive-listener" in page.locator("#queue").inner_text()


def test_benchmark_in_the_address_opens_it_and_says_how_to_begin(hub, page):
    page.goto(f"{hub.url}/?benchmark=clotho-evaluation")
    page.get_by_text("No system has been scored yet").wait_for()
    assert "1,045 clips" in page.locator("#about").inner_text()
    picture(page, "board-empty")


def attach(page, hub, file):
    """Fills in the form; a file that was chosen before the page came to life is not sent, and is chosen again."""
    page.goto(f"{hub.url}/submit?benchmark=sample")
    page.locator("#system textarea, #system input").first.fill("From the browser")
    for seconds in (3, 10, 30):
        page.locator("#file input[type=file]").set_input_files(str(file))
        with contextlib.suppress(Waited):
            page.get_by_text(file.name).first.wait_for(timeout=1000 * seconds)
            return
    raise AssertionError(f"the page does not show {file.name}")


def test_bad_file_is_explained_then_the_corrected_one_reaches_the_board(hub, page, tmp_path):
    good = (EXAMPLES / "tag-template.jsonl").read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join([good[0], good[0], '{"id": "nobody", "caption": "x"}', *good[3:]]), encoding="utf-8")
    fixed = tmp_path / "fixed.jsonl"
    fixed.write_text("\n".join([*good[:-1], json.dumps({**json.loads(good[-1]), "caption": "a new sound"})]), encoding="utf-8")

    attach(page, hub, bad)
    page.locator("#check").click()
    page.get_by_text("3 problems").wait_for()
    page.locator("#problems").get_by_text("stands on line 1 already").first.wait_for()
    shown = page.locator("#problems").inner_text()
    picture(page, "submit-problems")
    assert "E_DUP_ID" in shown and "E_UNKNOWN_ID" in shown and "E_MISSING_ID" in shown

    page.locator("#send").click()
    page.get_by_text("Not submitted.").wait_for()

    attach(page, hub, fixed)
    page.locator("#send").click()
    page.get_by_text("Queued:").wait_for()
    submission_id = page.locator("#verdict code").inner_text()
    picture(page, "submit-queued")
    wait_for(lambda: hub.get(f"submissions/{submission_id}")["state"] == "published", "the worker to publish it")

    page.goto(hub.url)
    page.locator("#board").get_by_text("From the browser").first.wait_for()
    picture(page, "board-after")
