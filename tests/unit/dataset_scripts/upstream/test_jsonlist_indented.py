"""Lists printed with indents are as quick to read as others: Arrow reads them, not the record-by-record reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts.upstream import jsonlist
from unified_audiocaps.dataset_scripts.upstream.files import RawFile
from unified_audiocaps.dataset_scripts.upstream.jsonrecords import Shape


@pytest.mark.parametrize("indent", [None, 0, 4])
@pytest.mark.parametrize("member", [None, "data"])
def test_no_record_is_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, member: str | None) -> None:
    records = [{"a": f"text {i} " + "x" * 500, "b": "}\n{"} for i in range(5_000)]  # several of Arrow's blocks
    path = tmp_path / "list.json"
    path.write_text(json.dumps({member: records} if member else records, indent=indent))

    def refuse(*_: Any) -> None:
        raise AssertionError("the slow reader was asked")

    monkeypatch.setattr(jsonlist, "from_records", refuse)
    tables = jsonlist.listed(RawFile("made", path, path.name), Shape(texts=("a", "b")), member)
    assert [row for table in tables for row in table.select(["a", "b"]).to_pylist()] == records
