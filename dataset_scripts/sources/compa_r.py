"""CompA-R: questions about AudioSet clips that ask for reasoning, with answers of a language model.

Source: Ghosh et al. 2024, "GAMA: A Large Audio-Language Model with Advanced Audio Understanding and Complex Reasoning
Abilities"; two JSON lists. Training records are one question each, those of a clip are joined here; test records hold a clip
with all its questions. Row id `compa_r/<split>/<file name without its ending>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from .. import keys
from ..rows import Origin, Row, RowSource, grouped, origins, question, shared
from ..source import Record
from ..upstream.files import Part, UpstreamFile
from ..upstream.jsonlist import listed
from ..upstream.jsonrecords import Shape

_SAME = ("input", "dataset")
_TRAIN = Shape(
    texts=("audio_id", "instruction", "input", "dataset", "task", "output"), needed=("audio_id", "instruction", "output")
)
_TEST = Shape(texts=("audio_id", "input", "dataset", "task"), needed=("audio_id",))


class CompaR(RowSource):
    """Questions only: there are no captions."""

    name = "compa_r"
    dataset = "compa_r"
    title = "CompA-R"
    release = "1.0"
    splits = ("train", "test")
    files = (UpstreamFile("CompA-R.json", "train"), UpstreamFile("CompA-R-test.json", "test"))
    repo = "github.com/Sreyan88/GAMA"
    where_to_get = "The README of https://github.com/Sreyan88/GAMA links to them."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the clips in order of appearance."""
        file = part.files["captions"]
        if part.split == "test":
            for origin in origins(file, listed(file, _TEST)):
                asked = _asked(origin)
                yield self._row(part, [origin], [(one["instruction"], one["output"], origin) for one in asked])
            return
        for found in grouped(origins(file, listed(file, _TRAIN)), "audio_id").values():
            yield self._row(part, found, [(one.record["instruction"], one.record["output"], one) for one in found])

    def _row(self, part: Part, found: list[Origin], asked: list[tuple[str, str, Origin]]) -> Row:
        path = found[0].record["audio_id"]
        name = PurePosixPath(path).name
        video = keys.audioset_video(name)
        return Row(
            {
                "id": f"{self.name}/{part.split}/{keys.without_sound_suffix(name)}",
                "source_key": path,
                "qa": [
                    question(text, answer, task=_text(one, "task"), context=_text(one, "input") or None, origin="llm")
                    for text, answer, one in asked
                ],
                "audio_ref": {"kind": "youtube" if video else "file", "key": video, "file_name": name, "member": path},
                "clip_keys": [keys.video_key(video)] if video else [],
            },
            found,
            shared(found, *_SAME),
        )

    def derived(self, row: Record) -> list[Record]:
        """Returns one record per question (train), or one with all of them (test)."""
        extra = json.loads(row["extra_json"])
        common = {"audio_id": row["source_key"], **{name: extra.get(name) for name in _SAME}}
        if row["split"] == "test":
            pairs = [{"instruction": one["question"], "output": one["answer"]} for one in row["qa"]]
            return [{**common, "task": row["qa"][0]["task"] if row["qa"] else None, "instruction_output": pairs}]
        return [
            {
                **common,
                "instruction": one["question"],
                "output": one["answer"],
                "task": one["task"],
                "input": one["context"] or common["input"],
            }
            for one in row["qa"]
        ]


def _text(origin: Origin, name: str) -> str | None:
    value = origin.record.get(name)
    return value if isinstance(value, str) else None


def _asked(origin: Origin) -> list[Record]:
    found = origin.record.get("instruction_output")
    for one in found if isinstance(found, list) else [None]:
        texts = [one.get(name) for name in ("instruction", "output")] if isinstance(one, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise origin.file.error(
                "expected a list of objects with instruction and output",
                record=origin.position + 1,
                field="instruction_output",
                value=found,
            )
    return found or []
