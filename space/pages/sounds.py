"""The sounds of clips, and their pictures: what the pages play, by benchmark and clip or by built set and row.

Nothing is fetched from elsewhere: where a sound is not in what was built here, people are told where it is to be had. What a
benchmark with private references is made of is nobody's to hear here, so that these routes do not even tell which clips it has.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI, Request, Response
from markupsafe import Markup

from ...dataset_scripts.built import BuiltSet, built_set, holds_sound
from ...dataset_scripts.errors import InputError, RightsError, UnknownNameError
from ...leaderboard.benchmark import Benchmark
from ...leaderboard.hub import Actor, Hub
from ...leaderboard.kept import Kept
from .. import player
from ..api.answers import is_known, tag_of
from ..inspect_rows import SIDES, Row, digest_of, places_of, row_at
from .set_rights import rights_in
from .site import Site, link, one_of, quoted, whole

SETS_KEPT = 8  # the ids of 1,000,000 rows take some 50 MB
CLIPS_KEPT, CLIP_BYTES = 32, 8 * 2**20  # bigger ones are prepared anew whenever somebody asks
ROWS_KEPT = 4  # a row is read for its sound, and again for its picture a moment later
PICTURES_KEPT = 256
MAX_AGE_S = 600
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FOLDERS = re.compile(r"(?<![\w:/])/(?:[^/\s']+/)+")
_VIDEO = re.compile(r"[\w-]{11}")


@dataclass(frozen=True)
class Part:
    """One sound of a clip: the clip itself, or a side of a pair.

    Attributes:
        side: `a`, `b` or `difference`.
        title: what people call it.
        address: where it is heard.
        content: a file that browsers play; empty where it cannot be read, and `note` says why.
        media_type: of the file.
        note: what people should know about it.
        figure: HTML of its waveform and spectrogram, with the address of the latter.
        tag: tells its content from others.
    """

    side: str
    title: str
    address: str
    content: bytes
    media_type: str
    note: str
    figure: Markup
    tag: str


@dataclass(frozen=True)
class Indexed:
    """A built set whose rows can be found at once.

    Attributes:
        one: the set.
        digest: changes when a row does.
        places: of its rows, by id.
        has_sound: whether any row holds sound.
    """

    one: BuiltSet
    digest: str
    places: Mapping[str, int] = field(repr=False)
    has_sound: bool


@dataclass(frozen=True)
class Clip:
    """A row as pages show it.

    Attributes:
        id: of the row.
        parts: its sounds; none where they are not on this machine.
        row: the row without its sounds; empty where it is not on this machine.
        source: the set that it was found in.
        where: sentences on where the sound is, where there are no parts.
        links: the same as addresses.
    """

    id: str
    parts: tuple[Part, ...]
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: Indexed | None = None
    where: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """How much memory its sounds take."""
        return sum(len(one.content) for one in self.parts)


class Sounds:
    """Finds and prepares the sounds of clips, and keeps the newest.

    Args:
        hub: knows benchmarks, and where sets were built.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sets: Kept[tuple[str, str], Indexed] = Kept(SETS_KEPT)
        self._clips: Kept[tuple[str, str, str], Clip] = Kept(CLIPS_KEPT)
        self._rows: Kept[tuple[str, str], Row] = Kept(ROWS_KEPT)
        self._pictures: Kept[tuple[str, str, str], bytes] = Kept(PICTURES_KEPT)
        self._opening, self._drawing = threading.Lock(), threading.Lock()

    def of_benchmark(self, benchmark: Benchmark, clip_id: str, actor: Actor | None) -> Clip:
        """Returns a clip of a benchmark; one whose sound is not here, or not for everybody to hear, tells where it is.

        Args:
            benchmark: which one.
            clip_id: one of its clips.
            actor: who asks; None for nobody.

        Raises:
            RightsError: the references are private.
            UnknownNameError: the benchmark has no such clip.
            InputError: the benchmark's references are not here.
        """
        found = self._set_of(benchmark)
        items = self._hub.items(benchmark)
        if clip_id not in items.clip_keys and clip_id not in items.references:
            raise UnknownNameError(f"clip of {benchmark.id}", clip_id, ())
        if found is not None and clip_id in found.places:
            clip = self._clip(found, clip_id, f"/{{}}/{quoted(benchmark.id)}", benchmark.version)
            return _as_allowed(clip, rights_in(self._hub, actor, found.one).sound)
        known = items.sounds.get(clip_id, "")
        is_link = known.startswith("https://")
        told = f"This hub has no sound of this clip{f'; upstream it is called {known}' if known and not is_link else ''}."
        return Clip(clip_id, (), where=(told,), links=(known,) if is_link else ())

    def of_set(self, name: str, id_: str, actor: Actor | None) -> Clip:
        """Returns a row of a built set as somebody may see it; where its sound is not for him, `where` says why.

        Args:
            name: `config` or `config/split`.
            id_: of the row.
            actor: who asks; None for nobody.

        Raises:
            UnknownNameError: there is no such set or row, or it is of a benchmark with private references.
            RightsError: its licence does not let everybody read it.
            InputError: the set was not built here.
        """
        found = self._open(name)
        may = rights_in(self._hub, actor, found.one)
        if id_ in found.places:
            clip = self._clip(found, id_, f"/row-{{}}/{quoted(found.one.config)}", None)
            if clip.row["split"] in may.splits:
                if may.texts:
                    raise RightsError(may.texts)
                return _as_allowed(clip, may.sound)
        raise UnknownNameError(f"row of {name}", id_, ())

    def are_here(self, benchmark: Benchmark, actor: Actor | None) -> bool:
        """Tells whether the set that a benchmark is made from was built here with sound that somebody may hear.

        Raises:
            RightsError: the references are private.
        """
        found = self._set_of(benchmark)
        return found is not None and found.has_sound and not rights_in(self._hub, actor, found.one).sound

    def picture(self, clip: Clip, side: str) -> bytes:
        """Returns the spectrogram of a side as PNG.

        Raises:
            UnknownNameError: the clip has no such side.
        """
        source = clip.source
        if source is None or side not in {one.side for one in clip.parts if one.content}:
            raise UnknownNameError(f"sound of {clip.id} on this hub", side, [one.side for one in clip.parts if one.content])
        with self._drawing:  # a page asks for the sides of a pair at once: they are drawn once
            found = self._pictures.get((source.digest, clip.id, side))
            if found is None:
                drawn = player.spectrograms(player.sides_of(self._row(source, clip.id)))
                for other, content in drawn.items():
                    self._pictures.put((source.digest, clip.id, other), content)
                found = drawn[side]
        return found

    def _set_of(self, benchmark: Benchmark) -> Indexed | None:
        if benchmark.is_private:
            raise RightsError(f"the references of {benchmark.id} are private; its clips cannot be looked at one by one.")
        if not benchmark.config:
            return None
        try:
            return self._open(f"{benchmark.config}/{benchmark.split}")
        except (InputError, UnknownNameError):  # not built here
            return None

    def _open(self, name: str) -> Indexed:
        one = built_set(name, self._hub.data)
        key = (name, digest_of(one))
        found = self._sets.get(key)
        if found is None:
            with self._opening:
                found = self._sets.get(key)
                if found is None:
                    has_sound = holds_sound(path for *_, path in one.shards())
                    found = self._sets.put(key, Indexed(one, key[1], places_of(one), has_sound))
        return found

    def _row(self, source: Indexed, id_: str) -> Row:
        found = self._rows.get((source.digest, id_))
        if found is None:
            found = row_at(source.one, source.places[id_])
            n_bytes = sum(len((found.get(name) or {}).get("bytes") or b"") for name in ("audio", "audio_b"))
            if n_bytes <= CLIP_BYTES:
                self._rows.put((source.digest, id_), found)
        return found

    def _clip(self, source: Indexed, id_: str, base: str, version: int | None) -> Clip:
        """Returns a row of a set; `base` is where its `sounds` and its `pictures` are."""
        key = (source.digest, id_, f"{base} {version}")
        kept = self._clips.get(key)
        if kept is not None:
            return kept
        row = self._row(source, id_)
        sides = player.sides_of(row)

        def address(kind: str, side: str, ending: str = "") -> str:
            return link(f"{base.format(kind)}/{quoted(id_)}{ending}", side="" if side == "a" else side, version=version)

        figures = player.figures(sides, id_, {one.name: address("pictures", one.name, ".png") for one in sides})
        parts = tuple(
            Part(
                one.name,
                one.title,
                address("sounds", one.name),
                one.content,
                one.media_type,
                _told(one.note),
                Markup(figures.get(one.name, "")),  # noqa: S704 # made by us, with every text in it escaped
                hashlib.sha256(one.content).hexdigest()[:24],
            )
            for one in sides
        )
        told = {} if parts else {"where": tuple(map(_told, player.reasons(row))), "links": tuple(_upstream(row))}
        plain = {name: value for name, value in row.items() if name not in {"audio", "audio_b"}}
        clip = Clip(id_, parts, plain, source, **told)
        return self._clips.put(key, clip) if clip.n_bytes <= CLIP_BYTES else clip


