"""ADIFF: what differs between two clips of AudioCaps (ACD) or Clotho (CLD), told by a language model at three lengths.

Source: Deshmukh et al. 2025, "ADIFF: Explaining audio difference using natural language"; per subset, split and tier (fewwords,
sentence, detail) a csv with `taskname, filepath1, filepath2, caption1, caption2, input, answer`. The tiers of a split list the
same pairs in the same order, so a row here is a pair (two files and the caption chosen for each) with all its answers.
Row id `adiff/<subset>/<split>/<file 1>|<file 2>#<8 hex digits of the captions>`: a pair of files can occur with other captions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import ClassVar

from .. import keys
from ..rows import Origin, Row, RowSource, caption, grouped, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import github

_PAIR = ("taskname", "filepath1", "filepath2", "caption1", "caption2")
_TIERS = ("fewwords", "sentence", "detail")
# Published names of the splits per subset; the first one of each is what the file names say.
_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "ACD": {"train": ("train",), "validation": ("val",), "test": ("test",)},
    "CLD": {"train": ("development", "train"), "validation": ("validation", "val"), "test": ("evaluation", "test")},
}
_COMMIT = "280c3e15abbf6da4371c5c0636c2037bf0964fcc"


def _file(subset: str, split: str, tier: str) -> UpstreamFile:
    name, *others = (f"{subset.lower()}_{one}_adiff_{tier}_answer.csv" for one in _NAMES[subset][split])
    return UpstreamFile(name, split, role=tier, subset=subset, aliases=tuple(others), is_needed=False)


class Adiff(RowSource):
    """Both subsets; answers have style `difference`, their tier as `variant` and the request as `prompt`."""

    name = "adiff"
    dataset = "adiff"
    title = "ADIFF"
    release = "1.0"
    splits = ("train", "validation", "test")
    split_aliases: ClassVar[dict[str, str]] = {"val": "validation", "development": "train", "evaluation": "test"}
    files = tuple(_file(subset, split, tier) for split in ("train", "validation", "test") for subset in _NAMES for tier in _TIERS)
    repo = "github.com/soham97/ADIFF"
    remote = github("soham97/ADIFF", _COMMIT, {f"data/{file.subset}/{file.name}": None for file in files})
    where_to_get = "They are in the folders `data/ACD` and `data/CLD` of https://github.com/soham97/ADIFF."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the pairs in order of appearance; a tier's file may be missing."""
        tiers = [tier for tier in _TIERS if tier in part.files]
        tables = (origins(part.files[tier], csvfile.read(part.files[tier], (*_PAIR, "input", "answer"))) for tier in tiers)
        tier_of = {part.files[tier].name: tier for tier in tiers}
        for (_, first, second, *captions), found in grouped(chain.from_iterable(tables), *_PAIR).items():
            stems = [keys.without_sound_suffix(PurePosixPath(path).name) for path in (first, second)]
            digest = hashlib.sha256("\0".join(captions).encode()).hexdigest()[:8]
            yield Row(
                {
                    "id": f"{self.name}/{part.subset}/{part.split}/{'|'.join(stems)}#{digest}",
                    "source_key": f"{first}|{second}",
                    "captions": [
                        *(caption(text, side=side, index=0, origin="human") for side, text in zip("ab", captions, strict=True)),
                        *self._answers(found, tier_of),
                    ],
                    "caption_b": captions[1],
                    "audio_ref": _reference(first),
                    "audio_ref_b": _reference(second),
                    "clip_keys": _clip_keys(first, second),
                },
                found,
                {"taskname": found[0].record["taskname"]},
            )

    @staticmethod
    def _answers(found: list[Origin], tier_of: dict[str, str]) -> Iterator[Record]:
        seen: dict[str, int] = {}
        for origin in found:
            tier = tier_of[origin.file.name]
            seen[tier] = seen.get(tier, -1) + 1
            yield caption(
                origin.record["answer"],
                style="difference",
                side="pair",
                variant=tier,
                prompt=origin.record["input"],
                index=seen[tier],
                origin="llm",
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns one line per answer."""
        first, second, *answers = row["captions"]
        pair = {
            "filepath1": row["audio_ref"]["member"],
            "filepath2": row["audio_ref_b"]["member"],
            "caption1": first["text"],
            "caption2": second["text"],
            **json.loads(row["extra_json"]),
        }
        return [{**pair, "input": one["prompt"], "answer": one["text"]} for one in answers]


def _reference(path: str) -> Record:
    """Returns where a clip comes from: AudioCaps files carry the video's id, Clotho files the sound's own name."""
    name = PurePosixPath(path).name
    video = keys.audioset_video(name) if path.startswith("AudioCaps") else None
    return {"kind": "youtube" if video else "file", "key": video, "file_name": name, "member": path}


def _clip_keys(*paths: str) -> list[str]:
    videos = [_reference(path)["key"] for path in paths]
    return list(dict.fromkeys(keys.video_key(video) for video in videos if video))
