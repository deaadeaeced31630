"""A page to try CLAP-sim (audio); written by `uac docs`."""

# mypy: ignore-errors

from pathlib import Path

import gradio as gr
from unified_audiocaps.dataset_scripts.errors import UnifiedAudioCapsError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """# CLAP-sim (audio)

Cosine of the CLAP embeddings of candidate and sound, without references; models of LAION's family,
never comparable with published values of MS-CLAP.
"""


def compute(predictions, references, sounds=None):
    """Scores one prediction per line against the references on the same line, which are apart by a bar."""
    candidates = predictions.splitlines()
    accepted = [[text.strip() for text in line.split("|")] for line in references.splitlines()]
    try:
        options = Options.of(
            sounds={str(place): Path(path) for place, path in enumerate(sounds or [])},
            clap="laion/clap-htsat-unfused",
        )
        result = score(CaptionPairs.in_order(candidates, accepted), ["clap_sim_audio"], options)[0]
    except UnifiedAudioCapsError as error:
        raise gr.Error(str(error)) from error
    return result.to_json()


with gr.Blocks(title="CLAP-sim (audio)") as demo:
    gr.Markdown(DESCRIPTION)
    with gr.Row():
        predictions = gr.Textbox("a dog barks\nrain is falling", label="Predictions, one per line", lines=4)
        references = gr.Textbox(
            "a dog is barking | a dog barks twice\nit rains", label="References, one line per prediction, apart by |", lines=4
        )
    sounds = gr.File(file_count="multiple", type="filepath", label="Sounds, in the order of the predictions")
    button = gr.Button("Score", variant="primary")
    report = gr.JSON(label="Result")
    button.click(compute, [predictions, references, sounds], report)

if __name__ == "__main__":
    demo.launch()
