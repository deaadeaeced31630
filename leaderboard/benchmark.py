"""What is measured: frozen benchmark definitions and the references they are scored against.

A definition is a yaml file in `benchmarks/`, or was made by `uac benchmark create` and lies in a hub's database. Its
`items_sha256` covers every id and every reference text, so that two hubs that show the same benchmark version have scored the
same thing. Any change of a definition is a new version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ..dataset_scripts.errors import InputError, UnknownNameError, shorten
from ..dataset_scripts.source import SOURCES, source
from ..evaluators.metric import METRICS
from ..evaluators.tasks.groups import Group, GroupedBenchmark
from ..evaluators.tasks.mecat import CAPTION_GROUPS, CATEGORIES

DEFINITIONS = Path(__file__).parent / "benchmarks"
TASKS = ("captions", "mecat_caption", "mecat_qa", "retrieval")
RETRIEVAL_METRICS = ("map_10", "r_1", "r_5", "r_10")
VISIBILITIES = ("public", "private")
PRIVATE_DECIMALS = 3  # of native range: many probes would be needed to read references out of such scores
# what a column of texts is called in predictions, where they are no captions
_COLUMNS = {"difference": "difference", "commonality": "commonality"}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Benchmark:
    """One frozen definition.

    Attributes:
        id: slug used in URLs and commands.
        title: what the board calls it.
        description: one sentence for people who choose between benchmarks.
        config: the built dataset that holds the references; empty where the hub keeps them itself.
        split: its split.
        primary_metric: the metric that ranks.
        n_items: how many items a submission must cover; all of them.
        items_sha256: digest of ids and references, see `groups_digest`; empty until the hub that opens it freezes it.
        version: raised by any change of what is scored or how.
        task: `captions` (one text per clip or pair), `mecat_caption` (six subtasks in nine groups), `mecat_qa` (answers in six
            categories) or `retrieval` (embeddings).
        style: caption style of the references.
        ids: name of the file beside the definitions that lists the ids of the items; empty for all of the split.
        metrics: names of the metrics, in the order of the board's columns.
        encoder: text encoder of the embedding metrics.
        checker: fluency error checker of DATE and FENSE; empty for none.
        subtask: selects DATE's delta.
        references: `public`, or `private`: then no page, answer, message or export shows them or what was scored per item.
        license_text: under which terms the references are.
        citation: whom to cite.
    """

    id: str
    title: str
    description: str
    config: str
    split: str
    primary_metric: str
    n_items: int
    items_sha256: str
    version: int = 1
    task: str = "captions"
    style: str = "default"
    ids: str = ""
    metrics: tuple[str, ...] = ("bleu", "rouge_l", "cider_d", "sbert_sim", "date")
    encoder: str = "minilm"
    checker: str = ""
    subtask: str = "long"
    references: str = "public"
    license_text: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def is_frozen(self) -> bool:
        """Tells whether its items are settled; otherwise a hub has to open it first."""
        return bool(self.items_sha256)

    @property
    def is_private(self) -> bool:
        """Tells whether its references are nobody's to see."""
        return self.references == "private"

    @property
    def column(self) -> str:
        """What predictions call the text: `caption`, `difference`, `commonality` or `answer`."""
        return "answer" if self.task == "mecat_qa" else _COLUMNS.get(self.style, "caption")

    @property
    def aggregation(self) -> str:
        """How items become the overall score, in words."""
        if self.task == "retrieval":
            return "mean over the queries, text to audio"
        return "weighted sum of the groups" if self.task.startswith("mecat") else "one pool of all items"

    @property
    def n_steps(self) -> int:
        """How many steps scoring reports: one per group of items and metric."""
        groups = {"mecat_caption": len(CAPTION_GROUPS), "mecat_qa": len(CATEGORIES)}.get(self.task, 1)
        return 1 if self.task == "retrieval" else groups * len(self.metrics)

    @cached_property
    def digest(self) -> str:
        """Returns eight hex digits over everything that can move a score."""
        left_out = {"title", "description", "references", "license_text", "citation"}
        # what was added to definitions later counts where it is used: older digests stay what they were
        unused = {"task": "captions", "ids": "", "checker": ""}
        meaning = {k: v for k, v in asdict(self).items() if k not in left_out and unused.get(k) != v}
        return _digest(meaning)[:8]

    @cached_property
    def recipe(self) -> str:
        """Returns sixteen hex digits over metrics, their versions and models: what a submission has to be scored with.

        A metric whose version is raised changes it, and the board is scored again.
        """
        versions = {name: 1 if self.task == "retrieval" else METRICS.get(name).version for name in self.metrics}
        return _digest([self.digest, versions])[:16]

    def told(self, value: float) -> float:
        """Returns a score, or a difference of two, as everybody may know it: rounded where references are private."""
        return round(value, PRIVATE_DECIMALS) if self.is_private else value

    def build_command(self, data: Path = Path("unified-audiocaps")) -> str:
        """Returns what creates the references in the folder `data`; empty where the hub keeps them itself."""
        return source(self.config).build_command(data) if self.config in SOURCES.names() else ""

    def describe(self) -> dict[str, Any]:
        """Returns the definition as plain JSON values."""
        more = {
            "metrics": list(self.metrics),
            "build_command": self.build_command(),
            "digest": self.digest,
            "aggregation": self.aggregation,
            "column": self.column,
            "is_frozen": self.is_frozen,
        }
        return {**asdict(self), **more}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str = "the definition") -> Benchmark:
        """Returns the definition that plain values describe.

        Raises:
            InputError: a key is missing or unknown, or a value is none that a definition may have.
        """
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(f"{where} has the key {shorten(unknown[0])}; expected {', '.join(sorted(known))}.")
        try:
            return cls(**{**values, **({"metrics": tuple(values["metrics"])} if "metrics" in values else {})})
        except TypeError as error:
            raise InputError(f"{where} is incomplete: {str(error).partition(') ')[2] or error}.") from None


