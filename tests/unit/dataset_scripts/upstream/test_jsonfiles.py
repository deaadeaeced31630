"""JSON records, fast and slow readers alike; what is wrong has a line or a record number."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.upstream import files, jsonlines, jsonlist
from unified_audiocaps.dataset_scripts.upstream.csvfile import EXTRA, ROW
from unified_audiocaps.dataset_scripts.upstream.files import RawFile
from unified_audiocaps.dataset_scripts.upstream.jsonlines import KEY
from unified_audiocaps.dataset_scripts.upstream.jsonrecords import Shape

SHAPE = Shape(texts=("t",), lists=("l",), numbers=("n",), needed=("t",))


def keyed(folder: Path, data: bytes | str) -> list[dict[str, Any]]:
    return _rows(folder, data, lambda file: jsonlines.keyed_lines(file, Shape(("t",), ("l",), (), ("t",))))


def listed(folder: Path, data: bytes | str) -> list[dict[str, Any]]:
    return _rows(folder, data, lambda file: jsonlist.listed(file, SHAPE, "data"))


def _rows(folder: Path, data: bytes | str, reader: Any) -> list[dict[str, Any]]:
    path = folder / "f.json"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [row for table in reader(RawFile("set", path, "f.json")) for row in table.to_pylist()]


def record(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the record that a row was read from."""
    fields = {name: row[name] for name in ("t", "l") if row.get(name) is not None}
    if row.get("n") is not None:
        fields["n"] = json.loads(row["n"])
    return {**fields, **json.loads("{" + row[EXTRA] + "}")}


@pytest.fixture
def fast_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("went through the slow reader")

    monkeypatch.setattr(jsonlines, "from_records", refuse)
    monkeypatch.setattr(jsonlist, "from_records", refuse)


GOOD = [("k1", {"t": 'a\u2028\nb "c" }}', "l": ["x", "é"]}), ("k 2", {"t": "", "l": []})]


@pytest.mark.usefixtures("fast_only")
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_keyed_lines_as_documented_are_fast(tmp_path: Path, ascii_only: bool, line_end: str, separators: tuple[str, str]) -> None:
    lines = [json.dumps({key: fields}, ensure_ascii=ascii_only, separators=separators) for key, fields in GOOD]
    for data in (line_end.join(lines) + line_end, "\ufeff" + line_end.join(lines)):
        rows = keyed(tmp_path, data)
        assert [(row[KEY], record(row)) for row in rows] == GOOD
        assert [row[ROW] for row in rows] == [0, 1]


@pytest.mark.parametrize(
    "odd",
    [
        {"t": "a", "l": [], "new": {"deep": [1, 1.0, None]}},
        {"t": "a"},
        {"t": "a", "l": None},
        {"t": "a", "l": ["x", None]},
        {"t": "a", "l": "x"},
    ],
    ids=["unknown field", "missing field", "null field", "null in a list", "another type"],
)
def test_odd_records_keep_everything(tmp_path: Path, odd: dict[str, Any]) -> None:
    lines = [json.dumps({f'k"{i}': fields}) for i, fields in enumerate([GOOD[0][1], odd, GOOD[1][1]])]
    rows = keyed(tmp_path, "\n\n".join(lines))
    assert [record(row) for row in rows] == [GOOD[0][1], odd, GOOD[1][1]]
    assert [row[KEY] for row in rows] == ['k"0', 'k"1', 'k"2']


LINE = '{"k": {"t": "a", "l": []}}'


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"k": {"t": "a", ', r"f\.json, line 2: .*invalid JSON at column 1[0-9]"),
        ('{"k": {"t": "a"}} {}', r"line 2: .*invalid JSON at column 19: Extra data"),
        ('["k"]', r"line 2: .*expected one object of the form"),
        ('{"k": {"t": "a"}, "j": {}}', r"line 2: .*expected one object of the form"),
        ('{"k": {"l": []}}', r"line 2: field 't': the field is missing; the record has __key__, l"),
        ('{"k": {"t": null, "l": []}}', r"line 2: field 't': is null; expected a text"),
        ('{"k": {"t": 3.5, "l": []}}', r"line 2: field 't': is 3\.5; expected a text"),
        ('{"k": {"t": "a", "t": "b"}}', r"line 2: .*the name 't' is there twice"),
        ('{"k": {"t": "a", "x": NaN}}', r"line 2: .*NaN is no JSON number"),
        ('{"k": {"t": "a\\ud800"}}', r"line 2: field 't': holds half a surrogate pair"),
        ('{"k": {"t": "a\x0b"}}', r"line 2: .*invalid JSON .*Invalid control character"),
        (b'{"k": {"t": "a\xff", "l": []}}', r"line 2: .*invalid UTF-8 at byte 15 of the line"),
    ],
)
def test_bad_keyed_lines_are_named(tmp_path: Path, bad: bytes | str, message: str) -> None:
    data = b"\n".join([LINE.encode(), bad if isinstance(bad, bytes) else bad.encode(), LINE.encode()])
    with pytest.raises(RecordError, match=message):
        keyed(tmp_path, data)


