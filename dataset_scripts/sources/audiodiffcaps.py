"""AudioDiffCaps: pairs of synthetic scenes with instructions that turn the first into the second.

Source: Takeuchi et al. 2023, "Audio Difference Captioning Utilizing Similarity-Discrepancy Disentanglement"; per scene (rain,
traffic) and split a csv with `key, s1_fn, s2_fn, caption_1..caption_5`. Row id `audiodiffcaps/<subset>/<key>`. An empty cell
is a caption that nobody wrote; `index` is the number of the column, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ..rows import Row, RowSource, caption, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile

_CAPTIONS = tuple(f"caption_{i}" for i in range(1, 6))
_SCENES = ("rain", "traffic")
_SCENE_S = 10.0


class AudioDiffCaps(RowSource):
    """Both scenes; the instructions are the captions, in style `difference`."""

    name = "audiodiffcaps"
    dataset = "audiodiffcaps"
    title = "AudioDiffCaps"
    release = "1.0"
    splits = ("dev", "eval")
    split_aliases: ClassVar[dict[str, str]] = {"development": "dev", "evaluation": "eval"}
    files = tuple(UpstreamFile(f"adc_{scene}_{split}.csv", split, subset=scene) for split in ("dev", "eval") for scene in _SCENES)
    repo = "github.com/nttcslab/audio-diff-caps"
    primary_style = "difference"
    where_to_get = "They are in the folders below `datasets` of https://github.com/nttcslab/audio-diff-caps."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the pairs in the order of the file."""
        file = part.files["captions"]
        for origin in origins(file, csvfile.read(file, ("key", "s1_fn", "s2_fn", *_CAPTIONS))):
            record = origin.record
            yield Row(
                {
                    "id": f"{self.name}/{part.subset}/{record['key']}",
                    "source_key": record["key"],
                    "captions": [
                        caption(record[name], style="difference", side="pair", index=index, origin="human")
                        for index, name in enumerate(_CAPTIONS)
                        if record[name]
                    ],
                    "audio_ref": {"kind": "file", "file_name": record["s1_fn"]},
                    "audio_ref_b": {"kind": "file", "file_name": record["s2_fn"]},
                    "duration_s": _SCENE_S,
                    "duration_b_s": _SCENE_S,
                    "sampling_rate_hz": 44_100,
                },
                [origin],
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the line of the pair."""
        texts = dict.fromkeys(_CAPTIONS, "") | {_CAPTIONS[one["index"]]: one["text"] for one in row["captions"]}
        names = {"s1_fn": row["audio_ref"]["file_name"], "s2_fn": row["audio_ref_b"]["file_name"]}
        return [{"key": row["source_key"], **names, **texts}]
