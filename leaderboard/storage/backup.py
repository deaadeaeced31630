"""A hub in one file: every row as it was at one moment, and every file that the rows name.

The file is a tar with `manifest.json`, `rows.jsonl` and `files/`; equal hubs give equal bytes. Workers may write meanwhile: files
are on the disk before the rows that name them, and never change. What a tar holds is read by the names that its manifest lists
and stored by its sha256; no name in it becomes a path.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...dataset_scripts import atomic
from ...dataset_scripts.errors import InputError, Problem
from ...dataset_scripts.progress import progress
from ...evaluators.metric import package_version
from ..scoring import DRAWS_SUFFIX, ITEMS_SUFFIX
from .copies import Row, check_empty
from .files import FileStore
from .store import ResultStore

FORMAT = 1
REPORT_SUFFIX = ".report.json"
MANIFEST, ROWS = "manifest.json", "rows.jsonl"
MAX_MANIFEST_BYTES = 256 * 2**20
_NAME_LENGTH = 64  # of a sha256; what follows is the file's ending


@dataclass(frozen=True)
class CopyReport:
    """What a backup holds, or what was restored.

    Attributes:
        n_rows: rows of the database.
        n_events: events among them.
        n_files: files that the rows name.
        size_bytes: size of rows and files.
        end: sha256 of the last event.
    """

    n_rows: int
    n_events: int
    n_files: int
    size_bytes: int
    end: str


@dataclass(frozen=True)
class Soundness:
    """Whether the files that a database names are what it says.

    Attributes:
        n_files: how many it names.
        missing: names of those that are not there.
        damaged: names of those that hold something else.
    """

    n_files: int
    missing: list[str]
    damaged: list[str]


def files_of(name: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields sha256 and ending of the files that a row of table `name` names."""
    named = {
        "submission": (("content_sha256", str(row.get("file_suffix"))), ("report_sha256", REPORT_SUFFIX)),
        "result": (("items_sha256", ITEMS_SUFFIX), ("draws_sha256", DRAWS_SUFFIX)),
        "benchmark": (("items_file_sha256", ITEMS_SUFFIX),),
    }
    for column, suffix in named.get(name, ()):
        if row[column]:
            yield str(row[column]), suffix


def line_of(row: Row) -> bytes:
    """Returns a row as a line of JSON."""
    return json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def row_of(line: bytes) -> Row:
    """Returns the row that a line holds.

    Raises:
        InputError: it holds none.
    """
    try:
        name, row = json.loads(line)
        return str(name), dict(row)
    except (ValueError, TypeError) as error:
        raise InputError(f"a line holds no row of a table ({error}); expected a table's name and its values.") from None


def check_files(store: ResultStore) -> Soundness:
    """Reads every file that the database names."""
    named = sorted({one for row in store.dump() for one in files_of(*row)})
    missing, damaged = [], []
    with progress(len(named), "checking", "file") as bar:
        for sha256, suffix in named:
            path = store.files.path(sha256, suffix)
            if not path.is_file():
                missing.append(path.name)
            elif atomic.sha256_of(path) != sha256:
                damaged.append(path.name)
            bar.update()
    return Soundness(len(named), missing, damaged)


# -- backup ----------------------------------------------------------------------------------------------------------------------


def backup(store: ResultStore, path: Path) -> CopyReport:
    """Writes a backup, whole or not at all, while the hub goes on.

    Args:
        store: the hub.
        path: the tar to write; an older one of that name is replaced.

    Raises:
        InputError: a file of the hub is missing or damaged, or the folder is not there.
        StorageError: the disk is full.
    """
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist. Create it first.")
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    rows_aside = aside.with_name(f"{aside.name}.rows")
    with atomic.storage_errors(path.parent, "No backup was written."):
        try:
            manifest, named = _write_rows(store, rows_aside)
            report = _write_tar(store, aside, manifest, rows_aside, named)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
            rows_aside.unlink(missing_ok=True)
        atomic.sync_folder(path.parent)
    return report


