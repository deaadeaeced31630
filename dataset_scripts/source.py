"""What a dataset is: a name, the upstream files it is made of, and how these become rows of the one schema.

- One module in `sources/` defines one `Source`; its file name is the config's name. Nothing else is edited to add a dataset.
- A source only parses. Finding files, checking rows, repeated ids, shards, statistics and cards are the business of others.
- Reading is lossless: `rebuild` gives back the upstream records of any table of its rows, equal as parsed values.
- Row ids: `<config>/<split>/<upstream key>`; a corpus published in subsets has the subset in place of the split. An id says
  the same for ever; it does not depend on the order of files or rows.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from .arrays import record_batch
from .card import Card
from .errors import InputError
from .registry import Registry
from .schema import primary_caption
from .sound.naming import Wanted, wanted
from .upstream.files import Found, Part, UpstreamFile, locate
from .upstream.remote import Remote

Record = dict[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """An upstream record that becomes no row.

    Attributes:
        rule: name of the rule that left it out.
        id: the row that it would have belonged to.
        file: the upstream file.
        row: position in the file, from 0.
        record: the record.
    """

    rule: str
    id: str
    file: str
    row: int
    record: Record


class Source(ABC):
    """Base class of all datasets.

    Attributes:
        name: config name; the module's name.
        dataset: the corpus, which releases share (`audiocaps` for v1 and v2).
        title: the name as the literature writes it.
        release: version, as the publisher calls it.
        splits: split names in the order of the card.
        split_aliases: other unambiguous names of splits, such as the publisher's file names.
        files: every file that can be read, in build order; empty if the source needs none.
        repo: where the records come from, for `provenance`.
        primary_style: the style that the column `caption` is taken from.
        version: raised when `read_part` changes its output, so that what was built before is built again.
        has_unique_ids: whether `read_part` yields every id once by the way in which it brings records together, so that a build
            need not look for repeated ones.
        row_group_rows: rows per parquet row group; fewer for rows that hold sound.
        where_to_get: one sentence for a user who has none of the files.
        remote: where `uac fetch` gets them; nothing where that is up to the user.
        has_own_segments: its segments are none of AudioSet's: a file named by the video alone is not taken for one of them.
        needs_sound_folders: its numbers are those of several collections: a file called by a number is taken only from a folder
            that says whose it is.
        duration_field: the upstream field that `duration_s` holds, which sound files may overrule.
        options: what else a build may be told, name to meaning; `locate` takes them by name.
    """

    name: ClassVar[str]
    dataset: ClassVar[str]
    title: ClassVar[str]
    release: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    split_aliases: ClassVar[Mapping[str, str]] = {}
    files: ClassVar[tuple[UpstreamFile, ...]] = ()
    repo: ClassVar[str] = ""
    primary_style: ClassVar[str] = "default"
    version: ClassVar[int] = 1
    has_unique_ids: ClassVar[bool] = False
    row_group_rows: ClassVar[int] = 10_000
    where_to_get: ClassVar[str] = ""
    remote: ClassVar[Remote] = ()
    has_own_segments: ClassVar[bool] = False
    needs_sound_folders: ClassVar[bool] = False
    duration_field: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, str]] = {}

    @property
    def card(self) -> Card:
        """Licence, homepage, citation, sizes and known defects, from `cards/<name>.md`."""
        return Card.load(self.name)

    @property
    def needs(self) -> str:
        """What a user has to have before building."""
        if not self.files:
            return "nothing"
        return "network or --raw DIR" if self.remote else "--raw DIR"

    def build_command(self, out: Path) -> str:
        """Returns what a user types to build it into `out`."""
        raw = " [--raw DIR]" if self.remote else " --raw DIR" if "--raw DIR" in self.needs else ""
        return f"uac build {self.name}{raw}" + ("" if out == Path("unified-audiocaps") else f" --out {out}")

    @property
    def subsets(self) -> list[str]:
        """Subset names in build order."""
        return list(dict.fromkeys(file.subset for file in self.files if file.subset))

    def default_raw(self) -> Path | None:
        """Returns the folder to read when the user names none, None if there is no such folder."""
        return None

    def locate(self, raw: Path | None, without: Path | None = None) -> Found:
        """Returns what can be built from the folder `raw`.

        Raises:
            InputError: nothing can be built from it; the message lists the expected names.
        """
        if not self.files:
            return Found(tuple(Part(split, None, {}) for split in self.splits), {}, ())
        folder = raw if raw is not None else self.default_raw()
        if folder is None:
            raise InputError(
                f"{self.name} is built from files that you have: `uac build {self.name} --raw DIR`. {self._expected()}"
            )
        found = locate(self.name, self.files, folder, without)
        if not found.parts:
            seen = f" Found there: {', '.join(found.unknown[:10])}." if found.unknown else " The folder holds no data file."
            raise InputError(f"{self.name}: --raw {folder} holds none of the upstream files. {self._expected()}{seen}")
        return found

    def how_to_get(self) -> str:
        """Returns what to put where, for a user who has none of the files."""
        return f"{self._expected()} Put them into a folder and name it: `uac build {self.name} --raw DIR`."

    def _expected(self) -> str:
        names = list(dict.fromkeys(file.shown for file in self.files))
        return f"Expected at any depth: {', '.join(names)}. {self.where_to_get}".rstrip()

    def read(self, raw_dir: Path | None, split: str) -> Iterator[pa.RecordBatch]:
        """Yields the rows of one split in file order, repeated ids included.

        Args:
            raw_dir: folder with the upstream files; None where the source needs none.
            split: one of `splits`.

        Raises:
            InputError: the folder does not hold the split's files.
            RecordError: a file holds something that its format forbids.
        """
        for part in self.locate(raw_dir).parts:
            if part.split == split:
                yield from self.read_part(part)

    @abstractmethod
    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the rows of one part in file order; memory stays bounded where the format allows it."""

    @abstractmethod
    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the upstream records that one row (as Python values) was made of: file, position in it, record."""

    def warnings(self, part: Part) -> list[str]:
        """Returns what looks odd about a part's files although they can be read."""
        return []

    def left_out(self, part: Part) -> Iterator[LeftOut]:
        """Yields the upstream records of a part that `read_part` leaves out on purpose; a build keeps them beside the rows."""
        yield from ()

    def wanted_sounds(self, rows: pa.RecordBatch | pa.Table, reference: str = "audio_ref") -> list[Wanted | None]:
        """Returns by which names and keys the sound of each row is looked for, in order; None for rows without one.

        Args:
            rows: rows of the schema.
            reference: `audio_ref`, or `audio_ref_b` for the second sound of pairs.
        """
        is_first = reference == "audio_ref"
        upstream = rows["source_key"].to_pylist() if is_first else [None] * rows.num_rows
        return wanted(
            rows[reference].to_pylist(),
            upstream,
            has_own_segments=self.has_own_segments,
            needs_collection=self.needs_sound_folders,
        )

    def rebuild(self, table: pa.Table | pa.RecordBatch) -> dict[str, list[Record]]:
        """Returns the upstream records of `table` per file, in the file's order, equal to what a parser of the file gives."""
        files: dict[str, list[tuple[int, Record]]] = {}
        for batch in table.to_batches(max_chunksize=10_000) if isinstance(table, pa.Table) else [table]:
            for row in batch.to_pylist():
                for file, position, record in self.records(row):
                    files.setdefault(file, []).append((position, record))
        return {file: [record for _, record in sorted(found, key=lambda item: item[0])] for file, found in sorted(files.items())}

    def batch(self, part: Part, n: int, **columns: Any) -> pa.RecordBatch:
        """Returns a batch of the schema; `caption` and the columns that are the same in all rows of this source are filled in."""
        common = {
            "dataset": self.dataset,
            "subset": part.subset,
            "split": part.split,
            "release": self.release,
            "license_text": self.card.license_text,
            "license_audio": self.card.license_audio,
        }
        captions = columns.get("captions")
        if captions is not None:
            common["caption"] = primary_caption(captions, self.primary_style)
        return record_batch(n, **{**common, **columns})


