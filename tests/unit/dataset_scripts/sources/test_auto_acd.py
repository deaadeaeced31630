"""Files of AudioCaps have the same names and columns: they are refused, not taken for Auto-ACD."""

from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import RecordError


def test_a_file_of_audiocaps_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("audiocap_id,youtube_id,start_time,caption\n1,aaaaaaaaaaa,30,A bell.\n")
    with pytest.raises(RecordError, match=r"test\.csv, line 1: the column `audiocap_id` says that this is a file of AudioCaps"):
        build("auto_acd", raw=tmp_path, out=tmp_path / "out")
