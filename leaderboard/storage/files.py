"""Files named by their sha256: raw predictions, validation reports, per-item scores, items of a hub's own benchmarks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path

from ...dataset_scripts import atomic
from ...dataset_scripts.errors import InputError, StorageError

_BLOCK_BYTES = 2**20
_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,12}){0,2}")


class FileStore:
    """A folder of files that never change.

    Args:
        folder: where they lie; created when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.*"):  # older versions kept all of them side by side
            if _NAME.fullmatch(path.name):
                self._make_room(path.name)
                with contextlib.suppress(FileNotFoundError):  # another process that starts now was first
                    path.replace(self.path(path.name[:64], path.name[64:]))

    def put(self, content: bytes, suffix: str) -> str:
        """Stores bytes under their sha256 and returns it; on disk for good when this returns.

        Raises:
            StorageError: the disk is full or refuses; nothing was kept.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.path(sha256, suffix)
        try:
            self._make_room(target.name)
            if target.exists():
                atomic.sync_folder(target.parent)  # whoever wrote it may not have come that far
            else:
                atomic.write_bytes(target, content)
        except OSError as error:
            raise StorageError(self.folder, error, "Nothing was kept.") from error
        return sha256

    def put_path(self, source: Path, suffix: str) -> str:
        """Stores a copy of a file as `put` does, a block at a time; a file that changes meanwhile is stored as it was read.

        Raises:
            InputError: it cannot be read.
            StorageError: the disk is full or refuses; nothing was kept.
        """
        try:
            known = atomic.sha256_of(source)
            if self.path(known, suffix).exists():
                return known
            stream = source.open("rb")
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}.") from None
        aside = self.folder / f".{secrets.token_hex(8)}"
        digest = hashlib.sha256()
        try:
            with stream, aside.open("wb") as copy:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
            target = self.path(digest.hexdigest(), suffix)
            self._make_room(target.name)
            aside.replace(target)
            atomic.sync_folder(target.parent)
        except OSError as error:
            raise StorageError(self.folder, error, "Nothing was kept.") from error
        finally:
            aside.unlink(missing_ok=True)
        return digest.hexdigest()

    def _make_room(self, name: str) -> None:
        folder = self.folder / name[:2]
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            atomic.sync_folder(self.folder)

    def path(self, sha256: str, suffix: str) -> Path:
        """Returns where the file of that digest lies: in one of 256 folders, so that none grows too long.

        Raises:
            InputError: this is no name that `put` gives.
        """
        name = f"{sha256}{suffix}"
        if not _NAME.fullmatch(name):
            raise InputError(f"{name[:100]!r} names no file of the hub; expected a sha256 and an ending.")
        return self.folder / sha256[:2] / name

    def read(self, sha256: str, suffix: str) -> bytes:
        """Returns the bytes of a file, checked.

        Raises:
            InputError: it is gone or damaged.
        """
        path = self.path(sha256, suffix)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"the hub's file {path.name} cannot be read ({error.strerror}); restore it from a backup.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"the hub's file {path.name} is damaged; restore it from a backup.")
        return content
