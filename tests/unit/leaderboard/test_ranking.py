from unified_audiocaps.leaderboard.ranking import rank
from unified_audiocaps.leaderboard.store import PublishedResult

from .conftest import result_row


def published(of, submission_id, created_at, **row):
    return PublishedResult(submission_id, of, created_at, created_at, result_row(**row))


def test_best_first_and_equal_scores_share_a_rank(benchmark_def):
    results = [
        published(name, name, i, value=value) for i, (name, value) in enumerate([("a", 0.2), ("b", 0.7), ("c", 0.2), ("d", 0.1)])
    ]
    board = rank(benchmark_def, results)
    assert [(row.rank, row.system) for row in board.rows] == [(1, "b"), (2, "a"), (2, "c"), (4, "d")]


def test_newest_submission_of_a_system_is_shown(benchmark_def):
    board = rank(benchmark_def, [published("a", "1", 1.0, value=0.9), published("a", "2", 2.0, value=0.3)])
    assert [(row.submission_id, row.values["rouge_l"]) for row in board.rows] == [("2", 0.3)]


def test_scores_of_different_signatures_never_share_a_column(benchmark_def):
    old = published("a", "1", 1.0, value=0.9, digest="aaaaaaaa")
    new = published("b", "2", 2.0, value=0.3, digest="bbbbbbbb")
    board = rank(benchmark_def, [old, new])
    assert [(row.rank, row.system, row.values) for row in board.rows] == [(1, "b", {"rouge_l": 0.3}), (None, "a", {})]
    assert {column.digest for column in board.columns} == {"bbbbbbbb"}


def test_columns_follow_the_benchmark_and_components_their_metric(benchmark_def):
    results = [
        published("a", "1", 1.0, metric="bleu", name="bleu_1"),
        published("a", "1", 1.0, metric="bleu"),
        published("a", "1", 1.0, metric="rouge_l"),
    ]
    assert [column.name for column in rank(benchmark_def, results).columns] == ["rouge_l", "bleu", "bleu_1"]


def test_no_results_make_an_empty_board(benchmark_def):
    board = rank(benchmark_def, [])
    assert board.rows == () and board.columns == ()
