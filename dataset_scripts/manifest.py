"""What lies in a built folder: `data/<config>/manifest.json`, written by a build and read by everyone else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import InputError

Manifest = dict[str, Any]


def read_manifest(folder: Path) -> Manifest | None:
    """Returns the manifest of a built config folder, None if there is none.

    Raises:
        InputError: the file is there and cannot be read as a manifest.
    """
    path = folder / "manifest.json"
    try:
        manifest = parse_manifest(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise InputError(f"{path} is damaged ({problem}); build {folder.name} again with --force.") from None
    if manifest is None:
        raise InputError(f"{path} is not a manifest of `uac build`; build {folder.name} again with --force.")
    return manifest


def parse_manifest(text: str) -> Manifest | None:
    """Returns what a manifest's text says, None if it is something else.

    Raises:
        ValueError: it is no JSON.
    """
    manifest = json.loads(text)
    return manifest if isinstance(manifest, dict) and "splits" in manifest else None


def built_configs(data: Path) -> list[str]:
    """Returns the sorted names of the configs that were built into the folder `data`."""
    return sorted(path.parent.name for path in (data / "data").glob("*/manifest.json"))
