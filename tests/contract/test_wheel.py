"""What an installed copy consists of."""

import subprocess
import sys
import zipfile
from pathlib import Path

FOLDERS = ("dataset_scripts", "evaluators", "leaderboard", "space")


def test_wheel_holds_our_modules_and_nothing_else(project_root: Path, tmp_path: Path) -> None:
    # built from a copy, so that no build/ folder is left in the tree
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=project_root, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if (project_root / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((project_root / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "out"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert all(name.startswith("unified_audiocaps/") for name in inside), sorted(inside)
    assert not any("test" in Path(name).parts for name in inside)
    wanted = {
        f"unified_audiocaps/{path.relative_to(project_root)}"
        for folder in FOLDERS
        for path in (project_root / folder).rglob("*.py")
        if not path.is_relative_to(project_root / "evaluators" / "hub")
    }
    assert wanted <= inside
    assert "unified_audiocaps/dataset_scripts/cards/sample.md" in inside
    assert "unified_audiocaps/dataset_scripts/recipes/wavcaps_zero_shot.yaml" in inside
    assert "unified_audiocaps/evaluators/tasks/meta_results.json" in inside
    assert "unified_audiocaps/space/examples/tag-template.jsonl" in inside
