import json

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.leaderboard import submission
from unified_audiocaps.leaderboard.submission import validate

GOOD = {"tiny/test/rain": "rain on a roof", "tiny/test/dog": "a dog barks", "tiny/test/bell": "a bell rings"}


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(**changes):
    return [{"id": clip_id, "caption": caption} for clip_id, caption in {**GOOD, **changes}.items()]


def codes(report):
    return [(problem.code, problem.line) for problem in report.problems]


def test_complete_file_is_valid(items, tmp_path):
    report = validate(write(tmp_path / "p.jsonl", rows()), items)
    assert report.is_valid and report.predictions == GOOD and not report.warnings
    report.raise_if_invalid()


def test_file_names_stand_for_their_clips(items, tmp_path):
    table = "id,caption\nrain.wav,rain on a roof\ndog.wav,a dog barks\nbell.wav,a bell rings\n"
    report = validate(write(tmp_path / "p.csv", [table.rstrip()]), items)
    assert report.is_valid and report.predictions == GOOD


def test_every_problem_is_reported_with_its_line(items, tmp_path):
    path = write(
        tmp_path / "p.jsonl",
        [
            {"id": "tiny/test/rain", "caption": "rain"},
            '{"id": "tiny/test/dog", "caption": ',
            {"id": "tiny/test/cat", "caption": "a cat"},
            {"id": "tiny/test/rain", "caption": "rain again"},
            {"id": "tiny/test/bell", "caption": "   "},
            {"id": "tiny/test/dog", "caption": None},
            {"caption": "no id"},
        ],
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
    with pytest.raises(InputError, match=r"p\.jsonl cannot be submitted to tiny: 7 problems") as raised:
        report.raise_if_invalid()
    assert "line 4: E_DUP_ID: 'tiny/test/rain' stands on line 1 already" in str(raised.value)
    assert "1 of 3 clips have no caption: tiny/test/dog" in str(raised.value)


def test_several_captions_per_clip_are_refused(items, tmp_path):
    given = [*rows()[:2], {"id": "tiny/test/bell", "captions": ["a bell rings", "a bell"]}]
    report = validate(write(tmp_path / "p.jsonl", given), items)
    assert codes(report) == [("E_COUNT", 3)]
    assert "captions holds 2 texts; a board takes one caption per clip" in str(report.problems[0])


def test_two_names_of_one_clip_are_a_duplicate(items, tmp_path):
    report = validate(write(tmp_path / "p.jsonl", [*rows(), {"id": "dog.wav", "caption": "a dog"}]), items)
    assert codes(report) == [("E_DUP_ID", 4)]


def test_odd_line_breaks_inside_captions_are_text(items, tmp_path):
    captions = {"tiny/test/rain": "rain\u2028falls", "tiny/test/dog": "a\rdog", "tiny/test/bell": "a\x0bbell"}
    path = tmp_path / "p.jsonl"
    path.write_bytes(
        b"".join(json.dumps({"id": i, "caption": c}, ensure_ascii=False).encode() + b"\n" for i, c in captions.items())
    )
    assert validate(path, items).predictions == captions


def test_long_caption_and_too_many_rows_are_refused(items, tmp_path, monkeypatch):
    path = write(tmp_path / "p.jsonl", [*rows(**{"tiny/test/dog": "x" * 4001}), *[{"id": "?", "caption": "x"}] * 20])
    found = validate(path, items)
    assert ("E_TOO_LONG", 2) in codes(found)
    assert "E_ROWS" in {problem.code for problem in found.problems}
    monkeypatch.setattr(submission, "MAX_BYTES", 10)
    assert codes(validate(path, items)) == [("E_TOO_BIG", None)]


def test_hostile_file_keeps_two_hundred_problems_and_counts_all(items, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_ROWS_PER_ITEM", 1000)
    report = validate(write(tmp_path / "p.jsonl", ["{"] * 900), items)
    assert (len(report.problems), report.n_problems) == (200, 901)


def test_one_caption_for_all_is_a_warning(items, tmp_path):
    report = validate(write(tmp_path / "p.jsonl", rows(**dict.fromkeys(GOOD, "a sound is heard"))), items)
    assert report.is_valid
    assert [warning.code for warning in report.warnings] == ["W_SAME_CAPTION"]


def test_missing_file_is_said(items, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        validate(tmp_path / "nowhere.jsonl", items)
