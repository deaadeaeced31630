"""The hub for programs that speak MCP (Model Context Protocol): the read-only part of the API as tools, at `/mcp`.

Every request is a world of its own: no session is kept, nothing is pushed, and any process of a hub may answer. The tools see
what a visitor sees who is not signed in, through the same functions as the routes, so private references stay where they are.
What the gate in front of the routes does (from which site a browser comes, under which name the hub is asked, how often) holds
here, too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

from pydantic import Field
from starlette.responses import Response
from starlette.routing import Route

from ..dataset_scripts.errors import InputError, UnknownNameError
from ..evaluators.metric import METRICS, package_version
from ..evaluators.pairs import CaptionPairs
from ..evaluators.score import describe_metrics, score
from ..leaderboard.boards import exports
from ..leaderboard.boards.published import benchmark_id_of, reported_results
from ..leaderboard.boards.ranking import Board
from ..leaderboard.hub import Hub
from .api.answers import dumps
from .api.errors import error_answer, machine_folders
from .api.telling import Telling

if TYPE_CHECKING:
    from fastapi import FastAPI
    from mcp.server.mcpserver import MCPServer
    from starlette.types import Receive, Scope, Send

PATH = "/mcp"
MAX_BODY_BYTES = 256 * 2**10
MAX_ROWS = 100
MAX_REFERENCES = 20
MAX_CAPTION_CHARACTERS = 1_000
# metrics of words only that mean something for one caption alone: no model is loaded for a stranger
CHEAP = ("bleu", "rouge_l", "wer", "length")
INSTRUCTIONS = (
    "Leaderboards of audio captioning systems. Start with list_benchmarks, then leaderboard. Scores are in their native range "
    "(papers often print them times 100); `low` and `high` of a row are the ranks that the data allow at 95 %. Scores with "
    "different signatures are never comparable. Nothing can be changed here."
)

P = ParamSpec("P")
Answer = dict[str, Any]
BenchmarkId = Annotated[str, Field(max_length=100, description="Id, as list_benchmarks tells it.")]
Entry = Annotated[str, Field(max_length=200, description="Name of a system on the board, or id of its submission.")]
MetricName = Annotated[str | None, Field(max_length=100, description="A metric; the one that ranks by default.")]
Limit = Annotated[int, Field(ge=1, le=MAX_ROWS, description="How many rows at most.")]
Start = Annotated[int, Field(ge=0, le=10**9, description="How many rows to leave out first.")]
Caption = Annotated[str, Field(max_length=MAX_CAPTION_CHARACTERS)]


def add_mcp(app: FastAPI, hub: Hub) -> None:
    """Adds the MCP endpoint to an application.

    It needs no lifespan of the application, so it answers under a server and under a test client alike.

    Args:
        app: gets it; its gate and its handlers of errors stand in front (`api.add_routes`).
        hub: answers.
    """
    app.router.routes.append(Route(PATH, endpoint=_Endpoint(hub), include_in_schema=False))


class _Endpoint:
    """The ASGI application at `/mcp`."""

    def __init__(self, hub: Hub) -> None:
        self._server = make_server(hub)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one message of one client."""
        from mcp.server.transport_security import TransportSecuritySettings

        if scope["method"] != "POST":  # streams from the hub to a client, and sessions to end: there are none
            await Response("POST only: this hub keeps no sessions.\n", 405, {"Allow": "POST"})(scope, receive, send)
            return
        # a manager serves until it is closed and cannot be opened again; one for each request needs nobody to open it
        self._server.streamable_http_app(
            json_response=True,
            stateless_http=True,
            max_request_body_size=MAX_BODY_BYTES,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate has looked
        )
        manager = self._server.session_manager
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def make_server(hub: Hub) -> MCPServer[Any]:
    """Returns the tools over a hub.

    Args:
        hub: answers.
    """
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)  # MCPServer would set logging up for the whole process where nobody has
    try:
        server: MCPServer[Any] = MCPServer(
            "unified-audiocaps", instructions=INSTRUCTIONS, version=package_version(), subscriptions=False
        )
    finally:
        root.removeHandler(nothing)
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for tool in (*_board_tools(hub), *_submission_tools(hub), *_metric_tools()):
        server.add_tool(_told(tool, hub), annotations=reads)
    return server


def _told(tool: Callable[P, Answer], hub: Hub) -> Callable[P, Answer]:
    """Returns a tool whose errors say what the API would say, and nothing of this machine."""
    folders = machine_folders(hub)

    @wraps(tool)
    def told(*arguments: P.args, **named: P.kwargs) -> Answer:
        from mcp.server.mcpserver.exceptions import ToolError

        try:
            answer: Answer = json.loads(dumps(tool(*arguments, **named)))
        except Exception as error:
            message = json.loads(bytes(error_answer(error, folders).body))["message"]
            raise ToolError(message) from None
        return answer

    return told


