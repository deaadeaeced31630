"""LAION-Audio-630K: web sounds with one or two captions each, from Freesound, Epidemic Sound, Audiostock and the BBC.

Source: Wu et al. 2023, "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation"; csv files `url,caption1,caption2,...,caption_t5,<metadata>`. They are shared by links that show no file names, so
every csv below the folder with a `url` and a caption column is read, and its name is the subset; a name that ends in `test`, and
does not speak of `train`, is the test split. Row id `laion_audio_630k/<subset>/<url>`.

Freesound also comes as WebDataset archives, `<subset>/<train, train_1, train_2 or test>/<number>.tar` with a sound and
`{"text": [...], "tag": [...], "original_data": {...}}` per clip. Their names are running numbers, so the row id is
`laion_audio_630k/<subset>/<folder>/<number of the archive>/<name>`. The sounds stay where they are: `audio_ref` names archive and
member.
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
from ..rows import Origin, Row, RowSource, caption
from ..source import Record, merged
from ..upstream import csvfile, tarfiles
from ..upstream.files import Found, Part, RawFile, below

_CAPTION = re.compile(r"caption_?[0-9]*|caption_t5")
_FREESOUND = r"freesound\.org/(?:people/[^/]+/)?(?:s|sounds)/(?P<id>[0-9]+)"
_FOLDER = re.compile(r"(?P<split>train|test)(_[0-9]+)?")
_BBC = r"bbcrewind\.co\.uk/.*?(?P<id>[0-9]{8})\."


class LaionAudio630k(RowSource):
    """The captions that were released as csv, one subset per file, and those in archives."""

    name = "laion_audio_630k"
    dataset = "laion_audio_630k"
    title = "LAION-Audio-630K"
    release = "1.0"
    splits = ("train", "test")
    repo = "github.com/LAION-AI/audio-dataset"
    where_to_get = "Links to them are in laion-audio-630k/README.md of https://github.com/LAION-AI/audio-dataset."

    @property
    def needs(self) -> str:
        """The files, whose names are not known beforehand."""
        return "--raw DIR"

    def locate(self, raw: Path | None, without: Path | None = None) -> Found:
        """Returns what can be built: csv files are found by their header, archives by their folders and what is in them.

        Raises:
            InputError: no such file, or two of one name; the message lists what was found.
            RecordError: a file is a Git LFS pointer.
        """
        if raw is None or not raw.is_dir():
            raise InputError(
                f"{self.name} is built from csv files or archives that you have: `uac build {self.name} --raw DIR`. "
                f"{self.where_to_get}"
            )
        parts: dict[str, Part] = {}
        archives: dict[tuple[str, str], dict[str, RawFile]] = {}
        unknown, seen = [], []
        for name in below(raw, without):
            if (place := _archive(raw, name)) and tarfiles.has_samples(file := RawFile(self.name, raw / name, name)):
                split, subset, role = place
                there = archives.setdefault((split, subset), {})
                if role in there:
                    raise InputError(f"{self.name}: {there[role].name} and {name} are the same archive; keep one.")
                there[role] = file
                continue
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
        for (split, subset), files in archives.items():
            if subset in parts:
                raise InputError(
                    f"{self.name}: {parts[subset].files['captions'].name} and the folder {subset} have the same name; keep one."
                )
            ordered_files = dict(sorted(files.items(), key=lambda item: _in_order(item[0])))
            parts[f"{split}/{subset}"] = Part(split, subset, ordered_files)
        if not parts:
            raise InputError(
                f"{self.name}: --raw {raw} holds no csv file with a column `url` and columns `caption1`, ..., and no folder "
                f"train or test with archives. {self.where_to_get} "
                f"Found there: {'; '.join(seen[:10]) or 'no file'}."
            )
        ordered = tuple(sorted(parts.values(), key=lambda part: (self.splits.index(part.split), part.label)))
        built = {part.split for part in ordered}
        missing = {split: "not built: nothing of it below --raw" for split in self.splits if split not in built}
        return Found(ordered, missing, tuple(unknown))

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields the sounds of a csv file, or of some archives, in their order."""
        if "captions" not in part.files:
            yield from super().read_part(part)
            return
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

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the sounds of a folder's archives in their order."""
        for role, file in part.files.items():
            for sample in tarfiles.samples(file):
                origin = Origin(file, sample.position, sample.record)
                original = sample.record.get("original_data")
                original = original if isinstance(original, dict) else {}
                freesound = self._freesound(part, original)
                url = original.get("download_url")
                yield Row(
                    {
                        "id": f"{self.name}/{part.subset}/{role}/{sample.name}",
                        "source_key": sample.name,
                        "captions": [
                            caption(one, index=index) for index, one in enumerate(_texts(origin, "text")) if one.strip()
                        ],
                        "tags": [{"label": one} for one in _texts(origin, "tag")],
                        "audio_ref": {
                            "kind": "freesound" if freesound else None,
                            "key": freesound and freesound.removeprefix("fs:"),
                            "url": url if isinstance(url, str) else None,
                            "archive": file.name,
                            "member": sample.sound,
                        },
                        "clip_keys": [freesound] if freesound else [],
                    },
                    [origin],
                )

    @staticmethod
    def _freesound(part: Part, original: Record) -> str | None:
        """Returns the key of a Freesound clip; elsewhere `id` counts other things."""
        number = original.get("id")
        if not isinstance(number, int | str) or isinstance(number, bool) or not (part.subset or "").startswith("freesound"):
            return None
        return keys.freesound_key(number)

    def derived(self, row: Record) -> list[Record]:
        """Returns what the columns say about the JSON member of a sound."""
        return [
            {
                "text": [one["text"] for one in row["captions"]] or None,
                "tag": [one["label"] for one in row["tags"]] or None,
            }
        ]

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the one line, or the one JSON member, of a sound."""
        (origin,) = row["provenance"]
        if origin["file"].endswith(".tar"):
            yield from super().records(row)
            return
        captions = {caption["upstream_id"]: caption["text"] for caption in row["captions"]}
        yield origin["file"], origin["row"], merged({"url": row["source_key"], **captions}, row["extra_json"])


def _header(file: RawFile) -> list[str]:
    """Returns the cells of the first line."""
    first = file.head(1 << 16).decode("utf-8", errors="replace").split("\n", 1)[0]
    return next(csv.reader([first.removesuffix("\r")]), [])


def _captions(header: list[str]) -> list[str]:
    return [name for name in header if _CAPTION.fullmatch(name)]


def _archive(raw: Path, name: str) -> tuple[str, str, str] | None:
    """Returns split, subset and role of an archive, None for other files and for folders that are no split.

    The two folders above an archive say what it is, and `--raw` may be either of them.
    """
    path = PurePosixPath(name)
    folders = (*raw.resolve().parts, *path.parts[:-1])
    split = _FOLDER.fullmatch(folders[-1])
    if path.suffix != ".tar" or split is None or len(folders) < 2:
        return None
    return split["split"], folders[-2], f"{folders[-1]}/{path.stem}"


def _in_order(role: str) -> list[tuple[int, str]]:
    """Returns what sorts archives by their numbers: 2 before 10."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"([0-9]+)", role)]


def _texts(origin: Origin, name: str) -> list[str]:
    """Returns a field that is a list of texts, or one text.

    Raises:
        RecordError: it is something else; `text` is not there.
    """
    found = origin.record.get(name, [] if name == "tag" else None)
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise origin.file.error("expected a list of texts", record=origin.position + 1, field=name, value=found)
    return found