def _digest(meaning: object) -> str:
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _check(one: Benchmark) -> None:
    """Refuses what no benchmark can be."""
    if not _ID.fullmatch(one.id) or len(one.id) > 100:
        raise InputError(f"the benchmark is called {shorten(one.id)}; expected small letters, digits and single hyphens.")
    for name, value, expected in (("task", one.task, TASKS), ("references", one.references, VISIBILITIES)):
        if value not in expected:
            raise InputError(f"{name} of benchmark {one.id} is {shorten(value)}; expected {' or '.join(expected)}.")
    known = RETRIEVAL_METRICS if one.task == "retrieval" else METRICS.names()
    for name in one.metrics:
        if name not in known:
            raise UnknownNameError("metric", name, known, "uac metrics")
    if len(set(one.metrics)) != len(one.metrics) or one.primary_metric not in one.metrics:
        raise InputError(
            f"benchmark {one.id} ranks by {one.primary_metric} and has the metrics {', '.join(one.metrics)}; expected each once, "
            "the one that ranks among them."
        )
    lower = [name for name in one.metrics if one.task != "retrieval" and METRICS.get(name).direction == "lower"]
    if one.primary_metric in lower:
        raise InputError(f"benchmark {one.id} ranks by {one.primary_metric}, of which less is better; expected another metric.")


