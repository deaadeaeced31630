"""From rows to a ranked table; pure functions on rows made by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from unified_audiocaps.leaderboard.boards.ranking import Board, make_board, shown_digests
from unified_audiocaps.leaderboard.storage.records import Entry, ResultRow
from unified_audiocaps.leaderboard.submission import Submission, System

from ..conftest import result_row


def entry(name: str, provenance: str = "verified", attempts: int = 1) -> Entry:
    texts = ("tiny", 1, f"system {name}", name, "ada", "0" * 64, ".jsonl", 3, "published", provenance)
    return Entry(Submission(f"id {name}", *texts, attempts, None, None, None, 1.0, 2.0), System(name), attempts)


def board(benchmark, rows: dict[str, Sequence[ResultRow]], **more) -> Board:
    return make_board(benchmark, [entry(name) for name in rows], {f"id {name}": found for name, found in rows.items()}, **more)


def by_value(**values: float) -> dict[str, list[ResultRow]]:
    return {name: [result_row(value=value)] for name, value in values.items()}


def test_best_first_and_equal_scores_share_a_rank(benchmark_def):
    found = board(benchmark_def, by_value(a=0.2, b=0.7, c=0.2, d=0.1))
    assert [(row.rank, row.system.name) for row in found.rows] == [(1, "b"), (2, "a"), (2, "c"), (4, "d")]
    assert {(row.low, row.high) for row in found.rows} == {(None, None)} and found.compared == 0


def test_systems_that_resamples_separate_get_ranges_of_width_one(benchmark_def):
    draws = {"id a": 0.2, "id b": 0.7, "id c": 0.21}
    noise = np.random.default_rng(0).normal(0, 0.02, (2_000, 3))

    def of(ids: Sequence[str]) -> np.ndarray:
        return np.stack([draws[id_] + noise[:, list(draws).index(id_)] for id_ in ids], axis=1)

    found = board(benchmark_def, by_value(a=0.2, b=0.7, c=0.21), draws=of)
    assert [(row.system.name, row.rank, row.low, row.high, row.tie_group) for row in found.rows] == [
        ("b", 1, 1, 1, 1),
        ("c", 2, 2, 3, 2),
        ("a", 3, 2, 3, 2),
    ]
    assert found.compared == 3 and 0 < found.minimal_detectable_difference < 0.2


def test_where_draws_are_missing_there_are_ranks_without_ranges(benchmark_def):
    found = board(benchmark_def, by_value(a=0.2, b=0.7), draws=lambda ids: None)
    assert [(row.rank, row.low, row.system.name) for row in found.rows] == [(1, None, "b"), (2, None, "a")]


OLD, NEW = "aaaaaaaa", "bbbbbbbb"


@pytest.mark.parametrize(
    ("digests", "shown"),
    [
        ({"a": [OLD], "b": [OLD]}, OLD),
        ({"a": [OLD, NEW], "b": [OLD], "c": [OLD]}, OLD),
        ({"a": [OLD, NEW], "b": [OLD, NEW], "c": [OLD]}, OLD),
        ({"a": [OLD, NEW], "b": [OLD, NEW], "c": [OLD, NEW]}, NEW),
        ({"a": [OLD, NEW], "b": [OLD, NEW], "c": [NEW]}, NEW),
        ({}, None),
    ],
)
def test_old_signature_is_shown_until_all_have_the_new_one(digests, shown):
    results = {f"id {name}": [result_row(digest=digest) for digest in found] for name, found in digests.items()}
    assert shown_digests(map(entry, digests), results).get("rouge_l") == shown


def test_scores_of_different_signatures_never_share_a_column(benchmark_def):
    rows = {name: [result_row(value=0.9, digest=OLD)] for name in "ab"} | {"c": [result_row(value=0.95, digest=NEW)]}
    found = board(benchmark_def, rows)
    assert {column.digest for column in found.columns} == {OLD}
    assert [(row.rank, row.system.name, row.values) for row in found.rows][-1] == (None, "c", {})


def test_what_was_not_scored_here_has_no_rank(benchmark_def):
    entries = [entry("ours"), entry("theirs", "self_reported")]
    results = {"id ours": [result_row(value=0.1)], "id theirs": [result_row(value=0.9, digest=NEW)]}
    found = make_board(benchmark_def, entries, results)
    assert [(row.rank, row.system.name, row.values) for row in found.rows] == [
        (1, "ours", {"rouge_l": 0.1}),
        (None, "theirs", {"rouge_l": 0.9}),
    ]
    assert [column.digest for column in found.columns] == ["0123abcd"]


def test_columns_follow_the_benchmark_and_components_their_metric(benchmark_def):
    rows = [result_row("bleu", name="bleu_1"), result_row("bleu"), result_row("rouge_l")]
    found = board(benchmark_def, {"a": rows})
    assert [column.name for column in found.columns] == ["rouge_l", "bleu", "bleu_1"]
    assert found.rows[0].intervals == {"rouge_l": (0.4, 0.6), "bleu": (0.4, 0.6), "bleu_1": (0.4, 0.6)}


def test_groups_have_boards_of_their_own(benchmark_def):
    rows = {name: [result_row(value=v), result_row(value=-v, scope="music")] for name, v in (("a", 0.1), ("b", 0.2))}
    assert [row.system.name for row in board(benchmark_def, rows).rows] == ["b", "a"]
    assert [row.system.name for row in board(benchmark_def, rows, scope="music").rows] == ["a", "b"]


def test_private_scores_are_rounded(benchmark_def):
    found = board(replace(benchmark_def, references="private"), by_value(a=0.123456))
    assert found.rows[0].values == {"rouge_l": 0.123}


def test_no_results_make_an_empty_board(benchmark_def):
    found = make_board(benchmark_def, [], {}, revision=7)
    assert (found.rows, found.columns, found.revision) == ((), (), 7)
