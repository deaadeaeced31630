"""The dataset explorer: every dataset that is known, and of those that were built here captions to search and rows to look at."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request, Response

from ...dataset_scripts import report
from ...dataset_scripts.built import BuiltSet, built_set
from ...dataset_scripts.card import Card, clips_in_words
from ...dataset_scripts.errors import InputError, UnifiedAudioCapsError, UnknownNameError
from ...dataset_scripts.manifest import Manifest, built_configs, read_manifest
from ...dataset_scripts.report_page import charts
from ...dataset_scripts.source import SOURCES, source
from ...dataset_scripts.stats import add
from ...leaderboard.hub import Actor, Hub
from ...leaderboard.kept import Kept
from .. import inspect_page
from ..api.errors import machine_folders, without_folders
from ..inspect_rows import digest_of, is_pair
from ..search import OVERLAPS, WAYS, Filters, Found, Hit, counts, ways
from ..search import search as find
from ..search.find import DEEPEST
from .card_text import as_html
from .set_rights import Rights, cards_here, rights_in
from .site import Site, link, one_of, quoted, whole
from .sounds import Sounds, sounds_of

if TYPE_CHECKING:
    from markupsafe import Markup
    from starlette.datastructures import QueryParams

    from ..search.catalogue import Overlap
    from ..search.store import By

ROWS = 25  # hits of a page
MARGIN = 40  # hits before and behind a page in which the neighbours of a row are looked for: a row has up to 18 captions
MOST_CHOICES = 300  # of a filter; rarer tags are reached from the rows that have them
MAX_TEXT = 300
DESCRIBED_ROWS = 100_000  # larger sets take more than a few seconds to describe
REPORTS_KEPT, MANIFESTS_KEPT = 16, 128
VIEWS = {"search": "Search", "card": "Card", "statistics": "Statistics"}
FILTERS = ("split", "style", "domain", "tag", "overlap")
_OVERLAPS = {"any": "yes", "none": "no"}
_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")


# -- all datasets ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """What was built of a dataset here.

    Attributes:
        splits: rows by split.
        size_bytes: of its files.
        overlaps: evaluation set to how many rows, sides and recordings of this one it holds, too, most first.
        compared: with how many evaluation sets it was compared.
    """

    splits: Mapping[str, int]
    size_bytes: int
    overlaps: Mapping[str, int]
    compared: int

    @classmethod
    def of(cls, manifest: Manifest) -> Built:
        """Returns what a manifest tells."""
        splits = {name: int(found["rows"]) for name, found in manifest["splits"].items()}
        size = sum(int(shard["bytes"]) for found in manifest["splits"].values() for shard in found["shards"])
        parts = manifest.get("parts", ())
        marked = add(part["tally"].get("overlaps", {}) for part in parts)
        overlaps = {name: sum(levels.values()) for name, levels in marked.items()}
        compared = {name for part in parts for name in (part.get("overlaps") or {}).get("marked", {})}
        return cls(splits, size, dict(sorted(overlaps.items(), key=lambda one: -one[1])), len(compared))

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(self.splits.values())


@dataclass(frozen=True)
class Line:
    """A dataset in the list of all.

    Attributes:
        name: config name.
        title: as the literature writes it.
        release: version, as the publisher calls it.
        about: one or two sentences.
        clips: documented number of clips per split, in words.
        license_text: terms of the texts.
        license_audio: terms of the sound.
        command: what builds it.
        needs: what one has to have for that.
        built: what is here; None where nothing is.
        trouble: why what is here cannot be read.
        searched: the texts in which words are looked for, in small letters.
    """

    name: str
    title: str
    release: str
    about: str
    clips: str = ""
    license_text: str = ""
    license_audio: str = ""
    command: str = ""
    needs: str = ""
    built: Built | None = None
    trouble: str = ""
    searched: str = field(default="", repr=False)


class Shelf:
    """What pages ask about all sets; manifests and statistics are read once, until a set is built again.

    Args:
        hub: knows where sets were built.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._built: Kept[tuple[str, int], Built] = Kept(MANIFESTS_KEPT)
        self._reports: Kept[tuple[str, tuple[str, ...]], dict[str, Any]] = Kept(REPORTS_KEPT)
        self._reading = threading.Lock()

    def lines(self) -> list[Line]:
        """Returns every known dataset by title, those that were built here first."""
        here = built_configs(self.hub.data)
        found = [self._line(name, name in here) for name in sorted({*SOURCES.names(), *here})]
        return sorted(found, key=lambda one: (one.built is None, one.title.casefold(), one.name))

    def _line(self, name: str, is_here: bool) -> Line:
        built, trouble, manifest = None, "", None
        folder = self.hub.data / "data" / name
        try:
            key = (name, (folder / "manifest.json").stat().st_mtime_ns if is_here else 0)
            built = self._built.get(key) if is_here else None
            if is_here and (built is None or name not in SOURCES.names()):
                manifest = read_manifest(folder)
                built = self._built.put(key, Built.of(manifest)) if manifest is not None else None
        except (OSError, InputError, KeyError):
            trouble = "What was built here cannot be read; build it again with --force."
        if name not in SOURCES.names():
            manifest = manifest or {}
            about = str(manifest.get("mixture", {}).get("about", "")) or "Put together on this machine."
            title, release = str(manifest.get("title", name)), str(manifest.get("release", ""))
            return Line(name, title, release, about, built=built, trouble=trouble, searched=f"{name} {title} {about}".casefold())
        one, card = source(name), Card.load(name)
        words = (name, one.title, one.release, card.prose, card.license_text, card.license_audio, card.citation)
        return Line(
            name,
            one.title,
            one.release,
            first_sentences(card.prose),
            clips_in_words(card.clips),
            card.license_text,
            card.license_audio,
            one.build_command(Path("unified-audiocaps")),
            one.needs,
            built,
            trouble,
            " ".join(words).casefold(),
        )

    def report(self, one: BuiltSet) -> dict[str, Any]:
        """Returns the statistics of a set, counted once."""
        key = (digest_of(one), one.splits)
        with self._reading:  # whoever asks meanwhile gets the same
            found = self._reports.get(key)
            return found if found is not None else self._reports.put(key, report.describe(one))


