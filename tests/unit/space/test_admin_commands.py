"""`uac admin` and `uac mirror` on a hub of three clips."""

import json
import sqlite3

import pytest
from huggingface_hub import constants
from unified_audiocaps.dataset_scripts.errors import FetchError, InputError, OfflineError, StateError, UnknownNameError
from unified_audiocaps.evaluators.metric import METRICS

from ...small_hub import empty_hub, everything, score_all, send, small_hub
from .command_line import uac


@pytest.fixture
def hub(tmp_path):
    hub = small_hub(tmp_path / "hub")
    for system, dog in (("A", "a dog barks"), ("B", "a dog barks twice")):
        send(hub, system, dog)
        score_all(hub)
    return hub


def where(hub) -> tuple[object, ...]:
    return "--db", hub.store.url, "--files", hub.store.files.folder


def admin(hub, *arguments: object, code: int = 0) -> str:
    return uac("admin", *arguments, *where(hub), code=code).output


def test_a_hidden_submission_comes_back_by_requeue(hub):
    (entry, _) = hub.store.roster(hub.benchmark("tiny"))
    id_ = entry.submission.id
    assert admin(hub, "hide", id_, "--reason", "trained on the test") == f"hidden: {id_} of A on tiny\n"
    assert [row.system.name for row in hub.board("tiny").rows] == ["B"]
    event = hub.store.events(id_)[-1]
    assert (event["kind"], event["actor"], event["detail"]) == ("hidden", "local", {"reason": "trained on the test"})
    assert admin(hub, "requeue", id_) == f"queued, to be scored again: {id_} of A on tiny\n"
    assert score_all(hub) == 1
    assert len(hub.board("tiny").rows) == 2


def test_what_cannot_be_done_is_refused(hub):
    id_ = send(hub, "C").id
    with pytest.raises(StateError, match="is queued; to be queued again is not possible"):
        admin(hub, "requeue", id_)
    with pytest.raises(UnknownNameError, match="no submission is called 'nope'"):
        admin(hub, "hide", "nope", "--reason", "x")
    with pytest.raises(InputError, match="there is no reason; say in a few words"):
        admin(hub, "hide", id_, "--reason", "  ")
    with pytest.raises(UnknownNameError, match="no benchmark is called 'tni'"):
        admin(hub, "rescore", "tni")


def test_a_board_is_scored_again_after_a_preview(hub, monkeypatch):
    assert "0 submissions to tiny would be scored again." in admin(hub, "rescore", "tiny", "--dry-run")
    metric = METRICS.get("rouge_l")
    monkeypatch.setattr(metric, "version", metric.version + 1)
    assert "2 submissions to tiny would be scored again." in admin(hub, "rescore", "tiny", "--dry-run")
    assert len(json.loads(admin(hub, "rescore", "tiny", "--dry-run", "--json"))["outdated"]) == 2
    before = everything(hub)
    lines = admin(hub, "rescore", "tiny", "--preview").splitlines()
    assert lines[0].split() == ["RANK", "NEW", "RANK", "SCORE", "NEW", "SCORE", "SYSTEM", "SUBMISSION"]
    assert lines[1].split()[:2] == ["1", "1"] and lines[1].split()[4] == "B"
    assert lines[-1] == "0 of 2 systems would change their rank; nothing was published."
    assert everything(hub) == before
    assert admin(hub, "rescore", "tiny") == "2 submissions to tiny are queued to be scored again.\n"
    assert score_all(hub) == 2
    assert json.loads(admin(hub, "rescore", "tiny", "--json")) == {"benchmark": "tiny", "queued": 0}


def test_a_preview_shows_ranks_that_change(hub, monkeypatch):
    metric = METRICS.get("rouge_l")
    statistics = metric.item_stats
    monkeypatch.setattr(metric, "version", 99)
    monkeypatch.setattr(metric, "item_stats", lambda self, *given: 1 - statistics(self, *given))
    changes = json.loads(admin(hub, "rescore", "tiny", "--preview", "--json"))
    assert [(one["system"], one["rank"], one["new_rank"]) for one in changes] == [("A", 2, 1), ("B", 1, 2)]
    for one in changes:
        assert one["new_value"] == pytest.approx(1 - one["value"])
    assert [row.system.name for row in hub.board("tiny").rows] == ["B", "A"]


