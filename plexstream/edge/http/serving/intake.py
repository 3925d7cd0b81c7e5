"""A request as it arrives, measured against the limits."""

from __future__ import annotations

from plexstream.edge.http.limits import HttpLimits
from plexstream.edge.http.problems import Header, Problem
from plexstream.edge.http.serving import heads, refusals

STREAMED = b"/v1/blobs/"
LEAST_RATE = 1 << 10
"""Bytes a second that a client has to send of a body that is streamed."""
FRAMING = 8
"""Bytes of a chunked body's frame for each of its own: chunks of one byte have six."""


class Intake:
    """Counts the bytes of one request after the other. Each method raises Problem for what is too much.

    Attributes:
        in_head: whether the head has not ended.
        streams: whether its body is taken piece by piece, and may have any length and time.
        refusal: the latest such problem: the parser gives another error in its place.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.in_head = True
        self.streams = False
        self.refusal: Problem | None = None
        self._limits = limits
        self._most_head, self._most_headers = limits.header_bytes, limits.headers
        self._fed = 0  # bytes handed to the parser
        self._head = 0  # bytes of the headers
        self._body = self._window = 0

    def begin(self) -> None:
        """A request begins."""
        self.in_head = True
        self.streams = False
        self._fed = self._head = self._body = self._window = 0

    def end(self) -> None:
        """It has arrived as a whole."""
        self.in_head = True
        self._fed = 0

    def url(self, url: bytes) -> None:
        """Its path and query, as far as they are there."""
        if len(url) > self._limits.url_bytes:
            raise self.found(refusals.url(self._limits))

    def header(self, name: bytes, value: bytes, count: int) -> None:
        """One header more: the `count`-th."""
        self._head += len(name) + len(value)
        if self._head > self._most_head:
            raise self.found(refusals.header_bytes(self._limits))
        if count > self._most_headers:
            raise self.found(refusals.headers(self._limits))

    def heard(self, version: str, url: bytes, headers: list[Header]) -> None:
        """Its head, which must be one that is heard; see `heads`."""
        try:
            heads.check(version, url, headers)
        except Problem as problem:
            raise self.found(problem) from None
        self.streams = url.startswith(STREAMED)

    def body(self, size: int, of_all: int) -> bool:
        """So many bytes more of its body; `of_all`: of all requests together, that nobody has taken.

        Whether its time begins anew: one that is streamed has it for each so many bytes.
        """
        self._body += size
        if of_all > self._limits.body_bytes:
            raise self.found(refusals.bodies(self._limits))
        self._window += size
        if not self.streams or self._window < LEAST_RATE * self._limits.request_s:
            return False
        self._window = 0
        return True

    def feed(self, size: int) -> None:
        """So many bytes are handed to the parser."""
        self._fed += size

    def check(self, last: int) -> None:
        """What has not ended is handed to nobody, and kept by the parser: a header, a trailer.

        Args:
            last: bytes that were handed to it just now.
        """
        most = self._limits.header_bytes + last
        if self.in_head and self._fed > most:
            raise self.found(refusals.header_bytes(self._limits))
        if self._fed > most + FRAMING * self._body:
            raise self.found(refusals.chunks())

    def found(self, problem: Problem) -> Problem:
        """The same, noted."""
        self.refusal = problem
        return problem
