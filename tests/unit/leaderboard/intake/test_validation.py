import csv
import gzip
import io
import json
import re
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import Benchmark, BenchmarkItems
from unified_audiocaps.leaderboard.boards.csv_text import csv_cell
from unified_audiocaps.leaderboard.intake.validation import Limits, bundle, by_subtask, validate

GOOD = {"tiny/test/rain": "rain on a roof", "tiny/test/dog": "a dog barks", "tiny/test/bell": "a bell rings"}
REFERENCES = {
    "tiny/test/rain": ("rain falls on a tin roof", "heavy rain hits metal"),
    "tiny/test/dog": ("a dog barks twice", "a small dog is barking"),
    "tiny/test/bell": ("a church bell rings slowly", "bells are tolling"),
}
SUBTASKS = ("long", "short", "speech", "music", "sound", "environment")
SPEECH = ("tiny/test/rain", "tiny/test/dog")


def benchmark(**changes):
    common = {"title": "Tiny", "description": "", "config": "", "split": "", "n_items": 3, "items_sha256": "0" * 64}
    return Benchmark(**{"id": "tiny", "metrics": ("rouge_l",), "primary_metric": "rouge_l", **common, **changes})


def one_pool(**changes):
    groups = (Group("all", "long", 1.0, REFERENCES),)
    return BenchmarkItems(benchmark(**changes), groups, {f"{name}.wav": f"tiny/test/{name}" for name in ("rain", "dog", "bell")})


@pytest.fixture
def items():
    return one_pool()


@pytest.fixture
def mecat():
    """Six subtasks; bell has no speech, and music is scored in two groups."""
    groups = [Group(name, name, 0.1, REFERENCES) for name in SUBTASKS if name not in {"speech", "music"}]
    groups.append(Group("pure_speech", "speech", 0.1, {id_: REFERENCES[id_] for id_ in SPEECH}))
    groups.append(Group("pure_music", "music", 0.1, {"tiny/test/bell": REFERENCES["tiny/test/bell"]}))
    groups.append(Group("mixed_music", "music", 0.1, {id_: REFERENCES[id_] for id_ in SPEECH}))
    return BenchmarkItems(benchmark(task="mecat_caption"), tuple(groups), {name[10:]: name for name in REFERENCES})


@pytest.fixture
def retrieval():
    return one_pool(task="retrieval", metrics=("r_1",), primary_metric="r_1")


@pytest.fixture
def write(tmp_path):
    def write(rows, name="p.jsonl"):
        path = tmp_path / name
        if not isinstance(rows, bytes):
            rows = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
        return path

    return write


def rows(**changes):
    return [{"id": clip_id, "caption": caption} for clip_id, caption in {**GOOD, **changes}.items()]


def six(**changes):
    return [{"id": id_, "subtask": name, "caption": f"{text}, {name}"} for name in SUBTASKS for id_, text in GOOD.items()]


def codes(report):
    return [(problem.code, problem.line) for problem in report.problems]


def parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def table(column="caption"):
    return {"id": list(GOOD), column: list(GOOD.values())}


# -- forms ---------------------------------------------------------------------------------------------------------------------


def test_complete_file_is_valid(items, write):
    report = validate(write(rows()), items)
    assert report.is_valid and report.predictions == {"long": GOOD} and not report.warnings
    assert (report.n_predictions, report.n_rows) == (3, 3)
    report.raise_if_invalid()


MORE = 'caption,x,id\nrain on a roof,,rain.wav\n"a dog barks",1,dog.wav\na bell rings,,bell.wav'
CSV = "id,caption\nrain.wav,rain on a roof\ndog.wav,a dog barks\nbell.wav,a bell rings\n"


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "csv": ("p.csv", CSV),
        "csv, gzip": ("p.csv.gz", CSV),
        "csv, CRLF and BOM": ("p.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        "csv, more columns in another order": ("p.csv", MORE),
        "csv without a header": ("p.csv", CSV.partition("\n")[2]),
        "capital letters": ("P.CSV", CSV),
        "jsonl, gzip": ("p.jsonl.gz", "\n".join(map(json.dumps, rows()))),
        "jsonl, CRLF, BOM, blank lines": ("p.jsonl", "\ufeff" + "\r\n\r\n".join(map(json.dumps, rows()))),
        "jsonl of key and text": ("p.jsonl", "\n".join(json.dumps({id_: text}) for id_, text in GOOD.items())),
        "a list of one caption": ("p.jsonl", "\n".join(json.dumps({"id": i, "captions": [t]}) for i, t in GOOD.items())),
    }.values(),
    ids=lambda value: value if value.startswith("p.") else "",
)  # fmt: skip
def test_every_form_is_read(items, write, name, content):
    report = validate(write(content.encode(), name), items)
    assert report.problems == () and report.predictions == {"long": GOOD}


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "gzip"}, {"use_dictionary": False},
                                     {"data_page_version": "2.0"}, {"row_group_size": 1}, {"write_page_checksum": True},
                                     {"compression": "none", "store_schema": False}], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_parquet_is_read_however_it_was_written(items, tmp_path, options, kind):
    columns = {
        "id": pa.array(list(GOOD)),
        "caption": pa.array(list(GOOD.values()), kind),
        "a.b": [[1.5], [], None],
        "id.x": list("abc"),
    }
    report = validate(parquet(tmp_path / "p.parquet", columns, **options), items)
    assert report.problems == () and report.predictions == {"long": GOOD}


def test_the_format_of_a_stored_file_comes_by_argument(items, write):
    assert validate(write(CSV.encode(), "0a1b2c"), items, suffix=".csv").is_valid
    assert codes(validate(write(CSV.encode(), "0a1b2c"), items)) == [("E_FORMAT", None)]


