"""Hashes of texts: equal for equal texts wherever they stand, different otherwise, evenly spread."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.texthash import SeenTexts, TextHasher, numbered


def test_hashes_tell_texts_apart_wherever_they_stand() -> None:
    texts = ["", "a", "b", "ab", "ba", "a" * 300, "a" * 299, "ä", "a\0", "\0a"]
    whole = pa.array(texts)
    found = TextHasher().of(whole)
    assert len(set(found.tolist())) == len(texts)
    assert TextHasher().of(whole.slice(3, 4)).tolist() == found[3:7].tolist()


def test_hashes_are_the_same_for_ever() -> None:
    assert [f"{value:016x}" for value in TextHasher().of(pa.array(["", "a dog", "a dog barks"]))] == [
        "0000000000000000",
        "408671ee2e740d32",
        "3dba606eb4c7cbbc",
    ]
    assert TextHasher(1).of(pa.array(["a dog"])) != TextHasher(0).of(pa.array(["a dog"]))


def test_hashes_of_similar_ids_are_spread_evenly() -> None:
    found = TextHasher().of(pa.array([f"set/train/{i}" for i in range(20_000)]))
    assert len(np.unique(found)) == 20_000
    counts = np.bincount((found >> np.uint64(60)).astype(int), minlength=16)
    assert counts.min() > 1_100 and counts.max() < 1_400
    first = found < np.uint64(1 << 63)
    assert 0.48 < np.mean(first[1:] == first[:-1]) < 0.52


def test_numbers_tell_equal_hashes_apart() -> None:
    values = np.array([5, 5, 5, 6], np.uint64)
    assert len(set(numbered(values, np.array([0, 1, 2, 0])).tolist())) == 4


@given(st.lists(st.lists(st.sampled_from([f"row/{i}" for i in range(40)]), max_size=30), max_size=12))
def test_seen_texts_are_those_of_a_set(batches: list[list[str]]) -> None:
    seen, known = SeenTexts(), set()
    for batch in batches:
        expected = []
        for text in batch:
            expected.append(text not in known)
            known.add(text)
        assert seen.are_new(pa.array(batch, pa.string())).tolist() == expected
