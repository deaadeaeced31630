"""Both engines write the same data, and either goes on behind what the other finished."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import RecordError, UnknownNameError

from ..conftest import ROOT
from ..event_clips import write_event_clips
from .conftest import UAC

WAVCAPS = ROOT / "tests/fixtures/sources/wavcaps/raw"


@pytest.fixture(scope="module")
def ray_here():
    """A Ray of two workers for the tests of this module; tasks import the package as this process does."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "data").rglob("*.parquet"))}


def test_ray_builds_the_same_bytes(ray_here, tmp_path):
    build("wavcaps", raw=WAVCAPS, out=tmp_path / "local")
    build("wavcaps", raw=WAVCAPS, out=tmp_path / "ray", engine="ray", workers=2)
    assert len(shards(tmp_path / "ray")) > 3
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")


def test_ray_mixes_the_same_pairs(ray_here, tmp_path):
    events = write_event_clips(tmp_path / "events")
    for engine in ("local", "ray"):
        build("sample", out=tmp_path / engine)
        options = {"base": "sample", "events": events, "pairs": 600, "embed_audio": True}
        build("adc_acc", out=tmp_path / engine, engine=engine, workers=2 if engine == "ray" else 1, options=options)
    found = [
        {path.name: path.read_bytes() for path in (tmp_path / engine / "data/adc_acc").iterdir()} for engine in ("local", "ray")
    ]
    assert len(found[0]) == 4  # two shards, the manifest, the statistics
    assert found[0] == found[1]


def test_an_error_of_the_data_comes_back_as_itself(ray_here, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "sb_final.json").write_text('{"data": [{"id": "1"}]}')
    with pytest.raises(RecordError, match=r"sb_final\.json.*caption"):
        build("wavcaps", raw=raw, out=tmp_path / "out", engine="ray")
    assert not (tmp_path / "out/data").exists()


def test_an_engine_of_another_name_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no engine is called 'spark'. Known: local, ray"):
        build("sample", out=tmp_path, engine="spark")


def test_a_build_killed_under_ray_ends_equal_to_an_undisturbed_one(tmp_path):
    command = [*UAC, "build", "mecat", "--out", str(tmp_path / "killed"), "--engine", "ray", "--workers", "2"]
    with subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stderr=subprocess.DEVNULL) as process:
        staging = tmp_path / "killed/.uac/mecat"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None and not list(staging.glob("*.parquet")):
            time.sleep(0.05)
        process.kill()
    assert not (tmp_path / "killed/data/mecat").exists()
    assert not (tmp_path / "killed/README.md").exists()
    for out in ("killed", "undisturbed"):
        build("mecat", out=tmp_path / out)
    assert shards(tmp_path / "killed") == shards(tmp_path / "undisturbed")
