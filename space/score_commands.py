"""The commands of `uac` about scores of captions: score one system, tell two apart, say what a metric is."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .console import (
    AsJson,
    Data,
    Device,
    JsonFile,
    check_folders,
    check_table_name,
    listed,
    print_json,
    remark,
    say,
    table,
    write_columns,
    write_json,
)

if TYPE_CHECKING:
    from ..evaluators.bootstrap import Resampling
    from ..evaluators.metric import Interval
    from ..evaluators.pairs import CaptionPairs, Prediction
    from ..evaluators.workspace import Options

References = Annotated[Path | None, typer.Option("--references", help="jsonl with id and references (a list).")]
BenchmarkReferences = Annotated[str | None, typer.Option("--benchmark", help="Take the references of this benchmark.")]
Encoder = Annotated[
    str | None,
    typer.Option("--encoder", help="Sentence encoder: minilm (offline), a Hub name or a local path. [default: minilm]"),
]
Checker = Annotated[
    str | None,
    typer.Option("--checker", help="Fluency error checker of DATE, FER and FENSE: a published name, a file or a folder."),
]
ClapModel = Annotated[
    str | None, typer.Option("--clap", metavar="PATH", help="CLAP model of transformers: OWNER/NAME or a folder.")
]
BertModel = Annotated[
    str | None,
    typer.Option("--bert", metavar="PATH", help="Model of BERTScore: OWNER/NAME or a folder. [default: roberta-large]"),
]
SpiceFile = Annotated[
    Path | None,
    typer.Option("--spice", metavar="FILE", help="SPICE values per id (csv or jsonl: id, spice), computed elsewhere."),
]
Sounds = Annotated[
    Path | None,
    typer.Option("--sounds", metavar="DIR", help="Sound files of metrics that listen, named by id: ID.wav, ID.flac ..."),
]
Subtask = Annotated[str | None, typer.Option("--subtask", help="Sets DATE's delta. [default: long]")]
Precision = Annotated[
    str | None,
    typer.Option("--precision", help="Number type of sentence encoders: fp32, bf16 or fp16. [default: fp32]"),
]
BatchTokens = Annotated[
    int | None, typer.Option("--batch-tokens", metavar="N", min=1, help="Tokens per forward. [default: what suits the device]")
]
Level = Annotated[float | None, typer.Option("--level", metavar="X", help="Probability of the intervals. [default: 0.95]")]
Resamples = Annotated[int | None, typer.Option("--resamples", metavar="N", help="Resamples for intervals. [default: 2000]")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Equal seeds give equal intervals. [default: 0]")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(metrics)
    app.command()(score)
    app.command()(compare)


def metrics(as_json: AsJson = False) -> None:
    """List the metrics. `uac score --explain --metrics NAME` tells all about one."""
    from ..evaluators.score import describe_metrics

    found = describe_metrics()
    if as_json:
        print_json(found)
        return
    rows = [(m["name"], m["version"], "yes" if m["needs_whole_corpus"] else "no", m["title"]) for m in found]
    table(rows, ("NAME", "VERSION", "NEEDS WHOLE CORPUS", "TITLE"))


def score(
    predictions: Annotated[
        Path | None,
        typer.Argument(help="jsonl with id and caption (or captions, a list), or csv.", show_default=False),
    ] = None,
    metric_names: Annotated[str, typer.Option("--metrics", metavar="a,b,c", help="Metrics; `uac metrics` lists them.")] = "",
    references: References = None,
    benchmark: BenchmarkReferences = None,
    encoder: Encoder = None,
    checker: Checker = None,
    clap: ClapModel = None,
    bert: BertModel = None,
    spice: SpiceFile = None,
    sounds: Sounds = None,
    subtask: Subtask = None,
    precision: Precision = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    data: Data = None,
    json_file: JsonFile = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", metavar="FILE", help="Write one row per id (.csv or .parquet).")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="KEY", help="Also score by the values of KEY in the references: operation, domain."),
    ] = None,
    interval: Annotated[bool, typer.Option("--interval", help="Add the confidence interval of each score.")] = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the metrics are, what they need and read; files may be left out.")
    ] = False,
) -> None:
    """Score captions against references. Scores are in their native range.

    --interval says how far a score would move on other clips of the same kind: items are drawn anew (bootstrap, BCa), nothing is
    scored again. To tell two systems apart use `uac compare`: intervals of two scores can overlap where the difference is sure.

    --by prints every score for each value of a key of the references file as well: the operation of pairs of sounds, the domain.
    Such a score takes n-gram weights and ranks from the whole set.

    Example: uac score predictions.jsonl --references references.jsonl --metrics cider_d,date --interval
    """
    from ..evaluators.files import read_labels, read_predictions
    from ..evaluators.pairs import CaptionPairs
    from ..evaluators.score import chosen_metrics
    from ..evaluators.score import score as score_pairs

    names = listed([metric_names])
    if not names:
        raise InputError("--metrics is empty; expected names such as cider_d,date (`uac metrics` lists them).")
    chosen_metrics(names)  # a wrong name is told before anything is read
    if explain:
        _explain(names)
        if predictions is None:
            return
    if predictions is None:
        raise InputError(
            "there is no predictions file; expected `uac score FILE --references FILE --metrics a,b` (or --explain)."
        )
    check_references(references, benchmark)
    check_table_name("--per-item", per_item)
    if by is not None and references is None:
        raise InputError(f"--by {by} reads the references file; expected --references FILE.")
    check_folders(json_file, per_item)
    resampled = resampling(interval, level, resamples, seed)
    predicted = read_predictions(predictions)
    expected = expected_references(references, benchmark, data)
    options = expected.options(
        encoder=encoder,
        checker=checker,
        clap=clap,
        bert=bert,
        spice=spice,
        sounds=sounds,
        subtask=subtask,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
    )
    pairs = CaptionPairs.join(expected.resolved(predicted, predictions), expected.references)
    started = time.perf_counter()
    labels = read_labels(references, by) if by is not None and references is not None else None
    results = score_pairs(pairs, names, options, interval=resampled, by=labels)
    rows = []
    for result in results:
        rows.append((result.metric, f"{result.score:.6f}", enclosed(result.interval), result.signature.digest))
        rows.extend((f"  {name}", f"{value:.6f}", "", "") for name, value in result.components.items())
        for label, part in result.parts.items():
            rows.append((f"  {by} = {label} ({part.n:,})", f"{part.score:.6f}", enclosed(part.interval), ""))
    table(rows, ("METRIC", "SCORE", level_title(resampled), "SIGNATURE"))
    say(f"{len(pairs.ids):,} clips, {time.perf_counter() - started:.1f} s")
    for result in results:
        if explain:
            say(f"{result.metric}: {result.signature}")
        for note, count in result.notes.items():
            remark(f"{result.metric}: {note}: {count}")
    if json_file is not None:
        write_json(json_file, {"n": len(pairs.ids), "results": [result.to_json() for result in results]})
    if per_item is not None:
        columns: dict[str, Any] = {"id": list(pairs.ids)}
        for result in results:
            columns.update(result.columns())
        write_columns(per_item, columns)


def _explain(names: list[str]) -> None:
    from ..evaluators.metric import METRICS, range_in_words
    from ..evaluators.workspace import Options

    for name in names:
        metric = METRICS.get(name)
        span = range_in_words(*metric.value_range)
        say(f"{metric.name}: {metric.title}, version {metric.version}; {span}, {metric.direction} is better")
        say()
        say(textwrap.indent(textwrap.dedent("    " + (metric.__doc__ or "")).strip(), "  "))
        say()
        needs = ", ".join(metric.requires) or "nothing beside the package"
        say(f"  needs: {needs}")
        for one in metric.uses:
            say(f"  reads: {one}: {Options.meaning(one)}")
        say()


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Predictions of the first system: jsonl with id and caption, or csv.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Predictions of the second system, for the same ids.")],
    references: References = None,
    benchmark: BenchmarkReferences = None,
    metric_names: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="a,b,c",
            help="`uac metrics` lists them. [default: all of captions that need neither an extra nor a model of yours]",
        ),
    ] = None,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    encoder: Encoder = None,
    checker: Checker = None,
    clap: ClapModel = None,
    bert: BertModel = None,
    spice_a: Annotated[
        Path | None, typer.Option("--spice-a", metavar="FILE", help="SPICE values of A per id (csv or jsonl: id, spice).")
    ] = None,
    spice_b: Annotated[
        Path | None, typer.Option("--spice-b", metavar="FILE", help="SPICE values of B per id (csv or jsonl: id, spice).")
    ] = None,
    sounds: Sounds = None,
    subtask: Subtask = None,
    precision: Precision = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    data: Data = None,
    json_file: JsonFile = None,
) -> None:
    """Compare two systems on the same clips: difference, its interval, p-value, wins and losses per clip.

    A - B is the difference of the scores. Its interval comes from resamples that draw the same clips for both systems (bootstrap,
    BCa): an interval without 0 means that other clips of the same kind would hardly turn the order round. P is the probability of
    a difference this large, either way, if it did not matter which system wrote which caption (approximate randomisation); it is
    1 for equal files and at least 1 / (resamples + 1). WON and LOST count the clips on which A is better and worse; the rest are
    equal.

    Both answer for these references and this metric only. Asking many metrics finds small p-values by chance: choose the metric
    before you look. For cider_d and date the weights and ranks that come from the whole set are held fixed.

    Example: uac compare ours.jsonl baseline.jsonl --benchmark sample --metrics cider_d,date
    """
    from ..evaluators.compare import compare as compare_pairs
    from ..evaluators.files import read_predictions
    from ..evaluators.metric import METRICS
    from ..evaluators.pairs import CaptionPairs
    from ..evaluators.score import chosen_metrics

    check_references(references, benchmark)
    check_folders(json_file)
    resampled = resampling(True, level, resamples, seed)
    names = listed([metric_names or ""])
    if metric_names is not None and not names:
        raise InputError("--metrics is empty; expected a name such as cider_d (`uac metrics` lists them).")
    facts = [METRICS.get(name) for name in METRICS.names()]
    names = names or [metric.name for metric in facts if metric.texts == "captions" and not metric.needs_extra]
    chosen_metrics(names)  # a wrong name is told before anything is read
    predicted_a, predicted_b = read_predictions(a), read_predictions(b)
    expected = expected_references(references, benchmark, data)

    def joined(file: Path, predicted: Mapping[str, Prediction]) -> CaptionPairs:
        resolved = expected.resolved(predicted, file)
        try:
            return CaptionPairs.join(resolved, expected.references)
        except InputError as error:  # which of the two files
            raise InputError(f"{file}: {error.headline}", error.problems, error.total) from None

    pairs_a, pairs_b = joined(a, predicted_a), joined(b, predicted_b)
    started = time.perf_counter()
    options = expected.options(
        encoder=encoder,
        checker=checker,
        clap=clap,
        bert=bert,
        spice=spice_a,
        sounds=sounds,
        subtask=subtask,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
    )
    options_b = replace(options, spice=spice_b)
    comparisons = compare_pairs(pairs_a, pairs_b, names, options, options_b=options_b, resampling=resampled)
    rows = [
        (
            *(one.metric, f"{one.a.score:.6f}", f"{one.b.score:.6f}", f"{one.difference:+.6f}", enclosed(one.interval, "+")),
            *(f"{one.p_value:.4f}", f"{one.wins:,}", f"{one.losses:,}", one.a.signature.digest),
        )
        for one in comparisons
    ]
    table(rows, ("METRIC", "A", "B", "A - B", level_title(resampled), "P", "WON", "LOST", "SIGNATURE"))
    say(f"{comparisons[0].n:,} clips, {resampled}, {time.perf_counter() - started:.1f} s")
    for one in comparisons:
        for system in (one.a, one.b) if one.a is not one.b else (one.a,):
            for note, count in system.notes.items():
                if note not in one.notes:
                    remark(f"{one.metric}: {'A' if system is one.a else 'B'}: {note}: {count}")
        for note, text in one.notes.items():
            remark(f"{one.metric}: {note}: {text}")
    if json_file is not None:
        results = [one.to_json() for one in comparisons]
        write_json(json_file, {"a": str(a), "b": str(b), "n": comparisons[0].n, "results": results})


def check_references(references: Path | None, benchmark: str | None) -> None:
    """Raises unless references come from exactly one place.

    Raises:
        InputError: from none, or from two.
    """
    if (references is None) == (benchmark is None):
        raise InputError("the references are missing or given twice; expected either --references FILE or --benchmark ID.")


def resampling(
    is_wanted: bool, level: float | None = None, resamples: int | None = None, seed: int | None = None
) -> Resampling | None:
    """Returns how to resample, None where nobody asked for intervals.

    Raises:
        InputError: a value is out of range, or was given although no interval is wanted.
    """
    from ..evaluators.bootstrap import Resampling

    given = {"level": level, "resamples": resamples, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not is_wanted:
        if chosen:
            raise InputError("--level, --resamples and --seed are for intervals; add --interval.")
        return None
    return Resampling(**chosen)  # type: ignore[arg-type] # the types of its fields, one by one


def enclosed(interval: Interval | None, sign: str = "") -> str:
    """Returns an interval as people write it."""
    return f"[{interval.low:{sign}.6f}, {interval.high:{sign}.6f}]" if interval else ""


def level_title(plan: Resampling | None) -> str:
    """Returns the title of a column of intervals."""
    return f"{100 * plan.level:g} % INTERVAL" if plan else ""


@dataclass(frozen=True)
class Expected:
    """References by id, and what a benchmark says beside them."""

    references: Mapping[str, tuple[str, ...]]
    encoder: str | None = None
    subtask: str | None = None
    resolve: Callable[[str], str | None] | None = None

    def resolved(self, predicted: Mapping[str, Prediction], file: Path) -> Mapping[str, Prediction]:
        """Returns predictions under the ids of the references."""
        return _resolve(predicted, self.resolve, file) if self.resolve else predicted

    def options(self, sounds: Path | None, **given: Any) -> Options:
        """Returns what the command line chose, the benchmark's own choices where it chose nothing."""
        from ..evaluators.models.sounds import sounds_by_id
        from ..evaluators.workspace import Options

        given["encoder"] = given["encoder"] or self.encoder
        given["subtask"] = given["subtask"] or self.subtask
        return Options.of(sounds=sounds_by_id(sounds, self.references) if sounds else None, **given)


