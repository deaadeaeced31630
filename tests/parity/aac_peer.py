"""Scores captions with aac-metrics 0.6.0; runs in that package's own environment, which `make parity` builds.

    .venv-parity/bin/python tests/parity/aac_peer.py ITEMS.jsonl VALUES.json --metrics bleu,meteor,sbert_sim --sbert FOLDER

A line of ITEMS holds `candidate` and `references`; for SPIDEr-max also `candidates`, for the sound's half of CLAP-sim and MACE
`audio`, the sound's name. VALUES holds `corpus` (name to value), `items` (name to one value per line), `words` (what the peer's
tokenizer made of the texts), `replaced` (how many characters were) and `versions`. Names are the peer's own; those with `_audio`
and `_combined` are its methods of that name. Metrics of n-grams get the peer's words, embeddings get the text as it is.

What is not the peer's own here:

- `msclap` is an empty module, because its torchaudio loads with no torch of today. `--clap` names a JSON object in its place that
  holds a vector by text and by name of a sound.
- The peer refuses Java above 13; it is told that 99 is fine.
- The Java programs are those of pycocoevalcap 1.2 instead of a download.
- Characters that make its tokenizer split or shift captions (`BREAKS`) become spaces in front of it.
- SPICE needs a download of 384 MB: `stand_in_spice` takes its place; everything that is built on it is the peer's.
- The error checker is the file that `--checker` names, put where the peer expects its download. The model that it names is looked
  for from the working directory.
- torchmetrics sorts texts by length for BERTScore and "unsorts" them by the same permutation instead of its inverse, which
  compares candidates with other items' references. The sorting is switched off, unless `--sorted` asks for what users get.
- The peer's MACE per item is the corpus value; its own formula is run again on one item at a time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.modules["msclap"] = types.ModuleType("msclap")
sys.modules["msclap"].CLAP = type("CLAP", (), {})

sys.path.append(str(Path(__file__).resolve().parents[1] / "golden"))

import aac_metrics  # noqa: E402 - its missing neighbour must be in place first
import aac_metrics.functional as peer  # noqa: E402
import torch  # noqa: E402
from aac_metrics.utils.tokenization import preprocess_mult_sents  # noqa: E402
from stand_in_spice import stand_in_spice  # noqa: E402

# all that Java takes for the end of a line, and what the peer itself refuses
BREAKS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")
FLUENCY_PENALTY = 0.9  # the peer's default
CHECKER = "echecker_clotho_audiocaps_base"
PACKAGES = ("aac-metrics", "pythonwrench", "pycocoevalcap", "torch", "torchmetrics", "transformers", "sentence-transformers")


class StandInClap:
    """What the peer asks of msclap's model.

    Args:
        path: JSON object with a vector by text and by name of a sound.
    """

    def __init__(self, path: str) -> None:
        self.vectors = json.loads(Path(path).read_text(encoding="utf-8"))

    def get_text_embeddings(self, texts: list[str]) -> torch.Tensor:
        """Returns float32[n, d]."""
        return torch.tensor([self.vectors[text] for text in texts])

    get_audio_embeddings = get_text_embeddings


class Input:
    """The items as the peer's functions want them.

    Args:
        lines: one JSON object per item.
        options: of the command line.
    """

    def __init__(self, lines: list[str], options: argparse.Namespace) -> None:
        self.replaced, self.options = 0, options
        self.similarities: tuple[dict, dict] | None = None
        items = [json.loads(line) for line in lines]
        self.candidates = [item["candidate"] for item in items]
        self.references = [item["references"] for item in items]
        self.audio = [item.get("audio", "") for item in items]
        alternatives = [item.get("candidates", []) for item in items]
        texts = [[c, *a, *r] for c, a, r in zip(self.candidates, alternatives, self.references, strict=True)]
        words = preprocess_mult_sents([[self._one_line(text) for text in one] for one in texts])
        counts = [1 + len(texts) for texts in alternatives]
        self.candidate_words = [one[0] for one in words]
        self.alternative_words = [one[1:n] for one, n in zip(words, counts, strict=True)]
        self.reference_words = [one[n:] for one, n in zip(words, counts, strict=True)]

    def _one_line(self, text: str) -> str:
        self.replaced += len(BREAKS.findall(text))
        return BREAKS.sub(" ", text)


def classic(function: Callable, **arguments: object) -> Callable:
    """Returns a metric on words."""
    return lambda given: function(given.candidate_words, given.reference_words, **arguments)


def sbert_sim(given: Input) -> tuple[dict, dict]:
    """Returns SBERT-sim, computed once: encoding is what takes time."""
    if given.similarities is None:
        given.similarities = peer.sbert_sim(given.candidates, given.references, sbert_model=given.options.sbert, device="cpu")
    return given.similarities


def fense(given: Input) -> tuple[dict, dict]:
    """Returns FENSE: the peer's function is this formula on its two parts."""
    formula = sys.modules["aac_metrics.functional.fense"]._fense_from_outputs
    return formula(sbert_sim(given), peer.fer(given.candidates, device="cpu"), FLUENCY_PENALTY)


