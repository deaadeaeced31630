"""`uac board`, `export`, `overlap-report` and `import-results`, on the three examples, scored."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.leaderboard.hub import Hub

from ...small_hub import scored_examples
from .command_line import uac

ROOT = Path(__file__).resolve().parents[3]
DECLARED = {"attentive-listener": ("sample/test",), "one-caption-for-all": ("none",), "tag-template": ("sample/train",)}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a hub on which the three examples are scored."""
    with scored_examples(folder := tmp_path_factory.mktemp("scored"), DECLARED) as hub:
        hub.store.close()  # a copy of the file is whole then
        yield folder


@pytest.fixture
def at(scored: Path, tmp_path: Path) -> list[str]:
    """The options that name a copy of the hub, which a test may change."""
    copy = tmp_path / "copy.db"
    copy.write_bytes((scored / "hub.db").read_bytes())
    return ["--db", f"sqlite:///{copy}", "--data", str(scored / "data"), "--files", str(scored / "hub-files")]


def lines_of(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split()


# -- the board -------------------------------------------------------------------------------------------------------------------


def test_the_board_is_printed_with_ranks_intervals_attempts_and_levels(at: list[str]) -> None:
    shown = uac("board", "sample", *at).stdout
    assert shown.startswith("Sample, version 1, 12 items, digest ")
    first, second, third = ([*line.split()] for line in shown.splitlines()[2:5])
    assert first[:5] == ["1", "attentive-listener", "0.7388", "±", "0.0283"]
    assert first[-4:] == ["1", "verified", "test_items", "(12)"]
    assert second[:2] == ["2", "tag-template"] and second[-2:] == ["verified", "train_split"]
    assert third[-2:] == ["verified", "none"]
    assert "A typical pair must differ by 0.119 to be told apart." in shown
    assert "signatures: BLEU-4 " in shown


def test_another_metric_ranks_and_stands_first(at: list[str]) -> None:
    shown = uac("board", "sample", "--ranked-by", "cider_d", *at).stdout.splitlines()
    assert shown[1].split()[:3] == ["RANK", "SYSTEM", "CIDEr-D"]
    assert shown[2].split()[2:4] == ["0.6732", "±"]


def test_the_board_as_json_has_the_overlap(at: list[str]) -> None:
    told = json.loads(uac("board", "sample", "--json", *at).stdout)
    assert [row["overlap"]["level"] for row in told["rows"]] == ["test_items", "train_split", "none"]
    assert told["ranked_by"] == "date"


def test_an_empty_board_says_how_to_fill_it(tmp_path: Path, scored: Path) -> None:
    shown = uac("board", "sample", "--db", f"sqlite:///{tmp_path}/new.db", "--data", scored / "data").stdout
    assert "There is no system yet: uac submit FILE --benchmark sample --system NAME" in shown


# -- exports ---------------------------------------------------------------------------------------------------------------------


def test_csv_is_what_is_printed_where_nothing_else_is_asked_for(at: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(uac("export", "sample", *at).stdout)))
    assert [(row["rank"], row["system"]) for row in rows] == [
        ("1", "attentive-listener"),
        ("2", "tag-template"),
        ("3", "one-caption-for-all"),
    ]


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("t.csv", b"rank,rank_low,"),
        ("t.parquet", b"PAR1"),
        ("t.json", b'{\n  "benchmark": {'),
        ("t.tex", b"% BLEU-4 ["),
        ("t.bib", b"@misc{contributors2026sample,"),
    ],
)
def test_the_file_tells_the_format(at: list[str], tmp_path: Path, name: str, begin: bytes) -> None:
    assert uac("export", "sample", "--out", tmp_path / name, *at).stdout == f"{tmp_path / name}: 3 systems\n"
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_what_is_of_one_system(at: list[str], tmp_path: Path) -> None:
    of = ("--system", "tag-template", "--url", "https://hub.example/sample")
    uac("export", "sample", "--out", tmp_path / "b.svg", *of, *at)
    assert "<title>Sample: DATE 68.79, rank 2</title>" in (tmp_path / "b.svg").read_text()
    printed = uac("export", "sample", "--format", "eval-results", *of, *at).stdout
    assert {one["source"]["url"] for one in yaml.safe_load(printed)} == {"https://hub.example/sample"}


def test_latex_columns_and_ranking_are_chosen(at: list[str]) -> None:
    options = ("--format", "latex", "--columns", "cider_d,date", "--ranked-by", "cider_d")
    shown = uac("export", "sample", *options, *at).stdout
    assert r"Rank & System & CIDEr-D & DATE \\" in shown
    assert "Ranked by CIDEr-D;" in shown


