"""Places that hold sound files: folders, tar (also gzip) and zip archives, on this machine or at an fsspec URL.

- Nothing is unpacked.
- A member of an archive is read by itself, at its place: of a tar and a zip its bytes, of a `.tar.gz` by going on from the
  nearest place before it. Read in the archive's order that is one pass; places to go on from are kept every few megabytes.
- An archive with a member called `/...` or `../...` is refused, and so are one that is encrypted and a zip of several parts.
- A tar that was cut gives the members that are whole, and a warning.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ..errors import InputError, MissingRequirementError, SoundError
from .naming import is_sound

FOLDER, TAR, TAR_GZ, ZIP = "folder", "tar", "tar.gz", "zip"
_SUFFIXES = {".tar": TAR, ".tar.gz": TAR_GZ, ".tgz": TAR_GZ, ".zip": ZIP}
_BLOCK = 512
_STEP = 1 << 18  # compressed bytes that are unpacked at a time
_MAX_PLACES = 512  # places to go on from, per archive; each is about 50 kB
_MIN_SPACING = 4 << 20
_OPEN_STREAMS = 8
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True)
class Container:
    """A folder or an archive.

    Attributes:
        kind: `folder`, `tar`, `tar.gz` or `zip`.
        path: absolute path, or URL.
        shown: how messages and rules about folders name it, with the folders that lead to it below what the user named.
        order: place of what the user named among all that the user named, from 0.
        size_bytes: size of an archive, 0 for a folder.
        stamp: what changes when an archive is written again.
    """

    kind: str
    path: str
    shown: str
    order: int
    size_bytes: int = 0
    stamp: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return not is_url(self.path)


@dataclass(frozen=True)
class Member:
    """A sound file in a container.

    Attributes:
        name: path inside the container, with `/`.
        size_bytes: its size; in a zip as it is stored there.
        offset: where it begins: in a tar its bytes (of the unpacked stream), in a zip its header.
        method: how it is packed in a zip.
        crc: checksum in a zip.
        stamp: what changes when a file in a folder is written again.
    """

    name: str
    size_bytes: int
    offset: int = -1
    method: int = 0
    crc: int = 0
    stamp: int = 0


def is_url(path: str) -> bool:
    """Whether a path is an fsspec URL."""
    return "://" in path


def kind_of(name: str) -> str | None:
    """Returns the kind of an archive by its ending, None for what is no archive."""
    lower = name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if lower.endswith(suffix)), None)


@lru_cache(maxsize=32)
def _file_system(protocol_of: str) -> Any:
    import fsspec

    try:
        return fsspec.core.url_to_fs(protocol_of)[0]
    except ImportError as problem:
        protocol = protocol_of.partition(":")[0]
        raise MissingRequirementError(f"what reads {protocol}:// URLs", str(problem), "install the package it names") from None
    except ValueError as problem:
        raise InputError(f"--audio {protocol_of}: {problem}") from None


def _inside(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path that it has there."""
    system = _file_system(url.partition("://")[0] + "://" + url.partition("://")[2].partition("/")[0])
    return system, system._strip_protocol(url)


def open_binary(path: str) -> BinaryIO:
    """Opens a file, at a path or URL, for reading."""
    if is_url(path):
        system, inside = _inside(path)
        return cast(BinaryIO, system.open(inside, "rb"))
    return Path(path).open("rb")