TRICKY = [
    {"t": 'ends like a record }, {"', "l": ["n", '"n": 5'], "n": 10},
    {"t": "b", "l": [], "n": 10.0},
    {"t": '}, {"n": 3}', "l": ["]}"], "n": -0.5e-3},
    {"t": "d", "l": ["é"], "n": 12345678901234567890},
]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("last", [False, True], ids=["list last", "list first"])
def test_lists_are_read_whatever_the_layout(tmp_path: Path, indent: int | None, separators: tuple[str, str], last: bool) -> None:
    value = {"data": TRICKY, "m": 1} if last else {"m": 1, "data": TRICKY}
    rows = listed(tmp_path, json.dumps(value, indent=indent, separators=separators))
    assert [record(row) for row in rows] == TRICKY
    assert [json.dumps(record(row)["n"]) for row in rows] == [json.dumps(one["n"]) for one in TRICKY]
    assert [row[ROW] for row in rows] == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [1, 30, 60, 100])
def test_blocks_may_be_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(jsonlist, "BLOCK_BYTES", size)
    many = [{**one, "t": f"{one['t']} {i}"} for i in range(7) for one in TRICKY]
    assert [record(row) for row in listed(tmp_path, json.dumps({"m": 1, "data": many}))] == many


@pytest.mark.usefixtures("fast_only")
def test_a_list_as_documented_is_fast(tmp_path: Path) -> None:
    records = [{"t": f"a\n{i}", "l": ["}"], "n": i / 3} for i in range(50)]
    assert [record(row) for row in listed(tmp_path, json.dumps({"m": 1, "data": records}))] == records


