"""Row groups keep their size; the read-ahead thread hands on items and errors and goes away."""

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.pipeline import ahead, recut


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
