"""Every example of the README does what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from unified_audiocaps.dataset_scripts.built import built_set

from ..event_clips import write_event_clips
from .conftest import EXAMPLES


def blocks(readme: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(readme: Path) -> list[list[str]]:
    lines = "\n".join(blocks(readme, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("uac ")]


def write_task_files() -> None:
    """Writes what the examples about other tasks read: small sets that fit together."""
    random = np.random.default_rng(0)
    audio = random.normal(size=(6, 4))
    np.save("audio.npy", audio)
    np.save("text.npy", np.repeat(audio, 2, axis=0) + 0.1 * random.normal(size=(12, 4)))
    Path("clip_of.csv").write_text("clip\n" + "".join(f"{i // 2}\n" for i in range(12)), encoding="utf-8")
    for name in ("real", "generated", "captions"):
        np.save(f"{name}.npy", random.normal(size=(12, 4)))
    labels = ["dog", "rain", "bell"]
    np.save("scores.npy", random.normal(size=(12, 3)))
    Path("classes.txt").write_text("\n".join(labels), encoding="utf-8")
    Path("labels.csv").write_text("label\n" + "".join(f"{labels[i % 3]}\n" for i in range(12)), encoding="utf-8")
    answers = "".join(json.dumps({"id": str(i), "caption": f"I hear a {label}."}) + "\n" for i, label in enumerate(labels))
    Path("answers.jsonl").write_text(answers, encoding="utf-8")
    Path("labels_by_id.csv").write_text("id,label\n" + "".join(f"{i},{one}\n" for i, one in enumerate(labels)), encoding="utf-8")
    Path("ratings.csv").write_text("id,rater,rating\na,x,4\na,y,4\nb,x,2\nb,y,3\n", encoding="utf-8")


def write_mecat_files() -> None:
    """Writes a submission to MECAT's benchmarks in two of its forms."""
    rows = built_set("mecat/test", Path("unified-audiocaps")).table(["source_key", "qa"]).to_pylist()
    Path("my-captions").mkdir()
    for subtask in ("long", "short", "speech", "music", "sound", "environment"):
        lines = "".join(f'"{row["source_key"]}","a {subtask} caption"\n' for row in rows)
        Path("my-captions", f"{subtask}.csv").write_text(lines, encoding="utf-8")
    answers = "".join(json.dumps({"id": one["qa_id"], "answer": "perhaps"}) + "\n" for row in rows for one in row["qa"])
    Path("my-answers.jsonl").write_text(answers, encoding="utf-8")


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
    write_task_files()
    ran = []
    for command in commands(readme):
        if command[1] == "serve" or "http" in str(command) or "postgresql" in str(command):  # see below
            continue
        few = ["--every", 2000] if command[1] == "mecat" else []  # all items take half an hour
        uac(*command[1:], *few)
        ran.append(command[1])
        if command[1:] == ["build", "mecat"]:
            write_mecat_files()
    captions = ["build", "view", "view", "inspect", "play", "build", "view", "score", "compare", "score", "benchmark", "submit"]
    tasks = ["retrieval", "classify", "classify", "distance", "distance", "agreement"]
    assert ran == [*captions, "build", "mecat", "mecat", *tasks, "index", "search"]
    assert json.loads(Path("scores.json").read_text())["n"] == len(ids)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for code in blocks(readme, "python")
        if "https://HUB" not in code
    ]
    assert outputs[0].startswith("12 sample/train/")
    assert [line.split()[0] for line in outputs[1].splitlines()] == ["cider_d", "rouge_l"]


def test_examples_about_a_hub_somewhere_else(uac, hub, postgres_url, project_root, tmp_path, monkeypatch):
    readme = project_root / "README.md"
    monkeypatch.chdir(tmp_path)
    Path("predictions.jsonl").write_bytes((EXAMPLES / "tag-template.jsonl").read_bytes())
    at = {"https://HUB": hub.url, "postgresql://uac@db/hub": postgres_url, "/data/hub-files": str(tmp_path / "files")}

    def here(text: str) -> str:
        for name, place in at.items():
            text = text.replace(name, place)
        return text.replace("$HF_TOKEN", "hf_x")

    made = ("--metrics", "bleu,rouge_l,cider_d", "--primary", "cider_d")
    uac("benchmark", "create", "my-test", "--from", "sample/test", *made, "--db", hub.db, "--data", hub.data)
    ran = []
    for command in commands(readme):
        if any(name in str(command) for name in at) and command[1] not in {"serve", "work"}:
            ran.append([*command[1:3], uac(*map(here, command[1:]), "--data", hub.data).stdout])
    assert [one[:2] for one in ran] == [["submit", "predictions.jsonl"], ["admin", "backup"]]
    assert ran[0][2].startswith("queued: ")
    (curl,) = (line for line in "\n".join(blocks(readme, "sh")).replace("\\\n", " ").splitlines() if line.startswith("curl "))
    answer = subprocess.run([*shlex.split(here(curl)), "--silent"], capture_output=True, text=True, check=True).stdout
    assert json.loads(answer)["submission"]["id"] == ran[0][2].split()[-1]  # the same bytes are the same submission
    (code,) = (here(code) for code in blocks(readme, "python") if "https://HUB" in code)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (told.stdout.strip(), told.stderr) == ("published", "")


def test_make_targets_that_the_readme_names_exist(project_root):
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(blocks(project_root / "README.md", "sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
