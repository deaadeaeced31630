"""What holds for every metric whatever the captions are, found by discovery: generated sets of odd texts.

Sets are small and strange: other scripts, numbers, signs, emoji, empty candidates, different numbers of references. Where a
property does not hold for all metrics, a fact that the metric states decides (`needs_whole_corpus`, `cases`), or a list here
says for which it does not hold and why.
"""

import atexit
import itertools
import math
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unified_audiocaps.evaluators.bootstrap import Resampling
from unified_audiocaps.evaluators.compare import compare
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import result_and_stats, score
from unified_audiocaps.evaluators.workspace import Options, Workspace

from ..metric_options import MAKERS
from ..tiny_encoder import write_tiny_sentence_encoder

NAMES = METRICS.names()
FEW = Resampling(resamples=100)

WORDS = [
    *(
        "a",
        "dog",
        "barks",
        "rain",
        "falls",
        "on",
        "the",
        "roof",
        "loudly",
        "can't",
        "rock'n'roll",
        "U.S.",
        "3.5",
        "1,000",
        "44kHz",
    ),
    *("犬が吠える", "дождь", "à", "côté", "größer", "كلب", "नमस्ते", "e\u0301", "🐶", "👩‍👩‍👧", "🎵!", "(bark)", "[SEP]", "-LRB-"),
    *("--", "...", "!!!", "?", "|||", "“quoted”", "\u00a0", "\u2028", "\x0b", "\t", "\r\n", "x" * 40, "0", "%", "<unk>"),
]
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
TEXT = st.one_of(SENTENCE, st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
CANDIDATE = st.one_of(TEXT, st.just(""), st.just("  "))
REFERENCES = st.lists(TEXT, max_size=3).flatmap(lambda more: SAID.flatmap(lambda one: st.permutations([one, *more])))
SAID = TEXT.filter(lambda text: bool(text.strip()))
# no two words alike in any two of these, so that a metric cannot take one sentence for another
PLAIN = [
    "a dog barks at a passing car",
    "heavy rain falls on tin roofs",
    "two women laugh and clap hands",
    "an old engine starts with difficulty",
    "soft piano music fills the hall",
    "waves crash against distant rocks slowly",
]


@st.composite
def sets(draw, least=2, most=4, candidate=CANDIDATE, references=REFERENCES):
    rows = draw(st.lists(st.tuples(candidate, references), min_size=least, max_size=most))
    return CaptionPairs.in_order([one for one, _ in rows], [texts for _, texts in rows])


def fact(name):
    return METRICS.get(name)


def runs_a_model(name):
    return "device" in fact(name).uses


def needs_java(name):
    return any(needed.startswith("Java") for needed in fact(name).requires) and not spice_comes_from_a_file(name)


def spice_comes_from_a_file(name):
    return "spice" in fact(name).uses


def examples(name):
    """A forward through a model takes a hundred times as long as counting words."""
    return 5 if runs_a_model(name) or needs_java(name) else 25


@pytest.fixture(autouse=True)
def java_where_it_is_needed(request, unavailable):
    callspec = getattr(request.node, "callspec", None)
    if callspec and needs_java(callspec.params["name"]) and shutil.which("java") is None:
        unavailable(f"{callspec.params['name']} needs Java")


@cache
def folder():
    made = Path(tempfile.mkdtemp(prefix="uac-properties-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def model(option):
    """Models are written once: one that is loaded is kept by its path."""
    place = folder() / option
    place.mkdir()
    return str(write_tiny_sentence_encoder(place)) if option == "encoder" else MAKERS[option](place, None)


@pytest.fixture(autouse=True)
def one_thread():
    """Models are so small that threads wait for each other longer than they count."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


number = itertools.count()


def options(name, pairs, **more):
    """As `options_for` of the other contract tests; only what belongs to the items is written anew."""
    made = {}
    for one in fact(name).uses:
        if one in ("sounds", "spice") and (one in fact(name).needs or one == "spice"):
            place = folder() / str(next(number))
            place.mkdir()
            made[one] = MAKERS[one](place, pairs)
        elif one == "encoder":  # random weights serve as well here, and are read in no time
            made[one] = model(one)
        elif one in MAKERS and one != "sounds" and (one in fact(name).needs or fact(name).needs_extra):
            made[one] = model(one)
    return Options.of(**{"device": "cpu", **made, **more})


def one(name, pairs, **more):
    return score(pairs, [name], options(name, pairs, **more))[0]


def tolerance(name):
    return 2e-5 if runs_a_model(name) else 1e-9


def close(name, found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=tolerance(name), err_msg=name)


def for_every_metric(names=NAMES, **generated):
    """A property test per metric, with as many examples as the metric is fast."""

    def decorate(check):
        @pytest.mark.parametrize("name", names)
        def test(name):
            quiet = settings(
                max_examples=examples(name), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
            )

            @quiet
            @given(**generated)
            def holds(**drawn):
                check(name, **drawn)

            holds()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


@for_every_metric(pairs=sets())
def test_rows_make_up_values_and_intervals_within_the_declared_range(name, pairs):
    metric = fact(name)()
    result, stats = result_and_stats(metric, pairs, Workspace(pairs, options(name, pairs)), FEW)
    low, high = metric.value_range
    values = np.array([*result.per_item, result.score, result.interval.low, result.interval.high])
    assert np.isfinite(values).all()
    assert ((values >= low - 1e-9) & (values <= high + 1e-9)).all(), values
    assert all(math.isfinite(value) for value in result.components.values())
    assert result.notes.get("empty_candidates", 0) == sum(not text.strip() for text in pairs.candidates)
    assert len(stats) == len(pairs)
    close(name, metric.from_totals(stats.sum(axis=0), float(len(pairs)))[0], result.score)
    close(name, metric.from_totals(stats, np.ones(len(pairs)))[:, 0], result.per_item)
    assert result.interval.low <= result.interval.high
    if len(set(map(tuple, stats))) == 1:
        close(name, [result.interval.low, result.interval.high], result.score)


@for_every_metric(pairs=sets(), data=st.data())
def test_order_of_items_and_references_does_not_matter(name, pairs, data):
    order = data.draw(st.permutations(range(len(pairs))))
    turned = pairs.take(order)
    turned = CaptionPairs(turned.ids, turned.candidates, tuple(texts[::-1] for texts in turned.references))
    first, second = one(name, pairs), one(name, turned)
    # the share of items that fit better moves by whole items where two similarities are equal but for rounding
    if name == "date":
        close(name, second.item_components["date_similarity"], first.item_components["date_similarity"][order])
        return
    close(name, second.score, first.score)
    close(name, second.per_item, first.per_item[order])
    if "spice" not in fact(name).uses:  # a file of values in another order of references is another file
        assert second.signature.digest == first.signature.digest


@for_every_metric([name for name in NAMES if not fact(name).needs_whole_corpus], pairs=sets())
def test_saying_all_twice_changes_no_value_that_knows_no_other_item(name, pairs):
    """Metrics that look at the whole set are below: what holds for each of them."""
    both, sounds = twice(pairs), options(name, pairs).sounds
    again = {**sounds, **{f"{id_} again": sounds[id_] for id_ in pairs.ids}} if sounds else None
    result, doubled = one(name, pairs), one(name, both, **({"sounds": again} if again else {}))
    # the smoothing of BLEU is a constant beside counts that double: values of 1e-15 ** (1 / 4) where no 4-gram matches
    np.testing.assert_allclose(doubled.score, result.score, rtol=1e-9, atol=2e-4 if name == "bleu" else tolerance(name))
    close(name, doubled.per_item, np.tile(result.per_item, 2))


def twice(pairs):
    ids = (*pairs.ids, *(f"{id_} again" for id_ in pairs.ids))
    return CaptionPairs(ids, pairs.candidates * 2, pairs.references * 2)


# of the metrics that look at the whole set: the score of the doubled set beside that of the set; None where nothing is settled
OF_TWICE = {
    # df and N double together, and an n-gram's weight is the logarithm of their quotient; what stands in no reference weighs
    # more (its df stays at the floor of 1) and lengthens candidates, so that values can only fall
    "cider_d": "no_higher",
    "spider": "no_higher",
    "spider_fl": "no_higher",
    "spider_max": "no_higher",
    "date": None,  # idf is smoothed by adding 1 to both counts, and an item's twin fits as well as itself
    "diversity": "halved",
    "self_bleu": "repeated",
    "vocab": "equal",
}


def test_all_metrics_that_look_at_the_whole_set_are_known():
    assert sorted(OF_TWICE) == [name for name in NAMES if fact(name).needs_whole_corpus]


@for_every_metric([name for name in NAMES if fact(name).needs_whole_corpus and OF_TWICE.get(name)], pairs=sets())
def test_saying_all_twice_where_the_whole_set_counts(name, pairs):
    result, doubled = one(name, pairs), one(name, twice(pairs))
    rule = OF_TWICE[name]
    if rule == "no_higher":
        assert doubled.score <= result.score + 1e-9
    elif rule == "halved":
        close(name, doubled.score, result.score / 2)
    elif rule == "equal":
        close(name, doubled.score, result.score)
    else:  # every caption stands a second time: 1, but for orders that short captions do not have
        assert doubled.score >= result.score - 1e-9


def identity_is_best(name):
    """Whether a metric declares that a candidate equal to its only reference has the end of its range."""
    metric = fact(name)
    best = metric.value_range[1] if metric.direction == "higher" else metric.value_range[0]
    return all(abs(bound - best) <= 0.02 for bound in metric.cases.identical)


def test_metrics_whose_identity_is_best_say_so():
    """A word-for-word copy is not the best for those that read no references, or may punish it (an error checker)."""
    others = [name for name in NAMES if not identity_is_best(name)]
    by_their_references = set(NAMES) - set(others)
    assert by_their_references >= {"bleu", "rouge_l", "cider_d", "meteor", "spice", "sbert_sim", "bert_score", "clap_sim", "wer"}
    assert others == [
        *("clap_sim_audio", "date", "diversity", "fense", "fer", "mace", "self_bleu", "spider_fl", "vocab"),
    ]


@for_every_metric(
    [name for name in NAMES if identity_is_best(name)],
    order=st.permutations(PLAIN),
    others=st.lists(st.one_of(CANDIDATE, st.sampled_from(PLAIN)), min_size=3, max_size=3),
)
def test_no_candidate_is_better_than_a_copy_of_the_only_reference(name, order, others):
    references = [[text] for text in order[:3]]
    copy, other = (one(name, CaptionPairs.in_order(texts, references)) for texts in (order[:3], others))
    sign = 1 if fact(name).direction == "higher" else -1
    assert sign * copy.score >= sign * other.score - tolerance(name)
    assert (sign * copy.per_item >= sign * other.per_item - tolerance(name)).all()


PENALISED = {  # metric, per-item column that it can only lower
    "fense": "fense_similarity",
    "spider_fl": "spider_fl_spider",
    "mace": "mace_similarity",
}


@for_every_metric(sorted(PENALISED), pairs=sets())
def test_an_error_lowers_and_nothing_else_does(name, pairs):
    """Similarities below 0 are raised towards 0, which is the definition; the size of a value never grows."""
    result = one(name, pairs)
    before, after = result.item_components[PENALISED[name]], result.per_item
    assert (np.abs(after) <= np.abs(before) + 1e-12).all()
    assert (after[before >= 0] <= before[before >= 0] + 1e-12).all()
    has_error = result.item_components[f"{name}_fer"] == 1
    close(name, after[~has_error], before[~has_error])


@pytest.mark.parametrize(("name", "plain"), [("fense", "sbert_sim"), ("spider_fl", "spider"), ("mace", "clap_sim")])
def test_without_errors_it_is_the_metric_that_it_is_made_of(name, plain):
    @settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(pairs=sets())
    def holds(pairs):
        given_options = options(name, pairs)
        ours, theirs = score(pairs, [name, plain], given_options)
        close(name, ours.item_components[PENALISED[name]], theirs.per_item)
        assert (ours.per_item[theirs.per_item >= 0] <= theirs.per_item[theirs.per_item >= 0] + 1e-12).all()

    holds()


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pairs=sets())
def test_a_checker_never_raises_the_similarity_of_date(pairs):
    checked, free = (
        one("date", pairs, **given).item_components["date_similarity"] for given in ({"checker": model("checker")}, {})
    )
    assert (np.abs(checked) <= np.abs(free) + 1e-6).all()
    assert (checked[free >= 0] <= free[free >= 0] + 1e-6).all()
    factors = np.divide(checked, free, out=np.ones_like(free), where=np.abs(free) > 1e-3)
    assert all(min(abs(factor - 1), abs(factor - 0.1)) < 1e-2 for factor in factors)


@pytest.mark.parametrize("name", NAMES)
def test_an_interval_encloses_the_score_of_captions_of_every_quality(name):
    texts = [" ".join(text.split()[: 2 + place % 5]) for place, text in enumerate(PLAIN * 2)]
    references = [[text, PLAIN[place % 3]] for place, text in enumerate(PLAIN * 2)]
    pairs = CaptionPairs.in_order(texts, references)
    result = score(pairs, [name], options(name, pairs), interval=FEW)[0]
    assert result.interval.low <= result.score <= result.interval.high
    if len(set(result.per_item.round(6))) > 2:
        assert result.interval.low < result.interval.high


@for_every_metric(pairs=sets(), data=st.data())
def test_a_system_does_not_differ_from_itself(name, pairs, data):
    turned = pairs.take(data.draw(st.permutations(range(len(pairs)))))
    (found,) = compare(pairs, turned, [name], options(name, pairs), resampling=FEW)
    assert (found.difference, found.interval.low, found.interval.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert (found.wins, found.losses, found.ties) == (0, 0, len(pairs))


@for_every_metric([name for name in NAMES if fact(name).direction == "lower"], pairs=sets(candidate=SAID))
def test_who_wins_follows_the_direction(name, pairs):
    other = replace(pairs, candidates=tuple(text + " and a cat" for text in pairs.candidates))
    (found,) = compare(pairs, other, [name], options(name, pairs), resampling=FEW)
    (back,) = compare(other, pairs, [name], options(name, pairs), resampling=FEW)
    assert (found.wins, found.losses) == (back.losses, back.wins)
    assert found.difference == -back.difference
