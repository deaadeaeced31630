"""FSD50K: Freesound recordings with labels from AudioSet's vocabulary of 200 classes; no captions.

Source: Fonseca et al. 2022, "FSD50K: An Open Dataset of Human-Labeled Sound Events"; Zenodo record 4060432, folder
`FSD50K.ground_truth`: `dev.csv` with `fname, labels, mids, split` (train, val) and `eval.csv` with `fname, labels, mids`. Row id
`fsd50k/<split>/<Freesound id>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import ClassVar

from .. import keys
from ..rows import Row, RowSource, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile

_SPLIT_OF = {"train": "train", "val": "validation"}
_FOLDERS = ("FSD50K.ground_truth",)


class Fsd50k(RowSource):
    """Labels are tags, with AudioSet's code of each."""

    name = "fsd50k"
    dataset = "fsd50k"
    title = "FSD50K"
    release = "1.0"
    splits = ("train", "validation", "test")
    split_aliases: ClassVar[dict[str, str]] = {"val": "validation", "eval": "test"}
    files = (
        UpstreamFile("dev.csv", "train", prefer=_FOLDERS),
        UpstreamFile("dev.csv", "validation", prefer=_FOLDERS),
        UpstreamFile("eval.csv", "test", prefer=_FOLDERS),
    )
    repo = "zenodo.org/records/4060432"
    where_to_get = "They are in `FSD50K.ground_truth.zip` of https://zenodo.org/records/4060432."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the recordings of a split in the order of the file."""
        file = part.files["captions"]
        is_dev = part.split != "test"
        for origin in origins(file, csvfile.read(file, ("fname", "labels", "mids", *(["split"] if is_dev else [])))):
            record = origin.record
            if is_dev and record["split"] not in _SPLIT_OF:
                raise file.error("expected train or val", record=origin.position + 1, field="split", value=record["split"])
            if is_dev and _SPLIT_OF[record["split"]] != part.split:
                continue
            key = keys.freesound_key(record["fname"])
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{record['fname']}",
                    "source_key": record["fname"],
                    "tags": [
                        {"label": label, "code": code, "scheme": "fsd50k"}
                        for label, code in zip_longest(*(_listed(record[name]) for name in ("labels", "mids")))
                    ],
                    "audio_ref": {
                        "kind": "freesound",
                        "key": record["fname"] if key else None,
                        "file_name": f"{record['fname']}.wav",
                        "archive": f"FSD50K.{'dev' if is_dev else 'eval'}_audio.zip",
                    },
                    "sampling_rate_hz": 44_100,
                    "n_channels": 1,
                    "clip_keys": [key] if key else [],
                },
                [origin],
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the recording."""
        lists = {
            name: ",".join(tag[field] for tag in row["tags"] if tag[field] is not None)
            for name, field in (("labels", "label"), ("mids", "code"))
        }
        split = {upstream: name for name, upstream in _SPLIT_OF.items()}.get(row["split"])
        return [{"fname": row["source_key"], **lists, "split": split}]


def _listed(cell: str) -> list[str]:
    return cell.split(",") if cell else []