def test_the_log_is_verified(hub):
    number, sha256 = hub.store.log_end()
    assert admin(hub, "verify-log") == f"{number} events, none altered; the last one has sha256 {sha256}\n"
    with sqlite3.connect(hub.store.database_path) as connection:
        connection.execute("update event set actor = 'nobody' where number = 2")
    told = admin(hub, "verify-log", code=1)
    assert "the event log was altered" in told and "recorded by event 2" in told and "Restore the hub from a backup" in told


def test_files_are_checked(hub):
    assert admin(hub, "check").endswith("files: 0 missing, 0 damaged.\n")
    one, other = [path for path in sorted(hub.store.files.folder.rglob("*")) if path.is_file()][:2]
    one.unlink()
    other.write_bytes(b"damaged")
    told = admin(hub, "check", code=1)
    assert f"missing: {one.name}\ndamaged: {other.name}\n" in told
    assert told.endswith("files: 1 missing, 1 damaged.\n")
    assert json.loads(admin(hub, "check", "--json", code=1))["missing"] == [one.name]


def test_status(hub, double, monkeypatch):
    send(hub, "C")
    told = admin(hub, "status")
    assert "STATE      SUBMISSIONS\npublished  2\nqueued     1\n" in told
    assert "waiting or being scored: 1, the oldest for 0 s" in told
    assert f"events: {hub.store.n_events()}" in told
    assert "mirror: none; UAC_MIRROR=OWNER/NAME sets one" in told
    monkeypatch.setenv("UAC_MIRROR", "my-lab/mirror")
    assert json.loads(admin(hub, "status", "--json"))["mirror"]["behind"] == hub.store.n_events()
    uac("mirror", "push", *where(hub))
    send(hub, "D")
    assert f"my-lab/mirror holds {hub.store.n_events() - 2} events, 2 are to be sent" in admin(hub, "status")
    assert "is another hub's mirror" in admin(empty_hub(hub.data / "other"), "status")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "mirror: my-lab/mirror: my-lab/mirror is on the Hub and HF_HUB_OFFLINE is set" in admin(hub, "status")


def test_backup_and_restore(hub, tmp_path):
    told = admin(hub, "backup", tmp_path / "hub.tar")
    assert told.startswith(f"{tmp_path}/hub.tar: ") and f"{hub.store.n_events()} events, " in told
    new = empty_hub(tmp_path / "new")
    assert admin(new, "restore", tmp_path / "hub.tar").startswith("restored ")
    assert everything(new) == everything(hub)


def test_mirror_and_rebuild(hub, double, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no mirror is named; say --repo OWNER/NAME, or set UAC_MIRROR"):
        uac("mirror", "push", *where(hub))
    repo = ("--repo", "my-lab/mirror")
    n = hub.store.n_events()
    assert uac("mirror", "status", *repo, *where(hub)).output == f"my-lab/mirror is not there yet; {n} events are to be sent.\n"
    assert uac("mirror", "push", *repo, *where(hub)).output == f"sent {n} events and 7 files to my-lab/mirror in 1 commit\n"
    monkeypatch.setenv("UAC_MIRROR", "my-lab/mirror")
    assert uac("mirror", "push", *where(hub)).output == "my-lab/mirror is up to date.\n"
    assert uac("mirror", "status", *where(hub)).output == f"my-lab/mirror (private) holds {n} events; 0 are to be sent.\n"
    new = empty_hub(tmp_path / "new")
    told = uac("mirror", "rebuild", *where(new)).output
    assert told.startswith("rebuilt from my-lab/mirror: ") and told.endswith(f"log end {hub.store.log_end()[1][:16]}\n")
    assert new.board("tiny") == hub.board("tiny")
    other = small_hub(tmp_path / "other")
    with pytest.raises(FetchError, match="it is another hub's mirror"):
        uac("mirror", "status", *where(other))
    assert json.loads(uac("mirror", "status", "--json", *where(new)).output)["behind"] == 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set; unset it"):
        uac("mirror", "push", *where(hub))


@pytest.mark.parametrize(
    "command",
    [
        *[("admin", name) for name in ("requeue", "hide", "rescore", "verify-log", "check", "status", "backup", "restore")],
        *[("mirror", name) for name in ("push", "rebuild", "status")],
    ],
    ids=" ".join,
)
def test_help_shows_an_example(command):
    assert f"uac {' '.join(command)} " in uac(*command, "--help").output.replace("\n", " ").partition("Example:")[2]