def first_sentences(prose: str, limit: int = 220) -> str:
    r"""Returns how a card begins: as many whole sentences as fit, one at least.

    >>> first_sentences("One is\nhere. Two is there. Three.", 25)
    'One is here.'
    """
    first = " ".join(prose.split("\n\n", 1)[0].split())
    shown = ""
    for sentence in _SENTENCE.split(first):
        if shown and len(shown) + 1 + len(sentence) > limit:
            break
        shown = f"{shown} {sentence}".strip()
    return shown


# -- one set ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What an address asks for.

    Attributes:
        view: one of `VIEWS`.
        q: what is looked for; empty for everything.
        by: `words` or `meaning`.
        split: of the clips, likewise the other filters; empty for anything.
        style: of the captions.
        domain: of the clips.
        tag: of the clips.
        overlap: `any` or `none`.
        page: of the hits, from 1.
        row: id of the row to show; empty for none.
    """

    view: str = "search"
    q: str = ""
    by: str = "words"
    split: str = ""
    style: str = ""
    domain: str = ""
    tag: str = ""
    overlap: str = ""
    page: int = 1
    row: str = ""

    @classmethod
    def of(cls, params: QueryParams) -> Wanted:
        """Returns what the parameters of an address ask for; what they do not name, or name wrongly, is as usual."""
        return cls(
            view=one_of(params, "view", tuple(VIEWS), "search"),
            q=params.get("q", "")[:MAX_TEXT].strip(),
            by=one_of(params, "by", WAYS, "words"),
            overlap=one_of(params, "overlap", OVERLAPS, ""),
            page=whole(params, "page", 1, 1, DEEPEST // ROWS),
            row=params.get("row", "")[: 4 * MAX_TEXT],
            **{name: params.get(name, "")[:MAX_TEXT] for name in ("split", "style", "domain", "tag")},
        )

    def state(self) -> dict[str, Any]:
        """Returns the parameters of the address that asks for this; the usual is left out."""
        usual = Wanted()
        return {name: value for name, value in vars(self).items() if value != getattr(usual, name)}


@dataclass(frozen=True)
class Step:
    """A row that is one step away in the list of hits."""

    id: str
    page: int


@dataclass(frozen=True)
class Shown:
    """A page of hits, and where one can go from the chosen row.

    Attributes:
        hits: of the page.
        first: place of the first one among all, from 0.
        page: which page it is, from 1.
        n_pages: how many can be looked at.
        chosen: place of the chosen row's first hit on the page; None where it has none.
        previous: the row before the chosen one; None where there is none near.
        following: the row behind it, likewise.
        found: the answer of the search.
    """

    hits: tuple[Hit, ...]
    first: int
    page: int
    n_pages: int
    chosen: int | None
    previous: Step | None
    following: Step | None
    found: Found


def shown_of(one: BuiltSet, wanted: Wanted, filters: Filters) -> Shown:
    """Returns the page of hits that is asked for, the last one if there are not so many.

    Args:
        one: the set.
        wanted: query, way, page and row.
        filters: what hits must be; known names.

    Raises:
        InputError: the set cannot be searched this way.
        MissingRequirementError: a package or model is not there.
    """
    page = wanted.page
    while True:
        first = (page - 1) * ROWS
        offset = max(0, first - MARGIN) if wanted.row else first
        limit = first - offset + ROWS + (MARGIN if wanted.row else 0)
        found = find(one, wanted.q, by=cast("By", wanted.by), filters=filters, limit=limit, offset=offset)
        n_pages = max(1, min(-(-found.total // ROWS), DEEPEST // ROWS))
        if page <= n_pages:
            break
        page = n_pages
    hits = found.hits[first - offset : first - offset + ROWS]
    chosen = next((place for place, hit in enumerate(hits) if hit.entry.id == wanted.row), None) if wanted.row else None
    previous, following = _neighbours(found.hits, wanted.row, offset) if chosen is not None else (None, None)
    return Shown(hits, first, page, n_pages, chosen, previous, following, found)


def _neighbours(hits: Sequence[Hit], row: str, offset: int) -> tuple[Step | None, Step | None]:
    """Returns the rows before and behind one; a row with several hits stands where its first one does, so that no walk circles.

    Args:
        hits: around the row.
        row: its id.
        offset: place of the first hit among all.
    """
    places: dict[str, int] = {}
    for place, hit in enumerate(hits):
        places.setdefault(hit.entry.id, place)
    ids = list(places)
    at = ids.index(row)

    def step(number: int) -> Step | None:
        if not 0 <= number < len(ids):
            return None
        return Step(ids[number], (offset + places[ids[number]]) // ROWS + 1)

    return step(at - 1), step(at + 1)


@dataclass(frozen=True)
class Choice:
    """A filter as a field: its name, what people call it, and what can be chosen."""

    name: str
    title: str
    chosen: str
    options: tuple[tuple[str, str], ...]


def choices_of(known: Mapping[str, Mapping[str, int]], wanted: Wanted) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Returns the filters of a set as fields, and what is asked for and nothing in the set has.

    Args:
        known: what `search.counts` returns.
        wanted: what is asked for.
    """
    found, unknown = [], []
    for name in FILTERS:
        names = {one: n for one, n in known[name].items() if one != "unknown" or name != "overlap"}
        asked = getattr(wanted, name)
        chosen = asked if asked in names else next((one for one in names if one.casefold() == asked.casefold()), "")
        if asked and not chosen:
            unknown.append(f"{name} {asked}")
        listed = list(names)[:MOST_CHOICES]
        if chosen and chosen not in listed:
            listed.append(chosen)
        if len(names) < (1 if name in {"tag", "overlap"} else 2) and not chosen:
            continue
        words = _OVERLAPS if name == "overlap" else {}
        options = tuple((one, f"{words.get(one, one)} ({names[one]:,})") for one in listed)
        title = {"overlap": "Also in a test set"}.get(name, name.capitalize())
        found.append(Choice(name, title, chosen, options))
    return tuple(found), tuple(unknown)


