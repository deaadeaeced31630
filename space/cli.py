"""`uac`: build datasets, score captions, run the hub.

Exit codes: 0 done, 2 bad usage or input, 1 a failure of ours.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import InputError, StorageError, UnifiedAudioCapsError
from ..dataset_scripts.settings import Settings
from . import (
    admin_commands,
    export_commands,
    hub_commands,
    judging_commands,
    published_commands,
    score_commands,
    search_commands,
    sound_commands,
    task_commands,
)
from .console import AsJson, Data, listed, print_json, say, table, write_file
from .mecat_commands import mecat_app

if TYPE_CHECKING:
    from ..dataset_scripts.build import BuildReport
    from ..dataset_scripts.engine.attach import SoundPlan
    from ..dataset_scripts.scores import ScorePlan
    from ..dataset_scripts.source import Source

BAD_INPUT, OUR_FAILURE = 2, 1
SHOWN_FILES = SHOWN_PAIRS = 20
SHOWN_PROBLEM_CLIPS = 3

app = typer.Typer(
    name="uac",
    help="Audio-caption datasets under one schema, exact and fast caption metrics, and a leaderboard hub.",
    epilog="Start here: uac build sample, then uac serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _options(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    if show_version:
        say(version("unified-audiocaps"))
        raise typer.Exit
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


# -- lists -----------------------------------------------------------------------------------------------------------------------


@app.command()
def sources(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Tell all about one dataset; none lists them.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the datasets that can be built, or tell all about one: files, terms, known defects, how to cite it.

    Example: uac sources wavcaps
    """
    from ..dataset_scripts.card import clips_in_words
    from ..dataset_scripts.source import describe_sources, source

    if name is not None:
        one = source(name)
        (about,) = (about for about in describe_sources() if about["name"] == one.name)
        if as_json:
            print_json(about)
        else:
            say(_about(one, about))
        return
    found = describe_sources()
    if as_json:
        print_json(found)
        return
    rows = [
        (s["name"], s["release"], clips_in_words(s["clips"]), s["needs"], textwrap.shorten(s["license_text"], 44)) for s in found
    ]
    table(rows, ("NAME", "RELEASE", "SPLITS AND CLIPS", "NEEDS", "LICENCE OF THE TEXTS"))


def _about(one: Source, found: dict[str, Any]) -> str:
    """Returns what a person has to know about a dataset before they build it."""
    from ..dataset_scripts.card import clips_in_words

    lines = [f"{one.name}: {one.title}, release {one.release}", ""]
    lines += [f"documented clips: {clips_in_words(found['clips'])}"]
    lines += [f"subsets: {', '.join(found['subsets'])}"] if found["subsets"] else []
    lines += [f"licence of the texts: {found['license_text']}", f"licence of the sound: {found['license_audio']}"]
    lines += [f"homepage: {found['homepage']}", f"needs: {found['needs']}"]
    lines += [f"build: {one.build_command(Path('unified-audiocaps'))}"]
    lines += [f"files: {', '.join(found['files'])}. {one.where_to_get}".rstrip()] if found["files"] else []
    return "\n".join([*lines, "", one.card.prose, "", f"Cite: {found['citation']}", "", found["bibtex"]])


# -- data ------------------------------------------------------------------------------------------------------------------------


