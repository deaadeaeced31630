"""FusionAudio-1.2M: captions and questions that a language model made from sound, speech, music and picture of AudioSet's videos.

Source: "FusionAudio-1.2M: Towards Fine-grained Audio Captioning with Multimodal Contextual Fusion", 2025. JSON lists of
`{"audio_id", "instruction", "input", "dataset", "task", "output"}`; the names of the files are not documented, so every `.json`
below the folder that begins with such a record is read. `<set>_test.json` are the test sets, one subset each, all questions; all
others together are the training split. Names with `example` are left alone: the repository repeats rows of other files there.

- A row is a clip with all its captions and questions. `audio_id` may be a path on the authors' machines: the clip is known by the
  file name without its ending, and the verbatim value is in the record's `extra_json`. Row id `fusionaudio/<set>/<name>`, where
  the set is `train` for training.
- In training, a record is a caption if its task says so, or if its instruction asks to describe the sound and its task speaks of
  no classification.
- Records that hold the authors' mark for a failed generation are left out, under the rule `uncertain_audio_information`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import english_captions, interleaved, joined_lists, json_members, json_objects, json_texts, lists, struct, text
from ..errors import InputError
from ..join import grouped
from ..source import LeftOut, Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Found, Part, RawFile, UpstreamFile, below
from ..upstream.jsonlist import listed
from ..upstream.jsonrecords import Shape
from ..upstream.remote import HubRepository, github

_FIELDS = ("audio_id", "instruction", "input", "dataset", "task", "output")
_RECORDS = Shape(texts=_FIELDS, needed=("audio_id",))
_MARKS_A_FILE = {"audio_id", "instruction", "output"}
_FILE, _CLIP = "__file__", "__clip__"
_UNCERTAIN = "UNCERTAIN_AUDIO_INFORMATION_DETECTED"
_RULE = "uncertain_audio_information"
_TEST = re.compile(r"^(?P<name>.+)_test(\..*)?$")
_CAPTION_TASK = r"(?i)caption|description"
_LABEL_TASK = r"(?i)classif|label|\btag|\bcla_"
_ASKS_TO_DESCRIBE = r"(?i)\bcaption\b|^\W*(?:please )?describe\b[^?]*\b(?:audio|sounds?|clip|recording)\b[^?]*$"
# Test sets whose file names hold the number of a Freesound recording.
_FREESOUND = {
    "ESC50": r"^[0-9]+-(?P<id>[0-9]+)-[A-Z]+-[0-9]+$",
    "FSD50K": r"^(?P<id>[0-9]+)$",
    "FSDnoisy18K": r"^(?P<id>[0-9]+)$",
    "UrbanSound8K": r"^(?P<id>[0-9]+)-[0-9]+-[0-9]+-[0-9]+$",
}
_COMMIT = "a13c8dc8bf1ea47535609c944e645bfa7e10c88b"
_TEST_SETS = (
    "AIR-Bench-Chat", "AIR-Bench-Foundation-Music", "AIR-Bench-Foundation-Sound", "AudioCaps-QA", "Clotho-AQA", "ESC50", "FSD50K",
    "FSDnoisy18K", "TAU-Urban-Mobile", "UrbanSound8K", "WavCaps-QA",
)  # fmt: skip


class FusionAudio(Source):
    """The training release, whatever its files are called, and the test sets of the repository."""

    name = "fusionaudio"
    dataset = "fusionaudio"
    title = "FusionAudio"
    release = "1.2M"
    splits = ("train", "test")
    has_unique_ids = True
    split_aliases: ClassVar[dict[str, str]] = {"eval": "test"}
    files = tuple(UpstreamFile(f"{name}_test.json", "test", subset=name) for name in _TEST_SETS)  # the ones that are known
    repo = "huggingface.co/datasets/SatsukiVie/FusionAudio"
    # The training files are named in no document: every JSON file of the repository is looked at.
    remote = (
        HubRepository("SatsukiVie/FusionAudio", ("*.json",)),
        *github("satsuki2486441738/FusionAudio", _COMMIT, {f"data/eval/{name}_test.json": None for name in _TEST_SETS}),
    )
    where_to_get = (
        "The training files are on https://huggingface.co/datasets/SatsukiVie/FusionAudio, the test sets in `data/eval` of "
        "https://github.com/FreedomIntelligence/FusionAudio."
    )

    def locate(self, raw: Path | None, without: Path | None = None) -> Found:
        """Returns what can be built: every JSON list of records is found by what it holds, not by its name.

        Raises:
            InputError: no such file, or two files of one test set; the message lists what was found.
        """
        if raw is None or not raw.is_dir():
            return super().locate(raw, without)
        names = below(raw, without)
        training: dict[str, RawFile] = {}
        tests: dict[str, RawFile] = {}
        unknown, seen = [], []
        for name in names:
            path = PurePosixPath(name)
            file = RawFile(self.name, raw / name, name)
            if path.suffixes[-1:] != [".json"] and path.suffixes[-2:] != [".json", ".gz"]:
                unknown.append(name)
                continue
            found = _members(file)
            if not found >= _MARKS_A_FILE or "example" in path.name:
                unknown.append(name)
                seen.append(f"{name} ({', '.join(sorted(found)) or 'no list of objects'})")
                continue
            match = _TEST.match(path.name.removesuffix(".gz").removesuffix(".json"))
            if match is None:
                training[name] = file
            elif match["name"] in tests:
                raise InputError(f"{self.name}: {tests[match['name']].name} and {name} are the same test set; keep one of them.")
            else:
                tests[match["name"]] = file
        parts = [Part("train", None, training)] if training else []
        parts += [Part("test", name, {"qa": file}) for name, file in sorted(tests.items())]
        if not parts:
            shown = "; ".join([*seen, *(name for name in unknown if not name.endswith(".json"))][:10]) or "no file"
            raise InputError(
                f"{self.name}: --raw {raw} holds no JSON list of records with {', '.join(_FIELDS)}. {self.where_to_get} "
                f"Found there: {shown}."
            )
        missing = {} if training else {"train": "not built: no JSON list of training records below --raw"}
        if not tests:
            missing["test"] = "not built: no <set>_test.json below --raw"
        return Found(tuple(parts), missing, tuple(unknown))

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields clips in the order in which they first appear; see `join` for the memory that it takes."""
        certain = (table.filter(pc.invert(_is_uncertain(table))) for table in _tables(part))
        for ((records, per_clip),) in grouped([certain], _CLIP, self.row_group_rows):
            n = len(per_clip)
            clip_of = np.repeat(np.arange(n), per_clip)
            is_caption = _is_caption(records, part).to_numpy(zero_copy_only=False)
            n_captions = np.bincount(clip_of[is_caption], minlength=n)
            captions, questions = records.filter(pa.array(is_caption)), records.filter(pa.array(~is_caption))
            first = records.take(pa.array(np.cumsum(per_clip) - per_clip))
            clips = first[_CLIP].combine_chunks()
            yield self.batch(
                part,
                n,
                id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset or part.split}/", n), clips, ""),
                source_key=clips,
                captions=english_captions(captions["output"], n_captions, prompt=captions["instruction"]),
                qa=lists(self._qa(part, questions), per_clip - n_captions),
                **_references(part, clips, _file_names(first["audio_id"].combine_chunks())),
                provenance=joined_lists(
                    [
                        lists(self._origins(captions, ("audio_id", "input", "dataset", "task")), n_captions),
                        lists(self._origins(questions, ("audio_id", "input", "dataset")), per_clip - n_captions),
                    ]
                ),
            )

    @staticmethod
    def _qa(part: Part, questions: pa.Table) -> pa.StructArray:
        context = questions["input"].combine_chunks()
        return struct(
            schema.QUESTION,
            questions.num_rows,
            question=questions["instruction"],
            answer=questions["output"],
            task=questions["task"],
            context=pc.if_else(pc.equal(context, ""), pa.scalar(None, pa.string()), context),
            origin="llm" if part.split == "train" else None,
            is_absent=False,
        )

    def _origins(self, records: pa.Table, verbatim: tuple[str, ...]) -> pa.StructArray:
        members = {name: json_texts(records[name].combine_chunks()) for name in verbatim}
        return struct(
            schema.PROVENANCE,
            records.num_rows,
            repo=self.repo,
            revision=self.release,
            file=records[_FILE],
            row=records[csvfile.ROW],
            extra_json=json_objects(json_members(members, records[csvfile.EXTRA].combine_chunks())),
        )

    def left_out(self, part: Part) -> Iterator[LeftOut]:
        """Yields the records whose generation failed."""
        for table in _tables(part):
            for row in table.filter(_is_uncertain(table)).to_pylist():
                record = merged({name: row[name] for name in _FIELDS}, f"{{{row[csvfile.EXTRA]}}}")
                identifier = f"{self.name}/{part.subset or part.split}/{row[_CLIP]}"
                yield LeftOut(_RULE, identifier, row[_FILE], row[csvfile.ROW], record)

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the records of the captions, then those of the questions."""
        values = [{"instruction": one["prompt"], "output": one["text"]} for one in row["captions"]]
        values += [{"instruction": one["question"], "output": one["answer"], "task": one["task"]} for one in row["qa"]]
        for value, origin in zip(values, row["provenance"], strict=True):
            yield origin["file"], origin["row"], merged(value, origin["extra_json"])


def _members(file: RawFile) -> set[str]:
    """Returns the names in the first record of a file that is a list of objects, nothing for other files."""
    head = file.head().decode("utf-8", errors="replace").lstrip()
    try:
        first, _ = json.JSONDecoder().raw_decode(head[1:].lstrip()) if head.startswith("[") else (None, 0)
    except json.JSONDecodeError:
        return set()
    return set(first) if isinstance(first, dict) else set()


def _tables(part: Part) -> Iterator[pa.Table]:
    """Yields the records of all files of a part, with the file and the clip that they belong to."""
    for file in part.files.values():
        for table in listed(file, _RECORDS):
            names = _file_names(table["audio_id"].combine_chunks())
            clips = pc.replace_substring_regex(names, r"(?i)\.(wav|flac|mp3|mp4|m4a|ogg|webm)$", "")
            yield table.append_column(_FILE, text(file.name, table.num_rows)).append_column(_CLIP, clips)


def _file_names(paths: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(paths, r"(?s)^.*[/\\]", "")


def _is_uncertain(records: pa.Table) -> pa.BooleanArray:
    texts = [pc.fill_null(records[name].combine_chunks(), "") for name in ("instruction", "input", "output")]
    return pc.match_substring(pc.binary_join_element_wise(*texts, "\n"), _UNCERTAIN)


def _is_caption(records: pa.Table, part: Part) -> pa.BooleanArray:
    if part.split == "test":
        return pa.array(np.zeros(records.num_rows, bool))
    task = pc.fill_null(records["task"].combine_chunks(), "")
    instruction = pc.fill_null(records["instruction"].combine_chunks(), "")
    asks = pc.and_not(pc.match_substring_regex(instruction, _ASKS_TO_DESCRIBE), pc.match_substring_regex(task, _LABEL_TASK))
    says = pc.or_(pc.match_substring_regex(task, _CAPTION_TASK), asks)
    return pc.and_(says, pc.is_valid(records["output"].combine_chunks()))


def _references(part: Part, clips: pa.StringArray, file_names: pa.StringArray) -> dict[str, pa.Array]:
    """Returns the columns `audio_ref` and `clip_keys`: AudioSet's segments in training, Freesound's numbers in some test sets."""
    n = len(clips)
    if part.split == "train":
        video, start_s, end_s = keys.range_spans(clips)
        video = pc.coalesce(video, keys.audioset_videos(clips))
        found = [pc.binary_join_element_wise("yt:", video, ""), keys.segment_keys(video, start_s)]
        times = {"kind": "youtube", "key": video, "start_s": start_s, "end_s": end_s}
    elif part.subset in _FREESOUND:
        number = pc.struct_field(pc.extract_regex(clips, _FREESOUND[part.subset]), "id")
        found = [keys.freesound_keys(number)]
        times = {"kind": "freesound", "key": number}
    else:
        found, times = [pa.nulls(n, pa.string())], {}
    return {"audio_ref": struct(schema.AUDIO_REF, n, **times, file_name=file_names), "clip_keys": interleaved(found)}
