import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks import retrieval
from unified_audiocaps.evaluators.tasks.retrieval import retrieve, retrieve_from_scores


def by_sorting(scores, owner):
    """Both directions from the whole matrix: each line sorted, wrong answers before right ones of the same score."""
    is_right = owner[:, None] == np.arange(scores.shape[1])
    found = []
    for lines, rights in ((scores, is_right), (scores.T, is_right.T)):
        ranks, precisions = [], []
        for line, right in zip(lines, rights, strict=True):
            order = np.lexsort((right, -line))
            places = 1 + np.flatnonzero(right[order])
            ranks.append(places[0])
            hits = [j / place for j, place in enumerate(places, 1) if place <= 10]
            precisions.append(sum(hits) / min(len(places), 10))
        found.append((ranks, precisions))
    return found


def cosines(text, audio):
    """Cosines in float64, pair by pair."""
    text, audio = np.asarray(text, np.float64), np.asarray(audio, np.float64)
    norms = np.sqrt((text**2).sum(axis=1))[:, None] * np.sqrt((audio**2).sum(axis=1))
    return (text[:, None] * audio).sum(axis=2) / norms


def check(results, scores, owner):
    for result, (ranks, precisions) in zip(results, by_sorting(scores, owner), strict=True):
        assert result.ranks.tolist() == ranks
        assert result.average_precisions == pytest.approx(precisions, abs=1e-15)
        for k in (1, 5, 10):
            assert result.recall(k) == sum(rank <= k for rank in ranks) / len(ranks)
        assert result.median_rank == np.floor(np.median(ranks))
        assert result.mean_rank == np.mean(ranks)
        assert result.map_10 == pytest.approx(np.mean(precisions), abs=1e-15)


def owners(rng, n_texts, n_clips):
    owner = np.concatenate([np.arange(n_clips), rng.integers(0, n_clips, n_texts - n_clips)])
    rng.shuffle(owner)
    return owner


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("tiles", [(21, 5, 7), (20, 4, 6), (1920, 4096, 240)])
def test_scores_with_ties_rank_as_sorting_does(monkeypatch, levels, tiles):
    monkeypatch.setattr(retrieval, "_TILE_TEXTS", tiles[0])
    monkeypatch.setattr(retrieval, "_TILE_CLIPS", tiles[1])
    monkeypatch.setattr(retrieval, "_PART_TEXTS", tiles[2])
    rng = np.random.default_rng(levels)
    scores, owner = rng.integers(0, levels, (83, 17)) / levels, owners(rng, 83, 17)
    check(retrieve_from_scores(scores, owner), scores, owner)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8])
def test_embeddings_with_ties_rank_as_sorting_does(monkeypatch, kind):
    monkeypatch.setattr(retrieval, "_TILE_TEXTS", 11)
    monkeypatch.setattr(retrieval, "_TILE_CLIPS", 6)
    monkeypatch.setattr(retrieval, "_EXACT_PAIRS", 13)
    rng = np.random.default_rng(3)
    text, audio = rng.integers(1, 3, (90, 4)).astype(kind), rng.integers(1, 3, (20, 4)).astype(kind)
    owner = owners(rng, 90, 20)
    check(retrieve(text, audio, owner), cosines(text, audio), owner)


@given(st.data())
def test_any_scores_rank_as_sorting_does(data):
    n_clips = data.draw(st.integers(1, 6))
    extra = data.draw(st.lists(st.integers(0, n_clips - 1), max_size=14))
    owner = np.array([*range(n_clips), *extra])
    values = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e6, 1e6))
    scores = np.array(
        data.draw(st.lists(st.lists(values, min_size=n_clips, max_size=n_clips), min_size=len(owner), max_size=len(owner)))
    )
    check(retrieve_from_scores(scores, owner), scores, owner)


@given(st.data())
def test_any_embeddings_rank_as_sorting_does(data):
    n_clips, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    owner = np.array([*range(n_clips), *data.draw(st.lists(st.integers(0, n_clips - 1), max_size=12))])
    row = st.lists(st.integers(-3, 3), min_size=width, max_size=width).filter(any)
    text = data.draw(st.lists(row, min_size=len(owner), max_size=len(owner)))
    audio = data.draw(st.lists(row, min_size=n_clips, max_size=n_clips))
    check(retrieve(text, audio, owner), cosines(text, audio), owner)


