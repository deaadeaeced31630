"""What a board shows and what leaves it: `uac board`, `export`, `overlap-report`, `import-results`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..dataset_scripts.errors import InputError, UnknownNameError
from .console import AsJson, Data, check_folders, listed, print_json, remark, say, table, write_file
from .hub_commands import Db, Files, open_hub

if TYPE_CHECKING:
    from ..leaderboard.boards.overlap_report import CleanScores, Overlap
    from ..leaderboard.boards.ranking import Board, BoardRow

FORMATS = ("csv", "parquet", "json", "latex", "bibtex", "eval-results", "badge")
ENDINGS = {".tex": "latex", ".bib": "bibtex", ".yaml": "eval-results", ".yml": "eval-results", ".svg": "badge"} | {
    f".{name}": name for name in FORMATS[:3]
}
OF_ONE_SYSTEM = ("eval-results", "badge")
SHOWN_IDS = 5

Id = Annotated[str, typer.Argument(metavar="BENCHMARK", help="Benchmark id; `uac benchmarks` lists them.")]
Scope = Annotated[str, typer.Option("--scope", metavar="GROUP", help="One group of items, such as a MECAT group.")]
RankedBy = Annotated[str | None, typer.Option("--ranked-by", metavar="METRIC", help="[default: the benchmark's metric]")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(board)
    app.command()(export)
    app.command("overlap-report")(overlap_report)
    app.command("import-results")(import_results)


# -- the board -------------------------------------------------------------------------------------------------------------------


def board(
    benchmark: Id,
    scope: Scope = "",
    ranked_by: RankedBy = None,
    as_json: AsJson = False,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Print the ranked table of a benchmark.

    RANK is the rank, and in parentheses the ranks that the data allow: systems whose ranges overlap may be in either order. The
    metric that ranks has half the width of its 95 % interval behind it. ATTEMPTS counts a system's submissions. TRAINED ON TEST
    compares the declared training data with the sets that are built here: test_items (with the number of test clips), train_split
    (of the same dataset), same_source, none, or unknown.

    Example: uac board audiocaps-test --ranked-by date
    """
    from ..leaderboard.boards.exports import board_json, ranks_shown
    from ..leaderboard.boards.overlap_report import levels

    hub = open_hub(db, data, files)
    found = hub.board(benchmark, scope=scope, ranked_by=ranked_by)
    overlaps = levels(hub, found)
    if as_json:
        answer = board_json(found)
        for row in answer["rows"]:
            overlap = overlaps[row["submission_id"]]
            row["overlap"] = overlap and overlap.to_json()
        print_json(answer)
        return
    one = found.benchmark
    say(f"{one.title}, version {one.version}, {one.n_items:,} items{f', {scope}' if scope else ''}, digest {one.digest}")
    if not found.rows:
        say(f"There is no system yet: uac submit FILE --benchmark {one.id} --system NAME")
        return
    names = list(dict.fromkeys([found.ranked_by, *(c.name for c in found.columns if c.name == c.metric), *_reported(found)]))
    titles = {column.name: column.title for column in found.columns}
    rows = [
        (
            ranks_shown(row) or "-",
            row.system.name,
            *(_cell(row, name, with_interval=name == found.ranked_by) for name in names),
            row.attempts,
            row.provenance,
            _level(overlaps[row.submission_id]),
        )
        for row in found.rows
    ]
    table(rows, ("RANK", "SYSTEM", *(titles.get(name, name) for name in names), "ATTEMPTS", "PROVENANCE", "TRAINED ON TEST"))
    if found.minimal_detectable_difference is not None:
        say(f"A typical pair must differ by {found.minimal_detectable_difference:.3f} to be told apart.")
    for note in found.notes:
        say(note)
    say("signatures: " + ", ".join(f"{c.title} {c.digest}" for c in found.columns if c.name == c.metric))


def _reported(found: Board) -> list[str]:
    """Returns the metrics that only reports have."""
    known = {column.name for column in found.columns}
    there = {name for row in found.rows for name in row.values} - known
    return [metric for metric in found.benchmark.metrics if metric in there]


def _cell(row: BoardRow, name: str, with_interval: bool) -> str:
    if name not in row.values:
        return "-"
    low, high = row.intervals.get(name, (None, None))
    half = "" if not with_interval or low is None or high is None else f" ± {(high - low) / 2:.4f}"
    return f"{row.values[name]:.4f}{half}"


def _level(found: Overlap | None) -> str:
    if found is None:
        return "-"
    return f"{found.level} ({found.n_clips:,})" if found.n_clips else found.level


