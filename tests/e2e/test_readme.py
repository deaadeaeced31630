"""Every example of the README does what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from ..event_clips import write_event_clips
from .conftest import EXAMPLES


def blocks(readme: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(readme: Path) -> list[list[str]]:
    lines = "\n".join(blocks(readme, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("uac ")]


def test_examples_run_in_the_order_of_the_readme(uac, project_root, tmp_path, monkeypatch):
    readme = project_root / "README.md"
    monkeypatch.chdir(tmp_path)
    predictions = (EXAMPLES / "tag-template.jsonl").read_text(encoding="utf-8")
    Path("predictions.jsonl").write_text(predictions, encoding="utf-8")
    Path("baseline.jsonl").write_text((EXAMPLES / "one-caption-for-all.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    ids = [json.loads(line)["id"] for line in predictions.splitlines()]
    references = "".join(json.dumps({"id": i, "references": ["a sound", "some noise"]}) + "\n" for i in ids)
    Path("references.jsonl").write_text(references, encoding="utf-8")
    write_event_clips(Path("EVENTS"))
    ran = []
    for command in commands(readme):
        if command[1] != "serve":
            uac(*command[1:])
            ran.append(command[1])
    assert ran == ["build", "view", "view", "inspect", "play", "build", "view", "score", "compare", "submit"]
    assert json.loads(Path("scores.json").read_text())["n"] == len(ids)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for code in blocks(readme, "python")
    ]
    assert outputs[0].startswith("12 sample/train/")
    assert [line.split()[0] for line in outputs[1].splitlines()] == ["cider_d", "rouge_l"]


def test_make_targets_that_the_readme_names_exist(project_root):
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(blocks(project_root / "README.md", "sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
