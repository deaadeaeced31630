import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts import schema, scores
from unified_audiocaps.dataset_scripts.arrays import record_batch
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.scores import score_plan


def written(path, text: str):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def rows(ids, **columns) -> pa.RecordBatch:
    ids = pa.array(ids, pa.string())
    return record_batch(len(ids), id=ids, dataset="x", split="train", source_key=ids, **columns)


def test_scores_are_put_behind_those_that_are_there(tmp_path):
    plan = score_plan(written(tmp_path / "s.csv", 'id,score\nb,0.5\n"a,1",-1e-3\n'), min_score=0.5)
    old = {"name": "mos", "value": 4.0, "producer": "people"}
    batch = rows(["a,1", "b", "c"], scores=pa.array([[old], [], [old]], pa.list_(schema.SCORE)))
    found, rules = plan.apply(batch)
    schema.check(found)

    def new(value):
        return {"name": "clap_similarity", "value": value, "producer": "s.csv"}

    assert found["scores"].to_pylist() == [[old, new(-0.001)], [new(0.5)], [old]]
    assert rules.to_pylist() == ["score:clap_similarity:below_0.5", None, "score:clap_similarity:none"]
    assert found.drop_columns(["scores"]).equals(batch.drop_columns(["scores"]))
    assert batch["scores"].to_pylist() == [[old], [], [old]]


def test_rows_without_a_score_can_be_kept(tmp_path):
    path = written(tmp_path / "s.csv", "id,score\na,0.1\n")
    assert score_plan(path).apply(rows(["a", "b"]))[1].to_pylist() == [None, None]
    kept = score_plan(path, min_score=0.5, keep_unscored=True).apply(rows(["a", "b"]))[1]
    assert kept.to_pylist() == ["score:clap_similarity:below_0.5", None]
    nothing, rules = score_plan(path, min_score=0.5).apply(rows([]))
    assert (nothing.num_rows, len(rules)) == (0, 0)


@given(
    st.dictionaries(st.text(min_size=1, alphabet="ab\U0001f600é"), st.floats(-1, 1)), st.lists(st.text(alphabet="ab\U0001f600é"))
)
def test_every_row_gets_its_own_score(tmp_path_factory, known, ids):
    ids = [one or "a" for one in [*ids, *known]]
    known = {**known, "always": 0.0}
    path = tmp_path_factory.mktemp("scores") / "s.csv"
    plan = score_plan(written(path, "id,score\n" + "".join(f"{id_},{value!r}\n" for id_, value in known.items())), min_score=0.25)
    found, rules = plan.apply(rows(ids))
    assert [[one["value"] for one in row] for row in found["scores"].to_pylist()] == [
        [known[id_]] if id_ in known else [] for id_ in ids
    ]
    assert [rule is None for rule in rules.to_pylist()] == [known.get(id_, -1) >= 0.25 for id_ in ids]


def test_ids_are_compared_not_hashes(tmp_path, monkeypatch):
    class Alike:
        """Takes all texts for the same."""

        def of(self, texts):
            return np.zeros(len(texts), np.uint64)

    monkeypatch.setattr(scores, "TextHasher", Alike)
    plan = score_plan(written(tmp_path / "s.csv", "id,score\na,1\nb,2\nc,3\n"))
    found, _ = plan.apply(rows(["c", "x", "a", "b", "c"]))
    assert [[one["value"] for one in row] for row in found["scores"].to_pylist()] == [[3.0], [], [1.0], [2.0], [3.0]]
    with pytest.raises(InputError, match="line 4: E_DUP_ID: id 'a' came already on line 2"):
        score_plan(written(tmp_path / "s.csv", "id,score\na,1\nb,2\na,3\n"))


def test_a_plan_can_be_sent_and_says_what_it_does(tmp_path):
    path = written(tmp_path / "s.csv", "id,score\na,1\nb,2\n")
    plan = score_plan(path, min_score=1.5)
    copy = pickle.loads(pickle.dumps(plan))
    assert copy.describe() == plan.describe()
    assert copy.apply(rows(["a", "b"]))[1].to_pylist() == plan.apply(rows(["a", "b"]))[1].to_pylist()
    assert json.loads(json.dumps(plan.describe()))["min_score"] == 1.5
    digest = plan.describe()["digest"]
    assert score_plan(written(path, "id,score,more\nb,2.0,x\na,1.0,y\n")).describe()["digest"] == digest
    assert score_plan(written(path, "id,score\na,1\nb,2.5\n")).describe()["digest"] != digest
    assert score_plan(written(path, "id,score\na,1\nc,2\n")).describe()["digest"] != digest