def read_at(path: str, offset: int, size: int) -> bytes:
    """Returns bytes of a file, at a path or URL; fewer at its end."""
    if is_url(path):
        system, inside = _inside(path)
        return cast(bytes, system.cat_file(inside, start=offset, end=offset + size))
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(offset)
        pieces = []
        while size and (piece := stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


# -- what is there ---------------------------------------------------------------------------------------------------------------


def containers(path: str, order: int) -> Iterator[tuple[Container, Iterator[Member] | None]]:
    """Yields what a path holds: itself if it is an archive, otherwise the folder, with its members, and the archives below it.

    The members of a folder must be used up before the next container is asked for; those of archives: see `members`.

    Args:
        path: a folder or an archive, on this machine or an fsspec URL.
        order: place of the path among all paths.

    Raises:
        InputError: there is nothing, or something else; an archive is one of several parts.
    """
    if is_url(path):
        yield from _remote(path, order)
        return
    local = Path(path).expanduser()
    if not local.exists():
        raise InputError(f"--audio {path} is not there; expected a folder, a .tar, .tar.gz or .zip file, or an fsspec URL.")
    local = local.resolve()
    # The folder's own name counts: `--audio FreeSound` says whose numbers the names are.
    if local.is_file():
        yield _archive(str(local), f"{local.parent.name}/{local.name}", order, local.stat()), None
        return
    found: list[Container] = []
    yield Container(FOLDER, str(local), local.name, order), _below(local, order, found)
    for one in found:
        yield one, None


def _archive(path: str, shown: str, order: int, info: os.stat_result) -> Container:
    kind = kind_of(path)
    if kind is None:
        _refuse_part(path)
        raise InputError(
            f"--audio {path} is no folder and no archive that can be read; expected .tar, .tar.gz, .tgz, .zip or a folder."
        )
    if kind == ZIP:
        check_single_zip(path)
    return Container(kind, path, shown, order, info.st_size, str(info.st_mtime_ns))


def _refuse_part(path: str) -> None:
    """Refuses `.z01` and so on, the first parts of a zip."""
    suffix = PurePosixPath(path).suffix.lower()
    if len(suffix) > 2 and suffix[1] == "z" and suffix[2:].isdigit():
        raise _several_parts(str(PurePosixPath(path).with_suffix(".zip")))


def _several_parts(path: str) -> InputError:
    name = PurePosixPath(path).name
    return InputError(
        f"{path} is the last part of a zip of several parts (.z01 … .zip), which Python cannot read. Join the parts in their "
        f"folder with `zip -s 0 {name} --out joined.zip` and give --audio joined.zip."
    )


def check_single_zip(path: str) -> None:
    """Refuses a zip of several parts, and what is no zip.

    Raises:
        InputError: it is one; the message holds the command that joins the parts.
    """
    if not is_url(path) and Path(path).with_suffix(".z01").exists():
        raise _several_parts(path)
    with open_binary(path) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - (1 << 16) - 22))
        tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise InputError(f"{path} is no zip file, or was cut ({size:,} bytes); download it again.")
    (disk,) = struct.unpack_from("<H", tail, at + 4)
    locator = tail[at - 20 : at]
    disks = struct.unpack_from("<I", locator, 16)[0] if locator[:4] == b"PK\x06\x07" else 1
    if disk not in {0, 0xFFFF} or disks > 1:
        raise _several_parts(path)


def _below(root: Path, order: int, archives: list[Container]) -> Iterator[Member]:
    """Yields the sound files below a folder, sorted folder by folder; archives go to the list. Hidden folders are left out."""
    seen: set[str] = set()

    def walk(folder: str, inside: str) -> Iterator[Member]:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        below = []
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 # a million Path objects would take a gigabyte
            if name.startswith("."):
                continue
            kind = kind_of(name)
            sound = is_sound(name)
            if not sound and kind is None and "." in name and name.rpartition(".")[2].lower() in _NEVER_FOLDERS:
                continue
            path = f"{folder}/{name}"
            try:
                info = os.stat(path)  # noqa: PTH116 # see above
            except OSError:  # a link to nowhere
                continue
            if stat.S_ISDIR(info.st_mode):
                below.append(name)
            elif kind is not None:
                archives.append(_archive(path, f"{root.name}/{inside}{name}", order, info))
            elif sound:
                yield Member(f"{inside}{name}", info.st_size, stamp=info.st_mtime_ns)
        for name in below:
            yield from walk(f"{folder}/{name}", f"{inside}{name}/")

    yield from walk(str(root), "")


_NEVER_FOLDERS = frozenset({"json", "jsonl", "csv", "txt", "parquet", "md"})