@pytest.mark.parametrize("column", ["difference", "commonality", "answer"])
def test_the_column_is_called_after_the_task(write, column):
    changes = {"task": "mecat_qa"} if column == "answer" else {"style": column}
    pairs = one_pool(**changes)
    assert validate(write([{"id": id_, column: text} for id_, text in GOOD.items()]), pairs).is_valid
    assert validate(write("\n".join(f"{i},{t}" for i, t in GOOD.items()).encode(), "p.csv"), pairs).is_valid
    found = validate(write(rows()), pairs)
    assert codes(found)[:3] == [("E_COLUMN", 1), ("E_COLUMN", 2), ("E_COLUMN", 3)]
    noun = "questions" if column == "answer" else "pairs"
    assert f"3 of 3 {noun} have no {column}: tiny/test/rain" in found.problems[3].message


def test_header_values_come_with_the_report(items, write, tmp_path):
    note = {"commit": "0a1b", "beams": 4, "temperature": 0.5, "sampled": False, "seed": None}
    assert validate(write([{"uac": note}, *rows()]), items).note == note
    schema = pa.schema([("id", pa.string()), ("caption", pa.string())], {"uac": json.dumps(note)})
    pq.write_table(pa.table(table(), schema), tmp_path / "p.parquet")
    report = validate(tmp_path / "p.parquet", items)
    assert report.is_valid and report.note == note and report.to_json()["note"] == note
    assert codes(validate(write([*rows(), {"uac": note}]), items)) == [("E_TYPE", 4)]  # on the first line only


@pytest.mark.parametrize(
    ("note", "code", "message"),
    [
        ('{"a": [1]}', "E_TYPE", "'a' of uac is a list; expected texts, numbers"),
        ('{"a": {}}', "E_TYPE", "'a' of uac is an object"),
        ('{"a": NaN}', "E_TYPE", "'a' of uac is the number nan"),
        ('{"a": 1e999}', "E_TYPE", "the number inf"),
        ('{"a": 9223372036854775808}', "E_TYPE", "the number 9223372036854775808"),
        ('{"a": "\\u0000"}', "E_TYPE", "NUL"),
        ('{"\\ud800": 1}', "E_TYPE", "half of a surrogate pair"),
        (json.dumps({"prompt": "x" * 17_000}), "E_TOO_BIG", "at most 16,384 are taken"),
    ],
)
def test_header_values_that_cannot_be_kept_are_refused(items, write, tmp_path, note, code, message):
    report = validate(write([f'{{"uac": {note}}}', *rows()]), items)
    assert codes(report) == [(code, 1)] and message in report.problems[0].message and report.note == {}
    schema = pa.schema([("id", pa.string()), ("caption", pa.string())], {"uac": note})
    pq.write_table(pa.table(table(), schema), tmp_path / "p.parquet")
    assert codes(validate(tmp_path / "p.parquet", items)) == [(code, None)]


# -- what is wrong with rows -----------------------------------------------------------------------------------------------------


def test_every_problem_is_reported_with_its_line(items, write):
    path = write(
        [
            {"id": "tiny/test/rain", "caption": "rain"},
            '{"id": "tiny/test/dog", "caption": ',
            {"id": "tiny/test/cat", "caption": "a cat"},
            {"id": "tiny/test/rain", "caption": "rain again"},
            {"id": "tiny/test/bell", "caption": "   "},
            {"id": "tiny/test/dog", "caption": None},
            {"caption": "no id", "x": 1},
        ]
    )
    report = validate(path, items)
    assert codes(report) == [
        ("E_JSON", 2),
        ("E_UNKNOWN_ID", 3),
        ("E_DUP_ID", 4),
        ("E_EMPTY", 5),
        ("E_TYPE", 6),
        ("E_COLUMN", 7),
        ("E_MISSING_ID", None),
    ]
    with pytest.raises(InputError, match=r"p\.jsonl cannot be submitted to tiny: 7 problems in 7 rows") as raised:
        report.raise_if_invalid()
    assert "line 4: E_DUP_ID: 'tiny/test/rain' stands on line 1 already" in str(raised.value)
    assert "1 of 3 clips have no caption: tiny/test/dog" in str(raised.value)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    {
        "not UTF-8": (b'{"id": "rain.wav", "caption": "\xe9"}', "E_UTF8", "byte 32 of the line is not UTF-8 (0xe9)"),
        "deep": (b"[" * 200_000, "E_JSON", "not valid JSON"),
        "deep objects": (b'{"a":' * 100_000, "E_JSON", "not valid JSON"),
        "a huge number": (b'{"id": ' + b"9" * 10_000 + b"}", "E_JSON", "4300 digits"),
        "a large number": (b'{"id": ' + b"9" * 4_000 + b"}", "E_TYPE", "id is the number 999"),
        "NaN": (b'{"id": "rain.wav", "caption": NaN}', "E_TYPE", "caption is the number nan"),
        "a key twice": (b'{"id": "rain.wav", "id": "dog.wav", "caption": "x"}', "E_JSON", "the key 'id' stands twice"),
        "half of a pair": (b'{"id": "rain.wav", "caption": "\\ud83d"}', "E_TYPE", "half of a surrogate pair"),
        "NUL": (b'{"id": "rain.wav", "caption": "a\\u0000b"}', "E_TYPE", "NUL character"),
        "a list": (b'["rain.wav", "x"]', "E_TYPE", "the line is a list"),
        "several captions": (b'{"id": "rain.wav", "captions": ["a", "b"]}', "E_COUNT", "captions holds 2 texts; a board"),
        "too long": (b'{"id": "rain.wav", "caption": "' + b"x" * 4001 + b'"}', "E_TOO_LONG", "4,001 characters; at most 4,000"),
        "a line of 3 MiB": (b" " * (3 * 2**20), "E_TOO_LONG", "the line is longer than 1,048,576 bytes"),
        "an alias, too": (b'{"id": "dog.wav", "caption": "x"}', "E_DUP_ID", "'dog.wav' stands on line 1 already"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) and value.startswith("E_") else "",
)  # fmt: skip
def test_what_is_wrong_with_a_line(items, write, line, code, message):
    rain, dog, bell = (json.dumps(row).encode() for row in rows())
    report = validate(write(b"\n".join([dog, bell, line, rain])), items)
    assert codes(report)[0] == (code, 3) and message in report.problems[0].message
    assert codes(report)[1:] in ([], [("E_DUP_ID", 4)])  # all others are read


