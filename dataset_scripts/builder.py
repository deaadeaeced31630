"""The `datasets` face of what is built: one thin builder for all configs.

`datasets` refuses loading scripts, but it finds by name what lies in its cache. `install` puts a config there, so that
`load_dataset("unified-audiocaps", NAME)` works from any working directory (with HF_HUB_OFFLINE=1, or while the Hub does not
know that name).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from . import schema
from .build import build, built_configs
from .card import cards_of
from .errors import InputError
from .manifest import read_manifest
from .settings import Settings
from .source import SOURCES, source

DATASET_NAME = "unified-audiocaps"
ROWS_AT_ONCE = 1_000  # bounds the memory where rows hold sound


class UnifiedAudioCaps(datasets.ArrowBasedBuilder):  # type: ignore[misc] # `datasets` has no types
    """One built config as a `datasets` builder: `UnifiedAudioCaps(data, "clotho").as_dataset()` after `download_and_prepare()`.

    Args:
        data: the folder that `build` wrote.
        config: its name.
        cache_dir: where prepared data lies; the cache of `datasets` by default.

    Raises:
        InputError: the config is not built there.
    """

    def __init__(self, data: Path, config: str, cache_dir: str | None = None) -> None:
        manifest = read_manifest(data / "data" / config)
        if manifest is None:
            command = source(config).build_command(data) if config in SOURCES.names() else f"uac mix RECIPE --out {data}"
            raise InputError(f"{config} is not built in {data}; build it: {command}")
        self._folder, self._manifest = data / "data" / config, manifest
        # another build is another folder of the cache; the newest one is what load_dataset takes
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
        super().__init__(cache_dir=cache_dir, dataset_name=DATASET_NAME, config_name=config, hash=digest)

    def _info(self) -> datasets.DatasetInfo:
        cards = cards_of(self._folder.name, self._manifest)
        return datasets.DatasetInfo(
            description="\n\n".join(card.prose for card in cards),
            citation="\n\n".join(card.bibtex for card in cards),
            homepage=cards[0].homepage,
            license="; ".join(f"{card.name}: text {card.license_text}, audio {card.license_audio}" for card in cards),
            features=schema.features(),
        )

    def _split_generators(self, _dl_manager: Any) -> list[datasets.SplitGenerator]:
        found = {
            split: sorted(str(path) for path in self._folder.glob(f"{split}-*.parquet")) for split in self._manifest["splits"]
        }
        return [datasets.SplitGenerator(name=split, gen_kwargs={"shards": shards}) for split, shards in found.items()]

    def _generate_tables(self, shards: Sequence[str]) -> Iterator[tuple[Any, pa.Table]]:
        for shard, path in enumerate(shards):
            with pq.ParquetFile(path) as file:
                for number, batch in enumerate(file.iter_batches(ROWS_AT_ONCE)):
                    yield datasets.builder.Key(shard, number), pa.Table.from_batches([batch])


def install(name: str, *, data: Path | None = None, raw: Path | None = None, cache_dir: str | None = None) -> Path:
    """Makes `load_dataset("unified-audiocaps", name)` work from any working directory.

    Args:
        name: config name.
        data: folder that `build` wrote; what is not built there is built under `UAC_HOME`.
        raw: upstream files for that build.
        cache_dir: the cache of `datasets` to fill; its own default otherwise.

    Returns:
        The folder of the cache.

    Raises:
        UnknownNameError, InputError, RecordError, FetchError, StorageError: as `build` does.
    """
    settings = Settings.from_environment()
    data = data or settings.data
    if raw is not None or name not in built_configs(data):
        data = settings.home / DATASET_NAME
        build(name, raw=raw, out=data)
    builder = UnifiedAudioCaps(data, name, cache_dir)
    builder.download_and_prepare()
    return Path(builder.cache_dir)
