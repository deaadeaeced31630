"""Rank ranges against brute force, and against the truth that a simulation knows."""

import time
from itertools import combinations

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.bootstrap import Resampling, resampled
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.leaderboard.boards import rank_statistics
from unified_audiocaps.leaderboard.boards.rank_statistics import (
    ClipCounts,
    RankTable,
    WeightedGroup,
    contributions,
    corpus_draws,
    mean_draws,
    paired_p,
    rank_table,
    ratio_draws,
    strata_of,
)

PLAN = Resampling(resamples=300, seed=5)
STRATA = np.array([7, 2, 2, 7, 9, 2, 9, 7, 2, 7, 9, 9])  # three domains, codes with gaps, not sorted


def drawn(counts):
    return np.concatenate(list(counts.blocks()))


def board(values, plan=PLAN, strata=None, **options):
    values = np.asarray(values, np.float64)
    return rank_table(values.mean(axis=0), mean_draws(values, ClipCounts(len(values), plan, strata)), **options)


def ranges(table: RankTable):
    return [(one.low, one.high) for one in table.systems]


def groups(table: RankTable):
    return [one.tie_group for one in table.systems]


def panel(n, means, seed=0, noise=0.1):
    """Systems whose items are hard and easy together, as captions of one clip are."""
    random = np.random.default_rng(seed)
    return np.asarray(means) + random.normal(0, 0.15, (n, 1)) + random.normal(0, noise, (n, len(means)))


# how often each clip is drawn


def test_resamples_keep_the_clips_of_every_stratum():
    counts = drawn(ClipCounts(len(STRATA), PLAN, STRATA))
    assert counts.shape == (300, 12)
    for code in np.unique(STRATA):
        assert (counts[:, STRATA == code].sum(axis=1) == (STRATA == code).sum()).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(12), abs=0.25)
    assert counts.std(axis=0).min() > 0.5


@pytest.mark.parametrize("strata", [None, STRATA], ids=["one stratum", "three strata"])
@pytest.mark.parametrize("cells", [1, 12 * 7, 12 * 1000], ids=["a row at a time", "uneven blocks", "one block"])
def test_blocks_do_not_change_the_counts(strata, cells):
    whole = drawn(ClipCounts(12, PLAN, strata))
    blocks = list(ClipCounts(12, PLAN, strata, block_cells=cells).blocks())
    assert max(map(len, blocks)) == max(1, min(300, cells // 12))
    assert (np.concatenate(blocks) == whole).all()


def test_seeds_decide_what_is_drawn():
    def of(seed):
        return drawn(ClipCounts(12, Resampling(resamples=100, seed=seed), STRATA))

    assert (of(1) == of(1)).all()
    assert (of(1) != of(2)).any()


def test_one_stratum_draws_what_intervals_draw():
    assert (drawn(ClipCounts(12, PLAN)) == np.concatenate(list(PLAN.counts(12)))).all()


def test_strata_draw_unlike_each_other():
    counts = drawn(ClipCounts(200, PLAN, np.arange(200) % 2))
    assert (counts[:, ::2] != counts[:, 1::2]).any(axis=1).all()


@pytest.mark.parametrize(
    ("n_clips", "strata", "message"),
    [
        (1, None, "1 clips; expected at least two"),
        (3, [0, 0, 1], "1 strata hold a single clip.*Pool them"),
        (3, [0, 0], r"strata are \(2,\); expected one code for each of 3 clips"),
    ],
    ids=["one clip", "a clip alone", "a code is missing"],
)
def test_strata_that_cannot_be_resampled_are_refused(n_clips, strata, message):
    with pytest.raises(InputError, match=message):
        ClipCounts(n_clips, PLAN, None if strata is None else np.array(strata))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 12, "b": 10}, [12, 10]),
        ({"a": 12, "b": 6, "c": 5}, [12, 11]),
        ({"a": 12, "b": 13, "c": 1}, [12, 14]),
        ({"a": 1, "b": 2}, [3]),
    ],
    ids=["large domains stay", "small ones are pooled", "a clip alone joins the largest domain", "nothing but small ones"],
)
def test_small_domains_are_pooled(sizes, expected):
    codes = strata_of([name for name, size in sizes.items() for _ in range(size)])
    assert np.bincount(codes).tolist() == expected
    ClipCounts(len(codes), PLAN, codes)


