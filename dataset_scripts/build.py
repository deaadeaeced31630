"""Source to sharded parquet with manifest, statistics and card: `unified-audiocaps/data/<config>/`.

- A config is built in `.uac/` inside the output folder and renamed into place when it is whole: a kill, a full disk or a bad
  record leaves what was there before. Parts (one upstream file or pair of files each) that were finished are kept for the
  next call, which goes on behind them.
- Equal input, settings and library versions give equal bytes, whatever the number of workers.
- Of rows that share an id the first is kept; the others lie whole, as upstream records, in `dropped.parquet`.
- Two builds into one folder wait for each other only where they must: at the same config, and at the README.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import atomic, schema, shards, stats
from . import workers as processes
from .card import built_configs, read_manifest, write_readme
from .errors import InputError, Problem, UnknownNameError
from .files import Part
from .pipeline import ahead, recut
from .progress import progress
from .source import Source, source

__all__ = ["BuildReport", "build", "built_configs", "read_split"]

_UNTOUCHED = "What was built before is untouched."
_DROPPED = pa.schema([("part", pa.string()), ("rule", pa.string()), ("id", pa.string()), ("file", pa.string()),
                      ("row", pa.int64()), ("record_json", pa.string())])  # fmt: skip
DUPLICATE_RULE = "duplicate_id"


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        config: its name.
        path: the built folder of the config.
        rows: split to number of rows.
        skipped: split, or split/subset, to the reason why it was not built.
        unknown_files: files below `--raw` that were not read because their names are unknown.
        statistics: the content of `stats.json`.
        dropped: rule to number of upstream rows that it dropped.
        warnings: what looks odd in the upstream files although they could be read.
        seconds: wall-clock time.
        reused: whether everything was there already, from the same input and settings.
    """

    config: str
    path: Path
    rows: dict[str, int]
    skipped: dict[str, str]
    unknown_files: list[str]
    statistics: dict[str, Any]
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reused: bool = False


def build(
    name: str,
    *,
    raw: Path | None = None,
    out: Path = Path("unified-audiocaps"),
    splits: Sequence[str] | None = None,
    workers: int = 1,
    limit: int | None = None,
    force: bool = False,
) -> BuildReport:
    """Builds one dataset into the folder `out`, from which `load_dataset` reads it.

    Args:
        name: config name; see `SOURCES.names()`.
        raw: folder that holds the upstream files at any depth; None for sources that need none.
        out: the folder that holds all built configs.
        splits: splits to build; those built before and not named here stay as they are. None: all that `raw` holds, and
            nothing else.
        workers: processes; more than the number of upstream files is no use.
        limit: at most this many rows per split, for trials.
        force: build although the same input was built before.

    Raises:
        UnknownNameError: no such dataset or split.
        InputError: `raw` does not hold what is needed, or two upstream files claim the same ids.
        RecordError: an upstream file holds something that its format forbids.
        StorageError: the disk is full or the folder cannot be written.
    """
    started = time.monotonic()
    one = source(name)
    chosen = _split_names(one, splits)
    if workers < 1 or (limit is not None and limit < 1):
        raise InputError(f"workers is {workers} and limit is {limit}; expected numbers from 1 up.")
    found = one.locate(raw, without=out)
    parts = [part for part in found.parts if part.split in chosen]
    _check_asked(one, splits, chosen, parts, found.missing)
    with atomic.storage_errors(out, _UNTOUCHED):
        target, staging = out / "data" / name, out / ".uac" / name
        aside = out / ".uac" / f"{name}.old"
        with atomic.exclusive(out / ".uac" / f"{name}.lock"):
            atomic.recover_folder(target, aside)
            old = _usable_manifest(target)
            key = _key(one, limit)
            inputs = {part.label: {role: _input(file) for role, file in part.files.items()} for part in parts}
            plan = {part.label: _digest({**key, "part": part.label}, inputs[part.label]) for part in parts}
            kept = [entry for entry in (old or {}).get("parts", []) if splits is not None and entry["split"] not in chosen]
            reused = not force and old is not None and _is_current(target, old, plan, kept)
            if not reused:
                staging.mkdir(parents=True, exist_ok=True)
                if force:
                    _clear(staging, keep=())
                _adopt(kept, old, target, staging, plan=plan, force=force)
                _clear(staging, keep=[*plan.values(), *(entry["key"] for entry in kept)])
                built = _build_parts(one, parts, plan, staging, workers, limit)
                entries = _in_order(one, [*kept, *built])
                skipped = {label: why for label, why in found.missing.items() if label.split("/")[0] in chosen}
                _assemble(one, entries, inputs, skipped, list(found.unknown), limit, staging)
                atomic.replace_folder(staging / "config", target, aside)
                shutil.rmtree(staging, ignore_errors=True)
        with atomic.exclusive(out / ".uac" / "readme.lock"):
            write_readme(out)
    return _report(one, target, list(found.unknown), time.monotonic() - started, reused)


