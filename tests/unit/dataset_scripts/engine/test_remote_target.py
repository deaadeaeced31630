"""Builds to URLs: the same bytes as to a folder, cut and gone on with, reused, replaced; and what is said when that fails."""

import json
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from unified_audiocaps.dataset_scripts import atomic
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.engine.remote_target import open_target
from unified_audiocaps.dataset_scripts.errors import (
    InputError,
    MissingRequirementError,
    OfflineError,
    StorageError,
    UnknownNameError,
)
from unified_audiocaps.dataset_scripts.marking import Exclusion

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures/sources"
HEADER = "audiocap_id,youtube_id,start_time,caption\r\n"
URL = "frail://bucket/folder"
ROOT = "/bucket/folder/"


class FrailFileSystem(MemoryFileSystem):
    """An object store in memory that counts what it is sent, and refuses after so many files."""

    protocol = "frail"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    refuse_after: ClassVar[int | None] = None
    sent: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("frail://"))

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        if self.refuse_after is not None and len(self.sent) >= self.refuse_after:
            raise PermissionError(13, "the bucket says no", rpath)
        self.sent.append(rpath.rpartition("/")[2])
        super().put_file(lpath, rpath, **options)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FrailFileSystem]:
    """The empty store, and a cache folder of its own."""
    monkeypatch.setenv("UAC_HOME", str(tmp_path / "home"))
    fsspec.register_implementation("frail", FrailFileSystem, clobber=True)
    for attribute, value in (("store", {}), ("pseudo_dirs", [""]), ("refuse_after", None), ("sent", [])):
        monkeypatch.setattr(FrailFileSystem, attribute, value)
    return FrailFileSystem


def audiocaps(folder: Path, text: str = "Sound number", **splits: int) -> Path:
    """Writes AudioCaps files with the given numbers of clips."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, clips in splits.items():
        lines = [f"{split}{i},{split:_<6}{i:05d},{i},{text} {i}\r\n" for i in range(clips)]
        (folder / f"{split}.csv").write_text(HEADER + "".join(lines), newline="")
    return folder


def at(url: str) -> dict[str, bytes]:
    """Returns all files at a URL."""
    fs, root = fsspec.core.url_to_fs(url)
    return {path.removeprefix(root.rstrip("/") + "/"): fs.cat_file(path) for path in fs.find(root)}


def below(folder: Path) -> dict[str, bytes]:
    """Returns what a build to a folder wrote."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".uac" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def manifest_at(url: str, config: str = "audiocaps") -> dict[str, Any]:
    return json.loads(at(url)[f"data/{config}/manifest.json"])


# -- the same as a folder --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["memory://test-target/a folder", "frail://bucket/folder/", "frail://bucket"])
def test_the_bytes_are_those_of_a_build_to_a_folder(url: str, tmp_path: Path) -> None:
    local = tmp_path / "unified-audiocaps"
    builds: list[tuple[str, dict[str, Any]]] = [
        ("audiocaps", {"raw": audiocaps(tmp_path / "raw", train=5, val=2, test=3)}),
        ("wavcaps", {"raw": FIXTURES / "wavcaps/raw", "workers": 2}),  # has dropped.parquet and subsets
        ("sample", {}),
    ]
    try:
        for name, options in builds:
            here, there = build(name, out=local, **options), build(name, out=url, **options)
            assert there.path == f"{url.rstrip('/')}/data/{name}"
            assert (there.rows, there.statistics, there.reused) == (here.rows, here.statistics, False)
        assert at(url) == below(local)
        assert "data/wavcaps/dropped.parquet" in at(url)
    finally:
        fsspec.filesystem("memory").store.clear()


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    from datasets import load_dataset

    out = tmp_path / "with space" / "unified-audiocaps"
    report = build("audiocaps", raw=audiocaps(tmp_path / "raw", test=3), out=f"file://{out}")
    assert report.path == out / "data" / "audiocaps"
    rows = load_dataset(str(out), "audiocaps", split="test", cache_dir=str(tmp_path / "cache"))
    assert rows["caption"][:] == ["Sound number 0", "Sound number 1", "Sound number 2"]


def test_a_finished_build_leaves_only_small_files_on_this_machine(tmp_path: Path) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", test=3), out=URL)
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"audiocaps.lock", "beside.lock", "readme.lock"}


# -- the second call -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["the same machine", "another machine"])
def test_what_is_there_is_reused_and_nothing_is_sent(
    machine: str, tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=3)
    first = build("audiocaps", raw=raw, out=URL)
    store.sent.clear()
    if machine == "another machine":
        monkeypatch.setenv("UAC_HOME", str(tmp_path / "other home"))
    again = build("audiocaps", raw=raw, out=URL)
    assert again.reused
    assert (again.rows, again.statistics) == (first.rows, first.statistics)
    assert store.sent == []


