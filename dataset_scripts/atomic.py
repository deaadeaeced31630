"""Files and folders that appear whole or not at all, whatever is killed or fills up in between."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import StorageError, UnifiedAudioCapsError


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, flushes it to the disk, and renames it into place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file as `write_bytes` does."""
    write_bytes(path, text.encode())


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` survive a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def replace_folder(new: Path, target: Path, aside: Path) -> None:
    """Puts the finished folder `new` in the place of `target`; the old one is deleted only when the new one is there.

    A kill between the two renames leaves the old folder at `aside`: `recover_folder` puts it back.
    """
    shutil.rmtree(aside, ignore_errors=True)
    sync_folder(new)
    if target.exists():
        target.rename(aside)
    target.parent.mkdir(parents=True, exist_ok=True)
    new.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(target: Path, aside: Path) -> None:
    """Undoes a `replace_folder` that was killed half-way."""
    if aside.is_dir() and not target.exists():
        aside.rename(target)


def link_or_copy(old: Path, new: Path) -> None:
    """Makes `new` the same file as `old`, without copying where the file system allows it."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Waits until no other process is in this block with the same `path`; a killed process leaves it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            import fcntl
        except ImportError:  # a system without file locks: one build at a time is up to the user there
            yield
            return
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


@contextlib.contextmanager
def storage_errors(folder: Path, done: str) -> Iterator[None]:
    """Turns a full disk or a refused write in this block into a `StorageError`.

    Args:
        folder: what was being written to.
        done: what the user may rely on now.
    """
    try:
        yield
    except UnifiedAudioCapsError:
        raise
    except OSError as problem:
        raise StorageError(folder, problem, done) from problem