def test_parquet_is_whole(at: list[str], tmp_path: Path) -> None:
    uac("export", "sample", "--format", "parquet", "--out", tmp_path / "any", *at)
    assert pq.read_table(tmp_path / "any")["rank"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        (["--format", "parquet"], InputError, "parquet is no text to print; name a file"),
        (["--format", "badge"], InputError, "badge is about one system; name it with --system"),
        (["--format", "csv", "--system", "A"], InputError, "csv holds the whole board"),
        (["--columns", "date"], InputError, "csv holds all columns; --columns is for latex"),
        (["--format", "cvs"], UnknownNameError, "no format is called 'cvs'. Did you mean csv"),
        (["--out", "t.xlsx"], InputError, "t.xlsx ends in none of"),
        (["--out", "nowhere/t.csv"], InputError, "the folder nowhere does not exist"),
        (["--format", "badge", "--system", "tag"], UnknownNameError, "no system on this board is called 'tag'"),
        (["--ranked-by", "spice"], UnknownNameError, "no metric of this benchmark is called 'spice'"),
        (["--scope", "speech"], UnknownNameError, "no group of this board is called 'speech'"),
    ],
)
def test_what_cannot_be_exported_is_told(at: list[str], options: list[str], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        uac("export", "sample", *options, *at)


# -- overlap ---------------------------------------------------------------------------------------------------------------------


def test_levels_and_clean_means(at: list[str]) -> None:
    shown = uac("overlap-report", "sample", *at).stdout
    assert lines_of(shown, "attentive-listener") == ["attentive-listener", "sample/test", "test_items", "(12)"]
    assert "attentive-listener: sample/test holds 12 clip" in shown
    assert "sample/test/alarm_fast, " in shown and " and 7 more" in shown
    assert "0 of 12 clips are clean" in shown
    header = next(line for line in shown.splitlines() if "DATE CLEAN" in line)
    assert "BLEU" not in header and header.endswith("CLIPS TRAINED ON")


def test_systems_are_compared_without_the_others(at: list[str]) -> None:
    some = ("--system", "tag-template", "--system", "one-caption-for-all")
    shown = uac("overlap-report", "sample", *some, *at).stdout
    assert "12 of 12 clips are clean" in shown
    assert "attentive-listener" not in shown
    told = json.loads(uac("overlap-report", "sample", *some, "--json", *at).stdout)
    assert {one["metric"]: one["n_clean"] for one in told["clean_scores"]} == {
        "rouge_l": 12,
        "cider_d": 12,
        "sbert_sim": 12,
        "date": 12,
    }
    assert [one["overlap"]["level"] for one in told["systems"]] == ["train_split", "none"]


def test_private_references_give_numbers_only(at: list[str], scored: Path, tmp_path: Path) -> None:
    private = ["--db", f"sqlite:///{tmp_path}/private.db", "--data", str(scored / "data")]
    uac(
        "benchmark",
        "create",
        "secret",
        "--from",
        "sample/test",
        "--metrics",
        "rouge_l",
        "--primary",
        "rouge_l",
        "--private",
        *private,
    )
    file = ROOT / "space" / "examples" / "tag-template.jsonl"
    uac("submit", file, "--benchmark", "secret", "--system", "A", "--training-data", "sample/test", *private)
    hub = Hub.open(private[1], scored / "data")
    job = hub.store.claim("test", 600)
    assert job is not None and hub.store.finish(job, hub.score(job))
    done = uac("overlap-report", "secret", *private)
    assert lines_of(done.stdout, "A ") == ["A", "sample/test", "test_items", "(12)"]
    assert "alarm_fast" not in done.output and "CLEAN" not in done.output
    assert "The references of secret are private" in done.stderr
    told = json.loads(uac("overlap-report", "secret", "--json", *private).stdout)
    assert told["clean_scores"] == [] and "alarm_fast" not in json.dumps(told)


# -- reports in ------------------------------------------------------------------------------------------------------------------


def test_a_report_goes_out_of_one_hub_and_into_another(at: list[str], tmp_path: Path, scored: Path) -> None:
    path = tmp_path / "sample.yaml"
    uac("export", "sample", "--system", "attentive-listener", "--out", path, *at)
    assert uac("import-results", path, "--system", "R", *at).stdout.startswith("reported: sample version 1, published: ")
    assert uac("import-results", path, "--system", "R", *at).stdout.startswith("already there: sample version 1, published: ")
    shown = uac("board", "sample", *at).stdout
    assert lines_of(shown, "-     R ")[-3:] == ["0", "self_reported", "unknown"]
    assert lines_of(shown, "-     R ")[2] == "0.7388"
    with pytest.raises(InputError, match="'R' are reported by its authors"):
        uac("export", "sample", "--format", "eval-results", "--system", "R", *at)


@pytest.mark.parametrize("command", ["board", "export", "overlap-report", "import-results"])
def test_help_teaches_by_example(command: str) -> None:
    assert f"Example: uac {command} " in " ".join(uac(command, "--help").stdout.split())
