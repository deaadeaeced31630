"""Clip keys, which say that two rows of any datasets hold the same sound, and the upstream id grammars behind them.

- `yt:<11 characters>` a YouTube video, `yt:<11>@<start .3f>` a segment of it; `fs:<int>` Freesound; `bbc:<8 digits>`;
  `sb:<id>` SoundBible; `sha256:<hex>` a file.
- A key is never guessed: an id that fits no grammar gets none and stays verbatim in `source_key`.
- YouTube ids contain `_` and `-`: they are cut by position (11 characters), never split at `_`.
- Array functions take and return Arrow arrays of equal length, null where the id fits no grammar.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VIDEO_ID = r"[A-Za-z0-9_-]{11}"
SEGMENT_S = 10.0  # AudioSet, AudioCaps, ACAV100M and VGGSound cut segments of ten seconds
_SECONDS = r"[0-9]+(?:\.[0-9]+)?"
_SOUND_SUFFIX = re.compile(r"\.(wav|flac|mp3|mp4|m4a|ogg|webm)$", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """A stretch of a YouTube video.

    Attributes:
        video: the 11-character id.
        start_s: where it begins.
        end_s: where it ends.
    """

    video: str
    start_s: float
    end_s: float


def without_sound_suffix(name: str) -> str:
    """Returns a file name without its sound ending.

    >>> without_sound_suffix("Yb0RFKhbpFJA.wav"), without_sound_suffix("a.b")
    ('Yb0RFKhbpFJA', 'a.b')
    """
    return _SOUND_SUFFIX.sub("", name)


def audioset_video(name: str) -> str | None:
    """Returns the video id of an AudioSet-style name, which may carry a leading `Y` and a sound ending.

    The `Y` is taken off only from 12 characters: an 11-character id may itself begin with `Y`.

    >>> audioset_video("Y---1_cCGK4M"), audioset_video("YQSuFyFm3Lc.wav"), audioset_video("short")
    ('---1_cCGK4M', 'YQSuFyFm3Lc', None)
    """
    stem = without_sound_suffix(name)
    if len(stem) == 12 and stem[0] == "Y":
        stem = stem[1:]
    return stem if re.fullmatch(VIDEO_ID, stem) else None


def video_key(video: str) -> str:
    """Returns the key of a whole YouTube video."""
    return f"yt:{video}"


def segment_key(video: str, start_s: float) -> str:
    """Returns the key of the segment of a YouTube video that begins at `start_s`.

    >>> segment_key("_7Xe9vD3Hpg", 4)
    'yt:_7Xe9vD3Hpg@4.000'
    """
    return f"yt:{video}@{start_s:.3f}"


def freesound_key(sound_id: str | int) -> str | None:
    """Returns the key of a Freesound recording; leading zeros do not count, text is no id.

    >>> freesound_key("0117790"), freesound_key("Not found")
    ('fs:117790', None)
    """
    text = str(sound_id)
    return f"fs:{int(text)}" if re.fullmatch(r"[0-9]+", text) else None


def bbc_key(sound_id: str) -> str | None:
    """Returns the key of a BBC sound effect: eight digits whose leading zeros count.

    >>> bbc_key("07066104"), bbc_key("7066104")
    ('bbc:07066104', None)
    """
    return f"bbc:{sound_id}" if re.fullmatch(r"[0-9]{8}", sound_id) else None


def soundbible_key(sound_id: str) -> str | None:
    """Returns the key of a SoundBible clip."""
    return f"sb:{sound_id}" if re.fullmatch(r"[0-9]+", sound_id) else None


def file_key(data: bytes) -> str:
    """Returns the key of a sound file by its content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def acav_span(key: str) -> Span | None:
    """Returns the span named by a MECAT or ACAVCaps key, null where no reading lasts ten seconds.

    The decimal point is written `_` and whole seconds drop their fraction, so after the video id there are two, three or four
    numbers. Three can be read in two ways; the one that lasts 10 ± 0.05 s is right, and it is unique for all published keys.

    >>> acav_span("wo8sFEF7sWM_166_48_176_48")
    Span(video='wo8sFEF7sWM', start_s=166.48, end_s=176.48)
    >>> acav_span("sxIdgHIUKhI_0_0_10").start_s, acav_span("foJSij5nnlI_5_999999999999999_16").start_s
    (0.0, 5.999999999999999)
    """
    if not re.fullmatch(VIDEO_ID + r"(_[0-9]+){2,4}", key):
        return None
    n = key[12:].split("_")
    readings = {
        2: [(n[0], n[1])] if len(n) == 2 else [],
        3: [(f"{n[0]}.{n[1]}", n[2]), (n[0], f"{n[1]}.{n[2]}")] if len(n) == 3 else [],
        4: [(f"{n[0]}.{n[1]}", f"{n[2]}.{n[3]}")] if len(n) == 4 else [],
    }[len(n)]
    spans = [Span(key[:11], float(start), float(end)) for start, end in readings]
    fitting = [span for span in spans if abs(span.end_s - span.start_s - SEGMENT_S) <= 0.05]
    return fitting[0] if len(fitting) == 1 else None


