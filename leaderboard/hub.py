"""What one can do with a hub: validate, submit, look at the board. The pages, the API and the command line all call this."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from ..dataset_scripts.errors import InputError
from ..dataset_scripts.settings import Settings
from .benchmark import Benchmark, BenchmarkItems, benchmark_by_id, load_items
from .ranking import Board, rank
from .store import ResultStore
from .submission import MAX_BYTES, Submission, ValidationReport, validate


class Hub:
    """A store, the built references, and the steps between them.

    Args:
        store: the database.
        data: folder that `uac build` wrote.
    """

    def __init__(self, store: ResultStore, data: Path) -> None:
        self.store, self.data = store, data
        self._items: dict[tuple[str, int], BenchmarkItems] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, db: str | None = None, data: Path | None = None) -> Hub:
        """Returns the hub of this machine.

        Args:
            db: database URL; the settings' by default.
            data: folder that `uac build` wrote; the settings' by default.
        """
        settings = Settings.from_environment()
        return cls(ResultStore(db or settings.db_url), data or settings.data)

    def items(self, benchmark: Benchmark) -> BenchmarkItems:
        """Returns the clips of a benchmark, read once; their digest is checked, so they cannot change under us.

        Raises:
            InputError: its references were not built.
        """
        key = (benchmark.id, benchmark.version)
        with self._lock:
            if key not in self._items:
                self._items[key] = load_items(benchmark, self.data)
            return self._items[key]

    def validate(self, path: Path, benchmark_id: str) -> ValidationReport:
        """Returns everything that is wrong with a predictions file.

        Raises:
            UnknownNameError: there is no such benchmark.
            InputError: its references were not built, or the file as a whole cannot be read.
        """
        return validate(path, self.items(benchmark_by_id(benchmark_id)))

    def submit(self, path: Path, benchmark_id: str, system: str) -> tuple[Submission, bool]:
        """Validates a predictions file and queues it.

        Returns:
            The submission, and whether it is new: the same bytes for the same system are one submission.

        Raises:
            InputError: the file has problems (all are listed), or the system's name is unfit.
        """
        benchmark = benchmark_by_id(benchmark_id)
        items = self.items(benchmark)
        with tempfile.TemporaryDirectory() as folder:
            # what is checked is what is stored, even if the user's file changes meanwhile
            copy = Path(folder) / path.name
            try:
                with path.open("rb") as stream:
                    content = stream.read(MAX_BYTES + 1)
            except OSError as error:
                raise InputError(f"{path} cannot be read: {error.strerror}.") from None
            copy.write_bytes(content)
            report = validate(copy, items)
        report.raise_if_invalid()
        suffix = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])
        return self.store.add(benchmark, system, content, suffix, len(report.predictions))

    def board(self, benchmark_id: str) -> Board:
        """Returns the ranked table of a benchmark.

        Raises:
            UnknownNameError: there is no such benchmark.
        """
        benchmark = benchmark_by_id(benchmark_id)
        return rank(benchmark, self.store.results(benchmark))
