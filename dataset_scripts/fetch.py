"""Brings upstream files onto this machine: with `download`, the only network code of this folder.

Files of a Hub repository go through `huggingface_hub` (resumed, pinned to one commit), single files through `pooch`. What was
fetched is written to `.fetched.json` beside the files, with its sha256, so that a second call fetches nothing and a file
that changed on either side is noticed. `HF_HUB_OFFLINE` is respected for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from . import atomic
from .download import download, is_offline
from .errors import AccessError, ChecksumError, FetchError, InputError, OfflineError
from .progress import progress
from .settings import Settings
from .source import Source
from .upstream.remote import HubRepository, RemoteFile

RECORD = ".fetched.json"  # hidden: it is no upstream file


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did.

    Attributes:
        folder: the raw folder.
        fetched: names of the files that came now.
        reused: names of the files that were there already.
    """

    folder: Path
    fetched: list[str]
    reused: list[str]


def raw_folder(name: str) -> Path:
    """Returns where `fetch` puts the files of a dataset unless told otherwise."""
    return Settings.from_environment().home / "raw" / name


def fetch(source: Source, raw: Path | None = None) -> FetchReport:
    """Downloads the upstream files of a dataset, as far as they are not there.

    Args:
        source: the dataset.
        raw: the folder to fill; the cache by default.

    Raises:
        InputError: the dataset needs no files, or they can only be had by hand; the message says where and what to put where.
        OfflineError: a file is missing and HF_HUB_OFFLINE is set.
        AccessError: the repository is gated or private.
        ChecksumError: a file is not the one that was published or fetched before.
        FetchError: the network failed, or the repository holds none of the files.
        StorageError: the folder cannot be written.
    """
    if not source.where_to_get:
        raise InputError(f"{source.name} needs no files: `uac build {source.name}` makes it.")
    if not source.remote:
        raise InputError(f"the files of {source.name} are to be had by hand. {source.how_to_get()}")
    folder = raw if raw is not None else raw_folder(source.name)
    with atomic.storage_errors(folder, "Files that are complete stay; call it again to go on."):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.exclusive(folder / ".fetch.lock"):
            record = _Record(folder)
            report = _from_urls(source, [one for one in source.remote if isinstance(one, RemoteFile)], folder, record)
            for repository in source.remote:
                if isinstance(repository, HubRepository):
                    more = _from_hub(source, repository, folder, record)
                    report = FetchReport(folder, report.fetched + more.fetched, report.reused + more.reused)
            return report


class _Record:
    """What was fetched into a folder: name -> sha256, and for a repository the commit."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        try:
            values = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        except ValueError:
            values = {}  # damaged: everything is looked at again
        self.commit: str | None = values.get("commit")
        self.sha256: dict[str, str] = values.get("sha256", {})

    def add(self, name: str, sha256: str) -> None:
        self.sha256[name] = sha256
        values = {"commit": self.commit, "sha256": dict(sorted(self.sha256.items()))}
        atomic.write_text(self._path, json.dumps(values, indent=2) + "\n")


def _from_urls(source: Source, files: Sequence[RemoteFile], folder: Path, record: _Record) -> FetchReport:
    report = FetchReport(folder, [], [])
    if not files:
        return report
    with progress(len(files), f"fetching {source.name}", unit="file") as bar:
        for file in files:
            path = folder / file.name
            sha256 = _sha256_if_there(path)
            if sha256 is not None and sha256 in {record.sha256.get(file.name), file.sha256}:
                report.reused.append(file.name)
            else:
                if is_offline():
                    raise OfflineError(f"{file.name} is not in {folder} and HF_HUB_OFFLINE is set. {source.how_to_get()}")
                sha256 = download(file.url, path, file.sha256, wanted_by=source.name, instead=source.how_to_get())
                report.fetched.append(file.name)
            record.add(file.name, sha256)
            bar.update(1)
    return report


def _from_hub(source: Source, repository: HubRepository, folder: Path, record: _Record) -> FetchReport:
    if is_offline():
        if record.sha256 and all(_sha256_if_there(folder / name) == known for name, known in record.sha256.items()):
            return FetchReport(folder, [], sorted(record.sha256))
        raise OfflineError(f"the files of {source.name} are not in {folder} and HF_HUB_OFFLINE is set. {source.how_to_get()}")
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    report = FetchReport(folder, [], [])
    with _hub_errors(source, repository):
        commit = str(api.repo_info(repository.repo_id, repo_type="dataset").sha)
        names = api.list_repo_files(repository.repo_id, repo_type="dataset", revision=commit)
        wanted = [
            name
            for name in names
            if repository.has_pattern_of(name) or any(file.fits(PurePosixPath(name)) for file in source.files)
        ]
        if not wanted:
            listed = ", ".join(names[:20]) or "nothing"
            raise FetchError(
                f"{source.name}: {repository.page} holds none of the files that we know. Found: {listed}. {source.how_to_get()}"
            )
        found = api.get_paths_info(repository.repo_id, wanted, repo_type="dataset", revision=commit)
        published = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
        changed = record.commit not in {None, commit}
        record.commit = commit
        with progress(len(wanted), f"fetching {source.name}", unit="file") as bar:
            for name in wanted:
                path = folder / name
                sha256 = _sha256_if_published(path, published[name])
                if sha256 is not None and (changed or record.sha256.get(name) == sha256):
                    report.reused.append(name)
                else:
                    path.unlink(missing_ok=True)
                    hf_hub_download(repository.repo_id, name, repo_type="dataset", revision=commit, local_dir=folder)
                    sha256 = _sha256_if_published(path, published[name])
                    if sha256 is None:
                        path.unlink()
                        raise ChecksumError(f"{source.name}: {name} arrived damaged; nothing of it was kept. Call it again.")
                    report.fetched.append(name)
                record.add(name, sha256)
                bar.update(1)
    return report


def is_published(path: Path, entry: Any) -> bool:
    """Tells whether a file is the one that the repository's entry describes."""
    return _sha256_if_published(path, entry) is not None


def _sha256_if_published(path: Path, entry: Any) -> str | None:
    """Returns a file's sha256, None where it is missing or not what the repository says of it.

    The repository gives the sha256 of large files, and git's blob hash of the others.
    """
    if not path.is_file() or path.stat().st_size != entry.size:
        return None
    if entry.lfs is not None:
        sha256 = atomic.sha256_of(path)
        return sha256 if sha256 == str(entry.lfs.sha256) else None
    content = path.read_bytes()
    blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return hashlib.sha256(content).hexdigest() if blob_id == str(entry.blob_id) else None


def _sha256_if_there(path: Path) -> str | None:
    return atomic.sha256_of(path) if path.is_file() else None


@contextmanager
def _hub_errors(source: Source, repository: HubRepository) -> Iterator[None]:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise AccessError(
            f"{source.name}: {repository.page} is gated. Accept its terms there, then `hf auth login`, then call this again."
        ) from error
    except RepositoryNotFoundError as error:
        raise AccessError(
            f"{source.name}: {repository.page} is not there or not open to you. Look at the page, then `hf auth login`. "
            f"{source.how_to_get()}"
        ) from error
    except HfHubHTTPError as error:
        raise FetchError(f"{source.name}: {repository.page} answered with an error ({error}). Call this again later.") from error
    except OSError as error:
        if error.errno is not None or isinstance(error, FetchError):
            raise
        raise FetchError(f"{source.name}: {repository.page} could not be reached ({error}). Call this again later.") from error
