"""Every page in a real browser: accessible in both themes, whole at phone width, drawn without an error."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
PAGES = {
    "board": "/",
    "board-filters": "/?benchmark=sample&search=listener&clean=test_items&columns=date&columns=training&columns=submitted",
    "board-empty": "/?benchmark=clotho-evaluation",
    "domains": "/domains?benchmark=sample",
    "plots": "/plots?benchmark=sample",
    "samples": "/samples?benchmark=sample&sort=worst",
    "compare": "/compare?benchmark=sample",
    "system": "/systems/attentive-listener",
    "systems": "/systems",
    "submission": "/submissions/{submission}",
    "datasets": "/datasets",
    "dataset": "/datasets/sample?q=rain",
    "playground": "/playground?caption=a+dog+barks&references=a+small+dog+is+barking",
    "published": "/published?benchmark=clotho-evaluation",
    "methods": "/methods",
    "queue": "/queue",
    "submit": "/submit?benchmark=sample",
    "admin": "/admin",
    "error": "/?benchmark=nowhere",
}
THEMES = ("light", "dark")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
# found in pages that are not ours: rule and selector
KNOWN: set[tuple[str, str]] = set()


@pytest.fixture(scope="module")
def address(hub):
    """Returns where a page is."""
    (newest, *_) = hub.get("submissions?limit=1")["submissions"]
    return lambda name: hub.url + PAGES[name].format(submission=newest["id"])


@pytest.fixture
def open_page(chromium, address):
    """Opens a page; fails where its scripts do, or where a part of it cannot be loaded."""
    contexts, failures = [], []

    def step(name: str, theme: str = "light", viewport: dict = DESK):
        context = chromium.new_context(viewport=viewport, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda said: failures.append(said.text) if said.type == "error" and name != "error" else None)
        page.goto(address(name), wait_until="load")
        return page

    yield step
    for context in contexts:
        context.close()
    assert not failures


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(open_page, name, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(name, theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}})
    if folder := os.environ.get("UAC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}-{theme}.png"), full_page=True)
    told = [
        (one["id"], node["target"][0], node["failureSummary"])
        for one in found.response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
        if (one["id"], node["target"][0]) not in KNOWN
    ]
    assert not told


@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_a_phone(open_page, name):
    page = open_page(name, viewport=PHONE)
    if folder := os.environ.get("UAC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}-phone.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("link", name="Methods", exact=True).click()
    page.get_by_role("heading", name="How scores are made").wait_for()


def test_a_theme_is_kept(open_page):
    page = open_page("methods")
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_board_is_worked_with_the_keyboard_alone(open_page):
    page = open_page("board")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "search":
            break
    page.keyboard.type("template")
    page.wait_for_url("**search=template**")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.locator("#board tbody tr").count() == 1
    page.reload()
    assert page.locator("#search").input_value() == "template" and page.locator("#board tbody tr").count() == 1


def test_filters_columns_and_sorting_live_in_the_address(open_page):
    page = open_page("board")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Attempts").check()
    page.wait_for_url("**columns=attempts**")
    assert "columns=date" in page.url
    assert page.get_by_label("Attempts").is_visible()  # what was open stays open
    page.get_by_role("columnheader", name="System").get_by_role("link").click()
    page.wait_for_url("**sort=system**")
    names = page.locator("#board tbody th a").all_inner_texts()
    assert names == sorted(names) and len(names) == 3
    page.go_back()
    page.wait_for_function("!location.search.includes('sort')")
    page.wait_for_function("document.querySelector('#board tbody th a').textContent === 'attentive-listener'")


def test_a_benchmark_is_switched_in_place(open_page):
    page = open_page("board")
    page.evaluate("window.same = true")
    page.get_by_label("Benchmark").select_option("clotho-evaluation")
    page.get_by_text("No system has been scored yet").wait_for()
    assert page.url.endswith("?benchmark=clotho-evaluation") and page.evaluate("window.same")
    assert page.title().startswith("Clotho evaluation")


def test_pages_work_without_scripts(chromium, address):
    context = chromium.new_context(java_script_enabled=False, viewport=DESK)
    page = context.new_page()
    page.goto(address("board"))
    page.get_by_label("Search systems").fill("template")
    page.get_by_role("button", name="Show").click()
    assert "search=template" in page.url and page.locator("#board tbody tr").count() == 1
    context.close()
