r"""The one reader of files that captions are scored with: predictions, references, SPICE values.

A predictions file is jsonl (`{"id": ..., "caption": ...}`) or csv with those two columns; a line of jsonl may hold
several captions instead (`{"id": ..., "captions": [...]}`), of which the first is the candidate. A references file is
jsonl (`{"id": ..., "references": [...]}`). A file of SPICE values is jsonl or csv with id, spice and, where items have
several candidates, the candidate's number (0 is the first, and what a line without it means). All may end in `.gz`.
Text is UTF-8, a byte order mark is accepted, extra keys and columns are ignored, blank lines too. A jsonl line ends at
`\n` only: U+2028, `\x0b`, `\x85` and a lone `\r` are content. What is wrong with a line is a `Problem` with its 1-based
line; what is wrong with the whole file raises `InputError`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar, cast

from ..dataset_scripts.errors import InputError, Problem, shorten
from .pairs import Prediction

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FORMATS = (".jsonl", ".csv")

Row = TypeVar("Row")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class PredictionRow:
    """One well-formed line of a predictions file.

    Attributes:
        line: 1-based physical line on which the record starts.
        id: the clip's id, not empty.
        caption: the text as it stands in the file; may be empty.
        alternatives: the other captions, where the line holds several.
    """

    line: int
    id: str
    caption: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReferencesRow:
    """One well-formed line of a references file; `references` holds at least one text."""

    line: int
    id: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class SpiceRow:
    """One well-formed line of a file of SPICE values; `spice` lies in [0, 1], `candidate` 0 is the item's first."""

    line: int
    id: str
    candidate: int
    spice: float


def scan_predictions(path: Path) -> Iterator[PredictionRow | Problem]:
    """Yields every line of a predictions file in file order, as a row or as the problem that it has.

    Duplicate ids are not looked for here: that takes memory, and this is one streaming pass.

    Raises:
        InputError: the file cannot be read at all (missing, a folder, a Git LFS pointer, a truncated gzip, a csv
            whose quotes do not close, an ending other than .jsonl or .csv). At the call, or where the damage begins.
    """
    if _file_format(path, FORMATS) == ".jsonl":
        return scan_jsonl(_byte_lines(path), _prediction_row)
    return scan_csv(_byte_lines(path), ("id", "caption"), _text_row)


def scan_references(path: Path) -> Iterator[ReferencesRow | Problem]:
    """Yields every line of a references file (jsonl) in file order, as a row or as the problem that it has."""
    _file_format(path, FORMATS[:1])
    return scan_jsonl(_byte_lines(path), _references_row)


def read_predictions(path: Path) -> dict[str, Prediction]:
    """Returns caption by id, in the order of the file; a tuple of captions where a line holds several.

    Raises:
        InputError: the file is unreadable, holds no row, or has problems; all of them are listed, duplicate ids too.
    """
    rows = _rows_without_problems(path, scan_predictions(path), "predictions")
    return {row.id: (row.caption, *row.alternatives) if row.alternatives else row.caption for row in rows}


def read_keyed_texts(path: Path, column: str) -> dict[str, str]:
    """Returns text by id, in the order of the file, from an ordinary predictions file or one of MECAT's own forms.

    Those are csv without a header (`key,text`) and jsonl of `{key: text}`.

    Args:
        path: the file.
        column: what the ordinary forms call the text: `caption`, `answer`.

    Raises:
        InputError: as for `read_predictions`.
    """

    def parse(line: int, item: Mapping[str, object]) -> PredictionRow:
        return keyed_row(line, item, column)

    is_jsonl = _file_format(path, FORMATS) == ".jsonl"
    scan = (
        scan_jsonl(_byte_lines(path), parse)
        if is_jsonl
        else scan_csv(_byte_lines(path), ("id", column), parse, may_lack_header=True)
    )
    return {row.id: row.caption for row in _rows_without_problems(path, scan, "predictions")}


def read_references(path: Path) -> dict[str, tuple[str, ...]]:
    """Returns references by id, in the order of the file.

    Raises:
        InputError: as for `read_predictions`; a string where the list should be is an error, never split up.
    """
    return {row.id: row.references for row in _rows_without_problems(path, scan_references(path), "references")}


