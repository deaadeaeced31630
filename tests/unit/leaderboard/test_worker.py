"""The worker on a benchmark of three clips, with n-gram metrics that run for real."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard import benchmark as benchmarks
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.worker import ITEMS_SUFFIX, Worker

PREDICTIONS = {"rain.wav": "rain falls on a roof", "dog.wav": "a dog barks", "bell.wav": "bells are tolling"}


@pytest.fixture
def hub(store, items, benchmark_def, monkeypatch):
    monkeypatch.setattr(benchmarks, "BENCHMARKS", (benchmark_def,))
    hub = Hub(store, Path("nowhere"))
    monkeypatch.setattr(hub, "items", lambda benchmark: items)
    return hub


def send(hub, tmp_path, system="A", **changes):
    path = tmp_path / f"{system}.jsonl"
    rows = {**PREDICTIONS, **changes}
    path.write_text("".join(json.dumps({"id": name, "caption": text}) + "\n" for name, text in rows.items()), encoding="utf-8")
    return hub.submit(path, "tiny", system)[0]


def test_everything_queued_is_scored_and_ranked(hub, tmp_path):
    for system, caption in (("worse", "a cat"), ("better", "a dog barks twice")):
        send(hub, tmp_path, system, **{"dog.wav": caption})
    assert Worker(hub, Settings()).run(once=True) == 2
    board = hub.board("tiny")
    assert [(row.rank, row.system) for row in board.rows] == [(1, "better"), (2, "worse")]
    assert [column.name for column in board.columns] == ["rouge_l", "bleu", "bleu_1", "bleu_2", "bleu_3", "bleu_4"]


def test_per_clip_scores_are_kept_in_a_file(hub, tmp_path):
    send(hub, tmp_path)
    Worker(hub, Settings()).run(once=True)
    (row,) = [result.row for result in hub.store.results(benchmarks.BENCHMARKS[0]) if result.row.name == "rouge_l"]
    table = pq.read_table(hub.store.file_path(row.items_sha256, ITEMS_SUFFIX))
    assert table["id"].to_pylist() == ["tiny/test/rain", "tiny/test/dog", "tiny/test/bell"]
    assert sum(table["rouge_l"].to_pylist()) / 3 == pytest.approx(row.value, abs=1e-15)


def test_an_error_is_written_to_the_submission_and_the_loop_goes_on(hub, tmp_path, monkeypatch, clock):
    broken = send(hub, tmp_path, "broken")
    fine = send(hub, tmp_path, "fine", **{"dog.wav": "a hound"})
    (hub.store.file_path(broken.content_sha256, ".jsonl")).write_bytes(b"not what was sent\n")
    assert Worker(hub, Settings(max_attempts=1)).run(once=True) == 1
    assert hub.store.get(fine.id).state == "published"
    failed = hub.store.get(broken.id)
    assert failed.state == "failed"
    assert "E_JSON" in failed.error


def test_what_a_worker_finishes_too_late_is_dropped(hub, tmp_path, clock, monkeypatch):
    submission = send(hub, tmp_path)
    slow = Worker(hub, Settings())
    score_now = slow._results

    def stall(job):
        results = score_now(job)
        clock.now += 60  # the lease runs out; another worker takes over and publishes
        assert Worker(hub, Settings()).run(once=True) == 1
        return results

    monkeypatch.setattr(slow, "_results", stall)
    assert slow.run(once=True) == 0
    assert [event["kind"] for event in hub.store.events(submission.id)].count("published") == 1


def test_a_rejected_file_stores_nothing(hub, tmp_path):
    with pytest.raises(InputError, match="E_EMPTY"):
        send(hub, tmp_path, **{"dog.wav": ""})
    assert hub.store.submissions() == []
    assert list(hub.store.files.iterdir()) == []
