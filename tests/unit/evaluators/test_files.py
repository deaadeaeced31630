import gzip
import json

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, Problem
from unified_audiocaps.evaluators.files import (
    PredictionRow,
    SpiceRow,
    read_predictions,
    read_references,
    read_spice,
    scan_predictions,
)

GOOD = b'{"id": "a", "caption": "rain"}\n'


@pytest.fixture
def write(tmp_path):
    def write(content, name="predictions.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def problems(path):
    return [(found.code, found.line) for found in scan_predictions(path) if isinstance(found, Problem)]


def test_rows_come_in_file_order_with_their_lines(write):
    path = write(b'\xef\xbb\xbf{"id": "b", "caption": "rain", "extra": [1]}\n\n  \n{"caption": "", "id": "a"}')
    assert list(scan_predictions(path)) == [PredictionRow(1, "b", "rain"), PredictionRow(4, "a", "")]
    assert read_predictions(path) == {"b": "rain", "a": ""}


@pytest.mark.parametrize("odd", ["\u2028", "\x0b", "\x85", "\r", "\n", "\u00a0"])
def test_line_breaks_inside_captions_are_kept(write, odd):
    line = json.dumps({"id": "a", "caption": f"x{odd}y"}, ensure_ascii=odd == "\n").replace("\\r", "\\r")
    path = write(line.encode() + b"\r\n" + GOOD.replace(b'"a"', b'"b"'))
    assert read_predictions(path) == {"a": f"x{odd}y", "b": "rain"}


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b'{"id": "\xff", "caption": "x"}', "E_UTF8", "byte 9 of the line is not UTF-8"),
        (b'{"id": "a", "caption": ', "E_JSON", "not valid JSON"),
        (b"[" * 100_000, "E_JSON", "nested too deeply|not valid JSON"),
        (b'{"id": "a", "id": "b", "caption": "x"}', "E_JSON", "'id' stands twice"),
        (b'["a", "x"]', "E_TYPE", "the line is a list"),
        (b'"text"', "E_TYPE", "the line is the text 'text'"),
        (b'{"caption": "x"}', "E_COLUMN", "'id' is missing; found 'caption'"),
        (b'{"id": "a", "text": "x"}', "E_COLUMN", "'caption' is missing; found 'id', 'text'"),
        (b"{}", "E_COLUMN", "found no key"),
        (b'{"id": "a", "caption": null}', "E_TYPE", "caption is null"),
        (b'{"id": "a", "caption": ["x"]}', "E_TYPE", "caption is a list"),
        (b'{"id": "a", "caption": {"x": 1}}', "E_TYPE", "caption is an object"),
        (b'{"id": "a", "caption": true}', "E_TYPE", "caption is the boolean true"),
        (b'{"id": 7, "caption": "x"}', "E_TYPE", "id is the number 7.*write it in quotes"),
        (b'{"id": "", "caption": "x"}', "E_TYPE", "id is empty"),
        (b'{"id": "a", "caption": "x\\u0000y"}', "E_TYPE", "NUL character"),
        (b'{"id": "a", "caption": "\\ud83d"}', "E_TYPE", "half of a surrogate pair"),
    ],
)
def test_what_is_wrong_with_a_line(write, line, code, message):
    path = write(GOOD + line + b"\n" + GOOD)
    assert problems(path) == [(code, 2)]
    with pytest.raises(InputError, match=message):
        read_predictions(path)


def test_every_problem_is_listed(write):
    path = write(b'{"id": "a"}\nx\n' + GOOD + GOOD)
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert [(p.code, p.line) for p in caught.value.problems] == [("E_COLUMN", 1), ("E_JSON", 2), ("E_DUP_ID", 4)]
    assert "id 'a' came already on line 3" in str(caught.value)


def test_gzip(write):
    path = write(gzip.compress(GOOD), "p.jsonl.gz")
    assert read_predictions(path) == {"a": "rain"}


