"""Gets the references of benchmarks on a machine where nobody builds anything: a Space.

The sample is built there; the rest comes from a dataset repository that `uac publish dataset` wrote. Only the splits that
benchmarks are made of are fetched.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ..dataset_scripts import atomic
from ..dataset_scripts.build import build
from ..dataset_scripts.download import is_offline
from ..dataset_scripts.errors import AccessError, FetchError, InputError, OfflineError, UnifiedAudioCapsError
from ..dataset_scripts.manifest import read_manifest
from ..leaderboard.benchmark import shipped_benchmarks
from ..leaderboard.items import load_items

logger = logging.getLogger(__name__)

BUILT_HERE = "sample"


def prepare_references(data: Path, dataset: str = "") -> list[str]:
    """Brings all references that can be had into a folder, and logs which benchmarks are open then.

    What cannot be had keeps nobody from the rest: it is logged.

    Args:
        data: the folder that benchmarks read; made where it is not there.
        dataset: dataset repository OWNER/NAME; empty for none.

    Returns:
        Ids of the benchmarks that are open.

    Raises:
        StorageError: the folder cannot be written.
    """
    build(BUILT_HERE, out=data)
    if dataset:
        try:
            fetch_references(dataset, data)
        except (InputError, FetchError) as error:
            logger.warning("no references from %s: %s", dataset, error)
    is_open = dict[str, None]()
    for benchmark in shipped_benchmarks():
        if benchmark.is_frozen:
            try:
                load_items(benchmark, data)
            except UnifiedAudioCapsError as error:
                logger.debug("%s", error)
            else:
                is_open[benchmark.id] = None
    logger.info("benchmarks with references here: %s", ", ".join(is_open))
    return list(is_open)


def fetch_references(repo_id: str, data: Path) -> list[str]:
    """Fetches the splits that benchmarks are made of; what is there already is not fetched again.

    Args:
        repo_id: dataset repository OWNER/NAME that `uac publish dataset` wrote.
        data: the folder that benchmarks read.

    Returns:
        The sets that are there now, as config/split.

    Raises:
        InputError: the repository holds none of them.
        OfflineError: HF_HUB_OFFLINE is set.
        AccessError: the repository is not there, or not open to this user.
        FetchError: the network failed.
    """
    import httpx2
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    if is_offline():
        raise OfflineError(f"{repo_id} is on the Hub and HF_HUB_OFFLINE is set; unset it.")
    wanted: dict[str, set[str]] = {}
    for benchmark in shipped_benchmarks():
        if benchmark.config and benchmark.config != BUILT_HERE:
            wanted.setdefault(benchmark.config, set()).add(benchmark.split)
    patterns = [f"data/{config}/manifest.json" for config in wanted]
    patterns += [f"data/{config}/{split}-*.parquet" for config, splits in wanted.items() for split in splits]
    try:
        commit = HfApi().dataset_info(repo_id).sha  # asked first: a download takes what lies there for an answer
        snapshot_download(repo_id, repo_type="dataset", revision=commit, local_dir=data, allow_patterns=patterns)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403, 404}:
            raise AccessError(f"https://huggingface.co/datasets/{repo_id} is not there, or HF_TOKEN may not read it.") from error
        raise FetchError(f"{repo_id} could not be fetched ({error}); start again.") from error
    except (httpx2.TransportError, FileNotFoundError) as error:  # the latter where nothing was ever fetched
        raise FetchError(f"{repo_id} could not be fetched ({error}); start again.") from error
    found = [f"{config}/{split}" for config in sorted(wanted) for split in _keep_whole(data / "data" / config)]
    if not found:
        raise InputError(f"{repo_id} holds no set that a benchmark is made of ({', '.join(sorted(wanted))}); publish one there.")
    return found


def _keep_whole(folder: Path) -> list[str]:
    """Strikes splits whose shards were not fetched from a manifest, and returns the others."""
    manifest = read_manifest(folder)
    if manifest is None:
        return []
    whole = {
        name: split
        for name, split in manifest["splits"].items()
        if all((folder / shard["file"]).is_file() for shard in split["shards"])
    }
    if whole.keys() != manifest["splits"].keys():
        text = json.dumps({**manifest, "splits": whole}, indent=2, ensure_ascii=False) + "\n"
        atomic.write_bytes(folder / "manifest.json", text.encode())
    return list(whole)
