"""What outsiders are told of submissions and events: no name of the machine, and no words of what scoring stumbled over."""

from __future__ import annotations

import re
from typing import Any

from ...dataset_scripts.errors import UnknownNameError
from ...leaderboard.hub import Hub
from ...leaderboard.submission import Submission
from .errors import machine_folders, without_folders

HIDDEN_CAUSE = "scoring failed; the references are private, so the reason stands in the hub's log only"
_FOLDERS = re.compile(r"(?<![\w:/])/(?:[\w.@+~-]+/)+")


class Telling:
    """Turns what the store knows into what the API tells.

    Args:
        hub: knows which benchmarks are private.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub, self._folders = hub, machine_folders(hub)

    def submission(self, found: Submission) -> dict[str, Any]:
        """Returns a submission as plain values."""
        values = dict(vars(found))
        if found.state == "failed":
            values["error"] = self._cause(found, found.error or "")
        return values

    def submissions(self, found: list[Submission]) -> list[dict[str, Any]]:
        """Returns several."""
        return [self.submission(one) for one in found]

    def events(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns events without the names of the machines that worked on them."""
        return [self._event(one) for one in found]

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        detail = {key: value for key, value in event["detail"].items() if key != "owner"}
        if "error" in detail:
            detail["error"] = self._cause(self._hub.store.get(event["subject_id"]), str(detail["error"]))
        return {**event, "detail": detail}

    def _cause(self, found: Submission, text: str) -> str:
        """Returns why scoring failed, which may be any error of any package, as far as it is anybody's business."""
        try:
            is_private = self._hub.benchmark(found.benchmark, found.benchmark_version).is_private
        except UnknownNameError:  # it came with another version of this package: nobody knows whether it was private
            is_private = True
        return HIDDEN_CAUSE if is_private else _FOLDERS.sub("", without_folders(text, self._folders))
