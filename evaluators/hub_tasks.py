"""The folder for `evaluate.load` of one task (retrieval, classification, distances), from its description in `tasks`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from . import hub_text
from .hub_text import PageInput, literal
from .tasks.evaluate_load import Column, Task, evened

# a table's columns have one length
EVENED = '''
    def add_batch(self, *, predictions=None, references=None):
        """Takes sets of different sizes; references may be left out where the kind has none."""
        predictions, references = evened(predictions, references)
        super().add_batch(predictions=predictions, references=references)
'''


def files(task: Task, where: str, package: str) -> dict[str, str]:
    """Returns the text of each file by its name; arguments are those of `hub_files.render`."""
    return {
        f"{task.name}.py": _module(task),
        "README.md": _readme(task, where),
        "app.py": _app(task),
        "requirements.txt": hub_text.requirements(package),
    }


def _import(*functions: Callable[..., Any]) -> str:
    return (
        f"from unified_audiocaps.evaluators.tasks.evaluate_load import {', '.join(sorted({one.__name__ for one in functions}))}"
    )


def _module(task: Task) -> str:
    options = "".join(f"    {name}: {meaning}\n" for name, meaning in task.options.items())
    inputs = f"""Args:
    predictions: list; {task.predictions.meaning}.
    references: list; {task.references.meaning}.
{options}Returns:
{textwrap.indent(hub_text.wrapped(f"{task.values}; and a signature of every measure."), " " * 4)}
"""
    return hub_text.module(
        task,
        f"task unified_audiocaps.evaluators.tasks.evaluate_load.{task.compute.__name__}",
        [_import(task.compute, *((evened,) if task.is_uneven else ()))],
        inputs,
        hub_text.features(list(product(task.predictions.features, task.references.features))),
        f"return {task.compute.__name__}(predictions, references, **options)",
        EVENED if task.is_uneven else "",
    )


def _readme(task: Task, where: str) -> str:
    arguments = [
        f"predictions={literal(task.predictions.example)}",
        f"references={literal(task.references.example)}",
        *(f"{name}={literal(values[0])}" for name, values in task.choices.items()),
    ]
    result = hub_text.wrapped(
        f"The result holds {task.values}, and a signature of every measure, the recipe of its numbers: only values with the same "
        "signature are comparable."
    )
    facts = [
        f"`predictions`: {task.predictions.meaning}.",
        f"`references`: {task.references.meaning}.",
        *(f"`{name}`: {meaning}" for name, meaning in task.options.items()),
        "The whole set counts: compute it at once, never in shards.",
    ]
    return hub_text.readme(task, where, arguments, result, facts, "task")


def _app(task: Task) -> str:
    inputs = [
        PageInput(name, f"gr.Dropdown({literal(list(values))}, value={literal(values[0])}, label={literal(name.capitalize())})")
        for name, values in task.choices.items()
    ]
    columns = {"predictions": task.predictions, "references": task.references}
    given = [f"{column.read.__name__}({name})" for name, column in columns.items()]
    given += [f"{one.name}={one.name}" for one in inputs]
    work = f"""try:
    return {task.compute.__name__}({", ".join(given)})
except UnifiedAudioCapsError as error:
    raise gr.Error(str(error)) from error"""
    texts = "\n".join(_box(name, column) for name, column in columns.items())
    readers = [column.read for column in columns.values()]
    summary = "Computes the values of one item per line; numbers are apart by spaces or commas."
    return hub_text.app(task, [_import(task.compute, *readers)], summary, work, texts, inputs)


def _box(name: str, column: Column) -> str:
    label = f"{name.capitalize()}, one line each: {column.meaning}"
    lines = "\n".join(_typed(entry) for entry in column.example)
    return f"{name} = gr.Textbox(\n    {literal(lines)},\n    label={literal(label)},\n    lines=4,\n)"


def _typed(entry: float | Sequence[float]) -> str:
    return " ".join(map(str, entry)) if isinstance(entry, Sequence) else str(entry)
