"""WavCaps: captions that a language model made from the descriptions of web sounds, in four subsets.

Source: Mei et al. 2023, "WavCaps"; one JSON object per subset with a list `data`. Row id `wavcaps/<subset>/<upstream id>`,
without the sound ending of AudioSet names. The raw description is a second caption, of style `description` and human origin;
`caption` is the model's. Where the publisher's three lists of clips to leave out before an evaluation lie beside
the files, a clip that a list names has a tag of scheme `blacklist` with the name of the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import (
    empty_lists,
    interleaved,
    joined_lists,
    json_members,
    json_objects,
    json_texts,
    lists,
    numbers,
    singletons,
    struct,
    text,
)
from ..audioset_segments import Segments, lookup_files
from ..pipeline import recut
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.jsonlist import listed
from ..upstream.jsonrecords import Shape, loads
from ..upstream.remote import HubRepository


@dataclass(frozen=True)
class _Subset:
    """What is special about a subset: its file, its sounds' origin, its fields beside the common ones, its name in the lists."""

    file: str
    kind: str
    fields: tuple[str, ...]
    listed_as: str | None = None

    @property
    def shape(self) -> Shape:
        """The documented fields of a record."""
        return Shape(
            texts=("id", "caption", "audio", *self.fields),
            lists=("tags",) if self.kind == "freesound" else (),
            numbers=("duration",),
            needed=("id", "caption"),
        )


_SUBSETS = {
    "AudioSet_SL": _Subset("as_final.json", "youtube", (), "AudioSet"),
    "BBC_Sound_Effects": _Subset("bbc_final.json", "bbc", ("description", "category", "download_link")),
    "FreeSound": _Subset(
        "fsd_final.json", "freesound", ("file_name", "href", "description", "author", "download_link"), "FreeSound"
    ),
    "SoundBible": _Subset("sb_final.json", "soundbible", ("title", "description", "author", "href", "download_link")),
}
# Fields that have a column of their own; the others go to extra_json as they are.
_PLACED = {"id", "caption", "description", "author", "download_link"}
_BLACKLISTS = ("exclude_all_ac", "exclude_test_ac", "exclude_ub8k_esc50_vggsound")
_BLACKLIST = "blacklist"


