"""Finished pairs of `uac build adc_acc` per second and core, beside what FLAC encoding alone takes.

    python benchmarks/pairs.py [--bases 200] [--events 100] [--pairs 3000,12000] [--seconds 10]

Base clips (noise bands with gaps, 16 kHz, one channel) and events (0.3 to 3 s) are synthesised, the bases embedded as a built
config. Each size is built in a process of its own on one thread, with the sounds embedded, and once without. A pair has two FLAC
files; of six pairs three files differ and are encoded once. The share of encoding is the time that the same number of files of
the same lengths takes by itself, in the same process; RSS is the peak of resident memory. The last lines are ratios: share of
encoding, and memory of the largest size against the smallest.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile

RATE_HZ = 16_000


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Returns a band of noise with a slow envelope, float64[n], peak 0.2 to 0.9."""
    white = rng.standard_normal(n)
    width = int(rng.integers(1, 12))
    smooth = np.convolve(white, np.ones(width) / width, "same")
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(0.1, 1) * np.arange(n) / RATE_HZ + rng.uniform(0, 6))
    found = smooth * envelope
    return found / np.abs(found).max() * rng.uniform(0.2, 0.9)


def write_base(data: Path, n: int, seconds: float, splits: dict[str, float] | None = None) -> None:
    """Writes a built config `sample` of other clips, with captions and sound: shards and manifest."""
    from unified_audiocaps.dataset_scripts.arrays import record_batch
    from unified_audiocaps.dataset_scripts.engine import shards
    from unified_audiocaps.dataset_scripts.schema import SCHEMA
    from unified_audiocaps.dataset_scripts.sound.samples import Sound, flac

    folder = data / "data" / "sample"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    found: dict[str, dict[str, object]] = {}
    begin = 0
    for split, share in (splits or {"train": 0.9, "test": 0.1}).items():
        end = n if split == "test" else begin + round(n * share)
        groups = []
        for first in range(begin, end, 100):
            rows = []
            for i in range(first, min(first + 100, end)):
                sound = Sound(noise(rng, int(seconds * RATE_HZ))[None].astype(np.float32), RATE_HZ)
                rows.append(
                    {
                        "id": f"sample/{split}/{i:06d}",
                        "source_key": f"{i:06d}",
                        "dataset": "sample",
                        "split": split,
                        "caption": f"A machine of kind {i} hums and rattles.",
                        "captions": [{"text": f"A machine of kind {i} hums and rattles.", "style": "default", "scores": []}],
                        "audio": {"bytes": flac(sound), "path": f"{i:06d}.flac"},
                        "duration_s": seconds,
                        "sampling_rate_hz": RATE_HZ,
                    }
                )
            columns = {name: pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in rows[0]}
            groups.append(pa.Table.from_batches([record_batch(len(rows), **columns)]))
        placed = []
        for number in range(0, len(groups), 10):
            path = folder / f"{split}-{number // 10:05d}.parquet"
            placed.append({**shards.write(groups[number : number + 10], path), "subset": None})
        found[split] = {"rows": end - begin, "shards": placed}
        begin = end
    manifest = {"config": "sample", "title": "Sample", "release": "1", "splits": found, "parts": [], "skipped": {}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "primary_style": "default"}))
    (folder / "stats.json").write_text('{"splits": {}, "subsets": {}, "total": {}, "dropped": {}}')


def write_events(folder: Path, n: int) -> None:
    """Writes `n` events of 0.3 to 3 s, four per label, and their table."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    with (folder / "events.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "label", "category"])
        for i in range(n):
            size = int(rng.uniform(0.3, 3) * RATE_HZ)
            t = np.arange(size) / RATE_HZ
            samples = np.sin(2 * np.pi * rng.uniform(200, 4000) * t) * np.exp(-t * rng.uniform(0, 4)) + 0.2 * noise(rng, size)
            soundfile.write(folder / f"event_{i:04d}.flac", 0.6 * samples / np.abs(samples).max(), RATE_HZ, subtype="PCM_16")
            table.writerow([f"event_{i:04d}.flac", f"kind {i // 4} buzzing", f"category {i % 8}"])


def child(data: Path, events: Path, pairs: int, embed: bool, seconds: float) -> None:
    """Builds once and prints the figures as JSON."""
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    from unified_audiocaps.dataset_scripts.build import build
    from unified_audiocaps.dataset_scripts.sound.samples import flac, to_int16

    options = {"base": "sample", "events": events, "pairs": pairs, "seed": 1, "embed_audio": embed}
    began, cpu = time.perf_counter(), time.process_time()
    report = build("adc_acc", out=data, options=options, mark_overlaps=False, force=True)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    rng = np.random.default_rng(3)
    files = [to_int16(noise(rng, int(seconds * RATE_HZ))[None].astype(np.float32)) for _ in range(40)]
    began = time.process_time()
    for one in files:
        flac(one, RATE_HZ)
    flac_s = (time.process_time() - began) / len(files)
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    rows = sum(report.rows.values())
    figures = {
        "rows": rows,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "encoding_s": rows / 2 * flac_s,
        "rss_gib": int(high.split()[1]) / 2**20,
    }
    print(json.dumps({**figures, "dropped": report.dropped}))


def main() -> None:
    """Builds every size in a process of its own and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=int, default=200)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--pairs", default="3000,12000")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        data, events, pairs, embed, seconds = arguments.child
        child(Path(data), Path(events), int(pairs), embed == "yes", float(seconds))
        return
    sizes = [int(size) for size in arguments.pairs.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        data, events = Path(folder) / "unified-audiocaps", Path(folder) / "events"
        write_base(data, arguments.bases, arguments.seconds)
        write_events(events, arguments.events)
        print("pairs    sounds    pairs/s of CPU  pairs/s wall  encoding alone  RSS GiB", flush=True)
        memory, share = [], 0.0
        for embed in ("yes", "no"):
            for size in sizes:
                command = [sys.executable, __file__, "--child", str(data), str(events), str(size), embed, str(arguments.seconds)]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                found = json.loads(out.splitlines()[-1])
                alone = found["encoding_s"] / found["cpu_s"] if embed == "yes" else 0.0
                sounds = "embedded" if embed == "yes" else "left out"
                print(
                    f"{found['rows']:7,}  {sounds:8}  {found['rows'] / found['cpu_s']:14.0f}"
                    f"  {found['rows'] / found['wall_s']:12.0f}  {alone:14.0%}  {found['rss_gib']:7.2f}"
                )
                if embed == "yes":
                    memory.append(found["rss_gib"])
                    share = alone
        print(f"share of encoding: {share:.2f}; memory at {sizes[-1]:,} pairs / at {sizes[0]:,}: {memory[-1] / memory[0]:.2f}")


if __name__ == "__main__":
    main()
