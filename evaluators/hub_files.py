"""The folders that `evaluate.load` reads: thin files written from what metrics and tasks say about themselves.

`evaluators/hub/<name>/` holds a module, a README with the header of a Space, an app and its requirements. They are committed, and
a test compares them with what `render` returns.
"""

from __future__ import annotations

from pathlib import Path

from ..dataset_scripts.errors import UnknownNameError
from . import hub_metrics, hub_tasks
from .hub_text import Described
from .metric import METRICS
from .tasks.evaluate_load import TASKS

HUB_FOLDER = Path(__file__).parent / "hub"


def names() -> list[str]:
    """Returns the sorted names of all folders: those of the metrics, and those of the tasks."""
    return sorted([*METRICS.names(), *TASKS])


def described(name: str) -> Described:
    """Returns the metric or the task of a folder.

    Raises:
        UnknownNameError: there is none.
    """
    if name in TASKS:
        return TASKS[name]
    if name not in METRICS.names():
        raise UnknownNameError("metric", name, names(), METRICS.how_to_list)
    return METRICS.get(name)


def render(name: str, where: str = "evaluators/hub", package: str = "unified-audiocaps") -> dict[str, str]:
    """Returns the text of each file of a folder by its name within the folder.

    Args:
        name: name of the metric or task.
        where: what stands in front of it in `evaluate.load`: a folder, or an organisation of the Hub.
        package: what pip installs this project from, where it is no package of that name on PyPI yet: a URL.

    Raises:
        UnknownNameError: no metric is called so.
    """
    described(name)
    if name in TASKS:
        return hub_tasks.files(TASKS[name], where, package)
    return hub_metrics.files(METRICS.get(name), where, package)


def write(folder: Path = HUB_FOLDER) -> list[Path]:
    """Writes all folders and returns the paths of their files."""
    written = []
    for name in names():
        for file_name, text in render(name).items():
            path = folder / name / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written
