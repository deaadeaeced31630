"""A RoBERTa with few random weights that reads bytes, made on the spot: nothing is downloaded."""

import json
from pathlib import Path

MAX_TOKENS = 62


def write_tiny_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Writes model and tokenizer into `folder`; large weights make tokens differ, as training would."""
    import torch
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: number for number, token in enumerate([*special, *bytes_to_unicode().values()])}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    before = torch.random.get_rng_state()
    torch.manual_seed(seed)
    positions = MAX_TOKENS + 2  # the first two are the padding's, as in RoBERTa
    model = RobertaModel(
        RobertaConfig(
            vocab_size=len(vocabulary), max_position_embeddings=positions, initializer_range=0.5, pad_token_id=1, **sizes
        )
    )
    torch.random.set_rng_state(before)
    model.save_pretrained(folder)
    RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=512).save_pretrained(folder)
    return folder


def write_tiny_sentence_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Writes the same model as a sentence encoder, the mean over its tokens, in the layout of sentence-transformers."""
    write_tiny_encoder(folder, seed=seed)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder
