"""Mixtures: what is taken, what is left out and why, drawn the same for ever, written like any other config."""

import json
from pathlib import Path
from typing import Any

import pytest
from unified_audiocaps.dataset_scripts import schema, views
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.card import render
from unified_audiocaps.dataset_scripts.errors import InputError, UnknownNameError
from unified_audiocaps.dataset_scripts.mixture import mix
from unified_audiocaps.dataset_scripts.recipe import Recipe, load_recipe, parse_recipe, shipped_recipes
from unified_audiocaps.dataset_scripts.report import describe

HEADER = "audiocap_id,youtube_id,start_time,caption\r\n"


def audiocaps(folder: Path, split: str, *clips: tuple[str, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{i},{video},{start},A sound\r\n" for i, (video, start) in enumerate(clips)]
    (folder / f"{split}.csv").write_text(HEADER + "".join(lines), newline="")
    return folder


def video(number: int) -> str:
    return f"video{number:06d}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """AudioCaps: v1 with 60 training and 2 test clips, v2 with 60 training clips of which 30 are in v1; and the sample."""
    out = tmp_path / "unified-audiocaps"
    audiocaps(tmp_path / "v1", "train", *((video(i), 10) for i in range(60)))
    audiocaps(tmp_path / "v1", "test", (video(1000), 30), (video(3), 100))
    audiocaps(tmp_path / "v2", "train", *((video(i), 10) for i in range(30, 89)), (video(1000), 35))
    build("audiocaps", raw=tmp_path / "v1", out=out)
    build("audiocaps_v2", raw=tmp_path / "v2", out=out)
    build("sample", out=out)
    return out


def recipe(**values: Any) -> Recipe:
    return parse_recipe({"name": "mixed", "sets": ["audiocaps/train", "audiocaps_v2/train"], **values}, "test.yaml")


def ids(data: Path, name: str = "mixed") -> list[str]:
    return [row for batch in built_set(name, data).batches(["id"]) for row in batch["id"].to_pylist()]


def test_clips_are_taken_once_and_without_those_of_evaluation_sets(data: Path) -> None:
    report = mix(recipe(decontaminate=["audiocaps/test"]), data)
    first, second = report.sets
    assert (first["candidates"], first["overlapping"], first["duplicates"], first["rows"]) == (60, {"audiocaps/test": 1}, 0, 59)
    assert (second["candidates"], second["overlapping"], second["duplicates"], second["rows"]) == (
        60,
        {"audiocaps/test": 1},
        30,
        29,
    )
    found = ids(data)
    assert len(found) == len(set(found)) == report.rows == 88
    assert f"audiocaps/train/{video(3)}_10" not in found
    assert found[:3] == [f"audiocaps/train/{video(i)}_10" for i in (0, 1, 2)]
    by_segment = mix(recipe(decontaminate=["audiocaps/test:segment"]), data)
    assert [one["overlapping"]["audiocaps/test"] for one in by_segment.sets] == [0, 1]
    assert mix(recipe(deduplicate="none"), data).rows == 120


def test_the_mixture_is_a_config_like_any_other(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    report = mix(recipe(sets=["audiocaps/train", "sample"], title="My mixture", about="For this test."), data)
    monkeypatch.chdir(data.parent)
    loaded = load_dataset("unified-audiocaps", "mixed", split="train")
    assert loaded.features == schema.features()
    assert loaded.num_rows == report.rows == 84
    assert set(loaded["split"]) == {"train"}
    assert loaded["id"][:] == ids(data)
    text = render(data)
    assert "config_name: mixed" in text and report.digest in text and "My mixture" in text
    assert describe(built_set("mixed", data))["groups"][0]["clips"] == 84
    assert views.captions(next(built_set("mixed", data).batches())).num_rows > 60
    build("audiocaps", raw=data.parent / "v1", out=data)
    assert report.digest in (data / "README.md").read_text(encoding="utf-8")


def test_the_same_recipe_gives_the_same_bytes_and_digest(data: Path, tmp_path: Path) -> None:
    made = recipe(sets=[{"set": "audiocaps/train", "rows": 20}, "audiocaps_v2/train"], seed=7)
    first = mix(made, data)
    assert not first.reused and mix(made, data).reused
    other = mix(made, data, tmp_path / "elsewhere")
    assert other.digest == first.digest
    assert {p.name: p.read_bytes() for p in other.path.iterdir()} == {p.name: p.read_bytes() for p in first.path.iterdir()}
    digests = {
        mix(recipe(**values), data, tmp_path / f"o{number}").digest
        for number, values in enumerate([{}, {"seed": 1}, {"deduplicate": "none"}, {"decontaminate": ["audiocaps/test"]}])
    }
    assert len(digests | {first.digest}) == 5
    (first.path / "train-00000-of-00001.parquet").write_bytes(b"")
    assert not mix(made, data).reused


def test_other_upstream_files_give_another_digest(data: Path, tmp_path: Path) -> None:
    before = mix(recipe(), data).digest
    audiocaps(tmp_path / "v1", "train", *((video(i), 10) for i in range(61)))
    build("audiocaps", raw=tmp_path / "v1", out=data)
    assert mix(recipe(), data).digest != before


def test_a_smaller_number_draws_a_subset_and_seeds_differ(data: Path) -> None:
    def drawn(rows: int, seed: int) -> list[str]:
        mix(recipe(sets=[{"set": "audiocaps/train", "rows": rows}], seed=seed), data)
        return ids(data)

    small, large, other = drawn(10, 0), drawn(30, 0), drawn(10, 1)
    assert len(small) == 10 and set(small) < set(large)
    assert set(small) != set(other)
    assert large == sorted(large)


def test_questions_are_drawn_one_by_one(data: Path) -> None:
    def drawn(n: int) -> set[str]:
        report = mix(recipe(sets=[{"set": "sample", "questions": n}]), data)
        rows = [row for batch in built_set("mixed", data).batches() for row in batch.to_pylist()]
        assert all(row["qa"] and row["captions"] for row in rows)
        assert report.sets[0]["questions"] == n == sum(len(row["qa"]) for row in rows)
        return {qa["qa_id"] for row in rows for qa in row["qa"]}

    assert drawn(5) < drawn(15)
    assert sum(len(batch["qa"].flatten()) for batch in built_set("mixed", data).batches(["qa"])) == 15
    with pytest.raises(InputError, match=r"sample has [0-9]+ questions to draw from; the recipe asks for 9,999"):
        drawn(9_999)


def test_bad_recipes_are_explained(data: Path, tmp_path: Path) -> None:
    for values, told in [
        ({"name": "Mixed!"}, "expected lower-case letters"),
        ({"name": "clotho"}, "which is a dataset"),
        ({"sets": []}, "expected a list of sets"),
        ({"sets": [{"subset": "x"}]}, "expected a name, or a mapping with the key set"),
        ({"sets": [{"set": "sample", "rows": 0}]}, "expected a whole number from 1 up"),
        ({"sets": [{"set": "sample", "questions_per_row": "2"}]}, "questions_per_row of set sample is '2'"),
        ({"sets": [{"set": "sample", "captioned": 1}]}, "expected true or false"),
        ({"sets": [{"set": "sample", "row": 1}]}, "unknown key 'row' of set sample"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"deduplicate": "yes"}, "expected clip, recording, none"),
        ({"decontaminate": ["a:b"]}, "asks for level 'b'"),
        ({"set": []}, "unknown key 'set'"),
    ]:
        with pytest.raises(InputError, match=told):
            recipe(**values)
    with pytest.raises(InputError, match="2 problems in this recipe"):
        recipe(name="A", seed=-1)
    with pytest.raises(InputError, match="expected a mapping"):
        parse_recipe(["x"], "r.yaml")
    (tmp_path / "r.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is no YAML"):
        load_recipe(str(tmp_path / "r.yaml"))
    with pytest.raises(UnknownNameError, match=r"Did you mean wavcaps_supervised"):
        load_recipe("wavcaps_superwised")
    for values, problem, told in [
        ({"sets": ["clotho"]}, InputError, "build it first"),
        ({"sets": ["audiocap"]}, UnknownNameError, "Did you mean audiocaps"),
        ({"decontaminate": ["audiocaps"]}, InputError, "which is all of it"),
        ({"sets": [{"set": "audiocaps/train", "rows": 61}]}, InputError, "has 60 rows to draw from; the recipe asks for 61"),
        ({"sets": [{"set": "sample", "subsets": ["x"]}]}, UnknownNameError, "no subset of sample"),
        ({"sets": ["audiocaps_v2/train", "audiocaps_v2/train"]}, InputError, "nothing of audiocaps_v2/train is left"),
    ]:
        with pytest.raises(problem, match=told):
            mix(recipe(**values), data)
    assert not (data / "data" / "mixed").exists()


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_recipes(name: str) -> None:
    found = load_recipe(name)
    assert found.name == name
    assert found.title and found.about
    assert json.loads(json.dumps(found.defining()))["sets"]


def test_questions_of_drawn_rows_and_some_of_each(data: Path) -> None:
    def drawn(**values: int) -> list[dict[str, Any]]:
        mix(recipe(sets=[{"set": "sample", **values}]), data)
        return [row for batch in built_set("mixed", data).batches(["id", "qa"]) for row in batch.to_pylist()]

    everything = drawn()
    per_row = {row["id"]: len(row["qa"]) for row in everything}
    one_each = drawn(questions_per_row=1)
    assert [row["id"] for row in one_each] == [name for name, n in per_row.items() if n]
    assert {len(row["qa"]) for row in one_each} == {1}
    two_each = drawn(questions_per_row=2)
    assert [len(row["qa"]) for row in two_each] == [min(2, n) for n in per_row.values() if n]
    for small, large in zip(one_each, two_each, strict=True):
        assert small["qa"][0] in large["qa"]
    few = drawn(rows=6, questions=7)
    assert sum(len(row["qa"]) for row in few) == 7
    assert {row["id"] for row in few} <= {row["id"] for row in drawn(rows=6)}
    with pytest.raises(InputError, match=r"has 6 questions to draw from; the recipe asks for 7\. .*--show"):
        drawn(rows=6, questions=7, questions_per_row=1)


def test_what_a_build_left_out_is_told(data: Path, tmp_path: Path) -> None:
    report = mix(recipe(sets=["audiocaps", "sample"], decontaminate=["audiocaps_v2"]), data)
    assert [one["not_built"] for one in report.sets] == [["validation"], []]
    assert report.incomplete == {"audiocaps_v2": ["validation", "test"]}
    build("audiocaps", raw=data.parent / "v1", out=data, limit=5)
    report = mix(recipe(sets=["audiocaps/train"]), data)
    assert [one["not_built"] for one in report.sets] == [["the rows beyond --limit 5"]]
