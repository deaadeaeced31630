import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.upstream.uniform import keyed_columns

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def lines(records, **options):
    return "".join(json.dumps(record, **options) + "\n" for record in records).encode()


def taken_apart(data, texts=("title",), lists=("long", "short")):
    found = keyed_columns(data, "key", texts, lists)
    return None if found is None else pa.table(found).to_pylist()


@given(st.lists(st.tuples(TEXT, TEXT, st.tuples(TEXT, TEXT), st.tuples(TEXT)), min_size=1, max_size=6), st.booleans())
def test_uniform_lines_become_the_columns_that_a_parser_gives(rows, ascii_only):
    records = [{key: {"long": list(long), "title": title, "short": list(short)}} for key, title, long, short in rows]
    expected = [{"key": key, "title": title, "long": list(long), "short": list(short)} for key, title, long, short in rows]
    assert taken_apart(lines(records, ensure_ascii=ascii_only)) == expected


def test_spacing_may_be_any_but_must_not_change():
    record = {"k": {"title": "a", "long": ["b"], "short": []}}
    assert taken_apart(lines([record, record], separators=(",", ":"))) == taken_apart(lines([record, record]))
    assert taken_apart(lines([record]) + lines([record], separators=(",", ":"))) is None


GOOD = '{"k": {"title": "a", "long": ["b", "c"], "short": ["d"]}}\n'


@pytest.mark.parametrize(
    "other",
    [
        '{"k": {"title": "a", "long": ["b"], "short": ["d", "e"]}}\n',
        '{"k": {"long": ["b", "c"], "title": "a", "short": ["d"]}}\n',
        '{"k": {"title": "a", "long": ["b", null], "short": ["d"]}}\n',
        '{"k": {"title": "a", "long": ["b", "c"], "short": ["d"], "more": "x"}}\n',
        '{"k": {"title": "a", "long": ["b", "c"], "short": "d"}}\n',
        '{"k": {"title": "\\x", "long": ["b", "c"], "short": ["d"]}}\n',
        '{"k": {"title": "\\ud800", "long": ["b", "c"], "short": ["d"]}}\n',
        '{"k": {"title": "tab\there", "long": ["b", "c"], "short": ["d"]}}\n',
        '{"k": {"title": "a", "long": ["b", "c"], "short": ["d"]}} "x"\n',
        "\n",
        "[1]\n",
        "not JSON\n",
    ],
    ids=lambda line: line.strip() or "empty line",
)
def test_a_line_that_differs_is_left_to_other_readers(other):
    assert taken_apart((GOOD + GOOD).encode()) is not None
    assert taken_apart((GOOD + other + GOOD).encode()) is None
    assert taken_apart((GOOD + GOOD + other).encode()) is None


@pytest.mark.parametrize(
    "first",
    [
        '{"k": {"title": "a", "long": {}, "short": []}}\n',
        '{"k": 5}\n',
        '{"a": {}, "b": {}}\n',
        "[1]\n",
        "5\n",
        '{"k": {"title": "a"}}\n',
    ],
)
def test_a_first_line_of_another_shape_is_left_to_other_readers(first):
    assert taken_apart(first.encode()) is None