def test_a_lost_shard_alone_is_sent_again(tmp_path: Path, store: type[FrailFileSystem]) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=3)
    build("audiocaps", raw=raw, out=URL)
    whole = at(URL)
    store.sent.clear()
    fsspec.filesystem("frail").rm_file(f"{ROOT}data/audiocaps/test-00000-of-00001.parquet")
    assert not build("audiocaps", raw=raw, out=URL).reused
    assert store.sent == ["test-00000-of-00001.parquet", "stats.json", "manifest.json"]
    assert at(URL) == whole


def test_shards_that_did_not_change_stay_and_old_ones_go(tmp_path: Path, store: type[FrailFileSystem]) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", val=2, test=3), out=URL)
    store.sent.clear()
    other = audiocaps(tmp_path / "other", val=2, train=4)
    build("audiocaps", raw=other, out=URL)
    assert store.sent == ["train-00000-of-00001.parquet", "stats.json", "manifest.json"]
    build("audiocaps", raw=other, out=tmp_path / "local")
    assert at(URL) == below(tmp_path / "local")
    assert "split: test" not in at(URL)["README.md"].decode()


def test_named_splits_replace_only_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = audiocaps(tmp_path / "other", val=4)
    for out in (URL, tmp_path / "local"):
        build("audiocaps", raw=audiocaps(tmp_path / "raw", train=5, test=3), out=out)
        monkeypatch.setenv("UAC_HOME", str(tmp_path / "other home"))  # what stays is fetched, whoever built it
        assert build("audiocaps", raw=other, out=out, splits=["val"]).rows == {"train": 5, "validation": 4, "test": 3}
    assert at(URL) == below(tmp_path / "local")


def test_kept_splits_that_are_damaged_are_not_built_upon(tmp_path: Path) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", train=5), out=URL)
    before = at(URL)
    path = f"{ROOT}data/audiocaps/train-00000-of-00001.parquet"
    fsspec.filesystem("frail").pipe_file(path, before["data/audiocaps/train-00000-of-00001.parquet"][:-1] + b"x")
    with pytest.raises(InputError, match=r"is not what was built before.*without --split"):
        build("audiocaps", raw=audiocaps(tmp_path / "other", val=4), out=URL, splits=["val"])


# -- cuts ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", range(6))
def test_a_first_upload_that_is_cut_goes_on_where_it_stopped(sent: int, tmp_path: Path, store: type[FrailFileSystem]) -> None:
    raw = audiocaps(tmp_path / "raw", train=5, val=2, test=3)
    order = [*(f"{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")), "stats.json", "manifest.json"]
    store.refuse_after = sent
    if sent < len(order):
        with pytest.raises(StorageError, match=r"cannot work in frail://bucket/folder.*the bucket says no.*run the same command"):
            build("audiocaps", raw=raw, out=URL)
        assert "data/audiocaps/manifest.json" not in at(URL)
        assert "README.md" not in at(URL)
    store.refuse_after = None
    build("audiocaps", raw=raw, out=URL)
    assert store.sent == order
    build("audiocaps", raw=raw, out=tmp_path / "local")
    assert at(URL) == below(tmp_path / "local")


