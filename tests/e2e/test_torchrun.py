"""Several processes that share the work of an encoder, as several GPUs would; gloo and processors stand in for them."""

import json
import os
import subprocess
import sys
from pathlib import Path

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# every process has a home of its own, so that the cache of one may hold what that of the other lacks
OWN_HOMES = """
import os
os.environ["UAC_HOME"] += os.environ["RANK"]
from unified_audiocaps.space.cli import main
main()
"""


def written(folder: Path) -> list[object]:
    """Writes predictions and references, and returns the command that scores them."""
    ids = [f"clip{number}" for number in range(200)]
    predictions, references = folder / "predictions.jsonl", folder / "references.jsonl"
    predictions.write_text("".join(json.dumps({"id": i, "caption": f"sound {i} rings"}) + "\n" for i in ids))
    tails = {i: "rings again " * (place % 7) for place, i in enumerate(ids)}
    texts = {i: [f"{word} {i} {tail}" for word in ("bell", "horn", "drum")] for i, tail in tails.items()}
    references.write_text("".join(json.dumps({"id": i, "references": said}) + "\n" for i, said in texts.items()))
    return ["score", predictions, "--references", references, "--metrics", "sbert_sim,date", "--device", "cpu"]


def torchrun(program: list[str], arguments: list[object], home: Path) -> str:
    """Runs two processes and returns what they print."""
    environment = {**os.environ, "UAC_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, *program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_give_what_one_gives(tmp_path, uac):
    home, command = tmp_path / "home", written(tmp_path)
    uac(*command, "--json", tmp_path / "one.json", "--per-item", tmp_path / "one.csv", UAC_CACHE_BYTES="0")
    for name in ("two", "cached"):
        more = ["--json", tmp_path / f"{name}.json", "--per-item", tmp_path / f"{name}.csv"]
        told = torchrun(["-m", "unified_audiocaps.space.cli"], [*command, *more], home)
        assert told.count("METRIC") == 1
    assert len(list((home / "references").iterdir())) == 2
    one, two, cached = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two", "cached"))
    for ours, theirs, again in zip(one["results"], two["results"], cached["results"], strict=True):
        assert abs(ours["score"] - theirs["score"]) < 1e-5
        assert ours["digest"] == theirs["digest"] == again["digest"]
        assert theirs["score"] == again["score"]
    assert len((tmp_path / "two.csv").read_text().splitlines()) == 201


def test_a_cache_that_one_process_has_and_the_other_lacks_stops_nobody(tmp_path, uac):
    program, command = tmp_path / "own_homes.py", written(tmp_path)
    program.write_text(OWN_HOMES)
    uac(*command, "--json", tmp_path / "one.json", UAC_HOME=str(tmp_path / "home0"))
    torchrun([str(program)], [*command, "--json", tmp_path / "two.json"], tmp_path / "home")
    one, two = (json.loads((tmp_path / f"{name}.json").read_text())["results"] for name in ("one", "two"))
    assert all(abs(ours["score"] - theirs["score"]) < 1e-5 for ours, theirs in zip(one, two, strict=True))
    assert len(list((tmp_path / "home1" / "references").iterdir())) == 2