# -- exports ---------------------------------------------------------------------------------------------------------------------


def export(
    benchmark: Id,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="F", help=f"{', '.join(FORMATS)}. [default: what --out ends in, else csv]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File to write. [default: print it]")] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="NAME", help="Of eval-results and badge: which system.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", metavar="a,b,c", help="Of latex: which scores. [default: the metrics]")
    ] = None,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Of bibtex and eval-results: the board's page.")] = "",
    scope: Scope = "",
    ranked_by: RankedBy = None,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Write a board as csv, parquet, json, LaTeX (booktabs) or BibTeX; or one system's badge (SVG) or .eval_results yaml.

    csv, parquet and json hold native ranges and signatures; LaTeX and badges show scores times 100. The yaml goes into the folder
    .eval_results of the model's repository on the Hub; `uac import-results` reads it.

    Example: uac export audiocaps-test --out table.tex --columns cider_d,date

    Example: uac export audiocaps-test --format eval-results --system "My system" --out .eval_results/audiocaps-test.yaml
    """
    from ..leaderboard.boards import exports
    from ..leaderboard.boards.eval_results import eval_results_yaml

    chosen = _format(format_, out)
    if chosen == "parquet" and out is None:
        raise InputError("parquet is no text to print; name a file with --out FILE.parquet.")
    if chosen in OF_ONE_SYSTEM and system is None:
        raise InputError(f"{chosen} is about one system; name it with --system NAME. `uac board {benchmark}` lists them.")
    if chosen not in OF_ONE_SYSTEM and system is not None:
        raise InputError(f"{chosen} holds the whole board; --system is for {' and '.join(OF_ONE_SYSTEM)}.")
    if chosen != "latex" and columns:
        raise InputError(f"{chosen} holds all columns; --columns is for latex.")
    check_folders(out)
    found = open_hub(db, data, files).board(benchmark, scope=scope, ranked_by=ranked_by)
    makers: Mapping[str, Callable[[], str | bytes]] = {
        "csv": lambda: exports.board_csv(found),
        "parquet": lambda: exports.board_parquet(found),
        "json": lambda: json.dumps(exports.board_json(found), indent=2, ensure_ascii=False) + "\n",
        "latex": lambda: exports.board_latex(found, listed(columns) or None),
        "bibtex": lambda: exports.board_bibtex(found, on=datetime.now(UTC).date(), url=url),
        "eval-results": lambda: eval_results_yaml(found, _row(found, system), source_url=url),
        "badge": lambda: exports.badge_svg(found, _row(found, system)),
    }
    made = makers[chosen]()
    content = made if isinstance(made, bytes) else made.encode()
    if out is None:
        say(content.decode().removesuffix("\n"))
    else:
        write_file(out, content)
        say(f"{out}: {len(found.rows):,} systems" if system is None else f"{out}: {system}")


def _format(named: str | None, out: Path | None) -> str:
    chosen = named or (ENDINGS.get(out.suffix.lower()) if out is not None else "csv")
    if chosen is None:
        raise InputError(f"{out} ends in none of {', '.join(ENDINGS)}; name the format with --format.")
    if chosen not in FORMATS:
        raise UnknownNameError("format", chosen, FORMATS)
    return chosen


def _row(found: Board, system: str | None) -> BoardRow:
    rows = {row.system.name: row for row in found.rows}
    if system not in rows:
        raise UnknownNameError("system on this board", str(system), rows)
    return rows[system]


# -- overlap ---------------------------------------------------------------------------------------------------------------------


def overlap_report(
    benchmark: Id,
    system: Annotated[
        list[str] | None, typer.Option("--system", metavar="NAME", help="Compare only this system; may be given again.")
    ] = None,
    scope: Scope = "",
    as_json: AsJson = False,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Print which systems were trained on clips of a benchmark, and all systems' means over the clips that none was trained on.

    What systems declare (uac submit --training-data) is compared with the sets that are built here, by recording and time. Means
    are over the same clips for all systems; what every clip got stays as it was computed among all clips. For systems whose
    training data is unknown nothing is taken out.

    Example: uac overlap-report audiocaps-test --system A --system B
    """
    from ..leaderboard.boards.overlap_report import clean_scores, levels, mean_metrics

    hub = open_hub(db, data, files)
    found = hub.board(benchmark, scope=scope)
    chosen = [_row(found, name) for name in system] if system else list(found.rows)
    overlaps = levels(hub, found)
    metrics = [metric for metric in mean_metrics(found.benchmark) if any(metric in row.values for row in chosen)]
    among = {metric: _comparable(chosen, metric) for metric in metrics}
    is_told = not found.benchmark.is_private
    means = {metric: clean_scores(hub, found, metric, ids) for metric, ids in among.items() if ids} if is_told else {}
    if as_json:
        print_json(
            {
                "benchmark": benchmark,
                "version": found.benchmark.version,
                "scope": scope,
                "systems": [_system_json(row, overlaps[row.submission_id]) for row in chosen],
                "clean_scores": [one.to_json() for one in means.values()],
            }
        )
        return
    _print_levels(chosen, overlaps)
    if not is_told:
        remark(f"The references of {found.benchmark.id} are private: no ids, and no means over some of its clips.")
    _print_means(chosen, list(means.values()), found)


