"""Workers that die in the middle of scoring lose nothing and publish nothing twice."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from unified_audiocaps.leaderboard.storage.store import ResultStore

from .conftest import EXAMPLES, UAC, wait_for

QUICK = {"UAC_LEASE_S": "2", "UAC_HEARTBEAT_S": "0.5"}
FILE = EXAMPLES / "tag-template.jsonl"


@pytest.fixture
def hub(uac, sample_data: Path, tmp_path: Path) -> list[object]:
    """Options of a hub with a benchmark that is scored in no time."""
    options = ["--db", f"sqlite:///{tmp_path}/hub.db", "--data", sample_data]
    uac("benchmark", "create", "quick", "--from", "sample/test", "--metrics", "bleu,rouge_l", "--primary", "rouge_l", *options)
    return options


def submit(uac, hub: list[object], system: str = "A") -> str:
    return uac("submit", FILE, "--benchmark", "quick", "--system", system, *hub).stdout.splitlines()[0]


def worker(hub: list[object], *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*UAC, "work", *more, *map(str, hub)],
        env={**os.environ, **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kinds(store: ResultStore, submission_id: str) -> list[str]:
    return [event["kind"] for event in store.events(submission_id)]


def test_killed_worker_is_replaced_and_the_submission_published_once(uac, hub):
    said = [submit(uac, hub) for _ in range(2)]
    assert said[0].startswith("queued: ") and said[1].startswith("already there, queued: ")
    submission_id = said[0].split()[-1]
    assert said[1].split()[-1] == submission_id

    store = ResultStore(str(hub[1]))
    workers = [worker(hub, "--once") for _ in range(2)]
    try:
        wait_for(lambda: store.get(submission_id).state == "scoring", "a worker to begin")
        holder_pid = int(store.events(submission_id)[-1]["detail"]["owner"].split(":")[1])
        (holder,) = (one for one in workers if one.pid == holder_pid)
        (other,) = (one for one in workers if one.pid != holder_pid)
        holder.kill()
        assert holder.wait(10) == -signal.SIGKILL
        assert store.get(submission_id).state == "scoring"
        wait_for(lambda: store.get(submission_id).state == "published", "the other worker to publish it")
        assert other.wait(60) == 0
    finally:
        for one in workers:
            one.kill()
            one.communicate()
    assert kinds(store, submission_id) == ["received", "queued", "scoring", "scoring", "published"]
    attempts = [event["detail"]["attempt"] for event in store.events(submission_id) if event["kind"] == "scoring"]
    assert attempts == [1, 2]
    assert store.verify_events() == 1 + 5
    assert submit(uac, hub).startswith("already there, published: ")
    assert uac("work", "--once", *hub).stdout == "published 0 submissions.\n"
    assert len(kinds(store, submission_id)) == 5


def test_the_process_that_scores_ends_with_its_killed_worker(uac, hub):
    submission_id = submit(uac, hub).split()[-1]
    store = ResultStore(str(hub[1]))
    holder = worker(hub)
    try:
        wait_for(lambda: store.get(submission_id).state == "published", "the worker to publish it")
        children = psutil.Process(holder.pid).children(recursive=True)
        assert children
    finally:
        holder.kill()
        holder.wait(10)
    wait_for(lambda: not [child for child in children if child.is_running() and child.status() != "zombie"], "them to end", 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_end_finishes_and_leaves(uac, hub, number):
    submission_id = submit(uac, hub).split()[-1]
    store = ResultStore(str(hub[1]))
    asked = worker(hub)
    wait_for(lambda: store.get(submission_id).state == "scoring", "the worker to begin")
    asked.send_signal(number)
    said, told = asked.communicate(timeout=40)
    assert (asked.returncode, said) == (0, "published 1 submission.\n"), told
    assert store.get(submission_id).state == "published"
    assert "Traceback" not in told


def test_workers_that_die_are_started_again_and_end_together(uac, hub):
    store = ResultStore(str(hub[1]))
    keeper = worker(hub, "--workers", "2")
    try:
        first = submit(uac, hub, "A").split()[-1]
        wait_for(lambda: store.get(first).state == "published", "a worker to publish it")
        workers = [int(event["detail"]["owner"].split(":")[1]) for event in store.events(first) if event["kind"] == "scoring"]
        os.kill(workers[0], signal.SIGKILL)
        second = submit(uac, hub, "B").split()[-1]
        wait_for(lambda: store.get(second).state == "published", "a worker to publish the next one")
        wait_for(lambda: n_workers(keeper.pid) == 2, "the dead one to be started again")
    finally:
        keeper.terminate()
        _, told = keeper.communicate(timeout=60)
    assert keeper.returncode == 0, told
    assert "starting another one" in told


def n_workers(pid: int) -> int:
    """Returns how many workers a process keeps; what Python starts beside them watches over shared memory."""
    commands = [" ".join(child.cmdline()) for child in psutil.Process(pid).children()]
    return sum("spawn_main" in command for command in commands)


def test_no_package_for_models_is_loaded_where_no_model_scores(uac, hub, tmp_path):
    submit(uac, hub)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from unified_audiocaps.leaderboard.worker import Place\n"
        f"hub = Place({str(hub[1])!r}, Path({str(hub[3])!r})).open()\n"
        "rows = hub.score(hub.store.claim('w', 20))\n"
        "print(len(rows), [name for name in ('torch', 'transformers', 'sentence_transformers', 'gradio') if name in sys.modules])"
    )
    done = subprocess.run([*UAC[:1], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "6 []\n"
