"""Retrieval of sounds and captions for `evaluate.load`; written by `uac docs`, edit the task instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.tasks.evaluate_load import retrieve

DESCRIPTION = """Recall at 1, 5 and 10, median and mean rank and mAP at 10, from captions to clips and from clips to
captions. Of equal scores the wrong answers come first."""

INPUTS = """
Args:
    predictions: list; scores of one caption for all clips.
    references: list; the index of the caption's clip.
    model: name and version of what made the numbers; kept in the signature.
Returns:
    `text_to_audio_` and `audio_to_text_` followed by `r_1`, `r_5`, `r_10`, `map_10` (0 to 1, higher is
    better), `median_rank` and `mean_rank` (1 or more, lower is better); and a signature of every
    measure.
"""


class Retrieval(evaluate.Metric):
    """Retrieval of sounds and captions: the same number as `unified_audiocaps.evaluators.tasks.evaluate_load.retrieve`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="WavCaps, Table V",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions, references, **options):
        return retrieve(predictions, references, **options)
