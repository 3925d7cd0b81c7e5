"""A real server on loopback over a log in memory, with a stand-in for the processors behind it."""

from __future__ import annotations

import http.client
import socket

import httpx
from echo import LONG, Responder, create_topics
from prometheus_client import CollectorRegistry

from plexstream.edge.calls.calls import Calls
from plexstream.edge.http import front as edge_http
from plexstream.edge.http.limits import LIMITS, HttpLimits
from plexstream.edge.http.serving.server import HttpServer
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.topics.topics import Topics

MAX_BODY = 10_000
MAX_NDJSON = 50_000
SOURCES = ("orders", "raw", "txn", "bad", "x", "none")
JSON = {"Content-Type": "application/json"}


class Node:
    """`web` is a client of it, `responder` decides the answers, `status` is what the node says of itself."""

    def __init__(self, limits: HttpLimits = LIMITS) -> None:
        self.log = MemoryLog()
        self.topics = Topics("test.")
        create_topics(self.log, self.topics)
        self.calls = Calls(self.log, self.topics)
        self.registry = CollectorRegistry()
        self.status: dict[str, object] = {}
        self.web = httpx.Client(timeout=LONG, headers=JSON)
        app = edge_http.app(
            self.calls, log=self.log, topics=self.topics, status=lambda: self.status,
            metrics_registry=self.registry, max_body=MAX_BODY, max_ndjson=MAX_NDJSON, sources=SOURCES,
        )  # fmt: skip
        self.server = HttpServer(app, port=0, grace=3, limits=limits)
        self.server.start()
        self.web.base_url = self.server.url

    def fresh(self) -> None:
        """Forget what earlier tests did."""
        self.status.clear()
        self.status.update(ready=True, node="n1")
        self.responder = Responder(self.log, self.topics)

    def stop(self) -> None:
        self.web.close()
        self.server.stop()
        self.calls.close()

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """The answer to bytes as they are: clients refuse to send what servers must withstand."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=LONG) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read()


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["type"] == f"urn:plexstream:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"].encode() == answer.request.url.raw_path.partition(b"?")[0]
    return body
