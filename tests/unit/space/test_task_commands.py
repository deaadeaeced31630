"""`uac retrieval`, `classify`, `agreement` and `distance`, run in this process on files."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.evaluators.tasks.classification import accuracy_from_scores, average_precision
from unified_audiocaps.evaluators.tasks.distribution import category_distances, frechet_distance, inception_score, kl_divergence
from unified_audiocaps.evaluators.tasks.retrieval import retrieve

from .command_line import uac

RANDOM = np.random.default_rng(3)
AUDIO = RANDOM.normal(size=(20, 6))
OWNER = np.repeat(np.arange(20), 3)
TEXT = AUDIO[OWNER] + RANDOM.normal(size=(60, 6))


def rows(told: str) -> dict[str, list[str]]:
    """Returns the cells of a table's rows by their first one."""
    return {line.split("  ")[0]: line.split()[len(line.split("  ")[0].split()) :] for line in told.splitlines() if line}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("text.npy", TEXT)
    np.save("audio.npy", AUDIO)
    np.save("owner.npy", OWNER)
    return tmp_path


def test_retrieval_both_ways(here):
    done = uac(
        "retrieval", "text.npy", "audio.npy", "--clip-of", "owner.npy", "--model", "m", "--json", "r.json", "--per-item", "q.csv"
    )
    both = retrieve(TEXT, AUDIO, OWNER, model="m")
    assert json.loads(Path("r.json").read_text())["results"] == [one.to_json() for one in both]
    table = rows(done.stdout)
    assert table["R@5"] == [f"{one.recall(5):.6f}" for one in both]
    assert table["median rank"] == [f"{one.median_rank:g}" for one in both]
    assert table["mAP@10"] == [f"{one.map_10:.6f}" for one in both]
    assert all(str(one.signature) in done.stdout for one in both)
    with Path("q.csv").open() as stream:
        items = list(csv.DictReader(stream))
    assert [float(one["rank"]) for one in items] == [*both[0].ranks, *both[1].ranks]
    assert [one["clip"] for one in items] == [str(one) for one in [*OWNER, *range(20)]]


def test_retrieval_intervals_enclose_means(here):
    command = (
        "retrieval",
        "text.npy",
        "audio.npy",
        "--clip-of",
        "owner.npy",
        "--interval",
        "--resamples",
        200,
        "--json",
        "r.json",
    )
    told = uac(*command).stdout
    assert told.splitlines()[:7] == uac(*command).stdout.splitlines()[:7]
    for one in json.loads(Path("r.json").read_text())["results"]:
        assert set(one["intervals"]) == {"r_1", "r_5", "r_10", "rank", "ap_10"}
        bounds = one["intervals"]["r_1"]
        assert bounds["low"] < one["r_1"] < bounds["high"]
    assert "95 % INTERVAL" in told
    assert rows(told)["median rank"] == [f"{one.median_rank:g}" for one in retrieve(TEXT, AUDIO, OWNER)]


def test_retrieval_by_ids_and_by_scores(here):
    Path("clips.txt").write_text("".join(f"clip-{i}\n" for i in range(20)))
    Path("owner.csv").write_text("caption,clip\n" + "".join(f"{i},clip-{one}\n" for i, one in enumerate(OWNER)))
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (TEXT, AUDIO)]
    np.savez("scores.npz", unit[0] @ unit[1].T)
    by_ids = uac(
        "retrieval", "text.npy", "audio.npy", "--clip-of", "owner.csv", "--clips", "clips.txt", "--per-item", "q.parquet"
    )
    by_scores = uac("retrieval", "--scores", "scores.npz", "--clip-of", "owner.npy")
    assert by_ids.stdout.splitlines()[:7] == by_scores.stdout.splitlines()[:7]
    assert pyarrow.parquet.read_table("q.parquet")["clip"][0].as_py() == "clip-0"
    with pytest.raises(InputError, match="add --clips"):
        uac("retrieval", "text.npy", "audio.npy", "--clip-of", "owner.csv")


