"""LAION-Audio-630K: web sounds with one or two captions each, from Freesound, Epidemic Sound, Audiostock and the BBC.

Source: Wu et al. 2023, "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation"; csv files `url,caption1,caption2,...,caption_t5,<metadata>`. They are shared by links that show no file names, so
every csv below the folder with a `url` and a caption column is read, and its name is the subset; a name that ends in `test`, and
does not speak of `train`, is the test split. Row id `laion_audio_630k/<subset>/<url>`. WebDataset archives are not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import interleaved, json_members, json_objects, json_texts, singletons, struct, text
from ..errors import InputError
from ..pipeline import recut
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Found, Part, RawFile, below

_CAPTION = re.compile(r"caption_?[0-9]*|caption_t5")
_FREESOUND = r"freesound\.org/(?:people/[^/]+/)?(?:s|sounds)/(?P<id>[0-9]+)"
_BBC = r"bbcrewind\.co\.uk/.*?(?P<id>[0-9]{8})\."


class LaionAudio630k(Source):
    """The captions that were released as csv; one subset per file."""

    name = "laion_audio_630k"
    dataset = "laion_audio_630k"
    title = "LAION-Audio-630K"
    release = "1.0"
    splits = ("train", "test")
    repo = "github.com/LAION-AI/audio-dataset"
    where_to_get = "Links to them are in laion-audio-630k/README.md of https://github.com/LAION-AI/audio-dataset."

    @property
    def needs(self) -> str:
        """The csv files, whose names are not known beforehand."""
        return "--raw DIR"

    def locate(self, raw: Path | None, without: Path | None = None) -> Found:
        """Returns what can be built: every csv file is found by its header, not by its name.

        Raises:
            InputError: no such file, or two of one name; the message lists what was found.
        """
        if raw is None or not raw.is_dir():
            raise InputError(
                f"{self.name} is built from csv files that you have: `uac build {self.name} --raw DIR`. {self.where_to_get}"
            )
        parts: dict[str, Part] = {}
        unknown, seen = [], []
        for name in below(raw, without):
            stem = PurePosixPath(name).name.removesuffix(".gz").removesuffix(".csv")
            file = RawFile(self.name, raw / name, name)
            header = _header(file) if name.removesuffix(".gz").endswith(".csv") else []
            if "url" not in header or not _captions(header):
                unknown.append(name)
                seen.append(f"{name} ({', '.join(header)})" if header else name)
                continue
            if stem in parts:
                raise InputError(f"{self.name}: {parts[stem].files['captions'].name} and {name} have the same name; keep one.")
            is_test = stem.lower().endswith("test") and "train" not in stem.lower()
            parts[stem] = Part("test" if is_test else "train", stem, {"captions": file})
        if not parts:
            raise InputError(
                f"{self.name}: --raw {raw} holds no csv file with a column `url` and columns `caption1`, ... {self.where_to_get} "
                f"Found there: {'; '.join(seen[:10]) or 'no file'}."
            )
        ordered = tuple(sorted(parts.values(), key=lambda part: (self.splits.index(part.split), part.label)))
        there = {part.split for part in ordered}
        missing = {split: "not built: no csv file of it below --raw" for split in self.splits if split not in there}
        return Found(ordered, missing, tuple(unknown))

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the sounds of a file in its order."""
        file = part.files["captions"]
        columns = _captions(_header(file))
        for table in recut(csvfile.read(file, ("url", *columns)), self.row_group_rows):
            (rows,) = table.to_batches()
            n, url = rows.num_rows, rows["url"]
            is_blank = {name: pc.equal(pc.utf8_trim_whitespace(rows[name]), "") for name in columns}
            nothing = pa.scalar(None, pa.string())
            captions = [
                struct(
                    schema.CAPTION,
                    n,
                    text=rows[name],
                    style="default",
                    index=index,
                    upstream_id=name,
                    origin="llm" if name == "caption_t5" else None,
                    language="en",
                    is_absent=False,
                )
                for index, name in enumerate(columns)
            ]
            given = [
                pc.if_else(is_blank[name], pa.scalar(None, schema.CAPTION), one)
                for name, one in zip(columns, captions, strict=True)
            ]
            blank = {name: pc.if_else(is_blank[name], json_texts(rows[name]), nothing) for name in columns}
            freesound, bbc = (pc.struct_field(pc.extract_regex(url, grammar), "id") for grammar in (_FREESOUND, _BBC))
            kind = pc.if_else(pc.is_valid(freesound), "freesound", pc.if_else(pc.is_valid(bbc), pa.scalar("bbc"), nothing))
            yield self.batch(
                part,
                n,
                id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset}/", n), url, ""),
                source_key=url,
                captions=interleaved(given),
                audio_ref=struct(schema.AUDIO_REF, n, kind=kind, key=pc.coalesce(freesound, bbc), url=url),
                clip_keys=singletons(pc.coalesce(keys.freesound_keys(freesound), keys.prefixed("bbc", bbc, "[0-9]{8}"))),
                provenance=singletons(
                    struct(
                        schema.PROVENANCE, n, repo=self.repo, revision=self.release, file=file.name, row=rows[csvfile.ROW]
                    )
                ),
                extra_json=json_objects(json_members(blank, rows[csvfile.EXTRA])),
            )  # fmt: skip

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one line of a sound."""
        (origin,) = row["provenance"]
        captions = {caption["upstream_id"]: caption["text"] for caption in row["captions"]}
        yield origin["file"], origin["row"], merged({"url": row["source_key"], **captions}, row["extra_json"])


def _header(file: RawFile) -> list[str]:
    """Returns the cells of the first line."""
    first = file.head(1 << 16).decode("utf-8", errors="replace").split("\n", 1)[0]
    return next(csv.reader([first.removesuffix("\r")]), [])


def _captions(header: list[str]) -> list[str]:
    return [name for name in header if _CAPTION.fullmatch(name)]
