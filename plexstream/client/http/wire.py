"""HTTP/1.1 as a client speaks it, without sockets: the bytes of a request, and answers out of bytes.

httptools reads the answers, as it does the server's requests. HTTP libraries cost 100 to 200 µs of CPU a
request; this costs 6 (ADR 29).
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import httptools

from plexstream.client.http.over_http import Answer
from plexstream.model.errors import ConfigError

SLICE = 256 << 10
"""Bytes that are read at once."""


class Origin:
    """The server that a url names.

    Attributes:
        tls: how to speak to it; None: in the clear.
        prefix: of all paths.
        credentials: as headers.

    Raises:
        ConfigError: the url has no host, or a port that is none.
    """

    def __init__(self, url: str) -> None:
        try:
            of = urlsplit(url)
            port = of.port
            name = (of.hostname or "").encode("ascii" if ":" in (of.hostname or "") else "idna").decode()
        except ValueError as error:  # UnicodeError is one
            raise ConfigError(f"url {url!r}: {error}; write http://host:port or https://host:port") from None
        if not name:
            raise ConfigError(f"url {url!r} has no host: write http://host:port or https://host:port")
        self.host = name
        self.tls = ssl.create_default_context() if of.scheme == "https" else None
        self.port = port if port is not None else 443 if self.tls else 80
        self.prefix = of.path
        self.credentials: dict[str, str] = {}
        shown = f"[{name}]" if ":" in name else name
        self._always = f"host: {shown}\r\n" if port is None else f"host: {shown}:{port}\r\n"
        if of.username is not None:
            pair = f"{unquote(of.username)}:{unquote(of.password or '')}".encode()
            self.credentials["authorization"] = f"Basic {b64encode(pair).decode()}"
            self._always += f"authorization: {self.credentials['authorization']}\r\n"

    def request(self, method: str, path: str, headers: Mapping[str, str], content: bytes) -> bytes:
        """The bytes of a request. The headers must hold no line breaks, and fit latin-1."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        length = f"content-length: {len(content)}\r\n" if content or method != "GET" else ""
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\n{self._always}{lines}{length}\r\n"
        return head.encode("latin-1") + content


class Answers:
    """The answers on one connection, which has one request on its way at a time.

    Attributes:
        keeps: whether the connection may carry another request, once an answer is whole.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._measured = False  # its head says where it ends
        self._open_ended = False  # only the connection's end is its end
        self._answer: Answer | None = None
        self.keeps = True

    def feed(self, data: bytes) -> Answer | None:
        """Take what has come; the answer once it is whole.

        Raises:
            httptools.HttpParserError: that is no HTTP/1.1.
        """
        self._parser.feed_data(data)
        answer = self._answer
        self._answer = None
        return answer

    def end(self) -> Answer | None:
        """The server has closed the connection. The answer, if that is how it ends, as in HTTP/1.0."""
        if not self._open_ended:
            return None
        self.keeps = False
        return self._whole()

    def _whole(self) -> Answer:
        parts = self._parts
        answer = Answer(self._parser.get_status_code(), parts[0] if len(parts) == 1 else b"".join(parts))
        parts.clear()
        return answer

    # The parser's

    def on_message_begin(self) -> None:
        if self._answer is not None:  # one more than was asked for
            self.keeps = False
        self._measured = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) in (14, 17) and name.lower() in (b"content-length", b"transfer-encoding"):
            self._measured = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._open_ended = not (self._measured or status < 200 or status in (204, 304))

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._open_ended = False
        answer = self._whole()
        if answer.status < 200 or self._answer is not None:  # the true answer follows, or came before
            return
        self._answer = answer
        self.keeps = self.keeps and self._parser.should_keep_alive()
