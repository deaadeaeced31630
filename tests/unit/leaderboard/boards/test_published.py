"""Printed numbers: every rule on rows made up for it, and what the rules find in what papers print."""

import csv
from collections import Counter
from dataclasses import fields

import pytest
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.leaderboard.boards import published as pub
from unified_audiocaps.leaderboard.boards.published import (
    ReportedResult,
    benchmark_id_of,
    check,
    corpora_of,
    metric_id_of,
    published_tables,
    read_published,
    reported_results,
    tables_of,
)


def cell(metric: str, printed: str, **more: object) -> ReportedResult:
    """Returns a number of a captioning table in points of 100."""
    about = {
        "benchmark": "Clotho",
        "task": "audio captioning",
        "split": "test",
        "system": "Ours",
        "training_data": "Clotho",
        "unit": "x100",
        "scale": "0-100 (CIDEr 0-1000)",
        "source_paper": "WavCaps",
        "table": "Table 1",
    }
    rest = {"higher_is_better": True, "model": "", "row_group": "", "note": ""}
    return ReportedResult(**{**about, **rest, **more, "metric": metric, "printed": printed})  # type: ignore[arg-type]


def row(numbers: dict[str, str], **more: object) -> list[ReportedResult]:
    return [cell(metric, printed, **more) for metric, printed in numbers.items()]


def levels(results: list[ReportedResult]) -> dict[str, str]:
    return {one.metric: one.consistency for one in check(results)}


def texts(results: list[ReportedResult]) -> str:
    return "\n".join(flag.text for one in check(results) for flag in one.flags)


# -- weighted sums ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cider", "spice", "spider", "expected"),
    [
        pytest.param("76.9", "18.1", "47.5", "ok", id="exact"),
        pytest.param("80.3", "18.8", "49.5", "ok", id="a half that was rounded down"),
        pytest.param("80.3", "18.8", "49.6", "ok", id="a half that was rounded up"),
        pytest.param("76.9", "18.1", "47.6", "ok", id="all three roundings in one direction"),
        pytest.param("76.9", "18.1", "47.61", "mismatch", id="one place more leaves less room"),
        pytest.param("76.9", "18.1", "47.7", "mismatch", id="beyond rounding"),
        pytest.param("76.90", "18.10", "47.52", "mismatch", id="more places leave less room"),
        pytest.param("77", "18", "48", "ok", id="whole numbers leave more room"),
        pytest.param("77", "18", "48.6", "mismatch", id="but not that much"),
    ],
)
def test_spider_is_the_mean_of_cider_and_spice(cider, spice, spider, expected):
    found = levels(row({"CIDEr": cider, "SPICE": spice, "SPIDEr": spider}))
    assert found["SPIDEr"] == expected
    assert found["CIDEr"] == found["SPICE"] == ("ok" if expected == "ok" else "suspect")


def test_a_flag_says_what_was_computed_from_what():
    assert texts(row({"CIDEr": "76.9", "SPICE": "18.1", "SPIDEr": "47.5"})).splitlines()[0] == (
        "SPIDEr is 47.5; (CIDEr 76.9 + SPICE 18.1) / 2 = 47.5"
    )
    assert "= 30.45, 0.25 apart, where rounding explains 0.1" in texts(row({"CIDEr": "47.4", "SPICE": "13.5", "SPIDEr": "30.2"}))


