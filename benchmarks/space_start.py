"""Does the Space that `uac publish space` writes start from nothing but its own requirements?

    python benchmarks/space_start.py [--folder FOLDER] [--keep]

Writes the Space, makes a virtual environment outside the project, installs the Space's requirements.txt there (torch first, as
its Dockerfile does), starts app.py, sends an example, and waits for its place on the board. Takes minutes and 2 GB; prints
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unified_audiocaps.space.publish_space import write_space

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "space" / "examples" / "tag-template.jsonl"


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--keep", action="store_true", help="leave the folder, to look at it")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="uac-space-start-"))
    try:
        measure(folder)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path) -> None:
    """Runs everything once in a folder and prints how long each step took."""
    space, venv = folder / "space", folder / "venv"
    timed("write the Space", lambda: write_space(space, "my-lab/leaderboard"))
    timed("make the environment", lambda: run(sys.executable, "-m", "venv", venv))
    pip = (venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    torch = next(line for line in (space / "requirements.txt").read_text().splitlines() if line.startswith("torch=="))
    timed("install torch", lambda: run(*pip, torch))
    timed("install the rest", lambda: run(*pip, "--requirement", "requirements.txt", cwd=space))
    timed("pip check", lambda: run(venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "check"))
    installed = pins_of(run(venv / "bin/python", "-m", "pip", "freeze"))
    tested = pins_of((space / "constraints.txt").read_text())
    strange = [name for name, version in installed.items() if tested.get(name) != version.partition("+")[0]]
    say("packages", f"{len(installed)}, not at their pins: {', '.join(strange) or 'none'}")
    serve(space, venv, folder / "storage")


def serve(space: Path, venv: Path, storage: Path) -> None:
    """Starts the Space and sends it an example."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, began = f"http://127.0.0.1:{port}", time.perf_counter()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UAC_", "PYTHON"))}
    environment = {**clean, "PORT": str(port), "UAC_HOME": str(storage), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([venv / "bin/python", "app.py"], cwd=space, env=environment) as process:
        try:
            wait_for(process, lambda: get(f"{url}/api/v1/healthz")["status"] == "ok")
            say("start to healthz", f"{time.perf_counter() - began:.1f} s")
            with urllib.request.urlopen(url, timeout=30) as page:
                assert b"<title>Sample" in page.read()
            say("start to the page", f"{time.perf_counter() - began:.1f} s")
            sent, command = time.perf_counter(), (venv / "bin/uac", "submit", EXAMPLE, "--benchmark", "sample")
            run(*command, "--system", "Tag template", "--hub", url, env=environment)
            rows = wait_for(process, lambda: get(f"{url}/api/v1/leaderboard/sample")["rows"])
            say(
                "submission to board",
                f"{time.perf_counter() - sent:.1f} s, {rows[0]['system']['name']} at rank {rows[0]['rank']}",
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def pins_of(text: str) -> dict[str, str]:
    """Returns the versions of lines name==version, by canonical name."""
    lines = (line.split("==") for line in text.split() if "==" in line)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lines}


def run(*command: object, **options: Any) -> str:
    """Runs a command to its end and returns what it printed."""
    options.setdefault("env", {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")})
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def get(url: str) -> dict[str, Any]:
    """Returns the JSON at an address."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], Any], limit_s: float = 300) -> Any:
    """Returns the first true value of a condition while the process lives."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the Space ended with {process.returncode}")
        try:
            if value := condition():
                return value
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"waited {limit_s:.0f} s in vain")


def timed(what: str, step: Callable[[], Any]) -> None:
    """Does a step and prints how long it took."""
    began = time.perf_counter()
    step()
    say(what, f"{time.perf_counter() - began:.1f} s")


def say(what: str, value: str) -> None:
    """Prints a figure."""
    print(f"{what:22} {value}", flush=True)


if __name__ == "__main__":
    main()
