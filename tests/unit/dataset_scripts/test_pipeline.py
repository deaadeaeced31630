"""Row groups keep their size; the read-ahead thread hands on items and errors and goes away."""

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.pipeline import ahead, recut, side_by_side


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 5))
def test_recut(sizes: list[int], rows: int) -> None:
    start, pieces = 0, []
    for size in sizes:
        pieces.append(pa.table({"x": pa.array(range(start, start + size), pa.int64())}))
        start += size
    tables = list(recut(pieces, rows))
    assert [value for table in tables for value in table["x"].to_pylist()] == list(range(start))
    assert [table.num_rows for table in tables[:-1]] == [rows] * max(0, len(tables) - 1)
    assert all(table["x"].num_chunks == 1 for table in tables)


def test_ahead_keeps_the_order() -> None:
    assert list(ahead(range(100))) == list(range(100))


def test_ahead_raises_what_the_producer_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("bad line")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="bad line"):
        next(stream)


def test_a_consumer_may_leave_early() -> None:
    before = threading.active_count()
    stream = ahead(iter(range(1000)))
    assert next(stream) == 0
    stream.close()
    assert threading.active_count() == before


def runs(size: int, count: int) -> Iterator[Iterator[int]]:
    for i in range(count):
        yield iter(range(size * i, size * (i + 1)))


@given(st.integers(0, 5), st.integers(0, 6), st.integers(1, 3), st.integers(1, 7))
def test_streams_are_worked_on_side_by_side_and_come_back_in_order(size: int, count: int, threads: int, held: int) -> None:
    found = side_by_side(runs(size, count), lambda i, items: (i, list(items)), threads, held)
    assert found == [(i, list(range(size * i, size * (i + 1)))) for i in range(count)]


def test_two_streams_are_worked_on_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)  # breaks unless two threads meet

    def work(_: int, items: Iterator[int]) -> int:
        return sum(1 for _ in items) + both.wait() * 0

    assert side_by_side(runs(3, 2), work, threads=2, held=4) == [3, 3]


def test_no_more_than_the_held_items_are_under_way() -> None:
    made = used = most = 0

    def stream() -> Iterator[int]:
        nonlocal made, most
        for i in range(50):
            made += 1
            most = max(most, made - used)
            yield i

    def work(_: int, items: Iterator[int]) -> None:
        nonlocal used
        for _ in items:
            used += 1

    side_by_side([stream()], work, threads=2, held=4)
    assert most <= 4 + 2  # one that waits to be handed over, one that was used and is not counted yet


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_on_either_side_ends_the_other_one(threads: int) -> None:
    def broken() -> Iterator[Iterator[int]]:
        yield iter(range(2))

        def items() -> Iterator[int]:
            yield 1
            raise ValueError("bad line")

        yield items()

    with pytest.raises(ValueError, match="bad line"):
        side_by_side(broken(), lambda _, items: list(items), threads, held=2)

    def work(number: int, items: Iterator[int]) -> None:
        next(items)
        if number == 1:
            raise OSError("disk full")
        for _ in items:
            pass

    with pytest.raises(OSError, match="disk full"):
        side_by_side(runs(5, 100), work, threads, held=2)
