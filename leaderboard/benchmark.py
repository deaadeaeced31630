"""What is measured: frozen benchmark definitions and the references they are scored against.

A benchmark names a built dataset, a split and a caption style. Its `items_sha256` covers every id and every reference text, so
that two hubs that show the same benchmark version have scored the same thing. Any change of a definition is a new version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..dataset_scripts.built import built_set
from ..dataset_scripts.errors import InputError, UnknownNameError
from ..dataset_scripts.source import source


@dataclass(frozen=True)
class Benchmark:
    """One frozen definition.

    Attributes:
        id: slug used in URLs and commands.
        title: what the board calls it.
        description: one sentence for people who choose between benchmarks.
        config: the built dataset that holds the references.
        split: its split.
        primary_metric: the metric that ranks.
        n_items: how many clips a submission must cover; all of them.
        items_sha256: digest of ids and references, see `items_digest`.
        version: raised by any change of what is scored or how.
        style: caption style of the references.
        metrics: names of the metrics, in the order of the board's columns.
        encoder: text encoder of the embedding metrics.
        subtask: selects DATE's delta.
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
    style: str = "default"
    metrics: tuple[str, ...] = ("bleu", "rouge_l", "cider_d", "sbert_sim", "date")
    encoder: str = "minilm"
    subtask: str = "long"

    @cached_property
    def digest(self) -> str:
        """Returns eight hex digits over everything that can move a score."""
        meaning = {k: v for k, v in asdict(self).items() if k not in {"title", "description"}}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:8]

    def build_command(self, data: Path = Path("unified-audiocaps")) -> str:
        """Returns what creates the references in the folder `data`."""
        return source(self.config).build_command(data)

    def describe(self) -> dict[str, Any]:
        """Returns the definition as plain JSON values."""
        more = {"metrics": list(self.metrics), "build_command": self.build_command(), "digest": self.digest}
        return {**asdict(self), **more}


@dataclass(frozen=True)
class BenchmarkItems:
    """The clips of one benchmark as they were built on this machine.

    Attributes:
        benchmark: the definition.
        references: clip id -> reference captions, in the order of the built split.
        aliases: other unique names of a clip (upstream key, file name) -> clip id.
    """

    benchmark: Benchmark
    references: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, str]

    def resolve(self, name: str) -> str | None:
        """Returns the clip id that `name` stands for, None when it stands for none."""
        return name if name in self.references else self.aliases.get(name)


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        id="sample",
        title="Sample",
        description="Twelve synthesised clips with five references each: try everything without a download.",
        config="sample",
        split="test",
        primary_metric="date",
        n_items=12,
        items_sha256="959944cba50f30367fdc3993287dd7e9c879f11d00b926e6ffac587683452f91",
    ),
    Benchmark(
        id="audiocaps-test",
        title="AudioCaps test (v1)",
        description="All 975 clips of the first release's test split, five human captions each.",
        config="audiocaps",
        split="test",
        primary_metric="cider_d",
        n_items=975,
        items_sha256="c3b3a8c0f9b77f759e09d9b18f6fe73ee8e7a2401209c7fa6fa34c10ea012261",
    ),
    Benchmark(
        id="clotho-evaluation",
        title="Clotho evaluation (2.1)",
        description="The 1,045 clips of Clotho's evaluation split, five human captions each.",
        config="clotho",
        split="evaluation",
        primary_metric="cider_d",
        n_items=1045,
        items_sha256="f440a48b4ff25f08b9ff1a0a0f806007ddb9669661c1bf1086ccb6661e84da37",
    ),
    Benchmark(
        id="mecat-caption",
        title="MECAT caption, long (content_long)",
        description="A long caption for each of MECAT's 20,052 test clips, three references each, all domains in one pool.",
        config="mecat",
        split="test",
        style="long",
        primary_metric="date",
        n_items=20052,
        items_sha256="d6022ed45a87a1336baf081e08491ac43dff999bae19b762df70b732cd3c0015",
    ),
)


def benchmark_by_id(benchmark_id: str) -> Benchmark:
    """Returns the newest version of a benchmark.

    Raises:
        UnknownNameError: there is none of that id.
    """
    found = [benchmark for benchmark in BENCHMARKS if benchmark.id == benchmark_id]
    if not found:
        raise UnknownNameError("benchmark", benchmark_id, {b.id for b in BENCHMARKS}, "uac benchmarks")
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


def load_items(benchmark: Benchmark, data: Path) -> BenchmarkItems:
    """Reads the references of a benchmark from what `uac build` wrote.

    Args:
        benchmark: the definition.
        data: the folder that `uac build` wrote (`unified-audiocaps`).

    Raises:
        InputError: the split was not built, or what was built is not what the benchmark froze.
    """
    import pyarrow.compute as pc

    columns = ["id", "source_key", "captions", "audio_ref"]
    try:
        table = built_set(f"{benchmark.config}/{benchmark.split}", data).table(columns)
    except InputError as error:
        raise InputError(
            f"benchmark {benchmark.id} needs the {benchmark.split} split of {benchmark.config} in {data}, which is not built. "
            f"Build it: {benchmark.build_command(data)}\n  ({error.headline})"
        ) from None
    ids = table["id"].to_pylist()
    captions = table["captions"].combine_chunks()
    flat = pc.list_flatten(captions)
    keep = pc.equal(flat.field("style"), benchmark.style)
    owners = pc.list_parent_indices(captions).filter(keep).to_pylist()
    gathered: list[list[str]] = [[] for _ in ids]
    for owner, text in zip(owners, flat.field("text").filter(keep).to_pylist(), strict=True):
        gathered[owner].append(text)
    references = {clip_id: tuple(texts) for clip_id, texts in zip(ids, gathered, strict=True)}
    if (found := items_digest(references)) != benchmark.items_sha256:
        raise InputError(
            f"{data} holds {len(references):,} clips of {benchmark.config}/{benchmark.split} with digest {found[:12]}; benchmark "
            f"{benchmark.id} version {benchmark.version} is frozen at {benchmark.n_items:,} clips with digest "
            f"{benchmark.items_sha256[:12]}. Build the complete release: {benchmark.build_command(data)} --force"
        )
    audio = table["audio_ref"].combine_chunks()
    kinds, keys, file_names = (pc.struct_field(audio, name).to_pylist() for name in ("kind", "key", "file_name"))
    # the field's copies of AudioSet clips are called after the video, with a Y in front
    customary = [f"Y{key}.wav" if kind == "youtube" else None for kind, key in zip(kinds, keys, strict=True)]
    return BenchmarkItems(benchmark, references, _aliases(ids, table["source_key"].to_pylist(), keys, file_names, customary))


def _aliases(ids: list[str], *names: list[str | None]) -> dict[str, str]:
    """Returns every upstream name that stands for exactly one clip and is no clip id itself."""
    owners: dict[str, set[str]] = {}
    for column in names:
        for clip_id, name in zip(ids, column, strict=True):
            if name:
                owners.setdefault(name, set()).add(clip_id)
    taken = set(ids)
    return {name: next(iter(clips)) for name, clips in owners.items() if len(clips) == 1 and name not in taken}
