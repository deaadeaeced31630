"""The REST routes under `/api/v1`: one module per area, one gate in front of them, one shape for every error.

Values are in their native range, times are seconds since 1970-01-01 UTC. Documentation for people: `/api/docs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...leaderboard.hub import Hub

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ..identity import Identity
    from .errors import ErrorPage


def add_routes(app: FastAPI, hub: Hub, identity: Identity | None = None, error_page: ErrorPage | None = None) -> None:
    """Adds the routes, the gate and the handlers of errors to the application.

    Args:
        app: gets them.
        hub: answers.
        identity: tells who asks; made from the hub's settings by default.
        error_page: makes the answer to an error outside the API, from request, status and message; JSON by default.
    """
    from starlette.middleware.gzip import GZipMiddleware

    from ..identity import Identity
    from ..limits import RateLimits
    from . import admin, benchmarks, boards, errors, events, operations, published, shares, submissions, uploads
    from .gate import Gate
    from .traffic import Traffic

    traffic = Traffic()
    for area in (benchmarks, boards, shares, submissions, uploads, events, admin, published):
        area.add_routes(app, hub)
    operations.add_routes(app, hub, traffic)
    errors.add_handlers(app, hub, error_page)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(
        Gate,
        hub=hub,
        identity=identity or Identity(hub.settings),
        limits=RateLimits(hub.settings.requests_per_minute),
        traffic=traffic,
        error_page=error_page,
    )
