"""The pages of the hub: one module per page, data in, HTML out; `templates/` has what they look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .site import Site


def add_routes(app: FastAPI, site: Site) -> None:
    """Adds all pages, and the files that they are made of, to the application."""
    from starlette.staticfiles import StaticFiles

    from . import (
        admin,
        board,
        compare,
        datasets,
        domains,
        methods,
        playground,
        plots,
        published,
        queue_page,
        samples,
        sounds,
        submission,
        submit,
        system,
    )
    from .site import STATIC

    reading = (board, domains, plots, samples, sounds, compare, datasets, system, published, methods, playground)
    for page in (*reading, submit, submission, queue_page, admin):
        page.add_routes(app, site)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
