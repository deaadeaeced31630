"""The commands of `uac` about what papers report beside captions: retrieval, labels, distances of sets, raters who agree."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import InputError, Problem, shorten
from ..dataset_scripts.settings import Settings
from .console import (
    AsJson,
    Device,
    JsonFile,
    check_folders,
    check_table_name,
    print_json,
    remark,
    say,
    table,
    write_columns,
    write_json,
)
from .score_commands import BatchTokens, Encoder, Level, Resamples, Seed, enclosed, level_title, resampling

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..evaluators.metric import Interval
    from ..evaluators.tasks.classification import ClassificationResult, TaggingResult
    from ..evaluators.tasks.distribution import DistributionResult
    from ..evaluators.tasks.retrieval import RetrievalResult

Model = Annotated[
    str, typer.Option("--model", metavar="NAME", help="What made the numbers, with its version; stands in the signature.")
]
Interval_ = Annotated[bool, typer.Option("--interval", help="Add confidence intervals.")]
Embeddings = Annotated[Path, typer.Argument(metavar="EMBEDDINGS", help=".npy or .npz: a row per item.")]
Reference = Annotated[Path, typer.Argument(metavar="REFERENCE", help=".npy or .npz of the real set: a row per item.")]
Generated = Annotated[Path, typer.Argument(metavar="GENERATED", help=".npy or .npz of the set to judge: a row per item.")]
KEPT_PROBLEMS = 1000

distance_app = typer.Typer(
    help="Distances of sets of sounds or texts, from embeddings and posteriors.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(retrieval)
    app.command()(classify)
    app.command()(agreement)
    app.add_typer(distance_app, name="distance")


# -- retrieval -------------------------------------------------------------------------------------------------------------------


def retrieval(
    text: Annotated[
        Path | None, typer.Argument(metavar="TEXT", help="Embeddings of captions: .npy or .npz, a row each.", show_default=False)
    ] = None,
    audio: Annotated[
        Path | None, typer.Argument(metavar="AUDIO", help="Embeddings of clips: .npy or .npz, a row each.", show_default=False)
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", metavar="FILE", help="Instead of both: .npy with a row per caption and a column per clip."),
    ] = None,
    clip_of: Annotated[
        Path | None,
        typer.Option(
            "--clip-of",
            metavar="FILE",
            help="Per caption its clip: .npy, .txt (a line each), or .csv and .parquet with a column `clip`. The clip's place in "
            "AUDIO from 0, or its id where --clips is given.",
        ),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option("--clips", metavar="FILE", help="Ids of the clips in the order of AUDIO; as --clip-of, column `id`."),
    ] = None,
    model: Model = "unknown",
    interval: Interval_ = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    json_file: JsonFile = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", metavar="FILE", help="Write one row per query (.csv or .parquet).")
    ] = None,
) -> None:
    """Rank clips for captions and captions for clips: R@1, R@5, R@10, median and mean rank, mAP@10, both ways.

    Similarity is the cosine, or what --scores says: a matrix that is read in tiles and may be larger than memory. Of equal scores
    the wrong answers come first. --interval draws queries anew (bootstrap, BCa); the captions of one clip are drawn one by one,
    which makes intervals of text to audio a little narrow. A median has none.

    Example: uac retrieval text.npy audio.npy --clip-of clip_of.csv --model "laion/clap-htsat-unfused" --interval
    """
    from ..evaluators.bootstrap import mean_intervals
    from ..evaluators.tasks.array_files import read_array
    from ..evaluators.tasks.retrieval import CUTOFFS, retrieve, retrieve_from_scores

    if (scores is None) == (text is None) or (text is None) != (audio is None):
        raise InputError("expected TEXT and AUDIO, or --scores FILE instead of both.")
    if clip_of is None:
        raise InputError("there is no --clip-of FILE; expected a file that says which clip each caption belongs to.")
    check_table_name("--per-item", per_item)
    check_folders(json_file, per_item)
    plan = resampling(interval, level, resamples, seed)
    owners, ids = _owners(clip_of, clips)
    started = time.perf_counter()
    if scores is not None:
        results = retrieve_from_scores(read_array(scores), owners, ids, model=model)
    elif text is not None and audio is not None:
        results = retrieve(read_array(text), read_array(audio), owners, ids, model=model)
    found: list[dict[str, Interval]] = []
    for one in results:
        columns = one.columns()
        means = mean_intervals(_stacked(columns.values()), plan) if plan else []
        found.append(dict(zip(columns, means, strict=True)) if plan else {})
    rows: list[list[str]] = []
    measures = {**{f"r_{k}": f"R@{k}" for k in CUTOFFS}, "median": "median rank", "rank": "mean rank", "ap_10": "mAP@10"}
    for name, title in measures.items():
        row = [title]
        for one, intervals in zip(results, found, strict=True):
            row += [_measure(one, name), enclosed(intervals.get(name))]
        rows.append(row)
    table(rows, ("MEASURE", "TEXT TO AUDIO", level_title(plan), "AUDIO TO TEXT", level_title(plan)))
    by_text, by_audio = results
    say(f"{len(by_text):,} captions, {len(by_audio):,} clips, {time.perf_counter() - started:.1f} s")
    for one in results:
        say(f"{one.task.replace('_', ' ')}: {one.signature}")
    if json_file is not None:
        write_json(
            json_file,
            {
                "results": [
                    {**one.to_json(), **({"intervals": {k: vars(v) for k, v in intervals.items()}} if plan else {})}
                    for one, intervals in zip(results, found, strict=True)
                ]
            },
        )
    if per_item is not None:
        write_columns(per_item, _queries(results, owners, ids))


def _measure(one: RetrievalResult, name: str) -> str:
    if name == "median":
        return f"{one.median_rank:g}"
    return f"{one.columns()[name].mean():.6f}"


def _queries(results: Sequence[RetrievalResult], owners: Sequence[Any], ids: Sequence[Any] | None) -> dict[str, Any]:
    """Returns a row per query of both directions; `clip` is the clip that a caption belongs to, or that asks."""
    import numpy as np

    names = range(len(results[1])) if ids is None else ids
    columns: dict[str, Any] = {
        "task": [one.task for one in results for _ in range(len(one))],
        "query": [place for one in results for place in range(len(one))],
        "clip": [str(name) for name in [*owners, *names]],
    }
    for name in results[0].columns():
        columns[name] = np.concatenate([one.columns()[name] for one in results])
    return columns


def _owners(clip_of: Path, clips: Path | None) -> tuple[list[Any], list[Any] | None]:
    from ..evaluators.tasks.array_files import read_column

    owners = read_column(clip_of, "clip")
    if clips is not None:
        # a .npy file holds numbers where a csv file holds their text
        return [str(one) for one in owners], [str(one) for one in read_column(clips, "id")]
    try:
        return [one if isinstance(one, int) else int(str(one)) for one in owners], None
    except ValueError:
        raise InputError(
            f"{clip_of} names clips by ids such as {shorten(owners[0])}; add --clips FILE with the ids in the order of the clips."
        ) from None


def _stacked(columns: Any) -> npt.NDArray[np.float64]:
    import numpy as np

    return np.stack(list(columns), axis=1)


# -- labels ----------------------------------------------------------------------------------------------------------------------


def classify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Scores (.npy, .npz: a row per item, a column per class), or generated texts (.jsonl, .csv: id and caption).",
        ),
    ],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="The right labels. For scores in the order of their rows: .csv or .parquet with a column `label`, .txt, or .npy "
            "(classes' places from 0; a matrix of 0 and 1 for several labels). For texts .csv or .parquet with id and label.",
        ),
    ],
    classes: Annotated[
        Path | None,
        typer.Option(
            "--classes",
            metavar="FILE",
            help="Names of all classes, in the order of the columns (.txt, .csv, .parquet). [default: for texts the labels that "
            "occur, sorted]",
        ),
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--separator", metavar="TEXT", help="Items have several labels, with this between them.")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Texts: prompt of a class, {} its name. [default: the sound of {}]")
    ] = None,
    encoder: Encoder = None,
    device: Device = None,
    batch_tokens: BatchTokens = None,
    model: Model = "unknown",
    interval: Interval_ = False,
    level: Level = None,
    resamples: Resamples = None,
    seed: Seed = None,
    json_file: JsonFile = None,
    per_class: Annotated[
        Path | None, typer.Option("--per-class", metavar="FILE", help="Write one row per class (.csv or .parquet).")
    ] = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", metavar="FILE", help="Write one row per item (.csv or .parquet).")
    ] = None,
) -> None:
    """Tell how often the right label was found: accuracy, balanced accuracy and mAP, from scores or from generated text.

    From scores the class with the highest one is the answer; ties are wrong. From text it is the class whose prompt is closest to
    the text by the sentence encoder. Encoder, prompt and names of the classes decide such a number, and stand in its signature.
    Items with several labels (--separator, or a matrix of 0 and 1) have no accuracy, only mAP.

    Example: uac classify answers.jsonl --labels esc50.csv --classes classes.txt
    """
    from ..evaluators.bootstrap import mean_intervals
    from ..evaluators.tasks.classification import accuracy_from_scores, average_precision

    for option, path in (("--per-class", per_class), ("--per-item", per_item)):
        check_table_name(option, path)
    check_folders(json_file, per_class, per_item)
    plan = resampling(interval, level, resamples, seed)
    started = time.perf_counter()
    single: ClassificationResult | None = None
    if file.suffix in {".npy", ".npz"}:
        from ..evaluators.tasks.array_files import read_array

        if (template, encoder, batch_tokens) != (None, None, None):
            raise InputError("--template, --encoder and --batch-tokens are for texts; scores need none of them.")
        scores = read_array(file)
        if scores.ndim != 2:
            raise InputError(f"{file} has the shape {scores.shape}; expected a row per item and a column per class.")
        ids = [str(place) for place in range(len(scores))]
        names = _class_names(classes, scores.shape[1])
        targets = _targets_in_order(labels, names, separator, classes is not None)
        is_single = targets.ndim == 1
        if is_single:
            single = accuracy_from_scores(targets, scores, model=model)
        tagging = average_precision(_one_hot(targets, len(names)) if is_single else targets, scores, model=model)
        chosen = scores.argmax(axis=1)
    else:
        from ..evaluators.files import read_keyed_texts
        from ..evaluators.models.encoders import load_encoder, resolve_device
        from ..evaluators.tasks.text_labels import TEMPLATE, text_labels

        texts = read_keyed_texts(file, "caption")
        targets, names = _targets_by_id(labels, texts, classes, separator)
        ids, is_single = list(texts), targets.ndim == 1
        settings = Settings.from_environment()
        loaded = load_encoder(encoder or settings.encoder, resolve_device(device or settings.device))
        said = text_labels(
            list(texts.values()), names, loaded, template=template or TEMPLATE, batch_tokens=batch_tokens, model=model
        )
        if is_single:
            single = said.accuracy(targets)
        tagging = said.average_precision(_one_hot(targets, len(names)) if is_single else targets)
        chosen = said.closest
    rows: list[tuple[str, str, str, str]] = []
    found: Interval | None = None
    if single is not None:
        found = mean_intervals(single.per_item[:, None], plan)[0] if plan else None
        rows.append(("accuracy", f"{single.accuracy:.6f}", enclosed(found), single.signature.digest))
        rows.append(("balanced accuracy", f"{single.balanced_accuracy:.6f}", "", single.signature.digest))
    rows.append(("mAP", f"{tagging.map:.6f}", "", tagging.signature.digest))
    table(rows, ("MEASURE", "VALUE", level_title(plan), "SIGNATURE"))
    say(f"{tagging.n:,} items, {len(names):,} classes, {time.perf_counter() - started:.1f} s")
    for one in (single, tagging):
        if one is not None:
            say(str(one.signature))
    for note, count in {**tagging.notes, **(single.notes if single else {})}.items():
        remark(f"{note.replace('_', ' ')}: {count:,}")
    if json_file is not None:
        report: dict[str, Any] = {"classes": names, "tagging": tagging.to_json()}
        if single is not None:
            report["classification"] = {**single.to_json(), **({"interval": vars(found)} if found else {})}
        write_json(json_file, report)
    if per_class is not None:
        write_columns(per_class, _class_columns(names, single, tagging))
    if per_item is not None:
        columns: dict[str, Any] = {"id": ids, "predicted": [names[place] for place in chosen.tolist()]}
        if single is not None:
            columns |= {"label": [names[place] for place in targets.tolist()], "is_right": single.per_item}
        write_columns(per_item, columns)


def _class_columns(names: list[str], single: ClassificationResult | None, tagging: TaggingResult) -> dict[str, Any]:
    columns: dict[str, Any] = {"class": names, "items": tagging.support}
    if single is not None:
        columns["accuracy"] = single.per_class
    return {**columns, "average_precision": tagging.per_class}


def _class_names(file: Path | None, n: int) -> list[str]:
    from ..evaluators.tasks.array_files import read_column

    if file is None:
        return [str(place) for place in range(n)]
    names = [str(one) for one in read_column(file, "class")]
    if len(names) != n:
        raise InputError(f"{file} names {len(names):,} classes and the scores have {n:,} columns; expected a name per column.")
    return _checked_names(file, names)


def _checked_names(file: Path, names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{file} names the class {shorten(repeated[0])} twice; expected every class once.")
    return names


def _one_hot(targets: npt.NDArray[Any], n_classes: int) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.asarray(targets[:, None] == np.arange(n_classes), np.bool_)


def _targets_in_order(file: Path, names: list[str], separator: str | None, are_named: bool) -> npt.NDArray[Any]:
    """Returns int64[n] classes, or bool[n, n_classes] where items have several, in the order of the file."""
    import numpy as np

    from ..evaluators.tasks.array_files import read_array, read_column

    if file.suffix in {".npy", ".npz"} and separator is None:
        found = read_array(file)
        if found.dtype.kind in "iub":
            return np.array(found)
    cells = [str(one) for one in read_column(file, "label")]
    if not are_named and separator is None and not all(cell.isdecimal() for cell in cells):
        wrong = next(cell for cell in cells if not cell.isdecimal())
        raise InputError(
            f"{file} holds the label {shorten(wrong)}; add --classes FILE with the names in the order of the columns."
        )
    return _targets(file, cells, names, separator, [f"row {place}" for place in range(1, len(cells) + 1)])


def _targets_by_id(
    file: Path, texts: Mapping[str, str], classes: Path | None, separator: str | None
) -> tuple[npt.NDArray[Any], list[str]]:
    """Returns the targets in the order of the texts, and the names of the classes."""
    from ..evaluators.tasks.array_files import read_column, read_columns

    found = read_columns(file, ["id", "label"])
    by_id: dict[str, str] = {}
    problems: list[Problem] = []
    for line, id_, label in zip(found.lines, found.values["id"], found.values["label"], strict=True):
        if id_ in by_id:
            problems.append(Problem("E_DUP_ID", f"id {shorten(id_)} came before", line, id_))
        by_id[id_] = label
    problems += [
        Problem("E_MISSING_ID", f"id {shorten(one)} has a label but no text", id=one) for one in by_id if one not in texts
    ]
    problems += [
        Problem("E_UNKNOWN_ID", f"id {shorten(one)} has a text but no label", id=one) for one in texts if one not in by_id
    ]
    if problems:
        raise InputError(f"{file} and the texts do not cover the same ids.", problems[:KEPT_PROBLEMS], len(problems))
    if classes is not None:
        names = _checked_names(classes, [str(one) for one in read_column(classes, "class")])
    else:
        names = sorted({one for cell in by_id.values() for one in _cell_labels(cell, separator)})
    return _targets(file, [by_id[id_] for id_ in texts], names, separator, list(texts)), names


def _cell_labels(cell: str, separator: str | None) -> list[str]:
    return [one.strip() for one in cell.split(separator) if one.strip()] if separator else [cell]


def _targets(
    file: Path, cells: Sequence[str], names: Sequence[str], separator: str | None, places: Sequence[str]
) -> npt.NDArray[Any]:
    import numpy as np

    index = {name: place for place, name in enumerate(names)}
    given = [_cell_labels(cell, separator) for cell in cells]
    problems = [
        Problem("E_UNKNOWN_ID", f"{where}: no class is called {shorten(one)}")
        for where, labels in zip(places, given, strict=True)
        for one in labels
        if one not in index
    ]
    if problems:
        raise InputError(f"{file} holds labels that are no classes.", problems[:KEPT_PROBLEMS], len(problems))
    if not separator:
        return np.array([index[labels[0]] for labels in given], np.int64)
    targets = np.zeros((len(given), len(names)), bool)
    for row, labels in enumerate(given):
        targets[row, [index[one] for one in labels]] = True
    return targets


# -- raters ----------------------------------------------------------------------------------------------------------------------


def agreement(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="csv or parquet with the columns id, rater and rating.")],
    alpha: Annotated[
        str | None,
        typer.Option("--alpha", metavar="SCALE", help="Add Krippendorff's alpha: nominal, ordinal, interval or ratio."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell how far raters agree: the share of items rated exactly alike, by all of their raters and two by two.

    Items with one rating do not count. An item with more raters has more chances to differ, so items are listed by the number of
    their ratings. Alpha takes off what chance would give.

    Example: uac agreement ratings.csv --alpha ordinal
    """
    from ..evaluators.tasks.agreement import agreement as agree
    from ..evaluators.tasks.agreement import read_ratings

    found = agree(read_ratings(file), alpha)
    if as_json:
        print_json(found.to_json())
        return
    rows: list[tuple[object, ...]] = [("all raters of an item", f"{found.n:,}", f"{found.exact:.4f}")]
    if len(found.by_count) > 1:
        rows += [(f"  items with {k} ratings", f"{n:,}", f"{same / n:.4f}") for k, (n, same) in found.by_count.items()]
    rows.append(("two raters of an item", "", f"{found.pairwise:.4f}"))
    rows += [(f"  {' and '.join(one.raters)}", f"{one.n:,}", f"{one.share:.4f}") for one in found.pairs]
    table(rows, ("RATED EXACTLY ALIKE BY", "ITEMS", "SHARE"))
    if found.alpha is not None:
        say(f"Krippendorff's alpha, {found.scale}: {found.alpha:.4f}")
    if found.n_single:
        remark(f"items with one rating, left out: {found.n_single:,}")


