"""Mixtures: a recipe names built sets, and becomes a config of its own that can be cited by one digest.

- The sets are taken in the recipe's order. Of each, rows whose sound a set under `decontaminate` holds are left out, then rows
  whose clip was taken before, then as many rows are drawn as the recipe asks for, then questions of these rows.
- Clips are the same when all their most precise clip keys are equal (`deduplicate: clip`), or their recordings
  (`deduplicate: recording`); rows without a key are never the same as others.
- Drawing depends on the seed and the row ids alone: with one seed, a smaller number gives a subset of what a larger one gives.
- Rows stay as they are, but for `split`, which is `train`, and `qa`, where questions are drawn. Left-out rows are counted; they
  are still in their own sets.
- The digest covers the recipe, the upstream files behind every set and the ids that were taken; not library versions.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import atomic, schema, stats
from .arrays import lengths_of, lists, ranges, text
from .built import BuiltSet, built_set, holds_sound, read_batches
from .card import write_readme
from .engine import shards
from .engine.attach import ROWS_PER_GROUP
from .engine.staging import is_complete
from .errors import InputError, Problem, UnknownNameError
from .manifest import read_manifest
from .marking import Exclusion
from .overlap import COLUMNS, Index, Places, places, places_of
from .pipeline import recut
from .progress import progress
from .recipe import Ingredient, Recipe
from .source import SOURCES, Source, source
from .texthash import Hashes, TextHasher, numbered

SPLIT = "train"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MixReport:
    """What `mix` did.

    Attributes:
        config: its name.
        path: the built folder.
        digest: cites the mixture.
        sets: per set: `set`, `not_built` (what is missing of it), `candidates`, `overlapping`, `duplicates`, `rows`, `questions`.
        incomplete: what is missing of the sets whose sounds are left out, by name.
        rows: rows in all.
        seconds: wall-clock time.
        reused: whether the very same mixture was there already.
    """

    config: str
    path: Path
    digest: str
    sets: list[dict[str, Any]]
    incomplete: dict[str, list[str]]
    rows: int
    seconds: float
    reused: bool


@dataclass
class _Taken:
    """What is taken from one set.

    Attributes:
        one: the set.
        shards: the paths that are read.
        rows: bool per row of these shards.
        questions: bool per question of these shards, None for all.
        counts: for the manifest.
    """

    one: BuiltSet
    shards: list[Path]
    rows: Mask
    questions: Mask | None = None
    counts: dict[str, Any] = field(default_factory=dict)


def mix(recipe: Recipe, data: Path, out: Path | None = None) -> MixReport:
    """Builds a mixture as a config of its own.

    Args:
        recipe: what to mix.
        data: the folder that holds the built sets.
        out: the folder to write; None for `data`.

    Raises:
        UnknownNameError: no such set or subset.
        InputError: sets are not built (all of them are listed), one is decontaminated by itself, or holds less than is asked for.
        StorageError: the disk is full or the folder cannot be written.
    """
    started = time.monotonic()
    out = out or data
    sets, avoided = _needed(recipe, data)
    for one in avoided:
        for other in sets:
            if other.config == one.config and set(other.splits) & set(one.splits):
                raise InputError(
                    f"{recipe.name} takes {other.name} and leaves out what {one.name} holds, which is all of it; name "
                    "other splits."
                )
    indices = [(rule, Index(places_of(one))) for rule, one in zip(recipe.decontaminate, avoided, strict=True)]
    seen = np.zeros(0, np.uint64)
    taken: list[_Taken] = []
    for ingredient, one in zip(recipe.sets, sets, strict=True):
        found, seen = _take(recipe, ingredient, one, indices, seen)
        taken.append(found)
    digest = _digest(recipe, taken, avoided)
    target, workshop = out / "data" / recipe.name, out / ".uac"
    with (
        atomic.storage_errors(out, "What was built before is untouched."),
        atomic.exclusive(workshop / f"{recipe.name}.lock"),
    ):
        aside = workshop / f"{recipe.name}.old"
        atomic.recover_folder(target, aside)
        reused = _is_there(target, digest)
        if not reused:
            folder = workshop / recipe.name / "config"
            shutil.rmtree(folder.parent, ignore_errors=True)
            folder.mkdir(parents=True)
            _write(recipe, taken, digest, folder)
        with atomic.exclusive(workshop / "readme.lock"):
            if not reused:
                atomic.replace_folder(folder, target, aside)
            write_readme(out)
        shutil.rmtree(workshop / recipe.name, ignore_errors=True)
    counts = [one.counts for one in taken]
    rows = sum(one["rows"] for one in counts)
    incomplete = {one.name: gaps for one in avoided if (gaps := _gaps(one))}
    return MixReport(recipe.name, target, digest, counts, incomplete, rows, time.monotonic() - started, reused)


def _needed(recipe: Recipe, data: Path) -> tuple[list[BuiltSet], list[BuiltSet]]:
    """Returns the sets that are taken and those that are left out; tells of everything that is not built at once."""
    found: dict[str, BuiltSet] = {}
    problems: dict[str, Problem] = {}
    for name in [*(one.set for one in recipe.sets), *(one.name for one in recipe.decontaminate)]:
        try:
            found[name] = built_set(name, data)
        except InputError as problem:
            config = name.partition("/")[0]
            is_nothing_there = read_manifest(data / "data" / config) is None  # then all its splits come by one command
            problems.setdefault(config if is_nothing_there else name, Problem("E_NOT_BUILT", str(problem), column="sets"))
    for one in recipe.sets:
        if one.set in found and (missing := _missing_subsets(one, found[one.set])):
            source_ = source(found[one.set].config)
            message = (
                f"subset {', '.join(missing)} of {source_.name} is not in {data}; build it with its files: "
                f"`{source_.build_command(data)}`."
            )
            problems[message] = Problem("E_NOT_BUILT", message, column="sets")
    if problems:
        raise InputError(f"{recipe.name} cannot be mixed yet; it needs sets that are not built.", list(problems.values()))
    return [found[one.set] for one in recipe.sets], [found[one.name] for one in recipe.decontaminate]


def _missing_subsets(ingredient: Ingredient, one: BuiltSet) -> list[str]:
    """Returns the subsets that the source has and the built set has not, of those that are asked for."""
    there = list(dict.fromkeys(subset for _, subset, _ in one.shards() if subset))
    missing = [subset for subset in ingredient.subsets if subset not in there]
    known = source(one.config).subsets if one.config in SOURCES.names() else []
    for subset in missing:
        if subset not in known:
            raise UnknownNameError(f"subset of {one.name}", subset, {*known, *there})
    return missing


def _gaps(one: BuiltSet, subsets: Sequence[str] = ()) -> list[str]:
    """Returns what the build of a set left out: splits and subsets without files, and rows beyond a limit."""
    found = []
    for label in one.manifest["skipped"]:
        split, _, subset = label.partition("/")
        is_meant = one.name == one.config or split in one.splits
        if is_meant and not (subset and subsets and subset not in subsets):
            found.append(label)
    limit = one.manifest.get("limit")
    return found + ([f"the rows beyond --limit {limit}"] if limit is not None else [])


def _take(
    recipe: Recipe, ingredient: Ingredient, one: BuiltSet, indices: Sequence[tuple[Exclusion, Index]], seen: Hashes
) -> tuple[_Taken, Hashes]:
    """Returns what is taken of a set, and the clips that are taken so far."""
    paths = _shards(ingredient, one)
    hasher, drawer = TextHasher(), TextHasher(recipe.seed)
    columns = [*COLUMNS, *(["qa"] if ingredient.draws_questions else []), *(["caption"] if ingredient.captioned else [])]
    clips, draws, clean, usable = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    per_row, captioned = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    overlapping = {rule.name: 0 for rule, _ in indices}
    with progress(one.rows, one.name, unit="row") as bar:
        for path in paths:
            for batch in read_batches(path, columns):
                held = places(batch)
                is_clean = np.ones(batch.num_rows, bool)
                for rule, index in indices:
                    hit = _hit(held, index, rule, batch.num_rows)
                    overlapping[rule.name] += int((hit & is_clean).sum())
                    is_clean &= ~hit
                clean.append(is_clean)
                clips.append(_identities(held, hasher, recipe.deduplicate, batch.num_rows))
                draws.append(drawer.of(batch["id"]))
                if ingredient.draws_questions:
                    per_row.append(lengths_of(batch["qa"]))
                    usable.append(_usable_questions(batch["qa"]))
                if ingredient.captioned:
                    captioned.append(batch["caption"].is_valid().to_numpy(zero_copy_only=False))
                bar.update(batch.num_rows)
    keep, clip, draw = (np.concatenate(pieces) for pieces in (clean, clips, draws))
    candidates, n_clean = len(keep), int(keep.sum())
    if recipe.deduplicate != "none":
        keep = _first_of_each(keep, clip, seen)
    n_new = int(keep.sum())
    chosen_questions = None
    if ingredient.captioned:
        keep &= np.concatenate(captioned)
    if ingredient.rows:
        keep = _drawn(keep, draw, ingredient.rows, f"{one.name} has {{}} rows", recipe)
    if ingredient.draws_questions:
        lengths = np.concatenate(per_row)
        row = np.repeat(np.arange(len(lengths)), lengths)
        chosen_questions = np.concatenate(usable) & keep[row]
        draw = numbered(draw[row], ranges(lengths))
        if ingredient.questions_per_row:
            chosen_questions = _some_of_each(chosen_questions, row, draw, ingredient.questions_per_row)
        if ingredient.questions:
            chosen_questions = _drawn(chosen_questions, draw, ingredient.questions, f"{one.name} has {{}} questions", recipe)
        keep = np.bincount(row[chosen_questions], minlength=len(lengths)) > 0
    if not keep.any():
        raise InputError(f"{recipe.name}: nothing of {one.name} is left; take it out of the recipe, or decontaminate less.")
    counts: dict[str, Any] = {
        "set": one.name,
        "release": one.manifest["release"],
        "not_built": _gaps(one, ingredient.subsets),
        "candidates": candidates,
        "overlapping": overlapping,
        "duplicates": n_clean - n_new,
        "rows": int(keep.sum()),
        "questions": int(chosen_questions.sum()) if chosen_questions is not None else None,
    }
    known = clip[keep & (clip != 0)]
    return _Taken(one, paths, keep, chosen_questions, counts), np.union1d(seen, known)


def _shards(ingredient: Ingredient, one: BuiltSet) -> list[Path]:
    return [path for _, subset, path in one.shards() if not ingredient.subsets or subset in ingredient.subsets]


def _hit(held: Places, index: Index, rule: Exclusion, n: int) -> Mask:
    found = np.zeros(n, bool)
    for some in index.matches(held):
        found[held.rows[some.left[rule.reaches(some.level)]]] = True
    return found


def _identities(held: Places, hasher: TextHasher, level: str, n: int) -> Hashes:
    """Returns a number per row that is equal for the same clips, 0 for rows without a key; the order of keys does not count."""
    keys = held.recordings if level == "recording" else held.keys
    found = np.zeros(n, np.uint64)
    np.add.at(found, held.rows, hasher.of(keys))
    return found


def _usable_questions(column: pa.ListArray) -> Mask:
    found: Mask = pc.invert(pc.fill_null(column.flatten().field("is_absent"), False)).to_numpy(zero_copy_only=False)
    return found


def _first_of_each(keep: Mask, clip: Hashes, seen: Hashes) -> Mask:
    """Returns which of the kept rows hold a clip that is new, the first row of each."""
    rows = np.flatnonzero(keep)
    is_known = clip[rows] != 0
    first = np.zeros(len(rows), bool)
    first[np.unique(clip[rows], return_index=True)[1]] = True
    found = np.zeros(len(keep), bool)
    found[rows] = ~is_known | (first & ~np.isin(clip[rows], seen))
    return found


def _some_of_each(keep: Mask, row: NDArray[np.int64], draw: Hashes, n: int) -> Mask:
    """Returns the kept places without those of a row that are beyond the `n` whose draws are the smallest."""
    places_ = np.flatnonzero(keep)
    places_ = places_[np.lexsort((draw[places_], row[places_]))]
    begins = np.flatnonzero(np.diff(row[places_], prepend=-1))
    nth = np.arange(len(places_)) - np.repeat(begins, np.diff(begins, append=len(places_)))
    found = np.zeros(len(keep), bool)
    found[places_[nth < n]] = True
    return found


def _drawn(keep: Mask, draw: Hashes, n: int, has: str, recipe: Recipe) -> Mask:
    """Returns the `n` of the kept places whose draws are the smallest."""
    places_ = np.flatnonzero(keep)
    if len(places_) < n:
        raise InputError(
            f"{recipe.name}: {has.format(f'{len(places_):,}')} to draw from; the recipe asks for {n:,}. Ask for less: "
            "`uac mix RECIPE --show` prints a recipe to start your own from."
        )
    found = np.zeros(len(keep), bool)
    found[places_[np.argsort(draw[places_], kind="stable")[:n]]] = True
    return found


def _digest(recipe: Recipe, taken: Sequence[_Taken], avoided: Sequence[BuiltSet]) -> str:
    digest = hashlib.sha256(json.dumps(recipe.defining(), sort_keys=True).encode())
    for one in [*(found.one for found in taken), *avoided]:
        digest.update(json.dumps([one.name, _content(one.manifest)], sort_keys=True).encode())
    for found in taken:
        begin = 0
        for path in found.shards:
            for batch in read_batches(path, ["id"], rows=100_000):
                ids = batch["id"].filter(pa.array(found.rows[begin : begin + batch.num_rows]))
                digest.update("\n".join([*ids.to_pylist(), ""]).encode())
                begin += batch.num_rows
        if found.questions is not None:
            digest.update(np.packbits(found.questions).tobytes())
    return digest.hexdigest()[:16]


def _content(manifest: Mapping[str, Any]) -> Any:
    """Returns what says which texts a built config holds, whatever library wrote it."""
    if "mixture" in manifest:
        return manifest["mixture"]["digest"]
    inputs = [
        [part["label"], {role: one["sha256"] for role, one in sorted(part.get("inputs", {}).items())}]
        for part in manifest["parts"]
    ]
    return [manifest["release"], manifest["source_version"], manifest["schema_version"], inputs]


def _is_there(target: Path, digest: str) -> bool:
    try:
        old = read_manifest(target)
    except InputError:
        return False
    if old is None or old.get("mixture", {}).get("digest") != digest or old["pyarrow"] != pa.__version__:
        return False
    return (target / "stats.json").is_file() and is_complete(target, old["splits"][SPLIT]["shards"])


def _write(recipe: Recipe, taken: Sequence[_Taken], digest: str, folder: Path) -> None:
    tallies: list[stats.Tally] = []
    styles = {found.one.primary_style for found in taken}
    style = styles.pop() if len(styles) == 1 else None
    rows_at_once = ROWS_PER_GROUP if any(holds_sound(found.shards) for found in taken) else Source.row_group_rows

    def groups() -> Iterator[pa.Table]:
        for table in recut(_rows(taken, rows_at_once), rows_at_once):
            tallies.append(stats.tally(table, style or "default"))
            yield table

    written = [shards.write(some, folder / f"{SPLIT}.{i}.parquet") for i, some in enumerate(shards.chunks(groups()))]
    for number, shard in enumerate(written):
        name = f"{SPLIT}-{number:05d}-of-{len(written):05d}.parquet"
        (folder / shard["file"]).rename(folder / name)
        shard |= {"file": name, "subset": None}
    figures = stats.summary(stats.add(tallies))
    counts = [found.counts for found in taken]
    dropped: dict[str, int] = {}
    for one in counts:
        for name, n in one["overlapping"].items():
            dropped[f"overlap:{name}"] = dropped.get(f"overlap:{name}", 0) + n
        dropped["duplicate_clip"] = dropped.get("duplicate_clip", 0) + one["duplicates"]
    manifest = {
        "config": recipe.name,
        "title": recipe.title or recipe.name,
        "release": digest,
        "schema_version": schema.SCHEMA_VERSION,
        "source_version": 1,
        "pyarrow": pa.__version__,
        "limit": None,
        "primary_style": style,
        "splits": {SPLIT: {"rows": sum(shard["rows"] for shard in written), "shards": written}},
        "parts": [],
        "skipped": {},
        "unknown_files": [],
        "mixture": {"digest": digest, "about": recipe.about, "recipe": recipe.defining(), "sets": counts},
    }
    statistics = {
        "config": recipe.name,
        "total": figures,
        "splits": {SPLIT: figures},
        "subsets": {},
        "dropped": {rule: n for rule, n in dropped.items() if n},
        "unknown_files": 0,
        "warnings": [],
    }
    for name, value in (("stats.json", statistics), ("manifest.json", manifest)):
        atomic.write_text(folder / name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _rows(taken: Sequence[_Taken], rows_at_once: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows that are taken, set after set, read some at a time."""
    for found in taken:
        row = question = 0
        for path in found.shards:
            for batch in read_batches(path, rows=min(2_000, rows_at_once)):
                mask = found.rows[row : row + batch.num_rows]
                row += batch.num_rows
                if found.questions is not None:
                    n = int(lengths_of(batch["qa"]).sum())
                    batch = _with_questions(batch, found.questions[question : question + n])  # noqa: PLW2901 # the same rows
                    question += n
                if mask.any():
                    some = batch.filter(pa.array(mask))
                    at = some.schema.get_field_index("split")
                    some = some.set_column(at, schema.SCHEMA.field("split"), text(SPLIT, some.num_rows))
                    yield pa.RecordBatch.from_arrays(some.columns, schema=schema.SCHEMA)


def _with_questions(batch: pa.RecordBatch, chosen: Mask) -> pa.RecordBatch:
    column = batch["qa"]
    row = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    kept = lists(column.flatten().filter(pa.array(chosen)), np.bincount(row[chosen], minlength=len(column)).astype(np.int64))
    return batch.set_column(
        batch.schema.get_field_index("qa"), schema.SCHEMA.field("qa"), kept.cast(schema.SCHEMA.field("qa").type)
    )