def test_the_producer_is_the_signature_beside_the_file(tmp_path):
    path = written(tmp_path / "s.csv", "id,score\na,1\n")
    beside = tmp_path / "s.csv.json"
    beside.write_text(json.dumps({"signature": "metric:clap|model:x", "complete": True}))
    assert score_plan(path).producer == "metric:clap|model:x"
    assert score_plan(path, producer="me").producer == "me"
    beside.write_text(json.dumps({"signature": "x", "complete": False}))
    with pytest.raises(InputError, match=r"is not finished, says s.csv.json; run `uac score-clips`"):
        score_plan(path)
    beside.write_text("{")
    with pytest.raises(InputError, match=r"s.csv.json, which says what made s.csv, cannot be read"):
        score_plan(path)


def test_all_problems_are_listed_with_their_lines(tmp_path):
    path = written(
        tmp_path / "s.csv",
        'id,score\r\nclip-a,1\r\n\r\n"clip\nb",2\r\nclip-a,3\r\n,4\r\nclip-c,much\r\nclip-d\r\nclip-e,nan\r\nclip-a,5\r\n',
    )
    with pytest.raises(InputError) as caught:
        score_plan(path)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("s.csv: 6 problems.")
    assert [line.strip() for line in lines[1:]] == [
        "line 6: E_DUP_ID: id 'clip-a' came already on line 2",
        "line 7: E_TYPE: id is empty; expected the row's id",
        "line 8: E_TYPE [clip-c]: score is 'much'; expected a number",
        "line 9: E_TYPE [clip-d]: score is missing; expected a number",
        "line 10: E_TYPE [clip-e]: score is 'nan'; expected a number",
        "line 11: E_DUP_ID: id 'clip-a' came already on line 2",
    ]


def test_many_problems_are_counted(tmp_path):
    path = written(tmp_path / "s.csv", "id,score\n" + "a,x\n" * 3000)
    with pytest.raises(InputError, match="3,000 problems") as caught:
        score_plan(path)
    assert len(caught.value.problems) == 1000
    assert str(caught.value).endswith("… and 2,980 more")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with the header nothing"),
        (b"a,0.5\n", "begins with the header 'a', '0.5'; expected the columns id and score"),
        (b"id,score\n", "holds no score"),
        (b"id,score\na,\xff\n", "cannot be read"),
        (b'id,score\n"a,1\n', "cannot be read"),
    ],
)
def test_files_of_another_kind(tmp_path, content, message):
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        score_plan(tmp_path / "s.csv")
    with pytest.raises(InputError, match="cannot be read"):
        score_plan(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="--min-score is nan"):
        score_plan(tmp_path / "s.csv", min_score=float("nan"))


def test_a_build_keeps_scores_and_drops_what_is_too_low(tmp_path):
    from unified_audiocaps.dataset_scripts.build import build
    from unified_audiocaps.dataset_scripts.built import built_set

    out = tmp_path / "unified-audiocaps"
    build("sample", out=out)
    ids = built_set("sample/test", out).table(["id"])["id"].to_pylist()
    path = tmp_path / "scores.csv"
    path.write_text("id,score\n" + "".join(f"{one},{i / 10}\n" for i, one in enumerate(ids[:-1])), encoding="utf-8")
    plain = score_plan(path)
    report = build("sample", out=out, scores=plain, splits=["test"])
    rows = built_set("sample/test", out).table(["id", "scores"]).to_pylist()
    assert [row["scores"] for row in rows] == [
        *([{"name": "clap_similarity", "value": i / 10, "producer": "scores.csv"}] for i in range(len(ids) - 1)),
        [],
    ]
    assert report.dropped == {}
    assert build("sample", out=out, scores=plain, splits=["test"]).reused
    report = build("sample", out=out, scores=score_plan(path, min_score=0.5), splits=["test"])
    assert built_set("sample/test", out).table(["id"])["id"].to_pylist() == ids[5:-1]
    assert report.dropped == {"score:clap_similarity:below_0.5": 5, "score:clap_similarity:none": 1}
    with pytest.raises(InputError, match=r"no row of it is left: 22 by score:clap_similarity:below_9.0, 2 by"):
        everything = [*ids, *built_set("sample/train", out).table(["id"])["id"].to_pylist()]
        path.write_text("id,score\n" + "".join(f"{one},0.1\n" for one in everything[:-2]), encoding="utf-8")
        build("sample", out=out, scores=score_plan(path, min_score=9.0))
