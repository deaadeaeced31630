"""Search over the sample, over rows by hand, and over corpora of the fixtures: real index, real encoder."""

import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import BuiltSet, built_set
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError, UnknownNameError
from unified_audiocaps.space.search import Filters, Found, catalogue, counts, make_index, meaning, search, store, ways, words

from .conftest import row

SOURCES = Path(__file__).resolve().parents[2] / "fixtures" / "sources"


def caption(text: str, style: str = "default", **fields) -> dict:
    return {"text": text, "style": style, "origin": "human", "language": "en", "scores": [], **fields}


def texts(found: Found) -> list[str]:
    return [hit.entry.caption for hit in found.hits]


def ids(found: Found) -> list[str]:
    return [hit.entry.id.rpartition("/")[2] for hit in found.hits]


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch):
    """Tests build sets of one name: none finds what another one left open."""
    monkeypatch.setattr(store, "_KEPT", store._Kept())


@pytest.fixture
def large(monkeypatch):
    """Every set is too large to be searched without an index."""
    monkeypatch.setattr(store, "SMALL_ROWS", 0)
    monkeypatch.setattr(store, "SMALL_CAPTIONS", 0)


@pytest.fixture(scope="module")
def sample_data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "unified-audiocaps"
    build("sample", out=folder)
    return folder


@pytest.fixture
def sample(sample_data, tmp_path) -> BuiltSet:
    return built_set("sample", shutil.copytree(sample_data, tmp_path / "unified-audiocaps"))


ANIMALS = [
    row("dog", captions=[caption("A dog barks at the Café."), caption("Barking.", "short")], domain="00A"),
    row("dogs", captions=[caption("Two dogs run, and a dog barks, and the dog growls.", "long")], tags=[{"label": "Dog"}]),
    row("cat", captions=[caption("A cat walks on a roof in the rain."), caption("None", "speech", is_absent=True)], domain="S00"),
    row("rain", captions=[caption("Rain falls on the roof <b>&"), caption("  ")], tags=[{"label": "Rain"}, {"label": None}]),
    row("mute", captions=[caption("None", "speech", is_absent=True)], caption=None, tags=[{"label": "Rain"}]),
    row("🐦", captions=[caption("🐦🐦 Un oiseau: été — a bird's song.", "music", side="b")]),
]
SOME_OVERLAP = {"set": "clotho/evaluation", "level": "clip", "key": "fs:1"}


# -- words -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found", "has_all"),
    [
        ("dog", ["dogs", "dog"], True),
        ("DOGS barking", ["dogs", "dog"], True),
        ("the dog on a bark", ["dogs", "dog"], True),
        ("cafe", ["dog"], True),
        ("Été", ["🐦"], True),
        ("rain roof", ["rain", "cat"], True),
        ('"on the roof"', ["rain"], True),
        ("“on a roof”", ["cat"], True),
        ('rain "a roof"', ["cat"], True),
        ('"roof"', ["rain", "cat"], True),
        ('"roof on"', [], True),
        ("dog unicorn", ["dogs", "dog"], False),
        ('unicorn "cat walks"', ["cat"], False),
        ("unicorn", [], True),
        ("the", ["rain", "dog", "cat", "dogs"], True),
        ("none", [], True),
    ],
)
def test_captions_are_found_by_words(built, query, found, has_all):
    answer = search(built(ANIMALS), query)
    assert sorted(set(ids(answer))) == sorted(found)
    assert (answer.total, answer.has_all_words) == (len(answer.hits), has_all)
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


def test_a_caption_that_is_about_the_word_comes_first(built):
    assert texts(search(built(ANIMALS), "barking"))[0] == "Barking."


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        '"dog',
        'dog"',
        "(dog OR",
        "dog)",
        "+dog -",
        "text:dog",
        "dog^9 ~2",
        "[a TO b]",
        "\\",
        "*",
        "/dog/",
        "dog\0",
        "dog\ud800",
    ],
)
def test_odd_queries_answer(built, query):
    answer = search(built(ANIMALS), query)
    assert ("dogs" in ids(answer)) == ("dog" in query)


@pytest.mark.parametrize("query", ["🐶", "???", '"—"', "x" * 5000, "dog " * 20_000, "\n\tdog\n", "a b c d e f " * 100])
def test_signs_and_long_queries_answer(built, query):
    answer = search(built(ANIMALS), query)
    assert (answer.total > 0) == ("dog" in query or "a b" in query)


