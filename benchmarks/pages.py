"""The pages in Chromium: start of the hub, a board of many systems, filters, switches, the next clip, visitors at once.

    python benchmarks/pages.py [--systems 5000] [--visitors 50] [--folder DIR]

A hub on SQLite gets the sample, its three examples scored for real, and a board of made-up scores (`benchmarks/load.py` makes
it) whose systems have sizes and training data. Times are those of the browser: from the navigation, or from the key or choice,
until the changed table is drawn (two animation frames). The first clip of a process reads its set; the clips after it are
what is counted. Targets stand beside what was measured. Visitors ask at once, each for six pages one after the other.

The floor of a page is its answer alone, which is measured by plain requests in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import load
import numpy as np
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.submission import System
from unified_audiocaps.leaderboard.worker import Place

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
VISITED = ("/?benchmark={board}", "/samples?benchmark=sample", "/plots?benchmark={board}", "/queue", "/methods", "/published")


def fill(place: Place, n: int) -> Hub:
    """Returns a hub with the sample's three examples and a board of `n` systems."""
    hub = load.prepare(place, replace(load.QUICK, date=0))
    for file in sorted((ROOT / "space" / "examples").glob("*.jsonl")):
        hub.submit(file, "sample", System(file.stem))
    while job := hub.store.claim("benchmark", 600):
        hub.store.finish(job, hub.score(job))
    rng = np.random.default_rng(7)
    for number in range(n):
        load.publish(hub, number, rng)
    return hub


def measured(page: Any, act: Callable[[], Any], is_done: str) -> float:
    """Returns the seconds from an act until the page is drawn in the state that a JavaScript condition tells."""
    began = time.perf_counter()
    act()
    page.wait_for_function(is_done, polling=10)
    page.evaluate(DRAWN)
    return time.perf_counter() - began


def told(name: str, seconds: Sequence[float], limit_s: float) -> str:
    """Returns a line of the report."""
    worst, middle = max(seconds), statistics.median(seconds)
    verdict = "ok" if worst <= limit_s else "SLOWER"
    return f"{name:<52} p50 {middle * 1e3:6.0f} ms   max {worst * 1e3:6.0f} ms   target {limit_s * 1e3:5.0f} ms   {verdict}"


def answers(url: str, n: int = 20) -> float:
    """Returns the median seconds of a plain answer: the floor of a page."""
    found = []
    for _ in range(n):
        began = time.perf_counter()
        urllib.request.urlopen(url, timeout=60).read()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def visit(url: str, board: str) -> list[float]:
    """Asks for some pages as one visitor; raises where one is refused."""
    found = []
    for path in VISITED:
        began = time.perf_counter()
        with urllib.request.urlopen(url + path.format(board=board), timeout=120) as answer:
            answer.read()
        found.append(time.perf_counter() - began)
    return found


def run(folder: Path, n_systems: int, n_visitors: int) -> list[str]:
    """Returns the lines of the report."""
    from playwright.sync_api import sync_playwright

    place = Place(f"sqlite:///{folder}/hub/hub.db", folder / "unified-audiocaps", folder / "hub" / "files")
    subprocess.run(
        [*load.UAC, "build", "sample", "--out", str(place.data)],
        check=True,
        capture_output=True,
        env=load.environment(load.QUICK, folder),
    )
    fill(place, n_systems).store.close()
    port, lines = load.free_port(), []
    url = f"http://127.0.0.1:{port}"
    board = f"{url}/?benchmark={load.NGRAM}"
    serve = [*load.UAC, "serve", "--workers", "0", "--port", str(port), *load.options(place)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        # conditions that are asked again and again are evaluated, which the pages' own policy forbids
        page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        page.set_default_timeout(60_000)
        began = time.perf_counter()
        with load.kept(serve, environment=load.environment(load.QUICK, folder), log=folder / "serve.log"):
            load.wait_until_up(port)
            page.goto(f"{url}/?benchmark=sample", wait_until="commit")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0", polling=20)
            lines.append(told("uac serve to first paint", [time.perf_counter() - began], 6.0))

            def open_board() -> float:
                return measured(
                    page,
                    lambda: page.goto(board, wait_until="commit"),
                    "document.querySelectorAll('#board tbody tr').length == 100",
                )

            lines.append(told(f"board of {n_systems:,} systems, first time", [open_board()], 1.5))
            lines.append(told(f"board of {n_systems:,} systems, again", [open_board() for _ in range(10)], 1.5))
            lines.append(f"  of which the answer alone {answers(board) * 1e3:.0f} ms")
            switches, filters = [], []
            for _ in range(5):
                choose = page.get_by_label("Benchmark")
                switches.append(
                    measured(
                        page,
                        lambda c=choose: c.select_option("sample"),
                        "document.querySelectorAll('#board tbody tr').length == 3",
                    )
                )
                choose = page.get_by_label("Benchmark")
                switches.append(
                    measured(
                        page,
                        lambda c=choose: c.select_option(load.NGRAM),
                        "document.querySelectorAll('#board tbody tr').length == 100",
                    )
                )
            lines.append(told("switch of benchmark", switches, 0.5))
            for number in (17, 423, 1044, 3999, 2500):
                name = f"{number % n_systems}"
                page.locator("#search").fill("")
                page.wait_for_function(
                    "document.querySelector('#status').textContent.includes(' of ') && !location.search.includes('search')"
                )
                page.evaluate(DRAWN)
                # what somebody types is asked for 120 ms after the last letter, which counts here, too
                filters.append(
                    measured(page, lambda n=name: page.locator("#search").fill(n), f"location.search.includes('search={name}')")
                )
            lines.append(told("filter of the board, 120 ms pause in typing included", filters, 0.32))
            page.goto(f"{url}/samples?benchmark=sample")
            page.wait_for_selector("audio")
            steps = []
            for _ in range(10):
                heading = page.locator("#chosen").inner_text()
                wanted = f"document.querySelector('#chosen').textContent.trim() !== {heading!r}"
                steps.append(measured(page, lambda: page.keyboard.press("j"), wanted))
            lines.append(told("next clip", steps, 0.3))
            with ThreadPoolExecutor(n_visitors) as visitors:
                began = time.perf_counter()
                found = list(visitors.map(lambda _: visit(url, load.NGRAM), range(n_visitors)))
                seconds = time.perf_counter() - began
            flat = sorted(second for one in found for second in one)
            lines.append(
                f"{n_visitors} visitors at once, {len(flat)} pages: no error, {len(flat) / seconds:.0f} pages/s, "
                f"p50 {flat[len(flat) // 2] * 1e3:.0f} ms, p95 {flat[int(0.95 * len(flat))] * 1e3:.0f} ms"
            )
        browser.close()
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=5_000)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="an empty folder; a temporary one by default")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="uac-pages-") as temporary:
        print("\n".join(run(asked.folder or Path(temporary), asked.systems, asked.visitors)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
