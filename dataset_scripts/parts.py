"""One part of a build: upstream records to checked rows, counted, without repeated ids, in shards.

A part is what one upstream file (or pair of files) gives: it is built in one go, by any process, and its bytes depend on
nothing else. Its entry, a JSON file written last, says that it is whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from . import atomic, schema, shards, stats
from .overlap import Marker, Marking
from .pipeline import ahead, recut
from .source import Source, source
from .texthash import SeenTexts
from .upstream.files import Part

DUPLICATE_RULE = "duplicate_id"
_DROPPED = pa.schema(
    [(name, pa.string()) for name in ("part", "rule", "id", "file")] + [("row", pa.int64()), ("record_json", pa.string())]
)

Entry = dict[str, Any]


def entry_file(staging: Path, key: str) -> Path:
    """Returns where the entry of the part with this key is written."""
    return staging / f"{key}.json"


def dropped_file(staging: Path, key: str) -> Path:
    """Returns where the upstream records that the part dropped are written, if there are any."""
    return staging / f"{key}.dropped"


def read_entry(staging: Path, key: str) -> Entry | None:
    """Returns the entry of a finished part, None if it is not finished."""
    path = entry_file(staging, key)
    if not path.is_file():
        return None
    entry: Entry = json.loads(path.read_text(encoding="utf-8"))
    return entry


def build_part(
    name: str,
    part: Part,
    key: str,
    staging: Path,
    limit: int | None = None,
    on_rows: Callable[[int], object] | None = None,
    plan: Marking | None = None,
) -> None:
    """Writes the shards, the dropped records and the entry of one part into `staging`.

    Args:
        name: the dataset.
        part: what to read.
        key: digest of all that determines the bytes; the file names begin with it.
        staging: where to write.
        limit: at most this many rows.
        on_rows: called with the number of rows of every row group.
        plan: which sets' sounds are marked and dropped.

    Raises:
        RecordError: an upstream file holds something that its format forbids.
        OSError: the disk is full or refuses.
    """
    one = source(name)
    plan = plan or Marking()
    dropped: list[dict[str, Any]] = []
    tallies: list[stats.Tally] = []

    def row_groups() -> Iterator[pa.Table]:
        rows = _first_of_each_id(one, part, _limited(ahead(one.read_part(part)), limit), dropped)
        if plan.held:
            rows = _marked(one, part, rows, Marker(plan), dropped)
        for table in recut(rows, one.row_group_rows):
            for batch in table.to_batches():
                schema.check(batch, one.primary_style)
            tallies.append(stats.tally(table, one.primary_style))
            yield table
            if on_rows is not None:
                on_rows(table.num_rows)

    written = shards.write(row_groups(), staging, key)
    for lost in one.left_out(part):
        text = json.dumps(lost.record, ensure_ascii=False)
        found = {"part": part.label, "rule": lost.rule, "id": lost.id, "file": lost.file, "row": lost.row}
        dropped.append({**found, "record_json": text})
    if dropped:
        shards.write_file([pa.Table.from_pylist(dropped, schema=_DROPPED)], dropped_file(staging, key))
    entry = {
        "label": part.label,
        "split": part.split,
        "subset": part.subset,
        "key": key,
        "shards": written,
        "tally": stats.add(tallies),
        "dropped": dict(sorted(Counter(row["rule"] for row in dropped).items())),
        "overlaps": plan.describe(),
        "warnings": one.warnings(part),
    }
    atomic.write_text(entry_file(staging, key), json.dumps(entry))


def rows_of(entry: Entry) -> int:
    """Returns how many rows a finished part has."""
    return sum(shard["rows"] for shard in entry["shards"])


def _limited(batches: Iterable[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        if left is None:
            yield batch
        elif left > 0:
            yield batch.slice(0, left)
            left -= batch.num_rows
        else:
            return


def _first_of_each_id(
    one: Source, part: Part, batches: Iterable[pa.RecordBatch], dropped: list[dict[str, Any]]
) -> Iterator[pa.RecordBatch]:
    """Yields the rows whose id was not there before in the part; the upstream records of the others go to `dropped`."""
    seen = SeenTexts()
    for batch in batches:
        is_new = seen.are_new(batch["id"])
        if is_new.all():
            yield batch
            continue
        mask = pa.array(is_new)
        _drop(one, part, batch.filter(pc.invert(mask)), DUPLICATE_RULE, dropped)
        yield batch.filter(mask)


def _marked(
    one: Source, part: Part, batches: Iterable[pa.RecordBatch], marker: Marker, dropped: list[dict[str, Any]]
) -> Iterator[pa.RecordBatch]:
    """Yields the rows with their overlaps; the upstream records of those that the plan excludes go to `dropped`."""
    for batch in batches:
        rows, rules = marker.apply(batch)
        for rule in pc.unique(rules.drop_null()).to_pylist():
            _drop(one, part, batch.filter(pc.equal(rules, rule)), rule, dropped)
        yield rows if rules.null_count == len(rules) else rows.filter(rules.is_null())


def _drop(one: Source, part: Part, rows: pa.RecordBatch, rule: str, dropped: list[dict[str, Any]]) -> None:
    """Adds the upstream records of some rows to `dropped`."""
    for row in rows.to_pylist():
        for file, position, record in one.records(row):
            text = json.dumps(record, ensure_ascii=False)
            found = {"part": part.label, "rule": rule, "id": row["id"], "file": file, "row": position}
            dropped.append({**found, "record_json": text})
