"""The life of a submission in a real browser: by mouse, by keyboard alone, on a phone; and what axe says of its pages."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import EXAMPLES, wait_for

pytestmark = pytest.mark.browser
PATIENCE_MS = 30_000
PHONE = {"width": 390, "height": 844}
PATHS = (
    "/submit?benchmark=sample",
    "/submissions/{id}",
    "/systems/attentive-listener",
    "/systems",
    "/queue",
    "/admin",
    "/nowhere",
)


def opened(chromium, request, **options):
    """Yields a page in a browser of its own; nothing may go wrong in its scripts, and nothing may be forbidden to them."""
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda said: "Content Security Policy" in said.text and failures.append(said.text))
    yield page
    context.close()
    assert not failures


@pytest.fixture
def page(chromium, request):
    yield from opened(chromium, request)


@pytest.fixture
def phone(chromium, request):
    yield from opened(chromium, request, viewport=PHONE, has_touch=True)


@pytest.fixture
def plain(chromium, request):
    """A browser without scripts."""
    yield from opened(chromium, request, java_script_enabled=False)


def picture(page, name: str) -> None:
    """Saves a screenshot where UAC_SCREENSHOTS says, for people who want to look."""
    if folder := os.environ.get("UAC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def written(folder: Path, name: str, last: str) -> tuple[Path, Path]:
    """Returns a file with three problems, and the same put right; `last` is its last caption, so that no two are alike."""
    good = (EXAMPLES / "tag-template.jsonl").read_text(encoding="utf-8").splitlines()
    bad, fixed = folder / f"{name}-bad.jsonl", folder / f"{name}.jsonl"
    bad.write_text("\n".join([good[0], good[0], '{"id": "nobody", "caption": "x"}', *good[3:]]), encoding="utf-8")
    fixed.write_text("\n".join([*good[:-1], json.dumps({**json.loads(good[-1]), "caption": last})]), encoding="utf-8")
    return bad, fixed


def has_no_overflow(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def published(hub, page) -> str:
    """Waits on a submission's page until it says that it is on the board, without a reload, and returns its id."""
    expect(page).to_have_url(re.compile(r"/submissions/[0-9a-f-]{36}$"))
    id_ = page.url.rpartition("/")[2]
    expect(page.get_by_role("heading", name="What was measured")).to_be_visible(timeout=60_000)
    assert hub.get(f"submissions/{id_}")["state"] == "published"
    return id_


# -- the life of a submission --------------------------------------------------------------------------------------------------


