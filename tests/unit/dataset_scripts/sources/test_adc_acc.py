"""Pairs from the sample and synthesised events: measured, rebuilt from a row alone, and built under every kind of bad input."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.build import BuildReport, build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, SoundError, UnknownNameError
from unified_audiocaps.dataset_scripts.schema import SCHEMA
from unified_audiocaps.dataset_scripts.sound import mixing
from unified_audiocaps.dataset_scripts.sound.events import Sounds
from unified_audiocaps.dataset_scripts.sound.samples import Sound, decode, flac, read
from unified_audiocaps.dataset_scripts.sources import adc_acc
from unified_audiocaps.dataset_scripts.sources.adc_acc import render
from unified_audiocaps.dataset_scripts.upstream.files import Part

from ....event_clips import LABELS, write_event_clips
from ..sound.test_mixing import measured_db, oversampled_peak

PAIRS = 180


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_event_clips(tmp_path_factory.mktemp("events"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, events: Path) -> Path:
    out = tmp_path_factory.mktemp("pairs") / "unified-audiocaps"
    build("sample", out=out)
    report = pairs(out, events, embed_audio=True)
    assert report.rows == {"train": 90, "test": 90}
    return out


def pairs(out: Path, events: Path, /, **options: Any) -> BuildReport:
    more = {name: options.pop(name) for name in ("workers", "force", "splits", "limit", "mark_overlaps") if name in options}
    told = {"base": "sample", "events": events, "pairs": PAIRS, "seed": 5}
    return build("adc_acc", out=out, options=told | options, **more)


def rows_of(data: Path, name: str = "adc_acc") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = built_set(name, data).table().to_pylist()
    return found


def words(cell: dict[str, Any]) -> np.ndarray:
    samples, rate_hz = soundfile.read(pa.BufferReader(cell["bytes"]), dtype="int16")
    assert rate_hz == 16_000 and samples.ndim == 1
    return samples


def dropped_of(data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(data / "data" / "adc_acc" / "dropped.parquet").to_pylist()
    return found


def base_files(data: Path) -> dict[str, bytes]:
    return {row["id"]: row["audio"]["bytes"] for row in rows_of(data, "sample")}


def test_every_triple_gives_the_six_edits(data: Path) -> None:
    rows = rows_of(data)
    assert len({row["id"] for row in rows}) == PAIRS
    by_triple: dict[str, list[str]] = {}
    for row in rows:
        by_triple.setdefault(f"{row['split']}/{row['source_key']}", []).append(row["id"].rpartition("/")[2])
    six = ["add-a-ab", "add-a-ac", "delete-ab-a", "delete-ac-a", "replace-ab-ac", "replace-ac-ab"]
    assert len(by_triple) == PAIRS // 6
    assert all(edits == six for edits in by_triple.values())
    used = Counter(row["base_clip"] for row in rows)
    assert set(used.values()) == {6, 12}  # fifteen triples of twelve clips
    assert all(row["base_clip"].split("/")[1] == row["split"] for row in rows)
    for row in rows:
        labels = [event["label"] for event in row["events"]]
        assert len(set(labels)) == len(labels) == (2 if row["operation"] == "replace" else 1)
        assert set(labels) <= set(LABELS)


def test_levels_measured_from_the_stored_sounds_are_those_of_the_rows(data: Path) -> None:
    checked = 0
    for row in rows_of(data):
        first, second = words(row["audio"]), words(row["audio_b"])
        assert len(first) == len(second) == round(row["duration_s"] * 16_000) == round(row["duration_b_s"] * 16_000)
        assert max(oversampled_peak(first), oversampled_peak(second)) < 10 ** (-1 / 20)
        if row["operation"] != "add":
            continue
        (event,) = row["events"]
        begin, n = round(event["onset_s"] * 16_000), round(event["duration_s"] * 16_000)
        alone = second.astype(np.int32) - first
        assert 0 <= begin and begin + n <= len(first)
        assert not alone[:begin].any() and not alone[begin + n :].any() and alone[begin : begin + n].any()
        assert 0 <= event["snr_db"] <= 10
        assert measured_db(alone[begin : begin + n], first) == pytest.approx(event["snr_db"], abs=0.5)
        scores = {score["name"]: score["value"] for score in row["scores"]}
        said = scores[f"measured_snr_db_{event['role']}"]
        assert measured_db(alone[begin : begin + n], first) == pytest.approx(said, abs=1e-9)
        checked += 1
    assert checked == PAIRS // 3


def test_a_deletion_holds_the_files_of_its_addition_swapped(data: Path) -> None:
    by_id = {row["id"]: row for row in rows_of(data)}
    for row_id, added in by_id.items():
        if added["operation"] != "add":
            continue
        state = row_id.rpartition("-")[2]
        deleted = by_id[row_id.replace(f"add-a-{state}", f"delete-{state}-a")]
        assert (deleted["audio"], deleted["audio_b"]) == (added["audio_b"], added["audio"])
        assert (deleted["caption"], deleted["caption_b"]) == (added["caption_b"], added["caption"])
        assert deleted["events"] == added["events"] and deleted["scores"] == added["scores"]
        commons = [next(c["text"] for c in row["captions"] if c["style"] == "commonality") for row in (added, deleted)]
        assert commons == [added["caption"]] * 2


def test_a_pair_is_rebuilt_from_its_row_alone(data: Path, events: Path) -> None:
    bases = base_files(data)
    for row in rows_of(data):
        # as it comes out of JSON: nothing but the row's values counts
        alone = json.loads(json.dumps({key: value for key, value in row.items() if not key.startswith("audio")}))
        first, second = render(alone, bases[row["base_clip"]], events)
        assert np.array_equal(first, words(row["audio"])) and np.array_equal(second, words(row["audio_b"]))
    other = next(sound for name, sound in bases.items() if name != row["base_clip"])
    with pytest.raises(SoundError, match=f"not that of {row['base_clip']}"):
        render(row, other[: len(other)], Sounds(events, 16_000)) if len(other) != len(bases[row["base_clip"]]) else None
    with pytest.raises(SoundError, match="there is no file"):
        render(row, bases[row["base_clip"]], {})


def test_rows_without_sound_say_the_same(data: Path, events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build("sample", out=out)
    pairs(out, events)
    plain, embedded = rows_of(out), rows_of(data)
    for row in embedded:
        assert row["audio_ref"].pop("kind") == "embedded" and row["audio_ref_b"].pop("kind") == "embedded"
        row["audio"] = row["audio_b"] = None
    for row in plain:
        assert row["audio_ref"].pop("kind") == "mixture" and row["audio_ref_b"].pop("kind") == "mixture"
    assert plain == embedded


def test_draws_depend_on_the_seed_and_not_on_the_parts(
    data: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row["id"]: {**row, "provenance": None} for row in rows_of(data)}
    monkeypatch.setattr(adc_acc, "_TRIPLES_PER_PART", 4)
    out = tmp_path / "out"
    build("sample", out=out)
    pairs(out, events, embed_audio=True)
    assert {row["id"]: {**row, "provenance": None} for row in rows_of(out)} == rows
    pairs(out, events, seed=6)
    assert len({row["id"] for row in rows_of(out)} & rows.keys()) < PAIRS / 2


def test_a_split_of_the_base_and_a_split_of_the_pairs(data: Path, events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build("sample", out=out)
    assert pairs(out, events, base="sample/test", pairs=60).rows == {"test": 60}
    report = pairs(out, events, splits=["train"])
    assert report.rows == {"train": 90, "test": 60}
    assert pairs(out, events, pairs=6, snr=(3.0, 3.0), limit=4).rows == {"train": 4}
    assert {event["snr_db"] for row in rows_of(out) for event in row["events"]} == {3.0}


def test_all_there_is_can_be_asked_for_and_no_more(tmp_path: Path) -> None:
    out, few = tmp_path / "out", tmp_path / "few"
    write_event_clips(few)
    lines = (few / "events.csv").read_text().splitlines()
    (few / "events.csv").write_text(
        "\n".join([*lines[:4], lines[9]]) + "\n"
    )  # four labels, the first of them twice: nos. 1 and 9
    build("sample", out=out)
    assert pairs(out, few, pairs=24 * 5 * 6).rows == {"train": 360, "test": 360}
    keys = [
        (row["base_clip"], *(event["file"] for event in row["events"])) for row in rows_of(out) if row["operation"] == "replace"
    ]
    assert len(set(keys)) == 24 * 5 and len(keys) == 2 * len(set(keys))
    with pytest.raises(InputError, match=r"needs 121 triples, and 24 base clips with 5 pairs of events give 120; .* at most 720"):
        pairs(out, few, pairs=24 * 5 * 6 + 6)


def test_the_event_before_the_base_is_told_with_then(data: Path, events: Path, tmp_path: Path) -> None:
    """A base that begins with two seconds of silence."""
    out = tmp_path / "out"
    quiet = np.concatenate([np.zeros(40_000, np.float32), np.full(2_000, 0.3, np.float32) * np.tile([1, -1], 1_000)])
    write_base(out, [quiet])
    pairs(out, events, pairs=600, embed_audio=True)
    found = Counter()
    for row in rows_of(out):
        if row["operation"] != "replace":
            continue
        ends = [event["onset_s"] + event["duration_s"] for event in row["events"]]
        is_then = json.loads(row["extra_json"])["template"] == "then"
        assert is_then == (max(ends) <= 2.5)
        assert (", then A clip of silence and noise." in row["caption"]) == is_then
        found[is_then] += 1
    assert found[True] > 10 and found[False] > 10


def write_base(out: Path, sounds: list[Any], **columns: list[Any]) -> None:
    """Writes `sample/train` as if it had been built with other clips."""
    build("sample", out=out)
    folder = out / "data" / "sample"
    manifest = json.loads((folder / "manifest.json").read_text())
    (shard,) = manifest["splits"]["train"]["shards"]
    rows = pq.read_table(folder / shard["file"], partitioning=None).to_pylist()[: len(sounds)]
    for number, (row, sound) in enumerate(zip(rows, sounds, strict=True)):
        row["caption"] = "A clip of silence and noise."
        row["duration_s"] = None
        is_signal = isinstance(sound, np.ndarray)
        row["audio"] = {"bytes": flac(Sound(sound[None], 16_000)), "path": None} if is_signal else sound
        row.update({name: values[number] for name, values in columns.items()})
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / shard["file"])
    manifest["splits"] = {"train": {"rows": len(rows), "shards": [shard]}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_bases_that_cannot_be_used_are_listed_and_replaced(events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 32_000).astype(np.float32)
    soundfile.write(tmp_path / "outside.wav", noise, 16_000)
    write_base(
        out,
        [
            noise,
            np.zeros(16_000, np.float32),  # silent
            {"bytes": b"no sound", "path": None},  # unreadable
            {"bytes": None, "path": str(tmp_path / "outside.wav")},
            {"bytes": None, "path": "gone.wav"},
            noise[:100],  # too short
            None,  # without sound
            np.zeros(31 * 16_000, np.float32),  # too long, which the row does not say
            noise,
        ],
        caption=["Noise."] * 8 + [" "],
    )
    report = pairs(out, events, pairs=84, mark_overlaps=False)
    assert report.rows == {"train": 84}
    wrong = {"silent", "unreadable", "missing", "too_short", "too_long"}
    assert report.dropped == {f"base_{reason}": 1 for reason in sorted(wrong)}
    assert Counter(row["base_clip"] for row in rows_of(out)).keys() == {"sample/train/rain_steady", "sample/train/drone_low"}
    assert [line for line in report.warnings if "1 rows with no sound are left out" in line]
    assert [line for line in report.warnings if "1 rows with no caption are left out" in line]
    assert {row["id"] for row in dropped_of(out)} == {f"sample/train/{one}" for one in
        ("beeps_slow", "sweep_rising", "knocks_door", "siren_two_tone", "chirps_bird")}  # fmt: skip


def test_events_that_cannot_be_used_are_listed(events: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "events"
    bad = [(f"{name}.wav", f"{name} noise", "bad") for name in ("silent", "short", "text", "gone", "cut")]
    write_event_clips(folder, tuple(bad))
    soundfile.write(folder / "silent.wav", np.zeros(8_000), 16_000)
    soundfile.write(folder / "short.wav", np.full(100, 0.5), 16_000)
    (folder / "text.wav").write_text("this is no sound")
    (folder / "cut.wav").write_bytes((folder / "event_01.wav").read_bytes()[:30])
    build("sample", out=out)
    report = pairs(out, folder, mark_overlaps=False)
    assert report.rows == {"train": 90, "test": 90}
    counts = {"event_missing": 1, "event_silent": 1, "event_too_short": 1, "event_unreadable": 1, "event_damaged": 1}
    assert report.dropped == counts
    found = {json.loads(row["record_json"])["file"]: row["rule"] for row in dropped_of(out)}
    assert found == {"silent.wav": "event_silent", "short.wav": "event_too_short", "text.wav": "event_unreadable",
                     "gone.wav": "event_missing", "cut.wav": "event_damaged"}  # fmt: skip
    assert not {event["file"] for row in rows_of(out) for event in row["events"]} & found.keys()
    assert {event["file"] for row in rows_of(out) for event in row["events"]} >= {"event_07.wav", "event_03.wav"}  # 5.1, 192 kHz
    assert pairs(out, folder, mark_overlaps=False).reused
    soundfile.write(folder / "event_01.wav", np.full(8_000, 0.1), 16_000)
    assert not pairs(out, folder, mark_overlaps=False).reused


def test_rejected_triples_are_counted_listed_and_replaced(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = mixing.triple, []

    def choosy(base: mixing.Base, placed: tuple[mixing.Placed, mixing.Placed]) -> mixing.Triple:
        calls.append(placed)
        if len(calls) % 3 == 0:
            raise SoundError("snr", "the event lies at 9.00 dB in place of 3.00 dB")
        return real(base, placed)

    monkeypatch.setattr(adc_acc.mixing, "triple", choosy)
    out = tmp_path / "out"
    build("sample", out=out)
    report = pairs(out, events)
    assert report.rows == {"train": 90, "test": 90}
    assert report.dropped == {"snr": len(calls) // 3} and len(calls) == 30 + len(calls) // 3
    found = dropped_of(out)
    assert not {row["id"] for row in found} & {row["id"].rpartition("/")[0] for row in rows_of(out)}
    assert all(json.loads(row["record_json"])["why"].startswith("the event lies at") for row in found)


def test_where_nothing_passes_the_gates_it_is_said(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> mixing.Triple:
        raise SoundError("clipping", "samples of the mixture are beyond full scale")

    out = tmp_path / "out"
    build("sample", out=out)
    monkeypatch.setattr(adc_acc, "_GIVES_UP", 2)
    monkeypatch.setattr(adc_acc.mixing, "triple", never)
    with pytest.raises(InputError, match=r"no row of it is left: .* by clipping\. Nothing was built"):
        pairs(out, events)


def test_a_build_that_was_stopped_goes_on(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    monkeypatch.setattr(adc_acc, "_TRIPLES_PER_PART", 5)
    for folder in (out, undisturbed):
        build("sample", out=folder)
    pairs(undisturbed, events, embed_audio=True)
    real, calls = mixing.triple, []

    def stopped(*arguments: Any) -> mixing.Triple:
        calls.append(arguments)
        if len(calls) > 12:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(adc_acc.mixing, "triple", stopped)
        pairs(out, events, embed_audio=True)
    calls.clear()
    monkeypatch.setattr(adc_acc.mixing, "triple", lambda *arguments: calls.append(arguments) or real(*arguments))
    pairs(out, events, embed_audio=True)
    assert len(calls) == 30 - 10  # two parts of five were finished
    files = [{path.name: path.read_bytes() for path in (one / "data" / "adc_acc").iterdir()} for one in (out, undisturbed)]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": None}, r"needs --base: `uac build adc_acc --base CONFIG --events DIR --pairs N`"),
        ({"events": None, "pairs": None}, "needs --events, --pairs"),
        ({"pairs": 100}, r"--pairs is 100; expected a multiple of 6"),
        ({"pairs": 0}, r"--pairs is 0; expected"),
        ({"snr": (5.0, 1.0)}, r"--snr is 5 1; expected the lowest and the highest"),
        ({"snr": (0.0, math.nan)}, "--snr is 0 nan; expected"),
        ({"sampling_rate_hz": 100}, "--sampling-rate is 100; expected hertz"),
        ({"base": "adc_acc"}, "is made of pairs"),
        ({"base": "clotho"}, "clotho is not in"),
        ({"speed": 3}, "adc_acc takes no speed; it takes base, events"),
        ({"events": Path("/nowhere")}, "is not a folder; expected the sound files and events.csv"),
    ],
)
def test_what_cannot_be_built_is_told_at_once(data: Path, events: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pairs(data, events, **options)


def test_a_dataset_that_does_not_exist_is_named(data: Path, events: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean sample"):
        pairs(data, events, base="sampel")


def test_a_base_without_sound_is_refused(events: Path, tmp_path: Path) -> None:
    raw = Path(__file__).resolve().parents[3] / "fixtures" / "sources" / "clotho" / "raw"
    build("clotho", raw=raw, out=tmp_path)
    with pytest.raises(
        InputError, match=r"--base clotho has no clip to mix with: \d+ rows with no sound; .*with its sound first"
    ):
        pairs(tmp_path, events, base="clotho")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, r"has no events\.csv; expected the sound files and events\.csv with the columns file,label,category"),
        ("", "lacks the column file, label, category; its first line has nothing"),
        ("file,label\na.wav,a\n", "lacks the column category; its first line has file, label"),
        ("file,label,category\n", "has no lines; expected one per sound file"),
        ("file,label,category\na.wav,a,x\na.wav,a,x\n", r"line 3: E_DUP_FILE.*a\.wav is in line 2, too \(keep one of them\)"),
        ("file,label,category\na.wav,,x\n,b,y\n", r"(?s)line 2: E_EMPTY.*label is empty.*line 3: E_EMPTY.*file is empty"),
        ("file,label,category\n../a.wav,a,x\n", r"E_PATH.*the file is not below the folder"),
        ("file,label,category\na.wav,a,x\n", r"(?s)none of the files .* can be used.*line 2: E_EVENT.*missing"),
        ("file,label,category\na.wav\n", "label is empty"),
        (b"file,label,category\na.wav,\xff,x\n", "invalid UTF-8 at byte 27"),
    ],
)
def test_a_table_of_events_that_is_wrong(data: Path, tmp_path: Path, table: str | bytes | None, message: str) -> None:
    if table is not None:
        (tmp_path / "events.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(InputError, match=message):
        pairs(data, tmp_path)


def test_events_of_one_label_make_no_pair(data: Path, tmp_path: Path) -> None:
    write_event_clips(tmp_path)
    lines = (tmp_path / "events.csv").read_text().splitlines()
    (tmp_path / "events.csv").write_text("\n".join([lines[0], lines[1], lines[9]]))
    with pytest.raises(InputError, match=r"has one label only \('bird song'\)"):
        pairs(data, tmp_path)


def test_event_sounds_are_held_up_to_a_size(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.sound.events._CACHE_BYTES", 50_000)
    sounds = Sounds(events, 16_000)
    first = sounds["event_01.wav"]
    for number in (2, 3, 4, 6, 7):
        assert len(sounds[f"event_{number:02d}.wav"])
    assert len(sounds._held) <= 3
    assert np.array_equal(sounds["event_01.wav"], first)


def test_other_rates_and_sides_of_overlaps(data: Path, events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build("sample", out=out)
    pairs(out, events, pairs=12, sampling_rate_hz=44_100, embed_audio=True)
    for row in rows_of(out):
        sound = read(row["audio"]["bytes"])
        assert sound.rate_hz == row["sampling_rate_hz"] == 44_100
        assert sound.samples.shape == (1, round(row["duration_s"] * 44_100))
        assert decode(row["audio_b"])[0].shape == sound.samples.shape
        is_test = row["split"] == "test"
        assert [one["set"] for one in row["overlaps"] or []] == (["sample/test"] if is_test else [])


def test_names_of_events_tell_them_apart() -> None:
    named = adc_acc._names([adc_acc.Event(file, "x", "", 0) for file in ("a/b.wav", "a.wav", "a.flac", "c")])
    assert named == ["a-b", "a.wav", "a.flac", "c"]


def test_a_clip_of_many_triples_is_in_several_parts() -> None:
    found = list(adc_acc._pieces([("s", 0, 2_500), ("s", 1, 3), ("s", 2, 900)]))
    assert found == [
        [["s", 0, 834, 0, 3]],
        [["s", 0, 833, 1, 3]],
        [["s", 0, 833, 2, 3], ["s", 1, 3, 0, 1]],
        [["s", 2, 900, 0, 1]],
    ]
    events = [adc_acc.Event(f"{i}", f"{i // 2}", "", 0) for i in range(20)]
    lanes = [list(adc_acc._draws(events, 1, "base", lane, 3)) for lane in range(3)]
    drawn = [pair for lane in lanes for pair in lane]
    assert len(set(drawn)) == len(drawn) == 190 - 10
    assert all(i < j and i // 2 != j // 2 for i, j in drawn)


def test_left_out_knows_what_was_rejected_without_a_build(data: Path, tmp_path: Path) -> None:
    folder = write_event_clips(tmp_path / "events", (("gone.wav", "gone", ""),))
    one = adc_acc.AdcAcc()
    parts = one.locate(None, without=data, base="sample", events=folder, pairs=12).parts
    assert [[lost.rule for lost in one.left_out(part)] for part in parts] == [["event_missing"], []]
    assert isinstance(parts[0], Part) and one.warnings(parts[0]) == []