def acav_spans(keys: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Returns video ids, starts and ends (seconds) of MECAT or ACAVCaps keys; see `acav_span`."""
    number = "[0-9]+"
    parts = pc.extract_regex(keys, f"^(?P<video>{VIDEO_ID})_(?P<a>{number})_(?P<b>{number})_(?P<c>{number})_(?P<d>{number})$")
    start = pc.cast(pc.binary_join_element_wise(_part(parts, "a"), _part(parts, "b"), "."), pa.float64())
    end = pc.cast(pc.binary_join_element_wise(_part(parts, "c"), _part(parts, "d"), "."), pa.float64())
    lasts = pc.subtract(pc.subtract(end, start), SEGMENT_S)
    plain = pc.fill_null(pc.less_equal(pc.abs(lasts), 0.05), False)
    video = _part(parts, "video")
    if pc.all(plain).as_py():
        return video, start, end
    # Under two keys in a hundred have a form of their own: read them one by one.
    other = pc.invert(plain)
    spans = [acav_span(key) for key in keys.filter(other).to_pylist()]
    return (
        pc.replace_with_mask(video, other, pa.array([s and s.video for s in spans], pa.string())),
        pc.replace_with_mask(start, other, pa.array([s and s.start_s for s in spans], pa.float64())),
        pc.replace_with_mask(end, other, pa.array([s and s.end_s for s in spans], pa.float64())),
    )


def videos(ids: pa.StringArray) -> pa.StringArray:
    """Returns the ids that are YouTube video ids, null for the others."""
    return _matching(ids, f"^{VIDEO_ID}$")


def second_spans(ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Returns videos, starts and ends (seconds) of VGGSound ids: `<video>_<start in six digits>`, ten seconds long."""
    video, start_s, _ = _spans(ids, "(?P<start>[0-9]{6})(?P<other>)")
    return video, start_s, pc.add(start_s, SEGMENT_S)


def duration_spans(ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Returns videos, starts and ends (seconds) of AudioSetCaps' YouTube-8M ids: `<video>_<start>_<duration>`."""
    video, start_s, duration_s = _spans(ids, f"(?P<start>{_SECONDS})_(?P<other>{_SECONDS})")
    return video, start_s, pc.add(start_s, duration_s)


def range_spans(ids: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Returns videos, starts and ends (seconds) of ids such as `<video>_30_40`: start and end."""
    return _spans(ids, f"(?P<start>{_SECONDS})_(?P<other>{_SECONDS})")


def _spans(ids: pa.StringArray, times: str) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    parts = pc.extract_regex(ids, f"^(?P<video>{VIDEO_ID})_{times}$")
    other = _part(parts, "other")
    other = pc.if_else(pc.equal(other, ""), pa.scalar(None, pa.string()), other)
    return _part(parts, "video"), pc.cast(_part(parts, "start"), pa.float64()), pc.cast(other, pa.float64())


def audioset_videos(names: pa.StringArray) -> pa.StringArray:
    """Returns the video ids of AudioSet-style names; see `audioset_video`."""
    stem = pc.replace_substring_regex(names, r"(?i)\.(wav|flac|mp3|mp4|m4a|ogg|webm)$", "")
    is_long = pc.equal(pc.utf8_length(stem), 12)
    stem = pc.if_else(pc.and_(is_long, pc.starts_with(stem, "Y")), pc.utf8_slice_codeunits(stem, 1), stem)
    return _matching(stem, f"^{VIDEO_ID}$")


def prefixed(prefix: str, ids: pa.StringArray, grammar: str) -> pa.StringArray:
    """Returns `prefix:id` for the ids that match the regular expression `grammar`, null for the others."""
    return pc.binary_join_element_wise(prefix, _matching(ids, f"^(?:{grammar})$"), ":")


def freesound_keys(ids: pa.StringArray) -> pa.StringArray:
    """Returns Freesound keys; see `freesound_key`."""
    digits = pc.replace_substring_regex(_matching(ids, "^[0-9]+$"), "^0+([0-9])", r"\1")
    return pc.binary_join_element_wise("fs", digits, ":")


def segment_keys(videos: pa.StringArray, starts_s: pa.DoubleArray) -> pa.StringArray:
    """Returns segment keys, equal to `segment_key` value by value; null where either side is null."""
    return pc.binary_join_element_wise("yt:", videos, "@", milliseconds(starts_s), "")


def milliseconds(seconds: pa.DoubleArray) -> pa.StringArray:
    """Returns non-negative numbers with three decimals, rounded as Python's `.3f` rounds them."""
    values = seconds.fill_null(0.0).to_numpy(zero_copy_only=False)
    scaled = values * 1000.0
    whole = np.rint(scaled).astype(np.int64)
    text = pc.binary_join_element_wise(
        pc.cast(pa.array(whole // 1000), pa.string()),
        pc.utf8_lpad(pc.cast(pa.array(whole % 1000), pa.string()), width=3, padding="0"),
        ".",
    )
    # Next to a half the product has lost the digit that decides: ask Python.
    doubtful = (np.abs(scaled - np.floor(scaled) - 0.5) < 1e-6) | (values < 0) | (values > 1e12)
    if doubtful.any():
        text = pc.replace_with_mask(text, pa.array(doubtful), pa.array([f"{v:.3f}" for v in values[doubtful]], pa.string()))
    return pc.if_else(pc.is_valid(seconds), text, pa.scalar(None, pa.string()))


def _part(parts: pa.StructArray, name: str) -> pa.StringArray:
    return pc.struct_field(parts, name)


def _matching(values: pa.StringArray, grammar: str) -> pa.StringArray:
    fits = pc.match_substring_regex(values, grammar)
    return pc.if_else(fits, values, pa.scalar(None, pa.string()))
