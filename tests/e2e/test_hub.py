"""Fetching from a Hub, publishing to it and loading back, against the double."""

import functools
import http.server
import shutil
import threading

import pytest

from ..conftest import ROOT
from .conftest import python

WAVCAPS = ROOT / "tests/fixtures/sources/wavcaps/raw"
REPO = "cvssp/WavCaps"


def upstream() -> dict[str, bytes]:
    files = {path.relative_to(WAVCAPS).as_posix(): path.read_bytes() for path in WAVCAPS.rglob("*.json")}
    return {**files, "README.md": b"# WavCaps", "Zip_files/SoundBible/SoundBible.zip": b"not asked for"}


def test_build_fetches_what_it_needs_and_only_that(double, online, uac, tmp_path):
    double.create(REPO, upstream())
    out = tmp_path / "unified-audiocaps"
    built = uac("build", "wavcaps", "--out", out, **online)
    assert "AudioSet_SL" in built.stdout
    fetched = sorted(name.split("@")[0] for name in double.downloads)
    wanted = sorted(name for name in upstream() if name.endswith(".json"))
    assert fetched == wanted
    again = uac("fetch", "wavcaps", **online)
    assert f"0 files fetched, {len(wanted)} were there already" in again.stdout
    assert len(double.downloads) == len(wanted)
    offline = uac("build", "wavcaps", "--out", out, "--force", **{**online, "HF_HUB_OFFLINE": "1"})
    assert "wavcaps built" in offline.stdout


def test_a_download_that_is_cut_goes_on(double, online, uac, tmp_path):
    double.create(REPO, upstream())
    name = "json_files/SoundBible/sb_final.json"
    double.cut_once = {name}
    uac("fetch", "wavcaps", "--raw", tmp_path / "raw", **online)
    assert (tmp_path / "raw" / name).read_bytes() == upstream()[name]
    assert len([one for one in double.downloads if one.startswith(name)]) == 2


def test_a_file_that_changed_upstream_is_fetched_again(double, online, uac, tmp_path):
    repository = double.create(REPO, upstream())
    uac("fetch", "wavcaps", "--raw", tmp_path / "raw", **online)
    name = "json_files/SoundBible/sb_final.json"
    changed = upstream()[name].replace(b"}", b"} ", 1)
    repository.add("a correction", {**repository.commits[-1].files, name: changed})
    assert "wavcaps: 1 files fetched, " in uac("fetch", "wavcaps", "--raw", tmp_path / "raw", **online).stdout
    assert (tmp_path / "raw" / name).read_bytes() == changed


def test_refusals_of_the_hub_say_where_to_go(double, online, uac, tmp_path):
    told = uac("fetch", "wavcaps", "--raw", tmp_path / "raw", code=2, **online).stderr
    assert "https://huggingface.co/datasets/cvssp/WavCaps is not there or not open to you" in told
    double.create(REPO, upstream(), is_gated=True)
    told = uac("fetch", "wavcaps", "--raw", tmp_path / "raw", code=2, **online).stderr
    assert "is gated. Accept its terms there, then `hf auth login`" in told
    double.create(REPO, {"data/part.parquet": b"x" * 20})
    told = uac("fetch", "wavcaps", "--raw", tmp_path / "raw", code=2, **online).stderr
    assert "holds none of the files that we know. Found: .gitattributes, data/part.parquet" in told


LOAD = """
import json
from datasets import Audio, load_dataset
name, undecoded = "my-lab/unified-audiocaps", Audio(decode=False)
rows = load_dataset(name, "sample", split="test").cast_column("audio", undecoded)
stream = load_dataset(name, "sample", split="train", streaming=True).cast_column("audio", undecoded)
first = next(iter(stream))
print(json.dumps([rows.num_rows, rows[0]["id"], len(rows[0]["audio"]["bytes"]), first["id"]]))
"""


def test_published_data_loads_back(double, online, uac, sample_data, tmp_path):
    repo = ("--repo", "my-lab/unified-audiocaps", "--data", sample_data)
    done = uac("publish", "dataset", *repo, "--private", **online)
    assert "published sample" in done.stdout
    repository = double.repositories["dataset", "my-lab/unified-audiocaps"]
    assert repository.private
    published = repository.commits[-1].files
    assert sorted(name for name in published if name != ".gitattributes") == [
        "README.md",
        "data/sample/manifest.json",
        "data/sample/stats.json",
        "data/sample/test-00000-of-00001.parquet",
        "data/sample/train-00000-of-00001.parquet",
    ]
    n_rows, row_id, n_bytes, first_of_stream = python(LOAD, online, tmp_path)
    assert (n_rows, row_id, n_bytes > 1000) == (12, "sample/test/rain_thunder", True)
    assert first_of_stream.startswith("sample/train/")
    stale = {**published, "data/sample/old-00000-of-00001.parquet": b"stale shard of an earlier build"}
    repository.add("an older build", stale)
    uac("publish", "dataset", *repo, **online)
    assert repository.commits[-1].files == published


