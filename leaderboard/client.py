"""A hub somewhere else: what `uac submit` does here, over its API. Refusals are the errors that a hub of one's own raises.

What is safe to repeat is repeated: a submission carries a key of its attempt, so that the answer that got lost is given again
and nothing is taken in twice.
"""

from __future__ import annotations

import ipaddress
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from ..dataset_scripts.errors import (
    EndpointError,
    InputError,
    LimitError,
    Problem,
    RightsError,
    StateError,
    StorageError,
    UnavailableError,
    UnifiedAudioCapsError,
    UnknownNameError,
)
from .submission import UNFINISHED, Submission, System

TIMEOUT_S = 120.0
TRIES = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
POLL_S, LONGEST_POLL_S = 0.2, 3.0
_AGAIN = (429, 502, 503, 504)

E = TypeVar("E", bound=UnifiedAudioCapsError)


@dataclass(frozen=True)
class Report:
    """What a hub found in a predictions file.

    Attributes:
        benchmark: id of the benchmark.
        file: name of the file.
        n_rows: rows that could be read.
        n_problems: how many problems there are.
        problems: the first of them.
        warnings: oddities that do not stop a submission.
        message: sums up the problems; empty when there are none.
    """

    benchmark: str
    file: str
    n_rows: int
    n_problems: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    message: str

    @property
    def is_valid(self) -> bool:
        """Tells whether the file can be submitted."""
        return self.n_problems == 0

    def raise_if_invalid(self) -> None:
        """Raises one error that lists the problems.

        Raises:
            InputError: the file has at least one problem.
        """
        if not self.is_valid:
            raise InputError(self.message, self.problems, self.n_problems)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Report:
        """Returns the report that plain values describe."""
        found = {"problems": _problems(values["problems"]), "warnings": _problems(values["warnings"])}
        return cls(**{name: found.get(name, values[name]) for name in cls.__dataclass_fields__})


