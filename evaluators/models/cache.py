"""Arrays that depend on references and models only, kept on disk: a second system on the same references pays for its own texts.

An entry is addressed by what it was made from (texts, model, number type, version), so it is never out of date. Files are written
whole or not at all and carry checksums; any number of processes may share the folder. When the folder outgrows its bound, what
was not used for the longest time goes. A cache that cannot be read or written costs time, never a score: it is told once and
left aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts import atomic
from ...dataset_scripts.settings import Settings

log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]
ENDING = ".npz"
ABANDONED_S = 3600  # age of an unfinished file that nobody writes any more


class ArrayCache:
    """A folder of arrays.

    Args:
        folder: made when it is not there.
        limit_bytes: bound of the folder's size; 0 keeps nothing.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def get(
        self, recipe: Mapping[str, Any], make: Callable[[], Arrays], is_agreed: Callable[[bool], bool] = lambda is_found: is_found
    ) -> Arrays:
        """Returns what was kept for `recipe`, or what `make` returns, which is kept.

        Args:
            recipe: everything that moves the arrays; plain JSON values.
            make: computes them.
            is_agreed: told whether something was found, says whether it is taken: processes that work together decide alike.
        """
        if not self.limit_bytes:
            return make()
        text = json.dumps(recipe, sort_keys=True, ensure_ascii=False)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}{ENDING}"
        found = self._read(path)
        if is_agreed(found is not None) and found is not None:
            return found
        made = make()
        self._write(path, made)
        return made

    def _read(self, path: Path) -> Arrays | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _tell_once(self.folder, f"cannot be read ({error.strerror})")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the youngest is the last to go
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
            log.warning("%s is damaged: it is made anew", path)
            return None

    def _write(self, path: Path, arrays: Arrays) -> None:
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type] # its stub takes the names for options
        if content.tell() > self.limit_bytes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(path, content.getvalue())
            self._shrink()
        except OSError as error:
            _tell_once(self.folder, f"cannot be written ({error.strerror})")

    def _shrink(self) -> None:
        """Deletes the files that were not used for the longest time until the rest is within the bound."""
        files = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                found = path.stat()
                if path.suffix == ENDING and not path.name.startswith("."):
                    files.append((found.st_mtime_ns, found.st_size, path))
                elif time.time() - found.st_mtime > ABANDONED_S:  # a writer was killed
                    path.unlink()
        excess = sum(size for _, size, _ in files) - self.limit_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size


@cache
def _tell_once(folder: Path, what: str) -> None:
    log.warning("the cache %s %s: scores are computed without it", folder, what)


def reference_cache() -> ArrayCache:
    """Returns the cache of this machine's user: a folder under `Settings.home`, bounded by `Settings.cache_bytes`."""
    settings = Settings.from_environment()
    return ArrayCache(settings.home / "references", settings.cache_bytes)


def digest_of_texts(references: Iterable[Sequence[str]]) -> str:
    """Returns the SHA-256 over lists of texts, their order and borders included.

    >>> digest_of_texts([["a", "b"]]) == digest_of_texts([["a"], ["b"]])
    False
    """
    digest = hashlib.sha256()
    for texts in references:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        digest.update(f"{len(encoded)}:{','.join(str(len(one)) for one in encoded)}:".encode())
        digest.update(b"".join(encoded))
    return digest.hexdigest()