# draws of scores


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_are_those_of_the_clips_that_were_drawn(dtype):
    values = np.random.default_rng(1).random((12, 3)).astype(dtype)
    counts = ClipCounts(12, PLAN, STRATA)
    draws = mean_draws(values, counts)
    assert draws.shape == (300, 3) and draws.dtype == np.float64
    for row, means in zip(drawn(counts).astype(int)[:50], draws[:50], strict=True):
        assert np.repeat(values, row, axis=0).astype(np.float64).mean(axis=0) == pytest.approx(means, abs=1e-14)
    assert mean_draws(values[:, 1], counts) == pytest.approx(draws[:, 1], abs=1e-14)


def test_a_difference_of_one_caption_in_twenty_thousand_survives():
    n = 20_052
    values = np.tile(np.random.default_rng(1).random((n, 1)), (1, 2))
    values[77, 1] += 1e-3
    counts = ClipCounts(n, Resampling(resamples=100))
    draws = mean_draws(values, counts)
    assert draws[:, 1] - draws[:, 0] == pytest.approx(drawn(counts)[:, 77] * 1e-3 / n, abs=1e-14)


def test_ratios_are_those_of_the_items_that_were_drawn():
    """Three to five items a clip, as questions have: the means of the items of the clips that were drawn."""
    random = np.random.default_rng(2)
    clip = np.repeat(np.arange(12), random.integers(3, 6, 12))
    values = random.random((len(clip), 2))
    counts = ClipCounts(12, PLAN, STRATA)
    above = np.stack([np.bincount(clip, values[:, system]) for system in range(2)], axis=1)
    below = np.bincount(clip)
    draws = ratio_draws(above, below, counts)
    for row, means in zip(drawn(counts).astype(int)[:50], draws[:50], strict=True):
        assert np.repeat(values, row[clip], axis=0).mean(axis=0) == pytest.approx(means, abs=1e-14)
    assert ratio_draws(above[:, 0], below, counts) == pytest.approx(draws[:, 0], abs=1e-14)
    assert ratio_draws(above, np.stack([below, below], axis=1), counts) == pytest.approx(draws, abs=1e-14)


@pytest.mark.parametrize("strata", [None, STRATA], ids=["one stratum", "three strata"])
def test_bleu_is_resampled_from_its_totals(strata):
    bleu = METRICS.get("bleu")()
    random = np.random.default_rng(3)
    ngrams = np.array([12, 11, 10, 9]) + random.integers(0, 5, (2, 12, 1))
    stats = (
        np.concatenate([random.integers(1, ngrams), ngrams, ngrams[..., :1], random.integers(9, 16, (2, 12, 1))], axis=2) * 1.0
    )
    counts = ClipCounts(12, PLAN, strata)
    draws = corpus_draws(bleu, stats[0], counts)
    for row, value in zip(drawn(counts).astype(int)[:50], draws[:50], strict=True):
        assert bleu.combine(np.repeat(stats[0], row, axis=0))[0] == pytest.approx(value, abs=1e-14)
    if strata is None:
        assert (draws == resampled(bleu, stats[0], PLAN)).all()
    both = corpus_draws(bleu, stats.transpose(1, 0, 2), counts)
    assert both.shape == (300, 2)
    assert both[:, 0] == pytest.approx(draws, abs=1e-14)
    assert both[:, 1] == pytest.approx(corpus_draws(bleu, stats[1], counts), abs=1e-14)