def test_a_blank_query_lists_all_rows_in_order(built):
    one = built(ANIMALS)
    answer = search(one, "  ")
    assert ids(answer) == ["dog", "dog", "dogs", "cat", "rain", "mute", "🐦"]
    mute = answer.hits[5].entry
    assert (mute.caption, mute.style, mute.place, answer.hits[5].segments) == ("", None, 4, [])
    assert ids(search(one, "", by="meaning")) == ids(answer)


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("dog", "Two dogs run, and a dog barks, and the dog growls.", ["dogs", "dog", "dog"]),
        ('"a dog" barking', "Two dogs run, and a dog barks, and the dog growls.", ["a", "dog", "barks"]),
        ("the roof", "Rain falls on the roof <b>&", ["roof"]),
        ("song ete", "🐦🐦 Un oiseau: été — a bird's song.", ["été", "song"]),
    ],
)
def test_words_are_marked_and_nothing_is_escaped(built, query, text, marked):
    (hit,) = [hit for hit in search(built(ANIMALS), query).hits if hit.entry.caption == text]
    assert [piece for piece, is_match in hit.segments if is_match] == marked
    assert "".join(piece for piece, _ in hit.segments) == text
    assert [text[begin:end] for begin, end in hit.marks] == marked


def test_a_hit_says_where_its_row_lies(sample):
    for hit in search(sample, "rain").hits:
        (shard,) = [path for _, _, path in sample.shards() if path.name == hit.entry.shard]
        read = sample.__class__.batches(replace(sample, splits=(hit.entry.split,)), ["id", "captions"])
        rows = [one for batch in read for one in batch.to_pylist()]
        assert shard.is_file()
        assert rows[hit.entry.place]["id"] == hit.entry.id
        assert hit.entry.caption in [one["text"] for one in rows[hit.entry.place]["captions"]]


def test_pages_are_cut_from_one_ranking(sample):
    whole = search(sample, "sound", limit=1000)
    assert whole.total == len(whole.hits) > 5
    pages = [search(sample, "sound", limit=2, offset=offset) for offset in range(0, whole.total + 2, 2)]
    assert [text for page in pages for text in texts(page)] == texts(whole)
    assert {page.total for page in pages} == {whole.total}
    assert texts(search(sample, "", limit=3, offset=2)) == texts(search(sample, "", limit=5))[2:]


def test_a_caption_without_a_style_is_a_caption(built):
    one = built([row("x", captions=[caption("Wind in the trees.", None)])])
    for by in ("words", "meaning"):
        assert [(hit.entry.caption, hit.entry.style) for hit in search(one, "wind", by=by).hits] == [("Wind in the trees.", None)]


@pytest.mark.parametrize("numbers", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 100_001}])
def test_numbers_out_of_range_are_refused(sample, numbers):
    with pytest.raises(InputError, match=r"expected 1 to 1,000 hits behind at most 100,000"):
        search(sample, "dog", **numbers)
    with pytest.raises(UnknownNameError, match="no way to search is called 'smell'"):
        search(sample, "dog", by="smell")


# -- filters ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_on_disk", [False, True])
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), {"dog", "dogs", "cat", "rain", "mute", "🐦"}),
        (Filters(style="long"), {"dogs"}),
        (Filters(style="short"), {"dog"}),
        (Filters(domain="S00"), {"cat"}),
        (Filters(domain="s00"), {"cat"}),
        (Filters(tag="Rain"), {"rain", "mute"}),
        (Filters(tag="rain", style="default"), {"rain"}),
        (Filters(tag="rain", domain="S00"), set()),
        (Filters(overlap="any"), {"dog"}),
        (Filters(overlap="none"), {"dogs"}),
        (Filters(split="train"), {"dog", "dogs", "cat", "rain", "mute", "🐦"}),
    ],
    ids=lambda one: str(sorted(one)) if isinstance(one, set) else str(one),  # the order of a set differs between processes
)
def test_filters_let_the_same_through_everywhere(built, filters, found, is_on_disk):
    overlaps = [[SOME_OVERLAP], [], None, None, None, None]
    one = built([{**values, "overlaps": overlap} for values, overlap in zip(ANIMALS, overlaps, strict=True)])
    if is_on_disk:
        make_index(one, with_meaning=True, device="cpu")
    with_text = found - {"mute"}
    assert set(ids(search(one, "", filters=filters))) == found
    near = search(one, "anything", by="meaning", filters=filters)
    assert set(ids(near)) == with_text
    assert near.total == len(near.hits)
    for word, there in {"dog": {"dogs", "dog"}, "roof": {"rain", "cat"}}.items():
        assert set(ids(search(one, word, filters=filters))) <= there & with_text
    all_words = {name for word in ("dog barking", "roof", "song") for name in ids(search(one, word, filters=filters))}
    assert all_words == with_text


