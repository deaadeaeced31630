"""Metrics against people: the protocol on a small file, the published figures on the real one."""

import json

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks import meta
from unified_audiocaps.evaluators.tasks.meta import agreement_with_people, read_preferences, saved_results, with_results
from unified_audiocaps.evaluators.workspace import Options

REFERENCES = ["a dog barks", "a dog is barking loudly", "barking", "a hound howls at night", "dogs"]
CLIP = {
    "audio_id": "x",
    "references": REFERENCES,
    "HC": ["a dog barks", "dogs", "1", "2", [1, 1, -1, 0]],
    "HI": ["barking", "heavy rain falls", "3", "4", [1, 1, 1, 1]],
    "HM": ["dogs", "a dog barks twice", "5", "6", [-1, -1, 0, 0]],
    "MM_1": ["a dog barks", "rain", "7", "8", 0, [1, 0, 0, 0]],
    "MM_2": None,
    "MM_3": ["rain", "a dog barks", "7", "8", [0, 0, 1, -1]],
}


@pytest.fixture
def write(tmp_path):
    def make(*clips: object):
        file = tmp_path / "pairs.json"
        file.write_text(json.dumps(list(clips)), encoding="utf-8")
        return file

    return make


def test_references_are_those_of_the_protocol(write):
    found, _ = read_preferences(write(CLIP))
    assert [(one.facet, one.votes) for one in found] == [("HC", 1), ("HI", 4), ("HM", -2), ("MM", 1), ("MM", 0)]
    hc, hi, hm, mm, _ = found
    assert hc.references == (
        (("a dog is barking loudly", "barking", "a hound howls at night", "dogs"),),
        (("a dog barks", "a dog is barking loudly", "barking", "a hound howls at night"),),
    )
    assert hi.references[0] == hi.references[1] == (tuple(one for one in REFERENCES if one != "barking"),)
    assert hm.references[0] == hm.references[1] == (tuple(REFERENCES[:4]),)
    assert mm.references[0] == mm.references[1]
    assert [sorted(set(REFERENCES) - set(one)) for one in mm.references[0]] == [[one] for one in REFERENCES]


def test_few_references_are_repeated_to_four(write):
    (one,), _ = read_preferences(write({"references": ["a", "b", "c"], "HC": ["c", "z", "", "", [1]]}))
    assert one.references == ((("a", "b", "a", "b"),), (("a", "b", "c", "a"),))


def test_shares_are_over_pairs_with_a_majority_and_ties_are_wrong(write):
    same = {"references": REFERENCES, "MM_1": ["rain", "rain", "", "", [1]], "MM_2": ["a dog", "rain", "", "", [1, -1]]}
    preferences, digest = read_preferences(write(CLIP, same))
    rouge, length = agreement_with_people(preferences, digest, ["rouge_l", "length"])
    assert rouge.pairs == {"HC": 1, "HI": 1, "HM": 1, "MM": 2, "total": 5}
    assert rouge.accuracy == {"HC": 1.0, "HI": 1.0, "HM": 1.0, "MM": 0.5, "total": 0.8}
    assert (rouge.ties, rouge.signature.values["data"]) == (1, digest)
    assert rouge.signature.values["metric"] == "rouge_l"
    assert length.signature != rouge.signature


def test_turning_pairs_round_changes_nothing(write):
    turned = {**CLIP}
    for facet in ("MM_1", "MM_3", "HC"):
        first, second, *rest = CLIP[facet]
        turned[facet] = [second, first, *rest[:-1], [-vote for vote in rest[-1]]]
    names = ["bleu", "rouge_l", "length"]
    one = agreement_with_people(*read_preferences(write(CLIP)), names)
    other = agreement_with_people(*read_preferences(write(turned)), names)
    assert [a.accuracy for a in one] == [b.accuracy for b in other]


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("text", "expected an object"),
        ({"references": ["a"]}, "two or more different texts"),
        ({"references": REFERENCES, "HC": ["a", "b", [1]]}, None),
        ({"references": REFERENCES, "HI": ["a", "b", "c", "d", [2]]}, "a list of votes"),
        ({"references": REFERENCES, "HI": ["a", None, "c", "d", [1]]}, "two captions"),
    ],
)
def test_other_layouts_are_refused(write, clip, message):
    if message is None:
        assert len(read_preferences(write(clip))[0]) == 1
        return
    with pytest.raises(InputError, match=rf"(?s)another layout.*clip 1: .*{message}"):
        read_preferences(write(CLIP, clip))


