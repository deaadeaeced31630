"""Every exception that this project raises on purpose.

    UnifiedAudioCapsError
    |-- UnknownNameError(LookupError)              no dataset, metric, benchmark or encoder of that name
    |-- FetchError(OSError)                        a file could not be obtained
    |   |-- ChecksumError                            it is not the file that was published
    |   |-- OfflineError                             it is missing and the user asked for no network
    |   `-- AccessError                              it is gated or private: says where to go
    |-- RecordError(ValueError)                    an upstream file holds something that its format forbids
    |-- SoundError(ValueError)                     a sound file cannot be read, or is of no use; says why in one word, too
    |-- EndpointError(OSError)                     a model's endpoint refuses, is gone, or answers what cannot be used
    |-- StorageError(OSError)                      a folder cannot be written: the disk is full, or the write was refused
    |-- UnavailableError(OSError)                  the hub's database is locked, full or away: try again, nothing was changed
    |-- LimitError(RuntimeError)                   too many submissions or requests: says when to come back
    |-- RightsError(PermissionError)               somebody else's submission or system, or not signed in
    |-- InputError(ValueError)                     what the user handed in is wrong; lists every problem found
    |-- MissingRequirementError(ImportError)       a package, program or model is not installed
    `-- StateError(RuntimeError)                   a submission is not in the state that the step needs

A message says what came, what was expected and what to do, in that order.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN_PROBLEMS = 20
SHOWN_CHARACTERS = 80


def shorten(value: object, limit: int = SHOWN_CHARACTERS) -> str:
    """Returns `repr(value)`, cut to `limit` characters so that one bad cell cannot fill the screen."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class UnifiedAudioCapsError(Exception):
    """Base of all errors of this project: the command line shows its text and no traceback."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors have keyword arguments of their own: copy the finished error, so that it survives a process border.
        return _copied, (type(self), self.args, self.__dict__)


def _copied(kind: type[UnifiedAudioCapsError], args: tuple[Any, ...], state: dict[str, Any]) -> UnifiedAudioCapsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UnknownNameError(UnifiedAudioCapsError, LookupError):
    """A name that no dataset, metric, benchmark or encoder carries."""

    def __init__(self, kind: str, name: str, known: Iterable[str], how_to_list: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        text = f"no {kind} is called {shorten(name)}."
        if close:
            text += f" Did you mean {' or '.join(close)}?"
        text += f" Known: {', '.join(self.known) or 'none'}."
        if how_to_list:
            text += f" `{how_to_list}` lists them."
        super().__init__(text)


class FetchError(UnifiedAudioCapsError, OSError):
    """An upstream file could not be obtained."""


class ChecksumError(FetchError):
    """A fetched file is not the one that was published."""


class OfflineError(FetchError):
    """A file is missing and the user asked for no network."""


class AccessError(FetchError):
    """The files are gated, private, or to be had by hand only: the message says where to go."""


class EndpointError(UnifiedAudioCapsError, OSError):
    """A model's endpoint refuses, is gone, or answers what cannot be used."""


class StorageError(UnifiedAudioCapsError, OSError):
    """A folder cannot be written: the disk is full, a quota or size limit was met, or permission is missing.

    Args:
        folder: what was being written to, a path or a URL.
        cause: what the system said.
        done: what the user may rely on now.
    """

    def __init__(self, folder: Path | str, cause: OSError, done: str) -> None:
        self.folder, self.cause, self.done = folder, cause, done
        reason = cause.strerror or str(cause)
        if cause.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            what = (
                f"no room to write to {folder} ({reason}); free some space, or choose another place with --out, and run it again."
            )
        else:
            place = f" at {cause.filename}" if cause.filename else ""
            what = f"cannot work in {folder}{place} ({reason}); make it readable and writable and run it again."
        super().__init__(f"{what} {done}")


class UnavailableError(UnifiedAudioCapsError, OSError):
    """The hub's database is locked, full or away. Nothing was changed; the same step may be tried again."""


