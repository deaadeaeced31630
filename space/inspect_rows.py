"""Rows of a built set to look at, to listen to and to score: drawn by seed, found by id or all; and the sound of either side.

Rows are read from the row groups that hold them, never a whole set. A side is `a` (the clip, or the first of a pair), `b` (the
second), or `difference`: b - a, sample by sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..dataset_scripts.built import BuiltSet
from ..dataset_scripts.errors import InputError, SoundError, UnknownNameError, shorten
from ..dataset_scripts.sound.samples import Samples, Sound, read, resampled, to_mono
from ..evaluators.models.clap_file import Clip

Row = dict[str, Any]

SIDES = ("a", "b", "difference")
_ROWS_AT_ONCE, _FOR_ONE_ROW = 64, 8  # rows with sound are large
_IDS_AT_ONCE = 50_000


def random_rows(one: BuiltSet, n: int, seed: int) -> list[Row]:
    """Returns `n` rows drawn without replacement, in the set's order; all rows where there are fewer.

    Args:
        one: the set.
        n: how many.
        seed: equal seeds give equal rows.

    Raises:
        InputError: a shard is missing or was cut.
    """
    total = one.rows
    if not total:
        return []
    chosen = np.random.default_rng(seed).choice(total, min(n, total), replace=False, shuffle=False)
    return list(_rows_at(one, sorted(map(int, chosen))))


def _rows_at(one: BuiltSet, places: Sequence[int], at_once: int = _ROWS_AT_ONCE) -> Iterator[Row]:
    begin = 0
    for split, _, path in one.shards():
        (shard,) = (s for s in one.manifest["splits"][split]["shards"] if one.folder / s["file"] == path)
        end = begin + int(shard["rows"])
        inside = [place - begin for place in places if begin <= place < end]
        if inside:
            yield from _rows_of_shard(path, inside, at_once)
        begin = end


def _rows_of_shard(path: Path, places: Sequence[int], at_once: int) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            first = 0
            for group in range(file.num_row_groups):
                behind = first + file.metadata.row_group(group).num_rows
                wanted = [place - first for place in places if first <= place < behind]
                first = behind
                if not wanted:
                    continue
                at = 0
                for batch in file.iter_batches(batch_size=at_once, row_groups=[group]):
                    here = [place - at for place in wanted if at <= place < at + batch.num_rows]
                    at += batch.num_rows
                    if here:
                        yield from batch.take(pa.array(here)).to_pylist()
    except (OSError, pa.ArrowInvalid) as problem:
        raise InputError(f"{path} cannot be read ({problem}); build the set again with --force.") from problem


def row_by_id(one: BuiltSet, id_: str) -> Row:
    """Returns the row whose id, or else whose upstream key, is `id_`.

    Raises:
        InputError: there is none, or the upstream key belongs to several rows; the message lists ids.
    """
    place = 0
    by_key: list[tuple[int, str]] = []
    some: list[str] = []
    for batch in one.batches(["id", "source_key"], rows=_IDS_AT_ONCE):
        found = pc.index(batch["id"], id_).as_py()
        if found >= 0:
            return next(iter(_rows_at(one, [place + found])))
        keyed = pc.indices_nonzero(pc.equal(batch["source_key"], id_)).to_pylist()
        by_key += [(place + at, batch["id"][at].as_py()) for at in keyed]
        some = some or batch["id"].slice(0, 3).to_pylist()
        place += batch.num_rows
    if len(by_key) == 1:
        return next(iter(_rows_at(one, [by_key[0][0]])))
    if by_key:
        ids = ", ".join(name for _, name in by_key[:5])
        raise InputError(f"{len(by_key):,} rows of {one.name} come from {shorten(id_)}; name one by its id: {ids}.")
    raise InputError(
        f"no row of {one.name} has the id {shorten(id_)}; ids look like {', '.join(some) or 'nothing: it is empty'}."
    )


class Places(Mapping[str, int]):
    """The place of every row by its id, looked up in one column: a million ids take some 50 MB and a few milliseconds.

    Args:
        ids: of all rows, in order.
    """

    def __init__(self, ids: pa.ChunkedArray) -> None:
        self._ids = ids

    def __getitem__(self, id_: str) -> int:
        place: int = pc.index(self._ids, id_).as_py()
        if place < 0:
            raise KeyError(id_)
        return place

    def __iter__(self) -> Iterator[str]:
        yield from (id_.as_py() for id_ in self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def places_of(one: BuiltSet) -> Places:
    """Returns the place of every row by its id, for `row_at`.

    Raises:
        InputError: a shard is missing or was cut.
    """
    return Places(pa.chunked_array([batch["id"] for batch in one.batches(["id"], rows=_IDS_AT_ONCE)], pa.string()))


def row_at(one: BuiltSet, place: int) -> Row:
    """Returns the row at a place of the set, from 0; only the row group that holds it is read.

    Raises:
        InputError: a shard is missing or was cut.
    """
    return next(iter(_rows_at(one, [place], _FOR_ONE_ROW)))


def clips_of(one: BuiltSet) -> Iterator[Clip]:
    """Yields all rows as clips to score: side a and the column `caption`; a sound is read when it is asked for.

    Raises:
        InputError: a shard is missing or was cut.
    """
    for batch in one.batches(["id", "caption", "audio", "audio_ref"], rows=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield Clip(row["id"], row["caption"], partial(_mono, row))


def _mono(row: Row, rate_hz: int) -> Samples:
    """Returns float32[n]: the mean of all channels of side a at a rate."""
    found: Samples = resampled(to_mono(sound_of(row, "a")), rate_hz).samples[0]
    return found


def digest_of(one: BuiltSet) -> str:
    """Returns 16 hex characters that say which rows a set holds: they change when a shard does."""
    shards = [shard["sha256"] for split in one.splits for shard in one.manifest["splits"][split]["shards"]]
    return hashlib.sha256(" ".join(shards).encode()).hexdigest()[:16]


def is_pair(row: Mapping[str, Any]) -> bool:
    """Returns whether a row is about two clips."""
    return any(row.get(name) is not None for name in ("audio_b", "audio_ref_b", "operation"))


def has_sound(row: Mapping[str, Any], side: str) -> bool:
    """Returns whether a row holds the sound of a side, or the name of a file that does."""
    if side == "difference":
        return has_sound(row, "a") and has_sound(row, "b")
    cell = _cell(row, side)
    return cell.get("bytes") is not None or cell.get("path") is not None


def content_of(row: Mapping[str, Any], side: str) -> bytes:
    """Returns the sound file of side `a` or `b` as it is stored.

    Raises:
        SoundError: the row has none, or the file that it names is not there.
    """
    cell = _cell(row, side)
    if cell.get("bytes") is not None:
        return bytes(cell["bytes"])
    if cell.get("path") is None:
        known = _upstream(row.get("audio_ref" if side == "a" else "audio_ref_b") or {})
        raise SoundError("missing", f"the row holds no sound{f' (upstream: {known})' if known else ''}")
    try:
        return Path(cell["path"]).read_bytes()
    except OSError as problem:
        raise SoundError("missing", f"the sound file {cell['path']!r} cannot be read ({problem.strerror})") from problem


def _upstream(ref: Mapping[str, Any]) -> str:
    """Returns in words where a clip comes from, such as `youtube abc, from 30 s`; empty where nobody says."""
    name = next((str(ref[field]) for field in ("key", "file_name", "member", "url") if ref.get(field)), "")
    start = f", from {ref['start_s']:g} s" if ref.get("start_s") is not None else ""
    return f"{ref.get('kind') or ''} {name}".strip() + start


def sound_of(row: Mapping[str, Any], side: str, end_s: float | None = None) -> Sound:
    """Returns the sound of a side.

    Args:
        row: a row as Python values.
        side: `a`, `b` or `difference`.
        end_s: where to cut; None for all of it.

    Raises:
        UnknownNameError: no such side.
        SoundError: the row lacks that sound, or it cannot be read.
    """
    if side not in SIDES:
        raise UnknownNameError("side", side, SIDES)
    if side == "difference":
        return difference(sound_of(row, "a", end_s), sound_of(row, "b", end_s))
    return read(content_of(row, side), end_s=end_s)


def difference(a: Sound, b: Sound) -> Sound:
    """Returns b - a at the rate of a; the shorter one goes on in silence, unequal channels are mixed to one.

    Raises:
        MissingRequirementError: the rates differ and soxr is not installed.
    """
    b = resampled(b, a.rate_hz)
    if len(a.samples) != len(b.samples):
        a, b = to_mono(a), to_mono(b)
    found = np.zeros((len(a.samples), max(a.samples.shape[1], b.samples.shape[1])), np.float32)
    found[:, : b.samples.shape[1]] += b.samples
    found[:, : a.samples.shape[1]] -= a.samples
    return Sound(found, a.rate_hz)


def _cell(row: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    return row.get("audio" if side == "a" else "audio_b") or {}
