"""BLEU, ROUGE-L and CIDEr-D beside `pycocoevalcap`: CPU seconds on the same tokens, in one run.

    python benchmarks/classic.py [--n 40000] [--references 4]

The captions are generated here. Each side runs in a process of its own, so that memory is its own too. Both get the same
tokens; our time with tokenising is printed as well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TARGET_RATIO, TARGET_GIB = 10.0, 1.0
SEED = 20240817

SOURCES = (
    "man woman child dog cat bird crow rooster goat horse frog cricket crowd baby engine truck bus motorcycle train "
    "tram helicopter airplane drill saw hammer lawnmower fan kettle tap river stream fountain rain thunder wind wave "
    "bell siren horn alarm clock door drawer keyboard printer piano guitar flute drum violin choir radio television "
    "phone vacuum toilet shower bottle glass plate spoon "
).split()
SOUNDS = (
    "speaks laughs cries shouts whispers sings barks meows chirps caws crows bleats neighs croaks hums rumbles idles "
    "accelerates passes whirs buzzes hisses whistles clicks taps knocks bangs rattles squeaks creaks drips flows "
    "splashes pours falls howls rings wails honks beeps ticks slams slides clatters plays strums echoes fades "
    "approaches stops resumes vibrates scrapes crackles pops gurgles "
).split()
MANNERS = (
    "loudly softly slowly quickly repeatedly steadily briefly faintly sharply twice nearby again together rhythmically".split()
)
PLACES = (
    "in the background|in the distance|in a small room|on a gravel road|near a busy street|under a bridge|inside a large hall|"
    "outside on a windy day|next to the microphone|behind a closed door|at a railway station|in a kitchen"
).split("|")
LINKS = [" and ", " while ", ", then ", " as ", " followed by ", "; ", " before "]


def main() -> None:
    """Measures both sides and prints their times, their largest difference and our memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=40_000, help="candidates")
    parser.add_argument("--references", type=int, default=4, help="references per candidate")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--values", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        SIDES[arguments.side](arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        values = {side: Path(folder) / f"{side}.npz" for side in SIDES}
        reports = {side: run(side, arguments, values[side]) for side in SIDES}
        loaded = {side: dict(np.load(path)) for side, path in values.items()}
    ours, peer = reports["ours"], reports["pycocoevalcap"]
    print(
        f"{arguments.n:,} candidates x {arguments.references} references, {ours['words']:,.0f} words; CPU seconds on given tokens"
    )
    for side, report in reports.items():
        print(f"{side:>14}: {report['metrics_cpu_s']:6.2f}   peak memory {report['rss_gib']:.2f} GiB")
    print(f"ratio {peer['metrics_cpu_s'] / ours['metrics_cpu_s']:.1f}x (target: {TARGET_RATIO:g}x)")
    print(f"our memory target: below {TARGET_GIB:g} GiB")
    print(f"ours with tokenising: {ours['metrics_cpu_s'] + ours['tokenize_cpu_s']:.2f} (tokenising {ours['tokenize_cpu_s']:.2f})")
    for name in loaded["ours"]:
        print(f"{name}: largest difference per item {np.abs(loaded['ours'][name] - loaded['pycocoevalcap'][name]).max():.2g}")


def run(side: str, arguments: argparse.Namespace, values: Path) -> dict[str, float]:
    """Returns the report of one side, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--values", str(values)]
    command += ["--n", str(arguments.n), "--references", str(arguments.references)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    report: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def captions(n: int, references: int) -> tuple[list[str], list[list[str]]]:
    """Returns candidates and references: the references of an item are variations of its candidate."""
    random = np.random.default_rng(SEED)

    def pick(words: list[str]) -> str:
        return words[min(int(random.exponential(len(words) / 4)), len(words) - 1)]  # a few are frequent, as in speech

    def clause() -> str:
        if random.random() < 0.4:
            return f"a {pick(SOURCES)} {pick(SOUNDS)} {pick(MANNERS)} {pick(PLACES)}"
        return f"the {pick(SOURCES)} {pick(SOUNDS)}"

    def sentence(clauses: list[str]) -> str:
        text = clauses[0]
        for following in clauses[1:]:
            text += pick(LINKS) + following
        return text[0].upper() + text[1:] + "."

    candidates, accepted = [], []
    for _ in range(n):
        clauses = [clause() for _ in range(random.integers(1, 4))]
        variations = [[part if random.random() < 0.6 else clause() for part in clauses] for _ in range(references)]
        candidates.append(sentence(clauses))
        accepted.append([sentence(variation) for variation in variations])
    return candidates, accepted


def tokens(arguments: argparse.Namespace) -> tuple[list[str], list[list[str]], float]:
    """Returns the tokenised captions and the CPU seconds that tokenising took."""
    from unified_audiocaps.evaluators.tokens import tokenize

    candidates, accepted = captions(arguments.n, arguments.references)
    started = time.process_time()
    flat = tokenize([*candidates, *(text for texts in accepted for text in texts)])
    seconds = time.process_time() - started
    k = arguments.references
    return flat[: arguments.n], [flat[start : start + k] for start in range(arguments.n, len(flat), k)], seconds


def ours(arguments: argparse.Namespace) -> None:
    """Scores with this project."""
    from unified_audiocaps.evaluators.metrics.bleu import Bleu, bleu_stats
    from unified_audiocaps.evaluators.metrics.cider_d import cider_d_per_item
    from unified_audiocaps.evaluators.metrics.rouge_l import rouge_l_per_item
    from unified_audiocaps.evaluators.ngrams import WordIds, count_ngrams

    candidates, accepted, tokenize_cpu_s = tokens(arguments)
    started = time.process_time()
    words = WordIds.of(candidates, accepted)
    counts = count_ngrams(words)
    bleu = Bleu().values_per_item(bleu_stats(words, counts))
    values = {"cider_d": cider_d_per_item(words, counts), "rouge_l": rouge_l_per_item(words)}
    cpu_s = time.process_time() - started
    values |= {f"bleu_{order}": bleu[:, order] for order in range(1, 5)}
    finish(arguments, values, {"metrics_cpu_s": cpu_s, "tokenize_cpu_s": tokenize_cpu_s, "words": len(words.ids)})


def pycocoevalcap(arguments: argparse.Namespace) -> None:
    """Scores with the package, which prints while it works."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    candidates, accepted, _ = tokens(arguments)
    results = {index: [text] for index, text in enumerate(candidates)}
    truth = dict(enumerate(accepted))
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        _, bleu = Bleu(4).compute_score(truth, results)
        _, rouge = Rouge().compute_score(truth, results)
        _, cider = Cider().compute_score(truth, results)
    cpu_s = time.process_time() - started
    values = {"cider_d": cider, "rouge_l": rouge, **{f"bleu_{order}": np.array(bleu[order - 1]) for order in range(1, 5)}}
    finish(arguments, values, {"metrics_cpu_s": cpu_s})


def finish(arguments: argparse.Namespace, values: dict[str, np.ndarray], report: dict[str, float]) -> None:
    """Hands values and report to the parent process."""
    np.savez(arguments.values, **values)
    report["rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(report))


SIDES: dict[str, Callable[[argparse.Namespace], None]] = {"ours": ours, "pycocoevalcap": pycocoevalcap}

if __name__ == "__main__":
    main()
