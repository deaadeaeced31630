"""The one schema: its face in `datasets`, the rule for `caption`, and the checks on batches."""

import json
from typing import Any

import pyarrow as pa
import pytest
from unified_audiocaps.dataset_scripts import schema
from unified_audiocaps.dataset_scripts.arrays import record_batch

CAPTIONS = schema.SCHEMA.field("captions").type


def batch(captions: list[list[dict[str, Any]]] | None = None, **columns: Any) -> pa.RecordBatch:
    made = pa.array(captions if captions is not None else [[{"text": "a", "style": "default"}]], CAPTIONS)
    given = {
        "id": pa.array([f"d/s/{i}" for i in range(len(made))]),
        "dataset": "d",
        "split": "s",
        "source_key": "k",
        "captions": made,
        "caption": schema.primary_caption(made, "default"),
        **columns,
    }
    return record_batch(len(made), **given)


def test_the_metadata_says_what_datasets_would_write() -> None:
    written = json.loads(schema.schema_with_features().metadata[b"huggingface"])["info"]["features"]
    assert written == schema.features().to_dict() or written == json.loads(json.dumps(schema.features().to_dict()))
    from datasets import Features

    assert Features.from_arrow_schema(schema.schema_with_features()) == schema.features()


def test_required_columns_are_never_null() -> None:
    assert {field.name for field in schema.SCHEMA if not field.nullable} == set(schema.REQUIRED)


@pytest.mark.parametrize(
    ("captions", "primary"),
    [
        ([("a", "default", False), ("b", "default", False)], "a"),
        ([("a", "description", False), ("b", "default", False)], "b"),
        ([("None", "default", True), ("b", "default", False)], "b"),
        ([(" ", "default", False), ("b", "default", None)], "b"),
        ([("None", "default", False)], "None"),
        ([("a", "description", False)], None),
        ([], None),
    ],
)
def test_the_caption_is_the_first_usable_one(captions: list[tuple[str, str, bool | None]], primary: str | None) -> None:
    row = [{"text": text, "style": style, "is_absent": absent} for text, style, absent in captions]
    two = pa.array([row, [{"text": "z", "style": "default"}]], CAPTIONS)
    assert schema.primary_caption(two, "default").to_pylist() == [primary, "z"]


def test_a_good_batch_passes() -> None:
    schema.check_all(batch(), "default")
    schema.check_all(batch([]), "default")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: batch(id=pa.array([None], pa.string())), "column 'id' has 1 nulls"),
        (lambda: batch([[], []], id=pa.array(["x", "x"])), "ids repeat"),
        (lambda: batch([[{"text": "a", "style": "poem"}]]), r"style \['poem'\] is none of"),
        (lambda: batch([[{"text": "a", "style": "default", "origin": "robot"}]]), r"origin \['robot'\]"),
        (lambda: batch([[{"text": "a", "style": "default", "side": "c"}]]), r"side \['c'\]"),
        (lambda: batch(operation="swap"), r"operation \['swap'\]"),
        (lambda: batch([[{"style": "default"}]]), "a caption has no text"),
        (lambda: batch(caption="other"), "`caption` is not the first usable caption"),
        (lambda: batch().drop_columns(["qa"]), "does not have the schema"),
    ],
)
def test_broken_promises_are_found(bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schema.check_all(bad(), "default")