def test_contributions_are_exact_for_groups_that_are_unions_of_domains():
    random = np.random.default_rng(4)
    weighted = [(0.5, (7, 2, 9)), (0.3, (2,)), (0.2, (7, 9))]
    parts = [
        WeightedGroup(w, np.flatnonzero(np.isin(STRATA, of)), random.random(np.isin(STRATA, of).sum())) for w, of in weighted
    ]
    per_clip = contributions(parts, 12, STRATA)
    assert per_clip.mean() == pytest.approx(sum(part.weight * part.values.mean() for part in parts), abs=1e-14)
    counts = ClipCounts(12, PLAN, STRATA)
    draws = mean_draws(per_clip, counts)
    for row, value in zip(drawn(counts).astype(int)[:50], draws[:50], strict=True):
        direct = sum(part.weight * np.repeat(part.values, row[part.clips]).mean() for part in parts)
        assert direct == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize(
    ("clips", "values", "message"),
    [
        ([0, 1, 2], [1, 1, 1], "group 0 has 0 to 1 items per clip.*ratio_draws"),
        ([], [], "group 0 has 0 clips and 0 values; expected at least one item"),
        ([0, 4], [1, 1], "group 0 has 2 clips and 2 values.*0 to 3"),
        ([0, 1], [1], "group 0 has 2 clips and 1 values"),
        ([0, 1, 2, 3], [1, 1, np.nan, 1], "1 of 4 values of group 0 are no finite numbers"),
    ],
    ids=["a size that varies", "no item", "an unknown clip", "a missing value", "not a number"],
)
def test_groups_without_exact_contributions_are_refused(clips, values, message):
    with pytest.raises(InputError, match=message):
        contributions([(1.0, np.array(clips, np.int64), np.array(values, np.float64))], 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: mean_draws(np.full((12, 2), np.nan), c), r"24 of 24 values are no finite numbers, first nan at \[0, 0\]"),
        (lambda c: mean_draws(np.ones((11, 2)), c), r"values are \(11, 2\); expected a row for each of 12 clips"),
        (
            lambda c: ratio_draws(np.ones((12, 2)), np.ones((12, 3)), c),
            r"denominators are \(12, 3\); expected \(12, 2\), or \(12,\)",
        ),
        (lambda c: ratio_draws(np.ones(12), np.arange(12) == 3, c), "a resample drew no item"),
        (lambda c: corpus_draws(METRICS.get("bleu")(), np.ones((3, 10)), c), r"stats are \(3, 10\); expected a row for each"),
    ],
    ids=["not a number", "a clip is missing", "too many denominators", "nothing to divide by", "statistics of other clips"],
)
def test_values_that_do_not_fit_the_clips_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(ClipCounts(12, PLAN))


# ranks, ranges and ties


def test_well_separated_systems_get_ranges_of_one_rank():
    means = np.random.default_rng(1).permutation(np.linspace(0.3, 0.7, 60))
    table = board(panel(2_000, means, noise=0.03), Resampling(resamples=1000))
    expected = (1 + np.argsort(np.argsort(-means))).tolist()
    assert [one.rank for one in table.systems] == expected
    assert ranges(table) == [(rank, rank) for rank in expected]
    assert groups(table) == expected
    assert table.compared == 60


def test_sixty_systems_on_twenty_thousand_clips_are_ranked_in_seconds():
    values = panel(20_052, np.linspace(0.7, 0.3, 60))
    started = time.process_time()
    table = board(values, Resampling(), strata=np.arange(20_052) % 8)
    assert ranges(table) == [(rank, rank) for rank in range(1, 61)]
    assert time.process_time() - started < 20  # under one on a quiet machine


def test_ranges_follow_their_definition():
    """Against all pairs at once, computed the long way."""
    values = panel(400, [0.50, 0.52, 0.505, 0.47, 0.521, 0.40], seed=2)
    observed, draws = values.mean(axis=0), mean_draws(values, ClipCounts(400, PLAN))
    table = rank_table(observed, draws, level=0.9)
    pairs = list(combinations(range(6), 2))
    gap = np.array([observed[i] - observed[j] for i, j in pairs])
    resampled_gap = np.array([draws[:, i] - draws[:, j] for i, j in pairs])
    error = resampled_gap.std(axis=1)
    largest = np.sort((np.abs(resampled_gap - gap[:, None]) / error[:, None]).max(axis=0))
    assert table.critical == pytest.approx(largest[270])  # 271 of 300: the fewest that are 90 % with one more resample
    assert table.minimal_detectable_difference == pytest.approx(table.critical * np.median(error))
    is_better = np.zeros((6, 6), bool)
    for (i, j), one, spread in zip(pairs, gap, error, strict=True):
        is_better[i, j], is_better[j, i] = one > table.critical * spread, -one > table.critical * spread
    assert ranges(table) == [(1 + is_better[:, i].sum(), 6 - is_better[i].sum()) for i in range(6)]
    assert 0 < is_better.sum() < 15
    assert table.level == 0.9


