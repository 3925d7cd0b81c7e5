"""Objects of an object store: written and read in pieces, and known by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from plexstream.model.errors import BlobCorrupt, BlobMissing, BlobsUnavailable, NoBlobStore, TooLarge

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

CHUNK = 1 << 20
"""Bytes that are read from a store at once."""
PART = 8 << 20
"""Bytes of a part of an upload; what is smaller is put as a whole. S3 takes 10,000 parts from 5 MiB on."""
_CONCURRENT = 2  # parts on their way at once
MAX_SIZE = 5 << 30
"""Bytes of a blob: more cannot be moved within S3 by one request."""
MAX_EXPIRY = 7 * 86_400
"""Seconds that a URL may be good for, as S3 has it."""
_STAGE = "incoming"
ABANDONED_MS = 24 * 3_600_000
"""After which an upload that writes nothing is taken for cut off: at the least rate a part takes hours."""


class Target(NamedTuple):
    """Which object store.

    Attributes:
        url: ``file:///folder`` or ``s3://bucket/prefix``; "": there is none.
        max_size: bytes of one blob, at most.
    """

    url: str = ""
    max_size: int = MAX_SIZE


NOWHERE = Target()


class Stored(NamedTuple):
    """An object that was written.

    Attributes:
        hash: SHA-256 of its bytes, in hex.
        size: how many.
        place: where in the store it is.
        time: when it was, in ms since the Unix epoch, by this machine's clock.
    """

    hash: str
    size: int
    place: str
    time: int


class Objects:
    """The objects of a store. Thread-safe; nothing is opened, nor the library loaded, before the first use.

    What it does blocks. An object is never changed, and each upload has one of its own, also of the same
    bytes: so whoever sweeps can take one away that nobody knows of, whatever is uploaded meanwhile.

    Each method raises BlobsUnavailable for what the store does not do, and NoBlobStore where there is none.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._store: LocalStore | S3Store | None = None
        self._folder: Path | None = None
        self._lock = threading.Lock()

    @property
    def max_size(self) -> int:
        """Bytes of one blob, at most."""
        return self._target.max_size

    def upload(self, folder: str) -> Upload:
        """Begin to write an object, as a context: an error within it leaves nothing behind.

        Parameters:
            folder: of its container, as `folder_of` makes it.
        """
        return Upload(self._open(), folder, self._target.max_size, self._sync)

    def put(self, folder: str, chunks: Iterable[bytes]) -> Stored:
        """Write an object. Raises TooLarge."""
        with self.upload(folder) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish()

    def read(self, place: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of an object from `start` to before `stop`, in pieces of about `CHUNK`, unchecked.

        Raises:
            BlobMissing: it is not there.
        """
        if stop is not None and stop <= start:
            return
        library, store = _library(), self._open()
        with _told(f"read {place}"):
            options: Any = {"range": (start, stop) if stop is not None else {"offset": start}}
            whole = start == 0 and stop is None
            found = library.get(store, place, **({} if whole else {"options": options}))
            stream = found.stream(CHUNK)
        while True:
            with _told(f"read {place}"):
                chunk = next(stream, None)
            if chunk is None:
                return
            yield bytes(chunk)

    def checked(self, place: str, hash: str, size: int) -> Iterator[bytes]:
        """All bytes of an object, the last piece only once they are known to be those that were put there.

        Raises:
            BlobMissing: it is not there.
            BlobCorrupt: their hash or number is another.
        """
        digest, count, last = hashlib.sha256(), 0, b""
        for chunk in self.read(place):
            digest.update(chunk)
            count += len(chunk)
            if last:
                yield last
            last = chunk
        if digest.hexdigest() != hash:
            raise BlobCorrupt(
                f"the object {place} has {count} bytes with the hash {digest.hexdigest()}; it was put with "
                f"{size} and {hash}: upload it again, or restore the object from a backup of the store"
            )
        yield last

    def older(self, folder: str, before: int) -> Iterator[list[str]]:
        """The places of objects of a container that were written before a time in ms, in lists of many."""
        library, store = _library(), self._open()
        with _told(f"list {folder}"):
            stream = library.list(store, prefix=folder, chunk_size=100)
        while True:
            with _told(f"list {folder}"):
                page: Any = next(stream, None)
            if page is None:
                return
            yield [each["path"] for each in page if _written(each) < before]

    def cut_off(self, folder: str, before: int) -> int:
        """Remove parts of uploads to a local folder that were cut off `ABANDONED_MS` before a time in ms.

        How many. An S3 store has rules of its buckets for those.
        """
        self._open()
        if self._folder is None:
            return 0
        count = 0
        with _told(f"list {folder}"):
            for path in (self._folder / folder / _STAGE).glob("*#*"):  # as the library names them
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime * 1000 < before - ABANDONED_MS:
                        path.unlink()
                        count += 1
        return count

    def remove(self, place: str) -> None:
        """Take an object away, if it is there."""
        with _told(f"remove {place}"):
            try:
                _library().delete(self._open(), place)
            except FileNotFoundError:
                return

    def url(self, place: str, expires: float) -> str:
        """Where anybody may GET an object for `expires` seconds, straight from the store.

        Raises:
            NoBlobStore: the store is a local folder.
            ValueError: `expires` is not from 1 to `MAX_EXPIRY`.
        """
        if not 1 <= expires <= MAX_EXPIRY:
            raise ValueError(f"expires {expires!r}: give seconds from 1 to {MAX_EXPIRY}")
        store = self._open()
        if self._folder is not None:
            raise NoBlobStore(
                f"blobs are in the folder {self._folder}, to which there are no URLs: download them by this "
                'node, or keep them in S3: url = "s3://bucket/prefix" in [blobs]'
            )
        with _told(f"sign {place}"):
            signed: str = _library().sign(store, "GET", place, timedelta(seconds=expires))
        return signed

    def _open(self) -> LocalStore | S3Store:
        with self._lock:
            if self._store is None:
                self._store = self._opened()
            return self._store

    def _opened(self) -> LocalStore | S3Store:
        url = self._target.url
        if not url:
            raise NoBlobStore(
                'this node has no store for blobs: set url in [blobs] of plexstream.toml, to '
                '"s3://bucket/prefix" or, where all nodes share a folder, to "file:///folder"'
            )
        _library()
        from obstore.store import LocalStore, S3Store

        if url.startswith("file:"):
            self._folder = Path(unquote(urlsplit(url).path))
            with _told(f"open {url}"):
                return LocalStore(self._folder, mkdir=True)
        with _told(f"open {url}"):
            # Attempts of a step, and of clients, come on top of these.
            retries: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
            client: Any = {"connect_timeout": "5s", "timeout": "120s", "allow_http": True}
            return S3Store.from_url(url, retry_config=retries, client_options=client)

    def _sync(self, place: str) -> None:
        """What is acknowledged stays, whatever happens to this machine. An S3 store cares for that itself."""
        if self._folder is None:
            return
        path = self._folder / place
        for each in (path, path.parent, path.parent.parent):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class Upload:
    """An object that is being written. Memory has at most some parts of it."""

    def __init__(self, store: Any, folder: str, max_size: int, sync: Any) -> None:
        self._store, self._folder, self._max_size, self._sync = store, folder, max_size, sync
        self._id = uuid.uuid4().hex
        self._digest = hashlib.sha256()
        self._size = 0
        self._first = bytearray()
        self._writer: Any = None

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:  # not finished
            with suppress(Exception):  # what went wrong before is what is told
                writer.__exit__(kind or InterruptedError, error or InterruptedError(), trace)

    @property
    def _stage(self) -> str:
        return f"{self._folder}/{_STAGE}/{self._id}"

    def write(self, chunk: bytes) -> None:
        """Write some bytes. Raises TooLarge."""
        self._size += len(chunk)
        if self._size > self._max_size:
            raise TooLarge(
                f"a blob of more than {self._max_size} bytes: set max_size in [blobs] if it may be larger"
            )
        self._digest.update(chunk)
        if self._writer is None:
            self._first += chunk
            if len(self._first) <= PART:
                return
            with _told(f"write {self._stage}"):
                self._writer = _library().open_writer(
                    self._store, self._stage, buffer_size=PART, max_concurrency=_CONCURRENT
                )
            chunk, self._first = bytes(self._first), bytearray()
        with _told(f"write {self._stage}"):
            self._writer.write(chunk)

    def finish(self) -> Stored:
        """Make it an object, which is there as a whole from now on."""
        hash = self._digest.hexdigest()
        place = f"{self._folder}/sha256/{hash[:2]}/{hash[2:]}.{self._id}"
        with _told(f"write {place}"):
            if self._writer is None:
                _library().put(self._store, place, bytes(self._first), use_multipart=False)
            else:
                self._writer.close()
                self._writer = None
                _library().rename(self._store, self._stage, place)
        self._sync(place)
        return Stored(hash, self._size, place, round(time.time() * 1000))


def _written(listed: Any) -> float:
    """When an object was, in ms: one that is staged counts as younger, its upload may have taken long."""
    time: float = listed["last_modified"].timestamp() * 1000
    return time + ABANDONED_MS if f"/{_STAGE}/" in listed["path"] else time


def _library() -> Any:
    try:
        import obstore
    except ImportError:
        raise NoBlobStore(
            "blobs need the package obstore, which is not installed on this node: pip install "
            "'plexstream[blobs]'"
        ) from None
    return obstore


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the store as ours, in one line."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if what.startswith("read"):
            raise BlobMissing(f"cannot {what}: the object is not in the store (any more)") from None
        said = f"is its bucket there? {_said(error)}"
        raise BlobsUnavailable(f"the object store cannot {what}: {said}") from None
    except (BaseError, OSError, ValueError) as error:
        raise BlobsUnavailable(f"the object store cannot {what}: {_said(error)}") from None


def _said(error: Exception) -> str:
    return " ".join(str(error).partition("Debug source")[0].split())[:500]
