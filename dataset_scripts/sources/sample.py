"""Twenty-four clips of our own: everything can be tried without a download.

Source: this project (`_sample_sounds`, `_sample_texts`). Sound is embedded as FLAC, equal on every build with equal library
versions. An upstream record is the dictionary that `records` yields; its file is called `sample`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import pyarrow as pa

from ..keys import file_key
from ..schema import SCHEMA
from ..source import Record, Source
from ..upstream.files import Part
from ._sample_sounds import RATE_HZ, flac, sound
from ._sample_texts import TEST, TRAIN, Texts


class Sample(Source):
    """The embedded sample."""

    name = "sample"
    dataset = "sample"
    title = "Sample"
    release = "1"
    splits = ("train", "test")
    repo = "unified-audiocaps"
    row_group_rows: ClassVar[int] = 100

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the twelve clips of a split."""
        clips = TRAIN if part.split == "train" else TEST
        rows = [self._row(part.split, position, name, texts) for position, (name, texts) in enumerate(clips.items())]
        columns = {key: pa.array([row[key] for row in rows], SCHEMA.field(key).type) for key in rows[0]}
        yield self.batch(part, len(rows), **columns)

    def _row(self, split: str, position: int, name: str, texts: Texts) -> Record:
        samples = sound(name)
        encoded = flac(samples)
        return {
            "id": f"sample/{split}/{name}",
            "source_key": name,
            "captions": [
                {
                    "text": text,
                    "style": "default",
                    "index": index,
                    "upstream_id": f"{name}-{index + 1}",
                    "origin": "human",
                    "language": "en",
                    "annotator": f"writer-{index + 1}",
                    "is_absent": False,
                    "scores": [],
                }
                for index, text in enumerate(texts.captions)
            ],
            "audio": {"bytes": encoded, "path": f"{name}.flac"},
            "audio_ref": {"kind": "embedded", "key": name, "file_name": f"{name}.flac"},
            "duration_s": len(samples) / RATE_HZ,
            "sampling_rate_hz": RATE_HZ,
            "n_channels": 1,
            "domain": texts.domain,
            "qa": [
                {
                    "qa_id": f"{name}-q{number}",
                    "question": question,
                    "answer": answer,
                    "category": category,
                    "origin": "human",
                    "is_absent": False,
                    "scores": [],
                }
                for number, (category, question, answer) in enumerate(texts.questions, start=1)
            ],
            "tags": [{"label": tag, "scheme": "sample"} for tag in texts.tags],
            "attribution": "the unified-audiocaps project",
            "clip_keys": [file_key(encoded)],
            "provenance": [{"repo": self.repo, "revision": self.release, "file": "sample", "row": position}],
        }

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one record of a clip."""
        offset = 0 if row["split"] == "train" else len(TRAIN)
        yield (
            "sample",
            offset + row["provenance"][0]["row"],
            {
                "name": row["source_key"],
                "domain": row["domain"],
                "tags": [tag["label"] for tag in row["tags"]],
                "captions": [caption["text"] for caption in row["captions"]],
                "questions": [[qa["category"], qa["question"], qa["answer"]] for qa in row["qa"]],
            },
        )