def test_a_bad_file_is_explained_put_right_sent_scored_shown_and_taken_back(hub, page, tmp_path):
    bad, fixed = written(tmp_path, "mouse", "a new sound")
    page.goto(f"{hub.url}/submit?benchmark=sample")
    page.get_by_label("Name of the system").fill("From the browser")
    page.get_by_label("File with your predictions").set_input_files(str(bad))
    expect(page.locator("#chosen")).to_contain_text("mouse-bad.jsonl")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#outcome")).to_be_focused()
    expect(page.locator("#outcome")).to_contain_text("problems in 12 rows")
    problems = page.locator("#problems")
    expect(problems.get_by_role("row", name=re.compile("^2 E_DUP_ID"))).to_contain_text("line 1 already")
    for code in ("E_UNKNOWN_ID", "E_MISSING_ID"):
        expect(problems).to_contain_text(code)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the list").click()
    assert "E_DUP_ID" in Path(download.value.path()).read_text(encoding="utf-8")
    picture(page, "submit-problems")
    assert not hub.get("submissions?system=From%20the%20browser")["submissions"]

    # what was typed and chosen is still there
    expect(page.get_by_label("Name of the system")).to_have_value("From the browser")
    expect(page.locator("#chosen")).to_contain_text("mouse-bad.jsonl")
    page.get_by_label("File with your predictions").set_input_files(str(fixed))
    page.get_by_role("button", name="Try").click()
    expect(page.locator("#scores")).to_contain_text("CIDEr-D")
    picture(page, "submit-tried")
    page.get_by_label("Training data").fill("none")
    page.get_by_role("button", name="Submit", exact=True).click()

    id_ = published(hub, page)
    expect(page.locator(".steps .done")).to_have_count(4)
    expect(page.locator("#timeline")).to_contain_text("A worker began to score it")
    for row in hub.get("leaderboard/sample?search=&limit=50")["rows"]:
        if row["submission_id"] == id_:
            expect(page.locator("main")).to_contain_text(f"{100 * row['values']['date']:.2f}")
    picture(page, "submission")

    page.get_by_role("link", name="About the system").click()
    expect(page.locator("h1")).to_have_text("From the browser")
    expect(page.locator("#places")).to_contain_text("Sample")
    expect(page.locator("main")).to_contain_text("no overlap")
    picture(page, "system")
    page.goto(f"{hub.url}/?benchmark=sample")
    expect(page.locator("#board")).to_contain_text("From the browser")
    page.goto(f"{hub.url}/queue")
    expect(page.locator("#queue tbody tr").first).to_contain_text("From the browser")

    # heard, compared with another one, and taken along
    page.goto(f"{hub.url}/submissions/{id_}")
    page.get_by_role("link", name="Listen to its captions").click()
    expect(page.locator("#captions")).to_contain_text("From the browser")
    page.locator("#player").evaluate("one => one.play()")
    wait_for(lambda: page.locator("#player").evaluate("one => one.currentTime") > 0.2, "the sound to go on")
    page.goto(f"{hub.url}/compare?benchmark=sample&systems=From+the+browser&systems=attentive-listener")
    expect(page.locator("main")).to_contain_text("attentive-listener is better")
    page.goto(f"{hub.url}/?benchmark=sample")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "From the browser" in Path(download.value.path()).read_text(encoding="utf-8")

    page.goto(f"{hub.url}/submissions/{id_}")
    page.get_by_text("Take it back").first.click()
    page.get_by_role("button", name="Yes, take it back").click()
    expect(page.locator("#state")).to_contain_text("Taken back")
    assert hub.get(f"submissions/{id_}")["state"] == "withdrawn"
    page.goto(f"{hub.url}/?benchmark=sample")
    expect(page.locator("#board")).to_contain_text("attentive-listener")
    expect(page.locator("#board")).not_to_contain_text("From the browser")


def test_the_same_with_the_keyboard_alone(hub, page, tmp_path):
    bad, fixed = written(tmp_path, "keys", "a sound by keys")

    def reach(name: str) -> None:
        """Presses Tab until the control of that name or id has the focus."""
        for _ in range(80):
            here = page.evaluate(
                "[document.activeElement.id, document.activeElement.innerText, document.activeElement.labels?.[0]?.innerText]"
            )
            if any(one and one.strip().startswith(name) for one in here):
                assert page.evaluate("document.activeElement.matches(':focus-visible')"), f"{name} does not show its focus"
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"no way to {name} with the keyboard; the last was {here}")

    def choose(file: Path) -> None:
        reach("File with your predictions")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(str(file))

    page.goto(f"{hub.url}/submit?benchmark=sample")
    choose(bad)
    reach("Check")
    page.keyboard.press("Enter")
    expect(page.locator("#outcome")).to_be_focused()
    expect(page.locator("#problems")).to_contain_text("E_DUP_ID")
    page.goto(f"{hub.url}/submit?benchmark=sample")
    choose(fixed)
    reach("Name of the system")
    page.keyboard.type("By keys")
    reach("Submit")
    page.keyboard.press("Enter")
    id_ = published(hub, page)
    page.reload()
    reach("Take it back")
    page.keyboard.press("Enter")
    reach("Yes, take it back")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("Taken back")
    assert hub.get(f"submissions/{id_}")["state"] == "withdrawn"


def test_the_same_on_a_phone(hub, phone, tmp_path):
    bad, fixed = written(tmp_path, "phone", "a sound by phone")
    phone.goto(f"{hub.url}/submit?benchmark=sample")
    phone.get_by_label("File with your predictions").set_input_files(str(bad))
    phone.get_by_role("button", name="Check", exact=True).tap()
    expect(phone.locator("#problems")).to_contain_text("E_DUP_ID")
    assert has_no_overflow(phone)
    picture(phone, "submit-phone")
    phone.get_by_label("File with your predictions").set_input_files(str(fixed))
    phone.get_by_label("Name of the system").fill("By phone")
    phone.get_by_role("button", name="Submit", exact=True).tap()
    id_ = published(hub, phone)
    picture(phone, "submission-phone")
    for path in (f"submissions/{id_}", "systems/By%20phone", "systems", "queue", "admin", "submit?benchmark=sample"):
        phone.goto(f"{hub.url}/{path}")
        assert has_no_overflow(phone), path
    phone.goto(f"{hub.url}/submissions/{id_}")
    phone.get_by_text("Take it back").first.tap()
    phone.get_by_role("button", name="Yes, take it back").tap()
    expect(phone.locator("#state")).to_contain_text("Taken back")


