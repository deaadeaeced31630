"""Source to sharded parquet with manifest, statistics and card: `unified-audiocaps/data/<config>/`.

- A config is built in `.uac/` inside the output folder and renamed into place when it is whole: a kill, a full disk or a bad
  record leaves what was there before. To a URL it is sent when it is whole (`target.py`). Parts (one upstream file or pair of
  files each) that were finished are kept for the next call, which goes on behind them.
- Equal input, settings and library versions give equal bytes, whatever the number of workers.
- Of rows that share an id the first is kept; the others lie whole, as upstream records, in `dropped.parquet`, and so do rows
  that were excluded because another set holds their sound.
- The column `overlaps` says which evaluation sets, built beside this config, hold a row's sound. What those sets hold is part of
  what determines the bytes: when it changes, the config is built anew.
- Two builds into one folder wait for each other only where they must: at the same config, and at the README.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from . import schema
from .engine import parts, ray_workers
from .engine import workers as processes
from .engine.attach import SoundPlan
from .engine.parts import Entry
from .engine.remote_target import open_target
from .engine.staging import Staging, is_current
from .engine.target import Target
from .errors import InputError, Problem, UnknownNameError
from .fetch import fetch
from .manifest import Manifest, built_configs
from .marking import Exclusion, Marking
from .progress import progress
from .scores import ScorePlan
from .source import Source, source
from .upstream.files import Part, RawFile

__all__ = ["BuildReport", "build", "built_configs"]

ENGINES = {"local": processes.run, "ray": ray_workers.run}


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        config: its name.
        path: the built folder of the config; its URL where it was built to a URL.
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
    path: Path | str
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
    out: Path | str = Path("unified-audiocaps"),
    splits: Sequence[str] | None = None,
    workers: int = 1,
    engine: str = "local",
    limit: int | None = None,
    force: bool = False,
    mark_overlaps: bool = True,
    exclude: Sequence[Exclusion] = (),
    has_rights: bool = False,
    options: Mapping[str, Any] | None = None,
    sound: SoundPlan | None = None,
    scores: ScorePlan | None = None,
) -> BuildReport:
    """Builds one dataset into the folder `out`, from which `load_dataset` reads it.

    Args:
        name: config name; see `SOURCES.names()`.
        raw: folder that holds the upstream files at any depth; None to fetch them into the cache where that is possible.
        out: the folder that holds all built configs, or the URL of one that `fsspec` knows: `s3://bucket/folder`,
            `hf://datasets/OWNER/NAME`. To a URL the config is built under `UAC_HOME` and sent when it is whole, to the same
            bytes; of the other configs there only what marking and excluding need is read. On the Hub it is one commit, and
            a repository that is not there is created for its owner alone.
        splits: splits to build; those built before and not named here stay as they are. None: all that `raw` holds, and
            nothing else.
        workers: processes; more than the number of upstream files is no use.
        engine: `local`, or `ray` for tasks of Ray (the same bytes where all machines have the same library versions).
        limit: at most this many rows per split, for trials.
        force: build although the same input was built before.
        mark_overlaps: fill `overlaps` from all evaluation sets (splits called test, validation, evaluation or eval) of other
            configs that are in `out` already; without it, or without such sets, the column is null.
        exclude: other sets in `out` whose sounds are dropped.
        has_rights: for `hf://`, the user has the rights that the card does not give to everybody.
        options: what this one source may be told besides; see `Source.options`.
        sound: where rows get their sound from, and in which form; None for text alone.
        scores: what goes into the column `scores`, and below which score rows are dropped; None for nothing.

    Raises:
        UnknownNameError: no such dataset or split.
        InputError: `raw` does not hold what is needed, two upstream files claim the same ids, or `exclude` names a set that was
            not built; a URL is wrong, or the card does not allow to publish the config on the Hub.
        FetchError: the files were to be fetched and could not be; the Hub could not be reached, or does not let the user write.
        RecordError: an upstream file holds something that its format forbids.
        StorageError: the disk is full or the folder cannot be written; the message says what is there now.
        MissingRequirementError: a package that reads such URLs is not installed.
    """
    started = time.monotonic()
    one = source(name)
    chosen = _split_names(one, splits)
    if workers < 1 or (limit is not None and limit < 1):
        raise InputError(f"workers is {workers} and limit is {limit}; expected numbers from 1 up.")
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    options = {name: value for name, value in (options or {}).items() if value is not None}
    if strange := sorted(options.keys() - one.options.keys()):
        raise InputError(f"{one.name} takes no {', '.join(strange)}; it takes {', '.join(one.options) or 'no options'}.")
    if sound is not None:
        sound.check()
        if sound.embed and str(out).startswith("hf://") and not has_rights and "audio" not in one.card.redistribution:
            raise InputError(
                f"the sound of {one.name} may not be published again by everybody ({one.card.license_audio}), and --embed-audio "
                "would put it on the Hub. Build it into a folder, or say --i-have-rights if you have them."
            )
    target = open_target(out, name, has_rights=has_rights)
    if raw is None and one.remote and one.default_raw() is None:
        raw = fetch(one).folder
    plan = replace(target.marking(mark=mark_overlaps, exclude=exclude), scores=scores)
    found = one.locate(raw, without=target.local, **options)
    wanted = [part for part in found.parts if part.split in chosen]
    _check_asked(one, splits, chosen, wanted, found.missing)
    with target.opened():
        old = target.manifest()
        kept = _kept(one, old, chosen) if splits is not None else []
        inputs = _inputs(wanted)
        keys = {part.label: _key(one, part, inputs[part.label], limit, plan, sound) for part in wanted}
        all_keys = keys | {entry["label"]: entry["key"] for entry in kept}
        reused = not force and old is not None and is_current(target.sizes(), old, all_keys)
        staging = Staging(one, target.workshop / name)
        if not reused:
            staging.clear(keep=() if force else all_keys.values())
            same = [entry for entry in (old or {}).get("parts", []) if entry["key"] in all_keys.values()]
            lacking = [entry for entry in kept if parts.read_entry(staging.folder, entry["key"]) is None]
            staging.adopt(kept if force else same, target.bring(lacking))
            built = _build_parts(one, wanted, keys, staging.folder, workers, engine, limit, plan, sound)
            skipped = {label: why for label, why in found.missing.items() if label.split("/")[0] in chosen}
            staging.assemble(
                [*kept, *built],
                inputs=inputs,
                skipped=skipped,
                unknown=list(found.unknown),
                limit=limit,
                warnings=() if sound is None else sound.library.warnings,
            )
        target.put(None if reused else staging.config)
        shutil.rmtree(staging.folder, ignore_errors=True)
    return _report(one, target, list(found.unknown), time.monotonic() - started, reused)


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
    one: Source, splits: Sequence[str] | None, chosen: list[str], wanted: list[Part], missing: dict[str, str]
) -> None:
    """Refuses a split that was asked for by name and cannot be built."""
    lost = [split for split in chosen if splits is not None and split not in {part.split for part in wanted}]
    if lost:
        problems = [Problem("E_NO_FILES", why, id=label) for label, why in missing.items() if label.split("/")[0] in lost]
        raise InputError(f"{one.name}: nothing to build split {', '.join(lost)} from.", problems)


def _kept(one: Source, old: Manifest | None, chosen: list[str]) -> list[Entry]:
    """Returns the parts that were built before and stay, because only other splits were asked for.

    Raises:
        InputError: they were built with other columns.
    """
    kept = [entry for entry in (old or {}).get("parts", []) if entry["split"] not in chosen]
    if old is not None and kept and old["schema_version"] != schema.SCHEMA_VERSION:
        raise InputError(
            f"{one.name} was built with version {old['schema_version']} of the schema, and now it is {schema.SCHEMA_VERSION}; "
            "splits of both cannot be mixed: build all its splits, without --split."
        )
    return kept


def _inputs(wanted: list[Part]) -> dict[str, dict[str, Any]]:
    """Returns label to role to what the file is; a file that several parts look things up in is hashed once."""
    known: dict[Path, dict[str, Any]] = {}

    def described(file: RawFile) -> dict[str, Any]:
        if file.path not in known:
            known[file.path] = {"bytes": file.path.stat().st_size, "sha256": file.digest()}
        return {"file": file.name, **known[file.path]}

    return {part.label: {role: described(file) for role, file in part.files.items()} for part in wanted}


def _key(one: Source, part: Part, inputs: dict[str, Any], limit: int | None, plan: Marking, sound: SoundPlan | None) -> str:
    """Returns the digest of all that determines the bytes of a part."""
    licences = [one.card.license_text, one.card.license_audio]
    versions = [one.release, one.version, schema.SCHEMA_VERSION, pa.__version__]
    described = [one.name, part.label, inputs, limit, licences, versions, plan.describe(), dict(part.options)]
    if sound is not None:
        described.append(sound.describe())
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]


def _build_parts(
    one: Source,
    wanted: list[Part],
    keys: dict[str, str],
    staging: Path,
    workers: int,
    engine: str,
    limit: int | None,
    plan: Marking,
    sound: SoundPlan | None,
) -> list[Entry]:
    """Returns one entry per part, building those that are not finished yet."""
    entries = {part.label: parts.read_entry(staging, keys[part.label]) for part in wanted}
    waiting = [part for part in wanted if entries[part.label] is None]
    done = [entry for entry in entries.values() if entry is not None]

    def finished(part: Part) -> Entry:
        entry = parts.read_entry(staging, keys[part.label])
        if entry is None:
            raise InputError(f"{staging} was emptied while {one.name} was built; is another program working there?")
        return entry

    with progress(None, one.name, unit="row") as bar:
        if limit is None and (engine != "local" or (workers > 1 and len(waiting) > 1)):
            threads = max(1, pa.cpu_count() // workers)
            jobs = [(threads, one.name, part, keys[part.label], staging, None, None, plan, sound) for part in waiting]
            for part, _ in zip(waiting, ENGINES[engine](jobs, min(workers, len(jobs))), strict=True):
                done.append(finished(part))
                bar.update(parts.rows_of(done[-1]))
        else:
            for part in waiting:
                left = None if limit is None else limit - sum(parts.rows_of(e) for e in done if e["split"] == part.split)
                parts.build_part(one.name, part, keys[part.label], staging, left, bar.update, plan, sound)
                done.append(finished(part))
    return done


def _report(one: Source, target: Target, unknown: list[str], seconds: float, reused: bool) -> BuildReport:
    manifest = target.manifest()
    if manifest is None:
        raise InputError(f"{target.path} disappeared while it was built; is another program working there?")
    statistics = target.statistics()
    return BuildReport(
        config=one.name,
        path=target.path,
        rows={split: found["rows"] for split, found in manifest["splits"].items()},
        skipped=manifest["skipped"],
        unknown_files=unknown,
        statistics=statistics,
        dropped=statistics["dropped"],
        warnings=statistics["warnings"],
        seconds=seconds,
        reused=reused,
    )
