"""The recipes that are shipped: each is mixed whole, from files in the publishers' formats, and gives the rows counted here."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts import views
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.marking import EVALUATION_SPLITS
from unified_audiocaps.dataset_scripts.mixture import MixReport, mix
from unified_audiocaps.dataset_scripts.recipe import load_recipe, shipped_recipes
from unified_audiocaps.dataset_scripts.source import source

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "sources"


def mixed(name: str, data: Path) -> MixReport:
    return mix(load_recipe(name), data)


def rows(data: Path, name: str, *columns: str) -> list[dict[str, Any]]:
    return [row for batch in built_set(name, data).batches(list(columns)) for row in batch.to_pylist()]


def ids(data: Path, name: str) -> list[str]:
    return [row["id"] for row in rows(data, name, "id")]


def taken(report: MixReport) -> dict[str, tuple[int, dict[str, int], int, int]]:
    """Per set: candidates, what others hold, duplicates, rows."""
    return {
        one["set"]: (one["candidates"], {k: n for k, n in one["overlapping"].items() if n}, one["duplicates"], one["rows"])
        for one in report.sets
    }


# -- unions: the fixtures, with a few sounds that are in two sets ---------------------------------------------------------------


def added(raw: Path, file: str, *lines: Iterable[object]) -> None:
    path = raw / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)


def with_freesound(raw: Path, *numbers: int) -> None:
    path = raw / "json_files/FreeSound/fsd_final.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    like = found["data"][1]
    found["data"] += [{**like, "id": str(n), "caption": f"Sound {n}."} for n in numbers]
    path.write_text(json.dumps(found), encoding="utf-8")


def with_audioset(raw: Path, *videos: str) -> None:
    path = raw / "json_files/AudioSet_SL/as_final.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["data"] += [
        {"id": f"Y{video}.wav", "caption": f"Video {video}.", "audio": "wav_path", "duration": 10} for video in videos
    ]
    path.write_text(json.dumps(found), encoding="utf-8")


@pytest.fixture(scope="module")
def unions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures of all sets that a union names, and beside them sounds of which it is known which other sets hold them."""
    folder = tmp_path_factory.mktemp("unions")
    out = folder / "unified-audiocaps"
    plant: dict[str, Callable[[Path], None]] = {
        # training clips: one of its own test split, one of VGGSound's test split
        "audiocaps": lambda raw: added(raw, "train.csv", (14, "eeeeeeeeee5", 90, "A bus"), (15, "ccccccccc_3", 0, "A boat")),
        # recording 901 is in all three splits
        "clotho": lambda raw: (
            added(raw, "clotho_captions_development.csv", ("one.wav", *"abcde"), ("two.wav", *"fghij")),
            added(
                raw, "clotho_metadata_development.csv", ("one.wav", "", 901, "", "", "", ""), ("two.wav", "", 902, "", "", "", "")
            ),
            added(
                raw, "clotho_captions_validation.csv", ["file_name", *(f"caption_{i}" for i in range(1, 6))], ("v.wav", *"klmno")
            ),
            added(
                raw,
                "clotho_metadata_validation.csv",
                "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license".split(","),
                ("v.wav", "", 901, "", "", "", ""),
            ),
            added(raw, "clotho_captions_evaluation.csv", ("e.wav", *"pqrst")),
            added(
                raw,
                "clotho_metadata_evaluation.csv",
                "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license".split(","),
                ("gate 1.wav", "", 904, "", "", "", ""),
                ("e.wav", "", 903, "", "", "", ""),
            ),
        ),
        # Clotho's 901 to 903, one of UrbanSound8K, one of ESC-50; training, test and VGGSound test clips of AudioCaps
        "wavcaps": lambda raw: (
            with_freesound(raw, 901, 902, 903, 700, 456),
            with_audioset(raw, "aaaaaaaaaa1", "fffffffff_6", "ccccccccc_3", "kkkkkkkkkk1"),
        ),
        # a clip of MECAT's test split in each, and one of AudioCaps' training and test splits
        "audiosetcaps": lambda raw: added(
            raw,
            "Dataset/AudioSetCaps_caption.csv",
            ("Ykkkkkkkkkk1", "Rain."),
            ("Yaaaaaaaaaa1", "A lid."),
            ("Yfffffffff_6", "A saw."),
        ),
        "auto_acd": lambda raw: added(raw, "train.csv", ("kkkkkkkkkk1", "Rain on tin."), ("aaaaaaaaaa1", "A whistle.")),
        "sound_vecaps": lambda raw: added(raw, "Sound-VECaps_full.csv", ("Ykkkkkkkkkk1", "Rain, grey.", "")),
        "mecat": lambda raw: None,
        "vggsound": lambda raw: None,
        "urbansound8k": lambda raw: None,
        "esc50": lambda raw: None,
    }
    for name, change in plant.items():
        raw = folder / name
        shutil.copytree(FIXTURES / name / "raw", raw)
        change(raw)
        build(name, raw=raw, out=out)
    return out