def test_problems_can_be_printed_and_sent_whatever_the_file_holds(items, write):
    bad = ['{"\\ud800": 1}', '{"id": "\\u001b[31m\\u202e", "caption": "x"}', json.dumps({"id": "x" * 10**6, "caption": "x"})]
    report = validate(write(bad), items)
    text = json.dumps(report.to_json(), ensure_ascii=False, allow_nan=False).encode().decode()
    assert report.n_problems == 4 and len(text) < 10_000 and "\x1b" not in report.to_csv() + "".join(map(str, report.problems))


@pytest.mark.parametrize(
    ("content", "code", "line", "message"),
    {
        "quotes that do not close": (CSV + 'x,"', "E_CSV", 5, "not valid csv"),
        "a cell of 3 MiB": (CSV + 'x,"' + f"{'y' * 1000}\n" * 1100, "E_CSV", 5, "larger than field limit|longer than"),
        "a cell too few": (CSV + "x", "E_COLUMN", 5, "the record has 1 fields, the header has 2"),
        "no such column": ("key,caption\na,b\n", "E_COLUMN", 1, "the column 'id' is missing; found 'key', 'caption'"),
        "a column twice": ("id,id,caption\n", "E_COLUMN", 1, "the column 'id' is there 2 times"),
        "many columns": (",".join(["id", "caption", *"x" * 999]), "E_COLUMN", 1, "names 1,001 columns; at most 1,000"),
        "not UTF-8": (CSV + "x,\udce9", "E_UTF8", 5, "bytes that are not UTF-8"),
        "a long line": (CSV + "x," + "y" * 2**21, "E_TOO_LONG", 5, "the line is longer than"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) and value.startswith("E_") else "",
)  # fmt: skip
def test_what_is_wrong_with_a_csv(items, write, content, code, line, message):
    report = validate(write(content.encode("utf-8", "surrogateescape"), "p.csv"), items)
    assert codes(report)[0] == (code, line) and re.search(message, report.problems[0].message)


def test_csv_records_are_bounded_whatever_the_process_allows(items, write):
    before = csv.field_size_limit(2**30)
    try:
        report = validate(write((CSV + 'x,"' + f"{'y' * 1000}\n" * 1100).encode(), "p.csv"), items)
    finally:
        csv.field_size_limit(before)
    assert codes(report) == [("E_CSV", 5)] and "longer than 1,048,576 bytes" in report.problems[0].message


def test_odd_line_breaks_inside_captions_are_text(items, write):
    captions = {"tiny/test/rain": "rain\u2028falls", "tiny/test/dog": "a\rdog", "tiny/test/bell": "a\x0bbell"}
    content = b"".join(json.dumps({"id": i, "caption": c}, ensure_ascii=False).encode() + b"\n" for i, c in captions.items())
    assert validate(write(content), items).predictions == {"long": captions}


def test_hostile_file_keeps_two_hundred_problems_and_counts_all(items, write):
    report = validate(write(["{"] * 900), items, limits=Limits(rows_per_item=1000))
    assert (len(report.problems), report.n_problems) == (200, 901)
    assert codes(report)[-1] == ("E_MISSING_ID", None)  # what is wrong with the whole file is never crowded out


def test_missing_ids_are_counted_and_the_first_named(write):
    many = BenchmarkItems(benchmark(), (Group("all", "long", 1.0, {f"clip{i:03}": ("x",) for i in range(100)}),), {})
    (problem,) = validate(write([{"id": "clip000", "caption": "a sound"}]), many).problems
    assert problem.message.startswith("99 of 100 clips have no caption: clip001, ")
    assert problem.message.endswith("clip020 …")


# -- subtasks --------------------------------------------------------------------------------------------------------------------


def test_six_subtasks_in_one_file(mecat, write):
    report = validate(write(six()), mecat)
    assert report.is_valid and set(report.predictions) == set(SUBTASKS) and report.n_ignored == 1
    assert report.predictions["speech"] == {id_: f"{GOOD[id_]}, speech" for id_ in SPEECH}
    assert report.predictions["music"]["tiny/test/bell"] == "a bell rings, music"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"subtask": None}, "E_SUBTASK", "'subtask' is missing; expected one of long, short, "),
        ({"subtask": "medium"}, "E_SUBTASK", "the subtask is 'medium'; expected long"),
        ({"subtask": ["long"]}, "E_SUBTASK", "subtask is a list; expected text"),
        ({"subtask": "speech"}, "E_DUP_ID", "'tiny/test/rain' stands on line 1 already"),
        ({"id": "cat"}, "E_UNKNOWN_ID", "'cat' is none of the clips of tiny"),
    ],
)
def test_what_is_wrong_with_a_subtask(mecat, write, change, code, message):
    given = six()
    first = next(row for row in given if row["subtask"] == "speech")
    report = validate(write([first, *(row for row in given if row is not first), {**given[0], **change}]), mecat)
    assert codes(report) == [(code, 19)] and message in report.problems[0].message


