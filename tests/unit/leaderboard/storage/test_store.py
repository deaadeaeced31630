"""The store's promises, each on SQLite and on PostgreSQL."""

import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from unified_audiocaps.dataset_scripts.errors import InputError, LimitError, RightsError, StateError, UnknownNameError
from unified_audiocaps.leaderboard.items import to_parquet
from unified_audiocaps.leaderboard.storage.records import Quota, new_id
from unified_audiocaps.leaderboard.storage.store import MAX_EXPIRATIONS, MAX_LEASE_S, MAX_PAUSE_S, ResultStore
from unified_audiocaps.leaderboard.submission import System

from ..conftest import LEASE_S, claim, kinds, publish, result_row, send

TAMPERED = "which was altered"


def execute(store, statement, **values):
    with store._db.engine.begin() as connection:
        return connection.execute(sa.text(statement), values)


def together(n: int, step: Callable[[int], object]) -> list:
    """Runs a step in `n` threads that begin at once."""
    gate = threading.Barrier(n)

    def run(number: int) -> object:
        gate.wait()
        return step(number)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


# -- taking in -------------------------------------------------------------------------------------------------------------------


def test_a_received_file_is_on_disk_and_waits_to_be_validated(store, benchmark_def, clock):
    submission, is_open = store.receive(benchmark_def, System("A system"), b"bytes", ".jsonl")
    assert is_open
    assert (submission.state, submission.system, submission.account, submission.created_at) == (
        "received",
        "A system",
        "local",
        clock.now,
    )
    assert store.files.path(submission.content_sha256, ".jsonl").read_bytes() == b"bytes"
    assert kinds(store, submission.id) == ["received"]
    assert store.n_unfinished() == 1
    assert store.claim("w", LEASE_S) is None


def test_accepted_is_queued_once(store, benchmark_def):
    submission, _ = store.receive(benchmark_def, System("A"), b"1", ".csv")
    queued = store.accept(submission.id, 3, benchmark_def.recipe, 2, ["W_B", "W_A"], {"prompt": "hear"})
    assert (queued.state, queued.n_items, queued.progress_total, dict(queued.note)) == ("queued", 3, 2, {"prompt": "hear"})
    assert store.accept(submission.id, 99, benchmark_def.recipe, 2) == queued
    assert store.events(submission.id)[-1]["detail"] == {"warnings": ["W_A", "W_B"]}
    assert store.n_unfinished() == 1


def test_rejected_keeps_its_report_and_is_free(store, benchmark_def):
    submission, _ = store.receive(benchmark_def, System("A"), b"1", ".csv", quota=Quota(1))
    rejected = store.reject(submission.id, b'{"n_problems": 1}', "E_JSON", "1 problem; the first: line 1")
    assert (rejected.state, rejected.error_code, rejected.error) == ("rejected", "E_JSON", "1 problem; the first: line 1")
    assert store.report(submission.id) == b'{"n_problems": 1}'
    assert store.accept(submission.id, 3, benchmark_def.recipe, 2).state == "rejected"
    assert store.claim("w", LEASE_S) is None and store.n_unfinished() == 0
    assert store.receive(benchmark_def, System("A"), b"2", ".csv", quota=Quota(1))[1]


@pytest.mark.parametrize("text", ["NUL \0 inside", "half a pair \ud83d"], ids=["NUL", "surrogate"])
def test_what_went_wrong_is_kept_whatever_it_quotes(store, benchmark_def, text):
    submission, _ = store.receive(benchmark_def, System("A"), b"1", ".csv")
    assert store.reject(submission.id, b"{}", "E_JSON", text).error.startswith(text[:4])
    send(store, benchmark_def, "B")
    store.fail(claim(store), text, 1)
    assert [one.state for one in store.submissions()] == ["failed", "rejected"]


def test_same_bytes_for_the_same_system_are_one_submission(store, benchmark_def):
    first = send(store, benchmark_def)
    again, is_open = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    other, other_is_open = store.receive(benchmark_def, System("B"), b"1", ".jsonl")
    newer = replace(benchmark_def, version=2)
    assert (again.id, is_open) == (first.id, False)
    assert other_is_open and other.id != first.id
    assert store.receive(newer, System("A"), b"1", ".jsonl")[1]
    assert kinds(store, first.id) == ["received", "queued"]


def test_a_file_that_was_not_validated_yet_is_validated_by_whoever_sends_it_again(store, benchmark_def):
    first, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl", idempotency_key="k")
    for key in (None, "k"):
        again, is_open = store.receive(benchmark_def, System("A"), b"1", ".jsonl", idempotency_key=key)
        assert (again.id, is_open) == (first.id, True)


