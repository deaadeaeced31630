"""Reads files of strangers within bounds: how many bytes, how many of them packed, how long a line.

What a file is told by its ending; what it begins with must agree. Nothing is unpickled, no archive is opened, no name becomes a
path. Where no more of a file can be read, `Refused` carries the problem.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO

from ...dataset_scripts.errors import Problem
from ...evaluators.files import BYTE_ORDER_MARK, LFS_POINTER

TEXT_FORMATS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
EMBEDDING_FORMATS = (".safetensors", ".parquet")
_BLOCK_BYTES = 2**16
# below this a packed file cannot hurt, and a few equal lines pack very well
_UNSUSPECTED_BYTES = 2**20
# a file of empty gzip members costs time and holds nothing; bgzip makes one per 64 KiB
_MAX_MEMBERS = 10_000
_MAGIC = ((b"\x1f\x8b", "gzip", ".gz"), (b"PAR1", "parquet", ".parquet"))
_FOREIGN = (
    (b"PK\x03\x04", "E_FORMAT", "is a zip archive", "archives are not taken: hand in the file itself, or its .gz"),
    (b"\xff\xfe", "E_UTF8", "is UTF-16", "save the file as UTF-8"),
    (b"\xfe\xff", "E_UTF8", "is UTF-16", "save the file as UTF-8"),
)


@dataclass(frozen=True)
class Limits:
    """How much of a file is taken.

    Attributes:
        raw_bytes: size of a file of texts; of several files together.
        inflated_bytes: what it unpacks to.
        ratio: how many times larger it may become by that.
        rows_per_item: rows, in multiples of what the benchmark wants.
        caption_characters: length of a text.
        line_bytes: length of a line, of a record of csv.
        columns: columns of a table.
        problems: problems that are kept; all are counted.
        note_bytes: size of the header values.
        embedding_bytes: size of a file of embeddings.
        dimensions: of an embedding.
        footer_bytes: size of a parquet file's footer.
        header_bytes: size of a safetensors file's header.
    """

    raw_bytes: int = 64 * 2**20
    inflated_bytes: int = 256 * 2**20
    ratio: int = 50
    rows_per_item: int = 5
    caption_characters: int = 4_000
    line_bytes: int = 2**20
    columns: int = 1_000
    problems: int = 200
    note_bytes: int = 16 * 2**10
    embedding_bytes: int = 2**30
    dimensions: int = 16_384
    footer_bytes: int = 2**20
    header_bytes: int = 2**24


class Refused(Exception):
    """Nothing more can be read of a file; what was read before stands.

    Args:
        code: as in `Problem`.
        message: what came and what was expected.
        hint: what to do.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(code, message, hint=hint)


def check_raw(size_bytes: int, max_bytes: int) -> None:
    """Refuses a file of more than `max_bytes`.

    Raises:
        Refused: so it is.
    """
    if size_bytes > max_bytes:
        raise Refused("E_TOO_BIG", f"the file has {size_bytes:,} bytes; at most {max_bytes:,} are taken")


def check_inflated(inflated_bytes: int, raw_bytes: int, max_bytes: int, ratio: int) -> None:
    """Refuses what unpacks to too many bytes.

    Args:
        inflated_bytes: what is known to come out so far.
        raw_bytes: size of the file.
        max_bytes: the most that may come out.
        ratio: the most, in multiples of the file's size.

    Raises:
        Refused: there is more.
    """
    if inflated_bytes > max_bytes:
        raise Refused("E_TOO_BIG", f"the file unpacks to more than {max_bytes:,} bytes, the most that is taken")
    if inflated_bytes > max(_UNSUSPECTED_BYTES, ratio * raw_bytes):
        raise Refused("E_TOO_BIG", f"the file unpacks to more than {ratio} times its {raw_bytes:,} bytes", "do not pack it")


