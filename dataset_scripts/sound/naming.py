"""How sound files are named, and what a row looks for among them.

- A file is indexed under terms: `=<stem>` (its name without folder and sound ending), `yt:<video>` for a name that is a video
  id, `yt:<video>@<start>` for a name that says when a segment begins, `#<number>` for digits, whatever zeros lead them.
- All published ways to write a segment are read: `<video>_<start>` (AudioCaps, six digits in VGGSound), `<video>_<start>_<end>`,
  `<video>_<start>_<duration>`, `<video>_<start ms>_<end ms>`, and the decimal form of MECAT and ACAVCaps; `Y` may lead the
  video. A reading must last ten seconds; where readings differ in the start, the name gives no such term.
- Digits are Freesound's, BBC's or SoundBible's by a folder that says so, never by their look.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .. import keys

SOUND_SUFFIXES = frozenset(".wav .flac .mp3 .mp4 .m4a .ogg .oga .opus .webm .aif .aiff .aac .au .mka .mkv .wma .w64 .caf".split())
LOSSLESS = frozenset(".wav .flac .aif .aiff .au .w64 .caf".split())
_SEGMENT = re.compile(rf"(?P<video>{keys.VIDEO_ID})(?P<times>(?:_[0-9]+(?:\.[0-9]+)?){{1,4}})")
_TOLERANCE_S = 0.05
# Words on a path that say whose numbers the file names are.
_COLLECTIONS = {"freesound": ("freesound", "fsd"), "bbc": ("bbc",), "soundbible": ("soundbible",)}
# Splits of Clotho, whose files have the same names in several of them.
_PARTS = ("development", "validation", "evaluation")
# Characters that some systems do not allow in file names: unpackers write `_` instead.
_NOT_ALLOWED = re.compile(r'[:"*?<>|\\]')


@dataclass(frozen=True)
class Wanted:
    """What a row looks for.

    Attributes:
        terms: terms in order; the first one that a file has decides.
        path: the end of a path by which one of several files is preferred.
        archive: the archive by which one of several files is preferred, as the publisher calls it.
        near: words of which the path must hold one, if it holds one of `near` or `not_near`.
        not_near: words that the path must not hold in their place.
        needs_collection: a number is taken only from a folder that says whose numbers it holds.
        is_own_segment: the segment is none of AudioSet's: a file named by the video alone is the whole video or another segment.
    """

    terms: tuple[str, ...]
    path: str | None = None
    archive: str | None = None
    near: tuple[str, ...] = ()
    not_near: tuple[str, ...] = ()
    needs_collection: bool = False
    is_own_segment: bool = False


def is_sound(name: str) -> bool:
    """Whether a file is taken for sound by its ending."""
    return PurePosixPath(name).suffix.lower() in SOUND_SUFFIXES


def stem_of(path: str) -> str:
    """Returns a file name without folders and sound ending, in one form of Unicode.

    >>> stem_of("a/b/Yb0RFKhbpFJA.wav"), stem_of("a.b"), stem_of("c.d.mp3")
    ('Yb0RFKhbpFJA', 'a.b', 'c.d')
    """
    name = path.rpartition("/")[2]
    head, dot, suffix = name.rpartition(".")
    return unicodedata.normalize("NFC", head if dot and f".{suffix.lower()}" in SOUND_SUFFIXES else name)


def terms_of(path: str) -> tuple[str, ...]:
    """Returns the terms under which a sound file is found.

    >>> terms_of("audio/Yb0RFKhbpFJA.wav")
    ('=Yb0RFKhbpFJA', 'yt:b0RFKhbpFJA')
    >>> terms_of("wo8sFEF7sWM_166_48_176_48.flac")
    ('=wo8sFEF7sWM_166_48_176_48', 'yt:wo8sFEF7sWM@166.480')
    >>> terms_of("FreeSound/0117790.flac")
    ('=0117790', '#117790')
    """
    stem = stem_of(path)
    found = [f"={stem}"]
    if segment := segment_of(stem):
        found.append(segment)
    elif video := keys.audioset_video(stem):
        found.append(keys.video_key(video))
    if stem.isascii() and stem.isdigit():
        found.append(f"#{int(stem)}")
    return tuple(found)


def segment_of(stem: str) -> str | None:
    """Returns the key of the segment that a name speaks of, None if it speaks of none, or may speak of several.

    >>> segment_of("OxPnZzn1_L8_000883"), segment_of("---2_BBVHAA_30_40"), segment_of("9eUrEyAR3xk_84_10")
    ('yt:OxPnZzn1_L8@883.000', 'yt:---2_BBVHAA@30.000', 'yt:9eUrEyAR3xk@84.000')
    >>> segment_of("--8puiAGLhs_30000_40000"), segment_of("Yb0RFKhbpFJA_30.000_40.000"), segment_of("b0RFKhbpFJA_3_7")
    ('yt:--8puiAGLhs@30.000', 'yt:b0RFKhbpFJA@30.000', None)
    """
    match = _SEGMENT.fullmatch(stem) or (_SEGMENT.fullmatch(stem[1:]) if stem.startswith("Y") else None)
    if match is None:
        return None
    video, numbers = match["video"], match["times"][1:].split("_")
    if len(numbers) == 1:
        return keys.segment_key(video, float(numbers[0]))
    starts = set()
    if span := keys.acav_span(f"{video}{match['times']}"):
        starts.add(f"{span.start_s:.3f}")
    if len(numbers) == 2:
        first, second = float(numbers[0]), float(numbers[1])
        readings = [(first, second - first), (first, second), (first / 1000, (second - first) / 1000)]
        starts |= {f"{start:.3f}" for start, lasts in readings if abs(lasts - keys.SEGMENT_S) <= _TOLERANCE_S}
    return f"{keys.video_key(video)}@{starts.pop()}" if len(starts) == 1 else None


def is_bare(path: str) -> bool:
    """Whether a file is named by a video alone."""
    return segment_of(stem_of(path)) is None and keys.audioset_video(stem_of(path)) is not None


def safe_stem(stem: str) -> str:
    """Returns a name as systems write it that do not allow all of its characters."""
    return _NOT_ALLOWED.sub("_", stem)


def collection_of(path: str) -> str | None:
    """Returns whose numbers the file names in a folder are, None where nothing on the path says so, or several words do.

    >>> collection_of("Zip_files/FreeSound/1.flac"), collection_of("BBC_Sound_Effects.zip/07.flac"), collection_of("x/1.wav")
    ('freesound', 'bbc', None)
    """
    folders = path.lower().rpartition("/")[0]
    found = [name for name, words in _COLLECTIONS.items() if any(word in folders for word in words)]
    return found[0] if len(found) == 1 else None


def fits(wanted: Wanted, path: str, kind: str | None) -> str | None:
    """Returns why a file that has one of the terms is not the one, None if it is.

    Args:
        wanted: what is looked for.
        path: the file with the folders and archives above it.
        kind: the kind of the row's reference, which says whose numbers they are.
    """
    stem = stem_of(path)
    if stem.isascii() and stem.isdigit() and kind in _COLLECTIONS:
        owner = collection_of(path)
        if owner is not None and owner != kind:
            return f"{path} belongs to {owner}"
        if owner is None and wanted.needs_collection:
            return f"no folder above {path} says whose number this is; put it into one with {kind} in its name"
    words = re.split(r"[^a-z0-9]+", path.lower().rpartition("/")[0])
    if any(word in words for word in wanted.not_near) and not any(word in words for word in wanted.near):
        return f"{path} belongs to another part"
    return None


def wanted(
    references: Iterable[dict[str, Any] | None],
    source_keys: Iterable[str | None],
    *,
    has_own_segments: bool = False,
    needs_collection: bool = False,
) -> list[Wanted | None]:
    """Returns what some rows look for: the publisher's file name, the upstream key, the segment, the video.

    Args:
        references: `audio_ref` or `audio_ref_b` of each row.
        source_keys: upstream keys that may be file names, None where they are not.
        has_own_segments: see `Wanted.is_own_segment`.
        needs_collection: see `Wanted`.
    """
    return [
        None if one is None else _wanted(one, key, has_own_segments, needs_collection)
        for one, key in zip(references, source_keys, strict=True)
    ]


def _wanted(reference: dict[str, Any], source_key: str | None, has_own_segments: bool, needs_collection: bool) -> Wanted:
    names = [stem_of(name) for name in (reference["member"], reference["file_name"]) if name]
    if source_key and "://" not in source_key and not stem_of(source_key).isdigit():  # nobody says whose number it is
        names.append(stem_of(source_key))
    terms = [f"={name}" for name in (*names, *map(safe_stem, names))]
    kind, key, start_s = reference["kind"], reference["key"], reference["start_s"]
    is_number = key is not None and key.isascii() and key.isdigit()
    if kind == "youtube" and key is not None:
        terms += [keys.segment_key(key, start_s)] if start_s is not None else []
        terms.append(keys.video_key(key))
    elif kind == "freesound" and is_number and all(name.isdigit() for name in names):
        terms.append(f"#{int(key)}")  # elsewhere the file is a piece of the recording
    elif kind in _COLLECTIONS and is_number and not names:
        terms.append(f"={key}")
    said = f"{reference['member'] or ''} {reference['archive'] or ''}".lower()
    words = set(re.split(r"[^a-z0-9]+", said))
    near = tuple(part for part in _PARTS if part in words)
    return Wanted(
        tuple(dict.fromkeys(terms)),
        path=reference["member"],
        archive=reference["archive"],
        near=near,
        not_near=tuple(part for part in _PARTS if part not in near) if near else (),
        needs_collection=needs_collection,
        # An upstream id that is a video alone names AudioSet's segment of it, in every corpus.
        is_own_segment=has_own_segments and not (source_key and is_bare(source_key)),
    )
