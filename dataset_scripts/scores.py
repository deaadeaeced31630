"""Scores of rows from a csv file, put into the column `scores`, and rows dropped whose score is too low.

- The file has a header with `id` and `score` (other columns are ignored), one line per row; `uac score-clips` writes such files.
- A `FILE.json` beside it with a `signature` names the producer; a file that it calls unfinished is refused.
- Two million ids take 100 MB (the ids themselves, a hash and a number each), and 360 MB while they are read. A match is a match
  of ids, not of hashes.
- A row is too low when its score is below the threshold; equal is kept. With a threshold, a row without a score is dropped too,
  under a rule of its own: nobody knows that it is good enough.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import schema
from .arrays import interleaved, joined_lists, struct
from .errors import InputError, Problem, shorten
from .texthash import Hashes, TextHasher

DEFAULT_NAME = "clap_similarity"
_LINES_AT_ONCE = 65_536
_KEPT_PROBLEMS = 1000  # the rest is counted

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScorePlan:
    """What a build does with scores; can be sent to another process.

    Attributes:
        name: what the column `scores` calls them.
        producer: what made them: a signature, or a file name.
        ids: the rows that have one, in the order of their hashes, each once.
        hashes: uint64[n], sorted.
        values: float64[n].
        min_score: rows below it are dropped; None for no dropping.
        keep_unscored: keep rows without a score although there is a threshold.
    """

    name: str
    producer: str
    ids: pa.StringArray
    hashes: Hashes
    values: Floats
    min_score: float | None = None
    keep_unscored: bool = False

    @property
    def low_rule(self) -> str:
        """The rule under which rows with too low a score are counted."""
        return f"score:{self.name}:below_{self.min_score!r}"

    @property
    def unscored_rule(self) -> str:
        """The rule under which rows without a score are counted."""
        return f"score:{self.name}:none"

    def describe(self) -> dict[str, Any]:
        """Returns what determines the rows that come out: names, threshold, and a digest of all ids and scores."""
        digest = hashlib.sha256(self.hashes.tobytes())
        digest.update(self.values.tobytes())
        return {
            "name": self.name,
            "producer": self.producer,
            "min_score": self.min_score,
            "keep_unscored": self.keep_unscored,
            "rows": len(self.values),
            "digest": digest.hexdigest()[:16],
        }

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.StringArray]:
        """Returns the rows with their score behind those that they have, and per row the rule that drops it, null for none."""
        place = self._places(batch["id"])
        is_scored = place >= 0
        n = batch.num_rows
        value = np.full(n, np.nan)
        value[is_scored] = self.values[place[is_scored]]
        made = struct(schema.SCORE, n, name=self.name, value=pa.array(value), producer=self.producer)
        scored = pa.StructArray.from_arrays(made.flatten(), fields=list(schema.SCORE), mask=pa.array(~is_scored))
        column = joined_lists([batch["scores"], interleaved([scored])])
        batch = batch.set_column(batch.schema.get_field_index("scores"), schema.SCHEMA.field("scores"), column)
        rule = np.full(n, -1, np.int64)
        if self.min_score is not None:
            rule[is_scored & (value < self.min_score)] = 0
            rule[~is_scored & (not self.keep_unscored)] = 1
        rules = pa.array([self.low_rule, self.unscored_rule], pa.string())
        return batch, rules.take(pa.array(rule, mask=rule < 0))

    def _places(self, ids: pa.StringArray) -> Places:
        """Returns int64[n]: where each id stands in the plan, -1 for those that do not."""
        found = np.full(len(ids), -1, np.int64)
        wanted = TextHasher().of(ids)
        at = np.searchsorted(self.hashes, wanted)
        left = np.arange(len(ids))
        while len(left):  # once, and once more for every id that shares its hash with another one
            left = left[at[left] < len(self.hashes)]
            left = left[self.hashes[at[left]] == wanted[left]]
            is_same = pc.equal(self.ids.take(pa.array(at[left])), ids.take(pa.array(left))).to_numpy(zero_copy_only=False)
            found[left[is_same]] = at[left[is_same]]
            left = left[~is_same]
            at[left] += 1
        return found


def score_plan(
    path: Path,
    *,
    name: str = DEFAULT_NAME,
    min_score: float | None = None,
    keep_unscored: bool = False,
    producer: str | None = None,
) -> ScorePlan:
    """Returns what a build has to do with the scores in a csv file.

    Args:
        path: the file.
        name: what the column `scores` calls them.
        min_score: drop rows below it.
        keep_unscored: keep rows without a score although there is a threshold.
        producer: what made the scores; None for the signature beside the file, or else its name.

    Raises:
        InputError: the file cannot be read, is not finished, holds no score, or has empty or repeated ids or cells that are no
            numbers; all of these are listed with their lines. Or the threshold is no number.
    """
    if min_score is not None and not math.isfinite(min_score):
        raise InputError(f"--min-score is {min_score}; expected a number.")
    made_by = _producer(path)  # a file that is not finished is told before it is read
    plan = _read(path, name)
    return replace(plan, producer=producer or made_by, min_score=min_score, keep_unscored=keep_unscored)


def _producer(path: Path) -> str:
    beside = path.with_name(f"{path.name}.json")
    try:
        known = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return path.name
    except (OSError, ValueError) as problem:
        raise InputError(
            f"{beside}, which says what made {path.name}, cannot be read ({problem}); repair or remove it."
        ) from None
    if not isinstance(known, dict):
        return path.name
    if known.get("complete") is False:
        raise InputError(f"{path} is not finished, says {beside.name}; run `uac score-clips` with the same --out again.")
    return str(known.get("signature") or path.name)


def _read(path: Path, name: str) -> ScorePlan:
    problems: list[Problem] = []
    chunks: list[pa.StringArray] = []
    ids: list[str] = []
    values, lines = array("d"), array("q")
    n_problems = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for line, id_, cell in _cells(path, stream):
                problem = _problem(line, id_, cell)
                if problem is not None:
                    n_problems += 1
                    if len(problems) < _KEPT_PROBLEMS:
                        problems.append(problem)
                    continue
                ids.append(str(id_))
                values.append(float(str(cell)))
                lines.append(line)
                if len(ids) == _LINES_AT_ONCE:
                    chunks.append(pa.array(ids, pa.string()))
                    ids.clear()
    except (OSError, UnicodeDecodeError, csv.Error) as problem_of_file:
        raise InputError(
            f"{path} cannot be read ({problem_of_file}); expected a csv file with id and score."
        ) from problem_of_file
    all_ids = pa.concat_arrays([*chunks, pa.array(ids, pa.string())])
    hashes = TextHasher().of(all_ids)
    order = np.argsort(hashes, kind="stable")  # the first of equal ids stays first
    repeated = list(_repeated(all_ids, hashes, order, np.frombuffer(lines, np.int64)))
    n_problems += len(repeated)
    if n_problems:
        problems = sorted([*problems, *repeated[:_KEPT_PROBLEMS]], key=lambda one: one.line or 0)
        raise InputError(f"{path}: {n_problems:,} {'problem' if n_problems == 1 else 'problems'}.", problems, n_problems)
    if not len(all_ids):
        raise InputError(f"{path} holds no score; expected lines `id,score` below the header.")
    return ScorePlan(name, path.name, all_ids.take(pa.array(order)), hashes[order], np.frombuffer(values, np.float64)[order])


def _cells(path: Path, stream: Any) -> Iterator[tuple[int, str | None, str | None]]:
    """Yields line, id and score of every record; None for cells that are not there."""
    reader = csv.reader(stream, strict=True)
    header = next(reader, [])
    if header.count("id") != 1 or header.count("score") != 1:
        came = ", ".join(shorten(cell, 40) for cell in header[:10]) or "nothing"
        raise InputError(f"{path} begins with the header {came}; expected the columns id and score, each once.")
    id_at, score_at = header.index("id"), header.index("score")
    start = reader.line_num + 1
    for row in reader:
        line, start = start, reader.line_num + 1
        if row:
            yield line, row[id_at] if id_at < len(row) else None, row[score_at] if score_at < len(row) else None


def _problem(line: int, id_: str | None, cell: str | None) -> Problem | None:
    if not id_:
        return Problem("E_TYPE", "id is empty; expected the row's id", line, column="id")
    try:
        is_number = cell is not None and math.isfinite(float(cell))
    except ValueError:
        is_number = False
    if not is_number:
        came = "missing" if cell is None else shorten(cell)
        return Problem("E_TYPE", f"score is {came}; expected a number", line, id_, column="score")
    return None


def _repeated(ids: pa.StringArray, hashes: Hashes, order: Places, lines: Places) -> Iterator[Problem]:
    """Yields the ids that came before, in the order of the file."""
    in_order = hashes[order]
    is_alike = np.concatenate([[False], in_order[1:] == in_order[:-1]]) if len(order) else np.zeros(0, bool)
    is_alike[:-1] |= is_alike[1:]
    first: dict[str, int] = {}
    for place in np.sort(order[is_alike]).tolist():
        id_, line = ids[place].as_py(), int(lines[place])
        if id_ in first:
            yield Problem("E_DUP_ID", f"id {shorten(id_)} came already on line {first[id_]}", line, id_, column="id")
        else:
            first[id_] = line
