"""Rows made one by one: nothing of an upstream record is lost, and mistakes of a source are found."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts import source as module
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.rows import Origin, Row, RowSource, caption, number
from unified_audiocaps.dataset_scripts.upstream.files import Part, RawFile

FILE = RawFile("set", Path("t.json"), "t.json")


class Toy(RowSource):
    name = dataset = "sample"
    title, release, splits = "Toy", "1", ("train",)
    found: list[Row] = []
    said: list[dict[str, Any]] = []

    def rows(self, part: Part) -> Iterator[Row]:
        yield from self.found

    def derived(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return self.said


def toy(records: list[Any], said: list[dict[str, Any]], columns: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    one = Toy()
    one.found = [
        Row(
            {"id": "x", "source_key": "x", "captions": [caption("a")], **(columns or {})},
            [Origin(FILE, i, record) for i, record in enumerate(records)],
        )
    ]
    one.said = said
    (batch,) = one.read_part(Part("train", None, {}))
    (row,) = batch.to_pylist()
    assert [json.dumps(r, sort_keys=True) for _, _, r in one.records(row)] == [json.dumps(r, sort_keys=True) for r in records]
    return [json.loads(row["extra_json"]), *(json.loads(p["extra_json"] or "{}") for p in row["provenance"])]


def test_what_the_columns_do_not_say_is_kept_with_the_row_or_the_record() -> None:
    assert toy([{"a": 10, "b": None}], [{"a": 10.0}]) == [{"a": 10, "b": None}, {}]
    assert toy([{"a": 10}], [{"a": 10, "b": None}]) == [{}, {}]
    assert toy([{"a": 1}, {"a": True}], [{"a": 1}, {"a": 1}]) == [{}, {}, {"a": True}]


def test_mistakes_of_a_source_are_found() -> None:
    with pytest.raises(ValueError, match=r"fields \['b'\] are derived and were not in the upstream record"):
        toy([{"a": 1}], [{"a": 1, "b": 2}])
    with pytest.raises(TypeError, match=r"no field \['colour'\]"):
        toy([{}], [{}], {"audio_ref": {"colour": "red"}})
    with pytest.raises(KeyError, match="colour"):
        toy([{}], [{}], {"colour": "red"})


def test_an_upstream_field_under_a_name_of_ours_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "own_extra", ("lists",))
    with pytest.raises(RecordError, match=r"t\.json, record 1: field 'lists': the name is taken by a field of ours"):
        toy([{"lists": 1}], [{}])
    assert toy([{"lists": 1}, {}], [{}, {}])[1] == {"lists": 1}


def test_a_number_is_a_number_or_empty() -> None:
    assert number(Origin(FILE, 0, {"a": "1.5"}), "a") == 1.5
    assert number(Origin(FILE, 0, {"a": ""}), "a") is None
    with pytest.raises(RecordError, match=r"t\.json, record 3: field 'a' is 'x'; expected a number"):
        number(Origin(FILE, 2, {"a": "x"}), "a")


def test_the_toy_is_no_dataset() -> None:
    assert "toy" not in module.SOURCES.names()
