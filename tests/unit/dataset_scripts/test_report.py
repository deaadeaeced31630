"""The figures that papers print: against counts by plain Python, and against the papers."""

import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts import printed, report
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError
from unified_audiocaps.dataset_scripts.report_page import page
from unified_audiocaps.dataset_scripts.source import source

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "sources"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "unified-audiocaps"
    for name in ("sample", "wavcaps", "mecat"):
        build(name, raw=None if name == "sample" else FIXTURES / name / "raw", out=out)
    return out


def said(data: Path, config: str) -> tuple[list[dict], list[str]]:
    manifest = json.loads((data / "data" / config / "manifest.json").read_text())
    rows = [row for split in manifest["splits"] for row in built_set(f"{config}/{split}", data).table().to_pylist()]
    texts = [c["text"] for r in rows for c in r["captions"] if c["style"] != "description" and not c["is_absent"]]
    return rows, texts


@pytest.mark.parametrize("config", ["sample", "wavcaps", "mecat"])
def test_figures_equal_counts_by_plain_python(data: Path, config: str) -> None:
    rows, texts = said(data, config)
    whole = report.describe(built_set(config, data))["groups"][0]
    times = Counter(texts)
    assert whole["clips"] == len(rows)
    assert whole["captions"] == sum(c["style"] != "description" for r in rows for c in r["captions"])
    assert whole["mean_words"] == pytest.approx(np.mean([len(text.split()) for text in texts]))
    assert whole["unique_captions"] == len(times)
    assert whole["repeated_share"] == pytest.approx(1 - len(times) / len(texts))
    assert whole["most_times"] == max(times.values())
    vocabulary = {report._EDGE.sub("", word.lower()) for text in texts for word in text.split()} - {""}
    assert whole["vocabulary"] == len(vocabulary)
    assert sum(whole["length_histogram"].values()) == len(texts)
    assert sum(whole["times_histogram"].values()) == len(times)
    known = [row["duration_s"] for row in rows if row["duration_s"] is not None]
    assert sum(whole["duration_histogram"].values()) == len(known)
    assert whole["hours"] == (pytest.approx(sum(known) / 3600) if known else None)
    assert whole["domains"] == dict(sorted(Counter(row["domain"] for row in rows if row["domain"]).items()))
    assert whole["questions"] == sum(len(row["qa"]) for row in rows)


def test_jaccard_is_taken_between_raw_text_and_first_caption(data: Path) -> None:
    def words(text: str) -> set[str]:
        return {report._EDGE.sub("", word.lower()) for word in text.split()} - {""}

    rows, _ = said(data, "wavcaps")
    found = []
    for row in rows:
        raw = [words(c["text"]) for c in row["captions"] if c["style"] == "description"]
        captions = [words(c["text"]) for c in row["captions"] if c["style"] != "description"]
        if raw and captions and raw[0] | captions[0]:
            found.append(len(raw[0] & captions[0]) / len(raw[0] | captions[0]))
    whole = report.describe(built_set("wavcaps", data))["groups"][0]
    assert whole["jaccard"] == pytest.approx(np.mean(found))
    assert sum(whole["jaccard_histogram"].values()) == len(found)


def test_groups_are_the_whole_then_splits_then_subsets(data: Path) -> None:
    found = report.describe(built_set("sample", data))
    assert [report.label(group) for group in found["groups"]] == ["all", "train", "test"]
    subsets = [report.label(group) for group in report.describe(built_set("wavcaps", data))["groups"]]
    assert subsets == ["all", "AudioSet_SL", "BBC_Sound_Effects", "FreeSound", "SoundBible"]
    (only,) = report.describe(built_set("sample/test", data))["groups"]
    assert only["clips"] == 12


def test_tokens_are_those_of_the_chosen_tokenizer(data: Path) -> None:
    tokens = report.load_tokenizer("minilm")
    _, texts = said(data, "sample")
    ids = tokens(texts)
    found = report.describe(built_set("sample", data), "minilm")
    assert found["groups"][0]["mean_tokens"] == pytest.approx(np.mean([len(one) for one in ids]))
    assert found["groups"][0]["unique_tokens"] == len({token for one in ids for token in one})
    assert len(tokens(["a " * 2000])[0]) == 2000
    assert report.describe(built_set("sample", data))["groups"][0]["mean_tokens"] is None


def test_an_unknown_tokenizer_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer .*expected minilm, a tokenizer\.json"):
        report.load_tokenizer(str(tmp_path / "nothing.json"))


