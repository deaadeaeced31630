"""What a batch of changes holds, and what an empty database takes in."""

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, StateError
from unified_audiocaps.leaderboard.storage import tables
from unified_audiocaps.leaderboard.storage.copies import Changes

from ....small_hub import empty_hub, everything, score_all, send, small_hub


@pytest.fixture
def hub(tmp_path):
    hub = small_hub(tmp_path / "hub")
    send(hub, "A")
    score_all(hub)
    return hub


def of(changes: Changes, name: str) -> list[dict]:
    return [row for table, row in changes.rows if table == name]


def test_nothing_new_is_none(hub):
    number, sha256 = hub.store.log_end()
    assert hub.store.changes(number, 10) is None
    assert hub.store.log_sha256(number) == sha256
    assert hub.store.log_sha256(number + 1) is None
    assert hub.store.changes(0, 10).end == sha256


def test_no_table_is_forgotten(hub):
    names = {name for name, _ in hub.store.changes(0, 100).rows}
    # a table that no batch brings would be empty after a rebuild; the chain's end follows from the events
    assert names == set(tables.metadata.tables) - {"chain"}


def test_a_submission_comes_with_its_newest_event(hub):
    n = hub.store.n_events()  # opened, received, queued, scoring, published
    early = hub.store.changes(0, n - 1)
    assert (early.first, early.last) == (1, n - 1)
    assert of(early, "submission") == of(early, "result") == of(early, "job") == []
    late = hub.store.changes(n - 1, 10)
    assert [row["state"] for row in of(late, "submission")] == ["published"]
    assert len(of(late, "result")) > 2


def test_a_publication_and_what_it_supersedes_are_never_apart(hub):
    send(hub, "A", "a dog barks twice")
    score_all(hub)
    end = hub.store.n_events()
    changes = hub.store.changes(5, end - 6)  # up to the publication, before the event of the older submission
    assert changes.last == end
    assert sorted(row["state"] for row in of(changes, "submission")) == ["published", "superseded"]


def test_of_rows_with_one_key_the_last_one_counts(hub, tmp_path):
    first = list(hub.store.dump())
    send(hub, "A", "a dog barks twice", organisation="Known now")
    score_all(hub)
    new = empty_hub(tmp_path / "new")
    second = list(hub.store.dump())
    assert new.store.load([*(row for row in first if row[0] != "chain"), *second]) == len(second)
    assert everything(new) == everything(hub)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        pytest.param(lambda rows: rows.append(("wallet", {})), InputError, "a row of 'wallet' does not fit", id="a table"),
        pytest.param(lambda rows: rows[0][1].pop("name"), InputError, "does not fit the tables of this version", id="a column"),
        pytest.param(
            lambda rows: rows.remove(next(row for row in rows if row[0] == "event" and row[1]["number"] == 2)),
            StateError,
            "recorded by event 3, which was altered",
            id="an event less",
        ),
        pytest.param(
            lambda rows: rows.remove(next(row for row in rows if row[0] == "event" and row[1]["number"] == 5)),
            StateError,
            "recorded by 4 events, not 5 as its end says",
            id="the last event less",
        ),
    ],
)
def test_rows_that_are_no_copy_are_refused(hub, tmp_path, change, error, match):
    rows = [row for row in hub.store.dump() if row[1]]
    change(rows)
    new = empty_hub(tmp_path / "new")
    with pytest.raises(error, match=match):
        new.store.load(rows)
    assert new.store.n_events() == 0


def test_a_database_that_holds_something_takes_nothing_in(hub):
    with pytest.raises(InputError, match="holds 5 events; expected an empty one"):
        hub.store.load(list(hub.store.dump()))
