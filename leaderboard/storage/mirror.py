"""A hub's copy in a dataset repository of the Hub: every change in order, so that the hub can be rebuilt from it.

The repository only grows: `batches/` holds the events and the rows that they are about, `files/` what the rows name. A batch's
name tells which events it holds, where the hash chain stands after them, and the sha256 of its content; its first line names the
batch before it. Where the mirror stands is read from these names alone, and each commit is made on the head that was read, so
that any number of pushers, killed at any moment, send everything once.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...dataset_scripts import atomic
from ...dataset_scripts.download import is_offline
from ...dataset_scripts.errors import (
    AccessError,
    ChecksumError,
    FetchError,
    InputError,
    LimitError,
    OfflineError,
    Problem,
    UnifiedAudioCapsError,
)
from ...dataset_scripts.progress import progress
from ...dataset_scripts.settings import Settings
from ...evaluators.metric import package_version
from ..benchmark import shipped_benchmarks
from .backup import files_of, line_of, row_of
from .copies import Changes, Row, check_empty
from .store import ResultStore

if TYPE_CHECKING:
    from ..worker import Place

logger = logging.getLogger(__name__)

FORMAT = 1
MAX_EVENTS = 2_000
MAX_BYTES = 500 * 2**20
EVENTS_PER_FOLDER = 10_000  # the Hub asks for at most 10,000 files in a folder
PATHS_PER_REQUEST = 500
DOWNLOADS_AT_ONCE = 8
TRIES = 8
MAX_PAUSE_S = 120.0
PUSH_S = 60.0  # the Hub takes about 120 commits an hour
LOOK_S = 2.0
GRACE_S = 20.0
_CONFLICTS = {409, 412}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_NAME = re.compile(r"batches/\d{8}/(\d{12})-(\d{12})-([0-9a-f]{8})-([0-9a-f]{16})\.jsonl")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")

CARD = """---
pretty_name: Copy of a leaderboard hub
viewer: false
tags: [unified-audiocaps, leaderboard]
---
# Copy of a leaderboard hub

`unified-audiocaps` writes this repository while its hub runs. It holds every event, submission, result and file of the hub, and
only grows: nothing in it is ever changed or deleted, neither what was hidden or withdrawn later. Think of that before you make it
public.

- `batches/`: events in order, as lines of JSON, each with the rows that it is about. A file's name holds the numbers of its first
  and last event, the sha256 of the last event, and the sha256 of the file itself (both cut).
- `files/`: predictions, validation reports and scores per item, by their sha256.

To rebuild the hub in an empty database, with all checksums and the chain of events verified:

    pip install unified-audiocaps
    uac mirror rebuild --repo {repo_id} --db sqlite:///hub.db
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """One file of events.

    Attributes:
        first: number of its first event.
        last: number of its last one.
        end: first eight hex digits of the last event's sha256.
        digest: first sixteen hex digits of the file's sha256.
    """

    first: int
    last: int
    end: str
    digest: str

    @property
    def path(self) -> str:
        """Its name in the repository."""
        folder = self.first // EVENTS_PER_FOLDER
        return f"batches/{folder:08d}/{self.first:012d}-{self.last:012d}-{self.end}-{self.digest}.jsonl"

    @classmethod
    def named(cls, path: str) -> Batch | None:
        """Returns the batch of that name, None where it is another file."""
        found = _NAME.fullmatch(path)
        return None if found is None else cls(int(found[1]), int(found[2]), found[3], found[4])


@dataclass(frozen=True)
class Position:
    """Where a mirror stands.

    Attributes:
        head: the newest commit.
        is_private: whether only its owner sees the repository.
        batch: the last batch, None where there is none.
        has_card: whether it explains itself.
    """

    head: str
    is_private: bool
    batch: Batch | None
    has_card: bool

    @property
    def n_events(self) -> int:
        """How many events it holds."""
        return self.batch.last if self.batch is not None else 0


