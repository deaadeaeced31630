import pytest
from unified_audiocaps.leaderboard.benchmark import Benchmark, BenchmarkItems, items_digest
from unified_audiocaps.leaderboard.store import ResultRow, ResultStore

REFERENCES = {
    "tiny/test/rain": ("rain falls on a tin roof", "heavy rain hits metal"),
    "tiny/test/dog": ("a dog barks twice", "a small dog is barking"),
    "tiny/test/bell": ("a church bell rings slowly", "bells are tolling"),
}


class Clock:
    """A clock that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


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
    return BenchmarkItems(benchmark_def, REFERENCES, aliases)


@pytest.fixture
def store(tmp_path, clock) -> ResultStore:
    return ResultStore(f"sqlite:///{tmp_path}/hub.db", now=clock)


def result_row(metric: str = "rouge_l", value: float = 0.5, digest: str = "0123abcd", name: str | None = None) -> ResultRow:
    return ResultRow(metric, name or metric, value, 3, f"metric:{metric}", digest, 0.1, "0" * 64)
