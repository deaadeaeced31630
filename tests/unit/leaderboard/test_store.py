import sqlite3
import subprocess
import sys
import threading
import uuid

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, StateError, UnknownNameError
from unified_audiocaps.leaderboard.store import ResultStore, new_id

from .conftest import result_row

LEASE_S = 20.0


def test_submission_is_queued_with_its_file_on_disk(store, benchmark_def, clock):
    submission, is_new = store.add(benchmark_def, "A system", b"bytes", ".jsonl", 3)
    assert is_new
    assert (submission.state, submission.system, submission.n_items, submission.created_at) == (
        "queued",
        "A system",
        3,
        clock.now,
    )
    assert store.file_path(submission.content_sha256, ".jsonl").read_bytes() == b"bytes"
    assert [event["kind"] for event in store.events(submission.id)] == ["queued"]


def test_same_bytes_for_the_same_system_are_one_submission(store, benchmark_def):
    first, _ = store.add(benchmark_def, "A", b"bytes", ".jsonl", 3)
    again, is_new = store.add(benchmark_def, " A ", b"bytes", ".jsonl", 3)
    other, other_is_new = store.add(benchmark_def, "B", b"bytes", ".jsonl", 3)
    assert (again.id, is_new) == (first.id, False)
    assert other_is_new and other.id != first.id
    assert store.n_unfinished() == 2


