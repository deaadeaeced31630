"""A library of labelled single-event clips: a folder of sound files with `events.csv` (`file,label,category`).

Files are told by their paths below the folder. A file that is missing, cannot be read, is silent or is shorter than its fades is
left out and listed with the reason; what is wrong with the table itself stops the work before it begins.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import InputError, Problem, SoundError
from .mixing import Signal, signal, trimmed
from .samples import read

TABLE = "events.csv"
COLUMNS = ("file", "label", "category")
_CACHE_BYTES = 256 << 20


@dataclass(frozen=True)
class Event:
    """A sound file that holds one event.

    Attributes:
        file: its path below the folder, with `/`.
        label: what is heard, as captions say it.
        category: its class; an empty text where the table has none.
        line: where it stands in the table, from 1.
    """

    file: str
    label: str
    category: str
    line: int


@dataclass(frozen=True)
class Library:
    """What a folder holds.

    Attributes:
        folder: where it lies.
        events: those that can be used, in the table's order.
        skipped: those that cannot, with the reason in one word and in a sentence.
        digest: sha256 of the usable events' names, labels and bytes, hex.
    """

    folder: Path
    events: tuple[Event, ...]
    skipped: tuple[tuple[Event, str, str], ...]
    digest: str


def read_library(folder: Path, rate_hz: int) -> Library:
    """Returns the events of a folder; every file is read once.

    Args:
        folder: holds the sound files and `events.csv`.
        rate_hz: the rate that they are to be used at.

    Raises:
        InputError: there is no such folder or table, the table is not as it should be, or no event can be used.
    """
    digest = hashlib.sha256()
    events, skipped = [], []
    for event in read_table(folder):
        try:
            content = _bytes(folder / event.file)
            trimmed(signal(read(content), rate_hz), rate_hz)
        except SoundError as problem:
            skipped.append((event, problem.reason, problem.what))
            continue
        events.append(event)
        for text in (event.file, event.label, event.category):
            digest.update(f"{len(text)}:{text}".encode())
        digest.update(hashlib.sha256(content).digest())
    if not events:
        problems = [Problem("E_EVENT", f"{reason}: {what}", line=event.line, id=event.file) for event, reason, what in skipped]
        raise InputError(f"none of the files of {folder / TABLE} can be used; expected sound files beside the table.", problems)
    return Library(folder, tuple(events), tuple(skipped), digest.hexdigest())


def read_table(folder: Path) -> list[Event]:
    """Returns the lines of `events.csv`.

    Raises:
        InputError: it is missing, lacks a column, has no line, is no UTF-8, or has lines that say nothing or too much.
    """
    table = folder / TABLE
    if not table.is_file():
        what = "has no events.csv" if folder.is_dir() else "is not a folder"
        raise InputError(f"--events {folder} {what}; expected the sound files and {TABLE} with the columns {','.join(COLUMNS)}.")
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{table}: invalid UTF-8 at byte {problem.start + 1}; save it as UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if lacking:
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise InputError(
            f"{table} lacks the column {', '.join(lacking)}; its first line has {found}, expected {','.join(COLUMNS)}."
        )
    events, problems = dict[str, Event](), list[Problem]()
    for row in reader:
        file, label, category = ((row[name] or "").strip() for name in COLUMNS)
        path = PurePosixPath(file)
        if not file or not label:
            problems.append(
                Problem("E_EMPTY", f"{'file' if not file else 'label'} is empty", line=reader.line_num, id=file or None)
            )
        elif path.is_absolute() or ".." in path.parts:
            problems.append(Problem("E_PATH", "the file is not below the folder", line=reader.line_num, id=file))
        elif file in events:
            again = f"{file} is in line {events[file].line}, too"
            problems.append(Problem("E_DUP_FILE", again, line=reader.line_num, id=file, hint="keep one of them"))
        else:
            events[file] = Event(file, label, category, reader.line_num)
    if problems:
        raise InputError(f"{table} has lines that cannot be used; expected one line per file, with a label.", problems)
    if not events:
        raise InputError(f"{table} has no lines; expected one per sound file: {','.join(COLUMNS)}.")
    return list(events.values())


class Sounds:
    """The trimmed sounds of events, read when they are first asked for; the least used go when there are too many.

    Args:
        files: where the files lie: a folder, or name to path or bytes.
        rate_hz: the rate that they are given at.
    """

    def __init__(self, files: Path | Mapping[str, bytes | Path], rate_hz: int) -> None:
        self._files, self._rate_hz = files, rate_hz
        self._held: OrderedDict[str, Signal] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, file: str) -> Signal:
        """Returns an event from its first active frame to its last: float64[n], at the level of the file.

        Raises:
            SoundError: it cannot be read or used.
        """
        if file in self._held:
            self._held.move_to_end(file)
            return self._held[file]
        place = self._files / file if isinstance(self._files, Path) else self._files.get(file)
        if place is None:
            raise SoundError("missing", f"there is no file {file}")
        content = place if isinstance(place, bytes) else _bytes(place)
        found = trimmed(signal(read(content), self._rate_hz), self._rate_hz).copy()
        self._held[file] = found
        self._bytes += found.nbytes
        for old in self._oldest():
            self._bytes -= self._held.pop(old).nbytes
        return found

    def _oldest(self) -> Iterator[str]:
        while self._bytes > _CACHE_BYTES and len(self._held) > 2:  # the two events of a triple
            yield next(iter(self._held))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SoundError("missing", "the file is not there") from None
    except OSError as problem:
        raise SoundError("unreadable", f"the file cannot be opened ({problem.strerror})") from None
