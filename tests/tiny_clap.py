"""A CLAP model with few random weights, and sounds for it, made on the spot: nothing is downloaded."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unified_audiocaps.evaluators.pairs import CaptionPairs

RATE_HZ, WINDOW_S = 8000, 2


def write_tiny_clap(folder: Path, *, is_fused: bool = False, seed: int = 0) -> Path:
    """Writes model and processor of 8 kHz sound and 2 s windows into `folder`, as `save_pretrained` does."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: number for number, token in enumerate([*special, *bytes_to_unicode().values()])}
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=60)
    extractor = ClapFeatureExtractor(
        sampling_rate=RATE_HZ, hop_length=80, max_length_s=WINDOW_S, fft_window_size=512, frequency_max=4000,
        truncation="fusion" if is_fused else "rand_trunc",
    )  # fmt: skip
    text = {
        "vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64, "initializer_factor": 20.0,
    }  # fmt: skip
    sound = {
        "spec_size": 128, "num_mel_bins": 64, "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
        "num_attention_heads": [2, 2], "num_hidden_layers": 2, "enable_fusion": is_fused,
        "fusion_type": "aff_2d" if is_fused else None, "initializer_factor": 20.0,
    }  # fmt: skip
    before = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = ClapModel(ClapConfig(text_config=text, audio_config=sound, projection_dim=16, initializer_factor=20.0))
    torch.random.set_rng_state(before)
    model.save_pretrained(folder)
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def write_sounds(folder: Path, pairs: "CaptionPairs") -> Mapping[str, Path]:
    """Writes a stereo wav file per id into `folder`, with a tone, noise and a length of its own; some are long."""
    import numpy as np
    import soundfile

    found = {}
    for id_ in pairs.ids:
        random = np.random.default_rng(zlib.crc32(id_.encode()))
        t = np.arange(random.integers(500, 3 * RATE_HZ)) / RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * random.uniform(100, 3000) * t)
        found[id_] = folder / f"{id_}.wav"
        soundfile.write(found[id_], np.stack((tone, 0.1 * random.normal(size=len(t))), axis=1), RATE_HZ)
    return found
