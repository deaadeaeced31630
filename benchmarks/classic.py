"""BLEU, ROUGE-L, CIDEr-D and METEOR from raw text beside the field's tools, in one run.

    python benchmarks/classic.py [--n 40000] [--references 4] [--meteor-n 1000] [--peer-python PATH]

BLEU 1-4, ROUGE-L and CIDEr-D, tokenising included: ours beside aac-metrics 0.6.0 with its Java tokenizer, in the environment that
`make parity` builds (--peer-python names another interpreter); where that is not there, beside pycocoevalcap with the same
tokenizer. METEOR: two calls in one process, ours from raw text beside pycocoevalcap's on given words with a new object per call,
as its evaluation script does. The captions are generated here. Each side runs in a process of its own; CPU seconds are those of
that process and of the programs that it started, imports left out.
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
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

TARGET_RATIO, TARGET_GIB = 10.0, 1.0
ROOT = Path(__file__).parent.parent
PEER_PYTHON = ROOT / ".venv-parity" / "bin" / "python"
BLEU = [f"bleu_{order}" for order in range(1, 5)]
Values = dict[str, np.ndarray]
Report = dict[str, float]
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
    """Measures all sides and prints one table, the ratio, and how far the values of both sides are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=40_000, help="candidates")
    parser.add_argument("--references", type=int, default=4, help="references per candidate")
    parser.add_argument("--meteor-n", type=int, default=1_000, help="candidates for METEOR")
    parser.add_argument("--peer-python", type=Path, default=PEER_PYTHON, help="interpreter with aac-metrics 0.6.0")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--values", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        values, report = SIDES[options.side](options)
        np.savez(options.values, **values)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({**report, "rss_gib": own / 2**20}))
        return
    has_peer = options.peer_python.is_file()
    if not has_peer:
        print(f"aac-metrics is not measured: there is no {options.peer_python} (`make parity` builds it). pycocoevalcap instead.")
    peer = "aac-metrics" if has_peer else "pycocoevalcap"
    found = {side: run(side, options) for side in ("ours", peer, "ours, METEOR", "pycocoevalcap, METEOR")}
    show(options, peer, {side: report for side, (_, report) in found.items()})
    for left, right in (("ours", peer), ("ours, METEOR", "pycocoevalcap, METEOR")):
        for name, values in found[left][0].items():
            print(f"{name}: largest difference per item {np.abs(values - found[right][0][name]).max():.2g}")


def show(options: Namespace, peer: str, reports: dict[str, Report]) -> None:
    """Prints the table and the ratio."""
    print(f"{options.n:,} candidates x {options.references} references; METEOR: {options.meteor_n:,}; seconds")
    print(f"{'':24}{'CPU':>9}{'wall':>9}{'1st call':>10}{'2nd call':>10}{'memory':>11}")
    for side, report in reports.items():
        calls = "".join(f"{report[call]:10.2f}" if call in report else " " * 10 for call in ("first_s", "second_s"))
        print(f"{side:24}{report['cpu_s']:9.2f}{report['wall_s']:9.2f}{calls}{report['rss_gib']:7.2f} GiB")
    ratio = reports[peer]["cpu_s"] / reports["ours"]["cpu_s"]
    print(f"{peer} takes {ratio:.1f} x our CPU seconds (target: at least {TARGET_RATIO:g})")
    print(f"our memory: {reports['ours']['rss_gib']:.2f} GiB (target: below {TARGET_GIB:g}; Java programs left out on all sides)")
    meteor, other = (reports[f"{side}, METEOR"] for side in ("ours", "pycocoevalcap"))
    print(
        f"METEOR from the second call on: {1000 * meteor['second_s'] / options.meteor_n:.2f} ms a candidate, "
        f"{other['second_s'] / meteor['second_s']:.1f} x faster than the peer, which starts again"
    )