def test_one_key_is_one_submission(store, benchmark_def):
    first = send(store, benchmark_def, idempotency_key="k1")
    again, is_open = store.receive(benchmark_def, System("A"), b"1", ".jsonl", idempotency_key="k1")
    assert (again.id, is_open) == (first.id, False)
    for system, content in (("A", b"2"), ("B", b"1")):
        with pytest.raises(InputError, match=f"'k1' belongs to submission {first.id}.*take a new key"):
            store.receive(benchmark_def, System(system), content, ".jsonl", idempotency_key="k1")
    theirs, is_open = store.receive(benchmark_def, System("C"), b"1", ".jsonl", account="eve", idempotency_key="k1")
    assert is_open and theirs.id != first.id


@pytest.mark.parametrize(
    ("suffix", "key", "said"),
    [
        (".jsonl", "", "idempotency key"),
        (".jsonl", "x" * 201, "1 to 200 printable"),
        (".jsonl", "a\0", "idempotency key"),
        ("." + "a" * 20, None, "at most 20 characters"),
        (".JSONL", None, "names no file of the hub"),
        ("/../x", None, "names no file of the hub"),
    ],
)
def test_what_only_some_databases_keep_is_refused_by_all(store, benchmark_def, suffix, key, said):
    with pytest.raises(InputError, match=said):
        store.receive(benchmark_def, System("A"), b"1", suffix, idempotency_key=key)
    assert store.submissions() == []


@pytest.mark.parametrize("state", ["rejected", "failed", "withdrawn", "superseded"])
def test_sent_again_after_an_end_is_received_once_more(store, benchmark_def, clock, state):
    if state == "rejected":
        first, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
        store.reject(first.id, b"{}", "E_JSON", "bad")
    else:
        first = send(store, benchmark_def)
        if state == "withdrawn":
            store.withdraw(first.id, "local")
        else:
            job = claim(store)
            store.fail(job, "no", 1) if state == "failed" else store.finish(job, [result_row()])
    clock.now += 1
    newer = publish(store, benchmark_def, content=b"2") if state == "superseded" else None
    assert store.get(first.id).state == state
    again, is_open = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    assert (again.id, again.state, is_open) == (first.id, "received", True)
    assert (again.error, again.error_code, again.superseded_by, store.report(first.id)) == (None, None, None, None)
    store.accept(again.id, 3, benchmark_def.recipe, 2)
    assert store.finish(claim(store), [result_row()])
    assert store.get(first.id).state == "published"
    if newer is not None:
        assert (store.get(newer.id).state, store.get(newer.id).superseded_by) == ("superseded", first.id)
    assert store.receive(benchmark_def, System("A"), b"1", ".jsonl") == (store.get(first.id), False)
    store.verify_events()


def test_a_system_belongs_to_who_used_its_name_first(store, benchmark_def):
    store.receive(benchmark_def, System("A"), b"1", ".jsonl", account="ada")
    with pytest.raises(RightsError, match="called 'A' belongs to somebody else"):
        store.receive(benchmark_def, System("A"), b"2", ".jsonl", account="eve")
    assert [(system.name, account) for system, account in store.systems()] == [("A", "ada")]


def test_what_is_said_of_a_system_is_taken_over_and_nothing_is_taken_back(store, benchmark_def):
    publish(store, benchmark_def)
    before = store.revision(benchmark_def)
    about = System("A", "ETH", parameters=7, open_weights=False, training_data=("wavcaps",))
    store.receive(benchmark_def, about, b"2", ".jsonl")
    assert store.roster(benchmark_def)[0].system == about
    assert store.revision(benchmark_def) == before + 1
    store.receive(benchmark_def, System("A", organisation="ETH Zurich"), b"3", ".jsonl")
    assert store.roster(benchmark_def)[0].system == replace(about, organisation="ETH Zurich")
    described = [event for event in store.newest_events() if event["kind"] == "described"]
    assert [event["subject"] for event in described] == ["system"] * 2
    assert described[1]["detail"] == {"organisation": "ETH Zurich"}


def test_a_quota_of_none_closes_a_hub(store, benchmark_def):
    with pytest.raises(LimitError, match=r"0 submissions to tiny within 24 hours; 0 are allowed.*in 24\.0 hours"):
        store.receive(benchmark_def, System("A"), b"1", ".jsonl", quota=Quota(0))
    send(store, benchmark_def, "A", b"1")
    with pytest.raises(LimitError, match="1 submissions to tiny within 24 hours; 0 are allowed"):
        store.receive(benchmark_def, System("A"), b"2", ".jsonl", quota=Quota(0))


