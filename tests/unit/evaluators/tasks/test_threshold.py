import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks.threshold import BETA, best_threshold, read_rated


def brute_force(scores, ratings, beta):
    """Every cut that makes a difference, counted clip by clip; the first best one from below."""
    square = Fraction(str(beta)) ** 2
    found = []
    for threshold in [*sorted(set(scores)), math.inf]:
        tp = sum(s < threshold and r <= 2 for s, r in zip(scores, ratings, strict=True))
        fp = sum(s < threshold and r > 2 for s, r in zip(scores, ratings, strict=True))
        fn = sum(s >= threshold and r <= 2 for s, r in zip(scores, ratings, strict=True))
        f = (1 + square) * tp / ((1 + square) * tp + square * fn + fp)
        found.append((threshold, tp, fp, fn, f))
    best = max(found, key=lambda one: (one[4], -one[0]))
    return found, best


SCORES = st.one_of(st.integers(-3, 3).map(lambda n: n / 10), st.floats(-1, 1))
RATED = st.lists(st.tuples(SCORES, st.integers(1, 5)), min_size=2, max_size=30).filter(
    lambda rows: len({rating <= 2 for _, rating in rows}) == 2
)


@given(RATED, st.sampled_from([0.5, 1.0, 1.05, 2.0]))
def test_it_is_what_counting_finds(rows, beta):
    scores, ratings = zip(*rows, strict=True)
    curve, (threshold, tp, fp, fn, f) = brute_force(scores, ratings, beta)
    found = best_threshold(scores, ratings, beta)
    assert found.best.threshold == threshold
    assert found.best.f_beta == float(f)
    assert found.best.n_discarded == tp + fp
    assert found.best.recall == tp / (tp + fn)
    assert found.best.precision == (tp / (tp + fp) if tp + fp else 0.0)
    assert [(point.threshold, point.f_beta) for point in found.curve] == [(one[0], float(one[4])) for one in curve]
    assert found.best in found.around(4)
    assert found.to_json()["beta"] == beta


def test_by_hand():
    # rated 2, 1 | 3, 2 | 5: below 0.2 one hit of one; below 0.9 three hits of four
    found = best_threshold([0.1, 0.2, 0.3, 0.4, 0.9], [2, 1, 3, 2, 5])
    assert BETA == 1.05
    assert found.best.threshold == 0.9
    assert (found.best.precision, found.best.recall) == (0.75, 1.0)
    assert found.best.f_beta == pytest.approx((1 + 1.1025) * 0.75 / (1.1025 * 0.75 + 1))


def test_of_equal_ones_the_lowest_is_taken():
    # with beta 1: F = 2/3 both for one hit of one (of two) and for two hits of four
    found = best_threshold([0.1, 0.2, 0.3, 0.4, 0.5], [1, 5, 5, 1, 5], beta=1.0)
    assert [point.f_beta for point in found.curve[1:5:3]] == [float(Fraction(2, 3))] * 2
    assert found.best.threshold == 0.2


def test_similarities_that_tell_nothing():
    found = best_threshold([0.5, 0.5], [1, 5])
    assert found.best.threshold == math.inf
    assert found.to_json()["best"]["threshold"] is None


@pytest.mark.parametrize(
    ("scores", "ratings", "beta", "message"),
    [
        ([], [], 1.05, "no rated clip was given"),
        ([0.1, 0.2], [1], 1.05, "2 similarities and 1 ratings were given"),
        ([0.1, 0.2], [1, 2], 1.05, "all of the 2 clips are rated 2 or lower"),
        ([0.1, 0.2], [3, 4], 1.05, "none of the 2 clips are rated 2 or lower"),
        ([0.1, math.nan], [1, 4], 1.05, "a similarity is no number"),
        ([0.1, 0.2], [0, 4], 1.05, "a rating is not between 1 and 5"),
        ([0.1, 0.2], [1, math.nan], 1.05, "a rating is not between 1 and 5"),
        ([0.1, 0.2], [1, 4], 0.0, "beta is 0.0; expected a number above 0"),
        ([0.1, 0.2], [1, 4], math.inf, "beta is inf"),
    ],
)
def test_input_that_has_no_threshold(scores, ratings, beta, message):
    with pytest.raises(InputError, match=message):
        best_threshold(scores, ratings, beta)


def test_rated_clips_are_read(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text('\ufeffid,who,score,rating\n"a,b",x,0.5,2\nb,y,-1e-3,4.5\n', encoding="utf-8")
    scores, ratings = read_rated(path)
    assert scores.tolist() == [0.5, -0.001]
    assert ratings.tolist() == [2.0, 4.5]


def test_all_problems_of_a_file_are_listed(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,score,rating\na,0.5,2\na,0.6,3\n,0.1,1\nclip-b,high,1\nclip-c,nan,9\nclip-d,0.5\n")
    with pytest.raises(InputError) as caught:
        read_rated(path)
    text = str(caught.value)
    for part in (
        "6 problems",
        "line 3: E_DUP_ID: id 'a' came already on line 2",
        "line 4: E_TYPE: id is empty",
        "line 5: E_TYPE [clip-b]: score is 'high'; expected a number",
        "line 6: E_TYPE [clip-c]: rating is '9'; expected a number from 1 to 5",
        "line 7: E_TYPE [clip-d]: rating is None",
    ):
        assert part in text, text


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"id,score\n", "has no column 'rating'; found id, score"), (b"", "found nothing"), (b"\xff\xfe", "cannot be read")],
)
def test_files_of_another_kind(tmp_path, content, message):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_rated(tmp_path / "r.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_rated(tmp_path / "gone.csv")
