"""Records of a clip come together, in a stated order, whatever the order of the files and the size of the partitions."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.join import grouped

IDS = st.lists(st.sampled_from("abcdefgh"), max_size=20)


def tables(ids: list[str], rows: int = 3) -> Iterator[pa.Table]:
    for begin in range(0, max(len(ids), 1), rows):
        some = ids[begin : begin + rows]
        yield pa.table({"id": pa.array(some, pa.string()), "at": pa.array(range(begin, begin + len(some)), pa.int64())})


def expected(files: list[list[str]]) -> list[list[list[int]]]:
    clips = list(dict.fromkeys(one for ids in files for one in ids))
    return [[[at for at, one in enumerate(ids) if one == clip] for ids in files] for clip in clips]


@settings(max_examples=200, deadline=None)
@given(files=st.lists(IDS, min_size=1, max_size=3), clips=st.integers(1, 4), partition=st.integers(1, 5))
def test_as_dictionaries_would_group_them(files: list[list[str]], clips: int, partition: int) -> None:
    found: list[list[list[int]]] = []
    for step in grouped([tables(ids) for ids in files], "id", clips, partition=partition):
        n = len(step[0][1])
        assert n <= clips
        columns = [
            np.split(table["at"].to_numpy() if table.num_rows else np.zeros(0), np.cumsum(counts)[:-1]) for table, counts in step
        ]
        found += [[column[i].tolist() for column in columns] for i in range(n)]
    assert found == expected(files)


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    steps = grouped([tables(list("abcd")), tables(list("dcba"))], "id", 1, partition=2)
    next(steps)
    assert list(tmp_path.iterdir())
    steps.close()  # type: ignore[attr-defined] # a generator
    assert not list(tmp_path.iterdir())
