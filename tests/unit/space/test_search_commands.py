"""`uac index` and `uac search`, run in this process on the sample."""

import json
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.space.search import store

from .command_line import uac


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    build("sample", out=folder)
    return folder


def test_captions_are_found_and_shown(data):
    told = uac("search", "sample", "birds chirp", "--data", data, "--limit", 1)
    first, second, last = told.stdout.splitlines()
    assert first.startswith("1. ") and "bird" in first.lower()
    assert second.split()[0].startswith("sample/") and second.split()[1] == "default"
    assert last.startswith("1 to 1 of ") and "captions (" in last
    later = uac("search", "sample", "birds chirp", "--data", data, "--limit", 1, "--offset", 1).stdout
    assert later.startswith("2. ")


def test_words_that_no_caption_has_together_are_told(data):
    told = uac("search", "sample", "rain unicorn", "--data", data)
    assert told.stderr == "no caption has all of these words; these have some of them.\n"
    none = uac("search", "sample", "unicorn", "--data", data)
    assert (none.stdout.partition(" (")[0], none.stderr) == ("0 captions", "")


def test_json_has_all_that_a_page_needs(data):
    told = json.loads(uac("search", "sample", "rain", "--split", "test", "--data", data, "--json").stdout)
    assert (told["set"], told["query"], told["by"], told["has_all_words"]) == ("sample/test", "rain", "words", True)
    assert told["total"] == len(told["hits"]) > 0
    for hit in told["hits"]:
        assert hit["split"] == "test" and hit["shard"].startswith("test-") and hit["style"] == "default"
        assert all(hit["caption"][begin:end].lower().startswith("rain") for begin, end in hit["marks"])


def test_meaning_is_searched_after_it_was_indexed(data, monkeypatch):
    monkeypatch.setattr(store, "SMALL_ROWS", 0)
    monkeypatch.setattr(store, "SMALL_CAPTIONS", 0)
    monkeypatch.setattr(store, "_KEPT", store._Kept())
    with pytest.raises(InputError, match=r"sample has 24 rows and no index; `uac index sample --data "):
        uac("search", "sample", "dog", "--data", data)
    told = uac("index", "sample", "--data", data).stdout
    assert told.startswith("sample: 120 captions of 24 rows indexed\n  ") and " MB, " in told
    told = uac("index", "sample", "--meaning", "--device", "cpu", "--data", data).stdout
    assert told.startswith("sample: the index of 120 captions of 24 rows is up to date\n  120 of them by meaning\n")
    assert "120 of them by meaning, 120 of them before" in uac("index", "sample", "--meaning", "--data", data).stdout
    assert "indexed" in uac("index", "sample", "--force", "--data", data).stdout
    found = uac("search", "sample", "a storm", "--meaning", "--limit", 1, "--data", data).stdout
    assert "rain_thunder" in found and found.splitlines()[-1].startswith("1 to 1 of 120 captions")


def test_filters_and_no_query_list_captions(data):
    told = uac("search", "sample", "--style", "default", "--limit", 2, "--data", data).stdout
    assert told.splitlines()[-1].startswith("1 to 2 of 120 captions")
    assert told.startswith("1. ")


@pytest.mark.parametrize(
    ("command", "example"), [("index", "uac index wavcaps --meaning"), ("search", 'uac search sample "rain')]
)
def test_help_has_an_example(command, example):
    assert f"Example: {example}" in " ".join(uac(command, "--help").stdout.split())


def test_wrong_use_is_told(data):
    with pytest.raises(InputError, match="the split is given twice"):
        uac("search", "sample/test", "dog", "--split", "train", "--data", data)
    with pytest.raises(UnknownNameError, match="no style of sample is called 'loud'"):
        uac("search", "sample", "dog", "--style", "loud", "--data", data)
    with pytest.raises(UnknownNameError, match="no overlap is called 'maybe'"):
        uac("search", "sample", "dog", "--overlap", "maybe", "--data", data)
    with pytest.raises(InputError, match="has the tag 'unicorn'"):
        uac("search", "sample", "dog", "--tag", "unicorn", "--data", data)
    with pytest.raises(InputError, match="is not in"):
        uac("index", "clotho", "--data", data)
