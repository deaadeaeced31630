"""ACAVCaps: 4.7 million ten-second clips with captions in six styles, three each, in seven domains.

Source: the ACAVCaps repository of Xiaomi Research; one file of `{"<key>": {...}}` lines per domain, the record of MECAT without
its field `domain`: here the file name says it. Row id `acavcaps/<domain>/<clip key>`; the key is kept as it is written. The
questions and confidence scores that the paper speaks of are not in the release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from .. import schema
from ..arrays import singletons, struct, text
from ..pipeline import recut
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.jsonlines import KEY, keyed_lines
from ..upstream.jsonrecords import Shape
from ..upstream.remote import github
from ._six_styles import PRESENCE_STYLES, acav_columns, caption_lists, extra_objects, texts_by_style

STYLES = ("long", "short", *PRESENCE_STYLES)
# Domain to the sha256 of its file, packed, as Git LFS states it.
DOMAINS = {
    "00A": "97ba63b491b1a5995eae2c48edf6cd3147ba0d3db9a478629df3033a6508c5de",
    "0M0": "97e6abfd4446b1874c5138c12c483e9e810e032c54eaed8b5dc74f08e7e3933a",
    "0MA": "d670ce00e90cb6329350a84ef94790c22472fdd615aec6738a0ec4dae176a105",
    "S00": "4b44ae6407627050d62b62b7edd7a2ea98c1829cec8b0ddfc020abaf03de9259",
    "S0A": "71b9c8f8c9c61fc7ff29d194de3ffe3a2e884df195c4df8051f3b59299ddf45a",
    "SM0": "5ab37d937905d65c7dcdb9dca0471a31d03082209f6aaed479d08d9c42995e20",
    "SMA": "92aa821bcb0f2df4b2c114403a117b78aa25bc282a86993cdd3311651cbe9788",
}
_CAPTIONS = Shape(lists=STYLES)


class AcavCaps(Source):
    """All seven domains; everything is training data."""

    name = "acavcaps"
    dataset = "acavcaps"
    title = "ACAVCaps"
    release = "1.0"
    splits = ("train",)
    has_own_segments = True
    files = tuple(UpstreamFile(f"{domain}.jsonl", "train", subset=domain) for domain in DOMAINS)
    repo = "github.com/xiaomi-research/acavcaps"
    primary_style = "long"
    remote = github(
        "xiaomi-research/acavcaps", "main", {f"src/{domain}.jsonl.gz": sha for domain, sha in DOMAINS.items()}, in_lfs=True
    )
    where_to_get = "They are in the folder `src` of https://github.com/xiaomi-research/acavcaps, in Git LFS, as .jsonl.gz."

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the clips of a domain in the order of its file."""
        for captions in recut(keyed_lines(part.files["captions"], _CAPTIONS), self.row_group_rows):
            n = captions.num_rows
            clips = captions[KEY].combine_chunks()
            yield self.batch(
                part,
                n,
                id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset}/", n), clips, ""),
                source_key=clips,
                captions=caption_lists(captions, STYLES),
                domain=part.subset,
                provenance=singletons(
                    struct(
                        schema.PROVENANCE,
                        n,
                        repo=self.repo,
                        revision=self.release,
                        file=part.files["captions"].name,
                        row=captions[csvfile.ROW].combine_chunks(),
                    )
                ),
                extra_json=extra_objects(captions, STYLES),
                **acav_columns(clips),
            )

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one record of a clip."""
        (origin,) = row["provenance"]
        yield origin["file"], origin["row"], {row["source_key"]: merged(texts_by_style(row["captions"]), row["extra_json"])}
