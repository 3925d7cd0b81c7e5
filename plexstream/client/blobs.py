"""Blobs of clients, over HTTP: uploads and downloads pass in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from plexstream.client.http.streams import PIECE, Streamed
from plexstream.client.http.wire import Origin
from plexstream.model.errors import (
    CALL_ERRORS,
    BadArguments,
    BlobCorrupt,
    BlobMissing,
    CallError,
    ConfigError,
    call_error,
)
from plexstream.sdk.host.coordination.kept.blobs import BINARY, MAX_PAGE, Blob

Data = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes] | Iterable[bytes]
"""What can be uploaded: bytes, text (in UTF-8), the path of a file, an open one, or pieces."""
T = TypeVar("T")
_blob = msgspec.json.Decoder(Blob)
_blobs = msgspec.json.Decoder(list[Blob])
_any = msgspec.json.Decoder()
Blobs_ = Sequence[Blob]


class Container:
    """A container of blobs, for threads. Each method is one request, and may be repeated.

    Raises:
        BlobsUnavailable, BlobCorrupt, NoBlobStore: what the server says of its object store.
        Rejected: the name or content type is none.
        LogUnavailable: the server was not reached, or the connection broke.
    """

    def __init__(self, url: str, name: str = "default") -> None:
        if not url:
            raise ConfigError("blobs pass over HTTP: give the client the url of a node, http://host:port")
        self._url = url
        self._to = Origin(url)
        self._path = f"/v1/blobs/{quote(name, safe='')}"
        self.name = name

    def upload(self, name: str, data: Data, content_type: str = BINARY) -> Blob:
        """Put bytes, and give them a name, which may have had others before."""
        upload = self._begin(name, content_type)
        try:
            for piece in pieces_of(data):
                upload.write(piece)
            return self._end(upload)
        finally:
            upload.close()

    def download(self, name: str) -> bytes | None:
        """The bytes of a blob, in memory; None: there is none."""
        try:
            return b"".join(self.stream(name))
        except BlobMissing:
            return None

    def stream(self, name: str) -> Iterator[bytes]:
        """The bytes of a blob in pieces.

        Raises:
            BlobMissing: there is none.
            BlobCorrupt: they are not what was uploaded, which is known at the end.
        """
        request = Streamed(self._to, "GET", self._of(name), {})
        try:
            answer = _accepted(request)
            hash = answer.headers.get("etag", "").strip('"')
            digest = hashlib.sha256()
            for piece in request.body(answer):
                digest.update(piece)
                yield piece
            if digest.hexdigest() != hash:
                raise BlobCorrupt(f"blob {name!r} came with the hash {digest.hexdigest()}, but has {hash}")
        finally:
            request.close()

    def stat(self, name: str) -> Blob | None:
        """What is under a name, without the bytes; None: nothing."""
        try:
            return self._asked("GET", f"{self._of(name)}?stat", _blob.decode)
        except BlobMissing:
            return None

    def list(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> Blobs_:
        """Blobs whose names begin with `prefix`, behind `after`, by the order of their UTF-8."""
        query = urlencode({"prefix": prefix, "after": after, "limit": limit})
        return self._asked("GET", f"{self._path}?{query}", _blobs.decode)

    def delete(self, name: str) -> bool:
        """Delete a blob; whether it was there. Its bytes go with the next `sweep`, after an hour."""
        try:
            self._asked("DELETE", self._of(name), bytes)
        except BlobMissing:
            return False
        return True

    def url(self, name: str, expires: float = 3600.0) -> str | None:
        """Where anybody may download a blob for so many seconds, from S3 itself; None: there is none."""
        try:
            path = f"{self._of(name)}?url&{urlencode({'expires': expires})}"
            return str(self._asked("GET", path, _any.decode)["url"])
        except BlobMissing:
            return None

    def sweep(self) -> int:
        """Take objects away that no name has, and that are older than an hour; how many there were."""
        return int(self._asked("POST", f"{self._path}?sweep", _any.decode)["swept"])

    def _of(self, name: str) -> str:
        given: object = name
        if not isinstance(given, str) or not name:
            raise ValueError(f"the name of a blob is a text, not {name!r:.80}")
        return f"{self._path}/{quote(name, safe='', errors='replace')}"

    def _begin(self, name: str, content_type: str) -> Streamed:
        if not content_type.isascii() or not content_type.isprintable():
            raise BadArguments(f"content type {content_type[:40]!r}: give a line of ASCII, as text/plain")
        return Streamed(self._to, "PUT", self._of(name), {"content-type": content_type}, streams=True)

    def _end(self, upload: Streamed) -> Blob:
        return _blob.decode(_accepted(upload).read())

    def _asked(self, method: str, path: str, decode: Callable[[bytes], T]) -> T:
        headers = {"content-type": "application/json", "content-length": "0"}
        request = Streamed(self._to, method, path, headers)
        try:
            return decode(b"".join(request.body(_accepted(request))))
        finally:
            request.close()


class Blobs(Container):
    """``client.blobs``: the container ``default``, and the way to others."""

    def container(self, name: str) -> Container:
        """Another container."""
        return Container(self._url, name)


class AsyncContainer:
    """`Container` for asyncio: what waits for the network does so in threads, a piece at a time."""

    def __init__(self, of: Container) -> None:
        self._of = of

    async def upload(
        self, name: str, data: Data | AsyncIterable[bytes], content_type: str = BINARY
    ) -> Blob:
        """As `Container.upload`; pieces may come from an async iterator, too."""
        upload = await asyncio.to_thread(self._of._begin, name, content_type)
        try:
            async for piece in _pieces_async(data):
                await asyncio.to_thread(upload.write, piece)
            return await asyncio.to_thread(self._of._end, upload)
        finally:
            upload.close()

    async def download(self, name: str) -> bytes | None:
        """As `Container.download`."""
        return await asyncio.to_thread(self._of.download, name)

    async def stream(self, name: str) -> AsyncIterator[bytes]:
        """As `Container.stream`."""
        pieces = self._of.stream(name)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    async def stat(self, name: str) -> Blob | None:
        """As `Container.stat`."""
        return await asyncio.to_thread(self._of.stat, name)

    async def list(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> Blobs_:
        """As `Container.list`."""
        return await asyncio.to_thread(self._of.list, prefix, after, limit)

    async def delete(self, name: str) -> bool:
        """As `Container.delete`."""
        return await asyncio.to_thread(self._of.delete, name)

    async def url(self, name: str, expires: float = 3600.0) -> str | None:
        """As `Container.url`."""
        return await asyncio.to_thread(self._of.url, name, expires)

    async def sweep(self) -> int:
        """As `Container.sweep`."""
        return await asyncio.to_thread(self._of.sweep)


class AsyncBlobs(AsyncContainer):
    """``client.blobs`` of an `AsyncClient`."""

    def container(self, name: str) -> AsyncContainer:
        """Another container."""
        return AsyncContainer(Container(self._of._url, name))


def pieces_of(data: Any) -> Iterator[bytes]:
    """What is to be uploaded, in pieces. Raises TypeError for what cannot be."""
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        whole = memoryview(data).cast("B")
        for start in range(0, len(whole), PIECE):
            yield bytes(whole[start : start + PIECE])
    elif isinstance(data, os.PathLike):
        with Path(data).open("rb") as file:
            yield from pieces_of(file)
    elif hasattr(data, "read"):
        while piece := data.read(PIECE):
            yield piece
    else:
        for piece in data:
            yield from pieces_of(bytes(memoryview(piece)))


async def _pieces_async(data: Any) -> AsyncIterator[bytes]:
    if hasattr(data, "__aiter__"):
        async for piece in data:
            for part in pieces_of(bytes(memoryview(piece))):
                yield part
        return
    pieces = pieces_of(data)
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


def _accepted(request: Streamed) -> http.client.HTTPResponse:
    """The answer, if it is no problem. Raises CallError."""
    answer = request.answer()
    if answer.status < 300:
        return answer
    content = answer.read(PIECE)
    try:
        problem = _any.decode(content)
        code, detail, data = problem["code"], problem["detail"], problem.get("data")
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise CallError(f"HTTP status {answer.status}") from None
    if code in CALL_ERRORS:
        raise call_error(code, detail, data)
    raise CallError(f"{code}: {detail}", data)
