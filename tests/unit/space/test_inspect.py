import base64
import io
import re

import numpy as np
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.errors import InputError, SoundError, UnknownNameError
from unified_audiocaps.dataset_scripts.sound.samples import Sound, read, to_int16
from unified_audiocaps.space import inspect_open
from unified_audiocaps.space.inspect_page import page, row_section
from unified_audiocaps.space.inspect_rows import difference, random_rows, row_by_id, sound_of

from .conftest import cell, row, tone


def pair(key: str = "pair", **columns) -> dict:
    texts = [
        {"text": "add a bell", "style": "difference", "side": "pair", "origin": "template", "scores": []},
        {"text": "a tone", "style": "commonality", "side": "pair", "origin": "rule", "scores": []},
    ]
    sides = {"audio": cell(tone(300, 1.0)), "audio_b": cell(tone(600, 1.5)), "operation": "add", "captions": texts}
    return row(key, caption="a low tone", caption_b="a low tone and a bell", **{**sides, **columns})


def players(html: str) -> list[Sound]:
    return [read(base64.b64decode(found)) for found in re.findall(r'<audio [^>]*src="data:audio/\w+;base64,([^"]+)"', html)]


def test_rows_are_drawn_by_seed_and_in_order(built):
    one = built([row(f"clip-{number:02}") for number in range(20)])
    ids = [found["id"] for found in random_rows(one, 7, 0)]
    assert ids == [found["id"] for found in random_rows(one, 7, 0)]
    assert ids == sorted(set(ids))
    assert len(ids) == 7
    assert ids != [found["id"] for found in random_rows(one, 7, 1)]
    assert [found["source_key"] for found in random_rows(one, 99, 0)] == [f"clip-{number:02}" for number in range(20)]


def test_a_cut_shard_is_reported(built):
    one = built([row("a")])
    (one.folder / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"train.parquet cannot be read"):
        random_rows(one, 1, 0)


def test_rows_are_found_by_id_and_by_upstream_key(built):
    rows = [row(f"clip-{number}") for number in range(9)] + [row("twin"), row("other", source_key="twin")]
    one = built(rows)
    assert row_by_id(one, "odd/train/clip-7")["source_key"] == "clip-7"
    assert row_by_id(one, "clip-8")["id"] == "odd/train/clip-8"
    with pytest.raises(InputError, match="2 rows of odd come from 'twin'; name one by its id: odd/train/twin, odd/train/other"):
        row_by_id(one, "twin")
    with pytest.raises(InputError, match="no row of odd has the id 'x'; ids look like odd/train/clip-0"):
        row_by_id(one, "x")


def test_the_difference_is_b_minus_a():
    a, b = tone(300, 1.0), tone(600, 1.5)
    found = difference(a, b)
    assert found.duration_s == 1.5
    np.testing.assert_allclose(found.samples[:, :16000], b.samples[:, :16000] - a.samples, atol=1e-7)
    np.testing.assert_array_equal(found.samples[:, 16000:], b.samples[:, 16000:])
    assert not difference(a, a).samples.any()


def test_the_difference_of_unequal_rates_and_channels():
    found = difference(tone(300, 1.0, channels=2), tone(300, 1.0, rate_hz=32000))
    assert (found.rate_hz, found.samples.shape) == (16000, (1, 16000))
    assert np.abs(found.samples[:, 1000:-1000]).max() < 1e-3


def test_sides_that_are_not_there(built):
    with pytest.raises(UnknownNameError, match="no side is called 'c'"):
        sound_of(pair(), "c")
    with pytest.raises(SoundError, match="the row holds no sound"):
        sound_of(row("text"), "a")
    with pytest.raises(SoundError, match=r"'gone.wav' cannot be read \(No such file"):
        sound_of(row("gone", audio={"bytes": None, "path": "gone.wav"}), "a")


def test_rows_without_sound_say_where_it_is():
    ref = {"kind": "youtube", "key": "abcdefghij1", "start_s": 30.0}
    assert "The row holds no sound (upstream: youtube abcdefghij1, from 30 s)." in row_section(row("a", audio_ref=ref))
    html = row_section(row("a", audio_ref=ref, audio_ref_b={"kind": "file", "file_name": "b.wav"}))
    assert "from 30 s).<br>B: The row holds no sound (upstream: file b.wav)." in html


