"""Submit: check a predictions file, see every problem at once, then send it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ...dataset_scripts.errors import InputError, Problem, RightsError, UnifiedAudioCapsError
from ...leaderboard.hub import Hub
from ..api.errors import machine_folders, without_folders
from ..identity import Identity

PROBLEM_WIDTHS = ["70px", "150px", "220px", "380px", "300px"]
PROBLEM_HEADERS = ["Line", "Code", "Id", "Problem", "What to do"]


def render(hub: Hub, identity: Identity) -> None:
    """Adds the components of the page to the surrounding blocks.

    Args:
        hub: takes the files.
        identity: tells who sends them; a page that shows a button proves nothing.
    """
    first, folders = hub.benchmarks()[0], machine_folders(hub)

    def check(file: str | None, benchmark_id: str) -> tuple[str, gr.Dataframe]:
        if not file:
            return "**Choose a file first.**", _problems([])
        try:
            report = hub.validate(Path(file), benchmark_id)
        except UnifiedAudioCapsError as error:
            return f"**The file cannot be read.**\n\n```\n{without_folders(str(error), folders)}\n```", _problems([])
        findings = [*report.problems, *report.warnings]
        if not report.is_valid:
            hidden = report.n_problems - len(report.problems)
            more = f" The first {len(report.problems):,} are shown." if hidden else ""
            return f"**{report.n_problems:,} problems in {report.n_rows:,} rows.**{more}", _problems(findings)
        return f"**The file is complete and valid:** {report.n_rows:,} rows.", _problems(findings)

    def send(file: str | None, benchmark_id: str, system: str, request: gr.Request) -> tuple[str, gr.Dataframe]:
        if not file:
            return "**Choose a file first.**", _problems([])
        try:
            actor = identity.actor_of(request.request)
            if actor is None:
                raise RightsError("only people who are signed in may submit here.")
            submission, is_new, report = hub.submit(Path(file), benchmark_id, system or "", actor=actor)
            if report is not None:
                report.raise_if_invalid()
        except InputError as error:
            return f"**Not submitted.** {error.headline}", _problems(list(error.problems))
        except UnifiedAudioCapsError as error:
            return f"**Not submitted.** {without_folders(str(error), folders)}", _problems([])
        verdict = "Queued" if is_new else f"These bytes were submitted before and are {submission.state}"
        link = f"[board](./?benchmark={benchmark_id})"
        return f"**{verdict}:** submission `{submission.id}`. It appears on the {link} when it is scored.", _problems([])

    def open_page(request: gr.Request) -> str:
        asked: str = request.query_params.get("benchmark", "")
        return asked if asked in {benchmark.id for benchmark in hub.benchmarks()} else first.id

    gr.Navbar(main_page_name="Board")
    gr.Markdown(
        "# Submit predictions\n"
        'One caption for every clip of the benchmark: jsonl rows `{"id": ..., "caption": ...}` or a csv with those columns. '
        "Ids are the dataset's `id`, its upstream key or its file name."
    )
    with gr.Row():
        benchmark = gr.Dropdown([(b.title, b.id) for b in hub.benchmarks()], value=first.id, label="Benchmark", filterable=False)
        system = gr.Textbox(label="System", placeholder="name shown on the board", max_length=200, elem_id="system")
    file = gr.File(label="Predictions (.jsonl, .jsonl.gz, .csv)", file_types=[".jsonl", ".gz", ".csv"], elem_id="file")
    with gr.Row():
        check_button = gr.Button("Check", elem_id="check")
        send_button = gr.Button("Submit", variant="primary", elem_id="send")
    verdict = gr.Markdown(elem_id="verdict")
    problems = gr.Dataframe(
        headers=PROBLEM_HEADERS, column_widths=PROBLEM_WIDTHS, interactive=False, wrap=True, visible=False, elem_id="problems"
    )

    gr.context.Context.root_block.load(open_page, None, benchmark, show_progress="hidden")
    check_button.click(check, [file, benchmark], [verdict, problems])
    send_button.click(send, [file, benchmark, system], [verdict, problems])


def _problems(problems: list[Problem]) -> gr.Dataframe:
    rows = [[p.line if p.line is not None else "", p.code, p.id or "", p.message, p.hint] for p in problems]
    return gr.Dataframe(value=rows, headers=PROBLEM_HEADERS, visible=bool(rows))
