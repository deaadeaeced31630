"""Definitions: what is refused, what moves a digest, and which of several versions counts."""

from dataclasses import replace

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import (
    Benchmark,
    benchmark_by_id,
    frozen,
    groups_digest,
    items_digest,
    newest,
    shipped_benchmarks,
)

from .conftest import REFERENCES


def test_shipped_definitions_are_whole():
    found = shipped_benchmarks()
    assert found[0].id == "sample"
    names = {one.id for one in found}
    assert {
        "audiocaps-test",
        "audiocaps-test-957",
        "audiocaps-v2-test",
        "clotho-evaluation",
        "mecat-caption",
        "mecat-qa",
    } <= names
    assert {"adc", "acc", "audiocaps-retrieval", "clotho-retrieval"} <= names
    assert len({(one.id, one.version) for one in found}) == len(found) == len({one.digest for one in found})
    for one in found:
        assert one.n_items > 0 or not one.is_frozen
        assert (
            Benchmark.from_json({key: value for key, value in vars(one).items() if key in Benchmark.__dataclass_fields__}) == one
        )


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"id": "Not a slug"}, InputError, "expected small letters, digits and single hyphens"),
        ({"id": "a" * 101}, InputError, "small letters"),
        ({"task": "speech"}, InputError, "task of benchmark tiny is 'speech'; expected captions or"),
        ({"references": "secret"}, InputError, "expected public or private"),
        ({"metrics": ("rouge_l", "nope")}, UnknownNameError, "no metric is called 'nope'"),
        ({"metrics": ("rouge_l", "rouge_l")}, InputError, "expected each once"),
        ({"primary_metric": "date"}, InputError, "ranks by date"),
        ({"task": "retrieval"}, UnknownNameError, "no metric is called 'rouge_l'"),
    ],
)
def test_what_no_benchmark_can_be_is_refused(benchmark_def, change, error, said):
    with pytest.raises(error, match=said):
        replace(benchmark_def, **change)


def test_a_metric_of_which_less_is_better_cannot_rank(benchmark_def):
    lower = next(name for name in METRICS.names() if METRICS.get(name).direction == "lower")
    with pytest.raises(InputError, match=f"ranks by {lower}, of which less is better"):
        replace(benchmark_def, metrics=("rouge_l", lower), primary_metric=lower)


@pytest.mark.parametrize("change", [{"title": "T"}, {"description": "D"}, {"references": "private"}, {"license_text": "L"}])
def test_words_move_no_digest(benchmark_def, change):
    changed = replace(benchmark_def, **change)
    assert (changed.digest, changed.recipe) == (benchmark_def.digest, benchmark_def.recipe)


@pytest.mark.parametrize(
    "change",
    [
        {"items_sha256": "0" * 64},
        {"metrics": ("rouge_l",)},
        {"encoder": "other"},
        {"version": 2},
        {"subtask": "short"},
        {"checker": "c"},
    ],
)
def test_what_moves_a_score_moves_digest_and_recipe(benchmark_def, change):
    changed = replace(benchmark_def, **change)
    assert changed.digest != benchmark_def.digest and changed.recipe != benchmark_def.recipe


def test_a_metrics_version_moves_the_recipe_only(benchmark_def, monkeypatch):
    before = benchmark_def.recipe
    monkeypatch.setattr(METRICS.get("bleu"), "version", 99)
    again = replace(benchmark_def)
    assert again.recipe != before and again.digest == benchmark_def.digest


@pytest.mark.parametrize(
    ("values", "said"),
    [({"id": "x"}, "is incomplete: .*title"), ({"id": "x", "colour": "red"}, "has the key 'colour'; expected checker")],
)
def test_plain_values_that_make_no_definition_are_refused(values, said):
    with pytest.raises(InputError, match=said):
        Benchmark.from_json(values, "mine.yaml")


def test_the_newest_version_counts_unless_one_is_asked_for(benchmark_def):
    versions = [replace(benchmark_def, version=version) for version in (1, 3, 2)]
    assert newest(versions) == [versions[1]]
    assert benchmark_by_id("tiny", None, versions) == versions[1] and benchmark_by_id("tiny", 2, versions) == versions[2]
    with pytest.raises(UnknownNameError, match="no benchmark is called 'tiny version 4'"):
        benchmark_by_id("tiny", 4, versions)


def test_digest_covers_ids_texts_and_groups_but_no_order(items):
    assert items_digest(dict(reversed(REFERENCES.items()))) == items_digest(REFERENCES)
    assert items_digest({**REFERENCES, "tiny/test/dog": ("a dog barks",)}) != items_digest(REFERENCES)
    one = Group("all", "long", 1.0, REFERENCES)
    assert groups_digest([one]) == items_digest(REFERENCES)
    assert len({groups_digest([one, replace(one, **change)]) for change in ({}, {"weight": 0.5}, {"name": "b"})}) == 3
    draft = replace(items, benchmark=replace(items.benchmark, items_sha256="", n_items=0))
    assert frozen(draft).benchmark == items.benchmark


def test_items_are_found_by_every_name(items):
    assert items.resolve("dog.wav") == items.resolve("tiny/test/dog") == "tiny/test/dog"
    assert items.resolve("cat.wav") is None
    assert (items.n_predictions, items.subtasks, items.clip_of("tiny/test/dog")) == (3, ("long",), "tiny/test/dog")
