"""Classification and tagging for `evaluate.load`; written by `uac docs`, edit the task instead."""

# mypy: ignore-errors

import datasets
import evaluate
from unified_audiocaps.evaluators.tasks.evaluate_load import classify

DESCRIPTION = """Accuracy of the class with the highest score, and mean average precision of the scores of all
classes. Clips may have several labels; accuracy is there where each has one."""

INPUTS = """
Args:
    predictions: list; scores of the classes.
    references: list; the index of the right class, or the list of several.
    model: name and version of what made the numbers; kept in the signature.
Returns:
    `map` and, where every clip has one label, `accuracy` and `balanced_accuracy`, from 0 to 1, higher
    is better; and a signature of every measure.
"""


class Classification(evaluate.Metric):
    """Classification and tagging: the same number as `unified_audiocaps.evaluators.tasks.evaluate_load.classify`."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("num_process", 1) == 1:
            kwargs["keep_in_memory"] = True
        super().__init__(*args, **kwargs)

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="WavCaps, Table VII; FusionAudio, Table 5; as scikit-learn",
            inputs_description=INPUTS,
            features=[
                datasets.Features(
                    {
                        "predictions": datasets.Sequence(datasets.Value("float64")),
                        "references": datasets.Value("int64"),
                    }
                ),
                datasets.Features(
                    {
                        "predictions": datasets.Sequence(datasets.Value("float64")),
                        "references": datasets.Sequence(datasets.Value("int64")),
                    }
                ),
            ],
        )

    def _compute(self, predictions, references, **options):
        return classify(predictions, references, **options)
