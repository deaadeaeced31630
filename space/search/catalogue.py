"""The captions of a built set as a numbered list, with all that is needed to filter them and to show one at once.

A row of the set that has no usable caption stands in the list once, with an empty text: filters find it, words do not. Two Arrow
files, mapped into memory and never read as a whole: `captions.arrow` (text, style, side, row) and `rows.arrow` (id, split, shard,
place in the shard, domain, tags, overlap). Names are stored as numbers, -1 for none; `names.json` says what they stand for.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...dataset_scripts import atomic
from ...dataset_scripts.arrays import lengths_of
from ...dataset_scripts.built import BuiltSet, read_batches
from ...dataset_scripts.errors import InputError, UnknownNameError, shorten

Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Overlap = Literal["none", "any"]

OVERLAPS: tuple[Overlap, ...] = ("none", "any")
FIELDS = ("split", "style", "domain", "tag")
_CAPTIONS = pa.schema([("text", pa.string()), ("style", pa.int32()), ("side", pa.int32()), ("row", pa.int32())])
_CODES = ("split", "shard", "place", "domain", "overlap")
_ROWS = pa.schema([("id", pa.string()), *((name, pa.int32()) for name in _CODES), ("tags", pa.list_(pa.int32()))])
_COLUMNS = ("id", "captions", "domain", "tags", "overlaps")


@dataclass(frozen=True)
class Filters:
    """What a caption and its clip must be; None for anything. Names may be written in small or capital letters.

    Attributes:
        split: split of the clip.
        style: style of the caption.
        domain: domain of the clip.
        tag: label of one of the clip's tags.
        overlap: `any`: the clip's sound is in an evaluation set, too; `none`: it was compared with them and is in none.
    """

    split: str | None = None
    style: str | None = None
    domain: str | None = None
    tag: str | None = None
    overlap: Overlap | None = None


@dataclass(frozen=True)
class Entry:
    """One caption of the list.

    Attributes:
        id: id of the row.
        split: its split.
        caption: the text; empty for a row without captions.
        style: style of the caption.
        side: `a`, `b` or `pair` in sets of pairs.
        shard: file that holds the row, in the folder of the config.
        place: 0-based place of the row in that file.
    """

    id: str
    split: str
    caption: str
    style: str | None
    side: str | None
    shard: str
    place: int


@dataclass
class _Names:
    """Gives numbers to names in the order in which they come."""

    known: dict[str, int] = field(default_factory=dict)

    def codes(self, values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Returns the number of every value, -1 for null."""
        coded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        coded = coded.dictionary_encode()
        table = [self.known.setdefault(name, len(self.known)) for name in coded.dictionary.to_pylist()]
        codes: npt.NDArray[np.int32] = np.array([*table, -1], np.int32)[
            coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        ]
        return codes


