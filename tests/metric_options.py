"""Options with which every metric can be scored here: tiny models with random weights, files that tests write."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.workspace import Options

from .tiny_checker import write_tiny_checker
from .tiny_clap import write_sounds, write_tiny_clap
from .tiny_encoder import write_tiny_encoder

# by field of `Options`: makes a value for it, for these pairs, in a folder of its own
MAKERS: Mapping[str, Callable[[Path, CaptionPairs], Any]] = {
    "bert": lambda folder, _: str(write_tiny_encoder(folder)),
    "checker": lambda folder, _: str(write_tiny_checker(folder)),
    "clap": lambda folder, _: str(write_tiny_clap(folder)),
    "sounds": write_sounds,
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
