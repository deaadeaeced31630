"""Parity: our values beside those of the tools that people use today, run for real. `make parity` builds what this needs."""

import pytest

LARGEST: dict[tuple[str, str], dict[str, float]] = {}
COLUMNS = ("corpus value", "item", "tolerance")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not LARGEST:
        return
    terminalreporter.section("largest differences")
    terminalreporter.write_line("".join((f"{'value':<38}{'of':<16}", *(f"{column:>14}" for column in COLUMNS))))
    for (name, of), found in LARGEST.items():
        cells = [f"{found[column]:.1e}" if column in found else "" for column in COLUMNS]
        terminalreporter.write_line("".join((f"{name:<38}{of:<16}", *(f"{cell:>14}" for cell in cells))))


@pytest.fixture(scope="session")
def no_further_than():
    """Asserts that numbers are near enough, all of them finite, and keeps the largest difference for the summary."""
    import numpy as np

    def check(name, of, ours, theirs, tolerance):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        assert ours.shape == theirs.shape, name
        assert np.isfinite(ours).all() and np.isfinite(theirs).all(), name
        differences = np.abs(ours - theirs).ravel()
        worst = int(differences.argmax())
        column = COLUMNS[ours.ndim > 0]
        found = LARGEST.setdefault((name, of), {})
        found[column] = max(found.get(column, 0.0), float(differences[worst]))
        found["tolerance"] = max(found.get("tolerance", 0.0), tolerance)
        message = f"{name} of {of}, item {worst}: {ours.ravel()[worst]} beside {theirs.ravel()[worst]}"
        assert differences[worst] <= tolerance, message

    return check
