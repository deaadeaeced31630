"""Song Describer: tracks of MTG-Jamendo that volunteers described, one to several captions per track; for evaluation.

Source: Manco et al. 2023, "The Song Describer Dataset"; Zenodo record 10072001. One csv with a line per caption: `caption_id,
track_id, caption, is_valid_subset, familiarity, artist_id, album_id, path, duration`. One row here is a track with its
captions in the order of the file; row id `song_describer/test/<track id>`. Captions of the validated subset have the score
`is_valid_subset` 1; a track with one of them has the tag `valid`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..rows import Origin, Row, RowSource, caption, grouped, number, origins, shared
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import zenodo

_TRACK = ("artist_id", "album_id", "path", "duration")
_FLAGS = {"True": 1.0, "False": 0.0}


class SongDescriber(RowSource):
    """All captions; the validated subset is marked, not a split of its own."""

    name = "song_describer"
    dataset = "song_describer"
    title = "Song Describer"
    release = "1.0"
    splits = ("test",)
    files = (UpstreamFile("song_describer.csv", "test"),)
    repo = "zenodo.org/records/10072001"
    remote = zenodo(10072001, "song_describer.csv")
    where_to_get = "It is on https://zenodo.org/records/10072001."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the tracks in order of appearance: the captions of a track may stand anywhere in the file."""
        file = part.files["captions"]
        tables = csvfile.read(file, ("caption_id", "track_id", "caption", "is_valid_subset", "familiarity", *_TRACK))
        for (track,), found in grouped(origins(file, tables), "track_id").items():
            is_valid = any(one.record["is_valid_subset"] == "True" for one in found)
            path = shared(found, "path").get("path")
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{track}",
                    "source_key": track,
                    "captions": [
                        caption(
                            one.record["caption"],
                            index=index,
                            upstream_id=one.record["caption_id"],
                            origin="human",
                            scores=_scores(one),
                        )
                        for index, one in enumerate(found)
                    ],
                    "tags": [{"label": "valid", "scheme": "song_describer_subset"}] if is_valid else [],
                    "audio_ref": {"kind": "jamendo", "key": track, "file_name": path},
                    "clip_keys": [f"jam:{int(track)}"] if track.isascii() and track.isdigit() else [],
                },
                found,
                shared(found, *_TRACK),
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns one line per caption."""
        extra = json.loads(row["extra_json"])
        track = {"track_id": row["source_key"], **{name: extra.get(name) for name in _TRACK}}
        return [{**track, **_said(one)} for one in row["captions"]]


def _scores(origin: Origin) -> list[Record]:
    flag, familiarity = _FLAGS.get(origin.record["is_valid_subset"]), number(origin, "familiarity")
    found = {"is_valid_subset": flag, "familiarity": familiarity}
    return [{"name": name, "value": value} for name, value in found.items() if value is not None]


def _said(one: Record) -> Record:
    scores = {score["name"]: score["value"] for score in one["scores"]}
    flag, familiarity = scores.get("is_valid_subset"), scores.get("familiarity")
    return {
        "caption_id": one["upstream_id"],
        "caption": one["text"],
        "is_valid_subset": "" if flag is None else str(bool(flag)),
        "familiarity": "" if familiarity is None else f"{familiarity:g}",
    }
