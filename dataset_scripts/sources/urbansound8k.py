"""UrbanSound8K: 8,732 excerpts of at most four seconds from Freesound in ten classes, ten folds; no captions.

Source: Salamon et al. 2014, "A Dataset and Taxonomy for Urban Sound Research"; `metadata/UrbanSound8K.csv` with `slice_file_name,
fsID, start, end, salience, fold, classID, class`. Row id `urbansound8k/train/<file name>`; the folds are subsets, since the set
has no split of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import keys
from ..rows import Row, RowSource, number, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile

_COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")


class UrbanSound8K(RowSource):
    """Classes are tags; `subset` is the fold; `audio_ref` says which stretch of the recording it is."""

    name = "urbansound8k"
    dataset = "urbansound8k"
    title = "UrbanSound8K"
    release = "1.0"
    splits = ("train",)
    files = (UpstreamFile("UrbanSound8K.csv", "train"),)
    repo = "zenodo.org/records/1203745"
    where_to_get = "It is in the folder `metadata` of https://zenodo.org/records/1203745."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the excerpts in the order of the file."""
        file = part.files["captions"]
        for origin in origins(file, csvfile.read(file, _COLUMNS)):
            record = origin.record
            start_s, end_s, key = number(origin, "start"), number(origin, "end"), keys.freesound_key(record["fsID"])
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{record['slice_file_name']}",
                    "source_key": record["slice_file_name"],
                    "subset": f"fold{record['fold']}",
                    "tags": [{"label": record["class"], "code": record["classID"], "scheme": "urbansound8k"}],
                    "audio_ref": {
                        "kind": "freesound",
                        "key": record["fsID"],
                        "start_s": start_s,
                        "end_s": end_s,
                        "file_name": record["slice_file_name"],
                    },
                    "duration_s": None if start_s is None or end_s is None else round(end_s - start_s, 6),
                    "clip_keys": [key] if key else [],
                },
                [origin],
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the excerpt; times that are written otherwise, and the salience, are in `extra_json`."""
        place, (tag,) = row["audio_ref"], row["tags"]
        times = {name: None if place[f"{name}_s"] is None else str(place[f"{name}_s"]) for name in ("start", "end")}
        return [
            {
                "slice_file_name": row["source_key"],
                "fsID": place["key"],
                "fold": row["subset"].removeprefix("fold"),
                "classID": tag["code"],
                "class": tag["label"],
                **times,
            }
        ]
