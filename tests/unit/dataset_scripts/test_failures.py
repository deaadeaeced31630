"""Kills, full disks and two builds at once: the old data stay, nothing half-written loads, the next call finishes the work."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build, built_configs
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.engine import shards
from unified_audiocaps.dataset_scripts.errors import StorageError

STAGES = {
    "inside a part": "shards.write = kill",
    "between two parts": "first = parts.build_part\n"
    "def build_part(*a):\n    parts.build_part = kill\n    first(*a)\n"
    "parts.build_part = build_part",
    "before the swap": "atomic.replace_folder = kill",
    "inside the swap": "rename = pathlib.Path.rename\n"
    "pathlib.Path.rename = lambda self, to: kill() if self.name == 'config' else rename(self, to)",
    "before the card": "target.write_readme = kill",
}
CHILD = """
import os, pathlib, signal, sys
from unified_audiocaps.dataset_scripts import atomic, build as B
from unified_audiocaps.dataset_scripts.engine import parts, shards, target
def kill(*_a, **_k):
    os.kill(os.getpid(), signal.SIGKILL)
{change}
B.build("wavcaps", raw=pathlib.Path(sys.argv[1]), out=pathlib.Path(sys.argv[2]))
"""


def wavcaps(folder: Path, version: str) -> Path:
    """Writes two subsets whose texts say which version they are."""
    for name, n in (("as_final.json", 5), ("sb_final.json", 4)):
        records = [{"id": f"{i}", "caption": f"{version} {i}", "audio": "wav_path", "duration": 1.5} for i in range(n)]
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps({"num_captions_per_audio": 1, "data": records}))
    return folder


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)


def files_of(data: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and ".uac" not in path.parts
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    build("wavcaps", raw=wavcaps(folder / "raw", "new"), out=folder / "out")
    return files_of(folder / "out")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("has_old", [False, True], ids=["first build", "rebuild"])
def test_a_kill_at_any_stage_is_made_good_by_the_next_call(
    stage: str, has_old: bool, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    if has_old:
        build("wavcaps", raw=wavcaps(tmp_path / "old", "old"), out=out)
    raw = wavcaps(tmp_path / "raw", "new")
    killed = child(CHILD.format(change=STAGES[stage]), raw, out)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if built_configs(out):  # whatever is there is whole
        captions = built_set("wavcaps/train", out).table(["caption"])["caption"].to_pylist()
        assert len(captions) == 9
        assert len({caption.split()[0] for caption in captions}) == 1
    else:
        assert not has_old or stage == "inside the swap"
    build("wavcaps", raw=raw, out=out)
    assert files_of(out) == undisturbed
    assert sorted(path.name for path in (out / ".uac").iterdir()) == ["readme.lock", "wavcaps.lock"]


def test_finished_parts_are_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = wavcaps(tmp_path / "raw", "new"), tmp_path / "out"
    child(CHILD.format(change=STAGES["between two parts"]), raw, out)
    built: list[str] = []
    from unified_audiocaps.dataset_scripts.engine import parts as module

    build_part = module.build_part
    monkeypatch.setattr(module, "build_part", lambda *a: (built.append(a[1].subset), build_part(*a)))
    build("wavcaps", raw=raw, out=out)
    assert built == ["SoundBible"]


def test_finished_shards_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "from unified_audiocaps.dataset_scripts.sources.wavcaps import WavCaps\n"
    small += "WavCaps.row_group_rows, shards.ROW_GROUPS_PER_SHARD = 1, 2\n"
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.sources.wavcaps.WavCaps.row_group_rows", 1)
    monkeypatch.setattr(shards, "ROW_GROUPS_PER_SHARD", 2)
    raw = tmp_path / "raw"
    raw.mkdir()
    records = [{"id": f"{i % 6}", "caption": f"new {i}", "audio": "wav_path", "duration": 1.5} for i in range(9)]
    (raw / "sb_final.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": records}))
    build("wavcaps", raw=raw, out=tmp_path / "undisturbed")
    kill = """
