"""Dataset cards: `cards/<name>.md` here, and the README.md of the built folder, which tells `datasets` what lies where."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from .atomic import write_text
from .manifest import built_configs, read_manifest

DEFAULT_CONFIG = "sample"
_FIELDS = ("license_text", "license_audio", "homepage", "citation", "clips")


@dataclass(frozen=True)
class Citation:
    """A publication to cite; the sentence and the BibTeX entry are made of the same fields, so that they cannot differ.

    Attributes:
        authors: initials and last names, with commas between the authors.
        title: of the publication.
        year: when it was published.
        journal: of an article.
        volume: of the journal.
        booktitle: the conference or workshop of a paper.
        pages: first and last, `90-94`.
        doi: without an address.
        arxiv: number of the preprint.
        url: where there is neither of the two.
    """

    authors: str
    title: str
    year: int
    journal: str = ""
    volume: int | None = None
    booktitle: str = ""
    pages: str = ""
    doi: str = ""
    arxiv: str = ""
    url: str = ""

    def text(self) -> str:
        """Returns it as one line.

        >>> Citation("A. B. Ng, C. Ås", "Title", 2024, booktitle="ICASSP", pages="1-5", arxiv="2401.00001").text()
        'A. B. Ng, C. Ås (2024). Title. ICASSP, pages 1-5. arXiv:2401.00001.'
        """
        venue = " ".join(map(str, filter(None, [self.journal or self.booktitle, self.volume])))
        where = [", ".join(filter(None, [venue, self.pages and f"pages {self.pages}"])), self.doi and f"doi:{self.doi}"]
        where += [self.arxiv and f"arXiv:{self.arxiv}", self.url]
        return " ".join(f"{part}." for part in [f"{self.authors} ({self.year})", self.title, *filter(None, where)])

    def bibtex(self, name: str) -> str:
        """Returns it as a BibTeX entry.

        >>> print(Citation("A. B. Ng, C. Ås", "WavSet: Title", 2024, booktitle="ICASSP").bibtex("wavset"))
        @inproceedings{ng2024wavset,
          author = {A. B. Ng and C. Ås},
          title = {{WavSet: Title}},
          booktitle = {ICASSP},
          year = {2024},
        }

        Args:
            name: the dataset's, for the key.
        """
        authors = self.authors.split(", ")
        last = unicodedata.normalize("NFKD", authors[0].split()[-1]).encode("ascii", "ignore").decode().lower()
        kind = "article" if self.journal else "inproceedings" if self.booktitle else "misc"
        fields = {
            "author": " and ".join(one if "." in one else f"{{{one}}}" for one in authors),  # a group has no initials
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "volume": self.volume,
            "booktitle": self.booktitle,
            "pages": self.pages.replace("-", "--"),
            "year": self.year,
            "doi": self.doi,
            "eprint": self.arxiv,
            "archivePrefix": self.arxiv and "arXiv",
            "url": self.url,
        }
        lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
        return "\n".join([f"@{kind}{{{re.sub(r'[^a-z]', '', last)}{self.year}{name},", *lines, "}"])


@dataclass(frozen=True)
class Card:
    """What people must know about a dataset before they use it.

    Attributes:
        name: config name.
        license_text: terms of the captions and questions.
        license_audio: terms of the sound.
        homepage: the publisher's page.
        citation: how to cite it, one line.
        bibtex: the same as a BibTeX entry.
        clips: documented number of clips per split, None where nobody documents it.
        redistribution: what the terms allow to be published again: `text`, `audio`, both or nothing.
        prose: a page of text with the known defects, Markdown.
    """

    name: str
    license_text: str
    license_audio: str
    homepage: str
    citation: str
    bibtex: str = ""
    clips: dict[str, int | None] = field(default_factory=dict)
    redistribution: tuple[str, ...] = ()
    prose: str = ""

    @classmethod
    def load(cls, name: str) -> Card:
        """Returns the card of a dataset.

        Raises:
            FileNotFoundError: `cards/<name>.md` is missing (a mistake in this project).
            ValueError: its front matter lacks a field.
        """
        return _load(name)


@functools.cache
def _load(name: str) -> Card:
    import yaml

    text = resources.files(__package__).joinpath("cards", f"{name}.md").read_text(encoding="utf-8")
    front, prose = text.removeprefix("---\n").split("\n---\n", 1)
    values = yaml.safe_load(front)
    lacking = [key for key in _FIELDS if not values.get(key)]
    if lacking:
        raise ValueError(f"cards/{name}.md: the front matter lacks {', '.join(lacking)}")
    texts = {key: str(values[key]).strip() for key in _FIELDS if key not in {"citation", "clips"}}
    try:
        citation = Citation(**values["citation"])
    except TypeError as problem:
        raise ValueError(f"cards/{name}.md: the citation is wrong: {problem}") from None
    redistribution = tuple(values.get("redistribution") or ())
    if unknown := set(redistribution) - {"text", "audio"}:
        raise ValueError(f"cards/{name}.md: redistribution holds {sorted(unknown)}; expected text and audio")
    return Card(
        name=name,
        citation=citation.text(),
        bibtex=citation.bibtex(name),
        clips=dict(values["clips"]),
        redistribution=redistribution,
        prose=prose.strip(),
        **texts,
    )


def write_readme(data: Path) -> None:
    """Writes `data`/README.md from the manifests that lie there; does nothing when it already says so."""
    text = render(data)
    path = data / "README.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def render(data: Path) -> str:
    """Returns the Hub README of the folder `data`: YAML with one entry per config and split, then a section per config."""
    import yaml

    configs, sections = [], []
    for name in built_configs(data):
        manifest = read_manifest(data / "data" / name)
        if manifest is None or not manifest["splits"]:
            continue
        files = [{"split": split, "path": f"data/{name}/{split}-*.parquet"} for split in manifest["splits"]]
        configs.append({"config_name": name, "data_files": files, **({"default": True} if name == DEFAULT_CONFIG else {})})
        configs += _subset_configs(name, manifest)
        sections.append(_section(name, manifest, json.loads((data / "data" / name / "stats.json").read_text(encoding="utf-8"))))
    front = {
        "pretty_name": "unified-audiocaps",
        "license": "other",
        "license_name": "per-config",
        "license_link": "README.md",
        "language": ["en"],
        "task_categories": ["audio-text-to-text", "text-to-audio", "question-answering"],
        "tags": ["audio", "audio-captioning", "audio-question-answering"],
        "configs": configs,
    }
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{head}---\n\n{_INTRODUCTION}\n" + "\n".join(sections)


def cards_of(name: str, manifest: dict[str, Any]) -> list[Card]:
    """Returns the card of a built config, or for a mixture those of all its sets."""
    if "mixture" not in manifest:
        return [Card.load(name)]
    configs = dict.fromkeys(one["set"].partition("/")[0] for one in manifest["mixture"]["sets"])
    return [Card.load(config) for config in configs]


def subset_config(name: str, subset: str) -> str:
    """Returns the config name of a subset: `wavcaps_freesound`.

    >>> subset_config("wavcaps", "BBC_Sound_Effects")
    'wavcaps_bbc_sound_effects'
    """
    return f"{name}_{re.sub(r'[^a-z0-9]+', '_', subset.lower())}"


def _subset_configs(name: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns one config per subset, over the same shards, where a corpus has more than one."""
    shards: dict[str, dict[str, list[str]]] = {}
    for split, found in manifest["splits"].items():
        for shard in found["shards"]:
            if shard["subset"]:
                shards.setdefault(shard["subset"], {}).setdefault(split, []).append(f"data/{name}/{shard['file']}")
    if len(shards) < 2:
        return []
    return [
        {
            "config_name": subset_config(name, subset),
            "data_files": [{"split": split, "path": paths} for split, paths in by_split.items()],
        }
        for subset, by_split in shards.items()
    ]