def test_acavcaps_combined(unions: Path) -> None:
    report = mixed("acavcaps_combined", unions)
    # AudioSetCaps' AudioSet part has 4 clips and 3 more, of which one has answers and no caption; nothing of the other two parts
    assert taken(report) == {
        "audiosetcaps": (7, {"mecat/test": 1}, 0, 5),
        "auto_acd/train": (5, {"mecat/test": 1}, 0, 4),
        "wavcaps": (16, {"mecat/test": 1}, 0, 15),
        "sound_vecaps": (2, {"mecat/test": 1}, 0, 1),
    }
    found = rows(unions, "acavcaps_combined", "id", "subset", "split", "caption", "clip_keys")
    assert len(found) == report.rows == 25
    assert {row["split"] for row in found} == {"train"}
    assert not [row["id"] for row in found if "yt:kkkkkkkkkk1" in row["clip_keys"] or row["id"].startswith("auto_acd/test")]
    assert [row["subset"] for row in found if row["id"].startswith("sound_vecaps")] == ["full"]
    # all captions of a clip stay
    assert len([row for row in found if "yt:aaaaaaaaaa1" in row["clip_keys"]]) == 3


def test_wavcaps_supervised(unions: Path) -> None:
    report = mixed("wavcaps_supervised", unions)
    assert taken(report) == {
        "audiocaps/train": (5, {"audiocaps/test": 1}, 0, 4),
        "clotho/development": (4, {"clotho/validation": 1}, 0, 3),
        "wavcaps": (16, {"audiocaps/test": 1, "clotho/validation": 1, "clotho/evaluation": 1}, 0, 13),
    }
    found = ids(unions, "wavcaps_supervised")
    # what the training splits hold stays in WavCaps, as in the published list
    assert {"clotho/development/two.wav", "wavcaps/FreeSound/902", "wavcaps/AudioSet_SL/Yaaaaaaaaaa1"} <= set(found)
    assert not {"wavcaps/FreeSound/901", "wavcaps/FreeSound/903", "clotho/development/one.wav"} & set(found)


def test_wavcaps_zero_shot(unions: Path) -> None:
    report = mixed("wavcaps_zero_shot", unions)
    left_out = {"audiocaps/train": 2, "audiocaps/test": 1, "clotho/development": 2, "clotho/evaluation": 1}
    assert taken(report) == {"wavcaps": (16, left_out, 0, 10)}
    assert not [name for name in ids(unions, "wavcaps_zero_shot") if name.split("/")[-1] in {"901", "902", "903", "Yaaaaaaaaaa1"}]


def test_wavcaps_zero_shot_classification(unions: Path) -> None:
    report = mixed("wavcaps_zero_shot_classification", unions)
    assert taken(report) == {
        "audiocaps/train": (5, {"vggsound/test": 2}, 0, 3),
        "clotho/development": (4, {"esc50": 1}, 0, 3),
        "wavcaps": (16, {"urbansound8k": 1, "esc50": 1, "vggsound/test": 1}, 0, 13),
    }


def test_audiosetcaps_supervised(unions: Path) -> None:
    report = mixed("audiosetcaps_supervised", unions)
    assert taken(report) == {
        "audiocaps/train": (5, {"audiocaps/test": 1}, 0, 4),
        "clotho/development": (4, {"clotho/validation": 1}, 0, 3),
        "audiosetcaps": (7, {"audiocaps/test": 1}, 0, 5),
    }
    found = rows(unions, "audiosetcaps_supervised", "id", "caption")
    assert all(row["caption"] is not None for row in found)
    assert {"audiocaps/train/aaaaaaaaaa1_30", "audiosetcaps/audioset/Yaaaaaaaaaa1"} <= {row["id"] for row in found}


def test_audiocaps_clotho(unions: Path) -> None:
    report = mixed("audiocaps_clotho", unions)
    assert {name: one[3] for name, one in taken(report).items()} == {"audiocaps/train": 4, "clotho/development": 3}


# -- drawn by seed: generated files, as large as the recipes need ---------------------------------------------------------------

N_CLIPS = 80_100
PER_CLIP = 3


def video(number: int) -> str:
    return f"v{number:010d}"


