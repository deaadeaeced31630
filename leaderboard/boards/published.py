"""What papers report, number by number, and whether each number agrees with those printed around it.

The files in `papers/` hold one printed number per line. Nothing is corrected and nothing is left out: a number that cannot be
right is shown, with a flag that says what was computed from which printed numbers. Nothing here ranks: tools, splits and clips
differ from paper to paper.

A rule reads one printed row (some read a column, or the rows of other papers) and knows only what is printed. Every printed
number stands for all values that round to it, and a rule is violated only if none of them satisfies it. `consistency` is the
gravest finding: `mismatch`, what a formula says cannot be (the number that is derived, or the one that breaks an order);
`suspect`, what such a number is derived from, or a coincidence; `ok`, at least one formula, order or quote holds; `unchecked`,
there was none. That a number is in its range, or unlike its neighbours, does not make it ok.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from ...dataset_scripts.errors import RecordError, UnknownNameError

Level = Literal["ok", "suspect", "mismatch"]
Consistency = Literal["unchecked", "ok", "suspect", "mismatch"]
CONSISTENCIES: tuple[Consistency, ...] = get_args(Consistency)  # the gravest last
DOUBTS: tuple[Level, ...] = ("mismatch", "suspect")

FOLDER = Path(__file__).with_name("papers")
COLUMNS = (
    "benchmark,task,split,metric,higher_is_better,system,training_data,model,value,unit,scale,source_paper,table,row_group,note"
).split(",")
# arXiv identifiers: what a page links to, and, as they begin with year and month, which paper quotes which
PAPERS = {
    "WavCaps": "2303.17395",
    "AudioSetCaps": "2411.18953",
    "FusionAudio-1.2M": "2506.01111",
    "MECAT README (github.com/xiaomi-research/mecat @33da32b; paper arXiv:2507.23511)": "2507.23511",
    "ACAVCaps": "2603.24038",
}


# -- what is printed -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flag:
    """What one rule found about one number.

    Attributes:
        rule: its name, such as `spider` or `mean`.
        level: ok, suspect or mismatch.
        text: what was computed from what.
    """

    rule: str
    level: Level
    text: str


@dataclass(frozen=True)
class ReportedResult:
    """One number as a paper prints it.

    Attributes:
        benchmark: the paper's name of the data.
        task: such as `audio captioning`.
        split: the paper's name of the split.
        metric: the paper's name of the metric.
        higher_is_better: which way is good.
        system: the row's name.
        training_data: what the paper says it was trained on; empty where it says nothing.
        model: architecture; may be empty.
        printed: the number as it is printed, trailing zeros too.
        unit: such as `%` or `x100`; may be empty.
        scale: the range of the unit; empty where the metric has no upper end.
        source_paper: the paper.
        table: its table.
        row_group: heading above the row; may be empty.
        note: what a reader of the table has to know; may be empty.
        consistency: the gravest of `flags`.
        flags: what the rules found.
    """

    benchmark: str
    task: str
    split: str
    metric: str
    higher_is_better: bool
    system: str
    training_data: str
    model: str
    printed: str
    unit: str
    scale: str
    source_paper: str
    table: str
    row_group: str
    note: str
    consistency: Consistency = "unchecked"
    flags: tuple[Flag, ...] = ()

    @property
    def value(self) -> float:
        """The printed number, in the paper's unit."""
        return float(self.printed)

    @property
    def label(self) -> str:
        """What tells it from the numbers beside it: its metric, or the part of a suite that it was measured on."""
        return self.benchmark.split(": ")[1] if ": " in self.benchmark else self.metric

    @property
    def exact(self) -> Fraction:
        """The printed number, exactly."""
        return Fraction(self.printed)

    @property
    def half_unit(self) -> Fraction:
        """Half of the last printed place: how far the number may lie from what was rounded."""
        return Fraction(1, 2 * 10**self.decimals)

    @property
    def decimals(self) -> int:
        """How many places are printed behind the point."""
        return len(self.printed.partition(".")[2])

    @property
    def native_decimals(self) -> int:
        """How many places behind the point `native_value` is known to."""
        return self.decimals + (2 if self.scale.startswith("0-100") else 0)

    @property
    def native_value(self) -> float:
        """The number as our metrics give it: 0 to 1, CIDEr-D 0 to 10; as it is printed where there is no scale."""
        return float(self.exact / 100) if self.scale.startswith("0-100") else self.value

    @property
    def key(self) -> tuple[str, ...]:
        """What no other number has in common with this one."""
        place = (self.source_paper, self.table, self.row_group, self.system, self.training_data, self.model)
        return (*place, self.benchmark, self.split, self.metric)

    def describe(self) -> dict[str, Any]:
        """Returns all of it as plain JSON values."""
        more = {"value": self.value, "native_value": self.native_value}
        return {**asdict(self), **more, "benchmark_id": benchmark_id_of(self), "metric_id": metric_id_of(self)}


