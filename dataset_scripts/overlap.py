"""Which rows of different sets hold the same sound, found by clip keys and times, and which rows a build marks or drops for it.

- Level `clip`: the same recording, starts within 0.5 s, or the same file (`sha256:`). Level `segment`: spans of the same
  recording intersect, for `shared_s` seconds. Level `recording`: the same recording, times unknown or disjoint.
- A row's recordings are its `clip_keys` without `@<start>`. Its start is the one in the key, otherwise `audio_ref.start_s`; its
  end is `audio_ref.end_s`, otherwise start + `duration_s`. Of a row with several recordings only those with a start in their key
  have times: the others' times are nobody's guess.
- A sound-similarity list (one column `file_name`) is a second kind of evidence, level `similar`: see `compare_list`.
- Everything is done on numbered recordings with numpy; pairs are expanded in pieces, so that memory stays bounded.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import keys
from .arrays import contiguous, stretches
from .built import BuiltSet
from .errors import InputError
from .texthash import Hashes, TextHasher

LEVELS = ("recording", "segment", "clip")  # weak to strong; a level's number is its place here, plus one
SAME_START_S = 0.5
COLUMNS = ("id", "clip_keys", "audio_ref", "audio_ref_b", "duration_s")
_PAIRS_AT_ONCE = 1 << 20
_ROWS_AT_ONCE = 100_000
_ROWS_PER_PASS = 16_000_000  # hashes of so many rows of the smaller set are in memory at a time

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """Which recordings some rows hold, and from when to when: one entry per row and recording, in row order.

    Attributes:
        recordings: keys without a start, `m` of them.
        keys: the most precise key of each, with the start where it is known.
        rows: int64[m], the row that holds it.
        start_s: float64[m], NaN where unknown.
        end_s: float64[m], NaN where unknown.
        is_b: bool[m], whether the second side of a pair holds it.
    """

    recordings: pa.StringArray
    keys: pa.StringArray
    rows: Integers
    start_s: Doubles
    end_s: Doubles
    is_b: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)


def places(rows: pa.RecordBatch | pa.Table) -> Places:
    """Returns the recordings that some rows hold.

    Args:
        rows: rows of the schema; the columns of `COLUMNS` without `id` are read. Rows without a key have no entry.
    """
    listed = contiguous(rows["clip_keys"])
    key = listed.flatten()
    row = np.asarray(pc.list_parent_indices(listed), dtype=np.int64)
    at = pc.find_substring(key, "@").to_numpy(zero_copy_only=False)
    recording = _recordings(key)
    written = pc.if_else(pa.array(at >= 0), pc.replace_substring_regex(key, "^.*@", ""), pa.scalar(None, pa.string()))
    fits = pc.match_substring_regex(written, r"^[0-9]+(\.[0-9]+)?$")
    start = _numbers(pc.cast(pc.if_else(fits, written, pa.scalar(None, pa.string())), pa.float64()))
    # A recording that is there with and without a start is one entry: the one with the start, which sorts first.
    coded = recording.dictionary_encode()
    code = np.asarray(coded.indices, dtype=np.int64)
    order = np.lexsort((start, code, row))  # NaN sorts last
    code, row, start, at = code[order], row[order], start[order], at[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (row[1:] != row[:-1]) | (code[1:] != code[:-1]) | (~np.isnan(start[1:]) & (start[1:] != start[:-1]))
    order, row, start, code = order[is_new], row[is_new], start[is_new], code[is_new]
    return _timed(rows, coded.dictionary.take(pa.array(code)), row, start)


def _recordings(key: pa.StringArray) -> pa.StringArray:
    """Returns the keys without their starts."""
    return pc.if_else(pc.match_substring(key, "@"), pc.replace_substring_regex(key, "@[^@]*$", ""), key)


def _timed(rows: pa.RecordBatch | pa.Table, recording: pa.StringArray, row: Integers, start: Doubles) -> Places:
    """Returns the entries with the times of `audio_ref` where these belong to them."""
    first, second = contiguous(rows["audio_ref"]), contiguous(rows["audio_ref_b"])
    ref_b = pc.struct_field(second, "key").take(pa.array(row))
    upstream = pc.replace_substring_regex(recording, "^[a-z0-9]+:", "")
    is_b = pc.fill_null(pc.equal(upstream, ref_b), False).to_numpy(zero_copy_only=False)
    per_side = np.bincount(row * 2 + is_b, minlength=2 * rows.num_rows)[row * 2 + is_b]
    ref_start, ref_end = (
        np.where(is_b, _numbers(pc.struct_field(second, name))[row], _numbers(pc.struct_field(first, name))[row])
        for name in ("start_s", "end_s")
    )
    duration = np.where(is_b, np.nan, _numbers(contiguous(rows["duration_s"]))[row])
    is_alone = per_side == 1
    begin = np.where(np.isnan(start) & is_alone, ref_start, start)
    is_same = is_alone | (np.abs(ref_start - begin) <= SAME_START_S)
    end = np.where(is_same & ~np.isnan(ref_end), ref_end, begin + np.where(is_same, duration, np.nan))
    end = np.where(np.isnan(begin), np.nan, end)
    stamp = keys.milliseconds(pa.array(begin, from_pandas=True))
    exact = pc.coalesce(pc.binary_join_element_wise(recording, stamp, "@"), recording)
    return Places(recording, exact, row, begin, end, is_b)


@dataclass(frozen=True)
class Matches:
    """Pairs of entries of two `Places` that share a recording.

    Attributes:
        left: int64[k], places in the first.
        right: int64[k], places in the second.
        level: int64[k], 1 for recording, 2 for segment, 3 for clip.
        shared_s: float64[k], seconds that both hold, NaN where a time is unknown.
    """

    left: Integers
    right: Integers
    level: Integers
    shared_s: Doubles


class Index:
    """The recordings of a set, ready to be looked up.

    Args:
        found: what the set holds.
    """

    def __init__(self, found: Places) -> None:
        coded = found.recordings.dictionary_encode()
        code = np.asarray(coded.indices, dtype=np.int64)
        self.found, self.known = found, coded.dictionary
        self.order = np.argsort(code, kind="stable")
        self.counts = np.bincount(code, minlength=len(self.known))
        self.begins = np.cumsum(self.counts) - self.counts
        # Arrow would make a table of all recordings anew in every look-up. Hashes that collide are replaced by others.
        for seed in count():
            self._hasher = TextHasher(seed)
            hashes = self._hasher.of(self.known)
            self._codes = np.argsort(hashes, kind="stable")
            self._hashes = hashes[self._codes]
            if (self._hashes[1:] != self._hashes[:-1]).all():
                break

    def _lookup(self, recordings: pa.StringArray) -> tuple[Integers, Integers]:
        """Returns which of `recordings` this set has, and their numbers in `known`."""
        hashes = self._hasher.of(recordings)
        where = np.flatnonzero(_are_in(self._hashes, hashes))
        code = self._codes[np.searchsorted(self._hashes, hashes[where])]
        is_same = pc.equal(recordings.take(pa.array(where)), self.known.take(pa.array(code))).to_numpy(zero_copy_only=False)
        return where[is_same], code[is_same]

    def matches(self, others: Places) -> Iterator[Matches]:
        """Yields all pairs of an entry of `others` and an entry of this set that share a recording, in the order of `others`."""
        left, code = self._lookup(others.recordings)
        ends = np.cumsum(self.counts[code])
        begin = 0
        while begin < len(left):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right")))
            some = code[begin:end]
            right = self.order[stretches(self.begins[some], self.counts[some])]
            yield self._judged(others, np.repeat(left[begin:end], self.counts[some]), right)
            begin = end

    def _judged(self, others: Places, left: Integers, right: Integers) -> Matches:
        starts = others.start_s[left], self.found.start_s[right]
        ends = others.end_s[left], self.found.end_s[right]
        with np.errstate(invalid="ignore"):
            shared = np.maximum(np.minimum(*ends) - np.maximum(*starts), 0.0)
            is_clip = np.abs(starts[0] - starts[1]) <= SAME_START_S
            level = 1 + (shared > 0).astype(np.int64)
        is_file = pc.starts_with(others.recordings, "sha256:").to_numpy(zero_copy_only=False)[left]
        level[is_clip | is_file] = 3
        return Matches(left, right, level, shared)


def _numbers(values: pa.Array) -> Doubles:
    """Returns float64, NaN for null."""
    return np.asarray(contiguous(values).to_numpy(zero_copy_only=False), dtype=np.float64)


def _joined(pieces: Iterable[tuple[Places, int]]) -> Places:
    """Returns the entries of consecutive pieces as one; the number of rows of each piece moves the next one's rows."""
    found, offset = [], 0
    for piece, n_rows in pieces:
        found.append((piece, piece.rows + offset))
        offset += n_rows
    empty = pa.array([], pa.string())
    return Places(
        pa.concat_arrays([empty, *(piece.recordings for piece, _ in found)]),
        pa.concat_arrays([empty, *(piece.keys for piece, _ in found)]),
        np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in found)]),
        np.concatenate([np.zeros(0), *(piece.start_s for piece, _ in found)]),
        np.concatenate([np.zeros(0), *(piece.end_s for piece, _ in found)]),
        np.concatenate([np.zeros(0, bool), *(piece.is_b for piece, _ in found)]),
    )


