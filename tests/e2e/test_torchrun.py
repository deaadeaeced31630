"""Several processes that share the work of an encoder, as several GPUs would; gloo and processors stand in for them."""

import json
import os
import subprocess
import sys


def test_two_processes_give_what_one_gives(tmp_path, uac):
    home = tmp_path / "home"
    ids = [f"clip{number}" for number in range(200)]
    predictions, references = tmp_path / "predictions.jsonl", tmp_path / "references.jsonl"
    predictions.write_text("".join(json.dumps({"id": i, "caption": f"sound {i} rings"}) + "\n" for i in ids))
    texts = {
        i: [f"{word} {i} " + "rings again " * (place % 7) for word in ("bell", "horn", "drum")] for place, i in enumerate(ids)
    }
    references.write_text("".join(json.dumps({"id": i, "references": said}) + "\n" for i, said in texts.items()))
    command = ["score", predictions, "--references", references, "--metrics", "sbert_sim,date", "--device", "cpu"]
    uac(*command, "--json", tmp_path / "one.json", "--per-item", tmp_path / "one.csv", UAC_CACHE_BYTES="0")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    for name in ("two", "cached"):
        more = ["--json", tmp_path / f"{name}.json", "--per-item", tmp_path / f"{name}.csv"]
        done = subprocess.run(
            [*torchrun, "unified_audiocaps.space.cli", *map(str, (*command, *more))],
            env={**os.environ, "UAC_HOME": str(home), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("METRIC") == 1
    assert len(list((home / "references").iterdir())) == 2
    one, two, cached = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two", "cached"))
    for ours, theirs, again in zip(one["results"], two["results"], cached["results"], strict=True):
        assert abs(ours["score"] - theirs["score"]) < 1e-5
        assert ours["digest"] == theirs["digest"] == again["digest"]
        assert theirs["score"] == again["score"]
    assert len((tmp_path / "two.csv").read_text().splitlines()) == 201
