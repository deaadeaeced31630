import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from scipy.special import softmax
from scipy.stats import entropy
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks import distribution
from unified_audiocaps.evaluators.tasks.distribution import category_distances, frechet_distance, inception_score, kl_divergence


def by_sqrtm(real, fake):
    real_covariance, fake_covariance = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = sqrtm(real_covariance @ fake_covariance)
    gap = real.mean(axis=0) - fake.mean(axis=0)
    return gap @ gap + np.trace(real_covariance + fake_covariance - 2 * root.real)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 3), (300, 200, 32), (129, 200, 128)])
def test_the_distance_is_that_of_matrix_roots(monkeypatch, n, m, d):
    monkeypatch.setattr(distribution, "_ROWS", 37)
    rng = np.random.default_rng(d)
    mixing = rng.standard_normal((d, d))
    real, fake = rng.standard_normal((n, d)) @ mixing, 2 * rng.standard_normal((m, d)) @ mixing.T + 0.3
    found = frechet_distance(real, fake)
    assert found.score == pytest.approx(by_sqrtm(real, fake), rel=1e-9)
    assert found.components["mean_term"] + found.components["covariance_term"] == found.score
    assert frechet_distance(fake, real).score == pytest.approx(found.score, rel=1e-12)
    assert not found.notes


def with_covariance(rng, mean, root, n):
    """n samples whose mean and covariance are exactly the given ones, up to rounding."""
    white = rng.standard_normal((n, len(mean)))
    white -= white.mean(axis=0)
    return np.linalg.qr(white)[0] * math.sqrt(n - 1) @ root + mean


def test_the_distance_has_its_closed_form():
    # covariances that commute: the squared distance of means, and of standard deviations
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    a, b = rng.uniform(0.1, 3, 6), np.array([1e-9, 1e-4, 1, 10, 1e3, 0])
    mean, other = rng.standard_normal((2, 6))
    found = frechet_distance(
        with_covariance(rng, mean, a[:, None] * axes.T, 50), with_covariance(rng, other, b[:, None] * axes.T, 70)
    )
    assert found.score == pytest.approx(((mean - other) ** 2).sum() + ((a - b) ** 2).sum(), rel=1e-12)


def test_equal_sets_are_at_zero_even_where_the_covariance_is_singular():
    rng = np.random.default_rng(2)
    flat = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 20))
    assert frechet_distance(flat, flat[::-1]).score == pytest.approx(0, abs=1e-12 * np.trace(np.cov(flat.T)))
    assert frechet_distance(flat, flat + 2).score == pytest.approx(4 * 20, rel=1e-12)


def test_few_samples_are_warned_about_and_noted():
    rng = np.random.default_rng(3)
    real, fake = rng.standard_normal((30, 20)), rng.standard_normal((20, 20))
    with pytest.warns(UserWarning, match="generated has 20 embeddings of 20 dimensions: its covariance is singular"):
        found = frechet_distance(real, fake, model="vggish")
    assert found.notes == {"singular_generated": 20}
    assert found.score == pytest.approx(by_sqrtm(real, fake), rel=1e-6)
    assert found.to_json()["notes"] == {"singular_generated": 20}
    assert found.signature.recipe == (
        "covariance:n-1|dimensions:20|metric:frechet|model:vggish|n_generated:20|n_reference:30|version:1"
    )


