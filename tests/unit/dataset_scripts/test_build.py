"""What a build keeps, replaces, drops, reports and says."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts import build as module
from unified_audiocaps.dataset_scripts.build import build, built_configs
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.card import render
from unified_audiocaps.dataset_scripts.errors import (
    InputError,
    OfflineError,
    RecordError,
    UnknownNameError,
)
from unified_audiocaps.dataset_scripts.sources.mecat import Mecat

HEADER = "audiocap_id,youtube_id,start_time,caption\r\n"


def audiocaps(folder: Path, **splits: int) -> Path:
    """Writes AudioCaps files with the given numbers of clips."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, clips in splits.items():
        lines = [f"{split}{i},{split:_<6}{i:05d},{i},Sound number {i}\r\n" for i in range(clips)]
        (folder / f"{split}.csv").write_text(HEADER + "".join(lines), newline="")
    return folder


def files_of(data: Path, config: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data / "data" / config).iterdir()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "unified-audiocaps"


def test_the_report_says_what_was_done(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=3)
    (raw / "test.head200.csv").write_text("x")
    report = build("audiocaps", raw=raw, out=out)
    assert report.config == "audiocaps"
    assert report.path == out / "data" / "audiocaps"
    assert report.rows == {"validation": 2, "test": 3}
    assert report.skipped == {"train": "not built: no train.csv below --raw"}
    assert report.unknown_files == ["test.head200.csv"]
    assert report.dropped == {}
    assert report.statistics["splits"]["test"]["mean_caption_words"] == 3.0
    assert not report.reused
    manifest = json.loads((out / "data/audiocaps/manifest.json").read_text())
    (shard,) = manifest["splits"]["test"]["shards"]
    assert shard["file"] == "test-00000-of-00001.parquet"
    assert shard["rows"] == 3
    assert shard["bytes"] == (out / "data/audiocaps" / shard["file"]).stat().st_size
    assert set(manifest["parts"][0]["inputs"]["captions"]) == {"file", "bytes", "sha256"}
    assert str(tmp_path) not in json.dumps(manifest)
    assert sorted(path.name for path in (out / ".uac").iterdir()) == ["audiocaps.lock", "readme.lock"]