def merged(values: Mapping[str, Any], extra_json: str | None) -> Record:
    """Returns an upstream record: column values that are not null, overruled and completed by the verbatim extra fields."""
    return {**{key: value for key, value in values.items() if value is not None}, **json.loads(extra_json or "{}")}


SOURCES: Registry[Source] = Registry("dataset", "unified_audiocaps.dataset_scripts.sources", Source, "uac sources")  # type: ignore[type-abstract] # only subclasses are looked up


def source(name: str) -> Source:
    """Returns the dataset called `name`.

    Raises:
        UnknownNameError: there is none; the message proposes close names.
    """
    return SOURCES.get(name)()


def describe_sources() -> list[dict[str, Any]]:
    """Returns one JSON-ready description per dataset, sorted by name.

    Keys: `name`, `title`, `release`, `splits`, `subsets`, `clips` (documented clips per split, None: not documented),
    `license_text`, `license_audio`, `homepage`, `citation`, `bibtex`, `files` (the upstream file names that are looked for),
    `needs`.
    """
    found = []
    for name in SOURCES.names():
        one = source(name)
        found.append(
            {
                "name": one.name,
                "title": one.title,
                "release": one.release,
                "splits": list(one.splits),
                "subsets": one.subsets,
                "clips": dict(one.card.clips),
                "license_text": one.card.license_text,
                "license_audio": one.card.license_audio,
                "homepage": one.card.homepage,
                "citation": one.card.citation,
                "bibtex": one.card.bibtex,
                "files": list(dict.fromkeys(file.shown for file in one.files)),
                "needs": one.needs,
            }
        )
    return found
