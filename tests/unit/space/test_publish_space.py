"""The folder of a Space: what is in it, what never is, and what its app does before it opens the hub."""

import logging
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError, OfflineError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.space import publish_space
from unified_audiocaps.space.publish_space import PACKAGES, SOURCE_FILES, build_wheel, find_checkout, write_space
from unified_audiocaps.space.references import fetch_references, prepare_references

from ...hub_double import faults_of_card
from .command_line import uac

ROOT = Path(__file__).resolve().parents[3]
REPO = "my-lab/audio-leaderboard"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Space as it is published."""
    where = tmp_path_factory.mktemp("written") / "space"
    write_space(where, REPO, dataset="my-lab/sets")
    return where


@pytest.fixture
def clone(tmp_path) -> Path:
    """A checkout with few modules, which builds in no time."""
    where = tmp_path / "clone"
    where.mkdir()
    for name in (*SOURCE_FILES, "constraints.txt"):
        shutil.copy(ROOT / name, where / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, where / name, ignore=shutil.ignore_patterns("__pycache__", "hub"))
    return where


# -- the files -------------------------------------------------------------------------------------------------------------------


def test_every_blank_is_filled_and_the_app_is_python(folder):
    for path in folder.iterdir():
        if path.suffix != ".whl":
            assert not re.search(r"@\w+@|\$[a-z_]+", path.read_text()), path.name
    compile((folder / "app.py").read_text(), "app.py", "exec")
    assert 'DATASET = "my-lab/sets"' in (folder / "app.py").read_text()
    (wheel,) = folder.glob("*.whl")
    assert f"constraints.txt {wheel.name} ./" in (folder / "Dockerfile").read_text()
    torch = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]
    assert torch in (folder / "Dockerfile").read_text() and torch in (folder / "requirements.txt").read_text().split("\n")


@pytest.mark.parametrize("repo", [REPO, "A/x", 'my-lab/0.5_"', "o/" + "long-" * 15])
def test_the_card_is_one_that_the_hub_takes(tmp_path, monkeypatch, repo):
    wheel = tmp_path / "unified_audiocaps-0.1.0-py3-none-any.whl"
    for dataset in ("", "my-lab/sets"):
        assert faults_of_card(publish_space._card(repo, dataset, wheel), "space") == []


def test_the_card_explains_settings_that_exist(folder):
    text = (folder / "README.md").read_text() + (folder / "app.py").read_text()
    known = {f"UAC_{name.upper()}" for name in Settings.__dataclass_fields__}
    named = set(re.findall(r"UAC_[A-Z_]+", text))
    assert {"UAC_ADMINS", "UAC_MIRROR", "UAC_DB"} <= named <= known
    for word in ("`/data`", "HF_TOKEN", "Settings, Variables and secrets", "https://my-lab-audio-leaderboard.hf.space"):
        assert word in text


def test_stray_files_of_a_checkout_are_not_sent(clone, tmp_path):
    strays = ["hub.db", ".env", "token", "space/hub.db", "space/.env", "space/api/private.jsonl", "leaderboard/files/ab.jsonl"]
    strays += ["build/lib/unified_audiocaps/space/old.py", "unified-audiocaps-hub/hub.db"]
    for name in strays:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("hf_secret")
    before = sorted(clone.rglob("*"))
    written = write_space(tmp_path / "space", REPO, checkout=clone)
    names = set(zipfile.ZipFile(written[-1]).namelist())
    assert "unified_audiocaps/space/app.py" in names
    assert not [name for name in names if Path(name).name in {Path(stray).name for stray in strays}]
    assert sorted(clone.rglob("*")) == before, "something was left in the checkout"


def test_writing_again_replaces_what_was_written_and_touches_nothing_else(clone, tmp_path):
    where = tmp_path / "space"
    where.mkdir()
    (where / "unified_audiocaps-0.0.1-py3-none-any.whl").write_bytes(b"an older one")
    written = write_space(where, REPO, checkout=clone)
    assert sorted(where.iterdir()) == sorted(written)
    (where / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"space holds thesis\.txt; expected an empty folder"):
        write_space(where, REPO, checkout=clone)
    assert (where / "thesis.txt").read_text() == "mine"


# -- what is refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repo", ["leaderboard", "a/b/c", "/x", "my lab/x", "my-lab/", "../x"])
def test_a_name_that_is_none_is_refused_before_anything_is_built(tmp_path, repo):
    with pytest.raises(InputError, match=r"the Space is called .*; expected OWNER/NAME, such as my-lab/leaderboard"):
        write_space(tmp_path / "space", repo)
    with pytest.raises(InputError, match="the dataset is called"):
        write_space(tmp_path / "space", REPO, dataset=repo)
    assert not (tmp_path / "space").exists()


def test_an_installed_copy_asks_for_a_clone(tmp_path, monkeypatch):
    monkeypatch.setattr(publish_space, "__file__", str(tmp_path / "site-packages/unified_audiocaps/space/publish_space.py"))
    with pytest.raises(InputError, match=r"installed without its source.*--checkout FOLDER"):
        find_checkout()
    with pytest.raises(InputError, match=r"is no clone of the project: pyproject.toml, README.md"):
        find_checkout(tmp_path)
    assert find_checkout(ROOT) == ROOT


def test_a_wheel_that_cannot_be_built_says_why(clone, tmp_path):
    (clone / "pyproject.toml").write_text("[project\n")
    with pytest.raises(MissingRequirementError, match=r"could not be built: .*pip install \"setuptools>=77\""):
        build_wheel(clone, tmp_path)


def test_constraints_without_torch_are_refused(clone, tmp_path):
    (clone / "constraints.txt").write_text("gradio==6.31.0\n")
    with pytest.raises(InputError, match="does not pin torch"):
        write_space(tmp_path / "space", REPO, checkout=clone)


def test_the_command_writes_a_folder_without_the_network(tmp_path):
    told = uac("publish", "space", "--repo", REPO, "--to", tmp_path / "space").output
    assert f"written: {tmp_path / 'space' / 'app.py'}" in told


def test_sending_needs_the_network():
    with pytest.raises(OfflineError, match="publishing needs the network"):
        publish_space.publish_space(REPO)


# -- the app ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(folder, monkeypatch) -> dict:
    """The names of app.py, which does nothing by itself when it is imported, as a worker's process does."""
    for name in ("UAC_HOME", "UAC_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    names = {"__name__": "app"}
    exec(compile((folder / "app.py").read_text(), "app.py", "exec"), names)
    return names


def test_the_storage_is_used_where_it_can_be_written(app, tmp_path, caplog):
    app["STORAGE"] = tmp_path
    assert app["place"]() == tmp_path
    assert "NOTHING WILL BE KEPT" not in caplog.text


def test_without_storage_a_warning_says_what_to_do(app, tmp_path, caplog):
    app["STORAGE"] = tmp_path / "nowhere"
    where = app["place"]()
    assert where.is_dir() and where != app["STORAGE"]
    assert "NOTHING WILL BE KEPT" in caplog.text and "UAC_MIRROR" in caplog.text


def test_with_a_mirror_the_warning_says_where_the_hub_comes_from(app, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("UAC_MIRROR", "my-lab/mirror")
    app["STORAGE"] = tmp_path / "nowhere"
    app["place"]()
    assert "each start fetches the hub from my-lab/mirror" in caplog.text
    assert "NOTHING WILL BE KEPT" not in caplog.text


def test_a_home_that_was_named_counts(app, tmp_path, monkeypatch):
    monkeypatch.setenv("UAC_HOME", str(tmp_path / "mine"))
    assert app["place"]() == tmp_path / "mine"


# -- the references --------------------------------------------------------------------------------------------------------------


def test_the_sample_is_built_and_what_cannot_be_fetched_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert prepare_references(tmp_path / "unified-audiocaps", "my-lab/sets") == ["sample"]
    assert "no references from my-lab/sets: my-lab/sets is on the Hub and HF_HUB_OFFLINE is set" in caplog.text
    assert prepare_references(tmp_path / "unified-audiocaps") == ["sample"]


def test_fetching_needs_the_network(tmp_path):
    with pytest.raises(OfflineError, match="unset it"):
        fetch_references("my-lab/sets", tmp_path)
