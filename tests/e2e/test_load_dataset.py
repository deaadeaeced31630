"""Real upstream files to `load_dataset`: the counts that the publishers print, and every record rebuilt."""

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from unified_audiocaps.dataset_scripts.build import BuildReport, build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.sound.samples import decode
from unified_audiocaps.dataset_scripts.source import source


@pytest.fixture(scope="module")
def clotho_raw(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clotho")
    for copy, split in (("train", "development"), ("val", "validation"), ("test", "evaluation")):
        shutil.copyfile(real_dir / f"clotho/csv_files/{copy}.csv", folder / f"clotho_captions_{split}.csv")
    return folder


@pytest.fixture(scope="module")
def data(real_dir: Path, clotho_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, BuildReport]]:
    out = tmp_path_factory.mktemp("real") / "unified-audiocaps"
    reports = {
        "audiocaps": build("audiocaps", raw=real_dir / "audiocaps/v1", out=out),
        "audiocaps_v2": build("audiocaps_v2", raw=real_dir / "audiocaps/v2", out=out),
        "clotho": build("clotho", raw=clotho_raw, out=out),
        "wavcaps": build("wavcaps", raw=real_dir / "wavcaps", out=out),
        "mecat": build("mecat", out=out),
        "sample": build("sample", out=out),
    }
    return out, reports


@pytest.fixture
def load(data: tuple[Path, dict[str, BuildReport]], monkeypatch: pytest.MonkeyPatch) -> Any:
    from datasets import load_dataset

    monkeypatch.chdir(data[0].parent)
    return lambda name, split, **options: load_dataset("unified-audiocaps", name, split=split, **options)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "split", "rows", "captions"),
    [
        ("audiocaps", "validation", 495, 5),
        ("audiocaps", "test", 975, 5),
        ("audiocaps_v2", "validation", 495, 5),
        ("audiocaps_v2", "test", 975, 5),
        ("clotho", "development", 3839, 5),
        ("clotho", "validation", 1045, 5),
        ("clotho", "evaluation", 1045, 5),
        ("wavcaps", "train", 1232, 2),
        ("mecat", "test", 20052, 18),
    ],
)
def test_published_counts(load: Any, name: str, split: str, rows: int, captions: int) -> None:
    loaded = load(name, split)
    assert len(loaded) == rows
    assert {len(found) for found in loaded["captions"]} == {captions}
    first = next(iter(load(name, split, streaming=True)))
    assert first["id"] == loaded[0]["id"]
    assert len(first["captions"]) == captions


@pytest.mark.real
def test_mecat_has_five_questions_per_clip(load: Any) -> None:
    questions = load("mecat", "test").select_columns(["qa"])["qa"]
    assert sum(map(len, questions)) == 100_260
    assert {len(found) for found in questions} == {5}


@pytest.mark.real
def test_soundbible_has_the_means_of_the_paper(data: tuple[Path, dict[str, BuildReport]]) -> None:
    figures = data[1]["wavcaps"].statistics["subsets"]["train"]["SoundBible"]
    assert round(figures["mean_duration_s"], 2) == 13.11  # WavCaps Table III prints 13.12
    assert round(figures["mean_caption_words"], 2) == 5.87  # WavCaps Table III


@pytest.mark.real
def test_unknown_names_are_listed_and_missing_files_are_said(data: tuple[Path, dict[str, BuildReport]]) -> None:
    report = data[1]["audiocaps"]
    assert report.unknown_files == ["train.head5000.csv"]
    assert report.skipped == {"train": "not built: no train.csv below --raw"}
    assert "json_files/FreeSound/fsd_final.json.LFS_POINTER" in data[1]["wavcaps"].unknown_files
    assert set(data[1]["wavcaps"].skipped) == {"train/AudioSet_SL", "train/BBC_Sound_Effects", "train/FreeSound"}


@pytest.mark.real
def test_all_configs_concatenate(load: Any) -> None:
    from datasets import concatenate_datasets

    wanted = [("audiocaps", "test"), ("audiocaps_v2", "test"), ("clotho", "evaluation"), ("wavcaps", "train"), ("mecat", "test")]
    parts = [load(name, split) for name, split in [*wanted, ("sample", "test")]]
    whole = concatenate_datasets(parts)
    assert len(whole) == 975 + 975 + 1045 + 1232 + 20052 + 12
    assert whole[0]["id"] == "audiocaps/test/7fmOlUlwoNg_20"
    assert whole[-1]["source_key"] == "waves"


