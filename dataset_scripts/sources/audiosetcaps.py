"""AudioSetCaps: captions that a language model made from another model's answers to three questions, for 6.1 million clips.

Source: Bai et al. 2024, "AudioSetCaps: An Enriched Audio-Caption Dataset using Automated Generation Pipeline with Large Audio and
Language Models"; per subset a caption csv (`id,caption`) and optionally a Q&A csv (`id,answer_1,answer_2,answer_3`). Row id
`audiosetcaps/<subset>/<id>`, in the order of the caption file; clips that only have answers follow. An id that is there several
times is one row with all its captions and answers. The questions are the same for all clips, and stated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import keys, schema
from ..arrays import (
    Integers,
    english_captions,
    joined_lists,
    json_members,
    json_objects_or_null,
    json_texts,
    lists,
    row_after_row,
    struct,
    text,
)
from ..audioset_segments import Segments, lookup_files, segment_columns
from ..join import grouped
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, RawFile, UpstreamFile
from ..upstream.remote import HubRepository

_Spans = tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]


@dataclass(frozen=True)
class _Subset:
    """The files of one subset, and how its ids say when the clip begins (None: they do not)."""

    captions: str
    questions: str
    spans: Callable[[pa.StringArray], _Spans] | None


_SUBSETS = {
    "audioset": _Subset("AudioSetCaps_caption.csv", "AudioSetCaps_Qwen-Audio_Q&A.csv", None),
    "vggsound": _Subset("VGGSound_AudioSetCaps_caption.csv", "VGGSound_Qwen-Audio_Q&A.csv", keys.second_spans),
    "youtube8m": _Subset("YouTube-8M_AudioSetCaps_caption.csv", "YouTube-8M_Qwen-Audio_Q&A.csv", keys.duration_spans),
}
_TOPICS = ("sound", "speech", "music")
_QUESTIONS = (
    "Describe this audio according to the sounds in it.",
    "Based on the QAs, give some information about the speech, such as the emotion of the speaker, the gender of the speaker, "
    "and the spoken language, only if speech is present in this audio.",
    "Based on the QAs, give some information about the music, such as music genre and music instruments, only if music is "
    "present in this audio.",
)
_ASKED = tuple(f"question_{i}" for i in (1, 2, 3))
_ANSWERED = tuple(f"answer_{i}" for i in (1, 2, 3))
# An answer that gives none: an apology or refusal at its beginning, or nothing but the statement that there is no such sound.
_NO_ANSWER = (
    r"(?i)^\s*(?:$|(?:(?:i|we)(?: am|['’]m| are|['’]re) (?:sorry|unable)|sorry|as an ai|(?:i|we) (?:cannot|can['’]t|could not))\b"
    r"|there (?:is|are|was|were) no (?:[a-z]+ )?(?:speech|speakers?|voices?|music|sounds?)(?: present)?"
    r"(?: in (?:this|the) (?:audio|audio clip|clip|recording))?[.]?\s*$)"
)


class AudioSetCaps(Source):
    """All three subsets; everything is training data."""

    name = "audiosetcaps"
    dataset = "audiosetcaps"
    title = "AudioSetCaps"
    release = "1.0"
    splits = ("train",)
    has_unique_ids = True
    has_own_segments = True
    files = tuple(
        file
        for name, one in _SUBSETS.items()
        for file in (
            UpstreamFile(one.captions, "train", subset=name),
            UpstreamFile(one.questions, "train", role="qa", subset=name, is_needed=False),
            *(lookup_files("train", name) if one.spans is None else ()),
        )
    )
    repo = "huggingface.co/datasets/baijs/AudioSetCaps"
    remote = (HubRepository("baijs/AudioSetCaps"),)
    where_to_get = (
        "They are in the folder `Dataset` of https://huggingface.co/datasets/baijs/AudioSetCaps; the Q&A files are optional."
    )

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields clips in caption order, then clips that only have answers; see `join` for the memory that it takes."""
        subset = _SUBSETS[part.subset or ""]
        segments = Segments(part)
        files = [_records(part.files["captions"], ("id", "caption"), ())]
        files.append(_records(part.files.get("qa"), ("id", *_ANSWERED), _ASKED))
        for (captions, n_captions), (answers, n_answers) in grouped(files, "id", self.row_group_rows):
            clips = _clips(captions, n_captions, answers, n_answers)
            videos = keys.audioset_videos(clips)
            start_s, end_s, tags = segments.of(videos)
            if subset.spans is not None:
                videos, start_s, end_s = subset.spans(clips)
            yield self.batch(
                part,
                len(clips),
                id=pc.binary_join_element_wise(text(f"{self.name}/{part.subset}/", len(clips)), clips, ""),
                source_key=clips,
                captions=english_captions(captions["caption"], n_captions),
                qa=lists(_qa(answers), n_answers * len(_TOPICS)),
                tags=tags,
                **segment_columns(videos, start_s, end_s),
                provenance=joined_lists(
                    [
                        lists(self._origins(part, "captions", captions, ()), n_captions),
                        lists(self._origins(part, "qa", answers, _ASKED), n_answers),
                    ]
                ),
            )

    def _origins(self, part: Part, role: str, records: pa.Table, verbatim: tuple[str, ...]) -> pa.StructArray:
        extra = records[csvfile.EXTRA].combine_chunks()
        if verbatim:
            extra = json_members({name: json_texts(records[name].combine_chunks()) for name in verbatim}, extra)
        return struct(
            schema.PROVENANCE,
            records.num_rows,
            repo=self.repo,
            revision=self.release,
            file=part.files[role].name if role in part.files else None,
            row=records[csvfile.ROW],
            extra_json=json_objects_or_null(extra),
        )

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the lines of the caption file, then those of the Q&A file."""
        count = len(row["captions"])
        for caption, origin in zip(row["captions"], row["provenance"][:count], strict=True):
            yield (
                origin["file"],
                origin["row"],
                merged({"id": row["source_key"], "caption": caption["text"]}, origin["extra_json"]),
            )
        for i, origin in enumerate(row["provenance"][count:]):
            given = row["qa"][i * len(_ANSWERED) : (i + 1) * len(_ANSWERED)]
            answers = dict(zip(_ANSWERED, (one["answer"] for one in given), strict=True))
            yield origin["file"], origin["row"], merged({"id": row["source_key"], **answers}, origin["extra_json"])


def _records(file: RawFile | None, columns: tuple[str, ...], optional: tuple[str, ...]) -> Iterator[pa.Table]:
    """Yields the records of a csv file, first an empty table so that a file without records has its columns."""
    nothing = {name: pa.array([], pa.string()) for name in (*columns, *optional)}
    yield pa.table({**nothing, csvfile.ROW: pa.array([], pa.int64()), csvfile.EXTRA: pa.array([], pa.string())})
    if file is not None:
        yield from csvfile.read(file, columns, optional=optional)


def _clips(captions: pa.Table, n_captions: Integers, answers: pa.Table, n_answers: Integers) -> pa.StringArray:
    """Returns the id of every clip: of its first caption, or of its first answers where it has no caption."""
    ids = pa.concat_arrays([captions["id"].combine_chunks(), answers["id"].combine_chunks()])
    first_caption = np.cumsum(n_captions) - n_captions
    first_answer = np.cumsum(n_answers) - n_answers + captions.num_rows
    return ids.take(pa.array(np.where(n_captions > 0, first_caption, first_answer)))


def _qa(answers: pa.Table) -> pa.StructArray:
    """Returns three questions per record, in order."""
    n = answers.num_rows
    answer = row_after_row([answers[name].combine_chunks() for name in _ANSWERED])
    topics = pa.array(np.tile(np.arange(len(_TOPICS), dtype=np.int32), n))
    question = pa.array(_QUESTIONS).take(topics)
    if any(answers[name].null_count < n for name in _ASKED):
        question = pc.coalesce(row_after_row([answers[name].combine_chunks() for name in _ASKED]), question)
    return struct(
        schema.QUESTION,
        len(answer),
        question=question,
        answer=answer,
        category=pa.array(_TOPICS).take(topics),
        origin="llm",
        is_absent=pc.match_substring_regex(answer, _NO_ANSWER),
    )
