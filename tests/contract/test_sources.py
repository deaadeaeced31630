"""Every dataset, found by discovery: its fixture in the publisher's format becomes the expected rows, and back again.

`tests/fixtures/sources/<name>/expected.jsonl` was written by hand. A line names a split and gives the fields that matter: every
field given must be equal, lists have the same length, and of dictionaries only the given keys are compared. The lines of a
split stand in the order of its rows, and there is one per row.
"""

import csv
import gzip
import io
import json
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from unified_audiocaps.dataset_scripts import schema
from unified_audiocaps.dataset_scripts.build import BuildReport, build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.source import SOURCES, describe_sources, source
from unified_audiocaps.dataset_scripts.upstream.files import RawFile
from unified_audiocaps.dataset_scripts.upstream.remote import RemoteFile

from ..event_clips import write_event_clips

NAMES = SOURCES.names()
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "sources"


# Files whose first line is a record: what their columns are called.
NO_HEADER = {
    ("vggsound", "vggsound.csv"): ["video", "start", "label", "split"],
    ("vggsound", "test.csv"): ["file", "label"],
    ("vggsound", "AStest.csv"): ["file", "label"],
}


def raw_of(name: str) -> Path | None:
    folder = FIXTURES / name / "raw"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_event_clips(tmp_path_factory.mktemp("events"))


def options_of(name: str, events: Path) -> dict[str, Any]:
    """Returns what a source must be told that is built from a built set; nothing for all others."""
    return {"base": "sample", "events": events, "pairs": 24, "seed": 1, "embed_audio": True} if name == "adc_acc" else {}


def build_one(name: str, out: Path, events: Path, **more: Any) -> BuildReport:
    """Builds a source alone, from its fixture or from the set that it is made of: what lies beside a config marks its rows."""
    options = options_of(name, events)
    if "base" in options:
        build(options["base"], raw=raw_of(options["base"]), out=out, mark_overlaps=False)
    return build(name, raw=raw_of(name), out=out, mark_overlaps=False, options=options, **more)


def rows_of(data: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    manifest = json.loads((data / "data" / name / "manifest.json").read_text())
    return {split: built_set(f"{name}/{split}", data).table().to_pylist() for split in manifest["splits"]}


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            line
            for key, value in expected.items()
            for line in (differences(value, actual[key], f"{where}.{key}") if key in actual else [f"{where}.{key} is not there"])
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            line
            for i, (one, other) in enumerate(zip(expected, actual, strict=True))
            for line in differences(one, other, f"{where}[{i}]")
        ]
    same = expected == actual and type(expected) is type(actual)
    return [] if same else [f"{where}: expected {expected!r}, got {actual!r}"]