def test_a_truncated_gzip_is_said_to_be_one(write):
    path = write(gzip.compress(GOOD * 5000)[:-20], "p.jsonl.gz")
    with pytest.raises(InputError, match="truncated gzip"):
        read_predictions(path)


def test_a_gzip_that_is_none(write):
    with pytest.raises(InputError, match="not a sound gzip file"):
        read_predictions(write(GOOD, "p.jsonl.gz"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer.*git lfs pull"),
        ("p.json", GOOD, r"ends in '\.json'; expected \.jsonl or \.jsonl\.gz or \.csv"),
        ("p", GOOD, "ends in 'nothing'"),
        ("p.jsonl", b"", "holds no predictions"),
        ("p.csv", b"id,caption\n", "holds no predictions"),
    ],
)
def test_files_that_cannot_be_predictions(write, name, content, message):
    with pytest.raises(InputError, match=message):
        read_predictions(write(content, name))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        scan_predictions(tmp_path / "p.jsonl")
    (tmp_path / "d.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        scan_predictions(tmp_path / "d.jsonl")


def test_csv_with_quoted_line_breaks(write):
    path = write(b'\xef\xbb\xbfid,n,caption\r\na,1,"x\r\ny, z"\r\n\r\nb,2,"say ""hi"""\r\n', "p.csv")
    assert list(scan_predictions(path)) == [PredictionRow(2, "a", "x\r\ny, z"), PredictionRow(5, "b", 'say "hi"')]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"id,text\na,x\n", [("E_COLUMN", 1)]),
        (b"text\na\n", [("E_COLUMN", 1), ("E_COLUMN", 1)]),
        (b"id,caption,caption\na,x,y\n", [("E_COLUMN", 1)]),
        (b"id,caption\na,x\nb\nc,x,y\nd,z\n", [("E_COLUMN", 3), ("E_COLUMN", 4)]),
        (b"id,caption\na,\xff\nb,x\n", [("E_UTF8", 2)]),
        (b"id,caption\n,x\n", [("E_TYPE", 2)]),
        (b"id,caption\na,x\x00y\n", [("E_TYPE", 2)]),
        (b'id,caption\na,x\nb,"never closed\nc,y\n', [("E_CSV", 3)]),
        (b'id,caption\na,"x"y\n', [("E_CSV", 2)]),
    ],
)
def test_what_is_wrong_with_csv(write, content, expected):
    assert problems(write(content, "p.csv")) == expected


def test_references(write):
    path = write(b'{"id": "b", "references": ["x", "y"]}\n{"id": "a", "references": ["z"]}\n', "r.jsonl")
    assert read_references(path) == {"b": ("x", "y"), "a": ("z",)}
    assert list(read_references(path)) == ["b", "a"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "a", "references": "rain"}', "references is the text 'rain'; expected a list"),
        (b'{"id": "a", "references": []}', "references is an empty list"),
        (b'{"id": "a", "references": null}', "references is null"),
        (b'{"id": "a", "references": ["x", 3]}', "references is the number 3"),
        (b'{"id": "a", "caption": "x"}', "'references' is missing"),
    ],
)
def test_wrong_references(write, line, message):
    with pytest.raises(InputError, match=message):
        read_references(write(line + b"\n", "r.jsonl"))


def test_references_are_not_read_from_csv(write):
    with pytest.raises(InputError, match=r"expected \.jsonl or \.jsonl\.gz\."):
        read_references(write(b"id,references\n", "r.csv"))


