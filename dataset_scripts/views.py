"""Flat views of the one schema: a caption per row, a question per row, references per clip, chats, what tells two sounds apart.

- A view is a function from rows (a record batch or a table of the schema) to a table; `apply` runs it over a
  `datasets.Dataset` or a streaming one, batch by batch. The order of rows, captions and questions is kept.
- Views to train on (all but `references`) leave out absent and blank texts; `references` keep absent ones, as scoring
  needs.
- Without a style, `captions` and `messages` take all styles but raw descriptions; `references` takes the style of the first
  caption.
- Nothing is stored: views are made when they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from . import atomic, schema
from .arrays import contiguous, interleaved, lengths_of, lists, struct, text
from .built import BuiltSet
from .errors import InputError, UnknownNameError

if TYPE_CHECKING:
    import datasets

Rows: TypeAlias = pa.RecordBatch | pa.Table

RAW_STYLE = "description"
PROMPT = "Describe the audio."
PAIR_PROMPTS = {
    "difference": "What changes from the first audio to the second?",
    "commonality": "What do the two audios have in common?",
}
COLUMNS = ("id", "captions", "qa", "audio_ref", "audio_ref_b", "source_key", "operation", "domain")
FORMATS = (".jsonl", ".csv", ".parquet")

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])


def captions(rows: Rows, *, style: str | None = None) -> pa.Table:
    """Returns one row per caption to train on: `id`, `caption`, `style`, `side`, `variant`, `index`, `origin`, `language`.

    Args:
        rows: rows of the schema.
        style: only captions in this style; None for all but raw descriptions.
    """
    listed = contiguous(rows["captions"])
    flat = listed.flatten()
    keep = _usable(flat, "text")
    chosen = pc.equal(flat.field("style"), style) if style else pc.not_equal(flat.field("style"), RAW_STYLE)
    keep &= pc.fill_null(chosen, not style).to_numpy(zero_copy_only=False)
    places = pa.array(np.flatnonzero(keep))
    found = flat.take(places)
    columns = {name: found.field(name) for name in ("style", "side", "variant", "index", "origin", "language")}
    return pa.table({"id": _repeated(rows, listed, places), "caption": found.field("text"), **columns})


def qa(rows: Rows, *, style: str | None = None) -> pa.Table:
    """Returns one row per question to train on: `id`, `qa_id`, `question`, `answer`, `choices`, `category`, `difficulty`, `task`.

    Args:
        rows: rows of the schema.
        style: must be None; questions have no style.
    """
    if style:
        raise InputError(f"the style {style!r} was given for questions, which have none; leave it out.")
    listed = contiguous(rows["qa"])
    flat = listed.flatten()
    places = pa.array(np.flatnonzero(_usable(flat, "question") & _usable(flat, "answer")))
    found = flat.take(places)
    names = ("qa_id", "question", "answer", "choices", "category", "difficulty", "task")
    return pa.table({"id": _repeated(rows, listed, places), **{name: found.field(name) for name in names}})


def references(rows: Rows, *, style: str | None = None) -> pa.Table:
    """Returns one row per clip that has captions in a style: `id`, `references` (a list), and `operation` and `domain`.

    Absent texts are kept. `uac score --by operation` reads what it is told to score by from such rows.

    Args:
        rows: rows of the schema.
        style: the captions' style; None for the style of each clip's first caption that is no raw description.
    """
    listed = contiguous(rows["captions"])
    flat = listed.flatten()
    row = np.asarray(pc.list_parent_indices(listed), dtype=np.int64)
    if style:
        keep = pc.fill_null(pc.equal(flat.field("style"), style), False).to_numpy(zero_copy_only=False)
    else:
        coded = pc.fill_null(flat.field("style"), "").dictionary_encode()
        code = np.asarray(coded.indices, dtype=np.int64)
        is_raw = pc.equal(pc.fill_null(flat.field("style"), ""), RAW_STYLE).to_numpy(zero_copy_only=False)
        first = np.full(len(listed), -1, np.int64)
        said = np.flatnonzero(~is_raw)[::-1]
        first[row[said]] = code[said]  # written from the back: the first one stays
        keep = code == first[row]
    counts = np.bincount(row[keep], minlength=len(listed)).astype(np.int64)
    found = lists(flat.field("text").filter(pa.array(keep)), counts[counts > 0])
    kept = {name: contiguous(rows[name]).filter(pa.array(counts > 0)) for name in ("id", "operation", "domain")}
    return pa.table({"id": kept.pop("id"), "references": found, **kept})


def messages(
    rows: Rows, *, style: str | None = None, prompt: str | None = None, audio_root: str = "", only: str | None = None
) -> pa.Table:
    """Returns one row per caption and per question as a chat: `messages` (user, then assistant) and `audios`.

    The user's text begins with one `<audio>` per sound, as ms-swift and others read it. Of a pair, a caption of one side goes
    with that side's sound, all else with both. A caption's own prompt is taken where it has one. `audios` holds file names, or
    upstream keys where there is no file name. With a style there are no questions.

    Args:
        rows: rows of the schema.
        style: only captions in this style.
        prompt: what the user says before a caption; None for `PROMPT`, and `PAIR_PROMPTS` before what is said about two sounds.
        audio_root: put before every file name.
        only: `captions` or `qa`; None for both.

    Raises:
        InputError: `only` is something else, or questions are asked for in a style.
    """
    if only not in {None, "captions", "qa"}:
        raise InputError(f"messages are asked for of {only!r} only; expected captions or qa.")
    if only == "qa" and style:
        raise InputError(f"the style {style!r} was given for questions, which have none; leave it out.")
    listed = contiguous(rows["captions"])
    flat = listed.flatten()
    keep = _usable(flat, "text")
    chosen = pc.equal(flat.field("style"), style) if style else pc.not_equal(flat.field("style"), RAW_STYLE)
    keep &= pc.fill_null(chosen, not style).to_numpy(zero_copy_only=False)
    keep &= only != "qa"
    said = flat.take(pa.array(np.flatnonzero(keep)))
    asked = pc.coalesce(said.field("prompt"), _asked(said) if prompt is None else pa.scalar(prompt))
    row = np.asarray(pc.list_parent_indices(listed), dtype=np.int64)[keep]
    users, assistants, order, sides = [asked], [said.field("text")], [row * 2], [said.field("side")]
    if not style and only != "captions":
        questions = contiguous(rows["qa"])
        found = questions.flatten()
        usable = _usable(found, "question") & _usable(found, "answer")
        answered = found.take(pa.array(np.flatnonzero(usable)))
        users.append(answered.field("question"))
        assistants.append(answered.field("answer"))
        sides.append(pa.nulls(len(answered), pa.string()))
        order.append(np.asarray(pc.list_parent_indices(questions), dtype=np.int64)[usable] * 2 + 1)
    place = np.concatenate(order)
    turn = np.argsort(place, kind="stable")
    first, second = (names.take(pa.array(place[turn] // 2)) for names in _sounds(rows, audio_root))
    side, nothing = pa.concat_arrays(sides).take(pa.array(turn)), pa.scalar(None, pa.string())
    is_second = pc.and_(pc.fill_null(pc.equal(side, "b"), False), second.is_valid())
    is_first = pc.fill_null(pc.equal(side, "a"), False)
    sounds = interleaved([pc.if_else(is_second, nothing, first), pc.if_else(is_first, nothing, second)])
    marks = pc.binary_repeat("<audio>", pa.array(lengths_of(sounds)))
    user = pc.binary_join_element_wise(marks, pa.concat_arrays(users).take(pa.array(turn)), "")
    n = len(turn)
    turns = [
        struct(_MESSAGE, n, role="user", content=user),
        struct(_MESSAGE, n, role="assistant", content=pa.concat_arrays(assistants).take(pa.array(turn))),
    ]
    return pa.table({"messages": interleaved(turns), "audios": sounds})


def _asked(said: pa.StructArray) -> pa.StringArray:
    """Returns what is asked for captions that have no prompt of their own."""
    found: Any = pa.scalar(PROMPT)
    for style, prompt in PAIR_PROMPTS.items():
        found = pc.if_else(pc.fill_null(pc.equal(said.field("style"), style), False), prompt, found)
    return found


def difference(rows: Rows, *, style: str | None = None, audio_root: str = "") -> pa.Table:
    """Returns one row per sentence about what changes between two sounds: `id`, `audio`, `audio_b`, `target`.

    Args:
        rows: rows of the schema; those with one sound are left out.
        style: must be None; the view has one of its own.
        audio_root: put before every file name.

    Raises:
        InputError: a style is given.
    """
    return _about_pairs(rows, "difference", style, audio_root)


def commonality(rows: Rows, *, style: str | None = None, audio_root: str = "") -> pa.Table:
    """Returns one row per sentence about what two sounds have in common: `id`, `audio`, `audio_b`, `target`.

    Args:
        rows: rows of the schema; those with one sound are left out.
        style: must be None; the view has one of its own.
        audio_root: put before every file name.

    Raises:
        InputError: a style is given.
    """
    return _about_pairs(rows, "commonality", style, audio_root)


def _about_pairs(rows: Rows, name: str, style: str | None, audio_root: str) -> pa.Table:
    if style:
        raise InputError(f"the style {style!r} was given for the view {name}, which has one of its own; leave it out.")
    listed = contiguous(rows["captions"])
    flat = listed.flatten()
    first, second = _sounds(rows, audio_root)
    is_pair = pc.and_(first.is_valid(), second.is_valid()).take(pc.list_parent_indices(listed))
    keep = _usable(flat, "text") & pc.fill_null(pc.equal(flat.field("style"), name), False).to_numpy(zero_copy_only=False)
    places = pa.array(np.flatnonzero(keep & is_pair.to_numpy(zero_copy_only=False)))
    row = pc.list_parent_indices(listed).take(places)
    columns = {"audio": first.take(row), "audio_b": second.take(row), "target": flat.field("text").take(places)}
    return pa.table({"id": contiguous(rows["id"]).take(row), **columns})


VIEWS: dict[str, Callable[..., pa.Table]] = {
    "captions": captions,
    "qa": qa,
    "references": references,
    "messages": messages,
    "difference": difference,
    "commonality": commonality,
}


def apply(
    rows: Rows | datasets.Dataset | datasets.IterableDataset, name: str, **options: Any
) -> pa.Table | datasets.Dataset | datasets.IterableDataset:
    """Returns a view of rows, of a dataset, or of a streaming dataset (which stays streaming), of the kind that was given.

    Args:
        rows: what to look at; sound is neither read nor decoded.
        name: one of `VIEWS`.
        **options: of the view's function.

    Raises:
        UnknownNameError: no such view.
    """
    view = _view(name)
    if isinstance(rows, pa.RecordBatch | pa.Table):
        return view(rows, **options)
    columns = list(COLUMNS)
    chosen = rows.select_columns(columns).with_format("arrow")

    def made(batch: pa.Table) -> pa.Table:
        return view(_strict(batch), **options)

    # A stream also takes columns out of the result that carry a removed name.
    result = view(_strict(schema.SCHEMA.empty_table()), **options).column_names
    return chosen.map(made, batched=True, remove_columns=[one for one in columns if one not in result]).with_format(None)


def write(one: BuiltSet, name: str, path: Path, **options: Any) -> int:
    """Writes a view of a built set and returns its number of rows; the file appears whole or not at all.

    Args:
        one: what to look at.
        name: the view.
        path: ends in .jsonl, .csv (views without lists only) or .parquet.
        **options: of the view's function.

    Raises:
        UnknownNameError: no such view, or no such style in the set.
        InputError: another ending, or nothing to write.
    """
    view = _view(name)
    if path.suffix not in FORMATS:
        raise InputError(f"the file is called {path.name!r}; expected a name that ends in .jsonl, .csv or .parquet.")
    if path.suffix == ".csv" and name in {"references", "messages"}:
        raise InputError(f"{name} hold lists, which csv cannot; expected a name that ends in .jsonl or .parquet.")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist. Create it first.")
    if options.get("style") and options["style"] not in schema.STYLES:
        raise UnknownNameError("style", options["style"], schema.STYLES)
    aside = path.with_name(f".{path.name}.part")
    with atomic.storage_errors(path.parent, f"{path.name} was not written."):
        try:
            n = _write(aside, path.suffix, (view(batch, **options) for batch in one.batches(COLUMNS)))
            if not n:
                style = f" in style {options['style']}" if options.get("style") else ""
                raise InputError(
                    f"{one.name} has no {name}{style}; nothing was written. `uac stats {one.name}` shows what it has."
                )
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return n


def _write(path: Path, ending: str, tables: Iterator[pa.Table]) -> int:
    rows, writer = 0, None
    with path.open("wb") as stream:
        for table in tables:
            rows += table.num_rows
            if ending == ".jsonl":
                stream.writelines(_lines(table))
                continue
            if ending == ".csv":
                table = pa.table({n: _cells(c) for n, c in zip(table.column_names, table.columns, strict=True)})  # noqa: PLW2901 # the form of this batch
            if writer is None:
                writer = (
                    pq.ParquetWriter(stream, table.schema, compression="zstd")
                    if ending == ".parquet"
                    else pyarrow.csv.CSVWriter(stream, table.schema)
                )
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return rows


def _lines(table: pa.Table) -> Iterator[bytes]:
    for row in table.to_pylist():
        yield (json.dumps(row, ensure_ascii=False) + "\n").encode()


def _cells(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column as csv can hold it: lists (of choices) as JSON."""
    if not pa.types.is_list(column.type):
        return contiguous(column)
    return pa.array([None if v is None else json.dumps(v, ensure_ascii=False) for v in column.to_pylist()], pa.string())