def test_the_order_of_the_systems_does_not_matter():
    values = panel(400, [0.50, 0.52, 0.505, 0.47, 0.521, 0.40, 0.40], seed=2)
    values[:, 6] = values[:, 0]
    order = np.random.default_rng(0).permutation(7)
    straight, shuffled = board(values), board(values[:, order])
    assert shuffled.systems == tuple(straight.systems[place] for place in order)
    assert shuffled.critical == pytest.approx(straight.critical)


def test_lower_is_better_turns_the_board_around():
    values = panel(400, [0.50, 0.52, 0.505, 0.47])
    assert board(values, higher_is_better=False).systems == board(-values).systems
    assert [one.rank for one in board(values, higher_is_better=False).systems] == [2, 4, 3, 1]


def test_systems_with_the_same_captions_share_rank_and_tie_group():
    values = panel(2_000, [0.6, 0.5, 0.5, 0.4])
    values[:, 2] = values[:, 1]
    table = board(values)
    assert [one.rank for one in table.systems] == [1, 2, 2, 4]
    assert ranges(table) == [(1, 1), (2, 3), (2, 3), (4, 4)]
    assert groups(table) == [1, 2, 2, 3]


def test_sums_that_differ_by_rounding_are_equal():
    draws = np.tile(panel(300, [0.5]), (1, 2))
    draws[:, 1] *= 1 + 1e-15
    table = rank_table([0.5, 0.5 * (1 + 1e-15)], draws)
    assert [(one.rank, one.low, one.high) for one in table.systems] == [(1, 1, 2)] * 2
    assert table.critical is None


def test_a_constant_lead_is_always_a_difference():
    values = panel(300, [0.5, 0.5, 0.2])
    values[:, 1] = values[:, 0] + 1e-6
    table = board(values)
    assert ranges(table) == [(2, 2), (1, 1), (3, 3)]


@pytest.mark.parametrize("m", [1, 2, 5])
def test_a_board_of_equal_systems_is_one_tie(m):
    table = board(np.tile(panel(50, [0.5]), (1, m)))
    assert [(one.rank, one.low, one.high, one.tie_group) for one in table.systems] == [(1, 1, m, 1)] * m
    assert table.critical is None and table.minimal_detectable_difference is None


def test_an_empty_board_has_no_ranks():
    table = rank_table([], np.empty((100, 0)))
    assert table.systems == () and table.compared == 0


@pytest.mark.parametrize(("lead", "expected"), [(0.1, [(2, 2), (1, 1)]), (1e-4, [(1, 2), (1, 2)])], ids=["far", "near"])
def test_two_systems(lead, expected):
    values = panel(300, [0.5, 0.5])
    values[:, 1] += lead - values[:, 1].mean() + values[:, 0].mean()
    assert ranges(board(values)) == expected


def test_a_tie_group_ends_where_its_leader_is_left_behind():
    """Neighbours cannot be told apart, systems two places away can: the third leads a group of its own."""
    random = np.random.default_rng(0)
    means = np.array([0.54, 0.52, 0.50, 0.48, 0.46])
    draws = means + random.normal(0, 0.006, (500, 5))
    table = rank_table(means, draws)
    assert ranges(table) == [(1, 2), (1, 3), (2, 4), (3, 5), (4, 5)]
    assert groups(table) == [1, 1, 2, 2, 3]


def test_equal_scores_are_in_one_tie_group_even_if_one_of_them_varies_more():
    random = np.random.default_rng(0)
    means = np.array([0.6, 0.5, 0.5, 0.4])
    draws = means + random.normal(0, [0.005, 0.005, 0.05, 0.005], (500, 4))
    for order in ([0, 1, 2, 3], [0, 2, 1, 3]):
        table = rank_table(means, draws[:, order])
        assert [one.rank for one in table.systems] == [1, 2, 2, 4]
        assert groups(table) == [1, 1, 1, 2]


