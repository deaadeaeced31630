"""Clips per second of `uac build --embed-audio` beside a bare loop of soundfile and soxr, both on as many cores.

    python benchmarks/audio.py [--clips 2000] [--seconds 10] [--cores 2] [--repeat 3]

A folder of FLAC files at 32 kHz is written, named as AudioSet names them, and a caption file for them. Ours is the whole build:
index of the files, look-up by clip key, reading, checks, resampling to 16 kHz, mono, FLAC, statistics, parquet, digest. The peer
reads, resamples and encodes the same files in `--cores` processes and throws the result away. Each run is a process of its own;
the best of `--repeat` runs counts. The last column is the peak of resident memory of our process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ, TARGET_HZ = 32_000, 16_000

PEER = """
import io, sys, time
from multiprocessing import Pool
from pathlib import Path
import soundfile, soxr

def one(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, {target}, quality="HQ")
    out = io.BytesIO()
    soundfile.write(out, mono, {target}, format="FLAC", subtype="PCM_16")
    return out.tell()

if __name__ == "__main__":
    paths = sorted(map(str, Path(sys.argv[1]).rglob("*.flac")))
    started = time.monotonic()
    with Pool(int(sys.argv[2])) as pool:
        total = sum(pool.imap(one, paths, chunksize=16))
    print(time.monotonic() - started)
"""
OURS = """
import json, resource, sys, time
from pathlib import Path
import pyarrow as pa
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.engine.attach import SoundPlan
from unified_audiocaps.dataset_scripts.sound.library import SoundLibrary

pa.set_cpu_count(int(sys.argv[4]))
started = time.monotonic()
library = SoundLibrary.open([sys.argv[2]])
plan = SoundPlan(library, embed=True, rate_hz={target}, mono=True)
report = build("audiocaps", raw=Path(sys.argv[1]), out=Path(sys.argv[3]), sound=plan)
seconds = time.monotonic() - started
found = report.statistics["total"]["sound"]["found"]
print(json.dumps([seconds, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def write_clips(folder: Path, clips: int, seconds: float) -> None:
    """Writes the files, noise under a tone so that FLAC has as much to do as with recordings, and their captions."""
    sounds = folder / "AudioSet"
    sounds.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n = int(seconds * RATE_HZ)
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(n) / RATE_HZ)
    lines = ["audiocap_id,youtube_id,start_time,caption"]
    for number in range(clips):
        swell = np.interp(np.arange(n), np.linspace(0, n, 20), rng.uniform(0, 0.2, 20))
        samples = tone + swell * rng.standard_normal(n)
        soundfile.write(sounds / f"Y{number:011d}.flac", samples, RATE_HZ, subtype="PCM_16")
        lines.append(f"{number},{number:011d},30,A tone in noise number {number}")
    raw = folder / "raw"
    raw.mkdir()
    (raw / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(code: str, *arguments: object, home: Path | None = None) -> str:
    """Returns what a process of its own printed."""
    environment = {**os.environ, **({"UAC_HOME": str(home)} if home else {})}
    # Both sides use one thread per core that they were given, no library adds its own.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(code.replace("{target}", str(TARGET_HZ)))
        script.flush()
        done = subprocess.run(
            [sys.executable, script.name, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main() -> None:
    """Prints one line per run and the ratio of the best ones."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder, asked.clips, asked.seconds)
        peer, ours, memory = [], [], 0.0
        for _ in range(asked.repeat):
            peer.append(float(run(PEER, folder / "AudioSet", asked.cores)))
            out, home = folder / "out", folder / "home"
            answer = run(OURS, folder / "raw", folder / "AudioSet", out, asked.cores, home=home)
            seconds, found, mib = json.loads(answer)
            if found != asked.clips:
                raise SystemExit(f"{found} of {asked.clips} clips got their sound")
            ours.append(seconds)
            memory = max(memory, mib)
            shutil.rmtree(out)
            shutil.rmtree(home)
        for label, seconds in [("soundfile + soxr", min(peer)), ("uac build", min(ours))]:
            rate = asked.clips / seconds
            print(f"{label:<18}{seconds:8.2f} s {rate:8.1f} clips/s {rate * asked.seconds:10.0f} x realtime")
        print(f"ratio {min(peer) / min(ours):.2f}, memory {memory:.0f} MiB, measured {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
