"""The built sample, a running hub and a browser, each started once per test module."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import ROOT, stop_without
from ..hub_double import HubDouble

UAC = [sys.executable, "-m", "unified_audiocaps.space.cli"]
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXAMPLES = ROOT / "space" / "examples"
PATIENCE_MS = 30_000


@dataclass(frozen=True)
class RunningHub:
    """A hub in processes of its own."""

    url: str
    db: str
    data: Path

    def get(self, path: str) -> dict:
        """Returns the JSON at a path of the API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)


Uac = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def uac(tmp_path_factory: pytest.TempPathFactory) -> Uac:
    """Runs `uac` with the arguments given; `code` is the expected exit code."""
    home = tmp_path_factory.mktemp("uac-home")

    def run(*arguments: object, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "UAC_HOME": str(home), **variables}
        done = subprocess.run(
            [*UAC, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=600, check=False
        )
        assert done.returncode == code, f"uac {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def sample_data(uac: Uac, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `unified-audiocaps` with the sample built."""
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    uac("build", "sample", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def hub(uac: Uac, sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """`uac serve` with a worker beside it and the three example systems published."""
    db = f"sqlite:///{tmp_path_factory.mktemp('hub')}/hub.db"
    for file in sorted(EXAMPLES.glob("*.jsonl")):
        uac("submit", file, "--benchmark", "sample", "--system", file.stem, "--db", db, "--data", sample_data)
    uac("work", "--once", "--db", db, "--data", sample_data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*UAC, "serve", "--port", str(port), "--db", db, "--data", str(sample_data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        running = RunningHub(f"http://127.0.0.1:{port}", db, sample_data)
        try:
            wait_for(lambda: process.poll() is not None or _answers(running), "the hub to answer", 60)
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _answers(hub: RunningHub) -> bool:
    try:
        return hub.get("healthz")["status"] == "ok"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60) -> object:
    """Returns the condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")


@pytest.fixture
def double() -> Iterator[HubDouble]:
    """A Hub in this process."""
    hub = HubDouble()
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def online(double: HubDouble, tmp_path: Path) -> dict[str, str]:
    """The environment in which the double is the Hub."""
    return {
        "HF_ENDPOINT": double.url,
        "HF_TOKEN": "hf_test",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "UAC_HOME": str(tmp_path / "home"),
    }


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium."""
    if not CHROMIUM.exists():
        stop_without(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page of a desk; fails where its scripts do, or where a part of it cannot be loaded."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert not failures


def python(code: str, variables: dict[str, str], folder: Path) -> object:
    """Returns the JSON that a script prints last; the script runs in a process of its own."""
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
