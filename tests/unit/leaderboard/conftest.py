"""A store on each database, a clock that tests turn, and a benchmark of three clips."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import Benchmark, BenchmarkItems, items_digest
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.items import to_parquet
from unified_audiocaps.leaderboard.storage.records import Job, ResultRow
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import Submission, System

REFERENCES = {
    "tiny/test/rain": ("rain falls on a tin roof", "heavy rain hits metal"),
    "tiny/test/dog": ("a dog barks twice", "a small dog is barking"),
    "tiny/test/bell": ("a church bell rings slowly", "bells are tolling"),
}
LEASE_S = 20.0


class Clock:
    """A clock that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Where:
    """A database and the folder of its hub's files."""

    url: str
    files: Path

    def open(self, now: Callable[[], float]) -> ResultStore:
        return ResultStore(self.url, self.files, now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def benchmark_def() -> Benchmark:
    return Benchmark(
        id="tiny",
        version=1,
        title="Tiny",
        description="Three clips.",
        config="tiny",
        split="test",
        style="default",
        metrics=("rouge_l", "bleu"),
        primary_metric="rouge_l",
        encoder="minilm",
        subtask="long",
        n_items=3,
        items_sha256=items_digest(REFERENCES),
    )


@pytest.fixture
def items(benchmark_def: Benchmark) -> BenchmarkItems:
    aliases = {f"{name}.wav": f"tiny/test/{name}" for name in ("rain", "dog", "bell")}
    return BenchmarkItems(benchmark_def, (Group("all", "long", 1.0, REFERENCES),), aliases)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """Each database in turn."""
    url = f"sqlite:///{tmp_path}/hub.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return Where(url, tmp_path / "hub-files")


@pytest.fixture
def store(where: Where, clock: Clock) -> Iterator[ResultStore]:
    opened = where.open(clock)
    yield opened
    opened.close()


@pytest.fixture
def hub(store: ResultStore, items: BenchmarkItems, tmp_path: Path) -> Hub:
    """A hub that opened the benchmark of three clips."""
    store.add_benchmark(items.benchmark, to_parquet(items))
    return Hub(store, tmp_path / "nothing-built")


def result_row(
    metric: str = "rouge_l", value: float = 0.5, digest: str = "0123abcd", name: str | None = None, scope: str = ""
) -> ResultRow:
    return ResultRow(metric, name or metric, value, 3, f"metric:{metric}", digest, 0.1, "0" * 64, "1" * 64, scope, 0.4, 0.6)


def send(store: ResultStore, benchmark: Benchmark, system: str = "A", content: bytes = b"1", **more: object) -> Submission:
    """Receives and accepts a file."""
    submission, _ = store.receive(benchmark, System(system), content, ".jsonl", **more)  # type: ignore[arg-type]
    return store.accept(submission.id, benchmark.n_items, benchmark.recipe, benchmark.n_steps)


def claim(store: ResultStore, owner: str = "w") -> Job:
    job = store.claim(owner, LEASE_S)
    assert job is not None
    return job


def publish(store: ResultStore, benchmark: Benchmark, system: str = "A", content: bytes = b"1", value: float = 0.5) -> Submission:
    """Sends a file and scores it."""
    sent = send(store, benchmark, system, content)
    assert store.finish(claim(store), [result_row(value=value)])
    return store.get(sent.id)


def kinds(store: ResultStore, subject_id: str) -> list[str]:
    return [event["kind"] for event in store.events(subject_id)]
