"""Puts what was built on the Hub: card and shards in one commit, then every file's hash is read back.

Nothing is published that a card does not allow, unless the user says that they have the rights. Large files that are on the Hub
already are not sent again, so a call that was cut goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .built import holds_sound
from .card import cards_of, write_readme
from .download import is_offline
from .errors import AccessError, ChecksumError, FetchError, InputError, OfflineError, Problem
from .fetch import is_published
from .manifest import built_configs, read_manifest

WHAT_IS_SENT = ["README.md", "data/**"]


@dataclass(frozen=True)
class PublishReport:
    """What was published.

    Attributes:
        repo_id: owner and name.
        commit: the commit that holds the files.
        configs: names of the configs.
        n_files: how many files were checked.
        size_bytes: their size.
    """

    repo_id: str
    commit: str
    configs: list[str]
    n_files: int
    size_bytes: int


def publish(data: Path, repo_id: str, *, private: bool = False, has_rights: bool = False) -> PublishReport:
    """Uploads a built folder to a dataset repository, which is created when it is not there.

    Args:
        data: the folder that `build` wrote.
        repo_id: `owner/name`; `load_dataset` then takes it as its first argument.
        private: create the repository for its owner alone.
        has_rights: the user has the rights that the cards do not give to everybody.

    Raises:
        InputError: nothing is built, or a card does not allow it.
        OfflineError: HF_HUB_OFFLINE is set.
        AccessError: the Hub does not let this user write there.
        ChecksumError: what came back is not what was sent.
        FetchError: the network failed; call it again.
    """
    configs = built_configs(data)
    if not configs:
        raise InputError(f"{data} holds no built dataset; build one first: uac build sample --out {data}")
    if repo_id.count("/") != 1:
        raise InputError(f"the repository is called {repo_id!r}; expected OWNER/NAME, such as my-lab/unified-audiocaps.")
    if not has_rights:
        check_rights(data, configs)
    if is_offline():
        raise OfflineError("publishing needs the network and HF_HUB_OFFLINE is set; unset it.")
    write_readme(data)
    sent = {
        path.relative_to(data).as_posix(): path
        for path in (data / "README.md", *sorted((data / "data").rglob("*")))
        if path.is_file()
    }
    message = f"Publish {', '.join(configs)}"
    commit = send(data, repo_id, sent, message=message, only=WHAT_IS_SENT, delete="data/**", private=private)
    return PublishReport(repo_id, commit, configs, len(sent), sum(path.stat().st_size for path in sent.values()))


def send(
    folder: Path,
    repo_id: str,
    sent: Mapping[str, Path],
    *,
    message: str,
    only: Sequence[str] | None = None,
    delete: str | None = None,
    private: bool = False,
    revision: str | None = None,
    inside: str = "",
    kind: Literal["dataset", "space"] = "dataset",
    sdk: Literal["gradio", "docker"] = "gradio",
) -> str:
    """Sends a folder to a repository in one commit, checks every file there, and returns the commit.

    Args:
        folder: what is sent.
        repo_id: `owner/name`; created when it is not there.
        sent: the files that are sent, by their names in the folder.
        message: title of the commit.
        only: patterns of what in the folder is sent, None for all.
        delete: pattern of what is deleted unless it is sent: shards of an earlier build.
        private: create the repository for its owner alone.
        revision: branch to commit to, None for the main one.
        inside: folder of the repository.
        kind: of the repository.
        sdk: what a Space is made with.

    Raises:
        InputError: the repository's name is none.
        OfflineError: HF_HUB_OFFLINE is set.
        AccessError: the Hub does not let this user write there.
        ChecksumError: what came back is not what was sent.
        FetchError: the network failed; call it again.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoFile

    if repo_id.count("/") != 1:
        raise InputError(f"the repository is called {repo_id!r}; expected OWNER/NAME, such as my-lab/unified-audiocaps.")
    if is_offline():
        raise OfflineError("publishing needs the network and HF_HUB_OFFLINE is set; unset it.")
    api = HfApi()
    names = {f"{inside}/{name}".lstrip("/"): path for name, path in sent.items()}
    try:
        api.create_repo(repo_id, repo_type=kind, space_sdk=sdk if kind == "space" else None, private=private, exist_ok=True)
        info = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            path_in_repo=inside or None,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(only) if only is not None else None,
            delete_patterns=delete,
            commit_message=message,
        )
        commit = str(info.oid)
        found = api.get_paths_info(repo_id, list(names), repo_type=kind, revision=commit)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise AccessError(
                f"the Hub does not let you write to {repo_id} (it answered {status}); `hf auth login` first."
            ) from error
        raise FetchError(f"publishing to {repo_id} failed ({error}); call it again, what was sent is not sent twice.") from error
    entries = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
    if wrong := [name for name, path in names.items() if name not in entries or not is_published(path, entries[name])]:
        raise ChecksumError(f"{repo_id} at {commit[:12]} does not hold what was sent: {', '.join(wrong[:10])}. Publish again.")
    return commit


def check_rights(data: Path, configs: Sequence[str]) -> None:
    """Refuses configs that a card does not allow to be published.

    Args:
        data: the folder that holds the built configs; of one that is not there only the texts are judged.
        configs: their names.

    Raises:
        InputError: some may not be published by everybody.
    """
    problems = []
    for name in configs:
        has_audio = holds_sound(sorted((data / "data" / name).glob("*.parquet")))
        for card in cards_of(name, read_manifest(data / "data" / name) or {}):
            held = {"text": card.license_text} | ({"audio": card.license_audio} if has_audio else {})
            for kind, licence in held.items():
                if kind not in card.redistribution:
                    inside = "" if card.name == name else f" in {name}"
                    message = f"the {kind} of {card.name}{inside} may not be published again: {licence}"
                    problems.append(Problem("E_LICENCE", message, column=name))
    if problems:
        raise InputError(
            "some of what is built here may not be published by everybody. Build a folder without it (--out), or say "
            "--i-have-rights if you have them.",
            problems,
        )
