"""AudioDiffCaps: pairs of synthetic scenes with instructions that turn the first into the second.

Source: Takeuchi et al. 2023, "Audio Difference Captioning Utilizing Similarity-Discrepancy Disentanglement"; per scene (rain,
traffic) and split a csv with `key, s1_fn, s2_fn, caption_1..caption_5`. Row id `audiodiffcaps/<subset>/<key>`. An empty cell
is a caption that nobody wrote; `index` is the number of the column, from 0. What the first scene of a pair was mixed from stands
in a file of its own, `<key>_s1.jams`, as Scaper 1.6.5 wrote it: where these files are, they fill `events`, of the first scene.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from ..errors import InputError
from ..rows import Origin, Row, RowSource, caption, origins
from ..source import LeftOut, Record
from ..upstream import csvfile
from ..upstream.files import Found, Part, RawFile, UpstreamFile
from ..upstream.remote import github

_CAPTIONS = tuple(f"caption_{i}" for i in range(1, 6))
_SCENES = ("rain", "traffic")
_SCENE_S = 10.0
_COLUMNS = ("key", "s1_fn", "s2_fn", *_CAPTIONS)
_SCENE_FILE = re.compile(r"adc_(?P<subset>rain|traffic)_(?P<split>dev|eval)_[0-9]+_s1\.jams")
_RULE = "scene_without_pair"


class AudioDiffCaps(RowSource):
    """Both scenes; the instructions are the captions, in style `difference`."""

    name = "audiodiffcaps"
    dataset = "audiodiffcaps"
    title = "AudioDiffCaps"
    release = "1.0"
    splits = ("dev", "eval")
    split_aliases: ClassVar[dict[str, str]] = {"development": "dev", "evaluation": "eval"}
    files = tuple(UpstreamFile(f"adc_{scene}_{split}.csv", split, subset=scene) for split in ("dev", "eval") for scene in _SCENES)
    repo = "github.com/nttcslab/audio-diff-caps"
    primary_style = "difference"
    remote = github(
        "nttcslab/audio-diff-caps",
        "49cc8f8395077515fb0f98f54ca0efbf7d232bdd",
        {f"datasets/adc_{file.subset}/{file.split}/{file.name}": None for file in files},
    )
    where_to_get = "They are in the folders below `datasets` of https://github.com/nttcslab/audio-diff-caps."

    def locate(self, raw: Path | None, without: Path | None = None) -> Found:
        """Returns what can be built; every part has the files of its scenes that are there, each under its name as role.

        Raises:
            InputError: nothing can be built, or the file of a scene is there twice.
        """
        found = super().locate(raw, without)
        if raw is None:
            return found
        scenes: dict[tuple[str, str], dict[str, RawFile]] = {(part.split, part.subset or ""): {} for part in found.parts}
        unknown = []
        for name in found.unknown:
            known = _SCENE_FILE.fullmatch(PurePosixPath(name).name)
            there = scenes.get((known["split"], known["subset"])) if known else None
            if known is None or there is None:
                unknown.append(name)
                continue
            if known[0] in there:
                raise InputError(f"{self.name}: {there[known[0]].name} and {name} have the same name; keep one.")
            there[known[0]] = RawFile(self.name, raw / name, name)
        parts = [Part(part.split, part.subset, part.files | scenes[part.split, part.subset or ""]) for part in found.parts]
        return Found(tuple(parts), found.missing, tuple(unknown))

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the pairs in the order of the file."""
        scenes = _scenes(part)
        for origin in _pairs(part):
            record = origin.record
            # A key that is there twice has its scene once: the first row keeps it.
            file = scenes.pop(_scene_name(record), None)
            scene = Origin(file, 0, _read(file)) if file is not None else None
            yield Row(
                {
                    "id": f"{self.name}/{part.subset}/{record['key']}",
                    "source_key": record["key"],
                    "captions": [
                        caption(record[name], style="difference", side="pair", index=index, origin="human")
                        for index, name in enumerate(_CAPTIONS)
                        if record[name]
                    ],
                    "audio_ref": {"kind": "file", "file_name": record["s1_fn"]},
                    "audio_ref_b": {"kind": "file", "file_name": record["s2_fn"]},
                    "duration_s": _SCENE_S,
                    "duration_b_s": _SCENE_S,
                    "sampling_rate_hz": 44_100,
                    "events": _events(scene) if scene is not None else None,
                },
                [origin, *([scene] if scene is not None else [])],
            )

    def left_out(self, part: Part) -> Iterator[LeftOut]:
        """Yields the scenes that no pair begins with."""
        scenes = _scenes(part)
        for origin in _pairs(part) if scenes else ():
            scenes.pop(_scene_name(origin.record), None)
        for name, file in scenes.items():
            key = name.removesuffix("_s1.jams")
            yield LeftOut(_RULE, f"{self.name}/{part.subset}/{key}", file.name, 0, _read(file))

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the pair; the record of its scene is kept whole, since events say only a part of it."""
        texts = dict.fromkeys(_CAPTIONS, "") | {_CAPTIONS[one["index"]]: one["text"] for one in row["captions"]}
        names = {"s1_fn": row["audio_ref"]["file_name"], "s2_fn": row["audio_ref_b"]["file_name"]}
        return [{"key": row["source_key"], **names, **texts}, *({} for _ in row["provenance"][1:])]


def _pairs(part: Part) -> Iterator[Origin]:
    file = part.files["captions"]
    return origins(file, csvfile.read(file, _COLUMNS))


def _scenes(part: Part) -> dict[str, RawFile]:
    return {name: file for name, file in part.files.items() if name != "captions"}


def _scene_name(pair: Record) -> str:
    return f"{str(pair['s1_fn']).removesuffix('.wav')}.jams"


def _read(file: RawFile) -> Record:
    """Returns the content of a JAMS file.

    Raises:
        RecordError: it is no JSON object.
    """
    text = file.decode(b"".join(file.blocks()), 1)
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise file.error(f"expected JSON as JAMS files have it ({problem})") from None
    if not isinstance(found, dict):
        raise file.error("expected a JSON object", value=found)
    return found


def _events(scene: Origin) -> list[Record]:
    """Returns the sounds that a scene was mixed from, background first as Scaper lists them.

    Raises:
        RecordError: the file is not as Scaper writes it.
    """
    events = []
    for annotation in _list(scene, scene.record, "annotations"):
        if annotation.get("namespace") != "scaper":
            continue
        for one in _list(scene, annotation, "data"):
            value = one.get("value")
            if not isinstance(value, dict):
                raise scene.file.error("expected an object", field="value", value=value)
            events.append(
                {
                    **{field: _text(scene, value, name) for field, name in _TEXTS.items()},
                    "onset_s": _number(scene, one, "time"),
                    "duration_s": _number(scene, one, "duration"),
                    "snr_db": _number(scene, value, "snr"),
                }
            )
    return events


_TEXTS = {"role": "role", "label": "label", "file": "source_file"}


def _list(scene: Origin, record: Record, name: str) -> list[Record]:
    found = record.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise scene.file.error("expected a list of objects", field=name, value=found)
    return found


def _text(scene: Origin, record: Record, name: str) -> str:
    found = record.get(name)
    if not isinstance(found, str):
        raise scene.file.error("expected a text", field=name, value=found)
    return found


def _number(scene: Origin, record: Record, name: str) -> float:
    found: Any = record.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise scene.file.error("expected a number", field=name, value=found)
    return float(found)
