import numpy as np
import pytest
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score

PAIRS = CaptionPairs.in_order(["a dog barks", "heavy rain"], [["a dog barks loudly"], ["rain", "heavy rain falls"]])


def test_halves_are_those_of_the_metrics(options_for):
    spider, cider_d, spice = score(PAIRS, ["spider", "cider_d", "spice"], options_for("spider", PAIRS))
    assert spider.score == pytest.approx((cider_d.score + spice.score) / 2, abs=1e-12)
    assert spider.components == {"cider_d": cider_d.score, "spice": spice.score}
    np.testing.assert_array_equal(spider.per_item, (cider_d.per_item + spice.per_item) / 2)
    assert {*cider_d.signature.values, *spice.signature.values} <= {*spider.signature.values}


def test_the_halves_are_computed_once(options_for, monkeypatch):
    from unified_audiocaps.evaluators.metrics import cider_d

    calls = []
    original = cider_d.cider_d_per_item
    monkeypatch.setattr(cider_d, "cider_d_per_item", lambda *given: calls.append(1) or original(*given))
    score(PAIRS, ["spider", "cider_d"], options_for("spider", PAIRS))
    assert len(calls) == 1


def test_one_item_is_an_error(options_for):
    from unified_audiocaps.dataset_scripts.errors import InputError

    with pytest.raises(InputError, match="CIDEr-D cannot score one item"):
        score(PAIRS.take([0]), ["spider"], options_for("spider", PAIRS.take([0])))