@dataclass(frozen=True)
class PublishedColumn:
    """A column of a table.

    Attributes:
        metric: the paper's name of the metric.
        benchmark: what it was measured on, in tables whose columns differ in that; None in the others.
        split: the same for the split; None too where a benchmark has but one.
    """

    metric: str
    benchmark: str | None = None
    split: str | None = None

    @property
    def title(self) -> str:
        """The heading: the metric, after what it was measured on where columns differ in that."""
        if self.benchmark is None:
            return self.metric
        on = self.benchmark.split(": ")[-1]
        return f"{on}{' ' + self.split if self.split else ''}, {self.metric.split(' (')[0]}"


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table: one system, with `None` for what the paper leaves empty.

    Attributes:
        system: the row's name.
        training_data: what the paper says it was trained on.
        model: architecture; may be empty.
        row_group: heading above the row; may be empty.
        benchmark: what all cells were measured on; None where columns differ in that.
        split: the same for the split.
        cells: one per column of the table.
    """

    system: str
    training_data: str
    model: str
    row_group: str
    benchmark: str | None
    split: str | None
    cells: tuple[ReportedResult | None, ...]

    @property
    def printed(self) -> tuple[ReportedResult, ...]:
        """The cells that are not empty."""
        return tuple(cell for cell in self.cells if cell is not None)


@dataclass(frozen=True)
class PublishedTable:
    """One table of one paper, in its order."""

    source_paper: str
    table: str
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]

    @property
    def name(self) -> str:
        """What the table is cited as, such as `WavCaps, Table V`."""
        return f"{self.source_paper.split(' (')[0]}, {self.table}"

    @property
    def arxiv(self) -> str | None:
        """The paper's arXiv identifier; None where it is not known."""
        return PAPERS.get(self.source_paper)

    def doubts(self) -> dict[str, Level]:
        """Returns what is wrong with the table: texts of its flags, in order, each at its gravest.

        The derived number and what it is derived from share a text.
        """
        found: dict[str, Level] = {}
        for row in self.rows:
            for cell in row.printed:
                for flag in cell.flags:
                    if flag.level in DOUBTS and found.get(flag.text) != "mismatch":
                        found[flag.text] = flag.level
        return found

    def notes(self) -> dict[str, dict[str, None]]:
        """Returns what a reader has to know, each with the names of the systems that it is about."""
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for cell in row.printed:
                if cell.note:
                    found.setdefault(cell.note, {})[row.system] = None
        return found


def chosen_tables(
    tables: Iterable[PublishedTable], paper: str | None = None, benchmark: str | None = None, flag: str | None = None
) -> list[PublishedTable]:
    """Returns tables with the rows that were asked for, without those that have none.

    Args:
        tables: to choose from.
        paper: a part of the paper's name.
        benchmark: one of `REPORTED_BENCHMARKS`: rows with a number on it.
        flag: one of `DOUBTS`: rows with a number that has such a flag.

    Raises:
        UnknownNameError: there is no such paper, benchmark or flag.
    """
    among = list(tables)
    found = [one for one in among if paper is None or paper.lower() in one.source_paper.lower()]
    if paper is not None and not found:
        raise UnknownNameError("paper", paper, {one.source_paper for one in among})
    if benchmark is not None and benchmark not in REPORTED_BENCHMARKS:
        raise UnknownNameError("benchmark with published numbers", benchmark, REPORTED_BENCHMARKS)
    if flag is not None and flag not in DOUBTS:
        raise UnknownNameError("flag", flag, DOUBTS)

    def is_wanted(row: PublishedRow) -> bool:
        cells = [cell for cell in row.printed if benchmark in {None, benchmark_id_of(cell)}]
        return any(flag is None or flag in {one.level for one in cell.flags} for cell in cells)

    kept = [replace(one, rows=tuple(filter(is_wanted, one.rows))) for one in found]
    return [one for one in kept if one.rows]