@dataclass(frozen=True)
class Pushed:
    """What was sent.

    Attributes:
        n_events: events.
        commits: ids of the commits, one per batch.
        n_files: files that the repository did not hold before.
    """

    n_events: int
    commits: tuple[str, ...]
    n_files: int


@dataclass(frozen=True)
class Rebuilt:
    """What was read back.

    Attributes:
        n_batches: batches.
        n_events: events.
        n_rows: rows of the database.
        n_files: files that they name.
        end: sha256 of the last event.
    """

    n_batches: int
    n_events: int
    n_rows: int
    n_files: int
    end: str


class _Again(Exception):  # a message between two functions of this module
    """Something that passes by itself; `error` is told when it does not."""

    def __init__(self, error: UnifiedAudioCapsError, wait_s: float | None = None) -> None:
        self.error, self.wait_s = error, wait_s
        super().__init__(str(error))


class _Repository:
    """A dataset repository: what is asked of it, with its refusals in our words."""

    def __init__(self, repo_id: str, token: str | None, pause: Callable[[float], object]) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        if not _REPO.fullmatch(repo_id):
            raise InputError(f"the repository is called {repo_id!r}; expected OWNER/NAME, such as my-lab/leaderboard.")
        self.repo_id, self._pause = repo_id, pause
        disable_progress_bars()  # one per file; ours counts all of them
        self._api = HfApi(token=token)

    def insist(self, step: Callable[[], T]) -> T:
        """Does a step again while the Hub is busy, moved on, or does not answer.

        Raises:
            AccessError: the Hub does not let this user do that.
            LimitError: the Hub wants us to come back later.
            FetchError: it does not answer.
        """
        if is_offline():
            raise OfflineError(f"{self.repo_id} is on the Hub and HF_HUB_OFFLINE is set; unset it. Nothing was lost.")
        for tries in range(1, TRIES + 1):
            try:
                with self._told():
                    return step()
            except _Again as again:
                wait_s = again.wait_s if again.wait_s is not None else min(MAX_PAUSE_S, 0.5 * 2**tries)
                if wait_s > MAX_PAUSE_S:
                    raise LimitError(f"the Hub wants {self.repo_id} to wait for {wait_s:,.0f} s.", wait_s) from again.__cause__
                # pushers that collided must not collide again; who is asked to end ends
                jitter_s = random.uniform(0, wait_s)  # noqa: S311 # a pause is no secret
                is_asked = again.wait_s is not None
                if tries == TRIES or self._pause(wait_s + 0.1 * jitter_s if is_asked else jitter_s):
                    raise again.error from again.__cause__
        raise AssertionError("a step ends or raises")

    @contextmanager
    def _told(self) -> Iterator[None]:
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in _CONFLICTS:
                raise _Again(FetchError(f"others kept writing to {self.repo_id} meanwhile; push again.")) from error
            if status in _PASSING:
                told = FetchError(f"the Hub answers {status} for {self.repo_id}; nothing was lost, push again.")
                raise _Again(told, _asked_wait_s(error.response.headers)) from error
            if status in {401, 403, 404}:
                raise AccessError(
                    f"https://huggingface.co/datasets/{self.repo_id} is not there or not open to you (the Hub answered {status});"
                    " `hf auth login` with a token that may write there."
                ) from error
            raise FetchError(f"the Hub refused {self.repo_id} ({error}); nothing was lost.") from error
        except (httpx2.TransportError, ConnectionError, TimeoutError) as error:
            told = FetchError(f"the Hub does not answer for {self.repo_id} ({error}); nothing was lost, push again.")
            raise _Again(told) from error

    def create(self) -> None:
        self._api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)

    def info(self) -> tuple[str, bool] | None:
        """Returns the newest commit and whether the repository is private; None where it is not there."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            found = self._api.dataset_info(self.repo_id, expand=["private", "sha"])  # not the list of all files
        except RepositoryNotFoundError:
            return None
        return str(found.sha), bool(found.private)

    def names(self, head: str, folder: str = "", is_recursive: bool = False) -> list[str]:
        """Returns the names in a folder that is there."""
        tree = self._api.list_repo_tree(self.repo_id, folder or None, recursive=is_recursive, revision=head, repo_type="dataset")
        return sorted(entry.path for entry in tree)

    def missing(self, paths: Iterable[str], head: str) -> list[str]:
        """Returns which files are not there."""
        wanted = sorted(paths)
        there: set[str] = set()
        for start in range(0, len(wanted), PATHS_PER_REQUEST):
            some = wanted[start : start + PATHS_PER_REQUEST]
            found = self._api.get_paths_info(self.repo_id, some, revision=head, repo_type="dataset")
            there.update(entry.path for entry in found)
        return [path for path in wanted if path not in there]

    def commit(self, contents: Mapping[str, bytes | Path], head: str, message: str) -> str:
        """Adds files on top of the commit `head` and returns the new one."""
        from huggingface_hub import CommitOperationAdd

        operations = []
        for name, content in contents.items():
            one = CommitOperationAdd(name, content)
            if isinstance(content, Path) and one.upload_info.sha256.hex() != content.name[:64]:
                raise InputError(f"the hub's file {content.name} is damaged and was not sent; restore it from a backup.")
            operations.append(one)
        info = self._api.create_commit(self.repo_id, operations, commit_message=message, repo_type="dataset", parent_commit=head)
        return str(info.oid)

    def download(self, name: str, head: str, folder: Path) -> Path:
        """Returns a file of the repository in `folder`."""
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(self._api.hf_hub_download(self.repo_id, name, repo_type="dataset", revision=head, local_dir=folder))
        except LocalEntryNotFoundError as error:  # the library tried again and again by itself
            raise FetchError(f"{name} of {self.repo_id} could not be fetched ({error}); try again.") from error
        except EntryNotFoundError:
            raise InputError(f"{self.repo_id} does not hold {name}, which a batch names; it was deleted there.") from None


def _asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Returns how long the Hub asks us to wait, None where it does not say."""
    from huggingface_hub.utils import parse_ratelimit_headers

    if (text := headers.get("retry-after", "").strip()).isdigit():
        return float(text)
    limits = parse_ratelimit_headers(headers)
    return float(limits.reset_in_seconds) if limits is not None and limits.remaining == 0 else None


