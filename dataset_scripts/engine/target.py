"""Where a build puts a config: a local folder, or something at a URL (`remote_target`).

The config is built on the local disk, with the same code and to the same bytes; targets differ in how the finished config gets
to its place. In a local folder it is renamed into place.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import atomic
from ..card import write_readme
from ..errors import InputError
from ..manifest import Manifest, read_manifest
from ..marking import Exclusion, Marking, marking
from .parts import Entry

UNTOUCHED = "What was built before is untouched."


class Target(ABC):
    """The place of one config.

    Attributes:
        name: the config.
        local: the folder that holds everything the build writes on this machine.
        path: where the built config is, for people.
    """

    name: str
    local: Path
    path: Path | str

    @property
    def workshop(self) -> Path:
        """Where builds work and wait for each other."""
        return self.local / ".uac"

    @abstractmethod
    def marking(self, *, mark: bool, exclude: Sequence[Exclusion]) -> Marking:
        """Returns what to mark and to drop, given what was built beside the config; see `overlap.marking`."""

    @abstractmethod
    def opened(self) -> contextlib.AbstractContextManager[None]:
        """Waits until no other build works on the config; what the disk refuses becomes a `StorageError`."""

    @abstractmethod
    def manifest(self) -> Manifest | None:
        """Returns the manifest of what was built before; a damaged one counts as nothing, since it is built anew now."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Returns the size in bytes of every file of the config that is whole, by name; nothing if it is not."""

    @abstractmethod
    def bring(self, entries: Sequence[Entry]) -> Path:
        """Returns a local folder with the shards of these parts, which were built before."""

    @abstractmethod
    def put(self, config: Path | None) -> None:
        """Puts a finished config there, and brings the card up to date.

        Args:
            config: its folder, which is moved away; None if what is there stays.
        """

    @abstractmethod
    def statistics(self) -> dict[str, Any]:
        """Returns what `stats.json` says about what is there."""


class LocalTarget(Target):
    """A config in a local folder."""

    def __init__(self, out: Path, name: str) -> None:
        self.name, self.local, self.path = name, out, out / "data" / name
        self._folder = out / "data" / name
        self._aside = self.workshop / f"{name}.old"

    def marking(self, *, mark: bool, exclude: Sequence[Exclusion]) -> Marking:
        """Returns what to mark and to drop."""
        return marking(self.local, self.name, mark=mark, exclude=exclude)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Locks the config, and undoes a replacement that was killed half-way."""
        with atomic.storage_errors(self.local, UNTOUCHED), atomic.exclusive(self.workshop / f"{self.name}.lock"):
            atomic.recover_folder(self._folder, self._aside)
            yield

    def manifest(self) -> Manifest | None:
        """Returns the manifest that lies there."""
        try:
            return read_manifest(self._folder)
        except InputError:
            return None

    def sizes(self) -> dict[str, int]:
        """Returns the sizes of the files that lie there."""
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        return {path.name: path.stat().st_size for path in files if path.is_file()}

    def bring(self, entries: Sequence[Entry]) -> Path:
        """Returns the folder of the config itself, which holds all of them."""
        return self._folder

    def put(self, config: Path | None) -> None:
        """Renames the finished config into place."""
        # The card is made from all manifests: no config may be on the move while it is written.
        with atomic.exclusive(self.workshop / "readme.lock"):
            if config is not None:
                atomic.replace_folder(config, self._folder, self._aside)
            write_readme(self.local)

    def statistics(self) -> dict[str, Any]:
        """Returns what `stats.json` says."""
        found: dict[str, Any] = json.loads((self._folder / "stats.json").read_text(encoding="utf-8"))
        return found
