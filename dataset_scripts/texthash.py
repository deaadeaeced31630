"""64-bit hashes of texts at numpy speed: to count repeats, to find equal keys, and to draw rows by seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .arrays import ranges

Hashes = NDArray[np.uint64]

_TEXTS_AT_ONCE = 16_384
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class TextHasher:
    """Sums the bytes of a text, each times a random number that depends on its place (multilinear hashing), and mixes the sum.

    Equal texts have equal hashes, on every machine and in every version; two given texts collide once in 2^64 draws or so.

    Args:
        seed: another seed gives other hashes.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.table = seed, np.zeros(0, np.uint64)

    def of(self, texts: pa.StringArray) -> Hashes:
        """Returns uint64[n]; null counts as empty."""
        pieces = [texts.slice(begin, _TEXTS_AT_ONCE) for begin in range(0, len(texts), _TEXTS_AT_ONCE)]
        return np.concatenate([np.zeros(0, np.uint64), *map(self._of, pieces)])

    def _of(self, texts: pa.StringArray) -> Hashes:
        _, offsets, data = texts.buffers()
        begins = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
        characters = np.frombuffer(data or b"", np.uint8)[begins[0] : begins[-1]]
        lengths = np.diff(begins)
        longest = int(lengths.max(initial=0))
        if longest >= len(self.table):  # a longer table begins with the numbers of the shorter one
            self.table = np.random.Generator(np.random.PCG64(self.seed)).integers(
                0, 2**64 - 1, 2 * longest + 64, np.uint64, endpoint=True
            )
        found = lengths.astype(np.uint64) * _GOLDEN
        filled = lengths > 0
        if filled.any():
            terms = (characters.astype(np.uint64) + np.uint64(1)) * self.table[ranges(lengths)]
            found[filled] += np.add.reduceat(terms, (begins[:-1] - begins[0])[filled])
        return mixed(found)


def mixed(values: Hashes) -> Hashes:
    """Returns numbers whose order says nothing about the order of `values` (the finaliser of splitmix64, one to one)."""
    found = values ^ (values >> np.uint64(30))
    found = found * np.uint64(0xBF58476D1CE4E5B9)
    found = found ^ (found >> np.uint64(27))
    found = found * np.uint64(0x94D049BB133111EB)
    result: Hashes = found ^ (found >> np.uint64(31))
    return result


def numbered(values: Hashes, numbers: NDArray[np.int64]) -> Hashes:
    """Returns hashes of (value, number) pairs, such as a row and the place of a question in it."""
    return mixed(values + (numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
