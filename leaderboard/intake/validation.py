"""Everything that can be wrong with a predictions file, found in one pass.

One function, `validate`, stands behind the page, the API and the command line, so that all three report the same problems. It
never raises for what a file holds. Coverage must be complete: DATE and CIDEr-D depend on the whole pool, so a partial file is
never scored on the intersection. Messages speak of the submitter's own ids and texts only, never of a reference.

Texts come as `.jsonl`, `.csv` (both plain or `.gz`) or `.parquet` with the columns `id` and `caption` (`difference`,
`commonality`, `answer`), of benchmarks with several subtasks `subtask` too, or in MECAT's own forms: csv without a header
(`key,text`), jsonl of `{key: text}`, a file per subtask. The first line of a jsonl may be `{"uac": {...}}`: plain values such as
the model's commit, the prompt, the decoding parameters; parquet and safetensors hold that object as JSON in their metadata.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from ...dataset_scripts.errors import InputError, Problem, shorten
from ...evaluators.files import LineError, check_text, keyed_row, kind_of, scan_csv, scan_jsonl
from ..benchmark import Benchmark, BenchmarkItems
from ..boards.csv_text import problems_csv
from .bounded import EMBEDDING_FORMATS, TEXT_FORMATS, Limits, Refused, check_format, check_raw, ending_of, lines
from .bounded_parquet import BoundedParquet, is_text, text_values
from .embeddings import Embeddings, read_embeddings, read_note

__all__ = ["Limits", "ValidationReport", "bundle", "by_subtask", "validate"]

LISTED_MISSING_IDS = 20
SAME_CAPTION_SHARE = 0.5
# what a model repeats of its instruction when it does not answer; a caption that begins so is shown to its submitter
PROMPT_ECHO = re.compile(
    r"\s*(?:"
    r"describe (?:the|this|what)\b|please\b|(?:write|generate|give|provide) (?:me )?an? (?:[\w-]+ ){0,5}caption\b|"
    r"what (?:do you hear|can be heard) in\b|listen to (?:the|this)\b|caption(?: the| this)?\b[^.]{0,20}:|"
    r"###|<audio>|<\|[a-z_]+\|>|\[/?INST\]|</?s>|(?:user|assistant|system|human)\s*:"
    r")",
    re.IGNORECASE,
)
_HEADER = "uac"
_ECHO, _SHOWN = 60, 500
_LINES_PER_ROW = 10
_UNKNOWN_HINT = "ids are the dataset's `id`, its upstream key or its file name"


@dataclass(frozen=True)
class ValidationReport:
    """All that was found in one pass over a predictions file.

    Attributes:
        benchmark: id of the benchmark.
        file: name of the file; of several files their names.
        n_rows: rows that were read.
        problems: reasons for a rejection, at most 200, in file order; problems of the whole file come last.
        n_problems: how many there are in all.
        warnings: oddities that do not stop a submission.
        predictions: subtask -> item id -> text; complete exactly when there is no problem.
        embeddings: what a retrieval file holds; None where there is a problem, and for texts.
        note: the file's header values.
        n_ignored: rows about items that their subtask does not score.
    """

    benchmark: str
    file: str
    n_rows: int
    problems: tuple[Problem, ...]
    n_problems: int
    warnings: tuple[Problem, ...]
    predictions: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    embeddings: Embeddings | None = field(default=None, repr=False)
    note: Mapping[str, Any] = field(default_factory=dict)
    n_ignored: int = 0

    @property
    def is_valid(self) -> bool:
        """Tells whether the file can be submitted."""
        return self.n_problems == 0

    @property
    def n_predictions(self) -> int:
        """How many texts there are (of retrieval: clips)."""
        return len(self.embeddings.ids) if self.embeddings is not None else sum(map(len, self.predictions.values()))

    def raise_if_invalid(self) -> None:
        """Raises one error that lists the problems.

        Raises:
            InputError: the file has at least one problem.
        """
        if not self.is_valid:
            raise InputError(
                f"{self.file} cannot be submitted to {self.benchmark}: {self.n_problems:,} "
                f"{'problem' if self.n_problems == 1 else 'problems'} in {self.n_rows:,} rows.",
                self.problems,
                self.n_problems,
            )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values: all but the texts and the embeddings."""
        return {
            "benchmark": self.benchmark,
            "file": self.file,
            "is_valid": self.is_valid,
            "n_rows": self.n_rows,
            "n_predictions": self.n_predictions,
            "n_ignored": self.n_ignored,
            "n_problems": self.n_problems,
            "problems": [asdict(one) for one in self.problems],
            "warnings": [asdict(one) for one in self.warnings],
            "note": dict(self.note),
        }

    def to_csv(self) -> str:
        """Returns problems and then warnings as a table that spreadsheets can open: no cell is a formula."""
        return problems_csv(asdict(one) for one in (*self.problems, *self.warnings))


