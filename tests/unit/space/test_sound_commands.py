"""The commands about sound, run in this process on the sample."""

import json
import re
from pathlib import Path

import pytest
import soundfile
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, SoundError, UnknownNameError
from unified_audiocaps.dataset_scripts.scores import score_plan

from .command_line import uac
from .conftest import cell, row, tone


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    build("sample", out=folder)
    return folder


def test_a_page_of_random_rows_is_written(data, tmp_path):
    told = uac("inspect", "sample", "--rows", 3, "--split", "test", "--html", tmp_path / "x.html", "--data", data)
    assert told.stdout == f"written: {tmp_path / 'x.html'}\n"
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "3 of 12 rows, drawn by seed 0." in html
    assert html.count("<audio") == 3
    uac("inspect", "sample/test", "--rows", 3, "--html", tmp_path / "y.html", "--data", data)
    assert (tmp_path / "y.html").read_text(encoding="utf-8") == html


def test_without_a_file_name_the_page_is_temporary(data):
    path = Path(uac("inspect", "sample", "--rows", 1, "--data", data).stdout.removeprefix("written: ").strip())
    assert path.name == "sample.html"
    assert path.is_file()


def test_a_row_becomes_a_wav_file(data, tmp_path):
    told = uac("play", "sample", "sample/test/doorbell", "--out", tmp_path / "doorbell.wav", "--data", data).stdout
    info = soundfile.info(tmp_path / "doorbell.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert f"({info.duration:.2f} s, 16000 Hz, 1 channel)" in told
    path = Path(uac("play", "sample/test", "doorbell", "--data", data).stdout.removeprefix("written: ").partition(" (")[0])
    assert path.read_bytes() == (tmp_path / "doorbell.wav").read_bytes()


def test_wrong_use_is_told_before_the_work(data, tmp_path):
    play = ("play", "sample", "doorbell", "--data", data)
    with pytest.raises(UnknownNameError, match="no side is called 'c'"):
        uac(*play, "--side", "c")
    with pytest.raises(SoundError, match="the row holds no sound"):
        uac(*play, "--side", "b")
    with pytest.raises(InputError, match=r"--out is 'x.mp3'; expected a name that ends in .wav"):
        uac(*play, "--out", "x.mp3")
    with pytest.raises(InputError, match="Create it first"):
        uac(*play, "--out", tmp_path / "no" / "x.wav")
    with pytest.raises(InputError, match="the split is given twice"):
        uac("inspect", "sample/test", "--split", "train", "--data", data)


def test_clips_are_scored_and_go_on(data, tmp_path, tiny_clap):
    model = tiny_clap(tmp_path / "clap")
    out = tmp_path / "s.csv"
    command = ("score-clips", "sample", "--clap", model, "--out", out, "--data", data, "--device", "cpu")
    told = uac(*command, "--batch", 5).stdout
    assert f"{out}: 24 of 24 rows scored; signature " in told
    scores = [float(line.split(",")[1]) for line in out.read_text().splitlines()[1:]]
    assert f"lowest {min(scores):.4f}, " in told and f"highest {max(scores):.4f}" in told
    bars = re.findall(r"^ +-?[\d.]+ to +-?[\d.]+ +(\d+)", told, re.MULTILINE)
    assert len(bars) == 10 and sum(map(int, bars)) == 24
    header, *lines = out.read_text().splitlines()
    assert header == "id,score"
    assert lines[0].startswith("sample/train/rain_steady,")
    assert len({line.rpartition(",")[2] for line in lines}) == 24
    beside = json.loads((tmp_path / "s.csv.json").read_text())
    assert beside["set"] == "sample"
    for part in ("resampler:soxr_hq", "text:caption", "local@sha256:", "long:middle"):
        assert part in beside["signature"]
    assert score_plan(out).producer == beside["signature"]
    assert "24 of 24 rows scored, 24 of them before" in uac(*command).stdout
    with pytest.raises(InputError, match="set is sample, not sample/test"):
        uac(*command, "--split", "test")
    with pytest.raises(InputError, match=r"--out is 's.txt'; expected a name that ends in .csv"):
        uac("score-clips", "sample", "--clap", model, "--out", "s.txt", "--data", data)


def test_rows_that_cannot_be_scored_are_counted_and_listed(built, tmp_path, tiny_clap):
    sound = cell(tone(300, 1.0))
    rows = [row("good", audio=sound), row("silent"), row("mute"), row("wordless", audio=sound, caption=" ")]
    rows += [row("broken", audio={"bytes": b"x", "path": "x.wav"}), row("stereo", audio=cell(tone(300, 3.0, 44100, channels=2)))]
    one = built(rows)
    command = ("score-clips", "odd", "--clap", tiny_clap(tmp_path / "clap"), "--data", one.data, "--out", tmp_path / "s.csv")
    told = uac(*command, "--device", "cpu").stdout
    for words in (
        "2 of 6 rows scored",
        "not scored, missing: 2: odd/train/silent, odd/train/mute",
        "not scored, no caption: 1: odd/train/wordless",
        "not scored, unreadable: 1: odd/train/broken",
    ):
        assert words in told, told
    other = (*command[:-1], tmp_path / "t.csv", "--device", "cpu", "--workers", 2)
    assert uac(*other).stdout == told.replace("s.csv", "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "s.csv").read_bytes()
    assert (tmp_path / "t.csv.json").read_bytes() == (tmp_path / "s.csv.json").read_bytes()


def test_a_threshold_is_chosen(tmp_path):
    ratings = [1, 2, 3, 2, 5, 4]
    lines = [f"clip-{n},{n / 10},{rating}" for n, rating in enumerate(ratings)]
    (tmp_path / "r.csv").write_text("id,score,rating\n" + "\n".join(lines))
    told = uac("threshold", tmp_path / "r.csv").stdout
    assert "*     0.4000          4     0.7500   1.0000   0.8632" in told
    assert told.endswith("6 clips, 3 of them to be discarded, beta 1.05; discard below 0.4\n")
    found = json.loads(uac("threshold", tmp_path / "r.csv", "--beta", "1", "--json").stdout)
    assert found["best"]["threshold"] == 0.4
    assert len(found["curve"]) == 7
