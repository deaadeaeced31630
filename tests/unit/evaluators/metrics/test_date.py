import csv
import json

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import UnknownNameError
from unified_audiocaps.evaluators.metrics import date
from unified_audiocaps.evaluators.metrics.date import frequencies, harmonic_mean, similarity_and_discrimination, token_weights
from unified_audiocaps.evaluators.models.encoders import load_encoder
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

CONSTANT = "A person is speaking while music plays in the background."


def unit(rows, width, seed=5):
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_frequencies_equal_the_double_sum(monkeypatch, block):
    monkeypatch.setattr(date, "WORD_BLOCK", block)
    vectors = unit(7, 4)
    sentences, n_texts = [[0, 1, 1, 6], [2], [5, 4, 3, 0, 0]], np.array([1, 2, 3])
    place = np.repeat([0, 1, 2], [4, 1, 5])
    word = np.concatenate(sentences)
    squared = (vectors @ vectors.T).astype(np.float64) ** 2
    tf = [[sum(squared[w, t] for t in sentence) for sentence in sentences] for w in range(7)]
    found_tf, found_df = frequencies(vectors, place, word, n_texts)
    np.testing.assert_allclose(found_tf, [tf[w][s] for w, s in zip(word, place, strict=True)], rtol=1e-6)
    np.testing.assert_allclose(found_df, [sum(n * min(1, v) for n, v in zip(n_texts, row, strict=True)) for row in tf], rtol=1e-6)


def test_weights_of_special_tokens():
    encoder = load_encoder("minilm", "cpu")
    texts = encoder.tokenize(["a dog barks and a dog howls", "", "rain [SEP] wind"])
    weights = [token_weights(encoder, texts)[s : s + n] for s, n in zip(texts.starts, texts.lengths, strict=True)]
    assert weights[0][1:-1].mean() == pytest.approx(1, abs=1e-6)
    assert weights[0][0] == weights[0][1:-1].max() > 1
    assert weights[0][-1] == weights[0][1:-1].min() < 1
    assert weights[1].tolist() == [1, 1]
    assert weights[2][2] == 1


def test_rank_counts_the_item_itself_and_the_band():
    own = np.eye(4, dtype=np.float32)
    similarity, discrimination = similarity_and_discrimination(own, own, 0.2)
    assert similarity.tolist() == [1, 1, 1, 1]
    assert discrimination.tolist() == [0.75] * 4
    near = own.copy()
    near[1] = [np.sqrt(1 - 0.0025), 0.05, 0, 0]  # item 1 says nearly what item 0 does
    assert similarity_and_discrimination(near, near, 0.2)[1].tolist() == [0.5, 0.5, 0.75, 0.75]


def test_penalty_scales_a_candidates_own_row():
    candidates, references = unit(5, 3), unit(5, 3, seed=6)
    penalty = np.array([1, 0.1, 1, 0.1, 1], np.float32)
    plain = similarity_and_discrimination(candidates, references, 0.17)
    scaled = similarity_and_discrimination(candidates, references, 0.17, penalty)
    np.testing.assert_allclose(scaled[0], plain[0] * penalty, rtol=1e-6)
    assert scaled[1][[0, 2, 4]].tolist() == plain[1][[0, 2, 4]].tolist()


def test_rank_blocks_do_not_matter(monkeypatch):
    candidates, references = unit(50, 6), unit(50, 6, seed=9)
    expected = similarity_and_discrimination(candidates, references, 0.17)[1]
    monkeypatch.setattr(date, "RANK_BLOCK", 7)
    np.testing.assert_allclose(similarity_and_discrimination(candidates, references, 0.17)[1], expected, atol=0.02)


def test_harmonic_mean_where_it_has_no_bound():
    values = harmonic_mean(np.array([-0.1, 0.0, -0.3, 0.5, 0.5, 1.0]), np.array([0.1, 0.0, 0.9, 0.0, 0.5, 1.0]))
    assert values.tolist() == [0, 0, 0, 0, 0.5, 1]


def test_similarities_that_are_not_positive_are_counted():
    pairs = CaptionPairs.in_order(["prime numbers never end", "rain"], [["a dog barks on the lawn"], ["rain"]])
    (result,) = score(pairs, ["date"], Options(device="cpu"))
    below = int((result.item_components["date_similarity"] <= 0).sum())
    assert result.notes.get("similarities_not_positive", 0) == below
    assert np.all(result.per_item >= 0)


def test_delta_follows_the_subtask():
    pairs = CaptionPairs.in_order(["a dog", "a cat"], [["a dog barks"], ["a cat meows"]])
    (music,) = score(pairs, ["date"], Options(subtask="music", device="cpu"))
    assert "|delta:0.1566|" in music.signature.text
    assert "checker:none|" in music.signature.text
    with pytest.raises(UnknownNameError, match=r"no DATE subtask is called 'musik'\. Did you mean music"):
        score(pairs, ["date"], Options(subtask="musik", device="cpu"))


def test_close_to_the_package_mecat():
    """Its similarities are float16, hence the tolerance; the values were printed by mecat itself."""
    from pathlib import Path

    folder = Path(__file__).parents[3] / "golden"
    expected = json.loads((folder / "metrics" / "date.json").read_text(encoding="utf-8"))["mecat"]
    candidates = [json.loads(line)["candidate"] for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    (result,) = score(
        CaptionPairs.in_order(candidates, expected["references"]), ["date"], Options(encoder="minilm", device="cpu")
    )
    for name, value in {"date": result.score, **result.components}.items():
        assert value == pytest.approx(expected[name], abs=expected["tolerance"])


def mecat_inputs(items, subtask, system):
    keys = sorted(items)
    references = {key: items[key][subtask] for key in keys}
    if system == "one-of-three":
        return {key: texts[0] for key, texts in references.items()}, {key: texts[1:] for key, texts in references.items()}
    if system == "shuffled":
        following = dict(zip(keys, [*keys[1:], keys[0]], strict=True))
        return {key: references[following[key]][0] for key in keys}, references
    return dict.fromkeys(keys, CONSTANT), references


@pytest.mark.real
@pytest.mark.parametrize("subtask", ["long", "short", "sound", "environment"])
@pytest.mark.parametrize("system", ["one-of-three", "shuffled", "constant"])
def test_mecat_domain_0ma(golden_dir, real_dir, subtask, system):
    items = {}
    with (real_dir / "mecat" / "caption" / "test" / "0MA.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            items |= json.loads(line)
    with (golden_dir / "date" / f"v1_date_0MA_{subtask}_{system}.csv").open(encoding="utf-8", newline="") as file:
        golden = {row["sample_id"]: row for row in csv.DictReader(file)}
    pairs = CaptionPairs.join(*mecat_inputs(items, subtask, system))
    assert set(pairs.ids) == set(golden)
    (result,) = score(pairs, ["date"], Options(encoder="minilm", subtask=subtask, device="cpu"))
    expected = {
        name: np.array([float(golden[id_][name]) for id_ in pairs.ids]) for name in ("similarity", "discrimination", "date")
    }
    np.testing.assert_allclose(result.item_components["date_similarity"], expected["similarity"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.item_components["date_discrimination"], expected["discrimination"], rtol=0, atol=1e-6)
    positive = expected["similarity"] > 0  # elsewhere the reference prints an unbounded number, and ours is 0
    np.testing.assert_allclose(result.per_item[positive], expected["date"][positive], rtol=0, atol=1e-5)