def _board_tools(hub: Hub) -> Sequence[Callable[..., Answer]]:
    def list_benchmarks() -> Answer:
        """List the benchmarks of this hub: what is measured, over how many items, by which metrics, which one ranks."""
        return {"benchmarks": [one.describe() for one in hub.benchmarks()]}

    def leaderboard(
        benchmark: BenchmarkId,
        scope: Annotated[str, Field(max_length=100, description="A group of items; all of them by default.")] = "",
        ranked_by: MetricName = None,
        start: Start = 0,
        limit: Limit = 20,
    ) -> Answer:
        """Return the ranked table of a benchmark: systems with scores, 95 % intervals, rank ranges and metric signatures."""
        board = hub.board(benchmark, scope=scope, ranked_by=ranked_by)
        return exports.board_json(board, start, start + limit)

    def system(name: Annotated[str, Field(max_length=200, description="Name of a system.")], limit: Limit = 20) -> Answer:
        """Return what its owner says about a system (size, licence, training data, code, paper), and its submissions."""
        found = {one.name: (one, account) for one, account in hub.store.systems()}
        if name not in found:
            raise UnknownNameError("system", name, list(found)[:MAX_ROWS], "the tool leaderboard")
        about, account = found[name]
        sent = Telling(hub).submissions(hub.store.submissions(limit, system=name))
        return {"account": account, "system": about, "submissions": sent}

    def compare(benchmark: BenchmarkId, first: Entry, second: Entry, metric: MetricName = None) -> Answer:
        """Compare two systems on the same resamples of the clips: difference, its 95 % interval, p-value of no difference."""
        board = hub.board(benchmark, ranked_by=metric)
        a, b = _submission_of(board, first), _submission_of(board, second)
        return {"benchmark": benchmark, "first": a, "second": b, **asdict(hub.compare(benchmark, a, b, metric))}

    def published_results(
        benchmark: Annotated[str | None, Field(max_length=100, description="Only numbers on this benchmark of the hub.")] = None,
        system: Annotated[str | None, Field(max_length=200, description="Only systems whose name holds this.")] = None,
        start: Start = 0,
        limit: Limit = 50,
    ) -> Answer:
        """List numbers that papers print, each with flags where it contradicts the numbers around it; never ranked here."""
        found = [
            one.describe()
            for one in reported_results()
            if (benchmark is None or benchmark_id_of(one) == benchmark)
            and (system is None or system.casefold() in one.system.casefold())
        ]
        return {"n_results": len(found), "results": found[start : start + limit]}

    return list_benchmarks, leaderboard, system, compare, published_results


def _submission_tools(hub: Hub) -> Sequence[Callable[..., Answer]]:
    telling = Telling(hub)

    def submission(submission_id: Annotated[str, Field(max_length=100)]) -> Answer:
        """Return the state of a submission, its progress and place in the queue, and what happened to it."""
        about = telling.submission(hub.store.get(submission_id))
        events = telling.events(hub.store.events(submission_id))[-MAX_ROWS:]
        return {**about, "queue_place": hub.store.n_ahead(submission_id), "events": events}

    def sample_scores(
        benchmark: BenchmarkId,
        entry: Entry,
        metric: MetricName = None,
        is_ascending: Annotated[bool, Field(description="The worst clips first; false for the best ones.")] = True,
        start: Start = 0,
        limit: Limit = 20,
    ) -> Answer:
        """Return what single clips got from a metric, with their references; not where references are private."""
        board = hub.board(benchmark, ranked_by=metric)
        found = hub.item_scores(_submission_of(board, entry))  # refuses private benchmarks
        if board.ranked_by not in found.column_names:
            raise UnknownNameError("metric with scores of single clips", board.ranked_by, found.column_names)
        ordered = found.sort_by([(board.ranked_by, "ascending" if is_ascending else "descending"), ("id", "ascending")])
        references = hub.items(board.benchmark).references
        rows = ordered.slice(start, limit).select(["group", "id", board.ranked_by]).to_pylist()
        rows = [{**row, "references": list(references.get(row["id"], ()))[:MAX_REFERENCES]} for row in rows]
        return {"metric": board.ranked_by, "n_rows": found.num_rows, "rows": rows}

    return submission, sample_scores


def _metric_tools() -> Sequence[Callable[..., Answer]]:
    def list_metrics() -> Answer:
        """List the metrics: definition, range, direction, what they need, where they are from."""
        return {"metrics": describe_metrics(), "of_score_caption": list(CHEAP)}

    def score_caption(
        caption: Caption,
        references: Annotated[list[Caption], Field(min_length=1, max_length=MAX_REFERENCES)],
        metrics: Annotated[list[str] | None, Field(max_length=len(CHEAP), description="All that can be had by default.")] = None,
    ) -> Answer:
        """Score one caption against references by metrics of words, with signatures; whole sets go to a benchmark."""
        chosen = metrics or list(CHEAP)
        for name in chosen:
            if name not in CHEAP:
                METRICS.get(name)  # one that is none is told as such
                raise InputError(f"{name} needs a model or a whole set of captions; expected {', '.join(CHEAP)}.")
        found = score(CaptionPairs.in_order([caption], [references]), chosen)
        about = {one.metric: {"score": one.score, "components": one.components, "signature": one.signature.text} for one in found}
        return {"caption": caption, "scores": about}

    return list_metrics, score_caption


def _submission_of(board: Board, entry: str) -> str:
    """Returns the id of the submission on a board that a system's name or the id itself stands for."""
    for row in board.rows:
        if entry in {row.system.name, row.submission_id}:
            return row.submission_id
    raise UnknownNameError("system on this board", entry, [row.system.name for row in board.rows][:MAX_ROWS])
