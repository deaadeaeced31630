"""The sample explorer and comparisons in a real browser: sound plays, keys go on, addresses restore what was seen."""

import json
import re
import urllib.request

import pytest

from .conftest import wait_for

pytestmark = pytest.mark.browser


def heading(page) -> str:
    return page.locator("#chosen").inner_text()


def second_of(page) -> float:
    return page.evaluate("document.getElementById('player').currentTime")


def order_of(hub) -> list[str]:
    with urllib.request.urlopen(f"{hub.url}/samples?benchmark=sample", timeout=30) as answer:
        html = answer.read().decode()
    return [f"sample/test/{name}" for name in re.findall(r'id="clip-\d+".*?<b>([^<]*)</b>', html, re.DOTALL)]


def test_a_clip_is_heard_and_seen(hub, page):
    page.goto(f"{hub.url}/samples?benchmark=sample")
    page.wait_for_function("document.getElementById('player').readyState >= 2")
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(5.0, abs=0.01)
    page.wait_for_function("document.querySelector('.mel').naturalWidth > 400")
    page.keyboard.press("p")
    wait_for(lambda: second_of(page) > 0.3, "the sound to go on")
    page.keyboard.press("p")
    page.wait_for_function("document.getElementById('player').paused")
    page.evaluate("document.getElementById('player').currentTime = 4")  # players seek by ranges
    wait_for(lambda: second_of(page) == 4.0, "the player to seek")


def test_keys_go_along_the_list_and_the_address_restores_the_clip(hub, page, chromium):
    order = order_of(hub)
    page.goto(f"{hub.url}/samples?benchmark=sample")
    assert heading(page) == order[0]
    for key, place in (("j", 1), ("ArrowRight", 2), ("k", 1), ("j", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        page.get_by_role("heading", name=order[place], exact=True).wait_for()
    page.wait_for_function("document.querySelector('#clips [aria-current]').id === 'clip-2'")
    other = chromium.new_page()
    other.goto(page.url)
    assert heading(other) == order[1]
    other.close()
    page.go_back()
    page.get_by_role("heading", name=order[2], exact=True).wait_for()


def test_keys_can_be_turned_off(hub, page):
    order = order_of(hub)
    page.goto(f"{hub.url}/samples?benchmark=sample")
    page.get_by_role("button", name="Turn keys off").click()
    page.reload()
    page.keyboard.press("j")
    page.get_by_role("button", name="Turn keys on").click()
    page.get_by_role("heading", name=order[0], exact=True).wait_for()  # the key did nothing
    page.locator("body").press("j")
    page.get_by_role("heading", name=order[1], exact=True).wait_for()


def test_keys_are_letters_where_one_types(hub, page):
    page.goto(f"{hub.url}/samples?benchmark=sample")
    page.locator("#search").press_sequentially("thunder")
    page.wait_for_url("**search=thunder**")
    page.get_by_role("heading", name="sample/test/rain_thunder", exact=True).wait_for()
    page.locator("#search").press("j")
    page.get_by_text("No clip has these words").wait_for()
    assert page.locator("#search").input_value() == "thunderj"


def test_who_listens_goes_on_listening(hub, page):
    order = order_of(hub)
    page.goto(f"{hub.url}/samples?benchmark=sample")
    page.keyboard.press("p")
    wait_for(lambda: second_of(page) > 0.1, "the sound to go on")
    page.keyboard.press("j")
    page.get_by_role("heading", name=order[1], exact=True).wait_for()
    wait_for(lambda: second_of(page) > 0.1, "the next sound to play")
    page.keyboard.press("p")
    page.keyboard.press("j")
    page.get_by_role("heading", name=order[2], exact=True).wait_for()
    assert page.evaluate("document.getElementById('player').paused")


def test_differences_between_systems_are_heard(hub, page):
    page.goto(f"{hub.url}/compare?benchmark=sample")
    assert page.get_by_text("attentive-listener is better").count() >= 5
    page.locator("audio").first.evaluate("one => one.play()")
    wait_for(lambda: page.locator("audio").first.evaluate("one => one.currentTime") > 0.2, "the sound to go on")
    page.locator(".card h4 a").first.click()
    page.locator("#captions").wait_for()
    assert page.locator("#captions tbody tr").count() == 2


@pytest.mark.parametrize("address", ["/samples?benchmark=sample", "/compare?benchmark=sample"])
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
