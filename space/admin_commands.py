"""Looking after a hub: `uac admin ...` and `uac mirror ...`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dataset_scripts.errors import FetchError, InputError, LimitError, StateError
from ..dataset_scripts.settings import Settings
from .console import AsJson, Data, print_json, remark, say, table
from .hub_commands import Db, Files, open_hub

if TYPE_CHECKING:
    from ..leaderboard.storage.store import ResultStore

SHOWN_FILES = 20

admin_app = typer.Typer(help="Look after a hub.", no_args_is_help=True, rich_markup_mode=None)
mirror_app = typer.Typer(help="The hub's copy on the Hugging Face Hub.", no_args_is_help=True, rich_markup_mode=None)

SubmissionId = Annotated[str, typer.Argument(metavar="ID", help="Id of a submission.")]
Repo = Annotated[str | None, typer.Option("--repo", metavar="OWNER/NAME", help="Dataset repository. [default: UAC_MIRROR]")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    app.add_typer(admin_app, name="admin")
    app.add_typer(mirror_app, name="mirror")


# -- submissions -----------------------------------------------------------------------------------------------------------------


@admin_app.command()
def requeue(submission_id: SubmissionId, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Score a submission again: after a failure, or to bring back a hidden, withdrawn or superseded one.

    Example: uac admin requeue 0190f3a2-7c1e-7d10-8c51-6a1b2c3d4e5f
    """
    from ..leaderboard.hub import LOCAL

    submission = open_hub(db, data, files).requeue(submission_id, LOCAL)
    say(f"{submission.state}, to be scored again: {submission.id} of {submission.system} on {submission.benchmark}")


