"""Where the indexes of built sets lie, what they were made from, and what of them is open.

An index lies in `.uac/search.index/` of the folder that holds the set: it is never published, and builds do not touch it. It says
from which shards it was made and is used for no others. The index of a whole config serves its splits, too. A small set needs
none: it is indexed on first use, in memory.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from ...dataset_scripts import atomic
from ...dataset_scripts.built import BuiltSet
from ...dataset_scripts.errors import InputError
from ...dataset_scripts.progress import progress
from . import catalogue, meaning, words
from .catalogue import Catalogue
from .meaning import MeaningIndex
from .words import WordIndex

By = Literal["words", "meaning"]
T = TypeVar("T")

WAYS: tuple[By, ...] = ("words", "meaning")
SMALL_ROWS = 20_000  # a set of so many rows is indexed by words in a few seconds,
SMALL_CAPTIONS = 1_000  # one of so many captions by meaning
_VERSION = 1  # goes up when what is stored changes
_OPEN_AT_ONCE = 8
_WORKSHOP = Path(".uac", "search.index")  # no config can have a name with a dot
_DAMAGED = (OSError, ValueError, KeyError)  # what reading can raise; pyarrow's errors are among them


@dataclass(frozen=True)
class IndexReport:
    """What `make_index` did.

    Attributes:
        name: the set.
        rows: its rows.
        captions: its captions.
        size_bytes: what the index takes on the disk.
        took_s: seconds.
        is_new: whether the words were indexed now; they were up to date otherwise.
        vectors: captions with a stored vector; None where none were asked for.
        vectors_before: how many of them were there before.
    """

    name: str
    rows: int
    captions: int
    size_bytes: int
    took_s: float
    is_new: bool
    vectors: int | None = None
    vectors_before: int = 0


@dataclass(frozen=True)
class Opened:
    """A set that can be searched.

    Attributes:
        captions: its captions; of the whole config where a split is searched in the config's index.
        words: their index.
        folder: where the index lies; None for one in memory.
        key: folder and fingerprint.
    """

    captions: Catalogue
    words: WordIndex
    folder: Path | None
    key: tuple[str, str]


# -- making ----------------------------------------------------------------------------------------------------------------------


def make_index(one: BuiltSet, *, with_meaning: bool = False, force: bool = False, device: str = "auto") -> IndexReport:
    """Indexes the captions of a set; what is up to date stays, and a run that was killed goes on with its vectors.

    Args:
        one: the set.
        with_meaning: store a vector of every caption, too: about 40 minutes per million captions on two cores.
        force: make everything anew.
        device: of the encoder: `auto`, `cpu` or `cuda`.

    Raises:
        InputError: a shard is missing or was cut, or vectors are asked for and there is no caption.
        MissingRequirementError: a package or the device is not there.
        StorageError: the disk is full or the folder cannot be written.
    """
    started = time.monotonic()
    words.require_tantivy()
    folder, fingerprint = place_of(one)
    with (
        atomic.storage_errors(folder, "What was indexed before is untouched; the same command goes on."),
        atomic.exclusive(folder / "lock"),
    ):
        for kind in WAYS:
            atomic.recover_folder(folder / kind, folder / f"{kind}.old")
        is_new = force or not _is_current(folder, "words", fingerprint)
        if is_new:
            _write_words(one, folder, fingerprint)
        with _damage(one, "words"):
            captions = catalogue.read(folder / "words")
        n_captions = int(np.count_nonzero(captions.is_caption))
        before = 0
        if with_meaning:
            if not n_captions:
                raise InputError(f"{one.name} has no captions, so there is nothing to store the meaning of.")
            before = _write_meaning(captions, folder, fingerprint, device, force=force)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return IndexReport(
        one.name, one.rows, n_captions, size, time.monotonic() - started, is_new, n_captions if with_meaning else None, before
    )


def _write_words(one: BuiltSet, folder: Path, fingerprint: str) -> None:
    new = folder / "words.new"
    shutil.rmtree(new, ignore_errors=True)
    (new / "tantivy").mkdir(parents=True)
    with progress(one.rows, "reading", unit="row") as bar:
        captions = catalogue.write(one, new, bar.update)
    with progress(len(captions), "indexing", unit="caption") as bar:
        words.write(captions, new / "tantivy", bar.update)
    atomic.write_text(new / "about.json", json.dumps({"fingerprint": fingerprint}))
    atomic.replace_folder(new, folder / "words", folder / "words.old")


def _write_meaning(captions: Catalogue, folder: Path, fingerprint: str, device: str, *, force: bool) -> int:
    """Stores the vectors, and returns how many were there before."""
    encoder = meaning.encoder(device)
    if not force and _is_current(folder, "meaning", fingerprint, encoder.identity):
        return int(np.count_nonzero(captions.is_caption))
    new = folder / "meaning.new"
    if force:
        shutil.rmtree(new, ignore_errors=True)
    about = {"fingerprint": fingerprint, "encoder": encoder.identity}
    with progress(len(captions), "embedding", unit="caption") as bar:
        before = meaning.write_parts(captions, encoder, new, about, bar.update)
    atomic.replace_folder(new, folder / "meaning", folder / "meaning.old")
    return before


# -- what is there ---------------------------------------------------------------------------------------------------------------


def ways(one: BuiltSet) -> tuple[By, ...]:
    """Returns how a set can be searched now, without any command."""
    found: list[By] = []
    if _folder(one, "words") is not None or one.rows <= SMALL_ROWS:
        found.append("words")
        if _folder(one, "meaning") is not None or _is_small(open_words(one)):
            found.append("meaning")
    return tuple(found)


def open_words(one: BuiltSet, by: By = "words") -> Opened:
    """Returns the captions of a set and their index, kept for the next call of this process.

    Args:
        one: the set.
        by: what is going to be searched by: an index that has vectors is preferred for `meaning`.

    Raises:
        InputError: the set has no index, or was built again since; the message has the command.
        MissingRequirementError: tantivy is not installed.
    """
    words.require_tantivy()
    folder = _folder(one, by) or _folder(one, "words")
    _, fingerprint = place_of(one)
    if folder is None:
        if one.rows > SMALL_ROWS:
            raise _refused(one, "words")
        key = (str(one.data / one.name), fingerprint)
        return _KEPT.get(("words", key), lambda: _opened_in_memory(one, key))
    key = (str(folder), _fingerprint_in(folder))
    return _KEPT.get(("words", key), lambda: _opened_in_folder(one, folder, key))


def open_meaning(one: BuiltSet) -> tuple[Opened, MeaningIndex]:
    """Returns the captions of a set and their vectors, kept for the next call of this process.

    Raises:
        InputError: the set has no stored vectors, or was built again since; the message has the command.
        MissingRequirementError: a package is not installed.
    """
    opened = open_words(one, "meaning")
    return opened, _KEPT.get(("meaning", opened.key), lambda: _vectors(one, opened))


def query_encoder() -> Any:
    """Returns the encoder of queries, loaded once however many ask at the same time."""
    return _KEPT.get("encoder", meaning.encoder)


def _opened_in_memory(one: BuiltSet, key: tuple[str, str]) -> Opened:
    captions = catalogue.in_memory(one)
    return Opened(captions, words.write(captions, None), None, key)


def _opened_in_folder(one: BuiltSet, folder: Path, key: tuple[str, str]) -> Opened:
    with _damage(one, "words"):
        return Opened(catalogue.read(folder / "words"), WordIndex.open(folder / "words" / "tantivy"), folder, key)


def _vectors(one: BuiltSet, opened: Opened) -> MeaningIndex:
    folder = _folder(one, "meaning")
    if folder is not None:
        with _damage(one, "meaning"):
            return MeaningIndex.open(folder / "meaning")
    if not _is_small(opened):
        raise _refused(one, "meaning")
    return MeaningIndex.of(meaning.embedded(opened.captions.texts(0, len(opened.captions)), query_encoder()))


def _is_small(opened: Opened) -> bool:
    return int(np.count_nonzero(opened.captions.is_caption)) <= SMALL_CAPTIONS


def _whole(one: BuiltSet) -> BuiltSet:
    """Returns the config that a set is a split of."""
    return replace(one, splits=tuple(one.manifest["splits"]), name=one.config)


def place_of(one: BuiltSet) -> tuple[Path, str]:
    """Returns the folder of a set's own index, and a digest of the shards that it has to be made from."""
    splits = one.manifest["splits"]
    shards = [(split, shard["file"], shard["sha256"]) for split in one.splits for shard in splits[split]["shards"]]
    digest = hashlib.sha256(json.dumps([_VERSION, shards]).encode()).hexdigest()
    part = "all" if set(one.splits) == set(splits) else f"split.{one.splits[0]}"
    return one.data / _WORKSHOP / one.config / part, digest


