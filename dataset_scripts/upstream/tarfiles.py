"""WebDataset archives: tar files whose members of one name, but for the ending, belong together. Nothing is unpacked.

- An archive is read from front to back; of a sound only its name is read, its bytes are skipped.
- Members of one name follow each other, as every writer of this format has them.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .files import RawFile

_BLOCK = 512
_LONGEST_JSON = 64 << 20


@dataclass(frozen=True)
class Sample:
    """What an archive holds about one clip.

    Attributes:
        name: file name that its members share, without folder and ending.
        position: number of its JSON member among those of the archive, from 0.
        record: what this member says.
        sound: path of the other member inside the archive, None if there is none.
    """

    name: str
    position: int
    record: dict[str, Any]
    sound: str | None


def samples(file: RawFile) -> Iterator[Sample]:
    """Yields the samples of an archive that have a JSON member, in its order.

    Raises:
        RecordError: the archive is damaged or cut short, or a JSON member is no JSON object.
    """
    position = 0
    name: str | None = None
    found: list[dict[str, Any]] = []
    sounds: list[str] = []
    for path, content in _members(file):
        if path.stem != name:
            for record in found:
                yield Sample(name or "", position, record, sounds[0] if sounds else None)
                position += 1
            name, found, sounds = path.stem, [], []
        if content is None:
            sounds.append(str(path))
        else:
            found.append(_object(file, path, content))
    for record in found:
        yield Sample(name or "", position, record, sounds[0] if sounds else None)
        position += 1


def has_samples(file: RawFile) -> bool:
    """Returns whether one of the first two members of a file is JSON; False for what is no archive."""
    try:
        with file.open() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            first = [archive.next(), archive.next()]
    except tarfile.TarError:
        return False
    return any(member is not None and member.name.endswith(".json") for member in first)


def _members(file: RawFile) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    """Yields the path of every file in an archive, and the bytes of those that are JSON."""
    try:
        with file.open() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # it would remember all; the stubs lack it
                if not member.isfile():
                    continue
                path = PurePosixPath(member.name)
                if path.suffix != ".json":
                    yield path, None
                    continue
                if member.size > _LONGEST_JSON:
                    raise file.error(f"expected a JSON member of at most {_LONGEST_JSON:,} bytes", field=member.name)
                content = archive.extractfile(member)
                yield path, content.read() if content is not None else b""
            # Behind the last member stands a block of zeros. Where the archive was cut, or a header is damaged, it does not, and
            # Python stops there without a word.
            stream.seek(archive.offset)
            if stream.read(_BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError("no end of the archive")
    except (tarfile.TarError, EOFError) as problem:
        raise file.error(f"the archive is damaged or cut short ({problem}); download it again") from problem


def _object(file: RawFile, path: PurePosixPath, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as problem:  # invalid UTF-8 too
        raise file.error(f"expected JSON ({problem})", field=str(path), value=content[:80]) from None
    if not isinstance(found, dict):
        raise file.error("expected a JSON object", field=str(path), value=found)
    return found
