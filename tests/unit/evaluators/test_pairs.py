import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.pairs import CaptionPairs


def test_order_is_that_of_the_references():
    pairs = CaptionPairs.join({"a": "x", "b": "y"}, {"b": ["r"], "a": ("s", "t")})
    assert pairs == CaptionPairs(("b", "a"), ("y", "x"), (("r",), ("s", "t")))
    assert len(pairs) == 2
    assert pairs.reference_counts == "1-2"


def test_arguments_are_not_changed():
    predictions, references = {"a": "x"}, {"a": ["r"]}
    CaptionPairs.join(predictions, references)
    assert (predictions, references) == ({"a": "x"}, {"a": ["r"]})


def test_empty_candidates_are_allowed_and_counted():
    pairs = CaptionPairs.in_order(["", " \t", "x"], [["r", "s"]] * 3)
    assert pairs.n_empty_candidates == 2
    assert pairs.reference_counts == "2"


def test_coverage_must_be_complete():
    with pytest.raises(InputError, match="1 of 2 references have no prediction, 2 of 3 predictions have no references") as caught:
        CaptionPairs.join({"a": "x", "c": "y", "d": "z"}, {"a": ["r"], "b": ["s"]})
    assert [(p.code, p.id) for p in caught.value.problems] == [
        ("E_MISSING_ID", "b"),
        ("E_UNKNOWN_ID", "c"),
        ("E_UNKNOWN_ID", "d"),
    ]


@pytest.mark.parametrize(
    ("candidate", "references", "code", "message"),
    [
        (None, ["r"], "E_TYPE", "the prediction of 'a' is None; expected text"),
        ({"x": 1}, ["r"], "E_TYPE", "the prediction of 'a' is {'x': 1}"),
        ([], ["r"], "E_TYPE", r"the prediction of 'a' is \[\]"),
        (["x", 3], ["r"], "E_TYPE", r"the further predictions of 'a' are \(3,\); expected texts"),
        ("x", "rain", "E_TYPE", "the references of 'a' are 'rain'; expected a list"),
        ("x", None, "E_TYPE", "the references of 'a' are None"),
        ("x", ["r", 3], "E_TYPE", "a reference of 'a' is 3"),
        ("x", [["r"]], "E_TYPE", "a reference of 'a' is"),
        ("x", [], "E_EMPTY", "no reference that holds any text"),
        ("x", ["", " "], "E_EMPTY", "no reference that holds any text"),
    ],
)
def test_what_cannot_be_scored(candidate, references, code, message):
    with pytest.raises(InputError, match=message) as caught:
        CaptionPairs.join({"a": candidate}, {"a": references})
    assert [p.code for p in caught.value.problems] == [code]


def test_nothing_to_score():
    with pytest.raises(InputError, match="nothing to score"):
        CaptionPairs.join({}, {})


def test_columns_have_one_length():
    with pytest.raises(InputError, match="2 ids, 1 candidates and 2 lists"):
        CaptionPairs(("a", "b"), ("x",), (("r",), ("s",)))
    with pytest.raises(InputError, match="3 predictions and 2 lists of references"):
        CaptionPairs.in_order(["x", "y", "z"], [["r"], ["s"]])


def test_ids_are_unique():
    with pytest.raises(InputError, match="id 'a' was given twice"):
        CaptionPairs(("a", "a"), ("x", "y"), (("r",), ("s",)))


def test_several_candidates():
    pairs = CaptionPairs.join({"a": ["x", "y", ""], "b": ("z", "z", "v")}, {"b": ["r"], "a": ["s"]})
    assert pairs == CaptionPairs(("b", "a"), ("z", "x"), (("r",), ("s",)), (("z", "v"), ("y", "")))
    assert pairs.n_candidates == 3
    assert pairs.take([1]) == CaptionPairs(("a",), ("x",), (("s",),), (("y", ""),))


def test_one_candidate_in_a_list_is_one_candidate():
    assert CaptionPairs.in_order([["x"], "y"], [["r"], ["s"]]) == CaptionPairs.in_order(["x", "y"], [["r"], ["s"]])
    assert CaptionPairs.in_order(["x"], [["r"]]).n_candidates == 1


def test_items_have_equally_many_candidates():
    with pytest.raises(InputError, match="id 'b' has 1 predictions, the first item has 2; expected equally many") as caught:
        CaptionPairs.join({"a": ["x", "y"], "b": "z", "c": ["x", "y"]}, {"a": ["r"], "b": ["s"], "c": ["t"]})
    assert [(p.code, p.id) for p in caught.value.problems] == [("E_COUNT", "b")]
    with pytest.raises(InputError, match="1 ids and 2 lists of further candidates"):
        CaptionPairs(("a",), ("x",), (("r",),), (("y",), ("z",)))
