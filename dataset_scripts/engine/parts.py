"""One part of a build: upstream records to checked rows, counted, without repeated ids, in shards.

A part is what one upstream file (or pair of files) gives: it is built by any process, and its bytes depend on nothing else. Its
entry, a JSON file written last, says that it is whole. Every shard has such a file, too: a part that was killed is read again
from its beginning, but what its finished shards hold is neither checked, counted nor written a second time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import atomic, schema, stats
from ..marking import Marker, Marking
from ..pipeline import ahead, recut, side_by_side
from ..scores import ScorePlan
from ..source import Source, source
from ..texthash import SeenTexts
from ..upstream.files import Part
from . import shards
from .attach import Attacher, SoundPlan

_WRITERS = 2  # more would wait for the thread that reads
_HELD_ROW_GROUPS = 8  # of up to 60 MB each
_DROPPED_AT_ONCE = 10_000
DUPLICATE_RULE = "duplicate_id"
NO_AUDIO_RULE = "no_audio"
_DROPPED = pa.schema(
    [(name, pa.string()) for name in ("part", "rule", "id", "file")] + [("row", pa.int64()), ("record_json", pa.string())]
)

Entry = dict[str, Any]


def entry_file(staging: Path, key: str) -> Path:
    """Returns where the entry of the part with this key, or of a shard, is written."""
    return staging / f"{key}.json"


def dropped_file(staging: Path, key: str) -> Path:
    """Returns where the upstream records that the part dropped are written, if there are any."""
    return staging / f"{key}.dropped"


def read_entry(staging: Path, key: str) -> Entry | None:
    """Returns the entry of a finished part, or of a finished shard of a part; None if it is not finished."""
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
    sound: SoundPlan | None = None,
) -> None:
    """Writes the shards, the dropped records and the entry of one part into `staging`.

    Args:
        name: the dataset.
        part: what to read.
        key: digest of all that determines the bytes; the file names begin with it.
        staging: where to write.
        limit: at most this many rows.
        on_rows: called with the number of rows of every row group.
        plan: which sets' sounds are marked and dropped, and scores of rows.
        sound: where rows get their sound from, None if they get none.

    Raises:
        RecordError: an upstream file holds something that its format forbids.
        OSError: the disk is full or refuses.
    """
    one = source(name)
    plan = plan or Marking()
    dropped: list[dict[str, Any]] = []
    rows = _limited(ahead(one.read_part(part)), limit)
    if not one.has_unique_ids:
        rows = _first_of_each_id(one, part, rows, dropped)
    if plan.held:
        rows = _marked(one, part, rows, Marker(plan), dropped)
    if plan.scores is not None:
        rows = _marked(one, part, rows, plan.scores, dropped)

    def shard(number: int, groups: Iterator[pa.Table]) -> Entry:
        stem = f"{key}.{number}"
        entry = read_entry(staging, stem)
        if entry is not None:
            for _ in _told(groups, on_rows):
                pass
            return entry
        tallies: list[stats.Tally] = []
        lost: list[dict[str, Any]] = []
        made = _told(groups, on_rows)
        if sound is not None:
            attacher = Attacher(one, sound, pa.cpu_count(), lambda rows: _drop(one, part, rows, NO_AUDIO_RULE, lost))
            made = attacher.apply(made)
        written = shards.write_all(_checked(one, made, tallies), staging, stem)
        if sound is not None:
            tallies.append({"sound": attacher.tally})
        if lost:
            shards.write_file([pa.Table.from_pylist(lost, schema=_DROPPED)], dropped_file(staging, stem))
        entry = {"shards": written, "tally": stats.add(tallies), "dropped": _by_rule(lost)}
        atomic.write_text(entry_file(staging, stem), json.dumps(entry))
        return entry

    rows_at_once = one.row_group_rows if sound is None else sound.rows_at_once(one.row_group_rows)
    groups = shards.chunks(recut(rows, rows_at_once))
    # With sound the threads are inside: two shards at once would only take twice the memory.
    writers = min(_WRITERS, pa.cpu_count()) if sound is None else 1
    finished = side_by_side(groups, shard, writers, held=_HELD_ROW_GROUPS)
    for left in one.left_out(part):
        text = json.dumps(left.record, ensure_ascii=False)
        found = {"part": part.label, "rule": left.rule, "id": left.id, "file": left.file, "row": left.row}
        dropped.append({**found, "record_json": text})
    later = [dropped_file(staging, f"{key}.{number}") for number, one_shard in enumerate(finished) if one_shard["dropped"]]
    if dropped or later:
        tables = chain([pa.Table.from_pylist(dropped, schema=_DROPPED)], dropped_tables(later))
        shards.write_file(recut(tables, _DROPPED_AT_ONCE), dropped_file(staging, key))
    entry = {
        "label": part.label,
        "split": part.split,
        "subset": part.subset,
        "number": part.number,
        "key": key,
        "shards": [written for one_shard in finished for written in one_shard["shards"]],
        "tally": stats.add(one_shard["tally"] for one_shard in finished),
        "dropped": stats.add([_by_rule(dropped), *(one_shard["dropped"] for one_shard in finished)]),
        "overlaps": plan.describe(),
        **({} if sound is None else {"sound": sound.describe()}),
        "warnings": one.warnings(part),
    }
    atomic.write_text(entry_file(staging, key), json.dumps(entry))


def dropped_tables(files: Iterable[Path]) -> Iterator[pa.Table]:
    """Yields what files of dropped records hold, in pieces."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_DROPPED_AT_ONCE):
                yield pa.Table.from_batches([batch])


def rows_of(entry: Entry) -> int:
    """Returns how many rows a finished part has."""
    return sum(shard["rows"] for shard in entry["shards"])


def _checked(one: Source, groups: Iterable[pa.Table], tallies: list[stats.Tally]) -> Iterator[pa.Table]:
    """Yields row groups after they were checked and counted."""
    for table in groups:
        for batch in table.to_batches():
            schema.check(batch)
        tallies.append(stats.tally(table, one.primary_style))
        yield table


def _told(groups: Iterable[pa.Table], on_rows: Callable[[int], object] | None) -> Iterator[pa.Table]:
    """Yields row groups, and tells how many rows each has when it was used."""
    for table in groups:
        yield table
        if on_rows is not None:
            on_rows(table.num_rows)


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
    one: Source, part: Part, batches: Iterable[pa.RecordBatch], marker: Marker | ScorePlan, dropped: list[dict[str, Any]]
) -> Iterator[pa.RecordBatch]:
    """Yields the rows with overlaps or scores; the upstream records of those that the plan drops go to `dropped`."""
    for batch in batches:
        rows, rules = marker.apply(batch)
        for rule in pc.unique(rules.drop_null()).to_pylist():
            _drop(one, part, batch.filter(pc.equal(rules, rule)), rule, dropped)
        yield rows if rules.null_count == len(rules) else rows.filter(rules.is_null())


def _by_rule(dropped: Iterable[dict[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(row["rule"] for row in dropped).items()))


def _drop(one: Source, part: Part, rows: pa.RecordBatch | pa.Table, rule: str, dropped: list[dict[str, Any]]) -> None:
    """Adds the upstream records of some rows to `dropped`."""
    for row in rows.to_pylist():
        for file, position, record in one.records(row):
            text = json.dumps(record, ensure_ascii=False)
            found = {"part": part.label, "rule": rule, "id": row["id"], "file": file, "row": position}
            dropped.append({**found, "record_json": text})
