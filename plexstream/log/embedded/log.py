"""A durable log in one directory, for one process: what is on disk, and the threads that see to it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plexstream.log.base import Place, TopicSpec
from plexstream.log.embedded.clients import EmbeddedAppender, EmbeddedTransaction
from plexstream.log.embedded.files import disk
from plexstream.log.embedded.storage.storage import Storage
from plexstream.log.embedded.threads.committer import Committer
from plexstream.log.embedded.threads.janitor import Janitor
from plexstream.log.memory.local import LocalReader


class EmbeddedLog:
    """A `Log` in the directory `path`, which is created if it is missing.

    Parameters:
        judge: what to do about damage.

    Raises:
        LogDamaged: something that was acknowledged is not there, or not as it was written.
        LogError: another process has it open, or it cannot be read or written.
    """

    def __init__(self, path: str | Path, judge: disk.Judge = disk.refuse) -> None:
        self.storage = Storage(Path(path), judge, lambda: self._committer.wake())
        self._committer = Committer(self.storage, lambda: self.janitor.checkpoint_soon())
        self.janitor = Janitor(self.storage)

    @property
    def path(self) -> Path:
        return self.storage.path

    def reader(self, *, committed: bool = False) -> LocalReader:
        return LocalReader(self.storage, committed)

    def appender(self) -> EmbeddedAppender:
        return EmbeddedAppender(self.storage, self._committer, self.janitor)

    def transaction(self, id: str, life: str = "", witness: Place | None = None) -> EmbeddedTransaction:
        return EmbeddedTransaction(self.storage, id, life)

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        return self.storage.create(topics)

    def partitions(self, topic: str) -> int | None:
        return self.storage.partitions(topic)

    def topics(self) -> dict[str, int]:
        return self.storage.topics()

    def topic_id(self, topic: str) -> str:
        return self.storage.topic_id(topic)

    def prepare(self, topics: Iterable[str]) -> None:
        self.storage.prepare(topics)

    def range(self, place: Place) -> tuple[int, int]:
        return self.storage.range(place)

    def trim(self, place: Place, before: int, end: int) -> None:
        self.storage.trim(place, before, end)

    def close(self) -> None:
        if self.storage.stop():
            self.janitor.stop()
            self._committer.stop()
            self.storage.close()

    def __str__(self) -> str:
        return str(self.storage)