@cache
def reported_results() -> tuple[ReportedResult, ...]:
    """Returns every number that papers report, checked; read once.

    Raises:
        RecordError: a file in `papers/` is damaged.
    """
    return check([result for path in sorted(FOLDER.glob("*.csv")) for result in read_published(path)])


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Returns the same numbers as the tables that they were printed in."""
    return tables_of(reported_results())


def read_published(path: Path) -> list[ReportedResult]:
    """Returns the numbers of one file, not yet checked, in its order.

    Raises:
        RecordError: a column, a number or a truth value is not what the format has.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        lines = csv.reader(stream)
        if (header := next(lines, [])) != COLUMNS:
            raise RecordError("published", path.name, line=1, value=",".join(header), expected=f"expected {','.join(COLUMNS)}")
        return [_result(path.name, lines.line_num, line) for line in lines]


def _result(file: str, line: int, values: Sequence[str]) -> ReportedResult:
    if len(values) != len(COLUMNS):
        raise RecordError("published", file, line=line, value=len(values), expected=f"expected {len(COLUMNS)} columns.")
    found: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
    printed, better = found.pop("value"), found.pop("higher_is_better")
    if not re.fullmatch(r"-?\d+(\.\d+)?", printed, re.ASCII):
        raise RecordError("published", file, line=line, field="value", value=printed, expected="expected a number as printed.")
    if better not in {"True", "False"}:
        raise RecordError(
            "published", file, line=line, field="higher_is_better", value=better, expected="expected True or False."
        )
    return ReportedResult(**found, printed=printed, higher_is_better=better == "True")


def tables_of(results: Iterable[ReportedResult]) -> tuple[PublishedTable, ...]:
    """Returns numbers as tables, one per paper and table, in their order.

    A row is a system on a benchmark. Where no system has two numbers on the same benchmark and split, the benchmarks are the
    columns, and a row is a system.

    Raises:
        RecordError: the same cell is given twice.
    """
    grouped: dict[tuple[str, str], list[ReportedResult]] = defaultdict(list)
    for one in results:
        grouped[one.source_paper, one.table].append(one)
    return tuple(_table(*name, found) for name, found in grouped.items())


def _table(paper: str, name: str, results: Sequence[ReportedResult]) -> PublishedTable:
    places = {(one.benchmark, one.split) for one in results}
    fullest = max(Counter((one.system, one.training_data, one.benchmark, one.split) for one in results).values())
    is_across = fullest == 1 and len(places) > 1
    splits = Counter(benchmark for benchmark, _ in places)
    columns: dict[PublishedColumn, None] = {}
    rows: dict[PublishedRow, dict[PublishedColumn, ReportedResult]] = {}
    for one in results:
        column = PublishedColumn(one.metric)
        row = PublishedRow(one.system, one.training_data, one.model, one.row_group, one.benchmark, one.split, ())
        if is_across:
            column = PublishedColumn(one.metric, one.benchmark, one.split if splits[one.benchmark] > 1 else None)
            row = replace(row, benchmark=None, split=None)
        columns[column] = None
        if (before := rows.setdefault(row, {}).setdefault(column, one)) is not one:
            both = f"{before.printed} and {one.printed}"
            raise RecordError(
                "published",
                f"{paper}, {name}",
                field=column.title,
                value=both,
                expected=f"{one.system} has it twice; expected one.",
            )
    whole = (replace(row, cells=tuple(cells.get(column) for column in columns)) for row, cells in rows.items())
    return PublishedTable(paper, name, tuple(columns), tuple(whole))


# -- what they are on our boards -------------------------------------------------------------------------------------------------

