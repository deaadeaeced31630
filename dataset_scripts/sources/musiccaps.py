"""MusicCaps: ten seconds of music from AudioSet, each described by a musician in a few sentences and a list of aspects.

Source: Agostinelli et al. 2023, "MusicLM: Generating Music From Text"; one csv with `ytid, start_s, end_s,
audioset_positive_labels, aspect_list, caption, author_id, is_balanced_subset, is_audioset_eval`. The file knows no splits:
clips of AudioSet's evaluation segments (`is_audioset_eval`) are `test` here, the others `train`, as users of the set cut it.
Row id `musiccaps/<split>/<video>_<start>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from .. import keys
from ..rows import Origin, Row, RowSource, caption, labels, number, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import HubRepository

_FILE = "musiccaps-public.csv"
_FLAG = "is_audioset_eval"
_SPLIT_OF = {"False": "train", "True": "test"}
_COLUMNS = ("ytid", "start_s", "end_s", "audioset_positive_labels", "aspect_list", "caption", "author_id", _FLAG)


class MusicCaps(RowSource):
    """All clips; aspects and AudioSet's labels are tags."""

    name = "musiccaps"
    dataset = "musiccaps"
    title = "MusicCaps"
    release = "1.0"
    splits = ("train", "test")
    split_aliases: ClassVar[dict[str, str]] = {"eval": "test"}
    files = tuple(UpstreamFile(_FILE, split) for split in ("train", "test"))
    repo = "huggingface.co/datasets/google/MusicCaps"
    remote = (HubRepository("google/MusicCaps"),)
    where_to_get = "It is on https://huggingface.co/datasets/google/MusicCaps."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the clips of a split in the order of the file."""
        file = part.files["captions"]
        for origin in origins(file, csvfile.read(file, _COLUMNS)):
            record = origin.record
            flag = record[_FLAG].strip().capitalize()
            if flag not in _SPLIT_OF:
                raise file.error("expected True or False", record=origin.position + 1, field=_FLAG, value=record[_FLAG])
            if _SPLIT_OF[flag] == part.split:
                place = segment(origin)
                yield Row(
                    {
                        **place,
                        "id": f"{self.name}/{part.split}/{place['source_key']}",
                        "captions": [caption(record["caption"], index=0, origin="human", annotator=record["author_id"])],
                        "tags": [*aspects(record["aspect_list"]), *audioset_labels(record["audioset_positive_labels"])],
                    },
                    [origin],
                )

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the clip."""
        (one,) = row["captions"]
        return [
            {
                **said_segment(row),
                "caption": one["text"],
                "author_id": one["annotator"],
                _FLAG: str(row["split"] == "test"),
                "aspect_list": repr([tag["label"] for tag in row["tags"] if tag["scheme"] == "musiccaps_aspect"]),
                "audioset_positive_labels": ",".join(tag["code"] for tag in row["tags"] if tag["scheme"] == "audioset"),
            }
        ]


def segment(origin: Origin) -> Record:
    """Returns the columns that say which stretch of which video a record with `ytid, start_s, end_s` is about."""
    video, start_s, end_s = origin.record["ytid"], number(origin, "start_s"), number(origin, "end_s")
    is_known = keys.audioset_video(video) == video
    clip_keys = [keys.video_key(video)] if is_known else []
    if is_known and start_s is not None:
        clip_keys.append(keys.segment_key(video, start_s))
    return {
        "source_key": video if start_s is None else f"{video}_{start_s:g}",
        "audio_ref": {"kind": "youtube", "key": video, "start_s": start_s, "end_s": end_s},
        "duration_s": None if start_s is None or end_s is None else end_s - start_s,
        "clip_keys": clip_keys,
    }


def said_segment(row: Record) -> Record:
    """Returns what the columns of `segment` say about the record, as texts."""
    place = row["audio_ref"]
    times = {name: None if place[name] is None else f"{place[name]:g}" for name in ("start_s", "end_s")}
    return {"ytid": place["key"], **times}


def aspects(value: object) -> list[Record]:
    """Returns the aspects of a clip as tags."""
    return [{"label": label, "scheme": "musiccaps_aspect"} for label in labels(value)]


def audioset_labels(value: str | None) -> list[Record]:
    """Returns comma-separated AudioSet codes as tags; the release does not say what the codes mean."""
    return [{"label": code, "code": code, "scheme": "audioset"} for code in (value or "").split(",") if code]