def test_the_grade_needs_its_package(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textstat", None)
    with pytest.raises(MissingRequirementError, match=r"unified-audiocaps\[statistics\]"):
        report.flesch_kincaid("a dog")
    found = report.describe(built_set("sample", data))
    assert found["groups"][0]["flesch_kincaid"] is None
    assert "Flesch-Kincaid grade left out" in found["notes"][0]

    def no_dictionary(text: str) -> float:
        raise LookupError("Resource cmudict not found.")

    monkeypatch.setitem(sys.modules, "textstat", SimpleNamespace(flesch_kincaid_grade=no_dictionary))
    assert "python -m nltk.downloader cmudict" in report.describe(built_set("sample", data))["notes"][0]
    monkeypatch.setitem(sys.modules, "textstat", SimpleNamespace(flesch_kincaid_grade=lambda text: 3.0))
    found = report.describe(built_set("sample", data))
    assert found["groups"][0]["flesch_kincaid"] == 3.0
    assert found["notes"] == []


def test_markdown_and_page_hold_every_table(data: Path) -> None:
    found = [report.describe(built_set(name, data)) for name in ("wavcaps", "mecat", "sample")]
    text, html = report.markdown(found), page(found)
    for one in found:
        for title, _, _ in report.tables(one):
            assert title in text and title in html
    assert html.count("<svg") >= 10
    assert "http" not in html and "<script" not in html
    json.dumps(found)


def test_a_broken_title_cannot_break_the_page(data: Path) -> None:
    found = report.describe(built_set("sample", data))
    found["groups"][0]["domains"] = {"<b>&": 3}
    assert "&lt;b&gt;&amp;" in page([found]) and "<b>&" not in page([found])


@pytest.mark.real
def test_soundbible_is_the_row_of_the_paper(real_dir: Path, tmp_path: Path) -> None:
    build("wavcaps", raw=real_dir / "wavcaps", out=tmp_path)
    found = report.describe(built_set("wavcaps", tmp_path))
    printed = {one["statistic"]: one for one in found["printed"]}
    assert printed["clips"]["ours"] == 1_232
    assert printed["mean_duration_s"]["ours"] == pytest.approx(13.11, abs=0.005)  # the paper prints 13.12
    assert printed["mean_words"]["ours"] == pytest.approx(5.87, abs=0.005)
    assert set(printed) == {"clips", "mean_duration_s", "mean_words"}
    assert [printed[key]["agrees"] for key in ("clips", "mean_duration_s", "mean_words")] == [True, False, True]


@pytest.mark.real
def test_the_counts_of_the_card_are_beside_those_of_a_split(real_dir: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for split in ("val", "test"):
        (raw / f"{split}.csv").write_bytes((real_dir / "audiocaps/v1" / f"{split}.csv").read_bytes())
    build("audiocaps", raw=raw, out=tmp_path)
    found = report.describe(built_set("audiocaps", tmp_path))["printed"]
    # the training split is not built: nothing is said about it, nor about the whole
    assert [(one["split"], one["figure"], one["agrees"]) for one in found] == [("validation", "495", True), ("test", "975", True)]
    (only,) = report.describe(built_set("audiocaps/test", tmp_path))["printed"]
    assert (only["split"], only["ours"], only["difference"]) == ("test", 975, 0)


def test_printed_figures_are_about_sets_splits_and_statistics_that_exist(data: Path) -> None:
    group = report.describe(built_set("sample", data))["groups"][0]
    for one in printed.PRINTED:
        known = source(one.config)
        assert one.split is None or one.split in known.splits
        assert one.subset is None or one.subset in known.subsets
        assert one.statistic in group and one.value > 0 and one.where
    keys = [(one.config, one.split, one.subset, one.statistic, one.where) for one in printed.PRINTED]
    assert len(keys) == len(set(keys))


def test_a_figure_agrees_when_it_is_the_printed_one_rounded() -> None:
    def agrees(figure: str, ours: float) -> bool:
        return printed.Printed("c", "clips", figure, "w").agrees(ours)

    assert agrees("4.7M", 4_664_075) and not agrees("4.7M", 4_640_000)
    assert agrees("13.12", 13.124) and not agrees("13.12", 13.11)
    assert agrees("1,232", 1232) and not agrees("1,232", 1231)
    assert agrees("46k", 46_499) and not agrees("46k", 49_838)


def test_nothing_in_print_is_compared_with_a_part_of_it(data: Path, tmp_path: Path) -> None:
    assert not report.describe(built_set("sample/test", data))["printed"][1:]
    build("wavcaps", raw=FIXTURES / "wavcaps" / "raw", out=tmp_path, limit=1)
    assert report.describe(built_set("wavcaps", tmp_path))["printed"] == []
    whole = report.describe(built_set("wavcaps", data))["printed"]
    assert {one["subset"] for one in whole} == {None, "AudioSet_SL", "BBC_Sound_Effects", "FreeSound", "SoundBible"}
    tokens = [one for one in whole if one["statistic"] == "unique_tokens"]
    assert [(one["ours"], one["difference"], one["agrees"]) for one in tokens] == [(None, None, None)]


def test_several_sets_stand_in_one_table_too(data: Path) -> None:
    found = [report.describe(built_set(name, data)) for name in ("sample", "wavcaps")]
    ((title, header, rows),) = report.comparison(found)
    assert (title, header[0], [row[0] for row in rows]) == ("all sets", "set", ["sample", "wavcaps"])
    assert [row[header.index("clips")] for row in rows] == ["24", "7"]
    assert "all sets" in report.markdown(found) and "all sets" in page(found)
    assert list(report.comparison(found[:1])) == []
