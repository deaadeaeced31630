"""What leaves a hub: real boards of scored submissions, and boards made up to be awkward."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.errors import UnknownNameError
from unified_audiocaps.leaderboard.benchmark import Benchmark
from unified_audiocaps.leaderboard.boards.csv_text import csv_cell
from unified_audiocaps.leaderboard.boards.exports import (
    badge_svg,
    board_bibtex,
    board_csv,
    board_json,
    board_latex,
    board_parquet,
    latex_text,
    ranks_shown,
    reported_csv,
)
from unified_audiocaps.leaderboard.boards.published import reported_results
from unified_audiocaps.leaderboard.boards.ranking import Board, BoardColumn, BoardRow
from unified_audiocaps.leaderboard.submission import System

from ....small_hub import scored_examples

EXAMPLES = ("attentive-listener", "one-caption-for-all", "tag-template")
NASTY = [
    '=HYPERLINK("http://x","y")',
    "<script>alert('1')</script> & \"co\"",
    "50% of {A_b}^2 #1 $x$ ~ \\input{x}",
    "日本語, ünïcode; 🎧 “quotes”",
    'comma, "quote"',
    "@SUM(A1)",
]


def bench(**changes: Any) -> Benchmark:
    values: dict[str, Any] = {
        "id": "own",
        "title": "Own test",
        "description": "",
        "config": "",
        "split": "",
        "primary_metric": "cider_d",
        "metrics": ("cider_d", "rouge_l"),
        "n_items": 12,
        "items_sha256": "ab" * 32,
    }
    return Benchmark(**{**values, **changes})


COLUMNS = (
    BoardColumn("cider_d", "cider_d", "11111111", "metric:cider_d|version:1", "CIDEr-D"),
    BoardColumn("rouge_l", "rouge_l", "22222222", "metric:rouge_l|version:1", "ROUGE-L"),
)


def row(name: str = "A", rank: int | None = 1, low: int | None = 1, high: int | None = 3, **changes: Any) -> BoardRow:
    values: dict[str, Any] = {
        "system": System(name),
        "account": "ana",
        "submission_id": f"id-{name[:8]}",
        "submitted_at": 1_790_000_000.0,
        "attempts": 2,
        "provenance": "verified",
        "values": {"cider_d": 0.673214, "rouge_l": 0.4},
        "intervals": {"cider_d": (0.55, 0.8)},
    }
    return BoardRow(rank, low, high, None if rank is None else 1, **{**values, **changes})


def report(name: str = "R", **values: float) -> BoardRow:
    found = values or {"cider_d": 0.9}
    return row(name, None, None, None, provenance="self_reported", attempts=0, values=found, intervals={})


def board(*rows: BoardRow, **changes: Any) -> Board:
    values: dict[str, Any] = {"benchmark": bench(), "columns": COLUMNS, "ranked_by": "cider_d", "revision": 7}
    return Board(**{**values, **changes}, rows=rows)


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The board of the three examples, scored."""
    with scored_examples(tmp_path_factory.mktemp("scored"), dict.fromkeys(EXAMPLES, ("none",))) as hub:
        yield hub.board("sample")
        hub.store.close()


# -- csv -----------------------------------------------------------------------------------------------------------------------


FORMULAS = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "\nx", "\uff1d1", "-1+2", "--1", "+", "-inf", "=1", "-1 "]


@pytest.mark.parametrize("text", FORMULAS)
def test_cells_that_are_formulas_get_an_apostrophe(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "x", "-1", "+0.5", "-1.5e-13", "-.5", "1=1", "a@b", "'=1", "0.5"])
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert csv_cell(text) == text