def test_retrieval_says_what_is_missing(here):
    for arguments, message in {
        (): "expected TEXT and AUDIO",
        ("text.npy",): "expected TEXT and AUDIO",
        ("text.npy", "audio.npy", "--scores", "s.npy"): "expected TEXT and AUDIO",
        ("text.npy", "audio.npy"): "no --clip-of",
        ("text.npy", "audio.npy", "--clip-of", "owner.npy", "--level", "0.9"): "add --interval",
        ("text.npy", "audio.npy", "--clip-of", "owner.npy", "--per-item", "q.txt"): "ends in .csv or .parquet",
        ("audio.npy", "text.npy", "--clip-of", "owner.npy"): "expected one clip per caption",
    }.items():
        with pytest.raises(InputError, match=message):
            uac("retrieval", *arguments)


def test_classify_scores(here):
    scores = RANDOM.normal(size=(30, 3)).astype(np.float32)
    targets = RANDOM.integers(3, size=30)
    names = ["dog", "rain", "bell"]
    np.save("scores.npy", scores)
    np.save("targets.npy", targets)
    Path("names.txt").write_text("\n".join(names))
    Path("labels.csv").write_text("label\n" + "".join(f"{names[one]}\n" for one in targets))
    command = ("classify", "scores.npy", "--model", "m")
    by_place = uac(*command, "--labels", "targets.npy", "--json", "c.json")
    by_name = uac(*command, "--labels", "labels.csv", "--classes", "names.txt", "--per-class", "p.csv", "--per-item", "i.csv")
    assert by_place.stdout.splitlines()[:4] == by_name.stdout.splitlines()[:4]
    single, tagging = accuracy_from_scores(targets, scores, model="m"), average_precision(np.eye(3)[targets], scores, model="m")
    report = json.loads(Path("c.json").read_text())
    assert report["classification"] == single.to_json()
    assert report["tagging"] == tagging.to_json()
    assert rows(by_name.stdout)["mAP"][0] == f"{tagging.map:.6f}"
    with Path("p.csv").open() as stream:
        assert [(one["class"], float(one["accuracy"])) for one in csv.DictReader(stream)] == [
            *zip(names, single.per_class.tolist(), strict=True)
        ]
    with Path("i.csv").open() as stream:
        assert [one["predicted"] for one in csv.DictReader(stream)] == [names[one] for one in scores.argmax(axis=1)]
    with pytest.raises(InputError, match="add --classes"):
        uac(*command, "--labels", "labels.csv")
    with pytest.raises(InputError, match="are for texts"):
        uac(*command, "--labels", "targets.npy", "--template", "{}")
    told = uac(*command, "--labels", "targets.npy", "--interval", "--resamples", 200).stdout
    low, high = rows(told)["accuracy"][1:3]
    assert float(low.strip("[,")) < single.accuracy < float(high.strip("]"))


def test_classify_several_labels(here):
    scores = RANDOM.normal(size=(12, 3))
    targets = RANDOM.random((12, 3)) < 0.5
    targets[:, 0] = True
    np.save("scores.npy", scores)
    np.save("targets.npy", targets)
    Path("labels.csv").write_text("label\n" + "".join(";".join(str(i) for i in np.flatnonzero(one)) + "\n" for one in targets))
    told = [
        uac("classify", "scores.npy", "--labels", *labels).stdout
        for labels in (("targets.npy",), ("labels.csv", "--separator", ";"))
    ]
    assert told[0].splitlines()[:2] == told[1].splitlines()[:2]
    assert "accuracy" not in rows(told[0])
    assert rows(told[0])["mAP"][0] == f"{average_precision(targets, scores).map:.6f}"


