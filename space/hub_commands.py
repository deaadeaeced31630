"""The hub: `uac benchmarks`, `benchmark create`, `validate`, `submit`, `work`, `serve`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .console import AsJson, Data, listed, print_json, remark, say, table

if TYPE_CHECKING:
    from ..leaderboard.client import Client, Report
    from ..leaderboard.hub import Hub
    from ..leaderboard.intake.validation import ValidationReport
    from ..leaderboard.worker import Place

Db = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", help="sqlite:///path/to/hub.db or postgresql://user@host/name. [default: under UAC_HOME]"
    ),
]
Files = Annotated[
    Path | None, typer.Option("--files", metavar="DIR", help="Folder of the hub's files. [default: beside a SQLite database]")
]
HubUrl = Annotated[
    str | None, typer.Option("--hub", metavar="URL", help="A hub somewhere else, such as https://hub.example.org.")
]
Token = Annotated[
    str | None, typer.Option("--token", help="Your Hugging Face token, for --hub; better set UAC_TOKEN, which nobody else sees.")
]
BenchmarkId = Annotated[str, typer.Option("--benchmark", help="Benchmark id; `uac benchmarks` lists them.")]
Predictions = Annotated[
    Path,
    typer.Argument(
        help="Predictions: .jsonl, .csv (both also .gz) or .parquet with id and caption; `uac benchmarks` tells more."
    ),
]

benchmark_app = typer.Typer(help="Benchmarks of your own.", no_args_is_help=True, rich_markup_mode=None)


def open_hub(db: str | None, data: Path | None, files: Path | None) -> Hub:
    """Returns the hub that options name."""
    from ..leaderboard.hub import Hub

    return Hub.open(db, data, files)


def client(url: str, token: str | None) -> Client:
    """Returns the hub at an address."""
    from ..leaderboard.client import Client

    return Client(url, token or Settings.from_environment().token or None)


def place(db: str | None, data: Path | None, files: Path | None) -> Place:
    """Returns where the hub is that options name."""
    from ..leaderboard.worker import Place

    settings = Settings.from_environment()
    return Place(db or settings.db_url, data or settings.data, files)


def benchmarks(as_json: AsJson = False, db: Db = None, data: Data = None, files: Files = None) -> None:
    """List the benchmarks: those that come with the package, and those of the hub."""
    found = open_hub(db, data, files).benchmarks()
    if as_json:
        print_json([benchmark.describe() for benchmark in found])
        return
    rows = [
        (b.id, b.version, f"{b.n_items:,}" if b.is_frozen else "not open", b.column, b.primary_metric, b.references, b.title)
        for b in found
    ]
    table(rows, ("ID", "VERSION", "ITEMS", "PREDICT", "RANKED BY", "REFERENCES", "TITLE"))


@benchmark_app.command("create")
def create(
    benchmark_id: Annotated[str, typer.Argument(metavar="ID", help="Small letters, digits and hyphens.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="CONFIG/SPLIT", help="Built set that holds the references.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--references", metavar="FILE", help="Instead, jsonl with id and references (a list of texts).")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="What the board calls it.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="One sentence for people who choose.")] = None,
    style: Annotated[str | None, typer.Option("--style", help="Caption style of the references. [default: default]")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metrics", metavar="a,b,c", help="In the order of the columns.")] = None,
    primary: Annotated[str | None, typer.Option("--primary", help="Metric that ranks. [default: cider_d]")] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Text encoder of the embedding metrics. [default: minilm]")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Nobody sees the references, nor what single items got; scores are rounded.")
    ] = False,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Open a benchmark of your own: its items are frozen in the hub's files, and never change.

    The same command again changes nothing; other items or metrics under the same id are a new version. adc and acc, whose pairs
    were never released, are opened like this from pairs that you built.

    Example: uac benchmark create my-test --references test.jsonl --metrics cider_d,date --primary date
    """
    given: dict[str, Any] = {
        "title": title,
        "description": description,
        "style": style,
        "metrics": tuple(listed(metrics)) or None,
        "primary_metric": primary,
        "encoder": encoder,
        "references": "private" if private else None,
    }
    hub = open_hub(db, data, files)
    opened = hub.create_benchmark(benchmark_id, source=source or "", references_file=references, **given)
    say(
        f"{opened.id} version {opened.version}: {opened.n_items:,} items, digest {opened.digest}, "
        f"ranked by {opened.primary_metric}"
    )
    say(f"  uac submit FILE --benchmark {opened.id} --system NAME")