import time
first = shards.write
def write(tables, path):
    if path.stem.endswith(".2"):
        while not all(path.with_name(path.stem[:-1] + number + ".json").exists() for number in "01"):
            time.sleep(0.01)  # shards are written side by side
        kill()
    return first(tables, path)
shards.write = write
"""
    killed = child(CHILD.format(change=small + kill), raw, tmp_path / "out")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    written: list[str] = []
    write = shards.write
    monkeypatch.setattr(shards, "write", lambda tables, path: (written.append(path.stem[-1]), write(tables, path))[1])
    report = build("wavcaps", raw=raw, out=tmp_path / "out")
    assert written == ["2"]
    assert (report.rows, report.dropped) == ({"train": 6}, {"duplicate_id": 3})
    assert files_of(tmp_path / "out") == files_of(tmp_path / "undisturbed")


def test_a_kill_at_a_random_moment(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    raw, out = wavcaps(tmp_path / "raw", "new"), tmp_path / "out"
    code = CHILD.format(change="print('go', flush=True)")
    for delay_s in (0.0, 0.01, 0.03):
        with subprocess.Popen([sys.executable, "-c", code, str(raw), str(out)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
    build("wavcaps", raw=raw, out=out)
    assert files_of(out) == undisturbed


def test_a_file_size_limit_is_a_clear_error(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build("wavcaps", raw=wavcaps(tmp_path / "raw", "new"), out=out)
    before = files_of(out)
    code = f"""
import pathlib, resource
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
try:
    build("sample", out=pathlib.Path({str(out)!r}))
except StorageError as error:
    print(error)
"""
    done = child(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"no room to write to {out} (File too large); free some space, or choose another place with --out"
    )
    assert "What was built before is untouched." in done.stdout
    assert files_of(out) == before
    assert build("sample", out=out).rows == {"train": 12, "test": 12}


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        with pytest.raises(StorageError, match=r"no room to write to .*No space left on device"):
            build("sample", out=disk / "out")
        assert built_configs(disk / "out") == []
        assert not (disk / "out/README.md").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot work in .* \(Not a directory\); make it readable and writable"):
        build("sample", out=tmp_path / "file" / "out")


def test_two_builds_at_the_same_time_both_appear(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    raw, out = wavcaps(tmp_path / "raw", "new"), tmp_path / "out"
    code = "import sys, pathlib\nfrom unified_audiocaps.dataset_scripts.build import build\nraw, out, name = sys.argv[1:]\n"
    code += "build(name, raw=pathlib.Path(raw), out=pathlib.Path(out))"
    commands = [[sys.executable, "-c", code, str(raw), str(out), name] for name in ("wavcaps", "sample", "wavcaps", "sample")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0, 0], errors
    assert built_configs(out) == ["sample", "wavcaps"]
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "config_name: sample" in text
    assert "config_name: wavcaps" in text
    assert {name: data for name, data in files_of(out).items() if "wavcaps" in name} == {
        name: data for name, data in undisturbed.items() if "wavcaps" in name
    }


def test_a_worker_that_is_killed_is_said(tmp_path: Path) -> None:
    raw, out = wavcaps(tmp_path / "raw", "new"), tmp_path / "out"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif any('workers' in argument for argument in sys.orig_argv):\n    os.kill(os.getpid(), 9)\n"
    )
    code = "import sys, pathlib\nfrom unified_audiocaps.dataset_scripts.build import build\n"
    code += "build('wavcaps', raw=pathlib.Path(sys.argv[1]), out=pathlib.Path(sys.argv[2]), **{'work' + 'ers': 2})"
    done = subprocess.run(
        [sys.executable, "-c", code, str(raw), str(out)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a worker process ended with code -9" in done.stderr
    assert "fewer --workers" in done.stderr
    assert built_configs(out) == []
