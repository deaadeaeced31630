"""Rows per second of `uac build` beside duckdb's plain JSON-to-parquet of the same file, both on two threads.

    python benchmarks/build_throughput.py [--rows 200000] [--formats wavcaps,mecat,acavcaps,audiosetcaps] [--generator]

For each format a file of our own wording is written in the publisher's layout: WavCaps' FreeSound object with a list, MECAT's
keyed lines (with the questions of every clip in a second file), ACAVCaps' keyed lines (gzip, 18 texts each), and
AudioSetCaps' two csv files (captions, and answers of the same clips). Ours is the whole build: digest of the input, parsing, the
join, the one schema, checks, statistics, zstd parquet, card. duckdb only copies what it parsed, file by file, into zstd parquet.
With `--generator`, `Dataset.from_generator` takes the unchanged records from Python's own parsers. Each run is a process of its
own; the best of `--repeat` runs counts. The last column is the peak of resident memory of our process.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WORDS = (
    "a the two some heavy light distant near steady sudden dog engine rain wind bell door child crowd river train bird clock "
    "knocks hums rattles passes rings falls barks sings fades grows slowly loudly softly twice again outside inside water metal"
).split()
STYLES = ("short", "long", "speech", "music", "sound", "environment")
TEXTS = ", ".join(f"{style} VARCHAR[]" for style in STYLES)
MECAT_TEXTS = f'STRUCT({TEXTS}, "domain" VARCHAR)'
QA_TEXTS = 'STRUCT(category VARCHAR, difficulty VARCHAR, question VARCHAR, answer VARCHAR, "domain" VARCHAR)'


def sentences(rng: np.random.Generator, n: int, phrases: int, words: int) -> list[str]:
    """Returns `n` sentences, practically all different, of `phrases` phrases of `words` words.

    The number of phrases is such that zstd shrinks the texts as much as MECAT's long captions: 4.1 against 4.2 times.
    """
    drawn = rng.integers(0, len(WORDS), (5000, words))
    pool = pa.array([" ".join(WORDS[i] for i in row) for row in drawn])
    pieces = [pool.take(pa.array(rng.integers(0, len(pool), n))) for _ in range(phrases)]
    found: list[str] = pc.binary_join_element_wise(pc.utf8_capitalize(pieces[0]), *pieces[1:], " ").to_pylist()
    return found


def write_wavcaps(folder: Path, n: int) -> list[Path]:
    """Writes a FreeSound file: one object with a list; descriptions with quotes, line breaks and letters beyond ASCII."""
    rng = np.random.default_rng(1)
    captions, descriptions = sentences(rng, n, 2, 4), sentences(rng, n, 5, 6)
    path = folder / "fsd_final.json"
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"num_captions_per_audio": 1, "data": [')
        for i in range(n):
            name = f"sound {i}"
            record = {
                "id": str(i),
                "file_name": f"{name}.wav",
                "href": f"/people/writer{i % 977}/sounds/{i}/",
                "tags": descriptions[i].lower().split()[: 3 + i % 6],
                "description": descriptions[i] + ('\r\n"Recorded" at the café.' if i % 3 == 0 else ""),
                "author": f"writer{i % 977}",
                "duration": int(i % 60) if i % 10 == 0 else (i % 6000) / 97,
                "download_link": f"https://example.org/people/writer{i % 977}/sounds/{i}/download/{i}.wav",
                "caption": captions[i],
                "audio": "wav_path",
            }
            stream.write((", " if i else "") + json.dumps(record))
        stream.write("]}")
    return [path]


def write_mecat(folder: Path, n: int) -> list[Path]:
    """Writes a domain: a caption file with 18 texts per clip, and a QA file with five questions per clip."""
    rng = np.random.default_rng(2)
    captions = iter(sentences(rng, 18 * n, 3, 4))
    questions = iter(sentences(rng, 5 * n, 2, 4))
    first, second = folder / "caption/test/SMA.jsonl", folder / "qa/test/SMA.jsonl"
    first.parent.mkdir(parents=True)
    second.parent.mkdir(parents=True)
    with first.open("w", encoding="utf-8") as caption_lines, second.open("w", encoding="utf-8") as qa_lines:
        for i in range(n):
            key = f"{i:011d}_{i % 300}_{i % 97}_{i % 300 + 10}_{i % 97}"
            texts = {style: [next(captions) for _ in range(3)] for style in STYLES}
            caption_lines.write(json.dumps({key: {**texts, "domain": "SMA"}}) + "\n")
            for q in range(5):
                text = next(questions)
                record = {
                    "category": "direct_perception",
                    "difficulty": "basic",
                    "question": text,
                    "answer": text[:20],
                    "domain": "SMA",
                }
                qa_lines.write(json.dumps({f"{key}_{q:08x}": record}) + "\n")
    return [first, second]


def write_acavcaps(folder: Path, n: int) -> list[Path]:
    """Writes a domain: keyed lines with 18 texts per clip, every seventh without speech."""
    rng = np.random.default_rng(3)
    captions = iter(sentences(rng, 18 * n, 3, 4))
    absent = json.dumps(["None", "No speech is heard.", "Nobody speaks."])
    path = folder / "SMA.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as stream:
        for i in range(n):
            texts = [json.dumps([next(captions) for _ in range(3)]) for _ in range(6)]
            if i % 7 == 0:
                texts[2] = absent
            fields = ", ".join(f'"{style}": {text}' for style, text in zip(STYLES, texts, strict=True))
            key = f"{i:011d}_{i % 300}_{i % 97}_{i % 300 + 10}_{i % 97}"
            stream.write(f'{{"{key}": {{{fields}}}}}\n')
    return [path]


def write_audiosetcaps(folder: Path, n: int) -> list[Path]:
    """Writes the YouTube-8M subset: captions, and three answers to every clip in the same order."""
    rng = np.random.default_rng(4)
    texts, given = sentences(rng, n, 4, 7), [sentences(rng, n, 2, 5) for _ in range(3)]
    captions, answers = folder / "YouTube-8M_AudioSetCaps_caption.csv", folder / "YouTube-8M_Qwen-Audio_Q&A.csv"
    with captions.open("w", encoding="utf-8") as first, answers.open("w", encoding="utf-8") as second:
        first.write("id,caption\n")
        second.write("id,answer_1,answer_2,answer_3\n")
        for i in range(n):
            key = f"{i:011d}_{i % 300}_10"
            first.write(f'{key},"{texts[i]}"\n')
            second.write(f'{key},"{given[0][i]}","{given[1][i]}","{given[2][i]}"\n')
    return [captions, answers]


WRITERS = {"audiosetcaps": write_audiosetcaps, "wavcaps": write_wavcaps, "mecat": write_mecat, "acavcaps": write_acavcaps}


def run_ours(name: str, folder: Path) -> int:
    """Builds the folder and returns the number of rows."""
    import pyarrow as pa
    from unified_audiocaps.dataset_scripts.build import build

    pa.set_cpu_count(2)
    return sum(build(name, raw=folder, out=folder / "out" / "unified-audiocaps", force=True).rows.values())


def run_duckdb(name: str, folder: Path) -> int:
    """Copies the parsed JSON to parquet and returns the number of rows."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    target = "(FORMAT parquet, COMPRESSION zstd)"
    if name == "wavcaps":
        file = folder / "fsd_final.json"
        size = file.stat().st_size + 1_000_000
        select = f"SELECT unnest(data, recursive := true) FROM read_json('{file}', maximum_object_size = {size})"
        connection.execute(f"COPY ({select}) TO '{folder / 'duck.parquet'}' {target}")
    elif name == "audiosetcaps":
        for part, file in (("_caption", "YouTube-8M_AudioSetCaps_caption.csv"), ("_qa", "YouTube-8M_Qwen-Audio_Q&A.csv")):
            select = f"SELECT * FROM read_csv('{folder / file}', header = true, all_varchar = true)"
            connection.execute(f"COPY ({select}) TO '{folder / f'duck{part}.parquet'}' {target}")
    else:
        files = {
            "mecat": {
                "caption": (folder / "caption/test/SMA.jsonl", MECAT_TEXTS),
                "qa": (folder / "qa/test/SMA.jsonl", QA_TEXTS),
            },
            "acavcaps": {"caption": (folder / "SMA.jsonl.gz", f"STRUCT({TEXTS})")},
        }[name]
        for part, (file, kind) in files.items():
            options = f"format = 'newline_delimited', records = false, columns = {{r: 'MAP(VARCHAR, {kind})'}}"
            select = f"SELECT * FROM read_json('{file}', {options})"
            connection.execute(f"COPY ({select}) TO '{folder / f'duck_{part}.parquet'}' {target}")
    rows = connection.execute(f"SELECT count(*) FROM '{folder}/duck{'' if name == 'wavcaps' else '_caption'}.parquet'").fetchone()
    return int(rows[0]) if rows else 0