_INTRODUCTION = """# unified-audiocaps

Audio-caption datasets under one schema: every config has the same columns, so any of them can be concatenated.

```python
from datasets import load_dataset

clips = load_dataset("unified-audiocaps", "sample", split="test")  # from the folder above this one; on the Hub, owner first
```

Each config has its own licences and its own known defects: read its section before you use it."""


_HEADER = [
    "| split | clips | captions | hours | mean s | mean words | absent | questions |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
]


def _mixture(name: str, manifest: dict[str, Any], stats: dict[str, Any]) -> str:
    """Returns the section of a mixture: what it is made of, and the licences of its sets."""
    mixture = manifest["mixture"]
    lines = [f"## {name}", "", f"{manifest['title']}: a mixture, digest `{mixture['digest']}`. {mixture['about']}".rstrip(), ""]
    for one in mixture["sets"]:
        drawn = f", {one['questions']:,} questions" if one["questions"] is not None else ""
        lines.append(f"- {one['set']} (release {one['release']}): {one['rows']:,} of {one['candidates']:,} rows{drawn}")
    avoided = mixture["recipe"]["decontaminate"]
    lines += [
        "",
        f"The licences and defects are those of its sets. Left out, held by other sets: {', '.join(avoided) or 'nothing'}.",
    ]
    lines += ["", *_HEADER, *(_row(split, figures) for split, figures in stats["splits"].items()), "", "Cite its sets:", ""]
    return "\n".join([*lines, *dict.fromkeys(f"- {card.citation}" for card in cards_of(name, manifest)), ""])


