"""The Hub's `.eval_results`: what a board writes, what is read, and how a report stands beside what was scored here."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError, LimitError, RightsError, StateError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.boards.eval_results import (
    MAX_BYTES,
    eval_results_files,
    eval_results_yaml,
    parse_eval_results,
    read_bytes,
)
from unified_audiocaps.leaderboard.boards.exports import board_csv
from unified_audiocaps.leaderboard.boards.ranking import BoardRow
from unified_audiocaps.leaderboard.hub import LOCAL, Actor, Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import System

REFERENCES = {
    "rain": ["rain falls on a tin roof", "heavy rain hits metal"],
    "dog": ["a dog barks twice", "a small dog is barking"],
    "bell": ["a church bell rings slowly", "bells are tolling"],
    "car": ["a car drives by fast", "an engine passes"],
}
ANA, BEN = Actor("ana"), Actor("ben")


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """A hub with a benchmark of four clips, `own`."""
    settings = Settings(quota_per_day=2)
    hub = Hub(ResultStore(f"sqlite:///{tmp_path}/hub.db"), tmp_path / "data", settings)
    lines = [json.dumps({"id": id_, "references": texts}) for id_, texts in REFERENCES.items()]
    (tmp_path / "references.jsonl").write_text("\n".join(lines) + "\n")
    hub.create_benchmark(
        "own", references_file=tmp_path / "references.jsonl", metrics=("rouge_l", "cider_d"), primary_metric="cider_d"
    )
    return hub


@pytest.fixture
def score(hub: Hub, tmp_path: Path) -> Callable[..., str]:
    """Submits captions under a name and scores them; returns the submission's id."""

    def run(name: str, dog: str = "a dog barks", actor: Actor = LOCAL) -> str:
        captions = {id_: texts[0] for id_, texts in REFERENCES.items()} | {"dog": dog}
        lines = [json.dumps({"id": id_, "caption": text}) for id_, text in captions.items()]
        (tmp_path / "captions.jsonl").write_text("\n".join(lines) + "\n")
        submission, _, _ = hub.submit(tmp_path / "captions.jsonl", "own", name, actor=actor)
        while job := hub.store.claim("test", 600):
            assert hub.store.finish(job, hub.score(job))
        return submission.id

    return run


def entry(task: str = "own_v1_cider_d", value: Any = 0.5, **more: Any) -> dict[str, Any]:
    return {"dataset": {"id": "lab/data", "task_id": task}, "value": value, **more}


def write(path: Path, *entries: Any) -> Path:
    path.write_text(yaml.safe_dump(list(entries)))
    return path


def row_of(hub: Hub, name: str) -> BoardRow:
    return next(row for row in hub.board("own").rows if row.system.name == name)


def provenances(hub: Hub) -> dict[str, tuple[int | None, str]]:
    return {row.system.name: (row.rank, row.provenance) for row in hub.board("own").rows}


# -- out -----------------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_the_hub_reads(hub: Hub, score: Callable[..., str]) -> None:
    id_ = score("A")
    board = hub.board("own")
    text = eval_results_yaml(board, board.rows[0], dataset_id="lab/data", source_url="https://hub.example/own")
    entries = parse_eval_result_entries(yaml.safe_load(text))
    assert {one.task_id: one.value for one in entries} == {
        "own_v1_rouge_l": board.rows[0].values["rouge_l"],
        "own_v1_cider_d": board.rows[0].values["cider_d"],
    }
    first = entries[0]
    assert (first.dataset_id, first.source_url, first.source_name) == ("lab/data", "https://hub.example/own", "unified-audiocaps")
    digest = board.columns[0].digest
    assert f"digest:{board.benchmark.digest}" in str(first.notes) and f"signature:{digest}|submission:{id_}" in str(first.notes)
    assert str(first.date).endswith("Z")


def test_without_a_page_there_is_no_source(hub: Hub, score: Callable[..., str]) -> None:
    score("A")
    board = hub.board("own")
    assert all("source" not in one for one in yaml.safe_load(eval_results_yaml(board, board.rows[0])))


def test_reports_do_not_leave_as_scores_of_ours(hub: Hub, tmp_path: Path) -> None:
    hub.import_eval_results(write(tmp_path / "r.yaml", entry()), "R")
    board = hub.board("own")
    with pytest.raises(InputError, match="'R' are reported by its authors; only scores made here"):
        eval_results_yaml(board, board.rows[0])