def test_inception_score_by_hand():
    # as many sure and evenly spread classes as there are; nothing to tell is 1
    assert inception_score(np.eye(4), splits=1).score == pytest.approx(4, rel=1e-14)
    assert inception_score(np.full((6, 3), 1 / 3), splits=2).score == pytest.approx(1, rel=1e-14)
    found = inception_score([[1, 0], [1, 0], [1, 0], [0, 1]], splits=2, seed=None)
    assert found.score == pytest.approx(1.5)
    assert found.to_json()["std"] == pytest.approx(0.5)


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_inception_score_is_the_mean_entropy_gain(splits):
    posteriors = softmax(3 * np.random.default_rng(4).standard_normal((53, 7)), axis=1)
    order = np.random.default_rng(2020).permutation(53)
    parts = [posteriors[order][i * 53 // splits : (i + 1) * 53 // splits] for i in range(splits)]
    wanted = [np.exp(entropy(part.mean(axis=0)) - entropy(part, axis=1).mean()) for part in parts]
    found = inception_score(posteriors, splits=splits)
    assert found.score == pytest.approx(np.mean(wanted), rel=1e-12)
    assert found.components["std"] == pytest.approx(np.std(wanted), abs=1e-12)
    assert "seed:2020" in found.signature.recipe


def test_kl_divergence_is_scipys():
    rng = np.random.default_rng(5)
    p, q = softmax(rng.standard_normal((2, 9, 6)), axis=2)
    found = kl_divergence(p, q, epsilon=0)
    assert found.per_item == pytest.approx(entropy(p, q, axis=1), rel=1e-12)
    assert found.score == pytest.approx(found.per_item.mean(), rel=1e-15)
    assert kl_divergence(p, q).per_item == pytest.approx((p * (np.log(p) - np.log(q + 1e-6))).sum(axis=1), rel=1e-12)


def test_kl_divergence_of_certainty():
    assert kl_divergence([[1, 0]], [[0, 1]]).score == pytest.approx(6 * math.log(10))
    assert kl_divergence([[1, 0]], [[0, 1]], epsilon=0).score == math.inf
    assert kl_divergence([[0, 1]], [[0, 1]], epsilon=0).score == 0
    single = softmax(np.random.default_rng(1).standard_normal((4, 500)), axis=1).astype(np.float16)
    assert kl_divergence(single, single, epsilon=0).score == 0


@given(st.integers(0, 1000))
def test_category_distances_are_means_over_pairs(seed):
    rng = np.random.default_rng(seed)
    labels = np.array([0, 0, 1, 1, 1, 2, *rng.integers(0, 3, 6)])
    embeddings = rng.standard_normal((12, 4))
    found = category_distances(embeddings, labels)
    groups = [embeddings[labels == one] for one in range(3)]
    within = [pdist(group, "cosine").mean() if len(group) > 1 else math.nan for group in groups]
    between = [cdist(groups[a], groups[b], "cosine").mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found.within == pytest.approx(within, abs=1e-12, nan_ok=True)
    assert found.between[[0, 0, 1], [1, 2, 2]] == pytest.approx(between, abs=1e-12)
    assert found.intra == pytest.approx(np.nanmean(within), abs=1e-12)
    assert found.inter == pytest.approx(np.mean(between), abs=1e-12)
    assert found.categories == (0, 1, 2)


def test_what_category_distances_say(monkeypatch):
    monkeypatch.setattr(distribution, "_ROWS", 2)
    found = category_distances([[2, 0], [0, 3], [0, -1]], ["a", "a", "b"])
    assert found.to_json() == {
        "metric": "category_distances",
        "intra": 1.0,
        "inter": 1.5,
        "n_categories": 2,
        "signature": found.signature.text,
        "digest": found.signature.digest,
        "notes": {"single_item_categories": 1},
    }


NAN = math.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance([[1, 2]], [[1]]), "reference has 2 dimensions and generated 1"),
        (lambda: frechet_distance([[1], [2]], [[1]]), "generated has one embedding; expected two or more"),
        (lambda: frechet_distance([[1], [2], [NAN]], [[1], [2]]), r"reference\[2, 0\] is nan; expected a number"),
        (lambda: frechet_distance([1, 2], [[1]]), r"reference has the shape \(2,\)"),
        (lambda: frechet_distance([[1], [1, 2]], [[1]]), "rows of different lengths"),
        (lambda: frechet_distance([["a"]], [[1]]), "reference holds <U1"),
        (lambda: inception_score([[0.5, 0.6]]), r"posteriors\[0\] is no distribution: it adds up to 1.1"),
        (lambda: inception_score([[-0.5, 1.5]]), "its least number is -0.5"),
        (lambda: inception_score([[0.5, 0.5]]), "splits is 10; expected 1 to 1"),
        (lambda: inception_score([[0.5, 0.5]], splits=0), "splits is 0"),
        (lambda: kl_divergence([[1, 0]], [[1, 0], [1, 0]]), r"reference has the shape \(1, 2\) and generated \(2, 2\)"),
        (lambda: kl_divergence([[1, 0]], [[1, 0]], epsilon=-1), "epsilon is -1; expected a number from 0 up"),
        (lambda: category_distances([[1, 0]], []), "1 embeddings and 0 categories"),
        (lambda: category_distances([[1, 0]] * 2, ["a", "a"]), "all items are of the category 'a'"),
        (lambda: category_distances([[1, 0]] * 2, ["a", "b"]), "each of the 2 categories has one item"),
        (lambda: category_distances([[1, 0], [0, 0], [1, 1]], ["a", "b", "a"]), r"embeddings\[1\] is zero"),
    ],
)
@pytest.mark.filterwarnings("ignore:reference has|generated has")
def test_input_that_has_no_distance(call, message):
    with pytest.raises(InputError, match=message):
        call()
