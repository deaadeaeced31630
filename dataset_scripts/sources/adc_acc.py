"""Audio Difference / Audio Commonality pairs, built from base clips and single events; there is no release.

Source: the paper on audio difference and commonality captioning (six pairs per base clip a and events b, c: a→ab, a→ac add;
ab→a, ac→a delete; ab→ac, ac→ab replace) over AuditEval's kind of edits. Levels, gates and instructions are ours.

- Base clips are the rows of a config that was built with sound, beside the pairs; splits are theirs, so that no base clip is in
  two of them. Events are a folder with `events.csv`. A triple is a base clip and two events with different labels; it is drawn
  once at most. Every base clip of a split has as many triples as the next one, or one more.
- A triple that a gate rejects (`sound.mixing.triple`) lies in `dropped.parquet` under the rule's name, and the base clip's next
  draw takes its place: the number of rows stays what was asked for, as long as there are triples left.
- Draws depend on the seed, the base clip's id and the events' files alone, not on the number of processes.
- A row holds what its sounds are rebuilt from: `events` (file, `onset_s`, `duration_s`, `snr_db`) and, in `scores`, `gain` and
  `event_gain_b`, `event_gain_c`; see `render`. `score` `measured_snr_db_b` is the level measured in the finished files.
- Row id: `adc_acc/<split>/<base>__<b>__<c>/<operation>-<from>-<to>`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..built import BuiltSet, built_set, read_batches
from ..errors import InputError, SoundError
from ..schema import SCHEMA
from ..sound import edits, mixing
from ..sound.events import TABLE, Event, Library, Sounds, read_library
from ..sound.samples import FULL_SCALE, flac, read
from ..source import LeftOut, Record, Source
from ..upstream.files import Found, Part, RawFile

RATE_HZ = 16_000
SNR_DB = (0.0, 10.0)
LONGEST_BASE_S = 30.5  # Clotho's clips last up to 30 s

_TRIPLES_PER_PART = 1_000
_ROW_GROUP_BYTES = 40 << 20  # of sound, before FLAC makes it smaller: several row groups are in memory at once
_ROW_GROUP_TRIPLES = 1_000  # without sound
_EDITS = (
    ("add", "a", "ab"),
    ("add", "a", "ac"),
    ("delete", "ab", "a"),
    ("delete", "ac", "a"),
    ("replace", "ab", "ac"),
    ("replace", "ac", "ab"),
)
_GIVES_UP = 50  # rejected draws of one base clip in a row
_ROUNDS = 3  # how often the base clips of a part are gone through for triples that are still lacking
_BASE_COLUMNS = ("id", "caption", "captions", "audio", "domain", "license_text", "license_audio", "attribution", "clip_keys")


@dataclass(frozen=True)
class _Clip:
    """A base clip, ready to be mixed with.

    Attributes:
        row: its columns, without sound.
        base: its samples.
    """

    row: Record
    base: mixing.Base


@dataclass
class _Log:
    """What became of one part besides rows."""

    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class AdcAcc(Source):
    """Pairs of sounds that differ by one event: `caption` tells the first, `caption_b` the second."""

    name = "adc_acc"
    dataset = "adc_acc"
    title = "Audio Difference / Audio Commonality pairs"
    release = "1"
    splits = ("train", "balanced_train", "unbalanced_train", "development", "dev", "validation", "test", "evaluation", "eval")
    repo = "unified-audiocaps"
    where_to_get = "Base clips are any dataset that was built with sound; events are sound files of yours with events.csv."
    # Rows with sound are large; what a part's rows hold is known when it is read.
    row_group_rows: int = 60  # type: ignore[misc] # a class variable elsewhere
    options: ClassVar[Mapping[str, str]] = {
        "base": "a config that was built with sound, or one split of it: config/split",
        "events": f"folder of the event clips with {TABLE} (file,label,category)",
        "pairs": "how many rows, a multiple of 6",
        "seed": "of all draws",
        "snr": "lowest and highest level of an event against its base, dB",
        "embed_audio": "whether rows hold their two sounds as FLAC",
        "sampling_rate_hz": "of the sounds",
    }

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}

    @property
    def needs(self) -> str:
        """What a user has to have before building."""
        return "--base CONFIG --events DIR --pairs N"

    def build_command(self, out: Path) -> str:
        """Returns what a user types to build it into `out`."""
        return f"uac build {self.name} {self.needs}" + ("" if out == Path("unified-audiocaps") else f" --out {out}")

    def how_to_get(self) -> str:
        """Returns what to put where, for a user who has none of the files."""
        return f"{self.where_to_get} `uac build {self.name} {self.needs}`."

    def locate(
        self,
        raw: Path | None,
        without: Path | None = None,
        *,
        base: str | None = None,
        events: Path | str | None = None,
        pairs: int | None = None,
        seed: int = 0,
        snr: tuple[float, float] = SNR_DB,
        embed_audio: bool = False,
        sampling_rate_hz: int = RATE_HZ,
    ) -> Found:
        """Returns the parts: the triples of up to a thousand draws each, of base clips that follow each other.

        Args:
            raw: is not needed.
            without: the folder that holds all built configs.
            base: the base clips: a config, or config/split.
            events: the folder of the events.
            pairs: how many rows.
            seed: of all draws.
            snr: lowest and highest level of an event, dB.
            embed_audio: whether rows hold sound.
            sampling_rate_hz: of the sounds.

        Raises:
            InputError: something of that is missing or cannot be, or there are not enough triples.
        """
        if base is None or events is None or pairs is None:
            lacking = [name for name, value in (("--base", base), ("--events", events), ("--pairs", pairs)) if value is None]
            raise InputError(f"{self.name} needs {', '.join(lacking)}: `uac build {self.name} {self.needs}`. {self.where_to_get}")
        low, high = (float(value) for value in snr)
        if pairs < 1 or pairs % len(_EDITS):
            raise InputError(f"--pairs is {pairs}; expected a multiple of 6: every base clip and two events give six pairs.")
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise InputError(f"--snr is {low:g} {high:g}; expected the lowest and the highest level in dB.")
        if not 8_000 <= sampling_rate_hz <= 192_000:
            raise InputError(f"--sampling-rate is {sampling_rate_hz}; expected hertz, 8000 to 192000.")
        data = without if without is not None else Path("unified-audiocaps")
        if base.partition("/")[0] == self.name:
            raise InputError(f"--base {base} is made of pairs; expected a dataset of single clips.")
        clips, longest_s, notes = _usable(built_set(base, data))
        library = read_library(Path(events), sampling_rate_hz)
        per_clip = _label_pairs(library.events)
        if not per_clip:
            raise InputError(f"--events {events} has one label only ({library.events[0].label!r}); expected two at least.")
        strange = sorted(clips.keys() - set(self.splits))
        if strange:
            raise InputError(f"--base {base} has the split {', '.join(strange)}; expected some of {', '.join(self.splits)}.")
        wanted = pairs // len(_EDITS)
        there = sum(map(len, clips.values()))
        if wanted > there * per_clip:
            raise InputError(
                f"--pairs {pairs} needs {wanted:,} triples, and {there:,} base clips with {per_clip:,} pairs of events give "
                f"{there * per_clip:,}; expected at most {there * per_clip * len(_EDITS)}."
            )
        common = {
            "base": base,
            "config": base.partition("/")[0],
            "seed": seed,
            "snr_db": [low, high],
            "embed_audio": bool(embed_audio),
            "rate_hz": sampling_rate_hz,
            "longest_s": longest_s,
            "events": [[event.file, event.label, event.category] for event in library.events],
            "events_sha256": library.digest,
        }
        config_folder = data / "data" / base.partition("/")[0]
        files = {
            "base": RawFile(self.name, config_folder / "manifest.json", "base/manifest.json"),
            "events": RawFile(self.name, library.folder / TABLE, f"events/{TABLE}"),
        }
        parts: list[Part] = []
        for split, n in _shares(wanted, {split: len(found) for split, found in clips.items()}).items():
            # Of all splits the first one tells what could not be used.
            said: Record = {} if parts else {"skipped": _skipped(library), "notes": notes}
            drawn = _spread(clips[split], n, np.random.default_rng([seed, *split.encode()]))
            for number, piece in enumerate(_pieces(drawn)):
                parts.append(Part(split, None, files, number, {**common, "clips": piece, **said}))
                said = {}
        order = {split: place for place, split in enumerate(self.splits)}
        return Found(tuple(sorted(parts, key=lambda part: (order[part.split], part.number or 0))), {}, ())

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a part, six per triple."""
        triples = _ROW_GROUP_TRIPLES
        if part.options["embed_audio"]:  # two files of two bytes per sample in a row
            row_bytes = 4 * part.options["rate_hz"] * part.options["longest_s"]
            triples = max(1, min(10, int(_ROW_GROUP_BYTES / row_bytes) // len(_EDITS)))
        self.row_group_rows = triples * len(_EDITS)
        return self._batches(part)

    def _batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        log = self._logs[part.label] = _Log()
        for file, label, category, reason, what in part.options.get("skipped", ()):
            record = {"file": file, "label": label, "category": category, "why": what}
            log.left_out.append(LeftOut(f"event_{reason}", f"{self.name}/{file}", TABLE, len(log.left_out), record))
        log.warnings += part.options.get("notes", ())
        rows = (row for one in self._triples(part, log) for row in one)
        position = 0
        while found := list(islice(rows, self.row_group_rows)):
            for row in found:
                row["provenance"] = [
                    {"repo": self.repo, "revision": self.release, "file": part.label, "row": position, "extra_json": None}
                ]
                position += 1
            columns = {name: pa.array([row.get(name) for row in found], SCHEMA.field(name).type) for name in found[0]}
            yield self.batch(part, len(found), **columns)

    def _triples(self, part: Part, log: _Log) -> Iterator[list[Record]]:
        """Yields the six rows of every triple; what is rejected goes to the log."""
        options = part.options
        library = [Event(file, label, category, 0) for file, label, category in options["events"]]
        names = _names(library)
        sounds = Sounds(part.files["events"].path.parent, options["rate_hz"])
        folder = part.files["base"].path.parent
        draws: dict[tuple[str, int], Iterator[tuple[int, int]]] = {}
        useless: set[tuple[str, int]] = set()
        lacking = 0
        for turn in range(_ROUNDS):
            for (shard, number, n, lane, lanes), cell in _read(folder, options["clips"]):
                todo = lacking + (n if turn == 0 else 0)
                place = (shard, number)
                if not todo or place in useless:
                    continue
                lacking = todo
                try:
                    clip = _clip(cell, folder, options["rate_hz"])
                except SoundError as problem:
                    useless.add(place)
                    record = {"base": cell["id"], "why": problem.what}
                    log.left_out.append(LeftOut(f"base_{problem.reason}", cell["id"], options["base"], number, record))
                    continue
                pairs = draws.setdefault(place, _draws(library, options["seed"], cell["id"], lane, lanes))
                failed = 0
                while lacking and failed < _GIVES_UP and (drawn := next(pairs, None)) is not None:
                    b, c = (library[i] for i in drawn)
                    try:
                        made = self._rows(part, clip, (b, c), (names[drawn[0]], names[drawn[1]]), sounds)
                    except SoundError as problem:
                        failed += 1
                        record = {"base": cell["id"], "b": b.file, "c": c.file, "why": problem.what}
                        key = _triple_name(part, cell["id"], names[drawn[0]], names[drawn[1]])
                        row_id = f"{self.name}/{part.split}/{key}"
                        log.left_out.append(LeftOut(problem.reason, row_id, options["base"], number, record))
                        continue
                    failed = 0
                    lacking -= 1
                    yield made
            if not lacking:
                break
        if lacking:
            log.warnings.append(
                f"{part.label}: {lacking} triples ({lacking * 6} pairs) are lacking: the gates rejected the others"
            )

    def _rows(self, part: Part, clip: _Clip, events: tuple[Event, Event], names: tuple[str, str], sounds: Sounds) -> list[Record]:
        """Returns the six rows of a triple.

        Raises:
            SoundError: a gate rejects it.
        """
        options, rate_hz, base = part.options, part.options["rate_hz"], clip.base
        rng = _generator(options["seed"], clip.row["id"], events[0].file, events[1].file)
        placed = []
        for event in events:
            sound = sounds[event.file][: len(base.samples)]
            onset = int(rng.integers(0, len(base.samples) - len(sound) + 1))
            level = round(float(rng.uniform(*options["snr_db"])), 2)
            placed.append(mixing.Placed(mixing.faded(sound, rate_hz), onset, level))
        template = edits.BESIDE[int(rng.integers(len(edits.BESIDE)))]
        mixed = mixing.triple(base, (placed[0], placed[1]))
        if max(one.end for one in placed) <= mixed.first_active:
            template = edits.BEFORE
        stem = _triple_name(part, clip.row["id"], *names)
        said = {"a": clip.row["caption"]}
        for role, event in zip("bc", events, strict=True):
            said[f"a{role}"] = edits.mixture_caption(clip.row["caption"], event.label, template)
        sound_of: dict[str, Record | None] = dict.fromkeys(said)
        if options["embed_audio"]:
            for state, words in (("a", mixed.a), ("ab", mixed.mixed[0]), ("ac", mixed.mixed[1])):
                sound_of[state] = {"bytes": flac(words[None, :], rate_hz), "path": f"{stem}-{state}.flac"}
        kind = "embedded" if options["embed_audio"] else "mixture"
        heard = {
            role: {
                "role": role,
                "label": event.label,
                "category": event.category or None,
                "file": event.file,
                "onset_s": one.onset / rate_hz,
                "duration_s": len(one.samples) / rate_hz,
                "snr_db": one.snr_db,
            }
            for role, event, one in zip("bc", events, placed, strict=True)
        }
        figures = {role: (mixed.event_gains[i], mixed.snrs_db[i]) for i, role in enumerate("bc")}
        labels = {"b": events[0].label, "c": events[1].label}
        by = {"origin": clip.row["origin"], "language": clip.row["language"]}
        duration_s = len(base.samples) / rate_hz
        rows = []
        for operation, before, after in _EDITS:
            roles = [state[1] for state in (before, after) if len(state) > 1]
            told = [
                _said(said[before], "a", **(by if before == "a" else {})),
                _said(said[after], "b", **(by if after == "a" else {})),
                _said(edits.instruction(operation, *(labels[role] for role in roles)), "pair", style="difference"),
                _said(edits.commonality(operation, said[before], said[after]), "pair", style="commonality", origin="rule"),
            ]
            scores = [("gain", mixed.gain)]
            for role in sorted(roles):
                scores += [(f"event_gain_{role}", figures[role][0]), (f"measured_snr_db_{role}", figures[role][1])]
            rows.append(
                {
                    "id": f"{self.name}/{part.split}/{stem}/{operation}-{before}-{after}",
                    "source_key": stem,
                    "captions": told,
                    "audio": sound_of[before],
                    "audio_ref": {"kind": kind, "key": f"{stem}/{before}", "file_name": f"{stem}-{before}.flac"},
                    "duration_s": duration_s,
                    "sampling_rate_hz": rate_hz,
                    "n_channels": 1,
                    "audio_b": sound_of[after],
                    "audio_ref_b": {"kind": kind, "key": f"{stem}/{after}", "file_name": f"{stem}-{after}.flac"},
                    "duration_b_s": duration_s,
                    "caption_b": said[after],
                    "operation": operation,
                    "base_clip": clip.row["id"],
                    "events": [heard[role] for role in sorted(roles)],
                    "scores": [{"name": name, "value": value, "producer": self.name} for name, value in scores],
                    "extra_json": json.dumps({"from": before, "to": after, "template": template, "base": options["base"]}),
                    **{name: clip.row[name] for name in ("domain", "license_text", "license_audio", "attribution", "clip_keys")},
                }
            )
        return rows

    def records(self, row: Record) -> Iterator[tuple[str, int, Record]]:
        """Yields what a pair is made of; there is no upstream file: its place is its part."""
        (place,) = row["provenance"]
        record = {"base": row["base_clip"], "events": row["events"], **json.loads(row["extra_json"])}
        yield place["file"], place["row"], record

    def left_out(self, part: Part) -> Iterator[LeftOut]:
        """Yields the events that cannot be used, and the base clips and triples that were rejected."""
        yield from self._log(part).left_out

    def warnings(self, part: Part) -> list[str]:
        """Returns how many base clips cannot be used, and whether pairs are lacking."""
        return self._log(part).warnings

    def _log(self, part: Part) -> _Log:
        if part.label not in self._logs:
            for _ in self.read_part(part):
                pass
        return self._logs[part.label]


def render(
    row: Record, base: bytes | Path, events: Path | Mapping[str, bytes | Path] | Sounds
) -> tuple[mixing.Words, mixing.Words]:
    """Returns the two sounds of a pair, int16[n] each, rebuilt from what its row says and from the files.

    Args:
        row: a row of this config, as Python values.
        base: the sound file of the base clip `base_clip`.
        events: the folder of the events, or name to file.

    Raises:
        SoundError: a file cannot be read, or is not the one that the pair was made of.
    """
    rate_hz = row["sampling_rate_hz"]
    figures = {score["name"]: score["value"] for score in row["scores"]}
    heard = {event["role"]: event for event in row["events"]}
    a = mixing.quantised(mixing.signal(read(base), rate_hz), figures["gain"])
    if len(a) != round(row["duration_s"] * rate_hz) or np.abs(a).max() >= FULL_SCALE:
        raise SoundError("damaged", f"the sound is not that of {row['base_clip']}: it has another length or level")
    sounds = events if isinstance(events, Sounds) else Sounds(events, rate_hz)

    def state(name: str) -> mixing.Words:
        pieces = []
        for role in name[1:]:
            event = heard[role]
            sound = sounds[event["file"]][: round(event["duration_s"] * rate_hz)]
            onset = round(event["onset_s"] * rate_hz)
            pieces.append((mixing.faded(sound, rate_hz), onset, figures["gain"] * figures[f"event_gain_{role}"]))
        return mixing.layered(a.astype(np.int16), pieces)

    said = json.loads(row["extra_json"])
    return state(said["from"]), state(said["to"])


def _said(
    text: str, side: str, *, style: str = "default", origin: str | None = "template", language: str | None = "en"
) -> Record:
    return {
        "text": text,
        "style": style,
        "side": side,
        "index": 0,
        "origin": origin,
        "language": language,
        "is_absent": False,
        "scores": [],
    }


def _usable(base: BuiltSet) -> tuple[dict[str, list[tuple[str, int]]], float, list[str]]:
    """Returns per split where its base clips stand (shard, row), how long they are at most, and what to say about the others.

    Raises:
        InputError: no row has both a sound and a caption.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    longest_s = 0.0
    lost = {"no sound": 0, "no caption": 0, f"more than {LONGEST_BASE_S:g} s": 0}
    for split, _, path in base.shards():
        begin = 0
        # The bytes stay where they are: whether there is a cell is known from its path.
        for batch in read_batches(path, ("caption", "duration_s", "audio.path", "audio_b.path")):
            silent = pc.or_(pc.is_null(batch["audio"]), pc.is_valid(batch["audio_b"])).to_numpy(zero_copy_only=False)
            mute = ~pc.fill_null(pc.match_substring_regex(batch["caption"], r"\w"), False).to_numpy(zero_copy_only=False)
            long = pc.fill_null(pc.greater(batch["duration_s"], LONGEST_BASE_S), False).to_numpy(zero_copy_only=False)
            for name, which in zip(lost, (silent, mute & ~silent, long & ~mute & ~silent), strict=True):
                lost[name] += int(which.sum())
            rows = np.flatnonzero(~(silent | mute | long))
            found.setdefault(split, []).extend((path.name, begin + int(row)) for row in rows)
            durations_s = pc.fill_null(batch["duration_s"], LONGEST_BASE_S).to_numpy()[rows]
            longest_s = max(longest_s, float(durations_s.max(initial=0.0)))
            begin += batch.num_rows
    found = {split: rows for split, rows in found.items() if rows}
    if not found:
        why = ", ".join(f"{n:,} rows with {name}" for name, n in lost.items() if n)
        raise InputError(
            f"--base {base.name} has no clip to mix with: {why or 'it is empty'}; expected rows with sound and a caption. "
            "Build it with its sound first."
        )
    return found, longest_s, [f"--base {base.name}: {n:,} rows with {name} are left out" for name, n in lost.items() if n]


def _label_pairs(events: Sequence[Event]) -> int:
    """Returns how many pairs of events have different labels."""
    labels: dict[str, int] = {}
    for event in events:
        labels[event.label.casefold()] = labels.get(event.label.casefold(), 0) + 1
    return math.comb(len(events), 2) - sum(math.comb(n, 2) for n in labels.values())


def _skipped(library: Library) -> list[list[str]]:
    return [[event.file, event.label, event.category, reason, what] for event, reason, what in library.skipped]


def _shares(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Returns `total` spread in proportion to sizes, by largest remainder; the first of equal ones is served first.

    >>> _shares(10, {"train": 20, "test": 10})
    {'train': 7, 'test': 3}
    """
    whole = sum(sizes.values())
    shares = {name: total * size // whole for name, size in sizes.items()}
    order = sorted(sizes, key=lambda name: -(total * sizes[name] % whole))
    for name in order[: total - sum(shares.values())]:
        shares[name] += 1
    return {name: n for name, n in shares.items() if n}


def _spread(clips: Sequence[tuple[str, int]], total: int, rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """Returns the clips that are used, in their order, with their numbers of triples: as equal as can be."""
    counts = np.full(len(clips), total // len(clips))
    counts[rng.permutation(len(clips))[: total % len(clips)]] += 1
    return [(shard, row, int(n)) for (shard, row), n in zip(clips, counts, strict=True) if n]


def _pieces(clips: Sequence[tuple[str, int, int]]) -> Iterator[list[list[Any]]]:
    """Yields the clips of one part each: shard, row, number of triples, and which of how many lanes of its draws.

    A clip with more triples than a part has is in several parts; each takes draws of its own.
    """
    piece: list[list[Any]] = []
    held = 0
    for shard, row, n in clips:
        lanes = -(-n // _TRIPLES_PER_PART)
        for lane in range(lanes):
            mine = n // lanes + (lane < n % lanes)
            if piece and held + mine > _TRIPLES_PER_PART:
                yield piece
                piece, held = [], 0
            piece.append([shard, row, mine, lane, lanes])
            held += mine
    if piece:
        yield piece


def _draws(events: Sequence[Event], seed: int, base_id: str, lane: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Yields pairs of events (positions) with different labels in the random order of one base clip, each once.

    The pairs (i, j), i < j, are numbered j(j - 1)/2 + i, and gone through as start + k · step modulo their number, step coprime
    to it: any number of events costs no memory.
    """
    n = math.comb(len(events), 2)
    rng = _generator(seed, base_id)
    start, step = int(rng.integers(n)), int(rng.integers(1, n + 1))
    while math.gcd(step, n) != 1:
        step = step % n + 1
    for k in range(lane, n, lanes):
        number = (start + k * step) % n
        j = (1 + math.isqrt(8 * number + 1)) // 2
        i = number - j * (j - 1) // 2
        if events[i].label.casefold() != events[j].label.casefold():
            yield i, j


def _generator(seed: int, *names: str) -> np.random.Generator:
    """Returns a generator that depends on the seed and on names alone."""
    described = json.dumps([seed, *names], ensure_ascii=False)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(described.encode()).digest()[:16], "big"))


def _names(events: Sequence[Event]) -> list[str]:
    """Returns what ids call events: the path without ending; the whole path where two would be called the same."""
    short = [str(PurePosixPath(event.file).with_suffix("")).replace("/", "-") for event in events]
    twice = {name for name in short if short.count(name) > 1} if len(set(short)) < len(short) else set()
    return [event.file.replace("/", "-") if name in twice else name for event, name in zip(events, short, strict=True)]


def _triple_name(part: Part, base_id: str, b: str, c: str) -> str:
    """Returns what ids and file names call a triple: the base's id without config and split, then the events.

    >>> _triple_name(Part("train", None, {}, options={"config": "wavcaps"}), "wavcaps/AudioSet_SL/Y123", "dog_1", "bell-2")
    'AudioSet_SL-Y123__dog_1__bell-2'
    """
    key = base_id.removeprefix(f"{part.options['config']}/").removeprefix(f"{part.split}/")
    return f"{key.replace('/', '-')}__{b}__{c}"


def _read(folder: Path, clips: Sequence[Sequence[Any]]) -> Iterator[tuple[tuple[str, int, int, int, int], Record]]:
    """Yields the base rows of a part with what was planned for each; a row group without any is not read."""
    by_shard: dict[str, dict[int, list[tuple[str, int, int, int, int]]]] = {}
    for shard, row, n, lane, lanes in clips:
        by_shard.setdefault(shard, {}).setdefault(row, []).append((shard, row, n, lane, lanes))
    for shard, wanted in by_shard.items():
        # Pages are read as they are needed: a row group of sounds need not fit into memory.
        with pq.ParquetFile(folder / shard, pre_buffer=False, buffer_size=1 << 20) as file:
            begin = 0
            for group in range(file.num_row_groups):
                n = file.metadata.row_group(group).num_rows
                mine = [row for row in wanted if begin <= row < begin + n]
                at, begin = begin, begin + n
                if not mine:
                    continue
                for batch in file.iter_batches(16, row_groups=[group], columns=list(_BASE_COLUMNS)):
                    for row in (row for row in mine if at <= row < at + batch.num_rows):
                        (cell,) = batch.slice(row - at, 1).to_pylist()
                        for plan in wanted[row]:
                            yield plan, cell
                    at += batch.num_rows


def _clip(row: Record, folder: Path, rate_hz: int) -> _Clip:
    """Returns a base clip.

    Raises:
        SoundError: its sound cannot be read or used.
    """
    audio = row["audio"]
    content: bytes | Path | None = audio["bytes"]
    if content is None and audio["path"] is not None:
        content = folder.parents[1] / audio["path"]  # an absolute path stays what it is
    if content is None:
        raise SoundError("missing", "the row has neither the bytes nor the path of a sound")
    sound = read(content, end_s=LONGEST_BASE_S + 1)
    if sound.duration_s > LONGEST_BASE_S:
        raise SoundError("too_long", f"it lasts more than {LONGEST_BASE_S:g} s")
    told = next((one for one in row["captions"] if one["text"] == row["caption"]), {"origin": None, "language": "en"})
    said = {"origin": told["origin"], "language": told["language"]}
    kept = {name: value for name, value in row.items() if name not in {"audio", "captions"}}
    return _Clip(kept | said, mixing.Base.of(mixing.signal(sound, rate_hz), rate_hz))
