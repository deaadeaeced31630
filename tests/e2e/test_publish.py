"""Everything that can be published, against the double, and read back: the dataset, metrics, and the hub itself as a Space."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from ..conftest import ROOT
from .conftest import EXAMPLES, python, wait_for

DATASET, SPACE = "org/unified-audiocaps", "org/leaderboard"
CLOTHO = ROOT / "tests/fixtures/sources/clotho/raw"


@pytest.fixture
def with_space(double, online, uac):
    """The Hub with a Space, published by the command of the README."""
    uac("publish", "space", "--repo", SPACE, "--dataset", DATASET, **online)
    return double


READ_BACK = """
import json
import evaluate
from datasets import Audio, load_dataset
clips = load_dataset("org/unified-audiocaps", "sample", split="test").cast_column("audio", Audio(decode=False))
references = [[one["text"] for one in clip["captions"] if one["style"] == "default"] for clip in clips]
date, cider_d = evaluate.load("org/date"), evaluate.load("org/cider_d")
captions = [texts[0] for texts in references]
print(json.dumps([
    clips.num_rows,
    len(references[0]),
    date.compute(predictions=captions, references=references)["date"],
    cider_d.compute(predictions=captions, references=references)["cider_d"],
]))
"""


def test_the_dataset_and_the_metrics_are_read_back(double, online, uac, sample_data, tmp_path):
    uac("publish", "dataset", "--repo", DATASET, "--data", sample_data, **online)
    uac("publish", "metrics", "--org", "org", "--metrics", "date,cider_d", **online)
    n_clips, n_references, date, cider_d = python(READ_BACK, {**online, "HF_MODULES_CACHE": str(tmp_path / "m")}, tmp_path)
    assert (n_clips, n_references) == (12, 5)
    assert 0.5 < date <= 1
    assert cider_d > 1


def downloaded(online: dict[str, str], folder: Path) -> Path:
    """Returns the Space's folder as the Hub hands it out."""
    code = f"""
import json
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download({SPACE!r}, repo_type="space", local_dir={str(folder)!r})))
"""
    return Path(str(python(code, online, folder.parent)))


def header_of(card: Path) -> dict:
    return yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])


def test_the_space_is_whole_and_pins_what_was_tested(with_space, online, tmp_path):
    assert with_space.repositories["space", SPACE].private is False
    folder = downloaded(online, tmp_path / "space")
    names = sorted(path.name for path in folder.iterdir() if path.name not in {".cache", ".gitattributes"})
    wheel = names[-1]
    assert names[:-1] == ["Dockerfile", "README.md", "app.py", "constraints.txt", "requirements.txt"]
    assert wheel.startswith("unified_audiocaps-") and zipfile.ZipFile(folder / wheel).testzip() is None
    pins = {one.name: one for one in map(Requirement, (folder / "constraints.txt").read_text().split())}
    lines = [line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == ["--constraint constraints.txt", f"torch{pins['torch'].specifier}", f"./{wheel}[space,postgres]"]
    assert {"gradio", "fastapi", "psycopg", "transformers", "torch"} <= pins.keys()
    assert all(str(one.specifier).startswith("==") for one in pins.values())
    header = header_of(folder / "README.md")
    assert (header["sdk"], header["app_port"], header["hf_oauth"], header["datasets"]) == ("docker", 7860, True, [DATASET])


def test_publishing_again_replaces_the_wheel_and_nothing_else(with_space, online, uac):
    repository = with_space.repositories["space", SPACE]
    files = repository.commits[-1].files
    repository.add("by hand", {**files, "unified_audiocaps-0.0.1-py3-none-any.whl": b"an older one", "notes.txt": b"mine"})
    told = uac("publish", "space", "--repo", SPACE, "--dataset", DATASET, **online).stdout
    assert f"https://huggingface.co/spaces/{SPACE}" in told
    assert sorted(repository.commits[-1].files) == sorted([*files, "notes.txt"])


def test_a_private_space_is_created_private(double, online, uac):
    uac("publish", "space", "--repo", SPACE, "--private", **online)
    assert double.repositories["space", SPACE].private


@contextmanager
def started(folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """Runs the Space's app in this environment, as the Hub does in its own, and gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, clean = f"http://127.0.0.1:{port}", {name: one for name, one in os.environ.items() if not name.startswith("UAC_")}
    environment = {**clean, **variables, "PORT": str(port)}
    log = folder / "log.txt"
    with (
        log.open("w") as stream,
        subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stderr=stream) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or answers(url), "the Space to answer", 120)
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def answers(url: str) -> bool:
    try:
        return get(url, "healthz")["status"] == "ok"
    except OSError:
        return False


def get(url: str, path: str) -> dict:
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=30) as answer:
        return json.load(answer)


def test_the_space_opens_with_the_references_of_its_dataset(double, online, uac, tmp_path):
    data = tmp_path / "built"
    uac("build", "clotho", "--raw", CLOTHO, "--out", data)
    uac("publish", "dataset", "--repo", DATASET, "--data", data, "--i-have-rights", **online)
    uac("publish", "space", "--repo", SPACE, "--dataset", DATASET, **online)
    folder, home = downloaded(online, tmp_path / "space"), tmp_path / "storage"
    with started(folder, {**online, "UAC_HOME": str(home)}) as url:
        uac("submit", EXAMPLES / "tag-template.jsonl", "--benchmark", "sample", "--system", "Tags", "--hub", url)
        rows = wait_for(lambda: get(url, "leaderboard/sample")["rows"], "the submission on the board", 120)
        assert [row["system"]["name"] for row in rows] == ["Tags"]
        with urllib.request.urlopen(url, timeout=30) as page:
            assert b"<title>Sample" in page.read()
    assert (home / "hub.db").is_file() and any((home / "files").iterdir())
    assert (home / "unified-audiocaps/data/clotho/manifest.json").is_file()
    manifest = json.loads((home / "unified-audiocaps/data/clotho/manifest.json").read_text())
    assert list(manifest["splits"]) == ["evaluation"], "only what benchmarks are made of was fetched"
    told = (folder / "log.txt").read_text()
    assert "benchmarks with references here: sample" in told
    assert "NOTHING WILL BE KEPT" not in told


def test_a_space_without_storage_says_so_asks_who_people_are_and_opens_all_the_same(double, online, uac, tmp_path):
    uac("publish", "space", "--repo", SPACE, "--dataset", "org/nowhere", **online)
    folder, nowhere = downloaded(online, tmp_path / "space"), tmp_path / "nowhere"
    app = folder / "app.py"
    app.write_text(app.read_text().replace('Path("/data")', f"Path({str(nowhere)!r})"))
    variables = {**online, "UAC_HOME": "", "SPACE_ID": SPACE, "TMPDIR": str(tmp_path)}
    with started(folder, variables) as url:
        refused = uac("submit", EXAMPLES / "tag-template.jsonl", "--benchmark", "sample", "--system", "T", "--hub", url, code=2)
        assert "nobody is signed in" in refused.stderr
    told = (folder / "log.txt").read_text()
    assert f"NOTHING WILL BE KEPT: there is no storage at {nowhere}" in told
    assert "no references from org/nowhere: https://huggingface.co/datasets/org/nowhere is not there" in told
