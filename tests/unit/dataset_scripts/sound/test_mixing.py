"""Levels, peaks and sums against arithmetic that is written out here."""

import math

import numpy as np
import pytest
import scipy.signal
from unified_audiocaps.dataset_scripts.errors import SoundError
from unified_audiocaps.dataset_scripts.sound import mixing

RATE_HZ = 16_000


def measured_db(event: np.ndarray, base: np.ndarray) -> float:
    """The definition in the module's docstring, frame by frame: 320 samples at 16 kHz, -60 dBFS is a mean square of 1e-6."""

    def power(words: np.ndarray) -> float:
        values = words.astype(np.float64) / 32768
        frames = [values[i : i + 320] for i in range(0, len(values), 320)]
        heard = [frame for frame in frames if np.mean(frame**2) >= 1e-6]
        return float(np.mean(np.concatenate(heard) ** 2))

    return 10 * math.log10(power(event) / power(base))


def oversampled_peak(words: np.ndarray) -> float:
    """The peak of a signal that scipy's filter oversampled four times."""
    return float(np.abs(scipy.signal.resample_poly(words.astype(np.float64) / 32768, 4, 1)).max())


def tone(seconds: float, hertz: float, level: float, phase: float = 0.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ + phase)


def noise(seconds: float, level: float, seed: int) -> np.ndarray:
    return level * np.random.default_rng(seed).uniform(-1, 1, round(seconds * RATE_HZ))


def test_power_leaves_silent_frames_out() -> None:
    clip = np.concatenate([np.zeros(RATE_HZ), tone(1, 1000, 0.5), 0.0005 * np.ones(RATE_HZ)])
    assert mixing.Levels.of(clip, RATE_HZ).power() == pytest.approx(0.125)
    assert mixing.Levels.of(clip, RATE_HZ).span() == (RATE_HZ, 2 * RATE_HZ)
    assert mixing.Levels.of(clip, RATE_HZ).power(0.001) == 0
    assert mixing.Levels.of(np.full(330, 0.1), RATE_HZ).power() == pytest.approx(0.01)  # ten samples are a frame, too
    assert mixing.Levels.of(np.zeros(0), RATE_HZ).power() == 0
    assert math.isnan(mixing.snr_db(np.zeros(400), clip, RATE_HZ))


def test_true_peak_finds_what_lies_between_samples() -> None:
    between = np.pad(tone(0.1, RATE_HZ / 4, 1.0, math.pi / 4) * np.hanning(1600), 100)
    assert np.abs(between).max() == pytest.approx(math.sqrt(0.5), abs=1e-2)
    assert mixing.true_peak(between) == pytest.approx(1.0, abs=5e-3)
    for seed in range(5):
        signal = noise(1, 0.5, seed)
        assert mixing.true_peak(signal) == pytest.approx(oversampled_peak(signal * 32768), rel=0.02)
        assert mixing.true_peak(signal, above=0.7) == mixing.true_peak(signal) or mixing.true_peak(signal) <= 0.7
    assert mixing.true_peak(np.zeros(0)) == 0.0


def test_fades_are_ten_milliseconds_and_leave_the_middle() -> None:
    found = mixing.faded(np.ones(1000), RATE_HZ)
    assert found[160:840].tolist() == [1.0] * 680
    assert 0 < found[0] < 0.001 and found[80] == pytest.approx(0.5, abs=0.01)
    assert np.allclose(found, found[::-1])


def test_an_event_is_cut_to_what_is_audible() -> None:
    event = np.concatenate([np.zeros(3200), tone(0.5, 500, 0.3), np.zeros(1600)])
    assert len(mixing.trimmed(event, RATE_HZ)) == 8000
    with pytest.raises(SoundError, match="no 20 ms of it reach -60 dBFS") as silent:
        mixing.trimmed(event * 1e-4, RATE_HZ)
    assert silent.value.reason == "silent"
    with pytest.raises(SoundError, match=r"0\.010 s of it are audible, and fades take 0\.02 s") as short:
        mixing.trimmed(tone(0.01, 500, 0.3), RATE_HZ)
    assert short.value.reason == "too_short"


