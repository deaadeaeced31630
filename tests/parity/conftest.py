"""Parity: our values beside those of the tools that people use today, run for real. `make parity` builds what this needs."""

import os

import pytest

DIFFERENCES: dict[str, tuple[float, float]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("UAC_PARITY") == "1":
        return
    for item in items:
        if item.get_closest_marker("parity"):
            item.add_marker(pytest.mark.skip(reason="runs with `make parity`"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not DIFFERENCES:
        return
    terminalreporter.section("largest differences (tolerance)")
    for name, (difference, tolerance) in DIFFERENCES.items():
        terminalreporter.write_line(f"{name:<48} {difference:8.1e}  ({tolerance:.0e})")


@pytest.fixture(scope="session")
def no_further_than():
    """Asserts that numbers are near enough, all of them finite, and keeps the largest difference for the summary."""
    import numpy as np

    def check(name, ours, theirs, tolerance):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        assert ours.shape == theirs.shape, name
        assert np.isfinite(ours).all() and np.isfinite(theirs).all(), name
        differences = np.abs(ours - theirs).ravel()
        DIFFERENCES[name] = (float(differences.max()), tolerance)
        worst = int(differences.argmax())
        assert differences[worst] <= tolerance, f"{name}, item {worst}: {ours.ravel()[worst]} beside {theirs.ravel()[worst]}"

    return check
