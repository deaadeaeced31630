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

from .. import schema
from ..arrays import (
    Integers,
    joined_lists,
    json_members,
    json_objects_or_null,
    json_texts,
    lists,
    singletons,
    stretches,
    struct,
    text,
)
from ..pipeline import recut
from ..source import Record, Source, merged
from ..upstream import csvfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.jsonlines import KEY, keyed_lines
from ..upstream.jsonrecords import Shape
from ..upstream.remote import github
from ._six_styles import PRESENCE_STYLES, acav_columns, caption_lists, extra_objects, texts_by_style

STYLES = ("short", "long", *PRESENCE_STYLES)
DOMAINS = ("000", "00A", "0M0", "0MA", "S00", "S0A", "SM0", "SMA")
_CAPTIONS = Shape(texts=("domain",), lists=STYLES, needed=("domain",))
_QUESTIONS = Shape(texts=("category", "difficulty", "question", "answer", "domain"), needed=("question", "answer", "domain"))
_ADDED = (pa.field(csvfile.EXTRA, pa.string()), pa.field(csvfile.ROW, pa.int64()))
_QUESTION_KEY = "._[0-9a-f]{8}$"


class Mecat(Source):
    """MECAT-Caption and MECAT-QA, joined by clip."""

    name = "mecat"
    dataset = "mecat"
    title = "MECAT"
    release = "1.0"
    splits = ("train", "test")
    has_own_segments = True
    files = tuple(
        UpstreamFile(f"{domain}.jsonl", split, role=role, subset=domain, folders=(folder, split), is_needed=False)
        for split in ("train", "test")
        for domain in DOMAINS
        for role, folder in (("captions", "caption"), ("qa", "qa"))
    )
    repo = "github.com/xiaomi-research/mecat"
    primary_style = "long"
    remote = github(
        "xiaomi-research/mecat",
        "33da32b91e00c1d7159a60e43032b3e7ad71ce15",
        {f"src/reference/{'/'.join(file.folders)}/{file.name}": None for file in files},
    )
    where_to_get = (
        "They are in src/reference of https://github.com/xiaomi-research/mecat; `pip install mecat` brings the test split."
    )

    @property
    def needs(self) -> str:
        """The package of the publisher, or the files."""
        return "pip install mecat, or network"

    def default_raw(self) -> Path | None:
        """Returns the reference folder of the installed `mecat` package, without importing it; None where it is not installed."""
        found = importlib.util.find_spec("mecat")
        for folder in (found.submodule_search_locations or []) if found else []:
            if (Path(folder) / "reference").is_dir():
                return Path(folder) / "reference"
        return None

    def read_part(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yields clips in caption order, then clips that only have questions. The questions of a domain are held in memory."""
        questions = _Questions(part)
        if "captions" in part.files:
            for captions in recut(keyed_lines(part.files["captions"], _CAPTIONS), self.row_group_rows):
                clips = captions[KEY].combine_chunks()
                yield self._rows(part, clips, captions, *questions.of(clips))
        left = questions.left()
        if len(left):
            nothing = pa.table({field.name: pa.nulls(len(left), field.type) for field in (*_CAPTIONS.schema, *_ADDED)})
            yield self._rows(part, left, nothing, *questions.of(left))

    def _rows(
        self, part: Part, clips: pa.StringArray, captions: pa.Table, questions: pa.Table, per_clip: Integers
    ) -> pa.RecordBatch:
        """Returns the rows of some clips.

        Args:
            part: what is being read.
            clips: keys of `n` clips.
            captions: their caption records, all null for clips that only have questions.
            questions: their question records, clip after clip.
            per_clip: int64[n], how many of them each clip has.
        """
        n = len(clips)
        domain = captions["domain"].combine_chunks()
        if domain.null_count:
            domain = questions["domain"].take(pa.array(np.cumsum(per_clip) - per_clip)).combine_chunks()
        return self.batch(
            part,
            n,
            id=pc.binary_join_element_wise(text(f"{self.name}/{part.split}/", n), clips, ""),
            source_key=clips,
            captions=caption_lists(captions, STYLES),
            sampling_rate_hz=16_000,
            n_channels=1,
            domain=domain,
            qa=lists(_qa(questions), per_clip),
            **acav_columns(clips),
            provenance=self._provenance(part, captions, questions, per_clip, domain),
            extra_json=extra_objects(captions, STYLES),
        )

    def _provenance(
        self, part: Part, captions: pa.Table, questions: pa.Table, per_clip: Integers, domain: pa.StringArray
    ) -> pa.ListArray:
        """Returns the caption record, if there is one, and the question records of every clip."""

        def origins(role: str, rows: pa.Array, extra: pa.StringArray | None) -> pa.StructArray:
            file = part.files[role].name if role in part.files else None
            return struct(
                schema.PROVENANCE, len(rows), repo=self.repo, revision=self.release, file=file, row=rows, extra_json=extra
            )

        rows = captions[csvfile.ROW].combine_chunks()
        caption = origins("captions", rows, None)
        if rows.null_count:
            caption = pa.nulls(len(rows), schema.PROVENANCE)
        # A question names its domain again: only another one than the clip's has to be kept.
        own = questions["domain"].combine_chunks()
        of_clip = domain.take(pa.array(np.repeat(np.arange(len(per_clip)), per_clip)))
        other_domain = json_texts(pc.if_else(pc.equal(own, of_clip), pa.scalar(None, pa.string()), own))
        extra = json_objects_or_null(json_members({"domain": other_domain}, questions[csvfile.EXTRA].combine_chunks()))
        asked = lists(origins("qa", questions[csvfile.ROW].combine_chunks(), extra), per_clip)
        return joined_lists([singletons(caption), asked])

    def records(self, row: Record) -> Iterable[tuple[str, int, Record]]:
        """Yields the caption record, if the clip has one, and its question records."""
        origins = list(row["provenance"])
        if len(origins) > len(row["qa"]):
            origin = origins.pop(0)
            texts = texts_by_style(row["captions"])
            yield (
                origin["file"],
                origin["row"],
                {row["source_key"]: merged({**texts, "domain": row["domain"]}, row["extra_json"])},
            )
        for qa, origin in zip(row["qa"], origins, strict=True):
            values = {name: qa[name] for name in ("category", "difficulty", "question", "answer")}
            record = merged({**values, "domain": row["domain"]}, origin["extra_json"])
            yield origin["file"], origin["row"], {qa["qa_id"]: record}


class _Questions:
    """The questions of a domain, sorted by clip; each is handed out once."""

    def __init__(self, part: Part) -> None:
        fields = [(KEY, pa.string()), *_QUESTIONS.schema, *_ADDED]
        tables = list(keyed_lines(part.files["qa"], _QUESTIONS)) if "qa" in part.files else []
        names = [field[0] if isinstance(field, tuple) else field.name for field in fields]
        table = pa.concat_tables([pa.schema(fields).empty_table(), *(one.select(names) for one in tables)]).combine_chunks()
        coded = _clips_of(part, table[KEY].combine_chunks()).dictionary_encode()
        codes = coded.indices.to_numpy()
        is_sorted = bool((np.diff(codes) >= 0).all())
        self.table = table if is_sorted else table.take(pa.array(np.argsort(codes, kind="stable")))
        self.clips = coded.dictionary
        self.counts = np.bincount(codes, minlength=len(self.clips))
        self.begins = np.cumsum(self.counts) - self.counts

    def of(self, clips: pa.StringArray) -> tuple[pa.Table, Integers]:
        """Returns the questions of some clips, clip after clip, and how many each has; a repeated clip gets none."""
        found = pc.fill_null(pc.index_in(clips, value_set=self.clips), -1).to_numpy()
        known, first = np.unique(found, return_index=True)
        places, known = first[known >= 0], known[known >= 0]
        per_clip, begins = np.zeros(len(clips), np.int64), np.zeros(len(clips), np.int64)
        per_clip[places], begins[places] = self.counts[known], self.begins[known]
        self.counts[known] = 0
        asked = begins[per_clip > 0]
        if len(asked) and (np.diff(asked) == per_clip[per_clip > 0][:-1]).all():  # in the order of the clips: no copy
            return self.table.slice(asked[0], per_clip.sum()), per_clip
        return self.table.take(pa.array(stretches(begins, per_clip))), per_clip

    def left(self) -> pa.StringArray:
        """Returns the clips whose questions were not asked for yet."""
        return self.clips.filter(pa.array(self.counts > 0))


def _clips_of(part: Part, keys_: pa.StringArray) -> pa.StringArray:
    """Returns the clip key of every question key."""
    fits = pc.match_substring_regex(keys_, _QUESTION_KEY)
    if pc.any(pc.invert(fits)).as_py():
        at = pc.index(fits, False).as_py()
        raise part.files["qa"].error(
            "expected the key of a clip, `_` and 8 hex digits", record=at + 1, field="key", value=keys_[at].as_py()
        )
    return pc.utf8_slice_codeunits(keys_, 0, -9)


def _qa(questions: pa.Table) -> pa.StructArray:
    columns = {name: questions[name].combine_chunks() for name in ("question", "answer", "category", "difficulty")}
    return struct(
        schema.QUESTION, questions.num_rows, qa_id=questions[KEY].combine_chunks(), **columns, origin="llm", is_absent=False
    )
