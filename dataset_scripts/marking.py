"""What a build does about rows that other sets hold too, and about rows with low scores: which it marks, and which it drops.

A plan is made before the build and goes to every process; what it holds is part of what determines the bytes.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import schema
from .arrays import lists, struct, text
from .built import BuiltSet, built_set
from .errors import InputError
from .manifest import built_configs, read_manifest
from .overlap import LEVELS, Index, Integers, Matches, Places, places, places_of
from .scores import ScorePlan

EVALUATION_SPLITS = ("test", "validation", "evaluation", "eval")


@dataclass(frozen=True)
class Exclusion:
    """A set whose sounds a build leaves out.

    Attributes:
        name: `config` or `config/split`.
        level: the weakest level that is left out.
    """

    name: str
    level: str = LEVELS[0]

    @classmethod
    def parse(cls, written: str) -> Exclusion:
        """Returns what `config/split` or `config/split:level` says.

        Raises:
            InputError: no such level.

        >>> Exclusion.parse("audiocaps/test:segment")
        Exclusion(name='audiocaps/test', level='segment')
        """
        name, _, level = written.strip().partition(":")
        if level and level not in LEVELS:
            raise InputError(f"{written!r} asks for level {level!r}; expected one of {', '.join(LEVELS)}.")
        return cls(name, level or LEVELS[0])

    def reaches(self, level: Integers) -> NDArray[np.bool_]:
        """Returns which matches of these levels are strong enough to be left out."""
        found: NDArray[np.bool_] = level > LEVELS.index(self.level)
        return found

    @property
    def rule(self) -> str:
        """The rule under which dropped rows are counted."""
        return f"overlap:{self.name}" + (f":{self.level}" if self.level != LEVELS[0] else "")


@dataclass(frozen=True)
class Marking:
    """What a build does about rows that evaluation sets hold too; can be sent to another process.

    Attributes:
        marked: sets that rows are marked with, sorted.
        excluded: sets whose sounds are dropped, in the order of the command.
        held: set name to what it holds.
        scores: what goes into the column `scores`, and which rows are dropped for it; None for nothing.
    """

    marked: tuple[str, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    held: dict[str, Places] = field(default_factory=dict)
    scores: ScorePlan | None = None

    def describe(self) -> dict[str, Any]:
        """Returns the sets, their contents as digests, and the levels: what determines the marks. Empty for nothing to do."""
        return self._description

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        # Every part asks for it, and the digests go through all that the sets hold.
        digests = {name: _digest(found) for name, found in sorted(self.held.items())}
        found: dict[str, Any] = {}
        if self.marked:
            found["marked"] = {name: digests[name] for name in self.marked}
        if self.excluded:
            found["excluded"] = [{"set": e.name, "level": e.level, "digest": digests[e.name]} for e in self.excluded]
        if self.scores is not None:
            found["scores"] = self.scores.describe()
        return found


def marking(data: Path, config: str, *, mark: bool, exclude: Sequence[Exclusion] = ()) -> Marking:
    """Returns what a build of `config` has to mark and to drop, given what was built beside it.

    Args:
        data: the folder that holds all built configs.
        config: the config that is about to be built.
        mark: mark rows with the evaluation sets of the other configs: splits named as in `EVALUATION_SPLITS`.
        exclude: sets whose sounds are dropped.

    Raises:
        UnknownNameError: a set to exclude does not exist.
        InputError: it was not built, is part of `config` itself, or is named twice.
    """
    names = [one.name.partition("/")[0] for one in exclude]
    if config in names:
        raise InputError(
            f"--exclude names {exclude[names.index(config)].name}, which is part of {config} itself; expected sets of other "
            f"configs. To keep splits of one config apart, use `uac mix` with `decontaminate`."
        )
    sets: dict[str, BuiltSet] = {}
    excluded = []
    for one in exclude:
        found = built_set(one.name, data)
        if found.name in sets:
            raise InputError(f"--exclude names {found.name} twice; name it once.")
        sets[found.name] = found
        excluded.append(Exclusion(found.name, one.level))
    marked = tuple(_evaluation_sets(data, config)) if mark else ()
    return Marking(marked, tuple(excluded), {name: _settled(name, data) for name in dict.fromkeys([*sets, *marked])})


def _settled(name: str, data: Path) -> Places:
    """Returns what a set holds; another build that puts a new one in its place meanwhile is waited for."""
    for is_last in (False, False, True):
        try:
            found = built_set(name, data)
            held = places_of(found)
            if is_last or read_manifest(found.folder) == found.manifest:
                return held
        except InputError:
            if is_last:
                raise
        time.sleep(0.2)
    raise InputError(f"{name} in {data} changes while it is read; is another program working there?")


def _evaluation_sets(data: Path, config: str) -> Iterator[str]:
    for other in built_configs(data):
        if other == config:
            continue
        try:
            manifest = read_manifest(data / "data" / other)
        except InputError:
            continue  # a damaged neighbour is reported when it is read, not here
        for split in sorted((manifest or {"splits": {}})["splits"]):
            if split in EVALUATION_SPLITS:
                yield f"{other}/{split}"


def _digest(found: Places) -> str:
    """Returns a digest of what a set holds, equal for equal content whatever the files and rows it came in."""
    table = pa.table(
        {
            "key": found.keys,
            "end_s": pa.array(found.end_s, from_pandas=True),
            "start_s": pa.array(found.start_s, from_pandas=True),
        }
    )
    table = (
        table.group_by(["key", "end_s", "start_s"]).aggregate([]).sort_by([(name, "ascending") for name in table.column_names])
    )
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=10_000):
        for key, end, start in zip(*(batch[name].to_pylist() for name in ("key", "end_s", "start_s")), strict=True):
            digest.update(f"{key}\t{start!r}\t{end!r}\n".encode())
    return digest.hexdigest()[:16]


class Marker:
    """Applies a `Marking` to rows.

    Args:
        plan: what to mark and drop.
    """

    def __init__(self, plan: Marking) -> None:
        self.plan = plan
        self.index = {name: Index(found) for name, found in plan.held.items()}

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.StringArray]:
        """Returns the rows with `overlaps` filled in, and per row the rule that drops it, null for rows to keep."""
        found = places(batch)
        matched = {name: list(index.matches(found)) for name, index in self.index.items()}
        rule = np.full(batch.num_rows, -1, np.int64)
        for number, one in reversed(list(enumerate(self.plan.excluded))):
            for some in matched[one.name]:
                rule[found.rows[some.left[one.reaches(some.level)]]] = number
        rules = pa.array([one.rule for one in self.plan.excluded], pa.string())
        dropped = rules.take(pa.array(rule, mask=rule < 0))
        if self.plan.marked:
            column = self._column(batch, found, matched)
            batch = batch.set_column(batch.schema.get_field_index("overlaps"), schema.SCHEMA.field("overlaps"), column)
        return batch, dropped

    def _column(self, batch: pa.RecordBatch, found: Places, matched: dict[str, list[Matches]]) -> pa.ListArray:
        """Returns the column `overlaps`: per row, set, side and recording the strongest match."""
        n_sets = len(self.plan.marked)
        rows, entries = [np.zeros(0, np.int64)], [pa.array([], schema.OVERLAP)]
        has_b = pc.is_valid(batch["audio_ref_b"]).to_numpy(zero_copy_only=False)
        for number, name in enumerate(self.plan.marked):
            held = self.index[name].found
            for some in matched[name]:
                # The strongest first; of equally strong ones the longest, then the first of the set.
                shared = np.nan_to_num(some.shared_s, nan=-1.0)
                order = np.lexsort((some.right, -shared, -some.level, some.left))
                best = order[np.r_[True, np.diff(some.left[order]) != 0]] if len(order) else order
                left, right, n = some.left[best], some.right[best], len(best)
                side = pa.array(np.where(found.is_b[left], "b", "a"), mask=~has_b[found.rows[left]])
                entry = struct(
                    schema.OVERLAP, n, set=text(name, n), side=side, key=held.keys.take(pa.array(right)),
                    level=pa.array(LEVELS).take(pa.array(some.level[best] - 1)),
                    shared_s=pa.array(some.shared_s[best], from_pandas=True),
                )  # fmt: skip
                rows.append(found.rows[left] * n_sets + number)
                entries.append(entry)
        place = np.concatenate(rows)
        order = np.argsort(place, kind="stable")
        lengths = np.bincount(place // n_sets, minlength=batch.num_rows).astype(np.int64)
        return lists(pa.concat_arrays(entries).take(pa.array(order)), lengths)
