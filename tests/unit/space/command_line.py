"""Runs `uac` in the process of the test."""

from typer.testing import CliRunner, Result
from unified_audiocaps.space.cli import app


def uac(*arguments: object, code: int = 0) -> Result:
    """Runs a command; its errors are raised."""
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done