@pytest.mark.parametrize(
    ("numbers", "blamed", "meant"),
    [
        ({"cider_d": "0.0927", "spice": "0.4480", "spider": "0.0688"}, "spice", "spice 0.0448"),
        ({"cider_d": "0.0927", "spice": "0.0448", "spider": "0.6880"}, "spider", "spider 0.0688"),
        ({"cider_d": "0.4100", "spice": "0.0120", "spider": "0.2650"}, "spice", "spice 0.12"),
    ],
)
def test_a_decimal_point_one_place_off_is_named(numbers, blamed, meant):
    results = row(numbers, scale="0-1 (CIDEr-D 0-10)")
    assert levels(results) == {name: "mismatch" if name == blamed else "suspect" for name in numbers}
    assert f"with {meant}, the decimal point one place off, it holds" in texts(results)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param({"CIDEr": "0.2", "SPICE": "18.0", "SPIDEr": "10.0"}, id="a small gap has many causes"),
        pytest.param({"CIDEr": "4.0", "SPICE": "4.0", "SPIDEr": "22.0"}, id="either of two would do"),
    ],
)
def test_a_decimal_point_is_named_only_where_it_is_the_one_cause(numbers):
    assert levels(row(numbers)) == {"CIDEr": "suspect", "SPICE": "suspect", "SPIDEr": "mismatch"}
    assert "decimal point" not in texts(row(numbers))


def test_without_one_of_the_three_there_is_nothing_to_check():
    assert set(levels(row({"CIDEr": "76.9", "SPIDEr": "12.0"})).values()) == {"unchecked"}


GROUPS = {
    "DATE/long": "52.4",
    "DATE/short": "52.0",
    "DATE/speech/pure": "30.2",
    "DATE/speech/mixed": "31.4",
    "DATE/music/pure": "44.3",
    "DATE/music/mixed": "30.9",
    "DATE/sound/pure": "52.4",
    "DATE/sound/mixed": "21.6",
    "DATE/environment": "15.4",
}


@pytest.mark.parametrize(("score", "expected"), [("37.4", "ok"), ("37.3", "ok"), ("37.5", "mismatch"), ("37.2", "mismatch")])
def test_the_score_of_mecat_follows_from_its_groups(score, expected):
    # by hand: 0.4 (41.92 + 10.4) + 0.4 (18.48 + 11.28 + 3.7) + 3.08 = 37.392, rounding explains 0.1
    found = levels(row({**GROUPS, "DATE/score_caption": score}))
    assert found["DATE/score_caption"] == expected
    assert {found[name] for name in GROUPS} == {"ok" if expected == "ok" else "suspect"}


def test_the_score_of_mecat_needs_all_groups():
    numbers = {**GROUPS, "DATE/score_caption": "99.9"}
    del numbers["DATE/short"]
    assert set(levels(row(numbers)).values()) == {"unchecked"}


@pytest.mark.parametrize("name", ["mean of both", "Avg", "average", "DATE/score_qa"])
@pytest.mark.parametrize(("mean", "expected"), [("2.5", "ok"), ("2.6", "ok"), ("2.7", "mismatch")])
def test_means_are_those_of_the_columns_before_them(name, mean, expected):
    found = levels(row({"one": "2.0", "two": "3.0", name: mean}))
    assert found[name] == expected
    assert found["one"] == ("ok" if expected == "ok" else "suspect")


def test_a_second_mean_starts_anew():
    suite = ["suite: a", "suite: b", "suite: AVG/ab", "suite: c", "suite: AVG/c"]
    numbers = ["2.0", "4.0", "3.0", "7.0", "9.0"]
    results = [
        cell("mean" if "AVG" in benchmark else "Acc", printed, benchmark=benchmark)
        for benchmark, printed in zip(suite, numbers, strict=True)
    ]
    assert [one.consistency for one in check(results)] == ["ok", "ok", "ok", "suspect", "mismatch"]
    assert "AVG/c is 9.0; (7.0) / 1 = 7" in texts(results)


def test_a_mean_of_which_a_part_is_missing_is_not_checked():
    results = row({"one": "2.0", "two": "3.0", "Avg": "2.5"}) + row({"one": "2.0", "Avg": "9.9"}, system="Theirs")
    assert [one.consistency for one in check(results)] == ["ok", "ok", "ok", "unchecked", "unchecked"]


def test_metrics_that_are_called_like_means_are_none():
    assert set(levels(row({"one": "2.0", "meaning": "9.0", "avgas": "8.0"})).values()) == {"unchecked"}


