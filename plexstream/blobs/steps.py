"""An object store as handlers have it in their steps: what another attempt does not mend is a refusal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plexstream.blobs.objects import CHUNK, Objects
from plexstream.model.errors import BlobCorrupt, BlobMissing, NoBlobStore, TooLarge
from plexstream.sdk.errors import Reject


class InSteps:
    """What `host.blobs` does its I/O by."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, folder: str, data: Any) -> Sequence[Any]:
        """Put bytes: their hash, size, place and time."""
        with _refusing():
            return list(self._objects.put(folder, _pieces(data)))

    def read(self, place: str, hash: str, size: int) -> Iterator[bytes]:
        """All bytes of an object, the last piece once their hash is right."""
        with _refusing():
            yield from self._objects.checked(place, hash, size)

    def url(self, place: str, expires: float) -> str:
        """Where anybody may get an object."""
        with _refusing():
            return self._objects.url(place, expires)


def _pieces(data: Any) -> Iterable[bytes]:
    if isinstance(data, str):
        yield data.encode()
    elif isinstance(data, bytes | bytearray | memoryview):
        whole = memoryview(data).cast("B")
        for start in range(0, len(whole), CHUNK):
            yield bytes(whole[start : start + CHUNK])
    elif isinstance(data, os.PathLike):
        with Path(data).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    else:
        yield from data()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (BlobCorrupt, BlobMissing, NoBlobStore, TooLarge, ValueError) as error:
        raise Reject(str(error)) from None
