import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.evaluators.metrics.bleu import Bleu, bleu_stats
from unified_audiocaps.evaluators.text import ngrams
from unified_audiocaps.evaluators.text.ngrams import WordIds, count_ngrams

SENTENCE = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)
ITEMS = st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), min_size=1, max_size=5)


def ours(items):
    words = WordIds.of([candidate for candidate, _ in items], [texts for _, texts in items])
    stats = bleu_stats(words, count_ngrams(words))
    return Bleu().combine(stats)[1:], Bleu().values_per_item(stats)[:, 1:]


def by_hand(items):
    """BLEU-1 to BLEU-4 of a list of items, from the definition."""
    length = sum(len(candidate.split()) for candidate, _ in items)
    closest = 0
    for candidate, texts in items:
        closest += min((abs(len(text.split()) - len(candidate.split())), len(text.split())) for text in texts)[1]
    product, values = 1.0, []
    for order in range(1, 5):
        matches = total = 0
        for candidate, texts in items:
            counts = grams(candidate, order)
            limits = [grams(text, order) for text in texts]
            matches += sum(min(count, max(limit[gram] for limit in limits)) for gram, count in counts.items())
            total += sum(counts.values())
        product *= (matches + 1e-15) / (total + 1e-9)
        values.append(product ** (1 / order))
    ratio = (length + 1e-15) / (closest + 1e-9)
    return np.array(values) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1)


def grams(sentence, order):
    words = sentence.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


@given(ITEMS)
def test_equals_the_definition(items):
    corpus, per_item = ours(items)
    np.testing.assert_allclose(corpus, by_hand(items), rtol=0, atol=1e-12)
    np.testing.assert_allclose(per_item, [by_hand([item]) for item in items], rtol=0, atol=1e-12)


def test_a_corpus_value_pools_counts():
    corpus, per_item = ours([("a b c d e", ["a b c d e"]), ("a x", ["a b"])])
    assert corpus[3] == pytest.approx(((6 / 7) * (4 / 5) * (3 / 3) * (2 / 2)) ** 0.25, abs=1e-9)
    assert corpus[3] != pytest.approx(per_item[:, 3].mean(), abs=0.1)


def test_of_two_equally_close_references_the_shorter_counts():
    words = WordIds.of(["a b c"], [["a b c d", "a b"]])
    assert bleu_stats(words, count_ngrams(words))[0, -1] == 2


@pytest.mark.real
@pytest.mark.parametrize(("metric", "key"), [("bleu", "coco.bleu"), ("rouge_l", "coco.rouge_l"), ("cider_d", "coco.cider_d")])
def test_edge_cases_of_the_reference(golden_dir, monkeypatch, metric, key):
    """The cases are given as words already; two of them are errors here, by definition."""
    from unified_audiocaps.dataset_scripts.errors import InputError
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score

    monkeypatch.setattr(ngrams, "tokenize", list)
    cases = json.loads((golden_dir / "classic" / "edge_cases.json").read_text(encoding="utf-8"))
    seen = 0
    for name, case in cases.items():
        if not name.startswith("case_"):
            continue
        seen += 1
        try:
            (result,) = score(CaptionPairs.in_order(case["cands"], case["refs"]), [metric])
        except InputError:
            assert name == "case_all_refs_empty" or (name, metric) == ("case_single", "cider_d")
            continue
        corpus, per_item = case[key]
        if metric == "bleu":
            for order in range(4):
                assert result.components[f"bleu_{order + 1}"] == pytest.approx(corpus[order], abs=1e-12)
                np.testing.assert_allclose(result.item_components[f"bleu_{order + 1}"], per_item[order], rtol=0, atol=1e-12)
        else:
            assert result.score == pytest.approx(corpus, abs=1e-12)
            np.testing.assert_allclose(result.per_item, per_item, rtol=0, atol=1e-12, err_msg=name)
    assert seen == 13


@pytest.mark.real
@pytest.mark.parametrize("metric", ["bleu", "rouge_l", "cider_d"])
def test_audiocaps_from_raw_text(golden_dir, real_dir, metric):
    import csv

    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score

    with (real_dir / "wavcaps_copies" / "AudioCaps" / "csv_files" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (golden_dir / "classic" / "AudioCaps.human_loo.sentences.csv").open(encoding="utf-8", newline="") as file:
        golden = {row["file_name"]: row for row in csv.DictReader(file)}
    corpus = json.loads((golden_dir / "classic" / "golden.json").read_text(encoding="utf-8"))["AudioCaps.human_loo"]["corpus"]
    pairs = CaptionPairs.join(
        {row["file_name"]: row["caption_1"] for row in rows},
        {row["file_name"]: [row[f"caption_{i}"] for i in range(2, 6)] for row in rows},
    )
    (result,) = score(pairs, [metric])
    assert result.n == 957
    columns = dict(result.item_components) or {metric: result.per_item}
    for column, values in columns.items():
        np.testing.assert_allclose(values, [float(golden[id_][column]) for id_ in pairs.ids], rtol=0, atol=1e-12)
    for name, value in (dict(result.components) or {metric: result.score}).items():
        assert value == pytest.approx(corpus[name], abs=1e-12)
