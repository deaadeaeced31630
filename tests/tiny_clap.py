"""A CLAP model with few random weights, made on the spot: nothing is downloaded."""

from pathlib import Path

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
