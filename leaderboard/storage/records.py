"""What the store hands out and takes in besides submissions and systems."""

from __future__ import annotations

import os
import threading
import time
import uuid
from dataclasses import dataclass

from ..submission import Submission, System


@dataclass(frozen=True)
class Job:
    """One claim of one submission by one worker; `attempt` and `owner` fence its writes."""

    id: str
    submission_id: str
    owner: str
    attempt: int
    recipe: str


@dataclass(frozen=True)
class ResultRow:
    """One number: a metric's score or one of its components.

    Attributes:
        metric: the metric's name.
        name: the metric's name again for its score, the component's name else (`similarity`, `bleu_1`).
        value: native range.
        n: items scored.
        signature: the whole recipe.
        digest: eight hex digits of the signature; equal digests are comparable.
        seconds: time the metric took.
        items_sha256: names the parquet file of per-item scores.
        draws_sha256: names the parquet file of the overall score in resamples of the clips; empty where there is none.
        scope: empty for the overall score, else the name of the group of items.
        low: lower end of the 95 % confidence interval, None where there is none.
        high: its upper end.
    """

    metric: str
    name: str
    value: float
    n: int
    signature: str
    digest: str
    seconds: float
    items_sha256: str
    draws_sha256: str = ""
    scope: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Entry:
    """A published submission and its system, as a board lists them.

    Attributes:
        submission: the submission.
        system: what its owner says about the system.
        attempts: how many submissions the system has made to the benchmark; rejected ones are not counted.
    """

    submission: Submission
    system: System
    attempts: int


@dataclass(frozen=True)
class Quota:
    """How many submissions an account may make to one benchmark within 24 hours; those that count are `submission.COUNTED`."""

    per_day: int


_last_tick, _ticking = 0, threading.Lock()


def new_id() -> str:
    """Returns a UUIDv7, so that ids sort by age: those of one process strictly, whatever its clock does.

    Milliseconds in 48 bits, their fraction in 12 (RFC 9562, sections 5.7 and 6.2, method 3), randomness in 62.
    """
    global _last_tick  # noqa: PLW0603 # what keeps two ids of the same moment apart
    with _ticking:
        _last_tick = tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0x2 << 62
    return str(uuid.UUID(int=value | int.from_bytes(os.urandom(8), "big") >> 2))