def _comparable(rows: list[BoardRow], metric: str) -> list[str]:
    return [row.submission_id for row in rows if row.provenance == "verified" and metric in row.values]


def _system_json(row: BoardRow, found: Overlap | None) -> dict[str, object]:
    about = {"system": row.system.name, "submission_id": row.submission_id, "training_data": list(row.system.training_data)}
    return {**about, "overlap": found and found.to_json()}


def _print_levels(rows: list[BoardRow], overlaps: Mapping[str, Overlap | None]) -> None:
    lines = []
    for row in rows:
        found = overlaps[row.submission_id]
        lines.append((row.system.name, ", ".join(row.system.training_data) or "-", _level(found)))
    table(lines, ("SYSTEM", "DECLARED", "TRAINED ON TEST"))
    for row in rows:
        found = overlaps[row.submission_id]
        for one in found.evidence if found else ():
            if told := _evidence(one.compared, one.clips, one.unknown):
                say(f"{row.system.name}: {told}")
        if found and found.item_ids:
            more = f" and {len(found.item_ids) - SHOWN_IDS:,} more" if len(found.item_ids) > SHOWN_IDS else ""
            say(f"{row.system.name}: {', '.join(found.item_ids[:SHOWN_IDS])}{more}")


def _evidence(compared: str, clips: Mapping[str, int], unknown: str) -> str:
    met = ", ".join(f"{n:,} {level}" for level, n in clips.items() if n)
    return "; ".join(part for part in (f"{compared} holds {met}" if met else "", unknown) if part)


def _print_means(rows: list[BoardRow], means: list[CleanScores], found: Board) -> None:
    if not means:
        return
    say()
    for n_clean, n_clips in dict.fromkeys((one.n_clean, one.n_clips) for one in means):
        say(f"{n_clean:,} of {n_clips:,} clips are clean: none of the compared systems is known to have been trained on them.")
    one = means[0]
    titles = {column.name: column.title for column in found.columns}
    lines = [
        (
            row.system.name,
            *(cell for each in means for cell in (_cell(row, each.metric, False), _number(each.values.get(row.submission_id)))),
            one.tainted_by.get(row.submission_id, 0),
        )
        for row in rows
        if row.provenance == "verified"
    ]
    header = [title for each in means for title in (titles[each.metric], f"{titles[each.metric]} CLEAN")]
    table(lines, ("SYSTEM", *header, "CLIPS TRAINED ON"))
    if one.unknown:
        say(f"of {len(one.unknown):,} {'system' if len(one.unknown) == 1 else 'systems'} the training data is not all known.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


# -- reports in ------------------------------------------------------------------------------------------------------------------


def import_results(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A yaml file of a model's .eval_results, or the folder.")],
    system: Annotated[str, typer.Option("--system", metavar="NAME", help="Name of the system on the board.")],
    hub_repo: Annotated[str, typer.Option("--hub-repo", metavar="OWNER/NAME", help="Its model on the Hub.")] = "",
    training_data: Annotated[
        list[str] | None, typer.Option("--training-data", metavar="a,b,c", help="Our dataset names, or none.")
    ] = None,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Take in scores that a model's authors report in the Hub's .eval_results format.

    They stand on the board as self_reported and are never ranked. Entries about other datasets are left out; those about a
    benchmark here have a task_id of benchmark, version and metric (audiocaps-test_v1_cider_d) and a value in native range. The
    same file again changes nothing; a submission of the system that is scored here supersedes them.

    Example: uac import-results my-model/.eval_results --system "My system" --hub-repo my-lab/my-model
    """
    from ..leaderboard.submission import System

    about = System(system.strip(), hub_repo=hub_repo, training_data=tuple(listed(training_data)))
    for submission, is_new in open_hub(db, data, files).import_eval_results(path, about):
        where = f"{submission.benchmark} version {submission.benchmark_version}"
        say(f"{'reported' if is_new else 'already there'}: {where}, {submission.state}: {submission.id}")