def run(side: str, options: Namespace) -> tuple[Values, Report]:
    """Returns the values and the report of one side, measured in a process of its own."""
    python = options.peer_python if side == "aac-metrics" else sys.executable
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}  # Java writes text in the locale's encoding
    if side == "aac-metrics":
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.npz"
        command = [str(python), __file__, "--side", side, "--values", str(values), "--n", str(options.n)]
        command += ["--references", str(options.references), "--meteor-n", str(options.meteor_n)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
        return dict(np.load(values)), json.loads(done.stdout.strip().splitlines()[-1])


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


class Clock:
    """CPU and wall seconds of what runs inside `with`, programs that it started and that have ended by then included."""

    def __enter__(self) -> Clock:
        self.cpu_s, self.wall_s = self._cpu_s(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu_s, self.wall_s = self._cpu_s() - self.cpu_s, time.perf_counter() - self.wall_s

    def report(self) -> Report:
        """Returns both numbers."""
        return {"cpu_s": self.cpu_s, "wall_s": self.wall_s}

    @staticmethod
    def _cpu_s() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)


def ours(options: Namespace) -> tuple[Values, Report]:
    """Scores with this project."""
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score

    candidates, accepted = captions(options.n, options.references)
    score(CaptionPairs.in_order(candidates[:50], accepted[:50]), ["bleu", "rouge_l", "cider_d"])  # imports what it needs
    with Clock() as clock:
        results = score(CaptionPairs.in_order(candidates, accepted), ["bleu", "rouge_l", "cider_d"])
    columns = {name: column for result in results for name, column in result.columns().items()}
    return {name: columns[name] for name in (*BLEU, "rouge_l", "cider_d")}, clock.report()


def aac_metrics(options: Namespace) -> tuple[Values, Report]:
    """Scores with the package's `evaluate`; the comparison with its values, which has the same environment, prepares it."""
    from functools import partial

    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    import aac_peer

    candidates, accepted = captions(options.n, options.references)
    with tempfile.TemporaryDirectory() as folder:
        aac_peer.prepare(Path(folder), Namespace(checker=None, sorted=True))
        metrics = [partial(aac_peer.peer.bleu, return_1_to_n=True), aac_peer.peer.rouge_l, aac_peer.peer.cider_d]
        with Clock() as clock:
            _, items = aac_peer.peer.evaluate(candidates, accepted, metrics=metrics, device="cpu")
    found = dict(zip(BLEU, items["bleu_1_to_4"].numpy(), strict=True))
    return {**found, **{name: items[name].numpy() for name in ("rouge_l", "cider_d")}}, clock.report()


def pycocoevalcap(options: Namespace) -> tuple[Values, Report]:
    """Scores with the package, which prints while it works."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    candidates, accepted = captions(options.n, options.references)
    with silence(), Clock() as clock:
        tokenizer = PTBTokenizer()
        results = tokenizer.tokenize({index: [{"caption": text}] for index, text in enumerate(candidates)})
        truth = tokenizer.tokenize({index: [{"caption": text} for text in texts] for index, texts in enumerate(accepted)})
        _, bleu = Bleu(4).compute_score(truth, results)
        _, rouge = Rouge().compute_score(truth, results)
        _, cider = Cider().compute_score(truth, results)
    found = {**dict(zip(BLEU, map(np.array, bleu), strict=True)), "rouge_l": rouge, "cider_d": cider}
    return found, clock.report()


def our_meteor(options: Namespace) -> tuple[Values, Report]:
    """Scores twice with this project, which keeps the program."""
    from unified_audiocaps.evaluators.metrics.meteor import meteor_process
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score

    candidates, accepted = captions(options.meteor_n, options.references)

    def call() -> np.ndarray:
        return score(CaptionPairs.in_order(candidates, accepted), ["meteor"])[0].per_item

    return called_twice(call, meteor_process().close)


def their_meteor(options: Namespace) -> tuple[Values, Report]:
    """Scores twice with pycocoevalcap, on our words."""
    from pycocoevalcap.meteor.meteor import Meteor
    from unified_audiocaps.evaluators.text.tokens import tokenize

    candidates, accepted = captions(options.meteor_n, options.references)
    results = {index: [text] for index, text in enumerate(tokenize(candidates))}
    truth = {index: tokenize(texts) for index, texts in enumerate(accepted)}

    def call() -> np.ndarray:
        return np.array(Meteor().compute_score(truth, results)[1])

    return called_twice(call, lambda: None)


def called_twice(call: Callable[[], np.ndarray], end: Callable[[], None]) -> tuple[Values, Report]:
    """Returns the values of a call, and what two of them took; `end` ends what they left running."""
    with Clock() as both:
        with Clock() as first:
            values = call()
        with Clock() as second:
            call()
        end()
    return {"meteor": values}, {**both.report(), "first_s": first.wall_s, "second_s": second.wall_s}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps what is printed inside from the output."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


SIDES: dict[str, Callable[[Namespace], tuple[Values, Report]]] = {
    "ours": ours,
    "aac-metrics": aac_metrics,
    "pycocoevalcap": pycocoevalcap,
    "ours, METEOR": our_meteor,
    "pycocoevalcap, METEOR": their_meteor,
}

if __name__ == "__main__":
    main()