def test_missing_captions_are_told_by_subtask(mecat, write):
    report = validate(write([row for row in six() if row["subtask"] not in {"speech", "long"}]), mecat)
    assert [p.message.partition(":")[0] for p in report.problems] == [
        "3 of 3 clips have no long caption",
        "2 of 2 clips have no speech caption",
    ]


@pytest.fixture
def six_files(write):
    names = {"long": "long.csv", "short": "short_caption.csv", "speech": "speech.jsonl", "music": "music.jsonl.gz"}
    names |= {"sound": "sound_caption.csv.gz", "environment": "environment.csv"}
    found = {}
    for subtask, name in names.items():
        pairs = {id_[10:]: f"{text}, {subtask}" for id_, text in GOOD.items()}
        lines = [json.dumps({key: text}) if "jsonl" in name else f'{key},"{text}"' for key, text in pairs.items()]
        found[name] = write(lines, name)
    return found


def test_six_files_are_one_submission(mecat, six_files, write):
    files = by_subtask(six_files, mecat.subtasks)
    assert list(files) == list(mecat.subtasks) and files["short"].name == "short_caption.csv"
    report = validate(files, mecat)
    assert report.is_valid and report.predictions == validate(write(six()), mecat).predictions
    packed = bundle(files)
    again = validate(write(packed, "bundle.jsonl"), mecat)
    assert again.is_valid and again.predictions == report.predictions and bundle(files) == packed


def test_problems_name_the_file_they_are_in(mecat, six_files, write):
    write([{"dog": ""}, {"cat": "x"}, {"dog": "y", "z": "w"}], "speech.jsonl")
    report = validate(by_subtask(six_files, mecat.subtasks), mecat)
    assert codes(report) == [("E_EMPTY", 1), ("E_UNKNOWN_ID", 2), ("E_COLUMN", 3), ("E_MISSING_ID", None)]
    assert all(problem.message.startswith("speech.jsonl: ") for problem in report.problems[:3])
    with pytest.raises(InputError, match=r"line 3: E_COLUMN: speech\.jsonl: 'id' is missing"):
        bundle(by_subtask(six_files, mecat.subtasks))


def test_a_bundle_keeps_header_values_and_is_bounded(mecat, six_files, write):
    write([{"uac": {"commit": "0a1b"}}, *({id_: "x"} for id_ in ("rain", "dog", "bell"))], "speech.jsonl")
    files = by_subtask(six_files, mecat.subtasks)
    assert validate(write(bundle(files)), mecat).note == validate(files, mecat).note == {"commit": "0a1b"}
    with pytest.raises(InputError, match="E_TOO_BIG"):
        bundle(files, limits=Limits(raw_bytes=500))
    write(b"PK\x03\x04", "long.csv")
    with pytest.raises(InputError, match=r"long\.csv: the file is a zip archive"):
        bundle(files)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["long.csv"], "no file for the subtask 'short'; expected one, such as short.csv"),
        (["long.csv", "long_caption.jsonl"], "'long.csv', 'long_caption.jsonl' for the subtask 'long'"),
        (["long.csv", "medium.csv"], "'medium.csv' is named after no subtask"),
        (["../long.csv"], "'../long.csv' is named after no subtask"),
        (["long.zip"], "'long.zip' is named after no subtask"),
    ],
)
def test_files_that_make_no_submission(tmp_path, names, message):
    with pytest.raises(InputError, match=re.escape(message)):
        by_subtask({name: tmp_path / "x" for name in names}, SUBTASKS)


def test_a_file_for_a_subtask_that_is_none(items, mecat, write):
    path = write(rows())
    found = validate({"medium": path}, mecat)
    assert codes(found) == [("E_SUBTASK", None)] and "tiny has no subtask 'medium'; expected long" in found.problems[0].message
    row = {"id": "rain", "subtask": "short", "caption": "x"}
    assert codes(validate({"long": write([row], "a.jsonl")}, mecat))[0] == ("E_SUBTASK", 1)
    with pytest.raises(InputError, match="there is no file"):
        validate({}, items)


