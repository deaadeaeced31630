"""A csv file of CLAP similarities that can be cut at any time and goes on where it was cut.

`FILE.csv` has the columns `id,score`, in the order of the clips; `FILE.csv.json` beside it says by which recipe, of which set,
and which clips have no score and why. Lines are written in groups of `CLIPS_AT_ONCE` clips; what stands behind the last whole
group is computed again, so that a file that was cut is equal to one that was not.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, SoundError, shorten
from ...dataset_scripts.progress import progress
from ..metric import Signature
from .clap import Clap, Ear, Heard

HEADER = "id,score\n"
CLIPS_AT_ONCE = 128
_CLIPS_AHEAD = 4  # per process
NO_CAPTION = "no_caption"


@dataclass(frozen=True)
class Clip:
    """A clip to score.

    Attributes:
        id: its id.
        caption: the text; None or blank where there is none.
        samples: returns float32[n], mono at the rate given in hertz; raises SoundError where there is no usable sound.
    """

    id: str
    caption: str | None
    samples: Callable[[int], npt.NDArray[np.float32]]


@dataclass
class ClapReport:
    """What was scored.

    Attributes:
        path: the csv file.
        signature: the recipe.
        n_scored: lines in the file.
        n_reused: how many of them were there before.
        not_scored: reason to ids; reasons are those of `SoundError`, and `no_caption`.
    """

    path: Path
    signature: Signature
    n_scored: int = 0
    n_reused: int = 0
    not_scored: dict[str, list[str]] = field(default_factory=dict)


def side_file(path: Path) -> Path:
    """Returns where the recipe of a file of scores stands."""
    return path.with_name(f"{path.name}.json")


def score_file(
    clips: Iterable[Clip],
    clap: Clap,
    path: Path,
    *,
    signature: Signature,
    about: Mapping[str, str],
    total: int | None = None,
    batch: int | None = None,
    workers: int = 1,
) -> ClapReport:
    """Writes the similarity of every clip's sound and caption, or goes on with a file that was cut.

    Args:
        clips: what to score; the same clips in the same order when a file goes on.
        clap: the model.
        path: the csv file.
        signature: the recipe.
        about: which set is scored, with a digest of its content: a file of another one is not gone on with.
        total: how many clips there are, for the progress bar.
        batch: clips per forward; None for what suits the device.
        workers: processes that read sounds and make spectrograms, to keep a GPU busy; the clips must be such as can be sent to
            them. Changes speed only.

    Raises:
        InputError: a file of that name is there and is something else, or no clip could be scored.
    """
    report = ClapReport(path, signature)
    known = _known(path, signature, about)
    if known is not None and known["complete"]:
        report.n_scored = report.n_reused = known["scored"]
        report.not_scored = {reason: found["ids"] for reason, found in known["not_scored"].items()}
        return report
    if known is None:
        _write_side_file(report, about, complete=False)
        path.write_text(HEADER, encoding="utf-8")
    report.n_reused = _cut_to_groups(path)
    bar = progress(total, "scoring", unit="clip")
    with path.open("r", encoding="utf-8", newline="") as written, path.open("a", encoding="utf-8", newline="") as out:
        rest = _unwritten(iter(clips), _ids(written), report, clap.ear, bar)
        group: list[tuple[str, str, Heard]] = []
        for clip, heard in _all_heard(rest, clap.ear, workers):
            bar.update(1)
            if isinstance(heard, str):
                report.not_scored.setdefault(heard, []).append(clip.id)
                continue
            group.append((clip.id, clip.caption or "", heard))
            if len(group) == CLIPS_AT_ONCE:
                _append(out, group, clap, batch)
                report.n_scored += len(group)
                group.clear()
        if group:
            _append(out, group, clap, batch)
            report.n_scored += len(group)
    bar.close()
    if not report.n_scored:
        path.unlink()
        side_file(path).unlink()
        reasons = ", ".join(f"{len(ids):,} {reason}" for reason, ids in report.not_scored.items())
        raise InputError(
            f"no clip of {about.get('set', 'the set')} can be scored ({reasons or 'there is none'}); nothing was written."
        )
    _write_side_file(report, about, complete=True)
    return report


def _known(path: Path, signature: Signature, about: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns what the side file says, None where nothing was written yet."""
    beside = side_file(path)
    if not beside.is_file():
        if path.exists():
            raise InputError(f"{path} is there and no {beside.name} beside it, so it is no file of ours; choose another --out.")
        return None
    try:
        known: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        wrong = {key: known[key] for key in about if known[key] != about[key]}
        is_other = known["digest"] != signature.digest
        if is_other:
            wrong["signature"] = known["signature"]
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{beside} cannot be read ({problem!r}); delete it and {path.name}, or choose another --out.") from None
    if wrong:
        ours = {**about, "signature": signature.text}
        told = "; ".join(f"{key} is {value}, not {ours[key]}" for key, value in wrong.items())
        raise InputError(f"{path} holds other scores ({told}); choose another --out, or delete it and {beside.name}.")
    return known if path.is_file() and path.stat().st_size else None