def test_a_page_asks_for_nothing_else(built):
    one = built([row("a", audio=cell(tone(300, 1.0))), row("b")])
    html = page("odd", random_rows(one, 20, 3), one.rows, 3)
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|<script|@import""", html)
    assert "2 of 2 rows, drawn by seed 3. 1 without sound." in html
    assert html.count("<audio controls") == 1
    assert "The row holds no sound." in html
    for tag in ("article", "figure", "section", "dl", "ul", "li", "main"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag


def test_what_the_sound_is_reaches_the_player():
    html = row_section(row("a", audio=cell(tone(300, 1.0))))
    (heard,) = players(html)
    np.testing.assert_array_equal(to_int16(heard.samples), to_int16(tone(300, 1.0).samples))
    assert 'aria-label="Sound of odd/train/a"' in html
    assert 'alt="Log-mel spectrogram of Sound of odd/train/a, 0 to 8000 Hz, 1.00 s"' in html


def test_pairs_show_both_sides_the_difference_and_what_was_done():
    html = row_section(pair())
    a, b, between = players(html)
    assert (a.duration_s, b.duration_s, between.duration_s) == (1.0, 1.5, 1.5)
    for words in ("operation: add", "add a bell", "commonality", "A, before", "B, after", "Difference, B – A", "and a bell"):
        assert words in html


def test_a_difference_beyond_full_scale_is_played_softer():
    loud = tone(300, 0.5, amplitude=0.9)
    against = Sound(-loud.samples, loud.rate_hz)
    html = row_section(pair(audio=cell(loud), audio_b=cell(against)))
    assert "Played 5.1 dB softer than it is, to fit." in html
    assert 0.99 < np.abs(players(html)[2].samples).max() <= 1.0


def test_one_side_that_cannot_be_read_leaves_the_other():
    html = row_section(pair(audio_b={"bytes": b"no sound at all", "path": "b.wav"}))
    assert html.count("<audio") == 1
    assert "No format that can be read" in html


def test_long_sounds_are_cut_and_it_is_said():
    html = row_section(row("long", audio=cell(tone(300, 70.0, rate_hz=8000)), duration_s=70.0))
    assert "The first 30 s." in html
    assert players(html)[0].duration_s == 30.0
    assert "The first" not in row_section(row("whole", audio=cell(tone(300, 30.0, rate_hz=8000)), duration_s=30.0))


def test_files_that_browsers_lack_become_flac():
    content = io.BytesIO()
    soundfile.write(content, tone(300, 0.5).samples.T, 16000, format="AIFF")
    html = row_section(row("aiff", audio={"bytes": content.getvalue(), "path": "x.aiff"}))
    assert 'src="data:audio/flac;' in html


def test_texts_are_escaped_wherever_they_stand():
    bad = "<script>alert('x')</script>\"&"
    html = row_section(
        row(
            bad, caption=bad, subset=bad, domain=bad, operation=bad, license_audio=bad, audio=cell(tone(300, 0.1)),
            captions=[{"text": bad, "style": bad, "variant": bad, "origin": bad, "language": bad, "is_absent": True}],
            qa=[{"question": bad, "answer": bad, "category": bad, "choices": [bad]}],
            tags=[{"label": bad, "score": 0.5}], scores=[{"name": bad, "value": 0.25}],
            overlaps=[{"set": bad, "level": bad, "key": bad, "side": bad, "shared_s": 1.0}],
            events=[{"role": bad, "label": bad, "onset_s": 1.0, "duration_s": 2.0, "snr_db": 3.0}],
        )
    )  # fmt: skip
    assert "<script" not in html
    assert '"&' not in html.replace('"&lt;', "")
    for words in ("says that there is nothing", "Choices: ", "Also in", "+3.0 dB", " 0.25"):
        assert words in html


def test_nothing_is_opened_where_nobody_sits(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_open.webbrowser, "open", lambda url: pytest.fail("opened"))
    assert not inspect_open.open_page(tmp_path / "x.html")
    assert not inspect_open.open_sound(tmp_path / "x.wav")


def test_a_desktop_that_refuses_is_no_failure(tmp_path, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError

    monkeypatch.setattr(inspect_open, "_has_desktop", lambda: True)
    monkeypatch.setattr(inspect_open.webbrowser, "open", refuse)
    monkeypatch.setattr(inspect_open.shutil, "which", lambda name: "/bin/none")
    monkeypatch.setattr(inspect_open.subprocess, "Popen", refuse)
    assert not inspect_open.open_page(tmp_path / "x.html")
    assert not inspect_open.open_sound(tmp_path / "x.wav")