def _remote(url: str, order: int) -> Iterator[tuple[Container, Iterator[Member] | None]]:
    system, inside = _inside(url)
    try:
        info = system.info(inside)
        is_file = info["type"] == "file"
        found = {} if is_file else system.find(inside, detail=True)
    except FileNotFoundError:
        raise InputError(f"--audio {url} is not there; expected a folder, a .tar, .tar.gz or .zip file.") from None
    except OSError as problem:
        raise InputError(f"--audio {url} cannot be read: {problem}") from problem

    def archive(path: str, about: dict[str, Any], shown: str) -> Container:
        full = url if path == inside else system.unstrip_protocol(path)
        kind = kind_of(full)
        if kind is None:
            _refuse_part(full)
            raise InputError(f"--audio {full} is no archive that can be read; expected .tar, .tar.gz, .tgz, .zip or a folder.")
        if kind == ZIP:
            check_single_zip(full)
        return Container(kind, full, shown, order, int(about.get("size") or 0), _stamp(about))

    if is_file:
        yield archive(inside, info, "/".join(inside.split("/")[-2:])), None
        return
    name = inside.rstrip("/").rpartition("/")[2]
    relative = {path: path[len(inside) :].lstrip("/") for path in sorted(found)}

    def listed() -> Iterator[Member]:
        for path, short in relative.items():
            if is_sound(short):
                stamp = zlib.crc32(_stamp(found[path]).encode())
                yield Member(short, int(found[path].get("size") or 0), stamp=stamp)

    yield Container(FOLDER, url.rstrip("/"), name, order), listed()
    for path, short in relative.items():
        if kind_of(short) is not None:
            yield archive(path, found[path], f"{name}/{short}"), None


