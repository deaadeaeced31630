"""What one can do with a hub, on both databases; files are validated and scored for real."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, LimitError, RightsError, StateError, UnknownNameError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.leaderboard import hub as module
from unified_audiocaps.leaderboard.benchmark import benchmark_by_id
from unified_audiocaps.leaderboard.hub import LOCAL, Actor, Hub
from unified_audiocaps.leaderboard.items import to_parquet
from unified_audiocaps.leaderboard.submission import System

from .conftest import REFERENCES, claim, kinds

GOOD = {"rain.wav": "rain falls on a roof", "dog.wav": "a dog barks", "bell.wav": "bells are tolling"}
ADA, EVE = Actor("ada"), Actor("eve")


def write(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": name, "caption": text}) + "\n" for name, text in rows.items()), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes predictions; texts by name change the good ones."""
    return lambda **changes: write(tmp_path / "p.jsonl", {**GOOD, **{f"{name}.wav": text for name, text in changes.items()}})


def score_all(hub: Hub) -> None:
    while (job := hub.store.claim("w", 20.0)) is not None:
        assert hub.store.finish(job, hub.score(job))


def test_a_good_file_is_queued_and_sent_again_is_the_same(hub, file):
    submission, is_new, report = hub.submit(file(), "tiny", "  A  ")
    assert (submission.state, submission.system, submission.n_items, submission.progress_total, is_new) == (
        "queued",
        "A",
        3,
        2,
        True,
    )
    assert report is not None and report.is_valid
    assert hub.submit(file(), "tiny", "A") == (submission, False, None)


def test_a_bad_file_is_rejected_with_all_its_problems_on_file(hub, file):
    submission, is_new, report = hub.submit(file(dog="", cat="a cat"), "tiny", "A")
    assert (submission.state, submission.error_code, is_new) == ("rejected", "E_EMPTY", True)
    assert submission.error.startswith("2 problems; the first: the caption is empty")
    stored = json.loads(hub.store.report(submission.id))
    assert [problem["code"] for problem in stored["problems"]] == ["E_EMPTY", "E_UNKNOWN_ID"]
    assert stored == json.loads(json.dumps(report.to_json()))


def test_what_is_checked_is_what_is_stored(hub, file, monkeypatch):
    path = file()
    receive = hub.store.receive

    def and_change(*given, **more):
        found = receive(*given, **more)
        path.write_text("changed meanwhile")
        return found

    monkeypatch.setattr(hub.store, "receive", and_change)
    assert hub.submit(path, "tiny", "A")[0].state == "queued"


def test_unknown_names_and_unreadable_files_store_nothing(hub, file, tmp_path):
    with pytest.raises(UnknownNameError, match=r"no benchmark is called 'tinny'\. Did you mean tiny"):
        hub.submit(file(), "tinny", "A")
    with pytest.raises(InputError, match=r"gone\.jsonl does not exist; expected a file of predictions"):
        hub.submit(tmp_path / "gone.jsonl", "tiny", "A")
    with pytest.raises(InputError, match="not described as a board can show it"):
        hub.submit(file(), "tiny", "two\nlines")
    assert hub.store.submissions() == []


def test_quota_holds_for_accounts_and_not_for_admins(hub, file):
    hub = Hub(hub.store, hub.data, Settings(quota_per_day=1))
    hub.submit(file(), "tiny", "A", actor=ADA)
    with pytest.raises(LimitError, match="1 are allowed"):
        hub.submit(file(dog="another"), "tiny", "A", actor=ADA)
    for text in ("one", "two"):
        assert hub.submit(file(dog=text), "tiny", "L", actor=LOCAL)[1]


def test_only_the_owner_withdraws_and_only_an_admin_hides_and_queues(hub, file):
    submission, *_ = hub.submit(file(), "tiny", "A", actor=ADA)
    with pytest.raises(RightsError, match="is somebody else's; only its owner"):
        hub.withdraw(submission.id, EVE)
    for step in (
        lambda: hub.hide(submission.id, "because", ADA),
        lambda: hub.requeue(submission.id, ADA),
        lambda: hub.rescore("tiny", ADA),
        lambda: hub.create_benchmark("mine", source="sample/test", actor=ADA),
    ):
        with pytest.raises(RightsError, match="only an admin"):
            step()
    with pytest.raises(InputError, match="there is no reason"):
        hub.hide(submission.id, "  ", LOCAL)
    assert hub.withdraw(submission.id, ADA).state == "withdrawn"
    with pytest.raises(StateError, match="is withdrawn"):
        hub.withdraw(submission.id, ADA)
    assert hub.requeue(submission.id, LOCAL).state == "queued"
    assert hub.hide(submission.id, "wrong file", LOCAL).state == "hidden"