def test_the_same_build_again_is_reused_and_force_gives_the_same_bytes(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", test=3)
    build("audiocaps", raw=raw, out=out)
    before = files_of(out, "audiocaps")
    assert build("audiocaps", raw=raw, out=out).reused
    forced = build("audiocaps", raw=raw, out=out, force=True)
    assert not forced.reused
    assert files_of(out, "audiocaps") == before


def test_other_input_or_limits_build_anew(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", test=3)
    build("audiocaps", raw=raw, out=out)
    assert build("audiocaps", raw=raw, out=out, limit=2).rows == {"test": 2}
    assert build("audiocaps", raw=raw, out=out).rows == {"test": 3}
    audiocaps(raw, test=4)
    assert build("audiocaps", raw=raw, out=out).rows == {"test": 4}


def test_a_lost_shard_is_built_again(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", test=3)
    path = build("audiocaps", raw=raw, out=out).path / "test-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"cannot be read .*build it again: `uac build audiocaps \[--raw DIR\] .* --force`"):
        built_set("audiocaps/test", out).table()
    assert not build("audiocaps", raw=raw, out=out).reused
    assert path.read_bytes() == whole


def test_named_splits_replace_only_themselves(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", train=5, val=2, test=3)
    build("audiocaps", raw=raw, out=out)
    whole = files_of(out, "audiocaps")
    other = audiocaps(tmp_path / "other", val=4)
    report = build("audiocaps", raw=other, out=out, splits=["val"])
    assert report.rows == {"train": 5, "validation": 4, "test": 3}
    assert report.statistics["total"]["rows"] == 12
    build("audiocaps", raw=raw, out=out, splits=["validation"])
    assert files_of(out, "audiocaps") == whole
    assert build("audiocaps", raw=other, out=out).rows == {"validation": 4}


def test_splits_of_two_schemas_are_not_mixed(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=3)
    build("audiocaps", raw=raw, out=out)
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.schema.SCHEMA_VERSION", 2)
    with pytest.raises(InputError, match=r"built with version 1 of the schema, and now it is 2.*without --split"):
        build("audiocaps", raw=raw, out=out, splits=["test"])
    assert not build("audiocaps", raw=raw, out=out).reused


def test_a_named_split_without_files_is_refused(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", test=3)
    with pytest.raises(InputError, match=r"nothing to build split train from\.\n  E_NO_FILES: not built: no train\.csv"):
        build("audiocaps", raw=raw, out=out, splits=["train", "test"])
    with pytest.raises(UnknownNameError, match=r"no split of audiocaps is called 'tset'\. Did you mean test"):
        build("audiocaps", raw=raw, out=out, splits=["tset"])
    assert not out.exists()


def test_a_limit_counts_per_split(tmp_path: Path, out: Path) -> None:
    raw = Path(__file__).resolve().parents[2] / "fixtures/sources/wavcaps/raw"
    assert build("wavcaps", raw=raw, out=out, limit=3, workers=4).rows == {"train": 3}
    ids = built_set("wavcaps/train", out).table(["id"])["id"].to_pylist()
    assert ids == ["wavcaps/AudioSet_SL/Yiiiiiiiii_9", "wavcaps/AudioSet_SL/YYjjjjjjjjj0", "wavcaps/BBC_Sound_Effects/00012345"]
    with pytest.raises(InputError, match="expected numbers from 1 up"):
        build("wavcaps", raw=raw, out=out, limit=0)


def test_a_repeated_id_keeps_its_first_record_and_drops_the_others_whole(out: Path) -> None:
    raw = Path(__file__).resolve().parents[2] / "fixtures/sources/wavcaps/raw"
    report = build("wavcaps", raw=raw, out=out)
    assert report.dropped == {"duplicate_id": 1}
    (row,) = pq.read_table(report.path / "dropped.parquet").to_pylist()
    assert (row["rule"], row["id"], row["file"], row["row"]) == (
        "duplicate_id",
        "wavcaps/FreeSound/778",
        "json_files/FreeSound/fsd_final.json",
        2,
    )
    assert json.loads(row["record_json"])["description"] == "The same id again."


def test_an_id_in_two_files_is_refused(tmp_path: Path, out: Path) -> None:
    raw = tmp_path / "raw/caption/test"
    raw.mkdir(parents=True)
    for domain in ("000", "SMA"):
        (raw / f"{domain}.jsonl").write_text(json.dumps({"aaaaaaaaaaa_0_10": {"long": ["a"], "domain": domain}}) + "\n")
    with pytest.raises(InputError, match=r"1 ids are in several upstream files\.\n.*mecat/test/aaaaaaaaaaa_0_10"):
        build("mecat", raw=tmp_path / "raw", out=out)
    assert built_configs(out) == []


def test_files_without_records_are_left_out_of_the_card(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", val=0, test=1)
    report = build("audiocaps", raw=raw, out=out)
    assert report.rows == {"test": 1}
    assert report.skipped["validation"] == "not built: its files hold no record"
    assert "data/audiocaps/validation" not in render(out)
    with pytest.raises(InputError, match="hold no record; nothing was built"):
        build("audiocaps", raw=audiocaps(tmp_path / "none", test=0), out=tmp_path / "none-out")


def test_no_known_file_at_all(tmp_path: Path, out: Path) -> None:
    (tmp_path / "train.head5000.csv").write_text("x")
    message = (
        r"holds none of the upstream files\. Expected at any depth: train\.csv, val\.csv, test\.csv\. .*github.*head5000\.csv"
    )
    with pytest.raises(InputError, match=message):
        build("audiocaps", raw=tmp_path, out=out)
    with pytest.raises(OfflineError, match=r"HF_HUB_OFFLINE is set.*`uac build audiocaps --raw DIR`"):
        build("audiocaps", out=out)
    with pytest.raises(UnknownNameError, match=r"no dataset is called 'audiocap'\. Did you mean audiocaps"):
        build("audiocap", out=out)


def test_mecat_without_its_package(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"`pip install mecat` brings the test split"):
        Mecat().locate(None)


def test_reading_what_was_not_built_names_the_command(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"split test of clotho|split evaluation of clotho"):
        built_set("clotho/eval", out).table()
    build("audiocaps", raw=audiocaps(tmp_path / "raw", test=1), out=out)
    with pytest.raises(
        InputError, match=rf"only test of audiocaps is\); build it first: `uac build audiocaps \[--raw DIR\] --out {out}`"
    ):
        built_set("audiocaps/train", out).table()
    monkeypatch.chdir(tmp_path / "raw")  # where no folder `unified-audiocaps` is
    with pytest.raises(InputError, match=r"build it first: `uac build sample`"):
        built_set("sample/test", Path("unified-audiocaps")).table()
    (out / "data/audiocaps/manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json is damaged .*--force"):
        built_set("audiocaps/test", out).table()
    assert not build("audiocaps", raw=tmp_path / "raw", out=out).reused


def test_worker_processes_report_errors_as_they_are(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=2)
    with (raw / "test.csv").open("a", newline="") as stream:
        stream.write("x,y\r\n")
    with pytest.raises(RecordError, match=r"audiocaps: test\.csv, line 4: .*2 cells") as caught:
        build("audiocaps", raw=raw, out=out, workers=2)
    assert caught.value.line == 4
    assert built_configs(out) == []


def test_a_bad_rebuild_leaves_the_good_build(tmp_path: Path, out: Path) -> None:
    raw = audiocaps(tmp_path / "raw", test=3)
    build("audiocaps", raw=raw, out=out)
    before = files_of(out, "audiocaps")
    (raw / "test.csv").write_text(HEADER + "1,2\n")
    with pytest.raises(RecordError):
        build("audiocaps", raw=raw, out=out)
    assert files_of(out, "audiocaps") == before
    assert built_set("audiocaps/test", out).table().num_rows == 3


def test_raw_may_hold_the_output(tmp_path: Path) -> None:
    raw = audiocaps(tmp_path, test=2)
    build("audiocaps", raw=raw, out=tmp_path / "unified-audiocaps")
    report = build("audiocaps", raw=raw, out=tmp_path / "unified-audiocaps")
    assert report.reused
    assert report.unknown_files == []


def test_rows_do_not_depend_on_row_groups(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = audiocaps(tmp_path / "raw", test=25)
    build("audiocaps", raw=raw, out=out)
    whole = built_set("audiocaps/test", out).table()
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.sources.audiocaps.AudioCaps.row_group_rows", 4)
    monkeypatch.setattr("unified_audiocaps.dataset_scripts.engine.shards.ROW_GROUPS_PER_SHARD", 2)
    report = build("audiocaps", raw=raw, out=out, force=True)
    assert sorted(path.name for path in report.path.glob("*.parquet")) == [f"test-{i:05d}-of-00004.parquet" for i in range(4)]
    assert built_set("audiocaps/test", out).table().equals(whole)


def test_the_card_lists_every_config_once(tmp_path: Path, out: Path) -> None:
    build("sample", out=out)
    build("audiocaps", raw=audiocaps(tmp_path / "raw", val=1, test=1), out=out)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert text.count("config_name:") == 2
    assert text.count("default: true") == 1
    assert text == render(out)
    shutil.rmtree(out / "data/sample")
    build("audiocaps", raw=tmp_path / "raw", out=out)
    assert "config_name: sample" not in (out / "README.md").read_text(encoding="utf-8")


def test_the_api_is_complete() -> None:
    assert module.__all__ == ["BuildReport", "build", "built_configs"]