@admin_app.command()
def hide(
    submission_id: SubmissionId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")],
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Take a submission off its board; its files and events stay, and requeue brings it back.

    Example: uac admin hide 0190f3a2-7c1e-7d10-8c51-6a1b2c3d4e5f --reason "trained on the test clips"
    """
    from ..leaderboard.hub import LOCAL

    submission = open_hub(db, data, files).hide(submission_id, reason, LOCAL)
    say(f"hidden: {submission.id} of {submission.system} on {submission.benchmark}")


@admin_app.command()
def rescore(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Benchmark id; `uac benchmarks` lists them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell how many there are; queue nothing.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Score them here and show what the ranks would be; publish nothing.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Score again what was not scored with the benchmark's present metrics; old results stay on the board meanwhile.

    Workers do this by themselves when they start.

    Example: uac admin rescore audiocaps-test --preview
    """
    from ..leaderboard.hub import LOCAL

    hub = open_hub(db, data, files)
    outdated = hub.store.outdated(hub.benchmark(benchmark))
    if preview:
        _show_preview(hub, benchmark, as_json)
    elif dry_run:
        if as_json:
            print_json({"benchmark": benchmark, "outdated": outdated})
        else:
            say(f"{len(outdated):,} submissions to {benchmark} would be scored again.")
    else:
        n = hub.rescore(benchmark, LOCAL)
        if as_json:
            print_json({"benchmark": benchmark, "queued": n})
        else:
            say(f"{n:,} submissions to {benchmark} are queued to be scored again.")


def _show_preview(hub: Any, benchmark: str, as_json: bool) -> None:
    from ..leaderboard.rescoring import preview

    changes = preview(hub, benchmark)
    if as_json:
        print_json([vars(change) for change in changes])
        return
    rows = [
        (_cell(one.rank), _cell(one.new_rank), _score(one.value), _score(one.new_value), one.system, one.submission_id)
        for one in changes
    ]
    table(rows, ("RANK", "NEW RANK", "SCORE", "NEW SCORE", "SYSTEM", "SUBMISSION"))
    n_moved = sum(one.rank != one.new_rank for one in changes)
    say(f"{n_moved:,} of {len(changes):,} systems would change their rank; nothing was published.")


def _cell(rank: int | None) -> str:
    return "–" if rank is None else str(rank)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


# -- what is there ---------------------------------------------------------------------------------------------------------------


@admin_app.command("verify-log")
def verify_log(db: Db = None, data: Data = None, files: Files = None) -> None:
    """Check that no event was changed, removed or inserted; exit code 1 when one was.

    Who notes the last hash elsewhere can tell later that nothing was written anew.

    Example: uac admin verify-log --db sqlite:///hub.db
    """
    store = open_hub(db, data, files).store
    try:
        n = store.verify_events()
    except StateError as error:
        remark(f"the event log was altered: {error} Restore the hub from a backup or its mirror.")
        raise typer.Exit(1) from None
    say(f"{n:,} events, none altered; the last one has sha256 {store.log_end()[1] or '–'}")


@admin_app.command()
def check(as_json: AsJson = False, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Read every file that the database names; exit code 1 when some are missing or damaged.

    Example: uac admin check
    """
    from ..leaderboard.storage.backup import check_files

    found = check_files(open_hub(db, data, files).store)
    if as_json:
        print_json(vars(found))
    else:
        for text, names in (("missing", found.missing), ("damaged", found.damaged)):
            for name in names[:SHOWN_FILES]:
                say(f"{text}: {name}")
            if len(names) > SHOWN_FILES:
                say(f"… and {len(names) - SHOWN_FILES:,} more {text}; --json gives all.")
        say(f"{found.n_files:,} files: {len(found.missing):,} missing, {len(found.damaged):,} damaged.")
    if found.missing or found.damaged:
        raise typer.Exit(1)


@admin_app.command()
def status(as_json: AsJson = False, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Show submissions by state, what waits and for how long, events, free disk, and where the mirror stands.

    Example: uac admin status --json
    """
    store = open_hub(db, data, files).store
    found = _status(store)
    if as_json:
        print_json(found)
        return
    table(sorted(found["submissions"].items()), ("STATE", "SUBMISSIONS"))
    say()
    waiting = f", the oldest for {found['oldest_waiting_s']:,.0f} s" if found["oldest_waiting_s"] is not None else ""
    say(f"waiting or being scored: {found['unfinished']:,}{waiting}")
    say(f"events: {found['events']:,}")
    say(f"free disk: {found['free_disk_bytes'] / 2**30:,.1f} GiB")
    mirror = found["mirror"]
    if mirror is None:
        say("mirror: none; UAC_MIRROR=OWNER/NAME sets one")
    elif mirror["error"]:
        say(f"mirror: {mirror['repo']}: {mirror['error']}")
    else:
        say(f"mirror: {mirror['repo']} holds {mirror['events']:,} events, {mirror['behind']:,} are to be sent")


def _status(store: ResultStore) -> dict[str, Any]:
    n_waiting, _, oldest_s = store.queue()
    repo = Settings.from_environment().mirror
    return {
        "submissions": store.counts(),
        "unfinished": store.n_unfinished(),
        "oldest_waiting_s": oldest_s if n_waiting else None,
        "events": store.n_events(),
        "free_disk_bytes": shutil.disk_usage(store.files.folder).free,
        "mirror": _mirror_status(store, repo) if repo else None,
    }


def _mirror_status(store: ResultStore, repo: str) -> dict[str, Any]:
    from ..leaderboard.storage.mirror import Mirror, check_same_hub

    found: dict[str, Any] = {"repo": repo, "events": None, "behind": None, "is_private": None, "head": None, "error": None}
    try:
        at = Mirror(store, repo).position()
        if at is None:
            return {**found, "events": 0, "behind": store.n_events()}
        if at.batch is not None:
            check_same_hub(store, repo, at.batch)
    except (FetchError, LimitError, InputError) as error:
        return {**found, "error": str(error)}
    behind = store.n_events() - at.n_events
    return {**found, "events": at.n_events, "behind": behind, "is_private": at.is_private, "head": at.head}


# -- copies ----------------------------------------------------------------------------------------------------------------------


@admin_app.command()
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The tar to write; an older one is replaced when this one is whole.")
    ],
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Write the hub into one file, as it is at one moment, while workers go on; equal hubs give equal bytes.

    Example: uac admin backup hub.tar
    """
    from ..leaderboard.storage.backup import backup as write

    report = write(open_hub(db, data, files).store, file)
    size = f"{report.size_bytes / 2**20:,.1f} MiB"
    say(f"{file}: {report.n_rows:,} rows, {report.n_events:,} events, {report.n_files:,} files, {size}")


@admin_app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `uac admin backup` wrote.")],
    db: Db = None,
    data: Data = None,
    files: Files = None,
) -> None:
    """Fill an empty hub from a backup, which is checked before anything is kept; SQLite and PostgreSQL read each other's.

    Example: uac admin restore hub.tar --db sqlite:///restored/hub.db
    """
    from ..leaderboard.storage.backup import restore as read

    report = read(file, open_hub(db, data, files).store)
    say(f"restored {report.n_rows:,} rows, {report.n_events:,} events, {report.n_files:,} files from {file}")


@mirror_app.command()
def push(repo: Repo = None, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Send what the mirror does not hold yet; a repository that is not there is created, for its owner alone.

    A push that is cut goes on at the next one, and several may run at once. `uac serve` pushes by itself where UAC_MIRROR is set.

    Example: hf auth login, then uac mirror push --repo my-lab/leaderboard
    """
    from ..leaderboard.storage.mirror import Mirror

    name = _repo(repo)
    done = Mirror(open_hub(db, data, files).store, name).push()
    if done.commits:
        n = f"{len(done.commits):,} {'commit' if len(done.commits) == 1 else 'commits'}"
        say(f"sent {done.n_events:,} events and {done.n_files:,} files to {name} in {n}")
    else:
        say(f"{name} is up to date.")


@mirror_app.command()
def rebuild(repo: Repo = None, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Fill an empty hub from its mirror, with every checksum and the chain of events verified.

    Its boards are equal; what was not scored yet waits again. A call that is cut goes on at the next one.

    Example: uac mirror rebuild --repo my-lab/leaderboard --db sqlite:///rebuilt/hub.db
    """
    from ..leaderboard.storage.mirror import rebuild as read

    name = _repo(repo)
    done = read(name, open_hub(db, data, files).store)
    say(f"rebuilt from {name}: {done.n_rows:,} rows, {done.n_events:,} events, {done.n_files:,} files; log end {done.end[:16]}")


@mirror_app.command("status")
def mirror_status(repo: Repo = None, as_json: AsJson = False, db: Db = None, data: Data = None, files: Files = None) -> None:
    """Show how far the mirror is.

    Example: uac mirror status --repo my-lab/leaderboard
    """
    found = _mirror_status(open_hub(db, data, files).store, _repo(repo))
    if as_json:
        print_json(found)
    elif found["error"]:
        raise FetchError(found["error"])
    elif found["head"] is None:
        say(f"{found['repo']} is not there yet; {found['behind']:,} events are to be sent.")
    else:
        seen = "private" if found["is_private"] else "public"
        say(f"{found['repo']} ({seen}) holds {found['events']:,} events; {found['behind']:,} are to be sent.")


def _repo(repo: str | None) -> str:
    name = repo or Settings.from_environment().mirror
    if not name:
        raise InputError("no mirror is named; say --repo OWNER/NAME, or set UAC_MIRROR.")
    return name
