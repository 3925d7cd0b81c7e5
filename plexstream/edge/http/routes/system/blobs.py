"""Blobs over HTTP: bytes pass in pieces, never as a whole.

    PUT    /v1/blobs/{container}/{name}    upload; its Content-Type is kept
    GET    /v1/blobs/{container}/{name}    download, or a Range; ?stat: what it is; ?url&expires=60
    HEAD   /v1/blobs/{container}/{name}    what it is, as headers
    DELETE /v1/blobs/{container}/{name}
    GET    /v1/blobs/{container}           list: ?prefix=, after=, limit=
    POST   /v1/blobs/{container}?sweep     take away objects that no name has
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from plexstream.blobs.objects import CHUNK, Objects, Stored, Upload
from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.paths import text_of
from plexstream.edge.http.routes.system import coordination
from plexstream.model.errors import BadArguments, BlobMissing, Rejected
from plexstream.model.messages import address
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.blobs import BINARY, MAX_PAGE, Blob, Names
from plexstream.sdk.host.coordination.kept.places import check_type, folder_of
from plexstream.sdk.host.coordination.operation import Operation

PATH = "/v1/blobs/"
OLD_MS = 60 * 60_000
"""How old an object without a name is that a sweep takes away."""
_THREADS = 16
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# What somebody has uploaded is no page of this server, whatever it says that it is.
_INERT = {"content-security-policy": "sandbox", "x-content-type-options": "nosniff"}

T = TypeVar("T")
_blob = msgspec.json.Decoder(Blob | None)
_blobs = msgspec.json.Decoder(list[Blob])
_texts = msgspec.json.Decoder(list[str])
_encode = msgspec.json.Encoder().encode


class BlobPages:
    """Answers requests for blobs.

    Parameters:
        objects: where the bytes are.
    """

    def __init__(self, calls: Calls, objects: Objects) -> None:
        self._calls = calls
        self._objects = objects
        self._pool = ThreadPoolExecutor(_THREADS, "plexstream-blobs-")

    async def page(self, request: Request) -> Response:
        """Answer one. Raises Problem and CallError."""
        container, name = _named(request.scope["raw_path"])
        try:
            names = Names(lambda steps: steps, container)
        except ValueError as error:
            raise BadArguments(str(error)) from None
        if not name:
            return await self._container(request, names)
        if request.method == "PUT":
            return await self._put(request, names, name)
        if request.method == "DELETE":
            if not await self._run(names.delete(name), msgspec.json.decode):
                raise _missing(names, name)
            return Response(status_code=204)
        if request.method == "POST":
            allow = ((b"allow", b"DELETE, GET, HEAD, OPTIONS, PUT"),)
            raise Problem(405, "method_not_allowed", "upload by PUT, not POST", headers=allow)
        blob = await self._stat(names, name)
        if blob is None:
            raise _missing(names, name)
        return await self._shown(request, blob)

    async def _container(self, request: Request, names: Names) -> Response:
        query = request.query_params
        if request.method == "GET":
            limit = query.get("limit", str(MAX_PAGE))
            if not (limit.isascii() and limit.isdigit() and len(limit) < 9):
                raise BadArguments(f"limit {limit[:40]!r}: give a whole number from 1 to {MAX_PAGE}")
            steps = names.list(query.get("prefix", ""), query.get("after", ""), int(limit))
            return _json(await self._run(steps, _blobs.decode))
        if request.method == "POST" and "sweep" in query:
            return _json({"swept": await self._sweep(names)})
        allow = ((b"allow", b"GET, OPTIONS, POST"),)
        raise Problem(405, "method_not_allowed", f"a container: GET {PATH}NAME, POST …?sweep", headers=allow)

    # Upload

    async def _put(self, request: Request, names: Names, name: str) -> Response:
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._objects.max_size:
            detail = f"a blob of {declared[:20]} bytes; at most {self._objects.max_size} are allowed"
            raise Problem(413, "too_large", detail, headers=((b"connection", b"close"),))
        kind = request.headers.get("content-type", BINARY)
        try:  # before all bytes have come: may it be such a one, and named so?
            check_type(kind)
        except Reject as error:
            raise Rejected(str(error)) from None
        before = await self._stat(names, name)
        upload = await self._in_thread(self._objects.upload, folder_of(address.full(names.owner)))
        try:
            put = await self._taken(request, upload)
        finally:
            await self._in_thread(upload.__exit__, None, None, None)
        steps = names.commit(name, kind, list(put))
        blob = await self._run(steps, _blob.decode)
        if blob is None:
            detail = "this node's clock and that of a worker differ by more than 30 min: set them"
            raise Problem(503, "clocks_differ", detail)
        return _json(blob, 201 if before is None else 200, {"etag": f'"{blob.hash}"'})

    async def _taken(self, request: Request, upload: Upload) -> Stored:
        pending = bytearray()
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "disconnected", "the client went away while it sent the body")
            pending += message.get("body", b"")
            more = message.get("more_body", False)
            if len(pending) >= CHUNK or not more:
                await self._in_thread(upload.write, bytes(pending))
                pending.clear()
            if not more:
                return await self._in_thread(upload.finish)

    # Download

    async def _shown(self, request: Request, blob: Blob) -> Response:
        query = request.query_params
        if "stat" in query:
            return _json(blob)
        if "url" in query:
            try:
                expires = float(query.get("expires", "3600"))
                return _json({"url": await self._in_thread(self._objects.url, blob.place, expires)})
            except ValueError as error:
                raise BadArguments(str(error)) from None
        headers = {
            **_INERT, "etag": f'"{blob.hash}"', "accept-ranges": "bytes", "content-type": blob.content_type,
            "x-blob-version": str(blob.version), "content-length": str(blob.size),
        }  # fmt: skip
        known = request.headers.get("if-none-match", "")
        if headers["etag"] in known or known.strip() == "*":
            return Response(status_code=304, headers={"etag": headers["etag"]})
        if request.method == "HEAD":
            return Response(headers=headers)
        same = request.headers.get("if-range", headers["etag"]) == headers["etag"]
        part = _part(request.headers.get("range", "") if same else "", blob.size)
        if part is None:
            pieces = self._objects.checked(blob.place, blob.hash, blob.size)
        else:
            pieces = self._objects.read(blob.place, *part)
            headers["content-length"] = str(part[1] - part[0])
            headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{blob.size}"
        first = await self._in_thread(next, pieces, b"")  # what is wrong with it is told by a problem
        return StreamingResponse(self._rest(first, pieces), 200 if part is None else 206, headers)

    async def _rest(self, piece: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece:
            yield piece
            piece = await self._in_thread(next, pieces, b"")

    # Sweep

    async def _sweep(self, names: Names) -> int:
        folder, before = folder_of(address.full(names.owner)), round(time.time() * 1000) - OLD_MS
        count = await self._in_thread(self._objects.cut_off, folder, before)
        pages = self._objects.older(folder, before)
        while (page := await self._in_thread(next, pages, None)) is not None:
            if page and (gone := await self._run(names.unused(page), _texts.decode)):
                await self._run(names.swept(gone), msgspec.json.decode)  # a crash here leaves it to the next
                for place in gone:
                    await self._in_thread(self._objects.remove, place)
                count += len(gone)
        return count

    async def _stat(self, names: Names, name: str) -> Blob | None:
        return await self._run(names.stat(name), _blob.decode)

    async def _run(self, steps: Operation[Any], decode: Callable[[bytes], T]) -> T:
        return decode(await coordination.run(steps, LoopCalls(self._calls), DEFAULT_TIMEOUT, ""))

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _named(raw_path: bytes) -> tuple[str, str]:
    """Container and name: all behind the container is the name, slashes in it percent-encoded or not."""
    container, _, name = raw_path[len(PATH) :].partition(b"/")
    if not container:
        raise Problem(404, "not_found", f"no such route: write {PATH}{{container}}/{{name}}")
    return text_of(container), text_of(name)


def _part(header: str, size: int) -> tuple[int, int] | None:
    """From where to before where; None: all, as for several ranges and what is none.

    Raises:
        Problem: 416 where there is nothing in it.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        start, stop = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    else:
        start, stop = max(0, size - int(found[2])), size
    if start >= stop:
        range = ((b"content-range", b"bytes */%d" % size),)
        raise Problem(416, "no_such_range", f"{header!r} of a blob of {size} bytes", headers=range)
    return start, stop


def _missing(names: Names, name: str) -> BlobMissing:
    return BlobMissing(f"container {names.name!r} has no blob {name[:200]!r}")


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value), status, dict(headers or {}), "application/json")
