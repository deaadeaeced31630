"""The files of a folder for `evaluate.load`, with blanks: what metrics of captions and tasks have in common.

The module's parser is a regular expression, hence one import per line there; results are kept in memory, because the library's
cache file is shared between processes.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .metric import Metric
from .tasks.evaluate_load import Task

GRADIO = ">=6.31,<7"
GRADIO_VERSION = "6.31.0"


Described: TypeAlias = type[Metric] | Task
"""What metrics and tasks say about themselves: name, title, version, definition, source."""


@dataclass(frozen=True)
class PageInput:
    """Something that people hand in on a page.

    Attributes:
        name: of the parameter.
        element: the expression that makes it.
        is_optional: whether it may be left empty.
    """

    name: str
    element: str
    is_optional: bool = False


def literal(value: object) -> str:
    """Returns text, a number or a list of such as Python and YAML write it."""
    return json.dumps(value, ensure_ascii=False)


def wrapped(text: str) -> str:
    """Returns lines of up to 100 characters."""
    return textwrap.fill(text, 100)


def requirements(package: str, extra: str = "") -> str:
    """Returns requirements.txt: a URL takes its extra behind the package's name."""
    name = f"unified-audiocaps[{extra}]" if extra else "unified-audiocaps"
    return f"{name if package == 'unified-audiocaps' else f'{name} @ {package}'}\ngradio{GRADIO}\n"


def features(columns: Sequence[tuple[str, str]]) -> str:
    """Returns the expression for what the columns hold.

    Args:
        columns: one or more ways in which predictions and references may come; the first that fits is taken.
    """
    made = [
        f'datasets.Features(\n    {{\n        "predictions": {left},\n        "references": {right},\n    }}\n)'
        for left, right in columns
    ]
    text = made[0] if len(made) == 1 else "[\n" + textwrap.indent("".join(f"{one},\n" for one in made), " " * 4) + "]"
    return textwrap.indent(text, " " * 12).strip()


def module(about: Described, origin: str, imports: Sequence[str], inputs: str, columns: str, compute: str, more: str = "") -> str:
    """Returns the module that `evaluate.load` reads.

    Args:
        about: what it is.
        origin: the noun and the function that the numbers come from.
        imports: lines, one import each.
        inputs: the text on arguments and results.
        columns: of `features`.
        compute: lines of the method that computes, which has `predictions`, `references` and `options`.
        more: further methods.
    """
    noun, function = origin.split(maxsplit=1)
    return f'''"""{about.title} for `evaluate.load`; written by `uac docs`, edit the {noun} instead."""

# mypy: ignore-errors

import datasets
import evaluate
{"".join(f"{line}{chr(10)}" for line in imports)}
DESCRIPTION = """{wrapped(about.definition)}"""

INPUTS = """
{inputs}"""


class {"".join(part.capitalize() for part in about.name.split("_"))}(evaluate.Metric):
    """{about.title}: the same number as `{function}`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation={literal(about.source)},
            inputs_description=INPUTS,
            features={columns},
        )
{more}
    def _compute(self, predictions, references, **options):
{textwrap.indent(compute, " " * 8)}
'''


def readme(about: Described, where: str, arguments: Sequence[str], result: str, facts: Sequence[str], noun: str) -> str:
    """Returns the README with the header of a Space.

    Args:
        about: what it is.
        where: what stands in front of the name in `evaluate.load`.
        arguments: of the example, `name=value`.
        result: the paragraph on what comes back.
        facts: the points of the list below it.
        noun: what the file is written from.
    """
    return f"""---
title: {literal(about.title)}
emoji: 🎧
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {GRADIO_VERSION}
app_file: app.py
pinned: false
tags:
- evaluate
- metric
description: {literal(about.definition)}
---

# {about.title}

{wrapped(about.definition)}

```python
import evaluate

metric = evaluate.load("{where}/{about.name}")
metric.compute(
{"".join(f"    {one},{chr(10)}" for one in arguments)})
```

{result}

{"".join(f"- {fact}{chr(10)}" for fact in (*facts, f"Source: {about.source}."))}
This file is written by `uac docs` from the {noun} itself.
"""


def app(about: Described, imports: Sequence[str], summary: str, work: str, texts: str, inputs: Sequence[PageInput]) -> str:
    """Returns the page on which people try it.

    Args:
        about: what it is.
        imports: lines beyond those of gradio and of the errors; those of the standard library first.
        summary: what a press on the button does.
        work: lines that end in `return`; errors of this package are told to the user.
        texts: lines that make the elements `predictions` and `references`.
        inputs: what people hand in beside these two.
    """
    standard = "".join(f"{line}\n" for line in imports if "unified_audiocaps" not in line)
    ours = "".join(f"{line}\n" for line in imports if "unified_audiocaps" in line)
    parameters = "".join(f", {one.name}=None" if one.is_optional else f", {one.name}" for one in inputs)
    elements = "".join(f"    {one.name} = {one.element}\n" for one in inputs)
    return f'''"""A page to try {about.title}; written by `uac docs`."""

# mypy: ignore-errors

{standard}{chr(10) if standard else ""}import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
{ours}
DESCRIPTION = """# {about.title}

{wrapped(about.definition)}
"""


def compute(predictions, references{parameters}):
    """{summary}"""
{textwrap.indent(work, " " * 4)}


with gr.Blocks(title={literal(about.title)}) as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
{textwrap.indent(texts, " " * 8)}
{elements}    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references{"".join(f", {one.name}" for one in inputs)}], report)

if __name__ == "__main__":
    demo.launch()
'''
