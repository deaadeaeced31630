"""Agreement of raters: by hand, by brute force, and alpha against the published example."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.tasks.agreement import Rating, agreement, read_ratings


def rated(**items: str) -> list[Rating]:
    """Returns one-letter ratings by item; raters are x, y, z, w in this order, a dot is none."""
    return [Rating(i, "xyzw"[k], value) for i, values in items.items() for k, value in enumerate(values) if value != "."]


def test_by_hand():
    found = agreement(rated(a="111", b="112", c="12.", d="22.", e="3.."))
    assert (found.exact, found.n, found.n_single) == (0.5, 4, 1)
    assert found.pairwise == (3 + 1 + 0 + 1) / (3 + 3 + 1 + 1)
    assert found.by_count == {2: (2, 1), 3: (2, 1)}
    assert [(one.raters, one.n, one.n_equal) for one in found.pairs] == [
        (("x", "y"), 4, 3),
        (("x", "z"), 2, 1),
        (("y", "z"), 2, 1),
    ]
    assert found.to_json()["pairs"][0]["share"] == 0.75


def test_numbers_are_numbers_and_words_are_words():
    both = [Rating("a", "x", "4"), Rating("a", "y", "4.0")]
    assert agreement(both).exact == 1.0
    assert agreement([*both, Rating("b", "x", "good"), Rating("b", "y", "good")]).exact == 0.5


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.lists(st.integers(0, 2), min_size=2, max_size=4), min_size=1), st.randoms()
)
def test_equals_counting_pairs_in_any_order(items, shuffle: random.Random):
    ratings = [Rating(i, f"rater {k}", str(value)) for i, values in items.items() for k, value in enumerate(values)]
    shuffle.shuffle(ratings)
    found = agreement(ratings)
    pairs = [a == b for values in items.values() for a, b in combinations(values, 2)]
    assert found.pairwise == pytest.approx(sum(pairs) / len(pairs))
    assert found.exact == pytest.approx(sum(len(set(values)) == 1 for values in items.values()) / len(items))
    assert sum(one.n for one in found.pairs) == len(pairs)
    assert sum(one.n_equal for one in found.pairs) == sum(pairs)


def test_alpha_is_that_of_the_published_example(unavailable):
    try:
        import krippendorff  # noqa: F401
    except ImportError:
        unavailable("the package krippendorff is not installed")
    # four raters, twelve items: Krippendorff 2011, section C; one item has one rating
    ratings = [
        Rating(str(item), str(rater), value)
        for rater, row in enumerate(
            [
                ["1", "2", "3", "3", "2", "1", "4", "1", "2", ".", ".", "."],
                ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", ".", "3"],
                [".", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "."],
                ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "."],
            ]
        )
        for item, value in enumerate(row)
        if value != "."
    ]
    assert agreement(ratings, "nominal").alpha == pytest.approx(0.743, abs=5e-4)
    assert agreement(ratings, "ordinal").alpha == pytest.approx(0.815, abs=5e-4)
    assert agreement(ratings, "interval").alpha == pytest.approx(0.849, abs=5e-4)
    assert agreement(ratings, "ratio").alpha == pytest.approx(0.797, abs=5e-4)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="has two ratings"):
        agreement(rated(a="1", b="2"))
    with pytest.raises(InputError, match="'x' rated 'a' twice"):
        agreement([Rating("a", "x", "1"), Rating("a", "x", "1")])
    with pytest.raises(UnknownNameError, match="ordinal"):
        agreement(rated(a="11"), "ordinl")
    with pytest.raises(InputError, match="expected numbers for the scale ratio"):
        agreement(rated(a="pq"), "ratio")


def test_files_tell_every_repeat(tmp_path):
    file = tmp_path / "r.csv"
    file.write_text("id,rater,rating,more\na,x,1,\na,y,2,\na,x,1,\n")
    with pytest.raises(InputError, match=r"1 ratings came twice.*\n.*line 4: .*already on line 2"):
        read_ratings(file)
    file.write_text("rater,id,rating\nx,a, 1\ny,a,1\n")
    assert agreement(read_ratings(file)).exact == 1.0
