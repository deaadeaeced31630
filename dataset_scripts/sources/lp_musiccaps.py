"""LP-MusicCaps, part MC: MusicCaps clips with four captions that a language model wrote from the list of aspects.

Source: Doh et al. 2023, "LP-MusicCaps: LLM-Based Pseudo Music Captioning"; one parquet (or csv) file per split. The four
tasks are styles: writing, summary, paraphrase, attribute; the musician's own caption has style `default`. `caption` is the one
of the task writing. Row id `lp_musiccaps/<split>/<video>_<start>`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..rows import Origin, Row, RowSource, caption, labels, origins
from ..source import Record
from ..upstream import csvfile, parquetfile
from ..upstream.files import Part, RawFile, UpstreamFile
from ..upstream.remote import HubRepository
from .musiccaps import aspects, audioset_labels, said_segment, segment

_STYLES = {
    "caption_writing": "writing",
    "caption_summary": "summary",
    "caption_paraphrase": "paraphrase",
    "caption_attribute_prediction": "attribute",
    "caption_ground_truth": "default",
}
_NEEDED = ("ytid", *_STYLES)


def _file(split: str, digest: str) -> UpstreamFile:
    hub = f"{split}-00000-of-00001"
    return UpstreamFile(f"{hub}-{digest}.parquet", split, aliases=(f"{hub}.parquet", f"{split}.parquet", f"{split}.csv"))


class LpMusicCaps(RowSource):
    """The part that is made from MusicCaps; MTT and MSD are other releases."""

    name = "lp_musiccaps"
    dataset = "lp_musiccaps"
    title = "LP-MusicCaps-MC"
    release = "1.0"
    splits = ("train", "test")
    files = (_file("train", "c4a67f61bdb1fbf4"), _file("test", "7f4171b43c96395e"))
    repo = "huggingface.co/datasets/seungheondoh/LP-MusicCaps-MC"
    primary_style = "writing"
    remote = (HubRepository("seungheondoh/LP-MusicCaps-MC"),)
    where_to_get = "They are in the folder `data` of https://huggingface.co/datasets/seungheondoh/LP-MusicCaps-MC."

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the clips in the order of the file."""
        for origin in _origins(part.files["captions"]):
            record = origin.record
            place = segment(origin)
            yield Row(
                {
                    **place,
                    "id": f"{self.name}/{part.split}/{place['source_key']}",
                    "captions": [
                        caption(record[name], style=style, index=0, origin="human" if style == "default" else "llm")
                        for name, style in _STYLES.items()
                        if record[name] is not None
                    ],
                    "tags": [
                        *aspects(record.get("aspect_list")),
                        *({"label": one, "scheme": "pseudo_attribute"} for one in labels(record.get("pseudo_attribute"))),
                        *audioset_labels(record.get("audioset_positive_labels")),
                    ],
                },
                [origin],
            )

    def derived(self, row: Record) -> list[Record]:
        """Returns the record of the clip; lists are lists in parquet and texts in csv files."""
        is_text = ".csv" in row["provenance"][0]["file"]
        texts = {one["style"]: one["text"] for one in row["captions"]}
        by_scheme: dict[str, list[str]] = {}
        for tag in row["tags"]:
            by_scheme.setdefault(tag["scheme"], []).append(tag["label"])
        place = said_segment(row)
        if not is_text:
            place |= {name: _whole(row["audio_ref"][name]) for name in ("start_s", "end_s")}
        found = {"aspect_list": by_scheme.get("musiccaps_aspect"), "pseudo_attribute": by_scheme.get("pseudo_attribute")}
        return [
            {
                **place,
                **{name: texts.get(style) for name, style in _STYLES.items()},
                **{name: repr(one) if is_text and one else one for name, one in found.items()},
                "audioset_positive_labels": ",".join(by_scheme["audioset"]) if "audioset" in by_scheme else None,
            }
        ]


def _origins(file: RawFile) -> Iterator[Origin]:
    if file.name.removesuffix(".gz").endswith(".csv"):
        yield from origins(file, csvfile.read(file, _NEEDED))
    else:
        for position, record in enumerate(parquetfile.records(file, _NEEDED)):
            yield Origin(file, position, record)


def _whole(value: float | None) -> float | None:
    """Returns a whole number as an integer: the release has integers."""
    return int(value) if value is not None and value == int(value) else value
