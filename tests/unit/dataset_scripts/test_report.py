"""The figures that papers print: against counts by plain Python, and against the papers."""

import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts import report
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.built import built_set
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError
from unified_audiocaps.dataset_scripts.report_page import page

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
