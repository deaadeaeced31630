"""FENSE for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """Cosine of the sentence embeddings of candidate and reference, averaged over the references; a
candidate in which an error checker finds a fluency error keeps a tenth of it."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
    encoder: sentence encoder: `minilm` (offline), a repository on the Hub, or a local folder; default `Settings.encoder`.
    checker: fluency error checker: a published name, a checkpoint file or a folder; empty for none; default `Settings.checker`.
    precision: number type of text encoders: `fp32`, `bf16` or `fp16`; the last two need a GPU.
    device: `auto`, `cpu` or `cuda`; default `Settings.device`.
    batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
Returns:
    the score, its components and the signature.
"""


class Fense(evaluate.Metric):
    """FENSE: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Zhou et al. 2022 (ICASSP), section 3",
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
        result = score(pairs, ["fense"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
