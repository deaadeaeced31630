"""The page of `uac inspect` in a real browser, away from any network."""

import pytest

WIDTHS = {"phone": 390, "desk": 1280}


@pytest.fixture(scope="module")
def page_file(uac, sample_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("inspect") / "sample.html"
    uac("inspect", "sample", "--rows", 3, "--html", path, "--data", sample_data)
    return path


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_sounds_play_pictures_show_and_nothing_sticks_out(chromium, page_file, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(page_file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('audio')].every(one => one.readyState >= 1)")
    durations = page.evaluate("[...document.querySelectorAll('audio')].map(one => one.duration)")
    assert len(durations) == 3
    assert all(2 < duration < 7 for duration in durations)
    assert page.evaluate("[...document.images].every(one => one.naturalHeight === 64 && one.alt)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "AUDIO"
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert said == []
    page.close()