_BENCHMARKS = {
    ("AudioCaps", "audio captioning"): "audiocaps-test",
    ("Clotho", "audio captioning"): "clotho-evaluation",
    ("AudioCaps", "audio-text retrieval"): "audiocaps-retrieval",
    ("Clotho", "audio-text retrieval"): "clotho-retrieval",
    ("MECAT-Caption", "audio captioning"): "mecat-caption",
    ("MECAT-QA", "audio question answering"): "mecat-qa",
}
REPORTED_BENCHMARKS = tuple(_BENCHMARKS.values())
_METRICS = {
    **{f"bleu_{n}": f"bleu_{n}" for n in range(1, 5)},
    **{name: name for name in ("rouge_l", "meteor", "spice", "spider", "fense", "date", "cider_d")},
    # what captioning papers call CIDEr is the CIDEr-D of the COCO tools
    "cider": "cider_d",
}


def benchmark_id_of(result: ReportedResult) -> str | None:
    """Returns the benchmark of ours that a number was measured on; None where it is none, or not certain.

    Papers have 957 to 975 of AudioCaps' test clips, as videos vanish. Their Clotho test set is the evaluation split: that of the
    challenge, which Clotho calls test, has no public captions.
    """
    return _BENCHMARKS.get((result.benchmark, result.task)) if result.split.startswith("test") else None


def metric_id_of(result: ReportedResult) -> str | None:
    """Returns the metric of ours that a number is of (`date` for `DATE/long`, too); None where it is none, or not certain."""
    return _METRICS.get(result.metric.lower().split("/")[0]) if benchmark_id_of(result) else None


# -- rules about one printed row -------------------------------------------------------------------------------------------------

Finding = tuple[Flag, tuple[ReportedResult, ...]]
Cells = Mapping[str, ReportedResult]


def _metric_key(metric: str) -> str:
    """Returns one spelling for all papers."""
    return {"cider": "cider_d"}.get(metric.lower(), metric.lower())


def _by_metric(row: PublishedRow) -> Cells:
    return {_metric_key(one.metric): one for one in row.printed} if row.benchmark is not None else {}


def _named(result: ReportedResult) -> str:
    return f"{result.label} {result.printed}"


def _number(value: Fraction, places: int) -> str:
    """Returns a computed number, rounded, without trailing zeros."""
    text = f"{float(value):.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def _weighted_sum(
    rule: str, formula: str, result: ReportedResult, terms: Sequence[tuple[Fraction, ReportedResult]]
) -> Iterator[Finding]:
    """Finds out whether a number is the weighted sum of others, as exactly as they are printed.

    Where it is not, the result is a mismatch and its terms are suspect. Where it is far off and moving the decimal point of one
    number by one place would mend it, that number is the mismatch and the others are suspect.
    """
    total = sum((weight * one.exact for weight, one in terms), Fraction())
    slack = result.half_unit + sum((abs(weight) * one.half_unit for weight, one in terms), Fraction())
    gap = result.exact - total
    places = result.decimals + 2
    text = f"{result.label} is {result.printed}; {formula} = {_number(total, places)}"
    involved = (result, *(one for _, one in terms))
    if abs(gap) <= slack:
        yield Flag(rule, "ok", text), involved
        return
    text += f", {_number(abs(gap), places)} apart, where rounding explains {_number(slack, places)}"
    blamed = result
    slips = _decimal_slips(gap, slack, [(Fraction(-1), result), *terms]) if abs(gap) > 10 * slack else []
    if len(slips) == 1:
        blamed, factor = slips[0]
        meant = _number(blamed.exact * factor, blamed.decimals + 1)
        text += f"; with {blamed.label} {meant}, the decimal point one place off, it holds"
    yield Flag(rule, "mismatch", text), (blamed,)
    yield Flag(rule, "suspect", text), tuple(one for one in involved if one is not blamed)


def _decimal_slips(
    gap: Fraction, slack: Fraction, terms: Sequence[tuple[Fraction, ReportedResult]]
) -> list[tuple[ReportedResult, Fraction]]:
    return [
        (one, factor)
        for weight, one in terms
        for factor in (Fraction(1, 10), Fraction(10))
        if one.exact and abs(gap - weight * one.exact * (factor - 1)) <= slack
    ]


def check_spider(row: PublishedRow) -> Iterator[Finding]:
    """SPIDEr = (CIDEr-D + SPICE) / 2."""
    cells = _by_metric(row)
    if {"spider", "cider_d", "spice"} <= cells.keys():
        terms = [cells["cider_d"], cells["spice"]]
        formula = f"({_named(terms[0])} + {_named(terms[1])}) / 2"
        yield from _weighted_sum("spider", formula, cells["spider"], [(Fraction(1, 2), one) for one in terms])


