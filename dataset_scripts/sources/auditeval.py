"""AuditEval: requests to rate an edited clip against the original, each with the captions of both.

Source: the repository NKU-HLT/AuditEval, `infer_batch.jsonl`; lines `{"messages", "label", "audios"}` as fine-tuning tools read
them. The two captions stand at the end of the message; the message as a whole is in `extra_json`. File names follow
`<n>_<operation>_<from>_2_<to>_{ori,tar}.wav`, where from and to tell which of the clips a, b, c are heard. Row id
`auditeval/test/<file name without _ori.wav>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from .. import keys
from ..rows import Origin, Row, RowSource, caption, origins
from ..source import Record
from ..upstream.files import Part, UpstreamFile
from ..upstream.jsonlines import plain_lines
from ..upstream.jsonrecords import Shape
from ..upstream.remote import github

_LINES = Shape(lists=("audios",), needed=("audios",))
_CAPTIONS = re.compile(r"Original Caption:\n(?P<a>.*?)\n\nTarget Caption:\n(?P<b>.*?)\n?\Z", re.DOTALL)
_NAME = re.compile(r"(?P<n>[0-9]+)_(?P<operation>[a-z]+)_(?P<before>[abc]+)_2_(?P<after>[abc]+)_ori")
_OPERATIONS = {"add": "add", "del": "delete", "delete": "delete", "remove": "delete", "rep": "replace", "replace": "replace"}
_SCORES = ("quality", "relevance", "faithfulness")


class AuditEval(RowSource):
    """The published batch; an edit is a pair: `caption` tells the original, `caption_b` the target."""

    name = "auditeval"
    dataset = "auditeval"
    title = "AuditEval"
    release = "1.0"
    splits = ("test",)
    files = (UpstreamFile("infer_batch.jsonl", "test"),)
    repo = "github.com/NKU-HLT/AuditEval"
    remote = github("NKU-HLT/AuditEval", "4e19866381e59f16b63cddd9cf58fbf7e3c82dbe", {"AuditEval-llm/infer_batch.jsonl": None})
    where_to_get = "It is in the folder `AuditEval-llm` of https://github.com/NKU-HLT/AuditEval."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the edits in the order of the file."""
        file = part.files["captions"]
        for origin in origins(file, plain_lines(file, _LINES)):
            before, after = _pair(origin)
            original, target = _captions(origin)
            stem = keys.without_sound_suffix(PurePosixPath(before).name)
            name = _NAME.fullmatch(stem)
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{stem.removesuffix('_ori')}",
                    "source_key": before,
                    "captions": [caption(original, side="a", index=0), caption(target, side="b", index=0)],
                    "caption_b": target,
                    "audio_ref": {"kind": "file", "file_name": PurePosixPath(before).name, "member": before},
                    "audio_ref_b": {"kind": "file", "file_name": PurePosixPath(after).name, "member": after},
                    "operation": _OPERATIONS.get(name["operation"], "other") if name else None,
                    "base_clip": name["n"] if name else None,
                    "scores": _scores(origin),
                },
                [origin],
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the two files and the label; the message is in `extra_json`."""
        label = [score["value"] for score in row["scores"] if score["producer"] == "label"] or None
        return [{"audios": [row["audio_ref"]["member"], row["audio_ref_b"]["member"]], "label": label}]


def _pair(origin: Origin) -> list[str]:
    audios: list[str] = origin.record["audios"]
    if len(audios) != 2:
        raise _error(origin, "audios", audios, "expected two files, the original and the edited one")
    return audios


def _captions(origin: Origin) -> tuple[str, str]:
    messages = origin.record.get("messages")
    texts = [one.get("content") for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    for text in texts:
        found = _CAPTIONS.search(text) if isinstance(text, str) else None
        if found:
            return found["a"], found["b"]
    raise _error(origin, "messages", messages, "expected a message that ends with an original and a target caption")


def _scores(origin: Origin) -> list[Record]:
    label = origin.record.get("label")
    if label is None:
        return []
    if not isinstance(label, list) or len(label) != len(_SCORES) or not all(isinstance(one, int | float) for one in label):
        raise _error(origin, "label", label, f"expected three numbers: {', '.join(_SCORES)}")
    return [{"name": name, "value": value, "producer": "label"} for name, value in zip(_SCORES, label, strict=True)]


def _error(origin: Origin, name: str, value: Any, expected: str) -> Exception:
    return origin.file.error(expected, record=origin.position + 1, field=name, value=value)
