"""A PostgreSQL server for tests: started from what Debian installs, in a folder of its own, reached through a socket alone."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INSTALLED = Path("/usr/lib/postgresql")
NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]


def binaries() -> Path | None:
    """Returns the folder of the newest server's programs, None where there is none."""
    found = [path for path in INSTALLED.glob("*/bin") if (path / "initdb").exists() and (path / "postgres").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


@dataclass
class Cluster:
    """A server.

    Attributes:
        folder: holds its data and its socket.
        bin: folder of its programs.
        is_durable: whether it waits for the disk, as a real one does.
    """

    folder: Path
    bin: Path
    is_durable: bool

    def url(self, database: str) -> str:
        """Returns the URL of a database."""
        return f"postgresql://uac@/{database}?host={self.folder}"

    def create(self) -> str:
        """Creates a database and returns its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drops a database, whoever is connected to it."""
        self._execute(f"DROP DATABASE {url.partition('?')[0].rpartition('/')[2]} WITH (FORCE)")

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        flush = "" if self.is_durable else " -c fsync=off -c full_page_writes=off"
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=200{flush}"
        self._run("pg_ctl", "-D", self.folder / "data", "-o", options, "-l", self.folder / "log", "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops the server; `immediate` is what a power cut does to it."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "-t", "60", "stop")

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type] # names are made here

    def _run(self, program: str, *arguments: object) -> None:
        # a server refuses to run as root
        command = [*(NOBODY if os.geteuid() == 0 else []), str(self.bin / program), *map(str, arguments)]
        # to a file: a server that lives on would hold a pipe open
        with (self.folder / f"{program}.log").open("w+") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd=self.folder, timeout=120, check=False)
            said.seek(0)
            log = self.folder / "log"
            told = said.read() + (log.read_text(errors="replace")[-2_000:] if log.exists() else "")
            assert done.returncode == 0, f"{program} ended with {done.returncode}: {told}"


@contextmanager
def cluster(is_durable: bool, inside: Path | None = None) -> Iterator[Cluster]:
    """Runs a server beside the block; it ends with it.

    Args:
        is_durable: False for tests that nobody pulls the plug on, which then wait for no disk.
        inside: where its folder is made; /tmp by default, because a socket's path has at most 107 characters.
    """
    found = binaries()
    assert found is not None, f"no PostgreSQL under {INSTALLED}"
    folder = Path(tempfile.mkdtemp(prefix="uac-pg-", dir=inside or "/tmp"))
    server = Cluster(folder, found, is_durable)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    try:
        server._run("initdb", "-D", folder / "data", "-U", "uac", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
