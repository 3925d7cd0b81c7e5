"""Blobs: bytes of any size under names. An object store has the bytes, an actor the names.

The bytes are put first, and then named by a turn. What happens in between leaves at most an object without a
name, which `sweep` takes away.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from plexstream.sdk.host.coordination.kept.places import check_type, folder_of
from plexstream.sdk.host.coordination.operation import (
    Call,
    Effect,
    Noun,
    Operation,
    Runner,
    actor_id,
    operation,
    reading,
)
from plexstream.sdk.running.current import current

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PAGE = 1_000
MAX_DOWNLOAD = 512 << 10
"""Bytes that `download` has in a handler, where they are part of its journal."""
BINARY = "application/octet-stream"
_ATTEMPTS = 3  # to name what was put, before that is too long ago

Data = bytes | bytearray | memoryview | str | os.PathLike[str] | Callable[[], Iterable[bytes]]
"""What can be uploaded: bytes, text (in UTF-8), the path of a file, or a function that yields pieces; it is
called again where an attempt has failed."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What a container has under a name.

    Attributes:
        hash: SHA-256 of the bytes, in hex.
        size: how many they are.
        place: where in the object store.
        uploaded: when, in ms since the Unix epoch.
        by: the address of the actor that did; "": somebody outside.
        version: a number that rises with every upload to this container.
    """

    name: str
    hash: str
    size: int
    content_type: str
    place: str
    uploaded: int
    by: str
    version: int


class BlobStore(Protocol):
    """An object store, as an actor host provides it for steps. What it does blocks.

    It raises `Reject` for what another attempt does not mend.
    """

    def put(self, folder: str, data: Any) -> Sequence[Any]:
        """Put bytes into the folder of a container: their hash, size, place and time."""

    def read(self, place: str, hash: str, size: int) -> Iterator[bytes]:
        """All bytes of an object, the last piece once their hash is right."""

    def url(self, place: str, expires: float) -> str: ...


class Names(Noun):
    """The names of a container, without the bytes."""

    @reading
    def stat(self, name: str) -> Operation[Blob | None]:
        """What is under a name, without the bytes; None: nothing."""
        return (yield from self._stat(name))

    @reading
    def list(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> Operation[Sequence[Blob]]:
        """Blobs whose names begin with `prefix`, behind `after`, by the order of their UTF-8.

        Fewer than `limit` come where names are long; none once there are no more.
        """
        arguments = {"prefix": prefix, "after": after, "limit": limit}
        return [Blob(*row) for row in (yield self._call("list", arguments, True))]

    @operation
    def delete(self, name: str) -> Operation[bool]:
        """Delete a blob; whether it was there. Its bytes go with the next `sweep`, after an hour."""
        return bool((yield self._call("delete", {"name": _text(name)})))

    @operation
    def commit(self, name: str, content_type: str, put: Sequence[Any]) -> Operation[Blob | None]:
        """Give bytes that were put their name; None: that was too long ago."""
        return (yield from self._commit(name, content_type, put))

    @reading
    def unused(self, places: Sequence[str]) -> Operation[Sequence[str]]:
        """Those of objects older than an hour that nobody can want any more."""
        found: Sequence[str] = yield self._call("unused", {"places": places}, True)
        return found

    @operation
    def swept(self, places: Sequence[str]) -> Operation[None]:
        """Say that unused objects will be gone."""
        yield self._call("swept", {"places": places})

    @property
    def owner(self) -> str:
        """Who keeps the names, without tenant and namespace."""
        return f"plex.blob/{actor_id(self.name)}"

    def _stat(self, name: str) -> Operation[Blob | None]:
        row = yield self._call("stat", {"name": _text(name)}, True)
        return None if row is None else Blob(name, *row)

    def _commit(self, name: str, content_type: str, put: Sequence[Any]) -> Operation[Blob | None]:
        hash, size, place, time = put
        arguments = {"name": _text(name), "hash": hash, "size": size, "content_type": content_type}
        row = yield self._call("commit", {**arguments, "place": place, "time": time})
        return None if row is None else Blob(name, *row)

    def _call(self, handler: str, arguments: dict[str, Any], reads: bool = False) -> Call:
        return Call("plex.blob", actor_id(self.name), handler, arguments, reads=reads)


class Container(Names):
    """A container of blobs, in a handler. What it does with the object store are steps.

    The journal has hashes and sizes, and the bytes of `download` alone.
    """

    @operation
    def upload(self, name: str, data: Data, content_type: str = BINARY) -> Operation[Blob]:
        """Put bytes, and give them a name, which may have had others before.

        Parameters:
            data: see `Data`. A function or file is read piece by piece, within the step.
        """
        _text(name)
        _check_data(data)
        check_type(content_type)
        store, folder = _store(), folder_of(f"{_own_prefix()}{self.owner}")
        for _ in range(_ATTEMPTS):
            put = yield Effect(f"blob put {name[:200]}", store.put, (folder, data))
            blob = yield from self._commit(name, content_type, put)
            if blob is not None:
                return blob
        raise TimeoutError(f"blob {name!r}: more than 30 min were between its bytes and its name, each time")

    @operation
    def download(self, name: str) -> Operation[bytes | None]:
        """The bytes of a blob of at most 512 KiB; None: there is none. They become a part of the journal.

        Raises:
            ValueError: it is larger: `read` it.
        """
        store = _store()
        blob = yield from self._stat(name)
        if blob is None:
            return None
        if blob.size > MAX_DOWNLOAD:
            raise ValueError(
                f"blob {name!r} has {blob.size} bytes, and a handler's journal takes {MAX_DOWNLOAD}: do with "
                "them what is to be done in a step: host.blobs.read(name, function)"
            )
        found: str = yield Effect(f"blob get {name[:200]}", _whole, (store, blob))
        return base64.b64decode(found)

    @operation
    def read(self, name: str, function: Callable[..., Any], *arguments: Any) -> Operation[Any]:
        """Call a function, in a step, with an iterator of a blob's bytes in pieces; its result is recorded.

        The last piece comes only once all are known to be those that were put; None where there is no blob.
        """
        store = _store()
        blob = yield from self._stat(name)
        if blob is None:
            return None
        return (yield Effect(f"blob read {name[:200]}", _read, (store, blob, function, arguments)))

    @operation
    def url(self, name: str, expires: float = 3600.0) -> Operation[str | None]:
        """Where anybody may download a blob for so many seconds, from S3 itself; None: there is none."""
        store = _store()
        blob = yield from self._stat(name)
        if blob is None:
            return None
        found: str = yield Effect(f"blob url {name[:200]}", store.url, (blob.place, expires))
        return found


class Blobs(Container):
    """``host.blobs``: the container ``default``, and the way to others."""

    def container(self, name: str) -> Container:
        """Another container."""
        return Container(self._run, name)


def blobs(run: Runner) -> Blobs:
    """The container ``default`` of a handler."""
    return Blobs(run, "default")


def _whole(store: BlobStore, blob: Blob) -> str:
    return base64.b64encode(b"".join(store.read(blob.place, blob.hash, blob.size))).decode()


def _read(store: BlobStore, blob: Blob, function: Callable[..., Any], arguments: Any) -> Any:
    return function(store.read(blob.place, blob.hash, blob.size), *arguments)


def _store() -> BlobStore:
    store: BlobStore = current.turn.blobs()
    return store


def _own_prefix() -> str:
    parts = current.turn.self_id().split("/")
    return f"{parts[0]}/{parts[1]}/" if len(parts) == 4 else "default/default/"


def _check_data(data: object) -> None:
    if not (isinstance(data, bytes | bytearray | memoryview | str | os.PathLike) or callable(data)):
        raise TypeError(
            f"a blob cannot be made of {type(data).__name__}: give bytes, text, the path of a file, or a "
            "function that yields bytes"
        )


def _text(name: str) -> str:
    given: object = name
    if not isinstance(given, str):
        raise ValueError(f"the name of a blob is a text, not {name!r:.80}")
    return name
