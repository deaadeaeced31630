"""What of a built set people may see: on a hub with sign-in, what its licences let everybody publish, and no private reference.

Admins see everything, and so does the person at a machine without sign-in.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...dataset_scripts.built import BuiltSet
from ...dataset_scripts.card import Card, cards_of
from ...dataset_scripts.source import SOURCES, source
from ...leaderboard.hub import Actor, Hub

_ADMINS_ONLY = "Only admins of this hub see it."


@dataclass(frozen=True)
class Rights:
    """What somebody may see of a built set.

    Attributes:
        splits: splits of which rows may be shown, as far as licences allow.
        closed: splits that hold private references of a benchmark.
        texts: why texts may not be shown; empty where they may.
        sound: likewise.
    """

    splits: tuple[str, ...]
    closed: tuple[str, ...] = ()
    texts: str = ""
    sound: str = ""


def rights_in(hub: Hub, actor: Actor | None, one: BuiltSet) -> Rights:
    """Returns what somebody may see of a set.

    Args:
        hub: knows benchmarks.
        actor: who asks; None for nobody.
        one: the set.
    """
    if actor is not None and actor.is_admin:
        return Rights(one.splits)
    closed = tuple(split for split in one.splits if is_private_set(hub, one.config, split) or _draws_on_private(hub, one))
    return Rights(
        tuple(split for split in one.splits if split not in closed), closed, _forbidden(one, "text"), _forbidden(one, "audio")
    )


def is_private_set(hub: Hub, config: str, split: str) -> bool:
    """Tells whether a benchmark with private references is made from a split: then none of its rows may be shown."""
    return any(one == (config, _known_as(config, split)) for one in _private(hub))


def _private(hub: Hub) -> set[tuple[str, str]]:
    known = [*hub.benchmarks(), *hub.store.benchmarks()]
    return {(one.config, _known_as(one.config, one.split)) for one in known if one.is_private and one.config}


def _known_as(config: str, split: str) -> str:
    """Returns a split by the name under which it is built, whichever of its names a benchmark uses."""
    return source(config).split_aliases.get(split, split) if config in SOURCES.names() else split


def _draws_on_private(hub: Hub, one: BuiltSet) -> bool:
    """Tells whether a mixture holds rows that are private elsewhere."""
    private = _private(hub)
    for drawn in one.manifest.get("mixture", {}).get("sets", ()):
        config, _, split = drawn["set"].partition("/")
        if any(config == closed and (not split or _known_as(config, split) == part) for closed, part in private):
            return True
    return False


def _forbidden(one: BuiltSet, kind: str) -> str:
    """Returns why the `text` or the `audio` of a set may not be shown to everybody; empty where it may."""
    for card in cards_here(one):
        if kind not in card.redistribution:
            licence = card.license_text if kind == "text" else card.license_audio
            what = {"text": "texts", "audio": "sound"}[kind]
            return f"The {what} of {card.name} may not be published by everybody ({licence.rstrip('.')}). {_ADMINS_ONLY}"
    return "" if cards_here(one) else f"Nobody says what of this set may be published. {_ADMINS_ONLY}"


def cards_here(one: BuiltSet) -> list[Card]:
    """Returns the cards that tell about a built set; none for one that nobody describes."""
    try:
        return cards_of(one.config, one.manifest)
    except FileNotFoundError:
        return []
