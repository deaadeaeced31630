import csv
import json
import random
import shutil

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError
from unified_audiocaps.evaluators.metrics import meteor
from unified_audiocaps.evaluators.metrics.meteor import Meteor, meteor_files, meteor_process
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.text.ngrams import ptb_sentences
from unified_audiocaps.evaluators.workspace import Options, Workspace


@pytest.fixture
def java(unavailable):
    if shutil.which("java") is None:
        unavailable("METEOR needs Java")


def stats_row(matched=0, words=0, runs=0, functions=0):
    """A row in which candidate and reference are alike; `matched` content words of equal form."""
    row = np.zeros(23)
    row[:2], row[2:4], row[4:6], row[20], row[21:] = words, functions, matched, runs, matched
    return row


def test_values_by_hand():
    """Three content words of four match in two runs: P = R = F = 3/4, and the penalty is 0.6 · (2/3)^0.2."""
    (value,) = Meteor().combine(stats_row(matched=3, words=4, runs=2)[None])
    assert value == pytest.approx(0.75 * (1 - 0.6 * (2 / 3) ** 0.2), abs=1e-15)


def test_function_words_weigh_a_third():
    """Of one content word (0.75) and one function word (0.25) the content word matches."""
    (value,) = Meteor().combine(stats_row(matched=1, words=2, runs=0, functions=1)[None])
    assert value == pytest.approx(0.75)


def test_nothing_matched_is_0():
    assert Meteor().values_per_item(np.stack([stats_row(), stats_row(words=3)])).tolist() == [[0.0], [0.0]]


def test_a_complete_alignment_adds_no_run(java):
    """Two runs where the order differs, one where a word was left out, none where candidate and reference are alike."""
    pairs = CaptionPairs.in_order(["a dog barks", "barks a dog", "a dog"], [["a dog barks"]] * 3)
    stats = Meteor().item_stats(pairs, Workspace(pairs, Options()))
    assert stats[:, 20].tolist() == [0, 2, 1]


ODD = (
    "dog dogs barking barked hound rain rains a the is of in man people talking speaking 2 3.5 1,000 10:30 2nd 50% $5 can't "
    "it's U.S. e.g. two-stroke and/or R&B \U0001f3b5 \U0001f468\u200d\U0001f469 caf\xe9 na\xefve \u65e5\u672c\u8a9e "
    "\u0434\u043e\u0436\u0434\u044c \u0645\u0637\u0631 \u0939\u093f\u0928\u094d\u0926\u0940 \xdf \u0130 \u2026 ... "
    "! ?! \u2013 \u201chi\u201d "
    "(x) [y] <b> & &amp; | || @me #tag http://a.b/c?d x@y.com \xbd x\xb2 \ufb01 _ * ~ % ' \" SCORE EVAL"
).split()


def odd_pairs(n):
    draw = random.Random(41)

    def text(least):
        return " ".join(draw.choices(ODD, k=draw.randint(least, 12)))

    return CaptionPairs.in_order(
        [text(0) for _ in range(n)], [[f"rain {text(0)}" for _ in range(draw.randint(1, 5))] for _ in range(n)]
    )


def test_equals_pycocoevalcap_on_odd_sentences(java):
    """Per item and in total, and in parts of the set: sums of rows are what the program itself sums."""
    from pycocoevalcap.meteor.meteor import Meteor as Original

    pairs = odd_pairs(300)
    candidates, references = Workspace(pairs, Options()).shared(ptb_sentences)
    truth, results = dict(enumerate(references)), {index: [text] for index, text in enumerate(candidates)}
    original = Original()
    corpus, items = original.compute_score(truth, results)
    (ours,) = score(pairs, ["meteor"])
    np.testing.assert_allclose(ours.per_item, items, rtol=0, atol=1e-12)
    assert ours.score == pytest.approx(corpus, abs=1e-12)
    stats = Meteor().item_stats(pairs, Workspace(pairs, Options()))
    for part in (range(7), range(100, 150)):
        corpus, _ = original.compute_score({i: truth[i] for i in part}, {i: results[i] for i in part})
        assert Meteor().combine(stats[list(part)])[0] == pytest.approx(corpus, abs=1e-12)


@pytest.mark.real
def test_equals_the_published_values_on_audiocaps(java, golden_dir):
    folder = golden_dir / "classic"
    items = [json.loads(line) for line in (folder / "AudioCaps.human_loo.tokens.jsonl").read_text(encoding="utf-8").splitlines()]
    (result,) = score(CaptionPairs.in_order([item["cand"] for item in items], [item["refs"] for item in items]), ["meteor"])
    with (folder / "AudioCaps.human_loo.sentences.csv").open(encoding="utf-8", newline="") as file:
        expected = [float(row["meteor"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(result.per_item, expected, rtol=0, atol=1e-12)
    assert result.score == pytest.approx(0.2846751529453648, abs=1e-12)


def test_bars_inside_a_word_part_nothing(java):
    pairs = CaptionPairs.in_order(["<b a='x|||y'> rain"], [["<!a|||b> rain", "rain"]])
    (result,) = score(pairs, ["meteor"])
    assert 0 < result.score < 1


def test_the_signature_names_the_files(java):
    (result,) = score(CaptionPairs.in_order(["rain"], [["rain"]]), ["meteor"])
    values = result.signature.values
    assert values["jar"] == "1e57b4c72c08"
    assert values["paraphrases"] == "c147ac7d2c91"
    assert not {"java", "Xmx2G"} & set(values)


def test_one_process_for_all_calls(java):
    pairs = CaptionPairs.in_order(["rain"], [["it rains"]])
    score(pairs, ["meteor"])
    first = meteor_process().pid
    score(pairs, ["meteor"])
    assert first is not None
    assert meteor_process().pid == first


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirementError, match=r"pycocoevalcap, which is not installed.*unified-audiocaps\[java\]"):
        meteor_files()


def test_without_the_jar(monkeypatch, tmp_path):
    from types import SimpleNamespace

    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(MissingRequirementError, match=r"lacks meteor-1\.5\.jar or data/paraphrase-en\.gz"):
        meteor_files()


@pytest.mark.parametrize("answer", ["Error: specify SCORE or EVAL or SING", "1.0 2.0", ""])
def test_an_answer_that_is_none(monkeypatch, tmp_path, answer):
    monkeypatch.setattr(meteor, "meteor_files", lambda: (tmp_path / "meteor.jar", tmp_path / "table"))
    monkeypatch.setattr(meteor, "meteor_process", type("Process", (), {"ask": lambda self, lines: [answer]}))
    with pytest.raises(MissingRequirementError, match="expected 23 numbers"):
        score(CaptionPairs.in_order(["rain"], [["rain"]]), ["meteor"])
