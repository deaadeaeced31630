"""SPICE for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """F-score of the objects, attributes and relations that a parser finds in the candidate, against those
of all references."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
    spice: file of SPICE values per item (csv or jsonl with id and spice); None to compute them.
Returns:
    the score, its components and the signature.
"""


class Spice(evaluate.Metric):
    """SPICE: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Anderson et al. 2016 (ECCV), arXiv:1607.08822; COCO caption evaluation",
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
        result = score(pairs, ["spice"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