class LimitError(UnifiedAudioCapsError, RuntimeError):
    """Too many submissions or requests.

    Args:
        text: what the limit is.
        retry_after_s: when it makes sense to come back.
    """

    def __init__(self, text: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class RightsError(UnifiedAudioCapsError, PermissionError):
    """What was asked for is somebody else's, or needs somebody who is signed in."""


class RecordError(UnifiedAudioCapsError, ValueError):
    """An upstream file holds something that its format forbids.

    Args:
        source: name of the dataset whose module read the file.
        file: the file as the user knows it.
        line: 1-based line, None for the file as a whole or where the format has no lines.
        record: 1-based number of the record, where the format has no lines.
        field: the column or key concerned.
        value: what stood there; shown cut.
        expected: what should have stood there, and what to do.
    """

    def __init__(
        self,
        source: str,
        file: str,
        *,
        expected: str,
        line: int | None = None,
        field: str | None = None,
        value: object = None,
        record: int | None = None,
    ) -> None:
        self.source, self.file, self.line, self.field, self.value, self.expected = source, file, line, field, value, expected
        self.record = record
        where = file + (f", line {line}" if line is not None else "") + (f", record {record}" if record is not None else "")
        what = f"field {field!r}" if field else ""
        if value is not None:
            what = f"{what} is {shorten(value)}; " if what else f"found {shorten(value)}; "
        elif what:
            what += ": "
        super().__init__(f"{source}: {where}: {what}{expected}")


class SoundError(UnifiedAudioCapsError, ValueError):
    """A sound that cannot be read, stored or used.

    Attributes:
        reason: one word, to be counted: `missing`, `empty`, `unreadable`, `damaged`, `not_finite`, `not_storable`, `silent`,
            `too_short`; of rows and files that do not fit together `ambiguous`, `no_times`, `other_segment`, `needs_cut`,
            `in_archive`.
        what: what is wrong, for people.
    """

    def __init__(self, reason: str, what: str) -> None:
        self.reason, self.what = reason, what
        super().__init__(what)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file that a user handed in.

    Attributes:
        code: stable identifier such as `E_DUP_ID`; the same on every surface.
        message: what came and what was expected.
        line: 1-based line in the file, None when the problem is not on a line (a missing id).
        id: the clip's id where it is known.
        hint: what to do.
        column: the field concerned.
    """

    code: str
    message: str
    line: int | None = None
    id: str | None = None
    hint: str = ""
    column: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        which = f" [{self.id}]" if self.id is not None and self.id not in self.message else ""
        return f"{where}{self.code}{which}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class InputError(UnifiedAudioCapsError, ValueError):
    """What the user handed in is wrong.

    Args:
        headline: one sentence that names the file or argument.
        problems: everything that was found; the message shows the first 20.
        total: how many problems there are when `problems` was cut, None when it is complete.
    """

    def __init__(self, headline: str, problems: Sequence[Problem] = (), total: int | None = None) -> None:
        self.headline, self.problems = headline, tuple(problems)
        self.total = len(self.problems) if total is None else total
        lines = [headline, *(f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS])]
        hidden = self.total - min(len(self.problems), SHOWN_PROBLEMS)
        if hidden > 0:
            lines.append(f"  … and {hidden:,} more")
        super().__init__("\n".join(lines))


class MissingRequirementError(UnifiedAudioCapsError, ImportError):
    """A package, program or model is not installed.

    Args:
        what: the thing that is missing.
        why: what needs it.
        install: the exact command or step that provides it.
    """

    def __init__(self, what: str, why: str, install: str) -> None:
        self.what, self.why, self.install = what, why, install
        super().__init__(f"{what} is not available. {why} To get it: {install}")


class StateError(UnifiedAudioCapsError, RuntimeError):
    """A submission is not in the state that the requested step needs.

    Args:
        submission_id: which submission.
        state: the state it is in now.
        transition: what was asked for.
    """

    def __init__(self, submission_id: str, state: str, transition: str) -> None:
        self.submission_id, self.state, self.transition = submission_id, state, transition
        super().__init__(f"submission {submission_id} is {state}; {transition} is not possible from there.")
