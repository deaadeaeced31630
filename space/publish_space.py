"""Puts the hub on the Hugging Face Hub as a Space: the pages, the routes and a worker, as they run here.

The Space is a container, because the Hub installs the requirements of its other kinds before it copies the repository, where this
project's wheel could not be found, and installs packages of its own beside them. What is sent: the card, a `Dockerfile`, a small
`app.py`, the wheel of this checkout, and requirements that pin every package to what was tested. Nothing else is read, so no
token, database or file of a hub can get there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template

from ..dataset_scripts.errors import InputError, MissingRequirementError
from ..dataset_scripts.publish import send

TEMPLATES = Path(__file__).parent / "hub_space"
EXTRAS = "space,postgres"
PACKAGES = ("dataset_scripts", "evaluators", "leaderboard", "space")
SOURCE_FILES = ("pyproject.toml", "README.md", "LICENSE")
CONSTRAINTS = "constraints.txt"
OLDEST_SETUPTOOLS = 77
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_PIN = re.compile(r"^torch==(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class PublishedSpace:
    """A Space on the Hub.

    Attributes:
        repo_id: owner and name.
        commit: the commit that holds the files.
        files: their names.
        size_bytes: their size together.
    """

    repo_id: str
    commit: str
    files: tuple[str, ...]
    size_bytes: int


def publish_space(repo_id: str, *, dataset: str = "", private: bool = False, checkout: Path | None = None) -> PublishedSpace:
    """Uploads the Space, which is created when it is not there, and checks what arrived.

    Variables, secrets, storage and the hub's data there stay as they are; an older wheel goes.

    Args:
        repo_id: `owner/name` of the Space.
        dataset: dataset repository whose references the Space fetches; empty for none.
        private: create the Space for its owner alone.
        checkout: the project's folder; the one that this copy runs from by default.

    Raises:
        InputError: a repository's name is none, or there is no checkout.
        MissingRequirementError: no wheel could be built.
        OfflineError: HF_HUB_OFFLINE is set.
        AccessError: the Hub does not let this user write there.
        ChecksumError: what came back is not what was sent.
        FetchError: the network failed; call it again.
    """
    with tempfile.TemporaryDirectory(prefix="uac-space-") as name:
        folder = Path(name)
        files = {path.name: path for path in write_space(folder, repo_id, dataset=dataset, checkout=checkout)}
        message = f"unified-audiocaps {_version_of(files)}"
        commit = send(folder, repo_id, files, message=message, delete="*.whl", private=private, kind="space", sdk="docker")
        return PublishedSpace(repo_id, commit, tuple(files), sum(path.stat().st_size for path in files.values()))


def write_space(folder: Path, repo_id: str, *, dataset: str = "", checkout: Path | None = None) -> list[Path]:
    """Writes the files of the Space into a folder and returns their paths; sends nothing.

    Args:
        folder: where to; made where it is not there. It is empty, or holds a Space of an earlier call.
        repo_id: `owner/name` of the Space.
        dataset: dataset repository whose references the Space fetches; empty for none.
        checkout: the project's folder; the one that this copy runs from by default.

    Raises:
        InputError: a repository's name is none, there is no checkout, or the folder holds something else.
        MissingRequirementError: no wheel could be built.
    """
    _check_name("Space", repo_id, "my-lab/leaderboard")
    if dataset:
        _check_name("dataset", dataset, "my-lab/unified-audiocaps")
    source = find_checkout(checkout)
    if folder.is_dir() and (strange := [path.name for path in folder.iterdir() if not _is_ours(path)]):
        raise InputError(f"{folder} holds {', '.join(sorted(strange)[:5])}; expected an empty folder, or one of this command.")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.whl"):
        path.unlink()
    wheel = build_wheel(source, folder)
    constraints = (source / CONSTRAINTS).read_text(encoding="utf-8")
    torch = _PIN.search(constraints)
    if torch is None:
        raise InputError(f"{source / CONSTRAINTS} does not pin torch; expected a line torch==VERSION.")
    inserts = {"torch": torch[1], "wheel": wheel.name, "dataset": dataset}
    texts = {
        "README.md": _card(repo_id, dataset, wheel),
        "Dockerfile": _filled("Dockerfile", inserts),
        "app.py": _filled("app.py.txt", inserts),
        "requirements.txt": _requirements(torch[1], wheel),
        CONSTRAINTS: constraints,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*(folder / name for name in texts), wheel]


def find_checkout(checkout: Path | None = None) -> Path:
    """Returns the project's folder: the one given, else the one that this copy runs from.

    Raises:
        InputError: it is none.
    """
    folder = checkout or Path(__file__).resolve().parents[1]
    needed = [*SOURCE_FILES, CONSTRAINTS, *PACKAGES]
    if missing := [name for name in needed if not (folder / name).exists()]:
        if checkout is None:
            raise InputError(
                "this copy is installed without its source, of which the Space's wheel is built; say where a clone of the "
                "project lies: --checkout FOLDER."
            )
        raise InputError(f"{folder} is no clone of the project: {', '.join(missing)} is not there.")
    return folder


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Builds the project's wheel into a folder and returns its path.

    It is built from a copy, so that nothing is left in the checkout, and nothing that an earlier build left there gets in.

    Raises:
        MissingRequirementError: it could not be built.
    """
    with tempfile.TemporaryDirectory(prefix="uac-wheel-") as name:
        copy = Path(name)
        for file in SOURCE_FILES:
            shutil.copy(checkout / file, copy / file)
        for package in PACKAGES:
            shutil.copytree(checkout / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)]
        if _has_setuptools():  # else pip fetches it for the build
            command.insert(-1, "--no-build-isolation")
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # of our own words and paths
    wheels = sorted(folder.glob("unified_audiocaps-*.whl"))
    if done.returncode or not wheels:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise MissingRequirementError(
            "The project's wheel",
            f"It could not be built: {told[-1] if told else 'pip said nothing'}.",
            f'pip install "setuptools>={OLDEST_SETUPTOOLS}" wheel, then publish again.',
        )
    return wheels[-1]


