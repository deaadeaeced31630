"""A built set by hand: pairs, and rows whose sound is missing, damaged, long or stereo."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.arrays import record_batch
from unified_audiocaps.dataset_scripts.built import BuiltSet, built_set
from unified_audiocaps.dataset_scripts.schema import SCHEMA
from unified_audiocaps.dataset_scripts.sound.samples import Sound, flac


def tone(hz: float, duration_s: float, rate_hz: int = 16000, amplitude: float = 0.4, channels: int = 1) -> Sound:
    """A tone, the same in all channels."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return Sound(np.tile(np.float32(amplitude * np.sin(2 * np.pi * hz * t)), (channels, 1)), rate_hz)


def cell(sound: Sound, name: str = "x.flac") -> dict:
    return {"bytes": flac(sound), "path": name}


def row(key: str, **columns) -> dict:
    caption = {"text": f"about {key}", "style": "default", "origin": "human", "language": "en", "scores": []}
    common = {
        "id": f"odd/train/{key}",
        "dataset": "odd",
        "split": "train",
        "source_key": key,
        "caption": f"about {key}",
        "captions": [caption],
    }
    return {**common, **columns}


Build = Callable[[list[dict]], BuiltSet]


@pytest.fixture
def built(tmp_path: Path) -> Build:
    """Writes rows as the split `train` of the config `odd`, in row groups of three."""

    def make(rows: list[dict]) -> BuiltSet:
        names = [name for name in SCHEMA.names if any(name in one for one in rows)]
        columns = {name: pa.array([one.get(name) for one in rows], SCHEMA.field(name).type) for name in names}
        folder = tmp_path / "unified-audiocaps" / "data" / "odd"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_batches([record_batch(len(rows), **columns)]), folder / "train.parquet", row_group_size=3)
        shard = {"file": "train.parquet", "subset": None, "rows": len(rows), "bytes": 0, "sha256": "0" * 64}
        manifest = {"config": "odd", "splits": {"train": {"rows": len(rows), "shards": [shard]}}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return built_set("odd", tmp_path / "unified-audiocaps")

    return make


@pytest.fixture
def tokens(monkeypatch):
    """The Hub that knows tokens."""
    from huggingface_hub import constants

    from .served import token_hub

    with token_hub() as double:
        monkeypatch.setattr(constants, "ENDPOINT", double.url)
        yield double
