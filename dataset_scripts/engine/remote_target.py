"""Configs at a URL: a folder at any fsspec URL, or a dataset repository on the Hub.

- A URL (`s3://bucket/folder`, `memory://`, ...): an object store renames nothing, so the manifest says what is whole. Shards are
  sent one by one, then `dropped.parquet` and `stats.json`, then `manifest.json`; then what the new manifest does not name is
  deleted, and the card is written last. Where a shard that the manifest names gets other bytes, the manifest is taken away
  first. So a manifest that is there is true, and a reader of a config that is being replaced finds none. Until the new one is
  there, `upload.json` holds the old one, and the id of the upload, by which the next call knows that nobody else wrote meanwhile.
- `hf://datasets/OWNER/NAME`: one commit, as `uac publish dataset` makes it.

A build to a URL works in a folder of its own below `UAC_HOME`, one per URL, and leaves there only what it needs to go on: nothing
but small files once the config is sent. Builds of one config into one URL wait for each other on one machine; on several machines
that is up to the user. The package behind a protocol takes credentials and options from where it always does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import atomic
from ..card import render
from ..download import is_offline
from ..errors import InputError, MissingRequirementError, OfflineError, StorageError, UnifiedAudioCapsError, UnknownNameError
from ..manifest import Manifest, parse_manifest, read_manifest
from ..marking import EVALUATION_SPLITS, Exclusion, Marking, marking
from ..overlap import COLUMNS
from ..progress import progress
from ..publish import check_rights, send
from ..settings import Settings
from ..source import SOURCES, source
from .parts import Entry
from .target import LocalTarget, Target

_BEGUN = "upload.json"
_PROBE = "writable.tmp"
_READS = 3


class UrlTarget(Target):
    """A config in a folder at an fsspec URL.

    Args:
        url: the folder that holds all built configs.
        name: the config.

    Raises:
        UnknownNameError: nothing reads URLs of that kind.
        MissingRequirementError: a package does, and it is not installed.
        InputError: the URL is wrong.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name, self.url = name, url.rstrip("/") if not url.endswith("://") else url
        self.fs, root = _opened(self.url)
        self.root = root.rstrip("/")
        self.path = self._url_of(f"data/{name}")
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.root).strip("-")[-60:]
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:8]
        self.local = Settings.from_environment().home / "remote" / f"{self.url.partition(':')[0]}-{readable}-{digest}"
        self._whole: Manifest | None = None
        self._begun: dict[str, Any] = {}
        self._statistics: dict[str, Any] = {}

    # -- what is there -----------------------------------------------------------------------------------------------------------

    def marking(self, *, mark: bool, exclude: Sequence[Exclusion]) -> Marking:
        """Returns what to mark and to drop.

        Of the sets that are needed only the columns that say what sound they hold are read, once: they are kept in the work
        folder until the set is built anew.

        Raises:
            InputError: a set to exclude was not built at the URL, or a set changes while it is read.
        """
        beside = self.local / "beside"
        with (
            atomic.storage_errors(self.local, f"Nothing at {self.url} was changed."),
            atomic.exclusive(self.workshop / "beside.lock"),
        ):
            there = self._configs() if mark or exclude else []
            for path in beside.glob("data/*"):
                if path.name not in there:
                    shutil.rmtree(path)
            for config in there:
                named = [one.name.partition("/")[2] for one in exclude if one.name.partition("/")[0] == config]
                if config != self.name and (mark or named):
                    self._pull(config, beside / "data" / config, EVALUATION_SPLITS if mark else (), named)
            try:
                return marking(beside, self.name, mark=mark, exclude=exclude)
            except InputError as problem:  # it would name the work folder
                raise InputError(problem.headline.replace(str(beside), self.url), problem.problems) from None

    def _pull(self, config: str, folder: Path, splits: Sequence[str], named: Sequence[str]) -> None:
        """Brings the manifest of another config, and of some splits the columns that say what sound they hold.

        Args:
            config: the other config.
            folder: where it goes.
            splits: splits that are needed if they are there.
            named: splits as the user wrote them, empty for all.

        Raises:
            InputError: a shard cannot be read, or changes all the time.
        """
        for _ in range(_READS):
            content = self._read(f"data/{config}/manifest.json")
            if content != _content(folder / "manifest.json"):
                shutil.rmtree(folder, ignore_errors=True)
            manifest = _parsed(content)
            if content is None or manifest is None:
                return  # not built, or damaged: a build does not mark with it
            folder.mkdir(parents=True, exist_ok=True)
            wanted = {*splits, *(_own_name(config, split) for split in named)}
            shards = [
                shard["file"]
                for split, found in manifest["splits"].items()
                for shard in (found["shards"] if split in wanted or "" in named else ())
            ]
            try:
                for name in shards:
                    if not (folder / name).is_file():
                        self._pull_columns(f"data/{config}/{name}", folder / name)
            except (InputError, StorageError):
                if self._read(f"data/{config}/manifest.json") == content:
                    raise
            if self._read(f"data/{config}/manifest.json") == content:
                atomic.write_bytes(folder / "manifest.json", content)
                return
        raise InputError(f"{config} at {self.url} changes while it is read; is another program writing there? Try again later.")

    def _pull_columns(self, name: str, path: Path) -> None:
        aside = path.with_name(f".{path.name}")
        with self._reached(f"Nothing at {self.url} was changed."):
            try:
                with self.fs.open(self._at(name), "rb") as stream, pq.ParquetFile(stream, pre_buffer=True) as file:
                    wanted = pa.schema([one for one in file.schema_arrow if one.name in COLUMNS[1:]])
                    with pq.ParquetWriter(aside, wanted) as writer:
                        for batch in file.iter_batches(100_000, columns=wanted.names):
                            writer.write_batch(batch)
            except (FileNotFoundError, pa.ArrowInvalid) as problem:
                config = path.parent.name
                raise InputError(
                    f"{self._url_of(name)} cannot be read ({problem}); build {config} there again: `uac build {config} "
                    f"--out {self.url} --force`, or leave it out: --no-mark-overlaps."
                ) from problem
        aside.replace(path)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Locks the config on this machine, and reads what is there."""
        untouched = f"Nothing at {self.url} was changed; it is built under UAC_HOME before it is sent."
        with atomic.storage_errors(self.local, untouched), atomic.exclusive(self.workshop / f"{self.name}.lock"):
            with self._reached(f"Nothing at {self.url} was changed."):
                self.fs.invalidate_cache()
                self._whole = _parsed(self._read(f"data/{self.name}/manifest.json"))
                self._begun = _json(self._read(f"data/{self.name}/{_BEGUN}"))
                self._statistics = _json(self._read(f"data/{self.name}/stats.json"))
            yield

    def manifest(self) -> Manifest | None:
        """Returns the manifest that is there, or the one that an upload that was cut has taken away."""
        return self._whole or self._begun.get("before")

    def sizes(self) -> dict[str, int]:
        """Returns the sizes of the files that are there, nothing without a manifest."""
        if self._whole is None or not self._statistics:
            return {}
        with self._reached(f"Nothing at {self.url} was changed."):
            return self._listed(f"data/{self.name}")

    def bring(self, entries: Sequence[Entry]) -> Path:
        """Fetches the shards of these parts; a place that cannot be written is told now, not when all is built.

        Raises:
            InputError: they are not what the manifest says.
            StorageError: the place cannot be written.
        """
        self._try_to_write()
        folder = self.workshop / f"{self.name}.kept"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shards = {shard["placed"]: shard["sha256"] for entry in entries for shard in entry["shards"]}
        names = [*shards, *(["dropped.parquet"] if any(entry["dropped"] for entry in entries) else [])]
        with self._reached(f"Nothing at {self.url} was changed."), progress(len(names), "fetching", unit="file") as bar:
            for name in names:
                try:
                    self.fs.get_file(self._at(f"data/{self.name}/{name}"), str(folder / name))
                except FileNotFoundError:
                    (folder / name).unlink(missing_ok=True)
                # dropped.parquet has no sha256 in the manifest
                if not (folder / name).is_file() or shards.get(name) not in {None, atomic.sha256_of(folder / name)}:
                    raise InputError(
                        f"{self.path}/{name} is not what was built before, and only other splits are built now; build all "
                        f"splits of {self.name}, without --split."
                    )
                bar.update(1)
        return folder

    def _try_to_write(self) -> None:
        probe = self._at(f"data/{self.name}/{_PROBE}")
        with self._reached(f"Nothing at {self.url} was changed."):
            if not _is_object_store(self.fs):
                self.fs.makedirs(self._at(f"data/{self.name}"), exist_ok=True)
            self.fs.pipe_file(probe, b"")
            self.fs.rm_file(probe)

    def statistics(self) -> dict[str, Any]:
        """Returns what `stats.json` says."""
        return self._statistics

    # -- putting it there --------------------------------------------------------------------------------------------------------

    def put(self, config: Path | None) -> None:
        """Sends what is not there in equal size and sha256, the manifest after all shards, the card last."""
        with atomic.storage_errors(self.local, f"The same command goes on with what is at {self.url}."):
            if config is not None:
                self._upload(config)
            self._sweep()
            with atomic.exclusive(self.workshop / "readme.lock"), self._reached(f"{self.name} is there; only its card is not."):
                text = self._render(None)
                if self._read("README.md") != text.encode():
                    self.fs.pipe_file(self._at("README.md"), text.encode())
            self._forget()

    def _upload(self, config: Path) -> None:
        manifest = read_manifest(config)
        if manifest is None:
            raise InputError(f"{config} was emptied while it was sent; is another program working there?")
        shards = _shards(manifest)
        more = [path for path in (config / "dropped.parquet", config / "stats.json") if path.is_file()]
        wanted = shards | {path.name: atomic.sha256_of(path) for path in more}
        folder = f"data/{self.name}"
        with self._reached(f"Nothing at {self.url} was changed."):
            there = self._listed(folder)
            note = _Note(self.workshop / f"{self.name}.sent", self._begun.get("id"))
            known = _shards(self._whole) | note.sent
            missing = [name for name, sha in wanted.items() if there.get(name) != _size(config / name) or known.get(name) != sha]
            if note.upload != self._begun.get("id"):
                # Nobody knows what another machine's upload has written: only what the manifest names is taken as it is.
                begun = {"id": note.upload, "before": self.manifest()}
                self.fs.pipe_file(self._at(f"{folder}/{_BEGUN}"), json.dumps(begun).encode())
        is_replaced = bool(_shards(self._whole).keys() & set(missing))
        state = "has no manifest, so nobody takes it for whole" if is_replaced or not self._whole else "is as it was before"
        done = f"What was sent stays and is not sent again: run the same command. Until then {self.name} {state}."
        with self._reached(done), progress(sum(map(_size, (config / m for m in missing))), f"sending {self.name}", "B") as bar:
            if is_replaced:
                self.fs.rm_file(self._at(f"{folder}/manifest.json"))
            for name in missing:
                note.remove(name)
                self._send(config / name, f"{folder}/{name}")
                note.add(name, wanted[name])
                bar.update(_size(config / name))
            self._send(config / "manifest.json", f"{folder}/manifest.json")
        self._whole, self._statistics = manifest, _json(_content(config / "stats.json"))

    def _send(self, path: Path, name: str) -> None:
        self.fs.put_file(str(path), self._at(name))
        self.fs.invalidate_cache(self._at(name.rpartition("/")[0]))
        size = self.fs.info(self._at(name))["size"]
        if size != _size(path):
            raise OSError(f"{name} has {size} bytes there and {_size(path)} here")

    def _sweep(self) -> None:
        """Deletes what the manifest does not name: `load_dataset` takes shards by their names."""
        if self._whole is None:
            return
        folder = f"data/{self.name}"
        has_dropped = any(entry["dropped"] for entry in self._whole["parts"])
        named = {*_shards(self._whole), *(["dropped.parquet"] if has_dropped else [])}
        with self._reached(f"{self.name} is there; run the same command to delete what is left of an earlier build."):
            for name in self._listed(folder):
                if name in {_BEGUN, _PROBE} or (name.endswith(".parquet") and name not in named):
                    self.fs.rm_file(self._at(f"{folder}/{name}"))

    def _render(self, config: Path | None) -> str:
        """Returns the card of all that is there, with this config from a local folder if there is one."""
        folder = self.local / "card"
        shutil.rmtree(folder, ignore_errors=True)
        own = {self.name} if config is not None else set()
        for name in sorted({*self._configs(), *own}):
            files = {file: _content(config / file) if config and name in own else self._read(f"data/{name}/{file}")
                     for file in ("manifest.json", "stats.json")}  # fmt: skip
            if None in files.values():
                continue  # an upload of it goes on, or was cut
            (folder / "data" / name).mkdir(parents=True)
            for file, content in files.items():
                (folder / "data" / name / file).write_bytes(content or b"")
        try:
            return render(folder)
        except InputError as problem:  # it would name the work folder
            raise InputError(problem.headline.replace(str(folder), self.url), problem.problems) from None

    def _forget(self) -> None:
        """Deletes what only an upload that was cut needs."""
        (self.workshop / f"{self.name}.sent").unlink(missing_ok=True)
        for folder in (self.workshop / f"{self.name}.kept", self.local / "card"):
            shutil.rmtree(folder, ignore_errors=True)

    # -- the file system ---------------------------------------------------------------------------------------------------------

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _url_of(self, name: str) -> str:
        return f"{self.url}{name}" if self.url.endswith("/") else f"{self.url}/{name}"

    def _read(self, name: str) -> bytes | None:
        """Returns the content of a small file, None if it is not there."""
        with self._reached(f"Nothing at {self.url} was changed."):
            try:
                content: bytes = self.fs.cat_file(self._at(name))
            except FileNotFoundError:
                return None
            return content

    def _listed(self, folder: str) -> dict[str, int]:
        """Returns the files of a folder with their sizes, nothing if it is not there."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self._at(folder), detail=True)
        except FileNotFoundError:
            return {}
        return {one["name"].rpartition("/")[2]: int(one["size"]) for one in found if one["type"] == "file"}

    def _configs(self) -> list[str]:
        """Returns the sorted names of the folders that may hold configs."""
        with self._reached(f"Nothing at {self.url} was changed."):
            self.fs.invalidate_cache()
            try:
                found = self.fs.ls(self._at("data"), detail=True)
            except FileNotFoundError:
                return []
            return sorted(one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory")

    @contextlib.contextmanager
    def _reached(self, done: str) -> Iterator[None]:
        """Turns what the other side refuses in this block into a `StorageError` that says what the user may rely on."""
        try:
            yield
        except UnifiedAudioCapsError:
            raise
        except OSError as problem:
            raise StorageError(self.url, problem, done) from problem
        except NotImplementedError as problem:
            raise InputError(f"--out is {self.url}; such URLs can be read, not written. Choose another one. {done}") from problem
        except Exception as problem:
            if type(problem).__module__ == "builtins":  # a mistake of ours; file systems have exceptions of their own
                raise
            raise StorageError(self.url, OSError(f"{type(problem).__name__}: {problem}"), done) from problem


class HubTarget(UrlTarget):
    """A config in a dataset repository on the Hub, which is created, private, when it is not there.

    Args:
        url: `hf://datasets/OWNER/NAME`, with `@REVISION` and a folder if wanted.
        name: the config.
        has_rights: the user has the rights that the cards do not give to everybody.

    Raises:
        InputError: the URL is wrong, or the card does not allow it.
        OfflineError: HF_HUB_OFFLINE is set.
    """

    def __init__(self, url: str, name: str, *, has_rights: bool = False) -> None:
        super().__init__(url, name)
        found = re.fullmatch(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.+))?", self.url)
        if found is None:
            raise InputError(
                f"--out is {url}; expected hf://datasets/OWNER/NAME, such as hf://datasets/my-lab/unified-audiocaps."
            )
        self._repo_id, self._inside, self._has_rights = found[1], found[3] or "", has_rights
        self._revision = urllib.parse.unquote(found[2]) if found[2] else None
        if is_offline():
            raise OfflineError(f"{url} needs the network and HF_HUB_OFFLINE is set; unset it.")
        if not has_rights:
            check_rights(self.local / "nothing", [name])  # of the texts; whether there is sound is known once it is built

    def _try_to_write(self) -> None:
        """Does nothing: a try would be a commit."""

    def put(self, config: Path | None) -> None:
        """Sends the config and the card in one commit; files that the Hub has already are not sent again."""
        folder = self.local / f"commit-{self.name}"
        shutil.rmtree(folder, ignore_errors=True)
        untouched = f"Nothing at {self.url} was changed."
        with atomic.storage_errors(self.local, untouched), atomic.exclusive(self.workshop / "readme.lock"):
            text = self._render(config)
            if config is None and self._read("README.md") == text.encode():
                return
            manifest = read_manifest(config) if config is not None else None
            statistics = _json(_content(config / "stats.json")) if config is not None else {}
            folder.mkdir(parents=True)
            (folder / "README.md").write_text(text, encoding="utf-8")
            if config is not None:
                (folder / "data").mkdir()
                config.rename(folder / "data" / self.name)
                if not self._has_rights:
                    check_rights(folder, [self.name])
            send(
                folder,
                self._repo_id,
                {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()},
                message=f"Build {self.name}" if config is not None else "Update the card",
                delete=f"data/{self.name}/**" if config is not None else None,
                private=True,
                revision=self._revision,
                inside=self._inside,
            )
            if manifest is not None:
                self._whole, self._statistics = manifest, statistics
            shutil.rmtree(folder)
        self._forget()


