"""Scores in the Hub's own format, `.eval_results/*.yaml` in a model's repository: written from a board, and read.

A task is named after benchmark, version and metric, `audiocaps-test_v1_cider_d`, and its value is in the metric's native range.
What is read is a report by the system's authors: nobody here measured it, and nothing here ranks it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...dataset_scripts.errors import InputError, Problem, UnknownNameError, shorten
from ...evaluators.metric import METRICS
from ..benchmark import RETRIEVAL_METRICS, Benchmark
from ..storage.records import ResultRow
from .ranking import Board, BoardRow

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

# the dataset repository whose leaderboard the entries are for, where a hub names no other
DATASET_ID = "unified-audiocaps/unified-audiocaps"
MAX_BYTES = 64 * 1024
MAX_ENTRIES = 500
MAX_DEPTH = 8
MAX_CHARACTERS = 1_000  # of a text
SELF_REPORTED = "self-reported"
_KEYS = ("dataset", "value", "source", "notes", "verifyToken")
_TASK = re.compile(r"([a-z0-9-]+)_v([1-9][0-9]{0,5})_([a-z0-9_]+)")
_DIGEST = re.compile(r"(?:^|\|)digest:([0-9a-f]{8})(?:\||$)")


def task_id(benchmark: Benchmark, metric: str) -> str:
    """Returns the name of a task: benchmark, version and metric."""
    return f"{benchmark.id}_v{benchmark.version}_{metric}"


# -- out -----------------------------------------------------------------------------------------------------------------------


def eval_results_yaml(board: Board, row: BoardRow, *, dataset_id: str = DATASET_ID, source_url: str = "") -> str:
    """Returns what a model's repository may hold as `.eval_results/<benchmark>.yaml`: an entry per metric that was scored.

    Args:
        board: an overall board.
        row: a row of it.
        dataset_id: the repository on the Hub that holds the benchmark.
        source_url: the page of the board, so that readers can check; may be empty.

    Raises:
        InputError: the scores are reported, not measured here, or only those of a group of items; or there are none.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    if board.scope:
        raise InputError(f"the board shows {board.scope} only; the Hub's format takes overall scores: leave out --scope.")
    if row.provenance != "verified":
        raise InputError(f"the scores of {shorten(row.system.name)} are reported by its authors; only scores made here leave so.")
    scored = [column for column in board.columns if column.name == column.metric and column.name in row.values]
    if not scored:
        raise InputError(f"{shorten(row.system.name)} has no scores under the signatures that the board shows.")
    source = {"source_url": source_url, "source_name": "unified-audiocaps"} if source_url else {}
    entries = []
    for column in scored:
        low, high = row.intervals.get(column.name, (None, None))
        notes = {
            "digest": board.benchmark.digest,
            "interval": None if low is None or high is None else f"{low:.6g} to {high:.6g}",
            "signature": column.digest,
            "submission": row.submission_id,
        }
        entries.append(
            EvalResultEntry(
                dataset_id=dataset_id,
                task_id=task_id(board.benchmark, column.name),
                value=row.values[column.name],
                date=datetime.fromtimestamp(row.submitted_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                notes="|".join(f"{key}:{value}" for key, value in notes.items() if value is not None),
                **source,
            )
        )
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True))


# -- in ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reported:
    """What one file reports about one benchmark.

    Attributes:
        benchmark: what it is about.
        rows: its numbers, as the store takes them.
        note: where they come from, for the submission.
    """

    benchmark: Benchmark
    rows: tuple[ResultRow, ...]
    note: dict[str, Any]