def test_names_that_nothing_has_are_told(built):
    one = built(ANIMALS)
    with pytest.raises(UnknownNameError, match=r"no style of odd is called 'lung'. Did you mean long\?"):
        search(one, "dog", filters=Filters(style="lung"))
    with pytest.raises(UnknownNameError, match="no split of odd is called 'test'"):
        search(one, "dog", filters=Filters(split="test"))
    with pytest.raises(UnknownNameError, match="no domain of odd is called 'x'"):
        search(one, "dog", filters=Filters(domain="x"))
    with pytest.raises(InputError, match=r"no clip of odd has the tag 'Dok'. Did you mean Dog\?"):
        search(one, "dog", filters=Filters(tag="Dok"))
    with pytest.raises(InputError, match="nobody knows which clips of odd are in evaluation sets"):
        search(one, "dog", filters=Filters(overlap="none"))
    with pytest.raises(UnknownNameError, match="no overlap is called 'some'"):
        search(one, "dog", filters=Filters(overlap="some"))


def test_a_filter_does_not_change_the_ranking(built):
    one = built(ANIMALS)
    plain = {hit.entry.caption: hit.score for hit in search(one, "dog").hits}
    for hit in search(one, "dog", filters=Filters(split="train", tag="dog")).hits:
        assert hit.score == plain[hit.entry.caption]


def test_what_filters_can_name_is_counted(built):
    one = built(ANIMALS)
    assert counts(one) == {
        "split": {"train": 6},
        "style": {"default": 3, "long": 1, "music": 1, "short": 1},
        "domain": {"00A": 1, "S00": 1},
        "tag": {"Rain": 2, "Dog": 1},
        "overlap": {"unknown": 6},
    }


def test_a_split_is_searched_alone(sample):
    test = built_set("sample/test", sample.data)
    whole = search(sample, "rain", limit=100)
    for is_on_disk in (False, True):
        if is_on_disk:
            make_index(sample)
        found = search(test, "rain", limit=100)
        assert set(texts(found)) == {hit.entry.caption for hit in whole.hits if hit.entry.split == "test"}
        assert counts(test)["split"] == {"test": 12}
        assert sum(counts(test)["style"].values()) == search(test, "").total == 60
        with pytest.raises(UnknownNameError, match="no split of sample/test is called 'train'"):
            search(test, "rain", filters=Filters(split="train"))


def test_corpora_with_styles_tags_and_pairs_are_indexed(tmp_path):
    for name in ("acavcaps", "audiodiffcaps", "esc50", "clotho_aqa"):
        build(name, raw=SOURCES / name / "raw", out=tmp_path / "d")
        one = built_set(name, tmp_path / "d")
        make_index(one)
        rows = [json.loads(line) for line in (SOURCES / name / "expected.jsonl").read_text(encoding="utf-8").splitlines()]
        assert {hit.entry.id for hit in search(one, "", limit=1000).hits} == {one["id"] for one in rows}
    assert search(built_set("acavcaps", tmp_path / "d"), "door", filters=Filters(style="short", domain="00a")).total == 2
    pairs = search(built_set("audiodiffcaps", tmp_path / "d"), "", limit=1000)
    assert {(hit.entry.side, hit.entry.style) for hit in pairs.hits} == {("pair", "difference")}


# -- what an index was made from -------------------------------------------------------------------------------------------------


def test_a_large_set_wants_an_index(built, large):
    one = built(ANIMALS)
    assert ways(one) == ()
    command = rf"`uac index odd --data {one.data}`"
    with pytest.raises(InputError, match=rf"odd has 6 rows and no index; {command} makes it"):
        search(one, "dog")
    report = make_index(one)
    assert (report.is_new, report.rows, report.captions, report.vectors) == (True, 6, 6, None)
    assert report.size_bytes > 1000
    assert set(ids(search(one, "dog"))) == {"dog", "dogs"}
    assert ways(one) == ("words",)
    with pytest.raises(InputError, match=r"they have no stored vectors; `uac index odd --meaning --data"):
        search(one, "dog", by="meaning")
    assert not make_index(one).is_new
    assert make_index(one, force=True).is_new


