"""The board: one benchmark's ranked table, what its numbers mean, and the queue."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from ...leaderboard.boards.ranking import Board
from ...leaderboard.hub import Hub
from ..api.telling import Telling

REFRESH_S = 3
N_RECENT = 10
QUEUE_HEADERS = ["Submitted (UTC)", "System", "Benchmark", "State", "What happened"]


def render(hub: Hub) -> None:
    """Adds the components of the page to the surrounding blocks."""
    first = hub.benchmarks()[0]
    titles = {benchmark.id: benchmark.title for benchmark in hub.benchmarks()}
    telling = Telling(hub)

    def show(benchmark_id: str) -> tuple[int, str, gr.Dataframe, str, gr.Dataframe]:
        changed_at = hub.store.n_events()
        board = hub.board(benchmark_id)
        headers, rows = table(board)
        recent = [_queue_row(one, titles) for one in telling.submissions(hub.store.submissions(N_RECENT))]
        return (
            changed_at,
            _about(board),
            _frame(headers, rows),
            _signatures(board),
            gr.Dataframe(value=recent, visible=bool(recent)),
        )

    def refresh(benchmark_id: str, shown_at: int) -> tuple[Any, ...]:
        # an unchanged table is left alone, so that a filter or a scroll position survives
        return show(benchmark_id) if hub.store.n_events() != shown_at else tuple(gr.skip() for _ in outputs)

    def open_page(request: gr.Request) -> tuple[Any, ...]:
        asked = request.query_params.get("benchmark", "")
        benchmark_id = asked if asked in {benchmark.id for benchmark in hub.benchmarks()} else first.id
        return (benchmark_id, *show(benchmark_id))

    gr.Navbar(main_page_name="Board")
    gr.Markdown("# Audio captioning leaderboard")
    choice = gr.Dropdown(
        [(benchmark.title, benchmark.id) for benchmark in hub.benchmarks()],
        value=first.id,
        label="Benchmark",
        filterable=False,
        elem_id="benchmark",
    )
    about = gr.Markdown(elem_id="about")
    board_table = gr.Dataframe(
        interactive=False, wrap=False, pinned_columns=2, show_search="filter", max_height=700, elem_id="board"
    )
    with gr.Accordion("How each column is computed", open=False):
        signatures = gr.Markdown()
    queue = gr.Dataframe(label="Newest submissions", headers=QUEUE_HEADERS, interactive=False, wrap=True, elem_id="queue")

    shown_at = gr.State(-1)
    outputs = [shown_at, about, board_table, signatures, queue]
    page = gr.context.Context.root_block
    page.load(open_page, None, [choice, *outputs], show_progress="hidden")
    choice.input(
        show,
        choice,
        outputs,
        show_progress="hidden",
        js="(id) => { history.replaceState(null, '', '?benchmark=' + id); return id; }",
    )
    gr.Timer(REFRESH_S).tick(refresh, [choice, shown_at], outputs, show_progress="hidden")


def table(board: Board) -> tuple[list[str], list[list[object]]]:
    """Returns headers and cells of the board: scores × 100, the ranking metric first and with its components."""
    primary = board.ranked_by
    shown = [column for column in board.columns if column.metric in {column.name, primary}]
    shown.sort(key=lambda column: column.metric != primary)
    headers = ["Rank", "System", *(f"{column.title} ▼" if column.name == primary else column.title for column in shown)]
    rows: list[list[object]] = []
    for row in board.rows:
        cells = [round(100 * row.values[column.name], 2) if column.name in row.values else None for column in shown]
        rows.append([row.rank, row.system.name, *cells])
    return headers, rows


def _frame(headers: list[str], rows: list[list[object]]) -> gr.Dataframe:
    """Returns the table with two decimals everywhere, sortable as numbers."""
    display = [["–" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return gr.Dataframe(
        value={"headers": headers, "data": rows, "metadata": {"display_value": display}},
        datatype=["number", "str", *["number"] * (len(headers) - 2)],
        visible=bool(rows),
    )


def _about(board: Board) -> str:
    benchmark = board.benchmark
    text = (
        f"{benchmark.description} {benchmark.n_items:,} items, version {benchmark.version}, definition `{benchmark.digest}`. "
        f"Ranked by **{benchmark.primary_metric}**; all scores × 100, higher is better; systems with equal scores share a rank."
    )
    if not board.rows:
        text += (
            f"\n\n**No system has been scored yet.** Send a file on the [submit page](submit?benchmark={benchmark.id}) "
            f"or with `uac submit FILE --benchmark {benchmark.id} --system NAME`."
        )
    return text


def _signatures(board: Board) -> str:
    lines = ["Only numbers with equal signatures are comparable.", "", "| metric | digest | signature |", "|---|---|---|"]
    for column in board.columns:
        if column.name == column.metric:
            text = column.signature.replace("|", " · ")
            lines.append(f"| {column.name} | `{column.digest}` | `{text}` |")
    return "\n".join(lines)


def _queue_row(told: dict[str, Any], titles: dict[str, str]) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(told["created_at"]))
    title = titles.get(told["benchmark"], told["benchmark"])
    return [when, told["system"], title, told["state"], told["error"] or ""]
