"""Rows of any source get their sound from folders and archives; nothing that is wrong with a file stops a build."""

import gzip
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.build import BuildReport, build
from unified_audiocaps.dataset_scripts.engine.attach import SoundPlan
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.publish import check_rights
from unified_audiocaps.dataset_scripts.sound import samples
from unified_audiocaps.dataset_scripts.sound.library import SoundLibrary
from unified_audiocaps.dataset_scripts.source import source

from ..conftest import ROOT
from .conftest import Uac

RATE_HZ = 32_000
VIDEOS = [f"abc-_{number:03d}xyz" for number in range(8)]


def tone(hertz: float, seconds: float = 10.0, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.stack([0.4 * np.sin(2 * np.pi * hertz * t)] * channels, axis=1)


def write_captions(folder: Path, videos: Iterable[str] = VIDEOS, start_s: int = 30) -> Path:
    """Writes AudioCaps' test split."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{n},{video},{start_s},A tone number {n}" for n, video in enumerate(videos)]
    (folder / "test.csv").write_text("\n".join(["audiocap_id,youtube_id,start_time,caption", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as AudioSet is named, in four formats."""
    folder = tmp_path_factory.mktemp("library") / "AudioSet" / "eval"
    folder.mkdir(parents=True)
    for number, video in enumerate(VIDEOS):
        suffix = ("wav", "flac", "mp3", "ogg")[number % 4]
        soundfile.write(folder / f"Y{video}.{suffix}", tone(200 + 50 * number, channels=1 + number % 2), RATE_HZ)
    return folder.parent


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_captions(tmp_path_factory.mktemp("raw"))


def rows_of(report: BuildReport) -> list[dict]:
    return [row for path in sorted(Path(report.path).glob("*-of-*.parquet")) for row in pq.read_table(path).to_pylist()]


def embedded(raw: Path, out: Path, *paths: Path | str, source: str = "audiocaps", **settings) -> BuildReport:
    build_settings = {name: settings.pop(name) for name in ("workers", "engine", "exclude") if name in settings}
    plan = SoundPlan(SoundLibrary.open([str(path) for path in paths]), embed=True, **settings)
    return build(source, raw=raw, out=out, sound=plan, **build_settings)


def problems(report: BuildReport) -> dict[str, list[str]]:
    found = report.statistics["total"]["sound"].get("problems", {})
    assert all(one["count"] == len(one["listed"]) for one in found.values())
    return {reason: [listed["id"].rpartition("/")[2] for listed in one["listed"]] for reason, one in found.items()}


def has_torchcodec() -> bool:
    """Whether `datasets` can decode sound here: the package and ffmpeg's libraries."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


# -- the main path ---------------------------------------------------------------------------------------------------------------


def test_load_dataset_gives_the_sound_of_the_files(uac: Uac, raw: Path, sounds: Path, tmp_path: Path, monkeypatch):
    out = tmp_path / "unified-audiocaps"
    said = uac(
        "build", "audiocaps", "--raw", raw, "--out", out, "--audio", sounds, "--embed-audio", "--sampling-rate", 16000, "--mono"
    ).stdout  # fmt: skip
    assert "sound: 8 of 8 clips" in said
    from datasets import Audio, load_dataset

    monkeypatch.chdir(tmp_path)
    clips = load_dataset("unified-audiocaps", "audiocaps", split="test")
    if has_torchcodec():
        decoded, rate_hz = samples.decode(clips[0]["audio"])
        assert (rate_hz, decoded.shape) == (16_000, (1, 160_000))
    clips = clips.cast_column("audio", Audio(decode=False))
    assert clips.num_rows == len(VIDEOS)
    for number, row in enumerate(clips):
        found, rate_hz = samples.decode(row["audio"])
        assert (rate_hz, found.shape[0]) == (16_000, 1)
        expected = tone(200 + 50 * number, rate_hz=16_000)[:, 0]
        n = min(len(expected), found.shape[1])
        inside = slice(800, n - 800)  # resampling and mp3 have edges
        tolerance = 1e-3 if number % 4 in {0, 1} else 0.05  # lossy formats
        assert np.abs(found[0, :n] - expected[:n])[inside].max() < tolerance
        assert row["duration_s"] == pytest.approx(10, abs=0.1)
        assert (row["sampling_rate_hz"], row["n_channels"]) == (16_000, 1)


def test_without_embedding_rows_name_the_files(uac: Uac, raw: Path, sounds: Path, tmp_path: Path):
    uac("build", "audiocaps", "--raw", raw, "--out", tmp_path, "--audio", sounds)
    rows = pq.read_table(tmp_path / "data/audiocaps/test-00000-of-00001.parquet").to_pylist()
    for number, row in enumerate(rows):
        assert row["audio"]["bytes"] is None
        assert Path(row["audio"]["path"]).is_absolute()
        assert samples.decode(row["audio"])[1] == RATE_HZ
        assert row["n_channels"] == 1 + number % 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--embed-audio"], "no --audio PATH"),
        (["--audio", "HERE", "--mono"], "add --embed-audio"),
        (["--audio", "HERE", "--embed-audio", "--sampling-rate", "10"], "expected hertz from 1,000"),
        (["--audio", "nowhere", "--embed-audio"], "nowhere is not there"),
        (["--audio", "EMPTY", "--embed-audio"], "holds no sound file"),
    ],
)
def test_options_that_cannot_be_meant_are_told_at_once(uac: Uac, raw, sounds, tmp_path, options, said):
    (tmp_path / "empty").mkdir()
    named = [{"HERE": str(sounds), "EMPTY": str(tmp_path / "empty")}.get(option, option) for option in options]
    assert said in uac("build", "audiocaps", "--raw", raw, "--out", tmp_path / "out", *named, code=2).stderr


def test_every_number_of_threads_and_engine_gives_the_same_bytes(sounds: Path, tmp_path: Path):
    import pyarrow as pa

    raw = write_captions(tmp_path / "raw")
    (raw / "val.csv").write_text((raw / "test.csv").read_text())  # a second part, for a second process

    before = pa.cpu_count()
    found = []
    for number, threads in enumerate((1, 3)):
        pa.set_cpu_count(threads)
        report = embedded(raw, tmp_path / str(number), sounds, rate_hz=16_000, mono=True)
        found.append({path.name: path.read_bytes() for path in Path(report.path).iterdir()})
    pa.set_cpu_count(before)
    for engine in ("local", "ray"):
        report = embedded(raw, tmp_path / engine, sounds, rate_hz=16_000, mono=True, engine=engine, workers=2)
        found.append({path.name: path.read_bytes() for path in Path(report.path).iterdir()})
    assert len(found[0]) == 4
    assert found[0] == found[1] == found[2] == found[3]
    assert embedded(raw, tmp_path / "ray", sounds, rate_hz=16_000, mono=True).reused
    assert not embedded(raw, tmp_path / "ray", sounds, rate_hz=8_000, mono=True).reused


def test_embedded_sound_is_not_published_where_the_card_forbids_it(raw: Path, sounds: Path, tmp_path: Path):
    from unified_audiocaps.dataset_scripts.card import Card

    build("audiocaps", raw=raw, out=tmp_path / "text")
    embedded(raw, tmp_path / "sound", sounds)

    def refused(out: Path) -> set[str]:
        try:
            check_rights(out, ["audiocaps"])
        except InputError as problem:
            return {one.message.split()[1] for one in problem.problems}
        return set()

    forbidden = {"text", "audio"} - set(Card.load("audiocaps").redistribution)
    assert "audio" in forbidden
    with pytest.raises(InputError, match="may not be published again by everybody"):
        embedded(raw, "hf://datasets/me/mine", sounds)  # before any work, and without network
    assert "Sound: 8 of 8 clips" in (tmp_path / "sound/README.md").read_text()
    assert refused(tmp_path / "text") == forbidden - {"audio"}
    assert refused(tmp_path / "sound") == forbidden


# -- archives --------------------------------------------------------------------------------------------------------------------


def packed_tar(folder: Path, path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.add(file, f"eval/{file.name}")
    return path


def packed_zip(folder: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"eval/{file.name}")
    return path


def multi_part(folder: Path, path: Path) -> Path:
    """Packs a zip of several parts as WavCaps ships them, and joins it with the command that our error prints."""
    if shutil.which("zip") is None:
        pytest.skip("no zip program")
    whole = path.with_name("parts") / "AudioSet.zip"
    whole.parent.mkdir()
    subprocess.run(["zip", "-q", "-0", "-r", "-s", "1m", whole, "."], cwd=folder, check=True)
    assert whole.with_suffix(".z01").is_file()
    with pytest.raises(InputError, match=r"zip -s 0 AudioSet\.zip --out joined\.zip") as told:
        SoundLibrary.open([str(whole)])
    with pytest.raises(InputError, match=r"zip -s 0 AudioSet\.zip --out joined\.zip"):
        SoundLibrary.open([str(whole.parent)])
    with pytest.raises(InputError, match=r"zip -s 0 AudioSet\.zip --out joined\.zip"):
        SoundLibrary.open([str(whole.with_suffix(".z01"))])
    alone = path.with_name("alone.zip")  # without its other parts it is known by its own last bytes
    shutil.copy(whole, alone)
    with pytest.raises(InputError, match="several parts"):
        SoundLibrary.open([str(alone)])
    command = str(told.value).split("`")[1]
    subprocess.run(command.split(), cwd=whole.parent, check=True, capture_output=True)
    return whole.with_name("joined.zip")


CONTAINERS: dict[str, Callable[[Path, Path], Path | str]] = {
    "tar": lambda folder, tmp: packed_tar(folder, tmp / "x.tar"),
    "tar.gz": lambda folder, tmp: packed_tar(folder, tmp / "x.tar.gz", "w:gz"),
    "zip deflated": lambda folder, tmp: packed_zip(folder, tmp / "x.zip"),
    "zip stored": lambda folder, tmp: packed_zip(folder, tmp / "x.zip", zipfile.ZIP_STORED),
    "zip of several parts, joined": lambda folder, tmp: multi_part(folder, tmp / "x.zip"),
    "folder of archives": lambda folder, tmp: packed_tar(folder, tmp / "x.tgz", "w:gz").parent,
    "url": lambda folder, tmp: f"file://{folder}",
    "url of an archive": lambda folder, tmp: f"file://{packed_tar(folder, tmp / 'x.tar')}",
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_archives_give_the_same_rows_as_the_folder(raw: Path, sounds: Path, tmp_path: Path, container: str):
    (tmp_path / "a").mkdir()
    path = CONTAINERS[container](sounds, tmp_path / "a")
    expected = rows_of(embedded(raw, tmp_path / "one", sounds, rate_hz=16_000, mono=True))
    found = rows_of(embedded(raw, tmp_path / "two", path, rate_hz=16_000, mono=True))
    assert found == expected
    if container != "folder of archives" and "url" not in container:
        with pytest.raises(InputError, match="add --embed-audio"):
            SoundPlan(SoundLibrary.open([str(path)])).check()


def test_mecat_archives_are_read_in_any_order(tmp_path: Path):
    """`<key>.flac` and `<key>.json` side by side in a .tar.gz, in another order than the captions have."""
    keys = [f"v{n:02d}{'x' * 8}_{n}_5_{n + 10}_5" for n in range(6)]
    texts = {style: ["a", "b", "c"] for style in ("short", "long", "speech", "music", "sound", "environment")}
    folder = tmp_path / "raw" / "caption" / "test"
    folder.mkdir(parents=True)
    (folder / "00A.jsonl").write_text("".join(json.dumps({key: {**texts, "domain": "00A"}}) + "\n" for key in keys))
    with tarfile.open(tmp_path / "test_0000-0000000.tar.gz", "w:gz") as archive:
        for number in (4, 1, 5, 0, 3):
            content = io.BytesIO()
            soundfile.write(content, tone(300 + 10 * number, rate_hz=16_000), 16_000, format="FLAC")
            for suffix, data in [("flac", content.getvalue()), ("json", b"{}")]:
                info = tarfile.TarInfo(f"{keys[number]}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    report = embedded(tmp_path / "raw", tmp_path / "out", tmp_path / "test_0000-0000000.tar.gz", source="mecat")
    assert problems(report) == {"missing": [keys[2]]}
    for number, row in enumerate(rows_of(report)):
        if number != 2:
            found, rate_hz = samples.decode(row["audio"])
            spectrum = np.abs(np.fft.rfft(found[0]))
            assert np.argmax(spectrum) * rate_hz / found.shape[1] == pytest.approx(300 + 10 * number, abs=0.5)


# -- which file, which part of it ------------------------------------------------------------------------------------------------


def test_a_segment_is_cut_out_of_a_whole_video(tmp_path: Path):
    raw = write_captions(tmp_path / "raw", VIDEOS[:6], start_s=5)
    folder = tmp_path / "lib"
    folder.mkdir()
    whole = np.concatenate([tone(200, 5), tone(700, 10), tone(200, 5)])
    soundfile.write(folder / f"{VIDEOS[0]}.wav", whole, RATE_HZ)  # the whole video: it is cut
    soundfile.write(folder / f"{VIDEOS[1]}_5.wav", tone(700, 20), RATE_HZ)  # named as the segment: it is the clip
    soundfile.write(folder / f"Y{VIDEOS[2]}_5000_15000.wav", tone(700), RATE_HZ)
    soundfile.write(folder / f"{VIDEOS[3]}_000005.wav", tone(700), RATE_HZ)
    soundfile.write(folder / f"{VIDEOS[4]}_40_50.wav", tone(700), RATE_HZ)  # another segment
    soundfile.write(folder / f"{VIDEOS[5]}.wav", tone(700, 10.04), RATE_HZ)  # named as AudioSet names the segment
    report = embedded(raw, tmp_path / "out", folder)
    assert problems(report) == {"missing": [f"{VIDEOS[4]}_5"]}
    assert report.statistics["total"]["sound"]["cut"] == 1
    rows = rows_of(report)
    assert [row["duration_s"] and round(row["duration_s"], 2) for row in rows] == [10, 20, 10, 10, None, 10.04]
    found, _ = samples.decode(rows[0]["audio"])
    assert np.abs(found[0] - tone(700)[:, 0]).max() < 1e-3
    report = embedded(raw, tmp_path / "short", folder, max_duration_s=2.5)
    assert {row["duration_s"] for row in rows_of(report)} == {None, 2.5}
    by_path = build("audiocaps", raw=raw, out=tmp_path / "path", sound=SoundPlan(SoundLibrary.open([str(folder)])))
    assert problems(by_path) == {"missing": [f"{VIDEOS[4]}_5"], "needs_cut": [f"{VIDEOS[0]}_5"]}


def test_a_file_named_by_the_video_is_no_segment_of_another_corpus(tmp_path: Path):
    """AudioSet's ten seconds of a video are not the ten seconds that VGGSound took of it."""
    raw, folder = tmp_path / "raw", tmp_path / "lib"
    raw.mkdir()
    folder.mkdir()
    (raw / "vggsound.csv").write_text(f"{VIDEOS[0]},30,dog barking,train\n{VIDEOS[1]},3,rain,train\n")
    soundfile.write(folder / f"Y{VIDEOS[0]}.wav", tone(700), RATE_HZ)
    soundfile.write(folder / f"Y{VIDEOS[1]}.wav", tone(700, 60), RATE_HZ)
    report = embedded(raw, tmp_path / "out", folder, source="vggsound")
    assert problems(report) == {"other_segment": [f"{VIDEOS[0]}_000030"]}
    assert [row["duration_s"] for row in rows_of(report)] == [None, 10.0]


def test_numbers_are_resolved_by_folders_and_never_guessed(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    one = {"id": "12345", "caption": "A dog barks.", "duration": 3.25, "audio": "wav_path"}
    for name in ("fsd_final.json", "sb_final.json"):
        (raw / name).write_text(json.dumps({"num_captions_per_audio": 1, "data": [one]}))
    for place in ("FreeSound", "SoundBible", "flat"):
        (tmp_path / "lib" / place).mkdir(parents=True)
    soundfile.write(tmp_path / "lib/FreeSound/12345.flac", tone(300, 1), RATE_HZ)
    soundfile.write(tmp_path / "lib/SoundBible/12345.flac", tone(300, 2), RATE_HZ)
    soundfile.write(tmp_path / "lib/flat/12345.flac", tone(300, 3), RATE_HZ)
    rows = rows_of(embedded(raw, tmp_path / "out", tmp_path / "lib", source="wavcaps"))
    assert {row["subset"]: row["duration_s"] for row in rows} == {"FreeSound": 1.0, "SoundBible": 2.0}
    rebuilt = source("wavcaps").rebuild(pq.read_table(sorted(Path(tmp_path / "out/data/wavcaps").glob("*-of-*.parquet"))[0]))
    assert rebuilt == {"fsd_final.json": [one]}  # the publisher's duration is kept beside the file's
    report = embedded(raw, tmp_path / "unsaid", tmp_path / "lib/flat", source="wavcaps")
    assert problems(report) == {"ambiguous": ["12345", "12345"]}


def test_of_two_files_the_first_path_counts_and_the_row_is_listed(raw: Path, sounds: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    soundfile.write(other / f"Y{VIDEOS[3]}.wav", tone(900, 9), RATE_HZ)
    for paths, duration_s in [((sounds, other), 10.0), ((other, sounds), 9.0)]:
        report = embedded(raw, tmp_path / f"out{duration_s}", *paths)
        assert rows_of(report)[3]["duration_s"] == pytest.approx(duration_s, abs=0.01)
        notes = report.statistics["total"]["sound"]["notes"]["several_files"]
        assert notes["count"] == 1
        assert notes["listed"][0]["id"] == f"audiocaps/test/{VIDEOS[3]}_30"


def test_both_sounds_of_a_pair_are_attached(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    line = {
        "messages": [{"role": "user", "content": "Rate it.Original Caption:\nA dog.\n\nTarget Caption:\nA dog and rain.\n"}],
        "label": [0.0, 0.0, 0.0],
        "audios": ["original_wavs/1_add_a_2_ab_ori.wav", "target_wavs/1_add_a_2_ab_tar.wav"],
    }
    (raw / "infer_batch.jsonl").write_text(json.dumps(line) + "\n")
    for place, name, seconds in [("original_wavs", "1_add_a_2_ab_ori", 3), ("target_wavs", "1_add_a_2_ab_tar", 4)]:
        (tmp_path / "lib" / place).mkdir(parents=True)
        soundfile.write(tmp_path / "lib" / place / f"{name}.wav", tone(300, seconds), 16_000)
    (row,) = rows_of(embedded(raw, tmp_path / "out", tmp_path / "lib", source="auditeval"))
    assert (row["duration_s"], row["duration_b_s"]) == (6.0, 8.0)  # 32,000 samples per second, written as 16,000
    assert samples.decode(row["audio_b"])[0].shape[1] == 4 * RATE_HZ


SOURCES = sorted(path.parent.name for path in (ROOT / "tests/fixtures/sources").glob("*/raw"))


def published_path(row: dict, reference: str = "audio_ref") -> str | None:
    """Returns where the publisher puts a row's sound, below a folder; None where the row names nothing."""
    found = row[reference]
    if found is None:
        return None
    folder = (found["archive"] or "audio").removesuffix(".zip").removesuffix(".7z").removesuffix(".tar")
    if found["member"] or found["file_name"]:
        return found["member"] or f"{folder}/{found['file_name']}"
    if found["key"] is None or (found["kind"] == "youtube" and len(found["key"]) != 11):
        return None
    if source(row["dataset"]).has_own_segments:
        return f"{row['source_key']}.wav"
    return f"{found['kind']}/Y{found['key']}.wav" if found["kind"] == "youtube" else f"{found['kind']}/{found['key']}.flac"


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_finds_its_files_under_the_publishers_names_and_loses_nothing(name: str, tmp_path: Path):
    one = source(name)
    raw = ROOT / "tests/fixtures/sources" / name / "raw"
    text = build(name, raw=raw, out=tmp_path / "text")
    rows = rows_of(text)
    expected = {}
    for row in rows:
        paths = [published_path(row), published_path(row, "audio_ref_b")]
        for path in filter(None, paths):
            target = tmp_path / "lib" / path.lstrip("/").replace("../", "")
            target.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            soundfile.write(content, tone(300, 0.5, 8000), 8000, format="WAV")
            target.write_bytes(content.getvalue())
        expected[row["id"]] = paths
    if not any(any(paths) for paths in expected.values()):
        pytest.skip(f"the rows of {name} name no sound")
    report = embedded(raw, tmp_path / "sound", tmp_path / "lib", source=name)
    found = {row["id"]: row for row in rows_of(report)}
    for one_id, paths in expected.items():
        held = [found[one_id]["audio"], found[one_id]["audio_b"]]
        assert [sound is not None for sound in held] == [path is not None for path in paths], (one_id, paths)
        assert paths[0] is None or found[one_id]["duration_s"] == 0.5
    tables = [[pq.read_table(path) for path in sorted(Path(made.path).glob("*-of-*.parquet"))] for made in (text, report)]
    assert [one.rebuild(table) for table in tables[1]] == [one.rebuild(table) for table in tables[0]]


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("audiocaps", "test.csv", "audiocap_id,youtube_id,start_time,caption\n1,{v},30,Rain.\n"),
        ("wavcaps", "as_final.json", '{{"data": [{{"id": "Y{v}.wav", "caption": "Rain.", "duration": 10}}]}}'),
        ("audiosetcaps", "AudioSetCaps_caption.csv", "id,caption\nY{v},Rain.\n"),
        ("auto_acd", "test.csv", "youtube_id,caption\n{v},Rain.\n"),
        ("sound_vecaps", "Sound-VECaps_audio.csv", "id,caption\nY{v},Rain.\n"),
        ("fusionaudio", "train.json", '[{{"audio_id": "{v}_30_40.wav", "instruction": "Describe it.", "output": "Rain."}}]'),
        ("compa_r", "CompA-R.json", '[{{"audio_id": "./x/Y{v}.wav", "instruction": "Why?", "output": "Rain."}}]'),
    ],
)  # fmt: skip
def test_one_folder_of_audioset_serves_seven_corpora(name: str, file: str, content: str, tmp_path: Path):
    raw, lib = tmp_path / "raw", tmp_path / "AudioSet"
    raw.mkdir()
    lib.mkdir()
    (raw / file).write_text(content.format(v=VIDEOS[0]))
    soundfile.write(lib / f"Y{VIDEOS[0]}.flac", tone(300), RATE_HZ)
    (row,) = rows_of(embedded(raw, tmp_path / "out", lib, source=name))
    assert row["duration_s"] == 10.0


def test_clotho_names_that_are_in_two_splits_are_told_apart_by_the_folder(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    header = "file_name," + ",".join(f"caption_{i}" for i in range(1, 6))
    for number, split in enumerate(("development", "evaluation", "validation")):
        (raw / f"clotho_captions_{split}.csv").write_text(f"{header}\nWind.wav,a,b,c,d,e\n")
        described = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\nWind.wav,wind,1,u,s,m,l\n"
        (raw / f"clotho_metadata_{split}.csv").write_text(described)
        if split != "validation":
            folder = tmp_path / "lib" / f"clotho_audio_{split}" / split
            folder.mkdir(parents=True)
            soundfile.write(folder / "Wind.wav", tone(300, number + 1.0), RATE_HZ)
    report = embedded(raw, tmp_path / "out", tmp_path / "lib", source="clotho")
    durations = {row["split"]: row["duration_s"] for row in rows_of(report)}
    assert durations == {"development": 1.0, "evaluation": 2.0, "validation": None}


@pytest.mark.real
def test_real_mp3_files_have_their_true_durations(real_dir: Path, tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = ["id,caption", "-TL8Mp3xcUM_0_10,One.", "_7Xe9vD3Hpg_4_10,Two."]
    (raw / "YouTube-8M_AudioSetCaps_caption.csv").write_text("\n".join(lines) + "\n")
    example = real_dir / "audiosetcaps" / "example"
    rows = rows_of(embedded(raw, tmp_path / "out", example, source="audiosetcaps", rate_hz=16_000, mono=True))
    for row, expected in zip(rows, [(441_000 / 44_100, 93_211), (480_000 / 48_000, 166_272)], strict=True):
        assert row["duration_s"] == pytest.approx(expected[0], abs=1e-4)
        assert row["sampling_rate_hz"] == 16_000


# -- what is wrong with files ----------------------------------------------------------------------------------------------------


def wav_header_of_a_minute() -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, tone(300, 60), RATE_HZ, format="WAV")
    return stream.getvalue()[:100_000]


def bad_files() -> dict[str, tuple[str | None, bytes, str]]:
    """Returns name of the case to the reason expected (None: it is read), the content, and the ending of the name."""

    def written(data: np.ndarray, kind: str, rate_hz: int = RATE_HZ, subtype: str | None = None) -> bytes:
        stream = io.BytesIO()
        soundfile.write(stream, data, rate_hz, format=kind, subtype=subtype)
        return stream.getvalue()

    flac = written(tone(300), "FLAC")
    not_a_number = tone(300)
    not_a_number[100] = np.nan
    return {
        "zero length": ("empty", b"", "wav"),
        "text": ("unreadable", b"<html>404 Not Found</html>" * 50, "wav"),
        "garbage": ("unreadable", bytes(range(256)) * 40, "flac"),
        "cut flac": ("damaged", flac[: len(flac) // 2], "flac"),
        "cut wav": ("damaged", wav_header_of_a_minute(), "wav"),
        "cut mp3": ("damaged", written(tone(300), "MP3")[:20_000], "mp3"),
        "header alone": ("empty", written(tone(300, 0), "WAV"), "wav"),
        "silent": ("silent", written(np.zeros((RATE_HZ, 1)), "WAV"), "wav"),
        "too short": ("too_short", written(tone(300, 0.05), "WAV"), "wav"),
        "not a number": ("not_finite", written(not_a_number, "WAV", subtype="FLOAT"), "wav"),
        "mp3 called wav": (None, written(tone(300), "MP3"), "wav"),
        "flac called mp3": (None, flac, "mp3"),
        "8 bit": (None, written(tone(300), "WAV", subtype="PCM_U8"), "wav"),
        "24 bit": (None, written(tone(300), "WAV", subtype="PCM_24"), "wav"),
        "float": (None, written(tone(300), "WAV", subtype="FLOAT"), "wav"),
        "5.1 channels": (None, written(tone(300, channels=6), "WAV"), "wav"),
        "192 kHz": (None, written(tone(300, rate_hz=192_000), "WAV", 192_000), "wav"),
        "nine channels": ("not_storable", written(tone(300, channels=9), "WAV"), "wav"),
    }


def test_bad_files_are_counted_and_listed_and_stop_nothing(tmp_path: Path):
    cases = bad_files()
    videos = [f"badfile{number:04d}" for number in range(len(cases))]
    raw = write_captions(tmp_path / "raw", videos)
    folder = tmp_path / "lib"
    folder.mkdir()
    for video, (_, content, suffix) in zip(videos, cases.values(), strict=True):
        (folder / f"Y{video}.{suffix}").write_bytes(content)
    report = embedded(raw, tmp_path / "out", folder)
    rows = rows_of(report)
    found = {case: None for case in cases}
    names = dict(zip((f"{video}_30" for video in videos), cases, strict=True))
    for reason, ids in problems(report).items():
        found |= {names[one]: reason for one in ids}
    assert found == {case: reason for case, (reason, _, _) in cases.items()}
    for row, (reason, _, _) in zip(rows, cases.values(), strict=True):
        assert (row["audio"] is None) == (reason is not None)
    by_case = dict(zip(cases, rows, strict=True))
    assert by_case["5.1 channels"]["n_channels"] == 6
    assert by_case["192 kHz"]["sampling_rate_hz"] == 192_000
    mono = embedded(raw, tmp_path / "mono", folder, rate_hz=16_000, mono=True)
    assert "not_storable" not in problems(mono)
    listed = report.statistics["total"]["sound"]["problems"]["damaged"]["listed"][0]
    assert listed["file"].startswith("lib/Ybadfile")
    assert listed["what"]


def test_required_sound_drops_rows_whole(raw: Path, sounds: Path, tmp_path: Path):
    some = tmp_path / "some"
    shutil.copytree(sounds, some)
    for file in sorted(some.rglob("*.*"))[:3]:
        file.unlink()
    report = embedded(raw, tmp_path / "out", some, require=True)
    assert report.dropped == {"no_audio": 3}
    assert len(rows_of(report)) == len(VIDEOS) - 3
    dropped = pq.read_table(Path(report.path) / "dropped.parquet").to_pylist()
    assert [json.loads(row["record_json"])["youtube_id"] for row in dropped] == VIDEOS[:3]
    (tmp_path / "nothing").mkdir()
    soundfile.write(tmp_path / "nothing/other.wav", tone(300, 1), RATE_HZ)
    with pytest.raises(InputError, match=r"drops the others.*missing: no file is called"):
        embedded(raw, tmp_path / "none", tmp_path / "nothing", require=True)


@pytest.mark.parametrize("name", ["../out.wav", "/etc/out.wav", "a/../../out.wav"])
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archives_with_names_that_lead_out_are_refused(tmp_path: Path, kind: str, name: str):
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x")
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="leads out of the archive; it is refused"):
        SoundLibrary.open([str(path)])


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_tar_that_was_cut_gives_what_is_whole_and_a_warning(raw: Path, sounds: Path, tmp_path: Path, kind: str):
    whole = packed_tar(sounds, tmp_path / "whole.tar").read_bytes()
    half = whole[: len(whole) // 2]
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(gzip.compress(whole)[: len(gzip.compress(whole)) // 2] if kind == "tar.gz" else half)
    report = embedded(raw, tmp_path / "out", path)
    assert any("is damaged or cut short" in text for text in report.warnings)
    sound = report.statistics["total"]["sound"]
    assert 0 < sound["found"] < len(VIDEOS)
    assert sound["problems"]["missing"]["count"] == len(VIDEOS) - sound["found"]


def test_what_is_no_archive_is_told(tmp_path: Path):
    for name in ("x.tar", "x.tar.gz", "x.zip"):
        (tmp_path / name).write_bytes(b"<html>" * 500)
        with pytest.raises(InputError, match=r"[Dd]ownload it again"):
            SoundLibrary.open([str(tmp_path / name)])
    (tmp_path / "x.7z").write_bytes(b"7z")
    with pytest.raises(InputError, match=r"expected \.tar, \.tar\.gz, \.tgz, \.zip or a folder"):
        SoundLibrary.open([str(tmp_path / "x.7z")])


# -- the index, and going on -----------------------------------------------------------------------------------------------------


def test_the_index_is_used_again_until_something_changes(sounds: Path, tmp_path: Path):
    folder = tmp_path / "lib"
    shutil.copytree(sounds, folder)
    packed_zip(sounds, folder / "more.zip")
    home = tmp_path / "home"
    first = SoundLibrary.open([str(folder)], home)
    assert first.size == 2 * len(VIDEOS)
    stamps = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    assert SoundLibrary.open([str(folder)], home) == first
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()} == stamps
    soundfile.write(folder / "eval" / "new.wav", tone(300, 1), RATE_HZ)
    second = SoundLibrary.open([str(folder)], home)
    assert (second.digest != first.digest, second.size) == (True, first.size + 1)
    listing = next((home / "sound" / "archives").glob("*.arrow"))
    assert listing.stat().st_mtime_ns == stamps[listing]  # the archive did not change and was not read again
    (folder / "eval" / "new.wav").write_bytes(b"changed")
    assert SoundLibrary.open([str(folder)], home).digest != second.digest


KILLED = """
import os, signal, sys
from pathlib import Path
from unified_audiocaps.dataset_scripts.engine import shards
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.engine import attach
from unified_audiocaps.dataset_scripts.sound.library import SoundLibrary

attach.ROWS_PER_GROUP, shards.ROW_GROUPS_PER_SHARD = 1, 2
raw, sounds, out, when = sys.argv[1:]
clips, first = [], attach.Attacher._clip

def clip(self, task):
    clips.append(task)
    if len(clips) == int(when):
        os.kill(os.getpid(), signal.SIGKILL)
    return first(self, task)

attach.Attacher._clip = clip
build("audiocaps", raw=Path(raw), out=Path(out), sound=attach.SoundPlan(SoundLibrary.open([sounds]), embed=True))
print(len(clips))
"""


def test_a_build_killed_by_the_system_goes_on_behind_its_finished_shards(raw: Path, sounds: Path, tmp_path: Path):
    def run(out: str, when: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, raw, sounds, tmp_path / out, str(when)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("whole", 0).stdout.split() == [str(len(VIDEOS))]
    assert run("killed", 7).returncode == -signal.SIGKILL
    again = run("killed", 0)
    assert 0 < int(again.stdout) < len(VIDEOS), again.stderr
    for path in (tmp_path / "whole/data/audiocaps").iterdir():
        assert (tmp_path / "killed/data/audiocaps" / path.name).read_bytes() == path.read_bytes(), path.name


def test_row_groups_and_shards_are_bounded_by_bytes(raw: Path, sounds: Path, tmp_path: Path, monkeypatch):
    from unified_audiocaps.dataset_scripts.engine import attach, shards

    expected = rows_of(embedded(raw, tmp_path / "one", sounds))
    monkeypatch.setattr(attach, "GROUP_BYTES", 1_000_000)
    monkeypatch.setattr(shards, "SHARD_BYTES", 500_000)
    report = embedded(raw, tmp_path / "several", sounds)
    files = sorted(Path(report.path).glob("*-of-*.parquet"))
    assert len(files) > 1
    assert max(file.stat().st_size for file in files) < 2_000_000
    assert rows_of(report) == expected
    plan = SoundPlan(SoundLibrary.open([str(sounds)]), embed=True)
    assert build("audiocaps", raw=raw, out=tmp_path / "several", sound=plan).reused


def test_an_interrupted_build_goes_on_to_the_same_bytes(sounds: Path, tmp_path: Path, monkeypatch):
    from unified_audiocaps.dataset_scripts.engine import attach, shards

    monkeypatch.setattr(attach, "ROWS_PER_GROUP", 1)
    monkeypatch.setattr(shards, "ROW_GROUPS_PER_SHARD", 2)
    videos = [*VIDEOS[:5], "notthere000", *VIDEOS[5:]]
    raw = write_captions(tmp_path / "raw", videos)
    expected = embedded(raw, tmp_path / "undisturbed", sounds, require=True)
    real, seen = attach.Attacher._clip, []

    def dies(self, task):
        seen.append(task)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return real(self, task)

    monkeypatch.setattr(attach.Attacher, "_clip", dies)
    with pytest.raises(KeyboardInterrupt):
        embedded(raw, tmp_path / "killed", sounds, require=True)
    finished = list((tmp_path / "killed/.uac/audiocaps").glob("*.parquet"))
    assert finished
    begun = len(seen)
    report = embedded(raw, tmp_path / "killed", sounds, require=True)
    assert len(seen) - begun < len(videos)  # what was finished was not read again
    assert rows_of(report) == rows_of(expected)
    for path in Path(expected.path).iterdir():
        assert (Path(report.path) / path.name).read_bytes() == path.read_bytes()