class Explorer:
    """Makes what the page of a set shows.

    Args:
        shelf: all sets.
        sounds: finds rows with their sounds.
    """

    def __init__(self, shelf: Shelf, sounds: Sounds) -> None:
        self.shelf, self.sounds, self.hub = shelf, sounds, shelf.hub

    def page(self, config: str, wanted: Wanted, actor: Actor | None) -> dict[str, Any]:
        """Returns the context of `dataset.html`.

        Raises:
            UnknownNameError: no set is called so, or it has no row of the id that is asked for.
            RightsError: the row is not for everybody.
            InputError: its manifest is damaged.
        """
        if config not in {*SOURCES.names(), *built_configs(self.hub.data)}:
            raise UnknownNameError("dataset", config, {*SOURCES.names(), *built_configs(self.hub.data)})
        (line,) = (one for one in self.shelf.lines() if one.name == config)
        if line.built is None:
            card = Card.load(config)
            about = {
                "card": card,
                "prose": as_html(card.prose),
                "how": source(config).how_to_get() if source(config).files else "",
            }
            return {"line": line, "view": "card", "views": {}, "state": {}, "cards": [card], "mixture": None, **about}
        one = built_set(config, self.hub.data)
        may = rights_in(self.hub, actor, one)
        common = {"line": line, "view": wanted.view, "views": VIEWS, "state": wanted.state(), "may": may, "wanted": wanted}
        make = {"search": self._search, "card": self._card, "statistics": self._statistics}[wanted.view]
        return {**common, **make(one, wanted, may, actor)}

    # -- search

    def _search(self, one: BuiltSet, wanted: Wanted, may: Rights, actor: Actor | None) -> dict[str, Any]:
        if may.texts or not may.splits:
            if wanted.row and not may.texts:
                raise UnknownNameError(f"row of {one.config}", wanted.row, ())
            return {"closed": may.texts or "They are the private references of a benchmark."}
        some = replace(one, splits=may.splits) if may.closed else one
        context: dict[str, Any] = {"closed": "", "trouble": "", "has_index": True, "filters": (), "unknown": (), "shown": None}
        context |= {"ways": (), "is_unreachable": False, "row": self._row(one, wanted, actor)}
        try:
            can = ways(some)
            if not can:
                return {**context, "has_index": False}
            context["ways"] = can
            known = counts(some)
            context["filters"], context["unknown"] = filters, _ = choices_of(known, wanted)
            context["is_unreachable"] = wanted.by == "meaning" and "meaning" not in can
            asked = replace(wanted, by="words") if context["is_unreachable"] else wanted
            chosen = {choice.name: choice.chosen or None for choice in filters}
            overlap = cast("Overlap | None", chosen.pop("overlap", None))
            context["shown"] = shown_of(some, asked, Filters(**chosen, overlap=overlap))
        except UnifiedAudioCapsError as problem:
            context["trouble"] = without_folders(str(problem), machine_folders(self.hub))
        return context

    def _row(self, one: BuiltSet, wanted: Wanted, actor: Actor | None) -> dict[str, Any] | None:
        """Returns what is shown of the chosen row; None where none is chosen."""
        if not wanted.row:
            return None
        from markupsafe import Markup

        clip = self.sounds.of_set(one.config, wanted.row, actor)
        row = clip.row

        def tag_at(tag: str) -> str:
            return link(f"/datasets/{quoted(one.config)}", tag=tag)

        licences = [("Licence of the texts", row.get("license_text")), ("Licence of the sound", row.get("license_audio"))]
        where = [
            ("Attribution", row.get("attribution")),
            ("Key upstream", row.get("source_key")),
            ("Clip keys", ", ".join(row.get("clip_keys") or ())),
            ("Made from", "; ".join(map(_origin, row.get("provenance") or ()))),
        ]
        return {
            "clip": clip,
            "about": inspect_page.facts(row),
            "caption": "" if is_pair(row) else row.get("caption") or "",
            "texts": Markup(inspect_page.texts(row, tag_at)),  # noqa: S704 # every text in it is escaped
            "facts": [(name, value) for name, value in (*licences, *where) if value],
            "extra": _pretty(row.get("extra_json") or "{}"),
        }

    # -- card and statistics

    def _card(self, one: BuiltSet, wanted: Wanted, may: Rights, actor: Actor | None) -> dict[str, Any]:
        cards = cards_here(one)
        own = next((card for card in cards if card.name == one.config), None)
        prose: Markup | str = as_html(own.prose) if own is not None else ""
        return {"card": own, "cards": cards, "prose": prose, "how": "", "mixture": one.manifest.get("mixture")}

    def _statistics(self, one: BuiltSet, wanted: Wanted, may: Rights, actor: Actor | None) -> dict[str, Any]:
        nothing = {"tables": [], "charts": [], "notes": [], "is_large": False, "is_number": is_number}
        if not may.splits:
            return nothing
        some = replace(one, splits=may.splits) if may.closed else one
        if some.rows > DESCRIBED_ROWS:
            return {**nothing, "tables": [_summary(some)], "is_large": True}
        found = self.shelf.report(some)
        tables = []
        for title, head, rows in report.tables(found):
            short = title.removeprefix(f"{found['set']}: ")
            if short != "domains":  # there is a chart of them
                tables.append((short[:1].upper() + short[1:], head, rows))
        notes = [without_folders(note, machine_folders(self.hub)) for note in found["notes"]]
        return {**nothing, "tables": tables, "charts": charts(found["groups"][0]), "notes": notes}


