"""Retrieval both ways: seconds and memory at 100,000 captions and 20,000 clips, and the ratio against sorting the matrix.

    python benchmarks/retrieval.py [--captions 100000] [--clips 20000] [--dimensions 512]

Clips are random directions, captions their clips' directions with noise. The peer is what evaluation scripts do: the whole matrix
in float32, `argsort` per query, the places of the right answers looked up; it is measured at 5,000 captions and 1,000 clips in
the same run, where both must find the same ranks. The ratio is peer seconds by ours; the time of the matrix product alone says
how much of ours could be saved. RSS is the peak of resident memory of the large run, which comes first, and how far that lies
above the peak before it.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np


def embeddings(captions: int, clips: int, dimensions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns float32[captions, d], float32[clips, d] and the clip of every caption."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((clips, dimensions), np.float32)
    owner = np.arange(captions) % clips
    text = rng.standard_normal((captions, dimensions), np.float32)
    text *= 6
    for begin in range(0, captions, 1000):  # block by block: a peak here would hide the one that is measured
        text[begin : begin + 1000] += audio[owner[begin : begin + 1000]]
    return text, audio, owner


def by_argsort(text: np.ndarray, audio: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ranks of both directions from sorted lines of the whole matrix."""
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    audio = audio / np.linalg.norm(audio, axis=1, keepdims=True)
    scores = text @ audio.T
    t2a = np.empty(len(text), np.int64)
    for i, line in enumerate(scores):
        t2a[i] = 1 + np.flatnonzero(np.argsort(-line) == owner[i])[0]
    a2t = np.empty(len(audio), np.int64)
    for k, line in enumerate(scores.T):
        a2t[k] = 1 + np.flatnonzero(owner[np.argsort(-line)] == k)[0]
    return t2a, a2t


def peak_bytes() -> int:
    """Returns the peak of resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Prints one line for the large run, two for the small ones and the ratio."""
    from unified_audiocaps.evaluators.tasks.retrieval import retrieve

    parser = argparse.ArgumentParser()
    for name, default in (("captions", 100_000), ("clips", 20_000), ("dimensions", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    text, audio, owner = embeddings(options.captions, options.clips, options.dimensions)
    before, started = peak_bytes(), time.perf_counter()
    t2a, a2t = retrieve(text, audio, owner)
    seconds, after = time.perf_counter() - started, peak_bytes()
    print(
        f"{options.captions:,} x {options.clips:,} x {options.dimensions}: {seconds:.1f} s, RSS {after / 1e6:.0f} MB, "
        f"{(after - before) / 1e6:.0f} MB of it beyond the input; R@1 {t2a.recall(1):.3f} and {a2t.recall(1):.3f}"
    )
    text, audio, owner = embeddings(5_000, 1_000, options.dimensions)
    retrieve(text, audio, owner)
    ours, peer, product = [], [], []
    for _ in range(3):
        started = time.perf_counter()
        found = retrieve(text, audio, owner)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        wanted = by_argsort(text, audio, owner)
        peer.append(time.perf_counter() - started)
        started = time.perf_counter()
        text @ audio.T
        product.append(time.perf_counter() - started)
    same = [np.array_equal(one.ranks, ranks) for one, ranks in zip(found, wanted, strict=True)]
    print(
        f"5,000 x 1,000: ours {min(ours):.3f} s, argsort {min(peer):.3f} s, the matrix product alone {min(product):.3f} s; "
        f"equal ranks: {same}"
    )
    print(f"ratio {min(peer) / min(ours):.2f}")


if __name__ == "__main__":
    main()
