"""The two benchmarks of MECAT: captions in nine groups, answers in six categories, and one score for each.

A group is scored on its own, with its own idf and its own pool of items to be told apart. The overall score weighs the groups.

    score_caption = 0.4 (0.8 long + 0.2 short) + 0.4 (0.6 speech + 0.3 music + 0.1 sound) + 0.2 environment

where speech, music and sound are the mean of their pure and their mixed group; score_qa is the plain mean of the six categories.
Source: MECAT (arXiv:2507.23511), section 4, and the README of its repository.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..workspace import Options
from .groups import Group, GroupedBenchmark

SET = "mecat/test"
CAPTION_COLUMNS, QUESTION_COLUMNS = ("id", "source_key", "domain", "captions"), ("qa",)
SUBTASKS = ("long", "short", "speech", "music", "sound", "environment")
CATEGORIES = (
    "direct_perception",
    "sound_characteristics",
    "quality_assessment",
    "environment_reasoning",
    "inference_judgement",
    "application_context",
)
_ALL = ("000", "00A", "0M0", "0MA", "S00", "S0A", "SM0", "SMA")
_MIXED = ("SMA", "SM0", "S0A", "0MA")
# name, subtask, domains, weight in the overall score
CAPTION_GROUPS = (
    ("content_long", "long", _ALL, 0.4 * 0.8),
    ("content_short", "short", _ALL, 0.4 * 0.2),
    ("pure_speech", "speech", ("S00",), 0.4 * 0.6 / 2),
    ("mixed_speech", "speech", _MIXED, 0.4 * 0.6 / 2),
    ("pure_music", "music", ("0M0",), 0.4 * 0.3 / 2),
    ("mixed_music", "music", _MIXED, 0.4 * 0.3 / 2),
    ("pure_sound", "sound", ("00A",), 0.4 * 0.1 / 2),
    ("mixed_sound", "sound", _MIXED, 0.4 * 0.1 / 2),
    ("environment", "environment", _ALL, 0.2),
)
# of the release that the papers report
TEST_CLIPS, TEST_QUESTIONS = 20_052, 100_260


def metrics_of(options: Options) -> tuple[str, ...]:
    """Returns the metrics that MECAT reports; without an error checker FENSE is what SBERT-sim says, and is called so."""
    return ("date", "fense" if options.checker else "sbert_sim")


def captions(table: pa.Table) -> GroupedBenchmark:
    """Returns the caption benchmark from rows of the built test split.

    Args:
        table: its columns `CAPTION_COLUMNS`.

    Raises:
        InputError: a domain is missing, or a clip has no caption in one of the styles.
    """
    listed = table["captions"].combine_chunks()
    ids, domains = table["id"].to_pylist(), table["domain"].to_pylist()
    by_subtask = {subtask: _texts(listed, ids, subtask) for subtask in SUBTASKS}
    groups = []
    for name, subtask, taken, weight in CAPTION_GROUPS:
        texts = by_subtask[subtask]
        references = {id_: texts[id_] for id_, domain in zip(ids, domains, strict=True) if domain in taken}
        if not references:
            raise InputError(f"{SET} has no clip of {', '.join(taken)}; build the whole split: uac build mecat --force")
        groups.append(Group(name, subtask, weight, references))
    aliases = {**dict(zip(table["source_key"].to_pylist(), ids, strict=True)), **{id_: id_ for id_ in ids}}
    return GroupedBenchmark("score_caption", tuple(groups), aliases, len(ids) == TEST_CLIPS)


def _texts(listed: pa.ListArray, ids: list[str], style: str) -> dict[str, tuple[str, ...]]:
    flat = pc.list_flatten(listed)
    keep = pc.equal(flat.field("style"), style)
    owners = pc.list_parent_indices(listed).filter(keep).to_pylist()
    found: dict[str, list[str]] = {id_: [] for id_ in ids}
    for owner, text in zip(owners, flat.field("text").filter(keep).to_pylist(), strict=True):
        found[ids[owner]].append(text)
    empty = [id_ for id_, texts in found.items() if not texts]
    if empty:
        raise InputError(
            f"{len(empty):,} of {len(ids):,} clips of {SET} have no {style} caption; build it anew: uac build mecat --force",
            [Problem("E_REFERENCES", f"{shorten(id_)} has no {style} caption", id=id_) for id_ in empty],
        )
    return {id_: tuple(texts) for id_, texts in found.items()}


def answers(table: pa.Table) -> GroupedBenchmark:
    """Returns the question benchmark from rows of the built test split; an item is a question, under its upstream id.

    Args:
        table: its columns `QUESTION_COLUMNS`.

    Raises:
        InputError: there is no question of a category.
    """
    flat = pc.list_flatten(table["qa"].combine_chunks())
    columns = [flat.field(name).to_pylist() for name in ("qa_id", "category", "difficulty", "answer")]
    references: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in CATEGORIES}
    levels: dict[str, dict[str, str]] = {name: {} for name in CATEGORIES}
    for id_, category, difficulty, answer in zip(*columns, strict=True):
        if category in references:
            references[category][id_] = (answer,)
            levels[category][id_] = difficulty
    missing = [name for name in CATEGORIES if not references[name]]
    if missing:
        raise InputError(f"{SET} has no question of {', '.join(missing)}; build it anew: uac build mecat --force")
    groups = tuple(Group(name, "qa", 1 / len(CATEGORIES), references[name], levels[name]) for name in CATEGORIES)
    aliases = {id_: id_ for group in groups for id_ in group.references}
    return GroupedBenchmark("score_qa", groups, aliases, len(aliases) == TEST_QUESTIONS)