def _view(name: str) -> Callable[..., pa.Table]:
    if name not in VIEWS:
        raise UnknownNameError("view", name, VIEWS)
    return VIEWS[name]


def _strict(batch: Rows) -> pa.Table:
    """Returns rows with the types of the schema: `datasets` may hand over large or differently nested ones."""
    return pa.table({name: pc.cast(contiguous(batch[name]), schema.SCHEMA.field(name).type) for name in COLUMNS})


def _usable(flat: pa.StructArray, name: str) -> NDArray[np.bool_]:
    """Returns whether a text is there, is not blank and does not say that something is absent."""
    said = pc.fill_null(pc.match_substring_regex(flat.field(name), r"\S"), False)
    found: NDArray[np.bool_] = pc.and_not(said, pc.fill_null(flat.field("is_absent"), False)).to_numpy(zero_copy_only=False)
    return found


def _repeated(rows: Rows, listed: pa.ListArray, places: pa.Array) -> pa.StringArray:
    """Returns the id of the row of every list element at `places`."""
    return contiguous(rows["id"]).take(pc.list_parent_indices(listed).take(places))


def _sounds(rows: Rows, root: str) -> tuple[pa.StringArray, pa.StringArray]:
    """Returns per row the names of its sound and of its second sound; null where there is none."""
    first, second = contiguous(rows["audio_ref"]), contiguous(rows["audio_ref_b"])
    n = len(first)
    one = pc.coalesce(first.field("file_name"), first.field("key"), contiguous(rows["source_key"]))
    other = pc.coalesce(second.field("file_name"), second.field("key"))
    other = pc.if_else(second.is_valid(), other, pa.scalar(None, pa.string()))
    prefix = root if not root or root.endswith("/") else f"{root}/"
    if not prefix:
        return one, other
    return pc.binary_join_element_wise(text(prefix, n), one, ""), pc.binary_join_element_wise(text(prefix, n), other, "")
