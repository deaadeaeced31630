"""The captions that both sides score: AudioCaps' test clips, and odd ones made on the spot."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from unified_audiocaps.evaluators.pairs import CaptionPairs

NOUNS = "dog rain engine man woman bird crowd siren door water wind baby train guitar footsteps café Straße naïveté".split()
VERBS = "barks falls idles speaks laughs chirps cheers wails slams splashes cries passes isn't can't cannot gonna".split()
OTHERS = "a the an in on with while loudly softly nearby and then as of by".split()
ODD = (
    "3.5 10:30 2,000 1/2 50% $5 7th 1990s e.g. U.S. Mr. p.m. #tag @me <tag> AT&T R&B &amp; C++ www.example.com x@y.org "
    "high-pitched two-stroke and/or dog's it's they're o'clock 'tis rock'n'roll (loudly) [music] {noise} \"quoted\" “curly” "
    "\u2018single\u2019 — – … ... !!! ?! -- - ; : , . ! ? * _ / | & + = ~ ^ ` '' `` :) 🎵 👩\u200d👧 雨が降る 下雨 дождь идёт "
    "βροχή مطر बारिश 비가 ½ € £ © × ÷ ° ²"
).split()
SPACES = (" ",) * 24 + ("  ", "\t", "\u00a0", ", ", " . ", "; ", " - ", "\n", "\r\n", "\u2028", "\x0b")
GLUE = ("", ",", ".", "-", "/", "'", ". ", "\u3000")  # makes words that nobody writes


def audiocaps(real_dir: Path) -> CaptionPairs:
    """Returns the test clips: the first caption as candidate, the other four as references."""
    path = real_dir / "wavcaps_copies" / "AudioCaps" / "csv_files" / "test.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    references = [tuple(row[f"caption_{n}"] for n in range(2, 6)) for row in rows]
    return CaptionPairs(tuple(row["file_name"] for row in rows), tuple(row["caption_1"] for row in rows), tuple(references))


def odd(n: int, seed: int, references: tuple[int, int], *, is_glued: bool = False) -> CaptionPairs:
    """Returns `n` items of random text: punctuation, numbers, scripts, emoji, line breaks, empty candidates.

    Every reference holds a word, because aac-metrics divides by the length of a reference.

    Args:
        n: how many.
        seed: of the draws.
        references: the fewest and the most per item.
        is_glued: whether some neighbours stand without a space, or with signs, between them.
    """
    draw = random.Random(seed)
    gaps = SPACES + GLUE if is_glued else SPACES
    items = [_item(draw, draw.randint(*references), gaps) for _ in range(n)]
    return CaptionPairs.in_order([candidate for candidate, _ in items], [texts for _, texts in items])


def _item(draw: random.Random, n_references: int, gaps: tuple[str, ...]) -> tuple[str, list[str]]:
    words = _words(draw)
    texts = [_text(draw, _changed(draw, words), gaps) for _ in range(n_references)]
    kind = draw.random()
    if kind < 0.04:
        return draw.choice(["", " ", "...", "\u00a0", "?! -- …"]), texts
    if kind < 0.08:
        return draw.choice(texts), texts
    return _text(draw, _changed(draw, words) if kind < 0.8 else [*_words(draw), draw.choice(NOUNS)], gaps), texts


def _words(draw: random.Random) -> list[str]:
    return [draw.choice(draw.choice((NOUNS, VERBS, OTHERS, OTHERS, ODD))) for _ in range(draw.randint(1, 14))]


def _changed(draw: random.Random, words: list[str]) -> list[str]:
    """Returns most of the words, some twice, some in another case, and a noun that is surely a word."""
    kept = [word for word in words if draw.random() < 0.85]
    found = [
        draw.choice((word, word, word, word.upper(), word.capitalize())) if word.replace("'", "").isalpha() else word
        for word in kept
    ]
    if found and draw.random() < 0.2:
        found.append(found[0])
    return [*found, draw.choice(NOUNS)]


def _text(draw: random.Random, words: list[str], gaps: tuple[str, ...]) -> str:
    return "".join(word + draw.choice(gaps) for word in words[:-1]) + " " + words[-1] + draw.choice(("", "", "", ".", " .", "!"))
