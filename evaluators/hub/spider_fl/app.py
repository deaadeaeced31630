"""A page to try SPIDEr-FL; written by `uac docs`."""

# mypy: ignore-errors

from pathlib import Path

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """# SPIDEr-FL

SPIDEr; a candidate in which an error checker finds a fluency error keeps a tenth of it.
"""


def compute(predictions, references, spice=None):
    """Scores one prediction per line against the references on the same line, which are apart by a bar."""
    candidates = predictions.splitlines()
    accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
    try:
        options = Options.of(
            spice=Path(spice) if spice else None,
            checker="echecker_clotho_audiocaps_base",
        )
        result = score(CaptionPairs.in_order(candidates, accepted), ["spider_fl"], options)[0]
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error
    return result.to_json()


with gr.Blocks(title="SPIDEr-FL") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox("a dog barks\nrain is falling", label="Predictions, one per line", lines=4)
        references = gr.Textbox(
            "a dog is barking | a dog barks twice\nit rains", label="References, one line per prediction, apart by |", lines=4
        )
    spice = gr.File(type="filepath", label="SPICE values: csv or jsonl with id (0, 1, ...) and spice")
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references, spice], report)

if __name__ == "__main__":
    demo.launch()
