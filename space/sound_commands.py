"""The commands of `uac` about sound: look at rows, listen to them, score clips against captions, choose a threshold."""

from __future__ import annotations

import io
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..dataset_scripts.errors import InputError, UnknownNameError
from ..dataset_scripts.settings import Settings
from .console import AsJson, Data, Device, check_folders, say, write_file

if TYPE_CHECKING:
    from ..dataset_scripts.built import BuiltSet

Name = Annotated[str, typer.Argument(metavar="NAME", help="A built set: config, or config/split.")]
Split = Annotated[str | None, typer.Option("--split", help="Only this split; the same as NAME/SPLIT.")]


SHOWN_IDS, SHOWN_POINTS = 20, 10
HISTOGRAM_BINS, HISTOGRAM_WIDTH = 10, 50


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(inspect)
    app.command()(play)
    app.command("score-clips")(score_clips)
    app.command()(threshold)


def inspect(
    name: Name,
    rows: Annotated[int, typer.Option("--rows", min=1, max=500, help="How many rows to draw.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds draw equal rows.")] = 0,
    split: Split = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="File to write. [default: a temporary one, opened in the browser]"),
    ] = None,
    data: Data = None,
) -> None:
    """Show random rows of a built set as one HTML page: players, waveforms, spectrograms, captions, questions, tags.

    The page holds all that it needs, sound too (at most 30 s per clip). Rows that are pairs show both sides and the difference
    signal B - A.

    Example: uac inspect sample --html sample.html
    """
    from .inspect_open import open_page
    from .inspect_page import page
    from .inspect_rows import random_rows

    one = _set(name, split, data)
    path = html or Path(tempfile.mkdtemp(prefix="uac-")) / f"{_file_name(one.name)}.html"
    check_folders(path)
    text = page(one.name, random_rows(one, rows, seed), one.rows, seed)
    write_file(path, text.encode())
    say(f"written: {path}")
    if html is None:
        open_page(path)


def play(
    name: Name,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The row's id, or its upstream key.")],
    side: Annotated[str, typer.Option("--side", help="a, b, or difference (b - a); pairs have all three.")] = "a",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The wav file to write. [default: a temporary one]")
    ] = None,
    data: Data = None,
) -> None:
    """Write the sound of a row as a wav file (16 bits) and open the default player where there is one.

    Example: uac play sample sample/test/doorbell --out doorbell.wav
    """
    import soundfile

    from ..dataset_scripts.sound.samples import to_int16
    from .inspect_open import open_sound
    from .inspect_rows import SIDES, row_by_id, sound_of
    from .pictures import peak_of

    if side not in SIDES:
        raise UnknownNameError("side", side, SIDES)
    if out is not None and out.suffix.lower() != ".wav":
        raise InputError(f"--out is {out.name!r}; expected a name that ends in .wav.")
    one = _set(name, None, data)
    row = row_by_id(one, id_)
    sound = sound_of(row, side)
    ending = "" if side == "a" else f"-{side}"
    path = out or Path(tempfile.mkdtemp(prefix="uac-")) / f"{_file_name(row['id'])}{ending}.wav"
    check_folders(path)
    peak = max(1.0, peak_of(sound))
    content = io.BytesIO()
    soundfile.write(content, to_int16(sound.samples / peak).T, sound.rate_hz, format="WAV", subtype="PCM_16")
    write_file(path, content.getvalue())
    softer = f", scaled by {1 / peak:.3f} to fit" if peak > 1.0 else ""
    channels = f"{len(sound.samples)} {'channel' if len(sound.samples) == 1 else 'channels'}"
    say(f"written: {path} ({sound.duration_s:.2f} s, {sound.rate_hz} Hz, {channels}{softer})")
    open_sound(path)


