"""Defaults that a user may set once: `UAC_*` environment variables (and `OPENAI_API_KEY`), read here and nowhere else.

Arguments of a function or command come first, these settings second; there is no third place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import InputError

# names that other programs use for the same thing
_ALSO_READ = {
    "judge_key": "OPENAI_API_KEY",
    "oauth_client": "OAUTH_CLIENT_ID",
    "oauth_secret": "OAUTH_CLIENT_SECRET",
    "oauth_provider": "OPENID_PROVIDER_URL",
    "address": "SPACE_HOST",
}
_TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class Settings:
    """Every default that can be changed from outside.

    Attributes:
        home: root of all caches and of the default database (`UAC_HOME`).
        data: folder that `uac build` writes and benchmarks read (`UAC_DATA`).
        db: database URL of the hub (`UAC_DB`); empty means a SQLite file under `home`.
        files: folder of the hub's files (`UAC_FILES`); empty means beside a SQLite database.
        encoder: text encoder of the embedding metrics (`UAC_ENCODER`): `minilm`, a Hub name or a local path.
        checker: fluency error checker of DATE, FER and FENSE (`UAC_CHECKER`); empty means none.
        clap: CLAP model of the metrics that compare texts with sound (`UAC_CLAP`); empty means none.
        device: `auto`, `cpu` or `cuda` (`UAC_DEVICE`).
        judge_key: API key of the endpoint that judges; empty means `OPENAI_API_KEY`, or none; never printed (`UAC_JUDGE_KEY`).
        cache_bytes: bound of the cache of reference-side work under `home` (`UAC_CACHE_BYTES`); 0 turns it off.
        lease_s: seconds a worker may be silent before its job is given to another one (`UAC_LEASE_S`).
        heartbeat_s: seconds between two renewals of a lease (`UAC_HEARTBEAT_S`).
        max_attempts: scoring errors after which a submission is failed (`UAC_MAX_ATTEMPTS`).
        job_time_limit_s: seconds after which scoring is given up (`UAC_JOB_TIME_LIMIT_S`).
        job_memory_limit_bytes: memory at which scoring is given up (`UAC_JOB_MEMORY_LIMIT_BYTES`).
        jobs_per_child: submissions after which the scoring process is replaced (`UAC_JOBS_PER_CHILD`).
        quota_per_day: submissions per account and benchmark within 24 hours (`UAC_QUOTA_PER_DAY`).
        requests_per_minute: of an account, or an address where nobody is signed in (`UAC_REQUESTS_PER_MINUTE`).
        sign_in: `none` (everybody is the owner: a laptop) or `hub` (Hugging Face accounts) (`UAC_SIGN_IN`).
        oauth_client: id of the hub's own OAuth app; else `OAUTH_CLIENT_ID`, which Spaces set (`UAC_OAUTH_CLIENT`).
        oauth_secret: signs browser sessions; else `OAUTH_CLIENT_SECRET`, which Spaces set; never printed (`UAC_OAUTH_SECRET`).
        oauth_provider: who signs people in, as https://huggingface.co; else `OPENID_PROVIDER_URL` (`UAC_OAUTH_PROVIDER`).
        address: where people find the hub, such as https://hub.example.org; else `SPACE_HOST` (`UAC_ADDRESS`).
        token: Hub token that `uac submit --hub` sends; never printed (`UAC_TOKEN`).
        trusted_proxy: whether requests come through a proxy that tells from whom (`UAC_TRUSTED_PROXY`); true on Spaces.
        hosts: names under which a hub without sign-in may be changed, separated by commas (`UAC_HOSTS`); this machine's own
            always may.
        admins: Hub users who may hide, requeue and score again, separated by commas (`UAC_ADMINS`).
        mirror: dataset repository OWNER/NAME that every change is sent to (`UAC_MIRROR`); empty means none.
    """

    home: Path = Path("~/.cache/unified-audiocaps")
    data: Path = Path("unified-audiocaps")
    db: str = ""
    files: str = ""
    encoder: str = "minilm"
    checker: str = ""
    clap: str = ""
    device: str = "auto"
    judge_key: str = field(default="", repr=False)
    cache_bytes: int = 4_000_000_000
    lease_s: float = 20.0
    heartbeat_s: float = 5.0
    max_attempts: int = 3
    job_time_limit_s: float = 7_200.0
    job_memory_limit_bytes: int = 16_000_000_000
    jobs_per_child: int = 200
    quota_per_day: int = 20
    requests_per_minute: int = 600
    sign_in: str = "none"
    oauth_client: str = ""
    oauth_secret: str = field(default="", repr=False)
    oauth_provider: str = ""
    address: str = ""
    token: str = field(default="", repr=False)
    trusted_proxy: bool = False
    hosts: str = ""
    admins: str = ""
    mirror: str = ""

    @property
    def db_url(self) -> str:
        """The database URL in use; a SQLite file under `home` unless one was set."""
        return self.db or f"sqlite:///{self.home / 'hub.db'}"

    @property
    def admin_names(self) -> frozenset[str]:
        """The Hub users who are admins."""
        return frozenset(name.strip() for name in self.admins.split(",") if name.strip())

    @property
    def host_names(self) -> frozenset[str]:
        """The names of `hosts`, in small letters."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Returns the settings of this process.

        Args:
            environment: variables to read instead of the process's own.

        Raises:
            InputError: a variable does not have the type of its setting.

        >>> Settings.from_environment({"UAC_LEASE_S": "3"}).lease_s
        3.0
        """
        variables = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for one in fields(cls):
            raw = variables.get(f"UAC_{one.name.upper()}") or variables.get(_ALSO_READ.get(one.name, ""))
            if not raw:
                continue
            kind: Callable[[str], Any] = _truth if isinstance(one.default, bool) else type(one.default)
            try:
                values[one.name] = Path(raw).expanduser() if isinstance(one.default, Path) else kind(raw)
            except ValueError:
                expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}[type(one.default).__name__]
                raise InputError(f"UAC_{one.name.upper()} is {raw!r}; expected {expected}.") from None
        values.setdefault("home", cls.home.expanduser())
        values.setdefault("trusted_proxy", bool(variables.get("SPACE_ID")))
        return cls(**values)


def _truth(text: str) -> bool:
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def is_first_process() -> bool:
    """Returns whether this process prints and writes: the only one, or the first of those that `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"
