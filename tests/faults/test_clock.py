"""Worker processes whose clock is two hours off: every job is scored, once, and whoever comes next is not kept waiting."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import assert_whole, until, work_command, work_once, write

AHEAD, BEHIND = "+2h", "-2h"
HOURS = {AHEAD: 2, BEHIND: -2}
SHARED = Path("/dev/shm")  # where faketime keeps what its processes share


@pytest.fixture
def at(unavailable):
    """Returns what is written before a command so that its clock is off; the clock of pauses runs as ever."""
    if shutil.which("faketime") is None:
        unavailable("no program faketime")
    return lambda shift: ("env", "DONT_FAKE_MONOTONIC=1", "faketime", "-f", shift)


@contextlib.contextmanager
def started(command):
    """Runs a worker with a short lease beside the block; ends the whole group, because `faketime` forks."""
    environment = {**os.environ, "UAC_LEASE_S": "4", "UAC_HEARTBEAT_S": "1"}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        for left in (f"sem.faketime_sem_{process.pid}", f"faketime_shm_{process.pid}"):
            (SHARED / left).unlink(missing_ok=True)  # a later process of that number could not begin


def is_server(place) -> bool:
    """A server's clock is everybody's; of a file each process goes by its own, which on one machine is the same."""
    return place.db.startswith("postgresql")


@pytest.mark.parametrize("shift", [AHEAD, BEHIND])
def test_a_worker_whose_clock_is_off_publishes_everything_once(place, hub, send, at, shift):
    for number in range(3):
        send(f"S{number}", f"a dog barks {number}")
    work_once(place, *at(shift))
    assert_whole(hub, published=3)
    (last,) = hub.store.newest_events(1)
    assert (last["at"] - time.time()) / 3600 == pytest.approx(0 if is_server(place) else HOURS[shift], abs=0.1)
    send("later")
    work_once(place)
    assert_whole(hub, published=4)


@pytest.mark.parametrize(("first", "second"), [(AHEAD, None), (BEHIND, None), (None, AHEAD), (None, BEHIND)])
def test_the_job_of_a_worker_that_died_is_taken_over_within_its_lease_whoever_is_off(place, hub, send, at, first, second):
    sent = send("A")
    command = [*(at(first) if first else ()), *work_command(place)]
    with started(command) as dead:
        until(lambda: hub.store.get(sent.id).state == "scoring", "the worker to begin")
        os.killpg(dead.pid, signal.SIGKILL)
    if hub.store.get(sent.id).state == "published":
        pytest.skip("it was done before it could be killed")
    began = time.monotonic()
    work_once(place, *(at(second) if second else ()))
    assert time.monotonic() - began < 4 + 11  # the lease, and a worker's start on a machine that is busy
    assert_whole(hub, published=1)


def test_workers_of_machines_that_do_not_agree_on_the_time_publish_everything_once(place, hub, send, at, tmp_path):
    for number in range(12):
        send(f"S{number}", f"a dog barks {number}")
    commands = [
        [*at(shift), *work_command(place)] for shift in ((AHEAD, BEHIND, "+20s") if is_server(place) else (AHEAD, AHEAD, AHEAD))
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            stack.enter_context(started(command))
        until(lambda: hub.store.n_unfinished() == 0, "everything to be scored", 90)
    assert_whole(hub, published=12)


def test_files_sent_with_a_clock_ahead_are_scored_now(place, hub, at, tmp_path):
    submit = [*work_command(place)]
    submit[submit.index("work") : submit.index("work") + 1] = ["submit", str(write(tmp_path / "p.jsonl"))]
    submit += ["--benchmark", "tiny", "--system", "A"]
    subprocess.run([*at(AHEAD), *submit], check=True, capture_output=True, timeout=60)
    work_once(place)
    assert_whole(hub, published=1)
