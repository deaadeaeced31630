from dataclasses import replace

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.bootstrap import Resampling
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.tasks import mecat
from unified_audiocaps.evaluators.tasks.groups import evaluate
from unified_audiocaps.evaluators.workspace import Options

OPTIONS = Options(device="cpu")
METRICS = mecat.metrics_of(OPTIONS)
SIZES = {
    "content_long": 18, "content_short": 18, "pure_speech": 3, "mixed_speech": 9, "pure_music": 2, "mixed_music": 9,
    "pure_sound": 2, "mixed_sound": 9, "environment": 18,
}  # fmt: skip


def rows(data, columns):
    return built_set(mecat.SET, data).table(columns)


@pytest.fixture(scope="module")
def data(tmp_path_factory, mecat_clips):
    folder = tmp_path_factory.mktemp("mecat")
    build("mecat", raw=mecat_clips(folder / "raw"), out=folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def captions(data):
    return mecat.captions(rows(data, mecat.CAPTION_COLUMNS))


def guesses(benchmark, by=1):
    """Per subtask the first reference of the next item, under the items' ids."""
    texts = {}
    for subtask in benchmark.subtasks:
        references = {
            id_: said for group in benchmark.groups if group.subtask == subtask for id_, said in group.references.items()
        }
        ids = list(references)
        texts[subtask] = {id_: references[ids[(place + by) % len(ids)]][0] for place, id_ in enumerate(ids)}
    return texts


@pytest.fixture(scope="module")
def report(captions):
    return evaluate(captions, guesses(captions), METRICS, OPTIONS)


def test_groups_are_those_of_the_benchmark(captions):
    assert {group.name: len(group.references) for group in captions.groups} == SIZES
    assert sum(group.weight for group in captions.groups) == pytest.approx(1.0, abs=1e-15)
    assert all(len(texts) == 3 for group in captions.groups for texts in group.references.values())
    assert not captions.is_whole


def test_the_overall_score_is_the_published_formula(report):
    for metric in ("date", "sbert_sim"):
        s = {one.group.name: next(r.score for r in one.results if r.metric == metric) for one in report.groups}
        speech, music, sound = ((s[f"pure_{name}"] + s[f"mixed_{name}"]) / 2 for name in ("speech", "music", "sound"))
        content = 0.8 * s["content_long"] + 0.2 * s["content_short"]
        expected = 0.4 * content + 0.4 * (0.6 * speech + 0.3 * music + 0.1 * sound) + 0.2 * s["environment"]
        assert report.overall(metric) == pytest.approx(expected, abs=1e-15)
        assert 0 < report.overall(metric) < 1


def test_a_group_is_a_set_of_its_own(captions, report):
    texts = guesses(captions)
    for one in report.groups:
        references = one.group.references
        pairs = CaptionPairs.join({id_: texts[one.group.subtask][id_] for id_ in references}, references)
        (alone,) = score(pairs, ["date"], replace(OPTIONS, subtask=one.group.subtask))
        assert one.results[0].score == alone.score
        assert one.results[0].signature == alone.signature
    assert "subtask:music" in report.groups[4].results[0].signature.text


def test_upstream_keys_and_ids_are_the_same_items(captions, report):
    keys = {id_: key for key, id_ in captions.aliases.items() if key != id_}
    keyed = {name: {keys[id_]: text for id_, text in texts.items()} for name, texts in guesses(captions).items()}
    assert evaluate(captions, keyed, METRICS, OPTIONS).overall("date") == report.overall("date")


def test_one_set_of_captions_may_serve_all_subtasks(captions):
    texts = guesses(captions)["long"]
    report = evaluate(captions, dict.fromkeys(captions.subtasks, texts), ["sbert_sim"], OPTIONS)
    assert report.metrics == ("sbert_sim",)
    assert [len(one.ids) for one in report.groups] == list(SIZES.values())


def test_only_what_a_subtask_scores_must_be_covered(captions):
    texts = guesses(captions)
    evaluate(captions, texts, ["length"], OPTIONS)  # music has no prediction for speech alone
    with pytest.raises(InputError, match="no predictions for 'sound'; expected texts for each of long, short, speech"):
        evaluate(captions, {name: said for name, said in texts.items() if name != "sound"}, ["length"], OPTIONS)
    id_ = next(iter(texts["music"]))
    cut = {**texts, "music": {name: text for name, text in texts["music"].items() if name != id_}}
    with pytest.raises(InputError, match="'music' do not cover the benchmark: 1 of 11 items have none") as told:
        evaluate(captions, cut, ["length"], OPTIONS)
    assert told.value.problems[0].id == id_


def test_unknown_and_repeated_names_are_told(captions):
    texts = guesses(captions)
    key, id_ = next((key, id_) for key, id_ in captions.aliases.items() if key != id_)
    more = {**texts, "long": {**texts["long"], "nobody": "x", key: "twice"}}
    with pytest.raises(InputError) as told:
        evaluate(captions, more, ["length"], OPTIONS)
    assert {(problem.code, problem.id) for problem in told.value.problems} == {("E_UNKNOWN_ID", "nobody"), ("E_DUP_ID", key)}
    assert id_ in str(told.value)


def test_what_is_left_out_may_still_be_predicted(captions):
    thin = captions.every(3)
    assert [len(group.references) for group in thin.groups] == [6, 6, 1, 3, 1, 3, 1, 3, 6]
    evaluate(thin, guesses(captions), ["length"], OPTIONS)


def test_the_report_holds_all_numbers(report):
    found = report.to_json()
    assert [one["group"] for one in found["groups"]] == list(SIZES)
    assert found["overall"]["date"]["score"] == report.overall("date")
    columns = report.columns()
    assert set(columns) == {"group", "id", "date", "date_similarity", "date_discrimination", "sbert_sim"}
    assert {len(column) for column in columns.values()} == {sum(SIZES.values())}
    rows = [place for place, name in enumerate(columns["group"]) if name == "mixed_music"]
    assert np.mean(columns["date"][rows]) == pytest.approx(report.groups[5].results[0].score, abs=1e-12)


def test_the_signature_changes_with_any_group(captions, report):
    other = evaluate(captions.every(2), guesses(captions), ["date"], OPTIONS)
    assert other.signature("date").digest != report.signature("date").digest
    assert "content_long:0.32*" in report.signature("date").text


def test_fense_is_named_only_with_a_checker():
    assert mecat.metrics_of(Options()) == ("date", "sbert_sim")
    assert mecat.metrics_of(Options(checker="a checker")) == ("date", "fense")


def test_answers_by_category_and_difficulty(data):
    benchmark = mecat.answers(rows(data, mecat.QUESTION_COLUMNS))
    told = []
    report = evaluate(
        benchmark, {"qa": guesses(benchmark)["qa"]}, METRICS, OPTIONS, interval=Resampling(resamples=100), done=told.append
    )
    assert [len(one.ids) for one in report.groups] == [18] * 6
    assert told == list(report.groups)
    values = [one.results[0].score for one in report.groups]
    assert report.overall("date") == pytest.approx(np.mean(values), abs=1e-12)
    for one in report.groups:
        levels = one.results[0].parts
        assert set(levels) == {"basic", "intermediate", "advanced", "complex"}
        assert sum(part.n * part.score for part in levels.values()) / 18 == pytest.approx(one.results[0].score, abs=1e-12)
        assert one.results[0].interval is not None
        assert "refs:1|" in one.results[0].signature.text
        assert "subtask:qa" in one.results[0].signature.text
    basic = report.to_json()["groups"][0]["results"][0]["parts"]["basic"]
    expected = report.groups[0].results[0].parts["basic"]
    assert (basic["n"], basic["score"]) == (expected.n, expected.score)


def test_a_set_without_a_domain_is_not_the_benchmark(tmp_path, mecat_clips):
    raw = mecat_clips(tmp_path / "raw")
    for role in ("caption", "qa"):
        (raw / "src/reference" / role / "test/0M0.jsonl").unlink()
    build("mecat", raw=raw, out=tmp_path / "data")
    with pytest.raises(InputError, match="mecat/test has no clip of 0M0"):
        mecat.captions(rows(tmp_path / "data", mecat.CAPTION_COLUMNS))
