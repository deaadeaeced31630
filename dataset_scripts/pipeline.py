"""Helpers that keep row groups equal and all cores busy, whatever the size of the pieces that come in."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import pyarrow as pa

T = TypeVar("T")
R = TypeVar("R")


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


def side_by_side(streams: Iterable[Iterable[T]], work: Callable[[int, Iterator[T]], R], threads: int, held: int) -> list[R]:
    """Returns what `work` makes of every stream; several streams are worked on at the same time, in threads.

    The streams come out of one source, one after the other: while a thread still works on a stream, the next one's items go to
    another thread.

    Args:
        streams: each must be used up before the next one is asked for.
        work: called with the number of the stream and its items.
        threads: how many streams are worked on at once.
        held: how many items wait or are worked on at once, which bounds the memory; more than a stream has, so that threads
            have something to do.

    Raises:
        Exception: what a stream or `work` raised; the other threads are stopped before that.
    """
    room = threading.Semaphore(held)
    working: list[Future[R]] = []

    def items(waiting: queue.SimpleQueue[tuple[str, Any]]) -> Iterator[T]:
        while (found := waiting.get())[0] == "item":
            yield found[1]
            del found
            room.release()
        if found[0] == "stop":
            raise InterruptedError("the work was given up")

    with ThreadPoolExecutor(threads) as pool:
        waiting: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        try:
            for number, stream in enumerate(streams):
                waiting = queue.SimpleQueue()
                working.append(pool.submit(work, number, items(waiting)))
                for item in stream:
                    while not room.acquire(timeout=0.1):
                        _raise_first(working)
                    waiting.put(("item", item))
                waiting.put(("end", None))
                _raise_first(working)
        except BaseException:
            for future in working:
                future.cancel()
            waiting.put(("stop", None))
            raise
        wait(working, return_when=FIRST_EXCEPTION)
    return [future.result() for future in working]


def _raise_first(working: Iterable[Future[Any]]) -> None:
    for future in working:
        if future.done():
            future.result()
