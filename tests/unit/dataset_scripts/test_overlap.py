"""The same sound in two sets: levels, times, marks, exclusions, lists, and every overlap that real files allow to measure."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts import schema
from unified_audiocaps.dataset_scripts.arrays import record_batch
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import BuiltSet, built_set
from unified_audiocaps.dataset_scripts.card import render
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.dataset_scripts.keys import freesound_key
from unified_audiocaps.dataset_scripts.marking import Exclusion, Marker, Marking
from unified_audiocaps.dataset_scripts.overlap import (
    Index,
    OverlapReport,
    Places,
    compare_list,
    overlaps,
    places,
    places_of,
    read_list,
)
from unified_audiocaps.dataset_scripts.texthash import Hashes, TextHasher

HEADER = "audiocap_id,youtube_id,start_time,caption\r\n"


def rows(*clips: dict[str, Any]) -> pa.RecordBatch:
    """Returns rows with the given columns, and ids r0, r1, ..."""
    columns: dict[str, Any] = {
        name: pa.array([clip.get(name, [] if name == "clip_keys" else None) for clip in clips], schema.SCHEMA.field(name).type)
        for name in ("clip_keys", "audio_ref", "audio_ref_b", "duration_s")
    }
    return record_batch(len(clips), id=pa.array([f"r{i}" for i in range(len(clips))]), **columns)


def youtube(video: str, start: float | None = None, end: float | None = None) -> dict[str, Any]:
    found = [f"yt:{video}", *([f"yt:{video}@{start:.3f}"] if start is not None else [])]
    return {"clip_keys": found, "audio_ref": {"kind": "youtube", "key": video, "start_s": start, "end_s": end}}


def audiocaps(folder: Path, split: str, *clips: tuple[str, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{i},{video},{start},A sound\r\n" for i, (video, start) in enumerate(clips)]
    (folder / f"{split}.csv").write_text(HEADER + "".join(lines), newline="")
    return folder


V, W, X = "aaaaaaaaaa1", "bbbbbbbb_-2", "ccccccccccc"


@pytest.mark.parametrize(
    ("one", "other", "level", "shared_s"),
    [
        (youtube(V, 30.0, 40.0), youtube(V, 30.0, 40.0), "clip", 10.0),
        (youtube(V, 30.0, 40.0), youtube(V, 30.5, 40.5), "clip", 9.5),
        (youtube(V, 30.0, 40.0), youtube(V, 30.501, 40.501), "segment", 9.499),
        (youtube(V, 30.0, 40.0), youtube(V, 40.0, 50.0), "recording", 0.0),
        (youtube(V, 30.0, 40.0), youtube(V), "recording", None),
        (youtube(V, 30.0), youtube(V, 30.0), "clip", None),
        (youtube(V, 30.0), youtube(V, 35.0), "recording", None),
        ({**youtube(V, 30.0), "duration_s": 8.0}, youtube(V, 35.0, 45.0), "segment", 3.0),
        ({"clip_keys": ["fs:12"]}, {"clip_keys": ["fs:12"]}, "recording", None),
        ({"clip_keys": ["sha256:ab"]}, {"clip_keys": ["sha256:ab"]}, "clip", None),
        (youtube(V, 0.0, 10.0), youtube(W, 0.0, 10.0), None, None),
        ({"clip_keys": []}, {"clip_keys": []}, None, None),
    ],
)
def test_levels(one: dict[str, Any], other: dict[str, Any], level: str | None, shared_s: float | None) -> None:
    for a, b in ((one, other), (other, one)):
        marker = Marker(Marking(marked=("x/test",), held={"x/test": places(rows(b))}))
        marked, dropped = marker.apply(rows(a))
        found = marked["overlaps"].to_pylist()[0]
        assert [entry["level"] for entry in found] == ([level] if level else [])
        if found:
            assert found[0]["set"] == "x/test"
            assert found[0]["side"] is None
            assert found[0]["shared_s"] == (pytest.approx(shared_s) if shared_s is not None else None)
        assert dropped.null_count == 1


def test_the_strongest_match_of_each_set_is_told_with_the_key_of_the_evaluation_clip() -> None:
    held = {
        "x/test": places(rows(youtube(V, 0.0, 10.0), youtube(V, 33.0, 43.0), youtube(V, 36.0, 46.0), youtube(W))),
        "y/test": places(rows(youtube(V))),
    }
    marked, _ = Marker(Marking(marked=("x/test", "y/test"), held=held)).apply(rows(youtube(X), youtube(V, 35.0, 45.0)))
    assert [[(e["set"], e["level"], e["key"], e["shared_s"]) for e in row] for row in marked["overlaps"].to_pylist()] == [
        [],
        [("x/test", "segment", f"yt:{V}@36.000", 9.0), ("y/test", "recording", f"yt:{V}", None)],
    ]


def test_sides_of_a_pair_are_told_apart() -> None:
    pair = {
        "clip_keys": [f"yt:{V}", f"yt:{V}@1.000", f"yt:{W}", f"yt:{W}@2.000"],
        "audio_ref": {"key": V, "start_s": 1.0, "end_s": 11.0},
        "audio_ref_b": {"key": W, "start_s": 2.0, "end_s": 12.0},
    }
    held = {"x/test": places(rows(youtube(W, 2.0, 12.0), youtube(V, 5.0, 15.0)))}
    marked, _ = Marker(Marking(marked=("x/test",), held=held)).apply(rows(pair))
    found = {(e["side"], e["level"], e["shared_s"]) for e in marked["overlaps"].to_pylist()[0]}
    assert found == {("a", "segment", 6.0), ("b", "clip", 10.0)}


def test_many_segments_of_one_recording_are_matched_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    many = places(rows(*(youtube(V, float(i), float(i + 1)) for i in range(40))))
    whole = list(Index(many).matches(many))
    assert sum(len(some.left) for some in whole) == 1600
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.overlap._PAIRS_AT_ONCE", 100)
    pieces = list(Index(many).matches(many))
    assert len(pieces) == 20
    assert [x for some in pieces for x in some.level] == [x for some in whole for x in some.level]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """AudioCaps with one test clip, built."""
    folder = tmp_path / "unified-audiocaps"
    build("audiocaps", raw=audiocaps(tmp_path / "v1", "test", (V, 30), (W, 0)), out=folder)
    return folder


def v2(tmp_path: Path) -> Path:
    audiocaps(tmp_path / "v2", "train", (V, 30), (V, 35), (W, 100), (X, 0))
    return audiocaps(tmp_path / "v2", "val", (V, 30))


def test_a_build_marks_rows_with_the_evaluation_sets_beside_it(tmp_path: Path, out: Path) -> None:
    report = build("audiocaps_v2", raw=v2(tmp_path), out=out)
    levels = [[e["level"] for e in row] for row in built_set("audiocaps_v2/train", out).table()["overlaps"].to_pylist()]
    assert levels == [["clip"], ["segment"], ["recording"], []]
    assert report.statistics["splits"]["train"]["overlaps"] == {"audiocaps/test": {"clip": 1, "recording": 1, "segment": 1}}
    manifest = json.loads((report.path / "manifest.json").read_text())
    assert list(manifest["parts"][0]["overlaps"]["marked"]) == ["audiocaps/test"]
    plain = build("audiocaps_v2", raw=v2(tmp_path), out=out, mark_overlaps=False)
    assert not plain.reused
    assert built_set("audiocaps_v2/train", out).table()["overlaps"].null_count == 4


def test_marks_follow_the_content_of_the_evaluation_sets(tmp_path: Path, out: Path) -> None:
    raw = v2(tmp_path)
    first = build("audiocaps_v2", raw=raw, out=out)
    whole = {path.name: path.read_bytes() for path in first.path.iterdir()}
    assert build("audiocaps_v2", raw=raw, out=out).reused
    forced = build("audiocaps_v2", raw=raw, out=out, force=True, workers=2)
    assert {path.name: path.read_bytes() for path in forced.path.iterdir()} == whole
    build("audiocaps", raw=tmp_path / "v1", out=out)  # marks of its own now: what it holds is the same
    assert build("audiocaps_v2", raw=raw, out=out).reused
    build("audiocaps", raw=audiocaps(tmp_path / "v1", "test", (X, 3)), out=out)
    changed = build("audiocaps_v2", raw=raw, out=out)
    assert not changed.reused
    assert [len(row) for row in built_set("audiocaps_v2/train", out).table()["overlaps"].to_pylist()] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("written", "kept", "rule"),
    [
        ("audiocaps/test", [X], "overlap:audiocaps/test"),
        ("audiocaps", [X], "overlap:audiocaps"),
        ("audiocaps/test:segment", [W, X], "overlap:audiocaps/test:segment"),
        ("audiocaps/test:clip", [V, W, X], "overlap:audiocaps/test:clip"),
    ],
)
def test_excluded_sounds_are_dropped_whole(tmp_path: Path, out: Path, written: str, kept: list[str], rule: str) -> None:
    report = build("audiocaps_v2", raw=v2(tmp_path), out=out, exclude=[Exclusion.parse(written)], workers=2)
    assert [ref["key"] for ref in built_set("audiocaps_v2/train", out).table()["audio_ref"].to_pylist()] == kept
    assert report.dropped == {rule: 5 - len(kept)}
    dropped = pq.read_table(report.path / "dropped.parquet").to_pylist()
    assert {row["rule"] for row in dropped} == {rule}
    assert json.loads(dropped[0]["record_json"]) == {
        "audiocap_id": "0", "youtube_id": V, "start_time": "30", "caption": "A sound"
    }  # fmt: skip
    assert report.skipped["validation"].startswith("left out: all of its rows were dropped (")
    assert "validation-" not in render(out)
    assert not list(report.path.glob("validation*"))
    assert build("audiocaps_v2", raw=v2(tmp_path), out=out, exclude=[Exclusion.parse(written)]).reused
    assert not build("audiocaps_v2", raw=v2(tmp_path), out=out).reused


def test_what_cannot_be_excluded_is_explained(tmp_path: Path, out: Path) -> None:
    raw = v2(tmp_path)
    for written, problem, told in [
        ("audiocaps/train", InputError, "split train of audiocaps is not in .*only test of audiocaps is"),
        ("clotho/evaluation", InputError, "clotho is not in .*uac build clotho \\[--raw DIR\\]"),
        ("audiocap/test", UnknownNameError, "Did you mean audiocaps"),
        ("audiocaps/tset", UnknownNameError, "Did you mean test"),
        ("audiocaps_v2/validation", InputError, "part of audiocaps_v2 itself"),
    ]:
        with pytest.raises(problem, match=told):
            build("audiocaps_v2", raw=raw, out=out, exclude=[Exclusion.parse(written)])
    with pytest.raises(InputError, match=r"asks for level 'near'; expected one of recording, segment, clip"):
        Exclusion.parse("audiocaps/test:near")
    with pytest.raises(InputError, match="twice"):
        build("audiocaps_v2", raw=raw, out=out, exclude=[Exclusion("audiocaps/test"), Exclusion("audiocaps/test", "clip")])
    with pytest.raises(InputError, match="no row of it is left: "):
        build("audiocaps_v2", raw=raw, out=out, splits=["val"], exclude=[Exclusion("audiocaps/test")])


def test_a_set_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def once(found: BuiltSet) -> Places:
        calls.append(found.name)
        if len(calls) == 1:
            raise InputError("a shard is gone")
        return places_of(found)

    monkeypatch.setattr("unified_audiocaps.dataset_scripts.marking.places_of", once)
    report = build("audiocaps_v2", raw=v2(tmp_path), out=out)
    assert calls == ["audiocaps/test"] * 2
    assert report.statistics["total"]["overlaps"]["audiocaps/test"]["clip"] == 2
    (out / "data/audiocaps/test-00000-of-00001.parquet").unlink()
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"build it again: `uac build audiocaps \[--raw DIR\] .*--force`"):
        build("audiocaps_v2", raw=v2(tmp_path), out=out)


def by_hand(a: BuiltSet, b: BuiltSet) -> list[dict[str, Any]]:
    """Returns all pairs of two sets that are held in memory whole."""
    left, right = places_of(a), places_of(b)
    ids_a, ids_b = ([one for batch in some.batches(["id"]) for one in batch["id"].to_pylist()] for some in (a, b))
    return [
        {
            "a": ids_a[left.rows[i]], "b": ids_b[right.rows[j]], "key": right.keys[int(j)].as_py(),
            "level": ["recording", "segment", "clip"][level - 1], "shared_s": None if np.isnan(shared) else shared,
        }
        for some in Index(right).matches(left)
        for i, j, level, shared in zip(some.left, some.right, some.level, some.shared_s, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("n_hashes", [2, 8, 2**64])
def test_pairs_do_not_depend_on_hashes_and_passes(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, n_hashes: int
) -> None:
    class Weak(TextHasher):
        def of(self, texts: pa.StringArray) -> Hashes:
            found = super().of(texts)
            return found if self.seed else found % np.uint64(min(n_hashes, 2**64 - 1))

    monkeypatch.setattr("unified_audiocaps.dataset_scripts.overlap._ROWS_PER_PASS", 3)
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.overlap.TextHasher", Weak)
    videos = [f"video{i:06d}" for i in range(40)]
    train = audiocaps(tmp_path / "v2", "train", *((videos[i], start) for start in (0, 4, 20) for i in range(0, 30, 2)))
    build("audiocaps_v2", raw=train, out=out)
    build("audiocaps", raw=audiocaps(tmp_path / "v1", "train", *((videos[i], i % 7) for i in range(5, 40))), out=out)
    for one, other in (("audiocaps_v2", "audiocaps"), ("audiocaps", "audiocaps_v2"), ("audiocaps", "audiocaps")):
        a, b = built_set(one, out), built_set(other, out)
        found = overlaps(a, b)
        assert found.pairs.to_pylist() == by_hand(a, b)
        assert sum(found.clips_a.values()) == len({pair["a"] for pair in by_hand(a, b)}) > 0
        assert sum(found.recordings.values()) == len({pair["key"][:14] for pair in by_hand(a, b)})


def test_lists_of_similar_sounds_are_compared_with_ids(tmp_path: Path, out: Path) -> None:
    build("audiocaps_v2", raw=v2(tmp_path), out=out)
    a, b = built_set("audiocaps_v2/train", out), built_set("audiocaps/test", out)
    listed = tmp_path / "list.csv"
    listed.write_text(f"file_name\ntrain/{V}.wav\n{X}\nnobody\n")
    found = compare_list(read_list(listed), a, overlaps(a, b))
    prefix = "audiocaps_v2/train/"
    assert found.both == [f"{prefix}{V}_30", f"{prefix}{V}_35"]
    assert (found.only_list, found.only_ids, found.unknown) == ([f"{prefix}{X}_0"], [f"{prefix}{W}_100"], ["nobody"])
    for content, told in [
        ("name\nx\n", "expected a header line"),
        ("file_name\na,b\n", "line 2 has 2 cells"),
        ("", "begins with"),
    ]:
        listed.write_text(content)
        with pytest.raises(InputError, match=told):
            read_list(listed)


# -- real files ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real files allow to build of the sets whose overlaps were measured."""
    folder = tmp_path_factory.mktemp("real")
    out = folder / "unified-audiocaps"
    build("audiocaps", raw=real_dir / "audiocaps/v1", out=out, mark_overlaps=False)
    build("audiocaps_v2", raw=real_dir / "audiocaps/v2", out=out, mark_overlaps=False)
    clotho = folder / "clotho"
    clotho.mkdir()
    names = {"train": "development", "val": "validation", "test": "evaluation"}
    with (real_dir / "clotho/freesound_ids.all_splits.csv").open(newline="", encoding="utf-8") as stream:
        ids = list(csv.DictReader(stream))
    for old, new in names.items():
        shutil.copy(real_dir / f"clotho/csv_files/{old}.csv", clotho / f"clotho_captions_{new}.csv")
        with (clotho / f"clotho_metadata_{new}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"])
            writer.writerows([row["file_name"], "", row["freesound_id"], *[""] * 4] for row in ids if row["split"] == old)
    build("clotho", raw=clotho, out=out, mark_overlaps=False)
    build("mecat", out=out, mark_overlaps=False)
    return out