def test_differences_below_float32_count():
    # the cosines of the two clips differ by about 1e-12, which float32 cannot show
    text = np.array([[1.0, 1e-6], [1.0, 0.0]])
    audio = np.array([[1.0, 0.0], [1.0, 1e-6]])
    t2a, a2t = retrieve(text, audio, [1, 0])
    assert t2a.ranks.tolist() == [1, 1]
    assert a2t.ranks.tolist() == [1, 1]
    t2a, a2t = retrieve(text, audio, [0, 1])
    assert t2a.ranks.tolist() == [2, 2]
    assert a2t.ranks.tolist() == [2, 2]


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_equal_embeddings_tie_wherever_they_stand(monkeypatch, layout):
    monkeypatch.setattr(retrieval, "_TILE_TEXTS", 9)
    rng = np.random.default_rng(5)
    clip = rng.standard_normal((1, 131)).astype(np.float32)
    audio, text = layout(np.repeat(clip, 37, axis=0)), layout(np.repeat(rng.standard_normal((1, 131)), 74, axis=0))
    t2a, a2t = retrieve(text, audio, np.arange(74) % 37)
    assert set(t2a.ranks.tolist()) == {37}
    assert set(a2t.ranks.tolist()) == {73}


@pytest.mark.parametrize("dense", [0, 16, 10**9])
def test_embeddings_that_nearly_collapsed(monkeypatch, dense):
    # most cosines differ by less than float32 can show, some not at all
    monkeypatch.setattr(retrieval, "_DENSE", dense)
    rng = np.random.default_rng(6)
    text, audio = 1 + 1e-4 * rng.standard_normal((60, 9)), 1 + 1e-4 * rng.standard_normal((12, 9))
    text[5:20], audio[3:6] = text[5], audio[3]
    owner = owners(rng, 60, 12)
    check(retrieve(text, audio, owner), cosines(text, audio), owner)


def test_average_precision_is_scikit_learns():
    # up to ten captions in all and no ties: nothing is cut
    rng = np.random.default_rng(7)
    for _ in range(20):
        owner, scores = owners(rng, 10, 3), rng.standard_normal((10, 3))
        t2a, a2t = retrieve_from_scores(scores, owner)
        wanted = [average_precision_score(owner == clip, scores[:, clip]) for clip in range(3)]
        assert a2t.average_precisions == pytest.approx(wanted, abs=1e-14)
        # one right answer: the rank of ties is the lowest there, too
        coarse = rng.integers(0, 3, (10, 3))
        t2a, _ = retrieve_from_scores(coarse, owner)
        wanted_mean = label_ranking_average_precision_score(owner[:, None] == np.arange(3), coarse)
        assert t2a.map_10 == pytest.approx(wanted_mean, abs=1e-14)


def test_five_captions_by_hand():
    # clip 0 has captions 0 to 4; its scores put them at ranks 1, 3, 4, 12 and 13 of 13: wrong ones at 2 and 5 to 11
    scores = np.zeros((13, 2))
    scores[[0, 1, 2, 3, 4], 0] = [13, 11, 10, 2, 1]
    scores[5:, 0] = [12, 9, 8, 7, 6, 5, 4, 3]
    _, a2t = retrieve_from_scores(scores, [0] * 5 + [1] * 8)
    assert a2t.ranks.tolist() == [1, 6]
    assert a2t.average_precisions[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 5)
    # clip 1: all scores are equal, the five wrong captions come first, its eight at 6 to 13
    assert a2t.average_precisions[1] == pytest.approx(sum(j / (j + 5) for j in range(1, 6)) / 8)


def test_more_than_ten_captions_can_be_perfect():
    scores = np.r_[np.ones((12, 1)), -np.ones((1, 1))] * [[1, -1]]
    _, a2t = retrieve_from_scores(scores, [0] * 12 + [1])
    assert a2t.map_10 == 1.0