def _write_rows(store: ResultStore, path: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Writes all rows as they are at one moment; returns what the manifest says of them and the files that they name."""
    named, counts, digest, end = set[tuple[str, str]](), Counter[str](), hashlib.sha256(), ""
    with path.open("wb") as stream:
        for row in store.dump():
            line = line_of(row)
            stream.write(line)
            digest.update(line)
            counts[row[0]] += 1
            named.update(files_of(*row))
            end = str(row[1]["sha256"]) if row[0] == "chain" else end
    about = {"format": FORMAT, "version": package_version(), "end": end, "rows": dict(sorted(counts.items()))}
    return {**about, "rows_sha256": digest.hexdigest()}, sorted(named)


def _write_tar(store: ResultStore, path: Path, manifest: dict[str, Any], rows: Path, named: list[tuple[str, str]]) -> CopyReport:
    sizes, missing = {}, []
    for sha256, suffix in named:
        place = store.files.path(sha256, suffix)
        if place.is_file():
            sizes[place.name] = place.stat().st_size
        else:
            missing.append(Problem("E_FILE", f"{place.name} is missing", hint="uac admin check lists all"))
    if missing:
        raise InputError("the hub's files are not complete, so there is nothing sound to back up.", missing)
    content = json.dumps({**manifest, "files": sizes}, indent=1, sort_keys=True).encode()
    with path.open("wb") as stream, progress(len(named), "backing up", "file") as bar:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, MANIFEST, len(content), io.BytesIO(content))
            with rows.open("rb") as lines:
                _add(tar, ROWS, rows.stat().st_size, lines)
            for sha256, suffix in named:
                one = store.files.read(sha256, suffix)
                _add(tar, f"files/{sha256}{suffix}", len(one), io.BytesIO(one))
                bar.update()
        stream.flush()
        os.fsync(stream.fileno())
    return _report(manifest, sizes, rows.stat().st_size)


def _add(tar: tarfile.TarFile, name: str, size_bytes: int, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)  # its time and owner are 0: equal hubs give equal bytes
    entry.size, entry.mode = size_bytes, 0o644
    tar.addfile(entry, content)


def _report(manifest: Mapping[str, Any], sizes: Mapping[str, int], rows_bytes: int) -> CopyReport:
    rows = manifest["rows"]
    return CopyReport(
        n_rows=sum(rows.values()),
        n_events=rows.get("event", 0),
        n_files=len(sizes),
        size_bytes=rows_bytes + sum(sizes.values()),
        end=manifest["end"],
    )


# -- restore ---------------------------------------------------------------------------------------------------------------------


def restore(path: Path, store: ResultStore) -> CopyReport:
    """Fills an empty hub from a backup, which is checked from end to end before anything is kept.

    Jobs that were being scored wait again.

    Args:
        path: the tar.
        store: the hub; its database is empty.

    Raises:
        InputError: the hub is not empty, or the file is no backup, cut, or damaged.
        StateError: the event log in it was altered.
        StorageError: the disk is full.
    """
    check_empty(store.log_end()[0])
    _read(path, lambda name, _: store.files.path(name[:_NAME_LENGTH], name[_NAME_LENGTH:]))
    manifest, rows = _read(path, lambda name, content: _put(store.files, name, content))
    store.load(map(row_of, rows.splitlines()))
    return _report(manifest, manifest["files"], len(rows))


def _put(files: FileStore, name: str, content: bytes) -> None:
    files.put(content, name[_NAME_LENGTH:])


def _read(path: Path, take: Callable[[str, bytes], object]) -> tuple[dict[str, Any], bytes]:
    """Reads a backup from end to end, hands each sound file to `take`, and returns the manifest and the lines of the rows."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = iter(tar)
            manifest = _manifest(_content(tar, members, MANIFEST, None), path)
            rows = _content(tar, members, ROWS, None)
            _expect(hashlib.sha256(rows).hexdigest() == manifest["rows_sha256"], path, f"{ROWS} is not what was written")
            for name in progress_over(sorted(manifest["files"]), "reading"):
                content = _content(tar, members, f"files/{name}", manifest["files"][name])
                is_sound = hashlib.sha256(content).hexdigest() == name[:_NAME_LENGTH]
                _expect(is_sound, path, f"files/{name} is not what was written")
                take(name, content)
            more = next(members, None)
            _expect(more is None, path, f"it holds more than its manifest lists ({more and more.name!r})")
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path, str(error) or type(error).__name__) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise InputError(f"{path} cannot be read: {error.strerror}.") from None
        raise
    return manifest, rows


def _manifest(content: bytes, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content)
    if found["format"] != FORMAT:
        raise InputError(
            f"{path} is a backup of format {found['format']!r}; expected {FORMAT}. Restore it with unified-audiocaps "
            f"{found.get('version')}."
        )
    _expect({"end", "rows", "rows_sha256", "files"} <= set(found), path, "its manifest is incomplete")
    return found


def _content(tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], name: str, size_bytes: int | None) -> bytes:
    """Returns the next member, which has to be the file of that name and size."""
    member = next(members, None)
    if member is None:
        raise EOFError(f"it ends before {name}")
    is_file = member.isreg() and not member.issparse()  # what is sparse takes more memory than it takes disk
    if member.name != name or not is_file or (size_bytes is not None and member.size != size_bytes):
        raise ValueError(f"it holds {member.name!r} with {member.size:,} bytes where {name} was expected")
    if name == MANIFEST and member.size > MAX_MANIFEST_BYTES:
        raise ValueError("its manifest is too long")
    stream = tar.extractfile(member)
    content = stream.read() if stream is not None else b""
    if len(content) != member.size:
        raise EOFError(f"{name} is cut")
    return content


def progress_over(names: Iterable[str], description: str) -> Iterator[str]:
    """Yields names and shows how far it is."""
    found = list(names)
    with progress(len(found), description, "file") as bar:
        for name in found:
            yield name
            bar.update()


def _expect(is_so: bool, path: Path, otherwise: str) -> None:
    if not is_so:
        raise _damaged(path, otherwise)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is no backup, or damaged: {reason}. Nothing was restored; take another backup, or the mirror.")
