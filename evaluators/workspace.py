"""Work that several metrics share, done once per call of `score`.

A piece of shared work is a plain function of the workspace, kept next to what it computes: `ngrams.counted_ngrams`,
`encoders.loaded_encoder`. The workspace knows none of them; it remembers what each returned and dies with the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from .pairs import CaptionPairs

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What a caller may choose; every metric reads what concerns it.

    Attributes:
        encoder: text encoder of the embedding metrics: `minilm`, a Hub name or a local path.
        subtask: selects DATE's delta.
        device: `auto`, `cpu` or `cuda`.
        batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
    """

    encoder: str = "minilm"
    subtask: str = "long"
    device: str = "auto"
    batch_tokens: int | None = None


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
