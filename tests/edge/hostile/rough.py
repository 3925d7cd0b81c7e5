"""Clients that send bytes as they are: those of libraries refuse what servers must withstand."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple

LONG = 20.0
PATH = "/v1/actors/account/alice/deposit"
JSON = "content-type: application/json"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(self.problem()["code"])

    def problem(self) -> dict[str, Any]:
        """The body, which must be a whole problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        body = json.loads(self.body)
        assert body["status"] == self.status
        assert body["type"] == f"urn:plexstream:problem:{body['code']}"
        assert body["title"]
        assert body["detail"]
        return dict(body)


def connect(node) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", node.server.port), timeout=LONG)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(method="POST", path=PATH, *headers: str, body=b"", version="1.1", host="localhost") -> bytes:
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"host: {host}"] if host else []
    lines += headers
    if body and not any(h.lower().startswith("transfer-encoding") for h in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(body=b"{}", *headers: str, path=PATH, **how) -> bytes:
    return request("POST", path, JSON, *headers, body=body, **how)


def read(connection: socket.socket, method="POST") -> Answer:
    """One answer, and not a byte of what follows it."""
    head = _until(connection, b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split(" ")[1])
    body = b""
    if method != "HEAD" and status not in (204, 304):
        if headers.get("transfer-encoding") == "chunked":
            while size := int(_until(connection, b"\r\n"), 16):
                body += _exactly(connection, size + 2)[:-2]
            _exactly(connection, 2)
        else:
            body = _exactly(connection, int(headers["content-length"]))
    return Answer(status, headers, body)


def _until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += _exactly(connection, 1)
    return data


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError(f"the server has closed after {data!r}")
        data += more
    return data


def say(node, data: bytes, method="POST") -> Answer:
    with connect(node) as connection:
        connection.sendall(data)
        return read(connection, method)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection; waits for that."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True
