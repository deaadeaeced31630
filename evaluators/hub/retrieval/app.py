"""A page to try Retrieval of sounds and captions; written by `uac docs`."""

# mypy: ignore-errors

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.tasks.evaluate_load import read_indices, read_rows, retrieve

DESCRIPTION = """# Retrieval of sounds and captions

Recall at 1, 5 and 10, median and mean rank and mAP at 10, from captions to clips and from clips to
captions. Of equal scores the wrong answers come first.
"""


def compute(predictions, references):
    """Computes the values of one item per line; numbers are apart by spaces or commas."""
    try:
        return retrieve(read_rows(predictions), read_indices(references))
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error


with gr.Blocks(title="Retrieval of sounds and captions") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox(
            "0.9 0.1\n0.4 0.6\n0.2 0.7",
            label="Predictions, one line each: scores of one caption for all clips",
            lines=4,
        )
        references = gr.Textbox(
            "0\n0\n1",
            label="References, one line each: the index of the caption's clip",
            lines=4,
        )
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references], report)

if __name__ == "__main__":
    demo.launch()
