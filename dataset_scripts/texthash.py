"""64-bit hashes of texts at numpy speed: to count repeats, to find equal keys and ids, and to draw rows by seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .arrays import characters_of, ranges

Hashes = NDArray[np.uint64]

_TEXTS_AT_ONCE = 16_384
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class TextHasher:
    """Sums the mixed eight-byte words of a text, each combined with a random number that depends on its place, and mixes the sum.

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
        characters, begins = characters_of(texts)
        lengths = np.diff(begins)
        n_words = (lengths + 7) // 8
        longest = int(n_words.max(initial=0))
        if longest > len(self.table):  # a longer table begins with the numbers of the shorter one
            self.table = np.random.Generator(np.random.PCG64(self.seed)).integers(
                0, 2**64 - 1, 2 * longest + 64, np.uint64, endpoint=True
            )
        found = lengths.astype(np.uint64) * _GOLDEN
        filled = lengths > 0
        if filled.any():
            places = ranges(n_words)
            padded = np.concatenate([characters, np.zeros(8, np.uint8)])
            at_any_byte = np.ndarray((len(characters) + 1,), "<u8", padded, strides=(1,))
            words = at_any_byte[np.repeat(begins[:-1], n_words) + 8 * places].astype(np.uint64)
            ends = np.cumsum(n_words[filled])
            surplus = 8 * (8 * n_words - lengths)[filled]  # bits of the last word that belong to the next text
            words[ends - 1] &= np.uint64(2**64 - 1) >> surplus.astype(np.uint64)
            found[filled] += np.add.reduceat(mixed(words ^ self.table[places]), ends - n_words[filled])
        return mixed(found)


class SeenTexts:
    """Tells which texts were there before, in 16 bytes each instead of the texts themselves.

    A text is known by two hashes of different seeds: among ten million texts, two different ones are taken for the same once in
    10^24 draws.
    """

    def __init__(self) -> None:
        self._hashers = TextHasher(1), TextHasher(2)
        # sorted runs, each at least twice as long as the next, so that few are searched and little is merged
        self._runs: list[tuple[Hashes, Hashes]] = []

    def are_new(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """Returns bool[n]: whether a text was neither in an earlier call nor before in this one; remembers all."""
        first, second = (hasher.of(texts) for hasher in self._hashers)
        order = np.argsort(first, kind="stable")  # the first of equal texts stays first
        if (np.diff(first[order]) == 0).any():
            order = np.lexsort((second, first))
        first, second = first[order], second[order]
        is_new = np.ones(len(order), bool)
        is_new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        for known, other in self._runs:
            at = np.minimum(np.searchsorted(known, first), len(known) - 1)
            is_new &= (known[at] != first) | (other[at] != second)
        self._add(first[is_new], second[is_new])
        found = np.empty(len(order), bool)
        found[order] = is_new
        return found

    def _add(self, first: Hashes, second: Hashes) -> None:
        if not len(first):
            return
        self._runs.append((first, second))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (a, b), (c, d) = self._runs[-2:]
            keys, values = np.concatenate([a, c]), np.concatenate([b, d])
            order = np.argsort(keys, kind="stable")
            self._runs[-2:] = [(keys[order], values[order])]


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