def score_clips(
    name: Name,
    clap: Annotated[
        str, typer.Option("--clap", metavar="PATH", help="A CLAP model of transformers: a folder, or OWNER/NAME on the Hub.")
    ],
    split: Split = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="csv file to write. [default: NAME.clap.csv in this folder]")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Clips per forward. [default: 8, on a GPU 64]")] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that read sounds, to keep a GPU busy; each takes 20 clips/s.")
    ] = 1,
    device: Device = None,
    data: Data = None,
) -> None:
    """Score how well each row's sound fits its caption: the cosine of their CLAP embeddings, as a csv file `id,score`.

    The same command goes on with a file that was cut. Beside it FILE.json holds the signature, and the rows that have no score
    with the reason. The caption is the column `caption`; of pairs the sound is that of side a. The distribution of the scores is
    printed, for those who choose a threshold (`uac threshold`).

    Example: uac score-clips sample --clap laion/clap-htsat-unfused --out sample.csv
    """
    from ..evaluators.models.clap import load_clap
    from ..evaluators.models.clap_file import score_file, side_file
    from ..evaluators.models.encoders import resolve_device
    from .inspect_rows import clips_of, digest_of

    one = _set(name, split, data)
    path = out or Path(f"{_file_name(one.name)}.clap.csv")
    if path.suffix != ".csv":
        raise InputError(f"--out is {path.name!r}; expected a name that ends in .csv.")
    check_folders(path)
    model = load_clap(clap, resolve_device(device or Settings.from_environment().device))
    report = score_file(
        clips_of(one),
        model,
        path,
        signature=model.signature({"text": "caption", "side": "a", "channels": "mean", "resampler": "soxr_hq"}),
        about={"set": one.name, "set_digest": digest_of(one)},
        total=one.rows,
        batch=batch,
        workers=workers,
    )
    before = f", {report.n_reused:,} of them before" if report.n_reused else ""
    say(f"{path}: {report.n_scored:,} of {one.rows:,} rows scored{before}; signature {report.signature.digest}")
    for reason, ids in sorted(report.not_scored.items()):
        hidden = len(ids) - SHOWN_IDS
        more = f" … and {hidden:,} more in {side_file(path).name}" if hidden > 0 else ""
        say(f"  not scored, {reason.replace('_', ' ')}: {len(ids):,}: {', '.join(ids[:SHOWN_IDS])}{more}")
    if report.n_scored:
        for line in _distribution(path):
            say(line)


def _distribution(path: Path) -> list[str]:
    """Returns quantiles and a histogram of the scores in a file, for people who choose a threshold."""
    import numpy as np
    import pyarrow.csv

    scores = pyarrow.csv.read_csv(path)["score"].to_numpy()
    points = zip(("lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest"), (0, 5, 25, 50, 75, 95, 100), strict=True)
    lines = ["  " + ", ".join(f"{title} {np.percentile(scores, place):.4f}" for title, place in points)]
    counts, edges = np.histogram(scores, bins=HISTOGRAM_BINS)
    width = max(len(f"{count:,}") for count in counts)
    for count, low, high in zip(counts.tolist(), edges, edges[1:], strict=False):
        bar = "#" * round(HISTOGRAM_WIDTH * count / counts.max())
        lines.append(f"  {low:8.4f} to {high:8.4f}  {count:{width},}  {bar}".rstrip())
    return lines


def threshold(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="csv with the columns id, score and rating (1 to 5).")],
    beta: Annotated[float, typer.Option("--beta", help="How much more recall counts than precision.")] = 1.05,
    as_json: AsJson = False,
) -> None:
    """Choose the similarity below which clips are discarded, by the F-beta score against ratings of people.

    A clip rated 2 or lower is to be discarded. Of thresholds with equal F-beta the lowest is taken, which discards the fewest.

    Example: uac threshold rated.csv
    """
    from ..evaluators.tasks.threshold import best_threshold, read_rated

    scores, ratings = read_rated(file)
    found = best_threshold(scores, ratings, beta)
    if as_json:
        say(json.dumps(found.to_json(), indent=2))
        return
    say(f"{'':2}{'THRESHOLD':>10}{'DISCARDED':>11}{'PRECISION':>11}{'RECALL':>9}{'F-BETA':>9}")
    for point in found.around(SHOWN_POINTS):
        mark = "*" if point == found.best else ""
        say(
            f"{mark:2}{point.threshold:10.4f}{point.n_discarded:11,}{point.precision:11.4f}{point.recall:9.4f}{point.f_beta:9.4f}"
        )
    say(
        f"{len(scores):,} clips, {found.n_positive:,} of them to be discarded, beta {beta:g}; "
        f"discard below {found.best.threshold:.6g}"
    )


def _set(name: str, split: str | None, data: Path | None) -> BuiltSet:
    from ..dataset_scripts.built import built_set

    if split is not None and "/" in name:
        raise InputError(f"the split is given twice, in {name!r} and as --split {split!r}; expected one of them.")
    return built_set(f"{name}/{split}" if split else name, data or Settings.from_environment().data)


def _file_name(name: str) -> str:
    """Returns a name that every system takes for a file."""
    return re.sub(r"[^\w.-]+", "-", name)[:120]