# -- distances -------------------------------------------------------------------------------------------------------------------


@distance_app.command()
def fad(reference: Reference, generated: Generated, model: Model = "unknown", json_file: JsonFile = None) -> None:
    """Fréchet audio distance of two sets of embeddings, VGGish's in papers; lower is better.

    Compare only sets of equal sizes: few samples make the distance larger.

    Example: uac distance fad real.npy generated.npy --model vggish
    """
    _frechet(reference, generated, model, json_file)


@distance_app.command()
def fd(reference: Reference, generated: Generated, model: Model = "unknown", json_file: JsonFile = None) -> None:
    """Fréchet distance of two sets of embeddings, PANNs' in papers; lower is better. The formula is that of `fad`.

    Example: uac distance fd real.npy generated.npy --model panns-cnn14
    """
    _frechet(reference, generated, model, json_file)


@distance_app.command()
def kl(
    reference: Reference,
    generated: Generated,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", min=0, help="Added to the generated set's. [default: 1e-6]")
    ] = None,
    model: Model = "unknown",
    json_file: JsonFile = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", metavar="FILE", help="Write one row per item (.csv or .parquet).")
    ] = None,
) -> None:
    """Kullback-Leibler divergence of a classifier's posteriors, item by item; lower is better.

    Rows are the same items in the same order, and distributions (the softmax of logits).

    Example: uac distance kl real.npy generated.npy --model panns-cnn14
    """
    from ..evaluators.tasks.array_files import read_array
    from ..evaluators.tasks.distribution import KL_EPSILON, kl_divergence

    check_table_name("--per-item", per_item)
    check_folders(json_file, per_item)
    used = KL_EPSILON if epsilon is None else epsilon
    found = kl_divergence(read_array(reference), read_array(generated), epsilon=used, model=model)
    _print_distance(found, json_file)
    if per_item is not None:
        write_columns(per_item, {"item": range(len(found.per_item)), "kl_divergence": found.per_item})