def run_generator(name: str, folder: Path) -> int:
    """Feeds the records, unchanged, to `Dataset.from_generator`, one by one, and returns the number of rows.

    Of MECAT only the captions, since their questions would have to be joined first.
    """
    from datasets import Dataset

    def records() -> Iterator[dict[str, Any]]:
        if name == "wavcaps":
            yield from json.loads((folder / "fsd_final.json").read_text(encoding="utf-8"))["data"]
        elif name == "audiosetcaps":  # both files have the same order here, so that no join is needed
            first, second = (folder / f"YouTube-8M_{part}.csv" for part in ("AudioSetCaps_caption", "Qwen-Audio_Q&A"))
            with first.open(newline="", encoding="utf-8") as captions, second.open(newline="", encoding="utf-8") as answers:
                for one, other in zip(csv.DictReader(captions), csv.DictReader(answers), strict=True):
                    yield {**one, **other}
        else:
            path = folder / ("SMA.jsonl.gz" if name == "acavcaps" else "caption/test/SMA.jsonl")
            with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
                for line in stream:
                    ((key, record),) = json.loads(line).items()
                    yield {"key": key, **record}

    return int(Dataset.from_generator(records, cache_dir=str(folder / "cache")).num_rows)


SIDES = {"ours": run_ours, "duckdb": run_duckdb, "generator": run_generator}
MODULES = {"ours": "unified_audiocaps.dataset_scripts.build", "duckdb": "duckdb", "generator": "datasets"}


