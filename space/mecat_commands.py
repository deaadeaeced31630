"""`uac mecat`: the two benchmarks of MECAT, group by group, with their overall scores."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .console import Data, Device, JsonFile, check_folders, check_table_name, remark, say, table, write_columns, write_json
from .score_commands import BatchTokens, Checker, Encoder, Level, Precision, Resamples, Seed, enclosed, level_title, resampling

if TYPE_CHECKING:
    import pyarrow as pa

    from ..evaluators.tasks.groups import GroupedBenchmark, GroupReport

mecat_app = typer.Typer(help="Score submissions to MECAT's benchmarks.", no_args_is_help=True, rich_markup_mode=None)

PerItem = Annotated[
    Path | None, typer.Option("--per-item", metavar="FILE", help="Write one row per item and group (.csv or .parquet).")
]
Interval = Annotated[bool, typer.Option("--interval", help="Add the confidence interval of each group's score.")]
Every = Annotated[
    int,
    typer.Option("--every", metavar="N", min=1, help="Only every N-th item of each group, to try things."),
]


@mecat_app.command("caption")
def caption(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="A folder with a file per subtask (long, short, speech, music, sound, environment; long.csv, long_caption.csv "
            "or .jsonl), or one file for all six: id and caption, MECAT's `key,text` csv, or {key: text} jsonl."
        ),
    ],
    encoder: Encoder = None,
    checker: Checker = None,
    precision: Precision = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    interval: Interval = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    every: Every = 1,
    data: Data = None,
    json_file: JsonFile = None,
    per_item: PerItem = None,
) -> None:
    """Score captions on MECAT's nine groups by DATE and FENSE, and print score_caption.

    Without --checker there is no FENSE: SBERT-sim stands in its place, and DATE has no penalty for errors. Published values use
    --encoder sentence-transformers/paraphrase-TinyBERT-L6-v2 --checker echecker_clotho_audiocaps_base.

    Example: uac build mecat, then uac mecat caption my-captions/
    """
    from ..evaluators.tasks import mecat

    benchmark = mecat.captions(_rows(data, mecat.CAPTION_COLUMNS)).every(every)
    chosen = {"encoder": encoder, "checker": checker, "precision": precision, "device": device, "batch_tokens": batch_tokens}
    plan = (interval, level, resamples, seed)
    _evaluate(benchmark, _caption_files(predictions, benchmark.subtasks), "caption", chosen, plan, json_file, per_item)


@mecat_app.command("qa")
def qa(
    predictions: Annotated[
        Path, typer.Argument(help="Answers: id and answer, MECAT's `key,text` csv, or {key: text} jsonl; an id is a question's.")
    ],
    encoder: Encoder = None,
    checker: Checker = None,
    precision: Precision = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    interval: Interval = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    every: Every = 1,
    data: Data = None,
    json_file: JsonFile = None,
    per_item: PerItem = None,
) -> None:
    """Score answers on MECAT's six categories by DATE and FENSE, per difficulty too, and print score_qa.

    Example: uac build mecat, then uac mecat qa my-answers.jsonl
    """
    from ..evaluators.tasks import mecat

    benchmark = mecat.answers(_rows(data, mecat.QUESTION_COLUMNS)).every(every)
    chosen = {"encoder": encoder, "checker": checker, "precision": precision, "device": device, "batch_tokens": batch_tokens}
    _evaluate(benchmark, {"qa": predictions}, "answer", chosen, (interval, level, resamples, seed), json_file, per_item)


def _rows(data: Path | None, columns: tuple[str, ...]) -> pa.Table:
    from ..dataset_scripts.built import built_set
    from ..evaluators.tasks.mecat import SET

    return built_set(SET, data or Settings.from_environment().data).table(columns)


def _caption_files(path: Path, subtasks: tuple[str, ...]) -> dict[str, Path]:
    """Returns the file of each subtask.

    Raises:
        InputError: there is nothing, or a folder lacks one, or holds two for one subtask.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a folder with a file per subtask, or one file for all.")
    if not path.is_dir():
        return dict.fromkeys(subtasks, path)
    found: dict[str, Path] = {}
    for subtask in subtasks:
        pattern = re.compile(rf"{subtask}(_caption)?\.(csv|jsonl)(\.gz)?")
        files = sorted(file for file in path.iterdir() if pattern.fullmatch(file.name))
        if len(files) != 1:
            came = ", ".join(file.name for file in files) or "none"
            raise InputError(f"{path} holds {came} for the subtask {subtask!r}; expected one file, such as {subtask}.csv.")
        found[subtask] = files[0]
    return found


def _evaluate(
    benchmark: GroupedBenchmark,
    files: dict[str, Path],
    column: str,
    chosen: dict[str, Any],
    plan: tuple[bool, float | None, int | None, int | None],
    json_file: Path | None,
    per_item: Path | None,
) -> None:
    from ..evaluators.files import read_keyed_texts
    from ..evaluators.tasks.groups import evaluate
    from ..evaluators.tasks.mecat import metrics_of
    from ..evaluators.workspace import Options

    check_table_name("--per-item", per_item)
    check_folders(json_file, per_item)
    resampled = resampling(*plan)
    read = {file: read_keyed_texts(file, column) for file in dict.fromkeys(files.values())}
    options = Options.of(**chosen)
    started = time.perf_counter()

    def tell(report: GroupReport) -> None:
        seconds = sum(result.seconds for result in report.results)
        remark(f"{report.group.name}: {len(report.ids):,} items, {seconds:.1f} s")

    predictions = {subtask: read[file] for subtask, file in files.items()}
    metrics = metrics_of(options)
    report = evaluate(benchmark, predictions, metrics, options, interval=resampled, done=tell)
    rows: list[list[str]] = []
    for one in report.groups:
        rows.append([one.group.name, f"{len(one.ids):,}"])
        for result in one.results:
            rows[-1] += [f"{result.score:.6f}", enclosed(result.interval)]
        for label, part in one.results[0].parts.items():
            rows.append([f"  {label}", f"{part.n:,}"])
            for result in one.results:
                rows[-1] += [f"{result.parts[label].score:.6f}", enclosed(result.parts[label].interval)]
    overall, signatures, header = [benchmark.name, ""], ["SIGNATURE", ""], ["GROUP", "ITEMS"]
    for metric in metrics:
        overall += [f"{report.overall(metric):.6f}", ""]
        signatures += [report.signature(metric).digest, ""]
        header += [metric.upper(), level_title(resampled)]
    table([*rows, overall, signatures], header)
    weights = " + ".join(f"{one.group.weight:.4g} {one.group.name}" for one in report.groups)
    say(f"{benchmark.name} = {weights}; {time.perf_counter() - started:.1f} s")
    if not benchmark.is_whole:
        remark("not the whole test set: these scores are comparable with nobody's")
    if json_file is not None:
        write_json(json_file, report.to_json())
    if per_item is not None:
        write_columns(per_item, report.columns())
