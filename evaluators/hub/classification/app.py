"""A page to try Classification and tagging; written by `uac docs`."""

# mypy: ignore-errors

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.tasks.evaluate_load import classify, read_labels, read_rows

DESCRIPTION = """# Classification and tagging

Accuracy of the class with the highest score, and mean average precision of the scores of all
classes. Clips may have several labels; accuracy is there where each has one.
"""


def compute(predictions, references):
    """Computes the values of one item per line; numbers are apart by spaces or commas."""
    try:
        return classify(read_rows(predictions), read_labels(references))
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error


with gr.Blocks(title="Classification and tagging") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox(
            "0.9 0.1 0.2\n0.1 0.8 0.3\n0.3 0.2 0.4",
            label="Predictions, one line each: scores of the classes",
            lines=4,
        )
        references = gr.Textbox(
            "0\n1\n2",
            label="References, one line each: the index of the right class, or the list of several",
            lines=4,
        )
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references], report)

if __name__ == "__main__":
    demo.launch()
