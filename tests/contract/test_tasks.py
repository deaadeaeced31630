"""What the folders of retrieval, classification and distances must hold beside those of the metrics."""

import inspect
import runpy

import gradio
import numpy as np
import pytest
from unified_audiocaps.evaluators import hub_files
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.tasks import classification, distribution, retrieval
from unified_audiocaps.evaluators.tasks.evaluate_load import TASKS

NAMES = sorted(TASKS)
DRAW = np.random.default_rng(11)
N_CAPTIONS, N_CLIPS, N_CLASSES, N_SOUNDS = 12, 4, 5, 30
SCORES = DRAW.normal(size=(N_CAPTIONS, N_CLIPS)).round(1)  # with ties
OWNERS = np.arange(N_CAPTIONS) % N_CLIPS
CLASS_SCORES = DRAW.normal(size=(N_SOUNDS, N_CLASSES)).round(1)
CLASSES = np.arange(N_SOUNDS) % N_CLASSES
HAS_LABEL = DRAW.random((N_SOUNDS, N_CLASSES)) < 0.3
MADE, REAL = DRAW.normal(size=(N_SOUNDS, 3)), DRAW.normal(size=(N_SOUNDS + 7, 3))
MADE_POSTERIORS, REAL_POSTERIORS = DRAW.dirichlet(np.ones(N_CLASSES), (2, N_SOUNDS))

# predictions, references and options of `compute` by a name for the results
CALLS = {
    "retrieval": ("retrieval", SCORES, OWNERS, {"model": "m-1"}),
    "classes": ("classification", CLASS_SCORES, CLASSES, {}),
    "classes in lists": ("classification", CLASS_SCORES, CLASSES[:, None], {}),
    "labels": ("classification", CLASS_SCORES, [np.flatnonzero(row) for row in HAS_LABEL], {"model": "m-2"}),
    "fad": ("distance", MADE, REAL, {"kind": "fad", "model": "vggish"}),
    "fd": ("distance", MADE, REAL[:9], {"kind": "fd"}),
    "kl": ("distance", MADE_POSTERIORS, REAL_POSTERIORS, {"kind": "kl", "epsilon": 1e-5}),
    "is": ("distance", MADE_POSTERIORS, None, {"kind": "is", "splits": 3, "seed": None}),
}


def plain(values):
    return [row.tolist() for row in values] if isinstance(values, list) else None if values is None else values.tolist()


def test_evaluate_load_gives_the_same_numbers(in_evaluate):
    script = """
for name, (folder, predictions, references, options) in given.items():
    metric = evaluate.load(f"evaluators/hub/{folder}")
    results[name] = metric.compute(predictions=predictions, references=references, **options)
metric = evaluate.load("evaluators/hub/distance")
_, predictions, references, options = given["fad"]
metric.add_batch(predictions=predictions[:5], references=references[:20])
metric.add_batch(predictions=predictions[5:], references=references[20:])
results["in batches"] = metric.compute(**options)
"""
    given = {name: (folder, plain(left), plain(right), options) for name, (folder, left, right, options) in CALLS.items()}
    loaded = in_evaluate(script, given)

    for task, result in zip(
        ("text_to_audio", "audio_to_text"), retrieval.retrieve_from_scores(SCORES, OWNERS, model="m-1"), strict=True
    ):
        values = {f"r_{k}": result.recall(k) for k in (1, 5, 10)}
        values |= {"median_rank": result.median_rank, "mean_rank": result.mean_rank, "map_10": result.map_10}
        for key, value in {**values, "signature": result.signature.text}.items():
            assert loaded["retrieval"].pop(f"{task}_{key}") == value, key
    assert loaded["retrieval"] == {}

    one_hot = np.eye(N_CLASSES)[CLASSES]
    accuracy = classification.accuracy_from_scores(CLASSES, CLASS_SCORES)
    tagging = classification.average_precision(one_hot, CLASS_SCORES)
    assert loaded["classes"] == {
        "accuracy": accuracy.accuracy,
        "balanced_accuracy": accuracy.balanced_accuracy,
        "accuracy_signature": accuracy.signature.text,
        "map": tagging.map,
        "map_signature": tagging.signature.text,
    }
    assert loaded["classes in lists"] == loaded["classes"]
    tagging = classification.average_precision(HAS_LABEL, CLASS_SCORES, model="m-2")
    assert loaded["labels"] == {"map": tagging.map, "map_signature": tagging.signature.text}

    expected = {
        "fad": distribution.frechet_distance(REAL, MADE, model="vggish"),
        "fd": distribution.frechet_distance(REAL[:9], MADE),
        "kl": distribution.kl_divergence(REAL_POSTERIORS, MADE_POSTERIORS, epsilon=1e-5),
        "is": distribution.inception_score(MADE_POSTERIORS, splits=3, seed=None),
    }
    for kind, result in expected.items():
        assert loaded[kind] == {kind: result.score, **result.components, "signature": result.signature.text}
    assert loaded["in batches"] == loaded["fad"]


def test_no_task_is_called_like_a_metric():
    assert not set(NAMES) & set(METRICS.names())


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_stated(name):
    task = TASKS[name]
    assert task.name == name
    assert task.title and task.definition and task.source and task.values
    parameters = inspect.signature(task.compute).parameters
    named = {one for one, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    assert named <= set(task.options)
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        assert named == set(task.options)
    assert {one for one in named if parameters[one].default is inspect.Parameter.empty} == set(task.choices)


@pytest.mark.parametrize("name", NAMES)
def test_app_is_a_gradio_page_that_computes_its_example(name):
    task = TASKS[name]
    page = runpy.run_path(str(hub_files.HUB_FOLDER / name / "app.py"), run_name="page")
    assert isinstance(page["demo"], gradio.Blocks)
    boxes = [block for block in page["demo"].blocks.values() if isinstance(block, gradio.Textbox | gradio.Dropdown)]
    given = {option: values[0] for option, values in task.choices.items()}
    found = page["compute"](*(box.value for box in boxes))
    assert found == task.compute(task.predictions.example, task.references.example, **given)
    with pytest.raises(gradio.Error, match="line 2 holds 'x'; expected a number"):
        page["compute"]("1 2\nx 3", *(box.value for box in boxes[1:]))
