"""A shell script takes Java's place here: what counts is how questions, failures and threads are dealt with."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from unified_audiocaps.dataset_scripts.errors import MissingRequirementError
from unified_audiocaps.evaluators.models import java_process
from unified_audiocaps.evaluators.models.java_process import JavaProcess, find_java, java_version

ECHO = 'while IFS= read -r line; do printf "%s\\n" "<$line>"; done'


@pytest.fixture
def program(tmp_path):
    """Makes a process whose `java` is a shell script; every start adds a line to `starts`."""
    made = []

    def make(script, version='openjdk version "17.0.1"', **limits):
        java = tmp_path / f"java{len(made)}"
        java.write_text(
            f"""#!/bin/sh
if [ "$1" = -version ]; then echo '{version}' >&2; exit; fi
cd "$(dirname "$0")"; echo start >> starts
{script}
""",
            encoding="utf-8",
        )
        java.chmod(0o755)
        process = JavaProcess("Echo", tmp_path / "echo.jar", (), java=str(java), **limits)
        process.starts = lambda: len((tmp_path / "starts").read_text(encoding="utf-8").splitlines())
        made.append(process)
        return process

    yield make
    for process in made:
        process.close()


def test_every_line_has_its_answer(program):
    process = program(ECHO)
    assert process.ask([]) == []
    assert process.pid is None
    lines = [f"line {number} \U0001f3b5" for number in range(5000)]
    assert process.ask(lines) == [f"<{line}>" for line in lines]
    assert process.ask(["x" * 300_000]) == [f"<{'x' * 300_000}>"]
    assert process.starts() == 1


def test_a_line_break_is_refused(program):
    with pytest.raises(ValueError, match="expected one without line breaks"):
        program(ECHO).ask(["a\nb"])


def test_a_process_that_was_killed_is_started_again(program):
    process = program(ECHO)
    process.ask(["a"])
    os.kill(process.pid, 9)
    assert process.ask(["b"]) == ["<b>"]
    assert process.starts() == 2


def test_a_process_that_ends_in_between_is_started_once_more(program):
    process = program('if [ "$(wc -l < starts)" -eq 1 ]; then read -r line; echo one; exit 3; fi; ' + ECHO)
    assert process.ask(["a", "b"]) == ["<a>", "<b>"]
    assert process.starts() == 2


def test_a_process_that_ends_twice_is_an_error_with_its_last_words(program):
    process = program("echo 'Could not reserve enough space' >&2; exit 1")
    with pytest.raises(
        MissingRequirementError, match=r"with Java 17; it ended with code 1 and said: Could not reserve.*free 2 GB"
    ):
        process.ask(["a"])
    assert process.starts() == 2
    assert process.pid is None


def test_a_process_that_hangs_is_ended(program):
    process = program("exec sleep 60", start_limit_s=0.3)
    started = time.monotonic()
    with pytest.raises(MissingRequirementError, match=r"did not answer within 0\.3 s"):
        process.ask(["a"])
    assert time.monotonic() - started < 20
    assert process.pid is None


def test_a_program_that_cannot_be_started(tmp_path):
    process = JavaProcess("Echo", tmp_path / "echo.jar", (), java=str(tmp_path / "nowhere"))
    with pytest.raises(MissingRequirementError, match="Java of unknown version; it could not be started"):
        process.ask(["a"])


def test_an_interrupted_question_leaves_no_answers_behind(program, monkeypatch):
    process = program(ECHO)
    process.ask(["a"])

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(process, "_answers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.ask(["b"])
    assert process.ask(["c"]) == ["<c>"]
    assert process.starts() == 2


def test_threads_take_turns(program):
    process = program(ECHO)
    barrier = threading.Barrier(4)

    def ask(thread):
        barrier.wait()
        return [process.ask([f"{thread} {number}" for number in range(250)]) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for thread, answers in enumerate(pool.map(ask, range(4))):
            assert answers == [[f"<{thread} {number}>" for number in range(250)]] * 4
    assert process.starts() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_starts_its_own_and_exit_ends_it(program, tmp_path):
    program(ECHO)
    script = f"""
import os, sys
from pathlib import Path
from unified_audiocaps.evaluators.models.java_process import JavaProcess
process = JavaProcess("Echo", Path({str(tmp_path / "echo.jar")!r}), (), java={str(tmp_path / "java0")!r})
process.ask(["a"])
child = os.fork()
if child == 0:
    assert process.pid is None
    assert process.ask(["b"]) == ["<b>"]
    process.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert process.ask(["c"]) == ["<c>"]
print(process.pid)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_without_java():
    with pytest.raises(MissingRequirementError, match=r"no `java` in PATH\. To get it: install Java 8 or newer"):
        find_java("METEOR", which=lambda name: None)


@pytest.mark.parametrize(
    ("said", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_392"', 8), ('openjdk version "26-ea"', 26), ("?", None)],
)
def test_versions(program, said, version):
    assert java_version(program(ECHO, version=said)._java) == version


def test_an_old_java_is_refused_and_a_new_one_is_not(program):
    old, new = (program(ECHO, version=f'java version "{version}"')._java for version in ("1.7.0_80", "31"))
    with pytest.raises(MissingRequirementError, match=r"METEOR needs it; .* is Java 7\."):
        find_java("METEOR", which=lambda name: old)
    assert find_java("METEOR", which=lambda name: new) == new


def test_batches_fit_into_a_pipe():
    lines = ["x" * length for length in (5000, 6000, 5000, 50_000, 1, *[1] * 250)]
    batches = list(java_process._batches(lines))
    assert [line for batch in batches for line in batch] == [line.encode() + b"\n" for line in lines]
    assert all(len(batch) <= 100 and (len(batch) == 1 or sum(map(len, batch)) <= 12_000) for batch in batches)
