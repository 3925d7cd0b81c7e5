"""Requests and answers of any length, in pieces, by the standard library: each on its own connection."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping

from plexstream.client.http.wire import Origin
from plexstream.model.errors import LogUnavailable

PIECE = 1 << 20
"""Bytes that are sent or read at once."""
_IDLE_S = 60.0  # for which the server may say nothing, or take nothing


class Streamed:
    """One request, and its answer. What it does blocks.

    Parameters:
        streams: whether it has a body, to be given by `write`.

    Each method raises LogUnavailable where the connection cannot be made, or breaks.
    """

    def __init__(
        self, to: Origin, method: str, path: str, headers: Mapping[str, str], streams: bool = False
    ) -> None:
        self._what = f"{method} {path.partition('?')[0]}"
        self._streams = streams
        self._refused = False
        if to.tls is not None:
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                to.host, to.port, timeout=_IDLE_S, context=to.tls
            )
        else:
            self._connection = http.client.HTTPConnection(to.host, to.port, timeout=_IDLE_S)
        try:
            self._connection.putrequest(method, f"{to.prefix}{path}", skip_accept_encoding=True)
            for name, value in {**to.credentials, **headers}.items():
                self._connection.putheader(name, value)
            if streams:
                self._connection.putheader("transfer-encoding", "chunked")
            self._connection.endheaders()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._unavailable(error) from None

    def write(self, piece: bytes) -> None:
        """Send a piece of the body."""
        if not piece or self._refused:
            return
        try:
            self._connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        except OSError:  # the server has an answer already, and hears no more
            self._refused = True

    def answer(self) -> http.client.HTTPResponse:
        """End the body, and wait for the head of the answer."""
        try:
            if self._streams and not self._refused:
                self._connection.send(b"0\r\n\r\n")
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(error) from None

    def body(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """The body of the answer in pieces."""
        left = answer.length
        try:
            while piece := answer.read(PIECE):
                left = None if left is None else left - len(piece)
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(error) from None
        if left:
            raise self._unavailable(ConnectionError(f"{left} bytes of the answer are missing"))

    def close(self) -> None:
        """End it, whatever is under way."""
        self._connection.close()

    def _unavailable(self, error: Exception) -> LogUnavailable:
        said = f"{type(error).__name__} {error}".strip()
        return LogUnavailable(f"{self._what}: the connection failed ({said}): repeat it, which does no harm")
