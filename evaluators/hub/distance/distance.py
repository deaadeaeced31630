"""Distances of generated sound for `evaluate.load`; written by `uac docs`, edit the task instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.tasks.evaluate_load import distance, evened

DESCRIPTION = """How far generated sounds are from real ones: Fréchet distances of embeddings (FAD, FD) and the
Kullback-Leibler divergence of posteriors; or how good they look by themselves: the Inception score."""

INPUTS = """
Args:
    predictions: list; embeddings (fad, fd) or posteriors (kl, is) of the generated sounds.
    references: list; those of the real sounds, for kl in the same order, for is none.
    kind: fad, fd, kl or is; must be given.
    model: name and version of what made the numbers; kept in the signature.
    epsilon: kl only: what is added to the generated sounds' posteriors; default 1e-6.
    splits: is only: number of parts; default 10.
    seed: is only: of the shuffle before the cut; default 2020, None for no shuffle.
Returns:
    a value by the name of its kind and what it is made of; lower is better, but for `is`; and a
    signature of every measure.
"""


class Distance(evaluate.Metric):
    """Distances of generated sound: the same number as `unified_audiocaps.evaluators.tasks.evaluate_load.distance`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="WavCaps, Table VIII; Kilgour et al. 2019; Salimans et al. 2016",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("float64")),
                }
            ),
        )

    def add_batch(self, *, predictions=None, references=None):
        """Takes sets of different sizes; references may be left out where the kind has none."""
        predictions, references = evened(predictions, references)
        super().add_batch(predictions=predictions, references=references)

    def _compute(self, predictions, references, **options):
        return distance(predictions, references, **options)
