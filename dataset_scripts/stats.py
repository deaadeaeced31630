"""Counts over rows: what `stats.json`, the card's tables and the papers' tables are made of.

A tally is a JSON-ready dictionary of sums; tallies of parts add up to the tally of the whole, so parts can be counted
apart and in any order. Lengths are words between white space, as the papers count them; hours are sums of `duration_s`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import characters_of

_TEXTS_AT_ONCE = 4096  # what fits into a processor's cache is counted several times faster
# Runs of what Python's str.split() does not split at: RE2's \s knows only some of Unicode's white space.
_WORD = r"[^\s\p{Z}\x0b\x1c-\x1f\x{85}]+"

Tally = dict[str, Any]
LISTED_IDS = 1000  # how many ids without a clip key, or with the same trouble with their sound, `stats.json` names


def tally(table: pa.Table, primary_style: str) -> Tally:
    """Returns the sums over some rows.

    Args:
        table: rows of the schema (`id`, `caption`, `captions`, `duration_s`, `qa`, `tags`, `clip_keys`, `overlaps` are read).
        primary_style: captions in this style make up the mean caption length.
    """
    flat = pc.list_flatten(table["captions"]).combine_chunks()
    text, style = pc.struct_field(flat, "text"), pc.struct_field(flat, "style")
    words = word_counts(text).to_numpy()
    is_absent = pc.fill_null(pc.struct_field(flat, "is_absent"), False).to_numpy(zero_copy_only=False)
    coded = pc.fill_null(style, "").dictionary_encode()
    codes, n = coded.indices.to_numpy(), len(coded.dictionary)
    sums = {
        "captions": np.bincount(codes, minlength=n),
        "words": np.bincount(codes, weights=words, minlength=n).astype(np.int64),
        "absent": np.bincount(codes[is_absent], minlength=n),
        "blank": np.bincount(codes[words == 0], minlength=n),
    }
    names = coded.dictionary.to_pylist()
    styles = {names[i]: {key: int(values[i]) for key, values in sums.items()} for i in sorted(range(n), key=names.__getitem__)}
    duration = table["duration_s"]
    unkeyed = table["id"].filter(pc.equal(pc.list_value_length(table["clip_keys"]), 0))
    return {
        "rows": table.num_rows,
        "duration_rows": table.num_rows - duration.null_count,
        "duration_s": pc.sum(duration).as_py() or 0.0,
        "primary_captions": styles.get(primary_style, {}).get("captions", 0),
        "primary_words": styles.get(primary_style, {}).get("words", 0),
        "qa": pc.sum(pc.list_value_length(table["qa"])).as_py() or 0,
        "tags": pc.sum(pc.list_value_length(table["tags"])).as_py() or 0,
        "rows_without_caption": table["caption"].null_count,
        "rows_without_clip_key": len(unkeyed),
        "ids_without_clip_key": unkeyed.slice(0, LISTED_IDS).to_pylist(),
        "styles": styles,
        "overlaps": _overlaps(table["overlaps"]),
    }


def _overlaps(column: pa.ChunkedArray) -> dict[str, dict[str, int]]:
    """Returns set to level to the number of entries, one per row, side and recording."""
    flat = pc.list_flatten(column).combine_chunks()
    if not len(flat):
        return {}
    counts = pa.table({name: pc.struct_field(flat, name) for name in ("set", "level")}).group_by(["set", "level"])
    found: dict[str, dict[str, int]] = {}
    for row in counts.aggregate([([], "count_all")]).sort_by([("set", "ascending"), ("level", "ascending")]).to_pylist():
        found.setdefault(row["set"], {})[row["level"]] = row["count_all"]
    return found


def word_counts(texts: pa.StringArray) -> pa.Int32Array:
    """Returns per text the number of words, as `len(text.split())` counts them; null counts as empty.

    Bytes are looked at as numbers; only texts beyond ASCII, which may hold other kinds of blanks, cost a regular expression.
    """
    pieces = [texts.slice(begin, _TEXTS_AT_ONCE) for begin in range(0, len(texts), _TEXTS_AT_ONCE)]
    return pa.concat_arrays([pa.array([], pa.int32()), *map(_word_counts, pieces)])


def _word_counts(texts: pa.StringArray) -> pa.Int32Array:
    characters, begins = characters_of(texts)
    filled = begins[:-1] < begins[1:]
    firsts = begins[:-1][filled]
    counts = np.zeros(len(texts), np.int32)
    if not len(firsts):
        return pa.array(counts)
    # 9 to 13, 28 to 31 and 32; below zero the unsigned numbers wrap around.
    is_blank = (characters == 32) | ((characters - np.uint8(9)) <= 4) | ((characters - np.uint8(28)) <= 3)
    is_start = ~is_blank
    is_start[1:] &= is_blank[:-1]
    is_start[firsts] = ~is_blank[firsts]
    counts[filled] = np.add.reduceat(is_start.view(np.uint8), firsts, dtype=np.int32)
    words = pa.array(counts)
    beyond = characters > 127
    if beyond.any():
        mask = np.zeros(len(texts), bool)
        mask[filled] = np.logical_or.reduceat(beyond, firsts)
        words = pc.replace_with_mask(words, pa.array(mask), pc.count_substring_regex(texts.filter(pa.array(mask)), _WORD))
    return words


def add(tallies: Iterable[Tally]) -> Tally:
    """Returns the sum of tallies, key by key, lists one behind the other up to `LISTED_IDS`; an empty dictionary for none."""
    total: Tally = {}
    for one in tallies:
        for key, value in one.items():
            if isinstance(value, dict):
                total[key] = add([total.get(key, {}), value])
            elif isinstance(value, list):
                total[key] = [*total.get(key, []), *value][:LISTED_IDS]
            else:
                total[key] = total.get(key, 0) + value
    return total


def summary(one: Tally) -> dict[str, Any]:
    """Returns the figures that people read, from the sums of a tally; means of nothing are None."""
    styles = one.get("styles", {})
    captions = sum(style["captions"] for style in styles.values())
    absent = sum(style["absent"] for style in styles.values())
    blank = sum(style["blank"] for style in styles.values())
    return {
        "rows": one.get("rows", 0),
        "captions": captions,
        "hours": one["duration_s"] / 3600 if one.get("duration_rows") else None,
        "mean_duration_s": _mean(one.get("duration_s", 0.0), one.get("duration_rows", 0)),
        "mean_caption_words": _mean(one.get("primary_words", 0), one.get("primary_captions", 0)),
        "absent_share": _mean(absent, captions),
        "blank_captions": blank,
        "qa": one.get("qa", 0),
        "tags": one.get("tags", 0),
        "rows_without_duration": one.get("rows", 0) - one.get("duration_rows", 0),
        "rows_without_caption": one.get("rows_without_caption", 0),
        "rows_without_clip_key": one.get("rows_without_clip_key", 0),
        "styles": {
            name: {
                "captions": style["captions"],
                "mean_words": _mean(style["words"], style["captions"]),
                "absent": style["absent"],
            }
            for name, style in sorted(styles.items())
        },
        **({"ids_without_clip_key": one["ids_without_clip_key"]} if one.get("ids_without_clip_key") else {}),
        **({"overlaps": one["overlaps"]} if one.get("overlaps") else {}),
        **({"sound": one["sound"]} if one.get("sound") else {}),
    }


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