def check_mecat_score(row: PublishedRow) -> Iterator[Finding]:
    """score_caption = 0.4 (0.8 long + 0.2 short) + 0.4 (0.6 speech + 0.3 music + 0.1 sound) + 0.2 environment.

    speech, music and sound are the mean of their pure and their mixed group. The README of MECAT breaks it in eight of twelve
    rows, by up to 1.5 points of 100; ACAVCaps keeps it in five of six. Source: MECAT (arXiv:2507.23511), section 4.
    """
    cells = _by_metric(row)
    weights = {"long": 32, "short": 8, "environment": 20}
    weights |= {f"{group}/{part}": n for group, n in (("speech", 12), ("music", 6), ("sound", 2)) for part in ("pure", "mixed")}
    for metric in ("date", "fense"):
        if not {f"{metric}/{name}" for name in (*weights, "score_caption")} <= cells.keys():
            continue
        terms = {name: cells[f"{metric}/{name}"] for name in weights}
        text = {name: one.printed for name, one in terms.items()}
        means = {group: f"({text[f'{group}/pure']} + {text[f'{group}/mixed']}) / 2" for group in ("speech", "music", "sound")}
        formula = (
            f"0.4 (0.8 x {text['long']} + 0.2 x {text['short']}) + 0.4 (0.6 x {means['speech']} + 0.3 x {means['music']} "
            f"+ 0.1 x {means['sound']}) + 0.2 x {text['environment']}"
        )
        weighted = [(Fraction(weights[name], 100), one) for name, one in terms.items()]
        yield from _weighted_sum("mecat", formula, cells[f"{metric}/score_caption"], weighted)


def check_means(row: PublishedRow) -> Iterator[Finding]:
    """A column called mean, avg, average or score_qa is the mean of all columns since the one before it that is called so."""
    terms: list[ReportedResult | None] = []
    for cell in row.cells:
        if cell is None or not re.search(r"^(mean|avg|average)\b|/score_qa$", cell.metric.lower()):
            terms.append(cell)
            continue
        found = [one for one in terms if one is not None]
        # a mean of which a part is not printed cannot be checked
        if found and len(found) == len(terms):
            formula = f"({' + '.join(one.printed for one in found)}) / {len(found)}"
            yield from _weighted_sum("mean", formula, cell, [(Fraction(1, len(found)), one) for one in found])
        terms = []


def check_bleu_order(row: PublishedRow) -> Iterator[Finding]:
    """BLEU-1 >= BLEU-2 >= BLEU-3 >= BLEU-4.

    No theorem, as short captions have no long n-grams; but where a caption shares a long n-gram with a reference it shares the
    shorter ones, and no set of captions that people score breaks the order.
    """
    cells = _by_metric(row)
    yield from _order("bleu order", [cells[name] for n in range(1, 5) if (name := f"bleu_{n}") in cells])


def check_recall_order(row: PublishedRow) -> Iterator[Finding]:
    """R@10 >= R@5 >= R@1 in either direction: what is among the first is among the first five."""
    cells = _by_metric(row)
    for way in ("t2a", "a2t"):
        yield from _order("recall order", [cells[name] for k in (10, 5, 1) if (name := f"{way}/r@{k}") in cells])


def _order(rule: str, cells: Sequence[ReportedResult]) -> Iterator[Finding]:
    """Finds the fewest numbers without which the others fall; all candidates, where there are several choices."""
    if len(cells) < 2:
        return
    falls = next(found for n in range(len(cells), 0, -1) if (found := [c for c in combinations(cells, n) if _falls(c)]))
    blamed = tuple(one for one in cells if not all(one in kept for kept in falls))
    kept = tuple(one for one in cells if one not in blamed)
    text = f"expected {' >= '.join(one.label for one in cells)}; printed {', '.join(one.printed for one in cells)}"
    if not blamed:
        yield Flag(rule, "ok", text), tuple(cells)
        return
    text += f"; without {' or '.join(map(_named, blamed))} the order holds"
    yield Flag(rule, "mismatch", text), blamed
    if len(kept) > 1:
        yield Flag(rule, "ok", text), kept


