"""Java programs: one that answers line by line and is kept for as long as this interpreter lives, or one that runs once.

`JavaProcess`: one line in, one line out. Lines go in batches small enough for the pipe's buffers, so that neither side can
wait for the other for ever; a timer ends a program that does not answer. A program that ended is started again once per
batch: a second failure is an error that shows what the program said last. One lock per program makes threads take turns.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from ...dataset_scripts.errors import MissingRequirementError, shorten

MIN_JAVA, TESTED_JAVA = 8, 17
# an idle pipe holds 64 KiB on Linux, 16 KiB on macOS: what is asked and what is answered must each fit
BATCH_BYTES, BATCH_LINES = 12_000, 100


class _FailureError(Exception):
    """The program ended, did not answer in time, or could not be started; the text says which."""


class JavaProcess:
    """A program in a jar that answers every line with one line.

    Args:
        name: what people call the program.
        jar: the jar; it runs in its folder, where it finds its data.
        arguments: of the program.
        options: of Java itself.
        start_limit_s: seconds for the first answer, which loading the program's data may delay.
        answer_limit_s: seconds for the answers to one batch.
        java: the program `java`; None looks it up in PATH.
    """

    def __init__(
        self,
        name: str,
        jar: Path,
        arguments: Sequence[str],
        *,
        options: Sequence[str] = (),
        start_limit_s: float = 300.0,
        answer_limit_s: float = 300.0,
        java: str | None = None,
    ) -> None:
        self.name, self.jar, self.arguments, self.options = name, jar, tuple(arguments), tuple(options)
        self.start_limit_s, self.answer_limit_s, self._java = start_limit_s, answer_limit_s, java
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered: IO[bytes] | None = None
        self._said: IO[bytes] | None = None
        _all.add(self)

    @property
    def pid(self) -> int | None:
        """The id of the running process, None where there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ask(self, lines: Sequence[str]) -> list[str]:
        """Returns the answer to each line.

        Args:
            lines: texts without line breaks.

        Raises:
            MissingRequirementError: there is no Java or one that is too old, or the program failed twice.
            ValueError: a line holds a line break, which would shift all answers.
        """
        broken = next((line for line in lines if "\n" in line or "\r" in line), None)
        if broken is not None:
            raise ValueError(f"a line for {self.name} is {shorten(broken)}; expected one without line breaks.")
        answers: list[str] = []
        with self._lock:
            for batch in _batches(lines):
                try:
                    answers += self._exchange(batch)
                except _FailureError:
                    try:
                        answers += self._exchange(batch)
                    except _FailureError as failure:
                        raise self._error(str(failure)) from failure
        return answers

    def close(self) -> None:
        """Ends the process; the next question starts another."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for file in (self._answered, self._said, process.stdin, process.stdout):
            if file is not None:
                file.close()
        self._process = self._answered = self._said = None

    def _forget(self) -> None:
        """Leaves the process to whoever started it: two that read from one pipe would take each other's answers."""
        self._process = self._answered = self._said = None
        self._lock = threading.Lock()

    def _exchange(self, batch: list[bytes]) -> list[str]:
        is_new = self.pid is None
        try:
            if is_new:
                self._start()
            return self._answers(batch, self.start_limit_s if is_new else self.answer_limit_s)
        except BaseException:
            # also when interrupted: answers that nobody read would be taken for those to the next question
            self.close()
            raise

    def _start(self) -> None:
        self.close()
        command = [self._java or find_java(self.name), *self.options, "-jar", self.jar.name, *self.arguments]
        # a file takes any amount of messages without a reader, which a pipe does not
        said = tempfile.TemporaryFile()
        try:
            # unbuffered: a fork of this interpreter must not hold, and send, a copy of lines that wait to be written
            process = subprocess.Popen(  # noqa: S603 # our own arguments, no shell
                command, bufsize=0, cwd=self.jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said
            )
        except OSError as error:
            said.close()
            raise _FailureError(f"it could not be started: {error}") from error
        self._process, self._said = process, said
        self._answered = open(process.stdout.fileno(), "rb", closefd=False) if process.stdout else None

    def _answers(self, batch: list[bytes], limit_s: float) -> list[str]:
        process = self._process
        if process is None or process.stdin is None or self._answered is None:
            raise _FailureError("it was not started")
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        answers: list[bytes] = []
        try:
            unsent = memoryview(b"".join(batch))
            while unsent:
                unsent = unsent[process.stdin.write(unsent) :]
            for _ in batch:
                answer = self._answered.readline()
                if not answer.endswith(b"\n"):
                    break
                answers.append(answer)
        except OSError:
            pass  # it ended while it was being written to: told below
        finally:
            timer.cancel()
        if len(answers) == len(batch):
            return [answer.decode().strip() for answer in answers]
        process.kill()
        code = process.wait()
        how = f"it did not answer within {limit_s:g} s" if is_late.is_set() else f"it ended with code {code}"
        raise _FailureError(f"{how}{self._last_words()}")

    def _last_words(self) -> str:
        return _last_words(self._said) if self._said is not None else ""

    def _error(self, failure: str) -> MissingRequirementError:
        version = java_version(self._java or find_java(self.name))
        return MissingRequirementError(
            f"a working {self.name} process",
            f"It was started twice with Java {version or 'of unknown version'}; {failure}.",
            f"free 2 GB of memory, or install a Java from {MIN_JAVA} on (tested: {TESTED_JAVA}), e.g. "
            "`apt-get install default-jre-headless`.",
        )