# -- what is left over -----------------------------------------------------------------------------------------------------------


def receive(hub: Hub, benchmark, content: bytes, system: str):
    return hub.store.receive(benchmark, System(system), content, ".jsonl")[0]


def test_what_a_dead_web_process_left_is_validated(hub, file, benchmark_def, clock):
    good = receive(hub, benchmark_def, file().read_bytes(), "A")
    bad = receive(hub, benchmark_def, b"{", "B")
    assert hub.validate_left_over() == 0
    clock.now += 61
    assert hub.validate_left_over() == 2
    assert [hub.store.get(one.id).state for one in (good, bad)] == ["queued", "rejected"]
    assert kinds(hub.store, good.id) == ["received", "validating", "queued"]


def test_one_whose_file_is_lost_is_failed_in_the_end_and_stops_nobody(hub, file, benchmark_def, clock, caplog):
    lost = receive(hub, benchmark_def, file(dog="lost").read_bytes(), "A")
    hub.store.files.path(lost.content_sha256, ".jsonl").unlink()
    good = receive(hub, benchmark_def, file().read_bytes(), "B")
    clock.now += 61
    assert hub.validate_left_over() == 1
    assert hub.store.get(good.id).state == "queued" and hub.store.get(lost.id).state == "received"
    for _ in range(module.VALIDATION_TRIES):
        clock.now += 61
        assert hub.validate_left_over() == 0
    assert (hub.store.get(lost.id).state, hub.store.get(lost.id).error_code) == ("failed", "E_VALIDATION")
    assert caplog.text.count("was left over and cannot be validated") == module.VALIDATION_TRIES


def test_a_retry_after_a_newer_version_was_opened_is_checked_by_the_old_one(hub, file, items):
    submission, _ = hub.store.receive(items.benchmark, System("A"), file().read_bytes(), ".jsonl", idempotency_key="k")
    newer = replace(items, benchmark=replace(items.benchmark, version=2))
    hub.store.add_benchmark(newer.benchmark, to_parquet(newer))
    found, _, report = hub.submit(file(), "tiny", "A", idempotency_key="k")
    assert (found.id, found.benchmark_version, found.state) == (submission.id, 1, "queued")
    assert report is not None and claim(hub.store).recipe == items.benchmark.recipe != newer.benchmark.recipe


# -- boards ----------------------------------------------------------------------------------------------------------------------


def test_systems_are_ranked_with_ranges_and_compared_on_the_same_clips(hub, file):
    ids = {}
    for name, dog in (("worse", "a cat"), ("better", "a dog barks twice")):
        ids[name] = hub.submit(file(dog=dog), "tiny", name)[0].id
    score_all(hub)
    board = hub.board("tiny")
    assert [(row.rank, row.system.name) for row in board.rows] == [(1, "better"), (2, "worse")]
    assert [column.name for column in board.columns] == ["rouge_l", "bleu", "bleu_1", "bleu_2", "bleu_3", "bleu_4"]
    assert all(row.low <= row.rank <= row.high for row in board.rows)
    low, high = board.rows[0].intervals["rouge_l"]
    assert low <= board.rows[0].values["rouge_l"] <= high
    found = hub.compare("tiny", ids["better"], ids["worse"])
    assert found.difference == pytest.approx(board.rows[0].values["rouge_l"] - board.rows[1].values["rouge_l"])
    assert found.low <= found.difference <= found.high and 0 < found.p_value <= 1
    back = hub.compare("tiny", ids["worse"], ids["better"])
    assert (back.difference, back.low, back.high) == (-found.difference, -found.high, -found.low)
    with pytest.raises(UnknownNameError, match="submission on this board"):
        hub.compare("tiny", ids["better"], "nobody")


