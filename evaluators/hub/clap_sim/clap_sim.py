"""CLAP-sim (text) for `evaluate.load`; written by `uac docs`, edit the metric instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options

DESCRIPTION = """Cosine of the CLAP embeddings of candidate and reference, averaged over the references; models of
LAION's family, never comparable with published values of MS-CLAP."""

INPUTS = """
Args:
    predictions: list of captions.
    references: list of lists of captions; their lengths may differ.
    clap: CLAP model of transformers: a repository on the Hub or a local folder; empty for none; default `Settings.clap`.
    device: `auto`, `cpu` or `cuda`; default `Settings.device`.
    batch_tokens: tokens per forward, padding included; None for what suits the device. Changes speed and memory only.
Returns:
    the score, its components and the signature.
"""


class ClapSim(evaluate.Metric):
    """CLAP-sim (text): the same number as `unified_audiocaps.evaluators.score`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Dixit et al. 2024, arXiv:2411.00321, with models of LAION's CLAP (arXiv:2211.06687), not MS-CLAP",
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
        result = score(pairs, ["clap_sim"], Options.of(**options))[0]
        return {result.metric: result.score, **result.components, "signature": str(result.signature)}
