"""What one can do with a hub: validate, submit, look at boards. The pages, the API and the command line all call this."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset_scripts.errors import InputError, RightsError, UnavailableError, UnknownNameError
from ..dataset_scripts.settings import Settings
from ..evaluators.metric import Floats
from .benchmark import Benchmark, BenchmarkItems, benchmark_by_id, frozen, newest, shipped_benchmarks
from .boards.eval_results import eval_results_files, parse_eval_results, read_bytes, reported
from .boards.overlap_report import Overlaps
from .boards.rank_statistics import paired_p
from .boards.ranking import Board, make_board, shown_digests
from .intake.bounded import ending_of
from .intake.validation import ValidationReport, bundle, by_subtask, is_taken, validate
from .items import built_items, from_parquet, from_references, load_items, to_parquet
from .kept import Kept
from .scoring import DRAWS_SUFFIX, ITEMS_SUFFIX, Scored, percentiles, read_table, score_submission
from .storage.records import Entry, Job, Quota, ResultRow
from .storage.store import ResultStore
from .submission import LOCAL_ACCOUNT, Submission, System

if TYPE_CHECKING:
    import pyarrow as pa

    from .boards.contamination import ClipSet, Contamination

logger = logging.getLogger(__name__)

BOARDS_KEPT = 64
DRAWS_KEPT = 2_000
CLIP_SETS_KEPT = 100
VALIDATION_CUT_OFF_S = 60.0
VALIDATION_TRIES = 5


@dataclass(frozen=True)
class Actor:
    """Who asks: a Hub user, or the person whose machine it is.

    Attributes:
        name: account name.
        is_admin: may do everything.
    """

    name: str
    is_admin: bool = False


LOCAL = Actor(LOCAL_ACCOUNT, is_admin=True)


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same clips; numbers are rounded where references are private.

    Attributes:
        metric: what they are compared by.
        difference: score of the first minus score of the second.
        low: lower end of the 95 % percentile interval of the difference; None where there are no draws.
        high: its upper end.
        p_value: two-sided bootstrap p-value of no difference.
    """

    metric: str
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


