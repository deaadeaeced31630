"""METEOR 1.5: words of candidate and reference aligned by form, stem, synonym and paraphrase."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from ...dataset_scripts.errors import MissingRequirementError, shorten
from ..files import short_sha256
from ..metric import Cases, Floats, Metric, ratio
from ..models.java_process import JavaProcess, folders_of_pycocoevalcap
from ..pairs import CaptionPairs
from ..text.ngrams import ptb_sentences
from ..text.tokens import TOKENIZER
from ..workspace import Workspace

# what the program takes for `-l en`
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
# of exact forms, stems, synonyms, paraphrases
WEIGHTS = (1.0, 0.6, 0.8, 0.6)
COLUMNS = 23
CHUNKS = 20
BAR = "|||"


class Meteor(Metric):
    r"""METEOR = F · (1 - gamma · (ch / m)^beta), F = P · R / (alpha · P + (1 - alpha) · R).

    Words are aligned in four stages: equal forms, equal stems, synonyms (WordNet), paraphrases (a table). With h(i) and
    r(i) the matched words of stage i in candidate and reference, split into content (c) and function (f) words:

        P = Σ_i w_i · (delta · h_c(i) + (1 - delta) · h_f(i)) / (delta · |h_c| + (1 - delta) · |h_f|)
        R = Σ_i w_i · (delta · r_c(i) + (1 - delta) · r_f(i)) / (delta · |r_c| + (1 - delta) · |r_f|)

    ch is the number of runs of matched words that stand in one order on both sides, m the mean number of matched words of
    both sides; an alignment that leaves no word out and is one run has ch = 0. w = (1, 0.6, 0.8, 0.6), alpha = 0.85,
    beta = 0.2, gamma = 0.6, delta = 0.75. Of several references the one with the highest value counts. A corpus value sums
    lengths, matches and runs over all items: it is not the mean of the items' values.

    The alignment is done by the authors' Java program, on PTB words as in the COCO caption evaluation; values are computed
    here from the counts that it prints. An empty candidate is worth 0.

    Source: Denkowski and Lavie 2014 (WMT); parameters of its program for English; program and table as in pycocoevalcap 1.2.
    Deliberate difference: `|||`, which parts the texts of one question, is taken out of references too, not of candidates
    only.
    """

    name = "meteor"
    title = "METEOR 1.5"
    requires = ("Java 8 or newer", "extra `java`")
    needs_extra = True
    cases = Cases(identical=(1.0, 1.0), disjoint=(0.0, 0.3), single=(1.0, 1.0))
    source = "Denkowski and Lavie 2014 (WMT); COCO caption evaluation, arXiv:1504.00325"
    definition = (
        "F-measure (recall weighs more) of words aligned by form, stem, synonym and paraphrase, lowered where they stand in "
        "another order; pooled over the corpus."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns tokenizer, language, the program's own normalisation, and the first digits of the files' SHA-256."""
        jar, table = meteor_files()
        return {
            "tok": TOKENIZER,
            "language": "en",
            "norm": "yes",
            "jar": _digest(jar),
            "paraphrases": _digest(table),
        }

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 23]: the counts of the alignment of each candidate and its best reference.

        Columns: words of candidate and reference, function words of both; per stage matched content words of both, matched
        function words of both; runs, matched words of candidate and reference.

        Raises:
            MissingRequirementError: Java or the program is missing, or does not work.
        """
        candidates, references = work.shared(ptb_sentences)
        lines = [_question(candidate, texts) for candidate, texts in zip(candidates, references, strict=True)]
        stats = np.array([_counts(answer) for answer in meteor_process().ask(lines)])
        # here and not in `from_totals`: sums of rows must not hold the run of a complete alignment
        stats[_is_complete(stats) & (stats[:, CHUNKS] == 1), CHUNKS] = 0
        return stats

    def from_totals(self, totals: Floats, n: Floats | float) -> Floats:
        """Returns float64[..., 1]: METEOR."""
        length, function = totals[..., :2], totals[..., 2:4]
        stages = totals[..., 4:CHUNKS].reshape(*totals.shape[:-1], len(WEIGHTS), 2, 2)  # stage, content or function, side
        matches = np.einsum("...skt,s,k->...t", stages, WEIGHTS, (DELTA, 1 - DELTA))
        shares = ratio(matches, DELTA * (length - function) + (1 - DELTA) * function)
        precision, recall = shares[..., 0], shares[..., 1]
        fmean = ratio(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
        runs = ratio(totals[..., CHUNKS], totals[..., CHUNKS + 1 :].mean(axis=-1))
        values: Floats = fmean * (1 - GAMMA * runs**BETA)
        return np.maximum(values, 0.0)[..., None]


def _is_complete(stats: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Returns bool[n]: no word of either side was left out."""
    matched = stats[:, 4:CHUNKS].reshape(-1, 2 * len(WEIGHTS), 2).sum(axis=1)
    complete: np.ndarray[tuple[int], np.dtype[np.bool_]] = (matched == stats[:, :2]).all(axis=1)
    return complete


def _question(candidate: str, references: list[str]) -> str:
    # an address or markup may hold bars inside a word
    texts = [text.replace(BAR, "") for text in (*references, candidate)]
    return f" {BAR} ".join(("SCORE", *texts))


def _counts(answer: str) -> list[float]:
    fields = answer.split()
    try:
        counts = [float(field) for field in fields]
    except ValueError:
        counts = []
    if len(counts) != COLUMNS:
        raise MissingRequirementError(
            "the METEOR 1.5 program",
            f"The program at {meteor_files()[0]} answered {shorten(answer)}; expected {COLUMNS} numbers.",
            INSTALL,
        )
    return counts


INSTALL = 'pip install --force-reinstall "unified-audiocaps[java]"'


@cache
def meteor_process() -> JavaProcess:
    """Returns the program, the same at every call; it starts at the first question and takes seconds to load its tables."""
    jar, _ = meteor_files()
    return JavaProcess(
        "METEOR",
        jar,
        ("-", "-", "-stdio", "-l", "en", "-norm"),
        # the locale must not turn points into commas, nor words into question marks
        options=("-Duser.language=en", "-Dfile.encoding=UTF-8", "-XX:+UseSerialGC", "-Xms1G", "-Xmx2G"),
    )


def meteor_files() -> tuple[Path, Path]:
    """Returns the paths of the program and of its table of paraphrases, both from the package pycocoevalcap.

    Raises:
        MissingRequirementError: the package or one of the files is missing.
    """
    folders = folders_of_pycocoevalcap()
    for folder in folders:
        files = folder / "meteor" / "meteor-1.5.jar", folder / "meteor" / "data" / "paraphrase-en.gz"
        if all(file.is_file() for file in files):
            return files
    missing = "lacks meteor-1.5.jar or data/paraphrase-en.gz" if folders else "is not installed"
    raise MissingRequirementError("the METEOR 1.5 program", f"It comes with the package pycocoevalcap, which {missing}.", INSTALL)


_digest = cache(short_sha256)  # the table is large, and both files come with a package
