"""Small hubs, scored in the process of the test by metrics that run for real."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import Submission, System

from .conftest import ROOT

REFERENCES = {
    "rain": ["rain falls on a tin roof", "heavy rain hits metal"],
    "dog": ["a dog barks twice", "a small dog is barking"],
    "bell": ["a church bell rings slowly", "bells are tolling"],
}


def empty_hub(folder: Path, url: str | None = None, now: Callable[[], float] = time.time) -> Hub:
    """Returns a hub without anything in it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Hub(ResultStore(url or f"sqlite:///{folder}/hub.db", folder / "files", now), folder / "nothing built", Settings())


def small_hub(folder: Path, url: str | None = None, now: Callable[[], float] = time.time, private: bool = False) -> Hub:
    """Returns a hub with the open benchmark `tiny`."""
    hub = empty_hub(folder, url, now)
    references = folder / "references.jsonl"
    references.write_text("".join(json.dumps({"id": id_, "references": texts}) + "\n" for id_, texts in REFERENCES.items()))
    hub.create_benchmark(
        "tiny",
        references_file=references,
        metrics=("rouge_l", "bleu"),
        primary_metric="rouge_l",
        references="private" if private else None,
    )
    return hub


def send(hub: Hub, system: str, dog: str = "a dog barks", **about: object) -> Submission:
    """Submits captions, of which that of the dog is the system's own."""
    captions = {"rain": "rain falls on a roof", "dog": dog, "bell": "bells are tolling"}
    path = hub.store.files.folder.parent / f"sent by {system}.jsonl"
    path.write_text("".join(json.dumps({"id": id_, "caption": text}) + "\n" for id_, text in captions.items()))
    return hub.submit(path, "tiny", System(system, **about))[0]


def score_all(hub: Hub) -> int:
    """Scores what waits, as a worker and its child do; returns how many submissions that were."""
    n = 0
    while (job := hub.store.claim("worker", 20.0)) is not None:
        assert hub.store.finish(job, hub.score(job))
        n += 1
    return n


@contextmanager
def scored_examples(folder: Path, trained_on: Mapping[str, tuple[str, ...]]) -> Iterator[Hub]:
    """Yields a hub on which examples of the sample's board are scored; `trained_on` names them and their training data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UAC_HOME", str(folder / "home"))
        build("sample", out=folder / "data")
        hub = Hub(ResultStore(f"sqlite:///{folder}/hub.db"), folder / "data")
        for name, training_data in trained_on.items():
            hub.submit(ROOT / "space" / "examples" / f"{name}.jsonl", "sample", System(name, training_data=training_data))
        score_all(hub)
        yield hub
        hub.store.close()


def everything(hub: Hub) -> list[str]:
    """Returns all rows, in an order that does not depend on the database."""
    return sorted(json.dumps(row, sort_keys=True) for row in hub.store.dump())
