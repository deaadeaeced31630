"""A small run of the load benchmark: nothing lost, double or stuck while workers and the web process are killed."""

import importlib.util
import sys

import pytest

from ..postgres import binaries


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_is_lost_double_or_stuck_under_load_and_kills(database, project_root, unavailable, capsys):
    if database == "postgres" and binaries() is None:
        unavailable("no PostgreSQL under /usr/lib/postgresql")
    spec = importlib.util.spec_from_file_location("uac_load", project_root / "benchmarks" / "load.py")
    load = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = load
    spec.loader.exec_module(load)
    assert load.main(["--quick", "--database", database]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "lost 0, double 0, stuck 0" in said
    assert "60 submissions have the values of a direct score" in said
    assert "killed 6 workers, 1 web processes" in said
