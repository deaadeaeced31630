"""A library of single events for the pairs, synthesised: sixteen sounds of eight labels, at several rates, one in 5.1."""

import csv
from pathlib import Path

import numpy as np
import soundfile

LABELS = (
    "bird song",
    "dog barking",
    "a burst of white noise",
    "ticking clock",
    "glass breaking",
    "car horn",
    "water dripping",
    "hand clapping",
)
RATES_HZ = (16_000, 44_100, 8_000, 192_000)


def sound(number: int, rate_hz: int) -> np.ndarray:
    """Returns an event, float64[n]: a tone or noise that dies away, 0.2 to 0.9 s."""
    rng = np.random.default_rng(number)
    t = np.arange(int(rng.uniform(0.2, 0.9) * rate_hz)) / rate_hz
    tone = np.sin(2 * np.pi * rng.uniform(200, 3000) * t)
    decay = np.exp(-t * rng.uniform(0, 8))
    return 0.5 * decay * (tone if number % 3 else rng.uniform(-1, 1, len(t)))


def write_event_clips(folder: Path, lines: tuple[tuple[str, str, str], ...] = ()) -> Path:
    """Writes the files and `events.csv`; `lines` stand behind the sixteen. Returns the folder."""
    (folder / "more").mkdir(parents=True, exist_ok=True)
    table = []
    for number in range(16):
        name = f"{'more/' if number % 5 == 0 else ''}event_{number:02d}.wav"
        rate_hz = RATES_HZ[number % len(RATES_HZ)]
        channels = 6 if number == 7 else 1
        soundfile.write(folder / name, np.stack([sound(number, rate_hz)] * channels, axis=1), rate_hz)
        table.append((name, LABELS[number % len(LABELS)], "animals" if number % 2 else "things"))
    with (folder / "events.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "label", "category"), *table, *lines])
    return folder