def ending_of(name: str) -> str:
    """Returns the ending that tells a file's format, in small letters.

    >>> ending_of("My.Captions.JSONL.gz"), ending_of("long.csv"), ending_of("captions")
    ('.jsonl.gz', '.csv', '')
    """
    suffixes = PurePath(name.lower()).suffixes
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def check_format(stream: IO[bytes], ending: str, accepted: tuple[str, ...]) -> None:
    """Refuses a file whose ending is none of those accepted, or whose first bytes are those of another format.

    Args:
        stream: at its beginning; is left there.
        ending: as `ending_of` gives it.
        accepted: what is taken.

    Raises:
        Refused: so it is.
    """
    if ending not in accepted:
        message = f"the name ends in {ending[:20] or 'nothing'!r}; expected {', '.join(accepted)}"
        raise Refused("E_FORMAT", message, "the ending tells the format")
    begin = stream.read(len(LFS_POINTER))
    stream.seek(0)
    if begin == LFS_POINTER:
        raise Refused("E_FORMAT", "the file is a Git LFS pointer, not the file itself", "run `git lfs pull` where it came from")
    if ending == ".safetensors":
        return  # it begins with the length of its header, which may look like anything
    for magic, code, message, hint in _FOREIGN:
        if begin.startswith(magic):
            raise Refused(code, f"the file {message}", hint)
    for magic, name, suffix in _MAGIC:
        if begin.startswith(magic) and not ending.endswith(suffix):
            raise Refused("E_FORMAT", f"the file is packed as {name}, but its name ends in {ending}", f"let it end in {suffix}")
        if ending.endswith(suffix) and not begin.startswith(magic):
            raise Refused("E_CUT", f"the file is no {name} file, but its name ends in {ending}", "the ending tells the format")


def lines(stream: IO[bytes], *, is_gzip: bool, size_bytes: int, limits: Limits, max_lines: int) -> Iterator[bytes | Problem]:
    r"""Yields the lines of a plain or gzip file, cut after `\n` only, without the byte order mark.

    A line that is too long comes as a problem; it is never held in memory.

    Args:
        stream: the file at its beginning.
        is_gzip: whether it is packed.
        size_bytes: of the file.
        limits: what is taken.
        max_lines: how many there may be, blank ones too.

    Raises:
        Refused: too many lines or bytes, or a damaged gzip file; when the reading comes to that place.
    """
    blocks = _inflated(stream, size_bytes, limits) if is_gzip else _plain(stream, limits)
    for number, line in enumerate(_cut(blocks, limits.line_bytes), start=1):
        if number > max_lines:
            raise Refused("E_ROWS", f"more than {max_lines:,} lines, blank ones among them", "the rest of the file was not read")
        if line is None:
            yield Problem("E_TOO_LONG", f"the line is longer than {limits.line_bytes:,} bytes", hint="one item per line")
        else:
            yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def _cut(blocks: Iterable[bytes], max_bytes: int) -> Iterator[bytes | None]:
    """Yields lines with their ends, None for those that are too long."""
    rest, is_long = b"", False
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield None if is_long or len(line) > max_bytes else line + b"\n"
            is_long = False
        if len(rest) > max_bytes:
            rest, is_long = b"", True
    if rest or is_long:
        yield None if is_long else rest


def _plain(stream: IO[bytes], limits: Limits) -> Iterator[bytes]:
    n_bytes = 0
    while block := stream.read(_BLOCK_BYTES):
        n_bytes += len(block)
        check_raw(n_bytes, limits.raw_bytes)  # it may have grown since it was measured
        yield block


def _inflated(stream: IO[bytes], size_bytes: int, limits: Limits) -> Iterator[bytes]:
    """Unpacks gzip, one member after the other; zeros may follow the last one, nothing else."""
    engine: zlib._Decompress | None = _member()
    n_bytes, n_members = 0, 1
    while raw := stream.read(_BLOCK_BYTES):
        while True:
            if engine is None:
                raw = raw.lstrip(b"\0")
                if not raw:
                    break
                engine, n_members = _member(), n_members + 1
                if n_members > _MAX_MEMBERS:
                    raise Refused("E_TOO_BIG", f"the gzip file has more than {_MAX_MEMBERS:,} members", "pack it in one piece")
            try:
                block = engine.decompress(raw, _BLOCK_BYTES)
            except zlib.error as error:
                raise Refused("E_CUT", f"the file is not a sound gzip file ({error})", "copy it again") from None
            n_bytes += len(block)
            check_inflated(n_bytes, size_bytes, limits.inflated_bytes, limits.ratio)
            if block:
                yield block
            if engine.eof:
                raw, engine = engine.unused_data, None
            elif engine.unconsumed_tail or len(block) == _BLOCK_BYTES:
                raw = engine.unconsumed_tail  # where it is empty there may be more to come of what was taken
            else:
                break
    if engine is not None:
        raise Refused("E_CUT", "the file is a truncated gzip file", "copy it again")


def _member() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)
