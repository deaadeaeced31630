"""`uac published`, on what the project ships."""

import json

import pytest
from unified_audiocaps.dataset_scripts.errors import UnknownNameError

from .command_line import uac


def test_all_tables():
    shown = uac("published").stdout
    assert "WavCaps, Table V  (arXiv:2303.17395)\nSYSTEM" in shown
    assert "Audio Commonality Captioning, Table 1\nSYSTEM" in shown
    assert "[1] mismatch: SPIDEr is 30.2; (CIDEr 47.4 + SPICE 13.5) / 2 = 30.45, 0.25 apart" in shown
    assert "note on Netease* and CLIP-AAC*" in shown or "note on CLIP-AAC* and Netease*: paper marks *" in shown
    assert shown.endswith("1,099 numbers: 18 mismatch, 145 suspect, 733 ok, 203 unchecked.\n")


def test_flags_are_marks_that_the_text_below_explains():
    lines = uac(
        "published", "--paper", "commonality", "--benchmark", "clotho-evaluation", "--flag", "mismatch"
    ).stdout.splitlines()
    assert lines[0] == "Audio Commonality Captioning, Table 1"
    assert lines[2].split()[-1] == "[2]"
    assert "0.1762 [1,2]" in lines[2]
    assert lines[5].startswith("[1] mismatch: expected bleu_1 >= bleu_2 >= bleu_3 >= bleu_4; printed 0.0894")
    assert lines[6] == "[2] suspect: bleu_4 and rouge_l are both 0.1762: one of them looks like a copy of the other."
    assert ["  Clotho  " in line for line in lines if line.startswith("Qwen")] == [True] * 3


def test_benchmarks_that_are_columns_are_named_in_the_heading():
    shown = uac("published", "--paper", "acavcaps").stdout
    assert "AISHELL-2 Android, ASR error rate  AISHELL-2 iOS" in shown
    assert "BENCHMARK" not in shown.split("ACAVCaps, Table 3")[1].splitlines()[1]


def test_a_missing_number_is_a_dash():
    (line,) = [line for line in uac("published", "--paper", "audiosetcaps").stdout.splitlines() if line.startswith("CoNeTTE")]
    assert line.split() == ["CoNeTTE", "CNext-Trans", "AudioSet", "AudioCaps", "-", "-", "-", "49.5"]


def test_flags_of_one_kind_only():
    tables = json.loads(uac("published", "--flag", "mismatch", "--json").stdout)
    rows = [row for table in tables for row in table["rows"]]
    assert len(rows) == 17
    for row in rows:
        assert "mismatch" in {cell["consistency"] for cell in row["cells"] if cell}


def test_json_holds_all_that_is_known():
    (table,) = json.loads(uac("published", "--paper", "WavCaps", "--benchmark", "audiocaps-test", "--json").stdout)
    assert (table["table"], table["arxiv"], table["columns"][4:]) == ("Table VI", "2303.17395", ["CIDEr", "SPICE", "SPIDEr"])
    (row,) = [row for row in table["rows"] if row["system"] == "AL-MixGEN"]
    spider = row["cells"][6]
    assert (spider["value"], spider["native_value"], spider["printed"]) == (47.5, 0.475, "47.5")
    assert (spider["benchmark_id"], spider["metric_id"], spider["consistency"]) == ("audiocaps-test", "spider", "ok")
    assert spider["flags"] == [{"rule": "spider", "level": "ok", "text": "SPIDEr is 47.5; (CIDEr 76.9 + SPICE 18.1) / 2 = 47.5"}]


def test_nothing_that_was_asked_for():
    shown = uac("published", "--paper", "acavcaps", "--benchmark", "clotho-evaluation").stdout
    assert shown == "0 numbers: 0 mismatch, 0 suspect, 0 ok, 0 unchecked.\n"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--paper", "wavecaps"), r"no paper is called 'wavecaps'\. Did you mean WavCaps"),
        (("--benchmark", "clotho"), r"no benchmark with published numbers is called 'clotho'.*clotho-evaluation"),
        (("--flag", "wrong"), r"no flag is called 'wrong'\. Known: mismatch, suspect"),
    ],
)
def test_names_that_are_none(arguments, match):
    with pytest.raises(UnknownNameError, match=match):
        uac("published", *arguments)


def test_help_shows_an_example():
    assert "Example: uac published --benchmark clotho-evaluation --flag mismatch" in uac("published", "--help").stdout
