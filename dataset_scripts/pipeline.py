"""Two helpers that keep row groups equal and both cores busy, whatever the size of the pieces that come in."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import pyarrow as pa

T = TypeVar("T")


def recut(pieces: Iterable[pa.RecordBatch | pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yields contiguous tables of exactly `rows` rows (the last one may have fewer), in order.

    A piece that has the right size already is passed on without a copy.
    """
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        rest = piece if isinstance(piece, pa.Table) else pa.Table.from_batches([piece])
        if not waiting and rest.num_rows == rows and all(column.num_chunks == 1 for column in rest.columns):
            yield rest
            continue
        while count + rest.num_rows >= rows:
            yield pa.concat_tables([*waiting, rest.slice(0, rows - count)]).combine_chunks()
            rest = rest.slice(rows - count)
            waiting, count = [], 0
        if rest.num_rows:
            waiting.append(rest)
            count += rest.num_rows
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """Yields `items`, produced in a thread that runs up to `depth` items ahead; its errors are raised here.

    Arrow and numpy work without the interpreter's lock, so that producer and consumer really run at the same time.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    is_left = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not is_left.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
        except BaseException as problem:  # raised again by the consumer
            put("error", problem)
        else:
            put("end", None)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        is_left.set()
        thread.join()
