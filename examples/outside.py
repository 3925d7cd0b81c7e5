"""The world outside, for the examples: an HTTP server that does what it is asked once per idempotency key."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Request(NamedTuple):
    """``POST /what`` with a JSON body."""

    what: str
    key: str
    body: dict[str, Any]


class Outside:
    """A server on a free port.

    Attributes:
        requests: everything that was asked for, repetitions included.
        answer: makes the answer to a request that is seen for the first time; it may be replaced.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], dict[str, Any]] = lambda request: {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                request = Request(self.path[1:], self.headers["idempotency-key"], body)
                answer = json.dumps(outside._take(request)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _take(self, request: Request) -> dict[str, Any]:
        with self._lock:
            self.requests.append(request)
            if request.key not in self._answers:
                self._answers[request.key] = self.answer(request)
            return self._answers[request.key]

    def effects(self, of: str) -> list[Request]:
        """What was done for `of`, which begins the keys: each once, in the order of the first requests.

        Raises:
            ValueError: a request was repeated with the same key but other contents.
        """
        found: dict[str, Request] = {}
        for request in list(self.requests):
            if request.key.startswith(f"{of}/") and found.setdefault(request.key, request) != request:
                raise ValueError(f"{request} came before as {found[request.key]}")
        return list(found.values())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
