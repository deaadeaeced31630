"""Levels beside scores and means over clean clips, from datasets that are built, captions that are scored, and declarations."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, RightsError, UnknownNameError
from unified_audiocaps.leaderboard.boards import overlap_report as module
from unified_audiocaps.leaderboard.boards import rank_statistics
from unified_audiocaps.leaderboard.boards.contamination import Contamination
from unified_audiocaps.leaderboard.boards.overlap_report import (
    CleanScores,
    Overlap,
    clean_scores,
    levels,
    mean_metrics,
    overlap_of,
)
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import System

from .test_contamination import wavcaps

VIDEOS = {
    "aaaaaaaaaa1": ("a dog barks twice", "a small dog is barking"),
    "bbbbbbbbbb2": ("rain falls on a tin roof", "heavy rain hits metal"),
    "cccccccccc3": ("a church bell rings slowly", "bells are tolling"),
    "dddddddddd4": ("a car drives by fast", "an engine passes by"),
}
A, B, C, D = VIDEOS
START_S = 30


def audiocaps(folder: Path, **splits: dict[tuple[str, int], tuple[str, ...]]) -> Path:
    """Writes splits of AudioCaps: captions by video and start."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, clips in splits.items():
        texts = [(video, start, text) for (video, start), some in clips.items() for text in some]
        lines = [f"{i},{video},{start},{text}\r\n" for i, (video, start, text) in enumerate(texts)]
        (folder / f"{split}.csv").write_text("audiocap_id,youtube_id,start_time,caption\r\n" + "".join(lines), newline="")
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """AudioCaps with four test clips, and a benchmark on them."""
    test = {(video, START_S): texts for video, texts in VIDEOS.items()}
    raw = audiocaps(tmp_path / "v1", test=test, train={("eeeeeeeeee5", 0): ("a bird sings",), (A, 200): ("a dog",)})
    build("audiocaps", raw=raw, out=tmp_path / "data")
    hub = Hub(ResultStore(f"sqlite:///{tmp_path}/hub.db"), tmp_path / "data")
    hub.create_benchmark("own", source="audiocaps/test", metrics=("cider_d", "rouge_l", "bleu"), primary_metric="cider_d")
    return hub


Submit = Callable[..., str]


@pytest.fixture
def submit(hub: Hub, tmp_path: Path) -> Submit:
    """Submits captions and scores them; returns the submission's id."""

    def run(name: str, *trained_on: str, benchmark: str = "own", **captions: str) -> str:
        ids = {id_: texts[0] for id_, texts in hub.items(hub.benchmark(benchmark)).references.items()}
        known = {id_: next((text for key, text in captions.items() if key in id_), text) for id_, text in ids.items()}
        lines = [json.dumps({"id": id_, "caption": text}) for id_, text in known.items()]
        (tmp_path / "captions.jsonl").write_text("\n".join(lines) + "\n")
        submission, _, report = hub.submit(tmp_path / "captions.jsonl", benchmark, System(name, training_data=trained_on))
        assert report is not None and report.is_valid, report
        while job := hub.store.claim("test", 600):
            assert hub.store.finish(job, hub.score(job))
        return submission.id

    return run


def own_items(hub: Hub, submission_id: str, metric: str) -> dict[str, float]:
    """Returns what every item got, by video."""
    table = hub.item_scores(submission_id)
    by_id = dict(zip(table["id"].to_pylist(), table[metric].to_pylist(), strict=True))
    return {video: value for id_, value in by_id.items() for video in VIDEOS if video in id_}


# -- levels --------------------------------------------------------------------------------------------------------------------


