"""Which clips of a benchmark a system has been trained on, from the training data it declares and the sets built on this machine.

- What is the same sound is decided by `dataset_scripts.overlap`, from clip keys and times: the levels clip, segment, recording.
- `test_items`: a test clip is in the training data at level clip or segment. `train_split`: a training split of the same dataset
  is declared. `same_source`: a recording, or where the recordings come from (YouTube, Freesound, BBC, SoundBible), is shared.
- `none` is said only if everything that was declared could be looked at; otherwise it is `unknown`. A level that was found stays,
  whatever else could not be looked at: the evidence names it.
- A config without a split stands for its training splits: those that are not named as in `EVALUATION_SPLITS`; for all its splits
  where it has no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dataset_scripts.arrays import record_batch
from ...dataset_scripts.built import BuiltSet, built_set
from ...dataset_scripts.errors import InputError, Problem, UnknownNameError, shorten
from ...dataset_scripts.manifest import built_configs
from ...dataset_scripts.marking import EVALUATION_SPLITS
from ...dataset_scripts.overlap import COLUMNS, LEVELS, Index, places
from ...dataset_scripts.source import SOURCES, source

CONTAMINATION_LEVELS = ("none", "same_source", "train_split", "test_items", "unknown")
MAX_ENTRIES = 100
MAX_ENTRY_CHARACTERS = 300
# Rows may be fewer than a card says (rounded figures, repeated ids); a build of fewer than this share is a part of the set.
WHOLE_SHARE = 0.9
_ROWS_AT_ONCE = 25_000
# What the comparison reads: leaves, since urls and file names are most of the bytes of `audio_ref`.
_LEAVES = ("clip_keys", *(f"{ref}.{one}" for ref in COLUMNS[2:4] for one in ("key", "start_s", "end_s")), "duration_s")


# -- what a system declares ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingSet:
    """One of our datasets, as training data.

    Attributes:
        config: its name.
        split: a split by its own name, "" for all training splits.
        subset: one subset of it, "" for all.
    """

    config: str
    split: str = ""
    subset: str = ""

    def __str__(self) -> str:
        return self.config + (f"/{self.split}" if self.split else "") + (f":{self.subset}" if self.subset else "")


@dataclass(frozen=True)
class TrainingData:
    """What a system says it was trained on.

    Attributes:
        sets: datasets of ours, each once, in the order of the declaration.
        others: other data, in the submitter's words.
        is_none: it says that it was trained on no audio-caption data.
    """

    sets: tuple[TrainingSet, ...] = ()
    others: tuple[str, ...] = ()
    is_none: bool = False

    @property
    def is_declared(self) -> bool:
        """Whether anything was said at all."""
        return bool(self.sets or self.others or self.is_none)

    @property
    def entries(self) -> tuple[str, ...]:
        """The declaration in its normal form; `parse_training_data` reads it back."""
        return (*map(str, self.sets), *(f"other: {text}" for text in self.others), *(["none"] if self.is_none else []))


def parse_training_data(declared: Sequence[str], data: Path | None = None) -> TrainingData:
    """Returns what a declaration of training data says.

    Args:
        declared: `config`, `config/split`, with `:subset` behind it for one subset; `other: ...` for data that is none of ours;
            `none` alone for a system without training on audio-caption data. Blank entries do not count; no entry at all means
            that nothing is declared.
        data: a folder of built sets, whose mixtures may be named too.

    Raises:
        InputError: an entry names no set of ours, `none` stands beside others, or there are too many; all problems at once.

    >>> parse_training_data(["wavcaps:FreeSound", "clotho/dev", "other: web sounds"]).entries
    ('wavcaps:FreeSound', 'clotho/development', 'other: web sounds')
    """
    written = list(dict.fromkeys(one.strip() for one in declared if one.strip()))
    problems, sets, others = [], [], []
    for one in written[:MAX_ENTRIES]:
        if len(one) > MAX_ENTRY_CHARACTERS:
            problems.append(_problem(f"{shorten(one)} has {len(one):,} characters; expected at most {MAX_ENTRY_CHARACTERS}."))
        elif one.casefold().startswith("other:"):
            if text := one[len("other:") :].strip():
                others.append(text)
            else:
                problems.append(_problem(f"{one!r} does not say which data; expected `other: ` and its name."))
        elif one.casefold() != "none":
            try:
                sets.append(_training_set(one, data))
            except UnknownNameError as problem:
                problems.append(_problem(str(problem), "data that is none of ours is written `other: its name`"))
    if len(written) > MAX_ENTRIES:
        problems.append(_problem(f"{len(written):,} entries; expected at most {MAX_ENTRIES}."))
    is_none = "none" in {one.casefold() for one in written}
    if is_none and len(written) > 1:
        problems.append(_problem("`none` stands beside other entries; expected it alone, or the other entries without it."))
    if problems:
        raise InputError("The training data cannot be read; expected names of datasets, `other: ...` or `none`.", problems)
    return TrainingData(tuple(dict.fromkeys(sets)), tuple(dict.fromkeys(others)), is_none)


def _problem(message: str, hint: str = "") -> Problem:
    return Problem("E_TRAINING_DATA", message, hint=hint, column="training_data")


def _training_set(written: str, data: Path | None) -> TrainingSet:
    name, _, subset = (part.strip() for part in written.partition(":"))
    config, _, split = name.partition("/")
    built = built_configs(data) if data is not None else []
    if config not in SOURCES.names():
        if config not in built or data is None:
            raise UnknownNameError("dataset", config, {*SOURCES.names(), *built}, "uac sources")
        if subset:
            raise UnknownNameError(f"subset of {config}", subset, ())
        return TrainingSet(*built_set(name, data).name.split("/"))
    one = source(config)
    split = one.split_aliases.get(split, split)
    if split and split not in one.splits:
        # row ids have the subset in place of the split
        as_ids_say = [f"{config}:{split}"] if split in one.subsets else []
        raise UnknownNameError(f"split of {config}", split, [*one.splits, *as_ids_say])
    if subset and subset not in one.subsets:
        raise UnknownNameError(f"subset of {config}", subset, one.subsets)
    return TrainingSet(config, split, subset)


# -- what a benchmark holds ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClipSet:
    """The clips of a benchmark, and where their sounds come from.

    Attributes:
        name: the built set that they are from, `config/split`.
        keys: clip id to its `clip_keys`; none for a clip whose origin is unknown.
        ends_s: clip id to key to the second at which that segment ends, where it is known. Without it segments of one recording
            that begin at different times cannot be seen to intersect.
    """

    name: str
    keys: Mapping[str, tuple[str, ...]]
    ends_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, built: BuiltSet, ids: Collection[str] | None = None) -> ClipSet:
        """Returns the clips of a built split; those of `ids` where these are given.

        Raises:
            InputError: a shard is missing or was cut, or one of `ids` is not there.
        """
        wanted = None if ids is None else set(ids)
        held: dict[str, tuple[str, ...]] = {}
        ends: dict[str, dict[str, float]] = {}
        for batch in built.batches(COLUMNS):
            names, found = batch["id"].to_pylist(), places(batch)
            gathered: list[list[str]] = [[] for _ in names]
            for row, key, end in zip(found.rows.tolist(), found.keys.to_pylist(), found.end_s.tolist(), strict=True):
                gathered[row].append(key)
                if not np.isnan(end):
                    ends.setdefault(names[row], {})[key] = end
            held |= {name: tuple(some) for name, some in zip(names, gathered, strict=True) if wanted is None or name in wanted}
        if wanted is not None and (missing := sorted(wanted - held.keys())):
            raise InputError(f"{built.name} lacks {len(missing):,} ids, such as {shorten(missing[0])}; expected ids of its rows.")
        return cls(built.name, held, {name: ends[name] for name in held if name in ends})

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The clip ids, in order."""
        return tuple(self.keys)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Where its recordings come from: `yt`, `fs`, `bbc`, `sb`; a file known by its content alone comes from nowhere."""
        return frozenset(key.partition(":")[0] for some in self.keys.values() for key in some) - {"sha256"}

    @cached_property
    def index(self) -> Index:
        """Its recordings, ready to be looked up."""
        kept = pa.array([list(some) for some in self.keys.values()], pa.list_(pa.string()))
        found = places(record_batch(len(self.ids), id=pa.array(self.ids, pa.string()), clip_keys=kept))
        named = zip(found.rows.tolist(), found.keys.to_pylist(), strict=True)
        ends = np.array([self.ends_s.get(self.ids[row], {}).get(key, np.nan) for row, key in named], np.float64)
        return Index(replace(found, end_s=ends))

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that a comparison depends on."""
        content = [[name, list(some), sorted(self.ends_s.get(name, {}).items())] for name, some in sorted(self.keys.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


# -- the two beside each other -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What is known about one declared set, or one split of it.

    Attributes:
        declared: the entry of the declaration, "" where nothing was declared.
        compared: the built set that was looked at, "" if there was none to look at.
        rows: its number of rows.
        rows_without_key: those of them that cannot be compared.
        clips: level to test clips for which it is the strongest level met in this set.
        untimed: of the clips at level `recording`, those for which a time is unknown, so that it may be the same sound.
        sources: kinds of clip keys that both have (`yt`, `fs`, `bbc`, `sb`).
        is_same_dataset: it is a training split of the benchmark's own dataset, in any release.
        unknown: why it could not be looked at, or not all of it, with the command that builds it; "" if it was.
    """

    declared: str
    compared: str = ""
    rows: int = 0
    rows_without_key: int = 0
    clips: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(reversed(LEVELS), 0))
    untimed: int = 0
    sources: tuple[str, ...] = ()
    is_same_dataset: bool = False
    unknown: str = ""


@dataclass(frozen=True)
class Contamination:
    """Which clips of a benchmark a system has been trained on, as far as it can be known.

    Attributes:
        level: one of `CONTAMINATION_LEVELS`.
        item_ids: sorted ids of the test clips that the training data holds at level clip or segment.
        recording_ids: sorted ids of the others of whose recording the training data holds another part, or one of unknown time.
        evidence: one entry per declared set and split.
    """

    level: str
    item_ids: tuple[str, ...] = ()
    recording_ids: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    @property
    def n_clips(self) -> int:
        """How many test clips are concerned: those of `item_ids`, or those of `recording_ids` if there are none."""
        return len(self.item_ids or self.recording_ids)

    def tainted(self, level: str = "segment") -> frozenset[str]:
        """Returns the test clips that were trained on.

        Args:
            level: the weakest level that counts; `recording` adds those of whose recording another part is in the training data,
                or one of unknown time.

        Raises:
            UnknownNameError: there is no such level.
        """
        if level not in LEVELS[:2]:
            raise UnknownNameError("level", level, LEVELS[:2])
        return frozenset(self.item_ids + (self.recording_ids if level == "recording" else ()))

    def to_json(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""
        return {"n_clips": self.n_clips, **asdict(self)}


def contamination(training: TrainingData, benchmark_clips: ClipSet, data: Path) -> Contamination:
    """Returns which clips of a benchmark a system has been trained on.

    The rows of a training set go by; what is held in memory is the benchmark. A comparison is kept in memory for as long as the
    shards of the set and the clips of the benchmark stay the same.

    Args:
        training: what the system declares.
        benchmark_clips: what the benchmark holds.
        data: the folder that `uac build` wrote to.
    """
    found = [piece for one in training.sets for piece in _looked_at(one, benchmark_clips, data)]
    evidence = [piece for piece, _ in found]
    evidence += [Evidence(f"other: {text}", unknown="it is none of our datasets") for text in training.others]
    if not training.is_declared:
        evidence.append(Evidence("", unknown="no training data is declared"))
    items = {name for _, met in found for name in met.items}
    recordings = {name for _, met in found for name in met.recordings} - items
    level = (
        "test_items" if items
        else "train_split" if any(one.is_same_dataset for one in evidence)
        else "same_source" if recordings or any(one.sources for one in evidence)
        else "unknown" if any(one.unknown for one in evidence)
        else "none"
    )  # fmt: skip
    return Contamination(level, tuple(sorted(items)), tuple(sorted(recordings)), tuple(evidence))


@dataclass(frozen=True)
class _Met:
    """What a comparison found: test clips by level, and the kinds of keys that both sides have."""

    clips: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    untimed: int = 0
    kinds: tuple[str, ...] = ()
    rows_without_key: int = 0

    @property
    def items(self) -> tuple[str, ...]:
        return self.clips + self.segments


def _looked_at(one: TrainingSet, clips: ClipSet, data: Path) -> Iterator[tuple[Evidence, _Met]]:
    """Yields what is known about each split that a declared set stands for."""
    benchmark = clips.name.partition("/")[0]
    for split in _splits(one, data):
        name = f"{one.config}/{split}"
        is_training = split not in EVALUATION_SPLITS
        known = Evidence(str(one), is_same_dataset=is_training and _dataset(one.config) == _dataset(benchmark))
        if name == clips.name and not one.subset:
            yield replace(known, compared=name, rows=len(clips.ids), clips=_counts(clips.ids)), _Met(clips=clips.ids)
            continue
        try:
            built = built_set(name, data)
            narrowed = _narrowed(built, split, one.subset)
            met = _compared(_Comparison(_digest(narrowed), clips.digest, narrowed, clips))
        except (InputError, UnknownNameError):
            # The error names a folder of this machine, and evidence is for everyone to read.
            yield replace(known, unknown=f"it is not built here, or damaged: `{_command(one.config)}`"), _Met()
            continue
        in_mixture = {_dataset(part["set"].partition("/")[0]) for part in built.manifest.get("mixture", {}).get("sets", ())}
        known = replace(known, is_same_dataset=known.is_same_dataset or _dataset(benchmark) in in_mixture)
        found = replace(
            known,
            compared=str(replace(one, split=split)),
            rows=narrowed.rows,
            rows_without_key=met.rows_without_key,
            clips=_counts(met.clips, met.segments, met.recordings),
            untimed=met.untimed,
            sources=met.kinds,
            unknown=_gap(built, split, one.subset) or _blind(narrowed, met, clips),
        )
        yield found, met


def _counts(*found: Sequence[str]) -> dict[str, int]:
    """Returns the number of clips by level, strong to weak."""
    return {level: len(found[place]) if place < len(found) else 0 for place, level in enumerate(reversed(LEVELS))}


def _dataset(config: str) -> str:
    """Returns the corpus that a config is a release of."""
    return source(config).dataset if config in SOURCES.names() else config


def _command(config: str) -> str:
    """Returns what builds a config into the usual folder."""
    return source(config).build_command(Path("unified-audiocaps")) if config in SOURCES.names() else "uac mix RECIPE"


def _splits(one: TrainingSet, data: Path) -> list[str]:
    """Returns the splits that a declared set stands for, built or not."""
    if one.split:
        return [one.split]
    try:
        built = list(built_set(one.config, data).splits)
    except (InputError, UnknownNameError):
        built = []
    if one.config not in SOURCES.names():
        return _trained_on(built) or ["train"]
    known = source(one.config)
    splits = _trained_on(known.splits)
    # Some configs take whichever splits the user's files have: of these, the ones without a published size need not be there.
    there = [split for split in splits if split in built]
    return [split for split in splits if split in built or known.card.clips.get(split)] if there else splits


def _trained_on(splits: Sequence[str]) -> list[str]:
    """Returns the training splits; all of them if there are only splits to evaluate on."""
    return [split for split in splits if split not in EVALUATION_SPLITS] or list(splits)


def _narrowed(built: BuiltSet, split: str, subset: str) -> BuiltSet:
    """Returns one subset of one split, as a set whose manifest holds nothing else.

    Raises:
        InputError: the subset was not built.
    """
    shards = [shard for shard in built.manifest["splits"][split]["shards"] if subset in ("", shard.get("subset"))]
    if subset and not shards:
        raise InputError(f"subset {subset} of {built.name} is not built.")
    rows = sum(int(shard["rows"]) for shard in shards)
    return replace(built, manifest={"splits": {split: {"rows": rows, "shards": shards}}})


def _gap(built: BuiltSet, split: str, subset: str) -> str:
    """Returns why a built split is not all that its publisher gives out, "" if it is."""
    manifest = built.manifest
    meant = [part for part in manifest.get("parts", ()) if part["split"] == split and subset in ("", part.get("subset"))]
    rules = {rule for part in meant for rule in part.get("dropped", {}) if rule.startswith(("overlap:", "score:"))}
    prefix = f"{split}/"
    subsets = [] if subset else [label.removeprefix(prefix) for label in manifest.get("skipped", ()) if label.startswith(prefix)]
    clips = source(built.config).card.clips.get(split) if built.config in SOURCES.names() and not subset else None
    rows = int(manifest["splits"][split]["rows"])
    if manifest.get("limit") is not None:
        return f"only a part of it is built here: --limit {manifest['limit']}"
    if rules:
        return f"it was built here without some of its rows, under the rules {', '.join(sorted(rules))}"
    if subsets:
        return f"only a part of it is built here, without {', '.join(subsets)}"
    if clips and rows < WHOLE_SHARE * clips:
        return f"only a part of it is built here: {rows:,} of {clips:,} clips"
    return ""


def _blind(built: BuiltSet, met: _Met, clips: ClipSet) -> str:
    """Returns why a comparison says nothing, "" if it says something."""
    if built.rows and met.rows_without_key == built.rows:
        return "no row of it says which recording it holds"
    if clips.ids and not any(clips.keys.values()):
        return "no clip of the benchmark says which recording it holds"
    return ""


def _digest(built: BuiltSet) -> str:
    """Returns the digest of what the manifest says about the shards of a set, their own digests among it."""
    return hashlib.sha256(json.dumps(built.manifest, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Comparison:
    """A question, the same as another one if the digests are."""

    training_digest: str
    benchmark_digest: str
    training: BuiltSet = field(compare=False)
    clips: ClipSet = field(compare=False)


@lru_cache(maxsize=256)
def _compared(asked: _Comparison) -> _Met:
    """Returns what a training set holds of a benchmark; its rows go by in batches.

    Raises:
        InputError: a shard of the training set is missing or was cut.
    """
    index, ids = asked.clips.index, asked.clips.ids
    best, is_untimed = np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
    kinds: set[str] = set()
    without_key = 0
    for batch in asked.training.batches(_LEAVES, rows=_ROWS_AT_ONCE):
        listed = batch["clip_keys"]
        without_key += pc.sum(pc.equal(pc.list_value_length(listed), 0)).as_py() or 0
        kinds |= {kind for kind in asked.clips.kinds - kinds if pc.any(pc.starts_with(listed.flatten(), f"{kind}:")).as_py()}
        for some in index.matches(places(batch)):
            clip = index.found.rows[some.right]
            np.maximum.at(best, clip, some.level)
            is_untimed[clip[np.isnan(some.shared_s)]] = True
    recordings, segments, clips = (tuple(ids[i] for i in np.flatnonzero(best == level)) for level in (1, 2, 3))
    untimed = int((is_untimed & (best == 1)).sum())
    return _Met(clips, segments, recordings, untimed, tuple(sorted(kinds)), without_key)


# -- scores over clean clips ---------------------------------------------------------------------------------------------------