def test_what_a_card_does_not_allow_is_not_published(double, online, uac, tmp_path):
    out = tmp_path / "unified-audiocaps"
    uac("build", "clotho", "--raw", ROOT / "tests/fixtures/sources/clotho/raw", "--out", out)
    repo = ("--repo", "my-lab/unified-audiocaps", "--data", out)
    told = uac("publish", "dataset", *repo, code=2, **online).stderr
    assert "E_LICENCE: the text of clotho may not be published again: Tampere University licence" in told
    assert double.repositories == {}
    uac("publish", "dataset", *repo, "--i-have-rights", **online)
    assert ("dataset", "my-lab/unified-audiocaps") in double.repositories


AUDIOCAPS = ROOT / "tests/fixtures/sources/audiocaps/raw"
HUB_URL = "hf://datasets/my-lab/unified-audiocaps"


def test_builds_to_the_hub_are_one_commit_each_and_load_back(double, online, uac, tmp_path):
    local = tmp_path / "unified-audiocaps"
    for command in (("sample",), ("audiocaps", "--raw", AUDIOCAPS)):
        uac("build", *command, "--out", local)
        told = uac("build", *command, "--out", HUB_URL, "--i-have-rights", **online).stdout
        assert f"{HUB_URL}/data/{command[0]}" in told
    repository = double.repositories["dataset", "my-lab/unified-audiocaps"]
    assert repository.private
    assert [commit.title for commit in repository.commits] == ["initial commit", "Build sample", "Build audiocaps"]
    paths = [path for path in local.rglob("*") if path.is_file() and ".uac" not in path.parts]
    built = {path.relative_to(local).as_posix(): path.read_bytes() for path in paths}
    assert {name: content for name, content in repository.commits[-1].files.items() if name != ".gitattributes"} == built
    n_rows, row_id, n_bytes, first_of_stream = python(LOAD, online, tmp_path)
    assert (n_rows, row_id, n_bytes > 1000) == (12, "sample/test/rain_thunder", True)
    assert first_of_stream.startswith("sample/train/")


def test_a_build_that_is_on_the_hub_is_reused_and_another_one_replaces_it(double, online, uac, tmp_path):
    first = ("build", "audiocaps", "--raw", AUDIOCAPS, "--out", HUB_URL, "--i-have-rights")
    uac(*first, **online)
    repository = double.repositories["dataset", "my-lab/unified-audiocaps"]
    whole = repository.commits[-1].files
    other = {**online, "UAC_HOME": str(tmp_path / "another machine")}
    assert "audiocaps is up to date" in uac(*first, **other).stdout
    assert len(repository.commits) == 2
    stale = {**whole, "data/audiocaps/train-00001-of-00002.parquet": b"stale shard of an earlier build"}
    repository.add("an older build", {**stale, "data/audiocaps/manifest.json": b"damaged"})
    assert "audiocaps built" in uac(*first, **other).stdout
    assert repository.commits[-1].files == whole


def test_a_build_to_the_hub_asks_for_the_rights_before_it_begins(double, online, uac, tmp_path):
    command = ("build", "clotho", "--raw", ROOT / "tests/fixtures/sources/clotho/raw", "--out", f"{HUB_URL}@main/a folder")
    told = uac(*command, code=2, **online).stderr
    assert "E_LICENCE: the text of clotho may not be published again" in told
    assert double.repositories == {}
    uac(*command, "--i-have-rights", **online)
    files = double.repositories["dataset", "my-lab/unified-audiocaps"].commits[-1].files
    assert {"a folder/README.md", "a folder/data/clotho/manifest.json"} <= set(files)
    assert "is up to date" in uac(*command, "--i-have-rights", **online).stdout


@pytest.mark.parametrize(
    ("repo", "told"), [("unified-audiocaps", "expected OWNER/NAME"), ("my-lab/empty", "holds no built dataset")]
)
def test_publishing_nothing_or_nowhere_is_refused(online, uac, sample_data, tmp_path, repo, told):
    data = sample_data if "OWNER" in told else tmp_path
    assert told in uac("publish", "dataset", "--repo", repo, "--data", data, code=2, **online).stderr


