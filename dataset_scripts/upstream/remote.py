"""Where upstream files are on the network; `fetch` brings them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TypeAlias


@dataclass(frozen=True)
class HubRepository:
    """A dataset repository on the Hub; its file names are discovered, not assumed.

    Attributes:
        repo_id: owner and name.
        patterns: files that are wanted besides those that the source names, for a source that knows its files by their content.
    """

    repo_id: str
    patterns: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Where a person finds it."""
        return f"https://huggingface.co/datasets/{self.repo_id}"

    def has_pattern_of(self, name: str) -> bool:
        """Tells whether a file is wanted although the source does not name it."""
        return any(fnmatch(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class RemoteFile:
    """One file with an address of its own.

    Attributes:
        url: where it is.
        name: its path below the raw folder, under the upstream name.
        sha256: of the published bytes, where it is known.
    """

    url: str
    name: str
    sha256: str | None = None


Remote: TypeAlias = tuple[HubRepository | RemoteFile, ...]


def github(repository: str, commit: str, paths: Mapping[str, str | None], *, in_lfs: bool = False) -> tuple[RemoteFile, ...]:
    """Returns files of a repository on GitHub, under their paths in it.

    Args:
        repository: owner and name.
        commit: the commit, or a branch where the newest state is wanted.
        paths: path to the sha256 of the file, None where it is not known.
        in_lfs: whether the files are in Git LFS.
    """
    host = "media.githubusercontent.com/media" if in_lfs else "raw.githubusercontent.com"
    return tuple(RemoteFile(f"https://{host}/{repository}/{commit}/{path}", path, sha) for path, sha in paths.items())


def zenodo(record: int, *names: str) -> tuple[RemoteFile, ...]:
    """Returns files of a record on Zenodo."""
    return tuple(RemoteFile(f"https://zenodo.org/records/{record}/files/{name}?download=1", name) for name in names)
