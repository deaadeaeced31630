"""The validator (short form)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..dataset_scripts.errors import InputError, Problem
from ..evaluators.files import scan_predictions
from .benchmark import Benchmark, BenchmarkItems

MAX_BYTES = 64 * 2**20
MAX_CAPTION_CHARACTERS = 4_000
MAX_ROWS_PER_ITEM = 5
MAX_PROBLEMS = 200
LISTED_MISSING_IDS = 20
SAME_CAPTION_SHARE = 0.5


@dataclass(frozen=True)
class Limits:
    def max_bytes(self, benchmark: Benchmark) -> int:
        return MAX_BYTES


@dataclass(frozen=True)
class Embeddings:
    ids: list[str]
    text: Any
    audio: Any
    scores: Any


def ending_of(path: Path) -> str:
    return "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])


@dataclass(frozen=True)
class ValidationReport:
    """All that was found in one pass over a predictions file.

    Attributes:
        benchmark: id of the benchmark.
        file: name of the file.
        n_rows: rows that could be read.
        problems: reasons for a rejection, at most 200, in file order; problems of the whole file come last.
        n_problems: how many there are in all.
        warnings: oddities that do not stop a submission.
        predictions: clip id -> caption; complete exactly when there is no problem.
    """

    benchmark: str
    file: str
    n_rows: int
    problems: tuple[Problem, ...]
    n_problems: int
    warnings: tuple[Problem, ...]
    predictions: dict[str, dict[str, str]]
    note: dict[str, Any] = field(default_factory=dict)
    embeddings: Embeddings | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "file": self.file,
            "n_rows": self.n_rows,
            "n_problems": self.n_problems,
            "is_valid": self.is_valid,
            "problems": [vars(p) for p in self.problems],
            "warnings": [vars(p) for p in self.warnings],
        }

    def to_csv(self) -> str:
        """Returns the problems as csv; cells that a spreadsheet would compute are prefixed."""
        import csv
        import io

        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow(["line", "code", "id", "column", "problem", "hint"])
        for p in self.problems:
            cells = ["" if one is None else str(one) for one in (p.line, p.code, p.id, p.column, p.message, p.hint)]
            writer.writerow([f"'{one}" if one.startswith(tuple("=+-@\t\r")) else one for one in cells])
        return stream.getvalue()

    @property
    def is_valid(self) -> bool:
        """Tells whether the file can be submitted."""
        return self.n_problems == 0

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


class _Findings:
    """Counts every problem and keeps the first ones, so that a hostile file cannot fill the memory."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.total = 0

    def add(self, *problems: Problem) -> None:
        self.total += len(problems)
        self.problems.extend(problems[: MAX_PROBLEMS - len(self.problems)])


def validate(path: Path, items: BenchmarkItems, *, suffix: str | None = None) -> ValidationReport:
    """Reads a predictions file once and reports everything that keeps it from being scored.

    Args:
        path: `.jsonl`, `.jsonl.gz` or `.csv` with the columns `id` and `caption`.
        items: the clips of the benchmark.

    Raises:
        InputError: the file as a whole cannot be read (missing, unknown kind, cut archive).
    """
    findings, warnings = _Findings(), list[Problem]()
    lines: dict[str, int] = {}
    predictions: dict[str, str] = {}
    n_rows = 0
    if (size_bytes := path.stat().st_size if path.is_file() else 0) > MAX_BYTES:
        findings.add(Problem("E_TOO_BIG", f"the file has {size_bytes:,} bytes; at most {MAX_BYTES:,} are taken"))
        return ValidationReport(items.benchmark.id, path.name, 0, tuple(findings.problems), findings.total, (), {})
    row_limit = MAX_ROWS_PER_ITEM * len(items.references)
    for row in scan_predictions(path):
        n_rows += 1
        if n_rows > row_limit:
            findings.add(Problem("E_ROWS", f"more than {row_limit:,} rows; the benchmark has {len(items.references):,} clips"))
            break
        if isinstance(row, Problem):
            findings.add(row)
            continue
        clip_id = items.resolve(row.id)
        if clip_id is None:
            hint = "ids are the dataset's `id`, its upstream key or its file name"
            findings.add(Problem("E_UNKNOWN_ID", f"{row.id!r} is no clip of {items.benchmark.id}", row.line, row.id, hint, "id"))
            continue
        if clip_id in lines:
            message = f"{row.id!r} stands on line {lines[clip_id]} already"
            findings.add(Problem("E_DUP_ID", message, row.line, row.id, "keep one caption per clip", "id"))
            continue
        lines[clip_id] = row.line
        findings.add(*_caption_problems(row.caption, row.line, row.id))
        if row.alternatives:
            message = f"captions holds {len(row.alternatives) + 1} texts; a board takes one caption per clip"
            findings.add(Problem("E_COUNT", message, row.line, row.id, "keep one of them", "captions"))
        predictions[clip_id] = row.caption
    missing = [clip_id for clip_id in items.references if clip_id not in lines]
    if missing:
        listed = ", ".join(missing[:LISTED_MISSING_IDS]) + (" …" if len(missing) > LISTED_MISSING_IDS else "")
        message = f"{len(missing):,} of {len(items.references):,} clips have no caption: {listed}"
        findings.add(Problem("E_MISSING_ID", message, hint="every clip of the benchmark needs one caption"))
    warnings.extend(_same_caption(predictions.values()))
    return ValidationReport(
        items.benchmark.id,
        path.name,
        n_rows,
        tuple(findings.problems),
        findings.total,
        tuple(warnings),
        {items.subtasks[0]: predictions},
    )


def _caption_problems(caption: str, line: int, clip_id: str) -> Iterable[Problem]:
    if not caption.strip():
        yield Problem("E_EMPTY", "the caption is empty", line, clip_id, "write a caption for every clip", "caption")
    elif len(caption) > MAX_CAPTION_CHARACTERS:
        message = f"the caption has {len(caption):,} characters; at most {MAX_CAPTION_CHARACTERS:,} are taken"
        yield Problem("E_TOO_LONG", message, line, clip_id, column="caption")


def _same_caption(captions: Iterable[str]) -> Iterable[Problem]:
    counts = Counter(captions)
    if not counts:
        return
    text, count = counts.most_common(1)[0]
    total = counts.total()
    if count > 1 and count > SAME_CAPTION_SHARE * total:
        yield Problem("W_SAME_CAPTION", f"{count:,} of {total:,} clips have the same caption {text[:60]!r}")