# -- orders ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "blamed"),
    [
        pytest.param(["60.0", "40.0", "30.0", "20.0"], set(), id="falls"),
        pytest.param(["60.0", "40.0", "40.0", "40.0"], set(), id="equal is no violation"),
        pytest.param(["8.9", "5.1", "3.0", "17.6"], {4}, id="the last one is out of order"),
        pytest.param(["60.0", "2.0", "30.0", "20.0"], {2}, id="the second one is out of order"),
        pytest.param(["8.9", "5.1", "1.0", "3.0"], {3, 4}, id="one of two, nobody knows which"),
        pytest.param(["60", "60.4", "30.0", "20.0"], set(), id="60 may be 60.4"),
        pytest.param(["60", "60.6", "30.0", "20.0"], {1, 2}, id="60 is not 60.6"),
    ],
)
def test_bleu_falls_with_the_length_of_its_grams(numbers, blamed):
    found = levels(row({f"BLEU_{n}": printed for n, printed in enumerate(numbers, 1)}))
    assert {n for n in range(1, 5) if found[f"BLEU_{n}"] == "mismatch"} == blamed
    assert {found[f"BLEU_{n}"] for n in range(1, 5) if n not in blamed} == {"ok"}


def test_bleu_1_and_bleu_4_alone_have_an_order_too():
    assert levels(row({"BLEU_1": "56.0", "BLEU_4": "16.0"})) == {"BLEU_1": "ok", "BLEU_4": "ok"}
    assert levels(row({"BLEU_1": "16.0", "BLEU_4": "56.0"})) == {"BLEU_1": "mismatch", "BLEU_4": "mismatch"}
    assert levels(row({"BLEU_1": "16.0"})) == {"BLEU_1": "unchecked"}


def test_recall_rises_with_the_cutoff_in_each_direction_alone():
    numbers = {"T2A/R@1": "36.1", "T2A/R@5": "27.1", "T2A/R@10": "84.5", "A2T/R@1": "39.6", "A2T/R@10": "86.7"}
    found = levels(row(numbers, task="audio-text retrieval", scale="0-100"))
    assert found == {
        "T2A/R@1": "mismatch",
        "T2A/R@5": "mismatch",
        "T2A/R@10": "unchecked",
        "A2T/R@1": "ok",
        "A2T/R@10": "ok",
    }


# -- ranges and coincidences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "printed", "more", "expected"),
    [
        ("METEOR", "24.0", {}, "unchecked"),
        ("METEOR", "100.0", {}, "unchecked"),
        ("METEOR", "101", {}, "mismatch"),
        ("METEOR", "-0.6", {}, "mismatch"),
        ("CIDEr", "296.9", {}, "unchecked"),
        ("CIDEr", "1001", {}, "mismatch"),
        ("SPIDEr", "540.0", {}, "unchecked"),
        ("SPIDEr", "560.0", {}, "mismatch"),
        ("cider_d", "2.9698", {"scale": "0-1 (CIDEr-D 0-10)"}, "unchecked"),
        ("meteor", "2.9698", {"scale": "0-1 (CIDEr-D 0-10)"}, "mismatch"),
        ("word error rate", "104.2", {"higher_is_better": False, "scale": "0-100"}, "unchecked"),
        ("word error rate", "-4.2", {"higher_is_better": False, "scale": "0-100"}, "mismatch"),
        ("FAD", "750", {"higher_is_better": False, "scale": ""}, "unchecked"),
        ("IS", "750", {"scale": ""}, "unchecked"),
    ],
)
def test_numbers_are_in_the_range_of_their_metric(metric, printed, more, expected):
    assert levels([cell(metric, printed, **more)]) == {metric: expected}