def validate(
    path: Path | Mapping[str, Path], items: BenchmarkItems, *, suffix: str | None = None, limits: Limits | None = None
) -> ValidationReport:
    """Reads predictions once and reports everything that keeps them from being scored.

    Args:
        path: the file, or one file per subtask.
        items: the items of the benchmark.
        suffix: the ending that tells the format, where the file is stored under another name.
        limits: how much is taken; None for `Limits()`.

    Raises:
        InputError: there is no such file.
    """
    limits = limits or Limits()
    files: Mapping[str, Path] | dict[None, Path] = {None: path} if isinstance(path, Path) else path
    size_bytes = sum(map(_size_bytes, files.values()))
    if not files:
        raise InputError("there is no file; expected one, or one per subtask.")
    run = _Run(items, limits)
    for subtask, file in files.items():
        run.read(file, subtask, ending_of(file.name if suffix is None else f"file{suffix}"), size_bytes)
    run.look_for_missing()
    return ValidationReport(
        benchmark=items.benchmark.id,
        file=", ".join(_plain(file.name) for file in files.values()),
        n_rows=run.n_rows,
        problems=run.findings.problems,
        n_problems=run.findings.total,
        warnings=tuple(run.warnings()),
        predictions=run.predictions,
        embeddings=run.embeddings,
        note=run.note,
        n_ignored=run.n_ignored,
    )


def max_bytes(benchmark: Benchmark, limits: Limits | None = None) -> int:
    """Returns the size of the largest file that a benchmark takes."""
    limits = limits or Limits()
    return limits.embedding_bytes if benchmark.task == "retrieval" else limits.raw_bytes


def is_taken(path: Path, ending: str, benchmark: Benchmark, limits: Limits | None = None) -> bool:
    """Tells whether a file is worth keeping: of a format that the benchmark takes, and no larger than it may be."""
    formats = EMBEDDING_FORMATS if benchmark.task == "retrieval" else TEXT_FORMATS
    return ending in formats and path.is_file() and path.stat().st_size <= max_bytes(benchmark, limits)


def by_subtask(files: Mapping[str, Path], subtasks: Iterable[str]) -> dict[str, Path]:
    """Returns the file of each subtask by their names, as `validate` and `bundle` take them.

    Args:
        files: name -> file. A name is that of a subtask, perhaps with `_caption`, and an ending: `long.csv`,
            `long_caption.jsonl`.
        subtasks: of the benchmark.

    Raises:
        InputError: a file is of no subtask, or a subtask has no file or two.
    """
    named = {re.escape(subtask): subtask for subtask in subtasks}
    endings = "|".join(map(re.escape, TEXT_FORMATS))
    pattern = re.compile(rf"({'|'.join(named)})(?:_caption)?(?:{endings})", re.IGNORECASE)
    found: dict[str, list[str]] = {subtask: [] for subtask in named.values()}
    problems = []
    for name in files:
        if match := pattern.fullmatch(name):
            found[match.group(1).lower()].append(name)
        else:
            problems.append(Problem("E_SUBTASK", f"{shorten(name)} is named after no subtask"))
    for subtask, names in found.items():
        if len(names) != 1:
            came = ", ".join(map(shorten, names)) or "no file"
            problems.append(Problem("E_SUBTASK", f"{came} for the subtask {subtask!r}; expected one, such as {subtask}.csv"))
    if problems:
        raise InputError(f"{len(files)} files do not make one submission; expected one per subtask.", problems)
    return {subtask: files[names[0]] for subtask, names in found.items()}


def bundle(files: Mapping[str, Path], *, column: str = "caption", limits: Limits | None = None) -> bytes:
    """Returns one jsonl with a column `subtask` from a file per subtask; equal files give equal bytes.

    Ids and texts stay as they are; whether they are those of a benchmark is for `validate` to say, of the files or of the bundle.

    Args:
        files: subtask -> file.
        column: what the texts are called.
        limits: how much is taken; None for `Limits()`.

    Raises:
        InputError: a file is not there, damaged, or has a row that is none; or they are too much for one file.
    """
    limits = limits or Limits()
    findings = _Findings(limits)
    note: dict[str, Any] = {}
    found: list[bytes] = []
    n_bytes = 0
    for subtask, file in files.items():
        _size_bytes(file)
        findings.file = _plain(file.name)
        try:
            for row in _text_rows(file, ending_of(file.name), column, limits, limits.raw_bytes):
                if isinstance(row, Problem):
                    findings.add(row)
                elif isinstance(row, _Note):
                    note = note or dict(row.values)
                else:
                    found.append(_json_line({"id": row.id, "subtask": subtask, column: row.text}))
                    n_bytes += len(found[-1])
                    check_raw(n_bytes, limits.raw_bytes)
        except Refused as refused:
            findings.add(refused.problem)
    if findings.total:
        raise InputError("the files do not make one submission.", findings.problems, findings.total)
    return b"".join(([_json_line({_HEADER: note})] if note else []) + found)