def test_csv_of_a_real_board_holds_its_numbers_exactly(scored: Board) -> None:
    rows = read_csv(board_csv(scored))
    assert [(one["rank"], one["system"]) for one in rows] == [(str(one.rank), one.system.name) for one in scored.rows]
    for told, one in zip(rows, scored.rows, strict=True):
        for column in scored.columns:
            assert float(told[column.name]) == one.values[column.name]
            assert told[f"{column.name}_signature"] == column.digest
        assert (float(told["date_low"]), float(told["date_high"])) == one.intervals["date"]
        assert (told["provenance"], told["attempts"], told["training_data"]) == ("verified", "1", "none")
        assert datetime.fromisoformat(told["submitted_at"]).timestamp() == pytest.approx(one.submitted_at, abs=1)


@pytest.mark.parametrize("name", NASTY)
def test_csv_names_survive_and_start_no_formula(name: str) -> None:
    content = board_csv(board(row(name, system=System(name, organisation=name, description=f"-{name}\nsecond line"))))
    (told,) = read_csv(content)
    assert told["system"] == told["organisation"] == csv_cell(name)
    assert told["description"] == f"'-{name}\nsecond line"
    assert not any(cell.startswith(tuple("=+-@")) for cell in told.values())


def test_csv_tells_what_is_absent_with_empty_cells() -> None:
    (told,) = read_csv(board_csv(board(row(rank=None, low=None, high=None, values={}, intervals={}))))
    empty = ("rank", "rank_low", "rank_high", "tie_group", "cider_d", "cider_d_low", "cider_d_signature", "parameters")
    assert {told[name] for name in empty} == {""}


def test_reports_have_values_and_no_signature_of_ours() -> None:
    told = read_csv(board_csv(board(row(), report(cider_d=0.9, spice=0.2))))
    assert (told[1]["rank"], told[1]["cider_d"], told[1]["cider_d_signature"]) == ("", "0.9", "")
    assert (told[0]["spice"], told[1]["spice"]) == ("", "0.2")


def test_an_empty_board_is_a_header() -> None:
    empty = board(columns=())
    assert board_csv(empty).decode().startswith("rank,rank_low,rank_high,tie_group,system,")
    assert board_csv(empty).count(b"\n") == 1
    assert pq.read_table(io.BytesIO(board_parquet(empty))).num_rows == 0
    assert board_json(empty)["rows"] == []
    assert r"\midrule" in board_latex(empty)


def test_paper_numbers_leave_with_their_flags() -> None:
    results = reported_results()
    told = read_csv(reported_csv(results))
    assert len(told) == len(results)
    assert [one["printed"] for one in told] == [csv_cell(one.printed) for one in results]
    assert {one["consistency"] for one in told} >= {"ok", "mismatch"}
    assert any(one["flags"].startswith("mismatch (") for one in told)
    assert reported_csv([]) == b"\n"


# -- parquet and json ----------------------------------------------------------------------------------------------------------


def test_parquet_has_types_and_says_what_was_measured(scored: Board) -> None:
    table = pq.read_table(io.BytesIO(board_parquet(scored)))
    assert table.column_names == board_csv(scored).decode().splitlines()[0].split(",")
    kinds = {name: table.schema.field(name).type for name in ("rank", "date", "submitted_at", "training_data", "open_weights")}
    assert kinds == {
        "rank": pa.int32(),
        "date": pa.float64(),
        "submitted_at": pa.timestamp("us", tz="UTC"),
        "training_data": pa.list_(pa.string()),
        "open_weights": pa.bool_(),
    }
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (about["benchmark"], about["version"], about["digest"]) == ("sample", "1", scored.benchmark.digest)
    assert json.loads(about["signatures"])["date"] == next(c.signature for c in scored.columns if c.name == "date")
    assert table["date"].to_pylist() == [one.values["date"] for one in scored.rows]