def test_a_board_is_made_anew_only_when_something_changed(hub, file, clock):
    first, *_ = hub.submit(file(), "tiny", "A")
    score_all(hub)
    board = hub.board("tiny")
    assert hub.board("tiny") is board
    hub.submit(file(dog="waiting"), "tiny", "B")
    assert hub.board("tiny") is board
    clock.now += 1
    score_all(hub)
    assert [row.system.name for row in hub.board("tiny").rows] == ["A", "B"]
    clock.now += 1
    hub.withdraw(first.id, LOCAL)
    assert [row.system.name for row in hub.board("tiny").rows] == ["B"]


def test_the_empty_board_of_a_benchmark_that_is_opened_is_made_anew(hub, tmp_path):
    before = hub.board("adc")
    assert not before.benchmark.is_frozen
    file = references(tmp_path / "r.jsonl")
    opened = hub.create_benchmark("adc", references_file=file, metrics=("bleu",), primary_metric="bleu")
    assert (opened.version, hub.store.revision(opened)) == (before.benchmark.version, before.revision)
    assert (hub.board("adc").benchmark, hub.board("adc").ranked_by) == (opened, "bleu")


def test_boards_by_another_metric_and_what_there_is_not(hub, file):
    hub.submit(file(), "tiny", "A")
    score_all(hub)
    assert hub.board("tiny", ranked_by="bleu").ranked_by == "bleu"
    with pytest.raises(UnknownNameError, match="metric of this benchmark"):
        hub.board("tiny", ranked_by="date")
    with pytest.raises(UnknownNameError, match="group of this board"):
        hub.board("tiny", scope="music")


def test_old_results_are_shown_until_all_have_the_new_ones(hub, file, clock, monkeypatch):
    for name, dog in (("A", "a cat"), ("B", "a dog barks twice")):
        hub.submit(file(dog=dog), "tiny", name)
    score_all(hub)
    old = hub.board("tiny")
    digests = {column.metric: column.digest for column in old.columns}
    monkeypatch.setattr(METRICS.get("rouge_l"), "version", METRICS.get("rouge_l").version + 1)
    assert hub.rescore("tiny", LOCAL) == 2 and hub.rescore("tiny", LOCAL) == 0
    clock.now += 1
    job = claim(hub.store)
    assert hub.store.finish(job, hub.score(job))
    half = hub.board("tiny")
    assert {column.metric: column.digest for column in half.columns} == digests
    assert [(row.rank, row.values) for row in half.rows] == [(row.rank, row.values) for row in old.rows]
    clock.now += 1
    score_all(hub)
    new = {column.metric: column.digest for column in hub.board("tiny").columns}
    assert new["rouge_l"] != digests["rouge_l"] and new["bleu"] == digests["bleu"]
    assert hub.board("tiny").rows[0].rank == 1 and len(hub.board("tiny").rows) == 2


def test_scores_of_single_items_are_on_file_and_those_of_private_benchmarks_nobodys(hub, file, items):
    submission, *_ = hub.submit(file(), "tiny", "A")
    with pytest.raises(InputError, match="has not been scored; there is nothing to show yet"):
        hub.item_scores(submission.id)
    score_all(hub)
    table = hub.item_scores(submission.id)
    assert table["id"].to_pylist() == list(REFERENCES)
    (row,) = [one for one in hub.store.results([submission.id])[submission.id] if one.name == "rouge_l"]
    assert np.mean(table["rouge_l"].to_pylist()) == pytest.approx(row.value, abs=1e-15)
    secret = replace(items, benchmark=replace(items.benchmark, id="secret", references="private"))
    hub.store.add_benchmark(secret.benchmark, to_parquet(secret))
    hidden, *_ = hub.submit(file(), "secret", "A")
    score_all(hub)
    with pytest.raises(RightsError, match="references of secret are private"):
        hub.item_scores(hidden.id)
    assert hub.board("secret").rows[0].values["rouge_l"] == round(row.value, 3)


