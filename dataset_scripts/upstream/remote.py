"""Where upstream files are on the network; `fetch` brings them here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HubRepository:
    """A dataset repository on the Hub; its file names are discovered, not assumed."""

    repo_id: str

    @property
    def page(self) -> str:
        """Where a person finds it."""
        return f"https://huggingface.co/datasets/{self.repo_id}"


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