def eval_results_files(path: Path) -> list[Path]:
    """Returns the files that a path stands for: itself, or the yaml files of a folder.

    Raises:
        InputError: there is none.
    """
    if not path.is_dir():
        return [path]
    if found := sorted([*path.glob("*.yaml"), *path.glob("*.yml")]):
        return found
    raise InputError(f"{path} holds no yaml file; expected a model's folder .eval_results, or one file of it.")


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of a file of entries, one more than allowed at most.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def parse_eval_results(content: bytes, name: str = "the file") -> list[EvalResultEntry]:
    """Returns the entries that a file's bytes hold.

    Raises:
        InputError: they are too many, no yaml, use anchors (which can be blown up), or hold something else than such entries.
    """
    from huggingface_hub import parse_eval_result_entries

    values = _yaml(content, name)
    if not isinstance(values, list) or not values:
        raise InputError(f"{name} holds {type(values).__name__}; expected a list of entries with dataset and value.")
    if len(values) > MAX_ENTRIES:
        raise InputError(f"{name} has {len(values):,} entries; at most {MAX_ENTRIES:,} are taken.")
    problems = [problem for number, value in enumerate(values, 1) for problem in _wrong(value, number)]
    if problems:
        raise InputError(f"{name} cannot be read as .eval_results of the Hub.", problems)
    return [entry for value in values for entry in parse_eval_result_entries([_plain(value)])]


def _yaml(content: bytes, name: str) -> Any:
    import yaml

    if len(content) > MAX_BYTES:
        raise InputError(f"{name} has more than {MAX_BYTES:,} bytes; expected a list of scores.")
    try:
        text = content.decode("utf-8-sig")
        depth = 0
        # event by event: what is nested deeply takes the reader ages, and is never read to its end
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise InputError(f"{name} is nested deeper than {MAX_DEPTH} levels; expected a list of entries.")
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"{name} uses an alias (*name); write the values out.")
        return yaml.safe_load(text)
    except InputError:  # which is a ValueError
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8: byte {error.start:,} cannot be read.") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        raise InputError(f"{name} is no yaml{f', line {where.line + 1}' if where else ''}; expected a list of entries.") from None
    except ValueError as error:  # a date such as 2024-13-45 is a ValueError
        raise InputError(f"{name} cannot be read as yaml: {shorten(str(error))}.") from None


def _wrong(value: Any, number: int) -> Iterable[Problem]:
    def wrong(column: str, came: object, expected: str) -> Problem:
        return Problem("E_EVAL_RESULTS", f"entry {number}: {column} is {shorten(came)}; expected {expected}", column=column)

    if not isinstance(value, dict):
        yield wrong("entry", value, "dataset and value")
        return
    dataset, source = value.get("dataset"), value.get("source")
    if not isinstance(dataset, dict):
        yield wrong("dataset", dataset, "id and task_id")
    else:
        for key in ("id", "task_id"):
            if not _is_text(dataset.get(key)) or not dataset[key].strip():
                yield wrong(f"dataset.{key}", dataset.get(key), "a name")
        if not _is_text_or_none(dataset.get("revision")):
            yield wrong("dataset.revision", dataset["revision"], "text")
    if "value" not in value:
        yield wrong("value", None, "a number")
    if not isinstance(source, dict | None):
        yield wrong("source", source, "url, and name, user or org")
    elif source is not None:
        for key, text in source.items():
            if not _is_text_or_none(text):
                yield wrong(f"source.{key}", text, f"up to {MAX_CHARACTERS:,} printable characters")
        if not str(source.get("url", "")).startswith(("https://", "http://")):
            yield wrong("source.url", source.get("url"), "an address that begins with https://")
    for key in ("date", "notes", "verifyToken"):
        if not _is_text_or_none(value.get(key)) and not (key == "date" and isinstance(value[key], date)):
            yield wrong(key, value[key], f"up to {MAX_CHARACTERS:,} printable characters")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CHARACTERS and value.replace("\n", " ").isprintable()


