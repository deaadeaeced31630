"""What stands beside a score: whether a system was trained on the clips it was scored on, and its mean over clean ones.

Levels come from what systems declare and from the sets that are built on this machine (`contamination`). What is known is kept
per benchmark and declaration, so that systems with the same training data cost one comparison, and is looked up again when a
set is built anew. Clean means are taken over the same clips for all systems, from per-item values that were computed on all of
them: CIDEr-D and DATE depend on the whole pool, and a smaller pool would be another test.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dataset_scripts.errors import InputError, RightsError, UnifiedAudioCapsError, UnknownNameError
from ..benchmark import Benchmark, BenchmarkItems
from ..kept import Kept
from ..scoring import AUDIO_TO_TEXT, ITEMS_SUFFIX, is_mean, read_table
from ..storage.records import ResultRow
from ..submission import System
from .contamination import Contamination, Evidence
from .ranking import Board, BoardRow

if TYPE_CHECKING:
    import pyarrow as pa

    from ..hub import Hub

logger = logging.getLogger(__name__)
FOUND_KEPT, MEANS_KEPT = 10_000, 40_000
_Key = tuple[str, int, tuple[str, ...], str]


@dataclass(frozen=True)
class Overlap:
    """Whether a system was trained on the clips of a benchmark, as everybody may know it.

    Attributes:
        level: one of `contamination.CONTAMINATION_LEVELS`.
        n_clips: how many test clips are concerned.
        item_ids: test clips that were trained on; none where the benchmark's references are private.
        recording_ids: other clips of whose recording another part was trained on; none where references are private.
        evidence: what was looked at, per declared set; none where references are private.
    """

    level: str
    n_clips: int = 0
    item_ids: tuple[str, ...] = ()
    recording_ids: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CleanScores:
    """Means over the clips that none of the compared systems was trained on; the same clips for all of them.

    Attributes:
        metric: what is averaged.
        n_clean: how many clips are left.
        n_clips: how many there are.
        values: by submission id, the score over the clean clips; empty where too few are left to make the score up.
        tainted_by: by submission id, how many clips a system takes out; only systems that take any.
        unknown: ids of submissions whose training data could not be looked at, or not all of it: more clips may be tainted.
    """

    metric: str
    n_clean: int
    n_clips: int
    values: Mapping[str, float] = field(default_factory=dict)
    tainted_by: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return asdict(self)


class Overlaps:
    """What a hub knows about training data; one per hub, for as long as the process lives.

    Args:
        hub: where benchmarks and built sets are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock, self._comparing = threading.Lock(), threading.Lock()
        self._found: Kept[_Key, Contamination] = Kept(FOUND_KEPT)
        self._means: Kept[tuple[str, str, str, str], tuple[float | None]] = Kept(MEANS_KEPT)
        self._wanted: OrderedDict[_Key, Benchmark] = OrderedDict()
        self._thread: threading.Thread | None = None

    def state(self) -> str:
        """Returns a digest of which sets are built here: another one, and answers may be others."""
        paths = sorted((self._hub.data / "data").glob("*/manifest.json"))
        told = [(path.parent.name, at.st_mtime_ns, at.st_size) for path in paths for at in (path.stat(),)]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def key(self, benchmark: Benchmark, training_data: Sequence[str], state: str) -> _Key:
        """Returns what an answer depends on."""
        return benchmark.id, benchmark.version, tuple(sorted({one.strip() for one in training_data if one.strip()})), state

    def known(self, key: _Key) -> Contamination | None:
        """Returns an answer that was found before."""
        return self._found.get(key)

    def find(self, key: _Key, benchmark: Benchmark) -> Contamination:
        """Returns an answer; of many who ask at once one looks."""
        with self._comparing:
            found = self.known(key)
            return found or self._found.put(key, self._looked_up(benchmark, key[2]))

    def find_later(self, wanted: Mapping[_Key, Benchmark]) -> None:
        """Lets a thread in the background find answers."""
        with self._lock:
            self._wanted.update(wanted)
            if self._thread is None and self._wanted:
                self._thread = threading.Thread(target=self._run, name="overlaps", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Waits for what is being found in the background."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def mean(self, row: ResultRow, scope: str, clips: _Clean) -> float | None:
        """Returns a submission's score over the clean items, None where a group has none of them."""
        key = (row.items_sha256, row.metric, scope, clips.digest)
        if (kept := self._means.get(key)) is not None:
            return kept[0]
        table = read_table(self._hub.store.files.read(row.items_sha256, ITEMS_SUFFIX), ["group", "id", row.metric])
        return self._means.put(key, (clips.score(table, row.metric),))[0]

    def _looked_up(self, benchmark: Benchmark, training_data: Sequence[str]) -> Contamination:
        try:
            return self._hub.contamination(benchmark, training_data)
        except (InputError, UnknownNameError) as error:
            # a set that was taken away, or clips that are not built here; the error may name folders of this machine
            logger.warning("training data %s on %s: %s", list(training_data), benchmark.id, error)
            return Contamination("unknown", evidence=(Evidence("; ".join(training_data), unknown="it cannot be looked at here"),))

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                key, benchmark = self._wanted.popitem(last=False)
            try:
                self.find(key, benchmark)
            except (UnifiedAudioCapsError, OSError) as error:  # such as a full disk: whoever asks again starts it again
                logger.warning("training data %s on %s: %s", list(key[2]), benchmark.id, error)


@dataclass(frozen=True)
class _Clean:
    """What a score is made of: groups and their weights, without the items of tainted clips."""

    groups: tuple[tuple[str, float], ...]
    items: BenchmarkItems
    tainted: frozenset[str]

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.groups, sorted(self.tainted))).encode()).hexdigest()

    def score(self, table: pa.Table, metric: str) -> float | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        clean = table.filter(pc.invert(pc.is_in(table["id"], pa.array(self.tainted_items, pa.string()))))
        total = 0.0
        for name, weight in self.groups:
            kept = clean.filter(pc.equal(clean["group"], name))[metric].to_numpy()
            if not len(kept):
                return None
            total += weight * float(np.mean(kept))
        return total

    @cached_property
    def tainted_items(self) -> list[str]:
        return [id_ for id_ in self.items.references if self.items.clip_of(id_) in self.tainted]


