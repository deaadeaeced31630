"""Where published tools of this field go wrong or surprise, and the test that says what happens here.

Tests of other files are named `file::test`, those without a file stand below.

| trap | test |
|---|---|
| words of the n-gram metrics reach the sentence encoder | metrics/test_sbert_sim.py::test_text_is_read_as_it_is |
| ... and the error checker | test_the_checker_reads_the_text_and_not_its_words |
| CIDEr-D depends on the set | metrics/test_cider_d.py::test_the_set_decides |
| a perfect caption of one word is worth 2.5 | metrics/test_cider_d.py::test_a_perfect_caption_of_one_word_scores_a_quarter |
| equal references everywhere are worth 0 | metrics/test_cider_d.py::test_references_that_are_equal_everywhere_give_zero |
| one item has no CIDEr-D | metrics/test_cider_d.py::test_one_item_is_an_error_that_says_why |
| an empty reference divides by zero | test_an_empty_reference_is_no_reference_to_be_like |
| an item without any reference | test_pairs.py::test_what_cannot_be_scored |
| an empty candidate | test_an_empty_candidate_is_worth_nothing |
| a line break inside a caption shifts all that follow | text/test_tokens.py::test_a_line_break_is_white_space |
| ... the same | test_no_caption_takes_the_place_of_another |
| brackets, "!!!", "cannot" and curly quotes of the PTB words | text/test_tokens.py::test_words |
| a tokenizer that is nearly the same | text/test_tokens.py::test_equals_the_original_on_audiocaps |
| ... the same | text/test_tokens.py::test_equals_the_original_on_odd_sentences |
| corpus values that are no means | metrics/test_bleu.py::test_a_corpus_value_pools_counts |
| ... the same | metrics/test_meteor.py::test_equals_pycocoevalcap_on_odd_sentences |
| ... and their resamples | test_bootstrap.py::test_a_resample_is_scored_as_the_captions_that_it_drew |
| `|||` parts the texts of METEOR's question | metrics/test_meteor.py::test_bars_inside_a_word_part_nothing |
| a program that says much to stderr stops | test_what_a_program_says_beside_its_answers_does_not_stop_it |
| a locale writes commas for points | test_the_locale_does_not_move_meteor |
| COCO's CIDEr is CIDEr-D | test_cider_is_a_name_that_leads_to_cider_d |
| papers print times 100 | test_scores_are_in_their_native_range |
| DATE scores only what both sides have | test_pairs.py::test_coverage_must_be_complete |
| ... the same | tasks/test_mecat.py::test_only_what_a_subtask_scores_must_be_covered |
| different numbers of references misalign | test_each_item_is_scored_with_its_own_references |
| the harmonic mean has no bound below 0 | metrics/test_date.py::test_harmonic_mean_where_it_has_no_bound |
| ... the same | metrics/test_date.py::test_similarities_that_are_not_positive_are_counted |
| per-item values that are the corpus value N times | test_per_item_values_are_those_of_the_items |
| the checker reads references | test_the_checker_reads_no_reference |
| references that say "None" | test_references_that_say_none_are_kept_and_told |
| ranks within rounding of the threshold | metrics/test_date.py::test_rank_counts_the_item_itself_and_the_band |
| ... the same | metrics/test_date.py::test_mecat_domain_0ma |
| "[SEP]" in a caption is a special token | metrics/test_date.py::test_weights_of_special_tokens |
| keys that sort as ref_0, ref_1, ref_10 | test_ten_comes_after_nine |
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import UnknownNameError
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.metrics.meteor import meteor_process
from unified_audiocaps.evaluators.models.checker import checked_tokens, load_checker
from unified_audiocaps.evaluators.models.java_process import JavaProcess
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.text.ngrams import ptb_sentences
from unified_audiocaps.evaluators.workspace import Options, Workspace

HERE = Path(__file__).parent
PLAIN = ["bleu", "rouge_l", "cider_d"]


def test_every_test_of_the_table_exists():
    named = [row.rstrip(" |").rsplit(" | ", 1)[1] for row in __doc__.splitlines() if re.match(r"\| (?!trap )", row)]
    assert len(named) > 30
    for one in named:
        place, _, name = one.rpartition("::")
        file = HERE / place if place else Path(__file__)
        assert f"def {name}(" in file.read_text(encoding="utf-8"), one


def test_the_checker_reads_the_text_and_not_its_words(tiny_checker, tmp_path):
    name = str(tiny_checker(tmp_path))
    texts = ["A dog barks (loudly), can't stop!", "Rain -- and wind."]
    pairs = CaptionPairs.in_order(texts, [["a dog"], ["rain"]])
    (result,) = score(pairs, ["fer"], Options(checker=name, device="cpu"))
    words = Workspace(pairs, Options()).shared(ptb_sentences)[0]
    checker = load_checker(name, "cpu")
    raw, tokenised = (checker.probabilities(checker.tokenize(some)) for some in (texts, words))
    np.testing.assert_allclose(result.item_components["fer_probability"], raw, rtol=0, atol=1e-6)
    assert np.abs(raw - tokenised).max() > 1e-3


@pytest.mark.parametrize("name", PLAIN)
def test_an_empty_reference_is_no_reference_to_be_like(name):
    candidates = ["a dog barks at a car", "heavy rain falls on roofs"]
    with_empty = CaptionPairs.in_order(candidates, [["", candidates[0]], [candidates[1], " "]])
    (result,) = score(with_empty, [name])
    assert np.isfinite(result.per_item).all()
    # CIDEr-D is a mean over references; of the others the best one counts
    best = METRICS.get(name).value_range[1]
    assert result.per_item == pytest.approx(best / 2 if name == "cider_d" else best, abs=1e-6)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("nothing", ["", " ", "\u2028", "...", "\ufeff"])
def test_an_empty_candidate_is_worth_nothing(name, nothing):
    pairs = CaptionPairs.in_order([nothing, "heavy rain falls on roofs"], [["a dog barks"], ["heavy rain falls on roofs"]])
    (result,) = score(pairs, [name])
    assert result.per_item[0] == pytest.approx(0, abs=1e-12)
    assert result.per_item[1] > 0.99


@pytest.mark.parametrize("line_break", ["\n", "\r", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_no_caption_takes_the_place_of_another(line_break):
    texts = [f"a dog{line_break}barks at a car", "heavy rain falls on roofs", "", "two bells ring in a hall"]
    own = [[text or "something else is heard"] for text in texts]
    for result in score(CaptionPairs.in_order(texts, own), PLAIN):
        best = METRICS.get(result.metric).value_range[1]
        assert result.per_item == pytest.approx([best, best, 0, best], abs=1e-6)


def test_what_a_program_says_beside_its_answers_does_not_stop_it(tmp_path):
    """More than a pipe holds."""
    java = tmp_path / "java"
    chatter = "head -c 300000 /dev/zero | tr '\\0' x >&2"
    script = f"""#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "17"' >&2; exit; fi