def test_classify_texts(here):
    texts = {"1": "A dog barks at night.", "2": "It is raining hard.", "3": "A dog is barking."}
    Path("said.jsonl").write_text("".join(json.dumps({"id": i, "caption": text}) + "\n" for i, text in texts.items()))
    Path("labels.csv").write_text("id,label\n2,rain\n1,dog\n3,rain\n")
    done = uac("classify", "said.jsonl", "--labels", "labels.csv", "--device", "cpu", "--per-item", "i.csv")
    assert rows(done.stdout)["accuracy"][0] == "0.666667"
    assert "template:the sound of {}" in done.stdout
    with Path("i.csv").open() as stream:
        found = {one["id"]: (one["predicted"], one["label"]) for one in csv.DictReader(stream)}
    assert found == {"1": ("dog", "dog"), "2": ("rain", "rain"), "3": ("dog", "rain")}
    Path("labels.csv").write_text("id,label\n1,dog\n9,rain\n")
    with pytest.raises(InputError, match=r"(?s)same ids.*'9' has a label but no text.*'2' has a text but no label"):
        uac("classify", "said.jsonl", "--labels", "labels.csv")


def test_labels_that_are_no_classes_are_named(here):
    np.save("scores.npy", np.eye(2))
    Path("names.txt").write_text("dog\nrain\n")
    Path("labels.txt").write_text("dog\ncat\n")
    with pytest.raises(InputError, match=r"(?s)no classes.*row 2: no class is called 'cat'"):
        uac("classify", "scores.npy", "--labels", "labels.txt", "--classes", "names.txt")


def test_agreement(here):
    Path("r.csv").write_text("id,rater,rating\na,x,1\na,y,1\nb,x,1\nb,y,2\nb,z,2\nc,x,5\n")
    done = uac("agreement", "r.csv")
    assert rows(done.stdout)["all raters of an item"] == ["2", "0.5000"]
    assert "items with one rating, left out: 1" in done.stderr
    assert json.loads(uac("agreement", "r.csv", "--json").stdout)["pairwise"] == 0.5
    with pytest.raises(UnknownNameError, match="nominal"):
        uac("agreement", "r.csv", "--alpha", "nominl")


def test_distances(here):
    real, fake = RANDOM.random((40, 4)), RANDOM.random((40, 4))
    real, fake = (one / one.sum(axis=1, keepdims=True) for one in (real, fake))
    np.save("real.npy", real)
    np.save("fake.npy", fake)
    Path("labels.txt").write_text("".join(f"{'abc'[i % 3]}\n" for i in range(40)))
    for command, result in {
        ("fad", "real.npy", "fake.npy"): frechet_distance(real, fake, model="m"),
        ("fd", "real.npy", "fake.npy"): frechet_distance(real, fake, model="m"),
        ("kl", "real.npy", "fake.npy"): kl_divergence(real, fake, model="m"),
        ("kl", "real.npy", "fake.npy", "--epsilon", 0): kl_divergence(real, fake, epsilon=0, model="m"),
        ("is", "fake.npy"): inception_score(fake, model="m"),
        ("is", "fake.npy", "--splits", 2, "--seed", 1): inception_score(fake, splits=2, seed=1, model="m"),
    }.items():
        told = uac("distance", *command, "--model", "m", "--json", "d.json").stdout
        assert json.loads(Path("d.json").read_text()) == result.to_json()
        assert rows(told)[result.metric] == [f"{result.score:.6f}"]
        assert str(result.signature) in told
    uac("distance", "kl", "real.npy", "fake.npy", "--per-item", "k.parquet")
    assert pyarrow.parquet.read_table("k.parquet")["kl_divergence"].to_pylist() == kl_divergence(real, fake).per_item.tolist()
    told = uac("distance", "categories", "real.npy", "--labels", "labels.txt", "--per-category", "c.csv").stdout
    found = category_distances(real, ["abc"[i % 3] for i in range(40)])
    assert rows(told)["within categories"] == [f"{found.intra:.6f}"]
    assert rows(told)["between categories"] == [f"{found.inter:.6f}"]
    with Path("c.csv").open() as stream:
        assert [(one["category"], one["items"], float(one["within"])) for one in csv.DictReader(stream)] == [
            (name, str(n), within) for name, n, within in zip("abc", (14, 13, 13), found.within.tolist(), strict=True)
        ]


def test_few_embeddings_are_warned_about(here):
    np.save("few.npy", RANDOM.normal(size=(3, 8)))
    assert "warning: reference has 3 embeddings of 8 dimensions" in uac("distance", "fad", "few.npy", "few.npy").stderr
