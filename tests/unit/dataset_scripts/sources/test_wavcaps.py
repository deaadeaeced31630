"""The publisher's lists of clips to leave out: tags on the clips, a warning for the rest."""

import json
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import RecordError


def write(folder: Path, listed: object) -> None:
    clips = [{"id": str(i), "caption": "A bell.", "duration": 1.5, "audio": "wav_path"} for i in range(3)]
    (folder / "fsd_final.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": clips}))
    (folder / "blacklist_exclude_test_ac.json").write_text(json.dumps(listed))


def test_entries_that_name_no_clip_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {"AudioSet": [], "FreeSound": ["1", "7", "1", "Not found"]})
    report = build("wavcaps", raw=tmp_path, out=tmp_path / "out")
    assert report.warnings == ["blacklist_exclude_test_ac.json: 2 of 3 entries name no clip of FreeSound"]
    assert report.statistics["total"]["tags"] == 1


def test_a_list_of_another_form_stops_the_build(tmp_path: Path) -> None:
    write(tmp_path, {"FreeSound": [1]})
    with pytest.raises(
        RecordError, match=r"blacklist_exclude_test_ac\.json: .*expected one object with a list of ids 'FreeSound'"
    ):
        build("wavcaps", raw=tmp_path, out=tmp_path / "out")