# -- what is wrong with files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("p.zip", b"PK\x03\x04", "E_FORMAT", "the name ends in '.zip'; expected .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet"),
        ("p", b"x", "E_FORMAT", "the name ends in 'nothing'"),
        ("p.tar.gz", b"x", "E_FORMAT", "the name ends in '.tar.gz'"),
        ("p.pkl", b"\x80\x04", "E_FORMAT", "the name ends in '.pkl'"),
        ("p.jsonl", b"PK\x03\x04", "E_FORMAT", "is a zip archive"),
        ("p.jsonl", gzip.compress(b"x", mtime=0), "E_FORMAT", "packed as gzip, but its name ends in .jsonl"),
        ("p.csv", b"PAR1xxxx", "E_FORMAT", "packed as parquet"),
        ("p.csv", "\ufeffid,caption".encode("utf-16"), "E_UTF8", "UTF-16"),
        ("p.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "E_FORMAT", "Git LFS pointer"),
        ("p.parquet", b"", "E_CUT", "no parquet file"),
        ("p.parquet", b"PAR1PAR1", "E_CUT", "it has no footer"),
        ("p.parquet", b"PAR1" + b"\xff\xff\xff\x7fPAR1", "E_CUT", "it has no footer"),
        ("p.parquet", b"PAR1" + b"\0" * 2**21 + b"\0\0\x18\0PAR1", "E_TOO_BIG", "footer has 1,572,864 bytes"),
        ("p.parquet", b"PAR1" + b"\0" * 100 + b"\x40\0\0\0PAR1", "E_CUT", "field 2 is missing"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(items, tmp_path, name, content, code, message):
    path = tmp_path / name
    path.write_bytes(content)
    report = validate(path, items)
    assert codes(report) == [(code, None)] and message in report.problems[0].message


def test_missing_files_are_said(items, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.jsonl does not exist"):
        validate(tmp_path / "nowhere.jsonl", items)
    with pytest.raises(InputError, match="is a folder"):
        validate(tmp_path, items)


PACKED = gzip.compress(
    "\n".join(map(json.dumps, rows())).encode(), mtime=0
)  # a part of names of tests, which every process has to agree on


@pytest.mark.parametrize(
    ("content", "message"),
    {
        "cut": (PACKED[:-9], "truncated gzip"),
        "without its sum": (PACKED[:-1], "truncated gzip"),
        "a flipped bit in the sum": (PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:], "not a sound gzip file"),
        "something behind it": (PACKED + b"garbage", "not a sound gzip file"),
        "a second one that is cut": (PACKED + PACKED[:5], "truncated gzip"),
        "a name without an end": (b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"x" * 2**22, "truncated gzip"),
    }.values(),
)  # fmt: skip
def test_damaged_gzip(items, tmp_path, content, message):
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(content)
    report = validate(path, items)
    assert codes(report)[-1] == ("E_CUT", None) and message in report.problems[-1].message
    assert report.n_problems == 1  # what is missing behind the damage is not told


def test_gzip_in_several_members_and_padded(items, tmp_path):
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(b"".join(gzip.compress(json.dumps(row).encode() + b"\n") + b"\0" * 70_000 for row in rows()))
    assert validate(path, items).is_valid
    path.write_bytes(PACKED + gzip.compress(b"") * 10_001)
    assert "more than 10,000 members" in validate(path, items).problems[0].message


def squeezed(n_mib):
    """Returns gzip of so many MiB of zeros."""
    engine, block = zlib.compressobj(9, wbits=31), b"\0" * 2**20
    return b"".join([*(engine.compress(block) for _ in range(n_mib)), engine.flush()])


def test_too_large_files_are_refused(items, write, tmp_path):
    path = write(rows())
    assert codes(validate(path, items, limits=Limits(raw_bytes=10))) == [("E_TOO_BIG", None)]
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(squeezed(100))
    assert "unpacks to more than 50 times its" in validate(bomb, items).problems[-1].message
    large = validate(bomb, items, limits=Limits(ratio=2000, inflated_bytes=2**21))
    assert "unpacks to more than 2,097,152 bytes" in large.problems[-1].message


def test_too_many_rows_and_lines_are_refused(items, write):
    found = validate(write([*rows(), *[{"id": "?", "caption": "x"}] * 20]), items)
    assert codes(found)[-1] == ("E_ROWS", None) and found.n_rows == 16
    assert "more than 15 rows; the benchmark has 3 clips" in found.problems[-1].message
    found = validate(write(b"\n" * 10**6), items)
    assert codes(found) == [("E_ROWS", None)] and "more than 1,150 lines" in found.problems[0].message


@pytest.mark.parametrize(
    ("columns", "code", "message"),
    [
        ({"id": list(GOOD)}, "E_COLUMN", "the column 'caption' is missing; found 'id'"),
        ({"id": [1, 2, 3], "caption": list("abc")}, "E_TYPE", "the column 'id' is int64; expected text"),
        ({"id": list(GOOD), "caption": [["a"]] * 3}, "E_TYPE", "the column 'caption' is list"),
        ({"id": list(GOOD), "caption": [{"a": "b"}] * 3}, "E_TYPE", "the column 'caption' is struct"),
        ({"id": list(GOOD), "caption": [b"a"] * 3}, "E_TYPE", "the column 'caption' is binary"),
        ({"id": [*GOOD] * 6, "caption": ["a"] * 18}, "E_ROWS", "18 rows; at most 15 are taken"),
        ({"id": list(GOOD), "caption": list("abc"), **{f"c{i}": [0] * 3 for i in range(1000)}}, "E_TOO_BIG", "1,002 columns"),
    ],
)
def test_parquet_of_another_shape(items, tmp_path, columns, code, message):
    report = validate(parquet(tmp_path / "p.parquet", columns), items)
    assert codes(report) == [(code, None)] and message in report.problems[0].message


def test_rows_of_parquet_are_checked_like_all_others(items, tmp_path):
    columns = {"id": ["rain.wav", "dog.wav", None, "rain.wav"], "caption": ["a", None, "b", "c"]}
    report = validate(parquet(tmp_path / "p.parquet", columns), items)
    assert codes(report) == [("E_TYPE", 2), ("E_TYPE", 3), ("E_DUP_ID", 4), ("E_MISSING_ID", None)]
    raw = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    report = validate(parquet(tmp_path / "p.parquet", {"id": ["rain.wav"], "caption": raw}, use_dictionary=False), items)
    assert codes(report)[0] == ("E_UTF8", 1)


def test_parquet_that_makes_much_of_little_is_refused(items, tmp_path):
    path = tmp_path / "p.parquet"
    prefixes = {"id": ["x" * 10**6] * 15, "caption": ["y"] * 15}
    parquet(path, prefixes, use_dictionary=False, column_encoding={"id": "DELTA_BYTE_ARRAY", "caption": "PLAIN"})
    report = validate(path, items)
    assert (
        codes(report) == [("E_FORMAT", None)]
        and "a page in the encoding DELTA_BYTE_ARRAY; expected PLAIN" in report.problems[0].message
    )
    parquet(path, prefixes, compression="zstd", use_dictionary=False)
    assert "unpacks to more than 50 times" in validate(path, items).problems[0].message
    # one long text that stands in many rows is there once
    report = validate(parquet(path, {**prefixes, "id": ["x" * 10**5] * 15}), items)
    assert codes(report)[0] == ("E_UNKNOWN_ID", 1) and report.n_problems == 16


def test_a_footer_that_lies_about_sizes_is_caught_by_the_pages(items, tmp_path):
    path = parquet(tmp_path / "p.parquet", {"id": ["x" * 2**22], "caption": ["y"]}, compression="zstd", use_dictionary=False)
    content = path.read_bytes()
    size = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size

    def varint(number):
        out, number = b"", number << 1
        while number >= 128:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    # the field after num_values, one byte of head before it and one behind
    begin, end = content.split(b"\x16" + varint(size) + b"\x16")
    padded = b"\xc8\x81" + b"\x80" * (len(varint(size)) - 3) + b"\0"  # 100 in as many bytes
    path.write_bytes(begin + b"\x16" + padded + b"\x16" + end)
    assert pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size == 100
    report = validate(path, items)
    assert codes(report) == [("E_TOO_BIG", None)] and "unpacks to more than 50 times" in report.problems[0].message


# -- warnings --------------------------------------------------------------------------------------------------------------------


def test_one_caption_for_all_is_a_warning(items, mecat, write):
    report = validate(write(rows(**dict.fromkeys(GOOD, "a sound is heard"))), items)
    assert report.is_valid
    assert [str(warning) for warning in report.warnings] == [
        "W_SAME_CAPTION: 3 of 3 clips have the same caption 'a sound is heard'"
    ]
    report = validate(write([{**row, "caption": "x" if row["subtask"] == "short" else row["caption"]} for row in six()]), mecat)
    assert [warning.message for warning in report.warnings] == ["3 of 3 clips have the same short caption 'x'"]


@pytest.mark.parametrize(
    "caption",
    ["Describe the audio in detail.", "describe this sound: rain", "Please listen", "Write a short audio caption: rain",
     "### Response", "<audio>rain", "[INST] rain", "<|im_start|>assistant", "Assistant: rain falls", "What can be heard in it?",
     "Give the sound a name"],
)  # fmt: skip
def test_a_repeated_instruction_is_a_warning(items, write, caption):
    report = validate(write([{"uac": {"prompt": "Give the sound a name"}}, *rows(**{"tiny/test/dog": caption})]), items)
    assert report.is_valid
    (warning,) = report.warnings
    assert (warning.code, warning.line, warning.id) == ("W_PROMPT_ECHO", 3, "tiny/test/dog")
    assert warning.message.startswith("1 caption begins like an instruction, such as ")


@pytest.mark.parametrize(
    "caption", ["A man says please", "a caption is read aloud", "users talk", "rain: heavy", "a voice describes the sea"]
)
def test_captions_that_only_look_like_one_are_none(items, write, caption):
    assert validate(write(rows(**{"tiny/test/dog": caption})), items).warnings == ()


# -- the report ------------------------------------------------------------------------------------------------------------------


def test_report_as_json_and_csv(items, write):
    report = validate(write([*rows()[:2], {"id": "=1+1", "caption": "x"}, {"id": "@x", "caption": "y"}]), items)
    found = json.loads(json.dumps(report.to_json()))
    assert found["is_valid"] is False and found["n_problems"] == 3 and found["n_rows"] == 4
    assert found["problems"][0] == {
        "code": "E_UNKNOWN_ID",
        "message": "'=1+1' is none of the clips of tiny",
        "line": 3,
        "id": "=1+1",
        "hint": "ids are the dataset's `id`, its upstream key or its file name",
        "column": "id",
    }
    assert not {"predictions", "embeddings"} & set(found)
    header, *cells = csv.reader(io.StringIO(report.to_csv()))
    assert header == ["line", "code", "column", "id", "message", "hint"]
    assert [row[:4] for row in cells] == [
        ["3", "E_UNKNOWN_ID", "id", "'=1+1"],
        ["4", "E_UNKNOWN_ID", "id", "'@x"],
        ["", "E_MISSING_ID", "", ""],
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(begin):
    assert csv_cell(f"{begin}x") == f"'{begin}x"
    assert csv_cell(f"a{begin}") == f"a{begin}" and csv_cell("") == ""


def test_no_report_holds_a_reference(mecat, items, retrieval, write, tmp_path):
    bad = [
        '{"id": "tiny/test/rain"',
        {"id": "tiny/test/rain", "caption": "x" * 5000},
        {"id": "tiny/test/dog", "caption": ""},
        {"id": "tiny/test/dog", "caption": "again"},
        {"id": "no", "caption": 1},
        {"id": "cat", "caption": "y"},
        {"id": "tiny/test/bell", "captions": ["a", "b"]},
    ]
    reports = [validate(write(bad), one) for one in (mecat, items)]
    reports.append(validate(write([{"id": "rain.wav", "caption": "Describe the audio"}]), items))
    reports.append(validate(parquet(tmp_path / "p.parquet", {"id": ["dog.wav"], "audio": [[1.0]], "text": [[[1.0]]]}), retrieval))
    texts = [text for references in REFERENCES.values() for text in references]
    for report in reports:
        assert not report.is_valid
        shown = json.dumps(report.to_json()) + report.to_csv() + "".join(map(str, (*report.problems, *report.warnings)))
        assert not any(text in shown for text in texts)


# -- retrieval -------------------------------------------------------------------------------------------------------------------

ORDER = ["dog.wav", "tiny/test/rain", "bell.wav"]
RESOLVED = ("tiny/test/dog", "tiny/test/rain", "tiny/test/bell")
RNG = np.random.default_rng(7)
AUDIO, TEXT = RNG.normal(size=(3, 4)).astype("f4"), RNG.normal(size=(6, 4)).astype("f4")
SCORES = RNG.normal(size=(6, 3))


def safetensors(path, tensors, ids=ORDER, **metadata):
    from safetensors.numpy import save_file

    save_file(tensors, path, {"ids": ids if isinstance(ids, str) else json.dumps(ids), **metadata})
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_embeddings_are_read(retrieval, tmp_path, dtype):
    tensors = {"audio": AUDIO.astype(dtype), "text": TEXT.astype(dtype)}
    report = validate(safetensors(tmp_path / "p.safetensors", tensors, uac='{"commit": "0a1b"}'), retrieval)
    assert report.problems == () and report.note == {"commit": "0a1b"} and report.n_predictions == 3 and report.n_rows == 3
    assert report.embeddings.ids == RESOLVED and report.embeddings.scores is None
    np.testing.assert_array_equal(report.embeddings.audio, tensors["audio"])
    np.testing.assert_array_equal(report.embeddings.text, tensors["text"])


def test_embeddings_in_bfloat16_are_read(retrieval, tmp_path):
    import torch
    from safetensors.torch import save_file

    tensors = {"audio": torch.tensor(AUDIO).bfloat16(), "text": torch.tensor(TEXT).bfloat16()}
    save_file(tensors, tmp_path / "p.safetensors", {"ids": json.dumps(ORDER)})
    report = validate(tmp_path / "p.safetensors", retrieval)
    np.testing.assert_array_equal(report.embeddings.audio, tensors["audio"].float().numpy())


def test_scores_are_read(retrieval, tmp_path):
    report = validate(safetensors(tmp_path / "p.safetensors", {"scores": SCORES}), retrieval)
    assert report.is_valid and report.embeddings.audio is None
    np.testing.assert_array_equal(report.embeddings.scores, SCORES)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.float16()], ids=str)
def test_embeddings_in_parquet_are_read(retrieval, tmp_path, kind):
    audio, text = (one.astype(kind.to_pandas_dtype()) for one in (AUDIO, TEXT))
    lists = pa.list_(kind)
    columns = {
        "id": ORDER,
        "audio": pa.array([row.tolist() for row in audio], lists),
        "text": pa.array([pair.tolist() for pair in text.reshape(3, 2, 4)], pa.list_(lists)),
    }
    report = validate(parquet(tmp_path / "p.parquet", columns, row_group_size=2), retrieval)
    assert report.problems == () and report.embeddings.ids == RESOLVED
    np.testing.assert_array_equal(report.embeddings.audio, audio)
    np.testing.assert_array_equal(report.embeddings.text, text)


def changed(array, row, value):
    array = array.copy()
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("tensors", "ids", "found", "message"),
    [
        ({"audio": AUDIO}, ORDER, ("E_COLUMN", None), "found the tensors 'audio'; expected audio and text, or scores"),
        ({"audio": AUDIO, "text": TEXT, "scores": SCORES}, ORDER, ("E_COLUMN", None), "expected audio and text, or scores"),
        ({"audio": AUDIO, "text": TEXT[:5]}, ORDER, ("E_COUNT", None), "text has the shape [5, 4]; expected 6 rows"),
        ({"audio": AUDIO, "text": TEXT[:, :3]}, ORDER, ("E_COUNT", None), "the same 1 to 16,384 columns as audio"),
        ({"audio": AUDIO[:2], "text": TEXT}, ORDER, ("E_COUNT", None), "audio has the shape [2, 4]; expected 3 rows"),
        ({"scores": SCORES.T.copy()}, ORDER, ("E_COUNT", None), "scores has the shape [3, 6]; expected 6 rows"),
        ({"audio": AUDIO, "text": TEXT.astype("i4")}, ORDER, ("E_TYPE", None), "text holds 'I32'; expected F16, F32, F64, BF16"),
        ({"audio": AUDIO, "text": TEXT.ravel()}, ORDER, ("E_TYPE", None), "text has no sound shape or place; expected two"),
        ({"audio": AUDIO, "text": changed(TEXT, 4, np.nan)}, ORDER, ("E_VALUE", 5), "text holds NaN"),
        ({"audio": changed(AUDIO, 1, np.inf), "text": TEXT}, ORDER, ("E_VALUE", 2), "audio holds NaN or an infinite"),
        ({"audio": changed(AUDIO, 0, 0), "text": TEXT}, ORDER, ("E_VALUE", 1), "the embedding in audio is zero"),
        ({"scores": changed(SCORES, 2, np.nan)}, ORDER, ("E_VALUE", 3), "scores holds NaN"),
        ({"scores": SCORES}, [*ORDER[:2], "cat"], ("E_UNKNOWN_ID", 3), "'cat' is no clip of tiny"),
        ({"scores": SCORES}, [*ORDER[:2], "tiny/test/dog"], ("E_DUP_ID", 3), "'tiny/test/dog' stands at 1 already"),
        ({"scores": SCORES}, ORDER[:2], ("E_MISSING_ID", None), "1 of 3 clips are not there: tiny/test/bell"),
        ({"scores": SCORES}, [1, 2, 3], ("E_TYPE", 1), "id is the number 1; expected text"),
        ({"scores": SCORES}, ORDER * 6, ("E_ROWS", None), "18 ids; at most 15 are taken"),
        ({"scores": SCORES}, '{"a": 1}', ("E_TYPE", None), "the metadata's ids are an object; expected a JSON list"),
        ({"scores": SCORES}, "[", ("E_JSON", None), "the metadata's ids are not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_embeddings(retrieval, tmp_path, tensors, ids, found, message):
    report = validate(safetensors(tmp_path / "p.safetensors", tensors, ids), retrieval)
    assert codes(report)[0] == found and message in report.problems[0].message and report.embeddings is None


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "E_CUT", "ends inside its header"),
        (b"\xff" * 20, "E_CUT", "ends inside its header"),
        (b"\x02\0\0\0\0\0\0\0[]", "E_CUT", "the line is a list"),
        (b"\x02\0\0\0\0\0\0\0{}", "E_COLUMN", "found the tensors none"),
        (b"\x01\0\0\x01\0\0\0\0" + b" " * (2**24 + 1), "E_TOO_BIG", "header has 16,777,217 bytes"),
    ],
)
def test_safetensors_that_cannot_be_read(retrieval, tmp_path, content, code, message):
    path = tmp_path / "p.safetensors"
    path.write_bytes(content)
    report = validate(path, retrieval)
    assert codes(report) == [(code, None)] and message in report.problems[0].message