def read_labels(path: Path, key: str) -> dict[str, str]:
    """Returns what the lines of a references file say under `key`, by id; `none` where that is null.

    Raises:
        InputError: as for `read_references`; a line without the key, or with something else than text or a number there.
    """

    def parse(line: int, item: Mapping[str, object]) -> PredictionRow:
        id_ = _id_of(item)
        found = _required(item, key, id_)
        if isinstance(found, list | dict):
            raise LineError("E_TYPE", f"{key} is {kind_of(found)}; expected text or a number", id_=id_, column=key)
        return PredictionRow(line, id_, "none" if found is None else str(found))

    _file_format(path, FORMATS[:1])
    return {row.id: row.caption for row in _rows_without_problems(path, scan_jsonl(_byte_lines(path), parse), "labels")}


def read_spice(path: Path) -> list[SpiceRow]:
    """Returns the SPICE values of a file, in its order.

    Raises:
        InputError: as for `read_predictions`; a value that is no number from 0 to 1 is a problem.
    """
    if _file_format(path, FORMATS) == ".jsonl":
        scan = scan_jsonl(_byte_lines(path), _spice_row)
    else:
        scan = scan_csv(_byte_lines(path), ("id", "spice"), _csv_spice_row)
    return _rows_without_problems(path, scan, "SPICE values", lambda row: (row.id, row.candidate))


def short_sha256(path: Path) -> str:
    """Returns the first 12 hex characters of a file's SHA-256, as signatures name files."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


AnyRow = TypeVar("AnyRow", PredictionRow, ReferencesRow, SpiceRow)


def _rows_without_problems(
    path: Path, scan: Iterator[AnyRow | Problem], kind: str, key: Callable[[AnyRow], object] = lambda row: row.id
) -> list[AnyRow]:
    rows: list[AnyRow] = []
    problems: list[Problem] = []
    line_of: dict[object, int] = {}
    for found in scan:
        if isinstance(found, Problem):
            problems.append(found)
            continue
        first_line = line_of.setdefault(key(found), found.line)
        if first_line != found.line:
            problems.append(duplicate_id(found.id, first_line, found.line))
        rows.append(found)
    if problems:
        raise InputError(f"{path}: {len(problems):,} {'problem' if len(problems) == 1 else 'problems'} in this file.", problems)
    if not rows:
        raise InputError(f"{path} holds no {kind}.")
    return rows


def duplicate_id(id_: str, first_line: int, line: int) -> Problem:
    """Returns the problem of an id that came before; it names both lines."""
    return Problem(
        "E_DUP_ID",
        f"id {shorten(id_)} came already on line {first_line}",
        line=line,
        id=id_,
        column="id",
        hint="every clip has exactly one line",
    )


def _file_format(path: Path, accepted: tuple[str, ...]) -> str:
    """Returns `.jsonl` or `.csv`; raises `InputError` when this is no file that can be read."""
    suffixes = path.suffixes
    ending = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else path.suffix
    if ending not in accepted:
        wanted = " or ".join(f"{ending} or {ending}.gz" for ending in accepted)
        raise InputError(f"{path} ends in {path.suffix or 'nothing'!r}; expected {wanted}.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file.")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    try:
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull` where it came from.")
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from None
    return ending


def _byte_lines(path: Path) -> Iterator[bytes]:
    r"""Yields the lines of a plain or gzip file, cut after `\n` only, without the byte order mark."""
    open_ = gzip.open if path.suffix == ".gz" else open
    try:
        with cast("IO[bytes]", open_(path, "rb")) as file:
            for number, line in enumerate(file, start=1):
                yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
    except EOFError:
        raise InputError(f"{path} is a truncated gzip file; copy it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a sound gzip file ({error}); copy it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


class LineError(Exception):
    """What is wrong with the line at hand; becomes a `Problem` once the line number is known.

    Args:
        code: as in `Problem`.
        message: what came and what was expected.
        id_: the item's id where it is known.
        column: the field concerned.
        hint: what to do.
    """

    def __init__(self, code: str, message: str, *, id_: str | None = None, column: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.id, self.column, self.hint = code, message, id_, column, hint

    def at(self, line: int) -> Problem:
        """Returns the problem of that line."""
        return Problem(self.code, self.message, line=line, id=self.id, column=self.column, hint=self.hint)


def scan_jsonl(lines: Iterable[bytes | Problem], parse: Callable[[int, Mapping[str, object]], Row]) -> Iterator[Row | Problem]:
    """Yields what `parse` makes of each line, or the problem that the line has; blank lines are passed over.

    Args:
        lines: with their ends; a `Problem` stands for a line that could not be read, and is yielded with its number.
        parse: gets the 1-based line and its object; raises `LineError`.
    """
    for line, raw in enumerate(lines, start=1):
        if isinstance(raw, Problem):
            yield replace(raw, line=line)
            continue
        if not raw.strip():
            continue
        try:
            yield parse(line, json_object(raw))
        except LineError as error:
            yield error.at(line)


def json_object(raw: bytes) -> Mapping[str, object]:
    """Returns the object that a line of jsonl holds.

    Raises:
        LineError: it is no UTF-8, no JSON, no object, nested too deeply, or has a key twice.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object_without_repeats)
    except UnicodeDecodeError as error:
        raise LineError(
            "E_UTF8", f"byte {error.start + 1} of the line is not UTF-8 ({raw[error.start]:#04x})", hint="save the file as UTF-8"
        ) from None
    except ValueError as error:
        raise LineError("E_JSON", f"not valid JSON: {error}", hint="one JSON object per line") from None
    except RecursionError:
        raise LineError("E_JSON", "not valid JSON: nested too deeply", hint="one JSON object per line") from None
    if not isinstance(value, dict):
        raise LineError("E_TYPE", f"the line is {kind_of(value)}; expected an object", hint="one JSON object per line")
    return value


