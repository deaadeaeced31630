"""Upstream files as a user has them: found below `--raw` by name, opened, and read in blocks of whole lines.

- A file is known by its published name (and, where the name alone says too little, by folders on its path).
- Files under other names are never read: copies, heads and translations would mix into the data unnoticed.
- What is wrong with a file as such (Git LFS pointer, truncated gzip, invalid UTF-8) is found here, for all formats.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ..atomic import sha256_of
from ..errors import InputError, Problem, RecordError

BLOCK_BYTES = 4 << 20
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_BOM = b"\xef\xbb\xbf"
_SOUND = {".wav", ".flac", ".mp3", ".mp4", ".m4a", ".ogg", ".opus", ".webm"}


@dataclass(frozen=True)
class UpstreamFile:
    """A file that a publisher gives out.

    Attributes:
        name: the published file name; `name.gz` is accepted too.
        split: the split that it belongs to.
        role: what it holds ("captions", "metadata", "qa"): one part of a build is made of one file per role.
        subset: the subset that it belongs to, if the corpus has subsets.
        folders: names that must all be on the file's path, where the file name alone is not unique.
        prefer: folder names that decide between several files of this name (the publisher's own layout).
        aliases: other unambiguous names that the same file goes by.
        is_needed: the part cannot be built without it.
        is_lookup: it holds no records of its own: what it says about the rows of other files is joined to them.
    """

    name: str
    split: str
    role: str = "captions"
    subset: str | None = None
    folders: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    is_needed: bool = True
    is_lookup: bool = False

    @property
    def shown(self) -> str:
        """The name with its folders, as documentation shows it."""
        return "/".join([*self.folders, self.name])

    def is_named(self, name: str) -> bool:
        """Whether a file called `name` is this one, as far as its name tells."""
        return name.removesuffix(".gz") in (self.name, *self.aliases)

    def fits(self, path: PurePosixPath, above: Sequence[str] = ()) -> bool:
        """Whether a path is this file by its name and folders; `above` are folders that count as if they were on the path."""
        return self.is_named(path.name) and all(folder in (*path.parts[:-1], *above) for folder in self.folders)


@dataclass(frozen=True)
class RawFile:
    """An upstream file on this machine.

    Attributes:
        source: name of the dataset, for messages.
        path: where it lies.
        name: its path below the raw folder, with `/`: what messages, manifests and provenance say.
    """

    source: str
    path: Path
    name: str

    def error(
        self,
        expected: str,
        *,
        line: int | None = None,
        record: int | None = None,
        field: str | None = None,
        value: object = None,
    ) -> RecordError:
        """Returns the error that names this file."""
        return RecordError(self.source, self.name, expected=expected, line=line, record=record, field=field, value=value)

    def digest(self) -> str:
        """Returns the sha256 of the file's bytes, hex."""
        return sha256_of(self.path)

    def open(self) -> BinaryIO:
        """Opens the file for reading; `.gz` is unpacked.

        Raises:
            RecordError: it is a Git LFS pointer, or is called `.gz` and is no gzip file.
        """
        with self.path.open("rb") as stream:
            head = stream.read(len(_LFS_POINTER))
        if head == _LFS_POINTER:
            raise self.error(
                "a Git LFS pointer stands where the file should be; run `git lfs pull` in the clone it comes from, or download "
                "the file itself, and build again"
            )
        if self.path.suffix != ".gz":
            return self.path.open("rb")
        if head[:2] != b"\x1f\x8b":
            raise self.error("not a gzip file although its name ends in .gz; download it again")
        return cast(BinaryIO, gzip.open(self.path, "rb"))

    def head(self, size: int = 1 << 20) -> bytes:
        """Returns the first bytes of the file, without a byte order mark.

        Raises:
            RecordError: the file is a Git LFS pointer, or its gzip stream is damaged.
        """
        try:
            with self.open() as stream:
                return stream.read(size).removeprefix(_BOM)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise self.error(f"the gzip stream is damaged or cut short ({problem}); download the file again") from problem

    def blocks(self, size: int = BLOCK_BYTES, *, end: bytes = b"\n") -> Iterator[bytes]:
        """Yields the file's bytes, without a byte order mark, in blocks that end behind an `end` (the last one may not).

        Args:
            size: bytes per block, about; a longer line makes a longer block.
            end: where blocks may end.

        Raises:
            RecordError: the file is a Git LFS pointer, or its gzip stream is damaged or cut.
        """
        rest: list[bytes] = []
        is_first = True
        try:
            with self.open() as stream:
                while block := stream.read(size):
                    if is_first:
                        block, is_first = block.removeprefix(_BOM), False
                    cut = block.rfind(end) + len(end) if end in block else 0
                    if cut:
                        yield b"".join([*rest, block[:cut]])
                        rest = []
                    if cut < len(block):
                        rest.append(block[cut:])
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise self.error(f"the gzip stream is damaged or cut short ({problem}); download the file again") from problem
        if rest:
            yield b"".join(rest)

    def decode(self, block: bytes, first_line: int, encoding: str = "utf-8") -> str:
        """Returns a block as text.

        Raises:
            RecordError: invalid bytes, with the line that holds them.
        """
        try:
            return block.decode(encoding)
        except UnicodeDecodeError as problem:
            line = first_line + block.count(b"\n", 0, problem.start)
            begin = block.rfind(b"\n", 0, problem.start) + 1
            raise self.error(
                f"invalid {encoding.upper()} at byte {problem.start - begin + 1} of the line; "
                f"expected {encoding.upper()} text, so restore the file as it was published",
                line=line,
                value=block[max(begin, problem.start - 20) : problem.start + 20],
            ) from None


@dataclass(frozen=True)
class Part:
    """What is read in one go and becomes shards of its own: one subset of one split, one raw file per role.

    Attributes:
        split: the split.
        subset: the subset, None where the corpus has none.
        files: role to file; empty for a source that needs none.
        number: tells parts of one split and subset apart, and orders them; None where there is one.
        options: what else determines the rows, such as a seed; values that JSON can hold.
    """

    split: str
    subset: str | None
    files: dict[str, RawFile]
    number: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Split, subset and number, for messages and file names."""
        named = f"{self.split}/{self.subset}" if self.subset else self.split
        return named if self.number is None else f"{named}/{self.number:05d}"


@dataclass(frozen=True)
class Found:
    """What lies below a raw folder.

    Attributes:
        parts: everything that can be built, in the source's order.
        missing: split or split/subset to the reason why it cannot be built.
        unknown: files that the source does not know, as paths below the folder, sorted.
    """

    parts: tuple[Part, ...]
    missing: dict[str, str]
    unknown: tuple[str, ...]


def locate(source: str, known: Sequence[UpstreamFile], raw: Path, without: Path | None = None) -> Found:
    """Returns which of the known files lie anywhere below `raw`.

    Args:
        source: name of the dataset.
        known: every file the source can read, in build order.
        raw: the user's folder.
        without: a folder below `raw` to leave out (the output of builds).

    Raises:
        InputError: `raw` is no folder, or a file is there twice and nothing tells which one is meant.
    """
    if not raw.is_dir():
        raise InputError(f"--raw {raw} is not a folder; expected the folder that holds the upstream files of {source}.")
    names = below(raw, without)
    # Below `raw/caption/test` these words are not on the relative paths any more: the folder itself and its parent count too.
    own = raw.resolve().parts[-2:]
    matches = _matches(known, names, ()) or _matches(known, names, own)
    problems, chosen = [], {}
    for file, found in matches.items():
        preferred = [path for path in found if set(file.prefer) & {*path.parts[:-1]}] or found
        if len(preferred) > 1:
            places = ", ".join(str(path) for path in preferred)
            problems.append(
                Problem("E_AMBIGUOUS_FILE", f"{file.shown} is there {len(preferred)} times: {places}", column=file.role)
            )
        elif preferred:
            chosen[file] = RawFile(source, raw / preferred[0], str(preferred[0]))
    if problems:
        raise InputError(f"{source}: --raw {raw} holds files of the same name; point it at one release or copy.", problems)
    parts, missing = _parts(known, chosen)
    used = {PurePosixPath(file.name) for file in chosen.values()}
    unknown = (*(n for n in names if PurePosixPath(n) not in used and PurePosixPath(n).suffix.lower() not in _SOUND),)
    return Found(parts, missing, unknown)


def _matches(
    known: Sequence[UpstreamFile], names: Sequence[str], above: Sequence[str]
) -> dict[UpstreamFile, list[PurePosixPath]]:
    """Returns the paths that fit each known file; `above` are folder names that count as if they were on every path."""
    matches: dict[UpstreamFile, list[PurePosixPath]] = {}
    for file in known:
        for path in map(PurePosixPath, names):
            if file.fits(path, above):
                matches.setdefault(file, []).append(path)
    return matches


def below(raw: Path, without: Path | None = None) -> list[str]:
    """Returns the paths of all files below `raw`, with `/`, sorted; see `locate`."""
    return sorted(_files_below(raw, without))


def _files_below(raw: Path, without: Path | None) -> Iterator[str]:
    """Yields paths below `raw` with `/`; hidden folders and the built data are not looked into."""
    seen: set[str] = set()
    left_out = without.resolve() if without is not None else None
    for folder, subfolders, names in os.walk(raw, followlinks=True):
        here = Path(folder).resolve()
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if str(here) in seen or (left_out is not None and here == left_out and here != raw.resolve()):
            subfolders[:] = []
            continue
        seen.add(str(here))
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(raw).as_posix()


def _parts(known: Sequence[UpstreamFile], chosen: dict[UpstreamFile, RawFile]) -> tuple[tuple[Part, ...], dict[str, str]]:
    wanted: dict[tuple[str, str | None], list[UpstreamFile]] = {}
    for file in known:
        wanted.setdefault((file.split, file.subset), []).append(file)
    parts, missing = [], {}
    for (split, subset), files in wanted.items():
        part = Part(split, subset, {file.role: chosen[file] for file in files if file in chosen})
        absent = [file.shown for file in files if file.is_needed and file not in chosen]
        if absent or not part.files:
            missing[part.label] = f"not built: no {' and no '.join(absent or [file.shown for file in files])} below --raw"
        else:
            parts.append(part)
    for split in dict.fromkeys(split for split, subset in wanted if subset):
        labels = [label for label in missing if label.startswith(f"{split}/")]
        if not any(part.split == split for part in parts):  # nothing of it is there: one line says so
            names = [file.shown for file in known if file.split == split]
            missing[split] = f"not built: none of its {len(names)} files ({names[0]} … {names[-1]}) below --raw"
            missing = {label: why for label, why in missing.items() if label not in labels}
    return tuple(parts), missing