@pytest.mark.parametrize(
    "change",
    [{"data_offsets": [0, 49]}, {"data_offsets": [48, 0]}, {"data_offsets": [10**9, 10**9 + 48]}, {"shape": [2**39, 2**39]},
     {"shape": [-3, -4]}, {"shape": [3, True]}, {"shape": 3}, {"dtype": [[]]}, {"shape": [3.0, 4]}],
    ids=str,
)  # fmt: skip
def test_a_header_that_lies_is_caught(retrieval, tmp_path, change):
    path = safetensors(tmp_path / "p.safetensors", {"audio": AUDIO, "text": TEXT})
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["audio"].update(change)
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + content[8 + size :])
    (problem,) = validate(path, retrieval).problems
    assert problem.code in {"E_CUT", "E_TYPE"} and problem.column == "audio"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"id": [1, 2, 3]}, "E_TYPE", "id is int64; expected text"),
        ({"audio": [["a"]] * 3}, "E_TYPE", "expected list<float>"),
        ({"text": [[1.0]] * 3}, "E_TYPE", "expected list<list<float>>"),
        ({"audio": [[1.0, 2.0], [1.0], [1.0, 2.0]]}, "E_COUNT", "audio has 1 dimensions; expected 2 as in the first row"),
        ({"audio": [[1.0, 2.0], [1.0, None], None]}, "E_TYPE", "audio is null, empty, holds null"),
        ({"text": [[[1.0, 2.0]] * 2] * 2 + [[[1.0, 2.0]] * 3]}, "E_COUNT", "text has 3 embeddings; the clip has 2 captions"),
        ({"text": [[[1.0, 2.0]] * 2] * 2 + [[[1.0, 2.0], [1.0]]]}, "E_TYPE", "rows of different lengths"),
        ({"text": [[[1.0, 2.0, 3.0]] * 2] * 3}, "E_COUNT", "text has 3 dimensions; expected the 2 of audio"),
        ({"text": [[[1.0, float("nan")]] * 2] * 3}, "E_VALUE", "text holds NaN"),
        ({"audio": [[0.0, 0.0]] * 3}, "E_VALUE", "an embedding in audio is zero"),
        ({"id": ["dog.wav", "cat", "bell.wav"]}, "E_UNKNOWN_ID", "'cat' is no clip"),
    ],
)
def test_what_is_wrong_with_embeddings_in_parquet(retrieval, tmp_path, change, code, message):
    columns = {"id": ORDER, "audio": [[1.0, 2.0]] * 3, "text": [[[1.0, 2.0]] * 2] * 3, **change}
    report = validate(parquet(tmp_path / "p.parquet", columns), retrieval)
    assert report.problems[0].code == code and message in report.problems[0].message and report.embeddings is None


