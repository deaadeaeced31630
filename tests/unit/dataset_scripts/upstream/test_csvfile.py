"""CSV cells stay the text they are; what is wrong has a line."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.upstream import csvfile
from unified_audiocaps.dataset_scripts.upstream.files import RawFile


def read(folder: Path, data: bytes | str, name: str = "t.csv", **options: Any) -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [row for table in csvfile.read(RawFile("set", path, name), ("a", "b"), **options) for row in table.to_pylist()]


def plain(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["a"], row["b"]) for row in rows]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("a,b\n1,x\n", [("1", "x")]),
        ("a,b\n1,x", [("1", "x")]),
        ("\ufeffa,b\r\n1,x\r\n", [("1", "x")]),
        ("b,a\nx,1\n", [("1", "x")]),
        ("a,b\nNone,NA\n,null\n", [("None", "NA"), ("", "null")]),
        ('a,b\n1,"x\n2,y"\n', [("1", "x\n2,y")]),
        ('a,b\n1,"say ""no"", please"\n', [("1", 'say "no", please')]),
        ('a,b\n1,5" pipe\n', [("1", '5" pipe')]),
        ("a,b\n1,x\ry\n2,z\n", [("1", "x\ry"), ("2", "z")]),
        ('a,b\n1,"x\r"\n', [("1", "x\r")]),
        ("a,b\n1,x\u2028y\x0bz\x85\n", [("1", "x\u2028y\x0bz\x85")]),
        ("a,b\n\n1,x\n\n", [("1", "x")]),
        ("a,b\n", []),
    ],
    ids=[
        "plain", "no line end", "byte order mark and CRLF", "columns in another order", "nothing is null", "quoted line break",
        "quotes", "inch sign", "bare return", "quoted return", "odd line ends", "blank lines", "no records",
    ],
)  # fmt: skip
def test_cells(tmp_path: Path, data: str, rows: list[tuple[str, str]]) -> None:
    found = read(tmp_path, data)
    assert plain(found) == rows
    assert [row[csvfile.ROW] for row in found] == list(range(len(rows)))
    packed = read(tmp_path, gzip.compress(data.encode()), "t.csv.gz")
    assert plain(packed) == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\n1\n", r"t\.csv, line 1: field 'b': the column is missing; the header has a"),
        ("a,b,a\n1,2,3\n", r"line 1: a column name is there twice"),
        ("", r"the file is empty; expected a header line with a, b"),
        ("a,b\n1,2\n1\n", r"line 3: found '1'; the line has 1 cells where the header has 2"),
        ("a,b\n1,2\n1,2,3\n", r"line 3: .* 3 cells"),
        ('a,b\n1,2\n1,"x\n2,y\n', r"line 3: .* a quote is opened here and never closed"),
        ('a,b\n1,"x\n"y\n"\n', r"text follows a closing quote"),
        (b"a,b\n1,x\n2,\xff\xfe\n", r"line 3: .*invalid UTF-8 at byte 3 of the line"),
    ],
    ids=["no column", "column twice", "empty file", "few cells", "many cells", "open quote", "text behind quote", "no UTF-8"],
)
def test_what_is_wrong_has_a_line(tmp_path: Path, data: bytes | str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read(tmp_path, data)


def test_rows_before_a_bad_line_keep_their_places(tmp_path: Path) -> None:
    lines = "".join(f"{i},text {i}\n" for i in range(400_000))
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + lines + "broken\n")
    rows = 0
    with pytest.raises(RecordError, match="line 400002"):
        for table in csvfile.read(RawFile("set", path, "t.csv"), ("a", "b")):
            assert table["a"][0].as_py() == str(rows)
            assert table[csvfile.ROW][0].as_py() == rows
            rows += table.num_rows
    assert rows > 300_000


def test_unknown_columns_come_along_and_optional_ones_may_lack(tmp_path: Path) -> None:
    (row,) = read(tmp_path, 'a,b,"n ""1""",z\n1,2,"x\ny",\n', optional=("c",))
    assert row["c"] is None
    assert row[csvfile.EXTRA] == '"n \\"1\\"": "x\\ny", "z": ""'


def test_the_first_encoding_that_fits_is_taken(tmp_path: Path) -> None:
    encodings = ("utf-8", "iso8859-1")
    assert plain(read(tmp_path, "a,b\né,x\n".encode("iso8859-1"), encodings=encodings)) == [("é", "x")]
    assert plain(read(tmp_path, "a,b\né,x\n".encode(), encodings=encodings)) == [("é", "x")]


def test_a_cut_gzip_file_is_named(tmp_path: Path) -> None:
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)
    with pytest.raises(RecordError, match=r"t\.csv\.gz: the gzip stream is damaged or cut short .*download the file again"):
        read(tmp_path, data[: len(data) // 2], "t.csv.gz")
    with pytest.raises(RecordError, match="not a gzip file"):
        read(tmp_path, b"a,b\n1,2\n", "t.csv.gz")


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=6))
def test_what_a_csv_writer_wrote_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b"), *rows])
    assert plain(read(tmp_path_factory.mktemp("csv"), stream.getvalue())) == rows


@pytest.mark.parametrize("data", ['1,x\n2,"y, z"\n', '1,x\r\n2,"y, z"', '1,x\n\n2,"y, z"\n'])
def test_a_file_without_a_header(tmp_path: Path, data: str) -> None:
    rows = read(tmp_path, data, has_header=False)
    assert plain(rows) == [("1", "x"), ("2", "y, z")]
    assert [row[csvfile.ROW] for row in rows] == [0, 1]


def test_a_file_without_a_header_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"t\.csv, line 2: found '2,y,z'; the line has 3 cells where the format has a, b"):
        read(tmp_path, "1,x\n2,y,z\n", has_header=False)
    assert plain(read(tmp_path, 'a"b,x\n2,y\n', has_header=False)) == [('a"b', "x"), ("2", "y")]


def test_another_separator(tmp_path: Path) -> None:
    assert plain(read(tmp_path, 'a\tb\n1,5\t"x\ty"\n', separator="\t")) == [("1,5", "x\ty")]
    assert plain(read(tmp_path, 'a\tb\n1"\tx\n', separator="\t")) == [('1"', "x")]
    with pytest.raises(RecordError, match="text follows a closing quote; expected a separator or the end of the line"):
        read(tmp_path, 'a\tb\n"1"2\tx"\n', separator="\t")