def _falls(cells: Sequence[ReportedResult]) -> bool:
    return all(high.exact + high.half_unit >= low.exact - low.half_unit for high, low in pairwise(cells))


def check_range(row: PublishedRow) -> Iterator[Finding]:
    """Every number lies in the range of its metric; that it does, says nothing more. An error rate may exceed one."""
    for one in row.printed:
        factor = 100 if one.scale.startswith("0-100") else 1
        ends = {"cider_d": Fraction(10), "spider": Fraction(11, 2)}  # SPIDEr: (10 + 1) / 2
        high = ends.get(_metric_key(one.metric), Fraction(1)) * factor if one.scale and one.higher_is_better else None
        if one.exact + one.half_unit < 0 or (high is not None and one.exact - one.half_unit > high):
            end = "at least 0" if high is None else f"0 to {float(high):g}"
            yield Flag("range", "mismatch", f"{one.metric} is {one.printed}; expected {end}"), (one,)


def check_equal_cells(row: PublishedRow) -> Iterator[Finding]:
    """Two metrics of one row do not come out the same to the fourth native decimal.

    Only numbers that are known to four native decimals (0.1762; 17.62 of 100) and have three significant digits count: with three
    decimals one pair in some 300 is equal by chance, which hits a large table, with four it is one in some 3,000.
    """
    for one, two in combinations(row.printed, 2):
        digits = len(one.printed.replace(".", "").lstrip("0"))
        is_fine = min(one.native_decimals, two.native_decimals) >= 4 and digits >= 3
        is_comparable = one.metric != two.metric and (one.benchmark, one.split) == (two.benchmark, two.split)
        if one.printed == two.printed and is_fine and is_comparable:
            text = f"{one.metric} and {two.metric} are both {one.printed}: one of them looks like a copy of the other"
            yield Flag("equal cells", "suspect", text), (one, two)


ROW_RULES: tuple[Callable[[PublishedRow], Iterator[Finding]], ...] = (
    check_spider,
    check_mecat_score,
    check_means,
    check_bleu_order,
    check_recall_order,
    check_range,
    check_equal_cells,
)


# -- rules about more than one row -----------------------------------------------------------------------------------------------


def check_differences(table: PublishedTable) -> Iterator[Finding]:
    """A difference printed beside a number, as in `52.50(-0.76)`, is that to the column's only number without one."""
    for place in range(len(table.columns)):
        column = [cell for row in table.rows if (cell := row.cells[place]) is not None]
        noted = [(one, re.fullmatch(r"([\d.]+)\(([+-][\d.]+)\)", one.note)) for one in column]
        plain = [one for one, match in noted if match is None]
        if len(plain) != 1:
            continue
        for one, match in noted:
            if match is None:
                continue
            difference = replace(one, metric="difference", printed=match[2])
            formula = f"{_named(one)} - {plain[0].printed} of {plain[0].system}"
            terms = [(Fraction(1), one), (Fraction(-1), plain[0])]
            # the difference is no number of its own: the one that it stands beside carries the flag
            flag, _ = next(_weighted_sum("difference", formula, difference, terms))
            yield flag, (one,)


def check_twins(table: PublishedTable) -> Iterator[Finding]:
    """Two systems of one table do not agree in all numbers that both have, three at least."""
    for one, two in combinations(table.rows, 2):
        both = [(a, b) for a, b in zip(one.cells, two.cells, strict=True) if a is not None and b is not None]
        if len(both) >= 3 and one.benchmark == two.benchmark and all(a.printed == b.printed for a, b in both):
            text = f"{one.system} ({one.training_data}) and {two.system} ({two.training_data}) have the same {len(both)} numbers"
            yield Flag("twins", "suspect", text), tuple(cell for pair in both for cell in pair)


# names of training data as papers shorten them
_CORPORA = {
    **dict.fromkeys(("ac", "audiocaps"), "AudioCaps"),
    **dict.fromkeys(("cl", "clotho"), "Clotho"),
    **dict.fromkeys(("wc", "wavcaps"), "WavCaps"),
    **dict.fromkeys(("asc", "audiosetcaps"), "AudioSetCaps"),
    **dict.fromkeys(("acd", "auto-acd"), "Auto-ACD"),
    "la": "LAION-Audio",
    "audioset": "AudioSet",
    "wavtext5k": "WavText5K",
    "sound-vecaps": "Sound-VECaps",
    "sound-vecapsf": "Sound-VECaps F",
    "sound-vecapsa": "Sound-VECaps A",
    "fusionaudio-1.2m": "FusionAudio-1.2M",
}
SAME_NUMBERS = 4