def test_levels_of_a_board(hub: Hub, submit: Submit, tmp_path: Path) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "w", B, times={B: START_S + 5}), out=tmp_path / "data")
    ids = {
        "items": submit("items", "wavcaps:AudioSet_SL"),
        "itself": submit("itself", "audiocaps/test"),
        "split": submit("split", "audiocaps/train"),
        "none": submit("none", "none"),
        "silent": submit("silent"),
        "others": submit("others", "other: web sounds"),
        "not built": submit("not built", "clotho"),
    }
    board = hub.board("own")
    found = levels(hub, board)
    told = {name: (found[id_].level, found[id_].n_clips) for name, id_ in ids.items()}  # type: ignore[union-attr]
    assert told == {
        "items": ("test_items", 1),
        "itself": ("test_items", 4),
        "split": ("train_split", 1),
        "none": ("none", 0),
        "silent": ("unknown", 0),
        "others": ("unknown", 0),
        "not built": ("unknown", 0),
    }
    items = found[ids["items"]]
    assert items is not None and [B in id_ for id_ in items.item_ids] == [True]
    assert items.evidence[0].clips["segment"] == 1
    assert overlap_of(hub, board.benchmark, System("x", training_data=("wavcaps:AudioSet_SL",))) == items
    assert json.loads(json.dumps(items.to_json()))["level"] == "test_items"


def test_segments_that_begin_inside_a_test_clip_are_seen(hub: Hub, tmp_path: Path) -> None:
    """That clips end ten seconds after their start is known from the built set alone."""
    build("wavcaps", raw=wavcaps(tmp_path / "w", B, times={B: START_S + 5}), out=tmp_path / "data")
    found = hub.contamination(hub.benchmark("own"), ["wavcaps:AudioSet_SL"])
    assert (found.level, len(found.item_ids)) == ("test_items", 1)


def test_clips_that_are_built_no_more_keep_their_keys(hub: Hub, tmp_path: Path) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "w", B, times={B: START_S}), out=tmp_path / "data")
    (tmp_path / "data" / "data" / "audiocaps" / "manifest.json").unlink()
    assert hub.contamination(hub.benchmark("own"), ["wavcaps:AudioSet_SL"]).level == "test_items"