def test_what_the_result_says():
    t2a, a2t = retrieve([[1, 0], [1, 1], [0, 1]], [[1, 0], [0, 1]], ["x", "x", "y"], ["x", "y"], model="clap@1")
    assert t2a.to_json() == {
        "task": "text_to_audio",
        "n": 3,
        "pool": 2,
        "r_1": 2 / 3,
        "r_5": 1.0,
        "r_10": 1.0,
        "median_rank": 1.0,
        "mean_rank": 4 / 3,
        "map_10": (1 + 0.5 + 1) / 3,
        "signature": t2a.signature.text,
        "digest": t2a.signature.digest,
    }
    assert t2a.signature.recipe == (
        "ap:10/min(right,10)|captions_per_clip:1-2|compare:float64|median:floor|metric:retrieval_text_to_audio|model:clap@1|"
        "pool:2|queries:3|similarity:cosine|ties:wrong_first|version:1"
    )
    assert a2t.pool == 3
    assert {name: len(column) for name, column in a2t.columns().items()} == dict.fromkeys(
        ["r_1", "r_5", "r_10", "rank", "ap_10"], 2
    )
    assert a2t.columns()["r_1"].mean() == a2t.recall(1)


def test_a_mapped_matrix_is_read(tmp_path):
    scores = np.random.default_rng(1).standard_normal((30, 6)).astype(np.float32)
    np.save(tmp_path / "s.npy", scores)
    found = retrieve_from_scores(np.load(tmp_path / "s.npy", mmap_mode="r"), np.arange(30) % 6)
    check(found, scores, np.arange(30) % 6)
    assert "compare:float32" in found[0].signature.recipe
    assert np.array_equal(np.load(tmp_path / "s.npy"), scores)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("text", "audio", "clip_of", "ids", "message"),
    [
        ([[1, 0]], [[1, 0, 0]], [0], None, "text has 2 dimensions and audio 3"),
        ([1, 0], [[1, 0]], [0], None, r"text has the shape \(2,\)"),
        ([[1, 0]], np.empty((0, 2)), [], None, r"audio has the shape \(0, 2\)"),
        ([[1, 0], [1]], [[1, 0]], [0], None, "rows of different lengths"),
        ([["a"]], [[1]], [0], None, "text holds <U1"),
        ([[1, NAN], [1, 1]], [[1, 0]], [0, 0], None, r"(?s)1 of 2 embeddings in text.*text\[0\] holds NaN or infinite"),
        ([[1, 1]], [[1e200, INF]], [0], None, r"audio\[0\] holds NaN or infinite"),
        ([[1, 1]], [[0, 0]], [0], None, r"audio\[0\] is all zeros"),
        ([[1, 1]], [[1, 0]], [0, 0], None, "1 captions and 2 clips of captions"),
        ([[1, 1]], [[1, 0]], [1], None, r"(?s)1 of 1 captions have no clip, 1 of 1 clips.*caption 0 belongs to clip 1; expected"),
        ([[1, 1]], [[1, 0]], [-1], None, "caption 0 belongs to clip -1"),
        ([[1, 1]], [[1, 0]], [0.0], None, "caption 0 belongs to clip 0.0"),
        ([[1, 1]], [[1, 0]], np.array([[0]]), None, r"clip_of starts with \[0\]; expected one clip per caption"),
        ([[1, 1]], [[1, 0], [0, 1]], ["b"], ["a", "b"], "clip 'a' has no caption"),
        ([[1, 1]], [[1, 0], [0, 1]], ["b"], ["a"], "2 clips and 1 clip ids"),
        ([[1, 1]], [[1, 0], [0, 1]], ["a"], ["a", "a"], "1 clip ids were given twice"),
    ],
)
def test_input_that_cannot_be_ranked(text, audio, clip_of, ids, message):
    with pytest.raises(InputError, match=message):
        retrieve(text, audio, clip_of, ids)


def test_scores_that_are_none_are_named(monkeypatch):
    monkeypatch.setattr(retrieval, "_TILE_TEXTS", 2)
    scores = np.zeros((5, 2))
    scores[3, 1] = NAN
    with pytest.raises(InputError, match="score of caption 3 and clip 1 is nan; expected a number"):
        retrieve_from_scores(scores, [0, 1, 0, 1, 0])
