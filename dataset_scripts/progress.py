"""One progress bar for all long work: shown on a terminal, silent everywhere else."""

from __future__ import annotations

import sys
from typing import Any

from .settings import is_first_process


def progress(total: int | None, description: str, unit: str = "item") -> Any:
    """Returns a `tqdm` bar on stderr; it is disabled when stderr is not a terminal.

    Args:
        total: how many units the work has, None when that is unknown.
        description: short label in front of the bar.
        unit: the thing that is counted.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        unit_scale=True,
        leave=False,
        disable=not (sys.stderr.isatty() and is_first_process()),
    )