def _object_without_repeats(items: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(items)
    if len(found) < len(items):
        repeated = Counter(name for name, _ in items).most_common(1)[0][0]
        raise LineError("E_JSON", f"the key {shorten(repeated)} stands twice in one object", column=repeated)
    return found


def _prediction_row(line: int, item: Mapping[str, object]) -> PredictionRow:
    id_ = _id_of(item)
    if "captions" in item and "caption" not in item:
        first, *others = _texts(item, "captions", id_, "one caption is {'caption': ...}")
        return PredictionRow(line, id_, first, tuple(others))
    return _text_row(line, item)


def _text_row(line: int, item: Mapping[str, object], column: str = "caption") -> PredictionRow:
    id_ = _id_of(item)
    return PredictionRow(line, id_, check_text(_required(item, column, id_), column, id_))


def keyed_row(line: int, item: Mapping[str, object], column: str) -> PredictionRow:
    """Returns the row of `{"id": ..., column: ...}` or of MECAT's `{key: text}`.

    Raises:
        LineError: a key is missing, or a value is no text.
    """
    if "id" not in item and len(item) == 1:
        (item,) = ({"id": key, column: text} for key, text in item.items())
    return _text_row(line, item, column)


def _references_row(line: int, item: Mapping[str, object]) -> ReferencesRow:
    id_ = _id_of(item)
    return ReferencesRow(line, id_, _texts(item, "references", id_, "even for one reference"))


def _texts(item: Mapping[str, object], key: str, id_: str, hint: str) -> tuple[str, ...]:
    """Returns a list of at least one text."""
    found = _required(item, key, id_)
    if not isinstance(found, list) or not found:
        came = "an empty list" if found == [] else kind_of(found)
        raise LineError("E_TYPE", f"{key} is {came}; expected a list of at least one text", id_=id_, column=key, hint=hint)
    return tuple(check_text(text, key, id_) for text in found)


def _spice_row(line: int, item: Mapping[str, object]) -> SpiceRow:
    id_, candidate = _id_of(item), item.get("candidate", 0)
    value = _required(item, "spice", id_)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise LineError("E_VALUE", f"spice is {kind_of(value)}; expected a number from 0 to 1", id_=id_, column="spice")
    if not isinstance(candidate, int) or isinstance(candidate, bool) or candidate < 0:
        message = f"candidate is {kind_of(candidate)}; expected 0 for an item's first candidate, 1 for the next"
        raise LineError("E_VALUE", message, id_=id_, column="candidate")
    return SpiceRow(line, id_, candidate, float(value))


def _csv_spice_row(line: int, item: Mapping[str, object]) -> SpiceRow:
    numbers = {name: _number(item[name]) for name in ("spice", "candidate") if name in item}
    return _spice_row(line, {**item, **numbers})


def _number(cell: object) -> object:
    """Returns the number that a cell of a csv holds; the cell itself where it holds none."""
    for kind in (int, float):
        try:
            return kind(str(cell))
        except ValueError:
            continue
    return cell


def _id_of(item: Mapping[str, object]) -> str:
    id_ = check_text(_required(item, "id"), "id")
    if not id_:
        raise LineError("E_TYPE", "id is empty; expected the clip's id", column="id")
    return id_


def _required(item: Mapping[str, object], key: str, id_: str | None = None) -> object:
    if key not in item:
        names = ", ".join(shorten(name) for name in list(item)[:10]) or "no key"
        raise LineError("E_COLUMN", f"{key!r} is missing; found {names}", id_=id_, column=key)
    return item[key]


def check_text(value: object, column: str, id_: str | None = None) -> str:
    """Returns `value` if it is text that every later step can carry: a string, no NUL, no half of a surrogate pair.

    Raises:
        LineError: it is something else.
    """
    if not isinstance(value, str):
        hint = "write it in quotes" if isinstance(value, int | float) else ""
        raise LineError("E_TYPE", f"{column} is {kind_of(value)}; expected text", id_=id_, column=column, hint=hint)
    if "\0" in value:
        raise LineError("E_TYPE", f"{column} holds a NUL character: {shorten(value)}", id_=id_, column=column)
    if _SURROGATE.search(value):
        raise LineError("E_TYPE", f"{column} holds half of a surrogate pair: {shorten(value)}", id_=id_, column=column)
    return value


def kind_of(value: object) -> str:
    """Returns the JSON word for a value, with the value where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {shorten(value, 40)}"
    if isinstance(value, str):
        return f"the text {shorten(value, 40)}"
    return "a list" if isinstance(value, list) else "an object"


def scan_csv(
    lines: Iterable[bytes | Problem],
    columns: Sequence[str],
    parse: Callable[[int, Mapping[str, object]], Row],
    *,
    may_lack_header: bool = False,
    max_record_bytes: int | None = None,
    max_columns: int | None = None,
) -> Iterator[Row | Problem]:
    """Yields what `parse` makes of each record, or the problem that the record has; blank lines are passed over.

    Args:
        lines: with their ends; a `Problem` stands for a line that could not be read, and ends the reading.
        columns: what the header must name.
        parse: gets the 1-based line on which the record starts and its cells by column; raises `LineError`.
        may_lack_header: whether a first record of as many cells as `columns`, none of them a column's name, is data.
        max_record_bytes: of a longer record, and all that follows it, nothing is read.
        max_columns: a header that names more ends the reading.
    """
    record_bytes = 0

    def decoded() -> Iterator[str]:
        nonlocal record_bytes
        for raw in lines:
            if isinstance(raw, Problem):
                raise LineError(raw.code, raw.message, hint="the rest of the file was not read")
            record_bytes += len(raw)
            if max_record_bytes is not None and record_bytes > max_record_bytes:
                hint = "the rest of the file was not read; check the quotes"
                raise LineError("E_CSV", f"the record is longer than {max_record_bytes:,} bytes", hint=hint)
            # surrogateescape carries invalid bytes through the csv parser, so that they can be reported with their record
            yield raw.decode("utf-8", errors="surrogateescape")

    reader = csv.reader(decoded(), strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for fields in reader:
            line, start, record_bytes = start, reader.line_num + 1, 0
            if not fields:
                continue
            if header is None and may_lack_header and len(fields) == len(columns) and not set(columns) & set(fields):
                header = list(columns)
            elif header is None:
                header = fields
                problems = list(_header_problems(header, columns, line))
                if max_columns is not None and len(header) > max_columns:
                    message = f"the header names {len(header):,} columns; at most {max_columns:,} are taken"
                    problems.append(Problem("E_COLUMN", message, line=line))
                yield from problems
                if problems:
                    return
                continue
            try:
                yield parse(line, _csv_record(header, fields))
            except LineError as error:
                yield error.at(line)
    except LineError as error:
        yield error.at(start)
    except csv.Error as error:
        # nothing after broken quoting can be trusted: where a record ends is unknown
        yield Problem("E_CSV", f"not valid csv: {error}", line=start, hint="the rest of the file was not read; check the quotes")


def _header_problems(header: list[str], columns: Sequence[str], line: int) -> Iterable[Problem]:
    for name in columns:
        if header.count(name) != 1:
            came = "missing" if name not in header else f"there {header.count(name)} times"
            names = ", ".join(shorten(column) for column in header[:10])
            yield Problem(
                "E_COLUMN",
                f"the column {name!r} is {came}; found {names}",
                line=line,
                column=name,
                hint="the first line names the columns",
            )


def _csv_record(header: list[str], fields: list[str]) -> Mapping[str, object]:
    if len(fields) != len(header):
        raise LineError(
            "E_COLUMN",
            f"the record has {len(fields)} fields, the header has {len(header)}",
            hint="put texts that hold commas or quotes in double quotes",
        )
    if any(map(_SURROGATE.search, fields)):
        raise LineError("E_UTF8", "the record holds bytes that are not UTF-8", hint="save the file as UTF-8")
    return dict(zip(header, fields, strict=True))
