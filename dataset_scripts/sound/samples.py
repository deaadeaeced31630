"""Samples in and out: reading sound files of any kind, resampling, encoding.

- Samples are float32[n_channels, n] in [-1, 1]; times are seconds, rates hertz.
- A file is told by its content, not by its name: an mp3 called `.wav` is read as what it is.
- libsndfile reads wav, flac, mp3, ogg, opus, aiff and more. What it cannot read (m4a, webm, mp4) goes to torchcodec, where that
  works.
- FLAC is 16 bits per sample; equal samples give equal bytes with equal versions of soundfile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..errors import InputError, MissingRequirementError, SoundError

Samples = NDArray[np.float32]

FULL_SCALE = 32768  # 16-bit samples per unit


@dataclass(frozen=True)
class Sound:
    """Samples with their rate.

    Attributes:
        samples: float32[n_channels, n] in [-1, 1].
        rate_hz: samples per second and channel.
    """

    samples: Samples
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return float(self.samples.shape[1] / self.rate_hz)


def read(source: bytes | Path, *, start_s: float = 0.0, end_s: float | None = None) -> Sound:
    """Returns what a sound file holds, all channels at its own rate.

    Args:
        source: the bytes of a file, or where it lies.
        start_s: where to begin.
        end_s: where to end; None, or behind the end, for all that is left.

    Raises:
        SoundError: it is empty, in no format that can be read, cut or damaged, ends before `start_s`, or holds numbers that are
            no samples (NaN, infinite).
    """
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            rate_hz = file.samplerate
            begin = round(start_s * rate_hz)
            if begin:
                file.seek(min(begin, file.frames))
            frames = -1 if end_s is None else max(0, round(end_s * rate_hz) - begin)
            data = file.read(frames, dtype="float32", always_2d=True)
            # A wav file that was cut says in its header how much there was.
            if end_s is None and begin + len(data) < file.frames:
                raise SoundError("damaged", f"the header speaks of {file.frames} samples and {begin + len(data)} are there")
    except (soundfile.LibsndfileError, OSError, ValueError) as problem:
        data, rate_hz = _by_torchcodec(source, start_s, end_s, problem)
    samples = np.ascontiguousarray(data.T)
    if not samples.size:
        raise SoundError("empty", f"it holds no samples{f' behind {start_s:g} s' if start_s else ''}")
    if not np.isfinite(samples).all():
        raise SoundError("not_finite", "it holds samples that are no numbers (NaN or infinite)")
    return Sound(samples, rate_hz)


def _by_torchcodec(source: bytes | Path, start_s: float, end_s: float | None, problem: Exception) -> tuple[Samples, int]:
    content = source if isinstance(source, bytes) else source.read_bytes() if source.is_file() else b""
    if not content:
        raise SoundError("empty" if isinstance(source, bytes) or source.is_file() else "missing", "the file has no bytes")
    # ISO media (m4a, mp4) and Matroska (webm) are all that libsndfile lacks: anything else is damaged, or no sound.
    if content[4:8] != b"ftyp" and content[:4] != b"\x1a\x45\xdf\xa3":
        # In full it names the object in memory: the same file would be told in other words every time.
        what = getattr(problem, "error_string", problem)
        raise SoundError("unreadable", f"no format that can be read ({what})") from problem
    try:
        from torchcodec.decoders import AudioDecoder

        decoder = AudioDecoder(content)
        found = decoder.get_samples_played_in_range(start_s, end_s)
    except (ImportError, OSError, RuntimeError, ValueError) as other:
        raise SoundError(
            "unreadable", f"neither libsndfile nor torchcodec can read it ({str(other).strip().splitlines()[0]})"
        ) from other
    return np.asarray(found.data, np.float32).T, int(found.sample_rate)


def to_mono(sound: Sound) -> Sound:
    """Returns the mean of all channels."""
    if len(sound.samples) == 1:
        return sound
    return Sound(sound.samples.mean(axis=0, keepdims=True, dtype=np.float32), sound.rate_hz)


def resampled(sound: Sound, rate_hz: int) -> Sound:
    """Returns the sound at another rate (soxr, high quality).

    Raises:
        MissingRequirementError: soxr is not installed.
    """
    if sound.rate_hz == rate_hz:
        return sound
    try:
        import soxr
    except ImportError:
        raise MissingRequirementError("soxr", "Sound is resampled with it.", 'pip install "unified-audiocaps[audio]"') from None
    found = soxr.resample(sound.samples.T, sound.rate_hz, rate_hz, quality="HQ")
    return Sound(np.ascontiguousarray(found.T, dtype=np.float32), rate_hz)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Returns 16-bit samples of the same shape; what is beyond full scale is cut there."""
    scaled = np.rint(samples.astype(np.float64) * FULL_SCALE)
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def flac(sound: Sound | NDArray[np.int16], rate_hz: int | None = None) -> bytes:
    """Returns a FLAC file with 16 bits per sample.

    Args:
        sound: samples with their rate, or int16[n_channels, n] as they are to be written.
        rate_hz: the rate of the latter.

    Raises:
        SoundError: more channels or a higher rate than FLAC has room for (8 channels, 655,350 Hz).
    """
    data = sound if isinstance(sound, np.ndarray) else to_int16(sound.samples)
    rate = rate_hz if isinstance(sound, np.ndarray) else sound.rate_hz
    stream = io.BytesIO()
    try:
        soundfile.write(stream, data.T, rate, format="FLAC", subtype="PCM_16")
    except (soundfile.LibsndfileError, ValueError, TypeError) as problem:
        raise SoundError("not_storable", f"{len(data)} channels at {rate} Hz cannot be stored as FLAC ({problem})") from problem
    return stream.getvalue()


def decode(audio: Any) -> tuple[Samples, int]:
    """Returns the samples and the sampling rate of an `audio` cell, with or without torchcodec.

    Args:
        audio: what `datasets` gives for the column, decoded or not: a torchcodec `AudioDecoder`, or a dictionary with `bytes`
            and `path` (a column cast to `Audio(decode=False)`, or a row of the parquet file).

    Returns:
        float32[n_channels, n] in [-1, 1], and the sampling rate in hertz.

    Raises:
        InputError: there is no sound in the cell.
        SoundError: it is in no format that can be read.
    """
    if hasattr(audio, "get_all_samples"):
        samples = audio.get_all_samples()
        return np.asarray(samples.data, dtype=np.float32), int(samples.sample_rate)
    if isinstance(audio, dict) and audio.get("array") is not None:
        return np.atleast_2d(np.asarray(audio["array"], dtype=np.float32)), int(audio["sampling_rate"])
    if not isinstance(audio, dict) or (audio.get("bytes") is None and audio.get("path") is None):
        raise InputError(
            f"the row holds no sound ({type(audio).__name__}); expected bytes or a path. Its dataset may be text only."
        )
    try:
        found = read(audio["bytes"] if audio.get("bytes") is not None else Path(audio["path"]))
    except SoundError as problem:
        raise SoundError(problem.reason, f"the sound {audio.get('path')!r} cannot be decoded: {problem.what}") from problem
    return found.samples, found.rate_hz
