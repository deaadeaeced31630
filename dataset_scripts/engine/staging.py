"""The workshop of one config: finished parts wait here until the whole folder can be renamed into place.

Every part is known by the digest of all that determines its bytes. What a killed build finished, and what the config built
before has in common with this one, is taken over; everything else is deleted before work begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import atomic, schema, stats
from ..errors import SHOWN_PROBLEMS, InputError, Problem
from ..manifest import Manifest
from ..pipeline import recut
from ..source import Source
from ..texthash import SeenTexts
from . import parts, shards
from .parts import Entry

_IDS_AT_ONCE = 50_000
_DROPPED_ROWS = 10_000


class Staging:
    """A folder of finished parts of one config.

    Args:
        one: the dataset.
        folder: where they lie; made if needed. The finished config grows in its folder `config`.
    """

    def __init__(self, one: Source, folder: Path) -> None:
        self.one, self.folder, self.config = one, folder, folder / "config"
        folder.mkdir(parents=True, exist_ok=True)

    def clear(self, keep: Iterable[str] = ()) -> None:
        """Deletes everything but the files of the parts with these keys."""
        wanted = set(keep)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name.split(".")[0] not in wanted:
                path.unlink()

    def adopt(self, entries: Iterable[Entry], target: Path) -> None:
        """Takes over finished parts from the config that was built into `target` before, if their shards are still there."""
        for entry in entries:
            key = entry["key"]
            if parts.read_entry(self.folder, key) is not None or not is_complete(target, entry["shards"], "placed"):
                continue
            for shard in entry["shards"]:
                (self.folder / shard["file"]).unlink(missing_ok=True)
                atomic.link_or_copy(target / shard["placed"], self.folder / shard["file"])
            if entry["dropped"]:
                table = pq.read_table(target / "dropped.parquet", partitioning=None)
                mine = table.filter(pc.equal(table["part"], entry["label"]))
                shards.write_file([mine], parts.dropped_file(self.folder, key))
            atomic.write_text(parts.entry_file(self.folder, key), json.dumps(entry))

    def assemble(
        self,
        entries: list[Entry],
        *,
        inputs: dict[str, Any],
        skipped: dict[str, str],
        unknown: list[str],
        limit: int | None,
        warnings: Iterable[str] = (),
    ) -> None:
        """Makes the folder `config`: shards, dropped records, statistics and manifest.

        Args:
            entries: all parts, in any order.
            inputs: label to input files, for the parts of this build; other parts know theirs.
            skipped: split or split/subset to the reason why it is not there.
            unknown: files that were not read.
            limit: what the build was limited to.
            warnings: what looks odd beside the upstream files.

        Raises:
            InputError: no rows at all, or the same id in two parts.
        """
        one, folder = self.one, self.config
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        entries = [{**entry, "inputs": inputs.get(entry["label"], entry.get("inputs", {}))} for entry in _in_order(one, entries)]
        splits = {split: self._place(folder, split, [e for e in entries if e["split"] == split]) for split in one.splits}
        empty = {entry["split"] for entry in entries if not splits[entry["split"]]["rows"]}
        skipped = {**skipped, **{split: _why_empty(entries, split) for split in one.splits if split in empty}}
        splits = {split: found for split, found in splits.items() if found["rows"]}
        if not splits:
            if any(entry["dropped"] for entry in entries):
                if all(set(entry["dropped"]) <= {parts.NO_AUDIO_RULE} for entry in entries):
                    raise InputError(
                        f"{one.name}: --audio holds a usable sound for none of its rows, and --require-audio drops the others; "
                        f"nothing was built. {_first_problem(entries)}"
                    )
                raise InputError(f"{one.name}: no row of it is left: {_dropped_by(entries)}. Nothing was built; drop less.")
            raise InputError(f"{one.name}: the upstream files hold no record; nothing was built.")
        _check_ids_across(one, [folder / shard["file"] for found in splits.values() for shard in found["shards"]], entries)
        lost = [parts.dropped_file(self.folder, entry["key"]) for entry in entries if entry["dropped"]]
        if lost:
            shards.write_file(recut(parts.dropped_tables(lost), _DROPPED_ROWS), folder / "dropped.parquet")
        manifest = {
            "config": one.name,
            "title": one.title,
            "release": one.release,
            "schema_version": schema.SCHEMA_VERSION,
            "source_version": one.version,
            "pyarrow": pa.__version__,
            "limit": limit,
            "splits": splits,
            "parts": entries,
            "skipped": skipped,
            "unknown_files": unknown,
        }
        _write_json(folder / "stats.json", _statistics(one, entries, unknown, warnings))
        _write_json(folder / "manifest.json", manifest)

    def _place(self, folder: Path, split: str, entries: list[Entry]) -> dict[str, Any]:
        """Gives the shards of a split their final names in `folder`, and returns what the manifest says about them."""
        mine = [(entry, shard) for entry in entries for shard in entry["shards"]]
        placed = []
        for number, (entry, shard) in enumerate(mine):
            shard["placed"] = f"{split}-{number:05d}-of-{len(mine):05d}.parquet"
            atomic.link_or_copy(self.folder / shard["file"], folder / shard["placed"])
            placed.append(
                {"file": shard["placed"], "subset": entry["subset"], **{k: shard[k] for k in ("rows", "bytes", "sha256")}}
            )
        return {"rows": sum(shard["rows"] for shard in placed), "shards": placed}


def _first_problem(entries: Iterable[Entry]) -> str:
    """Returns what is wrong with the first sound that was listed, for example."""
    for entry in entries:
        for reason, found in entry["tally"].get("sound", {}).get("problems", {}).items():
            for one in found["listed"][:1]:
                return f"For example {one['id']}, {reason}: {one['what']}."
    return ""


def _why_empty(entries: Iterable[Entry], split: str) -> str:
    mine = [entry for entry in entries if entry["split"] == split]
    rules = {rule for entry in mine for rule in entry["dropped"]}
    if rules == {parts.NO_AUDIO_RULE}:
        return "left out: --require-audio dropped all of its rows"
    return f"left out: all of its rows were dropped ({_dropped_by(mine)})" if rules else "not built: its files hold no record"


def _dropped_by(entries: Iterable[Entry]) -> str:
    """Returns by which rules how many rows were dropped: those of overlaps come from --exclude, those of scores from --min-score.

    >>> _dropped_by([{"dropped": {"overlap:audiocaps/test": 12}}])
    '12 by overlap:audiocaps/test'
    """
    return ", ".join(f"{n:,} by {rule}" for rule, n in sorted(stats.add(entry["dropped"] for entry in entries).items()))


def is_current(sizes: Mapping[str, int], old: Manifest, keys: dict[str, str]) -> bool:
    """Whether a config is made of the parts with these keys (by label), every shard in its full size.

    Args:
        sizes: the size of every file that is there, by name.
        old: its manifest.
        keys: label to key.
    """
    if {entry["label"]: entry["key"] for entry in old["parts"]} != keys or "stats.json" not in sizes:
        return False
    return all(sizes.get(shard["file"]) == shard["bytes"] for found in old["splits"].values() for shard in found["shards"])


def is_complete(folder: Path, found: Iterable[dict[str, Any]], name: str = "file") -> bool:
    """Whether all these shards lie in `folder` in their full size."""
    paths = [(folder / shard[name], shard["bytes"]) for shard in found]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def _in_order(one: Source, entries: Iterable[Entry]) -> list[Entry]:
    """Returns the entries in the source's order of splits and files, wherever they came from."""
    order = {part: i for i, part in enumerate(dict.fromkeys((file.split, file.subset) for file in one.files))}

    def place(entry: Entry) -> tuple[int, int, int]:
        return (one.splits.index(entry["split"]), order.get((entry["split"], entry["subset"]), 0), entry.get("number") or 0)

    return sorted(entries, key=place)