def upstream_records(path: Path) -> list[Any]:
    """Returns the records of a fixture file with Python's own parsers: nothing of the code under test."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            members = [archive.extractfile(name) for name in archive.getnames() if name.endswith(".json")]
            return [json.load(member) for member in members if member is not None]
    if path.suffix == ".yaml":
        text = path.read_text(encoding="utf-8")
        is_table = path.name == "MACS_competence.yaml"
        return list(csv.DictReader(io.StringIO(text), delimiter="\t")) if is_table else yaml.safe_load(text)["files"]
    if (path.parent.parent.name, path.name) in NO_HEADER:
        columns = NO_HEADER[path.parent.parent.name, path.name]
        return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""), fieldnames=columns))
    if path.suffix == ".csv":
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("iso8859-1")
        if text.startswith("# "):  # AudioSet: the last comment names the columns
            comments, records = [], []
            for line in text.splitlines():
                (comments if line.startswith("#") else records).append(line)
            names = comments[-1].removeprefix("# ").split(", ")
            return list(csv.DictReader(records, names, skipinitialspace=True))
        return list(csv.DictReader(io.StringIO(text, newline="")))
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode("utf-8")
    if path.suffix == ".jams":
        return [json.loads(text)]
    if path.suffix == ".json":
        whole = json.loads(text)
        return whole if isinstance(whole, list) else whole["data"]
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, events: Path) -> Path:
    data = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    for name in NAMES:
        build_one(name, data, events)
    return data


@pytest.mark.parametrize("name", NAMES)
def test_the_fixture_becomes_the_expected_rows(name: str, built: Path) -> None:
    expected: dict[str, list[dict[str, Any]]] = {}
    for line in (FIXTURES / name / "expected.jsonl").read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            expected.setdefault(row["split"], []).append(row)
    actual = rows_of(built, name)
    assert {split: [row["id"] for row in rows] for split, rows in actual.items()} == {
        split: [row["id"] for row in rows] for split, rows in expected.items()
    }
    found = [line for split, rows in expected.items() for line in differences(rows, actual[split], f"{name}/{split}")]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", NAMES)
def test_upstream_records_are_rebuilt_exactly(name: str, built: Path) -> None:
    one = source(name)
    positions: dict[str, list[tuple[int, Any]]] = {}
    for split in rows_of(built, name):
        for row in built_set(f"{name}/{split}", built).table().to_pylist():
            for file, position, record in one.records(row):
                positions.setdefault(file, []).append((position, record))
    dropped = built / "data" / name / "dropped.parquet"
    if dropped.is_file():
        for row in pq.read_table(dropped).to_pylist():
            positions.setdefault(row["file"], []).append((row["row"], json.loads(row["record_json"])))
    rebuilt = {file: [record for _, record in sorted(found, key=lambda x: x[0])] for file, found in positions.items()}
    raw = raw_of(name)
    if raw is None:
        assert rebuilt
        return
    lookups = [file for file in one.files if file.is_lookup]
    records_files = [p for p in sorted(raw.rglob("*")) if p.is_file() and not any(file.is_named(p.name) for file in lookups)]
    upstream = {path.relative_to(raw).as_posix(): upstream_records(path) for path in records_files}
    assert rebuilt == upstream
    # 10 == 10.0 in Python: the written form tells them apart.
    assert {file: [json.dumps(r, sort_keys=True) for r in records] for file, records in rebuilt.items()} == {
        file: [json.dumps(r, sort_keys=True) for r in records] for file, records in upstream.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_building_twice_gives_equal_bytes(name: str, built: Path, events: Path, tmp_path: Path) -> None:
    again = tmp_path / "unified-audiocaps"
    build_one(name, again, events, workers=2)
    files = {path.name: path.read_bytes() for path in (built / "data" / name).iterdir()}
    assert {path.name: path.read_bytes() for path in (again / "data" / name).iterdir()} == files
    assert build_one(name, again, events).reused


@pytest.mark.parametrize("name", NAMES)
def test_rows_keep_the_schema(name: str, built: Path) -> None:
    one = source(name)
    for split, rows in rows_of(built, name).items():
        table = built_set(f"{name}/{split}", built).table()
        assert table.schema.equals(schema.SCHEMA)
        for batch in table.combine_chunks().to_batches():
            schema.check_all(batch, one.primary_style)
        assert {row["split"] for row in rows} == {split}
        assert all(row["id"].startswith(f"{name}/") and isinstance(json.loads(row["extra_json"]), dict) for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_load_dataset_reads_it(name: str, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Audio, load_dataset

    monkeypatch.chdir(built.parent)
    for split, rows in rows_of(built, name).items():
        loaded = load_dataset("unified-audiocaps", name, split=split)
        assert loaded.features == schema.features()
        plain = loaded.cast_column("audio", Audio(decode=False))
        assert plain["id"][:] == [row["id"] for row in rows]
        streamed = load_dataset("unified-audiocaps", name, split=split, streaming=True)
        assert [row["id"] for row in streamed.select_columns(["id"])] == [row["id"] for row in rows]


def test_configs_can_be_concatenated(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import concatenate_datasets, load_dataset

    monkeypatch.chdir(built.parent)
    parts = [load_dataset("unified-audiocaps", name, split=split) for name in NAMES for split in rows_of(built, name)]
    whole = concatenate_datasets(parts)
    assert len(whole) == sum(map(len, parts))
    assert len(set(whole["id"])) == len(whole)


@pytest.mark.parametrize("name", NAMES)
def test_read_part_yields_valid_batches(name: str, built: Path, events: Path) -> None:
    one = source(name)
    options = options_of(name, events)
    parts = one.locate(raw_of(name), without=built, **options).parts
    for split in one.splits:
        mine = (batch for part in parts if part.split == split for batch in one.read_part(part))
        for batch in mine if options else one.read(raw_of(name), split):
            assert isinstance(batch, pa.RecordBatch)
            assert batch.schema.names == schema.SCHEMA.names


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_filled_in(name: str) -> None:
    one = source(name)
    card = one.card
    assert all([card.license_text, card.license_audio, card.homepage, card.citation, card.prose])
    assert re.fullmatch(r".+ \(20\d\d\)\. .+\.", card.citation) and "et al" not in card.citation
    assert re.fullmatch(r"@(article|inproceedings|misc)\{[a-z]+20\d\d[a-z0-9_]+,\n(  [a-zA-Z]+ = \{.+\},\n)+\}", card.bibtex)
    assert card.bibtex.count("{") == card.bibtex.count("}")
    assert set(card.clips) == set(one.splits)
    assert one.name == name
    assert set(one.split_aliases.values()) <= set(one.splits)


@pytest.mark.parametrize("name", [name for name in NAMES if raw_of(name)])
def test_the_fixture_is_small_and_in_published_file_names(name: str) -> None:
    raw = raw_of(name)
    assert raw is not None
    files = [path for path in raw.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000
    assert not source(name).locate(raw).unknown


def test_descriptions_are_ready_for_json() -> None:
    described = json.loads(json.dumps(describe_sources()))
    assert [one["name"] for one in described] == NAMES
    keys = {
        "name",
        "title",
        "release",
        "splits",
        "subsets",
        "clips",
        "license_text",
        "license_audio",
        "homepage",
        "citation",
        "bibtex",
        "files",
        "needs",
    }
    assert all(set(one) == keys for one in described)


@pytest.mark.parametrize("name", [name for name in NAMES if raw_of(name)])
def test_a_git_lfs_pointer_is_named_as_such(name: str, tmp_path: Path) -> None:
    raw = raw_of(name)
    assert raw is not None
    one = source(name)
    part = one.locate(raw).parts[0]
    for file in part.files.values():
        pointer = tmp_path / file.name
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123\n")
        assert isinstance(file, RawFile)
    with pytest.raises(ValueError, match=r"Git LFS pointer .*git lfs pull"):
        build(name, raw=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out" / "data" / name).exists()


@pytest.mark.parametrize("name", [name for name in NAMES if source(name).has_unique_ids])
def test_ids_that_are_said_to_be_unique_are(name: str) -> None:
    for part in source(name).locate(raw_of(name)).parts:
        ids = [one for batch in source(name).read_part(part) for one in batch["id"].to_pylist()]
        assert len(set(ids)) == len(ids) > 0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fetched_is_what_is_read(name: str) -> None:
    one = source(name)
    assert one.needs == "nothing" or one.where_to_get, "a user who has to get files is told where"
    for found in one.remote:
        if isinstance(found, RemoteFile):
            assert found.url.startswith("https://")
            assert any(file.fits(PurePosixPath(found.name)) for file in one.files), found.name
