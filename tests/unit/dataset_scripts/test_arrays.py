"""Columns put together by Arrow hold what a loop over rows would hold."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts import arrays, schema

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.one_of(st.none(), TEXT), max_size=20))
def test_texts_as_json(texts: list[str | None]) -> None:
    written = arrays.json_texts(pa.array(texts, pa.string())).to_pylist()
    assert [None if one is None else json.loads(one) for one in written] == texts


@given(st.lists(st.tuples(st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT), st.booleans()), min_size=1, max_size=8))
def test_objects_leave_out_nulls(rows: list[tuple[str | None, str | None, bool]]) -> None:
    a, b = (arrays.json_texts(pa.array([row[i] for row in rows], pa.string())) for i in (0, 1))
    more = pa.array(['"c": 1' if row[2] else "" for row in rows])
    objects = arrays.json_objects(arrays.json_members({"a": a, 'b"': b}, more)).to_pylist()
    expected = [
        {key: value for key, value in (("a", row[0]), ('b"', row[1])) if value is not None} | ({"c": 1} if row[2] else {})
        for row in rows
    ]
    assert [json.loads(one) for one in objects] == expected


@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(
            st.lists(st.one_of(st.none(), st.lists(TEXT, max_size=3)), min_size=k, max_size=k), min_size=1, max_size=8
        )
    )
)
def test_lists_are_joined_row_by_row(rows: list[list[list[str] | None]]) -> None:
    columns = [pa.array([row[j] for row in rows], pa.list_(pa.string())) for j in range(len(rows[0]))]
    joined = arrays.joined_lists(columns).to_pylist()
    assert joined == [[text for one in row for text in one or []] for row in rows]


def test_lists_of_equal_length_are_joined_in_the_same_order() -> None:
    columns = [pa.array([["a", "b"], ["c", "d"]]), pa.array([["e", "f"], ["g", "h"]])]
    assert arrays.joined_lists(columns).to_pylist() == [["a", "b", "e", "f"], ["c", "d", "g", "h"]]


def test_interleaving_leaves_out_nulls() -> None:
    columns = [pa.array(["a", None, "c"]), pa.array(["d", None, None])]
    assert arrays.interleaved(columns).to_pylist() == [["a", "d"], [], ["c"]]
    assert arrays.singletons(pa.array(["a", None])).to_pylist() == [["a"], []]
    assert arrays.interleaved([pa.array([], pa.string())]).to_pylist() == []


def test_numbers_remember_how_they_were_written() -> None:
    values, integers = arrays.numbers(pa.array(["10", "10.0", "-3", "1e2", None]))
    assert values.to_pylist() == [10.0, 10.0, -3.0, 100.0, None]
    assert integers.to_pylist() == ["10", None, "-3", None, None]


def test_unknown_fields_and_columns_are_refused() -> None:
    with pytest.raises(TypeError, match=r"no field \['txt'\]"):
        arrays.struct(schema.CAPTION, 1, txt="a")
    with pytest.raises(TypeError, match=r"no column \['captoins'\]"):
        arrays.record_batch(1, captoins=None)


def test_a_batch_has_empty_lists_where_nothing_was_given() -> None:
    batch = arrays.record_batch(2, id=pa.array(["a", "b"]), dataset="d", split="s", source_key="k")
    assert batch.schema == schema.SCHEMA
    assert batch["captions"].to_pylist() == [[], []]
    assert batch["overlaps"].to_pylist() == [None, None]
    assert batch["extra_json"].to_pylist() == ["{}", "{}"]


def test_row_order_of_uneven_columns() -> None:
    order, lengths = arrays.row_order([np.array([1, 2]), np.array([2, 0])])
    assert order.tolist() == [0, 3, 4, 1, 2]
    assert lengths.tolist() == [[1, 2], [2, 0]]
