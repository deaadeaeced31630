"""The web application: the REST routes and the pages in one process, nothing else."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from ..leaderboard.hub import Hub

if TYPE_CHECKING:
    from fastapi import FastAPI

MAX_HEADER_BYTES = 32 * 1024
# who asks is told from the connection, or from the last entry of a trusted proxy: see limits.py
SERVER: dict[str, Any] = {
    "log_level": "warning",
    "http": "h11",
    "h11_max_incomplete_event_size": MAX_HEADER_BYTES,
    "proxy_headers": False,
    "server_header": False,
    "timeout_graceful_shutdown": 5,  # streams of events have no end of their own
}


def create_app(hub: Hub) -> FastAPI:
    """Returns the application over a hub: REST under `/api/v1`, pages everywhere else.

    Args:
        hub: the store and the built references.
    """
    from fastapi import FastAPI

    from . import api, pages, sign_in
    from .identity import Identity
    from .mcp_server import add_mcp
    from .pages.site import Site

    identity = Identity(hub.settings)
    site = Site(hub, identity)
    app = FastAPI(title="unified-audiocaps", docs_url="/api/docs", openapi_url="/api/openapi.json", redoc_url=None)
    api.add_routes(app, hub, identity, site.error_page)
    sign_in.attach(app, hub.settings)
    add_mcp(app, hub)
    pages.add_routes(app, site)
    return app


def serve(hub: Hub, host: str, port: int) -> None:
    """Runs the application until the process is asked to end.

    Args:
        hub: the store and the built references.
        host: address to listen on.
        port: port to listen on.
    """
    import uvicorn

    app = create_app(hub)
    # what is loaded now stays: a big board makes many objects, and each collection of garbage would look through all of it
    gc.collect()
    gc.freeze()
    uvicorn.run(app, host=host, port=port, **SERVER)
