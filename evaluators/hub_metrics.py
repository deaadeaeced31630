"""The folder for `evaluate.load` of one metric of captions, from what the metric says about itself."""

from __future__ import annotations

from . import hub_text
from .hub_text import PageInput, literal
from .metric import Metric, range_in_words
from .workspace import Options

# what a page and an example give for an option that has no default
MODELS = {"checker": "echecker_clotho_audiocaps_base", "clap": "laion/clap-htsat-unfused"}
SOUNDS = {"0": "dog.wav", "1": "rain.wav"}  # ids of items that are given in a list are their places
TEXT = 'datasets.Value("string")'
TEXTS = f"datasets.Sequence({TEXT})"
IMPORTS = (
    "from unified_audiocaps.evaluators.pairs import CaptionPairs",
    "from unified_audiocaps.evaluators.score import score",
    "from unified_audiocaps.evaluators.workspace import Options",
)


def files(metric: type[Metric], where: str, package: str) -> dict[str, str]:
    """Returns the text of each file by its name; arguments are those of `hub_files.render`."""
    needs_java = any(needed.startswith("Java") for needed in metric.requires)
    found = {
        f"{metric.name}.py": _module(metric),
        "README.md": _readme(metric, where),
        "app.py": _app(metric),
        "requirements.txt": hub_text.requirements(package, "java" if needs_java else ""),
    }
    # what a Space installs beside Python packages
    return {**found, "packages.txt": "default-jre-headless\n"} if needs_java else found


def _module(metric: type[Metric]) -> str:
    options = "".join(f"    {name}: {Options.meaning(name)}\n" for name in metric.uses)
    predictions = "list of captions, or of lists of equally many captions" if metric.several_candidates else "list of captions"
    inputs = f"""Args:
    predictions: {predictions}.
    references: list of lists of captions; their lengths may differ.
{options}Returns:
    the score, its components and the signature.
"""
    compute = f"""pairs = CaptionPairs.in_order(predictions, references)
result = score(pairs, [{literal(metric.name)}], Options.of(**options))[0]
return {{result.metric: result.score, **result.components, "signature": str(result.signature)}}"""
    kinds = (TEXT, TEXTS) if metric.several_candidates else (TEXT,)
    columns = hub_text.features([(kind, TEXTS) for kind in kinds])
    return hub_text.module(metric, "metric unified_audiocaps.evaluators.score", IMPORTS, inputs, columns, compute)


def _listens(metric: type[Metric]) -> bool:
    return "sounds" in metric.needs


def _readme(metric: type[Metric], where: str) -> str:
    given: dict[str, object] = {name: MODELS[name] for name in metric.needs if name in MODELS}
    if _listens(metric):
        given["sounds"] = SOUNDS
    arguments = [
        'predictions=["a dog barks", "rain is falling"]',
        'references=[["a dog is barking", "a dog barks twice"], ["it rains"]]',
        *(f"{name}={literal(value)}" for name, value in given.items()),
    ]
    values = ", ".join(f"`{name}`" for name in (metric.name, *metric.components))
    result = f"""The result holds {values} and the `signature`, the recipe of the number: only
scores with the same signature are comparable."""
    whole = (
        "An item's value depends on the other items: score the whole set at once, never in shards."
        if metric.needs_whole_corpus
        else "An item's value does not depend on the other items."
    )
    facts = [
        f"Range: {range_in_words(*metric.value_range)}, {metric.direction} is better; never multiplied by 100.",
        whole,
        f"Requires: {', '.join(metric.requires) or 'nothing beside the package'}.",
    ]
    return hub_text.readme(metric, where, arguments, result, facts, "metric")


def _app(metric: type[Metric]) -> str:
    models = [f"{name}={literal(MODELS[name])}" for name in metric.needs if name in MODELS]
    inputs, chosen = [], []
    if _listens(metric):
        element = 'gr.File(file_count="multiple", type="filepath", label="Sounds, in the order of the predictions")'
        inputs.append(PageInput("sounds", element, is_optional=True))
        chosen.append("sounds={str(place): Path(path) for place, path in enumerate(sounds or [])}")
    if "spice" in metric.uses:
        element = 'gr.File(type="filepath", label="SPICE values: csv or jsonl with id (0, 1, ...) and spice")'
        inputs.append(PageInput("spice", element, is_optional=True))
        chosen.append("spice=Path(spice) if spice else None")
    chosen += models
    options = ", ".join(chosen) if len(chosen) < 2 else "".join(f"\n        {one}," for one in chosen) + "\n    "
    work = f"""candidates = predictions.splitlines()
accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
try:
    options = Options.of({options})
    result = score(CaptionPairs.in_order(candidates, accepted), [{literal(metric.name)}], options)[0]
except UnifiedAudioCapsError as error:
    raise gr.Error(str(error)) from error
return result.to_json()"""
    texts = """predictions = gr.Textbox("a dog barks\\nrain is falling", label="Predictions, one per line", lines=4)
references = gr.Textbox(
    "a dog is barking | a dog barks twice\\nit rains", label="References, one line per prediction, apart by |", lines=4
)"""
    summary = "Scores one prediction per line against the references on the same line, which are apart by a bar."
    imports = ("from pathlib import Path", *IMPORTS) if inputs else IMPORTS
    return hub_text.app(metric, imports, summary, work, texts, inputs)