def places_of(one: BuiltSet) -> Places:
    """Returns the recordings that a built set holds; rows are counted through all its shards."""
    return _joined((places(batch), batch.num_rows) for batch in one.batches(COLUMNS[1:], rows=_ROWS_AT_ONCE))


# -- two sets beside each other ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OverlapReport:
    """How much of two sets is the same sound.

    Attributes:
        a: name of the first set.
        b: name of the second set.
        rows_a: its number of rows.
        rows_b: number of rows of the second.
        clips_a: level to rows of `a` for which it is the strongest level met in `b`.
        clips_b: level to rows of `b` for which it is the strongest level met in `a`.
        recordings: level to shared recordings (videos) for which it is the strongest level.
        pairs: one entry per pair of rows and recording: `a`, `b` (row ids), `key`, `level`, `shared_s`.
    """

    a: str
    b: str
    rows_a: int
    rows_b: int
    clips_a: dict[str, int]
    clips_b: dict[str, int]
    recordings: dict[str, int]
    pairs: pa.Table

    def ids_of(self, side: str) -> list[str]:
        """Returns the row ids of `a` or `b` that the other set holds too, each once, in order."""
        return list(pc.unique(self.pairs[side]).to_pylist())

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return {
            "a": {"set": self.a, "rows": self.rows_a, "clips": self.clips_a, "clips_total": sum(self.clips_a.values())},
            "b": {"set": self.b, "rows": self.rows_b, "clips": self.clips_b, "clips_total": sum(self.clips_b.values())},
            "recordings": self.recordings,
            "recordings_total": sum(self.recordings.values()),
            "pairs": self.pairs.to_pylist(),
        }