def test_quota_counts_what_was_scored_within_a_day(store, benchmark_def, clock):
    quota = Quota(2)
    first = send(store, benchmark_def, "A", b"1", quota=quota)
    store.finish(claim(store), [result_row()])
    clock.now += 3_600
    failed = send(store, benchmark_def, "A", b"2", quota=quota)
    with pytest.raises(LimitError, match=r"2 submissions to tiny within 24 hours; 2 are allowed.*in 23\.0 hours") as raised:
        store.receive(benchmark_def, System("A"), b"3", ".jsonl", quota=quota)
    assert raised.value.retry_after_s == pytest.approx(23 * 3600)
    store.fail(claim(store), "our fault", 1)
    send(store, benchmark_def, "A", b"3", quota=quota)
    with pytest.raises(LimitError):
        store.receive(benchmark_def, System("A"), b"2", ".jsonl", quota=quota)  # the failed one: free, but anew it counts
    assert store.receive(benchmark_def, System("A"), b"1", ".jsonl", quota=quota) == (store.get(first.id), False)
    assert store.receive(replace(benchmark_def, id="other"), System("A"), b"1", ".jsonl", quota=quota)[1]
    assert store.receive(benchmark_def, System("B"), b"1", ".jsonl", account="eve", quota=quota)[1]
    clock.now += 23 * 3_600 + 1
    again, is_open = store.receive(benchmark_def, System("A"), b"2", ".jsonl", quota=quota)
    assert (again.id, is_open) == (failed.id, True)


def test_attempts_count_what_was_not_rejected(store, benchmark_def, clock):
    for content in (b"bad", b"worse"):
        submission, _ = store.receive(benchmark_def, System("A"), content, ".jsonl")
        store.reject(submission.id, b"{}", "E_JSON", "bad")
    assert publish(store, benchmark_def, content=b"1").attempt_no == 1
    assert publish(store, benchmark_def, content=b"2").attempt_no == 2
    assert publish(store, benchmark_def, "B").attempt_no == 1
    assert [(entry.system.name, entry.attempts) for entry in store.roster(benchmark_def)] == [("A", 2), ("B", 1)]


# -- the queue -------------------------------------------------------------------------------------------------------------------


def test_jobs_are_claimed_oldest_first_and_once(store, benchmark_def):
    first, second, third = (send(store, benchmark_def, name) for name in "ABC")
    assert [store.n_ahead(one.id) for one in (first, second, third)] == [0, 1, 2]
    claimed = [claim(store, "one"), claim(store, "two")]
    assert [job.submission_id for job in claimed] == [first.id, second.id]
    assert [store.n_ahead(one.id) for one in (first, second, third)] == [None, None, 0]
    assert store.get(first.id).state == "scoring" and claimed[0].recipe == benchmark_def.recipe
    assert store.n_unfinished() == 3
    assert store.counts() == {"scoring": 2, "queued": 1}


def test_finish_publishes_results_and_state_together(store, benchmark_def):
    submission = send(store, benchmark_def)
    job = claim(store)
    assert store.roster(benchmark_def) == [] and store.results([submission.id]) == {submission.id: []}
    rows = [result_row("bleu", 0.1), result_row("bleu", 0.2, name="bleu_1"), result_row(value=0.25)]
    assert store.finish(job, rows)
    published = store.get(submission.id)
    assert (published.state, published.progress_done, published.progress_total) == ("published", 2, 2)
    assert store.results([submission.id])[submission.id] == rows
    assert kinds(store, submission.id) == ["received", "queued", "scoring", "published"]
    assert store.n_unfinished() == 0 and store.revision(benchmark_def) == 1
    assert store.n_events() == store.verify_events() == 4


@pytest.mark.parametrize("rows", [[result_row(), result_row()], [replace(result_row(), n=None)]], ids=["twice", "no count"])
def test_a_failing_write_publishes_nothing(store, benchmark_def, rows):
    submission = send(store, benchmark_def)
    job = claim(store)
    with pytest.raises(Exception, match=r"(?i)collided|null"):
        store.finish(job, rows)
    assert store.get(submission.id).state == "scoring"
    assert store.results([submission.id])[submission.id] == []
    assert store.verify_events() == 3 and store.revision(benchmark_def) == 0
    assert store.finish(job, [result_row()])


def test_a_silent_worker_loses_its_job_and_its_late_write(store, benchmark_def, clock):
    submission = send(store, benchmark_def)
    stalled = claim(store, "stalled")
    clock.now += LEASE_S - 1
    assert store.claim("next", LEASE_S) is None
    clock.now += 2
    taken = claim(store, "next")
    assert (taken.submission_id, taken.attempt) == (submission.id, 2)
    assert not store.renew(stalled, LEASE_S, 1)
    assert not store.fail(stalled, "late", 3)
    assert not store.release(stalled)
    assert not store.finish(stalled, [result_row(value=0.9)])
    assert store.finish(taken, [result_row(value=0.4)])
    assert not store.finish(taken, [result_row(value=0.4)])
    assert [row.value for row in store.results([submission.id])[submission.id]] == [0.4]
    assert kinds(store, submission.id).count("published") == 1


