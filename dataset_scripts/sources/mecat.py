"""MECAT: captions in six styles, three each, and five questions per ten-second clip, in eight domains.

Source: "MECAT: A Multi-Experts Constructed Benchmark for Fine-Grained Audio Understanding Tasks", 2025; per domain and split a
caption file and a QA file of `{"<key>": {...}}` lines. Row id `mecat/<split>/<clip key>`; the key is kept as it is written,
float tails included. A question belongs to the clip whose key begins its own (then `_` and 8 hex digits).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .. import csvfile, jsonfile, keys, schema
from ..arrays import (
    interleaved,
    joined_lists,
    json_members,
    json_objects,
    json_objects_or_null,
    json_texts,
    lengths_of,
    lists,
    ranges,
    struct,
    text,
)
from ..errors import MissingRequirementError
from ..files import Part, UpstreamFile
from ..jsonfile import KEY, Shape
from ..schema import primary_caption
from ..source import Record, Source, merged

STYLES = ("short", "long", "speech", "music", "sound", "environment")
DOMAINS = ("000", "00A", "0M0", "0MA", "S00", "S0A", "SM0", "SMA")
_CAPTIONS = Shape(texts=("domain",), lists=STYLES, needed=("domain",))
_QUESTIONS = Shape(texts=("category", "difficulty", "question", "answer", "domain"), needed=("question", "answer", "domain"))
_QUESTION_KEY = "^(.+)_[0-9a-f]{8}$"


class Mecat(Source):
    """MECAT-Caption and MECAT-QA, joined by clip."""

    name = "mecat"
    dataset = "mecat"
    title = "MECAT"
    release = "1.0"
    splits = ("train", "test")
    files = tuple(
        UpstreamFile(f"{domain}.jsonl", split, role=role, subset=domain, folders=(folder, split), is_needed=False)
        for split in ("train", "test")
        for domain in DOMAINS
        for role, folder in (("captions", "caption"), ("qa", "qa"))
    )
    repo = "github.com/xiaomi-research/mecat"
    primary_style = "long"
    where_to_get = (
        "They are in src/reference of https://github.com/xiaomi-research/mecat; `pip install mecat` brings the test split."
    )

    @property
    def needs(self) -> str:
        """The package of the publisher, or the files."""
        return "pip install mecat"

    def default_raw(self) -> Path:
        """Returns the reference folder of the installed `mecat` package, without importing the package.

        Raises:
            MissingRequirementError: the package is not installed.
        """
        found = importlib.util.find_spec("mecat")
        for folder in (found.submodule_search_locations or []) if found else []:
            if (Path(folder) / "reference").is_dir():
                return Path(folder) / "reference"
        raise MissingRequirementError(
            "the mecat package", "Without --raw the references of MECAT are read from it.", "pip install mecat==1.1.0"
        )

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields a domain in one batch: clips in caption order, then clips that only have questions."""
        captions = self._load(part, "captions", _CAPTIONS)
        questions = self._load(part, "qa", _QUESTIONS)
        clip_of_question = self._clips(part, questions)
        own = captions[KEY].chunk(0)
        others = pc.unique(clip_of_question.filter(pc.invert(pc.is_in(clip_of_question, value_set=own))))
        clips = pa.concat_arrays([own, others])
        n, n_own = len(clips), len(own)
        if not n:
            return
        # Clips without captions take a null from every caption column.
        position = pa.array(np.arange(n), mask=np.arange(n) >= n_own)
        captions = captions.take(position).combine_chunks()
        clip_index = pc.index_in(clip_of_question, value_set=clips).to_numpy()
        order = pa.array(np.argsort(clip_index, kind="stable"))
        questions, clip_index = questions.take(order).combine_chunks(), clip_index[order.to_numpy()]
        per_clip = np.bincount(clip_index, minlength=n)
        domain = captions["domain"].chunk(0)
        if n > n_own:
            firsts = pa.array((np.cumsum(per_clip) - per_clip).clip(max=len(clip_index) - 1))
            domain = pc.coalesce(domain, questions["domain"].chunk(0).take(firsts))
        grouped = joined_lists([_captions(captions[style].chunk(0), style) for style in STYLES])
        video, start_s, end_s = keys.acav_spans(clips)
        yield self.batch(
            part,
            n,
            id=pc.binary_join_element_wise(text(f"{self.name}/{part.split}/", n), clips, ""),
            source_key=clips,
            caption=primary_caption(grouped, self.primary_style),
            captions=grouped,
            audio_ref=struct(
                schema.AUDIO_REF,
                n,
                kind="youtube",
                key=video,
                start_s=start_s,
                end_s=end_s,
                file_name=pc.binary_join_element_wise(clips, ".flac", ""),
            ),
            sampling_rate_hz=16_000,
            n_channels=1,
            domain=domain,
            qa=lists(self._questions(questions), per_clip),
            clip_keys=interleaved([pc.binary_join_element_wise("yt:", video, ""), keys.segment_keys(video, start_s)]),
            provenance=self._provenance(part, captions, questions, per_clip, domain.take(pa.array(clip_index))),
            extra_json=_extra(captions),
        )

    def _load(self, part: Part, role: str, shape: Shape) -> pa.Table:
        """Returns all records of one file, none if the part does not have it."""
        empty = pa.schema([(KEY, pa.string()), *shape.schema, (csvfile.EXTRA, pa.string()), (csvfile.ROW, pa.int64())])
        tables = (
            [table.select(empty.names) for table in jsonfile.keyed_lines(part.files[role], shape)] if role in part.files else []
        )
        table = pa.concat_tables([empty.empty_table(), *tables]).combine_chunks()
        return table if table.num_rows else pa.table({field.name: pa.array([], field.type) for field in empty})

    def _clips(self, part: Part, questions: pa.Table) -> pa.StringArray:
        """Returns the clip key of every question."""
        key = questions[KEY].chunk(0)
        clip = pc.replace_substring_regex(key, _QUESTION_KEY, r"\1")
        wrong = pc.equal(clip, key)
        if pc.any(wrong).as_py():
            at = pc.index(wrong, True).as_py()
            raise part.files["qa"].error(
                "expected the key of a clip, `_` and 8 hex digits", record=at + 1, field="key", value=key[at].as_py()
            )
        return clip

    @staticmethod
    def _questions(questions: pa.Table) -> pa.StructArray:
        columns = {name: questions[name].chunk(0) for name in ("question", "answer", "category", "difficulty")}
        return struct(
            schema.QUESTION, questions.num_rows, qa_id=questions[KEY].chunk(0), **columns, origin="llm", is_absent=False
        )

    def _provenance(
        self, part: Part, captions: pa.Table, questions: pa.Table, per_clip: NDArray[np.int64], domain: pa.StringArray
    ) -> pa.ListArray:
        """Returns the caption record, if there is one, and the question records of every clip."""

        def origins(table: pa.Table, role: str, extra: pa.StringArray | None) -> pa.StructArray:
            file = part.files[role].name if role in part.files else None
            return struct(
                schema.PROVENANCE, table.num_rows, repo=self.repo, revision=self.release, file=file,
                row=table[csvfile.ROW].chunk(0), extra_json=extra,
            )  # fmt: skip

        caption = origins(captions, "captions", None)
        caption = pc.if_else(captions[KEY].chunk(0).is_valid(), caption, pa.scalar(None, schema.PROVENANCE))
        # A question names its domain again: only another one than the clip's has to be kept.
        own = questions["domain"].chunk(0)
        other_domain = pc.if_else(pc.equal(own, domain), pa.scalar(None, pa.string()), json_texts(own))
        extra = json_objects_or_null(json_members({"domain": other_domain}, questions[csvfile.EXTRA].chunk(0)))
        return joined_lists([interleaved([caption]), lists(origins(questions, "qa", extra), per_clip)])

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the caption record, if the clip has one, and its question records."""
        origins = list(row["provenance"])
        if len(origins) > len(row["qa"]):
            origin = origins.pop(0)
            texts: dict[str, list[str]] = {}
            for caption in row["captions"]:
                texts.setdefault(caption["style"], []).append(caption["text"])
            yield (
                origin["file"],
                origin["row"],
                {row["source_key"]: merged({**texts, "domain": row["domain"]}, row["extra_json"])},
            )
        for qa, origin in zip(row["qa"], origins, strict=True):
            values = {name: qa[name] for name in ("category", "difficulty", "question", "answer")}
            record = merged({**values, "domain": row["domain"]}, origin["extra_json"])
            yield origin["file"], origin["row"], {qa["qa_id"]: record}


def _captions(texts: pa.ListArray, style: str) -> pa.ListArray:
    """Returns the captions of one style; all of a row are absent if the first one says "None"."""
    flat, lengths = texts.flatten(), lengths_of(texts)
    begins = np.cumsum(lengths) - lengths
    says_none = pc.equal(flat, "None").to_numpy(zero_copy_only=False)
    is_absent = np.zeros(len(texts), bool)
    is_absent[lengths > 0] = says_none[begins[lengths > 0]]
    captions = struct(
        schema.CAPTION,
        len(flat),
        text=flat,
        style=style,
        index=pa.array(ranges(lengths)),
        origin="llm",
        language="en",
        is_absent=pa.array(np.repeat(is_absent, lengths)),
    )
    return lists(captions, lengths)


def _extra(captions: pa.Table) -> pa.StringArray:
    """Returns unknown fields, and styles whose list is empty: no caption would tell them from styles that are not there."""
    nothing = pa.scalar(None, pa.string())
    empty = {
        style: pc.if_else(pc.equal(pc.fill_null(pc.list_value_length(captions[style].chunk(0)), 1), 0), "[]", nothing)
        for style in STYLES
    }
    return json_objects(json_members(empty, pc.fill_null(captions[csvfile.EXTRA].chunk(0), "")))