def test_the_same_without_scripts(hub, plain, tmp_path):
    bad, fixed = written(tmp_path, "plain", "a sound without scripts")
    plain.goto(f"{hub.url}/submit?benchmark=acc")
    plain.locator("#choose select").select_option("sample")
    plain.locator("#choose").get_by_role("button", name="Show").click()
    plain.locator("#file").set_input_files(str(bad))
    plain.locator("#name").fill("Without scripts")
    plain.locator("#check").click()
    expect(plain.locator("#problems")).to_contain_text("E_DUP_ID")
    expect(plain.locator("#name")).to_have_value("Without scripts")
    plain.locator("#file").set_input_files(str(fixed))
    plain.locator("#send").click()
    expect(plain).to_have_url(re.compile(r"/submissions/"))
    id_ = plain.url.rpartition("/")[2]
    wait_for(lambda: hub.get(f"submissions/{id_}")["state"] == "published", "the worker to publish it")
    plain.reload()
    expect(plain.locator("#state")).to_contain_text("On the board")
    plain.locator("#withdraw summary").click()
    plain.locator("#withdraw button").click()
    expect(plain.locator("#state")).to_contain_text("Taken back")


def test_a_file_is_dropped_and_stays_while_the_benchmark_changes(hub, page):
    page.goto(f"{hub.url}/submit?benchmark=sample")
    dropped = page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.items.add(new File(['{}'], 'dropped.jsonl')); return data; }"
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})
    expect(page.locator("#chosen")).to_contain_text("dropped.jsonl")
    page.get_by_label("Name of the system").fill("Kept")
    page.locator("#benchmark").select_option("clotho-evaluation")
    expect(page.locator("main")).to_contain_text("not open on this hub yet")
    page.locator("#benchmark").select_option("sample")
    expect(page.locator("#chosen")).to_contain_text("dropped.jsonl")
    expect(page.get_by_label("Name of the system")).to_have_value("Kept")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#problems")).to_contain_text("E_")


def test_a_file_that_changed_since_it_was_chosen_is_told(hub, page, tmp_path):
    file = tmp_path / "changing.jsonl"
    file.write_text('{"id": "x", "caption": "y"}\n')
    page.goto(f"{hub.url}/submit?benchmark=sample")
    page.locator("#file").set_input_files(str(file))
    page.route("**/submit", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("choose it again")
    expect(page.locator("#check")).to_be_enabled()


def test_an_admin_looks_at_what_would_change_and_at_the_log(hub, page):
    page.goto(f"{hub.url}/admin")
    page.get_by_role("button", name="Verify the log").click()
    expect(page.locator("main")).to_contain_text("The log is whole")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("#preview")).to_contain_text("attentive-listener")
    picture(page, "admin")


# -- for everybody -------------------------------------------------------------------------------------------------------------


def submission_of(hub, system: str) -> str:
    return hub.get(f"submissions?system={system}")["submissions"][0]["id"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_serious(chromium, request, hub, path, theme):
    for page in opened(chromium, request, color_scheme=theme):
        page.goto(hub.url + path.format(id=submission_of(hub, "attentive-listener")))
        assert not serious(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_is_told_of_a_file(chromium, request, hub, theme, tmp_path):
    bad, fixed = written(tmp_path, "axe", "a sound for axe")
    for page in opened(chromium, request, color_scheme=theme):
        page.goto(f"{hub.url}/submit?benchmark=sample")
        for file, button in ((bad, "#check"), (fixed, "#try"), (fixed, "#send")):
            page.locator("#file").set_input_files(str(file))
            page.locator(button).click()
            expect(page.locator("#outcome")).to_be_focused()
            expect(page.locator("#outcome .note")).to_be_visible()
            assert not serious(page)


def serious(page) -> list[tuple[str, list[str]]]:
    """Returns what axe calls serious or worse: rule and selectors."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    return [
        (one["id"], [str(node["target"]) for node in one["nodes"]]) for one in found if one["impact"] in {"serious", "critical"}
    ]
