"""The one schema of every config: a row is one clip of one dataset release, or one pair of clips.

- The same columns, in the same order, for every source: `concatenate_datasets` joins any of them.
- Columns in `REQUIRED` are never null (their lists may be empty); everything else may be null.
- Times are seconds (`_s`), rates hertz (`_hz`). Lists of captions keep the publisher's order.
- `extra_json` is a JSON object with every upstream field that has no column of its own, and with the verbatim value of any
  field whose column could not hold it exactly (a duration written as an integer, say).
- `SCHEMA_VERSION` goes up when a column is added, removed or changes its meaning.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import datasets

SCHEMA_VERSION = 1

STYLES = (
    "default", "long", "short", "speech", "music", "sound", "environment", "writing", "summary", "paraphrase", "attribute",
    "description", "difference", "commonality",
)  # fmt: skip
ORIGINS = ("human", "human_edited", "llm", "template", "rule")
OPERATIONS = ("add", "delete", "replace", "other")
SIDES = ("a", "b", "pair")

_TEXT = pa.string()


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


SCORE = _struct(name=_TEXT, value=pa.float64(), producer=_TEXT)
AUDIO = _struct(bytes=pa.binary(), path=_TEXT)
AUDIO_REF = _struct(
    kind=_TEXT, key=_TEXT, start_s=pa.float64(), end_s=pa.float64(), url=_TEXT, file_name=_TEXT, archive=_TEXT, member=_TEXT
)
CAPTION = _struct(
    text=_TEXT, style=_TEXT, side=_TEXT, variant=_TEXT, prompt=_TEXT, index=pa.int32(), upstream_id=_TEXT, origin=_TEXT,
    language=_TEXT, annotator=_TEXT, is_absent=pa.bool_(), scores=pa.list_(SCORE),
)  # fmt: skip
QUESTION = _struct(
    qa_id=_TEXT, question=_TEXT, answer=_TEXT, choices=pa.list_(_TEXT), category=_TEXT, difficulty=_TEXT, task=_TEXT,
    context=_TEXT, origin=_TEXT, annotator=_TEXT, is_absent=pa.bool_(), scores=pa.list_(SCORE),
)  # fmt: skip
TAG = _struct(label=_TEXT, scheme=_TEXT, code=_TEXT, score=pa.float64())
EVENT = _struct(
    role=_TEXT, label=_TEXT, category=_TEXT, file=_TEXT, onset_s=pa.float64(), duration_s=pa.float64(), snr_db=pa.float64()
)
OVERLAP = _struct(set=_TEXT, side=_TEXT, level=_TEXT, key=_TEXT, shared_s=pa.float64())
PROVENANCE = _struct(repo=_TEXT, revision=_TEXT, file=_TEXT, row=pa.int64(), extra_json=_TEXT)

REQUIRED = ("id", "dataset", "split", "source_key", "captions", "qa", "tags", "scores", "clip_keys", "extra_json")

_COLUMNS: dict[str, pa.DataType] = {
    "id": _TEXT,
    "dataset": _TEXT,
    "subset": _TEXT,
    "split": _TEXT,
    "release": _TEXT,
    "source_key": _TEXT,
    "caption": _TEXT,
    "captions": pa.list_(CAPTION),
    "audio": AUDIO,
    "audio_ref": AUDIO_REF,
    "duration_s": pa.float64(),
    "sampling_rate_hz": pa.int32(),
    "n_channels": pa.int8(),
    "audio_b": AUDIO,
    "audio_ref_b": AUDIO_REF,
    "duration_b_s": pa.float64(),
    "caption_b": _TEXT,
    "operation": _TEXT,
    "base_clip": _TEXT,
    "events": pa.list_(EVENT),
    "qa": pa.list_(QUESTION),
    "tags": pa.list_(TAG),
    "scores": pa.list_(SCORE),
    "domain": _TEXT,
    "license_text": _TEXT,
    "license_audio": _TEXT,
    "attribution": _TEXT,
    "clip_keys": pa.list_(_TEXT),
    "overlaps": pa.list_(OVERLAP),
    "provenance": pa.list_(PROVENANCE),
    "extra_json": _TEXT,
}
SCHEMA: pa.Schema = pa.schema([pa.field(name, kind, nullable=name not in REQUIRED) for name, kind in _COLUMNS.items()])


def features() -> datasets.Features:
    """Returns the same columns as `datasets.Features`; the two audio columns decode to sound."""
    from datasets import Audio, Features

    found = Features.from_arrow_schema(SCHEMA)
    return Features({**found, "audio": Audio(), "audio_b": Audio()})


def schema_with_features() -> pa.Schema:
    """Returns the schema with the key-value metadata from which `datasets` restores `features()`.

    Spelled out here, not made by `datasets`, so that building does not import it; a test compares the two.
    """
    return SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": _feature(pa.struct(list(SCHEMA)), top=True)}})})


def _feature(kind: pa.DataType, *, top: bool = False) -> Any:
    """Returns the JSON form that `datasets` gives to an Arrow type."""
    if pa.types.is_struct(kind):
        found = {field.name: _feature(field.type) for field in kind}
        return {**found, "audio": {"_type": "Audio"}, "audio_b": {"_type": "Audio"}} if top else found
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def primary_caption(captions: pa.ListArray, style: str) -> pa.StringArray:
    """Returns per row the first caption in `style` that is neither absent nor blank, null where there is none.

    Args:
        captions: the `captions` column, `n` rows.
        style: the source's primary style.
    """
    flat = captions.flatten()
    in_style = pc.and_not(pc.equal(flat.field("style"), style), pc.fill_null(flat.field("is_absent"), False))
    where = pc.indices_nonzero(pc.fill_null(in_style, False))
    where = where.filter(pc.match_substring_regex(flat.field("text").take(where), r"\S"))
    rows = pc.list_parent_indices(captions).take(where).to_numpy()
    first = pa.array(np.diff(rows, prepend=-1) != 0)
    text = flat.field("text").take(where).filter(first)
    position = pc.index_in(pa.array(np.arange(len(captions))), value_set=pa.array(rows, pa.int64()).filter(first))
    return text.take(position)


def check(batch: pa.RecordBatch | pa.Table) -> None:
    """Checks that rows can be written; a failure is a mistake in a source module.

    Args:
        batch: rows that a source has read.

    Raises:
        ValueError: another schema, a null in a required column, an unknown style or origin, or invalid text.
    """
    if batch.schema.names != SCHEMA.names or batch.schema.types != SCHEMA.types:
        wrong = [f.name for f in batch.schema if f.name not in SCHEMA.names or SCHEMA.field(f.name).type != f.type]
        raise ValueError(f"the batch does not have the schema: {wrong or batch.schema.names}")
    batch.validate(full=True)
    for name in REQUIRED:
        if batch[name].null_count:
            raise ValueError(f"column {name!r} has {batch[name].null_count} nulls; it must have none")
    captions = batch["captions"]
    for chunk in captions.chunks if isinstance(captions, pa.ChunkedArray) else [captions]:
        flat = chunk.flatten()
        if flat.null_count or flat.field("text").null_count:
            raise ValueError("a caption has no text")
        _check_vocabulary(flat, "style", STYLES)
        _check_vocabulary(flat, "origin", ORIGINS)
        _check_vocabulary(flat, "side", SIDES)
    _check_vocabulary(batch, "operation", OPERATIONS)


def check_all(batch: pa.RecordBatch, primary_style: str) -> None:
    """Checks all promises of this module, also those that a build keeps by the way in which it makes rows.

    Args:
        batch: built rows.
        primary_style: the style that `caption` is taken from.

    Raises:
        ValueError: what `check` finds, repeated ids, or a `caption` that is not the first usable one.
    """
    check(batch)
    if pc.count_distinct(batch["id"]).as_py() != batch.num_rows:
        raise ValueError("ids repeat inside a batch")
    if not batch["caption"].equals(primary_caption(batch["captions"], primary_style)):
        raise ValueError(f"`caption` is not the first usable caption in style {primary_style!r}")


def _check_vocabulary(rows: pa.StructArray | pa.RecordBatch | pa.Table, name: str, allowed: tuple[str, ...]) -> None:
    values = rows.field(name) if isinstance(rows, pa.StructArray) else rows[name]
    strange = sorted(set(pc.unique(values).to_pylist()) - {None, *allowed})
    if strange:
        raise ValueError(f"{name} {strange} is none of {allowed}")