def test_large_boards_compare_the_best(monkeypatch):
    monkeypatch.setattr(rank_statistics, "MAX_RANKED", 3)
    table = board(panel(2_000, [0.3, 0.7, 0.50, 0.505, 0.501]))
    assert [one.rank for one in table.systems] == [5, 1, *(one.rank for one in table.systems[2:])]
    assert table.compared == 3
    assert {(one.low, one.high) for one in table.systems if one.rank > 3} == {(None, None)}
    assert {one.tie_group for one in table.systems if one.rank > 3} == {None}
    # nobody beyond the border was asked: the range says "3 or worse"
    assert {(one.low, one.high) for one in table.systems if one.rank in {2, 3}} == {(2, 3)}


def test_a_tie_across_the_border_is_left_out_whole(monkeypatch):
    monkeypatch.setattr(rank_statistics, "MAX_RANKED", 3)
    values = panel(500, [0.7, 0.6, 0.5, 0.5, 0.4])
    values[:, 3] = values[:, 2]
    table = board(values)
    assert table.compared == 2
    assert [(one.rank, one.high) for one in table.systems] == [(1, 1), (2, 2), (3, None), (3, None), (5, None)]


def test_two_hundred_systems_are_compared_in_a_moment():
    draws = np.random.default_rng(0).normal(0, 1, (2000, 220))
    started = time.process_time()
    table = rank_table(np.linspace(0, 100, 220), draws + np.linspace(0, 100, 220))
    assert table.compared == 200
    assert time.process_time() - started < 5  # 0.1 s on a quiet machine


def test_equal_systems_are_rarely_told_apart():
    """Where all true means are equal, one board in twenty shows a difference; 0.09 is 2.6 standard errors above."""
    random = np.random.default_rng(11)
    boards = 200
    false = 0
    for seed in range(boards):
        hard = random.gamma(2.0, 0.1, (300, 1))
        values = hard * random.random((300, 8)) + random.normal(0, 0.1, (300, 8))
        false += any(span != (1, 8) for span in ranges(board(values, Resampling(resamples=500, seed=seed))))
    assert 0.01 <= false / boards <= 0.09


@pytest.mark.parametrize(
    ("observed", "draws", "options", "message"),
    [
        ([0.5, np.nan], np.zeros((100, 2)), {}, r"1 of 2 observed are no finite numbers, first nan at \[1\].*Leave out systems"),
        ([0.5, 0.4], np.full((100, 2), np.inf), {}, r"200 of 200 draws are no finite numbers, first inf at \[0, 0\]"),
        ([0.5], np.zeros((100, 2)), {}, r"observed is \(1,\) and draws \(100, 2\)"),
        ([0.5, 0.4], np.zeros((99, 2)), {}, "draws hold 99 resamples; expected at least 100"),
        ([0.5, 0.4], np.zeros((100, 2)), {"level": 95}, "level is 95; expected a number between 0 and 1"),
    ],
    ids=["score is no number", "draw is no number", "a system is missing", "few resamples", "level in per cent"],
)
def test_boards_that_cannot_be_ranked_are_refused(observed, draws, options, message):
    with pytest.raises(InputError, match=message):
        rank_table(observed, draws, **options)


# two systems


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [([1] * 99, 0.02), ([-1] * 99, 0.02), ([0] * 99, 1.0), ([1] * 96 + [-1, -1, 0], 0.08), ([1, -1] * 50 + [1], 1.0)],
    ids=["always better", "always worse", "the same system", "a tie counts against it", "a toss"],
)
def test_paired_p_counts_the_resamples_against_the_difference(gaps, expected):
    theirs = np.random.default_rng(0).random(len(gaps))
    assert paired_p(theirs + np.array(gaps), theirs) == pytest.approx(expected)


def test_paired_p_takes_rounding_for_equality():
    draws = np.random.default_rng(0).random(200)
    assert paired_p(draws * (1 + 1e-15), draws) == paired_p(draws, draws * (1 + 1e-15)) == 1.0


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([0.1, np.nan], [0.1, 0.2], r"1 of 2 draws_a are no finite numbers, first nan at \[1\]"),
        ([0.1, 0.2], [0.1], r"draws_a is \(2,\) and draws_b \(1,\); expected as many resamples"),
        ([], [], r"draws_a is \(0,\)"),
    ],
    ids=["not a number", "other resamples", "no resample"],
)
def test_paired_p_refuses_what_is_not_paired(ours, theirs, message):
    with pytest.raises(InputError, match=message):
        paired_p(ours, theirs)