def _is_text_or_none(value: object) -> bool:
    return value is None or _is_text(value)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Returns what was checked of an entry, its date as text: yaml has dates of its own."""
    day = value.get("date")
    return {key: value.get(key) for key in _KEYS} | {"date": day.isoformat() if isinstance(day, date) else day}


def reported(entries: Sequence[EvalResultEntry], find: Callable[[str, int], Benchmark], sha256: str) -> list[Reported]:
    """Returns what entries report about benchmarks of a hub; those about other datasets are left out.

    Args:
        entries: of one file.
        find: returns a benchmark by id and version, or raises `UnknownNameError`.
        sha256: digest of the file's bytes.

    Raises:
        InputError: no entry is about a benchmark of the hub, or one names no metric of it, another digest, a value that the
            metric cannot have, or a score that came before; all problems at once.
    """
    problems: list[Problem] = []
    found: dict[Benchmark, dict[str, tuple[ResultRow, EvalResultEntry]]] = {}
    for number, entry in enumerate(entries, 1):
        named = _TASK.fullmatch(entry.task_id)
        if named is None:
            continue
        try:
            benchmark = find(named[1], int(named[2]))
        except UnknownNameError:
            continue
        metric = named[3]
        rows = found.setdefault(benchmark, {})
        if trouble := _trouble(entry, benchmark, metric, metric in rows):
            problems.append(Problem("E_EVAL_RESULTS", f"entry {number}: {trouble}", id=entry.task_id))
        else:
            rows[metric] = (_result(entry, benchmark, metric, sha256), entry)
    if problems:
        raise InputError("the reported scores cannot be taken.", problems)
    if not found:
        raise InputError(
            f"none of {len(entries):,} {'entry' if len(entries) == 1 else 'entries'} is about a benchmark of this hub; expected "
            "a dataset.task_id of benchmark, version and metric, such as audiocaps-test_v1_cider_d. `uac benchmarks` lists them."
        )
    return [
        Reported(one, tuple(row for row, _ in rows.values()), {"eval_results": [_about(entry) for _, entry in rows.values()]})
        for one, rows in found.items()
    ]


def _trouble(entry: EvalResultEntry, benchmark: Benchmark, metric: str, is_known: bool) -> str:
    """Returns why an entry cannot be taken, empty if it can."""
    if metric not in benchmark.metrics:
        return f"{benchmark.id} has no metric {shorten(metric)}; expected {', '.join(benchmark.metrics)}"
    if is_known:
        return f"{metric} of {benchmark.id} was reported before; keep one of them"
    digest = _DIGEST.search(entry.notes or "")
    if digest and digest[1] != benchmark.digest:
        return f"it was measured on a {benchmark.id} of digest {digest[1]}; here it is {benchmark.digest}"
    low, high = _range(metric)
    value = entry.value
    # no number is as large as the second bound: infinity and integers beyond all floats are told like others
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= min(high, 1e15):
        return f"value is {shorten(value)}; expected a number from {low:g} to {high:g}, not times 100"
    return ""


def _range(metric: str) -> tuple[float, float]:
    return (0.0, 1.0) if metric in RETRIEVAL_METRICS else METRICS.get(metric).value_range


def _result(entry: EvalResultEntry, benchmark: Benchmark, metric: str, sha256: str) -> ResultRow:
    """Returns a reported score; its signature says that nobody knows how it was measured, and never equals one of ours."""
    source = (entry.source_url or "").replace("|", "%7C")
    parts = [SELF_REPORTED, f"benchmark:{benchmark.digest}", f"file:{sha256[:16]}", f"metric:{metric}", f"source:{source}"]
    signature = "|".join(parts)
    digest = hashlib.sha256(signature.encode()).hexdigest()[:8]
    # how many items were scored is not said
    return ResultRow(metric, metric, float(entry.value), 0, signature, digest, 0.0, "")


def _about(entry: EvalResultEntry) -> dict[str, Any]:
    """Returns what an entry says of itself, without tokens."""
    values = {one.name: getattr(entry, one.name) for one in fields(entry)}
    return {key: value for key, value in values.items() if value is not None and key != "verify_token"}
