"""Gives rows their sound: found in a library, read in threads, cut, resampled, stored as FLAC or named by path.

- A row whose sound is missing or of no use keeps its place with null audio (or is dropped, where sound is required); why is
  counted, and listed in `stats.json`. No file can stop a build.
- A file is cut only where it is named by a video alone, the row has times, and the file is longer than the segment: that is the
  whole video. A file that is named as a segment, or as the publisher names it, is the clip.
- `duration_s`, `sampling_rate_hz` and `n_channels` are those of the sound that the row holds now.
- Row groups are cut by the sizes of the files, so that memory is bounded: about 100 rows, or fewer long ones. Equal bytes for any
  number of threads.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema, stats
from ..errors import InputError, SoundError
from ..sound import archives
from ..sound.library import Choice, SoundLibrary
from ..sound.naming import LOSSLESS, Wanted, is_bare, stem_of
from ..source import Source

if TYPE_CHECKING:
    from ..sound.samples import Sound

ROWS_PER_GROUP = 100
GROUP_BYTES = 48 << 20
TOO_SHORT_S = 0.1
_SEGMENT_SLACK_S = 1.0  # encoders and download tools make ten seconds a little longer
_SILENT = 0.5 / 32768  # all samples are zero in 16 bits
_HELD_BYTES = 256 << 20  # of samples that are worked on at once
_LOSSY = 24  # bytes of float32 samples per byte of an mp3, about
_PACKED = 4  # the same for FLAC
_SIDES = (("audio", "audio_ref"), ("audio_b", "audio_ref_b"))


@dataclass(frozen=True)
class SoundPlan:
    """Where rows get their sound from, and in which form; it can be sent to other processes.

    Attributes:
        library: the files.
        embed: store FLAC bytes; otherwise the absolute paths of the files as they are.
        rate_hz: resample to this rate; None keeps each file's own.
        mono: store the mean of all channels.
        max_duration_s: store at most this much of each sound, from its beginning.
        require: drop rows without sound.
    """

    library: SoundLibrary
    embed: bool = False
    rate_hz: int | None = None
    mono: bool = False
    max_duration_s: float | None = None
    require: bool = False

    def check(self) -> None:
        """Refuses what cannot be done, before any work.

        Raises:
            InputError: a number is wrong, or the sound would have to be changed and is not to be stored.
            MissingRequirementError: resampling needs a package that is not installed.
        """
        if self.rate_hz is not None and not 1000 <= self.rate_hz <= 655_350:
            raise InputError(f"--sampling-rate is {self.rate_hz}; expected hertz from 1,000 to 655,350, such as 16000.")
        if self.max_duration_s is not None and not self.max_duration_s >= TOO_SHORT_S:
            raise InputError(f"--max-duration is {self.max_duration_s}; expected seconds from {TOO_SHORT_S} up.")
        if not self.embed and (self.rate_hz is not None or self.mono or self.max_duration_s is not None):
            raise InputError(
                "--sampling-rate, --mono and --max-duration change the sound, and without --embed-audio rows only name files; "
                "add --embed-audio, or leave them out."
            )
        if not self.embed and not self.library.has_plain_files:
            raise InputError(
                "all sound files of --audio lie in archives or at a URL, where no path leads to; add --embed-audio, or unpack "
                "them."
            )
        if self.rate_hz is not None:
            from ..sound.samples import require_soxr

            require_soxr()

    def rows_at_once(self, row_group_rows: int) -> int:
        """Returns how many rows a row group has at most, given how many it has without sound."""
        return min(row_group_rows, ROWS_PER_GROUP) if self.embed else row_group_rows

    def describe(self) -> dict[str, Any]:
        """Returns what determines the bytes, JSON-ready."""
        import soundfile

        versions = [soundfile.__version__, soundfile.__libsndfile_version__]
        if self.rate_hz is not None:
            import soxr

            versions.append(soxr.__version__)
        return {
            "library": self.library.digest,
            "embed": self.embed,
            "rate_hz": self.rate_hz,
            "mono": self.mono,
            "max_duration_s": self.max_duration_s,
            "require": self.require,
            "versions": versions,
        }


@dataclass(frozen=True)
class _Clip:
    """The sound of one side of one row: what it holds, or why there is none."""

    content: bytes | None = None
    path: str | None = None
    duration_s: float | None = None
    rate_hz: int | None = None
    n_channels: int | None = None
    reason: str | None = None
    what: str = ""
    is_cut: bool = False
    file: str | None = None


@dataclass(frozen=True)
class _Task:
    """One side of one row that is to get its sound."""

    row: int
    side: int
    reference: dict[str, Any]
    duration_s: float | None
    wanted: Wanted
    choice: Choice | str | None


class Attacher:
    """Gives rows their sound; one per shard.

    Args:
        one: the dataset.
        plan: where from, and in which form.
        threads: how many clips are worked on at once.
        on_dropped: called with the rows that are dropped, as they were.
    """

    def __init__(self, one: Source, plan: SoundPlan, threads: int, on_dropped: Callable[[pa.Table], object]) -> None:
        self._one, self._plan, self._threads, self._on_dropped = one, plan, threads, on_dropped
        self._room = _Room(_HELD_BYTES)
        self.tally: stats.Tally = {}

    def apply(self, groups: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yields the rows with their sound, in row groups of bounded size; the next one is worked on meanwhile."""
        waiting: deque[tuple[pa.Table, list[tuple[_Task, Future[_Clip]]]]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for rows, tasks in self._pieces(groups):
                    waiting.append((rows, self._begun(pool, tasks)))
                    if len(waiting) > 1:
                        yield from self._finished(*waiting.popleft())
                while waiting:
                    yield from self._finished(*waiting.popleft())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _pieces(self, groups: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, list[_Task]]]:
        """Yields stretches of rows whose sounds are at most about `GROUP_BYTES`, and what is to be done for them."""
        for rows in groups:
            tasks = self._tasks(rows)
            sizes = np.zeros(rows.num_rows, np.int64)
            for task in tasks:
                if isinstance(task.choice, Choice) and self._plan.embed:
                    sizes[task.row] += self._stored_bytes(task)
            begins, held = [0], 0
            for row, size in enumerate(sizes.tolist()):
                is_full = self._plan.embed and row - begins[-1] == ROWS_PER_GROUP
                if row > begins[-1] and (is_full or held + size > GROUP_BYTES):
                    begins.append(row)
                    held = 0
                held += size
            for begin, end in pairwise([*begins, rows.num_rows]):
                inside = [replace(task, row=task.row - begin) for task in tasks if begin <= task.row < end]
                yield rows.slice(begin, end - begin), inside

    def _stored_bytes(self, task: _Task) -> int:
        """Returns about how many bytes the stored sound of a task has, from the size of its file."""
        assert isinstance(task.choice, Choice)  # noqa: S101 # for the type checker
        size = task.choice.member.size_bytes * (1 if _suffix(task.choice) in LOSSLESS else _LOSSY // _PACKED)
        seconds = [one for one in (self._plan.max_duration_s, _lasts(task) if is_bare(task.choice.member.name) else None) if one]
        return min([size, *(int(one * 8 * 48_000) for one in seconds)])

    def _tasks(self, rows: pa.Table) -> list[_Task]:
        tasks: list[_Task] = []
        durations = rows["duration_s"].to_pylist()
        for side, (audio, name) in enumerate(_SIDES):
            references = rows[name].to_pylist()
            held = _is_held(rows[audio])
            wanted = self._one.wanted_sounds(rows, name)
            wanted = [None if is_held else one for one, is_held in zip(wanted, held, strict=True)]
            kinds = [None if one is None else one["kind"] for one in references]
            choices = self._plan.library.find(wanted, kinds)
            tasks += [
                _Task(row, side, references[row], durations[row] if side == 0 else None, one, choices[row])
                for row, one in enumerate(wanted)
                if one is not None
            ]
            if any(held):
                self.tally = stats.add([self.tally, {"given": sum(held)}])
        return tasks

    def _begun(self, pool: ThreadPoolExecutor, tasks: list[_Task]) -> list[tuple[_Task, Future[_Clip]]]:
        """Starts the work in the order of archives, so that they are read from front to back."""

        def place(number: int) -> tuple[Any, ...]:
            choice = tasks[number].choice
            return (choice.container.path, choice.member.offset) if isinstance(choice, Choice) else ("", number)

        begun = {number: pool.submit(self._clip, tasks[number]) for number in sorted(range(len(tasks)), key=place)}
        return [(task, begun[number]) for number, task in enumerate(tasks)]

    def _finished(self, rows: pa.Table, begun: Sequence[tuple[_Task, Future[_Clip]]]) -> Iterator[pa.Table]:
        clips: tuple[dict[int, _Clip], dict[int, _Clip]] = ({}, {})
        ids = rows["id"].to_pylist()
        for task, future in begun:
            clip = clips[task.side][task.row] = future.result()
            self._tell(ids[task.row], task, clip)
        made = _with_sound(rows, clips, self._one.duration_field)
        lost = sorted({row for side in clips for row, clip in side.items() if clip.reason is not None})
        if self._plan.require and lost:
            is_lost = np.zeros(rows.num_rows, bool)
            is_lost[lost] = True
            self._on_dropped(rows.filter(pa.array(is_lost)))
            made = made.filter(pa.array(~is_lost))
        if made.num_rows:
            yield made.combine_chunks()

    def _tell(self, row_id: str, task: _Task, clip: _Clip) -> None:
        """Counts one result, and lists what a person may have to look at."""
        listed = {"id": row_id, **({"side": "b"} if task.side else {}), **({"file": clip.file} if clip.file else {})}
        found: stats.Tally = {"wanted": 1}
        if clip.reason is not None:
            found["problems"] = {clip.reason: {"count": 1, "listed": [{**listed, "what": clip.what}]}}
        else:
            found["found"] = 1
            found["cut"] = int(clip.is_cut)
            if isinstance(task.choice, Choice) and task.choice.others:
                found["notes"] = {"several_files": {"count": 1, "listed": [{**listed, "others": task.choice.others}]}}
        self.tally = stats.add([self.tally, found])

    # -- one clip, in a thread ---------------------------------------------------------------------------------------------------

    def _clip(self, task: _Task) -> _Clip:
        """Returns the sound of one row; whatever is wrong with the file is a reason, never an error."""
        if not isinstance(task.choice, Choice):
            if task.choice is not None:
                return _Clip(reason="ambiguous", what=task.choice)
            names = [term.removeprefix("=") for term in task.wanted.terms]
            return _Clip(reason="missing", what=f"no file is called {' or '.join(names[:3]) or '(the row names none)'}")
        shown = task.choice.shown
        size = task.choice.member.size_bytes * (_PACKED if _suffix(task.choice) in LOSSLESS else _LOSSY)
        with self._room.taken(size):
            try:
                return self._read(task, task.choice)
            except SoundError as problem:
                return _Clip(reason=problem.reason, what=problem.what, file=shown)
            except (OSError, ValueError, RuntimeError, EOFError, MemoryError) as problem:
                # No path or address of this machine: the same file is told in the same words everywhere.
                what = getattr(problem, "strerror", None) or getattr(problem, "error_string", None) or type(problem).__name__
                return _Clip(reason="unreadable", what=str(what), file=shown)

    def _read(self, task: _Task, choice: Choice) -> _Clip:
        from ..sound import samples

        plan = self._plan
        if not plan.embed and choice.path is None:
            raise SoundError("in_archive", f"it lies in {choice.container.shown}, where no path leads to; use --embed-audio")
        source = archives.content(choice.container, choice.member)
        length_s = samples.duration_of(source)
        sound = None
        if length_s is None:  # only a decoder knows
            sound = samples.read(source)
            length_s = sound.duration_s
        start_s, end_s, is_cut = _span(task, choice, length_s)
        if is_cut and not plan.embed:
            raise SoundError("needs_cut", "the row is a segment of this file, which no path can say; use --embed-audio")
        if plan.max_duration_s is not None and (length_s if end_s is None else end_s) - start_s > plan.max_duration_s:
            end_s = start_s + plan.max_duration_s
        if end_s is not None and end_s >= length_s:
            end_s = None
        if sound is None:
            sound = samples.read(source, start_s=start_s, end_s=end_s)
        else:
            sound = samples.cut(sound, start_s, end_s)
        _check_useful(sound)
        if not plan.embed:
            return _Clip(None, choice.path, sound.duration_s, sound.rate_hz, len(sound.samples))
        if plan.mono:
            sound = samples.to_mono(sound)
        if plan.rate_hz is not None:
            sound = samples.resampled(sound, plan.rate_hz)
        content = samples.flac(sound)
        name = f"{stem_of(choice.member.name)}.flac"
        return _Clip(content, name, sound.duration_s, sound.rate_hz, len(sound.samples), is_cut=is_cut, file=choice.shown)


def _suffix(choice: Choice) -> str:
    return PurePosixPath(choice.member.name).suffix.lower()


def _lasts(task: _Task) -> float:
    """Returns how long the row's segment is."""
    start_s, end_s = task.reference["start_s"], task.reference["end_s"]
    if start_s is not None and end_s is not None:
        return float(end_s - start_s)
    return task.duration_s or keys.SEGMENT_S


def _span(task: _Task, choice: Choice, length_s: float) -> tuple[float, float | None, bool]:
    """Returns which part of a file is the row's sound: start, end (None: all that is left), and whether that is a cut.

    Raises:
        SoundError: the file is named by the video alone, and is neither the segment nor the whole video; or the whole video, and
            nobody says where the segment begins.
    """
    if task.reference["kind"] != "youtube" or not is_bare(choice.member.name):
        return 0.0, None, False
    start_s, lasts_s = task.reference["start_s"], _lasts(task)
    is_short = length_s <= lasts_s + _SEGMENT_SLACK_S
    if start_s is None:
        if is_short:
            return 0.0, None, False
        raise SoundError(
            "no_times", f"the file lasts {length_s:.1f} s, the row {lasts_s:.1f} s, and nothing says where it begins in the file"
        )
    if is_short and (start_s == 0 or not task.wanted.is_own_segment):
        return 0.0, None, False
    if length_s < start_s + (lasts_s if task.wanted.is_own_segment else 0.0) - 0.5 or length_s <= start_s + TOO_SHORT_S:
        raise SoundError(
            "other_segment",
            f"the file is named by the video alone and lasts {length_s:.1f} s: neither the video, of which the row is "
            f"{start_s:g}–{start_s + lasts_s:g} s, nor this segment",
        )
    return float(start_s), float(start_s + lasts_s), True


def _check_useful(sound: Sound) -> None:
    if sound.duration_s < TOO_SHORT_S:
        raise SoundError("too_short", f"it lasts {sound.duration_s * 1000:.0f} ms; expected {TOO_SHORT_S * 1000:.0f} ms or more")
    if max(float(sound.samples.max()), -float(sound.samples.min())) < _SILENT:
        raise SoundError("silent", "all of its samples are zero")


class _Room:
    """Bounds how much is in memory at once; what is larger than all of it has it for itself."""

    def __init__(self, size: int) -> None:
        self._size, self._used, self._changed = size, 0, threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until there is room for `size` bytes."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


# -- rows ------------------------------------------------------------------------------------------------------------------------


def _is_held(audio: pa.ChunkedArray) -> list[bool]:
    """Returns whether each row has sound already."""
    found = pc.or_(pc.is_valid(pc.struct_field(audio, "bytes")), pc.is_valid(pc.struct_field(audio, "path")))
    held: list[bool] = pc.and_(found, pc.is_valid(audio)).to_pylist()
    return held


def _with_sound(rows: pa.Table, clips: Sequence[dict[int, _Clip]], duration_field: str | None) -> pa.Table:
    """Returns the rows with what was found for them; all others stay as they are.

    Args:
        rows: some rows.
        clips: per side, row to sound.
        duration_field: the upstream field whose value `duration_s` held: it goes to `extra_json`.
    """
    n = rows.num_rows
    for (name, _), duration, found in zip(_SIDES, ("duration_s", "duration_b_s"), clips, strict=True):
        sounds = {row: clip for row, clip in found.items() if clip.reason is None}
        if not sounds:
            continue
        made = [sounds.get(row) for row in range(n)]
        is_new = pa.array([clip is not None for clip in made])
        audio = pa.StructArray.from_arrays(
            [
                pa.array([clip and clip.content for clip in made], pa.binary()),
                pa.array([clip and clip.path for clip in made], pa.string()),
            ],
            fields=list(schema.AUDIO),
            mask=pc.invert(is_new),
        )
        if rows[name].null_count < n:  # sound that the rows came with
            audio = pc.if_else(is_new, audio, rows[name].combine_chunks())
        values: dict[str, Any] = {name: audio, duration: _replaced(rows[duration], made, is_new, "duration_s")}
        if name == "audio":
            values["sampling_rate_hz"] = _replaced(rows["sampling_rate_hz"], made, is_new, "rate_hz")
            values["n_channels"] = _replaced(rows["n_channels"], made, is_new, "n_channels")
            if duration_field is not None:
                values["extra_json"] = _with_upstream_duration(rows, set(sounds), duration_field)
        for column, value in values.items():
            at = rows.schema.get_field_index(column)
            rows = rows.set_column(at, rows.schema.field(at), value)
    return rows


def _replaced(old: pa.ChunkedArray, made: Sequence[_Clip | None], is_new: pa.BooleanArray, field: str) -> pa.Array:
    return pc.if_else(is_new, pa.array([clip and getattr(clip, field) for clip in made], old.type), old.combine_chunks())


def _with_upstream_duration(rows: pa.Table, changed: set[int], field: str) -> pa.Array:
    extras: list[str] = rows["extra_json"].to_pylist()
    for row, duration in enumerate(rows["duration_s"].to_pylist()):
        if row in changed and duration is not None:
            extra = json.loads(extras[row])
            if field not in extra:
                extras[row] = json.dumps({**extra, field: duration}, ensure_ascii=False)
    return pa.array(extras, pa.string())