@pytest.mark.parametrize(
    ("one", "two", "scale", "expected"),
    [
        pytest.param("0.1762", "0.1762", "0-1 (CIDEr-D 0-10)", "suspect", id="four native decimals"),
        pytest.param("0.0798", "0.0798", "0-1 (CIDEr-D 0-10)", "suspect", id="three significant digits"),
        pytest.param("17.62", "17.62", "0-100", "suspect", id="four native decimals, as points"),
        pytest.param("0.1762", "0.1763", "0-1 (CIDEr-D 0-10)", "unchecked", id="not equal"),
        pytest.param("17.4", "17.4", "0-100", "unchecked", id="three native decimals: chance"),
        pytest.param("0.0012", "0.0012", "0-1 (CIDEr-D 0-10)", "unchecked", id="two significant digits: chance"),
    ],
)
def test_two_metrics_do_not_come_out_the_same(one, two, scale, expected):
    assert levels(row({"meteor": one, "rouge_l": two}, scale=scale)) == {"meteor": expected, "rouge_l": expected}


def test_the_same_number_on_other_data_is_no_coincidence():
    here = [cell("accuracy", "51.30", benchmark=name, scale="0-100") for name in ("ESC-50", "VGGSound")]
    there = [cell("mAP", "51.30", benchmark="FSD", scale="0-100")]
    assert {one.consistency for one in check(here + there)} == {"unchecked"}


# -- more than one row -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("note", "expected"), [("52.50(-0.76)", "ok"), ("52.50(-0.75)", "ok"), ("52.50(+0.76)", "mismatch")])
def test_a_printed_difference_is_that_to_the_number_without_one(note, expected):
    results = [cell("score", "53.26", system="all"), cell("score", "52.50", system="less", note=note)]
    assert [one.consistency for one in check(results)] == ["unchecked", expected]
    assert "difference is" in texts(results)


def test_a_difference_to_nobody_knows_what_is_not_checked():
    results = [cell("score", "52.50", system="less", note="52.50(-0.76)"), *(cell("score", "9.0", system=s) for s in "ab")]
    assert {one.consistency for one in check(results)} == {"unchecked"}


@pytest.mark.parametrize(("last", "expected"), [("13.0", "suspect"), ("13.1", "unchecked")])
def test_two_systems_of_a_table_do_not_agree_in_everything(last, expected):
    results = row({"a": "11.0", "b": "12.0", "c": "13.0"}) + row({"a": "11.0", "b": "12.0", "c": last}, system="Theirs")
    assert {one.consistency for one in check(results)} == {expected}


def test_the_same_numbers_on_another_benchmark_are_no_twins():
    results = row({"a": "11.0", "b": "12.0", "c": "13.0"}) + row({"a": "11.0", "b": "12.0", "c": "13.0"}, benchmark="AudioCaps")
    assert {one.consistency for one in check(results)} == {"unchecked"}


def test_two_equal_numbers_are_no_twins():
    results = row({"a": "11.0", "b": "12.0"}) + row({"a": "11.0", "b": "12.0"}, system="Theirs")
    assert {one.consistency for one in check(results)} == {"unchecked"}


NUMBERS = {"a": "11.0", "b": "12.0", "c": "13.0", "d": "14.0"}