def test_the_sample_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unavailable: Callable[[str], NoReturn]) -> None:
    from datasets import Audio, load_dataset

    build("sample", out=tmp_path / "unified-audiocaps")
    monkeypatch.chdir(tmp_path)
    clips = load_dataset("unified-audiocaps", "sample", split="test")
    for row in clips.cast_column("audio", Audio(decode=False)):
        samples, rate_hz = decode(row["audio"])
        assert rate_hz == 16_000 == row["sampling_rate_hz"]
        assert samples.shape == (1, round(row["duration_s"] * rate_hz))
        assert 0.6 < abs(samples).max() < 0.8
    try:
        first = clips[0]["audio"]
    except (ImportError, OSError, RuntimeError) as problem:  # torchcodec or ffmpeg is not there
        unavailable(f"`datasets` cannot decode here: {problem}")
    samples, rate_hz = decode(first)
    assert samples.shape == (1, 80_000)
    assert rate_hz == 16_000


def csv_records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def rebuilt(data: Path, name: str, split: str) -> dict[str, list[Any]]:
    return source(name).rebuild(built_set(f"{name}/{split}", data).table())


@pytest.mark.real
@pytest.mark.parametrize(("name", "folder"), [("audiocaps", "v1"), ("audiocaps_v2", "v2")])
@pytest.mark.parametrize(("file", "split"), [("val.csv", "validation"), ("test.csv", "test")])
def test_real_audiocaps_is_rebuilt(
    data: tuple[Path, dict[str, BuildReport]], real_dir: Path, name: str, folder: str, file: str, split: str
) -> None:
    assert rebuilt(data[0], name, split) == {file: csv_records(real_dir / "audiocaps" / folder / file)}


@pytest.mark.real
@pytest.mark.parametrize("split", ["development", "validation", "evaluation"])
def test_real_clotho_is_rebuilt(data: tuple[Path, dict[str, BuildReport]], clotho_raw: Path, split: str) -> None:
    file = f"clotho_captions_{split}.csv"
    assert rebuilt(data[0], "clotho", split) == {file: csv_records(clotho_raw / file)}


@pytest.mark.real
def test_real_soundbible_is_rebuilt(data: tuple[Path, dict[str, BuildReport]], real_dir: Path) -> None:
    file = "json_files/SoundBible/sb_final.json"
    upstream = json.loads((real_dir / "wavcaps" / file).read_text(encoding="utf-8"))["data"]
    found = rebuilt(data[0], "wavcaps", "train")[file]
    assert found == upstream
    assert [type(record["duration"]) for record in found] == [type(record["duration"]) for record in upstream]
    assert sum(isinstance(record["duration"], int) for record in found) == 118


@pytest.mark.real
def test_real_mecat_is_rebuilt(data: tuple[Path, dict[str, BuildReport]]) -> None:
    folder = source("mecat").default_raw()
    assert folder is not None
    for file, records in rebuilt(data[0], "mecat", "test").items():
        with gzip.open(folder / file, "rt", encoding="utf-8") as stream:
            assert records == [json.loads(line) for line in stream], file


@pytest.mark.real
def test_mecat_train_files_are_read_from_the_upstream_layout(real_dir: Path, tmp_path: Path) -> None:
    report = build("mecat", raw=real_dir / "mecat", out=tmp_path / "out", workers=2)
    assert report.rows == {"train": 173, "test": 179 + 848 + 199 + 643}
    assert "caption/test/0M0.head200.jsonl" in report.unknown_files
    below = build("mecat", raw=real_dir / "mecat/caption/test", out=tmp_path / "below")
    assert below.rows == {"test": 179 + 848 + 199 + 643}


@pytest.mark.real
def test_the_freesound_pointer_under_its_real_name_is_refused(real_dir: Path, tmp_path: Path) -> None:
    shutil.copyfile(real_dir / "wavcaps/json_files/FreeSound/fsd_final.json.LFS_POINTER", tmp_path / "fsd_final.json")
    with pytest.raises(ValueError, match=r"wavcaps: fsd_final\.json: a Git LFS pointer .*git lfs pull"):
        build("wavcaps", raw=tmp_path, out=tmp_path / "out")


@pytest.mark.real
def test_the_other_release_is_noticed(real_dir: Path, tmp_path: Path) -> None:
    swapped = build("audiocaps_v2", raw=real_dir / "audiocaps/v1", out=tmp_path / "out", splits=["test"])
    assert "mixed case, as in release v1" in swapped.warnings[0]


def test_a_subset_is_a_config_of_its_own(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    build("wavcaps", raw=project_root / "tests/fixtures/sources/wavcaps/raw", out=tmp_path / "unified-audiocaps")
    monkeypatch.chdir(tmp_path)
    whole = load_dataset("unified-audiocaps", "wavcaps", split="train")
    part = load_dataset("unified-audiocaps", "wavcaps_freesound", split="train")
    assert set(part["subset"]) == {"FreeSound"}
    assert part["id"] == [row for row, subset in zip(whole["id"], whole["subset"], strict=True) if subset == "FreeSound"]
    stream = load_dataset("unified-audiocaps", "wavcaps_bbc_sound_effects", split="train", streaming=True)
    assert {row["subset"] for row in stream.remove_columns(["audio", "audio_b"])} == {"BBC_Sound_Effects"}
