"""What all commands of `uac` share: how they print, how they write a file that was asked for, options that lists come in."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import is_first_process

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers and signatures.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder that `uac build` wrote. [default: unified-audiocaps]")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda. [default: auto]")]


def say(text: str = "") -> None:
    """Prints a line of the command's answer."""
    if is_first_process():
        typer.echo(text)


def remark(text: str) -> None:
    """Prints a line that is no part of the answer."""
    if is_first_process():
        typer.echo(text, err=True)


def table(rows: Iterable[Iterable[object]], header: Iterable[str]) -> None:
    """Prints columns padded to their widest cell; a column without a title is left out."""
    titles = list(header)
    lines = [[str(cell) for cell, title in zip(row, titles, strict=True) if title] for row in rows]
    cells = [[title for title in titles if title], *lines]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Prints JSON for people and programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def listed(values: Iterable[str] | None) -> list[str]:
    """Returns what an option lists that may be given again and may hold commas."""
    return [one.strip() for value in values or () for one in value.split(",") if one.strip()]


def check_folders(*files: Path | None) -> None:
    """Raises where a file could not be written: told before the work, not after it.

    Raises:
        InputError: a file's folder does not exist.
    """
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise InputError(f"cannot write {file}: the folder {file.parent} does not exist. Create it first.")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file that the user asked for, whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    from ..dataset_scripts import atomic

    if not is_first_process():
        return
    with atomic.storage_errors(path.parent, f"{path.name} was not written."):
        atomic.write_bytes(path, content)


def check_table_name(option: str, path: Path | None) -> None:
    """Raises where `write_columns` could not tell what to write.

    Args:
        option: the option that names the file.
        path: the file; None for none.

    Raises:
        InputError: its name ends in something else than .csv or .parquet.
    """
    if path is not None and path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{option} is {path.name!r}; expected a name that ends in .csv or .parquet.")


def write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Writes a csv or parquet file that the user asked for, whole or not at all.

    Args:
        path: ends in .csv or .parquet.
        columns: values by column, all of one length.

    Raises:
        StorageError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    content = io.BytesIO()
    (pa.csv.write_csv if path.suffix == ".csv" else pa.parquet.write_table)(pa.table(dict(columns)), content)
    write_file(path, content.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that the user asked for, whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