@pytest.mark.parametrize(
    ("numbers", "more", "expected"),
    [
        pytest.param(NUMBERS, {"training_data": "CL+AC"}, "ok", id="the same data, spelt otherwise"),
        pytest.param(NUMBERS, {"training_data": "see cited paper"}, "ok", id="data not told"),
        pytest.param(NUMBERS, {"training_data": "AC+CL+WC"}, "suspect", id="other data"),
        pytest.param(NUMBERS, {"training_data": "AC"}, "suspect", id="less data"),
        pytest.param(NUMBERS, {"system": "LAION large"}, "suspect", id="credited to another system of that table"),
        pytest.param(NUMBERS, {"benchmark": "AudioCaps"}, "unchecked", id="another benchmark"),
        pytest.param({**NUMBERS, "d": "14.1"}, {}, "unchecked", id="one number differs"),
        pytest.param({**NUMBERS, "d": "14.00"}, {}, "ok", id="another number of zeros"),
        pytest.param({k: v for k, v in NUMBERS.items() if k != "d"}, {}, "unchecked", id="three numbers are chance"),
    ],
)
def test_a_quoted_row_says_what_the_earlier_paper_says(numbers, more, expected):
    earlier = row(NUMBERS, training_data="AudioCaps+Clotho")
    neighbour = row({"a": "1.0", "b": "2.0", "c": "3.0", "d": "4.0"}, system="LAION")
    later = row(numbers, **{"training_data": "AC+Clotho", "source_paper": "AudioSetCaps", **more})
    # the order in which the papers are read does not matter
    found = check([*later, *earlier, *neighbour])
    assert {one.consistency for one in found[: len(later)]} == {expected}
    assert {one.consistency for one in found[len(later) :]} == {"unchecked"}


def test_what_only_the_quoting_paper_prints_is_suspect_with_its_row_and_not_ok_with_it():
    earlier = row(NUMBERS, training_data="AC")
    more = {**NUMBERS, "e": "15.0"}
    for data, expected in (("AC", "unchecked"), ("Clotho", "suspect")):
        later = row(more, training_data=data, source_paper="AudioSetCaps")
        assert check([*earlier, *later])[-1].consistency == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("AC+Clotho+LA", {"AudioCaps", "Clotho", "LAION-Audio"}),
        ("WavCaps+AudioCaps+Clotho, fine-tuned on AudioCaps", {"WavCaps", "AudioCaps", "Clotho"}),
        ("AudioSetCaps then AudioCaps", {"AudioSetCaps", "AudioCaps"}),
        ("Sound-VECapsF", {"Sound-VECaps F"}),
        ("see cited paper (Clotho validation set used in training)", set()),
        ("", set()),
    ],
)
def test_corpora_of_a_label(label, expected):
    assert corpora_of(label) == expected


# -- files and tables ------------------------------------------------------------------------------------------------------------

HEADER = ",".join(pub.COLUMNS)
LINE = "Clotho,audio captioning,test,SPICE,True,Ours,Clotho,,11.80,x100,0-100 (CIDEr 0-1000),A,Table 1,,a note"


def test_a_line_of_a_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n{LINE}\n")
    (one,) = read_published(path)
    assert (one.printed, one.value, one.native_value, one.native_decimals) == ("11.80", 11.8, 0.118, 4)
    assert (one.source_paper, one.table, one.note, one.higher_is_better) == ("A", "Table 1", "a note", True)
    assert (one.consistency, one.flags) == ("unchecked", ())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n", r"a\.csv, line 1: found 'a,b'; expected benchmark,task"),
        ("", r"a\.csv, line 1"),
        (f"{HEADER}\n{LINE},x\n", "line 2: found 16; expected 15 columns"),
        (f"{HEADER}\n{LINE.replace('11.80', 'nan')}\n", "field 'value' is 'nan'; expected a number as printed"),
        (f"{HEADER}\n{LINE.replace('11.80', '1,8')}\n", "expected 15 columns"),
        (f"{HEADER}\n{LINE.replace('True', 'yes')}\n", "field 'higher_is_better' is 'yes'; expected True or False"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, match):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=match):
        read_published(path)


def test_a_cell_that_is_given_twice_is_refused():
    with pytest.raises(RecordError, match=r"field 'SPICE' is '11.8 and 11.9'; Ours has it twice"):
        check([cell("SPICE", "11.8"), cell("METEOR", "17.0"), cell("SPICE", "11.9")])