class _Note:
    """What this machine has sent of an upload that is not finished: name -> sha256, in a file, under the upload's id.

    Args:
        path: the file.
        begun: id of the upload that was begun at the target; a note about another one counts for nothing.
    """

    def __init__(self, path: Path, begun: str | None) -> None:
        self._path = path
        values = _json(_content(path))
        is_mine = begun is not None and values.get("upload") == begun
        self.upload: str = values["upload"] if is_mine else secrets.token_hex(8)
        self.sent: dict[str, str] = values["sent"] if is_mine else {}
        self._write()

    def add(self, name: str, sha256: str) -> None:
        self.sent[name] = sha256
        self._write()

    def remove(self, name: str) -> None:
        if self.sent.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        atomic.write_text(self._path, json.dumps({"upload": self.upload, "sent": self.sent}))


def open_target(out: Path | str, name: str, *, has_rights: bool = False) -> Target:
    """Returns the place of a config.

    Args:
        out: a local folder, or the URL of one.
        name: the config.
        has_rights: on the Hub, the user has the rights that the cards do not give to everybody.

    Raises:
        UnknownNameError: nothing reads URLs of that kind.
        MissingRequirementError: a package does, and it is not installed.
        InputError: the URL is wrong, or the card does not allow it.
        OfflineError: it is on the Hub and HF_HUB_OFFLINE is set.
    """
    if isinstance(out, str) and "://" in out:
        protocol = out.partition("://")[0]
        if protocol in {"file", "local"}:
            from fsspec.implementations.local import LocalFileSystem

            return LocalTarget(Path(LocalFileSystem._strip_protocol(out)), name)
        if protocol == "hf" and not out.startswith("hf://buckets/"):
            return HubTarget(out, name, has_rights=has_rights)
        return UrlTarget(out, name)
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):
        raise InputError(f"{out} was a URL before it was made a path; give it as a text (--out), with //. UAC_DATA is a folder.")
    return LocalTarget(Path(out), name)