def test_the_same_name_does_not_pass_the_fence(store, benchmark_def, clock):
    send(store, benchmark_def)
    before = claim(store, "w")
    clock.now += LEASE_S + 1
    after = claim(store, "w")
    assert not store.finish(before, [result_row()]) and store.finish(after, [result_row()])


def test_a_renewed_lease_holds_and_tells_how_far_it_is(store, benchmark_def, clock):
    submission = send(store, benchmark_def)
    job = claim(store)
    for done in range(1, 3):
        clock.now += LEASE_S - 1
        assert store.renew(job, LEASE_S, done)
        assert store.claim("other", LEASE_S) is None
        assert store.get(submission.id).progress_done == done


def test_a_released_job_waits_again_at_once(store, benchmark_def):
    submission = send(store, benchmark_def)
    assert store.release(claim(store))
    assert store.get(submission.id).state == "queued"
    assert claim(store).attempt == 2
    assert [event["detail"].get("expirations") for event in store.events(submission.id) if event["kind"] == "scoring"] == [0, 0]


def test_errors_are_retried_with_a_growing_pause_then_failed(store, benchmark_def, clock):
    submission = send(store, benchmark_def)
    for pause_s in (2.0, 4.0):
        assert store.fail(claim(store), "encoder is missing", 3)
        assert store.get(submission.id).state == "queued"
        clock.now += pause_s - 0.1
        assert store.claim("w", LEASE_S) is None
        clock.now += 0.2
    assert store.fail(claim(store), "encoder is missing", 3, code="E_SCORING")
    failed = store.get(submission.id)
    assert (failed.state, failed.error_code, failed.error) == ("failed", "E_SCORING", "encoder is missing")
    assert store.claim("w", LEASE_S) is None and store.n_unfinished() == 0


def test_troubles_of_the_machine_never_fail_a_submission(store, benchmark_def, clock):
    submission = send(store, benchmark_def)
    pauses_s = [min(2.0 ** (attempt + 1), 300.0) for attempt in range(1, 31)]
    for pause_s in pauses_s:
        assert store.fail(claim(store), "disk is full", 1, code="E_MACHINE", counts=False)
        clock.now += pause_s - 0.5
        assert store.claim("w", LEASE_S) is None
        clock.now += 1
    assert store.get(submission.id).state == "queued"
    assert store.finish(claim(store), [result_row()])


def test_a_worker_of_another_version_leaves_the_submission_to_be_scored_again(store, benchmark_def):
    submission = send(store, benchmark_def)
    assert store.finish(claim(store), [result_row()], "another version")
    assert store.get(submission.id).state == "published"
    assert store.rescore(benchmark_def, 2) == 1
    job = claim(store)
    assert job.recipe == benchmark_def.recipe
    assert store.finish(job, [result_row(digest="89abcdef")], benchmark_def.recipe)
    assert store.rescore(benchmark_def, 2) == 0


def test_a_rescoring_that_failed_is_queued_by_the_next_one(store, benchmark_def):
    send(store, benchmark_def)
    assert store.finish(claim(store), [result_row()], "another version")
    assert store.rescore(benchmark_def, 2) == 1
    assert store.fail(claim(store), "no encoder", 1)
    assert store.rescore(benchmark_def, 2) == 1


def test_what_is_sent_again_counts_again(store, benchmark_def, clock):
    quota = Quota(1)
    sent = {"account": "anna", "quota": quota}
    submission, _ = store.receive(benchmark_def, System("A"), b"x", ".csv", **sent)
    store.accept(submission.id, 3, benchmark_def.recipe, 2)
    store.withdraw(submission.id, "anna")
    with pytest.raises(LimitError, match="1 are allowed"):
        store.receive(benchmark_def, System("A"), b"x", ".csv", **sent)
    clock.now += 86_401
    again, is_open = store.receive(benchmark_def, System("A"), b"x", ".csv", **sent)
    assert (again.id, is_open, again.created_at) == (submission.id, True, clock.now)
    with pytest.raises(LimitError, match="1 are allowed"):
        store.receive(benchmark_def, System("B"), b"y", ".csv", **sent)


def test_dead_workers_do_not_count_as_errors_but_end_after_ten(store, benchmark_def, clock):
    submission = send(store, benchmark_def)
    for _ in range(MAX_EXPIRATIONS):
        claim(store)
        clock.now += LEASE_S + 1
    assert store.claim("w", LEASE_S) is None
    failed = store.get(submission.id)
    assert (failed.state, failed.error_code) == ("failed", "E_WORKERS_DIED")
    assert "10 workers died" in failed.error
    assert store.n_unfinished() == 0


