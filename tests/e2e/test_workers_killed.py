"""Workers that die in the middle of scoring lose nothing and publish nothing twice."""

import os
import signal
import subprocess

from unified_audiocaps.leaderboard.store import ResultStore

from .conftest import EXAMPLES, UAC, wait_for

QUICK = {"UAC_LEASE_S": "2", "UAC_HEARTBEAT_S": "0.5"}


def test_killed_worker_is_replaced_and_the_submission_published_once(uac, sample_data, tmp_path):
    db = f"sqlite:///{tmp_path}/hub.db"
    file = EXAMPLES / "tag-template.jsonl"
    sent = [uac("submit", file, "--benchmark", "sample", "--system", "A", "--db", db, "--data", sample_data) for _ in range(2)]
    assert sent[0].stdout.startswith("queued: ") and sent[1].stdout.startswith("already there, queued: ")
    submission_id = sent[0].stdout.split()[-1]
    assert sent[1].stdout.split()[-1] == submission_id

    store = ResultStore(db)
    command = [*UAC, "work", "--once", "--db", db, "--data", str(sample_data)]
    environment = {**os.environ, **QUICK}
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]
    try:
        wait_for(lambda: store.get(submission_id).state == "scoring", "a worker to begin")
        holder_pid = int(store.events(submission_id)[-1]["detail"]["owner"].split(":")[1])
        (holder,) = (worker for worker in workers if worker.pid == holder_pid)
        (other,) = (worker for worker in workers if worker.pid != holder_pid)
        holder.kill()
        assert holder.wait(10) == -signal.SIGKILL
        assert store.get(submission_id).state == "scoring"
        wait_for(lambda: store.get(submission_id).state == "published", "the other worker to publish it")
        assert other.wait(60) == 0
    finally:
        for worker in workers:
            worker.kill()

    kinds = [event["kind"] for event in store.events(submission_id)]
    assert kinds.count("published") == 1
    assert store.verify_events() == len(kinds)
    again = uac("submit", file, "--benchmark", "sample", "--system", "A", "--db", db, "--data", sample_data)
    assert again.stdout.startswith("already there, published: ")
    uac("work", "--once", "--db", db, "--data", sample_data)
    assert [event["kind"] for event in store.events(submission_id)] == kinds


def test_holder_killed_in_mid_scoring_hands_its_job_over(uac, sample_data, tmp_path):
    db = f"sqlite:///{tmp_path}/hub.db"
    sent = uac(
        "submit",
        EXAMPLES / "one-caption-for-all.jsonl",
        "--benchmark",
        "sample",
        "--system",
        "A",
        "--db",
        db,
        "--data",
        sample_data,
    )
    submission_id = sent.stdout.split()[-1]
    store = ResultStore(db)
    command = [*UAC, "work", "--once", "--db", db, "--data", str(sample_data)]
    with subprocess.Popen(command, env={**os.environ, **QUICK}) as holder:
        wait_for(lambda: store.get(submission_id).state == "scoring", "the worker to begin")
        holder.kill()
    assert store.get(submission_id).state == "scoring"
    uac("work", "--once", "--db", db, "--data", sample_data, **QUICK)
    assert store.get(submission_id).state == "published"
    attempts = [event["detail"]["attempt"] for event in store.events(submission_id) if event["kind"] == "scoring"]
    assert attempts == [1, 2]
