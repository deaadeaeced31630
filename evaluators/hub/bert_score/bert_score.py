"""BERTScore for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """F-measure of tokens of candidate and reference that are matched greedily by the cosine of their
vectors in context; the best reference counts."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
    bert: model of BERTScore: a repository on the Hub or a local folder.
    device: `auto`, `cpu` or `cuda`; default `Settings.device`.
    batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
Returns:
    the score, its components and the signature.
"""


class BertScore(evaluate.Metric):
    """BERTScore: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Zhang et al. 2020 (ICLR), arXiv:1904.09675, section 3",
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
        result = score(pairs, ["bert_score"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