# -- levels --------------------------------------------------------------------------------------------------------------------


def overlap_of(hub: Hub, benchmark: Benchmark, system: System) -> Overlap:
    """Returns whether a system was trained on the clips of a benchmark; the first answer about a large set takes seconds."""
    return _for_everybody(benchmark, _found(hub, benchmark, system.training_data, hub.overlaps.state()))


def levels(hub: Hub, board: Board, wait: bool = True) -> dict[str, Overlap | None]:
    """Returns the overlap of every system on a board, by submission id.

    Args:
        hub: where it is from.
        board: the board.
        wait: False to take what is known at once, None for what is not; the rest is found in the background.
    """
    overlaps, state = hub.overlaps, hub.overlaps.state()
    keys = {row.submission_id: overlaps.key(board.benchmark, row.system.training_data, state) for row in board.rows}
    answers: dict[_Key, Overlap | None] = {}
    for key in dict.fromkeys(keys.values()):
        found = overlaps.find(key, board.benchmark) if wait else overlaps.known(key)
        answers[key] = None if found is None else _for_everybody(board.benchmark, found)
    overlaps.find_later({key: board.benchmark for key, found in answers.items() if found is None})
    return {submission_id: answers[key] for submission_id, key in keys.items()}


def _found(hub: Hub, benchmark: Benchmark, training_data: Sequence[str], state: str) -> Contamination:
    key = hub.overlaps.key(benchmark, training_data, state)
    return hub.overlaps.known(key) or hub.overlaps.find(key, benchmark)


def _for_everybody(benchmark: Benchmark, found: Contamination) -> Overlap:
    if benchmark.is_private:
        return Overlap(found.level, found.n_clips)
    return Overlap(found.level, found.n_clips, found.item_ids, found.recording_ids, found.evidence)