@distance_app.command("is")
def inception(
    posteriors: Annotated[Path, typer.Argument(metavar="POSTERIORS", help=".npy or .npz: a row per item that adds up to 1.")],
    splits: Annotated[int | None, typer.Option("--splits", min=1, help="Parts; the score is their mean. [default: 10]")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the shuffle before the cut. [default: 2020]")] = None,
    model: Model = "unknown",
    json_file: JsonFile = None,
) -> None:
    """Inception score of a classifier's posteriors: sure of each sound, varied over all; higher is better.

    Example: uac distance is generated.npy --model panns-cnn14
    """
    from ..evaluators.tasks.array_files import read_array
    from ..evaluators.tasks.distribution import SEED, SPLITS, inception_score

    check_folders(json_file)
    found = inception_score(
        read_array(posteriors),
        splits=SPLITS if splits is None else splits,
        seed=SEED if seed is None else seed,
        model=model,
    )
    _print_distance(found, json_file)


@distance_app.command()
def categories(
    embeddings: Embeddings,
    labels: Annotated[
        Path,
        typer.Option(
            "--labels", metavar="FILE", help="Per row its category: .npy, .txt, or .csv and .parquet with a column `label`."
        ),
    ],
    model: Model = "unknown",
    json_file: JsonFile = None,
    per_category: Annotated[
        Path | None, typer.Option("--per-category", metavar="FILE", help="Write one row per category (.csv or .parquet).")
    ] = None,
) -> None:
    """Mean cosine distance of items within categories and between them; every category counts alike.

    The distance is 1 - cosine. No item is compared with itself; categories of one item have no distance within.

    Example: uac distance categories captions.npy --labels categories.txt --model minilm
    """
    import numpy as np

    from ..evaluators.tasks.array_files import read_array, read_column
    from ..evaluators.tasks.distribution import category_distances

    check_table_name("--per-category", per_category)
    check_folders(json_file, per_category)
    owners = [str(one) for one in read_column(labels, "label")]
    found = category_distances(read_array(embeddings), owners, model=model)
    table(
        [("within categories", f"{found.intra:.6f}"), ("between categories", f"{found.inter:.6f}")],
        ("COSINE DISTANCE", "MEAN"),
    )
    say(f"{len(owners):,} items, {len(found.categories):,} categories")
    say(str(found.signature))
    for note, count in found.notes.items():
        remark(f"{note.replace('_', ' ')}: {count:,}")
    if json_file is not None:
        write_json(json_file, found.to_json())
    if per_category is not None:
        columns = {
            "category": list(found.categories),
            "items": [owners.count(str(name)) for name in found.categories],
            "within": found.within,
            "between": np.nanmean(found.between, axis=1),
        }
        write_columns(per_category, columns)


def _frechet(reference: Path, generated: Path, model: str, json_file: Path | None) -> None:
    import warnings

    from ..evaluators.tasks.array_files import read_array
    from ..evaluators.tasks.distribution import frechet_distance

    check_folders(json_file)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = frechet_distance(read_array(reference), read_array(generated), model=model)
    for one in told:
        remark(f"warning: {one.message}")
    _print_distance(found, json_file)


def _print_distance(found: DistributionResult, json_file: Path | None) -> None:
    rows = [(found.metric, f"{found.score:.6f}"), *((f"  {name}", f"{value:.6f}") for name, value in found.components.items())]
    table(rows, ("MEASURE", "VALUE"))
    say(str(found.signature))
    if json_file is not None:
        write_json(json_file, found.to_json())