def test_an_empty_list_has_no_records(tmp_path: Path) -> None:
    assert listed(tmp_path, '{"m": 1, "data": []}') == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"m": 1, "data": [{"t": "a", "n": 1}, {"t": "b", ', r"record 2: .*the file ends inside a record: download it again"),
        ('{"m": 1, "data": [{"t": "a", "n": 1}, {"t": "b"', r"record 2: .*the file ends inside a record"),
        ('{"m": 1, "data": [{"t": "a", "n": 1}, {"t": "bcd', r"record 2: .*the file ends inside a record"),
        ('{"m": 1, "data": [{"t": "a", "n": 1} {"t": "b"}]}', r"record 1: .*expected a comma between two records"),
        ('{"m": 1, "data": [{"t": "a", "n": 1}, {"n": 2}]}', r"record 2: field 't': the field is missing"),
        ('{"m": 1, "data": [{"t": "a", "n": 1}, 7]}', r"record 2: found 7; expected an object"),
        ('{"m": 1, "date": []}', r"expected one object with a list 'data'"),
        ("[1, 2]", r"expected one object with a list 'data'"),
        ("<html>", r"line 1: .*invalid JSON at column 1"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        listed(tmp_path, data)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
RECORD = st.fixed_dictionaries(
    {"t": st.one_of(TEXT, st.sampled_from(['}, {"', '": {"', "}}", "]}", "\\"]))},
    optional={
        "l": st.one_of(st.none(), st.lists(TEXT, max_size=3)),
        "n": st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
        "x": st.one_of(st.none(), TEXT, st.integers()),
    },
)


@settings(max_examples=150, deadline=None)
@given(records=st.lists(RECORD, max_size=6), ascii_only=st.booleans(), size=st.integers(1, 80))
def test_any_record_is_rebuilt(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], ascii_only: bool, size: int
) -> None:
    folder = tmp_path_factory.mktemp("json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlist, "BLOCK_BYTES", size)
        patch.setattr(files, "BLOCK_BYTES", size)
        wrapped = listed(folder, json.dumps({"m": 1, "data": records}, ensure_ascii=ascii_only))
        lines = keyed(folder, "\n".join(json.dumps({str(i): one}, ensure_ascii=ascii_only) for i, one in enumerate(records)))
    expected = [json.dumps(one, sort_keys=True) for one in records]
    assert [json.dumps(record(row), sort_keys=True) for row in wrapped] == expected
    assert [json.dumps(record(row), sort_keys=True) for row in lines] == expected


def test_tables_have_the_shape_even_when_slow(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"m": 1, "data": [{"t": "a"}]}')
    (table,) = jsonlist.listed(RawFile("set", path, "f.json"), SHAPE, "data")
    assert table.schema.field("l").type == pa.list_(pa.string())
    assert table.schema.field("n").type == pa.string()


def whole_list(folder: Path, data: bytes | str) -> list[dict[str, Any]]:
    return _rows(folder, data, lambda file: jsonlist.listed(file, SHAPE))


@pytest.mark.parametrize(
    "data",
    [
        '[{"t": "a}, {", "n": 1}, {"t": "b", "new": [1.0]}]',
        '\ufeff[\n  {\n    "t": "a}, {",\n    "n": 1\n  },\n  {\n    "t": "b",\n    "new": [1.0]\n  }\n]\n',
        '[{"t":"a}, {","n":1},{"t":"b","new":[1.0]}]',
    ],
    ids=["one line", "indented", "compact"],
)
@pytest.mark.parametrize("block", [4 << 20, 16])
def test_a_file_that_is_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, block: int) -> None:
    monkeypatch.setattr(jsonlist, "BLOCK_BYTES", block)
    rows = whole_list(tmp_path, data)
    assert [record(row) for row in rows] == [{"t": "a}, {", "n": 1}, {"t": "b", "new": [1.0]}]
    assert [row[ROW] for row in rows] == [0, 1]


def test_a_plain_list_is_read_fast(tmp_path: Path, fast_only: None) -> None:
    records = [{"t": f"text {i}", "l": ["x"], "n": i / 2} for i in range(50)]
    for text in (json.dumps(records), json.dumps(records, indent=2)):
        assert [record(row) for row in whole_list(tmp_path, text)] == records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"data": [{"t": "a"}]}', r"f\.json: found .*; expected one list of records"),
        ('[{"t": "a"}, {"t": "b"', "record 2: .*the file ends inside a record: download it again"),
        ('[{"t": "a"}, {"u": "b"}]', r"record 2: field 't': the field is missing; the record has u"),
    ],
    ids=["an object", "cut", "a field is missing"],
)
def test_a_list_of_another_form(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        whole_list(tmp_path, data)


def test_a_file_that_is_an_empty_list_has_no_records(tmp_path: Path) -> None:
    assert whole_list(tmp_path, "[]") == []


def plain_lines(folder: Path, data: bytes | str) -> list[dict[str, Any]]:
    return _rows(folder, data, lambda file: jsonlines.plain_lines(file, SHAPE))


def test_plain_lines(tmp_path: Path) -> None:
    data = '{"t": "a", "l": ["x"], "n": 1}\r\n\n{"t": "b\\n", "n": "two", "new": null}'
    rows = plain_lines(tmp_path, data)
    assert [record(row) for row in rows] == [{"t": "a", "l": ["x"], "n": 1}, {"t": "b\n", "n": "two", "new": None}]
    assert [row[ROW] for row in rows] == [0, 1]


def test_plain_lines_as_documented_are_read_fast(tmp_path: Path, fast_only: None) -> None:
    records = [{"t": f"text {i}", "l": ["x"], "n": i} for i in range(50)]
    assert [record(row) for row in plain_lines(tmp_path, "".join(json.dumps(one) + "\n" for one in records))] == records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"t": "a"}\n\n[1]\n', r"f\.json, line 3: found \[1\]; expected an object"),
        ('{"t": "a"}\n{"u": 1}\n', r"line 2: field 't': the field is missing"),
        ('{"t": "a"}\n{"t": \n', r"line 2: .*invalid JSON"),
    ],
)
def test_plain_lines_of_another_form(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        plain_lines(tmp_path, data)