def test_several_captions(write):
    path = write(b'{"id": "a", "captions": ["x", "", "z"]}\n{"id": "b", "captions": ["x"]}\n')
    assert list(scan_predictions(path)) == [PredictionRow(1, "a", "x", ("", "z")), PredictionRow(2, "b", "x")]
    assert read_predictions(path) == {"a": ("x", "", "z"), "b": "x"}
    both = write(b'{"id": "a", "caption": "x", "captions": [{"text": "y"}]}\n')
    assert read_predictions(both) == {"a": "x"}  # a further key, as in the rows of a built dataset


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "a", "captions": "x"}', "captions is the text 'x'; expected a list of at least one text"),
        (b'{"id": "a", "captions": []}', "captions is an empty list"),
        (b'{"id": "a", "captions": ["x", 3]}', "captions is the number 3"),
    ],
)
def test_wrong_captions(write, line, message):
    with pytest.raises(InputError, match=message):
        read_predictions(write(line + b"\n"))


def test_a_csv_has_no_lists(write):
    with pytest.raises(InputError, match="the column 'caption' is missing; found 'id', 'captions'"):
        read_predictions(write(b"id,captions\na,x\n", "p.csv"))


def test_spice_values(write):
    csv = write(b"id,spice,n\na,0.25,1\n7,1,2\n", "s.csv")
    assert read_spice(csv) == [SpiceRow(2, "a", 0, 0.25), SpiceRow(3, "7", 0, 1.0)]
    several = write(b"candidate,spice,id\n1,0,a\n0,1e-3,a\n", "s.csv")
    assert read_spice(several) == [SpiceRow(2, "a", 1, 0.0), SpiceRow(3, "a", 0, 0.001)]
    jsonl = write(b'{"id": "a", "spice": 0.25}\n\n{"id": "a", "spice": 1, "candidate": 1}\n', "s.jsonl")
    assert read_spice(jsonl) == [SpiceRow(1, "a", 0, 0.25), SpiceRow(3, "a", 1, 1.0)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", b"id,score\na,0.5\n", "line 1: E_COLUMN.*'spice' is missing"),
        ("s.csv", b"id,spice\na,nan\n", "line 2: E_VALUE.*spice is the number nan; expected a number from 0 to 1"),
        ("s.csv", b"id,spice\na,1.01\n", "line 2: E_VALUE.*spice is the number 1.01"),
        ("s.csv", b"id,spice\na,\n", "line 2: E_VALUE.*spice is the text ''"),
        ("s.csv", b"id,spice\na,0.1\nb,0.1\na,0.1\n", "line 4: E_DUP_ID.*id 'a' came already on line 2"),
        ("s.csv", b"id,spice,candidate\na,0.1,one\n", "candidate is the text 'one'; expected 0 for"),
        ("s.csv", b"id,spice,candidate\na,0.1,-1\n", "candidate is the number -1"),
        ("s.csv", b"id,spice,candidate\na,0.1,1\na,0.2,1\n", "line 3: E_DUP_ID"),
        ("s.jsonl", b'{"id": "a", "spice": -0.1}\n', "line 1: E_VALUE.*the number -0.1"),
        ("s.jsonl", b'{"id": "a", "spice": NaN}\n', "spice is the number nan"),
        ("s.jsonl", b'{"id": "a", "spice": "0.1"}\n', "spice is the text '0.1'"),
        ("s.jsonl", b'{"id": "a", "spice": true}\n', "spice is the boolean true"),
        ("s.jsonl", b'{"id": "a", "spice": 0.1, "candidate": 0.5}\n', "candidate is the number 0.5"),
        ("s.csv", b"id,spice\n", "holds no SPICE values"),
        ("s.txt", b"a 0.5\n", r"expected \.jsonl or \.jsonl\.gz or \.csv"),
    ],
)
def test_wrong_spice_values(write, name, content, message):
    with pytest.raises(InputError, match=message):
        read_spice(write(content, name))


@pytest.mark.real
def test_a_real_lfs_pointer(real_dir, tmp_path):
    pointer = real_dir / "wavcaps" / "json_files" / "FreeSound" / "fsd_final.json.LFS_POINTER"
    path = tmp_path / "p.jsonl"
    path.write_bytes(pointer.read_bytes())
    with pytest.raises(InputError, match="Git LFS pointer"):
        read_predictions(path)