def test_a_mixture_needs_the_rights_of_all_its_sets_and_installs(double, online, uac, tmp_path):
    out = tmp_path / "unified-audiocaps"
    uac("build", "sample", "--out", out)
    uac("build", "clotho", "--raw", ROOT / "tests/fixtures/sources/clotho/raw", "--out", out)
    recipe = tmp_path / "both.yaml"
    recipe.write_text("name: both\nsets: [sample/train, clotho/development]\n")
    uac("mix", recipe, "--data", out)
    told = uac("publish", "dataset", "--repo", "my-lab/unified-audiocaps", "--data", out, code=2, **online).stderr
    assert "the text of clotho in both may not be published again" in told
    offline = {**online, "HF_HUB_OFFLINE": "1"}
    uac("install", "both", "--data", out, **offline)
    load = 'load_dataset("unified-audiocaps", "both", split="train")'
    code = f"import json; from datasets import load_dataset; print(json.dumps({load}.num_rows))"
    assert python(code, offline, tmp_path.parent) > 12


def test_a_dataset_that_lies_in_two_places_is_fetched_from_both(double, online, tmp_path):
    raw = ROOT / "tests/fixtures/sources/fusionaudio/raw"
    double.create("SatsukiVie/FusionAudio", {path.name: path.read_bytes() for path in (raw / "release").iterdir()})
    site = tmp_path / "site"
    (site / "data").mkdir(parents=True)
    (site / "data/ESC50_test.json").write_bytes((raw / "data/eval/ESC50_test.json").read_bytes())
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = f"""
from pathlib import Path
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.sources.fusionaudio import FusionAudio
from unified_audiocaps.dataset_scripts.upstream.remote import HubRepository, RemoteFile
test = "data/ESC50_test.json"
hub = [one for one in FusionAudio.remote if isinstance(one, HubRepository)]
FusionAudio.remote = (*hub, RemoteFile("http://127.0.0.1:{server.server_port}/" + test, test))
import json
print(json.dumps(build("fusionaudio", out=Path("out")).rows))
"""
    rows = python(code, online, tmp_path)
    server.shutdown()
    server.server_close()
    assert rows == {"train": 3, "test": 1}


def test_metrics_are_published_and_loaded_back(double, online, uac, tmp_path):
    command = ("publish", "metrics", "--org", "tester")
    told = uac(*command, "--metrics", "rouge_l,cider_d,retrieval", "--package", "git+https://x.org/y", **online)
    assert 'evaluate.load("tester/rouge_l")' in told.stdout
    files = double.repositories["space", "tester/rouge_l"].at(None).files
    assert {"rouge_l.py", "README.md", "app.py", "requirements.txt"} <= files.keys()
    assert b"unified-audiocaps @ git+https://x.org/y" in files["requirements.txt"]
    assert b'evaluate.load("tester/rouge_l")' in files["README.md"]
    script = """
import evaluate, json
metric = evaluate.load("tester/rouge_l")
value = metric.compute(predictions=["rain is falling"], references=[["rain is falling", "it rains"]])["rouge_l"]
both = evaluate.combine(["tester/rouge_l", "tester/cider_d"])
ranks = evaluate.load("tester/retrieval").compute(predictions=[[0.9, 0.1], [0.4, 0.6]], references=[0, 1])
print(json.dumps([value, both.compute(predictions=["a dog", "rain"], references=[["a dog barks"], ["it rains"]]), ranks]))
"""
    value, both, ranks = python(script, {**online, "HF_MODULES_CACHE": str(tmp_path / "modules")}, tmp_path)
    assert value == 1.0
    assert {"rouge_l", "cider_d"} <= both.keys()
    assert ranks["audio_to_text_map_10"] == 1.0
    again = uac(*command, "--metrics", "rouge_l", **online)
    assert "tester/rouge_l" in again.stdout


def test_a_metric_that_is_none_is_told_before_anything_is_sent(double, online, uac):
    refused = uac("publish", "metrics", "--org", "tester", "--metrics", "rouge_l,rouge", code=2, **online)
    assert "Did you mean rouge_l" in refused.stderr
    assert double.repositories == {}


def test_a_checkpoint_takes_all_but_weights_of_its_base_from_the_hub(double, online, tiny_checker, tmp_path):
    import torch

    checkpoint = tiny_checker(tmp_path)
    content = torch.load(checkpoint)
    torch.save({**content, "model_type": "somebody/bert"}, checkpoint)
    base = {path.name: path.read_bytes() for path in (tmp_path / "base").iterdir()}
    double.create("somebody/bert", {**base, "model.safetensors": b"not asked for", "pytorch_model.bin": b"nor this"}, "model")
    code = (
        "import json\n"
        "from unified_audiocaps.evaluators.models.checker import load_checker\n"
        f"checker = load_checker({str(checkpoint)!r}, 'cpu')\n"
        "print(json.dumps([checker.identity, checker.probabilities(checker.tokenize(['rain rain rain'])).tolist()]))"
    )
    beside, expected = python(code, online, tmp_path)
    shutil.rmtree(tmp_path / "base")
    fetched, found = python(code, online, tmp_path)
    assert found == expected
    assert beside.startswith(f"{fetched}+base@sha256:")
    assert sorted(name.split("@")[0] for name in double.downloads) == sorted(base)
