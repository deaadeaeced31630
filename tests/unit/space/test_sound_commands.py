"""The commands about sound, run in this process on the sample."""

from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner, Result
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError, SoundError, UnknownNameError
from unified_audiocaps.space.cli import app


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    build("sample", out=folder)
    return folder


def uac(*arguments: object) -> Result:
    """Runs a command; its errors are raised."""
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


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
