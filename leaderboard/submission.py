"""A submission and its system: what the hub knows of them, and the states that a submission goes through.

    received -> queued -> scoring -> published -> superseded | withdrawn | hidden
             -> rejected          -> failed

- `received`: the file is on disk, its rows are committed; it is being validated.
- `rejected`: the file has problems; all of them are kept. Costs no quota.
- `queued`, `scoring`: a job of it waits, or a worker holds it.
- `failed`: scoring failed again and again, which is our fault: costs no quota, and sending the file again tries anew.
- `published`: its results are on the board; they were committed together with this state. A submission that is scored again
  stays published, with its old results, until the new ones commit.
- `superseded`: a newer submission of the same system was published.
- `withdrawn`: its owner took it back. `hidden`: an admin took it off the board.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..dataset_scripts.errors import InputError, Problem, shorten

STATES = ("received", "rejected", "queued", "scoring", "failed", "published", "superseded", "withdrawn", "hidden")
UNFINISHED = ("received", "queued", "scoring")
# what an account sent counts against its quota in these states only: rejected files and our own failures are free
COUNTED = ("queued", "scoring", "published", "superseded", "withdrawn", "hidden")
PROVENANCES = ("verified", "self_reported", "paper_reported")
LOCAL_ACCOUNT = "local"
MAX_NAME, MAX_TEXT, MAX_URL, MAX_TRAINING_SETS = 200, 2_000, 500, 50
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class System:
    """What a submitter says about a system. Text is data: views escape it.

    Attributes:
        name: shown on the board; unique on a hub, belongs to the account that used it first.
        organisation: who made it.
        hub_repo: OWNER/NAME of its model on the Hub.
        parameters: how many it has.
        open_weights: whether anybody can have them; None where it was not said.
        license_text: under which terms.
        paper_url: where it is described.
        code_url: where its code is.
        training_data: names of our datasets, or `other: ...`; `none` for no audio-caption data; empty where it was not said.
        description: anything else.
    """

    name: str
    organisation: str = ""
    hub_repo: str = ""
    parameters: int | None = None
    open_weights: bool | None = None
    license_text: str = ""
    paper_url: str = ""
    code_url: str = ""
    training_data: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise InputError("the system is not described as a board can show it.", problems)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> System:
        """Returns the system that plain values describe.

        Raises:
            InputError: a key is unknown, or a value has another type or is none that a board can show.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError(f"a system has no {shorten(unknown[0])}; expected {', '.join(cls.__dataclass_fields__)}.")
        trained = values.get("training_data", ())
        if not isinstance(trained, Sequence) or isinstance(trained, str):
            raise InputError(f"training_data is {shorten(trained)}; expected a list of dataset names.")
        return cls(**{"name": "", **values, "training_data": tuple(trained)})

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {**asdict(self), "training_data": list(self.training_data)}


def _problems(system: System) -> list[Problem]:
    one: Any = system  # values come from outside, whatever their annotations say
    found = []

    def wrong(column: str, expected: str) -> None:
        found.append(Problem("E_SYSTEM", f"{column} is {shorten(getattr(one, column))}; expected {expected}", column=column))

    for column in ("name", "organisation", "hub_repo", "license_text", "paper_url", "code_url", "description"):
        limit = {"description": MAX_TEXT, "paper_url": MAX_URL, "code_url": MAX_URL}.get(column, MAX_NAME)
        text = getattr(one, column)
        if not isinstance(text, str) or len(text) > limit or not (text.isprintable() or column == "description"):
            wrong(column, f"up to {limit:,} printable characters")
        elif any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text):
            wrong(column, "text without NUL and halves of surrogate pairs")
    if not isinstance(one.name, str) or not one.name.strip() or one.name != one.name.strip():
        wrong("name", f"1 to {MAX_NAME} printable characters, no blanks around them")
    for column in ("paper_url", "code_url"):
        text = getattr(one, column)
        if isinstance(text, str) and text and not text.startswith(("https://", "http://")):
            wrong(column, "an address that begins with https://")
    if isinstance(one.hub_repo, str) and one.hub_repo and not _REPO.fullmatch(one.hub_repo):
        wrong("hub_repo", "OWNER/NAME")
    if one.parameters is not None and (
        isinstance(one.parameters, bool) or not isinstance(one.parameters, int) or not 0 < one.parameters < 10**15
    ):
        wrong("parameters", "how many parameters there are, such as 240000000")
    if one.open_weights is not None and not isinstance(one.open_weights, bool):
        wrong("open_weights", "true or false")
    if len(one.training_data) > MAX_TRAINING_SETS or not all(
        isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable() for name in one.training_data
    ):
        wrong("training_data", f"up to {MAX_TRAINING_SETS} names of datasets")
    return found


@dataclass(frozen=True)
class Submission:
    """One system's predictions for one benchmark version, as the store knows them.

    Times are seconds since 1970-01-01 UTC.

    Attributes:
        id: UUIDv7.
        benchmark: id of the benchmark.
        benchmark_version: its version.
        system_id: id of the system.
        system: the system's name.
        account: who sent it: a Hub user, or `local`.
        content_sha256: names the file of the raw bytes.
        file_suffix: the file's ending, which tells its format.
        n_items: predictions that it holds.
        state: one of `STATES`.
        provenance: `verified` (scored here), `self_reported` or `paper_reported`.
        attempt_no: the how-manieth submission of this system to this benchmark that was not rejected.
        error_code: a word for machines where the state is `rejected` or `failed`.
        error: what went wrong, for people.
        superseded_by: id of the newer submission.
        created_at: when it was received.
        updated_at: when its state changed last.
        progress_done: steps of scoring that are done.
        progress_total: steps of scoring that there are.
        note: header values of the file, such as model commit, prompt and decoding parameters.
    """

    id: str
    benchmark: str
    benchmark_version: int
    system_id: str
    system: str
    account: str
    content_sha256: str
    file_suffix: str
    n_items: int
    state: str
    provenance: str
    attempt_no: int
    error_code: str | None
    error: str | None
    superseded_by: str | None
    created_at: float
    updated_at: float
    progress_done: int = 0
    progress_total: int = 0
    note: Mapping[str, Any] = field(default_factory=dict)
