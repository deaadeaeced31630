"""FER for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """Share of the candidates in which an error checker finds a fluency error, whatever the references
say."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
    checker: fluency error checker: a published name, a checkpoint file or a folder; empty for none; default `Settings.checker`.
    device: `auto`, `cpu` or `cuda`; default `Settings.device`.
    batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
Returns:
    the score, its components and the signature.
"""


class Fer(evaluate.Metric):
    """FER: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Zhou et al. 2022 (ICASSP), section 3.2",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions, references, **options):
        pairs = CaptionPairs.in_order(predictions, references)
        result = score(pairs, ["fer"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
