"""The folders that `evaluate.load` reads: thin files written from what the metrics say about themselves.

`evaluators/hub/<metric>/` holds a module, a README with the header of a Space, an app and its requirements. They are
committed, and a test compares them with what `render` returns. The module's parser is a regular expression, hence one import
per line there; results are kept in memory, because the library's cache file is shared between processes.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from .metric import METRICS, Metric, range_in_words
from .workspace import Options

HUB_FOLDER = Path(__file__).parent / "hub"
GRADIO = ">=6.31,<7"
GRADIO_VERSION = "6.31.0"
# what a page and an example give for an option that has no default
MODELS = {"checker": "echecker_clotho_audiocaps_base", "clap": "laion/clap-htsat-unfused"}
SOUNDS = {"0": "dog.wav", "1": "rain.wav"}  # ids of items that are given in a list are their places
TEXT = 'datasets.Value("string")'
FEATURES = """datasets.Features(
    {{
        "predictions": {prediction},
        "references": datasets.Sequence(datasets.Value("string")),
    }}
)"""


def render(metric_name: str, where: str = "evaluators/hub", package: str = "unified-audiocaps") -> dict[str, str]:
    """Returns the text of each file of a metric's folder by its name within the folder.

    Args:
        metric_name: name of the metric.
        where: what stands in front of it in `evaluate.load`: a folder, or an organisation of the Hub.
        package: what pip installs this project from, where it is no package of that name on PyPI yet: a URL.

    Raises:
        UnknownNameError: no metric is called so.
    """
    metric = METRICS.get(metric_name)
    needs_java = any(needed.startswith("Java") for needed in metric.requires)
    files = {
        f"{metric.name}.py": _module(metric),
        "README.md": _readme(metric, where),
        "app.py": _app(metric),
        "requirements.txt": f"{_requirement(package, 'java' if needs_java else '')}\ngradio{GRADIO}\n",
    }
    # what a Space installs beside Python packages
    return {**files, "packages.txt": "default-jre-headless\n"} if needs_java else files


def _requirement(package: str, extra: str) -> str:
    """Returns the line of a requirements file: a URL takes its extra behind the package's name."""
    name = f"unified-audiocaps[{extra}]" if extra else "unified-audiocaps"
    return name if package == "unified-audiocaps" else f"{name} @ {package}"


def write(folder: Path = HUB_FOLDER) -> list[Path]:
    """Writes the folders of all metrics and returns the paths of their files."""
    written = []
    for name in METRICS.names():
        for file_name, text in render(name).items():
            path = folder / name / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _module(metric: type[Metric]) -> str:
    class_name = "".join(part.capitalize() for part in metric.name.split("_"))
    options = "".join(f"    {name}: {Options.meaning(name)}\n" for name in metric.uses)
    predictions = "list of captions, or of lists of equally many captions" if metric.several_candidates else "list of captions"
    return f'''"""{metric.title} for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """{_wrapped(metric.definition)}"""

INPUTS = """
Args:
    predictions: {predictions}.
    references: list of lists of captions; their lengths may differ.
{options}Returns:
    the score, its components and the signature.
"""


class {class_name}(evaluate.Metric):
    """{metric.title}: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation={_literal(metric.source)},
            inputs_description=INPUTS,
            features={_features(metric)},
        )

    def _compute(self, predictions, references, **options):
        pairs = CaptionPairs.in_order(predictions, references)
        result = score(pairs, [{_literal(metric.name)}], Options.of(**options))[0]
        return {{result.metric: result.score, **result.components, "signature": str(result.signature)}}
'''


def _features(metric: type[Metric]) -> str:
    """Returns the columns of the input: one kind, or two where a prediction may be a list as well."""
    if not metric.several_candidates:
        return textwrap.indent(FEATURES.format(prediction=TEXT), " " * 12).strip()
    both = "".join(FEATURES.format(prediction=kind) + ",\n" for kind in (TEXT, f"datasets.Sequence({TEXT})"))
    return textwrap.indent("[\n" + textwrap.indent(both, " " * 4) + "]", " " * 12).strip()


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100)


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listens(metric: type[Metric]) -> bool:
    return "sounds" in metric.needs


def _readme(metric: type[Metric], where: str) -> str:
    components = ", ".join(f"`{name}`" for name in metric.components)
    needs = ", ".join(metric.requires) or "nothing beside the package"
    whole = (
        "An item's value depends on the other items: score the whole set at once, never in shards."
        if metric.needs_whole_corpus
        else "An item's value does not depend on the other items."
    )
    given = {
        **{name: MODELS[name] for name in metric.needs if name in MODELS},
        **({"sounds": SOUNDS} if _listens(metric) else {}),
    }
    options = "".join(f"    {name}={_literal(value)},\n" for name, value in given.items())
    return f"""---
title: {_literal(metric.title)}
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
description: {_literal(metric.definition)}
---

# {metric.title}

{_wrapped(metric.definition)}

```python
import evaluate

metric = evaluate.load("{where}/{metric.name}")
metric.compute(
    predictions=["a dog barks", "rain is falling"],
    references=[["a dog is barking", "a dog barks twice"], ["it rains"]],
{options})
```

The result holds `{metric.name}`{", " + components if components else ""} and the `signature`, the recipe of the number: only
scores with the same signature are comparable.

- Range: {range_in_words(*metric.value_range)}, {metric.direction} is better; never multiplied by 100.
- {whole}
- Requires: {needs}.
- Source: {metric.source}.

This file is written by `uac docs` from the metric itself.
"""


def _app(metric: type[Metric]) -> str:
    models = [f"{name}={_literal(MODELS[name])}" for name in metric.needs if name in MODELS]
    # what people hand in beside the texts: name of the input, its element, the option that it becomes
    inputs = []
    if _listens(metric):
        element = 'gr.File(file_count="multiple", type="filepath", label="Sounds, in the order of the predictions")'
        inputs.append(("sounds", element, "sounds={str(place): Path(path) for place, path in enumerate(sounds or [])}"))
    if "spice" in metric.uses:
        element = 'gr.File(type="filepath", label="SPICE values: csv or jsonl with id (0, 1, ...) and spice")'
        inputs.append(("spice", element, "spice=Path(spice) if spice else None"))
    parameters = "".join(f", {name}" for name, _, _ in inputs)
    chosen = [option for _, _, option in inputs] + models
    options = ", ".join(chosen) if len(chosen) < 2 else "".join(f"\n            {one}," for one in chosen) + "\n        "
    elements = "".join(f"    {name} = {element}\n" for name, element, _ in inputs)
    imports = "from pathlib import Path\n\n" if inputs else ""
    return f'''"""A page to try {metric.title}; written by `uac docs`."""

# mypy: ignore-errors

{imports}import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """# {metric.title}

{_wrapped(metric.definition)}
"""


def compute(predictions, references{"".join(f", {name}=None" for name, _, _ in inputs)}):
    """Scores one prediction per line against the references on the same line, which are apart by a bar."""
    candidates = predictions.splitlines()
    accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
    try:
        options = Options.of({options})
        result = score(CaptionPairs.in_order(candidates, accepted), [{_literal(metric.name)}], options)[0]
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error
    return result.to_json()


with gr.Blocks(title={_literal(metric.title)}) as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox("a dog barks\\nrain is falling", label="Predictions, one per line", lines=4)
        references = gr.Textbox(
            "a dog is barking | a dog barks twice\\nit rains", label="References, one line per prediction, apart by |", lines=4
        )
{elements}    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references{parameters}], report)

if __name__ == "__main__":
    demo.launch()
'''