def test_tables_have_a_row_for_each_system_on_each_benchmark():
    results = row({"a": "1.0", "b": "2.0"}) + row({"b": "3.0"}, benchmark="AudioCaps")
    (table,) = tables_of(results)
    assert [column.title for column in table.columns] == ["a", "b"]
    assert [(one.benchmark, [c and c.printed for c in one.cells]) for one in table.rows] == [
        ("Clotho", ["1.0", "2.0"]),
        ("AudioCaps", [None, "3.0"]),
    ]


def test_benchmarks_are_columns_where_each_has_one_number():
    places = [("ESC-50", "all"), ("AISHELL", "iOS"), ("AISHELL", "Mic")]
    results = [cell("accuracy (guessed)", "1.0", benchmark=b, split=s, system=n) for n in "xy" for b, s in places]
    (table,) = tables_of(results[:-1])
    assert [column.title for column in table.columns] == ["ESC-50, accuracy", "AISHELL iOS, accuracy", "AISHELL Mic, accuracy"]
    assert [(one.system, len(one.printed)) for one in table.rows] == [("x", 3), ("y", 2)]
    assert table.rows[1].cells[2] is None


@pytest.mark.parametrize(
    ("benchmark", "task", "split", "metric", "expected"),
    [
        ("AudioCaps", "audio captioning", "test", "CIDEr", ("audiocaps-test", "cider_d")),
        ("Clotho", "audio captioning", "test (Clotho: evaluation)", "BLEU_4", ("clotho-evaluation", "bleu_4")),
        ("Clotho", "audio-text retrieval", "test", "T2A/R@1", ("clotho-retrieval", None)),
        ("MECAT-Caption", "audio captioning", "test", "DATE/speech/pure", ("mecat-caption", "date")),
        ("MECAT-QA", "audio question answering", "test", "FENSE/score_qa", ("mecat-qa", "fense")),
        ("AudioCaps", "text-to-audio generation", "test", "FAD", (None, None)),
        ("AudioCaps", "audio captioning", "validation", "CIDEr", (None, None)),
        ("ESC-50", "zero-shot audio classification", "test", "accuracy", (None, None)),
    ],
)
def test_what_a_number_is_on_our_boards(benchmark, task, split, metric, expected):
    one = cell(metric, "1.0", benchmark=benchmark, task=task, split=split)
    assert (benchmark_id_of(one), metric_id_of(one)) == expected


# -- what papers print -----------------------------------------------------------------------------------------------------------


