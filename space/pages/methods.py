"""How scores are made: metrics, benchmarks, ranks and overlap, generated from the code that makes them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from ...evaluators.bootstrap import FEW_ITEMS
from ...evaluators.metric import range_in_words
from ...evaluators.score import describe_metrics
from ...leaderboard.boards.rank_statistics import MAX_RANKED
from ...leaderboard.hub import Hub
from .board import OVERLAPS
from .site import Site


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""

    @app.get("/methods", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        return site.page(request, "methods.html", **view(site.hub))


def view(hub: Hub) -> dict[str, Any]:
    """Returns what the template shows."""
    boards = {
        (one.id, one.version): {column.name: column for column in hub.board(one.id, version=one.version).columns}
        for one in hub.benchmarks()
        if (one.id, one.version) in set(hub.store.boards())
    }
    return {
        "title": "Methods",
        "metrics": [{**one, "range": range_in_words(*one["range"])} for one in describe_metrics()],
        "benchmarks": [(one, boards.get((one.id, one.version), {})) for one in hub.benchmarks()],
        "overlaps": {level: words for level, words in OVERLAPS.items() if level},
        "few_items": FEW_ITEMS,
        "n_compared": MAX_RANKED,
    }
