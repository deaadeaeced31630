"""Shows a file to the person at the machine where that is possible; never fails, never blocks a terminal."""

from __future__ import annotations

import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path


def open_page(path: Path) -> bool:
    """Opens an HTML file in the default browser and returns whether there was one."""
    if not _has_desktop():
        return False
    try:
        return webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False


def open_sound(path: Path) -> bool:
    """Opens a sound file with the default player and returns whether there was one; does not wait for its end."""
    if not _has_desktop():
        return False
    opener = shutil.which("open" if sys.platform == "darwin" else "explorer" if sys.platform == "win32" else "xdg-open")
    if opener is None:
        return False
    try:
        subprocess.Popen(  # noqa: S603 - the system's own opener, with a file that was just written
            [opener, str(path.resolve())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return True


def _has_desktop() -> bool:
    """Returns whether somebody sits at a terminal of a machine with a screen.

    `webbrowser` finds the browsers of a desktop where there is one, and those of a text terminal (which would take it over)
    where there is none: the latter are its plain `GenericBrowser`.
    """
    if not sys.stdout.isatty():
        return False
    try:
        return type(webbrowser.get()) is not webbrowser.GenericBrowser
    except webbrowser.Error:
        return False
