"""The sample's board through a mirror on the double of the Hub, all by the command line: killed, rebuilt, equal."""

import os
import signal
import subprocess

import pytest
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore

from .conftest import EXAMPLES, UAC, wait_for

REPO = "my-lab/mirror"


@pytest.fixture
def online(online) -> dict[str, str]:
    """The environment, with the mirror in it."""
    return {**online, "UAC_MIRROR": REPO}


def rows_of(hub: Hub) -> list[tuple]:
    return [
        (row.rank, row.low, row.high, row.tie_group, row.system, row.values, row.intervals) for row in hub.board("sample").rows
    ]


def test_the_mirror_restores_an_emptied_database_to_an_equal_board(double, online, uac, sample_data, tmp_path):
    db = f"sqlite:///{tmp_path}/hub.db"
    place = ("--db", db, "--data", sample_data)
    first, *others = sorted(EXAMPLES.glob("*.jsonl"))
    uac("submit", first, "--benchmark", "sample", "--system", first.stem, *place)
    uac("work", "--once", *place)
    assert f"events and 3 files to {REPO} in 1 commit" in uac("mirror", "push", *place, **online).stdout
    for file in others:
        uac("submit", file, "--benchmark", "sample", "--system", file.stem, "--training-data", "wavcaps", *place)
    uac("work", "--once", *place)
    pushers = [
        subprocess.Popen([*UAC, "mirror", "push", *map(str, place)], env={**os.environ, **online}, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    wait_for(lambda: len(double.repositories["dataset", REPO].commits) > 2 or pushers[0].poll() is not None, "a commit")
    pushers[0].send_signal(signal.SIGKILL)
    for pusher in pushers:
        pusher.communicate(timeout=60)
    uac("mirror", "push", *place, **online)

    hub = Hub(ResultStore(db), sample_data, Settings())
    before, end = rows_of(hub), hub.store.log_end()
    assert len(before) == 3 and all(row[1] is not None for row in before)
    hub.store.close()
    for path in tmp_path.glob("hub*"):
        subprocess.run(["rm", "-r", str(path)], check=True)

    told = uac("mirror", "rebuild", *place, **online).stdout
    assert f"{end[0]} events, 9 files" in told
    rebuilt = Hub(ResultStore(db), sample_data, Settings())
    assert rows_of(rebuilt) == before
    assert rebuilt.store.log_end() == end
    assert uac("admin", "verify-log", *place).stdout.startswith(f"{end[0]} events, none altered")
    assert "9 files: 0 missing, 0 damaged." in uac("admin", "check", *place).stdout
    assert f"holds {end[0]} events; 0 are to be sent" in uac("mirror", "status", *place, **online).stdout
    assert "expected an empty one" in uac("mirror", "rebuild", *place, code=2, **online).stderr
    rebuilt.store.close()