class Client:
    """Speaks with a hub.

    Args:
        url: where it is, such as https://hub.example.org.
        token: Hub token of who asks; None for nobody. It is sent there and stands in no message.
        timeout_s: seconds that one answer may take.
        tries: how often a question is asked before it is given up.
        sleep: waits; tests inject their own.

    Raises:
        InputError: the URL is none, or a token would travel where everybody can read it.

    Example: Client("http://localhost:7860").submit(Path("captions.jsonl"), "sample", "My system").id
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise InputError("the hub's address is none; expected a URL such as https://hub.example.org.")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise InputError("the token is none; expected one line such as hf_..., without blanks.")
        if token and parts.scheme == "http" and not _is_here(parts.hostname):
            raise InputError(f"a token for {parts.hostname} would travel in the open; take an https:// address.")
        self.url, self._token, self._timeout_s, self._tries, self._sleep = url.rstrip("/"), token, timeout_s, tries, sleep

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def benchmarks(self) -> list[dict[str, Any]]:
        """Returns the definitions of the hub's benchmarks."""
        found: list[dict[str, Any]] = self._ask("GET", "benchmarks").json()
        return found

    def board(self, benchmark_id: str, **options: Any) -> dict[str, Any]:
        """Returns the ranked table of a benchmark.

        Args:
            benchmark_id: which one.
            options: `version`, `scope`, `ranked_by`, `limit`, `cursor`.

        Raises:
            UnknownNameError: there is no such benchmark, group or metric.
        """
        found: dict[str, Any] = self._ask("GET", f"leaderboard/{_part(benchmark_id)}", params=_given(options)).json()
        return found

    def submissions(self, **filters: Any) -> dict[str, Any]:
        """Returns a page of submissions, newest first; filters are `benchmark`, `state`, `account`, `system`, `cursor`."""
        found: dict[str, Any] = self._ask("GET", "submissions", params=_given(filters)).json()
        return found

    def submission(self, submission_id: str) -> Submission:
        """Returns one submission.

        Raises:
            UnknownNameError: there is none of that id.
        """
        return _submission(self._ask("GET", f"submissions/{_part(submission_id)}").json())

    def validate(self, path: Path | str, benchmark_id: str) -> Report:
        """Returns everything that is wrong with a predictions file.

        Raises:
            UnknownNameError: there is no such benchmark.
            InputError: the file as a whole cannot be read.
        """
        content = self._read(path, benchmark_id)
        data, files = {"benchmark": benchmark_id}, {"file": (Path(path).name, content)}
        return Report.from_json(self._ask("POST", "validate", data=data, files=files).json())

    def send(
        self, path: Path | str, benchmark_id: str, system: System | str, *, idempotency_key: str | None = None
    ) -> tuple[Submission, bool, Report | None]:
        """Sends a predictions file in; what is wrong with it is in the report, as `Hub.submit` has it.

        Args:
            path: the file.
            benchmark_id: what it is for.
            system: what its owner says about the system, or just its name.
            idempotency_key: a name for this attempt, one of its own by default. It is not made from the file: a hub knows equal
                bytes anyway, and sending a file again after a failure is another attempt.

        Returns:
            The submission, whether it is new, and the report where it was validated now.

        Raises:
            InputError: the file cannot be read, or the system is not described as a board can show it.
            UnknownNameError: there is no such benchmark.
            RightsError: nobody is signed in, or the system is somebody else's.
            LimitError: the quota is used up.
            UnavailableError: the hub does not answer.
        """
        about = System(system.strip()) if isinstance(system, str) else system
        content = self._read(path, benchmark_id)
        answer = self._ask(
            "POST",
            "submissions",
            data={"benchmark": benchmark_id, "system": json.dumps(about.to_json())},
            files={"file": (Path(path).name, content)},
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
            fine=lambda status, body: status == 422 and body.get("error") == "rejected",
        )
        body = answer.json()
        if answer.status_code == 422 and "message" not in (body["report"] or {}):  # it was rejected before, under this key
            raise _error(422, body, 0.0)
        report = None if body["report"] is None else Report.from_json(body["report"])
        return _submission(body["submission"]), body.get("is_new", True), report

    def submit(
        self, path: Path | str, benchmark_id: str, system: System | str, *, idempotency_key: str | None = None
    ) -> Submission:
        """Sends a valid predictions file in, see `send`.

        Raises:
            InputError: the file has problems; all are listed.
        """
        submission, _, report = self.send(path, benchmark_id, system, idempotency_key=idempotency_key)
        if report is not None:
            report.raise_if_invalid()
        return submission

    def wait(
        self, submission_id: str, timeout_s: float = 600.0, progress: Callable[[Submission], None] = lambda _found: None
    ) -> Submission:
        """Returns a submission when nothing more is to come.

        Args:
            submission_id: which one.
            timeout_s: how long to wait.
            progress: told what is known, again and again.

        Raises:
            UnavailableError: it is not finished in time.
        """
        deadline, pause_s = time.monotonic() + timeout_s, POLL_S
        while True:
            found = self.submission(submission_id)
            progress(found)
            if found.state not in UNFINISHED:
                return found
            if time.monotonic() + pause_s > deadline:
                raise UnavailableError(
                    f"submission {submission_id} is {found.state} after {timeout_s:,.0f} s; it goes on there, ask again later."
                )
            self._sleep(pause_s)
            pause_s = min(1.5 * pause_s, LONGEST_POLL_S)

    def withdraw(self, submission_id: str) -> Submission:
        """Takes a submission back.

        Raises:
            RightsError: it is somebody else's.
            StateError: there is nothing to take back.
        """
        return _submission(self._ask("POST", f"submissions/{_part(submission_id)}/withdraw").json())

    def _read(self, path: Path | str, benchmark_id: str) -> bytes:
        """Returns a file, one byte more than the hub takes at most: its validation says that this is too much."""
        about = self._ask("GET", f"benchmarks/{_part(benchmark_id)}").json()
        try:
            with Path(path).open("rb") as stream:
                return stream.read(int(about["max_bytes"]) + 1)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from None

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        fine: Callable[[int, dict[str, Any]], bool] = lambda _status, _body: False,
        **body: Any,
    ) -> Any:
        """Returns the answer to a question, which is asked again where that is safe and may help."""
        import httpx2

        sent = {**(headers or {}), "User-Agent": "unified-audiocaps"}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        last: UnifiedAudioCapsError | None = None
        for tries in range(self._tries):
            wait_s = min(FIRST_WAIT_S * 2**tries, LONGEST_WAIT_S)
            try:
                answer = httpx2.request(
                    method, f"{self.url}/api/v1/{path}", headers=sent, timeout=self._timeout_s, follow_redirects=False, **body
                )
            except httpx2.TransportError as error:
                last = UnavailableError(f"the hub at {self.url} does not answer ({type(error).__name__}); try again soon.")
            else:
                told = _json(answer)
                if answer.status_code < 300 or fine(answer.status_code, told):
                    return answer
                asked_s = _retry_after_s(answer.headers.get("retry-after", ""))
                last = _error(answer.status_code, told, asked_s)
                if answer.status_code not in _AGAIN or asked_s > LONGEST_WAIT_S:
                    raise last
                wait_s = max(wait_s, asked_s)
            if tries + 1 < self._tries:
                self._sleep(wait_s)
        assert last is not None  # noqa: S101 # it is asked at least once
        raise last


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _part(name: str) -> str:
    return quote(name, safe="")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _problems(rows: Any) -> tuple[Problem, ...]:
    return tuple(Problem(**{key: row[key] for key in Problem.__dataclass_fields__ if key in row}) for row in rows)


def _submission(values: Mapping[str, Any]) -> Submission:
    return Submission(**{one.name: values[one.name] for one in fields(Submission) if one.name in values})


def _json(answer: Any) -> dict[str, Any]:
    """Returns the body of a refusal; empty where it is none of a hub."""
    if answer.status_code < 300:
        return {}
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after_s(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _error(status: int, body: Mapping[str, Any], retry_after_s: float) -> UnifiedAudioCapsError:
    """Returns the error that a hub of one's own would raise."""
    message = str(body.get("message") or f"the hub answers {status} and nothing that is understood; is it a hub?")
    if "message" not in body and status not in _AGAIN:
        return EndpointError(message)
    if status == 429:
        return LimitError(message, retry_after_s)
    if status in {401, 403}:
        return RightsError(message)
    if status == 404:
        return _told(UnknownNameError, message)
    if status == 409 and body.get("error") == "state":
        return _told(StateError, message)
    if status in {400, 409, 413, 422}:
        problems = _problems(body.get("problems") or ())
        return InputError(message, problems, int(body.get("n_problems") or len(problems)))
    if status == 507:
        return _told(StorageError, message)
    return UnavailableError(message) if status in _AGAIN else EndpointError(message)


def _told(kind: type[E], text: str) -> E:
    """Returns an error whose text was written elsewhere."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error
