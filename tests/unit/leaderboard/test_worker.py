"""Workers with real scoring processes and n-gram metrics, on both databases."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.leaderboard import worker as module
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.items import to_parquet
from unified_audiocaps.leaderboard.submission import Submission, System
from unified_audiocaps.leaderboard.worker import Place, Worker

from .conftest import REFERENCES, Where, kinds

GOOD = {"rain": "rain falls on a roof", "dog": "a dog barks", "bell": "bells are tolling"}
QUICK = Settings(lease_s=4.0, heartbeat_s=0.3)


@pytest.fixture
def place(where: Where, items, tmp_path: Path) -> Place:
    """A hub at the real clock that opened the benchmark of three clips."""
    place = Place(where.url, tmp_path / "nothing-built", where.files)
    hub = place.open()
    hub.store.add_benchmark(items.benchmark, to_parquet(items))
    hub.store.close()
    return place


@pytest.fixture
def hub(place: Place) -> Iterator[Hub]:
    opened = place.open()
    yield opened
    opened.store.close()


def predictions(**changes: str) -> bytes:
    rows = {**GOOD, **changes}
    return "".join(json.dumps({"id": f"{name}.wav", "caption": text}) + "\n" for name, text in rows.items()).encode()


@pytest.fixture
def send(hub: Hub, tmp_path: Path) -> Callable[..., Submission]:
    def step(system: str = "A", **changes: str) -> Submission:
        path = tmp_path / "p.jsonl"
        path.write_bytes(predictions(**changes))
        return hub.submit(path, "tiny", system)[0]

    return step


def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def running(worker: Worker, once: bool = True) -> Iterator[list[int]]:
    """Runs a worker beside the block; what it returns is in the list afterwards."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(worker.run(once)))
    thread.start()
    try:
        yield found
    finally:
        if not once:
            worker.stop()
        thread.join(90)
        assert not thread.is_alive()
        worker.hub.store.close()


def run_once(place: Place, settings: Settings = QUICK) -> int:
    with running(Worker(place, settings)) as found:
        pass
    return found[0]


def test_what_was_left_over_is_looked_after_while_the_queue_is_long(place, hub, send):
    queued = [send(f"S{number}").id for number in range(3)]
    left, _ = hub.store.receive(hub.benchmark("tiny"), System("left"), predictions(dog="left over"), ".jsonl")
    with hub.store._db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE submission SET updated_at = updated_at - 100 WHERE id = :id"), {"id": left.id})
    assert run_once(place) == 4
    taken = next(event["number"] for event in hub.store.events(left.id) if event["kind"] == "validating")
    assert taken < next(event["number"] for event in hub.store.events(queued[-1]) if event["kind"] == "published")


def test_what_is_published_is_what_score_says(place, hub, send):
    texts = {"A": "a cat", "B": "a dog barks twice"}
    sent = {name: send(name, dog=dog) for name, dog in texts.items()}
    assert run_once(place) == 2
    for name, dog in texts.items():
        captions = {f"tiny/test/{clip}": text for clip, text in {**GOOD, "dog": dog}.items()}
        expected = {
            component: value
            for result in score(CaptionPairs.join(captions, REFERENCES), ["rouge_l", "bleu"])
            for component, value in {result.metric: result.score, **result.components}.items()
        }
        rows = hub.store.results([sent[name].id])[sent[name].id]
        assert {row.name: row.value for row in rows} == expected
        published = hub.store.get(sent[name].id)
        assert (published.state, published.progress_done, published.progress_total) == ("published", 2, 2)
    assert [row.system.name for row in hub.board("tiny").rows] == ["B", "A"]
    assert run_once(place) == 0


@pytest.mark.parametrize(
    ("limit", "code", "said"),
    [
        ({"job_time_limit_s": 0.0}, "E_TIME_LIMIT", "scoring took more than 0 s"),
        ({"job_memory_limit_bytes": 1}, "E_MEMORY_LIMIT", "GiB of memory; 0.0 are allowed"),
    ],
)
def test_beyond_a_limit_scoring_is_ended_and_counted(place, hub, send, limit, code, said):
    submission = send()
    assert run_once(place, replace(QUICK, max_attempts=1, **limit)) == 0
    failed = hub.store.get(submission.id)
    assert (failed.state, failed.error_code) == ("failed", code)
    assert said in failed.error
    assert [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())] == []
    send()  # the same file once more
    assert run_once(place) == 1


def test_a_killed_scoring_process_is_an_error_that_is_tried_again(place, hub, send):
    submission = send()
    worker = Worker(place, QUICK)
    with running(worker) as found:
        until(lambda: hub.store.get(submission.id).state == "scoring" and worker._child._process is not None)
        until(lambda: worker._child._process.pid is not None)
        worker._child._process.kill()
    assert found == [1]
    (error,) = [event["detail"] for event in hub.store.events(submission.id) if event["kind"] == "queued"][1:]
    assert (error["code"], error["errors"]) == ("E_SCORER_DIED", 1)
    assert f"exit code -{int(signal.SIGKILL)}" in error["error"]