@pytest.mark.parametrize("level", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5, 20.0])
def test_a_triple_keeps_its_promises(level: float, snr_db: float) -> None:
    base = mixing.Base.of(np.concatenate([np.zeros(4000), noise(2, level, 1)]), RATE_HZ)
    first = mixing.Placed(mixing.faded(tone(0.4, 900, 0.9), RATE_HZ), 12_345, snr_db)
    decaying = tone(0.7, 400, 0.5) * np.exp(-8 * np.arange(11_200) / RATE_HZ)
    second = mixing.Placed(mixing.faded(decaying, RATE_HZ), 0, snr_db + 1)
    found = mixing.triple(base, (first, second))
    loudest = 0.0
    for event, mixed, said, gain in zip((first, second), found.mixed, found.snrs_db, found.event_gains, strict=True):
        alone = mixed.astype(np.int32) - found.a
        assert not alone[: event.onset].any() and not alone[event.end :].any()
        wanted = event.samples * gain * found.gain * 32768
        assert np.abs(alone[event.onset : event.end] - wanted).max() <= 1
        assert measured_db(alone[event.onset : event.end], found.a) == pytest.approx(event.snr_db, abs=0.5)
        assert measured_db(alone[event.onset : event.end], found.a) == pytest.approx(said, abs=1e-9)
        loudest = max(loudest, oversampled_peak(mixed))
    assert np.abs(found.a - base.samples * found.gain * 32768).max() <= 0.5 + 1e-9
    assert max(loudest, oversampled_peak(found.a)) < 10 ** (-1 / 20)
    assert found.gain <= 1
    assert found.gain == 1 or max(loudest, oversampled_peak(found.a)) > 10 ** (-1 / 20) * 0.96  # no lower than it must be
    assert found.first_active == 4000 // 320 * 320


def test_a_quiet_triple_is_left_as_it_is() -> None:
    base = mixing.Base.of(noise(1, 0.1, 3), RATE_HZ)
    event = mixing.Placed(mixing.faded(tone(0.3, 700, 0.2), RATE_HZ), 100, 3.0)
    found = mixing.triple(base, (event, event))
    assert found.gain == 1
    assert found.a.tolist() == np.rint(base.samples * 32768).astype(np.int16).tolist()


def test_what_cannot_be_heard_is_rejected() -> None:
    base = mixing.Base.of(noise(1, 0.004, 3), RATE_HZ)
    event = mixing.Placed(mixing.faded(tone(0.3, 700, 0.2), RATE_HZ), 0, -40.0)
    with pytest.raises(SoundError, match=r"at -40\.00 dB no 20 ms of the event reach -60 dBFS") as caught:
        mixing.triple(base, (event, event))
    assert caught.value.reason == "inaudible"
    loud = mixing.Placed(event.samples, 0, 80.0)
    with pytest.raises(SoundError, match="no 20 ms of the base reach") as caught:
        mixing.triple(base, (loud, loud))
    assert caught.value.reason == "base_inaudible"
    with pytest.raises(SoundError, match="no 20 ms of it reach") as caught:
        mixing.Base.of(np.zeros(1000), RATE_HZ)
    assert caught.value.reason == "silent"
    with pytest.raises(SoundError, match="fades take"):
        mixing.Base.of(noise(0.01, 0.5, 1), RATE_HZ)


def test_levels_are_met_where_frames_lie_at_the_floor() -> None:
    """Half of the event lies about the floor: the mean power jumps where that half begins to count."""
    base = mixing.Base.of(tone(1, 500, 0.01), RATE_HZ)
    for snr_db in np.arange(-18, 6, 0.25):
        samples = np.concatenate([tone(0.4, 500, 0.05), tone(0.4, 500, 0.01)])
        event = mixing.Placed(samples, 0, snr_db)
        try:
            found = mixing.triple(base, (event, event))
        except SoundError as problem:
            assert problem.reason == "inaudible"
            assert snr_db < -10
        else:
            alone = found.mixed[0].astype(np.int32) - found.a
            assert measured_db(alone[: len(samples)], found.a) == pytest.approx(snr_db, abs=0.5)


def test_another_level_than_the_one_asked_for_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    base = mixing.Base.of(noise(1, 0.1, 3), RATE_HZ)
    event = mixing.Placed(mixing.faded(tone(0.3, 700, 0.2), RATE_HZ), 100, 3.0)
    right = mixing.triple(base, (event, event)).event_gains[0]
    for factor, is_rejected in [(1.05, False), (1.07, True), (0.95, False), (0.93, True)]:
        monkeypatch.setattr(mixing, "_event_gain", lambda *_, factor=factor: right * factor)
        if is_rejected:
            with pytest.raises(SoundError, match=r"the event lies at \d\.\d\d dB in place of 3\.00 dB") as caught:
                mixing.triple(base, (event, event))
            assert caught.value.reason == "snr"
        else:
            mixing.triple(base, (event, event))


def test_layers_are_added_as_whole_numbers_and_never_wrap() -> None:
    a = np.full(10, 30_000, np.int16)
    assert mixing.layered(a, [(np.full(2, 0.05), 3, 1.0)]).tolist() == [30_000] * 3 + [31_638] * 2 + [30_000] * 5
    with pytest.raises(SoundError, match="beyond full scale"):
        mixing.layered(a, [(np.full(2, 0.5), 3, 1.0)])