def _has_setuptools() -> bool:
    try:
        return int(version("setuptools").partition(".")[0]) >= OLDEST_SETUPTOOLS
    except PackageNotFoundError:
        return False


def _check_name(kind: str, repo_id: str, example: str) -> None:
    if not _REPO.fullmatch(repo_id):
        raise InputError(f"the {kind} is called {repo_id!r}; expected OWNER/NAME, such as {example}.")


def _is_ours(path: Path) -> bool:
    names = {"README.md", "Dockerfile", "app.py", "requirements.txt", CONSTRAINTS}
    return path.name in names or (path.name.startswith("unified_audiocaps-") and path.suffix == ".whl")


def _version_of(files: dict[str, Path]) -> str:
    return next(name.split("-")[1] for name in files if name.endswith(".whl"))


def _filled(template: str, inserts: dict[str, str]) -> str:
    """Returns a template with `@name@` replaced; what shells and Python write `$` and `{` for stays as it is."""
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in inserts.items():
        text = text.replace(f"@{name}@", value)
    return text


def _card(repo_id: str, dataset: str, wheel: Path) -> str:
    owner, name = repo_id.split("/")
    more = "For others, publish their sets (`uac publish dataset`) and this Space with `--dataset OWNER/NAME`."
    if dataset:
        url = f"https://huggingface.co/datasets/{dataset}"
        more = f"Those that [{dataset}]({url}) holds the references of are open, too; a restart looks again."
    inserts = {
        "title": json.dumps(name.replace("-", " ").replace("_", " ").strip().capitalize(), ensure_ascii=False)[1:-1],
        "version": _version_of({wheel.name: wheel}),
        "repo_id": repo_id,
        "host": re.sub(r"[^a-z0-9]+", "-", f"{owner}-{name}".lower()) + ".hf.space",
        "references": more,
        "datasets": f"datasets:\n- {dataset}\n" if dataset else "",
    }
    return Template((TEMPLATES / "README.md").read_text(encoding="utf-8")).substitute(inserts)


def _requirements(torch: str, wheel: Path) -> str:
    return (
        "# What runs this Space: this project as it was when it was published, and the versions that it was tested with.\n"
        f"--constraint {CONSTRAINTS}\n"
        f"torch=={torch}\n"
        f"./{wheel.name}[{EXTRAS}]\n"
    )