def test_an_index_of_other_shards_is_refused(sample, large):
    make_index(sample, with_meaning=True, device="cpu")
    assert ways(sample) == ("words", "meaning")
    manifest = sample.folder / "manifest.json"
    before = manifest.read_text(encoding="utf-8")
    digest = sample.manifest["splits"]["test"]["shards"][0]["sha256"]
    manifest.write_text(before.replace(digest, "0" * 64), encoding="utf-8")
    other = built_set("sample", sample.data)
    with pytest.raises(
        InputError, match=r"sample was built again after it was indexed.*`uac index sample --data .*` makes it anew"
    ):
        search(other, "dog")
    # the split whose shards are the same has no index of its own, and that of the config is not trusted either
    with pytest.raises(InputError, match="built again"):
        search(built_set("sample/train", sample.data), "dog")
    make_index(other)
    assert search(other, "rain").total
    with pytest.raises(InputError, match=r"built again after it was indexed.*`uac index sample --meaning --data"):
        search(other, "dog", by="meaning")
    make_index(other, with_meaning=True, device="cpu")
    assert search(other, "dog", by="meaning").total


def test_a_small_set_that_was_built_again_is_simply_searched(sample):
    make_index(sample)
    manifest = json.loads((sample.folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["splits"]["test"]["shards"][0]["sha256"] = "0" * 64
    (sample.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert search(built_set("sample", sample.data), "rain").total == search(sample, "rain").total


def test_an_index_is_no_part_of_the_data(sample):
    before = {path: path.read_bytes() for path in sorted(sample.data.rglob("*")) if path.is_file()}
    make_index(sample, with_meaning=True, device="cpu")
    after = {path for path in sample.data.rglob("*") if path.is_file()}
    added = {path.relative_to(sample.data).parts[:2] for path in after - set(before)}
    assert added == {(".uac", "search.index")}
    assert all(path.read_bytes() == content for path, content in before.items())
    build("sample", out=sample.data, force=True)
    assert after - set(before) <= {path for path in sample.data.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stop", ["catalogue.write", "words.write", "atomic.replace_folder"])
def test_an_index_is_there_whole_or_not_at_all(sample, large, monkeypatch, stop):
    make_index(sample)
    expected = texts(search(sample, "rain"))
    module, _, name = stop.partition(".")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(getattr(store, module), name, killed)
        with pytest.raises(KeyboardInterrupt):
            make_index(sample, force=True)
    monkeypatch.setattr(store, "_KEPT", store._Kept())
    assert texts(search(sample, "rain")) == expected
    assert make_index(sample, force=True).is_new
    assert not list(sample.data.rglob("*.new"))


@pytest.mark.parametrize(
    ("file", "by"),
    [("words/captions.arrow", "words"), ("words/tantivy/meta.json", "words"), ("meaning/part-000000000.int8", "meaning")],
)
def test_a_damaged_index_is_told(sample, large, file, by):
    make_index(sample, with_meaning=True, device="cpu")
    path = sample.data / ".uac" / "search.index" / "sample" / "all" / file
    path.write_bytes(path.read_bytes()[:10])
    option = " --meaning" if by == "meaning" else ""
    with pytest.raises(
        InputError, match=rf"the index of sample cannot be read.*`uac index sample{option} --data .* --force` makes it anew"
    ):
        search(sample, "dog", by=by)
    make_index(sample, with_meaning=True, force=True, device="cpu")
    assert search(sample, "rain", by=by).total


def test_a_missing_package_is_told(sample, monkeypatch):
    monkeypatch.setitem(sys.modules, "tantivy", None)
    for ask in (lambda: search(sample, "rain"), lambda: make_index(sample), lambda: counts(sample)):
        with pytest.raises(MissingRequirementError, match=r"The package tantivy is not available.*unified-audiocaps\[space\]"):
            ask()


def test_many_ask_at_once_and_the_work_is_done_once(sample, monkeypatch):
    made, answers = [], []
    real = words.write
    monkeypatch.setattr(words, "write", lambda *arguments: made.append(1) or real(*arguments))
    threads = [threading.Thread(target=lambda: answers.append(texts(search(sample, "rain")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(answers) == 8 and all(answer == answers[0] != [] for answer in answers)


def test_only_the_last_few_sets_stay_open():
    kept, made = store._Kept(), []
    for key in [*range(10), 9, 0]:
        assert kept.get(key, lambda key=key: made.append(key) or key) == key
    assert made == [*range(10), 0]


# -- meaning ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_captions_are_found_by_meaning(sample, is_on_disk):
    if is_on_disk:
        report = make_index(sample, with_meaning=True, device="cpu")
        assert (report.vectors, report.vectors_before) == (120, 0)
    found = search(sample, "a thunderstorm with a downpour", by="meaning", limit=3)
    assert set(ids(found)) == {"rain_thunder"}
    assert found.total == 120
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    assert found.hits[0].marks == ()
    exact = meaning.embedded([found.hits[0].entry.caption, "a thunderstorm with a downpour"], meaning.encoder())
    assert found.hits[0].score == pytest.approx(float(exact[0] @ exact[1]), abs=0.005)
    later = search(sample, "a thunderstorm with a downpour", by="meaning", limit=2, offset=1)
    assert texts(later) == texts(found)[1:]
    assert search(sample, "x", by="meaning", offset=120).hits == ()


def test_storing_meaning_goes_on_behind_the_last_part(sample, large, monkeypatch):
    monkeypatch.setattr(meaning, "PART", 32)
    real, asked = meaning.embedded, []

    def dies_after_two_parts(texts, one):
        asked.append(len(texts))
        if asked == [1, 32, 32, 32]:
            (folder,) = sample.data.rglob("meaning.new")
            (folder / ".part-000000064.int8.1.ab").write_bytes(b"half a part")
            raise KeyboardInterrupt
        return real(texts, one)

    with monkeypatch.context() as patch:
        patch.setattr(meaning, "embedded", dies_after_two_parts)
        with pytest.raises(KeyboardInterrupt):
            make_index(sample, with_meaning=True, device="cpu")
    with pytest.raises(InputError, match="have no stored vectors"):
        search(sample, "rain", by="meaning")
    report = make_index(sample, with_meaning=True, device="cpu")
    assert (report.is_new, report.vectors, report.vectors_before) == (False, 120, 64)
    folder = sample.data / ".uac" / "search.index" / "sample" / "all"
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "meaning", "words"]
    parts = {path.name: path.read_bytes() for path in (folder / "meaning").iterdir()}
    assert sorted(parts) == ["about.json", *(f"part-{begin:09d}.int8" for begin in (0, 32, 64, 96))]
    assert len(search(sample, "rain", by="meaning", limit=1000).hits) == 120
    make_index(sample, with_meaning=True, force=True, device="cpu")
    assert {path.name: path.read_bytes() for path in (folder / "meaning").iterdir()} == parts
    assert make_index(sample, with_meaning=True, device="cpu").vectors_before == 120


def test_a_half_stored_meaning_of_other_shards_is_not_gone_on_with(sample, monkeypatch):
    captions = catalogue.in_memory(sample)
    folder = sample.data / "parts"
    assert meaning.write_parts(captions, meaning.encoder(), folder, {"fingerprint": "a"}) == 0
    assert meaning.write_parts(captions, meaning.encoder(), folder, {"fingerprint": "a"}) == 120
    assert meaning.write_parts(captions, meaning.encoder(), folder, {"fingerprint": "b"}) == 0


def test_a_set_without_captions_has_no_meaning_to_store(built):
    one = built([row("x", captions=[], caption=None)])
    with pytest.raises(InputError, match="odd has no captions"):
        make_index(one, with_meaning=True)
    assert search(one, "sea", by="meaning").total == 0
    assert search(one, "").total == 1


def test_the_scan_finds_what_exact_vectors_find(monkeypatch):
    monkeypatch.setattr(meaning, "_BLOCK", 100)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1234, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = vectors[1000] = 0  # an all-zero vector is stored, too
    index = meaning.MeaningIndex.of(vectors)
    assert len(index) == 1234
    query = vectors[500]
    found = index.find(query, np.ones(1234, bool), 20, 0)
    exact = vectors @ query
    assert found.numbers[0] == 500
    assert np.allclose(found.scores, exact[found.numbers], atol=0.005)
    assert len(set(found.numbers) & set(np.argsort(-exact)[:20])) >= 18
    mask = np.zeros(1234, bool)
    mask[[3, 500, 1000]] = True
    some = index.find(query, mask, 20, 1)
    assert (some.total, len(some.numbers)) == (3, 2)
    assert set(some.numbers) == {3, 1000}


def test_equal_captions_come_in_the_order_of_the_set():
    vectors = np.tile(np.eye(4, dtype=np.float32)[0], (9, 1))
    index = meaning.MeaningIndex.of(vectors)
    assert index.find(vectors[0], np.ones(9, bool), 3, 0).numbers == [0, 1, 2]
    assert index.find(vectors[0], np.ones(9, bool), 3, 3).numbers == [3, 4, 5]