def measured(data: Path, a: str, b: str) -> OverlapReport:
    return overlaps(built_set(a, data), built_set(b, data))


def recordings_shared(found: pa.RecordBatch, data: Path, name: str) -> set[str]:
    """Returns the recordings that rows made from a list of ids share with a built set."""
    some = places(found)
    shared = [match.left for match in Index(places_of(built_set(name, data))).matches(some)]
    return {some.recordings[int(at)].as_py() for match in shared for at in match}


@pytest.mark.real
@pytest.mark.parametrize(("split", "clips"), [("validation", 495), ("test", 975)])
def test_both_releases_of_audiocaps_evaluate_on_the_same_clips(real: Path, split: str, clips: int) -> None:
    found = measured(real, f"audiocaps/{split}", f"audiocaps_v2/{split}")
    assert found.clips_a == found.clips_b == {"clip": clips, "segment": 0, "recording": 0}
    assert found.rows_a == found.rows_b == len(found.ids_of("a")) == clips


@pytest.mark.real
def test_splits_of_audiocaps_share_no_video(real: Path) -> None:
    assert measured(real, "audiocaps/validation", "audiocaps/test").pairs.num_rows == 0


@pytest.mark.real
def test_vggsound_test_holds_one_video_of_audiocaps_test(real: Path, real_dir: Path) -> None:
    names = [line.split(".mp4,")[0] for line in (real_dir / "vggsound/test.csv").read_text().splitlines()]
    vggsound = rows(*(youtube(name[:11], float(name[12:]), float(name[12:]) + 10) for name in names))
    assert len(set(places(vggsound).recordings.to_pylist())) == 14_851
    assert len(recordings_shared(vggsound, real, "audiocaps/test")) == 1
    # MECAT: one video of VGGSound test is in MECAT test; the one of AudioCaps test is in MECAT train, which no file here holds.
    assert recordings_shared(vggsound, real, "mecat/test") == {"yt:rj5DZMMg3eQ"}


