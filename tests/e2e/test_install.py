"""`load_dataset("unified-audiocaps", NAME)` from a folder that holds nothing."""

import pytest
from unified_audiocaps.dataset_scripts.builder import UnifiedAudioCaps
from unified_audiocaps.dataset_scripts.errors import InputError

from ..conftest import ROOT
from .conftest import python

LOAD = """
import json
from datasets import Audio, load_dataset
sample = load_dataset("unified-audiocaps", "sample").cast_column("audio", Audio(decode=False))
clotho = load_dataset("unified-audiocaps", "clotho", split="evaluation")
test = sample["test"]
print(json.dumps([sorted(sample), test.num_rows, len(test[0]["audio"]["bytes"]) > 1000, test.info.citation, clotho[0]["id"]]))
"""


def test_installed_data_loads_from_any_folder(uac, tmp_path):
    variables = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "UAC_HOME": str(tmp_path / "home")}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    uac("install", "sample", "--data", tmp_path / "nothing-built", **variables)
    uac("install", "clotho", "--raw", ROOT / "tests/fixtures/sources/clotho/raw", **variables)
    again = uac("install", "sample", "--data", tmp_path / "nothing-built", **variables)
    assert again.stdout.startswith("sample is installed: ")
    splits, n_rows, has_sound, citation, first = python(LOAD, variables, elsewhere)
    assert (splits, n_rows, has_sound) == (["test", "train"], 12, True)
    assert "unified-audiocaps" in citation
    assert first.startswith("clotho/evaluation/")


def test_builder_reads_what_load_dataset_reads(sample_data, tmp_path):
    from datasets import Audio

    builder = UnifiedAudioCaps(sample_data, "sample", cache_dir=str(tmp_path))
    builder.download_and_prepare()
    clips = builder.as_dataset(split="train").cast_column("audio", Audio(decode=False))
    assert clips.num_rows == 12
    assert clips[0]["id"].startswith("sample/train/")


def test_builder_names_the_command_for_what_is_not_built(tmp_path):
    with pytest.raises(InputError, match=r"clotho is not built in .*: uac build clotho \[--raw DIR\] --out"):
        UnifiedAudioCaps(tmp_path, "clotho")