# -- there -----------------------------------------------------------------------------------------------------------------------


class Mirror:
    """Sends a hub's changes to a dataset repository.

    Args:
        store: the hub.
        repo_id: OWNER/NAME; created, for its owner alone, when it is not there.
        token: of the Hub; the one of `hf auth login` by default.
        pause: waits so many seconds; what it returns tells whether to give up.
        max_events: in one commit.
        max_bytes: of files in one commit, unless one event names more.

    Raises:
        InputError: the repository's name is none.
    """

    def __init__(
        self,
        store: ResultStore,
        repo_id: str,
        token: str | None = None,
        *,
        pause: Callable[[float], object] = time.sleep,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.store, self.repo_id = store, repo_id
        self._repository = _Repository(repo_id, token, pause)
        self._max_events, self._max_bytes = max_events, max_bytes
        self._known: Position | None = None  # spares the listing while nobody else commits

    def position(self) -> Position | None:
        """Returns where the mirror stands, None where there is no such repository.

        Raises:
            FetchError: the Hub does not answer, or refuses.
        """
        return self._repository.insist(self._position)

    def push(self) -> Pushed:
        """Sends everything that the mirror does not hold yet.

        Raises:
            InputError: the mirror is another hub's, or public while this hub has private benchmarks; or a file is damaged.
            FetchError: the Hub does not answer or refuses; the next push goes on where this one stopped.
            LimitError: the Hub wants us to come back later.
        """
        done = Pushed(0, (), 0)
        self._repository.insist(self._see)
        with progress(max(0, self.store.log_end()[0] - self._seen.n_events), "mirroring", "event") as bar:
            while (sent := self._repository.insist(self._send_next)) is not None:
                done = Pushed(done.n_events + sent.n_events, (*done.commits, *sent.commits), done.n_files + sent.n_files)
                bar.update(sent.n_events)
        return done

    @property
    def _seen(self) -> Position:
        assert self._known is not None  # noqa: S101 # it was looked at before
        return self._known

    def _see(self) -> None:
        """Reads where the mirror stands, and checks that it may go on there."""
        at = self._position()
        if at is None:
            self._repository.create()
            at = self._position()
        if at is None:
            raise AccessError(
                f"https://huggingface.co/datasets/{self.repo_id} was created and is not open to you; check the token."
            )
        self._known = at
        if at.batch is not None:
            check_same_hub(self.store, self.repo_id, at.batch)

    def _position(self) -> Position | None:
        found = self._repository.info()
        if found is None:
            return None
        head, is_private = found
        if self._known is not None and self._known.head == head:
            return replace(self._known, is_private=is_private)
        names = self._repository.names(head)
        batch = None
        if "batches" in names:
            folders = self._repository.names(head, "batches")
            batch = max(filter(None, map(Batch.named, self._repository.names(head, folders[-1]))), key=lambda one: one.last)
        return Position(head, is_private, batch, "README.md" in names)

    def _send_next(self) -> Pushed | None:
        """Sends the next batch; None when there is none."""
        if self._known is None:
            self._see()
        at = self._seen
        changes, contents = self._next(at)
        if changes is None:
            return None
        self._check_private(at)
        rows = _lines(changes.rows, at.batch)
        batch = Batch(changes.first, changes.last, changes.end[:8], hashlib.sha256(rows).hexdigest()[:16])
        card = {} if at.has_card else {"README.md": CARD.format(repo_id=self.repo_id).encode()}
        message = f"Events {changes.first:,} to {changes.last:,}"
        try:
            commit = self._repository.commit({**contents, **card, batch.path: rows}, at.head, message)
        except BaseException:
            self._known = None  # it may have come there all the same: look before the next one
            raise
        self._known = Position(commit, at.is_private, batch, True)
        return Pushed(changes.last - changes.first + 1, (commit,), len(contents))

    def _next(self, at: Position) -> tuple[Changes | None, dict[str, bytes | Path]]:
        """Returns what follows in one commit, and the files that go with it, by their names in the repository."""
        limit = self._max_events
        while True:
            changes = self.store.changes(at.n_events, limit)
            if changes is None:
                return None, {}
            named = {(sha256, suffix) for row in changes.rows for sha256, suffix in files_of(*row)}
            paths = {_path_of(*one): self.store.files.path(*one) for one in named}
            contents: dict[str, bytes | Path] = {name: paths[name] for name in self._repository.missing(paths, at.head)}
            sizes = [path.stat().st_size if path.is_file() else None for path in map(paths.__getitem__, contents)]
            if None in sizes:
                gone = [paths[name].name for name, size in zip(contents, sizes, strict=True) if size is None]
                problems = [Problem("E_FILE", f"{name} is missing", hint="uac admin check lists all") for name in gone]
                raise InputError("the hub's files are not complete, so the mirror cannot go on.", problems)
            n = changes.last - changes.first + 1
            if n == 1 or limit == 1 or sum(size or 0 for size in sizes) <= self._max_bytes:
                return changes, contents
            limit = max(1, min(limit, n) // 2)

    def _check_private(self, at: Position) -> None:
        """Refuses a public repository where a benchmark's references are nobody's to see."""
        if at.is_private:
            return
        shipped = [one for one in shipped_benchmarks() if one.is_private and self.store.submissions(1, benchmark=one.id)]
        private = sorted({one.id for one in (*self.store.benchmarks(), *shipped) if one.is_private})
        if private:
            raise InputError(
                f"{self.repo_id} is public, and the references of {', '.join(private)} are private; nothing was sent. Make the "
                f"repository private (https://huggingface.co/datasets/{self.repo_id}/settings), or name another one."
            )


def check_same_hub(store: ResultStore, repo_id: str, batch: Batch) -> None:
    """Refuses a mirror whose events are not ours.

    Raises:
        InputError: it holds other events than the hub, or more.
    """
    mine = store.log_sha256(batch.last)
    if mine is None:
        raise InputError(
            f"{repo_id} holds {batch.last:,} events and this hub {store.log_end()[0]:,}: it is another hub's mirror, or this "
            "one was restored from an older copy. Rebuild it (uac mirror rebuild), or mirror to another repository."
        )
    if mine[: len(batch.end)] != batch.end:
        raise InputError(
            f"{repo_id} is the mirror of another hub: its event {batch.last:,} has sha256 {batch.end}…, ours {mine[:8]}…. "
            "Mirror to another repository."
        )


def _path_of(sha256: str, suffix: str) -> str:
    return f"files/{sha256[:2]}/{sha256}{suffix}"


def _lines(rows: Sequence[Row], previous: Batch | None) -> bytes:
    about = {"format": FORMAT, "version": package_version(), "previous": previous.path if previous else ""}
    return b"".join([line_of(("mirror", about)), *map(line_of, rows)])


# -- and back --------------------------------------------------------------------------------------------------------------------


def rebuild(
    repo_id: str,
    store: ResultStore,
    token: str | None = None,
    *,
    pause: Callable[[float], object] = time.sleep,
) -> Rebuilt:
    """Fills an empty hub from its mirror: its board is equal, unfinished submissions wait again.

    Files that lie in the hub's folder already are not fetched again, so a call that was cut goes on.

    Args:
        repo_id: OWNER/NAME of the mirror.
        store: the hub; its database is empty.
        token: of the Hub; the one of `hf auth login` by default.
        pause: waits so many seconds; what it returns tells whether to give up.

    Raises:
        InputError: the hub is not empty, or batches are missing.
        ChecksumError: a batch or a file is not what was sent.
        StateError: the events do not form a chain.
        FetchError: the Hub does not answer or refuses; call it again.
        StorageError: the disk is full.
    """
    check_empty(store.log_end()[0])
    repository = _Repository(repo_id, token, pause)
    found = repository.insist(repository.info)
    if found is None:
        raise AccessError(f"https://huggingface.co/datasets/{repo_id} is not there or not open to you; `hf auth login` first.")
    head = found[0]
    names = repository.insist(lambda: repository.names(head, is_recursive=True))
    batches = _in_order(repo_id, names)
    aside = store.files.folder.parent
    with (
        atomic.storage_errors(aside, "The database is still empty."),
        tempfile.TemporaryDirectory(prefix=".rebuild-", dir=aside) as folder,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):

        def fetch(name: str) -> Path:
            return repository.insist(lambda: repository.download(name, head, Path(folder)))

        def keep(one: tuple[str, str]) -> None:
            _keep(store, repo_id, fetch(_path_of(*one)), *one)

        previous, rows = "", list[Row]()
        for batch, path in zip(batches, _shown(pool.map(fetch, [one.path for one in batches]), len(batches)), strict=True):
            rows += _rows_of(repo_id, batch, path.read_bytes(), previous)
            previous = batch.path
        named = sorted({one for row in rows for one in files_of(*row)})
        wanted = [one for one in named if not _is_sound(store.files.path(*one), one[0])]
        for _ in _shown(pool.map(keep, wanted), len(wanted)):
            pass
    n_rows = store.load(rows)
    return Rebuilt(len(batches), batches[-1].last, n_rows, len(named), store.log_end()[1])


def _in_order(repo_id: str, names: Iterable[str]) -> list[Batch]:
    """Returns the batches of a repository, which have to follow each other without a gap."""
    batches = sorted(filter(None, map(Batch.named, names)), key=lambda one: one.first)
    if not batches:
        raise InputError(f"{repo_id} holds no batches of events; it is no mirror of a hub.")
    last = 0
    for one in batches:
        if one.first != last + 1 or one.last < one.first:
            raise InputError(
                f"{repo_id} has a gap: event {last + 1:,} should follow, and {one.path} is next. A batch was deleted or added; "
                "restore the repository from its history."
            )
        last = one.last
    return batches


def _rows_of(repo_id: str, batch: Batch, content: bytes, previous: str) -> list[Row]:
    """Returns the rows of a batch that is what its name says, and follows the batch `previous`."""
    restore = "restore it from the repository's history."
    if hashlib.sha256(content).hexdigest()[: len(batch.digest)] != batch.digest:
        raise ChecksumError(f"{batch.path} of {repo_id} is not what was sent: its name has another sha256; {restore}")
    (kind, about), *rows = map(row_of, content.splitlines())
    if kind != "mirror" or about.get("format") != FORMAT:
        raise InputError(
            f"{batch.path} of {repo_id} has format {about.get('format')!r}; expected {FORMAT}. Rebuild with unified-audiocaps "
            f"{about.get('version')}."
        )
    events = [row for name, row in rows if name == "event"]
    numbers = [row["number"] for row in events]
    is_whole = numbers == list(range(batch.first, batch.last + 1)) and str(events[-1]["sha256"]).startswith(batch.end)
    if about.get("previous") != previous or not is_whole:
        raise ChecksumError(f"{batch.path} of {repo_id} is not what follows {previous or 'nothing'}; {restore}")
    return rows


def _keep(store: ResultStore, repo_id: str, path: Path, sha256: str, suffix: str) -> None:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        name = _path_of(sha256, suffix)
        raise ChecksumError(f"{name} of {repo_id} is not what its name says; restore it from the repository's history.")
    store.files.put(content, suffix)
    path.unlink()


def _is_sound(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    if atomic.sha256_of(path) == sha256:
        return True
    path.unlink()  # what is damaged is fetched anew
    return False


def _shown(steps: Iterable[T], total: int) -> Iterator[T]:
    with progress(total, "fetching", "file") as bar:
        for one in steps:
            yield one
            bar.update()


# -- beside a hub that runs ------------------------------------------------------------------------------------------------------


def mirror_loop(mirror: Mirror, stop: threading.Event, every_s: float = PUSH_S) -> None:
    """Pushes when something is new, at most every `every_s` seconds, and once more when it is asked to end.

    What goes wrong is logged and tried again.
    """
    sent = -1
    while True:
        is_last = stop.is_set()
        wait_s = every_s
        try:
            n_events = mirror.store.log_end()[0]
            if n_events == sent:
                wait_s = LOOK_S
            else:
                pushed = mirror.push()
                sent = n_events
                logger.info("sent %d events to %s", pushed.n_events, mirror.repo_id)
        except LimitError as error:
            logger.warning("%s", error)
            wait_s = max(every_s, error.retry_after_s)
        except UnifiedAudioCapsError as error:
            logger.error("the mirror is behind: %s", error)
        except Exception:  # whatever it is, the hub goes on, and the next round tries again
            logger.exception("the mirror is behind")
        if is_last:
            return
        stop.wait(wait_s)


@contextmanager
def mirroring(place: Place, every_s: float = PUSH_S) -> Iterator[None]:
    """Mirrors a hub beside the caller, where a mirror is set (`UAC_MIRROR`); fills an empty hub from its mirror before that.

    Args:
        place: the hub.
        every_s: seconds between two pushes.

    Raises:
        FetchError: the hub is empty and its mirror cannot be read: going on would start another hub.
    """
    repo_id = Settings.from_environment().mirror
    if not repo_id:
        yield
        return
    store, stop = place.open().store, threading.Event()
    mirror = Mirror(store, repo_id, pause=stop.wait)
    if store.log_end()[0] == 0 and (at := mirror.position()) is not None and at.batch is not None:
        rebuilt = rebuild(repo_id, store)
        logger.warning("the hub was empty and was rebuilt from %s: %d events", repo_id, rebuilt.n_events)
    thread = threading.Thread(target=mirror_loop, args=(mirror, stop, every_s), name="uac-mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(GRACE_S)
        store.close()
