"""What stands in for models that cannot be had offline: the same plain functions on both sides of a comparison.

The peer's environment imports this file too, so it needs nothing but numpy. The values mean nothing; the formulas around them are
what is compared.
"""

from __future__ import annotations

import hashlib

import numpy as np

CLAP_WIDTH = 48


def spice(candidate: str, references: list[str]) -> float:
    """A value in [0, 1] for SPICE: the share of words that candidate and references have in common."""
    words, others = set(candidate.split()), {word for text in references for word in text.split()}
    return len(words & others) / len(words | others) if words | others else 0.0


def clap_vector(text: str) -> list[float]:
    """A vector for CLAP's embedding of a text, or of a sound by its path: not of unit length, near for texts that share words."""
    total = np.zeros(CLAP_WIDTH)
    for word in ["", *text.lower().split()]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        total += np.random.default_rng(seed).normal(size=CLAP_WIDTH)
    return total.tolist()
