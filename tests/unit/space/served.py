"""A hub with benchmarks of its own behind its API, in the process of the test, and a stand-in for whoever knows tokens."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.storage.records import ResultRow
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.leaderboard.submission import LOCAL_ACCOUNT, System
from unified_audiocaps.space.api import add_routes
from unified_audiocaps.space.app import SERVER

SENTINEL = "quokkaphone"  # stands in the private references and nowhere else
IDS = ("rain", "dog", "bell", "wind")
METRICS = ("rouge_l", "bleu")


def make_hub(folder: Path, **settings) -> Hub:
    """Returns a hub with the benchmarks `open` and `closed`, four clips each; the references of `closed` are private."""
    hub = Hub(ResultStore(f"sqlite:///{folder}/hub.db"), folder / "unified-audiocaps", Settings(home=folder / "home", **settings))
    for name, word, visibility in (("open", "something", "public"), ("closed", SENTINEL, "private")):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"id": id_, "references": [f"{id_} and a {word}"]}) + "\n" for id_ in IDS))
        hub.create_benchmark(name, references_file=file, metrics=METRICS, primary_metric="rouge_l", references=visibility)
    return hub


def client_of(hub: Hub, host: str = "http://localhost") -> TestClient:
    """Returns what asks the API over a hub; the pages are left out, which take half a second to make."""
    app = FastAPI(docs_url="/api/docs", openapi_url="/api/openapi.json", redoc_url=None)
    add_routes(app, hub)
    return TestClient(app, base_url=host, raise_server_exceptions=False)


@contextmanager
def running(hub: Hub, app: FastAPI | None = None) -> Iterator[str]:
    """Runs an application, by default the API over a hub, in a server as `uac serve` does, and gives its address."""
    if app is None:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
        add_routes(app, hub)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, **SERVER))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server does not end"


def predictions(ids=IDS, text: str = "a sound of {}") -> bytes:
    return "".join(json.dumps({"id": id_, "caption": text.format(id_)}) + "\n" for id_ in ids).encode()


def send(
    client: TestClient, content: bytes = b"", benchmark: str = "open", system: str = "A", name: str = "mine.jsonl", **headers
):
    """Posts a submission."""
    files = {"file": (name, content or predictions())}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return client.post("/api/v1/submissions", files=files, data={"benchmark": benchmark, "system": system}, headers=named)


def publish(
    hub: Hub, system: str | System, value: float, benchmark: str = "open", account: str = LOCAL_ACCOUNT, digest: str = "0123abcd"
) -> str:
    """Puts a system with made-up scores on a board and returns the id of its submission."""
    one = hub.benchmark(benchmark)
    about = System(system) if isinstance(system, str) else system
    content = f"{about.name} {benchmark} {value}".encode()
    submission, _ = hub.store.receive(one, about, content, ".jsonl", account=account)
    hub.store.accept(submission.id, len(IDS), one.recipe, one.n_steps)
    job = hub.store.claim("worker", 20)
    rows = [ResultRow(name, name, value, len(IDS), f"metric:{name}", digest, 0.1, "0" * 64) for name in METRICS]
    assert job is not None and job.submission_id == submission.id and hub.store.finish(job, rows)
    return submission.id


def score(hub: Hub) -> int:
    """Scores what waits, as a worker does; returns how many."""
    n = 0
    while job := hub.store.claim("worker", 60):
        assert hub.store.finish(job, hub.score(job))
        n += 1
    return n


class TokenHub:
    """Answers whoami; `users` is token -> name, other answers stand in `answers` as (status, body)."""

    def __init__(self) -> None:
        self.users = {"hf_anna": "anna", "hf_berta": "berta", "hf_chief": "chief"}
        self.answers: dict[str, tuple[int, dict]] = {}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, token: str) -> tuple[int, dict]:
        self.asked.append(token)
        if token in self.answers:
            return self.answers[token]
        if token in self.users:
            return 200, {"type": "user", "name": self.users[token], "auth": {"type": "access_token"}}
        return 401, {"error": "Invalid credentials"}


@contextmanager
def token_hub() -> Iterator[TokenHub]:
    """Runs one on this machine."""
    double = TokenHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = double.answer(self.headers.get("Authorization", "").removeprefix("Bearer "))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield double
        finally:
            server.shutdown()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
