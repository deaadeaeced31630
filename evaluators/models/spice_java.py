"""SPICE by its authors' Java program, where the user has all that it needs: a Java from 8 to 14 and CoreNLP 3.6.0.

The program comes with the package pycocoevalcap, CoreNLP does not: it is looked for and never downloaded from here. The
program reads one JSON file, writes another and ends. It writes with the script engine that Java lost with version 15. It runs
without its cache of parses, which would live in the package's folder and changes no value.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...dataset_scripts.errors import MissingRequirementError, shorten
from ..metric import Floats
from .java_process import find_java, folders_of_pycocoevalcap, run_once

NEWEST_JAVA = 14
CORENLP = "3.6.0"
JAR = "spice-1.0.jar"
CORENLP_JARS = (f"stanford-corenlp-{CORENLP}.jar", f"stanford-corenlp-{CORENLP}-models.jar")
# loading the parser takes a minute, parsing a caption a fraction of a second
START_LIMIT_S, TEXT_LIMIT_S = 600.0, 1.0
ELSEWHERE = (
    "a file of SPICE values (csv or jsonl with id and spice) computed elsewhere, for example in an environment of its own with "
    "aac-metrics; hand it in as --spice FILE, or Options(spice=...)"
)


def spice_by_java(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Returns float64[n]: the F-score of each candidate's tuples against those of all its references.

    Args:
        candidates: tokenised texts.
        references: tokenised texts per candidate.

    Raises:
        MissingRequirementError: Java, the program or CoreNLP is missing, or the program fails.
    """
    jar = spice_jar()
    java = find_java("SPICE (its program, with no file of values)", newest=NEWEST_JAVA)
    items = [
        {"image_id": index, "test": candidate, "refs": list(texts)}
        for index, (candidate, texts) in enumerate(zip(candidates, references, strict=True))
    ]
    n_texts = len(candidates) + sum(map(len, references))
    with tempfile.TemporaryDirectory(prefix="uac-spice-") as folder:
        asked, answered = Path(folder) / "captions.json", Path(folder) / "scores.json"
        asked.write_text(json.dumps(items), encoding="ascii")  # the program reads in the machine's encoding, whichever that is
        run_once(
            "SPICE",
            java,
            jar,
            (str(asked), "-out", str(answered), "-silent"),
            options=("-Xmx8G",),
            limit_s=START_LIMIT_S + TEXT_LIMIT_S * n_texts,
        )
        answer = answered.read_text(encoding="utf-8") if answered.is_file() else ""
    return _f_scores(answer, len(candidates))


def _f_scores(answer: str, n: int) -> Floats:
    try:
        found = {item["image_id"]: float(item["scores"]["All"]["f"]) for item in json.loads(answer)}
        values = np.array([found[index] for index in range(n)])
        is_sound = bool(np.all((values >= 0) & (values <= 1)))
    except (ValueError, KeyError, TypeError):
        is_sound = False
    if not is_sound:
        why = f"It wrote {shorten(answer)}; expected a list with image_id and scores from 0 to 1 for {n:,} captions."
        raise MissingRequirementError("a working SPICE program", why, f"install pycocoevalcap 1.2 anew, or: {ELSEWHERE}.")
    return values


def spice_jar() -> Path:
    """Returns the path of the program, beside whose `lib` CoreNLP lies.

    Raises:
        MissingRequirementError: the program or a jar of CoreNLP is missing; says which file belongs where.
    """
    folders = [folder / "spice" for folder in folders_of_pycocoevalcap()]
    folder = next((one for one in folders if (one / JAR).is_file()), None)
    if folder is None:
        why = f"{JAR} comes with the package pycocoevalcap, which is not here."
        raise MissingRequirementError("the SPICE program", why, f'pip install "unified-audiocaps[java]", or: {ELSEWHERE}.')
    missing = [name for name in CORENLP_JARS if not (folder / "lib" / name).is_file()]
    if missing:
        raise MissingRequirementError(
            f"CoreNLP {CORENLP} for SPICE",
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in {folder / 'lib'}.",
            f"put {' and '.join(missing)} there (from stanford-corenlp-full-2015-12-09.zip of nlp.stanford.edu, 384 MB), "
            f"or: {ELSEWHERE}.",
        )
    return folder / JAR
