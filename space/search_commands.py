"""The commands of `uac` that search captions: make an index of a built set, and find captions in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .console import AsJson, Data, Device, print_json, remark, say

if TYPE_CHECKING:
    from .search import Found, Hit
    from .search.catalogue import Overlap

Name = Annotated[str, typer.Argument(metavar="NAME", help="A built set: config, or config/split.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `uac`."""
    app.command()(index)
    app.command()(search)


def index(
    name: Name,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="Store a vector of every caption, too, for `uac search --meaning`.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make it anew even if nothing changed.")] = False,
    device: Device = None,
    data: Data = None,
) -> None:
    """Index the captions of a built set, so that `uac search` and the pages find them at once.

    A small set needs no index. The index lies in the hidden folder .uac beside the built data and is never published. When the
    set is built again, run it again.

    With --meaning every caption goes through the sentence encoder MiniLM: on two cores about 20 minutes per 500,000 captions; a
    GPU is used where there is one. It may be cut at any time; the same command goes on.

    Example: uac index wavcaps --meaning
    """
    from ..dataset_scripts.built import built_set
    from .search import make_index

    settings = Settings.from_environment()
    one = built_set(name, data or settings.data)
    report = make_index(one, with_meaning=meaning, force=force, device=device or settings.device)
    what = f"{report.captions:,} captions of {report.rows:,} rows"
    if report.is_new:
        say(f"{one.name}: {what} indexed")
    else:
        say(f"{one.name}: the index of {what} is up to date")
    if report.vectors is not None:
        there = f", {min(report.vectors_before, report.vectors):,} of them before" if report.vectors_before else ""
        say(f"  {report.vectors:,} of them by meaning{there}")
    say(f"  {report.size_bytes / 1e6:,.1f} MB, {report.took_s:.1f} s")


def search(
    name: Name,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help='Words and "phrases"; none for all captions in the set\'s order.')
    ] = "",
    meaning: Annotated[bool, typer.Option("--meaning", help="Find what means the same, in other words, too.")] = False,
    split: Annotated[str | None, typer.Option("--split", help="Only this split; the same as NAME/SPLIT.")] = None,
    style: Annotated[str | None, typer.Option("--style", help="Only captions in this style.")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="Only clips of this domain.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only clips with this tag.")] = None,
    overlap: Annotated[
        str | None,
        typer.Option("--overlap", metavar="none|any", help="Only clips that are in no evaluation set; or that are in one."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many captions.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Pass over so many of the best.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Find captions of a built set by their words, or with --meaning by what they say.

    All words of a query must occur, the best match first; small ones (a, the, of) need not. Other forms count: dogs finds dog. A
    phrase in quotes must occur as it stands. Where no caption has all words, those come that have some.

    A set of up to 20,000 rows is searched as it is; a larger one needs `uac index NAME`, and for --meaning, from 1,000 captions
    on, `uac index NAME --meaning`.

    Example: uac search sample "rain on a roof"
    """
    from ..dataset_scripts.built import built_set
    from .search import Filters
    from .search import search as find

    if split is not None and "/" in name:
        raise InputError(f"the split is given twice, in {name!r} and as --split {split!r}; expected one of them.")
    one = built_set(f"{name}/{split}" if split else name, data or Settings.from_environment().data)
    filters = Filters(style=style, domain=domain, tag=tag, overlap=cast("Overlap | None", overlap))
    found = find(one, query, by="meaning" if meaning else "words", filters=filters, limit=limit, offset=offset)
    if as_json:
        print_json(_as_json(found, one.name, query, by="meaning" if meaning else "words", offset=offset))
        return
    if not found.has_all_words and found.total:
        remark("no caption has all of these words; these have some of them.")
    for number, hit in enumerate(found.hits, offset + 1):
        _print_hit(number, hit)
    shown = f"{offset + 1:,} to {offset + len(found.hits):,} of " if found.hits and len(found.hits) < found.total else ""
    say(f"{shown}{found.total:,} {'caption' if found.total == 1 else 'captions'} ({found.took_s:.3f} s)")


def _print_hit(number: int, hit: Hit) -> None:
    entry = hit.entry
    text = "".join(typer.style(piece, bold=True) if is_match else piece for piece, is_match in hit.segments)
    say(f"{number:,}. {' '.join(text.split()) or '(no caption)'}")
    score = f"{hit.score:.3f}" if hit.score else ""
    say("   " + "  ".join(part for part in (entry.id, entry.style, entry.side, score) if part))


def _as_json(found: Found, name: str, query: str, *, by: str, offset: int) -> dict[str, Any]:
    hits = [
        {
            "id": hit.entry.id,
            "split": hit.entry.split,
            "caption": hit.entry.caption,
            "style": hit.entry.style,
            "side": hit.entry.side,
            "score": round(hit.score, 6),
            "marks": [list(mark) for mark in hit.marks],
            "shard": hit.entry.shard,
            "place": hit.entry.place,
        }
        for hit in found.hits
    ]
    return {
        "set": name,
        "query": query,
        "by": by,
        "total": found.total,
        "has_all_words": found.has_all_words,
        "took_s": round(found.took_s, 6),
        "offset": offset,
        "hits": hits,
    }
