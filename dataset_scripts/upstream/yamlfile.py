"""YAML files: read whole, with the types that YAML gives to plain values."""

from __future__ import annotations

from typing import Any

from .files import RawFile


def load(file: RawFile) -> Any:
    """Returns the content of a YAML file.

    Raises:
        RecordError: invalid YAML or text, with the line.
    """
    import yaml

    text = file.decode(b"".join(file.blocks()), 1)
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 # both are safe loaders
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        what = getattr(problem, "problem", None) or str(problem)
        raise file.error(
            f"invalid YAML ({what}); restore the file as it was published", line=mark.line + 1 if mark else None
        ) from None