def test_files_that_hold_nothing_are_refused(write, tmp_path):
    with pytest.raises(InputError, match="no pair on which people agree"):
        read_preferences(write({"references": REFERENCES, "HC": ["a", "b", "", "", [0, 0]]}))
    with pytest.raises(InputError, match="expected a list of clips"):
        read_preferences(write())
    with pytest.raises(InputError, match="cannot be read"):
        read_preferences(tmp_path / "none.json")


def test_results_are_put_among_the_known_ones(write, tmp_path):
    rouge, bleu = agreement_with_people(*read_preferences(write(CLIP)), ["rouge_l", "bleu"])
    known = with_results(with_results({}, "pairs", [rouge]), "others", [bleu])
    both = with_results(known, "pairs", [bleu])
    assert {name: list(by) for name, by in both.items()} == {"others": ["bleu"], "pairs": ["bleu", "rouge_l"]}
    file = tmp_path / "r.json"
    file.write_text(json.dumps(both))
    assert saved_results(file) == both
    file.write_text("[1]")
    with pytest.raises(InputError, match="no file of results"):
        saved_results(file)


def published(name: str, metric: str, **shares: float) -> None:
    """Compares the kept figures with printed ones, which have one digit."""
    kept = saved_results()[name][metric]["accuracy"]
    for facet, share in shares.items():
        assert abs(100 * kept[facet] - share) <= 0.0501, (name, metric, facet)


def test_kept_figures_are_those_that_were_published():
    """FENSE's table, as MACE's repository prints it."""
    published("audiocaps_eval", "bleu", HC=54.7, HI=85.8, HM=78.7, MM=50.6, total=61.6)
    published("audiocaps_eval", "meteor", HC=66.0, HI=96.4, HM=90.0, MM=60.1, total=71.7)
    published("audiocaps_eval", "rouge_l", HC=61.1, HI=91.5, HM=82.8, MM=52.1, total=64.9)
    published("audiocaps_eval", "cider_d", HC=56.2, HI=96.0, HM=90.4, MM=61.2, total=71.0)
    published("clotho_eval", "bleu", HC=52.9, HI=88.9, HM=65.1, MM=53.2, total=60.5)
    published("clotho_eval", "meteor", HC=54.8, HI=93.0, HM=74.6, MM=57.8, total=65.4)
    published("clotho_eval", "rouge_l", HC=56.2, HI=90.6, HM=69.4, MM=50.7, total=60.5)
    published("clotho_eval", "cider_d", HC=51.4, HI=91.8, HM=70.3, MM=56.0, total=63.2)


@pytest.mark.real
def test_real_pairs_give_the_kept_figures(real_dir):
    preferences, digest = read_preferences(real_dir / "fense" / "audiocaps_eval.json")
    assert len(preferences) == 1671
    kept = saved_results()["audiocaps_eval"]
    for one in agreement_with_people(preferences, digest, ["bleu", "rouge_l", "cider_d", "length"]):
        # the text of a signature ends with the package's version, which moves no figure
        assert {**one.to_json(), "signature": ""} == {**kept[one.metric], "signature": ""}, one.metric
        assert sum(one.pairs[facet] for facet in meta.FACETS) == one.pairs["total"] == 1483
    # an encoder's figures do not depend on the other pairs: one kind will do
    few = [one for one in preferences if one.facet == "HM"]
    (found,) = agreement_with_people(few, digest, ["sbert_sim"], Options(encoder="minilm", device="cpu"))
    assert found.accuracy["HM"] == pytest.approx(kept["sbert_sim"]["accuracy"]["HM"], abs=1.5 / found.pairs["HM"])
    assert found.signature.digest == kept["sbert_sim"]["digest"]