@dataclass(frozen=True)
class Catalogue:
    """The list, read back.

    Attributes:
        captions: text, style, side, row.
        rows: id, split, shard, place, domain, tags, overlap.
        names: field to its names, by number: `split`, `style`, `side`, `domain`, `tag`, `shard`.
    """

    captions: pa.Table
    rows: pa.Table
    names: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return int(self.captions.num_rows)

    def entry(self, number: int) -> Entry:
        """Returns a caption of the list."""
        one = {name: self.captions[name][number].as_py() for name in _CAPTIONS.names}
        row = {name: self.rows[name][one["row"]].as_py() for name in ("id", "split", "shard", "place")}
        return Entry(
            id=row["id"],
            split=self.names["split"][row["split"]],
            caption=one["text"],
            style=self._name("style", one["style"]),
            side=self._name("side", one["side"]),
            shard=self.names["shard"][row["shard"]],
            place=row["place"],
        )

    def _name(self, kind: str, code: int) -> str | None:
        return self.names[kind][code] if code >= 0 else None

    def counts(self, splits: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
        """Returns what filters can name: field to name to how many rows (of styles: captions) have it, most first.

        The fields are `split`, `style`, `domain`, `tag` and `overlap`; of that there are `any`, `none`, and `unknown` for rows
        that nobody compared with evaluation sets.

        Args:
            splits: count in these splits; None for all.
        """
        key = tuple(self.names["split"] if splits is None else splits)
        if key not in self._counted:
            self._counted[key] = self._count(key)
        return self._counted[key]

    @cached_property
    def _counted(self) -> dict[tuple[str, ...], dict[str, dict[str, int]]]:
        return {}

    def _count(self, splits: tuple[str, ...]) -> dict[str, dict[str, int]]:
        inside = self._is_one_of("split", [self.names["split"].index(split) for split in splits])
        found = {}
        for kind in FIELDS:
            row = {"tag": "row_of_tag", "style": "row"}.get(kind)
            codes = self._numbers(kind)[inside if row is None else inside[self._numbers(row)]]
            n = np.bincount(codes[codes >= 0], minlength=len(self.names[kind])).tolist()
            by_name = zip(self.names[kind], n, strict=True)
            found[kind] = {name: count for name, count in sorted(by_name, key=lambda one: (-one[1], one[0])) if count}
        n = np.bincount(self._numbers("overlap")[inside] + 1, minlength=3).tolist()
        found["overlap"] = {name: count for name, count in zip(("unknown", *OVERLAPS), n, strict=True) if count}
        return found

    @cached_property
    def is_caption(self) -> Mask:
        """bool[n]: which entries have a text."""
        found: Mask = pc.greater(pc.binary_length(self.captions["text"]), 0).to_numpy()
        return found

    def codes_of(self, filters: Filters, set_name: str) -> dict[str, list[int]]:
        """Returns field to the numbers of which an entry must have one; a field that is not there may be anything.

        Args:
            filters: what is wanted.
            set_name: the set, for messages.

        Raises:
            UnknownNameError: no caption has this split, style or domain.
            InputError: no clip has this tag; or overlaps are asked for, and no clip was compared with evaluation sets.
        """
        found = {}
        for kind in FIELDS:
            wanted = getattr(filters, kind)
            if wanted is None:
                continue
            names = self.names[kind]
            found[kind] = [code for code, name in enumerate(names) if name == wanted]
            found[kind] = found[kind] or [code for code, name in enumerate(names) if name.casefold() == wanted.casefold()]
            if not found[kind] and kind == "tag":  # too many to list them
                close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
                hint = f"Did you mean {' or '.join(close)}?" if close else f"There are {len(names):,} tags."
                raise InputError(f"no clip of {set_name} has the tag {shorten(wanted)}. {hint}")
            if not found[kind]:
                raise UnknownNameError(f"{kind} of {set_name}", wanted, names)
        if filters.overlap is not None:
            if filters.overlap not in OVERLAPS:
                raise UnknownNameError("overlap", filters.overlap, OVERLAPS)
            if not (self._numbers("overlap") >= 0).any():
                raise InputError(
                    f"nobody knows which clips of {set_name} are in evaluation sets: none was there when it was built. Build "
                    "the evaluation sets into the same folder, and then this one again."
                )
            found["overlap"] = [OVERLAPS.index(filters.overlap)]
        return found

    def mask(self, codes: Mapping[str, Sequence[int]]) -> Mask | None:
        """Returns bool[n], which entries are wanted; None for all of them.

        Args:
            codes: what `codes_of` returns.
        """
        if not codes:
            return None
        rows = np.ones(self.rows.num_rows, bool)
        for kind, wanted in codes.items():
            if kind == "tag":
                is_tagged = np.zeros(len(rows), bool)
                is_tagged[self._numbers("row_of_tag")[self._is_one_of("tag", wanted)]] = True
                rows &= is_tagged
            elif kind != "style":
                rows &= self._is_one_of(kind, wanted)
        found: Mask = rows[self._numbers("row")]
        if "style" in codes:
            found &= self._is_one_of("style", codes["style"])
        return found

    def texts(self, begin: int, end: int) -> list[str]:
        """Returns some texts, in order."""
        texts: list[str] = self.captions["text"].slice(begin, end - begin).to_pylist()
        return texts

    def _numbers(self, kind: str) -> Codes:
        """Returns a column as one array, kept for the next filter.

        Args:
            kind: `style` and `row` (int32[captions]); `split`, `domain`, `overlap` (int32[rows]); `tag` and `row_of_tag`
                (int32[tags], all rows' tags one after the other).
        """
        if kind not in self._arrays:
            if kind == "row_of_tag":
                lengths = pc.list_value_length(self.rows["tags"]).to_numpy()
                self._arrays[kind] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
            elif kind == "tag":
                self._arrays[kind] = pc.list_flatten(self.rows["tags"]).to_numpy()
            else:
                self._arrays[kind] = (self.captions if kind in _CAPTIONS.names else self.rows)[kind].to_numpy()
        return self._arrays[kind]

    @cached_property
    def _arrays(self) -> dict[str, Codes]:
        return {}

    def _is_one_of(self, kind: str, codes: Sequence[int]) -> Mask:
        """Returns where a column has one of some numbers."""
        is_wanted = np.zeros(len(OVERLAPS if kind == "overlap" else self.names[kind]) + 1, bool)  # the last one is that of -1
        is_wanted[list(codes)] = True
        found: Mask = is_wanted[self._numbers(kind)]
        return found


Piece = tuple[pa.RecordBatch, pa.RecordBatch]


def pieces(one: BuiltSet, names: dict[str, _Names], on_rows: Callable[[int], object] | None = None) -> Iterator[Piece]:
    """Yields captions and rows of a set, batch by batch, in the set's order.

    Args:
        one: the set.
        names: gets the names of every field; empty at first.
        on_rows: called with the number of rows of every batch.

    Raises:
        InputError: a shard is missing or was cut.
    """
    names.update({kind: _Names() for kind in (*FIELDS, "side", "shard")})
    first = 0
    for split, _, path in one.shards():
        place = 0
        (split_code,) = names["split"].codes(pa.array([split]))
        (shard_code,) = names["shard"].codes(pa.array([path.name]))
        for batch in read_batches(path, _COLUMNS):
            n = batch.num_rows
            overlap = np.where(lengths_of(batch["overlaps"]) > 0, 1, 0)
            overlap[batch["overlaps"].is_null().to_numpy(zero_copy_only=False)] = -1
            labels = pc.struct_field(pc.list_flatten(batch["tags"]), "label")
            tags = pa.array(names["tag"].codes(labels)).filter(labels.is_valid())
            parents = pc.list_parent_indices(batch["tags"]).filter(labels.is_valid()).to_numpy(zero_copy_only=False)
            ends = np.concatenate([[0], np.cumsum(np.bincount(parents, minlength=n))]).astype(np.int32)
            columns = {
                "id": batch["id"],
                "split": np.full(n, split_code),
                "shard": np.full(n, shard_code),
                "place": np.arange(place, place + n, dtype=np.int32),
                "domain": names["domain"].codes(batch["domain"]),
                "tags": pa.ListArray.from_arrays(pa.array(ends), tags),
                "overlap": overlap.astype(np.int32),
            }
            yield _captions(batch, first, names), pa.RecordBatch.from_pydict(columns, _ROWS)
            place, first = place + n, first + n
            if on_rows is not None:
                on_rows(n)


def _captions(batch: pa.RecordBatch, first: int, names: dict[str, _Names]) -> pa.RecordBatch:
    """Returns the usable captions of rows, and one empty entry for each row that has none, in order of the rows."""
    flat = pc.list_flatten(batch["captions"])
    texts = pc.fill_null(pc.struct_field(flat, "text"), "")
    is_usable = pc.and_not(
        pc.match_substring_regex(texts, r"\S"), pc.fill_null(pc.struct_field(flat, "is_absent"), False)
    ).to_numpy(zero_copy_only=False)
    row = pc.list_parent_indices(batch["captions"]).to_numpy(zero_copy_only=False)[is_usable].astype(np.int64)
    bare = np.flatnonzero(np.bincount(row, minlength=batch.num_rows) == 0)
    order = np.argsort(np.concatenate([row, bare]), kind="stable")
    none = np.full(len(bare), -1, np.int32)

    def codes(kind: str) -> Any:
        found = names[kind].codes(pc.struct_field(flat, kind).filter(pa.array(is_usable)))
        return np.concatenate([found, none])[order]

    used = pa.concat_arrays([texts.filter(pa.array(is_usable)), pa.repeat(pa.scalar("", pa.string()), len(bare))])
    columns = {
        "text": used.take(pa.array(order)),
        "style": codes("style"),
        "side": codes("side"),
        "row": (np.concatenate([row, bare])[order] + first).astype(np.int32),
    }
    return pa.RecordBatch.from_pydict(columns, _CAPTIONS)


def in_memory(one: BuiltSet) -> Catalogue:
    """Returns the captions of a small set, without files.

    Raises:
        InputError: a shard is missing or was cut.
    """
    names: dict[str, _Names] = {}
    found = list(pieces(one, names))
    captions = pa.Table.from_batches([captions for captions, _ in found], _CAPTIONS)
    rows = pa.Table.from_batches([rows for _, rows in found], _ROWS)
    return Catalogue(captions, rows, _listed(names))


def write(one: BuiltSet, folder: Path, on_rows: Callable[[int], object] | None = None) -> Catalogue:
    """Writes the captions of a set into a folder, in bounded memory, and returns them.

    Raises:
        InputError: a shard is missing or was cut.
        OSError: the disk is full or refuses.
    """
    names: dict[str, _Names] = {}
    with (
        pa.OSFile(str(folder / "captions.arrow"), "wb") as a,
        pa.OSFile(str(folder / "rows.arrow"), "wb") as b,
        pa.ipc.new_file(a, _CAPTIONS) as captions,
        pa.ipc.new_file(b, _ROWS) as rows,
    ):
        for of_captions, of_rows in pieces(one, names, on_rows):
            captions.write_batch(of_captions)
            rows.write_batch(of_rows)
    atomic.write_text(folder / "names.json", json.dumps(_listed(names), ensure_ascii=False))
    return read(folder)


def read(folder: Path) -> Catalogue:
    """Returns what `write` wrote.

    Raises:
        OSError: a file is missing.
        ValueError: a file is damaged.
    """
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    captions, rows = (pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all() for name in ("captions", "rows"))
    return Catalogue(captions, rows, names)


def _listed(names: Mapping[str, _Names]) -> dict[str, list[str]]:
    return {kind: list(one.known) for kind, one in names.items()}