def test_a_lease_longer_than_any_is_cut_and_keeps_its_job(store, benchmark_def, clock):
    send(store, benchmark_def)
    job = store.claim("w", 10 * MAX_LEASE_S)
    assert store.claim("other", LEASE_S) is None
    assert store.renew(job, 10 * MAX_LEASE_S, 1)
    assert store.claim("other", LEASE_S) is None
    clock.now += MAX_LEASE_S + 1
    assert store.claim("other", LEASE_S) is not None


def test_the_queue_tells_how_long_nobody_has_worked(store, benchmark_def, clock):
    assert store.queue() == (0, 0, 0.0)
    submission = send(store, benchmark_def)
    clock.now += 7
    assert store.queue() == (1, 0, pytest.approx(7))
    job = claim(store)
    assert store.queue() == (0, 1, 0.0)
    clock.now += LEASE_S + 5
    assert store.queue() == (1, 0, pytest.approx(5))  # its worker died: what nobody holds waits
    assert store.finish(job, [result_row()])
    clock.now += 86_400
    store.requeue(submission.id, "chief", benchmark_def.recipe, 2)
    clock.now += 3
    assert store.queue() == (1, 0, pytest.approx(3))  # not since it was sent


@pytest.mark.parametrize("by_s", [7_200.0, -7_200.0, -10 * MAX_LEASE_S], ids=["+2h", "-2h", "-10h"])
def test_no_job_waits_longer_because_the_clock_was_moved(store, benchmark_def, clock, by_s):
    held, paused = send(store, benchmark_def, "A"), send(store, benchmark_def, "B")
    claim(store)
    store.fail(claim(store), "later", 3)
    clock.now += by_s
    assert {claim(store).submission_id, claim(store).submission_id} == {held.id, paused.id}
    left, _ = store.receive(benchmark_def, System("C"), b"1", ".jsonl")
    clock.now -= 2 * MAX_PAUSE_S
    assert [one.id for one in store.waiting_for_validation(60)] == [left.id]


def test_a_clock_put_back_a_little_delays_no_longer_than_that(store, benchmark_def, clock):
    send(store, benchmark_def)
    claim(store)
    clock.now -= 600
    assert store.claim("w", LEASE_S) is None
    clock.now += 600 + LEASE_S + 1
    claim(store)


def test_left_over_validation_is_taken_by_one_and_given_up_after_some(store, benchmark_def, clock):
    left, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    assert store.waiting_for_validation(60) == []
    for number in range(2):
        clock.now += 61
        (found,) = store.waiting_for_validation(60)
        assert store.take_left_over(found, 2)
        assert not store.take_left_over(found, 2)
        assert store.waiting_for_validation(60) == []
        assert store.events(left.id)[-1]["detail"] == {"try": number + 1}
    clock.now += 61
    assert not store.take_left_over(store.get(left.id), 2)
    failed = store.get(left.id)
    assert (failed.state, failed.error_code) == ("failed", "E_VALIDATION")
    assert store.n_unfinished() == 0
    clock.now += 1
    again, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    assert store.take_left_over(again, 2)  # counted anew


def test_of_many_who_find_what_is_left_over_one_takes_it(store, benchmark_def, clock):
    for number in range(5):
        left, _ = store.receive(benchmark_def, System(f"S{number}"), b"1", ".jsonl")
        clock.now += 61
        assert sum(together(6, lambda _, left=left: store.take_left_over(left, 3))) == 1
    store.verify_events()


def test_one_that_cannot_be_validated_does_not_hide_the_others(store, benchmark_def, clock):
    for number in range(12):
        store.receive(benchmark_def, System(f"S{number}"), b"1", ".jsonl")
    clock.now += 61
    for one in store.waiting_for_validation(60, limit=10):
        store.take_left_over(one, 3)
    assert [one.system for one in store.waiting_for_validation(60, limit=10)] == ["S10", "S11"]


# -- superseding, taking off, scoring again --------------------------------------------------------------------------------------


def test_the_newest_attempt_stays_on_the_board(store, benchmark_def):
    old, new = publish(store, benchmark_def, content=b"1"), publish(store, benchmark_def, content=b"2")
    assert [entry.submission.id for entry in store.roster(benchmark_def)] == [new.id]
    assert (store.get(old.id).state, store.get(old.id).superseded_by) == ("superseded", new.id)