@pytest.mark.parametrize("sent", range(5))
@pytest.mark.parametrize("machine", ["the same machine", "another machine"])
def test_a_replacement_that_is_cut_leaves_a_true_manifest_or_none(
    sent: int, machine: str, tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", train=5, val=2, test=3), out=URL)
    store.sent.clear()
    store.refuse_after = sent
    raw = audiocaps(tmp_path / "new", "New sound", train=5, val=2, test=3)
    with pytest.raises(StorageError, match="has no manifest, so nobody takes it for whole"):
        build("audiocaps", raw=raw, out=URL)
    assert "data/audiocaps/manifest.json" not in at(URL)
    store.refuse_after = None
    if machine == "another machine":
        monkeypatch.setenv("UAC_HOME", str(tmp_path / "other home"))
        store.sent.clear()
    build("audiocaps", raw=raw, out=URL)
    assert len(store.sent) == 5
    build("audiocaps", raw=raw, out=tmp_path / "local")
    assert at(URL) == below(tmp_path / "local")


def test_what_is_left_when_all_is_sent_is_done_by_the_next_call(
    tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = store.rm_file

    def refuse(self: FrailFileSystem, path: str) -> None:
        if path.endswith(".parquet"):
            raise PermissionError(13, "no shard is deleted here")
        remove(self, path)

    build("audiocaps", raw=audiocaps(tmp_path / "raw", val=2, test=3), out=URL)
    raw = audiocaps(tmp_path / "new", train=4)
    with monkeypatch.context() as patched:
        patched.setattr(store, "rm_file", refuse)
        with pytest.raises(StorageError, match=r"audiocaps is there; run the same command to delete what is left"):
            build("audiocaps", raw=raw, out=URL)
    assert "data/audiocaps/test-00000-of-00001.parquet" in at(URL)
    assert build("audiocaps", raw=raw, out=URL).reused
    build("audiocaps", raw=raw, out=tmp_path / "local")
    assert at(URL) == below(tmp_path / "local")


def test_a_cut_upload_that_overwrites_nothing_leaves_what_was_there(tmp_path: Path, store: type[FrailFileSystem]) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", test=3), out=URL)
    before = at(URL)
    store.sent.clear()
    store.refuse_after = 1
    with pytest.raises(StorageError, match="Until then audiocaps is as it was before"):
        build("audiocaps", raw=audiocaps(tmp_path / "more", train=5, val=2), out=URL, splits=["train", "val"])
    after = at(URL)
    assert {name: after[name] for name in before} == before


def test_splits_that_stay_survive_a_cut_replacement_of_another_one(
    tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", train=5, val=2), out=URL)
    store.sent.clear()
    store.refuse_after = 0
    other = audiocaps(tmp_path / "other", val=4)
    with pytest.raises(StorageError):
        build("audiocaps", raw=other, out=URL, splits=["val"])
    store.refuse_after = None
    monkeypatch.setenv("UAC_HOME", str(tmp_path / "other home"))
    assert build("audiocaps", raw=other, out=URL, splits=["val"]).rows == {"train": 5, "validation": 4}


def test_another_build_after_a_cut_does_not_trust_what_the_cut_one_overwrote(
    tmp_path: Path, store: type[FrailFileSystem]
) -> None:
    old = audiocaps(tmp_path / "raw", test=3)
    build("audiocaps", raw=old, out=URL)
    before = at(URL)
    store.sent.clear()
    store.refuse_after = 1
    with pytest.raises(StorageError):  # equally long texts: the sizes tell nothing
        build("audiocaps", raw=audiocaps(tmp_path / "new", "Noise number", test=3), out=URL)
    store.refuse_after = None
    build("audiocaps", raw=old, out=URL)
    assert at(URL) == before


def test_a_note_counts_for_nothing_once_another_machine_has_written(
    tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = audiocaps(tmp_path / "one", val=2, test=3), audiocaps(tmp_path / "two", "Noise number", val=2, test=3)
    for home, raw in (("a", one), ("b", two)):
        monkeypatch.setenv("UAC_HOME", str(tmp_path / home))
        store.sent.clear()
        store.refuse_after = 1
        with pytest.raises(StorageError):
            build("audiocaps", raw=raw, out=URL)
    monkeypatch.setenv("UAC_HOME", str(tmp_path / "a"))
    store.refuse_after = None
    build("audiocaps", raw=one, out=URL)
    shards = [shard for found in manifest_at(URL)["splits"].values() for shard in found["shards"]]
    folder = tmp_path / "down"
    fsspec.filesystem("frail").get(f"{ROOT}data/audiocaps", str(folder), recursive=True)
    assert {shard["file"]: shard["sha256"] for shard in shards} == {
        path.name: atomic.sha256_of(path) for path in folder.glob("*.parquet")
    }


# -- other configs beside it -----------------------------------------------------------------------------------------------------


def test_overlaps_are_marked_and_excluded_with_the_sets_at_the_url(tmp_path: Path) -> None:
    raw = audiocaps(tmp_path / "raw", val=2, test=3)
    twice = audiocaps(tmp_path / "again", val=4, test=5)
    for out in (URL, tmp_path / "local"):
        build("audiocaps", raw=raw, out=out)
        report = build("audiocaps_v2", raw=twice, out=out, exclude=[Exclusion("audiocaps/val")])
        assert report.dropped == {"overlap:audiocaps/validation": 2}
    assert at(URL) == below(tmp_path / "local")
    assert build("audiocaps_v2", raw=twice, out=URL, exclude=[Exclusion("audiocaps/val")]).reused
    kept = list((tmp_path / "home").rglob("*.parquet"))
    assert sorted(path.name for path in kept) == ["test-00000-of-00001.parquet", "validation-00000-of-00001.parquet"]
    assert "caption" not in pq.read_schema(kept[0]).names
    # another set there is another build
    build("audiocaps", raw=audiocaps(tmp_path / "raw", val=3, test=3), out=URL)
    changed = build("audiocaps_v2", raw=twice, out=URL, exclude=[Exclusion("audiocaps/val")])
    assert changed.dropped == {"overlap:audiocaps/validation": 3}


def test_a_set_to_exclude_that_is_not_there_is_told_with_the_url(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"audiocaps is not in frail://bucket/folder .*; build it first: .*--out frail://bucket"):
        build("clotho", raw=FIXTURES / "clotho/raw", out=URL, exclude=[Exclusion("audiocaps/test")])
    assert at(URL) == {}


def test_a_damaged_set_at_the_url_is_told(tmp_path: Path) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", test=3), out=URL)
    fsspec.filesystem("frail").pipe_file(f"{ROOT}data/audiocaps/test-00000-of-00001.parquet", b"no parquet")
    with pytest.raises(InputError, match=r"frail://bucket/folder/data/audiocaps/test-.* cannot be read .*--no-mark-overlaps"):
        build("clotho", raw=FIXTURES / "clotho/raw", out=URL)
    assert build("clotho", raw=FIXTURES / "clotho/raw", out=URL, mark_overlaps=False).rows


def test_a_set_that_is_replaced_while_it_is_read_is_not_marked_with(
    tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    build("audiocaps", raw=audiocaps(tmp_path / "raw", test=3), out=URL)
    look = store.open

    def replaced(self: FrailFileSystem, path: str, mode: str = "rb", **options: Any) -> Any:
        if path.endswith("test-00000-of-00001.parquet") and mode == "rb":
            self.store.pop(f"{ROOT}data/audiocaps/manifest.json", None)
            self.store.pop(path, None)
        return look(self, path, mode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(store, "open", replaced)
        report = build("clotho", raw=FIXTURES / "clotho/raw", out=URL)
    assert "overlaps" not in report.statistics["total"] or not report.statistics["total"]["overlaps"]
    assert "config_name: audiocaps" not in at(URL)["README.md"].decode()


# -- what cannot be --------------------------------------------------------------------------------------------------------------


def test_an_unknown_protocol_is_told_before_anything_is_done() -> None:
    with pytest.raises(UnknownNameError, match=r"no protocol of URLs is called 's33'\. Did you mean s3"):
        build("sample", out="s33://bucket/folder")


def test_a_package_that_is_missing_is_named_with_its_command() -> None:
    fsspec.register_implementation("lacking", "no_such_package.core.FileSystem", errtxt="Install no_such_package", clobber=True)
    with pytest.raises(MissingRequirementError, match=r"lacking://.*pip install no_such_package fsspec==[0-9.]+$"):
        build("sample", out="lacking://bucket/folder")


def test_a_url_that_was_made_a_path_is_refused() -> None:
    with pytest.raises(InputError, match=r"s3:/bucket/folder was a URL before it was made a path"):
        build("sample", out=Path("s3://bucket/folder"))


@pytest.mark.parametrize("url", ["hf://datasets/unified-audiocaps", "hf://my-lab/unified-audiocaps", "hf://models/a/b"])
def test_other_places_of_the_hub_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected hf://datasets/OWNER/NAME"):
        build("sample", out=url)


def test_the_hub_is_not_asked_offline() -> None:
    with pytest.raises(OfflineError, match="hf://datasets/my-lab/x needs the network and HF_HUB_OFFLINE is set"):
        open_target("hf://datasets/my-lab/x", "sample")


def test_a_place_that_cannot_be_written_is_told_before_anything_is_built(
    tmp_path: Path, store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "the bucket does not exist")

    monkeypatch.setattr(store, "pipe_file", refuse)
    with pytest.raises(StorageError, match=r"cannot work in frail://bucket/folder \(the bucket does not exist\).*Nothing at "):
        build("sample", out=URL)
    assert at(URL) == {}
    assert not list((tmp_path / "home").rglob("*.parquet"))


def test_urls_that_can_only_be_read_are_refused(store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(store, "pipe_file", refuse)
    with pytest.raises(InputError, match="--out is frail://bucket/folder; such URLs can be read, not written"):
        build("sample", out=URL)


def test_a_refused_look_says_that_nothing_was_changed(store: type[FrailFileSystem], monkeypatch: pytest.MonkeyPatch) -> None:
    class ClientError(Exception):
        """As packages raise it that do not translate."""

    def refuse(*_: Any, **__: Any) -> None:
        raise ClientError("no credentials")

    monkeypatch.setattr(store, "ls", refuse)
    with pytest.raises(StorageError, match=r"frail://bucket/folder \(ClientError: no credentials\).*Nothing at .* was changed"):
        build("sample", out=URL)
