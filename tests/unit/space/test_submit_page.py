import base64
import json
import re

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.leaderboard.hub import LOCAL
from unified_audiocaps.space.api import gate
from unified_audiocaps.space.pages.submit import About

from ...small_hub import scored_examples
from .pages_served import EVIL, SITE, Visitor, settings_of_site, text_of
from .served import IDS, SENTINEL, make_hub, predictions, publish, score

BAD = b'{"id": "rain", "caption": "x"}\n{"id": "rain", "caption": "y"}\n{"id": "nowhere", "caption": "x"}\n{"id": "dog"'


@pytest.fixture
def hub(tmp_path):
    return make_hub(tmp_path, **settings_of_site())


def file(content: bytes = b"", name: str = "mine.jsonl"):
    return [("file", (name, content or predictions()))]


def test_the_form_says_how_a_file_has_to_look(hub):
    shown = text_of(Visitor(hub).get("/submit?benchmark=open"))
    assert '{"id": "rain", "caption": "…"}' in shown and "id,caption" in shown
    assert ".jsonl, .jsonl.gz, .csv, .csv.gz, .parquet" in shown and "64 MiB" in shown
    assert "uac submit predictions.jsonl --benchmark open" in shown and f"{SITE}/api/v1/submissions" in shown


@pytest.mark.parametrize("benchmark", ["clotho-evaluation", "acc"])
def test_a_benchmark_that_is_not_built_here_says_what_is_missing(hub, tmp_path, benchmark):
    page = Visitor(hub).get(f"/submit?benchmark={benchmark}")
    assert "not open on this hub yet" in text_of(page) and f"uac build {hub.benchmark(benchmark).config}" in text_of(page)
    assert ("uac benchmark create" in page) is not hub.benchmark(benchmark).is_frozen
    assert 'type="file"' not in page and str(tmp_path) not in page


def test_an_unknown_benchmark_has_no_form(hub):
    Visitor(hub).get("/submit?benchmark=nope", 404)