def child(side: str, name: str, folder: Path) -> None:
    """Runs one side and prints its figures as JSON."""
    importlib.import_module(MODULES[side])  # before the clock starts
    started, cpu = time.perf_counter(), time.process_time()
    rows = SIDES[side](name, folder)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    # not ru_maxrss, which a process inherits from the one that started it
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    rss_mb = int(high.split()[1]) / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": cpu_s, "rss_mb": rss_mb}))


def measure(side: str, name: str, folder: Path, repeat: int) -> dict[str, float]:
    """Returns the figures of the fastest of `repeat` child processes."""
    command = [sys.executable, __file__, "--child", side, name, str(folder)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeat)]
    return min(runs, key=lambda run: run["seconds"])


def main() -> None:
    """Writes the files, runs both sides in turn and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--formats", default=",".join(WRITERS))
    parser.add_argument("--generator", action="store_true", help="measure Dataset.from_generator, too")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--child", nargs=3, metavar=("SIDE", "FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side, name, folder = arguments.child
        child(side, name, Path(folder))
        return
    print("format           rows    MB   ours rows/s   duckdb rows/s   ratio   ratio by CPU time   ours RSS MB")
    for name in arguments.formats.split(","):
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
            folder = Path(scratch)
            files = WRITERS[name](folder, arguments.rows)
            size = sum(file.stat().st_size for file in files) / 1e6
            ours = measure("ours", name, folder, arguments.repeat)
            duck = measure("duckdb", name, folder, arguments.repeat)
            if ours["rows"] != arguments.rows or duck["rows"] != arguments.rows:
                sys.exit(f"{name}: rows differ: wrote {arguments.rows}, ours {ours['rows']}, duckdb {duck['rows']}")
            a, b = ours["rows"] / ours["seconds"], duck["rows"] / duck["seconds"]
            by_cpu = duck["cpu_s"] / ours["cpu_s"]
            print(
                f"{name:<12} {arguments.rows:>8,} {size:>5.0f} {a:>13,.0f} {b:>15,.0f} {a / b:>7.2f} {by_cpu:>19.2f}"
                f" {ours['rss_mb']:>13,.0f}"
            )
            if arguments.generator:
                slow = measure("generator", name, folder, 1)
                c = slow["rows"] / slow["seconds"]
                print(f"{name:<12} Dataset.from_generator {c:,.0f} rows/s: ours is {a / c:.1f}x as fast")


if __name__ == "__main__":
    main()
