import json

import numpy as np
import pytest
from unified_audiocaps.evaluators.metric import METRICS, Interval, MetricResult, Signature


def test_signature_is_one_sorted_line_with_the_package_last():
    signature = Signature({"tok": "ptb", "metric": "bleu", "refs": "1-5"})
    assert signature.recipe == "metric:bleu|refs:1-5|tok:ptb"
    assert signature.text.startswith(signature.recipe + "|unified-audiocaps:")
    assert len(signature.digest) == 8
    assert int(signature.digest, 16) >= 0


def test_digest_is_that_of_the_recipe_alone():
    assert Signature({"a": "1", "b": "2"}).digest == Signature({"b": "2", "a": "1"}).digest
    assert Signature({"a": "1"}).digest != Signature({"a": "2"}).digest


def test_a_value_cannot_break_the_line():
    assert Signature({"encoder": "a|b\nc"}).recipe == "encoder:a_b_c"


def test_result_as_json_and_columns():
    column = np.array([0.25, 0.75])
    result = MetricResult(
        "date",
        0.5,
        2,
        Signature({"metric": "date"}),
        0.1,
        column,
        {"similarity": 0.4},
        {"date_similarity": column},
        {"empty_candidates": 1},
    )
    report = json.loads(json.dumps(result.to_json()))
    assert report["metric"] == "date"
    assert report["similarity"] == 0.4
    assert report["notes"] == {"empty_candidates": 1}
    assert report["digest"] == result.signature.digest
    assert list(result.columns()) == ["date", "date_similarity"]
    assert "interval" not in report


def test_interval_is_reported():
    result = MetricResult("x", 0.5, 1, Signature({}), 0.0, np.zeros(1), interval=Interval(0.4, 0.6, 0.95))
    assert result.to_json()["interval"] == {"low": 0.4, "high": 0.6, "level": 0.95}


@pytest.mark.parametrize(
    ("metric", "component", "column"), [("bleu", "bleu_1", "bleu_1"), ("date", "similarity", "date_similarity")]
)
def test_names_of_columns(metric, component, column):
    assert METRICS.get(metric).column(component) == column