def test_submissions_sent_at_once_from_many_threads_are_one(store, benchmark_def):
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.add(benchmark_def, "A", b"x", ".csv", 3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({submission.id for submission, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "two\nlines", "bell\x07"])
def test_unfit_system_name_is_refused(store, benchmark_def, name):
    with pytest.raises(InputError, match="expected 1 to 200 printable characters"):
        store.add(benchmark_def, name, b"x", ".csv", 3)


def test_jobs_are_claimed_oldest_first_and_once(store, benchmark_def):
    first, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    second, _ = store.add(benchmark_def, "B", b"2", ".csv", 3)
    claimed = [store.claim("worker-1", LEASE_S), store.claim("worker-2", LEASE_S)]
    assert [job.submission_id for job in claimed] == [first.id, second.id]
    assert store.claim("worker-3", LEASE_S) is None
    assert store.get(first.id).state == "scoring"


def test_finish_publishes_results_and_state_together(store, benchmark_def):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    job = store.claim("w", LEASE_S)
    assert store.results(benchmark_def) == []
    assert store.finish(job, [result_row(value=0.25), result_row("bleu", 0.1)])
    published = store.get(submission.id)
    assert (published.state, published.progress_done, published.progress_total) == ("published", 2, 2)
    assert {(r.system, r.row.metric, r.row.value) for r in store.results(benchmark_def)} == {
        ("A", "rouge_l", 0.25),
        ("A", "bleu", 0.1),
    }
    assert [event["kind"] for event in store.events(submission.id)] == ["queued", "scoring", "published"]
    assert store.n_unfinished() == 0


def test_a_failing_write_publishes_nothing(store, benchmark_def):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    job = store.claim("w", LEASE_S)
    with pytest.raises(Exception, match="UNIQUE"):
        store.finish(job, [result_row(), result_row()])
    assert store.get(submission.id).state == "scoring"
    assert store.results(benchmark_def) == []
    assert store.verify_events() == 2


def test_a_silent_worker_loses_its_job_and_its_late_write(store, benchmark_def, clock):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    stalled = store.claim("stalled", LEASE_S)
    clock.now += LEASE_S - 1
    assert store.claim("next", LEASE_S) is None
    clock.now += 2
    taken = store.claim("next", LEASE_S)
    assert (taken.submission_id, taken.attempt) == (submission.id, 2)
    assert not store.renew(stalled, LEASE_S, 1)
    assert not store.fail(stalled, "late", 3)
    assert not store.finish(stalled, [result_row(value=0.9)])
    assert store.finish(taken, [result_row(value=0.4)])
    assert not store.finish(taken, [result_row(value=0.4)])
    assert [r.row.value for r in store.results(benchmark_def)] == [0.4]


def test_a_renewed_lease_holds(store, benchmark_def, clock):
    store.add(benchmark_def, "A", b"1", ".csv", 3)
    job = store.claim("w", LEASE_S)
    for _ in range(5):
        clock.now += LEASE_S - 1
        assert store.renew(job, LEASE_S, 1)
        assert store.claim("other", LEASE_S) is None


def test_errors_are_retried_with_a_growing_pause_then_failed(store, benchmark_def, clock):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    for pause_s in (2.0, 4.0):
        assert store.fail(store.claim("w", LEASE_S), "encoder is missing", max_attempts=3)
        assert store.get(submission.id).state == "queued"
        clock.now += pause_s - 0.1
        assert store.claim("w", LEASE_S) is None
        clock.now += 0.2
    assert store.fail(store.claim("w", LEASE_S), "encoder is missing", max_attempts=3)
    failed = store.get(submission.id)
    assert (failed.state, failed.error) == ("failed", "encoder is missing")
    assert store.claim("w", LEASE_S) is None


def test_a_failed_submission_sent_again_is_queued_again(store, benchmark_def, clock):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    assert store.fail(store.claim("w", LEASE_S), "encoder is missing", max_attempts=1)
    again, is_new = store.add(benchmark_def, "A", b"1", ".csv", 3)
    assert (again.id, is_new, again.state, again.error) == (submission.id, False, "queued", None)
    job = store.claim("w", LEASE_S)
    assert store.finish(job, [result_row()])
    assert store.add(benchmark_def, "A", b"1", ".csv", 3)[0].state == "published"
    assert [event["kind"] for event in store.events(submission.id)] == [
        "queued",
        "scoring",
        "failed",
        "queued",
        "scoring",
        "published",
    ]


def test_dead_workers_do_not_count_as_errors_but_end_after_ten(store, benchmark_def, clock):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    for _ in range(10):
        assert store.claim("w", LEASE_S) is not None
        clock.now += LEASE_S + 1
    assert store.claim("w", LEASE_S) is None
    assert store.get(submission.id).state == "failed"
    assert "10 workers died" in store.get(submission.id).error


def test_a_changed_event_is_noticed(store, benchmark_def, tmp_path):
    store.add(benchmark_def, "A", b"1", ".csv", 3)
    store.add(benchmark_def, "B", b"2", ".csv", 3)
    assert store.verify_events() == 2
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        connection.execute("""update event set detail_json = '{"system": "C"}' where number = 1""")
    with pytest.raises(StateError, match="event 1, which was altered"):
        store.verify_events()


def test_store_opened_again_knows_everything(store, benchmark_def, clock):
    submission, _ = store.add(benchmark_def, "A", b"1", ".csv", 3)
    assert ResultStore(store.url, now=clock).get(submission.id) == submission


def test_processes_that_open_a_new_database_together_all_succeed(tmp_path):
    code = f"from unified_audiocaps.leaderboard.store import ResultStore; ResultStore('sqlite:///{tmp_path}/new/hub.db').submissions()"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.wait(60), process.stderr.read().decode()) for process in processes] == [(0, "")] * 3


def test_unknown_submission_is_named(store):
    with pytest.raises(UnknownNameError, match="no submission is called 'nope'"):
        store.get("nope")


@pytest.mark.parametrize("url", ["nonsense", "postgresql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_other_database_urls_are_refused_with_the_form_that_works(url):
    with pytest.raises(InputError, match=r"sqlite:///path/to/hub\.db"):
        ResultStore(url)


def test_ids_are_uuid7_and_sort_by_age():
    ids = [new_id() for _ in range(50)]
    assert {uuid.UUID(value).version for value in ids} == {7}
    assert {uuid.UUID(value).variant for value in ids} == {uuid.RFC_4122}
    assert [value[:13] for value in ids] == sorted(value[:13] for value in ids)
