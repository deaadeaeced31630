"""What was built, read back: one config or one of its splits, in batches of bounded memory.

A set is written `config` or `config/split`; splits may carry the other names that their source knows them by (`clotho/eval`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import schema
from .errors import InputError, UnknownNameError
from .manifest import Manifest, built_configs, read_manifest
from .source import SOURCES, source

ROWS_PER_BATCH = 10_000
_BYTES_OF_NULLS = 1024  # of a column without values, beside a byte per row


@dataclass(frozen=True)
class BuiltSet:
    """A config, or one split of it, in a folder that `build` wrote.

    Attributes:
        data: the folder that holds all built configs.
        config: config name.
        splits: the split names that belong to the set, in the manifest's order.
        name: as it is written: `config`, or `config/split`.
        manifest: what the config's manifest says.
    """

    data: Path
    config: str
    splits: tuple[str, ...]
    name: str
    manifest: Manifest

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self.data / "data" / self.config

    @property
    def rows(self) -> int:
        """How many rows the set has."""
        return sum(int(self.manifest["splits"][split]["rows"]) for split in self.splits)

    @property
    def primary_style(self) -> str:
        """The style that the column `caption` is taken from."""
        named = self.manifest.get("primary_style")
        return str(named) if named else source(self.config).primary_style if self.config in SOURCES.names() else "default"

    def shards(self) -> Iterator[tuple[str, str | None, Path]]:
        """Yields split, subset and path of every shard, in order."""
        for split in self.splits:
            for shard in self.manifest["splits"][split]["shards"]:
                yield split, shard.get("subset"), self.folder / shard["file"]

    def batches(self, columns: Sequence[str] | None = None, rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """Yields the rows in order.

        Args:
            columns: columns to read, None for all.
            rows: at most this many rows at a time.

        Raises:
            InputError: a shard is missing or was cut.
        """
        for _, _, path in self.shards():
            yield from read_batches(path, columns, rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Returns all rows at once, for sets that fit into memory.

        Args:
            columns: columns to read, None for all.

        Raises:
            InputError: a shard is missing or was cut; the message has the command that builds it.
        """
        kinds = schema.SCHEMA if columns is None else pa.schema([schema.SCHEMA.field(name) for name in columns])
        return pa.Table.from_batches(self.batches(columns), kinds)


def read_batches(path: Path, columns: Sequence[str] | None = None, rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
    """Yields the rows of one shard in order.

    Raises:
        InputError: it is missing or was cut.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns) if columns is not None else None)
    except (OSError, pa.ArrowInvalid) as problem:
        again = _command(path.parent.name, path.parents[2], again=True)
        raise InputError(f"{path} cannot be read ({problem}); build it again: `{again}`.") from problem


def holds_sound(shards: Iterable[Path]) -> bool:
    """Tells whether shards embed sound; of columns that do only the sizes are read."""
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                metadata = file.metadata.row_group(group)
                columns = {column.path_in_schema: column for column in map(metadata.column, range(metadata.num_columns))}
                for name in ("audio.bytes", "audio_b.bytes"):
                    # There are no statistics of such columns. Nulls alone are a few bytes, and then it is cheap to look.
                    if name in columns and (
                        columns[name].total_uncompressed_size > _BYTES_OF_NULLS + metadata.num_rows
                        or pc.any(pc.is_valid(file.read_row_group(group, [name])[0].combine_chunks().field(0))).as_py()
                    ):
                        return True
    return False


def _command(config: str, data: Path, *, again: bool = False) -> str:
    """Returns what builds a config, or builds it again; the recipe of a mixture may lie anywhere."""
    if config in SOURCES.names():
        return source(config).build_command(data) + (" --force" if again else "")
    return "uac mix RECIPE" + ("" if data == Path("unified-audiocaps") else f" --out {data}")


def built_set(name: str, data: Path) -> BuiltSet:
    """Returns the set called `name`, which is `config` or `config/split`.

    Args:
        name: what to look for.
        data: the folder that `build` wrote to.

    Raises:
        UnknownNameError: no such dataset or split.
        InputError: it was not built, or its manifest is damaged; the message has the command that builds it.
    """
    config, _, split = name.partition("/")
    known = sorted({*SOURCES.names(), *built_configs(data)})
    if config not in known:
        raise UnknownNameError("dataset", config, known, "uac sources")
    if split and config in SOURCES.names():
        one = source(config)
        split = one.split_aliases.get(split, split)
        if split not in one.splits:
            raise UnknownNameError(f"split of {config}", split, one.splits)
    manifest = read_manifest(data / "data" / config)
    first = f"build it first: `{_command(config, data)}`."
    if manifest is None:
        what = f"split {split} of {config} is not in {data} (nothing of {config} is)" if split else f"{config} is not in {data}"
        raise InputError(f"{what}; {first}")
    if not split:
        return BuiltSet(data, config, tuple(manifest["splits"]), config, manifest)
    if split not in manifest["splits"]:
        if config not in SOURCES.names():
            raise UnknownNameError(f"split of {config}", split, manifest["splits"])
        there = ", ".join(manifest["splits"])
        raise InputError(f"split {split} of {config} is not in {data} (only {there} of {config} is); {first}")
    return BuiltSet(data, config, (split,), f"{config}/{split}", manifest)