# -- what is read --------------------------------------------------------------------------------------------------------------


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    given = entry(date="2026-01-15", notes="beam 4", source={"url": "https://x.org/log", "name": "Log", "user": "ana"})
    (one,) = parse_eval_results(write(tmp_path / "a.yaml", given).read_bytes())
    told = (one.dataset_id, one.task_id, one.value, one.date, one.notes, one.source_url, one.source_name, one.source_user)
    assert told == ("lab/data", "own_v1_cider_d", 0.5, "2026-01-15", "beam 4", "https://x.org/log", "Log", "ana")


def test_a_date_of_yaml_becomes_text() -> None:
    (one,) = parse_eval_results(b"- {dataset: {id: a/b, task_id: t}, value: 1, date: 2026-01-15}\n")
    assert one.date == "2026-01-15"


def test_a_folder_is_all_its_yaml_files(tmp_path: Path) -> None:
    folder = tmp_path / ".eval_results"
    folder.mkdir()
    with pytest.raises(InputError, match="holds no yaml file"):
        eval_results_files(folder)
    write(folder / "b.yml", entry("second"))
    write(folder / "a.yaml", entry("first"))
    (folder / "notes.txt").write_text("no yaml: [")
    assert [file.name for file in eval_results_files(folder)] == ["a.yaml", "b.yml"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds NoneType; expected a list"),
        (b"dataset: {id: a/b}\n", "holds dict; expected a list"),
        (b"- [\n", "is no yaml, line 2"),
        (b"- !!python/object/apply:os.system [id]\n", "is no yaml, line 1"),
        (b"\xff\xfe", "is not UTF-8: byte 0"),
        (b"- &a {dataset: {id: a/b, task_id: t}, value: 1}\n- *a\n", "^the file uses an alias"),
        (b"[" * MAX_BYTES, "^the file is nested deeper than 8 levels; expected"),
        (b"- " * (MAX_BYTES // 2), "nested deeper than 8 levels"),
        (b"- {dataset: {id: a, task_id: t}, value: 1, date: 2024-13-45}\n", "cannot be read as yaml: 'month must be"),
        (b"#" * (MAX_BYTES + 1), "has more than 65,536 bytes"),
        (b"- 1\n" * 501, "has 501 entries; at most 500"),
        (b"- 1\n", "entry 1: entry is 1; expected dataset and value"),
        (b"- {value: 1}\n", "dataset is None; expected id and task_id"),
        (b"- {dataset: {id: a/b}, value: 1}\n", "dataset.task_id is None; expected a name"),
        (b"- {dataset: {id: [], task_id: t}, value: 1}\n", r"dataset.id is \[\]; expected a name"),
        (b"- {dataset: {id: a/b, task_id: t}}\n", "value is None; expected a number"),
        (b"- {dataset: {id: a/b, task_id: t}, value: 1, source: x}\n", "source is 'x'; expected url"),
        (b"- {dataset: {id: a/b, task_id: t}, value: 1, source: {name: x}}\n", "source.url is None; expected an address"),
        (b"- {dataset: {id: a/b, task_id: t}, value: 1, source: {url: 'javascript:x'}}\n", "source.url is 'javascript:x'"),
        (b'- {dataset: {id: a/b, task_id: t}, value: 1, notes: "\\e[31m"}\n', "notes is .*expected up to 1,000 printable"),
    ],
)
def test_files_that_cannot_be_read_say_why(content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_eval_results(content)


def test_other_keys_do_not_count() -> None:
    (one,) = parse_eval_results(b"- {dataset: {id: a/b, task_id: t}, value: 1, data: {value: 2}, error: x, filename: y}\n")
    assert (one.dataset_id, one.value) == ("a/b", 1)


def test_absent_values_may_be_written_as_null() -> None:
    (one,) = parse_eval_results(b"- {dataset: {id: a/b, task_id: t, revision: null}, value: 1, date: null, notes: null}\n")
    assert (one.dataset_revision, one.date, one.notes) == (None, None, None)


KEYS = ["dataset", "id", "task_id", "value", "source", "url", "date", "notes", "error", "data"]


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.just("own_v1_cider_d"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ).map(lambda value: yaml.safe_dump([value]).encode())
)
def test_whatever_comes_is_read_or_told(content: bytes) -> None:
    with contextlib.suppress(InputError):
        assert all(isinstance(one.task_id, str) for one in parse_eval_results(content))


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_bytes(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([entry("gpqa_diamond")], "none of 1 entry is about a benchmark of this hub"),
        ([entry("own_v2_cider_d"), entry("other_v1_cider_d")], "none of 2 entries is about"),
        ([entry("own_v1_spice")], "entry 1: own has no metric 'spice'; expected rouge_l, cider_d"),
        ([entry(), entry()], "entry 2: cider_d of own was reported before"),
        ([entry(value=67.3)], "value is 67.3; expected a number from 0 to 10, not times 100"),
        ([entry("own_v1_rouge_l", 46.0)], "value is 46.0; expected a number from 0 to 1, not times 100"),
        ([entry(value=float("nan"))], "value is nan"),
        ([entry(value=10**400)], "value is 1000"),
        ([entry(value=float("inf"))], "value is inf"),
        ([entry(value=True)], "value is True"),
        ([entry(value="0.5")], "value is '0.5'"),
        ([entry(notes="digest:00000000|x:1")], "measured on a own of digest 00000000; here it is "),
    ],
)
def test_reports_that_cannot_be_are_refused_whole(hub: Hub, tmp_path: Path, entries: list[Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        hub.import_eval_results(write(tmp_path / "r.yaml", *entries), "R")
    assert hub.store.submissions() == []


# -- beside what is scored here ------------------------------------------------------------------------------------------------


def test_a_report_stands_on_the_board_without_a_rank(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    score("A")
    path = write(tmp_path / "r.yaml", entry(value=9.9), entry("own_v1_rouge_l", 0.25), entry("gpqa_diamond", 41.2))
    ((submission, is_new),) = hub.import_eval_results(path, System("R", hub_repo="lab/r"))
    assert (is_new, submission.state, submission.provenance, submission.attempt_no) == (True, "published", "self_reported", 0)
    assert provenances(hub) == {"A": (1, "verified"), "R": (None, "self_reported")}
    assert row_of(hub, "R").values == {"cider_d": 9.9, "rouge_l": 0.25}
    assert hub.board("own").compared == 1
    assert hub.store.files.read(submission.content_sha256, ".yaml") == path.read_bytes()
    assert [event["kind"] for event in hub.store.events(submission.id)] == ["published"]
    assert hub.store.events(submission.id)[0]["detail"]["provenance"] == "self_reported"
    assert hub.store.verify_events() == hub.store.n_events()
    assert submission.note["eval_results"][0]["value"] == 9.9
    with pytest.raises(InputError, match="has not been scored"):
        hub.item_scores(submission.id)


def test_its_signature_is_nobody_elses(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    scored = score("A")
    source = {"url": "https://x.org/a|b"}
    ((one, _),) = hub.import_eval_results(write(tmp_path / "r.yaml", entry(source=source)), "R")
    (result,) = hub.store.results([one.id])[one.id]
    assert result.signature.startswith("self-reported|") and result.signature.endswith("|source:https://x.org/a%7Cb")
    assert len(result.digest) == 8
    assert result.digest not in {row.digest for row in hub.store.results([scored])[scored]}
    assert b"11111111" not in board_csv(hub.board("own"))


def test_a_board_of_reports_alone_shows_them(hub: Hub, tmp_path: Path) -> None:
    hub.import_eval_results(write(tmp_path / "r.yaml", entry()), "R")
    assert provenances(hub) == {"R": (None, "self_reported")}
    assert b"cider_d" in board_csv(hub.board("own")).splitlines()[0]


def test_the_same_file_again_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", entry())
    ((first, _),) = hub.import_eval_results(path, "R")
    n_events, revision = hub.store.n_events(), hub.board("own").revision
    assert hub.import_eval_results(path, "R") == [(first, False)]
    assert (hub.store.n_events(), hub.board("own").revision) == (n_events, revision)


def test_a_newer_report_supersedes_an_older_one(hub: Hub, tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", entry(value=0.5))
    ((old, _),) = hub.import_eval_results(path, "R")
    ((new, _),) = hub.import_eval_results(write(tmp_path / "s.yaml", entry(value=0.6)), "R")
    assert (hub.store.get(old.id).state, hub.store.get(old.id).superseded_by) == ("superseded", new.id)
    assert row_of(hub, "R").values == {"cider_d": 0.6}
    assert hub.import_eval_results(path, "R") == [(hub.store.get(old.id), False)]  # both files again and again: nothing moves
    hub.withdraw(new.id, LOCAL)
    ((back, is_new),) = hub.import_eval_results(path, "R")
    assert (back.id, back.state, is_new) == (old.id, "published", False)


def test_what_is_scored_here_supersedes_a_report(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    ((report, _),) = hub.import_eval_results(write(tmp_path / "r.yaml", entry(value=9.0)), "A")
    scored = score("A")
    assert provenances(hub) == {"A": (1, "verified")}
    assert (hub.store.get(report.id).state, hub.store.get(report.id).superseded_by) == ("superseded", scored)
    assert row_of(hub, "A").attempts == 1  # a report is no attempt
    ((later, is_new),) = hub.import_eval_results(write(tmp_path / "s.yaml", entry(value=9.5)), "A")
    assert (later.state, later.superseded_by, is_new) == ("superseded", scored, True)
    assert provenances(hub) == {"A": (1, "verified")}


def test_reports_are_hidden_withdrawn_and_brought_back(hub: Hub, tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", entry())
    ((one, _),) = hub.import_eval_results(path, "R", actor=ANA)
    with pytest.raises(RightsError, match="only its owner"):
        hub.withdraw(one.id, BEN)
    assert hub.hide(one.id, "no source", LOCAL).state == "hidden"
    assert hub.board("own").rows == ()
    ((again, is_new),) = hub.import_eval_results(path, "R", actor=ANA)
    assert (again.state, is_new) == ("hidden", False)
    assert hub.requeue(one.id, LOCAL).state == "published"
    assert hub.store.claim("test", 20) is None  # there is nothing to score
    assert hub.withdraw(one.id, ANA).state == "withdrawn"
    ((back, _),) = hub.import_eval_results(path, "R", actor=ANA)
    assert back.state == "published"
    assert provenances(hub) == {"R": (None, "self_reported")}


def test_scoring_a_board_again_leaves_reports_alone(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    score("A")
    hub.import_eval_results(write(tmp_path / "r.yaml", entry()), "R")
    benchmark = hub.benchmark("own")
    object.__setattr__(benchmark, "recipe", "f" * 16)
    assert hub.store.rescore(benchmark, 2) == 1
    job = hub.store.claim("test", 20)
    assert job is not None and hub.store.get(job.submission_id).system == "A"


def test_systems_of_others_cannot_be_reported_about(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    score("A", actor=ANA)
    with pytest.raises(RightsError, match="'A' belongs to somebody else"):
        hub.import_eval_results(write(tmp_path / "r.yaml", entry()), "A", actor=BEN)


def test_reports_count_against_the_quota(hub: Hub, tmp_path: Path) -> None:
    for value in (0.1, 0.2):
        hub.import_eval_results(write(tmp_path / "r.yaml", entry(value=value)), "R", actor=ANA)
    with pytest.raises(LimitError, match="2 are allowed"):
        hub.import_eval_results(write(tmp_path / "r.yaml", entry(value=0.3)), "R", actor=ANA)


def test_bytes_that_were_sent_as_predictions_are_no_report(hub: Hub, tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", entry())
    sent, _, _ = hub.submit(path, "own", "R", suffix=".jsonl")
    assert sent.state == "rejected"
    with pytest.raises(StateError, match="sent as predictions"):
        hub.import_eval_results(path, "R")


def test_a_report_that_is_sent_as_predictions_stays_a_report(hub: Hub, tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", entry())
    ((one, _),) = hub.import_eval_results(path, "R")
    hub.withdraw(one.id, LOCAL)
    sent, is_new, _ = hub.submit(path, "own", "R", suffix=".jsonl")
    assert (sent.id, sent.state, is_new) == (one.id, "withdrawn", False)


def test_a_database_with_reports_is_restored_whole(hub: Hub, score: Callable[..., str], tmp_path: Path) -> None:
    score("A")
    hub.import_eval_results(write(tmp_path / "r.yaml", entry()), "R")
    copy = Hub(ResultStore(f"sqlite:///{tmp_path}/copy.db", tmp_path / "hub-files"), tmp_path / "data")
    copy.store.load(hub.store.dump())
    assert copy.board("own") == hub.board("own")


def test_an_older_attempt_that_is_scored_later_is_superseded_at_once(hub: Hub, tmp_path: Path) -> None:
    """Two attempts of one system are scored side by side, and the newer one is done first."""
    for number, dog in enumerate(("a dog", "a dog barks")):
        captions = {id_: texts[0] for id_, texts in REFERENCES.items()} | {"dog": dog}
        lines = [json.dumps({"id": id_, "caption": text}) for id_, text in captions.items()]
        (tmp_path / "captions.jsonl").write_text("\n".join(lines) + "\n")
        assert hub.submit(tmp_path / "captions.jsonl", "own", "A")[0].attempt_no == number + 1
    jobs = [hub.store.claim("test", 600), hub.store.claim("test", 600)]
    for job in sorted(filter(None, jobs), key=lambda job: -hub.store.get(job.submission_id).attempt_no):
        assert hub.store.finish(job, hub.score(job))
    assert {(one.attempt_no, one.state) for one in hub.store.submissions()} == {(1, "superseded"), (2, "published")}
