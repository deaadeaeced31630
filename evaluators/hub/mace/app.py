"""A page to try MACE; written by `uac docs`."""

# mypy: ignore-errors

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """# MACE

Cosine of the CLAP embeddings of candidate and references, and of the sound where sounds are given;
a candidate in which an error checker finds a fluency error loses three tenths of it. Never
comparable with values of MS-CLAP.
"""


def compute(predictions, references):
    """Scores one prediction per line against the references on the same line, which are apart by a bar."""
    candidates = predictions.splitlines()
    accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
    try:
        options = Options.of(
            clap="laion/clap-htsat-unfused",
            checker="echecker_clotho_audiocaps_base",
        )
        result = score(CaptionPairs.in_order(candidates, accepted), ["mace"], options)[0]
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error
    return result.to_json()


with gr.Blocks(title="MACE") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox("a dog barks\nrain is falling", label="Predictions, one per line", lines=4)
        references = gr.Textbox(
            "a dog is barking | a dog barks twice\nit rains", label="References, one line per prediction, apart by |", lines=4
        )
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references], report)

if __name__ == "__main__":
    demo.launch()
