import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.leaderboard.submission import COUNTED, STATES, UNFINISHED, System

FULL = {
    "name": "Whisperer 2",
    "organisation": "A lab, Tōkyō",
    "hub_repo": "lab/whisperer-2",
    "parameters": 240_000_000,
    "open_weights": True,
    "license_text": "Apache-2.0",
    "paper_url": "https://arxiv.org/abs/2507.23511",
    "code_url": "http://example.org/code",
    "training_data": ["audiocaps", "other: 300 h of our own"],
    "description": "Two lines\nof text.",
}


def test_a_system_survives_its_json():
    system = System.from_json(FULL)
    assert system.to_json() == FULL and System.from_json(system.to_json()) == system
    assert System.from_json({"name": "x"}) == System("x") and System("x").open_weights is None


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("name", "", "1 to 200 printable characters"),
        ("name", "  ", "no blanks around them"),
        ("name", " x", "no blanks around them"),
        ("name", "x\ny", "up to 200 printable characters"),
        ("name", "x\x1b[2J", "up to 200 printable characters"),
        ("name", "x\u202ey", "up to 200 printable characters"),
        ("name", "x" * 201, "up to 200 printable characters"),
        ("name", "x\ud800", "up to 200 printable characters"),
        ("name", None, "1 to 200 printable characters"),
        ("organisation", 7, "up to 200 printable characters"),
        ("description", "x" * 2001, "up to 2,000 printable characters"),
        ("description", "x\0", "without NUL"),
        ("description", "x\udfff", "halves of surrogate pairs"),
        ("hub_repo", "whisperer", "OWNER/NAME"),
        ("hub_repo", "../etc", "OWNER/NAME"),
        ("hub_repo", "a/b/c", "OWNER/NAME"),
        ("paper_url", "javascript:alert(1)", "an address that begins with https://"),
        ("code_url", "ftp://example.org", "an address that begins with https://"),
        ("paper_url", "https://" + "x" * 500, "up to 500 printable characters"),
        ("parameters", 0, "how many parameters there are"),
        ("parameters", -1, "how many parameters there are"),
        ("parameters", 10**15, "how many parameters there are"),
        ("parameters", True, "how many parameters there are"),
        ("parameters", "240M", "how many parameters there are"),
        ("parameters", 1.5, "how many parameters there are"),
        ("open_weights", "yes", "true or false"),
        ("open_weights", 1, "true or false"),
        ("training_data", [""], "up to 50 names of datasets"),
        ("training_data", [7], "up to 50 names of datasets"),
        ("training_data", ["x"] * 51, "up to 50 names of datasets"),
        ("training_data", ["x\ny"], "up to 50 names of datasets"),
    ],
)
def test_what_no_board_can_show_is_refused(column, value, expected):
    with pytest.raises(InputError, match="the system is not described as a board can show it") as caught:
        System.from_json({**FULL, column: value})
    assert {problem.code for problem in caught.value.problems} == {"E_SYSTEM"}
    assert {problem.column for problem in caught.value.problems} == {column}
    assert expected in " ".join(problem.message for problem in caught.value.problems)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(InputError) as caught:
        System.from_json({"name": "", "hub_repo": "x", "open_weights": "no"})
    assert [problem.column for problem in caught.value.problems] == ["name", "hub_repo", "open_weights"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "x", "size": 3}, "a system has no 'size'; expected name, organisation"),
        ({"name": "x", "training_data": "audiocaps"}, "training_data is 'audiocaps'; expected a list"),
        ({"name": "x", "training_data": None}, "training_data is None; expected a list"),
    ],
)
def test_values_of_another_shape_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        System.from_json(values)


def test_rejected_files_and_our_own_failures_cost_no_quota():
    assert {"rejected", "failed", "received"}.isdisjoint(COUNTED)
    assert {*COUNTED, *UNFINISHED} < {*STATES}
