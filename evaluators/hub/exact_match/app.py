"""A page to try Exact match; written by `uac docs`."""

# mypy: ignore-errors

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """# Exact match

Share of answers that are the right one after case, blanks, outer punctuation and the forms of an
option's letter are made alike.
"""


def compute(predictions, references):
    """Scores one prediction per line against the references on the same line, which are apart by a bar."""
    candidates = predictions.splitlines()
    accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
    try:
        options = Options.of()
        result = score(CaptionPairs.in_order(candidates, accepted), ["exact_match"], options)[0]
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error
    return result.to_json()


with gr.Blocks(title="Exact match") as demo:
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