def _cut_to_groups(path: Path) -> int:
    """Cuts off what stands behind the last whole group of lines; returns how many lines stay."""
    with path.open("r+b") as stream:
        begin = stream.readline()
        if begin != HEADER.encode():
            raise InputError(f"{path} begins with {shorten(begin)}; expected {HEADER.strip()!r}. Choose another --out.")
        kept, at = 0, len(begin)
        end = at
        for number, line in enumerate(stream, 1):
            at += len(line)
            if number % CLIPS_AT_ONCE == 0 and line.endswith(b"\n"):
                kept, end = number, at
        stream.truncate(end)
        return kept


def _ids(written: io.TextIOBase) -> Iterator[str]:
    reader = csv.reader(written)
    next(reader)
    for row in reader:
        yield row[0]


def _unwritten(clips: Iterator[Clip], ids: Iterator[str], report: ClapReport, ear: Ear, bar: Any) -> Iterator[Clip]:
    """Yields the clips behind the last one that is written; those before are compared with what is written."""
    expected = next(ids, None)
    while expected is not None:
        clip = next(clips, None)
        if clip is not None and clip.id == expected:
            report.n_scored += 1
            expected = next(ids, None)
        elif clip is not None and isinstance(reason := _heard(ear, clip), str):
            report.not_scored.setdefault(reason, []).append(clip.id)
        else:
            raise InputError(
                f"{report.path} has the id {shorten(expected)} where {shorten(clip.id) if clip else 'no clip'} is expected; it "
                f"belongs to another build of the set. Choose another --out, or delete it."
            )
        bar.update(1)
    yield from clips


def _heard(ear: Ear, clip: Clip) -> Heard | str:
    """Returns what a model hears of a clip, or the reason why it cannot be scored."""
    if not (clip.caption or "").strip():
        return NO_CAPTION
    try:
        return ear.features(clip.samples(ear.rate_hz))
    except SoundError as problem:
        return problem.reason


def _all_heard(clips: Iterator[Clip], ear: Ear, workers: int) -> Iterator[tuple[Clip, Heard | str]]:
    """Yields clips in order with what is heard of them; processes work a few clips ahead."""
    if workers == 1:
        yield from ((clip, _heard(ear, clip)) for clip in clips)
        return
    # spawned, not forked: a fork of a process that uses a GPU cannot use it
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[Clip, Future[Heard | str]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(ear,)) as pool:
        try:
            for clip in clips:
                waiting.append((clip, pool.submit(_heard_here, clip)))
                if len(waiting) > _CLIPS_AHEAD * workers:
                    first, found = waiting.popleft()
                    yield first, found.result()
            for first, found in waiting:
                yield first, found.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_of_this_process: dict[str, Ear] = {}


def _start(ear: Ear) -> None:
    _of_this_process["ear"] = ear  # sent once, not with every clip: its filters are large


def _heard_here(clip: Clip) -> Heard | str:
    return _heard(_of_this_process["ear"], clip)


def _append(out: io.TextIOBase, group: list[tuple[str, str, Heard]], clap: Clap, batch: int | None) -> None:
    found = clap.similarities([heard for _, _, heard in group], [text for _, text, _ in group], batch)
    if not np.isfinite(found).all():
        raise InputError(f"the CLAP model {clap.identity} gives values that are no numbers; its weights may be damaged.")
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(
        (id_, f"{value:.6f}") for (id_, _, _), value in zip(group, found.tolist(), strict=True)
    )
    out.write(lines.getvalue())  # a whole group at once: what is cut is the last group
    out.flush()


def _write_side_file(report: ClapReport, about: Mapping[str, str], *, complete: bool) -> None:
    content = {
        **about,
        "complete": complete,
        "signature": report.signature.text,
        "digest": report.signature.digest,
        "scored": report.n_scored,
        "not_scored": {reason: {"count": len(ids), "ids": ids} for reason, ids in sorted(report.not_scored.items())},
    }
    aside = side_file(report.path).with_suffix(".part")
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(side_file(report.path))
