"""Files are found by their header; what else lies there is listed."""

from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError


def test_other_layouts_are_listed(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("freesound_id,license\n1,CC0\n")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"Found there: meta\.csv \(freesound_id, license\); notes\.txt\."):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bbc.csv").write_text("url,caption1\nu,A bell.\n")
    with pytest.raises(InputError, match=r"a/bbc\.csv and b/bbc\.csv have the same name"):
        build("laion_audio_630k", raw=tmp_path, out=tmp_path / "out")


def test_without_a_folder_it_says_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"uac build laion_audio_630k --raw DIR"):
        build("laion_audio_630k")