class Hub:
    """A store, the built references, and the steps between them.

    Args:
        store: the database.
        data: folder that `uac build` wrote.
        settings: limits; read from the environment by default.
    """

    def __init__(self, store: ResultStore, data: Path, settings: Settings | None = None) -> None:
        self.store, self.data = store, data
        self.settings = settings or Settings.from_environment()
        self._items: dict[tuple[str, int], BenchmarkItems] = {}
        self._results: dict[tuple[str, int], dict[tuple[str, float], list[ResultRow]]] = {}
        self._boards: Kept[tuple[Benchmark, int, str, str | None], Board] = Kept(BOARDS_KEPT)
        self._draws: Kept[tuple[str, str], Floats] = Kept(DRAWS_KEPT)
        self._clip_sets: Kept[tuple[str, int, str], ClipSet] = Kept(CLIP_SETS_KEPT)
        self._lock, self._building = threading.Lock(), threading.Lock()
        self.overlaps = Overlaps(self)

    @classmethod
    def open(cls, db: str | None = None, data: Path | None = None, files: Path | None = None) -> Hub:
        """Returns the hub of this machine.

        Args:
            db: database URL; the settings' by default.
            data: folder that `uac build` wrote; the settings' by default.
            files: folder of the hub's files; the settings' by default, else beside a SQLite database.
        """
        settings = Settings.from_environment()
        folder = files or (Path(settings.files).expanduser() if settings.files else None)
        store = ResultStore(db or settings.db_url, folder)
        return cls(store, data or settings.data, settings)

    # -- benchmarks ----------------------------------------------------------------------------------------------------------

    def benchmarks(self) -> list[Benchmark]:
        """Returns the newest version of every benchmark that comes with the package or was opened here."""
        return newest(self._known())

    def benchmark(self, benchmark_id: str, version: int | None = None) -> Benchmark:
        """Returns a benchmark, opened here or shipped.

        Raises:
            UnknownNameError: there is none of that id and version.
        """
        return benchmark_by_id(benchmark_id, version, self._known())

    def _known(self) -> list[Benchmark]:
        """Returns every version of every benchmark; a shipped one that is not frozen gives way to what was opened here."""
        opened = list(self.store.benchmarks())
        settled = {one.id for one in opened}
        return [*(one for one in shipped_benchmarks() if one.is_frozen or one.id not in settled), *opened]

    def _benchmark_of(self, submission: Submission) -> Benchmark:
        return self.benchmark(submission.benchmark, submission.benchmark_version)

    def create_benchmark(
        self,
        benchmark_id: str,
        *,
        source: str = "",
        references_file: Path | None = None,
        actor: Actor = LOCAL,
        **meaning: Any,
    ) -> Benchmark:
        """Opens a benchmark of this hub, with its items frozen in the hub's files.

        Args:
            benchmark_id: its id; that of a shipped definition that is not frozen yet opens that one.
            source: a built set, config/split.
            references_file: instead, jsonl with id and references.
            actor: who opens it.
            meaning: other fields of `Benchmark`; the rest has its defaults.

        Returns:
            The frozen definition. What exists with the same meaning is returned as it is; a changed one is a new version.

        Raises:
            InputError: neither or both of source and references, or one that cannot be used.
            RightsError: only an admin may do this.
        """
        from ..dataset_scripts.built import built_set
        from ..evaluators.files import read_references

        require_admin(actor)
        if bool(source) == bool(references_file):
            raise InputError(
                "a benchmark is made from a built set (config/split) or from a file of references; name one of them."
            )
        shipped = next((one for one in shipped_benchmarks() if one.id == benchmark_id), None)
        if shipped is not None and shipped.is_frozen:
            raise InputError(f"a benchmark called {benchmark_id} comes with this package; choose another id.")
        config, _, split = source.partition("/")
        if source and not split:
            raise InputError(f"the built set is {source!r}; expected config/split, such as sample/test.")
        given = {key: value for key, value in meaning.items() if value is not None}
        title = benchmark_id.replace("-", " ").capitalize()
        base = shipped or Benchmark(benchmark_id, title, "", config, split, "cider_d", n_items=0, items_sha256="")
        draft = replace(base, config=config, split=split, **given)
        if source:
            items = built_items(draft, built_set(source, self.data))
        else:
            assert references_file is not None  # noqa: S101 # one of the two was given
            items = from_references(draft, read_references(references_file))
        items = frozen(items)
        existing = [one for one in self.store.benchmarks() if one.id == benchmark_id]
        for one in existing:
            if replace(items.benchmark, version=one.version) == one:
                return one
        version = max((one.version for one in existing), default=0) + 1
        items = replace(items, benchmark=replace(items.benchmark, version=version))
        self.store.add_benchmark(items.benchmark, to_parquet(items), actor.name)
        return items.benchmark

    def items(self, benchmark: Benchmark) -> BenchmarkItems:
        """Returns the items of a benchmark, read once; their digest is checked, so they cannot change under us.

        Raises:
            InputError: its references were not built, or it was not opened yet.
        """
        key = (benchmark.id, benchmark.version)
        with self._lock:
            if key not in self._items:
                sha256 = self.store.benchmarks().get(benchmark)
                if sha256 is not None:
                    self._items[key] = from_parquet(benchmark, self.store.files.path(sha256, ITEMS_SUFFIX))
                elif benchmark.is_frozen:
                    self._items[key] = load_items(benchmark, self.data)
                else:
                    built = f"{benchmark.config}/{benchmark.split}"
                    raise InputError(
                        f"benchmark {benchmark.id} is not frozen yet. Build its pairs, then open it: "
                        f"uac benchmark create {benchmark.id} --from {built}"
                    )
            return self._items[key]

    # -- submissions ---------------------------------------------------------------------------------------------------------

    def validate(self, path: Path, benchmark_id: str, suffix: str | None = None) -> ValidationReport:
        """Returns everything that is wrong with a predictions file, or with a folder that has a file per subtask.

        Raises:
            UnknownNameError: there is no such benchmark.
            InputError: its references were not built, or there is no such file.
        """
        items = self.items(self.benchmark(benchmark_id))
        return validate(_files(path, items) if path.is_dir() else path, items, suffix=suffix)

    def submit(
        self,
        path: Path,
        benchmark_id: str,
        system: System | str,
        *,
        actor: Actor = LOCAL,
        idempotency_key: str | None = None,
        suffix: str | None = None,
    ) -> tuple[Submission, bool, ValidationReport | None]:
        """Takes a predictions file in, validates it, and queues or rejects it.

        Args:
            path: the file; what is checked is what is stored, even if it changes meanwhile. A folder with a file per subtask
                becomes one file.
            benchmark_id: what it is for.
            system: what its owner says about the system, or just its name.
            actor: who sends it.
            idempotency_key: the same key again returns the same submission.
            suffix: the file's ending where its name has another one.

        Returns:
            The submission (`queued`, or `rejected`), whether it is new, and the report where it was validated now.

        Raises:
            InputError: the file cannot be read, or the system is not described as a board can show it.
            LimitError: the account's quota is used up.
            RightsError: the system belongs to somebody else.
            UnavailableError: the database does not answer; nothing was changed.
            StorageError: the disk is full; nothing was kept.
        """
        benchmark = self.benchmark(benchmark_id)
        items = self.items(benchmark)
        ending = suffix or ending_of(path.name)
        content: bytes | Path = path
        if path.is_dir():
            files = _files(path, items)
            validate(files, items).raise_if_invalid()  # problems are told with the lines of these files
            content, ending = bundle(files, column=benchmark.column), ".jsonl"
        elif not is_taken(path, ending, benchmark):
            # nothing of such a file can be read, and nothing of it is kept
            validate(path, items, suffix=ending).raise_if_invalid()
        submission, is_open = self.store.receive(
            benchmark,
            self._described(system),
            content,
            ending,
            account=actor.name,
            idempotency_key=idempotency_key,
            quota=self._quota(actor),
        )
        return self._check(submission, path.name) if is_open else (submission, False, None)

    def import_eval_results(self, path: Path, system: System | str, *, actor: Actor = LOCAL) -> list[tuple[Submission, bool]]:
        """Takes in what a model's authors report in the Hub's `.eval_results/*.yaml`: shown, never ranked.

        Entries about other datasets are left out. As long as a submission of the system that was scored here is on the board, a
        report is superseded by it.

        Args:
            path: a file, or the folder.
            system: what its owner says about the system, or just its name.
            actor: who reports.

        Returns:
            Per file and benchmark the submission, and whether it is new; the same file again is the same submission.

        Raises:
            InputError: a file holds no such entries, none about a benchmark of this hub, or a number that cannot be.
            LimitError: the account's quota is used up.
            RightsError: the system belongs to somebody else.
        """
        about, quota = self._described(system), self._quota(actor)
        contents = [(file, read_bytes(file)) for file in eval_results_files(path)]
        found = [  # all files are read before anything is stored
            (content, reported(parse_eval_results(content, file.name), self.benchmark, hashlib.sha256(content).hexdigest()))
            for file, content in contents
        ]
        return [
            self.store.publish_reported(
                one.benchmark, about, content, ".yaml", one.rows, account=actor.name, note=one.note, quota=quota
            )
            for content, reports in found
            for one in reports
        ]

    def _described(self, system: System | str) -> System:
        """Returns a system whose training data are declared as they can be understood."""
        from .boards.contamination import parse_training_data

        about = System(system.strip()) if isinstance(system, str) else system
        parse_training_data(about.training_data, self.data)
        return about

    def _quota(self, actor: Actor) -> Quota | None:
        return None if actor.is_admin else Quota(self.settings.quota_per_day)

    def _validated(self, submission: Submission) -> tuple[BenchmarkItems, ValidationReport]:
        """Returns the items of a submission's own benchmark version, and what validation says of its stored file."""
        items = self.items(self._benchmark_of(submission))
        path = self.store.files.path(submission.content_sha256, submission.file_suffix)
        return items, validate(path, items, suffix=submission.file_suffix)

    def _check(self, submission: Submission, name: str) -> tuple[Submission, bool, ValidationReport]:
        """Validates a received submission and moves it on; safe to be done twice."""
        items, report = self._validated(submission)
        report = replace(report, file=name)
        if not report.is_valid:
            content = json.dumps(report.to_json(), sort_keys=True).encode()
            first = report.problems[0]
            text = f"{report.n_problems:,} {'problem' if report.n_problems == 1 else 'problems'}; the first: {first.message}"
            return self.store.reject(submission.id, content, first.code, text), True, report
        recipe, steps = items.benchmark.recipe, items.benchmark.n_steps
        codes = [warning.code for warning in report.warnings]
        note = dict(report.note or {})
        return self.store.accept(submission.id, items.n_predictions, recipe, steps, codes, note), True, report

    def validate_left_over(self, older_than_s: float = VALIDATION_CUT_OFF_S) -> int:
        """Validates submissions whose validation was cut off, such as by a killed web process; returns how many.

        One that cannot be validated keeps nobody from the others: it is tried again later, and failed in the end.

        Raises:
            UnavailableError: the database does not answer.
        """
        n_validated = 0
        for submission in self.store.waiting_for_validation(older_than_s):
            if not self.store.take_left_over(submission, VALIDATION_TRIES):
                continue
            try:
                self._check(submission, "predictions")
                n_validated += 1
            except UnavailableError:
                raise
            except Exception:
                logger.exception("submission %s was left over and cannot be validated", submission.id)
        return n_validated

    def withdraw(self, submission_id: str, actor: Actor) -> Submission:
        """Takes a submission back.

        Raises:
            RightsError: it is somebody else's.
            StateError: there is nothing to take back.
        """
        self._require_owner(submission_id, actor)
        return self.store.withdraw(submission_id, actor.name)

    def hide(self, submission_id: str, reason: str, actor: Actor) -> Submission:
        """Takes a submission off the board, for a reason that is recorded.

        Raises:
            RightsError: only an admin may do this.
            InputError: there is no reason.
        """
        require_admin(actor)
        if not reason.strip():
            raise InputError("there is no reason; say in a few words why the submission is hidden.")
        return self.store.hide(submission_id, actor.name, reason.strip())

    def requeue(self, submission_id: str, actor: Actor) -> Submission:
        """Scores a submission anew.

        Raises:
            RightsError: only an admin may do this.
            StateError: it is rejected, or being received or scored.
        """
        require_admin(actor)
        benchmark = self._benchmark_of(self.store.get(submission_id))
        return self.store.requeue(submission_id, actor.name, benchmark.recipe, benchmark.n_steps)

    def rescore(self, benchmark_id: str, actor: Actor) -> int:
        """Queues every submission that was not scored by the benchmark's present recipe; returns how many.

        Raises:
            RightsError: only an admin may do this.
        """
        require_admin(actor)
        benchmark = self.benchmark(benchmark_id)
        return self.store.rescore(benchmark, benchmark.n_steps, actor.name)

    def recipe_of(self, job: Job) -> str:
        """Returns what this version of the package scores a job's submission with."""
        return self._benchmark_of(self.store.get(job.submission_id)).recipe

    def score(self, job: Job, done: Callable[[], None] = lambda: None) -> list[ResultRow]:
        """Scores the submission of a job; its per-item scores and draws are on disk when this returns.

        Raises:
            UnifiedAudioCapsError: it cannot be scored.
        """
        items, report = self._validated(self.store.get(job.submission_id))
        report.raise_if_invalid()
        scored: Scored = score_submission(items, report, done)
        items_sha256 = self.store.files.put(scored.items, ITEMS_SUFFIX)
        return scored.named(items_sha256, self.store.files.put(scored.draws, DRAWS_SUFFIX))

    # -- boards --------------------------------------------------------------------------------------------------------------

    def board(self, benchmark_id: str, *, version: int | None = None, scope: str = "", ranked_by: str | None = None) -> Board:
        """Returns the ranked table of a benchmark, made anew only when something changed.

        Args:
            benchmark_id: which benchmark.
            version: None for the newest.
            scope: empty for the overall score, else the name of a group of items.
            ranked_by: the metric to rank by; None for the benchmark's.

        Raises:
            UnknownNameError: there is no such benchmark, group or metric.
        """
        benchmark = self.benchmark(benchmark_id, version)
        if ranked_by is not None and ranked_by not in benchmark.metrics:
            raise UnknownNameError("metric of this benchmark", ranked_by, benchmark.metrics)
        revision = self.store.revision(benchmark)
        key = (benchmark, revision, scope, ranked_by)  # the whole definition: what is not frozen yet may be opened with another
        found = self._boards.get(key)
        if found is None:
            with self._building:  # of many who ask at once, one does the work
                found = self._boards.get(key) or self._boards.put(key, self._board(benchmark, scope, ranked_by, revision))
        return found

    def _board(self, benchmark: Benchmark, scope: str, ranked_by: str | None, revision: int) -> Board:
        entries = self.store.roster(benchmark)
        results = self._results_of(benchmark, entries)
        scopes = {row.scope for rows in results.values() for row in rows}
        if scope and scope not in scopes:
            raise UnknownNameError("group of this board", scope, sorted(scopes - {""}))
        metric = ranked_by or benchmark.primary_metric
        digest = shown_digests(entries, results, scope).get(metric)

        def draws(ids: Sequence[str]) -> Floats | None:
            columns = [self._draws_of(results[id_], metric, digest) for id_ in ids]
            return None if any(one is None for one in columns) else np.stack(columns, axis=1)  # type: ignore[arg-type]

        ranges = None if scope else draws
        return make_board(benchmark, entries, results, ranked_by=ranked_by, scope=scope, draws=ranges, revision=revision)

    def _results_of(self, benchmark: Benchmark, entries: Sequence[Entry]) -> dict[str, list[ResultRow]]:
        """Returns the results of the submissions on a board; those that were read before are not read again."""
        known = self._results.get((benchmark.id, benchmark.version), {})
        keys = {(one.submission.id, one.submission.updated_at): one.submission.id for one in entries}
        fresh = self.store.results(id_ for key, id_ in keys.items() if key not in known)
        found = {key: fresh[id_] if id_ in fresh else known[key] for key, id_ in keys.items()}
        self._results[benchmark.id, benchmark.version] = found
        return {key[0]: rows for key, rows in found.items()}

    def _draws_of(self, rows: Sequence[ResultRow], metric: str, digest: str | None) -> Floats | None:
        """Returns float64[resamples] of a system's overall score, None where there are none."""
        match = (row.draws_sha256 for row in rows if (row.name, row.scope, row.digest) == (metric, "", digest))
        sha256 = next(match, "")
        if not sha256:
            return None
        found = self._draws.get((sha256, metric))
        if found is not None:
            return found
        table = read_table(self.store.files.read(sha256, DRAWS_SUFFIX))
        if metric not in table.column_names:
            return None
        return self._draws.put((sha256, metric), np.asarray(table[metric].to_numpy(), np.float64))

    def compare(self, benchmark_id: str, first: str, second: str, metric: str | None = None) -> Comparison:
        """Compares two systems of a board by the metric that ranks, or another.

        Args:
            benchmark_id: which benchmark.
            first: id of a submission on its board.
            second: another one.
            metric: None for the metric that ranks.

        Raises:
            UnknownNameError: a submission is not on the board, or the benchmark has no such metric.
        """
        board = self.board(benchmark_id)  # whose values and signatures do not depend on what ranks
        by = metric or board.ranked_by
        if by not in board.benchmark.metrics:
            raise UnknownNameError("metric of this benchmark", by, board.benchmark.metrics)
        rows = {row.submission_id: row for row in board.rows if by in row.values and row.provenance == "verified"}
        for id_ in (first, second):
            if id_ not in rows:
                raise UnknownNameError("submission on this board", id_, rows)
        told = board.benchmark.told
        difference = told(rows[first].values[by] - rows[second].values[by])
        results = self.store.results([first, second])
        digest = next(column.digest for column in board.columns if column.name == by)
        a, b = (self._draws_of(results[id_], by, digest) for id_ in (first, second))
        if a is None or b is None:
            return Comparison(by, difference, None, None, None)
        low, high = percentiles(a - b)
        return Comparison(by, difference, told(low), told(high), told(paired_p(a, b)))

    def item_scores(self, submission_id: str) -> pa.Table:
        """Returns what every item of a submission got when it was scored last.

        Raises:
            RightsError: the benchmark's references are private.
            UnknownNameError: there is no such submission.
            InputError: it has not been scored.
        """
        benchmark = self._benchmark_of(self.store.get(submission_id))
        if benchmark.is_private:
            raise RightsError(f"the references of {benchmark.id} are private; so is what its items got.")
        return read_table(self.store.files.read(self._items_file(submission_id), ITEMS_SUFFIX))

    def predictions(self, submission_id: str, actor: Actor | None = None) -> dict[str, dict[str, str]]:
        """Returns the texts of a submission that was scored: subtask -> item id -> text; nothing of retrieval, which has none.

        Args:
            submission_id: whose.
            actor: who asks; None for anybody.

        Raises:
            RightsError: the benchmark's references are private.
            UnknownNameError: there is no such submission, or it was taken off the board and is not the actor's.
            InputError: it has not been scored here.
        """
        found = self.store.get(submission_id)
        benchmark = self._benchmark_of(found)
        if benchmark.is_private:
            raise RightsError(f"the references of {benchmark.id} are private; so is what was said about its items.")
        is_own = actor is not None and (actor.is_admin or actor.name == found.account)
        if found.state in {"hidden", "withdrawn"} and not is_own:
            raise UnknownNameError("submission on a board", submission_id, ())
        self._items_file(submission_id)
        return self._validated(found)[1].predictions

    def _items_file(self, submission_id: str) -> str:
        """Returns the digest of the file of what every item of a submission got.

        Raises:
            InputError: it has not been scored.
        """
        rows = self.store.results([submission_id])[submission_id]
        if not rows or not rows[-1].items_sha256:
            raise InputError(f"submission {submission_id} has not been scored; there is nothing to show yet.")
        return rows[-1].items_sha256

    # -- contamination -------------------------------------------------------------------------------------------------------

    def contamination(self, benchmark: Benchmark, training_data: Sequence[str]) -> Contamination:
        """Returns which of a benchmark's clips occur in declared training data, as far as the sets are built here.

        This looks anew; `overlap_report` remembers, and leaves out what is private.

        Raises:
            InputError: the declaration cannot be read, or the benchmark's items are not there.
        """
        from .boards.contamination import contamination, parse_training_data

        return contamination(parse_training_data(training_data, self.data), self._clips(benchmark), self.data)

    def _clips(self, benchmark: Benchmark) -> ClipSet:
        """Returns the clips of a benchmark, with the ends of their segments where the set that they are from is built here."""
        from ..dataset_scripts.built import built_set
        from .boards.contamination import ClipSet

        items, name = self.items(benchmark), f"{benchmark.config}/{benchmark.split}" if benchmark.config else ""
        key = (benchmark.id, benchmark.version, self.overlaps.state())
        if (kept := self._clip_sets.get(key)) is not None:
            return kept
        keys = {clip: items.clip_keys.get(clip, ()) for clip in {items.clip_of(id_) for id_ in items.references}}
        clips = ClipSet(name, keys)
        if name:
            with suppress(InputError, UnknownNameError):  # not built here, or without some of the clips
                clips = ClipSet.of(built_set(name, self.data), keys)
        return self._clip_sets.put(key, clips)

    def _require_owner(self, submission_id: str, actor: Actor) -> None:
        if not actor.is_admin and self.store.get(submission_id).account != actor.name:
            raise RightsError(f"submission {submission_id} is somebody else's; only its owner may do this.")


def require_admin(actor: Actor) -> None:
    """Refuses everybody but admins.

    Raises:
        RightsError: so it is.
    """
    if not actor.is_admin:
        raise RightsError("only an admin of this hub may do this.")


def _files(folder: Path, items: BenchmarkItems) -> dict[str, Path]:
    """Returns the file of every subtask in a folder."""
    return by_subtask({path.name: path for path in sorted(folder.iterdir()) if path.is_file()}, items.subtasks)