def test_what_a_submission_says_is_everybodys_once_it_is_scored_and_as_long_as_it_is_on_the_board(hub, file, items):
    submission, *_ = hub.submit(file(), "tiny", "A", actor=ADA)
    with pytest.raises(InputError, match="has not been scored; there is nothing to show yet"):
        hub.predictions(submission.id, ADA)
    score_all(hub)
    said = {f"tiny/test/{name.removesuffix('.wav')}": text for name, text in GOOD.items()}
    assert hub.predictions(submission.id) == {"long": said}
    hub.withdraw(submission.id, ADA)
    for actor in (None, EVE):
        with pytest.raises(UnknownNameError, match="submission on a board"):
            hub.predictions(submission.id, actor)
    assert hub.predictions(submission.id, ADA) == hub.predictions(submission.id, LOCAL) == {"long": said}
    with pytest.raises(UnknownNameError, match="no submission is called 'nobody'"):
        hub.predictions("nobody")


def test_what_is_said_about_private_items_is_nobodys(hub, file, items):
    secret = replace(items, benchmark=replace(items.benchmark, id="secret", references="private"))
    hub.store.add_benchmark(secret.benchmark, to_parquet(secret))
    submission, *_ = hub.submit(file(), "secret", "A", actor=ADA)
    score_all(hub)
    for actor in (None, ADA, LOCAL):
        with pytest.raises(RightsError, match="references of secret are private; so is what was said"):
            hub.predictions(submission.id, actor)


# -- benchmarks of one's own -----------------------------------------------------------------------------------------------------


def references(path: Path, **changes: list[str]) -> Path:
    texts = {"r": ["rain falls", "it rains"], "d": ["a dog barks", "barking"], **changes}
    path.write_text("".join(json.dumps({"id": id_, "references": found}) + "\n" for id_, found in texts.items()))
    return path


def test_a_benchmark_of_ones_own_from_a_file_is_frozen_and_versioned(hub, tmp_path):
    file = references(tmp_path / "r.jsonl")
    meaning = {"metrics": ("rouge_l",), "primary_metric": "rouge_l", "title": "Mine"}
    first = hub.create_benchmark("mine", references_file=file, **meaning)
    assert (first.version, first.n_items, first.is_frozen, first.title) == (1, 2, True, "Mine")
    assert hub.create_benchmark("mine", references_file=file, **meaning) == first
    second = hub.create_benchmark("mine", references_file=references(file, d=["a hound"]), **meaning)
    assert second.version == 2 and second.items_sha256 != first.items_sha256
    assert hub.benchmark("mine") == second and hub.benchmark("mine", 1) == first
    assert hub.items(first).references["d"] == ("a dog barks", "barking")
    assert Hub(hub.store, hub.data).items(second).references["d"] == ("a hound",)
    assert {one.id for one in hub.benchmarks()} >= {"mine", "tiny", "sample"}


def test_a_benchmark_from_what_was_built(hub, tmp_path):
    build("sample", raw=None, out=tmp_path / "built")
    hub = Hub(hub.store, tmp_path / "built")
    opened = hub.create_benchmark("mine", source="sample/test", metrics=("bleu",), primary_metric="bleu")
    assert (opened.n_items, opened.items_sha256) == (12, benchmark_by_id("sample").items_sha256)
    assert len(hub.items(opened).references["sample/test/rain_thunder"]) == 5


@pytest.mark.parametrize(
    ("id_", "given", "said"),
    [
        ("mine", {}, "name one of them"),
        ("mine", {"source": "sample"}, "expected config/split"),
        ("sample", {"source": "sample/test"}, "comes with this package; choose another id"),
        ("Not a slug", {"source": "sample/test"}, "expected small letters"),
        ("mine", {"source": "sample/test", "primary_metric": "spider"}, "ranks by spider"),
    ],
)
def test_benchmarks_that_cannot_be_are_refused(hub, id_, given, said):
    with pytest.raises(InputError, match=said):
        hub.create_benchmark(id_, **given)


def test_items_that_were_changed_on_disk_are_refused(hub, items, tmp_path):
    (sha256,) = hub.store.benchmarks().values()
    groups = (replace(items.groups[0], references={**REFERENCES, "tiny/test/dog": ("a cat",)}),)
    hub.store.files.path(sha256, ".items.parquet").write_bytes(to_parquet(replace(items, groups=groups)))
    with pytest.raises(InputError, match="frozen at 3 items with digest"):
        hub.validate(tmp_path / "p.jsonl", "tiny")