def test_the_newest_attempt_stays_even_when_an_older_one_is_done_later(store, benchmark_def):
    old, new = send(store, benchmark_def, content=b"1"), send(store, benchmark_def, content=b"2")
    slow, quick = claim(store, "slow"), claim(store, "quick")
    assert store.finish(quick, [result_row()]) and store.finish(slow, [result_row()])
    assert [entry.submission.id for entry in store.roster(benchmark_def)] == [new.id]
    assert (store.get(old.id).state, store.get(old.id).superseded_by) == ("superseded", new.id)
    assert kinds(store, old.id)[-2:] == ["published", "superseded"]
    assert len(store.results([old.id])[old.id]) == 1


def test_attempts_that_are_done_at_once_leave_one_on_the_board(store, benchmark_def):
    for round_ in range(5):
        sent = [send(store, benchmark_def, f"S{round_}", bytes([number])) for number in range(3)]
        jobs = [claim(store, f"w{number}") for number in range(3)]
        assert together(3, lambda number, jobs=jobs: store.finish(jobs[number], [result_row()])) == [True] * 3
        states = [store.get(one.id).state for one in sent]
        assert states == ["superseded", "superseded", "published"]
    store.verify_events()


def test_withdrawn_while_it_is_scored_publishes_nothing(store, benchmark_def):
    submission = send(store, benchmark_def)
    job = claim(store)
    assert store.withdraw(submission.id, "local").state == "withdrawn"
    assert not store.renew(job, LEASE_S, 1)
    assert not store.finish(job, [result_row()])
    assert store.roster(benchmark_def) == [] and store.results([submission.id])[submission.id] == []
    assert store.n_unfinished() == 0 and store.claim("w", LEASE_S) is None
    assert store.revision(benchmark_def) == 0


def test_withdrawn_before_it_was_validated_is_not_queued(store, benchmark_def):
    submission, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    store.withdraw(submission.id, "local")
    assert store.accept(submission.id, 3, benchmark_def.recipe, 2).state == "withdrawn"
    assert store.n_unfinished() == 0


def test_hidden_is_off_the_board_for_a_reason_and_can_be_brought_back(store, benchmark_def):
    submission = publish(store, benchmark_def)
    assert store.hide(submission.id, "root", "wrong file").state == "hidden"
    assert store.roster(benchmark_def) == []
    event = store.events(submission.id)[-1]
    assert (event["kind"], event["actor"], event["detail"]) == ("hidden", "root", {"reason": "wrong file"})
    with pytest.raises(StateError, match=r"is hidden; to be hidden is not possible"):
        store.hide(submission.id, "root", "again")
    with pytest.raises(StateError, match="is hidden; to be withdrawn"):
        store.withdraw(submission.id, "local")
    assert store.requeue(submission.id, "root", benchmark_def.recipe, 2).state == "queued"
    assert store.finish(claim(store), [result_row()])
    assert [entry.submission.id for entry in store.roster(benchmark_def)] == [submission.id]


def test_a_superseded_one_is_brought_back_after_the_newer_one_was_hidden(store, benchmark_def, clock):
    old, new = publish(store, benchmark_def, content=b"1"), publish(store, benchmark_def, content=b"2")
    store.hide(new.id, "root", "test set in training data")
    back = store.requeue(old.id, "root", benchmark_def.recipe, 2)
    assert (back.state, back.superseded_by) == ("queued", None)
    assert store.finish(claim(store), [result_row()])
    assert [entry.submission.id for entry in store.roster(benchmark_def)] == [old.id]


@pytest.mark.parametrize("state", ["received", "rejected", "queued", "scoring"])
def test_what_is_not_done_or_not_valid_is_not_queued_again(store, benchmark_def, state):
    submission, _ = store.receive(benchmark_def, System("A"), b"1", ".jsonl")
    if state == "rejected":
        store.reject(submission.id, b"{}", "E_JSON", "bad")
    elif state != "received":
        store.accept(submission.id, 3, benchmark_def.recipe, 2)
    if state == "scoring":
        claim(store)
    with pytest.raises(StateError, match=f"is {state}; to be queued again"):
        store.requeue(submission.id, "root", benchmark_def.recipe, 2)


def test_a_new_recipe_is_a_new_job_and_old_results_stay_until_it_is_done(store, benchmark_def, clock):
    one, two = publish(store, benchmark_def, "A"), publish(store, benchmark_def, "B")
    assert store.rescore(benchmark_def, 2) == 0
    newer = replace(benchmark_def, encoder="another")
    assert newer.recipe != benchmark_def.recipe
    before = store.revision(benchmark_def)
    assert (store.rescore(newer, 2), store.rescore(newer, 2)) == (2, 0)
    clock.now += 1
    job = claim(store)
    assert store.get(one.id).state == "published" and job.submission_id == one.id
    assert store.revision(benchmark_def) == before
    assert store.finish(job, [result_row(value=0.7, digest="feedbeef")])
    assert [row.digest for row in store.results([one.id])[one.id]] == ["0123abcd", "feedbeef"]
    assert kinds(store, one.id)[-3:] == ["requeued", "rescoring", "rescored"]
    assert store.revision(benchmark_def) == before + 1
    assert store.fail(claim(store), "no", 1)
    assert store.get(two.id).state == "published" and kinds(store, two.id)[-1] == "rescoring failed"
    assert store.get(two.id).error is None