def test_numbers_that_a_dictionary_multiplies_are_refused(tmp_path):
    """Every row repeats one number: few bytes in the file, many in memory."""
    many = BenchmarkItems(
        benchmark(task="retrieval", metrics=("r_1",), primary_metric="r_1"),
        (Group("all", "long", 1.0, {f"clip{i:03}": ("x", "y") for i in range(300)}),),
        {},
    )
    row = np.ones(8_000)
    columns = {"id": [f"clip{i:03}" for i in range(300)], "audio": [row] * 300, "text": [[row] * 2] * 300}
    path = parquet(tmp_path / "p.parquet", columns, compression="zstd", row_group_size=20)
    report = validate(path, many)
    assert codes(report) == [("E_TOO_BIG", None)] and "unpacks to more than 50 times" in report.problems[0].message


def test_texts_are_no_embeddings(retrieval, write, tmp_path):
    found = validate(write(rows()), retrieval)
    assert codes(found) == [("E_FORMAT", None)] and "expected .safetensors, .parquet" in found.problems[0].message
    path = safetensors(tmp_path / "p.safetensors", {"scores": SCORES})
    assert codes(validate(path, retrieval, limits=Limits(embedding_bytes=10))) == [("E_TOO_BIG", None)]
    assert codes(validate({"long": path}, retrieval)) == [("E_SUBTASK", None)]
