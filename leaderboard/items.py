"""Reads the items of a benchmark: from what `uac build` wrote, or from the file that a hub keeps of a benchmark of its own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..dataset_scripts.built import BuiltSet, built_set
from ..dataset_scripts.errors import InputError, Problem, shorten
from ..evaluators.tasks import mecat
from ..evaluators.tasks.groups import Group
from .benchmark import DEFINITIONS, Benchmark, BenchmarkItems, groups_digest

COLUMNS = ("id", "source_key", "captions", "audio_ref", "domain", "clip_keys", "qa")
_LISTS = pa.list_(pa.string())
STORED = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("subtask", pa.string()),
        ("weight", pa.float64()),
        ("references", _LISTS),
        ("aliases", _LISTS),
        ("clip", pa.string()),
        ("domain", pa.string()),
        ("clip_keys", _LISTS),
        ("sound", pa.string()),
    ]
)


def load_items(benchmark: Benchmark, data: Path) -> BenchmarkItems:
    """Reads the references of a benchmark from what `uac build` wrote.

    Args:
        benchmark: the definition.
        data: the folder that `uac build` wrote (`unified-audiocaps`).

    Raises:
        InputError: the split was not built, or what was built is not what the benchmark froze.
    """
    try:
        built = built_set(f"{benchmark.config}/{benchmark.split}", data)
        items = built_items(benchmark, built)
    except InputError as error:
        raise InputError(
            f"benchmark {benchmark.id} needs the {benchmark.split} split of {benchmark.config} in {data}, which is not built. "
            f"Build it: {benchmark.build_command(data)}\n  ({error.headline})",
            error.problems,
        ) from None
    if benchmark.is_frozen:
        check_items(items, f"{data} holds {benchmark.config}/{benchmark.split}", f"{benchmark.build_command(data)} --force")
    return items


def check_items(items: BenchmarkItems, where: str, command: str) -> None:
    """Refuses items that are not those that the definition froze.

    Raises:
        InputError: their digest differs.
    """
    benchmark = items.benchmark
    if (found := groups_digest(items.groups)) != benchmark.items_sha256:
        raise InputError(
            f"{where}: {len(items.references):,} items with digest {found[:12]}; benchmark {benchmark.id} version "
            f"{benchmark.version} is frozen at {benchmark.n_items:,} items with digest {benchmark.items_sha256[:12]}. Build the "
            f"complete release: {command}"
        )


def built_items(benchmark: Benchmark, built: BuiltSet) -> BenchmarkItems:
    """Returns the items that a definition takes from a built set, whatever their digest.

    Raises:
        InputError: a clip has no reference, a listed id is not there, or a shard cannot be read.
    """
    table = built.table(COLUMNS)
    if benchmark.ids:
        table = _listed(table, (DEFINITIONS / benchmark.ids).read_text(encoding="utf-8").split())
    ids = table["id"].to_pylist()
    audio = table["audio_ref"].combine_chunks()
    kinds, keys, file_names, urls = (pc.struct_field(audio, name).to_pylist() for name in ("kind", "key", "file_name", "url"))
    clip_keys = {id_: tuple(found or ()) for id_, found in zip(ids, table["clip_keys"].to_pylist(), strict=True)}
    domains = {id_: domain for id_, domain in zip(ids, table["domain"].to_pylist(), strict=True) if domain}
    sounds = {id_: name or url for id_, name, url in zip(ids, file_names, urls, strict=True) if name or url}
    clips: dict[str, str] = {}
    if benchmark.task == "mecat_qa":
        groups = mecat.answers(table).groups
        aliases: dict[str, str] = {}
        clips = _owners(table, ids)
    else:
        # the field's copies of AudioSet clips are called after the video, with a Y in front
        customary = [f"Y{key}.wav" if kind == "youtube" else None for kind, key in zip(kinds, keys, strict=True)]
        aliases = _aliases(ids, table["source_key"].to_pylist(), keys, file_names, customary)
        groups = mecat.captions(table).groups if benchmark.task == "mecat_caption" else (_pool(benchmark, table, ids),)
    return BenchmarkItems(benchmark, groups, aliases, clips, domains, clip_keys, sounds)


def from_references(benchmark: Benchmark, references: Mapping[str, tuple[str, ...]]) -> BenchmarkItems:
    """Returns the items of a benchmark that was made from a file of references, in its order."""
    return BenchmarkItems(benchmark, (Group("all", benchmark.subtask, 1.0, dict(references)),), {})


def to_parquet(items: BenchmarkItems) -> bytes:
    """Returns the items as the file that a hub keeps of a benchmark of its own; equal items give equal bytes."""
    names: dict[str, list[str]] = {}
    for alias, id_ in items.aliases.items():
        names.setdefault(id_, []).append(alias)
    rows = [
        {
            "id": id_,
            "group": group.name,
            "subtask": group.subtask,
            "weight": group.weight,
            "references": list(texts),
            "aliases": names.get(id_, []),
            "clip": items.clip_of(id_),
            "domain": items.domains.get(items.clip_of(id_)),
            "clip_keys": list(items.clip_keys.get(items.clip_of(id_), ())),
            "sound": items.sounds.get(items.clip_of(id_)),
        }
        for group in items.groups
        for id_, texts in group.references.items()
    ]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, STORED), stream, compression="zstd")
    return stream.getvalue()


def from_parquet(benchmark: Benchmark, path: Path) -> BenchmarkItems:
    """Reads the file that a hub keeps of a benchmark of its own.

    Raises:
        InputError: the file is gone or damaged, or holds other items.
    """
    try:
        rows = pq.read_table(path, columns=STORED.names).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"the items of benchmark {benchmark.id} at {path.name} cannot be read ({reason}); restore the hub's files."
        ) from None
    groups: dict[str, Group] = {}
    for row in rows:
        group = groups.setdefault(row["group"], Group(row["group"], row["subtask"], row["weight"], {}))
        group.references[row["id"]] = tuple(row["references"])  # type: ignore[index] # ours until it is handed out
    items = BenchmarkItems(
        benchmark,
        tuple(groups.values()),
        {alias: row["id"] for row in rows for alias in row["aliases"]},
        {row["id"]: row["clip"] for row in rows if row["clip"] != row["id"]},
        {row["clip"]: row["domain"] for row in rows if row["domain"]},
        {row["clip"]: tuple(row["clip_keys"]) for row in rows},
        {row["clip"]: row["sound"] for row in rows if row["sound"]},
    )
    check_items(items, f"the hub's file {path.name}", "uac admin restore, from a backup")
    return items


def _listed(table: pa.Table, ids: list[str]) -> pa.Table:
    """Returns the rows of the listed ids."""
    kept = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string())))
    if kept.num_rows != len(ids):
        missing = sorted(set(ids) - set(kept["id"].to_pylist()))
        raise InputError(
            f"{len(missing):,} of {len(ids):,} listed clips are not in what was built; expected all of them.",
            [Problem("E_MISSING_ID", f"{shorten(id_)} is not there", id=id_) for id_ in missing],
        )
    return kept


def _pool(benchmark: Benchmark, table: pa.Table, ids: list[str]) -> Group:
    """Returns all clips with their captions in the benchmark's style."""
    captions = table["captions"].combine_chunks()
    flat = pc.list_flatten(captions)
    keep = pc.equal(flat.field("style"), benchmark.style)
    owners = pc.list_parent_indices(captions).filter(keep).to_pylist()
    gathered: list[list[str]] = [[] for _ in ids]
    for owner, text in zip(owners, flat.field("text").filter(keep).to_pylist(), strict=True):
        gathered[owner].append(text)
    empty = [id_ for id_, texts in zip(ids, gathered, strict=True) if not texts]
    if empty:
        raise InputError(
            f"{len(empty):,} of {len(ids):,} rows have no caption in the style {benchmark.style!r}; expected one in each.",
            [Problem("E_REFERENCES", f"{shorten(id_)} has no {benchmark.style} caption", id=id_) for id_ in empty],
        )
    references = {clip_id: tuple(texts) for clip_id, texts in zip(ids, gathered, strict=True)}
    return Group("all", benchmark.subtask, 1.0, references)


def _owners(table: pa.Table, ids: list[str]) -> dict[str, str]:
    """Returns the clip of every question."""
    listed = table["qa"].combine_chunks()
    places = pc.list_parent_indices(listed).to_pylist()
    return {qa_id: ids[place] for qa_id, place in zip(pc.list_flatten(listed).field("qa_id").to_pylist(), places, strict=True)}


def _aliases(ids: list[str], *names: list[str | None]) -> dict[str, str]:
    """Returns every upstream name that stands for exactly one clip and is no clip id itself."""
    owners: dict[str, set[str]] = {}
    for column in names:
        for clip_id, name in zip(ids, column, strict=True):
            if name:
                owners.setdefault(name, set()).add(clip_id)
    taken = set(ids)
    return {name: next(iter(clips)) for name, clips in owners.items() if len(clips) == 1 and name not in taken}
