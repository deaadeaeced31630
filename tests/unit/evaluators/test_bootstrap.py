"""Intervals and paired tests against brute force, and against the truth that a simulation knows."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators import bootstrap
from unified_audiocaps.evaluators.bootstrap import (
    Resampling,
    mean_intervals,
    order_of_ids,
    paired_test,
    resampled,
    score_interval,
)
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options, Workspace

MEAN, BLEU = METRICS.get("rouge_l")(), METRICS.get("bleu")()
CANDIDATES = ["a dog barks at a car", "rain falls on a tin roof today", "a bell rings twice in a hall", "wind"]
REFERENCES = [
    ["a dog barks at a passing car", "a dog is barking"],
    ["rain falls on a tin roof", "it is raining"],
    ["a bell rings twice", "church bells toll in a hall"],
    ["strong wind blows", "wind howls in the trees"],
]


def column(*values):
    return np.array(values, np.float64)[:, None]


def stats_of(metric, candidates=CANDIDATES):
    pairs = CaptionPairs.in_order(candidates, REFERENCES)
    return metric.item_stats(pairs, Workspace(pairs, Options()))


@pytest.mark.parametrize("metric", [MEAN, BLEU], ids=["a mean", "pooled counts"])
def test_a_resample_is_scored_as_the_captions_that_it_drew(metric):
    plan = Resampling(resamples=100, seed=3)
    drawn = np.concatenate(list(plan.counts(len(CANDIDATES)))).astype(int)
    values = resampled(metric, stats_of(metric), plan)
    for counts, value in zip(drawn[:20], values[:20], strict=True):
        places = np.repeat(np.arange(len(counts)), counts)
        pairs = CaptionPairs.in_order([CANDIDATES[i] for i in places], [REFERENCES[i] for i in places])
        assert score(pairs, [metric.name])[0].score == pytest.approx(value, abs=1e-12)


def test_every_resample_draws_as_many_items_as_there_are():
    counts = np.concatenate(list(Resampling(resamples=500).counts(7)))
    assert counts.shape == (500, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.2)


def test_resampled_values_have_the_distribution_of_all_resamples():
    values = column(0.0, 1.0, 4.0)
    every = np.array([np.mean(draw) for draw in itertools.product(values.ravel(), repeat=3)])
    drawn = resampled(MEAN, values, Resampling(resamples=20_000))
    for value in np.unique(every.round(9)):
        share = np.isclose(every, value).mean()
        assert np.isclose(drawn, value).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 20_000))


@pytest.mark.parametrize("metric", [MEAN, BLEU], ids=["a mean", "pooled counts"])
def test_p_is_the_share_of_all_swaps(metric):
    ours = stats_of(metric)
    theirs = stats_of(metric, ["a dog", "rain falls on a roof", "a bell rings twice in a hall now", "the sea"])
    observed = abs(metric.combine(ours)[0] - metric.combine(theirs)[0])
    hits = []
    for swaps in itertools.product([False, True], repeat=len(ours)):
        swap = np.array(swaps)[:, None]
        a, b = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
        hits.append(abs(metric.combine(a)[0] - metric.combine(b)[0]) >= observed - 1e-12)
    exact = np.mean(hits)
    p_value = paired_test(metric, ours, theirs, Resampling(resamples=20_000)).p_value
    assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_p_counts_the_observed_arrangement():
    n = 40
    test = paired_test(MEAN, np.ones((n, 1)), np.zeros((n, 1)), Resampling(resamples=999))
    assert test.p_value == 1 / 1000
    assert (test.difference, test.interval.low, test.interval.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("metric", [MEAN, BLEU], ids=["a mean", "pooled counts"])
def test_equal_systems_differ_by_nothing(metric):
    test = paired_test(metric, stats_of(metric), stats_of(metric), Resampling())
    assert (test.difference, test.interval.low, test.interval.high, test.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_sides_change_places():
    random = np.random.default_rng(5)
    ours, theirs = random.random((50, 1)), random.random((50, 1))
    one, other = paired_test(MEAN, ours, theirs, Resampling()), paired_test(MEAN, theirs, ours, Resampling())
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert (one.interval.low, one.interval.high) == pytest.approx((-other.interval.high, -other.interval.low), abs=1e-12)


def test_equal_seeds_give_equal_numbers_and_others_do_not():
    stats = np.random.default_rng(1).random((30, 1))
    assert score_interval(MEAN, stats, Resampling(seed=4)) == score_interval(MEAN, stats, Resampling(seed=4))
    assert score_interval(MEAN, stats, Resampling(seed=4)) != score_interval(MEAN, stats, Resampling(seed=5))


def test_blocks_bound_memory_and_change_nothing(monkeypatch):
    ours, theirs = np.random.default_rng(2).integers(0, 9, (2, 30, 1)).astype(np.float64)
    whole = paired_test(MEAN, ours, theirs, Resampling(resamples=200))
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 100)
    assert [len(block) for block in Resampling(resamples=200).counts(30)] == [3] * 66 + [2]
    assert paired_test(MEAN, ours, theirs, Resampling(resamples=200)) == whole
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 1)  # items beyond a block: one resample at a time
    assert paired_test(MEAN, ours, theirs, Resampling(resamples=200)) == whole


def test_intervals_cover_the_truth():
    # 500 samples of 60 items: the share that covers has a standard error of 0.01
    random, n, truth = np.random.default_rng(11), 60, 0.3
    plans = [Resampling(resamples=500, seed=seed) for seed in range(500)]
    ours = random.beta(0.6, 1.4, (500, n, 1))  # mean 0.3, skewed as scores are
    theirs = np.clip(ours + random.normal(-0.02, 0.1, ours.shape), -2, 2)
    covered = [score_interval(MEAN, one, plan) for one, plan in zip(ours, plans, strict=True)]
    tests = [paired_test(MEAN, a, b, plan) for a, b, plan in zip(ours, theirs, plans, strict=True)]
    assert np.mean([one.low <= truth <= one.high for one in covered]) == pytest.approx(0.95, abs=0.03)
    assert np.mean([one.interval.low <= 0.02 <= one.interval.high for one in tests]) == pytest.approx(0.95, abs=0.03)


def rows_of_bleu(random, n, quality):
    """Returns float64[n, 10]: statistics as captions have them; a caption of high quality matches more in all orders."""
    lengths = random.integers(5, 15, n)
    ngrams = lengths[:, None] - np.arange(4)
    share = np.cumprod(np.clip(quality[:, None] - 0.05 * np.arange(4), 0, 1), axis=1)  # longer sequences match less
    return np.column_stack((random.binomial(ngrams, share), ngrams, lengths, lengths + random.integers(-2, 4, n))).astype(float)


def test_intervals_of_pooled_counts_cover_the_truth():
    """BLEU is no mean of items: the truth is the pooled value of a population of which sets are drawn."""
    random, size, n, sets = np.random.default_rng(13), 20_000, 200, 400
    quality = random.beta(6, 3, size)
    ours, theirs = rows_of_bleu(random, size, quality), rows_of_bleu(random, size, quality * 0.95)
    truth, other = BLEU.combine(ours)[0], BLEU.combine(theirs)[0]
    assert 0.2 < other < truth < 0.6
    assert abs(truth - BLEU.values_per_item(ours)[:, 0].mean()) > 0.02
    covered, differences = [], []
    for seed in range(sets):
        drawn, plan = random.integers(0, size, n), Resampling(resamples=400, seed=seed)
        found = score_interval(BLEU, ours[drawn], plan)
        covered.append(found.low <= truth <= found.high)
        gap = paired_test(BLEU, ours[drawn], theirs[drawn], plan).interval
        differences.append(gap.low <= truth - other <= gap.high)
    # 400 sets: a share has a standard error of 0.011
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
    assert np.mean(differences) == pytest.approx(0.95, abs=0.03)


def test_p_is_small_as_often_as_it_says():
    random = np.random.default_rng(12)
    p_values = [
        paired_test(MEAN, random.random((30, 1)), random.random((30, 1)), Resampling(resamples=199, seed=seed)).p_value
        for seed in range(500)
    ]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 500))


@pytest.mark.parametrize(("seed", "n", "level"), [(0, 12, 0.95), (1, 60, 0.8), (2, 200, 0.99)])
def test_bca_is_that_of_scipy_on_the_same_draws(seed, n, level):
    items, plan = np.random.default_rng(seed).beta(0.5, 2, n), Resampling(level, 1000)
    drawn = SimpleNamespace(bootstrap_distribution=resampled(MEAN, items[:, None], plan))
    options = {"method": "BCa", "confidence_level": level, "n_resamples": 0, "bootstrap_result": drawn}
    expected = scipy.stats.bootstrap((items,), np.mean, **options).confidence_interval
    ours = score_interval(MEAN, items[:, None], plan)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_draws_on_one_side_give_percentiles():
    interval = bootstrap._bca(2.0, np.linspace(0, 1, 1001), np.array([1.0, 2.0, 4.0]), 0.9)
    assert (interval.low, interval.high) == pytest.approx((0.05, 0.95))


def test_items_are_resampled_by_id():
    assert order_of_ids(["b", "c", "a"]) == [2, 0, 1]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"level": 95}, "level is 95; expected a number between 0 and 1"),
        ({"level": float("nan")}, "level is nan"),
        ({"resamples": 99}, "resamples is 99; expected at least 100"),
        ({"seed": -1}, "seed is -1; expected 0 or a larger number"),
    ],
)
def test_plans_are_checked(wrong, told):
    with pytest.raises(InputError, match=told):
        Resampling(**wrong)


def test_one_item_has_no_interval():
    with pytest.raises(InputError, match="one item has no interval"):
        score_interval(MEAN, column(1.0), Resampling())
    with pytest.raises(InputError, match="one item has no interval"):
        paired_test(MEAN, column(1.0), column(1.0), Resampling())


def test_numbers_of_items_must_agree():
    with pytest.raises(InputError, match="have 2 and 3 items"):
        paired_test(MEAN, column(1.0, 2.0), column(1.0, 2.0, 3.0), Resampling())


def test_a_mean_has_the_interval_of_a_score_that_is_a_mean():
    columns = np.random.default_rng(5).random((60, 2))
    metric, plan = METRICS.get("rouge_l")(), Resampling(resamples=300, seed=4)
    both = mean_intervals(columns, plan)
    for column, found in zip(columns.T, both, strict=True):
        expected = score_interval(metric, column[:, None], plan)
        np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high), rtol=1e-12)
    (constant,) = mean_intervals(np.ones((5, 1)), plan)
    assert (constant.low, constant.high) == (1.0, 1.0)
    with pytest.raises(InputError, match="at least two items"):
        mean_intervals(np.ones((1, 1)), plan)