def test_every_number_is_there():
    expected = Counter()
    for path in sorted(pub.FOLDER.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            expected.update((line["source_paper"], line["table"]) for line in csv.DictReader(stream))
    tables = {(one.source_paper, one.table): sum(len(row.printed) for row in one.rows) for one in published_tables()}
    assert tables == expected
    assert len(tables) == 18
    assert len(reported_results()) == sum(expected.values()) == 1099


def test_rows_and_columns_of_the_tables():
    assert {one.name: (len(one.rows), len(one.columns)) for one in published_tables()} == {
        "ACAVCaps, Table 2": (6, 10),
        "ACAVCaps, Table 3": (6, 10),
        "Audio Commonality Captioning, Table 1": (6, 10),
        "Audio Commonality Captioning, Table 2": (4, 10),
        "Audio Commonality Captioning, Table 3": (4, 4),
        "AudioSetCaps, Table 2": (10, 4),
        "AudioSetCaps, Table 3": (7, 4),
        "FusionAudio-1.2M, Table 4": (6, 7),
        "FusionAudio-1.2M, Table 5": (7, 18),
        "FusionAudio-1.2M, Table 6": (5, 6),
        "MECAT README, README 7.1.1 DATE": (6, 10),
        "MECAT README, README 7.1.2 FENSE": (6, 10),
        "MECAT README, README 7.2.1 DATE": (4, 7),
        "MECAT README, README 7.2.2 FENSE": (4, 7),
        "WavCaps, Table V": (36, 6),
        "WavCaps, Table VI": (23, 7),
        "WavCaps, Table VII": (8, 3),
        "WavCaps, Table VIII": (8, 4),
    }


def found(paper: str, table: str, system: str, benchmark: str = "", metric: str = "") -> list[ReportedResult]:
    """Returns the numbers of one row, or one number of it."""
    cells = [
        one
        for one in reported_results()
        if one.source_paper.startswith(paper)
        and one.table == table
        and one.system.endswith(system)
        and one.benchmark.startswith(benchmark)
        and metric in {"", one.metric}
    ]
    assert cells, (paper, table, system, benchmark, metric)
    return cells


# what was computed from the printed numbers of each
MISMATCHES = {
    ("ACAVCaps", "Table 2", "Combined", "", "DATE/score_caption"): "= 36.32, 0.28 apart",
    ("Audio Com", "Table 1", "LoRA ADC", "AudioCaps", "spice"): "with spice 0.0448, the decimal point one place off",
    ("Audio Com", "Table 1", "LoRA AC", "Clotho", "bleu_4"): "without bleu_4 0.1762 the order holds",
    ("Audio Com", "Table 1", "LoRA ADC", "Clotho", "bleu_4"): "without bleu_4 0.0798 the order holds",
    ("Audio Com", "Table 1", "LoRA ACC", "Clotho", "bleu_4"): "without bleu_4 0.1999 the order holds",
    ("Fusion", "Table 5", "AC+CL (25k QA pairs)", "GAMA eval suite: AVG/Fine", ""): "= 60.675",
    ("Fusion", "Table 5", "FA(ours) (25k QA pairs)", "GAMA eval suite: AVG/High", ""): "= 57.229",
    ("Fusion", "Table 5", "FA(ours) (25k QA pairs)", "GAMA eval suite: AVG/Fine", ""): "= 63.15",
    ("MECAT", "README 7.1.1 DATE", "EnCLAP", "", "DATE/score_caption"): "= 31.908",
    ("MECAT", "README 7.1.1 DATE", "Pengi", "", "DATE/score_caption"): "= 29.58",
    ("MECAT", "README 7.1.1 DATE", "Audio Flamingo 2", "", "DATE/score_caption"): "= 35.262",
    ("MECAT", "README 7.1.1 DATE", "Kimi-Audio", "", "DATE/score_caption"): "= 32.794",
    ("MECAT", "README 7.1.1 DATE", "Qwen2.5-Omni-7B", "", "DATE/score_caption"): "= 42.618",
    ("MECAT", "README 7.1.2 FENSE", "Pengi", "", "FENSE/score_caption"): "= 29.652",
    ("MECAT", "README 7.1.2 FENSE", "Audio Flamingo 2", "", "FENSE/score_caption"): "= 39.742",
    ("MECAT", "README 7.1.2 FENSE", "Qwen2.5-Omni-3B", "", "FENSE/score_caption"): "= 44.354",
    ("WavCaps", "Table VI", "Netease*", "", "SPIDEr"): "= 30.45",
    ("WavCaps", "Table VI", "HTSAT-BART (zero-shot)", "AudioCaps", "SPIDEr"): "= 26.55",
}


@pytest.mark.parametrize(("where", "text"), MISMATCHES.items(), ids=[" ".join(where[:3]) for where in MISMATCHES])
def test_numbers_that_cannot_be_right(where, text):
    (one,) = found(*where)
    assert one.consistency == "mismatch"
    assert any(text in flag.text for flag in one.flags if flag.level == "mismatch")


def test_no_other_number_is_said_to_be_wrong():
    expected = {one.key for where in MISMATCHES for one in found(*where)}
    assert {one.key for one in reported_results() if one.consistency == "mismatch"} == expected


@pytest.mark.parametrize("system", ["LoRA AC", "LoRA ADC", "LoRA ACC"])
def test_rouge_l_that_is_printed_for_bleu_4(system):
    for metric in ("bleu_4", "rouge_l"):
        (one,) = found("Audio Com", "Table 1", system, "Clotho", metric)
        assert [flag.level for flag in one.flags if flag.rule == "equal cells"] == ["suspect"]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (("AudioSetCaps", "Table 2", "LAION HTSAT+RoBERTa-FT"), "LAION trained on AC+Clotho+LA+AudioSet; here"),
        (("AudioSetCaps", "Table 2", "LAION HTSAT+BERT"), "HTSAT-BERT, which is none of that table's rows of LAION"),
        (("Fusion", "Table 4", "pre-trained on AC+CL"), "WavCaps, Table V, for LAION trained on AC+Clotho+LA+AudioSet"),
        (("Fusion", "Table 4", "pre-trained on Sound-VECaps"), "AudioSetCaps, Table 2, for Sound-VECaps HTSAT+RoBERTa"),
        (("Fusion", "Table 4", "pre-trained on WavCaps"), "HTSAT-BERT-FT trained on AC+Clotho+WavCaps; here"),
        (("Fusion", "Table 4", "pre-trained on AudioSetCaps"), "trained on ASC+AC+Clotho; here"),
        (("Fusion", "Table 4", "pre-trained on Auto-ACD"), "trained on ACD+AC+Clotho; here"),
    ],
)
def test_rows_that_are_quoted_under_another_name(where, text):
    for one in found(*where):
        assert one.consistency == "suspect"
        assert any(text in flag.text for flag in one.flags if flag.rule == "quote")


