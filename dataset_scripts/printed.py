"""Figures that papers and publishers print about their datasets, as they are printed; `report` sets ours beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """A figure that somebody prints about a dataset.

    Attributes:
        config: the dataset.
        statistic: the key of our own figure.
        figure: the figure as it is printed: `1,232`, `4.7M`, `13.0k`.
        where: where it is printed.
        split: the split it is about, None for all.
        subset: the subset it is about, None for all.
    """

    config: str
    statistic: str
    figure: str
    where: str
    split: str | None = None
    subset: str | None = None

    @property
    def value(self) -> float:
        """The figure as a number.

        >>> [Printed("c", "clips", figure, "").value for figure in ("1,232", "4.7M", "13.0k", "9.03")]
        [1232.0, 4700000.0, 13000.0, 9.03]
        """
        return float(self.figure.rstrip("kM").replace(",", "")) * self._factor

    @property
    def unit(self) -> float:
        """What its last printed digit counts.

        >>> [Printed("c", "clips", figure, "").unit for figure in ("1,232", "4.7M", "13.0k", "9.03")]
        [1.0, 100000.0, 100.0, 0.01]
        """
        _, _, decimals = self.figure.rstrip("kM").partition(".")
        return float(self._factor / 10 ** len(decimals))

    @property
    def _factor(self) -> float:
        return {"k": 1e3, "M": 1e6}.get(self.figure[-1], 1.0)

    def agrees(self, ours: float) -> bool:
        """Whether our figure, rounded as the printed one is, is the printed one."""
        return abs(ours - self.value) <= self.unit / 2 * (1 + 1e-9)


def _printed() -> Iterator[Printed]:
    """Yields the figures, by the table they stand in; the counts of the cards are added where a set is described."""
    where = "WavCaps, Table III"  # also on its card on the Hub
    for subset, clips, seconds, words in (
        ("AudioSet_SL", "108,317", "10.00", "9.79"),
        ("BBC_Sound_Effects", "31,201", "115.04", "9.67"),
        ("FreeSound", "262,300", "85.98", "6.77"),
        ("SoundBible", "1,232", "13.12", "5.87"),
        (None, "403,050", "67.59", "7.80"),
    ):
        yield Printed("wavcaps", "clips", clips, where, subset=subset)
        yield Printed("wavcaps", "mean_duration_s", seconds, where, subset=subset)
        yield Printed("wavcaps", "mean_words", words, where, subset=subset)

    where = "AudioSetCaps, card on the Hub"
    for subset, captions, questions in (
        ("audioset", "1,910,920", "5,736,072"),
        ("vggsound", "182,189", "592,680"),
        ("youtube8m", "4,023,990", "12,086,037"),
        (None, "6,117,099", "18,414,789"),
    ):
        yield Printed("audiosetcaps", "captions", captions, where, subset=subset)
        yield Printed("audiosetcaps", "questions", questions, where, subset=subset)
    yield Printed("audiosetcaps", "captions", "1.9M", "AudioSetCaps paper", subset="audioset")
    yield Printed("audiosetcaps", "mean_words", "28", "AudioSetCaps paper", subset="audioset")

    where = "ACAVCaps, Table 1 and README"  # the tokens are those of Qwen3's tokenizer
    for config, split, subset, samples, tokens in (
        ("audiocaps", "train", None, "50k", "5.5k"),
        ("clotho", "development", None, "3.8k", "5.5k"),
        ("song_describer", None, None, "0.4k", "2.4k"),
        ("musiccaps", None, None, "4.6k", "4.6k"),
        ("wavcaps", None, None, "0.4M", "23.1k"),
        ("auto_acd", None, None, "1.9M", "20.3k"),
        ("sound_vecaps", None, "full", "1.6M", "42.7k"),
        ("audiosetcaps", None, "audioset", "2.0M", "20.9k"),
        ("acavcaps", None, None, "4.7M", "76.7k"),
    ):
        yield Printed(config, "clips", samples, where, split, subset)
        yield Printed(config, "unique_tokens", tokens, f"{where}: --tokenizer Qwen/Qwen3-0.6B", split, subset)
    yield Printed("lp_musiccaps", "captions", "21.6k", where)
    yield Printed("lp_musiccaps", "unique_tokens", "5.1k", f"{where}: --tokenizer Qwen/Qwen3-0.6B")
    yield Printed("acavcaps", "hours", "13.0k", "ACAVCaps paper")

    where = "FusionAudio, Table 2"
    for config, split, subset, clips, seconds, length in (
        ("audiocaps", "train", None, "46k", "10.00", "9.03"),
        ("clotho", None, None, "5k", "22.50", "11.00"),
        ("laion_audio_630k", None, None, "630k", "24.58", "7.30"),
        ("wavcaps", None, None, "403k", "67.59", "7.80"),
        ("audiosetcaps", None, "audioset", "1.9M", "", "28.00"),
        ("auto_acd", None, None, "1.5M", "10.00", "18.10"),
        ("compa_r", "train", None, "62k", "9.93", ""),
        ("fusionaudio", "train", None, "1.2M", "10.00", "47.18"),
    ):
        yield Printed(config, "clips", clips, where, split, subset)
        if seconds:
            yield Printed(config, "mean_duration_s", seconds, where, split, subset)
        if length:
            yield Printed(config, "mean_words", length, where, split, subset)
    yield Printed("fusionaudio", "mean_tokens", "47.18", f"{where}: Figure 3b counts tokens, of no named tokenizer", "train")
    yield Printed("fusionaudio", "questions", "6M", f"{where}: captions are counted in", "train")
    yield Printed("compa_r", "questions", "200k", where, "train")

    yield Printed("song_describer", "captions", "1,106", "Song Describer, README")
    yield Printed("song_describer", "mean_words", "21.7", "Song Describer, README")
    yield Printed("song_describer", "vocabulary", "2,859", "Song Describer, README")

    where = "aac-datasets 0.7.0, README"  # third-party counts; its words are those of spaCy
    for config, split, hours, captions, vocabulary in (
        ("audiocaps", "train", "136.6", "49,838", "4,724"),
        ("clotho", "development", "24.0", "19,195", "4,369"),
        ("macs", None, "10.9", "17,275", "2,721"),
        ("wavcaps", None, "7,563.3", "403,050", "24,600"),
    ):
        yield Printed(config, "hours", hours, where, split)
        yield Printed(config, "captions", captions, where, split)
        yield Printed(config, "vocabulary", vocabulary, f"{where}: spaCy's words", split)


PRINTED = tuple(_printed())