def _stamp(about: dict[str, Any]) -> str:
    return next(
        (str(about[key]) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created") if about.get(key)), ""
    )


def members(one: Container, warnings: list[str]) -> Iterator[Member]:
    """Yields the sound files of an archive in its order.

    Args:
        one: a tar or zip.
        warnings: what is odd about the archive although it can be read is added here.

    Raises:
        InputError: it cannot be read, or holds a member with a name that leads out of it.
    """
    try:
        yield from (_in_zip if one.kind == ZIP else _in_tar)(one, warnings)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as problem:
        raise InputError(f"{one.path} cannot be read as {one.kind}: {problem}. Download it again.") from problem


def _check_name(one: Container, name: str) -> str:
    path = name.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or (len(path) > 1 and path[1] == ":"):
        raise InputError(
            f"{one.path} holds a member called {name!r}, which leads out of the archive; it is refused. Unpack what you trust "
            "and give --audio the folder."
        )
    while path.startswith("./"):
        path = path[2:]
    return path


class _Remembering:
    """A stream that knows the last bytes that were read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.last = stream, b""

    def read(self, size: int = -1) -> bytes:
        self.last = self.stream.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _in_tar(one: Container, warnings: list[str]) -> Iterator[Member]:
    whole = 0
    pending: Member | None = None
    why = ""
    with open_binary(one.path) as raw:
        packed = cast(BinaryIO, gzip.open(raw, "rb")) if one.kind == TAR_GZ else raw
        stream = _Remembering(packed)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as archive:
                while (info := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined] # it would remember all; the stubs lack it
                    if pending is not None:
                        yield pending  # the next header stands where it should: it is whole
                        whole += 1
                    pending = None
                    name = _check_name(one, info.name)
                    # Sparse files lie in pieces, links hold nothing: neither is what anybody packs sounds as.
                    if info.isreg() and not info.issparse() and is_sound(name):
                        pending = Member(name, info.size, info.offset_data)
            # Behind the last member stands a block of zeros. Where the archive was cut, or a header is damaged, it does not, and
            # Python stops there without a word.
            if stream.last != bytes(_BLOCK):
                why = "no end of the archive"
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as problem:
            if not whole and pending is None:
                raise InputError(
                    f"{one.path} is no {one.kind} archive, or is damaged from its beginning ({problem}); download it again."
                ) from problem
            why = str(problem)
    if pending is not None and (not why or (one.kind == TAR and pending.offset + pending.size_bytes <= one.size_bytes)):
        yield pending
        whole += 1
    if why:
        warnings.append(f"{one.shown} is damaged or cut short ({why}): {whole:,} sound files before that place are used")


def _in_zip(one: Container, warnings: list[str]) -> Iterator[Member]:
    with open_binary(one.path) as stream, zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        archive.NameToInfo.clear()
        odd = 0
        for info in infos:
            name = _check_name(one, info.filename)
            if info.is_dir() or not is_sound(name):
                continue
            if info.flag_bits & 1:
                raise InputError(f"{one.path}: {name} is encrypted; unpack it with its password and give --audio the folder.")
            if info.compress_type not in _METHODS:
                odd += 1
                continue
            yield Member(name, info.compress_size, info.header_offset, info.compress_type, info.CRC)
        if odd:
            warnings.append(f"{one.shown}: {odd:,} sound files are packed in a way that is not read (only stored and deflated)")


# -- reading members -------------------------------------------------------------------------------------------------------------


def content(one: Container, member: Member) -> bytes | Path:
    """Returns the bytes of a member, or where it lies as a file of its own on this machine.

    Raises:
        SoundError: it is not there any more, or damaged.
    """
    try:
        if one.kind == FOLDER:
            path = f"{one.path}/{member.name}"
            if one.is_local:
                return Path(path)
            system, inside = _inside(path)
            return cast(bytes, system.cat_file(inside))
        if one.kind == ZIP:
            return _from_zip(one, member)
        if one.kind == TAR:
            found = read_at(one.path, member.offset, member.size_bytes)
        else:
            found = _stream(one.path, one.stamp).read(member.offset, member.size_bytes)
    except FileNotFoundError as problem:
        raise SoundError("missing", f"{one.path} is not there any more") from problem
    except (OSError, EOFError, zlib.error, struct.error) as problem:
        raise SoundError(
            "damaged", f"it cannot be read out of {one.shown} ({getattr(problem, 'strerror', None) or problem})"
        ) from problem
    if len(found) < member.size_bytes:
        raise SoundError("damaged", f"{one.shown} ends inside of it")
    return found


def _from_zip(one: Container, member: Member) -> bytes:
    header = read_at(one.path, member.offset, 30)
    if header[:4] != b"PK\x03\x04":
        raise SoundError("damaged", f"{one.shown} has no header for it")
    name, extra = struct.unpack_from("<HH", header, 26)
    data = read_at(one.path, member.offset + 30 + name + extra, member.size_bytes)
    if member.method == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-15).decompress(data)
    if zlib.crc32(data) != member.crc:
        raise SoundError("damaged", f"its checksum in {one.shown} is another one")
    return data


class GzipStream:
    """Reads anywhere in a gzip file without unpacking it: it goes on from the nearest place before.

    Args:
        path: path or URL.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._places: list[tuple[int, int, Any]] = [(0, 0, zlib.decompressobj(31))]  # unpacked position, packed position, state
        self._spacing = _MIN_SPACING
        self._now: tuple[int, int, Any] = (0, 0, zlib.decompressobj(31))
        self._tail = b""  # what was unpacked just before the present position
        self._stream: BinaryIO | None = None

    def read(self, offset: int, size: int) -> bytes:
        """Returns bytes of the unpacked stream; fewer at its end.

        Raises:
            EOFError: the file was cut.
            zlib.error: it is damaged.
        """
        with self._lock:
            pieces: list[bytes] = []
            position = self._go_near(offset)
            while position < offset + size:
                piece = self._tail if position < self._now[0] else self._step()
                if not piece:
                    break
                begin = max(0, offset - position)
                if begin < len(piece):
                    pieces.append(piece[begin : offset + size - position])
                position += len(piece)
            return b"".join(pieces)

    def _go_near(self, offset: int) -> int:
        """Goes to the nearest known place before `offset`, and returns where the bytes that come next begin."""
        tail_begins = self._now[0] - len(self._tail)
        place = max((one for one in self._places if one[0] <= offset), key=lambda one: one[0])
        if tail_begins <= offset and place[0] <= self._now[0]:
            return tail_begins
        unpacked, packed, state = place
        self._now, self._tail = (unpacked, packed, state.copy()), b""
        return unpacked

    def _step(self) -> bytes:
        """Unpacks the next piece, and returns it; nothing at the end."""
        unpacked, packed, state = self._now
        found = b""
        while not found:
            if self._stream is None:
                self._stream = open_binary(self._path)
            self._stream.seek(packed)
            block = self._stream.read(_STEP)
            if not block:
                if not state.eof and packed:
                    raise EOFError("the gzip stream ends too early")
                return b""
            if state.eof:  # another gzip stream behind the first one, or zeros that fill up a block
                rest = block.lstrip(b"\0")
                packed += len(block) - len(rest)
                if not rest:
                    continue
                block, state = rest, zlib.decompressobj(31)
            found = state.decompress(block)
            packed += len(block) - len(state.unused_data)
        self._now, self._tail = (unpacked + len(found), packed, state), found
        if self._now[0] - self._places[-1][0] >= self._spacing and not state.eof:
            self._places.append((self._now[0], packed, state.copy()))
            if len(self._places) > _MAX_PLACES:
                self._places, self._spacing = self._places[::2], self._spacing * 2
        return found


@lru_cache(maxsize=_OPEN_STREAMS)
def _stream(path: str, _stamp: str) -> GzipStream:
    return GzipStream(path)
