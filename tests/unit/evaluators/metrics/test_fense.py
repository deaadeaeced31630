"""FER and FENSE, and what they share with SBERT-sim and DATE."""

import json
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError
from unified_audiocaps.evaluators.models.encoders import Encoder
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

GOLDEN = Path(__file__).parents[3] / "golden"
METRICS = ["sbert_sim", "fer", "fense", "date"]


@pytest.fixture(scope="module")
def checker(tiny_checker, tmp_path_factory):
    return str(tiny_checker(tmp_path_factory.mktemp("checker")))


@pytest.fixture(scope="module")
def pairs():
    items = [json.loads(line) for line in (GOLDEN / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    return CaptionPairs.in_order([item["candidate"] for item in items], [item["references"] for item in items])


@pytest.fixture(scope="module")
def results(pairs, checker):
    return {result.metric: result for result in score(pairs, METRICS, Options(checker=checker, device="cpu"))}


def test_fense_is_made_of_the_two_others(results):
    fense, similarity, fer = (results[name].per_item for name in ("fense", "sbert_sim", "fer"))
    np.testing.assert_array_equal(fense, similarity * (1.0 - 0.9 * fer))
    assert results["fense"].components == {"similarity": results["sbert_sim"].score, "fer": results["fer"].score}
    assert results["fense"].score != pytest.approx(results["sbert_sim"].score * (1 - 0.9 * results["fer"].score), abs=1e-3)
    assert results["fense"].notes["penalised_candidates"] == 3


def test_texts_are_encoded_once_for_both(pairs, checker, monkeypatch):
    calls = []
    embed = Encoder.embed
    monkeypatch.setattr(Encoder, "embed", lambda *arguments: calls.append(1) or embed(*arguments))
    score(pairs, ["sbert_sim", "fense"], Options(checker=checker, device="cpu"))
    assert len(calls) == 2  # candidates and references


def test_date_with_a_checker_equals_the_formulas(results):
    expected = json.loads((GOLDEN / "metrics" / "date.json").read_text(encoding="utf-8"))["with_checker"]
    found = results["date"]
    for column, values in expected["per_item"].items():
        np.testing.assert_allclose(found.columns()[column], values, rtol=0, atol=1e-5, err_msg=column)
    assert found.score == pytest.approx(expected["corpus"]["date"], abs=1e-5)
    assert found.notes["penalised_candidates"] == 3


def test_the_checker_is_in_every_signature(results, pairs):
    for name in ("fer", "fense", "date"):
        assert "checker:local@sha256:" in results[name].signature.text
    assert "checker" not in results["sbert_sim"].signature.text
    (plain,) = score(pairs, ["date"], Options(checker="", device="cpu"))
    assert "|checker:none|" not in results["date"].signature.text
    assert "penalised_candidates" not in plain.notes


@pytest.mark.parametrize("name", ["fer", "fense"])
def test_without_a_checker_there_is_no_score(pairs, name):
    with pytest.raises(MissingRequirementError, match=r"checker of F\w+ is not available.*error checker: a published name"):
        score(pairs, [name], Options(device="cpu"))


def test_long_candidates_are_told(pairs, checker):
    long = CaptionPairs.in_order(["a dog barks " * 40, "rain"], [["a dog barks"], ["it rains"]])
    fer, fense, date = score(long, ["fer", "fense", "date"], Options(checker=checker, device="cpu"))
    assert fer.notes["truncated_texts"] == 1
    assert fense.notes["truncated_for_the_checker"] == date.notes["truncated_for_the_checker"] == 1
    assert "truncated_texts" not in fense.notes