@app.command()
def build(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Datasets to build; `uac sources` lists them.")],
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Folder that holds the upstream files under their upstream names, at any depth.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR|URL",
            help="Folder to write; load_dataset reads it. Or a URL: s3://bucket/folder, hf://datasets/OWNER/NAME. "
            "[default: unified-audiocaps]",
        ),
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="Build only this split; may be given again.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray (one task per upstream file).")] = "local",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first rows of each split, to try things.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build again even if nothing changed.")] = False,
    mark_overlaps: Annotated[
        bool,
        typer.Option(
            "--mark-overlaps/--no-mark-overlaps",
            help="Fill the column `overlaps` with the evaluation sets beside it (splits test, validation, evaluation, eval of "
            "other configs in --out) that hold the same sound.",
        ),
    ] = True,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="SET,...",
            help="Drop rows whose sound a built set holds: audiocaps/test, or audiocaps/test:clip for the same clip only "
            "(levels: clip, segment, recording; weaker levels include stronger ones).",
        ),
    ] = None,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            "--audio",
            metavar="PATH",
            help="Sound files of the rows: a folder tree, .tar, .tar.gz or .zip archives, or an fsspec URL; may be given again. "
            "One folder serves all corpora.",
        ),
    ] = None,
    embed_audio: Annotated[
        bool, typer.Option("--embed-audio", help="Store the sound as FLAC in the parquet files, not the paths of the files.")
    ] = False,
    sampling_rate: Annotated[
        int | None, typer.Option("--sampling-rate", metavar="HZ", help="Resample to this rate. [adc_acc: 16000]")
    ] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Mix all channels into one.")] = False,
    max_duration: Annotated[
        float | None, typer.Option("--max-duration", metavar="S", help="Store at most the first S seconds of a sound.")
    ] = None,
    require_audio: Annotated[
        bool, typer.Option("--require-audio", help="Drop rows without sound; they lie whole in dropped.parquet.")
    ] = False,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            metavar="FILE",
            help="csv with id and score, such as `uac score-clips` writes: goes into `scores`. For one NAME.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", metavar="X", help="Drop rows whose score in --scores is below X, or that have none there."),
    ] = None,
    has_rights: Annotated[
        bool, typer.Option("--i-have-rights", help="For hf://: you have the rights that a card does not give to everybody.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="CONFIG", help="adc_acc: base clips, a config built with sound, or config/split."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="DIR", help="adc_acc: event clips with events.csv (file,label,category).")
    ] = None,
    pairs: Annotated[int | None, typer.Option("--pairs", metavar="N", help="adc_acc: rows, a multiple of 6.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="adc_acc: of all draws. [default: 0]")] = None,
    snr: Annotated[
        tuple[float, float] | None,
        typer.Option("--snr", metavar="LOW HIGH", help="adc_acc: level of an event against its base, dB. [default: 0 10]"),
    ] = None,
) -> None:
    """Build datasets: upstream files in, parquet for load_dataset out.

    A file that is not under --raw is a split or subset that is not built, and is said so. Rows that --exclude drops lie whole in
    dropped.parquet beside the manifest. What the marked and excluded sets hold is part of the build: when they change, the same
    command builds anew.

    To a URL a dataset is sent when it is whole, its manifest last; the same command goes on after a cut. Credentials are those of
    the package that reads such URLs (s3fs for s3://). On the Hub it is one commit; a repository that is not there is created
    private.

    Sound that is missing, damaged, silent or too short leaves a row without audio; how many, which and why is printed and listed
    in stats.json. The index of the sound files is kept under UAC_HOME and made anew when they change.

    Example: uac build wavcaps --raw downloads/wavcaps --exclude audiocaps/test,clotho/evaluation
    """
    from ..dataset_scripts.build import build as build_source
    from ..dataset_scripts.marking import Exclusion
    from ..dataset_scripts.source import source

    chosen = [source(name) for name in names]  # a wrong name is told before anything is built
    folder = out or Settings.from_environment().data
    own = {"base": base, "events": events, "pairs": pairs, "seed": seed, "snr": snr}
    # A source that makes its sound takes these as options of its own; it has no sound files to look for.
    of_made_sound = {"embed_audio": embed_audio or None, "sampling_rate_hz": sampling_rate}
    makes_sound = {one.name: of_made_sound.keys() <= one.options.keys() for one in chosen}
    sound = None
    if not all(makes_sound.values()):
        sound = _sound(audio, embed_audio, sampling_rate, mono, max_duration, require_audio)
    elif audio or mono or max_duration is not None or require_audio:
        raise InputError(
            f"{names[0]} makes its sound: it takes --embed-audio and --sampling-rate, not --audio and what goes with it."
        )
    excluded = [Exclusion.parse(written) for written in listed(exclude)]
    score_plan = _scores(scores, min_score, names)
    for name in names:
        report = build_source(
            name,
            raw=raw,
            out=folder,
            splits=split or None,
            workers=workers,
            engine=engine,
            limit=limit,
            force=force,
            mark_overlaps=mark_overlaps,
            exclude=excluded,
            has_rights=has_rights,
            options=own | (of_made_sound if makes_sound[name] else {}),
            sound=None if makes_sound[name] else sound,
            scores=score_plan,
        )
        _print_build(report)


def _scores(path: Path | None, min_score: float | None, names: list[str]) -> ScorePlan | None:
    """Returns what to do with a file of scores; None without --scores.

    Raises:
        InputError: a threshold and no scores, scores for several datasets, or a file that cannot be used.
    """
    if path is None:
        if min_score is not None:
            raise InputError("there is no --scores FILE that --min-score could be compared with; `uac score-clips` writes one.")
        return None
    from ..dataset_scripts.scores import score_plan

    if len(names) > 1:
        raise InputError(f"--scores {path} was given for {len(names)} datasets; build them one by one, each with its own file.")
    return score_plan(path, min_score=min_score)


def _sound(
    paths: list[str] | None, embed: bool, rate_hz: int | None, mono: bool, max_duration_s: float | None, require: bool
) -> SoundPlan | None:
    """Returns where rows get their sound from; None without --audio.

    Raises:
        InputError: options that say what to do with sound, and no sound.
    """
    if not paths:
        if embed or mono or require or rate_hz is not None or max_duration_s is not None:
            raise InputError("there is no --audio PATH to take sound from; name the folder or archives that hold it.")
        return None
    from ..dataset_scripts.engine.attach import SoundPlan
    from ..dataset_scripts.sound.library import SoundLibrary

    plan = SoundPlan(SoundLibrary.open(paths), embed, rate_hz, mono, max_duration_s, require)
    plan.check()
    return plan


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Datasets whose upstream files to download.")],
    raw: Annotated[
        Path | None,
        typer.Option("--raw", help="Folder to fill, for one NAME. [default: the cache under UAC_HOME that build reads]"),
    ] = None,
) -> None:
    """Download upstream files; what is there already is not fetched again. `uac build NAME` does this by itself.

    Example: uac fetch wavcaps --raw downloads/wavcaps
    """
    from ..dataset_scripts.fetch import fetch as fetch_source
    from ..dataset_scripts.source import source

    if raw is not None and len(names) > 1:
        raise InputError(f"--raw {raw} was given for {len(names)} datasets; fetch them one by one, each into its own folder.")
    for one in [source(name) for name in names]:
        report = fetch_source(one, raw)
        say(f"{one.name}: {len(report.fetched)} files fetched, {len(report.reused)} were there already: {report.folder}")


@app.command()
def install(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Datasets to make loadable from everywhere.")],
    raw: Annotated[Path | None, typer.Option("--raw", help="Upstream files of a NAME that is not built yet.")] = None,
    data: Data = None,
) -> None:
    """Put datasets into the Hugging Face cache: load_dataset("unified-audiocaps", NAME) then works in any folder.

    Set HF_HUB_OFFLINE=1 where you call it, or `datasets` first looks for that name on the Hub.

    Example: uac install sample clotho
    """
    from ..dataset_scripts.builder import install as install_source

    if raw is not None and len(names) > 1:
        raise InputError(f"--raw {raw} was given for {len(names)} datasets; install them one by one.")
    for name in names:
        say(f"{name} is installed: {install_source(name, data=data, raw=raw)}")


def _print_build(report: BuildReport) -> None:
    done = "is up to date" if report.reused else f"built in {report.seconds:.1f} s"
    say(f"{report.config} {done}: {report.path}")
    for split, numbers in report.statistics["splits"].items():
        say(f"  {split}: {_summary(numbers)}")
        for subset, part in report.statistics["subsets"].get(split, {}).items():
            say(f"    {subset}: {_summary(part)}")
        for name, levels in numbers.get("overlaps", {}).items():
            say(f"    also in {name}: {', '.join(f'{count:,} by {level}' for level, count in levels.items())}")
    for line in _sound_lines(report.statistics["total"].get("sound", {})):
        say(f"  {line}")
    for label, why in report.skipped.items():
        say(f"  {label}: {why}")
    for rule, count in report.dropped.items():
        say(f"  dropped by rule {rule}: {count:,} (kept whole in dropped.parquet)")
    if report.unknown_files:
        hidden = len(report.unknown_files) - SHOWN_FILES
        more = f" … and {hidden:,} more" if hidden > 0 else ""
        say(f"  not read, unknown names: {', '.join(report.unknown_files[:SHOWN_FILES])}{more}")
    for warning in report.warnings:
        typer.echo(f"warning: {report.config}: {warning}", err=True)


def _sound_lines(found: dict[str, Any]) -> list[str]:
    """Returns what is said about the sound of a build."""
    if not found:
        return []
    cut = f", {found['cut']:,} of them cut out of longer files" if found.get("cut") else ""
    lines = [f"sound: {found.get('found', 0):,} of {found.get('wanted', 0):,} clips{cut}"]
    for reason, one in found.get("problems", {}).items():
        shown = [f"{listed['id']} ({listed.get('file') or listed['what']})" for listed in one["listed"][:SHOWN_PROBLEM_CLIPS]]
        more = f" … and {one['count'] - len(shown):,} more, in stats.json" if one["count"] > len(shown) else ""
        lines.append(f"  no sound, {reason}: {one['count']:,}: {', '.join(shown)}{more}")
    for note, one in found.get("notes", {}).items():
        lines.append(f"  {note}: {one['count']:,}, the first in order of paths was taken")
    return lines


def _summary(numbers: dict[str, Any]) -> str:
    parts = [f"{numbers['rows']:,} rows", f"{numbers['captions']:,} captions"]
    if numbers["mean_duration_s"] is not None:
        parts += [f"{numbers['hours']:,.2f} h", f"mean duration {numbers['mean_duration_s']:.2f} s"]
    if numbers["mean_caption_words"] is not None:
        parts.append(f"mean length {numbers['mean_caption_words']:.2f} words")
    if numbers["qa"]:
        parts.append(f"{numbers['qa']:,} questions")
    return ", ".join(parts)


@app.command()
def overlaps(
    a: Annotated[str, typer.Argument(metavar="A", help="A built set: config, or config/split.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: AsJson = False,
    similar: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="csv with one column file_name: rows of A that sound like something in B."),
    ] = None,
    data: Data = None,
) -> None:
    """Show which rows of two built sets hold the same sound, counted both ways, with ids.

    Levels: clip (the same recording, starts within 0.5 s), segment (spans intersect), recording (the same recording, times
    unknown or apart). --json gives every pair; a --list of similar sounds is compared with what the ids say.

    Example: uac overlaps mecat/test audiocaps/test
    """
    from ..dataset_scripts import overlap
    from ..dataset_scripts.built import built_set

    data = data or Settings.from_environment().data
    first, second = built_set(a, data), built_set(b, data)
    names = overlap.read_list(similar) if similar is not None else None
    found = overlap.overlaps(first, second)
    compared = overlap.compare_list(names, first, found) if names is not None else None
    if as_json:
        print_json({**found.to_json(), **({"list": compared.to_json()} if compared else {})})
        return
    levels = [(level, f"{found.clips_a[level]:,}", f"{found.clips_b[level]:,}", f"{found.recordings[level]:,}")
              for level in found.clips_a]  # fmt: skip
    totals = ("any", *(f"{sum(one.values()):,}" for one in (found.clips_a, found.clips_b, found.recordings)))
    of = ("of", f"{found.rows_a:,}", f"{found.rows_b:,}", "")
    table([*levels, totals, of], ("STRONGEST LEVEL", f"CLIPS OF {found.a}", f"CLIPS OF {found.b}", "RECORDINGS"))
    if found.pairs.num_rows:
        say()
        table(
            [(p["level"], p["a"], p["b"], "–" if p["shared_s"] is None else f"{p['shared_s']:.2f}")
             for p in found.pairs.slice(0, SHOWN_PAIRS).to_pylist()],
            ("LEVEL", "A", "B", "SHARED S"),
        )  # fmt: skip
    if found.pairs.num_rows > SHOWN_PAIRS:
        say(f"… and {found.pairs.num_rows - SHOWN_PAIRS:,} more pairs; --json gives all.")
    if compared is not None:
        say()
        say(f"{similar}: {compared.listed:,} names, {len(compared.unknown):,} of them of no row of {found.a}")
        for text, ids in [
            ("found by the list and by ids", compared.both),
            ("only by the list (similar)", compared.only_list),
            ("only by ids", compared.only_ids),
        ]:
            more = f" … and {len(ids) - SHOWN_FILES:,} more" if len(ids) > SHOWN_FILES else ""
            say(f"  {text}: {len(ids):,}{': ' if ids else ''}{', '.join(ids[:SHOWN_FILES])}{more}")


@app.command()
def stats(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Built sets: config, or config/split.")],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, histograms included.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML file with tables and plots.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", metavar="NAME", help="Count tokens too: minilm, a tokenizer.json, or a model on the Hub."),
    ] = None,
    data: Data = None,
) -> None:
    """Print what papers print about a dataset: clips, hours, lengths, vocabulary, repeats, styles, overlaps.

    Figures that publishers and papers print stand beside ours, with the difference, and whether ours rounds to theirs; they are
    left out where only a part of what they count is built. Captions exclude raw descriptions; lengths, words and repeats leave
    absent texts out. Several sets stand in one table too.

    Example: uac stats wavcaps --html wavcaps.html
    """
    from ..dataset_scripts import report
    from ..dataset_scripts.built import built_set

    if as_markdown and as_json:
        raise InputError("--markdown and --json are both given; expected one of them.")
    sets = [built_set(name, data or Settings.from_environment().data) for name in names]
    found = [report.describe(one, tokenizer) for one in sets]
    if html is not None:
        from ..dataset_scripts.report_page import page

        write_file(html, page(found).encode())
    if as_json:
        print_json(found)
    elif as_markdown:
        say(report.markdown(found).rstrip())
    elif html is not None:
        say(f"written: {html}")
    else:
        shown = [*(table for one in found for table in report.tables(one)), *report.comparison(found)]
        for number, (title, header, rows) in enumerate(shown):
            say(f"{'' if number == 0 else chr(10)}{title}")
            table(rows, [name.upper() for name in header])
        for note in dict.fromkeys(note for one in found for note in one["notes"]):
            typer.echo(note, err=True)


