"""Clip keys and id grammars, one value and whole arrays alike."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts import keys


@pytest.mark.parametrize(
    ("key", "start_s", "end_s"),
    [
        ("wo8sFEF7sWM_166_48_176_48", 166.48, 176.48),
        ("RLmbpTRyf7I_68_2398_78_2398", 68.2398, 78.2398),
        ("sxIdgHIUKhI_0_0_10", 0.0, 10.0),
        ("foJSij5nnlI_5_999999999999999_16", 5.999999999999999, 16.0),
        ("aaaaaaaaaaa_20_30", 20.0, 30.0),
        ("-_aaaaaaa_-_20_30_5", 20.0, 30.5),  # no reading lasts ten seconds within the tolerance
    ],
)
def test_acav_span(key: str, start_s: float, end_s: float) -> None:
    span = keys.acav_span(key)
    videos, starts, ends = keys.acav_spans(pa.array([key]))
    if abs(end_s - start_s - 10) > 0.05:
        assert span is None
        assert videos.to_pylist() == starts.to_pylist() == ends.to_pylist() == [None]
        return
    assert span == keys.Span(key[:11], start_s, end_s)
    assert (videos.to_pylist(), starts.to_pylist(), ends.to_pylist()) == ([key[:11]], [start_s], [end_s])


@pytest.mark.parametrize(
    "key", ["", "short_1_2", "aaaaaaaaaaa_1_2_3_4_5", "aaaaaaaaaaa_0_20", "aaaaaaaaaaa_x_10", "aaaaaaaaaa!_0_10"]
)
def test_keys_of_no_grammar_have_no_span(key: str) -> None:
    assert keys.acav_span(key) is None
    assert [column.to_pylist() for column in keys.acav_spans(pa.array([key, "aaaaaaaaaaa_0_10"]))] == [
        [None, "aaaaaaaaaaa"],
        [None, 0.0],
        [None, 10.0],
    ]


def test_empty_arrays_of_keys() -> None:
    nothing = pa.array([], pa.string())
    assert [len(column) for column in keys.acav_spans(nothing)] == [0, 0, 0]
    assert len(keys.segment_keys(nothing, pa.array([], pa.float64()))) == 0


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("Y---1_cCGK4M", "---1_cCGK4M"),
        ("Yb0RFKhbpFJA.wav", "b0RFKhbpFJA"),
        ("YQSuFyFm3Lc", "YQSuFyFm3Lc"),  # eleven characters: the Y is its own
        ("YQSuFyFm3Lc.FLAC", "YQSuFyFm3Lc"),
        ("YYjjjjjjjjj0.mp4", "Yjjjjjjjjj0"),
        ("Xb0RFKhbpFJA", None),
        ("b0RFKhbpFJ.wav", None),
        ("b0RFKhb FJA", None),
    ],
)
def test_audioset_names(name: str, video: str | None) -> None:
    assert keys.audioset_video(name) == video
    assert keys.audioset_videos(pa.array([name])).to_pylist() == [video]


@pytest.mark.parametrize(
    ("sound_id", "key"), [("117790", "fs:117790"), ("0042", "fs:42"), ("0", "fs:0"), ("Not found", None), ("", None)]
)
def test_freesound(sound_id: str, key: str | None) -> None:
    assert keys.freesound_key(sound_id) == key
    assert keys.freesound_keys(pa.array([sound_id, None])).to_pylist() == [key, None]


def test_other_keys() -> None:
    assert keys.bbc_key("07066104") == "bbc:07066104"
    assert keys.bbc_key("7066104") is None
    assert keys.soundbible_key("2219") == "sb:2219"
    assert keys.soundbible_key("a") is None
    assert keys.prefixed("bbc", pa.array(["07066104", "1"]), "[0-9]{8}").to_pylist() == ["bbc:07066104", None]
    assert keys.video_key("b0RFKhbpFJA") == "yt:b0RFKhbpFJA"
    assert keys.file_key(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e7), st.integers(0, 10**7).map(lambda n: n / 2000)), max_size=30))
def test_arrays_of_starts_are_written_as_python_writes_them(starts: list[float | None]) -> None:
    videos = pa.array(["_7Xe9vD3Hpg"] * len(starts), pa.string())
    written = keys.segment_keys(videos, pa.array(starts, pa.float64())).to_pylist()
    assert written == [None if start is None else keys.segment_key("_7Xe9vD3Hpg", start) for start in starts]


@pytest.mark.parametrize(
    ("read", "name", "span"),
    [
        (keys.second_spans, "OxPnZzn1_L8_000883", ("OxPnZzn1_L8", 883.0, 893.0)),
        (keys.second_spans, "OxPnZzn1_L8_883", (None, None, None)),
        (keys.duration_spans, "_7Xe9vD3Hpg_4_10", ("_7Xe9vD3Hpg", 4.0, 14.0)),
        (keys.duration_spans, "_7Xe9vD3Hpg_4.5_10", ("_7Xe9vD3Hpg", 4.5, 14.5)),
        (keys.range_spans, "---2_BBVHAA_30_40", ("---2_BBVHAA", 30.0, 40.0)),
        (keys.range_spans, "---2_BBVHAA", (None, None, None)),
        (keys.range_spans, "2_BBVHAA_30_40", (None, None, None)),
    ],
)
def test_spans_of_videos(read: Any, name: str, span: tuple[Any, ...]) -> None:
    assert tuple(column[0].as_py() for column in read(pa.array([name]))) == span


def test_only_video_ids_are_videos() -> None:
    assert keys.videos(pa.array(["Y2_BBVHAA-_", "Y2_BBVHAA-_2", ""])).to_pylist() == ["Y2_BBVHAA-_", None, None]