def _check_ids_across(one: Source, paths: list[Path], entries: list[Entry]) -> None:
    """Refuses ids that two parts share; inside a part they were told apart already."""
    if len(entries) < 2:
        return
    seen, repeated, shown = SeenTexts(), 0, list[str]()
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_IDS_AT_ONCE, columns=["id"]):
                again = batch["id"].filter(pa.array(~seen.are_new(batch["id"])))
                repeated += len(again)
                shown += again.slice(0, max(0, SHOWN_PROBLEMS - len(shown))).to_pylist()
    if repeated:
        problems = [Problem("E_DUP_ID", "in more than one upstream file", id=one_id) for one_id in shown]
        raise InputError(f"{one.name}: {repeated} ids are in several upstream files.", problems, total=repeated)


def _statistics(one: Source, entries: list[Entry], unknown: list[str], warnings: Iterable[str]) -> dict[str, Any]:
    """Returns the content of `stats.json`."""

    def figures(some: Iterable[Entry]) -> dict[str, Any]:
        return stats.summary(stats.add(entry["tally"] for entry in some))

    def of(split: str) -> Iterator[Entry]:
        return (entry for entry in entries if entry["split"] == split and entry["tally"])

    subsets = {split: {entry["subset"]: figures([entry]) for entry in of(split) if entry["subset"]} for split in one.splits}
    return {
        "config": one.name,
        "total": figures(entries),
        "splits": {split: figures(of(split)) for split in one.splits if any(of(split))},
        "subsets": {split: found for split, found in subsets.items() if found},
        "dropped": stats.add(entry["dropped"] for entry in entries),
        "unknown_files": len(unknown),
        "warnings": [*(text for entry in entries for text in entry["warnings"]), *warnings],
    }


def _write_json(path: Path, value: Any) -> None:
    atomic.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