_PAIRS = pa.schema([(name, pa.string()) for name in ("a", "b", "key", "level")] + [("shared_s", pa.float64())])


def overlaps(a: BuiltSet, b: BuiltSet) -> OverlapReport:
    """Returns which rows of two built sets hold the same sound.

    The sets are read twice: for the hashes of their recordings, then for the rows whose hash both have. Of these, those of `b`
    are held in memory and those of `a` go by. A row that only one set has leaves eight bytes behind, and only if that set is the
    smaller one; what grows beyond that is the report itself.
    """
    shared = _shared_hashes(a, b)
    right, ids_b = _held(b, shared)
    pa.default_memory_pool().release_unused()  # what reading took
    index = Index(right)
    code_b = np.empty(len(right), np.int32)
    code_b[index.order] = np.repeat(np.arange(len(index.known), dtype=np.int32), index.counts)
    counts_a, best_b, best_recording = np.zeros(4, np.int64), np.zeros(len(ids_b), np.int8), np.zeros(len(index.known), np.int8)
    tables = [_PAIRS.empty_table()]
    for some, left in _sharing(a, shared):
        best_a = np.zeros(some.num_rows, np.int8)
        for found in index.matches(left):
            level = found.level.astype(np.int8)
            np.maximum.at(best_a, left.rows[found.left], level)
            np.maximum.at(best_b, right.rows[found.right], level)
            np.maximum.at(best_recording, code_b[found.right], level)
            columns = [
                some["id"].take(pa.array(left.rows[found.left])),
                ids_b.take(pa.array(right.rows[found.right])),
                right.keys.take(pa.array(found.right)),
                pa.array(LEVELS).take(pa.array(found.level - 1)),
                pa.array(found.shared_s, from_pandas=True),
            ]
            tables.append(pa.table(columns, schema=_PAIRS))
        counts_a += np.bincount(best_a, minlength=4)
    counts = (counts_a, np.bincount(best_b, minlength=4), np.bincount(best_recording, minlength=4))
    clips_a, clips_b, recordings = (
        {level: int(one[number + 1]) for number, level in reversed(list(enumerate(LEVELS)))} for one in counts
    )
    return OverlapReport(a.name, b.name, a.rows, b.rows, clips_a, clips_b, recordings, pa.concat_tables(tables))