def is_number(text: str) -> bool:
    """Tells whether a cell stands on the right."""
    return text.lstrip("+-")[:1].isdigit() or text == "–"


def _summary(one: BuiltSet) -> tuple[str, list[str], list[list[str]]]:
    """Returns a table of what a build counted: title, header, rows."""
    try:
        counted = json.loads((one.folder / "stats.json").read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError):
        counted = {}
    heads = {"rows": ",d", "captions": ",d", "hours": ",.2f", "mean_duration_s": ".2f", "mean_caption_words": ".2f", "qa": ",d"}
    names = ["split", "clips", "captions", "hours", "mean duration, s", "mean length, words", "questions"]
    rows = [
        [split, *("–" if figures.get(key) is None else format(figures[key], pattern) for key, pattern in heads.items())]
        for split, figures in counted.items()
        if split in one.splits
    ]
    return "Splits", names, rows


def _origin(one: Mapping[str, Any]) -> str:
    """Returns where a part of a row comes from: repository, revision, file and row."""
    revision = f"@{one['revision'][:12]}" if one.get("revision") else ""
    place = f", row {one['row']:,}" if one.get("row") is not None else ""
    return f"{one.get('repo') or ''}{revision} {one.get('file') or ''}{place}".strip()


def _pretty(text: str) -> str:
    """Returns JSON as people read it; empty where it says nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return json.dumps(found, indent=2, ensure_ascii=False) if found else ""


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the pages."""
    shelf = Shelf(site.hub)
    explorer = Explorer(shelf, sounds_of(app, site.hub))

    @app.get("/datasets", include_in_schema=False, response_model=None)
    def datasets(request: Request) -> Response:
        words = request.query_params.get("q", "")[:MAX_TEXT].strip()
        only = one_of(request.query_params, "only", ("here", "elsewhere"), "")
        lines = shelf.lines()
        kept = [
            one
            for one in lines
            if all(word in one.searched for word in words.casefold().split())
            and (not only or (only == "here") == (one.built is not None))
        ]
        n_here = sum(one.built is not None for one in lines)
        shown: dict[str, Any] = {"lines": kept, "n_all": len(lines), "n_here": n_here, "q": words, "only": only, "prose": as_html}
        return site.page(request, "datasets.html", title="Datasets", **shown)

    @app.get("/datasets/{config}", include_in_schema=False, response_model=None)
    def dataset(request: Request, config: str) -> Response:
        wanted = Wanted.of(request.query_params)
        context = explorer.page(config, wanted, request.state.actor)
        title = f"{context['line'].title} {context['line'].release}".strip()
        return site.page(request, "dataset.html", title=f"{title}: {VIEWS[context['view']].lower()}", **context)