@app.command()
def view(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built set: config, or config/split.")],
    kind: Annotated[
        str, typer.Option("--as", metavar="VIEW", help="captions, qa, references, messages, difference or commonality.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .jsonl, .parquet, or .csv (views without lists).")],
    split: Annotated[str | None, typer.Option("--split", help="Only this split; the same as NAME/SPLIT.")] = None,
    style: Annotated[str | None, typer.Option("--style", help="Only captions in this style, such as long or short.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="messages: what the user asks before a caption.")] = None,
    audio_root: Annotated[str, typer.Option("--audio-root", help="Views with sounds: put before every file name.")] = "",
    only: Annotated[str | None, typer.Option("--only", metavar="WHAT", help="messages: captions or qa. [default: both]")] = None,
    data: Data = None,
) -> None:
    """Write a flat view of a built dataset: a caption or question per row, references, chats, what two sounds differ in.

    Views to train on leave out absent and blank texts; references keep absent ones, and are what `uac score --references`
    reads. messages are rows {"messages": [...], "audios": [...]}, as ms-swift and others read them: two sounds where a text tells
    of two. difference and commonality are rows of a pair's two sounds and the text to train on.

    Example: uac view audiocaps/test --as references --out references.jsonl
    """
    from ..dataset_scripts import views
    from ..dataset_scripts.built import built_set

    if split is not None and "/" in name:
        raise InputError(f"the split is given twice, in {name!r} and as --split {split!r}; expected one of them.")
    if (prompt is not None or only) and kind != "messages":
        raise InputError(f"--prompt and --only shape messages; expected --as messages, not --as {kind}.")
    if audio_root and kind not in {"messages", *views.PAIR_PROMPTS}:
        raise InputError(f"--audio-root is for views with sounds; expected --as messages, difference or commonality, not {kind}.")
    one = built_set(f"{name}/{split}" if split else name, data or Settings.from_environment().data)
    options: dict[str, Any] = {"audio_root": audio_root} if kind in {"messages", *views.PAIR_PROMPTS} else {}
    if kind == "messages":
        options |= {"prompt": prompt, "only": only}
    n = views.write(
        one,
        kind,
        out,
        style=style or (one.primary_style if kind == "references" and "mixture" not in one.manifest else None),
        **options,
    )
    say(f"{out}: {n:,} rows")


@app.command()
def mix(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe; none lists these.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe, to start one of your own from, and mix nothing.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write. [default: the folder of the built sets]")] = None,
    data: Data = None,
) -> None:
    """Build a mixture of built sets as a config of its own: deduplicated, decontaminated, drawn by seed, cited by one digest.

    A recipe is YAML: name, sets (each a name, or a mapping with set and some of subsets, captioned, rows, questions,
    questions_per_row), and optionally title, about, seed, deduplicate (clip, recording, none) and decontaminate (sets, as for
    `uac build --exclude`). The mixture is train of a config called as the recipe: `uac stats NAME` and `load_dataset` read it.

    Example: uac mix wavcaps_supervised
    """
    from ..dataset_scripts.mixture import mix as mix_sets
    from ..dataset_scripts.recipe import load_recipe, read_recipe, shipped_recipes

    if recipe is None:
        table([(name, load_recipe(name).title) for name in shipped_recipes()], ("RECIPE", "TITLE"))
        return
    if show:
        load_recipe(recipe)
        say(read_recipe(recipe).rstrip())
        return
    report = mix_sets(load_recipe(recipe), data or Settings.from_environment().data, out)
    done = "is up to date" if report.reused else f"mixed in {report.seconds:.1f} s"
    say(f"{report.config} {done}: {report.path}")
    for one in report.sets:
        left_out = [f"{n:,} that {name} holds" for name, n in one["overlapping"].items() if n]
        left_out += [f"{one['duplicates']:,} taken before"] if one["duplicates"] else []
        asked = f", {one['questions']:,} questions" if one["questions"] is not None else ""
        without = f", without {', '.join(left_out)}" if left_out else ""
        say(f"  {one['set']}: {one['rows']:,} of {one['candidates']:,} rows{asked}{without}")
        if one["not_built"]:
            typer.echo(f"warning: {one['set']} was built without {', '.join(one['not_built'])}", err=True)
    for name, gaps in report.incomplete.items():
        typer.echo(f"warning: {name}, whose sounds are left out, was built without {', '.join(gaps)}", err=True)
    say(f"{report.rows:,} rows, digest {report.digest}")


# -- scores ----------------------------------------------------------------------------------------------------------------------


score_commands.register(app)
app.add_typer(mecat_app, name="mecat")
task_commands.register(app)
judging_commands.register(app)
sound_commands.register(app)
search_commands.register(app)
published_commands.register(app)


# -- publishing ------------------------------------------------------------------------------------------------------------------

publish_app = typer.Typer(help="Put what is built here on the Hugging Face Hub.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(publish_app, name="publish")


@publish_app.command("dataset")
def publish_dataset(
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Dataset repository; created when it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository for its owner alone.")] = False,
    has_rights: Annotated[
        bool, typer.Option("--i-have-rights", help="You have the rights that a card does not give to everybody.")
    ] = False,
    data: Data = None,
) -> None:
    """Upload the built folder, so that load_dataset("OWNER/NAME", CONFIG) reads it; every file is checked afterwards.

    Example: hf auth login, then uac publish dataset --repo my-lab/unified-audiocaps
    """
    from ..dataset_scripts.publish import publish

    report = publish(data or Settings.from_environment().data, repo, private=private, has_rights=has_rights)
    size = f"{report.size_bytes / 2**20:,.1f} MiB"
    say(f"published {', '.join(report.configs)}: {report.n_files} files, {size}, commit {report.commit[:12]}")
    say(f'  load_dataset("{report.repo_id}", "{report.configs[0]}")')


@publish_app.command("metrics")
def publish_metrics(
    org: Annotated[str, typer.Option("--org", metavar="ORG", help="User or organisation that the Spaces belong to.")],
    metric_names: Annotated[
        str | None, typer.Option("--metrics", metavar="a,b,c", help="Which metrics and tasks. [default: all]")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Create the Spaces for their owner alone.")] = False,
    package: Annotated[
        str, typer.Option("--package", metavar="URL", help="What the Spaces install this project from.")
    ] = "unified-audiocaps",
) -> None:
    """Upload each metric and task as a Space, so that evaluate.load("ORG/NAME") reads it and people can try it in a browser.

    Example: hf auth login, then uac publish metrics --org my-lab --metrics cider_d,date
    """
    from .metric_spaces import publish_metrics as publish

    names = listed([metric_names]) if metric_names is not None else None
    for one in publish(org, names, private=private, package=package, done=lambda one: say(f"{one.name}: {one.repo_id}")):
        say(f'  evaluate.load("{one.repo_id}"), commit {one.commit[:12]}')


@publish_app.command("space")
def publish_space(
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="The Space; created when it is not there.")],
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="OWNER/NAME", help="Dataset repository whose references open more benchmarks.")
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="Create the Space for its owner alone.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Send nothing: write the Space into this folder, to look at it.")
    ] = None,
    checkout: Annotated[
        Path | None,
        typer.Option("--checkout", metavar="FOLDER", help="Clone of the project. [default: what this copy runs from]"),
    ] = None,
) -> None:
    """Upload the hub as a Space: pages, routes and a worker, with the versions that run here; its card says how to go on.

    Example: hf auth login, then uac publish space --repo my-lab/leaderboard --dataset my-lab/unified-audiocaps
    """
    from .publish_space import publish_space as publish
    from .publish_space import write_space

    if to is not None:
        for path in write_space(to, repo, dataset=dataset, checkout=checkout):
            say(f"written: {path}")
        return
    done = publish(repo, dataset=dataset, private=private, checkout=checkout)
    say(f"published {len(done.files)} files, {done.size_bytes / 2**20:,.1f} MiB, commit {done.commit[:12]}")
    say(f"  https://huggingface.co/spaces/{done.repo_id}")
    say(f"  storage, variables, secrets: https://huggingface.co/spaces/{done.repo_id}/settings (its card explains them)")


