import json
import subprocess
import sys

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.bootstrap import Resampling
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import describe_metrics, score
from unified_audiocaps.evaluators.text import ngrams
from unified_audiocaps.evaluators.workspace import Options, Workspace

PAIRS = CaptionPairs.in_order(["a dog barks", "it rains"], [["a dog is barking"], ["rain falls", "it is raining"]])


def test_results_come_in_the_order_asked_for():
    assert [result.metric for result in score(PAIRS, ["rouge_l", "bleu", "cider_d"])] == ["rouge_l", "bleu", "cider_d"]


def test_unknown_names_are_proposed():
    with pytest.raises(UnknownNameError, match=r"no metric is called 'cider'\. Did you mean cider_d"):
        score(PAIRS, ["cider"])


@pytest.mark.parametrize("metrics", [[], "bleu"])
def test_metrics_must_be_a_list(metrics):
    with pytest.raises(InputError, match="expected a list of at least one name"):
        score(PAIRS, metrics)


def test_duplicates_are_rejected():
    with pytest.raises(InputError, match="named twice: bleu"):
        score(PAIRS, ["bleu", "rouge_l", "bleu"])


def test_shared_work_is_done_once(monkeypatch):
    calls = []
    tokenize = ngrams.tokenize
    monkeypatch.setattr(ngrams, "tokenize", lambda texts: calls.append(1) or tokenize(texts))
    score(PAIRS, ["bleu", "rouge_l", "cider_d"])
    assert len(calls) == 1


def test_parts_take_weights_from_the_whole_set():
    captions = ["a dog barks", "it rains", "a bell rings", "a door slams"]
    texts = [["a dog is barking"], ["rain falls", "it is raining"], ["a bell rings twice"], ["someone slams a door"]]
    pairs = CaptionPairs.in_order(captions, texts)
    by = {"0": "animal", "1": "weather", "2": "thing", "3": "thing"}
    plan = Resampling(resamples=100)
    for result in score(pairs, ["bleu", "cider_d", "rouge_l"], interval=plan, by=by):
        assert {label: part.n for label, part in result.parts.items()} == {"animal": 1, "thing": 2, "weather": 1}
        assert result.parts["animal"].score == pytest.approx(result.per_item[0], abs=1e-15)
        assert [part.interval is None for part in result.parts.values()] == [True, False, True]
        assert result.to_json()["parts"]["thing"]["interval"]["level"] == 0.95
        if result.metric != "bleu":  # means
            assert result.parts["thing"].score == pytest.approx(result.per_item[2:].mean(), abs=1e-15)
    (alone,) = score(CaptionPairs.in_order(captions[2:], texts[2:]), ["bleu"])
    assert score(pairs, ["bleu"], by=by)[0].parts["thing"].score == pytest.approx(alone.score, abs=1e-15)
    with pytest.raises(InputError, match="1 of 4 items have no label"):
        score(pairs, ["bleu"], by={"0": "a", "1": "b", "2": "c"})


def test_a_workspace_remembers_by_function():
    work = Workspace(PAIRS, Options())
    calls = []

    def make(given):
        assert given is work
        calls.append(1)

    work.shared(make)
    work.shared(make)
    assert len(calls) == 1


def test_encoder_comes_from_the_settings(monkeypatch):
    monkeypatch.setenv("UAC_ENCODER", "/nowhere/at/all")
    with pytest.raises(UnknownNameError, match="/nowhere/at/all"):
        score(PAIRS, ["sbert_sim"])


def test_empty_candidates_are_noted():
    pairs = CaptionPairs.in_order(["", "it rains"], [["a dog"], ["it rains"]])
    (result,) = score(pairs, ["rouge_l"])
    assert dict(result.notes) == {"empty_candidates": 1}
    assert dict(score(PAIRS, ["rouge_l"])[0].notes) == {}


def test_signature_tells_reference_counts_and_pool():
    (cider,) = score(PAIRS, ["cider_d"])
    assert "|n:2|" in cider.signature.text
    assert "|refs:1-2|" in cider.signature.text


def test_descriptions_name_everything():
    assert [entry["name"] for entry in describe_metrics()] == METRICS.names()
    assert {"title", "version", "direction", "range", "needs_whole_corpus", "components", "requires", "source"} <= set(
        describe_metrics()[0]
    )


def test_a_range_without_end_is_valid_json():
    described = json.loads(json.dumps(describe_metrics(), allow_nan=False))
    assert {entry["name"]: entry["range"] for entry in described}["vocab"] == [0.0, None]


def test_importing_and_listing_load_no_heavy_package():
    script = (
        "import sys; from unified_audiocaps.evaluators.score import describe_metrics; describe_metrics(); "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'evaluate', 'datasets', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