def write_csv(path: Path, header: str, lines: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header.split(","))
        writer.writerows(lines)


def asked(clip: str, question: str, answer: str, task: str = "open") -> dict[str, str]:
    return {"audio_id": clip, "instruction": question, "input": "", "dataset": "d", "task": task, "output": answer}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets that are large enough to draw from; video 3 is in the test split of AudioCaps, recording 3 in that of Clotho."""
    folder = tmp_path_factory.mktemp("drawn")
    out = folder / "unified-audiocaps"
    columns = "audiocap_id,youtube_id,start_time,caption"
    write_csv(folder / "audiocaps/train.csv", columns, ((i, video(i), 10, f"Sound {i}") for i in range(22_600)))
    write_csv(folder / "audiocaps/test.csv", columns, [(0, video(3), 10, "Sound 3")])
    five = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5"
    about = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license"
    for split, numbers in (("development", range(2_500)), ("evaluation", range(3, 4))):
        write_csv(folder / f"clotho/clotho_captions_{split}.csv", five, ((f"{i}.wav", *"abcde") for i in numbers))
        write_csv(folder / f"clotho/clotho_metadata_{split}.csv", about, ((f"{i}.wav", "", i, "", "", "", "") for i in numbers))
    sounds = [
        {"id": str(i), "file_name": "f", "href": "", "tags": [], "description": "d", "author": "", "duration": 1.0}
        | {"download_link": "", "caption": f"Sound {i}.", "audio": "wav_path"}
        for i in range(25_100)
    ]
    wavcaps = folder / "wavcaps/json_files/FreeSound/fsd_final.json"
    wavcaps.parent.mkdir(parents=True)
    wavcaps.write_text(json.dumps({"num_captions_per_audio": 1, "data": sounds}))
    write_csv(
        folder / "audiosetcaps/AudioSetCaps_caption.csv", "id,caption", ((f"Y{video(i)}", f"Sound {i}") for i in range(25_100))
    )
    (folder / "compa_r").mkdir()
    (folder / "compa_r/CompA-R.json").write_text(
        json.dumps([asked(f"./x/Y{video(i)}.wav", f"What {n}?", f"{i}.") for i in range(25_100) for n in range(2)])
    )
    (folder / "compa_r/CompA-R-test.json").write_text(
        json.dumps([{**asked("Yt0000000000.wav", "", ""), "instruction_output": [{"instruction": "Why?", "output": "So."}]}])
    )
    shutil.copytree(FIXTURES / "fusionaudio/raw/data", folder / "fusionaudio/data")
    (folder / "fusionaudio/qa.json").write_text(
        json.dumps([asked(f"/x/{video(i)}_0_10.wav", f"What {n}?", f"{i}.") for i in range(N_CLIPS) for n in range(PER_CLIP)])
    )
    for name in ("audiocaps", "clotho", "wavcaps", "audiosetcaps", "compa_r", "fusionaudio"):
        build(name, raw=folder / name, out=out)
    return out


@pytest.mark.parametrize(
    ("name", "left_out"),
    [("wavcaps_25k", {"clotho/evaluation": 1}), ("audiosetcaps_25k", {"audiocaps/test": 1})],
)
def test_captions_are_drawn_one_of_a_clip(drawn: Path, name: str, left_out: dict[str, int]) -> None:
    report = mixed(name, drawn)
    assert list(taken(report).values()) == [(25_100, left_out, 0, 25_000)]
    found = ids(drawn, name)
    assert len(set(found)) == len(found) == report.rows == 25_000
    pairs = [views.messages(batch, style="default").num_rows for batch in built_set(name, drawn).batches()]
    assert sum(pairs) == 25_000


def test_audiocaps_clotho_25k(drawn: Path) -> None:
    report = mixed("audiocaps_clotho_25k", drawn)
    assert taken(report) == {
        "audiocaps/train": (22_600, {"audiocaps/test": 1}, 0, 22_549),
        "clotho/development": (2_500, {"clotho/evaluation": 1}, 0, 2_451),
    }
    assert report.rows == 25_000


def test_compa_r_25k_has_one_question_of_a_clip(drawn: Path) -> None:
    report = mixed("compa_r_25k", drawn)
    assert list(taken(report).values()) == [(25_100, {"audiocaps/test": 1}, 0, 25_000)]
    assert report.sets[0]["questions"] == 25_000
    found = rows(drawn, "compa_r_25k", "id", "qa")
    assert {len(row["qa"]) for row in found} == {1}
    # which of the two it is falls to chance
    first = sum(row["qa"][0]["question"] == "What 0?" for row in found)
    assert 12_000 < first < 13_000


def test_fusionaudio_25k_comes_from_nine_thousand_clips(drawn: Path) -> None:
    report = mixed("fusionaudio_25k", drawn)
    (one,) = report.sets
    assert (one["set"], one["candidates"], one["questions"]) == ("fusionaudio/train", N_CLIPS, 25_000)
    found = rows(drawn, "fusionaudio_25k", "id", "qa")
    assert sum(len(row["qa"]) for row in found) == 25_000
    # 2,000 of the 27,000 questions are not drawn, which leaves hardly a clip without any
    assert 8_950 < len(found) <= 9_000
    assert all(name.startswith("fusionaudio/train/") for name in ids(drawn, "fusionaudio_25k"))


def test_the_subsets_of_fusionaudio_are_nested(drawn: Path) -> None:
    smaller: set[str] = set()
    for name, n in (("1250", 1_250), ("5k", 5_000), ("20k", 20_000), ("80k", 80_000)):
        report = mixed(f"fusionaudio_{name}_clips", drawn)
        found = set(ids(drawn, f"fusionaudio_{name}_clips"))
        assert len(found) == report.rows == n
        assert smaller < found
        smaller = found
    assert smaller > set(ids(drawn, "fusionaudio_25k"))


def test_what_a_seed_draws_never_changes(drawn: Path) -> None:
    """These ids stand for every mixture that was ever cited: they change with no library and no machine."""
    mixed("wavcaps_25k", drawn)
    missing = sorted({f"wavcaps/FreeSound/{i}" for i in range(25_100)} - set(ids(drawn, "wavcaps_25k")))
    assert len(missing) == 100
    assert missing[:2] == ["wavcaps/FreeSound/10679", "wavcaps/FreeSound/10740"]


def test_the_digest_is_the_same_wherever_it_is_mixed(unions: Path, tmp_path: Path) -> None:
    recipe = load_recipe("wavcaps_supervised")
    digest = mix(recipe, unions).digest
    assert mix(recipe, unions, tmp_path / "elsewhere").digest == digest
    other = tmp_path / "unified-audiocaps"
    for name in ("audiocaps", "clotho", "wavcaps"):
        build(name, raw=unions.parent / name, out=other)
    assert mix(recipe, other).digest == digest


# -- all of them ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_sets_splits_and_subsets_exist_and_nothing_is_trained_on_that_is_evaluated_on(name: str) -> None:
    recipe = load_recipe(name)
    for one in recipe.sets:
        config, _, split = one.set.partition("/")
        known = source(config)
        assert not split or split in known.splits
        assert not set([split] if split else known.splits) & set(EVALUATION_SPLITS), f"{one.set} has splits to evaluate on"
        assert set(one.subsets) <= set(known.subsets)
    for rule in recipe.decontaminate:
        config, _, split = rule.name.partition("/")
        assert not split or split in source(config).splits


@pytest.mark.parametrize("name", shipped_recipes())
def test_all_that_is_not_built_is_told_at_once(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    needed = {one.set.split("/")[0] for one in recipe.sets} | {one.name.split("/")[0] for one in recipe.decontaminate}
    with pytest.raises(InputError, match=f"{name} cannot be mixed yet") as caught:
        mix(recipe, tmp_path)
    assert len(caught.value.problems) == len(needed)
    for config in needed:
        assert f"`{source(config).build_command(tmp_path)}`" in str(caught.value)


def test_missing_splits_and_subsets_are_told_with_missing_sets(tmp_path: Path) -> None:
    build("audiocaps", raw=FIXTURES / "audiocaps/raw", out=tmp_path)
    build("clotho", raw=FIXTURES / "clotho/raw", out=tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(FIXTURES / "audiosetcaps/raw/Dataset/VGGSound_AudioSetCaps_caption.csv", raw)
    build("audiosetcaps", raw=raw, out=tmp_path)
    with pytest.raises(InputError) as caught:
        mix(load_recipe("audiosetcaps_supervised"), tmp_path)
    assert len(caught.value.problems) == 2
    assert "split validation of clotho is not in" in str(caught.value) and "`uac build clotho" in str(caught.value)
    assert "subset audioset of audiosetcaps is not in" in str(caught.value) and "`uac build audiosetcaps" in str(caught.value)


def test_every_shipped_recipe_is_mixed_here() -> None:
    nested = {f"fusionaudio_{name}_clips" for name in ("1250", "5k", "20k", "80k")}
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in shipped_recipes() if name not in nested and f'"{name}"' not in text] == []
    assert nested < set(shipped_recipes())
