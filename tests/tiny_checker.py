"""An error checker with few weights, drawn by seed, in the form of the published ones: nothing is downloaded."""

import json
import re
from pathlib import Path

GOLDEN_CAPTIONS = Path(__file__).parent / "golden" / "captions.jsonl"
CLASSES = ("add_tail", "repeat_event", "repeat_adv", "remove_conj", "remove_verb", "error")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SEED, SPREAD, BIAS = 10, 0.3, 2.0


def write_tiny_checker(folder: Path, **sizes: int) -> Path:
    """Writes `checker.ckpt` and, beside it, the folder `base` with configuration and tokenizer; returns the checkpoint's path.

    Three of the golden candidates are above 0.9, two of them above 0.97, none near either. `sizes`
    are those of a BERT, by default those of `SIZES`.
    """
    import numpy as np
    import torch
    from transformers import BertConfig, BertModel

    words = _vocabulary()
    config = BertConfig(vocab_size=len(words), max_position_embeddings=256, **{**SIZES, **sizes})
    write_base(folder / "base", config, words)
    before = torch.random.get_rng_state()
    encoder = BertModel(config)
    torch.random.set_rng_state(before)
    random = np.random.default_rng(SEED)  # not torch's: the values must not depend on the order in which parts are made
    state = {}
    for name, tensor in sorted(encoder.state_dict().items()):
        drawn = torch.from_numpy(random.normal(scale=SPREAD, size=tuple(tensor.shape)).astype(np.float32))
        state[f"encoder.{name}"] = drawn + 1 if name.endswith("LayerNorm.weight") else drawn
    state["encoder.embeddings.position_ids"] = torch.arange(config.max_position_embeddings)[None]  # the published files hold it
    weight = random.normal(size=(len(CLASSES), config.hidden_size)).astype(np.float32)
    state["clf.weight"], state["clf.bias"] = torch.from_numpy(weight), torch.full((len(CLASSES),), BIAS)
    path = folder / "checker.ckpt"
    torch.save({"model_type": "base", "num_classes": len(CLASSES), "state_dict": state}, path)
    return path


def write_base(folder: Path, config, words: list[str]) -> None:
    """Writes what a checkpoint takes from its base model: configuration and tokenizer."""
    from transformers import BertTokenizer

    config.architectures = ["BertModel"]
    config.save_pretrained(folder)
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}, model_max_length=512).save_pretrained(folder)


def _vocabulary() -> list[str]:
    """Special tokens, letters and digits as words and as pieces, and the words of the golden captions."""
    texts = []
    for line in GOLDEN_CAPTIONS.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        texts += [item["candidate"], *item["references"]]
    words = {word for text in texts for word in re.sub(r"[^\w\s]", "", text).lower().split() if word.isascii()}
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [f"##{letter}" for letter in letters] + ["##ing", "##ed", "##s", "##er", "##ly"]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *pieces, *sorted(words - set(letters))]