def test_json_is_plain_and_complete(scored: Board) -> None:
    told = board_json(scored)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["benchmark"] == json.loads(json.dumps(scored.benchmark.describe()))
    assert (told["ranked_by"], told["scope"], told["compared"], told["revision"]) == ("date", "", 3, scored.revision)
    assert told["minimal_detectable_difference"] == scored.minimal_detectable_difference
    first = told["rows"][0]
    assert (first["rank"], first["low"], first["high"], first["tie_group"]) == (1, 1, 1, 1)
    assert first["system"]["training_data"] == ["none"]
    assert first["intervals"]["date"] == list(scored.rows[0].intervals["date"])
    assert [column["digest"] for column in told["columns"]] == [column.digest for column in scored.columns]


def test_json_knows_no_infinity() -> None:
    told = board_json(board(row(values={"cider_d": float("inf")}, intervals={"cider_d": (0.0, float("nan"))})))
    assert json.loads(json.dumps(told, allow_nan=False))["rows"][0]["values"] == {"cider_d": None}
    assert told["rows"][0]["intervals"] == {"cider_d": [0.0, None]}


def test_what_private_boards_tell_is_rounded() -> None:
    private = board(row(), benchmark=bench(references="private"), minimal_detectable_difference=0.123456)
    assert board_json(private)["minimal_detectable_difference"] == 0.123


# -- LaTeX and BibTeX ----------------------------------------------------------------------------------------------------------


def cells_of(latex: str) -> list[list[str]]:
    body = latex.split("\\midrule\n", 1)[1].split("\\bottomrule", maxsplit=1)[0]
    return [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r"\\")]


def test_latex_of_a_real_board(scored: Board) -> None:
    latex = board_latex(scored)
    assert cells_of(latex)[0][:2] == ["1", "attentive-listener"]
    assert cells_of(latex)[0][-1] == rf"\textbf{{{100 * scored.rows[0].values['date']:.2f}}}"
    assert "Sample, version 1: 12 items" in latex
    for column in scored.columns:
        assert rf"\texttt{{{column.digest}}}" in latex
        assert f"% {column.title} [" in latex or column.name != column.metric


def test_latex_columns_are_chosen_by_name(scored: Board) -> None:
    assert r"Rank & System & DATE similarity & BLEU-4 \\" in board_latex(scored, ["date_similarity", "bleu"])
    with pytest.raises(UnknownNameError, match=r"no column of this board is called 'blue'\. Did you mean bleu"):
        board_latex(scored, ["blue"])


def test_latex_escapes_what_it_would_read() -> None:
    told = latex_text('\\{}$&#_%^~<>|`" a--b\nc')
    bare = re.sub(r"\\(text[a-z]+\{\}|[$&#_%])|-\{\}", "", told)
    assert not set(bare) & set('\\{}$&#_%^~<>|`"')
    assert "-{}-" in told and "\n" not in told


@pytest.mark.parametrize("name", NASTY)
def test_latex_names_break_no_row(name: str) -> None:
    latex = board_latex(board(row(name), benchmark=bench(title=name)))
    assert [len(cells) for cells in cells_of(latex.replace(r"\&", "and"))] == [4]
    assert latex.count("{") == latex.count("}")


def test_best_is_bold_with_its_ties_and_reports_never_are() -> None:
    rows = (row("A"), row("B", 2, 1, 3, values={"cider_d": 0.673216, "rouge_l": 0.1}), report(cider_d=0.99))
    latex = board_latex(board(*rows))
    assert cells_of(latex) == [
        ["1 (1--3)", "A", r"\textbf{67.32}", r"\textbf{40.00}"],
        ["2 (1--3)", "B", r"\textbf{67.32}", "10.00"],
        ["--", r"R$^\dagger$", "99.00", "--"],
    ]
    assert latex.count(r"\midrule") == 2
    assert "Reported by its authors, not ranked" in latex
    assert "Reported by" not in board_latex(board(row()))


def test_less_is_better_where_it_is() -> None:
    columns = (BoardColumn("wer", "wer", "33333333", "metric:wer", "WER", higher_is_better=False),)
    rows = (row("A", values={"wer": 0.5}), row("B", 2, values={"wer": 0.25}))
    latex = board_latex(board(*rows, columns=columns))
    assert [cells[-1] for cells in cells_of(latex)] == ["50.00", r"\textbf{25.00}"]
    assert r"WER $\downarrow$" in latex


def test_numbers_of_things_are_not_multiplied() -> None:
    columns = (BoardColumn("vocab", "vocab", "33333333", "metric:vocab", "Vocabulary"),)
    assert cells_of(board_latex(board(row(values={"vocab": 1234.0}), columns=columns)))[0][-1] == r"\textbf{1234}"


@pytest.mark.parametrize(("low", "high", "told"), [(None, None, "2"), (2, 2, "2"), (1, 3, "2 (1-3)"), (2, 5, "2 (2-5)")], ids=str)
def test_ranks_are_told_with_their_range(low: int | None, high: int | None, told: str) -> None:
    assert ranks_shown(row(rank=2, low=low, high=high)) == told


def test_unranked_rows_have_no_rank_to_tell() -> None:
    assert ranks_shown(report()) == ""


def test_bibtex_cites_the_data_and_the_state_of_the_board(scored: Board) -> None:
    told = board_bibtex(scored, on=date(2026, 11, 20), url="https://hub.example/board")
    assert [line for line in told.splitlines() if line.startswith("@")] == [
        "@misc{contributors2026sample,",
        f"@misc{{leaderboard-sample-v1-r{scored.revision},",
    ]
    assert f"Revision {scored.revision} of 2026-11-20; benchmark sample, version 1, digest {scored.benchmark.digest}" in told
    assert "url = {https://hub.example/board}" in told


@pytest.mark.parametrize("name", NASTY)
def test_bibtex_of_a_benchmark_of_ones_own(name: str) -> None:
    told = board_bibtex(board(benchmark=bench(title=name, citation=f"By {name}")), on=date(2026, 1, 2), url="https://x/{a}\n")
    assert told.count("{") == told.count("}")
    assert told.count("@misc{") == 2
    assert "url = {https://x/a}" in told
    assert board_bibtex(board(), on=date(2026, 1, 2)).count("@misc{") == 1


# -- badges --------------------------------------------------------------------------------------------------------------------


def texts_of(svg: str) -> list[str]:
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext(f"{space}title")
    return [one.text or "" for one in root.iter(f"{space}text")]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (row(), "CIDEr-D 67.32, rank 1-3"),
        (row(low=None, high=None), "CIDEr-D 67.32, rank 1"),
        (row(rank=2, low=2, high=2), "CIDEr-D 67.32, rank 2"),
        (report(cider_d=0.5), "CIDEr-D 50.00, self-reported"),
        (report(rouge_l=0.5), "CIDEr-D not scored, self-reported"),
        (row(rank=None, low=None, high=None, values={}), "CIDEr-D not scored, not ranked"),
    ],
)
def test_badges_tell_score_and_rank(one: BoardRow, told: str) -> None:
    assert texts_of(badge_svg(board(one), one)) == ["Own test", told]


@pytest.mark.parametrize("title", [*NASTY, "a\x00b\x1b]c\ud800", "x" * 500])
def test_badges_are_well_formed_whatever_the_title(title: str) -> None:
    svg = badge_svg(board(row(), benchmark=bench(title=title), scope="speech"), row())
    label, _ = texts_of(svg)
    assert len(label) <= 100
    assert "<script" not in svg
    svg.encode()


def test_badges_grow_with_their_text() -> None:
    widths = [
        int(ElementTree.fromstring(badge_svg(board(row(), benchmark=bench(title=title)), row())).get("width", "0"))
        for title in ("iiii", "aaaa", "mmmm", "漢字漢字", "漢字漢字漢")
    ]
    assert widths == sorted(set(widths))


def test_times_are_utc(scored: Board) -> None:
    moment = pq.read_table(io.BytesIO(board_parquet(scored)))["submitted_at"][0].as_py()
    assert moment == datetime.fromtimestamp(scored.rows[0].submitted_at, UTC)
