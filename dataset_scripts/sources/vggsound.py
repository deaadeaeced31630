"""VGGSound: ten-second clips of YouTube videos with one of 309 labels each; no captions.

Source: Chen et al. 2020, "VGGSound: A Large-scale Audio-Visual Dataset"; csv files without a header. `vggsound.csv` has `video,
start, label, split` for both splits; `test.csv` lists the test clips again as `<video>_<start, 6 digits>.mp4, label`, and
`AStest.csv` those of them whose labels AudioSet knows. Any of them can be missing: lines about the same clip become one row.
Row id `vggsound/<split>/<video>_<start, 6 digits>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from .. import keys
from ..rows import Origin, Row, RowSource, origins
from ..source import Record
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import github

_FULL = ("video", "start", "label", "split")
_LIST = ("file", "label")
_SUFFIX = ".mp4"
_NAME = re.compile(rf"({keys.VIDEO_ID})_([0-9]{{6}})")
_COMMIT = "9bbc7491c054a203e53584c0065df336e1322bb7"


class VggSound(RowSource):
    """Labels are tags; a clip that `AStest.csv` lists has `lists` in `extra_json`."""

    name = "vggsound"
    dataset = "vggsound"
    title = "VGGSound"
    release = "1.0"
    splits = ("train", "test")
    has_own_segments = True
    files = (
        UpstreamFile("vggsound.csv", "train"),
        UpstreamFile("vggsound.csv", "test", is_needed=False),
        UpstreamFile("test.csv", "test", role="test", is_needed=False),
        UpstreamFile("AStest.csv", "test", role="AStest", is_needed=False),
    )
    repo = "github.com/hche11/VGGSound"
    remote = github("hche11/VGGSound", _COMMIT, {f"data/{name}.csv": None for name in ("vggsound", "test", "AStest")})
    where_to_get = "They are in the folder `data` of https://github.com/hche11/VGGSound."
    own_extra: ClassVar[tuple[str, ...]] = ("lists",)

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the clips of a split in order of appearance."""
        clips: dict[str, list[Origin]] = {}
        for key, origin in self._keyed(part):
            clips.setdefault(key, []).append(origin)
        for key, found in clips.items():
            name = _NAME.fullmatch(key)
            video, start_s = (name[1], float(name[2])) if name else (None, None)
            labels = dict.fromkeys(one.record["label"] for one in found)
            lists = [role for role in ("AStest",) if role in part.files and part.files[role] in [one.file for one in found]]
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{key}",
                    "source_key": key,
                    "tags": [{"label": label, "scheme": "vggsound"} for label in labels],
                    "audio_ref": {
                        "kind": "youtube",
                        "key": video,
                        "start_s": start_s,
                        "end_s": None if start_s is None else start_s + keys.SEGMENT_S,
                        "file_name": f"{key}{_SUFFIX}",
                    },
                    "clip_keys": [keys.video_key(video), keys.segment_key(video, start_s)]
                    if video and start_s is not None
                    else [],
                },
                found,
                {"lists": lists} if lists else {},
            )

    def _keyed(self, part: Part) -> Iterator[tuple[str, Origin]]:
        """Yields every line of the split with the name of its clip."""
        if "captions" in part.files:
            file = part.files["captions"]
            for one in origins(file, csvfile.read(file, _FULL, has_header=False)):
                if one.record["split"] not in self.splits:
                    raise file.error("expected train or test", record=one.position + 1, field="split", value=one.record["split"])
                if one.record["split"] == part.split:
                    start = one.record["start"]
                    yield f"{one.record['video']}_{start.zfill(6) if start.isdigit() else start}", one
        lists = (part.files[role] for role in ("test", "AStest") if role in part.files)
        for one in chain.from_iterable(origins(file, csvfile.read(file, _LIST, has_header=False)) for file in lists):
            yield one.record["file"].removesuffix(_SUFFIX), one

    def derived(self, row: Record) -> list[Record]:
        """Returns the lines that name the clip."""
        label = row["tags"][0]["label"]
        name = _NAME.fullmatch(row["source_key"])
        full = {"video": name[1], "start": str(int(name[2]))} if name else {}
        said = []
        for origin in row["provenance"]:
            is_list = origin["file"].removesuffix(".gz").endswith("test.csv")  # test.csv and AStest.csv
            said.append(
                {"file": row["audio_ref"]["file_name"], "label": label}
                if is_list
                else {**full, "label": label, "split": row["split"]}
            )
        return said
