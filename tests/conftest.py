"""Shared fixtures: offline by default, no home directory, real upstream files where they are at hand."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

# Set before anything imports huggingface_hub or torch: tests know no network but loopback.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# how long an example takes says nothing on a loaded machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() == "true"


def stop_without(reason: str) -> NoReturn:
    """Skips on a person's machine; fails where everything was promised to be there."""
    if IN_CI:
        pytest.fail(f"{reason} (CI runs every test)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str], NoReturn]:
    """What a test calls when a part that it needs is not on this machine."""
    return stop_without


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of real upstream files."""
    folder = Path(os.environ.get("UAC_REAL_DIR") or ROOT.parent / "shared" / "real")
    if not (folder / "MANIFEST.json").is_file():
        stop_without(f"no real upstream files at {folder}; set UAC_REAL_DIR to the folder that holds MANIFEST.json")
    return folder.resolve()


@pytest.fixture(scope="session")
def golden_dir(real_dir: Path) -> Path:
    """Reference outputs of the published tools, beside the real files."""
    folder = real_dir.parent / "golden"
    if not folder.is_dir():
        stop_without(f"no reference outputs at {folder}")
    return folder


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's caches."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("UAC_HOME", str(home / "uac"))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    for name in ("UAC_DB", "UAC_FILES", "UAC_DATA", "UAC_ENCODER", "UAC_CHECKER", "UAC_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="session")
def mecat_clips() -> Callable[[Path], Path]:
    """Writes a small MECAT test split in the publisher's files."""
    from .mecat_clips import write_mecat

    return write_mecat


@pytest.fixture(scope="session")
def options_for() -> Callable[..., Any]:
    """Returns what makes options in which all is there that a metric needs."""
    from .metric_options import options_for as make

    return make


@pytest.fixture(scope="session")
def tiny_clap() -> Callable[..., Path]:
    """Writes a CLAP model with few random weights into a folder."""
    from .tiny_clap import write_tiny_clap

    return write_tiny_clap


@pytest.fixture(scope="session")
def tiny_checker() -> Callable[..., Path]:
    """Writes an error checker with few weights, and its base, into a folder."""
    from .tiny_checker import write_tiny_checker

    return write_tiny_checker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server that waits for no disk."""
    from .postgres import binaries, cluster

    if binaries() is None:
        stop_without("no PostgreSQL under /usr/lib/postgresql")
    with cluster(is_durable=False) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Any) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres.create()
    yield url
    postgres.drop(url)
