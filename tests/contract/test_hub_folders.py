"""The folders that `evaluate.load` reads are what metrics and tasks say, and there are no others."""

import pytest
from unified_audiocaps.evaluators import hub_files


@pytest.mark.parametrize("folder", hub_files.names())
def test_hub_folder_is_what_the_metric_or_task_says(folder):
    written = {
        path.name: path.read_text(encoding="utf-8") for path in (hub_files.HUB_FOLDER / folder).iterdir() if path.is_file()
    }
    assert written == hub_files.render(folder), "run `uac docs` to write evaluators/hub"


def test_no_hub_folder_without_metric_or_task():
    assert sorted(path.name for path in hub_files.HUB_FOLDER.iterdir() if path.is_dir()) == hub_files.names()