def test_results_that_are_there_already_are_left_as_they_are(store, benchmark_def, clock):
    submission = publish(store, benchmark_def, value=0.5)
    store.requeue(submission.id, "root", benchmark_def.recipe, 2)
    clock.now += 1
    assert store.finish(claim(store), [result_row(value=0.9), result_row("bleu", 0.2)])
    found = {(row.metric, row.value) for row in store.results([submission.id])[submission.id]}
    assert found == {("rouge_l", 0.5), ("bleu", 0.2)}


def test_groups_have_results_of_their_own(store, benchmark_def):
    submission = send(store, benchmark_def)
    rows = [result_row(value=value, scope=scope) for value, scope in ((0.1, ""), (0.2, "music"), (0.3, "speech"))]
    assert store.finish(claim(store), rows)
    assert store.results([submission.id])[submission.id] == rows


# -- boards and pages ------------------------------------------------------------------------------------------------------------


def test_revision_grows_exactly_when_the_board_changes(store, benchmark_def, clock):
    other = replace(benchmark_def, id="other")
    seen = [store.revision(benchmark_def)]

    def note(grows: bool) -> None:
        seen.append(store.revision(benchmark_def))
        assert (seen[-1] > seen[-2]) == grows

    submission = send(store, benchmark_def)
    note(False)
    job = claim(store)
    store.renew(job, LEASE_S, 1)
    note(False)
    store.finish(job, [result_row()])
    note(True)
    rejected, _ = store.receive(benchmark_def, System("B", organisation="said"), b"1", ".jsonl")
    store.reject(rejected.id, b"{}", "E_JSON", "bad")
    store.receive(benchmark_def, System("B", organisation="said again"), b"2", ".jsonl")
    note(False)  # a system that is on no board
    store.receive(other, System("A", organisation="said"), b"1", ".jsonl")
    note(True)
    assert store.revision(other) == 0
    store.rescore(replace(benchmark_def, encoder="another"), 2)
    note(False)
    store.withdraw(submission.id, "local")
    note(True)


def test_pages_of_submissions_and_what_they_can_be_narrowed_to(store, benchmark_def):
    sent = [send(store, benchmark_def, name, account=who) for name, who in (("A", "ada"), ("B", "bob"), ("C", "ada"))]
    store.withdraw(sent[0].id, "ada")
    names = lambda **by: [one.system for one in store.submissions(**by)]  # noqa: E731
    assert names() == ["C", "B", "A"] and names(limit=2) == ["C", "B"]
    assert names(before=sent[1].id) == ["A"]
    assert names(account="ada") == ["C", "A"] and names(system="B") == ["B"]
    assert names(states=["withdrawn"]) == ["A"] and names(benchmark="other") == []


def test_unknown_submission_is_named(store):
    with pytest.raises(UnknownNameError, match="no submission is called 'nope'"):
        store.get("nope")


def test_store_opened_again_knows_everything(store, where, benchmark_def, clock):
    submission = publish(store, benchmark_def)
    again = where.open(clock)
    assert again.get(submission.id) == submission and again.roster(benchmark_def) == store.roster(benchmark_def)
    again.close()


def test_a_benchmark_is_opened_once_and_never_changes(store, items):
    content = to_parquet(items)
    assert (store.add_benchmark(items.benchmark, content), store.add_benchmark(items.benchmark, content)) == (True, False)
    with pytest.raises(StateError, match="of benchmark tiny version 1 is frozen; another definition"):
        store.add_benchmark(replace(items.benchmark, title="Other"), content)
    assert list(store.benchmarks()) == [items.benchmark]
    assert kinds(store, "tiny") == ["opened"]


# -- the log ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE event SET detail_json = '{}' WHERE number = 2", "event 2, " + TAMPERED),
        ("UPDATE event SET at = at + 1 WHERE number = 2", "event 2, " + TAMPERED),
        ("UPDATE event SET actor = 'eve' WHERE number = 3", "event 3, " + TAMPERED),
        ("DELETE FROM event WHERE number = 2", "event 3, " + TAMPERED),
        ("DELETE FROM event WHERE number = 4", "recorded by 3 events, not 4"),
        ("DELETE FROM event", "recorded by 0 events, not 4"),
        ("DELETE FROM chain", "not unknown as its end says"),
        (
            "INSERT INTO event SELECT 5, subject, subject_id, kind, actor, detail_json, at, sha256 FROM event WHERE number = 4",
            "event 5, " + TAMPERED,
        ),
    ],
)
def test_a_changed_log_is_noticed(store, benchmark_def, statement, said):
    publish(store, benchmark_def)
    assert store.verify_events() == 4
    execute(store, statement)
    with pytest.raises(StateError, match=said):
        store.verify_events()


