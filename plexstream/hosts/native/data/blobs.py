"""What handlers meet in the place of an object store where their host has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plexstream.sdk.errors import Reject


class NoStore:
    """Refuses in steps, not before: a handler that is replayed only to be looked at needs no store."""

    def put(self, folder: str, data: Any) -> Sequence[Any]:
        raise _refused()

    def read(self, place: str, hash: str, size: int) -> Iterator[bytes]:
        raise _refused()

    def url(self, place: str, expires: float) -> str:
        raise _refused()


def _refused() -> Reject:
    return Reject("blobs need an object store, and this actor host was given none")