@dataclass(frozen=True)
class BenchmarkItems:
    """The items of one benchmark as they were built on this machine.

    Attributes:
        benchmark: the definition.
        groups: the items with their references, in the order of the built split; one group of weight 1 unless the task has more.
        aliases: other unique names of an item (upstream key, file name) -> its id.
        clips: item id -> clip id, for items that are not clips themselves (questions).
        domains: clip id -> domain, where clips have one.
        clip_keys: clip id -> keys that tell which sound it is.
        sounds: clip id -> where its sound is to be had (file name or URL), for pages that play it.
    """

    benchmark: Benchmark
    groups: tuple[Group, ...] = field(repr=False)
    aliases: Mapping[str, str] = field(repr=False)
    clips: Mapping[str, str] = field(default_factory=dict, repr=False)
    domains: Mapping[str, str] = field(default_factory=dict, repr=False)
    clip_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    sounds: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def references(self) -> dict[str, tuple[str, ...]]:
        """All references by item id; of items in several groups those of the first one."""
        found: dict[str, tuple[str, ...]] = {}
        for group in reversed(self.groups):
            found.update(group.references)
        return found

    @cached_property
    def wanted(self) -> dict[str, dict[str, None]]:
        """The ids that a submission must cover, by subtask."""
        found: dict[str, dict[str, None]] = {}
        for group in self.groups:
            found.setdefault(group.subtask, {}).update(dict.fromkeys(group.references))
        return found

    @property
    def subtasks(self) -> tuple[str, ...]:
        """Which sets of predictions it takes."""
        return tuple(self.wanted)

    @property
    def n_predictions(self) -> int:
        """How many texts (of retrieval: clips) a submission holds."""
        return sum(map(len, self.wanted.values()))

    @cached_property
    def grouped(self) -> GroupedBenchmark:
        """The items as `evaluators.tasks.groups` scores them; ids stand for themselves."""
        return GroupedBenchmark("score", self.groups, {id_: id_ for ids in self.wanted.values() for id_ in ids})

    def resolve(self, name: str) -> str | None:
        """Returns the item id that `name` stands for, None when it stands for none."""
        return name if name in self._known else self.aliases.get(name)

    def clip_of(self, item_id: str) -> str:
        """Returns the clip that an item belongs to."""
        return self.clips.get(item_id, item_id)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(id_ for ids in self.wanted.values() for id_ in ids)


@cache
def shipped_benchmarks() -> tuple[Benchmark, ...]:
    """Returns the definitions that come with this package, all versions, in the order of their files."""
    import yaml

    found = []
    for path in sorted(DEFINITIONS.glob("*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        card = source(values["config"]).card
        values = {"license_text": card.license_text, "citation": card.citation, **values}
        found.append(Benchmark.from_json(values, path.name))
    found.sort(key=lambda one: (one.id != "sample", one.id, one.version))  # what can be tried at once comes first
    return tuple(found)


def newest(benchmarks: Iterable[Benchmark]) -> list[Benchmark]:
    """Returns the newest version of each benchmark, in the order of their first versions."""
    found: dict[str, Benchmark] = {}
    for one in benchmarks:
        if one.id not in found or one.version > found[one.id].version:
            found[one.id] = one
    return list(found.values())


def benchmark_by_id(benchmark_id: str, version: int | None = None, among: Sequence[Benchmark] | None = None) -> Benchmark:
    """Returns a benchmark.

    Args:
        benchmark_id: its id.
        version: None for the newest.
        among: what there is; None for the definitions that come with this package.

    Raises:
        UnknownNameError: there is none of that id and version.
    """
    known = shipped_benchmarks() if among is None else among
    found = [one for one in known if one.id == benchmark_id and version in {None, one.version}]
    if not found:
        name = benchmark_id if version is None else f"{benchmark_id} version {version}"
        raise UnknownNameError("benchmark", name, {b.id for b in known}, "uac benchmarks")
    return max(found, key=lambda benchmark: benchmark.version)


def items_digest(references: Mapping[str, Iterable[str]]) -> str:
    """Returns the sha256 over all ids and references, whatever the order of the ids.

    >>> items_digest({"b": ["x"], "a": ["y"]}) == items_digest({"a": ["y"], "b": ["x"]})
    True
    """
    digest = hashlib.sha256()
    for clip_id in sorted(references):
        digest.update(json.dumps([clip_id, list(references[clip_id])], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def groups_digest(groups: Sequence[Group]) -> str:
    """Returns the sha256 over names, weights and `items_digest` of all groups; of a single one its items' alone."""
    if len(groups) == 1:
        return items_digest(groups[0].references)
    return _digest([[one.name, one.subtask, repr(one.weight), items_digest(one.references)] for one in groups])


def frozen(items: BenchmarkItems) -> BenchmarkItems:
    """Returns the items under a definition that is settled on them."""
    settled = replace(items.benchmark, n_items=len(items.references), items_sha256=groups_digest(items.groups))
    return replace(items, benchmark=settled)
