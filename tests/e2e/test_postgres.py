"""A hub on PostgreSQL from the command line, as on SQLite."""

import json
import os
import signal
import socket
import subprocess
import urllib.request

import psutil

from ..postgres import Cluster
from .conftest import EXAMPLES, UAC, wait_for
from .test_workers_killed import QUICK


def test_a_hub_on_postgres_is_opened_filled_and_scored(uac, sample_data, postgres: Cluster, postgres_url, tmp_path):
    hub = ["--db", postgres_url, "--data", sample_data, "--files", tmp_path / "files"]
    said = uac("benchmarks", "--db", postgres_url, code=2).stderr
    assert "files of a PostgreSQL hub have no place; name a folder: --files DIR, or UAC_FILES" in " ".join(said.split())
    uac("benchmark", "create", "quick", "--from", "sample/test", "--metrics", "bleu,rouge_l", "--primary", "rouge_l", *hub)
    for file in sorted(EXAMPLES.glob("*.jsonl")):
        assert uac("submit", file, "--benchmark", "quick", "--system", file.stem, *hub).stdout.startswith("queued: ")
    assert uac("work", "--once", *hub, **QUICK).stdout == "published 3 submissions.\n"
    found = uac("submit", EXAMPLES / "tag-template.jsonl", "--benchmark", "quick", "--system", "tag-template", *hub)
    assert found.stdout.startswith("already there, published: ")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "sample/test/rain_thunder", "caption": ""}\n')
    assert "E_MISSING_ID" in uac("submit", bad, "--benchmark", "quick", "--system", "bad", *hub, code=2).stderr


def test_a_hub_on_postgres_is_served(uac, sample_data, postgres_url, tmp_path):
    hub = ["--db", postgres_url, "--data", str(sample_data), "--files", str(tmp_path / "files")]
    uac("benchmark", "create", "quick", "--from", "sample/test", "--metrics", "rouge_l", "--primary", "rouge_l", *hub)
    uac("submit", EXAMPLES / "tag-template.jsonl", "--benchmark", "quick", "--system", "A", *hub)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def rows() -> list[dict]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/leaderboard/quick", timeout=10) as answer:
                return json.load(answer)["rows"]
        except OSError:
            return []

    with subprocess.Popen([*UAC, "serve", "--port", str(port), *hub], env={**os.environ, **QUICK}) as process:
        try:
            wait_for(rows, "the worker beside the pages to publish it", 120)
            assert [row["rank"] for row in rows()] == [1]
            beside = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.terminate()
            process.wait(60)
    assert process.returncode in {0, -signal.SIGTERM}
    wait_for(
        lambda: not [one for one in beside if one.is_running() and one.status() != "zombie"], "the worker to end with it", 40
    )