def bert_score(given: Input) -> tuple[dict, dict]:
    """Returns BERTScore, the best over the references."""
    return peer.bert_score_mrefs(given.candidates, given.references, model=given.options.bert, device="cpu")


def fer(given: Input) -> tuple[dict, dict]:
    """Returns the fluency error rate and the probabilities behind it."""
    return peer.fer(given.candidates, device="cpu", return_probs=True)


def clap_sim(given: Input) -> tuple[dict, dict]:
    """Returns CLAP-sim against the references, and against the sounds."""
    return _both(given, lambda method: peer.clap_sim(**_clap_input(given), clap_method=method), ["text", "audio"])


def mace(given: Input) -> tuple[dict, dict]:
    """Returns MACE by its three methods."""
    formula = sys.modules["aac_metrics.functional.mace"]._mace_from_outputs

    def one(method: str) -> tuple[dict, dict]:
        corpus, items = peer.mace(**_clap_input(given), mace_method=method)
        slices = [{key: items[key][i : i + 1] for key in ("clap_sim", "fer")} for i in range(len(given.candidates))]
        return corpus, items | {"mace": torch.stack([formula((one, one), ({}, one))[0]["mace"] for one in slices])}

    corpus, items = _both(given, one, ["text", "audio", "combined"])
    # its CLAP-sim is that of `clap_sim`, and its threshold for errors another one than FER's
    rename = {"fer": "mace_fer", "clap_sim_combined": "mace_clap_sim_combined"}
    dropped = {"clap_sim", "clap_sim_audio", "fer_audio", "fer_combined"}
    return tuple({rename.get(key, key): value for key, value in one.items() if key not in dropped} for one in (corpus, items))


def _clap_input(given: Input) -> dict[str, object]:
    columns = {"candidates": given.candidates, "mult_references": given.references, "audio_paths": given.audio}
    return {**columns, "clap_model": StandInClap(given.options.clap), "device": "cpu"}


def _both(given: Input, run: Callable, methods: list[str]) -> tuple[dict, dict]:
    if not all(given.audio):
        methods = ["text"]
    corpus, items = {}, {}
    for method in methods:
        for found, all_found in zip(run(method), (corpus, items), strict=True):
            all_found |= {key if method == "text" else f"{key}_{method}": value for key, value in found.items()}
    return corpus, items


def spider_fl(given: Input) -> tuple[dict, dict]:
    """Returns SPIDEr on words with the error checker on the text as it is; `spider_fl_words` has words for both."""
    formula = sys.modules["aac_metrics.functional.spider_fl"]._spider_fl_from_outputs
    found = formula(
        peer.spider(given.candidate_words, given.reference_words), peer.fer(given.candidates, device="cpu"), FLUENCY_PENALTY
    )
    words = peer.spider_fl(given.candidate_words, given.reference_words, device="cpu", return_probs=False)
    return tuple(one | {"spider_fl_words": other["spider_fl"]} for one, other in zip(found, words, strict=True))