_all: weakref.WeakSet[JavaProcess] = weakref.WeakSet()


def _close_all() -> None:
    for process in list(_all):
        process.close()


def _forget_all() -> None:
    for process in list(_all):
        process._forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _batches(lines: Sequence[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        encoded = line.encode() + b"\n"
        if batch and (size + len(encoded) > BATCH_BYTES or len(batch) == BATCH_LINES):
            yield batch
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded)
    if batch:
        yield batch


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    telling = [line.strip() for line in lines if not line.startswith(("\tat ", "\t... "))]  # what a stack trace is about
    return f" and said: {' / '.join(telling[-3:])}" if telling else ""


def run_once(name: str, java: str, jar: Path, arguments: Sequence[str], *, options: Sequence[str], limit_s: float) -> None:
    """Runs the program in a jar, in the jar's folder, and waits for its end.

    Args:
        name: what people call the program.
        java: path of `java`.
        jar: the jar.
        arguments: of the program.
        options: of Java itself.
        limit_s: seconds after which the program is ended.

    Raises:
        MissingRequirementError: the program could not be started, failed, or took too long; with what it said last.
    """
    with tempfile.TemporaryFile() as said:
        try:
            code = subprocess.run(  # noqa: S603 # our own arguments, no shell
                [java, *options, "-jar", jar.name, *arguments],
                cwd=jar.parent,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=limit_s,
                check=False,
            ).returncode
            how = f"it ended with code {code}"
        except subprocess.TimeoutExpired:
            how = f"it did not end within {limit_s:g} s"
        except OSError as error:
            how = f"it could not be started: {error}"
        else:
            if code == 0:
                return
        raise MissingRequirementError(
            f"a working {name} program",
            f"{jar} ran with {java} (Java {java_version(java) or 'of unknown version'}); {how}{_last_words(said)}.",
            "mend what it says: memory, a jar in its lib folder, or another Java.",
        )


def folders_of_pycocoevalcap() -> list[Path]:
    """Returns where the package is, which ships programs of the COCO caption evaluation; empty if it is not installed."""
    package = importlib.util.find_spec("pycocoevalcap")
    return [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []


def find_java(why: str, which: Callable[[str], str | None] = shutil.which, *, newest: int | None = None) -> str:
    """Returns the path of `java`.

    Args:
        why: the program that needs it.
        which: finds a program in PATH.
        newest: the newest Java that the program runs on; None for no limit.

    Raises:
        MissingRequirementError: there is none, or it is older than Java 8 or newer than `newest`.
    """
    install = f"install Java {MIN_JAVA} or newer (tested: {TESTED_JAVA}), e.g. `apt-get install default-jre-headless`."
    java = which("java")
    if java is None:
        raise MissingRequirementError("Java", f"{why} is a Java program, and there is no `java` in PATH.", install)
    version = java_version(java)
    if version is not None and version < MIN_JAVA:
        raise MissingRequirementError(f"Java {MIN_JAVA} or newer", f"{why} needs it; {java} is Java {version}.", install)
    if newest is not None and version is not None and version > newest:
        wanted = f"Java {MIN_JAVA} to {newest}"
        why_not = f"{why} needs it; {java} is Java {version}."
        raise MissingRequirementError(wanted, why_not, f"put a `java` of version {MIN_JAVA} to {newest} first in PATH.")
    return java


@cache
def java_version(java: str) -> int | None:
    """Returns the major version of a `java` program: 17, or 8 for "1.8.0"; None where it does not say.

    A Java newer than the tested one is no reason to refuse: it runs older programs.
    """
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found.group(1)) if found else None
