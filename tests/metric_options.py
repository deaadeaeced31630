"""Options with which every metric can be scored here: tiny models with random weights, files that tests write."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.workspace import Options

from .golden.stand_in_spice import stand_in_spice
from .tiny_checker import write_tiny_checker
from .tiny_clap import write_sounds, write_tiny_clap
from .tiny_encoder import write_tiny_encoder


def spice_file(folder: Path, pairs: CaptionPairs) -> Path:
    """Writes values for every candidate, sorted, so that equal sets give equal files."""
    rows = []
    for index, (id_, first, references) in enumerate(zip(pairs.ids, pairs.candidates, pairs.references, strict=True)):
        for number, text in enumerate((first, *(pairs.alternatives[index] if pairs.alternatives else ()))):
            rows.append({"id": id_, "candidate": number, "spice": stand_in_spice(text, list(references))})
    path = folder / "spice.jsonl"
    lines = (json.dumps(row) for row in sorted(rows, key=lambda row: (row["id"], row["candidate"])))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# by field of `Options`: makes a value for it, for these pairs, in a folder of its own
MAKERS: Mapping[str, Callable[[Path, CaptionPairs], Any]] = {
    "bert": lambda folder, _: str(write_tiny_encoder(folder)),
    "checker": lambda folder, _: str(write_tiny_checker(folder)),
    "clap": lambda folder, _: str(write_tiny_clap(folder)),
    "sounds": write_sounds,
    "spice": spice_file,
}


def options_for(name: str, pairs: CaptionPairs, **more: Any) -> Options:
    """Returns options in which all is there that the metric needs, or would compute with programs that are not here."""
    metric = METRICS.get(name)
    made = {
        one: MAKERS[one](Path(tempfile.mkdtemp(prefix="uac-test-")), pairs)
        for one in metric.uses
        if one in MAKERS and (one in metric.needs or metric.needs_extra) and one not in more
    }
    return Options.of(**{"device": "cpu", **made, **more})
