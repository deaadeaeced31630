"""Systems: what their owners say, how they do on every board, and whether they were trained on the test clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response

from ...dataset_scripts.errors import UnifiedAudioCapsError, UnknownNameError
from ...leaderboard.boards.contamination import Evidence
from ...leaderboard.boards.overlap_report import Overlap
from ...leaderboard.boards.ranking import Board, BoardRow
from ...leaderboard.hub import Hub
from ...leaderboard.submission import Submission, System
from ..sign_in import address_of_hub
from .board import MAX_SEARCH, OVERLAPS
from .site import Site, link, quoted, whole
from .submission import WORDS, overlap_now

MAX_SUBMISSIONS = 200
ROWS = 200
SHOWN_CLIPS = 50
LEVEL_WORDS = {
    "segment": "the very seconds of sound",
    "clip": "the very clip",
    "recording": "another part of the same recording",
}


@dataclass(frozen=True)
class Place:
    """A system on one board.

    Attributes:
        board: the ranked table.
        row: the system's row.
        overlap: whether it was trained on the clips; None while that is looked up.
        badge: markdown that shows its score and rank elsewhere.
    """

    board: Board
    row: BoardRow
    overlap: Overlap | None
    badge: str


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the pages."""

    @app.get("/systems", include_in_schema=False, response_model=None)
    def listing(request: Request) -> Response:
        asked = request.query_params
        search, page = asked.get("search", "")[:MAX_SEARCH].strip(), whole(asked, "page", 1, 1, 10**6)
        return site.page(request, "systems.html", **listed(site.hub, search, page))

    @app.get("/systems/{name:path}", include_in_schema=False, response_model=None)
    def page(request: Request, name: str) -> Response:
        address = address_of_hub(request, site.hub.settings)
        return site.page(request, "system.html", **view(site.hub, name, address))


def listed(hub: Hub, search: str, page: int) -> dict[str, Any]:
    """Returns what the template shows of all systems, by name."""
    words = search.casefold().split()
    found = [(one, account) for one, account in hub.store.systems() if all(word in _searched(one, account) for word in words)]
    n_pages = max(1, -(-len(found) // ROWS))
    page = min(page, n_pages)
    return {
        "title": "Systems",
        "search": search,
        "rows": found[(page - 1) * ROWS : page * ROWS],
        "n_found": len(found),
        "page": page,
        "n_pages": n_pages,
        "state": {"search": search},
    }


def _searched(one: System, account: str) -> str:
    return "\n".join((one.name, one.organisation, one.hub_repo, account, *one.training_data)).casefold()


def view(hub: Hub, name: str, address: str) -> dict[str, Any]:
    """Returns what the template shows of one system.

    Raises:
        UnknownNameError: there is no such system.
    """
    systems = {one.name: (one, account) for one, account in hub.store.systems()}
    if name not in systems:
        known = [one for one in systems if name.casefold() in one.casefold()][:10]
        raise UnknownNameError("system", name, known)
    system, account = systems[name]
    sent = hub.store.submissions(MAX_SUBMISSIONS, system=name)
    places = places_of(hub, system, sent, address)
    return {
        "title": system.name,
        "system": system,
        "account": account,
        "submissions": sent,
        "words": WORDS,
        "titles": {one.id: one.title for one in hub.benchmarks()},
        "places": places,
        "overlap_words": OVERLAPS,
        "evidence": evidence_in_words,
        "shown_clips": SHOWN_CLIPS,
        "is_looking": any(one.overlap is None for one in places),
        "exports": lambda place: {
            "bibtex": link(f"/api/v1/leaderboard/{place.board.benchmark.id}", {"format": "bibtex"}),
            "yaml": f"/api/v1/eval-results/{place.board.benchmark.id}/{quoted(system.name)}.yaml",
        },
    }


def places_of(hub: Hub, system: System, sent: list[Submission], address: str) -> list[Place]:
    """Returns where a system stands, by benchmark; of each its newest version."""
    found = []
    for benchmark_id in dict.fromkeys(one.benchmark for one in sent if one.state == "published"):
        try:
            board = hub.board(benchmark_id)
        except UnifiedAudioCapsError:  # of another version of this package, or taken away
            continue
        row = next((row for row in board.rows if row.system.name == system.name), None)
        if row is None:
            continue
        image = f"{address}/api/v1/badge/{benchmark_id}/{quoted(system.name)}.svg"
        badge = f"[![{_in_markdown(board.benchmark.title)}]({image})]({address}{link('/', {'benchmark': benchmark_id})})"
        found.append(Place(board, row, overlap_now(hub, board.benchmark, system), badge))
    return found


def _in_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "[]\\" else letter for letter in text)


def evidence_in_words(one: Evidence) -> str:
    """Returns what was found in one declared set."""
    if not one.compared and one.unknown:
        return f"Could not be looked at: {one.unknown}."
    met = [f"{n:,} test {'clip' if n == 1 else 'clips'}: {LEVEL_WORDS.get(level, level)}" for level, n in _met(one.clips)]
    nameless = f", {one.rows_without_key:,} of which name no clip" if one.rows_without_key else ""
    told = f"{one.rows:,} rows were looked at{nameless}"
    told += f". {'; '.join(met)}." if met else ". No test clip is in it."
    if one.untimed:
        told += f" Of {one.untimed:,} of them no time is known, so it may be the same sound."
    if one.is_same_dataset:
        told += " It is a training split of the benchmark's own dataset."
    if one.unknown:
        told += f" Not all could be looked at: {one.unknown}."
    return told


def _met(clips: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(level, n) for level, n in clips.items() if n]