def _section(name: str, manifest: dict[str, Any], stats: dict[str, Any]) -> str:
    if "mixture" in manifest:
        return _mixture(name, manifest, stats)
    card = Card.load(name)
    lines = [
        f"## {name}",
        "",
        f"{manifest['title']}, release {manifest['release']}. Homepage: {card.homepage}",
        "",
        f"- Licence of the texts: {card.license_text}",
        f"- Licence of the sound: {card.license_audio}",
        "",
        *_HEADER,
        *(_row(split, figures) for split, figures in stats["splits"].items()),
    ]
    lines += [_row(f"{split} / {subset}", one) for split, subsets in stats["subsets"].items() for subset, one in subsets.items()]
    lines += _overlaps(stats)
    if sound := stats["total"].get("sound"):
        lines.append(
            f"\nSound: {sound.get('found', 0):,} of {sound.get('wanted', 0):,} clips; `stats.json` says what the others lack."
        )
    for split, reason in manifest["skipped"].items():
        lines.append(f"\n`{split}`: {reason}.")
    lines += ["", card.prose, "", f"Cite: {card.citation}", "", "```bibtex", card.bibtex, "```", ""]
    return "\n".join(lines)


def _overlaps(stats: dict[str, Any]) -> list[str]:
    """Returns what is said about the sound that other sets hold too."""
    marked = {name: sum(levels.values()) for name, levels in stats["total"].get("overlaps", {}).items()}
    dropped = {rule.removeprefix("overlap:"): n for rule, n in stats["dropped"].items() if rule.startswith("overlap:")}
    lines = []
    if marked:
        lines.append(f"\nMarked as held by other sets too: {', '.join(f'{name} {count:,}' for name, count in marked.items())}.")
    if dropped:
        lines.append(
            f"\nUpstream records left out, held by: {', '.join(f'{name} {count:,}' for name, count in dropped.items())}."
        )
    return lines


def _row(label: str, figures: dict[str, Any]) -> str:
    def shown(key: str, pattern: str) -> str:
        return "–" if figures[key] is None else format(figures[key], pattern)

    cells = [shown("rows", ",d"), shown("captions", ",d"), shown("hours", ",.2f")]
    cells += [
        shown("mean_duration_s", ".2f"),
        shown("mean_caption_words", ".2f"),
        shown("absent_share", ".1%"),
        shown("qa", ",d"),
    ]
    return f"| {label} | {' | '.join(cells)} |"


def clips_in_words(clips: Mapping[str, int | None]) -> str:
    """Returns the documented number of clips per split for people.

    >>> clips_in_words({"train": 49838, "test": None}), clips_in_words({"train": None, "test": None})
    ('train 49,838, test ?', 'not documented')
    """
    if all(count is None for count in clips.values()):
        return "not documented"
    return ", ".join(f"{split} {'?' if count is None else f'{count:,}'}" for split, count in clips.items())
