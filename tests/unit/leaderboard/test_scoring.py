"""One valid submission: its rows, its file of items and its draws, against the evaluators asked directly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import BenchmarkItems, frozen
from unified_audiocaps.leaderboard.intake.validation import validate
from unified_audiocaps.leaderboard.scoring import STATS, draws_of, is_mean, read_table, score_submission

from .conftest import REFERENCES

CAPTIONS = {"tiny/test/rain": "rain falls on a roof", "tiny/test/dog": "a dog barks", "tiny/test/bell": "bells are tolling"}


@pytest.fixture
def scored(items, tmp_path):
    steps = []
    found = score_submission(items, report(items, tmp_path), lambda: steps.append(1))
    assert len(steps) == items.benchmark.n_steps
    return found


def report(items, tmp_path, captions=CAPTIONS):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"id": id_, "caption": text}) + "\n" for id_, text in captions.items()))
    found = validate(path, items)
    assert found.is_valid, found
    return found


def direct():
    return score(CaptionPairs.join(CAPTIONS, REFERENCES), ["rouge_l", "bleu"])


def test_rows_are_what_score_says_with_its_signatures(scored):
    expected = {(one.metric, name): (value, one.n, one.signature.text, one.signature.digest)
                for one in direct() for name, value in {one.metric: one.score, **one.components}.items()}  # fmt: skip
    assert {(row.metric, row.name): (row.value, row.n, row.signature, row.digest) for row in scored.rows} == expected
    assert {row.scope for row in scored.rows} == {""}
    for row in scored.rows:
        assert (row.low is None) == (row.name != row.metric)
        if row.low is not None:
            assert row.low <= row.value <= row.high


def test_files_are_named_in_every_row(scored):
    assert {(row.items_sha256, row.draws_sha256) for row in scored.named("a", "b")} == {("a", "b")}


def test_items_hold_what_each_got_and_what_its_corpus_is_made_of(scored):
    table = read_table(scored.items)
    by_name = {one.metric: one for one in direct()}
    assert table["id"].to_pylist() == list(REFERENCES)
    assert table["rouge_l"].to_pylist() == by_name["rouge_l"].per_item.tolist()
    assert ("rouge_l" + STATS in table.column_names, "bleu" + STATS in table.column_names) == (False, True)
    assert np.array(table["bleu" + STATS].to_pylist()).tolist() == by_name["bleu"].stats.tolist()


def test_draws_are_the_same_for_the_same_file_and_vary_around_the_score(items, scored, tmp_path):
    draws = read_table(scored.draws)
    assert draws.column_names == ["rouge_l", "bleu"]
    values = draws["rouge_l"].to_numpy()
    (row,) = [row for row in scored.rows if row.name == "rouge_l"]
    assert values.mean() == pytest.approx(row.value, abs=0.02) and values.std() > 0.01
    again = score_submission(items, report(items, tmp_path))
    assert (again.draws, again.items) == (scored.draws, scored.items)


def test_draws_of_two_systems_are_paired(items, tmp_path):
    """Systems that differ on one clip differ in a resample by that clip's share alone."""
    one = read_table(score_submission(items, report(items, tmp_path)).draws)["rouge_l"].to_numpy()
    changed = {**CAPTIONS, "tiny/test/dog": "a cat"}
    other = read_table(score_submission(items, report(items, tmp_path, changed)).draws)["rouge_l"].to_numpy()
    (before, after) = (score(CaptionPairs.join(texts, REFERENCES), ["rouge_l"])[0].per_item[1] for texts in (CAPTIONS, changed))
    times_drawn = (one - other) / ((before - after) / 3)
    assert np.abs(times_drawn - times_drawn.round()).max() < 1e-9
    assert set(times_drawn.round().astype(int)) == {0, 1, 2, 3}


@pytest.mark.parametrize(("n", "has_interval"), [(12, True), (2, False)], ids=["large", "too small to be resampled"])
def test_groups_have_rows_of_their_own_and_a_weighted_sum(benchmark_def, tmp_path, n, has_interval):
    sounds = ("rain falls", "a dog barks", "a bell rings", "bells toll")
    halves = [{f"{half}{number}": (sounds[number % 4],) for number in range(n)} for half in "ab"]
    groups = (Group("music", "long", 0.75, halves[0]), Group("speech", "long", 0.25, halves[1]))
    items = frozen(BenchmarkItems(replace(benchmark_def, metrics=("rouge_l",)), groups, {}))
    captions = {id_: sounds[number % 3] for number, id_ in enumerate((*halves[0], *halves[1]))}
    found = score_submission(items, report(items, tmp_path, captions))
    rows = {row.scope: row for row in found.rows}
    assert set(rows) == {"", "music", "speech"} and rows[""].n == 2 * n
    expected = 0.75 * rows["music"].value + 0.25 * rows["speech"].value
    assert rows[""].value == pytest.approx(expected, abs=1e-12)
    assert read_table(found.items)["group"].to_pylist() == ["music"] * n + ["speech"] * n
    assert (rows[""].low is not None) == has_interval
    if has_interval:
        assert rows[""].low < rows[""].value < rows[""].high


def test_one_clip_alone_has_no_draws(items):
    alone = replace(items, groups=(replace(items.groups[0], references={"a": ("b",)}),))
    assert draws_of(alone, {}) == {}


@pytest.mark.parametrize(("metric", "expected"), [("rouge_l", True), ("cider_d", True), ("bleu", False), ("map_10", True)])
def test_which_scores_are_means(metric, expected):
    assert is_mean(metric) == expected
