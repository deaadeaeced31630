"""What leaves a hub: boards as csv, parquet, json, LaTeX, BibTeX and badges; pure functions.

csv, parquet and json hold scores in their native range and in full precision (rounded where references are private); LaTeX and
badges, which people read, show them times 100 with two decimals. Names come from submitters: every format escapes them.
"""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from ...dataset_scripts.errors import UnknownNameError
from ...dataset_scripts.source import SOURCES, source
from ..benchmark import Benchmark
from .csv_text import csv_table
from .ranking import Board, BoardColumn, BoardRow

if TYPE_CHECKING:
    import pyarrow as pa

    from .published import ReportedResult

# a spreadsheet takes what begins so for a formula; the wide forms too, where its language has them
# numbers of things, which nobody reads times 100
_COUNTS = frozenset("vocab vocab_references vocab_references_drawn unique_captions length_candidates length_references".split())
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # a brace behind a backslash would still count for BibTeX
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{letter: f"\\{letter}" for letter in "$&#_%"},
}
# Verdana at 11 pixels, which badges are drawn in: letters that are narrower or wider than most
_GLYPHS_PX = {
    **dict.fromkeys("ijl|'", 3.2),
    **dict.fromkeys(".,:; /!I()[]ft-", 4.6),
    **dict.fromkeys('rsJ"*', 5.4),
    **dict.fromkeys("mwMW%@", 10.4),
    **dict.fromkeys("ABCDEGHKNOPQRUVXY+=<>#&", 8.2),
}
_USUAL_PX, _WIDE_PX, _MARGIN_PX = 6.9, 11.0, 5.0
_BADGE_CHARACTERS = 100
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


# -- tables for programs -------------------------------------------------------------------------------------------------------


def board_csv(board: Board) -> bytes:
    """Returns a board as UTF-8 csv: a header, then a line per system.

    Every score has four columns: its value, the ends of its 95 % interval, and the digest of its signature, which is empty where
    the system's own report does not say how it was measured.
    """
    records = list(_records(board))
    lines = [list(_fields(board)), *([_text(value) for value in record.values()] for record in records)]
    return csv_table(lines).encode()


def reported_csv(results: Iterable[ReportedResult]) -> bytes:
    """Returns numbers that papers report as UTF-8 csv, each with its flags."""
    described = [one.describe() for one in results]
    names = list(described[0]) if described else []
    lines = [names]
    for one in described:
        flags = "; ".join(f"{flag['level']} ({flag['rule']}): {flag['text']}" for flag in one["flags"])
        lines.append([_text(value) for value in {**one, "flags": flags}.values()])
    return csv_table(lines).encode()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _iso(value)
    return "; ".join(value) if isinstance(value, list) else str(value)