def sounds_of(app: FastAPI, hub: Hub) -> Sounds:
    """Returns what all pages of an application find sounds with."""
    if not hasattr(app.state, "sounds"):
        app.state.sounds = Sounds(hub)
    found: Sounds = app.state.sounds
    return found


def address_of(benchmark: Benchmark, clip_id: str) -> str:
    """Returns where the sound of a clip (of a pair: of its first one) is heard."""
    return link(f"/sounds/{quoted(benchmark.id)}/{quoted(clip_id)}", version=benchmark.version)


def ranged(request: Request, content: bytes, media_type: str, tag: str) -> Response:
    """Returns a file, or the part of it that was asked for: players seek by that.

    Several ranges at once, and what is no range, are answered with the whole.

    Args:
        request: with its headers `Range`, `If-Range` and `If-None-Match`.
        content: of the file.
        media_type: of the file.
        tag: tells its content from others.
    """
    quoted_tag, size = f'"{tag}"', len(content)
    headers = {
        "ETag": quoted_tag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    if is_known(request, quoted_tag):
        return Response(None, 304, headers)
    wish = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if wish is None or not any(wish.groups()) or request.headers.get("if-range", quoted_tag) != quoted_tag:
        return _sent(request, content, 200, headers, media_type)
    first, last = wish.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        return Response(None, 416, {**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    return _sent(request, content[begin:end], 206, headers, media_type)


def _sent(request: Request, content: bytes, status: int, headers: dict[str, str], media_type: str) -> Response:
    if request.method == "HEAD":
        return Response(None, status, {**headers, "Content-Length": str(len(content))}, media_type)
    return Response(content, status, headers, media_type)


def _as_allowed(clip: Clip, forbidden: str) -> Clip:
    """Returns a clip without its sound where a licence forbids to play it to whoever asks, and the reason."""
    return replace(clip, parts=(), where=(forbidden,), links=tuple(_upstream(clip.row))) if forbidden and clip.parts else clip


def _told(text: str) -> str:
    """Returns what is said of a sound as visitors should know it: the folders of this machine are nobody's business."""
    return _FOLDERS.sub("", text).replace("The row holds no sound", "The sound is not on this hub")


def _upstream(row: Mapping[str, Any]) -> list[str]:
    """Returns the addresses at which people find the sounds of a row."""
    found = []
    for ref in (row.get("audio_ref") or {}, row.get("audio_ref_b") or {}):
        url, key = ref.get("url") or "", ref.get("key") or ""
        if url.startswith("https://"):
            found.append(url)
        elif ref.get("kind") == "youtube" and _VIDEO.fullmatch(key):
            found.append(f"https://www.youtube.com/watch?v={key}&t={int(ref.get('start_s') or 0)}s")
    return found


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds the routes."""
    sounds, hub = sounds_of(app, site.hub), site.hub

    def of_benchmark(request: Request, benchmark_id: str, clip_id: str) -> Clip:
        version = whole(request.query_params, "version", 0, 0, 10**6) or None
        return sounds.of_benchmark(hub.benchmark(benchmark_id, version), clip_id, request.state.actor)

    def heard(request: Request, clip: Clip) -> Response:
        side = one_of(request.query_params, "side", SIDES, "a")
        part = next((one for one in clip.parts if one.side == side and one.content), None)
        if part is None:
            raise UnknownNameError(f"sound of {clip.id} on this hub", side, [one.side for one in clip.parts if one.content])
        return ranged(request, part.content, part.media_type, part.tag)

    def seen(request: Request, clip: Clip) -> Response:
        side = one_of(request.query_params, "side", SIDES, "a")
        tag = tag_of(clip.source and clip.source.digest, clip.id, side)
        headers = {"ETag": tag, "Cache-Control": f"private, max-age={MAX_AGE_S}", "X-Content-Type-Options": "nosniff"}
        if clip.parts and is_known(request, tag):
            return Response(None, 304, headers)
        return Response(sounds.picture(clip, side), 200, headers, "image/png")

    @app.api_route("/sounds/{benchmark_id}/{clip_id:path}", methods=["GET", "HEAD"], include_in_schema=False, response_model=None)
    def sound(request: Request, benchmark_id: str, clip_id: str) -> Response:
        return heard(request, of_benchmark(request, benchmark_id, clip_id))

    @app.get("/pictures/{benchmark_id}/{clip_id:path}.png", include_in_schema=False, response_model=None)
    def picture(request: Request, benchmark_id: str, clip_id: str) -> Response:
        return seen(request, of_benchmark(request, benchmark_id, clip_id))

    @app.api_route("/row-sounds/{config}/{id_:path}", methods=["GET", "HEAD"], include_in_schema=False, response_model=None)
    def row_sound(request: Request, config: str, id_: str) -> Response:
        return heard(request, sounds.of_set(config, id_, request.state.actor))

    @app.get("/row-pictures/{config}/{id_:path}.png", include_in_schema=False, response_model=None)
    def row_picture(request: Request, config: str, id_: str) -> Response:
        return seen(request, sounds.of_set(config, id_, request.state.actor))
