"""SPIDEr-max for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """SPIDEr of the best of several candidates per item; needs equally many candidates for every item."""

INPUTS = """
Args:
    predictions: list of captions, or of lists of equally many captions.
    references: list of lists of captions; their lengths may differ.
    spice: file of SPICE values per item (csv or jsonl with id and spice); None to compute them.
Returns:
    the score, its components and the signature.
"""


class SpiderMax(evaluate.Metric):
    """SPIDEr-max: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Labbé et al. 2022 (DCASE workshop); aac-metrics",
            inputs_description=INPUTS,
            features=[
                datasets.Features(
                    {
                        "predictions": datasets.Value("string"),
                        "references": datasets.Sequence(datasets.Value("string")),
                    }
                ),
                datasets.Features(
                    {
                        "predictions": datasets.Sequence(datasets.Value("string")),
                        "references": datasets.Sequence(datasets.Value("string")),
                    }
                ),
            ],
        )

    def _compute(self, predictions, references, **options):
        pairs = CaptionPairs.in_order(predictions, references)
        result = score(pairs, ["spider_max"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