while IFS= read -r line; do {chatter}; printf "%s\\n" "$line"; done
"""
    java.write_text(script, encoding="utf-8")
    java.chmod(0o755)
    process = JavaProcess("Echo", tmp_path / "echo.jar", (), java=str(java))
    try:
        assert process.ask(["a", "b"]) == ["a", "b"]
    finally:
        process.close()


def test_the_locale_does_not_move_meteor(monkeypatch, unavailable):
    if shutil.which("java") is None:
        unavailable("METEOR needs Java")
    question = "SCORE ||| a dog barks at a passing car ||| a dog barked loudly"
    expected = meteor_process().ask([question])
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE -Duser.region=DE")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    process = meteor_process.__wrapped__()
    try:
        assert process.ask([question]) == expected
    finally:
        process.close()


def test_cider_is_a_name_that_leads_to_cider_d():
    with pytest.raises(UnknownNameError, match="Did you mean cider_d"):
        METRICS.get("cider")
    assert "COCO caption evaluation names it CIDEr" in " ".join(METRICS.get("cider_d").__doc__.split())
    pairs = CaptionPairs.in_order(["a dog", "rain"], [["a dog"], ["rain"]])
    assert "|sigma:6|" in score(pairs, ["cider_d"])[0].signature.text


def test_scores_are_in_their_native_range():
    texts = ["a dog barks at a car", "heavy rain falls on roofs"]
    results = score(CaptionPairs.in_order(texts, [[text] for text in texts]), PLAIN)
    assert [round(result.score, 6) for result in results] == [1, 1, 10]


def test_each_item_is_scored_with_its_own_references():
    """One, three and two of them: the similarity of DATE is the mean over the item's own."""
    references = [["a dog barks"], ["it rains", "rain falls", "heavy rain"], ["a bell rings", "bells ring"]]
    pairs = CaptionPairs.in_order(["a dog barks", "rain", "a bell"], references)
    (result,) = score(pairs, ["date"], Options(encoder="minilm", device="cpu"))
    similarity = result.item_components["date_similarity"]
    assert (similarity <= 1 + 1e-6).all()
    alone = []
    for place, texts in enumerate(references):
        # all references stay in the set, so that no weight moves; the item's own are asked for one by one
        others = [text for other, some in enumerate(references) if other != place for text in some]
        asked = CaptionPairs.in_order([pairs.candidates[place]] * len(texts) + ["x"], [[text] for text in texts] + [others])
        alone.append(score(asked, ["date"], Options(encoder="minilm", device="cpu"))[0])
    for found, several in zip(similarity, alone, strict=True):
        # candidates are another set here, whose idf weighs them a little differently
        own = several.item_components["date_similarity"][:-1]
        assert found == pytest.approx(own.mean(), abs=0.05)


