"""The commands of `uac` about sound: look at rows, listen to them, score clips against captions, choose a threshold."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..dataset_scripts.errors import InputError, UnknownNameError
from ..dataset_scripts.settings import Settings

if TYPE_CHECKING:
    from ..dataset_scripts.built import BuiltSet

Name = Annotated[str, typer.Argument(metavar="NAME", help="A built set: config, or config/split.")]
Split = Annotated[str | None, typer.Option("--split", help="Only this split; the same as NAME/SPLIT.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder that `uac build` wrote. [default: unified-audiocaps]")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(inspect)
    app.command()(play)


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

    The page holds all that it needs, sound too (at most 60 s per clip). Rows that are pairs show both sides and the difference
    signal B - A.

    Example: uac inspect sample --html sample.html
    """
    from .inspect_open import open_page
    from .inspect_page import page
    from .inspect_rows import random_rows

    one = _set(name, split, data)
    path = html or Path(tempfile.mkdtemp(prefix="uac-")) / f"{_file_name(one.name)}.html"
    _check_folder(path)
    text = page(one.name, random_rows(one, rows, seed), one.rows, seed)
    _write(path, text.encode())
    typer.echo(f"written: {path}")
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
    _check_folder(path)
    peak = max(1.0, peak_of(sound))
    content = io.BytesIO()
    soundfile.write(content, to_int16(sound.samples / peak).T, sound.rate_hz, format="WAV", subtype="PCM_16")
    _write(path, content.getvalue())
    softer = f", scaled by {1 / peak:.3f} to fit" if peak > 1.0 else ""
    channels = f"{len(sound.samples)} {'channel' if len(sound.samples) == 1 else 'channels'}"
    typer.echo(f"written: {path} ({sound.duration_s:.2f} s, {sound.rate_hz} Hz, {channels}{softer})")
    open_sound(path)


def _set(name: str, split: str | None, data: Path | None) -> BuiltSet:
    from ..dataset_scripts.built import built_set

    if split is not None and "/" in name:
        raise InputError(f"the split is given twice, in {name!r} and as --split {split!r}; expected one of them.")
    return built_set(f"{name}/{split}" if split else name, data or Settings.from_environment().data)


def _file_name(name: str) -> str:
    """Returns a name that every system takes for a file."""
    return re.sub(r"[^\w.-]+", "-", name)[:120]


def _check_folder(path: Path) -> None:
    """Tells before the work, not after it, that a file cannot be written."""
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist. Create it first.")


def _write(path: Path, content: bytes) -> None:
    """Writes a file that the user asked for, whole or not at all."""
    from ..dataset_scripts import atomic

    with atomic.storage_errors(path.parent, f"{path.name} was not written."):
        atomic.write_bytes(path, content)