def expected_references(references: Path | None, benchmark: str | None, data: Path | None) -> Expected:
    """Returns the references of a file or of a benchmark."""
    from ..evaluators.files import read_references

    if references is not None:
        return Expected(read_references(references))
    from ..leaderboard.benchmark import benchmark_by_id
    from ..leaderboard.items import load_items

    definition = benchmark_by_id(benchmark or "")
    if definition.task != "captions":
        raise InputError(
            f"benchmark {definition.id} is no single set of captions; `uac mecat` or `uac retrieval` scores such files."
        )
    items = load_items(definition, data or Settings.from_environment().data)
    return Expected(items.references, definition.encoder, definition.subtask, items.resolve)


def _resolve(predicted: Mapping[str, Prediction], resolve: Callable[[str], str | None], file: Path) -> dict[str, Prediction]:
    """Returns the predictions under the benchmark's ids; names that stand for no clip stay, for `join` to report."""
    resolved: dict[str, Prediction] = {}
    names: dict[str, str] = {}
    for name, caption in predicted.items():
        clip_id = resolve(name) or name
        if clip_id in resolved:
            raise InputError(f"{file}: {name!r} and {names[clip_id]!r} are the same clip {clip_id!r}; keep one of them.")
        resolved[clip_id], names[clip_id] = caption, name
    return resolved