def test_per_item_values_are_those_of_the_items():
    pairs = CaptionPairs.in_order(["a dog barks", "a car"], [["a dog is barking"], ["birds sing in the trees"]])
    (result,) = score(pairs, ["date"], Options(encoder="minilm", device="cpu"))
    assert result.per_item[0] > result.per_item[1] + 0.1
    assert result.score == pytest.approx(result.per_item.mean(), abs=1e-12)


def test_the_checker_reads_no_reference(tiny_checker, tmp_path):
    options = Options(encoder="minilm", checker=str(tiny_checker(tmp_path)), device="cpu")
    pairs = CaptionPairs.in_order(["rain falls", "a dog"], [["and and a", "dog dog the"], ["with a with"]])
    work = Workspace(pairs, options)
    assert len(work.shared(checked_tokens).sequence) == len(pairs)
    METRICS.get("date")().item_stats(pairs, work)
    assert len(work.shared(checked_tokens).sequence) == len(pairs)


def test_references_that_say_none_are_kept_and_told():
    references = [["None", "there is no sound effect"], ["a dog barks", "dogs"], ["nothing", " None "]]
    pairs = CaptionPairs.in_order(["None", "a dog", "silence"], references)
    (result,) = score(pairs, ["date"], Options(encoder="minilm", device="cpu"))
    assert result.notes["items_with_a_reference_none"] == 2
    assert result.signature.values["refs"] == "2"
    (without,) = score(pairs.take([1]), ["date"], Options(encoder="minilm", device="cpu"))
    assert "items_with_a_reference_none" not in without.notes


def test_ten_comes_after_nine():
    texts = [f"sound number {number} is heard" for number in range(12)]
    pairs = CaptionPairs.in_order(texts, [[text] for text in texts])
    assert pairs.ids == tuple(map(str, range(12)))
    assert pairs.candidates == tuple(one for (one,) in pairs.references)
    many = CaptionPairs.join({"a": "x"}, {"a": texts})
    assert many.references == (tuple(texts),)