def _held(one: BuiltSet, shared: Hashes) -> tuple[Places, pa.StringArray]:
    """Returns what the rows of a set hold that share a recording, rows counted among these, and their ids."""
    ids = [pa.array([], pa.string())]

    def pieces() -> Iterator[tuple[Places, int]]:
        for some, held in _sharing(one, shared):
            ids.append(some["id"])
            yield held, some.num_rows

    return _joined(pieces()), pa.concat_arrays(ids)


def _shared_hashes(a: BuiltSet, b: BuiltSet) -> Hashes:
    """Returns the sorted hashes of the recordings that two sets share.

    A collision adds a recording that only one has, which then matches nothing: texts are compared afterwards.
    """
    small, large = sorted((a, b), key=lambda one: one.rows)
    n_passes = 1 + small.rows // _ROWS_PER_PASS
    shared = []
    for number in range(n_passes):
        known = np.unique(np.concatenate([np.zeros(0, np.uint64), *_recording_hashes(small, number, n_passes)]))
        is_met = np.zeros(len(known), bool)
        for hashes in _recording_hashes(large, number, n_passes):
            is_met[np.searchsorted(known, hashes[_are_in(known, hashes)])] = True
        shared.append(known[is_met])
    return np.sort(np.concatenate(shared))


def _recording_hashes(one: BuiltSet, number: int, n_passes: int) -> Iterator[Hashes]:
    """Yields the hashes of the recordings of a set, those of one pass, each once per batch."""
    hasher = TextHasher()
    for batch in one.batches(["clip_keys"], rows=_ROWS_AT_ONCE):
        hashes = np.unique(hasher.of(_recordings(batch["clip_keys"].flatten())))
        yield hashes[hashes % np.uint64(n_passes) == number]


