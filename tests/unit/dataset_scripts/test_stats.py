"""Tallies add up, and words are counted as Python splits them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts import stats
from unified_audiocaps.dataset_scripts.arrays import record_batch
from unified_audiocaps.dataset_scripts.schema import SCHEMA

TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000a")),
    max_size=12,
)


@given(st.lists(TEXT, max_size=12), st.integers(0, 3))
def test_words_are_counted_as_python_splits(texts: list[str], offset: int) -> None:
    counted = stats.word_counts(pa.array(texts, pa.string()).slice(offset)).to_pylist()
    assert counted == [len(text.split()) for text in texts[offset:]]


def rows(*captions: list[tuple[str, str, bool]], duration_s: float | None = None) -> pa.Table:
    made = [[{"text": text, "style": style, "is_absent": absent} for text, style, absent in one] for one in captions]
    n = len(made)
    batch = record_batch(
        n,
        id=pa.array([str(i) for i in range(n)]),
        dataset="d",
        split="s",
        source_key="k",
        captions=pa.array(made, SCHEMA.field("captions").type),
        duration_s=duration_s,
    )
    return pa.Table.from_batches([batch])


def test_tallies_of_parts_add_up_to_the_whole() -> None:
    first = rows([("two words", "long", False), ("None", "speech", True)], duration_s=2.0)
    second = rows([("one", "long", False)], [("", "long", False)])
    parts = stats.add([stats.tally(first, "long"), stats.tally(second, "long")])
    assert parts == stats.tally(pa.concat_tables([first, second]).combine_chunks(), "long")
    figures = stats.summary(parts)
    assert figures["rows"] == 3
    assert figures["captions"] == 4
    assert figures["mean_caption_words"] == 1.0
    assert figures["absent_share"] == 0.25
    assert figures["blank_captions"] == 1
    assert figures["mean_duration_s"] == 2.0
    assert figures["hours"] == pytest.approx(2 / 3600, rel=1e-12)
    assert figures["rows_without_duration"] == 2
    assert figures["styles"]["speech"] == {"captions": 1, "mean_words": 1.0, "absent": 1}


def test_figures_of_nothing() -> None:
    assert stats.summary(stats.add([]))["mean_duration_s"] is None
    assert stats.tally(SCHEMA.empty_table(), "default")["rows"] == 0
