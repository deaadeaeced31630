import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.space import docs
from unified_audiocaps.space.cli import command_summaries


def test_generated_files_are_up_to_date(project_root):
    assert docs.write_docs(project_root, command_summaries(), check=True) == []


def test_a_folder_that_is_not_the_project_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not the project's folder"):
        docs.write_docs(tmp_path, command_summaries())


def test_a_missing_marker_is_named(tmp_path):
    (tmp_path / "evaluators").mkdir()
    (tmp_path / "README.md").write_text("no tables here")
    with pytest.raises(InputError, match="0 places for the table 'sources'"):
        docs.write_docs(tmp_path, command_summaries())


def test_tables_are_replaced_and_the_prose_is_kept(project_root, tmp_path):
    text = (project_root / "README.md").read_text(encoding="utf-8")
    (tmp_path / "evaluators").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text(text.replace("| `cider_d` |", "| `stale` |"), encoding="utf-8")
    assert readme in docs.write_docs(tmp_path, command_summaries())
    assert readme.read_text(encoding="utf-8") == text
    assert docs.write_docs(tmp_path, command_summaries(), check=True) == []
