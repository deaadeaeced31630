"""The judge against an endpoint that the test starts: real HTTP, with everything that goes wrong there."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unified_audiocaps.dataset_scripts.errors import EndpointError, InputError
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.tasks.judge import PROMPT, Judge, _BadAnswer, judge, read_score

from ....chat_endpoint import Reply, running

PAIRS = CaptionPairs.join(
    {"a": "a dog barks", "b": "rain", "c": "a bell"},
    {"a": ["a dog is barking", "barking"], "b": ["it rains"], "c": ["a bell rings"]},
)
SCORES = {"a dog barks": 9, "rain": 4, "a bell": 2}


def caption_in(question: str) -> str:
    return re.search(r"The caption to judge:\n(.*)\n", question)[1]


def good(question: str, before: int = 0) -> Reply:
    return Reply(json.dumps({"score": SCORES[caption_in(question)], "reason": "because"}))


def by(endpoint, **choices) -> Judge:
    return Judge(endpoint.url, "tiny", **{"first_wait_s": 0.01, "attempts": 3, "timeout_s": 5.0, **choices})


def test_scores_are_the_answers_by_ten_and_carry_their_recipe(tmp_path):
    with running(good) as endpoint:
        found = judge(PAIRS, by(endpoint, key="s3cret", temperature=0.5), tmp_path / "a.jsonl")
    assert found.result.per_item.tolist() == [0.9, 0.4, 0.2]
    assert found.result.score == pytest.approx(0.5)
    values = found.result.signature.values
    assert (values["model"], values["reported_model"], values["temperature"]) == ("tiny", "tiny-judge-2026", "0.5")
    assert values["prompt"] == Judge(endpoint.url, "tiny").prompt_digest
    assert set(endpoint.keys) == {"Bearer s3cret"}
    assert all(one["model"] == "tiny" and one["temperature"] == 0.5 for one in endpoint.asked)
    (asked,) = [one for one in endpoint.asked if "a dog barks" in one["messages"][0]["content"]]
    assert "- a dog is barking\n- barking\n" in asked["messages"][0]["content"]
    assert "s3cret" not in (tmp_path / "a.jsonl").read_text() + repr(by(endpoint, key="s3cret")) + str(found)


def test_no_key_sends_no_header(tmp_path):
    with running(good) as endpoint:
        judge(PAIRS, by(endpoint), tmp_path / "a.jsonl")
    assert set(endpoint.keys) == {None}


def test_nothing_is_asked_twice(tmp_path):
    twice = CaptionPairs.in_order(["rain", "rain", "a bell"], [["it rains"], ["it rains"], ["a bell rings"]])
    with running(good) as endpoint:
        first = judge(twice, by(endpoint), tmp_path / "a.jsonl")
        assert len(endpoint.asked) == 2
        second = judge(twice, by(endpoint), tmp_path / "a.jsonl")
        assert len(endpoint.asked) == 2
        assert second.result.per_item.tolist() == first.result.per_item.tolist() == [0.4, 0.4, 0.2]
        assert (first.result.notes["asked"], second.result.notes["known_before"]) == (2, 2)
        assert second.result.signature == first.result.signature
        for other in ({"temperature": 1.0}, {"prompt": PROMPT + "Be strict."}):
            judge(twice, by(endpoint, **other), tmp_path / "a.jsonl")
        assert len(endpoint.asked) == 6


def test_a_cut_line_is_asked_again_and_the_rest_is_kept(tmp_path):
    kept = tmp_path / "a.jsonl"
    with running(good) as endpoint:
        whole = judge(PAIRS, by(endpoint), kept).result
        for cut in (1, 5, 20, 60):
            kept.write_bytes(kept.read_bytes()[:-cut])
            before = len(endpoint.asked)
            assert judge(PAIRS, by(endpoint), kept).result.per_item.tolist() == whole.per_item.tolist()
            assert len(endpoint.asked) == before + (cut > 1)  # without its line break the last answer is whole
            assert judge(PAIRS, by(endpoint), kept).result.notes == {"known_before": 3}


def test_a_file_of_something_else_is_not_added_to(tmp_path):
    kept = tmp_path / "references.jsonl"
    kept.write_text('{"id": "a"}\n')
    with running(good) as endpoint, pytest.raises(InputError, match=r"line 1 is no kept answer.*name another file"):
        judge(PAIRS, by(endpoint), kept)
    assert kept.read_text() == '{"id": "a"}\n'


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=429, headers={"Retry-After": "0.01"}),
        Reply(status=503),
        Reply(status=500, body=b"<html>"),
        Reply(cut=True),
        Reply("I cannot say."),
        Reply('{"score": 11}'),
        Reply(body=b"{}"),
        Reply(body=b"not json"),
        Reply(wait_s=0.6),
    ],
    ids=["429", "503", "500", "cut", "prose", "out of range", "no choices", "no json", "slow"],
)
def test_what_passes_is_tried_again(bad, tmp_path):
    with running(lambda question, before: good(question) if before else bad) as endpoint:
        found = judge(PAIRS, by(endpoint, timeout_s=0.3), tmp_path / "a.jsonl")
    assert found.result.per_item.tolist() == [0.9, 0.4, 0.2]
    assert len(endpoint.asked) == 6


def test_captions_without_a_score_are_named_and_the_others_kept(tmp_path):
    with running(lambda question, _: Reply("no idea") if "a bell" in question else good(question)) as endpoint:
        with pytest.raises(EndpointError, match=r"gave 1 of 3 captions no score in 3 attempts") as told:
            judge(PAIRS, by(endpoint), tmp_path / "a.jsonl")
        assert "'c': the answer is 'no idea'" in str(told.value)
        assert "2 of 3 answers are kept" in str(told.value)
        endpoint.answer = good
        assert judge(PAIRS, by(endpoint), tmp_path / "a.jsonl").result.notes == {"asked": 1, "known_before": 2}


def test_a_refusal_ends_the_work_at_once_and_the_key_is_not_told(tmp_path):
    def refuse(*_):
        return Reply(status=401, body=b'{"error": "bad key s3cret"}')

    with running(refuse) as endpoint, pytest.raises(EndpointError, match=r"status 401.*\[key\].*UAC_JUDGE_KEY") as told:
        judge(PAIRS, by(endpoint, key="s3cret"), tmp_path / "a.jsonl", in_flight=1)
    assert len(endpoint.asked) == 1
    assert "s3cret" not in str(told.value)


def test_an_endpoint_that_dies_keeps_what_it_answered(tmp_path):
    many = CaptionPairs.in_order([f"sound {i}" for i in range(40)], [["a sound"]] * 40)
    with running(lambda question, _: Reply() if int(caption_in(question).split()[1]) < 10 else Reply(cut=True)) as endpoint:
        with pytest.raises(EndpointError, match=r"did not answer in 3 attempts.*10 of 40 answers are kept"):
            judge(many, by(endpoint), tmp_path / "a.jsonl", in_flight=2)
        # what waited behind the dead ones was never sent
        assert len({one["messages"][0]["content"] for one in endpoint.asked}) <= 12
        endpoint.answer = lambda *_: Reply()
        assert judge(many, by(endpoint), tmp_path / "a.jsonl").result.notes == {"asked": 30, "known_before": 10}


def test_nobody_listens(tmp_path):
    with running(good) as endpoint:
        pass
    with pytest.raises(EndpointError, match=r"did not answer in 3 attempts; the last one: ConnectError"):
        judge(PAIRS, by(endpoint), tmp_path / "a.jsonl")


def test_requests_are_in_flight_together(tmp_path):
    many = CaptionPairs.in_order([f"sound {i}" for i in range(24)], [["a sound"]] * 24)
    with running(lambda *_: Reply(wait_s=0.05)) as endpoint:
        judge(many, by(endpoint), tmp_path / "a.jsonl", in_flight=6)
    assert 2 <= endpoint.most_at_once <= 6


def test_what_stands_in_a_caption_is_no_slot():
    one = Judge("http://localhost", "m")
    question = one.question("{references}", ["{caption}\nand more"])
    assert "The caption to judge:\n{references}\n" in question
    assert "- {caption} and more\n" in question
    assert "The caption to judge:\n(empty)\n" in one.question(" ", ["rain"])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"endpoint": "localhost:8000"}, "expected a URL"),
        ({"model": ""}, "has no name"),
        ({"prompt": "{caption}"}, r"holds \{references\} 0 times"),
        ({"temperature": 3.0}, "expected 0 to 2"),
    ],
)
def test_a_judge_that_cannot_work_is_refused(choices, message):
    with pytest.raises(InputError, match=message):
        Judge(**{"endpoint": "http://localhost", "model": "m", **choices})


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ('{"score": 0}', 0),
        ('{"score": 10.0, "reason": "good"}', 10),
        ('```json\n{"score": 3, "reason": "a {b}"}\n```', 3),
        ('<think>{"score": 1}? no.</think> {"reason": "well", "score": 8}', 8),
    ],
)
def test_scores_are_found(said, score):
    assert read_score(said)[0] == score


@pytest.mark.parametrize(
    "said", [None, "", "7", "[7]", '{"score": "7"}', '{"score": true}', '{"score": 7.5}', '{"score": -1}', "{"]
)
def test_what_is_no_score_is_none(said):
    with pytest.raises(_BadAnswer):
        read_score(said)


@given(st.text())
def test_any_text_is_a_score_or_none(said):
    try:
        score, _ = read_score(said)
    except _BadAnswer:
        return
    assert 0 <= score <= 10
