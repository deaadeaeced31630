"""Clotho-AQA: questions about Clotho recordings, each answered by three people; no captions.

Source: Lipping et al. 2022, "Clotho-AQA: A Crowdsourced Dataset for Audio Question Answering"; Zenodo record 6473207. Per split a
csv with `file_name, QuestionText, answer, confidence`; optionally `clotho_aqa_metadata.csv`, for all splits, with the Freesound
id of each file. One row here is a recording with all answers in the order of the file, equal ones too; row id
`clotho_aqa/<split>/<file name>`. The answerer's confidence (yes, maybe, no) is the score `confidence` (1, 0.5, 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from .. import keys
from ..rows import Origin, Row, RowSource, grouped, origins, question
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import zenodo

_CONFIDENCE = {"yes": 1.0, "maybe": 0.5, "no": 0.0}
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_METADATA = ("file_name", "sound_id")


class ClothoAqa(RowSource):
    """Questions only: the captions of most recordings are in Clotho."""

    name = "clotho_aqa"
    dataset = "clotho_aqa"
    title = "Clotho-AQA"
    release = "1.0"
    splits = tuple(_SPLITS)
    split_aliases: ClassVar[dict[str, str]] = {"val": "validation"}
    files = tuple(
        file
        for split, name in _SPLITS.items()
        for file in (
            UpstreamFile(f"clotho_aqa_{name}.csv", split),
            UpstreamFile("clotho_aqa_metadata.csv", split, role="metadata", is_needed=False),
        )
    )
    repo = "zenodo.org/records/6473207"
    remote = zenodo(6473207, *dict.fromkeys(file.name for file in files))
    where_to_get = "They are on https://zenodo.org/records/6473207; the metadata file is optional."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the recordings in order of appearance."""
        file = part.files["captions"]
        described = self._metadata(part)
        tables = csvfile.read(file, ("file_name", "QuestionText", "answer", "confidence"))
        for (name,), found in grouped(origins(file, tables), "file_name").items():
            metadata = described.get(name)
            record = metadata.record if metadata else {}
            key = keys.freesound_key(record.get("sound_id", ""))
            words = [word.strip() for word in record.get("keywords", "").split(";")]
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{name}",
                    "source_key": name,
                    "qa": [_question(one.record) for one in found],
                    "tags": [{"label": word, "scheme": "clotho"} for word in words if word],
                    "audio_ref": {
                        "kind": "freesound",
                        "key": record["sound_id"] if key else None,
                        "url": record.get("sound_link") if key else None,
                        "file_name": name,
                    },
                    "attribution": record.get("manufacturer"),
                    "license_audio": record.get("license") or self.card.license_audio,
                    "clip_keys": [key] if key else [],
                },
                [*found, *([metadata] if metadata else [])],
            )

    @staticmethod
    def _metadata(part: Part) -> dict[str, Origin]:
        """Returns the metadata by file name; nothing if the file is not there."""
        if "metadata" not in part.files:
            return {}
        file = part.files["metadata"]
        found = list(origins(file, csvfile.read(file, _METADATA, encodings=("utf-8", "iso8859-1"))))
        by_name = {one.record["file_name"]: one for one in found}
        if len(by_name) != len(found):
            raise file.error("expected one line of metadata per file name", field="file_name")
        return by_name

    def derived(self, row: Record) -> list[Record]:
        """Returns one line per answer, and the line of metadata if there is one."""
        lines: list[Record] = [
            {
                "file_name": row["source_key"],
                "QuestionText": one["question"],
                "answer": one["answer"],
                "confidence": next(
                    (word for word, value in _CONFIDENCE.items() for s in one["scores"] if s["value"] == value), None
                ),
            }
            for one in row["qa"]
        ]
        if len(row["provenance"]) > len(lines):
            lines.append({"file_name": row["source_key"]})
        return lines


def _question(record: Record) -> Record:
    value = _CONFIDENCE.get(record["confidence"])
    scores = [] if value is None else [{"name": "confidence", "value": value}]
    return question(record["QuestionText"], record["answer"], origin="human", scores=scores)
