"""The dataset explorer in a real browser: one finds while one types, opens a caption, hears it, and goes back."""

import json

import pytest

from .conftest import wait_for

pytestmark = pytest.mark.browser


def test_who_types_finds_opens_hears_and_goes_back(hub, page):
    page.goto(f"{hub.url}/datasets")
    page.locator("#q").press_sequentially("synthesised seed")
    page.wait_for_url("**q=synthesised+seed**")
    page.locator("#set-sample").get_by_role("link", name="Explore").click()
    page.locator("#q").press_sequentially("waves")
    page.wait_for_url("**q=waves**")
    page.locator("#clips mark").first.wait_for()
    assert page.locator("#q").input_value() == "waves"
    assert page.evaluate("document.activeElement.id") == "q"
    page.get_by_text("sample/test/waves").first.click()
    page.get_by_role("heading", name="sample/test/waves").wait_for()
    wait_for(lambda: page.evaluate("document.getElementById('player').readyState >= 2"), "the sound to arrive")
    wait_for(lambda: page.evaluate("document.querySelector('.mel').naturalWidth > 400"), "its picture to arrive")
    page.keyboard.press("p")
    wait_for(lambda: page.evaluate("document.getElementById('player').currentTime") > 0.3, "the sound to go on")
    page.keyboard.press("k")
    page.get_by_role("heading", name="sample/train/wind_gusts").wait_for()
    page.go_back()
    page.get_by_role("heading", name="sample/test/waves").wait_for()
    page.go_back()
    page.locator("#chosen").wait_for(state="detached")
    assert page.locator("#q").input_value() == "waves" and page.locator("#clips mark").count() >= 3


def test_filters_and_tabs_are_part_of_the_address(hub, page, chromium):
    page.goto(f"{hub.url}/datasets/sample")
    page.locator("#split").select_option("train")
    page.wait_for_url("**split=train**")
    page.get_by_text("60 captions").wait_for()
    page.locator("#hit-1").click()
    page.locator("#chosen").wait_for()
    other = chromium.new_page()
    other.goto(page.url)
    assert other.locator("#chosen").inner_text() == page.locator("#chosen").inner_text()
    assert other.locator("#split").input_value() == "train"
    other.close()
    page.get_by_role("link", name="Statistics").click()
    page.get_by_text("word vocabulary").wait_for()
    assert page.url.endswith("view=statistics")


@pytest.mark.parametrize(
    "address",
    [
        "/datasets", "/datasets/sample?q=waves&row=sample/test/waves", "/datasets/sample?view=card",
        "/datasets/sample?view=statistics", "/datasets/adc_acc",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages_on_a_phone_too(hub, chromium, address, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(hub.url + address)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    context.close()
    assert not [(one["id"], json.dumps(one["nodes"][0]["target"])) for one in found if one["impact"] in {"serious", "critical"}]