def spider_max(given: Input) -> tuple[dict, dict]:
    """Returns the best of several candidates."""
    return peer.spider_max(given.alternative_words, given.reference_words)


# by our name; each returns the peer's corpus values and its values per item
METRICS: dict[str, Callable[[Input], tuple[dict, dict]]] = {
    **{f"bleu_{n}": classic(peer.bleu, n=n) for n in range(1, 5)},
    "rouge_l": classic(peer.rouge_l),
    "cider_d": classic(peer.cider_d),
    "meteor": classic(peer.meteor),
    "vocab": classic(peer.vocab),
    "spider": classic(peer.spider),
    "spider_max": spider_max,
    "spider_fl": spider_fl,
    "sbert_sim": sbert_sim,
    "fense": fense,
    "fer": fer,
    "bert_score": bert_score,
    "clap_sim": clap_sim,
    "mace": mace,
}


def spice(candidates: list[str], mult_references: list[list[str]], return_all_scores: bool = True, **_: object) -> tuple:
    """Takes the place of the peer's SPICE."""
    values = torch.tensor([stand_in_spice(*pair) for pair in zip(candidates, mult_references, strict=True)], dtype=torch.float64)
    return {"spice": values.mean()}, {"spice": values}


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Puts the peer's files where it looks for them, and what stands in for others in their place."""
    java = Path(str(importlib.metadata.distribution("pycocoevalcap").locate_file("pycocoevalcap")))
    for name, target in {
        "stanford_nlp/stanford-corenlp-3.4.1.jar": java / "tokenizer" / "stanford-corenlp-3.4.1.jar",
        "meteor/meteor-1.5.jar": java / "meteor" / "meteor-1.5.jar",
        "meteor/data": java / "meteor" / "data",
    }.items():
        link = folder / "aac-metrics" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    aac_metrics.set_default_cache_path(folder)
    aac_metrics.set_default_tmp_path(folder)
    sys.modules["aac_metrics.utils.checks"].MAX_JAVA_MAJOR_VERSION = 99
    sys.modules["aac_metrics.functional.spider"].spice = spice
    os.environ["FENSE_DATA"] = str(folder)
    if options.checker:
        (folder / f"{CHECKER}.ckpt").symlink_to(Path(options.checker).resolve())
    if not options.sorted:
        helper = sys.modules["torchmetrics.functional.text.helper_embedding_metric"]
        helper._sort_data_according_length = lambda ids, mask: (ids, mask, torch.arange(len(ids)))


def plain(value: object) -> float | list[float]:
    """Returns a tensor or number as JSON knows it, in float64."""
    return torch.as_tensor(value, dtype=torch.float64).tolist()


def main() -> None:
    """Reads the items, runs the metrics, writes the values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path)
    parser.add_argument("values", type=Path)
    parser.add_argument("--metrics", required=True, help=f"comma between names of: {', '.join(METRICS)}")
    parser.add_argument("--sbert", help="folder of the sentence encoder")
    parser.add_argument("--bert", help="folder of the model for BERTScore")
    parser.add_argument("--checker", help="checkpoint of the error checker")
    parser.add_argument("--clap", help="JSON file of vectors")
    parser.add_argument("--sorted", action="store_true", help="leave torchmetrics' sorting as it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options)
        given = Input(options.items.read_text(encoding="utf-8").split("\n")[:-1], options)
        corpus, items = {}, {}
        for name in options.metrics.split(","):
            found_corpus, found_items = METRICS[name](given)
            corpus |= {key: plain(value) for key, value in found_corpus.items()}
            items |= {key: plain(value) for key, value in found_items.items()}
    content = {
        "corpus": corpus,
        "items": items,
        "words": {"candidates": given.candidate_words, "references": given.reference_words},
        "replaced": given.replaced,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    options.values.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