def test_rows_that_are_quoted_as_they_were():
    quoted = {
        (one.system, one.table) for one in reported_results() for flag in one.flags if (flag.rule, flag.level) == ("quote", "ok")
    }
    assert quoted == {
        ("WavCaps HTSAT+BERT-PT", "Table 2"),
        ("WavCaps HTSAT+BERT-FT", "Table 2"),
        ("AL-MixGen ACT [28]", "Table 3"),
        ("WavCaps HTSAT+BART", "Table 3"),
    }


def test_how_much_of_it_is_consistent():
    # 18 mismatches, listed above. 145 suspect: 81 groups of nine MECAT scores, 15 terms of three means, 6 of three SPIDErs,
    # 3 ROUGE-L that BLEU-4 repeats, 40 numbers of seven rows quoted under another name. Unchecked is what has no formula:
    # classification, generation, ASR, METEOR, FENSE of captions, ROUGE-L.
    counts = Counter(one.consistency for one in reported_results())
    assert counts == {"ok": 733, "unchecked": 203, "suspect": 145, "mismatch": 18}


def test_notes_that_call_a_number_wrong_are_borne_out():
    for one in reported_results():
        if one.note.startswith("SUSPECT") or "DISAGREES" in one.note:
            assert one.consistency == "mismatch"
        if "agrees" in one.note:
            assert one.consistency == "ok"


def test_every_number_is_within_its_range_and_none_ranks():
    assert not any(flag.rule == "range" for one in reported_results() for flag in one.flags)
    assert not [
        name for kind in (ReportedResult, pub.PublishedRow, pub.PublishedTable) for name in fields(kind) if "rank" in name.name
    ]
    assert not any("rank" in key for key in reported_results()[0].describe())


def test_numbers_in_the_range_of_our_metrics():
    (cider,) = found("WavCaps", "Table VI", "AL-MixGEN", "AudioCaps", "CIDEr")
    assert (cider.value, cider.native_value, cider.native_decimals) == (76.9, 0.769, 3)
    (cider,) = found("Audio Com", "Table 2", "AC + ACC", "AudioCaps", "cider_d")
    assert (cider.value, cider.native_value, cider.native_decimals) == (2.9698, 2.9698, 4)
    (fad,) = found("WavCaps", "Table VIII", "DiffSound", "", "FAD")
    assert (fad.native_value, fad.describe()["benchmark_id"]) == (7.75, None)


def test_what_is_read_once():
    assert reported_results() is reported_results()
    assert published_tables() is published_tables()
