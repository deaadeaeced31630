"""Puts metrics and tasks on the Hub: each as a Space, which `evaluate.load("ORG/NAME")` reads and people can try in a browser."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.publish import send
from ..evaluators import hub_files


@dataclass(frozen=True)
class PublishedMetric:
    """One metric on the Hub: its name, the repository, and the commit that holds its files."""

    name: str
    repo_id: str
    commit: str


def publish_metrics(
    org: str,
    names: Sequence[str] | None = None,
    *,
    private: bool = False,
    package: str = "unified-audiocaps",
    done: Callable[[PublishedMetric], None] = lambda one: None,
) -> list[PublishedMetric]:
    """Uploads the folders of metrics, each to the Space `ORG/NAME`, and checks what arrived.

    Args:
        org: user or organisation.
        names: metrics and tasks; None for all.
        private: create the Spaces for their owner alone.
        package: what a Space installs this project from: a name on PyPI, or a URL that pip takes.
        done: called with each one that is there.

    Raises:
        UnknownNameError: no metric is called so.
        InputError: `org` is no name.
        OfflineError: HF_HUB_OFFLINE is set.
        AccessError: the Hub does not let this user write there.
        ChecksumError: what came back is not what was sent.
        FetchError: the network failed; call it again.
    """
    if not org or "/" in org:
        raise InputError(f"the organisation is called {org!r}; expected a name such as my-lab.")
    chosen = {name: hub_files.described(name) for name in (hub_files.names() if names is None else names)}
    published = []
    for name, about in chosen.items():
        with tempfile.TemporaryDirectory(prefix="uac-") as folder:
            files = {}
            for file, text in hub_files.render(name, org, package).items():
                files[file] = Path(folder) / file
                files[file].write_text(text, encoding="utf-8")
            message = f"{about.title}, version {about.version}"
            commit = send(Path(folder), f"{org}/{name}", files, message=message, private=private, kind="space")
        published.append(PublishedMetric(name, f"{org}/{name}", commit))
        done(published[-1])
    return published