@pytest.mark.real
def test_the_blacklist_of_wavcaps_holds_exactly_the_recordings_of_clotho(real: Path, real_dir: Path) -> None:
    listed = json.loads((real_dir / "wavcaps/json_files/blacklist/blacklist_exclude_all_ac.json").read_text())["FreeSound"]
    blacklist = rows(*({"clip_keys": [key]} for key in map(freesound_key, listed) if key))
    assert len(set(places(blacklist).recordings.to_pylist())) == 5_904  # 5,905 unique names, one of which is "Not found"
    assert recordings_shared(blacklist, real, "clotho") == set(places_of(built_set("clotho", real)).recordings.to_pylist())


@pytest.mark.real
def test_recordings_that_splits_of_clotho_share(real: Path) -> None:
    def shared(a: str, b: str) -> set[str]:
        return set(measured(real, f"clotho/{a}", f"clotho/{b}").pairs["key"].to_pylist())

    assert shared("development", "validation") == {"fs:86163", "fs:130603"}
    assert shared("development", "evaluation") == {"fs:137692"}
    assert shared("validation", "evaluation") == {"fs:66304", "fs:86161"}


@pytest.mark.real
def test_recordings_of_esc_50_in_clotho(real: Path, real_dir: Path) -> None:
    clips = json.loads((real_dir / "fusionaudio/data/eval/ESC50_test.json").read_text())
    names = [clip["audio_id"].rpartition("/")[2] for clip in clips]
    esc50 = rows(*({"clip_keys": [f"fs:{int(name.split('-')[1])}"]} for name in names))
    shared = [len(recordings_shared(esc50, real, f"clotho/{split}")) for split in ("development", "validation", "evaluation")]
    assert shared == [67, 17, 22]


@pytest.mark.real
def test_a_similarity_list_finds_other_clips_than_ids(real: Path, real_dir: Path) -> None:
    a = built_set("clotho", real)
    names = read_list(real_dir / "overlap_lists/clotho_in_freesound.csv")
    found = compare_list(names, a, overlaps(a, built_set("audiocaps/test", real)))
    assert found.listed == 296
    assert not found.both and not found.only_ids
    assert len(found.only_list) + len(found.unknown) >= found.listed
