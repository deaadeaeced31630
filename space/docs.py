"""Writes what must never rot: the tables of README.md and the folders that `evaluate.load` reads.

A table stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; everything between is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from ..dataset_scripts import errors
from ..dataset_scripts.card import clips_in_words
from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from ..dataset_scripts.source import describe_sources
from ..evaluators import hub_files
from ..evaluators.metric import range_in_words
from ..evaluators.score import describe_metrics
from ..evaluators.tasks.meta import FACETS, saved_results
from ..leaderboard.benchmark import newest, shipped_benchmarks


def write_docs(root: Path, commands: Iterable[tuple[str, str]], check: bool = False) -> list[Path]:
    """Brings all generated files up to date.

    Args:
        root: the project's folder.
        commands: name and summary of every command.
        check: only tell what would change.

    Returns:
        The files that are out of date (or were, when written).

    Raises:
        InputError: `root` is not the project's folder, or a marker is missing.
    """
    readme = root / "README.md"
    if not (root / "evaluators").is_dir() or not readme.is_file():
        raise InputError(f"{root.resolve()} is not the project's folder; run `uac docs` where README.md is, or give --root.")
    wanted = {readme: _with_tables(readme.read_text(encoding="utf-8"), commands)}
    for folder in hub_files.names():
        for name, text in hub_files.render(folder).items():
            wanted[root / "evaluators" / "hub" / folder / name] = text
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if not check:
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    return changed


def _with_tables(text: str, commands: Iterable[tuple[str, str]]) -> str:
    tables = {
        "sources": _sources(),
        "metrics": _metrics(),
        "benchmarks": _benchmarks(),
        "commands": _rows(("command", "what it does"), ((f"`uac {name}`", summary) for name, summary in commands)),
        "meta": _meta(),
        "settings": _settings(),
        "errors": _errors(),
    }
    for name, lines in tables.items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        table = "\n".join(lines)
        text, count = pattern.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise InputError(
                f"README.md has {count} places for the table {name!r}; expected one <!-- {name}:begin --> … :end -->."
            )
    return text


def _rows(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    header = list(header)
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"


def _sources() -> Iterator[str]:
    rows = []
    for s in describe_sources():
        rows.append((f"`{s['name']}`", s["title"], s["release"], clips_in_words(s["clips"]), s["license_text"], s["needs"]))
    return _rows(("config", "dataset", "release", "clips", "text licence", "needs"), rows)


def _metrics() -> Iterator[str]:
    rows = []
    for m in describe_metrics():
        components = ", ".join(f"`{name}`" for name in m["components"]) or "–"
        rows.append((f"`{m['name']}`", m["title"], range_in_words(*m["range"]), components, m["source"]))
    return _rows(("metric", "name in the literature", "range", "components", "source"), rows)


def _benchmarks() -> Iterator[str]:
    rows = [
        (
            f"`{b.id}`",
            str(b.version),
            b.title,
            f"{b.n_items:,}" if b.is_frozen else "–",
            f"`{b.primary_metric}`",
            f"`{b.build_command()}`",
            f"`{b.digest}`" if b.is_frozen else "by the hub that opens it",
        )
        for b in newest(shipped_benchmarks())
    ]
    return _rows(("benchmark", "version", "title", "items", "ranked by", "references from", "definition"), rows)


def _meta() -> Iterator[str]:
    columns = (*FACETS, "total")
    rows = []
    for name, results in saved_results().items():
        for metric, found in results.items():
            figures = (f"{100 * found['accuracy'][one]:.1f}" if one in found["accuracy"] else "–" for one in columns)
            rows.append((f"`{name}`", f"`{metric}`", *figures, f"`{found['digest']}`"))
    return _rows(("pairs", "metric", *columns, "signature"), rows)


def _settings() -> Iterator[str]:
    meaning = dict(re.findall(r"^ +(\w+): (.+?) \(`UAC_", Settings.__doc__ or "", re.MULTILINE))
    rows = [
        (f"`UAC_{f.name.upper()}`", f"`{f.default}`" if str(f.default) else "–", meaning.get(f.name, ""))
        for f in fields(Settings)
    ]
    return _rows(("variable", "default", "meaning"), rows)


def _errors() -> Iterator[str]:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.UnifiedAudioCapsError)]
    rows = [(f"`{c.__name__}`", c.__bases__[-1].__name__, (c.__doc__ or "").split("\n")[0]) for c in classes]
    return _rows(("exception", "is also", "meaning"), rows)