def print_report(report: ValidationReport | Report) -> None:
    """Prints warnings, and raises one error that lists all problems."""
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    report.raise_if_invalid()


def validate(
    file: Predictions,
    benchmark: BenchmarkId,
    hub: HubUrl = None,
    token: Token = None,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Show everything that keeps a predictions file from being submitted, with line numbers."""
    report: ValidationReport | Report
    if hub is not None:
        report = client(hub, token).validate(file, benchmark)
    else:
        report = open_hub(db, data, files).validate(file, benchmark)
    print_report(report)
    say(f"{file} is complete and valid for {benchmark}: {report.n_rows:,} rows.")


def submit(
    file: Predictions,
    benchmark: BenchmarkId,
    system: Annotated[str, typer.Option("--system", help="Name of the system on the board.")],
    organisation: Annotated[str, typer.Option("--organisation", help="Who made it.")] = "",
    hub_repo: Annotated[str, typer.Option("--hub-repo", metavar="OWNER/NAME", help="Its model on the Hub.")] = "",
    parameters: Annotated[int | None, typer.Option("--parameters", help="How many it has.")] = None,
    open_weights: Annotated[
        bool | None, typer.Option("--open-weights/--closed-weights", help="Whether anybody can have them.")
    ] = None,
    license_text: Annotated[str, typer.Option("--license", help="Under which terms.")] = "",
    paper_url: Annotated[str, typer.Option("--paper", metavar="URL", help="Where it is described.")] = "",
    code_url: Annotated[str, typer.Option("--code", metavar="URL", help="Where its code is.")] = "",
    training_data: Annotated[
        list[str] | None,
        typer.Option("--training-data", metavar="a,b,c", help="Our dataset names (wavcaps, clotho/development), or none."),
    ] = None,
    hub: HubUrl = None,
    token: Token = None,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Queue a predictions file for scoring; a worker (`uac work`, or the one of `uac serve`) publishes it.

    What is said about the system is shown on the board. The same file again is the same submission.

    Example: uac submit captions.jsonl --benchmark sample --system "My system" --training-data wavcaps,clotho
    """
    from ..leaderboard.submission import System

    about = System(
        system.strip(),
        organisation,
        hub_repo,
        parameters,
        open_weights,
        license_text,
        paper_url,
        code_url,
        tuple(listed(training_data)),
    )
    report: ValidationReport | Report | None
    if hub is not None:
        submission, is_new, report = client(hub, token).send(file, benchmark, about)
    else:
        submission, is_new, report = open_hub(db, data, files).submit(file, benchmark, about)
    if report is not None:
        print_report(report)
    say(f"{'queued' if is_new else 'already there, ' + submission.state}: {submission.id}")
    if submission.error:
        say(f"  {submission.error}")


def work(
    once: Annotated[bool, typer.Option("--once", help="End when no submission is waiting or being scored.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that score.")] = 1,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Score queued submissions. Several workers may run on one database; a worker that dies loses nothing.

    With --workers N, N of them run and are started again when they die, until Ctrl-C or SIGTERM.
    """
    from ..leaderboard.storage.mirror import mirroring
    from ..leaderboard.worker import supervise
    from ..leaderboard.worker import work as run_worker

    if once and workers > 1:
        raise InputError("--once ends when the queue is empty, --workers keeps workers running; choose one of them.")
    logging.getLogger("unified_audiocaps").setLevel(logging.INFO)
    where = place(db, data, files)
    with mirroring(where):
        if workers > 1:
            supervise(where, workers)
            return
        n_published = run_worker(where, once)
    say(f"published {n_published} {'submission' if n_published == 1 else 'submissions'}.")


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 7860,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Workers beside the pages.")] = 1,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Serve the leaderboard at http://HOST:PORT, with a worker beside it."""
    from ..leaderboard.storage.mirror import mirroring
    from ..leaderboard.worker import worker_processes
    from .app import serve as serve_app

    where = place(db, data, files)
    hub = where.open()
    if hub.settings.sign_in == "none" and host not in {"127.0.0.1", "::1", "localhost"}:
        remark(
            f"warning: whoever reaches {host} owns this hub, as nobody signs in; UAC_SIGN_IN=hub asks people who they are. "
            "Pages that are opened under a name change nothing unless UAC_HOSTS lists it."
        )
    with mirroring(where), worker_processes(where, workers):
        serve_app(hub, host, port)


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    for command in (benchmarks, validate, submit, work, serve):
        app.command()(command)
    app.add_typer(benchmark_app, name="benchmark")
