"""The shapes of the answers, for the OpenAPI schema; the bodies themselves are made without them, which is faster."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ...leaderboard.boards.ranking import BoardColumn, BoardRow
from ...leaderboard.submission import Submission, System
from .errors import ErrorAnswer, ProblemAnswer


class BenchmarkAnswer(BaseModel):
    """A frozen definition; `max_bytes` is the biggest file that it takes."""

    id: str
    title: str
    description: str
    version: int
    task: str
    n_items: int
    primary_metric: str
    metrics: list[str]
    column: str
    references: str
    digest: str
    is_frozen: bool
    max_bytes: int


class BoardAnswer(BaseModel):
    """The ranked table; `next` is the cursor of the next page, null at the end or where no limit was given."""

    benchmark: dict[str, Any]
    columns: list[BoardColumn]
    ranked_by: str
    scope: str
    compared: int
    minimal_detectable_difference: float | None
    notes: list[str]
    revision: int
    n_rows: int
    rows: list[BoardRow]
    next: str | None


class SystemOverlap(BaseModel):
    """What a system was trained on, as far as it is known; `clean` is its score over the clips that nobody was trained on."""

    submission_id: str
    system: str
    overlap: dict[str, Any] | None
    clean: float | None


class OverlapsAnswer(BaseModel):
    """Per system of a board, whether its declared training data hold the benchmark's clips."""

    benchmark: str
    revision: int
    metric: str | None
    n_clips: int | None
    n_clean: int | None
    rows: list[SystemOverlap]


class ComparisonAnswer(BaseModel):
    """The first system minus the second one, on the same resamples."""

    benchmark: str
    a: str
    b: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


class OwnedSystem(BaseModel):
    """A system and the account that it belongs to."""

    account: str
    system: System


class SystemAnswer(OwnedSystem):
    """A system with its newest submissions."""

    submissions: list[Submission]


class EventAnswer(BaseModel):
    """One step of the log."""

    number: int
    subject: str
    subject_id: str
    kind: str
    actor: str
    at: float
    detail: dict[str, Any]


class SubmissionAnswer(BaseModel):
    """A submission, how many jobs wait before its own (null when it does not wait), and all that happened to it."""

    id: str
    benchmark: str
    benchmark_version: int
    system: str
    account: str
    state: str
    provenance: str
    attempt_no: int
    error_code: str | None
    error: str | None
    created_at: float
    updated_at: float
    progress_done: int
    progress_total: int
    queue_place: int | None
    events: list[EventAnswer]


class SubmissionsAnswer(BaseModel):
    """A page of submissions, newest first; `next` is the cursor of the next one, null at the end."""

    submissions: list[Submission]
    next: str | None


class ReportAnswer(BaseModel):
    """Everything that is wrong with a file; `message` sums it up, empty when nothing is."""

    benchmark: str
    file: str
    is_valid: bool
    n_rows: int
    n_problems: int
    problems: list[ProblemAnswer]
    warnings: list[ProblemAnswer]
    message: str


class AcceptedAnswer(BaseModel):
    """What became of a file; `report` is null where the file was there already."""

    submission: Submission
    is_new: bool
    report: ReportAnswer | None


class RejectedAnswer(ErrorAnswer):
    """A file that was rejected, with its report; both are null for other refusals."""

    submission: Submission | None = None
    report: dict[str, Any] | None = None


class EventsAnswer(BaseModel):
    """Events, oldest first."""

    events: list[EventAnswer]


class CountAnswer(BaseModel):
    """How many there were."""

    count: int


class HealthAnswer(BaseModel):
    """The process answers and can read its database."""

    status: str
    unfinished_submissions: int
    free_disk_bytes: int


class ReadyAnswer(BaseModel):
    """The database takes changes; `is_queue_served` is false when work waits and no worker takes it."""

    status: str
    is_queue_served: bool
    waiting: int
    running: int
    oldest_waiting_s: float


class ReportedAnswer(BaseModel):
    """A number that a paper prints, and what the rules found about it."""

    benchmark: str
    task: str
    split: str
    metric: str
    system: str
    printed: str
    value: float
    native_value: float
    source_paper: str
    table: str
    note: str
    consistency: str
    flags: list[dict[str, Any]]
    benchmark_id: str | None
    metric_id: str | None
