"""The mirror against a double of the Hub: everything once and in order, whatever fails, and back into an equal hub."""

import hashlib
import json
import logging
import sqlite3
import threading
import time

import pytest
from huggingface_hub import constants
from unified_audiocaps.dataset_scripts.errors import (
    AccessError,
    ChecksumError,
    FetchError,
    InputError,
    LimitError,
    OfflineError,
    StateError,
)
from unified_audiocaps.leaderboard.storage import mirror as mirrors
from unified_audiocaps.leaderboard.storage.mirror import Batch, Mirror, mirroring, rebuild
from unified_audiocaps.leaderboard.worker import Place

from ....hub_double import Refusal, Repository
from ....small_hub import empty_hub, everything, score_all, send, small_hub

REPO = "my-lab/mirror"
TOKEN = "hf_ThisIsTheToken"


@pytest.fixture
def hub(tmp_path):
    """Three published systems, one of them twice, one rejected submission, one that waits."""
    hub = small_hub(tmp_path / "hub")
    for system, dog in (("A", "a dog barks"), ("B", "a dog barks twice"), ("C", "music"), ("A", "a small dog barks")):
        send(hub, system, dog)
        score_all(hub)
    send(hub, "D", "")
    send(hub, "E", "a hound")
    return hub


class Pauses(list):
    """Remembers how long somebody wanted to wait, and waits for nothing."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def mirror_of(hub, **options) -> Mirror:
    return Mirror(hub.store, REPO, TOKEN, **{"pause": Pauses(), **options})


def repository(double) -> Repository:
    return double.repositories["dataset", REPO]


def files(double) -> dict[str, bytes]:
    return repository(double).commits[-1].files


def batches(double) -> list[Batch]:
    return sorted(filter(None, map(Batch.named, files(double))), key=lambda one: one.first)


def events(double) -> list[int]:
    """The numbers of all events that were sent, in the order of the batches."""
    lines = [json.loads(line) for one in batches(double) for line in files(double)[one.path].splitlines()]
    return [row["number"] for name, row in lines if name == "event"]


def rebuilt(tmp_path, name="rebuilt"):
    new = empty_hub(tmp_path / name)
    return new, rebuild(REPO, new.store, TOKEN, pause=Pauses())


# -- push and rebuild ------------------------------------------------------------------------------------------------------------


def test_what_was_pushed_in_parts_is_rebuilt_into_an_equal_hub(double, hub, tmp_path):
    first = mirror_of(hub).push()
    assert (first.n_events, len(first.commits)) == (hub.store.n_events(), 1)
    send(hub, "F", "a dog is barking loudly", organisation="Somebody", training_data=("wavcaps",))
    assert score_all(hub) == 2
    send(hub, "A", "a dog", description="said later")
    second = mirror_of(hub).push()
    assert first.n_events + second.n_events == hub.store.n_events()
    assert mirror_of(hub).push().commits == ()

    new, report = rebuilt(tmp_path)
    assert everything(new) == everything(hub)
    assert new.board("tiny") == hub.board("tiny")
    assert (new.board("tiny").rows[0].rank, new.board("tiny").rows[0].system.name) == (1, "B")
    assert new.board("tiny").compared == 5  # rank ranges come from the files of draws
    assert new.store.verify_events() == report.n_events == hub.store.n_events()
    assert report.end == hub.store.log_end()[1]
    for row in new.board("tiny").rows:
        assert new.item_scores(row.submission_id).equals(hub.item_scores(row.submission_id))
    (rejected,) = new.store.submissions(states=["rejected"])
    assert json.loads(new.store.report(rejected.id))["problems"]
    assert score_all(new) == 1  # what waited waits again


def test_a_rebuilt_hub_goes_on_with_the_same_mirror(double, hub, tmp_path):
    mirror_of(hub).push()
    new, _ = rebuilt(tmp_path)
    assert mirror_of(new).push().commits == ()
    score_all(new)
    assert mirror_of(new).push().n_events == 2
    with pytest.raises(InputError, match="my-lab/mirror holds 24 events and this hub 22: it is another hub's mirror, or"):
        mirror_of(hub).push()


def test_the_repository_is_private_explains_itself_and_holds_no_token(double, hub):
    pushed = mirror_of(hub).push()
    assert repository(double).private
    card = files(double)["README.md"].decode()
    assert "viewer: false" in card and f"uac mirror rebuild --repo {REPO}" in card
    assert sum(name.startswith("files/") for name in files(double)) == pushed.n_files
    assert all(TOKEN.encode() not in content for content in files(double).values())


def test_a_file_that_is_there_never_changes(double, hub):
    push = mirror_of(hub, max_events=4).push
    push()
    send(hub, "G", "a bell")
    score_all(hub)
    push()
    seen: dict[str, bytes] = {}
    for commit in repository(double).commits:
        assert seen.items() <= commit.files.items()
        seen = commit.files
    assert len(repository(double).commits) > 5
    for name, content in seen.items():
        if name.startswith("files/"):
            assert hashlib.sha256(content).hexdigest() == name.split("/")[-1][:64]


def test_every_prefix_of_the_mirror_is_a_hub_as_it_once_was(double, hub, tmp_path, monkeypatch):
    mirror_of(hub, max_events=2).push()
    commits = repository(double).commits
    assert len(batches(double)) > 8
    whole = hub.store.log_end()[0]
    for end in range(2, len(commits) + 1):
        repository(double).commits = commits[:end]
        new, report = rebuilt(tmp_path, f"prefix {end}")
        assert new.store.verify_events() == report.n_events == batches(double)[-1].last <= whole
        systems = [row.system.name for row in new.board("tiny").rows]
        assert len(systems) == len(set(systems))
        for one in new.store.submissions():
            kinds = [event["kind"] for event in new.store.events(one.id)]
            assert kinds[-1] == one.state or one.state == "queued"


@pytest.mark.parametrize(("options", "n_batches"), [({"max_events": 5}, 5), ({"max_bytes": 1}, 13), ({"max_events": 1_000}, 1)])
def test_batches_are_bounded(double, hub, options, n_batches, tmp_path):
    pushed = mirror_of(hub, **options).push()
    assert len(pushed.commits) == len(batches(double)) == n_batches
    assert events(double) == list(range(1, hub.store.n_events() + 1))
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_batches_lie_in_folders_that_do_not_grow(double, hub, monkeypatch, tmp_path):
    monkeypatch.setattr(mirrors, "EVENTS_PER_FOLDER", 8)
    mirror_of(hub, max_events=3).push()
    assert {one.path.split("/")[1] for one in batches(double)} == {"00000000", "00000001", "00000002"}
    assert mirror_of(hub).push().commits == ()
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_a_description_that_changed_reaches_every_board(double, hub, tmp_path):
    mirror_of(hub).push()
    send(hub, "B", "a dog barks twice", organisation="Known now")
    mirror_of(hub).push()
    new, _ = rebuilt(tmp_path)
    assert new.board("tiny").revision == hub.board("tiny").revision
    assert {row.system.organisation for row in new.board("tiny").rows if row.system.name == "B"} == {"Known now"}


@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_mirror_leads_from_one_database_to_the_other(double, tmp_path, request, unavailable, kind, other):
    try:
        urls = {"sqlite": None, "postgres": request.getfixturevalue("postgres_url")}
    except pytest.FixtureLookupError:
        unavailable("no PostgreSQL for tests")
    hub, new = small_hub(tmp_path / "hub", urls[kind]), empty_hub(tmp_path / "new", urls[other])
    send(hub, "A")
    score_all(hub)
    send(hub, "A", "a dog barks twice")
    score_all(hub)
    mirror_of(hub, max_events=3).push()
    rebuild(REPO, new.store, TOKEN)
    assert everything(new) == everything(hub)
    assert new.board("tiny") == hub.board("tiny")
    hub.store.close()
    new.store.close()


# -- trouble ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "least_s", "most_s"),
    [
        pytest.param(Refusal(412), 0, 1, id="somebody else committed"),
        pytest.param(Refusal(409), 0, 1, id="another commit is being made"),
        pytest.param(Refusal(429, {"Retry-After": "7"}), 7, 8, id="too many requests"),
        pytest.param(Refusal(429, {"RateLimit": '"api";r=0;t=5'}), 5, 6, id="a limit as the Hub words it"),
        pytest.param(Refusal(429), 0, 1, id="too many requests, without a time"),
        pytest.param(Refusal(500), 0, 1, id="a failure of the Hub"),
        pytest.param(Refusal(503), 0, 1, id="the Hub is away"),
        pytest.param(Refusal(504, is_done=True), 0, 1, id="the commit was made and its answer lost"),
    ],
)
def test_what_passes_is_tried_again(double, hub, refusal, least_s, most_s):
    pauses = Pauses()
    double.refusals = [refusal]
    mirror_of(hub, max_events=6, pause=pauses).push()
    assert events(double) == list(range(1, hub.store.n_events() + 1))
    assert len(pauses) == 1
    assert least_s <= pauses[0] <= most_s


@pytest.mark.parametrize(
    ("refusals", "error", "match"),
    [
        pytest.param([Refusal(500)] * 50, FetchError, "the Hub answers 500 for my-lab/mirror; nothing was lost", id="500"),
        pytest.param([Refusal(412)] * 50, FetchError, "others kept writing to my-lab/mirror", id="412"),
        pytest.param([Refusal(403)], AccessError, r"not open to you \(the Hub answered 403\)", id="403"),
        pytest.param([Refusal(413)], FetchError, "the Hub refused my-lab/mirror", id="413"),
        pytest.param([Refusal(429, {"Retry-After": "3600"})], LimitError, "wants my-lab/mirror to wait for 3,600 s", id="429"),
    ],
)
def test_what_does_not_pass_is_told_and_the_next_push_goes_on(double, hub, refusals, error, match, tmp_path):
    mirror = mirror_of(hub, max_events=6)
    double.refusals = list(refusals)
    with pytest.raises(error, match=match) as told:
        mirror.push()
    assert TOKEN not in str(told.value)
    double.refusals = []
    mirror.push()
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_a_hub_that_is_gone_is_told(double, hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match=r"the Hub does not answer for my-lab/mirror .*nothing was lost, push again"):
        mirror_of(hub).push()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match=r"HF_HUB_OFFLINE is set; unset it\. Nothing was lost"):
        mirror_of(hub).push()


def test_killed_between_two_commits_loses_and_repeats_nothing(double, hub, tmp_path):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    mirror = mirror_of(hub, max_events=6)
    double.refusals = [None, Refusal(500, is_done=True)]
    with pytest.raises(KeyboardInterrupt):
        mirror_of(hub, max_events=6, pause=killed).push()
    assert 0 < len(events(double)) < hub.store.n_events()
    mirror.push()
    assert events(double) == list(range(1, hub.store.n_events() + 1))
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_pushers_at_once_send_everything_once(double, hub, tmp_path):
    double.create(REPO, {}).private = True
    failures = []

    def push() -> None:
        try:
            mirror_of(hub, max_events=2, pause=lambda seconds: time.sleep(seconds / 50)).push()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(4):
        send(hub, "late", f"a dog barks {number} times")
        score_all(hub)
    for thread in threads:
        thread.join()
    assert failures == []
    mirror_of(hub).push()
    assert events(double) == list(range(1, hub.store.n_events() + 1))
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_a_commit_of_somebody_else_is_no_harm(double, hub, tmp_path):
    mirror = mirror_of(hub)
    mirror.push()
    repository(double).add("a person explains", {**files(double), "README.md": b"# Ours", "notes.txt": b"by hand"})
    score_all(hub)
    assert mirror.push().n_events == 2
    assert files(double)["README.md"] == b"# Ours"
    assert everything(rebuilt(tmp_path)[0]) == everything(hub)


def test_another_hubs_mirror_is_refused(double, hub, tmp_path):
    mirror_of(hub, max_events=5).push()
    before = len(repository(double).commits)
    other = small_hub(tmp_path / "other")
    for number in range(20):
        send(other, f"S{number}")
    with pytest.raises(InputError, match="my-lab/mirror is the mirror of another hub: its event 22 has sha256"):
        mirror_of(other).push()
    with pytest.raises(InputError, match="holds 22 events and this hub 0"):
        mirror_of(empty_hub(tmp_path / "empty")).push()
    assert len(repository(double).commits) == before


@pytest.mark.parametrize("name", ["mirror", "a/b/c", "a b/c", ""])
def test_a_name_that_is_none_is_refused(hub, name):
    with pytest.raises(InputError, match=r"expected OWNER/NAME, such as my-lab/leaderboard"):
        Mirror(hub.store, name)


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_file_that_is_not_sound_is_not_sent(double, hub, how):
    path = hub.store.files.path(hub.store.submissions(1)[0].content_sha256, ".jsonl")
    path.write_bytes(b"something else") if how == "damaged" else path.unlink()
    with pytest.raises(InputError, match=f"{path.name} is {how}"):
        mirror_of(hub).push()
    assert events(double) == []


def test_private_references_stay_out_of_a_public_repository(double, tmp_path):
    hub = small_hub(tmp_path / "hub", private=True)
    send(hub, "A")
    score_all(hub)
    double.create(REPO, {})
    with pytest.raises(
        InputError, match=r"my-lab/mirror is public, and the references of tiny are private; nothing was sent\. Make"
    ):
        mirror_of(hub).push()
    assert list(files(double)) == [".gitattributes"]
    repository(double).private = True
    mirror = mirror_of(hub)
    mirror.push()
    new, _ = rebuilt(tmp_path)
    assert new.board("tiny") == hub.board("tiny")
    repository(double).private = False  # made public later
    before = files(double)
    send(hub, "B")
    with pytest.raises(InputError, match="my-lab/mirror is public"):
        mirror.push()
    assert files(double) == before


# -- what a rebuild refuses ------------------------------------------------------------------------------------------------------


def replace_batch(double, place: int, change) -> None:
    """Changes the lines of a batch and gives it the name that its new content deserves: what a careful forger does."""
    one = batches(double)[place]
    held = dict(files(double))
    rows = [json.loads(line) for line in held.pop(one.path).splitlines()]
    change(rows)
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    forged = Batch(one.first, one.last, one.end, hashlib.sha256(content).hexdigest()[:16])
    repository(double).add("forged", {**held, forged.path: content})


def change_event(rows) -> None:
    next(row for name, row in rows if name == "event")["actor"] = "nobody"


def drop_event(rows) -> None:
    rows.pop()


def change_note(rows) -> None:
    rows[0][1]["version"] = "of somebody else"


def change_format(rows) -> None:
    rows[0][1].update(format=2, version="9.0")


def add_column(rows) -> None:
    next(row for name, row in rows if name == "submission")["colour"] = "red"


@pytest.mark.parametrize(
    ("place", "change", "error", "match"),
    [
        pytest.param(-1, change_event, StateError, "which was altered; restoring it is not possible", id="an event"),
        pytest.param(-1, drop_event, ChecksumError, "is not what follows batches/", id="a missing event"),
        pytest.param(0, change_note, ChecksumError, "is not what follows batches/00000000/", id="an older batch"),
        pytest.param(-1, change_format, InputError, "has format 2; expected 1. Rebuild with unified-audiocaps 9.0", id="format"),
        pytest.param(-1, add_column, InputError, "a row of 'submission' does not fit the tables", id="a column"),
    ],
)
def test_a_forged_batch_is_refused(double, hub, tmp_path, place, change, error, match):
    mirror_of(hub, max_events=8).push()
    replace_batch(double, place, change)
    new = empty_hub(tmp_path / "new")
    with pytest.raises(error, match=match):
        rebuild(REPO, new.store, TOKEN, pause=Pauses())
    assert list(new.store.dump()) == list(empty_hub(tmp_path / "emptier").store.dump())


def damage(held: dict[str, bytes], name: str) -> None:
    held[name] = held[name][:-2] + b"x\n"


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        pytest.param(lambda held, old: damage(held, old[1].path), ChecksumError, "its name has another sha256", id="damaged"),
        pytest.param(lambda held, old: held.pop(old[1].path), InputError, "a gap: event 9 should follow, and batches/", id="gap"),
        pytest.param(lambda held, old: held.pop(old[0].path), InputError, "a gap: event 1 should follow", id="no beginning"),
        pytest.param(
            lambda held, old: held.update({Batch(5, 9, "0" * 8, "0" * 16).path: b""}), InputError, "a gap: event 9", id="twice"
        ),
        pytest.param(
            lambda held, old: [held.pop(name) for name in list(held) if name.startswith("batches")],
            InputError,
            "holds no batches of events; it is no mirror of a hub",
            id="no mirror",
        ),
        pytest.param(
            lambda held, old: damage(held, next(name for name in held if name.endswith(".jsonl") and "files" in name)),
            ChecksumError,
            "is not what its name says",
            id="damaged file",
        ),
        pytest.param(
            lambda held, old: held.pop(next(name for name in held if name.startswith("files"))),
            InputError,
            "does not hold files/.*, which a batch names; it was deleted there",
            id="deleted file",
        ),
    ],
)
def test_a_mirror_that_is_not_whole_is_refused(double, hub, tmp_path, change, error, match):
    mirror_of(hub, max_events=8).push()
    held = dict(files(double))
    change(held, batches(double))
    repository(double).add("altered", held)
    new = empty_hub(tmp_path / "new")
    with pytest.raises(error, match=match):
        rebuild(REPO, new.store, TOKEN, pause=Pauses())
    assert new.store.n_events() == 0
    assert new.store.submissions() == []


def test_a_hub_that_holds_something_is_not_rebuilt(double, hub, tmp_path):
    mirror_of(hub).push()
    with pytest.raises(
        InputError, match=r"the hub's database holds 22 events; expected an empty one. Name another one with --db"
    ):
        rebuild(REPO, hub.store, TOKEN)
    with pytest.raises(AccessError, match="datasets/my-lab/nothing is not there or not open to you"):
        rebuild("my-lab/nothing", empty_hub(tmp_path / "new").store, TOKEN)


def test_files_that_are_there_are_not_fetched_again(double, hub, tmp_path):
    mirror_of(hub).push()
    new = empty_hub(tmp_path / "new")
    names = [one for one in hub.store.files.folder.rglob("*") if one.is_file()]
    for path in names[1:]:
        new.store.files.put(path.read_bytes(), path.name[64:])
    damaged = new.store.files.path(names[1].name[:64], names[1].name[64:])
    damaged.write_bytes(b"damaged")
    double.cut_once = {f"files/{names[0].name[:2]}/{names[0].name}"}
    rebuild(REPO, new.store, TOKEN, pause=Pauses())
    fetched = {name.partition("@")[0].split("/")[-1] for name in double.downloads if name.startswith("files/")}
    assert fetched == {names[0].name, names[1].name}
    assert everything(new) == everything(hub)


def test_what_was_being_scored_or_received_when_it_was_mirrored_is_done_after_the_rebuild(double, tmp_path):
    hub = small_hub(tmp_path / "hub")
    send(hub, "A")
    hub.store.claim("a worker that will be gone", 20.0)
    scoring = send(hub, "B").system
    content = hub.store.files.read(hub.store.submissions(1)[0].content_sha256, ".jsonl")
    hub.store.receive(hub.benchmark("tiny"), hub.store.systems()[0][0], content + b"\n", ".jsonl")
    mirror_of(hub).push()
    new, _ = rebuilt(tmp_path)
    assert new.store.counts() == {"scoring": 1, "queued": 1, "received": 1}
    assert new.validate_left_over(0.0) == 1
    assert score_all(new) == 3
    assert {row.system.name for row in new.board("tiny").rows} == {"A", scoring}


def test_columns_that_came_later_may_be_missing(double, hub, tmp_path):
    mirror_of(hub).push()

    def drop_column(rows) -> None:
        for name, row in rows:
            if name == "submission":
                del row["superseded_by"]

    replace_batch(double, 0, drop_column)
    new, _ = rebuilt(tmp_path)
    assert new.store.counts() == hub.store.counts()


# -- beside a hub that runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(hub, monkeypatch) -> Place:
    monkeypatch.setenv("UAC_MIRROR", REPO)
    return Place(hub.store.url, hub.data, hub.store.files.folder)


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_running_hub_is_mirrored_and_what_is_new_at_the_end_too(double, hub, place, monkeypatch, caplog):
    monkeypatch.setattr(mirrors, "LOOK_S", 0.01)
    double.refusals = [Refusal(403)]
    with mirroring(place, every_s=0.01):
        wait_for(lambda: ("dataset", REPO) in double.repositories and len(events(double)) == 22)
        send(hub, "F")
        wait_for(lambda: len(events(double)) == hub.store.n_events())
    assert "the mirror is behind: https://huggingface.co/datasets/my-lab/mirror is not there or not open to you" in caplog.text
    with mirroring(place, every_s=1_000.0):
        wait_for(lambda: mirror_of(hub).position().n_events == hub.store.n_events())
        send(hub, "G")
    assert len(events(double)) == hub.store.n_events()


def test_an_empty_hub_is_filled_from_its_mirror_before_it_starts(double, hub, place, tmp_path, caplog):
    mirror_of(hub).push()
    new = empty_hub(tmp_path / "new machine")
    with caplog.at_level(logging.WARNING), mirroring(Place(new.store.url, new.data, new.store.files.folder)):
        assert everything(new) == everything(hub)
    assert "the hub was empty and was rebuilt from my-lab/mirror: 22 events" in caplog.text


def test_an_empty_hub_does_not_start_beside_a_mirror_that_cannot_be_read(double, place, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    new = empty_hub(tmp_path / "new machine")
    with (
        pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set"),
        mirroring(Place(new.store.url, new.data, new.store.files.folder)),
    ):
        pass


def test_a_hub_whose_mirror_is_away_runs_and_ends_soon(hub, place, monkeypatch, caplog):
    started = time.monotonic()
    with mirroring(place, every_s=0.01):
        wait_for(lambda: "the mirror is behind" in caplog.text)
    assert time.monotonic() - started < 10


def test_without_a_mirror_nothing_runs(hub, monkeypatch):
    with mirroring(Place(hub.store.url, hub.data, hub.store.files.folder)):
        assert "uac-mirror" not in {thread.name for thread in threading.enumerate()}


def test_an_altered_event_of_the_hub_itself_does_not_reach_a_rebuilt_one(double, hub, tmp_path):
    with sqlite3.connect(hub.store.database_path) as connection:
        connection.execute("update event set actor = 'nobody' where number = 5")
    mirror_of(hub).push()
    with pytest.raises(StateError, match="recorded by event 5, which was altered"):
        rebuild(REPO, empty_hub(tmp_path / "new").store, TOKEN)
