"""Captions found by meaning: a stored sentence vector of every caption, compared with that of the query, one by one.

Vectors are those of the encoder MiniLM (all-MiniLM-L6-v2), 384 numbers of unit length, kept as int8 with a factor of their own:
388 bytes each. They lie in parts of `PART` captions, each written whole or not at all, so that a run that was killed goes on
behind its last part. A search leaves nothing out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts import atomic
from .catalogue import Catalogue, Mask

if TYPE_CHECKING:
    from ...evaluators.models.encoders import Encoder

Vectors = npt.NDArray[np.float32]
Small = npt.NDArray[np.int8]

PART = 8192  # captions: twenty seconds of work on two cores, which is what a kill can cost
_FACTOR_BYTES = 4
_BLOCK = 1024  # vectors: their float32 copy stays in the cache of a core, which is what makes the scan fast
_THREADS = 8  # more wait for memory, not for the processor


@dataclass(frozen=True)
class MeaningFound:
    """Which captions are closest to a query.

    Attributes:
        total: how many were compared.
        numbers: places in the catalogue of those on this page, closest first.
        scores: their cosines with the query.
    """

    total: int
    numbers: list[int]
    scores: list[float]


def encoder(device: str = "cpu") -> Encoder:
    """Returns the encoder of captions and queries, kept for the next call of this process.

    Raises:
        UnknownNameError: no such device.
        MissingRequirementError: a package or the device is not there.
    """
    from ...evaluators.models.encoders import BUILT_IN, load_encoder, resolve_device

    return load_encoder(BUILT_IN, resolve_device(device))


def embedded(texts: Sequence[str], one: Encoder) -> Vectors:
    """Returns float32[texts, d], unit length."""
    tokens = one.tokenize(texts)
    return one.embed(tokens)[tokens.sequence]


def packed(vectors: Vectors) -> bytes:
    """Returns vectors as they are stored: their factors as float32, then their numbers as int8.

    Args:
        vectors: float32[n, d].
    """
    factors = np.maximum(np.abs(vectors).max(axis=1, initial=0), np.float32(1e-12)) / np.float32(127)
    content: bytes = factors.astype("<f4").tobytes() + np.rint(vectors / factors[:, None]).astype(np.int8).tobytes()
    return content


def write_parts(
    captions: Catalogue,
    one: Encoder,
    folder: Path,
    about: dict[str, Any],
    on_captions: Callable[[int], object] | None = None,
) -> int:
    """Writes the parts that are not in a folder yet; a folder that is about something else is emptied first.

    Args:
        captions: what to store the meaning of; an entry without a text gets a vector, too, which nobody asks for.
        one: the encoder.
        folder: where the parts lie; made if needed.
        about: what determines the vectors besides, for `about.json`.
        on_captions: called with the number of captions of every part.

    Returns:
        How many captions were there before.

    Raises:
        OSError: the disk is full or refuses.
    """
    about = {**about, "captions": len(captions), "part": PART, "dimensions": embedded([""], one).shape[1]}
    text, known = json.dumps(about, sort_keys=True), folder / "about.json"
    if not known.is_file() or known.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        atomic.write_text(known, text)
    for half in folder.glob(".part-*"):  # what a kill left
        half.unlink()
    before = 0
    for begin, end in _spans(len(captions), PART):
        path = _part(folder, begin)
        if path.is_file():
            before += end - begin
        else:
            atomic.write_bytes(path, packed(embedded(captions.texts(begin, end), one)))
        if on_captions is not None:
            on_captions(end - begin)
    return before


def _spans(total: int, part: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + part, total)) for begin in range(0, total, part))


def _part(folder: Path, begin: int) -> Path:
    return folder / f"part-{begin:09d}.int8"


class MeaningIndex:
    """Stored vectors, mapped into memory: what a search reads stays in the system's cache, not in the process.

    Args:
        parts: of all parts in order the factors, float32[n], and the numbers, int8[n, d].
    """

    def __init__(self, parts: Iterable[tuple[Vectors, Small]]) -> None:
        factors, self._parts = list[Vectors](), list[Small]()
        for some_factors, small in parts:
            factors.append(some_factors)
            self._parts.append(small)
        self._factors = np.concatenate(factors) if factors else np.empty(0, np.float32)

    @classmethod
    def open(cls, folder: Path) -> MeaningIndex:
        """Returns what `write_parts` wrote.

        Raises:
            OSError: a part is missing.
            ValueError: a part was cut.
        """
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        dimensions = int(about["dimensions"])
        return cls(
            _unpacked(np.memmap(_part(folder, begin), np.uint8, "r"), end - begin, dimensions)
            for begin, end in _spans(int(about["captions"]), int(about["part"]))
        )

    @classmethod
    def of(cls, vectors: Vectors) -> MeaningIndex:
        """Returns an index without files.

        Args:
            vectors: float32[n, d].
        """
        return cls([_unpacked(np.frombuffer(packed(vectors), np.uint8), *vectors.shape)])

    def __len__(self) -> int:
        return len(self._factors)

    def find(self, query: Vectors, mask: Mask, limit: int, offset: int) -> MeaningFound:
        """Returns the captions that are closest to a query; of equally close ones the first of the set.

        Args:
            query: float32[d], unit length.
            mask: bool[n], which captions to compare.
            limit: how many.
            offset: how many of the closest to pass over.
        """
        allowed = np.flatnonzero(mask)
        wanted = min(offset + limit, len(allowed))
        if wanted <= offset:
            return MeaningFound(len(allowed), [], [])
        scores = self._scores(query)[allowed]
        best = np.flatnonzero(scores >= np.partition(scores, -wanted)[-wanted])
        best = best[np.argsort(-scores[best], kind="stable")][offset:wanted]
        return MeaningFound(len(allowed), allowed[best].tolist(), scores[best].tolist())

    def _scores(self, query: Vectors) -> Vectors:
        found = np.empty(len(self), np.float32)
        ends = np.cumsum([len(small) for small in self._parts]).tolist()

        def work(first: int) -> None:
            room = np.empty((_BLOCK, len(query)), np.float32)
            for at in range(first, len(ends), _threads()):
                small = self._parts[at]
                scores = found[ends[at] - len(small) : ends[at]]
                for begin in range(0, len(small), _BLOCK):
                    block = small[begin : begin + _BLOCK]
                    wide = room[: len(block)]
                    np.copyto(wide, block)
                    np.dot(wide, query, out=scores[begin : begin + _BLOCK])

        for _ in self._pool.map(work, range(_threads())):
            pass
        found *= self._factors
        return found

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_threads(), thread_name_prefix="search")


def _threads() -> int:
    import pyarrow as pa

    return min(_THREADS, int(pa.cpu_count()))


def _unpacked(content: npt.NDArray[np.uint8], n: int, dimensions: int) -> tuple[Vectors, Small]:
    """Returns the factors and the numbers of a part, without copying the numbers."""
    if len(content) != n * (_FACTOR_BYTES + dimensions):
        raise ValueError(f"{len(content)} bytes instead of {n * (_FACTOR_BYTES + dimensions)}")
    factors = content[: n * _FACTOR_BYTES].view("<f4").astype(np.float32)
    return factors, content[n * _FACTOR_BYTES :].view(np.int8).reshape(n, dimensions)