def corpora_of(training_data: str) -> frozenset[str]:
    """Returns the corpora that a paper's label names; none where it names none or points to another paper.

    >>> sorted(corpora_of("WC+AC+Clotho") ^ corpora_of("AC+Clotho+LA"))
    ['LAION-Audio', 'WavCaps']
    """
    if training_data.startswith("see "):
        return frozenset()
    words = re.findall(r"[\w.-]+", training_data.lower())
    return frozenset(_CORPORA[word] for word in words if word in _CORPORA)


def check_quotes(tables: Sequence[PublishedTable]) -> Iterator[Finding]:
    """A row that repeats the numbers of an earlier paper says the same about them: what trained the system, and whose it is.

    A row is a quote where all numbers that both tables have on a benchmark, four at least, are equal. What the quoting paper says
    otherwise makes its whole row suspect; the earlier row is left alone, as is what only one of them prints where they agree.
    """
    dated = sorted((table for table in tables if table.arxiv), key=lambda table: table.arxiv or "")
    for place, later in enumerate(dated):
        earlier = [table for table in dated[:place] if table.source_paper != later.source_paper]
        for row in later.rows:
            quoted = ((table, other, same) for table in earlier for other in table.rows if (same := _same_cells(row, other)))
            if (found := next(quoted, None)) is not None:
                yield _quote(row, *found)


def _same_cells(row: PublishedRow, other: PublishedRow) -> tuple[ReportedResult, ...]:
    """Returns the cells of `row` that `other` has too; none where one differs or there are too few."""
    cells, others = _by_metric(row), _by_metric(other)
    shared = cells.keys() & others.keys()
    is_same_task = row.benchmark == other.benchmark and len(shared) >= SAME_NUMBERS
    if not is_same_task or any(cells[name].exact != others[name].exact for name in shared):
        return ()
    return tuple(one for name, one in cells.items() if name in shared)


def _quote(row: PublishedRow, table: PublishedTable, other: PublishedRow, same: tuple[ReportedResult, ...]) -> Finding:
    text = f"the same {len(same)} numbers stand in {table.name}, for {other.system}"
    trained, there = corpora_of(row.training_data), corpora_of(other.training_data)
    if trained and there and trained != there:
        text += f" trained on {other.training_data}; here the training data read {row.training_data}"
        return Flag("quote", "suspect", text), row.printed
    family, owner = _first_word(row.system), _first_word(other.system)
    if family != owner and family in {_first_word(one.system) for one in table.rows}:
        text += f", which is none of that table's rows of {row.system.split()[0]}; here they are credited to {row.system}"
        return Flag("quote", "suspect", text), row.printed
    return Flag("quote", "ok", text), same


def _first_word(system: str) -> str:
    return system.split(maxsplit=1)[0].lower()


def check(results: Sequence[ReportedResult]) -> tuple[ReportedResult, ...]:
    """Returns the numbers with their flags and what follows from these, in the same order.

    Args:
        results: numbers of any number of papers.
    """
    tables = tables_of(results)
    flags: dict[tuple[str, ...], dict[Flag, None]] = defaultdict(dict)
    for flag, cells in _findings(tables):
        for cell in cells:
            flags[cell.key][flag] = None
    return tuple(_flagged(one, tuple(flags[one.key])) for one in results)


def _findings(tables: Sequence[PublishedTable]) -> Iterator[Finding]:
    for table in tables:
        for row in table.rows:
            for rule in ROW_RULES:
                yield from rule(row)
        yield from check_differences(table)
        yield from check_twins(table)
    yield from check_quotes(tables)


def _flagged(result: ReportedResult, flags: tuple[Flag, ...]) -> ReportedResult:
    levels: list[Consistency] = ["unchecked", *(flag.level for flag in flags)]
    return replace(result, flags=flags, consistency=max(levels, key=CONSISTENCIES.index))