def _folder(one: BuiltSet, by: By) -> Path | None:
    """Returns the folder of the index that serves a set, its own or that of its config; None if there is none up to date."""
    for folder, fingerprint in dict.fromkeys(place_of(some) for some in (one, _whole(one))):
        if all(_is_current(folder, kind, fingerprint) for kind in {"words", by}):
            return folder
    return None


def _about(folder: Path, by: str) -> dict[str, Any]:
    """Returns what an index says about itself; nothing if there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / by / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _fingerprint_in(folder: Path) -> str:
    return str(_about(folder, "words").get("fingerprint"))


def _is_current(folder: Path, by: str, fingerprint: str, encoder: str | None = None) -> bool:
    about = _about(folder, by)
    return about.get("fingerprint") == fingerprint and encoder in {None, about.get("encoder")}


def _command(one: BuiltSet, by: By) -> str:
    place = "" if one.data == Path("unified-audiocaps") else f" --data {one.data}"
    return f"`uac index {one.name}{' --meaning' if by == 'meaning' else ''}{place}`"


def _refused(one: BuiltSet, by: By) -> InputError:
    """Returns why a set cannot be searched."""
    command = _command(one, by)
    if any(_about(folder, by) for folder, _ in map(place_of, (one, _whole(one)))):
        return InputError(f"{one.name} was built again after it was indexed, so the index does not fit; {command} makes it anew.")
    if by == "words":
        return InputError(f"{one.name} has {one.rows:,} rows and no index; {command} makes it.")
    return InputError(
        f"the captions of {one.name} cannot be searched by meaning: they have no stored vectors; {command} makes them."
    )


@contextmanager
def _damage(one: BuiltSet, by: By) -> Iterator[None]:
    """Turns what a damaged index raises into an error that says what to do."""
    try:
        yield
    except _DAMAGED as problem:
        again = _command(one, by).rstrip("`") + " --force`"
        raise InputError(f"the index of {one.name} cannot be read ({problem}); {again} makes it anew.") from problem


class _Kept:
    """The last few results of slow work, each made once however many ask for it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, Any] = {}
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns what was made for a key, or makes it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._found:
                    self._found[key] = found = self._found.pop(key)  # the last one to be forgotten now
                    return found  # type: ignore[no-any-return]
            made = make()
            with self._lock:
                self._found[key] = made
                while len(self._found) > _OPEN_AT_ONCE:
                    oldest = next(iter(self._found))
                    del self._found[oldest]
                    self._making.pop(oldest, None)
            return made


_KEPT = _Kept()
