"""Benchmarks and systems."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from ...dataset_scripts.errors import UnknownNameError
from ...leaderboard.benchmark import Benchmark
from ...leaderboard.hub import Hub
from ...leaderboard.intake.validation import max_bytes
from .answers import dumps, is_known, tag_of, tagged, unchanged
from .errors import tagged_refusals
from .models import BenchmarkAnswer, OwnedSystem, SystemAnswer
from .telling import Telling

MAX_SUBMISSIONS = 200
Version = Annotated[int | None, Query(ge=1, le=10**9, description="The newest by default.")]


def add_routes(app: FastAPI, hub: Hub) -> None:
    """Adds the routes of this area."""
    telling = Telling(hub)

    @app.get("/api/v1/benchmarks", response_model=list[BenchmarkAnswer], responses=tagged_refusals(), tags=["benchmarks"])
    def benchmarks(request: Request) -> Response:
        """Lists the newest version of every benchmark."""
        return tagged(request, dumps([_described(one) for one in hub.benchmarks()]))

    @app.get(
        "/api/v1/benchmarks/{benchmark_id}", response_model=BenchmarkAnswer, responses=tagged_refusals(), tags=["benchmarks"]
    )
    def benchmark(request: Request, benchmark_id: str, version: Version = None) -> Response:
        """Returns one frozen definition."""
        return tagged(request, dumps(_described(hub.benchmark(benchmark_id, version))))

    @app.get("/api/v1/systems", response_model=list[OwnedSystem], responses=tagged_refusals(), tags=["systems"])
    def systems(request: Request) -> Response:
        """Lists every system and whose it is, by name."""
        tag = tag_of("systems", hub.store.n_events())  # no system comes or changes without an event
        if is_known(request, tag):
            return unchanged(tag)
        return tagged(request, dumps([{"account": account, "system": system} for system, account in hub.store.systems()]), tag)

    @app.get("/api/v1/systems/{name:path}", response_model=SystemAnswer, responses=tagged_refusals(), tags=["systems"])
    def system(request: Request, name: str) -> Response:
        """Returns one system with its newest submissions."""
        found = {one.name: (one, account) for one, account in hub.store.systems()}
        if name not in found:
            raise UnknownNameError("system", name, (), "GET /api/v1/systems")
        about, account = found[name]
        sent = telling.submissions(hub.store.submissions(MAX_SUBMISSIONS, system=name))
        return tagged(request, dumps({"account": account, "system": about, "submissions": sent}))


def _described(benchmark: Benchmark) -> dict[str, Any]:
    return {**benchmark.describe(), "max_bytes": max_bytes(benchmark)}