class WavCaps(Source):
    """All four subsets; everything is training data."""

    name = "wavcaps"
    dataset = "wavcaps"
    title = "WavCaps"
    release = "1.0"
    splits = ("train",)
    version = 2
    needs_sound_folders = True
    duration_field = "duration"
    files = tuple(
        file
        for name, one in _SUBSETS.items()
        for file in (
            UpstreamFile(one.file, "train", subset=name),
            *(
                UpstreamFile(f"blacklist_{which}.json", "train", role=which, subset=name, is_needed=False, is_lookup=True)
                for which in _BLACKLISTS
                if one.listed_as
            ),
            *(lookup_files("train", name) if one.kind == "youtube" else ()),
        )
    )
    repo = "huggingface.co/datasets/cvssp/WavCaps"
    remote = (HubRepository("cvssp/WavCaps"),)
    where_to_get = "They are in the folder `json_files` of https://huggingface.co/datasets/cvssp/WavCaps."

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the clips of a subset in the order of its file."""
        subset = _SUBSETS[part.subset or ""]
        blacklists = _blacklists(part)
        segments = Segments(part)
        for table in recut(listed(part.files["captions"], subset.shape, "data"), self.row_group_rows):
            yield self._rows(part, subset, blacklists, segments, *table.to_batches())

    def warnings(self, part: Part) -> list[str]:
        """Says how many entries of the publisher's lists name no clip."""
        blacklists = _blacklists(part)
        if not blacklists:
            return []
        tables = listed(part.files["captions"], _SUBSETS[part.subset or ""].shape, "data")
        clips = pa.chunked_array([chunk for table in tables for chunk in table["id"].chunks], pa.string())
        lost = {which: pc.sum(pc.invert(pc.is_in(ids, value_set=clips))).as_py() or 0 for which, ids in blacklists.items()}
        return [
            f"{part.files[which].name}: {count} of {len(blacklists[which])} entries name no clip of {part.subset}"
            for which, count in lost.items()
            if count
        ]

    def _rows(
        self,
        part: Part,
        subset: _Subset,
        blacklists: dict[str, pa.StringArray],
        segments: Segments,
        rows: pa.RecordBatch,
    ) -> pa.RecordBatch:
        n = rows.num_rows
        identifier = rows["id"]
        key = keys.audioset_videos(identifier) if subset.kind == "youtube" else identifier
        nowhere = pa.nulls(n, pa.string())
        start_s, end_s, labels = segments.of(key if subset.kind == "youtube" else nowhere)
        captions = [
            struct(
                schema.CAPTION, n, text=rows["caption"], style="default", index=0, origin="llm", language="en", is_absent=False
            )
        ]
        if "description" in subset.fields:
            raw = struct(
                schema.CAPTION, n, text=rows["description"], style="description", index=0, origin="human", is_absent=False
            )
            captions.append(pc.if_else(pc.is_valid(rows["description"]), raw, pa.scalar(None, schema.CAPTION)))
        grouped = interleaved(captions)
        duration_s, whole_seconds = numbers(rows["duration"])
        verbatim = [name for name in ("audio", *subset.fields) if name not in _PLACED]
        extra = {**{name: json_texts(rows[name]) for name in verbatim}, "duration": whole_seconds}
        if subset.kind == "freesound":  # no tag would tell an empty list from none
            is_empty = pc.fill_null(pc.equal(pc.list_value_length(rows["tags"]), 0), False)
            extra["tags"] = pc.if_else(is_empty, "[]", pa.scalar(None, pa.string()))
        stem = pc.replace_substring_regex(identifier, r"\.wav$", "") if subset.kind == "youtube" else identifier
        return self.batch(
            part,
            n,
            id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset}/", n), stem, ""),
            source_key=identifier,
            captions=grouped,
            audio_ref=struct(
                schema.AUDIO_REF,
                n,
                kind=subset.kind,
                key=key,
                start_s=start_s,
                end_s=end_s,
                url=rows["download_link"] if "download_link" in subset.fields else None,
                file_name=pc.binary_join_element_wise(stem, ".flac", ""),
                archive=f"Zip_files/{part.subset}",
            ),
            duration_s=duration_s,
            sampling_rate_hz=32_000,
            tags=joined_lists([self._tags(subset, rows), labels, *_blacklisted(blacklists, identifier)]),
            attribution=rows["author"] if "author" in subset.fields else None,
            clip_keys=interleaved([self._clip_key(subset, identifier), keys.segment_keys(key, start_s)]),
            provenance=lists(
                struct(
                    schema.PROVENANCE, n, repo=self.repo, revision=self.release, file=part.files["captions"].name,
                    row=rows[csvfile.ROW],
                ),
                np.ones(n, np.int64),
            ),
            extra_json=json_objects(json_members(extra, rows[csvfile.EXTRA])),
        )  # fmt: skip

    @staticmethod
    def _clip_key(subset: _Subset, identifier: pa.StringArray) -> pa.StringArray:
        if subset.kind == "youtube":
            return pc.binary_join_element_wise("yt:", keys.audioset_videos(identifier), "")
        if subset.kind == "freesound":
            return keys.freesound_keys(identifier)
        return keys.prefixed("bbc", identifier, "[0-9]{8}") if subset.kind == "bbc" else keys.prefixed("sb", identifier, "[0-9]+")

    @staticmethod
    def _tags(subset: _Subset, rows: pa.RecordBatch) -> pa.ListArray:
        """Returns Freesound's tags, or BBC's categories, which are the text of a Python list."""
        if subset.kind == "freesound":
            found = rows["tags"]
        elif subset.kind == "bbc":
            inside = pc.utf8_slice_codeunits(rows["category"], 2, -2)
            found = pc.split_pattern(pc.if_else(pc.match_substring_regex(rows["category"], r"^\['.*'\]$"), inside, ""), "', '")
        else:
            return empty_lists(schema.SCHEMA.field("tags").type, rows.num_rows)
        labels = found.flatten()
        given = pc.not_equal(labels, "") if subset.kind == "bbc" else pa.array(np.ones(len(labels), bool))
        row = pc.list_parent_indices(found).filter(given).to_numpy()
        tags = struct(schema.TAG, len(row), label=labels.filter(given), scheme=subset.kind)
        return lists(tags, np.bincount(row, minlength=rows.num_rows))

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one record of a clip."""
        (origin,) = row["provenance"]
        texts = {caption["style"]: caption["text"] for caption in row["captions"]}
        values = {
            "id": row["source_key"],
            "caption": texts["default"],
            "description": texts.get("description"),
            "author": row["attribution"],
            "download_link": row["audio_ref"]["url"],
            "duration": row["duration_s"],
            "tags": [tag["label"] for tag in row["tags"] if tag["scheme"] == "freesound"] or None,
        }
        yield origin["file"], origin["row"], merged(values, row["extra_json"])


def _blacklists(part: Part) -> dict[str, pa.StringArray]:
    """Returns the ids of the part's subset in every list that is there, each id once."""
    subset = _SUBSETS[part.subset or ""]
    found = {}
    for which in _BLACKLISTS:
        if which in part.files:
            file = part.files[which]
            value = loads(file, file.decode(b"".join(file.blocks()), 1))
            ids = value.get(subset.listed_as) if isinstance(value, dict) else None
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                raise file.error(f"expected one object with a list of ids {subset.listed_as!r}", value=value)
            found[which] = pa.array(list(dict.fromkeys(ids)), pa.string())
    return found


def _blacklisted(blacklists: dict[str, pa.StringArray], clips: pa.StringArray) -> list[pa.ListArray]:
    """Returns per list a tag for every clip that it names."""
    n = len(clips)
    tags = ((struct(schema.TAG, n, label=which, scheme=_BLACKLIST), ids) for which, ids in blacklists.items())
    return [singletons(pc.if_else(pc.is_in(clips, value_set=ids), tag, pa.scalar(None, schema.TAG))) for tag, ids in tags]
