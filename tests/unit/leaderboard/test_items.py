"""Items of benchmarks: from what was built, and from the file that a hub keeps."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import Benchmark, BenchmarkItems, benchmark_by_id, frozen
from unified_audiocaps.leaderboard.items import from_parquet, from_references, load_items, to_parquet


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build("sample", raw=None, out=folder)
    return folder


def rich(benchmark: Benchmark) -> BenchmarkItems:
    """Two groups that share a clip, with all that items can have."""
    groups = (
        Group("music", "long", 0.75, {"q1": ("a tune", "ein Ständchen"), "q2": ("a drum",)}),
        Group("speech", "short", 0.25, {"q1": ("words",)}),
    )
    return frozen(
        BenchmarkItems(
            benchmark,
            groups,
            {"one.wav": "q1", "eins.wav": "q1"},
            {"q1": "clip a", "q2": "clip a"},
            {"clip a": "music"},
            {"clip a": ("yt:abcdefghijk", "fs:7")},
            {"clip a": "a.wav"},
        )
    )


def test_the_file_of_a_hub_holds_everything(benchmark_def, tmp_path):
    items = rich(benchmark_def)
    content = to_parquet(items)
    (tmp_path / "items.parquet").write_bytes(content)
    again = from_parquet(items.benchmark, tmp_path / "items.parquet")
    assert again == items
    assert to_parquet(again) == content


def test_simple_items_come_back_too(items, tmp_path):
    (tmp_path / "items.parquet").write_bytes(to_parquet(items))
    again = from_parquet(items.benchmark, tmp_path / "items.parquet")
    assert (again.references, again.aliases, again.clips, again.domains) == (items.references, items.aliases, {}, {})


@pytest.mark.parametrize("damage", ["gone", "cut", "no parquet", "other columns"])
def test_a_file_that_is_gone_or_damaged_is_said(items, tmp_path, damage):
    path, content = tmp_path / "items.parquet", to_parquet(items)
    if damage == "other columns":
        pq.write_table(pa.table({"id": ["a"]}), path)
    elif damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"no parquet")
    with pytest.raises(InputError, match=r"items\.parquet cannot be read .*restore the hub's files"):
        from_parquet(items.benchmark, path)


def test_other_items_than_those_that_were_frozen_are_refused(items, tmp_path):
    other = replace(items, groups=(replace(items.groups[0], references={"x": ("y",)}),))
    (tmp_path / "items.parquet").write_bytes(to_parquet(other))
    with pytest.raises(InputError, match=r"1 items with digest .* is frozen at 3 items"):
        from_parquet(items.benchmark, tmp_path / "items.parquet")


def test_the_built_sample_is_what_its_benchmark_froze(built):
    items = load_items(benchmark_by_id("sample"), built)
    assert len(items.references) == 12 and {len(texts) for texts in items.references.values()} == {5}
    assert all(id_.startswith("sample/test/") for id_ in items.references)


def test_what_was_not_built_says_how_to_build_it(tmp_path):
    with pytest.raises(InputError, match=r"needs the test split of sample in .*not built\. Build it: uac build sample"):
        load_items(benchmark_by_id("sample"), tmp_path)


def test_another_build_than_the_frozen_one_is_refused(built):
    other = replace(benchmark_by_id("sample"), items_sha256="0" * 64)
    with pytest.raises(InputError, match=r"frozen at 12 items with digest 000000000000.*--force"):
        load_items(other, built)


def test_a_style_that_no_row_has_is_refused(built):
    with pytest.raises(InputError, match="12 of 12 rows have no caption in the style 'music'"):
        load_items(replace(benchmark_by_id("sample"), style="music"), built)


def test_items_from_a_file_of_references_keep_its_order(benchmark_def):
    items = from_references(benchmark_def, {"b": ("x",), "a": ("y", "z")})
    assert list(items.references) == ["b", "a"] and items.aliases == {}