def test_the_same_declaration_costs_one_comparison(hub: Hub, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        submit(f"S{number}", *(["audiocaps/train", "none"][number % 2 :][:1]), **{A: f"a dog {number}"})
    asked = []
    looked_up = hub.contamination

    def counted(benchmark: Any, training_data: Any) -> Contamination:
        asked.append(tuple(training_data))
        return looked_up(benchmark, training_data)

    monkeypatch.setattr(hub, "contamination", counted)
    assert len(levels(hub, hub.board("own"))) == 4
    levels(hub, hub.board("own"))
    clean_scores(hub, hub.board("own"), "cider_d")
    assert sorted(asked) == [("audiocaps/train",), ("none",)]


def test_a_set_that_is_built_later_is_looked_at(hub: Hub, submit: Submit, tmp_path: Path) -> None:
    id_ = submit("late", "wavcaps:AudioSet_SL")
    board = hub.board("own")
    assert getattr(levels(hub, board)[id_], "level", "") == "unknown"
    build("wavcaps", raw=wavcaps(tmp_path / "w", C, times={C: START_S}), out=tmp_path / "data")
    assert getattr(levels(hub, board)[id_], "level", "") == "test_items"


def test_who_does_not_wait_gets_what_is_known(hub: Hub, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = submit("first", "none"), submit("second", "audiocaps/train")
    board = hub.board("own")
    overlap_of(hub, board.benchmark, System("x", training_data=("none",)))
    may_go_on = threading.Event()
    looked_up = hub.contamination

    def slow(benchmark: Any, training_data: Any) -> Contamination:
        assert may_go_on.wait(30)
        return looked_up(benchmark, training_data)

    monkeypatch.setattr(hub, "contamination", slow)
    found = levels(hub, board, wait=False)
    assert found == {first: Overlap("none"), second: None}
    assert levels(hub, board, wait=False)[second] is None
    may_go_on.set()
    hub.overlaps.wait(30)
    assert getattr(levels(hub, board, wait=False)[second], "level", "") == "train_split"


def test_a_failure_in_the_background_does_not_end_it(
    hub: Hub, submit: Submit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit("first", "none"), submit("second", "audiocaps/train")
    looked_up = hub.contamination

    def failing(benchmark: Any, training_data: Any) -> Contamination:
        if "none" in training_data:
            raise OSError("the disk is away")
        return looked_up(benchmark, training_data)

    monkeypatch.setattr(hub, "contamination", failing)
    board = hub.board("own")
    levels(hub, board, wait=False)
    hub.overlaps.wait(30)
    assert "the disk is away" in caplog.text
    found = levels(hub, board, wait=False)
    assert sorted(getattr(one, "level", "") for one in found.values()) == ["", "train_split"]
    hub.overlaps.wait(30)


def test_a_declaration_that_means_nothing_any_more_is_unknown(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    found = overlap_of(hub, hub.benchmark("own"), System("x", training_data=("a-mixture-of-last-year",)))
    assert (found.level, found.evidence[0].declared) == ("unknown", "a-mixture-of-last-year")
    assert str(hub.data) not in json.dumps(found.to_json())


def test_a_benchmark_without_keys_knows_nothing(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "x", "references": ["a dog", "the dog"]}\n')
    hub.create_benchmark("bare", references_file=tmp_path / "r.jsonl", metrics=("rouge_l",), primary_metric="rouge_l")
    assert overlap_of(hub, hub.benchmark("bare"), System("x", training_data=("audiocaps/train",))).level == "unknown"


# -- clean means ---------------------------------------------------------------------------------------------------------------


def test_without_overlap_clean_scores_are_the_scores(hub: Hub, submit: Submit) -> None:
    ids = [submit("A", "none", **{A: "a dog"}), submit("B", "audiocaps/train")]
    board = hub.board("own")
    found = clean_scores(hub, board, "cider_d")
    plain = {row.submission_id: row.values["cider_d"] for row in board.rows}
    assert found == CleanScores("cider_d", 4, 4, plain, {}, (ids[1],))  # of audiocaps/train only a part is built
    assert set(plain) == set(ids)


@pytest.mark.parametrize("metric", ["cider_d", "rouge_l"])
def test_clean_means_are_over_what_no_system_was_trained_on(hub: Hub, submit: Submit, tmp_path: Path, metric: str) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "w", B, C, times={B: START_S, C: START_S + 9}), out=tmp_path / "data")
    trained = submit("trained", "wavcaps:AudioSet_SL", **{D: "a truck"})
    other, silent = submit("other", "none", **{A: "a cat", B: "snow falls"}), submit("silent", **{D: "an engine"})
    found = clean_scores(hub, hub.board("own"), metric)
    assert (found.n_clean, found.n_clips, found.tainted_by) == (2, 4, {trained: 2})
    assert silent in found.unknown and other not in found.unknown
    for id_ in (trained, other, silent):
        items = own_items(hub, id_, metric)
        assert found.values[id_] == pytest.approx((items[A] + items[D]) / 2, abs=1e-15)
        assert found.values[id_] != hub.board("own").rows[0].values[metric]
    assert clean_scores(hub, hub.board("own"), metric) == found


def test_a_system_that_was_trained_on_the_test_set_leaves_nothing(hub: Hub, submit: Submit) -> None:
    cheat, honest = submit("cheat", "audiocaps/test"), submit("honest", "none")
    board = hub.board("own")
    found = clean_scores(hub, board, "cider_d")
    assert (found.n_clean, found.values, found.tainted_by) == (0, {}, {cheat: 4})
    alone = clean_scores(hub, board, "cider_d", among=[honest])
    assert (alone.n_clean, set(alone.values)) == (4, {honest})


def test_another_part_of_a_recording_taints_where_it_is_asked_for(hub: Hub, submit: Submit) -> None:
    id_ = submit("A", "audiocaps/train")
    board = hub.board("own")
    assert clean_scores(hub, board, "cider_d").n_clean == 4
    found = clean_scores(hub, board, "cider_d", level="recording")
    assert (found.n_clean, found.tainted_by) == (3, {id_: 1})
    items = own_items(hub, id_, "cider_d")
    assert found.values[id_] == pytest.approx((items[B] + items[C] + items[D]) / 3, abs=1e-15)


def test_the_whole_sample_declared_as_training_data(hub: Hub, submit: Submit, tmp_path: Path) -> None:
    """`sample/test` is the test set; half of it as a benchmark of its own has no clip left, DATE keeps its pool."""
    build("sample", out=tmp_path / "data")
    hub.create_benchmark("mine", source="sample/test", metrics=("rouge_l", "date"), primary_metric="date")
    cheat = submit("cheat", "sample/test", benchmark="mine")
    fair = submit("fair", "sample/train", benchmark="mine", rain="wind blows")
    board = hub.board("mine")
    found = levels(hub, board)
    assert [(one.level, one.n_clips) for id_ in (cheat, fair) if (one := found[id_])] == [("test_items", 12), ("train_split", 0)]
    assert clean_scores(hub, board, "date").values == {}
    plain = next(row.values["date"] for row in board.rows if row.submission_id == fair)
    assert clean_scores(hub, board, "date", among=[fair]).values == {fair: plain}


def test_groups_keep_their_weights_over_clean_items(
    hub: Hub, tmp_path: Path, mecat_clips: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_statistics, "FEWEST_IN_DOMAIN", 2)  # these domains have two or three clips
    build("mecat", raw=mecat_clips(tmp_path / "m"), out=tmp_path / "data")
    hub.create_benchmark("nine", source="mecat/test", task="mecat_caption", metrics=("rouge_l",), primary_metric="rouge_l")
    benchmark, (first, *_) = hub.benchmark("nine"), sorted(hub.items(hub.benchmark("nine")).clip_keys)
    video = next(key for key in hub.items(benchmark).clip_keys[first] if "@" in key)[len("yt:") :].partition("@")[0]
    build("wavcaps", raw=wavcaps(tmp_path / "w", video, times={video: 0}), out=tmp_path / "data")
    items = hub.items(benchmark)
    lines = [
        json.dumps({"id": id_, "caption": f"a dog {place % 5} barks in a hall", "subtask": subtask})
        for subtask, ids in items.wanted.items()
        for place, id_ in enumerate(ids)
    ]
    predictions = {
        subtask: {id_: f"a dog {place % 5} barks" for place, id_ in enumerate(ids)} for subtask, ids in items.wanted.items()
    }
    id_ = scored_by_hand(hub, benchmark, predictions, "wavcaps:AudioSet_SL", "\n".join(lines).encode())
    board = hub.board("nine")
    found = clean_scores(hub, board, "rouge_l")
    assert (found.n_clean, found.n_clips, found.tainted_by) == (len(items.clip_keys) - 1, len(items.clip_keys), {id_: 1})
    table = hub.item_scores(id_).to_pylist()
    expected = 0.0
    for group in items.groups:
        values = [row["rouge_l"] for row in table if row["group"] == group.name and row["id"] != first]
        expected += group.weight * sum(values) / len(values)
    assert found.values[id_] == pytest.approx(expected, abs=1e-12)
    scope = next(group.name for group in items.groups if first in group.references)
    one = clean_scores(hub, hub.board("nine", scope=scope), "rouge_l")
    values = [row["rouge_l"] for row in table if row["group"] == scope and row["id"] != first]
    assert one.values[id_] == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert one.n_clean == len(values) == one.n_clips - 1


def scored_by_hand(hub: Hub, benchmark: Any, predictions: Any, trained_on: str, content: bytes) -> str:
    """Stores the scores of predictions, whatever form their file has."""
    from unified_audiocaps.leaderboard.intake.validation import ValidationReport
    from unified_audiocaps.leaderboard.scoring import DRAWS_SUFFIX, ITEMS_SUFFIX, score_submission

    system = System("grouped", training_data=(trained_on,))
    submission, _ = hub.store.receive(benchmark, system, content, ".jsonl")
    hub.store.accept(submission.id, 1, benchmark.recipe, benchmark.n_steps)
    report = ValidationReport(benchmark.id, "p.jsonl", 1, (), 0, (), predictions)
    scored = score_submission(hub.items(benchmark), report)
    rows = scored.named(hub.store.files.put(scored.items, ITEMS_SUFFIX), hub.store.files.put(scored.draws, DRAWS_SUFFIX))
    job = hub.store.claim("test", 600)
    assert job is not None and hub.store.finish(job, rows)
    return submission.id


def test_files_of_items_are_read_once(hub: Hub, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "w", B, times={B: START_S}), out=tmp_path / "data")
    submit("trained", "wavcaps:AudioSet_SL")
    board, read = hub.board("own"), module.read_table
    found = clean_scores(hub, board, "cider_d")
    monkeypatch.setattr(module, "read_table", lambda *_: pytest.fail("read again"))
    assert clean_scores(hub, board, "cider_d") == found
    monkeypatch.setattr(module, "read_table", read)
    assert clean_scores(hub, board, "rouge_l").values != found.values


def test_reports_are_not_compared(hub: Hub, submit: Submit, tmp_path: Path) -> None:
    id_ = submit("A", "none")
    (tmp_path / "r.yaml").write_text("- {dataset: {id: a/b, task_id: own_v1_cider_d}, value: 1}\n")
    hub.import_eval_results(tmp_path / "r.yaml", System("R", training_data=("audiocaps/test",)))
    board = hub.board("own")
    assert {one and one.level for one in levels(hub, board).values()} == {"none", "test_items"}
    assert set(clean_scores(hub, board, "cider_d").values) == {id_}


@pytest.mark.parametrize(
    ("metric", "among", "error", "told"),
    [
        ("date", None, UnknownNameError, "no metric of this benchmark is called 'date'"),
        ("bleu", None, InputError, "bleu is no mean of what single items got; expected a metric that is: cider_d, rouge_l"),
        ("cider_d", ["nobody"], UnknownNameError, "no submission on this board is called 'nobody'"),
    ],
)
def test_what_has_no_clean_mean_is_told(hub: Hub, metric: str, among: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        clean_scores(hub, hub.board("own"), metric, among)


def test_metrics_with_clean_means_are_named(hub: Hub) -> None:
    assert mean_metrics(hub.benchmark("own")) == ("cider_d", "rouge_l")


def test_private_benchmarks_tell_level_and_number_only(hub: Hub, submit: Submit) -> None:
    hub.create_benchmark("secret", source="audiocaps/test", metrics=("rouge_l",), primary_metric="rouge_l", references="private")
    id_ = submit("A", "audiocaps/test", benchmark="secret")
    board = hub.board("secret")
    assert levels(hub, board) == {id_: Overlap("test_items", 4)}
    assert overlap_of(hub, board.benchmark, board.rows[0].system) == Overlap("test_items", 4)
    with pytest.raises(RightsError, match="the references of secret are private; so are means over some of its clips"):
        clean_scores(hub, board, "rouge_l")


def test_items_are_read_from_the_file_of_the_shown_signature(hub: Hub, submit: Submit, tmp_path: Path) -> None:
    id_ = submit("A", "none")
    (result,) = [one for one in hub.store.results([id_])[id_] if one.name == "cider_d"]
    stored = pq.read_table(io.BytesIO(hub.store.files.read(result.items_sha256, ".items.parquet")))
    columns = ["group", "id", "cider_d"]
    assert module.read_table(hub.store.files.read(result.items_sha256, ".items.parquet"), columns).equals(stored.select(columns))
