"""`uac judge` against an endpoint on loopback, and `uac meta` on a small file."""

import csv
import json
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import EndpointError, InputError, UnknownNameError

from ...chat_endpoint import Reply, running
from .command_line import uac


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("UAC_JUDGE_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("p.jsonl").write_text("".join(json.dumps({"id": i, "caption": f"sound {i}"}) + "\n" for i in "ab"))
    Path("r.jsonl").write_text("".join(json.dumps({"id": i, "references": ["a sound"]}) + "\n" for i in "ba"))
    return tmp_path


def answer(question: str, _: int) -> Reply:
    return Reply(json.dumps({"score": 8 if "sound a" in question else 3, "reason": 'so, "so"'}))


def test_judge(here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "open-key")
    with running(answer) as endpoint:
        command = ("judge", "p.jsonl", "--references", "r.jsonl", "--endpoint", endpoint.url, "--model", "tiny")
        done = uac(*command, "--json", "j.json", "--per-item", "i.csv", "--interval", "--resamples", 100)
        assert set(endpoint.keys) == {"Bearer open-key"}
        monkeypatch.setenv("UAC_JUDGE_KEY", "own-key")
        again = uac(*command)
        assert len(endpoint.asked) == 2
        uac(*command, "--answers", "other.jsonl", "--temperature", 1)
        assert endpoint.keys[-1] == "Bearer own-key"
    assert "0.550000" in done.stdout
    assert "answers are kept in p.judge.jsonl" in done.stdout
    assert "reported_model:tiny-judge-2026" in done.stdout
    assert "asked: 2" in done.stderr
    assert "known before: 2" in again.stderr
    assert "-key" not in done.output + again.output + "".join(file.read_text() for file in here.iterdir())
    (result,) = json.loads(Path("j.json").read_text())["results"]
    assert (result["score"], result["interval"]["level"]) == (0.55, 0.95)
    with Path("i.csv").open() as stream:
        assert list(csv.DictReader(stream)) == [
            {"id": "b", "judge": "0.3", "reason": 'so, "so"'},
            {"id": "a", "judge": "0.8", "reason": 'so, "so"'},
        ]


def test_judge_with_a_prompt_of_ones_own(here):
    Path("prompt.txt").write_text("Compare {caption} with {references}.")
    with running(lambda *_: Reply('{"score": 1}')) as endpoint:
        uac("judge", "p.jsonl", "--references", "r.jsonl", "--endpoint", endpoint.url, "--model", "t", "--prompt", "prompt.txt")
        assert endpoint.times_asked("Compare sound a with - a sound.") == 1
        Path("prompt.txt").write_text("Compare.")
        with pytest.raises(InputError, match=r"holds \{references\} 0 times"):
            uac(
                "judge",
                "p.jsonl",
                "--references",
                "r.jsonl",
                "--endpoint",
                endpoint.url,
                "--model",
                "t",
                "--prompt",
                "prompt.txt",
            )


def test_judge_that_is_refused(here):
    with running(lambda *_: Reply(status=404, body=b"no such model")) as endpoint:
        with pytest.raises(EndpointError, match=r"status 404.*no such model"):
            uac("judge", "p.jsonl", "--references", "r.jsonl", "--endpoint", endpoint.url, "--model", "t")
    with pytest.raises(InputError, match="expected a URL"):
        uac("judge", "p.jsonl", "--references", "r.jsonl", "--endpoint", "here", "--model", "t")
    with pytest.raises(InputError, match="either --references FILE or --benchmark ID"):
        uac("judge", "p.jsonl", "--endpoint", endpoint.url, "--model", "t")


def test_meta(here):
    clip = {
        "references": ["a dog barks", "a dog is barking", "barking", "a loud dog"],
        "HI": ["barking", "it rains", "", "", [1, 1]],
        "HM": ["a loud dog", "a dog barks", "", "", [1, 0]],
    }
    Path("pairs.json").write_text(json.dumps([clip]))
    done = uac("meta", "pairs.json", "--metrics", "rouge_l,length", "--json", "m.json", "--save", "s.json")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["METRIC", "HI", "HM", "total", "TIES", "SIGNATURE"]
    assert lines[1][:5] == ["rouge_l", "100.0", "0.0", "50.0", "0"]
    assert lines[3] == ["pairs", "1", "1", "2"]
    assert list(json.loads(Path("s.json").read_text())["pairs"]) == ["length", "rouge_l"]
    uac("meta", "pairs.json", "--metrics", "bleu", "--save", "s.json")
    assert list(json.loads(Path("s.json").read_text())["pairs"]) == ["bleu", "length", "rouge_l"]
    assert json.loads(Path("m.json").read_text())["n"] == 2
    with pytest.raises(UnknownNameError, match="rouge_l"):
        uac("meta", "pairs.json", "--metrics", "rouge")
