"""The commands of `uac` about judges: ask a model what captions are worth, and ask how far metrics agree with people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .console import (
    Data,
    Device,
    JsonFile,
    check_folders,
    check_table_name,
    listed,
    remark,
    say,
    table,
    write_columns,
    write_json,
)
from .score_commands import (
    BatchTokens,
    BenchmarkReferences,
    BertModel,
    Checker,
    ClapModel,
    Encoder,
    Level,
    Precision,
    References,
    Resamples,
    Seed,
    check_references,
    enclosed,
    expected_references,
    level_title,
    resampling,
)


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(judge)
    app.command()(meta)


def judge(
    predictions: Annotated[Path, typer.Argument(help="jsonl with id and caption, or csv with those columns.")],
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="URL", help="OpenAI-style, without /chat/completions: https://api.openai.com/v1.")
    ],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model's name there; gpt-4.1-mini in papers.")],
    references: References = None,
    benchmark: BenchmarkReferences = None,
    prompt: Annotated[
        Path | None, typer.Option("--prompt", metavar="FILE", help="Text with {caption} and {references}. [default: ours]")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="0 varies least.")] = 0.0,
    requests: Annotated[
        int | None, typer.Option("--requests", metavar="N", min=1, help="Requests at a time. [default: 8]")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds an answer may take. [default: 60]")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", metavar="FILE", help="Where answers are kept. [default: NAME.judge.jsonl in this folder]"),
    ] = None,
    interval: Annotated[bool, typer.Option("--interval", help="Add the confidence interval of the score.")] = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    data: Data = None,
    json_file: JsonFile = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", metavar="FILE", help="Write score and reason per id (.csv or .parquet).")
    ] = None,
) -> None:
    """Let a language model judge captions against references, from 0 to 1; any OpenAI-style endpoint will do.

    The key is read from UAC_JUDGE_KEY or OPENAI_API_KEY; an endpoint of your own may need none. Answers are kept as they come:
    the same command goes on where it was cut, and pays for nothing twice. Scores of different models or prompts cannot be
    compared, and a hosted model may change behind its name; the signature says what answered.

    Example: uac judge predictions.jsonl --references references.jsonl --endpoint http://127.0.0.1:8000/v1 --model qwen3-8b
    """
    from ..evaluators.bootstrap import mean_intervals, order_of_ids
    from ..evaluators.files import read_predictions
    from ..evaluators.pairs import CaptionPairs
    from ..evaluators.tasks import judge as judging

    check_references(references, benchmark)
    check_table_name("--per-item", per_item)
    kept = answers or Path(f"{predictions.name.split('.')[0]}.judge.jsonl")
    check_folders(json_file, per_item, kept)
    plan = resampling(interval, level, resamples, seed)
    try:
        wording = judging.PROMPT if prompt is None else prompt.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--prompt {prompt} cannot be read ({error}); expected a text file.") from error
    by = judging.Judge(
        endpoint=endpoint,
        model=model,
        key=Settings.from_environment().judge_key,
        prompt=wording,
        temperature=temperature,
        timeout_s=judging.TIMEOUT_S if timeout is None else timeout,
    )
    predicted = read_predictions(predictions)
    expected = expected_references(references, benchmark, data)
    pairs = CaptionPairs.join(expected.resolved(predicted, predictions), expected.references)
    found = judging.judge(pairs, by, kept, requests or judging.IN_FLIGHT)
    result = found.result
    bounds = mean_intervals(result.per_item[order_of_ids(pairs.ids), None], plan)[0] if plan else None
    row = ("judge", f"{result.score:.6f}", enclosed(bounds), result.signature.digest)
    table([row], ("METRIC", "SCORE", level_title(plan), "SIGNATURE"))
    say(f"{len(pairs.ids):,} clips, {result.seconds:.1f} s; answers are kept in {kept}")
    say(str(result.signature))
    for note, count in result.notes.items():
        remark(f"{note.replace('_', ' ')}: {count}")
    if json_file is not None:
        entry = {**result.to_json(), **({"interval": vars(bounds)} if bounds else {})}
        write_json(json_file, {"n": len(pairs.ids), "results": [entry], "prompt": by.prompt})
    if per_item is not None:
        reasons = [one.reason for one in found.answers]
        write_columns(per_item, {"id": list(pairs.ids), "judge": result.per_item, "reason": reasons})


def meta(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FENSE's audiocaps_eval.json or clotho_eval.json.")],
    metric_names: Annotated[str, typer.Option("--metrics", metavar="a,b,c", help="Metrics; `uac metrics` lists them.")],
    encoder: Encoder = None,
    checker: Checker = None,
    clap: ClapModel = None,
    bert: BertModel = None,
    precision: Precision = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    json_file: JsonFile = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Put the figures into this file, from which `uac docs` makes its table."),
    ] = None,
) -> None:
    """Tell how often metrics prefer the caption of two that people prefer, in per cent.

    HC: two right human captions; HI: a human caption and one of another clip; HM: a human and a machine caption; MM: two machine
    captions. Pairs without a majority do not count. The file is in the branch experiment-code of github.com/blmoistawinde/fense.

    Example: uac meta audiocaps_eval.json --metrics bleu,cider_d,sbert_sim
    """
    from ..evaluators.score import chosen_metrics
    from ..evaluators.tasks.meta import FACETS, agreement_with_people, read_preferences, saved_results, with_results
    from ..evaluators.workspace import Options

    names = listed([metric_names])
    chosen_metrics(names)  # a wrong name is told before anything is read
    check_folders(json_file, save)
    known = saved_results(save) if save is not None else {}
    preferences, digest = read_preferences(file)
    options = Options.of(
        encoder=encoder,
        checker=checker,
        clap=clap,
        bert=bert,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
    )
    started = time.perf_counter()
    results = agreement_with_people(preferences, digest, names, options)
    columns = [facet for facet in (*FACETS, "total") if facet in results[0].pairs]
    rows = [
        (one.metric, *(f"{100 * one.accuracy[facet]:.1f}" for facet in columns), f"{one.ties:,}", one.signature.digest)
        for one in results
    ]
    rows.append(("pairs", *(f"{results[0].pairs[facet]:,}" for facet in columns), "", ""))
    table(rows, ("METRIC", *columns, "TIES", "SIGNATURE"))
    say(f"{len(preferences):,} pairs, {time.perf_counter() - started:.1f} s")
    if json_file is not None:
        write_json(json_file, {"data": digest, "n": len(preferences), "results": [one.to_json() for one in results]})
    if save is not None:
        write_json(save, with_results(known, file.stem, results))