# -- clean means ---------------------------------------------------------------------------------------------------------------


def mean_metrics(benchmark: Benchmark) -> tuple[str, ...]:
    """Returns the metrics of a benchmark whose score is a mean of its items' values: those that have clean means."""
    return tuple(metric for metric in benchmark.metrics if is_mean(metric))


def clean_scores(
    hub: Hub, board: Board, metric: str, among: Collection[str] | None = None, level: str = "segment"
) -> CleanScores:
    """Returns the scores of ranked systems over the clips that none of them was trained on.

    Where items fall into groups, each group's mean is taken over its clean items and the groups keep their weights.

    Args:
        hub: where the board is from.
        board: its scope holds, too.
        metric: one of `mean_metrics`.
        among: ids of submissions to compare; None for all on the board that were scored here.
        level: the weakest overlap that taints a clip, see `Contamination.tainted`.

    Raises:
        UnknownNameError: the benchmark has no such metric, or the board no such submission.
        InputError: the metric's score is no mean.
        RightsError: references are private; means over some of the clips would tell what single ones got.
    """
    benchmark = board.benchmark
    if metric not in benchmark.metrics:
        raise UnknownNameError("metric of this benchmark", metric, benchmark.metrics)
    if not is_mean(metric):
        known = ", ".join(mean_metrics(benchmark)) or "none of this benchmark"
        raise InputError(f"{metric} is no mean of what single items got; expected a metric that is: {known}.")
    if benchmark.is_private:
        raise RightsError(f"the references of {benchmark.id} are private; so are means over some of its clips.")
    compared = _compared(board, metric, among)
    state = hub.overlaps.state()
    found = {row.submission_id: _found(hub, benchmark, row.system.training_data, state) for row in compared}
    taints = {id_: one.tainted(level) for id_, one in found.items()}
    items = hub.items(benchmark)
    tainted = frozenset[str]().union(*taints.values())
    clean = _Clean(_groups(items, board.scope), items, tainted)
    clips = _clips(items, board.scope)
    return CleanScores(
        metric,
        len(clips - tainted),
        len(clips),
        _values(hub, board, metric, compared, clean),
        {id_: len(some & clips) for id_, some in taints.items() if some & clips},
        tuple(id_ for id_, one in found.items() if any(piece.unknown for piece in one.evidence)),
    )


def _compared(board: Board, metric: str, among: Collection[str] | None) -> list[BoardRow]:
    rows = [row for row in board.rows if row.provenance == "verified" and metric in row.values]
    if among is None:
        return rows
    known = {row.submission_id for row in rows}
    for id_ in among:
        if id_ not in known:
            raise UnknownNameError("submission on this board", id_, known)
    return [row for row in rows if row.submission_id in set(among)]


def _groups(items: BenchmarkItems, scope: str) -> tuple[tuple[str, float], ...]:
    """Returns the groups that a scope's score is made of, and their weights."""
    if items.benchmark.task == "retrieval":
        return ((scope if scope == AUDIO_TO_TEXT else "text_to_audio", 1.0),)
    if scope:
        return ((scope, 1.0),)
    return tuple((group.name, group.weight) for group in items.groups)


def _clips(items: BenchmarkItems, scope: str) -> set[str]:
    groups = [group for group in items.groups if group.name == scope] or items.groups
    return {items.clip_of(id_) for group in groups for id_ in group.references}


def _values(hub: Hub, board: Board, metric: str, rows: Iterable[BoardRow], clean: _Clean) -> dict[str, float]:
    if not clean.tainted:
        return {row.submission_id: row.values[metric] for row in rows}
    digest = next(column.digest for column in board.columns if column.name == metric)
    results = hub.store.results(row.submission_id for row in rows)
    values = {}
    for id_, numbers in results.items():
        shown = [one for one in numbers if (one.name, one.scope, one.digest) == (metric, board.scope, digest)]
        value = hub.overlaps.mean(shown[-1], board.scope, clean) if shown else None
        if value is not None:
            values[id_] = value
    return values
