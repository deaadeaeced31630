"""ESC-50: 2,000 recordings of five seconds in 50 classes, five folds; no captions.

Source: Piczak 2015, "ESC: Dataset for Environmental Sound Classification"; `meta/esc50.csv` with `filename, fold, target,
category, esc10, src_file, take`. File names follow `<fold>-<Freesound id>-<take>-<target>.wav`: where a column is missing, the
name says it. Row id `esc50/train/<file name>`; the folds are subsets, since the set has no split of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import ClassVar

from .. import keys
from ..rows import Row, RowSource, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import github

_NAME = re.compile(r"(?P<fold>[1-5])-(?P<src_file>[0-9]+)-(?P<take>[A-Z]+)-(?P<target>[0-9]+)\.wav")
_COLUMNS = ("fold", "target", "category", "src_file")


class Esc50(RowSource):
    """Classes are tags; `subset` is the fold."""

    name = "esc50"
    dataset = "esc50"
    title = "ESC-50"
    release = "1.0"
    splits = ("train",)
    files = (UpstreamFile("esc50.csv", "train"),)
    repo = "github.com/karolpiczak/ESC-50"
    remote = github("karolpiczak/ESC-50", "master", {"meta/esc50.csv": None})
    where_to_get = "It is in the folder `meta` of https://github.com/karolpiczak/ESC-50."
    own_extra: ClassVar[tuple[str, ...]] = ("not_in_file",)

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the recordings in the order of the file."""
        file = part.files["captions"]
        for origin in origins(file, csvfile.read(file, ("filename",), optional=_COLUMNS)):
            record = origin.record
            name = _NAME.fullmatch(record["filename"])
            fold, sound, target = (
                record.get(column) or (name[column] if name else None) for column in ("fold", "src_file", "target")
            )
            key = keys.freesound_key(sound) if sound else None
            missing = [column for column in _COLUMNS if column not in record]
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{record['filename']}",
                    "source_key": record["filename"],
                    "subset": f"fold{fold}" if fold else None,
                    "tags": [{"label": record.get("category") or target, "code": target, "scheme": "esc50"}] if target else [],
                    "audio_ref": {"kind": "freesound", "key": sound if key else None, "file_name": record["filename"]},
                    "duration_s": 5.0,
                    "sampling_rate_hz": 44_100,
                    "n_channels": 1,
                    "clip_keys": [key] if key else [],
                },
                [origin],
                {"not_in_file": missing} if missing else {},
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the recording, without the columns that the file does not have."""
        tag = row["tags"][0] if row["tags"] else {"label": None, "code": None}
        said = {
            "fold": row["subset"] and row["subset"].removeprefix("fold"),
            "target": tag["code"],
            "category": tag["label"],
            "src_file": row["audio_ref"]["key"],
        }
        missing = json.loads(row["extra_json"]).get("not_in_file", [])
        return [{"filename": row["source_key"], **{name: value for name, value in said.items() if name not in missing}}]