def _json_line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _size_bytes(file: Path) -> int:
    if not file.is_file():
        raise InputError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}; expected a file of predictions.")
    return file.stat().st_size


def _plain(text: str) -> str:
    """Returns text that no terminal and no encoder stumbles over, cut where it is very long."""
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


class _Findings:
    """Counts every problem and keeps the first ones, so that a hostile file cannot fill the memory."""

    def __init__(self, limits: Limits) -> None:
        self.file = ""  # named in front of messages, where there are several
        self.total = 0
        self._limit = limits.problems
        self._of_lines: list[Problem] = []
        self._of_files: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was kept: problems of whole files last, but never crowded out."""
        return (*self._of_lines[: self._limit - len(self._of_files)], *self._of_files)

    def add(self, problem: Problem) -> None:
        """Takes a problem in."""
        self.total += 1
        kept = self._of_files if problem.line is None else self._of_lines
        if len(kept) < self._limit:
            message = f"{self.file}: {problem.message}" if self.file else problem.message
            id_, column = (None if one is None else _plain(one) for one in (problem.id, problem.column))
            kept.append(replace(problem, message=_plain(message), id=id_, hint=_plain(problem.hint), column=column))


@dataclass(frozen=True)
class _Row:
    """A row as it came: `n_texts` where it holds several captions, `subtask` where it names one."""

    line: int
    id: str
    text: str
    subtask: str | None
    n_texts: int = 1


@dataclass(frozen=True)
class _Note:
    """The header values of a file."""

    values: Mapping[str, Any]


class _Run:
    """One validation: what was read so far, and what was found."""

    def __init__(self, items: BenchmarkItems, limits: Limits) -> None:
        self.findings = _Findings(limits)
        self.n_rows = self.n_ignored = 0
        self.note: Mapping[str, Any] = {}
        self.embeddings: Embeddings | None = None
        self.predictions: dict[str, dict[str, str]] = {}
        self._items, self._limits = items, limits
        self._max_rows = limits.rows_per_item * items.n_predictions
        self._column, self._id = items.benchmark.column, items.benchmark.id
        self._noun = {"mecat_qa": "questions"}.get(items.benchmark.task, "clips" if self._column == "caption" else "pairs")
        self._was_read = True
        self._lines: dict[str, dict[str, int]] = {}
        self._n_echoes = 0
        self._echo: tuple[int, str, str] | None = None
        if items.benchmark.task != "retrieval":
            self.predictions = {subtask: {} for subtask in items.subtasks}
            self._lines = {subtask: {} for subtask in items.subtasks}

    def read(self, file: Path, subtask: str | None, ending: str, size_bytes: int) -> None:
        """Reads one of the files, of which all together have `size_bytes`."""
        self.findings.file = _plain(file.name) if subtask is not None else ""
        try:
            if subtask is not None and subtask not in self._lines:
                expected = ", ".join(self._lines) or "one file"
                raise Refused("E_SUBTASK", f"{self._id} has no subtask {shorten(subtask)}; expected {expected}")
            if self._items.benchmark.task == "retrieval":
                self._read_embeddings(file, ending, size_bytes)
                return
            check_raw(size_bytes, self._limits.raw_bytes)
            for row in _text_rows(file, ending, self._column, self._limits, self._max_rows):
                if isinstance(row, _Note):
                    self.note = self.note or row.values
                    continue
                self.n_rows += 1
                if self.n_rows > self._max_rows:
                    message = f"more than {self._max_rows:,} rows; the benchmark has {self._items.n_predictions:,} {self._noun}"
                    raise Refused("E_ROWS", message, "the rest of the file was not read")
                if isinstance(row, Problem):
                    self.findings.add(row)
                else:
                    self._take(row, subtask)
        except Refused as refused:
            self.findings.add(refused.problem)
            self._was_read = False

    def _read_embeddings(self, file: Path, ending: str, size_bytes: int) -> None:
        self._was_read = False  # what is missing is told there
        with file.open("rb") as stream:
            check_format(stream, ending, EMBEDDING_FORMATS)
            check_raw(size_bytes, self._limits.embedding_bytes)
            found, self.n_rows, note = read_embeddings(file, stream, ending, self._items, self._limits, self.findings.add)
        try:
            self.note = _checked_note(note, self._limits)
        except LineError as error:
            self.findings.add(replace(error.at(0), line=None))
        self.embeddings = found if not self.findings.total else None

    def _take(self, row: _Row, subtask: str | None) -> None:
        """Takes a row in, or says why not."""

        def problem(code: str, message: str, hint: str = "", column: str | None = None) -> None:
            self.findings.add(Problem(code, message, row.line, row.id, hint, column))

        id_ = self._items.resolve(row.id)
        if id_ is None:
            problem("E_UNKNOWN_ID", f"{shorten(row.id)} is none of the {self._noun} of {self._id}", _UNKNOWN_HINT, "id")
            return
        if subtask is None and len(self._lines) == 1:
            (chosen,) = self._lines
        else:
            expected = ", ".join(self._lines)
            if row.subtask is None and subtask is None:
                hint = "add the column, or hand in a file per subtask: long.csv, short.csv, …"
                problem("E_SUBTASK", f"'subtask' is missing; expected one of {expected}", hint, "subtask")
                return
            chosen = row.subtask or subtask or ""
            if chosen not in self._lines or subtask not in {None, chosen}:
                expected = expected if subtask is None else subtask
                problem("E_SUBTASK", f"the subtask is {shorten(chosen)}; expected {expected}", column="subtask")
                return
        if id_ not in self._items.wanted[chosen]:
            self.n_ignored += 1
            return
        first_line = self._lines[chosen].setdefault(id_, row.line)
        if first_line != row.line:
            hint = f"keep one {self._column} per {self._noun[:-1]}"
            problem("E_DUP_ID", f"{shorten(row.id)} stands on line {first_line} already", hint, "id")
            return
        if row.n_texts > 1:
            message = f"{self._column}s holds {row.n_texts:,} texts; a board takes one {self._column} per {self._noun[:-1]}"
            problem("E_COUNT", message, "keep one of them", f"{self._column}s")
        if not row.text.strip():
            hint = f"write one for each of the {self._noun}"
            problem("E_EMPTY", f"the {self._column} is empty", hint, self._column)
        elif len(row.text) > (most := self._limits.caption_characters):
            message = f"the {self._column} has {len(row.text):,} characters; at most {most:,} are taken"
            problem("E_TOO_LONG", message, column=self._column)
            return
        self.predictions[chosen][id_] = row.text
        if PROMPT_ECHO.match(row.text) or row.text.strip() == self._prompt:
            self._n_echoes += 1
            where = f" in {self.findings.file}" if self.findings.file else ""
            self._echo = self._echo or (
                row.line,
                _plain(row.id),
                f"like an instruction{where}, such as {shorten(row.text, _ECHO)}",
            )

    @property
    def _prompt(self) -> object:
        return self.note.get("prompt")

    def look_for_missing(self) -> None:
        """Adds what has no text, once all files were read to their ends."""
        self.findings.file = ""
        for subtask, lines_ in self._lines.items() if self._was_read else ():
            wanted = self._items.wanted[subtask]
            missing = [id_ for id_ in wanted if id_ not in lines_]
            if missing:
                listed = ", ".join(missing[:LISTED_MISSING_IDS]) + (" …" if len(missing) > LISTED_MISSING_IDS else "")
                message = f"{len(missing):,} of {len(wanted):,} {self._noun} have no {self._named(subtask)}: {listed}"
                hint = f"each of the {self._noun} of the benchmark needs one {self._column}"
                self.findings.add(Problem("E_MISSING_ID", message, hint=hint))

    def warnings(self) -> Iterator[Problem]:
        """Yields the oddities."""
        for subtask, texts in self.predictions.items():
            for text, count in Counter(texts.values()).most_common(1):
                if count > 1 and count > SAME_CAPTION_SHARE * len(texts):
                    what = self._named(subtask)
                    message = f"{count:,} of {len(texts):,} {self._noun} have the same {what} {shorten(text, _ECHO)}"
                    yield Problem("W_SAME_CAPTION", message)
        if self._echo is not None:
            line, id_, message = self._echo
            message = f"{self._n_echoes:,} {self._column}{'s begin' if self._n_echoes > 1 else ' begins'} {message}"
            yield Problem("W_PROMPT_ECHO", message, line, id_, "check that the answer alone was kept", self._column)

    def _named(self, subtask: str) -> str:
        return self._column if len(self._lines) == 1 else f"{subtask} {self._column}"


def _text_rows(file: Path, ending: str, column: str, limits: Limits, max_rows: int) -> Iterator[_Row | _Note | Problem]:
    """Yields the rows of a file of texts, and first its header values where it has some.

    Raises:
        Refused: no more of it can be read.
    """

    def parse(line: int, item: Mapping[str, object]) -> _Row | _Note:
        if line == 1 and set(item) == {_HEADER} and isinstance(item[_HEADER], dict):
            return _Note(_checked_note(item[_HEADER], limits))
        return _row(line, item, column)

    with file.open("rb") as stream:
        check_format(stream, ending, TEXT_FORMATS)
        if ending == ".parquet":
            yield from _parquet_rows(stream, column, limits, max_rows)
            return
        size_bytes = file.stat().st_size
        max_lines = _LINES_PER_ROW * max_rows + 1_000
        cut = lines(stream, is_gzip=ending.endswith(".gz"), size_bytes=size_bytes, limits=limits, max_lines=max_lines)
        if ending.startswith(".jsonl"):
            yield from scan_jsonl(cut, parse)
        else:
            bounds = {"max_record_bytes": limits.line_bytes, "max_columns": limits.columns}
            yield from scan_csv(cut, ("id", column), parse, may_lack_header=True, **bounds)


def _row(line: int, item: Mapping[str, object], column: str) -> _Row:
    n_texts = 1
    if column not in item and isinstance(texts := item.get(f"{column}s"), list) and "id" in item and texts:
        item, n_texts = {**item, column: texts[0]}, len(texts)
    row = keyed_row(line, item, column)
    subtask = item.get("subtask") if "id" in item else None
    if subtask is not None:
        try:
            subtask = check_text(subtask, "subtask", row.id)
        except LineError as error:
            raise LineError("E_SUBTASK", error.message, id_=row.id, column="subtask") from None
    return _Row(line, row.id, row.caption, subtask, n_texts)


def _parquet_rows(stream: IO[bytes], column: str, limits: Limits, max_rows: int) -> Iterator[_Row | _Note | Problem]:
    file = BoundedParquet(stream, limits, limits.inflated_bytes, max_rows, ("id", "subtask", column))
    try:
        note = _checked_note(read_note(file.key_values.get(_HEADER.encode()), limits), limits)
    except LineError as error:
        raise Refused(error.code, error.message, error.hint) from None
    if note:
        yield _Note(note)
    names = file.schema.names
    chosen = ["id", *(["subtask"] if "subtask" in names else []), column]
    for name in chosen:
        if names.count(name) != 1:
            came = "missing" if name not in names else f"there {names.count(name)} times"
            raise Refused("E_COLUMN", f"the column {name!r} is {came}; found {', '.join(map(shorten, names[:10])) or 'none'}")
        if not is_text(kind := file.schema.field(name).type):
            raise Refused("E_TYPE", f"the column {name!r} is {str(kind)[:80]}; expected text", "flat columns of texts are taken")
    line = 0
    for table in file.row_groups(chosen):
        for cells in zip(*(text_values(table.column(name)) for name in chosen), strict=True):
            line += 1
            try:
                item = dict(zip(chosen, cells, strict=True))
                _check_utf8(item)
                yield _row(line, item, column)
            except LineError as error:
                yield error.at(line)


def _check_utf8(item: Mapping[str, object]) -> None:
    for name, text in item.items():
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise LineError("E_UTF8", f"{name} holds bytes that are not UTF-8", column=name) from None


def _checked_note(values: object, limits: Limits) -> dict[str, Any]:
    """Returns header values that can be stored and shown.

    Raises:
        LineError: one is no plain value, or they are too many.
    """
    expected = "texts, numbers, true, false or null"
    if not isinstance(values, dict):
        raise LineError("E_TYPE", f"{_HEADER} is {kind_of(values)}; expected an object of {expected}", column=_HEADER)
    for key, value in values.items():
        check_text(key, f"a key of {_HEADER}")
        if isinstance(value, str):
            check_text(value, f"{_HEADER}: {shorten(key, 40)}")
        elif (
            isinstance(value, list | dict)
            or (isinstance(value, float) and not math.isfinite(value))
            or (isinstance(value, int) and abs(value) >= 2**63)
        ):
            message = f"{shorten(key, 40)} of {_HEADER} is {kind_of(value)}; expected {expected}"
            raise LineError("E_TYPE", message, column=_HEADER)
    if (size_bytes := len(json.dumps(values).encode())) > limits.note_bytes:
        message = f"{_HEADER} has {size_bytes:,} bytes; at most {limits.note_bytes:,} are taken"
        raise LineError("E_TOO_BIG", message, column=_HEADER)
    return values