def test_events_are_read_behind_a_number(store, benchmark_def):
    submission = publish(store, benchmark_def)
    assert [event["number"] for event in store.events(submission.id, after=2)] == [3, 4]
    assert [event["number"] for event in store.newest_events(2)] == [3, 4]
    assert store.newest_events(10, after=4) == []


# -- many at once ----------------------------------------------------------------------------------------------------------------


def test_the_same_file_sent_at_once_from_many_threads_is_one(store, benchmark_def):
    found = together(12, lambda _: store.receive(benchmark_def, System("A"), b"x", ".csv", idempotency_key="k")[0].id)
    assert len(set(found)) == 1
    assert kinds(store, found[0]) == ["received"]


def test_different_files_sent_at_once_are_all_kept_in_an_unbroken_log(store, benchmark_def):
    def step(number: int) -> None:
        for round_ in range(5):
            account, system = f"account {number % 3}", f"system {number % 3}.{round_ % 2}"
            store.receive(benchmark_def, System(system), f"{number} {round_}".encode(), ".csv", account=account)

    together(12, step)
    sent = store.submissions(limit=1_000)
    assert len(sent) == 60 == store.verify_events()
    attempts = Counter((one.system, one.attempt_no) for one in sent)
    assert set(attempts.values()) == {1}


def test_a_quota_holds_against_many_at_once(store, benchmark_def):
    def step(number: int) -> bool:
        try:
            return store.receive(benchmark_def, System("A"), bytes([number]), ".csv", account="ada", quota=Quota(4))[1]
        except LimitError:
            return False

    assert sum(together(12, step)) == 4


def test_claims_by_many_threads_are_never_double(store, benchmark_def):
    sent = [send(store, benchmark_def, f"S{number}") for number in range(40)]

    def step(number: int) -> list:
        found = []
        while (job := store.claim(f"w{number}", LEASE_S)) is not None:
            found.append(job)
            assert store.finish(job, [result_row()])
        return found

    claimed = [job.submission_id for jobs in together(8, step) for job in jobs]
    # on PostgreSQL a worker skips what another one is claiming just now, and may find nothing for a moment
    while (job := store.claim("last", LEASE_S)) is not None:
        claimed.append(job.submission_id)
        assert store.finish(job, [result_row()])
    assert Counter(claimed) == Counter(one.id for one in sent)
    assert store.counts() == {"published": 40}
    assert store.revision(benchmark_def) == 40
    store.verify_events()


def test_withdrawals_and_workers_at_once_leave_every_submission_in_one_of_two_ends(store, benchmark_def):
    sent = [send(store, benchmark_def, f"S{number}") for number in range(24)]

    def step(number: int) -> None:
        if number < 2:
            for one in sent[number::2]:
                store.withdraw(one.id, "local")
        else:
            while (job := store.claim(f"w{number}", LEASE_S)) is not None:
                store.finish(job, [result_row()])

    together(5, step)
    assert store.counts() == {"withdrawn": 24} and store.n_unfinished() == 0
    assert store.roster(benchmark_def) == []
    store.verify_events()


SENDER = """
import sys
from pathlib import Path
from unified_audiocaps.leaderboard.benchmark import benchmark_by_id
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import System
store = ResultStore(sys.argv[1], Path(sys.argv[2]))
benchmark = benchmark_by_id("sample")
for number in range(10):
    store.receive(benchmark, System(f"S{number}"), f"{number % 5}".encode(), ".csv", account="ada", idempotency_key=f"k{number}")
"""


def test_processes_that_open_a_new_database_together_and_send_the_same_all_succeed(where, clock):
    command = [sys.executable, "-c", SENDER, where.url, str(where.files)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 4
    store = where.open(clock)
    assert len(store.submissions()) == 10 == store.verify_events()
    store.close()


def test_ids_are_uuid7_and_sort_by_age():
    ids = [new_id() for _ in range(50)]
    assert {uuid.UUID(value).version for value in ids} == {7}
    assert {uuid.UUID(value).variant for value in ids} == {uuid.RFC_4122}
    assert ids == sorted(ids) and len(set(ids)) == len(ids)


def test_a_postgres_hub_needs_a_place_for_its_files(postgres_url):
    with pytest.raises(InputError, match="have no place; name a folder"):
        ResultStore(postgres_url)
