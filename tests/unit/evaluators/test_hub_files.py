import ast

import pytest
import yaml
from unified_audiocaps.dataset_scripts.errors import UnknownNameError
from unified_audiocaps.evaluators import hub_files
from unified_audiocaps.evaluators.metric import METRICS


def test_writing_makes_a_folder_per_metric_and_task(tmp_path):
    written = hub_files.write(tmp_path)
    assert len(written) == sum(len(hub_files.render(name)) for name in hub_files.names())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*METRICS.names(), "classification", "distance", "retrieval"]
    )
    assert (tmp_path / "date" / "date.py").read_text(encoding="utf-8") == hub_files.render("date")["date.py"]


def test_a_metric_in_java_asks_its_space_for_java():
    files = hub_files.render("meteor")
    assert files["packages.txt"] == "default-jre-headless\n"
    assert files["requirements.txt"].startswith("unified-audiocaps[java]\n")
    assert "packages.txt" not in hub_files.render("bleu")


def test_header_of_the_space():
    _, header, text = hub_files.render("bleu")["README.md"].split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["sdk"] == "gradio"
    assert fields["app_file"] == "app.py"
    assert fields["tags"] == ["evaluate", "metric"]
    assert text.startswith("\n# BLEU-4\n")


@pytest.mark.parametrize("name", hub_files.names())
def test_one_import_per_line(name):
    """The library finds the imports of a module with a regular expression that misreads `import a, b`."""
    for statement in ast.walk(ast.parse(hub_files.render(name)[f"{name}.py"])):
        if isinstance(statement, ast.Import):
            assert len(statement.names) == 1


def test_a_space_installs_from_where_it_is_told():
    files = hub_files.render("retrieval", "my-lab", "git+https://x.org/y")
    assert files["requirements.txt"].startswith("unified-audiocaps @ git+https://x.org/y\n")
    assert 'evaluate.load("my-lab/retrieval")' in files["README.md"]
    assert hub_files.render("meteor", package="https://x.org/y.whl")["requirements.txt"].startswith("unified-audiocaps[java] @ h")


@pytest.mark.parametrize(("name", "close"), [("blue", "bleu"), ("retrival", "retrieval")])
def test_unknown_metric(name, close):
    with pytest.raises(UnknownNameError, match=f"no metric is called '{name}'. Did you mean {close}"):
        hub_files.render(name)
