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
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise InputError(f"{path} is damaged ({problem}); build {folder.name} again with --force.") from None
    if not isinstance(manifest, dict) or "splits" not in manifest:
        raise InputError(f"{path} is not a manifest of `uac build`; build {folder.name} again with --force.")
    return manifest


def built_configs(data: Path) -> list[str]:
    """Returns the sorted names of the configs that were built into the folder `data`."""
    return sorted(path.parent.name for path in (data / "data").glob("*/manifest.json"))