def board_parquet(board: Board) -> bytes:
    """Returns a board as parquet, with the columns of `board_csv` and their types.

    Its key-value metadata says what was measured: `benchmark`, `version`, `digest`, `items_sha256`, `ranked_by`, `scope`,
    `revision`, and `signatures`, json of column name to signature.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {
        "benchmark": board.benchmark.id,
        "version": str(board.benchmark.version),
        "digest": board.benchmark.digest,
        "items_sha256": board.benchmark.items_sha256,
        "ranked_by": board.ranked_by,
        "scope": board.scope,
        "revision": str(board.revision),
        "signatures": json.dumps({column.name: column.signature for column in board.columns}, sort_keys=True),
    }
    schema = pa.schema(list(_fields(board).items()), about)
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(_records(board)), schema), stream, compression="zstd")
    return stream.getvalue()


def _value_names(board: Board) -> list[str]:
    """Returns the names of all scores: those of the columns, then those that only reports have."""
    names = dict.fromkeys(column.name for column in board.columns)
    reported = {name for row in board.rows for name in row.values} - names.keys()
    place = {name: at for at, name in enumerate(board.benchmark.metrics)}
    return [*names, *sorted(reported, key=lambda name: (place.get(name, len(place)), name))]


def _fields(board: Board) -> dict[str, pa.DataType]:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    fields = dict.fromkeys(("rank", "rank_low", "rank_high", "tie_group"), pa.int32())
    fields.update(dict.fromkeys(("system", "organisation", "hub_repo"), text), parameters=pa.int64(), open_weights=pa.bool_())
    fields.update(dict.fromkeys(("license_text", "paper_url", "code_url"), text), training_data=pa.list_(text))
    fields.update(description=text, submission=text, submitted_at=pa.timestamp("us", tz="UTC"))
    fields.update(attempts=pa.int32(), provenance=text)
    for name in _value_names(board):
        fields.update({name: number, f"{name}_low": number, f"{name}_high": number, f"{name}_signature": text})
    return fields


def _records(board: Board) -> Iterable[dict[str, Any]]:
    digests = {column.name: column.digest for column in board.columns}
    names = _value_names(board)
    for row in board.rows:
        about = row.system.to_json()
        record = {
            "rank": row.rank,
            "rank_low": row.low,
            "rank_high": row.high,
            "tie_group": row.tie_group,
            "system": about.pop("name"),
            **about,
            "submission": row.submission_id,
            "submitted_at": datetime.fromtimestamp(row.submitted_at, UTC),
            "attempts": row.attempts,
            "provenance": row.provenance,
        }
        for name in names:
            value = row.values.get(name)
            low, high = row.intervals.get(name, (None, None))
            is_ours = row.provenance == "verified" and value is not None
            record |= {name: value, f"{name}_low": low, f"{name}_high": high}
            record[f"{name}_signature"] = digests.get(name) if is_ours else None
        yield record


def board_json(board: Board, start: int = 0, end: int | None = None) -> dict[str, Any]:
    """Returns a board as plain values, as the API and `uac board --json` tell it.

    `benchmark` describes what was measured, `columns` has every score's name, title, direction and signature, and `rows` the
    systems in the order of the board, from place `start` up to `end`; a value that is no finite number is null.
    """
    difference = board.minimal_detectable_difference
    return {
        "benchmark": board.benchmark.describe(),
        "ranked_by": board.ranked_by,
        "scope": board.scope,
        "compared": board.compared,
        "minimal_detectable_difference": None if difference is None else _finite(board.benchmark.told(difference)),
        "notes": list(board.notes),
        "revision": board.revision,
        "columns": [asdict(column) for column in board.columns],
        "n_rows": len(board.rows),
        "rows": [_row_json(row) for row in board.rows[start:end]],
    }


def _row_json(row: BoardRow) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "low": row.low,
        "high": row.high,
        "tie_group": row.tie_group,
        "system": row.system.to_json(),
        "account": row.account,
        "submission_id": row.submission_id,
        "submitted_at": row.submitted_at,
        "attempts": row.attempts,
        "provenance": row.provenance,
        "values": {name: _finite(value) for name, value in row.values.items()},
        "intervals": {name: [_finite(low), _finite(high)] for name, (low, high) in row.intervals.items()},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


# -- for papers ----------------------------------------------------------------------------------------------------------------


def latex_text(text: str) -> str:
    r"""Returns a text that LaTeX and BibTeX print as it is.

    >>> print(latex_text("50% of {A_b} & more"))
    50\% of \textbraceleft{}A\_b\textbraceright{} \& more
    """
    plain = " ".join(_visible(text).split())
    # two hyphens would be joined to a dash
    return re.sub(r"-(?=-)", "-{}", "".join(_LATEX.get(letter, letter) for letter in plain))


def _visible(text: str) -> str:
    return "".join(" " if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} else letter for letter in text)


def shown(value: float, name: str) -> str:
    """Returns a score as people read it: times 100 with two decimals; numbers of things as they are.

    >>> shown(0.67321, "cider_d"), shown(1234.0, "vocab")
    ('67.32', '1234')
    """
    return f"{value:.0f}" if name in _COUNTS else f"{100 * value:.2f}"


def ranks_shown(row: BoardRow, dash: str = "-") -> str:
    """Returns the rank with the range that the data allow.

    `2`, `2 (1-3)`, or nothing for a system that is not ranked.
    """
    if row.rank is None:
        return ""
    if row.low is None or row.high is None or row.low == row.high == row.rank:
        return str(row.rank)
    return f"{row.rank} ({row.low}{dash}{row.high})" if row.low != row.high else f"{row.rank} ({row.low})"


def board_latex(board: Board, columns: Sequence[str] | None = None) -> str:
    """Returns a board as a LaTeX table (package booktabs), the best score of each column in bold.

    Systems that report their own numbers stand below a line, and are never in bold.

    Args:
        board: the board.
        columns: names of the columns; None for the metrics without their components.

    Raises:
        UnknownNameError: the board has no such column.
    """
    chosen = _chosen(board, columns)
    ours = [row for row in board.rows if row.provenance == "verified"]
    reported = [row for row in board.rows if row.provenance != "verified"]
    best = {column.name: _best(ours, column) for column in chosen}
    lines = [f"% {column.title} [{column.digest}]: {_comment(column.signature)}" for column in chosen]
    titles = [latex_text(column.title) + ("" if column.higher_is_better else r" $\downarrow$") for column in chosen]
    lines += [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(board, chosen, bool(reported))}}}",
        rf"\label{{tab:{board.benchmark.id}-v{board.benchmark.version}}}",
        rf"\begin{{tabular}}{{rl{'r' * len(chosen)}}}",
        r"\toprule",
        rf"{' & '.join(['Rank', 'System', *titles])} \\",
        r"\midrule",
    ]
    lines += [_latex_row(row, chosen, best) for row in ours]
    lines += [r"\midrule"] if ours and reported else []
    lines += [_latex_row(row, chosen, {}) for row in reported]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _chosen(board: Board, columns: Sequence[str] | None) -> list[BoardColumn]:
    known = {column.name: column for column in board.columns}
    if columns is None:
        return [column for column in board.columns if column.name == column.metric]
    for name in columns:
        if name not in known:
            raise UnknownNameError("column of this board", name, known)
    return [known[name] for name in columns]


def _best(rows: Iterable[BoardRow], column: BoardColumn) -> str:
    """Returns the best score of a column as it is shown, empty where nobody has one."""
    values = [row.values[column.name] for row in rows if column.name in row.values]
    return shown((max if column.higher_is_better else min)(values), column.name) if values else ""


def _latex_row(row: BoardRow, columns: Sequence[BoardColumn], best: Mapping[str, str]) -> str:
    mark = "" if row.provenance == "verified" else r"$^\dagger$"
    cells = [ranks_shown(row, "--") or "--", latex_text(row.system.name) + mark]
    for column in columns:
        text = shown(row.values[column.name], column.name) if column.name in row.values else "--"
        cells.append(rf"\textbf{{{text}}}" if text == best.get(column.name) else text)
    return rf"{' & '.join(cells)} \\"


def _caption(board: Board, columns: Sequence[BoardColumn], has_reports: bool) -> str:
    one = board.benchmark
    digests = ", ".join(rf"{latex_text(c.title)} \texttt{{{latex_text(c.digest)}}}" for c in columns) or "none yet"
    told = [
        f"{latex_text(one.title)}, version {one.version}{f', {latex_text(board.scope)}' if board.scope else ''}: "
        rf"{one.n_items} items, digest \texttt{{{one.digest}}}.",
        r"Scores are multiplied by 100.",
        f"Ranked by {latex_text(_title(board, board.ranked_by))}; in parentheses the ranks that the data allow at 95\\,\\%.",
        f"Metric signatures: {digests}.",
    ]
    return " ".join([*told, *([r"$^\dagger$\,Reported by its authors, not ranked."] if has_reports else [])])


def _comment(text: str) -> str:
    return " ".join(_visible(text).split())


def _title(board: Board, name: str) -> str:
    return next((column.title for column in board.columns if column.name == name), name)


def board_bibtex(board: Board, *, on: date, url: str = "") -> str:
    """Returns BibTeX entries for the data of a benchmark and for the state of its board.

    Args:
        board: the board.
        on: the day of the state.
        url: where the board is to be seen; may be empty.
    """
    one = board.benchmark
    entries = [entry for entry in (_data_bibtex(one),) if entry]
    told = [
        f"Revision {board.revision} of {on.isoformat()}",
        f"benchmark {one.id}, version {one.version}, digest {one.digest}",
        f"ranked by {_title(board, board.ranked_by)}",
        *(f"{column.title} {column.digest}" for column in board.columns if column.name == column.metric),
    ]
    fields = {
        "title": f"{{{latex_text(f'Leaderboard: {one.title}')}}}",
        "year": str(on.year),
        "month": str(on.month),
        "howpublished": "unified-audiocaps",
        "note": latex_text("; ".join(told)),
        "url": re.sub(r"[{}\\\s]", "", url),
    }
    key = f"leaderboard-{one.id}-v{one.version}-r{board.revision}"
    return "\n\n".join([*entries, _entry(key, fields)]) + "\n"


def _data_bibtex(one: Benchmark) -> str:
    if one.config in SOURCES.names() and source(one.config).card.bibtex:
        return source(one.config).card.bibtex
    if not one.citation.strip():
        return ""
    return _entry(f"data-{one.id}-v{one.version}", {"title": f"{{{latex_text(one.title)}}}", "note": latex_text(one.citation)})


def _entry(key: str, fields: Mapping[str, str]) -> str:
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{text}}}," for name, text in fields.items() if text), "}"])


# -- badges --------------------------------------------------------------------------------------------------------------------


def badge_svg(board: Board, row: BoardRow) -> str:
    """Returns a badge for a system's own page: benchmark and version, score, rank.

    Args:
        board: the board.
        row: a row of it.
    """
    where = board.benchmark.title + (f", {board.scope}" if board.scope else "")
    label, message = _clipped(where), _clipped(f"{_score_told(board, row)}, {_rank_told(row)}")
    left, right = _width_px(label), _width_px(message)
    width = left + right
    colour = "#1f6feb" if row.rank is not None else "#6e7781"
    told, label, message = (escape(text, {'"': "&quot;"}) for text in (f"{label}: {message}", label, message))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{told}">'
        f"<title>{told}</title>"
        f'<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444d56"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{label}</text><text x="{left + right / 2:g}" y="14">{message}</text></g></svg>\n'
    )


def _score_told(board: Board, row: BoardRow) -> str:
    value = row.values.get(board.ranked_by)
    return f"{_title(board, board.ranked_by)} {'not scored' if value is None else shown(value, board.ranked_by)}"


def _rank_told(row: BoardRow) -> str:
    if row.rank is None:
        return "not ranked" if row.provenance == "verified" else row.provenance.replace("_", "-")
    if row.low is None or row.high is None or row.low == row.high:
        return f"rank {row.rank}"
    return f"rank {row.low}-{row.high}"


def _clipped(text: str) -> str:
    plain = " ".join(_NOT_IN_XML.sub(" ", text).split())
    return plain if len(plain) <= _BADGE_CHARACTERS else plain[: _BADGE_CHARACTERS - 1] + "…"


def _width_px(text: str) -> int:
    return math.ceil(2 * _MARGIN_PX + sum(map(_glyph_px, text)))


def _glyph_px(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in {"W", "F"}:
        return _WIDE_PX
    return _GLYPHS_PX.get(letter, _USUAL_PX)
