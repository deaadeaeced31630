"""Try a metric: one caption and its references, scored among other clips, with an explanation of what moved each score."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response

from ...dataset_scripts.errors import InputError, UnifiedAudioCapsError
from ...evaluators.explain import METRICS_EXPLAINED, explain
from ...evaluators.metric import METRICS
from ...evaluators.pairs import CaptionPairs
from ...leaderboard.benchmark import Benchmark
from ...leaderboard.hub import Hub
from ..api.errors import machine_folders, without_folders
from .site import Site, one_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MAX_CAPTION, MAX_REFERENCES, MAX_LINES = 1_000, 5_000, 20
MAX_CLIPS = 100  # to compare with; more would keep people waiting
YOURS = "your clip"


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the page."""
    lock = threading.Lock()  # one model for all; of many who ask at once each has his turn

    @app.get("/playground", include_in_schema=False, response_model=None)
    def page(request: Request) -> Response:
        return site.page(request, "playground.html", **view(site.hub, request.query_params, lock))


def view(hub: Hub, params: QueryParams, lock: threading.Lock) -> dict[str, Any]:
    """Returns what the template shows."""
    sets = {one.id: one for one in hub.benchmarks() if is_usable(hub, one)}
    among = one_of(params, "among", list(sets), next(iter(sets), ""))
    references = hub.items(sets[among]).references if among else {}
    clips = list(references)[:MAX_CLIPS]
    clip = one_of(params, "clip", clips, "")
    caption = params.get("caption", "")[:MAX_CAPTION]
    texts = params.get("references", "")[:MAX_REFERENCES]
    lines = (
        list(references[clip]) if clip and not texts.strip() else [line.strip() for line in texts.splitlines() if line.strip()]
    )
    found: dict[str, Any] = {"explanation": None, "problem": "", "rows": []}
    if caption.strip() and lines and among:
        found = _explained(hub, caption, lines[:MAX_LINES], {id_: references[id_] for id_ in clips if id_ != clip}, lock)
    return {
        "title": "Try a metric",
        "sets": list(sets.values()),
        "among": among,
        "clips": clips,
        "clip": clip,
        "caption": caption,
        "references": "\n".join(lines),
        "n_others": len([id_ for id_ in clips if id_ != clip]),
        "max_caption": MAX_CAPTION,
        "max_references": MAX_REFERENCES,
        **found,
    }


def is_usable(hub: Hub, benchmark: Benchmark) -> bool:
    """Tells whether a benchmark's references are here and for everybody to see."""
    if benchmark.task != "captions" or benchmark.is_private or not benchmark.is_frozen:
        return False
    try:
        hub.items(benchmark)
    except InputError:
        return False
    return True


def _explained(
    hub: Hub, caption: str, lines: list[str], others: Mapping[str, tuple[str, ...]], lock: threading.Lock
) -> dict[str, Any]:
    # other clips need captions, too: their first reference stands for a good one
    pairs = CaptionPairs((YOURS, *others), (caption, *(texts[0] for texts in others.values())), (tuple(lines), *others.values()))
    try:
        with lock:
            found = explain(pairs, YOURS)
    except UnifiedAudioCapsError as error:
        return {"explanation": None, "problem": without_folders(str(error), machine_folders(hub)), "rows": []}
    rows = [(METRICS.get(name), found.scores[name]) for name in METRICS_EXPLAINED]
    return {"explanation": found, "problem": "", "rows": rows}
