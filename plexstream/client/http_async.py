"""Requests of one asyncio event loop, on aiohttp: each caller has a connection of its own."""

from __future__ import annotations

import aiohttp

from plexstream.client.over_http import IDLE_S, Answer, Attempt, Failed, Fault, closed, failed

_NOT_SAID = ("Accept", "Accept-Encoding", "User-Agent")
"""Headers that aiohttp adds, and that change nothing here."""


class AsyncHttp:
    """Sends to the server at `url`. Use it on one event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, attempt: Attempt) -> Answer | Failed:
        """Make one attempt. Raises LogUnavailable after `close`."""
        if self._closed:
            raise closed()
        session = self._session or self._open()
        limit = aiohttp.ClientTimeout(sock_connect=attempt.timeout, sock_read=attempt.timeout)
        try:
            async with session.request(
                attempt.method, self._url + attempt.path, headers=attempt.headers,
                data=attempt.content or None, timeout=limit, allow_redirects=False,
            ) as answer:  # fmt: skip
                return Answer(answer.status, await answer.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return failed(Fault.NOT_SENT, error)
        except TimeoutError as error:
            return failed(Fault.LATE, error)
        except aiohttp.ClientError as error:
            return failed(Fault.BROKEN, error)

    async def close(self) -> None:
        """End it. What is under way gets a fault."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """With the first attempt: it belongs to the loop that is running then."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_SAID,
        )
        return self._session
