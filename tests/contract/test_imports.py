"""Who may import whom, read from every module's syntax tree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dataset_scripts", "evaluators", "leaderboard", "space")
BASE = {"atomic", "download", "errors", "settings", "registry", "progress"}
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / "evaluators" / "hub") and not path.is_relative_to(ROOT / "leaderboard/storage/migrations")
)


def imported(path: Path) -> list[tuple[str, bool]]:
    """Returns (absolute dotted name inside the project or outside, is it at module level)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[str, bool]] = []
    package = list(path.relative_to(ROOT).parts[:-1])

    def visit(node: ast.AST, is_top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, is_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                if child.level:
                    parts = package[: len(package) - child.level + 1] + (child.module.split(".") if child.module else [])
                    found.extend((".".join([*parts, alias.name]), is_top) for alias in child.names)
                else:
                    found.append((child.module or "", is_top))
            is_guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            visit(child, is_top and not is_guard and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(tree, True)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_what_its_place_allows(path: Path) -> None:
    folder, *rest = path.relative_to(ROOT).parts
    allowed = FOLDERS[: FOLDERS.index(folder) + 1]
    for name, is_top in imported(path):
        first, _, tail = name.partition(".")
        assert not name.startswith("unified_audiocaps"), f"{path}: import {name} relatively"
        if first in FOLDERS:
            assert first in allowed, f"{path} imports {name}: {folder} may only import {allowed}"
            if folder == "evaluators" and first == "dataset_scripts":
                allowed_there = tail.split(".")[0] in BASE or tail.startswith("sound.samples.")
                assert allowed_there, f"{path} imports {name}: evaluators may use only {sorted(BASE)} and sound.samples of it"
        if first in {"gradio", "fastapi", "typer", "uvicorn"}:
            assert folder == "space", f"{path} imports {name}: only space/ knows it"
        if first in {"sqlalchemy", "psycopg", "sqlite3", "alembic"}:
            assert (folder, rest[0]) == ("leaderboard", "storage"), f"{path} imports {name}: only leaderboard/storage knows it"
        # builder.py is a class of `datasets`: who imports it wants that package
        if first in {"torch", "evaluate", "sentence_transformers", "transformers", "datasets"} and path.name != "builder.py":
            assert not is_top, f"{path} imports {name} at module level: import it where it is used"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_settings_reads_the_environment(path: Path) -> None:
    if path.name != "settings.py":
        assert not re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8")), f"{path}: read UAC_* in settings.py"


@pytest.mark.parametrize("module", ["evaluators", "evaluators.score", "dataset_scripts", "leaderboard.hub", "space.cli"])
def test_importing_loads_nothing_slow(module: str) -> None:
    slow = ("torch", "evaluate", "datasets", "sentence_transformers", "transformers", "gradio")
    code = f"import sys, unified_audiocaps.{module}\nprint([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
