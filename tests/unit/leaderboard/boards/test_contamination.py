"""Which test clips a system was trained on: declarations, levels, what cannot be known, and means over clean clips."""

import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.marking import Exclusion
from unified_audiocaps.dataset_scripts.mixture import mix
from unified_audiocaps.dataset_scripts.overlap import overlaps
from unified_audiocaps.dataset_scripts.recipe import parse_recipe
from unified_audiocaps.leaderboard.boards import contamination as module
from unified_audiocaps.leaderboard.boards.contamination import (
    ClipSet,
    Contamination,
    contamination,
    parse_training_data,
)

V, W, X, Y = "aaaaaaaaaa1", "bbbbbbbb_-2", "ccccccccccc", "Ydddddddddd"
EXAMPLE = {"caption": "A sound is heard.", "audio": "wav", "duration": 10.0}


def audiocaps(folder: Path, split: str, *clips: tuple[str, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{i},{video},{start},A sound\r\n" for i, (video, start) in enumerate(clips)]
    (folder / f"{split}.csv").write_text("audiocap_id,youtube_id,start_time,caption\r\n" + "".join(lines), newline="")
    return folder


def wavcaps(folder: Path, *videos: str, sounds: tuple[str, ...] = (), times: dict[str, int] | None = None) -> Path:
    """Writes the subsets of WavCaps that hold videos and Freesound recordings; with AudioSet's times for some videos."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids in (("as_final", [f"Y{video}.wav" for video in videos]), ("fsd_final", sounds)):
        records = [{**EXAMPLE, "id": one, "file_name": "a.wav", "href": "", "tags": [], "description": "a"} for one in ids]
        if ids:
            (folder / f"{name}.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": records}))
    if times:
        lines = [f'{video}, {start}.000, {start + 10}.000, "/m/09x0r"\n' for video, start in times.items()]
        header = "# Segments csv\n# num_ytids\n# YTID, start_seconds, end_seconds, positive_labels\n"
        (folder / "unbalanced_train_segments.csv").write_text(header + "".join(lines))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """AudioCaps with three test clips and two for training, built; of the latter one shares a video with the former."""
    audiocaps(tmp_path / "v1", "train", (X, 0), (V, 100))
    build("audiocaps", raw=audiocaps(tmp_path / "v1", "test", (V, 30), (W, 0), (Y, 50)), out=tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def clips(data: Path) -> ClipSet:
    return ClipSet.of(built_set("audiocaps/test", data))


def found(clips: ClipSet, data: Path, *declared: str) -> Contamination:
    return contamination(parse_training_data(declared, data), clips, data)


def ids_of(clips: ClipSet, *videos: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, keys in clips.keys.items() if any(video in key for video in videos for key in keys)))


# -- declarations --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "entries"),
    [
        ([], ()),
        (["  ", ""], ()),
        ([" None "], ("none",)),
        (["wavcaps", "audiocaps/train", "wavcaps"], ("wavcaps", "audiocaps/train")),
        (["clotho/dev", "clotho/development"], ("clotho/development",)),
        (["wavcaps:AudioSet_SL", "wavcaps/train:FreeSound"], ("wavcaps:AudioSet_SL", "wavcaps/train:FreeSound")),
        (["Other:  1M hours of web sound "], ("other: 1M hours of web sound",)),
    ],
)
def test_declarations_have_a_normal_form(declared: list[str], entries: tuple[str, ...]) -> None:
    training = parse_training_data(declared)
    assert training.entries == entries
    assert training.is_declared == bool(entries)
    assert parse_training_data(training.entries) == training


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (["WavCap"], "no dataset is called 'WavCap'. Did you mean wavcaps.*`other: its name`"),
        (["clotho/trian"], "no split of clotho is called 'trian'.*Known: development, evaluation, validation"),
        (["wavcaps/FreeSound"], "no split of wavcaps is called 'FreeSound'. Did you mean wavcaps:FreeSound\\?"),
        (["wavcaps:Freesound"], "no subset of wavcaps is called 'Freesound'. Did you mean FreeSound\\?"),
        (["audiocaps:rain"], "no subset of audiocaps is called 'rain'. Known: none"),
        (["other: "], "'other:' does not say which data"),
        (["none", "wavcaps"], "`none` stands beside other entries"),
        (["x" * 301], "has 301 characters; expected at most 300"),
        ([f"other: {i}" for i in range(101)], "101 entries; expected at most 100"),
    ],
)
def test_declarations_that_cannot_be_read(declared: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        parse_training_data(declared)
    assert [problem.code for problem in caught.value.problems] == ["E_TRAINING_DATA"]


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError, match=r"expected names of datasets, `other: \.\.\.` or `none`") as caught:
        parse_training_data(["wavcap", "clotho/x", "other:", "wavcaps"])
    assert len(caught.value.problems) == 3


def test_mixtures_are_known_where_they_are_built(data: Path) -> None:
    mix(parse_recipe({"name": "mixed", "sets": ["audiocaps/train"]}, "mixed.yaml"), data)
    assert parse_training_data(["mixed", "mixed/train"], data).entries == ("mixed", "mixed/train")
    for declared, told in (
        (["mixed/test"], "no split of mixed is called 'test'"),
        (["mixed:a"], "no subset of mixed is called 'a'"),
    ):
        with pytest.raises(InputError, match=told):
            parse_training_data(declared, data)
    with pytest.raises(InputError, match="no dataset is called 'mixed'"):
        parse_training_data(["mixed"])


# -- levels --------------------------------------------------------------------------------------------------------------------


def test_the_same_and_intersecting_segments_are_test_items(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (V, 30), (V, 300), (W, 5), (Y, 60), (X, 0)), out=data)
    one = found(clips, data, "audiocaps_v2")
    assert (one.level, one.n_clips) == ("test_items", 2)
    assert (one.item_ids, one.recording_ids) == (ids_of(clips, V, W), ids_of(clips, Y))
    (evidence,) = one.evidence
    assert (evidence.declared, evidence.compared, evidence.rows) == ("audiocaps_v2", "audiocaps_v2/train", 5)
    assert evidence.clips == {"clip": 1, "segment": 1, "recording": 1}
    assert (evidence.untimed, evidence.sources, evidence.is_same_dataset) == (0, ("yt",), True)
    assert one.tainted() == set(one.item_ids)
    assert one.tainted("recording") == set(clips.ids)
    assert json.loads(json.dumps(one.to_json()))["evidence"][0]["clips"] == evidence.clips


def test_it_finds_what_the_comparison_of_two_sets_finds(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (V, 30), (V, 300), (W, 5), (Y, 60), (X, 0)), out=data)
    report = overlaps(built_set("audiocaps/test", data), built_set("audiocaps_v2/train", data))
    assert found(clips, data, "audiocaps_v2").evidence[0].clips == report.clips_a


def test_a_training_split_of_the_same_dataset(data: Path, clips: ClipSet) -> None:
    one = found(clips, data, "audiocaps")
    assert (one.level, one.n_clips, one.item_ids) == ("train_split", 1, ())
    assert one.recording_ids == ids_of(clips, V)
    assert [(e.compared, e.is_same_dataset) for e in one.evidence] == [("audiocaps/train", True)]


def test_a_training_split_of_another_release_that_is_not_built(data: Path, clips: ClipSet) -> None:
    one = found(clips, data, "audiocaps_v2/train")
    assert one.level == "train_split"
    assert "uac build audiocaps_v2" in one.evidence[0].unknown


def test_a_split_to_evaluate_on_is_no_training_split(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "val", (X, 0)), out=data)
    assert found(clips, data, "audiocaps_v2/validation").level == "same_source"


def test_the_benchmark_itself_need_not_be_compared(data: Path) -> None:
    clips = ClipSet("song_describer/test", {"a": (), "b": ()})
    one = found(clips, data, "song_describer")  # a config with nothing but a test split stands for that
    assert (one.level, one.item_ids, one.evidence[0].unknown) == ("test_items", ("a", "b"), "")


@pytest.mark.parametrize(
    ("times", "level", "items", "recordings", "untimed"),
    [
        (None, "same_source", (), (V, W), 2),
        ({V: 30, W: 100}, "test_items", (V,), (W,), 0),
        ({V: 30}, "test_items", (V,), (W,), 1),
    ],
    ids=["without AudioSet's times", "with them", "with some of them"],
)
def test_videos_without_times_share_the_recording_only(
    tmp_path: Path,
    data: Path,
    clips: ClipSet,
    times: dict[str, int] | None,
    level: str,
    items: tuple[str, ...],
    recordings: tuple[str, ...],
    untimed: int,
) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "wavcaps", V, W, X, times=times), out=data)
    one = found(clips, data, "wavcaps:AudioSet_SL")
    assert (one.level, one.n_clips) == (level, len(items or recordings))
    assert (one.item_ids, one.recording_ids) == (ids_of(clips, *items) if items else (), ids_of(clips, *recordings))
    assert one.evidence[0].untimed == untimed


def test_the_same_platform_without_a_shared_recording(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "wavcaps", X, sounds=("12", "13")), out=data)
    one = found(clips, data, "wavcaps")
    assert (one.level, one.n_clips, one.evidence[0].sources) == ("same_source", 0, ("yt",))
    # One subset alone is of another platform.
    one = found(clips, data, "wavcaps:FreeSound")
    assert (one.level, one.evidence[0].compared, one.evidence[0].rows) == ("none", "wavcaps/train:FreeSound", 2)


def test_a_mixture_is_of_the_datasets_that_it_was_made_of(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "wavcaps", X, sounds=("12", "13")), out=data)
    mix(parse_recipe({"name": "caps", "sets": ["audiocaps/train"]}, "caps.yaml"), data)
    mix(parse_recipe({"name": "wav", "sets": ["wavcaps/train"]}, "wav.yaml"), data)
    assert [found(clips, data, name).level for name in ("caps", "wav")] == ["train_split", "same_source"]
    assert [one.compared for one in found(clips, data, "wav").evidence] == ["wav/train"]


def test_the_strongest_level_of_all_sets_counts(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (W, 0), (V, 35)), out=data)
    one = found(clips, data, "audiocaps", "audiocaps_v2", "clotho", "other: web sounds")
    assert (one.level, one.item_ids, one.recording_ids) == ("test_items", ids_of(clips, V, W), ())
    assert [evidence.declared for evidence in one.evidence] == ["audiocaps", "audiocaps_v2", "clotho", "other: web sounds"]
    assert "uac build clotho" in one.evidence[2].unknown


# -- none, and what cannot be known --------------------------------------------------------------------------------------------


def test_none_is_declared(data: Path, clips: ClipSet) -> None:
    assert found(clips, data, "none") == Contamination("none")


def test_nothing_shared_with_a_set_that_is_whole(data: Path, clips: ClipSet) -> None:
    build("sample", out=data)
    one = found(clips, data, "sample")
    assert (one.level, one.n_clips) == ("none", 0)
    assert [(e.compared, e.rows, e.sources, e.unknown) for e in one.evidence] == [("sample/train", 12, (), "")]


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ((), "no training data is declared"),
        (("other: web sounds",), "it is none of our datasets"),
        (("clotho",), "it is not built here, or damaged: `uac build clotho [--raw DIR]`"),
        (("wavcaps:AudioSet_SL",), "it is not built here, or damaged: `uac build wavcaps [--raw DIR]`"),
        (("sample", "fusionaudio"), "it is not built here, or damaged: `uac build fusionaudio [--raw DIR]`"),
    ],
)
def test_unknown(data: Path, clips: ClipSet, declared: tuple[str, ...], told: str) -> None:
    build("sample", out=data)
    one = found(clips, data, *declared)
    assert (one.level, one.n_clips) == ("unknown", 0)
    assert [evidence.unknown for evidence in one.evidence if evidence.unknown] == [told]
    assert str(data) not in json.dumps(one.to_json())  # it is for everyone to read


def test_a_part_of_a_set_cannot_show_that_nothing_is_shared(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("wavcaps", raw=wavcaps(tmp_path / "wavcaps", sounds=("12", "13")), out=data)
    one = found(clips, data, "wavcaps")
    assert one.level == "unknown"
    assert "only a part of it is built here, without AudioSet_SL" in one.evidence[0].unknown
    assert "uac build wavcaps" in found(clips, data, "wavcaps:AudioSet_SL").evidence[0].unknown
    build("sample", out=data, limit=5)
    assert "--limit 5" in found(clips, data, "sample").evidence[0].unknown
    build("clotho", raw=Path(__file__).parents[3] / "fixtures/sources/clotho/raw", out=data)
    one = found(clips, data, "clotho")
    assert one.level == "unknown"
    assert one.evidence[0].rows < 10
    assert one.evidence[0].unknown.startswith("only a part of it is built here: ")
    assert one.evidence[0].unknown.endswith(" of 3,839 clips")


def test_a_set_that_was_built_without_the_benchmark_is_not_taken_for_clean(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    raw = wavcaps(tmp_path / "wavcaps", V, X, times={V: 30})
    build("wavcaps", raw=raw, out=data, exclude=[Exclusion("audiocaps/test")])
    one = found(clips, data, "wavcaps:AudioSet_SL")
    assert (one.level, one.n_clips, one.evidence[0].rows) == ("same_source", 0, 1)
    assert one.evidence[0].unknown == "it was built here without some of its rows, under the rules overlap:audiocaps/test"


def test_clips_of_unknown_origin_cannot_be_compared(data: Path) -> None:
    build("sample", out=data)
    one = found(ClipSet("macs/train", {"a": (), "b": ()}), data, "sample")
    assert (one.level, one.evidence[0].unknown) == ("unknown", "no clip of the benchmark says which recording it holds")


def test_a_damaged_shard_is_told(data: Path, clips: ClipSet) -> None:
    shard = next(built_set("audiocaps/train", data).shards())[2]
    shard.write_bytes(shard.read_bytes()[:100])
    module._compared.cache_clear()  # what the manifest describes was compared before
    one = found(clips, data, "audiocaps")
    assert one.level == "train_split"
    assert "uac build audiocaps" in one.evidence[0].unknown


# -- what a benchmark holds ----------------------------------------------------------------------------------------------------


def test_keys_alone_are_enough_for_equal_clips(tmp_path: Path, data: Path, clips: ClipSet) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (V, 30), (W, 5)), out=data)
    written = {"v": (f"yt:{V}", f"yt:{V}@30.400"), "w": (f"yt:{W}@0.000",), "other": ()}
    bare = found(ClipSet("audiocaps/test", written), data, "audiocaps_v2")
    assert (bare.item_ids, bare.recording_ids, bare.evidence[0].untimed) == (("v",), ("w",), 1)
    ended = ClipSet("audiocaps/test", written, {"w": {f"yt:{W}@0.000": 10.0}})
    assert found(ended, data, "audiocaps_v2").item_ids == ("v", "w")
    assert clips.ends_s[ids_of(clips, W)[0]] == {f"yt:{W}@0.000": 10.0}


def test_a_benchmark_of_some_clips_of_a_split(data: Path, clips: ClipSet) -> None:
    some = ids_of(clips, V, Y)
    assert set(ClipSet.of(built_set("audiocaps/test", data), some).ids) == set(some)
    with pytest.raises(InputError, match="audiocaps/test lacks 1 ids, such as 'x'"):
        ClipSet.of(built_set("audiocaps/test", data), ["x", *some])


def test_a_second_call_compares_nothing(tmp_path: Path, data: Path, clips: ClipSet, monkeypatch: pytest.MonkeyPatch) -> None:
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (V, 30)), out=data)
    first = found(clips, data, "audiocaps_v2")
    read: list[int] = []
    real = module.places
    monkeypatch.setattr(module, "places", lambda rows: read.append(rows.num_rows) or real(rows))
    assert found(clips, data, "audiocaps_v2") == first
    assert not read
    same = ClipSet(clips.name, dict(reversed(clips.keys.items())), clips.ends_s)
    assert found(same, data, "audiocaps_v2") == first
    assert not read
    build("audiocaps_v2", raw=audiocaps(tmp_path / "v2", "train", (W, 0)), out=data, force=True)
    assert found(clips, data, "audiocaps_v2").item_ids == ids_of(clips, W)
    assert read == [1]


# -- real files ----------------------------------------------------------------------------------------------------------------


def real_wavcaps(real_dir: Path, folder: Path) -> Path:
    """Makes clips of every id of the publisher's lists, and fills the subsets up to their size: no copy is at hand."""
    lists = [json.loads(path.read_text()) for path in (real_dir / "wavcaps/json_files/blacklist").glob("*.json")]
    videos = dict.fromkeys(sorted({one[1:12] for found_ in lists for one in found_["AudioSet"]}))
    sounds = dict.fromkeys(sorted({one for found_ in lists for one in found_["FreeSound"]} - {"Not found"}))
    videos |= dict.fromkeys(f"made{i:07d}" for i in range(108_317 - len(videos)))
    sounds |= dict.fromkeys(str(10**8 + i) for i in range(262_300 - len(sounds)))
    wavcaps(folder, *videos, sounds=tuple(sounds))
    shutil.copy(real_dir / "wavcaps/json_files/SoundBible/sb_final.json", folder)
    bbc = [{**EXAMPLE, "id": f"{i:08d}", "category": "", "description": "", "download_link": ""} for i in range(31_201)]
    (folder / "bbc_final.json").write_text(json.dumps({"num_captions_per_audio": 1, "data": bbc}))
    return folder


@pytest.fixture(scope="module")
def real(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real files allow to build; of AudioCaps' training split that is a tenth."""
    folder = tmp_path_factory.mktemp("real")
    out = folder / "data"
    shutil.copytree(real_dir / "audiocaps/v1", folder / "v1")
    (folder / "v1/train.head5000.csv").rename(folder / "v1/train.csv")
    build("audiocaps", raw=folder / "v1", out=out, mark_overlaps=False)
    clotho = folder / "clotho"
    clotho.mkdir()
    with (real_dir / "clotho/freesound_ids.all_splits.csv").open(newline="", encoding="utf-8") as stream:
        known = list(csv.DictReader(stream))
    for old, new in {"train": "development", "val": "validation", "test": "evaluation"}.items():
        shutil.copy(real_dir / f"clotho/csv_files/{old}.csv", clotho / f"clotho_captions_{new}.csv")
        with (clotho / f"clotho_metadata_{new}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"])
            writer.writerows([row["file_name"], "", row["freesound_id"], *[""] * 4] for row in known if row["split"] == old)
    build("clotho", raw=clotho, out=out, mark_overlaps=False)
    build("wavcaps", raw=real_wavcaps(real_dir, folder / "wavcaps"), out=out, mark_overlaps=False)
    build("fusionaudio", raw=real_dir / "fusionaudio", out=out, mark_overlaps=False)
    return out


@pytest.mark.real
@pytest.mark.parametrize(
    ("benchmark", "declared", "level", "items", "recordings", "unknown"),
    [
        ("audiocaps/test", "wavcaps", "same_source", 0, 957, ""),
        ("audiocaps/test", "audiocaps", "train_split", 0, 0, "only a part of it is built here: 5,000 of 49,838 clips"),
        ("audiocaps/test", "clotho", "none", 0, 0, ""),
        ("audiocaps/test", "fusionaudio", "unknown", 0, 0, "it is not built here"),
        ("clotho/evaluation", "wavcaps", "same_source", 0, 1040, ""),
        ("clotho/evaluation", "clotho", "train_split", 0, 1, ""),
        ("clotho/evaluation", "audiocaps/validation", "none", 0, 0, ""),
        ("clotho/evaluation", "clotho/evaluation", "test_items", 1045, 0, ""),
    ],
)
def test_real_sets(real: Path, benchmark: str, declared: str, level: str, items: int, recordings: int, unknown: str) -> None:
    one = found(ClipSet.of(built_set(benchmark, real)), real, declared)
    assert (one.level, len(one.item_ids), len(one.recording_ids)) == (level, items, recordings)
    assert one.evidence[0].unknown.startswith(unknown) if unknown else not one.evidence[0].unknown
    # Freesound ids and WavCaps' videos come without times: what is shared may be the very same sound.
    assert one.evidence[0].untimed == recordings


@pytest.mark.real
def test_a_large_set_is_compared_in_no_time(real: Path) -> None:
    def seconds(run: Any) -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    clips = ClipSet.of(built_set("audiocaps/test", real))
    module._compared.cache_clear()
    assert built_set("wavcaps", real).rows == 403_050
    first = seconds(lambda: found(clips, real, "wavcaps"))
    second = seconds(lambda: found(clips, real, "wavcaps"))
    assert first < 10, "0.3 s on an idle machine"
    assert second < first / 2
