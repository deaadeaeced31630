"""A chat endpoint on loopback that answers as a test says: real HTTP, real delays, real refusals."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What is sent for one request; `content` is what the model says, `body` replaces the whole answer."""

    content: str = '{"score": 5, "reason": "so so"}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    body: bytes | None = None
    cut: bool = False  # the connection ends without an answer


@dataclass
class Endpoint:
    """The running endpoint: what it was asked, and what it answers."""

    url: str
    answer: Callable[[str, int], Reply]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def times_asked(self, text: str) -> int:
        """How many requests held the text."""
        return sum(text in one["messages"][0]["content"] for one in self.asked)


@contextmanager
def running(answer: Callable[[str, int], Reply]) -> Iterator[Endpoint]:
    """Serves `answer(question, how often this question came before)`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][0]["content"]
            with endpoint.lock:
                before = sum(one == body for one in endpoint.asked)
                endpoint.asked.append(body)
                endpoint.keys.append(self.headers.get("Authorization"))
                endpoint.now += 1
                endpoint.most_at_once = max(endpoint.most_at_once, endpoint.now)
            try:
                self._send(endpoint.answer(question, before) if self.path == "/v1/chat/completions" else Reply(status=404))
            finally:
                with endpoint.lock:
                    endpoint.now -= 1

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.wait_s)
            if reply.cut:
                self.close_connection = True
                return
            said = {"model": "tiny-judge-2026", "choices": [{"message": {"role": "assistant", "content": reply.content}}]}
            content = json.dumps(said).encode() if reply.body is None else reply.body
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # whoever asked has gone

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
