"""A page to try Distances of generated sound; written by `uac docs`."""

# mypy: ignore-errors

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.tasks.evaluate_load import distance, read_rows

DESCRIPTION = """# Distances of generated sound

How far generated sounds are from real ones: Fréchet distances of embeddings (FAD, FD) and the
Kullback-Leibler divergence of posteriors; or how good they look by themselves: the Inception score.
"""


def compute(predictions, references, kind):
    """Computes the values of one item per line; numbers are apart by spaces or commas."""
    try:
        return distance(read_rows(predictions), read_rows(references), kind=kind)
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error


with gr.Blocks(title="Distances of generated sound") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox(
            "0.9 0.1\n0.2 0.8\n0.4 0.6",
            label="Predictions, one line each: embeddings (fad, fd) or posteriors (kl, is) of the generated sounds",
            lines=4,
        )
        references = gr.Textbox(
            "0.8 0.2\n0.3 0.7\n0.5 0.5",
            label="References, one line each: those of the real sounds, for kl in the same order, for is none",
            lines=4,
        )
    kind = gr.Dropdown(["fad", "fd", "kl", "is"], value="fad", label="Kind")
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references, kind], report)

if __name__ == "__main__":
    demo.launch()
