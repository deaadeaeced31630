"""One file from one URL, whole or not at all, and only if it is the file that was published."""

from __future__ import annotations

from pathlib import Path

from . import atomic
from .errors import ChecksumError, FetchError, OfflineError

TIMEOUT_S = 60


def is_offline() -> bool:
    """Tells whether the user asked for no network (HF_HUB_OFFLINE), as `huggingface_hub` understands it."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def download(url: str, path: Path, sha256: str | None, *, wanted_by: str, instead: str = "get it by hand.") -> str:
    """Fetches one file and returns its sha256, hex.

    Args:
        url: where it is published.
        path: where it goes; its folder is made.
        sha256: of the published file; None where the publisher does not say.
        wanted_by: what needs it, for messages.
        instead: what else a user can do, a sentence.

    Raises:
        ChecksumError: what came is not what was published; nothing is kept.
        FetchError: the network failed.
    """
    import pooch

    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_S, headers={"User-Agent": "unified-audiocaps"})
    pooch.get_logger().setLevel("ERROR")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # checked by us below: pooch's own message would tell neither who wants the file nor what to do
        pooch.retrieve(url, None, fname=f"{path.name}.partial", path=path.parent, downloader=downloader)
    except OSError as error:  # every failure of the network is one, a full disk too
        if error.errno is not None:
            raise
        raise FetchError(f"{wanted_by}: {url} could not be fetched ({error}). Try again, or: {instead}") from error
    partial = path.with_name(f"{path.name}.partial")
    found = atomic.sha256_of(partial)
    if sha256 and found != sha256:
        partial.unlink()
        raise ChecksumError(
            f"{wanted_by}: {url} has sha256 {found}; expected {sha256}. The publisher changed it, or it was damaged "
            "on the way; nothing was kept. Get the published release by hand, or report it."
        )
    partial.replace(path)
    return found


def published_file(url: str, path: Path, sha256: str, *, wanted_by: str) -> Path:
    """Returns `path` with the published file in it, fetched at the first call; several processes may call at once.

    Args:
        url: where it is published.
        path: where it lies, or goes.
        sha256: of the published file, checked every time.
        wanted_by: what needs it, for messages.

    Raises:
        OfflineError: it is not there and the user asked for no network.
        ChecksumError: what lies there, or what came, is not what was published.
        FetchError: the network failed.
        StorageError: the folder cannot be written.
    """
    if not path.is_file():
        if is_offline():
            raise OfflineError(f"{wanted_by}: {path} is not there and HF_HUB_OFFLINE is set. Put {url} there.")
        with (
            atomic.storage_errors(path.parent, "Nothing was kept."),
            atomic.exclusive(path.with_name(f".{path.name}.lock")),
        ):
            if not path.is_file():  # another process may just have brought it
                download(url, path, sha256, wanted_by=wanted_by)
                return path
    found = atomic.sha256_of(path)
    if found != sha256:
        raise ChecksumError(f"{path} has sha256 {found}; expected {sha256}. It is damaged or another file: delete it.")
    return path
