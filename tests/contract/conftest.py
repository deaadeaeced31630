"""Runs what `evaluate.load` loads in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json
import sys
import evaluate
given = json.load(sys.stdin)
results = {}
SCRIPT
print(json.dumps(results))
"""


@pytest.fixture
def in_evaluate(project_root, tmp_path):
    """Runs a script that knows `given` and fills `results`: `evaluate` reads the place of its cache once, at import."""

    def run(script, given):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.replace("SCRIPT", script)],
            input=json.dumps(given, default=str),
            cwd=project_root,
            env={**os.environ, "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
