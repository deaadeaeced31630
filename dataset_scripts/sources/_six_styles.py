"""What MECAT and ACAVCaps share: three captions in each of six styles, and keys that name ten seconds of a video.

A style whose first caption is the word "None" says that there is no such content; the other two are paraphrases of that, so
all of them are marked `is_absent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .. import keys, schema
from ..arrays import Integers, interleaved, json_members, json_objects, lengths_of, lists, ranges, row_order, struct
from ..upstream import csvfile

PRESENCE_STYLES = ("speech", "music", "sound", "environment")


def acav_columns(clips: pa.StringArray) -> dict[str, pa.Array]:
    """Returns the columns `audio_ref` and `clip_keys` of keys like `<video>_166_48_176_48`; see `keys.acav_span`."""
    video, start_s, end_s = keys.acav_spans(clips)
    reference = struct(
        schema.AUDIO_REF,
        len(clips),
        kind="youtube",
        key=video,
        start_s=start_s,
        end_s=end_s,
        file_name=pc.binary_join_element_wise(clips, ".flac", ""),
    )
    clip_keys = interleaved([pc.binary_join_element_wise("yt:", video, ""), keys.segment_keys(video, start_s)])
    return {"audio_ref": reference, "clip_keys": clip_keys}


def caption_lists(records: pa.Table, styles: Sequence[str]) -> pa.ListArray:
    """Returns all captions of every record, style after style; those of a style are absent if its first one says "None".

    Args:
        records: one list column of texts per style; null where the record does not have it.
        styles: the columns, in the order that the captions get.
    """
    texts = [records[style].combine_chunks() for style in styles]
    flat = [column.flatten() for column in texts]
    order, lengths = row_order([lengths_of(column) for column in texts])
    is_absent = [_absent(one, count) for one, count in zip(flat, lengths, strict=True)]
    sizes = [len(one) for one in flat]
    captions = struct(
        schema.CAPTION,
        len(order),
        text=pa.concat_arrays(flat).take(pa.array(order)),
        style=pa.array(styles).take(pa.array(np.repeat(np.arange(len(styles)), sizes)[order])),
        index=pa.array(ranges(lengths.ravel())[order]),
        origin="llm",
        language="en",
        is_absent=pa.array(np.concatenate(is_absent)[order]),
    )
    return lists(captions, lengths.sum(axis=0))


def _absent(texts: pa.StringArray, lengths: Integers) -> NDArray[np.bool_]:
    """Returns bool per text: whether the first text of its row is "None"."""
    says_none = pc.equal(texts, "None").to_numpy(zero_copy_only=False)
    begins = np.cumsum(lengths) - lengths
    has_any = lengths > 0
    of_row = np.zeros(len(lengths), bool)
    of_row[has_any] = says_none[begins[has_any]]
    return np.repeat(of_row, lengths)


def extra_objects(records: pa.Table, styles: Sequence[str]) -> pa.StringArray:
    """Returns unknown fields, and styles whose list is empty: no caption would tell them from styles that are not there."""
    nothing = pa.scalar(None, pa.string())
    empty = {
        style: pc.if_else(pc.equal(pc.fill_null(pc.list_value_length(records[style].combine_chunks()), 1), 0), "[]", nothing)
        for style in styles
    }
    return json_objects(json_members(empty, pc.fill_null(records[csvfile.EXTRA].combine_chunks(), "")))


def texts_by_style(captions: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns the texts of a row's captions by style, as the upstream record has them."""
    texts: dict[str, list[str]] = {}
    for caption in captions:
        texts.setdefault(caption["style"], []).append(caption["text"])
    return texts
