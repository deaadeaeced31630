"""Work that several metrics share, done once per call of `score`.

A piece of shared work is a plain function of the workspace, kept next to what it computes: `ngrams.counted_ngrams`,
`encoders.loaded_encoder`. The workspace knows none of them; it remembers what each returned and dies with the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from ..dataset_scripts.errors import UnknownNameError
from ..dataset_scripts.settings import Settings
from .pairs import CaptionPairs

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What a caller may choose; every metric reads what concerns it, and says so in `Metric.uses`.

    Attributes:
        encoder: sentence encoder: `minilm` (offline), a repository on the Hub, or a local folder; default `Settings.encoder`.
        checker: fluency error checker: a published name, a checkpoint file or a folder; empty for none; default
            `Settings.checker`.
        clap: CLAP model of transformers: a repository on the Hub or a local folder; empty for none; default `Settings.clap`.
        bert: model of BERTScore: a repository on the Hub or a local folder.
        spice: file of SPICE values per item (csv or jsonl with id and spice); None to compute them.
        sounds: sound file by item id, for metrics that listen.
        subtask: selects DATE's delta: long, short, speech, music, sound, environment or qa.
        precision: number type of sentence encoders: `fp32`, `bf16` or `fp16`; the last two are fast on a GPU only.
        device: `auto`, `cpu` or `cuda`; default `Settings.device`.
        batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
    """

    encoder: str = field(default_factory=lambda: Settings.from_environment().encoder)
    checker: str = field(default_factory=lambda: Settings.from_environment().checker)
    clap: str = field(default_factory=lambda: Settings.from_environment().clap)
    bert: str = "roberta-large"
    spice: Path | None = None
    sounds: Mapping[str, Path] | None = None
    subtask: str = "long"
    precision: str = "fp32"
    device: str = field(default_factory=lambda: Settings.from_environment().device)
    batch_tokens: int | None = None

    @classmethod
    def of(cls, **given: Any) -> Options:
        """Returns options in which what is None has its default.

        Raises:
            UnknownNameError: there is no such option.

        >>> Options.of(subtask="music", encoder=None).subtask
        'music'
        """
        known = [one.name for one in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError("option", name, known)
        return cls(**{name: value for name, value in given.items() if value is not None})

    @classmethod
    def meaning(cls, name: str) -> str:
        """Returns what an option means, as the documentation of this class says it."""
        found = re.search(rf"^ +{name}: (.+?)(?=\n +\w+: |\n *$)", cls.__doc__ or "", re.MULTILINE | re.DOTALL)
        return re.sub(r"\s+", " ", found[1]) if found else ""


class Workspace:
    """Remembers the results of shared work for one set of pairs.

    Args:
        pairs: the items to score.
        options: the caller's choices.
    """

    def __init__(self, pairs: CaptionPairs, options: Options) -> None:
        self.pairs, self.options = pairs, options
        self._done: dict[Callable[[Workspace], Any], Any] = {}

    def shared(self, make: Callable[[Workspace], T]) -> T:
        """Returns `make(self)`, computed at the first call with this function."""
        if make not in self._done:
            self._done[make] = make(self)
        return cast("T", self._done[make])
