"""The sound files that a user has, indexed once by every name and clip key that says what they hold.

- One library serves all corpora: a folder of AudioSet is read by everything that is made of AudioSet.
- The index lies under `UAC_HOME` and is mapped into memory, not loaded. It is known by paths, sizes and times of what it was made
  of: it is found again as long as these are the same, and made anew when they are not; archives that did not change are not
  read again.
- Of several files for one clip the first one counts: the one that ends with the row's own path, then the row's own archive, the
  row's own file name, the path that the user named first, lossless before lossy, then the order of paths.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import atomic
from ..errors import InputError
from ..progress import progress
from ..settings import Settings
from . import archives
from .archives import Container, Member
from .naming import LOSSLESS, Wanted, fits, terms_of

_VERSION = 1  # of the index; raised when terms or files of it change
_ROWS = 50_000
_LEFT_ALONE_S = 7 * 24 * 3600
_MEMBERS = pa.schema(
    [
        ("name", pa.string()),
        ("container", pa.int32()),
        ("size_bytes", pa.int64()),
        ("offset", pa.int64()),
        ("method", pa.int8()),
        ("crc", pa.uint32()),
    ]
)


@dataclass(frozen=True)
class Choice:
    """The file that a row's sound is taken from.

    Attributes:
        container: where it lies.
        member: which file it is.
        others: how many other files have as good a claim to be the clip's.
    """

    container: Container
    member: Member
    others: int = 0

    @property
    def shown(self) -> str:
        """The path of the file below what the user named."""
        return f"{self.container.shown}/{self.member.name}"

    @property
    def path(self) -> str | None:
        """The absolute path, None for what lies inside an archive or at a URL."""
        return (
            f"{self.container.path}/{self.member.name}"
            if self.container.kind == archives.FOLDER and self.container.is_local
            else None
        )


@dataclass(frozen=True)
class SoundLibrary:
    """An index of sound files; it can be sent to other processes, which read the same index.

    Attributes:
        folder: where the index lies.
        digest: what tells it from any other.
        size: how many sound files it holds.
        warnings: what is odd about archives although they can be read.
    """

    folder: Path
    digest: str
    size: int
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, paths: Sequence[str], home: Path | None = None) -> SoundLibrary:
        """Returns the library of everything at some paths, from the index that was made before if nothing changed.

        Args:
            paths: folders and archives on this machine, or fsspec URLs; in case of doubt the earlier one counts.
            home: root of the caches; None for the setting.

        Raises:
            InputError: a path is not there, holds no sound file, or cannot be read; an archive is refused.
            StorageError: the index cannot be written.
        """
        if not paths:
            raise InputError("no --audio was given; expected a folder or an archive of sound files.")
        cache = (home or Settings.from_environment().home) / "sound"
        with atomic.storage_errors(cache, "No index of sound files was changed."):
            cache.mkdir(parents=True, exist_ok=True)
            for left in cache.glob(".*"):  # of a process that was killed
                if time.time() - left.stat().st_mtime > _LEFT_ALONE_S:
                    shutil.rmtree(left, ignore_errors=True)
            aside = cache / f".{os.getpid()}.{secrets.token_hex(4)}"
            aside.mkdir()
            try:
                return _indexed(paths, cache, aside)
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return SoundLibrary, (self.folder, self.digest, self.size, self.warnings)

    @cached_property
    def _containers(self) -> list[Container]:
        described = json.loads((self.folder / "library.json").read_text(encoding="utf-8"))
        return [Container(**one) for one in described["containers"]]

    @property
    def has_plain_files(self) -> bool:
        """Whether there are files on this machine that lie in no archive."""
        described = json.loads((self.folder / "library.json").read_text(encoding="utf-8"))
        return bool(described["has_plain_files"])

    @cached_property
    def _members(self) -> pa.Table:
        return pa.ipc.open_file(pa.memory_map(str(self.folder / "members.arrow"))).read_all()

    @cached_property
    def _index(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        return np.load(self.folder / "hashes.npy", mmap_mode="r"), np.load(self.folder / "members.npy", mmap_mode="r")

    def find(self, wanted: Sequence[Wanted | None], kinds: Sequence[str | None]) -> list[Choice | str | None]:
        """Returns per row the file that holds its sound; why the files with its name are others', or None if there are none.

        Args:
            wanted: what each row looks for; None for nothing.
            kinds: the kind of each row's reference.
        """
        terms = dict.fromkeys(term for one in wanted if one is not None for term in one.terms)
        if not terms:
            return [None] * len(wanted)
        hashes, numbers = self._index
        asked = np.fromiter(map(_hash, terms), np.uint64, len(terms))
        begins, ends = np.searchsorted(hashes, asked, "left"), np.searchsorted(hashes, asked, "right")
        found = {
            term: [int(number) for number in numbers[begin:end]]
            for term, begin, end in zip(terms, begins, ends, strict=True)
            if end > begin
        }
        return [None if one is None else self._choose(one, kind, found) for one, kind in zip(wanted, kinds, strict=True)]

    def _choose(self, wanted: Wanted, kind: str | None, found: dict[str, list[int]]) -> Choice | str | None:
        why: str | None = None
        for term in wanted.terms:
            fitting = []
            for container, member in map(self._member, found.get(term, ())):
                if term not in terms_of(member.name):  # another text with the same hash
                    continue
                shown = f"{container.shown}/{member.name}"
                refused = fits(wanted, shown, kind)
                why = why or refused
                if refused is None:
                    fitting.append((self._rank(wanted, container, member, shown), container, member))
            if fitting:
                fitting.sort(key=lambda one: one[0])
                best = fitting[0][0][:_CLAIM]
                others = sum(one[0][:_CLAIM] == best for one in fitting) - 1
                return Choice(fitting[0][1], fitting[0][2], others)
        return why

    def _rank(self, wanted: Wanted, container: Container, member: Member, shown: str) -> tuple[Any, ...]:
        """Returns what is smallest for the file that counts; the first `_CLAIM` values say what the row itself tells."""
        archive = (wanted.archive or "").lower()
        unpacked = re.sub(r"\.(tar|tar\.gz|tgz|zip|7z)$", "", archive.rpartition("/")[2])
        is_in_archive = f"/{container.shown}".lower().endswith(f"/{archive}") or unpacked in shown.lower().split("/")
        return (
            not (wanted.path and f"/{shown}".endswith(f"/{wanted.path.removeprefix('./')}")),
            not (archive and is_in_archive),
            container.order,
            PurePosixPath(member.name).suffix.lower() not in LOSSLESS,
            shown,
            container.path,
            member.offset,
        )

    def _member(self, number: int) -> tuple[Container, Member]:
        row = self._members.slice(number, 1).to_pylist()[0]
        container = self._containers[row.pop("container")]
        return container, Member(**row)


_CLAIM = 2  # what `_rank` tells first is what the row says about its file


def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _indexed(paths: Sequence[str], cache: Path, aside: Path) -> SoundLibrary:
    """Returns the library, made in the folder `aside` if it is not in the cache yet."""
    told: list[str] = []
    containers: list[Container] = []
    identity = hashlib.sha256(json.dumps([_VERSION, pa.__version__]).encode())
    with pa.OSFile(str(aside / "members.arrow"), "wb") as sink, pa.ipc.new_file(sink, _MEMBERS) as writer:
        total, has_plain_files = 0, False
        with progress(None, "index of sound files", unit="file") as bar:
            for order, path in enumerate(paths):
                for container, inside in archives.containers(path, order):
                    number = len(containers)
                    containers.append(container)
                    identity.update(json.dumps(asdict(container)).encode())
                    if inside is None:
                        found = _of_archive(container, cache, aside, told)
                    else:
                        found = _batches(_identified(inside, identity))
                    for batch in found:
                        column = pa.array(np.full(batch.num_rows, number, np.int32))
                        writer.write_batch(batch.set_column(1, _MEMBERS.field(1), column))
                        total += batch.num_rows
                        has_plain_files |= container.kind == archives.FOLDER and container.is_local
                        bar.update(batch.num_rows)
    if not total:
        raise InputError(
            f"--audio {', '.join(paths)} holds no sound file; looked for names that end in .wav, .flac, .mp3, .ogg, .opus, .m4a "
            "and the like, in folders and in .tar, .tar.gz and .zip archives."
        )
    digest = identity.hexdigest()[:24]
    folder = cache / digest
    library = SoundLibrary(folder, digest, total, tuple(told))
    if (folder / "library.json").is_file():
        return library
    _write_terms(aside)
    described = {
        "paths": list(paths),
        "size": total,
        "has_plain_files": has_plain_files,
        "warnings": told,
        "containers": [asdict(one) for one in containers],
    }
    atomic.write_text(aside / "library.json", json.dumps(described, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        aside.rename(folder)
    except OSError:  # another build made the same one meanwhile
        if not (folder / "library.json").is_file():
            raise
    return library


def _identified(found: Iterable[Member], identity: Any) -> Iterator[Member]:
    for one in found:
        identity.update(f"{one.name}\0{one.size_bytes}\0{one.stamp}\n".encode("utf-8", "surrogatepass"))
        yield one


def _batches(found: Iterable[Member]) -> Iterator[pa.RecordBatch]:
    stream = iter(found)
    while some := list(islice(stream, _ROWS)):
        columns = [
            pa.array([one.name.encode("utf-8", "replace").decode() for one in some], pa.string()),
            pa.array(np.zeros(len(some), np.int32)),
            *(pa.array([getattr(one, field.name) for one in some], field.type) for field in list(_MEMBERS)[2:]),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_MEMBERS)


def _of_archive(one: Container, cache: Path, aside: Path, told: list[str]) -> Iterator[pa.RecordBatch]:
    """Yields the members of an archive, from the list that was written when it was read before."""
    known = hashlib.sha256(json.dumps([_VERSION, one.kind, one.path, one.size_bytes, one.stamp]).encode()).hexdigest()[:24]
    listing = cache / "archives" / f"{known}.arrow"
    if not listing.is_file():
        warnings: list[str] = []
        draft = aside / "archive.arrow"
        with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, _MEMBERS) as writer:
            for batch in _batches(archives.members(one, warnings)):
                writer.write_batch(batch)
        listing.parent.mkdir(exist_ok=True)
        atomic.write_text(listing.with_suffix(".json"), json.dumps(warnings))
        draft.replace(listing)
    told += json.loads(listing.with_suffix(".json").read_text(encoding="utf-8"))
    reader = pa.ipc.open_file(pa.memory_map(str(listing)))
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _write_terms(folder: Path) -> None:
    """Writes the hashes of all terms of all members, sorted, and whose they are."""
    hashes, numbers = array("Q"), array("I")
    with pa.memory_map(str(folder / "members.arrow")) as source:
        reader = pa.ipc.open_file(source)
        number = 0
        for at in range(reader.num_record_batches):
            for name in reader.get_batch(at)["name"].to_pylist():
                for term in terms_of(name):
                    hashes.append(_hash(term))
                    numbers.append(number)
                number += 1
    found = np.frombuffer(hashes, np.uint64) if hashes else np.zeros(0, np.uint64)
    order = np.argsort(found, kind="stable")
    np.save(folder / "hashes.npy", found[order])
    np.save(folder / "members.npy", np.frombuffer(numbers, np.uint32)[order] if numbers else np.zeros(0, np.uint32))
