"""WER for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """Words of a transcript of English speech that are replaced, left out or put in, over the words that
were said; pooled over the corpus."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
Returns:
    the score, its components and the signature.
"""


class Wer(evaluate.Metric):
    """WER: the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Levenshtein 1966; Radford et al. 2022 (arXiv:2212.04356), appendix C",
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
        result = score(pairs, ["wer"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