def _sharing(one: BuiltSet, shared: Hashes) -> Iterator[tuple[pa.RecordBatch, Places]]:
    """Yields the rows of a set that have a recording with a shared hash, and what they hold."""
    hasher = TextHasher()
    for batch in one.batches(COLUMNS, rows=_ROWS_AT_ONCE):
        listed = batch["clip_keys"]
        is_shared = _are_in(shared, hasher.of(_recordings(listed.flatten())))
        is_wanted = np.zeros(batch.num_rows, bool)
        is_wanted[np.asarray(pc.list_parent_indices(listed))[is_shared]] = True
        # A row keeps all its recordings: which times belong to it depends on how many there are.
        some = batch.filter(pa.array(is_wanted))
        yield some, places(some)


def _are_in(known: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    """Returns bool[n]: which of `hashes` are in the sorted `known`."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    found: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes
    return found


# -- lists made by the similarity of sounds ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListReport:
    """How a list made by sound similarity and the ids agree about which rows of `a` are in `b`.

    Attributes:
        listed: names in the list, each counted once.
        unknown: names that no row of `a` carries.
        both: ids of rows that the list and the ids find.
        only_list: ids of rows that only the list finds, level `similar`.
        only_ids: ids of rows that only the ids find.
    """

    listed: int
    unknown: list[str]
    both: list[str]
    only_list: list[str]
    only_ids: list[str]

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return {"level": "similar", **vars(self)}


def read_list(path: Path) -> list[str]:
    """Returns the names of a list of similar sounds: a csv file with one column `file_name`, each name once.

    Raises:
        InputError: it cannot be read as such.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"{path} cannot be read ({problem}); expected a csv file with one column file_name.") from problem
    if not rows or rows[0] != ["file_name"]:
        raise InputError(f"{path} begins with {rows[0] if rows else 'nothing'}; expected a header line `file_name`, one column.")
    wrong = [number for number, row in enumerate(rows, 1) if len(row) > 1]
    if wrong:
        raise InputError(
            f"{path}, line {wrong[0]} has {len(rows[wrong[0] - 1])} cells; expected one, in quotes if it has a comma."
        )
    return list(dict.fromkeys(row[0] for row in rows[1:] if row and row[0]))


def compare_list(names: Sequence[str], a: BuiltSet, report: OverlapReport) -> ListReport:
    """Returns how a list of rows of `a` agrees with what the ids say.

    A name stands for the rows whose `source_key`, file name or upstream id it is; folders and sound endings do not count. A
    YouTube id stands for all rows of the video.

    Args:
        names: what the list holds.
        a: the set whose sounds are listed.
        report: the overlaps of `a` with the other set, by ids.
    """
    bare = [_bare(name) for name in names]
    wanted = pa.array(bare, pa.string())
    met = np.zeros(len(names), bool)
    listed: list[str] = []
    for batch in a.batches(["id", "source_key", "audio_ref"], rows=_ROWS_AT_ONCE):
        is_listed = np.zeros(batch.num_rows, bool)
        ref = batch["audio_ref"]
        for column in (batch["source_key"], pc.struct_field(ref, "file_name"), pc.struct_field(ref, "key")):
            found = pc.index_in(_bare_names(column), value_set=wanted, skip_nulls=True)
            places_ = found.drop_null().to_numpy()
            met[places_] = True
            is_listed |= found.is_valid().to_numpy(zero_copy_only=False)
        listed.extend(batch["id"].filter(pa.array(is_listed)).to_pylist())
    seen = {name for name, one in zip(bare, met, strict=True) if one}
    by_ids = report.ids_of("a")
    known, similar = set(by_ids), set(listed)
    return ListReport(
        listed=len(names),
        unknown=[name for name in names if _bare(name) not in seen],
        both=[one for one in listed if one in known],
        only_list=[one for one in listed if one not in known],
        only_ids=[one for one in by_ids if one not in similar],
    )


def _bare(name: str) -> str:
    return keys.without_sound_suffix(name.rpartition("/")[2])


def _bare_names(names: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(
        pc.replace_substring_regex(names, "^.*/", ""), r"(?i)\.(wav|flac|mp3|mp4|m4a|ogg|webm)$", ""
    )