def _opened(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it."""
    import fsspec
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0].rpartition("::")[2]
    if protocol not in {*known_implementations, *fsspec.registry}:
        raise UnknownNameError("protocol of URLs", protocol, {*known_implementations, *fsspec.registry})
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
        return found
    except ImportError as problem:
        package = str(known_implementations.get(protocol, {}).get("class", "")).partition(".")[0]
        # Such packages fit one version of fsspec; the one that `datasets` allows must stay.
        wanted = f"'fsspec[{protocol}]=={fsspec.__version__}'" if package in {"", "fsspec"} else package
        command = f"pip install {wanted} fsspec=={fsspec.__version__}"
        raise MissingRequirementError(
            f"the package behind {protocol}://", f"--out {url} needs it ({problem}).", command
        ) from problem
    except ValueError as problem:
        raise InputError(f"--out is {url}; it cannot be read as a URL of {protocol} ({problem}).") from problem


def _is_object_store(fs: Any) -> bool:
    """Tells whether folders need not be made; asking for one could make a bucket out of a misspelt name."""
    from fsspec.asyn import AsyncFileSystem

    return isinstance(fs, AsyncFileSystem)


def _shards(manifest: Manifest | None) -> dict[str, str]:
    """Returns the shards that a manifest names, with their sha256."""
    splits: Mapping[str, Any] = (manifest or {"splits": {}})["splits"]
    return {shard["file"]: shard["sha256"] for found in splits.values() for shard in found["shards"]}


def _own_name(config: str, split: str) -> str:
    """Returns the source's own name of a split."""
    return source(config).split_aliases.get(split, split) if config in SOURCES.names() else split


def _parsed(content: bytes | None) -> Manifest | None:
    """Returns a manifest, None if it is missing or damaged."""
    try:
        return parse_manifest(content.decode()) if content is not None else None
    except ValueError:
        return None


def _json(content: bytes | None) -> dict[str, Any]:
    """Returns what a small file says; nothing if it is missing or damaged."""
    try:
        values = json.loads(content or b"{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _size(path: Path) -> int:
    return path.stat().st_size