# -- the hub ---------------------------------------------------------------------------------------------------------------------

hub_commands.register(app)
export_commands.register(app)
admin_commands.register(app)


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when something is out of date.")] = False,
    root: Annotated[Path, typer.Option("--root", help="The project's folder.", show_default=True)] = Path(),
) -> None:
    """Write the generated tables of README.md and the folders that `evaluate.load` reads (for people who change the project)."""
    from .docs import write_docs

    changed = write_docs(root, command_summaries(), check)
    for path in changed:
        say(f"{'out of date' if check else 'written'}: {path}")
    if check and changed:
        raise InputError("generated files are out of date; run `uac docs`.")


def command_summaries() -> list[tuple[str, str]]:
    """Returns name and first help line of every command, in the order of the overview."""
    commands = [("", command) for command in app.registered_commands]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            commands += [(f"{group.name} ", command) for command in group.typer_instance.registered_commands]
    return [
        (prefix + (command.name or command.callback.__name__), (command.callback.__doc__ or "").strip().split("\n")[0])
        for prefix, command in commands
        if command.callback is not None
    ]


def main() -> None:
    """Runs the command line; what went wrong on purpose becomes a message and an exit code, a bug keeps its traceback."""
    try:
        app(prog_name="uac")
    except StorageError as error:
        _fail(str(error), OUR_FAILURE)
    except UnifiedAudioCapsError as error:
        _fail(str(error), BAD_INPUT)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", OUR_FAILURE)


def _fail(message: str, code: int) -> None:
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