def read_split(data: Path, config: str, split: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns the rows of a built split.

    Args:
        data: the folder that `build` wrote to.
        config: config name.
        split: split name.
        columns: columns to read, None for all.

    Raises:
        UnknownNameError: no such dataset or split.
        InputError: it was not built, or a shard is missing or was cut; the message has the command that builds it.
    """
    one = source(config)
    (wanted,) = _split_names(one, [split])
    folder = data / "data" / config
    manifest = read_manifest(folder)
    if manifest is None or wanted not in manifest["splits"]:
        there = f"only {', '.join(manifest['splits'])}" if manifest else "nothing"
        raise InputError(f"split {wanted} of {config} is not in {data} ({there} of {config} is); build it: {_command(one, data)}")
    tables = []
    for shard in manifest["splits"][wanted]["shards"]:
        path = folder / shard["file"]
        try:
            tables.append(pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None))
        except (OSError, pa.ArrowInvalid) as problem:
            raise InputError(f"{path} cannot be read ({problem}); build it again: {_command(one, data)} --force") from problem
    return pa.concat_tables(tables)


def _command(one: Source, data: Path) -> str:
    raw = " --raw DIR" if one.needs == "--raw DIR" else ""
    out = "" if data.name == "unified-audiocaps" and len(data.parts) == 1 else f" --out {data}"
    return f"`uac build {one.name}{raw}{out}`"


def _split_names(one: Source, splits: Sequence[str] | None) -> list[str]:
    """Returns the source's own names of the splits asked for, all of them for None."""
    if splits is None:
        return list(one.splits)
    wanted = []
    for split in splits:
        name = one.split_aliases.get(split, split)
        if name not in one.splits:
            raise UnknownNameError(f"split of {one.name}", split, one.splits)
        wanted.append(name)
    return list(dict.fromkeys(wanted))


def _check_asked(
    one: Source, splits: Sequence[str] | None, chosen: list[str], parts: list[Part], missing: dict[str, str]
) -> None:
    """Refuses a split that was asked for by name and cannot be built."""
    lost = [split for split in chosen if splits is not None and split not in {part.split for part in parts}]
    if lost:
        problems = [Problem("E_NO_FILES", why, id=label) for label, why in missing.items() if label.split("/")[0] in lost]
        raise InputError(f"{one.name}: nothing to build split {', '.join(lost)} from.", problems)


def _usable_manifest(target: Path) -> dict[str, Any] | None:
    """Returns the manifest of what was built before; a damaged one counts as nothing, since it is built anew now."""
    try:
        return read_manifest(target)
    except InputError:
        return None


def _key(one: Source, limit: int | None) -> dict[str, Any]:
    """Returns what determines the bytes of a part beside its input files."""
    return {
        "config": one.name,
        "release": one.release,
        "source_version": one.version,
        "schema_version": schema.SCHEMA_VERSION,
        "pyarrow": pa.__version__,
        "card": [one.card.license_text, one.card.license_audio],
        "limit": limit,
    }


def _input(file: Any) -> dict[str, Any]:
    return {"file": file.name, "bytes": file.path.stat().st_size, "sha256": file.digest()}


def _digest(key: dict[str, Any], inputs: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([key, inputs], sort_keys=True).encode()).hexdigest()[:24]


def _is_current(target: Path, old: dict[str, Any], plan: dict[str, str], kept: list[dict[str, Any]]) -> bool:
    """Whether `target` is what this build would make: the same parts, and every shard there in its full size."""
    have = {entry["label"]: entry["key"] for entry in old["parts"]}
    if have != {**plan, **{entry["label"]: entry["key"] for entry in kept}}:
        return False
    files = [shard for split in old["splits"].values() for shard in split["shards"]]
    return (target / "stats.json").is_file() and all(_has_size(target / shard["file"], shard["bytes"]) for shard in files)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _clear(staging: Path, keep: Iterable[str]) -> None:
    """Deletes what a killed build left and this one cannot use."""
    wanted = set(keep)
    for path in staging.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name.split(".")[0] not in wanted:
            path.unlink()


def _adopt(
    kept: list[dict[str, Any]], old: dict[str, Any] | None, target: Path, staging: Path, *, plan: dict[str, str], force: bool
) -> None:
    """Takes finished parts over from the config built before: those that stay, and those whose input is the same."""
    keep = {entry["key"] for entry in kept}
    for entry in (old or {}).get("parts", []):
        if entry["key"] not in keep and (force or entry["key"] not in plan.values()):
            continue
        done = staging / f"{entry['key']}.json"
        if done.exists() or not all(_has_size(target / s["placed"], s["bytes"]) for s in entry["shards"]):
            continue
        for shard in entry["shards"]:
            (staging / shard["file"]).unlink(missing_ok=True)
            atomic.link_or_copy(target / shard["placed"], staging / shard["file"])
        if entry["dropped"]:
            table = pq.read_table(target / "dropped.parquet", partitioning=None)
            mine = table.filter(pa.compute.equal(table["part"], entry["label"]))
            shards.write_file([mine], staging / f"{entry['key']}.dropped")
        atomic.write_text(done, json.dumps(entry))


def _build_parts(
    one: Source, parts: list[Part], plan: dict[str, str], staging: Path, workers: int, limit: int | None
) -> list[dict[str, Any]]:
    """Returns one entry per part, building those that staging does not hold yet."""
    entries: dict[str, dict[str, Any]] = {}
    waiting = []
    for part in parts:
        if (staging / f"{plan[part.label]}.json").is_file():
            entries[part.label] = _finished(staging, plan[part.label])
        else:
            waiting.append(part)
    with progress(None, one.name, unit="row") as bar:
        if workers > 1 and limit is None and len(waiting) > 1:
            threads = max(1, pa.cpu_count() // workers)
            jobs = [(threads, one.name, part, plan[part.label], staging, None) for part in waiting]
            for part, _ in zip(waiting, processes.run(jobs, min(workers, len(jobs))), strict=True):
                entries[part.label] = _finished(staging, plan[part.label])
                bar.update(entries[part.label]["tally"].get("rows", 0))
        else:
            for part in waiting:
                left = None if limit is None else limit - _rows_of(entries.values(), part.split)
                build_part(one.name, part, plan[part.label], staging, left)
                entries[part.label] = _finished(staging, plan[part.label])
                bar.update(entries[part.label]["tally"].get("rows", 0))
    return [entries[part.label] for part in parts]


def _rows_of(entries: Iterable[dict[str, Any]], split: str) -> int:
    return sum(entry["tally"].get("rows", 0) for entry in entries if entry["split"] == split)


def _finished(staging: Path, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((staging / f"{key}.json").read_text(encoding="utf-8"))
    return entry


def build_part(name: str, part: Part, key: str, staging: Path, limit: int | None) -> None:
    """Writes the shards of one part into `staging`; its entry, written last, says that it is whole."""
    one = source(name)
    dropped: list[dict[str, Any]] = []
    tallies: list[stats.Tally] = []

    def checked() -> Iterator[pa.Table]:
        rows = _first_of_each_id(one, part, _limited(ahead(one.read_part(part)), limit), dropped)
        for table in recut(rows, one.row_group_rows):
            for batch in table.to_batches():
                schema.check(batch, one.primary_style)
            tallies.append(stats.tally(table, one.primary_style))
            yield table

    written = shards.write(checked(), staging, key)
    if dropped:
        shards.write_file([pa.Table.from_pylist(dropped, schema=_DROPPED)], staging / f"{key}.dropped")
    entry = {
        "label": part.label,
        "split": part.split,
        "subset": part.subset,
        "key": key,
        "inputs": {},
        "shards": written,
        "tally": stats.add(tallies),
        "dropped": {DUPLICATE_RULE: len(dropped)} if dropped else {},
        "warnings": one.warnings(part),
    }
    atomic.write_text(staging / f"{key}.json", json.dumps(entry))


def _limited(batches: Iterable[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    if limit is None:
        yield from batches
        return
    left = limit
    for batch in batches:
        if left <= 0:
            return
        yield batch.slice(0, left)
        left -= batch.num_rows


def _first_of_each_id(
    one: Source, part: Part, batches: Iterable[pa.RecordBatch], dropped: list[dict[str, Any]]
) -> Iterator[pa.RecordBatch]:
    """Yields the rows whose id was not there before in the part; the upstream records of the others go to `dropped`."""
    seen: set[str] = set()
    for batch in batches:
        ids = batch["id"].to_pylist()
        before = len(seen)
        repeated = seen.intersection(ids)
        seen.update(ids)
        if not repeated and len(seen) - before == len(ids):
            yield batch
            continue
        known, keep = set(repeated), []
        for identifier in ids:
            keep.append(identifier not in known)
            known.add(identifier)
        mask = pa.array(keep)
        for row in batch.filter(pa.compute.invert(mask)).to_pylist():
            for file, position, record in one.records(row):
                text = json.dumps(record, ensure_ascii=False)
                dropped.append({"part": part.label, "rule": DUPLICATE_RULE, "id": row["id"], "file": file, "row": position,
                                "record_json": text})  # fmt: skip
        yield batch.filter(mask)


def _in_order(one: Source, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the entries in the source's order of splits and files, wherever they came from."""
    order = {part: i for i, part in enumerate(dict.fromkeys((file.split, file.subset) for file in one.files))}
    return sorted(entries, key=lambda entry: (one.splits.index(entry["split"]), order.get((entry["split"], entry["subset"]), 0)))


def _assemble(
    one: Source,
    entries: list[dict[str, Any]],
    inputs: dict[str, dict[str, Any]],
    skipped: dict[str, str],
    unknown: list[str],
    limit: int | None,
    staging: Path,
) -> None:
    """Puts the parts' shards, the manifest and the statistics together in `staging`/config."""
    folder = staging / "config"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    splits: dict[str, dict[str, Any]] = {}
    for split in one.splits:
        mine = [(entry, shard) for entry in entries if entry["split"] == split for shard in entry["shards"]]
        for number, (_, shard) in enumerate(mine):
            shard["placed"] = f"{split}-{number:05d}-of-{len(mine):05d}.parquet"
            atomic.link_or_copy(staging / shard["file"], folder / shard["placed"])
        if mine:
            found = [
                {"file": s["placed"], "subset": e["subset"], **{k: s[k] for k in ("rows", "bytes", "sha256")}} for e, s in mine
            ]
            splits[split] = {"rows": sum(shard["rows"] for _, shard in mine), "shards": found}
        elif any(entry["split"] == split for entry in entries):
            skipped = {**skipped, split: "not built: its files hold no record"}
    if not splits:
        raise InputError(f"{one.name}: the upstream files hold no record; nothing was built.")
    _check_ids_across(one, folder, splits, entries)
    for entry in entries:
        entry["inputs"] = inputs.get(entry["label"]) or entry["inputs"]
    lost = [pq.read_table(staging / f"{entry['key']}.dropped", partitioning=None) for entry in entries if entry["dropped"]]
    if lost:
        shards.write_file([pa.concat_tables(lost).combine_chunks()], folder / "dropped.parquet")
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
    atomic.write_text(folder / "stats.json", json.dumps(_statistics(one, entries, unknown), indent=1, ensure_ascii=False) + "\n")
    atomic.write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _check_ids_across(one: Source, folder: Path, splits: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """Refuses ids that two parts share; inside a part they were told apart already."""
    if len(entries) < 2:
        return
    files = [folder / shard["file"] for split in splits.values() for shard in split["shards"]]
    ids = pa.concat_tables([pq.read_table(path, columns=["id"], partitioning=None) for path in files])["id"]
    counts = ids.value_counts()
    repeated = counts.filter(pa.compute.greater(pa.compute.struct_field(counts, "counts"), 1))
    if len(repeated):
        problems = [Problem("E_DUP_ID", "in more than one upstream file", id=row["values"]) for row in repeated[:20].to_pylist()]
        raise InputError(f"{one.name}: {len(repeated)} ids are in several upstream files.", problems, total=len(repeated))


def _statistics(one: Source, entries: list[dict[str, Any]], unknown: list[str]) -> dict[str, Any]:
    """Returns the content of `stats.json`."""

    def figures(some: Iterable[dict[str, Any]]) -> dict[str, Any]:
        return stats.summary(stats.add(entry["tally"] for entry in some))

    full = [entry for entry in entries if entry["tally"]]
    subsets: dict[str, dict[str, Any]] = {}
    for entry in full:
        if entry["subset"]:
            subsets.setdefault(entry["split"], {})[entry["subset"]] = figures([entry])
    return {
        "config": one.name,
        "total": figures(full),
        "splits": {
            split: figures(entry for entry in full if entry["split"] == split)
            for split in one.splits
            if any(entry["split"] == split for entry in full)
        },
        "subsets": subsets,
        "dropped": stats.add(entry["dropped"] for entry in entries),
        "unknown_files": len(unknown),
        "warnings": [text for entry in entries for text in entry["warnings"]],
    }


def _report(one: Source, target: Path, unknown: list[str], seconds: float, reused: bool) -> BuildReport:
    manifest = read_manifest(target)
    if manifest is None:
        raise InputError(f"{target} disappeared while it was built; is another program working there?")
    statistics = json.loads((target / "stats.json").read_text(encoding="utf-8"))
    return BuildReport(
        config=one.name,
        path=target,
        rows={split: found["rows"] for split, found in manifest["splits"].items()},
        skipped=manifest["skipped"],
        unknown_files=unknown,
        statistics=statistics,
        dropped=statistics["dropped"],
        warnings=statistics["warnings"],
        seconds=seconds,
        reused=reused,
    )