def test_an_error_is_written_to_its_submission_and_the_loop_goes_on(place, hub, send):
    broken, fine = send("broken", dog="a hound"), send("fine")
    hub.store.files.path(broken.content_sha256, ".jsonl").write_bytes(b"not what was sent\n")
    assert run_once(place, replace(QUICK, max_attempts=1)) == 1
    assert hub.store.get(fine.id).state == "published"
    failed = hub.store.get(broken.id)
    assert (failed.state, failed.error_code) == ("failed", "E_SCORING")
    assert "E_JSON" in failed.error


def test_numbers_that_cannot_be_kept_fail_their_submission_only(place, hub, send, monkeypatch):
    broken, fine = send("broken"), send("fine", dog="a hound")
    worker = Worker(place, replace(QUICK, max_attempts=1))
    supervised = worker._supervised

    def without_n(job):
        rows = supervised(job)
        return [replace(row, n=None) for row in rows] if job.submission_id == broken.id else rows

    monkeypatch.setattr(worker, "_supervised", without_n)
    with running(worker) as found:
        pass
    assert found == [1] and hub.store.get(fine.id).state == "published"
    assert hub.store.get(broken.id).state == "failed" and "could not be kept" in hub.store.get(broken.id).error


def test_asked_to_end_it_finishes_the_job_in_hand(place, hub, send):
    submission = send()
    worker = Worker(place, QUICK)
    with running(worker, once=False):
        until(lambda: hub.store.get(submission.id).state == "scoring")
    assert hub.store.get(submission.id).state == "published"


def test_asked_to_end_it_gives_a_long_job_back_at_once(place, hub, send, monkeypatch):
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    submission = send()
    with running(Worker(place, QUICK), once=False) as found:
        until(lambda: hub.store.get(submission.id).state == "scoring")
    assert found == [0]
    assert hub.store.get(submission.id).state == "queued" and hub.store.n_ahead(submission.id) == 0
    assert run_once(place) == 1
    assert [event["detail"].get("expirations") for event in hub.store.events(submission.id) if event["kind"] == "scoring"] == [
        0,
        0,
    ]


def test_withdrawn_while_it_is_scored_publishes_nothing(place, hub, send):
    submission = send()
    with running(Worker(place, QUICK)) as found:
        until(lambda: hub.store.get(submission.id).state == "scoring")
        hub.store.withdraw(submission.id, "local")
    assert found == [0]
    assert hub.store.results([submission.id])[submission.id] == [] and hub.board("tiny").rows == ()
    assert hub.store.get(submission.id).state == "withdrawn"


def test_several_workers_publish_each_submission_once(place, hub, send):
    sent = [send(f"S{number}", dog=f"a dog barks {number}") for number in range(10)]
    with running(Worker(place, QUICK)) as one, running(Worker(place, QUICK)) as two:
        pass
    assert one[0] + two[0] == 10
    assert [kinds(hub.store, submission.id).count("published") for submission in sent] == [1] * 10
    hub.store.verify_events()


def test_a_stalled_worker_is_replaced_and_what_it_writes_later_is_dropped(place, hub, send, monkeypatch):
    submission = send()
    stalled = Worker(place, replace(QUICK, lease_s=0.5))
    supervised = stalled._supervised

    def stall(job):
        results = supervised(job)
        until(lambda: hub.store.get(submission.id).state == "published")
        return results

    monkeypatch.setattr(stalled, "_supervised", stall)
    with running(stalled) as late:
        until(lambda: hub.store.get(submission.id).state == "scoring")
        assert run_once(place) == 1
    assert late == [0]
    assert kinds(hub.store, submission.id).count("published") == 1


def test_what_nobody_validated_is_validated_by_a_worker(place, hub, benchmark_def):
    good, _ = hub.store.receive(benchmark_def, System("A"), predictions(), ".jsonl")
    bad, _ = hub.store.receive(benchmark_def, System("B"), b"{", ".jsonl")
    assert run_once(place) == 1
    assert [hub.store.get(one.id).state for one in (good, bad)] == ["published", "rejected"]


def test_a_worker_scores_again_what_was_scored_by_an_older_recipe(place, hub, send):
    submission = send()
    job = hub.store.claim("an older version", 20.0)
    rows = [replace(row, signature="older", digest="00000000", value=0.1) for row in hub.score(job)]
    hub.store.finish(job, rows)
    with hub.store._db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE job SET recipe = '0000000000000000'")
    assert hub.board("tiny").rows[0].values["rouge_l"] == 0.1
    assert run_once(place) == 1
    assert kinds(hub.store, submission.id)[-3:] == ["requeued", "rescoring", "rescored"]
    assert hub.board("tiny").rows[0].values["rouge_l"] > 0.1


def test_a_scoring_process_is_replaced_after_its_jobs(place, send):
    for number in range(3):
        send(f"S{number}")
    worker = Worker(place, replace(QUICK, jobs_per_child=2))
    pids = []
    child_send = worker._child.send
    worker._child.send = lambda job: (child_send(job), pids.append(worker._child._process.pid))
    with running(worker) as found:
        pass
    assert found == [3]
    assert pids[0] == pids[1] != pids[2]