def test_all_problems_are_shown_with_their_lines_and_nothing_is_kept(hub):
    page = Visitor(hub).post("/submit", 422, files=file(BAD), benchmark="open", action="check", name="My system").text
    rows = re.findall(r"<tr><td class=\"n\">(\d+|–)</td><td><code>(\w+)</code>", page)
    assert {("2", "E_DUP_ID"), ("3", "E_UNKNOWN_ID"), ("4", "E_JSON")} <= set(rows)
    assert ("–", "E_MISSING_ID") in rows
    assert "problems in" in text_of(page) and 'value="My system"' in page
    table = base64.b64decode(re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', page).group(1)).decode()
    assert table.count("E_") >= 4 and table.startswith("line,")
    assert hub.store.submissions() == []


def test_two_hundred_problems_are_shown_and_all_are_counted(hub, tmp_path):
    references = tmp_path / "many.jsonl"
    references.write_text("".join(json.dumps({"id": f"clip {n}", "references": ["x"]}) + "\n" for n in range(60)))
    hub.create_benchmark("many", references_file=references, metrics=("rouge_l",), primary_metric="rouge_l")
    content = b"".join(b'{"id": "x%d", "caption": "y"}\n' % n for n in range(250))
    page = Visitor(hub).post("/submit", 422, files=file(content), benchmark="many", action="check").text
    assert "Problems: the first 200 of 251" in text_of(page)  # every row, and the clips that are missing
    assert page.count("<code>E_") == 200


def test_a_file_in_order_is_told_so_to_anybody(hub):
    shown = text_of(Visitor(hub).post("/submit", 200, files=file(), benchmark="open", action="check").text)
    assert "The file is in order" in shown and "4 predictions, none is missing" in shown
    assert hub.store.submissions() == []


def test_remarks_are_shown_and_stop_nothing(hub):
    same = file(predictions(text="always the same"))
    shown = text_of(Visitor(hub).post("/submit", 200, files=same, benchmark="open", action="check").text)
    assert "Remarks that stop nothing" in shown and "W_" in shown


def test_sending_without_an_account_checks_first_and_asks_then(hub):
    page = Visitor(hub).post("/submit", 401, files=file(), benchmark="open", action="send", name="A").text
    assert "now sign in" in text_of(page) and "/login/huggingface?_target_url=%2Fsubmit%3Fbenchmark%3Dopen" in page
    Visitor(hub).post("/submit", 422, files=file(BAD), benchmark="open", action="send", name="A")
    assert hub.store.submissions() == []


def test_what_is_sent_is_queued_under_the_sender_s_name_with_all_that_was_said(hub):
    about = {
        "name": " My system ",
        "organisation": "Lab",
        "hub_repo": "lab/model",
        "parameters": "240,000,000",
        "open_weights": "yes",
        "license_text": "MIT",
        "paper_url": "https://example.org/p",
        "code_url": "https://example.org/c",
        "training_data": "clotho/development, other: web sounds",
        "description": "two\r\nlines",
    }
    answer = Visitor(hub, "anna").post("/submit", 303, files=file(), benchmark="open", action="send", **about)
    (found,) = hub.store.submissions()
    assert answer.headers["location"] == f"/submissions/{found.id}"
    assert (found.state, found.account, found.system) == ("queued", "anna", "My system")
    ((system, _),) = hub.store.systems()
    assert (system.parameters, system.open_weights, system.description) == (240_000_000, True, "two\nlines")
    assert system.training_data == ("clotho/development", "other: web sounds")
    again = Visitor(hub, "anna").post("/submit", 303, files=file(), benchmark="open", action="send", name="My system")
    assert again.headers["location"] == answer.headers["location"]


def test_a_rejected_file_is_explained_where_it_was_sent(hub):
    page = Visitor(hub, "anna").post("/submit", 422, files=file(BAD), benchmark="open", action="send", name="A").text
    assert "E_DUP_ID" in page and [one.state for one in hub.store.submissions()] == ["rejected"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": ""}, "name is ''"),
        ({"name": "A", "parameters": "many"}, "parameters is not a number"),
        ({"name": "A", "paper_url": "javascript:alert(1)"}, "paper_url is 'javascript:alert(1)'"),
        ({"name": "A", "hub_repo": "x"}, "expected OWNER/NAME"),
        ({"name": "A", "training_data": "no such set"}, "no such set"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_description_that_no_board_can_show_is_told_and_kept_in_the_form(hub, given, told):
    page = Visitor(hub, "anna").post("/submit", 422, files=file(), benchmark="open", action="send", **given).text
    assert told in text_of(page)
    assert hub.store.submissions() == []


def test_all_that_is_wrong_with_a_description_is_told_at_once():
    with pytest.raises(InputError) as caught:
        About(name="", parameters="1.5e9", code_url="x").system()
    assert {one.column for one in caught.value.problems} == {"name", "parameters", "code_url"}


@pytest.mark.parametrize("action", ["check", "try", "send"])
def test_a_form_without_a_file_says_so(hub, action):
    shown = text_of(Visitor(hub, "anna").post("/submit", 422, benchmark="open", action=action, name="A").text)
    assert "Choose a file first" in shown
    empty = [("file", ("", b""))]
    assert "Choose a file first" in text_of(Visitor(hub).post("/submit", 422, files=empty, benchmark="open").text)


def test_someone_else_s_system_and_a_spent_quota_are_told_in_the_form(tmp_path):
    hub = make_hub(tmp_path, **settings_of_site(), quota_per_day=1)
    publish(hub, "A", 0.5, account="anna")
    berta = Visitor(hub, "berta")
    taken = berta.post("/submit", 403, files=file(), benchmark="open", action="send", name="A").text
    assert "belongs to somebody else" in text_of(taken)
    berta.post("/submit", 303, files=file(), benchmark="open", action="send", name="B")
    more = file(predictions(text="more of {}"))
    answer = berta.post("/submit", 429, files=more, benchmark="open", action="send", name="B")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("name", ["x.exe", "x.zip", "../../etc/passwd", "x"])
def test_files_of_other_kinds_are_refused_in_words(hub, name):
    page = Visitor(hub, "anna").post("/submit", 422, files=file(b"x", name), benchmark="open", action="send", name="A").text
    assert "E_FORMAT" in page and hub.store.submissions() == []


def test_another_site_cannot_send_for_somebody(hub):
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        Visitor(hub, "anna").post("/submit", 403, headers, file(), benchmark="open", action="send", name="A")
    assert hub.store.submissions() == []


def test_texts_of_strangers_stay_texts(hub):
    content = json.dumps({"id": EVIL, "caption": EVIL}).encode()
    fields = {name: EVIL for name in ("name", "organisation", "training_data", "description", "paper_url")}
    page = Visitor(hub, "anna").post(
        "/submit", 422, files=file(content, f"{EVIL}.jsonl"), benchmark="open", action="send", **fields
    )
    assert EVIL not in page.text and "&lt;img src=x" in page.text


def test_private_references_are_in_no_answer(hub):
    visitor = Visitor(hub, "anna")
    texts = [visitor.get("/submit?benchmark=closed")]
    for action in ("check", "try", "send"):
        for content, status in ((predictions(IDS[:2]), 422), (BAD, 422)):
            texts.append(visitor.post("/submit", status, files=file(content), benchmark="closed", action=action, name="A").text)
    assert SENTINEL not in "".join(texts)


def test_an_upload_that_is_cut_off_changes_nothing(hub):
    client = Visitor(hub, "anna").client
    answer = client.post("/submit", content=b"--b\r\nbroken", headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400 and hub.store.submissions() == []


def test_an_upload_that_grows_too_big_is_cut_off(hub, monkeypatch):
    monkeypatch.setattr(gate, "max_bytes", lambda _benchmark: 1000)

    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n'
        for _ in range(40):
            yield b"x" * 2**16

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = Visitor(hub, "anna").client.post("/submit", content=endless(), headers=headers)
    assert answer.status_code == 413 and "bigger than any file" in answer.text


def test_several_files_are_one_submission_or_say_why_not(hub):
    two = [("file", ("a.jsonl", predictions())), ("file", ("b.jsonl", predictions()))]
    assert "two files are called" not in (page := Visitor(hub).post("/submit", 422, files=two, benchmark="open").text)
    assert "named after no subtask" in text_of(page)
    same = [("file", ("a.jsonl", predictions())), ("file", ("a.jsonl", predictions()))]
    assert "Two files are called a.jsonl" in text_of(Visitor(hub).post("/submit", 422, files=same, benchmark="open").text)


@pytest.fixture
def nine(hub, tmp_path, mecat_clips, monkeypatch):
    """The benchmark of six subtasks, with a handful of clips."""
    monkeypatch.setenv("UAC_HOME", str(tmp_path / "home"))
    build("mecat", raw=mecat_clips(tmp_path / "m"), out=hub.data)
    return hub.create_benchmark(
        "nine", source="mecat/test", task="mecat_caption", metrics=("rouge_l",), primary_metric="rouge_l", actor=LOCAL
    )


def test_six_files_are_one_submission(hub, nine):
    wanted = hub.items(nine).wanted
    page = Visitor(hub).get("/submit?benchmark=nine")
    assert " multiple" in page and f"choose {len(wanted)} files at once" in text_of(page)
    assert '"subtask": "long"' in text_of(page)

    def files(text: str, endings: tuple[str, ...] = (".csv",) * 6):
        return [
            ("file", (f"{subtask}{ending}", "".join(f"{id_},{text} {n}\n" for n, id_ in enumerate(ids)).encode()))
            for (subtask, ids), ending in zip(wanted.items(), endings, strict=True)
        ]

    anna = Visitor(hub, "anna")
    missing = files("a dog barks")[1:]
    shown = text_of(anna.post("/submit", 422, files=missing, benchmark="nine", action="check").text)
    assert "no file for the subtask" in shown and "E_SUBTASK" in shown
    bad = files("a dog barks")
    bad[2] = ("file", (bad[2][1][0], b"nobody,a dog\n"))
    shown = text_of(anna.post("/submit", 422, files=bad, benchmark="nine", action="check").text)
    assert "E_UNKNOWN_ID" in shown and "nobody" in shown
    assert "The file is in order" in text_of(anna.post("/submit", 200, files=files("a dog"), benchmark="nine").text)
    anna.post("/submit", 303, files=files("a dog"), benchmark="nine", action="send", name="A")
    assert [one.state for one in hub.store.submissions()] == ["queued"] and score(hub) == 1
    id_ = hub.store.submissions()[0].id
    assert text_of(anna.get(f"/submissions/{id_}")).count("ROUGE-L") == 1 + len(hub.items(nine).groups)


def test_a_dry_run_scores_the_sample_and_keeps_nothing(tmp_path):
    from ...conftest import ROOT

    with scored_examples(tmp_path, {}) as hub:
        content = (ROOT / "space" / "examples" / "attentive-listener.jsonl").read_bytes()
        client = Visitor(hub).client
        headers = {"Host": "localhost"}
        answer = client.post("/submit", data={"benchmark": "sample", "action": "try"}, files=file(content), headers=headers)
        shown = text_of(answer.text)
        assert answer.status_code == 200 and "What this file would score" in shown, shown
        assert "CIDEr-D 67.32" in shown and "DATE" in shown and "need a language model" in shown
        assert hub.store.submissions() == []
        assert score(hub) == 0


def test_a_dry_run_is_for_the_sample_alone(hub):
    shown = text_of(Visitor(hub, "anna").post("/submit", 422, files=file(), benchmark="open", action="try").text)
    assert "dry run is for the benchmark sample only" in shown
