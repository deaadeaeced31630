"""The API of a hub in a process of its own: files by the command and by curl, and what its log holds."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from .conftest import UAC, RunningHub, _answers, wait_for

SENTINEL = "quokkaphone"
IDS = ("rain", "dog", "bell")


@pytest.fixture
def served(uac, tmp_path):
    """`uac serve` without workers over a benchmark of one's own with private references, and the file of its log."""
    references, db, log = tmp_path / "references.jsonl", f"sqlite:///{tmp_path}/hub.db", tmp_path / "log"
    references.write_text("".join(json.dumps({"id": id_, "references": [f"{id_} {SENTINEL}"]}) + "\n" for id_ in IDS))
    metrics = ("--metrics", "rouge_l,bleu", "--primary", "rouge_l", "--private")
    uac("benchmark", "create", "mine", "--references", references, *metrics, "--db", db)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*UAC, "serve", "--workers", "0", "--port", str(port), "--db", db, "--data", str(tmp_path)]
    environment = {**os.environ, "UAC_HOME": str(tmp_path / "home")}
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream, env=environment) as process:
        hub = RunningHub(f"http://127.0.0.1:{port}", db, tmp_path)
        try:
            wait_for(lambda: process.poll() is not None or _answers(hub), "the hub to answer", 60)
            assert process.poll() is None, log.read_text()
            yield hub, log
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in {0, -signal.SIGTERM}


def write(path: Path, ids: tuple[str, ...]) -> Path:
    path.write_text("".join(json.dumps({"id": id_, "caption": f"a sound of {id_}"}) + "\n" for id_ in ids))
    return path


def test_files_come_in_by_command_and_by_curl_and_nothing_private_goes_out(served, uac, tmp_path, unavailable):
    hub, log = served
    good, bad = write(tmp_path / "good.jsonl", IDS), write(tmp_path / "bad.jsonl", IDS[:2])
    there = ("--benchmark", "mine", "--hub", hub.url)
    assert "complete and valid for mine: 3 rows" in uac("validate", good, *there).stdout
    assert uac("submit", good, *there, "--system", "A").stdout.startswith("queued: ")
    assert "already there, queued" in uac("submit", good, *there, "--system", "A", UAC_TOKEN="hf_secret").stdout
    refused = uac("submit", bad, *there, "--system", "A", code=2)
    assert "1 of 3 clips have no caption: bell" in refused.stderr
    curl = shutil.which("curl") or unavailable("no curl on this machine")
    form = ["-F", f"file=@{bad}", "-F", "benchmark=mine", "-F", "system=B"]
    sent = [curl, "-s", "-i", *form, "-H", "Authorization: Bearer hf_secret", f"{hub.url}/api/v1/submissions"]
    answer = subprocess.run(sent, capture_output=True, text=True, check=True, timeout=60).stdout
    assert answer.startswith("HTTP/1.1 422") and "1 of 3 clips have no caption: bell" in answer
    uac("work", "--once", "--db", hub.db, "--data", tmp_path)
    row = hub.get("leaderboard/mine")["rows"][0]
    assert (row["system"]["name"], row["rank"]) == ("A", 1)
    told = json.dumps([hub.get(path) for path in ("leaderboard/mine", "submissions", "events", "systems", "benchmarks")])
    text = log.read_text()
    assert SENTINEL not in told + text + answer and "hf_secret" not in told + text + answer
    assert str(tmp_path) not in told + answer
    assert "Traceback" not in text
